/**
 * What an adversary that knows the rules can cost: B4, one that stops while it is probed or drops as much as it can then, and
 * B5, the damage q- - rho q+ beside the tight bound at every second (Awerbuch, Holmer, Nita-Rotaru and Rubens, WiSe 2002,
 * section 5). byzantine-soundness.test.ts checks B5 for all attacks on random networks; here the adversaries sit on every way.
 *
 * SPINES_LONG=1 runs ten minutes instead of 20 s.
 */

import { describe, expect, test } from 'vitest';

import { MILLISECOND, SECOND } from '../../src/base/time.ts';
import { rangeOf } from '../../src/byzantine/bounds.ts';
import { faultLosses, type ByzantineOptions } from '../../src/byzantine/options.ts';
import { SERVICE_BEST_EFFORT } from '../../src/wire/packet.ts';
import { AdversaryLab, modeOf, type Edge } from '../support/adversary-lab.ts';

const SECONDS = process.env['SPINES_LONG'] === '1' ? 600 : 20;
const LATENCY = 2 * MILLISECOND, RATE = 200;

/** `ways` ways of four links from the first node to the second, each with an adversary in its middle. */
function everyWay(ways: number, options: ByzantineOptions, attack: string): AdversaryLab {
  const edges: Edge[] = [];
  for (let way = 0; way < ways; way += 1) {
    const at = 2 + 3 * way;
    edges.push({ a: 0, b: at, latencyUs: LATENCY }, { a: at, b: at + 1, latencyUs: LATENCY }, { a: at + 1, b: at + 2, latencyUs: LATENCY }, { a: at + 2, b: 1, latencyUs: LATENCY });
  }
  const lab = new AdversaryLab({ seed: ways, nodes: 2 + 3 * ways, edges, options });
  for (let way = 0; way < ways; way += 1) lab.colluders.set(lab.host(3 + 3 * way), attack);
  return lab;
}

describe.each(['paper', 'secure'] as const)('in %s mode', (mode) => {
  const options = modeOf(mode);

  test.each(['dynamic', 'greedy', 'good-bad-cycle:200', 'black-hole'])('B5: damage by %s on every way stays below the tight bound at every second', { timeout: 120_000 }, (attack) => {
    const lab = everyWay(3, options, attack);
    const one = lab.flow(0, 1, RATE, SERVICE_BEST_EFFORT, SECONDS * SECOND);
    let worst = 0, highest = 0;
    lab.run(SECONDS * SECOND, SECOND, () => {
      const { damage, allowed } = lab.damageOf(one);
      highest = Math.max(highest, damage);
      worst = Math.max(worst, damage / allowed);
    });
    const { lost, delivered, allowed } = lab.damageOf(one);
    console.log(`${mode} ${attack}: ${lost} unacknowledged, ${delivered} delivered, ${lab.convictions.length} convictions, damage at most ${highest.toFixed(0)} of ${allowed} allowed`);
    expect(lost + delivered).toBeGreaterThan(SECONDS);
    expect(lost, 'the adversary does something').toBeGreaterThan(0);
    expect(lab.violations).toEqual([]);
    expect(worst).toBeLessThanOrEqual(1);
  });

  test.each([['dynamic', 10], ['greedy', 10], ['dynamic', 200], ['greedy', 200]] as const)('B4: %s on the only way, %i packets a second: twice the tolerance, and what is under way', { timeout: 120_000 }, (attack, rate) => {
    const lab = everyWay(1, { ...options, searchMemory: false }, attack);
    const seconds = rate < RATE ? 5 * SECONDS : SECONDS;
    const one = lab.flow(0, 1, rate, SERVICE_BEST_EFFORT, seconds * SECOND);
    lab.run(seconds * SECOND, SECOND);
    const { lost, delivered } = lab.damageOf(one);
    const { tolerance: tau } = options;
    // Each cycle begins with b losses and what was under way with them, and goes on until b / tau packets have paid; of these tau are lost.
    const b = faultLosses(options.windowPackets, tau);
    const timerUs = rangeOf(LATENCY + MILLISECOND, false, true).mostUs + 3 * rangeOf(LATENCY + MILLISECOND, false).mostUs + 20 * MILLISECOND;
    const perCycle = 2 * b + (rate * timerUs) / SECOND + 1;
    const part = lost / (lost + delivered), bound = perCycle / (b / tau + perCycle), paper = (2 * tau) / (1 + 2 * tau);
    const percent = (x: number): string => `${(100 * x).toFixed(1)} %`;
    console.log(`${mode} ${attack} at ${rate}/s: ${lost} of ${lost + delivered} unacknowledged, ${percent(part)}; 2 tau / (1 + 2 tau) is ${percent(paper)}, with what is under way ${percent(bound)}`);
    expect(lost).toBeGreaterThan(0);
    expect(part).toBeLessThanOrEqual(bound);
  });
});

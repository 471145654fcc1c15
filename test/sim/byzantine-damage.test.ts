/**
 * What an adversary that knows the rules can cost: B4, one that stops while it is probed or drops
 * as much as it can then, and B5, the damage q- - rho q+ beside the tight bound at every second
 * (Awerbuch, Holmer, Nita-Rotaru and Rubens, WiSe 2002, section 5). byzantine-soundness.test.ts
 * checks B5 for all attacks on random networks; here adversaries sit on every way but the worst
 * one, as B5 is about networks in which honest nodes join the two (otherwise nothing need ever
 * arrive, and losses grow with time).
 *
 * SPINES_LONG=1 runs ten minutes instead of 20 s.
 */

import { describe, expect, test } from 'vitest';

import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import { rangeOf } from '../../src/core/byzantine/bounds.ts';
import { faultLosses, type ByzantineOptions } from '../../src/core/byzantine/options.ts';
import { SERVICE_BEST_EFFORT } from '../../src/core/wire/packet.ts';
import { AdversaryLab, modeOf, type Edge } from '../support/adversary-lab.ts';

const SECONDS = process.env['SPINES_LONG'] === '1' ? 600 : 20;
const LATENCY = 2 * MILLISECOND,
  RATE = 200;

/**
 * `ways` ways of four links from the first node to the second, each with an adversary in its
 * middle; `honest`: and one of six slower links without.
 */
function everyWay(
  ways: number,
  options: ByzantineOptions,
  attack: string,
  honest: boolean,
): AdversaryLab {
  const edges: Edge[] = [];
  for (let way = 0; way < ways; way += 1) {
    const at = 2 + 3 * way;
    edges.push(
      { a: 0, b: at, latencyUs: LATENCY },
      { a: at, b: at + 1, latencyUs: LATENCY },
      { a: at + 1, b: at + 2, latencyUs: LATENCY },
      { a: at + 2, b: 1, latencyUs: LATENCY },
    );
  }
  const first = 2 + 3 * ways,
    between = honest ? 5 : 0;
  const way = [0, ...Array.from({ length: between }, (_, i) => first + i), 1];
  if (honest)
    for (let i = 1; i < way.length; i += 1)
      edges.push({ a: way[i - 1]!, b: way[i]!, latencyUs: 3 * LATENCY });
  const lab = new AdversaryLab({ seed: ways, nodes: first + between, edges, options });
  for (let i = 0; i < ways; i += 1) lab.colluders.set(lab.host(3 + 3 * i), attack);
  return lab;
}

describe.each(['paper', 'secure'] as const)('in %s mode', (mode) => {
  const options = modeOf(mode);

  test.each(['dynamic', 'greedy', 'good-bad-cycle:200', 'black-hole'])(
    'B5: damage by %s on every way but the worst stays below the tight bound at every second',
    { timeout: 900_000 },
    (attack) => {
      const lab = everyWay(3, options, attack, true);
      const one = lab.flow(0, 1, RATE, SERVICE_BEST_EFFORT, SECONDS * SECOND);
      let worst = 0,
        highest = 0;
      lab.run(SECONDS * SECOND, SECOND, () => {
        const { damage, allowed } = lab.damageOf(one);
        highest = Math.max(highest, damage);
        worst = Math.max(worst, damage / allowed);
      });
      const { lost, delivered, allowed } = lab.damageOf(one);
      console.log(
        `${mode} ${attack}: ${lost} unacknowledged, ${delivered} delivered, ` +
          `${lab.convictions.length} convictions, damage at most ${highest.toFixed(0)} of ` +
          `${allowed} allowed`,
      );
      expect(lost + delivered).toBeGreaterThan(SECONDS);
      expect(lost, 'the adversary does something').toBeGreaterThan(0);
      expect(lab.violations).toEqual([]);
      expect(worst).toBeLessThanOrEqual(1);
    },
  );

  test.each([
    ['dynamic', 10],
    ['greedy', 10],
    ['dynamic', 200],
    ['greedy', 200],
  ] as const)(
    'B4: %s on the only way, %i packets a second: about twice the tolerance',
    { timeout: 900_000 },
    (attack, rate) => {
      const lab = everyWay(1, { ...options, searchMemory: false }, attack, false);
      const seconds = rate < RATE ? 5 * SECONDS : SECONDS;
      const one = lab.flow(0, 1, rate, SERVICE_BEST_EFFORT, seconds * SECOND);
      lab.run(seconds * SECOND, SECOND);
      const { lost, delivered } = lab.damageOf(one);
      const { tolerance: tau } = options;
      const b = faultLosses(options.windowPackets, tau);
      const timerUs =
        rangeOf(LATENCY + MILLISECOND, false, true).mostUs +
        3 * rangeOf(LATENCY + MILLISECOND, false).mostUs +
        20 * MILLISECOND;
      const underWay = (rate * timerUs) / SECOND + 1;
      const part = lost / (lost + delivered),
        paper = (2 * tau) / (1 + 2 * tau);
      // Who stops while it is probed pays for all that it took, and can only be ahead by what it
      // took last. Who does not is convicted, on a path that stays in use as there is no other:
      // each cycle begins with 2 b losses and what was under way, and tau of b / tau packets are
      // lost.
      const perCycle = 2 * b + underWay;
      const bound =
        attack === 'dynamic'
          ? paper + (b + underWay) / (lost + delivered)
          : perCycle / (b / tau + perCycle);
      const percent = (x: number): string => `${(100 * x).toFixed(1)} %`;
      console.log(
        `${mode} ${attack} at ${rate}/s: ${lost} of ${lost + delivered} unacknowledged, ` +
          `${percent(part)}; 2 tau / (1 + 2 tau) is ${percent(paper)}, allowed ${percent(bound)}`,
      );
      expect(lost).toBeGreaterThan(0);
      expect(part).toBeLessThanOrEqual(bound);
    },
  );
});

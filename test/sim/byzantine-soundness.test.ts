/**
 * P0: whatever adversaries do, and however many conspire, every link that an honest source convicts
 * has one of them at an end, as long as nothing is lost otherwise. And B5: what they cost stays
 * below the tight bound at every second.
 *
 * Random networks, placements, flows and modes under every attack by name. SPINES_SWARM=n sets the
 * number of runs, SPINES_SWARM_FIRST=s the first seed, SPINES_SWARM_ATTACK=name takes one attack
 * only. A failure names its seed.
 */

import {
  MISBEHAVIOURS,
  SIMULATED_MISBEHAVIOURS,
} from '../../src/lab/misbehaviour/misbehaviours.ts';
import { describe, expect, test } from 'vitest';

import { Rng } from '../../src/core/base/rng.ts';
import { MILLISECOND, SECOND, type Micros } from '../../src/core/base/time.ts';
import { SERVICE_BEST_EFFORT, SERVICE_RELIABLE } from '../../src/core/wire/packet.ts';
import { AdversaryLab, modeOf, randomEdges } from '../support/adversary-lab.ts';

const RUNS = Math.max(1, Number(process.env['SPINES_SWARM'] ?? 46));
const FIRST = Number(process.env['SPINES_SWARM_FIRST'] ?? 1);
const ONLY = process.env['SPINES_SWARM_ATTACK'];
const PER_RUN_MS = 3_000;

/** With amounts that make them hurt. */
const ATTACKS = [...Object.keys(MISBEHAVIOURS), ...Object.keys(SIMULATED_MISBEHAVIOURS)]
  .filter((name) => name !== 'none' && name !== 'drop-data')
  .flatMap(
    (name) =>
      ({
        'grey-hole': ['grey-hole:0.2', 'grey-hole:0.6'],
        delay: ['delay:40ms', 'delay:400ms'],
        reorder: ['reorder:500ms'],
        selective: ['selective:200'],
        // Enough to hurt, and cheap to simulate.
        congestion: ['congestion:300'],
        'source-flood': ['source-flood:150'],
        'probe-exhaustion': ['probe-exhaustion:200'],
        'forged-sources': ['forged-sources:600'],
        'forged-paths': ['forged-paths:600'],
        'request-storm': ['request-storm:50'],
      })[name] ?? [name],
  );

/**
 * Floods need something to fill: a link carries less than one adversary sends, and what the flows
 * need several times.
 */
const NARROW_KBPS = 4_000;

interface Outcome {
  readonly attack: string;
  readonly convictions: number;
  readonly faults: number;
  readonly violations: readonly string[];
  readonly worst: number;
  readonly virtualUs: Micros;
}

function run(seed: number): Outcome {
  const rng = new Rng(seed).fork('soundness');
  const drawn = ATTACKS[(seed - 1) % ATTACKS.length]!;
  const attack = ONLY ?? drawn;
  const nodes = 6 + rng.below(11);
  const mode = rng.chance(0.5) ? 'secure' : 'paper';
  const wide = randomEdges(nodes, 1 + rng.below(nodes), rng);
  const edges = attack.startsWith('forged-')
    ? wide.map((edge) => ({ ...edge, bandwidthKbps: NARROW_KBPS }))
    : wide;
  const lab = new AdversaryLab({ seed, nodes, edges, options: modeOf(mode) });
  const order = rng.shuffle(Array.from({ length: nodes }, (_, i) => i));
  // Ends of flows are honest. Half of the adversaries' first ones sit where a path is in use; the
  // others may be there from the beginning.
  const ends = order.slice(0, 4),
    others = order.slice(4);
  for (const [from, to] of [
    [ends[0]!, ends[1]!],
    [ends[2]!, ends[3]!],
  ] as const) {
    lab.flow(
      from,
      to,
      50 + rng.below(100),
      rng.chance(0.5) ? SERVICE_RELIABLE : SERVICE_BEST_EFFORT,
      8 * SECOND,
    );
  }
  const count = Math.min(others.length, 1 + rng.below(Math.floor(nodes / 2)));
  const placed = rng.chance(0.6);
  if (placed) {
    lab.run(600 * MILLISECOND);
    const used = [...lab.host(ends[0]!).node.byzantine!.flows()][0]?.main?.path.nodes ?? [];
    const inside = others.filter((index) => used.includes(lab.host(index).id));
    if (inside.length > 0)
      others.unshift(...others.splice(others.indexOf(inside[rng.below(inside.length)]!), 1));
  }
  for (const index of others.slice(0, count)) lab.colluders.set(lab.host(index), attack);
  let worst = 0;
  lab.run(6 * SECOND, SECOND, () => {
    for (const flow of lab.flows) {
      const { damage, allowed } = lab.damageOf(flow);
      worst = Math.max(worst, damage / allowed);
    }
  });
  return {
    attack,
    convictions: lab.convictions.length,
    faults: lab.faults,
    violations: lab.violations,
    worst,
    virtualUs: lab.world.now(),
  };
}

describe('P0', () => {
  test('each attack is one that the simulation knows', () => {
    const lab = new AdversaryLab({
      seed: 1,
      nodes: 3,
      edges: [
        { a: 0, b: 1, latencyUs: 1_000 },
        { a: 1, b: 2, latencyUs: 1_000 },
      ],
      options: modeOf('secure'),
    });
    for (const attack of ATTACKS) expect(lab.colluders.set(lab.host(1), attack)?.what).toBe(attack);
    expect(lab.colluders.set(lab.host(1), 'none')).toBeNull();
    for (const wrong of [
      '',
      'grey',
      'grey-hole:2',
      'grey-hole:1ms',
      'delay:50',
      'black-hole:1',
      'grey-hole:',
    ])
      expect(() => lab.colluders.set(lab.host(1), wrong), wrong).toThrow(/must be one of/);
  });

  test(`holds for ${RUNS} seeds from ${FIRST}`, {
    timeout: Math.max(120_000, RUNS * PER_RUN_MS),
  }, () => {
    const byAttack = new Map<
      string,
      { runs: number; convictions: number; faults: number; violations: number }
    >();
    const failed: string[] = [];
    let worst = 0,
      virtualUs = 0;
    for (let seed = FIRST; seed < FIRST + RUNS; seed += 1) {
      const again = `SPINES_SWARM=1 SPINES_SWARM_FIRST=${seed}`;
      let outcome: Outcome;
      try {
        outcome = run(seed);
      } catch (error) {
        failed.push(
          `${again}: ` +
            (error instanceof Error
              ? String(error.stack?.split('\n').slice(0, 3).join(' '))
              : String(error)),
        );
        continue;
      }
      const sum = byAttack.get(outcome.attack) ?? {
        runs: 0,
        convictions: 0,
        faults: 0,
        violations: 0,
      };
      sum.runs += 1;
      sum.convictions += outcome.convictions;
      sum.faults += outcome.faults;
      sum.violations += outcome.violations.length;
      byAttack.set(outcome.attack, sum);
      worst = Math.max(worst, outcome.worst);
      virtualUs += outcome.virtualUs;
      for (const violation of outcome.violations)
        failed.push(`${again} ${outcome.attack}: ${violation}`);
      if (outcome.worst > 1)
        failed.push(
          `${again} ${outcome.attack}: damage is ${outcome.worst.toFixed(2)} times what B5 allows`,
        );
    }
    const all = [...byAttack.values()];
    const total = (of: 'runs' | 'convictions' | 'faults' | 'violations'): number =>
      all.reduce((sum, one) => sum + one[of], 0);
    console.log(
      `P0: ${total('runs')} runs, ${(virtualUs / SECOND).toFixed(0)} s of virtual time, ` +
        `${total('convictions')} convictions, ${total('faults')} faults, ${total('violations')} ` +
        'violations; ' +
        `worst damage ${(100 * worst).toFixed(2)} % of B5; runs/convictions/faults/violations by ` +
        'attack: ' +
        [...byAttack]
          .map(
            ([name, one]) =>
              `${name} ${one.runs}/${one.convictions}/${one.faults}/${one.violations}`,
          )
          .join(', '),
    );
    expect(failed).toEqual([]);
    // Or the judge has nothing to judge.
    if (RUNS >= ATTACKS.length && ONLY === undefined)
      expect(total('convictions')).toBeGreaterThan(RUNS / 4);
  });
});

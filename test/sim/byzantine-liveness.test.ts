/**
 * The promise of the router: as long as honest nodes join source and destination, they communicate,
 * whatever the others do. 50 nodes, up to 24 adversaries that conspire, secure mode, reliable
 * links: after convergence at least 99 % arrive.
 *
 * SPINES_LONG=1 runs every attack, SPINES_SWARM=n so many seeds, SPINES_SWARM_FIRST=s from there.
 * Each prints how long convergence took and what was lost until then.
 */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../src/core/base/rng.ts';
import { SECOND } from '../../src/core/base/time.ts';
import { SERVICE_RELIABLE } from '../../src/core/wire/packet.ts';
import {
  AdversaryLab,
  joinedWithout,
  modeOf,
  randomEdges,
  type Edge,
} from '../support/adversary-lab.ts';

const NODES = 50,
  MOST = 24,
  RATE = 50;
/** Convergence must come within this, and then hold for that. */
const PATIENCE = 120,
  HOLD = 10;

/** Those that keep a source from its destination, each in a way of its own. */
const SHORT = ['black-hole', 'corrupt-onion', 'super-wormhole', 'anything'];
const ALL = [
  ...SHORT,
  'grey-hole:0.4',
  'selective:200',
  'drop-acks',
  'drop-routes',
  'delay:400ms',
  'rush',
  'wormhole',
  'hop-deletion',
  'forge-path',
  'bad-key',
  'staircase',
  'corrupt-data',
  'corrupt-acks',
  'fake-ack',
  'replay-ack',
  'replay-data',
  'reorder:500ms',
  'slack-burning',
  'lie-hold',
  'signature-flood',
  'request-storm:50',
  'hostile-weights',
  'probe-exhaustion:200',
  'good-bad-cycle',
  'dynamic',
  'greedy',
];
const LEAST = 0.99;
const LONG = process.env['SPINES_LONG'] === '1';
const FIRST = Number(process.env['SPINES_SWARM_FIRST'] ?? 1);
const SEEDS = Math.max(
  1,
  Number(process.env['SPINES_SWARM'] ?? (LONG ? ALL.length : SHORT.length)),
);
const ATTACKS = LONG ? ALL : SHORT;

interface Scene {
  readonly edges: readonly Edge[];
  readonly bad: readonly number[];
  readonly from: number;
  readonly to: number;
}

/** Who could be bad without parting the two ends, in an order of which any beginning will do. */
function sceneOf(rng: Rng): Scene {
  for (;;) {
    const edges = randomEdges(NODES, 70 + rng.below(40), rng, 10);
    const order = rng.shuffle(Array.from({ length: NODES }, (_, i) => i));
    const [from, to] = [order[0]!, order[1]!];
    const bad = order.slice(2, 2 + 8 + rng.below(MOST - 7));
    const linked = edges.some(({ a, b }) => (a === from && b === to) || (a === to && b === from));
    if (!linked && joinedWithout(edges, from, to, new Set(bad))) return { edges, bad, from, to };
  }
}

/**
 * One of them for each node in the middle of the path that is in use, unless the ends would be
 * parted.
 */
function onThePath({ edges, bad, from, to }: Scene, path: readonly number[]): number[] {
  const placed = [...bad];
  for (const index of path.slice(1, -1)) {
    if (placed.includes(index)) continue;
    const moved = [index, ...placed.slice(0, -1)];
    if (joinedWithout(edges, from, to, new Set(moved))) placed.splice(0, placed.length, ...moved);
  }
  return placed;
}

interface Outcome {
  readonly attack: string;
  readonly adversaries: number;
  readonly seconds: number | null;
  readonly lost: number;
  readonly convictions: number;
  readonly after: number;
  readonly violations: readonly string[];
}

function run(seed: number, attack: string): Outcome {
  const rng = new Rng(seed).fork('liveness');
  const scene = sceneOf(rng);
  const { edges, from, to } = scene;
  const lab = new AdversaryLab({
    seed,
    nodes: NODES,
    edges,
    options: modeOf('secure'),
    settleUs: 2 * SECOND,
  });
  const one = lab.flow(from, to, RATE, SERVICE_RELIABLE);
  lab.run(SECOND);
  const path = [...lab.host(from).node.byzantine!.flows()][0]!.main!.path.nodes;
  const bad = onThePath(
    scene,
    path.map((id) => lab.world.hosts.findIndex((host) => host.id === id)),
  );
  for (const index of bad) lab.colluders.set(lab.host(index), attack);
  // Of each second: sent and delivered by then. Converged: a stretch of HOLD seconds in which
  // enough arrive.
  const sent = [one.flow.sent],
    delivered = [one.flow.meter.delivered];
  const outcome = { attack, adversaries: bad.length };
  for (let second = 1; second <= PATIENCE + HOLD; second += 1) {
    lab.run(SECOND);
    sent.push(one.flow.sent);
    delivered.push(one.flow.meter.delivered);
    const from = second - HOLD;
    if (from < 0) continue;
    const after = (delivered[second]! - delivered[from]!) / (sent[second]! - sent[from]!);
    if (after >= LEAST)
      return {
        ...outcome,
        seconds: from,
        lost: sent[from]! - delivered[from]!,
        convictions: lab.convictions.length,
        after: Math.min(1, after),
        violations: lab.violations,
      };
  }
  return {
    ...outcome,
    seconds: null,
    lost: sent.at(-1)! - delivered.at(-1)!,
    convictions: lab.convictions.length,
    after: 0,
    violations: lab.violations,
  };
}

describe('whatever adversaries do', () => {
  test(`source and destination communicate: ${SEEDS} runs from ${FIRST}`, {
    timeout: Math.max(120_000, SEEDS * 60_000),
  }, () => {
    const failed: string[] = [],
      rows: string[] = [];
    for (let seed = FIRST; seed < FIRST + SEEDS; seed += 1) {
      const outcome = run(seed, ATTACKS[(seed - 1) % ATTACKS.length]!);
      const { attack, adversaries, seconds, lost, convictions, after } = outcome;
      rows.push(
        `seed ${seed}, ${adversaries} x ${attack}: ` +
          `${seconds === null ? 'never' : `converged after ${seconds} s`}, ${lost} lost until ` +
          `then, ${convictions} convictions, then ${(100 * after).toFixed(1)} %`,
      );
      if (seconds === null)
        failed.push(
          `${LONG ? 'SPINES_LONG=1 ' : ''}SPINES_SWARM=1 SPINES_SWARM_FIRST=${seed} ${attack}: ` +
            `not converged within ${PATIENCE} s`,
        );
      for (const violation of outcome.violations)
        failed.push(`seed ${seed} ${attack}: ${violation}`);
    }
    console.log(`${RATE} packets a second among ${NODES} nodes:\n  ${rows.join('\n  ')}`);
    expect(failed).toEqual([]);
  });
});

/**
 * One operator has most of the network: 20 of 24 certificates, of nodes that conspire, linked to
 * the honest ones. Source and destination are joined by two honest nodes in a row, and by nothing
 * else that is honest. What is sent arrives once the source has found that path, 99 % and more, and
 * flows between honest neighbours don't notice.
 *
 * SPINES_LONG=1: every attack, by all twenty; SPINES_SWARM_FIRST=s: another network.
 */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../src/core/base/rng.ts';
import { MILLISECOND as MS, SECOND } from '../../src/core/base/time.ts';
import { SERVICE_BEST_EFFORT, SERVICE_RELIABLE } from '../../src/core/wire/packet.ts';
import { AdversaryLab, joinedWithout, modeOf, type Edge } from '../support/adversary-lab.ts';

const NODES = 24,
  HONEST = 4,
  RATE = 50;
const SOURCE = 0,
  FIRST_RELAY = 1,
  SECOND_RELAY = 2,
  DESTINATION = 3;
const PATIENCE = 120,
  HOLD = 6,
  LEAST = 0.99;
const SEED = Number(process.env['SPINES_SWARM_FIRST'] ?? 1);

const EACH = [
  'black-hole',
  'grey-hole:0.4',
  'corrupt-onion',
  'drop-acks',
  'drop-routes',
  'super-wormhole',
  'forge-path',
  'hop-deletion',
  'bad-key',
  'rush',
  'staircase',
  'corrupt-data',
  'fake-ack',
  'replay-data',
  'reorder:500ms',
  'lie-hold',
  'signature-flood:50',
  'hostile-weights',
  'good-bad-cycle',
  'greedy',
  'dynamic',
  'anything',
  'forged-sources:60',
  'forged-paths:60',
  'probe-exhaustion:20',
  'request-storm:20',
] as const;
/** What each of the twenty does, by its number. */
const MIXED = 'each in a way of its own';
const CASES = process.env['SPINES_LONG'] === '1' ? [MIXED, ...EACH] : [MIXED];

/**
 * The honest in a row; twenty others, each linked to a few of its like and to one of the honest or
 * to both ends: all shorter ways are theirs.
 */
function edgesOf(rng: Rng): Edge[] {
  const edges: Edge[] = [
    [SOURCE, FIRST_RELAY],
    [FIRST_RELAY, SECOND_RELAY],
    [SECOND_RELAY, DESTINATION],
  ].map(([a, b]) => ({ a: a!, b: b!, latencyUs: 12 * MS, bandwidthKbps: 20_000 }));
  const joined = new Set(edges.map(({ a, b }) => a * NODES + b));
  const join = (a: number, b: number): void => {
    const [low, high] = [Math.min(a, b), Math.max(a, b)];
    if (a === b || joined.has(low * NODES + high)) return;
    joined.add(low * NODES + high);
    edges.push({ a: low, b: high, latencyUs: (1 + rng.below(8)) * MS, bandwidthKbps: 20_000 });
  };
  for (let bad = HONEST; bad < NODES; bad += 1) {
    if (bad > HONEST) join(bad, HONEST + rng.below(bad - HONEST));
    for (const end of bad % 3 === 0 ? [SOURCE, DESTINATION] : [bad % HONEST]) join(bad, end);
    join(bad, HONEST + rng.below(NODES - HONEST));
  }
  return edges;
}

describe.each(CASES)('twenty nodes of one operator: %s', (attack) => {
  test('what is sent between honest nodes arrives', { timeout: 600_000 }, () => {
    const rng = new Rng(SEED).fork('one operator'),
      edges = edgesOf(rng);
    const bad = new Set(Array.from({ length: NODES - HONEST }, (_, i) => HONEST + i));
    expect(joinedWithout(edges, SOURCE, DESTINATION, bad)).toBe(true);
    const lab = new AdversaryLab({
      seed: SEED,
      nodes: NODES,
      edges,
      options: modeOf('secure'),
      settleUs: 2 * SECOND,
    });
    for (const index of bad)
      lab.colluders.set(
        lab.host(index),
        attack === MIXED ? EACH[(index - HONEST) % EACH.length]! : attack,
      );
    const { flow } = lab.flow(SOURCE, DESTINATION, RATE, SERVICE_RELIABLE);
    const beside = lab.flow(FIRST_RELAY, SECOND_RELAY, RATE, SERVICE_RELIABLE).flow;
    const last = lab.flow(SECOND_RELAY, DESTINATION, RATE, SERVICE_BEST_EFFORT).flow;
    const sent = [0],
      delivered = [0];
    let converged: number | null = null;
    for (let second = 1; second <= PATIENCE + HOLD && converged === null; second += 1) {
      lab.run(SECOND);
      sent.push(flow.sent);
      delivered.push(flow.meter.delivered);
      const from = second - HOLD;
      if (
        from >= 0 &&
        delivered[second]! - delivered[from]! >= LEAST * (sent[second]! - sent[from]!)
      )
        converged = from;
    }
    console.log(
      `${attack}: converged after ${converged} s, ` +
        `${sent[converged ?? 0]! - delivered[converged ?? 0]!} of ${sent[converged ?? 0]} lost ` +
        `until then, ${lab.convictions.length} convictions; ` +
        `others ${beside.meter.delivered} of ${beside.sent}, ${last.meter.delivered} of ` +
        `${last.sent}`,
    );
    expect(converged).not.toBeNull();
    // Or nobody was in the way.
    if (attack === MIXED) expect(lab.convictions.length).toBeGreaterThan(0);
    expect(lab.violations).toEqual([]);
    // All but what is under way.
    for (const other of [beside, last])
      expect((other.meter.delivered + 2) / other.sent).toBeGreaterThanOrEqual(LEAST);
  });
});

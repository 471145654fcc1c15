/**
 * B1 and B2 in whole daemons: a node that drops all data on a path of n links is found after at
 * most ceil(log2 n) + 1 faults by halves, 2 when all nodes are probed (Awerbuch, Holmer,
 * Nita-Rotaru and Rubens, WiSe 2002, section 5), and what is lost until then is what makes the
 * faults and what was under way.
 *
 * SPINES_LONG=1: all n from 1 to 32 and a middle, first and last place for the adversary. Prints a
 * row for each.
 */

import { describe, expect, test } from 'vitest';

import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import { rangeOf } from '../../src/core/byzantine/bounds.ts';
import { faultLosses } from '../../src/core/byzantine/options.ts';
import { LATENCY_UNIT_US } from '../../src/core/wire/link-state.ts';
import { SERVICE_BEST_EFFORT } from '../../src/core/wire/packet.ts';
import { AdversaryLab, modeOf, type Edge } from '../support/adversary-lab.ts';

const LONG = process.env['SPINES_LONG'] === '1';
const LENGTHS = LONG ? Array.from({ length: 32 }, (_, i) => i + 1) : [1, 2, 3, 4, 5, 8, 16, 17, 32];
const LATENCY = 2 * MILLISECOND,
  RATE = 100;
/**
 * Of messages: one packet each, and as long as one overlay packet takes, which is three where all
 * 32 nodes are probed.
 */
const SIZE = 400,
  SIZE_LONGEST = 1_360,
  PIECES = 3;

interface Found {
  readonly faults: number;
  readonly lost: number;
  readonly most: number;
  readonly right: boolean;
  readonly missed: number;
}

/**
 * A line of n links, with a twin of the node at `place`: the one on the path turns bad, the other
 * is the alternative.
 */
function search(
  mode: 'paper' | 'secure',
  n: number,
  place: number,
  size = SIZE,
  pieces = 1,
): Found {
  const options = modeOf(mode);
  const edges: Edge[] = Array.from({ length: n }, (_, i) => ({
    a: i,
    b: i + 1,
    latencyUs: LATENCY,
  }));
  const twin = n + 1;
  // Of a path of one link both ends are honest: the wire itself drops what is long, and the way
  // round has two links.
  if (n === 1)
    edges.push({ a: 0, b: twin, latencyUs: LATENCY }, { a: twin, b: 1, latencyUs: LATENCY });
  else
    edges.push(
      { a: place - 1, b: twin, latencyUs: LATENCY },
      { a: twin, b: place + 1, latencyUs: LATENCY },
    );
  let eats = false;
  const lab = new AdversaryLab({
    seed: n,
    nodes: n + 2,
    edges,
    options,
    settleUs: 2 * SECOND,
    onArrival: ({ from, to }, bytes) =>
      !(eats && n === 1 && from.index === 0 && to.index === 1 && bytes.length > size),
  });
  const one = lab.flow(0, n, RATE, SERVICE_BEST_EFFORT, 60 * SECOND, size);
  const timerAtFirst = timerOf(
    lab,
    Array.from({ length: n + 1 }, (_, i) => lab.host(i).id),
  );
  lab.run(3 * SECOND, 100 * MILLISECOND);
  const router = lab.host(0).node.byzantine!;
  const [flow] = [...router.flows()];
  const path = flow!.main!.path.nodes;
  expect(path, 'a path of n links is in use').toHaveLength(n + 1);
  expect(lab.damageOf(one).lost).toBe(0);
  // The timer of what is sent on it: made of what the link state said when the path came into use,
  // or says when its probes change.
  const timerUs = Math.max(timerAtFirst, timerOf(lab, path));
  if (n === 1) eats = true;
  else {
    const bad = lab.world.hosts.find(({ id }) => id === path[place])!;
    lab.colluders.set(bad, 'black-hole');
  }
  for (let steps = 0; steps < 600 && router.convictions.length === 0; steps += 1)
    lab.run(100 * MILLISECOND, 100 * MILLISECOND);
  const [conviction] = router.convictions;
  const right =
    n === 1 ||
    (conviction !== undefined &&
      (lab.colluders.has(conviction.u) || lab.colluders.has(conviction.v)));
  const { lost } = lab.damageOf(one);
  // B2: each fault costs b losses and what was sent while the timer of the first of them ran, which
  // itself is one more. The one that convicts is counted as a conviction.
  const faults = flow!.faults + flow!.convictions;
  const most =
    faults *
    (faultLosses(options.windowPackets, options.tolerance) +
      Math.ceil((RATE * pieces * timerUs) / SECOND) +
      pieces);
  // The flow goes on by the other way; after a second conviction where that is as heavy as a link
  // convicted once.
  let inSecond = 0;
  for (let seconds = 0; seconds < 10 && inSecond < RATE; seconds += 1) {
    const { delivered } = one.flow.meter;
    lab.run(SECOND);
    inSecond = one.flow.meter.delivered - delivered;
  }
  expect(inSecond, 'the flow goes on').toBe(RATE);
  return { faults, lost, most, right, missed: one.flow.sent - one.flow.meter.delivered };
}

/** How long the fate of a packet on `path` may be open. */
function timerOf(lab: AdversaryLab, path: readonly number[]): number {
  const { database } = lab.host(0).node.router;
  const said = (x: number, y: number): number =>
    (database.get(x)?.advertisement.links.find((link) => link.node === y)?.latency ?? 0) *
    LATENCY_UNIT_US;
  let sum = 0;
  for (let i = 1; i < path.length; i += 1)
    sum +=
      rangeOf(Math.max(said(path[i - 1]!, path[i]!), said(path[i]!, path[i - 1]!)), false, i === 1)
        .mostUs +
      5 * MILLISECOND;
  return sum;
}

describe.each(['paper', 'secure'] as const)('a black hole in %s mode', (mode) => {
  test('is found within B1, at the cost of B2', { timeout: LONG ? 900_000 : 60_000 }, () => {
    const rows: string[] = [];
    for (const n of LENGTHS) {
      const places = n < 3 ? [1] : LONG ? [1, n >> 1, n - 1] : [1 + ((n * 7) % (n - 1))];
      for (const place of places) {
        const halves = Math.ceil(Math.log2(n)) + 1;
        const bound =
          mode === 'secure' && n <= modeOf(mode).fullProbingHops ? Math.min(2, halves) : halves;
        const found = search(mode, n, place);
        rows.push(
          `n ${n}, adversary at ${place}: ${found.faults} faults (at most ${bound}), ` +
            `${found.lost} unacknowledged (at most ${found.most}), ${found.missed} never delivered`,
        );
        expect(found.right, `n ${n}: the convicted link is one of the adversary's`).toBe(true);
        expect(found.faults, `n ${n}: faults`).toBeGreaterThanOrEqual(1);
        expect(found.faults, `n ${n}: faults`).toBeLessThanOrEqual(bound);
        expect(found.lost, `n ${n}: losses`).toBeLessThanOrEqual(found.most);
      }
    }
    console.log(
      `${mode} mode, ${RATE} packets a second, links of ${LATENCY / MILLISECOND} ms:\n  ` +
        `${rows.join('\n  ')}`,
    );
  });
});

test(
  'the longest messages on the longest path, ' +
    'where one travels in three pieces, cost two faults as well',
  () => {
    const found = search('secure', 32, 16, SIZE_LONGEST, PIECES);
    console.log(
      `secure mode, messages of ${SIZE_LONGEST} B: ${found.faults} faults (at most 2), ` +
        `${found.lost} unacknowledged (at most ${found.most}), ${found.missed} never delivered`,
    );
    expect(found.right, "the convicted link is one of the adversary's").toBe(true);
    expect(found.faults).toBe(2);
    expect(found.lost).toBeLessThanOrEqual(found.most);
  },
);

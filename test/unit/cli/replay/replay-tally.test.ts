/** Link counters of a real-time replay: baselines, crashes, both ends. */

import type { LinkRow } from 'spines-client';
import { expect, it } from 'vitest';

import { LinkTally } from '../../../../src/cli/replay/replay-tally.ts';
import { parseTopology } from '../../../../src/lab/topology/topology-parse.ts';

const topology = parseTopology(
  'name: t\nduration: 1s\nnodes: [a, b, c]\nlinks: [{between: [a, b]}, {between: [c, b]}]\n',
  't.yaml',
);

/** `peer` as the port of the row's address. */
function row(peer: number, datagrams: number, dropped = 0): LinkRow {
  return {
    node: null,
    name: null,
    address: `127.0.0.1:${peer}`,
    state: 'up',
    sinceMs: 0,
    dialled: true,
    rttMs: 1,
    lossOutPct: 0,
    lossInPct: 0,
    cost: 1,
    sent: { datagrams, bytes: datagrams * 100 },
    received: { datagrams: 0, bytes: 0 },
    retransmitted: 0,
    dropped,
    queueBytes: 0,
    congestion: 'newreno',
    windowBytes: 14_800,
    inFlightBytes: 0,
    size: null,
    seal: null,
    emulated: null,
  };
}
const peerOf = (link: LinkRow): number | null => {
  const peer = Number(link.address.split(':')[1]);
  return peer < 3 ? peer : null;
};

it('adds up both ends from the baseline on', () => {
  const tally = new LinkTally(topology);
  tally.update(0, [row(1, 100)], peerOf, true);
  tally.update(1, [row(0, 50), row(2, 7), row(9, 1_000)], peerOf, true);
  tally.update(2, [], peerOf, true);
  tally.update(0, [row(1, 110, 2)], peerOf, false);
  tally.update(1, [row(0, 55, 1), row(2, 8)], peerOf, false);
  tally.update(2, [row(1, 30)], peerOf, false);
  expect(tally.report()).toEqual([
    { a: 'a', b: 'b', datagrams: 15, bytes: 1_500, retransmitted: 0, dropped: 3 },
    { a: 'c', b: 'b', datagrams: 31, bytes: 3_100, retransmitted: 0, dropped: 0 },
  ]);
});

it('keeps what a daemon had counted when it crashed, and counts its next life from zero', () => {
  const tally = new LinkTally(topology);
  tally.update(0, [row(1, 100)], peerOf, true);
  tally.update(0, [row(1, 140)], peerOf, false);
  tally.onCrash(0);
  tally.update(0, [row(1, 150)], peerOf, false);
  tally.onRestart(0);
  tally.update(0, [row(1, 5)], peerOf, false);
  expect(tally.report()[0]).toMatchObject({ datagrams: 45 });
});

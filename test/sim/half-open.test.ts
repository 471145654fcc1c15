/**
 * Made-up callers: an insider opens streams in the names of nodes that do not exist, or of few that
 * do, as fast as it likes. Listeners stay open to whoever proves its source, and to who calls over
 * another link.
 */

import { describe, expect, test } from 'vitest';

import { putU32 } from '../../src/core/base/bytes.ts';
import { MILLISECOND as MS, SECOND } from '../../src/core/base/time.ts';
import {
  DISSEMINATION_BYZANTINE,
  DISSEMINATION_LINK_STATE,
  KIND_STREAM,
  Packet,
  SERVICE_BEST_EFFORT,
  SERVICE_RELIABLE,
  TTL_DEFAULT,
} from '../../src/core/wire/packet.ts';
import {
  Segment,
  SEGMENT_HEAD_BYTES,
  SEGMENT_SYN,
  SYN_BYTES,
} from '../../src/core/wire/segment.ts';
import { OVERLAY_HEADER_BYTES } from '../../src/core/wire/sizes.ts';
import { AdversaryLab, modeOf, type Edge } from '../support/adversary-lab.ts';

const CALLER = 0,
  LISTENER = 1,
  INSIDER = 4,
  PORT = 80;
/**
 * Two ways from caller to listener, and an insider beside one of them, on no path between the two.
 */
const EDGES: Edge[] = (
  [
    [0, 2],
    [2, 1],
    [0, 3],
    [3, 1],
    [4, 2],
  ] as const
).map(([a, b]) => ({ a, b, latencyUs: 3 * MS }));

function flooded(
  perSecond: number,
  sources: number,
  dissemination: number,
): { opened: number; failed: string[]; halfOpen: number } {
  const lab = new AdversaryLab({
    seed: 1,
    nodes: 5,
    edges: EDGES,
    options: modeOf('secure'),
    secrecy: 'links',
  });
  const [caller, listener, insider] = [lab.host(CALLER), lab.host(LISTENER), lab.host(INSIDER)];
  const reader = { onOpen() {}, onReadable() {}, onSpace() {}, onClosed() {} };
  listener.node.streams.listen(PORT, 0, (port) => ({ port, onAccept: () => reader }));
  let calls = 0;
  const flood = (): void => {
    const segment = new Segment(),
      packet = new Packet(),
      length = OVERLAY_HEADER_BYTES + SEGMENT_HEAD_BYTES + SYN_BYTES,
      b = new Uint8Array(length);
    segment.flags = SEGMENT_SYN;
    segment.window = 65_536;
    calls += 1;
    putU32(b, segment.encode(b, OVERLAY_HEADER_BYTES), calls);
    const modes = {
      service: SERVICE_BEST_EFFORT,
      dissemination: DISSEMINATION_LINK_STATE,
      ttl: TTL_DEFAULT,
      priority: 1,
    };
    packet.compose(
      b,
      0,
      length,
      KIND_STREAM,
      modes,
      0x0a00_0064 + (calls % sources),
      1_024 + (calls % 60_000),
      listener.id,
      PORT,
    );
    insider.node.router.nextHop(listener.id)!.offer(packet);
    insider.endTurn();
    lab.world.schedule(lab.world.now() + Math.round(SECOND / perSecond), flood);
  };
  flood();
  lab.run(8 * SECOND);
  const failed: string[] = [];
  let opened = 0;
  const options = {
    service: SERVICE_RELIABLE,
    dissemination,
    ttl: TTL_DEFAULT,
    priority: 1,
    congestion: 'newreno' as const,
  };
  for (let i = 0; i < 6; i += 1) {
    caller.node.streams.connect(
      listener.id,
      PORT,
      0,
      {
        ...reader,
        onOpen() {
          opened += 1;
        },
        onClosed(_stream, error) {
          failed.push(String(error));
        },
      },
      options,
    );
    caller.endTurn();
    lab.run(2 * SECOND);
  }
  return { opened, failed, halfOpen: listener.node.streams.halfOpen };
}

describe.each([
  [200, 200],
  [1_000, 200],
  [1_000, 3],
])('%i calls a second in the names of %i', (perSecond, sources) => {
  test('keep out nobody who proves its source', () => {
    const { opened, failed, halfOpen } = flooded(perSecond, sources, DISSEMINATION_BYZANTINE);
    expect([opened, failed]).toEqual([6, []]);
    // Of claimed sources a listener keeps fewer than of proved ones.
    expect(halfOpen).toBeLessThanOrEqual(128);
  });
});

test.each([100, 200, 500])('%i calls of one program at once are all answered at once', (calls) => {
  const lab = new AdversaryLab({
    seed: 2,
    nodes: 5,
    edges: EDGES.map((edge) => ({ ...edge, latencyUs: 30 * MS })),
    options: modeOf('secure'),
  });
  const [caller, listener] = [lab.host(CALLER), lab.host(LISTENER)];
  const reader = { onOpen() {}, onReadable() {}, onSpace() {}, onClosed() {} };
  listener.node.streams.listen(PORT, 0, (port) => ({ port, onAccept: () => reader }));
  const opened: number[] = [],
    failed: string[] = [];
  const call = (): void => {
    const began = lab.world.now();
    caller.node.streams.connect(
      listener.id,
      PORT,
      0,
      {
        ...reader,
        onOpen: () => opened.push(lab.world.now() - began),
        onClosed: (_stream, error) => failed.push(String(error)),
      },
      {
        service: SERVICE_RELIABLE,
        dissemination: DISSEMINATION_LINK_STATE,
        ttl: TTL_DEFAULT,
        priority: 1,
        congestion: 'newreno',
      },
    );
  };
  lab.run(5 * SECOND);
  call();
  caller.endTurn();
  lab.run(SECOND);
  for (let i = 1; i < calls; i += 1) call();
  caller.endTurn();
  lab.run(20 * SECOND);
  expect([opened.length, failed]).toEqual([calls, []]);
  // A round trip is 120 ms.
  expect(Math.max(...opened) / MS).toBeLessThan(600);
});

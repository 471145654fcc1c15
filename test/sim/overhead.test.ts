/**
 * What a saturated link carries for applications, beside what TCP would carry on it: 1448 of every
 * 1500 bytes (paper section 4).
 *
 * One link of 10 ms, IP bytes, hellos, acks and link state running, messages and segments that fill
 * a datagram. Forward goodput is judged; traffic the other way is printed.
 */

import { expect, test } from 'vitest';
import { SECOND } from '../../src/core/base/time.ts';
import { changeDirection, defaultDirection } from '../../src/core/emulation/link-settings.ts';
import type { DatagramOwner, DatagramSession } from '../../src/core/session/sessions.ts';
import type { Secrecy } from '../../src/core/session/secrecy.ts';
import type { Stream } from '../../src/core/session/stream.ts';
import { World, type SimHost } from '../../src/lab/sim/world.ts';
import { SERVICE_BEST_EFFORT, SERVICE_RELIABLE } from '../../src/core/wire/packet.ts';
import { SEALED_PAYLOAD_BYTES_MAX } from '../../src/core/wire/sealed-packet.ts';
import { PAYLOAD_BYTES_MAX } from '../../src/core/wire/sizes.ts';
import { SEQUENCED_HEAD_BYTES } from '../../src/core/wire/sequenced.ts';

type Way = 'best effort' | 'reliable link' | 'reliable link and stream';

/** What a best-effort packet of the largest payload costs in IP bytes. */
const FULL_PACKET_BYTES = PAYLOAD_BYTES_MAX + 16 + 3 + 12 + 28;

/**
 * Makes `from` send to `to` as much as the link takes; returns how to read the bytes that arrived.
 */
function saturate(
  world: World,
  from: SimHost,
  to: SimHost,
  way: Way,
  kbps: number,
  secrecy: Secrecy,
): () => number {
  let arrived = 0;
  if (way === 'reliable link and stream') {
    const write = (stream: Stream): void => {
      const chunk = new Uint8Array(65_536);
      while (stream.space > 0) stream.write(chunk, 0, Math.min(chunk.length, stream.space));
    };
    const read = (stream: Stream): void => {
      while (stream.receiver.readyBytes > 0) {
        const count = stream.front().length;
        arrived += count;
        stream.take(count);
      }
    };
    to.node.streams.listen(7, 0, (port) => ({
      port,
      onAccept: () => ({ onOpen() {}, onReadable: read, onSpace() {}, onClosed() {} }),
    }));
    const options = {
      service: SERVICE_RELIABLE,
      dissemination: 0,
      ttl: 64,
      priority: 1,
      congestion: 'newreno',
    } as const;
    from.node.streams.connect(
      to.id,
      7,
      0,
      { onOpen: write, onReadable() {}, onSpace: write, onClosed() {} },
      options,
    );
    from.endTurn();
    return () => arrived;
  }
  const reliable = way === 'reliable link';
  const message = new Uint8Array(
    secrecy === 'end-to-end'
      ? SEALED_PAYLOAD_BYTES_MAX
      : reliable
        ? PAYLOAD_BYTES_MAX - SEQUENCED_HEAD_BYTES
        : PAYLOAD_BYTES_MAX,
  );
  const owner: DatagramOwner = {
    onMessage: (_session, _node, _port, _bytes, start, end) => {
      arrived += end - start;
      return true;
    },
    onWritable: (session) => fill(session),
  };
  const fill = (session: DatagramSession): void => {
    while (
      !session.blocked &&
      from.node.sessions.send(session, to.id, 7, message, 0, message.length) === 0
    );
  };
  to.node.sessions.bind(to.node.sessions.open(owner), 7);
  const session = from.node.sessions.open(owner, {
    service: reliable ? SERVICE_RELIABLE : SERVICE_BEST_EFFORT,
  });
  if (reliable) fill(session);
  else {
    // A hundredth more than the link carries.
    const periodUs = (FULL_PACKET_BYTES * 8_000) / kbps / 1.01;
    let due = world.now();
    const tick = (): void => {
      from.node.sessions.send(session, to.id, 7, message, 0, message.length);
      from.endTurn();
      due += periodUs;
      world.schedule(Math.round(due), tick);
    };
    tick();
  }
  from.endTurn();
  return () => arrived;
}

test.each([
  ['best effort', 'links', 2.3, 'newreno'],
  ['reliable link', 'links', 3.5, 'newreno'],
  ['reliable link', 'links', 3.5, 'bbr'],
  ['reliable link and stream', 'links', 5.7, 'newreno'],
  ['best effort', 'end-to-end', 4.3, 'newreno'],
  ['reliable link', 'end-to-end', 4.8, 'newreno'],
  ['reliable link and stream', 'end-to-end', 7.7, 'newreno'],
] as const)(
  '%s, secrecy %s, carries at most %f percent less than TCP would, from 0.5 to 100 Mbit/s, %s',
  (way, secrecy, mostLess, congestion) => {
    for (const kbps of [500, 1_000, 10_000, 100_000]) {
      const world = new World({ seed: 5 });
      const [a, b] = [
        world.addHost(0x0a000001, 'a', { congestion, secrecy }),
        world.addHost(0x0a000002, 'b', { congestion, secrecy }),
      ];
      const wire = changeDirection(defaultDirection(), { latencyUs: 10_000, bandwidthKbps: kbps });
      world.connect(a, b, wire, wire);
      a.start();
      b.start();
      world.runFor(2 * SECOND);
      const arrived = saturate(world, a, b, way, kbps, secrecy);
      world.runFor(5 * SECOND);
      const seconds = kbps > 10_000 ? 10 : 60;
      const [before, backBefore] = [arrived(), world.wires[1]!.ipBytes];
      world.runFor(seconds * SECOND);
      const goodput = ((arrived() - before) * 8) / seconds / 1_000;
      const back = ((world.wires[1]!.ipBytes - backBefore) * 8) / seconds / 1_000;
      const less = 100 - (100 * goodput) / ((kbps * 1_448) / 1_500);
      console.log(
        `${way}, ${secrecy}, ${kbps / 1_000} Mbit/s: ${less.toFixed(2)} % less than TCP; ` +
          `${((100 * back) / kbps).toFixed(2)} % of the link in the other direction`,
      );
      expect(less, `${kbps} kbit/s`).toBeLessThanOrEqual(mostLess);
      expect(less, `${kbps} kbit/s`).toBeGreaterThan(0);
    }
  },
);

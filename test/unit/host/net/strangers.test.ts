/**
 * What strangers send waits in a queue of its own, made by the kernel (strangers-filter.ts):
 * however much it is, what links bring arrives. Real sockets on loopback; skipped where koffi is
 * not installed.
 */

import { createSocket } from 'node:dgram';
import { afterEach, describe, expect, test } from 'vitest';

import { makeEndpoint } from '../../../../src/core/base/datagram.ts';
import { drawIndexMark } from '../../../../src/core/base/index-mark.ts';
import { Draws } from '../../../../src/core/base/draws.ts';
import { loadOffload, type Offload } from '../../../../src/host/net/offload.ts';
import { secureRandom } from '../../../../src/host/primitives/secure-random.ts';
import { UdpSink } from '../../../../src/host/net/udp.ts';
import { ReceiverIndices } from '../../../../src/core/link/receiver-indices.ts';
import {
  DATAGRAM_COOKIE,
  DATAGRAM_INIT,
  DATAGRAM_KEY_REQUEST,
  DATAGRAM_SEALED_DATA,
  DATAGRAM_SEALED_INIT,
  DATAGRAM_SEALED_RESPONSE,
  encodeDatagramHeader,
} from '../../../../src/core/wire/datagram-header.ts';

/** More than any queue of the kernel holds. */
const FLOOD = 12_000;
const BYTES = 441;
const GENUINE = 20;
const MARK = drawIndexMark(0x1234_5678);
const marked = (low: number): number => MARK.value | low;

let open: UdpSink[] = [];
afterEach(async () => {
  await Promise.all(open.map((sink) => sink.close()));
  open = [];
});

async function sinkAt(
  addresses: readonly string[],
  by: Offload | null,
  onDatagram: (bytes: Uint8Array) => void,
  { port = 0, mark = true } = {},
): Promise<UdpSink> {
  const sink = new UdpSink(
    {
      onRead: () => {},
      onDatagram: (bytes) => {
        onDatagram(bytes);
        return true;
      },
      onDropped: () => {},
      onRefused: () => {},
      onTooLong: () => {},
      onWritable: () => {},
      onError: () => {},
    },
    by,
    mark ? MARK : null,
  );
  open.push(sink);
  await sink.open(addresses.map((address) => ({ address, port })));
  return sink;
}

function datagram(type: number, receiver: number, number: number, length = BYTES): Uint8Array {
  const bytes = new Uint8Array(Math.max(length, 12)).fill(7);
  encodeDatagramHeader(type, receiver, number, bytes);
  return bytes.subarray(0, length);
}

const FLOODS: Record<string, (i: number) => Uint8Array> = {
  INITs: (i) => datagram(DATAGRAM_SEALED_INIT, i, 0),
  'INITs that name an index of ours': (i) => datagram(DATAGRAM_SEALED_INIT, marked(i & 0xffff), 0),
  'INITs of links that are not sealed': (i) => datagram(DATAGRAM_INIT, marked(i & 0xffff), 0),
  'questions for the key': (i) => datagram(DATAGRAM_KEY_REQUEST, marked(i & 0xffff), 0),
  'data for no index of ours': (i) =>
    datagram(DATAGRAM_SEALED_DATA, (MARK.value ^ 0x0800_0000) | (i & 0xffff), i),
  'data for indices above all that are drawn': (i) =>
    datagram(DATAGRAM_SEALED_DATA, (marked(i & 0xffff) | 0x8000_0000) >>> 0, i),
  'less than a header': () => datagram(DATAGRAM_SEALED_DATA, MARK.value, 0, 5),
};

const batched = loadOffload(),
  single = loadOffload(false);

/** Where the daemon listens, what floods come to, and with or without offload. */
const PLACES: readonly (readonly [listen: readonly string[], at: string, by: Offload | null])[] = [
  [['127.0.0.1'], '127.0.0.1', batched],
  [['::1'], '::1', single],
  [['127.0.0.1', '127.0.0.2', '::1'], '127.0.0.2', single],
  [['0.0.0.0'], '127.0.0.1', batched],
  [['::'], '::1', batched],
  // An address for which a wildcard has no socket of its own.
  [['0.0.0.0'], '127.0.0.3', single],
];

describe.skipIf(batched === null)('what strangers send', () => {
  /**
   * All of the flood is sent before anything is read; then what links bring, part of it from an
   * address that nothing came from before.
   */
  async function flooded(
    listen: readonly string[],
    at: string,
    by: Offload | null,
    make: (i: number) => Uint8Array,
  ): Promise<{ heard: number; strange: number }> {
    const heard = new Set<number>();
    let strange = 0;
    const victim = await sinkAt(listen, by, (bytes) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      if (bytes.length === 300) heard.add(view.getUint32(8));
      else strange += 1;
    });
    expect(victim.apart).toBe(true);
    const to = makeEndpoint(
      at,
      victim.addresses.find(
        ({ address }) => address === at || address === '0.0.0.0' || address === '::',
      )!.port,
    );
    const [sender, elsewhere] = await Promise.all(
      [0, 1].map((i) =>
        sinkAt([at.includes(':') ? '::1' : `127.0.0.${8 + i}`], null, () => {}, { mark: false }),
      ),
    );
    for (let i = 0; i < FLOOD; i += 1) {
      const bytes = make(i);
      sender!.send(to, bytes, bytes.length);
    }
    const types = [DATAGRAM_SEALED_DATA, DATAGRAM_SEALED_RESPONSE, DATAGRAM_COOKIE];
    for (let i = 0; i < GENUINE; i += 1)
      (i % 2 === 0 ? sender! : elsewhere!).send(
        to,
        datagram(types[i % types.length]!, marked(i), i, 300),
        300,
      );
    for (let last = -1; last !== heard.size + strange; ) {
      last = heard.size + strange;
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    return { heard: heard.size, strange };
  }

  test.each(Object.entries(FLOODS))('%s keep out nothing that links bring', async (_name, make) => {
    const { heard, strange } = await flooded(['127.0.0.1'], '127.0.0.1', batched, make);
    expect(heard).toBe(GENUINE);
    expect(strange).toBeGreaterThan(0);
  });

  test.each(PLACES)('waits apart at %j, sent to %s', async (listen, at, by) => {
    const { heard, strange } = await flooded(listen, at, by, FLOODS['INITs']!);
    expect(heard).toBe(GENUINE);
    expect(strange).toBeGreaterThan(0);
  });

  test(
    'shares the queue of links where sockets ' + 'are not of our making, which is known',
    async () => {
      expect((await sinkAt(['127.0.0.1'], null, () => {})).apart).toBe(false);
    },
  );

  test('is apart again after a restart at the same port', async () => {
    const first = await sinkAt(['127.0.0.1'], batched, () => {});
    const { port } = first.addresses[0]!;
    await first.close();
    expect((await sinkAt(['127.0.0.1'], batched, () => {}, { port })).apart).toBe(true);
  });

  test('leaves the port to this daemon', async () => {
    const { port } = (await sinkAt(['127.0.0.1'], batched, () => {})).addresses[0]!;
    for (const by of [batched, null])
      await expect(sinkAt(['127.0.0.1'], by, () => {}, { port })).rejects.toMatchObject({
        code: 'EADDRINUSE',
      });
    const other = createSocket('udp4');
    const code = await new Promise((resolve) => {
      other.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
      other.bind(port, '127.0.0.1', () => resolve('bound'));
    });
    other.close();
    expect(code).toBe('EADDRINUSE');
  });
});

test('indices that a daemon draws have its mark, and differ', () => {
  const indices = new ReceiverIndices(new Draws(secureRandom), MARK),
    drawn = new Set(Array.from({ length: 1_000 }, () => indices.free()));
  for (const index of drawn)
    expect((index & MARK.mask) === MARK.value && index > 0 && index < 2 ** 31, String(index)).toBe(
      true,
    );
  expect(drawn.size).toBeGreaterThan(990);
});

/**
 * The daemon's UDP sockets, with and without offload, on loopback: what is sent arrives as it was
 * sent, whoever has offload.
 */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';

import { makeEndpoint, type Endpoint } from '../../src/core/base/datagram.ts';
import { Rng } from '../../src/core/base/rng.ts';
import { loadOffload, type Offload } from '../../src/host/net/offload.ts';
import { UdpSink } from '../../src/host/net/udp.ts';
import { DATAGRAM_SEALED_DATA, encodeDatagramHeader } from '../../src/core/wire/datagram-header.ts';
import { DATAGRAM_BYTES_MAX } from '../../src/core/wire/sizes.ts';

const offload = loadOffload();
const open: UdpSink[] = [];

afterEach(async () => {
  await Promise.all(open.splice(0).map((sink) => sink.close()));
});

class Peer {
  readonly sink: UdpSink;
  readonly heard: Buffer[] = [];
  dropped = 0;
  tooLong = 0;
  readonly refused: string[] = [];
  #wanted = 0;
  #all: () => void = () => {};

  constructor(by: Offload | null) {
    this.sink = new UdpSink(
      {
        onRead: () => {},
        onDatagram: (bytes) => {
          this.heard.push(Buffer.from(bytes));
          if (this.heard.length >= this.#wanted) this.#all();
          return true;
        },
        onRefused: (_to, datagrams, code) => {
          this.refused.push(`${datagrams} ${code}`);
          if (this.refused.length >= this.#wanted) this.#all();
        },
        onDropped: () => {
          this.dropped += 1;
        },
        onTooLong: (_to, datagrams) => {
          this.tooLong += datagrams;
        },
        onWritable: () => {},
        onError: () => {},
      },
      by,
    );
    open.push(this.sink);
  }

  async listen(address: string): Promise<Endpoint> {
    await this.sink.open([{ address, port: 0 }]);
    return makeEndpoint(address, this.sink.addresses[0]!.port);
  }

  async isRefused(times: number): Promise<void> {
    this.#wanted = times;
    if (this.refused.length < times)
      await new Promise<void>((resolve) => {
        this.#all = resolve;
      });
  }

  async hears(count: number): Promise<void> {
    this.#wanted = count;
    if (this.heard.length < count)
      await new Promise<void>((resolve) => {
        this.#all = resolve;
      });
  }
}

function datagram(rng: Rng, size: number, receiver: number, number: number): Buffer {
  const bytes = Buffer.alloc(size);
  rng.fill(bytes);
  encodeDatagramHeader(DATAGRAM_SEALED_DATA, receiver, number, bytes);
  return bytes;
}

const ways: [string, Offload | null, Offload | null][] = [['without offload', null, null]];
if (offload !== null)
  ways.push(
    ['with offload at both ends', offload, offload],
    ['with offload at the sender', offload, null],
    ['with offload at the receiver', null, offload],
  );

describe.each(ways)('%s', (_way, ours, theirs) => {
  test.each(['127.0.0.1', '::1'])(
    'runs of equal and of changing sizes to two peers on %s arrive, each as it was, in order',
    async (address) => {
      const rng = new Rng(3);
      const sender = new Peer(ours),
        receivers = [new Peer(theirs), new Peer(theirs)];
      await sender.listen(address);
      const endpoints = [await receivers[0]!.listen(address), await receivers[1]!.listen(address)];
      const sent: Buffer[][] = [[], []];
      const burst = (): void => {
        for (let run = 0; run < 6; run += 1) {
          const to = rng.below(2),
            size = [60, 100, 1_064, DATAGRAM_BYTES_MAX][rng.below(4)]!;
          for (let i = 1 + rng.below(70); i > 0; i -= 1) {
            const bytes = datagram(
              rng,
              rng.chance(0.05) ? 40 + rng.below(1_400) : size,
              7 + to,
              sent[to]!.length,
            );
            sent[to]!.push(bytes);
            sender.sink.send(endpoints[to]!, bytes, bytes.length);
          }
        }
        sender.sink.flush();
      };
      // In portions: what loopback delivers has to fit the receive buffers.
      for (let portion = 0; portion < 10; portion += 1) {
        burst();
        await Promise.all(receivers.map((receiver, i) => receiver.hears(sent[i]!.length)));
      }
      for (const [i, { heard }] of receivers.entries()) {
        expect(heard.length).toBe(sent[i]!.length);
        for (const [k, bytes] of heard.entries())
          expect(bytes.equals(sent[i]![k]!), `datagram ${k} to ${i}`).toBe(true);
      }
      expect(sender.dropped).toBe(0);
      expect(sender.sink.offloaded).toBe(ours !== null);
      if (ours !== null)
        expect(sender.sink.batchedDatagrams / sender.sink.batches).toBeGreaterThan(5);
      else expect(sender.sink.batches).toBe(0);
    },
  );

  test('what nobody flushes leaves all the same', async () => {
    const rng = new Rng(4),
      sender = new Peer(ours),
      receiver = new Peer(theirs);
    await sender.listen('127.0.0.1');
    const to = await receiver.listen('127.0.0.1');
    for (let i = 0; i < 10; i += 1) sender.sink.send(to, datagram(rng, 200, 1, i), 200);
    await receiver.hears(10);
    expect(receiver.heard.length).toBe(10);
  });

  test('an address that is taken is refused, with the reason', async () => {
    const first = new Peer(null),
      second = new Peer(ours);
    const { port } = await first.listen('127.0.0.1');
    await expect(second.sink.open([{ address: '127.0.0.1', port }])).rejects.toMatchObject({
      code: 'EADDRINUSE',
      message: expect.stringContaining('the port is in use'),
    });
    await expect(
      new Peer(ours).sink.open([{ address: '203.0.113.9', port: 0 }]),
    ).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' });
  });
});

test.runIf(offload !== null)(
  'a batch that the system refuses is counted, and what follows to that peer leaves one by one',
  async () => {
    /** Makes the kernel cut so small that it refuses: too many datagrams in one call. */
    const refused: Offload = {
      batches: true,
      open: (address, port) => {
        const socket = offload!.open(address, port);
        return { ...socket, setSegment: (bytes) => socket.setSegment(bytes === 1_000 ? 8 : bytes) };
      },
    };
    const rng = new Rng(9),
      sender = new Peer(refused),
      receiver = new Peer(offload);
    await sender.listen('127.0.0.1');
    const to = await receiver.listen('127.0.0.1');
    for (let i = 0; i < 20; i += 1) sender.sink.send(to, datagram(rng, 1_000, 1, i), 1_000);
    sender.sink.flush();
    await sender.isRefused(1);
    expect(sender.refused).toEqual(['20 EINVAL']);
    const more = Array.from({ length: 20 }, (_, i) => datagram(rng, 900, 1, 20 + i));
    for (const bytes of more) sender.sink.send(to, bytes, bytes.length);
    sender.sink.flush();
    await receiver.hears(20);
    expect(receiver.heard).toEqual(more);
    expect([sender.refused.length, sender.dropped]).toEqual([1, 0]);
  },
);

test.runIf(offload !== null)(
  'a single datagram after a batch is no batch of one: ' +
    'a segment that is left over makes kernels refuse the smallest send',
  async () => {
    const segments: number[] = [];
    const watched: Offload = {
      batches: true,
      open: (address, port) => {
        const socket = offload!.open(address, port);
        return {
          ...socket,
          setSegment: (bytes) => segments.push(bytes) > 0 && socket.setSegment(bytes),
        };
      },
    };
    const rng = new Rng(5),
      sender = new Peer(watched),
      receiver = new Peer(offload);
    await sender.listen('127.0.0.1');
    const to = await receiver.listen('127.0.0.1');
    let sent = 0;
    const send = (size: number, count: number): void => {
      for (let i = 0; i < count; i += 1, sent += 1)
        sender.sink.send(to, datagram(rng, size, 1, sent), size);
      sender.sink.flush();
    };
    send(1_200, 5);
    send(60, 1);
    send(1_452, 1);
    send(1_452, 3);
    send(1_452, 1);
    // A segment that every path carries harms nobody who is shorter.
    send(100, 9);
    send(60, 1);
    send(101, 1);
    await receiver.hears(sent);
    expect(segments).toEqual([1_200, 0, 1_452, 0, 100, 0]);
    expect(sender.dropped + sender.tooLong).toBe(0);
  },
);

test.runIf(offload !== null)(
  'without batches the sockets still let nothing be fragmented',
  async () => {
    const single = loadOffload(false)!;
    const sender = new Peer(single),
      receiver = new Peer(single);
    await sender.listen('127.0.0.1');
    const to = await receiver.listen('127.0.0.1');
    const rng = new Rng(6);
    for (let i = 0; i < 20; i += 1) sender.sink.send(to, datagram(rng, 1_000, 1, i), 1_000);
    await receiver.hears(20);
    expect([sender.sink.offloaded, sender.sink.dontFragment, sender.sink.batches]).toEqual([
      false,
      true,
      0,
    ]);
    const plain = new Peer(null);
    await plain.listen('127.0.0.1');
    expect(plain.sink.dontFragment).toBe(false);
  },
);

test.runIf(offload?.batches === true)(
  'a way that is refused for a while takes no offload away: batches leave as soon as there is one',
  async () => {
    const rng = new Rng(5),
      sender = new Peer(offload);
    await sender.listen('0.0.0.0');
    // Nobody may send there without having asked for broadcast: the system's refusal has nothing to
    // do with sizes or batches.
    const nowhere = makeEndpoint('255.255.255.255', 9);
    for (let round = 1; round <= 3; round += 1) {
      for (let i = 0; i < 4; i += 1) sender.sink.send(nowhere, datagram(rng, 1_000, 7, i), 1_000);
      sender.sink.flush();
      await sender.isRefused(round);
      expect([sender.sink.batches, sender.refused, sender.dropped]).toEqual([
        round,
        Array.from({ length: round }, () => '4 EACCES'),
        0,
      ]);
    }
  },
);

/** Says at which port it listens, then the byte of class and ECN of what arrives. */
const CLASS_OF = `import socket, struct, sys
six = ':' in sys.argv[1]
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
if six: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
else: s.setsockopt(socket.IPPROTO_IP, 13, 1)
s.bind((sys.argv[1], 0))
print(s.getsockname()[1], flush=True)
for i in range(2):
  data, control, flags, peer = s.recvmsg(2000, 100)
  byte = control[0][2]
  print(struct.unpack('i', byte)[0] if len(byte) == 4 else byte[0], flush=True)
`;
const noPython = spawnSync('python3', ['--version']).status !== 0;

test.skipIf(offload === null || noPython).each(['127.0.0.1', '::1'])(
  'datagrams from %s are marked with the class that is asked for, in a batch as well',
  async (address) => {
    const child = spawn('python3', ['-c', CLASS_OF, address], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += String(chunk)));
    await once(child.stdout, 'data');
    const to = makeEndpoint(address, Number(said));
    const marking = loadOffload()!;
    marking.dscp = 46;
    const sender = new Peer(marking);
    await sender.listen(address);
    const rng = new Rng(4);
    for (let i = 0; i < 2; i += 1) {
      const bytes = datagram(rng, 900, 7, i);
      sender.sink.send(to, bytes, bytes.length);
    }
    sender.sink.flush();
    await once(child, 'close');
    expect(said.trim().split(/\s+/).slice(1)).toEqual([String(46 << 2), String(46 << 2)]);
  },
);

/**
 * Keys that change every ten seconds under traffic, between real daemons: a stream of 20 Mbit/s and
 * 1,000 datagrams a second, while a daemon on the way and one at an end are killed and started
 * again. Nothing is lost but what a killed daemon had. SPINES_LONG=1: ten minutes, or
 * SPINES_ROTATION_SECONDS. That nothing else is lost is test/sim/crash-held.test.ts's to show.
 *
 *     n0 ---- n1 ---- n3     to n3: the stream, 1,000 datagrams a second
 *        \--- n2 ---/        to n4: 200 datagrams a second; n4 is killed twice, n1 twice
 *          (both also to n4)
 */

import { writeFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import type { SpinesClient, SpinesDatagram } from 'spines-client';
import { RealNetwork, type RealDaemon } from '../support/processes.ts';

const LONG = process.env['SPINES_LONG'] === '1';
const SECONDS = Number(process.env['SPINES_ROTATION_SECONDS'] ?? 600);
const STREAM_BYTES_PER_SECOND = 2_500_000,
  DATAGRAMS_PER_SECOND = 1_000,
  DATAGRAMS_TO_RESTARTED = 200;
const DATAGRAM_BYTES = 200,
  TICK_MS = 10;
/** An end that is killed may have had a datagram for so long before its program got it. */
const CRASH_MS = 1_000;
/**
 * The end that is started anew has loaded, joined and said its keys by then, whatever else this
 * machine does.
 */
const BACK_MS = 15_000;

/** Longer than that no daemon holds a packet: without a way it waits for three seconds, twice. */
const HELD_MS = 10_000;

/**
 * A daemon that was killed: when it was asked how many packets it held, which is right before,
 * what it said, when it was killed, was gone, and answered again.
 */
interface Killed {
  readonly index: number;
  readonly askedAt: number;
  readonly held: number;
  readonly at: number;
  readonly goneAt: number;
  readonly backAt: number;
}

let network = new RealNetwork();
afterEach(async () => {
  await network.close();
  network = new RealNetwork();
});

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Byte `at` of the stream. */
const byteAt = (at: number): number => (at ^ (at >>> 8) ^ (at >>> 16)) & 0xff;

/** Counts what arrives of numbered datagrams, and when each number left. */
class Numbered {
  readonly leftAt: number[] = [];
  readonly arrived: number[] = [];
  again = 0;
  unproved = 0;
  full = false;

  take(payload: Buffer, proved: boolean): void {
    const number = payload.readUInt32BE(0);
    if (this.arrived[number] !== undefined) this.again += 1;
    this.arrived[number] = performance.now();
    if (!proved) this.unproved += 1;
  }

  next(): Buffer {
    const payload = Buffer.alloc(DATAGRAM_BYTES, 7);
    payload.writeUInt32BE(this.leftAt.push(performance.now()) - 1, 0);
    return payload;
  }

  /** When what never arrived had left. */
  get lost(): number[] {
    return this.leftAt.filter((_, number) => this.arrived[number] === undefined);
  }
}

/**
 * What is due, as far as the daemon takes it: a program that goes on beyond that would lose
 * messages by its own fault.
 */
function pour(
  socket: SpinesDatagram,
  numbered: Numbered,
  most: number,
  node: string,
  due: number,
): void {
  for (let i = Math.min(2 * most, due - numbered.leftAt.length); i > 0 && !numbered.full; i -= 1)
    numbered.full = !socket.send(numbered.next(), 700, node);
}

async function listen(client: SpinesClient, port: number, numbered: Numbered): Promise<void> {
  const socket = client.datagram({ link: 'reliable', recvQueueBytes: 16 * 1_048_576 });
  socket.on('message', (payload, { authenticated }) => numbered.take(payload, authenticated));
  await new Promise<void>((resolve) => socket.bind(port, resolve));
}

test.runIf(LONG)(
  'ten minutes of keys that change every ten seconds lose nothing but what killed daemons had',
  async () => {
    writeFileSync(
      `${network.folder}/config.yaml`,
      'keyRotation: 10s\nadvertisementRefresh: 10s\nadvertisementLifetime: 60s\n',
    );
    await network.start(
      5,
      [
        [0, 1],
        [0, 2],
        [1, 3],
        [2, 3],
        [1, 4],
        [2, 4],
      ],
      ['--config', `${network.folder}/config.yaml`],
    );
    await network.converged();
    const clients = await Promise.all(network.daemons.map((daemon) => daemon.connect()));
    const [first, , , last] = clients as [SpinesClient, SpinesClient, SpinesClient, SpinesClient];

    const steady = new Numbered(),
      restarted = new Numbered();
    await listen(last, 700, steady);
    await listen(clients[4]!, 700, restarted);

    let received = 0,
      wrong = 0,
      ended = false;
    const server = last.createServer({}, (socket) => {
      socket.on('data', (chunk: Buffer) => {
        for (let i = 0; i < chunk.length; i += 1) if (chunk[i] !== byteAt(received + i)) wrong += 1;
        received += chunk.length;
      });
      socket.on('error', (error) => {
        wrong += 1;
        console.log('stream at its far end', error);
      });
      socket.on('end', () => {
        ended = true;
        socket.end();
      });
    });
    await new Promise<void>((resolve) => {
      server.listen(701, resolve);
    });
    const stream = first.stream({ link: 'reliable' });
    stream.on('error', (error) => {
      wrong += 1;
      console.log('stream', error);
    });
    stream.resume();
    await new Promise<void>((resolve) => {
      stream.connect(701, 'n3', resolve);
    });

    // Several sockets: what waits for a node that is away does not hold up what is for another.
    const sender = first.datagram({ link: 'reliable' }),
      toRestarted = first.datagram({ link: 'reliable' });
    for (const [socket, numbered] of [
      [sender, steady],
      [toRestarted, restarted],
    ] as const) {
      socket.on('error', (error) => console.log('datagrams', error));
      socket.on('drain', () => {
        numbered.full = false;
      });
    }
    const began = performance.now();
    let sent = 0;
    const due = (perSecond: number): number =>
      Math.floor(((performance.now() - began) / 1_000) * perSecond);
    const pulse = setInterval(() => {
      const bytes = Math.min(due(STREAM_BYTES_PER_SECOND) - sent, 1_048_576);
      if (bytes > 0 && !stream.writableNeedDrain) {
        const chunk = Buffer.alloc(bytes);
        for (let i = 0; i < bytes; i += 1) chunk[i] = byteAt(sent + i);
        sent += bytes;
        stream.write(chunk);
      }
      pour(sender, steady, 10, 'n3', due(DATAGRAMS_PER_SECOND));
      pour(toRestarted, restarted, 5, '10.0.0.5', due(DATAGRAMS_TO_RESTARTED));
    }, TICK_MS);

    const killed: Killed[] = [];
    const kill = async (index: number): Promise<void> => {
      const daemon: RealDaemon = network.daemons[index]!;
      const askedAt = performance.now();
      const { bounds, drops } = await clients[index]!.request('status');
      const held = bounds['packetsKept']![0];
      console.log(`n${index} holds ${held} packets and is killed; drops ${JSON.stringify(drops)}`);
      const at = performance.now();
      await daemon.end('SIGKILL');
      const goneAt = performance.now();
      await sleep(1_000);
      daemon.start();
      // The programs come back by themselves.
      await (await daemon.connect()).close();
      killed.push({ index, askedAt, held, at, goneAt, backAt: performance.now() });
    };
    for (const [i, index] of [4, 1, 4, 1].entries()) {
      await sleep(((i + 1) * SECONDS * 1_000) / 5 - (performance.now() - began));
      await kill(index);
    }
    await sleep(SECONDS * 1_000 - (performance.now() - began));
    clearInterval(pulse);
    stream.end();
    for (let i = 0; i < 300 && !ended; i += 1) await sleep(100);
    await sleep(5_000);

    const status = await Promise.all(clients.map((client) => client.request('status')));
    const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
    const outages = killed.map(
      ({ index, at, backAt }) =>
        `n${index} at ${seconds(at - began)}, back after ${seconds(backAt - at)}`,
    );
    console.log(
      `stream ${sent} sent, ${received} received; datagrams to n3 ${steady.leftAt.length}, lost ` +
        `${steady.lost.length}; to n4 ${restarted.leftAt.length}, lost ${restarted.lost.length}; ` +
        `killed ${outages.join(', ')}`,
    );
    for (const { index, at, backAt } of killed) {
      const near = (numbered: Numbered): number[] =>
        numbered.lost
          .filter((left) => left > at - CRASH_MS && left < backAt + BACK_MS)
          .map((left) => Math.round(left - at));
      const span = (left: readonly number[]): string =>
        left.length === 0
          ? 'none'
          : `${left.length}, which left from ${Math.min(...left)} to ${Math.max(...left)} ms ` +
            'after it';
      console.log(
        `n${index} killed: of those to n3 lost ${span(near(steady))}; of those to n4 ` +
          `${span(near(restarted))}`,
      );
    }
    console.log(`drops ${JSON.stringify(status.map(({ drops }) => drops))}`);

    // The stream lost nothing, whatever was killed.
    expect([received, wrong, ended]).toEqual([sent, 0, true]);
    // Beside other work both wait for the daemons now and then.
    expect(sent).toBeGreaterThan(0.8 * SECONDS * STREAM_BYTES_PER_SECOND);
    expect(steady.leftAt.length).toBeGreaterThan(0.8 * SECONDS * DATAGRAMS_PER_SECOND);
    expect([steady.again, restarted.again, steady.unproved, restarted.unproved]).toEqual([
      0, 0, 0, 0,
    ]);
    // Datagrams: what a router took over, or an end that is killed, or was away, and nothing else.
    const atEnd = (left: number): boolean =>
      killed.some(
        ({ index, at, backAt }) => index === 4 && left > at - CRASH_MS && left < backAt + BACK_MS,
      );
    let others = [...steady.lost, ...restarted.lost.filter((left) => !atEnd(left))];
    for (const { index, askedAt, held, goneAt } of killed) {
      if (index !== 1) continue;
      const its = others.filter((left) => left > askedAt - HELD_MS && left < goneAt);
      // What left after it was asked may have come after it had answered.
      const before = its.filter((left) => left < askedAt).length;
      expect(before, `of ${held} that n1 held`).toBeLessThanOrEqual(held);
      others = others.filter((left) => !its.includes(left));
    }
    expect(others).toEqual([]);
  },
  (SECONDS + 240) * 1_000,
);

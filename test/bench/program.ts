/**
 * An application of the bench in a process of its own, with the client library: sends at a rate or
 * as fast as it can, or receives.
 *
 * Started by end-to-end.ts. A sender honours back-pressure; a receiver counts datagrams at one port
 * (of secrecy `links` two ports on) and bytes of streams at the next.
 */

import { SpinesClient, type SpinesDatagram } from 'spines-client';
import { Arrivals, Payloads } from './arrivals.js';
import { answerProbe } from './gauges.js';
import { monotonicMs } from './processes.js';
import { pump, type Pumped } from './pump.js';

export type DatagramWay = 'best-effort' | 'reliable';
/** What seals a message: links alone, or the daemons of source and destination as well. */
export type Protection = 'links' | 'end-to-end';

/** Besides what gauges.ts answers. */
export type ProgramOrder =
  | { kind: 'open'; socketPath: string; port: number | null }
  /** Whether the daemon has a route to a node. */
  | { kind: 'reachable'; to: string }
  | {
      kind: 'send';
      way: DatagramWay;
      secrecy: Protection;
      to: string;
      port: number;
      bytes: number;
      packetsPerSecond: number;
      durationMs: number;
      stampEvery: number;
    }
  | { kind: 'stream'; to: string; port: number; durationMs: number }
  /** How many so far, and all about them; only the second begins anew. */
  | { kind: 'count' }
  | { kind: 'arrived' };

/** What a stream's program writes at once. */
const CHUNK_BYTES = 16_384;
/** Messages that wait for this program, beyond what it is likely to be late for. */
const RECEIVE_QUEUE_BYTES = 64 << 20;

/** A receiver's datagram sockets are two ports apart, in this order. */
const PROTECTIONS: readonly Protection[] = ['end-to-end', 'links'];
const socketName = (way: DatagramWay, secrecy: Protection): string => `${way}, ${secrecy}`;

const arrivals = new Arrivals();
const sockets = new Map<string, SpinesDatagram>();
let client: SpinesClient | null = null;

async function open(socketPath: string, port: number | null): Promise<void> {
  client = await SpinesClient.connect({ path: socketPath });
  if (port === null) {
    for (const link of ['best-effort', 'reliable'] as const) {
      for (const secrecy of PROTECTIONS) {
        const socket = client.datagram({ link, secrecy });
        // What is refused does not arrive, and is seen there.
        socket.on('sendError', () => {});
        await new Promise<void>((resolve) => socket.bind(0, resolve));
        sockets.set(socketName(link, secrecy), socket);
      }
    }
    return;
  }
  for (const [i, secrecy] of PROTECTIONS.entries()) {
    const socket = client.datagram({ recvQueueBytes: RECEIVE_QUEUE_BYTES, secrecy });
    socket.on('message', (message) => arrivals.add(message));
    await new Promise<void>((resolve) => socket.bind(port + 2 * i, resolve));
  }
  const server = client.createServer({}, (stream) =>
    stream.on('data', (chunk: Buffer) => arrivals.addBytes(chunk.length)).on('error', () => {}),
  );
  await new Promise<void>((resolve) => server.listen(port + 1, resolve));
}

async function send({
  way,
  secrecy,
  to,
  port,
  bytes,
  packetsPerSecond,
  durationMs,
  stampEvery,
}: ProgramOrder & { kind: 'send' }): Promise<Pumped> {
  const socket = sockets.get(socketName(way, secrecy))!;
  const there = port + 2 * PROTECTIONS.indexOf(secrecy);
  const payloads = new Payloads(bytes, stampEvery);
  return await pump({
    packetsPerSecond,
    durationMs,
    emit: () => socket.send(payloads.next(), there, to),
    ready: () => socket.ready(),
  });
}

/** `sent`: bytes. */
async function stream(to: string, port: number, durationMs: number): Promise<Pumped> {
  const socket = client!.stream().connect(port + 1, to);
  await new Promise<void>((resolve, reject) =>
    socket.once('connect', () => resolve()).once('error', reject),
  );
  const chunk = Buffer.alloc(CHUNK_BYTES);
  const beganMs = monotonicMs();
  let sent = 0;
  while (monotonicMs() - beganMs < durationMs) {
    sent += CHUNK_BYTES;
    if (!socket.write(chunk)) await new Promise((resolve) => socket.once('drain', resolve));
  }
  await new Promise<void>((resolve, reject) =>
    socket
      .once('error', reject)
      .once('finish', () => resolve())
      .end(),
  );
  const endedMs = monotonicMs();
  socket.resume();
  return { sent, beganMs, endedMs };
}

async function answer(order: ProgramOrder): Promise<object> {
  switch (order.kind) {
    case 'open':
      await open(order.socketPath, order.port);
      return {};
    case 'reachable': {
      const { routes } = (await client!.request('routes')) as {
        routes: { node: string; reachable: boolean }[];
      };
      return { reachable: routes.some(({ node, reachable }) => node === order.to && reachable) };
    }
    case 'send':
      return await send(order);
    case 'stream':
      return await stream(order.to, order.port, order.durationMs);
    case 'count':
      return { packets: arrivals.packets };
    case 'arrived':
      return arrivals.take();
  }
}

process.on('message', (order: ProgramOrder) => {
  const probed = answerProbe(order);
  if (probed !== null) process.send!(probed);
  else void answer(order).then((reply) => process.send!(reply));
});
process.on('disconnect', () => process.exit(0));

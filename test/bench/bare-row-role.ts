/**
 * One process of bare-row.ts: takes packets of one size from a Unix socket or over UDP, and sends
 * them on by either.
 */

import { createSocket } from 'node:dgram';
import { connect, createServer, type Socket } from 'node:net';
import { Arrivals, Payloads } from './arrivals.js';
import { pump } from './pump.js';

export type RowRole = 'sender' | 'forwarder' | 'receiver';
/** A path is that of a Unix socket. */
type Where = string | { readonly address: string; readonly port: number };

export interface RowOrder {
  readonly kind: 'start';
  readonly role: RowRole;
  readonly receive: Where | null;
  readonly send: Where | null;
}
type Order =
  | RowOrder
  | { readonly kind: 'send'; readonly packetsPerSecond: number; readonly durationMs: number }
  | { readonly kind: 'arrived' };

const BYTES = 1_000;
const arrivals = new Arrivals();
let send: (packet: Uint8Array) => void = (packet) => arrivals.add(packet);

async function sender(to: Where): Promise<(packet: Uint8Array) => void> {
  if (typeof to === 'string') {
    const socket = connect(to);
    await new Promise<void>((resolve) => socket.once('connect', resolve));
    return (packet) => void socket.write(packet);
  }
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.connect(to.port, to.address, resolve));
  return (packet) => socket.send(packet);
}

/** A byte stream has no packets: they are cut where they end. */
function cut(socket: Socket): void {
  let rest: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    for (; rest.length - at >= BYTES; at += BYTES) send(rest.subarray(at, at + BYTES));
    rest = rest.subarray(at);
  });
}

async function receiver(from: Where): Promise<void> {
  if (typeof from === 'string') {
    await new Promise<void>((resolve) => createServer(cut).listen(from, resolve));
    return;
  }
  const socket = createSocket('udp4').on('message', (packet) => send(packet));
  await new Promise<void>((resolve) => socket.bind(from.port, from.address, resolve));
}

async function answer(order: Order): Promise<object> {
  if (order.kind === 'arrived') return arrivals.take();
  if (order.kind === 'start') {
    if (order.send !== null) send = await sender(order.send);
    if (order.receive !== null) await receiver(order.receive);
    return {};
  }
  const payloads = new Payloads(BYTES, 1);
  return await pump({
    ...order,
    emit: () => {
      send(payloads.next());
      return true;
    },
    ready: () => Promise.resolve(),
  });
}

process.on('message', (order: Order) => void answer(order).then((reply) => process.send!(reply)));
process.on('disconnect', () => process.exit(0));

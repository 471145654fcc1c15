/**
 * An application of the bench in a process of its own: sends or receives as fast as it can, over the overlay or plain.
 *
 * Started by end-to-end.ts. A sender keeps sending until told to stop, honouring back-pressure; a receiver counts.
 */

import { createServer as createTcpServer, connect as connectTcp, type Socket } from 'node:net';
import { SpinesClient } from 'spines-client';

export type Way = 'best-effort' | 'reliable' | 'stream' | 'tcp';

export type ProgramOrder =
  | { kind: 'receive'; way: Way; socketPath: string; port: number }
  | { kind: 'send'; way: Way; socketPath: string; port: number; bytes: number; durationMs: number; packetsPerSecond: number }
  | { kind: 'report' };

let bytes = 0;
let messages = 0;

async function receive(way: Way, socketPath: string, port: number): Promise<void> {
  const count = (chunk: Uint8Array): void => { bytes += chunk.length; messages += 1; };
  if (way === 'tcp') {
    await new Promise<void>((resolve) => createTcpServer((socket) => socket.on('data', count)).listen(port, '127.0.0.1', resolve));
    return;
  }
  const client = await SpinesClient.connect({ path: socketPath });
  if (way === 'stream') {
    const server = client.createServer({}, (socket) => socket.on('data', count).on('error', () => {}));
    await new Promise<void>((resolve) => server.listen(port, resolve));
    return;
  }
  const socket = client.datagram({ link: way, recvQueueBytes: 64 << 20 });
  socket.on('message', count);
  await new Promise<void>((resolve) => socket.bind(port, resolve));
}

/** Calls `write` as often as it takes, in batches, until time is up; `write` returns false when it must wait for `ready`. */
async function pump(durationMs: number, packetsPerSecond: number, write: () => boolean, ready: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  let sent = 0;
  for (;;) {
    const elapsed = performance.now() - began;
    if (elapsed >= durationMs) return sent;
    const due = packetsPerSecond === 0 ? sent + 64 : Math.floor((elapsed * packetsPerSecond) / 1_000);
    let open = true;
    while (sent < due && open) {
      open = write();
      sent += 1;
    }
    if (!open) await ready();
    else await new Promise((resolve) => (packetsPerSecond === 0 ? setImmediate(resolve) : setTimeout(resolve, 1)));
  }
}

async function send(order: ProgramOrder & { kind: 'send' }): Promise<number> {
  const { way, socketPath, port, durationMs, packetsPerSecond } = order;
  const payload = Buffer.alloc(order.bytes);
  if (way === 'best-effort' || way === 'reliable') {
    const client = await SpinesClient.connect({ path: socketPath });
    const socket = client.datagram({ link: way });
    await new Promise<void>((resolve) => socket.bind(0, resolve));
    const sent = await pump(durationMs, packetsPerSecond, () => socket.send(payload, port, '10.0.0.3'), () => socket.ready());
    await client.close();
    return sent;
  }
  const client = way === 'tcp' ? null : await SpinesClient.connect({ path: socketPath });
  const socket: Socket | ReturnType<SpinesClient['stream']> = client === null ? connectTcp(port, '127.0.0.1') : client.stream().connect(port, '10.0.0.3');
  await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
  const sent = await pump(durationMs, 0, () => socket.write(payload), () => new Promise((resolve) => socket.once('drain', resolve)));
  socket.destroy();
  await client?.close();
  return sent;
}

process.on('message', (order: ProgramOrder) => {
  void (async (): Promise<void> => {
    if (order.kind === 'receive') {
      await receive(order.way, order.socketPath, order.port);
      process.send!({ kind: 'started' });
    } else if (order.kind === 'send') process.send!({ kind: 'sent', sent: await send(order) });
    else process.send!({ kind: 'report', bytes, messages });
  })();
});
process.on('disconnect', () => process.exit(0));

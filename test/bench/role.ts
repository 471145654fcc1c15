/**
 * One process of the bench: a packet source, a bare forwarder, a sink, or a daemon with a source or sink inside.
 *
 * Started by main.ts with a role; reports counters and its own CPU time when asked over the IPC channel. The bare
 * roles do nothing but receive and send, which is what the daemon is compared with.
 */

import { createSocket, type Socket } from 'node:dgram';
import { pino } from 'pino';
import { startDaemon, type RunningDaemon } from '#src/host/daemon.js';
import { makeConfig, type DialConfig } from '#src/node/config.js';
import type { DatagramOwner } from '#src/session/sessions.js';

export type Role = 'bare-source' | 'bare-forwarder' | 'bare-sink' | 'node-source' | 'node-transit' | 'node-sink' | 'node';

/** From main.ts. */
export type Order =
  | { kind: 'start'; role: Role; port: number; next: number; id?: number; socketPath?: string }
  | { kind: 'send'; packetsPerSecond: number; bytes: number; durationMs: number; shared: boolean }
  | { kind: 'report' };

export interface Counters { packets: number; cpuUs: number; reachable: boolean }

const SINK_ID = 0x0a000003;
const PORT = 7;
const HOST = '127.0.0.1';

let packets = 0;
let node: RunningDaemon | null = null;
let emit: (payload: Uint8Array, endTurn: boolean) => void = () => {};

function counters(): Counters {
  const { user, system } = process.cpuUsage();
  const forwarded = node === null ? packets : packets + node.node.dissemination.forwarded;
  return { packets: forwarded, cpuUs: user + system, reachable: node?.node.router.nextHop(SINK_ID) !== null };
}

async function bareSocket(port: number, next: number): Promise<{ receive: Socket; send: Socket }> {
  const receive = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
  await new Promise<void>((resolve) => receive.bind(port, HOST, resolve));
  const send = createSocket({ type: 'udp4', sendBufferSize: 1 << 20 });
  if (next !== 0) await new Promise<void>((resolve) => send.connect(next, HOST, resolve));
  return { receive, send };
}

async function daemon(id: number, port: number, next: number, socketPath: string | null = null): Promise<RunningDaemon> {
  const dials: DialConfig[] = next === 0 ? [] : [{ address: HOST, port: next, node: null }];
  return await startDaemon({
    config: makeConfig({ id, dials }), listen: [{ address: HOST, port }], client: { socketPath, tcp: null }, membership: null, revocationsPath: null, reload: null,
    emulation: [], emulationSeed: 1, log: pino({ level: 'silent' }),
  });
}

async function start({ role, port, next, id, socketPath }: Order & { kind: 'start' }): Promise<void> {
  const sink: DatagramOwner = { onMessage: () => { packets += 1; return true; }, onWritable: () => {} };
  switch (role) {
    case 'bare-source': {
      const { send } = await bareSocket(port, next);
      emit = (payload) => send.send(payload);
      return;
    }
    case 'bare-forwarder': {
      const { receive, send } = await bareSocket(port, next);
      receive.on('message', (message) => { packets += 1; send.send(message); });
      return;
    }
    case 'bare-sink': {
      const { receive } = await bareSocket(port, next);
      receive.on('message', () => { packets += 1; });
      return;
    }
    case 'node-source': {
      node = await daemon(0x0a000001, port, next);
      const { sessions } = node.node;
      const session = sessions.open(sink);
      emit = (payload, endTurn) => {
        sessions.send(session, SINK_ID, PORT, payload, 0, payload.length);
        if (endTurn) node!.node.flush();
      };
      return;
    }
    case 'node':
      node = await daemon(id!, port, next, socketPath!);
      return;
    case 'node-transit':
      node = await daemon(0x0a000002, port, next);
      return;
    case 'node-sink':
      node = await daemon(SINK_ID, port, next);
      node.node.sessions.bind(node.node.sessions.open(sink), PORT);
  }
}

/** Sends at a steady rate from ticks of about a millisecond. `shared`: packets of a tick may share datagrams. */
async function send(packetsPerSecond: number, bytes: number, durationMs: number, shared: boolean): Promise<number> {
  const payload = new Uint8Array(bytes);
  const began = performance.now();
  let sent = 0;
  for (;;) {
    const elapsed = performance.now() - began;
    const due = Math.floor((Math.min(elapsed, durationMs) * packetsPerSecond) / 1_000);
    for (; sent < due; sent += 1) emit(payload, !shared || sent === due - 1);
    if (elapsed >= durationMs) return sent;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

process.on('message', (order: Order) => {
  void (async (): Promise<void> => {
    if (order.kind === 'start') {
      await start(order);
      process.send!({ kind: 'started' });
    } else if (order.kind === 'send') {
      const sent = await send(order.packetsPerSecond, order.bytes, order.durationMs, order.shared);
      process.send!({ kind: 'sent', sent });
    } else process.send!({ kind: 'report', ...counters() });
  })();
});
process.on('disconnect', () => process.exit(0));

/**
 * One process of the bench: a packet source, a forwarder that is no daemon, a sink, or a daemon with a source or sink inside.
 *
 * Started by transit.ts and end-to-end.ts with a role; reports counters and its own CPU time when asked over the
 * IPC channel. The bare roles do nothing but receive and send, which is what the daemon is compared with; udp-forwarder does
 * so through the daemon's UdpSink.
 */

import { createSocket, type Socket } from 'node:dgram';
import { pino } from 'pino';
import { makeEndpoint } from '#src/base/datagram.js';
import { startDaemon, type RunningDaemon } from '#src/host/daemon.js';
import { loadOffload } from '#src/host/offload.js';
import { UdpSink } from '#src/host/udp.js';
import { makeConfig, type DialConfig } from '#src/node/config.js';
import type { DatagramOwner } from '#src/session/sessions.js';
import { FIRST_ID, readMembership, type IdentityOrder } from './identities.js';
import { cpuUs } from './processes.js';

export type Role = 'bare-source' | 'bare-forwarder' | 'udp-forwarder' | 'bare-sink' | 'node-source' | 'node-transit' | 'node-sink' | 'node';

/** From whoever started it. `identity`: null = links are not sealed. */
export type Order =
  | { kind: 'start'; role: Role; port: number; next: number; identity: IdentityOrder | null; offload?: boolean; id?: number; socketPath?: string }
  | { kind: 'send'; packetsPerSecond: number; bytes: number; durationMs: number; shared: boolean }
  | { kind: 'report' };

export interface Counters { packets: number; cpuUs: number; reachable: boolean }

const SINK_ID = FIRST_ID + 2;
const PORT = 7;
const HOST = '127.0.0.1';

let packets = 0;
let node: RunningDaemon | null = null;
let emit: (payload: Uint8Array, endTurn: boolean) => void = () => {};

function counters(): Counters {
  const forwarded = node === null ? packets : packets + node.node.dissemination.forwarded;
  return { packets: forwarded, cpuUs: cpuUs(), reachable: node?.node.router.nextHop(SINK_ID) !== null };
}

async function bareSocket(port: number, next: number): Promise<{ receive: Socket; send: Socket }> {
  const receive = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
  await new Promise<void>((resolve) => receive.bind(port, HOST, resolve));
  const send = createSocket({ type: 'udp4', sendBufferSize: 1 << 20 });
  if (next !== 0) await new Promise<void>((resolve) => send.connect(next, HOST, resolve));
  return { receive, send };
}

async function daemon(id: number, { port, next, identity, offload, socketPath }: Order & { kind: 'start' }): Promise<RunningDaemon> {
  const key = identity === null || identity.nextKey === null ? {} : { key: Uint8Array.from(Buffer.from(identity.nextKey, 'hex')) };
  const dials: DialConfig[] = next === 0 ? [] : [{ address: HOST, port: next, node: null, ...key }];
  return await startDaemon({
    config: makeConfig({ id, dials }), offload: offload === true ? loadOffload() : null, listen: [{ address: HOST, port }], client: { socketPath: socketPath ?? null, tcp: null },
    membership: identity === null ? null : readMembership(identity.folder), revocationsPath: null, reload: null,
    emulation: [], emulationSeed: 1, log: pino({ level: 'silent' }),
  });
}

async function start(order: Order & { kind: 'start' }): Promise<void> {
  const { role, port, next, id } = order;
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
    case 'udp-forwarder': {
      const to = makeEndpoint(HOST, next);
      const udp: UdpSink = new UdpSink({
        onDatagram: (bytes) => { packets += 1; udp.send(to, bytes, bytes.length); },
        onDropped: () => {}, onWritable: () => {}, onError: () => {},
      });
      await udp.open([{ address: HOST, port }]);
      return;
    }
    case 'bare-sink': {
      const { receive } = await bareSocket(port, next);
      receive.on('message', () => { packets += 1; });
      return;
    }
    case 'node-source': {
      node = await daemon(FIRST_ID, order);
      const { sessions } = node.node;
      const session = sessions.open(sink);
      emit = (payload, endTurn) => {
        sessions.send(session, SINK_ID, PORT, payload, 0, payload.length);
        if (endTurn) node!.node.flush();
      };
      return;
    }
    case 'node':
      node = await daemon(id!, order);
      return;
    case 'node-transit':
      node = await daemon(FIRST_ID + 1, order);
      return;
    case 'node-sink':
      node = await daemon(SINK_ID, order);
      node.node.sessions.bind(node.node.sessions.open(sink), PORT);
  }
}

/** Packets between two looks at the clock. */
const BURST = 64;

/**
 * Sends at a steady rate from ticks of about a millisecond; less when that is more than this process can. `shared`: packets of a
 * tick may share datagrams.
 */
async function send(packetsPerSecond: number, bytes: number, durationMs: number, shared: boolean): Promise<number> {
  const payload = new Uint8Array(bytes);
  const began = performance.now();
  let sent = 0;
  for (;;) {
    const elapsed = performance.now() - began;
    if (elapsed >= durationMs) return sent;
    const behind = Math.floor((elapsed * packetsPerSecond) / 1_000) - sent;
    const count = Math.min(behind, BURST);
    for (let i = 1; i <= count; i += 1) emit(payload, !shared || i === count);
    sent += Math.max(0, count);
    await new Promise((resolve) => (behind > BURST ? setImmediate(resolve) : setTimeout(resolve, 1)));
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

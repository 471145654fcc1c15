/**
 * One process of the transit section: a packet source, a forwarder that is no daemon, a sink, or a
 * daemon with a source or sink inside.
 *
 * Started by transit.ts with a role. The bare roles do nothing but receive and send, which is what
 * the daemon is compared with; udp-forwarder does so through the daemon's UdpSink. The daemon in
 * the middle is not made here: it is the program `spines daemon`.
 */

import { createSocket, type Socket } from 'node:dgram';
import { pino } from 'pino';
import { makeEndpoint } from '#src/core/base/datagram.js';
import { startDaemon, type RunningDaemon } from '#src/host/daemon.js';
import { loadOffload } from '#src/host/net/offload.js';
import { UdpSink } from '#src/host/net/udp.js';
import { makeConfig, type DialConfig } from '#src/core/node/config.js';
import type { DatagramSession } from '#src/core/session/sessions.js';
import { SERVICE_BEST_EFFORT, SERVICE_REALTIME, SERVICE_RELIABLE } from '#src/core/wire/packet.js';
import { Arrivals } from './arrivals.js';
import { answerProbe } from './gauges.js';
import { FIRST_ID, readMembership, type IdentityOrder } from './identities.js';
import { pump } from './pump.js';

export type Role =
  | 'bare-source'
  | 'bare-forwarder'
  | 'udp-forwarder'
  | 'bare-sink'
  | 'node-source'
  | 'node-sink';
export type Service = 'best effort' | 'reliable' | 'realtime';

interface Address {
  readonly address: string;
  readonly port: number;
}

/**
 * From whoever started it, besides what gauges.ts answers. `identity`: null = links are not sealed.
 * `next`: null for the last.
 */
export type Order =
  | {
      kind: 'start';
      role: Role;
      at: Address;
      next: Address | null;
      identity: IdentityOrder | null;
      offload: boolean;
    }
  | {
      kind: 'send';
      packetsPerSecond: number;
      bytes: number;
      durationMs: number;
      shared: boolean;
      service: Service;
    }
  | { kind: 'reachable' }
  /** How many so far, and all about them; only the second begins anew. */
  | { kind: 'count' }
  | { kind: 'arrived' };

const SINK_ID = FIRST_ID + 2;
const PORT = 7;
/** Kernel buffers of the bare roles: those of the daemon. */
const RECEIVE_BUFFER_BYTES = 4 << 20,
  SEND_BUFFER_BYTES = 1 << 20;

const arrivals = new Arrivals();
let node: RunningDaemon | null = null;
let emitBare: ((payload: Uint8Array) => void) | null = null;
const sessions = new Map<Service, DatagramSession>();
const writable = new Set<() => void>();

async function bareSocket(
  at: Address,
  next: Address | null,
): Promise<{ receive: Socket; send: Socket }> {
  const receive = createSocket({ type: 'udp4', recvBufferSize: RECEIVE_BUFFER_BYTES });
  await new Promise<void>((resolve) => receive.bind(at.port, at.address, resolve));
  const send = createSocket({ type: 'udp4', sendBufferSize: SEND_BUFFER_BYTES });
  if (next !== null)
    await new Promise<void>((resolve) => send.connect(next.port, next.address, resolve));
  return { receive, send };
}

async function daemon(
  id: number,
  { at, next, identity, offload }: Order & { kind: 'start' },
): Promise<RunningDaemon> {
  const key =
    identity === null || identity.nextKey === null
      ? {}
      : { key: Uint8Array.from(Buffer.from(identity.nextKey, 'hex')) };
  const dials: DialConfig[] = next === null ? [] : [{ ...next, node: null, ...key }];
  return await startDaemon({
    // The one in the middle is measured: ends that also seal from end to end would set the rate.
    // What that costs is secrecy.ts's.
    config: makeConfig({ id, dials, secrecy: 'links' }),
    offload: loadOffload(offload),
    listen: [at],
    client: { socketPath: null, tcp: null },
    membership: identity === null ? null : readMembership(identity.folder),
    revocationsPath: null,
    reload: null,
    emulation: [],
    emulationSeed: 1,
    log: pino({ level: 'silent' }),
  });
}

async function start(order: Order & { kind: 'start' }): Promise<void> {
  const { role, at, next } = order;
  switch (role) {
    case 'bare-source': {
      const { send } = await bareSocket(at, next);
      emitBare = (payload) => send.send(payload);
      return;
    }
    case 'bare-forwarder': {
      const { receive, send } = await bareSocket(at, next);
      receive.on('message', (message) => send.send(message));
      return;
    }
    case 'udp-forwarder': {
      const to = makeEndpoint(next!.address, next!.port);
      const udp: UdpSink = new UdpSink({
        onRead: () => {},
        onDatagram: (bytes) => {
          udp.send(to, bytes, bytes.length);
          return true;
        },
        onDropped: () => {},
        onRefused: () => {},
        onTooLong: () => {},
        onWritable: () => {},
        onError: () => {},
      });
      await udp.open([at]);
      return;
    }
    case 'bare-sink': {
      const { receive } = await bareSocket(at, next);
      receive.on('message', (message) => arrivals.add(message));
      return;
    }
    case 'node-source':
      node = await daemon(FIRST_ID, order);
      for (const [service, number] of [
        ['best effort', SERVICE_BEST_EFFORT],
        ['reliable', SERVICE_RELIABLE],
        ['realtime', SERVICE_REALTIME],
      ] as const) {
        const onWritable = (): void => {
          for (const wake of writable) wake();
          writable.clear();
        };
        sessions.set(
          service,
          node.node.sessions.open({ onMessage: () => true, onWritable }, { service: number }),
        );
      }
      return;
    case 'node-sink':
      node = await daemon(SINK_ID, order);
      node.node.sessions.bind(
        node.node.sessions.open({
          onMessage: (_session, _source, _port, bytes, first, end) => {
            arrivals.add(bytes.subarray(first, end));
            return true;
          },
          onWritable: () => {},
        }),
        PORT,
      );
  }
}

async function send({
  packetsPerSecond,
  bytes,
  durationMs,
  shared,
  service,
}: Order & { kind: 'send' }): Promise<object> {
  const payload = new Uint8Array(bytes);
  const bare = emitBare;
  if (bare !== null)
    return await pump({
      packetsPerSecond,
      durationMs,
      emit: () => {
        bare(payload);
        return true;
      },
      ready: () => Promise.resolve(),
    });
  const session = sessions.get(service)!,
    core = node!.node;
  const pumped = await pump({
    packetsPerSecond,
    durationMs,
    emit: (last) => {
      core.sessions.send(session, SINK_ID, PORT, payload, 0, bytes);
      if (!shared || last || session.blocked) core.flush();
      return !session.blocked;
    },
    ready: () =>
      new Promise<void>((resolve) => (session.blocked ? void writable.add(resolve) : resolve())),
  });
  return pumped;
}

async function answer(order: Order): Promise<object> {
  switch (order.kind) {
    case 'start':
      await start(order);
      return {};
    case 'send':
      return await send(order);
    case 'reachable':
      return { reachable: node !== null && node.node.router.nextHop(SINK_ID) !== null };
    case 'count':
      return { packets: arrivals.packets };
    case 'arrived':
      return arrivals.take();
  }
}

process.on('message', (order: Order) => {
  const probed = answerProbe(order);
  if (probed !== null) process.send!(probed);
  else void answer(order).then((reply) => process.send!(reply));
});
process.on('disconnect', () => process.exit(0));

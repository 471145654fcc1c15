/**
 * The classic calls of the C library, one to one, over SpinesDatagram and stream sockets
 * (compat-stream.ts).
 *
 * Calls that block in C return promises; errors are thrown or rejected as SpinesClientError instead
 * of -1 and errno. Descriptors are small integers, the lowest free one first; descriptors of one
 * daemon share a connection, which closes with the last of them.
 */

import { clientOf, SpinesClient, defaultSocketPath } from '../client.ts';
import { StreamDescriptor } from './compat-stream.ts';
import type { SpinesDatagram } from '../sockets/datagram.ts';
import { SpinesClientError, abortError } from '../errors.ts';
import type { DaemonTarget } from '../remote/target.ts';
import type { LinkServiceName, RoutingName } from '../shared/protocol.ts';

export const PF_SPINES = 2;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;

export const SHUT_RD = 0;
export const SHUT_WR = 1;
export const SHUT_RDWR = 2;

export const UDP_LINKS = 0x0;
export const RELIABLE_LINKS = 0x1;
export const SOFT_REALTIME_LINKS = 0x2;
export const INTRUSION_TOL_LINKS = 0x8;

export const MIN_WEIGHT_ROUTING = 0x000;
export const IT_PRIORITY_ROUTING = 0x100;
export const IT_RELIABLE_ROUTING = 0x200;
export const SOURCE_BASED_ROUTING = 0x300;
/** Not of the classic interface: the Byzantine-resilient router. */
export const BYZANTINE_ROUTING = 0x400;

export const SOL_SOCKET = 1;
export const SO_RCVBUF = 8;
export const SPINES_IP_TTL = 2;
export const SPINES_IP_MULTICAST_TTL = 33;
export const SPINES_MULTICAST_LOOP = 34;
export const SPINES_ADD_MEMBERSHIP = 35;
export const SPINES_DROP_MEMBERSHIP = 36;
export const SPINES_ADD_NEIGHBOR = 51;
export const SPINES_TRACEROUTE = 61;
export const SPINES_EDISTANCE = 62;
export const SPINES_MEMBERSHIP = 63;
export const SPINES_SET_DELIVERY = 64;
export const SPINES_SET_PRIORITY = 71;
export const SPINES_SET_EXPIRATION = 72;
export const SPINES_DISJOINT_PATHS = 73;

export const DESCRIPTORS_MAX = 4096;

/** A Unix socket path, or a TCP address. */
export type DaemonAddress =
  | string
  | { path: string }
  | { host?: string; port?: number; token?: string };

export interface SpinesSockaddr {
  /** Node name or dotted quad. */
  address: string;
  port: number;
}

export interface ReceivedFrom {
  /** Bytes put into the buffer. */
  bytes: number;
  /** The message was longer than the buffer; its rest is lost, as with recvfrom. */
  truncated: boolean;
  from: SpinesSockaddr;
}

interface SharedClient {
  readonly key: string;
  readonly client: Promise<SpinesClient>;
  users: number;
}

interface Waiter {
  readonly buffer: Uint8Array;
  resolve(received: ReceivedFrom): void;
  reject(error: Error): void;
}

interface Descriptor {
  readonly stream?: undefined;
  readonly socket: SpinesDatagram;
  readonly shared: SharedClient;
  readonly waiters: Waiter[];
  connected: boolean;
}

interface StreamEntry {
  readonly stream: StreamDescriptor;
  readonly shared: SharedClient;
}

const descriptors: (Descriptor | StreamEntry | 'opening' | undefined)[] = [];
const clients = new Map<string, SharedClient>();
let defaultDaemon: DaemonTarget | null = null;

const LINKS: Record<number, LinkServiceName> = {
  [UDP_LINKS]: 'best-effort',
  [RELIABLE_LINKS]: 'reliable',
  [SOFT_REALTIME_LINKS]: 'realtime',
};
type OptionName = 'ttl' | 'priority' | 'recvQueueBytes' | 'paths';

const ROUTINGS: Record<number, RoutingName> = {
  [MIN_WEIGHT_ROUTING]: 'link-state',
  [BYZANTINE_ROUTING]: 'byzantine',
  [SOURCE_BASED_ROUTING]: 'paths',
};
const OPTIONS: Record<number, OptionName> = {
  [SPINES_IP_TTL]: 'ttl',
  [SPINES_SET_PRIORITY]: 'priority',
  [SO_RCVBUF]: 'recvQueueBytes',
  [SPINES_DISJOINT_PATHS]: 'paths',
};

/**
 * The daemon of later `spinesSocket` calls without an address. 1: taken; 0: there is one already.
 */
export function spinesInit(daemonAddress?: DaemonAddress | null): number {
  const target = targetOf(daemonAddress ?? null) ?? { path: defaultSocketPath() };
  if (defaultDaemon !== null) return 0;
  defaultDaemon = target;
  return 1;
}

/** A descriptor. `protocol`: link bits | routing bits. */
export async function spinesSocket(
  domain: number,
  type: number,
  protocol = 0,
  daemonAddress: DaemonAddress | null = null,
): Promise<number> {
  if (domain !== PF_SPINES)
    throw new SpinesClientError('EAFNOSUPPORT', `domain must be PF_SPINES, not ${domain}`, {
      syscall: 'socket',
    });
  if (type !== SOCK_DGRAM && type !== SOCK_STREAM)
    throw new SpinesClientError(
      'EPROTOTYPE',
      `type must be SOCK_DGRAM or SOCK_STREAM, not ${type}`,
      { syscall: 'socket' },
    );
  const link = LINKS[protocol & 0xf];
  const routing = ROUTINGS[protocol & ~0xf];
  const unable = routing === 'paths' && (link === 'reliable' || type === SOCK_STREAM);
  if (link === undefined || routing === undefined || unable) {
    const use =
      'use UDP_LINKS, RELIABLE_LINKS or SOFT_REALTIME_LINKS with MIN_WEIGHT_ROUTING or ' +
      'BYZANTINE_ROUTING, or the first or last with SOURCE_BASED_ROUTING';
    throw new SpinesClientError(
      'EPROTONOSUPPORT',
      `protocol 0x${protocol.toString(16)} is not available; ${use}`,
      { syscall: 'socket' },
    );
  }
  if (type === SOCK_STREAM && link === 'realtime')
    throw new SpinesClientError('EPROTONOSUPPORT', 'streams take UDP_LINKS or RELIABLE_LINKS', {
      syscall: 'socket',
    });
  const target = targetOf(daemonAddress) ?? defaultDaemon ?? { path: defaultSocketPath() };
  const fd = reserve();
  let shared: SharedClient | null = null;
  try {
    shared = share(target);
    const client = await shared.client;
    if (type === SOCK_STREAM) {
      descriptors[fd] = {
        stream: new StreamDescriptor(client, link, routing),
        shared,
      };
      return fd;
    }
    const socket = client.datagram({ link, routing });
    const entry: Descriptor = { socket, shared, waiters: [], connected: false };
    socket.pause();
    socket.on('message', (message, rinfo) => {
      const waiter = entry.waiters.shift();
      if (entry.waiters.length === 0) socket.pause();
      if (waiter === undefined) return;
      const bytes = Math.min(message.length, waiter.buffer.length);
      waiter.buffer.set(message.subarray(0, bytes));
      waiter.resolve({
        bytes,
        truncated: bytes < message.length,
        from: { address: rinfo.address, port: rinfo.port },
      });
    });
    // Each call reports its own failure; what no call waits for, as a port lost with a daemon,
    // fails the receives.
    socket.on('error', (error) => failWaiters(entry, error));
    descriptors[fd] = entry;
    return fd;
  } catch (error) {
    descriptors[fd] = undefined;
    if (shared !== null) await release(shared);
    throw error;
  }
}

/**
 * Port 0: any. 0 on success; rejects with EADDRINUSE ...; a stream's port is taken, and refused,
 * with listen or connect.
 */
export async function spinesBind(fd: number, address: { port: number } | number): Promise<0> {
  const entry = lookUp(fd, 'bind');
  const port = typeof address === 'number' ? address : address.port;
  if (entry.stream !== undefined) {
    entry.stream.bind(port);
    return 0;
  }
  const { socket } = entry;
  await new Promise<void>((resolve, reject) => {
    const settle = (error?: Error): void => {
      socket.off('listening', settle).off('error', settle).off('close', onClose);
      if (error === undefined) resolve();
      else reject(error);
    };
    const onClose = (): void => settle(badDescriptor(fd, 'bind'));
    try {
      socket.bind(port);
      socket.on('listening', settle).on('error', settle).on('close', onClose);
    } catch (cause) {
      reject(
        new SpinesClientError('EINVAL', `cannot bind: ${(cause as Error).message}`, {
          syscall: 'bind',
          cause,
        }),
      );
    }
  });
  return 0;
}

/** Bytes sent. Waits while the socket is blocked, as C does. `flags` are ignored. */
export async function spinesSendTo(
  fd: number,
  message: Uint8Array | string,
  flags: number,
  to: SpinesSockaddr,
): Promise<number> {
  void flags;
  const entry = lookUp(fd, 'sendto');
  if (entry.stream !== undefined) return await entry.stream.send(message);
  const { socket } = entry;
  if (socket.writableNeedDrain && clientOf(socket).connected) await socket.ready();
  lookUp(fd, 'sendto');
  return await sent('sendto', (done) => {
    socket.send(message, to.port, to.address, done);
  });
}

/**
 * Waits for a message, or for bytes of a stream, and puts them into `buffer`. `flags` are ignored.
 */
export function spinesRecvFrom(
  fd: number,
  buffer: Uint8Array,
  flags = 0,
  options: { signal?: AbortSignal } = {},
): Promise<ReceivedFrom> {
  void flags;
  const { signal } = options;
  return new Promise((resolve, reject) => {
    const entry = lookUp(fd, 'recvfrom');
    const { stream } = entry;
    if (stream !== undefined) {
      stream
        .recv(buffer, signal)
        .then((bytes) => resolve({ bytes, truncated: false, from: stream.remote }))
        .catch(reject);
      return;
    }
    if (signal?.aborted) throw abortError(signal, 'recvfrom');
    const onAbort = (): void => {
      entry.waiters.splice(entry.waiters.indexOf(waiter), 1);
      if (entry.waiters.length === 0) entry.socket.pause();
      reject(abortError(signal!, 'recvfrom'));
    };
    const waiter: Waiter = {
      buffer,
      resolve: (received) => {
        signal?.removeEventListener('abort', onAbort);
        resolve(received);
      },
      reject: (error) => {
        signal?.removeEventListener('abort', onAbort);
        reject(error);
      },
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    entry.waiters.push(waiter);
    entry.socket.resume();
  });
}

/**
 * Connects a stream; rejects with ECONNREFUSED ... Of a datagram socket it fixes the peer of
 * `spinesSend` and `spinesRecv`; connecting again changes it.
 */
export async function spinesConnect(fd: number, to: SpinesSockaddr): Promise<0> {
  const entry = lookUp(fd, 'connect');
  if (entry.stream !== undefined) {
    await entry.stream.connect(to.address, to.port);
    return 0;
  }
  if (entry.connected) {
    entry.socket.disconnect();
    entry.connected = false;
  }
  await new Promise<void>((resolve, reject) => {
    entry.socket.connect(to.port, to.address, (error) => {
      if (error === undefined) resolve();
      else reject(error);
    });
  });
  entry.connected = true;
  return 0;
}

/** Bytes sent; of a stream always all of them, after waiting for room. */
export async function spinesSend(
  fd: number,
  message: Uint8Array | string,
  flags = 0,
): Promise<number> {
  void flags;
  const entry = lookUp(fd, 'send');
  if (entry.stream !== undefined) return await entry.stream.send(message);
  const { socket, connected } = entry;
  if (!connected)
    throw new SpinesClientError('ENOTCONN', 'call spinesConnect first, or use spinesSendTo', {
      syscall: 'send',
    });
  if (socket.writableNeedDrain && clientOf(socket).connected) await socket.ready();
  lookUp(fd, 'send');
  return await sent('send', (done) => {
    socket.send(message, done);
  });
}

/** Bytes put into `buffer`; 0 at the end of a stream. */
export async function spinesRecv(
  fd: number,
  buffer: Uint8Array,
  flags = 0,
  options: { signal?: AbortSignal } = {},
): Promise<number> {
  return (await spinesRecvFrom(fd, buffer, flags, options)).bytes;
}

/** Waiting receives reject with EBADF. */
export async function spinesClose(fd: number): Promise<0> {
  const entry = lookUp(fd, 'close');
  descriptors[fd] = undefined;
  if (entry.stream !== undefined) {
    await entry.stream.close();
  } else {
    failWaiters(entry, badDescriptor(fd, 'recvfrom'));
    await entry.socket[Symbol.asyncDispose]();
  }
  await release(entry.shared);
  return 0;
}

/**
 * SPINES_IP_TTL, SPINES_SET_PRIORITY, SO_RCVBUF; SPINES_DISJOINT_PATHS, 1 to 5 of
 * SOURCE_BASED_ROUTING; SPINES_SET_EXPIRATION, of SOFT_REALTIME_LINKS,
 * with a time of 1 ms to 2 s. `level` is ignored.
 */
export async function spinesSetsockopt(
  fd: number,
  level: number,
  option: number,
  value: number | { readonly sec: number; readonly usec: number },
): Promise<0> {
  void level;
  const { socket } = datagram(fd, 'setsockopt');
  if (option === SPINES_SET_EXPIRATION) return setExpiration(socket, value);
  if (typeof value !== 'number')
    throw new SpinesClientError('EINVAL', 'the value must be a number', { syscall: 'setsockopt' });
  const name = optionName(option, 'setsockopt');
  try {
    if (name === 'ttl') socket.setTTL(value);
    else if (name === 'priority') socket.setPriority(value);
    else if (name === 'paths') socket.setPaths(value);
    else socket.setRecvBufferSize(value);
  } catch (cause) {
    throw new SpinesClientError('EINVAL', (cause as Error).message, {
      syscall: 'setsockopt',
      cause,
    });
  }
  return 0;
}

/** The deadline of what is sent from now on, up to the next millisecond. */
function setExpiration(socket: SpinesDatagram, value: unknown): 0 {
  const { sec, usec } = (typeof value === 'object' && value !== null ? value : {}) as {
    readonly sec?: unknown;
    readonly usec?: unknown;
  };
  const ms =
    typeof sec === 'number' && typeof usec === 'number'
      ? Math.ceil(sec * 1_000 + usec / 1_000)
      : NaN;
  try {
    socket.setDeadline(ms);
  } catch (cause) {
    throw new SpinesClientError(
      'EINVAL',
      'SPINES_SET_EXPIRATION takes { sec, usec } of 1 ms to 2 s, on a socket with ' +
        'SOFT_REALTIME_LINKS',
      { syscall: 'setsockopt', cause },
    );
  }
  return 0;
}

export async function spinesGetsockopt(fd: number, level: number, option: number): Promise<number> {
  void level;
  const { socket } = datagram(fd, 'getsockopt');
  const name = optionName(option, 'getsockopt');
  return name === 'recvQueueBytes' ? socket.getRecvBufferSize() : await socket.getOption(name);
}

/** The node's address and the socket's port; binds the socket to any port where it has none. */
export async function spinesGetsockname(fd: number): Promise<SpinesSockaddr> {
  const entry = lookUp(fd, 'getsockname');
  if (entry.stream !== undefined) return entry.stream.local;
  const { socket } = entry;
  if (clientOf(socket).connected) await socket.ready();
  const { address, port } = socket.address();
  return { address, port };
}

/**
 * Takes the bound port, or any. `backlog`: streams that may wait to be accepted, 0 = 128; further
 * ones are reset.
 */
export async function spinesListen(fd: number, backlog = 0): Promise<0> {
  await streamOf(fd, 'listen').stream.listen(backlog);
  return 0;
}

/** Waits for a stream; gives it a descriptor of its own. */
export async function spinesAccept(
  fd: number,
  options: { signal?: AbortSignal } = {},
): Promise<{ fd: number; from: SpinesSockaddr }> {
  const { stream: listener, shared } = streamOf(fd, 'accept');
  const socket = await listener.accept(options.signal);
  let accepted: number;
  try {
    accepted = reserve();
  } catch (error) {
    socket.resetAndDestroy();
    throw error;
  }
  shared.users++;
  const stream = new StreamDescriptor(listener.client, 'reliable', 'link-state', socket);
  descriptors[accepted] = { stream, shared };
  return { fd: accepted, from: stream.remote };
}

/** `how`: SHUT_RD, SHUT_WR (the far end sees the end of the stream), SHUT_RDWR. */
export async function spinesShutdown(fd: number, how: number): Promise<0> {
  await streamOf(fd, 'shutdown').stream.shutdown(how);
  return 0;
}

/* ------------------------------------------------------------------ helpers */

function lookUp(fd: number, syscall: string): Descriptor | StreamEntry {
  const entry = Number.isInteger(fd) && fd > 0 ? descriptors[fd] : undefined;
  if (entry === undefined || entry === 'opening') throw badDescriptor(fd, syscall);
  return entry;
}

function badDescriptor(fd: number, syscall: string): SpinesClientError {
  return new SpinesClientError('EBADF', `${fd} is not an open spines descriptor`, { syscall });
}

function datagram(fd: number, syscall: string): Descriptor {
  const entry = lookUp(fd, syscall);
  if (entry.stream !== undefined)
    throw new SpinesClientError('ENOPROTOOPT', 'streams have no options in this version', {
      syscall,
    });
  return entry;
}

function streamOf(fd: number, syscall: string): StreamEntry {
  const entry = lookUp(fd, syscall);
  if (entry.stream === undefined)
    throw new SpinesClientError('EOPNOTSUPP', `${fd} is a datagram socket`, { syscall });
  return entry;
}

function reserve(): number {
  for (let fd = 1; fd <= DESCRIPTORS_MAX; fd++) {
    if (descriptors[fd] !== undefined) continue;
    descriptors[fd] = 'opening';
    return fd;
  }
  throw new SpinesClientError('EMFILE', `${DESCRIPTORS_MAX} descriptors are open; close some`, {
    syscall: 'socket',
  });
}

function share(target: DaemonTarget): SharedClient {
  const key = JSON.stringify(target);
  let shared = clients.get(key);
  if (shared === undefined) {
    shared = { key, client: SpinesClient.connect(target), users: 0 };
    clients.set(key, shared);
  }
  shared.users++;
  return shared;
}

async function release(shared: SharedClient): Promise<void> {
  if (--shared.users > 0) return;
  if (clients.get(shared.key) === shared) clients.delete(shared.key);
  const client = await shared.client.catch(() => null);
  await client?.close();
}

function failWaiters(entry: Descriptor, error: Error): void {
  for (const waiter of entry.waiters.splice(0)) waiter.reject(error);
  entry.socket.pause();
}

function sent(
  syscall: string,
  send: (done: (error: Error | null, bytes?: number) => void) => void,
): Promise<number> {
  return new Promise((resolve, reject) => {
    try {
      send((error, bytes) => {
        if (error === null) resolve(bytes ?? 0);
        else reject(error);
      });
    } catch (cause) {
      reject(new SpinesClientError('EINVAL', (cause as Error).message, { syscall, cause }));
    }
  });
}

function optionName(option: number, syscall: string): OptionName {
  const name = OPTIONS[option];
  if (name === undefined)
    throw new SpinesClientError(
      'ENOPROTOOPT',
      `option ${option} is not available in this version`,
      { syscall },
    );
  return name;
}

function targetOf(address: DaemonAddress | null): DaemonTarget | null {
  if (address === null) return null;
  if (typeof address === 'string') {
    if (address === '')
      throw new SpinesClientError('EINVAL', "the daemon's path is empty", { syscall: 'socket' });
    return { path: address };
  }
  return 'path' in address
    ? { path: address.path }
    : { host: address.host ?? '127.0.0.1', port: address.port ?? 8100, token: address.token };
}

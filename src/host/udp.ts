/**
 * UDP sockets as a datagram sink: one socket per listening address, sending synchronously.
 *
 * Node sends an unconnected datagram at once only if no name look-up is in the way, so look-ups are replaced by
 * identity (addresses are numeric). What the kernel does not take Node keeps by reference: the scratch buffer is
 * then left to it and a new one is used. Beyond a bound the sink drops and counts. `@hot`
 */

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { isIP } from 'node:net';
import { makeEndpoint, type DatagramSink, type Endpoint } from '../base/datagram.ts';
import { SpinesError } from '../base/errors.ts';

export interface UdpAddress {
  /** Numeric IPv4 or IPv6 address. */
  readonly address: string;
  /** 0 = any free port. */
  readonly port: number;
}

export interface UdpEvents {
  /** `bytes` belong to the callee. */
  onDatagram(bytes: Uint8Array, from: Endpoint): void;
  /** A datagram was not sent: the kernel took none for too long, or there is no socket of that family. */
  onDropped(): void;
  /** The sink, once congested, takes datagrams again. */
  onWritable(): void;
  onError(error: Error): void;
}

const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;
const SEND_BUFFER_BYTES = 1024 * 1024;
const SCRATCH_BYTES = 2_048;
/** Bytes that Node may hold for the kernel before the sink calls itself congested, and before it drops. */
const CONGESTED_BYTES = 64 * 1024;
const QUEUED_BYTES_MAX = 2 * 1024 * 1024;
const ENDPOINTS_MAX = 4_096;

export class UdpSink implements DatagramSink {
  congested = false;
  /** Smallest receive buffer that the system granted, bytes. */
  receiveBufferBytes = 0;
  readonly #events: UdpEvents;
  readonly #sockets: Socket[] = [];
  #v4: Socket | null = null;
  #v6: Socket | null = null;
  #scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  readonly #endpoints = new Map<number, Endpoint[]>();
  #endpointCount = 0;
  #retry: NodeJS.Timeout | null = null;

  constructor(events: UdpEvents) {
    this.#events = events;
  }

  /** Binds one socket per address. Throws SpinesError with the system's code (EADDRINUSE, EADDRNOTAVAIL, EACCES ...). */
  async open(addresses: readonly UdpAddress[]): Promise<void> {
    for (const wanted of addresses) {
      const v6 = isIP(wanted.address) === 6;
      const socket = createSocket({
        type: v6 ? 'udp6' : 'udp4', ipv6Only: v6,
        lookup: (host, _options, done) => done(null, host, v6 ? 6 : 4),
      });
      this.#sockets.push(socket);
      await new Promise<void>((resolve, reject) => {
        socket.once('error', (error: NodeJS.ErrnoException) => {
          reject(new SpinesError(error.code ?? 'EIO', `can't listen on UDP ${makeEndpoint(wanted.address, wanted.port).key}: ${explain(error.code)}`));
        });
        socket.bind({ address: wanted.address, port: wanted.port, exclusive: true }, () => resolve());
      });
      socket.removeAllListeners('error');
      socket.on('error', (error) => this.#events.onError(error));
      socket.on('message', (bytes, info) => this.#events.onDatagram(bytes, this.#endpoint(info)));
      try {
        socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES);
        socket.setSendBufferSize(SEND_BUFFER_BYTES);
      } catch {
        // Refused sizes show in receiveBufferBytes.
      }
      const granted = socket.getRecvBufferSize();
      this.receiveBufferBytes = this.receiveBufferBytes === 0 ? granted : Math.min(this.receiveBufferBytes, granted);
      if (v6) this.#v6 ??= socket;
      else this.#v4 ??= socket;
    }
  }

  /** Bound addresses, in the order of `open`. */
  get addresses(): Endpoint[] {
    return this.#sockets.map((socket) => {
      const { address, port } = socket.address();
      return makeEndpoint(address, port);
    });
  }

  send(to: Endpoint, bytes: Uint8Array, length: number): void {
    const socket = to.address.includes(':') ? this.#v6 : this.#v4;
    if (socket === null) {
      this.#events.onDropped();
      return;
    }
    if (this.congested && socket.getSendQueueSize() > QUEUED_BYTES_MAX) {
      this.#events.onDropped();
      return;
    }
    const scratch = this.#scratch;
    scratch.set(length === bytes.length ? bytes : bytes.subarray(0, length));
    socket.send(scratch, 0, length, to.port, to.address, onSent);
    const queued = socket.getSendQueueSize();
    if (queued > 0) this.#onQueued(queued);
  }

  close(): Promise<void> {
    if (this.#retry !== null) clearTimeout(this.#retry);
    return Promise.all(this.#sockets.map((socket) => new Promise<void>((resolve) => {
      try {
        socket.close(() => resolve());
      } catch {
        resolve();
      }
    }))).then(() => undefined);
  }

  #onQueued(bytes: number): void {
    this.#scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
    if (bytes < CONGESTED_BYTES) return;
    this.congested = true;
    this.#retry ??= setTimeout(() => this.#checkQueue(), 1);
  }

  #checkQueue(): void {
    this.#retry = null;
    let queued = 0;
    for (const socket of this.#sockets) queued += socket.getSendQueueSize();
    if (queued > CONGESTED_BYTES / 4) {
      this.#retry = setTimeout(() => this.#checkQueue(), 1);
      return;
    }
    this.congested = false;
    this.#events.onWritable();
  }

  /** One Endpoint object per peer address, so that links recognise it by identity. */
  #endpoint(info: RemoteInfo): Endpoint {
    const known = this.#endpoints.get(info.port);
    if (known !== undefined) {
      for (const endpoint of known) if (endpoint.address === info.address) return endpoint;
    }
    const endpoint = makeEndpoint(info.address, info.port);
    if (this.#endpointCount >= ENDPOINTS_MAX) {
      this.#endpoints.clear();
      this.#endpointCount = 0;
    }
    this.#endpointCount += 1;
    const list = this.#endpoints.get(info.port);
    if (list === undefined) this.#endpoints.set(info.port, [endpoint]);
    else list.push(endpoint);
    return endpoint;
  }
}

/** Errors of single datagrams (an unreachable network, a refused port) are the link's to notice. */
function onSent(): void {}

function explain(code: string | undefined): string {
  if (code === 'EADDRINUSE') return 'the port is in use; stop what uses it, or choose another with --listen';
  if (code === 'EADDRNOTAVAIL') return 'this machine has no such address; `ip address` lists those it has';
  if (code === 'EACCES') return 'ports below 1024 need privileges; choose another with --listen';
  return code ?? 'unknown error';
}

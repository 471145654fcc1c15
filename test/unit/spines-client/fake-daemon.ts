/**
 * A daemon of one node for the client's tests: answers requests, loops datagrams back, misbehaves
 * on demand.
 */

import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import * as p from '../../../spines-client/src/shared/protocol.ts';
import { FakeStreams } from './fake-streams.ts';

let serial = 0;

export function freshPath(): string {
  return join(tmpdir(), `spines-test-${process.pid}-${serial++}.sock`);
}

export interface Peer {
  socket: Socket;
  /** socket number -> port, 0 before bind */
  ports: Map<number, number>;
  options: Map<string, number>;
  requests: p.RequestBody[];
}

export class FakeDaemon {
  readonly path: string;
  peers: Peer[] = [];
  hellos: Record<string, unknown>[] = [];
  instance = 'one';
  version: number = p.PROTOCOL_VERSION;
  greet = true;
  takenPorts = new Set<number>();
  names = new Map([
    ['alpha', '10.0.0.1'],
    ['beta', '10.0.0.2'],
  ]);
  silentOps = new Set<string>();
  sends = 0;
  onSend: ((peer: Peer, socket: number) => void) | null = null;
  readonly streams = new FakeStreams();
  #server: Server | null = null;
  #nextPort = 40_001;

  constructor(path = freshPath()) {
    this.path = path;
  }

  async start(): Promise<this> {
    this.#server = createServer((socket) => this.#accept(socket));
    this.#server.listen(this.path);
    await once(this.#server, 'listening');
    return this;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    for (const peer of this.peers) peer.socket.destroy();
    this.peers = [];
    if (server !== null) await new Promise((resolve) => server.close(resolve));
    rmSync(this.path, { force: true });
  }

  get peer(): Peer {
    const peer = this.peers.at(-1);
    if (peer === undefined) throw new Error('nobody is connected');
    return peer;
  }

  write(bytes: Uint8Array): void {
    this.peer.socket.write(bytes);
  }

  ops(op: string): p.RequestBody[] {
    return this.peers.flatMap((peer) => peer.requests).filter((request) => request.op === op);
  }

  #accept(socket: Socket): void {
    const peer: Peer = { socket, ports: new Map(), options: new Map(), requests: [] };
    this.peers.push(peer);
    const reader = new p.FrameReader({
      onFrame: (type, bytes, start, end) => this.#onFrame(peer, type, bytes.subarray(start, end)),
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.peers = this.peers.filter((other) => other !== peer);
      this.streams.onPeerGone(peer);
    });
    socket.on('data', (chunk) => reader.push(chunk));
  }

  #onFrame(peer: Peer, type: number, body: Uint8Array): void {
    if (type === p.FRAME_HELLO) {
      this.hellos.push(p.decodeControl(body)!);
      if (!this.greet) return;
      peer.socket.write(
        p.encodeControl(p.FRAME_WELCOME, {
          version: this.version,
          node: '10.0.0.1',
          name: 'alpha',
          instance: this.instance,
          messageBytesMax: p.MESSAGE_BYTES_MAX,
          socketsMax: 4096,
        }),
      );
    } else if (type === p.FRAME_REQUEST) {
      const { id, op, ...args } = p.decodeControl(body)!;
      const request: p.RequestBody = { ...args, id: Number(id), op: String(op) };
      peer.requests.push(request);
      if (this.silentOps.has(request.op)) return;
      const answer = this.#answer(peer, request);
      const reply =
        'code' in answer
          ? { id: request.id, ok: false, message: `refused: ${String(answer['code'])}`, ...answer }
          : { id: request.id, ok: true, ...answer };
      peer.socket.write(p.encodeControl(p.FRAME_REPLY, reply));
    } else if (type === p.FRAME_SEND) {
      this.sends++;
      this.#loop(body, p.getWord(body, 0), peer);
    } else {
      this.streams.onFrame(peer, type, body);
    }
  }

  /** A datagram to port P reaches the socket bound to P, as if from the sender's port. */
  #loop(body: Uint8Array, from: number, peer: Peer): void {
    const port = (body[8]! << 8) | body[9]!;
    for (const other of this.peers) {
      for (const [socket, bound] of other.ports) {
        if (bound !== port) continue;
        other.socket.write(
          p.encodeDatagram(
            p.FRAME_RECV,
            socket,
            p.getWord(body, 4),
            peer.ports.get(from) ?? 0,
            body.subarray(p.DATAGRAM_HEAD_BYTES),
          ),
        );
      }
    }
    this.onSend?.(peer, from);
  }

  #answer(peer: Peer, request: p.RequestBody): Record<string, unknown> {
    const socket = request['socket'] as number;
    switch (request.op) {
      case 'socket':
        peer.ports.set(socket, 0);
        return {};
      case 'bind': {
        if (!peer.ports.has(socket)) return { code: 'EBADF' };
        const wanted = (request['port'] as number) || this.#nextPort++;
        if (
          this.takenPorts.has(wanted) ||
          this.peers.some((other) => [...other.ports.values()].includes(wanted))
        )
          return { code: 'EADDRINUSE' };
        peer.ports.set(socket, wanted);
        return { node: '10.0.0.1', port: wanted };
      }
      case 'close':
        peer.ports.delete(socket);
        this.streams.onClose(peer, socket);
        return {};
      case 'listen':
      case 'connect': {
        if (!peer.ports.has(socket)) return { code: 'EBADF' };
        if (peer.ports.get(socket) === 0) {
          const bound = this.#answer(peer, {
            ...request,
            op: 'bind',
            port: request.op === 'listen' ? request['port'] : 0,
          });
          if ('code' in bound) return bound;
        }
        const port = peer.ports.get(socket)!;
        if (request.op === 'connect') {
          const name = request['node'] as string;
          const node =
            this.names.get(name) ?? ([...this.names.values()].includes(name) ? name : undefined);
          return node === undefined
            ? { code: 'ENOENT' }
            : this.streams.connect(peer, socket, port, node, request['port'] as number);
        }
        this.streams.listen(peer, socket, port);
        return { node: '10.0.0.1', port };
      }
      case 'setOption':
        peer.options.set(`${socket}/${String(request['option'])}`, request['value'] as number);
        return {};
      case 'getOption':
        return { value: peer.options.get(`${socket}/${String(request['option'])}`) ?? 64 };
      case 'resolve': {
        const node = this.names.get(request['name'] as string);
        return node === undefined ? { code: 'ENOENT' } : { node, name: request['name'] };
      }
      case 'echo':
        return { ...request };
      default:
        return { code: 'EINVAL' };
    }
  }
}

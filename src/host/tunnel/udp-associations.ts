/**
 * UDP ASSOCIATE of SOCKS5 (RFC 1928, section 7): a UDP port for one client, as long as its TCP
 * connection lives.
 *
 * Owns the port, who may use it, and the heads of datagrams there. Who that is: the client's IP
 * address, with the port that it named or else the first that it sends from. Where datagrams go is
 * udp-near.ts's. Invariant: what is no whole datagram of that client is dropped and counted.
 */

import { createSocket, type Socket } from 'node:dgram';
import { sourceOf } from '../../core/base/source-budget.ts';
import { lookUpNothing } from '../net/udp-socket.ts';
import { formatTarget } from '../tunnel-target.ts';
import { decodeSocksDatagram, encodeSocksHead } from './socks-datagram.ts';
import { decodeTarget, encodeTarget } from './udp-message.ts';
import type { UdpClient, UdpNear } from './udp-near.ts';

/** Targets whose canonical form is remembered. */
const TARGETS_MAX = 64;
const BUFFER_BYTES = 1024 * 1024;

export interface AssociationCounts {
  fragments: number;
  malformed: number;
  /** From another address or port. */
  strangers: number;
}

let associations = 0;

/** What one datagram of a client means, without the socket that it came by. */
export class AssociationReader {
  readonly counts: AssociationCounts = { fragments: 0, malformed: 0, strangers: 0 };
  readonly #address: string;
  #port: number;
  readonly #targets = new Map<string, Buffer>();

  /** `port` 0: the first that sends from `address`. */
  constructor(address: string, port: number) {
    this.#address = address;
    this.#port = port;
  }

  /** 0 until it is known. */
  get port(): number {
    return this.#port;
  }

  /** Target, as `encodeTarget` writes it, and payload; null: it is dropped. */
  read(
    bytes: Buffer,
    address: string,
    port: number,
  ): { readonly target: Buffer; readonly payload: Buffer } | null {
    if (address !== this.#address || (this.#port !== 0 && port !== this.#port)) {
      this.counts.strangers += 1;
      return null;
    }
    const head = decodeSocksDatagram(bytes);
    if (head === 'fragment') {
      this.counts.fragments += 1;
      return null;
    }
    const target = head === 'malformed' ? null : this.#targetOf(bytes, head);
    if (head === 'malformed' || target === null) {
      this.counts.malformed += 1;
      return null;
    }
    this.#port = port;
    return { target, payload: bytes.subarray(head.payloadAt) };
  }

  #targetOf(bytes: Buffer, head: { targetAt: number; payloadAt: number }): Buffer | null {
    const name = bytes.toString('latin1', head.targetAt, head.payloadAt);
    const known = this.#targets.get(name);
    if (known !== undefined) return known;
    const target = decodeTarget(bytes, head.targetAt, false);
    if (target === null) return null;
    if (this.#targets.size >= TARGETS_MAX) this.#targets.clear();
    const encoded = encodeTarget(target);
    this.#targets.set(name, encoded);
    return encoded;
  }
}

export class UdpAssociation {
  readonly #near: UdpNear;
  readonly #reader: AssociationReader;
  readonly #client: UdpClient;
  readonly #socket: Socket;
  #closed = false;

  private constructor(near: UdpNear, socket: Socket, address: string, port: number) {
    this.#near = near;
    this.#socket = socket;
    this.#reader = new AssociationReader(address, port);
    this.#client = {
      key: `association ${(associations += 1)}`,
      source: sourceOf(address),
      name: formatTarget({ host: address, port: this.port }),
      deliver: (payload, from) => {
        if (!this.#closed)
          socket.send([encodeSocksHead(from!), payload], this.#reader.port, address);
      },
    };
    socket.on('message', (bytes, info) => {
      const read = this.#closed ? null : this.#reader.read(bytes, info.address, info.port);
      if (read !== null) near.onDatagram(this.#client, read.target, read.payload);
    });
  }

  /**
   * `local`: where the client has reached the proxy; `address`, `port`: the client's, 0 where it
   * has not said which. All numeric, IPv4 as such. Rejects with the system's code.
   */
  static open(
    near: UdpNear,
    local: string,
    address: string,
    port: number,
  ): Promise<UdpAssociation> {
    return new Promise((resolve, reject) => {
      const v6 = local.includes(':');
      const socket = createSocket({
        type: v6 ? 'udp6' : 'udp4',
        ipv6Only: v6,
        lookup: lookUpNothing(v6),
        recvBufferSize: BUFFER_BYTES,
      });
      socket.once('error', (error) => {
        socket.close();
        reject(error);
      });
      socket.bind(0, local, () => {
        socket.removeAllListeners('error').on('error', () => {});
        resolve(new UdpAssociation(near, socket, address, port));
      });
    });
  }

  /** Of its socket, which the client is told. */
  get port(): number {
    return this.#socket.address().port;
  }

  get counts(): AssociationCounts {
    return this.#reader.counts;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#near.forget(this.#client.key);
    this.#socket.close();
  }
}

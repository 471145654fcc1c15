/**
 * The UDP port at which programs of this machine, or of its network, reach the near end of a
 * tunnel.
 *
 * Owns its sockets: one for an address, and for a wildcard one for each address of this machine, so
 * that a client is answered from the address that it asked; `[::]` stands for those of IPv4 as
 * well. Addresses come and go: they are looked at every second. Invariant: nothing is called after
 * `close`.
 */

import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { SpinesError } from '../../core/base/errors.ts';
import { sourceOf } from '../../core/base/source-budget.ts';
import { isWildcard, localAddresses } from '../net/local-addresses.ts';
import { lookUpNothing } from '../net/udp-socket.ts';
import { formatTarget } from '../tunnel-target.ts';
import type { UdpClient } from './udp-near.ts';

const LOOK_MS = 1_000;
/** Asked of the system, which may grant less. */
const BUFFER_BYTES = 4 * 1024 * 1024;
/** Any port that is free at all addresses is looked for so often. */
const TRIES = 16;
/** Addresses of one machine. */
const SOCKETS_MAX = 256;

export interface LocalEvents {
  onDatagram(client: UdpClient, payload: Buffer): void;
  /** A socket failed, or an address could not be had; the others go on. */
  onTrouble(address: string, code: string): void;
}

/** Kept for a client between its datagrams: as many as there are, and forgotten with the rest. */
const CLIENTS_MAX = 4_096;

export class LocalUdp {
  readonly #events: LocalEvents;
  readonly #sockets = new Map<string, Socket>();
  #clients = new Map<string, UdpClient>();
  #port: number;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  private constructor(port: number, events: LocalEvents) {
    this.#port = port;
    this.#events = events;
  }

  /**
   * `host`: a numeric address, a wildcard, or a name of this machine; `port` 0: any that is free.
   * Rejects with the system's code (EADDRINUSE, EADDRNOTAVAIL, EACCES, ENOTFOUND ...).
   */
  static async listen(host: string, port: number, events: LocalEvents): Promise<LocalUdp> {
    const address =
      isIP(host.split('%')[0]!) > 0 ? host : (await lookup(host, { verbatim: true })).address;
    for (let tries = 1; ; tries += 1) {
      const local = new LocalUdp(port, events);
      try {
        await (isWildcard(address) ? local.#lookFirst(address) : local.#bind(address));
        return local;
      } catch (error) {
        local.close();
        // A port that was free at one address need not be at all.
        const { code } = error as NodeJS.ErrnoException;
        if (port !== 0 || code !== 'EADDRINUSE' || tries >= TRIES) throw error;
      }
    }
  }

  get port(): number {
    return this.#port;
  }

  /** Addresses that it listens at. */
  get addresses(): string[] {
    return [...this.#sockets.keys()];
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    for (const socket of this.#sockets.values()) socket.close();
    this.#sockets.clear();
  }

  async #lookFirst(host: string): Promise<void> {
    for (const address of addressesOf(host)) {
      try {
        await this.#bind(address);
      } catch (error) {
        // Such as one that another machine turns out to have.
        if ((error as NodeJS.ErrnoException).code !== 'EADDRNOTAVAIL') throw error;
      }
    }
    if (this.#sockets.size === 0)
      throw new SpinesError('EADDRNOTAVAIL', 'this machine has no address of that family');
    this.#timer = setInterval(() => void this.#look(host), LOOK_MS);
    this.#timer.unref();
  }

  async #look(host: string): Promise<void> {
    const now = addressesOf(host);
    for (const [address, socket] of this.#sockets)
      if (!now.includes(address)) {
        this.#sockets.delete(address);
        socket.close();
      }
    for (const address of now) {
      if (this.#closed || this.#sockets.has(address)) continue;
      try {
        await this.#bind(address);
      } catch (error) {
        const { code = 'EIO' } = error as NodeJS.ErrnoException;
        if (code !== 'EADDRNOTAVAIL') this.#events.onTrouble(address, code);
      }
    }
  }

  #bind(address: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const v6 = address.includes(':');
      const socket = createSocket({
        type: v6 ? 'udp6' : 'udp4',
        ipv6Only: v6,
        lookup: lookUpNothing(v6),
        recvBufferSize: BUFFER_BYTES,
      });
      let bound = false;
      socket.on('error', (error: NodeJS.ErrnoException) => {
        if (bound) {
          this.#events.onTrouble(address, error.code ?? 'EIO');
          return;
        }
        socket.close();
        reject(error);
      });
      socket.bind(this.#port, address, () => {
        bound = true;
        if (this.#closed) socket.close();
        else {
          this.#port = socket.address().port;
          this.#sockets.set(address, socket);
          this.#hear(address, socket);
        }
        resolve();
      });
    });
  }

  #hear(local: string, socket: Socket): void {
    socket.on('message', (payload, { address, port }) => {
      if (!this.#closed)
        this.#events.onDatagram(this.#clientOf(local, socket, address, port), payload);
    });
  }

  #clientOf(local: string, socket: Socket, address: string, port: number): UdpClient {
    const key = `${local} ${address} ${port}`;
    const known = this.#clients.get(key);
    if (known !== undefined) return known;
    // Cheap to make again, and easily asked for: all at once is as good as any order.
    if (this.#clients.size >= CLIENTS_MAX) this.#clients = new Map();
    const client: UdpClient = {
      key,
      source: sourceOf(address),
      name: formatTarget({ host: address, port }),
      deliver: (answer) => {
        if (this.#sockets.get(local) === socket) socket.send(answer, port, address);
      },
    };
    this.#clients.set(key, client);
    return client;
  }
}

/** Of a wildcard. */
function addressesOf(host: string): string[] {
  const both = host.includes(':');
  return [...(both ? localAddresses(true) : []), ...localAddresses(false)].slice(0, SOCKETS_MAX);
}

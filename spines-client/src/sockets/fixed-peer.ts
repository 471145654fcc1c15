/**
 * The one peer that a connected datagram socket sends to and hears, as node:dgram's `connect` has
 * it. Owns the peer and the connecting; its socket owns events and arguments.
 */

import { formatQuad } from '../address.ts';
import { stateError } from '../errors.ts';
import type { SpinesClientError } from '../errors.ts';
import type { SpinesAddress } from './datagram-options.ts';

export interface Peer {
  readonly node: number;
  readonly port: number;
}

/** A socket as its fixed peer sees it. */
export interface ConnectingSocket {
  isClosed(): boolean;
  /** Resolves when the socket can send. */
  ready(): Promise<void>;
  resolve(name: string, done: (error: SpinesClientError | null, node: number) => void): void;
}

export class FixedPeer {
  readonly #socket: ConnectingSocket;
  #peer: Peer | null = null;
  #connecting = false;

  constructor(socket: ConnectingSocket) {
    this.#socket = socket;
  }

  /** Null: the socket is not connected. */
  get current(): Peer | null {
    return this.#peer;
  }

  /**
   * Takes a peer once the socket is ready and the name is known. `done` comes in a later turn, and
   * not once the socket is closed. Throws ERR_SOCKET_DGRAM_IS_CONNECTED.
   */
  connect(port: number, name: () => string, done: (error: Error | null) => void): void {
    if (this.#peer !== null || this.#connecting)
      throw stateError('ERR_SOCKET_DGRAM_IS_CONNECTED', 'Already connected');
    this.#connecting = true;
    const fail = (error: Error): void => {
      this.#connecting = false;
      if (!this.#socket.isClosed()) done(error);
    };
    this.#socket
      .ready()
      .then(() => {
        this.#socket.resolve(name(), (error, node) => {
          if (this.#socket.isClosed()) return;
          if (error !== null) {
            process.nextTick(fail, error);
            return;
          }
          process.nextTick(() => {
            this.#connecting = false;
            this.#peer = { node, port };
            done(null);
          });
        });
      })
      .catch((error: Error) => process.nextTick(fail, error));
  }

  /** Throws ERR_SOCKET_DGRAM_NOT_CONNECTED. */
  disconnect(): void {
    this.#connected();
    this.#peer = null;
  }

  /** Throws ERR_SOCKET_DGRAM_NOT_CONNECTED. */
  address(): SpinesAddress {
    const { node, port } = this.#connected();
    return { address: formatQuad(node), family: 'spines', port };
  }

  #connected(): Peer {
    if (this.#peer === null) throw stateError('ERR_SOCKET_DGRAM_NOT_CONNECTED', 'Not connected');
    return this.#peer;
  }
}

/**
 * A program that sends datagrams as fast as it may and waits whenever it is told to: the client
 * library's own core talks to the daemon's port through a pipe that is late, as a kernel's is.
 */

import { expect } from 'vitest';

import { ClientCore } from '../../spines-client/src/core/core.ts';
import { MILLISECOND, type Micros } from '../../src/core/base/time.ts';
import type { ClientOut } from '../../src/core/ipc/client.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import type { Network } from './network.ts';

export const PORT = 4_000;
/** What a kernel keeps for a reader that is late, and how late it is. */
const PIPE_LATE: Micros = 3 * MILLISECOND;
const READ_BYTES = 65_536;

/** A program, its library and its connection to the daemon of `host`. */
export class Sender implements ClientOut {
  readonly bufferedBytes = 0;
  sent = 0;
  errors = 0;
  waits = 0;
  readonly #core: ClientCore;
  readonly #host: SimHost;
  readonly #message: Uint8Array;
  readonly #count: number;
  readonly #to: number;
  #socket = 0;
  #toDaemon: Uint8Array[] = [];

  constructor(
    network: Network,
    host: SimHost,
    to: { readonly id: number },
    count: number,
    bytes: number,
    routing: string,
    options: Readonly<Record<string, unknown>> = {},
  ) {
    this.#host = host;
    this.#to = to.id;
    this.#count = count;
    this.#message = new Uint8Array(bytes);
    const port = host.node.attachClient(this)!;
    this.#core = new ClientCore({
      sink: {
        write: (frame) => {
          this.#toDaemon.push(frame.slice());
          return true;
        },
        end: () => {},
      },
      listener: {
        onDraining: () => {},
        onClosed: () => {},
        onThrown: (error) => {
          throw error;
        },
        onWelcome: () => {
          this.#socket = this.#core.openSocket(
            {
              onMessage: () => {},
              onBlocked: () => {},
              onDropped: () => {},
              onSendError: () => {
                this.errors += 1;
              },
              onWritable: () => this.#go(),
            },
            1_000_000,
          );
          this.#core.request(
            'socket',
            { socket: this.#socket, kind: 'datagram', link: 'reliable', routing, ...options },
            (error) => {
              expect(error).toBeNull();
              this.#go();
            },
          );
        },
      },
    });
    this.#core.onConnected();
    const carry = (): void => {
      const frames = this.#toDaemon;
      this.#toDaemon = [];
      const all = new Uint8Array(frames.reduce((sum, frame) => sum + frame.length, 0));
      let at = 0;
      for (const frame of frames) {
        all.set(frame, at);
        at += frame.length;
      }
      for (let start = 0; start < all.length; start += READ_BYTES) {
        port.onBytes(all.subarray(start, Math.min(all.length, start + READ_BYTES)));
        host.endTurn();
      }
      network.world.schedule(network.now + PIPE_LATE, carry);
    };
    network.world.schedule(network.now, carry);
  }

  write(bytes: Uint8Array): void {
    const own = bytes.slice();
    const { world } = this.#host;
    world.schedule(world.now() + PIPE_LATE, () => this.#core.onBytes(own));
  }

  append(head: Uint8Array, bytes: Uint8Array, start: number, end: number): void {
    this.write(Uint8Array.of(...head, ...bytes.subarray(start, end)));
  }

  end(): void {}

  #go(): void {
    while (this.sent < this.#count) {
      this.sent += 1;
      if (this.#core.send(this.#socket, this.#to, PORT, [this.#message], this.#message.length))
        continue;
      this.waits += 1;
      return;
    }
  }
}

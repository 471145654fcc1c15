/**
 * Sockets of this machine for the far end of a UDP tunnel, by node:dgram, and its name look-up.
 *
 * Owns what a socket keeps until it is connected, and that errors are told and never thrown.
 */

import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns';
import { lookUpNothing } from '../net/udp-socket.ts';
import type { HostEvents, HostNetwork, HostSocket } from './udp-overlay.ts';

/** Until it is connected, which takes a turn of the event loop. */
const HELD_MAX = 64;
/** Asked of the system, which may grant less: a burst of answers of a fast target. */
const BUFFER_BYTES = 1024 * 1024;

export const hostNetwork: HostNetwork = {
  open: (family, to, events) => new DgramSocket(family, to, events),
  resolve: (host, done) =>
    lookup(host, { verbatim: true }, (error, address) =>
      done(error === null ? address : null, error?.code ?? ''),
    ),
};

class DgramSocket implements HostSocket {
  readonly #socket;
  readonly #connects: boolean;
  #connected = false;
  #closed = false;
  #held: Uint8Array[] = [];
  readonly #events: HostEvents;
  /** One for all sends. */
  readonly #onSent = (error: Error | null): void => {
    if (error !== null && !this.#closed) this.#events.onError(codeOf(error));
  };

  constructor(
    family: 4 | 6,
    to: { readonly address: string; readonly port: number } | null,
    events: HostEvents,
  ) {
    this.#events = events;
    this.#connects = to !== null;
    this.#socket = createSocket({
      type: family === 6 ? 'udp6' : 'udp4',
      lookup: lookUpNothing(family === 6),
      recvBufferSize: BUFFER_BYTES,
      sendBufferSize: BUFFER_BYTES,
    });
    this.#socket.on('error', (error) => {
      if (!this.#closed) events.onError(codeOf(error));
    });
    this.#socket.on('message', (payload, { address, port }) => {
      if (!this.#closed) events.onMessage(payload, address, port);
    });
    if (to === null) return;
    this.#socket.connect(to.port, to.address, (error?: Error) => {
      if (this.#closed) return;
      if (error !== undefined) {
        events.onError(codeOf(error));
        return;
      }
      this.#connected = true;
      const held = this.#held;
      this.#held = [];
      for (const payload of held) this.#socket.send(payload, this.#onSent);
    });
  }

  send(payload: Uint8Array, address: string, port: number): void {
    if (this.#closed) return;
    if (!this.#connects) this.#socket.send(payload, port, address, this.#onSent);
    else if (this.#connected) this.#socket.send(payload, this.#onSent);
    else if (this.#held.length < HELD_MAX) this.#held.push(payload);
    else this.#events.onError('ENOBUFS');
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }
}

function codeOf(error: Error): string {
  return (error as NodeJS.ErrnoException).code ?? 'EIO';
}

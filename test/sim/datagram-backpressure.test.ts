/**
 * Programs that send datagrams as fast as they may and wait whenever they are told to: over reliable links nothing of it is lost, whatever
 * the size of the messages and the number of programs. The client library's own core talks to the daemon's port through a pipe that is
 * late, as a kernel's is.
 */

import { expect, test } from 'vitest';

import { ClientCore, SEND_AHEAD_BYTES } from '../../spines-client/src/core.ts';
import { MILLISECOND, SECOND, type Micros } from '../../src/base/time.ts';
import type { ClientOut } from '../../src/ipc/client.ts';
import type { SimHost } from '../../src/sim/world.ts';
import { hosts, Inbox, useNetworks, wire, type Network } from '../support/network.ts';

useNetworks();

const PORT = 4_000;
/** What a kernel keeps for a reader that is late, and how late it is. */
const PIPE_LATE: Micros = 3 * MILLISECOND;
const READ_BYTES = 65_536;

/** A program, its library and its connection to the daemon of `host`. */
class Sender implements ClientOut {
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

  constructor(network: Network, host: SimHost, to: SimHost, count: number, bytes: number, routing: string) {
    this.#host = host;
    this.#to = to.id;
    this.#count = count;
    this.#message = new Uint8Array(bytes);
    const port = host.node.attachClient(this)!;
    this.#core = new ClientCore({
      sink: { write: (frame) => { this.#toDaemon.push(frame.slice()); return true; }, end: () => {} },
      listener: {
        onDraining: () => {}, onClosed: () => {}, onThrown: (error) => { throw error; },
        onWelcome: () => {
          this.#socket = this.#core.openSocket({
            onMessage: () => {}, onBlocked: () => {}, onDropped: () => {}, onSendError: () => { this.errors += 1; },
            onWritable: () => this.#go(),
          }, 1_000_000);
          this.#core.request('socket', { socket: this.#socket, kind: 'datagram', link: 'reliable', routing }, (error) => {
            expect(error).toBeNull();
            this.#go();
          });
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
      if (this.#core.send(this.#socket, this.#to, PORT, [this.#message], this.#message.length)) continue;
      this.waits += 1;
      return;
    }
  }
}

test.each([
  [1, 10_000, 1, 'link-state'], [20, 10_000, 1, 'link-state'], [100, 6_000, 3, 'link-state'], [1_400, 3_000, 1, 'link-state'], [1_400, 1_500, 8, 'link-state'], [5_000, 1_000, 2, 'link-state'], [65_536, 60, 2, 'link-state'],
  [20, 10_000, 1, 'byzantine'], [1_000, 2_000, 1, 'byzantine'],
] as const)('of %i bytes, %i by each of %i, routing %s: all arrive', (bytes, count, programs, routing) => {
  const network = hosts(3, { seed: 2 });
  // What comes from beside crosses the same queue.
  network.connect(network.host(0), network.host(1), wire({ latencyUs: 5 * MILLISECOND, bandwidthKbps: 30_000 }));
  network.connect(network.host(2), network.host(0), wire({ latencyUs: 2 * MILLISECOND, bandwidthKbps: 100_000 }));
  network.settle();
  const inbox = new Inbox(network.host(1), PORT);
  const senders = Array.from({ length: programs }, () => new Sender(network, network.host(0), network.host(1), count, bytes, routing));
  const total = count * programs;
  network.until(() => inbox.messages.length >= total, 120 * SECOND, 50 * MILLISECOND);
  const drops = network.host(0).node.drops.snapshot();
  expect([inbox.messages.length, senders.map((sender) => sender.errors), drops['linkQueueFull'] ?? 0], JSON.stringify(drops)).toEqual([total, senders.map(() => 0), 0]);
  if (count * (bytes + 192) > 4 * SEND_AHEAD_BYTES) expect(Math.min(...senders.map((sender) => sender.waits))).toBeGreaterThan(0);
  expect(network.host(0).node.byzantine!.totals.convictions).toBe(0);
});

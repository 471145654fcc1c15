/**
 * What a datagram socket receives: whether its program listens now, and from whom. Does not own the
 * queue of what waits (core/receive-queue.ts).
 */

import { formatQuad } from '../address.ts';
import type { ClientCore } from '../core/core.ts';
import type { RemoteInfo } from './datagram-options.ts';
import type { FixedPeer } from './fixed-peer.ts';

export class DatagramReceiver {
  readonly #core: ClientCore;
  readonly #id: number;
  readonly #peer: FixedPeer;
  readonly #take: (message: Buffer, from: RemoteInfo) => void;
  #paused = false;
  /** Where the message before came from, and its text. */
  #lastNode = 0;
  #lastAddress = '0.0.0.0';

  /** `id`: the socket's number at the daemon. `take` may throw, as programs do. */
  constructor(
    core: ClientCore,
    id: number,
    peer: FixedPeer,
    take: (message: Buffer, from: RemoteInfo) => void,
  ) {
    this.#core = core;
    this.#id = id;
    this.#peer = peer;
    this.#take = take;
  }

  get isPaused(): boolean {
    return this.#paused;
  }

  /** Messages wait in the receive queue; what does not fit there is dropped and counted. */
  pause(): void {
    this.#paused = true;
    this.#core.setFlowing(this.#id, false);
  }

  /** What waits comes from the next turn on. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#core.setFlowing(this.#id, true);
    process.nextTick(() => this.#flushQueue());
  }

  #flushQueue(): void {
    try {
      this.#core.flush(this.#id);
    } catch (error) {
      // A listener threw: the messages behind it must not wait for the next one to arrive.
      process.nextTick(() => this.#flushQueue());
      throw error;
    }
  }

  /** A message has come; a connected socket hears its peer only. */
  onMessage(
    payload: Uint8Array,
    node: number,
    port: number,
    authenticated: boolean,
    group: number,
  ): void {
    const peer = this.#peer.current;
    if (peer !== null && (peer.node !== node || peer.port !== port)) return;
    if (node !== this.#lastNode) {
      this.#lastNode = node;
      this.#lastAddress = formatQuad(node);
    }
    this.#take(payload as Buffer, {
      address: this.#lastAddress,
      family: 'spines',
      port,
      size: payload.length,
      authenticated,
      ...(group === 0 ? {} : { group: formatQuad(group) }),
    });
  }
}

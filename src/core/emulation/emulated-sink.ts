/**
 * The emulated network inside a real daemon: a sink that loses, delays and damages what it passes
 * on.
 *
 * Sits between the core and the UDP sockets. Owns one LinkModel per destination and the copies of
 * the datagrams under way, in one heap behind one Timer. Destinations without a model pass straight
 * through. Made by the host when a daemon runs emulated; the control plane changes links through
 * `setLink`. Invariant: at most `heldMax` datagrams and `heldBytesMax` bytes are held; what exceeds
 * them is dropped and counted.
 */

import type { LinkSettings } from 'spines-client/protocol';

import { copyBytes } from '../base/bytes.ts';
import type { DatagramSink, Endpoint } from '../base/datagram.ts';
import type { Rng } from '../base/rng.ts';
import { Timer, type Clock, type Micros, type Timers } from '../base/time.ts';
import { LinkModel, makeVerdict } from './link-model.ts';
import { applyLinkSettings, type DirectionSettings } from './link-settings.ts';

export interface EmulatedSinkOptions {
  /**
   * A datagram due within this time counts as due: it leaves up to this much early. Default 500 us,
   * half the grain of an operating system timer, so that the error is as often early as late. Use 0
   * on an exact clock.
   */
  readonly slackUs?: Micros;
  /**
   * False: damaged datagrams are sent on damaged. By default they are discarded, as a host's UDP
   * checksum would.
   */
  readonly checksums?: boolean;
  /** Most datagrams under way at once; default HELD_MAX. */
  readonly heldMax?: number;
  /** Most bytes under way at once, in buffer capacity; default HELD_BYTES_MAX. */
  readonly heldBytesMax?: number;
}

export const HELD_MAX = 65_536;
export const HELD_BYTES_MAX = 134_217_728;
/** Free small buffers kept for reuse; more are left to the collector. */
const POOL_MAX = 4_096;
/**
 * Capacity of a pooled buffer: any datagram that fits an Ethernet frame. Larger ones get their own.
 */
const POOLED_BYTES = 2_048;

interface Held {
  at: Micros;
  /** Order among datagrams due at the same time. */
  order: number;
  to: Endpoint;
  bytes: Uint8Array;
  length: number;
}

export class EmulatedSink implements DatagramSink {
  readonly #inner: DatagramSink;
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #rng: Rng;
  readonly #slackUs: Micros;
  readonly #checksums: boolean;
  readonly #heldMax: number;
  readonly #heldBytesMax: number;
  readonly #timer = new Timer(() => this.#onTimer());
  readonly #models = new Map<string, LinkModel>();
  /**
   * Look-ups by identity of the endpoint; null = no model. Replaced whole when the models change.
   */
  #known = new WeakMap<Endpoint, LinkModel | { none: true }>();
  readonly #verdict = makeVerdict();
  readonly #heap: Held[] = [];
  readonly #pool: Held[] = [];
  #orders = 0;
  #heldBytes = 0;
  #overflowDropped = 0;

  constructor(
    inner: DatagramSink,
    clock: Clock,
    timers: Timers,
    rng: Rng,
    options: EmulatedSinkOptions = {},
  ) {
    this.#inner = inner;
    this.#clock = clock;
    this.#timers = timers;
    this.#rng = rng;
    this.#slackUs = options.slackUs ?? 500;
    this.#checksums = options.checksums ?? true;
    this.#heldMax = options.heldMax ?? HELD_MAX;
    this.#heldBytesMax = options.heldBytesMax ?? HELD_BYTES_MAX;
  }

  /** As the sink below: what an emulated wire holds is under way, not waiting on this machine. */
  get congested(): boolean {
    return this.#inner.congested;
  }

  suspect(): void {
    this.#inner.suspect?.();
  }

  /** Datagrams under way now. */
  get held(): number {
    return this.#heap.length;
  }

  /** Buffer bytes under way now. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Datagrams dropped because a bound on what may be held was reached. */
  get overflowDropped(): number {
    return this.#overflowDropped;
  }

  get heldMax(): number {
    return this.#heldMax;
  }

  /**
   * Emulates the wire to the destination with this Endpoint.key from now on. `label` names the
   * wire: the same seed and label give the same faults. A model that was there before is replaced.
   */
  attach(key: string, settings: DirectionSettings, label: string): LinkModel {
    const model = new LinkModel(settings, this.#rng.fork(label));
    this.#models.set(key, model);
    this.#known = new WeakMap();
    return model;
  }

  /**
   * Changes the wire to `key` and returns its settings now, null when it has no model.
   * Throws SpinesError 'EINVAL' for a value out of range.
   */
  setLink(key: string, change: LinkSettings): DirectionSettings | null {
    const model = this.#models.get(key);
    if (model === undefined) return null;
    model.set(applyLinkSettings(model.settings, change));
    return model.settings;
  }

  get(key: string): LinkModel | null {
    return this.#models.get(key) ?? null;
  }

  send(to: Endpoint, bytes: Uint8Array, length: number): void {
    const model = this.#modelOf(to);
    if (model === null) {
      this.#inner.send(to, bytes, length);
      return;
    }
    const verdict = this.#verdict;
    const now = this.#clock.now();
    model.offer(now, length, verdict);
    if (verdict.copies === 0) return;
    if (verdict.copies === 2) {
      // Taken first: the verdict is reused, and a send below may come back here through the timers.
      const { at0, corruptBit } = verdict;
      this.#deliver(now, verdict.at1, -1, to, bytes, length);
      this.#deliver(now, at0, corruptBit, to, bytes, length);
      return;
    }
    this.#deliver(now, verdict.at0, verdict.corruptBit, to, bytes, length);
  }

  /** Drops all that is under way. Nothing is sent afterwards unless `send` is called again. */
  close(): void {
    this.#timers.cancel(this.#timer);
    for (const held of this.#heap) this.#release(held);
    this.#heap.length = 0;
  }

  #modelOf(to: Endpoint): LinkModel | null {
    let found = this.#known.get(to);
    if (found === undefined) {
      found = this.#models.get(to.key) ?? noModel;
      this.#known.set(to, found);
    }
    return found instanceof LinkModel ? found : null;
  }

  #deliver(
    now: Micros,
    at: Micros,
    corruptBit: number,
    to: Endpoint,
    bytes: Uint8Array,
    length: number,
  ): void {
    if (corruptBit >= 0 && this.#checksums) return;
    if (at <= now + this.#slackUs && corruptBit < 0) {
      // What is due before it goes first, or this datagram would overtake it.
      const head = this.#heap[0];
      if (head !== undefined && head.at <= at) this.#drain(at);
      this.#inner.send(to, bytes, length);
      return;
    }
    const held = this.#take(length);
    if (held === null) {
      this.#overflowDropped += 1;
      return;
    }
    copyBytes(bytes, 0, length, held.bytes, 0);
    if (corruptBit >= 0) held.bytes[corruptBit >> 3]! ^= 0x80 >> (corruptBit & 7);
    held.at = at;
    held.order = ++this.#orders;
    held.to = to;
    held.length = length;
    this.#push(held);
    if (this.#heap[0] === held) this.#arm();
  }

  #onTimer(): void {
    this.#drain(this.#clock.now() + this.#slackUs);
  }

  /** Sends, in order, all that is due at or before `until`. */
  #drain(until: Micros): void {
    for (;;) {
      const held = this.#heap[0];
      if (held === undefined || held.at > until) break;
      this.#pop();
      this.#inner.send(held.to, held.bytes, held.length);
      this.#release(held);
    }
    this.#arm();
  }

  #arm(): void {
    const head = this.#heap[0];
    if (head === undefined) this.#timers.cancel(this.#timer);
    else this.#timers.arm(this.#timer, Math.max(0, head.at - this.#slackUs));
  }

  #take(length: number): Held | null {
    const capacity = Math.max(length, POOLED_BYTES);
    if (this.#heap.length >= this.#heldMax || this.#heldBytes + capacity > this.#heldBytesMax)
      return null;
    this.#heldBytes += capacity;
    const pooled = capacity === POOLED_BYTES ? this.#pool.pop() : undefined;
    return pooled ?? { at: 0, order: 0, to: nowhere, bytes: new Uint8Array(capacity), length: 0 };
  }

  #release(held: Held): void {
    this.#heldBytes -= held.bytes.length;
    held.to = nowhere;
    if (held.bytes.length === POOLED_BYTES && this.#pool.length < POOL_MAX) this.#pool.push(held);
  }

  #push(held: Held): void {
    const heap = this.#heap;
    let slot = heap.length;
    heap.push(held);
    while (slot > 0) {
      const parentSlot = (slot - 1) >> 1;
      const parent = heap[parentSlot]!;
      if (!before(held, parent)) break;
      heap[slot] = parent;
      slot = parentSlot;
    }
    heap[slot] = held;
  }

  /** Removes the earliest. */
  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let slot = 0;
    for (;;) {
      let childSlot = 2 * slot + 1;
      let child = heap[childSlot];
      if (child === undefined) break;
      const right = heap[childSlot + 1];
      if (right !== undefined && before(right, child)) {
        childSlot += 1;
        child = right;
      }
      if (!before(child, last)) break;
      heap[slot] = child;
      slot = childSlot;
    }
    heap[slot] = last;
  }
}

function before(a: Held, b: Held): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

const noModel = { none: true } as const;
/** Stands in for the destination of a pooled buffer, so that the pool keeps no endpoint alive. */
const nowhere: Endpoint = { address: '', port: 0, local: null, key: '' };

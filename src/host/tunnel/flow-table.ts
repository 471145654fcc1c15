/**
 * The flows of a UDP tunnel's end: so many in all and of each source, each for as long as it is
 * used.
 *
 * Owns the bounds, the idle limit (RFC 4787, section 4.3: two minutes or more) and who gives way:
 * the flow that was idle for longest, of the source that has its share, else of all. A flow that
 * was proved by use, because its client has spoken again after an answer, goes after those that
 * were not while it is one of three quarters of all: sources are easily made up, and whoever
 * makes them up hears no answer. Used by udp-near.ts and udp-far.ts. Invariant: `onEnd` is called
 * once for each flow that was added.
 */

import { SECOND, Timer, type Clock, type Micros, type Timers } from '../../core/base/time.ts';

export interface FlowLimits {
  readonly flowsMax: number;
  readonly perSourceMax: number;
  readonly idleUs: Micros;
}

/** What a flow must have to be kept; written by the table only. */
export class TableFlow {
  readonly key: string;
  readonly source: string;
  usedAt: Micros = 0;
  proved = false;

  constructor(key: string, source: string) {
    this.key = key;
    this.source = source;
  }
}

/** Why a flow ended. */
export type FlowEnd = 'idle' | 'gave way' | 'closed';

/** Flows end so much after their limit, at most: they are looked at in one go. */
const LOOK_US: Micros = SECOND;

export class FlowTable<F extends TableFlow> {
  readonly #limits: FlowLimits;
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #onEnd: (flow: F, why: FlowEnd) => void;
  readonly #flows = new Map<string, F>();
  readonly #bySource = new Map<string, Set<F>>();
  #proved = 0;
  readonly #timer = new Timer(() => this.#expire());

  constructor(
    limits: FlowLimits,
    clock: Clock,
    timers: Timers,
    onEnd: (flow: F, why: FlowEnd) => void,
  ) {
    this.#limits = limits;
    this.#clock = clock;
    this.#timers = timers;
    this.#onEnd = onEnd;
  }

  get size(): number {
    return this.#flows.size;
  }

  get(key: string): F | undefined {
    return this.#flows.get(key);
  }

  /** `flow.key` must be new. Whoever is in its way ends first. */
  add(flow: F): void {
    const own = this.#bySource.get(flow.source);
    if (own !== undefined && own.size >= this.#limits.perSourceMax)
      this.delete(this.#victim(own), 'gave way');
    else if (this.#flows.size >= this.#limits.flowsMax)
      this.delete(this.#victim(this.#flows.values()), 'gave way');
    flow.usedAt = this.#clock.now();
    this.#flows.set(flow.key, flow);
    const beside = this.#bySource.get(flow.source);
    if (beside === undefined) this.#bySource.set(flow.source, new Set([flow]));
    else beside.add(flow);
    if (!this.#timer.armed) this.#timers.arm(this.#timer, flow.usedAt + this.#limits.idleUs);
  }

  /** `flow` was used. */
  touch(flow: F): void {
    flow.usedAt = this.#clock.now();
  }

  /** Its client has spoken again after an answer. */
  prove(flow: F): void {
    if (flow.proved || this.#flows.get(flow.key) !== flow) return;
    flow.proved = true;
    this.#proved += 1;
  }

  /** Of no effect on a flow that has ended. */
  delete(flow: F, why: FlowEnd): void {
    if (this.#flows.get(flow.key) !== flow) return;
    this.#flows.delete(flow.key);
    const own = this.#bySource.get(flow.source)!;
    own.delete(flow);
    if (own.size === 0) this.#bySource.delete(flow.source);
    if (flow.proved) this.#proved -= 1;
    if (this.#flows.size === 0) this.#timers.cancel(this.#timer);
    this.#onEnd(flow, why);
  }

  close(): void {
    for (const flow of [...this.#flows.values()]) this.delete(flow, 'closed');
  }

  *[Symbol.iterator](): IterableIterator<F> {
    yield* this.#flows.values();
  }

  #victim(flows: Iterable<F>): F {
    let oldest: F | null = null,
      unproved: F | null = null;
    for (const flow of flows) {
      if (oldest === null || flow.usedAt < oldest.usedAt) oldest = flow;
      if (!flow.proved && (unproved === null || flow.usedAt < unproved.usedAt)) unproved = flow;
    }
    const spared = this.#proved * 4 <= this.#limits.flowsMax * 3;
    return spared && unproved !== null ? unproved : oldest!;
  }

  #expire(): void {
    const now = this.#clock.now(),
      { idleUs } = this.#limits;
    let first = Infinity;
    for (const flow of [...this.#flows.values()]) {
      if (flow.usedAt + idleUs <= now) this.delete(flow, 'idle');
      else first = Math.min(first, flow.usedAt + idleUs);
    }
    if (this.#flows.size > 0) this.#timers.arm(this.#timer, Math.max(first, now + LOOK_US));
  }
}

/**
 * What arrives at the far end of a row: counted, with the time of the last, and the latency of
 * packets that carry when they were sent.
 *
 * A stamp is milliseconds of the monotonic clock as a float64 in front of the payload; 0 = none.
 */

import { monotonicMs, quantile } from './processes.js';

export interface Arrived {
  readonly packets: number;
  readonly bytes: number;
  readonly lastAtMs: number;
  /** Milliseconds one way; NaN when no packet had a stamp. */
  readonly latency: Percentiles;
}

export interface Percentiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** Latencies kept; of further ones none. */
const KEPT_MAX = 500_000;
const NO_STAMP = Buffer.alloc(8);

export class Arrivals {
  #packets = 0;
  #bytes = 0;
  #lastAtMs = 0;
  #kept: number[] = [];

  add(payload: Uint8Array): void {
    this.#packets += 1;
    this.#bytes += payload.length;
    this.#lastAtMs = monotonicMs();
    // The exponent's byte of a float64 is 0 only of 0.
    if (payload[7] === 0 || this.#kept.length >= KEPT_MAX) return;
    this.#kept.push(
      this.#lastAtMs - new DataView(payload.buffer, payload.byteOffset, 8).getFloat64(0, true),
    );
  }

  /** As `add`, of a part of a byte stream. */
  addBytes(bytes: number): void {
    this.#bytes += bytes;
    this.#lastAtMs = monotonicMs();
  }

  /** Since the last call. */
  take(): Arrived {
    const kept = this.#kept;
    const at = (share: number): number => quantile(kept, share);
    const taken = {
      packets: this.#packets,
      bytes: this.#bytes,
      lastAtMs: this.#lastAtMs,
      latency: { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) },
    };
    this.#packets = 0;
    this.#bytes = 0;
    this.#kept = [];
    return taken;
  }

  get packets(): number {
    return this.#packets;
  }

  get bytes(): number {
    return this.#bytes;
  }
}

/**
 * Payloads of one size, every `every`-th of them stamped: those are buffers of their own, as
 * whoever sends them may keep them.
 */
export class Payloads {
  readonly #plain: Buffer;
  readonly #every: number;
  #count = 0;

  constructor(bytes: number, every: number) {
    this.#plain = Buffer.alloc(Math.max(bytes, NO_STAMP.length));
    this.#every = every;
  }

  next(): Buffer {
    this.#count += 1;
    if (this.#every === 0 || this.#count % this.#every !== 0) return this.#plain;
    const stamped = Buffer.alloc(this.#plain.length);
    stamped.writeDoubleLE(monotonicMs());
    return stamped;
  }
}

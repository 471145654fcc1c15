/**
 * What one direction of an emulated wire does to each datagram: a verdict with arrival times.
 *
 * Owns the bottleneck's clock, the loss state, the random streams and the counters; it holds no
 * datagram. The emulated sink and the simulator call `offer` and do the delaying themselves.
 * Order of things, as on a real path: bottleneck queue, loss, propagation, jitter. Latency is what
 * a datagram needs across the idle link, its own transmission included, whatever its size:
 * bandwidth makes it wait for those before it and keeps the link busy for those after it, at
 * exactly the line rate. Invariant: each enabled feature draws from a stream of its own, once per
 * datagram offered (bursts in time: once per burst), whatever becomes of it, so that switching one
 * feature does not shift the draws of another.
 */

import { assert } from '../base/assert.ts';
import type { Rng } from '../base/rng.ts';
import type { Micros } from '../base/time.ts';
import { changeDirection, type DirectionChange, type DirectionSettings } from './link-settings.ts';

/** Bytes of the IPv4 and UDP headers: what a datagram occupies on the wire beyond its payload. */
export const IP_UDP_BYTES = 28;

/** The fate of one datagram. The caller makes one and reuses it. */
export interface Verdict {
  copies: 0 | 1 | 2;
  /** Arrival of copy 0; meaningless when copies is 0. */
  at0: Micros;
  /** Arrival of copy 1; meaningless unless copies is 2. */
  at1: Micros;
  /** Index of the payload bit to flip in copy 0 (bit 0 = highest bit of byte 0), -1 = none. */
  corruptBit: number;
}

export function makeVerdict(): Verdict {
  return { copies: 0, at0: 0, at1: 0, corruptBit: -1 };
}

/**
 * offered = lost + tooLong + queueDropped + delivered; the other three count among the delivered.
 */
export interface LinkCounters {
  readonly offered: number;
  /** By the loss model, or offered while the link was down. */
  readonly lost: number;
  /** Longer than the MTU; nobody is told, as on a path whose ICMP is filtered. */
  readonly tooLong: number;
  readonly queueDropped: number;
  readonly duplicated: number;
  readonly reordered: number;
  readonly corrupted: number;
  readonly delivered: number;
}

export class LinkModel {
  readonly counters: LinkCounters;
  readonly #counts: { -readonly [K in keyof LinkCounters]: LinkCounters[K] };
  #settings: DirectionSettings;

  readonly #lossRng: Rng;
  readonly #stateRng: Rng;
  readonly #jitterRng: Rng;
  readonly #duplicateRng: Rng;
  readonly #reorderRng: Rng;
  readonly #corruptRng: Rng;
  /** Gilbert-Elliott: in the bad state; where it goes by time, until then, 0 = not begun. */
  #bad = false;
  #stateUntil: Micros = 0;

  /**
   * The bottleneck is free at #freeAt + #freeRest / #rateKbps microseconds. The rest is kept as an
   * integer numerator: a double of microseconds would drift off the line rate.
   */
  #freeAt: Micros = 0;
  #freeRest = 0;
  /**
   * The rate that #freeAt and #freeRest are reckoned at; 0 = unlimited. Trails the settings until
   * the next use.
   */
  #rateKbps: number;
  /** Latest arrival given to a datagram that was not held back: the wire is FIFO. */
  #lastAt: Micros = 0;

  constructor(settings: DirectionSettings, rng: Rng) {
    this.#settings = changeDirection(settings, {});
    this.#rateKbps = settings.bandwidthKbps ?? 0;
    this.#lossRng = rng.fork('loss');
    this.#stateRng = rng.fork('loss-state');
    this.#jitterRng = rng.fork('jitter');
    this.#duplicateRng = rng.fork('duplicate');
    this.#reorderRng = rng.fork('reorder');
    this.#corruptRng = rng.fork('corrupt');
    this.#counts = {
      offered: 0,
      lost: 0,
      tooLong: 0,
      queueDropped: 0,
      duplicated: 0,
      reordered: 0,
      corrupted: 0,
      delivered: 0,
    };
    this.counters = this.#counts;
  }

  get settings(): DirectionSettings {
    return this.#settings;
  }

  /** Datagrams that were offered and did not get through. */
  get dropped(): number {
    const { lost, tooLong, queueDropped } = this.#counts;
    return lost + tooLong + queueDropped;
  }

  /**
   * Changes settings from the next datagram on; arrival times already given stand, and later
   * datagrams do not overtake them. Throws SpinesError 'EINVAL' for a value out of range (nothing
   * changes then).
   */
  set(change: DirectionChange): void {
    const next = changeDirection(this.#settings, change);
    if (
      next.loss !== this.#settings.loss &&
      (next.loss.kind !== this.#settings.loss.kind || next.loss.kind === 'bursts-in-time')
    ) {
      this.#bad = false;
      this.#stateUntil = 0;
    }
    this.#settings = next;
  }

  /**
   * IP bytes at the bottleneck that are not yet on the wire, rounded up; 0 while the bandwidth is
   * unlimited.
   */
  queueBytes(now: Micros): number {
    this.#advance(now);
    return this.#backlogBytes(now);
  }

  /**
   * Decides what becomes of a datagram with `payloadBytes` of UDP payload that is sent at `now`
   * (which never goes back) and writes it to `out`. Allocates nothing.
   */
  offer(now: Micros, payloadBytes: number, out: Verdict): void {
    assert(payloadBytes >= 0, 'a datagram has no negative length');
    const settings = this.#settings;
    const counts = this.#counts;
    const lost = this.#drawLoss(now);
    const jitterUs = settings.jitterUs > 0 ? this.#jitterRng.below(settings.jitterUs + 1) : 0;
    const duplicated = this.#duplicateRng.chance(settings.duplicateRate);
    const reordered = this.#reorderRng.chance(settings.reorderRate);
    const corruptBit =
      this.#corruptRng.chance(settings.corruptRate) && payloadBytes > 0
        ? this.#corruptRng.below(payloadBytes * 8)
        : -1;

    counts.offered += 1;
    out.copies = 0;
    out.corruptBit = -1;
    if (!settings.up) {
      counts.lost += 1;
      return;
    }
    const ipBytes = payloadBytes + IP_UDP_BYTES;
    if (settings.mtuBytes !== null && ipBytes > settings.mtuBytes) {
      counts.tooLong += 1;
      return;
    }
    this.#advance(now);
    const sentAt = this.#freeRest > 0 ? this.#freeAt + 1 : this.#freeAt;
    if (this.#rateKbps > 0) {
      const backlog = this.#backlogBytes(now);
      if (backlog > 0 && backlog + ipBytes > settings.queueBytes) {
        counts.queueDropped += 1;
        return;
      }
      // kbit/s are bits per millisecond: ipBytes * 8000 / kbps microseconds.
      const work = this.#freeRest + ipBytes * 8_000;
      const rest = work % this.#rateKbps;
      this.#freeAt += (work - rest) / this.#rateKbps;
      this.#freeRest = rest;
    }
    if (lost) {
      counts.lost += 1;
      return;
    }

    const at = Math.max(sentAt + settings.latencyUs + jitterUs, this.#lastAt);
    counts.delivered += 1;
    out.copies = 1;
    out.at0 = at;
    if (duplicated) {
      counts.duplicated += 1;
      out.copies = 2;
      out.at1 = at;
    }
    if (reordered) {
      // Copy 0 alone is held back and leaves no mark on #lastAt: later datagrams pass it.
      counts.reordered += 1;
      out.at0 = at + settings.reorderUs;
    }
    if (!reordered || duplicated) this.#lastAt = at;
    if (corruptBit >= 0) {
      counts.corrupted += 1;
      out.corruptBit = corruptBit;
    }
  }

  /** Brings the bottleneck's clock up to `now`, and to the present bandwidth. */
  #advance(now: Micros): void {
    if (now > this.#freeAt || (now === this.#freeAt && this.#freeRest === 0)) {
      this.#freeAt = now;
      this.#freeRest = 0;
    }
    const rate = this.#settings.bandwidthKbps ?? 0;
    if (rate === this.#rateKbps) return;
    // The bytes that wait stay, and take the time that the new rate gives them.
    const work = this.#backlogBytes(now) * 8_000;
    this.#rateKbps = rate;
    this.#freeRest = rate === 0 ? 0 : work % rate;
    this.#freeAt = rate === 0 ? now : now + (work - this.#freeRest) / rate;
  }

  #backlogBytes(now: Micros): number {
    if (this.#rateKbps === 0) return 0;
    return Math.ceil(((this.#freeAt - now) * this.#rateKbps + this.#freeRest) / 8_000);
  }

  #drawLoss(now: Micros): boolean {
    const { loss } = this.#settings;
    if (loss.kind === 'bernoulli') return this.#lossRng.chance(loss.rate);
    if (loss.kind === 'bursts-in-time') {
      if (this.#stateUntil === 0) this.#stateUntil = now + exponential(this.#stateRng, loss.goodUs);
      while (now >= this.#stateUntil) {
        this.#bad = !this.#bad;
        this.#stateUntil += !this.#bad
          ? exponential(this.#stateRng, loss.goodUs)
          : loss.badFixed
            ? loss.badUs
            : exponential(this.#stateRng, loss.badUs);
      }
    } else if (this.#stateRng.chance(this.#bad ? loss.badToGood : loss.goodToBad))
      this.#bad = !this.#bad;
    return this.#lossRng.chance(this.#bad ? loss.lossBad : loss.lossGood);
  }
}

/** An exponentially distributed time, at least 1 us. */
function exponential(rng: Rng, meanUs: Micros): Micros {
  return Math.max(1, Math.round(-meanUs * logarithm(Math.max(rng.unit(), 2 ** -32))));
}

/**
 * Of 0 < x <= 1: by halves and a series, since the last bit of Math.log may differ between engines.
 */
function logarithm(x: number): number {
  let halves = 0,
    rest = x;
  for (; rest < 0.75; halves += 1) rest *= 2;
  const y = (rest - 1) / (rest + 1);
  let sum = 0,
    power = y;
  for (let i = 1; i < 30; i += 2) {
    sum += power / i;
    power *= y * y;
  }
  return 2 * sum - halves * Math.LN2;
}

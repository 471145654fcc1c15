/**
 * Reassembly by itself: every order of pieces, bounds of bytes and messages, time.
 */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../src/base/rng.ts';
import { SECOND, type Micros } from '../../../src/base/time.ts';
import { TimerQueue } from '../../../src/base/timer-queue.ts';
import { Reassembly, REASSEMBLY_TIMEOUT } from '../../../src/session/reassembly.ts';
import { DropCounters, DropReason } from '../../../src/wire/drop.ts';
import { FRAGMENT_BYTES } from '../../../src/wire/fragment.ts';
import { pattern } from '../../support/network.ts';

class Bench {
  now: Micros = 0;
  readonly timers = new TimerQueue();
  readonly drops = new DropCounters();
  readonly reassembly: Reassembly;

  constructor(limit = 8 * 1024 * 1024) {
    this.reassembly = new Reassembly(limit, { now: () => this.now }, this.timers, this.drops);
  }

  advance(to: Micros): void {
    while (this.timers.nextAt <= to) {
      this.now = this.timers.nextAt;
      this.timers.runDue(this.now);
    }
    this.now = to;
  }

  /** Piece `index` of `bytes`. */
  piece(source: number, message: number, bytes: Uint8Array, index: number): Uint8Array | null {
    const start = index * FRAGMENT_BYTES;
    const end = Math.min(bytes.length, start + FRAGMENT_BYTES);
    return this.reassembly.onPiece(`${source} ${message}`, source, index, Math.ceil(bytes.length / FRAGMENT_BYTES), FRAGMENT_BYTES, bytes, start, end);
  }
}

describe('reassembly', () => {
  test('gives the message once its last piece is in, in whatever order', () => {
    const rng = new Rng(1);
    const bench = new Bench();
    for (let i = 0; i < 200; i += 1) {
      const bytes = pattern(FRAGMENT_BYTES + 1 + rng.below(65_536 - FRAGMENT_BYTES), i);
      const order = rng.shuffle(Array.from({ length: Math.ceil(bytes.length / FRAGMENT_BYTES) }, (_, k) => k));
      order.forEach((index, at) => {
        const whole = bench.piece(7, i, bytes, index);
        if (at < order.length - 1) expect(whole).toBeNull();
        else expect(Buffer.compare(whole!, bytes)).toBe(0);
      });
      expect(bench.reassembly.bytes).toBe(0);
    }
    expect(bench.drops.total).toBe(0);
  });

  test('gives up a message of which nothing came for five seconds, and its memory', () => {
    const bench = new Bench();
    const bytes = pattern(5_000);
    bench.piece(7, 1, bytes, 0);
    bench.advance(4 * SECOND);
    bench.piece(7, 1, bytes, 1);
    bench.advance(4 * SECOND + REASSEMBLY_TIMEOUT - 1);
    expect(bench.reassembly.messages).toBe(1);
    bench.advance(4 * SECOND + REASSEMBLY_TIMEOUT);
    expect(bench.reassembly.messages).toBe(0);
    expect(bench.reassembly.bytes).toBe(0);
    expect(bench.drops.of(DropReason.fragmentTimedOut)).toBe(1);
    expect(bench.timers.size).toBe(0);
  });

  test('pieces that are repeated for ever do not keep a message alive', () => {
    const bench = new Bench();
    const bytes = pattern(5_000);
    for (let i = 0; i < 100; i += 1) {
      bench.piece(7, 1, bytes, 0);
      bench.piece(8, i, bytes, 0);
      bench.advance(bench.now + SECOND / 10);
    }
    // Opened anew after each five seconds, hence twice given up in ten.
    expect(bench.drops.of(DropReason.fragmentTimedOut)).toBeGreaterThanOrEqual(1);
    bench.advance(bench.now + 2 * REASSEMBLY_TIMEOUT);
    expect(bench.reassembly.messages).toBe(0);
  });

  test('a source holds at most 1,024 messages: its own oldest gives way', () => {
    const bench = new Bench();
    const bytes = pattern(3_000);
    bench.piece(8, 1, bytes, 0);
    for (let i = 0; i < 1_500; i += 1) bench.piece(7, i, bytes, 0);
    expect(bench.reassembly.messages).toBe(1_025);
    expect(bench.drops.of(DropReason.fragmentTableFull)).toBe(476);
    expect(bench.piece(8, 1, bytes, 1)).toBeNull();
    expect(bench.piece(8, 1, bytes, 2)).not.toBeNull();
  });

  test('at the byte limit the source that holds most gives way, not a slow honest one', () => {
    const bench = new Bench(1024 * 1024);
    const honest = pattern(3_000);
    bench.piece(9, 1, honest, 0);
    for (let i = 0; i < 1_000; i += 1) {
      bench.piece(1 + (i % 5), i, pattern(65_536), 0);
      expect(bench.reassembly.bytes).toBeLessThanOrEqual(1024 * 1024);
    }
    bench.piece(9, 1, honest, 1);
    expect(bench.piece(9, 1, honest, 2)).not.toBeNull();
  });
});

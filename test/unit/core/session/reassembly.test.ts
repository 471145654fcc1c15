/**
 * Reassembly by itself: every order of pieces, bounds of bytes and messages, who gives way, time.
 */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { SECOND, type Micros } from '../../../../src/core/base/time.ts';
import { TimerQueue } from '../../../../src/core/base/timer-queue.ts';
import type { Origin } from '../../../../src/core/session/origin.ts';
import { Reassembly, REASSEMBLY_TIMEOUT } from '../../../../src/core/session/reassembly.ts';
import { DropCounters, DropReason } from '../../../../src/core/wire/drop.ts';
import { FRAGMENT_BYTES } from '../../../../src/core/wire/fragment.ts';
import { pattern } from '../../../support/network.ts';

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
  piece(
    source: number,
    message: number,
    bytes: Uint8Array,
    index: number,
    origin: Partial<Origin> = {},
  ): Uint8Array | null {
    const start = index * FRAGMENT_BYTES;
    const end = Math.min(bytes.length, start + FRAGMENT_BYTES);
    const from = { authenticated: false, via: 1, source, ...origin };
    return this.reassembly.onPiece(
      { kind: from.authenticated ? 1 : 0, source, port: 1, number: message, detail: 0 },
      from,
      index,
      Math.ceil(bytes.length / FRAGMENT_BYTES),
      FRAGMENT_BYTES,
      bytes,
      start,
      end,
    );
  }

  /**
   * All of `bytes` but for the last piece, each behind `between`; then whether that makes it whole.
   */
  arrives(
    source: number,
    message: number,
    bytes: Uint8Array,
    origin: Partial<Origin>,
    between: () => void,
  ): boolean {
    const count = Math.ceil(bytes.length / FRAGMENT_BYTES);
    for (let index = 0; index < count - 1; index += 1) {
      between();
      if (this.piece(source, message, bytes, index, origin) !== null) return false;
    }
    const whole = this.piece(source, message, bytes, count - 1, origin);
    return whole !== null && Buffer.compare(whole, bytes) === 0;
  }
}

const MIB = 1024 * 1024;
const LONG = pattern(65_536),
  SHORT = pattern(3_000);

describe('reassembly', () => {
  test('messages whose names differ in one number never meet, in trains and piece by piece', () => {
    const name = { kind: 1, source: 7, port: 8, number: 9, detail: 10 };
    const names = Object.keys(name).flatMap((field, i) => {
      const one = { ...name, number: 100 + i };
      return [one, { ...one, [field]: 11 }];
    });
    // As text without spaces these would be one.
    names.push({ ...name, port: 89, number: 1 }, { ...name, port: 8, number: 91 });
    const from = { authenticated: true, via: 1, source: 7 };
    const texts = names.map((_, i) => pattern(3_000 + i));
    for (const train of [1, 3]) {
      const bench = new Bench();
      const whole = names.map((): Uint8Array | null => null);
      for (let piece = 0; piece < 3; piece += train)
        names.forEach((one, i) => {
          for (let index = piece; index < piece + train; index += 1) {
            const at = index * FRAGMENT_BYTES,
              text = texts[i]!;
            const end = Math.min(text.length, at + FRAGMENT_BYTES);
            whole[i] = bench.reassembly.onPiece(one, from, index, 3, FRAGMENT_BYTES, text, at, end);
          }
        });
      expect(whole.map((got, i) => got !== null && Buffer.compare(got, texts[i]!) === 0)).toEqual(
        names.map(() => true),
      );
      expect(bench.reassembly.messages).toBe(0);
    }
  });

  test('gives the message once its last piece is in, in whatever order', () => {
    const rng = new Rng(1);
    const bench = new Bench();
    for (let i = 0; i < 200; i += 1) {
      const bytes = pattern(FRAGMENT_BYTES + 1 + rng.below(65_536 - FRAGMENT_BYTES), i);
      const order = rng.shuffle(
        Array.from({ length: Math.ceil(bytes.length / FRAGMENT_BYTES) }, (_, k) => k),
      );
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
    const bench = new Bench(MIB);
    bench.piece(9, 1, SHORT, 0);
    for (let i = 0; i < 20_000; i += 1) {
      bench.piece(1 + (i % 5), Math.floor(i / 30), LONG, Math.floor(i / 5) % 6);
      expect(bench.reassembly.bytes).toBeLessThanOrEqual(MIB);
    }
    bench.piece(9, 1, SHORT, 1);
    expect(bench.piece(9, 1, SHORT, 2)).not.toBeNull();
  });

  test('who sends one piece of a long message takes the memory of one piece', () => {
    const bench = new Bench();
    for (let i = 0; i < 100; i += 1) bench.piece(100 + i, i, LONG, 47 - (i % 48));
    expect(bench.reassembly.bytes).toBeLessThan(100 * 2_000);
  });

  /** Who sends pieces of messages that never come whole: their origins by number. */
  const floods: Record<string, (i: number) => Origin> = {
    'made-up sources by another link': (i) => ({ authenticated: false, via: 2, source: 100 + i }),
    'made-up sources by the same link': (i) => ({ authenticated: false, via: 1, source: 100 + i }),
    'three sources by the same link': (i) => ({
      authenticated: false,
      via: 1,
      source: 100 + (i % 3),
    }),
    'the claimed name of the honest one by another link': () => ({
      authenticated: false,
      via: 2,
      source: 9,
    }),
    'three proved sources': (i) => ({ authenticated: true, via: 0, source: 100 + (i % 3) }),
    'twenty proved sources and four links at once': (i) =>
      i % 2 === 0
        ? { authenticated: true, via: 0, source: 100 + (i % 40) }
        : { authenticated: false, via: 2 + (i % 8), source: 1_000 + i },
  };
  const honest: Record<string, Origin> = {
    'a claimed source': { authenticated: false, via: 1, source: 9 },
    'a proved source': { authenticated: true, via: 1, source: 9 },
  };
  describe.each(Object.entries(floods))('pieces of %s', (_who, from) => {
    test.each(Object.entries(honest))('shut out no message of %s', (_whose, origin) => {
      const bench = new Bench(8 * MIB);
      let sent = 0;
      const flood = (pieces: number) => (): void => {
        for (let i = 0; i < pieces; i += 1, sent += 1) {
          const one = from(sent);
          // Some send one piece of each, some all but one.
          bench.piece(one.source, 1_000 + Math.floor(sent / 150), LONG, sent % 47, one);
          expect(bench.reassembly.bytes).toBeLessThanOrEqual(8 * MIB);
        }
        bench.advance(bench.now + SECOND / 1_000);
      };
      for (let i = 0; i < 60; i += 1) flood(120)();
      expect(bench.reassembly.bytes).toBeGreaterThan(2 * MIB);
      for (let message = 0; message < 6; message += 1) {
        const bytes = [LONG, SHORT, pattern(20_000)][message % 3]!;
        expect(
          bench.arrives(origin.source, message, bytes, origin, flood(10)),
          `message ${message}`,
        ).toBe(true);
      }
      bench.advance(bench.now + 2 * REASSEMBLY_TIMEOUT);
      expect([bench.reassembly.bytes, bench.reassembly.messages]).toEqual([0, 0]);
    });
  });

  test('whatever comes in whatever order, what is counted as held is what is held', () => {
    const rng = new Rng(5),
      bench = new Bench(200_000);
    for (let i = 0; i < 50_000; i += 1) {
      const origin = { authenticated: rng.chance(0.5), via: rng.below(3) };
      bench.piece(
        rng.below(12),
        rng.below(30),
        LONG.subarray(0, FRAGMENT_BYTES * (2 + rng.below(40))),
        rng.below(2),
        origin,
      );
      expect(bench.reassembly.bytes).toBeLessThanOrEqual(200_000);
      if (rng.below(50) === 0) bench.advance(bench.now + SECOND / 2);
    }
    bench.advance(bench.now + 2 * REASSEMBLY_TIMEOUT);
    expect([bench.reassembly.bytes, bench.reassembly.messages, bench.timers.size]).toEqual([
      0, 0, 0,
    ]);
  });
});

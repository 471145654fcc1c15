/** The replay window against a set of everything that ever arrived. */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../src/base/rng.ts';
import { REPLAY_WINDOW, ReplayWindow } from '../../../src/link/replay-window.ts';
import { PACKET_NUMBER_MAX } from '../../../src/wire/datagram-header.ts';
import { DropReason } from '../../../src/wire/drop.ts';

class Model {
  readonly #seen = new Set<number>();
  highest = -1;

  check(number: number): DropReason {
    if (number > this.highest) return DropReason.none;
    if (number < this.highest - REPLAY_WINDOW) return DropReason.packetTooOld;
    return this.#seen.has(number) ? DropReason.packetReplayed : DropReason.none;
  }

  record(number: number): void {
    this.#seen.add(number);
    this.highest = Math.max(this.highest, number);
  }
}

/** Offers `number` to both, records it when it is new, and returns what they agree on. */
function offer(window: ReplayWindow, model: Model, number: number): DropReason {
  const reason = window.check(number);
  if (reason !== model.check(number)) throw new Error(`number ${number} at ${model.highest}: ${reason} is not ${model.check(number)}`);
  if (reason === DropReason.none) {
    window.record(number);
    model.record(number);
  }
  if (window.highest !== model.highest) throw new Error(`highest is ${window.highest}, not ${model.highest}`);
  return reason;
}

describe('replay window', () => {
  test('each number once, in any order within the window', () => {
    const window = new ReplayWindow(), model = new Model();
    for (const number of [0, 1, 3, 2]) expect(offer(window, model, number)).toBe(DropReason.none);
    for (const number of [0, 1, 2, 3]) expect(offer(window, model, number)).toBe(DropReason.packetReplayed);
    expect(offer(window, model, 3 + REPLAY_WINDOW)).toBe(DropReason.none);
    expect(offer(window, model, 3)).toBe(DropReason.packetReplayed);
    expect(offer(window, model, 2)).toBe(DropReason.packetTooOld);
    expect(offer(window, model, 4)).toBe(DropReason.none);
  });

  test('looking does not record', () => {
    const window = new ReplayWindow();
    expect([window.check(5), window.check(5), window.highest]).toEqual([DropReason.none, DropReason.none, -1]);
  });

  test('the first number may be any, and the last is the largest there is', () => {
    const window = new ReplayWindow(), model = new Model();
    expect(offer(window, model, PACKET_NUMBER_MAX - 1)).toBe(DropReason.none);
    expect(offer(window, model, PACKET_NUMBER_MAX)).toBe(DropReason.none);
    expect(offer(window, model, PACKET_NUMBER_MAX)).toBe(DropReason.packetReplayed);
    expect(offer(window, model, PACKET_NUMBER_MAX - REPLAY_WINDOW)).toBe(DropReason.none);
    expect(offer(window, model, 0)).toBe(DropReason.packetTooOld);
  });

  test.each(Array.from({ length: 8 }, (_, i) => i))('any sequence agrees with a set (seed %i)', (seed) => {
    const rng = new Rng(seed), window = new ReplayWindow(), model = new Model();
    const counts = [0, 0, 0];
    // Past 2^32, where shifts would go wrong.
    let next = seed % 2 === 0 ? 0 : 0xffff_ff00;
    for (let i = 0; i < 40_000; i += 1) {
      const what = rng.unit();
      if (what < 0.5) next += 1;
      else if (what < 0.6) next += rng.below(64);
      else if (what < 0.602) next += rng.below(3 * REPLAY_WINDOW);
      else if (what < 0.6025) next += rng.u32();
      const back = what < 0.6025 ? 0 : rng.chance(0.3) ? REPLAY_WINDOW - 40 + rng.below(80) : rng.below(rng.chance(0.5) ? 50 : REPLAY_WINDOW);
      const reason = offer(window, model, Math.max(0, next - back));
      counts[reason === DropReason.none ? 0 : reason === DropReason.packetReplayed ? 1 : 2]! += 1;
    }
    for (const count of counts) expect(count).toBeGreaterThan(500);
  });
});

/** Who gets a place among half-open streams: proved sources apart, then by link, then by source. */

import { describe, expect, test } from 'vitest';

import { SECOND, type Micros } from '../../../../src/core/base/time.ts';
import {
  HalfOpen,
  HALF_OPEN_PER_PROVED_MAX,
  HALF_OPEN_PER_SOURCE_MAX,
} from '../../../../src/core/session/half-open.ts';
import type { Origin } from '../../../../src/core/session/origin.ts';

const BACKLOG = 128;
const LISTENER = {};

class Scene {
  readonly table = new HalfOpen<number>();
  now: Micros = 0;
  readonly #backlog: number;
  #next = 0;

  constructor(backlog = BACKLOG) {
    this.#backlog = backlog;
  }

  /** A SYN; what became of it. */
  syn(origin: Origin, listener: object = LISTENER): 'in' | 'refused' {
    const room = this.table.room(origin, listener, this.#backlog, this.now);
    if (room === 'none') return 'refused';
    if (room !== 'free') this.table.delete(room.instead);
    this.#next += 1;
    this.table.add(this.#next, origin, listener, this.now);
    return 'in';
  }
}

const claimed = (via: number, source: number): Origin => ({ authenticated: false, via, source });
const proved = (source: number): Origin => ({ authenticated: true, via: 0, source });

describe('a flood of made-up sources', () => {
  const flooded = (): Scene => {
    const scene = new Scene();
    for (let i = 0; i < 20_000; i += 1) {
      scene.now += SECOND / 1_000;
      scene.syn(claimed(7, 1_000 + i));
    }
    expect(scene.table.size).toBe(BACKLOG);
    return scene;
  };

  test('takes no place of a source that is proved', () => {
    const scene = flooded();
    for (let i = 0; i < BACKLOG; i += 1) expect(scene.syn(proved(1 + (i % 4)))).toBe('in');
    expect(scene.table.size).toBe(2 * BACKLOG);
  });

  test('gives way to what comes on other links, up to equal parts', () => {
    const scene = flooded();
    const taken = Array.from({ length: 100 }, (_, i) => scene.syn(claimed(8, 5_000 + i))).filter(
      (what) => what === 'in',
    ).length;
    expect(taken).toBeGreaterThanOrEqual(BACKLOG / 2 - 1);
    expect(scene.table.size).toBe(BACKLOG);
  });

  test('leaves those of its own link a try once its own had their time', () => {
    const scene = flooded();
    scene.now += SECOND;
    expect(scene.syn(claimed(7, 1))).toBe('in');
  });
});

describe('whoever has many places', () => {
  test('has no more than one source may, proved or claimed', () => {
    const scene = new Scene(1_000);
    for (const [origin, most] of [
      [proved(1), HALF_OPEN_PER_PROVED_MAX],
      [claimed(7, 1), HALF_OPEN_PER_SOURCE_MAX],
    ] as const) {
      const taken = Array.from({ length: 900 }, () => scene.syn(origin)).filter(
        (what) => what === 'in',
      ).length;
      expect(taken).toBe(most);
    }
  });

  test('gives way to another proved source, up to equal parts', () => {
    const scene = new Scene();
    for (let i = 0; i < 900; i += 1) scene.syn(proved(1));
    expect(scene.table.size).toBe(BACKLOG);
    const taken = Array.from({ length: 100 }, () => scene.syn(proved(2))).filter(
      (what) => what === 'in',
    ).length;
    expect(taken).toBeGreaterThanOrEqual(BACKLOG / 2 - 1);
    expect(scene.table.size).toBe(BACKLOG);
  });

  test('gives way to sources that have less, of its link or not', () => {
    const scene = new Scene();
    for (let i = 0; i < BACKLOG; i += 1) scene.syn(claimed(7, 1 + (i % 2)));
    for (let i = 0; i < 20; i += 1) expect(scene.syn(claimed(7, 100 + (i % 10)))).toBe('in');
    for (let i = 0; i < 20; i += 1) expect(scene.syn(claimed(8, 200 + (i % 10)))).toBe('in');
    expect(scene.table.size).toBe(BACKLOG);
  });

  test('is not asked for places at another listener while there are some', () => {
    const scene = new Scene();
    for (let i = 0; i < 2 * BACKLOG; i += 1) scene.syn(claimed(7, i));
    expect(scene.syn(claimed(7, 1), {})).toBe('in');
    expect(scene.table.size).toBe(BACKLOG + 1);
  });
});

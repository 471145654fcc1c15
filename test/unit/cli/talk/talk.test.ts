/**
 * A talk: the E-model's figures, what a play-out buffer makes of delays, and packets there and
 * back.
 */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { qualityOf } from '../../../../src/cli/talk/e-model.ts';
import { burstRatio, hear } from '../../../../src/cli/talk/play-out.ts';
import {
  decodeAnswer,
  decodeTalk,
  encodeTalk,
  PACKET_BYTES,
  Talker,
  TalkListener,
  TALKERS_MAX,
} from '../../../../src/cli/talk/talk-flow.ts';
import { mutate } from '../../../fuzz/mutate.ts';

describe('the E-model', () => {
  // Computed apart by the formulae of G.107, sections 7.4 and 7.5.
  test.each([
    [0, 0, 1, 93.2, 4.41],
    [100, 0, 1, 93.2, 4.41],
    [150, 0, 1, 93.04, 4.41],
    [400, 0, 1, 69.13, 3.56],
    [100, 1, 1, 89.56, 4.33],
    [100, 5, 1, 77.42, 3.92],
    // The same loss in bursts is worse.
    [100, 5, 2, 75.99, 3.86],
    [100, 100, 1, 17.26, 1.18],
  ])('gives %i ms, %i of 100 lost, bursts of %i: R %f, MOS %f', (ms, pct, burst, r, mos) => {
    const got = qualityOf(ms, pct, burst);
    expect([got.r.toFixed(2), got.mos.toFixed(2)]).toEqual([r.toFixed(2), mos.toFixed(2)]);
  });

  test('never rises with delay, loss or bursts, and stays in its range', () => {
    let last = Infinity;
    for (let ms = 0; ms < 3_000; ms += 10) {
      const { r, mos } = qualityOf(ms, ms / 30, 1 + ms / 1_000);
      expect(r).toBeLessThanOrEqual(last);
      expect(mos).toBeGreaterThanOrEqual(1);
      expect(mos).toBeLessThanOrEqual(4.5);
      last = r;
    }
  });
});

describe('a play-out buffer', () => {
  test('waits for no more than the network varies', () => {
    const steady = hear(Array.from({ length: 500 }, () => 40));
    expect(steady).toMatchObject({ meanMs: 40, p99Ms: 40, lostPct: 0, latePct: 0, earMs: 60 });
    const varied = hear(Array.from({ length: 500 }, (_, i) => 40 + (i % 2) * 10));
    expect(varied.latePct).toBe(0);
    expect(varied.earMs).toBeCloseTo(85, -1);
  });

  test('plays nothing that comes too late, and nothing that does not come', () => {
    const delays = Array.from({ length: 500 }, (_, i) =>
      i >= 100 && i % 50 === 7 ? 400 : i >= 100 && i % 50 === 9 ? null : 40,
    );
    const heard = hear(delays);
    expect([heard.packets, heard.lostPct]).toEqual([500, 1.6]);
    // The estimate follows what is late, so that some of it is waited for.
    expect(heard.latePct).toBeGreaterThan(0);
    expect(heard.latePct).toBeLessThanOrEqual(1.6);
    expect(heard.mos).toBeLessThan(hear(delays.map(() => 40)).mos);
    expect(hear([])).toMatchObject({ packets: 0, meanMs: null, lostPct: 0 });
    expect(hear([null, null])).toMatchObject({ lostPct: 100, meanMs: null });
  });

  test('knows bursts', () => {
    const of = (text: string): number => burstRatio([...text].map((one) => one === '.'));
    expect([of('....'), of('xxxx'), of('.x.x')]).toEqual([1, 1, 1]);
    expect(of('..xx......')).toBeCloseTo(1.6);
  });
});

describe('talk and its echo', () => {
  test('measure each way by itself, across two clocks', () => {
    const rng = new Rng(4);
    const talker = new Talker(7),
      listener = new TalkListener();
    const clockMs = 123_456;
    const lost = { there: 0, back: 0 };
    for (let i = 0; i < 3_000; i += 1) {
      const sentMs = 1_000 + i * 20;
      const number = talker.onSend(sentMs);
      const talk = encodeTalk({ link: 0, routing: 0, token: 7, number, sentMs });
      expect(talk.length).toBe(PACKET_BYTES);
      if (rng.chance(0.05)) {
        lost.there += 1;
        continue;
      }
      // At least 10 ms each way; the way back varies more.
      const thereMs = 10 + rng.below(5),
        backMs = 10 + rng.below(30);
      const heard = listener.onPacket(talk, '10.0.0.1', 1, clockMs + sentMs + thereMs)!;
      expect(heard.answer.length).toBe(PACKET_BYTES);
      if (rng.chance(0.1)) {
        lost.back += 1;
        continue;
      }
      expect(talker.onAnswer(decodeAnswer(heard.answer)!, sentMs + thereMs + backMs)).toBe(true);
    }
    const { there, back } = talker.delays(Infinity);
    const mean = (values: (number | null)[]): number => {
      const came = values.filter((value) => value !== null);
      return came.reduce((sum, value) => sum + value, 0) / came.length;
    };
    expect(there.length).toBe(3_000);
    // An answer that is lost hides nothing, unless it is among the last.
    expect(there.filter((one) => one === null).length - lost.there).toBeLessThanOrEqual(2);
    expect(lost.back - back.filter((one) => one === null).length).toBeLessThanOrEqual(2);
    expect(mean(there)).toBeCloseTo(12, 0);
    expect(mean(back)).toBeCloseTo(24.5, 0);
    // What is still under way is not lost.
    expect(talker.delays(1_000 + 20 * 10).there.length).toBe(10);
  });

  test('belong to one flow, and what is no packet of it does nothing', () => {
    const talker = new Talker(7),
      listener = new TalkListener();
    const number = talker.onSend(0);
    const talk = encodeTalk({ link: 1, routing: 0, token: 7, number, sentMs: 0 });
    const answer = decodeAnswer(listener.onPacket(talk, 'a', 1, 5)!.answer)!;
    expect(talker.onAnswer({ ...answer, token: 8 }, 9)).toBe(false);
    expect(talker.onAnswer({ ...answer, number: 1 }, 9)).toBe(false);
    expect(talker.onAnswer(answer, 9)).toBe(true);
    // An answer is not talked back to, and talk is no answer.
    expect([decodeTalk(listener.onPacket(talk, 'a', 1, 5)!.answer), decodeAnswer(talk)]).toEqual([
      null,
      null,
    ]);
    const rng = new Rng(2);
    const whole = [
      Uint8Array.from(talk),
      Uint8Array.from(listener.onPacket(talk, 'a', 1, 5)!.answer),
    ];
    for (let i = 0; i < 5_000; i += 1) {
      const damaged = Buffer.from(mutate(rng, whole[i % 2]!, whole[(i + 1) % 2]!));
      decodeTalk(damaged);
      const read = decodeAnswer(damaged);
      if (read !== null) talker.onAnswer(read, 9);
      const echoed = listener.onPacket(damaged, 'b', i, 5);
      // No answer is larger than its question.
      if (echoed !== null) expect(echoed.answer.length).toBe(damaged.length);
    }
    expect(talker.delays(Infinity).there.length).toBe(1);
  });

  test('of many talkers are remembered as far as there is room', () => {
    const listener = new TalkListener();
    const from = (token: number): Buffer =>
      encodeTalk({ link: 0, routing: 0, token, number: 0, sentMs: 0 });
    for (let token = 0; token < 2 * TALKERS_MAX; token += 1)
      listener.onPacket(from(token), 'a', 1, 0);
    const received = (token: number): number =>
      decodeAnswer(listener.onPacket(from(token), 'a', 1, 0)!.answer)!.received.length;
    expect([received(2 * TALKERS_MAX - 1), received(0)]).toEqual([2, 1]);
  });
});

/**
 * The two halves of a stream against models: what is received, what is sent, what is acknowledged.
 */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { MILLISECOND, NEVER } from '../../../../src/core/base/time.ts';
import { StreamReceiver } from '../../../../src/core/session/stream-receiver.ts';
import { StreamSender, type Next } from '../../../../src/core/session/stream-sender.ts';
import {
  SACKS_MAX,
  Segment,
  SEGMENT_BYTES_MAX,
  WINDOW_UNIT,
} from '../../../../src/core/wire/segment.ts';
import { byteAt } from '../../../support/stream-end.ts';

function piece(start: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i += 1) bytes[i] = byteAt(start + i, 1);
  return bytes;
}

describe('receiving half', () => {
  test(
    'any segments in any order make the same bytes, ' +
      'and acknowledgements say exactly what is there',
    () => {
      for (let seed = 0; seed < 10; seed += 1) {
        const rng = new Rng(seed),
          total = 1 + rng.below(20_000),
          receiver = new StreamReceiver(8_192),
          has = new Uint8Array(total);
        const segment = new Segment();
        let edge = 8_192,
          out = 0,
          next = 0,
          steps = 0;
        while (out < total || !receiver.finished) {
          expect((steps += 1)).toBeLessThan(20_000);
          const start = Math.max(0, Math.min(total, next + rng.below(3_500) - 1_000)),
            length = rng.chance(0.1) ? 0 : Math.min(total - start, rng.below(1_400)),
            fin = start + length === total && rng.chance(0.7);
          const result = receiver.accept(start, piece(start, length), 0, length, fin);
          if (start + length > edge) expect(result).toBe('out of window');
          else if (result !== 'out of window') has.fill(1, start, start + length);
          while (next < total && has[next] === 1) next += 1;
          expect(receiver.next).toBe(receiver.finished ? total + 1 : next);
          expect(receiver.readyBytes).toBe(next - out);
          receiver.describe(segment);
          expect(segment.ack).toBe(receiver.next);
          for (let i = 0, from = next; i < segment.sackCount; i += 1) {
            expect(segment.sackStart[i]).toBeGreaterThan(from);
            expect(
              has
                .subarray(segment.sackStart[i]!, segment.sackEnd[i]!)
                .every((there) => there === 1),
            ).toBe(true);
            from = segment.sackEnd[i]!;
          }
          expect(segment.sackCount).toBeLessThanOrEqual(SACKS_MAX);
          if (rng.chance(0.5)) {
            const front = receiver.front(),
              count = rng.below(front.length + 1);
            expect(Buffer.compare(front.subarray(0, count), piece(out, count))).toBe(0);
            receiver.take(count);
            out += count;
          }
          const window = receiver.window(rng.chance(0.5) ? 8_192 : 1_000);
          expect(window % WINDOW_UNIT).toBe(0);
          edge = Math.max(edge, receiver.next + window);
          expect(
            receiver.next + window,
            'an edge does not move back by more than rounding',
          ).toBeGreaterThan(edge - WINDOW_UNIT);
        }
      }
    },
  );

  test('a repeated FIN is a duplicate, a FIN elsewhere and data behind it are refused', () => {
    const receiver = new StreamReceiver(8_192);
    expect(receiver.accept(0, piece(0, 10), 0, 10, true)).toBe('new');
    expect(receiver.accept(0, piece(0, 10), 0, 10, true)).toBe('duplicate');
    expect(receiver.accept(10, piece(10, 0), 0, 0, true)).toBe('duplicate');
    expect(receiver.accept(0, piece(0, 9), 0, 9, true)).toBe('out of window');
    expect(receiver.accept(10, piece(10, 1), 0, 1, false)).toBe('out of window');
    expect([receiver.next, receiver.finished, receiver.readyBytes]).toEqual([11, true, 10]);
  });

  test(
    'one-byte segments beyond a gap are bounded in number, ' + 'and the gap can still be filled',
    () => {
      const receiver = new StreamReceiver(4 * 1024 * 1024);
      let held = 0;
      for (let i = 0; i < 20_000; i += 1)
        if (receiver.accept(2 * i + 1, piece(2 * i + 1, 1), 0, 1, false) === 'gap') held += 1;
      expect(held).toBe(8_192);
      expect(receiver.accept(0, piece(0, 1), 0, 1, false)).toBe('new');
      expect(receiver.next).toBe(2);
    },
  );
});

describe('sending half', () => {
  function sent(sender: StreamSender, now: number): { start: number; end: number }[] {
    const next: Next = { start: 0, end: 0, fin: false, again: false },
      wait = { us: 0 },
      all: { start: number; end: number }[] = [];
    while (sender.nextToSend(now, next, wait)) {
      sender.onSent(next, sender.asks(next), now);
      all.push({ start: next.start, end: next.end });
    }
    return all;
  }

  /** Ten full segments over a wire of 100 ms; `rtts`: how many round trips were measured before. */
  function scene(rtts: number): {
    sender: StreamSender;
    at(index: number): number;
    ack(index: number, ...sacked: number[]): Segment;
  } {
    const sender = new StreamSender(false, 'newreno', 1_000_000),
      at = (index: number): number => index * SEGMENT_BYTES_MAX;
    sender.edge = 1_000_000;
    for (let i = 0; i < rtts; i += 1) sender.rtt.onSample(100 * MILLISECOND, i);
    sender.write(new Uint8Array(at(30)), 0, at(30));
    return {
      sender,
      at,
      ack: (index, ...sacked) => {
        const segment = new Segment();
        segment.ack = at(index);
        segment.window = 1_000_000;
        for (const each of sacked) {
          segment.sackStart[segment.sackCount] = at(each);
          segment.sackEnd[segment.sackCount] = at(each + 1);
          segment.sackCount += 1;
        }
        return segment;
      },
    };
  }

  /** Sends what leaves again from `now` on, as pacing lets it; the positions. */
  function again(sender: StreamSender, now: number): number[] {
    const next: Next = { start: 0, end: 0, fin: false, again: false },
      wait = { us: 0 },
      all: number[] = [];
    for (let at = now; ; at += wait.us) {
      if (sender.nextToSend(at, next, wait)) {
        if (!next.again) return all;
        all.push(next.start);
        sender.onSent(next, sender.asks(next), at);
      } else if (wait.us === 0) return all;
    }
  }

  test('while no round trip is known, no acknowledgement comes too soon for one', () => {
    const { sender, ack } = scene(0);
    sent(sender, 1_000);
    const due = sender.dueAt;
    sender.onTimer(due);
    expect(again(sender, due)).toEqual([0]);
    expect(sender.onAck(ack(1), false, due + 100 * MILLISECOND)).toBe(true);
    expect(sender.spurious).toBe(0);
  });

  test(
    'a timeout that was none gives the window back, ' +
      'and three later arrivals are a loss as before',
    () => {
      const { sender, at, ack } = scene(20);
      sent(sender, 1_000);
      const { window } = sender.controller,
        due = sender.dueAt;
      sender.onTimer(due);
      expect(again(sender, due)).toEqual([0]);
      expect(sender.controller.window).toBeLessThan(window);
      sender.onAck(ack(1), false, due + 5 * MILLISECOND);
      expect([sender.spurious, sender.controller.window >= window]).toEqual([1, true]);
      sender.onAck(ack(1, 2, 3, 4, 5, 6, 7, 8), false, due + 6 * MILLISECOND);
      expect(again(sender, due + 6 * MILLISECOND)).toEqual([at(1)]);
    },
  );

  test(
    'three later arrivals that were no loss give the window back, ' + 'and from then on time tells',
    () => {
      const { sender, at, ack } = scene(20);
      sent(sender, 1_000);
      const { window } = sender.controller,
        now = 101 * MILLISECOND;
      sender.onAck(ack(0, 1, 2, 3, 4, 5), false, now);
      expect(again(sender, now)).toEqual([0]);
      expect(sender.controller.window).toBeLessThan(window);
      sender.onAck(ack(6), false, now + 5 * MILLISECOND);
      expect([sender.spurious, sender.controller.window >= window]).toEqual([1, true]);
      expect(sender.onAck(ack(6, 7, 8, 9), false, now + 6 * MILLISECOND)).toBe(true);
      expect(again(sender, now + 6 * MILLISECOND)).toEqual([]);
      const due = sender.dueAt;
      expect(due).toBeLessThan(now + 100 * MILLISECOND);
      sender.onTimer(due);
      expect(again(sender, due)).toEqual([at(6)]);
    },
  );

  test(
    'against a receiver over a wire that loses and reorders, ' +
      'every byte arrives and all counters return to zero',
    () => {
      for (let seed = 0; seed < 12; seed += 1) {
        const rng = new Rng(seed),
          total = rng.below(120_000),
          sender = new StreamSender(seed % 2 === 0, seed % 3 === 0 ? 'cubic' : 'newreno', 200_000),
          receiver = new StreamReceiver(64 * 1024);
        sender.edge = 64 * 1024;
        expect(sender.write(piece(0, total), 0, total)).toBe(total);
        sender.end();
        const flying: { at: number; act: () => void }[] = [],
          ack = new Segment(),
          next: Next = { start: 0, end: 0, fin: false, again: false },
          wait = { us: 0 };
        let now = 1_000,
          out = 0;
        for (let steps = 0; !sender.finished; steps += 1) {
          expect(steps, `seed ${seed}`).toBeLessThan(100_000);
          while (sender.nextToSend(now, next, wait)) {
            const { start, end, fin } = next;
            sender.onSent(next, sender.asks(next), now);
            expect(end - start).toBeLessThanOrEqual(SEGMENT_BYTES_MAX);
            expect(end).toBeLessThanOrEqual(sender.edge);
            const bytes = new Uint8Array(end - start);
            sender.copy(start, end, bytes, 0);
            if (rng.chance(0.1)) continue;
            flying.push({
              at: now + 5 * MILLISECOND + rng.below(10 * MILLISECOND),
              act: () => {
                receiver.accept(start, bytes, 0, bytes.length, fin);
                for (let front = receiver.front(); front.length > 0; front = receiver.front()) {
                  expect(Buffer.compare(front, piece(out, front.length))).toBe(0);
                  out += front.length;
                  receiver.take(front.length);
                }
                const window = receiver.window(64 * 1024),
                  back = new Segment();
                back.window = window;
                receiver.describe(back);
                if (rng.chance(0.9))
                  flying.push({
                    at: now + 5 * MILLISECOND,
                    act: () => expect(sender.onAck(back, rng.chance(0.02), now)).toBe(true),
                  });
              },
            });
          }
          flying.sort((x, y) => x.at - y.at);
          const due = sender.dueAt,
            pace = wait.us > 0 ? now + wait.us : NEVER,
            first = flying[0]?.at ?? NEVER;
          now = Math.max(now + 1, Math.min(due, pace, first));
          while (flying.length > 0 && flying[0]!.at <= now) flying.shift()!.act();
          if (sender.dueAt <= now) sender.onTimer(now);
          expect(sender.inFlight).toBeGreaterThanOrEqual(0);
          if (!sender.outstanding) expect(sender.inFlight).toBe(0);
        }
        expect([out, sender.buffered, sender.inFlight, sender.outstanding, ack.ack]).toEqual([
          total,
          0,
          0,
          false,
          0,
        ]);
      }
    },
  );

  test('what was never sent cannot be acknowledged, and a window edge never moves back', () => {
    const sender = new StreamSender(true, 'newreno', 100_000),
      ack = new Segment();
    sender.edge = 4_096;
    sender.write(piece(0, 50_000), 0, 50_000);
    sent(sender, 0);
    expect(sender.next).toBe(4_096);
    ack.ack = 4_097;
    expect(sender.onAck(ack, false, 1)).toBe(false);
    ack.ack = 0;
    ack.sackCount = 1;
    ack.sackStart[0] = 100;
    ack.sackEnd[0] = 4_097;
    expect(sender.onAck(ack, false, 1)).toBe(false);
    ack.sackCount = 0;
    ack.window = 0;
    expect(sender.onAck(ack, false, 1)).toBe(true);
    expect([sender.edge, sender.unacknowledged, sender.inFlight > 0]).toEqual([4_096, 0, true]);
  });

  test(
    'a segment of which a part was acknowledged ' + 'is sent again without bytes that are gone',
    () => {
      const sender = new StreamSender(false, 'newreno', 100_000),
        ack = new Segment(),
        out = new Uint8Array(2_000).fill(0x77);
      sender.edge = 100_000;
      sender.write(piece(0, 1_000), 0, 1_000);
      expect(sent(sender, 0)).toEqual([{ start: 0, end: 1_000 }]);
      ack.ack = 400;
      expect(sender.onAck(ack, false, 10_000)).toBe(true);
      sender.copy(0, 1_000, out, 5);
      expect(out[4]).toBe(0x77);
      for (let i = 0; i < 1_000; i += 1) expect(out[5 + i]).toBe(i < 400 ? 0 : byteAt(i, 1));
      expect(out[1_005]).toBe(0x77);
    },
  );

  test('a mark narrows the window once a round trip and sends nothing again', () => {
    const sender = new StreamSender(true, 'newreno', 1_000_000),
      ack = new Segment();
    sender.edge = 1_000_000;
    sender.write(piece(0, 500_000), 0, 500_000);
    sent(sender, 0);
    const before = sender.controller.window;
    ack.window = 900_000;
    for (const end of [1, 2, 3]) {
      ack.ack = end * SEGMENT_BYTES_MAX;
      sender.onAck(ack, true, 20_000 + end);
    }
    expect(sender.controller.window).toBeLessThan(0.75 * (before + 3 * 1_500));
    expect(sender.controller.window).toBeGreaterThan(0.45 * before);
    expect([sender.marks, sender.resent]).toEqual([3, 0]);
  });
});

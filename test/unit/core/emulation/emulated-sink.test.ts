/** The emulated sink on a fake clock: delays, bounds and changes of settings. */

import { describe, expect, test } from 'vitest';

import {
  makeEndpoint,
  type DatagramSink,
  type Endpoint,
} from '../../../../src/core/base/datagram.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import { TimerQueue } from '../../../../src/core/base/timer-queue.ts';
import {
  EmulatedSink,
  type EmulatedSinkOptions,
} from '../../../../src/core/emulation/emulated-sink.ts';
import {
  changeDirection,
  defaultDirection,
  type DirectionChange,
} from '../../../../src/core/emulation/link-settings.ts';

const peer = makeEndpoint('127.0.0.1', 4_000);
const other = makeEndpoint('127.0.0.1', 4_001);

function world(options: EmulatedSinkOptions = { slackUs: 0 }) {
  const clock = { time: 0, now: () => clock.time };
  const timers = new TimerQueue();
  const got: { at: number; to: Endpoint; text: string }[] = [];
  const inner = {
    congested: false as boolean,
    send(to: Endpoint, bytes: Uint8Array, length: number): void {
      got.push({
        at: clock.time,
        to,
        text: new TextDecoder('latin1').decode(bytes.subarray(0, length)),
      });
    },
  } satisfies DatagramSink;
  const sink = new EmulatedSink(inner, clock, timers, new Rng(1), { checksums: false, ...options });
  /** Lets time pass; timers fire at multiples of `grain`, never early. */
  const advance = (until: number, grain = 1): void => {
    for (;;) {
      const at = Math.max(clock.time, Math.ceil(timers.nextAt / grain) * grain);
      if (timers.size === 0 || at > until) break;
      clock.time = at;
      timers.runDue(at);
    }
    clock.time = until;
  };
  const scratch = new Uint8Array(70_000);
  const send = (text: string, to = peer): void => {
    for (let i = 0; i < text.length; i += 1) scratch[i] = text.charCodeAt(i);
    sink.send(to, scratch, text.length);
    // The caller's buffer is its own again: whoever kept it sees rubbish.
    scratch.fill(0x21);
  };
  const attach = (change: DirectionChange, to = peer) =>
    sink.attach(to.key, changeDirection(defaultDirection(), change), `to ${to.key}`);
  const texts = (): string[] => got.map((g) => g.text);
  return { clock, timers, inner, got, sink, advance, send, attach, texts };
}

describe('delivery', () => {
  test('without a model datagrams pass straight through', () => {
    const w = world();
    w.send('a');
    expect(w.got).toEqual([{ at: 0, to: peer, text: 'a' }]);
    expect(w.timers.size).toBe(0);
  });

  test('a datagram arrives after the latency, with the bytes it had when it was sent', () => {
    const w = world();
    w.attach({ latencyUs: 10_000 });
    w.send('hello');
    w.advance(9_999);
    expect(w.got).toEqual([]);
    w.advance(20_000);
    expect(w.got).toEqual([{ at: 10_000, to: peer, text: 'hello' }]);
    expect([w.sink.held, w.sink.heldBytes, w.timers.size]).toEqual([0, 0, 0]);
  });

  test('destinations are delayed each by their own model, with one timer for all', () => {
    const w = world();
    w.attach({ latencyUs: 20_000 });
    w.attach({ latencyUs: 5_000 }, other);
    w.send('slow');
    w.send('fast', other);
    expect(w.timers.size).toBe(1);
    w.advance(30_000);
    expect(w.got.map((g) => [g.at, g.text, g.to.key])).toEqual([
      [5_000, 'fast', other.key],
      [20_000, 'slow', peer.key],
    ]);
  });

  test(
    'any endpoint object with the key has the model, ' +
      'and a later attach reaches endpoints seen before',
    () => {
      const w = world();
      w.send('before');
      w.attach({ latencyUs: 1_000 });
      w.send('after');
      w.send('twin', makeEndpoint('127.0.0.1', 4_000));
      expect(w.texts()).toEqual(['before']);
      w.advance(1_000);
      expect(w.texts()).toEqual(['before', 'after', 'twin']);
    },
  );

  test(
    'order is kept through jitter, thousands under way, ' + 'and growing and shrinking delays',
    () => {
      const w = world();
      const rng = new Rng(4);
      w.attach({ latencyUs: 50_000, jitterUs: 30_000 });
      const sent: string[] = [];
      for (let i = 0; i < 5_000; i += 1) {
        if (i % 500 === 0)
          w.sink.setLink(peer.key, { latencyMs: rng.below(60), jitterMs: rng.below(30) });
        w.advance(w.clock.time + rng.below(100));
        sent.push(`${i}`);
        w.send(`${i}`);
      }
      w.advance(10_000_000);
      expect(w.texts()).toEqual(sent);
    },
  );

  test('large datagrams are carried whole', () => {
    const w = world();
    w.attach({ latencyUs: 1_000 });
    const text = 'x'.repeat(65_000);
    w.send(text);
    w.advance(1_000);
    expect(w.texts()).toEqual([text]);
  });

  test('duplicates arrive twice, losses never, damage differs in one bit', () => {
    const w = world();
    const link = w.attach({ duplicateRate: 1 });
    w.send('ab');
    expect(w.texts()).toEqual(['ab', 'ab']);
    link.set({ duplicateRate: 0, loss: { kind: 'bernoulli', rate: 1 } });
    w.send('gone');
    w.advance(1_000);
    expect(w.got.length).toBe(2);
    link.set({ loss: { kind: 'bernoulli', rate: 0 }, corruptRate: 1 });
    w.send('\0\0\0\0');
    w.advance(2_000);
    const damaged = w.texts()[2]!;
    const bits = [...damaged].reduce(
      (sum, c) => sum + c.charCodeAt(0).toString(2).replaceAll('0', '').length,
      0,
    );
    expect([damaged.length, bits]).toEqual([4, 1]);
  });
});

describe('slack', () => {
  test('what is due within the slack leaves at once', () => {
    const w = world({});
    w.attach({ latencyUs: 500 });
    w.send('now');
    expect(w.texts()).toEqual(['now']);
    w.sink.setLink(peer.key, { latencyMs: 0.501 });
    w.send('later');
    expect(w.texts()).toEqual(['now']);
  });

  test('a datagram due at once does not overtake one that is under way', () => {
    const w = world({});
    const link = w.attach({ latencyUs: 2_000 });
    w.send('first');
    w.clock.time = 1_600;
    link.set({ latencyUs: 0 });
    w.send('second');
    expect(w.texts()).toEqual(['first', 'second']);
  });

  test('under millisecond timers the mean delay is the latency, not half a tick more', () => {
    const w = world({});
    w.attach({ latencyUs: 10_000 });
    const sentAt: number[] = [];
    for (let i = 0; i < 2_000; i += 1) {
      w.advance(i * 3_137, 1_000);
      sentAt.push(w.clock.time);
      w.send('x');
    }
    w.advance(10_000_000, 1_000);
    const mean = w.got.reduce((sum, g, i) => sum + g.at - sentAt[i]!, 0) / w.got.length;
    expect(w.got.length).toBe(2_000);
    expect(Math.abs(mean - 10_000)).toBeLessThan(30);
  });
});

describe('bounds and control', () => {
  test('what exceeds the bound on datagrams or bytes is dropped and counted', () => {
    const byCount = world({ slackUs: 0, heldMax: 3 });
    byCount.attach({ latencyUs: 1_000 });
    for (const text of ['a', 'b', 'c', 'd', 'e']) byCount.send(text);
    expect([byCount.sink.held, byCount.sink.overflowDropped]).toEqual([3, 2]);
    byCount.advance(1_000);
    byCount.send('f');
    byCount.advance(2_000);
    expect(byCount.texts()).toEqual(['a', 'b', 'c', 'f']);

    const byBytes = world({ slackUs: 0, heldBytesMax: 5_000 });
    byBytes.attach({ latencyUs: 1_000 });
    for (const text of ['a', 'b', 'c']) byBytes.send(text);
    expect([byBytes.sink.held, byBytes.sink.overflowDropped]).toEqual([2, 1]);
  });

  test(
    'setLink changes what is given and returns the whole; ' + 'unknown destinations give null',
    () => {
      const w = world();
      w.attach({ latencyUs: 1_000, jitterUs: 5 });
      expect(w.sink.setLink(peer.key, { latencyMs: 3 })).toMatchObject({
        latencyUs: 3_000,
        jitterUs: 5,
      });
      expect(w.sink.get(peer.key)?.settings.latencyUs).toBe(3_000);
      expect(w.sink.setLink(other.key, { latencyMs: 3 })).toBeNull();
      expect(w.sink.get(other.key)).toBeNull();
      expect(() => w.sink.setLink(peer.key, { lossPct: 200 })).toThrow(/loss/);
    },
  );

  test('the same seed and label lose the same datagrams, whatever else is attached', () => {
    const survivors = (alsoOther: boolean): string[] => {
      const w = world();
      if (alsoOther) w.attach({ loss: { kind: 'bernoulli', rate: 0.5 } }, other);
      w.attach({ loss: { kind: 'bernoulli', rate: 0.5 } });
      for (let i = 0; i < 200; i += 1) {
        if (alsoOther) w.send('noise', other);
        w.send(`${i}`);
      }
      return w.texts().filter((text) => text !== 'noise');
    };
    expect(survivors(true)).toEqual(survivors(false));
  });

  test('congestion is that of the sink below', () => {
    const w = world();
    expect(w.sink.congested).toBe(false);
    w.inner.congested = true;
    expect(w.sink.congested).toBe(true);
  });

  test('after close nothing arrives and no timer is left', () => {
    const w = world();
    w.attach({ latencyUs: 1_000 });
    w.send('a');
    w.sink.close();
    w.advance(5_000);
    expect([w.got.length, w.timers.size, w.sink.held, w.sink.heldBytes]).toEqual([0, 0, 0, 0]);
  });
});

/**
 * When a stream asks its far end, and when it gives it up: every start of the clock, and the limits
 * of one's own over the daemon's.
 */

import { describe, expect, it } from 'vitest';

import { NEVER, SECOND } from '../../../../src/core/base/time.ts';
import {
  effectiveLimits,
  NO_LIMITS,
  StreamLiveness,
} from '../../../../src/core/session/stream-liveness.ts';

const DAEMON = { silenceUs: 30 * SECOND, keepaliveUs: 15 * SECOND };
const s = (seconds: number): number => seconds * SECOND;

describe('limits', () => {
  it(
    "are the daemon's, or the stream's; " +
      'a keepalive that nobody set is at most half of the silence',
    () => {
      const of = (silence: number | null, keepalive: number | null, daemon = DAEMON): number[] => {
        const { silenceUs, keepaliveUs } = effectiveLimits(
          {
            silenceUs: silence === null ? null : s(silence),
            keepaliveUs: keepalive === null ? null : s(keepalive),
          },
          daemon,
        );
        return [silenceUs / SECOND, keepaliveUs / SECOND];
      };
      expect([
        of(null, null),
        of(4, null),
        of(600, null),
        of(4, 20),
        of(null, 1),
        of(4, 0),
      ]).toEqual([
        [30, 15],
        [4, 2],
        [600, 15],
        [4, 20],
        [30, 1],
        [4, 0],
      ]);
      // Off stays off.
      expect(of(4, null, { silenceUs: s(30), keepaliveUs: 0 })).toEqual([4, 0]);
    },
  );
});

describe('the silence', () => {
  const heard = (at: number): StreamLiveness => {
    const liveness = new StreamLiveness(0);
    liveness.onHeard(s(at));
    return liveness;
  };

  it('is none while nothing is asked', () => {
    expect(heard(5).silentAt(DAEMON, false)).toBe(NEVER);
  });

  it(
    'begins with the first question, ' +
      'not with the last sign of life, and not with a later question',
    () => {
      const liveness = heard(5);
      liveness.onSent(s(20), true);
      liveness.onSent(s(25), true);
      expect(liveness.silentAt(DAEMON, false)).toBe(s(50));
      liveness.onHeard(s(26));
      expect(liveness.silentAt(DAEMON, false)).toBe(NEVER);
    },
  );

  it(
    'begins with data that is not acknowledged, ' + 'or with the last sign of life while some is',
    () => {
      const liveness = heard(5);
      liveness.onSent(s(100), false);
      expect(liveness.silentAt(DAEMON, true)).toBe(s(130));
      liveness.onHeard(s(101));
      expect(liveness.silentAt(DAEMON, true)).toBe(s(131));
      // Acknowledged: nothing is waited for.
      expect(liveness.silentAt(DAEMON, false)).toBe(NEVER);
    },
  );

  it('begins when the route is lost, unasked; what is heard all the same counts', () => {
    const liveness = heard(5);
    expect(liveness.onRoute(false, s(7))).toBe(false);
    expect(liveness.onRoute(false, s(9))).toBe(false);
    expect([liveness.noRoute, liveness.silentAt(DAEMON, false)]).toEqual([true, s(37)]);
    liveness.onHeard(s(10));
    expect(liveness.silentAt(DAEMON, false)).toBe(s(40));
    expect([
      liveness.onRoute(true, s(11)),
      liveness.onRoute(true, s(12)),
      liveness.noRoute,
    ]).toEqual([true, false, false]);
    expect(liveness.silentAt(DAEMON, false)).toBe(NEVER);
  });
});

describe('questions', () => {
  it('are asked after the keepalive, and again so often that several fit into the limit', () => {
    const liveness = new StreamLiveness(0);
    expect(liveness.keepaliveAt(DAEMON)).toBe(s(15));
    // After 1 s, twice as long each time, and 5 s at most.
    for (const [at, next] of [
      [15, 16],
      [16, 18],
      [18, 22],
      [22, 27],
      [27, 32],
    ] as const) {
      liveness.onSent(s(at), true);
      expect(liveness.keepaliveAt(DAEMON)).toBe(s(next));
    }
    // Whoever is heard is asked as the first time.
    liveness.onHeard(s(28));
    expect(liveness.keepaliveAt(DAEMON)).toBe(s(43));
    liveness.onSent(s(43), true);
    expect(liveness.keepaliveAt(DAEMON)).toBe(s(44));
    liveness.own = { silenceUs: s(2), keepaliveUs: s(60) };
    expect(liveness.keepaliveAt(DAEMON)).toBe(s(43.5));
    liveness.own = { silenceUs: s(1), keepaliveUs: s(0.5) };
    expect(liveness.keepaliveAt(DAEMON)).toBe(s(43.2));
  });

  it(
    'are not asked when the keepalive is off, ' +
      'but one that was asked for another reason is repeated',
    () => {
      const liveness = new StreamLiveness(0);
      liveness.own = { ...NO_LIMITS, keepaliveUs: 0 };
      expect(liveness.keepaliveAt(DAEMON)).toBe(NEVER);
      liveness.onSent(s(3), true);
      expect(liveness.keepaliveAt(DAEMON)).toBe(s(4));
      for (const at of [4, 6, 10]) liveness.onSent(s(at), true);
      expect(liveness.keepaliveAt(DAEMON)).toBe(s(15));
    },
  );
});

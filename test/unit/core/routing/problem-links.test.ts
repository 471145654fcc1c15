/** Problems of links, as they are advertised: on at once, off slowly, slower each time. */

import { expect, test } from 'vitest';

import { SECOND } from '../../../../src/core/base/time.ts';
import { HOLD_MAX, ProblemLinks } from '../../../../src/core/routing/problem-links.ts';
import { makeAdvertisement } from '../../../../src/core/wire/link-state.ts';

/** Link 1 -> 2 as its own end tells it, ms and percent. */
function told(ms: number, pct: number) {
  const links = [{ node: 2, latency: ms * 10, loss: Math.round(pct * 655.35) }];
  return [{ ...base, links }];
}

const base = makeAdvertisement(1, 1, false, 'one', []);

test('loss above 2 % is one at once, and none 5 s after it has fallen, 10 the next time', () => {
  const problems = new ProblemLinks();
  let now = 0;
  const is = (ms: number, pct: number, after: number): boolean => {
    now += after * SECOND;
    problems.observe(told(ms, pct), now);
    return problems.has(1, 2);
  };
  expect([is(10, 0, 1), is(10, 1.9, 1), is(10, 2.1, 1)]).toEqual([false, false, true]);
  expect([is(10, 1.9, 1), is(10, 1.9, 60)]).toEqual([true, true]);
  expect([is(10, 0, 1), is(10, 0, 4.9), is(10, 0, 0.2)]).toEqual([true, true, false]);
  expect([is(10, 40, 1), is(10, 0, 1), is(10, 0, 9), is(10, 0, 1.1)]).toEqual([
    true,
    true,
    true,
    false,
  ]);
  for (let onset = 0; onset < 12; onset += 1) {
    expect(is(10, 40, 1)).toBe(true);
    is(10, 0, 1);
    expect(is(10, 0, HOLD_MAX / SECOND)).toBe(false);
  }
  expect(problems.has(2, 1)).toBe(false);
});

test('a latency a quarter and 5 ms above its least is one, until it has been so for long', () => {
  const problems = new ProblemLinks();
  const is = (ms: number, at: number): boolean => {
    problems.observe(told(ms, 0), at * SECOND);
    return problems.has(1, 2);
  };
  expect([is(10, 1), is(14, 2), is(16, 3)]).toEqual([false, false, true]);
  expect([is(100, 301), is(100, 602), is(100, 903), is(100, 910)].at(-1)).toBe(false);
  problems.observe([], 911 * SECOND);
  expect(problems.size).toBe(0);
});

/**
 * The typed map of the daemon's operations: what `client.request` takes and returns, and that the
 * daemon has a row for each.
 */

import type {
  LinksReply,
  Operations,
  RequestOptions,
  SpinesClient,
  StatusReply,
} from 'spines-client';
import { expect, expectTypeOf, test } from 'vitest';

import { OPERATIONS, roleFor } from '../../../src/core/operator/operations.ts';

type Asks = SpinesClient['request'];

test('a request has the type of what its operation answers', () => {
  const asking = (ask: Asks): void => {
    expectTypeOf(ask('status')).resolves.toEqualTypeOf<StatusReply>();
    expectTypeOf(ask('links', {}, { timeoutMs: 1 })).resolves.toEqualTypeOf<LinksReply>();
    expectTypeOf(ask('ping', { node: 'a', timeoutMs: 1 })).resolves.toHaveProperty('rttMs');
    // @ts-expect-error a ping needs a node
    void ask('ping', {});
    // @ts-expect-error and its arguments
    void ask('ping');
    // @ts-expect-error status takes none
    void ask('status', { node: 'a' });
    // What this release does not know is asked for and answered with maps.
    expectTypeOf(ask('frobnicate', { a: 1 })).resolves.toEqualTypeOf<Record<string, unknown>>();
    expectTypeOf<Parameters<typeof ask<'frobnicate'>>>().toEqualTypeOf<
      [op: 'frobnicate', args?: Readonly<Record<string, unknown>>, options?: RequestOptions]
    >();
  };
  // The compiler reads it; there is nothing to run.
  expect(asking).toHaveLength(1);
});

/** What is asked of a socket is asked by who has one; what packets carry is for who may do all. */
const LOOKS: Readonly<Record<string, string>> = { socketInfo: 'use', captureRead: 'full' };

test('every operation has a role, and what changes something is for those who may do all', () => {
  const names = Object.keys(OPERATIONS) as (keyof Operations)[];
  expect(names.length).toBeGreaterThan(10);
  for (const [name, { role, changes }] of Object.entries(OPERATIONS)) {
    expect([name, roleFor(name)]).toEqual([name, role]);
    expect([name, role]).toEqual([name, changes ? 'full' : (LOOKS[name] ?? 'read-only')]);
  }
  for (const name of ['constructor', '__proto__', 'toString', ''])
    expect(roleFor(name)).toBe('full');
});

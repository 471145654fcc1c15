/**
 * What a socket without half-open says to writes once the far end has ended, in place of its own
 * `write`, as in net.
 */

import type { Duplex } from 'node:stream';

import { SpinesClientError } from '../errors.ts';

export function writeAfterEnd(
  this: Duplex,
  _chunk: unknown,
  encoding?: unknown,
  callback?: unknown,
): boolean {
  const done = typeof encoding === 'function' ? encoding : callback;
  const error = new SpinesClientError('EPIPE', 'This socket has been ended by the other party', {
    syscall: 'write',
  });
  if (typeof done === 'function') process.nextTick(done as (error: Error) => void, error);
  this.destroy(error);
  return false;
}

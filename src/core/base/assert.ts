/**
 * Assertions that stay on in production.
 *
 * They guard against our own bugs only: a false condition means that the program is wrong, never
 * that a peer, a client or an operator sent something bad. The host logs an AssertionError and
 * exits.
 */

export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

/**
 * Throws AssertionError unless `condition` holds. `message` is constant text (no formatting cost).
 */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** For the branch that the types already rule out. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${String(value)}`);
}

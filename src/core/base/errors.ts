/**
 * The error that operators and in-process callers see: a stable code, what was wrong, what to do
 * next.
 *
 * Never used for bytes from the network (those are DropReasons) nor for our own bugs (those are
 * asserts).
 */

export class SpinesError extends Error {
  override readonly name = 'SpinesError';
  /** Stable, e.g. 'EADDRINUSE', 'ECONFIG'. */
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

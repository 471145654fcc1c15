/**
 * Calls of the program's own functions: what they throw harms nobody else.
 */

/** Throws `error` again where nothing of ours is under way. */
export function rethrowLater(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}

/** Runs a callback of the program; what it throws is thrown again where it can harm nobody else. */
export function guarded(call: () => unknown): void {
  try {
    call();
  } catch (error) {
    rethrowLater(error);
  }
}

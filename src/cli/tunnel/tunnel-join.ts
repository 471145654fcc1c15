/**
 * Two byte streams made one: what comes out of either goes into the other until both have ended.
 *
 * Owns half-close (the end of one direction ends that direction only), back-pressure (a side that
 * does not take stops the other being read) and errors: a side that breaks resets the other. Used
 * by both ends of a tunnel.
 */

import type { Duplex } from 'node:stream';

/** net.Socket or SpinesSocket, both with allowHalfOpen. */
export interface Side extends Duplex {
  resetAndDestroy(): unknown;
}

export interface Joined {
  /** Bytes from a to b, and from b to a. */
  readonly forward: number;
  readonly backward: number;
  /** Null after an orderly end. */
  readonly error: Error | null;
}

/**
 * Resolves when both are destroyed; never rejects. Both must have an 'error' listener already if
 * they may have failed.
 */
export function join(
  a: Side & { readonly bytesRead: number },
  b: Side & { readonly bytesRead: number },
  headBytes = { a: 0, b: 0 },
): Promise<Joined> {
  return new Promise((resolve) => {
    let error: Error | null = null;
    let open = 2;
    const watch = (side: Side, other: Side): void => {
      side.on('error', (cause: Error) => {
        error ??= cause;
      });
      const onClose = (): void => {
        // Ended properly, what it gave may still be on its way into the other.
        const orderly = side.errored === null && side.readableEnded && side.writableFinished;
        if (!orderly && !other.destroyed) other.resetAndDestroy();
        open -= 1;
        if (open === 0)
          resolve({
            forward: a.bytesRead - headBytes.a,
            backward: b.bytesRead - headBytes.b,
            error,
          });
      };
      if (side.closed) onClose();
      else side.once('close', onClose);
      if (!side.destroyed && !other.destroyed) side.pipe(other);
    };
    watch(a, b);
    watch(b, a);
  });
}

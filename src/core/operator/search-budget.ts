/**
 * How many searches of a path one asker may cause: each is flooded through the whole network.
 *
 * Remote clients are known by their certificates, programs of this machine by their connections.
 */

import { SpinesError } from '../base/errors.ts';
import { SourceBudget } from '../base/source-budget.ts';
import type { Micros } from '../base/time.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import type { ConnectedClient } from '../ipc/client.ts';

/** Paths that are searched because a remote client asks for a trace. */
const SEARCHES_PER_SECOND = 1,
  SEARCHES_BURST = 5,
  SEARCHERS_MAX = 256;
/** And because a program of this machine does. */
const LOCAL_SEARCHES_PER_SECOND = 4,
  LOCAL_SEARCHES_BURST = 10;

/** Searches of paths that askers still may cause. */
export class SearchBudget {
  /** By certificate. */
  readonly #remote = new SourceBudget(SEARCHES_PER_SECOND, SEARCHES_BURST, SEARCHERS_MAX);
  readonly #local = new WeakMap<ConnectedClient, TokenBucket>();

  /**
   * Takes one search from what `asker` may cause; null, the daemon itself, may cause any. Throws
   * SpinesError EAGAIN.
   */
  take(asker: ConnectedClient | null, now: Micros): void {
    if (asker === null) return;
    const { certificate } = asker.access;
    if (certificate !== null && !this.#remote.take(certificate, now)) {
      throw new SpinesError(
        'EAGAIN',
        'a remote client may have one path a second searched; ask again in some seconds',
      );
    }
    if (certificate === null && !this.#localOf(asker).take(now)) {
      throw new SpinesError(
        'EAGAIN',
        `a program may have ${LOCAL_SEARCHES_PER_SECOND} paths a second searched; ask again in a ` +
          'second',
      );
    }
  }

  #localOf(asker: ConnectedClient): TokenBucket {
    let bucket = this.#local.get(asker);
    if (bucket === undefined)
      this.#local.set(
        asker,
        (bucket = new TokenBucket(LOCAL_SEARCHES_PER_SECOND, LOCAL_SEARCHES_BURST)),
      );
    return bucket;
  }
}

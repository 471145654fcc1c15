/**
 * Proof that a peer is where its datagrams come from now, before anything is sent there (RFC 9000, 8.2 and 9.3).
 *
 * A sealed datagram shows who made it, not who sent it: somebody on the way can copy one and be first with it, from an
 * address of his choice. A random token goes to the new address; only its answer from there moves the link.
 */

import { getU32, putU32 } from '../base/bytes.ts';
import type { Endpoint } from '../base/datagram.ts';
import type { Rng } from '../base/rng.ts';
import { MILLISECOND, type Micros } from '../base/time.ts';

/** At most one probe in this time, wherever to. */
const INTERVAL: Micros = 25 * MILLISECOND;

export class PathProbe {
  readonly #rng: Rng;
  #candidate: Endpoint | null = null;
  #high = 0;
  #low = 0;
  #askedAt: Micros = -INTERVAL;

  constructor(rng: Rng) {
    this.#rng = rng;
  }

  mayAsk(now: Micros): boolean {
    return now - this.#askedAt >= INTERVAL;
  }

  /** Writes a fresh token at `at`. One candidate at a time: the latest. A repeated question keeps its token, for long round trips. */
  ask(to: Endpoint, buffer: Uint8Array, at: number, now: Micros): void {
    if (this.#candidate?.key !== to.key) {
      this.#candidate = to;
      this.#high = this.#rng.u32();
      this.#low = this.#rng.u32();
    }
    this.#askedAt = now;
    putU32(buffer, at, this.#high);
    putU32(buffer, at + 4, this.#low);
  }

  /** Whether the token at `at`, come from `from`, is the one sent there. It counts once. */
  proves(bytes: Uint8Array, at: number, from: Endpoint): boolean {
    if (this.#candidate?.key !== from.key || getU32(bytes, at) !== this.#high || getU32(bytes, at + 4) !== this.#low) return false;
    this.#candidate = null;
    return true;
  }
}

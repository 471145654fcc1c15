/**
 * Proof that a peer is where its datagrams come from now, before anything is sent there (RFC 9000,
 * 8.2 and 9.3).
 *
 * A sealed datagram shows who made it, not who sent it: somebody on the way can copy one and be
 * first with it, from an address of his choice. A random token goes to the new address; only its
 * answer from there moves the link.
 */

import { getU32, putU32 } from '../base/bytes.ts';
import { samePath, type Endpoint } from '../base/datagram.ts';
import type { Draws } from '../base/draws.ts';
import { MILLISECOND, type Micros } from '../base/time.ts';

/** At most one probe to an address in this time. */
const INTERVAL: Micros = 25 * MILLISECOND;
/** Addresses asked at once: copies sent from elsewhere must not hide where the peer really is. */
const CANDIDATES_MAX = 8;

interface Candidate {
  readonly endpoint: Endpoint;
  readonly high: number;
  readonly low: number;
  askedAt: Micros;
}

export class PathProbe {
  readonly #draws: Draws;
  /** The one asked longest ago first. */
  #candidates: Candidate[] = [];

  constructor(draws: Draws) {
    this.#draws = draws;
  }

  mayAsk(to: Endpoint, now: Micros): boolean {
    const before =
      this.#candidates.find((one) => samePath(one.endpoint, to)) ??
      (this.#candidates.length < CANDIDATES_MAX ? undefined : this.#candidates[0]);
    return before === undefined || now - before.askedAt >= INTERVAL;
  }

  /** Writes a token at `at`. A repeated question keeps its token, for long round trips. */
  ask(to: Endpoint, buffer: Uint8Array, at: number, now: Micros): void {
    const same = this.#candidates.findIndex((one) => samePath(one.endpoint, to));
    const candidate =
      same >= 0
        ? this.#candidates.splice(same, 1)[0]!
        : { endpoint: to, high: this.#draws.u32(), low: this.#draws.u32(), askedAt: now };
    if (this.#candidates.length === CANDIDATES_MAX) this.#candidates.shift();
    candidate.askedAt = now;
    this.#candidates.push(candidate);
    putU32(buffer, at, candidate.high);
    putU32(buffer, at + 4, candidate.low);
  }

  /**
   * Whether the token at `at`, come from `from`, is the one sent there. It counts once, and ends
   * the other questions.
   */
  proves(bytes: Uint8Array, at: number, from: Endpoint): boolean {
    const proved = this.#candidates.some(
      ({ endpoint, high, low }) =>
        samePath(endpoint, from) && getU32(bytes, at) === high && getU32(bytes, at + 4) === low,
    );
    if (proved) this.#candidates = [];
    return proved;
  }
}

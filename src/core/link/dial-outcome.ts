/**
 * Why a neighbour of the configuration has no link: what its dial has seen, and which of it counts.
 *
 * Owns the table of reasons and the evidence of one dial; the sentences are why.ts's, and who
 * gathers evidence is neighbour-watch.ts. Invariant: what is known for sure outranks what is
 * likely, and evidence that has not been seen again for EVIDENCE_KEPT counts no longer. Bounded:
 * one entry for each reason.
 */

import type { NodeId } from '../base/ids.ts';
import { SECOND, type Micros } from '../base/time.ts';
import type { Certificate } from '../wire/certificate.ts';

/**
 * Reason -> rank. The higher ranks are proven by a handshake or known here; then what the address
 * says of itself, which anybody there may; then what the network says; then what is left.
 */
export const WHY_RANKS = {
  /** Nothing comes back. */
  silent: 0,
  /** It answers the question for its key, and not our calls. */
  unheard: 1,
  /** Its calls arrive here and our answers do not arrive there. */
  oneWay: 2,
  /** The system says of the address (ICMP, routes, local filters). */
  unreachable: 3,
  forbidden: 3,
  noSocket: 3,
  portClosed: 3,
  /** Its name is not known to the system. */
  nameUnknown: 3,
  /** Said by whoever is at that address. */
  refused: 4,
  twin: 4,
  wireVersion: 4,
  otherSecurity: 4,
  wrongKey: 4,
  presharedKey: 4,
  /** Proven. */
  clone: 5,
  otherNode: 5,
  self: 5,
  sameNode: 5,
  tableFull: 5,
  peerOtherNetwork: 5,
  peerUnknownAuthority: 5,
  peerForged: 5,
  peerRole: 5,
  peerPresharedKey: 5,
  peerNotYetValid: 5,
  peerExpired: 5,
  peerRevoked: 5,
  peerAuthorityNotValid: 5,
  /** Of this daemon's own certificate. */
  ownNotYetValid: 6,
  ownExpired: 6,
  ownRevoked: 6,
  ownAuthorityNotValid: 6,
} as const;

export type WhyCode = keyof typeof WHY_RANKS;

/** What is known besides the reason. */
export interface WhyDetail {
  /** Who is there, or whose certificate it is. */
  readonly node?: NodeId | null;
  /** The certificate that was judged. */
  readonly certificate?: Certificate | null;
  /** The key that is shown there. */
  readonly key?: Uint8Array | null;
  /** By how much the peer's clock is ahead of ours. */
  readonly aheadUs?: Micros | null;
  /** What the address says, for `refused`, `wireVersion` and the like. */
  readonly said?: string | null;
}

export interface Trouble extends WhyDetail {
  readonly code: WhyCode;
  /** Seen last. */
  readonly at: Micros;
}

/** Several rounds of the slowest dial, and of the questions that go with it. */
const EVIDENCE_KEPT: Micros = 45 * SECOND;

export class DialOutcome {
  /** Without a link since. */
  since: Micros;
  /** What ended the link that there was; '' when there was none. */
  ended = '';
  /** When its key was asked for, and the system about its address, to find out. */
  askedAt: Micros = -Infinity;
  probedAt: Micros = -Infinity;
  /** The question for the key is ours to ask, not the handshake's. */
  asked = false;
  /** Said in the log of this time without a link: the reason, and when. */
  told: WhyCode | null = null;
  toldAt: Micros = 0;
  readonly #evidence = new Map<WhyCode, Trouble>();

  constructor(now: Micros) {
    this.since = now;
  }

  note(code: WhyCode, now: Micros, detail: WhyDetail = {}): void {
    this.#evidence.set(code, { ...detail, code, at: now });
  }

  /** The reason is over. */
  clear(code: WhyCode): void {
    this.#evidence.delete(code);
  }

  /** What counts now. */
  best(now: Micros): Trouble {
    let best: Trouble = { code: 'silent', at: this.since };
    for (const one of this.#evidence.values()) {
      if (now - one.at >= EVIDENCE_KEPT) continue;
      const higher = WHY_RANKS[one.code] - WHY_RANKS[best.code];
      if (higher > 0 || (higher === 0 && one.at >= best.at)) best = one;
    }
    return best;
  }

  /** The link is up: what came before is over. */
  onUp(): void {
    this.#evidence.clear();
    this.told = null;
    this.asked = false;
  }

  /** The link ended, `why`. */
  onDown(now: Micros, why: string): void {
    this.onUp();
    // Asked anew at once: the first warning should say what is so now.
    this.askedAt = -Infinity;
    this.probedAt = -Infinity;
    this.since = now;
    this.ended = why;
  }
}

/**
 * Signed advertisements: making our own and judging those of others.
 *
 * Owns the label, the order of the checks, and what public-key work a neighbour may cause. The bytes are
 * wire/link-state.ts's, certificates are crypto/membership.ts's. Called by the router for what is newer than its database only,
 * so that every advertisement is verified once. The invariant: what `verify` lets through was said by the node
 * that it names, a lifetime ago at most.
 */

import type { NodeId } from '../base/ids.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import { SECOND, type Clock, type Micros } from '../base/time.ts';
import { labelled } from '../crypto/keys.ts';
import type { Membership } from '../crypto/membership.ts';
import { ROLE_ROUTER, signaturePart, signedPart, type Certificate } from '../wire/certificate.ts';
import { DropReason } from '../wire/drop.ts';
import { makeSignedAdvertisement, type AdvertisedLink, type Advertisement, type AdvertisementProof } from '../wire/link-state.ts';
import type { NodeFacts } from '../wire/node-facts.ts';

/** In front of the signed bytes, with a zero byte: the signature counts for nothing else. */
export const ADVERTISEMENT_LABEL = 'spines advertisement';
/** How far ahead of ours an origin's clock may be. */
const CLOCK_TOLERANCE: Micros = 300 * SECOND;
/**
 * Signatures that one neighbour may have us verify: 250 a second is a few percent of a core. The burst is a whole
 * database of 1,000 nodes at once, certificate and advertisement each.
 */
const VERIFICATIONS_PER_SECOND = 250;
const VERIFICATIONS_BURST = 2_048;
/** What no honest neighbour passes on costs it this much more: a liar soon has no budget left. */
const LIE_COST = 20;

/**
 * Versions of one origin that are taken: more than an honest one makes, which waits 50 ms between two. What comes earlier is not
 * acknowledged, and its neighbour offers the newest again when there is room. Only what was genuine counts, so nobody can use up another's.
 */
export const VERSIONS_PER_SECOND = 25;
export const VERSIONS_BURST = 50;
/** Origins whose rate is remembered. */
const ORIGINS_MAX = 4_096;

/** An advertisement of our own, under our present certificate. `links` are sorted by node id, without repetition. */
export function signAdvertisement(
  membership: Membership, sequence: number, leaving: boolean, links: readonly AdvertisedLink[], facts: NodeFacts | null = null,
): Advertisement {
  const { certificate, signing } = membership.identity;
  return makeSignedAdvertisement(
    { origin: certificate.node, sequence, leaving, name: certificate.name, links, facts, issuedS: membership.nowS, certificate: certificate.bytes },
    (part) => membership.primitives.sign(labelled(ADVERTISEMENT_LABEL, part), signing.secret.reveal(), signing.publicKey),
  );
}

/**
 * True for a refusal that time, or new credentials of ours, may turn into a yes. Such an advertisement is not acknowledged, so
 * that the neighbour offers it again; any other is, so that it does not.
 */
export function mayChange(reason: DropReason): boolean {
  switch (reason) {
    case DropReason.linkStateOutOfTime:
    case DropReason.linkStateOverBudget:
    case DropReason.certificateUnknownAuthority:
    case DropReason.certificateAuthorityNotValid:
    case DropReason.certificateNotYetValid:
    case DropReason.certificateExpired:
      return true;
    default:
      return false;
  }
}

export class AdvertisementVerifier {
  readonly #membership: Membership;
  readonly #clock: Clock;
  readonly #lifetime: Micros;
  /** By neighbour. A link that goes down and up again keeps its budget. */
  readonly #budgets = new WeakMap<object, TokenBucket>();

  /** By origin, the one heard of longest ago first. */
  readonly #versions = new Map<NodeId, TokenBucket>();

  /** `lifetime`: an advertisement issued longer ago than this is not believed. */
  constructor(membership: Membership, clock: Clock, lifetime: Micros) {
    this.#membership = membership;
    this.#clock = clock;
    this.#lifetime = lifetime;
  }

  /**
   * The certificate that proves `advertisement`, or why it is not believed. `neighbour`, any object that stands for it, pays.
   * `own`: it names us; then it counts whenever it was issued, because our clock may have been set back since.
   */
  verify(advertisement: Advertisement, proof: AdvertisementProof, neighbour: object, own: boolean): Certificate | DropReason {
    const { bytes } = advertisement;
    const remaining = this.remaining(proof);
    if (!own && (remaining <= 0 || remaining > this.#lifetime + CLOCK_TOLERANCE)) return DropReason.linkStateOutOfTime;
    const now = this.#clock.now();
    const versions = this.#versions.get(advertisement.origin) ?? new TokenBucket(VERSIONS_PER_SECOND, VERSIONS_BURST);
    if (!own && versions.level(now) < 1) return DropReason.linkStateOverBudget;
    const budget = this.#budgetOf(neighbour);
    const known = this.#membership.knows(bytes, proof.certificateStart, proof.certificateEnd);
    if (!budget.take(now, known ? 1 : 2)) return DropReason.linkStateOverBudget;
    const result = this.#judge(advertisement, proof);
    if (typeof result !== 'number') this.#onVersion(advertisement.origin, versions, now);
    else if (!mayChange(result)) budget.charge(now, LIE_COST);
    return result;
  }

  /** For how long an advertisement may still be believed, by our clock. The same rule says how long one must be remembered. */
  remaining(proof: AdvertisementProof): Micros {
    return proof.issuedS * SECOND + this.#lifetime - this.#membership.wallUs;
  }

  #judge(advertisement: Advertisement, proof: AdvertisementProof): Certificate | DropReason {
    const { bytes, origin } = advertisement;
    const certificate = this.#membership.admit(bytes, proof.certificateStart, proof.certificateEnd, ROLE_ROUTER);
    if (typeof certificate === 'number') return certificate;
    if (certificate.node !== origin) return DropReason.linkStateOfAnother;
    const genuine = this.#membership.primitives.verify(labelled(ADVERTISEMENT_LABEL, signedPart(bytes)), signaturePart(bytes), certificate.signingKey);
    return genuine ? certificate : DropReason.linkStateForged;
  }

  #onVersion(origin: NodeId, versions: TokenBucket, now: Micros): void {
    versions.take(now);
    this.#versions.delete(origin);
    this.#versions.set(origin, versions);
    if (this.#versions.size > ORIGINS_MAX) this.#versions.delete(this.#versions.keys().next().value!);
  }

  #budgetOf(neighbour: object): TokenBucket {
    let budget = this.#budgets.get(neighbour);
    if (budget === undefined) {
      budget = new TokenBucket(VERIFICATIONS_PER_SECOND, VERIFICATIONS_BURST);
      this.#budgets.set(neighbour, budget);
    }
    return budget;
  }
}

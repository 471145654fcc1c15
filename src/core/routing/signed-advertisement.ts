/**
 * What nodes sign for everybody, advertisements and records: making our own and judging those of
 * others.
 *
 * Owns the labels, the order of the checks, and what public-key work a neighbour may cause. The
 * bytes are those of core/wire/link-state.ts and core/wire/record.ts, certificates are
 * core/crypto/membership.ts's. Called for what is newer than what is held only, so that everything
 * is verified once. The invariant: what `verify` lets through was said by the node that it names, a
 * lifetime ago at most.
 */

import type { NodeId } from '../base/ids.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import { SECOND, type Clock, type Micros } from '../base/time.ts';
import { labelled } from '../crypto/keys.ts';
import type { Membership } from '../crypto/membership.ts';
import {
  PLAIN_CERTIFICATE_BYTES_MAX,
  ROLE_ROUTER,
  signaturePart,
  signedPart,
  type Certificate,
} from '../wire/certificate.ts';
import { DropReason } from '../wire/drop.ts';
import {
  makeSignedAdvertisement,
  type AdvertisedLink,
  type Advertisement,
  type Proof,
} from '../wire/link-state.ts';
import type { NodeFacts } from '../wire/node-facts.ts';
import {
  makeNodeRecord,
  type NamingProof,
  type NodeStatement,
  type SignedRecord,
} from '../wire/record.ts';

/** In front of the signed bytes, with a zero byte: the signature counts for nothing else. */
export const ADVERTISEMENT_LABEL = 'spines advertisement';
export const RECORD_LABEL = 'spines record';
/** How far ahead of ours an origin's clock may be. */
export const CLOCK_TOLERANCE: Micros = 300 * SECOND;
/**
 * Signatures that one neighbour may have us verify: 250 a second is a few percent of a core. The
 * burst is a whole database of 1,000 nodes at once, certificate and advertisement each.
 */
const VERIFICATIONS_PER_SECOND = 250;
const VERIFICATIONS_BURST = 2_048;
/** What no honest neighbour passes on costs it this much more: a liar soon has no budget left. */
const LIE_COST = 20;

/**
 * Versions of one origin that are taken: more than an honest one makes, which waits 50 ms between
 * two. What comes earlier is not acknowledged, and its neighbour offers the newest again when there
 * is room. Only what was genuine counts, so nobody can use up another's.
 */
export const VERSIONS_PER_SECOND = 25;
export const VERSIONS_BURST = 50;
/** Origins whose rate is remembered. */
const ORIGINS_MAX = 4_096;

/**
 * An advertisement of our own, under our present certificate. `links` are sorted by node id,
 * without repetition; `whole`: the certificate is in it.
 */
export function signAdvertisement(
  membership: Membership,
  sequence: number,
  leaving: boolean,
  links: readonly AdvertisedLink[],
  facts: NodeFacts | null = null,
  whole = false,
): Advertisement {
  const { node, name } = membership.identity.certificate;
  // One with groups goes by its hash in any case: whoever reads whole ones only cannot read it.
  const proof =
    whole && membership.identity.certificate.bytes.length <= PLAIN_CERTIFICATE_BYTES_MAX
      ? {
          issuedS: membership.nowS,
          certificate: null,
          whole: membership.identity.certificate.bytes,
        }
      : proofNow(membership);
  return makeSignedAdvertisement(
    { origin: node, sequence, leaving, name, links, facts, ...proof },
    (part) => signed(membership, ADVERTISEMENT_LABEL, part),
  );
}

/** A node record of our own, under our present certificate. */
export function signNodeRecord(
  membership: Membership,
  sequence: number,
  node: NodeStatement,
): SignedRecord {
  return makeNodeRecord(
    membership.identity.certificate.node,
    sequence,
    proofNow(membership),
    node,
    (part) => signed(membership, RECORD_LABEL, part),
  );
}

function proofNow(membership: Membership): NamingProof {
  return {
    issuedS: membership.nowS,
    certificate: membership.hashOf(membership.identity.certificate),
    whole: null,
  };
}

function signed(membership: Membership, label: string, part: Uint8Array): Uint8Array {
  const { secret, publicKey } = membership.identity.signing;
  return membership.primitives.sign(labelled(label, part), secret.reveal(), publicKey);
}

/** How this node signs now what stands under `label`, and the proof that goes with it. */
export function signingNow(
  membership: Membership,
  label: string,
): { readonly proof: NamingProof; readonly sign: (part: Uint8Array) => Uint8Array } {
  return { proof: proofNow(membership), sign: (part) => signed(membership, label, part) };
}

/** What is judged: of whom, since when, and its bytes, the last of which are the signature. */
export interface SignedStatement {
  readonly origin: NodeId;
  readonly bytes: Uint8Array;
}

/**
 * True for a refusal that time, or new credentials of ours, may turn into a yes. What is refused so
 * is not acknowledged, so that the neighbour offers it again; any other is, so that it does not.
 */
export function mayChange(reason: DropReason): boolean {
  switch (reason) {
    case DropReason.linkStateOutOfTime:
    case DropReason.linkStateOverBudget:
    case DropReason.linkStateUncertified:
    case DropReason.certificateUnknownAuthority:
    case DropReason.certificateAuthorityNotValid:
    case DropReason.certificateNotYetValid:
    case DropReason.certificateExpired:
      return true;
    default:
      return false;
  }
}

export class StatementVerifier {
  readonly #membership: Membership;
  readonly #clock: Clock;
  readonly #lifetime: Micros;
  /** By neighbour. A link that goes down and up again keeps its budget. */
  readonly #budgets = new WeakMap<object, TokenBucket>();

  /** By label and origin, the one heard of longest ago first. */
  readonly #versions = new Map<string, TokenBucket>();

  /** `lifetime`: what was issued longer ago than this is not believed. */
  constructor(membership: Membership, clock: Clock, lifetime: Micros) {
    this.#membership = membership;
    this.#clock = clock;
    this.#lifetime = lifetime;
  }

  /**
   * The certificate that proves `statement`, or why it is not believed. `shown`: the bytes of the
   * certificate that it names, null where nobody has shown them. `neighbour`, any object that
   * stands for it, pays. `own`: it names us; then it counts whenever it was issued, because our
   * clock may have been set back since.
   */
  verify(
    label: string,
    statement: SignedStatement,
    proof: Proof,
    shown: Uint8Array | null,
    neighbour: object,
    own: boolean,
  ): Certificate | DropReason {
    const remaining = this.remaining(proof);
    if (!own && (remaining <= 0 || remaining > this.#lifetime + CLOCK_TOLERANCE))
      return DropReason.linkStateOutOfTime;
    const now = this.#clock.now();
    const name = `${label} ${statement.origin}`;
    const versions =
      this.#versions.get(name) ?? new TokenBucket(VERSIONS_PER_SECOND, VERSIONS_BURST);
    if (!own && versions.level(now) < 1) return DropReason.linkStateOverBudget;
    const certificateBytes = proof.whole ?? shown;
    if (certificateBytes === null) return DropReason.linkStateUncertified;
    const budget = this.#budgetOf(neighbour);
    if (!budget.take(now, this.#membership.knows(certificateBytes) ? 1 : 2))
      return DropReason.linkStateOverBudget;
    const result = this.#judge(label, statement, certificateBytes);
    if (typeof result !== 'number') this.#onVersion(name, versions, now);
    else if (!mayChange(result)) budget.charge(now, LIE_COST);
    return result;
  }

  /**
   * For how long a statement may still be believed, by our clock. The same rule says how long one
   * must be remembered.
   */
  remaining(proof: Proof): Micros {
    return proof.issuedS * SECOND + this.#lifetime - this.#membership.wallUs;
  }

  #judge(
    label: string,
    { origin, bytes }: SignedStatement,
    certificateBytes: Uint8Array,
  ): Certificate | DropReason {
    const certificate = this.#membership.admit(
      certificateBytes,
      0,
      certificateBytes.length,
      ROLE_ROUTER,
    );
    if (typeof certificate === 'number') return certificate;
    if (certificate.node !== origin) return DropReason.linkStateOfAnother;
    const genuine = this.#membership.primitives.verify(
      labelled(label, signedPart(bytes)),
      signaturePart(bytes),
      certificate.signingKey,
    );
    return genuine ? certificate : DropReason.linkStateForged;
  }

  #onVersion(name: string, versions: TokenBucket, now: Micros): void {
    versions.take(now);
    this.#versions.delete(name);
    this.#versions.set(name, versions);
    if (this.#versions.size > ORIGINS_MAX)
      this.#versions.delete(this.#versions.keys().next().value!);
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

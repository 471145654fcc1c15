/**
 * Whether an advertisement is of whom it says, in a network with identities; and what of the
 * neighbour that brought it follows from the answer.
 *
 * Owns nothing but the order of the questions: the certificate, the signature, and then who is told
 * what. What is believed is installed by link-state-router.ts.
 */

import { equalBytes } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import type { Clock, Micros } from '../base/time.ts';
import type { Membership } from '../crypto/membership.ts';
import type { Certificate } from '../wire/certificate.ts';
import { DropReason } from '../wire/drop.ts';
import type { Advertisement } from '../wire/link-state.ts';
import type { CertificatePeer } from './certificate-exchange.ts';
import type { ClockWatch } from './clock-watch.ts';
import type { FloodingPeer } from './flooding.ts';
import type { LinkStateDatabase } from './link-state-database.ts';
import type { RoutingCounters } from './router-environment.ts';
import { ADVERTISEMENT_LABEL, mayChange, type StatementVerifier } from './signed-advertisement.ts';
import type { RoutedLink } from './routed-link.ts';

/** A neighbour, as routing sees it. */
export interface RoutingPeer {
  readonly link: RoutedLink;
  readonly flooding: FloodingPeer;
  /** Null in a network without identities. */
  readonly certificates: CertificatePeer | null;
}

export class AdvertisementJudge {
  readonly #membership: Membership;
  readonly #clock: Clock;
  readonly #verifier: StatementVerifier;
  readonly #clocks: ClockWatch;
  readonly #database: LinkStateDatabase;
  readonly #counters: RoutingCounters;

  constructor(
    membership: Membership,
    clock: Clock,
    verifier: StatementVerifier,
    clocks: ClockWatch,
    database: LinkStateDatabase,
    counters: RoutingCounters,
  ) {
    this.#membership = membership;
    this.#clock = clock;
    this.#verifier = verifier;
    this.#clocks = clocks;
    this.#database = database;
    this.#counters = counters;
  }

  /** For how long from now what has that proof is believed. */
  remaining(proof: NonNullable<Advertisement['proof']>): Micros {
    return this.#verifier.remaining(proof);
  }

  /** The certificate that it is signed under; `own`: it is in our own name. */
  verify(peer: RoutingPeer, advertisement: Advertisement, own: boolean): Certificate | DropReason {
    const { origin, sequence } = advertisement;
    const proof = advertisement.proof!;
    const shown = proof.whole ?? this.#certificateBytes(peer, origin, proof.certificate!);
    const result = this.#verifier.verify(
      ADVERTISEMENT_LABEL,
      advertisement,
      proof,
      shown,
      peer.link,
      own,
    );
    this.#clocks.onAdvertisement(peer.link, advertisement);
    if (typeof result !== 'number') {
      if (proof.certificate !== null) peer.certificates!.onProved(proof.certificate);
      peer.certificates!.onTaken(origin, result);
      this.#clocks.onBelieved(advertisement.origin);
      this.#counters.verified += 1;
      return result;
    }
    if (result === DropReason.linkStateUncertified) {
      if (peer.certificates!.mayAsk(this.#clock.now())) peer.flooding.sendLost([origin]);
      return result;
    }
    if (result !== DropReason.linkStateOverBudget) this.#counters.verifyFailed += 1;
    if (!own) this.#clocks.onRefused(peer.link, advertisement, result, shown);
    // Not noted as what the neighbour has: it may have, or soon get, a true one of that number.
    if (!mayChange(result)) peer.flooding.acknowledge(origin, sequence);
    return result;
  }

  /**
   * The bytes of the certificate that `origin` names by `hash`, as far as anybody has shown them.
   */
  #certificateBytes(peer: RoutingPeer, origin: NodeId, hash: Uint8Array): Uint8Array | null {
    const shown = this.#membership.byHash(hash)?.bytes ?? peer.certificates!.shown(hash);
    if (shown !== null) return shown;
    // After a change of the trusted authorities nothing is known to be verified, and what is held
    // must be judged anew.
    const held = this.#database.get(origin)?.certificate ?? null;
    return held !== null && equalBytes(this.#membership.hashOf(held), hash) ? held.bytes : null;
  }
}

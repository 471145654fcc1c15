/**
 * Whose clock is wrong, and whose word is therefore not believed.
 *
 * Owns the clocks of neighbours, as their own advertisements say them over their links, and the
 * nodes whose advertisements are refused for a time, a certificate or an authority. Says both in
 * the log, once each time. Changes nothing: what is believed is the verifier's to decide. Bounded:
 * one clock for each link, REFUSED_MAX nodes.
 */

import { formatSpan } from '../base/calendar.ts';
import type { NodeId } from '../base/ids.ts';
import type { Log } from '../base/log.ts';
import { SECOND, type Clock, type Micros } from '../base/time.ts';
import type { Membership } from '../crypto/membership.ts';
import { decodeCertificate, type Certificate } from '../wire/certificate.ts';
import { DropReason } from '../wire/drop.ts';
import type { Advertisement } from '../wire/link-state.ts';
import type { RoutedLink } from './routed-link.ts';

/** An advertisement that is not believed, for a reason that an operator can end. */
export interface RefusedNode {
  readonly origin: NodeId;
  readonly reason: DropReason;
  /** What it showed. Only for reasons that time gives is it sure to be the node's. */
  readonly certificate: Certificate | null;
  /** By how much the time of issue is ahead of our clock, when it was first heard. */
  readonly aheadUs: Micros;
  /** The neighbour that passed it on. */
  readonly via: RoutedLink;
  readonly sequence: number;
  at: Micros;
}

interface PeerClock {
  readonly sequence: number;
  /** Its wall clock less our running one. */
  readonly base: Micros;
}

/** From here on a clock is called wrong. Certificates and advertisements bear 5 minutes. */
export const CLOCK_WRONG: Micros = 60 * SECOND;
const REFUSED_MAX = 256;
/** Advertisements are renewed, and offered again, more often. */
const REFUSED_KEPT: Micros = 400 * SECOND;
const TOLD: ReadonlySet<DropReason> = new Set([
  DropReason.linkStateOutOfTime,
  DropReason.certificateNotYetValid,
  DropReason.certificateExpired,
  DropReason.certificateAuthorityNotValid,
  DropReason.certificateUnknownAuthority,
  DropReason.certificateRevoked,
]);
const CLOCK_ADVICE =
  'compare the clocks of both machines (`date -u`), and set the wrong one, or let NTP do it';

export class ClockWatch {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #membership: Membership;
  /** By the link, as long as it is up. */
  readonly #clocks = new Map<RoutedLink, PeerClock>();
  readonly #told = new Set<RoutedLink>();
  /** The one heard longest ago first. */
  readonly #refused = new Map<NodeId, RefusedNode>();

  constructor(clock: Clock, log: Log, membership: Membership) {
    this.#clock = clock;
    this.#log = log;
    this.#membership = membership;
  }

  /**
   * A newer advertisement came over `link`, believed or not. What a neighbour says of itself is its
   * own word.
   */
  onAdvertisement(link: RoutedLink, { origin, sequence, proof }: Advertisement): void {
    if (
      origin !== link.node ||
      proof === null ||
      sequence <= (this.#clocks.get(link)?.sequence ?? -1)
    )
      return;
    // In the middle of the second that it names.
    this.#clocks.set(link, {
      sequence,
      base: proof.issuedS * SECOND + SECOND / 2 - this.#clock.now(),
    });
    this.#say(link);
  }

  onLinkDown(link: RoutedLink): void {
    this.#clocks.delete(link);
    this.#told.delete(link);
  }

  onBelieved(origin: NodeId): void {
    this.#refused.delete(origin);
  }

  /** `bytes`: of the certificate that it names, as far as they were shown. */
  onRefused(
    via: RoutedLink,
    { origin, sequence, proof }: Advertisement,
    reason: DropReason,
    bytes: Uint8Array | null,
  ): void {
    if (proof === null || !TOLD.has(reason)) return;
    const now = this.#clock.now();
    const before = this.#refused.get(origin);
    this.#refused.delete(origin);
    if (before !== undefined && before.sequence === sequence && before.reason === reason) {
      before.at = now;
      this.#refused.set(origin, before);
      return;
    }
    const shown = bytes === null ? '' : decodeCertificate(bytes, 0, bytes.length);
    const certificate = typeof shown === 'string' || shown.node !== origin ? null : shown;
    this.#refused.set(origin, {
      origin,
      reason,
      certificate,
      via,
      sequence,
      at: now,
      aheadUs: proof.issuedS * SECOND - this.#membership.wallUs,
    });
    if (this.#refused.size > REFUSED_MAX) this.#refused.delete(this.#refused.keys().next().value!);
  }

  /**
   * By how much the peer's clock is ahead of ours now, good to a second or two; null: not known.
   */
  aheadUs(link: RoutedLink): Micros | null {
    const known = this.#clocks.get(link);
    return known === undefined ? null : known.base + this.#clock.now() - this.#membership.wallUs;
  }

  /** Nodes that are not believed now. */
  refused(): RefusedNode[] {
    const now = this.#clock.now();
    return [...this.#refused.values()].filter(({ at }) => now - at < REFUSED_KEPT);
  }

  /** Every second: clocks may have been set. */
  tick(): void {
    for (const link of this.#clocks.keys()) this.#say(link);
  }

  #say(link: RoutedLink): void {
    const ahead = this.aheadUs(link)!;
    if (Math.abs(ahead) < CLOCK_WRONG / 2) {
      if (this.#told.delete(link)) this.#log.info({ peer: link.label }, 'clocks agree again');
      return;
    }
    if (Math.abs(ahead) < CLOCK_WRONG || this.#told.has(link)) return;
    this.#told.add(link);
    this.#log.warn({ peer: link.label, ...clockFault(ahead) }, "a neighbour's clock differs");
  }
}

/** Cause and next step of a clock that is `aheadUs` ahead of ours. */
export function clockFault(aheadUs: Micros): { readonly why: string; readonly next: string } {
  return {
    why:
      `its clock is ${formatSpan(Math.abs(aheadUs))} ${aheadUs > 0 ? 'ahead of' : 'behind'} ` +
      `this one's: one of the two is wrong`,
    next: CLOCK_ADVICE,
  };
}

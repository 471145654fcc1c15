/**
 * How revocation lists spread: every node tells its neighbours which lists it holds, and fetches
 * those that it lacks.
 *
 * Owns which lists are wanted, what a fetched one is worth, and whom not to believe; the exchange
 * with one neighbour is revocation-peer.ts's, the lists in force are the Membership's. Whatever way
 * a list came in (a neighbour, a reload), the Membership's change is what makes it known here. The
 * invariants: no list is passed on that is not in force here, and a neighbour that lies costs one
 * verification a minute and keeps nobody from a true list.
 */

import { hex } from '../base/bytes.ts';
import { formatNodeId } from '../base/ids.ts';
import type { Log } from '../base/log.ts';
import { SECOND, type Clock, type Micros, type Timers } from '../base/time.ts';
import { AUTHORITIES_MAX, authorityIdOf } from '../crypto/certificates.ts';
import type { Membership } from '../crypto/membership.ts';
import { assert } from '../base/assert.ts';
import { decodeRevocations, type RevocationList } from '../wire/certificate.ts';
import { DropReason, dropReasonName, type DropCounters } from '../wire/drop.ts';
import { REVOCATION_ENTRIES_MAX, type ListName } from '../wire/revocation.ts';
import {
  RevocationPeer,
  type OfferVerdict,
  type RevocationHub,
  type RevocationLink,
} from './revocation-peer.ts';

assert(
  REVOCATION_ENTRIES_MAX >= AUTHORITIES_MAX,
  'an offer has room for a list of every authority',
);

/**
 * A neighbour that sent something untrue in an authority's name is not listened to about that
 * authority for this long.
 */
const DISTRUST: Micros = 60 * SECOND;
/** Pairs of neighbour and authority remembered for that; the oldest goes first. */
const DISTRUSTED_MAX = 1_024;

export interface RevocationExchangeEnvironment {
  readonly membership: Membership;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
  readonly drops: DropCounters;
}

export class RevocationExchange implements RevocationHub {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly #env: RevocationExchangeEnvironment;
  readonly #peers = new Map<RevocationLink, RevocationPeer>();
  /** `node authority` -> until when. Outlives the link, so that a new one is no new chance. */
  readonly #distrusted = new Map<string, Micros>();
  /** By the authority's id. */
  #held = new Map<string, RevocationList>();
  #trusted: ReadonlySet<string> = new Set();
  /** To links that are gone. */
  #partsSent = 0;
  /** Lists taken from neighbours, and lists whose signature was verified for that. */
  accepted = 0;
  verified = 0;

  constructor(env: RevocationExchangeEnvironment) {
    this.#env = env;
    this.clock = env.clock;
    this.timers = env.timers;
    this.#takeStock();
    env.membership.onChange(() => this.#onMembershipChange());
  }

  get lists(): readonly RevocationList[] {
    return [...this.#held.values()];
  }

  /** Parts of lists sent so far. */
  get partsSent(): number {
    let count = this.#partsSent;
    for (const peer of this.#peers.values()) count += peer.partsSent;
    return count;
  }

  onLinkState(link: RevocationLink, up: boolean): void {
    const before = this.#peers.get(link);
    before?.stop();
    this.#partsSent += before?.partsSent ?? 0;
    this.#peers.delete(link);
    if (!up) return;
    const peer = new RevocationPeer(link, this);
    this.#peers.set(link, peer);
    peer.start();
  }

  /** A frame of type REVOCATION_... arrived with the body `bytes[start..end)`. */
  onControl(
    link: RevocationLink,
    type: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    this.#peers.get(link)?.onFrame(type, bytes, start, end);
  }

  /* -------------------------------------------------------------- for the peers */

  find(authority: string): RevocationList | undefined {
    return this.#held.get(authority);
  }

  judge(peer: RevocationPeer, { authority, number }: ListName): OfferVerdict {
    if (!this.#trusted.has(authority)) return 'unknown-authority';
    if (number <= (this.#held.get(authority)?.number ?? -1)) return 'held';
    const key = distrustKey(peer, authority);
    const until = this.#distrusted.get(key);
    if (until === undefined) return 'wanted';
    if (this.clock.now() < until) return 'distrusted';
    this.#distrusted.delete(key);
    return 'wanted';
  }

  fetchedElsewhere(peer: RevocationPeer, list: ListName): boolean {
    for (const other of this.#peers.values())
      if (other !== peer && other.fetches(list)) return true;
    return false;
  }

  onList(peer: RevocationPeer, name: ListName, bytes: Uint8Array): void {
    if (!peer.verifications.take(this.clock.now())) {
      this.count(DropReason.revocationOverBudget);
      return;
    }
    const list = decodeRevocations(bytes);
    if (
      typeof list === 'string' ||
      hex(list.authority) !== name.authority ||
      list.number !== name.number
    ) {
      this.#distrust(peer, name, DropReason.revocationMalformed);
      return;
    }
    this.verified += 1;
    const verdict = this.#env.membership.offerRevocations(list);
    if (verdict === 'bad-signature') this.#distrust(peer, name, DropReason.revocationForged);
    else if (verdict === 'wrong-network')
      this.#distrust(peer, name, DropReason.certificateWrongNetwork);
    else if (verdict === 'unknown-authority') this.count(DropReason.certificateUnknownAuthority);
    else if (verdict === 'ok') {
      this.accepted += 1;
      this.#env.log.info(
        {
          peer: formatNodeId(peer.link.node),
          authority: name.authority,
          number: name.number,
          revoked: list.serials.length,
        },
        'revocation list taken over',
      );
    }
  }

  count(reason: DropReason): void {
    this.#env.drops.count(reason);
  }

  #distrust(peer: RevocationPeer, { authority, number }: ListName, reason: DropReason): void {
    const { node } = peer.link;
    this.count(reason);
    this.#env.log.warn(
      { peer: formatNodeId(node), authority, number, why: dropReasonName(reason) },
      'untrue revocation list',
    );
    const key = distrustKey(peer, authority);
    this.#distrusted.delete(key);
    this.#distrusted.set(key, this.clock.now() + DISTRUST);
    if (this.#distrusted.size > DISTRUSTED_MAX)
      this.#distrusted.delete(this.#distrusted.keys().next().value!);
    peer.forget(authority);
    // Who waited for this transfer need not wait any longer.
    for (const other of this.#peers.values()) if (other !== peer) other.review();
  }

  /* -------------------------------------------------------------- what is held */

  #onMembershipChange(): void {
    const news = this.#takeStock();
    for (const peer of this.#peers.values()) {
      peer.review();
      if (news) peer.announce();
    }
  }

  /** Looks up what is in force; true when some of it is new. */
  #takeStock(): boolean {
    const { authorities, revocations } = this.#env.membership.trust;
    const before = this.#held;
    this.#trusted = new Set(
      authorities.map((authority) => hex(authorityIdOf(authority.signingKey))),
    );
    const byId = revocations
      .map((list) => [hex(list.authority), list] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1));
    this.#held = new Map(byId);
    return byId.some(([id, list]) => list.number > (before.get(id)?.number ?? -1));
  }
}

function distrustKey(peer: RevocationPeer, authority: string): string {
  return `${peer.link.node} ${authority}`;
}

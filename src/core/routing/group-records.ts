/**
 * Groups of all nodes: what this one says of itself, what others say, and whom to believe.
 *
 * They are flooded as advertisements are (flooding.ts), beside them, since a program that joins is
 * no reason to sign links or to compute routes anew. With identities they are signed and verified
 * as records are; the certificate may name the groups that its node may be in. A record counts
 * while link state knows its node in the run that the record names. Called by link-state-router.ts.
 */

import type { NodeId } from '../base/ids.ts';
import { SECOND, type Clock, type Micros, type Timers } from '../base/time.ts';
import type { Membership } from '../crypto/membership.ts';
import { allowsGroup } from '../crypto/group-grants.ts';
import type { Certificate } from '../wire/certificate.ts';
import { DropReason } from '../wire/drop.ts';
import { FRAME_GROUPS, FRAME_GROUPS_DIGEST } from '../wire/frames.ts';
import { decodeGroups, GROUP_PAGES, makeGroups, type GroupsRecord } from '../wire/groups.ts';
import { SEQUENCE_MAX } from '../wire/link-state.ts';
import { WIRE_VERSION_GROUPS } from '../wire/versions.ts';
import type { CertificatePeer } from './certificate-exchange.ts';
import { FloodingPeer } from './flooding.ts';
import { FloodingPeers, type FloodedPeer } from './flooding-peers.ts';
import { GroupDatabase } from './group-database.ts';
import { OwnGroups } from './own-groups.ts';
import { mayChange, signingNow, type StatementVerifier } from './signed-advertisement.ts';
import type { RoutedLink } from './routed-link.ts';

/** In front of the signed bytes, with a zero byte. */
export const GROUPS_LABEL = 'spines groups';
const OVERTAKE_INTERVAL: Micros = 1 * SECOND;
/**
 * A node that link state does not know any more has its groups for so long; those of another run
 * than the one that advertises, which may not have been heard of yet, for so long.
 */
const UNKNOWN_KEPT: Micros = 10 * SECOND,
  OTHER_RUN_KEPT: Micros = 2 * SECOND;

export interface GroupRecordsEnvironment {
  readonly self: NodeId;
  /** u48, of this run. */
  readonly instance: number;
  readonly clock: Clock;
  readonly timers: Timers;
  /** With identities, both. */
  readonly membership: Membership | null;
  readonly verifier: StatementVerifier | null;
  /** Nodes that are remembered. */
  readonly nodesMost: number;
  readonly lifetimeUs: Micros;
  knows(node: NodeId): boolean;
  /** Of the run of `node` that advertised last; null: not known. */
  instanceOf(node: NodeId): number | null;
  /**
   * Whether what another one said in our name is of an earlier run, and not of a daemon that we
   * gave way to.
   */
  mayOvertake(): boolean;
}

type Peer = FloodedPeer<CertificatePeer | null>;

export class GroupRecords {
  readonly database: GroupDatabase;
  readonly own: OwnGroups;
  readonly #env: GroupRecordsEnvironment;
  readonly #peers = new FloodingPeers<CertificatePeer | null>({
    recordFrame: FRAME_GROUPS,
    digestFrame: FRAME_GROUPS_DIGEST,
    malformed: DropReason.groupsMalformed,
  });
  #sequence: number;
  /** When link state last knew the node of a record, by the record's key. */
  readonly #knownAt = new Map<number, Micros>();

  /** `sequence`: ours begin above it; a later run's is higher. */
  constructor(env: GroupRecordsEnvironment, sequence: number) {
    this.#env = env;
    this.#sequence = sequence;
    this.database = new GroupDatabase(env.nodesMost * GROUP_PAGES, env.self);
    this.own = new OwnGroups(env.clock, env.timers, (page, groups) => this.#say(page, groups));
  }

  /** Whether the certificate of `node` lets it be in `group`, or send to it. */
  allows(certificate: Certificate | null, group: number): boolean {
    return certificate === null || allowsGroup(certificate, group);
  }

  onLinkUp(link: RoutedLink, certificates: CertificatePeer | null): void {
    if ((link.channel?.version ?? 0) < WIRE_VERSION_GROUPS) return;
    const { clock, timers } = this.#env;
    const flooding = new FloodingPeer(link, this.database, clock, timers, certificates);
    this.#peers.add(link, { flooding, certificates });
    // Where nobody is in any group there is nothing to list, and nothing is sent.
    if (this.database.size > 0) flooding.start();
    else flooding.startEmpty();
  }

  onLinkDown(link: RoutedLink): void {
    this.#peers.onLinkDown(link);
  }

  /** The body of a frame about groups, without its check. */
  onFrame(
    link: RoutedLink,
    type: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): DropReason {
    return this.#peers.onFrame(link, type, bytes, start, end, (...record) =>
      this.#onRecord(...record),
    );
  }

  /** Every second, and when certificates or revocations changed: what is over is forgotten. */
  recheck(): void {
    const { clock, self, membership } = this.#env;
    const now = clock.now(),
      offerAgain: number[] = [];
    for (const { record, certificate, expiresAt } of [...this.database.all()]) {
      if (record.origin === self) continue;
      const over = this.#isOver(record);
      if (!over && this.#env.knows(record.origin)) this.#knownAt.set(record.id, now);
      const reason =
        certificate === null || membership === null
          ? DropReason.none
          : membership.recheck(certificate);
      const unknown = now - this.#knownAt.get(record.id)! >= (over ? OTHER_RUN_KEPT : UNKNOWN_KEPT);
      if (reason === DropReason.none && expiresAt > now && !unknown) continue;
      this.database.remove(record.id);
      this.#knownAt.delete(record.id);
      for (const flooding of this.#peers.flooding()) flooding.forget(record.id);
      if (reason !== DropReason.none && mayChange(reason)) offerAgain.push(record.id);
    }
    if (offerAgain.length > 0)
      for (const flooding of this.#peers.flooding()) flooding.sendLost(offerAgain);
  }

  /** Tells everybody that this node is in no group any more, at once. */
  end(): void {
    if (this.#env.mayOvertake()) this.own.end();
    for (const flooding of this.#peers.flooding()) flooding.sendNow();
  }

  stop(): void {
    this.own.stop();
    this.#peers.stop();
  }

  /** It was said by another run of its node than the one that advertises. */
  #isOver({ origin, instance }: GroupsRecord): boolean {
    const now = this.#env.instanceOf(origin);
    return now !== null && now !== instance;
  }

  #say(page: number, groups: readonly number[]): void {
    const { self, instance, membership, clock, lifetimeUs } = this.#env;
    if (!this.#env.mayOvertake()) return;
    this.#sequence += 1;
    const statement = { origin: self, page, sequence: this.#sequence, instance, groups };
    const record = makeGroups(
      statement,
      membership === null ? null : signingNow(membership, GROUPS_LABEL),
    );
    this.database.install({
      record,
      allowed: groups,
      certificate: membership?.identity.certificate ?? null,
      expiresAt: clock.now() + lifetimeUs,
    });
    this.#peers.flood(record.id);
  }

  #onRecord(peer: Peer, bytes: Uint8Array, start: number, end: number): DropReason {
    const record = decodeGroups(bytes, start, end, this.#env.membership !== null);
    if (typeof record === 'number') return record;
    const { id, origin, sequence } = record;
    const held = this.database.sequence(id);
    if (sequence <= held) {
      peer.flooding.onReceived(id, sequence);
      if (sequence === held) return DropReason.none;
      peer.flooding.onOlder(id, sequence);
      return DropReason.groupsStale;
    }
    const own = origin === this.#env.self;
    if (!own && !this.database.fits(record)) {
      peer.flooding.acknowledge(id, sequence);
      return DropReason.groupTableFull;
    }
    const certificate = this.#judge(peer, record, held, own);
    if (typeof certificate === 'number') return certificate;
    if (own) {
      peer.flooding.onReceived(id, sequence, Math.max(0, held));
      if (sequence < SEQUENCE_MAX / 2 && this.#env.mayOvertake()) {
        this.#sequence = Math.max(this.#sequence, sequence);
        this.own.again(bytes[start + 1]!, OVERTAKE_INTERVAL);
      }
      return DropReason.none;
    }
    if (certificate !== null) peer.certificates!.onTaken(id, certificate);
    this.#install(record, certificate);
    peer.flooding.onReceived(id, sequence);
    this.#peers.flood(id);
    return DropReason.none;
  }

  /** The certificate that proves `record`, null where nothing is proved, or why it is refused. */
  #judge(
    peer: Peer,
    record: GroupsRecord,
    held: number,
    own: boolean,
  ): Certificate | null | DropReason {
    const { verifier, membership, clock } = this.#env;
    const { id, sequence, proof } = record;
    if (verifier === null || membership === null || proof === null) return null;
    const certificates = peer.certificates!;
    const certificate = verifier.verify(
      GROUPS_LABEL,
      record,
      proof,
      membership.byHash(proof.certificate)?.bytes ?? certificates.shown(proof.certificate),
      peer.flooding.link,
      own,
    );
    if (typeof certificate !== 'number') {
      certificates.onProved(proof.certificate);
      return certificate;
    }
    if (certificate === DropReason.linkStateUncertified && certificates.mayAsk(clock.now()))
      peer.flooding.sendLost([id], Math.max(0, held));
    if (!mayChange(certificate)) peer.flooding.acknowledge(id, sequence);
    return certificate;
  }

  #install(record: GroupsRecord, certificate: Certificate | null): void {
    const { clock, verifier, lifetimeUs } = this.#env;
    const now = clock.now();
    const remaining =
      record.proof === null || verifier === null ? lifetimeUs : verifier.remaining(record.proof);
    const before = this.database.get(record.id)?.expiresAt ?? 0;
    this.#knownAt.set(record.id, now);
    this.database.install({
      record,
      allowed: record.groups.filter((group) => this.allows(certificate, group)),
      certificate,
      expiresAt: Math.max(now + remaining, before),
    });
  }
}

/**
 * Signed records of all nodes beside their links: ours, everybody's, and who is told of them.
 *
 * Owns which records to believe and when they end; they are flooded as advertisements are
 * (flooding.ts), verified alike (signed-advertisement.ts), and only in networks with identities.
 * Whoever needs what they say is told when one comes or goes. Our own is made anew with each
 * renewal of our advertisement, so an idle network sends nothing more. Called by
 * link-state-router.ts.
 */

import type { NodeId } from '../base/ids.ts';
import { SECOND, Timer, type Clock, type Micros, type Timers } from '../base/time.ts';
import type { Membership } from '../crypto/membership.ts';
import type { Certificate } from '../wire/certificate.ts';
import { DropReason } from '../wire/drop.ts';
import { FRAME_RECORD, FRAME_RECORD_DIGEST } from '../wire/frames.ts';
import { SEQUENCE_MAX } from '../wire/link-state.ts';
import {
  decodeRecord,
  RECORD_NODE,
  recordKey,
  type NodeStatement,
  type SignedRecord,
} from '../wire/record.ts';
import { speaksRecords, type CertificatePeer } from './certificate-exchange.ts';
import { FloodingPeer } from './flooding.ts';
import { FloodingPeers, type FloodedPeer } from './flooding-peers.ts';
import { RecordDatabase } from './record-database.ts';
import {
  mayChange,
  RECORD_LABEL,
  signNodeRecord,
  type StatementVerifier,
} from './signed-advertisement.ts';
import type { RoutedLink } from './routed-link.ts';

export interface RecordsEnvironment {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly membership: Membership;
  readonly verifier: StatementVerifier;
  /** Most records held. */
  readonly most: number;
  readonly lifetimeUs: Micros;
  /** Ours is made anew after this long, if it was not before. */
  readonly renewUs: Micros;
  /** What our node record says now. */
  statement(): NodeStatement;
  /**
   * Whether what another one signed in our name is of an earlier run, and not of a daemon that we
   * gave way to.
   */
  mayOvertake(): boolean;
  /** How far beyond the number of an earlier run of ours to go on. */
  overtakeBy(): number;
  /** A node record was believed; it takes the place of the one before. */
  onNode(record: SignedRecord): void;
  /** That node's record is believed no longer. */
  onNodeGone(node: NodeId): void;
}

const OVERTAKE_INTERVAL: Micros = 1 * SECOND;

type Peer = FloodedPeer<CertificatePeer>;

export class Records {
  readonly database: RecordDatabase;
  verified = 0;
  readonly #env: RecordsEnvironment;
  readonly #peers = new FloodingPeers<CertificatePeer>({
    recordFrame: FRAME_RECORD,
    digestFrame: FRAME_RECORD_DIGEST,
    malformed: DropReason.recordMalformed,
  });
  readonly #renewTimer = new Timer(() => this.renew());
  #overtookAt: Micros = -OVERTAKE_INTERVAL;
  /** Of our own record; as those of advertisements, a later run is ahead by the clock. */
  #sequence: number;

  /** `sequence`: ours begin above it. */
  constructor(env: RecordsEnvironment, sequence: number) {
    this.#env = env;
    this.#sequence = sequence;
    this.database = new RecordDatabase(env.most, env.self);
  }

  /** What `node` said last of itself; null when nothing is believed. */
  nodeRecord(node: NodeId): SignedRecord | null {
    return this.database.get(recordKey(node, RECORD_NODE))?.record ?? null;
  }

  /** Of what `node` said last; null when nothing is believed. */
  certificateOf(node: NodeId): Certificate | null {
    return this.database.certificateOf(recordKey(node, RECORD_NODE));
  }

  onLinkUp(link: RoutedLink, certificates: CertificatePeer): void {
    // A neighbour of the release before does not know the frames.
    if (!speaksRecords(link)) return;
    const flooding = new FloodingPeer(
      link,
      this.database,
      this.#env.clock,
      this.#env.timers,
      certificates,
    );
    this.#peers.add(link, { flooding, certificates });
    flooding.start();
  }

  onLinkDown(link: RoutedLink): void {
    this.#peers.onLinkDown(link);
  }

  /** The body of a frame about records, without its check. */
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

  /** Signs and floods our node record anew. */
  renew(): void {
    const { membership, self, clock, timers, lifetimeUs, renewUs } = this.#env;
    if (!this.#env.mayOvertake()) return;
    this.#sequence += 1;
    const record = signNodeRecord(membership, this.#sequence, this.#env.statement());
    this.database.install(record, membership.identity.certificate, clock.now() + lifetimeUs);
    this.#peers.flood(recordKey(self, RECORD_NODE));
    timers.arm(this.#renewTimer, clock.now() + renewUs);
  }

  /** Asks the neighbour behind `link` for a record of `node` that is newer than ours. */
  ask(link: RoutedLink, node: NodeId): void {
    const key = recordKey(node, RECORD_NODE);
    this.#peers.get(link)?.flooding.sendLost([key], Math.max(0, this.database.sequence(key)));
  }

  /** Every second, and when certificates or revocations changed: what is over is forgotten. */
  recheck(): void {
    const { clock, self, membership } = this.#env;
    const now = clock.now(),
      offerAgain: number[] = [];
    for (const { record, certificate, expiresAt } of [...this.database.all()]) {
      if (record.origin === self) continue;
      const reason = membership.recheck(certificate);
      if (reason === DropReason.none && expiresAt > now) continue;
      this.database.remove(record.id);
      for (const flooding of this.#peers.flooding()) flooding.forget(record.id);
      if (reason !== DropReason.none && mayChange(reason)) offerAgain.push(record.id);
      this.#env.onNodeGone(record.origin);
    }
    for (const flooding of this.#peers.flooding()) flooding.sendLost(offerAgain);
  }

  stop(): void {
    this.#env.timers.cancel(this.#renewTimer);
    this.#peers.stop();
  }

  #onRecord(peer: Peer, bytes: Uint8Array, start: number, end: number): DropReason {
    const record = decodeRecord(bytes, start, end);
    if (typeof record === 'number') return record;
    const { id, origin, sequence, proof } = record;
    const held = this.database.sequence(id);
    const own = origin === this.#env.self;
    if (sequence <= held) {
      peer.flooding.onReceived(id, sequence);
      if (sequence === held) return DropReason.none;
      peer.flooding.onOlder(id, sequence);
      return DropReason.recordStale;
    }
    if (held < 0 && this.database.size >= this.database.limit) {
      peer.flooding.acknowledge(id, sequence);
      return DropReason.recordTableFull;
    }
    const { verifier, clock } = this.#env;
    const now = clock.now();
    const certificate = verifier.verify(
      RECORD_LABEL,
      record,
      proof,
      this.#env.membership.byHash(proof.certificate)?.bytes ??
        peer.certificates.shown(proof.certificate),
      peer.flooding.link,
      own,
    );
    if (typeof certificate === 'number') {
      if (certificate === DropReason.linkStateUncertified && peer.certificates.mayAsk(now))
        peer.flooding.sendLost([id], Math.max(0, held));
      if (!mayChange(certificate)) peer.flooding.acknowledge(id, sequence);
      return certificate;
    }
    this.verified += 1;
    peer.certificates.onProved(proof.certificate);
    if (own) {
      // Remembered no further than we have spoken: then it hears what we say next.
      peer.flooding.onReceived(id, sequence, Math.max(0, held));
      if (sequence < SEQUENCE_MAX / 2 && this.#env.mayOvertake()) this.#overtake(sequence, now);
      return DropReason.none;
    }
    peer.certificates.onTaken(id, certificate);
    this.database.install(
      record,
      certificate,
      Math.max(now + verifier.remaining(proof), this.database.get(id)?.expiresAt ?? 0),
    );
    peer.flooding.onReceived(id, sequence);
    this.#peers.flood(id);
    this.#env.onNode(record);
    return DropReason.none;
  }

  /** At once, but not again and again: whoever runs with our identity too says more. */
  #overtake(sequence: number, now: Micros): void {
    const { timers } = this.#env;
    this.#sequence = Math.max(this.#sequence, sequence + this.#env.overtakeBy());
    timers.cancel(this.#renewTimer);
    timers.arm(this.#renewTimer, Math.max(now, this.#overtookAt + OVERTAKE_INTERVAL));
    this.#overtookAt = this.#renewTimer.at;
  }
}

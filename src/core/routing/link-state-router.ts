/**
 * Link-state routing: what everybody advertises, as it is flooded, believed and forgotten.
 *
 * Owns which advertisements to believe (in a network with identities only signed ones), and what
 * follows for neighbours and for who speaks in our name. What we say ourselves is
 * own-advertisement.ts's, routes are routes.ts's; storage, flooding and signatures have files of
 * their own.
 */

import { assert } from '../base/assert.ts';
import { equalBytes, getU16 } from '../base/bytes.ts';
import { formatNodeId, type NodeId } from '../base/ids.ts';
import { SECOND, Timer, type Micros } from '../base/time.ts';
import type { Membership } from '../crypto/membership.ts';
import { PLAIN_CERTIFICATE_BYTES_MAX } from '../wire/certificate.ts';
import { DropReason, dropReasonName } from '../wire/drop.ts';
import {
  FRAME_CERTIFICATE,
  FRAME_DIGEST,
  FRAME_GROUPS,
  FRAME_GROUPS_DIGEST,
  FRAME_LINK_STATE,
  FRAME_LINK_STATE_ACK,
} from '../wire/frames.ts';
import {
  CONTROL_CHECK_BYTES,
  controlIntact,
  decodeAdvertisement,
  LIFETIME_BYTES,
  type Advertisement,
} from '../wire/link-state.ts';
import { hasCapability, IDENTITY_ASKED } from '../wire/node-facts.ts';
import { decodeTwin } from '../wire/twin.ts';
import { WIRE_VERSION_RECORDS } from '../wire/versions.ts';
import { AdvertisementJudge, type RoutingPeer } from './advertisement-judge.ts';
import { CertificatePeer, speaksRecords } from './certificate-exchange.ts';
import { ClockWatch } from './clock-watch.ts';
import { CloneWatch } from './clone-watch.ts';
import { FloodedAdvertisements } from './flooded-advertisements.ts';
import { FloodingPeer } from './flooding.ts';
import { GroupRecords } from './group-records.ts';
import { LEAVING_KEPT, NodeDirectory } from './node-directory.ts';
import { Records } from './records.ts';
import type { Router } from './router.ts';
import { isLaterRun, OVERTAKE_LEAST } from './runs.ts';
import { ADVERTISE_INTERVAL, OVERTAKE_MAX, OwnAdvertisement } from './own-advertisement.ts';
import type {
  LinkStateRouterConfig,
  LinkStateRouterEnvironment,
  RoutingCounters,
} from './router-environment.ts';
import { Routes } from './routes.ts';
import type { ShortestPaths } from './shortest-path.ts';
import { mayChange, StatementVerifier } from './signed-advertisement.ts';
import type { RoutedLink, RoutedLinks } from './routed-link.ts';

const EXPIRY_INTERVAL: Micros = 1 * SECOND;
/**
 * How far beyond the numbers of an earlier run ours may go on with identities, in units of the
 * clock that numbers begin from: 6.5 s.
 */
const OVERTAKE_SIGNED_MAX = 0x1_0000;
/**
 * Unit of the wall clock in a first sequence number. A run advertises far more rarely than its
 * clock counts.
 */
const SEQUENCE_UNIT: Micros = 100;
/**
 * An elder daemon with our identity is asked whether it still is there, and has so long for its
 * answer.
 */
const CLONE_ASK: Micros = 5 * SECOND;
const CLONE_FIRST: Micros = 1 * SECOND;
/** A younger one that does not give way is answered this often at most. */
const CLONE_INTERVAL: Micros = 1 * SECOND;
export class LinkStateRouter extends NodeDirectory implements Router {
  readonly counters: RoutingCounters = {
    routeChanges: 0,
    recomputations: 0,
    recomputeUsTotal: 0,
    recomputeUsMax: 0,
    advertised: 0,
    accepted: 0,
    duplicates: 0,
    verified: 0,
    verifyFailed: 0,
  };
  readonly #config: LinkStateRouterConfig;
  readonly #env: LinkStateRouterEnvironment;
  readonly #links: RoutedLinks;
  readonly #membership: Membership | null;
  /** Null in a network without identities. */
  readonly #judge: AdvertisementJudge | null;
  /** What nodes say beside their links; null in a network without identities. */
  readonly records: Records | null;
  /** Who is in which group. */
  readonly groups: GroupRecords;
  /** Null in a network without identities. */
  readonly clocks: ClockWatch | null;
  readonly clones: CloneWatch;
  readonly #flooded: FloodedAdvertisements;
  readonly #peers = new Map<RoutedLink, RoutingPeer>();
  readonly #expiryTimer = new Timer(() => this.#expire());
  readonly #cloneTimer = new Timer(() => this.#onCloneTimer());
  readonly #routes: Routes;
  readonly #own: OwnAdvertisement;
  #stopped = false;
  /** Number of the question whether the elder clone is there, 0 = none is open. */
  #askedClone = 0;

  constructor(config: LinkStateRouterConfig, env: LinkStateRouterEnvironment, links: RoutedLinks) {
    super(config.id, env.facts, env.clock, config.limits.nodes);
    this.#config = config;
    this.#env = env;
    this.#links = links;
    this.#flooded = new FloodedAdvertisements(this.database, config.id);
    const { membership } = env;
    let first: number;
    let verifier: StatementVerifier | null = null;
    this.clones = new CloneWatch(env.clock, env.log, env.facts);
    this.#membership = membership;
    if (membership === null) {
      this.#judge = null;
      this.records = null;
      this.clocks = null;
      // Not from 0: a restarted daemon must not meet its own old advertisement under an equal
      // number.
      first = env.rng.fork('advertisement sequence').below(0x7fff_ffff);
    } else {
      assert(
        membership.identity.certificate.node === config.id,
        'a daemon has the certificate of its own node id',
      );
      this.clocks = new ClockWatch(env.clock, env.log, membership);
      verifier = new StatementVerifier(membership, env.clock, config.advertisementLifetimeUs);
      this.#judge = new AdvertisementJudge(
        membership,
        env.clock,
        verifier,
        this.clocks,
        this.database,
        this.counters,
      );
      this.records = new Records(
        {
          self: config.id,
          clock: env.clock,
          timers: env.timers,
          membership,
          verifier,
          most: config.limits.nodes,
          lifetimeUs: config.advertisementLifetimeUs,
          renewUs: Math.min(config.keyRotationUs, config.advertisementRefreshUs),
          statement: () => env.statement(),
          overtakeBy: () => OVERTAKE_LEAST + env.rng.below(OVERTAKE_SIGNED_MAX - OVERTAKE_LEAST),
          mayOvertake: () => !this.clones.yields,
          onNode: (record) => env.onNodeRecord(record.origin, record),
          onNodeGone: (node) => env.onNodeRecord(node, null),
        },
        Math.floor(membership.wallUs / SEQUENCE_UNIT),
      );
      // A restarted daemon is ahead of its earlier run without having kept anything.
      first = Math.floor(membership.wallUs / SEQUENCE_UNIT);
      membership.onChange(() => this.#onMembership());
    }
    this.groups = this.#makeGroups(verifier);
    this.#routes = new Routes(config, env, links, this.database, this.counters);
    this.#own = new OwnAdvertisement(first, {
      config,
      env,
      links,
      database: this.database,
      clones: this.clones,
      counters: this.counters,
      olderNodes: () => this.#olderNodes(),
      transitUnknown: () => this.transitUnknown,
      onInstalled: () => this.#onNewer(config.id),
      onRenewed: () => {
        this.records?.renew();
        this.groups.own.renew();
      },
    });
  }

  #makeGroups(verifier: StatementVerifier | null): GroupRecords {
    const { id: self, limits, advertisementLifetimeUs: lifetimeUs } = this.#config;
    const { clock, timers, membership, facts, wall } = this.#env;
    return new GroupRecords(
      {
        self,
        instance: facts.instance,
        clock,
        timers,
        membership,
        verifier,
        nodesMost: limits.nodes,
        lifetimeUs,
        knows: (node) => this.knows(node),
        instanceOf: (node) => this.instanceOf(node),
        mayOvertake: () => !this.clones.yields,
      },
      Math.floor((membership?.wallUs ?? wall.now()) / SEQUENCE_UNIT),
    );
  }

  /** Number of our own newest advertisement; of the next one before there is any. */
  get sequence(): number {
    return this.#own.sequence;
  }

  /** Whether this node carries packets of others: everybody is told. */
  set transit(carried: boolean) {
    this.#own.transit = carried;
  }

  get paths(): ShortestPaths {
    return this.#routes.paths;
  }

  /** When the way to the node of that index in `paths` became what it is. */
  changedAt(index: number): Micros {
    return this.#routes.changedAt(index);
  }

  start(): void {
    this.#own.advertise(true);
    this.#routes.recompute();
    this.#env.timers.arm(this.#expiryTimer, this.#env.clock.now() + EXPIRY_INTERVAL);
  }

  /** Tells everybody that this node leaves. The caller flushes and then takes the links down. */
  stop(): void {
    // The good-bye of one that gave way would be the other's.
    if (!this.clones.yields) this.#own.leave();
    for (const { flooding } of this.#peers.values()) flooding.sendNow();
    this.groups.end();
    this.groups.stop();
    this.records?.stop();
    this.#stopped = true;
    this.#routes.stop();
    this.#own.stop();
    for (const timer of [this.#expiryTimer, this.#cloneTimer]) this.#env.timers.cancel(timer);
  }

  nextHop(destination: NodeId): RoutedLink | null {
    return this.#routes.nextHop(destination);
  }

  onTheWay(node: NodeId, destination: NodeId): boolean {
    return this.#routes.onTheWay(node, destination);
  }

  /** Another number whenever routes were computed anew. */
  get version(): number {
    return this.counters.recomputations;
  }

  reachable(node: NodeId): boolean {
    return this.#routes.reachable(node);
  }

  /* -------------------------------------------------------------- inputs */

  onLinkState(link: RoutedLink, up: boolean): void {
    if (up) {
      const certificates =
        this.#membership === null ? null : new CertificatePeer(link, this.#membership);
      const flooding = new FloodingPeer(
        link,
        this.#flooded,
        this.#env.clock,
        this.#env.timers,
        certificates,
      );
      this.#peers.set(link, { link, flooding, certificates });
      flooding.start();
      if (certificates !== null) this.records!.onLinkUp(link, certificates);
      this.groups.onLinkUp(link, certificates);
    } else {
      this.clocks?.onLinkDown(link);
      this.clones.onLinkDown(link);
      this.#peers.get(link)?.flooding.stop();
      this.#peers.delete(link);
      this.records?.onLinkDown(link);
      this.groups.onLinkDown(link);
    }
    this.#own.schedule(ADVERTISE_INTERVAL);
  }

  onLinkEstimate(link: RoutedLink): void {
    this.#own.onEstimate(link);
  }

  onControl(link: RoutedLink, type: number, bytes: Uint8Array, start: number, end: number): void {
    const peer = this.#peers.get(link);
    if (peer === undefined) return;
    if (!controlIntact(bytes, start, end)) {
      this.#env.drops.count(DropReason.checkWrong);
      return;
    }
    this.#onIntactControl(peer, type, bytes, start, end - CONTROL_CHECK_BYTES);
  }

  #onIntactControl(
    peer: RoutingPeer,
    type: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    let reason: DropReason = DropReason.none;
    if (type === FRAME_LINK_STATE) reason = this.#onAdvertisement(peer, bytes, start, end);
    else if (type === FRAME_DIGEST) {
      // With identities a number in a list proves nothing: an earlier run of ours speaks through
      // what it signed.
      const ok = peer.flooding.onDigestFrame(bytes, start, end, (origin, sequence) => {
        if (this.#membership === null) this.#onVersionSeen(origin, sequence);
      });
      if (!ok) reason = DropReason.digestMalformed;
    } else if (type === FRAME_LINK_STATE_ACK) {
      if (!peer.flooding.onAckFrame(bytes, start, end)) reason = DropReason.linkStateAckMalformed;
    } else if (type >= FRAME_GROUPS && type <= FRAME_GROUPS_DIGEST)
      reason = this.groups.onFrame(peer.link, type, bytes, start, end);
    else if (this.records === null) reason = DropReason.recordMalformed;
    else
      reason =
        type === FRAME_CERTIFICATE
          ? peer.certificates!.onShown(bytes, start, end)
          : this.records.onFrame(peer.link, type, bytes, start, end);
    if (reason !== DropReason.none) this.#env.drops.count(reason);
  }

  /* -------------------------------------------------------------- advertisements */

  #onAdvertisement(peer: RoutingPeer, bytes: Uint8Array, start: number, end: number): DropReason {
    if (end - start < LIFETIME_BYTES) return DropReason.linkStateMalformed;
    const lifetime = getU16(bytes, start) * SECOND;
    const advertisement = decodeAdvertisement(bytes, start + LIFETIME_BYTES, end);
    if (typeof advertisement === 'number') return advertisement;
    const { origin, sequence, proof } = advertisement;
    if ((proof !== null) !== (this.#membership !== null)) {
      peer.flooding.acknowledge(origin, sequence);
      return DropReason.linkStateUnsigned;
    }
    if (origin === this.#config.id) return this.#onOwnAdvertisement(peer, advertisement);
    const result = this.database.compare(origin, sequence);
    if (result === 'full') {
      // Unacknowledged it would be sent for ever, and 64 of those would hold up news of nodes that
      // we do know.
      peer.flooding.acknowledge(origin, sequence);
      return DropReason.linkStateTableFull;
    }
    if (result === 'newer') {
      const reason = this.#believe(peer, advertisement, lifetime);
      if (reason !== DropReason.none) return reason;
    }
    peer.flooding.onReceived(origin, sequence);
    if (result === 'newer') {
      this.counters.accepted += 1;
      this.#onNewer(origin);
      return DropReason.none;
    }
    if (result === 'older') {
      peer.flooding.onOlder(origin, sequence);
      return DropReason.linkStateStale;
    }
    this.counters.duplicates += 1;
    return DropReason.none;
  }

  /** Installs what is newer, if it is true. `lifetime`: what the neighbour says of it. */
  #believe(peer: RoutingPeer, advertisement: Advertisement, lifetime: Micros): DropReason {
    const now = this.#env.clock.now();
    if (this.#membership === null) {
      const keep = advertisement.leaving ? LEAVING_KEPT : this.#config.advertisementLifetimeUs;
      this.database.install(advertisement, now, now + Math.min(lifetime, keep));
      return DropReason.none;
    }
    const certificate = this.#judge!.verify(peer, advertisement, false);
    if (typeof certificate === 'number') return certificate;
    // Nothing that the neighbour says counts: with a longer life it could keep what is old, with a
    // shorter one it could make us forget what is new, a good-bye too, and then send us what came
    // before. This one is held for as long as what came before would be believed, also when the
    // origin's clock has been set back since.
    const expiresAt = now + this.#judge!.remaining(advertisement.proof!);
    const before = this.database.get(advertisement.origin);
    const restarted = before === undefined || isLaterRun(before.advertisement, advertisement);
    this.database.install(
      { ...advertisement, name: certificate.name },
      now,
      Math.max(expiresAt, before?.expiresAt ?? 0),
      certificate,
    );
    if (restarted) this.#env.onRestart(advertisement.origin);
    if (isOlder(advertisement)) this.#onOlderNode();
    return DropReason.none;
  }

  /** Somebody is here who reads only what has the certificate in it: then everybody says it so. */
  #olderNodes(): boolean {
    for (const link of this.#links.all()) if (link.up && !speaksRecords(link)) return true;
    for (const { advertisement } of this.database.records())
      if (
        advertisement.origin !== this.#config.id &&
        !advertisement.leaving &&
        isOlder(advertisement)
      )
        return true;
    return false;
  }

  #onOlderNode(): void {
    if (this.database.get(this.#config.id)?.advertisement.proof?.whole !== null) return;
    // One with groups cannot be told to them.
    if ((this.#membership?.identity.certificate.bytes.length ?? 0) > PLAIN_CERTIFICATE_BYTES_MAX)
      return;
    this.#own.again();
  }

  #onOwnAdvertisement(peer: RoutingPeer, advertisement: Advertisement): DropReason {
    const { origin, sequence, bytes } = advertisement;
    const held = this.database.get(origin)?.advertisement;
    const foreign =
      sequence > this.#own.sequence ||
      (sequence === held?.sequence && !equalBytes(bytes, held.bytes));
    if (foreign && this.#membership !== null) {
      const verdict = this.#judge!.verify(peer, advertisement, true);
      if (typeof verdict === 'number') return verdict;
    }
    if (foreign && !this.#stopped) this.#onForeign(advertisement);
    else if (sequence < this.#own.sequence && this.#membership !== null)
      peer.flooding.onOlder(origin, sequence);
    // Remembered no further than we have spoken: a forged last number would keep us silent on this
    // link for ever.
    peer.flooding.onReceived(origin, sequence, Math.min(sequence, this.#own.sequence));
    return DropReason.none;
  }

  /**
   * Somebody else speaks in our name, beyond what we have said: an earlier run of ours, or another
   * daemon with our identity.
   */
  #onForeign(advertisement: Advertisement): void {
    const { origin, sequence, facts, leaving } = advertisement;
    const known = this.clones.clone() !== null;
    switch (this.clones.onForeign(facts, leaving)) {
      case 'overtake': {
        const interval = known ? CLONE_INTERVAL : ADVERTISE_INTERVAL;
        if (this.#membership === null) this.#own.overtake(sequence, OVERTAKE_MAX, interval);
        else {
          this.#own.overtake(
            sequence + OVERTAKE_LEAST,
            OVERTAKE_SIGNED_MAX - OVERTAKE_LEAST,
            interval,
          );
          this.#env.onOvertaken(sequence);
        }
        return;
      }
      case 'answer':
        this.#own.overtake(sequence, 1);
        return;
      case 'yield': {
        const now = this.#env.clock.now();
        this.#own.adopt(sequence);
        if (facts !== null && !hasCapability(facts.capabilities, IDENTITY_ASKED))
          this.#askedClone = 0;
        this.database.install(
          advertisement,
          now,
          now + this.#config.advertisementLifetimeUs,
          this.#membership?.identity.certificate ?? null,
        );
        this.#onNewer(origin);
        if (!this.#cloneTimer.armed) this.#env.timers.arm(this.#cloneTimer, now + CLONE_FIRST);
      }
    }
  }

  /**
   * An elder daemon with our identity is let stand: asks whether it still is there, by saying for
   * it what it said last, and takes its place when it is not.
   */
  #onCloneTimer(): void {
    const held = this.database.get(this.#config.id)?.advertisement;
    const facts = held?.facts ?? null;
    const asked = this.#askedClone > 0;
    this.#askedClone = 0;
    if (this.#stopped || !this.clones.yields || held === undefined || facts === null) return;
    const now = this.#env.clock.now();
    if (asked) {
      this.clones.onElderGone();
      this.#own.overtake(this.#own.sequence + OVERTAKE_LEAST, OVERTAKE_SIGNED_MAX - OVERTAKE_LEAST);
      return;
    }
    const question = this.#own.ask(held.links, {
      ...facts,
      capabilities: (facts.capabilities | IDENTITY_ASKED) >>> 0,
    });
    this.#askedClone = this.#own.sequence;
    this.database.install(
      question,
      now,
      now + this.#config.advertisementLifetimeUs,
      this.#membership?.identity.certificate ?? null,
    );
    this.#onNewer(this.#config.id);
    this.#env.timers.arm(this.#cloneTimer, now + CLONE_ASK);
  }

  onTwinFrame(link: RoutedLink, bytes: Uint8Array, start: number, end: number): void {
    const news = decodeTwin(bytes, start, end);
    if (news === null) this.#env.drops.count(DropReason.twinMalformed);
    else if (this.clones.onTold(link, news)) this.#own.again();
  }

  /**
   * Somebody has `sequence` of `origin`. If that is us in an earlier life, we must speak with a
   * later number.
   */
  #onVersionSeen(origin: NodeId, sequence: number): void {
    if (origin !== this.#config.id || this.#stopped) return;
    if (sequence < this.#own.sequence) return;
    if (sequence === this.#own.sequence && this.database.sequence(origin) === sequence) return;
    this.#own.overtake(sequence, OVERTAKE_MAX);
  }

  #onNewer(origin: NodeId): void {
    for (const { flooding } of this.#peers.values()) flooding.onNewer(origin);
    this.#routes.schedule();
  }

  #expire(): void {
    const now = this.#env.clock.now();
    const before = new Set<NodeId>();
    for (const record of this.database.records())
      if (record.expiresAt <= now) before.add(record.advertisement.origin);
    if (before.size > 0) {
      this.database.expire(now);
      for (const origin of before) {
        for (const { flooding } of this.#peers.values()) flooding.forget(origin);
        this.#env.log.info({ node: formatNodeId(origin) }, 'node forgotten');
      }
      this.#routes.schedule();
    }
    this.#recheck();
    this.records?.recheck();
    this.groups.recheck();
    this.#own.renew();
    this.clocks?.tick();
    if (this.clones.tick()) this.#own.again();
    this.#own.onNodes();
    this.#env.timers.arm(this.#expiryTimer, now + EXPIRY_INTERVAL);
  }

  /** Certificates of ours, authorities or revocations changed. */
  #onMembership(): void {
    if (this.#stopped) return;
    this.#recheck();
    this.records?.recheck();
    this.groups.recheck();
    this.#own.renew();
  }

  /** Throws out whose certificate no longer counts. Ours stays: what it is worth, others decide. */
  #recheck(): void {
    if (this.#membership === null) return;
    const offerAgain: NodeId[] = [];
    let gone = 0;
    for (const {
      advertisement: { origin },
      certificate,
    } of [...this.database.records()]) {
      const reason =
        certificate === null || origin === this.#config.id
          ? DropReason.none
          : this.#membership.recheck(certificate);
      if (reason === DropReason.none) continue;
      this.database.remove(origin);
      gone += 1;
      for (const { flooding } of this.#peers.values()) flooding.forget(origin);
      if (mayChange(reason)) offerAgain.push(origin);
      this.#env.log.info(
        { node: formatNodeId(origin), reason: dropReasonName(reason) },
        'node no longer believed',
      );
    }
    if (gone === 0) return;
    for (const { flooding } of this.#peers.values()) flooding.sendLost(offerAgain);
    this.#routes.schedule();
  }
}

/** Of a node of the release before. */
function isOlder({ facts }: Advertisement): boolean {
  return facts === null || facts.wire.max < WIRE_VERSION_RECORDS;
}

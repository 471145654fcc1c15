/**
 * Link-state routing: our own advertisement, the flooding of everybody's, and the routes that
 * follow.
 *
 * Owns when to advertise (at once for a link that came or went, with hysteresis for latency and
 * loss, rarely otherwise), when to recompute (soon after a change, then at bounded intervals), the
 * next-hop table, and which advertisements to believe: in a network with identities only signed
 * ones. Storage, flooding, signatures and Dijkstra are in files of their own.
 */

import { assert } from '../base/assert.ts';
import { equalBytes, getU16 } from '../base/bytes.ts';
import { formatNodeId, type NodeId } from '../base/ids.ts';
import { MILLISECOND, SECOND, Timer, type Micros } from '../base/time.ts';
import type { Membership } from '../crypto/membership.ts';
import type { Link } from '../link/link.ts';
import type { LinkTable } from '../link/link-table.ts';
import { PLAIN_CERTIFICATE_BYTES_MAX } from '../wire/certificate.ts';
import { DropReason, dropReasonName } from '../wire/drop.ts';
import {
  FRAME_CERTIFICATE,
  FRAME_DIGEST,
  FRAME_LINK_STATE,
  FRAME_LINK_STATE_ACK,
} from '../wire/frames.ts';
import {
  CONTROL_CHECK_BYTES,
  controlIntact,
  decodeAdvertisement,
  LIFETIME_BYTES,
  LINKS_PER_NODE_MAX,
  makeAdvertisement,
  SEQUENCE_MAX,
  type AdvertisedLink,
  type Advertisement,
} from '../wire/link-state.ts';
import {
  hasCapability,
  IDENTITY_ASKED,
  IDENTITY_TWICE,
  type NodeFacts,
} from '../wire/node-facts.ts';
import { decodeTwin } from '../wire/twin.ts';
import { WIRE_VERSION_RECORDS } from '../wire/versions.ts';
import { AdvertisementJudge, type RoutingPeer } from './advertisement-judge.ts';
import { CertificatePeer, speaksRecords } from './certificate-exchange.ts';
import { ClockWatch } from './clock-watch.ts';
import { CloneWatch } from './clone-watch.ts';
import { FloodedAdvertisements } from './flooded-advertisements.ts';
import { FloodingPeer } from './flooding.ts';
import { changed, materially, measured } from './measured-links.ts';
import { LEAVING_KEPT, NodeDirectory } from './node-directory.ts';
import { Records } from './records.ts';
import type { Router } from './router.ts';
import { isLaterRun, OVERTAKE_LEAST } from './runs.ts';
import type {
  LinkStateRouterConfig,
  LinkStateRouterEnvironment,
  RoutingCounters,
} from './router-environment.ts';
import { Routes } from './routes.ts';
import type { ShortestPaths } from './shortest-path.ts';
import { mayChange, signAdvertisement, StatementVerifier } from './signed-advertisement.ts';

/** First advertisement after a quiet time waits this long, so that a burst of changes is one. */
const SETTLE: Micros = 1 * MILLISECOND;
/** At most one advertisement of ours in this time. */
const ADVERTISE_INTERVAL: Micros = 50 * MILLISECOND;
/** Changes of latency and loss alone are advertised at most this often. */
const ESTIMATE_INTERVAL: Micros = 2 * SECOND;
/**
 * But so much more loss, in units of what is advertised, at once: a link that breaks is no matter
 * of estimates.
 */
const SUDDEN_LOSS = 0.05 * 65_535;
const EXPIRY_INTERVAL: Micros = 1 * SECOND;
/**
 * How far beyond the numbers of an earlier run ours may go on: two runs then hardly ever share one.
 */
const OVERTAKE_MAX = 0x100_0000;
/** The same with identities, in units of the clock that numbers begin from: 6.5 s. */
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
/** A wall clock that is found this far off when our advertisement was issued has been set. */
const CLOCK_STEP: Micros = 5 * SECOND;

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
  readonly #links: LinkTable;
  readonly #membership: Membership | null;
  /** Null in a network without identities. */
  readonly #judge: AdvertisementJudge | null;
  /** What nodes say beside their links; null in a network without identities. */
  readonly records: Records | null;
  /** Null in a network without identities. */
  readonly clocks: ClockWatch | null;
  readonly clones: CloneWatch;
  readonly #flooded: FloodedAdvertisements;
  readonly #peers = new Map<Link, RoutingPeer>();
  readonly #advertiseTimer = new Timer(() => this.#advertise(this.#renew));
  readonly #refreshTimer = new Timer(() => this.#advertise(true));
  readonly #expiryTimer = new Timer(() => this.#expire());
  readonly #cloneTimer = new Timer(() => this.#onCloneTimer());
  readonly #routes: Routes;
  #sequence: number;
  /** The next advertisement goes out even if its content is the same. */
  #renew = false;
  /** When the advertise timer is due, while it is armed. */
  #advertiseAt: Micros = 0;
  #advertisedAt: Micros = -SECOND;
  #stopped = false;
  /** Number of the question whether the elder clone is there, 0 = none is open. */
  #askedClone = 0;

  constructor(config: LinkStateRouterConfig, env: LinkStateRouterEnvironment, links: LinkTable) {
    super(config.id, env.facts, env.clock, config.limits.nodes);
    this.#config = config;
    this.#env = env;
    this.#links = links;
    this.#flooded = new FloodedAdvertisements(this.database, config.id);
    const { membership } = env;
    this.clones = new CloneWatch(env.clock, env.log, env.facts);
    this.#membership = membership;
    if (membership === null) {
      this.#judge = null;
      this.records = null;
      this.clocks = null;
      // Not from 0: a restarted daemon must not meet its own old advertisement under an equal
      // number.
      this.#sequence = env.rng.fork('advertisement sequence').below(0x7fff_ffff);
    } else {
      assert(
        membership.identity.certificate.node === config.id,
        'a daemon has the certificate of its own node id',
      );
      this.clocks = new ClockWatch(env.clock, env.log, membership);
      const verifier = new StatementVerifier(membership, env.clock, config.advertisementLifetimeUs);
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
      this.#sequence = Math.floor(membership.wallUs / SEQUENCE_UNIT);
      membership.onChange(() => this.#onMembership());
    }
    this.#routes = new Routes(config, env, links, this.database, this.counters);
  }

  /** Number of our own newest advertisement; of the next one before there is any. */
  get sequence(): number {
    return this.#sequence;
  }

  get paths(): ShortestPaths {
    return this.#routes.paths;
  }

  start(): void {
    this.#advertise(true);
    this.#routes.recompute();
    this.#env.timers.arm(this.#expiryTimer, this.#env.clock.now() + EXPIRY_INTERVAL);
  }

  /** Tells everybody that this node leaves. The caller flushes and then takes the links down. */
  stop(): void {
    // The good-bye of one that gave way would be the other's.
    if (!this.clones.yields) this.#install(this.#makeOwn(true, []));
    for (const { flooding } of this.#peers.values()) flooding.sendNow();
    this.records?.stop();
    this.#stopped = true;
    this.#routes.stop();
    for (const timer of [
      this.#advertiseTimer,
      this.#refreshTimer,
      this.#expiryTimer,
      this.#cloneTimer,
    ])
      this.#env.timers.cancel(timer);
  }

  nextHop(destination: NodeId): Link | null {
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

  onLinkState(link: Link, up: boolean): void {
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
    } else {
      this.clocks?.onLinkDown(link);
      this.clones.onLinkDown(link);
      this.#peers.get(link)?.flooding.stop();
      this.#peers.delete(link);
      this.records?.onLinkDown(link);
    }
    this.#scheduleAdvertise(ADVERTISE_INTERVAL);
  }

  onLinkEstimate(link: Link): void {
    const own = this.database.get(this.#config.id)?.advertisement;
    const advertised = own?.links.find((entry) => entry.node === link.node);
    if (advertised === undefined) this.#scheduleAdvertise(ADVERTISE_INTERVAL);
    else {
      const now = measured(link);
      if (materially(advertised, now, this.#config.metric))
        this.#scheduleAdvertise(
          now.loss > advertised.loss + SUDDEN_LOSS ? ADVERTISE_INTERVAL : ESTIMATE_INTERVAL,
        );
    }
  }

  onControl(link: Link, type: number, bytes: Uint8Array, start: number, end: number): void {
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
    } else if (this.records === null) reason = DropReason.recordMalformed;
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
    this.#renew = true;
    this.#scheduleAdvertise(ADVERTISE_INTERVAL);
  }

  #onOwnAdvertisement(peer: RoutingPeer, advertisement: Advertisement): DropReason {
    const { origin, sequence, bytes } = advertisement;
    const held = this.database.get(origin)?.advertisement;
    const foreign =
      sequence > this.#sequence || (sequence === held?.sequence && !equalBytes(bytes, held.bytes));
    if (foreign && this.#membership !== null) {
      const verdict = this.#judge!.verify(peer, advertisement, true);
      if (typeof verdict === 'number') return verdict;
    }
    if (foreign && !this.#stopped) this.#onForeign(advertisement);
    else if (sequence < this.#sequence && this.#membership !== null)
      peer.flooding.onOlder(origin, sequence);
    // Remembered no further than we have spoken: a forged last number would keep us silent on this
    // link for ever.
    peer.flooding.onReceived(origin, sequence, Math.min(sequence, this.#sequence));
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
        if (this.#membership === null) this.#overtake(sequence, OVERTAKE_MAX, interval);
        else {
          this.#overtake(sequence + OVERTAKE_LEAST, OVERTAKE_SIGNED_MAX - OVERTAKE_LEAST, interval);
          this.#env.onOvertaken(sequence);
        }
        return;
      }
      case 'answer':
        this.#overtake(sequence, 1);
        return;
      case 'yield': {
        const now = this.#env.clock.now();
        this.#sequence = sequence;
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
      this.#overtake(this.#sequence + OVERTAKE_LEAST, OVERTAKE_SIGNED_MAX - OVERTAKE_LEAST);
      return;
    }
    this.#sequence += 1;
    this.#askedClone = this.#sequence;
    const question = this.#sign(false, held.links, {
      ...facts,
      capabilities: (facts.capabilities | IDENTITY_ASKED) >>> 0,
    });
    this.database.install(
      question,
      now,
      now + this.#config.advertisementLifetimeUs,
      this.#membership?.identity.certificate ?? null,
    );
    this.#onNewer(this.#config.id);
    this.#env.timers.arm(this.#cloneTimer, now + CLONE_ASK);
  }

  onTwinFrame(link: Link, bytes: Uint8Array, start: number, end: number): void {
    const news = decodeTwin(bytes, start, end);
    if (news === null) this.#env.drops.count(DropReason.twinMalformed);
    else if (this.clones.onTold(link, news)) this.#advertiseAgain();
  }

  /**
   * Somebody has `sequence` of `origin`. If that is us in an earlier life, we must speak with a
   * later number.
   */
  #onVersionSeen(origin: NodeId, sequence: number): void {
    if (origin !== this.#config.id || this.#stopped) return;
    if (sequence < this.#sequence) return;
    if (sequence === this.#sequence && this.database.sequence(origin) === sequence) return;
    this.#overtake(sequence, OVERTAKE_MAX);
  }

  /** An earlier run of ours used `sequence`: goes on from there, up to `span` further. */
  #overtake(sequence: number, span: number, interval = ADVERTISE_INTERVAL): void {
    if (this.#stopped || sequence >= SEQUENCE_MAX - 2 * OVERTAKE_MAX) return;
    // Not the very next number: the earlier run may have used that one too, and others hold it.
    this.#sequence = sequence + this.#env.rng.below(span);
    this.#env.log.debug({ sequence }, 'own advertisement of an earlier run overtaken');
    this.#advertiseAgain(interval);
  }

  /** Though nothing of our links has changed. */
  #advertiseAgain(interval = ADVERTISE_INTERVAL): void {
    this.#renew = true;
    this.#scheduleAdvertise(interval);
  }

  #onNewer(origin: NodeId): void {
    for (const { flooding } of this.#peers.values()) flooding.onNewer(origin);
    this.#routes.schedule();
  }

  #scheduleAdvertise(interval: Micros): void {
    if (this.#stopped) return;
    const at = Math.max(this.#env.clock.now() + SETTLE, this.#advertisedAt + interval);
    if (this.#advertiseTimer.armed && at >= this.#advertiseAt) return;
    this.#advertiseAt = at;
    this.#env.timers.arm(this.#advertiseTimer, at);
  }

  /** Our own advertisement under the next number. */
  #makeOwn(leaving: boolean, links: readonly AdvertisedLink[]): Advertisement {
    this.#sequence += 1;
    const { facts } = this.#env;
    return this.#sign(
      leaving,
      links,
      this.clones.clone() === null
        ? facts
        : { ...facts, capabilities: (facts.capabilities | IDENTITY_TWICE) >>> 0 },
    );
  }

  #sign(leaving: boolean, links: readonly AdvertisedLink[], facts: NodeFacts): Advertisement {
    if (this.#membership !== null)
      return signAdvertisement(
        this.#membership,
        this.#sequence,
        leaving,
        links,
        facts,
        this.#olderNodes(),
      );
    return makeAdvertisement(
      this.#config.id,
      this.#sequence,
      leaving,
      this.#config.name,
      links,
      facts,
    );
  }

  /** Advertises our links; without `renew` only if something material changed. */
  #advertise(renew: boolean): void {
    if (this.#stopped || this.clones.yields) return;
    const links: AdvertisedLink[] = [];
    for (const link of this.#links.all()) {
      if (link.up && link.liveness.rtt.samples > 0 && links.length < LINKS_PER_NODE_MAX)
        links.push(measured(link));
    }
    links.sort((a, b) => a.node - b.node);
    const held = this.database.get(this.#config.id)?.advertisement;
    if (!renew && held !== undefined && !changed(held.links, links, this.#config.metric)) return;
    this.#renew = false;
    this.#install(this.#makeOwn(false, links));
    if (renew) this.records?.renew();
    const spread = this.#env.rng.below(
      Math.max(1, Math.floor(this.#config.advertisementRefreshUs / 8)),
    );
    this.#env.log.debug({ links: links.length, sequence: this.#sequence, renew }, 'advertised');
    this.#env.timers.arm(
      this.#refreshTimer,
      this.#env.clock.now() + this.#config.advertisementRefreshUs - spread,
    );
  }

  #install(advertisement: Advertisement): void {
    const now = this.#env.clock.now();
    this.#advertisedAt = now;
    this.counters.advertised += 1;
    this.database.install(
      advertisement,
      now,
      now + this.#config.advertisementLifetimeUs,
      this.#membership?.identity.certificate ?? null,
    );
    this.#onNewer(this.#config.id);
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
    this.#renewOwn();
    this.clocks?.tick();
    if (this.clones.tick()) this.#advertiseAgain();
    this.#env.timers.arm(this.#expiryTimer, now + EXPIRY_INTERVAL);
  }

  /** Certificates of ours, authorities or revocations changed. */
  #onMembership(): void {
    if (this.#stopped) return;
    this.#recheck();
    this.records?.recheck();
    this.#renewOwn();
  }

  /**
   * Advertises again when others would not believe for long what we said last: another certificate,
   * or a clock that was set.
   */
  #renewOwn(): void {
    const own = this.database.get(this.#config.id);
    const proof = own?.advertisement.proof;
    if (
      this.#membership === null ||
      this.clones.yields ||
      own === undefined ||
      proof === undefined ||
      proof === null
    )
      return;
    const age = this.#membership.wallUs - proof.issuedS * SECOND;
    const timely = age > -CLOCK_STEP && age < this.#config.advertisementRefreshUs + CLOCK_STEP;
    if (timely && own.certificate === this.#membership.identity.certificate) return;
    this.#advertiseAgain();
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

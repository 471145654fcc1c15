/**
 * All links of a daemon: who is dialled, who may dial, and which link a datagram is for.
 *
 * Owns when a handshake happens and with whom; its bytes are a Handshaker's, what it makes is
 * agreements.ts's, and keys age in key-renewal.ts. A dialler sends INIT until it is answered; the
 * answer (RESPONSE) gives both sides a channel, or new keys for the one they have. The answering
 * side uses them once the dialler has sent data with them, so a repeated or old INIT cannot cut a
 * working link. When both dial at once the INIT of the node with the lower id is ignored for its
 * first attempts. A dial goes on for as long as its link is not up.
 */

import { assert } from '../base/assert.ts';
import { equalBytes } from '../base/bytes.ts';
import type { Endpoint } from '../base/datagram.ts';
import { Draws } from '../base/draws.ts';
import { formatNodeId, type NodeId } from '../base/ids.ts';
import { SECOND, Timer, type Micros } from '../base/time.ts';
import type { Membership } from '../crypto/membership.ts';
import {
  DATAGRAM_DATA,
  DATAGRAM_INIT,
  DATAGRAM_KEY_REQUEST,
  DATAGRAM_REFUSAL,
  DATAGRAM_RESPONSE,
  DATAGRAM_SEALED_DATA,
  DATAGRAM_SEALED_INIT,
  DATAGRAM_SEALED_RESPONSE,
  decodeDatagramHeader,
  PROBE_NUMBER_MIN,
  type DatagramHeader,
} from '../wire/datagram-header.ts';
import { DropReason } from '../wire/drop.ts';
import { CLOSE_BODY_BYTES, CLOSE_REMOVED, CLOSE_SHUTDOWN, FRAME_CLOSE } from '../wire/frames.ts';
import { DATAGRAM_HEADER_BYTES, TAG_BYTES } from '../wire/sizes.ts';
import { Agreements } from './agreements.ts';
import { Caller } from './caller.ts';
import { CallsOfTurn } from './calls-of-turn.ts';
import type { Channel } from './channel.ts';
import { Dial } from './dial.ts';
import type { DialConfig } from './dial-config.ts';
import { Declined, type Handshaker, type PeerHello, type Run } from './handshaker.ts';
import type { LinkEnvironment, LinkSurroundings, LinkTableConfig } from './environment.ts';
import { KeyRenewal } from './key-renewal.ts';
import { Link, type LinkUpper } from './link.ts';
import { MISREAD } from './misread.ts';
import { NeighbourWatch, type Neighbour } from './neighbour-watch.ts';
import { NOBODY } from './directory.ts';
import { PlainHandshaker } from './plain-handshaker.ts';
import { ReceiverIndices, type ChannelEntry } from './receiver-indices.ts';
import { Refusals } from './refusals.ts';
import type { ToldRefusal } from './told-refusal.ts';
import { SealedHandshaker } from './sealed-handshaker.ts';
import { tappedCalls, Taps } from './tap.ts';
import { Twins } from './twins.ts';

/** While both sides dial, the lower id's INIT is ignored for this many attempts. */
const TIE_ATTEMPTS = 4;
/** A link that nobody dials from here and that stays down is forgotten after this long. */
const FORGET_AFTER: Micros = 30 * SECOND;
/** Certificates, keys and forgotten links are looked after this often. */
const HOUSEKEEPING: Micros = 1 * SECOND;

export class LinkTable {
  #config: LinkTableConfig;
  readonly #env: LinkEnvironment<Link>;
  readonly #upper: LinkUpper;
  readonly #membership: Membership | null;
  readonly handshaker: Handshaker;
  readonly watch: NeighbourWatch;
  readonly #run: Run;
  readonly #refusals: Refusals;
  readonly twins: Twins;
  readonly taps = new Taps();
  readonly #links = new Map<NodeId, Link>();
  readonly #bySlot: (Link | null)[] = [];
  /** From the configuration. */
  readonly #dials: Dial[] = [];
  readonly indices: ReceiverIndices;
  readonly #caller: Caller;
  readonly #renewal: KeyRenewal;
  readonly #agreements: Agreements;
  readonly #header: DatagramHeader = { type: 0, receiver: 0, number: 0 };
  readonly #houseTimer = new Timer(() => this.#keepHouse());
  /** INITs and questions for the key of this turn. */
  readonly #calls: CallsOfTurn;
  #started = false;
  #stopped = false;

  constructor(config: LinkTableConfig, surroundings: LinkSurroundings, upper: LinkUpper) {
    const {
      membership,
      directory = NOBODY,
      probe = null,
      run,
      random,
      mark = null,
      callsApart = false,
      ...rest
    } = surroundings;
    this.#config = config;
    this.#upper = {
      ...upper,
      onLinkState: (link, up) => {
        if (up) this.#onLinkUp(link);
        upper.onLinkState(link, up);
      },
    };
    this.watch = new NeighbourWatch(
      {
        clock: surroundings.clock,
        log: surroundings.log,
        membership,
        directory,
        probe,
        self: config.id,
        name: config.name ?? '',
      },
      this.#dials,
    );
    this.#membership = membership;
    const calls = tappedCalls(surroundings.sink, this.taps);
    this.handshaker =
      membership === null
        ? new PlainHandshaker(config.id, config.wireVersions)
        : new SealedHandshaker(membership, surroundings.clock, calls, config.wireVersions);
    this.#refusals = new Refusals(this.handshaker, surroundings.clock, calls);
    this.#run = run;
    this.twins = new Twins(
      surroundings.clock,
      random,
      surroundings.log,
      (node) => this.#links.get(node)?.label ?? formatNodeId(node),
      (channel) => this.indices.forgetChannel(channel),
    );
    const draws = new Draws(random);
    this.indices = new ReceiverIndices(draws, mark);
    this.#calls = new CallsOfTurn(callsApart);
    this.#env = {
      ...rest,
      calls,
      taps: this.taps,
      draws,
      liveness: config.liveness,
      congestion: config.congestion,
      self: config.id,
      linkQueueBytes: config.limits.linkQueueBytes,
      realtimeBytesPerSecond: () => this.#config.limits.realtimeBytesPerSecond,
      label: (node, certificate) => this.watch.label(node, certificate),
      forgetChannel: (channel) => this.indices.forgetChannel(channel),
      onChannel: (link, channel, former) => this.twins.onChannel(link.node, channel, former),
      onLinkDown: (link, why) => this.#onLinkDown(link, why),
      ownFault: () => this.watch.ownFault(),
      onUnconfirmed: (link) => this.watch.onUnconfirmed(link),
    };
    const { handshaker, indices } = this;
    this.#caller = new Caller(this.#env, handshaker, run, indices, () => this.#config.redialUs);
    this.#renewal = new KeyRenewal(
      this.#env,
      handshaker,
      indices,
      this.#caller,
      () => this.#config,
    );
    this.#agreements = new Agreements(this.#env, run, indices, this.#renewal);
    for (const dial of config.dials) this.#addDial(dial);
    membership?.onChange(() => this.#onMembershipChange());
  }

  get size(): number {
    return this.#links.size;
  }

  /** All links, up or not, in the order in which they were made. */
  all(): IterableIterator<Link> {
    return this.#links.values();
  }

  of(node: NodeId): Link | undefined {
    return this.#links.get(node);
  }

  /** The link in a slot of the next-hop table. `@hot` */
  at(slot: number): Link | null {
    return this.#bySlot[slot] ?? null;
  }

  /** What dials were told last, by whoever is at their addresses. */
  *refusals(): IterableIterator<ToldRefusal> {
    for (const { refusal } of this.#dials) if (refusal !== null) yield refusal;
  }

  /** Addresses that are dialled and have no link, for status. */
  *unanswered(): IterableIterator<{
    endpoint: Endpoint;
    node: NodeId | null;
    attempts: number;
    refusal: ToldRefusal | null;
  }> {
    for (const { link, endpoint, node, attempts, refusal } of this.#dials)
      if (link === null) yield { endpoint, node, attempts, refusal };
  }

  /** Every link, and every neighbour of the configuration that has none of its own, once each. */
  neighbours(): IterableIterator<Neighbour> {
    return this.watch.neighbours(this.#links.values());
  }

  start(): void {
    this.#started = true;
    for (const dial of this.#dials) this.#caller.call(dial);
    this.#env.timers.arm(this.#houseTimer, this.#env.clock.now() + HOUSEKEEPING);
  }

  /** Tells every peer and takes nothing more. */
  stop(): void {
    this.#stopped = true;
    this.#caller.stop();
    this.#env.timers.cancel(this.#houseTimer);
    for (const dial of this.#dials) this.#env.timers.cancel(dial.timer);
    this.#renewal.stop();
    for (const link of this.#links.values()) link.down('daemon stops', CLOSE_SHUTDOWN);
  }

  /**
   * Takes over dials, `accept`, limits and the ages of keys. A neighbour that is no longer dialled
   * loses its link, unless it dials us; everything else goes on undisturbed. Returns what changed,
   * for the operator.
   */
  reconfigure(config: LinkTableConfig): { added: DialConfig[]; removed: DialConfig[] } {
    this.#config = config;
    const wanted = [...config.dials];
    const removed: DialConfig[] = [];
    for (const dial of [...this.#dials]) {
      const same = wanted.findIndex((other) => dial.isFor(other));
      if (same >= 0) {
        dial.config = wanted[same]!;
        wanted.splice(same, 1);
        continue;
      }
      removed.push(dial.config!);
      this.#removeDial(dial);
    }
    for (const dial of wanted) {
      const added = this.#addDial(dial);
      if (this.#started) this.#caller.call(added);
    }
    return { added: wanted, removed };
  }

  onSinkWritable(): void {
    for (const link of this.#links.values()) link.onSinkWritable();
  }

  /** What was sent to that address did not leave, for its size. */
  onDatagramTooLong(to: Endpoint): void {
    for (const link of this.#links.values())
      if (link.channel?.endpoint.key === to.key) link.size.onDatagramTooLong();
  }

  /**
   * A datagram arrived; `bytes[0..length)` belong to the callee from now on. False when they are
   * none as they stand, and untouched: what the network delivered as one may be several. `@hot`
   */
  onDatagram(bytes: Uint8Array, length: number, from: Endpoint): boolean {
    let reason: DropReason = decodeDatagramHeader(bytes, length, this.#header);
    if (reason === DropReason.none) reason = this.#dispatch(bytes, length, from);
    if (reason === DropReason.none) return true;
    this.taps.tap?.onRefused(bytes, length, from, reason);
    this.#env.drops.count(reason);
    return !MISREAD.has(reason);
  }

  #dispatch(bytes: Uint8Array, length: number, from: Endpoint): DropReason {
    const { type } = this.#header;
    const { sealed } = this.handshaker;
    if (type === (sealed ? DATAGRAM_SEALED_DATA : DATAGRAM_DATA))
      return this.#onData(bytes, length, from);
    this.taps.tap?.onCall(bytes, length, from);
    const isInit = type === (sealed ? DATAGRAM_SEALED_INIT : DATAGRAM_INIT);
    if ((isInit || type === DATAGRAM_KEY_REQUEST) && !this.#calls.take())
      return DropReason.handshakeOverBudget;
    if (isInit) return this.#onInit(bytes, length, from);
    if (type === (sealed ? DATAGRAM_SEALED_RESPONSE : DATAGRAM_RESPONSE))
      return this.#onResponse(bytes, length, from);
    if (type === (sealed ? DATAGRAM_INIT : DATAGRAM_SEALED_INIT)) this.watch.onOtherSecurity(from);
    const entry = this.indices.get(this.#header.receiver);
    const dial = entry instanceof Dial ? entry : null;
    if (type === DATAGRAM_REFUSAL)
      return dial === null
        ? DropReason.handshakeUnexpected
        : this.#onRefusal(dial, bytes, length, from);
    const { number } = this.#header;
    const { reason, key, retry } = this.handshaker.onOther(bytes, length, from, dial);
    if (type === DATAGRAM_KEY_REQUEST && reason === DropReason.none)
      this.watch.onKeyAsked(from, number);
    if (dial !== null && key !== null) this.watch.onKeyShown(dial, key);
    if (reason === DropReason.securityMismatch)
      this.#refusals.refuse(bytes, length, from, reason, null);
    if (dial !== null && retry) this.#caller.call(dial);
    return reason;
  }

  /** The turn is over. */
  onTurnEnd(): void {
    this.#calls.onTurnEnd();
  }

  /** Anybody may have said it: it is shown, and the dial goes on. */
  #onRefusal(dial: Dial, bytes: Uint8Array, length: number, from: Endpoint): DropReason {
    const told = this.#refusals.hear(dial, bytes, length, from);
    if (typeof told === 'number') return told;
    if (!dial.rekeys) this.watch.onRefusal(dial, told);
    return DropReason.none;
  }

  #onData(bytes: Uint8Array, length: number, from: Endpoint): DropReason {
    const entry = this.indices.get(this.#header.receiver);
    if (entry === undefined || entry instanceof Dial) return DropReason.receiverIndexUnknown;
    const { channel, epoch } = entry;
    const { number } = this.#header;
    const replay = channel.windowOf(number);
    if (!replay.isNew(number))
      return number < replay.floor ? DropReason.packetTooOld : DropReason.packetReplayed;
    let end = length;
    if (epoch.seal !== null) {
      end -= TAG_BYTES;
      if (
        end < DATAGRAM_HEADER_BYTES ||
        !epoch.seal.receive.open(number, bytes, DATAGRAM_HEADER_BYTES, length)
      )
        return DropReason.sealBroken;
    }
    const { tap } = this.taps;
    if (tap === null) return this.#onOpened(entry, bytes, length, end, from);
    tap.onOpened(channel, bytes, end, from);
    const reason = this.#onOpened(entry, bytes, length, end, from);
    tap.onUsed(reason);
    return reason;
  }

  /** Only from here on is the datagram the peer's word. */
  #onOpened(
    { channel, link, epoch }: ChannelEntry,
    bytes: Uint8Array,
    length: number,
    end: number,
    from: Endpoint,
  ): DropReason {
    const { number } = this.#header;
    const replay = channel.windowOf(number);
    if (epoch === channel.nextEpoch && !epoch.superseded) this.#renewal.enter(link, channel, epoch);
    const newest = number > replay.highest;
    replay.record(number);
    if (channel !== link.channel && this.twins.isFormer(link.node, channel))
      return this.#onFormer(link, channel, bytes, end);
    channel.receivedBytes += length;
    if (number >= PROBE_NUMBER_MIN) return link.onSizeProbe(channel, bytes, end);
    link.onDatagram(channel, number, bytes, end, from, newest);
    return DropReason.none;
  }

  /** The daemon that a neighbour's link was with before shows life: there may be two of them. */
  #onFormer(link: Link, former: Channel, bytes: Uint8Array, end: number): DropReason {
    const over = this.twins.onFormer(link.node, bytes, end);
    if (over === null) return DropReason.none;
    // Both are told that the link is gone, so that the one that is kept asks again at once.
    former.buffer[former.frame(FRAME_CLOSE, CLOSE_BODY_BYTES)] = CLOSE_REMOVED;
    former.flush();
    this.twins.endFormer(link.node);
    if (over === 'present')
      link.down('another daemon with the same certificate is kept', CLOSE_REMOVED);
    return DropReason.none;
  }

  /* -------------------------------------------------------------- handshake */

  #onInit(bytes: Uint8Array, length: number, from: Endpoint): DropReason {
    const fingerprint = this.handshaker.fingerprint(bytes, length);
    const answered = this.indices.answered(fingerprint);
    if (answered !== undefined && !this.#stopped)
      return this.#agreements.answerAgain(answered, from);
    const declined = this.#stopped
      ? Declined.unread(DropReason.handshakeRefused)
      : this.#judgeInit(fingerprint, bytes, length, from);
    if (declined === null) return DropReason.none;
    if (!this.#stopped) this.watch.onCallRefused(declined, from, this.#run.instance);
    this.#refusals.refuse(bytes, length, from, declined.reason, declined.twin);
    return declined.reason;
  }

  /** An INIT that was not answered before; null: now it is. */
  #judgeInit(
    fingerprint: string,
    bytes: Uint8Array,
    length: number,
    from: Endpoint,
  ): Declined | null {
    const attempt = this.#header.number;
    const invitation = this.handshaker.readInit(bytes, length, from, this.#calls.behind);
    if (invitation instanceof Declined) return invitation;
    const { hello } = invitation;
    const link = this.#linkFor(hello, attempt, from);
    if (link instanceof Declined) return link;
    const late = link.inits.isLate(hello.instance, hello.stamp);
    const reason =
      late && !link.mayAnswerLate(hello.instance)
        ? DropReason.handshakeReplayed
        : this.#agreements.answer(link, invitation, fingerprint, attempt, from, late);
    return reason === DropReason.none ? null : Declined.sender(reason, hello);
  }

  /** The link of a node that calls, if it is wanted. */
  #linkFor(hello: PeerHello, attempt: number, from: Endpoint): Link | Declined {
    const not = (reason: DropReason): Declined => Declined.sender(reason, hello);
    const { id, accept, limits } = this.#config;
    if (hello.node === id) return not(DropReason.handshakeFromSelf);
    if (hello.peer !== 0 && hello.peer !== id) return not(DropReason.handshakeForAnother);
    const link = this.#links.get(hello.node);
    const twin = this.twins.admits(hello.node, hello, link?.up === true, from);
    if (twin !== null) return Declined.sender(DropReason.handshakeTwin, hello, twin);
    const rival = this.#rivalOf(hello.node, from, link);
    if (rival !== undefined && id > hello.node && attempt < TIE_ATTEMPTS)
      return not(DropReason.handshakeTieBroken);
    if (link !== undefined) return link;
    if (!accept && rival === undefined) return not(DropReason.handshakeRefused);
    if (this.#links.size >= limits.links) return not(DropReason.linkTableFull);
    return this.#makeLink(hello.node, from);
  }

  #rivalOf(node: NodeId, from: Endpoint, link: Link | undefined): Dial | undefined {
    const rekey = link === undefined ? undefined : this.#renewal.of(link);
    return (
      rekey ??
      this.#dials.find(
        (d) =>
          d.index >= 0 && (d.node === node || d.endpoint.key === from.key || d.link?.node === node),
      )
    );
  }

  #onResponse(bytes: Uint8Array, length: number, from: Endpoint): DropReason {
    const dial = this.indices.get(this.#header.receiver);
    if (!(dial instanceof Dial)) return DropReason.handshakeUnexpected;
    const declined = this.#judgeResponse(dial, bytes, length, from);
    if (declined === null) return DropReason.none;
    if (!dial.rekeys) this.watch.onAnswerRefused(dial, declined);
    return declined.reason;
  }

  #judgeResponse(dial: Dial, bytes: Uint8Array, length: number, from: Endpoint): Declined | null {
    const agreed = this.handshaker.readResponse(dial, bytes, length);
    if (agreed instanceof Declined) return agreed;
    const { hello } = agreed;
    const not = (reason: DropReason): Declined => Declined.sender(reason, hello);
    if (hello.peer !== this.#config.id) return not(DropReason.handshakeForAnother);
    if (hello.node === this.#config.id) return not(DropReason.handshakeFromSelf);
    if (dial.node !== null && dial.node !== hello.node) return not(DropReason.handshakeForAnother);
    dial.learnKey(hello.certificate);
    let link = this.#links.get(hello.node);
    const twin = this.twins.admits(hello.node, hello, link?.up === true, from);
    if (twin !== null) return not(DropReason.handshakeTwin);
    if (dial.rekeys) {
      const reason = this.#agreements.renew(dial, link, agreed, from);
      return reason === DropReason.none ? null : not(reason);
    }
    if (link?.up === true) {
      // Another way to the same neighbour, or the peer's own dial was faster: one link a pair is
      // enough.
      dial.link = link;
      this.#renewal.endRound(dial);
      return null;
    }
    if (link === undefined) {
      if (this.#links.size >= this.#config.limits.links) return not(DropReason.linkTableFull);
      link = this.#makeLink(hello.node, from);
    }
    dial.link = link;
    this.#agreements.useNew(dial, link, agreed, from);
    return null;
  }

  /** Dials that mean this node have what they want, also when the node dialled us. */
  #onLinkUp(link: Link): void {
    this.#adopt(link);
    for (const dial of this.#dials) {
      if (dial.link !== link) continue;
      dial.outcome.onUp();
      if (dial.index >= 0) this.#renewal.endRound(dial);
    }
  }

  /** Gives the link to the dials without one that mean its node for sure. */
  #adopt(link: Link): void {
    for (const dial of this.#dials)
      if (dial.link === null && this.#means(dial, link)) dial.link = link;
  }

  #means(dial: Dial, link: Link): boolean {
    if (dial.node !== null) return dial.node === link.node;
    const { certificate } = link;
    if (dial.config.key !== undefined && certificate !== null)
      return equalBytes(dial.config.key, certificate.exchangeKey);
    return dial.endpoint.key === link.endpoint.key;
  }

  #onLinkDown(link: Link, why: string): void {
    this.twins.onDown(link.node);
    this.#renewal.end(link);
    if (this.#stopped) return;
    const now = this.#env.clock.now();
    for (const dial of this.#dials) {
      if (dial.link !== link) continue;
      if (why !== '') dial.outcome.onDown(now, why);
      if (!dial.timer.armed)
        this.#env.timers.arm(dial.timer, now + this.#env.rng.below(20_000) + 1);
    }
  }

  #addDial(config: DialConfig): Dial {
    const dial = new Dial(config, null, this.#env.clock.now(), (due) => this.#caller.onDue(due));
    this.#dials.push(dial);
    return dial;
  }

  #removeDial(dial: Dial): void {
    this.#dials.splice(this.#dials.indexOf(dial), 1);
    this.#renewal.endRound(dial);
    const { link } = dial;
    if (link?.dialled && !this.#dials.some((other) => other.link === link))
      link.down('no longer configured', CLOSE_REMOVED);
  }

  #makeLink(node: NodeId, endpoint: Endpoint): Link {
    let slot = this.#bySlot.indexOf(null);
    if (slot < 0) slot = this.#bySlot.length;
    const dial = this.#dials.find((d) => d.node === node || d.endpoint.key === endpoint.key);
    const link = new Link(
      node,
      slot,
      endpoint,
      { ...this.#env, congestion: dial?.config?.congestion ?? this.#env.congestion },
      this.#upper,
    );
    this.#bySlot[slot] = link;
    this.#links.set(node, link);
    this.#adopt(link);
    return link;
  }

  /* -------------------------------------------------------------- housekeeping */

  #keepHouse(): void {
    const now = this.#env.clock.now();
    for (const link of this.#links.values()) {
      this.#recheck(link);
      link.rate.look(link.totals, now);
      if (link.channel !== null) {
        this.#renewal.look(link, link.channel, now);
        if (link.up) this.twins.tellKept(link.node, link.channel);
      }
      const ours = this.#dials.some((dial) => dial.link === link);
      if (ours || link.state !== 'down' || now - link.stateSince < FORGET_AFTER) continue;
      assert(this.#bySlot[link.slot] === link, 'a link sits in its slot');
      this.#bySlot[link.slot] = null;
      this.#links.delete(link.node);
      this.twins.forget(link.node);
    }
    this.watch.tick(now, (dial) => this.#caller.askKey(dial));
    this.twins.look((node) => this.#links.get(node)?.up === true);
    this.#env.timers.arm(this.#houseTimer, now + HOUSEKEEPING);
  }

  #onMembershipChange(): void {
    if (this.#stopped || !this.#started) return;
    for (const link of this.#links.values()) {
      this.#recheck(link);
      if (link.channel !== null) this.#renewal.look(link, link.channel, this.#env.clock.now());
    }
  }

  /** A neighbour whose certificate is valid no longer is cut off. */
  #recheck(link: Link): void {
    if (this.#membership === null || link.certificate === null) return;
    const reason = this.#membership.recheck(link.certificate);
    if (reason === DropReason.none) return;
    this.#env.drops.count(reason);
    this.#env.log.warn(
      {
        peer: link.label,
        serial: link.certificate.serial,
        ...this.watch.certificateFault(reason, link.certificate, link.endpoint),
      },
      'neighbour cut off',
    );
    link.down(`${this.watch.shortFault(reason)} certificate`, CLOSE_REMOVED);
  }
}

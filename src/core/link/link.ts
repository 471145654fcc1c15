/**
 * A link: everything between this node and one neighbour.
 *
 * Owns the link's state, its current channel, its liveness and its data services, and takes
 * datagrams apart into frames. Does not do handshakes (LinkTable) and does not know routes. It
 * reports upwards through LinkUpper and sends through its channel.
 *
 *      ┌────────────── channel dead, closed or replaced ─────────────┐
 *      ▼                                                             │
 *    down ──a channel is offered──▶ connecting ──first datagram──▶  up
 *      ▲                                │
 *      └────── not confirmed in time ───┘
 */

import { assert } from '../base/assert.ts';
import type { Endpoint } from '../base/datagram.ts';
import { formatNodeId, type NodeId } from '../base/ids.ts';
import { SECOND, Timer, type Micros } from '../base/time.ts';
import { DropReason, TAKEN_FULL, type Offered } from '../wire/drop.ts';
import {
  CLOSE_BODY_BYTES,
  CLOSE_DEAD,
  CLOSE_REMOVED,
  CLOSE_SHUTDOWN,
  CONTROL_FRAMES,
  decodeClose,
  decodeHello,
  encodeHello,
  FRAME_CLOSE,
  FRAME_HELLO,
  FRAME_PATH_ANSWER,
  FRAME_PATH_PROBE,
  FRAME_SIZE_ANSWER,
  FRAME_SIZE_PROBE,
  FRAME_SPLIT,
  frameBodyBytes,
  HELLO_BODY_BYTES,
  type Hello,
} from '../wire/frames.ts';
import type { Packet } from '../wire/packet.ts';
import type { KeptPacket } from '../wire/packet-pool.ts';
import { DATAGRAM_BYTES_MIN, DATAGRAM_HEADER_BYTES, FRAME_HEAD_BYTES } from '../wire/sizes.ts';
import type { Certificate } from '../wire/certificate.ts';
import { WIRE_VERSION_REALTIME } from '../wire/versions.ts';
import type { Channel } from './channel.ts';
import type { DataService } from './data-service.ts';
import type { LinkEnvironment } from './environment.ts';
import type { NextHop } from './next-hop.ts';
import { Flaps } from './flaps.ts';
import { InitOrder } from './init-order.ts';
import { LinkRate } from './link-rate.ts';
import { LinkSize } from './link-size.ts';
import { LinkTotals, type Totals } from './link-totals.ts';
import { Liveness } from './liveness.ts';
import { PeerAddress } from './peer-address.ts';
import { RoutedWorth } from './routed-worth.ts';
import { byFrame, makeServices } from './services.ts';
import type { Upper } from './upper.ts';
import { SplitAssembly } from './split.ts';

export type LinkState = 'down' | 'connecting' | 'up';

const EDGES: Record<LinkState, readonly LinkState[]> = {
  down: ['connecting', 'up'],
  connecting: ['up', 'down'],
  up: ['down'],
};

/** A channel that the peer never used is forgotten after this long. */
const CONFIRM_TIME: Micros = 5 * SECOND;

/** Lost towards the peer, 0..1, where what waits should rather go another way. */
const TROUBLED_LOSS = 0.15;

/** What a peer's close means, in words. */
const CLOSED: Readonly<Record<number, string>> = {
  [CLOSE_SHUTDOWN]: 'it stops',
  [CLOSE_DEAD]: 'it heard nothing from here for too long',
  [CLOSE_REMOVED]: 'it no longer wants this link; its log says why',
};

/** What a link tells the layers above. */
export type LinkUpper = Upper<Link>;

export class Link implements NextHop {
  readonly node: NodeId;
  /** Small number, dense, unique among the links of this node: index of the next-hop table. */
  readonly slot: number;
  /** True when this side dialled the current or latest channel, or its latest keys. */
  dialled = false;
  stateSince: Micros;
  readonly liveness: Liveness;
  /** Times it went down. */
  readonly flaps = new Flaps();
  /** What ended it the last time; '' where nothing did. */
  ended = '';
  readonly rate = new LinkRate();
  readonly #worth = new RoutedWorth();
  readonly #env: LinkEnvironment;
  readonly #upper: LinkUpper;
  /** By code, by the types of their frames, and those that hear of each datagram. */
  readonly #services: readonly (DataService | null)[];
  readonly #byFrame: readonly (DataService | null)[];
  readonly #listeners: readonly (DataService | null)[];
  readonly #confirmTimer = new Timer(() => this.#onConfirmLate());
  /** Where the peer is. */
  readonly #address: PeerAddress;
  /** How long datagrams to there may be. */
  readonly size: LinkSize;
  readonly #split: SplitAssembly;
  readonly #hello: Hello = { flags: 0, burst: 0, loss: 0, stamp: 0, echo: 0, held: 0 };
  #state: LinkState = 'down';
  #channel: Channel | null = null;
  #next: Channel | null = null;
  /** Which of the peer's INITs are old. */
  readonly inits = new InitOrder();
  /** What the peer showed last, for its name. */
  #shown: Certificate | null = null;
  readonly #totals = new LinkTotals();
  dropped = 0;
  #lastEndpoint: Endpoint;

  constructor(
    node: NodeId,
    slot: number,
    endpoint: Endpoint,
    env: LinkEnvironment,
    upper: LinkUpper,
  ) {
    this.node = node;
    this.slot = slot;
    this.#lastEndpoint = endpoint;
    this.#env = env;
    this.#upper = upper;
    this.stateSince = env.clock.now();
    this.liveness = new Liveness(
      env.liveness,
      env.clock,
      env.timers,
      env.rng.fork(`liveness ${formatNodeId(node)}`),
      {
        sendHello: (hello) => this.#sendHello(hello),
        onSuspected: () => env.sink.suspect?.(),
        onDead: () => {
          this.#worth.onDeath(env.clock.now());
          this.down('silent: nothing was heard for too long', CLOSE_DEAD);
        },
        onEstimate: () => upper.onLinkEstimate(this),
      },
    );
    this.size = new LinkSize(this, env);
    this.#address = new PeerAddress(this, env);
    this.#split = new SplitAssembly(env.clock, env.drops);
    const self = this;
    const onPushedOut = (): void => {
      this.dropped += 1;
      env.drops.count(DropReason.linkQueueFull);
    };
    this.#services = makeServices(
      (code) => ({
        get channel() {
          return self.#channel;
        },
        onSent: () => this.liveness.onSent(),
        onWritable: () => upper.onLinkWritable(this),
        onPushedOut,
        onPacket: (bytes, start, end, ageUs = 0) => this.#onData(bytes, start, end, code, ageUs),
        onHandBack: (kept) => upper.onHandBack(kept, this),
        onLong: (packet, rate, dropped) => upper.onLong?.(packet, rate, dropped),
        onAcknowledged: (arrived) => this.size.onAcknowledged(arrived),
      }),
      { ...env, rtt: this.liveness.rtt, losses: this.liveness },
    );
    this.#byFrame = byFrame(this.#services);
    this.#listeners = this.#services.filter((service) => service?.onDatagram !== undefined);
  }

  get state(): LinkState {
    return this.#state;
  }

  get up(): boolean {
    return this.#state === 'up';
  }

  /** The channel that data leaves on, null unless the link is up. */
  get channel(): Channel | null {
    return this.#channel;
  }

  /** A channel that the peer has not used yet. */
  get nextChannel(): Channel | null {
    return this.#next;
  }

  /** What the peer showed for the keys in use; null while the link is not up, or not sealed. */
  get certificate(): Certificate | null {
    return this.#channel?.epoch.certificate ?? null;
  }

  /** The name in the certificate that it showed last. */
  get name(): string | null {
    return this.#shown?.name ?? null;
  }

  /** What people call the peer. */
  get label(): string {
    return this.#env.label(this.node, this.#shown);
  }

  get endpoint(): Endpoint {
    return this.#channel?.endpoint ?? this.#next?.endpoint ?? this.#lastEndpoint;
  }

  /**
   * One-way latency, microseconds: half the least round trip of the last seconds. What is
   * advertised should not follow every queue.
   */
  get latencyUs(): Micros {
    return Math.round(this.liveness.rtt.recentUs / 2);
  }

  /**
   * One-way latency, microseconds, for routes: what is better only while nothing uses the link is
   * not believed each time.
   */
  routedLatencyUs(): Micros {
    return this.#worth.latencyUs(this.latencyUs, this.#env.clock.now());
  }

  /**
   * Loss towards the peer for routes, 0..1; nearly all of it for one that dies again and again, so
   * that it is used where there is nothing else.
   */
  routedLoss(): number {
    return this.#worth.loss(this.liveness.lossOut, this.#env.clock.now());
  }

  /** It died again and again of late. */
  get damped(): boolean {
    return this.#worth.damped(this.#env.clock.now());
  }

  /** What waits should rather go another way, if routes have one: much of it is lost here. */
  get troubled(): boolean {
    return this.up && (this.liveness.lossOut >= TROUBLED_LOSS || this.damped);
  }

  /** Hands back what waits here though routes have another way for it. */
  shed(): void {
    for (const service of this.#services)
      service?.shed?.((kept) => this.#upper.isElsewhere(kept, this));
  }

  get queueBytes(): number {
    let bytes = 0;
    for (const service of this.#services) bytes += service?.queueBytes ?? 0;
    return bytes;
  }

  /** Packets of services with recovery that the peer may not have yet. */
  get unacknowledged(): number {
    let packets = 0;
    for (const service of this.#services) packets += service?.window?.unacknowledged ?? 0;
    return packets;
  }

  /** Of what waits, what is of the flow of `packet`. */
  queueBytesOf(packet: Packet): number {
    return this.#services[packet.service]?.queueBytesOf(packet) ?? 0;
  }

  get retransmitted(): number {
    let count = 0;
    for (const service of this.#services) count += service?.retransmitted ?? 0;
    return count;
  }

  get totals(): Totals {
    return this.#totals.with(this.#channel);
  }

  /** The service of that code; null where links have none. */
  service(code: number): DataService | null {
    return this.#services[code] ?? null;
  }

  congested(service: number): boolean {
    return this.#services[service]?.congested ?? false;
  }

  /** Takes what waits here of the flow of `packet`; `take` owns it. */
  recall(packet: Packet, take: (kept: KeptPacket) => void): void {
    this.#services[packet.service]?.recall(packet, take);
  }

  /** True while the flow of `packet`, which begins here, is to wait. */
  holds(packet: Packet): boolean {
    return this.#services[packet.service]?.holds(packet) ?? false;
  }

  /**
   * Sends `packet` by its link service, or refuses it: then the caller still has it. `@hot`
   */
  offer(packet: Packet): Offered {
    if (this.#channel === null) return DropReason.linkDown;
    const service = this.#services[packet.service] ?? null;
    if (service === null || this.#channel.version < (service.since ?? 0))
      return DropReason.linkServiceUnknown;
    if (service.offer(packet))
      return packet.via === 0 && service.congested && service.holds(packet)
        ? TAKEN_FULL
        : DropReason.none;
    this.dropped += 1;
    return DropReason.linkQueueFull;
  }

  /**
   * Begins a control frame; returns where its body goes in `channel.buffer`, -1 when the link is
   * down.
   */
  control(type: number, bodyBytes: number): number {
    if (this.#channel === null) return -1;
    this.liveness.onSent();
    return this.#channel.frame(type, bodyBytes);
  }

  /* -------------------------------------------------------------- channels */

  /**
   * Whether one that is late may be answered: the link moves only when its sender shows with the
   * answer that it is there. Never one of the run whose link is up, whose stamps only grow, and
   * never in place of an answer to a newer INIT.
   */
  mayAnswerLate(instance: number): boolean {
    return this.inits.mayAnswerLate(
      instance,
      this.#state !== 'down',
      this.#next !== null,
      this.#env.clock.now(),
    );
  }

  /** The peer may use `channel` from now on; the link moves to it when the peer does. */
  offerChannel(channel: Channel, stamp: number, late: boolean): void {
    this.#drop(this.#next);
    this.#next = channel;
    this.inits.onOffered(stamp, late);
    if (this.#state === 'down') this.#become('connecting');
    this.#env.timers.arm(this.#confirmTimer, this.#env.clock.now() + CONFIRM_TIME);
  }

  /** The peer has proved that it uses `channel`: it carries the link from now on. */
  useChannel(channel: Channel, dialled: boolean): void {
    if (this.#next === channel) this.#next = null;
    this.inits.onProved(channel.instance, dialled);
    this.#env.timers.cancel(this.#confirmTimer);
    const stays = this.#env.onChannel(this, channel, this.#channel);
    if (this.#state === 'up') this.#leaveUp(stays);
    this.#channel = channel;
    this.#shown = channel.epoch.certificate;
    this.dialled = dialled;
    this.#become('up');
    for (const service of this.#services) service?.onUp?.(channel);
    this.liveness.start();
    channel.size = DATAGRAM_BYTES_MIN;
    this.size.start();
    this.#env.log.info(
      { peer: this.label, node: formatNodeId(this.node), address: channel.endpoint.key, dialled },
      'link up',
    );
    this.#upper.onLinkState(this, true);
  }

  /**
   * Ends the channel, if any. `closeReason` tells the peer why; 0 says nothing. `next`: what the
   * operator can do.
   */
  down(why: string, closeReason: number, next: string | null = null): void {
    this.#env.timers.cancel(this.#confirmTimer);
    this.#drop(this.#next);
    this.#next = null;
    if (this.#state === 'down') return;
    if (this.#channel !== null) {
      if (closeReason !== 0) {
        const at = this.#channel.frame(FRAME_CLOSE, CLOSE_BODY_BYTES);
        this.#channel.buffer[at] = closeReason;
      }
      const fields = {
        peer: this.label,
        address: this.#channel.endpoint.key,
        why,
        ...(next === null ? {} : { next }),
      };
      this.flaps.note(this.#env.clock.now());
      this.ended = why;
      if (closeReason === CLOSE_SHUTDOWN) this.#env.log.info(fields, 'link down');
      else this.#env.log.warn(fields, 'link down');
      this.#leaveUp(false);
    } else this.#become('down');
    this.#env.onLinkDown(this, why);
  }

  onSinkWritable(): void {
    for (const service of this.#services) service?.onSinkWritable();
  }

  /** `stays`: datagrams of the channel in use are still taken, elsewhere. */
  #leaveUp(stays: boolean): void {
    const channel = this.#channel!;
    channel.flush();
    this.#lastEndpoint = channel.endpoint;
    this.#totals.add(channel);
    if (!stays) this.#drop(channel);
    this.#channel = null;
    this.liveness.stop();
    this.size.stop();
    this.#split.clear();
    this.#become('down');
    this.#upper.onLinkState(this, false);
    for (const service of this.#services) service?.onDown();
  }

  #drop(channel: Channel | null): void {
    if (channel !== null) this.#env.forgetChannel(channel);
  }

  #onConfirmLate(): void {
    this.#drop(this.#next);
    this.#next = null;
    if (this.#state === 'connecting') {
      this.#become('down');
      this.#env.onUnconfirmed(this);
      this.#env.onLinkDown(this, '');
    }
  }

  #become(next: LinkState): void {
    assert(EDGES[this.#state].includes(next), 'a link changes state along its edges only');
    this.#state = next;
    this.stateSince = this.#env.clock.now();
  }

  /* -------------------------------------------------------------- arrivals */

  /**
   * A datagram of `channel`, checked for replay, with frames in
   * `bytes[DATAGRAM_HEADER_BYTES..end)`. `@hot`
   */
  onDatagram(
    channel: Channel,
    number: number,
    bytes: Uint8Array,
    end: number,
    from: Endpoint,
    newest: boolean,
  ): void {
    if (channel === this.#next && !this.#crossed()) this.useChannel(channel, false);
    channel.receivedDatagrams += 1;
    if (channel !== this.#channel) return;
    if (from !== channel.endpoint) this.#address.onOther(channel, from, newest);
    this.liveness.onReceived(channel.replay.highest);
    for (const service of this.#listeners) service!.onDatagram!(number);
    let at = DATAGRAM_HEADER_BYTES;
    while (at < end) {
      const bodyBytes = frameBodyBytes(bytes, at, end);
      if (bodyBytes < 0) {
        this.#env.drops.count(DropReason.frameTruncated);
        return;
      }
      const type = bytes[at]!;
      const start = at + FRAME_HEAD_BYTES;
      at = start + bodyBytes;
      const reason = this.#onFrame(type, bytes, start, at, from);
      if (reason !== DropReason.none) {
        this.#env.drops.count(reason);
        if (reason === DropReason.frameType) return;
      }
      if (this.#channel !== channel) return;
    }
  }

  /**
   * Both sides dialled and each uses its own channel: they would move past each other. The higher
   * id's dial counts, as in the tie-break of handshakes; a peer who has used our channel before and
   * now uses another one has begun anew.
   */
  #crossed(): boolean {
    return (
      this.#channel !== null &&
      this.dialled &&
      this.#channel.receivedDatagrams === 0 &&
      this.#env.self > this.node
    );
  }

  /**
   * A datagram of `channel` that asks about its size; no sign of life, and no part of what counts
   * for loss.
   */
  onSizeProbe(channel: Channel, bytes: Uint8Array, end: number): DropReason {
    if (channel === this.#next && !this.#crossed()) this.useChannel(channel, false);
    channel.receivedDatagrams += 1;
    if (channel !== this.#channel) return DropReason.none;
    return this.size.onProbe(channel, bytes, end);
  }

  /** A piece of a frame; the frame, once it is whole. */
  #onPiece(bytes: Uint8Array, start: number, end: number, from: Endpoint): DropReason {
    const split = this.#split;
    if (split.onPiece(bytes, start, end)) {
      this.#byFrame[split.type]?.onWhole?.(split.index, split.count);
      return this.#onFrame(split.type, split.body, 0, split.body.length, from);
    }
    this.#byFrame[split.type]?.onPiece?.();
    return DropReason.none;
  }

  #onFrame(
    type: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    from: Endpoint,
  ): DropReason {
    const service = this.#byFrame[type] ?? null;
    if (service !== null) return service.onFrame(type, bytes, start, end);
    switch (type) {
      case FRAME_PATH_PROBE:
      case FRAME_PATH_ANSWER:
        return this.#address.onFrame(this.#channel!, type, bytes, start, end, from);
      case FRAME_SPLIT:
        return this.#onPiece(bytes, start, end, from);
      case FRAME_SIZE_ANSWER:
        return this.size.onAnswer(bytes, start, end);
      case FRAME_SIZE_PROBE:
        return DropReason.sizeProbeMalformed;
      case FRAME_HELLO: {
        const { version } = this.#channel!;
        const reason = decodeHello(bytes, start, end, this.#hello, version);
        if (reason === DropReason.none) this.liveness.onHello(this.#hello);
        return reason;
      }
      case FRAME_CLOSE: {
        const reason = decodeClose(bytes, start, end);
        if (reason < 0) return DropReason.closeMalformed;
        this.#onClosed(reason);
        return DropReason.none;
      }
      default:
        if (!CONTROL_FRAMES.has(type)) return DropReason.frameType;
        this.#upper.onControl(this, type, bytes, start, end);
        return DropReason.none;
    }
  }

  #onClosed(reason: number): void {
    if (reason === CLOSE_DEAD) this.#worth.onDeath(this.#env.clock.now());
    const own = reason === CLOSE_REMOVED ? this.#env.ownFault() : null;
    if (own !== null) this.down(`closed by peer: ${own.why}`, 0, own.next);
    else this.down(`closed by peer: ${CLOSED[reason]!}`, 0);
  }

  /**
   * A packet that came by `service`, which its header must name too, or a service that has no
   * frames of its own and sends those of others.
   */
  #onData(
    bytes: Uint8Array,
    start: number,
    end: number,
    service: number,
    ageUs: Micros,
  ): DropReason {
    const packet = this.#env.inbound;
    const reason = packet.decode(bytes, start, end, true);
    if (reason !== DropReason.none) return reason;
    if (packet.service !== service && this.#services[packet.service]?.frames.length !== 0)
      return DropReason.linkServiceUnknown;
    packet.via = this.node;
    packet.ageUs = ageUs;
    this.#upper.onPacket(packet, this);
    return DropReason.none;
  }

  #sendHello(hello: Hello): void {
    const channel = this.#channel!;
    if (channel.version < WIRE_VERSION_REALTIME) hello.burst = 0;
    const at = channel.frame(FRAME_HELLO, HELLO_BODY_BYTES);
    encodeHello(hello, channel.buffer, at);
    for (const service of this.#services) service?.onHello?.();
  }
}

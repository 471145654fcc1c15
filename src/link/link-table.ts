/**
 * All links of a daemon: who is dialled, who may dial, which receiver index belongs to which channel.
 *
 * Owns the handshake. A dialler sends INIT until it is answered; the answer (RESPONSE) gives both sides a
 * channel. The answering side uses it once the dialler has sent data on it, so a repeated or old INIT cannot
 * cut a working link. When both dial at once the INIT of the node with the lower id is ignored for its first
 * attempts. A dial goes on for as long as its link is not up.
 */

import { assert } from '../base/assert.ts';
import { makeEndpoint, type DatagramSink, type Endpoint } from '../base/datagram.ts';
import type { NodeId } from '../base/ids.ts';
import type { Log } from '../base/log.ts';
import type { Rng } from '../base/rng.ts';
import { SECOND, Timer, type Clock, type Micros, type Timers } from '../base/time.ts';
import { DATAGRAM_DATA, DATAGRAM_INIT, DATAGRAM_RESPONSE, decodeDatagramHeader, encodeDatagramHeader, type DatagramHeader } from '../wire/datagram-header.ts';
import { DropReason, type DropCounters } from '../wire/drop.ts';
import { CLOSE_SHUTDOWN } from '../wire/frames.ts';
import { decodeHandshake, encodeHandshake, HANDSHAKE_BYTES, type Handshake } from '../wire/handshake.ts';
import type { Packet } from '../wire/packet.ts';
import type { PacketPool } from '../wire/packet-pool.ts';
import { Channel, type FlushList } from './channel.ts';
import type { CongestionName } from './congestion.ts';
import { Link, type LinkUpper } from './link.ts';
import type { LivenessConfig } from './liveness.ts';

/** A neighbour to dial. */
export interface DialConfig {
  /** Numeric address and port, 1..65535. */
  readonly address: string;
  readonly port: number;
  /** The node that must answer there, or null for any. */
  readonly node: NodeId | null;
  /** Congestion control of this link; default: the daemon's. Each side's choice governs what it sends. */
  readonly congestion?: CongestionName;
}

export interface LinkTableConfig {
  readonly id: NodeId;
  readonly dials: readonly DialConfig[];
  readonly accept: boolean;
  readonly liveness: LivenessConfig;
  readonly redialUs: Micros;
  readonly congestion: CongestionName;
  readonly limits: { readonly links: number; readonly linkQueueBytes: number };
}

/** What links need from their surroundings; shared by all links of a daemon. */
export interface LinkEnvironment {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly rng: Rng;
  readonly sink: DatagramSink;
  readonly log: Log;
  readonly drops: DropCounters;
  readonly pool: PacketPool;
  readonly flushList: FlushList;
  /** The daemon's one packet for arrivals. */
  readonly inbound: Packet;
  readonly liveness: LivenessConfig;
  readonly linkQueueBytes: number;
  readonly congestion: CongestionName;
  forgetChannel(channel: Channel): void;
  onLinkDown(link: Link): void;
}

export type LinkSurroundings = Pick<LinkEnvironment, 'clock' | 'timers' | 'rng' | 'sink' | 'log' | 'drops' | 'pool' | 'flushList' | 'inbound'>;

/** While both sides dial, the lower id's INIT is ignored for this many attempts. */
const TIE_ATTEMPTS = 4;
/** A link that nobody dials from here and that stays down is forgotten after this long. */
const FORGET_AFTER: Micros = 30 * SECOND;

class Dial {
  readonly config: DialConfig;
  readonly endpoint: Endpoint;
  readonly timer: Timer;
  link: Link | null = null;
  /** Receiver index offered in the INITs of this round; -1 when none is outstanding. */
  index = -1;
  attempts = 0;

  constructor(config: DialConfig, onDue: (dial: Dial) => void) {
    this.config = config;
    this.endpoint = makeEndpoint(config.address, config.port);
    this.timer = new Timer(() => onDue(this));
  }
}

interface ChannelEntry { readonly channel: Channel; readonly link: Link }

export class LinkTable {
  readonly #config: LinkTableConfig;
  readonly #env: LinkEnvironment;
  readonly #upper: LinkUpper;
  /** u48, of this run of the daemon. */
  readonly #instance: number;
  readonly #links = new Map<NodeId, Link>();
  readonly #bySlot: (Link | null)[] = [];
  readonly #dials: Dial[];
  /** Receiver index -> what it stands for. Bounded: two channels a link and one index a dial. */
  readonly #indices = new Map<number, ChannelEntry | Dial>();
  readonly #header: DatagramHeader = { type: 0, receiver: 0, number: 0 };
  readonly #handshake: Handshake = { node: 0, peer: 0, index: 0, instance: 0 };
  readonly #scratch = new Uint8Array(HANDSHAKE_BYTES);
  readonly #sweepTimer = new Timer(() => this.#sweep());
  #indexRng: Rng;
  #stopped = false;

  constructor(config: LinkTableConfig, surroundings: LinkSurroundings, upper: LinkUpper) {
    this.#config = config;
    this.#upper = upper;
    this.#env = {
      ...surroundings,
      liveness: config.liveness,
      congestion: config.congestion,
      linkQueueBytes: config.limits.linkQueueBytes,
      forgetChannel: (channel) => this.#indices.delete(channel.localIndex),
      onLinkDown: (link) => this.#onLinkDown(link),
    };
    this.#indexRng = surroundings.rng.fork('receiver index');
    const instance = surroundings.rng.fork('instance');
    this.#instance = instance.below(0x10000) * 0x1_0000_0000 + instance.u32();
    this.#dials = config.dials.map((dial) => new Dial(dial, (due) => this.#sendInit(due)));
  }

  get instance(): number {
    return this.#instance;
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

  /** Addresses that are dialled and have no link, for status. */
  *unanswered(): IterableIterator<{ endpoint: Endpoint; node: NodeId | null; attempts: number }> {
    for (const dial of this.#dials) {
      if (dial.link === null || dial.link.state === 'down') {
        if (dial.link === null) yield { endpoint: dial.endpoint, node: dial.config.node, attempts: dial.attempts };
      }
    }
  }

  start(): void {
    for (const dial of this.#dials) this.#sendInit(dial);
    this.#env.timers.arm(this.#sweepTimer, this.#env.clock.now() + FORGET_AFTER);
  }

  /** Tells every peer and takes nothing more. */
  stop(): void {
    this.#stopped = true;
    this.#env.timers.cancel(this.#sweepTimer);
    for (const dial of this.#dials) this.#env.timers.cancel(dial.timer);
    for (const link of this.#links.values()) link.down('daemon stops', CLOSE_SHUTDOWN);
  }

  onSinkWritable(): void {
    for (const link of this.#links.values()) link.onSinkWritable();
  }

  /** A datagram arrived; `bytes[0..length)` belong to the callee from now on. `@hot` */
  onDatagram(bytes: Uint8Array, length: number, from: Endpoint): void {
    const header = this.#header;
    let reason: DropReason = decodeDatagramHeader(bytes, length, header);
    if (reason === DropReason.none) {
      if (header.type === DATAGRAM_DATA) reason = this.#onData(bytes, length, from);
      else if (header.type === DATAGRAM_INIT) reason = this.#onInit(bytes, length, from);
      else reason = this.#onResponse(bytes, length, from);
    }
    if (reason !== DropReason.none) this.#env.drops.count(reason);
  }

  #onData(bytes: Uint8Array, length: number, from: Endpoint): DropReason {
    const entry = this.#indices.get(this.#header.receiver);
    if (entry === undefined || entry instanceof Dial) return DropReason.receiverIndexUnknown;
    const { channel, link } = entry;
    const number = this.#header.number;
    if (!channel.replay.isNew(number)) return number < channel.replay.floor ? DropReason.packetTooOld : DropReason.packetReplayed;
    const newest = number > channel.replay.highest;
    channel.replay.record(number);
    link.onDatagram(channel, number, bytes, length, from, newest);
    return DropReason.none;
  }

  /* -------------------------------------------------------------- handshake */

  #sendInit(dial: Dial): void {
    if (this.#stopped) return;
    if (dial.link?.up === true) return;
    if (dial.index < 0) {
      dial.index = this.#freeIndex();
      this.#indices.set(dial.index, dial);
    }
    encodeDatagramHeader(DATAGRAM_INIT, 0, dial.attempts % 0x1_0000_0000, this.#scratch);
    this.#sendHandshake(dial.endpoint, { node: this.#config.id, peer: dial.config.node ?? 0, index: dial.index, instance: this.#instance });
    dial.attempts += 1;
    const pause = this.#config.redialUs;
    const spread = this.#env.rng.below(Math.max(1, pause >> 2));
    this.#env.timers.arm(dial.timer, this.#env.clock.now() + pause + spread);
  }

  #onInit(bytes: Uint8Array, length: number, from: Endpoint): DropReason {
    const handshake = this.#handshake;
    const reason = decodeHandshake(bytes, length, handshake);
    if (reason !== DropReason.none) return reason;
    if (this.#stopped) return DropReason.handshakeRefused;
    if (handshake.node === this.#config.id) return DropReason.handshakeFromSelf;
    if (handshake.peer !== 0 && handshake.peer !== this.#config.id) return DropReason.handshakeForAnother;
    const rival = this.#dials.find((d) => d.index >= 0 && (d.config.node === handshake.node || d.endpoint.key === from.key || d.link?.node === handshake.node));
    if (rival !== undefined && this.#config.id > handshake.node && this.#header.number < TIE_ATTEMPTS) return DropReason.handshakeTieBroken;
    let link = this.#links.get(handshake.node);
    if (link === undefined) {
      if (!this.#config.accept && rival === undefined) return DropReason.handshakeRefused;
      if (this.#links.size >= this.#config.limits.links) return DropReason.linkTableFull;
      link = this.#makeLink(handshake.node, from);
    }
    const offered = link.nextChannel;
    let localIndex: number;
    if (offered !== null && offered.remoteIndex === handshake.index && offered.instance === handshake.instance) {
      offered.endpoint = from;
      localIndex = offered.localIndex;
    } else if (link.channel !== null && link.channel.remoteIndex === handshake.index && link.channel.instance === handshake.instance) {
      localIndex = link.channel.localIndex;
    } else {
      localIndex = this.#freeIndex();
      const channel = new Channel(localIndex, handshake.index, handshake.instance, from, this.#env.sink, this.#env.flushList);
      this.#indices.set(localIndex, { channel, link });
      link.offerChannel(channel);
    }
    encodeDatagramHeader(DATAGRAM_RESPONSE, handshake.index, this.#header.number, this.#scratch);
    this.#sendHandshake(from, { node: this.#config.id, peer: handshake.node, index: localIndex, instance: this.#instance });
    return DropReason.none;
  }

  #onResponse(bytes: Uint8Array, length: number, from: Endpoint): DropReason {
    const handshake = this.#handshake;
    const reason = decodeHandshake(bytes, length, handshake);
    if (reason !== DropReason.none) return reason;
    const dial = this.#indices.get(this.#header.receiver);
    if (!(dial instanceof Dial)) return DropReason.handshakeUnexpected;
    if (handshake.peer !== this.#config.id) return DropReason.handshakeForAnother;
    if (handshake.node === this.#config.id) return DropReason.handshakeFromSelf;
    if (dial.config.node !== null && dial.config.node !== handshake.node) return DropReason.handshakeForAnother;
    let link = this.#links.get(handshake.node);
    if (link?.up === true) {
      // Another way to the same neighbour, or the peer's own dial was faster: one link a pair is enough.
      dial.link = link;
      this.#endRound(dial);
      return DropReason.none;
    }
    if (link === undefined) {
      if (this.#links.size >= this.#config.limits.links) return DropReason.linkTableFull;
      link = this.#makeLink(handshake.node, from);
    }
    const localIndex = dial.index;
    dial.link = link;
    dial.index = -1;
    this.#endRound(dial);
    const channel = new Channel(localIndex, handshake.index, handshake.instance, from, this.#env.sink, this.#env.flushList);
    this.#indices.set(localIndex, { channel, link });
    link.useChannel(channel, true);
    return DropReason.none;
  }

  /** The dial rests until its link goes down. */
  #endRound(dial: Dial): void {
    if (dial.index >= 0) this.#indices.delete(dial.index);
    dial.index = -1;
    dial.attempts = 0;
    this.#env.timers.cancel(dial.timer);
  }

  #onLinkDown(link: Link): void {
    if (this.#stopped) return;
    for (const dial of this.#dials) {
      if (dial.link === link && !dial.timer.armed) this.#env.timers.arm(dial.timer, this.#env.clock.now() + this.#env.rng.below(20_000) + 1);
    }
  }

  #sendHandshake(to: Endpoint, handshake: Handshake): void {
    encodeHandshake(handshake, this.#scratch);
    this.#env.sink.send(to, this.#scratch, HANDSHAKE_BYTES);
  }

  #freeIndex(): number {
    for (;;) {
      const index = this.#indexRng.u32();
      if (index !== 0 && !this.#indices.has(index)) return index;
    }
  }

  #makeLink(node: NodeId, endpoint: Endpoint): Link {
    let slot = this.#bySlot.indexOf(null);
    if (slot < 0) slot = this.#bySlot.length;
    const dial = this.#dials.find((d) => d.config.node === node || d.endpoint.key === endpoint.key);
    const link = new Link(node, slot, endpoint, { ...this.#env, congestion: dial?.config.congestion ?? this.#env.congestion }, this.#upper);
    this.#bySlot[slot] = link;
    this.#links.set(node, link);
    return link;
  }

  /** Forgets links that others made and that are gone for good, so that their places can be used. */
  #sweep(): void {
    const now = this.#env.clock.now();
    for (const link of this.#links.values()) {
      const ours = this.#dials.some((dial) => dial.link === link);
      if (ours || link.state !== 'down' || now - link.stateSince < FORGET_AFTER) continue;
      assert(this.#bySlot[link.slot] === link, 'a link sits in its slot');
      this.#bySlot[link.slot] = null;
      this.#links.delete(link.node);
    }
    this.#env.timers.arm(this.#sweepTimer, now + FORGET_AFTER);
  }
}

/**
 * Packets of sessions, sealed from their source to their destination: what is between reads
 * nothing, alters nothing and proves nothing.
 *
 * Needs no round trip and keeps nothing for a session: each node says a key for the epoch in its
 * record, each pair derives a key a direction, each packet names both epochs and counts. A packet
 * whose keys are not known yet waits, bounded in packets and in time, at its source until the
 * destination's record is there, and at the destination until the source's is, which is asked for
 * where the packet came from. It is never sent plain. A number is taken once, and only what opens
 * moves a window. `@hot`
 *
 *     session -> originate -> [waits] -> seal -> send ... routers ... onSealed -> [waits] -> open
 *     -> deliver -> session
 */

import { copyBytes } from '../base/bytes.ts';
import { addTo, FACTOR, FairPlaces } from '../base/fair-places.ts';
import type { NodeId } from '../base/ids.ts';
import { MILLISECOND, SECOND, Timer, type Clock, type Micros, type Timers } from '../base/time.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import type { Protection } from '../dissemination/protection.ts';
import { DropReason, type DropCounters, refusalOf, type Offered } from '../wire/drop.ts';
import { clearChanging, Packet } from '../wire/packet.ts';
import type { KeptPacket, PacketPool } from '../wire/packet-pool.ts';
import type { SignedRecord } from '../wire/record.ts';
import {
  decodeSealHead,
  encodeSealHead,
  SEAL_BYTES,
  SEAL_COUNTER_MAX,
  SEALED_FROM,
  type SealHead,
} from '../wire/sealed-packet.ts';
import { OVERLAY_HEADER_BYTES, PACKET_BYTES_MAX, TAG_BYTES } from '../wire/sizes.ts';
import type { OwnEpochs } from './own-epochs.ts';
import { pairKeys, type PairKeys, type PairPrimitives } from './pair-keys.ts';
import { Peers, type Peer, type PeerEpoch } from './peers.ts';

export interface EndToEndEnvironment {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly drops: DropCounters;
  readonly pool: PacketPool;
  readonly primitives: PairPrimitives;
  readonly epochs: OwnEpochs;
  /** Nodes whose keys are remembered, and for how long after they went. */
  readonly nodesMost: number;
  readonly keptUs: Micros;
  /** Of the run of `node` that advertised last. */
  instanceOf(node: NodeId): number | null;
  /** Whether what is sealed for `node` is to be sealed by AES. */
  takesAes(node: NodeId): boolean;
  /** Asks the neighbour `via` for the record of `node`. */
  ask(via: NodeId, node: NodeId): void;
  /** Sends a packet of ours on, sealed by now. */
  send(packet: Packet): Offered;
  /** An opened packet is for this node, and its source is proved. */
  deliver(packet: Packet): void;
}

/**
 * What waits for the key of one destination, of all (either shared by program), and how long. Later
 * ones are refused: what lacks a key for so long has none.
 */
const OUT_MOST = 2_048,
  OUT_ALL_MOST = 8_192;
const OUT_WAIT: Micros = 3 * SECOND;
/**
 * What waits for the key of one source that came by one neighbour, by that neighbour (shared by
 * source, where all of whom nothing was ever known are one: anybody can make those up), of all
 * (shared by neighbour), and how long.
 */
const IN_MOST = 1_024,
  IN_VIA_MOST = 2_048,
  IN_ALL_MOST = 8_192;
const IN_WAIT: Micros = SECOND;
/** Between two questions for one source's record. */
const ASK_INTERVAL: Micros = 100 * MILLISECOND;
/** Key exchanges that packets may cause. */
const EXCHANGES_PER_SECOND = 1_000,
  EXCHANGES_BURST = 4_096;

interface Waiting {
  readonly kept: KeptPacket;
  readonly until: Micros;
}
interface Queue {
  readonly packets: Waiting[];
}
/** Packets for one destination, and which program has how many of their places. */
interface OutQueue extends Queue {
  readonly places: FairPlaces<KeptPacket>;
}
/** Packets of one source that came by one neighbour. */
interface InQueue extends Queue {
  readonly node: NodeId;
  readonly via: NodeId;
  /** Nothing was ever known of the source: anybody may have made it up. */
  readonly strange: boolean;
  askedAt: Micros;
}

export class EndToEnd implements Protection {
  sealed = 0;
  opened = 0;
  readonly #env: EndToEndEnvironment;
  readonly #peers: Peers;
  /** By destination. */
  readonly #out = new Map<NodeId, OutQueue>();
  /** Since when a destination has no key. */
  readonly #keyless = new Map<NodeId, Micros>();
  /** By neighbour and source. */
  readonly #in = new Map<string, InQueue>();
  /**
   * What waits to be opened, by the neighbour that it came from; and of it what is of strangers.
   */
  readonly #inVia = new Map<NodeId, number>();
  readonly #inStrange = new Map<NodeId, number>();
  #outCount = 0;
  #inCount = 0;
  readonly #outPlaces = new FairPlaces<KeptPacket>();
  readonly #exchanges = new TokenBucket(EXCHANGES_PER_SECOND, EXCHANGES_BURST);
  readonly #timer = new Timer(() => this.#onTimer());
  readonly #waited = new Packet();
  readonly #head: SealHead = { sourceEpoch: 0, destinationEpoch: 0, counter: 0, aes: false };
  readonly #sealing = new Uint8Array(PACKET_BYTES_MAX);
  readonly #opening = new Uint8Array(PACKET_BYTES_MAX);

  constructor(env: EndToEndEnvironment) {
    this.#env = env;
    this.#peers = new Peers(2 * env.nodesMost, env.keptUs);
    env.epochs.onErased = (epoch) => this.#peers.onErased(epoch);
  }

  /** Packets that wait for a key, here to be sealed and here to be opened. */
  get waiting(): number {
    return this.#outCount + this.#inCount;
  }

  /* -------------------------------------------------------------- keys */

  /** A record of `node` was believed, or is no longer. */
  onNodeRecord(node: NodeId, record: SignedRecord | null): void {
    const now = this.#env.clock.now();
    if (record === null) {
      this.#peers.end(node, now);
      return;
    }
    if (!this.#peers.onRecord(record, now)) return;
    this.#keyless.delete(node);
    this.#sendWaiting(node);
    for (const [name, queue] of [...this.#in])
      if (queue.node === node) this.#openWaiting(name, queue);
  }

  /** What a run before the present one said of keys is worth nothing any more. */
  onRestart(node: NodeId): void {
    const peer = this.#peers.get(node);
    if (peer !== undefined && peer.instance !== this.#env.instanceOf(node))
      this.#peers.end(node, this.#env.clock.now());
  }

  /** What nodes say of themselves may have changed. */
  onRoutes(): void {
    for (const { node, epochs } of this.#peers.all())
      for (const { latest } of epochs) if (latest !== null) latest.aes = this.#env.takesAes(node);
  }

  #keysOf(peer: Peer, of: PeerEpoch, own = this.#env.epochs.sending): PairKeys | null {
    if (of.latest !== null && of.latest.own === own) return of.latest.keys;
    const known = of.pairs.get(own);
    if (known !== undefined) {
      of.latest = { own, keys: known, aes: this.#env.takesAes(peer.node) };
      return known;
    }
    const keys = pairKeys(this.#env.primitives, this.#env.self, own, peer.node, of.key);
    of.pairs.set(own, keys);
    of.latest = { own, keys, aes: this.#env.takesAes(peer.node) };
    return keys;
  }

  /* -------------------------------------------------------------- source */

  originate(packet: Packet): Offered {
    const peer = this.#peers.get(packet.destination);
    const of = peer?.epochs[0];
    if (
      peer === undefined ||
      of === undefined ||
      (this.#out.size > 0 && this.#out.has(packet.destination))
    )
      return this.#waitForKey(packet);
    const reason = this.#seal(packet, peer, of);
    return reason === DropReason.none ? this.#env.send(packet) : reason;
  }

  /**
   * Makes `packet` the sealed one: where it is if it may, else in a buffer that the next call uses
   * again.
   */
  #seal(packet: Packet, peer: Peer, of: PeerEpoch): DropReason {
    const { length, service, ttl } = packet;
    const end = length + SEAL_BYTES;
    if (end > PACKET_BYTES_MAX) return DropReason.packetTooLong;
    const own = this.#env.epochs.sending;
    const keys = this.#keysOf(peer, of, own);
    if (keys === null) return DropReason.endToEndNoKey;
    const counter = this.#peers.nextCounter(peer, service);
    if (counter >= SEAL_COUNTER_MAX) return DropReason.endToEndNoKey;
    let b = packet.bytes;
    if (!packet.roomy) {
      b = this.#sealing;
      copyBytes(packet.bytes, packet.payloadStart, packet.end, b, SEALED_FROM);
      packet.bytes = b;
    }
    packet.roomy = false;
    packet.start = 0;
    packet.end = end;
    packet.keepable = false;
    packet.sealed = true;
    packet.encodeHeader();
    clearChanging(b, 0);
    const head = this.#head;
    head.sourceEpoch = own.name;
    head.destinationEpoch = of.name;
    head.counter = counter;
    head.aes = of.latest!.aes;
    encodeSealHead(head, b, OVERLAY_HEADER_BYTES);
    (head.aes ? keys.aesSeal : keys.seal).seal(
      numberOf(counter, service),
      b,
      SEALED_FROM,
      end - TAG_BYTES,
    );
    packet.setTtl(ttl);
    this.sealed += 1;
    return DropReason.none;
  }

  #waitForKey(packet: Packet): DropReason {
    const { clock, pool } = this.#env;
    const { destination } = packet;
    const now = clock.now();
    const since = this.#keyless.get(destination);
    if (since === undefined) {
      if (this.#keyless.size >= this.#env.nodesMost)
        this.#keyless.delete(this.#keyless.keys().next().value!);
      this.#keyless.set(destination, now);
    } else if (now - since >= OUT_WAIT) return DropReason.endToEndNoKey;
    const queue = this.#out.get(destination) ?? { packets: [], places: new FairPlaces() };
    const holder = [packet.user, packet.user] as const;
    if (
      !queue.places.open(holder, OUT_MOST - queue.packets.length) ||
      !this.#outPlaces.open(holder, OUT_ALL_MOST - this.#outCount)
    )
      return DropReason.endToEndNoKey;
    const kept = pool.keep(packet);
    if (kept === null) return DropReason.endToEndNoKey;
    this.#outPlaces.add(kept, holder);
    queue.places.add(kept, holder);
    queue.packets.push({ kept, until: now + OUT_WAIT });
    this.#out.set(destination, queue);
    this.#outCount += 1;
    this.#armTimer();
    return DropReason.none;
  }

  #sendWaiting(node: NodeId): void {
    const queue = this.#out.get(node),
      peer = this.#peers.get(node),
      of = peer?.epochs[0];
    if (queue === undefined || peer === undefined || of === undefined) return;
    this.#out.delete(node);
    this.#outCount -= queue.packets.length;
    for (const { kept, until } of queue.packets) {
      let reason = this.#waited.decode(kept.bytes, kept.start, kept.end, false);
      // Or it would take turns as somebody else's, and what the program sends next would overtake
      // it.
      this.#waited.user = kept.user;
      this.#env.pool.restoreWays(kept, this.#waited);
      this.#waited.ageUs = kept.ageUs + this.#env.clock.now() - (until - OUT_WAIT);
      if (reason === DropReason.none) reason = this.#seal(this.#waited, peer, of);
      if (reason === DropReason.none) reason = refusalOf(this.#env.send(this.#waited));
      if (reason !== DropReason.none) this.#env.drops.count(reason);
      this.#outPlaces.delete(kept);
      this.#env.pool.release(kept);
    }
  }

  /* -------------------------------------------------------------- destination */

  onSealed(packet: Packet): DropReason {
    const reason = this.#open(packet);
    if (reason === DropReason.none) {
      this.#env.deliver(packet);
      return reason;
    }
    return reason === DropReason.endToEndEpochUnknown ? this.#waitForRecord(packet) : reason;
  }

  /**
   * Makes `packet` the opened one, in a buffer that the next call uses again; on another result
   * than none it is as it came.
   */
  #open(packet: Packet): DropReason {
    const { source, service, length } = packet;
    const head = this.#head;
    if (
      length < SEALED_FROM + TAG_BYTES ||
      !decodeSealHead(packet.bytes, packet.payloadStart, head)
    )
      return DropReason.endToEndMalformed;
    const { counter } = head;
    const own = this.#env.epochs.of(head.destinationEpoch);
    if (own === null) return DropReason.endToEndKeyGone;
    const peer = this.#peers.get(source);
    const of = peer === undefined ? null : epochOf(peer, head.sourceEpoch);
    if (peer === undefined || of === null) return DropReason.endToEndEpochUnknown;
    const window = this.#peers.window(peer, service);
    if (!window.isNew(counter))
      return counter < window.floor ? DropReason.endToEndTooOld : DropReason.endToEndReplayed;
    if (
      of.latest?.own !== own &&
      !of.pairs.has(own) &&
      !this.#exchanges.take(this.#env.clock.now())
    )
      return DropReason.endToEndOverBudget;
    const keys = this.#keysOf(peer, of, own);
    const b = this.#opening;
    copyBytes(packet.bytes, packet.start, packet.end, b, 0);
    clearChanging(b, 0);
    if (
      keys === null ||
      !(head.aes ? keys.aesOpen : keys.open).open(
        numberOf(counter, service),
        b,
        SEALED_FROM,
        length,
      )
    )
      return DropReason.endToEndForged;
    window.record(counter);
    // The header stands right in front of what was sealed, as in a packet that was not.
    b.copyWithin(SEALED_FROM - OVERLAY_HEADER_BYTES, 0, OVERLAY_HEADER_BYTES);
    packet.bytes = b;
    packet.start = SEALED_FROM - OVERLAY_HEADER_BYTES;
    packet.end = length - TAG_BYTES;
    packet.keepable = false;
    this.opened += 1;
    return DropReason.none;
  }

  #waitForRecord(packet: Packet): DropReason {
    const { clock, pool } = this.#env;
    const { source, via } = packet;
    const now = clock.now(),
      name = `${via} ${source}`;
    const queue = this.#in.get(name) ?? {
      node: source,
      via,
      strange: this.#peers.get(source) === undefined,
      packets: [],
      askedAt: -ASK_INTERVAL,
    };
    const viaMost = Math.min(IN_VIA_MOST, FACTOR * (IN_ALL_MOST - this.#inCount));
    const room = viaMost - (this.#inVia.get(via) ?? 0);
    const held = queue.strange ? (this.#inStrange.get(via) ?? 0) : queue.packets.length;
    if (room <= 0 || held >= Math.min(IN_MOST, FACTOR * room))
      return DropReason.endToEndEpochUnknown;
    const kept = pool.keep(packet);
    if (kept === null) return DropReason.endToEndEpochUnknown;
    this.#in.set(name, queue);
    queue.packets.push({ kept, until: now + IN_WAIT });
    this.#countIn(queue, 1);
    if (now - queue.askedAt >= ASK_INTERVAL) {
      queue.askedAt = now;
      this.#env.ask(via, source);
    }
    this.#armTimer();
    return DropReason.none;
  }

  #countIn({ via, strange }: InQueue, more: number): void {
    this.#inCount += more;
    addTo(this.#inVia, via, more);
    if (strange) addTo(this.#inStrange, via, more);
  }

  /** The record of a source came: opens what it opens; the rest goes on waiting. */
  #openWaiting(name: string, queue: InQueue): void {
    const all = queue.packets.splice(0);
    for (const waiting of all) {
      const reason = this.#again(waiting, queue.via);
      if (reason === DropReason.endToEndEpochUnknown) {
        queue.packets.push(waiting);
        continue;
      }
      if (reason === DropReason.none) this.#env.deliver(this.#waited);
      else this.#env.drops.count(reason);
      this.#countIn(queue, -1);
      this.#env.pool.release(waiting.kept);
    }
    if (queue.packets.length === 0) this.#in.delete(name);
  }

  #again({ kept, until }: Waiting, via: NodeId): DropReason {
    const packet = this.#waited;
    const reason = packet.decode(kept.bytes, kept.start, kept.end, false);
    packet.via = via;
    packet.ageUs = kept.ageUs + this.#env.clock.now() - (until - IN_WAIT);
    return reason === DropReason.none ? this.#open(packet) : reason;
  }

  /* -------------------------------------------------------------- time */

  #armTimer(): void {
    if (!this.#timer.armed) this.#env.timers.arm(this.#timer, this.#env.clock.now() + IN_WAIT / 4);
  }

  /** What waits too long is dropped. */
  #onTimer(): void {
    const now = this.#env.clock.now();
    for (const [node, queue] of this.#out) {
      const places = [queue.places, this.#outPlaces];
      this.#outCount -= this.#expire(queue, now, DropReason.endToEndNoKey, places);
      if (queue.packets.length === 0) this.#out.delete(node);
    }
    for (const [name, queue] of this.#in) {
      this.#countIn(queue, -this.#expire(queue, now, DropReason.endToEndEpochUnknown));
      if (queue.packets.length === 0) this.#in.delete(name);
    }
    if (this.waiting > 0) this.#armTimer();
  }

  #expire(
    { packets }: Queue,
    now: Micros,
    reason: DropReason,
    places: readonly FairPlaces<KeptPacket>[] = [],
  ): number {
    let count = 0;
    while (count < packets.length && packets[count]!.until <= now) count += 1;
    for (const { kept } of packets.splice(0, count)) {
      this.#env.drops.count(reason);
      for (const each of places) each.delete(kept);
      this.#env.pool.release(kept);
    }
    return count;
  }

  stop(): void {
    this.#env.timers.cancel(this.#timer);
    for (const queue of [...this.#out.values(), ...this.#in.values()])
      for (const { kept } of queue.packets) this.#env.pool.release(kept);
    this.#out.clear();
    this.#in.clear();
    this.#inVia.clear();
    this.#inStrange.clear();
    this.#outPlaces.clear();
    this.#outCount = 0;
    this.#inCount = 0;
  }
}

function epochOf({ epochs }: Peer, name: number): PeerEpoch | null {
  for (let i = 0; i < epochs.length; i += 1) if (epochs[i]!.name === name) return epochs[i]!;
  return null;
}

/** The number of a seal: no two link services share one. */
function numberOf(counter: number, service: number): number {
  return counter * 8 + service;
}

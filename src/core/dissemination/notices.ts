/**
 * What this node tells the sources of flows over reliable links: their queue here is long, packets
 * waited for a route in vain, or came to this node and could not be delivered.
 *
 * Owns the packets that say so (core/wire/notice.ts). What is lost is gathered for a moment, by
 * flow, as a whole queue of it may be given up at once; bounded, also by source. Sources that are
 * proved have places of their own: who makes up names takes none of theirs.
 */

import { getU32 } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import { MILLISECOND, SECOND, Timer, type Clock, type Micros, type Timers } from '../base/time.ts';
import type { EncodedPacket } from '../link/send-queue.ts';
import { DropReason } from '../wire/drop.ts';
import {
  encodeNotice,
  isTold,
  makeNotice,
  NOTICE_BYTES,
  NOTICE_FULL,
  NOTICE_LONG,
  NOTICE_NO_ROUTE,
  QUOTE_BYTES,
  type Notice,
} from '../wire/notice.ts';
import {
  DISSEMINATION_LINK_STATE,
  KIND_NOTICE,
  Packet,
  PRIORITY_DEFAULT,
  SERVICE_RELIABLE,
  TTL_DEFAULT,
  type PacketModes,
} from '../wire/packet.ts';
import { OVERLAY_HEADER_BYTES } from '../wire/sizes.ts';

const MODES: PacketModes = {
  service: SERVICE_RELIABLE,
  dissemination: DISSEMINATION_LINK_STATE,
  ttl: TTL_DEFAULT,
  priority: PRIORITY_DEFAULT,
};
const GATHER: Micros = 50 * MILLISECOND;
/** A node that began anew knows no way yet to those whom it has something to tell. */
const PATIENCE: Micros = 3 * SECOND;

interface Lost {
  readonly source: NodeId;
  readonly notice: Notice;
  /** It is tried again until then, where there is no way to its source. */
  readonly until: Micros;
}

/** Losses that are to be told, by flow; bounded, also by source. */
class Gathered {
  readonly #max: number;
  readonly #ofSourceMax: number;
  readonly #all: Lost[] = [];
  /** The same by source: whoever makes up flows makes them up in one name. */
  readonly #ofSource = new Map<NodeId, Lost[]>();

  constructor(max: number, ofSourceMax: number) {
    this.#max = max;
    this.#ofSourceMax = ofSourceMax;
  }

  get size(): number {
    return this.#all.length;
  }

  /** One more of the flow that `told` names, whose `reason` and `dropped` are not looked at. */
  add(source: NodeId, told: Notice, reason: number, until: Micros): void {
    const known = this.#ofSource
      .get(source)
      ?.find(({ notice }) => notice.reason === reason && isSameFlow(notice, told));
    if (known !== undefined) known.notice.dropped += 1;
    else this.#put({ source, notice: { ...told, reason, dropped: 1, rate: 0 }, until });
  }

  /** Tells all by `tell`, which is false where it cannot be told now: that waits on, for a time. */
  tellAll(now: Micros, tell: (lost: Lost) => boolean): void {
    const all = [...this.#all];
    this.clear();
    for (const lost of all) if (!tell(lost) && now < lost.until) this.#put(lost);
  }

  clear(): void {
    this.#all.length = 0;
    this.#ofSource.clear();
  }

  #put(lost: Lost): void {
    const own = this.#ofSource.get(lost.source) ?? [];
    if (this.#all.length >= this.#max || own.length >= this.#ofSourceMax) return;
    if (own.length === 0) this.#ofSource.set(lost.source, own);
    own.push(lost);
    this.#all.push(lost);
  }
}

export class Notices {
  readonly #self: NodeId;
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #send: (packet: Packet) => boolean;
  readonly #of = new Packet();
  readonly #packet = new Packet();
  readonly #bytes = new Uint8Array(OVERLAY_HEADER_BYTES + NOTICE_BYTES);
  readonly #notice = makeNotice();
  /** Of sources that are proved, and of those that are only named: nobody fills the first. */
  readonly #proved = new Gathered(1_024, 256);
  readonly #named = new Gathered(256, 32);
  readonly #timer = new Timer(() => this.#tellLost());

  /**
   * `send`: the packet is valid during the call only; false: there is no way to its destination.
   */
  constructor(self: NodeId, clock: Clock, timers: Timers, send: (packet: Packet) => boolean) {
    this.#self = self;
    this.#clock = clock;
    this.#timers = timers;
    this.#send = send;
  }

  /** As SendQueue.onLong. */
  onLong(packet: EncodedPacket, rate: number, dropped: number): void {
    if (!this.#describe(packet, this.#notice)) return;
    this.#notice.reason = dropped > 0 ? NOTICE_FULL : NOTICE_LONG;
    this.#notice.dropped = dropped;
    this.#notice.rate = rate;
    this.#tell(this.#of.source, this.#notice);
  }

  /** `packet` waited for a route for too long. */
  onLost(packet: EncodedPacket): void {
    if (this.#describe(packet, this.#notice) && isTold(this.#of.kind))
      this.#gather(this.#named, this.#of.source, NOTICE_NO_ROUTE);
  }

  /**
   * `packet`, of any dissemination, is for this node and was not delivered, for NOTICE_PORT_CLOSED,
   * NOTICE_KEY_GONE or NOTICE_UNPROVED.
   */
  onUndelivered(packet: Packet, reason: number): void {
    if (packet.service !== SERVICE_RELIABLE || !isTold(packet.kind)) return;
    this.#quote(packet, this.#notice);
    const gathered = packet.authenticated ? this.#proved : this.#named;
    this.#gather(gathered, packet.source, reason);
  }

  stop(): void {
    this.#timers.cancel(this.#timer);
    this.#proved.clear();
    this.#named.clear();
  }

  /** One more of the flow that `#notice` names is to be told. */
  #gather(gathered: Gathered, source: NodeId, reason: number): void {
    gathered.add(source, this.#notice, reason, this.#clock.now() + PATIENCE);
    this.#armed();
  }

  #armed(): void {
    if (!this.#timer.armed) this.#timers.arm(this.#timer, this.#clock.now() + GATHER);
  }

  #tellLost(): void {
    const now = this.#clock.now();
    for (const gathered of [this.#proved, this.#named])
      gathered.tellAll(now, ({ source, notice }) => this.#tell(source, notice));
    if (this.#proved.size + this.#named.size > 0) this.#armed();
  }

  #describe({ bytes, start, end }: EncodedPacket, notice: Notice): boolean {
    const packet = this.#of;
    if (
      packet.decode(bytes, start, end, false) !== DropReason.none ||
      packet.end - packet.payloadStart < QUOTE_BYTES
    )
      return false;
    this.#quote(packet, notice);
    return true;
  }

  /** What was sealed from end to end may be shorter than a quote, and none is looked at there. */
  #quote(packet: Packet, notice: Notice): void {
    const { bytes, payloadStart, end } = packet;
    const whole = end - payloadStart >= QUOTE_BYTES;
    notice.destination = packet.destination;
    notice.sourcePort = packet.sourcePort;
    notice.destinationPort = packet.destinationPort;
    notice.quoteHigh = whole ? getU32(bytes, payloadStart) : 0;
    notice.quoteLow = whole ? getU32(bytes, payloadStart + 4) : 0;
  }

  #tell(source: NodeId, notice: Notice): boolean {
    encodeNotice(notice, this.#bytes, OVERLAY_HEADER_BYTES);
    this.#packet.compose(
      this.#bytes,
      0,
      this.#bytes.length,
      KIND_NOTICE,
      MODES,
      this.#self,
      0,
      source,
      0,
    );
    return this.#send(this.#packet);
  }
}

function isSameFlow(a: Notice, b: Notice): boolean {
  return (
    a.destinationPort === b.destinationPort &&
    a.sourcePort === b.sourcePort &&
    a.destination === b.destination
  );
}

/**
 * What this node tells the sources of flows over reliable links: their queue here is long, packets
 * waited for a route in vain, or came to this node and could not be delivered.
 *
 * Owns the packets that say so (core/wire/notice.ts). What is lost is gathered for a moment, by
 * flow, as a whole queue of it may be given up at once; bounded, also by source.
 */

import { getU32 } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import { MILLISECOND, Timer, type Clock, type Micros, type Timers } from '../base/time.ts';
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
const FLOWS_MAX = 256,
  FLOWS_OF_SOURCE_MAX = 32;

interface Lost {
  readonly source: NodeId;
  readonly notice: Notice;
}

export class Notices {
  readonly #self: NodeId;
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #send: (packet: Packet) => void;
  readonly #of = new Packet();
  readonly #packet = new Packet();
  readonly #bytes = new Uint8Array(OVERLAY_HEADER_BYTES + NOTICE_BYTES);
  readonly #notice = makeNotice();
  readonly #lost: Lost[] = [];
  /** The same by source: whoever makes up flows makes them up in one name. */
  readonly #ofSource = new Map<NodeId, Lost[]>();
  readonly #timer = new Timer(() => this.#tellLost());

  /** `send`: the packet is valid during the call only. */
  constructor(self: NodeId, clock: Clock, timers: Timers, send: (packet: Packet) => void) {
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
      this.#gather(this.#of.source, NOTICE_NO_ROUTE);
  }

  /**
   * `packet`, of any dissemination, is for this node and was not delivered, for NOTICE_PORT_CLOSED
   * or NOTICE_KEY_GONE.
   */
  onUndelivered(packet: Packet, reason: number): void {
    if (packet.service !== SERVICE_RELIABLE || !isTold(packet.kind)) return;
    this.#quote(packet, this.#notice);
    this.#gather(packet.source, reason);
  }

  stop(): void {
    this.#timers.cancel(this.#timer);
    this.#forget();
  }

  /** One more of the flow that `#notice` names is to be told. */
  #gather(source: NodeId, reason: number): void {
    const told = this.#notice,
      own = this.#ofSource.get(source) ?? [];
    const known = own.find(({ notice }) => notice.reason === reason && isSameFlow(notice, told));
    if (known !== undefined) known.notice.dropped += 1;
    else {
      if (this.#lost.length >= FLOWS_MAX || own.length >= FLOWS_OF_SOURCE_MAX) return;
      const lost = { source, notice: { ...told, reason, dropped: 1, rate: 0 } };
      if (own.length === 0) this.#ofSource.set(source, own);
      own.push(lost);
      this.#lost.push(lost);
    }
    if (!this.#timer.armed) this.#timers.arm(this.#timer, this.#clock.now() + GATHER);
  }

  #forget(): void {
    this.#lost.length = 0;
    this.#ofSource.clear();
  }

  #tellLost(): void {
    for (const { source, notice } of this.#lost) this.#tell(source, notice);
    this.#forget();
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

  #tell(source: NodeId, notice: Notice): void {
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
    this.#send(this.#packet);
  }
}

function isSameFlow(a: Notice, b: Notice): boolean {
  return (
    a.destinationPort === b.destinationPort &&
    a.sourcePort === b.sourcePort &&
    a.destination === b.destination
  );
}

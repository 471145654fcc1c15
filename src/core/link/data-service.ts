/**
 * What a link offers to data: the interface of its services (best effort, reliable, and what comes
 * next).
 *
 * A link has one instance of each for its whole life, over all its channels, and knows it by its
 * code and by the frames that it reads (services.ts). Packets are offered by dissemination and
 * received from frames; both directions are the service's own business, and so is what it
 * acknowledges. What a service does not need to hear it leaves out.
 */

import type { DatagramSink } from '../base/datagram.ts';
import type { Draws } from '../base/draws.ts';
import type { Clock, Micros, Timers } from '../base/time.ts';
import type { CongestionName } from '../recovery/controller.ts';
import type { RttEstimator } from '../recovery/rtt.ts';
import type { NodeId } from '../base/ids.ts';
import type { DropCounters, DropReason } from '../wire/drop.ts';
import type { Packet } from '../wire/packet.ts';
import type { KeptPacket, PacketPool } from '../wire/packet-pool.ts';
import type { Channel } from './channel.ts';
import type { EncodedPacket } from './send-queue.ts';
import type { Arrived } from './size-losses.ts';

export interface DataService {
  /**
   * Types of the frames that this service reads; no two services share one. None: it decides only
   * what leaves and when, and sends its packets in FRAME_DATA, which best effort reads.
   */
  readonly frames: readonly number[];
  /** The lowest wire version of a link whose peer reads them; absent: all do. */
  readonly since?: number;
  /**
   * Takes `packet` (sends it, or keeps it to send) or refuses it: then the caller still has it, and
   * counts the drop.
   */
  offer(packet: Packet): boolean;
  /** True while some sender here was told to wait. */
  readonly congested: boolean;
  /**
   * True while the flow of `packet`, which begins here, is to wait: it holds much of a long queue.
   */
  holds(packet: Packet): boolean;
  /** Takes what waits of the flow of `packet` out of the queue; `take` owns it. */
  recall(packet: Packet, take: (kept: KeptPacket) => void): void;
  /** Bytes waiting, with their bookkeeping. */
  readonly queueBytes: number;
  /** Of these, what is of the flow of `packet`. */
  queueBytesOf(packet: Packet): number;
  /** Packets sent again. */
  readonly retransmitted: number;
  /** Packets of streams that were marked as they left. */
  readonly marked: number;
  /** What holds its packets back; absent where nothing but the sink does. */
  readonly window?: WindowFigures;
  /** A frame of its own arrived: its body is `bytes[start..end)`. */
  onFrame(type: number, bytes: Uint8Array, start: number, end: number): DropReason;
  /** A piece of a frame of its own arrived that does not make it whole. */
  onPiece?(): void;
  /**
   * The frame that comes next was whole with this datagram, the `index`-th of `count` pieces. It is
   * the only frame here.
   */
  onWhole?(index: number, count: number): void;
  /** A datagram of this number arrived, before its frames are looked at. `@hot` */
  onDatagram?(number: number): void;
  /** A hello is about to leave. */
  onHello?(): void;
  /** The sink takes datagrams again. */
  onSinkWritable(): void;
  /** The link has a new channel: both sides start from nothing. */
  onUp?(channel: Channel): void;
  /** The link has no channel any more. */
  onDown(): void;
  /** Hands back what has not left, as far as it may go `elsewhere`. */
  shed?(elsewhere: (kept: KeptPacket) => boolean): void;
}

/** What a link measures of its losses, each 0..1: how much, and how often another follows one. */
export interface LinkLosses {
  /** Of what we send, as the peer says. */
  readonly lossOut: number;
  readonly burstOut: number;
  /** Of what the peer sends. */
  readonly lossIn: { readonly rate: number; readonly persistence: number };
}

/** Congestion control of a service, for status. */
export interface WindowFigures {
  readonly congestion: CongestionName;
  readonly windowBytes: number;
  readonly inFlightBytes: number;
  /** Packets sent and not yet acknowledged. */
  readonly unacknowledged: number;
  /** Transmissions declared lost that had arrived after all. */
  readonly spurious: number;
}

/** What a service tells its link, and the channel that the link has. */
export interface ServiceOutput {
  /** The channel to send on, null when the link is down. */
  readonly channel: Channel | null;
  /** Something was appended to the channel. */
  onSent(): void;
  /** The queue, once congested, has room again. */
  onWritable(): void;
  /** A packet that had been taken was dropped, as its kind held most of a full queue. */
  onPushedOut?(): void;
  /** See SendQueue. */
  onLong?(packet: EncodedPacket, rate: number, dropped: number): void;
  /**
   * A packet for the upper layer, the first time it arrives: `bytes[start..end)`. `ageUs`: since
   * its source sent it, where that is known.
   */
  onPacket(bytes: Uint8Array, start: number, end: number, ageUs?: Micros): DropReason;
  /** A packet that the neighbour may not have: the callee releases it. */
  onHandBack(kept: KeptPacket): void;
  /** The neighbour said what it has got; valid during the call only. */
  onAcknowledged?(arrived: Arrived): void;
}

/** What services need from their surroundings. */
export interface ServiceEnvironment {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly sink: DatagramSink;
  readonly pool: PacketPool;
  /** Of the link. */
  readonly rtt: RttEstimator;
  readonly losses: LinkLosses;
  /** What packets on their way to `node` take from here, microseconds; 0: not known. */
  latencyTo(node: NodeId): Micros;
  readonly drops: DropCounters;
  readonly congestion: CongestionName;
  readonly linkQueueBytes: number;
  /** Of the realtime service of a link, as it is now; 0: no bound. */
  realtimeBytesPerSecond(): number;
  /** For what strangers may not guess. */
  readonly draws: Pick<Draws, 'u32'>;
}

/**
 * What a link offers to data: the interface of best-effort, reliable and realtime service.
 *
 * A link has one instance of each for its whole life, over all its channels. Packets are offered by
 * dissemination and received from frames; both directions are the service's own business.
 */

import type { Packet } from '../wire/packet.ts';
import type { KeptPacket } from '../wire/packet-pool.ts';

export interface DataService {
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
  /** The sink takes datagrams again. */
  onSinkWritable(): void;
  /** The link has no channel any more. */
  onDown(): void;
}

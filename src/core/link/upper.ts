/**
 * What links tell the layers above them.
 *
 * Types only; the daemon (core/node/node.ts) is there.
 */

import type { Packet } from '../wire/packet.ts';
import type { KeptPacket } from '../wire/packet-pool.ts';
import type { EncodedPacket } from './send-queue.ts';

/** What a link tells the layers above. Calls come in the order of events, within the turn. */
export interface Upper<L> {
  /** A data packet arrived. Valid during the call only. */
  onPacket(packet: Packet, link: L): void;
  /** A control frame arrived: its body is `bytes[start..end)`. */
  onControl(link: L, type: number, bytes: Uint8Array, start: number, end: number): void;
  onLinkState(link: L, up: boolean): void;
  /** Latency or loss were measured anew. */
  onLinkEstimate(link: L): void;
  /** A congested service has room again. */
  onLinkWritable(link: L): void;
  /** The link went down, or is left, with this packet undelivered; the callee owns it now. */
  onHandBack(kept: KeptPacket, link: L): void;
  /** Routes have another way for the packet. */
  isElsewhere(kept: KeptPacket, link: L): boolean;
  /** The flow of `packet`, in transit, has a long queue in front of this link; see SendQueue. */
  onLong?(packet: EncodedPacket, rate: number, dropped: number): void;
}

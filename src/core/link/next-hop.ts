/**
 * Links as those see them who send packets over them: as much as that needs.
 *
 * Types only; Link and LinkTable are what daemons have there.
 */

import type { NodeId } from '../base/ids.ts';
import type { Offered } from '../wire/drop.ts';
import type { Packet } from '../wire/packet.ts';
import type { KeptPacket } from '../wire/packet-pool.ts';

/** A neighbour, and the link to it. */
export interface NextHop {
  readonly node: NodeId;
  readonly up: boolean;
  /** Sends `packet` by its link service, or refuses it. `@hot` */
  offer(packet: Packet): Offered;
  /** True while some sender over that link service was told to wait. */
  congested(service: number): boolean;
  /** True while the flow of `packet`, which begins here, is to wait. */
  holds(packet: Packet): boolean;
  /** Of what waits, bytes of the flow of `packet`, with their bookkeeping. */
  queueBytesOf(packet: Packet): number;
  /** Takes what waits here of the flow of `packet`; `take` owns it. */
  recall(packet: Packet, take: (kept: KeptPacket) => void): void;
}

export interface Neighbours {
  of(node: NodeId): NextHop | undefined;
  /** All links, up or not, in the order in which they were made. */
  all(): Iterable<NextHop>;
}

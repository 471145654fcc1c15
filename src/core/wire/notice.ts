/**
 * What a node on the way tells the source of a flow over reliable links: its queue here is long, or
 * packets of it were dropped; and what its destination does, where nobody listens. WIRE.md section
 * 6.
 *
 * A hint: it names the flow and quotes the packet that it is about, so that only who has seen the
 * flow can make one.
 */

import { getU16, getU32, putU16, putU32 } from '../base/bytes.ts';
import { isGroupId, type NodeId, type Port } from '../base/ids.ts';
import { DropReason } from './drop.ts';
import {
  KIND_ECHO,
  KIND_GROUP,
  KIND_NOTICE,
  KIND_PROBED,
  KIND_ROUTE,
  KIND_STREAM,
} from './packet.ts';

/**
 * Its part of a queue is long; packets of it found no room; packets of it waited for a route for
 * too long; its destination says that nobody listens at the port, that packets of it were sealed
 * for a run that is over, or that who listens takes only what proves where it comes from.
 */
export const NOTICE_LONG = 1,
  NOTICE_FULL = 2,
  NOTICE_NO_ROUTE = 3,
  NOTICE_PORT_CLOSED = 4,
  NOTICE_KEY_GONE = 5,
  NOTICE_UNPROVED = 6;

const REASON = 0,
  SPARE = 1,
  DROPPED = 2,
  DESTINATION = 4,
  SOURCE_PORT = 8,
  DESTINATION_PORT = 10,
  RATE = 12,
  QUOTE = 16;
/** From the beginning of a packet's payload. */
export const QUOTE_BYTES = 8;
export const NOTICE_BYTES = QUOTE + QUOTE_BYTES;
export const NOTICE_LAYOUT = {
  reason: [REASON, 1],
  reserved: [SPARE, 1],
  dropped: [DROPPED, 2],
  destination: [DESTINATION, 4],
  'source port': [SOURCE_PORT, 2],
  'destination port': [DESTINATION_PORT, 2],
  rate: [RATE, 4],
  quote: [QUOTE, QUOTE_BYTES],
} as const;

export interface Notice {
  reason: number;
  /** Packets of the flow that were dropped since the last notice, u16. */
  dropped: number;
  destination: NodeId;
  sourcePort: Port;
  destinationPort: Port;
  /**
   * Bytes a second of the flow that left the queue lately, overlay headers included; 0 = not known.
   */
  rate: number;
  quoteHigh: number;
  quoteLow: number;
}

export function makeNotice(): Notice {
  return {
    reason: 0,
    dropped: 0,
    destination: 0,
    sourcePort: 0,
    destinationPort: 0,
    rate: 0,
    quoteHigh: 0,
    quoteLow: 0,
  };
}

export function decodeNotice(b: Uint8Array, start: number, end: number, out: Notice): DropReason {
  if (end - start !== NOTICE_BYTES) return DropReason.noticeMalformed;
  out.reason = b[start + REASON]!;
  out.dropped = getU16(b, start + DROPPED);
  out.destination = getU32(b, start + DESTINATION);
  out.sourcePort = getU16(b, start + SOURCE_PORT);
  out.destinationPort = getU16(b, start + DESTINATION_PORT);
  out.rate = getU32(b, start + RATE);
  out.quoteHigh = getU32(b, start + QUOTE);
  out.quoteLow = getU32(b, start + QUOTE + 4);
  return out.reason < NOTICE_LONG || out.reason > NOTICE_UNPROVED || b[start + SPARE] !== 0
    ? DropReason.noticeMalformed
    : DropReason.none;
}

export function encodeNotice(notice: Notice, b: Uint8Array, at: number): void {
  b[at + REASON] = notice.reason;
  b[at + SPARE] = 0;
  putU16(b, at + DROPPED, Math.min(0xffff, notice.dropped));
  putU32(b, at + DESTINATION, notice.destination);
  putU16(b, at + SOURCE_PORT, notice.sourcePort);
  putU16(b, at + DESTINATION_PORT, notice.destinationPort);
  putU32(b, at + RATE, Math.min(0xffff_ffff, Math.round(notice.rate)));
  putU32(b, at + QUOTE, notice.quoteHigh);
  putU32(b, at + QUOTE + 4, notice.quoteLow);
}

/** Whether the source of a flow is told that its queue on the way is long. `@hot` */
export function isSlowed(kind: number, destination: NodeId): boolean {
  return isTold(kind) || (kind === KIND_GROUP && isGroupId(destination));
}

/**
 * Whether notices say of packets of this kind that they are lost: streams are marked, what routers
 * say to each other is not slowed, and a group has no one destination.
 */
export function isTold(kind: number): boolean {
  return (
    kind !== KIND_STREAM &&
    kind !== KIND_PROBED &&
    kind !== KIND_ROUTE &&
    kind !== KIND_ECHO &&
    kind !== KIND_GROUP &&
    kind !== KIND_NOTICE
  );
}

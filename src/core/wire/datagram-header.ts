/**
 * The header in front of every datagram: type, receiver index, packet number. WIRE.md section 1.
 *
 * The receiver chose the index, so it finds its channel by one look-up of a number; the packet
 * number is the nonce of a sealed datagram and never repeats on a channel. `@hot`
 */

import { getU32, getU48, putU32, putU48 } from '../base/bytes.ts';
import { DropReason } from './drop.ts';
import { DATAGRAM_BYTES_MAX, DATAGRAM_HEADER_BYTES } from './sizes.ts';

export const DATAGRAM_INIT = 0x11;
export const DATAGRAM_RESPONSE = 0x12;
/** Why an INIT, sealed or not, is not answered. */
export const DATAGRAM_REFUSAL = 0x13;
export const DATAGRAM_DATA = 0x14;
/** The same on sealed links, and what only those have. */
export const DATAGRAM_SEALED_INIT = 0x21;
export const DATAGRAM_SEALED_RESPONSE = 0x22;
export const DATAGRAM_COOKIE = 0x23;
export const DATAGRAM_SEALED_DATA = 0x24;
export const DATAGRAM_KEY_REQUEST = 0x25;
export const DATAGRAM_KEY_ANSWER = 0x26;

export function isDatagramType(type: number): boolean {
  return (
    type === DATAGRAM_SEALED_DATA ||
    (type >= DATAGRAM_INIT && type <= DATAGRAM_DATA) ||
    (type >= DATAGRAM_SEALED_INIT && type <= DATAGRAM_KEY_ANSWER)
  );
}

/** Of ordinary datagrams. */
export const PACKET_NUMBER_MAX = 0x7fff_ffff_ffff;
/**
 * Size probes are numbered from here on, apart from all else: one that does not fit its path leaves
 * no gap that would count as loss.
 */
export const PROBE_NUMBER_MIN = 0x8000_0000_0000;

const TYPE = 0,
  RESERVED = 1,
  RECEIVER = 2,
  NUMBER = 6;
export const DATAGRAM_HEADER_LAYOUT = {
  type: [TYPE, 1],
  reserved: [RESERVED, 1],
  'receiver index': [RECEIVER, 4],
  'packet number': [NUMBER, 6],
} as const;

export interface DatagramHeader {
  type: number;
  /** u32. In an INIT and a KEY_REQUEST the sender's own index, to which the answer goes. */
  receiver: number;
  /** u48. In a handshake, the attempt. */
  number: number;
}

/** Whether the datagram in `b`, which is of this daemon's making, is a size probe. `@hot` */
export function isSizeProbe(b: Uint8Array): boolean {
  return (b[NUMBER]! & 0x80) !== 0;
}

/** The number of a datagram whose header was decoded. */
export function numberAt(b: Uint8Array): number {
  return getU48(b, NUMBER);
}

/** Decodes into `out`; leaves it undefined on a non-zero result. */
export function decodeDatagramHeader(
  b: Uint8Array,
  length: number,
  out: DatagramHeader,
): DropReason {
  if (length < DATAGRAM_HEADER_BYTES) return DropReason.datagramTooShort;
  if (length > DATAGRAM_BYTES_MAX) return DropReason.datagramTooLong;
  const type = b[TYPE]!;
  if (!isDatagramType(type)) return DropReason.datagramType;
  if (b[RESERVED] !== 0) return DropReason.reservedNotZero;
  out.type = type;
  out.receiver = getU32(b, RECEIVER);
  out.number = getU48(b, NUMBER);
  return DropReason.none;
}

export function encodeDatagramHeader(
  type: number,
  receiver: number,
  number: number,
  b: Uint8Array,
): void {
  b[TYPE] = type;
  b[RESERVED] = 0;
  putU32(b, RECEIVER, receiver);
  putU48(b, NUMBER, number);
}

/**
 * Echo: the daemon-to-daemon probe behind `ping` and `trace`. WIRE.md section 7.
 *
 * A request is answered by its destination (reply) or by the node where its ttl ran out (expired).
 * The answer repeats id and sequence and says how many hops the request had left.
 */

import { getU16, getU32, putU16, putU32 } from '../base/bytes.ts';
import { DropReason } from './drop.ts';

export const ECHO_REQUEST = 1;
export const ECHO_REPLY = 2;
export const ECHO_EXPIRED = 3;

const OPERATION = 0,
  TTL = 1,
  SEQUENCE = 2,
  ID = 4;
export const ECHO_HEAD_BYTES = 8;
export const ECHO_LAYOUT = {
  operation: [OPERATION, 1],
  'ttl left': [TTL, 1],
  sequence: [SEQUENCE, 2],
  id: [ID, 4],
} as const;

export interface Echo {
  operation: number;
  /** In an answer: the ttl with which the request arrived. 0 in a request. */
  ttlLeft: number;
  sequence: number;
  id: number;
}

export function decodeEcho(b: Uint8Array, start: number, end: number, out: Echo): DropReason {
  if (end - start < ECHO_HEAD_BYTES) return DropReason.echoMalformed;
  out.operation = b[start + OPERATION]!;
  out.ttlLeft = b[start + TTL]!;
  out.sequence = getU16(b, start + SEQUENCE);
  out.id = getU32(b, start + ID);
  return out.operation >= ECHO_REQUEST && out.operation <= ECHO_EXPIRED
    ? DropReason.none
    : DropReason.echoMalformed;
}

export function encodeEcho(e: Echo, b: Uint8Array, at: number): number {
  b[at + OPERATION] = e.operation;
  b[at + TTL] = e.ttlLeft;
  putU16(b, at + SEQUENCE, e.sequence);
  putU32(b, at + ID, e.id);
  return at + ECHO_HEAD_BYTES;
}

/**
 * What stands between the overlay header and the payload of a packet that is sealed from its source
 * to its destination. WIRE.md section 15.
 *
 * Names the keys of both ends and counts; a tag follows the payload. Routers read none of it.
 */

import { assert } from '../base/assert.ts';
import { getU48, putU48 } from '../base/bytes.ts';
import { EPOCH_BYTES, epochAt, putEpoch } from './record.ts';
import {
  OVERLAY_HEADER_BYTES,
  PACKET_BYTES_MAX,
  PAYLOAD_BYTES_MAX,
  SEAL_ROOM_BYTES,
  TAG_BYTES,
} from './sizes.ts';

const SOURCE_EPOCH = 0,
  DESTINATION_EPOCH = EPOCH_BYTES,
  COUNTER = 2 * EPOCH_BYTES;
export const SEAL_HEAD_BYTES = COUNTER + 6;
assert(SEAL_HEAD_BYTES === SEAL_ROOM_BYTES, 'the head of a seal fits the room that is left for it');
export const SEAL_HEAD_LAYOUT = {
  'source epoch': [SOURCE_EPOCH, EPOCH_BYTES],
  'destination epoch': [DESTINATION_EPOCH, EPOCH_BYTES],
  counter: [COUNTER, 6],
} as const;

/** What sealing adds to a packet. */
export const SEAL_BYTES = SEAL_HEAD_BYTES + TAG_BYTES;
/** Largest payload of a packet that is sealed. */
export const SEALED_PAYLOAD_BYTES_MAX = PAYLOAD_BYTES_MAX - SEAL_BYTES;
/** A counter is below this: with the link service it makes the number of the seal. */
export const SEAL_COUNTER_MAX = 2 ** 45;
/** In the counter's field: the packet is sealed by AES-256-GCM. */
export const SEAL_BY_AES = 2 ** 47;

/** In front of it in a packet, and with it authenticated. */
export const SEALED_FROM = OVERLAY_HEADER_BYTES + SEAL_HEAD_BYTES;

export interface SealHead {
  /** Name of the source's key, and of the destination's. */
  sourceEpoch: number;
  destinationEpoch: number;
  /** Of the source for this destination and link service; never twice in one run. */
  counter: number;
  /** By AES-256-GCM, not by ChaCha20-Poly1305. */
  aes: boolean;
}

/** The head at `at`; false when the counter is none. */
export function decodeSealHead(b: Uint8Array, at: number, out: SealHead): boolean {
  out.sourceEpoch = epochAt(b, at + SOURCE_EPOCH);
  out.destinationEpoch = epochAt(b, at + DESTINATION_EPOCH);
  const counter = getU48(b, at + COUNTER);
  out.aes = counter >= SEAL_BY_AES;
  out.counter = out.aes ? counter - SEAL_BY_AES : counter;
  return out.counter < SEAL_COUNTER_MAX;
}

export function encodeSealHead(head: SealHead, b: Uint8Array, at: number): void {
  putEpoch(b, at + SOURCE_EPOCH, head.sourceEpoch);
  putEpoch(b, at + DESTINATION_EPOCH, head.destinationEpoch);
  putU48(b, at + COUNTER, head.aes ? head.counter + SEAL_BY_AES : head.counter);
}

/** Bytes of the largest packet before it is sealed. */
export const UNSEALED_PACKET_BYTES_MAX = PACKET_BYTES_MAX - SEAL_BYTES;

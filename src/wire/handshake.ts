/**
 * The bodies of the two handshake datagrams of an unsealed link. WIRE.md section 2.
 *
 * They have the shape of a one-round-trip key exchange (each side names its own receiver index) without
 * keys: who may join is not decided here. A body has one exact length; anything else is malformed.
 */

import { checksum, getU16, getU32, getU48, putU16, putU32, putU48 } from '../base/bytes.ts';
import { isNodeId, type NodeId } from '../base/ids.ts';
import { DropReason } from './drop.ts';
import { DATAGRAM_HEADER_BYTES } from './sizes.ts';

const NODE = 0, PEER = 4, INDEX = 8, INSTANCE = 12, VERSION = 18, CHECK = 20;
export const HANDSHAKE_BODY_BYTES = 24;
export const HANDSHAKE_BYTES = DATAGRAM_HEADER_BYTES + HANDSHAKE_BODY_BYTES;
export const HANDSHAKE_LAYOUT = {
  node: [NODE, 4], peer: [PEER, 4], 'sender index': [INDEX, 4], instance: [INSTANCE, 6], version: [VERSION, 2], check: [CHECK, 4],
} as const;

export const WIRE_VERSION = 1;

export interface Handshake {
  /** Who speaks. */
  node: NodeId;
  /** Whom it means to speak to; 0 in an INIT to an address whose node is not known. */
  peer: NodeId;
  /** The sender's receiver index: what the other side puts into the header of its datagrams. */
  index: number;
  /** u48, drawn at the daemon's start: tells a restarted daemon from a forgetful one. */
  instance: number;
}

/** Decodes the body behind the datagram header. */
export function decodeHandshake(b: Uint8Array, length: number, out: Handshake): DropReason {
  if (length !== HANDSHAKE_BYTES) return DropReason.handshakeMalformed;
  const at = DATAGRAM_HEADER_BYTES;
  const peer = getU32(b, at + PEER);
  out.node = getU32(b, at + NODE);
  if (!isNodeId(out.node) || (peer !== 0 && !isNodeId(peer))) return DropReason.handshakeMalformed;
  if (getU16(b, at + VERSION) !== WIRE_VERSION) return DropReason.handshakeMalformed;
  if (getU32(b, at + CHECK) !== checksum(b, 0, at + CHECK)) return DropReason.checkWrong;
  out.peer = peer;
  out.index = getU32(b, at + INDEX);
  out.instance = getU48(b, at + INSTANCE);
  return DropReason.none;
}

/** Writes the body behind the datagram header, which must be there already: the check covers it. */
export function encodeHandshake(h: Handshake, b: Uint8Array): void {
  const at = DATAGRAM_HEADER_BYTES;
  putU32(b, at + NODE, h.node);
  putU32(b, at + PEER, h.peer);
  putU32(b, at + INDEX, h.index);
  putU48(b, at + INSTANCE, h.instance);
  putU16(b, at + VERSION, WIRE_VERSION);
  putU32(b, at + CHECK, checksum(b, 0, at + CHECK));
}

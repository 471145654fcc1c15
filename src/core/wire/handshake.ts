/**
 * The bodies of the two handshake datagrams of an unsealed link. WIRE.md section 2.
 *
 * They have the shape of a one-round-trip key exchange (each side names its own receiver index)
 * without keys: who may join is not decided here, nor is whether the versions of an INIT suit us. A
 * body has one exact length; anything else is malformed.
 */

import { checksum, getU32, getU48, putU32, putU48 } from '../base/bytes.ts';
import { isNodeId, type NodeId } from '../base/ids.ts';
import { DropReason } from './drop.ts';
import { DATAGRAM_HEADER_BYTES } from './sizes.ts';
import { isVersionRange, putVersions, versionsAt, type VersionRange } from './versions.ts';

const VERSIONS = 0,
  VERSION = 2,
  RESERVED = 3,
  NODE = 4,
  PEER = 8,
  INDEX = 12,
  INSTANCE = 16,
  STARTED = 22,
  CHECK = 28;
export const HANDSHAKE_BODY_BYTES = 32;
/**
 * Where the check is: everything in front of it, header and attempt aside, is equal in copies of
 * one message.
 */
export const HANDSHAKE_CHECK_AT = DATAGRAM_HEADER_BYTES + CHECK;
export const HANDSHAKE_BYTES = DATAGRAM_HEADER_BYTES + HANDSHAKE_BODY_BYTES;
export const HANDSHAKE_LAYOUT = {
  min: [VERSIONS, 1],
  max: [VERSIONS + 1, 1],
  version: [VERSION, 1],
  reserved: [RESERVED, 1],
  node: [NODE, 4],
  peer: [PEER, 4],
  'sender index': [INDEX, 4],
  instance: [INSTANCE, 6],
  started: [STARTED, 6],
  check: [CHECK, 4],
} as const;

export interface Handshake {
  /** What the sender speaks. */
  versions: VersionRange;
  /** What a RESPONSE chooses of it; 0 in an INIT. */
  version: number;
  /** Who speaks. */
  node: NodeId;
  /** Whom it means to speak to; 0 in an INIT to an address whose node is not known. */
  peer: NodeId;
  /** The sender's receiver index: what the other side puts into the header of its datagrams. */
  index: number;
  /** u48, drawn at the daemon's start: tells a restarted daemon from a forgetful one. */
  instance: number;
  /** When that was, u48, units of 100 us since 1970 by the sender's clock. */
  started: number;
}

/** Decodes the body behind the datagram header. */
export function decodeHandshake(b: Uint8Array, length: number, out: Handshake): DropReason {
  if (length !== HANDSHAKE_BYTES) return DropReason.handshakeMalformed;
  const at = DATAGRAM_HEADER_BYTES;
  const peer = getU32(b, at + PEER);
  out.node = getU32(b, at + NODE);
  if (!isNodeId(out.node) || (peer !== 0 && !isNodeId(peer))) return DropReason.handshakeMalformed;
  out.versions = versionsAt(b, at + VERSIONS);
  out.version = b[at + VERSION]!;
  if (!isVersionRange(out.versions)) return DropReason.handshakeMalformed;
  if (b[at + RESERVED] !== 0) return DropReason.reservedNotZero;
  if (getU32(b, at + CHECK) !== checksum(b, 0, at + CHECK)) return DropReason.checkWrong;
  out.peer = peer;
  out.index = getU32(b, at + INDEX);
  out.instance = getU48(b, at + INSTANCE);
  out.started = getU48(b, at + STARTED);
  return DropReason.none;
}

/** Writes the body behind the datagram header, which must be there already: the check covers it. */
export function encodeHandshake(h: Handshake, b: Uint8Array): void {
  const at = DATAGRAM_HEADER_BYTES;
  putVersions(b, at + VERSIONS, h.versions);
  b[at + VERSION] = h.version;
  b[at + RESERVED] = 0;
  putU32(b, at + NODE, h.node);
  putU32(b, at + PEER, h.peer);
  putU32(b, at + INDEX, h.index);
  putU48(b, at + INSTANCE, h.instance);
  putU48(b, at + STARTED, h.started);
  putU32(b, at + CHECK, checksum(b, 0, at + CHECK));
}

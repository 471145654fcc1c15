/**
 * Signed records: what nodes tell everybody beside their links, each flooded on its own. WIRE.md
 * section 5.
 *
 * A record is known by its origin, kind and page, which make its *key*, and the one with the
 * highest sequence counts. The head and the proof are common to all kinds; what is between is the
 * kind's. So far there is one, the node record: the key by which others seal for a node. Who may
 * sign is judged in core/routing/signed-advertisement.ts.
 */

import { copyOf, getU32, getU48, putU32, putU48 } from '../base/bytes.ts';
import { isNodeId, type NodeId } from '../base/ids.ts';
import { CERTIFICATE_HASH_BYTES, KEY_BYTES, SIGNATURE_BYTES } from './certificate.ts';
import { DropReason } from './drop.ts';
import type { Proof } from './link-state.ts';

/** A node's key of the epoch. */
export const RECORD_NODE = 1;

const KIND = 0,
  PAGE = 1,
  ORIGIN = 2,
  SEQUENCE = 6,
  ISSUED = 12,
  CERTIFICATE = 18;
export const RECORD_HEAD_BYTES = CERTIFICATE + CERTIFICATE_HASH_BYTES;
export const RECORD_HEAD_LAYOUT = {
  kind: [KIND, 1],
  page: [PAGE, 1],
  origin: [ORIGIN, 4],
  sequence: [SEQUENCE, 6],
  issued: [ISSUED, 6],
  certificate: [CERTIFICATE, CERTIFICATE_HASH_BYTES],
} as const;

const INSTANCE = 0,
  EPOCH = 6,
  KEY = EPOCH + 3;
/** Bytes of an epoch's name. */
export const EPOCH_BYTES = 3;
export const NODE_RECORD_BYTES = KEY + KEY_BYTES;
export const NODE_RECORD_LAYOUT = {
  instance: [INSTANCE, 6],
  epoch: [EPOCH, EPOCH_BYTES],
  key: [KEY, KEY_BYTES],
} as const;

const ENTRY_ORIGIN = 0,
  ENTRY_KIND = 4,
  ENTRY_PAGE = 5,
  ENTRY_SEQUENCE = 6;
/** Of an acknowledgement or a digest of records. */
export const RECORD_ENTRY_BYTES = 12;
export const RECORD_ENTRY_LAYOUT = {
  origin: [ENTRY_ORIGIN, 4],
  kind: [ENTRY_KIND, 1],
  page: [ENTRY_PAGE, 1],
  sequence: [ENTRY_SEQUENCE, 6],
} as const;

/** The key that others seal for a node with. */
export interface NodeStatement {
  /** u48, of the run that has its secret, as in advertisements. */
  readonly instance: number;
  /** u24, drawn at the daemon's start and counted up with each epoch: names the key in packets. */
  readonly epoch: number;
  /** X25519, 32 bytes. */
  readonly key: Uint8Array;
}

export interface NamingProof extends Proof {
  readonly certificate: Uint8Array;
}

export interface SignedRecord {
  /** Of origin, kind and page: `recordKey`. */
  readonly id: number;
  readonly kind: number;
  readonly origin: NodeId;
  /** u48, grows with every change. */
  readonly sequence: number;
  readonly proof: NamingProof;
  readonly node: NodeStatement;
  /** What was received, or built by us: flooded as it is. */
  readonly bytes: Uint8Array;
}

/** What is in front of every record. */
export interface RecordHead {
  readonly kind: number;
  /** 0..255. */
  readonly page: number;
  readonly origin: NodeId;
  readonly sequence: number;
}

/** Writes the head of a record to the beginning of `b`. */
export function putRecordHead(b: Uint8Array, head: RecordHead, proof: NamingProof | null): void {
  b[KIND] = head.kind;
  b[PAGE] = head.page;
  putU32(b, ORIGIN, head.origin);
  putU48(b, SEQUENCE, head.sequence);
  if (proof === null) return;
  putU48(b, ISSUED, proof.issuedS);
  b.set(proof.certificate, CERTIFICATE);
}

/** The head of a record at `at`; its origin may be no node id. */
export function recordHeadAt(b: Uint8Array, at: number): RecordHead {
  return {
    kind: b[at + KIND]!,
    page: b[at + PAGE]!,
    origin: getU32(b, at + ORIGIN),
    sequence: getU48(b, at + SEQUENCE),
  };
}

/** The proof in the head of a record at `at`. */
export function recordProofAt(b: Uint8Array, at: number): NamingProof {
  return {
    issuedS: getU48(b, at + ISSUED),
    certificate: copyOf(b, at + CERTIFICATE, at + RECORD_HEAD_BYTES),
    whole: null,
  };
}

/** A number for origin, kind and page, below 2^53. */
export function recordKey(origin: NodeId, kind: number, page = 0): number {
  return (kind * 0x100 + page) * 0x1_0000_0000 + origin;
}

export function originOfKey(key: number): NodeId {
  return key % 0x1_0000_0000;
}

/**
 * The record in `b[start..end)`, or the reason why there is none. A kind that is not known is
 * malformed: nobody could judge it.
 */
export function decodeRecord(b: Uint8Array, start: number, end: number): SignedRecord | DropReason {
  const content = start + RECORD_HEAD_BYTES;
  if (end - start !== RECORD_HEAD_BYTES + NODE_RECORD_BYTES + SIGNATURE_BYTES)
    return DropReason.recordMalformed;
  const { kind, page, origin, sequence } = recordHeadAt(b, start);
  if (kind !== RECORD_NODE || page !== 0 || !isNodeId(origin)) return DropReason.recordMalformed;
  return {
    id: recordKey(origin, kind, page),
    kind,
    origin,
    sequence,
    proof: recordProofAt(b, start),
    node: {
      instance: getU48(b, content + INSTANCE),
      epoch: epochAt(b, content + EPOCH),
      key: copyOf(b, content + KEY, content + NODE_RECORD_BYTES),
    },
    bytes: copyOf(b, start, end),
  };
}

/**
 * Builds a node record of our own. `sign` gets everything in front of the signature and returns the
 * 64 bytes of it.
 */
export function makeNodeRecord(
  origin: NodeId,
  sequence: number,
  proof: NamingProof,
  node: NodeStatement,
  sign: (part: Uint8Array) => Uint8Array,
): SignedRecord {
  const signatureAt = RECORD_HEAD_BYTES + NODE_RECORD_BYTES;
  const b = new Uint8Array(signatureAt + SIGNATURE_BYTES);
  putRecordHead(b, { kind: RECORD_NODE, page: 0, origin, sequence }, proof);
  putU48(b, RECORD_HEAD_BYTES + INSTANCE, node.instance);
  putEpoch(b, RECORD_HEAD_BYTES + EPOCH, node.epoch);
  b.set(node.key, RECORD_HEAD_BYTES + KEY);
  b.set(sign(b.subarray(0, signatureAt)), signatureAt);
  return {
    id: recordKey(origin, RECORD_NODE),
    kind: RECORD_NODE,
    origin,
    sequence,
    proof,
    node,
    bytes: b,
  };
}

export function epochAt(b: Uint8Array, at: number): number {
  return (b[at]! << 16) | (b[at + 1]! << 8) | b[at + 2]!;
}

export function putEpoch(b: Uint8Array, at: number, epoch: number): void {
  b[at] = epoch >>> 16;
  b[at + 1] = epoch >>> 8;
  b[at + 2] = epoch;
}

export function putRecordEntry(b: Uint8Array, at: number, key: number, sequence: number): number {
  const kindAndPage = Math.floor(key / 0x1_0000_0000);
  putU32(b, at + ENTRY_ORIGIN, originOfKey(key));
  b[at + ENTRY_KIND] = kindAndPage >>> 8;
  b[at + ENTRY_PAGE] = kindAndPage;
  putU48(b, at + ENTRY_SEQUENCE, sequence);
  return at + RECORD_ENTRY_BYTES;
}

export function recordEntryKey(b: Uint8Array, at: number): number {
  return recordKey(getU32(b, at + ENTRY_ORIGIN), b[at + ENTRY_KIND]!, b[at + ENTRY_PAGE]!);
}

export function recordEntrySequence(b: Uint8Array, at: number): number {
  return getU48(b, at + ENTRY_SEQUENCE);
}

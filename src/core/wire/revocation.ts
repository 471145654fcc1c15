/**
 * The frames by which neighbours hand on revocation lists: what I hold, which parts I miss, and a
 * part. WIRE.md section 12.
 *
 * Owns bytes only; the list inside is certificate.ts's. A list is cut at fixed places, so that a
 * part is named by its index and what is missing by one bit each. Carried on sealed links,
 * therefore without a check. Decoders never throw.
 */

import {
  copyBytes,
  copyOf,
  getU16,
  getU32,
  getU48,
  hex,
  putU16,
  putU32,
  putU48,
} from '../base/bytes.ts';
import { assert } from '../base/assert.ts';
import {
  AUTHORITY_ID_BYTES,
  REVOCATIONS_BYTES_MAX,
  REVOCATIONS_LAYOUT,
  SIGNATURE_BYTES,
} from './certificate.ts';
import { DropReason } from './drop.ts';
import { FRAME_BODY_BYTES_MAX } from './sizes.ts';

const FLAGS = 0;
export const REVOCATION_OFFER_HEAD_BYTES = 1;
export const REVOCATION_OFFER_HEAD_LAYOUT = { flags: [FLAGS, 1] } as const;
/** The sender does not know yet that the receiver has what is offered, and wants to hear. */
export const REVOCATION_OFFER_ASKS = 0x01;

const AUTHORITY = 0,
  NUMBER = 16,
  LENGTH = 22,
  MISSING = 22,
  INDEX = 24;
export const REVOCATION_ENTRY_BYTES = 24;
export const REVOCATION_ENTRY_LAYOUT = {
  authority: [AUTHORITY, AUTHORITY_ID_BYTES],
  number: [NUMBER, 6],
  length: [LENGTH, 2],
} as const;
/** Most entries of one offer: one for each authority that may be trusted. */
export const REVOCATION_ENTRIES_MAX = 8;

export const REVOCATION_WANT_BYTES = 26;
export const REVOCATION_WANT_LAYOUT = {
  authority: [AUTHORITY, AUTHORITY_ID_BYTES],
  number: [NUMBER, 6],
  missing: [MISSING, 4],
} as const;

export const REVOCATION_PART_HEAD_BYTES = 25;
export const REVOCATION_PART_HEAD_LAYOUT = {
  authority: [AUTHORITY, AUTHORITY_ID_BYTES],
  number: [NUMBER, 6],
  length: [LENGTH, 2],
  index: [INDEX, 1],
} as const;
/** Bytes of a list in each part but its last. */
export const REVOCATION_PART_BYTES = 1376;
/** Parts of the longest list. */
export const REVOCATION_PARTS_MAX = Math.ceil(REVOCATIONS_BYTES_MAX / REVOCATION_PART_BYTES);
/** A list without a serial. */
const LIST_BYTES_MIN = REVOCATIONS_LAYOUT.authority[0] + AUTHORITY_ID_BYTES + SIGNATURE_BYTES;

assert(
  REVOCATION_PART_HEAD_BYTES + REVOCATION_PART_BYTES <= FRAME_BODY_BYTES_MAX,
  'a part fits a datagram',
);
assert(REVOCATION_PARTS_MAX < 32, 'what is missing fits a u32');

/** Which list: an authority's, by its number. */
export interface ListName {
  /** Id of the authority in hexadecimal digits. */
  readonly authority: string;
  /** u48. */
  readonly number: number;
}

/** A list that somebody says it holds. */
export interface RevocationEntry extends ListName {
  /** Of the whole list, bytes. */
  readonly length: number;
}

export interface RevocationOffer {
  readonly asks: boolean;
  /** 1..REVOCATION_ENTRIES_MAX, ascending by authority. */
  readonly entries: readonly RevocationEntry[];
}

export interface RevocationWant extends ListName {
  /** Bit i: part i. Never 0. */
  readonly missing: number;
}

export interface RevocationPart extends RevocationEntry {
  readonly index: number;
  /** A copy. */
  readonly bytes: Uint8Array;
}

/** Into how many parts a list of `length` bytes is cut. */
export function partsOf(length: number): number {
  return Math.ceil(length / REVOCATION_PART_BYTES);
}

/** Every part of a list of `length` bytes. */
export function allParts(length: number): number {
  return 2 ** partsOf(length) - 1;
}

/* ------------------------------------------------------------------ offer */

export function decodeRevocationOffer(
  b: Uint8Array,
  start: number,
  end: number,
): RevocationOffer | DropReason {
  const bytes = end - start - REVOCATION_OFFER_HEAD_BYTES;
  const count = bytes / REVOCATION_ENTRY_BYTES;
  if (bytes <= 0 || !Number.isInteger(count) || count > REVOCATION_ENTRIES_MAX)
    return DropReason.revocationMalformed;
  const flags = b[start + FLAGS]!;
  if ((flags & ~REVOCATION_OFFER_ASKS) !== 0) return DropReason.reservedNotZero;
  const entries: RevocationEntry[] = [];
  let previous = '';
  for (let at = start + REVOCATION_OFFER_HEAD_BYTES; at < end; at += REVOCATION_ENTRY_BYTES) {
    const entry = entryAt(b, at);
    if (!isListLength(entry.length) || entry.authority <= previous)
      return DropReason.revocationMalformed;
    entries.push(entry);
    previous = entry.authority;
  }
  return { asks: flags !== 0, entries };
}

export function revocationOfferBytes(entries: number): number {
  return REVOCATION_OFFER_HEAD_BYTES + entries * REVOCATION_ENTRY_BYTES;
}

/** Writes an offer's body; `lists` ascend by authority. */
export function encodeRevocationOffer(
  asks: boolean,
  lists: readonly {
    readonly authority: Uint8Array;
    readonly number: number;
    readonly bytes: Uint8Array;
  }[],
  b: Uint8Array,
  at: number,
): void {
  b[at + FLAGS] = asks ? REVOCATION_OFFER_ASKS : 0;
  lists.forEach((list, i) =>
    putEntry(
      b,
      at + REVOCATION_OFFER_HEAD_BYTES + i * REVOCATION_ENTRY_BYTES,
      list.authority,
      list.number,
      list.bytes.length,
    ),
  );
}

/* ------------------------------------------------------------------ want */

export function decodeRevocationWant(
  b: Uint8Array,
  start: number,
  end: number,
): RevocationWant | DropReason {
  if (end - start !== REVOCATION_WANT_BYTES) return DropReason.revocationMalformed;
  const missing = getU32(b, start + MISSING);
  if (missing === 0 || missing >= 2 ** REVOCATION_PARTS_MAX) return DropReason.revocationMalformed;
  return { ...nameAt(b, start), missing };
}

export function encodeRevocationWant(
  { authority, number, missing }: RevocationWant,
  b: Uint8Array,
  at: number,
): void {
  for (let i = 0; i < AUTHORITY_ID_BYTES; i += 1)
    b[at + AUTHORITY + i] = parseInt(authority.slice(2 * i, 2 * i + 2), 16);
  putU48(b, at + NUMBER, number);
  putU32(b, at + MISSING, missing);
}

/* ------------------------------------------------------------------ part */

export function decodeRevocationPart(
  b: Uint8Array,
  start: number,
  end: number,
): RevocationPart | DropReason {
  if (end - start < REVOCATION_PART_HEAD_BYTES) return DropReason.revocationMalformed;
  const entry = entryAt(b, start);
  const index = b[start + INDEX]!;
  if (!isListLength(entry.length) || index >= partsOf(entry.length))
    return DropReason.revocationMalformed;
  const from = start + REVOCATION_PART_HEAD_BYTES;
  if (end - from !== partBytes(entry.length, index)) return DropReason.revocationMalformed;
  return { ...entry, index, bytes: copyOf(b, from, end) };
}

/** Length of the body that carries part `index` of a list of `length` bytes. */
export function revocationPartFrameBytes(length: number, index: number): number {
  return REVOCATION_PART_HEAD_BYTES + partBytes(length, index);
}

/** Writes the body that carries part `index` of the list `bytes`. */
export function encodeRevocationPart(
  authority: Uint8Array,
  number: number,
  bytes: Uint8Array,
  index: number,
  b: Uint8Array,
  at: number,
): void {
  putEntry(b, at, authority, number, bytes.length);
  b[at + INDEX] = index;
  const from = index * REVOCATION_PART_BYTES;
  copyBytes(bytes, from, from + partBytes(bytes.length, index), b, at + REVOCATION_PART_HEAD_BYTES);
}

/* ------------------------------------------------------------------ shared */

function partBytes(length: number, index: number): number {
  return Math.min(REVOCATION_PART_BYTES, length - index * REVOCATION_PART_BYTES);
}

/** What lists have; whether it is whole serials and subjects is seen when it is here. */
function isListLength(length: number): boolean {
  return length >= LIST_BYTES_MIN && length <= REVOCATIONS_BYTES_MAX;
}

function nameAt(b: Uint8Array, at: number): ListName {
  return {
    authority: hex(b.subarray(at + AUTHORITY, at + AUTHORITY + AUTHORITY_ID_BYTES)),
    number: getU48(b, at + NUMBER),
  };
}

function entryAt(b: Uint8Array, at: number): RevocationEntry {
  return { ...nameAt(b, at), length: getU16(b, at + LENGTH) };
}

function putEntry(
  b: Uint8Array,
  at: number,
  authority: Uint8Array,
  number: number,
  length: number,
): void {
  b.set(authority, at + AUTHORITY);
  putU48(b, at + NUMBER, number);
  putU16(b, at + LENGTH, length);
}

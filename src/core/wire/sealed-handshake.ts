/**
 * The handshake datagrams of a sealed link: INIT and RESPONSE around a Noise IK message, the cookie
 * that a busy daemon asks for, and the question for a peer's key. WIRE.md section 2.
 *
 * INIT and RESPONSE have two forms, told apart by their length: one with room for groups and, in an
 * INIT, names of pre-shared keys, and the plain one, which every build reads. Every form has one
 * exact length, and no answer is longer than what it answers. What is inside the Noise messages is
 * here too, as payloads; the cryptography is core/link/sealed-handshaker.ts's.
 */

import { assert } from '../base/assert.ts';
import { getU16, getU32, getU48, putU16, putU32, putU48 } from '../base/bytes.ts';
import { isNodeId, type NodeId } from '../base/ids.ts';
import { CERTIFICATE_BYTES_MAX, KEY_BYTES, PLAIN_CERTIFICATE_BYTES_MAX } from './certificate.ts';
import { DropReason } from './drop.ts';
import { REFUSAL_BYTES } from './refusal.ts';
import { DATAGRAM_HEADER_BYTES } from './sizes.ts';
import {
  INIT_FROZEN_BYTES,
  isVersionRange,
  putVersions,
  versionsAt,
  type VersionRange,
} from './versions.ts';

/** Of a Noise IK message over its payload: e, sealed s and a tag; e and a tag. */
export const NOISE_INIT_EXTRA = 96;
export const NOISE_RESPONSE_EXTRA = 48;
export const MAC_BYTES = 16;
export const COOKIE_BYTES = 16;

const STAMP = 0,
  INDEX = 6,
  INSTANCE = 10,
  STARTED = 16,
  CONTINUES = 22,
  PEER = 26,
  PRESHARED = 30,
  CERTIFICATE_LENGTH = 38,
  INIT_CERTIFICATE = 40;
export const SEALED_INIT_LAYOUT = {
  stamp: [STAMP, 6],
  'sender index': [INDEX, 4],
  instance: [INSTANCE, 6],
  started: [STARTED, 6],
  continues: [CONTINUES, 4],
  peer: [PEER, 4],
  'pre-shared keys': [PRESHARED, 8],
  'certificate bytes': [CERTIFICATE_LENGTH, 2],
  certificate: [INIT_CERTIFICATE, CERTIFICATE_BYTES_MAX],
} as const;
const R_VERSIONS = 0,
  R_VERSION = 2,
  R_RESERVED = 3,
  R_INDEX = 4,
  R_INSTANCE = 8,
  R_STARTED = 14,
  R_CONTINUES = 20,
  R_CERTIFICATE_LENGTH = 24,
  R_CERTIFICATE = 26;
export const SEALED_RESPONSE_LAYOUT = {
  min: [R_VERSIONS, 1],
  max: [R_VERSIONS + 1, 1],
  version: [R_VERSION, 1],
  reserved: [R_RESERVED, 1],
  'sender index': [R_INDEX, 4],
  instance: [R_INSTANCE, 6],
  started: [R_STARTED, 6],
  continues: [R_CONTINUES, 4],
  'certificate bytes': [R_CERTIFICATE_LENGTH, 2],
  certificate: [R_CERTIFICATE, CERTIFICATE_BYTES_MAX],
} as const;

/** In the plain form the certificate takes the place of the names of pre-shared keys. */
const PLAIN_SHIFT = CERTIFICATE_LENGTH - PRESHARED;
const INIT_PAYLOAD_BYTES = INIT_CERTIFICATE - PLAIN_SHIFT + PLAIN_CERTIFICATE_BYTES_MAX,
  WIDE_INIT_PAYLOAD_BYTES = INIT_CERTIFICATE + CERTIFICATE_BYTES_MAX;
const RESPONSE_PAYLOAD_BYTES = R_CERTIFICATE + PLAIN_CERTIFICATE_BYTES_MAX,
  WIDE_RESPONSE_PAYLOAD_BYTES = R_CERTIFICATE + CERTIFICATE_BYTES_MAX;
/**
 * The Noise message begins behind what is frozen of an INIT, and behind the header of a RESPONSE,
 * and ends here; MACs follow.
 */
export const INIT_NOISE_START = INIT_FROZEN_BYTES;
export const INIT_NOISE_END = INIT_NOISE_START + NOISE_INIT_EXTRA + INIT_PAYLOAD_BYTES;
const WIDE_INIT_NOISE_END = INIT_NOISE_START + NOISE_INIT_EXTRA + WIDE_INIT_PAYLOAD_BYTES;
export const RESPONSE_NOISE_END =
  DATAGRAM_HEADER_BYTES + NOISE_RESPONSE_EXTRA + RESPONSE_PAYLOAD_BYTES;
const WIDE_RESPONSE_NOISE_END =
  DATAGRAM_HEADER_BYTES + NOISE_RESPONSE_EXTRA + WIDE_RESPONSE_PAYLOAD_BYTES;
export const SEALED_INIT_BYTES = INIT_NOISE_END + 2 * MAC_BYTES;
export const WIDE_INIT_BYTES = WIDE_INIT_NOISE_END + 2 * MAC_BYTES;
export const SEALED_RESPONSE_BYTES = RESPONSE_NOISE_END + MAC_BYTES;
export const WIDE_RESPONSE_BYTES = WIDE_RESPONSE_NOISE_END + MAC_BYTES;

/** Where the Noise message of an INIT of `length` bytes ends; 0: an INIT has no such length. */
export function initNoiseEnd(length: number): number {
  return length === SEALED_INIT_BYTES || length === WIDE_INIT_BYTES ? length - 2 * MAC_BYTES : 0;
}

/** The same of a RESPONSE. */
export function responseNoiseEnd(length: number): number {
  return length === SEALED_RESPONSE_BYTES || length === WIDE_RESPONSE_BYTES
    ? length - MAC_BYTES
    : 0;
}

const C_NONCE = DATAGRAM_HEADER_BYTES;
export const COOKIE_NONCE_BYTES = 24;
export const COOKIE_SEALED_AT = C_NONCE + COOKIE_NONCE_BYTES;
export const COOKIE_DATAGRAM_BYTES = COOKIE_SEALED_AT + COOKIE_BYTES + 16;
export const COOKIE_LAYOUT = {
  nonce: [0, COOKIE_NONCE_BYTES],
  'sealed cookie': [COOKIE_NONCE_BYTES, COOKIE_BYTES + 16],
} as const;

/** A question for a key and its answer have the same length: nobody is amplified. */
export const KEY_NONCE_AT = DATAGRAM_HEADER_BYTES;
export const KEY_NONCE_BYTES = 8;
export const KEY_AT = KEY_NONCE_AT + KEY_NONCE_BYTES;
export const KEY_DATAGRAM_BYTES = KEY_AT + KEY_BYTES;
export const KEY_LAYOUT = {
  nonce: [0, KEY_NONCE_BYTES],
  key: [KEY_NONCE_BYTES, KEY_BYTES],
} as const;

assert(
  Math.max(WIDE_RESPONSE_BYTES, COOKIE_DATAGRAM_BYTES, REFUSAL_BYTES) <= SEALED_INIT_BYTES,
  'no answer of a handshake is longer than its question',
);

/** What one side says in its handshake message, besides its certificate. */
export interface SealedHello {
  /** Units of 100 us since 1970, u48: grows with every INIT of a node. 0 in a RESPONSE. */
  stamp: number;
  /** The sender's receiver index. */
  index: number;
  /** u48, of this run of the daemon, and when it began: u48, units of 100 us since 1970. */
  instance: number;
  started: number;
  /** Receiver index, at the reader, of the channel that gets new keys; 0 for a new channel. */
  continues: number;
  /** Whom an INIT means; 0 for whoever answers. 0 in a RESPONSE. */
  peer: NodeId;
  /** Ids of the pre-shared keys that the sender of an INIT has; in a RESPONSE zeros. */
  preshared: readonly [number, number];
  /**
   * What the sender of a RESPONSE speaks, and what it chose of both; an INIT says the first in the
   * clear, and has no choice: 0.
   */
  versions: VersionRange;
  version: number;
  /** Where the certificate is in the payload. */
  certificateStart: number;
  certificateEnd: number;
}

/**
 * The wide form only where what is said has no place in the plain one: Noise IKpsk2 around it, IK
 * around the other.
 */
export function isWideInit(
  { preshared }: Pick<SealedHello, 'preshared'>,
  certificate: Uint8Array,
): boolean {
  return preshared.some((id) => id !== 0) || certificate.length > PLAIN_CERTIFICATE_BYTES_MAX;
}

export function encodeInitPayload(hello: SealedHello, certificate: Uint8Array): Uint8Array {
  const wide = isWideInit(hello, certificate),
    shift = wide ? 0 : PLAIN_SHIFT;
  const b = new Uint8Array(wide ? WIDE_INIT_PAYLOAD_BYTES : INIT_PAYLOAD_BYTES);
  putU48(b, STAMP, hello.stamp);
  putU32(b, INDEX, hello.index);
  putU48(b, INSTANCE, hello.instance);
  putU48(b, STARTED, hello.started);
  putU32(b, CONTINUES, hello.continues);
  putU32(b, PEER, hello.peer);
  if (wide) {
    putU32(b, PRESHARED, hello.preshared[0]);
    putU32(b, PRESHARED + 4, hello.preshared[1]);
  }
  putU16(b, CERTIFICATE_LENGTH - shift, certificate.length);
  b.set(certificate, INIT_CERTIFICATE - shift);
  return b;
}

export function encodeResponsePayload(hello: SealedHello, certificate: Uint8Array): Uint8Array {
  const b = new Uint8Array(
    certificate.length > PLAIN_CERTIFICATE_BYTES_MAX
      ? WIDE_RESPONSE_PAYLOAD_BYTES
      : RESPONSE_PAYLOAD_BYTES,
  );
  putVersions(b, R_VERSIONS, hello.versions);
  b[R_VERSION] = hello.version;
  putU32(b, R_INDEX, hello.index);
  putU48(b, R_INSTANCE, hello.instance);
  putU48(b, R_STARTED, hello.started);
  putU32(b, R_CONTINUES, hello.continues);
  putU16(b, R_CERTIFICATE_LENGTH, certificate.length);
  b.set(certificate, R_CERTIFICATE);
  return b;
}

export function decodeInitPayload(b: Uint8Array, out: SealedHello): DropReason {
  const wide = b.length === WIDE_INIT_PAYLOAD_BYTES,
    shift = wide ? 0 : PLAIN_SHIFT;
  if (!wide && b.length !== INIT_PAYLOAD_BYTES) return DropReason.handshakeMalformed;
  out.stamp = getU48(b, STAMP);
  out.index = getU32(b, INDEX);
  out.version = 0;
  out.instance = getU48(b, INSTANCE);
  out.started = getU48(b, STARTED);
  out.continues = getU32(b, CONTINUES);
  out.peer = getU32(b, PEER);
  out.preshared = wide ? [getU32(b, PRESHARED), getU32(b, PRESHARED + 4)] : [0, 0];
  if (out.index === 0 || (out.peer !== 0 && !isNodeId(out.peer)))
    return DropReason.handshakeMalformed;
  return placeCertificate(b, INIT_CERTIFICATE - shift, getU16(b, CERTIFICATE_LENGTH - shift), out);
}

export function decodeResponsePayload(b: Uint8Array, out: SealedHello): DropReason {
  if (b.length !== RESPONSE_PAYLOAD_BYTES && b.length !== WIDE_RESPONSE_PAYLOAD_BYTES)
    return DropReason.handshakeMalformed;
  out.versions = versionsAt(b, R_VERSIONS);
  out.version = b[R_VERSION]!;
  if (!isVersionRange(out.versions)) return DropReason.handshakeMalformed;
  if (b[R_RESERVED] !== 0) return DropReason.reservedNotZero;
  out.stamp = 0;
  out.peer = 0;
  out.preshared = [0, 0];
  out.index = getU32(b, R_INDEX);
  out.instance = getU48(b, R_INSTANCE);
  out.started = getU48(b, R_STARTED);
  out.continues = getU32(b, R_CONTINUES);
  if (out.index === 0) return DropReason.handshakeMalformed;
  return placeCertificate(b, R_CERTIFICATE, getU16(b, R_CERTIFICATE_LENGTH), out);
}

/**
 * The certificate is padded with zeros to the longest of its form: the length of a name does not
 * show.
 */
function placeCertificate(
  b: Uint8Array,
  start: number,
  length: number,
  out: SealedHello,
): DropReason {
  if (start + length > b.length) return DropReason.handshakeMalformed;
  for (let at = start + length; at < b.length; at += 1)
    if (b[at] !== 0) return DropReason.handshakeMalformed;
  out.certificateStart = start;
  out.certificateEnd = start + length;
  return DropReason.none;
}

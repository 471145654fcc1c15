/**
 * REFUSAL: why an INIT is not answered. WIRE.md section 2.
 *
 * Nothing proves who says it, so it is shown and changes nothing: a dial goes on as if it had not
 * come. It repeats index and attempt of the INIT, and is shorter than any. Its layout is frozen
 * like the first bytes of an INIT, because daemons that have no version in common must understand
 * it.
 */

import { putU16, getU16 } from '../base/bytes.ts';
import { ADDRESS_BYTES, addressAt, putAddress } from '../base/ip-address.ts';
import { DATAGRAM_INIT, DATAGRAM_REFUSAL, DATAGRAM_SEALED_INIT } from './datagram-header.ts';
import { DropReason } from './drop.ts';
import { DATAGRAM_HEADER_BYTES } from './sizes.ts';
import { isVersionRange, putVersions, versionsAt, type VersionRange } from './versions.ts';

const REASON = 0,
  VERSIONS = 1,
  RESERVED = 3,
  ADDRESS = 4,
  PORT = ADDRESS + ADDRESS_BYTES;
export const REFUSAL_BODY_BYTES = PORT + 2;
export const REFUSAL_BYTES = DATAGRAM_HEADER_BYTES + REFUSAL_BODY_BYTES;
export const REFUSAL_LAYOUT = {
  reason: [REASON, 1],
  min: [VERSIONS, 1],
  max: [VERSIONS + 1, 1],
  reserved: [RESERVED, 1],
  address: [ADDRESS, ADDRESS_BYTES],
  port: [PORT, 2],
} as const;

/** Reasons. A later release may have more: one that is not known is a number. */
export const REFUSAL_VERSION = 1;
export const REFUSAL_SECURITY = 2;
export const REFUSAL_KEY = 3;
export const REFUSAL_BROKEN = 4;
export const REFUSAL_NETWORK = 5;
export const REFUSAL_AUTHORITY = 6;
export const REFUSAL_FORGED = 7;
export const REFUSAL_AUTHORITY_TIME = 8;
export const REFUSAL_NOT_YET_VALID = 9;
export const REFUSAL_EXPIRED = 10;
export const REFUSAL_REVOKED = 11;
export const REFUSAL_ROLE = 12;
export const REFUSAL_KEY_OF_ANOTHER = 13;
export const REFUSAL_ANOTHER = 14;
export const REFUSAL_SELF = 15;
export const REFUSAL_CLOSED = 16;
export const REFUSAL_FULL = 17;
export const REFUSAL_STAMP = 18;
export const REFUSAL_TWIN = 19;
export const REFUSAL_PRESHARED_KEY = 20;

/** What is said of an INIT that was dropped for a reason; all others are dropped in silence. */
const SAID = new Map<DropReason, number>([
  [DropReason.handshakeVersion, REFUSAL_VERSION],
  [DropReason.securityMismatch, REFUSAL_SECURITY],
  [DropReason.handshakeMacWrong, REFUSAL_KEY],
  [DropReason.handshakeBroken, REFUSAL_BROKEN],
  [DropReason.certificateWrongNetwork, REFUSAL_NETWORK],
  [DropReason.certificateUnknownAuthority, REFUSAL_AUTHORITY],
  [DropReason.certificateForged, REFUSAL_FORGED],
  [DropReason.certificateAuthorityNotValid, REFUSAL_AUTHORITY_TIME],
  [DropReason.certificateNotYetValid, REFUSAL_NOT_YET_VALID],
  [DropReason.certificateExpired, REFUSAL_EXPIRED],
  [DropReason.certificateRevoked, REFUSAL_REVOKED],
  [DropReason.certificateRole, REFUSAL_ROLE],
  [DropReason.certificateOfAnother, REFUSAL_KEY_OF_ANOTHER],
  [DropReason.handshakeForAnother, REFUSAL_ANOTHER],
  [DropReason.handshakeFromSelf, REFUSAL_SELF],
  [DropReason.handshakeRefused, REFUSAL_CLOSED],
  [DropReason.linkTableFull, REFUSAL_FULL],
  [DropReason.handshakeReplayed, REFUSAL_STAMP],
  [DropReason.handshakeTwin, REFUSAL_TWIN],
  [DropReason.handshakePresharedKey, REFUSAL_PRESHARED_KEY],
]);

/** In words, of the one who is refused: what comes behind "that address says". */
const WORDS: Readonly<Record<number, string>> = {
  [REFUSAL_VERSION]: 'no wire version in common',
  [REFUSAL_SECURITY]: 'one of the two has security none, the other has not',
  [REFUSAL_KEY]: 'it was dialled with a key that is not its own; it cannot tell who dialled',
  [REFUSAL_BROKEN]: 'the handshake does not open',
  [REFUSAL_NETWORK]: 'the certificate is of another network',
  [REFUSAL_AUTHORITY]: 'the certificate is signed by an authority that it does not trust',
  [REFUSAL_FORGED]: 'the certificate has a wrong signature',
  [REFUSAL_AUTHORITY_TIME]:
    'the certificate is signed by an authority that is not valid at this time, by its clock',
  [REFUSAL_NOT_YET_VALID]: 'the certificate is not valid yet, by its clock',
  [REFUSAL_EXPIRED]: 'the certificate has expired, by its clock',
  [REFUSAL_REVOKED]: 'the certificate is revoked',
  [REFUSAL_ROLE]: 'the certificate is not that of a router',
  [REFUSAL_KEY_OF_ANOTHER]: 'the certificate is not of the key that was used',
  [REFUSAL_ANOTHER]: 'it is not the node that was dialled',
  [REFUSAL_SELF]: 'it has the node id of the dialler',
  [REFUSAL_CLOSED]: 'it takes no links from others, or stops',
  [REFUSAL_FULL]: 'it has as many links as it may have',
  [REFUSAL_STAMP]: 'the handshake is older than one that it has taken; is a clock wrong?',
  [REFUSAL_PRESHARED_KEY]: 'it has no pre-shared key in common with the dialler',
  [REFUSAL_TWIN]: 'another daemon with the same certificate is running',
};

export interface Refusal {
  reason: number;
  /** What the refusing daemon speaks. */
  versions: VersionRange;
  /** Of a twin: where the other daemon is, "address:port"; '' when it does not say. */
  twin: string;
}

/** What is said of an INIT dropped for `reason`, 0 = nothing. */
export function refusalOf(reason: DropReason): number {
  return SAID.get(reason) ?? 0;
}

/** What `refusal` says, in words. */
export function refusalText({ reason, versions, twin }: Refusal): string {
  const words =
    WORDS[reason] ?? `it refuses for reason ${reason}, which this release does not know`;
  if (reason === REFUSAL_VERSION) return `${words}: it speaks ${versionsText(versions)}`;
  return twin === '' ? words : `${words} at ${twin}`;
}

export function versionsText({ min, max }: VersionRange): string {
  return min === max ? `${max}` : `${min} to ${max}`;
}

/** Whether `b[0..length)` is an INIT of either family, long enough that a REFUSAL is shorter. */
export function mayRefuse(b: Uint8Array, length: number): boolean {
  return length > REFUSAL_BYTES && (b[0] === DATAGRAM_INIT || b[0] === DATAGRAM_SEALED_INIT);
}

/**
 * Writes the answer to `init` to `out`; returns its length. `twin`: numeric address and port, or
 * null.
 */
export function encodeRefusal(
  init: Uint8Array,
  reason: number,
  versions: VersionRange,
  twin: { readonly address: string; readonly port: number } | null,
  out: Uint8Array,
): number {
  out.set(init.subarray(0, DATAGRAM_HEADER_BYTES), 0);
  out[0] = DATAGRAM_REFUSAL;
  out.fill(0, DATAGRAM_HEADER_BYTES, REFUSAL_BYTES);
  const at = DATAGRAM_HEADER_BYTES;
  out[at + REASON] = reason;
  putVersions(out, at + VERSIONS, versions);
  if (twin !== null && putAddress(out, at + ADDRESS, twin.address))
    putU16(out, at + PORT, twin.port);
  return REFUSAL_BYTES;
}

/** The refusal in `b[0..length)`, or why it is none. */
export function decodeRefusal(b: Uint8Array, length: number): Refusal | DropReason {
  if (length !== REFUSAL_BYTES) return DropReason.handshakeMalformed;
  const at = DATAGRAM_HEADER_BYTES;
  const versions = versionsAt(b, at + VERSIONS);
  const port = getU16(b, at + PORT);
  const nowhere = b.subarray(at + ADDRESS, at + PORT).every((byte) => byte === 0);
  if (b[at + RESERVED] !== 0) return DropReason.reservedNotZero;
  if (b[at + REASON] === 0 || !isVersionRange(versions) || nowhere !== (port === 0))
    return DropReason.handshakeMalformed;
  const address = addressAt(b, at + ADDRESS);
  return {
    reason: b[at + REASON]!,
    versions,
    twin: nowhere ? '' : address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`,
  };
}

/**
 * Versions of the wire: which of them a daemon speaks, how two agree on one, and where an INIT says
 * it. WIRE.md section 2.
 *
 * The first 14 bytes of every INIT, sealed or not, are frozen for ever: the datagram header (type,
 * sender's index, attempt), then the lowest and the highest version that its sender speaks. So
 * daemons of any two releases that know this can tell that they have none in common, and say so.
 * What follows is laid out as the lowest version has it.
 */

import { DropReason } from './drop.ts';
export { RESERVED_NUMBERS } from './reserved.ts';
import { DATAGRAM_HEADER_BYTES } from './sizes.ts';

/** All versions from `min` to `max` are spoken; 1 <= min <= max <= 255. */
export interface VersionRange {
  readonly min: number;
  readonly max: number;
}

export const WIRE_VERSION_OLDEST = 2;
/** Records, and certificates on their own, are new in it; only links with identities have them. */
export const WIRE_VERSION_RECORDS = 3;
/**
 * Realtime frames, and what a hello says of bursts, are new in it. The one before is that of the
 * release before.
 */
export const WIRE_VERSION_REALTIME = 4;
/** Frames about groups are new in it. */
export const WIRE_VERSION_GROUPS = 5;
/** The newest. */
export const WIRE_VERSION = WIRE_VERSION_GROUPS;
export const VERSION_MAX = 255;
export const WIRE_VERSIONS: VersionRange = Object.freeze({
  min: WIRE_VERSION_OLDEST,
  max: WIRE_VERSION,
});

const MIN = 0,
  MAX = 1;
/** Behind the datagram header of an INIT. */
export const VERSIONS_BYTES = 2;
export const VERSIONS_LAYOUT = { min: [MIN, 1], max: [MAX, 1] } as const;
/** Header and versions: what never changes of an INIT. */
export const INIT_FROZEN_BYTES = DATAGRAM_HEADER_BYTES + VERSIONS_BYTES;

/** The highest version in both ranges, 0 when there is none. */
export function agreedVersion(a: VersionRange, b: VersionRange): number {
  const highest = Math.min(a.max, b.max);
  return highest >= a.min && highest >= b.min ? highest : 0;
}

export function isVersionRange({ min, max }: VersionRange): boolean {
  return (
    Number.isInteger(min) && Number.isInteger(max) && min >= 1 && min <= max && max <= VERSION_MAX
  );
}

/** The range at `at`, which may be none (`isVersionRange`). */
export function versionsAt(b: Uint8Array, at: number): VersionRange {
  return { min: b[at + MIN]!, max: b[at + MAX]! };
}

export function putVersions(b: Uint8Array, at: number, { min, max }: VersionRange): void {
  b[at + MIN] = min;
  b[at + MAX] = max;
}

/** The range of the INIT in `b[0..length)`, and whether `own` has a version in common with it. */
export function judgeInitVersions(b: Uint8Array, length: number, own: VersionRange): DropReason {
  if (length < INIT_FROZEN_BYTES) return DropReason.handshakeMalformed;
  const range = versionsAt(b, DATAGRAM_HEADER_BYTES);
  if (!isVersionRange(range)) return DropReason.handshakeMalformed;
  return agreedVersion(range, own) === 0 ? DropReason.handshakeVersion : DropReason.none;
}

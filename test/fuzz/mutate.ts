/** Seeded damage: what a byte string may turn into on a bad wire, or in bad hands. */

import { checksum, putU32 } from '../../src/core/base/bytes.ts';
import type { Rng } from '../../src/core/base/rng.ts';
import { HANDSHAKE_BYTES, HANDSHAKE_CHECK_AT } from '../../src/core/wire/handshake.ts';

const INTERESTING = [0, 1, 2, 3, 0x0f, 0x10, 0x3f, 0x40, 0x7f, 0x80, 0xfe, 0xff];

/**
 * A damaged copy of `bytes`: flipped bits, set bytes and runs, cut, grown, spliced with `other`.
 */
export function mutate(rng: Rng, bytes: Uint8Array, other: Uint8Array): Uint8Array {
  let out: Uint8Array = bytes.slice();
  for (let times = 1 + rng.below(rng.chance(0.2) ? 8 : 2); times > 0; times -= 1)
    out = damage(rng, out, other);
  return out;
}

export function randomBytes(rng: Rng, length: number): Uint8Array {
  const out = new Uint8Array(length);
  rng.fill(out);
  return out;
}

function damage(rng: Rng, bytes: Uint8Array, other: Uint8Array): Uint8Array {
  const at = rng.below(bytes.length + 1);
  switch (rng.below(8)) {
    case 0:
    case 1:
      if (at < bytes.length) bytes[at] = bytes[at]! ^ (1 << rng.below(8));
      return bytes;
    case 2:
      if (at < bytes.length) bytes[at] = rng.below(256);
      return bytes;
    case 3:
      if (at < bytes.length) bytes[at] = INTERESTING[rng.below(INTERESTING.length)]!;
      return bytes;
    case 4:
      return bytes.fill(rng.chance(0.5) ? 0xff : 0, at, at + 1 + rng.below(6));
    case 5:
      return bytes.slice(0, at);
    case 6:
      return Uint8Array.of(
        ...bytes,
        ...randomBytes(rng, 1 + rng.below(rng.chance(0.1) ? 1_500 : 20)),
      );
    default: {
      const from = rng.below(other.length + 1);
      return Uint8Array.of(...bytes.subarray(0, at), ...other.subarray(from));
    }
  }
}

/**
 * Makes the checks right of a handshake or of the control frames in a datagram, as somebody who
 * means harm would.
 */
export function mend(b: Uint8Array): void {
  if (b[0] !== 0x14) {
    if (b.length === HANDSHAKE_BYTES)
      putU32(b, HANDSHAKE_CHECK_AT, checksum(b, 0, HANDSHAKE_CHECK_AT));
    return;
  }
  for (let at = 12; at + 3 <= b.length; ) {
    const start = at + 3,
      end = start + ((b[at + 1]! << 8) | b[at + 2]!);
    if (end > b.length) return;
    if (b[at]! >= 0x10 && b[at]! <= 0x12 && end - start >= 4)
      putU32(b, end - 4, checksum(b, start, end - 4));
    at = end;
  }
}

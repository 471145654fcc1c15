/**
 * The tail of a packet word for word as in figure 4 of the WiSe 2002 paper, to show what its
 * weakness does.
 *
 *     tail_i = id | HMAC(key_i, body) | Enc(key_i, tail_(i+1))
 *
 * The HMAC covers the body and not what is encrypted beside it; the same key serves both, and the
 * cipher is a stream. Used by a test that must go on failing for this scheme. Nothing of it is in
 * the daemon.
 */

import { getU32, putU32 } from '../../src/core/base/bytes.ts';
import type { Primitives } from '../../src/core/crypto/primitives.ts';

export interface Figure4Hop {
  readonly id: number;
  readonly key: Uint8Array;
}

export type Figure4Primitives = Pick<Primitives, 'hmacSha256' | 'encrypt'>;

const MAC = 4,
  REST = 36;
const NOTHING = new Uint8Array(0);

/** For the probes in the order of the path, the destination last. */
export function figure4Tail(
  p: Figure4Primitives,
  body: Uint8Array,
  list: readonly Figure4Hop[],
  counter: number,
): Uint8Array {
  let tail = NOTHING;
  for (const { id, key } of list.toReversed()) {
    const out = new Uint8Array(REST + tail.length);
    putU32(out, 0, id);
    out.set(p.hmacSha256(key, body), MAC);
    out.set(keyed(p, key, counter, tail), REST);
    tail = out;
  }
  return tail;
}

/** At `hop`: what is to be forwarded, empty at the destination; null when the HMAC is wrong. */
export function figure4Peel(
  p: Figure4Primitives,
  body: Uint8Array,
  tail: Uint8Array,
  hop: Figure4Hop,
  counter: number,
): Uint8Array | null {
  if (tail.length < REST || getU32(tail, 0) !== hop.id) return null;
  const mac = p.hmacSha256(hop.key, body);
  if (!mac.every((byte, i) => byte === tail[MAC + i])) return null;
  return keyed(p, hop.key, counter, tail.subarray(REST));
}

/** Encrypts and decrypts: xor with the key stream, which is what zeros are encrypted to. */
function keyed(
  p: Figure4Primitives,
  key: Uint8Array,
  counter: number,
  text: Uint8Array,
): Uint8Array {
  const stream = p.encrypt(key, counter, NOTHING, new Uint8Array(text.length));
  return text.map((byte, i) => byte ^ stream[i]!);
}

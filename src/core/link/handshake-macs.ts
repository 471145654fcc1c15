/**
 * MACs of handshake datagrams: who makes one knows the public key of whom it is for.
 *
 * Owns the keys that follow from public keys, as long as these are held elsewhere.
 */

import { utf8Encode } from '../base/bytes.ts';
import type { Membership } from '../crypto/membership.ts';
import { MAC_BYTES } from '../wire/sealed-handshake.ts';

const LABEL_MAC = utf8Encode('spines mac');
/** Stands where none is. */
export const NO_MAC = new Uint8Array(MAC_BYTES);

export class HandshakeMacs {
  readonly #membership: Membership;
  readonly #keys = new WeakMap<Uint8Array, Uint8Array>();

  constructor(membership: Membership) {
    this.#membership = membership;
  }

  /** Whether the MAC at `at` covers what stands before it. */
  fits(receiver: Uint8Array, bytes: Uint8Array, at: number): boolean {
    return equalMacs(bytes.subarray(at, at + MAC_BYTES), this.of(receiver, bytes, at));
  }

  /**
   * Over everything before it, under a key that whoever knows the receiver's public key can make.
   */
  of(receiver: Uint8Array, bytes: Uint8Array, end: number): Uint8Array {
    let key = this.#keys.get(receiver);
    if (key === undefined) {
      key = this.#membership.primitives.sha256(LABEL_MAC, receiver);
      this.#keys.set(receiver, key);
    }
    return this.keyed(key, bytes.subarray(0, end));
  }

  /** The same under any key. */
  keyed(key: Uint8Array, data: Uint8Array): Uint8Array {
    return this.#membership.primitives.hmacSha256(key, data).subarray(0, MAC_BYTES);
  }
}

/** Without a way out at the first difference: time says nothing about the right value. */
export function equalMacs(a: Uint8Array, b: Uint8Array): boolean {
  let difference = 0;
  for (let i = 0; i < MAC_BYTES; i += 1) difference |= a[i]! ^ b[i]!;
  return difference === 0;
}

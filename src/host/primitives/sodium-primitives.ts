/**
 * The primitives by libsodium, where the optional package sodium-native is installed and loads:
 * three to four times as fast as node:crypto for what datagrams need, as it takes no object per
 * call.
 *
 * libsodium's Ed25519 refuses all keys that keys.ts refuses, and multiplies by no cofactor, as
 * OpenSSL. HMAC is node:crypto's. The binding checks lengths by throwing: lengths from the network
 * are checked before it is called.
 */

import { createRequire } from 'node:module';

import { assert } from '../../core/base/assert.ts';
import type { Primitives, Sealer } from '../../core/crypto/primitives.ts';
import { nodePrimitives } from './node-primitives.ts';

/** What is used of sodium-native, which has no types of its own. */
export interface Sodium {
  crypto_aead_chacha20poly1305_ietf_encrypt_detached(
    c: Uint8Array,
    mac: Uint8Array,
    m: Uint8Array,
    ad: Uint8Array,
    nsec: null,
    npub: Uint8Array,
    key: Uint8Array,
  ): number;
  crypto_aead_chacha20poly1305_ietf_decrypt_detached(
    m: Uint8Array,
    nsec: null,
    c: Uint8Array,
    mac: Uint8Array,
    ad: Uint8Array,
    npub: Uint8Array,
    key: Uint8Array,
  ): void;
  crypto_hash_sha256(out: Uint8Array, input: Uint8Array): void;
  crypto_scalarmult(q: Uint8Array, n: Uint8Array, p: Uint8Array): void;
  crypto_scalarmult_base(q: Uint8Array, n: Uint8Array): void;
  crypto_sign_detached(signature: Uint8Array, message: Uint8Array, secretKey: Uint8Array): void;
  crypto_sign_verify_detached(
    signature: Uint8Array,
    message: Uint8Array,
    publicKey: Uint8Array,
  ): boolean;
}

const KEY_BYTES = 32,
  SIGNATURE_BYTES = 64,
  TAG_BYTES = 16;
const PACKAGE = 'sodium-native';

/** Null where it is not installed, or has no binary for this platform. */
export function loadSodium(): Sodium | null {
  try {
    return createRequire(import.meta.url)(PACKAGE) as Sodium;
  } catch {
    return null;
  }
}

export function sodiumPrimitives(sodium: Sodium): Primitives {
  return {
    ...nodePrimitives,
    name: 'libsodium',

    sha256(...parts) {
      const out = new Uint8Array(32);
      sodium.crypto_hash_sha256(out, parts.length === 1 ? parts[0]! : joined(parts));
      return out;
    },

    encrypt(key, number, associated, plain) {
      const out = new Uint8Array(plain.length + TAG_BYTES);
      sodium.crypto_aead_chacha20poly1305_ietf_encrypt_detached(
        out.subarray(0, plain.length),
        out.subarray(plain.length),
        plain,
        associated,
        null,
        nonceOf(number),
        key,
      );
      return out;
    },

    decrypt(key, number, associated, sealed) {
      const end = sealed.length - TAG_BYTES;
      if (end < 0) return null;
      const out = new Uint8Array(end);
      out.set(sealed.subarray(0, end));
      return opens(sodium, out, sealed.subarray(end), associated, number, key) ? out : null;
    },

    x25519PublicKey(secret) {
      assert(secret.length === KEY_BYTES, 'a secret key has 32 bytes');
      const out = new Uint8Array(KEY_BYTES);
      sodium.crypto_scalarmult_base(out, secret);
      return out;
    },

    x25519(secret, peer) {
      assert(secret.length === KEY_BYTES, 'a secret key has 32 bytes');
      if (peer.length !== KEY_BYTES) return null;
      const out = new Uint8Array(KEY_BYTES);
      try {
        sodium.crypto_scalarmult(out, secret, peer);
        return out;
      } catch {
        // The result is all zero.
        return null;
      }
    },

    sealer(key) {
      return new SodiumSealer(sodium, key);
    },

    sign(message, secret, publicKey) {
      assert(
        secret.length === KEY_BYTES && publicKey.length === KEY_BYTES,
        'signing keys have 32 bytes',
      );
      const out = new Uint8Array(SIGNATURE_BYTES);
      const pair = new Uint8Array(2 * KEY_BYTES);
      pair.set(secret, 0);
      pair.set(publicKey, KEY_BYTES);
      sodium.crypto_sign_detached(out, message, pair);
      pair.fill(0);
      return out;
    },

    verify(message, signature, publicKey) {
      return (
        signature.length === SIGNATURE_BYTES &&
        publicKey.length === KEY_BYTES &&
        sodium.crypto_sign_verify_detached(signature, message, publicKey)
      );
    },
  };
}

/**
 * The parts of a datagram in a buffer that is used again and again; libsodium wants a view of each.
 */
interface Parts {
  readonly bytes: Uint8Array;
  readonly head: number;
  readonly end: number;
  readonly associated: Uint8Array;
  readonly text: Uint8Array;
  readonly tag: Uint8Array;
  /** Head and text. */
  readonly untagged: Uint8Array;
}

/**
 * Views of what was sealed or opened last, so that traffic of few sizes makes none. A power of two.
 */
const PARTS_KEPT = 32;

class PartsCache {
  /** By length, modulo their number. */
  readonly #parts: (Parts | undefined)[] = [];

  /** Of `bytes[0..end)` and the tag behind it; `head` bytes are authenticated only. */
  of(bytes: Uint8Array, head: number, end: number): Parts {
    const row = end & (PARTS_KEPT - 1);
    const known = this.#parts[row];
    if (known !== undefined && known.bytes === bytes && known.end === end && known.head === head)
      return known;
    return (this.#parts[row] = {
      bytes,
      head,
      end,
      associated: bytes.subarray(0, head),
      text: bytes.subarray(head, end),
      tag: bytes.subarray(end, end + TAG_BYTES),
      untagged: bytes.subarray(0, end),
    });
  }
}

/**
 * Arrived datagrams are opened here, where the views are, and copied back: every one comes in
 * memory of its own.
 */
const ARRIVED = new Uint8Array(2_048);
const arrivedParts = new PartsCache();

class SodiumSealer implements Sealer {
  readonly #sodium: Sodium;
  readonly #key: Uint8Array;
  readonly #parts = new PartsCache();

  constructor(sodium: Sodium, key: Uint8Array) {
    assert(key.length === KEY_BYTES, 'a sealing key has 32 bytes');
    this.#sodium = sodium;
    this.#key = Uint8Array.from(key);
  }

  seal(number: number, bytes: Uint8Array, head: number, end: number): void {
    const { text, tag, associated } = this.#parts.of(bytes, head, end);
    this.#sodium.crypto_aead_chacha20poly1305_ietf_encrypt_detached(
      text,
      tag,
      text,
      associated,
      null,
      nonceOf(number),
      this.#key,
    );
  }

  open(number: number, bytes: Uint8Array, head: number, end: number): boolean {
    const tagAt = end - TAG_BYTES;
    if (tagAt < head || end > bytes.length) return false;
    if (bytes.length > ARRIVED.length) {
      // libsodium leaves zeros where something does not open.
      const text = bytes.slice(head, tagAt);
      if (
        !opens(
          this.#sodium,
          text,
          bytes.subarray(tagAt, end),
          bytes.subarray(0, head),
          number,
          this.#key,
        )
      )
        return false;
      bytes.set(text, head);
      return true;
    }
    ARRIVED.set(bytes);
    const { text, tag, associated, untagged } = arrivedParts.of(ARRIVED, head, tagAt);
    if (!opens(this.#sodium, text, tag, associated, number, this.#key)) return false;
    bytes.set(untagged);
    return true;
  }
}

/** In place: `text` is what was sealed, afterwards the plain text. */
function opens(
  sodium: Sodium,
  text: Uint8Array,
  tag: Uint8Array,
  associated: Uint8Array,
  number: number,
  key: Uint8Array,
): boolean {
  try {
    sodium.crypto_aead_chacha20poly1305_ietf_decrypt_detached(
      text,
      null,
      text,
      tag,
      associated,
      nonceOf(number),
      key,
    );
    return true;
  } catch {
    return false;
  }
}

/**
 * Noise 12.3: four zero bytes and the number as u64, little endian. One buffer for all: it is read
 * during the call only.
 */
function nonceOf(number: number): Uint8Array {
  nonceView.setUint32(4, number % 0x1_0000_0000, true);
  nonceView.setUint32(8, Math.floor(number / 0x1_0000_0000), true);
  return nonce;
}

const nonce = new Uint8Array(12);
const nonceView = new DataView(nonce.buffer);

function joined(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

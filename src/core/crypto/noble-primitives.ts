/**
 * The primitives in TypeScript, by @noble/curves, @noble/hashes and @noble/ciphers.
 *
 * They run anywhere and need nothing native; two or three times slower than node:crypto with
 * datagrams, some twenty times with keys and signatures. The default for statements
 * (certificates.ts), and what host/primitives/node-primitives.ts is compared with.
 */

import { gcm } from '@noble/ciphers/aes.js';
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { ed25519, x25519 } from '@noble/curves/ed25519.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';

import { copyOf } from '../base/bytes.ts';
import { KEY_BYTES } from '../wire/certificate.ts';
import { isExchangeKey, isSigningKey, verifySignature } from './keys.ts';
import type { Primitives, Sealer } from './primitives.ts';

const TAG_BYTES = 16;

export const noblePrimitives: Primitives = {
  name: '@noble',

  sha256(...parts) {
    const hash = sha256.create();
    for (const part of parts) hash.update(part);
    return hash.digest();
  },

  hmacSha256(key, ...parts) {
    const mac = hmac.create(sha256, key);
    for (const part of parts) mac.update(part);
    return mac.digest();
  },

  encrypt(key, number, associated, plain) {
    return nobleEncrypt(key, nonceOf(number), associated, plain);
  },

  decrypt(key, number, associated, sealed) {
    return nobleDecrypt(key, nonceOf(number), associated, sealed);
  },

  x25519PublicKey(secret) {
    return x25519.getPublicKey(secret);
  },

  x25519(secret, peer) {
    if (peer.length !== KEY_BYTES) return null;
    try {
      return x25519.getSharedSecret(secret, peer);
    } catch {
      return null;
    }
  },

  sealer(key) {
    return new NobleSealer(key);
  },

  aesSealer(key) {
    return new NobleAesSealer(key);
  },

  aesIsFast: false,

  sign(message, secret) {
    return ed25519.sign(message, secret);
  },

  verify: verifySignature,
  isSigningKey,
  isExchangeKey,
};

/** ChaCha20-Poly1305 (RFC 8439, 2.8) with any nonce of 12 bytes. */
export function nobleEncrypt(
  key: Uint8Array,
  nonce: Uint8Array,
  associated: Uint8Array,
  plain: Uint8Array,
): Uint8Array {
  return chacha20poly1305(key, nonce, associated).encrypt(plain);
}

/** The reverse; null when the tag is wrong. */
export function nobleDecrypt(
  key: Uint8Array,
  nonce: Uint8Array,
  associated: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | null {
  try {
    return chacha20poly1305(key, nonce, associated).decrypt(sealed);
  } catch {
    return null;
  }
}

class NobleSealer implements Sealer {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    this.#key = copyOf(key);
  }

  seal(number: number, bytes: Uint8Array, head: number, end: number): void {
    const cipher = chacha20poly1305(this.#key, nonceOf(number), bytes.subarray(0, head));
    cipher.encrypt(bytes.subarray(head, end), bytes.subarray(head, end + TAG_BYTES));
  }

  open(number: number, bytes: Uint8Array, head: number, end: number): boolean {
    if (end - head < TAG_BYTES || end > bytes.length) return false;
    try {
      chacha20poly1305(this.#key, nonceOf(number), bytes.subarray(0, head)).decrypt(
        bytes.subarray(head, end),
        bytes.subarray(head, end - TAG_BYTES),
      );
      return true;
    } catch {
      return false;
    }
  }
}

class NobleAesSealer implements Sealer {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    this.#key = copyOf(key);
  }

  seal(number: number, bytes: Uint8Array, head: number, end: number): void {
    bytes.set(
      gcm(this.#key, copyOf(nonceOf(number)), bytes.subarray(0, head)).encrypt(
        bytes.subarray(head, end),
      ),
      head,
    );
  }

  open(number: number, bytes: Uint8Array, head: number, end: number): boolean {
    if (end - head < TAG_BYTES || end > bytes.length) return false;
    try {
      bytes.set(
        gcm(this.#key, copyOf(nonceOf(number)), bytes.subarray(0, head)).decrypt(
          bytes.subarray(head, end),
        ),
        head,
      );
      return true;
    } catch {
      return false;
    }
  }
}

/**
 * Noise 12.3: four zero bytes and the number as u64, little endian. One array for all: no cipher
 * outlives its call.
 */
function nonceOf(number: number): Uint8Array {
  nonceView.setUint32(4, number % 0x1_0000_0000, true);
  nonceView.setUint32(8, Math.floor(number / 0x1_0000_0000), true);
  return nonce;
}

const nonce = new Uint8Array(12);
const nonceView = new DataView(nonce.buffer);

/**
 * Key pairs: Ed25519 for signatures (RFC 8032) and X25519 for key exchange (RFC 7748), by
 * @noble/curves.
 *
 * Owns making, checking and using them; randomness is passed in. A secret key is kept in a
 * `Secret`, so that no print, log or JSON of an object that holds one shows it. Called by
 * certificates.ts and key-file.ts.
 */

import { ed25519, x25519 } from '@noble/curves/ed25519.js';
import { sha256 } from '@noble/hashes/sha2.js';

import { assert } from '../base/assert.ts';
import { copyOf, hex, utf8Encode } from '../base/bytes.ts';
import type { SecureRandom } from '../base/rng.ts';
import { KEY_BYTES, SIGNATURE_BYTES } from '../wire/certificate.ts';

/** Bytes that nobody should see: not enumerable, not printed, not in JSON. */
export class Secret {
  readonly #bytes: Uint8Array;

  /** Keeps a copy of `bytes`. */
  constructor(bytes: Uint8Array) {
    this.#bytes = copyOf(bytes);
  }

  /** The bytes themselves, not a copy. */
  reveal(): Uint8Array {
    return this.#bytes;
  }

  /** It is not used again: zeros from now on. */
  erase(): void {
    this.#bytes.fill(0);
  }
}

export interface KeyPair {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly secret: Secret;
}

export function makeSigningKeys(random: SecureRandom): KeyPair {
  return signingKeysOf(draw(random, KEY_BYTES));
}

export function makeExchangeKeys(random: SecureRandom): KeyPair {
  return exchangeKeysOf(draw(random, KEY_BYTES));
}

/** `secret`: the 32-byte seed of RFC 8032, 5.1.5. */
export function signingKeysOf(secret: Uint8Array): KeyPair {
  assert(secret.length === KEY_BYTES, 'a secret signing key has 32 bytes');
  return { publicKey: ed25519.getPublicKey(secret), secret: new Secret(secret) };
}

/** `secret`: 32 bytes, clamped at use (RFC 7748, 5). */
export function exchangeKeysOf(secret: Uint8Array): KeyPair {
  assert(secret.length === KEY_BYTES, 'a secret exchange key has 32 bytes');
  return { publicKey: x25519.getPublicKey(secret), secret: new Secret(secret) };
}

/** 64 bytes; deterministic. */
export function sign(message: Uint8Array, secret: Secret): Uint8Array {
  return ed25519.sign(message, secret.reveal());
}

/**
 * False also for keys and signatures that are not canonical (RFC 8032, 5.1.3 and 5.1.7); never
 * throws.
 */
export function verifySignature(
  message: Uint8Array,
  signature: Uint8Array,
  publicKey: Uint8Array,
): boolean {
  if (signature.length !== SIGNATURE_BYTES || publicKey.length !== KEY_BYTES) return false;
  return ed25519.verify(signature, message, publicKey, { zip215: false });
}

/**
 * The X25519 shared secret, or null when the peer's key lets others know it (low order; RFC 7748,
 * 6.1).
 */
export function sharedSecret(secret: Secret, peer: Uint8Array): Uint8Array | null {
  if (peer.length !== KEY_BYTES) return null;
  try {
    return x25519.getSharedSecret(secret.reveal(), peer);
  } catch {
    return null;
  }
}

/**
 * True for a canonical point that is not of small order: with such a key one signature fits many
 * messages.
 */
export function isSigningKey(key: Uint8Array): boolean {
  if (key.length !== KEY_BYTES || !ed25519.utils.isValidPublicKey(key, false)) return false;
  return !ed25519.Point.fromBytes(key, false).isSmallOrder();
}

/** True for a canonical coordinate (below 2^255 - 19, top bit clear) that is not of low order. */
export function isExchangeKey(key: Uint8Array): boolean {
  if (key.length !== KEY_BYTES || (key[31]! & 0x80) !== 0) return false;
  if (key[31] === 0x7f && key[0]! >= 0xed && key.subarray(1, 31).every((byte) => byte === 0xff))
    return false;
  return sharedSecret(ANY_SECRET, key) !== null;
}

/**
 * True for what is no X25519 key, or one of low order (RFC 7748, 6.1): everybody knows what any
 * secret makes of it. The top bit does not count. Costs a look, not an exchange.
 */
export function givesNoSecret(key: Uint8Array): boolean {
  if (key.length !== KEY_BYTES) return true;
  const coordinate = Uint8Array.from(key);
  coordinate[31]! &= 0x7f;
  return LOW_ORDER.has(hex(coordinate));
}

/** All coordinates, reduced or not, of points whose order divides 8, on the curve or its twist. */
const LOW_ORDER: ReadonlySet<string> = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
]);

/** Whether a shared secret is all zero does not depend on the scalar, once clamped. */
const ANY_SECRET = new Secret(new Uint8Array(KEY_BYTES).fill(1));

/** SHA-256 over a label, a zero byte and `parts`: what is hashed for one purpose fits no other. */
export function labelledHash(label: string, ...parts: readonly Uint8Array[]): Uint8Array {
  return sha256(labelled(label, ...parts));
}

/** The label in ASCII, a zero byte, and `parts` one behind the other. */
export function labelled(label: string, ...parts: readonly Uint8Array[]): Uint8Array {
  const text = utf8Encode(label);
  const out = new Uint8Array(parts.reduce((total, part) => total + part.length, text.length + 1));
  out.set(text, 0);
  let at = text.length + 1;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** `count` unpredictable bytes. */
export function draw(random: SecureRandom, count: number): Uint8Array {
  const out = new Uint8Array(count);
  random.fill(out);
  return out;
}

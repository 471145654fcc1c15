/**
 * FOR SIMULATIONS ONLY. NOTHING HERE IS SECRET, AND ANYBODY CAN FORGE EVERYTHING.
 *
 * The shape and the sizes of the real primitives at a hundredth of their cost, so that a virtual
 * world of hundreds of nodes can seal every datagram. What an honest mistake or a simulated fault
 * does is noticed as it would be in earnest: a wrong key, number or signer, and any change of a
 * byte. Deterministic. Not Noise, not Ed25519: it talks to itself alone. No daemon may start with
 * it.
 */

import { assert } from '../../core/base/assert.ts';
import type { SecureRandom } from '../../core/base/rng.ts';
import { draw, Secret, type KeyPair } from '../../core/crypto/keys.ts';
import type { Primitives, Sealer } from '../../core/crypto/primitives.ts';

const KEY_BYTES = 32,
  SIGNATURE_BYTES = 64,
  TAG_BYTES = 16;

/** One seed for each use, so that what is hashed for one fits no other. */
const HASH = 1,
  MAC = 2,
  EXCHANGE = 3,
  SIGNATURE = 4,
  SEAL = 5,
  AES_SEAL = 6;

export const cheapPrimitives: Primitives = {
  name: 'cheap, for simulations only',

  sha256(...parts) {
    return digest(HASH, parts);
  },

  hmacSha256(key, ...parts) {
    return digest(MAC + (key.length << 8), [key, ...parts]);
  },

  encrypt(key, number, associated, plain) {
    const bytes = new Uint8Array(associated.length + plain.length + TAG_BYTES);
    bytes.set(associated, 0);
    bytes.set(plain, associated.length);
    new CheapSealer(key).seal(number, bytes, associated.length, associated.length + plain.length);
    return bytes.slice(associated.length);
  },

  decrypt(key, number, associated, sealed) {
    const bytes = new Uint8Array(associated.length + sealed.length);
    bytes.set(associated, 0);
    bytes.set(sealed, associated.length);
    if (!new CheapSealer(key).open(number, bytes, associated.length, bytes.length)) return null;
    return bytes.slice(associated.length, bytes.length - TAG_BYTES);
  },

  x25519PublicKey: publicKeyOf,

  x25519(secret, peer) {
    if (!isKey(peer)) return null;
    const own = publicKeyOf(secret);
    return digest(EXCHANGE, isBefore(own, peer) ? [own, peer] : [peer, own]);
  },

  sealer(key) {
    return new CheapSealer(key);
  },

  aesSealer(key) {
    return new CheapSealer(key, AES_SEAL);
  },

  aesIsFast: true,

  // By the secret, as in earnest: who claims a key that is not his own signs in vain.
  sign(message, secret) {
    return signatureOf(publicKeyOf(secret), message);
  },

  verify(message, signature, publicKey) {
    if (signature.length !== SIGNATURE_BYTES || !isKey(publicKey)) return false;
    const expected = signatureOf(publicKey, message);
    return expected.every((byte, i) => byte === signature[i]);
  },

  isSigningKey: isKey,
  isExchangeKey: isKey,
};

/** A key pair for signing or for exchange: here they are alike. */
export function makeCheapKeys(random: SecureRandom): KeyPair {
  const secret = draw(random, KEY_BYTES);
  return { publicKey: publicKeyOf(secret), secret: new Secret(secret) };
}

/** `@hot` */
class CheapSealer implements Sealer {
  readonly #key: Int32Array;

  constructor(key: Uint8Array, seed = SEAL) {
    assert(key.length === KEY_BYTES, 'a sealing key has 32 bytes');
    this.#key = new Int32Array(digest(seed, [key]).buffer);
  }

  seal(number: number, bytes: Uint8Array, head: number, end: number): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    pass(this.#key, number, view, head, end, false);
    for (let i = 0; i < 4; i += 1) view.setInt32(end + 4 * i, tag[i]!, true);
  }

  open(number: number, bytes: Uint8Array, head: number, end: number): boolean {
    const at = end - TAG_BYTES;
    if (at < head || end > bytes.length) return false;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    pass(this.#key, number, view, head, at, true);
    let difference = 0;
    for (let i = 0; i < 4; i += 1) difference |= view.getInt32(at + 4 * i, true) ^ tag[i]!;
    if (difference === 0) return true;
    // What does not open is left as it was.
    pass(this.#key, number, view, head, at, false);
    return false;
  }
}

/** What `pass` computed last. */
const tag = new Int32Array(4);

/**
 * Disguises or reveals the body and leaves the tag of header, body, number and lengths in `tag`.
 * Four lanes of 32 bits; each step is reversible, so a change of one word alone always shows.
 */
function pass(
  key: Int32Array,
  number: number,
  view: DataView,
  head: number,
  end: number,
  opening: boolean,
): void {
  let a = key[0]! ^ number,
    b = key[1]! ^ Math.floor(number / 0x1_0000_0000),
    c = key[2]! ^ head,
    d = key[3]! ^ end;
  const disguise = scrambled(scrambled(a ^ key[4]!) + b);
  let at = 0;
  for (let part = 0; part < 2; part += 1) {
    const stop = part === 0 ? head : end;
    const pad = part === 0 ? 0 : disguise;
    // The tag is over the plain words.
    const plain = opening ? pad : 0;
    for (; at + 16 <= stop; at += 16) {
      const e = view.getInt32(at, true),
        f = view.getInt32(at + 4, true),
        g = view.getInt32(at + 8, true),
        h = view.getInt32(at + 12, true);
      view.setInt32(at, e ^ pad, true);
      view.setInt32(at + 4, f ^ pad, true);
      view.setInt32(at + 8, g ^ pad, true);
      view.setInt32(at + 12, h ^ pad, true);
      a = step(a ^ e ^ plain);
      b = step(b ^ f ^ plain);
      c = step(c ^ g ^ plain);
      d = step(d ^ h ^ plain);
    }
    for (; at + 4 <= stop; at += 4) {
      const word = view.getInt32(at, true);
      view.setInt32(at, word ^ pad, true);
      a = step(a ^ word ^ plain);
    }
    for (; at < stop; at += 1) {
      const byte = view.getUint8(at);
      view.setUint8(at, byte ^ pad);
      b = step(b ^ ((byte ^ plain) & 0xff));
    }
  }
  a ^= scrambled(b + key[4]!);
  b ^= scrambled(c + key[5]!);
  c ^= scrambled(d + key[6]!);
  d ^= scrambled(a + key[7]!);
  tag[0] = scrambled(a ^ scrambled(d + b));
  tag[1] = scrambled(b);
  tag[2] = scrambled(c);
  tag[3] = scrambled(d);
}

function step(x: number): number {
  return (Math.imul((x << 13) | (x >>> 19), 0x9e3779b1) + 0x7f4a7c15) | 0;
}

/** The last mixing of murmur3 (Appleby); reversible. */
function scrambled(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}

/** 32 bytes over the parts one behind the other, however they are divided. */
function digest(seed: number, parts: readonly Uint8Array[]): Uint8Array {
  let a = scrambled(seed),
    b = ~a,
    c = 0x3c6ef372,
    d = 0x1b873593;
  let count = 0,
    word = 0;
  for (const part of parts) {
    for (let i = 0; i < part.length; i += 1) {
      word = (word << 8) | part[i]!;
      count += 1;
      if ((count & 3) !== 0) continue;
      a = step(a ^ word);
      b = step((b + a) ^ word);
      c = step((c + b) ^ word);
      d = step((d + c) ^ word);
      word = 0;
    }
  }
  a = step(a ^ word);
  b = step((b + a) ^ count);
  const out = new Int32Array(KEY_BYTES / 4);
  for (let i = 0; i < out.length; i += 1) {
    a = step((a + d) | 0);
    b = step(b ^ a);
    c = step((c + b) | 0);
    d = step(d ^ c);
    out[i] = scrambled(a ^ scrambled(b ^ scrambled(c ^ scrambled(d + i))));
  }
  return new Uint8Array(out.buffer);
}

/** Different for different secrets: each word is mixed reversibly with the one before it. */
function publicKeyOf(secret: Uint8Array): Uint8Array {
  assert(secret.length === KEY_BYTES, 'a secret key has 32 bytes');
  const words = new Int32Array(secret.slice().buffer);
  let before = 0x5bd1e995;
  for (let i = 0; i < words.length; i += 1) {
    before = (scrambled(words[i]! ^ before) + i) | 0;
    words[i] = before;
  }
  return new Uint8Array(words.buffer);
}

function signatureOf(publicKey: Uint8Array, message: Uint8Array): Uint8Array {
  const first = digest(SIGNATURE, [publicKey, message]);
  const out = new Uint8Array(SIGNATURE_BYTES);
  out.set(first, 0);
  out.set(digest(SIGNATURE, [first]), KEY_BYTES);
  return out;
}

function isKey(key: Uint8Array): boolean {
  return key.length === KEY_BYTES && key.some((byte) => byte !== 0);
}

function isBefore(a: Uint8Array, b: Uint8Array): boolean {
  const at = a.findIndex((byte, i) => byte !== b[i]);
  return at >= 0 && a[at]! < b[at]!;
}

/**
 * The primitives by node:crypto (OpenSSL): what daemons seal datagrams and verify signatures with.
 *
 * OpenSSL's Ed25519 takes public keys that keys.ts refuses: coordinates of 2^255 - 19 and more,
 * "minus zero", and points of small order. Keys from certificates were refused earlier
 * (isSigningKey), and `verify` refuses them once more, so that whatever is accepted here
 * noblePrimitives accepts too. The reverse has one exception: noble multiplies the equation by the
 * cofactor (RFC 8032, 5.1.7) and OpenSSL does not, so a signature with a part of small order, which
 * nobody but the holder of the key can make, passes there and not here.
 *
 * Nothing here throws for what came from the network.
 */

import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  sign,
  verify,
  type CipherGCMTypes,
  type KeyObject,
} from 'node:crypto';

import { assert } from '../../core/base/assert.ts';
import { equalBytes } from '../../core/base/bytes.ts';
import { isExchangeKey, isSigningKey } from '../../core/crypto/keys.ts';
import type { Primitives, Sealer } from '../../core/crypto/primitives.ts';

const KEY_BYTES = 32,
  SIGNATURE_BYTES = 64,
  TAG_BYTES = 16;
const CIPHER = 'chacha20-poly1305';
const AES: CipherGCMTypes = 'aes-256-gcm';
const CIPHER_OPTIONS = { authTagLength: TAG_BYTES };

type Curve = 'Ed25519' | 'X25519';

export const nodePrimitives: Primitives = {
  name: 'node:crypto',

  sha256(...parts) {
    const hash = createHash('sha256');
    for (const part of parts) hash.update(part);
    return plainBytes(hash.digest());
  },

  hmacSha256(key, ...parts) {
    const mac = createHmac('sha256', key);
    for (const part of parts) mac.update(part);
    return plainBytes(mac.digest());
  },

  encrypt(key, number, associated, plain) {
    return nodeEncrypt(key, nonceOf(number), associated, plain);
  },

  decrypt(key, number, associated, sealed) {
    return nodeDecrypt(key, nonceOf(number), associated, sealed);
  },

  x25519PublicKey(secret) {
    const { x } = createPublicKey(privateKey('X25519', secret)).export({ format: 'jwk' });
    assert(x !== undefined, 'an X25519 key has a coordinate');
    return plainBytes(Buffer.from(x, 'base64url'));
  },

  x25519(secret, peer) {
    if (peer.length !== KEY_BYTES) return null;
    const own = privateKey('X25519', secret);
    try {
      return plainBytes(
        diffieHellman({ privateKey: own, publicKey: importPublic('X25519', peer) }),
      );
    } catch {
      // OpenSSL refuses to give a secret that is all zero.
      return null;
    }
  },

  sealer(key) {
    return new NodeSealer(key);
  },

  aesSealer(key) {
    return new NodeAesSealer(key);
  },

  aesIsFast: false,

  sign(message, secret) {
    return plainBytes(sign(null, message, privateKey('Ed25519', secret)));
  },

  verify(message, signature, publicKey) {
    if (signature.length !== SIGNATURE_BYTES) return false;
    try {
      const key = verifyingKey(publicKey);
      return key !== null && verify(null, message, key, signature);
    } catch {
      return false;
    }
  },

  isSigningKey,
  isExchangeKey,
};

/** ChaCha20-Poly1305 (RFC 8439, 2.8) with any nonce of 12 bytes. */
export function nodeEncrypt(
  key: Uint8Array,
  nonce: Uint8Array,
  associated: Uint8Array,
  plain: Uint8Array,
): Uint8Array {
  const cipher = createCipheriv(CIPHER, key, nonce, CIPHER_OPTIONS);
  cipher.setAAD(associated, { plaintextLength: plain.length });
  const out = new Uint8Array(plain.length + TAG_BYTES);
  out.set(cipher.update(plain), 0);
  cipher.final();
  out.set(cipher.getAuthTag(), plain.length);
  return out;
}

/** The reverse; null when the tag is wrong. */
export function nodeDecrypt(
  key: Uint8Array,
  nonce: Uint8Array,
  associated: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | null {
  const tag = sealed.length - TAG_BYTES;
  if (tag < 0) return null;
  const cipher = createDecipheriv(CIPHER, key, nonce, CIPHER_OPTIONS);
  cipher.setAAD(associated, { plaintextLength: tag });
  cipher.setAuthTag(sealed.subarray(tag));
  const plain = cipher.update(sealed.subarray(0, tag));
  return isGenuine(cipher) ? plainBytes(plain) : null;
}

class NodeSealer implements Sealer {
  readonly #key: KeyObject;

  constructor(key: Uint8Array) {
    assert(key.length === KEY_BYTES, 'a sealing key has 32 bytes');
    this.#key = createSecretKey(key);
  }

  seal(number: number, bytes: Uint8Array, head: number, end: number): void {
    const cipher = createCipheriv(CIPHER, this.#key, nonceOf(number), CIPHER_OPTIONS);
    cipher.setAAD(bytes.subarray(0, head), { plaintextLength: end - head });
    bytes.set(cipher.update(bytes.subarray(head, end)), head);
    cipher.final();
    bytes.set(cipher.getAuthTag(), end);
  }

  open(number: number, bytes: Uint8Array, head: number, end: number): boolean {
    const tag = end - TAG_BYTES;
    if (tag < head || end > bytes.length) return false;
    const cipher = createDecipheriv(CIPHER, this.#key, nonceOf(number), CIPHER_OPTIONS);
    cipher.setAAD(bytes.subarray(0, head), { plaintextLength: tag - head });
    cipher.setAuthTag(bytes.subarray(tag, end));
    const plain = cipher.update(bytes.subarray(head, tag));
    if (!isGenuine(cipher)) return false;
    bytes.set(plain, head);
    return true;
  }
}

export class NodeAesSealer implements Sealer {
  readonly #key: KeyObject;

  constructor(key: Uint8Array) {
    assert(key.length === KEY_BYTES, 'a sealing key has 32 bytes');
    this.#key = createSecretKey(key);
  }

  seal(number: number, bytes: Uint8Array, head: number, end: number): void {
    const cipher = createCipheriv(AES, this.#key, nonceOf(number), CIPHER_OPTIONS);
    cipher.setAAD(bytes.subarray(0, head));
    bytes.set(cipher.update(bytes.subarray(head, end)), head);
    cipher.final();
    bytes.set(cipher.getAuthTag(), end);
  }

  open(number: number, bytes: Uint8Array, head: number, end: number): boolean {
    const tag = end - TAG_BYTES;
    if (tag < head || end > bytes.length) return false;
    const cipher = createDecipheriv(AES, this.#key, nonceOf(number), CIPHER_OPTIONS);
    cipher.setAAD(bytes.subarray(0, head));
    cipher.setAuthTag(bytes.subarray(tag, end));
    const plain = cipher.update(bytes.subarray(head, tag));
    if (!isGenuine(cipher)) return false;
    bytes.set(plain, head);
    return true;
  }
}

function isGenuine(cipher: { final(): Uint8Array }): boolean {
  try {
    cipher.final();
    return true;
  } catch {
    return false;
  }
}

/**
 * Noise 12.3: four zero bytes and the number as u64, little endian. One buffer for all: Node copies
 * it.
 */
function nonceOf(number: number): Buffer {
  nonce.writeUInt32LE(number % 0x1_0000_0000, 4);
  nonce.writeUInt32LE(Math.floor(number / 0x1_0000_0000), 8);
  return nonce;
}

const nonce = Buffer.alloc(12);

/* ------------------------------------------------------------------ keys */

interface Imported<T> {
  /** To notice when the caller's array has come to hold another key. */
  readonly bytes: Uint8Array;
  readonly key: T;
}

/**
 * By the array that the caller holds the key in: an import costs as much as using it once, and ends
 * with that array.
 */
const secrets: Record<Curve, WeakMap<Uint8Array, Imported<KeyObject>>> = {
  Ed25519: new WeakMap(),
  X25519: new WeakMap(),
};
const verifying = new WeakMap<Uint8Array, Imported<KeyObject | null>>();

function privateKey(curve: Curve, secret: Uint8Array): KeyObject {
  assert(secret.length === KEY_BYTES, 'a secret key has 32 bytes');
  return remembered(secrets[curve], secret, () => importPrivate(curve, secret));
}

/** Null for keys that prove nothing. */
function verifyingKey(key: Uint8Array): KeyObject | null {
  if (key.length !== KEY_BYTES) return null;
  return remembered(verifying, key, () => (isRefused(key) ? null : importPublic('Ed25519', key)));
}

function remembered<T>(
  held: WeakMap<Uint8Array, Imported<T>>,
  bytes: Uint8Array,
  make: () => T,
): T {
  const known = held.get(bytes);
  if (known !== undefined && equalBytes(known.bytes, bytes)) return known.key;
  const key = make();
  held.set(bytes, { bytes: Uint8Array.from(bytes), key });
  return key;
}

/** RFC 8410, 7: a PKCS #8 document around 32 secret bytes. */
const PKCS8 = {
  Ed25519: Buffer.from('302e020100300506032b657004220420', 'hex'),
  X25519: Buffer.from('302e020100300506032b656e04220420', 'hex'),
};

function importPrivate(curve: Curve, secret: Uint8Array): KeyObject {
  try {
    // A JWK costs a tenth of a PKCS #8 document. Its public half must be text; Node computes its
    // own.
    return createPrivateKey({
      key: { kty: 'OKP', crv: curve, x: '', d: base64url(secret) },
      format: 'jwk',
    });
  } catch {
    return createPrivateKey({
      key: Buffer.concat([PKCS8[curve], secret]),
      format: 'der',
      type: 'pkcs8',
    });
  }
}

function importPublic(curve: Curve, key: Uint8Array): KeyObject {
  return createPublicKey({ key: { kty: 'OKP', crv: curve, x: base64url(key) }, format: 'jwk' });
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url');
}

/** Ed25519 public keys that OpenSSL takes and keys.ts does not. */
function isRefused(key: Uint8Array): boolean {
  const y = Uint8Array.from(key);
  y[31] = y[31]! & 0x7f;
  // 2^255 - 19 and more: the coordinate has a shorter form.
  if (y[31] === 0x7f && y[0]! >= 0xed && y.subarray(1, 31).every((byte) => byte === 0xff))
    return true;
  return SMALL_ORDER.some((small) => equalBytes(small, y));
}

/**
 * The y of the eight points whose order divides 8: 1, -1, 0 (order 4) and two of order 8. "Minus
 * zero" has y = 1 or -1.
 */
const SMALL_ORDER = [
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0000000000000000000000000000000000000000000000000000000000000000',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
].map((text) => Uint8Array.from(Buffer.from(text, 'hex')));

/**
 * A Buffer's `slice` shares memory where that of other arrays copies: nobody outside should meet
 * one.
 */
function plainBytes(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}

/**
 * What the handshake and the records need of cryptography, by node:crypto: for programs that reach
 * their daemon from afar.
 *
 * Keys are raw bytes (RFC 7748); node:crypto wants them in DER, whose fixed heads stand here.
 * Throws for keys of a wrong length, which is a bug of the caller; whatever comes from the network
 * gives null instead.
 */

import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  randomBytes,
} from 'node:crypto';
import type { KeyObject } from 'node:crypto';

import type { NoiseKeyPair, NoisePrimitives } from '../shared/noise.ts';

const KEY_BYTES = 32,
  TAG_BYTES = 16;
/** PrivateKeyInfo and SubjectPublicKeyInfo of X25519 (RFC 8410) up to the key itself. */
const PRIVATE_HEAD = Buffer.from('302e020100300506032b656e04220420', 'hex');
const PUBLIC_HEAD = Buffer.from('302a300506032b656e032100', 'hex');

export const nodeNoise: NoisePrimitives = {
  sha256(...parts) {
    const hash = createHash('sha256');
    for (const part of parts) hash.update(part);
    return bytesOf(hash.digest());
  },

  hmacSha256(key, ...parts) {
    const mac = createHmac('sha256', key);
    for (const part of parts) mac.update(part);
    return bytesOf(mac.digest());
  },

  encrypt(key, number, associated, plain) {
    const cipher = createCipheriv('chacha20-poly1305', key, nonceOf(number), {
      authTagLength: TAG_BYTES,
    });
    cipher.setAAD(associated, { plaintextLength: plain.length });
    const out = new Uint8Array(plain.length + TAG_BYTES);
    out.set(cipher.update(plain), 0);
    cipher.final();
    out.set(cipher.getAuthTag(), plain.length);
    return out;
  },

  decrypt(key, number, associated, sealed) {
    const length = sealed.length - TAG_BYTES;
    if (length < 0) return null;
    const decipher = createDecipheriv('chacha20-poly1305', key, nonceOf(number), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(associated, { plaintextLength: length });
    decipher.setAuthTag(sealed.subarray(length));
    const plain = bytesOf(decipher.update(sealed.subarray(0, length)));
    try {
      decipher.final();
    } catch {
      return null;
    }
    return plain;
  },

  x25519PublicKey(secret) {
    return bytesOf(
      createPublicKey(privateKey(secret))
        .export({ format: 'der', type: 'spki' })
        .subarray(PUBLIC_HEAD.length),
    );
  },

  x25519(secret, peer) {
    const own = privateKey(secret);
    try {
      const shared = bytesOf(
        diffieHellman({
          privateKey: own,
          publicKey: createPublicKey({
            key: Buffer.concat([PUBLIC_HEAD, peer]),
            format: 'der',
            type: 'spki',
          }),
        }),
      );
      return shared.every((byte) => byte === 0) ? null : shared;
    } catch {
      return null;
    }
  },
};

/** A pair for one handshake. */
export function makeEphemeral(): NoiseKeyPair {
  const secret = bytesOf(randomBytes(KEY_BYTES));
  return { secret, publicKey: nodeNoise.x25519PublicKey(secret) };
}

function privateKey(secret: Uint8Array): KeyObject {
  if (secret.length !== KEY_BYTES) throw new RangeError('an X25519 key has 32 bytes');
  return createPrivateKey({
    key: Buffer.concat([PRIVATE_HEAD, secret]),
    format: 'der',
    type: 'pkcs8',
  });
}

function nonceOf(number: number): Uint8Array {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32LE(number % 2 ** 32, 4);
  nonce.writeUInt32LE(Math.floor(number / 2 ** 32), 8);
  return nonce;
}

/** Without a Buffer's methods, which differ from a Uint8Array's in `slice`. */
function bytesOf(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}

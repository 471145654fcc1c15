/**
 * Private key files: the secret keys of an authority or a node, in the clear or under a passphrase.
 *
 * ```
 * kind 5 | version 1 | holder | protection | name bytes | node | signing key | exchange key |
 *    1         1          1          1            1         4         32            32
 * cost | salt | nonce | name |  secrets | 16
 *   1     16      24     n     32 or 64
 * ```
 *
 * holder: 1 authority, 2 node. protection 0: the last 16 bytes are the start of a SHA-256 over all
 * before, against damage; cost, salt and nonce are zero. protection 1: scrypt (RFC 7914; N =
 * 2^cost, r = 8, p = 1) over the passphrase gives the key of XChaCha20-Poly1305 over the secrets,
 * all before them being authenticated with them. An authority has no node and no exchange key:
 * zero. The text form is core/wire/certificate.ts's armour. Files and modes are the caller's.
 */

import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { scrypt } from '@noble/hashes/scrypt.js';

import { assert } from '../base/assert.ts';
import { copyOf, equalBytes, getU32, putU32, utf8Decode, utf8Encode } from '../base/bytes.ts';
import { SpinesError } from '../base/errors.ts';
import { isNodeId, isNodeName, NO_NODE, type NodeId } from '../base/ids.ts';
import type { SecureRandom } from '../base/rng.ts';
import { KEY_BYTES } from '../wire/certificate.ts';
import { draw, exchangeKeysOf, labelledHash, signingKeysOf, type KeyPair } from './keys.ts';

const KIND_KEY_FILE = 5,
  FORMAT = 1;
const KIND = 0,
  VERSION = 1,
  HOLDER = 2,
  PROTECTION = 3,
  NAME_BYTES = 4,
  NODE = 5,
  SIGNING_KEY = 9,
  EXCHANGE_KEY = 41,
  COST = 73,
  SALT = 74,
  NONCE = 90,
  NAME = 114;
const HOLDER_AUTHORITY = 1,
  HOLDER_NODE = 2;
const PROTECTION_NONE = 0,
  PROTECTION_PASSPHRASE = 1;
const SALT_BYTES = 16,
  NONCE_BYTES = 24,
  TAG_BYTES = 16;

/** log2 of scrypt's N: 128 MiB of memory and about half a second. */
export const COST_DEFAULT = 17;
/** 1 GiB: more would let a file ask for any amount of work. */
const COST_MAX = 20;
const COST_MIN = 10;

/** What a key file says without its passphrase. */
export interface KeyFile {
  readonly holder: 'authority' | 'node';
  /** Of the network or of the node. */
  readonly name: string;
  /** NO_NODE for an authority and for a client that is no node. */
  readonly node: NodeId;
  readonly signingKey: Uint8Array;
  /** Null for an authority. */
  readonly exchangeKey: Uint8Array | null;
  readonly encrypted: boolean;
  /** As read. */
  readonly bytes: Uint8Array;
}

/** Secret and public keys of an identity. `exchange` is null for an authority. */
export interface PrivateKeys {
  readonly name: string;
  readonly node: NodeId;
  readonly signing: KeyPair;
  readonly exchange: KeyPair | null;
}

/** `passphrase`: null leaves the secrets in the clear. `cost`: 10..20. */
export function encodeKeyFile(
  keys: PrivateKeys,
  passphrase: string | null,
  random: SecureRandom,
  cost = COST_DEFAULT,
): Uint8Array {
  assert(cost >= COST_MIN && cost <= COST_MAX, 'the cost of a passphrase is in range');
  if (passphrase === '')
    throw new SpinesError('EPASSPHRASE', 'the passphrase is empty; choose one, or none at all');
  const name = utf8Encode(keys.name);
  const head = new Uint8Array(NAME + name.length);
  head[KIND] = KIND_KEY_FILE;
  head[VERSION] = FORMAT;
  head[HOLDER] = keys.exchange === null ? HOLDER_AUTHORITY : HOLDER_NODE;
  head[NAME_BYTES] = name.length;
  putU32(head, NODE, keys.node);
  head.set(keys.signing.publicKey, SIGNING_KEY);
  if (keys.exchange !== null) head.set(keys.exchange.publicKey, EXCHANGE_KEY);
  head.set(name, NAME);
  const secrets = new Uint8Array(keys.exchange === null ? KEY_BYTES : 2 * KEY_BYTES);
  secrets.set(keys.signing.secret.reveal(), 0);
  if (keys.exchange !== null) secrets.set(keys.exchange.secret.reveal(), KEY_BYTES);
  const out = new Uint8Array(head.length + secrets.length + TAG_BYTES);
  if (passphrase === null) {
    out.set(head, 0);
    out.set(secrets, head.length);
    out.set(checkOf(head, secrets), head.length + secrets.length);
  } else {
    head[PROTECTION] = PROTECTION_PASSPHRASE;
    head[COST] = cost;
    head.set(draw(random, SALT_BYTES), SALT);
    head.set(draw(random, NONCE_BYTES), NONCE);
    const key = stretch(passphrase, head);
    out.set(head, 0);
    out.set(
      xchacha20poly1305(key, head.subarray(NONCE, NONCE + NONCE_BYTES), head).encrypt(secrets),
      head.length,
    );
    key.fill(0);
  }
  secrets.fill(0);
  return out;
}

/** The public part of a key file, or null when `b` is none. Never throws. */
export function decodeKeyFile(b: Uint8Array): KeyFile | null {
  if (b.length < NAME || b[KIND] !== KIND_KEY_FILE || b[VERSION] !== FORMAT) return null;
  const authority = b[HOLDER] === HOLDER_AUTHORITY;
  if (!authority && b[HOLDER] !== HOLDER_NODE) return null;
  const encrypted = b[PROTECTION] === PROTECTION_PASSPHRASE;
  if (!encrypted && b[PROTECTION] !== PROTECTION_NONE) return null;
  const nameEnd = NAME + b[NAME_BYTES]!;
  if (b.length !== nameEnd + (authority ? 1 : 2) * KEY_BYTES + TAG_BYTES) return null;
  const name = utf8Decode(b.subarray(NAME, nameEnd));
  if (name === null || !isNodeName(name)) return null;
  const node = getU32(b, NODE);
  if (node !== NO_NODE && (authority || !isNodeId(node))) return null;
  if (authority && !isZero(b, EXCHANGE_KEY, COST)) return null;
  if (encrypted ? b[COST]! < COST_MIN || b[COST]! > COST_MAX : !isZero(b, COST, NAME)) return null;
  return {
    holder: authority ? 'authority' : 'node',
    name,
    node,
    encrypted,
    signingKey: copyOf(b, SIGNING_KEY, EXCHANGE_KEY),
    exchangeKey: authority ? null : copyOf(b, EXCHANGE_KEY, COST),
    bytes: copyOf(b),
  };
}

/**
 * The secrets of a key file. `passphrase` is not looked at when it has none. Throws SpinesError
 * when they cannot be had.
 */
export function openKeyFile(file: KeyFile, passphrase: string | null): PrivateKeys {
  const secretBytes = (file.exchangeKey === null ? 1 : 2) * KEY_BYTES;
  const at = file.bytes.length - TAG_BYTES - secretBytes;
  const head = file.bytes.subarray(0, at);
  let secrets: Uint8Array;
  if (file.encrypted) {
    if (passphrase === null)
      throw new SpinesError(
        'EPASSPHRASE',
        'the key file has a passphrase and none was given; give it',
      );
    const key = stretch(passphrase, head);
    try {
      secrets = xchacha20poly1305(key, head.subarray(NONCE, NONCE + NONCE_BYTES), head).decrypt(
        file.bytes.subarray(at),
      );
    } catch {
      throw new SpinesError(
        'EPASSPHRASE',
        'the passphrase is wrong, or the key file is damaged; try again',
      );
    } finally {
      key.fill(0);
    }
  } else {
    secrets = copyOf(file.bytes, at, at + secretBytes);
    if (!equalBytes(checkOf(head, secrets), file.bytes.subarray(at + secretBytes))) throw damaged();
  }
  const signing = signingKeysOf(secrets.subarray(0, KEY_BYTES));
  const exchange = file.exchangeKey === null ? null : exchangeKeysOf(secrets.subarray(KEY_BYTES));
  secrets.fill(0);
  // A file put together from two would sign for a key that is not its own.
  if (!equalBytes(signing.publicKey, file.signingKey)) throw damaged();
  if (exchange !== null && !equalBytes(exchange.publicKey, file.exchangeKey!)) throw damaged();
  return { name: file.name, node: file.node, signing, exchange };
}

function damaged(): SpinesError {
  return new SpinesError('EKEYFILE', 'the key file is damaged; use another copy');
}

function checkOf(head: Uint8Array, secrets: Uint8Array): Uint8Array {
  return labelledHash('spines key file', head, secrets).slice(0, TAG_BYTES);
}

/** NFKC, so that the same passphrase typed on two keyboards is the same. */
function stretch(passphrase: string, head: Uint8Array): Uint8Array {
  return scrypt(utf8Encode(passphrase.normalize('NFKC')), head.subarray(SALT, SALT + SALT_BYTES), {
    N: 2 ** head[COST]!,
    r: 8,
    p: 1,
    dkLen: 32,
  });
}

function isZero(b: Uint8Array, start: number, end: number): boolean {
  return b.subarray(start, end).every((byte) => byte === 0);
}

/**
 * The cryptographic primitives that links, routing and clients need, as one interface with several
 * implementations.
 *
 * X25519 (RFC 7748), Ed25519 (RFC 8032), SHA-256, HMAC (RFC 2104), ChaCha20-Poly1305 (RFC 8439) and
 * AES-256-GCM (NIST SP 800-38D), nothing else: all implementations give the same bytes. Who starts
 * a daemon chooses one and passes it in; the simulator may pass one of the same shape that is cheap
 * and keeps nothing secret.
 */

import type { NoisePrimitives } from 'spines-client/noise';

/** One direction's key of a channel: seals and opens datagrams in place. `@hot` */
export interface Sealer {
  /**
   * Encrypts `bytes[head..end)` in place and writes the 16-byte tag at `bytes[end..end + 16)`,
   * which must exist. `bytes[0..head)` is authenticated. `number`: 0..2^48-1, never twice with one
   * key.
   */
  seal(number: number, bytes: Uint8Array, head: number, end: number): void;
  /**
   * The reverse: the tag is `bytes[end - 16..end)`. False, and nothing changed, when it does not
   * fit.
   */
  open(number: number, bytes: Uint8Array, head: number, end: number): boolean;
}

export interface Primitives extends NoisePrimitives {
  /** For status and logs: 'node:crypto', '@noble' ... */
  readonly name: string;
  /** `key`: 32 bytes. */
  sealer(key: Uint8Array): Sealer;
  /** By AES-256-GCM, with the same nonces. `key`: 32 bytes. */
  aesSealer(key: Uint8Array): Sealer;
  /**
   * Whether AES costs less here than the other: others seal so for this node then. It is opened in
   * any case.
   */
  readonly aesIsFast: boolean;
  /** Ed25519; `secret` and `publicKey` are the 32 bytes of RFC 8032. 64 bytes, deterministic. */
  sign(message: Uint8Array, secret: Uint8Array, publicKey: Uint8Array): Uint8Array;
  /** False also for anything malformed; never throws. */
  verify(message: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean;
  /** True for a key whose signatures mean something: see keys.ts. Never throws. */
  isSigningKey(key: Uint8Array): boolean;
  /** True for a key that gives secrets: see keys.ts. Never throws. */
  isExchangeKey(key: Uint8Array): boolean;
}

/** What statements about identities need. */
export type SigningPrimitives = Pick<
  Primitives,
  'sign' | 'verify' | 'isSigningKey' | 'isExchangeKey'
>;

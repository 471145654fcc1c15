/**
 * Which implementation of the primitives a daemon uses: of those that load and give the right
 * bytes, the one that seals and opens datagrams fastest on this machine, measured at start for some
 * milliseconds.
 *
 * node:crypto and @noble are always there; libsodium comes with the optional package sodium-native.
 * AES-256-GCM is OpenSSL's by koffi where that is there and faster than what the implementation
 * seals with otherwise.
 */

import { performance } from 'node:perf_hooks';

import { equalBytes } from '../../core/base/bytes.ts';
import { noblePrimitives } from '../../core/crypto/noble-primitives.ts';
import type { Primitives, Sealer } from '../../core/crypto/primitives.ts';
import { nodePrimitives } from './node-primitives.ts';
import { findFastAes } from './openssl-aes.ts';
import { loadSodium, sodiumPrimitives } from './sodium-primitives.ts';

export interface MeasuredPrimitives {
  readonly primitives: Primitives;
  /** Sealing and opening one datagram of 1000 bytes. */
  readonly microseconds: number;
}

const HEAD = 12,
  BYTES = 1_000,
  TAG = 16;
/**
 * Of each implementation: to warm up, and then the best of these many rounds of these many
 * datagrams.
 */
const WARM = 100,
  ROUNDS = 3,
  DATAGRAMS = 60;

/** All that load and pass `isSound`, the fastest first. Never empty. */
export function availablePrimitives(): MeasuredPrimitives[] {
  const sodium = loadSodium();
  const candidates =
    sodium === null
      ? [nodePrimitives, noblePrimitives]
      : [sodiumPrimitives(sodium), nodePrimitives, noblePrimitives];
  const aes = findFastAes(),
    aesMicroseconds = aes === null ? Infinity : measure(aes);
  return candidates
    .filter((primitives) => primitives === noblePrimitives || isSound(primitives))
    .map((primitives) => {
      const microseconds = measure(primitives.sealer);
      return {
        primitives:
          aes !== null && aesMicroseconds < microseconds
            ? { ...primitives, aesSealer: aes, aesIsFast: true }
            : primitives,
        microseconds,
      };
    })
    .sort((a, b) => a.microseconds - b.microseconds);
}

/** Gives the bytes that OpenSSL gives: a binary made elsewhere may be broken on some platform. */
export function isSound(p: Primitives): boolean {
  const text = Uint8Array.from({ length: BYTES }, (_, i) => i & 0xff);
  const key = text.slice(0, 32),
    number = 2 ** 40 + 7,
    associated = text.subarray(0, HEAD);
  const r = nodePrimitives;
  try {
    const sealed = r.encrypt(key, number, associated, text);
    const peer = r.x25519PublicKey(text.slice(32, 64));
    const [secret, signing] = [
      Uint8Array.from(Buffer.from(RFC_8032.secret, 'hex')),
      Uint8Array.from(Buffer.from(RFC_8032.publicKey, 'hex')),
    ];
    const signature = r.sign(text, secret, signing);
    const same = [
      [p.sha256(text, key), r.sha256(text, key)],
      [p.hmacSha256(key, text), r.hmacSha256(key, text)],
      [p.encrypt(key, number, associated, text), sealed],
      [p.decrypt(key, number, associated, sealed), text],
      [p.x25519PublicKey(key), r.x25519PublicKey(key)],
      [p.x25519(key, peer), r.x25519(key, peer)],
      [p.sign(text, secret, signing), signature],
    ] as const;
    if (!same.every(([a, b]) => a !== null && b !== null && equalBytes(a, b))) return false;
    const datagram = new Uint8Array(HEAD + BYTES + TAG),
      other = datagram.slice();
    p.aesSealer(key).seal(number, datagram, HEAD, HEAD + BYTES);
    r.aesSealer(key).seal(number, other, HEAD, HEAD + BYTES);
    if (!equalBytes(datagram, other)) return false;
    sealed[0] = sealed[0]! ^ 1;
    return (
      p.decrypt(key, number, associated, sealed) === null &&
      p.verify(text, signature, signing) &&
      !p.verify(associated, signature, signing)
    );
  } catch {
    return false;
  }
}

/** RFC 8032, 7.1, test 1. */
const RFC_8032 = {
  secret: '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
  publicKey: 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
};

function measure(sealerOf: (key: Uint8Array) => Sealer): number {
  const sealer = sealerOf(new Uint8Array(32).fill(1));
  const datagram = new Uint8Array(HEAD + BYTES + TAG);
  let number = 0;
  const run = (datagrams: number): number => {
    const from = performance.now();
    for (let i = 0; i < datagrams; i += 1) {
      sealer.seal(number, datagram, HEAD, HEAD + BYTES);
      sealer.open(number, datagram, HEAD, datagram.length);
      number += 1;
    }
    return ((performance.now() - from) * 1_000) / datagrams;
  };
  run(WARM);
  return Math.min(...Array.from({ length: ROUNDS }, () => run(DATAGRAMS)));
}

/**
 * Keys of a pair: what WIRE.md section 15 says, reckoned anew by node:crypto; one for each
 * direction, pair, epoch and cipher; and nothing that a certificate has is in them.
 */

import { createHmac, createPrivateKey, createPublicKey, diffieHellman } from 'node:crypto';
import { expect, test } from 'vitest';

import { putU32, utf8Encode } from '../../../../src/core/base/bytes.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import { draw, Secret } from '../../../../src/core/crypto/keys.ts';
import type { OwnEpoch } from '../../../../src/core/end-to-end/own-epochs.ts';
import { pairKeys, type PairPrimitives } from '../../../../src/core/end-to-end/pair-keys.ts';
import { nodePrimitives } from '../../../../src/host/primitives/node-primitives.ts';

const A = 0x0a00_0001,
  B = 0x0a00_0002;

function epoch(seed: number): OwnEpoch {
  const secret = draw(new Rng(seed), 32);
  const publicKey = nodePrimitives.x25519PublicKey(secret);
  return { name: seed, secret: new Secret(secret), publicKey, madeAt: 0, saidAt: 0 };
}

/** Primitives that write down each key that is sealed with, in order: seal, open, and by AES. */
function noting(keys: string[]): PairPrimitives {
  const note = (key: Uint8Array): void => {
    keys.push(Buffer.from(key).toString('hex'));
  };
  return {
    hmacSha256: nodePrimitives.hmacSha256.bind(nodePrimitives),
    x25519: nodePrimitives.x25519.bind(nodePrimitives),
    sealer: (key) => {
      note(key);
      return nodePrimitives.sealer(key);
    },
    aesSealer: (key) => {
      note(key);
      return nodePrimitives.aesSealer(key);
    },
  };
}

function keysOf(self: number, own: OwnEpoch, peer: number, of: OwnEpoch): string[] {
  const keys: string[] = [];
  expect(pairKeys(noting(keys), self, own, peer, of.publicKey)).not.toBeNull();
  return keys;
}

/** RFC 8410: in front of 32 bytes of a secret and of a public key. */
const PRIVATE = Buffer.from('302e020100300506032b656e04220420', 'hex'),
  PUBLIC = Buffer.from('302a300506032b656e032100', 'hex');

/** By the words of WIRE.md: HKDF-SHA-256 (RFC 5869) over the secret of the two epoch keys. */
function reckoned(source: number, from: OwnEpoch, destination: number, to: OwnEpoch): string[] {
  const secret = diffieHellman({
    privateKey: createPrivateKey({
      key: Buffer.concat([PRIVATE, from.secret.reveal()]),
      format: 'der',
      type: 'pkcs8',
    }),
    publicKey: createPublicKey({
      key: Buffer.concat([PUBLIC, to.publicKey]),
      format: 'der',
      type: 'spki',
    }),
  });
  const extracted = createHmac('sha256', 'spines pair 1').update(secret).digest();
  const ids = new Uint8Array(8);
  putU32(ids, 0, source);
  putU32(ids, 4, destination);
  return ['', 'aes-256-gcm'].map((cipher) =>
    createHmac('sha256', extracted)
      .update(ids)
      .update(from.publicKey)
      .update(to.publicKey)
      .update(utf8Encode(cipher))
      .update(Uint8Array.of(1))
      .digest('hex'),
  );
}

test('are those that the document says, and the same at both ends', () => {
  const a = epoch(1),
    b = epoch(2);
  const [there, back, aesThere, aesBack] = keysOf(A, a, B, b);
  expect([there, aesThere]).toEqual(reckoned(A, a, B, b));
  expect([back, aesBack]).toEqual(reckoned(B, b, A, a));
  expect(keysOf(B, b, A, a)).toEqual([back, there, aesBack, aesThere]);
});

test('differ by direction, cipher, node and epoch of either end', () => {
  const ours = [epoch(1), epoch(2)],
    theirs = [epoch(3), epoch(4)];
  const keys = ours.flatMap((own) =>
    theirs.flatMap((of) => [...keysOf(A, own, B, of), ...keysOf(A, own, B + 1, of)]),
  );
  expect(new Set(keys).size).toBe(2 * 2 * 2 * 4);
});

test('are none with a key of low order', () => {
  for (const key of [new Uint8Array(32), Uint8Array.of(1, ...new Uint8Array(31))])
    expect(pairKeys(nodePrimitives, A, epoch(1), B, key)).toBeNull();
});

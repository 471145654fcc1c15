/** Keys against published vectors, and what makes a key unusable. */

import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';

import { hex } from '../../../../src/core/base/bytes.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import {
  exchangeKeysOf,
  givesNoSecret,
  isExchangeKey,
  isSigningKey,
  makeExchangeKeys,
  makeSigningKeys,
  sharedSecret,
  sign,
  signingKeysOf,
  verifySignature,
} from '../../../../src/core/crypto/keys.ts';

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));

describe('Ed25519', () => {
  // RFC 8032, 7.1, tests 1 to 3.
  test.each([
    [
      '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
      'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
      '',
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701c' +
        'f9b46bd25bf5f0595bbe24655141438e7a100b',
    ],
    [
      '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
      '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
      '72',
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0' +
        'f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    ],
    [
      'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
      'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
      'af82',
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f76098' +
        '4dc6594a7c15e9716ed28dc027beceea1ec40a',
    ],
  ])('agrees with RFC 8032 for the key %s', (secret, publicKey, message, signature) => {
    const keys = signingKeysOf(bytes(secret));
    expect(hex(keys.publicKey)).toBe(publicKey);
    expect(hex(sign(bytes(message), keys.secret))).toBe(signature);
    expect(verifySignature(bytes(message), bytes(signature), keys.publicKey)).toBe(true);
    expect(
      verifySignature(Uint8Array.of(...bytes(message), 0), bytes(signature), keys.publicKey),
    ).toBe(false);
  });

  test('refuses a signature whose second half is not reduced, and lengths that are wrong', () => {
    const keys = makeSigningKeys(new Rng(1));
    const message = bytes('00');
    const good = sign(message, keys.secret);
    const order = 2n ** 252n + 27742317777372353535851937790883648493n;
    let s = order;
    for (let i = 63; i >= 32; i -= 1) s += BigInt(good[i]!) << BigInt(8 * (i - 32));
    const malleable = good.slice();
    for (let i = 32; i < 64; i += 1) malleable[i] = Number((s >> BigInt(8 * (i - 32))) & 255n);
    expect(verifySignature(message, good, keys.publicKey)).toBe(true);
    expect(verifySignature(message, malleable, keys.publicKey)).toBe(false);
    expect(verifySignature(message, good.slice(1), keys.publicKey)).toBe(false);
    expect(verifySignature(message, good, keys.publicKey.slice(1))).toBe(false);
  });

  test('refuses keys of small order, not on the curve or not canonical', () => {
    expect(isSigningKey(makeSigningKeys(new Rng(2)).publicKey)).toBe(true);
    for (const key of [
      '0100000000000000000000000000000000000000000000000000000000000000',
      '0000000000000000000000000000000000000000000000000000000000000000',
      'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
      '0200000000000000000000000000000000000000000000000000000000000000',
      'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
      '00',
    ])
      expect(isSigningKey(bytes(key)), key).toBe(false);
  });
});

describe('X25519', () => {
  test('agrees with RFC 7748, 5.2', () => {
    for (const [scalar, u, out] of [
      [
        'a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4',
        'e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c',
        'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552',
      ],
      [
        '4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d',
        'e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493',
        '95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957',
      ],
    ] as const)
      expect(hex(sharedSecret(exchangeKeysOf(bytes(scalar)).secret, bytes(u))!)).toBe(out);
  });

  test('agrees with RFC 7748, 6.1', () => {
    const bob = exchangeKeysOf(
      bytes('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb'),
    );
    expect(hex(bob.publicKey)).toBe(
      'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f',
    );
    const shared = '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742';
    expect(
      hex(
        sharedSecret(
          bob.secret,
          bytes('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a'),
        )!,
      ),
    ).toBe(shared);
  });

  test('refuses keys that are not canonical, of low order or of another length', () => {
    expect(isExchangeKey(makeExchangeKeys(new Rng(3)).publicKey)).toBe(true);
    const low = [
      '00'.repeat(32),
      `01${'00'.repeat(31)}`,
      'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
      '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
      `ec${'ff'.repeat(30)}7f`,
    ];
    const other = [
      `ed${'ff'.repeat(30)}7f`,
      `f6${'ff'.repeat(30)}7f`,
      `09${'00'.repeat(30)}80`,
      '09',
    ];
    for (const key of [...low, ...other]) expect(isExchangeKey(bytes(key)), key).toBe(false);
    for (const key of low) {
      expect(sharedSecret(makeExchangeKeys(new Rng(3)).secret, bytes(key)), key).toBeNull();
      expect(givesNoSecret(bytes(key)), key).toBe(true);
    }
    expect(isExchangeKey(bytes(`09${'00'.repeat(31)}`))).toBe(true);
  });
});

test(
  'keys of low order are those that give no secret, ' +
    'whatever their top bit and whether reduced',
  () => {
    const { secret } = makeExchangeKeys(new Rng(4)),
      rng = new Rng(5);
    const p = 2n ** 255n - 19n;
    const encoded = (u: bigint): Uint8Array =>
      Uint8Array.from({ length: 32 }, (_, i) => Number((u >> BigInt(8 * i)) & 255n));
    // Of order 8: the two whose multiples are all of these.
    const eighth = [
      0x00b8495f16056286fdb1329ceb8d09da6ac49ff1fae35616aeb8413b7c7aebe0n,
      0x57119fd0dd4e22d8868e1c58c45c44045bef839c55b1d0b1248c50a3bc959c5fn,
    ];
    for (const u of [0n, 1n, p - 1n, p, p + 1n, ...eighth]) {
      for (const top of [0n, 2n ** 255n])
        expect(givesNoSecret(encoded(u + top)), String(u)).toBe(true);
      expect(sharedSecret(secret, encoded(u)), String(u)).toBeNull();
    }
    for (const u of [2n, p - 2n, p + 2n, eighth[0]! + 1n])
      expect(givesNoSecret(encoded(u))).toBe(false);
    for (let i = 0; i < 200; i += 1) {
      const key = new Uint8Array(32);
      rng.fill(key);
      expect(givesNoSecret(key)).toBe(sharedSecret(secret, key) === null);
    }
  },
);

test('a secret is in no print and no JSON', () => {
  const keys = makeSigningKeys(new Rng(4));
  const secret = hex(keys.secret.reveal());
  const shown =
    inspect(keys, { depth: 9, showHidden: true }) + JSON.stringify(keys) + String(keys.secret);
  expect(shown).not.toContain(secret);
  expect(shown).not.toContain([...keys.secret.reveal()].slice(0, 5).join(', '));
  expect(JSON.stringify(keys.secret)).toBe('{}');
});

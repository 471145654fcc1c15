/**
 * The primitives against RFCs and Wycheproof, against each other, and the contract that the cheap
 * ones keep too.
 */

import { readFileSync } from 'node:fs';
import { ed25519 } from '@noble/curves/ed25519.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { describe, expect, test } from 'vitest';

import { hex } from '../../../../src/core/base/bytes.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import {
  isAuthentic,
  issueCertificate,
  issueRevocations,
  makeAuthority,
  makeRequest,
  Trust,
} from '../../../../src/core/crypto/certificates.ts';
import {
  makeExchangeKeys,
  makeSigningKeys,
  signingKeysOf,
  type KeyPair,
} from '../../../../src/core/crypto/keys.ts';
import {
  nobleDecrypt,
  nobleEncrypt,
  noblePrimitives,
} from '../../../../src/core/crypto/noble-primitives.ts';
import type { Primitives } from '../../../../src/core/crypto/primitives.ts';
import {
  nodeDecrypt,
  nodeEncrypt,
  nodePrimitives,
} from '../../../../src/host/primitives/node-primitives.ts';
import { availablePrimitives, isSound } from '../../../../src/host/primitives/choose-primitives.ts';
import { findFastAes } from '../../../../src/host/primitives/openssl-aes.ts';
import { loadSodium, sodiumPrimitives } from '../../../../src/host/primitives/sodium-primitives.ts';
import { cheapPrimitives, makeCheapKeys } from '../../../../src/lab/sim/cheap-primitives.ts';
import { ROLE_ROUTER } from '../../../../src/core/wire/certificate.ts';

interface Wycheproof {
  readonly aead: readonly (readonly [number, string, string, string, string, string, boolean])[];
  readonly ed25519: readonly (readonly [number, string, string, string, boolean])[];
  readonly x25519: readonly (readonly [number, string, string, string | null])[];
}

const wycheproof = JSON.parse(
  readFileSync(new URL('./vectors/wycheproof.json', import.meta.url), 'utf8'),
) as Wycheproof;
const NOTHING = new Uint8Array(0);
const TAG = 16;
/** RFC 7748, 6.1. */
const ALICE = '77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a',
  BOB = '5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb';
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));
const ascii = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'));

function some(random: Rng, length: number): Uint8Array {
  const out = new Uint8Array(length);
  random.fill(out);
  return out;
}

function flipped(b: Uint8Array, bit: number): Uint8Array {
  const out = b.slice();
  out[bit >> 3] = out[bit >> 3]! ^ (1 << (bit & 7));
  return out;
}

const sodium = loadSodium();
/** Optional: where sodium-native is not installed, what it would do is not tested. */
const libsodium = sodium === null ? [] : [sodiumPrimitives(sodium)];
const aes = findFastAes();
const fastAes: Primitives[] =
  aes === null ? [] : [{ ...nodePrimitives, name: 'OpenSSL by koffi', aesSealer: aes }];

type Aead = (
  key: Uint8Array,
  nonce: Uint8Array,
  associated: Uint8Array,
  text: Uint8Array,
) => Uint8Array | null;

const sodiumEncrypt: Aead = (key, nonce, associated, plain) => {
  const out = new Uint8Array(plain.length + TAG);
  sodium!.crypto_aead_chacha20poly1305_ietf_encrypt_detached(
    out.subarray(0, plain.length),
    out.subarray(plain.length),
    plain,
    associated,
    null,
    nonce,
    key,
  );
  return out;
};

const sodiumDecrypt: Aead = (key, nonce, associated, sealed) => {
  const out = new Uint8Array(sealed.length - TAG);
  try {
    sodium!.crypto_aead_chacha20poly1305_ietf_decrypt_detached(
      out,
      null,
      sealed.subarray(0, out.length),
      sealed.subarray(out.length),
      associated,
      nonce,
      key,
    );
    return out;
  } catch {
    return null;
  }
};

const REAL = [
  {
    name: noblePrimitives.name,
    p: noblePrimitives,
    seal: nobleEncrypt as Aead,
    open: nobleDecrypt as Aead,
  },
  {
    name: nodePrimitives.name,
    p: nodePrimitives,
    seal: nodeEncrypt as Aead,
    open: nodeDecrypt as Aead,
  },
  ...libsodium.map((p) => ({ name: p.name, p, seal: sodiumEncrypt, open: sodiumDecrypt })),
];

describe.each(REAL)('$name', ({ p, seal, open }) => {
  test('seals as RFC 8439, 2.8.2 does', () => {
    const key = bytes('808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f');
    const nonce = bytes('070000004041424344454647'),
      associated = bytes('50515253c0c1c2c3c4c5c6c7');
    const plain = ascii(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the " +
        'future, sunscreen would be it.',
    );
    const sealed =
      'd31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da' +
      '92728b1a71de0a9e060b2905d6a5b67ecd3b36' +
      '92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586' +
      'cec64b61161ae10b594f09e26a7e902ecbd0600691';
    expect(hex(seal(key, nonce, associated, plain)!)).toBe(sealed);
    expect(open(key, nonce, associated, bytes(sealed))).toEqual(plain);
  });

  test.each(wycheproof.aead)(
    'AEAD: Wycheproof %i',
    (_, key, nonce, associated, plain, sealed, valid) => {
      const opened = open(bytes(key), bytes(nonce), bytes(associated), bytes(sealed));
      expect(opened === null ? null : hex(opened)).toBe(valid ? plain : null);
      if (valid)
        expect(hex(seal(bytes(key), bytes(nonce), bytes(associated), bytes(plain))!)).toBe(sealed);
    },
  );

  test('exchanges keys as RFC 7748, 5.2 and 6.1 do', () => {
    const exchange = (secret: string, peer: string): string | null => {
      const shared = p.x25519(bytes(secret), bytes(peer));
      return shared === null ? null : hex(shared);
    };
    expect(
      exchange(
        'a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4',
        'e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c',
      ),
    ).toBe('c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552');
    expect(
      exchange(
        '4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d',
        'e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493',
      ),
    ).toBe('95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957');
    expect(hex(p.x25519PublicKey(bytes(ALICE)))).toBe(
      '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a',
    );
    expect(hex(p.x25519PublicKey(bytes(BOB)))).toBe(
      'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f',
    );
    const shared = '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742';
    expect(
      exchange(ALICE, 'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f'),
    ).toBe(shared);
    expect(exchange(BOB, '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a')).toBe(
      shared,
    );
    expect(exchange(ALICE, '00'.repeat(32))).toBeNull();
    expect([
      p.x25519(bytes(ALICE), new Uint8Array(31)),
      p.x25519(bytes(ALICE), new Uint8Array(33)),
    ]).toEqual([null, null]);
  });

  test.each(wycheproof.x25519)('X25519: Wycheproof %i', (_, secret, peer, shared) => {
    const got = p.x25519(bytes(secret), bytes(peer));
    expect(got === null ? null : hex(got)).toBe(shared);
  });

  // RFC 8032, 7.1, tests 1 to 3 and "SHA(abc)".
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
    [
      '833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42',
      'ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf',
      'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3' +
        'feebbd454d4423643ce80e2a9ac94fa54ca49f',
      'dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c664' +
        '31e0303dca179c138ac17ad9bef1177331a704',
    ],
  ])('signs as RFC 8032 does with the key %s', (secret, publicKey, message, signature) => {
    expect(hex(p.sign(bytes(message), bytes(secret), bytes(publicKey)))).toBe(signature);
    expect(p.verify(bytes(message), bytes(signature), bytes(publicKey))).toBe(true);
    expect(p.verify(Uint8Array.of(...bytes(message), 0), bytes(signature), bytes(publicKey))).toBe(
      false,
    );
  });

  test.each(wycheproof.ed25519)(
    'Ed25519: Wycheproof %i',
    (_, publicKey, message, signature, valid) => {
      expect(p.verify(bytes(message), bytes(signature), bytes(publicKey))).toBe(valid);
    },
  );

  // RFC 4231, 4.2 to 4.4 and 4.7 (a key longer than a block).
  test.each([
    [
      '0b'.repeat(20),
      '4869205468657265',
      'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
    ],
    [
      '4a656665',
      '7768617420646f2079612077616e7420666f72206e6f7468696e673f',
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    ],
    [
      'aa'.repeat(20),
      'dd'.repeat(50),
      '773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe',
    ],
    [
      'aa'.repeat(131),
      hex(ascii('Test Using Larger Than Block-Size Key - Hash Key First')),
      '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
    ],
  ])('authenticates as RFC 4231 does with the key %s', (key, message, mac) => {
    expect(hex(p.hmacSha256(bytes(key), bytes(message)))).toBe(mac);
    expect(
      hex(
        p.hmacSha256(
          bytes(key),
          bytes(message).subarray(0, 3),
          NOTHING,
          bytes(message).subarray(3),
        ),
      ),
    ).toBe(mac);
  });

  test('hashes as FIPS 180 does, however the input is divided', () => {
    expect(hex(p.sha256())).toBe(
      'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    );
    expect(hex(p.sha256(ascii('a'), NOTHING, ascii('bc')))).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
  });

  test(
    'verifies nothing by a key of small order or in a longer form, ' +
      'and takes no such key for good',
    () => {
      // What any signature of (base point times zero, zero) satisfies with the neutral element as
      // key.
      const signature = new Uint8Array(64);
      signature[0] = 1;
      const sign = (y: string): string =>
        y.slice(0, 62) + (Number.parseInt(y.slice(62), 16) | 0x80).toString(16).padStart(2, '0');
      const ff = 'ff'.repeat(30);
      const short = [
        '01' + '00'.repeat(31),
        `ec${ff}7f`,
        '00'.repeat(32),
        'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
        '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
      ];
      const long = Array.from({ length: 19 }, (_, i) => (0xed + i).toString(16) + ff + '7f');
      for (const key of [...short, ...long].flatMap((y) => [y, sign(y)])) {
        for (let i = 0; i < 16; i += 1)
          expect(p.verify(Uint8Array.of(i), signature, bytes(key)), key).toBe(false);
        expect(p.isSigningKey(bytes(key)), key).toBe(false);
      }
    },
  );
});

describe.each([nodePrimitives, ...libsodium])('@noble and $name', (b) => {
  const a = noblePrimitives;

  test('give the same bytes and open what the other sealed', () => {
    const random = new Rng(11);
    for (let i = 0; i < 60; i += 1) {
      const secret = some(random, 32),
        peer = some(random, 32),
        message = some(random, random.below(300));
      expect(a.x25519PublicKey(secret)).toEqual(b.x25519PublicKey(secret));
      expect(a.x25519(secret, peer)).toEqual(b.x25519(secret, peer));
      expect(a.sha256(secret, message)).toEqual(b.sha256(secret, message));
      expect(a.hmacSha256(secret, peer, message)).toEqual(b.hmacSha256(secret, peer, message));
      const { publicKey } = signingKeysOf(secret);
      const signature = a.sign(message, secret, publicKey);
      expect(b.sign(message, secret, publicKey)).toEqual(signature);
      expect([
        a.verify(message, signature, publicKey),
        b.verify(message, signature, publicKey),
      ]).toEqual([true, true]);
      expect([a.verify(message, signature, peer), b.verify(message, signature, peer)]).toEqual([
        false,
        false,
      ]);

      const number = Math.floor(random.unit() * 2 ** 48),
        associated = some(random, random.below(50));
      const sealed = a.encrypt(secret, number, associated, message);
      expect(b.encrypt(secret, number, associated, message)).toEqual(sealed);
      expect(a.decrypt(secret, number, associated, sealed)).toEqual(message);
      expect(b.decrypt(secret, number, associated, sealed)).toEqual(message);
      const head = associated.length,
        end = head + message.length;
      const datagram = Uint8Array.of(...associated, ...message, ...new Uint8Array(TAG));
      a.sealer(secret).seal(number, datagram, head, end);
      expect(datagram).toEqual(Uint8Array.of(...associated, ...sealed));
      expect(b.sealer(secret).open(number, datagram, head, end + TAG)).toBe(true);
      expect(datagram.subarray(0, end)).toEqual(Uint8Array.of(...associated, ...message));
      b.sealer(secret).seal(number, datagram, head, end);
      expect(a.sealer(secret).open(number, datagram, head, end + TAG)).toBe(true);
    }
  });

  test('agree about damaged signatures', () => {
    const random = new Rng(12),
      secret = some(random, 32),
      { publicKey } = signingKeysOf(secret),
      message = some(random, 40);
    const signature = a.sign(message, secret, publicKey);
    for (let bit = 0; bit < 512; bit += 7)
      expect(
        [
          a.verify(message, flipped(signature, bit), publicKey),
          b.verify(message, flipped(signature, bit), publicKey),
        ],
        `bit ${bit}`,
      ).toEqual([false, false]);
    for (let bit = 0; bit < 256; bit += 5)
      expect(
        [
          a.verify(message, signature, flipped(publicKey, bit)),
          b.verify(message, signature, flipped(publicKey, bit)),
        ],
        `key, bit ${bit}`,
      ).toEqual([false, false]);
  });

  test(
    'differ in what the holder of a key alone can make: ' +
      'a signature that holds only up to the cofactor',
    () => {
      const order = ed25519.Point.Fn.ORDER;
      const little = (b: Uint8Array): bigint =>
        b.reduceRight((sum, byte) => (sum << 8n) + BigInt(byte), 0n);
      const toBytes = (n: bigint): Uint8Array =>
        Uint8Array.from({ length: 32 }, (_, i) => Number((n >> BigInt(8 * i)) & 255n));
      const order8 = ed25519.Point.fromHex(
        'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
      );
      const scalar = 12345n,
        r = 67890n,
        message = ascii('twofold');
      const publicKey = ed25519.Point.BASE.multiply(scalar).toBytes();
      const signed = (commitment: Uint8Array): Uint8Array =>
        Uint8Array.of(
          ...commitment,
          ...toBytes(
            (r +
              (little(sha512(Uint8Array.of(...commitment, ...publicKey, ...message))) % order) *
                scalar) %
              order,
          ),
        );
      const plain = signed(ed25519.Point.BASE.multiply(r).toBytes()),
        mixed = signed(ed25519.Point.BASE.multiply(r).add(order8).toBytes());
      expect([a.verify(message, plain, publicKey), b.verify(message, plain, publicKey)]).toEqual([
        true,
        true,
      ]);
      expect([a.verify(message, mixed, publicKey), b.verify(message, mixed, publicKey)]).toEqual([
        true,
        false,
      ]);
    },
  );

  test('an array may come to hold another key', () => {
    const random = new Rng(13),
      first = some(random, 32),
      second = some(random, 32),
      reused = first.slice(),
      message = ascii('x');
    expect(b.x25519PublicKey(reused)).toEqual(a.x25519PublicKey(first));
    const keys = [signingKeysOf(first), signingKeysOf(second)] as const,
      held = keys[0].publicKey.slice();
    expect(b.verify(message, b.sign(message, reused, held), held)).toBe(true);
    reused.set(second);
    expect(b.x25519PublicKey(reused)).toEqual(a.x25519PublicKey(second));
    const signature = b.sign(message, reused, keys[1].publicKey);
    expect(b.verify(message, signature, held)).toBe(false);
    held.set(keys[1].publicKey);
    expect(b.verify(message, signature, held)).toBe(true);
  });
});

/** The same, whose sealers are those of AES; what they give is compared with node:crypto's. */
function withAes(p: Primitives): Primitives {
  const reference = p === cheapPrimitives ? p.aesSealer : nodePrimitives.aesSealer;
  return {
    ...p,
    sealer: p.aesSealer,
    encrypt(key, number, associated, plain) {
      const all = Uint8Array.of(...associated, ...plain, ...new Uint8Array(TAG));
      reference(key).seal(number, all, associated.length, associated.length + plain.length);
      return all.slice(associated.length);
    },
    decrypt(key, number, associated, sealed) {
      const all = Uint8Array.of(...associated, ...sealed);
      return reference(key).open(number, all, associated.length, all.length)
        ? all.slice(associated.length, all.length - TAG)
        : null;
    },
  };
}

describe.each(
  [
    { p: noblePrimitives, make: makeSigningKeys, exchange: makeExchangeKeys },
    { p: nodePrimitives, make: makeSigningKeys, exchange: makeExchangeKeys },
    ...libsodium.map((p) => ({ p, make: makeSigningKeys, exchange: makeExchangeKeys })),
    ...fastAes.map((p) => ({ p, make: makeSigningKeys, exchange: makeExchangeKeys })),
    { p: cheapPrimitives, make: makeCheapKeys, exchange: makeCheapKeys },
  ].flatMap((row) => [
    { name: row.p.name, ...row },
    { name: `${row.p.name} with AES`, ...row, p: withAes(row.p) },
  ]),
)('the contract, kept by $name', ({ p, make, exchange }) => {
  const random = new Rng(17);

  test(
    'a datagram of 100 bytes is refused with any bit flipped, ' +
      'with a wrong number, key or header length',
    () => {
      const key = some(random, 32),
        sealer = p.sealer(key),
        head = 14,
        end = 100 - TAG,
        number = 2 ** 40 + 5;
      const plain = some(random, 100),
        sealed = plain.slice();
      sealer.seal(number, sealed, head, end);
      expect(sealed.subarray(0, head)).toEqual(plain.subarray(0, head));
      expect(sealed.subarray(head, end)).not.toEqual(plain.subarray(head, end));
      const opens = (datagram: Uint8Array, by = sealer, as = number, from = head): boolean => {
        // In an array of its size, and in one that is longer than any datagram: what does not open
        // is left as it was.
        const copies = [datagram.slice(), new Uint8Array(4_000)] as const;
        copies[1].set(datagram);
        const opened = copies.map((copy) => by.open(as, copy, from, datagram.length));
        expect(opened[0]).toBe(opened[1]);
        if (!opened[0]!)
          for (const copy of copies) expect(copy.subarray(0, datagram.length)).toEqual(datagram);
        return opened[0]!;
      };
      expect(opens(sealed)).toBe(true);
      for (let bit = 0; bit < 800; bit += 1)
        expect(opens(flipped(sealed, bit)), `bit ${bit}`).toBe(false);
      for (let bit = 0; bit < 48; bit += 1) {
        const other =
          Math.floor(number / 2 ** bit) % 2 === 0 ? number + 2 ** bit : number - 2 ** bit;
        expect(opens(sealed, sealer, other), `number, bit ${bit}`).toBe(false);
      }
      for (let bit = 0; bit < 256; bit += 1)
        expect(opens(sealed, p.sealer(flipped(key, bit))), `key, bit ${bit}`).toBe(false);
      for (const from of [0, 13, 15, 84]) expect(opens(sealed, sealer, number, from)).toBe(false);
      for (let length = 0; length < 100; length += 1)
        expect(opens(sealed.subarray(0, length)), `length ${length}`).toBe(false);
      expect(sealer.open(number, sealed, head, 101)).toBe(false);
      const opened = sealed.slice();
      expect(sealer.open(number, opened, head, 100)).toBe(true);
      expect(opened.subarray(0, end)).toEqual(plain.subarray(0, end));
    },
  );

  test(
    'every length and every place in a larger buffer comes back as it was, ' +
      'and nothing else is touched',
    () => {
      const key = some(random, 32),
        sealer = p.sealer(key);
      for (let length = 0; length < 70; length += 1) {
        const slab = some(random, 200),
          before = slab.slice(),
          at = random.below(40),
          head = random.below(30),
          end = head + length;
        const datagram = slab.subarray(at, at + end + TAG);
        sealer.seal(length, datagram, head, end);
        expect(
          p.decrypt(key, length, before.subarray(at, at + head), datagram.subarray(head)),
        ).toEqual(before.slice(at + head, at + end));
        expect(
          p.encrypt(
            key,
            length,
            before.subarray(at, at + head),
            before.subarray(at + head, at + end),
          ),
        ).toEqual(datagram.slice(head));
        expect(sealer.open(length, datagram, head, end + TAG)).toBe(true);
        expect(slab.subarray(0, at + end)).toEqual(before.subarray(0, at + end));
        expect(slab.subarray(at + end + TAG)).toEqual(before.subarray(at + end + TAG));
      }
    },
  );

  test('a sealer keeps its key when the caller wipes his', () => {
    const key = some(random, 32),
      held = key.slice(),
      sealer = p.sealer(held),
      datagram = new Uint8Array(40);
    held.fill(0);
    sealer.seal(1, datagram, 4, 24);
    expect(p.sealer(key).open(1, datagram, 4, 40)).toBe(true);
  });

  test('both ends of an exchange agree, and nobody else does', () => {
    for (let i = 0; i < 30; i += 1) {
      const [x, y, z] = [some(random, 32), some(random, 32), some(random, 32)];
      const shared = p.x25519(x, p.x25519PublicKey(y))!;
      expect(shared).toHaveLength(32);
      expect(p.x25519(y, p.x25519PublicKey(x))).toEqual(shared);
      expect(p.x25519(z, p.x25519PublicKey(x))).not.toEqual(shared);
    }
    expect(p.x25519(some(random, 32), new Uint8Array(32))).toBeNull();
    expect(p.x25519(some(random, 32), new Uint8Array(31))).toBeNull();
  });

  test('a signature is for one message by one key; nonsense is false, not an exception', () => {
    const keys: KeyPair = make(random),
      other = make(random),
      message = some(random, 90);
    const signature = p.sign(message, keys.secret.reveal(), keys.publicKey);
    expect(signature).toHaveLength(64);
    expect(p.sign(message, keys.secret.reveal(), keys.publicKey)).toEqual(signature);
    expect(p.verify(message, signature, keys.publicKey)).toBe(true);
    expect(p.verify(message, signature, other.publicKey)).toBe(false);
    expect(
      p.verify(message, p.sign(message, other.secret.reveal(), keys.publicKey), keys.publicKey),
    ).toBe(false);
    for (let bit = 0; bit < 720; bit += 9)
      expect(p.verify(flipped(message, bit), signature, keys.publicKey)).toBe(false);
    for (let bit = 0; bit < 512; bit += 9)
      expect(p.verify(message, flipped(signature, bit), keys.publicKey)).toBe(false);
    for (const length of [0, 31, 33, 63, 65]) {
      expect(p.verify(message, some(random, length), keys.publicKey)).toBe(false);
      expect(p.verify(message, signature, some(random, length))).toBe(false);
      expect([
        p.isSigningKey(some(random, length)),
        p.isExchangeKey(some(random, length)),
        p.x25519(some(random, 32), some(random, length)),
      ]).toEqual([false, false, null]);
      expect(p.decrypt(some(random, 32), 0, NOTHING, some(random, length))).toBeNull();
    }
    expect([
      p.isSigningKey(keys.publicKey),
      p.isExchangeKey(exchange(random).publicKey),
      p.isExchangeKey(new Uint8Array(32)),
    ]).toEqual([true, true, false]);
  });

  test('a hash does not depend on how its input is divided, and changes with every bit', () => {
    const input = some(random, 61),
      hash = p.sha256(input);
    expect(hash).toHaveLength(32);
    for (let at = 0; at <= input.length; at += 1)
      expect(p.sha256(input.subarray(0, at), input.subarray(at))).toEqual(hash);
    const seen = new Set([hex(hash), hex(p.sha256(Uint8Array.of(...input, 0)))]);
    for (let bit = 0; bit < 8 * input.length; bit += 1)
      seen.add(hex(p.sha256(flipped(input, bit))));
    expect(seen.size).toBe(2 + 8 * input.length);
  });

  test('a network is founded, joined and left by certificates', () => {
    const validity = { notBeforeS: 0, notAfterS: 100 },
      founder = make(random),
      signing = make(random);
    const authority = makeAuthority('lab', founder, validity, null, p),
      trust = new Trust([authority], p);
    const request = makeRequest('alpha', 0x0a000001, signing, exchange(random).publicKey, p);
    const certificate = issueCertificate(
      request,
      ROLE_ROUTER,
      validity,
      authority,
      founder.secret,
      random,
      p,
    );
    expect([isAuthentic(authority, p), trust.judge(certificate, 50)]).toEqual([true, 'ok']);
    const forged = issueCertificate(
      request,
      ROLE_ROUTER,
      validity,
      authority,
      make(random).secret,
      random,
      p,
    );
    expect(trust.judge(forged, 50)).toBe('bad-signature');
    expect(
      trust.offer(issueRevocations([certificate.serial], null, 50, authority, signing.secret, p)),
    ).toBe('bad-signature');
    expect(
      trust.offer(issueRevocations([certificate.serial], null, 50, authority, founder.secret, p)),
    ).toBe('ok');
    expect(trust.judge(certificate, 50)).toBe('revoked');
  });
});

describe('a daemon takes', () => {
  test('the fastest of those that are there', () => {
    const available = availablePrimitives();
    expect(available.map(({ primitives: { name } }) => name).sort()).toEqual(
      [...libsodium.map(({ name }) => name), '@noble', 'node:crypto'].sort(),
    );
    for (const [i, { microseconds }] of available.entries())
      expect(microseconds).toBeGreaterThanOrEqual(
        available[i - 1]?.microseconds ?? Number.MIN_VALUE,
      );
  });

  test('none that gives other bytes, takes what it should refuse, or throws', () => {
    for (const p of [...libsodium, noblePrimitives, nodePrimitives])
      expect(isSound(p), p.name).toBe(true);
    expect(isSound(cheapPrimitives)).toBe(false);
    const broken: Partial<typeof nodePrimitives>[] = [
      {
        encrypt: (key, number, associated, plain) =>
          flipped(nodePrimitives.encrypt(key, number, associated, plain), 3),
      },
      {
        decrypt: (key, number, associated, sealed) =>
          nodePrimitives.decrypt(key, number, associated, sealed) ?? sealed.subarray(TAG),
      },
      { verify: () => true },
      { verify: () => false },
      { x25519: () => null },
      {
        sha256: () => {
          throw new Error('no such instruction');
        },
      },
    ];
    for (const part of broken) expect(isSound({ ...nodePrimitives, ...part })).toBe(false);
  });
});

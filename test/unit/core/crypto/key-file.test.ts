/** Private key files: round trips, passphrases, and damage that is noticed. */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import {
  decodeKeyFile,
  encodeKeyFile,
  openKeyFile,
  type KeyFile,
  type PrivateKeys,
} from '../../../../src/core/crypto/key-file.ts';
import { makeExchangeKeys, makeSigningKeys } from '../../../../src/core/crypto/keys.ts';

const random = new Rng(31);
const NODE: PrivateKeys = {
  name: 'alpha',
  node: 0x0a000001,
  signing: makeSigningKeys(random),
  exchange: makeExchangeKeys(random),
};
const AUTHORITY: PrivateKeys = {
  name: 'lab',
  node: 0,
  signing: makeSigningKeys(random),
  exchange: null,
};
const CHEAP = 10;

const secretsOf = (keys: PrivateKeys): number[][] =>
  [keys.signing, keys.exchange].map((pair) => [...(pair?.secret.reveal() ?? [])]);

describe.each([
  ['a node', NODE],
  ['an authority', AUTHORITY],
] as const)('the key file of %s', (_who, keys) => {
  test.each([
    ['in the clear', null],
    ['under a passphrase', 'correct horse'],
  ] as const)('%s comes back', (_how, passphrase) => {
    const file = decodeKeyFile(encodeKeyFile(keys, passphrase, random, CHEAP))!;
    expect(file).toMatchObject({
      name: keys.name,
      node: keys.node,
      encrypted: passphrase !== null,
      holder: keys.exchange === null ? 'authority' : 'node',
      signingKey: keys.signing.publicKey,
    });
    const opened = openKeyFile(file, passphrase);
    expect(secretsOf(opened)).toEqual(secretsOf(keys));
    expect(opened.exchange?.publicKey).toEqual(keys.exchange?.publicKey);
  });

  test('cut short, grown or with any byte changed, gives no keys', () => {
    for (const passphrase of [null, 'p']) {
      const bytes = encodeKeyFile(keys, passphrase, random, CHEAP);
      for (let length = 0; length < bytes.length; length += 1)
        expect(decodeKeyFile(bytes.slice(0, length))).toBeNull();
      expect(decodeKeyFile(Uint8Array.of(...bytes, 0))).toBeNull();
      const changed = bytes.slice();
      for (let at = 0; at < bytes.length; at += 1) {
        changed[at] = bytes[at]! ^ 1;
        const file = decodeKeyFile(changed);
        if (file !== null) expect(() => openKeyFile(file, 'p'), `byte ${at}`).toThrow(/damaged/);
        changed[at] = bytes[at]!;
      }
    }
  });
});

describe('a passphrase', () => {
  const bytes = encodeKeyFile(NODE, 'Café', random, CHEAP);
  const file = decodeKeyFile(bytes) as KeyFile;

  test('that is wrong, missing or empty is an error that says so', () => {
    for (const wrong of ['café', 'Café ', ''])
      expect(() => openKeyFile(file, wrong)).toThrow(
        expect.objectContaining({
          code: 'EPASSPHRASE',
          message: expect.stringContaining('passphrase is wrong'),
        }),
      );
    expect(() => openKeyFile(file, null)).toThrow(expect.objectContaining({ code: 'EPASSPHRASE' }));
    expect(() => encodeKeyFile(NODE, '', random, CHEAP)).toThrow(
      expect.objectContaining({ code: 'EPASSPHRASE' }),
    );
  });

  test('typed in another Unicode form is the same', () => {
    expect(secretsOf(openKeyFile(file, 'Cafe\u0301'))).toEqual(secretsOf(NODE));
  });

  test('hides the secrets, with salt and nonce of its own each time', () => {
    const text = Buffer.from(bytes).toString('hex');
    for (const secret of secretsOf(NODE))
      expect(text).not.toContain(Buffer.from(secret).toString('hex'));
    expect(encodeKeyFile(NODE, 'Café', random, CHEAP)).not.toEqual(bytes);
  });

  test('cannot be made to cost any amount of work', () => {
    for (const cost of [0, 9, 21, 255]) {
      const changed = bytes.slice();
      changed[73] = cost;
      expect(decodeKeyFile(changed)).toBeNull();
    }
  });
});

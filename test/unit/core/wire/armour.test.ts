/**
 * The text armour: one text for one content, and nothing else is taken for it.
 */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { armour, unarmour } from '../../../../src/core/wire/armour.ts';
import { REVOCATIONS_BYTES_MAX } from '../../../../src/core/wire/certificate.ts';
import { randomBytes } from '../../../fuzz/mutate.ts';

const rng = new Rng(11);

describe('text armour', () => {
  const text = armour('SPINES CERTIFICATE', randomBytes(rng, 300));

  test('brings back bytes of any length', () => {
    for (let length = 1; length < 200; length += 1) {
      const bytes = randomBytes(rng, length);
      const armoured = armour('SPINES PRIVATE KEY', bytes);
      expect(armoured).toBe(
        `-----BEGIN SPINES PRIVATE KEY-----\n${Buffer.from(bytes)
          .toString('base64')
          .replace(/.{64}(?=.)/g, '$&\n')}\n-----END SPINES PRIVATE KEY-----\n`,
      );
      expect(unarmour(armoured)).toEqual({ label: 'SPINES PRIVATE KEY', bytes });
    }
  });

  test('holds the longest list', () => {
    const bytes = new Uint8Array(REVOCATIONS_BYTES_MAX);
    expect(unarmour(armour('SPINES REVOCATION LIST', bytes))).toEqual({
      label: 'SPINES REVOCATION LIST',
      bytes,
    });
    expect(unarmour(armour('SPINES REVOCATION LIST', new Uint8Array(60_000)))).toBeNull();
  });

  test('with any character changed or missing, is other bytes or refused', () => {
    for (let at = 0; at < text.length; at += 1) {
      for (const put of ['', 'A', 'z', '/', '=', ' ', '\n', '\r', '-', 'é', '\0']) {
        const changed = text.slice(0, at) + put + text.slice(at + 1);
        const found = unarmour(changed);
        if (found !== null && armour(found.label, found.bytes) !== changed)
          throw new Error(`${at} ${put}`);
      }
    }
  });

  test('in other forms is refused', () => {
    const [begin, ...rest] = text.split('\n');
    for (const other of [
      '',
      ' ' + text,
      text + '\n',
      text.trimEnd(),
      text + text,
      text.replaceAll('\n', '\r\n'),
      `note\n${text}`,
      text.toLowerCase(),
      [begin, rest.slice(0, -2).join(''), ...rest.slice(-2)].join('\n'),
      text.replace('END SPINES CERTIFICATE', 'END SPINES AUTHORITY'),
      text.replaceAll('SPINES CERTIFICATE', 'SPINES THING'),
      text.replaceAll('SPINES CERTIFICATE', 'CERTIFICATE'),
      text.replace('\n', '\n\n'),
      '-----BEGIN SPINES CERTIFICATE-----\n-----END SPINES CERTIFICATE-----\n',
      '-----BEGIN SPINES CERTIFICATE-----\nAB==\n-----END SPINES CERTIFICATE-----\n',
    ])
      expect(unarmour(other), JSON.stringify(other.slice(0, 50))).toBeNull();
    expect(
      unarmour('-----BEGIN SPINES CERTIFICATE-----\nAA==\n-----END SPINES CERTIFICATE-----\n'),
    ).not.toBeNull();
  });
});

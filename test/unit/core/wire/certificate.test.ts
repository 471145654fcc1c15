/**
 * Signed statements as bytes: one encoding for one content, and WIRE.md section 11 agrees.
 */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

import { equalBytes } from '../../../../src/core/base/bytes.ts';
import { sortedGroups } from '../../../../src/core/base/ids.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import * as wire from '../../../../src/core/wire/certificate.ts';
import { mutate, randomBytes } from '../../../fuzz/mutate.ts';

const rng = new Rng(11);
const key = (): Uint8Array => randomBytes(rng, 32);
const signature = randomBytes(rng, 64);
const signed = (body: Uint8Array): Uint8Array => Uint8Array.of(...body, ...signature);

const AUTHORITY = {
  name: 'lab',
  network: key(),
  signingKey: key(),
  notBeforeS: 1_000,
  notAfterS: 0xffff_ffff_ffff,
};
const REQUEST = { name: 'n', node: 0x0a000001, signingKey: key(), exchangeKey: key(), groups: [] };
const CERTIFICATE = {
  ...REQUEST,
  name: 'a'.repeat(63),
  network: key(),
  authority: randomBytes(rng, 16),
  serial: '00000000000000ff',
  roles: 3,
  notBeforeS: 1_700_000_000,
  notAfterS: 1_800_000_000,
};
const LIST = {
  network: key(),
  authority: randomBytes(rng, 16),
  number: 7,
  issuedS: 99,
  serials: ['0000000000000001', '00ff000000000000', 'ffffffffffffffff'],
  subjects: [],
};
const SUBJECTS = [
  { subject: '0'.repeat(24), untilS: 0 },
  { subject: `${'0'.repeat(23)}1`, untilS: 7 },
  { subject: 'f'.repeat(24), untilS: 0xffff_ffff_ffff },
];

/** As many characters as groups may have. */
const MOST_GROUPS = ['a', 'b.c_d-e', `x${'y'.repeat(44)}`];

interface Codec {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly fields: object;
  readonly decode: (b: Uint8Array, start?: number, end?: number) => object | string;
  /** Encodes decoded fields again, with the signature that was there. */
  readonly again: (value: never) => Uint8Array;
}

const CODECS: readonly Codec[] = [
  {
    name: 'authority',
    bytes: signed(wire.encodeAuthority(AUTHORITY)),
    fields: AUTHORITY,
    decode: wire.decodeAuthority,
    again: wire.encodeAuthority,
  },
  {
    name: 'request',
    bytes: signed(wire.encodeRequest(REQUEST)),
    fields: REQUEST,
    decode: wire.decodeRequest,
    again: wire.encodeRequest,
  },
  {
    name: 'certificate',
    bytes: signed(wire.encodeCertificate(CERTIFICATE)),
    fields: CERTIFICATE,
    decode: wire.decodeCertificate,
    again: wire.encodeCertificate,
  },
  {
    name: 'request with groups',
    bytes: signed(wire.encodeRequest({ ...REQUEST, groups: ['ops'] })),
    fields: { ...REQUEST, groups: ['ops'] },
    decode: wire.decodeRequest,
    again: wire.encodeRequest,
  },
  {
    name: 'certificate with groups',
    bytes: signed(wire.encodeCertificate({ ...CERTIFICATE, groups: MOST_GROUPS })),
    fields: { ...CERTIFICATE, groups: MOST_GROUPS },
    decode: wire.decodeCertificate,
    again: wire.encodeCertificate,
  },
  {
    name: 'revocation list',
    bytes: signed(wire.encodeRevocations(LIST)),
    fields: LIST,
    decode: wire.decodeRevocations,
    again: wire.encodeRevocations,
  },
  {
    name: 'revocation list with subjects',
    bytes: signed(wire.encodeRevocations({ ...LIST, subjects: SUBJECTS.slice(1) })),
    fields: { ...LIST, subjects: SUBJECTS.slice(1) },
    decode: wire.decodeRevocations,
    again: wire.encodeRevocations,
  },
];

/**
 * 'same' when `bytes` are exactly what their content encodes to, else the fault; 'other' must not
 * be.
 */
function outcome({ decode, again }: Codec, bytes: Uint8Array): string {
  const value = decode(bytes);
  if (typeof value === 'string') return value;
  return equalBytes(Uint8Array.of(...again(value as never), ...wire.signaturePart(bytes)), bytes)
    ? 'same'
    : 'other';
}

describe.each(CODECS)('$name', (codec) => {
  const { bytes, fields, decode } = codec;

  test('comes back as it was, also from within other bytes', () => {
    expect(decode(bytes)).toEqual({ ...fields, bytes });
    const around = Uint8Array.of(9, 9, ...bytes, 9);
    expect(decode(around, 2, 2 + bytes.length)).toEqual({ ...fields, bytes });
  });

  test('keeps a copy: the bytes that it was read from may change', () => {
    const buffer = bytes.slice();
    const value = decode(buffer);
    buffer.fill(0);
    expect(value).toEqual({ ...fields, bytes });
  });

  test('cut short anywhere, or with a byte more, is refused', () => {
    for (let length = 0; length < bytes.length; length += 1)
      expect(decode(bytes.slice(0, length)), `${length}`).toBe('truncated');
    for (const extra of [0, 1, 255])
      expect(decode(Uint8Array.of(...bytes, extra))).toBe('left-over');
  });

  test('with any byte changed to any value, is refused or means exactly what it says', () => {
    const changed = bytes.slice();
    for (let at = 0; at < bytes.length; at += 1) {
      for (let value = 0; value < 256; value += 1) {
        changed[at] = value;
        if (outcome(codec, changed) === 'other') throw new Error(`byte ${at} = ${value}`);
      }
      changed[at] = bytes[at]!;
    }
    expect(outcome(codec, changed)).toBe('same');
  });

  test('damaged at random, never throws', () => {
    for (let i = 0; i < 20_000; i += 1)
      expect(outcome(codec, mutate(rng, bytes, CODECS[i % CODECS.length]!.bytes))).not.toBe(
        'other',
      );
  });
});

describe('what is refused', () => {
  const certificate = (change: object): string | object =>
    wire.decodeCertificate(signed(wire.encodeCertificate({ ...CERTIFICATE, ...change })));
  const list = (...serials: string[]): string | object =>
    wire.decodeRevocations(signed(wire.encodeRevocations({ ...LIST, serials })));

  test('a certificate with fields that mean nothing', () => {
    for (const name of ['', '-a', '10.0.0.1', 'a b', 'ä', 'a\n'])
      expect(certificate({ name }), name).toBe('name');
    for (const roles of [0, 4, 0x81]) expect(certificate({ roles })).toBe('roles');
    for (const node of [0, 0xe0000000, 0xffffffff]) expect(certificate({ node })).toBe('node');
    expect(certificate({ node: 0, roles: wire.ROLE_CLIENT })).toBeTypeOf('object');
    expect(certificate({ node: 0xe0000000, roles: wire.ROLE_CLIENT })).toBe('node');
    expect(certificate({ serial: '0'.repeat(16) })).toBe('serial');
    expect(certificate({ notBeforeS: 5, notAfterS: 5 })).toBe('validity');
    expect(certificate({ notBeforeS: 5, notAfterS: 6 })).toBeTypeOf('object');
  });

  test('another kind or version', () => {
    expect(wire.decodeCertificate(Uint8Array.of(4, ...CODECS[2]!.bytes.slice(1)))).toBe('kind');
    expect(wire.decodeCertificate(Uint8Array.of(3, 3, ...CODECS[2]!.bytes.slice(2)))).toBe(
      'version',
    );
  });

  test('groups in another order, twice, none, empty, too long, or with other characters', () => {
    const grouped = (...groups: string[]): string | object =>
      wire.decodeCertificate(signed(wire.encodeCertificate({ ...CERTIFICATE, groups })));
    expect(grouped('a', 'b')).toBeTypeOf('object');
    for (const groups of [
      ['b', 'a'],
      ['a', 'a'],
      ['a', ''],
      ['-a'],
      ['a b'],
      ['ä'],
      ['a'.repeat(56)],
      ['A', 'b'.repeat(54)],
    ])
      expect(grouped(...groups), groups.join()).toBe('groups');
    expect(grouped('A', 'b'.repeat(53))).toBeTypeOf('object');
    // Without groups it is a certificate of version 1: one content has one encoding.
    const none = Uint8Array.of(
      ...wire.encodeCertificate({ ...CERTIFICATE, groups: ['a'] }).slice(0, -1),
    );
    none[140] = 0;
    expect(wire.decodeCertificate(signed(none))).toBe('groups');
    expect([
      sortedGroups(['b', 'a', 'b']),
      sortedGroups([]),
      sortedGroups(['a,b']),
      sortedGroups(['']),
    ]).toEqual([['a', 'b'], [], null, null]);
    expect(wire.encodeCertificate({ ...CERTIFICATE, groups: MOST_GROUPS }).length + 64).toBe(
      wire.CERTIFICATE_BYTES_MAX,
    );
  });

  test('golden: a request with groups, byte by byte', () => {
    const golden = wire.encodeRequest({
      name: 'cam',
      node: 0x0a00_0007,
      signingKey: new Uint8Array(32).fill(1),
      exchangeKey: new Uint8Array(32).fill(2),
      groups: ['ops', 'video'],
    });
    expect(Buffer.from(golden).toString('hex')).toBe(
      `0202030a000007${'01'.repeat(32)}${'02'.repeat(32)}0963616d6f70732c766964656f`,
    );
  });

  test('serials out of order, twice, zero or too many', () => {
    expect(list('0000000000000002', '0000000000000001')).toBe('serials-unsorted');
    expect(list('0000000000000002', '0000000000000002')).toBe('serials-unsorted');
    expect(list('0000000000000000')).toBe('serial');
    expect(list()).toBeTypeOf('object');
    const serials = (count: number): string[] =>
      Array.from({ length: count }, (_, i) => (i + 1).toString(16).padStart(16, '0'));
    expect(list(...serials(wire.REVOCATIONS_MAX))).toBeTypeOf('object');
    expect(list(...serials(wire.REVOCATIONS_MAX + 1))).toBe('too-many-serials');
  });

  test('subjects out of order, twice, none where some are said, or too many', () => {
    const list = (
      subjects: readonly wire.RevokedSubject[],
      serials: readonly string[] = [],
    ): string | object =>
      wire.decodeRevocations(signed(wire.encodeRevocations({ ...LIST, serials, subjects })));
    const [zero, one, most] = SUBJECTS as [
      wire.RevokedSubject,
      wire.RevokedSubject,
      wire.RevokedSubject,
    ];
    expect(list([one, most], LIST.serials)).toBeTypeOf('object');
    expect(list([most, one])).toBe('subjects-unsorted');
    expect(list([one, one])).toBe('subjects-unsorted');
    expect(list([zero, one])).toBeTypeOf('object');
    const many = (count: number): wire.RevokedSubject[] =>
      Array.from({ length: count }, (_, i) => ({
        subject: (i + 1).toString(16).padStart(24, '0'),
        untilS: i,
      }));
    expect(list(many(wire.SUBJECTS_MAX))).toBeTypeOf('object');
    expect(list(many(wire.SUBJECTS_MAX + 1))).toBe('too-many-subjects');
    expect(list(many(wire.SUBJECTS_MAX), LIST.serials)).toBe('too-many-subjects');
    const none = Uint8Array.of(
      ...wire.encodeRevocations({ ...LIST, serials: [], subjects: [] }),
      0,
      0,
    );
    none[1] = wire.REVOCATIONS_VERSION_SUBJECTS;
    expect(wire.decodeRevocations(signed(none))).toBe('version');
  });
});

describe('WIRE.md section 11', () => {
  const document = readFileSync(
    fileURLToPath(new URL('../../../../src/core/wire/WIRE.md', import.meta.url)),
    'utf8',
  );
  const table = (marker: string): string[][] => {
    const match = new RegExp(`<!-- ${marker} -->\\n((?:\\|.*\\|\\n)+)`).exec(document);
    return match === null
      ? []
      : match[1]!
          .trim()
          .split('\n')
          .slice(2)
          .map((row) =>
            row
              .slice(1, -1)
              .split('|')
              .map((cell) => cell.trim()),
          );
  };

  test.each([
    ['AUTHORITY', wire.AUTHORITY_LAYOUT, ['name', 'signature']],
    ['REQUEST', wire.REQUEST_LAYOUT, ['name', 'signature']],
    ['REQUEST_GROUPS', wire.REQUEST_GROUPS_LAYOUT, ['name', 'groups', 'signature']],
    ['CERTIFICATE_GROUPS', wire.CERTIFICATE_GROUPS_LAYOUT, ['name', 'groups', 'signature']],
    ['CERTIFICATE', wire.CERTIFICATE_LAYOUT, ['name', 'signature']],
    ['REVOCATIONS', wire.REVOCATIONS_LAYOUT, ['serials', 'signature']],
    [
      'REVOCATIONS_SUBJECTS',
      wire.REVOCATIONS_SUBJECTS_LAYOUT,
      ['serials', 'subjects', 'signature'],
    ],
  ] as const)('has the layout of %s', (name, layout, varying) => {
    const rows = table(`layout: ${name}`);
    const fields = Object.entries(layout);
    expect(
      rows.slice(0, fields.length).map((row) => [row[2], Number(row[0]), Number(row[1])]),
    ).toEqual(fields.map(([field, [at, length]]) => [field, at, length]));
    expect(rows.slice(fields.length).map((row) => row[2])).toEqual(varying);
    let end = 0;
    for (const [, [at, length]] of fields) {
      expect(at).toBe(end);
      end = at + length;
    }
    expect(Number(rows[fields.length]![0])).toBe(end);
  });

  test('has the values and bounds', () => {
    expect(
      table('values: STATEMENT').map((row) => [`STATEMENT_${row[1]}`, Number(row[0])]),
    ).toEqual(
      Object.entries(wire)
        .filter(([name]) => /^STATEMENT_(?!VERSION)/.test(name))
        .sort((a, b) => Number(a[1]) - Number(b[1])),
    );
    expect(table('values: ROLE').map((row) => [row[1], Number(row[0])])).toEqual([
      ['ROUTER', wire.ROLE_ROUTER],
      ['CLIENT', wire.ROLE_CLIENT],
    ]);
    expect(document).toContain(`at most ${wire.CERTIFICATE_BYTES_MAX} bytes`);
    expect(document).toContain(`At most ${wire.REVOCATIONS_BYTES_MAX.toLocaleString('en')} bytes`);
    expect(document).toContain(`n, at most ${wire.REVOCATIONS_MAX} |`);
    expect(document).toContain(`m, 1 to ${wire.SUBJECTS_MAX} |`);
    const [subject, until] = table('layout: SUBJECT').map((row) => [
      row[2],
      Number(row[0]),
      Number(row[1]),
    ]);
    expect([subject, until]).toEqual(
      Object.entries(wire.SUBJECT_LAYOUT).map(([field, [at, length]]) => [field, at, length]),
    );
  });
});

/** Small files as editors, mail and other systems leave them are read as what was meant. */

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';

import { decodeText, readText, tidied } from '../../../../src/host/files/text-file.ts';
import { armour, unarmour } from '../../../../src/core/wire/armour.ts';

const dir = mkdtempSync(join(tmpdir(), 'spines-text-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const path = join(dir, 'file');
const utf8 = (text: string): Buffer => Buffer.from(text, 'utf8');
const read = (bytes: Uint8Array, options = {}): string => {
  writeFileSync(path, bytes);
  return readText(path, 'thing', options);
};

const LF = 'first: ä\nsecond\n';

test('line ends, byte order marks and UTF-16 do not change what is read', () => {
  expect(read(utf8(LF))).toBe(LF);
  expect(read(utf8(LF.replaceAll('\n', '\r\n')))).toBe(LF);
  expect(read(utf8(LF.replaceAll('\n', '\r')))).toBe(LF);
  expect(read(Buffer.concat([Buffer.of(0xef, 0xbb, 0xbf), utf8(LF)]))).toBe(LF);
  const le = Buffer.from(`\ufeff${LF.replaceAll('\n', '\r\n')}`, 'utf16le');
  expect(read(le)).toBe(LF);
  expect(read(Buffer.from(le).swap16())).toBe(LF);
});

test('a text of any length up to the bound is whole', () => {
  for (const length of [0, 1, 4_095, 4_096, 4_097, 100_000])
    expect(read(Buffer.alloc(length, 'x'))).toHaveLength(length);
  expect(read(Buffer.alloc(10, 'x'), { bytesMax: 10 })).toHaveLength(10);
  expect(() => read(Buffer.alloc(11, 'x'), { bytesMax: 10 })).toThrow(
    `thing ${path} is too long to be one; check the path`,
  );
  expect(readText('/proc/self/status', 'thing')).toContain('Name:');
});

test('what cannot be read is said with the file and the next step', () => {
  expect(() => readText(join(dir, 'none'), 'thing')).toThrow(
    `thing ${join(dir, 'none')} does not exist; check the path`,
  );
  expect(() => readText(dir, 'thing')).toThrow(`thing ${dir} is a directory; check the path`);
  expect(() => readText(join(path, 'below'), 'thing', { subject: 'client.tcp.token' })).toThrow(
    /^client\.tcp\.token: thing .* lies below something that is no folder; check the path$/,
  );
  read(utf8('secret'));
  chmodSync(path, 0o640);
  expect(() => readText(path, 'thing', { isSecret: () => true })).toThrow(
    /has mode 0640, so others could have read it; replace it/,
  );
  expect(readText(path, 'thing', { isSecret: (text) => text !== 'secret' })).toBe('secret');
});

test(
  'an identity text with blanks and newlines more or less is the same bytes; ' +
    'one with a character changed is not',
  () => {
    const bytes = Uint8Array.from({ length: 300 }, (_, i) => i);
    const text = armour('SPINES CERTIFICATE', bytes);
    const forms = [
      text.trimEnd(),
      `${text}\n\n`,
      `\n${text}`,
      text.replaceAll('\n', '  \n'),
      text.replaceAll('\n', '\t\r\n'),
      `\ufeff${text}`,
      `\ufeff\r\n${text.replaceAll('\n', ' \r\n')}\r\n  \r\n`,
    ];
    for (const form of forms)
      expect(unarmour(tidied(decodeText(utf8(form)))), JSON.stringify(form.slice(0, 40))).toEqual({
        label: 'SPINES CERTIFICATE',
        bytes,
      });
    for (const form of [
      `a note\n${text}`,
      `${text}more\n`,
      text.replace('\n', '\n\n'),
      text.slice(0, -20),
      text.replace('AAEC', 'AAE'),
    ])
      expect(unarmour(tidied(decodeText(utf8(form))))).toBeNull();
  },
);

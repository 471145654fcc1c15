/**
 * The token of the TCP listener, and the group of the socket: what is accepted, made and refused.
 */

import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';

import { groupIdOf, isGroup } from '../../../../src/host/doors/socket-group.ts';
import { readText } from '../../../../src/host/files/text-file.ts';
import { readOrMakeToken, tokenGrants } from '../../../../src/host/doors/token-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'spines-token-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a token file', () => {
  test('is made when missing, for its owner alone, and read again', () => {
    const path = join(folder, 'made');
    const token = readOrMakeToken(path);
    expect(token).toMatch(/^[0-9a-f]{64}$/);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readFileSync(path, 'utf8')).toBe(`${token}\n`);
    expect(readOrMakeToken(path)).toBe(token);
    expect(readOrMakeToken(join(folder, 'other'))).not.toBe(token);
    expect(readdirSync(folder).filter((name) => name.endsWith('.new'))).toEqual([]);
  });

  test('that others may read, or that holds no token, is refused', () => {
    const path = join(folder, 'open');
    readOrMakeToken(path);
    for (const mode of [0o604, 0o640, 0o620, 0o601]) {
      chmodSync(path, mode);
      expect(() => readOrMakeToken(path), mode.toString(8)).toThrow(
        /others may read .*; run `chmod 600/,
      );
    }
    chmodSync(path, 0o600);
    for (const text of [
      '',
      'secret\n',
      `${'0'.repeat(63)}\n`,
      `${'0'.repeat(65)}`,
      `${'G'.repeat(64)}`,
    ]) {
      writeFileSync(path, text);
      expect(() => readOrMakeToken(path), text).toThrow(/64 hexadecimal digits; /);
    }
    const place = join(folder, 'folder');
    mkdirSync(place);
    expect(() => readOrMakeToken(place)).toThrow(/is not a file; /);
    expect(() => readOrMakeToken(join(folder, 'none', 'token'))).toThrow(
      /cannot be written: its folder does not exist; /,
    );
  });

  test('is no link that somebody has put there', () => {
    const path = join(folder, 'real'),
      link = join(folder, 'link'),
      nowhere = join(folder, 'dangling');
    readOrMakeToken(path);
    symlinkSync(path, link);
    symlinkSync(join(folder, 'not-there'), nowhere);
    for (const found of [link, nowhere])
      expect(() => readOrMakeToken(found)).toThrow(
        /client\.tcp\.token: .* is a symbolic link; name the file itself/,
      );
    expect(readdirSync(folder)).not.toContain('not-there');
  });

  test.skipIf(process.getuid?.() !== 0)(
    'of another user is refused, and so is his secret of any kind',
    () => {
      const path = join(folder, 'foreign');
      readOrMakeToken(path);
      chownSync(path, 12_345, 12_345);
      expect(() => readOrMakeToken(path)).toThrow(
        /belongs to user 12345, who knows what is in it; remove it/,
      );
      expect(() => readText(path, 'key file', { isSecret: () => true })).toThrow(
        /key file .* belongs to user 12345, who could have put it there; run this as/,
      );
      // What is no secret may be anybody's.
      expect(readText(path, 'certificate')).toMatch(/^[0-9a-f]{64}$/m);
      const link = join(folder, 'foreign-link');
      symlinkSync(path, link);
      expect(() => readText(link, 'key file', { isSecret: () => true })).toThrow(
        /belongs to user 12345/,
      );
    },
  );

  test('fits itself and nothing else, of any length', () => {
    const token = 'ab'.repeat(32);
    const other = '0'.repeat(64);
    const grants = tokenGrants([
      { token, grant: 'all' },
      { token: other, grant: 'little' },
    ]);
    const fits = (shown: string): boolean => grants(shown) !== null;
    expect([grants(token), grants(other)]).toEqual(['all', 'little']);
    for (const shown of [
      '',
      'a',
      `${token} `,
      token.toUpperCase(),
      token.slice(1),
      token + token,
      `${token.slice(0, 63)}c`,
      'x'.repeat(100_000),
      '\ud800',
    ])
      expect(fits(shown)).toBe(false);
  });
});

describe('a group', () => {
  const file = join(folder, 'group');
  writeFileSync(file, 'root:x:0:\n# a comment\nbroken\nspines:x:1234:alice,bob\nodd:x:abc:\n');

  test('is a name that the file knows, or a number', () => {
    expect(groupIdOf('spines', file)).toBe(1234);
    expect(groupIdOf('77', file)).toBe(77);
    for (const name of ['nobody', 'odd', 'broken', 'spine'])
      expect(() => groupIdOf(name, file), name).toThrow(
        /client\.group: .* has no group .*; make it with/,
      );
    expect(() => groupIdOf('spines', join(folder, 'absent'))).toThrow(/no group/);
  });

  test('has a name that can be one', () => {
    expect(['spines', '_x', 'a-b.c', 'host$', '0', '4294967294'].every(isGroup)).toBe(true);
    expect(['', '-1', '4294967295', 'a b', 'a:b', '1a', 'x\n'].some(isGroup)).toBe(false);
  });
});

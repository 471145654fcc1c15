/**
 * Files are written whole or not at all: on a full disk, after a kill, through links, over devices;
 * and the words for it.
 */

import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { SpinesError } from '../../../../src/core/base/errors.ts';
import {
  createWhole,
  makeFolder,
  MODE_PRIVATE,
  replaceWhole,
  type FileCalls,
} from '../../../../src/host/files/whole-file.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'spines-whole-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const at = (name: string): string => join(dir, name);
const text = (name: string): string => readFileSync(at(name), 'utf8');
const failure = (code: string): Error => Object.assign(new Error(code), { code });

/**
 * A disk with room for so many bytes: the last write is short, the next one fails, as Linux does
 * it.
 */
function disk(room: number, change: Partial<FileCalls> = {}): FileCalls {
  return {
    write: (fd, bytes, from) => {
      if (room === 0) throw failure('ENOSPC');
      const count = writeSync(fd, bytes, from, Math.min(room, bytes.length - from));
      room -= count;
      return count;
    },
    sync: fsyncSync,
    rename: renameSync,
    link: linkSync,
    ...change,
  };
}

function refused(act: () => void): string {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(SpinesError);
    return `${(error as SpinesError).code} ${(error as SpinesError).message}`.replaceAll(
      dir,
      'DIR',
    );
  }
  return 'no error';
}

describe('a file that is replaced', () => {
  test('on a disk with room for any part of it stays as it was, and no draft is left', () => {
    writeFileSync(at('list'), 'old');
    for (let room = 0; room < 1_000; room += 111) {
      expect(refused(() => replaceWhole(at('list'), 'n'.repeat(1_000), 0o644, disk(room)))).toBe(
        'ENOSPC DIR/list cannot be written: the disk is full, and what was there is still there; ' +
          'make room there (see `df` and `df -i`) and do it again',
      );
      expect(text('list')).toBe('old');
      expect(readdirSync(dir)).toEqual(['list']);
    }
    replaceWhole(at('list'), 'n'.repeat(1_000), 0o644, disk(1_000));
    expect(text('list')).toBe('n'.repeat(1_000));
  });

  test('is whole when each write takes one byte', () => {
    replaceWhole(at('slow'), 'grüße', 0o644, {
      ...disk(0),
      write: (fd, bytes, from) => writeSync(fd, bytes, from, 1),
    });
    expect(text('slow')).toBe('grüße');
  });

  test('stays as it was whatever else fails', () => {
    writeFileSync(at('list'), 'old');
    for (const code of ['EIO', 'EDQUOT'])
      expect(
        refused(() =>
          replaceWhole(
            at('list'),
            'new',
            0o644,
            disk(99, {
              sync: () => {
                throw failure(code);
              },
            }),
          ),
        ),
      ).toMatch(new RegExp(`^${code} .*; `));
    expect(
      refused(() =>
        replaceWhole(
          at('list'),
          'new',
          0o644,
          disk(99, {
            rename: () => {
              throw failure('EROFS');
            },
          }),
        ),
      ),
    ).toBe(
      'EROFS DIR/list is on a file system that is read-only, and what was there is still there; ' +
        'choose another place',
    );
    expect(
      refused(() => replaceWhole(at('list'), 'new', 0o644, disk(99, { write: () => 0 }))),
    ).toMatch(/^ENOSPC /);
    expect(text('list')).toBe('old');
    expect(readdirSync(dir)).toEqual(['list']);
  });

  test('keeps its mode as far as the kind of file lets it, and a symbolic link stays one', () => {
    mkdirSync(at('elsewhere'));
    writeFileSync(at('elsewhere/list'), 'old');
    chmodSync(at('elsewhere/list'), 0o640);
    symlinkSync('elsewhere/list', at('list'));
    replaceWhole(at('list'), 'new');
    expect(lstatSync(at('list')).isSymbolicLink()).toBe(true);
    expect(text('elsewhere/list')).toBe('new');
    expect(statSync(at('list')).mode & 0o777).toBe(0o640);
    chmodSync(at('elsewhere/list'), 0o666);
    replaceWhole(at('list'), 'newer', MODE_PRIVATE);
    expect(statSync(at('list')).mode & 0o777).toBe(0o600);
  });

  test('is written through where it is a device, and refused where it is a folder', () => {
    replaceWhole('/dev/null', 'gone');
    expect(statSync('/dev/null').isCharacterDevice()).toBe(true);
    expect(refused(() => replaceWhole('/dev/full', 'text'))).toBe(
      'ENOSPC /dev/full cannot be written: the disk is full; make room there (see `df` and `df ' +
        '-i`) and do it again',
    );
    expect(refused(() => replaceWhole(dir, 'text'))).toBe(
      'EISDIR DIR is a directory, and what was there is still there; check the path',
    );
    expect(refused(() => replaceWhole(at('no/such'), 'text'))).toBe(
      'ENOENT DIR/no/such cannot be written: its folder does not exist; check the path, or make ' +
        'the folder',
    );
  });

  test('takes away drafts of killed processes, not those of running ones or young ones', () => {
    const gone = spawnSync('true').pid;
    for (const [name, ageS] of [
      [`list.${gone}.tmp`, 3_600],
      [`list.${process.ppid}.tmp`, 3_600],
      ['list.x.tmp', 3_600],
      [`other.${gone}.tmp`, 3_600],
    ] as const) {
      writeFileSync(at(name), 'draft');
      utimesSync(at(name), Date.now() / 1_000 - ageS, Date.now() / 1_000 - ageS);
    }
    replaceWhole(at('list'), 'new');
    expect(readdirSync(dir).sort()).toEqual(
      ['list', `list.${process.ppid}.tmp`, 'list.x.tmp', `other.${gone}.tmp`].sort(),
    );
    writeFileSync(at(`list.${gone}.tmp`), 'draft of a moment ago');
    replaceWhole(at('list'), 'newer');
    expect(readdirSync(dir)).toContain(`list.${gone}.tmp`);
  });
});

describe('a file that is made', () => {
  test('never takes the place of another, and is for its owner alone where it is a secret', () => {
    createWhole(at('key'), 'secret', MODE_PRIVATE);
    expect(statSync(at('key')).mode & 0o777).toBe(0o600);
    expect(refused(() => createWhole(at('key'), 'other', MODE_PRIVATE))).toBe(
      'EEXIST DIR/key exists and is not overwritten; move it away or choose another place',
    );
    expect(text('key')).toBe('secret');
    expect(readdirSync(dir)).toEqual(['key']);
  });

  test('on a full disk is not there', () => {
    expect(refused(() => createWhole(at('key'), 'x'.repeat(100), MODE_PRIVATE, disk(99)))).toMatch(
      /^ENOSPC DIR\/key cannot be written: the disk is full; make room/,
    );
    expect(readdirSync(dir)).toEqual([]);
  });

  test('on a file system without hard links is whole too, and replaces nothing', () => {
    const calls = disk(1_000, {
      link: () => {
        throw failure('EPERM');
      },
    });
    createWhole(at('key'), 'secret', MODE_PRIVATE, calls);
    expect([text('key'), statSync(at('key')).mode & 0o777]).toEqual(['secret', 0o600]);
    expect(refused(() => createWhole(at('key'), 'other', MODE_PRIVATE, calls))).toMatch(/^EEXIST /);
    expect(text('key')).toBe('secret');
    expect(
      refused(() =>
        createWhole(at('more'), 'x', MODE_PRIVATE, {
          ...calls,
          rename: () => {
            throw failure('EIO');
          },
        }),
      ),
    ).toMatch(/^EIO /);
    expect(readdirSync(dir)).toEqual(['key']);
  });
});

test('a folder is made with those above it, or said not to be one', () => {
  makeFolder(at('a/b'));
  writeFileSync(at('file'), '');
  expect(refused(() => makeFolder(at('file')))).toBe(
    'ENOTDIR DIR/file exists and is no folder; choose another place',
  );
  expect(refused(() => makeFolder(at('file/x')))).toBe(
    'ENOTDIR DIR/file/x lies below something that is no folder; check the path',
  );
});

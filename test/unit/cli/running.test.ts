/** Which processes `spines stop` takes for ours, and for whose network. */

import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';

import { Patience } from '../../../src/cli/terminal/patience.ts';
import { belongsTo, recognise } from '../../../src/cli/running.ts';
import { Failure } from '../../../src/cli/terminal/failure.ts';

const folder = mkdtempSync(join(tmpdir(), 'spines-stop-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const found = (argv: string[], socket: string | null = null, cwd: string | null = folder) =>
  recognise({ pid: 7, argv, cwd, socket });

test('commands that run on are recognised however they were started, and nothing else', () => {
  const main = '/opt/spines/dist/cli/main.js';
  expect(
    found(['/usr/bin/node', main, 'daemon', '--config', 'lab/node-1/spines.yaml']),
  ).toMatchObject({
    line: 'daemon --config lab/node-1/spines.yaml',
    isDaemon: true,
    files: [join(folder, 'lab/node-1/spines.yaml')],
  });
  expect(
    found([
      'node',
      '--max-old-space-size=100',
      main,
      'expose',
      '--allow',
      '*:*',
      '--socket=/run/a.sock',
    ]),
  ).toMatchObject({ isDaemon: false, files: ['/run/a.sock'] });
  expect(
    found(
      ['node', '/home/a/.npm/_npx/1/node_modules/.bin/spines', 'socks', '1080', '--exit', 'b'],
      '/run/b.sock',
    ),
  ).toMatchObject({ files: ['/run/b.sock'] });
  expect(
    found(['node', main, 'forward', '1', 'b', 'c:1', '--tcp', '127.0.0.1:1'], '/run/b.sock'),
    'not asked at that socket',
  ).toMatchObject({ files: [] });
  for (const other of [
    ['node', main, 'status'],
    ['node', main],
    ['bash', main, 'daemon'],
    ['node', '/opt/other/main.js', 'daemon'],
    ['vi', 'spines', 'daemon'],
    ['node', '-e', 'spines daemon'],
    ['node', main, 'daemon', '--exit-with-parent'],
    ['npm exec spines daemon'],
    ['sh', '-c', 'spines', 'daemon'],
  ])
    expect(found(other), other.join(' ')).toBeNull();
});

test(
  'a command belongs to a folder by its files, ' +
    'through links, and not to one whose name only begins alike',
  () => {
    mkdirSync(join(folder, 'lab', 'node-1'), { recursive: true });
    mkdirSync(join(folder, 'lab-2'));
    symlinkSync(join(folder, 'lab'), join(folder, 'link'));
    const command = found([
      'node',
      '/x/dist/cli/main.js',
      'daemon',
      '--config',
      'link/node-1/spines.yaml',
    ])!;
    for (const [place, is] of [
      ['lab', true],
      ['link', true],
      ['lab/node-1', true],
      ['lab-2', false],
      ['la', false],
      ['', true],
      ['lab/node-1/spines.yaml', true],
    ] as const) {
      expect(belongsTo(command, join(folder, place)), place).toBe(is);
    }
    expect(
      belongsTo(found(['node', '/x/dist/cli/main.js', 'cat', '-l', '7'], null, null)!, folder),
    ).toBe(false);
  },
);

test('a command of another user hides what it was told of out of sight', () => {
  const main = '/x/dist/cli/main.js';
  for (const [argv, socket, cwd, hidden] of [
    [['socks', '1080', '--exit', 'b'], undefined, null, true],
    [['socks', '1080', '--exit', 'b'], null, null, false],
    [['socks', '1080', '--exit', 'b', '--socket', '/run/a.sock'], undefined, null, false],
    [['socks', '1080', '--exit', 'b', '--socket', 'a.sock'], undefined, null, true],
    [['cat', '-l', '7', '--tcp', '127.0.0.1:1'], undefined, null, false],
    [['daemon', '--config', 'lab/node-1/spines.yaml'], undefined, null, true],
    [['daemon', '--config', '/lab/node-1/spines.yaml'], undefined, null, false],
    [['daemon', '--config', 'lab/node-1/spines.yaml'], null, folder, false],
  ] as const)
    expect(
      recognise({ pid: 7, argv: ['node', main, ...argv], cwd, socket })!.hidden,
      argv.join(' '),
    ).toBe(hidden);
});

test(
  '--wait tries again what passes by itself, ' +
    'and nothing else, and not for longer than it says',
  async () => {
    const fails = (code: string, exitCode: number, times: number): (() => Promise<number>) => {
      let tries = 0;
      return async () => {
        tries += 1;
        if (tries <= times) throw new Failure(exitCode, code, 'no');
        return tries;
      };
    };
    expect(await new Patience(true).until(fails('ECONNREFUSED', 1, 2))).toBe(3);
    expect(await new Patience(5_000_000).until(fails('ECONNRESET', 3, 2)), 'no daemon yet').toBe(3);
    await expect(new Patience(true).until(fails('EINVAL', 2, 2))).rejects.toThrow('no');
    await expect(new Patience(undefined).until(fails('ENOTFOUND', 1, 1))).rejects.toThrow('no');
    await expect(new Patience(150_000).until(fails('ENOTFOUND', 1, 1e9))).rejects.toThrow('no');
  },
);

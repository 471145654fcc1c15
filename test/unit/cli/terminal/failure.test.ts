/** What a person is told when something fails: the cause, and a next step that fits it. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { SpinesClient } from 'spines-client';

import { connectError } from '../../../../spines-client/src/errors.ts';
import { EXIT_NO_DAEMON, EXIT_USAGE, toFailure } from '../../../../src/cli/terminal/failure.ts';
import { run } from '../../../../src/cli/program.ts';

afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

const system = (code: string, syscall: string): string =>
  toFailure(
    Object.assign(new Error(`${code}: words of the system, ${syscall}`), { code, syscall }),
  ).message.replace(/^.*; /, '');

test('what the system refuses has the advice of its kind, not that of a wrong path', () => {
  expect(['write', 'fsync', 'open', 'mkdir'].map((syscall) => system('ENOSPC', syscall))).toEqual(
    Array(4).fill('make room there (see `df` and `df -i`) and do it again'),
  );
  expect(system('EDQUOT', 'write')).toContain('quota');
  expect(system('EROFS', 'open')).toBe('choose another place');
  expect(system('ENOENT', 'open')).toBe('check the path');
  expect(system('EMFILE', 'open')).toContain('ulimit -n');
  expect(system('EADDRINUSE', 'listen')).toBe('choose another port, or end what has it');
  expect(system('EADDRNOTAVAIL', 'bind')).toBe('choose an address of this machine');
  expect(system('EACCES', 'bind')).toBe(
    'choose a port from 1024 on, or run this as a user who may',
  );
  expect(
    toFailure(Object.assign(new Error('x'), { code: 'ENOSPC', syscall: 'write' })).exitCode,
  ).toBe(EXIT_USAGE);
});

/** As the library makes it. */
function fromLibrary(code: string, message: string, syscall: string): string {
  class SpinesClientError extends Error {}
  return toFailure(Object.assign(new SpinesClientError(message), { code, syscall })).message;
}

test(
  'what is between here and the daemon is not told as what is between nodes, ' +
    'and no advice leads back to the command',
  () => {
    expect(
      fromLibrary(
        'EHOSTUNREACH',
        'cannot reach a daemon at 192.0.2.1:8101 (connect EHOSTUNREACH)',
        'connect',
      ),
    ).toBe(
      'cannot reach a daemon at 192.0.2.1:8101 (connect EHOSTUNREACH); check its address, and ' +
        'that ' +
        'it runs there',
    );
    expect(
      fromLibrary(
        'ETIMEDOUT',
        'the daemon did not answer status within 10000 ms',
        'request status',
      ),
    ).toContain('; it has too much to do, or stands still');
    expect(fromLibrary('ETIMEDOUT', 'no answer from node-3', 'request ping')).toContain(
      'spines trace',
    );
    expect(
      fromLibrary('ENOTCONN', "the daemon is away; wait for 'reconnect' or 'drain'", 'send'),
    ).toBe('the daemon is away; start it again with `spines daemon`');
    expect(fromLibrary('EWHATEVER', 'something', 'request status')).toBe(
      "something; see the daemon's log",
    );
  },
);

test('a daemon that is not there is told by its kind of address', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'spines-failure-'));
  const failed = async (options: object): Promise<string> =>
    toFailure(await SpinesClient.connect(options).catch((error: unknown) => error)).message;
  expect(await failed({ path: join(dir, 'none.sock') })).toMatch(
    new RegExp(
      '^no daemon answers at .*none\\.sock; start one with `spines daemon`, or set ' +
        'SPINES_SOCKET to its socket$',
    ),
  );
  expect(await failed({ host: '127.0.0.1', port: 1 })).toBe(
    'no daemon answers at 127.0.0.1:1; check the address, and that its config has client.tcp or ' +
      'client.remote',
  );
  const unknown = (code: string): string =>
    toFailure(
      connectError({ host: 'rome.example', port: 1 }, Object.assign(new Error(code), { code })),
    ).message;
  expect(unknown('ENOTFOUND')).toMatch(/^the name of rome.example:1 is not known; check it/);
  expect(unknown('EAI_AGAIN')).toMatch(
    /rome.example:1 cannot be looked up, as no name server answers; check the network/,
  );
  writeFileSync(join(dir, 'spines.yaml'), '');
  expect(await failed({ path: dir })).toBe(
    `${dir} is a folder; name the socket in it, such as ${join(dir, 'spines.sock')}`,
  );
  expect(await failed({ path: join(dir, 'spines.yaml') })).toBe(
    `${join(dir, 'spines.yaml')} is a file and no socket; name the daemon's, ` +
      '`client.socket` of its config',
  );
  rmSync(dir, { recursive: true });
});

test(
  'doctor says that no daemon answers, ' + 'with what to do, and its exit code does, too',
  async () => {
    let printed = '';
    vi.spyOn(process.stdout, 'write').mockImplementation(
      (text) => ((printed += String(text)), true),
    );
    expect(await run(['doctor', '--json', '--socket', '/nowhere/none.sock'])).toBe(EXIT_NO_DAEMON);
    const { findings } = JSON.parse(printed) as {
      findings: { what: string; found: string; advice: string | null }[];
    };
    expect(findings.find(({ what }) => what === 'daemon')).toEqual({
      what: 'daemon',
      found: 'no daemon answers at /nowhere/none.sock',
      advice: 'start one with `spines daemon`, or set SPINES_SOCKET to its socket',
    });
  },
);

/**
 * `spines keys` as an operator uses it: a network from nothing to rotation, in a folder of its own.
 */

import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { promptHidden, type HiddenInput } from '../../../../src/cli/keys/keys-passphrase.ts';
import { run } from '../../../../src/cli/program.ts';
import { decodeKeyFile, openKeyFile } from '../../../../src/core/crypto/key-file.ts';
import { unarmour } from '../../../../src/core/wire/armour.ts';

let dir: string;
const out = { stdout: '', stderr: '' };
/** All that was printed in a test. */
let printed = '';

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'spines-keys-'));
  printed = '';
  vi.stubEnv('SPINES_PASSPHRASE', '');
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
  vi.unstubAllEnvs();
});

const at = (...path: string[]): string => join(dir, ...path);

async function keys(...argv: string[]): Promise<number> {
  out.stdout = out.stderr = '';
  vi.spyOn(process.stdout, 'write').mockImplementation(
    (text) => ((out.stdout += String(text)), true),
  );
  vi.spyOn(process.stderr, 'write').mockImplementation(
    (text) => ((out.stderr += String(text)), true),
  );
  try {
    return await run(['keys', ...argv]);
  } finally {
    vi.restoreAllMocks();
    printed += out.stdout + out.stderr;
  }
}

async function ok(...argv: string[]): Promise<Record<string, unknown>> {
  expect(await keys(...argv, '--json'), out.stderr).toBe(0);
  return JSON.parse(out.stdout) as Record<string, unknown>;
}

async function refused(exitCode: number, code: string, ...argv: string[]): Promise<void> {
  expect(await keys(...argv, '--json'), argv.join(' ')).toBe(exitCode);
  expect(JSON.parse(out.stdout)).toMatchObject({ error: { code } });
  expect(out.stderr).toMatch(/^spines: [^\n]+; [^\n]+\n$/);
}

/** An authority in `ca` and the node alpha (10.0.0.1), signed. */
async function network(): Promise<void> {
  await ok('init', '--dir', at('ca'), '--name', 'lab');
  await ok('node', 'alpha', '--id', '10.0.0.1', '--dir', dir);
  await ok('sign', at('alpha.req'), '--dir', at('ca'));
}

const mode = (path: string): number => statSync(path).mode & 0o777;

describe('groups', () => {
  it('are what the authority gives, whatever a request asks for, and shown', async () => {
    await ok('init', '--dir', at('ca'), '--name', 'lab');
    expect(
      await ok('node', 'alpha', '--id', '10.0.0.1', '--dir', dir, '--groups', 'video,ops'),
    ).toMatchObject({ groups: ['ops', 'video'] });
    const without = await ok('sign', at('alpha.req'), '--dir', at('ca'));
    expect(without['groups']).toBeUndefined();
    expect((without['next'] as string[])[0]).toBe(
      'it asks for the groups ops,video, and got none: give what it should have with --groups',
    );
    expect(
      await ok(
        'sign',
        at('alpha.req'),
        '--dir',
        at('ca'),
        '--out',
        at('new.crt'),
        '--groups',
        'ops',
      ),
    ).toMatchObject({ groups: ['ops'] });
    expect(await ok('show', at('new.crt'))).toMatchObject({ groups: ['ops'] });
    expect(await ok('verify', at('new.crt'), '--dir', at('ca'))).toMatchObject({ valid: true });
    await refused(2, 'EUSAGE', 'sign', at('alpha.req'), '--dir', at('ca'), '--groups', 'a b');
    await refused(
      2,
      'EUSAGE',
      'sign',
      at('alpha.req'),
      '--dir',
      at('ca'),
      '--groups',
      'x'.repeat(56),
    );
  });
});

describe('spines keys', () => {
  it('takes a network from nothing to a certificate that is good', async () => {
    expect(await ok('init', '--dir', at('ca'), '--name', 'lab')).toMatchObject({
      schema: 1,
      networkName: 'lab',
      founding: true,
      passphrase: false,
      next: expect.any(Array),
    });
    const request = await ok('node', 'alpha', '--id', '10.0.0.1', '--dir', dir);
    expect(request).toMatchObject({
      name: 'alpha',
      node: '10.0.0.1',
      files: [at('alpha.key'), at('alpha.req')],
    });
    expect(
      await ok(
        'sign',
        at('alpha.req'),
        '--dir',
        at('ca'),
        '--days',
        '30',
        '--roles',
        'router,client',
      ),
    ).toMatchObject({
      name: 'alpha',
      roles: ['router', 'client'],
      fingerprint: request['fingerprint'],
    });
    expect(await ok('verify', at('alpha.crt'), '--dir', at('ca'))).toMatchObject({
      valid: true,
      name: 'alpha',
      revocationsChecked: true,
    });
    expect(
      await ok('verify', at('alpha.crt'), '--authority', at('ca/authority.pub')),
    ).toMatchObject({ valid: true, revocationsChecked: false });
    expect([mode(at('ca/authority.key')), mode(at('alpha.key'))]).toEqual([0o600, 0o600]);
    expect(mode(at('alpha.crt')) & 0o600).toBe(0o600);
    expect(readdirSync(at('ca/issued'))).toHaveLength(1);
  });

  it('says in words what to do next', async () => {
    for (const argv of [
      ['init', '--dir', at('ca')],
      ['node', 'alpha', '--id', '10.0.0.1', '--dir', dir],
      ['sign', at('alpha.req'), '--dir', at('ca')],
      ['revoke', at('alpha.crt'), '--dir', at('ca')],
      ['rotate', at('alpha.key')],
    ]) {
      expect(await keys(...argv), out.stderr).toBe(0);
      expect(out.stdout, argv[0]).toMatch(/\n\nNext:\n {2}\S/);
    }
  });

  it('shows every kind of file, and no private key anywhere', async () => {
    await network();
    for (const [file, kind] of [
      ['alpha.key', 'private key'],
      ['alpha.req', 'request'],
      ['alpha.crt', 'certificate'],
      ['ca/authority.pub', 'authority'],
      ['ca/revocations.crl', 'revocations'],
      ['ca/authority.key', 'private key'],
    ]) {
      expect(await ok('show', at(file!))).toMatchObject({ kind });
      expect(await keys('show', at(file!))).toBe(0);
    }
    for (const file of ['alpha.key', 'ca/authority.key']) {
      const { signing, exchange } = openKeyFile(
        decodeKeyFile(unarmour(readFileSync(at(file), 'utf8'))!.bytes)!,
        null,
      );
      for (const pair of exchange === null ? [signing] : [signing, exchange]) {
        const secret = Buffer.from(pair.secret.reveal());
        expect(printed).toContain(Buffer.from(pair.publicKey).toString('hex'));
        for (const form of ['hex', 'base64', 'base64url'] as const)
          expect(printed).not.toContain(secret.toString(form).slice(0, 20));
      }
    }
  });

  it(
    'answers no with exit code 1: expired, ' + 'revoked, another network or authority, altered',
    async () => {
      await network();
      const verify = ['verify', at('alpha.crt'), '--dir', at('ca')];
      await refused(
        1,
        'EEXPIRED',
        ...verify,
        '--at',
        new Date(Date.now() + 366 * 86_400_000).toISOString().slice(0, 10),
      );
      await refused(1, 'EAUTHORITYNOTVALID', ...verify, '--at', '2001-01-01T00:00:00Z');
      await ok('init', '--dir', at('other'));
      await refused(1, 'EWRONGNETWORK', 'verify', at('alpha.crt'), '--dir', at('other'));
      await ok('init', '--dir', at('ca2'), '--network', at('ca/authority.pub'));
      await refused(1, 'EUNKNOWNAUTHORITY', 'verify', at('alpha.crt'), '--dir', at('ca2'));
      expect(await ok('revoke', at('alpha.crt'), '--dir', at('ca'))).toMatchObject({ revoked: 1 });
      await refused(1, 'EREVOKED', ...verify);
      const text = readFileSync(at('alpha.crt'), 'utf8');
      writeFileSync(at('cut.crt'), text.slice(0, -3));
      await refused(1, 'EFORMAT', 'verify', at('cut.crt'), '--dir', at('ca'));
      await refused(2, 'ENOENT', 'verify', at('none.crt'), '--dir', at('ca'));
      await refused(
        2,
        'EREVOCATIONS',
        'verify',
        at('alpha.crt'),
        '--dir',
        at('ca'),
        '--revocations',
        at('other/revocations.crl'),
      );
    },
  );

  it('trusts two authorities at once while one takes over', async () => {
    await network();
    expect(await ok('init', '--dir', at('ca2'), '--network', at('ca/authority.pub'))).toMatchObject(
      { networkName: 'lab', founding: false },
    );
    await ok('sign', at('alpha.req'), '--dir', at('ca2'), '--out', at('new.crt'));
    const both = ['--authority', at('ca/authority.pub'), '--authority', at('ca2/authority.pub')];
    for (const file of ['alpha.crt', 'new.crt'])
      expect(await ok('verify', at(file), ...both)).toMatchObject({ valid: true });
    await refused(
      2,
      'EUSAGE',
      'init',
      '--dir',
      at('ca3'),
      '--network',
      at('ca/authority.pub'),
      '--name',
      'else',
    );
  });

  it('overwrites nothing', async () => {
    await network();
    const before = [...readdirSync(dir), ...readdirSync(at('ca'))]
      .filter((file) => file.includes('.'))
      .map((file) => readFileSync(existsSync(at(file)) ? at(file) : at('ca', file), 'utf8'));
    await refused(2, 'EEXIST', 'init', '--dir', at('ca'));
    await refused(2, 'EEXIST', 'node', 'alpha', '--id', '10.0.0.1', '--dir', dir);
    await refused(2, 'EEXIST', 'sign', at('alpha.req'), '--dir', at('ca'));
    const after = [...readdirSync(dir), ...readdirSync(at('ca'))]
      .filter((file) => file.includes('.'))
      .map((file) => readFileSync(existsSync(at(file)) ? at(file) : at('ca', file), 'utf8'));
    expect(after).toEqual(before);
    expect(readdirSync(at('ca/issued'))).toHaveLength(1);
  });

  it('reads no private key that others could have read', async () => {
    await network();
    await ok('node', 'beta', '--id', '10.0.0.2', '--dir', dir);
    for (const wrong of [0o640, 0o604, 0o660]) {
      chmodSync(at('ca/authority.key'), wrong);
      await refused(2, 'EMODE', 'sign', at('beta.req'), '--dir', at('ca'));
      await refused(2, 'EMODE', 'show', at('ca/authority.key'));
    }
    chmodSync(at('ca/authority.key'), 0o400);
    await ok('sign', at('beta.req'), '--dir', at('ca'));
  });

  it('gives one name to one id only, until the certificate is revoked', async () => {
    await network();
    await ok('node', 'beta', '--id', '10.0.0.1', '--dir', dir);
    await refused(2, 'ECLASH', 'sign', at('beta.req'), '--dir', at('ca'));
    await ok('node', 'alpha', '--id', '10.0.0.9', '--dir', at('elsewhere'));
    await refused(2, 'ECLASH', 'sign', at('elsewhere/alpha.req'), '--dir', at('ca'));
    await ok('sign', at('alpha.req'), '--dir', at('ca'), '--out', at('renewed.crt'));
    for (const file of readdirSync(at('ca/issued')))
      await ok('revoke', /([0-9a-f]{16})\.crt$/.exec(file)![1]!, '--dir', at('ca'));
    await ok('sign', at('beta.req'), '--dir', at('ca'));
    expect(await ok('show', at('ca/revocations.crl'))).toMatchObject({ revoked: 2 });
  });

  describe('revokes a node, not a serial', () => {
    const verdict = async (file: string): Promise<string> => {
      const code = await keys('verify', at(file), '--dir', at('ca'), '--json');
      return code === 0
        ? 'good'
        : (JSON.parse(out.stdout) as { error: { code: string } }).error.code;
    };
    const sign = (request: string, to: string, ...more: string[]): Promise<unknown> =>
      ok('sign', at(request), '--dir', at('ca'), '--out', at(to), ...more);

    it(
      'that was renewed: by any of its certificates, ' + 'or by a serial, all of its keys',
      async () => {
        for (const [i, named] of ['alpha.crt', 'second.crt', 'third.crt', 'serial'].entries()) {
          rmSync(dir, { recursive: true, force: true });
          await network();
          await sign('alpha.req', 'second.crt');
          await sign('alpha.req', 'third.crt', '--days', '10');
          await ok('node', 'beta', '--id', '10.0.0.2', '--dir', dir);
          await sign('beta.req', 'beta.crt');
          await ok(
            'revoke',
            named === 'serial' ? String((await ok('show', at('alpha.crt')))['serial']) : at(named),
            '--dir',
            at('ca'),
          );
          expect(
            [
              await verdict('alpha.crt'),
              await verdict('second.crt'),
              await verdict('third.crt'),
              await verdict('beta.crt'),
            ],
            named,
          ).toEqual(['EREVOKED', 'EREVOKED', 'EREVOKED', 'good']);
          if (i > 0) continue;
          await refused(
            2,
            'EREVOKED',
            'sign',
            at('alpha.req'),
            '--dir',
            at('ca'),
            '--out',
            at('again.crt'),
          );
          expect(out.stderr).toContain(
            'the keys of alpha in this request are revoked; make new ones on the node with ' +
              '`spines ' +
              'keys rotate`',
          );
        }
      },
    );

    it(
      'that has rotated its keys: ' + 'the old ones by their certificate, all by name or id',
      async () => {
        await network();
        await ok('rotate', at('alpha.key'));
        await sign('alpha.req', 'alpha.crt');
        const told = await ok('revoke', at('alpha.crt.old-1'), '--dir', at('ca'));
        expect([await verdict('alpha.crt.old-1'), await verdict('alpha.crt')]).toEqual([
          'EREVOKED',
          'good',
        ]);
        expect((told['next'] as string[])[1]).toMatch(
          new RegExp(
            '^alpha has a newer certificate with other keys, serial [0-9a-f]{16}, which stays ' +
              'valid: `spines keys revoke alpha --dir .*` revokes all that alpha has$',
          ),
        );
        await ok('rotate', at('alpha.key'));
        await sign('alpha.req', 'alpha.crt');
        await ok('revoke', 'alpha', '--dir', at('ca'));
        expect([await verdict('alpha.crt.old-2'), await verdict('alpha.crt')]).toEqual([
          'EREVOKED',
          'EREVOKED',
        ]);
        // The machine has been found, and gets new keys at once.
        await ok('rotate', at('alpha.key'));
        await sign('alpha.req', 'alpha.crt');
        expect([await verdict('alpha.crt.old-3'), await verdict('alpha.crt')]).toEqual([
          'EREVOKED',
          'good',
        ]);
        expect((await ok('revoke', '10.0.0.1', '--dir', at('ca')))['next']).toHaveLength(1);
        expect(await verdict('alpha.crt')).toBe('EREVOKED');
      },
    );

    it(
      'and a client, which has no id; ' +
        'the newest certificate revoked takes the earlier ones of other keys with it',
      async () => {
        await network();
        for (const name of ['alice', 'bob']) {
          await ok('node', name, '--client', '--dir', dir);
          await sign(`${name}.req`, `${name}.crt`);
        }
        await ok('rotate', at('alice.key'));
        await sign('alice.req', 'alice.crt');
        await ok('revoke', at('alice.crt'), '--dir', at('ca'));
        expect([
          await verdict('alice.crt'),
          await verdict('alice.crt.old-1'),
          await verdict('bob.crt'),
          await verdict('alpha.crt'),
        ]).toEqual(['EREVOKED', 'EREVOKED', 'good', 'good']);
      },
    );

    it('or says what is not meant by a name, and what a strange serial does not do', async () => {
      await network();
      await refused(2, 'ENOENT', 'revoke', 'gamma', '--dir', at('ca'));
      await refused(2, 'ENOENT', 'revoke', '10.9.9.9', '--dir', at('ca'));
      expect(out.stderr).toContain(
        '10.9.9.9 is no certificate file, no serial, and no node that this authority has signed ' +
          'for; ',
      );
      const told = await ok('revoke', '00112233445566aa', '--dir', at('ca'));
      expect((told['next'] as string[])[1]).toContain(
        "only this serial is revoked: name the certificate's file",
      );
      expect(readFileSync(at('ca/revocations.crl'), 'utf8')).toContain(
        'BEGIN SPINES REVOCATION LIST',
      );
      expect(await verdict('alpha.crt')).toBe('good');
    });
  });

  it(
    'finds the authority without --dir where it usually is, ' + 'and says so where it is not',
    async () => {
      await ok('init', '--dir', at('net/authority'));
      await ok('node', 'alpha', '--id', '10.0.0.1', '--dir', at('net/node-1'));
      await ok('sign', at('net/node-1/alpha.req'));
      expect(existsSync(at('net/node-1/alpha.crt'))).toBe(true);
      await ok('revoke', at('net/node-1/alpha.crt'));
      await ok('node', 'beta', '--id', '10.0.0.2', '--dir', at('far/away'));
      await refused(2, 'ENOENT', 'sign', at('far/away/beta.req'));
      expect(out.stderr).toBe(
        "spines: there is no authority.key here or in authority/; name the authority's folder " +
          'with ' +
          '--dir, such as --dir lab/authority\n',
      );
    },
  );

  it('never makes a revocation list that forgets', async () => {
    await network();
    await ok('revoke', at('alpha.crt'), '--dir', at('ca'));
    writeFileSync(at('ca/revocations.crl.lock'), '');
    await refused(2, 'EEXIST', 'revoke', at('alpha.crt'), '--dir', at('ca'));
    rmSync(at('ca/revocations.crl.lock'));
    rmSync(at('ca/revocations.crl'));
    await refused(2, 'ENOENT', 'revoke', at('alpha.crt'), '--dir', at('ca'));
    await refused(2, 'ENOENT', 'revoke', at('alpha.crt'), '--dir', at('elsewhere'));
    expect(out.stderr).toContain(
      `authority ${at('elsewhere', 'authority.pub')} does not exist; name the authority's folder ` +
        'with --dir',
    );
    expect(existsSync(at('ca/revocations.crl.lock'))).toBe(false);
  });

  it('rotates the keys of a node and keeps the old ones aside', async () => {
    await network();
    const old = {
      key: readFileSync(at('alpha.key'), 'utf8'),
      certificate: readFileSync(at('alpha.crt'), 'utf8'),
    };
    const told = await ok('rotate', at('alpha.key'));
    expect(told).toMatchObject({
      name: 'alpha',
      node: '10.0.0.1',
      aside: [at('alpha.crt.old-1'), at('alpha.req.old-1'), at('alpha.key.old-1')],
    });
    expect([
      readFileSync(at('alpha.key.old-1'), 'utf8'),
      readFileSync(at('alpha.crt.old-1'), 'utf8'),
    ]).toEqual([old.key, old.certificate]);
    expect(readFileSync(at('alpha.key'), 'utf8')).not.toBe(old.key);
    expect([mode(at('alpha.key')), mode(at('alpha.key.old-1'))]).toEqual([0o600, 0o600]);
    await ok('sign', at('alpha.req'), '--dir', at('ca'));
    await ok('revoke', at('alpha.crt.old-1'), '--dir', at('ca'));
    expect(await ok('verify', at('alpha.crt'), '--dir', at('ca'))).toMatchObject({ valid: true });
    await refused(1, 'EREVOKED', 'verify', at('alpha.crt.old-1'), '--dir', at('ca'));
    expect(await ok('rotate', at('alpha.key'))).toMatchObject({
      aside: [at('alpha.crt.old-2'), at('alpha.req.old-2'), at('alpha.key.old-2')],
    });
    await refused(2, 'EKEYFILE', 'rotate', at('ca/authority.key'));
  });

  it('opens a key with its passphrase only', async () => {
    writeFileSync(at('pass'), 'correct horse\n', { mode: 0o600 });
    writeFileSync(at('wrong'), 'battery staple\n', { mode: 0o600 });
    expect(await ok('init', '--dir', at('ca'), '--passphrase-file', at('pass'))).toMatchObject({
      passphrase: true,
    });
    await ok('node', 'alpha', '--id', '10.0.0.1', '--dir', dir);
    await refused(
      2,
      'EPASSPHRASE',
      'sign',
      at('alpha.req'),
      '--dir',
      at('ca'),
      '--passphrase-file',
      at('wrong'),
    );
    expect(out.stderr).toContain('passphrase is wrong');
    await refused(2, 'EPASSPHRASE', 'sign', at('alpha.req'), '--dir', at('ca'));
    expect(existsSync(at('alpha.crt'))).toBe(false);
    vi.stubEnv('SPINES_PASSPHRASE', 'correct horse');
    await ok('sign', at('alpha.req'), '--dir', at('ca'));
    chmodSync(at('pass'), 0o644);
    await refused(
      2,
      'EMODE',
      'revoke',
      at('alpha.crt'),
      '--dir',
      at('ca'),
      '--passphrase-file',
      at('pass'),
    );
    expect(printed).not.toContain('correct horse');
  });

  it('refuses wrong usage with exit code 2', async () => {
    await network();
    for (const argv of [
      ['node', 'beta'],
      ['node', 'beta', '--id', '240.0.0.1'],
      ['node', 'beta', '--id', '10.0.0.01'],
      ['node', 'beta', '--id', '10.0.0.2', '--client'],
      ['node', '../beta', '--id', '10.0.0.2'],
      ['init', '--name', 'a b'],
      ['init', '--days', '0'],
      ['sign', at('alpha.req'), '--roles', 'king'],
      ['sign', at('alpha.crt')],
      ['sign', at('alpha.req'), '--dir', at('none'), '--out', at('x')],
      ['sign', at('alpha.req'), '--dir', at('ca'), '--out', at('x'), '--days', '36500'],
      ['verify', at('alpha.crt'), '--dir', at('ca'), '--at', 'soon'],
      ['revoke'],
      ['revoke', 'xyz', '--dir', at('ca')],
      ['show', dir],
    ]) {
      expect(
        await keys(
          ...argv,
          ...(argv[0] === 'node' || argv[0] === 'init' ? ['--dir', at('new')] : []),
        ),
        argv.join(' '),
      ).toBe(2);
      expect(out.stderr, argv.join(' ')).toMatch(/^spines: [^\n]+; [^\n]+\n$/);
      expect(out.stdout).toBe('');
    }
    expect(existsSync(at('new'))).toBe(false);
  });

  it('makes certificates for clients that are no node', async () => {
    await ok('init', '--dir', at('ca'));
    await ok('node', 'phone', '--client', '--dir', dir);
    await refused(2, 'EINVAL', 'sign', at('phone.req'), '--dir', at('ca'), '--roles', 'router');
    expect(await ok('sign', at('phone.req'), '--dir', at('ca'))).toMatchObject({
      node: null,
      roles: ['client'],
    });
  });
});

describe('a passphrase that is typed', () => {
  function terminal(): { input: PassThrough & HiddenInput; shown: () => string; raw: boolean[] } {
    const raw: boolean[] = [];
    let text = '';
    const input = Object.assign(new PassThrough(), {
      setRawMode: (on: boolean) => {
        raw.push(on);
      },
    });
    vi.spyOn(process.stderr, 'write').mockImplementation(
      (piece) => ((text += String(piece)), true),
    );
    return { input, raw, shown: () => text };
  }
  afterEach(() => vi.restoreAllMocks());

  it('is not shown, can be corrected, and leaves the terminal as it was', async () => {
    const { input, raw, shown } = terminal();
    const first = promptHidden('Passphrase: ', input);
    input.write('wrong\x15secrex\x7ft\rnext\n');
    expect(await first).toBe('secret');
    expect(await promptHidden('Again: ', input)).toBe('next');
    expect(raw).toEqual([true, false, true, false]);
    expect(shown()).toBe('Passphrase: \nAgain: \n');
  });

  it('can be given up', async () => {
    for (const end of ['ab\x03', null]) {
      const { input, raw } = terminal();
      const answer = promptHidden('Passphrase: ', input);
      if (end === null) input.end();
      else input.write(end);
      await expect(answer).rejects.toMatchObject({ code: 'EINTR' });
      expect(raw).toEqual([true, false]);
    }
  });
});

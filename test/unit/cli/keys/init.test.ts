/** `spines init`: the folder of a network, and that nothing in it depends on where it is. */

import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { hex } from '../../../../src/core/base/bytes.ts';
import { formatNodeId } from '../../../../src/core/base/ids.ts';
import { loadConfig } from '../../../../src/cli/config.ts';
import { run } from '../../../../src/cli/program.ts';
import { openKeyFile } from '../../../../src/core/crypto/key-file.ts';
import { readKind } from '../../../../src/host/identity/identity-reader.ts';

let dir: string;
const out = { stdout: '', stderr: '' };

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'spines-init-'));
  vi.stubEnv('SPINES_PASSPHRASE', '');
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
  vi.unstubAllEnvs();
});

const at = (...path: string[]): string => join(dir, ...path);

async function spines(...argv: string[]): Promise<number> {
  out.stdout = out.stderr = '';
  vi.spyOn(process.stdout, 'write').mockImplementation(
    (text) => ((out.stdout += String(text)), true),
  );
  vi.spyOn(process.stderr, 'write').mockImplementation(
    (text) => ((out.stderr += String(text)), true),
  );
  try {
    return await run(argv);
  } finally {
    vi.restoreAllMocks();
  }
}

async function init(...argv: string[]): Promise<void> {
  expect(await spines('init', 'lab', '--dir', at('net'), ...argv), out.stderr).toBe(0);
}

/** Every file below `folder`, with its text. */
function filesIn(folder: string): Map<string, string> {
  const found = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  return new Map(
    found.map((entry) => [
      join(entry.parentPath, entry.name),
      readFileSync(join(entry.parentPath, entry.name), 'latin1'),
    ]),
  );
}

describe('spines init', () => {
  it('makes an authority, and a folder for each node', async () => {
    await init('-n', '3');
    expect(readdirSync(at('net')).sort()).toEqual(['authority', 'node-1', 'node-2', 'node-3']);
    expect(readdirSync(at('net', 'authority')).sort()).toEqual([
      'authority.key',
      'authority.pub',
      'issued',
      'revocations.crl',
    ]);
    expect(readdirSync(at('net', 'node-2')).sort()).toEqual([
      'authority.pub',
      'node.crt',
      'node.key',
      'node.req',
      'revocations.crl',
      'spines.yaml',
    ]);
    expect(statSync(at('net', 'node-2', 'node.key')).mode & 0o777).toBe(0o600);
    expect(statSync(at('net', 'authority', 'authority.key')).mode & 0o777).toBe(0o600);
  });

  it("leaves the authority's private key out of the nodes' folders, and says so", async () => {
    await init('-n', '3');
    expect(out.stdout).toContain(
      `Keep ${at('net', 'authority')} safe and off the nodes: its authority.key signs ` +
        `certificates. No node's folder has it.`,
    );
    const keyText = readFileSync(at('net', 'authority', 'authority.key'), 'latin1');
    const { signing } = openKeyFile(readKind(at('net', 'authority', 'authority.key'), 'key'), null);
    for (const name of ['node-1', 'node-2', 'node-3']) {
      for (const [path, text] of filesIn(at('net', name))) {
        expect(text.includes(keyText) || text.includes(hex(signing.secret.reveal())), path).toBe(
          false,
        );
        if (path.endsWith('.key')) expect(readKind(path, 'key').holder).toBe('node');
      }
    }
  });

  it('makes configs that load, wherever the folder is', async () => {
    await init('-n', '4', '--days', '30');
    renameSync(at('net', 'node-2'), at('elsewhere'));
    for (const text of filesIn(at('elsewhere')).values()) expect(text).not.toContain(dir);
    const { config, identity } = loadConfig(at('elsewhere', 'spines.yaml'));
    expect(config).toMatchObject({
      security: 'sealed',
      node: { name: 'node-2' },
      listen: [{ address: '127.0.0.1', port: 8102 }],
      client: { socketPath: at('elsewhere', 'spines.sock') },
    });
    expect(formatNodeId(config.node.id)).toBe('10.0.0.2');
    const { certificate } = identity!.credentials.identity;
    expect(certificate.notAfterS - Date.now() / 1_000).toBeGreaterThan(29 * 86_400);
    expect(certificate.notAfterS - Date.now() / 1_000).toBeLessThan(31 * 86_400);
    expect(
      config.node.dials.map(({ port, node, key }) => [port, formatNodeId(node!), hex(key!)]),
    ).toEqual(
      [1, 3].map((i) => [
        8100 + i,
        `10.0.0.${i}`,
        hex(readKind(at('net', `node-${i}`, 'node.crt'), 'certificate').exchangeKey),
      ]),
    );
    expect(await spines('config', 'check', at('elsewhere', 'spines.yaml')), out.stderr).toBe(0);
    expect(out.stdout).toMatch(
      /ok, node node-2 \(10\.0\.0\.2\), 1 address, 2 neighbours to dial, certificate valid until /,
    );
    expect(await spines('config', 'show', at('elsewhere', 'spines.yaml'))).toBe(0);
    const secrets = openKeyFile(readKind(at('elsewhere', 'node.key'), 'key'), null);
    for (const pair of [secrets.signing, secrets.exchange!])
      expect(out.stdout).not.toContain(hex(pair.secret.reveal()));
  });

  it('checks the identity with the config', async () => {
    await init('-n', '2');
    writeFileSync(at('net', 'node-1', 'node.crt'), readFileSync(at('net', 'node-2', 'node.crt')));
    expect(await spines('config', 'check', at('net', 'node-1', 'spines.yaml'))).toBe(2);
    expect(out.stderr).toContain('id: the certificate says 10.0.0.2, not 10.0.0.1; ');
    writeFileSync(at('net', 'node-2', 'node.key'), readFileSync(at('net', 'node-1', 'node.key')));
    expect(await spines('config', 'check', at('net', 'node-2', 'spines.yaml'))).toBe(2);
    expect(out.stderr).toMatch(/do not belong together; sign the request/);
  });

  it('takes addresses, and links all with all', async () => {
    await init(
      '-n',
      '4',
      '--full',
      '--addresses',
      '192.0.2.1:8100,192.0.2.2:8100,[2001:db8::3]:8100,192.0.2.4:9000',
    );
    const { config } = loadConfig(at('net', 'node-3', 'spines.yaml'));
    expect(config.listen).toEqual([{ address: '::', port: 8100 }]);
    expect(config.node.dials.map(({ address, port }) => `${address} ${port}`)).toEqual([
      '192.0.2.1 8100',
      '192.0.2.2 8100',
      '192.0.2.4 9000',
    ]);
    expect(out.stdout).toContain(
      `scp -rp ${at('net', 'node-3')} [2001:db8::3]:   # and there: spines daemon --config ` +
        `node-3/spines.yaml\n`,
    );
    expect(out.stdout).not.toContain('All on this machine');
  });

  it('makes networks of one and of two, without a link twice', async () => {
    await init('-n', '2');
    expect(loadConfig(at('net', 'node-1', 'spines.yaml')).config.node.dials).toHaveLength(1);
    expect(await spines('init', 'one', '-n', '1', '--dir', at('one'), '--json')).toBe(0);
    expect(JSON.parse(out.stdout)).toMatchObject({
      schema: 1,
      network: 'one',
      nodes: [
        {
          name: 'node-1',
          node: '10.0.0.1',
          address: '127.0.0.1:8101',
          folder: at('one', 'node-1'),
        },
      ],
    });
    expect(loadConfig(at('one', 'node-1', 'spines.yaml')).config.node.dials).toEqual([]);
  });

  it('overwrites nothing', async () => {
    await init('-n', '2');
    const before = filesIn(at('net'));
    expect(await spines('init', 'lab', '-n', '2', '--dir', at('net'))).toBe(2);
    expect(out.stderr).toMatch(/^spines: .*authority exists and is not overwritten; /);
    rmSync(at('net', 'authority'), { recursive: true });
    expect(await spines('init', 'lab', '-n', '3', '--dir', at('net'))).toBe(2);
    expect(out.stderr).toMatch(/^spines: .*node-1 exists and is not overwritten; /);
    expect(existsSync(at('net', 'authority'))).toBe(false);
    for (const [path, text] of filesIn(at('net'))) expect(text).toBe(before.get(path));
  });

  it('refuses what it cannot make', async () => {
    for (const argv of [
      ['init'],
      ['init', 'lab'],
      ['init', 'lab', '-n', '0'],
      ['init', 'lab', '-n', '251'],
      ['init', '-n', '2', '--', '-x'],
      ['init', 'lab', '-n', '2', '--addresses', '127.0.0.1:1'],
      ['init', 'lab', '-n', '2', '--addresses', '127.0.0.1:1,127.0.0.1:1'],
      ['init', 'lab', '-n', '1', '--addresses', 'host:1'],
      ['init', 'lab', '-n', '1', '--addresses', '0.0.0.0:1'],
      ['init', 'lab', '-n', '2', '--ring', '--full'],
      ['init', 'lab', '-n', '130', '--full'],
    ]) {
      expect(
        await spines(...argv, ...(argv.includes('--') ? [] : ['--dir', at('x')])),
        argv.join(' '),
      ).toBe(2);
      expect(out.stderr, argv.join(' ')).toMatch(/^spines: [^\n]+; [^\n]+\n$/);
    }
    expect(existsSync(at('x'))).toBe(false);
  });

  // A disk of its own, which needs root.
  const small = mkdtempSync(join(tmpdir(), 'spines-init-disk-'));
  const mounted =
    spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', small]).status === 0;
  afterAll(() => {
    if (mounted) spawnSync('umount', ['-l', small]);
    rmSync(small, { recursive: true, force: true });
  });
  it.runIf(mounted)(
    'leaves nothing on a full disk that would be in the way afterwards',
    async () => {
      const photos = join(small, 'photos');
      for (const left of [0, 4, 12, 24, 40]) {
        const full = spawnSync('sh', [
          '-c',
          `head -c ${(64 - left) * 1_024} /dev/zero > ${photos}`,
        ]);
        expect(full.error).toBeUndefined();
        expect(await spines('init', 'lab', '-n', '3', '--dir', join(small, 'lab')), `${left}`).toBe(
          2,
        );
        expect(out.stderr).toMatch(/the disk is full; make room there .* and do it again\n$/);
        rmSync(photos);
      }
      spawnSync('mount', ['-o', 'remount,size=4m', small]);
      expect(await spines('init', 'lab', '-n', '3', '--dir', join(small, 'lab'))).toBe(0);
    },
  );
});

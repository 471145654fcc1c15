/**
 * What could carry secrets out of a daemon's process, as its users run it: dumps, its environment,
 * and the sandbox of its unit.
 */

import { spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRequire } from 'node:module';
import { afterAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'spines-secrets-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function freePort(): Promise<number> {
  const probe = createSocket('udp4');
  await new Promise<void>((resolve) => probe.bind(0, '127.0.0.1', resolve));
  const { port } = probe.address();
  await new Promise<void>((resolve) => probe.close(resolve));
  return port;
}

function erases(): boolean {
  try {
    createRequire(import.meta.url)('koffi');
    return true;
  } catch {
    return false;
  }
}

describe.skipIf(process.platform !== 'linux')('a running daemon', () => {
  test(
    'has no memory in a dump, ' + "and the passphrase neither in its environment nor in a child's",
    async () => {
      const daemon = spawn(
        process.execPath,
        [
          join(root, 'dist/cli/main.js'),
          'daemon',
          '--security',
          'none',
          '--id',
          '10.0.0.1',
          '--listen',
          `127.0.0.1:${await freePort()}`,
          '--socket',
          join(folder, 'd.sock'),
        ],
        {
          env: {
            ...process.env,
            SPINES_PASSPHRASE: 'correct horse battery',
            SPINES_OTHER: 'stays',
          },
          stdio: ['ignore', 'ignore', 'pipe'],
        },
      );
      const gone = new Promise<void>((resolve) => daemon.once('exit', () => resolve()));
      try {
        let log = '';
        await new Promise<void>((resolve, reject) => {
          daemon.stderr.on('data', (chunk: Buffer) => {
            log += chunk.toString();
            if (log.includes('daemon started')) resolve();
          });
          void gone.then(() => reject(new Error(log)));
        });
        const proc = (name: string): string =>
          readFileSync(`/proc/${daemon.pid}/${name}`, 'latin1');
        expect(proc('coredump_filter').trim()).toBe('00000000');
        expect(proc('environ')).toContain('SPINES_OTHER=stays');
        if (erases()) expect(proc('environ')).not.toContain('correct horse');
      } finally {
        daemon.kill();
        await gone;
      }
    },
  );

  test('hands it to whoever asks for it, as often as it is asked for', () => {
    const program = `
      const { guardProcess, passphraseOfEnvironment } = await import(\
${JSON.stringify(join(root, 'dist/host/process-secrets.js'))});
      const { spawnSync } = await import('node:child_process');
      guardProcess();
      const report = JSON.stringify(process.report.getReport().environmentVariables);
      console.log(JSON.stringify([passphraseOfEnvironment(), passphraseOfEnvironment(), \
report.includes('geheim'), \
spawnSync('env', { encoding: 'utf8' }).stdout.includes('geheim')]));`;
    const run = (passphrase: string): unknown =>
      JSON.parse(
        spawnSync(process.execPath, ['--input-type=module', '-e', program], {
          encoding: 'utf8',
          env: { ...process.env, SPINES_PASSPHRASE: passphrase },
        }).stdout,
      );
    expect(run('geheim \u00e4 \u{1f600}')).toEqual([
      'geheim \u00e4 \u{1f600}',
      'geheim \u00e4 \u{1f600}',
      false,
      false,
    ]);
    expect(run('')).toEqual([null, null, false, false]);
  });
});

describe('the unit', () => {
  const path = join(root, 'examples/spines.service');
  const settings = readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => !line.startsWith('#'));

  test('gives a daemon no more than it needs', () => {
    const wanted = [
      'LimitCORE=0',
      'UMask=0077',
      'NoNewPrivileges=yes',
      'CapabilityBoundingSet=',
      'ProtectSystem=strict',
      'ProtectHome=yes',
      'PrivateTmp=yes',
      'PrivateDevices=yes',
      'RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX',
      'SystemCallFilter=@system-service',
      'User=spines',
      'Type=notify',
    ];
    for (const line of wanted) expect(settings).toContain(line);
    // V8 makes code at run time.
    expect(settings.join('\n')).not.toContain('MemoryDenyWriteExecute');
  });

  test.skipIf(!existsSync('/usr/bin/systemd-analyze'))('is one that systemd understands', () => {
    // Of what it runs only the place is another one.
    const folder = mkdtempSync(join(tmpdir(), 'spines-unit-'));
    const unit = join(folder, 'spines.service');
    writeFileSync(unit, readFileSync(path, 'utf8').replace('/usr/local/bin/spines', '/bin/true'));
    const { stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', unit], {
      encoding: 'utf8',
    });
    rmSync(folder, { recursive: true });
    expect(`${stdout}${stderr}`.split('\n').filter((line) => line.includes(unit))).toEqual([]);
  });

  test.skipIf(!existsSync('/usr/bin/systemd-analyze'))(
    'is one that systemd finds well closed',
    () => {
      const found = spawnSync(
        'systemd-analyze',
        ['security', '--offline=yes', '--threshold=20', '--no-pager', path],
        { encoding: 'utf8' },
      );
      // Of systemd before 250 it can't be asked.
      if (/unrecognized option|Unknown/.test(found.stderr)) return;
      expect(found.stdout + found.stderr).toMatch(
        /Overall exposure level for spines\.service: [01]\.\d/,
      );
      expect(found.status).toBe(0);
    },
  );
});

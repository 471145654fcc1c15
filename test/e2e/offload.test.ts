/**
 * Why a daemon goes without UDP offload is said: in its log, in status and by doctor. And what has
 * nothing to do with it takes none away.
 */

import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';

import { findOffload } from '../../src/host/net/offload.ts';
import { whyNoNamespaces } from '../support/namespaces.ts';
import { freePorts, RealDaemon, spines } from '../support/processes.ts';

const LONG = process.env['SPINES_LONG'] === '1';
const folder = mkdtempSync(join(tmpdir(), 'spines-offload-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const BUILT = fileURLToPath(new URL('../../dist/host/net/offload.js', import.meta.url));
/** As where the package's binary does not fit the system. */
const BROKEN = `const m = require('node:module'), load = m._load;
m._load = function (name, ...rest) { if (name === 'koffi') throw \
new Error('libc.so.6: version GLIBC_9 not found\\nmore'); \
return load.call(this, name, ...rest); };\n`;
/** Takes both ephemeral ports that the namespace has, and looks for offload then. */
const NO_PORT = `const { createSocket } = require('node:dgram');
let left = 2;
for (const port of [40000, 40001]) createSocket('udp4').bind(port, '127.0.0.1', async () => {
  if (--left > 0) return;
  const { findOffload } = await import(${JSON.stringify(BUILT)});
  const { offload, without } = findOffload();
  console.log(JSON.stringify({ batches: offload?.batches ?? null, without }));
  process.exit();
});`;

test('what is switched off, and what cannot be had, has its reason', () => {
  expect(findOffload(false).without).toMatch(
    process.platform === 'linux' ? /switched off|cannot be loaded/ : /only Linux/,
  );
});

test('where the optional package cannot be loaded, log, ' +
  'status and doctor say what the system said of it', async () => {
  const preload = join(folder, 'broken.cjs'),
    socket = join(folder, 's');
  writeFileSync(preload, BROKEN);
  const [port] = (await freePorts(1)) as [number];
  const daemon = new RealDaemon('a', port, socket, [
    '--security',
    'none',
    '--id',
    '10.0.0.1',
    '--listen',
    `127.0.0.1:${port}`,
    '--socket',
    socket,
  ]);
  const options = process.env['NODE_OPTIONS'];
  process.env['NODE_OPTIONS'] = `--require ${preload}`;
  daemon.start();
  if (options === undefined) delete process.env['NODE_OPTIONS'];
  else process.env['NODE_OPTIONS'] = options;
  try {
    const asked = LONG ? [['status', '--all'], ['doctor']] : [['status', '--all']];
    for (const command of asked) {
      const { stdout } = await spines([...command, '--wait', '60', '--socket', socket], {
        env: { NODE_OPTIONS: `--require ${preload}` },
      });
      expect(stdout.toString().replace(/\s+/g, ' '), command[0]).toMatch(
        new RegExp(
          String.raw`one call (per|for each) datagram.*koffi cannot be loaded: ` +
            String.raw`libc\.so\.6: version GLIBC_9 not found`,
        ),
      );
      expect(stdout.toString().replace(/\s+/g, ' '), command[0]).toMatch(
        /strangers (share the queue of links|what they send shares the queue)/,
      );
    }
    expect(daemon.log).toMatch(
      new RegExp(
        String.raw`"reason":"the optional package koffi cannot be loaded: ` +
          String.raw`libc\.so\.6: version GLIBC_9 not found".*no UDP offload`,
      ),
    );
  } finally {
    await daemon.end('SIGKILL');
  }
}, 90_000);

test.runIf(LONG && whyNoNamespaces() === null && findOffload().offload?.batches === true)(
  'that no port is free takes no offload away',
  async () => {
    const space = `spines-${process.pid}-ports`;
    const ip = (...args: string[]): void => {
      expect(spawnSync('ip', args).status, args.join(' ')).toBe(0);
    };
    ip('netns', 'add', space);
    try {
      ip('-n', space, 'link', 'set', 'lo', 'up');
      ip('netns', 'exec', space, 'sysctl', '-qw', 'net.ipv4.ip_local_port_range=40000 40001');
      const child = spawn('ip', ['netns', 'exec', space, process.execPath, '-e', NO_PORT], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let said = '';
      child.stdout.on('data', (chunk: Buffer) => {
        said += chunk.toString();
      });
      await new Promise((resolve) => child.once('close', resolve));
      expect(JSON.parse(said)).toEqual({ batches: true, without: null });
    } finally {
      spawnSync('ip', ['netns', 'del', space]);
    }
  },
  60_000,
);

/**
 * What a service manager is told: by a socket of the system that a test listens at, where koffi is
 * installed; by a program that stands for systemd-notify otherwise; and by a real daemon.
 */

import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';

import { nullLog } from '../../../src/core/base/log.ts';
import { ServiceManager } from '../../../src/host/service-manager.ts';
import { freePorts, PROGRAM } from '../../support/processes.ts';

const folder = mkdtempSync(join(tmpdir(), 'spines-notify-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Koffi {
  load(path: null): { func(prototype: string): (...args: readonly unknown[]) => number };
}
const koffi = ((): Koffi | null => {
  try {
    return createRequire(import.meta.url)('koffi') as Koffi;
  } catch {
    return null;
  }
})();
const DIRECT = koffi !== null && process.platform === 'linux';

/** A Unix datagram socket of that name; reads what has come so far. */
function receiver(socket: string): () => string[] {
  const libc = koffi!.load(null);
  const name = Buffer.from(socket.startsWith('@') ? `\0${socket.slice(1)}` : `${socket}\0`, 'utf8');
  const address = Buffer.concat([Buffer.from([1, 0]), name]);
  // SOCK_DGRAM, SOCK_NONBLOCK and SOCK_CLOEXEC.
  const fd = libc.func('int socket(int, int, int)')(1, 2 | 0o4000 | 0o2000000, 0);
  expect(libc.func('int bind(int, uint8_t *, uint32_t)')(fd, address, address.length)).toBe(0);
  const recv = libc.func('long recv(int, _Out_ uint8_t *, size_t, int)');
  return () => {
    const came: string[] = [];
    for (;;) {
      const bytes = new Uint8Array(4_096);
      const length = recv(fd, bytes, bytes.length, 0);
      if (length < 0) return came;
      came.push(Buffer.from(bytes.subarray(0, length)).toString('utf8'));
    }
  };
}

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds() && tries < 1_000; tries += 1)
    await new Promise((resolve) => setTimeout(resolve, 20));
  expect(holds()).toBe(true);
}

test.runIf(DIRECT)(
  'by path and by abstract name: ready, alive at half the time, stopping',
  async () => {
    for (const socket of [join(folder, 'notify'), `@spines-test-${process.pid}`]) {
      const read = receiver(socket);
      const env: NodeJS.ProcessEnv = { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '40000' };
      const manager = new ServiceManager(nullLog, env);
      expect(env).toEqual({});
      expect(read()).toEqual([]);
      manager.ready('listens on 1\nSTOPPING=1');
      expect(read()).toEqual(['READY=1\nSTATUS=listens on 1 STOPPING=1']);
      const came: string[] = [];
      await until(() => came.push(...read()) >= 3);
      expect(new Set(came)).toEqual(new Set(['WATCHDOG=1']));
      manager.stopping();
      manager.end();
      expect(read()).toContain('STOPPING=1');
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(read()).toEqual([]);
    }
  },
);

test.runIf(DIRECT)('a watchdog that is for another process, or none, is not fed', async () => {
  for (const [i, watchdog] of [
    { WATCHDOG_USEC: '20000', WATCHDOG_PID: '1' },
    { WATCHDOG_USEC: '0' },
    { WATCHDOG_USEC: 'soon' },
  ].entries()) {
    const socket = join(folder, `none-${i}`);
    const read = receiver(socket);
    new ServiceManager(nullLog, { NOTIFY_SOCKET: socket, ...watchdog }).ready('');
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(read()).toEqual(['READY=1\nSTATUS=']);
  }
});

test('nobody to tell, or a place where nobody can be: nothing happens, and it is said', () => {
  const said: unknown[] = [];
  const log = { ...nullLog, warn: (fields: unknown) => said.push(fields) };
  for (const socket of [undefined, '', 'relative', `/${'a'.repeat(200)}`, '@', '/', 'vsock:2:1']) {
    const manager = new ServiceManager(log, socket === undefined ? {} : { NOTIFY_SOCKET: socket });
    manager.ready('x');
    manager.stopping();
    manager.end();
  }
  expect(said).toHaveLength(5);
  // A socket that is gone holds nobody up.
  const gone = new ServiceManager(log, { NOTIFY_SOCKET: join(folder, 'gone') });
  gone.ready('x');
  gone.end();
});

test('without calls of its own it has systemd-notify say it', async () => {
  const told = join(folder, 'told');
  const fake = join(folder, 'systemd-notify');
  writeFileSync(fake, `#!/bin/sh\nprintf '%s|' "$NOTIFY_SOCKET" "$@" >> ${told}\n`);
  chmodSync(fake, 0o755);
  const { PATH } = process.env;
  process.env['PATH'] = `${folder}:${PATH}`;
  try {
    new ServiceManager(nullLog, { NOTIFY_SOCKET: '/run/x' }, false).ready('up');
    const wanted = '/run/x|READY=1|STATUS=up|';
    const read = (): string => {
      try {
        return readFileSync(told, 'utf8');
      } catch {
        return '';
      }
    };
    await until(() => read() === wanted);
  } finally {
    process.env['PATH'] = PATH;
  }
});

test.runIf(DIRECT)(
  'a real daemon says it, and no sooner than it takes programs',
  async () => {
    const socket = join(folder, 'daemon');
    const read = receiver(socket);
    const [port] = await freePorts(1);
    const args = ['--security', 'none', '--id', '10.0.0.1', '--listen', `127.0.0.1:${port}`];
    const daemon = spawn(
      process.execPath,
      [PROGRAM, 'daemon', ...args, '--socket', join(folder, 'clients.sock')],
      { stdio: 'ignore', env: { ...process.env, NOTIFY_SOCKET: socket, WATCHDOG_USEC: '100000' } },
    );
    try {
      const came: string[] = [];
      await until(() => came.push(...read()) >= 2);
      expect(came[0]).toMatch(/^READY=1\nSTATUS=listens on 127\.0\.0\.1:\d+$/);
      expect(came[1]).toBe('WATCHDOG=1');
      const gone = new Promise((resolve) => daemon.once('exit', resolve));
      daemon.kill('SIGTERM');
      expect(await gone).toBe(0);
      expect(read()).toContain('STOPPING=1');
    } finally {
      daemon.kill('SIGKILL');
    }
  },
  60_000,
);

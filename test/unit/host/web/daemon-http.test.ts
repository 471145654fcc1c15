/**
 * A real daemon's HTTP door: off unless asked for, with a token that it makes, closed when the
 * daemon stops; and what comes by it shows in the drops.
 */

import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, expect, test } from 'vitest';

import { makeConfig } from '../../../../src/core/node/config.ts';
import type { DaemonOptions } from '../../../../src/host/daemon-options.ts';
import { startDaemon } from '../../../../src/host/daemon.ts';

const folder = mkdtempSync(join(tmpdir(), 'spines-http-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function options(http: DaemonOptions['http']): DaemonOptions {
  return {
    config: makeConfig({ id: 0x0a00_0001, name: 'alone' }),
    listen: [{ address: '127.0.0.1', port: 0 }],
    client: { socketPath: null, tcp: null },
    ...(http === undefined ? {} : { http }),
    emulation: [],
    emulationSeed: 1,
    membership: null,
    revocationsPath: null,
    reload: null,
    log: pino({ level: 'silent' }),
  };
}

test('a daemon opens it when asked, with the token of its file, and closes it', async () => {
  const silent = await startDaemon(options(undefined));
  expect(silent.httpPort).toBeNull();
  await silent.stop();
  const tokenPath = join(folder, 'token');
  const address = { address: '127.0.0.1', port: 0 };
  const daemon = await startDaemon(options({ address, tokenPath }));
  const at = (path: string): string => `http://127.0.0.1:${daemon.httpPort}${path}`;
  try {
    expect(statSync(tokenPath).mode & 0o777).toBe(0o600);
    const authorization = `Bearer ${readFileSync(tokenPath, 'utf8').trim()}`;
    expect((await fetch(at('/metrics'))).status).toBe(401);
    const metrics = await (await fetch(at('/metrics'), { headers: { authorization } })).text();
    expect(metrics).toContain('spines_info{node="10.0.0.1",name="alone",');
    expect(metrics).toContain('spines_drops_total{reason="clientRefused"} 1\n');
    expect(metrics).toMatch(/^process_resident_memory_bytes [1-9]\d{6,}$/m);
    expect(metrics).toMatch(/^spines_timer_lateness_seconds_count \d+$/m);
    const status = await fetch(at('/status.json'), { headers: { authorization } });
    expect(await status.json()).toMatchObject({ schema: 1, name: 'alone' });
    const ready = await fetch(at('/readyz'));
    expect([ready.status, await ready.text()]).toEqual([200, '{"schema":1,"ready":true}\n']);
  } finally {
    await daemon.stop();
  }
  await expect(fetch(at('/healthz'))).rejects.toThrow();
  const taken = startDaemon(options({ address: { address: '203.0.113.1', port: 1 }, tokenPath }));
  await expect(taken).rejects.toThrow(/can't listen for HTTP on 203\.0\.113\.1:1: EADDRNOTAVAIL/);
});

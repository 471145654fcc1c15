/**
 * One daemon in this process for a file of cases; programs find it as they would anywhere, by
 * $SPINES_SOCKET.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll } from 'vitest';

import { startDaemon, type RunningDaemon } from '../../src/host/daemon.ts';
import { makeConfig } from '../../src/core/node/config.ts';

export function useDaemon(name = 'alpha'): void {
  const folder = mkdtempSync(join(tmpdir(), 'spines-compat-'));
  const socketPath = join(folder, 'd.sock');
  let daemon: RunningDaemon;
  beforeAll(async () => {
    process.env['SPINES_SOCKET'] = socketPath;
    daemon = await startDaemon({
      config: makeConfig({ id: 0x0a00_0001, name }),
      listen: [{ address: '127.0.0.1', port: 0 }],
      client: { socketPath, tcp: null },
      membership: null,
      revocationsPath: null,
      reload: null,
      emulation: [],
      emulationSeed: 1,
      log: pino({ level: 'silent' }),
    });
  });
  afterAll(async () => {
    await daemon.stop();
    rmSync(folder, { recursive: true, force: true });
  });
}

/**
 * What only real sockets and processes show of a neighbour without a link: a port that nothing
 * listens on, a daemon that stood still.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';

import { freePorts, RealDaemon, spines } from '../support/processes.ts';

const folder = mkdtempSync(join(tmpdir(), 'spines-why-'));
let daemon: RealDaemon | null = null;
afterAll(async () => {
  await daemon?.end('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

async function said(words: string): Promise<string> {
  for (let tries = 0; tries < 600; tries += 1) {
    const line = daemon!.log.split('\n').find((one) => one.includes(words));
    if (line !== undefined) return line;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`not in the log: ${words}: ${daemon!.log}`);
}

test("a closed port is named with what to do, in the log under the daemon's name, " +
  'in `links` and `doctor`; and a daemon that was stopped says for how long', async () => {
  const ports = await freePorts(2);
  const made = await spines([
    'init',
    'lab',
    '-n',
    '2',
    '--dir',
    join(folder, 'net'),
    '--addresses',
    ports.map((port) => `127.0.0.1:${port}`).join(','),
  ]);
  expect(made.code, made.stderr).toBe(0);
  const socket = join(folder, 'net', 'node-1', 'spines.sock');
  daemon = new RealDaemon('node-1', ports[0]!, socket, [
    '--config',
    join(folder, 'net', 'node-1', 'spines.yaml'),
  ]);
  daemon.start();
  await (await daemon.connect()).close();
  const line = JSON.parse(await said('no link to a neighbour')) as Record<string, unknown>;
  expect(line).toMatchObject({
    name: 'node-1',
    level: 40,
    peer: 'node-2',
    why: `nothing listens on UDP 127.0.0.1:${ports[1]!}, the machine there says`,
  });
  const links = await spines(['links', '--socket', socket]);
  expect(links.stdout.toString()).toMatch(
    new RegExp(
      String.raw`\nnode-2 at 127\.0\.0\.1:\d+, connecting for \d+s: port ` +
        String.raw`closed\n {2}nothing listens on UDP .*\n {2}next: start node-2 ` +
        String.raw`there`,
    ),
  );
  const doctor = await spines(['doctor', '--socket', socket]);
  expect(doctor.code).toBe(1);
  expect(doctor.stdout.toString()).toContain('link to node-2:\n  nothing listens on UDP');
  daemon.process!.kill('SIGSTOP');
  // That it stood still is what is tested: no event ends it.
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  daemon.process!.kill('SIGCONT');
  const { ms } = JSON.parse(await said('the daemon stood still')) as { ms: number };
  expect(ms).toBeGreaterThan(1_000);
}, 90_000);

/**
 * A program in another language, by PROTOCOL.md alone: the Python client of the examples echoes
 * datagrams and a stream through two real daemons. Skipped where there is no python3.
 */

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';

import { RealNetwork } from '../support/processes.ts';

const PYTHON = spawnSync('python3', ['--version']).status === 0 ? 'python3' : null;
const ECHO = fileURLToPath(new URL('../../examples/python/echo.py', import.meta.url));

function python(...args: readonly string[]): ChildProcess & { said: string } {
  const child = spawn(PYTHON!, ['-B', ECHO, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const noted = Object.assign(child, { said: '' });
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      noted.said += chunk.toString();
    });
  return noted;
}

describe.skipIf(PYTHON === null)('a program in Python', () => {
  const network = new RealNetwork();
  const children: ChildProcess[] = [];
  afterAll(async () => {
    for (const child of children) child.kill('SIGKILL');
    await network.close();
  });

  test('echoes datagrams and a stream of 1 MiB through real daemons', async () => {
    await network.start(2, [[0, 1]]);
    await network.converged();
    const [near, far] = network.daemons.map(({ socket }) => socket);
    const server = python(far!, 'serve', '7000');
    children.push(server);
    while (!server.said.includes('ready')) {
      expect(server.exitCode, server.said).toBe(null);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const caller = python(near!, 'call', 'n1', '7000');
    children.push(caller);
    const [code] = (await once(caller, 'close')) as [number | null];
    expect([code, caller.said]).toEqual([
      0,
      'connected to n0\ndatagram from 10.0.0.2: a datagram\n' +
        'stream: 1048576 of 1048576 bytes came back\n',
    ]);
  }, 60_000);
});

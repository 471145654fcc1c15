/** The examples in Node, over two real daemons: what they say they do, they do. */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { RealNetwork } from '../support/processes.ts';

const network = new RealNetwork();
const children: ChildProcess[] = [];
beforeAll(async () => {
  await network.start(2, [[0, 1]]);
  await network.converged();
}, 60_000);
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await network.close();
});

/** An example that asks the daemon of that node. */
function example(node: number, file: string, ...args: readonly string[]) {
  const path = fileURLToPath(new URL(`../../examples/node/${file}`, import.meta.url));
  const child = spawn(process.execPath, [path, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, SPINES_SOCKET: network.daemons[node]!.socket },
  });
  children.push(child);
  const noted = Object.assign(child, { said: '' });
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      noted.said += String(chunk);
    });
  return noted;
}

/** What it says first, or why it ended. */
async function ready(child: ReturnType<typeof example>): Promise<void> {
  await Promise.race([once(child.stdout, 'data'), once(child, 'close')]);
  expect(child.said).toBe('ready\n');
}

test.each([
  ['http.mjs', 'get', '7001', 'GET /one from 10.0.0.1\nGET /two from 10.0.0.1\n'],
  ['tls.mjs', 'call', '7002', 'TLSv1.2: heard: over TLS\n'],
])(
  '%s',
  async (file, what, port, says) => {
    await ready(example(1, file, 'serve', port));
    const near = example(0, file, what, 'n1', port);
    const [code] = (await once(near, 'close')) as [number | null];
    expect([code, near.said]).toEqual([0, says]);
  },
  60_000,
);

test('video.mjs', async () => {
  const far = example(1, 'video.mjs', 'watch', '7003');
  await ready(far);
  const near = example(0, 'video.mjs', 'send', 'n1', '7003', '1');
  await Promise.all([once(near, 'close'), once(far, 'close')]);
  expect(near.said).toBe('sent 30 frames\n');
  const [, whole, of] = /(\d+) of (\d+) frames whole; .* jitter \d+\.\d ms/.exec(far.said)!;
  // How many come in time is the machine's affair.
  expect(Number(whole)).toBeGreaterThan(0);
  expect(Number(of)).toBeGreaterThanOrEqual(Number(whole));
  expect(Number(of)).toBeLessThanOrEqual(30);
}, 60_000);

/**
 * The programs of spines-client/README.md, run as they stand there, beside a daemon called chicago.
 */

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

import { useDaemon } from './daemon.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const README = readFileSync(new URL('../../spines-client/README.md', import.meta.url), 'utf8');
const programs = [...README.matchAll(/^```js\n(.*?)^```$/gms)].map((match) => match[1]!);
const [datagrams = '', streams = '', , http = '', silence = '', watching = ''] = programs;

useDaemon('chicago');

/** What a program prints, until it ends or has printed `enough`. */
function run(source: string, enough?: string): Promise<{ out: string; code: number | null }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--input-type=module', '--eval', source], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    const onText = (chunk: Buffer): void => {
      out += String(chunk);
      if (out === enough) child.kill();
    };
    child.stdout.on('data', onText);
    child.stderr.on('data', onText);
    child.on('close', (code) => resolve({ out, code }));
  });
}

test('datagrams: the first example answers itself and ends', async () => {
  expect(await run(datagrams)).toEqual({ out: 'echo hello from 10.0.0.1:8400\n', code: 0 });
});

test('streams: the second too', async () => {
  expect(await run(streams)).toEqual({ out: 'hello\n', code: 0 });
});

test('http: a server and two ways to ask it', async () => {
  expect(http).toContain('listenHttp');
  expect((await run(http, 'hello')).out).toBe('hello');
});

test('a realtime socket: the same, and nothing is said of it', async () => {
  const source = datagrams.replace('createSocket();', "createSocket({ link: 'realtime' });");
  expect(source).not.toBe(datagrams);
  const { out, code } = await run(source);
  expect([out.includes('SPINES_NO_REALTIME'), /^echo hello/m.test(out), code]).toEqual([
    false,
    true,
    0,
  ]);
});

test('limits of silence: both ends take them', async () => {
  expect(silence).toContain('silenceMs');
  const [first = '', second = ''] = silence.trim().split('\n');
  const source = `
    import { connect, createServer } from 'spines-client';
    ${second}
    server.listen(8500, () => {
      ${first}
      socket.end('heard');
      socket.on('data', (text) => console.log(String(text)));
      socket.on('close', () => server.close());
    });`;
  expect(await run(source)).toEqual({ out: 'heard\n', code: 0 });
});

test('what happens is told, and a socket knows how it does', async () => {
  const source = `
    import { createServer } from 'spines-client';
    const server = createServer((socket) => socket.end());
    await new Promise((listens) => server.listen(8500, listens));
    ${watching}
    server.close();`;
  const { out, code } = await run(source);
  expect(out).toMatch(/^closed \d+$/m);
  expect(out).toContain("{ node: '10.0.0.1', name: 'chicago' }");
  expect(code).toBe(0);
});

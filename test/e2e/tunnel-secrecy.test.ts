/**
 * `--secrecy` of `spines forward`, `socks` and `expose`, and what the client library says of the
 * far end of a stream: the receiving daemon calls proved what it has opened, and nothing else, so
 * what it says of a stream is how that stream was on the wire.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SecrecyName, SpinesClient, SpinesSocket } from 'spines-client';
import { PROGRAM, RealNetwork } from '../support/processes.ts';

const SECRECIES: readonly SecrecyName[] = ['end-to-end', 'links'];
const network = new RealNetwork();
const running: ChildProcess[] = [];
let near: SpinesClient, far: SpinesClient;
let nextPort = 7_000;

beforeAll(async () => {
  await network.start(2, [[0, 1]]);
  await network.converged();
  near = await network.daemons[0]!.connect();
  far = await network.daemons[1]!.connect();
}, 60_000);

afterAll(async () => {
  for (const child of running) child.kill('SIGTERM');
  await Promise.all(running.map((child) => child.exitCode ?? once(child, 'exit')));
  await network.close();
});

/** Runs a command of `spines` until it has said `ready` on stderr; what matched. */
async function start(args: readonly string[], ready: RegExp): Promise<RegExpExecArray> {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  running.push(child);
  let said = '';
  for await (const chunk of child.stderr!) {
    said += String(chunk);
    const match = ready.exec(said);
    if (match === null) continue;
    child.stderr!.resume();
    return match;
  }
  throw new Error(`spines ${args.join(' ')} ended: ${said}`);
}

const LISTENING = /^listening on 127\.0\.0\.1:(\d+)/m;

/** A program at the far daemon, at a port of its own: its port, and whose streams it got. */
async function listener(secrecy: SecrecyName): Promise<{ port: number; got: boolean[] }> {
  const port = (nextPort += 1),
    got: boolean[] = [];
  const server = far.createServer({ secrecy }, (socket) => {
    got.push(socket.authenticated);
    socket.on('error', () => {});
    socket.end('x');
    socket.resume();
  });
  await new Promise<void>((resolve) => {
    server.listen(port, resolve);
  });
  return { port, got };
}

/** Waits until `count` streams have come there. */
async function heard(got: readonly boolean[], count: number): Promise<void> {
  while (got.length < count) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** A stream from the near daemon to `port` of the far one; the code of why not. */
async function dial(port: number, secrecy: SecrecyName): Promise<SpinesSocket | string> {
  const socket = near.stream({ secrecy });
  return new Promise((resolve) => {
    socket.on('error', (error) => resolve((error as NodeJS.ErrnoException).code!));
    socket.connect(port, 'n1', () => resolve(socket));
  });
}

/** Whether it ended in order or not. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.on('close', () => resolve());
  });
}

/** Connects to a local TCP port, sends `bytes` and waits for the end, whichever. */
async function knock(port: number, bytes: Uint8Array): Promise<void> {
  const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
  socket.on('error', () => {}).resume();
  await closed(socket);
}

/** RFC 1928: no authentication, then CONNECT to 127.0.0.1 port 9. */
const SOCKS = Uint8Array.from([5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, 0, 9]);

test.each(SECRECIES)(
  'both ends of a stream say whether the other is proved: %s',
  async (secrecy) => {
    const { port, got } = await listener(secrecy);
    const socket = (await dial(port, secrecy)) as SpinesSocket;
    const proved = secrecy === 'end-to-end';
    await heard(got, 1);
    expect([socket.authenticated, got]).toEqual([proved, [proved]]);
    socket.destroy();
    // Within the node nothing leaves the daemon.
    const own = far.stream({ secrecy });
    await new Promise<void>((resolve) => {
      own.connect(port, 'n1', resolve);
    });
    await heard(got, 2);
    expect([own.authenticated, got[1]]).toEqual([true, true]);
    own.destroy();
  },
);

test(
  'who wants it end to end refuses what is not, ' + 'at once, and who does not takes both',
  async () => {
    const strict = await listener('end-to-end'),
      open = await listener('links');
    expect(await dial(strict.port, 'links')).toBe('ECONNREFUSED');
    expect(strict.got).toEqual([]);
    const socket = (await dial(open.port, 'end-to-end')) as SpinesSocket;
    await heard(open.got, 1);
    expect([socket.authenticated, open.got]).toEqual([true, [true]]);
    socket.destroy();
  },
);

test.each(SECRECIES)(
  'forward and socks with --secrecy %s send so, and reach who takes it',
  async (secrecy) => {
    const { socket } = network.daemons[0]!;
    for (const command of ['forward', 'socks'] as const) {
      const open = await listener('links'),
        strict = await listener('end-to-end');
      for (const { port } of [open, strict]) {
        const args =
          command === 'forward'
            ? ['forward', '0', 'n1', '127.0.0.1:9']
            : ['socks', '0', '--exit', 'n1'];
        const [, local] = await start(
          [...args, '--via', String(port), '--secrecy', secrecy, '--socket', socket],
          LISTENING,
        );
        await knock(Number(local), command === 'forward' ? Uint8Array.of(1) : SOCKS);
      }
      const proved = secrecy === 'end-to-end';
      await heard(open.got, 1);
      if (proved) await heard(strict.got, 1);
      expect([command, open.got, strict.got]).toEqual([command, [proved], proved ? [true] : []]);
    }
  },
);

test.each(SECRECIES)('expose with --secrecy %s takes that and better', async (secrecy) => {
  const target = createServer((socket) => {
    socket.on('error', () => {}).end('here');
  });
  target.listen(0, '127.0.0.1');
  await once(target, 'listening');
  const at = `127.0.0.1:${(target.address() as AddressInfo).port}`,
    via = String((nextPort += 1));
  const expose = ['expose', '--allow', at, '--via', via, '--secrecy', secrecy];
  await start([...expose, '--socket', network.daemons[1]!.socket], /^exposing /m);
  for (const own of SECRECIES) {
    const goes = own === 'end-to-end' || secrecy === 'links';
    const forward = ['forward', '0', 'n1', at, '--via', via, '--secrecy', own];
    const [, local] = await start([...forward, '--socket', network.daemons[0]!.socket], LISTENING);
    const socket = connect(Number(local), '127.0.0.1');
    let heard = '';
    socket
      .on('error', () => {})
      .on('data', (chunk: Buffer) => {
        heard += chunk.toString();
      });
    await closed(socket);
    expect([own, heard]).toEqual([own, goes ? 'here' : '']);
    if (!goes) expect(await dial(Number(via), own)).toBe('ECONNREFUSED');
  }
  target.close();
});

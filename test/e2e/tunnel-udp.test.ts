/**
 * UDP of other programs over real daemons: `spines forward --udp`, UDP ASSOCIATE of `spines socks`
 * by a client written out here, and `spines expose --udp`. What bounds and refusals do in detail is
 * shown in virtual time (test/unit/host/tunnel). And `spines talk`, which has the same sockets.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { encodeTarget } from '../../src/host/tunnel/udp-message.ts';
import { PROGRAM, RealNetwork, spines } from '../support/processes.ts';

const network = new RealNetwork();
const running: ChildProcess[] = [];
const sockets: Socket[] = [];
/** UDP echoes: of IPv4, and of IPv6 where the machine has it. */
let echo = 0,
  echo6 = 0;

beforeAll(async () => {
  await network.start(2, [[0, 1]]);
  await network.converged();
  echo = await echoAt('127.0.0.1');
  if (hasIpv6()) echo6 = await echoAt('::1');
  await start(
    [
      ...['expose', '--socket', network.daemons[1]!.socket, '--udp', `127.0.0.1:${echo}`],
      ...['--udp', `localhost:${echo}`, '--udp', '127.0.0.1:9', '--udp', `[::1]:${echo6 || 9}`],
    ],
    /^exposing UDP 127\.0\.0\.1:\d+, .* port 6000$/m,
  );
}, 60_000);

afterAll(async () => {
  for (const socket of sockets) socket.close();
  for (const child of running) child.kill('SIGTERM');
  const codes = await Promise.all(
    running.map(async (child) => child.exitCode ?? ((await once(child, 'exit')) as [number])[0]),
  );
  await network.close();
  // SIGTERM is how they end.
  expect(codes.every((code) => code === 0)).toBe(true);
});

function hasIpv6(): boolean {
  return Object.values(networkInterfaces()).some((list) =>
    list?.some(({ address }) => address === '::1'),
  );
}

async function bound(address: string): Promise<Socket> {
  const socket = createSocket({
    type: address.includes(':') ? 'udp6' : 'udp4',
    recvBufferSize: 1 << 20,
  });
  sockets.push(socket);
  await new Promise<void>((resolve) => socket.bind(0, address, resolve));
  return socket;
}

async function echoAt(address: string): Promise<number> {
  const socket = await bound(address);
  socket.on('message', (message, { port, address: from }) => socket.send(message, port, from));
  return socket.address().port;
}

/** Runs a command of `spines` until it has said `ready` on stderr; what matched. */
async function start(args: readonly string[], ready: RegExp): Promise<RegExpExecArray> {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  running.push(child);
  let said = '';
  child.stderr!.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  for (;;) {
    const match = ready.exec(said);
    if (match !== null) return match;
    if (child.exitCode !== null) throw new Error(`spines ${args.join(' ')} ended: ${said}`);
    await once(child.stderr!, 'data');
  }
}

/** The local port of a `spines forward --udp` to the echo of that address. */
async function forward(target: string, more: readonly string[] = [], bind = ''): Promise<number> {
  const args = ['forward', '--udp', `${bind}0`, 'n1', target, ...more];
  const [, port] = await start(
    [...args, '--socket', network.daemons[0]!.socket],
    /^listening on UDP \S+:(\d+), carried to \S+ at n1$/m,
  );
  return Number(port);
}

/**
 * Sends until `expected` comes back, as programs do over what may lose; what else comes is an
 * answer to what was sent again. Whence it came.
 */
async function exchange(
  socket: Socket,
  message: Buffer,
  port: number,
  address: string,
  expected = message,
): Promise<RemoteInfo> {
  const answer = new Promise<RemoteInfo>((resolve) => {
    const onMessage = (got: Buffer, from: RemoteInfo): void => {
      if (!got.equals(expected)) return;
      socket.off('message', onMessage);
      resolve(from);
    };
    socket.on('message', onMessage);
  });
  const send = (): void => socket.send(message, port, address);
  const again = setInterval(send, 500);
  send();
  try {
    return await answer;
  } finally {
    clearInterval(again);
  }
}

test.each([['best-effort'], ['reliable']])(
  'forward --udp carries datagrams of any size over %s links, and a daemon that restarts',
  async (link) => {
    const port = await forward(`127.0.0.1:${echo}`, ['--link', link]);
    const socket = await bound('127.0.0.1');
    for (const bytes of [1, 0, 1_372, 65_507]) {
      const message = Buffer.alloc(bytes, bytes & 255);
      const from = await exchange(socket, message, port, '127.0.0.1');
      expect([bytes, from.address, from.port]).toEqual([bytes, '127.0.0.1', port]);
    }
    if (link === 'reliable') return;
    const [near] = network.daemons;
    await near!.end('SIGTERM');
    near!.start();
    await network.converged();
    await exchange(socket, Buffer.from('again'), port, '127.0.0.1');
  },
);

test.runIf(hasIpv6())('IPv6, and a wildcard answers from the address that was asked', async () => {
  const port = await forward(`[::1]:${echo6}`, [], '[::]:');
  const four = await bound('127.0.0.1'),
    six = await bound('::1');
  const asked: readonly [Socket, string][] = [
    [six, '::1'],
    [four, '127.0.0.1'],
    ...Object.values(networkInterfaces())
      .flatMap((list) => list ?? [])
      .filter(({ family, internal }) => family === 'IPv4' && !internal)
      .slice(0, 1)
      .map(({ address }): [Socket, string] => [four, address]),
  ];
  for (const [socket, address] of asked) {
    // A socket of loopback reaches no other address than loopback's.
    const client = address === '::1' || address === '127.0.0.1' ? socket : await bound('0.0.0.0');
    const from = await exchange(client, Buffer.from(address), port, address);
    expect([from.address, from.port]).toEqual([address, port]);
  }
});

test('socks UDP ASSOCIATE: several targets, until its TCP connection ends', async () => {
  const [, local] = await start(
    ['socks', '0', '--exit', 'n1', '--socket', network.daemons[0]!.socket],
    /^listening on 127\.0\.0\.1:(\d+), SOCKS5/m,
  );
  const control = connect(Number(local), '127.0.0.1');
  control.write(Buffer.from('050100' + '05030001000000000000', 'hex'));
  let said = Buffer.alloc(0);
  while (said.length < 12)
    said = Buffer.concat([said, ((await once(control, 'data')) as [Buffer])[0]]);
  expect(said.toString('hex', 0, 10)).toBe('0500' + '050000017f000001');
  const relay = said.readUInt16BE(10);
  const socket = await bound('127.0.0.1'),
    stranger = await bound('127.0.0.1');
  const heard: string[] = [];
  socket.on('message', (message) => heard.push(message.toString('latin1')));
  const ask = (host: string, payload: string, fragment = 0): Buffer =>
    Buffer.concat([
      Buffer.from([0, 0, fragment]),
      encodeTarget({ host, port: echo }),
      Buffer.from(payload),
    ]);
  for (const host of ['127.0.0.1', 'localhost']) {
    socket.send(ask(host, 'fragment', 1), relay, '127.0.0.1');
    // Who answers is an address, whatever was asked for.
    await exchange(socket, ask(host, host), relay, '127.0.0.1', ask('127.0.0.1', host));
    // Another port of the same address is not this client.
    stranger.send(ask(host, 'stranger'), relay, '127.0.0.1');
  }
  stranger.once('message', () => {
    throw new Error('a stranger was answered');
  });
  // Fragments are not carried.
  expect(heard.join()).not.toContain('fragment');
  const proxy = running.at(-1)!;
  let log = '';
  proxy.stderr!.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });
  control.end();
  await once(control, 'close');
  // They are counted, and that is said.
  const counted = /"fragments":2,"malformed":0,"strangers":[12]\b/;
  while (!counted.test(log)) await once(proxy.stderr!, 'data');
  // Its port is free.
  await expect
    .poll(
      () =>
        new Promise((resolve) => {
          const probe = createSocket('udp4');
          probe.once('error', () => resolve('taken'));
          probe.bind(relay, '127.0.0.1', () => probe.close(() => resolve('free')));
        }),
      { timeout: 10_000 },
    )
    .toBe('free');
});

test('a port that is taken is said with the next step', async () => {
  const [near, far] = network.daemons.map(({ socket }) => socket) as [string, string];
  const taken = (await bound('127.0.0.1')).address().port;
  const [local, overlay] = await Promise.all([
    spines(['forward', '--udp', String(taken), 'n1', 'h:1', '--socket', near]),
    spines(['expose', '--udp', 'h:1', '--socket', far]),
  ]);
  expect([local.code, overlay.code]).toEqual([2, 2]);
  expect(local.stderr).toMatch(/UDP 127\..*\(EADDRINUSE\); choose another port/);
  expect(overlay.stderr).toMatch(/overlay port 6000 is taken; choose another with --via/);
});

test.each([
  ['n1', '127.0.0.1:9', /n1 says: refused.*nobody listens there/],
  ['nobody', '127.0.0.1:9', /no node nobody is known; see `spines nodes`/],
])('%s %s is not to be had, and that is in the log', async (node, target, why) => {
  const child = spawn(
    process.execPath,
    [PROGRAM, 'forward', '--udp', '0', node, target, '--socket', network.daemons[0]!.socket],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  running.push(child);
  const socket = await bound('127.0.0.1');
  let said = '';
  const again = setInterval(() => {
    const port = /listening on UDP \S+:(\d+)/.exec(said)?.[1];
    if (port !== undefined) socket.send('x', Number(port), '127.0.0.1');
  }, 200);
  while (!why.test(said)) said += String((await once(child.stderr!, 'data'))[0]);
  clearInterval(again);
});

test('talk says how good each link service sounds, and whether anybody answers', async () => {
  const [near, far] = network.daemons.map(({ socket }) => socket) as [string, string];
  const args = ['talk', 'n1', '--seconds', '1', '--socket', near];
  const [heard, unheard] = await Promise.all([
    spines([...args, '--json', '--wait', '50s']),
    spines([...args, '--port', '6011', '--links', 'reliable']),
    start(['talk', '--listen', '--socket', far], /^listening to talk at n1 port 6010$/m),
  ]);
  const { rows } = JSON.parse(heard.stdout.toString()) as {
    rows: { link: string; there: { packets: number; mos: number } }[];
  };
  expect(rows.map(({ link }) => link)).toEqual(expect.arrayContaining(['best-effort', 'reliable']));
  for (const { there } of rows) expect([there.packets, there.mos > 1]).toEqual([50, true]);
  expect([heard.code, unheard.code]).toEqual([0, 1]);
  expect(unheard.stderr).toMatch(/nobody answers at n1 port 6011; is `spines talk --listen`/);
});

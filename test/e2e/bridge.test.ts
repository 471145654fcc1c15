/**
 * `spines bridge`: UDP programs of two local networks hear each other through IP multicast groups,
 * each message once, however many bridges there are. Local networks are loopback, by group.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { afterEach, expect, test } from 'vitest';

import { freePorts, PROGRAM, RealNetwork, spines } from '../support/processes.ts';

const GROUP = '239.1.2.3';
/** Of the two local networks. */
const LANS = ['239.77.0.1', '239.77.0.2'] as const;
const LOOPBACK = '127.0.0.1';

let network = new RealNetwork();
const children: ChildProcess[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.close();
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await network.close();
  network = new RealNetwork();
});

/** Resolves once it says that it is open. */
function bridge(socket: string, lan: string, port: number): Promise<void> {
  const at = ['--socket', socket, '--interface', LOOPBACK, '--link', 'reliable'];
  const child = spawn(process.execPath, [PROGRAM, 'bridge', GROUP, `${lan}:${port}`, ...at], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  children.push(child);
  return new Promise((resolve, reject) => {
    let said = '';
    child.stderr!.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes('are one')) resolve();
    });
    child.once('close', () => reject(new Error(said)));
  });
}

/** A program of that local network, and what it hears of others. */
async function program(lan: string, port: number): Promise<{ socket: Socket; heard: string[] }> {
  const socket = createSocket({ type: 'udp4', reuseAddr: true });
  sockets.push(socket);
  await new Promise<void>((resolve) => socket.bind(port, lan, resolve));
  socket.addMembership(lan, LOOPBACK);
  const heard: string[] = [];
  socket.on('message', (message) => heard.push(message.toString()));
  const sends = createSocket('udp4');
  sockets.push(sends);
  await new Promise<void>((resolve) => sends.bind(0, LOOPBACK, resolve));
  sends.setMulticastInterface(LOOPBACK);
  return { socket: sends, heard };
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 600; tries += 1) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('it did not come true in 30 s');
}

test('programs of two local networks hear each other once, and bridges make no loops', async () => {
  await network.start(2, [[0, 1]]);
  await network.converged();
  const [port] = await freePorts(1);
  const [a, b] = network.daemons.map(({ socket }) => socket) as [string, string];
  await Promise.all([bridge(a, LANS[0], port!), bridge(b, LANS[1], port!)]);
  const [one, two] = [await program(LANS[0], port!), await program(LANS[1], port!)];
  const client = await network.daemons[0]!.connect();
  await until(async () => (await client.members(GROUP)).length === 2);
  const say = ({ socket }: typeof one, text: string, lan: string): void =>
    socket.send(text, port!, lan);
  for (const text of ['a1', 'a2', '', 'x'.repeat(9_000)]) say(one, text, LANS[0]);
  for (const text of ['b1', 'b2']) say(two, text, LANS[1]);
  await until(() => one.heard.length >= 6 && two.heard.length >= 6);
  const all = ['', 'a1', 'a2', 'b1', 'b2', 'x'.repeat(9_000)];
  expect([[...one.heard].sort(), [...two.heard].sort()]).toEqual([all, all]);
  // Two bridges of one local network carry all twice, and that is all that they do.
  await bridge(a, LANS[1], port!);
  const { groups } = await client.request('groups', { group: GROUP });
  expect(groups[0]!.sockets).toBe(2);
  say(one, 'c1', LANS[0]);
  const c1 = ({ heard }: typeof one): number => heard.filter((text) => text === 'c1').length;
  await until(() => c1(two) === 2);
  // What would go round would have been heard again by the time that this has come.
  say(one, 'end', LANS[0]);
  await until(() => two.heard.filter((text) => text === 'end').length === 2);
  expect([c1(one), c1(two)]).toEqual([1, 2]);
  await client.close();
});

test('what is no group is refused, and says what is one', async () => {
  for (const args of [
    ['10.0.0.1', '239.1.1.1:80'],
    ['239.1.1.1', '10.0.0.1:80'],
  ]) {
    const { code, stderr } = await spines(['bridge', ...args]);
    expect([code, stderr]).toEqual([2, expect.stringContaining('no multicast group')]);
  }
});

/**
 * Real daemons over real UDP: a file through a chain, a killed transit node, a restarted daemon.
 */

import { createHash, randomBytes } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import type { SpinesDatagram } from 'spines-client';
import { RealNetwork, spines } from '../support/processes.ts';

let network = new RealNetwork();
afterEach(async () => {
  await network.close();
  network = new RealNetwork();
});

const chain = (count: number): [number, number][] =>
  Array.from({ length: count - 1 }, (_, i) => [i, i + 1]);
const ring = (count: number): [number, number][] => [...chain(count), [count - 1, 0]];

test('a 10 MB file goes through a chain of six daemons unharmed', async () => {
  await network.start(6, chain(6));
  await network.converged();
  const file = randomBytes(10 * 1024 * 1024);
  const listener = spines([
    'cat',
    '-u',
    '--listen',
    '7000',
    '--socket',
    network.daemons[5]!.socket,
  ]);
  const client = await network.daemons[5]!.connect();
  for (;;) {
    const status = (await client.request('status')) as { sockets: number };
    if (status.sockets > 0) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await client.close();
  const began = performance.now();
  const sender = await spines(
    ['cat', '-u', 'n5', '7000', '--rate', '40mbit', '--socket', network.daemons[0]!.socket],
    { input: file },
  );
  expect(sender.stderr).toBe('');
  expect(sender.code).toBe(0);
  const received = await listener;
  console.log(
    '10 MB at 40 Mbit/s through six daemons took ' +
      `${((performance.now() - began) / 1_000).toFixed(2)} s`,
  );
  expect(received.stdout.length).toBe(file.length);
  expect(createHash('sha256').update(received.stdout).digest('hex')).toBe(
    createHash('sha256').update(file).digest('hex'),
  );
});

test('a flow of 100 packets/s finds another way when a transit daemon is killed', async () => {
  await network.start(6, ring(6));
  await network.converged();
  const to = await network.daemons[3]!.connect();
  const from = await network.daemons[0]!.connect();
  const receiver: SpinesDatagram = to.datagram();
  const arrivals: number[] = [];
  const received = new Set<number>();
  let onMessage = (): void => {};
  receiver.on('message', (message) => {
    arrivals.push(performance.now());
    received.add(message.readUInt32BE(0));
    onMessage();
  });
  await new Promise<void>((resolve) => receiver.bind(9000, resolve));
  const sender = from.datagram();
  const payload = Buffer.alloc(200);
  let sent = 0;
  const ticker = setInterval(() => {
    payload.writeUInt32BE(sent, 0);
    sent += 1;
    sender.send(payload, 9000, 'n3');
  }, 10);
  const arrived = (count: number): Promise<void> =>
    new Promise((resolve) => {
      onMessage = () => {
        if (received.size >= count) resolve();
      };
      onMessage();
    });
  await arrived(100);
  const routes = (await from.request('routes')) as { routes: { node: string; nextHop: string }[] };
  const via = routes.routes.find((route) => route.node === '10.0.0.4')!.nextHop;
  const victim = network.daemons[Number(via.split('.')[3]) - 1]!;
  const killedAt = performance.now();
  await victim.end('SIGKILL');
  await arrived(received.size + 200);
  clearInterval(ticker);
  const before = arrivals.filter((at) => at < killedAt + 50).at(-1)!;
  const after = arrivals.find((at) => at > before + 30) ?? before;
  console.log(`killed ${victim.name}: the flow was silent for ${Math.round(after - before)} ms`);
  expect(received.size).toBeGreaterThanOrEqual(300);
  expect(after - before).toBeGreaterThan(0);
  await from.close();
  await to.close();
});

test('a program survives the restart of its daemon, and hears of it', async () => {
  await network.start(2, chain(2));
  await network.converged();
  const client = await network.daemons[0]!.connect();
  const socket = client.datagram();
  await new Promise<void>((resolve) => socket.bind(9100, resolve));
  const lost = new Promise((resolve) => client.once('disconnect', resolve));
  const back = new Promise<{ restarted: boolean }>((resolve) => client.once('reconnect', resolve));
  const rejoined = new Promise((resolve) => socket.once('reconnect', resolve));
  await network.daemons[0]!.end('SIGKILL');
  await lost;
  network.daemons[0]!.start();
  expect((await back).restarted).toBe(true);
  await rejoined;
  expect(socket.address().port).toBe(9100);
  await network.converged();
  const other = await network.daemons[1]!.connect();
  const heard = new Promise<string>((resolve) =>
    socket.once('message', (message) => resolve(message.toString())),
  );
  other.datagram().send('still here', 9100, 'n0');
  expect(await heard).toBe('still here');
  await client.close();
  await other.close();
});

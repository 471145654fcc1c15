/** Groups of real daemons: a member that dies, anycast, and the commands for groups. */

import { createHash, randomBytes } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import type { SpinesClient, SpinesDatagram } from 'spines-client';
import { RealNetwork, spines } from '../support/processes.ts';

let network = new RealNetwork();
afterEach(async () => {
  await network.close();
  network = new RealNetwork();
});

const GROUP = '239.1.2.3';
const PORT = 7_000;

function socketOf(client: SpinesClient): SpinesDatagram {
  return client.datagram({
    link: 'reliable',
    secrecy: 'links',
    slowBranch: 'wait',
    reuseAddr: true,
  });
}

/** n0 sends by n1 to n2, n3 and n4 behind n3. */
async function tree(): Promise<SpinesClient[]> {
  const links: [number, number][] = [
    [0, 1],
    [1, 2],
    [1, 3],
    [3, 4],
  ];
  await network.start(5, links);
  await network.converged();
  return Promise.all(network.daemons.map((daemon) => daemon.connect()));
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 600; tries += 1) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('it did not come true in 30 s');
}

test(
  'a member that dies takes nothing from the others, ' +
    'and a stream finds the next of an anycast group',
  async () => {
    const clients = await tree();
    const numbers: number[] = [];
    const [stays, dies] = [2, 4].map((index) => {
      const socket = socketOf(clients[index]!);
      socket.bind(PORT);
      socket.addMembership(GROUP);
      socket.addMembership('240.0.0.7');
      return socket;
    });
    stays!.on('message', (message) => numbers.push(message.readUInt32BE(0)));
    dies!.on('error', () => {});
    await until(async () => (await clients[0]!.members(GROUP)).length === 2);
    const sender = socketOf(clients[0]!);
    for (let number = 0; number < 1_000; number += 1) {
      const message = Buffer.alloc(100);
      message.writeUInt32BE(number, 0);
      if (!sender.send(message, PORT, GROUP)) await sender.ready();
      if (number === 500) await network.daemons[4]!.end('SIGKILL');
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await until(() => numbers.length >= 1_000);
    expect(numbers.sort((a, b) => a - b)).toEqual([...Array(1_000).keys()]);
    // Messages, and streams, to the anycast group go to who is left.
    sender.send(Buffer.from([0, 0, 4, 0]), PORT, '240.0.0.7');
    await until(() => numbers.includes(1_024));
    for (const client of clients) await client.close();
  },
);

test(
  'a file goes to two listeners by `cat --join`, ' + 'and `groups` and `trace --group` show how',
  async () => {
    await network.start(4, [
      [0, 1],
      [1, 2],
      [1, 3],
    ]);
    await network.converged();
    const at = (index: number): string[] => ['--socket', network.daemons[index]!.socket];
    const file = randomBytes(1024 * 1024);
    const listen = ['cat', '-u', '--listen', String(PORT), '--join', GROUP, '--link', 'reliable'];
    const listeners = [2, 3].map((index) => spines([...listen, ...at(index)]));
    const client = await network.daemons[0]!.connect();
    await until(async () => (await client.members(GROUP)).length === 2);
    const shown = await spines(['groups', ...at(1)]);
    expect(shown.stdout.toString()).toMatch(/239\.1\.2\.3 +multicast +0 +n2, n3/);
    const traced = await spines(['trace', '--group', GROUP, ...at(0)]);
    expect(traced.stdout.toString().replaceAll(/ {2}[\d.]+ .?s/g, '')).toBe(
      'n0 to 239.1.2.3\n  n1\n    n2 *\n    n3 *\n* is in the group; 3 links carry each packet ' +
        'once\n',
    );
    const sent = await spines(
      ['cat', '-u', GROUP, String(PORT), '--link', 'reliable', '--rate', '40mbit', ...at(0)],
      { input: file },
    );
    expect([sent.code, sent.stderr]).toEqual([0, '']);
    const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
    for (const { stdout } of await Promise.all(listeners)) expect(hash(stdout)).toBe(hash(file));
    await client.close();
  },
);

/**
 * Several addresses of one machine: a peer is answered from the one that it asked, whether they are
 * listed or a wildcard stands for them, and addresses may come and go. Loopback, and where there
 * can be namespaces two hosts, one of them with two addresses behind whose peer's filter only
 * answers pass (strict reverse paths, and no way back to the other address).
 */

import { spawnSync } from 'node:child_process';
import { createSocket, type RemoteInfo } from 'node:dgram';
import { mkdtempSync, rmSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';

import { drawIndexMark, type IndexMark } from '../../src/core/base/index-mark.ts';
import { makeEndpoint, type Endpoint } from '../../src/core/base/datagram.ts';
import { loadOffload, type Offload } from '../../src/host/net/offload.ts';
import { UdpSink } from '../../src/host/net/udp.ts';
import { Namespaces, whyNoNamespaces, type NamespaceHost } from '../support/namespaces.ts';
import { PROGRAM } from '../support/processes.ts';

const made = loadOffload();
const open: { close(): unknown }[] = [];

afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
});

/** A sink that sends back what it hears, to where it heard it from. */
async function echo(
  listen: readonly string[],
  by: Offload | null,
  port = 0,
  mark: IndexMark | null = null,
): Promise<{ sink: UdpSink; heard: Endpoint[] }> {
  const heard: Endpoint[] = [];
  const sink: UdpSink = new UdpSink(
    {
      onRead: () => {},
      onDatagram: (bytes, from) => {
        heard.push(from);
        sink.send(from, bytes, bytes.length);
        return true;
      },
      onDropped: () => {},
      onRefused: () => {},
      onTooLong: () => {},
      onWritable: () => {},
      onError: () => {},
    },
    by,
    mark,
  );
  open.push(sink);
  await sink.open(listen.map((address) => ({ address, port })));
  return { sink, heard };
}

/** Where the answer to a datagram comes from. */
async function answerTo(address: string, port: number): Promise<string> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  try {
    const answer = new Promise<RemoteInfo>((resolve) => {
      socket.once('message', (_bytes, info) => resolve(info));
    });
    socket.send(Buffer.alloc(60, 0x24), port, address);
    const info = await answer;
    return makeEndpoint(info.address, info.port).key;
  } finally {
    socket.close();
  }
}

const mine = Object.values(networkInterfaces())
  .flatMap((all) => all ?? [])
  .filter(({ address }) => !address.startsWith('fe80:'))
  .map(({ address }) => address);

const MARK = drawIndexMark(0x5555_5555);
const ways: [string, Offload | null, IndexMark | null][] = [['made by Node', null, null]];
if (made !== null)
  ways.push(
    ['made by us', made, null],
    ['made by us, without offload', loadOffload(false), null],
    ['made by us, strangers apart', made, MARK],
  );

describe.each(ways)('sockets %s', (_what, by, mark) => {
  test(
    'listed addresses of one family each answer for themselves, ' + 'and are different paths',
    async () => {
      const { sink, heard } = await echo(['127.0.0.1', '127.0.0.2', '::1'], by, 0, mark);
      const listened = sink.addresses;
      for (const { address, port, key } of listened)
        expect(await answerTo(address, port)).toBe(key);
      expect(heard.map(({ local }) => local)).toEqual(listened.map(({ key }) => key));
    },
  );

  test('what we begin leaves from where the route leads, not from the first', async () => {
    const { sink } = await echo(['127.0.0.2', '127.0.0.1'], by, 0, mark);
    const peer = createSocket('udp4');
    open.push(peer);
    await new Promise<void>((resolve) => {
      peer.bind(0, '127.0.0.1', resolve);
    });
    const heard = new Promise<RemoteInfo>((resolve) => {
      peer.once('message', (_bytes, info) => resolve(info));
    });
    sink.send(makeEndpoint('127.0.0.1', peer.address().port), new Uint8Array(60), 60);
    expect((await heard).address).toBe('127.0.0.1');
  });

  test('the port of a wildcard stays its own', async () => {
    const { sink } = await echo(['0.0.0.0'], by, 0, mark);
    const { port } = sink.addresses[0]!;
    await expect(echo(['0.0.0.0'], by, port, mark)).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await expect(echo(['127.0.0.1'], by, port, mark)).rejects.toMatchObject({ code: 'EADDRINUSE' });
    const other = createSocket({ type: 'udp4', reuseAddr: true });
    open.push(other);
    await expect(
      new Promise((resolve, reject) => {
        other.once('error', reject);
        other.bind(port, '127.0.0.1', () => resolve('bound'));
      }),
    ).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});

describe.skipIf(made === null).each([
  ['', null],
  [', strangers apart,', MARK],
] as const)('a wildcard%s', (_what, mark) => {
  test('answers from each address of this machine, both families beside each other', async () => {
    const { sink } = await echo(['0.0.0.0', '::'], made, 0, mark);
    expect(sink.addresses.map(({ address }) => address)).toEqual(['0.0.0.0', '::']);
    const [v4, v6] = sink.addresses as [Endpoint, Endpoint];
    for (const address of mine) {
      const { port } = address.includes(':') ? v6 : v4;
      expect(await answerTo(address, port)).toBe(makeEndpoint(address, port).key);
    }
    await sink.lookAtAddresses();
    expect(await answerTo('127.0.0.1', v4.port)).toBe(`127.0.0.1:${v4.port}`);
  });

  test('takes what a list names beside it', async () => {
    const first = await echo(['127.0.0.1'], made, 0, mark);
    const { port } = first.sink.addresses[0]!;
    await first.sink.close();
    const { sink } = await echo(['127.0.0.1', '0.0.0.0'], made, port, mark);
    expect(sink.addresses.map(({ key }) => key)).toEqual([`0.0.0.0:${port}`]);
    expect(await answerTo('127.0.0.1', port)).toBe(`127.0.0.1:${port}`);
  });

  test('also answers at an address that has no socket of its own', async () => {
    const { sink, heard } = await echo(['0.0.0.0'], made, 0, mark);
    const { port } = sink.addresses[0]!;
    await answerTo('127.0.0.3', port);
    expect(heard[0]!.local).toBe(null);
  });
});

const noNamespaces = made === null ? 'sockets are not of our making' : whyNoNamespaces();
if (noNamespaces !== null) console.log(`no host with two addresses is tested: ${noNamespaces}`);

describe.skipIf(noNamespaces !== null)('a host with two addresses', () => {
  const ASKED = '192.0.2.22',
    ASKED6 = 'fd77::22';

  function ip(...args: string[]): void {
    const done = spawnSync('ip', args);
    expect(done.status, `ip ${args.join(' ')}: ${String(done.stderr)}`).toBe(0);
  }

  /** What `spines links` says on `host` when `holds`, or after a while. */
  async function links(
    host: NamespaceHost,
    socket: string,
    holds: (text: string) => boolean,
  ): Promise<string> {
    const [command, ...prefix] = host.prefix;
    for (let tries = 0; ; tries += 1) {
      const text = String(
        spawnSync(command, [
          ...prefix,
          process.execPath,
          PROGRAM,
          'links',
          '--json',
          '--socket',
          socket,
        ]).stdout,
      );
      if (holds(text) || tries === 15) return text;
    }
  }

  test.each([
    ['0.0.0.0', ASKED],
    ['::', ASKED6],
  ])(
    'listening on %s is up for a peer that lets in answers from %s only, also when it came later',
    async (wildcard, asked) => {
      const folder = mkdtempSync(join(tmpdir(), 'spines-two-'));
      const net = new Namespaces();
      open.push({
        close: async () => {
          await net.close();
          rmSync(folder, { recursive: true, force: true });
        },
      });
      const peer = net.add('192.0.2.1'),
        host = net.add('192.0.2.2');
      net.join(peer, host);
      ip('-n', peer.namespace, 'addr', 'add', 'fd77::1/64', 'dev', peer.deviceTo(host), 'nodad');
      ip('-n', host.namespace, 'addr', 'add', 'fd77::2/64', 'dev', host.deviceTo(peer), 'nodad');
      // Nothing from the host's first address gets in.
      const v6 = asked.includes(':');
      const [command, ...prefix] = peer.prefix;
      for (const device of ['all', peer.deviceTo(host)])
        spawnSync(command, [
          ...prefix,
          'sh',
          '-c',
          `echo 1 > /proc/sys/net/ipv4/conf/${device}/rp_filter`,
        ]);
      const socketOf = (name: string): string => join(folder, `${name}.sock`);
      const common = ['--security', 'none', '--socket'];
      host.spawn(
        process.execPath,
        [
          PROGRAM,
          'daemon',
          ...common,
          socketOf('b'),
          '--name',
          'b',
          '--id',
          '10.0.0.2',
          '--listen',
          v6 ? '[::]:8100' : `${wildcard}:8100`,
        ],
        folder,
      );
      const addAsked = (): void => {
        ip(
          '-n',
          host.namespace,
          'addr',
          'add',
          v6 ? `${asked}/64` : `${asked}/24`,
          'dev',
          host.deviceTo(peer),
          ...(v6 ? ['nodad'] : []),
        );
        if (!v6)
          ip('-n', peer.namespace, 'route', 'replace', `${asked}/32`, 'dev', peer.deviceTo(host));
      };
      await links(host, socketOf('b'), (text) => text.includes('schema'));
      addAsked();
      if (!v6) ip('-n', peer.namespace, 'route', 'replace', 'blackhole', '192.0.2.2/32');
      peer.spawn(
        process.execPath,
        [
          PROGRAM,
          'daemon',
          ...common,
          socketOf('a'),
          '--name',
          'a',
          '--id',
          '10.0.0.1',
          '--listen',
          v6 ? '[::]:8100' : '0.0.0.0:8100',
          '--link',
          v6 ? `[${asked}]:8100` : `${asked}:8100`,
        ],
        folder,
      );
      const seen = await links(peer, socketOf('a'), (text) => /"state": ?"up"/.test(text));
      expect(seen).toMatch(/"state": ?"up"/);
      // It answered from where it was asked: the peer never saw it move.
      expect(seen).toContain(v6 ? `[${asked}]:8100` : `${asked}:8100`);
    },
    120_000,
  );
});

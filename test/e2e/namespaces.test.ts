/**
 * The README's network of three hosts, each in a network namespace of its own: its commands as they
 * stand there, what a stranger gets, revocation, and what can be read on the cables. Needs root and
 * ip(8), the captures tcpdump; else skipped.
 */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { SpinesClient, type LinksReply, type StatusReply } from 'spines-client';

import { armour, unarmour } from '../../src/core/wire/armour.ts';
import { DATAGRAM_KEY_ANSWER } from '../../src/core/wire/datagram-header.ts';
import { Capture, ID_CHANCE, leaks, whyNoCapture, type Needles } from '../support/capture.ts';
import { Namespaces, whyNoNamespaces, type NamespaceHost } from '../support/namespaces.ts';
import { asked, PROGRAM, spines, statusAt, type Ran } from '../support/processes.ts';

const noNamespaces = whyNoNamespaces();
const noCapture = noNamespaces ?? whyNoCapture();
if (noNamespaces !== null) console.log(`no network of namespaces is tested: ${noNamespaces}`);
else if (noCapture !== null) console.log(`no cable is listened to: ${noCapture}`);

const FILE_BYTES = 5 * 1024 * 1024;
const MARKER = 'nobody on the cable shall read this sentence';
const NAMES = ['node-1', 'node-2', 'node-3'];
const IDS = [0x0a00_0001, 0x0a00_0002, 0x0a00_0003];
/**
 * What a revocation may take from node to node, and what the command that tells the first may take
 * to start.
 */
const SPREAD_MS = 2_000,
  RELOAD_MS = 3_000;
const FOREIGN_ADDRESS = '192.0.2.4';

const readme = readFileSync(fileURLToPath(new URL('../../README.md', import.meta.url)), 'utf8');
/** The commands of the README's section, each with what is to be typed "there". */
const section = readme.slice(readme.indexOf('\n## A network of hosts\n')).split('\n## ')[1]!;
const addresses = /^at=(\S+)$/m.exec(section)![1]!;
const initCommand = /^spines (init lab .*)$/m
  .exec(section)![1]!
  .replace('$at', addresses)
  .split(' ');
const daemonCommand = /`spines (daemon --config node-1\S*)`/.exec(section)![1]!;
const copies = [...section.matchAll(/^scp -rp lab\/(\S+) (\S+):$/gm)].map(([, node, address]) => ({
  from: `lab/${node!}`,
  address: address!,
  there: daemonCommand.replace('node-1', node!).split(' '),
}));

let folder = '';
const at = (...path: string[]): string => join(folder, ...path);
/** Where a host's user is at home. */
const homeOf = (host: NamespaceHost): string => at(`home-${host.address}`);
const logs = new Map<NamespaceHost, string>();
let printed = '';
let net: Namespaces | null = null;
let captures: Capture[] = [];

function addHosts(count: number): NamespaceHost[] {
  net = new Namespaces();
  const hosts = copies.slice(0, count).map(({ address }) => net!.add(address));
  hosts.forEach((host, i) => hosts.slice(0, i).forEach((earlier) => net!.join(earlier, host)));
  for (const host of hosts) mkdirSync(homeOf(host), { recursive: true });
  return hosts;
}

function startDaemon(host: NamespaceHost, args: readonly string[]): void {
  const child = host.spawn(process.execPath, [PROGRAM, ...args], homeOf(host));
  child.stderr!.on('data', (chunk: Buffer) => {
    logs.set(host, `${logs.get(host) ?? ''}${chunk.toString()}`);
  });
  child.stdin!.on('error', () => {});
}

/** Runs a command on a host, as its user does who has set SPINES_SOCKET as the README says. */
function runOn(host: NamespaceHost, args: readonly string[], input?: Buffer): Promise<Ran> {
  return new Promise((resolve) => {
    const child = host.spawn(process.execPath, [PROGRAM, ...args], homeOf(host), {
      SPINES_SOCKET: `${nodeOn(host)}/spines.sock`,
    });
    const out: Buffer[] = [];
    let stderr = '';
    child.stdout!.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr!.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.stdin!.on('error', () => {});
    child.stdin!.end(input);
    child.once('close', (code) => resolve({ code, stdout: Buffer.concat(out), stderr }));
  });
}

/** 192.0.2.N has node-N. */
function nodeOn(host: NamespaceHost): string {
  return `node-${host.address.split('.').at(-1)!}`;
}

async function command(host: NamespaceHost, ...args: string[]): Promise<string> {
  const ran = await runOn(host, args);
  expect(ran.code, `${args.join(' ')}: ${ran.stderr}${ran.stdout.toString()}`).toBe(0);
  return ran.stdout.toString();
}

const socketOf = (host: NamespaceHost): string => join(homeOf(host), nodeOn(host), 'spines.sock');
const statusOf = (host: NamespaceHost): Promise<StatusReply> => statusAt(socketOf(host));
const linksOf = async (host: NamespaceHost): Promise<LinksReply['links']> =>
  (await asked(socketOf(host), (client) => client.request('links'))).links;
const namesUp = async (host: NamespaceHost): Promise<(string | null)[]> =>
  (await linksOf(host))
    .filter((link) => link.state === 'up')
    .map((link) => link.name)
    .sort();

async function until(
  what: string,
  holds: () => Promise<boolean>,
  patienceMs = 15_000,
): Promise<number> {
  const began = performance.now();
  for (;;) {
    let why: unknown = null;
    try {
      if (await holds()) return performance.now() - began;
    } catch (error) {
      why = error;
    }
    if (performance.now() - began >= patienceMs)
      throw new Error(
        `not within ${patienceMs} ms: ` +
          `${what}\n${[...logs.values()].map((log) => log.slice(-3_000)).join('\n')}`,
        { cause: why },
      );
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function hear(
  ...cables: readonly (readonly [NamespaceHost, NamespaceHost])[]
): Promise<void> {
  if (noCapture !== null) return;
  captures = cables.map(([host, peer]) => new Capture(host.deviceTo(peer), 'udp', host.prefix));
  await Promise.all(captures.map((capture) => capture.ready()));
}

async function heard(): Promise<Buffer[]> {
  const all = await Promise.all(captures.map((capture) => capture.end()));
  return all.flat();
}

/**
 * Has all that must not be seen: the marker, the names, and certificates as text and as bytes; no
 * two pieces are alike.
 */
function fileOf(certificates: readonly Uint8Array[]): Buffer {
  const pieces: Buffer[] = [];
  for (let size = 0, i = 0; size < FILE_BYTES; size += pieces[i]!.length, i += 1) {
    const certificate = certificates[i % certificates.length]!;
    pieces.push(
      Buffer.concat([
        Buffer.from(`${i} ${MARKER} ${NAMES.join()} ${armour('SPINES CERTIFICATE', certificate)}`),
        certificate,
      ]),
    );
  }
  return Buffer.concat(pieces).subarray(0, FILE_BYTES);
}

function labCertificates(): Uint8Array[] {
  return NAMES.map((name) => unarmour(readFileSync(at('lab', name, 'node.crt'), 'utf8'))!.bytes);
}

function needlesFor(certificates: readonly Uint8Array[]): Needles {
  return { texts: [MARKER, 'SPINES', ...NAMES], nodeIds: IDS, secrets: certificates };
}

async function transfer(from: NamespaceHost, to: NamespaceHost, file: Buffer): Promise<void> {
  const listener = runOn(to, ['cat', '--listen', '7000']);
  await until('a listener', async () => (await statusOf(to)).sockets > 0);
  const sender = await runOn(from, ['cat', nodeOn(to), '7000'], file);
  expect([sender.code, sender.stderr]).toEqual([0, '']);
  const received = await listener;
  expect(received.code, received.stderr).toBe(0);
  expect(sha256(received.stdout)).toBe(sha256(file));
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

async function closeAll(): Promise<void> {
  await Promise.all(captures.map((capture) => capture.close()));
  captures = [];
  await net?.close();
  net = null;
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'spines-hosts-'));
  printed = execFileSync(process.execPath, [PROGRAM, ...initCommand], {
    cwd: folder,
    encoding: 'utf8',
  });
}, 60_000);
afterAll(async () => {
  await closeAll();
  if (folder !== '') rmSync(folder, { recursive: true, force: true });
});

describe.skipIf(noNamespaces !== null)('three hosts, as the README has it', () => {
  let hosts: NamespaceHost[] = [];
  let certificates: Uint8Array[] = [];

  beforeAll(async () => {
    hosts = addHosts(3);
    const [first, second, third] = hosts as [NamespaceHost, NamespaceHost, NamespaceHost];
    await hear([first, second], [first, third], [second, third]);
    for (const { from, address, there } of copies) {
      expect(printed.replace(/ +/g, ' ')).toContain(
        `scp -rp ${from} ${address}: # and there: spines ${there.join(' ')}`,
      );
      const host = hosts.find((one) => one.address === address)!;
      execFileSync('cp', ['-rp', at(from), homeOf(host)]);
      startDaemon(host, there);
    }
    certificates = labCertificates();
    for (const host of hosts)
      await until(
        `three nodes at ${nodeOn(host)}`,
        async () =>
          (await statusOf(host)).nodes.reachable === 3 && (await namesUp(host)).length === 2,
      );
  }, 60_000);
  afterAll(closeAll);

  test('link up sealed, and know each other by name', async () => {
    for (const [i, host] of hosts.entries()) {
      const others = NAMES.filter((name) => name !== NAMES[i]);
      const status = await statusOf(host);
      expect(status).toMatchObject({
        name: NAMES[i],
        security: 'sealed',
        links: { up: 2 },
        identity: { authorities: [{ name: 'lab' }] },
      });
      expect(await namesUp(host)).toEqual(others);
      for (const link of await linksOf(host)) {
        const certificate = certificates[NAMES.indexOf(link.name!)]!;
        expect(
          Buffer.from(certificate).includes(Buffer.from(link.seal!.serial, 'hex')),
          `the serial of ${link.name!}`,
        ).toBe(true);
      }
      const { nodes } = await asked(socketOf(host), (client) => client.request('nodes'));
      expect(nodes.map((node) => [node.name, node.reachable || node.self])).toEqual(
        NAMES.map((name) => [name, true]),
      );
    }
    const [first] = hosts as [NamespaceHost];
    for (const line of [
      'export SPINES_SOCKET=node-1/spines.sock ',
      'spines status ',
      'spines ping node-3 -c 3\n',
      'spines cat node-3 7000 ',
    ])
      expect(section).toContain(`\n${line}`);
    expect(await command(first, 'status')).toMatch(/\nsecurity +sealed, by /);
    expect(await command(first, 'links')).not.toContain('not sealed');
    expect(JSON.parse(await command(first, 'status', '--json'))).toMatchObject({
      links: { up: 2 },
    });
    expect(JSON.parse(await command(first, 'links', '--json'))).toMatchObject({
      links: [{ state: 'up' }, { state: 'up' }],
    });
    expect(JSON.parse(await command(first, 'nodes', '--json'))).toMatchObject({
      nodes: NAMES.map((name) => ({ name })),
    });
    expect(await command(first, 'ping', 'node-3', '-c', '3')).toContain('3 received');
    expect(await command(first, 'trace', 'node-3')).toContain('node-3');
  }, 60_000);

  test('carry a file of 5 MB', async () => {
    await transfer(hosts[0]!, hosts[2]!, fileOf(certificates));
  }, 60_000);

  test.skipIf(noCapture !== null)(
    'show nothing on their cables',
    async () => {
      // Where a daemon starts late its neighbours ask who answers there, and are told its public
      // key: WIRE.md, section 2.
      const rest = (await heard()).filter((bytes) => bytes[0] !== DATAGRAM_KEY_ANSWER);
      const found = leaks(rest, needlesFor(certificates));
      expect(found).toMatchObject({ texts: [], secrets: 0, idPairs: 0 });
      expect(found.idDatagrams).toBeLessThanOrEqual(ID_CHANCE);
      expect(found.bytes).toBeGreaterThan(FILE_BYTES);
      console.log(
        `sealed: ${found.datagrams} datagrams of ${found.bytes} bytes, nothing found, ids in ` +
          `${found.idDatagrams}`,
      );
    },
    60_000,
  );

  test('take no link from a node of another network', async () => {
    const [first] = hosts as [NamespaceHost];
    const stranger = net!.add(FOREIGN_ADDRESS);
    net!.join(first, stranger);
    mkdirSync(homeOf(stranger));
    const addresses = [...hosts, stranger].map((host) => `${host.address}:8100`).join(',');
    expect(
      (
        await spines([
          'init',
          'foreign',
          '-n',
          '4',
          '--dir',
          at('foreign'),
          '--addresses',
          addresses,
        ])
      ).code,
    ).toBe(0);
    execFileSync('cp', ['-rp', at('foreign', 'node-4'), homeOf(stranger)]);
    startDaemon(stranger, ['daemon', '--config', 'node-4/spines.yaml']);
    const dropped = async (reason: string): Promise<boolean> =>
      ((await statusOf(first)).drops[reason] ?? 0) > 0;
    // It dials with the key that node-1 of its own network has.
    await until('handshakes for a foreign key', () => dropped('handshakeMacWrong'));
    // Without a key it asks for the right one, and is known by its certificate.
    const config = join(homeOf(stranger), 'node-4', 'spines.yaml');
    writeFileSync(
      config,
      readFileSync(config, 'utf8').replace(/^ +(?:node|key): (?:10\.|[0-9a-f]{64}).*\n/gm, ''),
    );
    await command(stranger, 'reload');
    await until('a certificate of another network', () => dropped('certificateWrongNetwork'));
    expect((await statusOf(stranger)).links.up).toBe(0);
    expect(await namesUp(first)).toEqual(['node-2', 'node-3']);
    expect((await statusOf(first)).nodes).toMatchObject({ reachable: 3, known: 3 });
    await stranger.end();
  }, 60_000);

  test('cut off a revoked node everywhere, though only one was told', async () => {
    const [first, second, third] = hosts as [NamespaceHost, NamespaceHost, NamespaceHost];
    const revoked = await spines([
      'keys',
      'revoke',
      at('lab', 'node-2', 'node.crt'),
      '--dir',
      at('lab', 'authority'),
    ]);
    expect(revoked.code, revoked.stderr).toBe(0);
    copyFileSync(
      at('lab', 'authority', 'revocations.crl'),
      join(homeOf(first), 'node-1', 'revocations.crl'),
    );
    // A command takes a while to start; a client that is there can ask at once.
    const watcher = await SpinesClient.connect({
      path: socketOf(third),
      name: 'test',
    });
    try {
      const reloaded = command(first, 'reload');
      const tookMs = await until(
        'node-3 without node-2',
        async () => {
          const { links } = await watcher.request('links');
          return links.every((link) => link.state !== 'up' || link.name === 'node-1');
        },
        RELOAD_MS + SPREAD_MS,
      );
      expect(await reloaded).toMatch(/^revocations: list \d+ with 1 revoked\n$/);
      console.log(
        `node-3 had cut node-2 ${tookMs.toFixed(0)} ms after \`spines reload\` was typed at node-1`,
      );
    } finally {
      await watcher.close();
    }
    expect(await namesUp(first)).toEqual(['node-3']);
    await until('node-2 alone', async () => (await statusOf(second)).links.up === 0);
    expect((await statusOf(third)).identity!.revocations).toMatchObject([{ revoked: 1 }]);
    expect(
      readFileSync(join(homeOf(third), 'node-3', 'revocations.crl'), 'utf8'),
      'kept for the next start',
    ).toBe(readFileSync(at('lab', 'authority', 'revocations.crl'), 'utf8'));
    expect(await command(first, 'ping', 'node-3', '-c', '1')).toContain('1 received');
    expect((await runOn(first, ['ping', 'node-2', '-c', '1'])).code).toBe(1);
  }, 60_000);
});

describe.skipIf(noCapture !== null)('two hosts without security', () => {
  afterAll(closeAll);

  test('show all of it on their cable', async () => {
    const hosts = addHosts(2);
    const [first, second] = hosts as [NamespaceHost, NamespaceHost];
    await hear([first, second]);
    const certificates = labCertificates();
    for (const [i, host] of hosts.entries()) {
      mkdirSync(join(homeOf(host), nodeOn(host)), { recursive: true });
      // A capture shows a batch as one datagram: each is to count.
      const identity = [
        '--security',
        'none',
        '--no-offload',
        '--name',
        nodeOn(host),
        '--id',
        `10.0.0.${i + 1}`,
      ];
      startDaemon(host, [
        'daemon',
        ...identity,
        '--listen',
        '0.0.0.0:8100',
        '--link',
        `${hosts[1 - i]!.address}:8100`,
        '--socket',
        `${nodeOn(host)}/spines.sock`,
      ]);
    }
    for (const host of hosts)
      await until('two nodes', async () => (await statusOf(host)).nodes.reachable === 2);
    await transfer(first, second, fileOf(certificates));
    const needles = needlesFor(certificates);
    const found = leaks(await heard(), needles);
    expect(found.texts).toEqual(needles.texts);
    expect(found.secrets).toBe(certificates.length);
    expect(found.idPairs).toBeGreaterThan(1_000);
    expect(found.bytes).toBeGreaterThan(FILE_BYTES);
    console.log(
      `security none: ${found.datagrams} datagrams of ${found.bytes} bytes, ids in ` +
        `${found.idDatagrams}, all texts found`,
    );
  }, 60_000);
});

describe.skipIf(noCapture !== null)('a replay in real time, heard on its loopback device', () => {
  const towns = {
    A: 'athens',
    B: 'berlin',
    C: 'chisinau',
    D: 'dublin',
    E: 'edinburgh',
    F: 'florence',
  } as const;
  // Messages of flows are zeros behind a number and a time.
  const zeros = '\0'.repeat(64);
  const needles: Needles = {
    texts: [zeros, ...Object.values(towns)],
    nodeIds: Object.keys(towns).map((_, i) => 0x0a00_0001 + i),
    secrets: [],
  };
  afterEach(closeAll);

  async function replayed(...more: string[]): Promise<ReturnType<typeof leaks>> {
    // Its nodes have names of one letter, which are in any capture.
    const chain = readFileSync(
      fileURLToPath(new URL('../../topologies/dsn03-chain.yaml', import.meta.url)),
      'utf8',
    );
    writeFileSync(
      at('chain.yaml'),
      chain.replace(/^ .*(?:between|from).*$|^nodes:.*$/gm, (line) =>
        line.replace(/\b[A-F]\b/g, (letter) => towns[letter as keyof typeof towns]),
      ),
    );
    net = new Namespaces();
    const host = net.add('192.0.2.1');
    mkdirSync(homeOf(host), { recursive: true });
    captures = [await new Capture('lo', 'udp', host.prefix).ready()];
    const ran = await runOn(host, [
      'replay',
      at('chain.yaml'),
      '--duration',
      '5s',
      '--out',
      at('report'),
      ...more,
    ]);
    expect(ran.code, ran.stderr).toBe(0);
    expect(ran.stdout.toString()).toMatch(/reliable +athens-\S+ +reliable +\d+\/31\d +0\.00/);
    return leaks(await heard(), needles);
  }

  test('shows nothing', async () => {
    const found = await replayed();
    expect(found).toMatchObject({ texts: [], idPairs: 0 });
    expect(found.idDatagrams).toBeLessThanOrEqual(ID_CHANCE);
    expect(found.bytes).toBeGreaterThan(1_000_000);
    console.log(
      `sealed replay: ${found.datagrams} datagrams of ${found.bytes} bytes, nothing found, ids ` +
        `in ${found.idDatagrams}`,
    );
  }, 60_000);

  test('shows all without security', async () => {
    const found = await replayed('--set', 'security=none');
    expect(found.texts).toEqual(needles.texts);
    expect(found.idPairs).toBeGreaterThan(1_000);
    expect(found.bytes).toBeGreaterThan(1_000_000);
    console.log(
      `replay without security: ${found.datagrams} datagrams of ${found.bytes} bytes, ids in ` +
        `${found.idDatagrams}, all texts found`,
    );
  }, 60_000);
});

/**
 * Real daemons over cables of any MTU: a file and 2,000 full datagrams arrive whole, no IP fragment is on the wire where don't-fragment
 * can be set, and an MTU that falls under traffic is noticed. Needs root and ip(8), the captures tcpdump; else skipped. A few telling
 * cables by default, with SPINES_LONG=1 all: MTU 1500 to 1280 over IPv4 and IPv6, 1000 and 600 over IPv4, with offload and without.
 */

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { connect, createServer, SpinesClient, type LinksReply, type StatusReply } from 'spines-client';

import { makeTemporaryNetwork } from '../../src/cli/temporary-network.ts';
import { loadOffload } from '../../src/host/offload.ts';
import { Capture, whyNoCapture } from '../support/capture.ts';
import { whyNoNamespaces } from '../support/namespaces.ts';
import { PROGRAM, spines } from '../support/processes.ts';

const LONG = process.env['SPINES_LONG'] === '1';
const why = whyNoNamespaces() ?? whyNoCapture() ?? (loadOffload() === null ? 'there is no koffi here' : null);
if (why !== null) console.log(`no cables of other MTUs are tested: ${why}`);

const FILE_BYTES = (LONG ? 4 : 1) * 1024 * 1024;
const DATAGRAMS = LONG ? 1_000 : 300, DATAGRAM_BYTES = 1_400;
const FRAGMENTS = 'ip[6:2]&0x3fff!=0 or ip6[6]=44';
const ADDRESSES = { IPv4: ['10.99.0.1', '10.99.0.2'], IPv6: ['[fd99::1]', '[fd99::2]'] } as const;
type Family = keyof typeof ADDRESSES;
/** As where the optional package is not installed. */
const NO_KOFFI = `const m = require('node:module'), load = m._load;
m._load = function (name, ...rest) { if (name === 'koffi') throw new Error('not installed'); return load.call(this, name, ...rest); };\n`;
/** UDP payload that each MTU leaves, or the step below it: IPv4, IPv6. */
const SIZES: Readonly<Record<number, readonly [number, number]>> = {
  1_500: [1_452, 1_452], 1_492: [1_452, 1_444], 1_460: [1_432, 1_412], 1_420: [1_392, 1_372], 1_280: [1_252, 1_232], 1_000: [972, 0], 600: [572, 0],
};

let folder = '';
let children: ChildProcess[] = [];
let clients: SpinesClient[] = [];
let captures: Capture[] = [];
const spaces = [0, 1].map((i) => `spines-${process.pid}-mtu${i}`);
const logs = ['', ''];

function ip(...args: string[]): void {
  const done = spawnSync('ip', args, { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`ip ${args.join(' ')}: ${done.stderr.trim()}`);
}

function setMtu(mtu: number): void {
  for (const [i, space] of spaces.entries()) ip('-n', space, 'link', 'set', `cable${i}`, 'mtu', String(mtu));
}

/** The same without holding up who measures. */
async function changeMtu(mtu: number): Promise<void> {
  await Promise.all(spaces.map((space, i) => new Promise<void>((resolve, reject) => {
    const child = spawn('ip', ['-n', space, 'link', 'set', `cable${i}`, 'mtu', String(mtu)], { stdio: 'ignore' });
    child.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`ip link set mtu ${mtu}`))));
  })));
}

/** Two hosts and a cable of `mtu` between them. */
function makeCable(mtu: number): void {
  for (const space of spaces) ip('netns', 'add', space);
  ip('link', 'add', 'name', 'cable0', 'netns', spaces[0]!, 'type', 'veth', 'peer', 'name', 'cable1', 'netns', spaces[1]!);
  for (const [i, space] of spaces.entries()) {
    ip('-n', space, 'address', 'add', `${ADDRESSES.IPv4[i]!}/24`, 'dev', `cable${i}`);
    // Below 1280 a device has no IPv6.
    if (mtu >= 1_280) ip('-n', space, 'address', 'add', `${ADDRESSES.IPv6[i]!.slice(1, -1)}/64`, 'dev', `cable${i}`, 'nodad');
    ip('-n', space, 'link', 'set', 'lo', 'up');
    ip('-n', space, 'link', 'set', `cable${i}`, 'up');
  }
  setMtu(mtu);
}

function removeCable(): void {
  for (const space of spaces) spawnSync('ip', ['netns', 'del', space], { stdio: 'ignore' });
}

const socketOf = (i: number): string => join(folder, `n${i}.sock`);

function startDaemons(family: Family, extra: readonly string[], node: readonly string[]): void {
  for (const [i, space] of spaces.entries()) {
    logs[i] = '';
    const child = spawn('ip', [
      'netns', 'exec', space, process.execPath, ...node, PROGRAM, 'daemon', '--identity', join(folder, `n${i}`), '--listen', `${ADDRESSES[family][i]!}:8100`,
      '--socket', socketOf(i), ...(i === 1 ? ['--link', `${ADDRESSES[family][0]}:8100`] : []), ...extra,
    ], { stdio: ['ignore', 'ignore', 'pipe'] });
    child.stderr!.on('data', (chunk: Buffer) => { logs[i] = (logs[i]! + chunk.toString()).slice(-10_000); });
    children.push(child);
  }
}

async function until<T>(what: string, look: () => Promise<T | null>, patienceMs = 40_000): Promise<T> {
  const began = performance.now();
  for (;;) {
    const found = await look().catch(() => null);
    if (found !== null) return found;
    if (performance.now() - began > patienceMs) throw new Error(`not within ${patienceMs} ms: ${what}\n${logs.join('\n')}`);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}

async function connected(i: number): Promise<SpinesClient> {
  const client = await until(`daemon ${i} answers`, () => SpinesClient.connect({ path: socketOf(i), name: 'test' }));
  clients.push(client);
  return client;
}

const statusOf = async (client: SpinesClient): Promise<StatusReply> => (await client.request('status')) as unknown as StatusReply;
const linkOf = async (client: SpinesClient): Promise<LinksReply['links'][number]> => ((await client.request('links')) as unknown as LinksReply).links[0]!;

/** Both ends have found what the path takes, and know routes. */
async function ready(peers: readonly SpinesClient[]): Promise<void> {
  for (const client of peers) {
    await until('the size of the path is known', async () => {
      const { size, state } = await linkOf(client);
      const { nodes } = await statusOf(client);
      return state === 'up' && size !== null && !size.searching && nodes.reachable === 2 ? true : null;
    });
  }
}

/** A file through a stream; whether it arrived as it was. */
async function sendFile([from, to]: readonly [SpinesClient, SpinesClient], port: number): Promise<boolean> {
  const sent = randomBytes(FILE_BYTES), hash = createHash('sha256');
  let bytes = 0;
  const server = createServer({ client: to, link: 'reliable' });
  const whole = new Promise<void>((resolve, reject) => {
    server.once('connection', (socket) => {
      socket.on('data', (chunk) => {
        hash.update(chunk);
        bytes += chunk.length;
      });
      socket.once('end', () => resolve());
      socket.once('error', reject);
    });
  });
  await new Promise<void>((resolve) => server.listen(port, () => resolve()));
  const socket = connect({ client: from, port, host: 'n1', link: 'reliable' });
  socket.end(sent);
  await whole;
  server.close();
  return bytes === FILE_BYTES && hash.digest('hex') === createHash('sha256').update(sent).digest('hex');
}

/** Full datagrams, a millisecond apart; how many different ones arrived. */
async function sendDatagrams([from, to]: readonly [SpinesClient, SpinesClient], link: 'reliable' | 'best-effort', port: number): Promise<number> {
  const heard = new Set<number>();
  const receiver = to.datagram({ link }), sender = from.datagram({ link });
  receiver.on('message', (message) => {
    if (message.length === DATAGRAM_BYTES) heard.add(message.readUInt32BE(0));
  });
  await new Promise<void>((resolve) => receiver.bind(port, () => resolve()));
  await sender.ready();
  for (let i = 0; i < DATAGRAMS; i += 1) {
    const message = Buffer.alloc(DATAGRAM_BYTES, i);
    message.writeUInt32BE(i, 0);
    sender.send(message, port, 'n1');
    if (i % 10 === 9) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await until(`${DATAGRAMS} datagrams, ${link}`, () => Promise.resolve(heard.size === DATAGRAMS ? true : null), 10_000).catch(() => null);
  receiver.close();
  sender.close();
  return heard.size;
}

beforeAll(() => {
  if (why !== null) return;
  folder = mkdtempSync(join(tmpdir(), 'spines-mtu-'));
  for (const i of [0, 1]) mkdirSync(join(folder, `n${i}`), { recursive: true });
  makeTemporaryNetwork('mtu', [0, 1].map((i) => ({ name: `n${i}`, id: 0x0a00_0001 + i, folder: join(folder, `n${i}`) })));
  writeFileSync(join(folder, 'no-koffi.cjs'), NO_KOFFI);
  process.once('exit', removeCable);
});

afterEach(async () => {
  await Promise.all(captures.splice(0).map((capture) => capture.close()));
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await Promise.all(children.splice(0).map((child) => new Promise<void>((resolve) => {
    if (child.exitCode !== null) resolve();
    child.once('close', () => resolve());
    child.kill('SIGKILL');
  })));
  removeCable();
});

afterAll(() => {
  if (folder !== '') rmSync(folder, { recursive: true, force: true });
});

/** Makes the cable, the daemons and two clients. */
async function start(mtu: number, family: Family, extra: readonly string[] = [], node: readonly string[] = []): Promise<[SpinesClient, SpinesClient]> {
  makeCable(mtu);
  startDaemons(family, extra, node);
  const peers: [SpinesClient, SpinesClient] = [await connected(0), await connected(1)];
  await ready(peers);
  return peers;
}

async function listen(): Promise<void> {
  captures = spaces.map((space, i) => new Capture(`cable${i}`, FRAGMENTS, ['ip', 'netns', 'exec', space]));
  await Promise.all(captures.map((capture) => capture.ready()));
}

const cells: (readonly [number, Family, boolean])[] = LONG
  ? [1_500, 1_492, 1_460, 1_420, 1_280, 1_000, 600].flatMap((mtu) =>
    (mtu >= 1_280 ? ['IPv4', 'IPv6'] as const : ['IPv4'] as const).flatMap((family) => [[mtu, family, true], [mtu, family, false]] as const))
  : [[1_460, 'IPv4', true], [1_280, 'IPv6', false], [600, 'IPv4', true]];

describe.runIf(why === null)('a cable of', () => {
  test.each(cells)('MTU %i, %s, offload %s: all arrives, and nothing in fragments', async (mtu, family, offload) => {
    makeCable(mtu);
    await listen();
    startDaemons(family, offload ? [] : ['--no-offload'], []);
    const peers: [SpinesClient, SpinesClient] = [await connected(0), await connected(1)];
    await ready(peers);
    expect((await statusOf(peers[0])).host).toMatchObject({ offload, dontFragment: true });
    const found = [await linkOf(peers[0]), await linkOf(peers[1])].map(({ size }) => size!.datagramBytes);
    expect(found).toEqual(Array(2).fill(SIZES[mtu]![family === 'IPv4' ? 0 : 1]));
    expect(await sendFile(peers, 700)).toBe(true);
    for (const link of ['reliable', 'best-effort'] as const) expect(await sendDatagrams(peers, link, 701), link).toBe(DATAGRAMS);
    for (const capture of captures) expect(await capture.count()).toBe(0);
    const { drops } = await statusOf(peers[0]);
    expect([drops['sinkFull'], drops['datagramAboveMtu']]).toEqual([undefined, undefined]);
  }, 120_000);

  test.runIf(LONG).each([1_420, 600])('MTU %i without koffi: all arrives, in fragments, and doctor says that sizes cannot be probed', async (mtu) => {
    const node = ['--require', join(folder, 'no-koffi.cjs')];
    const peers = await start(mtu, 'IPv4', [], node);
    expect((await statusOf(peers[0])).host).toMatchObject({ offload: false, dontFragment: false });
    expect(await sendFile(peers, 700)).toBe(true);
    for (const link of ['reliable', 'best-effort'] as const) expect(await sendDatagrams(peers, link, 701), link).toBe(DATAGRAMS);
    const doctor = await spines(['doctor', '--socket', socketOf(0)], { env: { NODE_OPTIONS: `--require ${node[1]!}` } });
    expect(doctor.stdout.toString()).toContain('cannot be probed');
  }, 120_000);

  test.each(LONG ? [[1_500, true], [1_500, false], [1_420, true]] as const : [[1_500, true]] as const)(
    'MTU %i, offload %s, that falls to 1280 under a stream and datagrams: the stream is whole, and datagrams go on', async (mtu, offload) => {
      const peers = await start(mtu, 'IPv4', offload ? [] : ['--no-offload']);
      const [from, to] = peers;
      const receiver = to.datagram(), sender = from.datagram();
      let last = 0, gap = 0, count = 0;
      receiver.on('message', () => {
        const now = performance.now();
        if (last > 0) gap = Math.max(gap, now - last);
        last = now;
        count += 1;
      });
      await new Promise<void>((resolve) => receiver.bind(702, () => resolve()));
      await sender.ready();
      const message = Buffer.alloc(DATAGRAM_BYTES, 7);
      const pulse = setInterval(() => sender.send(message, 702, 'n1'), 5);
      await until('datagrams flow', () => Promise.resolve(count > 50 ? true : null));
      const file = sendFile(peers, 703);
      await changeMtu(1_280);
      expect(await file).toBe(true);
      const seen = count;
      await until('datagrams flow on', () => Promise.resolve(count > seen + 100 ? true : null));
      clearInterval(pulse);
      expect((await linkOf(from)).size).toMatchObject({ datagramBytes: 1_252, packetBytes: 1_280 });
      expect((await statusOf(from)).drops['datagramAboveMtu']).toBeGreaterThan(0);
      console.log(`MTU ${mtu} to 1280, offload ${offload}: the longest silence of datagrams was ${gap.toFixed(0)} ms`);
      const doctor = await spines(['doctor', '--socket', socketOf(0)]);
      expect(doctor.stdout.toString()).toMatch(/narrow links.*1280/);
      sender.close();
      receiver.close();
    }, 120_000);
});

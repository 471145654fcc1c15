/**
 * Real daemons over cables of any MTU: a file and 2,000 full datagrams arrive whole, no IP fragment
 * is on the wire where don't-fragment can be set, and an MTU that falls under traffic is noticed.
 * Needs root and ip(8), the captures tcpdump; else skipped. A few telling cables by default, with
 * SPINES_LONG=1 all: MTU 1500 to 1280 over IPv4 and IPv6, 1000 and 600 over IPv4, with offload and
 * without.
 */

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  connect,
  createServer,
  SpinesClient,
  type LinksReply,
  type StatusReply,
} from 'spines-client';

import { makeTemporaryNetwork } from '../../src/cli/replay/temporary-network.ts';
import { loadOffload } from '../../src/host/net/offload.ts';
import { Capture, whyNoCapture } from '../support/capture.ts';
import { whyNoNamespaces } from '../support/namespaces.ts';
import { PROGRAM, spines } from '../support/processes.ts';

const LONG = process.env['SPINES_LONG'] === '1';
const why =
  whyNoNamespaces() ?? whyNoCapture() ?? (loadOffload() === null ? 'there is no koffi here' : null);
if (why !== null) console.log(`no cables of other MTUs are tested: ${why}`);

const FILE_BYTES = (LONG ? 4 : 1) * 1024 * 1024;
const DATAGRAMS = LONG ? 1_000 : 300,
  DATAGRAM_BYTES = 1_400;
const FRAGMENTS = 'ip[6:2]&0x3fff!=0 or ip6[6]=44';
const ADDRESSES = { IPv4: ['10.99.0.1', '10.99.0.2'], IPv6: ['[fd99::1]', '[fd99::2]'] } as const;
type Family = keyof typeof ADDRESSES;
/** As where the optional package is not installed. */
const NO_KOFFI = `const m = require('node:module'), load = m._load;
m._load = function (name, ...rest) { if (name === 'koffi') throw \
new Error('not installed'); return load.call(this, name, ...rest); };\n`;
/** UDP payload that each MTU leaves, or the step below it: IPv4, IPv6. */
const SIZES: Readonly<Record<number, readonly [number, number]>> = {
  1500: [1_452, 1_452],
  1492: [1_452, 1_444],
  1460: [1_432, 1_412],
  1420: [1_392, 1_372],
  1280: [1_252, 1_232],
  1000: [972, 0],
  600: [572, 0],
};

let folder = '';
const children: ChildProcess[] = [];
const clients: SpinesClient[] = [];
let captures: Capture[] = [];
const spaces = [0, 1].map((i) => `spines-${process.pid}-mtu${i}`);
const router = `spines-${process.pid}-mtu2`;
const logs = ['', ''];

function ip(...args: string[]): void {
  const done = spawnSync('ip', args, { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`ip ${args.join(' ')}: ${done.stderr.trim()}`);
}

function setMtu(mtu: number): void {
  for (const [i, space] of spaces.entries())
    ip('-n', space, 'link', 'set', `cable${i}`, 'mtu', String(mtu));
}

/** The same without holding up who measures. */
async function changeMtu(mtu: number): Promise<void> {
  await Promise.all(spaces.map((space, i) => setDevice(space, `cable${i}`, mtu)));
}

function setDevice(space: string, device: string, mtu: number): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const child = spawn('ip', ['-n', space, 'link', 'set', device, 'mtu', String(mtu)], {
      stdio: 'ignore',
    });
    child.once('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`ip link set mtu ${mtu}`)),
    );
  });
}

/** Two hosts and a cable of `mtu` between them. */
function makeCable(mtu: number): void {
  for (const space of spaces) ip('netns', 'add', space);
  ip(
    'link',
    'add',
    'name',
    'cable0',
    'netns',
    spaces[0]!,
    'type',
    'veth',
    'peer',
    'name',
    'cable1',
    'netns',
    spaces[1]!,
  );
  for (const [i, space] of spaces.entries()) {
    ip('-n', space, 'address', 'add', `${ADDRESSES.IPv4[i]!}/24`, 'dev', `cable${i}`);
    // Below 1280 a device has no IPv6.
    if (mtu >= 1_280)
      ip(
        '-n',
        space,
        'address',
        'add',
        `${ADDRESSES.IPv6[i]!.slice(1, -1)}/64`,
        'dev',
        `cable${i}`,
        'nodad',
      );
    ip('-n', space, 'link', 'set', 'lo', 'up');
    ip('-n', space, 'link', 'set', `cable${i}`, 'up');
  }
  setMtu(mtu);
}

/**
 * Two hosts and a router between them, all MTUs 1500: the first sees nothing of what becomes of the
 * second cable.
 */
function makeWay(): void {
  for (const space of [...spaces, router]) ip('netns', 'add', space);
  for (const [i, space] of spaces.entries()) {
    ip(
      'link',
      'add',
      'name',
      `cable${i}`,
      'netns',
      space,
      'type',
      'veth',
      'peer',
      'name',
      `port${i}`,
      'netns',
      router,
    );
    ip('-n', space, 'address', 'add', `${ADDRESSES.IPv4[i]!}/32`, 'dev', `cable${i}`);
    for (const [name, device] of [
      [space, 'lo'],
      [space, `cable${i}`],
      [router, `port${i}`],
    ] as const)
      ip('-n', name, 'link', 'set', device, 'up');
    ip(
      '-n',
      space,
      'route',
      'add',
      ADDRESSES.IPv4[1 - i]!,
      'dev',
      `cable${i}`,
      'src',
      ADDRESSES.IPv4[i]!,
    );
    ip('-n', router, 'route', 'add', ADDRESSES.IPv4[i]!, 'dev', `port${i}`);
  }
  ip(
    'netns',
    'exec',
    router,
    'sysctl',
    '-qw',
    'net.ipv4.ip_forward=1',
    ...[0, 1].map((i) => `net.ipv4.conf.port${i}.proxy_arp=1`),
  );
}

/** Of the cable behind the router. */
async function changeWay(mtu: number): Promise<void> {
  await Promise.all(
    [
      [router, 'port1'],
      [spaces[1]!, 'cable1'],
    ].map(([space, device]) => setDevice(space!, device!, mtu)),
  );
}

function removeCable(): void {
  for (const space of [...spaces, router])
    spawnSync('ip', ['netns', 'del', space], { stdio: 'ignore' });
}

const socketOf = (i: number): string => join(folder, `n${i}.sock`);

function startDaemons(family: Family, extra: readonly string[], node: readonly string[]): void {
  for (const [i, space] of spaces.entries()) {
    logs[i] = '';
    const child = spawn(
      'ip',
      [
        'netns',
        'exec',
        space,
        process.execPath,
        ...node,
        PROGRAM,
        'daemon',
        '--identity',
        join(folder, `n${i}`),
        '--listen',
        `${ADDRESSES[family][i]!}:8100`,
        '--socket',
        socketOf(i),
        ...(i === 1 ? ['--link', `${ADDRESSES[family][0]}:8100`] : []),
        ...extra,
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    child.stderr!.on('data', (chunk: Buffer) => {
      logs[i] = (logs[i]! + chunk.toString()).slice(-10_000);
    });
    children.push(child);
  }
}

async function until<T>(
  what: string,
  look: () => Promise<T | null>,
  patienceMs = 100_000,
): Promise<T> {
  const began = performance.now();
  for (;;) {
    const found = await look().catch(() => null);
    if (found !== null) return found;
    if (performance.now() - began > patienceMs)
      throw new Error(`not within ${patienceMs} ms: ${what}\n${logs.join('\n')}`);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}

async function connected(i: number): Promise<SpinesClient> {
  const client = await until(`daemon ${i} answers`, () =>
    SpinesClient.connect({ path: socketOf(i), name: 'test' }),
  );
  clients.push(client);
  return client;
}

const statusOf = async (client: SpinesClient): Promise<StatusReply> =>
  await client.request('status');
const linkOf = async (client: SpinesClient): Promise<LinksReply['links'][number]> =>
  (await client.request('links')).links[0]!;

/** Both ends have found what the path takes, and know routes. */
async function ready(peers: readonly SpinesClient[]): Promise<void> {
  for (const client of peers) {
    await until('the size of the path is known', async () => {
      const { size, state } = await linkOf(client);
      const { nodes } = await statusOf(client);
      return state === 'up' && size !== null && !size.searching && nodes.reachable === 2
        ? true
        : null;
    });
  }
}

/** A file through a stream; whether it arrived as it was. */
async function sendFile(
  [from, to]: readonly [SpinesClient, SpinesClient],
  port: number,
): Promise<boolean> {
  const sent = randomBytes(FILE_BYTES),
    hash = createHash('sha256');
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
  return (
    bytes === FILE_BYTES && hash.digest('hex') === createHash('sha256').update(sent).digest('hex')
  );
}

/** Full datagrams, a millisecond apart; how many different ones arrived. */
async function sendDatagrams(
  [from, to]: readonly [SpinesClient, SpinesClient],
  link: 'reliable' | 'best-effort',
  port: number,
): Promise<number> {
  const heard = new Set<number>();
  const receiver = to.datagram({ link }),
    sender = from.datagram({ link });
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
  await until(
    `${DATAGRAMS} datagrams, ${link}`,
    () => Promise.resolve(heard.size === DATAGRAMS ? true : null),
    10_000,
  ).catch(() => null);
  receiver.close();
  sender.close();
  return heard.size;
}

beforeAll(() => {
  if (why !== null) return;
  folder = mkdtempSync(join(tmpdir(), 'spines-mtu-'));
  for (const i of [0, 1]) mkdirSync(join(folder, `n${i}`), { recursive: true });
  makeTemporaryNetwork(
    'mtu',
    [0, 1].map((i) => ({ name: `n${i}`, id: 0x0a00_0001 + i, folder: join(folder, `n${i}`) })),
  );
  writeFileSync(join(folder, 'no-koffi.cjs'), NO_KOFFI);
  process.once('exit', removeCable);
});

afterEach(async () => {
  await Promise.all(captures.splice(0).map((capture) => capture.close()));
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await Promise.all(
    children.splice(0).map(
      (child) =>
        new Promise<void>((resolve) => {
          if (child.exitCode !== null) resolve();
          child.once('close', () => resolve());
          child.kill('SIGKILL');
        }),
    ),
  );
  removeCable();
});

afterAll(() => {
  if (folder !== '') rmSync(folder, { recursive: true, force: true });
});

/** Makes the cable, the daemons and two clients. */
async function start(
  mtu: number,
  family: Family,
  extra: readonly string[] = [],
  node: readonly string[] = [],
): Promise<[SpinesClient, SpinesClient]> {
  makeCable(mtu);
  startDaemons(family, extra, node);
  const peers: [SpinesClient, SpinesClient] = [await connected(0), await connected(1)];
  await ready(peers);
  return peers;
}

async function listen(): Promise<void> {
  captures = spaces.map(
    (space, i) => new Capture(`cable${i}`, FRAGMENTS, ['ip', 'netns', 'exec', space]),
  );
  await Promise.all(captures.map((capture) => capture.ready()));
}

const cells: (readonly [number, Family, boolean])[] = LONG
  ? [1_500, 1_492, 1_460, 1_420, 1_280, 1_000, 600].flatMap((mtu) =>
      (mtu >= 1_280 ? (['IPv4', 'IPv6'] as const) : (['IPv4'] as const)).flatMap(
        (family) =>
          [
            [mtu, family, true],
            [mtu, family, false],
          ] as const,
      ),
    )
  : [
      [1_460, 'IPv4', true],
      [1_280, 'IPv6', false],
      [600, 'IPv4', true],
    ];

type Where = 'on the cable' | 'on a link in the middle';
const CHANGES: (readonly [string, boolean, Where, readonly [number, ...number[]]])[] = (
  [
    [true, 'on the cable', [1_500, 1_280]],
    [false, 'on the cable', [1_500, 1_280]],
    [true, 'on the cable', [1_500, 1_000]],
    [true, 'on the cable', [1_420, 1_280]],
    [true, 'on the cable', [1_500, 1_280, 1_500, 1_000]],
    [true, 'on a link in the middle', [1_500, 1_280]],
    [false, 'on a link in the middle', [1_500, 1_280]],
    [true, 'on a link in the middle', [1_500, 1_000, 1_500]],
  ] as [boolean, Where, [number, ...number[]]][]
).map(([offload, where, mtus]) => [mtus.join(' to '), offload, where, mtus] as const);

const SIZES_BELOW = (bytes: number): number =>
  [1_452, 1_444, 1_432, 1_392, 1_372, 1_252, 972, 572].find((one) => one <= bytes)!;

/** A stream that goes on, as fast as it may, until it is ended. */
class Flow {
  #written = createHash('sha256');
  #read = createHash('sha256');
  #writtenBytes = 0;
  #readBytes = 0;
  #socket!: ReturnType<typeof connect>;
  #over = false;
  #ended!: Promise<void>;

  async start(from: SpinesClient, to: SpinesClient, port: number): Promise<void> {
    const server = createServer({ client: to, link: 'reliable' });
    this.#ended = new Promise<void>((resolve, reject) => {
      server.once('connection', (socket) => {
        socket.on('data', (chunk) => {
          this.#read.update(chunk);
          this.#readBytes += chunk.length;
        });
        socket.once('end', () => resolve(void server.close()));
        socket.once('error', reject);
      });
    });
    await new Promise<void>((resolve) => server.listen(port, () => resolve()));
    this.#socket = connect({ client: from, port, host: 'n1', link: 'reliable' });
    this.#socket.on('drain', () => this.#fill());
    this.#fill();
    await this.goOn();
  }

  #fill(): void {
    while (!this.#over) {
      const piece = randomBytes(16_384);
      this.#written.update(piece);
      this.#writtenBytes += piece.length;
      if (!this.#socket.write(piece)) return;
    }
  }

  /** Half a megabyte more has arrived. */
  async goOn(): Promise<void> {
    const wanted = this.#readBytes + 512 * 1024;
    await until(
      'the stream goes on',
      () => Promise.resolve(this.#readBytes >= wanted ? true : null),
      60_000,
    );
  }

  async end(): Promise<boolean> {
    this.#over = true;
    this.#socket.end();
    await this.#ended;
    return (
      this.#readBytes === this.#writtenBytes &&
      this.#read.digest('hex') === this.#written.digest('hex')
    );
  }
}

/** Full datagrams every 5 ms, numbered and stamped. */
class Pulse {
  readonly #heard = new Set<number>();
  readonly #sender;
  readonly #receiver;
  readonly #port: number;
  #sent = 0;
  #timer: NodeJS.Timeout | null = null;
  #lastStampMs = 0;
  /** Between two that arrived, by when they were sent. */
  silenceMs = 0;

  constructor(
    from: SpinesClient,
    to: SpinesClient,
    link: 'reliable' | 'best-effort',
    port: number,
  ) {
    this.#sender = from.datagram({ link });
    this.#receiver = to.datagram({ link });
    this.#port = port;
  }

  async start(): Promise<void> {
    this.#receiver.on('message', (message) => {
      const stamp = message.readDoubleBE(4);
      // Sent one after the other: what lies between was lost.
      if (this.#lastStampMs > 0)
        this.silenceMs = Math.max(this.silenceMs, stamp - this.#lastStampMs);
      this.#lastStampMs = Math.max(this.#lastStampMs, stamp);
      this.#heard.add(message.readUInt32BE(0));
    });
    await new Promise<void>((resolve) => this.#receiver.bind(this.#port, () => resolve()));
    await this.#sender.ready();
    this.#timer = setInterval(() => {
      const message = Buffer.alloc(DATAGRAM_BYTES, 7);
      message.writeUInt32BE(this.#sent, 0);
      message.writeDoubleBE(performance.now(), 4);
      this.#sent += 1;
      this.#sender.send(message, this.#port, 'n1');
    }, 5);
    await this.goOn();
  }

  async goOn(): Promise<void> {
    const wanted = this.#heard.size + 60;
    await until(
      'datagrams go on',
      () => Promise.resolve(this.#heard.size >= wanted ? true : null),
      60_000,
    );
  }

  /** How many of all that were sent never arrived. */
  async end(): Promise<number> {
    clearInterval(this.#timer!);
    await until(
      'the last datagram',
      () => Promise.resolve(this.#heard.size === this.#sent ? true : null),
      5_000,
    ).catch(() => null);
    this.#sender.close();
    this.#receiver.close();
    return this.#sent - this.#heard.size;
  }
}

describe.runIf(why === null)('a cable of', () => {
  test.each(cells)(
    'MTU %i, %s, offload %s: all arrives, and nothing in fragments',
    async (mtu, family, offload) => {
      makeCable(mtu);
      await listen();
      startDaemons(family, offload ? [] : ['--no-offload'], []);
      const peers: [SpinesClient, SpinesClient] = [await connected(0), await connected(1)];
      await ready(peers);
      expect((await statusOf(peers[0])).host).toMatchObject({ offload, dontFragment: true });
      const found = [await linkOf(peers[0]), await linkOf(peers[1])].map(
        ({ size }) => size!.datagramBytes,
      );
      expect(found).toEqual(Array(2).fill(SIZES[mtu]![family === 'IPv4' ? 0 : 1]));
      expect(await sendFile(peers, 700)).toBe(true);
      for (const link of ['reliable', 'best-effort'] as const)
        expect(await sendDatagrams(peers, link, 701), link).toBe(DATAGRAMS);
      for (const capture of captures) expect(await capture.count()).toBe(0);
      const { drops } = await statusOf(peers[0]);
      expect([drops['sinkFull'], drops['datagramAboveMtu']]).toEqual([undefined, undefined]);
    },
    240_000,
  );

  test.runIf(LONG).each([1_420, 600])(
    'MTU %i without koffi: all arrives, in fragments, and doctor says that sizes cannot be probed',
    async (mtu) => {
      const node = ['--require', join(folder, 'no-koffi.cjs')];
      const peers = await start(mtu, 'IPv4', [], node);
      expect((await statusOf(peers[0])).host).toMatchObject({
        offload: false,
        dontFragment: false,
      });
      expect(await sendFile(peers, 700)).toBe(true);
      for (const link of ['reliable', 'best-effort'] as const)
        expect(await sendDatagrams(peers, link, 701), link).toBe(DATAGRAMS);
      const doctor = await spines(['doctor', '--socket', socketOf(0)], {
        env: { NODE_OPTIONS: `--require ${node[1]!}` },
      });
      expect(doctor.stdout.toString()).toContain('cannot be probed');
    },
    240_000,
  );

  test.each(LONG ? CHANGES : CHANGES.slice(0, 1))(
    'MTU %s, offload %s, %s, under a stream, reliable datagrams and others: ' +
      'nothing reliable is lost, and the others go on',
    async (_steps, offload, where, mtus) => {
      const [first, ...changes] = mtus;
      if (where === 'on a link in the middle') makeWay();
      else makeCable(first);
      startDaemons('IPv4', offload ? [] : ['--no-offload'], []);
      const [from, to] = [await connected(0), await connected(1)];
      await ready([from, to]);
      const stream = new Flow(),
        reliable = new Pulse(from, to, 'reliable', 702),
        others = new Pulse(from, to, 'best-effort', 703);
      await stream.start(from, to, 704);
      await Promise.all([reliable.start(), others.start()]);
      for (const mtu of changes) {
        const before = await linkOf(from);
        if (where === 'on a link in the middle') await changeWay(mtu);
        else await changeMtu(mtu);
        await stream.goOn();
        await Promise.all([reliable.goOn(), others.goOn()]);
        // Larger ones are looked for after 600 s only.
        const fits = Math.min(mtu - 28, before.size!.datagramBytes);
        await until(`datagrams of ${fits} bytes`, async () =>
          (await linkOf(from)).size?.datagramBytes === SIZES_BELOW(fits) ? true : null,
        );
        await stream.goOn();
        await Promise.all([reliable.goOn(), others.goOn()]);
      }
      expect(await stream.end()).toBe(true);
      expect(await reliable.end()).toBe(0);
      await others.end();
      const { drops, host } = await statusOf(from);
      if (where === 'on the cable') expect(drops['datagramAboveMtu']).toBeGreaterThan(0);
      const late = host!.timersLateMs.max;
      console.log(
        `MTU ${mtus.join(' to ')} ${where}, offload ${offload}: the longest silence of ` +
          `best-effort datagrams was ${others.silenceMs.toFixed(0)} ms (timers of the daemon ` +
          `late by up to ${late} ms)`,
      );
      // On a machine that is late itself the silence is its own.
      if (late < 20) expect(others.silenceMs).toBeLessThanOrEqual(500);
      const doctor = await spines(['doctor', '--socket', socketOf(0)]);
      expect(doctor.stdout.toString()).toMatch(new RegExp(`narrow links.*${Math.min(...mtus)}`));
    },
    240_000,
  );
});

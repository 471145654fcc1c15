/**
 * Twenty thousand datagrams of strangers in each second, counted where they arrive, against a real
 * daemon under a stream of 5 Mbit/s that crosses it: the stream keeps its rate, and a node that
 * begins meanwhile has its link in time. From one address, and from 20,000 made-up ones; INITs of
 * who knows the daemon's public key, and data that no link brings. Needs root, ip(8) and koffi;
 * else skipped. For SPINES_LONG=1 only.
 */

import { spawnSync, type ChildProcess } from 'node:child_process';
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { getPriority, setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  connect,
  createServer,
  SpinesClient,
  type LinksReply,
  type SpinesSocket,
} from 'spines-client';

import { makeTemporaryNetwork } from '../../src/cli/replay/temporary-network.ts';
import { loadOffload } from '../../src/host/net/offload.ts';
import {
  DATAGRAM_SEALED_DATA,
  DATAGRAM_SEALED_INIT,
  encodeDatagramHeader,
} from '../../src/core/wire/datagram-header.ts';
import {
  INIT_NOISE_END,
  MAC_BYTES,
  SEALED_INIT_BYTES,
} from '../../src/core/wire/sealed-handshake.ts';
import { DATAGRAM_HEADER_BYTES } from '../../src/core/wire/sizes.ts';
import { putVersions, WIRE_VERSIONS } from '../../src/core/wire/versions.ts';
import { Namespaces, whyNoNamespaces, type NamespaceHost } from '../support/namespaces.ts';
import { PROGRAM } from '../support/processes.ts';

const LONG = process.env['SPINES_LONG'] === '1';
const why = whyNoNamespaces() ?? (loadOffload() === null ? 'there is no koffi here' : null);
if (why !== null) console.log(`no flood is tested: ${why}`);

const PER_SECOND = 20_000,
  SPOOFED = 20_000,
  SECONDS = 8;
const PORT = 8_100;
/** Of the stream: so many bytes each so many milliseconds are 5 Mbit/s. */
const CHUNK_BYTES = 12_500,
  CHUNK_MS = 20;
const RATE_MIN = 0.95,
  LINK_MS_MAX = 1_500;
/** Different datagrams of a flood; each is sent again and again. */
const POOL = 2_000;
const NAMES = ['left', 'victim', 'right', 'late'];
/**
 * Of all that takes part, so that a busy machine is as good as one of its own: what is measured is
 * what a flood takes, not what others take.
 */
const PRIORITY = -15;

/**
 * Sends what is in a file, cut at `bytes`, from made-up addresses, `perSecond` of them a second, or
 * from the one address and port of `from`: raw IP, headers of its own. Catches up when it was held
 * up.
 */
const FLOODER = `
  import { createRequire } from 'node:module';
  import { readFileSync } from 'node:fs';
  import { isIP } from 'node:net';
  const [file, size, destination, port, sources, perSecond, seconds, from, fromPort] =
    process.argv.slice(1);
  const koffi = createRequire(process.cwd() + '/src/')('koffi'), libc = koffi.load(null);
  const send = libc.func(
    'sendto', 'long', ['int', 'void *', 'size_t', 'int', 'void *', 'uint32_t']);
  const v6 = isIP(destination) === 6;
  const fd = libc.func('int socket(int, int, int)')(v6 ? 10 : 2, 3, 255);
  if (fd < 0) throw new Error('no raw socket');
  const pool = readFileSync(file), bytes = Number(size), count = pool.length / bytes;
  const groups = (text) => text === '' ? [] : text.split(':').map((one) => parseInt(one, 16));
  const addressOf = (text) => {
    if (!v6) return Buffer.from(text.split('.').map(Number));
    const [before, after = []] = text.split('::').map(groups), b = Buffer.alloc(16);
    before.forEach((one, i) => b.writeUInt16BE(one, 2 * i));
    after.forEach((one, i) => b.writeUInt16BE(one, 16 - 2 * (after.length - i)));
    return b;
  };
  const to = Buffer.alloc(v6 ? 28 : 16), target = addressOf(destination);
  const source = addressOf(from), head = v6 ? 48 : 28, sourceEnd = v6 ? 24 : 16;
  to.writeUInt16LE(v6 ? 10 : 2, 0);
  target.copy(to, v6 ? 8 : 4);
  const packets = Array.from({ length: count }, (_, i) => {
    const b = Buffer.alloc(head + bytes);
    if (v6) { b[0] = 0x60; b.writeUInt16BE(8 + bytes, 4); b[6] = 17; b[7] = 64; }
    else { b[0] = 0x45; b.writeUInt16BE(b.length, 2); b[8] = 64; b[9] = 17; }
    source.copy(b, sourceEnd - source.length);
    target.copy(b, sourceEnd);
    b.writeUInt16BE(Number(fromPort), head - 8); b.writeUInt16BE(Number(port), head - 6);
    b.writeUInt16BE(8 + bytes, head - 4);
    pool.copy(b, head, i * bytes, (i + 1) * bytes);
    return b;
  });
  // Over IPv6 there must be one: of addresses, protocol, length, header and data.
  const sums = packets.map((b) => {
    let sum = 17 + 8 + bytes;
    for (let at = 8; v6 && at < b.length; at += 2) {
      sum += at + 1 < b.length ? b.readUInt16BE(at) : b[at] << 8;
    }
    return sum;
  });
  const began = performance.now();
  let sent = 0;
  const more = () => {
    const elapsed = performance.now() - began;
    const due = Math.min(sent + 4000, elapsed * Number(perSecond) / 1000);
    for (; sent < due; sent += 1) {
      const i = sent % count, b = packets[i];
      const who = Number(sources) === 1 ? 0 : Math.floor(Math.random() * Number(sources));
      const low = source.readUInt16BE(source.length - 2) + who;
      b.writeUInt16BE(low, sourceEnd - 2);
      if (v6) {
        let sum = sums[i] + who;
        while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
        b.writeUInt16BE(~sum & 0xffff || 0xffff, head - 2);
      }
      send(fd, b, b.length, 0, to, to.length);
    }
    if (elapsed < Number(seconds) * 1000) setTimeout(more, 1); else process.exit();
  };
  more();
`;

const FAMILIES = {
  IPv4: { prefix: '192.0.2.', any: '0.0.0.0', flood: '198.18.0.7' },
  IPv6: { prefix: 'fd97::', any: '[::]', flood: 'fd96::7' },
} as const;
type Family = keyof typeof FAMILIES;

let net: Namespaces | null = null;
let folder = '';
const clients: SpinesClient[] = [];
const logs = new Map<string, string>();

const priority = getPriority();
const prefer = (value: number): void => {
  try {
    setPriority(value);
    // Linux shares the processors by session first.
    writeFileSync('/proc/self/autogroup', String(value));
  } catch {
    // Some containers' root may not: then the machine must be quiet.
  }
};
if (why === null) {
  // What is spawned has it too.
  beforeAll(() => prefer(PRIORITY));
  afterAll(() => prefer(priority));
}

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close().catch(() => {})));
  await net?.close();
  net = null;
  if (folder !== '') rmSync(folder, { recursive: true, force: true });
  logs.clear();
});

const socketOf = (name: string): string => join(folder, `${name}.sock`);

const endpoint = (address: string): string =>
  `${address.includes(':') && !address.startsWith('[') ? `[${address}]` : address}:${PORT}`;

function startDaemon(
  host: NamespaceHost,
  name: string,
  dials: readonly NamespaceHost[],
  extra: readonly string[],
  listen = host.address,
): ChildProcess {
  const child = host.spawn(
    process.execPath,
    [
      PROGRAM,
      'daemon',
      '--identity',
      join(folder, name),
      '--listen',
      endpoint(listen),
      '--socket',
      socketOf(name),
      ...dials.flatMap(({ address }) => ['--link', endpoint(address)]),
      ...extra,
    ],
    folder,
  );
  child.stderr!.on('data', (chunk: Buffer) => {
    logs.set(name, (logs.get(name) ?? '') + chunk.toString());
  });
  return child;
}

async function until<T>(
  what: string,
  look: () => T | null | Promise<T | null>,
  patienceMs = 60_000,
): Promise<T> {
  const began = performance.now();
  for (;;) {
    const found = await Promise.resolve()
      .then(look)
      .catch(() => null);
    if (found !== null) return found;
    if (performance.now() - began > patienceMs)
      throw new Error(`not within ${patienceMs} ms: ${what}\n${[...logs].flat().join('\n')}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function connected(name: string): Promise<SpinesClient> {
  const client = await until(`${name} answers`, () =>
    SpinesClient.connect({ path: socketOf(name), name: 'test' }),
  );
  clients.push(client);
  return client;
}

const linksOf = async (client: SpinesClient): Promise<LinksReply['links']> =>
  (await client.request('links')).links;

/** When, in milliseconds, a daemon's log says `message` for the first time; null: it has not. */
function saidAt(name: string, message: string): number | null {
  const line = (logs.get(name) ?? '').split('\n').find((one) => one.includes(`"msg":"${message}"`));
  return line === undefined ? null : (JSON.parse(line) as { time: number }).time;
}

/** What everybody can make who knows the public key: the right MAC around junk. */
function inits(key: Buffer): Buffer {
  const macKey = createHash('sha256').update('spines mac').update(key).digest();
  return Buffer.concat(
    Array.from({ length: POOL }, () => {
      const b = randomBytes(SEALED_INIT_BYTES).fill(0, INIT_NOISE_END);
      encodeDatagramHeader(DATAGRAM_SEALED_INIT, b.readUInt32BE(20), 0, b);
      putVersions(b, DATAGRAM_HEADER_BYTES, WIRE_VERSIONS);
      b.set(
        createHmac('sha256', macKey)
          .update(b.subarray(0, INIT_NOISE_END))
          .digest()
          .subarray(0, MAC_BYTES),
        INIT_NOISE_END,
      );
      return b;
    }),
  );
}

/** As data of links looks. */
function data(): Buffer {
  return Buffer.concat(
    Array.from({ length: POOL }, () => {
      const b = randomBytes(SEALED_INIT_BYTES);
      encodeDatagramHeader(DATAGRAM_SEALED_DATA, b.readUInt32BE(20), b.readUInt32BE(30), b);
      return b;
    }),
  );
}

function receivedBy(host: NamespaceHost, device: string): number {
  const { stdout } = spawnSync(
    'ip',
    ['-n', host.namespace, '-s', '-j', 'link', 'show', 'dev', device],
    { encoding: 'utf8' },
  );
  return (JSON.parse(stdout) as { stats64: { rx: { packets: number } } }[])[0]!.stats64.rx.packets;
}

interface Scene {
  readonly victim: NamespaceHost;
  readonly left: NamespaceHost;
  readonly right: NamespaceHost;
  readonly middle: SpinesClient;
  readonly bytes: () => number;
}

interface Figures {
  readonly perSecond: number;
  readonly rate: number;
  readonly linkMs: number;
}

interface How {
  readonly family?: Family;
  readonly extra?: readonly string[];
  /** The victim listens on all of its addresses. */
  readonly wild?: boolean;
  /** The flood comes from the address and port of the neighbour `left`. */
  readonly asNeighbour?: boolean;
  readonly afterwards?: (scene: Scene) => Promise<void>;
}

async function flood(
  kind: 'INITs' | 'data',
  sources: number,
  {
    family = 'IPv4',
    extra = [],
    wild = false,
    asNeighbour = false,
    afterwards = async () => {},
  }: How = {},
): Promise<Figures> {
  const { prefix, any, flood: made } = FAMILIES[family];
  folder = mkdtempSync(join(tmpdir(), 'spines-flood-'));
  for (const name of NAMES) mkdirSync(join(folder, name));
  const keys = makeTemporaryNetwork(
    'flood',
    NAMES.map((name, i) => ({ name, id: 0x0a00_0001 + i, folder: join(folder, name) })),
  );
  net = new Namespaces();
  const [left, victim, right, late, flooder] = NAMES.concat('flooder').map((_, i) =>
    net!.add(`${prefix}${i + 1}`),
  ) as [NamespaceHost, NamespaceHost, NamespaceHost, NamespaceHost, NamespaceHost];
  for (const host of [left, right, late, flooder]) net.join(victim, host);
  // What the victim answers leaves, whoever it is for, and what comes from made-up addresses is not
  // looked at more closely.
  spawnSync('ip', [
    ...(family === 'IPv6' ? ['-6'] : []),
    ...['-n', victim.namespace, 'route', 'add', 'default', 'via'],
    flooder.address,
    'dev',
    victim.deviceTo(flooder),
  ]);
  for (const one of ['all', victim.deviceTo(flooder)])
    spawnSync('ip', [
      'netns',
      'exec',
      victim.namespace,
      'sysctl',
      '-qw',
      `net.ipv4.conf.${one}.rp_filter=0`,
    ]);
  startDaemon(victim, 'victim', [], extra, wild ? any : victim.address);
  // Where an address goes, the wildcard's other ones are left.
  startDaemon(left, 'left', [victim], extra, any);
  startDaemon(right, 'right', [victim], extra);
  const [sender, receiver, middle] = [
    await connected('left'),
    await connected('right'),
    await connected('victim'),
  ];
  await until('a way', async () =>
    (await linksOf(middle)).filter(({ state }) => state === 'up').length === 2 ? true : null,
  );

  let got = 0;
  const server = createServer({ client: receiver, link: 'reliable' }, (socket) => {
    socket.on('data', (chunk) => {
      got += chunk.length;
    });
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(7_000, () => resolve()));
  // What a link was made with need not be known everywhere at once.
  const stream = await until(
    'the way leads to the other end',
    () =>
      new Promise<SpinesSocket | null>((resolve) => {
        const one = connect({ client: sender, host: 'right', port: 7_000, link: 'reliable' });
        one.once('connect', () => resolve(one)).once('error', () => resolve(null));
      }),
  );
  const chunk = Buffer.alloc(CHUNK_BYTES, 1),
    began = performance.now();
  let written = 0;
  const writing = setInterval(() => {
    for (
      ;
      written < (performance.now() - began) / CHUNK_MS && stream.writableLength < 20 * CHUNK_BYTES;
      written += 1
    )
      stream.write(chunk);
  }, CHUNK_MS / 4);
  await until('the stream flows', () => (got > 0 ? true : null));

  const file = join(folder, 'flood');
  writeFileSync(file, kind === 'data' ? data() : inits(Buffer.from(keys[1]!, 'hex')));
  const device = victim.deviceTo(flooder);
  const program = flooder.spawn(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      FLOODER,
      file,
      String(SEALED_INIT_BYTES),
      victim.address,
      String(PORT),
      String(sources),
      String(PER_SECOND),
      String(SECONDS + 30),
      asNeighbour ? left.address : made,
      String(asNeighbour ? PORT : 9_000),
    ],
    fileURLToPath(new URL('../..', import.meta.url)),
  );
  let complaint = '';
  program.stderr!.on('data', (bytes: Buffer) => {
    complaint += bytes.toString();
  });
  const quiet = receivedBy(victim, device);
  await until(`the flood arrives ${complaint}`, () =>
    receivedBy(victim, device) > quiet + PER_SECOND / 4 ? true : null,
  );
  const from = performance.now(),
    gotBefore = got,
    arrivedBefore = receivedBy(victim, device);
  startDaemon(late, 'late', [victim], extra);
  const started = await until('a daemon begins', () => saidAt('late', 'daemon started'));
  const up = await until('its link', () => saidAt('late', 'link up'), 30_000);
  while (performance.now() - from < SECONDS * 1_000)
    await new Promise((resolve) => setTimeout(resolve, 10));
  const seconds = (performance.now() - from) / 1_000;
  const figures = {
    perSecond: (receivedBy(victim, device) - arrivedBefore) / seconds,
    rate: (got - gotBefore) / seconds / (CHUNK_BYTES / (CHUNK_MS / 1_000)),
    linkMs: Math.max(0, up - started),
  };
  console.log(
    `${family} ${kind} from ${asNeighbour ? 'a neighbour' : sources}: ` +
      `${figures.perSecond.toFixed(0)} datagrams a second arrived; stream ` +
      `${(100 * figures.rate).toFixed(1)} % of 5 Mbit/s; a new link after ${figures.linkMs} ms`,
  );
  expect((await linksOf(middle)).filter(({ state }) => state === 'up').length).toBe(3);
  for (const name of ['left', 'right']) expect(logs.get(name)).not.toContain('"msg":"link down"');
  await afterwards({ victim, left, right, middle, bytes: () => got });
  clearInterval(writing);
  stream.destroy();
  server.close();
  return figures;
}

const ALL = [
  ['INITs', SPOOFED, {}],
  ['INITs', 1, {}],
  ['data', SPOOFED, {}],
  ['data', 1, {}],
  ['INITs', SPOOFED, { family: 'IPv6' }],
  ['INITs', 1, { family: 'IPv6' }],
  ['data', SPOOFED, { family: 'IPv6' }],
  ['INITs', SPOOFED, { family: 'IPv6', wild: true }],
  ['INITs', SPOOFED, { wild: true }],
  ['INITs', 1, { asNeighbour: true }],
  ['data', 1, { asNeighbour: true }],
  ['INITs', 1, { family: 'IPv6', asNeighbour: true }],
] as const satisfies [string, number, How][];

describe.skipIf(why !== null || !LONG)('a flood of 20,000 datagrams a second', () => {
  test.each(ALL)(
    'of %s from %i addresses, %j, leaves a stream its rate, and a new link is up in time',
    async (kind, sources, how) => {
      const { perSecond, rate, linkMs } = await flood(kind, sources, how);
      // Or there was nothing to bear: a machine that can't send it can't show it.
      expect(perSecond).toBeGreaterThan(PER_SECOND * 0.9);
      expect(rate).toBeGreaterThanOrEqual(RATE_MIN);
      expect(linkMs).toBeLessThanOrEqual(LINK_MS_MAX);
    },
    120_000,
  );

  test.each(['IPv4', 'IPv6'] as const)(
    'lets a neighbour move to another address, and one that was killed begin anew, over %s',
    async (family) => {
      const moved = `${FAMILIES[family].prefix}21`;
      await flood('INITs', SPOOFED, {
        family,
        extra: ['--no-offload'],
        afterwards: async ({ victim, left, right, middle, bytes }) => {
          const [there, back] = [left.deviceTo(victim), victim.deviceTo(left)];
          spawnSync('ip', ['-n', victim.namespace, 'route', 'add', moved, 'dev', back]);
          for (const [what, address] of [
            ['del', left.address],
            ['add', moved],
          ])
            spawnSync('ip', [
              '-n',
              left.namespace,
              'address',
              what!,
              address!,
              'peer',
              victim.address,
              'dev',
              there,
              ...(family === 'IPv6' ? ['nodad'] : []),
            ]);
          await until(
            'the link is with the new address',
            async () =>
              (await linksOf(middle)).some(
                ({ name, state, address }) =>
                  name === 'left' && state === 'up' && address.includes(moved),
              )
                ? true
                : null,
            15_000,
          );
          const before = bytes();
          await until(
            'the stream goes on',
            () => (bytes() > before + 20 * CHUNK_BYTES ? true : null),
            10_000,
          );
          expect(logs.get('left')).not.toContain('"msg":"link down"');

          // The same keys in another run of the daemon: its call is a stranger's.
          await right.end();
          logs.delete('right');
          startDaemon(right, 'right', [victim], ['--no-offload']);
          const started = await until('a daemon begins again', () =>
            saidAt('right', 'daemon started'),
          );
          expect(
            (await until('its link', () => saidAt('right', 'link up'), 30_000)) - started,
          ).toBeLessThanOrEqual(LINK_MS_MAX);
        },
      });
    },
    120_000,
  );
});

/**
 * What grows with the network and with the number of programs: routes and floods of 1,000 nodes, a
 * daemon with 50 idle links, and 10,000 idle sessions. Prints medians; asserts nothing.
 *
 * Runs by itself (`node dist/.bench/scale.js`) or from another program of the bench by
 * `printScale`. Each part is measured in a process of its own, started from this file; the daemon
 * with the idle links is the one that ships, as a user starts it. SCALE_ROUNDS makes it surer,
 * SCALE_ONLY=routing|sessions|idle leaves out the rest.
 */

import { strict as assert } from 'node:assert';
import { fork, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { SpinesClient, type StatusReply } from 'spines-client';
import {
  encodeControl,
  encodeStreamHead,
  FRAME_HEAD_BYTES,
  FRAME_HELLO,
  FRAME_REQUEST,
  PROTOCOL_VERSION,
  STREAM_DATA_BYTES_MAX,
  STREAM_HEAD_BYTES,
} from 'spines-client/protocol';
import { makeEndpoint, type Endpoint } from '#src/core/base/datagram.js';
import type { NodeId } from '#src/core/base/ids.js';
import { nullLog } from '#src/core/base/log.js';
import { Rng } from '#src/core/base/rng.js';
import { MILLISECOND, SECOND, type Micros } from '#src/core/base/time.js';
import { TimerQueue } from '#src/core/base/timer-queue.js';
import { makeTemporaryNetwork, folderOf } from '#src/cli/replay/temporary-network.js';
import type { Identity } from '#src/core/crypto/membership.js';
import { availablePrimitives } from '#src/host/primitives/choose-primitives.js';
import { startDaemon } from '#src/host/daemon.js';
import { secureRandom } from '#src/host/primitives/secure-random.js';
import { stopwatch } from '#src/host/system-clock.js';
import type { ClientPort } from '#src/core/ipc/client-port.js';
import type { Link } from '#src/core/link/link.js';
import {
  defaultLimits,
  makeConfig,
  type DialConfig,
  type NodeConfig,
} from '#src/core/node/config.js';
import { SpinesNode } from '#src/core/node/node.js';
import { signAdvertisement } from '#src/core/routing/signed-advertisement.js';
import { SimAuthority } from '#src/lab/sim/sim-authority.js';
import { DropReason } from '#src/core/wire/drop.js';
import { FRAME_LINK_STATE } from '#src/core/wire/frames.js';
import {
  CONTROL_CHECK_BYTES,
  LATENCY_UNIT_US,
  LIFETIME_BYTES,
  putControlCheck,
  type AdvertisedLink,
  type Advertisement,
} from '#src/core/wire/link-state.js';
import { FIRST_ID, readMembership } from './identities.js';
import type { AnswererOrder } from './bare-answerer.js';
import {
  beside,
  collect,
  cpuUs,
  freePort,
  median,
  pause,
  printTable,
  ratios,
  spread,
  whole,
} from './processes.js';

const NODES = 1_000;
const DEGREE = 4;
const SESSIONS = 10_000;
/** What a stream that was used has carried. */
const USED_BYTES = 80 * 1_024;
const LINKS = 50;
/** One way, between the hosts of the laboratory. */
const WIRE: Micros = 1 * MILLISECOND;
const CHANGES = 30;

type Part = 'routing' | 'sessions' | 'idle';

export interface RoutingScale {
  /**
   * Of each: one value a round or a change. CPU of the daemon that is measured, ms, unless it says
   * virtual.
   */
  readonly primitives: string;
  readonly recompute: number[];
  readonly change: number[];
  readonly ownDown: number[];
  readonly ownUp: number[];
  readonly flood: number[];
  readonly floodVirtual: number[];
  readonly floodRecomputations: number[];
  readonly floodOverBudget: number[];
}

/** Bytes in one daemon's heap and buffers for each session. */
export interface SessionScale {
  readonly kind: string;
  readonly opened: number;
  readonly bytes: number[];
}

export interface IdleScale {
  readonly links: number;
  readonly cpuPercent: number[];
  /** In the same seconds, of a process that answers as many datagrams and does nothing else. */
  readonly barePercent: number[];
  readonly rssMb: number;
  readonly anonymousMb: number;
  readonly datagramsPerSecond: number;
  readonly advertisementsPerSecond: number;
}

/*
 * ------------------------------------------------------------------ a laboratory without sockets
 */

interface Flight {
  readonly at: Micros;
  readonly to: Host;
  readonly from: Endpoint;
  readonly bytes: Uint8Array;
}

/** Daemons without I/O in one virtual time; wires of one length. */
class Laboratory {
  now: Micros = SECOND;
  readonly clock = { now: (): Micros => this.now };
  readonly hosts: Host[] = [];
  readonly authority: SimAuthority;
  /** In the order of arrival: all wires have the same length. */
  readonly flights: Flight[] = [];

  constructor() {
    this.authority = new SimAuthority(availablePrimitives()[0]!.primitives, secureRandom);
  }

  run(time: Micros, stop: () => boolean = () => false): void {
    const until = this.now + time;
    while (!stop()) {
      let at = this.flights[0]?.at ?? until + 1;
      for (const host of this.hosts) at = Math.min(at, host.timers.nextAt);
      if (at > until) break;
      this.now = Math.max(this.now, at);
      while (this.flights.length > 0 && this.flights[0]!.at <= this.now) {
        const { to, from, bytes } = this.flights.shift()!;
        to.turn(() => to.node.onDatagram(bytes, bytes.length, from));
      }
      for (const host of this.hosts)
        if (host.timers.nextAt <= this.now) host.turn(() => host.timers.runDue(this.now));
    }
    if (!stop()) this.now = Math.max(this.now, until);
  }
}

class Host {
  readonly timers = new TimerQueue();
  readonly node: SpinesNode;
  readonly endpoint: Endpoint;
  readonly identity: Identity;
  /** CPU of the turns of this daemon, microseconds. */
  spent = 0;

  constructor(
    laboratory: Laboratory,
    id: NodeId,
    dials: readonly Host[],
    change: Partial<NodeConfig> = {},
  ) {
    const { authority, clock } = laboratory;
    this.endpoint = makeEndpoint(`10.1.0.${laboratory.hosts.length + 1}`, 8100);
    this.identity = authority.issue(id, `lab-${id - FIRST_ID}`);
    const sink = {
      congested: false,
      send: (to: Endpoint, bytes: Uint8Array, length: number): void => {
        const host = laboratory.hosts.find(({ endpoint }) => endpoint.key === to.key);
        if (host !== undefined)
          laboratory.flights.push({
            at: laboratory.now + WIRE,
            to: host,
            from: this.endpoint,
            bytes: bytes.slice(0, length),
          });
      },
    };
    const dialled: DialConfig[] = dials.map(({ endpoint, identity }) => ({
      address: endpoint.address,
      port: endpoint.port,
      node: null,
      key: identity.exchange.publicKey,
    }));
    this.node = new SpinesNode(makeConfig({ id, dials: dialled, ...change }), {
      clock,
      stopwatch,
      timers: this.timers,
      rng: new Rng(id),
      random: secureRandom,
      wall: clock,
      sink,
      log: nullLog,
      emulation: null,
      listen: [],
      membership: authority.member(this.identity, clock),
      onShutdownRequested: () => {},
    });
    laboratory.hosts.push(this);
    this.turn(() => this.node.start());
  }

  turn(input: () => void): void {
    const before = cpuUs();
    input();
    this.node.flush();
    this.spent += cpuUs() - before;
  }
}

/* ------------------------------------------------------------------ routing */

/**
 * Links of a random graph in which all have about DEGREE of them, and all reach all; by node,
 * sorted.
 */
function randomLinks(rng: Rng): AdvertisedLink[][] {
  const links: AdvertisedLink[][] = Array.from({ length: NODES }, () => []);
  const join = (a: number, b: number): void => {
    if (a === b || links[a]!.some(({ node }) => node === FIRST_ID + b)) return;
    const latency = 10 + rng.below(400),
      loss = rng.chance(0.2) ? rng.below(3_000) : 0;
    links[a]!.push({ node: FIRST_ID + b, latency, loss });
    links[b]!.push({ node: FIRST_ID + a, latency, loss });
  };
  const order = rng.shuffle(Array.from({ length: NODES }, (_, i) => i));
  order.forEach((node, i) => join(node, order[(i + 1) % NODES]!));
  for (let more = (NODES * (DEGREE - 2)) / 2; more > 0; more -= 1)
    join(rng.below(NODES), rng.below(NODES));
  for (const list of links) list.sort((a, b) => a.node - b.node);
  return links;
}

function measureRouting(rounds: number): RoutingScale {
  const figures: RoutingScale = {
    primitives: availablePrimitives()[0]!.primitives.name,
    recompute: [],
    change: [],
    ownDown: [],
    ownUp: [],
    flood: [],
    floodVirtual: [],
    floodRecomputations: [],
    floodOverBudget: [],
  };
  for (let round = 0; round < rounds; round += 1) {
    const laboratory = new Laboratory();
    const { authority, clock } = laboratory;
    const rng = new Rng(round + 1);
    const links = randomLinks(rng);
    // Of the first two nodes the laboratory has real daemons, which advertise for themselves.
    const neighbour = new Host(laboratory, FIRST_ID + 1, []);
    feignLinks(
      neighbour,
      links[1]!.filter(({ node }) => node !== FIRST_ID),
    );
    const members = links.map((_, i) =>
      authority.member(
        i === 1 ? neighbour.identity : authority.issue(FIRST_ID + i, `lab-${i}`),
        clock,
      ),
    );
    const advertise = (i: number, sequence: number): Advertisement =>
      signAdvertisement(members[i]!, sequence, false, links[i]!);
    const from = 1_000_000_000_000;
    for (let i = 2; i < NODES; i += 1) {
      neighbour.node.router.database.install(
        advertise(i, from),
        laboratory.now,
        laboratory.now + 900 * SECOND,
        members[i]!.identity.certificate,
      );
    }

    const fresh = new Host(laboratory, FIRST_ID, [neighbour]);
    const { router } = fresh.node;
    laboratory.run(SECOND, () => fresh.node.links.of(FIRST_ID + 1)?.up === true);
    const upAt = laboratory.now,
      upSpent = fresh.spent,
      { recomputations } = router.counters;
    laboratory.run(60 * SECOND, () => router.database.size === NODES);
    assert.equal(router.database.size, NODES);
    figures.flood.push((fresh.spent - upSpent) / 1_000);
    figures.floodVirtual.push((laboratory.now - upAt) / 1_000);
    figures.floodRecomputations.push(router.counters.recomputations - recomputations);
    figures.floodOverBudget.push(fresh.node.drops.of(DropReason.linkStateOverBudget));
    laboratory.run(SECOND);

    for (let change = 1; change <= CHANGES; change += 1) {
      // Another latency of one link, said by both of its ends.
      const a = 2 + rng.below(NODES - 2);
      const other = links[a]!.findIndex(({ node }) => node > FIRST_ID + 1);
      const b = links[a]![other]!.node - FIRST_ID;
      const back = links[b]!.findIndex(({ node }) => node === FIRST_ID + a);
      const latency = 10 + rng.below(400);
      links[a]![other] = { ...links[a]![other]!, latency };
      links[b]![back] = { ...links[b]![back]!, latency };
      const frames = [a, b].map((i) => frameOf(advertise(i, from + change)));
      const { recomputations: recomputed, recomputeUsTotal } = router.counters;
      const before = fresh.spent;
      const link = fresh.node.links.of(FIRST_ID + 1)!;
      for (const frame of frames)
        fresh.turn(() => router.onControl(link, FRAME_LINK_STATE, frame, 0, frame.length));
      laboratory.run(100 * MILLISECOND, () => router.counters.recomputations > recomputed);
      assert.equal(router.counters.recomputations, recomputed + 1);
      assert(router.reachable(FIRST_ID + a) && router.paths.hops.some((hops) => hops > 4));
      figures.change.push((fresh.spent - before) / 1_000);
      figures.recompute.push((router.counters.recomputeUsTotal - recomputeUsTotal) / 1_000);
      laboratory.run(50 * MILLISECOND);
    }

    for (let i = 0; i < 3; i += 1) {
      let before = fresh.spent;
      fresh.turn(() => fresh.node.links.of(FIRST_ID + 1)!.down('bench', 1));
      laboratory.run(100 * MILLISECOND, () => !router.reachable(FIRST_ID + 5));
      assert(!router.reachable(FIRST_ID + 5));
      figures.ownDown.push((fresh.spent - before) / 1_000);
      before = fresh.spent;
      laboratory.run(5 * SECOND, () => router.reachable(FIRST_ID + 5));
      assert(router.reachable(FIRST_ID + 5));
      figures.ownUp.push((fresh.spent - before) / 1_000);
      laboratory.run(SECOND);
    }
  }
  return figures;
}

/** The daemon advertises these too, whose other ends exist on paper only. */
function feignLinks({ node: { links } }: Host, feigned: readonly AdvertisedLink[]): void {
  const real = links.all.bind(links);
  const more = feigned.map(
    ({ node, latency }) =>
      ({
        node,
        up: true,
        latencyUs: latency * LATENCY_UNIT_US,
        liveness: { rtt: { samples: 1 }, lossOut: 0 },
      }) as Link,
  );
  Object.assign(links, { all: () => [...real(), ...more] });
}

/** A LINK_STATE frame's body. */
function frameOf({ bytes }: Advertisement): Uint8Array {
  const frame = new Uint8Array(LIFETIME_BYTES + bytes.length + CONTROL_CHECK_BYTES);
  frame.set([0xff, 0xff]);
  frame.set(bytes, LIFETIME_BYTES);
  putControlCheck(frame, 0, LIFETIME_BYTES + bytes.length);
  return frame;
}

/* ------------------------------------------------------------------ sessions */

/** Bytes in use after everything that can go has gone. */
function weigh(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** A client that says what it must and hears nothing. */
class Program {
  readonly #host: Host;
  readonly #port: ClientPort;
  #requests = 0;

  constructor(host: Host) {
    this.#host = host;
    this.#port = host.node.attachClient({
      bufferedBytes: 0,
      write: () => {},
      append: () => {},
      end: () => {},
    })!;
    this.#give(encodeControl(FRAME_HELLO, { version: PROTOCOL_VERSION, client: 'bench' }));
  }

  request(op: string, args: Record<string, unknown>): void {
    this.#give(encodeControl(FRAME_REQUEST, { id: (this.#requests += 1), op, ...args }));
  }

  write(socket: number, bytes: number): void {
    for (let left = bytes; left > 0; left -= STREAM_DATA_BYTES_MAX) {
      const count = Math.min(left, STREAM_DATA_BYTES_MAX);
      const frame = new Uint8Array(FRAME_HEAD_BYTES + STREAM_HEAD_BYTES + count);
      encodeStreamHead(frame, 0, socket, count);
      this.#give(frame);
    }
  }

  get sockets(): number {
    return this.#port.sockets;
  }

  #give(bytes: Uint8Array): void {
    this.#host.turn(() => this.#port.onBytes(bytes));
  }
}

/**
 * `open` brings sessions with these numbers, from `first` up to before `end`, into being. `ends`:
 * how many ends of each are in the heap that is weighed.
 */
function weighSessions(
  kind: string,
  ends: number,
  rounds: number,
  sessions: number,
  make: () => { open: (first: number, end: number) => void; opened: () => number },
): SessionScale {
  const bytes: number[] = [];
  let opened = 0;
  for (let round = 0; round < rounds; round += 1) {
    const { open, opened: count } = make();
    open(1, 501);
    const before = weigh(),
      already = count();
    open(501, 501 + sessions);
    const grown = weigh() - before;
    opened = count() - already;
    bytes.push(grown / opened / ends);
  }
  return { kind, opened, bytes };
}

const MANY: Partial<NodeConfig> = {
  limits: { ...defaultLimits, socketsPerClient: 100_000, streams: 100_000 },
};

function measureSessions(rounds: number): SessionScale[] {
  const datagrams = (bound: boolean) => () => {
    const program = new Program(new Host(new Laboratory(), FIRST_ID, [], MANY));
    return {
      open: (first: number, end: number): void => {
        for (let socket = first; socket < end; socket += 1) {
          program.request('socket', {
            socket,
            kind: 'datagram',
            link: 'reliable',
            routing: 'link-state',
          });
          if (bound) program.request('bind', { socket, port: 0 });
        }
      },
      opened: () => program.sockets,
    };
  };
  const streams = (dataBytes: number) => () => {
    const laboratory = new Laboratory();
    const far = new Host(laboratory, FIRST_ID + 1, [], MANY);
    const near = new Host(laboratory, FIRST_ID, [far], MANY);
    laboratory.run(SECOND);
    const [server, client] = [new Program(far), new Program(near)];
    server.request('socket', { socket: 1, kind: 'stream' });
    server.request('listen', { socket: 1, port: 7 });
    return {
      open: (first: number, end: number): void => {
        for (let socket = first; socket < end; socket += 1) {
          client.request('socket', { socket, kind: 'stream' });
          client.request('connect', { socket, node: '10.0.0.2', port: 7 });
          // No more are half open at once than one source may have.
          if (socket % 50 !== 0) continue;
          laboratory.run(50 * MILLISECOND);
          if (dataBytes > 0)
            for (let one = socket - 49; one <= socket; one += 1) client.write(one, dataBytes);
          laboratory.run(200 * MILLISECOND);
        }
        laboratory.run(5 * SECOND);
        assert.equal(near.node.streams.size, far.node.streams.size);
      },
      opened: () => near.node.streams.size,
    };
  };
  return [
    weighSessions('datagram sockets, open', 1, rounds, SESSIONS, datagrams(false)),
    weighSessions('datagram sockets, bound', 1, rounds, SESSIONS, datagrams(true)),
    weighSessions('streams, established', 2, rounds, SESSIONS, streams(0)),
    weighSessions(
      `streams, idle after ${USED_BYTES / 1_024} KiB`,
      2,
      rounds,
      SESSIONS / 5,
      streams(USED_BYTES),
    ),
  ];
}

/* ------------------------------------------------------------------ idle links */

/** In a process of its own: daemons that dial the one that is measured. */
async function startPeers(
  dir: string,
  first: number,
  count: number,
  hubPort: number,
  hubKey: string,
): Promise<void> {
  for (let i = first; i < first + count; i += 1) {
    await startDaemon({
      config: makeConfig({
        id: FIRST_ID + i,
        dials: [
          {
            address: '127.0.0.1',
            port: hubPort,
            node: null,
            key: Uint8Array.from(Buffer.from(hubKey, 'hex')),
          },
        ],
      }),
      listen: [{ address: '127.0.0.1', port: 0 }],
      client: { socketPath: null, tcp: null },
      membership: readMembership(folderOf(dir, i)),
      revocationsPath: null,
      reload: null,
      emulation: [],
      emulationSeed: 1,
      log: pino({ level: 'silent' }),
    });
  }
}

/** CPU of all threads of a process, milliseconds. */
export function processCpuMs(pid: number): number {
  let ns = 0;
  for (const task of readdirSync(`/proc/${pid}/task`))
    ns += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'latin1').split(' ')[0]);
  return ns / 1e6;
}

/** A field of /proc/PID/status in megabytes, e.g. VmRSS. */
export function processMb(pid: number, field: string): number {
  const line = readFileSync(`/proc/${pid}/status`, 'latin1')
    .split('\n')
    .find((one) => one.startsWith(`${field}:`));
  return Number(line?.split(/\s+/)[1]) / 1_024;
}

/** The program that ships. */
const PROGRAM = fileURLToPath(new URL('../cli/main.js', import.meta.url));

async function measureIdle(rounds: number, spanMs: number): Promise<IdleScale> {
  const dir = mkdtempSync(join(tmpdir(), 'spines-scale-'));
  const children: ChildProcess[] = [];
  try {
    const keys = makeTemporaryNetwork(
      'scale',
      Array.from({ length: LINKS + 1 }, (_, i) => ({
        name: `scale-${i}`,
        id: FIRST_ID + i,
        folder: folderOf(dir, i),
      })),
    );
    const port = await freePort();
    const socket = join(dir, 'hub.sock');
    const flags = [
      '--identity',
      folderOf(dir, 0),
      '--listen',
      `127.0.0.1:${port}`,
      '--socket',
      socket,
      '--log-level',
      'error',
    ];
    const hub = spawn(process.execPath, [PROGRAM, 'daemon', ...flags], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    children.push(hub);
    const peers = part('peers');
    children.push(peers);
    peers.send({ kind: 'peers', dir, first: 1, count: LINKS, port, key: keys[0] });
    let client: SpinesClient | null = null;
    for (let tries = 0; client === null; tries += 1) {
      client = await SpinesClient.connect({ path: socket }).catch(() => null);
      assert(tries < 200);
      await pause(50);
    }
    const status = async (): Promise<StatusReply> => await client.request('status');
    for (let tries = 0; (await status()).links.up < LINKS; tries += 1) {
      assert(tries < 200, 'all links come up');
      await pause(100);
    }
    const bare = async (role: AnswererOrder['role'], barePort: number): Promise<ChildProcess> => {
      const child = fork(beside('bare-answerer.js'));
      children.push(child);
      child.send({ role, port: barePort, askers: LINKS } satisfies AnswererOrder);
      await new Promise((resolve) => child.once('message', resolve));
      return child;
    };
    const barePort = await freePort();
    const answerer = await bare('answers', barePort);
    await bare('asks', barePort);
    await pause(5_000);
    const cpuPercent: number[] = [],
      barePercent: number[] = [];
    const links = async (): Promise<number> =>
      (await client.request('links')).links.reduce(
        (sum, { sent, received }) => sum + sent.datagrams + received.datagrams,
        0,
      );
    const { advertisements } = (await status()).routing;
    const datagrams = await links(),
      began = performance.now();
    for (let round = 0; round < rounds; round += 1) {
      const pids = [hub.pid!, answerer.pid!];
      const before = pids.map(processCpuMs),
        at = performance.now();
      await pause(spanMs);
      const took = performance.now() - at;
      const [ours, its] = pids.map((pid, i) => ((processCpuMs(pid) - before[i]!) / took) * 100);
      cpuPercent.push(ours!);
      barePercent.push(its!);
    }
    const seconds = (performance.now() - began) / 1_000;
    const datagramsPerSecond = ((await links()) - datagrams) / seconds;
    const {
      links: { up },
      routing,
    } = await status();
    const advertisementsPerSecond = (routing.advertisements - advertisements) / seconds;
    const figures: IdleScale = {
      links: up,
      cpuPercent,
      barePercent,
      rssMb: processMb(hub.pid!, 'VmRSS'),
      anonymousMb: processMb(hub.pid!, 'RssAnon'),
      datagramsPerSecond,
      advertisementsPerSecond,
    };
    await client.close();
    return figures;
  } finally {
    for (const child of children) child.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  }
}

/* ------------------------------------------------------------------ the whole */

type Order =
  | { readonly kind: Part; readonly rounds: number; readonly spanMs: number }
  | {
      readonly kind: 'peers';
      readonly dir: string;
      readonly first: number;
      readonly count: number;
      readonly port: number;
      readonly key: string;
    };

/** This file in a process of its own. */
function part(name: string): ChildProcess {
  return fork(fileURLToPath(import.meta.url), ['part', name], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    execArgv: ['--expose-gc'],
  });
}

function ask<T>(kind: Part, rounds: number, spanMs: number): Promise<T> {
  const child = part(kind);
  return new Promise<T>((resolve, reject) => {
    child.once('exit', () => reject(new Error('a bench process ended early')));
    child.once('message', (answer) => {
      resolve(answer as T);
      child.kill('SIGKILL');
    });
    child.send({ kind, rounds, spanMs } satisfies Order);
  });
}

function serve(): void {
  process.on('message', (order: Order) => {
    void (async (): Promise<void> => {
      if (order.kind === 'peers')
        await startPeers(order.dir, order.first, order.count, order.port, order.key);
      else
        process.send!(
          order.kind === 'routing'
            ? measureRouting(order.rounds)
            : order.kind === 'sessions'
              ? measureSessions(order.rounds)
              : await measureIdle(order.rounds, order.spanMs),
        );
    })();
  });
  process.on('disconnect', () => process.exit(0));
}

function printRouting(figures: RoutingScale): void {
  const row = (name: string, values: readonly number[], limit: string, digits = 2): string[] => [
    name,
    median(values).toFixed(digits),
    spread(values, digits),
    limit,
  ];
  console.log(
    `\nA network of ${NODES} nodes with about ${DEGREE} links each, seen by one daemon (sealed, ` +
      `${figures.primitives}); CPU ms:`,
  );
  printTable(
    [
      ['', 'median', 'spread', 'wanted'],
      row('routes computed anew after one link changed', figures.recompute, 'below 20'),
      row(
        'the whole of that: two signed advertisements taken, passed on, routes',
        figures.change,
        'below 20',
      ),
      row('own only link goes down: advertised, routes', figures.ownDown, 'below 20'),
      row('own link comes up: handshake, digests of both, advertised, routes', figures.ownUp, ''),
      row(
        `flood: a fresh daemon takes ${NODES - 2} signed advertisements from its neighbour`,
        figures.flood,
        'below 1000',
        0,
      ),
      row(
        `  virtual time that takes over a wire of ${WIRE / MILLISECOND} ms`,
        figures.floodVirtual,
        '',
        0,
      ),
      row('  computations of routes meanwhile', figures.floodRecomputations, '', 0),
      row(
        '  advertisements put off by the budget for verification',
        figures.floodOverBudget,
        '',
        0,
      ),
    ],
    1,
  );
}

function printSessions(figures: readonly SessionScale[]): void {
  console.log('\nHeap and buffers of one daemon for each idle session:');
  printTable(
    [
      ['', 'sessions', 'bytes each', 'spread', 'wanted'],
      ...figures.map(({ kind, opened, bytes }) => [
        kind,
        whole(opened),
        whole(median(bytes)),
        spread(bytes, 0),
        'below 4096',
      ]),
    ],
    1,
  );
}

function printIdle({
  links,
  cpuPercent,
  barePercent,
  rssMb,
  anonymousMb,
  datagramsPerSecond,
  advertisementsPerSecond,
}: IdleScale): void {
  console.log(
    `\nA daemon as it ships, sealed, with ${links} links up and nothing to do ` +
      `(${datagramsPerSecond.toFixed(0)} datagrams/s in and out;`,
  );
  console.log(
    `${advertisementsPerSecond.toFixed(1)} advertisements/s passed on). "Bare": a process that ` +
      'answers as many datagrams, in the same seconds, and does nothing else:',
  );
  printTable(
    [
      ['', 'median', 'spread', 'wanted'],
      ['% of a core', median(cpuPercent).toFixed(2), spread(cpuPercent), 'below 1'],
      ['  bare', median(barePercent).toFixed(2), spread(barePercent), ''],
      [
        '  times bare',
        median(ratios(cpuPercent, barePercent)).toFixed(2),
        spread(ratios(cpuPercent, barePercent)),
        '',
      ],
      [
        'resident memory, MB',
        rssMb.toFixed(1),
        `${anonymousMb.toFixed(1)} of it not of files`,
        'below 90',
      ],
    ],
    1,
  );
}

/** Measures and prints all that this file is about; `only`: one part of it. */
export async function printScale(
  rounds: number,
  spanMs: number,
  only: string | undefined = undefined,
): Promise<void> {
  if (only === undefined || only === 'routing')
    printRouting(await ask<RoutingScale>('routing', rounds, spanMs));
  if (only === undefined || only === 'sessions')
    printSessions(await ask<SessionScale[]>('sessions', rounds, spanMs));
  if (only === undefined || only === 'idle')
    printIdle(await ask<IdleScale>('idle', rounds, spanMs));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv[2] === 'part') serve();
  else {
    console.log(
      `Node ${process.versions.node}, ${cpus().length} cores, load ${loadavg()
        .map((load) => load.toFixed(1))
        .join(' ')}`,
    );
    await printScale(Number(process.env['SCALE_ROUNDS'] ?? 5), 5_000, process.env['SCALE_ONLY']);
    process.exit(0);
  }
}

/**
 * An operator's bad half hour: six real daemons in a ring with a chord carry streams and datagrams
 * while a seeded chooser does to them what happens in the field, and nothing ends by itself, is cut
 * without a word, or is lost that was promised.
 *
 * SPINES_LONG=1 only: SPINES_FIELD_MINUTES (30) for SPINES_FIELD_SEED (1). Needs root and ip(8);
 * clocks need libfaketime. What happened when is in the folder's `story`, which is kept when
 * something is wrong.
 */

import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
} from 'node:fs';
import { connect as connectLocal, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SpinesClient } from 'spines-client';

import { Rng } from '../../src/core/base/rng.ts';
import { loadOffload } from '../../src/host/net/offload.ts';
import {
  CABLES,
  endChild,
  FAKETIME,
  FieldNetwork,
  LOG_BYTES,
  LOG_KEEP,
  NODES,
} from '../support/field-network.ts';
import { DatagramFlow, StreamFlow, type Party } from '../support/field-traffic.ts';
import { whyNoNamespaces } from '../support/namespaces.ts';
import { spines } from '../support/processes.ts';

const LONG = process.env['SPINES_LONG'] === '1';
const MINUTES = Number(process.env['SPINES_FIELD_MINUTES'] ?? 30),
  SEED = Number(process.env['SPINES_FIELD_SEED'] ?? 1);
/** One misfortune, by name, for who looks for its cause. */
const ONLY = process.env['SPINES_FIELD_ONLY'];
const why = !LONG
  ? 'long runs only'
  : (whyNoNamespaces() ?? (loadOffload() === null ? 'sockets are not of our making' : null));
const ROUTES_MS = 5_000,
  CONTENT_MS = 90_000;
/** Of memory and files, what a daemon may have at the end. */
const MEMORY_KIB = 320_000,
  FILES = 120;
/**
 * Around a misfortune of a node, when what it held may be gone: a datagram waits for a route for 3
 * s, a neighbour is given up within one.
 */
const BEFORE_MS = 4_000,
  AFTER_MS = 5_000;
/**
 * With Byzantine routing a source holds what it sent until it is answered: so long before its
 * daemon ends, and before it is told as lost.
 */
const HELD_MS = 35_000,
  TOLD_MS = 60_000;
/** What may end a stream: its silence limit, and some. */
const SILENCE_MS = 45_000;

type Kind =
  | 'kill'
  | 'term'
  | 'stop'
  | 'cable'
  | 'flap'
  | 'mtu'
  | 'oneWay'
  | 'readdress'
  | 'clock'
  | 'disk'
  | 'reloads'
  | 'renew'
  | 'clients'
  | 'twin';
interface Misfortune {
  readonly kind: Kind;
  readonly nodes: readonly number[];
  readonly began: number;
  ended: number | null;
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe.skipIf(why !== null)(`${MINUTES} minutes of misfortunes, seed ${SEED}`, () => {
  const folder = LONG ? mkdtempSync(join(tmpdir(), 'spines-field-')) : '';
  const rng = new Rng(SEED).fork('field');
  const faults: string[] = [],
    story: Misfortune[] = [],
    figures: string[] = [];
  const net = new FieldNetwork(folder);
  const parties: Party[] = [],
    streams: StreamFlow[] = [],
    datagrams: DatagramFlow[] = [];
  const busyNodes = new Set<number>(),
    busyCables = new Set<number>(),
    under = new Set<Promise<void>>();
  const began = performance.now();
  const say = (what: string): void =>
    appendFileSync(
      join(folder, 'story'),
      `${((performance.now() - began) / 1_000).toFixed(1)} ${what}\n`,
    );
  const fault = (what: string): void => {
    faults.push(what);
    say(`FAULT ${what}`);
  };

  beforeAll(async () => {
    await net.open(fault);
    for (const node of net.nodes) {
      let client: SpinesClient | null = null;
      for (let tries = 0; client === null; tries += 1) {
        client = await SpinesClient.connect({ path: node.socket, name: 'field' }).catch(
          (error: unknown) => {
            if (tries > 600) throw error;
            return null;
          },
        );
        if (client === null) await sleep(100);
      }
      client.on('error', (error: Error) => fault(`the client of ${node.name}: ${error.message}`));
      parties.push({ name: node.name, index: node.index, client });
    }
    const left = await routesBack(60_000);
    expect(left).toEqual([]);
  }, 180_000);

  afterAll(async () => {
    await Promise.all(parties.map(({ client }) => client.close().catch(() => {})));
    await net.close();
    console.log(figures.join('\n'));
    if (faults.length === 0) rmSync(folder, { recursive: true, force: true });
    else console.log(`kept: ${folder}`);
  }, 60_000);

  /** What is not as it was after `mostMs`: routes and links. */
  async function routesBack(mostMs: number): Promise<string[]> {
    const from = performance.now();
    for (;;) {
      const missing = (
        await Promise.all(
          parties.map(async ({ name, client }) => {
            try {
              const { routes } = await client.request('routes'),
                { links } = await client.request('links');
              return [
                ...routes
                  .filter((route) => !route.reachable)
                  .map((route) => `${name} has no route to ${route.name ?? route.node}`),
                ...(routes.length < NODES - 1 ? [`${name} knows ${routes.length} nodes`] : []),
                ...links
                  .filter((link) => link.state !== 'up' && link.state !== 'standby')
                  .map(
                    (link) =>
                      `${name}: link to ${link.name ?? link.address} is ${link.state}: ` +
                      `${link.why?.text ?? ''}`,
                  ),
              ];
            } catch (error) {
              return [`${name}: ${(error as Error).message}`];
            }
          }),
        )
      ).flat();
      if (missing.length === 0 || performance.now() - from > mostMs) {
        say(
          missing.length === 0
            ? `all routes and links after ${Math.round(performance.now() - from)} ms`
            : missing.join('; '),
        );
        return missing;
      }
      await sleep(100);
    }
  }

  /** What daemons drop goes into the story, second by second. */
  const dropped: Map<string, number>[] = [];
  async function noteDrops(): Promise<void> {
    await Promise.all(
      parties.map(async ({ name, client }, i) => {
        const { drops } = await client.request('status').catch(() => ({ drops: {} })),
          before = (dropped[i] ??= new Map());
        const news = Object.entries(drops).flatMap(([reason, count]) => {
          const grown = count - (before.get(reason) ?? 0);
          before.set(reason, count);
          return grown > 0 ? [`${reason} ${grown}`] : grown < 0 ? [`${reason} ${count} anew`] : [];
        });
        if (news.length > 0) say(`drops of ${name}: ${news.join(', ')}`);
      }),
    );
  }

  const between = (least: number, most: number): number => least + rng.unit() * (most - least);
  const pick = <T>(of: readonly T[]): T => of[rng.below(of.length)]!;

  async function restart(node: number, downMs: number): Promise<void> {
    await sleep(downMs);
    net.nodes[node]!.start();
    const from = performance.now();
    while (!parties[node]!.client.connected && performance.now() - from < 120_000) await sleep(50);
    if (!parties[node]!.client.connected)
      fault(`the program of node-${node + 1} has no daemon two minutes after its start`);
  }

  const ofNodes: Record<string, (node: number) => Promise<void>> = {
    kill: async (node) => {
      await net.nodes[node]!.end('SIGKILL');
      await restart(node, between(0, 3_000));
    },
    term: async (node) => {
      await net.nodes[node]!.end('SIGTERM');
      await restart(node, between(0, 3_000));
    },
    stop: async (node) => {
      net.nodes[node]!.signal('SIGSTOP');
      await sleep(between(1_000, 20_000));
      net.nodes[node]!.signal('SIGCONT');
    },
    readdress: async (node) => {
      net.readdress(node, `192.0.2.${101 + node}`);
      await sleep(between(5_000, 20_000));
      net.readdress(node, null);
    },
    clock: async (node) => {
      const forS = between(5, 20),
        clockS = pick([30, -30, 600, -600]);
      say(`clock of node-${node + 1}: ${clockS} s`);
      await net.nodes[node]!.end('SIGTERM');
      net.nodes[node]!.clockS = clockS;
      await restart(node, 100);
      await sleep(forS * 1_000);
      await net.nodes[node]!.end('SIGTERM');
      net.nodes[node]!.clockS = 0;
      await restart(node, 100);
    },
    disk: async (node) => {
      net.nodes[node]!.fillDisk();
      await sleep(between(3_000, 15_000));
      net.nodes[node]!.freeDisk();
    },
    reloads: async (node) => {
      const { client } = parties[node]!;
      for (let i = 0; i < 20; i += 1) {
        net.nodes[node]!.signal('SIGHUP');
        await Promise.all(
          Array.from({ length: 10 }, () =>
            client
              .request('reload')
              .catch((error: unknown) =>
                fault(`reload of node-${node + 1}: ${(error as Error).message}`),
              ),
          ),
        );
      }
    },
    renew: async (node) => {
      await net.renew(node);
      await parties[node]!.client.request('reload').catch((error: unknown) =>
        fault(`reload with a new certificate: ${(error as Error).message}`),
      );
    },
    clients: async (node) => {
      const path = net.nodes[node]!.socket;
      const raw: Socket[] = Array.from({ length: 450 }, (_, i) => {
        const socket = connectLocal(path)
          .on('error', () => {})
          .resume();
        if (i % 3 === 0) socket.write('GET / HTTP/1.0\r\n\r\n');
        return socket;
      });
      const greeted = await Promise.all(
        Array.from({ length: 50 }, () =>
          SpinesClient.connect({ path, reconnect: false, timeoutMs: 3_000 }).catch(() => null),
        ),
      );
      await sleep(500);
      for (const client of greeted) void client?.close();
      for (const socket of raw) socket.destroy();
    },
    twin: async (node) => {
      const { child, dir } = net.twin(node);
      await sleep(between(4_000, 15_000));
      if (child.exitCode !== null)
        fault(
          `the twin of node-${node + 1} ended by itself: ${child.exitCode} ` +
            `${readFileSync(join(dir, 'stderr'), 'utf8').slice(-500)}`,
        );
      await endChild(child, pick(['SIGKILL', 'SIGTERM'] as const));
    },
  };

  const ofCables: Record<string, (cable: number) => Promise<void>> = {
    cable: async (cable) => {
      net.setUp(cable, false);
      await sleep(between(500, 15_000));
      net.setUp(cable, true);
    },
    flap: async (cable) => {
      const half = between(50, 2_000);
      for (let i = 0; i < 2 + 8_000 / half; i += 1) {
        net.setUp(cable, i % 2 === 1);
        await sleep(half);
      }
      net.setUp(cable, true);
    },
    mtu: async (cable) => {
      net.setMtu(cable, pick([1_280, 1_000]), pick(['one', 'both'] as const));
      await sleep(between(3_000, 20_000));
      net.setMtu(cable, 1_500, 'both');
    },
    oneWay: async (cable) => {
      const end = pick([0, 1] as const);
      net.setBlocked(cable, end, true);
      await sleep(between(1_000, 20_000));
      net.setBlocked(cable, end, false);
    },
  };
  if (!existsSync(FAKETIME)) delete ofNodes['clock'];

  /**
   * Begins one that does not meet another on the same node or cable; false: there was none to be
   * had.
   */
  function strike(): boolean {
    const kind = (ONLY ?? pick([...Object.keys(ofNodes), ...Object.keys(ofCables)])) as Kind;
    const onNode = ofNodes[kind],
      onCable = ofCables[kind];
    const free =
      onNode !== undefined
        ? Array.from({ length: NODES }, (_, i) => i).filter(
            (i) =>
              !busyNodes.has(i) &&
              !CABLES.some(([a, b], c) => (a === i || b === i) && busyCables.has(c)),
          )
        : CABLES.map((_, i) => i).filter(
            (i) => !busyCables.has(i) && !CABLES[i]!.some((node) => busyNodes.has(node)),
          );
    if (free.length === 0) return false;
    const at = pick(free),
      busy = onNode === undefined ? busyCables : busyNodes;
    const one: Misfortune = {
      kind,
      nodes: onNode === undefined ? CABLES[at]! : [at],
      began: performance.now(),
      ended: null,
    };
    story.push(one);
    busy.add(at);
    say(`${kind} of ${one.nodes.map((node) => `node-${node + 1}`).join(' and ')}`);
    const done = (onNode ?? onCable!)(at)
      .catch((error: unknown) => fault(`${kind}: ${(error as Error).message}`))
      .then(() => {
        one.ended = performance.now();
        busy.delete(at);
        under.delete(done);
        say(`${kind} of ${one.nodes.map((node) => `node-${node + 1}`).join(' and ')} is over`);
      });
    under.add(done);
    return true;
  }

  /**
   * Whether what was sent at `at` between two nodes may be gone: a daemon may have held it that
   * ended, or was two, or heard nobody at one end.
   */
  function mayBeLost(at: number, ends: readonly [number, number], byzantine: boolean): boolean {
    return story.some(({ kind, nodes, began: from, ended }) => {
      const until = ended ?? Infinity,
        held = byzantine && nodes[0] === ends[0] ? HELD_MS : BEFORE_MS;
      if (at < from - held || at > until + AFTER_MS) return false;
      if (kind === 'kill' || kind === 'term' || kind === 'clock')
        return at < from + AFTER_MS || ends.includes(nodes[0]!) || kind === 'clock';
      if (kind === 'twin') return true;
      return kind === 'stop' && ends.includes(nodes[0]!);
    });
  }

  function mayEnd(at: number, ends: readonly number[]): boolean {
    return story.some(
      ({ kind, nodes, began: from, ended }) =>
        ['kill', 'term', 'stop', 'clock', 'twin'].includes(kind) &&
        ends.includes(nodes[0]!) &&
        at >= from &&
        at <= (ended ?? Infinity) + SILENCE_MS,
    );
  }

  test(
    'nothing stops without a word',
    async () => {
      streams.push(
        ...[
          [0, 3],
          [1, 4],
          [5, 2],
        ].map(([from, to], i) => new StreamFlow(parties[from!]!, parties[to!]!, 7_000 + i)),
      );
      datagrams.push(
        ...[
          [0, 2],
          [4, 1],
          [3, 5],
        ].map(
          ([from, to], i) =>
            new DatagramFlow(parties[from!]!, parties[to!]!, 7_100 + i, { link: 'reliable' }),
        ),
        ...[
          [2, 5],
          [1, 3],
        ].map(
          ([from, to], i) =>
            new DatagramFlow(parties[from!]!, parties[to!]!, 7_200 + i, { link: 'best-effort' }),
        ),
        ...[
          [5, 1],
          [2, 4],
        ].map(
          ([from, to], i) =>
            new DatagramFlow(parties[from!]!, parties[to!]!, 7_300 + i, {
              link: 'reliable',
              routing: 'byzantine',
            }),
        ),
      );
      const notes = setInterval(() => void noteDrops(), 1_000);
      const uses: { at: number; use: { kib: number; files: number }[] }[] = [];
      const until = performance.now() + MINUTES * 60_000;
      while (performance.now() < until) {
        await sleep(between(5_000, 15_000));
        strike();
        try {
          uses.push({ at: performance.now(), use: net.nodes.map((node) => node.use()) });
        } catch {
          // One of them is away.
        }
      }
      await Promise.all(under);
      const over = performance.now();
      say('the last misfortune is over');
      for (const missing of await routesBack(ROUTES_MS))
        fault(`${ROUTES_MS} ms after the last misfortune: ${missing}`);
      await routesBack(60_000);
      await sleep(Math.max(0, over + 10_000 - performance.now()));
      const quiet = performance.now();
      await sleep(10_000);
      for (const flow of datagrams) {
        const { sent, arrived } = flow.share(quiet, quiet + 9_000);
        if (arrived === sent && sent >= 100) continue;
        fault(`${flow.what}: ${arrived} of ${sent} arrived after all was over: ${flow.standing}`);
        for (const { name, client } of [flow.from, flow.to])
          say(`sessions of ${name}: ${JSON.stringify(await client.request('sessions'))}`);
      }
      for (const flow of [...streams, ...datagrams]) flow.stop();
      clearInterval(notes);
      for (
        let waited = 0;
        waited < 60 &&
        streams.some((flow) =>
          flow.stories.some(
            ({ senderDone, accepted, receiverDone }) =>
              senderDone === null || (accepted && receiverDone === null),
          ),
        );
        waited += 1
      )
        await sleep(1_000);
      judgeStreams();
      judgeDatagrams();
      await judgeDoctors(over);
      await judgeDaemons(uses);
      const counts = new Map<Kind, number>();
      for (const { kind } of story) counts.set(kind, (counts.get(kind) ?? 0) + 1);
      const listed = [...counts].map(([kind, count]) => `${kind} ${count}`).join(', ');
      figures.push(`misfortunes: ${listed}`);
      expect(faults).toEqual([]);
    },
    (MINUTES + 8) * 60_000,
  );

  function judgeStreams(): void {
    for (const flow of streams) {
      faults.push(...flow.faults);
      const ends = [flow.from.index, flow.to.index],
        name = `stream ${flow.from.name} to ${flow.to.name}`;
      let whole = 0,
        failed = 0;
      for (const {
        id,
        sent,
        ended,
        senderDone,
        senderError,
        accepted,
        received,
        receivedEnd,
        receiverError,
        receiverDone,
      } of flow.stories) {
        const text =
          `${name} ${id}: sent ${sent}${ended ? ' and ended' : ''}, ` +
          `${senderError ?? 'no error'}; received ` +
          `${received}${receivedEnd ? ' and the end' : ''}, ${receiverError ?? 'no error'}`;
        if (receivedEnd && (!ended || received !== sent)) fault(`cut in silence: ${text}`);
        if (senderDone === null || (accepted && receiverDone === null)) fault(`it hangs: ${text}`);
        else if (senderError === null && !(ended && receivedEnd))
          fault(`the sender was not told: ${text}`);
        else if (accepted && !receivedEnd && receiverError === null)
          fault(`the receiver was not told: ${text}`);
        else if (senderError !== null && !mayEnd(senderDone, ends))
          fault(
            `ended by nothing that happened at its ends: ${text}, at ` +
              `${((senderDone - began) / 1_000).toFixed(1)}`,
          );
        if (receivedEnd) whole += 1;
        else failed += 1;
      }
      figures.push(`${name}: ${whole} whole, ${failed} with an error`);
    }
  }

  function judgeDatagrams(): void {
    for (const flow of datagrams) {
      faults.push(...flow.faults.slice(0, 5));
      const ends = [flow.from.index, flow.to.index] as const,
        byzantine = flow.what.startsWith('byzantine'),
        sent = flow.stories.filter((one) => one !== null),
        lost = sent.filter(({ arrived }) => arrived === null);
      const unexcused = lost.filter(({ at }) => !mayBeLost(at, ends, byzantine)),
        told = [...flow.told];
      const silent = unexcused.filter(({ at }) => {
        const match = told.findIndex((time) => time >= at && time < at + TOLD_MS);
        if (match >= 0) told.splice(match, 1);
        return match < 0;
      });
      const late = sent
        .map(({ at, arrived }) => (arrived === null ? 0 : arrived - at))
        .sort((a, b) => a - b);
      for (const [text, count] of flow.words) say(`${flow.what}: told ${count}: ${text}`);
      figures.push(
        `${flow.what}: ${sent.length} sent, ${lost.length} lost, ${flow.told.length} told, ` +
          `${unexcused.length} without a node's misfortune, ${silent.length} of these in ` +
          'silence; ' +
          `p50 ${late[Math.floor(late.length / 2)]?.toFixed(1)} ms, p99 ` +
          `${late[Math.floor(late.length * 0.99)]?.toFixed(0)} ms, worst ` +
          `${late.at(-1)?.toFixed(0)} ms`,
      );
      if (!flow.what.startsWith('link-state best-effort') && silent.length > 0) {
        for (const { at } of silent)
          say(`${flow.what}: in silence, sent at ${((at - began) / 1_000).toFixed(3)}`);
        fault(
          `${flow.what}: ${silent.length} lost in silence, sent at ${silent
            .slice(0, 20)
            .map(({ at }) => ((at - began) / 1_000).toFixed(1))
            .join(' ')}`,
        );
      }
    }
  }

  /**
   * What `spines doctor` says of daemons, but for what lasts an hour (flaps) or is the machine's.
   */
  async function judgeDoctors(over: number): Promise<void> {
    const machine = new Set([
      'Node.js',
      'cryptography',
      'UDP offload',
      'datagram sizes',
      'receive buffer',
      'processor',
    ]);
    for (const node of net.nodes) {
      for (;;) {
        const { stdout } = await spines(['doctor', '--json', '--socket', node.socket]);
        const { findings } = JSON.parse(stdout.toString()) as {
          findings: { what: string; found: string; advice: string | null }[];
        };
        const left = findings.filter(
          ({ what, advice }) =>
            advice !== null && !machine.has(what) && !advice.startsWith('it flaps'),
        );
        if (left.length === 0) break;
        if (performance.now() - over > CONTENT_MS) {
          fault(
            `doctor of ${node.name} after ${Math.round((performance.now() - over) / 1_000)} s: ` +
              `${left.map(({ what, found, advice }) => `${what}: ${found}: ${advice}`).join('; ')}`,
          );
          break;
        }
        await sleep(1_000);
      }
    }
    figures.push(
      `doctors content ${Math.round((performance.now() - over) / 1_000)} s after the last ` +
        'misfortune',
    );
  }

  async function judgeDaemons(
    uses: readonly { use: readonly { kib: number; files: number }[] }[],
  ): Promise<void> {
    for (const node of net.nodes) {
      const { kib, files } = node.use(),
        all = uses.map(({ use }) => use[node.index]!);
      figures.push(
        `${node.name}: ${Math.round(kib / 1_024)} MiB (most ` +
          `${Math.round(Math.max(...all.map((one) => one.kib)) / 1_024)}), ${files} files (most ` +
          `${Math.max(...all.map((one) => one.files))}), ${Math.round(node.logBytes() / 1_024)} ` +
          'KiB of log',
      );
      if (kib > MEMORY_KIB) fault(`${node.name} has ${kib} KiB`);
      if (files > FILES) fault(`${node.name} has ${files} open files`);
      if (node.logBytes() > LOG_BYTES * (LOG_KEEP + 1) + 65_536)
        fault(`${node.name} has ${node.logBytes()} bytes of log`);
      const text =
        node.said() +
        readdirSync(node.logs)
          .filter((name) => name.startsWith('spines.log'))
          .map((name) => readFileSync(join(node.logs, name), 'utf8'))
          .join('');
      const bad = /.*(?:\n\s+at .+:\d+:\d+|\\n\s+at .+:\d+:\d+|"level":60|FATAL|assert).*/.exec(
        text,
      );
      if (bad !== null) fault(`${node.name} said ${bad[0].slice(0, 1_000)}`);
    }
  }
});

/**
 * More than the daemons can carry: a chain of three, sealed, between programs that send without end
 * and heed no back-pressure. Links stay up, operators get answers, and everybody's traffic goes on.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import type { SpinesClient, StatusReply } from 'spines-client';
import { RealNetwork } from '../support/processes.ts';

/** Offered to a daemon in one write. */
const MESSAGES = 60;
const SECONDS = 4;
/** What was dropped says that it was too much. */
const DROPPED_MIN = 5_000;
/**
 * Beside other work the programs get as little of the processors as the daemons, and it takes
 * longer until it is too much.
 */
const PATIENCE_MS = 240_000;

/**
 * A program as rude as the protocol lets it be: it offers datagrams of 1000 bytes as fast as the
 * daemon reads them, whatever the daemon answers, and reads what comes. Says once a second how many
 * it offered and how many bytes it got.
 */
const RUDE = `
  import { connect } from 'node:net';
  import {
    encodeControl, encodeDatagramHead, DATAGRAM_HEAD_BYTES, FRAME_HEAD_BYTES, FRAME_HELLO,
    FRAME_REQUEST, FRAME_SEND, PROTOCOL_VERSION,
  } from 'spines-client/protocol';
  const [path, link, destination] = process.argv.slice(1);
  const socket = connect(path);
  const bytes = 1000, frame = FRAME_HEAD_BYTES + DATAGRAM_HEAD_BYTES + bytes;
  const block = new Uint8Array(${MESSAGES} * frame);
  for (let at = 0; at < block.length; at += frame)
    encodeDatagramHead(block, at, FRAME_SEND, 1, Number(destination), 9, bytes);
  let offered = 0, got = 0;
  socket.on('data', (chunk) => { got += chunk.length; });
  socket.write(encodeControl(FRAME_HELLO, { version: PROTOCOL_VERSION, client: 'rude' }));
  socket.write(encodeControl(FRAME_REQUEST, {
    id: 1, op: 'socket', socket: 1, kind: 'datagram', link, routing: 'link-state',
  }));
  socket.write(encodeControl(FRAME_REQUEST, { id: 2, op: 'bind', socket: 1, port: 9 }));
  const pour = () => {
    while (socket.write(block)) offered += ${MESSAGES};
    offered += ${MESSAGES};
  };
  socket.on('drain', pour);
  setInterval(() => console.log(offered + ' ' + got), 1000);
  pour();
`;

class RudeProgram {
  offered = 0;
  gotBytes = 0;
  readonly #child: ChildProcess;

  constructor(path: string, link: string, destination: number) {
    this.#child = spawn(
      process.execPath,
      ['--input-type=module', '-e', RUDE, path, link, String(destination)],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
        cwd: fileURLToPath(new URL('../..', import.meta.url)),
      },
    );
    createInterface(this.#child.stdout!).on('line', (line) => {
      [this.offered, this.gotBytes] = line.split(' ').map(Number) as [number, number];
    });
  }

  end(): void {
    this.#child.kill('SIGKILL');
  }
}

let network = new RealNetwork();
let programs: RudeProgram[] = [];
afterEach(async () => {
  for (const program of programs.splice(0)) program.end();
  await network.close();
  network = new RealNetwork();
});

const statusOf = async (client: SpinesClient): Promise<StatusReply> =>
  await client.request('status');
const droppedBy = ({ drops }: StatusReply): number =>
  Object.values(drops).reduce((all, count) => all + count, 0);
const channels = async (client: SpinesClient): Promise<string[]> =>
  (await client.request('links')).links.map(({ node, state }) => `${node} ${state}`);

/** How often the daemon's log says that a link came up or went down. */
const transitions = (log: string): number => log.split(/"link (?:up|down)"/).length - 1;

interface Load {
  readonly daemons: number;
  readonly links: readonly (readonly [number, number])[];
  /** From, to, link service. */
  readonly flows: readonly (readonly [number, number, string])[];
  /** A daemon to kill meanwhile, whose only neighbour is the second daemon. */
  readonly kill?: number;
}

/** Overloads daemons and looks whether everything goes on. */
async function overload(
  { daemons, links: wanted, flows, kill }: Load,
  extra: readonly string[] = [],
): Promise<void> {
  await network.start(daemons, wanted, extra);
  await network.converged();
  const clients = await Promise.all(network.daemons.map((daemon) => daemon.connect()));
  const before = network.daemons.map(({ log }) => transitions(log));
  const links = await Promise.all(clients.map(channels));
  programs = flows.map(
    ([from, to, link]) => new RudeProgram(network.daemons[from]!.socket, link, 0x0a00_0001 + to),
  );

  const began = performance.now();
  const answers = clients.map(() => 0);
  let slowest = 0;
  let dropped = 0;
  // Until it was too much for as long as it should be: how soon depends on what else runs on this
  // machine.
  while (
    dropped <= DROPPED_MIN ||
    programs.some(({ offered }) => offered === 0) ||
    performance.now() - began < SECONDS * 1_000
  ) {
    dropped = 0;
    for (const [i, client] of clients.entries()) {
      const asked = performance.now();
      dropped += droppedBy(await statusOf(client));
      slowest = Math.max(slowest, performance.now() - asked);
      answers[i]! += 1;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }

  expect(
    network.daemons.map(({ log }) => transitions(log)),
    network.daemons.map(({ log }) => log).join('\n'),
  ).toEqual(before);
  expect(await Promise.all(clients.map(channels))).toEqual(links);
  const last = await Promise.all(clients.map(statusOf));
  const offered = programs.reduce((sum, program) => sum + program.offered, 0);
  const reached = last.map(({ packets }) => packets.delivered);
  dropped = last.reduce((sum, status) => sum + droppedBy(status), 0);
  console.log(
    `${flows.map((flow) => flow.join(' ')).join(', ')}: offered ${offered}, reached ` +
      `${reached.join(' ')}; slowest status ${slowest.toFixed(0)} ms; timers late p99/max ms ` +
      last
        .map(({ host }) => `${host!.timersLateMs.p99}/${host!.timersLateMs.max.toFixed(0)}`)
        .join(' ') +
      '; ' +
      `drops ${JSON.stringify(last.map(({ drops }) => drops))}`,
  );
  // It was too much, everybody's went on all the same, and the daemons say how busy they were.
  expect(dropped).toBeGreaterThan(DROPPED_MIN);
  for (const [, to] of flows) expect(reached[to]).toBeGreaterThan(0);
  for (const count of answers) expect(count).toBeGreaterThan(1);
  for (const { host } of last) expect(host!.timersLateMs.max).toBeGreaterThan(0);

  if (kill !== undefined) {
    // A death is noticed all the same, and nothing else is taken for one.
    await network.daemons[kill]!.end('SIGKILL');
    while ((await statusOf(clients[1]!)).links.up === links[1]!.length)
      await new Promise((resolve) => setTimeout(resolve, 20));
    expect(transitions(network.daemons[1]!.log)).toBe(before[1]! + 1);
  }
  await Promise.all(clients.map((client) => client.close()));
}

test.each([
  ['best-effort', 'best-effort'],
  ['reliable', 'reliable'],
  ['best-effort', 'reliable'],
])(
  '%s and %s traffic beyond what three daemons carry takes no link down',
  async (there, back) => {
    await overload({
      daemons: 3,
      links: [
        [0, 1],
        [1, 2],
      ],
      flows: [
        [0, 2, there],
        [2, 0, back],
      ],
    });
  },
  PATIENCE_MS,
);

const OFFLOADS = [
  ['with offload', []],
  ['without', ['--no-offload']],
] as const;

test.each(OFFLOADS)(
  'a link that carries nothing stays up beside two that flood its daemon, ' +
    'and its death is noticed, %s',
  async (_name, extra) => {
    await overload(
      {
        daemons: 4,
        links: [
          [0, 1],
          [1, 2],
          [1, 3],
        ],
        flows: [
          [0, 1, 'best-effort'],
          [2, 1, 'best-effort'],
        ],
        kill: 3,
      },
      extra,
    );
  },
  PATIENCE_MS,
);

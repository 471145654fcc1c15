/**
 * `spines talk NODE`: a conversation of 50 packets a second over each link service side by side,
 * and what two people would think of it; `spines talk --listen` answers.
 *
 * Owns the schedule, the table and its live form. What is said of a direction is play-out.ts's and
 * e-model.ts's, the packets are talk-flow.ts's. Exit code 1 when nobody answers.
 */

import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { InvalidArgumentError, Option } from 'commander';
import type { SpinesClient } from 'spines-client';
import type { RoutingName, SecrecyName } from 'spines-client/protocol';

import {
  disseminationCode,
  SERVICE_NAMES,
  serviceCode,
  serviceName,
} from '../../core/wire/modes.ts';
import type { FlowMode } from '../../host/tunnel/udp-message.ts';
import type { OverlaySocket } from '../../host/tunnel/udp-overlay.ts';
import {
  addClientFlags,
  ask,
  routingOption,
  secrecyOption,
  withClient,
  type ClientFlags,
} from '../client.ts';
import { EXIT_NO, Failure, usage } from '../terminal/failure.ts';
import { helpBelow } from '../terminal/help-text.ts';
import { note, print, printJson, terminalColumns } from '../terminal/output.ts';
import { Patience } from '../terminal/patience.ts';
import { formatTable, paintFor, type ColourName } from '../terminal/table.ts';
import { integerArg, portArg } from '../terminal/values.ts';
import { ClientOverlay, datagramOf } from '../tunnel/client-overlay.ts';
import { portFailure } from '../tunnel/udp-tunnel.ts';
import { untilEnded } from '../tunnel/tunnel-listen.ts';
import { hear, PACKET_MS, type Heard } from './play-out.ts';
import { decodeAnswer, encodeTalk, Talker, TalkListener } from './talk-flow.ts';

const TALK_PORT = 6_010;
const SECONDS = 10;
const SECONDS_MAX = 36_000;
/** A packet that has not come by then is lost. */
const LOST_MS = 1_000;
const SHOW_MS = 500;

interface TalkFlags extends ClientFlags {
  listen?: boolean;
  port: number;
  seconds: number;
  links: readonly string[];
  routing?: RoutingName;
  secrecy?: SecrecyName;
  json?: boolean;
}

interface Row {
  readonly link: string;
  readonly there: Heard;
  readonly back: Heard;
}

const HELP = `
Talks as a telephone does (G.711: 160 bytes each 20 ms) and plays out behind an adaptive buffer.
EAR is the time from mouth to ear, LATE what came after its turn; R and MOS are those of ITU-T
G.107: from 4.3 everybody is content, below 3.1 hardly anybody is.

  spines talk --listen        there
  spines talk node-2          here`;

export function registerTalk(program: Command): void {
  addClientFlags(
    program
      .command('talk [node]')
      .description('talk to a node over each link service, and say how good it sounds'),
  )
    .option('-l, --listen', 'answer who talks to this node')
    .option('--port <port>', 'overlay port of --listen', portArg, TALK_PORT)
    .option('--seconds <count>', 'talk for so long', integerArg(1, SECONDS_MAX), SECONDS)
    .addOption(
      new Option('--links <services>', 'link services, with commas between')
        .argParser(linksArg)
        .default(SERVICE_NAMES, SERVICE_NAMES.join(',')),
    )
    .addOption(routingOption())
    .addOption(secrecyOption())
    .option('--json', 'print JSON at the end')
    .addHelpText('after', helpBelow(HELP))
    .action((node: string | undefined, flags: TalkFlags) => {
      if ((node === undefined) !== (flags.listen === true))
        throw usage('give a node to talk to, or --listen; one of the two');
      return withClient(
        flags,
        'talk',
        (client) => (node === undefined ? listen(client, flags) : talk(client, node, flags)),
        flags.listen === true,
      );
    });
}

function linksArg(text: string): string[] {
  const names = [...new Set(text.split(','))];
  if (names.some((name) => serviceCode(name) === undefined))
    throw new InvalidArgumentError(`write ${SERVICE_NAMES.join(', ')}, or some of them.`);
  return names;
}

/* ---------------------------------------------------------------- the one who answers */

async function listen(client: SpinesClient, { port, secrecy }: TalkFlags): Promise<void> {
  const listener = new TalkListener();
  const overlay = new ClientOverlay(client, secrecy);
  /** One for each mode, so that answers go as what they answer. */
  const sockets = new Map<string, OverlaySocket>();
  const answering = (mode: FlowMode, sealed: boolean): OverlaySocket => {
    const key = `${mode.link} ${mode.routing} ${sealed}`;
    const known = sockets.get(key);
    if (known !== undefined) return known;
    const made = overlay.open(mode, sealed, {
      onMessage: () => {},
      onLost: () => {},
      onBroken: () => {
        made.close();
        sockets.delete(key);
      },
    });
    sockets.set(key, made);
    return made;
  };
  const socket = datagramOf(client, modeOf('best-effort', undefined), secrecy);
  const broken = new Promise<never>((_, reject) => {
    socket.on('error', (error) => reject(portFailure(error, port, '--port')));
  });
  broken.catch(() => {});
  socket.on('message', (message, { address, port: from, authenticated }) => {
    const heard = listener.onPacket(message, address, from, performance.now());
    if (heard === null) return;
    const { link, routing } = heard.talk;
    answering({ link, routing, deadlineMs: 0 }, authenticated).send([heard.answer], address, from);
  });
  const ended = untilEnded(client);
  const bound = new Promise<void>((resolve) => socket.bind(port, resolve));
  await Promise.race([ended, broken, bound]);
  note(`listening to talk at ${client.name || client.node} port ${port}`);
  await Promise.race([ended, broken]);
}

/* ---------------------------------------------------------------- the one who talks */

interface Line {
  readonly link: string;
  readonly mode: FlowMode;
  readonly talker: Talker;
  readonly socket: OverlaySocket;
}

async function talk(client: SpinesClient, name: string, flags: TalkFlags): Promise<void> {
  const overlay = new ClientOverlay(client, flags.secrecy);
  const { node } = await new Patience(flags.wait).until(async () => {
    const found = await ask(client, 'resolve', { name });
    if (flags.wait !== undefined) await knock(overlay, found.node, name, flags);
    return found;
  });
  let broken: string | null = null;
  const lines = flags.links.map((link): Line => {
    const talker = new Talker(randomBytes(4).readUInt32BE());
    const mode = modeOf(link, flags.routing);
    const socket = overlay.open(mode, null, {
      onMessage: (message, from) => {
        const answer = from === node ? decodeAnswer(message) : null;
        if (answer !== null) talker.onAnswer(answer, performance.now());
      },
      onLost: () => {},
      onBroken: (why) => {
        broken = why;
      },
    });
    return { link, mode, talker, socket };
  });
  let stopped = false;
  process.once('SIGINT', () => {
    stopped = true;
  });
  const screen = new Screen(flags.json === true);
  const startMs = performance.now();
  const packets = (flags.seconds * 1_000) / PACKET_MS;
  for (let i = 0; i < packets && !stopped && broken === null; i += 1) {
    const wait = startMs + i * PACKET_MS - performance.now();
    if (wait > 0) await sleep(wait);
    for (const line of lines) sendOne(line, node, flags.port);
    if (i % (SHOW_MS / PACKET_MS) === 0) screen.show(rowsOf(lines, performance.now() - LOST_MS));
  }
  await sleep(LOST_MS);
  for (const { socket } of lines) socket.close();
  screen.clear();
  if (lines.every(({ talker }) => talker.answers === 0))
    throw broken === null
      ? nobodyAnswers(name, flags.port)
      : new Failure(
          EXIT_NO,
          'ETIMEDOUT',
          `the talk was cut off (${String(broken).split(';')[0]}); see \`spines routes\``,
        );
  const rows = rowsOf(lines, Infinity);
  if (flags.json === true) printJson({ node, name, packetMs: PACKET_MS, rows });
  else print(tableOf(rows));
}

/** Resolves when the listener has answered one packet. */
async function knock(
  overlay: ClientOverlay,
  node: string,
  name: string,
  { links, routing, port }: TalkFlags,
): Promise<void> {
  const talker = new Talker(randomBytes(4).readUInt32BE()),
    mode = modeOf(links[0]!, routing);
  let answered: () => void = () => {};
  const answer = new Promise<true>((resolve) => {
    answered = () => resolve(true);
  });
  const socket = overlay.open(mode, null, {
    onMessage: (message, from) => {
      const said = from === node ? decodeAnswer(message) : null;
      if (said !== null && talker.onAnswer(said, performance.now())) answered();
    },
    onLost: () => {},
    onBroken: () => {},
  });
  try {
    sendOne({ link: links[0]!, mode, talker, socket }, node, port);
    if ((await Promise.race([answer, sleep(LOST_MS, false)])) === false)
      throw nobodyAnswers(name, port);
  } finally {
    socket.close();
  }
}

function nobodyAnswers(name: string, port: number): Failure {
  return new Failure(
    EXIT_NO,
    'ETIMEDOUT',
    `nobody answers at ${name} port ${port}; is \`spines talk --listen\` running there?`,
  );
}

function sendOne({ mode, talker, socket }: Line, node: string, port: number): void {
  const sentMs = performance.now();
  const number = talker.onSend(sentMs);
  const { link, routing } = mode;
  socket.send([encodeTalk({ link, routing, token: talker.token, number, sentMs })], node, port);
}

function modeOf(link: string, routing: RoutingName | undefined): FlowMode {
  return {
    link: serviceCode(link)!,
    routing: disseminationCode(routing ?? 'link-state')!,
    deadlineMs: 0,
  };
}

function rowsOf(lines: readonly Line[], untilMs: number): Row[] {
  return lines.map(({ mode, talker }) => {
    const { there, back } = talker.delays(untilMs);
    return { link: serviceName(mode.link), there: hear(there), back: hear(back) };
  });
}

/* ---------------------------------------------------------------- what is shown */

/** Of MOS, as annex B of G.107 has it: all content, some not, many not. */
const GOOD = 4.03;
const FAIR = 3.6;

function tableOf(rows: readonly Row[]): string {
  const paint = paintFor(process.stdout, process.env);
  const ms = (value: number | null): string => (value === null ? '-' : value.toFixed(1));
  const table = formatTable(
    [
      { title: 'LINK', key: true },
      { title: 'WAY', key: true },
      ...['MEAN MS', 'P99 MS', 'LOST %', 'LATE %', 'EAR MS', 'R', 'MOS'].map(
        (title) => ({ title, align: 'right' }) as const,
      ),
    ],
    rows.flatMap(({ link, there, back }) =>
      Object.entries({ there, back }).map(([way, heard]) => [
        link,
        way,
        ms(heard.meanMs),
        ms(heard.p99Ms),
        heard.lostPct.toFixed(2),
        heard.latePct.toFixed(2),
        heard.packets === 0 ? '-' : heard.earMs.toFixed(0),
        heard.packets === 0 ? '-' : heard.r.toFixed(1),
        heard.packets === 0 ? '-' : heard.mos.toFixed(2),
      ]),
    ),
    terminalColumns(),
  );
  return table.replace(/\b[1-4]\.\d\d$/gm, (mos) => paint(colourOf(Number(mos)), mos));
}

function colourOf(mos: number): ColourName {
  return mos >= GOOD ? 'green' : mos >= FAIR ? 'yellow' : 'red';
}

/** The table while it is talked, on a terminal, rewritten in its place. */
class Screen {
  readonly #live: boolean;
  #lines = 0;

  constructor(json: boolean) {
    this.#live = process.stdout.isTTY === true && !json && process.env['TERM'] !== 'dumb';
  }

  show(rows: readonly Row[]): void {
    if (!this.#live) return;
    this.clear();
    const text = tableOf(rows);
    process.stdout.write(text);
    this.#lines = text.split('\n').length - 1;
  }

  clear(): void {
    if (this.#lines > 0) process.stdout.write(`\x1b[${this.#lines}A\x1b[J`);
    this.#lines = 0;
  }
}

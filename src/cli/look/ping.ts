/**
 * `spines ping NODE`: is the node there, how far, how steady.
 *
 * Owns the schedule of the probes and the summary; a probe is the daemon's. Probes leave at fixed
 * times, whether or not earlier ones were answered. Exit code 1 when nothing answered.
 */

import { Option, type Command } from 'commander';
import type { SpinesClient } from 'spines-client';
import type { LinkServiceName, RoutingName } from 'spines-client/protocol';

import { MILLISECOND, SECOND, type Micros } from '../../core/base/time.ts';
import { ECHO_HEAD_BYTES } from '../../core/wire/echo.ts';
import { SERVICE_NAMES } from '../../core/wire/modes.ts';
import { PAYLOAD_BYTES_MAX } from '../../core/wire/sizes.ts';
import { addClientFlags, ask, routingOption, withClient, type ClientFlags } from '../client.ts';
import { COLUMNS_DEFAULT } from '../terminal/columns.ts';
import { EXIT_NO, EXIT_NO_DAEMON, oneLine, toFailure } from '../terminal/failure.ts';
import { print, printJson, terminalColumns } from '../terminal/output.ts';
import { Patience } from '../terminal/patience.ts';
import { RttStats, lossPct } from './rtt-stats.ts';
import { formatMs, formatNode, wrapText } from '../terminal/table.ts';
import { durationArg, integerArg, sizeArg } from '../terminal/values.ts';

export type PingReply =
  | { seq: number; rttMs: number; hops: number | null }
  | { seq: number; code: string };

export interface PingSummary {
  node: string;
  name: string;
  sent: number;
  received: number;
  lossPct: number;
  rttMs: { min: number; avg: number; max: number; mdev: number } | null;
  replies: PingReply[];
}

interface PingFlags extends ClientFlags {
  count?: number;
  interval: Micros;
  timeout: Micros;
  size?: number;
  link?: LinkServiceName;
  routing?: RoutingName;
  json?: boolean;
}

/** With --json somebody waits for the end: there is one. */
const JSON_COUNT = 5;
/** While it is waited for. */
const WAIT_PROBE_MS = 1_000;
/** A probe is one packet. */
const SIZE_MAX = PAYLOAD_BYTES_MAX - ECHO_HEAD_BYTES;
/** Replies kept for --json. */
const REPLIES_MAX = 100_000;

export function registerPing(program: Command): void {
  addClientFlags(
    program.command('ping <node>').description('ask a node, by name or address, to answer'),
  )
    .option(
      '-c, --count <n>',
      `probes to send (default: until interrupted; ${JSON_COUNT} with --json)`,
      integerArg(1, 1_000_000_000),
    )
    .addOption(
      new Option('-i, --interval <time>', 'between probes')
        .argParser(durationArg)
        .default(SECOND, '1s'),
    )
    .addOption(
      new Option('-W, --timeout <time>', 'wait for an answer')
        .argParser(durationArg)
        .default(SECOND, '1s'),
    )
    .option(
      '--size <bytes>',
      'carry so many bytes there and back (default: 0)',
      sizeArg(0, SIZE_MAX),
    )
    .addOption(
      new Option('--link <service>', 'how links carry it (default: best-effort)').choices(
        SERVICE_NAMES,
      ),
    )
    .addOption(routingOption())
    .option('--json', 'print JSON, at the end')
    .action((node: string, flags: PingFlags) =>
      withClient(flags, 'ping', (client) => ping(client, node, flags)),
    );
}

async function ping(client: SpinesClient, nodeName: string, flags: PingFlags): Promise<void> {
  const { node, name } = await new Patience(flags.wait).until(async () => {
    const found = await ask(client, 'resolve', { name: nodeName });
    if (flags.wait !== undefined)
      await ask(client, 'ping', { node: found.node, timeoutMs: WAIT_PROBE_MS });
    return found;
  });
  const json = flags.json === true;
  const count = flags.count ?? (json ? JSON_COUNT : Infinity);
  const timeoutMs = Math.ceil(flags.timeout / MILLISECOND);
  const { size = 0, link = 'best-effort', routing = 'link-state' } = flags;
  const probed = { bytes: size, link, routing };
  const columns = terminalColumns();
  const stats = new RttStats();
  const replies: PingReply[] = [];
  let fatal: unknown = null;
  let sent = 0;
  const ended = new Ending();
  const onInterrupt = (): void => ended.now();
  process.once('SIGINT', onInterrupt);
  process.once('SIGTERM', onInterrupt);
  if (!json) print(`PING ${formatNode(name, node, columns - 5)}\n`);

  const probe = async (seq: number): Promise<void> => {
    try {
      const reply = await ask(client, 'ping', { ...probed, node, timeoutMs }, timeoutMs + 2_000);
      if (ended.over) return;
      stats.add(reply.rttMs);
      if (replies.length < REPLIES_MAX) replies.push({ seq, rttMs: reply.rttMs, hops: reply.hops });
      if (json) return;
      const hops = reply.hops === null ? '' : ` hops=${reply.hops}`;
      const facts = `: seq=${seq}${hops} time=${formatMs(reply.rttMs)}`;
      print(`reply from ${formatNode(name, reply.node, columns - 11 - facts.length)}${facts}\n`);
    } catch (error) {
      if (ended.over) return;
      const failure = toFailure(error);
      if (failure.exitCode !== EXIT_NO) {
        // Not this probe's answer but the end of asking: the daemon is gone, or we are wrong.
        fatal = error;
        ended.now();
        return;
      }
      if (replies.length < REPLIES_MAX) replies.push({ seq, code: failure.code });
      if (!json)
        print(
          wrapText(
            `no reply: seq=${seq} ` +
              (failure.code === 'ETIMEDOUT' ? `within ${timeoutMs} ms` : oneLine(failure.message)),
            '',
            columns,
          ),
        );
    }
  };

  const startMs = performance.now();
  const probes = new Set<Promise<void>>();
  for (let seq = 1; seq <= count && !ended.over; seq += 1) {
    sent = seq;
    const running = probe(seq).finally(() => probes.delete(running));
    probes.add(running);
    if (seq < count)
      await ended.within(startMs + (seq * flags.interval) / MILLISECOND - performance.now());
  }
  await Promise.race([Promise.all(probes), ended.promise]);
  ended.now();
  process.off('SIGINT', onInterrupt);
  process.off('SIGTERM', onInterrupt);
  if (fatal !== null && (stats.count === 0 || toFailure(fatal).exitCode === EXIT_NO_DAEMON))
    throw fatal;

  const summary = summaryOf(node, name, sent, stats, replies);
  if (json) printJson(summary);
  else print(formatPingSummary(summary, columns));
  if (stats.count === 0) process.exitCode = EXIT_NO;
}

function summaryOf(
  node: string,
  name: string,
  sent: number,
  stats: RttStats,
  replies: readonly PingReply[],
): PingSummary {
  return {
    node,
    name,
    sent,
    received: stats.count,
    lossPct: lossPct(sent, stats.count),
    rttMs: stats.summary(),
    replies: [...replies].sort((a, b) => a.seq - b.seq),
  };
}

export function formatPingSummary(
  { node, name, sent, received, lossPct: loss, rttMs }: PingSummary,
  columns = COLUMNS_DEFAULT,
): string {
  const head =
    `--- ${formatNode(name, node, columns - 24)} ping statistics ---\n${sent} sent, ` +
    `${received} received, ${loss} % lost\n`;
  if (rttMs === null) return head;
  const { min, avg, max, mdev } = rttMs;
  return (
    `${head}rtt min/avg/max/mdev = ` +
    `${[min, avg, max, mdev].map((ms) => ms.toFixed(3)).join('/')} ms\n`
  );
}

/** The end of the run, which may come in the middle of a wait. */
class Ending {
  over = false;
  readonly promise: Promise<void>;
  #resolve!: () => void;

  constructor() {
    this.promise = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  now(): void {
    this.over = true;
    this.#resolve();
  }

  /** Waits `ms`, or less if the end comes first. */
  async within(ms: number): Promise<void> {
    if (ms <= 0) return;
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([
      this.promise,
      new Promise<void>((resolve) => {
        timer = setTimeout(resolve, ms);
      }),
    ]);
    clearTimeout(timer);
  }
}

/**
 * UDP of `spines forward`, `expose` and `socks`: its flags, and its two ends on the client library,
 * node:dgram and the log.
 *
 * Owns nothing that a packet passes: that is host/tunnel's.
 */

import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { Option } from 'commander';
import type { SpinesClient } from 'spines-client';
import type { RoutingName, SecrecyName } from 'spines-client/protocol';

import { MILLISECOND, SECOND, type Micros } from '../../core/base/time.ts';
import {
  disseminationCode,
  SERVICE_BEST_EFFORT,
  SERVICE_NAMES,
  SERVICE_REALTIME,
  serviceCode,
} from '../../core/wire/modes.ts';
import { stopwatch } from '../../host/system-clock.ts';
import { isAllowed, formatTarget, type Allowed, type Target } from '../../host/tunnel-target.ts';
import type { FlowLimits } from '../../host/tunnel/flow-table.ts';
import { LoopTimers } from '../../host/tunnel/loop-timers.ts';
import { LocalUdp } from '../../host/tunnel/local-udp.ts';
import { UdpFar } from '../../host/tunnel/udp-far.ts';
import { hostNetwork } from '../../host/tunnel/udp-host.ts';
import { DEADLINE_MS_MAX, encodeTarget, type FlowMode } from '../../host/tunnel/udp-message.ts';
import { UdpNear } from '../../host/tunnel/udp-near.ts';
import { packetBytesOf, type TunnelLog } from '../../host/tunnel/udp-overlay.ts';
import {
  EXIT_NO_DAEMON,
  EXIT_USAGE,
  Failure,
  oneLine,
  systemAdvice,
  usage,
} from '../terminal/failure.ts';
import { note } from '../terminal/output.ts';
import { durationArg, integerArg } from '../terminal/values.ts';
import { ClientOverlay, datagramOf, FarNode } from './client-overlay.ts';
import { mayReach } from './may-reach.ts';
import { makeRefusalLog, untilEnded, warnIfReachable } from './tunnel-listen.ts';

/** What is said of one that is not carried. */
const REFUSED = 'datagram not carried';
/** RFC 4787, section 4.3, REQ-5: no less than two minutes. */
const IDLE_US: Micros = 120 * SECOND;
const IDLE_US_MAX: Micros = 86_400 * SECOND;
const FLOWS = 1_024;
/** Of `expose`: as many as a client of the daemon has sockets for, and near ends of four nodes. */
const FLOWS_EXPOSED = 4_000;
const FLOWS_MAX = 4_000;
/** Of one source: a quarter of all. */
const SOURCE_SHARE = 4;

export interface UdpFlags {
  link?: string;
  deadline?: number;
  idle?: Micros;
  flows?: number;
}

/** How the near end's datagrams travel, and the bounds of its flows. */
export function addNearUdpFlags(command: Command): Command {
  command.addOption(
    new Option('--link <service>', 'of UDP: recovery on every hop (default: best-effort)').choices(
      SERVICE_NAMES,
    ),
  );
  command.option(
    '--deadline <time>',
    'of UDP with --link realtime: what is older is of no use',
    deadlineMsArg,
  );
  return addUdpBounds(
    command,
    FLOWS,
    'client addresses and ports at once, a quarter of one source',
  );
}

/** The bounds of the far end's flows. */
export function addFarUdpFlags(command: Command): Command {
  return addUdpBounds(command, FLOWS_EXPOSED, 'flows at once, a quarter of one node');
}

function addUdpBounds(command: Command, flows: number, what: string): Command {
  return command
    .option('--idle <time>', 'of UDP: end a flow that was idle for so long (default: 2m)', idleArg)
    .option(
      '--flows <count>',
      `of UDP: ${what} (default: ${flows})`,
      integerArg(SOURCE_SHARE, FLOWS_MAX),
    );
}

function idleArg(text: string): Micros {
  const us = durationArg(text);
  if (us < SECOND || us > IDLE_US_MAX) throw usage('--idle is from 1s to 24h');
  return us;
}

function deadlineMsArg(text: string): number {
  const ms = Math.round(durationArg(text) / MILLISECOND);
  if (ms < 1 || ms > DEADLINE_MS_MAX) throw usage('--deadline is from 1ms to 2s');
  return ms;
}

/** Throws Failure where flags of UDP are there without it. */
export function refuseUdpFlags({ link, deadline, idle, flows }: UdpFlags): void {
  const given = Object.entries({ link, deadline, idle, flows }).find(
    ([, value]) => value !== undefined,
  );
  if (given !== undefined)
    throw usage(`--${given[0]} is of UDP; give --udp with it, or leave it out`);
}

/** Throws Failure where flags do not go together. */
export function checkUdpFlags(flags: UdpFlags): void {
  modeOf(flags, undefined);
}

function modeOf({ link, deadline }: UdpFlags, routing: RoutingName | undefined): FlowMode {
  const code = link === undefined ? SERVICE_BEST_EFFORT : serviceCode(link)!;
  if (deadline !== undefined && code !== SERVICE_REALTIME)
    throw usage('--deadline is for --link realtime; give both');
  return {
    link: code,
    routing: disseminationCode(routing ?? 'link-state')!,
    deadlineMs: deadline ?? 0,
  };
}

function limitsOf({ idle = IDLE_US, flows = FLOWS }: UdpFlags): FlowLimits {
  return {
    flowsMax: flows,
    perSourceMax: Math.max(1, Math.floor(flows / SOURCE_SHARE)),
    idleUs: idle,
  };
}

/** The near end of UDP, at any node's `expose`; resolves once that node is known, or is not. */
export async function makeNear(
  client: SpinesClient,
  node: string,
  {
    via,
    routing,
    secrecy,
    ...flags
  }: UdpFlags & {
    via: number;
    routing?: RoutingName | undefined;
    secrecy?: SecrecyName | undefined;
  },
  several: boolean,
  log: TunnelLog,
): Promise<UdpNear> {
  const far = new FarNode(client, node);
  const mode = modeOf(flags, routing);
  if (far.quad === null) await far.ask();
  if (far.quad === null)
    note(`warning: no node ${node} is known yet; \`spines nodes\` shows those that are`);
  return new UdpNear(
    {
      ...limitsOf(flags),
      via,
      farName: node,
      mode,
      several,
      packetBytes: packetBytesOf(mode, secrecy !== 'links'),
    },
    {
      clock: stopwatch,
      timers: new LoopTimers(),
      overlay: new ClientOverlay(client, secrecy),
      log,
      token: () => randomBytes(4).readUInt32BE(),
      farNode: () => far.quad,
    },
  );
}

export async function udpLog(verbose: boolean): Promise<TunnelLog> {
  const { log, refused } = await makeRefusalLog(verbose, REFUSED);
  return { info: (fields, message) => log.info(fields, message), refused };
}

/** `spines forward --udp`, until SIGINT or SIGTERM. */
export async function forwardUdp(
  client: SpinesClient,
  listen: Target,
  node: string,
  target: Target,
  flags: UdpFlags & {
    via: number;
    verbose?: boolean;
    routing?: RoutingName;
    secrecy?: SecrecyName;
  },
): Promise<void> {
  const log = await udpLog(flags.verbose === true);
  const near = await makeNear(client, node, flags, false, log);
  const encoded = encodeTarget(target),
    offers = `${formatTarget(target)} at ${node}`;
  let local: LocalUdp;
  try {
    local = await LocalUdp.listen(listen.host, listen.port, {
      onDatagram: (from, payload) => near.onDatagram(from, encoded, payload),
      onTrouble: (address, code) =>
        log.refused({ at: formatTarget({ host: address, port: listen.port }), why: code }),
    });
  } catch (error) {
    const { code = 'EIO' } = error as NodeJS.ErrnoException;
    throw new Failure(
      EXIT_USAGE,
      code,
      `cannot listen on UDP ${formatTarget(listen)} (${code}); ${systemAdvice(code, 'listen')}`,
    );
  }
  const at = formatTarget({ host: listen.host, port: local.port });
  note(`listening on UDP ${at}, carried to ${offers}`);
  warnIfReachable(listen, offers);
  try {
    await untilEnded(client);
  } finally {
    local.close();
    near.close();
    log.info(near.counts, 'UDP carried');
  }
}

/** The far end of UDP at an overlay port. */
export class UdpExposure {
  readonly #far: UdpFar;
  readonly #log: TunnelLog;
  readonly #broken: Promise<never>;

  private constructor(far: UdpFar, log: TunnelLog, broken: Promise<never>) {
    this.#far = far;
    this.#log = log;
    this.#broken = broken;
  }

  /** Rejects with Failure when the port cannot be had. */
  static async open(
    client: SpinesClient,
    via: number,
    allow: readonly Allowed[],
    flags: UdpFlags & { verbose?: boolean; secrecy?: SecrecyName },
  ): Promise<UdpExposure> {
    const log = await udpLog(flags.verbose === true);
    const { secrecy } = flags;
    const far = new UdpFar(limitsOf({ ...flags, flows: flags.flows ?? FLOWS_EXPOSED }), {
      clock: stopwatch,
      timers: new LoopTimers(),
      overlay: new ClientOverlay(client, secrecy),
      host: hostNetwork,
      log,
      isAllowed: (target) => isAllowed(allow, target),
      mayReach: (node, target, done) =>
        void mayReach(client, node, target).then(
          (may) => done(may, null),
          (error: Error) => done(false, oneLine(error.message)),
        ),
    });
    const socket = datagramOf(client, modeOf({}, undefined), secrecy);
    socket.on('message', (message, { address, port, authenticated }) =>
      far.onMessage(message, address, port, authenticated),
    );
    socket.on('dropped', ({ count }) => {
      far.counts.full += count;
    });
    const broken = new Promise<never>((_, reject) => {
      socket.on('error', (error) => reject(portFailure(error, via)));
    });
    broken.catch(() => {});
    await Promise.race([broken, new Promise<void>((resolve) => socket.bind(via, resolve))]);
    return new UdpExposure(far, log, broken);
  }

  /** Rejects when its port is lost; never resolves. */
  get broken(): Promise<never> {
    return this.#broken;
  }

  close(): void {
    this.#far.close();
    this.#log.info(this.#far.counts, 'UDP carried');
  }
}

/** An overlay port that is not to be had, or was lost. */
export function portFailure(error: NodeJS.ErrnoException, via: number, flag = '--via'): Failure {
  if (error.code === 'EADDRINUSE')
    return new Failure(
      EXIT_USAGE,
      'EADDRINUSE',
      `overlay port ${via} is taken; choose another with ${flag}, here and at the near end`,
    );
  return new Failure(
    EXIT_NO_DAEMON,
    error.code ?? 'EUNKNOWN',
    `${oneLine(error.message).replaceAll(';', ',')}; is the daemon running?`,
  );
}

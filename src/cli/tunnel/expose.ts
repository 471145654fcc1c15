/**
 * `spines expose`: the far end of tunnels. Takes streams and connects each to the TCP target that
 * it names; datagrams for UDP targets are udp-tunnel.ts's.
 *
 * Owns what is reachable through this node: exactly what --allow and --udp name, nothing by
 * default. The lists are asked before any name is looked up. Runs until a signal ends it; a daemon
 * that restarts is waited for.
 */

import { connect, type Socket } from 'node:net';
import type { Command } from 'commander';
import { InvalidArgumentError, Option } from 'commander';
import type { Logger } from 'pino';
import type { SpinesClient, SpinesSocket } from 'spines-client';

import { addClientFlags, secrecyOption, silenceOption, withClient } from '../client.ts';
import { oneLine, usage } from '../terminal/failure.ts';
import { helpBelow } from '../terminal/help-text.ts';
import { note } from '../terminal/output.ts';
import { EXPOSE_PORT, type TunnelFlags } from './tunnel-dial.ts';
import { decodeRequest, encodeAnswer, readHead } from './tunnel-header.ts';
import { answerOf, type Answer } from '../../host/tunnel/answers.ts';
import { mayReach } from './may-reach.ts';
import {
  addFarUdpFlags,
  portFailure,
  refuseUdpFlags,
  UdpExposure,
  type UdpFlags,
} from './udp-tunnel.ts';
import { join } from './tunnel-join.ts';
import { makeRefusalLog, untilEnded } from './tunnel-listen.ts';
import {
  formatTarget,
  isAllowed,
  parseAllowed,
  type Allowed,
  type Target,
} from '../../host/tunnel-target.ts';
import { portArg } from '../terminal/values.ts';

interface ExposeFlags extends TunnelFlags, UdpFlags {
  allow?: Allowed[];
  udp?: Allowed[];
  port?: number;
}

/** Streams that are being connected or carried; further ones are reset. */
const STREAMS_MAX = 1_024;
const REQUEST_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 10_000;

const HELP = `
Only what --allow (TCP) and --udp name can be reached: HOST:PORT exactly as \`spines forward\` and \
\`spines socks\` ask for it (a name is not its address), and
HOST:*, *:PORT or *:* where you spell it out. With *, everything that this machine \
reaches is open, its own loopback services too.

  spines expose --allow 127.0.0.1:8088 --udp 127.0.0.1:53`;

export function registerExpose(program: Command): void {
  const command = addClientFlags(
    program
      .command('expose')
      .description('let other nodes reach named TCP and UDP targets through this one'),
  )
    .option('--allow <host:port>', 'TCP target that may be reached (repeatable)', collectAllowed)
    .option('--udp <host:port>', 'UDP target that may be reached (repeatable)', collectAllowed)
    .option('--via <port>', 'overlay port to take streams and datagrams at', portArg, EXPOSE_PORT)
    .addOption(new Option('--port <port>', 'same as --via').argParser(portArg).hideHelp())
    .addOption(secrecyOption())
    .addOption(silenceOption());
  addFarUdpFlags(command)
    .option('-v, --verbose', 'log every connection and flow, on stderr')
    .addHelpText('after', helpBelow(HELP))
    .action((flags: ExposeFlags) => {
      const { allow = [], udp = [] } = flags;
      if (allow.length === 0 && udp.length === 0)
        throw usage(
          'nothing is allowed, so nothing could be reached; give --allow HOST:PORT for TCP, or ' +
            '--udp HOST:PORT, once for each target',
        );
      if (udp.length === 0) refuseUdpFlags(flags);
      return withClient(flags, 'expose', (client) => expose(client, flags), true);
    });
}

async function expose(client: SpinesClient, flags: ExposeFlags): Promise<void> {
  const { allow = [], udp = [] } = flags;
  const port = flags.port ?? flags.via;
  const ended = untilEnded(client);
  const exposures: UdpExposure[] = [];
  const serve = async (): Promise<void> => {
    const broken: Promise<never>[] = [];
    if (udp.length > 0) {
      const exposure = await UdpExposure.open(client, port, udp, flags);
      exposures.push(exposure);
      broken.push(exposure.broken);
    }
    if (allow.length > 0) broken.push((await listenForStreams(client, port, allow, flags)).broken);
    const named = [...allow.map(describe), ...udp.map((one) => `UDP ${describe(one)}`)];
    note(`exposing ${named.join(', ')} at ${client.name || client.node} port ${port}`);
    await Promise.race(broken);
  };
  try {
    await Promise.race([ended, serve()]);
  } finally {
    for (const exposure of exposures) exposure.close();
  }
}

function collectAllowed(text: string, previous: Allowed[] | undefined): Allowed[] {
  const allowed = parseAllowed(text);
  if (allowed === null)
    throw new InvalidArgumentError('write HOST:PORT, [IPV6]:PORT, HOST:*, *:PORT or *:*.');
  return [...(previous ?? []), allowed];
}

/** Takes streams; `broken` rejects once it can't any more. */
async function listenForStreams(
  client: SpinesClient,
  port: number,
  allow: readonly Allowed[],
  { verbose = false, secrecy, silence }: ExposeFlags,
): Promise<{ readonly broken: Promise<never> }> {
  const { log, refused } = await makeRefusalLog(verbose);
  const options = {
    allowHalfOpen: true,
    pauseOnConnect: true,
    maxConnections: STREAMS_MAX,
    secrecy,
    silenceMs: silence,
  };
  const server = client.createServer(options, (stream) => {
    void serveStream(client, stream, allow, log, refused);
  });
  server.on('drop', ({ remoteAddress, remotePort }) =>
    refused({
      from: `${remoteAddress}:${remotePort}`,
      why: `${STREAMS_MAX} streams are open, as many as it carries`,
    }),
  );
  const broken = new Promise<never>((_, reject) => {
    server.on('error', (error: NodeJS.ErrnoException) => reject(portFailure(error, port)));
  });
  await Promise.race([broken, new Promise<void>((resolve) => server.listen(port, resolve))]);
  return { broken };
}

function describe({ host, port }: Allowed): string {
  return `${host === null ? '*' : host.includes(':') ? `[${host}]` : host}:${port ?? '*'}`;
}

async function serveStream(
  client: SpinesClient,
  stream: SpinesSocket,
  allow: readonly Allowed[],
  log: Pick<Logger, 'info'>,
  refused: (fields: object) => void,
): Promise<void> {
  const from = `${stream.remoteAddress}:${stream.remotePort}`;
  const startMs = performance.now();
  stream.on('error', () => {});
  let body: Buffer | null;
  try {
    body = await readHead(stream, REQUEST_TIMEOUT_MS);
  } catch (error) {
    refused({ from, why: (error as Error).message });
    stream.resetAndDestroy();
    return;
  }
  const target = body === null ? null : decodeRequest(body);
  const refuse = (answer: Answer): void => {
    refused({
      from,
      target: target === null ? undefined : formatTarget(target),
      why: answer.name,
      reason: answer.reason,
    });
    stream.end(encodeAnswer(answer));
    // The near end goes once it has read that; one that does not is not waited for.
    stream.resume().setTimeout(REQUEST_TIMEOUT_MS, () => stream.destroy());
  };
  if (target === null) {
    refuse({
      name: 'malformed',
      reason: 'the request is not understood; use one version of spines at both ends',
    });
    return;
  }
  const barred = await whyBarred(client, allow, stream, target);
  if (barred !== null) {
    refuse(barred);
    return;
  }
  let socket: Socket;
  try {
    socket = await connectTo(target, stream);
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    refuse({ name: answerOf(code), reason: code === '' ? message : code });
    return;
  }
  log.info({ from, target: formatTarget(target) }, 'connection carried');
  stream.write(encodeAnswer({ name: 'ok', reason: '' }));
  const { forward, backward, error } = await join(stream, socket, { a: 2 + body!.length, b: 0 });
  log.info(
    {
      from,
      target: formatTarget(target),
      out: forward,
      in: backward,
      ms: Math.round(performance.now() - startMs),
      error: error?.message,
    },
    'connection ended',
  );
}

/** Why the far end of `stream` may not reach that target; null: it may. */
async function whyBarred(
  client: SpinesClient,
  allow: readonly Allowed[],
  stream: SpinesSocket,
  target: Target,
): Promise<Answer | null> {
  if (!isAllowed(allow, target)) {
    return { name: 'not allowed', reason: 'no --allow there names it' };
  }
  try {
    if (!(await mayReach(client, stream.remoteAddress ?? '', target, stream))) {
      return {
        name: 'not allowed',
        reason: 'rules of that node do not let this one reach it (firewall.targets in its config)',
      };
    }
  } catch (error) {
    return {
      name: 'failed',
      reason:
        'its daemon does not say whether that is allowed: ' +
        `${oneLine((error as Error).message)}`,
    };
  }
  return null;
}

/**
 * A connected socket, paused. Rejects with the error of the last address tried, or when `stream`
 * goes away.
 */
function connectTo({ host, port }: Target, stream: SpinesSocket): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
    const timer = setTimeout(
      () => fail(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })),
      CONNECT_TIMEOUT_MS,
    );
    const onGone = (): void => fail(new Error('the stream was closed'));
    const fail = (error: Error): void => {
      clearTimeout(timer);
      stream.off('close', onGone);
      socket.destroy();
      reject(firstCause(error));
    };
    stream.once('close', onGone);
    socket.on('error', fail);
    socket.once('connect', () => {
      clearTimeout(timer);
      stream.off('close', onGone);
      socket.off('error', fail);
      socket.on('error', () => {});
      resolve(socket);
    });
  });
}

/** Of several addresses tried, the first one's failure. */
function firstCause(error: Error): Error {
  return error instanceof AggregateError && error.errors[0] instanceof Error
    ? error.errors[0]
    : error;
}

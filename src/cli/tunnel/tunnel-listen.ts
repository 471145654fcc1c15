/**
 * The local TCP listener of `spines forward` and `spines socks`, and its life until a signal ends
 * it.
 *
 * Owns binding, the bound on connections, what is logged of each, and carrying it once it is known
 * where to. What a connection wants is the command's. Invariant: every accepted connection is
 * destroyed when `serve` returns.
 */

import { createServer, type Socket } from 'node:net';
import type { Logger } from 'pino';
import type { SpinesClient, SpinesSocket } from 'spines-client';

import { DampedLog } from '../../host/log/damped-log.ts';
import { EXIT_USAGE, Failure, systemAdvice } from '../terminal/failure.ts';
import { makeLog } from '../terminal/log.ts';
import { note } from '../terminal/output.ts';
import { join } from './tunnel-join.ts';
import { TunnelError } from './tunnel-dial.ts';
import { formatTarget, type Target } from '../../host/tunnel-target.ts';

/** What is said of one that is not carried. */
const REFUSED = 'connection refused';
/** Further ones are refused, and that is said. */
const CONNECTIONS_MAX = 1_024;

/**
 * Connections beyond, which are told so where what they speak has words for it; still further ones
 * are reset.
 */
const REFUSED_MAX = 64;
/** For a client that was told why not, to read it and go. */
const FAREWELL_MS = 1_000;

/**
 * Finds out where a connection is to go and opens the way; `signal`: the connection is gone. Null:
 * it was about something else, and is over. Rejects with TunnelError.
 */
export type Opener = (socket: Socket, signal: AbortSignal) => Promise<Opened | null>;

export interface Opened {
  readonly socket: SpinesSocket;
  readonly headBytes: number;
  readonly target: Target;
  readonly ownBytes: number;
}

/** Tells a connection that is one too many, in its own words. */
export type Refuser = (socket: Socket) => Promise<void>;

/**
 * What is said of connections that are refused: of each one when asked for, else of the first and
 * how many followed.
 */
export async function makeRefusalLog(verbose: boolean, said = REFUSED): Promise<RefusalLog> {
  // Called once in a process, whose tunnels share it.
  shared ??= makeLog(verbose ? 'info' : 'warn');
  return refusalLogOf(await shared, verbose, said);
}

let shared: Promise<Logger> | null = null;

export interface Served {
  readonly goes: string;
  readonly offers: string;
}

export interface RefusalLog {
  readonly log: Pick<Logger, 'info'>;
  refused(fields: object): void;
}

export function refusalLogOf(
  log: Pick<Logger, 'info' | 'warn'>,
  verbose: boolean,
  said = REFUSED,
): RefusalLog {
  const damped = new DampedLog(log);
  return {
    log,
    refused: (fields) => (verbose ? log.warn(fields, said) : damped.warn(fields, said)),
  };
}

/**
 * Serves until SIGINT or SIGTERM. For people: where connections go, and what it is that whoever
 * connects may use.
 */
export async function serve(
  client: SpinesClient,
  listen: Target,
  verbose: boolean,
  { goes, offers }: Served,
  open: Opener,
  refuse?: Refuser,
  connectionsMax = CONNECTIONS_MAX,
  logs?: RefusalLog,
): Promise<void> {
  const { log, refused } = logs ?? (await makeRefusalLog(verbose));
  const sockets = new Set<Socket>(),
    surplus = new Set<Socket>();
  const server = createServer(
    { allowHalfOpen: true, pauseOnConnect: true, noDelay: true },
    (socket) => {
      const tooMany = sockets.size >= connectionsMax;
      const held = tooMany ? surplus : sockets;
      if (tooMany)
        refused({
          from: `${socket.remoteAddress}:${socket.remotePort}`,
          why: `${connectionsMax} connections are open, as many as it carries`,
        });
      if (tooMany && (refuse === undefined || surplus.size >= REFUSED_MAX)) {
        socket.on('error', () => {}).resetAndDestroy();
        return;
      }
      held.add(socket);
      socket.once('close', () => held.delete(socket));
      if (tooMany) void dismiss(socket, refuse!);
      else void carry(socket, open, log, refused);
    },
  );
  const ended = untilEnded(client);
  try {
    await Promise.race([
      ended,
      new Promise<void>((resolve, reject) => {
        server.once('error', ({ code = 'EIO' }: NodeJS.ErrnoException) => {
          reject(
            new Failure(
              EXIT_USAGE,
              code,
              `cannot listen on ${formatTarget(listen)} (${code}); ${systemAdvice(code, 'listen')}`,
            ),
          );
        });
        server.listen(listen.port, listen.host, resolve);
      }),
    ]);
    const { port } = server.address() as { port: number };
    note(`listening on ${formatTarget({ host: listen.host, port })}, ${goes}`);
    warnIfReachable(listen, offers);
    await ended;
  } finally {
    server.close();
    for (const socket of [...sockets, ...surplus]) socket.destroy();
  }
}

const LOOPBACK = /^(127\.\d+\.\d+\.\d+|::1|localhost)$/;

/** Says it when others than this machine's users reach `listen`. `what` it is that they may use. */
export function warnIfReachable({ host }: Target, what: string): void {
  if (!LOOPBACK.test(host)) note(`warning: whoever reaches ${host} may use ${what}`);
}

/** Resolves at SIGINT or SIGTERM; rejects when the daemon can never be had again. */
export function untilEnded(client: SpinesClient): Promise<void> {
  return new Promise((resolve, reject) => {
    client.on('error', reject);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
}

async function dismiss(socket: Socket, refuse: Refuser): Promise<void> {
  socket.on('error', () => {});
  try {
    await refuse(socket);
  } catch {
    // It went, or speaks something else: that it was refused is said.
  }
  farewell(socket);
}

/**
 * Whoever speaks TCP to us sees what TCP has for this: a reset. A SOCKS client was answered, and
 * ended.
 */
function farewell(socket: Socket): void {
  if (socket.writableEnded) socket.resume().setTimeout(FAREWELL_MS, () => socket.destroy());
  else socket.resetAndDestroy();
}

async function carry(
  socket: Socket,
  open: Opener,
  log: Pick<Logger, 'info'>,
  refused: (fields: object) => void,
): Promise<void> {
  const from = `${socket.remoteAddress}:${socket.remotePort}`;
  const startMs = performance.now();
  const gone = new AbortController();
  const onGone = (): void => gone.abort();
  socket.on('error', () => {});
  socket.once('close', onGone);
  try {
    const opened = await open(socket, gone.signal);
    socket.off('close', onGone);
    if (opened === null) {
      farewell(socket);
      return;
    }
    const { socket: stream, headBytes, target, ownBytes } = opened;
    log.info({ from, target: formatTarget(target) }, 'connection carried');
    const { forward, backward, error } = await join(socket, stream, { a: ownBytes, b: headBytes });
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
  } catch (error) {
    const { message } = error as Error;
    refused({ from, why: message });
    if (!(error instanceof TunnelError) && (error as NodeJS.ErrnoException).code === undefined)
      throw error;
    farewell(socket);
  }
}

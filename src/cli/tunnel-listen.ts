/**
 * The local TCP listener of `spines forward` and `spines socks`, and its life until a signal ends it.
 *
 * Owns binding, the bound on connections, what is logged of each, and carrying it once it is known where to. What a
 * connection wants is the command's. Invariant: every accepted connection is destroyed when `serve` returns.
 */

import { createServer, type Socket } from 'node:net';
import type { Logger } from 'pino';
import type { SpinesClient, SpinesSocket } from 'spines-client';

import { EXIT_USAGE, Failure } from './failure.ts';
import { makeLog } from './log.ts';
import { note } from './output.ts';
import { join } from './tunnel-join.ts';
import { TunnelError } from './tunnel-dial.ts';
import { formatTarget, type Target } from './tunnel-target.ts';

/** Further ones wait in the kernel's backlog, or are refused by it. */
const CONNECTIONS_MAX = 1_024;

/** For a client that was told why not, to read it and go. */
const FAREWELL_MS = 1_000;

/** Finds out where a connection is to go and opens the way; `signal`: the connection is gone. Rejects with TunnelError. */
export type Opener = (socket: Socket, signal: AbortSignal) => Promise<{ socket: SpinesSocket; headBytes: number; target: Target; ownBytes: number }>;

/** Serves until SIGINT or SIGTERM. `what`: where connections go, for people. */
export async function serve(client: SpinesClient, listen: Target, verbose: boolean, what: string, open: Opener): Promise<void> {
  const log = await makeLog(verbose ? 'info' : 'silent');
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    void carry(socket, open, log);
  });
  server.maxConnections = CONNECTIONS_MAX;
  const ended = untilEnded(client);
  try {
    await Promise.race([ended, new Promise<void>((resolve, reject) => {
      server.once('error', ({ code = 'EIO' }: NodeJS.ErrnoException) => {
        reject(new Failure(EXIT_USAGE, code, `cannot listen on ${formatTarget(listen)} (${code}); choose another address or port`));
      });
      server.listen(listen.port, listen.host, resolve);
    })]);
    const { port } = server.address() as { port: number };
    note(`listening on ${formatTarget({ host: listen.host, port })}, ${what}`);
    await ended;
  } finally {
    server.close();
    for (const socket of sockets) socket.destroy();
  }
}

/** Resolves at SIGINT or SIGTERM; rejects when the daemon can never be had again. */
export function untilEnded(client: SpinesClient): Promise<void> {
  return new Promise((resolve, reject) => {
    client.on('error', reject);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
}

async function carry(socket: Socket, open: Opener, log: Logger): Promise<void> {
  const from = `${socket.remoteAddress}:${socket.remotePort}`;
  const startMs = performance.now();
  const gone = new AbortController();
  const onGone = (): void => gone.abort();
  socket.on('error', () => {});
  socket.once('close', onGone);
  try {
    const { socket: stream, headBytes, target, ownBytes } = await open(socket, gone.signal);
    socket.off('close', onGone);
    log.info({ from, target: formatTarget(target) }, 'connection carried');
    const { forward, backward, error } = await join(socket, stream, { a: ownBytes, b: headBytes });
    log.info({ from, target: formatTarget(target), out: forward, in: backward, ms: Math.round(performance.now() - startMs), error: error?.message }, 'connection ended');
  } catch (error) {
    const { message } = error as Error;
    log.info({ from, why: message }, 'connection refused');
    if (!(error instanceof TunnelError) && (error as NodeJS.ErrnoException).code === undefined) throw error;
    // Whoever speaks TCP to us sees what TCP has for this: a reset. A SOCKS client was answered, and ended.
    if (socket.writableEnded) socket.resume().setTimeout(FAREWELL_MS, () => socket.destroy());
    else socket.resetAndDestroy();
  }
}

/**
 * `spines cat` with a stream: standard input to the far end, what comes from there to standard
 * output.
 *
 * Owns pacing, half-close and when it is over. The end of standard input ends our direction; the
 * far end's end does not end ours, unless nothing is to be expected of standard input: it is a
 * terminal, or it has given nothing for IDLE_INPUT_MS since (a pipe that its writer forgot).
 * Invariant: exit code 0 means that all was handed over, in both directions; who stops before,
 * interrupted or killed, leaves the far end a reset.
 */

import { once } from 'node:events';
import { Transform, type Readable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import type { SpinesClient, SpinesSocket } from 'spines-client';

import { formatRate, formatSize } from '../../text/units.ts';
import type { CatFlags } from './cat-flags.ts';
import {
  EXIT_NO,
  EXIT_NO_DAEMON,
  EXIT_OK,
  EXIT_USAGE,
  Failure,
  oneLine,
} from '../terminal/failure.ts';
import { note, outputMatters } from '../terminal/output.ts';
import { TokenBucket, burstBytes } from '../replay/pacing.ts';
import { Patience } from '../terminal/patience.ts';
import { inputIsTerminal, standardInput, tellNotRead } from './terminal-input.ts';

const IDLE_INPUT_MS = 5_000;
/** Paced input is cut to pieces of this size. */
const PACED_BYTES = 4_096;

export async function connectStream(
  client: SpinesClient,
  node: string,
  port: number,
  flags: CatFlags,
): Promise<void> {
  const interrupted = interruption();
  const connected = new Patience(flags.wait).until(async () => {
    const socket = client.stream({
      allowHalfOpen: true,
      link: flags.link,
      routing: flags.routing,
      secrecy: flags.secrecy,
      silenceMs: flags.silence,
    });
    try {
      socket.connect({ port, host: node });
      await once(socket, 'connect');
      return socket;
    } catch (error) {
      throw streamFailure(client, error);
    }
  });
  const socket = await Promise.race([connected, interrupted]);
  if (flags.verbose === true) note(`connected to ${node} port ${port}`);
  await exchange(client, socket, flags, true, interrupted);
}

export async function listenForStreams(
  client: SpinesClient,
  port: number,
  flags: CatFlags,
): Promise<void> {
  const keepOpen = flags.keepOpen === true;
  const server = client.createServer({
    allowHalfOpen: true,
    pauseOnConnect: true,
    link: flags.link,
    routing: flags.routing,
    secrecy: flags.secrecy,
    silenceMs: flags.silence,
  });
  const interrupted = interruption();
  try {
    server.listen({ port, backlog: keepOpen ? undefined : 1 });
    await once(server, 'listening');
  } catch (error) {
    throw listenFailure(client, error, port);
  }
  if (flags.verbose === true) note(`listening on ${client.name || client.node} port ${port}`);
  const waiting: SpinesSocket[] = [];
  let wake: () => void = () => {};
  let lost: Error | null = null;
  server.on('error', (error) => {
    lost = error;
    wake();
  });
  server.on('connection', (socket) => {
    // Errors of one that waits are met when its turn comes.
    socket.on('error', () => {});
    if (!keepOpen) server.close();
    waiting.push(socket);
    wake();
  });
  try {
    do {
      while (waiting.length === 0) {
        if (lost !== null) throw listenFailure(client, lost, port);
        await Promise.race([
          new Promise<void>((resolve) => {
            wake = resolve;
          }),
          interrupted,
        ]);
      }
      const socket = waiting.shift()!;
      if (flags.verbose === true)
        note(`connected from ${socket.remoteAddress} port ${socket.remotePort}`);
      try {
        await exchange(client, socket, flags, !keepOpen, interrupted);
      } catch (error) {
        // One broken stream is not the end of a listener that stays.
        if (!keepOpen || !(error instanceof Failure) || error.exitCode !== EXIT_NO) throw error;
        note(`spines: ${error.message}`);
      }
    } while (keepOpen);
  } catch (error) {
    // That is how a listener that stays ends.
    if (keepOpen && error instanceof Failure && error.code === 'EINTR') process.exitCode = EXIT_OK;
    else throw error;
  }
}

async function exchange(
  client: SpinesClient,
  socket: SpinesSocket,
  flags: CatFlags,
  reads: boolean,
  interrupted: Promise<never>,
): Promise<void> {
  const startMs = performance.now();
  outputMatters();
  const input: Readable | null = reads
    ? standardInput(flags.listen === undefined ? tellNotRead : undefined)
    : null;
  try {
    const incoming = receive(socket);
    const outgoing =
      input === null
        ? incoming.then(() => {
            socket.end();
          })
        : send(socket, input, flags);
    const idle =
      input === null
        ? incoming
        : Promise.race([outgoing, incoming.then(() => nothingToExpect(input, socket, outgoing))]);
    outgoing.catch(() => {});
    idle.catch(() => {});
    await Promise.race([Promise.all([incoming, idle]), interrupted]);
    socket.end();
    // Ended both ways: 'close' says that the daemon has all of it.
    if (!socket.destroyed) await Promise.race([finished(socket), interrupted]);
  } catch (error) {
    // In the middle: the far end must not take it for the end of the data.
    socket.resetAndDestroy();
    throw error instanceof Failure ? error : streamFailure(client, error);
  } finally {
    input?.destroy();
    if (flags.verbose === true) {
      note(describe('sent', socket.bytesWritten, startMs));
      note(describe('received', socket.bytesRead, startMs));
    }
  }
}

async function receive(socket: SpinesSocket): Promise<void> {
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    if (!process.stdout.write(chunk)) await once(process.stdout, 'drain');
  }
}

async function send(socket: SpinesSocket, input: Readable, flags: CatFlags): Promise<void> {
  // Before the pipeline, which would end the stream as if that had been all.
  input.once('error', () => {
    socket.resetAndDestroy();
  });
  if (flags.rate === undefined) await pipeline(input, socket, { end: true });
  else await pipeline(input, pacer(flags.rate), socket, { end: true });
}

/** Resolves when nothing more is to be expected of `input`, after the far end has ended. */
async function nothingToExpect(
  input: Readable,
  socket: SpinesSocket,
  outgoing: Promise<void>,
): Promise<void> {
  if (inputIsTerminal()) return;
  let over = false;
  const ended = outgoing.then(() => {
    over = true;
  });
  for (let given = true; given && !over; ) {
    given = false;
    const onData = (): void => {
      given = true;
    };
    input.on('data', onData);
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([
      ended,
      new Promise<void>((resolve) => {
        timer = setTimeout(resolve, IDLE_INPUT_MS);
      }),
    ]);
    clearTimeout(timer);
    input.off('data', onData);
    // What waits for the far end to read it was given as well.
    if (input.isPaused() || socket.writableLength > 0) given = true;
  }
}

/** Lets `kbps` of payload through. */
function pacer(kbps: number): Transform {
  const nowUs = (): number => performance.now() * 1_000;
  const bucket = new TokenBucket(kbps, burstBytes(kbps, PACED_BYTES), nowUs());
  return new Transform({
    transform(chunk: Buffer, _encoding, callback) {
      let at = 0;
      const step = (): void => {
        while (at < chunk.length) {
          const part = chunk.subarray(at, at + PACED_BYTES);
          const waitUs = bucket.take(nowUs(), part.length);
          if (waitUs > 0) {
            setTimeout(step, Math.max(1, waitUs / 1_000));
            return;
          }
          this.push(part);
          at += part.length;
        }
        callback();
      };
      step();
    },
  });
}

/** Rejects at SIGINT and SIGTERM. */
function interruption(): Promise<never> {
  const interrupted = new Promise<never>((_, reject) => {
    process.once('SIGINT', () => reject(new Failure(130, 'EINTR', '')));
    process.once('SIGTERM', () => reject(new Failure(143, 'EINTR', '')));
  });
  interrupted.catch(() => {});
  return interrupted;
}

function streamFailure(client: SpinesClient, error: unknown): unknown {
  if (error instanceof Failure || !(error instanceof Error)) return error;
  const code = (error as NodeJS.ErrnoException).code ?? 'EUNKNOWN';
  if (error.constructor.name !== 'SpinesClientError' && !code.startsWith('ERR_STREAM'))
    return error;
  const message = oneLine(error.message);
  return new Failure(
    client.connected ? EXIT_NO : EXIT_NO_DAEMON,
    code,
    message.includes(';') ? message : `${message}; see \`spines sessions\`, or try again`,
  );
}

function listenFailure(client: SpinesClient, error: unknown, port: number): unknown {
  if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE')
    return new Failure(
      EXIT_USAGE,
      'EADDRINUSE',
      `port ${port} is taken; choose another port, or see \`spines sessions\``,
    );
  return streamFailure(client, error);
}

/** "sent 10485760 bytes (10 MiB) in 2.10 s (39.9 Mbit/s)". */
function describe(verb: string, bytes: number, startMs: number): string {
  const seconds = (performance.now() - startMs) / 1_000;
  return (
    `${verb} ${bytes} bytes (${formatSize(bytes)}) in ${seconds.toFixed(2)} s ` +
    `(${formatRate(Math.round((bytes * 8) / seconds / 100) / 10)})`
  );
}

/**
 * `spines capture`: what links of a running daemon carry, opened, as text or as a pcapng file.
 *
 * Owns flags, the loop that reads what the daemon kept, and the end: by signal, after so many, when
 * the daemon goes away. What a file has is finished whichever way it ends. Only who may administer
 * the daemon may capture; what is sealed from end to end stays so.
 */

import { createWriteStream } from 'node:fs';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { InvalidArgumentError, type Command } from 'commander';
import type { SpinesClient } from 'spines-client';
import {
  CAPTURE_BYTES_MAX,
  CAPTURE_BYTES_MIN,
  CAPTURE_SNAP_MAX,
  CAPTURE_SNAP_MIN,
  type CaptureArgs,
  type CapturedDatagram,
  type CaptureSession,
} from 'spines-client/protocol';

import { PORT_MAX } from '../../core/base/ids.ts';
import { addClientFlags, ask, withClient, type ClientFlags } from '../client.ts';
import { systemAdvice, usage } from '../terminal/failure.ts';
import { helpBelow } from '../terminal/help-text.ts';
import { note, print } from '../terminal/output.ts';
import { plainJson } from '../terminal/plain-text.ts';
import { integerArg, sizeArg } from '../terminal/values.ts';
import { packageVersion } from '../version.ts';
import { captureDetails, captureLine } from './capture-text.ts';
import { dissect } from './dissect.ts';
import { PcapngWriter } from './pcapng.ts';

interface CaptureFlags extends ClientFlags {
  session?: readonly CaptureSession[];
  drops?: boolean;
  write?: string;
  count?: number;
  snap?: number;
  buffer?: number;
  details?: boolean;
  json?: boolean;
  dissector?: boolean;
}

/** For how long a read of the daemon waits for something to answer with. */
const WAIT_MS = 500;

const MORE = `
LINK is a neighbour, by name or address; default: all, and strangers. Without -w a
line for each datagram: > left, < came. Payloads that are sealed from end to end, or
routed byzantine, stay sealed. Only who may administer the daemon may capture.

  spines capture -w overlay.pcapng
  tshark -X lua_script:"$(spines capture --dissector)" -r overlay.pcapng`;

export function registerCapture(program: Command): void {
  addClientFlags(
    program.command('capture [link...]').description('show or keep what links carry, opened'),
  )
    .option(
      '--session <node:port>',
      'only datagrams with packets from or to NODE, NODE:PORT or :PORT; again for several',
      (text: string, before: readonly CaptureSession[] = []) => [...before, sessionArg(text)],
    )
    .option('--drops', 'only datagrams of which something was dropped, with why')
    .option('-w, --write <file>', 'write pcapng to a file; - for standard output')
    .option('-c, --count <n>', 'end after so many datagrams', integerArg(1, 1_000_000_000))
    .option(
      '--snap <bytes>',
      `keep so much of each datagram (default: ${CAPTURE_SNAP_MAX}, all)`,
      sizeArg(CAPTURE_SNAP_MIN, CAPTURE_SNAP_MAX),
    )
    .option(
      '--buffer <size>',
      'let so much wait in the daemon (default: 4MiB)',
      sizeArg(CAPTURE_BYTES_MIN, CAPTURE_BYTES_MAX),
    )
    .option('-d, --details', 'show each field')
    .option('--json', 'print JSON, an object a line')
    .option('--dissector', 'print where the dissector for Wireshark is, and end')
    .addHelpText('after', helpBelow(MORE))
    .action((links: string[], flags: CaptureFlags) => {
      if (flags.dissector === true) {
        print(`${dissectorPath()}\n`);
        return undefined;
      }
      if (flags.write !== undefined && (flags.details === true || flags.json === true))
        throw usage('-w writes pcapng; leave out -d and --json, or -w');
      return withClient(flags, 'capture', (client) => capture(client, links, flags));
    });
}

/** In the package as it is installed, and in its sources. */
export function dissectorPath(): string {
  return fileURLToPath(new URL('../../../examples/wireshark/spines.lua', import.meta.url));
}

/** NODE, NODE:PORT or :PORT. */
export function sessionArg(text: string): CaptureSession {
  const match = /^([^:\s]*)(?::(\d{1,5}))?$/.exec(text);
  const [, node = '', digits] = match ?? [];
  const port = digits === undefined ? undefined : Number(digits);
  if (
    match === null ||
    (node === '' && port === undefined) ||
    (port !== undefined && (port < 1 || port > PORT_MAX))
  )
    throw new InvalidArgumentError('write NODE, NODE:PORT or :PORT, for example n1:80.');
  return { ...(node === '' ? {} : { node }), ...(port === undefined ? {} : { port }) };
}

/** Takes what was captured. */
interface Sink {
  datagram(datagram: CapturedDatagram): Promise<void> | void;
  /** So many were missed just now. */
  missed(count: number): void;
  end(missed: number): Promise<void>;
}

async function capture(
  client: SpinesClient,
  links: readonly string[],
  flags: CaptureFlags,
): Promise<void> {
  const asked: CaptureArgs = {
    peers: links,
    sessions: flags.session ?? [],
    dropsOnly: flags.drops === true,
    ...(flags.snap === undefined ? {} : { snap: flags.snap }),
    ...(flags.buffer === undefined ? {} : { bytes: flags.buffer }),
  };
  const { node } = await ask(client, 'capture', asked);
  const sink = await sinkOf(node, flags);
  let over = false;
  const stop = (): void => {
    over = true;
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const most = flags.count ?? Infinity;
  let count = 0,
    missed = 0;
  try {
    while (count < most) {
      const last = over;
      const reply = await ask(client, 'captureRead', { waitMs: last ? 0 : WAIT_MS });
      missed += reply.missed;
      for (const datagram of reply.datagrams.slice(0, most - count)) await sink.datagram(datagram);
      if (reply.missed > 0) sink.missed(reply.missed);
      count += reply.datagrams.length;
      if (last) break;
    }
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
    await sink.end(missed);
    if (flags.write !== undefined)
      note(`${Math.min(count, most)} datagrams captured, ${missed} missed`);
  }
}

async function sinkOf(node: string, flags: CaptureFlags): Promise<Sink> {
  if (flags.write !== undefined) return fileSink(node, flags.write, flags.snap);
  const show = flags.json === true ? captureJson : flags.details ? captureDetails : captureLine;
  return {
    datagram: (datagram) => print(show(datagram)),
    missed: (count) => note(`${count} datagrams were missed: they came faster than they were read`),
    end: async () => {},
  };
}

/** Of who may read the file alone: it has what is under way. */
const FILE_MODE = 0o600;

async function fileSink(node: string, path: string, snap = CAPTURE_SNAP_MAX): Promise<Sink> {
  const writer = new PcapngWriter(node, snap);
  const own = path === '-' ? null : createWriteStream(path, { mode: FILE_MODE });
  const stream: Writable = own ?? process.stdout;
  let failed: Error | null = null;
  if (own !== null)
    await new Promise<void>((resolve, reject) => {
      own.once('open', () => resolve());
      own.on('error', (error: NodeJS.ErrnoException) => {
        const { code = 'EIO', syscall = 'write' } = error;
        failed = usage(`can't write ${path}: ${code}; ${systemAdvice(code, syscall)}`);
        reject(failed);
      });
    });
  const write = async (bytes: Uint8Array): Promise<void> => {
    if (failed !== null) throw failed;
    if (!stream.write(bytes) && !stream.destroyed)
      await Promise.race([
        new Promise((resolve) => stream.once('drain', resolve)),
        new Promise((resolve) => stream.once('close', resolve)),
      ]);
  };
  await write(writer.begin(`spines ${packageVersion()}`));
  return {
    datagram: (datagram) => write(writer.datagram(datagram)),
    missed: () => {},
    end: async (missed) => {
      await write(writer.end(missed));
      if (own === null) return;
      own.end();
      await finished(own);
    },
  };
}

/** An object a line. */
function captureJson(datagram: CapturedDatagram): string {
  const { bytes, length, opened } = datagram;
  const { parts, fault, cut } = dissect(bytes, length, opened);
  return plainJson(
    `${JSON.stringify({
      schema: 1,
      ...datagram,
      bytes: Buffer.from(bytes).toString('hex'),
      fault,
      cut,
      parts: parts.map(({ structure, depth, fields }) => ({
        structure,
        depth,
        fields: Object.fromEntries(fields),
      })),
    })}\n`,
  );
}

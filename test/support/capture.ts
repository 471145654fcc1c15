/**
 * What somebody on the wire can read: captures by tcpdump, and the search for things that should
 * not be there.
 *
 * `Capture` owns one tcpdump process and its file; `udpPayloads` takes a pcap file apart; `leaks`
 * looks for texts, ids and bytes in datagrams from any source. Only UDP payloads are searched: IP
 * headers are not ours to hide.
 */

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const GLOBAL_HEADER = 24,
  RECORD_HEADER = 16;
const LINKTYPE_ETHERNET = 1;
const ETHERTYPE_IPV4 = 0x0800,
  PROTOCOL_UDP = 17;
/** An adversary who knows part of a certificate would recognise it by so many bytes. */
const PIECE_BYTES = 16;
/**
 * Single ids turn up by chance: 4 bytes once in 4 GB for each. More than this is no chance in some
 * megabytes.
 */
export const ID_CHANCE = 2;

/** What is looked for in datagrams. */
export interface Needles {
  /** Names and markers, as ASCII. */
  readonly texts: readonly string[];
  readonly nodeIds: readonly number[];
  /** Certificates and keys: any aligned piece of 16 bytes counts. */
  readonly secrets: readonly Uint8Array[];
}

export interface Leaks {
  readonly datagrams: number;
  readonly bytes: number;
  /** The texts that were found. */
  readonly texts: readonly string[];
  /**
   * Datagrams with two different node ids side by side, as a packet's source and destination are.
   */
  readonly idPairs: number;
  /** Datagrams with any node id anywhere. */
  readonly idDatagrams: number;
  /** How many of the secrets were found, at least in part. */
  readonly secrets: number;
}

/** A text that spans two datagrams is not found: whoever plants one should repeat it. */
export function leaks(
  datagrams: readonly Uint8Array[],
  { texts, nodeIds, secrets }: Needles,
): Leaks {
  const buffers = datagrams.map((bytes) =>
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length),
  );
  // Between datagrams lies what is in no needle, so that none is found across the seam.
  const all = Buffer.concat(buffers.flatMap((buffer) => [buffer, SEAM]));
  const ids = nodeIds.map(idBytes);
  const pairs = ids.flatMap((a) => ids.filter((b) => b !== a).map((b) => Buffer.concat([a, b])));
  const holding = (needles: readonly Buffer[]): number =>
    buffers.filter((buffer) => needles.some((needle) => buffer.includes(needle))).length;
  return {
    datagrams: buffers.length,
    bytes: buffers.reduce((sum, buffer) => sum + buffer.length, 0),
    texts: texts.filter((text) => all.includes(text, 0, 'latin1')),
    idPairs: holding(pairs),
    idDatagrams: holding(ids),
    secrets: secrets.filter((secret) => piecesOf(secret).some((piece) => all.includes(piece)))
      .length,
  };
}

const SEAM = Buffer.from([0xa5, 0x00, 0xff, 0x5a, 0xc3]);

function idBytes(id: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(id);
  return bytes;
}

function piecesOf(secret: Uint8Array): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at + PIECE_BYTES <= secret.length; at += PIECE_BYTES)
    pieces.push(Buffer.from(secret.subarray(at, at + PIECE_BYTES)));
  return pieces;
}

/* ------------------------------------------------------------------ pcap */

/**
 * Payloads of the UDP datagrams over IPv4 in a pcap file of Ethernet frames. Fragments and others
 * are left out.
 */
export function udpPayloads(pcap: Buffer): Buffer[] {
  const big = pcap.readUInt32BE(0) === 0xa1b2c3d4;
  if (!big && pcap.readUInt32LE(0) !== 0xa1b2c3d4) throw new Error('not a pcap file');
  const u32 = (at: number): number => (big ? pcap.readUInt32BE(at) : pcap.readUInt32LE(at));
  if (u32(20) !== LINKTYPE_ETHERNET) throw new Error(`link type ${u32(20)} is not Ethernet`);
  const payloads: Buffer[] = [];
  for (let at = GLOBAL_HEADER; at + RECORD_HEADER <= pcap.length; ) {
    const length = u32(at + 8);
    const frame = pcap.subarray(at + RECORD_HEADER, at + RECORD_HEADER + length);
    at += RECORD_HEADER + length;
    if (
      frame.length < 42 ||
      frame.readUInt16BE(12) !== ETHERTYPE_IPV4 ||
      frame[23] !== PROTOCOL_UDP
    )
      continue;
    if ((frame.readUInt16BE(20) & 0x3fff) !== 0) continue;
    const udp = 14 + (frame[14]! & 15) * 4;
    payloads.push(frame.subarray(udp + 8, udp + frame.readUInt16BE(udp + 4)));
  }
  return payloads;
}

/* ------------------------------------------------------------------ tcpdump */

/** Why nothing can be captured here, null when it can. */
export function whyNoCapture(): string | null {
  const found = spawnSync('tcpdump', ['--version']);
  if (found.error !== undefined) return 'there is no tcpdump';
  // It opens the device to compile a filter for it.
  const compiled = spawnSync('tcpdump', ['-i', 'lo', '-d', 'udp'], { encoding: 'utf8' });
  return compiled.status === 0
    ? null
    : `tcpdump may not capture: ${compiled.stderr.trim().split('\n').at(-1)!}`;
}

export class Capture {
  readonly #folder = mkdtempSync(join(tmpdir(), 'spines-capture-'));
  readonly #file = join(this.#folder, 'capture.pcap');
  readonly #child: ChildProcess;
  /**
   * On the loopback device each packet goes out and comes in: the kernel counts both, tcpdump
   * writes one.
   */
  readonly #countedPerPacket: number;
  #said = '';

  /**
   * `filter`: as tcpdump's. `prefix`: a command that runs it elsewhere, as `ip netns exec NAME`.
   */
  constructor(device: string, filter: string, prefix: readonly string[] = []) {
    this.#countedPerPacket = device === 'lo' ? 2 : 1;
    const [command, ...args] = [
      ...prefix,
      'tcpdump',
      '-i',
      device,
      '-U',
      '-n',
      '-s',
      '0',
      '-B',
      '65536',
      '-w',
      this.#file,
      ...privileges(),
      ...filter.split(' '),
    ];
    this.#child = spawn(command!, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child.stderr!.on('data', (chunk: Buffer) => {
      this.#said += chunk.toString();
    });
  }

  /** Until packets are being captured. */
  async ready(): Promise<this> {
    await this.#until('does not capture', () =>
      this.#said.includes('listening on') ? true : null,
    );
    return this;
  }

  /** Ends it, and returns the payloads of all that went by until now. */
  async end(): Promise<Buffer[]> {
    try {
      await this.#written();
      await this.#gone('SIGINT');
      return udpPayloads(readFileSync(this.#file));
    } finally {
      await this.close();
    }
  }

  /** Ends it, and returns how many packets its filter let pass. */
  async count(): Promise<number> {
    try {
      await this.#written();
      return (await this.#counts()).captured;
    } finally {
      await this.close();
    }
  }

  /**
   * Until what the kernel has counted by now is in the file: a signal ends tcpdump at once, and
   * what the ring held for the next time that it looks, up to a second's traffic, would be lost.
   */
  async #written(): Promise<void> {
    const { received } = await this.#counts();
    await this.#until('does not write all that it received', async () => {
      const { captured, dropped } = await this.#counts();
      if (dropped > 0)
        throw new Error(`tcpdump missed ${dropped} packets: what it has shows nothing`);
      return captured * this.#countedPerPacket >= received ? true : null;
    });
  }

  /** What tcpdump answers to SIGUSR1, in packets since it began. */
  async #counts(): Promise<{ captured: number; received: number; dropped: number }> {
    const before = this.#said.length;
    this.#child.kill('SIGUSR1');
    const [, captured, received, dropped] = await this.#until(
      'does not say what it has captured',
      () =>
        new RegExp(
          String.raw`(\d+) packets? captured, (\d+) packets? received by filter, (\d+) ` +
            String.raw`packets? dropped by kernel`,
        ).exec(this.#said.slice(before)),
    );
    return { captured: Number(captured), received: Number(received), dropped: Number(dropped) };
  }

  /**
   * Looks every 20 ms, for 10 s, until `look` finds something. `fault`: what tcpdump does
   * otherwise.
   */
  async #until<T>(fault: string, look: () => T | null | Promise<T | null>): Promise<T> {
    for (let tries = 0; tries < 500; tries += 1) {
      const found = await look();
      if (found !== null) return found;
      if (this.#child.exitCode !== null) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`tcpdump ${fault}: ${this.#said}`);
  }

  async close(): Promise<void> {
    await this.#gone('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #gone(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill(signal);
    await gone;
  }
}

/** As root, tcpdump would become a user who cannot write into our folder. */
function privileges(): string[] {
  return process.getuid?.() === 0 ? ['-Z', 'root'] : [];
}

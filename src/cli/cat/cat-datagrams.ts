/**
 * `spines cat --datagram`: standard input cut into datagrams, and datagrams written to standard
 * output.
 *
 * Owns cutting, pacing and the end mark: an empty datagram, sent three times because one may be
 * lost. The listener ends at the first. With --reply both ends do both.
 */

import type { RemoteInfo, SpinesClient, SpinesClientError, SpinesDatagram } from 'spines-client';

import { isAnycastId, isGroupId, parseNodeId } from '../../core/base/ids.ts';
import { SECOND } from '../../core/base/time.ts';
import { formatRate, formatSize } from '../../text/units.ts';
import type { CatFlags } from './cat-flags.ts';
import { ask } from '../client.ts';
import { EXIT_NO, EXIT_OK, Failure } from '../terminal/failure.ts';
import { note, outputMatters } from '../terminal/output.ts';
import { TokenBucket, burstBytes } from '../replay/pacing.ts';
import { Patience } from '../terminal/patience.ts';
import { standardInput, tellNotRead } from './terminal-input.ts';

/** One packet, sealed from end to end. */
export const SIZE_DEFAULT = 1_372;
const END_MARKS = 3;
const END_MARK_GAP_MS = 5;
/** Before the first end mark, so that it does not overtake data that was delayed a little. */
const END_PAUSE_MS = 20;
/** Of the far end, while it is waited for. */
const WAIT_PROBE_MS = 1_000;
/** While standard output is slow. */
const RECV_QUEUE_BYTES = 4 * 1024 * 1024;

interface Peer {
  readonly node: string;
  readonly port: number;
}

class Counts {
  datagrams = 0;
  bytes = 0;
  dropped = 0;
  #firstMs = 0;
  #lastMs = 0;

  add(bytes: number): void {
    this.#lastMs = performance.now();
    if (this.datagrams === 0) this.#firstMs = this.#lastMs;
    this.datagrams += 1;
    this.bytes += bytes;
  }

  /** "sent 10 MiB in 7577 datagrams in 2.10 s (39.9 Mbit/s), 0 dropped". */
  describe(verb: string): string {
    const seconds = (this.#lastMs - this.#firstMs) / 1_000;
    const rate =
      seconds > 0 ? ` (${formatRate(Math.round((this.bytes * 8) / seconds / 100) / 10)})` : '';
    return (
      `${verb} ${this.bytes} bytes (${formatSize(this.bytes)}) in ${this.datagrams} ` +
      `datagrams in ${seconds.toFixed(2)} s${rate}, ${this.dropped} dropped`
    );
  }
}

/** A socket that fails the command when it, or the connection to the daemon, fails. */
class Wire {
  readonly client: SpinesClient;
  readonly socket: SpinesDatagram;
  readonly sent = new Counts();
  readonly received = new Counts();
  /** Never resolves; rejects when nothing more can come. */
  readonly broken: Promise<never>;
  refusal: SpinesClientError | null = null;

  /** `group`: it joins, or sends to, one: what goes to groups is sealed on links only. */
  constructor(
    client: SpinesClient,
    { link = 'best-effort', routing = 'link-state', secrecy: asked }: CatFlags,
    group: boolean,
  ) {
    this.client = client;
    const secrecy = asked ?? (group ? 'links' : undefined);
    this.socket = client.datagram({
      link,
      routing,
      secrecy,
      recvQueueBytes: RECV_QUEUE_BYTES,
      reuseAddr: group,
      slowBranch: 'wait',
    });
    this.broken = new Promise<never>((_, reject) => {
      this.socket.on('error', reject);
      client.on('error', reject);
      client.on('disconnect', reject);
    });
    // Whoever waits sees it; nobody may be waiting just now.
    this.broken.catch(() => {});
    this.socket.on('dropped', ({ count }) => {
      this.received.dropped += count;
    });
    this.socket.on('sendError', (error) => {
      this.sent.dropped += error.count;
      this.refusal = error;
    });
  }

  bind(port: number): Promise<void> {
    return Promise.race([
      this.broken,
      new Promise<void>((resolve) => this.socket.bind(port, resolve)),
    ]);
  }

  /** Sends standard input to `peerOf()`, then the end marks. */
  async pump(peerOf: () => Promise<Peer>, flags: CatFlags): Promise<void> {
    const { size = SIZE_DEFAULT } = flags;
    const nowUs = (): number => performance.now() * 1_000;
    const bucket =
      flags.rate === undefined
        ? null
        : new TokenBucket(flags.rate, burstBytes(flags.rate, size), nowUs());
    let peer: Peer | null = null;
    for await (const chunk of standardInput(tellNotRead) as AsyncIterable<Buffer>) {
      peer = await peerOf();
      for (let at = 0; at < chunk.length; at += size) {
        const part = chunk.subarray(at, at + size);
        for (
          let waitUs = bucket?.take(nowUs(), part.length) ?? 0;
          waitUs > 0;
          waitUs = bucket!.take(nowUs(), part.length)
        ) {
          await sleep(waitUs / 1_000);
        }
        const room = this.socket.send(part, peer.port, peer.node);
        this.sent.add(part.length);
        if (!room) await Promise.race([this.socket.ready(), this.broken]);
      }
    }
    peer ??= await peerOf();
    await sleep(END_PAUSE_MS);
    for (let i = 0; i < END_MARKS; i += 1) {
      this.socket.send(empty, peer.port, peer.node);
      await sleep(END_MARK_GAP_MS);
    }
    // The daemon answers in order: once this is answered it has taken all of the above, and said
    // what it refused.
    await ask(this.client, 'status');
  }

  /**
   * Writes what arrives to standard output; `onMessage` sees each datagram first, and says false to
   * swallow it.
   */
  print(onMessage: (message: Buffer, from: RemoteInfo) => boolean): void {
    outputMatters();
    this.socket.on('message', (message, from) => {
      if (!onMessage(message, from) || message.length === 0) return;
      this.received.add(message.length);
      if (!process.stdout.write(message)) {
        this.socket.pause();
        process.stdout.once('drain', () => this.socket.resume());
      }
    });
  }
}

export async function listenForDatagrams(
  client: SpinesClient,
  port: number,
  flags: CatFlags,
): Promise<void> {
  const { join } = flags;
  const wire = new Wire(client, flags, join !== undefined);
  const over = new Signal();
  let gotPeer: (peer: Peer) => void = () => {};
  let last: Peer | null = null;
  const firstPeer = new Promise<Peer>((resolve) => {
    gotPeer = resolve;
  });
  wire.print((message, from) => {
    // Later end marks of one sender mean nothing to the next one.
    last = { node: from.address, port: from.port };
    gotPeer(last);
    if (message.length === 0 && flags.keepOpen !== true) over.set();
    return !over.isSet;
  });
  const interrupted = new Signal();
  onSignals(interrupted);
  await wire.bind(port);
  if (join !== undefined) wire.socket.addMembership(join);
  if (flags.verbose === true) note(`listening on ${client.name || client.node} port ${port}`);
  const replies =
    flags.reply === true ? wire.pump(async () => last ?? firstPeer, flags) : Promise.resolve();
  replies.catch(() => {});
  await Promise.race([Promise.all([over.promise, replies]), interrupted.promise, wire.broken]);
  report(wire, flags, flags.reply === true, true);
  if (interrupted.isSet) process.exitCode = flags.keepOpen === true ? EXIT_OK : 130;
}

export async function sendDatagrams(
  client: SpinesClient,
  name: string,
  port: number,
  flags: CatFlags,
): Promise<void> {
  const group = isGroupAddress(name);
  const { node } = await new Patience(flags.wait).until(async () => {
    if (group) return { node: name };
    const found = await ask(client, 'resolve', { name });
    // Whether somebody listens there is not to be known.
    if (flags.wait !== undefined)
      await ask(client, 'ping', { node: found.node, timeoutMs: WAIT_PROBE_MS });
    return found;
  });
  const wire = new Wire(client, flags, group);
  const answered = new Signal();
  if (flags.reply === true) {
    wire.print((message, from) => {
      const fromPeer = from.address === node && from.port === port;
      if (fromPeer && message.length === 0) answered.set();
      return fromPeer && !answered.isSet;
    });
  } else {
    answered.set();
  }
  const interrupted = new Signal();
  onSignals(interrupted);
  await Promise.race([wire.socket.ready(), wire.broken]);
  const pumped = wire.pump(async () => ({ node, port }), flags);
  await Promise.race([Promise.all([pumped, answered.promise]), interrupted.promise, wire.broken]);
  report(wire, flags, true, flags.reply === true);
  if (interrupted.isSet) {
    process.exitCode = 130;
  } else if (wire.refusal !== null) {
    throw new Failure(
      EXIT_NO,
      wire.refusal.code,
      `${wire.sent.dropped} datagrams were not sent (${wire.refusal.message.split(';')[0]}); see ` +
        `\`spines routes\`, or give a lower --rate`,
    );
  }
}

/** Of class D or E. */
function isGroupAddress(name: string): boolean {
  const id = parseNodeId(name);
  return id !== null && (isGroupId(id) || isAnycastId(id));
}

function report(wire: Wire, flags: CatFlags, sent: boolean, received: boolean): void {
  if (flags.verbose !== true) return;
  if (sent) note(wire.sent.describe('sent'));
  if (received) note(wire.received.describe('received'));
}

/** Something that happens once. */
class Signal {
  isSet = false;
  readonly promise: Promise<void>;
  set!: () => void;

  constructor() {
    this.promise = new Promise((resolve) => {
      this.set = () => {
        this.isSet = true;
        resolve();
      };
    });
  }
}

function onSignals(interrupted: Signal): void {
  process.once('SIGINT', interrupted.set);
  process.once('SIGTERM', interrupted.set);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(1, Math.min(ms, SECOND / 1_000))));
}

const empty = Buffer.alloc(0);

/**
 * Captures: datagrams of links, opened, kept for the programs that asked for them until they read
 * them.
 *
 * Owns who captures what, and what waits for each. Nothing is kept, and nothing is looked at, while
 * nobody captures. Bounded: CAPTURES_MAX at once, one for each connected program, each in bytes and
 * datagrams; what comes when there is no room is counted, and so told. Bytes are copied before they
 * are used, as those who use them may write to them; what was dropped is what the counters say
 * behind it. Secrets of links are in no datagram, and what is sealed from end to end stays so.
 */

import type { Endpoint } from '../base/datagram.ts';
import { SpinesError } from '../base/errors.ts';
import { formatNodeId, PORT_MAX, type NodeId } from '../base/ids.ts';
import { MILLISECOND, Timer, type Micros } from '../base/time.ts';
import { integer, type Arguments } from '../ipc/arguments.ts';
import type { ConnectedClient } from '../ipc/client.ts';
import type { Tap, TappedChannel } from '../link/tap.ts';
import { unknownName } from '../link/unknown-name.ts';
import { DROP_REASON_COUNT, DropReason, dropReasonName } from '../wire/drop.ts';
import {
  CAPTURE_BYTES_MAX,
  CAPTURE_BYTES_MIN,
  CAPTURE_SNAP_MAX,
  CAPTURE_SNAP_MIN,
  CAPTURE_WAIT_MS_MAX,
  CAPTURE_WANTED_MAX,
  type CapturedDatagram,
  type OperationAnswer,
} from 'spines-client/protocol';
import {
  CAPTURES_MAX,
  CaptureFilter,
  type WantedPeers,
  type WantedSession,
} from './capture-filter.ts';
import type { NodeView } from './node-view.ts';
import type { Answering, Operator } from './operation.ts';

const BYTES_DEFAULT = 4_194_304;
/** What a datagram takes of its capture's bytes, beside its own. */
const DATAGRAM_OVERHEAD = 256;
/** Of one answer, so that it fits a frame of the client protocol. */
const ANSWER_BYTES = 131_072;
/** A read that waits looks this often. */
const LOOK_INTERVAL: Micros = 20 * MILLISECOND;

type Kept = { -readonly [Field in keyof CapturedDatagram]: CapturedDatagram[Field] };

interface Read {
  readonly until: Micros;
  readonly reply: Answering<'captureRead'>;
}

class Capture {
  readonly client: ConnectedClient;
  readonly filter: CaptureFilter;
  readonly dropsOnly: boolean;
  readonly snap: number;
  readonly #bytesMax: number;
  #kept: Kept[] = [];
  #bytes = 0;
  #missed = 0;
  waiting: Read | null = null;

  constructor(client: ConnectedClient, filter: CaptureFilter, args: Arguments) {
    this.client = client;
    this.filter = filter;
    this.dropsOnly = args['dropsOnly'] === true;
    this.snap = orDefault(args, 'snap', CAPTURE_SNAP_MIN, CAPTURE_SNAP_MAX, CAPTURE_SNAP_MAX);
    this.#bytesMax = orDefault(args, 'bytes', CAPTURE_BYTES_MIN, CAPTURE_BYTES_MAX, BYTES_DEFAULT);
  }

  /** Whether there is room for one of so many bytes, or it is not known to be wanted. */
  mayKeep(length: number): boolean {
    return this.dropsOnly || this.#hasRoom(Math.min(length, this.snap));
  }

  keepIfRoom(datagram: Kept): void {
    if (this.#hasRoom(datagram.bytes.length)) this.keep(datagram);
  }

  /** Where there is none it is counted. */
  #hasRoom(length: number): boolean {
    const room = this.#bytes + DATAGRAM_OVERHEAD + length <= this.#bytesMax;
    if (!room) this.#missed += 1;
    return room;
  }

  keep(datagram: Kept): void {
    this.#kept.push(datagram);
    this.#bytes += DATAGRAM_OVERHEAD + datagram.bytes.length;
  }

  get has(): boolean {
    return this.#kept.length > 0 || this.#missed > 0;
  }

  /** What waits, as much as an answer takes. */
  take(): OperationAnswer<'captureRead'> {
    let bytes = 0,
      count = 0;
    while (count < this.#kept.length && bytes < ANSWER_BYTES) {
      bytes += DATAGRAM_OVERHEAD + this.#kept[count]!.bytes.length;
      count += 1;
    }
    const datagrams = this.#kept.slice(0, count);
    this.#kept = this.#kept.slice(count);
    this.#bytes -= bytes;
    const missed = this.#missed;
    this.#missed = 0;
    return { datagrams, missed };
  }
}

/** What was kept of a datagram that is being used now. */
interface InUse {
  readonly bytes: Uint8Array;
  readonly kept: Kept;
  readonly capture: Capture;
}

export class Captures implements Tap {
  readonly #captures: Capture[] = [];
  readonly #timer = new Timer(() => this.#look());
  /** Counts of drops when the datagram in use came. */
  readonly #before = new Float64Array(DROP_REASON_COUNT);
  #inUse: InUse[] = [];
  #operator: Operator | null = null;

  /** Programs that capture now. */
  get size(): number {
    return this.#captures.length;
  }

  begin(
    operator: Operator,
    args: Arguments,
    client: ConnectedClient | null,
  ): OperationAnswer<'capture'> {
    if (client === null)
      throw new SpinesError('EINVAL', 'only a connected program can capture; connect one');
    this.#operator = operator;
    const capture = new Capture(client, filterOf(operator, args), args);
    this.#purge(client);
    if (this.#captures.length >= CAPTURES_MAX)
      throw new SpinesError(
        'EUSERS',
        `${CAPTURES_MAX} programs capture here already, which is the most; end one`,
      );
    this.#captures.push(capture);
    const { links, config } = operator.node;
    links.taps.tap = this;
    return { schema: 1, node: formatNodeId(config.id), name: config.name };
  }

  read(args: Arguments, reply: Answering<'captureRead'>, client: ConnectedClient | null): void {
    const waitUs = integer(args, 'waitMs', 0, CAPTURE_WAIT_MS_MAX) * MILLISECOND;
    const capture = this.#captures.find((one) => one.client === client);
    if (capture === undefined)
      throw new SpinesError('EINVAL', 'this connection captures nothing; ask for `capture` first');
    capture.waiting?.reply({ datagrams: [], missed: 0 });
    capture.waiting = null;
    if (capture.has || waitUs === 0) {
      reply(capture.take());
      return;
    }
    const { clock } = this.#operator!.env;
    capture.waiting = { until: clock.now() + waitUs, reply };
    this.#arm();
  }

  /* ------------------------------------------------------------ what links show */

  onOpened(channel: TappedChannel, bytes: Uint8Array, end: number, from: Endpoint): void {
    this.#note(channel, false, bytes, end, from);
    const { drops } = this.#operator!.node;
    for (let i = 0; i < DROP_REASON_COUNT; i += 1) this.#before[i] = drops.of(i as DropReason);
  }

  onUsed(reason: DropReason): void {
    const { drops } = this.#operator!.node;
    const reasons: string[] = [];
    for (let i = 1; i < DROP_REASON_COUNT; i += 1)
      if (drops.of(i as DropReason) > this.#before[i]! || i === reason)
        reasons.push(dropReasonName(i as DropReason));
    for (const { kept, capture } of this.#inUse) {
      kept.drops = reasons;
      if (reasons.length > 0 && capture.dropsOnly) capture.keepIfRoom(kept);
    }
    // Where the whole is refused, that is said of it next.
    if (reason === DropReason.none) this.#inUse = [];
  }

  onSent(channel: TappedChannel, bytes: Uint8Array, end: number): void {
    this.#note(channel, true, bytes, end, channel.endpoint);
  }

  onCall(bytes: Uint8Array, length: number, from: Endpoint): void {
    this.#noteCall(false, bytes, length, from, []);
  }

  onCallSent(to: Endpoint, bytes: Uint8Array, length: number): void {
    this.#noteCall(true, bytes, length, to, []);
  }

  onRefused(bytes: Uint8Array, length: number, from: Endpoint, reason: DropReason): void {
    const name = dropReasonName(reason);
    const shown = this.#inUse.some((one) => one.bytes === bytes);
    if (!shown) this.#noteCall(false, bytes, length, from, [name]);
    else
      for (const { kept, capture } of this.#inUse) {
        if (kept.drops.includes(name)) continue;
        if (capture.dropsOnly && kept.drops.length === 0) capture.keepIfRoom(kept);
        kept.drops = [...kept.drops, name];
      }
    this.#inUse = [];
  }

  /** Frames of a link. What of what came was dropped is known once it was used. */
  #note(channel: TappedChannel, out: boolean, bytes: Uint8Array, end: number, at: Endpoint): void {
    const { node, version } = channel;
    if (!out) this.#inUse = [];
    for (const capture of this.#wanting(out)) {
      if (!capture.filter.wants(node, out, bytes, end) || !capture.mayKeep(end)) continue;
      const kept = this.#keptOf(node, version, at, out, true, bytes, end, capture.snap);
      if (!capture.dropsOnly) capture.keep(kept);
      if (!out) this.#inUse.push({ bytes, kept, capture });
    }
  }

  /** A handshake, or what nobody could open: as it was on the wire. */
  #noteCall(
    out: boolean,
    bytes: Uint8Array,
    length: number,
    at: Endpoint,
    drops: readonly string[],
  ): void {
    const node = this.#neighbourAt(at);
    if (!out) this.#inUse = [];
    for (const capture of this.#wanting(out)) {
      if (!capture.filter.wantsCall(node, at.key) || !capture.mayKeep(length)) continue;
      const kept = this.#keptOf(node, 0, at, out, false, bytes, length, capture.snap);
      kept.drops = drops;
      if (!capture.dropsOnly) capture.keep(kept);
      else if (drops.length > 0) capture.keepIfRoom(kept);
      if (!out) this.#inUse.push({ bytes, kept, capture });
    }
  }

  /** Those that still are; of what leaves nothing is dropped here. */
  *#wanting(out: boolean): Iterable<Capture> {
    const connected: ReadonlySet<ConnectedClient> = this.#operator!.clients;
    for (const capture of this.#captures)
      if (!connected.has(capture.client)) this.#purgeSoon();
      else if (!(out && capture.dropsOnly)) yield capture;
  }

  #keptOf(
    node: NodeId | null,
    version: number,
    at: Endpoint,
    out: boolean,
    opened: boolean,
    bytes: Uint8Array,
    length: number,
    snap: number,
  ): Kept {
    return {
      at: this.#operator!.env.wall.now(),
      node: node === null ? null : formatNodeId(node),
      name: node === null ? null : this.#operator!.node.router.nameOf(node),
      out,
      opened,
      version,
      address: at.key,
      length,
      drops: [],
      bytes: bytes.slice(0, Math.min(length, snap)),
    };
  }

  #neighbourAt({ key }: Endpoint): NodeId | null {
    const { links } = this.#operator!.node;
    for (const link of links.all()) if (link.endpoint.key === key) return link.node;
    for (const { endpoint, node } of links.unanswered()) if (endpoint.key === key) return node;
    return null;
  }

  /* ------------------------------------------------------------ who captures */

  #arm(): void {
    const { timers, clock } = this.#operator!.env;
    if (!this.#timer.armed) timers.arm(this.#timer, clock.now() + LOOK_INTERVAL);
  }

  #purgeSoon(): void {
    this.#arm();
  }

  /** Answers who waits, and forgets who is gone. */
  #look(): void {
    this.#purge(null);
    const now = this.#operator!.env.clock.now();
    for (const capture of this.#captures) {
      const { waiting } = capture;
      if (waiting === null || (!capture.has && now < waiting.until)) continue;
      capture.waiting = null;
      waiting.reply(capture.take());
    }
    if (this.#captures.some(({ waiting }) => waiting !== null)) this.#arm();
  }

  /** Forgets those that are gone, and the capture of `client`. */
  #purge(client: ConnectedClient | null): void {
    const connected: ReadonlySet<ConnectedClient> = this.#operator!.clients;
    const stay = this.#captures.filter((one) => one.client !== client && connected.has(one.client));
    this.#captures.splice(0, this.#captures.length, ...stay);
    if (stay.length === 0) this.#operator!.node.links.taps.tap = null;
    this.#inUse = [];
  }
}

/** Throws SpinesError EINVAL. */
function orDefault(
  args: Arguments,
  name: string,
  min: number,
  max: number,
  otherwise: number,
): number {
  return args[name] == null ? otherwise : integer(args, name, min, max);
}

/** Throws SpinesError EINVAL, ENOENT. */
function filterOf({ node }: Operator, args: Arguments): CaptureFilter {
  const sessions = listOf(args, 'sessions');
  return new CaptureFilter(
    peersOf(node, listOf(args, 'peers')),
    sessions?.map((one) => sessionOf(one, (name) => nodeOf(node, name))) ?? null,
  );
}

/** Neighbours, and addresses of dials that nobody has answered. */
function peersOf(node: NodeView, wanted: readonly unknown[] | null): WantedPeers | null {
  if (wanted === null) return null;
  const nodes = new Set<NodeId>(),
    addresses = new Set<string>();
  const dialled = [...node.links.unanswered()];
  for (const name of wanted) {
    if (typeof name === 'string' && dialled.some(({ endpoint }) => endpoint.key === name)) {
      addresses.add(name);
      continue;
    }
    const id = nodeOf(node, name);
    if (node.links.of(id) === undefined && !dialled.some((dial) => dial.node === id))
      throw new SpinesError(
        'ENOENT',
        `there is no link to ${formatNodeId(id)}; \`spines links\` lists the links`,
      );
    nodes.add(id);
  }
  return { nodes, addresses };
}

/** Throws SpinesError EINVAL, ENOENT. */
function nodeOf(node: NodeView, name: unknown): NodeId {
  if (typeof name !== 'string')
    throw new SpinesError('EINVAL', 'nodes are texts: a name, or an address as in 10.0.0.7');
  const id = node.resolve(name);
  if (id === null) throw unknownName(name.slice(0, 80), node.links);
  return id;
}

function sessionOf(one: unknown, nodeOf: (name: unknown) => NodeId): WantedSession {
  if (typeof one !== 'object' || one === null)
    throw new SpinesError('EINVAL', 'sessions must be a list of maps');
  const { node, port } = one as { node?: unknown; port?: unknown };
  if (node == null && port == null)
    throw new SpinesError('EINVAL', 'a session has a node, a port or both');
  if (port != null && !(Number.isInteger(port) && Number(port) >= 1 && Number(port) <= PORT_MAX))
    throw new SpinesError('EINVAL', 'the port of a session must be 1 to 65535');
  return { node: node == null ? null : nodeOf(node), port: port == null ? null : Number(port) };
}

/** Null: not given, or empty. */
function listOf(args: Arguments, name: string): readonly unknown[] | null {
  const value = args[name];
  if (value == null) return null;
  if (!Array.isArray(value) || value.length > CAPTURE_WANTED_MAX)
    throw new SpinesError('EINVAL', `${name} must be a list of at most ${CAPTURE_WANTED_MAX}`);
  return value.length === 0 ? null : value;
}

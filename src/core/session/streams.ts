/**
 * All streams of a daemon: who listens where, which segment belongs to which stream, and the bounds
 * on them.
 *
 * Owns the handshake's table and the building of packets; a single stream's life is in `stream.ts`.
 * A segment names the receiver's stream by an id drawn at random; a stream that is not known is
 * answered with a reset, at a bounded rate. Half-open streams are bounded per listener, per source
 * and in all, and shared fairly (half-open.ts).
 */

import type { Draws } from '../base/draws.ts';
import { SpinesError } from '../base/errors.ts';
import { FairPlaces } from '../base/fair-places.ts';
import { formatNodeId, type NodeId, type Port } from '../base/ids.ts';
import type { Clock, Timers } from '../base/time.ts';
import { SharedBudget, type SharedBudgetLimits } from '../base/shared-budget.ts';
import type { Dissemination } from '../dissemination/dissemination.ts';
import type { CongestionName } from '../recovery/controller.ts';
import { demandsProof } from '../wire/modes.ts';
import { DropReason, type DropCounters, refusalOf } from '../wire/drop.ts';
import { DISSEMINATION_LINK_STATE, KIND_STREAM, Packet, SERVICE_RELIABLE } from '../wire/packet.ts';
import {
  RESET_FORBIDDEN,
  RESET_UNSAID,
  SEGMENT_ACK,
  SEGMENT_ASK,
  SEGMENT_FIN,
  SEGMENT_RST,
  SEGMENT_SYN,
  Segment,
  synStream,
} from '../wire/segment.ts';
import { OVERLAY_HEADER_BYTES, PACKET_BYTES_MAX, SEAL_ROOM_BYTES } from '../wire/sizes.ts';
import { drawPort } from './ephemeral-port.ts';
import type { Firewall } from './firewall.ts';
import { HalfOpen } from './half-open.ts';
import { ReceiveBudget } from './receive-budget.ts';
import { admits, type Secrecy } from './secrecy.ts';
import { effectiveLimits, type LivenessLimits, type OwnLimits } from './stream-liveness.ts';
import { holderOf, originName } from './origin.ts';
import {
  RECEIVE_MAX_BYTES,
  Stream,
  type StreamEnvironment,
  type StreamOptions,
  type StreamOwner,
  type StreamTiming,
} from './stream.ts';

export interface StreamListener {
  readonly port: Port;
  /** DISSEMINATION_BYZANTINE: streams come by that only. Default: by any. */
  readonly dissemination?: number;
  /** Congestion control of what it accepts. Default: the daemon's. */
  readonly congestion?: CongestionName | undefined;
  /**
   * 'end-to-end': only those that are sealed so, or come by byzantine routing. Default: the
   * daemon's.
   */
  readonly secrecy?: Secrecy | undefined;
  /** A stream is established: who owns it from now on, or null to reset it. */
  onAccept(stream: Stream): StreamOwner | null;
}

export interface StreamsEnvironment {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly draws: Draws;
  readonly drops: DropCounters;
  readonly dissemination: Dissemination;
  readonly firewall: Firewall;
  readonly timing: StreamTiming;
  /**
   * Congestion control of streams that say nothing of it, asked for as each begins; null: by the
   * links that they go over.
   */
  readonly congestion: CongestionName | null;
  /** Streams, half-open ones included. */
  readonly streamsMax: number;
  /** Received bytes that all streams may hold, windows that they granted included. */
  readonly receiveBytes: number;
  /** Packets can be sealed from end to end here. */
  readonly endToEnd: boolean;
  /** Of streams and listeners that do not say which. */
  secrecy(): Secrecy;
  reachable(node: NodeId): boolean;
}

/**
 * Links that recover losses have a controller of their own, whose queue marks what passes: the
 * stream follows it, and two that look for bandwidth do not chase each other.
 */
const OVER_RELIABLE: CongestionName = 'newreno';
const OVER_BEST_EFFORT: CongestionName = 'bbr';
const BACKLOG_DEFAULT = 128;
export const BACKLOG_MAX = 1_024;
/**
 * Answers that strangers provoke: so many a second for whoever is first, and some more for origins
 * that cause few.
 */
const RESETS_CLAIMED: SharedBudgetLimits = {
  perSecond: 500,
  burst: 500,
  keptPerSecond: 100,
  keptBurst: 100,
  sharePerSecond: 10,
  shareBurst: 20,
  sources: 1_024,
};
/**
 * A proved origin gets its own answers only. After a restart of this daemon each of its streams
 * asks, some twice: a daemon's streams at once.
 */
const RESETS_PROVED: SharedBudgetLimits = { ...RESETS_CLAIMED, perSecond: 2_000, burst: 4_000 };
const OPENING_SHARE = 64 * 1024;

interface Listening {
  readonly listener: StreamListener;
  readonly backlog: number;
}

export class Streams {
  marked = 0;
  readonly #env: StreamsEnvironment;
  readonly #budget: ReceiveBudget;
  readonly #streamEnv: StreamEnvironment;
  #timing: StreamTiming;
  readonly #byId = new Map<number, Stream>();
  readonly #listening = new Map<Port, Listening>();
  /** Ports of streams that were opened here, and how many each has. */
  readonly #opened = new Map<Port, number>();
  /** Streams that others opened, by what their SYN says, so that a repeated SYN is recognised. */
  readonly #bySyn = new Map<string, Stream>();
  readonly #synOf = new Map<Stream, string>();
  readonly #halfOpen = new HalfOpen<Stream>();
  /** Who opened how many. */
  readonly #places = new FairPlaces<Stream>();
  readonly #later: Stream[] = [];
  readonly #blocked = new Set<Stream>();
  readonly #segment = new Segment();
  readonly #packet = new Packet();
  /** Names a stream's flow. */
  readonly #asked = new Packet();
  readonly #scratch = new Uint8Array(PACKET_BYTES_MAX);
  /** Answers to sources that are proved, and to those that anybody may name. */
  readonly #resets = {
    proved: new SharedBudget(RESETS_PROVED),
    claimed: new SharedBudget(RESETS_CLAIMED),
  };

  constructor(env: StreamsEnvironment) {
    this.#env = env;
    this.#budget = new ReceiveBudget(env.receiveBytes);
    this.#timing = env.timing;
    // One object for all streams: what changes is asked for at use.
    const timing = (): StreamTiming => this.#timing;
    this.#streamEnv = {
      clock: env.clock,
      timers: env.timers,
      get timing() {
        return timing();
      },
      congestion: (service) =>
        env.congestion ?? (service === SERVICE_RELIABLE ? OVER_RELIABLE : OVER_BEST_EFFORT),
      sendSegment: (stream, head, dataBytes, fill) =>
        this.#send(
          stream.node,
          stream.localPort,
          stream.port,
          stream.options,
          stream.owner,
          head,
          dataBytes,
          fill,
        ) !== DropReason.linkQueueFull,
      reachable: (node) => env.reachable(node),
      congested: (stream) => this.#congested(stream),
      // Whoever has not shown yet that it is there gets little.
      receiveShare: (stream) =>
        this.#budget.share(
          stream.account,
          stream.state === 'open' ? RECEIVE_MAX_BYTES : OPENING_SHARE,
          stream.receiver.received,
        ),
      onGranted: (stream) =>
        this.#budget.set(
          stream.account,
          stream.state === 'closed' ? 0 : stream.receiver.grantedBytes,
          stream.owner,
        ),
      later: (stream) => this.#sendLater(stream),
      onGone: (stream) => this.#onGone(stream),
    };
  }

  get size(): number {
    return this.#byId.size;
  }

  get halfOpen(): number {
    return this.#halfOpen.size;
  }

  /** Bytes received and not yet taken by owners; counted anew at every call. */
  get heldBytes(): number {
    let bytes = 0;
    for (const stream of this.#byId.values()) bytes += stream.receiver.heldBytes;
    return bytes;
  }

  /** Bytes of windows granted and not taken, held or not: what `receiveBytes` bounds. */
  get grantedBytes(): number {
    return this.#budget.bytes;
  }

  /** Streams that could still be opened, whoever asks. */
  get #free(): number {
    return Math.min(this.#env.streamsMax - this.#byId.size, this.#budget.free);
  }

  /**
   * Whether the far end of a stream is proved to be the node that it says: whatever came otherwise
   * was not taken. What stays within this node is.
   */
  isProved({ node, options }: Stream): boolean {
    return (
      node === this.#env.self ||
      options.secrecy === 'end-to-end' ||
      demandsProof(options.dissemination)
    );
  }

  all(): IterableIterator<Stream> {
    return this.#byId.values();
  }

  listeners(): Port[] {
    return [...this.#listening.keys()];
  }

  /**
   * Takes streams that reach `port` (0 = any free one). Throws SpinesError EADDRINUSE. Returns the
   * port.
   */
  listen(port: Port, backlog: number, makeListener: (port: Port) => StreamListener): Port {
    const chosen = port === 0 ? this.#freePort() : port;
    if (this.#listening.has(chosen)) {
      throw new SpinesError(
        'EADDRINUSE',
        `stream port ${chosen} of ${formatNodeId(this.#env.self)} is in use; choose another, or ` +
          '0 for any free one',
      );
    }
    this.#listening.set(chosen, {
      listener: makeListener(chosen),
      backlog: Math.min(BACKLOG_MAX, backlog || BACKLOG_DEFAULT),
    });
    return chosen;
  }

  unlisten(port: Port): void {
    const listening = this.#listening.get(port);
    this.#listening.delete(port);
    for (const stream of this.#halfOpen.keys())
      if (this.#halfOpen.listenerOf(stream) === listening) stream.reset();
  }

  /**
   * Opens a stream; `owner` hears what comes of it, after `connectUs` at the latest. Throws
   * SpinesError EMFILE.
   */
  connect(
    node: NodeId,
    port: Port,
    localPort: Port,
    owner: StreamOwner,
    options: StreamOptions,
    connectUs = this.#timing.connectUs,
  ): Stream {
    if (this.#byId.size >= this.#env.streamsMax)
      throw new SpinesError(
        'EMFILE',
        `this daemon has its ${this.#env.streamsMax} streams; close some, or raise limits.streams`,
      );
    if (this.#budget.free === 0)
      throw new SpinesError(
        'EMFILE',
        `streams of this daemon hold or may be sent ${this.#env.receiveBytes} bytes; read or ` +
          'close some, or raise limits.streamBytes',
      );
    if (!this.#places.open([owner, owner], this.#free)) {
      throw new SpinesError(
        'EMFILE',
        `this program has its share of the daemon's ${this.#env.streamsMax} streams; close some, ` +
          'or raise limits.streams and limits.streamBytes',
      );
    }
    const secret =
      options.dissemination === DISSEMINATION_LINK_STATE && this.#secret(options.secrecy);
    const of: StreamOptions = { ...options, secrecy: secret ? 'end-to-end' : 'links' };
    const stream = new Stream(
      this.#freeId(),
      node,
      port,
      localPort === 0 ? this.#freePort() : localPort,
      owner,
      of,
      true,
      this.#streamEnv,
      this.#budget.add(owner),
      connectUs,
    );
    this.#byId.set(stream.id, stream);
    this.#places.add(stream, [owner, owner]);
    this.#opened.set(stream.localPort, (this.#opened.get(stream.localPort) ?? 0) + 1);
    stream.start();
    return stream;
  }

  /** A stream packet for this node. */
  onPacket(packet: Packet): void {
    const reason = this.#onPacket(packet);
    if (reason !== DropReason.none) this.#env.drops.count(reason);
  }

  #onPacket(packet: Packet): DropReason {
    const segment = this.#segment;
    const reason = segment.decode(packet.bytes, packet.payloadStart, packet.end);
    if (reason !== DropReason.none) return reason;
    if (packet.ecn) this.marked += 1;
    const syn = (segment.flags & SEGMENT_SYN) !== 0;
    if (syn && (segment.flags & SEGMENT_ACK) === 0) return this.#onSyn(packet, segment);
    const stream = this.#byId.get(segment.stream) ?? this.#ofForgetful(packet, segment);
    if (
      stream === undefined ||
      stream.node !== packet.source ||
      stream.port !== packet.sourcePort ||
      stream.localPort !== packet.destinationPort
    ) {
      // An answer to a SYN of a stream that has ended here since: unless it is told, the far end
      // keeps it half open until it gives up.
      if ((segment.flags & SEGMENT_RST) === 0)
        this.#refuse(packet, syn ? synStream(packet.bytes, packet.payloadStart) : segment.stream);
      return DropReason.streamUnknown;
    }
    // Not answered: whoever it names has not said it.
    if (demandsProof(stream.options.dissemination) && !packet.authenticated)
      return DropReason.sourceUnproved;
    if (!admits(stream.options.secrecy === 'end-to-end', packet)) return DropReason.endToEndMissing;
    if (stream.state === 'closed') {
      // What is repeated was not heard of. A mere acknowledgement is not answered: the far end may
      // be closed as well, and answer in turn.
      const repeats =
        (segment.flags & (SEGMENT_SYN | SEGMENT_FIN | SEGMENT_ASK)) !== 0 ||
        packet.end > packet.payloadStart + segment.headBytes;
      if (repeats) stream.answerAfterlife();
      return DropReason.none;
    }
    if (syn) {
      if (stream.state === 'opening')
        stream.establish(synStream(packet.bytes, packet.payloadStart), segment.window);
      else stream.answerAgain();
      return DropReason.none;
    }
    if (stream.state === 'opening' && (segment.flags & SEGMENT_RST) === 0)
      return DropReason.streamMalformed;
    if (
      stream.state === 'accepting' &&
      (segment.flags & SEGMENT_RST) === 0 &&
      !this.#accept(stream, segment)
    )
      return DropReason.streamRefused;
    const start = packet.payloadStart + segment.headBytes;
    const result = stream.onSegment(segment, packet.ecn, packet.bytes, start, packet.end);
    return result === 'ok'
      ? DropReason.none
      : result === 'duplicate'
        ? DropReason.streamDuplicate
        : DropReason.streamOutOfWindow;
  }

  onLinkWritable(): void {
    for (const stream of [...this.#blocked]) {
      this.#blocked.delete(stream);
      this.#sendLater(stream);
    }
  }

  /** End of the turn: streams that have something to send, send. */
  flush(): void {
    for (let i = 0; i < this.#later.length; i += 1) this.#later[i]!.send();
    this.#later.length = 0;
  }

  get flushNeeded(): boolean {
    return this.#later.length > 0;
  }

  /** From now on, streams that have no limits of their own go by `timing`. */
  retime(timing: StreamTiming): void {
    this.#timing = timing;
    for (const stream of this.#byId.values()) stream.onTimingChanged();
  }

  /** What `own` comes to with the daemon's. */
  limitsFor(own: OwnLimits): LivenessLimits {
    return effectiveLimits(own, this.#timing);
  }

  onRoutes(): void {
    // Most streams go to few nodes.
    const reachable = new Map<NodeId, boolean>();
    for (const stream of this.#byId.values()) {
      const { node } = stream;
      let there = reachable.get(node);
      if (there === undefined) reachable.set(node, (there = this.#env.reachable(node)));
      stream.onRoutes(there);
    }
  }

  /**
   * The daemon of `node` was started anew: streams of its earlier run are over, and it says so when
   * asked.
   */
  onRestart(node: NodeId): void {
    for (const stream of this.#byId.values()) if (stream.node === node) stream.ask();
  }

  /**
   * Rules, or who they mean, have changed: what others opened here and could not open now is over.
   */
  onRules(): void {
    for (const stream of [...this.#byId.values()]) {
      if (
        stream.initiator ||
        stream.state === 'closed' ||
        this.#env.firewall.keeps(stream.node, stream.localPort, stream.options)
      )
        continue;
      this.#env.drops.count(DropReason.firewallStream);
      stream.reset(false, RESET_FORBIDDEN);
    }
  }

  stop(): void {
    for (const stream of [...this.#byId.values()]) stream.reset(true);
  }

  /* -------------------------------------------------------------- handshake */

  #onSyn(packet: Packet, segment: Segment): DropReason {
    const remoteId = synStream(packet.bytes, packet.payloadStart);
    if (remoteId === 0 || segment.stream !== 0) return DropReason.streamMalformed;
    const key = synName(packet, remoteId);
    const known = this.#bySyn.get(key);
    if (known !== undefined) {
      if (known.state !== 'closed') known.answerAgain();
      return DropReason.none;
    }
    if (!this.#env.firewall.admits(packet, true)) {
      this.#refuse(packet, remoteId, RESET_FORBIDDEN);
      return DropReason.firewallStream;
    }
    const listening = this.#listening.get(packet.destinationPort);
    if (listening === undefined) {
      this.#refuse(packet, remoteId);
      return DropReason.portClosed;
    }
    if (
      demandsProof(listening.listener.dissemination ?? packet.dissemination) &&
      (!packet.authenticated || packet.sealed)
    ) {
      // By link state, where it is believed by streams of link state only: whoever opens one of
      // those here is wrong.
      this.#refuse(packet, remoteId);
      return DropReason.sourceUnproved;
    }
    if (!admits(this.#secret(listening.listener.secrecy), packet)) {
      this.#refuse(packet, remoteId);
      return DropReason.endToEndMissing;
    }
    if (!this.#places.open(holderOf(packet), this.#free)) return DropReason.streamRefused;
    const now = this.#env.clock.now();
    const room = this.#halfOpen.room(packet, listening, listening.backlog, now);
    if (room === 'none') return DropReason.streamRefused;
    if (room !== 'free') {
      // Unsaid: whoever it names may not have asked, and hears when it goes on.
      this.#env.drops.count(DropReason.streamRefused);
      room.instead.forget();
    }
    const options: StreamOptions = {
      ...answering(packet),
      congestion: listening.listener.congestion,
    };
    const stream = new Stream(
      this.#freeId(),
      packet.source,
      packet.sourcePort,
      packet.destinationPort,
      nobody,
      options,
      false,
      this.#streamEnv,
      this.#budget.add(nobody, originName(packet)),
    );
    stream.remoteId = remoteId;
    stream.sender.edge = segment.window;
    this.#byId.set(stream.id, stream);
    this.#bySyn.set(key, stream);
    this.#synOf.set(stream, key);
    this.#halfOpen.add(stream, packet, listening, now);
    this.#places.add(stream, holderOf(packet));
    stream.start();
    return DropReason.none;
  }

  /** The opener confirmed: the stream gets its owner. */
  #accept(stream: Stream, segment: Segment): boolean {
    const listening = this.#listening.get(stream.localPort);
    const waits = listening !== undefined && this.#halfOpen.listenerOf(stream) === listening;
    this.#halfOpen.delete(stream);
    const owner = waits ? listening.listener.onAccept(stream) : null;
    if (owner === null) {
      stream.reset();
      return false;
    }
    stream.owner = owner;
    stream.establish(stream.remoteId, segment.ack + segment.window);
    return true;
  }

  #onGone(stream: Stream): void {
    this.#halfOpen.delete(stream);
    this.#byId.delete(stream.id);
    this.#places.delete(stream);
    this.#budget.remove(stream.account);
    if (stream.initiator) {
      const left = this.#opened.get(stream.localPort)! - 1;
      if (left === 0) this.#opened.delete(stream.localPort);
      else this.#opened.set(stream.localPort, left);
    }
    this.#blocked.delete(stream);
    const key = this.#synOf.get(stream);
    if (key !== undefined) {
      this.#bySyn.delete(key);
      this.#synOf.delete(stream);
    }
  }

  /**
   * A reset from a daemon that does not know our id for the stream, because it was restarted, or
   * because the program that opened it gave up before our answer came: it names its own one.
   */
  #ofForgetful(packet: Packet, segment: Segment): Stream | undefined {
    if ((segment.flags & SEGMENT_RST) === 0 || segment.stream === 0) return undefined;
    const opened = this.#bySyn.get(synName(packet, segment.stream));
    if (opened !== undefined) return opened;
    if (!this.#mayReset(packet)) return undefined;
    for (const stream of this.#byId.values()) {
      if (
        stream.remoteId === segment.stream &&
        stream.node === packet.source &&
        stream.port === packet.sourcePort &&
        stream.localPort === packet.destinationPort
      )
        return stream;
    }
    return undefined;
  }

  /**
   * Answers a segment that belongs to nothing here with a reset for the stream `id`: the far end's,
   * or ours of an earlier run.
   */
  #refuse(packet: Packet, id: number, why = RESET_UNSAID): void {
    if (id === 0 || !this.#mayReset(packet)) return;
    const segment = new Segment();
    segment.flags = SEGMENT_RST;
    segment.stream = id;
    segment.why = why;
    this.#send(
      packet.source,
      packet.destinationPort,
      packet.sourcePort,
      answering(packet),
      nobody,
      segment,
      0,
      null,
    );
  }

  /** Whether a stream or listener that asks for this is sealed from end to end. */
  #secret(secrecy: Secrecy | undefined): boolean {
    return this.#env.endToEnd && (secrecy ?? this.#env.secrecy()) === 'end-to-end';
  }

  #mayReset(packet: Packet): boolean {
    return (packet.authenticated ? this.#resets.proved : this.#resets.claimed).take(
      originName(packet),
      this.#env.clock.now(),
    );
  }

  /* -------------------------------------------------------------- packets */

  #send(
    node: NodeId,
    localPort: Port,
    port: Port,
    options: StreamOptions,
    user: object,
    head: Segment,
    dataBytes: number,
    fill: ((out: Uint8Array, at: number) => void) | null,
  ): DropReason {
    const packet = this.#packet,
      secret = options.secrecy === 'end-to-end';
    const start = secret ? SEAL_ROOM_BYTES : 0;
    const at = head.encode(this.#scratch, start + OVERLAY_HEADER_BYTES);
    if (fill !== null) fill(this.#scratch, at);
    packet.compose(
      this.#scratch,
      start,
      at + dataBytes,
      KIND_STREAM,
      options,
      this.#env.self,
      localPort,
      node,
      port,
    );
    packet.user = user;
    packet.secret = secret;
    const reason = refusalOf(this.#env.dissemination.originate(packet));
    // What a full queue refuses its stream still has.
    if (reason !== DropReason.none && reason !== DropReason.linkQueueFull)
      this.#env.drops.count(reason);
    return reason;
  }

  #congested(stream: Stream): boolean {
    this.#asked.nameFlow(
      KIND_STREAM,
      stream.options,
      this.#env.self,
      stream.localPort,
      stream.node,
      stream.port,
      stream.owner,
    );
    if (!this.#env.dissemination.congested(this.#asked)) return false;
    this.#blocked.add(stream);
    return true;
  }

  #sendLater(stream: Stream): void {
    if (stream.listed) return;
    stream.listed = true;
    this.#later.push(stream);
  }

  #freeId(): number {
    for (;;) {
      const id = this.#env.draws.u32();
      if (id !== 0 && !this.#byId.has(id)) return id;
    }
  }

  #freePort(): Port {
    // Streams with the same port at the same node differ in their ids; better they differ in both.
    const port =
      drawPort(this.#env.draws, (taken) => this.#listening.has(taken) || this.#opened.has(taken)) ??
      drawPort(this.#env.draws, (taken) => this.#listening.has(taken));
    if (port !== null) return port;
    throw new SpinesError(
      'EADDRINUSE',
      'no free stream port is left; close listeners that are not needed',
    );
  }
}

/** As `packet` came, so goes what answers it. */
function answering({ service, dissemination, priority, sealed }: Packet): StreamOptions {
  return { service, dissemination, ttl: 64, priority, secrecy: sealed ? 'end-to-end' : 'links' };
}

/**
 * What a stream that `packet` opened is known by, until it has told the id that we chose. A claimed
 * source opens none in the name of a proved one.
 */
function synName(
  { authenticated, source, sourcePort, destinationPort }: Packet,
  remoteId: number,
): string {
  return `${authenticated ? '' : 'claimed '}${source} ${sourcePort} ${destinationPort} ${remoteId}`;
}

/** Owner of streams that nobody has accepted yet, and of those whose owner has gone. */
export const nobody: StreamOwner = {
  onOpen() {},
  onReadable(stream) {
    stream.take(stream.front().length);
  },
  onSpace() {},
  onClosed() {},
};

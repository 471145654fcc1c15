/**
 * All streams of a daemon: who listens where, which segment belongs to which stream, and the bounds
 * on them.
 *
 * Owns listeners, the order of sending and the handshake; a single stream's life is in `stream.ts`,
 * which one a packet means is `stream-index.ts`'s, and packets are made in `segment-packets.ts`. A
 * stream that is not known is answered with a reset, at a bounded rate. Half-open streams are
 * bounded per listener, per source and in all, and shared fairly (half-open.ts).
 */

import type { Draws } from '../base/draws.ts';
import { SpinesError } from '../base/errors.ts';
import { FairPlaces } from '../base/fair-places.ts';
import { formatNodeId, type NodeId, type Port } from '../base/ids.ts';
import type { Clock, Timers } from '../base/time.ts';
import type { Dissemination } from '../dissemination/dissemination.ts';
import type { CongestionName } from '../recovery/controller.ts';
import { demandsProof, whyNoStreams } from '../wire/modes.ts';
import { DropReason, type DropCounters } from '../wire/drop.ts';
import { DISSEMINATION_LINK_STATE, KIND_STREAM, Packet, SERVICE_RELIABLE } from '../wire/packet.ts';
import {
  RESET_FORBIDDEN,
  SEGMENT_ACK,
  SEGMENT_ASK,
  SEGMENT_FIN,
  SEGMENT_RST,
  SEGMENT_SYN,
  Segment,
  synStream,
} from '../wire/segment.ts';
import { drawPort } from './ephemeral-port.ts';
import type { Firewall, ReachedTarget } from './firewall.ts';
import { HalfOpen } from './half-open.ts';
import { ReceiveBudget } from './receive-budget.ts';
import { admits, type Secrecy } from './secrecy.ts';
import { answering, SegmentPackets } from './segment-packets.ts';
import { StreamIndex } from './stream-index.ts';
import { effectiveLimits, type LivenessLimits, type OwnLimits } from './stream-liveness.ts';
import { holderOf, originName } from './origin.ts';
import { RECEIVE_MAX_BYTES, Stream, type StreamEnvironment, type StreamOwner } from './stream.ts';
import type { StreamOptions, StreamTiming } from './stream-settings.ts';

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
/** As node:net has it, for sources that are proved, and for all others. */
const BACKLOG_DEFAULT = 511;
const BACKLOG_CLAIMED = 128;
export const BACKLOG_MAX = 1_024;
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
  readonly #index = new StreamIndex();
  /** Of streams that are carried on. */
  readonly #targets = new WeakMap<Stream, ReachedTarget>();
  readonly #listening = new Map<Port, Listening>();
  readonly #halfOpen = new HalfOpen<Stream>();
  /** Who opened how many. */
  readonly #places = new FairPlaces<Stream>();
  readonly #later: Stream[] = [];
  readonly #blocked = new Set<Stream>();
  readonly #segment = new Segment();
  readonly #packets: SegmentPackets;
  /** Names a stream's flow. */
  readonly #asked = new Packet();

  constructor(env: StreamsEnvironment) {
    this.#env = env;
    this.#packets = new SegmentPackets(env, nobody);
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
        this.#packets.send(
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
    return this.#index.size;
  }

  get halfOpen(): number {
    return this.#halfOpen.size;
  }

  /** Bytes received and not yet taken by owners; counted anew at every call. */
  get heldBytes(): number {
    let bytes = 0;
    for (const stream of this.#index.all()) bytes += stream.receiver.heldBytes;
    return bytes;
  }

  /** Bytes of windows granted and not taken, held or not: what `receiveBytes` bounds. */
  get grantedBytes(): number {
    return this.#budget.bytes;
  }

  /** Streams that could still be opened, whoever asks. */
  get #free(): number {
    return Math.min(this.#env.streamsMax - this.#index.size, this.#budget.free);
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
    return this.#index.all();
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
      backlog: Math.min(BACKLOG_MAX, backlog),
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
    if (this.#index.size >= this.#env.streamsMax)
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
    this.#index.addOpened(stream);
    this.#places.add(stream, [owner, owner]);
    stream.start();
    return stream;
  }

  /** A stream packet for this node. */
  onPacket(packet: Packet): void {
    const reason = this.#onPacket(packet);
    if (reason !== DropReason.none) this.#env.drops.count(reason);
  }

  #onPacket(packet: Packet): DropReason {
    // Nothing of a stream is worth less when it is late.
    if (whyNoStreams(packet.service) !== null) return DropReason.linkServiceUnknown;
    const segment = this.#segment;
    const reason = segment.decode(packet.bytes, packet.payloadStart, packet.end);
    if (reason !== DropReason.none) return reason;
    if (packet.ecn) this.marked += 1;
    const syn = (segment.flags & SEGMENT_SYN) !== 0;
    if (syn && (segment.flags & SEGMENT_ACK) === 0) return this.#onSyn(packet, segment);
    const stream = this.#index.of(segment.stream) ?? this.#ofForgetful(packet, segment);
    if (
      stream === undefined ||
      stream.node !== packet.source ||
      stream.port !== packet.sourcePort ||
      stream.localPort !== packet.destinationPort
    ) {
      // An answer to a SYN of a stream that has ended here since: unless it is told, the far end
      // keeps it half open until it gives up.
      if ((segment.flags & SEGMENT_RST) === 0)
        this.#packets.refuse(
          packet,
          syn ? synStream(packet.bytes, packet.payloadStart) : segment.stream,
        );
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
    for (const stream of this.#index.all()) stream.onTimingChanged();
  }

  /** What `own` comes to with the daemon's. */
  limitsFor(own: OwnLimits): LivenessLimits {
    return effectiveLimits(own, this.#timing);
  }

  onRoutes(): void {
    // Most streams go to few nodes.
    const reachable = new Map<NodeId, boolean>();
    for (const stream of this.#index.all()) {
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
    for (const stream of this.#index.all()) if (stream.node === node) stream.ask();
  }

  /** The owner of `stream` carries it on to `target` behind this node, which the rules allow. */
  aim(stream: Stream, target: ReachedTarget): void {
    this.#targets.set(stream, target);
  }

  /**
   * Rules, or who they mean, have changed: what others opened here and could not open now is over.
   */
  onRules(): void {
    const { firewall, drops } = this.#env;
    for (const stream of [...this.#index.all()]) {
      const { node, localPort, options } = stream,
        target = this.#targets.get(stream);
      if (stream.initiator || stream.state === 'closed') continue;
      if (!firewall.keeps(node, localPort, options)) drops.count(DropReason.firewallStream);
      else if (target !== undefined && !firewall.stillReaches(node, target))
        drops.count(DropReason.firewallTarget);
      else continue;
      stream.reset(false, RESET_FORBIDDEN);
    }
  }

  stop(): void {
    for (const stream of [...this.#index.all()]) stream.reset(true);
  }

  /* -------------------------------------------------------------- handshake */

  #onSyn(packet: Packet, segment: Segment): DropReason {
    const remoteId = synStream(packet.bytes, packet.payloadStart);
    if (remoteId === 0 || segment.stream !== 0) return DropReason.streamMalformed;
    const known = this.#index.ofSyn(packet, remoteId);
    if (known !== undefined) {
      if (known.state !== 'closed') known.answerAgain();
      return DropReason.none;
    }
    if (!this.#env.firewall.admits(packet, true)) {
      this.#packets.refuse(packet, remoteId, RESET_FORBIDDEN);
      return DropReason.firewallStream;
    }
    const listening = this.#listening.get(packet.destinationPort);
    if (listening === undefined) {
      this.#packets.refuse(packet, remoteId);
      return DropReason.portClosed;
    }
    if (
      demandsProof(listening.listener.dissemination ?? packet.dissemination) &&
      (!packet.authenticated || packet.sealed)
    ) {
      // By link state, where it is believed by streams of link state only: whoever opens one of
      // those here is wrong.
      this.#packets.refuse(packet, remoteId);
      return DropReason.sourceUnproved;
    }
    if (!admits(this.#secret(listening.listener.secrecy), packet)) {
      this.#packets.refuse(packet, remoteId);
      return DropReason.endToEndMissing;
    }
    if (!this.#places.open(holderOf(packet), this.#free)) return DropReason.streamRefused;
    const now = this.#env.clock.now();
    const backlog = listening.backlog || (packet.authenticated ? BACKLOG_DEFAULT : BACKLOG_CLAIMED);
    const room = this.#halfOpen.room(packet, listening, backlog, now);
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
    this.#index.addAccepted(stream, packet);
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
    this.#index.delete(stream);
    this.#places.delete(stream);
    this.#budget.remove(stream.account);
    this.#blocked.delete(stream);
  }

  /**
   * A reset from a daemon that does not know our id for the stream, because it was restarted, or
   * because the program that opened it gave up before our answer came: it names its own one.
   */
  #ofForgetful(packet: Packet, segment: Segment): Stream | undefined {
    if ((segment.flags & SEGMENT_RST) === 0 || segment.stream === 0) return undefined;
    const opened = this.#index.ofSyn(packet, segment.stream);
    if (opened !== undefined) return opened;
    return this.#packets.mayReset(packet)
      ? this.#index.ofFarEnd(packet, segment.stream)
      : undefined;
  }

  /** Whether a stream or listener that asks for this is sealed from end to end. */
  #secret(secrecy: Secrecy | undefined): boolean {
    return this.#env.endToEnd && (secrecy ?? this.#env.secrecy()) === 'end-to-end';
  }

  /* -------------------------------------------------------------- packets */

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
      if (id !== 0 && !this.#index.of(id) !== undefined) return id;
    }
  }

  #freePort(): Port {
    // Streams with the same port at the same node differ in their ids; better they differ in both.
    const port =
      drawPort(
        this.#env.draws,
        (taken) => this.#listening.has(taken) || this.#index.opens(taken),
      ) ?? drawPort(this.#env.draws, (taken) => this.#listening.has(taken));
    if (port !== null) return port;
    throw new SpinesError(
      'EADDRINUSE',
      'no free stream port is left; close listeners that are not needed',
    );
  }
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

/**
 * One stream: an ordered, reliable byte stream between two programs, end to end.
 *
 * Owns the state of the connection and its timers; ordering is StreamReceiver's and recovery
 * StreamSender's business. The owner writes as the stream grants space and takes data when it
 * likes; what it does not take closes the window.
 *
 *     opening ──SYN answered──▶ open ──both FINs acknowledged──▶ closed
 *     accepting ──answered──▶    │
 *        └───── refused, reset, timed out, no route ────────────▶ closed
 */

import { assert } from '../base/assert.ts';
import type { NodeId, Port } from '../base/ids.ts';
import { MILLISECOND, NEVER, SECOND, Timer, type Micros } from '../base/time.ts';
import type { CongestionName } from '../recovery/controller.ts';
import { SERVICE_RELIABLE } from '../wire/packet.ts';
import { SEAL_BYTES } from '../wire/sealed-packet.ts';
import {
  RESET_FORBIDDEN,
  RESET_UNSAID,
  type Segment,
  SEGMENT_ACK,
  SEGMENT_ASK,
  SEGMENT_BYTES_MAX,
  SEGMENT_FIN,
  SEGMENT_MARKED,
  SEGMENT_RST,
} from '../wire/segment.ts';
import type { ReceiveAccount } from './receive-budget.ts';
import { REFUSED_RETRY, SegmentOutput, type OutputEnvironment } from './segment-output.ts';
import {
  effectiveLimits,
  StreamLiveness,
  type LivenessLimits,
  type OwnLimits,
} from './stream-liveness.ts';
import { StreamOpening } from './stream-opening.ts';
import { StreamReceiver } from './stream-receiver.ts';
import { StreamSender, type Next } from './stream-sender.ts';
import type { StreamOptions, StreamTiming } from './stream-settings.ts';
import {
  STREAM_EDGES,
  type StreamError,
  type StreamLimit,
  type StreamState,
} from './stream-state.ts';
import { WindowProbe } from './window-probe.ts';
import { WRITE_MAX_BYTES, WriteGrant } from './write-grant.ts';

export interface StreamOwner {
  /** The far end answered. */
  onOpen(stream: Stream): void;
  /** There is data to take with `front` and `take`, or the far end has ended (`readEnded`). */
  onReadable(stream: Stream): void;
  /** `bytes` more may be written. */
  onSpace(stream: Stream, bytes: number): void;
  /** The stream is over; it is not used again. */
  onClosed(stream: Stream, error: StreamError): void;
}

export interface StreamEnvironment extends OutputEnvironment<Stream> {
  /** May change: `onTimingChanged`. */
  readonly timing: StreamTiming;
  /** Congestion control of streams that say nothing of it. */
  congestion(service: number): CongestionName;
  reachable(node: NodeId): boolean;
  /** True while the first link's queue is too long to add to. */
  congested(stream: Stream): boolean;
  /** Call `send` at the end of the turn. */
  later(stream: Stream): void;
  onGone(stream: Stream): void;
}

export const RECEIVE_MAX_BYTES = 4 * 1024 * 1024;
/** The end of a closed stream is remembered, so that a repeated FIN is answered. */
const AFTERLIFE: Micros = 3 * SECOND;
/**
 * Over best-effort links a reset may be lost, and nothing that the far end says may ever call for
 * another one: it goes so often more.
 */
const RESETS_AGAIN = 2;

export class Stream {
  readonly id: number;
  readonly node: NodeId;
  readonly port: Port;
  readonly localPort: Port;
  readonly options: StreamOptions;
  /** It was opened here. */
  readonly initiator: boolean;
  /** The far end's id for this stream, 0 until known. */
  remoteId = 0;
  readonly sender: StreamSender;
  readonly receiver = new StreamReceiver(RECEIVE_MAX_BYTES, 0);
  /** What it is charged for among all streams of the daemon. */
  readonly account: ReceiveAccount;
  owner: StreamOwner;
  /** What kept it from sending more when it last tried. */
  limitedBy: StreamLimit = 'application';
  /** In the list of streams that `send` at the end of the turn. */
  listed = false;
  readonly #env: StreamEnvironment;
  readonly #opening: StreamOpening;
  readonly #output: SegmentOutput<Stream>;
  readonly #next: Next = { start: 0, end: 0, fin: false, again: false };
  readonly #wait = { us: 0 };
  readonly #timer = new Timer(() => this.#onTimer());
  readonly #paceTimer = new Timer(() => this.send());
  #state: StreamState;
  readonly #grant = new WriteGrant();
  readonly #liveness: StreamLiveness;
  readonly #windowProbe = new WindowProbe();
  /** The owner reads no more, and writes no more: what is left goes out, then all ends. */
  #abandonedAt: Micros = NEVER;
  /**
   * The owner went without ending its direction: when all that it wrote has arrived, the far end
   * must not take that for the end.
   */
  #broken = false;
  /** Ended by a reset from here, which goes so often more; -1: it was not. */
  #resetsLeft = -1;
  #readEndTold = false;
  #gone = false;

  constructor(
    id: number,
    node: NodeId,
    port: Port,
    localPort: Port,
    owner: StreamOwner,
    options: StreamOptions,
    initiator: boolean,
    env: StreamEnvironment,
    account: ReceiveAccount,
    connectUs = env.timing.connectUs,
  ) {
    this.account = account;
    this.id = id;
    this.node = node;
    this.port = port;
    this.localPort = localPort;
    this.owner = owner;
    this.options = options;
    this.#env = env;
    this.initiator = initiator;
    this.#state = initiator ? 'opening' : 'accepting';
    const now = env.clock.now();
    this.#opening = new StreamOpening(now, connectUs);
    this.#liveness = new StreamLiveness(now);
    const sealBytes = options.secrecy === 'end-to-end' ? SEAL_BYTES : 0;
    this.sender = new StreamSender(
      options.service === SERVICE_RELIABLE,
      options.congestion ?? env.congestion(options.service),
      WRITE_MAX_BYTES,
      SEGMENT_BYTES_MAX - sealBytes,
    );
    this.#output = new SegmentOutput(this, env);
  }

  get state(): StreamState {
    return this.#state;
  }

  /** Everything the far end sent has been taken, and it sends no more. */
  get readEnded(): boolean {
    return this.receiver.finished && this.receiver.readyBytes === 0;
  }

  /** Bytes that `write` would take now. */
  get space(): number {
    return this.#grant.space;
  }

  /* -------------------------------------------------------------- owner's side */

  /** Begins the handshake, from either side. */
  start(): void {
    this.#sendSyn();
    this.#armTimer();
  }

  /**
   * Takes as much of `bytes[start..end)` as was granted; returns how much. It leaves at the end of
   * the turn.
   */
  write(bytes: Uint8Array, start: number, end: number): number {
    if (this.#state === 'closed' || this.sender.ended) return 0;
    const taken = this.sender.write(bytes, start, Math.min(end, start + this.space));
    this.#grant.onWritten(taken);
    this.#env.later(this);
    return taken;
  }

  /** No more will be written. */
  end(): void {
    if (this.#state === 'closed' || this.sender.ended) return;
    this.sender.end();
    this.#env.later(this);
  }

  /** The longest run of bytes to take. */
  front(): Uint8Array {
    return this.receiver.front();
  }

  take(count: number): void {
    this.receiver.take(count);
    this.#env.onGranted(this);
    if (this.#state !== 'open') return;
    // A window that was nearly shut and is a good part open again is worth a segment of its own.
    const share = this.#env.receiveShare(this);
    if (
      this.#output.advertised < share / 8 &&
      share - this.receiver.readyBytes >= this.#output.advertised + share / 4
    )
      this.#output.ack();
  }

  /**
   * Ends at once; the far end sees a reset. `last`: nothing is sent any more after this turn.
   * `why`: RESET_..., for the far end.
   */
  reset(last = false, why = RESET_UNSAID): void {
    if (this.#state === 'closed') return;
    this.#output.why = why;
    const again = !last && this.#state === 'open' && this.options.service !== SERVICE_RELIABLE;
    this.#output.reset();
    this.#resetsLeft = again ? RESETS_AGAIN : 0;
    this.#close('ECONNABORTED', again);
  }

  /** Ends at once, half open, and says nothing: its far end may not exist. */
  forget(): void {
    if (this.#state === 'accepting') this.#close('ECONNABORTED', false);
  }

  /**
   * The owner goes: what was written is delivered if that is possible in time, what arrives is not
   * kept. `broken`: it did not mean to go; unless it had ended its direction, the far end sees a
   * reset behind what was written, never an end.
   */
  abandon(owner: StreamOwner, broken = false): void {
    this.owner = owner;
    if (this.#state === 'closed') return;
    this.#broken = broken && !this.sender.ended;
    if (
      this.#state !== 'open' ||
      this.receiver.readyBytes > 0 ||
      (this.#broken && this.sender.buffered === 0)
    ) {
      this.reset();
      return;
    }
    if (!this.#broken) this.end();
    this.#abandonedAt = this.#env.clock.now();
    this.#armTimer();
  }

  /** How long its far end may be silent, and how often it is asked; in force at once. */
  get limits(): OwnLimits {
    return this.#liveness.own;
  }

  set limits(own: OwnLimits) {
    this.#liveness.own = own;
    this.onTimingChanged();
  }

  /** What `limits` and the daemon's make of it. */
  get effectiveLimits(): LivenessLimits {
    return effectiveLimits(this.#liveness.own, this.#env.timing);
  }

  /** There is no route to the far end, or was none when the stream ended. */
  get noRoute(): boolean {
    return this.#liveness.noRoute;
  }

  /** The daemon's limits are others now, or its own. */
  onTimingChanged(): void {
    if (this.#state === 'open') this.#armTimer();
  }

  /* -------------------------------------------------------------- network's side */

  /** Routes changed. Whether a far end that was out of reach is still there is asked at once. */
  onRoutes(reachable: boolean): void {
    if (this.#state !== 'open') return;
    if (this.#liveness.onRoute(reachable, this.#env.clock.now())) this.ask();
    else if (!reachable) this.#armTimer();
  }

  /** Asks the far end for a sign of life. One that was started anew answers with a reset. */
  ask(): void {
    if (this.#state !== 'open') return;
    this.#sendAsk();
    this.#armTimer();
  }

  /**
   * The answer to a connection attempt arrived, or its confirmation; `window`: what the far end
   * takes.
   */
  establish(remoteId: number, window: number): void {
    assert(
      this.#state === 'opening' || this.#state === 'accepting',
      'a stream is established once',
    );
    const now = this.#env.clock.now();
    this.remoteId = remoteId;
    this.#liveness.onHeard(now);
    this.sender.edge = window;
    const roundTrip = this.#opening.roundTrip(now);
    if (roundTrip !== null) this.sender.rtt.onSample(roundTrip, now);
    const initiator = this.#state === 'opening';
    this.#become('open');
    if (initiator) this.#output.ack();
    this.owner.onOpen(this);
    this.#armTimer();
  }

  /** The far end repeated its part of the handshake: our answer was lost. */
  answerAgain(): void {
    if (this.#state === 'accepting') this.#sendSyn();
    else this.#output.ack();
  }

  /**
   * A segment of this stream, its data in `bytes[start..end)`; `ecn`: the packet was marked on its
   * way.
   */
  onSegment(
    segment: Segment,
    ecn: boolean,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): 'ok' | 'out of window' | 'duplicate' {
    const now = this.#env.clock.now();
    const rst = (segment.flags & SEGMENT_RST) !== 0;
    // Where the far end may be now (RFC 5961, section 3.2); one that has forgotten the stream names
    // its own id and knows no position.
    if (rst && segment.stream === this.id && !this.receiver.mayEndAt(segment.sequence))
      return 'out of window';
    this.#liveness.onHeard(now);
    if (rst) {
      this.#close(
        segment.why === RESET_FORBIDDEN
          ? 'EACCES'
          : this.#state === 'opening'
            ? 'ECONNREFUSED'
            : 'ECONNRESET',
        false,
      );
      return 'ok';
    }
    if ((segment.flags & SEGMENT_ACK) !== 0 && !this.#onAck(segment, now)) return 'out of window';
    if (this.#state === 'closed') return 'ok';
    let result: 'ok' | 'out of window' | 'duplicate' = 'ok';
    const fin = (segment.flags & SEGMENT_FIN) !== 0;
    if (end > start || fin) result = this.#onData(segment, ecn, bytes, start, end, fin, now);
    else if ((segment.flags & SEGMENT_ASK) !== 0) this.#output.ack();
    if (this.sender.finished && this.receiver.finished) this.#maybeFinish();
    return result;
  }

  #onAck(segment: Segment, now: Micros): boolean {
    const before = this.sender.unacknowledged;
    if (!this.sender.onAck(segment, (segment.flags & SEGMENT_MARKED) !== 0, now)) return false;
    this.#windowProbe.onAck();
    if (this.#broken && this.sender.buffered === 0) {
      this.reset();
      return true;
    }
    if (this.sender.unacknowledged > before) {
      const more = this.#grant.extend(this.sender.buffered, this.sender.controller.window);
      if (more > 0) this.owner.onSpace(this, more);
    }
    this.#env.later(this);
    this.#armTimer();
    return true;
  }

  #onData(
    segment: Segment,
    ecn: boolean,
    bytes: Uint8Array,
    start: number,
    end: number,
    fin: boolean,
    now: Micros,
  ): 'ok' | 'out of window' | 'duplicate' {
    const { receiver } = this;
    const hadGap = receiver.hasGap;
    const accepted = receiver.accept(segment.sequence, bytes, start, end, fin);
    this.#output.onData(ecn, accepted === 'duplicate' && end > start, now);
    if (accepted === 'new') {
      if (this.#abandonedAt !== NEVER && receiver.readyBytes > 0) {
        // Nobody will read this: say so instead of pretending.
        this.reset();
        return 'ok';
      }
      if (receiver.readyBytes > 0 || receiver.finished) this.#tellReadable();
    }
    if (this.#state === 'closed') return 'ok';
    const reliable = this.options.service === SERVICE_RELIABLE;
    const asked = ecn || fin || (segment.flags & SEGMENT_ASK) !== 0;
    const unusual =
      accepted === 'duplicate' ||
      accepted === 'out of window' ||
      (!reliable && (accepted === 'gap' || hadGap));
    const atOnce = asked || unusual || (!reliable && this.#output.unacknowledged >= 2);
    if (atOnce) this.#output.ack();
    else this.#output.ackSoon(now);
    return accepted === 'duplicate' || accepted === 'out of window' ? accepted : 'ok';
  }

  #tellReadable(): void {
    if (this.receiver.readyBytes === 0) {
      if (this.#readEndTold) return;
      this.#readEndTold = true;
    }
    this.owner.onReadable(this);
  }

  /* -------------------------------------------------------------- sending */

  /** Sends what may be sent now. */
  send(): void {
    this.listed = false;
    if (this.#state !== 'open') return;
    const now = this.#env.clock.now();
    for (;;) {
      if (this.#env.congested(this)) {
        this.limitedBy = 'link queue';
        break;
      }
      if (!this.sender.nextToSend(now, this.#next, this.#wait)) {
        this.limitedBy = this.#wait.us > 0 ? 'pacing' : this.sender.limit();
        this.sender.onPause();
        if (this.#wait.us > 0) this.#env.timers.arm(this.#paceTimer, now + this.#wait.us);
        break;
      }
      if (!this.#sendNext(now)) {
        // Nothing of it left. Room is told; if somebody else was refused for want of it, it is
        // looked for.
        this.limitedBy = 'link queue';
        if (!this.#env.congested(this)) this.#env.timers.arm(this.#paceTimer, now + REFUSED_RETRY);
        break;
      }
    }
    this.#armTimer();
  }

  #sendNext(now: Micros): boolean {
    const { start, end, fin } = this.#next;
    const ask = this.sender.asks(this.#next);
    const flags = SEGMENT_ACK | (fin ? SEGMENT_FIN : 0) | (ask ? SEGMENT_ASK : 0);
    if (
      !this.#output.send(flags, start, end - start, (out, at) =>
        this.sender.copy(start, end, out, at),
      )
    )
      return false;
    this.sender.onSent(this.#next, ask, now);
    this.#liveness.onSent(now, false);
    return true;
  }

  #sendAsk(): void {
    this.#liveness.onSent(this.#env.clock.now(), true);
    this.#output.ask();
  }

  #sendSyn(): void {
    this.#opening.onSent();
    this.#output.syn();
  }

  /* -------------------------------------------------------------- timers and the end */

  #armTimer(): void {
    const { timers, timing } = this.#env;
    if (this.#gone) return;
    let at: Micros;
    if (this.#state === 'opening' || this.#state === 'accepting')
      at = this.#env.clock.now() + this.#opening.pauseUs;
    else if (this.#state === 'open') {
      at = Math.min(
        this.sender.dueAt,
        this.#windowProbe.dueAt(this.sender, this.#liveness),
        this.#liveness.keepaliveAt(timing),
        this.#liveness.silentAt(timing, this.sender.outstanding),
      );
      if (this.#abandonedAt !== NEVER) at = Math.min(at, this.#abandonedAt + timing.lingerUs);
    } else
      at =
        this.#env.clock.now() +
        (this.#resetsLeft < 0 ? AFTERLIFE : Math.min(SECOND, this.sender.timeout));
    const soon = this.#env.clock.now() + MILLISECOND;
    if (at === NEVER) timers.cancel(this.#timer);
    // What is due already keeps its time: an owner that writes every half millisecond must not put
    // it off for ever.
    else if (at > soon || !this.#timer.armed || this.#timer.at > soon)
      timers.arm(this.#timer, Math.max(at, soon));
  }

  #onTimer(): void {
    const now = this.#env.clock.now();
    const { timing } = this.#env;
    if (this.#state === 'closed') {
      if (this.#resetsLeft > 0) {
        this.#resetsLeft -= 1;
        this.#output.reset();
        this.#armTimer();
      } else this.#forget();
      return;
    }
    if (this.#state !== 'open') {
      this.#onOpeningTimer(now);
      return;
    }
    if (now - this.#abandonedAt >= timing.lingerUs) {
      this.reset();
      return;
    }
    if (now >= this.#liveness.silentAt(timing, this.sender.outstanding)) {
      this.#output.reset();
      this.#close('ETIMEDOUT', false);
      return;
    }
    const persist = now >= this.#windowProbe.dueAt(this.sender, this.#liveness);
    if (persist || now >= this.#liveness.keepaliveAt(timing)) {
      if (persist) this.#windowProbe.onSent();
      this.#sendAsk();
    }
    this.sender.onTimer(now);
    this.send();
    this.#armTimer();
  }

  #onOpeningTimer(now: Micros): void {
    const unreachable = !this.#env.reachable(this.node);
    if (this.#opening.isOver(now, unreachable, this.#env.timing)) {
      // What the far end holds of it, whether its answers were lost or only late, ends as well.
      this.#output.reset();
      this.#close(unreachable ? 'EHOSTUNREACH' : 'ETIMEDOUT', false);
    } else {
      this.#sendSyn();
      this.#armTimer();
    }
  }

  /** Both directions are done. */
  #maybeFinish(): void {
    if (this.#state !== 'open') return;
    if (this.receiver.readyBytes > 0) return;
    this.#output.ack();
    this.#close(null, true);
  }

  /** The owner took the last bytes after everything else was done. */
  onTaken(): void {
    if (this.#state === 'open' && this.sender.finished && this.receiver.finished)
      this.#maybeFinish();
  }

  #close(error: StreamError, afterlife: boolean): void {
    this.#become('closed');
    this.#output.stop();
    this.#env.timers.cancel(this.#paceTimer);
    const { owner } = this;
    this.sender.clear();
    if (error !== null) this.receiver.clear();
    this.#env.onGranted(this);
    if (afterlife) this.#armTimer();
    else this.#forget();
    owner.onClosed(this, error);
  }

  /** The far end repeats something of a stream that is over here. */
  answerAfterlife(): void {
    if (this.#state !== 'closed' || this.#gone) return;
    this.#output.send(this.#resetsLeft < 0 ? SEGMENT_ACK : SEGMENT_RST, this.sender.next, 0, null);
  }

  #forget(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#env.timers.cancel(this.#timer);
    this.#env.onGone(this);
  }

  #become(next: StreamState): void {
    assert(STREAM_EDGES[this.#state].includes(next), 'a stream changes state along its edges only');
    this.#state = next;
  }
}

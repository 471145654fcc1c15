/**
 * A constant-rate flow of messages over a stream between two simulated hosts, measured.
 *
 * Messages have one size, so the receiver finds them again in the byte stream. What the stream does
 * not take waits in the flow, and delay counts from when a message was due (paper section 3: the
 * time in the application's buffer counts).
 */

import { getU32, getU48, putU32, putU48 } from '../../core/base/bytes.ts';
import { Timer, type Micros } from '../../core/base/time.ts';
import { FlowMeter, Refusals } from '../report/delay-stats.ts';
import type { Stream, StreamOwner } from '../../core/session/stream.ts';
import type { StreamError } from '../../core/session/stream-state.ts';
import type { StreamOptions } from '../../core/session/stream-settings.ts';
import { DISSEMINATION_LINK_STATE, PRIORITY_DEFAULT, TTL_DEFAULT } from '../../core/wire/packet.ts';
import { offsetOf, type FlowSettings } from './flow.ts';
import type { SimHost, World } from './world.ts';

const HEAD_BYTES = 10;

export class SimStreamFlow {
  readonly meter = new FlowMeter();
  sent = 0;
  refused = 0;
  foreign = 0;
  /** How streams ended, in order of events. */
  readonly errors: StreamError[] = [];
  /** World time from which its messages count; 0 before `begin`. */
  startAt: Micros = 0;
  stream: Stream | null = null;
  readonly #world: World;
  readonly #from: SimHost;
  readonly #to: SimHost;
  readonly #settings: FlowSettings & { readonly congestion?: StreamOptions['congestion'] };
  readonly #port: number;
  readonly #message: Uint8Array;
  readonly #partial: Uint8Array;
  readonly #timer = new Timer(() => this.#onDue());
  #partialLength = 0;
  #next = 0;
  /** Number of the first message not yet wholly written, and how much of it was. */
  #writing = 0;
  #written = 0;

  /**
   * `baseAt`: when it connects, and from when its start counts; null: it connects now, and sends
   * once `begin` has said when.
   */
  constructor(
    world: World,
    number: number,
    from: SimHost,
    to: SimHost,
    settings: FlowSettings & { readonly congestion?: StreamOptions['congestion'] },
    baseAt: Micros | null,
  ) {
    this.#world = world;
    this.#from = from;
    this.#to = to;
    this.#settings = settings;
    this.#port = 20_000 + (number % 10_000);
    this.#message = new Uint8Array(Math.max(HEAD_BYTES, settings.sizeBytes));
    this.#partial = new Uint8Array(this.#message.length);
    this.listen();
    if (baseAt === null) {
      this.#connect();
      return;
    }
    world.schedule(baseAt, () => this.#connect());
    this.begin(baseAt);
  }

  begin(baseAt: Micros): void {
    this.startAt = baseAt + this.#settings.startUs;
    this.#world.timers.arm(this.#timer, this.startAt + offsetOf(this.#settings, 0));
  }

  /** Its stream is open, or will not be. */
  get settled(): boolean {
    return this.stream === null || this.stream.state !== 'opening';
  }

  /** Messages that wait in the program because the stream does not take them. */
  get waiting(): number {
    return this.#next - this.#writing;
  }

  get refusals(): Refusals {
    const refusals = new Refusals();
    if (this.waiting > 0) refusals.add('waiting', this.waiting);
    return refusals;
  }

  listen(): void {
    if (!this.#to.running) return;
    this.#to.node.streams.listen(this.#port, 0, (port) => ({
      port,
      congestion: this.#settings.congestion,
      onAccept: () => this.#receiver,
    }));
  }

  readonly #receiver: StreamOwner = {
    onOpen() {},
    onReadable: (stream) => this.#read(stream),
    onSpace() {},
    onClosed() {},
  };

  readonly #sender: StreamOwner = {
    onOpen: () => this.#write(),
    onReadable: (stream) => stream.take(stream.front().length),
    onSpace: () => this.#write(),
    onClosed: (_stream, error) => {
      this.errors.push(error);
      this.stream = null;
    },
  };

  #connect(): void {
    if (!this.#from.running) return;
    const { options = {}, congestion } = this.#settings;
    this.stream = this.#from.node.streams.connect(this.#to.id, this.#port, 0, this.#sender, {
      service: options.service ?? 0,
      dissemination: options.dissemination ?? DISSEMINATION_LINK_STATE,
      ttl: TTL_DEFAULT,
      priority: PRIORITY_DEFAULT,
      congestion,
    });
    this.#from.endTurn();
  }

  #onDue(): void {
    const { durationUs, count } = this.#settings;
    const due = this.#dueAt(this.#next);
    if (due >= this.startAt + durationUs || (count !== null && this.#next >= count)) return;
    this.#next += 1;
    this.sent += 1;
    this.#write();
    this.#from.endTurn();
    this.#world.timers.arm(this.#timer, this.#dueAt(this.#next));
  }

  #dueAt(sequence: number): Micros {
    return this.startAt + offsetOf(this.#settings, sequence);
  }

  /** Writes what is due and not yet taken. */
  #write(): void {
    const message = this.#message;
    while (this.stream !== null && this.stream.state === 'open' && this.#writing < this.#next) {
      putU32(message, 0, this.#writing);
      putU48(message, 4, this.#dueAt(this.#writing));
      const taken = this.stream.write(message, this.#written, message.length);
      this.#written += taken;
      if (this.#written < message.length) return;
      this.#written = 0;
      this.#writing += 1;
    }
  }

  #read(stream: Stream): void {
    while (stream.receiver.readyBytes > 0) {
      const front = stream.front();
      const count = Math.min(front.length, this.#partial.length - this.#partialLength);
      this.#partial.set(front.subarray(0, count), this.#partialLength);
      stream.take(count);
      this.#partialLength += count;
      if (this.#partialLength < this.#partial.length) continue;
      this.#partialLength = 0;
      this.meter.onMessage(
        getU32(this.#partial, 0),
        this.#world.now() - getU48(this.#partial, 4),
        this.#partial.length,
      );
    }
    stream.onTaken();
  }
}

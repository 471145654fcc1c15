/**
 * A constant-rate flow between two simulated hosts, measured.
 *
 * The k-th message is due at start + k / rate, or when the settings' times say; delay counts from
 * then. Messages carry their number and due time. A flow is a DatagramOwner at both ends, exactly
 * as a client port is.
 */

import { getU32, getU48, putU32, putU48 } from '../../core/base/bytes.ts';
import type { NodeId, Port } from '../../core/base/ids.ts';
import { SECOND, Timer, type Micros } from '../../core/base/time.ts';
import { FlowMeter, Refusals } from '../report/delay-stats.ts';
import type { SendTimes } from '../../core/emulation/send-times.ts';
import type {
  DatagramOptions,
  DatagramOwner,
  DatagramSession,
} from '../../core/session/sessions.ts';
import { DropReason, dropReasonName } from '../../core/wire/drop.ts';
import type { SimHost, World } from './world.ts';

export interface FlowSettings {
  readonly packetsPerSecond: number;
  /** At least FLOW_HEAD_BYTES. */
  readonly sizeBytes: number;
  readonly startUs: Micros;
  readonly durationUs: Micros;
  readonly count: number | null;
  /** Default: exactly a period after each other, from the start. */
  readonly times?: SendTimes;
  readonly options?: DatagramOptions;
}

/** Magic, flow number, sequence, due time. */
const FLOW_HEAD_BYTES = 16;
const MAGIC = 0x5f10;

export class SimFlow implements DatagramOwner {
  readonly meter = new FlowMeter();
  sent = 0;
  /**
   * Messages that the source daemon did not take, and packets of which it was told later that they
   * are lost.
   */
  readonly refusals = new Refusals();
  /** Messages that the source daemon did not take. */
  refused = 0;
  /** Messages that were not this flow's: must stay 0. */
  foreign = 0;
  readonly #world: World;
  readonly #number: number;
  readonly #from: SimHost;
  readonly #to: SimHost;
  readonly #settings: FlowSettings;
  readonly #port: Port;
  readonly #payload: Uint8Array;
  readonly #timer = new Timer(() => this.#onDue());
  /** World time of the first message. */
  readonly startAt: Micros;
  #session: DatagramSession | null = null;
  #sessionRun: object | null = null;
  #next = 0;

  constructor(
    world: World,
    number: number,
    from: SimHost,
    to: SimHost,
    settings: FlowSettings,
    baseAt: Micros,
  ) {
    this.#world = world;
    this.#number = number;
    this.#from = from;
    this.#to = to;
    this.#settings = settings;
    this.#port = 20_000 + (number % 10_000);
    this.#payload = new Uint8Array(Math.max(FLOW_HEAD_BYTES, settings.sizeBytes));
    this.startAt = baseAt + settings.startUs;
    this.listen();
    world.timers.arm(this.#timer, this.startAt + offsetOf(settings, 0));
  }

  /** Opens the receiving session; again after the destination's daemon restarted. */
  listen(): void {
    if (!this.#to.running) return;
    const { secrecy } = this.#settings.options ?? {};
    // How late it is shall be seen.
    const session = this.#to.node.sessions.open(this, {
      late: 'deliver',
      ...(secrecy === undefined ? {} : { secrecy }),
    });
    this.#to.node.sessions.bind(session, this.#port);
  }

  onMessage(
    _session: DatagramSession,
    source: NodeId,
    _port: Port,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): boolean {
    const number = (bytes[start + 2]! << 8) | bytes[start + 3]!;
    if (
      source !== this.#from.id ||
      end - start !== this.#payload.length ||
      number !== this.#number ||
      ((bytes[start]! << 8) | bytes[start + 1]!) !== MAGIC
    ) {
      this.foreign += 1;
      return true;
    }
    this.meter.onMessage(
      getU32(bytes, start + 4),
      this.#world.now() - getU48(bytes, start + 8),
      end - start,
    );
    return true;
  }

  onWritable(): void {}

  onLost(_session: DatagramSession, _destination: NodeId, reason: DropReason, count: number): void {
    this.refusals.add(dropReasonName(reason), count);
  }

  #onDue(): void {
    const { durationUs, count } = this.#settings;
    const due = this.startAt + offsetOf(this.#settings, this.#next);
    if (due >= this.startAt + durationUs || (count !== null && this.#next >= count)) return;
    this.#send(this.#next, due);
    this.#next += 1;
    this.#world.timers.arm(this.#timer, this.startAt + offsetOf(this.#settings, this.#next));
  }

  #send(sequence: number, due: Micros): void {
    this.sent += 1;
    if (!this.#from.running) {
      this.refused += 1;
      this.refusals.add('daemonAway');
      return;
    }
    const { sessions } = this.#from.node;
    if (this.#sessionRun !== this.#from.node) {
      this.#sessionRun = this.#from.node;
      this.#session = sessions.open(this, this.#settings.options ?? {});
    }
    const b = this.#payload;
    b[0] = MAGIC >> 8;
    b[1] = MAGIC & 0xff;
    b[2] = this.#number >> 8;
    b[3] = this.#number;
    putU32(b, 4, sequence);
    putU48(b, 8, due);
    const reason = sessions.send(this.#session!, this.#to.id, this.#port, b, 0, b.length);
    if (reason !== DropReason.none) {
      this.refused += 1;
      this.refusals.add(dropReasonName(reason));
    }
    this.#from.endTurn();
  }
}

/** When message k is due after the flow's start, whole microseconds. */
export function offsetOf({ packetsPerSecond, times }: FlowSettings, k: number): Micros {
  return times === undefined
    ? Math.round((k * SECOND) / packetsPerSecond)
    : Math.floor(times.offsetUs(k));
}

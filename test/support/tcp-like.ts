/**
 * A flow that behaves like TCP, beside the overlay on the same emulated wire: the yardstick for
 * fairness.
 *
 * NewReno by RFC 5681 and 6582 (slow start, fast retransmit, fast recovery with partial acks, RTO
 * of RFC 6298 with at least 200 ms), cumulative acks for every second segment, no SACK. Shares no
 * code with the overlay: datagrams carry a first byte that no daemon sends, and `take` keeps them
 * from the daemons.
 */

import { getU32, putU32 } from '../../src/core/base/bytes.ts';
import { MILLISECOND, Timer, type Micros } from '../../src/core/base/time.ts';
import type { SimHost, Wire, World } from '../../src/lab/sim/world.ts';

const MARK = 0xee;
/** With IP and UDP headers as long as a full TCP segment: 1500 bytes. */
const DATAGRAM_BYTES = 1_472;
const ACK_BYTES = 12;
const RTO_MIN: Micros = 200 * MILLISECOND;

export class TcpLike {
  /** Segments that arrived in order. */
  delivered = 0;
  timeouts = 0;
  readonly #world: World;
  readonly #there: Wire;
  readonly #back: Wire;
  readonly #timer = new Timer(() => this.#onTimeout());
  #window = 10;
  #threshold = Infinity;
  #first = 0;
  #next = 0;
  #duplicates = 0;
  #recover = -1;
  #timed = -1;
  #timedAt: Micros = 0;
  #srtt = 0;
  #variation = 0;
  #backoff = 1;
  readonly #held = new Set<number>();
  #unacked = 0;
  #stopped = false;

  constructor(world: World, from: SimHost, to: SimHost) {
    this.#world = world;
    this.#there = from.wires.get(to.endpoint.key)!;
    this.#back = to.wires.get(from.endpoint.key)!;
  }

  start(): void {
    this.#send();
  }

  stop(): void {
    this.#stopped = true;
    this.#world.timers.cancel(this.#timer);
  }

  /** For WorldOptions.onArrival: true when the datagram was this flow's. */
  take(wire: Wire, bytes: Uint8Array): boolean {
    if (bytes[0] !== MARK) return false;
    if (this.#stopped) return true;
    if (wire === this.#there) this.#onData(getU32(bytes, 1));
    else this.#onAck(getU32(bytes, 1));
    return true;
  }

  #transmit(number: number): void {
    const bytes = new Uint8Array(DATAGRAM_BYTES);
    bytes[0] = MARK;
    putU32(bytes, 1, number);
    if (this.#timed < 0) {
      this.#timed = number;
      this.#timedAt = this.#world.now();
    } else if (number === this.#timed) this.#timed = -1;
    this.#world.transmit(this.#there, bytes, bytes.length);
    if (!this.#timer.armed) this.#arm();
  }

  #send(): void {
    while (this.#next < this.#first + Math.floor(this.#window)) {
      this.#next += 1;
      this.#transmit(this.#next - 1);
    }
  }

  get #rto(): Micros {
    return this.#srtt === 0
      ? 1_000 * MILLISECOND
      : this.#backoff * Math.max(RTO_MIN, Math.round(this.#srtt + 4 * this.#variation));
  }

  #arm(): void {
    if (this.#first === this.#next) this.#world.timers.cancel(this.#timer);
    else this.#world.timers.arm(this.#timer, this.#world.now() + this.#rto);
  }

  #onData(number: number): void {
    if (number === this.delivered) {
      this.delivered += 1;
      const gap = this.#held.size > 0;
      while (this.#held.delete(this.delivered)) this.delivered += 1;
      this.#unacked += 1;
      if (this.#unacked < 2 && !gap) return;
    } else if (number > this.delivered) this.#held.add(number);
    this.#unacked = 0;
    const ack = new Uint8Array(ACK_BYTES);
    ack[0] = MARK;
    putU32(ack, 1, this.delivered);
    this.#world.transmit(this.#back, ack, ack.length);
  }

  #onAck(ack: number): void {
    if (ack > this.#first) this.#onProgress(ack);
    else if (this.#next > this.#first && ack === this.#first) this.#onDuplicate();
    this.#send();
  }

  #onProgress(ack: number): void {
    const newly = ack - this.#first;
    this.#first = ack;
    this.#next = Math.max(this.#next, ack);
    this.#backoff = 1;
    if (this.#timed >= 0 && ack > this.#timed) {
      const rtt = this.#world.now() - this.#timedAt;
      this.#timed = -1;
      this.#variation =
        this.#srtt === 0 ? rtt / 2 : 0.75 * this.#variation + 0.25 * Math.abs(rtt - this.#srtt);
      this.#srtt = this.#srtt === 0 ? rtt : 0.875 * this.#srtt + 0.125 * rtt;
    }
    this.#duplicates = 0;
    if (this.#recover >= 0) {
      if (ack > this.#recover) {
        this.#window = this.#threshold;
        this.#recover = -1;
      } else {
        this.#transmit(ack);
        this.#window = Math.max(1, this.#window - newly + 1);
      }
    } else if (this.#window < this.#threshold) this.#window += newly;
    else this.#window += newly / this.#window;
    this.#world.timers.cancel(this.#timer);
    this.#arm();
  }

  #onDuplicate(): void {
    this.#duplicates += 1;
    if (this.#recover >= 0) this.#window += 1;
    else if (this.#duplicates === 3) {
      this.#threshold = Math.max(2, (this.#next - this.#first) / 2);
      this.#window = this.#threshold + 3;
      this.#recover = this.#next - 1;
      this.#transmit(this.#first);
    }
  }

  #onTimeout(): void {
    this.timeouts += 1;
    this.#threshold = Math.max(2, (this.#next - this.#first) / 2);
    this.#window = 1;
    this.#recover = -1;
    this.#duplicates = 0;
    this.#timed = -1;
    this.#backoff = Math.min(64, this.#backoff * 2);
    this.#next = this.#first;
    this.#send();
    this.#arm();
  }
}

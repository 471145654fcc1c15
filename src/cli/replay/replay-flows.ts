/**
 * The flows of a real-time replay: fixed-rate senders and measuring receivers in one process.
 *
 * Owns the payload, the schedule loop and the meters; sockets are replay-carriers.ts's. A message
 * is due when send-times.ts says, and is sent within about 0.1 ms of that where the rates allow;
 * delay counts from the due time, on this process's monotonic clock, also while a message waits for
 * its stream to take it. Payload: flow u32, sequence u32, due time in microseconds f64, zeros.
 */

import type { SpinesClient } from 'spines-client';

import { SECOND, type Micros } from '../../core/base/time.ts';
import { FlowMeter, Refusals, type FlowResult } from '../../lab/report/delay-stats.ts';
import { SendTimes } from '../../core/emulation/send-times.ts';
import type { Topology, TopologyFlow } from '../../lab/topology/topology.ts';
import { latenessBetween, Lateness } from '../../host/lateness.ts';
import { PRECISE_PERIOD_US, Schedule, waitFor } from './pacing.ts';
import { openCarrier, type Carrier } from './replay-carriers.ts';

export const PAYLOAD_HEAD_BYTES = 16;
/**
 * Sends per second of all precise flows together: past it their polling would take a processor, and
 * all go by ticks.
 */
const PRECISE_RATE_MAX = 250;

interface RunningFlow {
  readonly flow: TopologyFlow;
  readonly index: number;
  readonly meter: FlowMeter;
  /** By the code that daemon or client library gave. */
  readonly refusals: Refusals;
  readonly carrier: Carrier;
  readonly payload: Uint8Array;
  readonly view: DataView;
  schedule: Schedule;
  sent: number;
}

/** What the flows do to the client library; `clientOf` gives the connection to a node's daemon. */
export class Flows {
  readonly #flows: RunningFlow[] = [];
  readonly #precise: boolean;
  readonly #seed: number;
  #timer: NodeJS.Timeout | null = null;
  #immediate: NodeJS.Immediate | null = null;
  #onAllSent: () => void = () => {};
  #running = false;
  readonly #lateness = new Lateness(0);

  private constructor(precise: boolean, seed: number) {
    this.#precise = precise;
    this.#seed = seed;
  }

  /** Opens the sockets of all flows. `clientOf` and `quadOf` take node indexes. */
  static async open(
    topology: Topology,
    clientOf: (node: number) => SpinesClient,
    quadOf: (node: number) => string,
  ): Promise<Flows> {
    const slowRate = topology.flows.reduce(
      (sum, { packetsPerSecond: rate }) => (SECOND / rate >= PRECISE_PERIOD_US ? sum + rate : sum),
      0,
    );
    const flows = new Flows(slowRate <= PRECISE_RATE_MAX, topology.seed);
    for (const [index, flow] of topology.flows.entries())
      await flows.#add(index, flow, clientOf(flow.from), clientOf(flow.to), quadOf(flow.to));
    return flows;
  }

  get sent(): number {
    return this.#flows.reduce((sum, flow) => sum + flow.sent, 0);
  }

  get delivered(): number {
    return this.#flows.reduce((sum, flow) => sum + flow.meter.delivered, 0);
  }

  get meters(): readonly { name: string; meter: FlowMeter }[] {
    return this.#flows.map(({ flow, meter }) => ({ name: flow.name, meter }));
  }

  /**
   * Sends all messages of all flows; resolves after the last. Flow starts count from `startUs` on
   * `nowUs`.
   */
  run(startUs: Micros): Promise<void> {
    for (const entry of this.#flows)
      entry.schedule = scheduleOf(entry.flow, startUs, this.#seed, entry.index);
    this.#running = true;
    return new Promise((resolve) => {
      this.#onAllSent = resolve;
      this.#turn();
    });
  }

  /**
   * By how much messages left after they were due, milliseconds rounded up to powers of two of
   * microseconds.
   */
  get lateness(): { readonly p99: number; readonly max: number } {
    return latenessBetween([], this.#lateness.counts);
  }

  results(): FlowResult[] {
    return this.#flows.map(({ flow, meter, sent, refusals, carrier }) => {
      const waiting = carrier.waiting();
      if (waiting > 0) refusals.add('waiting', waiting);
      return meter.result(sent, flow.durationUs, refusals, flow.deadlineUs);
    });
  }

  /** Stops sending and closes the sockets. */
  close(): void {
    this.#running = false;
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#immediate !== null) clearImmediate(this.#immediate);
    for (const { carrier } of this.#flows) carrier.close();
  }

  async #add(
    index: number,
    flow: TopologyFlow,
    source: SpinesClient,
    destination: SpinesClient,
    to: string,
  ): Promise<void> {
    const meter = new FlowMeter(),
      refusals = new Refusals();
    const carrier = await openCarrier({
      flow,
      source,
      destination,
      to,
      onMessage: (message) => {
        const nowAt = nowUs();
        if (message.readUInt32BE(0) === index)
          meter.onMessage(message.readUInt32BE(4), nowAt - message.readDoubleBE(8), message.length);
      },
      onRefused: (code, count) => refusals.add(code, count),
    });
    const payload = new Uint8Array(flow.sizeBytes);
    this.#flows.push({
      flow,
      index,
      meter,
      refusals,
      carrier,
      payload,
      view: new DataView(payload.buffer),
      schedule: scheduleOf(flow, Infinity, this.#seed, index),
      sent: 0,
    });
  }

  #turn(): void {
    this.#timer = null;
    this.#immediate = null;
    if (!this.#running) return;
    const now = nowUs();
    let precise = Infinity;
    let coarse = Infinity;
    for (const entry of this.#flows) {
      for (
        let sequence = entry.schedule.take(now);
        sequence >= 0;
        sequence = entry.schedule.take(now)
      )
        this.#send(entry, sequence);
      if (entry.schedule.done) continue;
      const inUs = entry.schedule.dueUs - now;
      if (this.#precise && entry.schedule.periodUs >= PRECISE_PERIOD_US)
        precise = Math.min(precise, inUs);
      else coarse = Math.min(coarse, inUs);
    }
    if (precise === Infinity && coarse === Infinity) {
      this.#running = false;
      this.#onAllSent();
      return;
    }
    const waits = [
      ...(precise === Infinity ? [] : [waitFor(precise, true)]),
      ...(coarse === Infinity ? [] : [waitFor(coarse, false)]),
    ];
    let ms = Infinity;
    for (const wait of waits) ms = Math.min(ms, wait.kind === 'poll' ? 0 : wait.ms);
    if (ms === 0) this.#immediate = setImmediate(() => this.#turn());
    else this.#timer = setTimeout(() => this.#turn(), Math.min(ms, 1_000));
  }

  #send(entry: RunningFlow, sequence: number): void {
    const { view, payload, schedule } = entry;
    view.setUint32(0, entry.index);
    view.setUint32(4, sequence);
    const dueUs = schedule.dueOf(sequence);
    view.setFloat64(8, dueUs);
    entry.sent += 1;
    const now = nowUs();
    this.#lateness.add(Math.round(now - dueUs), now);
    entry.carrier.send(payload);
  }
}

/** Monotonic microseconds of this process. */
export function nowUs(): Micros {
  return performance.now() * 1_000;
}

/** `seed` and `index`, the flow's position in its file, say where in its period it sends. */
export function scheduleOf(
  flow: Pick<
    TopologyFlow,
    'packetsPerSecond' | 'phaseUs' | 'jitterUs' | 'startUs' | 'durationUs' | 'count'
  >,
  startUs: Micros,
  seed: number,
  index: number,
): Schedule {
  const times = new SendTimes(flow, seed, index);
  return new Schedule(
    startUs + flow.startUs,
    times.periodUs,
    Math.min(flow.count ?? Infinity, times.within(flow.durationUs)),
    (k) => times.offsetUs(k),
  );
}

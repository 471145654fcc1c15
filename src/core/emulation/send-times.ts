/**
 * When the messages of a flow are due: period, phase and jitter, the same in real and in virtual
 * time.
 *
 * Owns the arithmetic; replay and simulator ask it for the k-th message. Flows whose periods stand
 * in a simple proportion would otherwise meet a full queue in the same order for ever, and the
 * order in the file would say who loses (Floyd and Jacobson, "On Traffic Phase Effects in
 * Packet-Switched Gateways", 1992). So a flow that says nothing wanders slowly through its period,
 * as clocks do that nobody keeps together. Invariant: due times are a pure function of flow, seed
 * and k, never fall, and message k of a flow without a phase of its own is due within the k-th
 * period.
 */

import { SECOND, type Micros } from '../base/time.ts';

/**
 * Messages in which a flow wanders from one place of its period to the next: gaps differ from the
 * period by a sixteenth at most.
 */
const WANDER_MESSAGES = 16;

export interface SendTimesSettings {
  /** Messages per second, above 0. */
  readonly packetsPerSecond: number;
  /**
   * Of the first message, from the flow's start; null: somewhere in the period, and wandering
   * through it unless there is jitter.
   */
  readonly phaseUs: Micros | null;
  /** Every message is up to this late, evenly, each on its own; at most a period. */
  readonly jitterUs: Micros;
}

export class SendTimes {
  readonly periodUs: number;
  readonly #phaseUs: Micros | null;
  readonly #jitterUs: Micros;
  readonly #seed: number;

  /** `seed`: the run's; `flow`: the flow's position in its file. */
  constructor(
    { packetsPerSecond, phaseUs, jitterUs }: SendTimesSettings,
    seed: number,
    flow: number,
  ) {
    this.periodUs = SECOND / packetsPerSecond;
    this.#jitterUs = jitterUs;
    this.#seed = mix(mix(seed) + flow);
    this.#phaseUs =
      phaseUs === null && jitterUs > 0
        ? this.#unit(-1) * Math.max(0, this.periodUs - jitterUs)
        : phaseUs;
  }

  /** When message k, 0 or more, is due after the flow's start, microseconds with a fraction. */
  offsetUs(k: number): number {
    if (this.#phaseUs !== null)
      return (
        this.#phaseUs +
        k * this.periodUs +
        (this.#jitterUs === 0 ? 0 : this.#jitterUs * this.#unit(k))
      );
    const place = Math.floor(k / WANDER_MESSAGES),
      between = (k % WANDER_MESSAGES) / WANDER_MESSAGES;
    return (
      (k + this.#unit(place) * (1 - between) + this.#unit(place + 1) * between) * this.periodUs
    );
  }

  /** How many messages are due in the first `durationUs`. */
  within(durationUs: Micros): number {
    // The noise of the division must not add one.
    let count = Math.max(0, Math.ceil((durationUs - (this.#phaseUs ?? 0)) / this.periodUs - 1e-9));
    while (count > 0 && this.offsetUs(count - 1) >= durationUs) count -= 1;
    return count;
  }

  /** Evenly in [0, 1), of its own for each `n`. */
  #unit(n: number): number {
    return mix(this.#seed + Math.imul(n, 0x9e3779b9)) / 0x1_0000_0000;
  }
}

/** splitmix32's finalizer: u32 in, u32 out. */
function mix(value: number): number {
  let z = (value + 0x9e3779b9) | 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return (z ^ (z >>> 15)) >>> 0;
}

/**
 * Loss of one direction of a link, estimated by the receiver from gaps in packet numbers.
 *
 * Windows of at least WINDOW expected datagrams are folded into a moving average. A datagram that arrives
 * late counts for the window in which it arrives, so reordering is not taken for loss. What breaks suddenly is believed
 * at once, and a window without any loss counts more than one with some.
 */

const WINDOW = 64;
/** Weight of a full window; the first windows weigh more, so that a fresh link converges fast. */
const GAIN = 0.25;
/** So much more lost than before, four deviations at the worst, is no chance. */
const SUDDEN = 0.25;
const GAIN_SUDDEN = 0.75;
const GAIN_CLEAN = 0.4;

export class LossEstimator {
  /** 0..1. */
  rate = 0;
  #windows = 0;
  #baseNumber = -1;
  #received = 0;

  /** A datagram that was not a duplicate arrived; `highest` is the highest packet number seen so far. */
  onReceived(highest: number): void {
    if (this.#baseNumber < 0) {
      this.#baseNumber = highest;
      return;
    }
    this.#received += 1;
    const expected = highest - this.#baseNumber;
    if (expected < WINDOW) return;
    const loss = expected > this.#received ? 1 - this.#received / expected : 0;
    this.#windows += 1;
    const usual = loss > this.rate + SUDDEN ? GAIN_SUDDEN : loss === 0 ? GAIN_CLEAN : GAIN;
    const gain = Math.max(usual, 1 / this.#windows);
    this.rate += (loss - this.rate) * gain;
    this.#baseNumber = highest;
    this.#received = 0;
  }

  /** A new channel starts a new sequence of packet numbers; the estimate stays. */
  restart(): void {
    this.#baseNumber = -1;
    this.#received = 0;
  }
}

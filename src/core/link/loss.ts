/**
 * Loss of one direction of a link, estimated by the receiver from gaps in packet numbers.
 *
 * Windows of at least WINDOW expected datagrams are folded into a moving average. A datagram that
 * arrives late counts for the window in which it arrives, so reordering is not taken for loss. What
 * breaks suddenly is believed at once, and a window without any loss counts more than one with
 * some.
 */

const WINDOW = 64;
/** Weight of a full window; the first windows weigh more, so that a fresh link converges fast. */
const GAIN = 0.25;
/** So much more lost than before, four deviations at the worst, is no chance. */
const SUDDEN = 0.25;
const GAIN_SUDDEN = 0.75;
const GAIN_CLEAN = 0.4;
/**
 * One outage is no law of the path; what was long ago counts half as much after so many datagrams.
 */
const RUNS_LEAST = 4;
/** What was told once is told until hardly anything of it is left. */
const RUNS_LEFT = 1;
const HALVED_AFTER = 2_048;

export class LossEstimator {
  /** 0..1. */
  rate = 0;
  /** Before the last window: what has just begun is in no more than that. */
  before = 0;
  /** Losses of late, and how many runs of numbers they were. */
  #lost = 0;
  #runs = 0;
  #isTold = false;
  #highest = -1;
  #sinceHalved = 0;
  #windows = 0;
  #baseNumber = -1;
  #received = 0;

  /**
   * The chance that what follows a lost datagram is lost as well, 0..1; 0 while there is too little
   * to tell by.
   */
  get persistence(): number {
    return this.#isTold ? 1 - this.#runs / this.#lost : 0;
  }

  /**
   * A datagram that was not a duplicate arrived; `highest` is the highest packet number seen so
   * far.
   */
  onReceived(highest: number): void {
    this.#onRun(highest);
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
    this.before = this.rate;
    this.rate += (loss - this.rate) * gain;
    this.#baseNumber = highest;
    this.#received = 0;
  }

  #onRun(highest: number): void {
    const gap = highest - this.#highest - 1;
    if (this.#highest >= 0 && gap > 0) {
      this.#lost += gap;
      this.#runs += 1;
      if (this.#runs >= RUNS_LEAST) this.#isTold = true;
    }
    if (gap >= 0) this.#sinceHalved += gap + 1;
    this.#highest = Math.max(this.#highest, highest);
    if (this.#sinceHalved < HALVED_AFTER) return;
    this.#sinceHalved = 0;
    this.#lost /= 2;
    this.#runs /= 2;
    if (this.#runs < RUNS_LEFT) this.#isTold = false;
  }

  /** So much of late, 0..1, is no chance (loss-onset.ts): counting begins anew with it. */
  onOnset(share: number): void {
    this.#windows += 1;
    this.rate += (share - this.rate) * GAIN_SUDDEN;
    this.before = this.rate;
    this.#baseNumber = this.#highest;
    this.#received = 0;
  }

  /** A new channel starts a new sequence of packet numbers; the estimate stays. */
  restart(): void {
    this.#baseNumber = -1;
    this.#highest = -1;
    this.#received = 0;
  }
}

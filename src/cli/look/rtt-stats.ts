/**
 * Summary of round-trip times as ping prints it: smallest, mean, largest and mean deviation.
 *
 * `mdevMs` is the root mean square deviation from the mean, as in iputils ping. Used by ping and
 * trace.
 */

export class RttStats {
  #count = 0;
  #sum = 0;
  #squares = 0;
  #min = Infinity;
  #max = 0;

  add(ms: number): void {
    this.#count += 1;
    this.#sum += ms;
    this.#squares += ms * ms;
    this.#min = Math.min(this.#min, ms);
    this.#max = Math.max(this.#max, ms);
  }

  get count(): number {
    return this.#count;
  }

  /** Null while nothing was added. Rounded to microseconds. */
  summary(): { min: number; avg: number; max: number; mdev: number } | null {
    if (this.#count === 0) return null;
    const avg = this.#sum / this.#count;
    const variance = Math.max(0, this.#squares / this.#count - avg * avg);
    return {
      min: micro(this.#min),
      avg: micro(avg),
      max: micro(this.#max),
      mdev: micro(Math.sqrt(variance)),
    };
  }
}

/** Share that is missing, in percent with two decimals; 0 when nothing was sent. */
export function lossPct(sent: number, received: number): number {
  return sent === 0 ? 0 : Math.round((1 - received / sent) * 10_000) / 100;
}

function micro(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}

/**
 * The highest rate that arrives whole: a ladder of offered rates first, then bisection.
 *
 * A rate is carried when the sender could offer it, less than 0.1 % was lost, and what was queued
 * at the end had arrived soon after: a run that only filled buffers is not one. A near miss is
 * tried once more, since other work on the machine causes some.
 */

/** Of one run at a steady rate. */
export interface Outcome {
  /** Packets that should have been sent, that were, and that arrived. */
  readonly due: number;
  readonly sent: number;
  readonly arrived: number;
  /** From the last sent to the last arrived. */
  readonly drainMs: number;
  /** Arrived, from the first sent to the last arrived. */
  readonly perSecond: number;
}

const LOSS_MAX = 0.001;
/** Of what was due; ticks are not exact. */
const OFFERED_MIN = 0.98;
const DRAIN_MS_MAX = 20;
/** Of what was due: fewer is no near miss. */
const NEAR_MISS = 0.9;
const LOWEST_RATE = 1_000,
  FIRST_RATE = 20_000,
  HIGHEST_RATE = 4_000_000;
/**
 * Steps of the ladder without and with an idea of where the knee is; how close the bisection goes.
 */
const COARSE = 2,
  FINE = 1.25,
  CLOSE = 1.12;

export function isCarried({ due, sent, arrived, drainMs }: Outcome): boolean {
  return sent >= OFFERED_MIN * due && arrived >= (1 - LOSS_MAX) * sent && drainMs <= DRAIN_MS_MAX;
}

/**
 * What arrives a second of the highest rate that was carried; 0 when none was. `near`: where it was
 * before, null when nobody knows.
 */
export async function findKnee(
  run: (packetsPerSecond: number) => Promise<Outcome>,
  near: number | null,
): Promise<number> {
  let carried = { offered: 0, perSecond: 0 };
  let failed = Infinity;
  const attempt = async (rate: number): Promise<boolean> => {
    for (let tries = 0; tries < 2; tries += 1) {
      const outcome = await run(rate);
      if (!isCarried(outcome)) {
        if (outcome.arrived < NEAR_MISS * outcome.due) break;
        continue;
      }
      carried = { offered: rate, perSecond: outcome.perSecond };
      return true;
    }
    failed = rate;
    return false;
  };
  const step = near === null ? COARSE : FINE;
  let rate = Math.round(near ?? FIRST_RATE);
  if (await attempt(rate)) {
    do rate = Math.round(rate * step);
    while (rate <= HIGHEST_RATE && (await attempt(rate)));
  } else {
    do rate = Math.round(rate / step);
    while (rate >= LOWEST_RATE && !(await attempt(rate)));
  }
  while (carried.offered > 0 && failed < Infinity && failed / carried.offered > CLOSE)
    await attempt(Math.round(Math.sqrt(failed * carried.offered)));
  return carried.perSecond;
}

/**
 * Which of two signed advertisements of one node are of different runs of its daemon.
 *
 * Owns the rule only. What both say of their run settles it when it differs. Beyond that, a run's
 * numbers begin at the time of its start, in units of 100 us, and grow by one with each
 * advertisement, of which there are at most ADVERTISEMENTS_PER_SECOND: numbers that grew faster
 * than that are of a later run. Both numbers and both times are signed by the node itself, so
 * nobody else can make it look restarted, and who claims it of himself gains nothing that
 * withdrawing his links would not give. Called by link-state-router.ts.
 */

import type { Advertisement } from '../wire/link-state.ts';

/** By the shortest interval between two of a run. */
const ADVERTISEMENTS_PER_SECOND = 20;
/** The first and the last of a run come without waiting. */
const ADVERTISEMENTS_EXTRA = 4;
/**
 * What a run that finds its clock set back adds to the number of its forerunner, at least: more
 * than any run adds by itself in 100 s.
 */
export const OVERTAKE_LEAST = 2_048;

/** True when `after`, of a higher number, is of a later run than `before`; both signed. */
export function isLaterRun(before: Advertisement, after: Advertisement): boolean {
  if (
    before.facts !== null &&
    after.facts !== null &&
    before.facts.instance !== after.facts.instance
  )
    return true;
  const seconds = Math.max(0, after.proof!.issuedS - before.proof!.issuedS) + 1;
  return (
    after.sequence - before.sequence > ADVERTISEMENTS_PER_SECOND * seconds + ADVERTISEMENTS_EXTRA
  );
}

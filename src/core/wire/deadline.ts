/**
 * Deadlines of packets of the realtime service: sixteen classes, bits 4-7 of a packet's class.
 * WIRE.md section 4.
 *
 * Owns the numbers and their times; who measures a packet's age, and what happens to one that is
 * late, is elsewhere (core/link/realtime.ts, core/session/sessions.ts).
 */

import { MILLISECOND, type Micros } from '../base/time.ts';

/** Of class 0, for who names none. */
export const DEADLINE_DEFAULT_MS = 150;
/** By class, in milliseconds from the source on. */
export const DEADLINES_MS: readonly number[] = [
  DEADLINE_DEFAULT_MS,
  10,
  20,
  30,
  40,
  50,
  65,
  80,
  100,
  130,
  160,
  200,
  300,
  500,
  1_000,
  2_000,
];
export const DEADLINE_MS_MAX = DEADLINES_MS.at(-1)!;

const MICROS = DEADLINES_MS.map((ms) => ms * MILLISECOND);

/** Of the class in the lower four bits of `code`. `@hot` */
export function deadlineUs(code: number): Micros {
  return MICROS[code & 0x0f]!;
}

/** A deadline as packets have it. */
export interface Deadline {
  /** Class, 0..15. */
  readonly deadline: number;
  /**
   * Microseconds by which the time of the class is longer: packets begin with that age, so that
   * they are late when their deadline is over and no later.
   */
  readonly spentUs: Micros;
}

/** The deadline of exactly `ms`, 1..DEADLINE_MS_MAX. */
export function deadlineOf(ms: number): Deadline {
  const deadline = deadlineClass(ms);
  return { deadline, spentUs: Math.max(0, MICROS[deadline]! - ms * MILLISECOND) };
}

/** What `deadlineOf` was given, in milliseconds. */
export function deadlineMsOf({ deadline, spentUs }: Deadline): number {
  return DEADLINES_MS[deadline]! - spentUs / MILLISECOND;
}

/**
 * The class of the shortest deadline that is not below `ms` (above 0); of the longest there is, for
 * what is beyond it.
 */
export function deadlineClass(ms: number): number {
  for (let code = 1; code < DEADLINES_MS.length; code += 1)
    if (DEADLINES_MS[code]! >= ms) return code;
  return DEADLINES_MS.length - 1;
}

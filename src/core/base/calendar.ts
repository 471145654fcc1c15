/**
 * Times and spans as people read them in logs, refusals and answers. The calendar is worked out
 * here: below the host there is no clock to ask, and what this says of a number of seconds never
 * differs.
 */

import { SECOND, type Micros } from './time.ts';

const DAY_S = 86_400;
/** Seconds at the end of the year 9999. */
const CALENDAR_END_S = 253_402_300_800;

/** ISO 8601 in UTC. A time beyond what a calendar holds is given in seconds. */
export function formatTime(seconds: number): string {
  if (!(seconds >= 0 && seconds < CALENDAR_END_S)) return `${seconds} s after 1970`;
  const whole = Math.floor(seconds);
  const [year, month, day] = dateOf(Math.floor(whole / DAY_S));
  const rest = whole % DAY_S;
  const time = [rest / 3_600, (rest / 60) % 60, rest % 60]
    .map((part) => two(Math.floor(part)))
    .join(':');
  return `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}T${time}Z`;
}

/**
 * Year, month and day of the Gregorian calendar, `days` after 1970-01-01. Years are counted from
 * March: the leap day is their last.
 */
function dateOf(days: number): [number, number, number] {
  const since = days + 719_468;
  const era = Math.floor(since / 146_097);
  const dayOfEra = since - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1_460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  );
  const dayOfYear =
    dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const march = Math.floor((5 * dayOfYear + 2) / 153);
  const month = march < 10 ? march + 3 : march - 9;
  return [
    yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    dayOfYear - Math.floor((153 * march + 2) / 5) + 1,
  ];
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}

/** "12 s", "10 min", "3 h", "5 days": rounded to its unit, for a span that need not be exact. */
export function formatSpan(us: Micros): string {
  const s = Math.round(us / SECOND);
  if (s < 120) return `${s} s`;
  if (s < 7_200) return `${Math.round(s / 60)} min`;
  if (s < 172_800) return `${Math.round(s / 3_600)} h`;
  return `${Math.round(s / DAY_S)} days`;
}

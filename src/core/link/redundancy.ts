/**
 * How much a link of the realtime service sends beyond the packets, and why: decided from what it
 * loses, how much of that in a row, how fast packets come and how much time they have left.
 *
 * Pure arithmetic; realtime-sender.ts asks it four times a second. Requests mend everything where a
 * round trip fits into the time left, so nothing else is sent there. Where none fits, a parity over
 * a block of packets of the link does, if so many come within that time that it costs at most
 * BUDGET: the block is the shortest that does, as a longer one only mends less. What its sender
 * marked as precious is sent twice wherever something is lost. Neither helps in a burst: then the
 * link says so, and another path is the remedy.
 */

import { MILLISECOND, type Micros } from '../base/time.ts';
import { REPAIR_SPAN } from '../wire/realtime.ts';

/** Part of the bytes that parities may add, and so the shortest block. */
export const BUDGET = 0.12;
export const BLOCK_LEAST = Math.ceil(1 / BUDGET);
/** Below that loss nothing is worth sending. */
export const LOSS_LEAST = 0.002;
/** What follows a lost datagram is lost as well this often: copies and parities with it. */
export const BURSTY = 0.3;
/** A block is of use while it mends two thirds of what is lost. */
const MISS_MOST = 1 / 3;
/** Of the time left what a block may take until its parity leaves. */
export const BLOCK_WAIT = 0.9;
/** What timers and turns take. */
export const GRAIN: Micros = 1 * MILLISECOND;

export interface LinkMeasured {
  /** Towards the peer, 0..1. */
  readonly loss: number;
  /** The chance that what follows a lost datagram is lost too, 0..1. */
  readonly persistence: number;
  /** Packets a second, of all flows. */
  readonly rate: number;
  /** The least time that packets had left of late, microseconds. */
  readonly leftUs: Micros;
  readonly rttUs: Micros;
  /** Until the peer knows of a loss. */
  readonly noticedUs: Micros;
}

export interface Redundancy {
  /** Packets that one parity covers; 0: no parities. */
  readonly block: number;
  /** What is marked as precious leaves twice. */
  readonly copies: boolean;
  /** Losses come in a row: nothing that is sent on this link helps. */
  readonly bursty: boolean;
}

export const PLAIN: Redundancy = Object.freeze({ block: 0, copies: false, bursty: false });

export function chooseRedundancy({
  loss,
  persistence,
  rate,
  leftUs,
  rttUs,
  noticedUs,
}: LinkMeasured): Redundancy {
  if (loss < LOSS_LEAST) return PLAIN;
  if (persistence > BURSTY) return { ...PLAIN, bursty: true };
  const mended = leftUs >= noticedUs + rttUs + GRAIN;
  const fits = 1 + Math.floor((BLOCK_WAIT * leftUs * rate) / 1_000_000);
  const pays = !mended && fits >= BLOCK_LEAST && loss * BLOCK_LEAST <= MISS_MOST;
  return { block: pays ? Math.min(BLOCK_LEAST, REPAIR_SPAN) : 0, copies: true, bursty: false };
}

/* ------------------------------------------------------------------ strikes */

export interface Strikes {
  /** Requests for one packet; 0: none comes in time. */
  readonly count: number;
  /** How often the last of them is answered. */
  readonly copies: number;
  /** Between two requests, and between two answers to the last. */
  readonly spacingUs: Micros;
  readonly copySpacingUs: Micros;
}

const NONE: Strikes = { count: 0, copies: 1, spacingUs: 0, copySpacingUs: 0 };
const STRIKES_MORE = 3,
  COPIES_MORE = 2;
/** A burst is over with nine chances in ten after so many times its mean. */
const BURST_OVER = 2.3;
const BURST_LEAST: Micros = 10 * MILLISECOND;
const ANSWER_MARGIN: Micros = 2 * MILLISECOND;

/**
 * Requests for what is missing, one after the other, so that none leaves while the answer to the
 * one before may be under way; where no further one fits the last one is answered several times.
 * `leftUs`: how late a packet is still useful here; `burstUs`: mean length of what is lost in a
 * row, 0 = not known.
 */
export function planStrikes(
  leftUs: Micros,
  noticedUs: Micros,
  rttUs: Micros,
  burstUs: Micros,
): Strikes {
  const window = leftUs - noticedUs - rttUs - GRAIN;
  if (window < 0) return NONE;
  const copySpacingUs =
    burstUs > 0 ? Math.max(ANSWER_MARGIN, BURST_OVER * burstUs) : Math.max(BURST_LEAST, rttUs / 2);
  const spacingUs = Math.max(rttUs + ANSWER_MARGIN, copySpacingUs);
  const more = Math.min(STRIKES_MORE, Math.floor(window / spacingUs));
  const copies = 1 + Math.min(COPIES_MORE, Math.floor((window - more * spacingUs) / copySpacingUs));
  return { count: 1 + more, copies, spacingUs, copySpacingUs };
}

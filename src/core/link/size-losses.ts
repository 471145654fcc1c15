/**
 * Whether what a peer says it has got looks as if datagrams were lost for their size: black-hole
 * detection (RFC 8899, 4.3).
 *
 * Looks at the newest datagrams that the peer can know of: some in a row are missing, and each is
 * longer than everything that arrived after it. A pure look at an ack and at the lengths of what
 * was sent; what follows is the size search's.
 */

import { DATAGRAM_BYTES_MIN } from '../wire/sizes.ts';

/**
 * So many lost ones in a row are no chance where nothing else is lost; where something is, as many
 * as make it one.
 */
const LOST_MIN = 3,
  LOST_MAX = 16;
const CHANCE = 1e-4;
/** Datagrams that are looked at. */
const LOOKED_AT = 64;

export interface Sent {
  /** 0 when it is not known. */
  lengthOf(number: number): number;
}

export interface Arrived {
  readonly count: number;
  readonly largest: number;
  has(number: number): boolean;
}

/**
 * `from`: datagrams before that number are left out. `loss`: of this direction, 0..1, as it was
 * measured.
 */
export function lostForSize(arrived: Arrived, sent: Sent, from: number, loss: number): boolean {
  // Nothing is missing among the newest.
  if (arrived.count < 2) return false;
  const { largest } = arrived;
  const enough = inARow(loss, CHANCE, LOST_MIN, LOST_MAX);
  let longest = DATAGRAM_BYTES_MIN;
  let lost = 0,
    shortestLost = Infinity;
  for (let number = largest; number >= from && number > largest - LOOKED_AT; number -= 1) {
    const length = sent.lengthOf(number);
    if (length === 0) return false;
    if (arrived.has(number)) {
      if (length <= longest) continue;
      // This length passes: the losses of as long ones had another cause.
      if (length >= shortestLost) return false;
      longest = length;
    } else if (length > longest) {
      lost += 1;
      if (length < shortestLost) shortestLost = length;
      if (lost === enough) return true;
    }
  }
  return false;
}

/** How many failures of that chance in a row are less likely than `proof`, within bounds. */
export function inARow(failure: number, proof: number, min: number, max: number): number {
  let needed = 0;
  for (let chance = 1; chance > proof && needed < max; needed += 1) chance *= failure;
  return Math.max(needed, min);
}

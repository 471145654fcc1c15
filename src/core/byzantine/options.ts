/**
 * The switches and figures of Byzantine-resilient routing, and the two sets of them that have a
 * name.
 *
 * Owns the figures and the integer arithmetic that follows from them (losses that make a fault,
 * good packets that pay for losses, heaviest weight); owns no state. Every improvement over the
 * paper (Awerbuch, Holmer, Nita-Rotaru and Rubens, WiSe 2002) has a switch of its own, so that runs
 * can show what each one is worth. Rates become whole millionths before they are divided: all
 * nodes, and all runs, count alike.
 */

import { assert } from '../base/assert.ts';
import { MILLISECOND, type Micros } from '../base/time.ts';

/**
 * One source's rules. Both ends of a path may differ: nothing here changes what is valid on the
 * wire.
 */
export interface ByzantineOptions {
  /** What the set is called in a configuration and in status; the fields below decide. */
  readonly mode: 'paper' | 'secure';
  /**
   * W: outcomes that an interval's loss is judged by, 1 or more. Longer = fewer false faults, more
   * losses per fault.
   */
  readonly windowPackets: number;
  /**
   * tau: tolerated loss, above 0 and at most 1, in steps of a millionth. Must exceed what honest
   * links lose: at 1 % per link and direction an 8-link path loses 14.9 % of its round trips; with
   * recovery on each link, 0.3 %.
   */
  readonly tolerance: number;
  /**
   * All nodes of a faulty interval become probes at once (two faults to a conviction) instead of
   * its middle (ceil(log2 n) + 1 faults).
   */
  readonly fullProbing: boolean;
  /**
   * Longest path, in links, that is probed in full; longer ones are searched by halves. Each probe
   * costs 22 bytes per packet and 25 per acknowledgement.
   */
  readonly fullProbingHops: number;
  /**
   * While a search runs, packets travel on a second path as well: the application loses next to
   * nothing, at twice the cost.
   */
  readonly secondPath: boolean;
  /** A good acknowledgement that took longer than its interval may take counts as a loss there. */
  readonly softLoss: boolean;
  /** Most packets that one acknowledgement answers; 1 = one each. */
  readonly ackBatchPackets: number;
  /** Longest that the destination waits to fill a batch. Every probe's timer grows by it. */
  readonly ackBatchDelayUs: Micros;
  /**
   * What a search had found when its probes retired is kept, fades slowly, and the next search on
   * the path goes on from there.
   */
  readonly searchMemory: boolean;
  /**
   * Heaviest weight of a link. 'nodes': the power of two at or above the number of nodes, enough
   * while honest links are never convicted (a clean path costs less than that). 'fixed': 2^20, for
   * networks where honest links are convicted now and then.
   */
  readonly weightCap: 'nodes' | 'fixed';
  /**
   * Check the signature of the neighbour that sent a response first: a wrong one inside a right one
   * is proof against that neighbour.
   */
  readonly outerFirst: boolean;
  /**
   * Remember which signed beginnings of responses were good, so that an improved response costs
   * only its new part.
   */
  readonly prefixCache: boolean;
}

/** The paper to the letter, where the letter works. For comparison. */
export const paperOptions: ByzantineOptions = Object.freeze({
  mode: 'paper',
  windowPackets: 100,
  tolerance: 0.1,
  fullProbing: false,
  fullProbingHops: 32,
  secondPath: false,
  softLoss: false,
  ackBatchPackets: 1,
  ackBatchDelayUs: 0,
  searchMemory: false,
  weightCap: 'nodes',
  outerFirst: false,
  prefixCache: false,
});

/** What a network should run. */
export const secureOptions: ByzantineOptions = Object.freeze({
  mode: 'secure',
  windowPackets: 200,
  tolerance: 0.05,
  fullProbing: true,
  fullProbingHops: 32,
  secondPath: true,
  softLoss: true,
  ackBatchPackets: 8,
  ackBatchDelayUs: 15 * MILLISECOND,
  searchMemory: true,
  weightCap: 'fixed',
  outerFirst: true,
  prefixCache: true,
});

/** The sets by their names. */
export const byzantineModes: Readonly<Record<ByzantineOptions['mode'], ByzantineOptions>> =
  Object.freeze({ secure: secureOptions, paper: paperOptions });

/** Millionths in one. */
export const MILLION = 1_000_000;
/** Exponent of the heaviest weight under 'fixed'. */
export const FIXED_CAP_EXPONENT = 20;

/** `tolerance` in millionths, 1..MILLION. */
export function toleranceMillionths(tolerance: number): number {
  const millionths = Math.round(tolerance * MILLION);
  assert(millionths >= 1 && millionths <= MILLION, 'the tolerance is above 0 and at most 1');
  return millionths;
}

/** b = ceil(tau * W), at least 1: losses within a window that make a fault. tau 0.05 of 200: 10. */
export function faultLosses(windowPackets: number, tolerance: number): number {
  assert(
    Number.isInteger(windowPackets) && windowPackets >= 1,
    'a window holds one packet or more',
  );
  return Math.ceil((toleranceMillionths(tolerance) * windowPackets) / MILLION);
}

/**
 * ceil(losses / tau): good packets over which `losses` come down to the tolerated rate. 10 at tau
 * 0.05: 200.
 */
export function packetsToPay(losses: number, tolerance: number): number {
  return Math.ceil((losses * MILLION) / toleranceMillionths(tolerance));
}

/** Exponent of the heaviest weight in a network of `nodes`, 1..30. */
export function capExponent(rule: ByzantineOptions['weightCap'], nodes: number): number {
  if (rule === 'fixed') return FIXED_CAP_EXPONENT;
  let exponent = 1;
  while (exponent < 30 && 1 << exponent < nodes) exponent += 1;
  return exponent;
}

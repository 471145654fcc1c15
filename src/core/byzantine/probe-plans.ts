/**
 * What follows from a list of probes of one path: keys, timers and what was measured on each of its
 * intervals.
 *
 * Owns the plan in force, made anew when the list changes, and the measurements that outlive it.
 * Knows no packets; called by path-flow.ts.
 */

import { MILLISECOND, type Micros } from '../base/time.ts';
import { SERVICE_RELIABLE } from '../wire/packet.ts';
import type { ProbedFlow } from '../wire/probed.ts';
import { MeasuredBound, OUTAGE_US, sumOf, type RoundTripRange } from './bounds.ts';
import type { DiscoveredPath } from './discovered-path.ts';
import type { PathMonitor } from './intervals.ts';
import type { FlowKeys, HopKeys } from './keys.ts';
import { TIMER_UNIT_US, TIMER_US_MAX, type OnionLayer, type TailLayer } from './onion.ts';
import type { Secret } from '../crypto/keys.ts';
import type { NodeId } from '../base/ids.ts';

/** Of every interval, on top of what its links take: timers of two clocks, and their rounding. */
const INTERVAL_MARGIN: Micros = 5 * MILLISECOND;

/** What follows from one list of probes. */
export interface Plan {
  readonly generation: number;
  readonly list: readonly number[];
  readonly tail: readonly TailLayer[];
  readonly onion: readonly OnionLayer[];
  /** Of each interval, the one that ends at list[i]. */
  readonly bounds: readonly MeasuredBound[];
  /** Nobody is probed. */
  readonly quiet: boolean;
  /** After that long a packet is lost whatever was measured. */
  readonly timeoutUs: Micros;
}

export interface ProbePlansEnvironment {
  readonly keys: FlowKeys;
  readonly secret: Secret;
  /** How long a packet and its answer take over the link between two neighbours, by `service`. */
  readonly rangeOf: (u: NodeId, v: NodeId, service: number) => RoundTripRange;
}

export class ProbePlans {
  readonly #path: DiscoveredPath;
  readonly #flow: ProbedFlow;
  readonly #service: number;
  readonly #env: ProbePlansEnvironment;
  #plan: Plan | null = null;
  /** By the two ends, indices into the path: what was measured on the intervals of now. */
  #bounds = new Map<number, MeasuredBound>();

  constructor(path: DiscoveredPath, flow: ProbedFlow, service: number, env: ProbePlansEnvironment) {
    this.#path = path;
    this.#flow = flow;
    this.#service = service;
    this.#env = env;
  }

  /** For the list of probes in force; null: a node of the path gave a key that keeps no secret. */
  now({ generation, probes }: PathMonitor): Plan | null {
    return this.of(generation, probes, generation);
  }

  /** For a list of `generation`, while `newest` is the one in force: only its plan is kept. */
  of(generation: number, list: readonly number[], newest: number): Plan | null {
    if (this.#plan?.generation === generation) return this.#plan;
    const { nodes } = this.#path;
    const bounds = list.map((to, i) => this.#boundOf(i === 0 ? 0 : list[i - 1]!, to));
    // All timers must fit their field. Cut alike, they stay nested.
    const total = bounds.reduce((sum, { range }) => sum + range.mostUs, 0);
    const outageUs = this.#service === SERVICE_RELIABLE ? OUTAGE_US : 0;
    const part = Math.min(1, (TIMER_US_MAX - TIMER_UNIT_US - outageUs) / total);
    const tail: TailLayer[] = [];
    const onion: OnionLayer[] = [];
    let timerUs = 0,
      addedUs = outageUs;
    for (let i = list.length - 1; i >= 0; i -= 1) {
      const keys = this.keysOf(list[i]! - 1);
      if (keys === null) return null;
      tail.unshift({ id: nodes[list[i]!]!, timerUs: Math.floor(timerUs), forward: keys.forward });
      onion.unshift({ id: nodes[list[i]!]!, ack: keys.ack });
      timerUs += part * bounds[i]!.range.mostUs + addedUs;
      addedUs = 0;
    }
    const plan = {
      generation,
      list,
      tail,
      onion,
      bounds,
      quiet: list.length === 1,
      timeoutUs: Math.ceil(timerUs),
    };
    if (generation !== newest) return plan;
    this.#plan = plan;
    // What was measured on the whole path outlives a search.
    const whole = nameOf(0, nodes.length - 1),
      before = this.#bounds.get(whole);
    this.#bounds = new Map(
      list.map((to, i) => [nameOf(i === 0 ? 0 : list[i - 1]!, to), bounds[i]!]),
    );
    if (before !== undefined) this.#bounds.set(whole, before);
    return plan;
  }

  /**
   * Of the interval between two indices into the path, with what was measured there if it was there
   * before.
   */
  #boundOf(from: number, to: number): MeasuredBound {
    const known = this.#bounds.get(nameOf(from, to));
    if (known !== undefined) return known;
    const { nodes } = this.#path;
    const links: RoundTripRange[] = [];
    for (let at = from; at < to; at += 1)
      links.push(this.#env.rangeOf(nodes[at]!, nodes[at + 1]!, this.#service));
    const { leastUs, mostUs } = sumOf(links);
    return new MeasuredBound({ leastUs, mostUs: mostUs + INTERVAL_MARGIN });
  }

  /** Of the `index`-th node behind the source. */
  keysOf(index: number): HopKeys | null {
    return this.#env.keys.of(
      this.#flow,
      this.#path.nodes[index + 1]!,
      this.#env.secret,
      this.#path.keys[index]!,
    );
  }
}

/** Of an interval, by its two ends: no path has so many nodes. */
function nameOf(from: number, to: number): number {
  return from * 0x1_0000 + to;
}

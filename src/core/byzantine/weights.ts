/**
 * What a source thinks of links: weights that double with each conviction and halve as good packets
 * pay for it.
 *
 * Owns the list and its rehabilitation, not the decision to convict (intervals.ts) nor the choice
 * of a path. Private to the source: nobody else's list is ever taken over. WiSe 2002 section 4.3
 * leaves open what drives the second halving; here each conviction queues a *sentence* of
 * ceil(losses / tau) deliveries, served one after the other, and each one served halves the weight
 * once. At the heaviest weight a conviction lengthens the last sentence instead, so always
 *
 *     exponent of a link = number of its sentences, weight = 2^exponent;
 *     none left = weight 1 = not listed.
 *
 * A delivery is shared: each of m listed links has 1/m of one delivery taken off its running
 * sentence. To stay in whole numbers that happens in rounds: m deliveries are one round and take
 * one off each of the m links that were listed when the round began. So after j convictions of
 * ceil(losses / tau) = s each, with m links sharing throughout, the weight is 1 after exactly j * s
 * * m deliveries; a link convicted in mid-round joins the next one (at most m - 1 deliveries late).
 */

import { assert } from '../base/assert.ts';
import type { NodeId } from '../base/ids.ts';
import type { Micros } from '../base/time.ts';
import { packetsToPay } from './options.ts';

/** What led to a conviction: losses on the link, or one of its ends that reported it broken. */
export type ConvictionReason = 'loss' | 'route-error';

/** A link heavier than 1, as a request carries it. u < v. */
export interface LinkWeight {
  readonly u: NodeId;
  readonly v: NodeId;
  /** log2 of the weight, 1..30. */
  readonly exponent: number;
}

/** The same for status. */
export interface WeightRow extends LinkWeight {
  readonly weight: number;
  /** Rounds until the weight is 1, if nothing is added. */
  readonly remaining: number;
  /** Convictions since the link was listed, and the newest one. */
  readonly convictions: number;
  readonly reason: ConvictionReason;
  readonly at: Micros;
}

interface Listed {
  readonly u: NodeId;
  readonly v: NodeId;
  /**
   * Deliveries of each sentence that are still to be served, running one first. Its length is the
   * exponent.
   */
  readonly sentences: number[];
  /** First round that counts for this link. */
  readonly fromRound: number;
  /** Order of the newest conviction among all. */
  order: number;
  convictions: number;
  reason: ConvictionReason;
  at: Micros;
}

/** Far from where whole numbers end; no real sentence comes near. */
const SENTENCE_MAX = 2 ** 50;

export class WeightList {
  /** log2 of the heaviest weight, 1..30. */
  readonly capExponent: number;
  /** Most links listed. */
  readonly most: number;
  readonly #byEnds = new Map<NodeId, Map<NodeId, Listed>>();
  #size = 0;
  #order = 0;
  #round = 0;
  /** Links and deliveries of the running round; no delivery yet = not begun. */
  #roundLinks = 0;
  #roundDeliveries = 0;

  constructor(capExponent: number, most = 4096) {
    assert(
      Number.isInteger(capExponent) && capExponent >= 1 && capExponent <= 30,
      'the heaviest weight is 2^1 to 2^30',
    );
    assert(most >= 1, 'a weight list holds a link or more');
    this.capExponent = capExponent;
    this.most = most;
  }

  /** Links heavier than 1. */
  get size(): number {
    return this.#size;
  }

  /** log2 of the link's weight, 0 when it is not listed. A link has no direction. */
  exponent(u: NodeId, v: NodeId): number {
    return this.#find(u, v)?.sentences.length ?? 0;
  }

  weight(u: NodeId, v: NodeId): number {
    return 1 << this.exponent(u, v);
  }

  /** Sum of the weights along `nodes`; 0 for fewer than two. */
  pathWeight(nodes: readonly NodeId[]): number {
    if (this.#size === 0) return Math.max(0, nodes.length - 1);
    let sum = 0;
    for (let i = 1; i < nodes.length; i += 1) sum += this.weight(nodes[i - 1]!, nodes[i]!);
    return sum;
  }

  /**
   * The link between `u` and `v` is held to be faulty: twice the weight, and ceil(losses / tau)
   * more deliveries until it is forgiven. `losses`: 1 or more, all that the search cost (1 for a
   * route error). Returns the new exponent.
   */
  convict(
    u: NodeId,
    v: NodeId,
    losses: number,
    tau: number,
    now: Micros,
    reason: ConvictionReason,
  ): number {
    assert(u !== v, 'a link has two ends');
    assert(losses >= 1, 'a conviction is for losses');
    const sentence = packetsToPay(losses, tau);
    const link = this.#find(u, v) ?? this.#list(u < v ? u : v, u < v ? v : u, now, reason);
    if (link.sentences.length < this.capExponent) {
      link.sentences.push(Math.min(sentence, SENTENCE_MAX));
    } else {
      const last = link.sentences.length - 1;
      link.sentences[last] = Math.min(link.sentences[last]! + sentence, SENTENCE_MAX);
    }
    this.#order += 1;
    link.order = this.#order;
    link.convictions += 1;
    link.reason = reason;
    link.at = now;
    if (this.#size > this.most) this.#removeLightest(link);
    return link.sentences.length;
  }

  /**
   * A packet of this source was delivered, to any destination. O(1) on average: the m links are
   * visited once in m deliveries.
   */
  onDelivered(): void {
    if (this.#roundDeliveries === 0) {
      if (this.#size === 0) return;
      this.#roundLinks = this.#size;
    }
    this.#roundDeliveries += 1;
    if (this.#roundDeliveries < this.#roundLinks) return;
    for (const links of this.#byEnds.values()) {
      for (const link of links.values()) if (link.fromRound <= this.#round) this.#serve(link);
    }
    this.#round += 1;
    this.#roundDeliveries = 0;
  }

  /** The heaviest links first, for a request; equal ones in order of ids. */
  entries(most = 64): LinkWeight[] {
    return this.#sorted()
      .slice(0, most)
      .map(({ u, v, sentences }) => ({ u, v, exponent: sentences.length }));
  }

  /** Every link heavier than 1, heaviest first. */
  rows(): WeightRow[] {
    return this.#sorted().map((link) => ({
      u: link.u,
      v: link.v,
      exponent: link.sentences.length,
      weight: 1 << link.sentences.length,
      remaining: link.sentences.reduce((sum, sentence) => sum + sentence, 0),
      convictions: link.convictions,
      reason: link.reason,
      at: link.at,
    }));
  }

  #find(u: NodeId, v: NodeId): Listed | undefined {
    return u < v ? this.#byEnds.get(u)?.get(v) : this.#byEnds.get(v)?.get(u);
  }

  #list(u: NodeId, v: NodeId, at: Micros, reason: ConvictionReason): Listed {
    const fromRound = this.#roundDeliveries === 0 ? this.#round : this.#round + 1;
    const link: Listed = { u, v, sentences: [], fromRound, order: 0, convictions: 0, reason, at };
    let links = this.#byEnds.get(u);
    if (links === undefined) {
      links = new Map();
      this.#byEnds.set(u, links);
    }
    links.set(v, link);
    this.#size += 1;
    return link;
  }

  #remove(link: Listed): void {
    const links = this.#byEnds.get(link.u)!;
    links.delete(link.v);
    if (links.size === 0) this.#byEnds.delete(link.u);
    this.#size -= 1;
  }

  #serve(link: Listed): void {
    const left = link.sentences[0]! - 1;
    if (left > 0) {
      link.sentences[0] = left;
      return;
    }
    link.sentences.shift();
    if (link.sentences.length === 0) this.#remove(link);
  }

  /**
   * Among equally light ones that of the oldest conviction goes; never `newest`, or a full list
   * would learn nothing.
   */
  #removeLightest(newest: Listed): void {
    let lightest: Listed | null = null;
    for (const links of this.#byEnds.values()) {
      for (const link of links.values()) {
        if (link === newest) continue;
        if (
          lightest === null ||
          link.sentences.length < lightest.sentences.length ||
          (link.sentences.length === lightest.sentences.length && link.order < lightest.order)
        )
          lightest = link;
      }
    }
    if (lightest !== null) this.#remove(lightest);
  }

  #sorted(): Listed[] {
    const all = [...this.#byEnds.values()].flatMap((links) => [...links.values()]);
    return all.sort((a, b) => b.sentences.length - a.sentences.length || a.u - b.u || a.v - b.v);
  }
}

/**
 * Which graph the packets to one destination have: more copies at once when there is trouble, fewer
 * once it is over.
 *
 * Owns the present choice, its reason and since when; what is wanted now its caller says. Towards
 * more copies a choice is followed at once, towards fewer after it has been wanted for 5 s. Plain
 * arithmetic.
 */

import { SECOND, type Micros } from '../base/time.ts';

/** What chooses itself; flooding is only ever asked for. */
export type ChosenGraph = 'two' | 'src' | 'dst' | 'robust';

export interface WantedGraph {
  readonly graph: ChosenGraph;
  /** In words. */
  readonly why: string;
}

const RANK: Readonly<Record<ChosenGraph, number>> = { two: 0, src: 1, dst: 1, robust: 2 };
const FEWER_AFTER: Micros = 5 * SECOND;

export class GraphChoice {
  graph: ChosenGraph;
  why: string;
  since: Micros;
  /** Times that another was chosen. */
  changes = 0;
  /** Since when fewer copies are wanted; -1: they are not. */
  #fewerSince: Micros = -1;

  constructor({ graph, why }: WantedGraph, now: Micros) {
    this.graph = graph;
    this.why = why;
    this.since = now;
  }

  /** Fewer copies are wanted, and will be sent unless that changes. */
  get isLeaving(): boolean {
    return this.#fewerSince >= 0;
  }

  update({ graph, why }: WantedGraph, now: Micros): void {
    const fewer = RANK[graph] < RANK[this.graph];
    if (!fewer) this.#fewerSince = -1;
    else if (this.#fewerSince < 0) this.#fewerSince = now;
    if (graph === this.graph) {
      this.why = why;
      return;
    }
    if (fewer && now - this.#fewerSince < FEWER_AFTER) return;
    this.#fewerSince = -1;
    this.graph = graph;
    this.why = why;
    this.since = now;
    this.changes += 1;
  }
}

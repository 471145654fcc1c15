/**
 * Where nodes go: forces between them (d3-force), a slice of work at a time.
 *
 * Owns the places. The same network gets the same picture: places begin on a spiral, in the order
 * of names. Nothing runs once all is still; a node that comes later begins beside its neighbour.
 */

import {
  forceCollide,
  forceLink,
  forceManyBody,
  forceSimulation,
  forceX,
  forceY,
  type ForceLink,
  type Simulation,
  type SimulationLinkDatum,
} from 'd3-force';

import { layOut } from '../cli/look/graph-layout.ts';
import { byName } from './format.ts';
import type { OverlayModel } from './model.ts';

export interface Spot {
  readonly id: string;
  index?: number;
  x: number;
  y: number;
  vx?: number;
  vy?: number;
  /** Held there; null: free. */
  fx?: number | null;
  fy?: number | null;
}

const SPACING = 80;
/** Of so many nodes the best of several beginnings is found in some milliseconds. */
const SMALL_MAX = 24;
/** Below this the picture hardly moves any more. */
const STILL = 0.004;
/** Until then the first picture is not shown: it would only boil. */
const SHOWN = 0.15;

export class Layout {
  readonly spots = new Map<string, Spot>();
  readonly #links: ForceLink<Spot, SimulationLinkDatum<Spot>> = forceLink<
    Spot,
    SimulationLinkDatum<Spot>
  >()
    .distance(SPACING)
    .iterations(1);
  readonly #simulation: Simulation<Spot, SimulationLinkDatum<Spot>> = forceSimulation<Spot>()
    .stop()
    .alphaDecay(0.03)
    .velocityDecay(0.45)
    .force('link', this.#links)
    .force('charge', forceManyBody<Spot>().strength(-260).theta(1).distanceMax(640))
    .force('collide', forceCollide<Spot>(13))
    .force('x', forceX<Spot>(0).strength(0.045))
    .force('y', forceY<Spot>(0).strength(0.06));

  /** The first picture is not ready yet. */
  get boiling(): boolean {
    return this.#first && this.#simulation.alpha() > SHOWN;
  }

  get still(): boolean {
    return this.#simulation.alpha() < STILL && this.#simulation.alphaTarget() === 0;
  }

  #first = true;

  /** Takes nodes and links as they are; new ones find their places. */
  take(model: OverlayModel): void {
    const near = new Map<string, string[]>();
    for (const { a, b } of model.links.values()) {
      for (const [one, other] of [[a, b] as const, [b, a] as const]) {
        const list = near.get(one);
        if (list === undefined) near.set(one, [other]);
        else list.push(other);
      }
    }
    for (const id of this.spots.keys()) if (!model.nodes.has(id)) this.spots.delete(id);
    const before = this.spots.size;
    const ordered = [...model.nodes.values()].sort((x, y) => byName(x.name, y.name));
    for (const { id } of ordered) {
      if (this.spots.has(id)) continue;
      const i = this.spots.size;
      const neighbour = (near.get(id) ?? []).map((one) => this.spots.get(one)).find(Boolean);
      const angle = i * 2.399963;
      const radius = neighbour === undefined || before === 0 ? 14 * Math.sqrt(i + 0.5) : 30;
      const from = before === 0 ? undefined : neighbour;
      this.spots.set(id, {
        id,
        x: (from?.x ?? 0) + radius * Math.cos(angle),
        y: (from?.y ?? 0) + radius * Math.sin(angle),
      });
    }
    const spots = [...this.spots.values()];
    this.#simulation.nodes(spots);
    this.#links.links(
      [...model.links.values()].map(({ a, b }) => ({
        source: this.spots.get(a)!,
        target: this.spots.get(b)!,
      })),
    );
    if (before === 0 && spots.length <= SMALL_MAX) {
      // Forces alone may leave a ring crossed: they begin at places that are right already.
      const places = layOut(
        spots.map(({ id }) => id),
        [...model.links.values()].map(({ a, b }) => [a, b] as const),
        SPACING,
      );
      for (const spot of spots) Object.assign(spot, places.get(spot.id));
      this.#first = false;
      this.#simulation.alpha(0.06);
    } else if (before === 0) {
      this.#first = true;
      this.#simulation.alpha(1);
    } else this.#simulation.alpha(Math.max(this.#simulation.alpha(), 0.25));
  }

  /** Moves all by at least one step, and by more while `budgetMs` lasts and nothing is shown. */
  work(budgetMs: number): void {
    if (this.still) return;
    const until = performance.now() + budgetMs;
    do this.#simulation.tick();
    while (this.boiling && performance.now() < until);
    if (!this.boiling) this.#first = false;
  }

  /** Somebody holds `spot` at a place. */
  hold(spot: Spot, x: number, y: number): void {
    spot.fx = x;
    spot.fy = y;
    this.#simulation.alphaTarget(0.18);
    if (this.#simulation.alpha() < 0.18) this.#simulation.alpha(0.18);
  }

  /** It stays where it was put until the network changes its shape. */
  letGo(spot: Spot): void {
    spot.fx = spot.fy = null;
    this.#simulation.alphaTarget(0);
  }

  clear(): void {
    this.spots.clear();
  }
}

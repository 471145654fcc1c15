/**
 * A small network of Discovery objects in virtual time: wires with delays, nodes that misbehave as
 * a test says, and an independent search for the lightest path to compare with.
 */

import { Rng } from '../../../../src/core/base/rng.ts';
import { MILLISECOND, Timer, type Clock, type Micros } from '../../../../src/core/base/time.ts';
import { TimerQueue } from '../../../../src/core/base/timer-queue.ts';
import { draw } from '../../../../src/core/crypto/keys.ts';
import type { Identity } from '../../../../src/core/crypto/membership.ts';
import { Discovery } from '../../../../src/core/byzantine/discovery.ts';
import type { DiscoveredPath } from '../../../../src/core/byzantine/discovered-path.ts';
import {
  ROUTE_HOP_LABEL,
  Verifier,
  type VerifierOptions,
} from '../../../../src/core/byzantine/verified.ts';
import { cheapPrimitives } from '../../../../src/lab/sim/cheap-primitives.ts';
import { SimAuthority } from '../../../../src/lab/sim/sim-authority.ts';
import type { Certificate } from '../../../../src/core/wire/certificate.ts';
import {
  appendRouteHop,
  decodeRouteResponse,
  ROUTE_REQUEST,
  type RouteResponse,
  type RouteWeight,
  type Sign,
} from '../../../../src/core/wire/discovery.ts';
import { DropCounters } from '../../../../src/core/wire/drop.ts';

export type Edge = readonly [number, number];

/** What a station does with a message instead of what is right. */
export type Behaviour = (station: Station, bytes: Uint8Array, from: number) => void;

export interface LabOptions {
  readonly seed?: number;
  readonly delay?: (from: number, to: number) => Micros;
  readonly options?: VerifierOptions;
  /** Nodes know which links there can be. */
  readonly topology?: boolean;
  readonly nodesMost?: number;
}

export class Station {
  readonly id: number;
  readonly identity: Identity;
  readonly exchangeKey: Uint8Array;
  readonly discovery: Discovery;
  readonly drops = new DropCounters();
  readonly neighbours: number[] = [];
  /** In order of acceptance. */
  readonly found: {
    readonly destination: number;
    readonly path: DiscoveredPath;
    readonly best: boolean;
    readonly at: Micros;
  }[] = [];
  behaviour: Behaviour | null = null;
  /** Sources whose requests were believed. */
  readonly sources: {
    readonly source: number;
    readonly epoch: number;
    readonly key: Uint8Array;
  }[] = [];
  /** Everything that was received. */
  readonly heard: Uint8Array[] = [];
  requestsSent = 0;
  responsesSent = 0;
  readonly #lab: Lab;

  constructor(lab: Lab, id: number, identity: Identity, settings: LabOptions) {
    this.#lab = lab;
    this.id = id;
    this.identity = identity;
    this.exchangeKey = draw(lab.rng, 32);
    this.discovery = new Discovery({
      self: id,
      clock: lab,
      timers: lab.timers,
      primitives: cheapPrimitives,
      signing: identity.signing,
      epoch: 1,
      exchangeKey: () => this.exchangeKey,
      certificateOf: (node) => lab.certificateOf(node),
      sequenceOf: (node) => lab.sequences.get(node) ?? null,
      neighbours: () => this.neighbours,
      send: (neighbour, bytes) => this.send(neighbour, bytes),
      mayLink: (a, b) => settings.topology !== true || lab.linked(a, b),
      reachable: () => true,
      onPath: (destination, path, best) =>
        this.found.push({ destination, path, best, at: lab.now() }),
      onSource: (source, epoch, key) => this.sources.push({ source, epoch, key }),
      drops: this.drops,
      nodesMost: settings.nodesMost ?? lab.size,
      rng: lab.rng.fork(String(id)),
      options: settings.options ?? { outerFirst: true, prefixCache: true },
    });
  }

  get best(): DiscoveredPath | null {
    return this.found.findLast(({ best }) => best)?.path ?? null;
  }

  send(neighbour: number, bytes: Uint8Array): void {
    if (bytes[0] === ROUTE_REQUEST) this.requestsSent += 1;
    else this.responsesSent += 1;
    this.#lab.carry(this.id, neighbour, bytes);
  }

  receive(bytes: Uint8Array, from: number): void {
    this.heard.push(bytes);
    if (this.behaviour === null) this.obey(bytes, from);
    else this.behaviour(this, bytes, from);
  }

  /** What the protocol says. */
  obey(bytes: Uint8Array, from: number): void {
    if (bytes[0] === ROUTE_REQUEST) this.discovery.onRequest(bytes, from);
    else this.discovery.onResponse(bytes, from);
  }

  signer(label: string): Sign {
    return new Verifier({
      primitives: cheapPrimitives,
      certificateOf: () => null,
      options: { outerFirst: true, prefixCache: true },
    }).signer(label, this.identity.signing);
  }

  /** `response` with this station behind it, signed as it should be. */
  signInto(response: RouteResponse): Uint8Array {
    return appendRouteHop(response, this.id, this.exchangeKey, this.signer(ROUTE_HOP_LABEL));
  }
}

/** Nodes 1..size. */
export class Lab implements Clock {
  /** What link state believes, where there is one. */
  readonly sequences = new Map<number, number>();
  readonly timers = new TimerQueue();
  readonly rng: Rng;
  readonly size: number;
  readonly edges: readonly Edge[];
  readonly stations = new Map<number, Station>();
  /** Every message that travelled, newest last. */
  readonly traffic: { readonly from: number; readonly to: number; readonly bytes: Uint8Array }[] =
    [];
  readonly authority: SimAuthority;
  readonly #certificates = new Map<number, Certificate>();
  readonly #links = new Set<string>();
  readonly #delay: (from: number, to: number) => Micros;
  #now: Micros = 0;

  constructor(size: number, edges: readonly Edge[], settings: LabOptions = {}) {
    this.rng = new Rng(settings.seed ?? 1);
    this.size = size;
    this.edges = edges;
    this.#delay = settings.delay ?? ((): Micros => MILLISECOND);
    this.authority = new SimAuthority(cheapPrimitives, this.rng);
    for (let id = 1; id <= size; id += 1) {
      const identity = this.authority.issue(id, `n${id}`);
      this.#certificates.set(id, identity.certificate);
      this.stations.set(id, new Station(this, id, identity, settings));
    }
    for (const [a, b] of edges) {
      this.#links.add(`${a} ${b}`).add(`${b} ${a}`);
      this.at(a).neighbours.push(b);
      this.at(b).neighbours.push(a);
    }
  }

  now(): Micros {
    return this.#now;
  }

  at(id: number): Station {
    return this.stations.get(id)!;
  }

  linked(a: number, b: number): boolean {
    return this.#links.has(`${a} ${b}`);
  }

  certificateOf(node: number): Certificate | null {
    return this.#certificates.get(node) ?? null;
  }

  /** Messages between two nodes arrive in order. */
  carry(from: number, to: number, bytes: Uint8Array): void {
    this.traffic.push({ from, to, bytes });
    this.after(this.#delay(from, to), () => this.at(to).receive(bytes, from));
  }

  after(time: Micros, action: () => void): void {
    this.timers.arm(new Timer(action), this.#now + time);
  }

  run(time: Micros): void {
    const until = this.#now + time;
    while (this.timers.nextAt <= until) {
      this.#now = Math.max(this.#now, this.timers.nextAt);
      this.timers.runDue(this.#now, 1);
    }
    this.#now = until;
  }

  /** All drops of all honest stations. */
  dropsOf(...names: (keyof ReturnType<DropCounters['snapshot']>)[]): number {
    let total = 0;
    for (const station of this.stations.values()) {
      const counts = station.drops.snapshot();
      for (const name of names) total += counts[name] ?? 0;
    }
    return total;
  }
}

/** A delay for each direction of each link, the same every time. */
export function steadyDelays(seed: number, most: Micros): (from: number, to: number) => Micros {
  return (from, to) => 100 + new Rng(seed * 1_000_003 + from * 1009 + to).below(most);
}

/** Connected: a random tree and `extra` links more. */
export function randomGraph(rng: Rng, size: number, extra: number): Edge[] {
  const links = new Set<string>();
  const edges: Edge[] = [];
  const add = (a: number, b: number): void => {
    const name = `${Math.min(a, b)} ${Math.max(a, b)}`;
    if (a === b || links.has(name)) return;
    links.add(name);
    edges.push([Math.min(a, b), Math.max(a, b)]);
  };
  for (let id = 2; id <= size; id += 1) add(id, 1 + rng.below(id - 1));
  for (let i = 0; i < extra; i += 1) add(1 + rng.below(size), 1 + rng.below(size));
  return edges;
}

export function randomWeights(
  rng: Rng,
  edges: readonly Edge[],
  count: number,
  exponentMost: number,
): RouteWeight[] {
  return rng
    .shuffle([...edges])
    .slice(0, count)
    .map(([u, v]) => ({ u, v, exponent: 1 + rng.below(exponentMost) }));
}

/**
 * Weight of the lightest path, by relaxing every edge until nothing changes; Infinity when there is
 * none. `avoid`: nodes that do not carry.
 */
export function lightest(
  size: number,
  edges: readonly Edge[],
  weights: readonly RouteWeight[],
  from: number,
  to: number,
  avoid: ReadonlySet<number> = new Set(),
): number {
  const distance = new Array<number>(size + 1).fill(Infinity);
  distance[from] = 0;
  for (let changed = true; changed; ) {
    changed = false;
    for (const [a, b] of edges) {
      if (avoid.has(a) || avoid.has(b)) continue;
      const weight =
        2 **
        (weights.find(({ u, v }) => u === Math.min(a, b) && v === Math.max(a, b))?.exponent ?? 0);
      for (const [x, y] of [
        [a, b],
        [b, a],
      ] as const) {
        if (distance[x]! + weight >= distance[y]!) continue;
        distance[y] = distance[x]! + weight;
        changed = true;
      }
    }
  }
  return distance[to]!;
}

export function decoded(bytes: Uint8Array): RouteResponse {
  const response = decodeRouteResponse(bytes, 0, bytes.length);
  if (typeof response === 'number') throw new Error(`no response: ${response}`);
  return response;
}

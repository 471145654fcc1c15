/**
 * One network for the figures of Byzantine routing: any of the routers compared, adversaries in it,
 * and what its wires carried.
 *
 * Owns the names of the routers, the networks, and how each attack is mounted, the same way for
 * every router: a black hole takes part in all else and drops data in transit; a wormhole is a wire
 * of 0.1 ms between two colluders. The experiments are byzantine-figures.ts's. Invariant: the same
 * router, seed and network give the same run.
 */

import { assert } from '../../core/base/assert.ts';
import type { NodeId } from '../../core/base/ids.ts';
import type { Rng } from '../../core/base/rng.ts';
import { MILLISECOND, SECOND, type Micros } from '../../core/base/time.ts';
import { changeDirection, defaultDirection } from '../../core/emulation/link-settings.ts';
import { byzantineModes, defaultLimits } from '../../core/node/config.ts';
import type { StrategyEnvironment } from '../../core/dissemination/strategy.ts';
import {
  DISSEMINATION_BYZANTINE,
  DISSEMINATION_LINK_STATE,
  KIND_PROBED,
  KIND_ROUTE,
  type Packet,
  SERVICE_BEST_EFFORT,
} from '../../core/wire/packet.ts';
import { PROBED_ACK } from '../../core/wire/probed.ts';
import type { Baseline, BaselineFactory } from './baselines/baseline.ts';
import { DisjointBaseline } from './baselines/disjoint.ts';
import { FloodingBaseline } from './baselines/flooding.ts';
import { OnDemandBaseline } from './baselines/on-demand.ts';
import { RouteChecker } from '../sim/check-routes.ts';
import { SimFlow } from '../sim/flow.ts';
import { World, type SimHost, type Wire } from '../sim/world.ts';

export const ROUTERS = [
  'link-state',
  'on-demand',
  'disjoint',
  'flooding',
  'paper',
  'secure',
] as const;
export type RouterName = (typeof ROUTERS)[number];

/** For readers of pictures. */
export const ROUTER_TITLES: Readonly<Record<RouterName, string>> = {
  'link-state': 'link state',
  'on-demand': 'first arrival',
  disjoint: 'two disjoint paths',
  flooding: 'flooding',
  paper: 'Byzantine, paper',
  secure: 'Byzantine, secure',
};

const BASELINES: Readonly<Partial<Record<RouterName, BaselineFactory>>> = {
  'on-demand': (env) => new OnDemandBaseline(env),
  disjoint: (env) => new DisjointBaseline(env),
  flooding: (env) => new FloodingBaseline(env),
};

export interface Edge {
  readonly a: number;
  readonly b: number;
  readonly latencyUs: Micros;
}

/** What colluders have between them that nobody else sees. */
const TUNNEL_US: Micros = 100;
const ID_BASE: NodeId = 0x0a00_0001;
const SETTLE_MAX: Micros = 20 * SECOND;

export interface LabOptions {
  readonly router: RouterName;
  readonly seed: number;
  readonly nodes: number;
  readonly edges: readonly Edge[];
  /** Pairs of colluders with a tunnel. */
  readonly tunnels?: readonly (readonly [number, number])[];
  readonly onArrival?: (wire: Wire, bytes: Uint8Array) => boolean;
}

/** Bytes of packets that arrived at daemons on the way or at the end, by what they were. */
export interface Carried {
  data: number;
  acks: number;
  ackPackets: number;
  routes: number;
  routePackets: number;
}

export class Lab {
  readonly world: World;
  readonly router: RouterName;
  readonly carried: Carried = { data: 0, acks: 0, ackPackets: 0, routes: 0, routePackets: 0 };
  /** Data that adversaries dropped. */
  dropped = 0;
  readonly #baselines = new Map<SimHost, Baseline>();
  #flows = 0;

  /** Starts all daemons and runs until the routes of link state are right everywhere. */
  constructor({ router, seed, nodes, edges, tunnels = [], onArrival }: LabOptions) {
    this.router = router;
    const factory = BASELINES[router];
    this.world = new World({
      seed,
      ...(onArrival === undefined ? {} : { onArrival }),
      ...(factory === undefined
        ? {}
        : {
            alternate: (host: SimHost, env: StrategyEnvironment) => this.#make(host, factory(env)),
          }),
    });
    const byzantine = byzantineModes[router === 'paper' ? 'paper' : 'secure'];
    for (let i = 0; i < nodes; i += 1)
      this.world.addHost(ID_BASE + i, `n${i + 1}`, {
        byzantine,
        limits: { ...defaultLimits, nodes },
      });
    const joined = new Set<string>();
    const join = (a: number, b: number, latencyUs: Micros): void => {
      const name = `${Math.min(a, b)} ${Math.max(a, b)}`;
      if (joined.has(name)) return;
      joined.add(name);
      const wire = changeDirection(defaultDirection(), { latencyUs });
      this.world.connect(this.host(a), this.host(b), wire, wire);
    };
    for (const [a, b] of tunnels) join(a, b, TUNNEL_US);
    for (const { a, b, latencyUs } of edges) join(a, b, latencyUs);
    for (const host of this.world.hosts) host.start();
    const checker = new RouteChecker(this.world, 'expected-latency');
    this.world.runFor(500 * MILLISECOND);
    while (checker.faults().length > 0) {
      assert(this.world.now() < SETTLE_MAX, 'routes of a laboratory settle');
      this.world.runFor(100 * MILLISECOND);
    }
    for (const host of this.world.hosts) this.#tap(host);
  }

  host(index: number): SimHost {
    return this.world.hosts[index]!;
  }

  /** Bytes offered to all wires so far, with IP and UDP headers. */
  get wireBytes(): number {
    return this.world.wires.reduce((sum, wire) => sum + wire.ipBytes, 0);
  }

  /** `service`: default best effort. */
  flow(
    from: number,
    to: number,
    packetsPerSecond: number,
    sizeBytes: number,
    durationUs: Micros,
    service: number = SERVICE_BEST_EFFORT,
  ): SimFlow {
    const dissemination =
      this.router === 'link-state' ? DISSEMINATION_LINK_STATE : DISSEMINATION_BYZANTINE;
    this.#flows += 1;
    const settings = {
      packetsPerSecond,
      sizeBytes,
      startUs: 0,
      durationUs,
      count: null,
      options: { service, dissemination },
    };
    return new SimFlow(
      this.world,
      this.#flows - 1,
      this.host(from),
      this.host(to),
      settings,
      this.world.now(),
    );
  }

  /**
   * From now on the node drops the data that passes through it, `while` it says so; with `rush` it
   * also hurries requests.
   */
  blackHole(index: number, rush = false, when: () => boolean = () => true): void {
    const { node } = this.host(index);
    const drop = (): boolean => {
      if (!when()) return false;
      this.dropped += 1;
      return true;
    };
    node.dissemination.misbehaviour = { onTransit: drop };
    if (node.byzantine !== null) node.byzantine.misbehaviour = { onData: drop };
    const baseline = this.#baselines.get(this.host(index));
    if (baseline !== undefined) baseline.misbehaviour = { onData: drop, rush };
  }

  baseline(index: number): Baseline | null {
    return this.#baselines.get(this.host(index)) ?? null;
  }

  /** Nodes that packets of link state from one to the other pass, ends left out. */
  linkStatePath(from: number, to: number): number[] {
    const path: number[] = [];
    for (let at = this.host(from); at.index !== to; ) {
      const next = at.node.router.nextHop(this.host(to).id);
      assert(
        next !== null && path.length < this.world.hosts.length,
        'routes of link state lead there',
      );
      at = this.world.hosts.find((host) => host.id === next.node)!;
      if (at.index !== to) path.push(at.index);
    }
    return path;
  }

  run(time: Micros): void {
    this.world.runFor(time);
  }

  #make(host: SimHost, baseline: Baseline): Baseline {
    this.#baselines.set(host, baseline);
    return baseline;
  }

  /** Counts what comes to the strategy beside link state. */
  #tap(host: SimHost): void {
    const { dissemination } = host.node;
    const strategy = dissemination.strategy(DISSEMINATION_BYZANTINE);
    if (strategy === null) return;
    const { carried } = this;
    dissemination.use(DISSEMINATION_BYZANTINE, {
      originate: (packet) => strategy.originate(packet),
      congested: (packet) => strategy.congested(packet),
      onPacket: (packet: Packet, from: NodeId) => {
        if (packet.kind === KIND_ROUTE) {
          carried.routes += packet.length;
          carried.routePackets += 1;
        } else if (
          packet.kind === KIND_PROBED &&
          this.#baselines.size === 0 &&
          packet.bytes[packet.payloadStart] === PROBED_ACK
        ) {
          carried.acks += packet.length;
          carried.ackPackets += 1;
        } else carried.data += packet.length;
        return strategy.onPacket(packet, from);
      },
      onLinkState: (node, up) => strategy.onLinkState?.(node, up),
      stop: () => strategy.stop(),
    });
  }
}

/* ------------------------------------------------------------------ networks */

/** `count` nodes in a row. */
export function line(count: number, latencyUs: Micros, offset = 0): Edge[] {
  return Array.from({ length: count - 1 }, (_, i) => ({
    a: offset + i,
    b: offset + i + 1,
    latencyUs,
  }));
}

export function ring(count: number, latencyUs: Micros): Edge[] {
  return [...line(count, latencyUs), { a: count - 1, b: 0, latencyUs }];
}

export function grid(width: number, height: number, latencyUs: Micros): Edge[] {
  const edges: Edge[] = [];
  for (let at = 0; at < width * height; at += 1) {
    if ((at + 1) % width !== 0) edges.push({ a: at, b: at + 1, latencyUs });
    if (at + width < width * height) edges.push({ a: at, b: at + width, latencyUs });
  }
  return edges;
}

/** Connected, of about this many links a node, latencies uniform between the two. */
export function randomNetwork(
  nodes: number,
  degree: number,
  least: Micros,
  most: Micros,
  rng: Rng,
): Edge[] {
  const edges: Edge[] = [];
  const taken = new Set<string>();
  const order = rng.shuffle(Array.from({ length: nodes }, (_, i) => i));
  const add = (a: number, b: number): void => {
    const name = `${Math.min(a, b)} ${Math.max(a, b)}`;
    if (a === b || taken.has(name)) return;
    taken.add(name);
    edges.push({ a, b, latencyUs: least + rng.below(most - least + 1) });
  };
  // Everyone in a ring, so that no single node cuts the network in two.
  for (let i = 0; i < nodes; i += 1) add(order[i]!, order[(i + 1) % nodes]!);
  const wanted = Math.round((nodes * degree) / 2);
  for (let tries = 0; edges.length < wanted && tries < 20 * wanted; tries += 1)
    add(rng.below(nodes), rng.below(nodes));
  return edges;
}

/** Whether `from` and `to` are joined by nodes none of which is in `bad`. */
export function joinedWithout(
  edges: readonly Edge[],
  bad: ReadonlySet<number>,
  from: number,
  to: number,
): boolean {
  const reached = new Set([from]);
  const work = [from];
  for (let at = work.pop(); at !== undefined; at = work.pop()) {
    for (const { a, b } of edges) {
      const next = a === at ? b : b === at ? a : -1;
      if (next < 0 || reached.has(next) || bad.has(next)) continue;
      reached.add(next);
      work.push(next);
    }
  }
  return reached.has(to);
}

/** Every two of them. */
export function pairsOf(nodes: readonly number[]): [number, number][] {
  return nodes.flatMap((a, i) => nodes.slice(i + 1).map((b): [number, number] => [a, b]));
}

/**
 * A network with conspiring adversaries in virtual time, and a judge who looks on from outside:
 * which links were convicted, what the sources lost, and what the bounds allow.
 *
 * Owns the accounts of one run; no assertion. Adversaries are src/lab/adversary/adversary.ts's. B4
 * and B5 are those of Awerbuch, Holmer, Nita-Rotaru and Rubens (WiSe 2002, section 5), the tight
 * form counts links that an adversary has an end of.
 */

import type { NodeId } from '../../src/core/base/ids.ts';
import type { Rng } from '../../src/core/base/rng.ts';
import { MILLISECOND, SECOND, type Micros } from '../../src/core/base/time.ts';
import type { Conviction } from '../../src/core/byzantine/byzantine-router.ts';
import { OUTAGE_US, rangeOf } from '../../src/core/byzantine/bounds.ts';
import type { Secrecy } from '../../src/core/session/secrecy.ts';
import {
  byzantineModes,
  capExponent,
  faultLosses,
  type ByzantineOptions,
} from '../../src/core/byzantine/options.ts';
import type { PathFlow } from '../../src/core/byzantine/path-flow.ts';
import { changeDirection, defaultDirection } from '../../src/core/emulation/link-settings.ts';
import { defaultLimits } from '../../src/core/node/config.ts';
import { Colluders } from '../../src/lab/adversary/adversary.ts';
import { SimFlow } from '../../src/lab/sim/flow.ts';
import { World, type SimHost } from '../../src/lab/sim/world.ts';
import { DISSEMINATION_BYZANTINE, SERVICE_RELIABLE } from '../../src/core/wire/packet.ts';

export interface Edge {
  readonly a: number;
  readonly b: number;
  readonly latencyUs: Micros;
  readonly bandwidthKbps?: number;
}

export interface LabOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly edges: readonly Edge[];
  readonly options: ByzantineOptions;
  /** Of what goes by link state. Default: end to end. */
  readonly secrecy?: Secrecy;
  /** Default 1 s: until links are up and everybody knows them. */
  readonly settleUs?: Micros;
  readonly onArrival?: NonNullable<ConstructorParameters<typeof World>[0]['onArrival']>;
}

export interface LabFlow {
  readonly from: SimHost;
  readonly to: SimHost;
  readonly packetsPerSecond: number;
  readonly service: number;
  readonly flow: SimFlow;
}

/** Of one source, all its paths to a destination by one service. */
interface Account {
  readonly paths: Set<PathFlow>;
  longest: number;
}

export interface Damage {
  /**
   * Packets without a full acknowledgement in time, and those with one; of paths while they were a
   * flow's main one.
   */
  readonly lost: number;
  readonly delivered: number;
  /** q- - rho q+ with rho = tau, and what B5 in its tight form allows for it: phi'. */
  readonly damage: number;
  readonly allowed: number;
}

const ID_BASE: NodeId = 0x0a00_0001;

export class AdversaryLab {
  readonly world: World;
  readonly colluders: Colluders;
  readonly flows: LabFlow[] = [];
  readonly options: ByzantineOptions;
  readonly #accounts = new Map<LabFlow, Account>();
  /** Convictions of honest sources that have been looked at. */
  readonly #judged = new Map<SimHost, Set<Conviction>>();
  readonly convictions: Conviction[] = [];
  /** Those of links with no end at an adversary. */
  readonly violations: string[] = [];

  constructor({
    seed,
    nodes,
    edges,
    options,
    secrecy = 'end-to-end',
    settleUs = SECOND,
    onArrival,
  }: LabOptions) {
    this.options = options;
    this.world = new World({ seed, ...(onArrival === undefined ? {} : { onArrival }) });
    for (let i = 0; i < nodes; i += 1)
      this.world.addHost(ID_BASE + i, `n${i}`, {
        byzantine: options,
        secrecy,
        limits: { ...defaultLimits, nodes: Math.max(nodes, 2) },
      });
    for (const { a, b, latencyUs, bandwidthKbps } of edges) {
      const wire = changeDirection(defaultDirection(), {
        latencyUs,
        ...(bandwidthKbps === undefined ? {} : { bandwidthKbps }),
      });
      this.world.connect(this.host(a), this.host(b), wire, wire);
    }
    this.colluders = new Colluders(this.world);
    for (const host of this.world.hosts) host.start();
    this.world.runFor(settleUs);
  }

  host(index: number): SimHost {
    return this.world.hosts[index]!;
  }

  flow(
    from: number,
    to: number,
    packetsPerSecond: number,
    service: number,
    durationUs: Micros = 3_600 * SECOND,
    sizeBytes = 200,
  ): LabFlow {
    const settings = {
      packetsPerSecond,
      sizeBytes,
      startUs: 0,
      durationUs,
      count: null,
      options: { service, dissemination: DISSEMINATION_BYZANTINE },
    };
    const one: LabFlow = {
      from: this.host(from),
      to: this.host(to),
      packetsPerSecond,
      service,
      flow: new SimFlow(
        this.world,
        this.flows.length,
        this.host(from),
        this.host(to),
        settings,
        this.world.now(),
      ),
    };
    this.flows.push(one);
    this.#accounts.set(one, { paths: new Set(), longest: 1 });
    return one;
  }

  /** Runs for `time` and looks every `stepUs`; `onStep` after each look. */
  run(time: Micros, stepUs: Micros = SECOND, onStep: () => void = () => {}): void {
    const until = this.world.now() + time;
    while (this.world.now() < until) {
      this.world.runFor(Math.min(stepUs, until - this.world.now()));
      this.#look();
      onStep();
    }
  }

  /** Faults of all honest sources. */
  get faults(): number {
    return this.flows.reduce(
      (sum, { from }, i) =>
        this.flows.findIndex((other) => other.from === from) === i
          ? sum + from.node.byzantine!.totals.faults
          : sum,
      0,
    );
  }

  damageOf(one: LabFlow): Damage {
    const { paths, longest } = this.#accounts.get(one)!;
    let lost = 0,
      delivered = 0;
    for (const { monitor } of paths) {
      const snapshot = monitor.snapshot();
      lost += snapshot.lost;
      delivered += snapshot.delivered;
    }
    const { tolerance, fullProbing, fullProbingHops, windowPackets, weightCap } = this.options;
    const faults =
      fullProbing && longest <= fullProbingHops ? 2 : Math.ceil(Math.log2(longest)) + 1;
    // Losses of one fault: those that make it, and what is under way until it is known.
    const perFault =
      faultLosses(windowPackets, tolerance) +
      Math.ceil((one.packetsPerSecond * this.#timerUs(one)) / SECOND);
    const allowed =
      this.#adversarialLinks() *
      capExponent(weightCap, this.world.hosts.length) *
      perFault *
      faults;
    return { lost, delivered, damage: lost - tolerance * delivered, allowed };
  }

  /**
   * The longest that a packet's fate is open, on any path that was in use: of each link what the
   * slowest may take.
   */
  #timerUs(one: LabFlow): Micros {
    let latency = 0;
    for (const { model } of this.world.wires) latency = Math.max(latency, model.settings.latencyUs);
    const links = this.#accounts.get(one)!.longest,
      recovering = one.service === SERVICE_RELIABLE;
    return (
      rangeOf(latency, recovering, true).mostUs +
      (links - 1) * rangeOf(latency, recovering).mostUs +
      links * 5 * MILLISECOND +
      (recovering ? OUTAGE_US : 0)
    );
  }

  #adversarialLinks(): number {
    const { wires } = this.world;
    return wires.filter(
      ({ from, to }) =>
        from.index < to.index && (this.colluders.has(from.id) || this.colluders.has(to.id)),
    ).length;
  }

  #look(): void {
    for (const one of this.flows) {
      const account = this.#accounts.get(one)!;
      const router = one.from.node.byzantine!;
      for (const flow of router.flows()) {
        if (flow.destination !== one.to.id || flow.service !== one.service || flow.main === null)
          continue;
        account.paths.add(flow.main);
        account.longest = Math.max(account.longest, flow.main.path.nodes.length - 1);
      }
    }
    for (const host of new Set(this.flows.map(({ from }) => from))) {
      let judged = this.#judged.get(host);
      if (judged === undefined) this.#judged.set(host, (judged = new Set()));
      for (const conviction of host.node.byzantine!.convictions) {
        if (judged.has(conviction)) continue;
        judged.add(conviction);
        this.convictions.push(conviction);
        const { u, v, at, losses } = conviction;
        if (!this.colluders.has(u) && !this.colluders.has(v))
          this.violations.push(
            `${host.name} convicts n${u - ID_BASE}-n${v - ID_BASE} at ` +
              `${(at / SECOND).toFixed(3)} s after ${losses} losses`,
          );
      }
    }
  }
}

/** Connected: a random tree and `extra` more links; latencies of 1 to `mostMs` ms. */
export function randomEdges(nodes: number, extra: number, rng: Rng, mostMs = 15): Edge[] {
  const edges: Edge[] = [];
  const joined = new Set<number>();
  const join = (a: number, b: number): void => {
    if (a === b || joined.has(Math.min(a, b) * nodes + Math.max(a, b))) return;
    joined.add(Math.min(a, b) * nodes + Math.max(a, b));
    edges.push({ a, b, latencyUs: (1 + rng.below(mostMs)) * MILLISECOND });
  };
  for (let i = 1; i < nodes; i += 1) join(i, rng.below(i));
  for (
    let tries = 0, before = edges.length;
    edges.length < before + extra && tries < 20 * extra;
    tries += 1
  )
    join(rng.below(nodes), rng.below(nodes));
  return edges;
}

/** Whether `from` reaches `to` over `edges` without any of `bad`. */
export function joinedWithout(
  edges: readonly Edge[],
  from: number,
  to: number,
  bad: ReadonlySet<number>,
): boolean {
  const reached = new Set([from]);
  for (let grew = true; grew; ) {
    grew = false;
    for (const { a, b } of edges) {
      for (const [x, y] of [
        [a, b],
        [b, a],
      ] as const) {
        if (!reached.has(x) || reached.has(y) || bad.has(y)) continue;
        reached.add(y);
        grew = true;
      }
    }
  }
  return reached.has(to);
}

export function modeOf(name: 'paper' | 'secure'): ByzantineOptions {
  return byzantineModes[name];
}

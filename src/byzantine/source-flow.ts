/**
 * Everything from this node to one destination by one link service: which paths are in use, and what waits for one.
 *
 * Owns the choice among discovered paths, the second path while a search runs, and the packets that wait. The state of
 * one path is path-flow.ts's. A message keeps its number on every path, so that the destination takes it once.
 */

import type { NodeId } from '../base/ids.ts';
import { Ring } from '../base/ring.ts';
import { DropReason } from '../wire/drop.ts';
import { Packet } from '../wire/packet.ts';
import type { KeptPacket, PacketPool } from '../wire/packet-pool.ts';
import type { DiscoveredPath } from './discovery.ts';
import type { Verdict } from './intervals.ts';
import { PathFlow, type PathFlowEnvironment } from './path-flow.ts';
import type { WeightList } from './weights.ts';

/** Packets that wait for a path; more are refused. */
const WAITING_MAX = 1_024;

export interface SourceFlowEnvironment extends PathFlowEnvironment {
  readonly pool: PacketPool;
  readonly weights: WeightList;
  /** Paths found last, best first. */
  readonly paths: (destination: NodeId) => readonly DiscoveredPath[];
  readonly discover: (destination: NodeId) => void;
  /** A link of a path was convicted; the weights have it already. */
  readonly onConviction: (flow: SourceFlow, u: NodeId, v: NodeId, losses: number) => void;
}

export class SourceFlow {
  readonly destination: NodeId;
  readonly service: number;
  readonly #env: SourceFlowEnvironment;
  readonly #waiting = new Ring<KeptPacket>(WAITING_MAX);
  readonly #again = new Packet();
  #priority = 1;
  #main: PathFlow | null = null;
  #second: PathFlow | null = null;
  #number = 0;
  faults = 0;
  convictions = 0;

  constructor(destination: NodeId, service: number, env: SourceFlowEnvironment) {
    this.destination = destination;
    this.service = service;
    this.#env = env;
  }

  get main(): PathFlow | null {
    return this.#main;
  }

  /** In use while a search runs on the main one. */
  get second(): PathFlow | null {
    return this.#second;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** True while a further packet would only wait. */
  get congested(): boolean {
    if (this.#main === null) return this.#waiting.length > WAITING_MAX / 2;
    return this.#main.link?.congested(this.service) ?? false;
  }

  /** Sends an inner packet of a local session, or keeps it until there is a path. */
  send(packet: Packet): DropReason {
    this.#priority = packet.priority;
    this.#choose();
    if (this.#main === null) {
      if (this.#waiting.length === WAITING_MAX) return DropReason.noRoute;
      const kept = this.#env.pool.keep(packet);
      if (kept === null) return DropReason.noRoute;
      this.#waiting.push(kept);
      this.#env.discover(this.destination);
      return DropReason.none;
    }
    return this.#sendNow(packet.bytes, packet.start, packet.end);
  }

  /** A path was found. */
  onPath(path: DiscoveredPath): void {
    const main = this.#main;
    // A lighter one replaces what is in use only when that has been found wanting: order on a path is worth something.
    if (main !== null && this.#env.weights.pathWeight(path.nodes) < this.#env.weights.pathWeight(main.path.nodes) && this.#weighs(main)) this.#drop();
    this.#choose();
    while (this.#main !== null) {
      const kept = this.#waiting.shift();
      if (kept === undefined) return;
      const reason = this.#again.decode(kept.bytes, kept.start, kept.end, false);
      if (reason === DropReason.none) this.#sendNow(this.#again.bytes, this.#again.start, this.#again.end);
      this.#env.pool.release(kept);
    }
  }

  /** A neighbour's link went down. */
  onLinkDown(): void {
    if (this.#main?.link === null) this.#drop();
    if (this.#second?.link === null) this.#dropSecond();
    this.#choose();
  }

  stop(): void {
    this.#drop();
    for (let kept = this.#waiting.shift(); kept !== undefined; kept = this.#waiting.shift()) this.#env.pool.release(kept);
  }

  #sendNow(bytes: Uint8Array, start: number, end: number): DropReason {
    const number = this.#number;
    this.#number += 1;
    const main = this.#main!;
    if (this.#second === null && main.monitor.searching && this.#env.options.secondPath) this.#second = this.#open(this.#mostDisjoint(main.path));
    const second = this.#second;
    const reason = main.send(number, bytes, start, end);
    if (second === null) return reason;
    const other = second.send(number, bytes, start, end);
    if (!main.monitor.searching) this.#dropSecond();
    return reason === DropReason.none ? reason : other;
  }

  /** Makes sure that there is a path in use, if one is known. */
  #choose(): void {
    if (this.#main !== null && this.#main.link === null) this.#drop();
    if (this.#main !== null) return;
    this.#main = this.#open(this.#lightest());
    if (this.#main === null) this.#env.discover(this.destination);
  }

  #open(path: DiscoveredPath | null): PathFlow | null {
    if (path === null) return null;
    const flow = new PathFlow(path, this.service, this.#priority, this.#env, {
      onVerdict: (of, verdict) => this.#onVerdict(of, verdict),
      onDelivered: () => this.#env.weights.onDelivered(),
    });
    return flow.usable ? flow : null;
  }

  /** By the weights of now, with a first link that is up. A convicted link is taken only when there is nothing lighter. */
  #lightest(): DiscoveredPath | null {
    let best: DiscoveredPath | null = null, least = Infinity;
    for (const path of this.#usable()) {
      const weight = this.#env.weights.pathWeight(path.nodes);
      if (weight < least) [best, least] = [path, weight];
    }
    return best;
  }

  /** The path that shares fewest nodes with `path`; null when every other one shares its first link's far end and all the rest. */
  #mostDisjoint(path: DiscoveredPath): DiscoveredPath | null {
    const inside = new Set(path.nodes.slice(1, -1));
    let best: DiscoveredPath | null = null, fewest = inside.size;
    for (const other of this.#usable()) {
      const shared = other.nodes.slice(1, -1).filter((node) => inside.has(node)).length;
      if (shared < fewest) [best, fewest] = [other, shared];
    }
    return best;
  }

  #usable(): DiscoveredPath[] {
    return this.#env.paths(this.destination).filter((path) => this.#env.linkTo(path.nodes[1]!) !== null);
  }

  /** Whether a link of its path has been convicted. */
  #weighs({ path }: PathFlow): boolean {
    return this.#env.weights.pathWeight(path.nodes) > path.nodes.length - 1;
  }

  #onVerdict(flow: PathFlow, verdict: Verdict): void {
    if (verdict.kind === 'fault') {
      this.faults += 1;
      return;
    }
    this.convictions += 1;
    this.#env.onConviction(this, verdict.u, verdict.v, verdict.losses);
    if (flow === this.#second) this.#dropSecond();
    if (flow === this.#main) {
      this.#drop();
      this.#choose();
    }
    this.#env.discover(this.destination);
  }

  #drop(): void {
    this.#main?.end();
    this.#main = null;
    this.#dropSecond();
  }

  #dropSecond(): void {
    this.#second?.end();
    this.#second = null;
  }
}

/**
 * Replays a topology in virtual time: builds the world, waits for routes, runs flows and timeline,
 * reports.
 *
 * Time zero of flows and events is when the routes first are right everywhere (checked from
 * outside) and all streams are open. After each event the checker measures how long routes took to
 * be right again.
 */

import { SpinesError } from '../../core/base/errors.ts';
import type { Log } from '../../core/base/log.ts';
import { MILLISECOND, SECOND, type Micros } from '../../core/base/time.ts';
import {
  buildReport,
  convictionEvent,
  withConvictions,
  type Report,
  type ReportConvergence,
  type ReportEvent,
  type ReportLink,
} from '../report/report.ts';
import { SendTimes } from '../../core/emulation/send-times.ts';
import {
  inTheMiddle,
  NOBODY_MISBEHAVES,
  type Topology,
  type TopologyEvent,
} from '../topology/topology.ts';
import { deadlineOf } from '../../core/wire/deadline.ts';
import { disseminationCode, serviceCode } from '../../core/wire/modes.ts';
import { Colluders } from '../adversary/adversary.ts';
import { RouteChecker } from '../sim/check-routes.ts';
import { heal, cut, partition } from '../sim/faults.ts';
import { SimFlow } from '../sim/flow.ts';
import { SimStreamFlow } from '../sim/stream-flow.ts';
import { World, type SimHost } from '../sim/world.ts';

export interface VirtualOptions {
  readonly log?: Log;
  /**
   * Called now and then with virtual time since the start of the flows and the length of the run.
   */
  readonly onProgress?: (doneUs: Micros, totalUs: Micros, note: string) => void;
}

export interface VirtualRun {
  readonly report: Report;
  readonly world: World;
  readonly flows: readonly (SimFlow | SimStreamFlow)[];
}

/** Routes must be right this long after the start, or the run is refused. */
const CONVERGE_MAX: Micros = 60 * SECOND;
/**
 * Streams that are not open by then begin as they are: on a line that lets nothing pass there is
 * nothing to wait for.
 */
const OPEN_MAX: Micros = 10 * SECOND;
const CHECK_INTERVAL: Micros = 10 * MILLISECOND;
/** After the last message the run goes on this long for stragglers. */
export const STRAGGLER_TIME: Micros = 2 * SECOND;

export function buildWorld(topology: Topology, log?: Log): World {
  const world = new World({
    seed: topology.seed,
    security: topology.security,
    ...(log === undefined ? {} : { log }),
  });
  for (const node of topology.nodes)
    world.addHost(node.id, node.name, {
      metric: topology.metric,
      allowEmulation: true,
      ...(topology.congestion === null ? {} : { congestion: topology.congestion }),
    });
  for (const link of topology.links)
    world.connect(world.hosts[link.a]!, world.hosts[link.b]!, link.forward, link.backward);
  return world;
}

/**
 * Runs until all routes are right; returns how long that took, null when it did not happen in time.
 */
export function converge(
  world: World,
  topology: Pick<Topology, 'metric'>,
  patienceUs: Micros,
): Micros | null {
  const started = world.now();
  const checker = new RouteChecker(world, topology.metric);
  while (checker.faults().length > 0) {
    if (world.now() - started >= patienceUs) return null;
    world.runFor(CHECK_INTERVAL);
  }
  return world.now() - started;
}

/**
 * Throws SpinesError EUNSUPPORTED for flows that this version can't carry, ENOTCONVERGED when
 * routes never get right.
 */
export function runVirtual(topology: Topology, options: VirtualOptions = {}): VirtualRun {
  refuseUnsupported(topology);
  const world = buildWorld(topology, options.log);
  const starts = world.rng.fork('start times');
  for (const host of world.hosts)
    world.schedule(starts.below(50 * MILLISECOND), () => host.start());
  world.runFor(50 * MILLISECOND);
  const initial = converge(world, topology, CONVERGE_MAX);
  if (initial === null) {
    const [fault] = new RouteChecker(world, topology.metric).faults();
    throw new SpinesError(
      'ENOTCONVERGED',
      `routes were not right after ${CONVERGE_MAX / SECOND} s: ${fault?.from} to ${fault?.to} ` +
        `${fault?.what}`,
    );
  }
  const run = new Run(world, topology, options);
  run.convergence.push({
    atMs: 0,
    event: 'start',
    convergedAfterMs: (initial + 50 * MILLISECOND) / MILLISECOND,
  });
  run.play();
  return { report: run.report(), world, flows: run.flows };
}

export function refuseUnsupported(topology: Topology): void {
  for (const flow of topology.flows) {
    if (flow.routing === 'byzantine' && topology.security === 'none') {
      throw new SpinesError(
        'EUNSUPPORTED',
        `flow ${flow.name} asks for routing byzantine, which needs identities; take \`security: ` +
          `none\` away`,
      );
    }
  }
  if (topology.security !== 'none') return;
  for (const event of topology.events) {
    if (event.kind === 'misbehave' || event.kind === 'misbehave-on') {
      const when = `${event.at / SECOND} s`;
      throw new SpinesError(
        'EUNSUPPORTED',
        `the event at ${when} makes a node misbehave, which is about byzantine routing and needs ` +
          `identities; take \`security: none\` away`,
      );
    }
  }
}

class Run {
  readonly flows: (SimFlow | SimStreamFlow)[];
  readonly convergence: ReportConvergence[] = [];
  readonly #world: World;
  readonly #topology: Topology;
  readonly #options: VirtualOptions;
  readonly #startAt: Micros;
  readonly #events: ReportEvent[] = [];
  readonly #before: readonly { datagrams: number; ipBytes: number; dropped: number }[];
  #undoPartition: (() => void) | null = null;
  readonly #downByEvent = new Set<number>();
  readonly #colluders: Colluders;

  constructor(world: World, topology: Topology, options: VirtualOptions) {
    this.#world = world;
    this.#topology = topology;
    this.#options = options;
    this.#colluders = new Colluders(world);
    const settings = topology.flows.map((flow, i) => ({
      packetsPerSecond: flow.packetsPerSecond,
      sizeBytes: flow.sizeBytes,
      startUs: flow.startUs,
      durationUs: flow.durationUs,
      count: flow.count,
      times: new SendTimes(flow, topology.seed, i),
      ...(flow.congestion === null ? {} : { congestion: flow.congestion }),
      options: {
        service: serviceCode(flow.link),
        dissemination: disseminationCode(flow.routing),
        ...(flow.paths === undefined ? {} : { paths: flow.paths }),
        ...(flow.graph === undefined ? {} : { graph: flow.graph }),
        ...((flow.link === 'realtime' || flow.routing === 'graph') && flow.deadlineUs !== null
          ? deadlineOf(flow.deadlineUs / MILLISECOND)
          : {}),
      },
    }));
    const ends = topology.flows.map(
      ({ from, to }) => [world.hosts[from]!, world.hosts[to]!] as const,
    );
    // As in real time: a stream's first message is not late because its connection is not there
    // yet.
    const streams = topology.flows.map(({ session }, i) =>
      session === 'stream' ? new SimStreamFlow(world, i, ...ends[i]!, settings[i]!, null) : null,
    );
    const patience = world.now() + OPEN_MAX;
    while (streams.some((stream) => stream?.settled === false) && world.now() < patience)
      world.runFor(CHECK_INTERVAL);
    this.#startAt = world.now();
    for (const stream of streams) stream?.begin(this.#startAt);
    this.flows = streams.map(
      (stream, i) => stream ?? new SimFlow(world, i, ...ends[i]!, settings[i]!, this.#startAt),
    );
    this.#before = world.wires.map((wire) => ({
      datagrams: wire.datagrams,
      ipBytes: wire.ipBytes,
      dropped: wire.model.dropped,
    }));
  }

  play(): void {
    const { durationUs, events } = this.#topology;
    events.forEach((event, i) => {
      const nextAt = events[i + 1]?.at ?? durationUs + STRAGGLER_TIME;
      this.#runTo(event.at);
      this.#apply(event);
      // Routes of link state are as they were.
      if (nextAt === event.at || event.kind === 'misbehave' || event.kind === 'misbehave-on')
        return;
      const took = converge(this.#world, this.#topology, nextAt - event.at);
      this.convergence.push({
        atMs: event.at / MILLISECOND,
        event: this.#describe(event),
        convergedAfterMs: took === null ? null : took / MILLISECOND,
      });
    });
    this.#runTo(durationUs + STRAGGLER_TIME);
  }

  #runTo(at: Micros): void {
    const { durationUs } = this.#topology;
    const step = Math.max(SECOND, Math.floor(durationUs / 20));
    while (this.#world.now() < this.#startAt + at) {
      this.#world.run(Math.min(this.#startAt + at, this.#world.now() + step));
      this.#options.onProgress?.(
        Math.min(durationUs, this.#world.now() - this.#startAt),
        durationUs,
        `${this.#world.arrivals} datagrams`,
      );
    }
  }

  #apply(planned: TopologyEvent): void {
    const { hosts } = this.#world;
    const event = planned.kind === 'misbehave-on' ? this.#culprit(planned) : planned;
    if (event === null) {
      this.#events.push({ atMs: planned.at / MILLISECOND, what: NOBODY_MISBEHAVES });
      return;
    }
    switch (event.kind) {
      case 'set': {
        const [a, b] = this.#ends(event.link);
        if (event.direction !== 'backward') a.wires.get(b.endpoint.key)!.model.set(event.change);
        if (event.direction !== 'forward') b.wires.get(a.endpoint.key)!.model.set(event.change);
        break;
      }
      case 'down':
        this.#downByEvent.add(event.link);
        cut(...this.#ends(event.link));
        break;
      case 'up':
        this.#downByEvent.delete(event.link);
        heal(...this.#ends(event.link));
        break;
      case 'crash':
        if (hosts[event.node]!.running) hosts[event.node]!.crash();
        break;
      case 'restart': {
        const host = hosts[event.node]!;
        if (!host.running) host.start();
        this.flows.forEach((flow, i) => {
          if (this.#topology.flows[i]!.to === event.node) flow.listen();
        });
        host.endTurn();
        break;
      }
      case 'misbehave':
        if (hosts[event.node]!.running) this.#colluders.set(hosts[event.node]!, event.what);
        break;
      case 'partition':
        this.#undoPartition?.();
        this.#undoPartition = partition(
          this.#world,
          event.groups.map((group) => group.map((i) => hosts[i]!)),
        );
        break;
      case 'heal':
        this.#undoPartition?.();
        this.#undoPartition = null;
        for (const index of this.#downByEvent) cut(...this.#ends(index));
        break;
    }
    this.#events.push({ atMs: event.at / MILLISECOND, what: this.#describe(event) });
  }

  /** Who is in the middle of the flow's path now. */
  #culprit({
    at,
    on,
    what,
  }: Extract<TopologyEvent, { kind: 'misbehave-on' }>): Extract<
    TopologyEvent,
    { kind: 'misbehave' }
  > | null {
    const { hosts } = this.#world;
    const { from, to } = this.#topology.flows[on]!;
    const path =
      [...(hosts[from]!.node.byzantine?.flows() ?? [])].find(
        ({ destination }) => destination === hosts[to]!.id,
      )?.main?.path.nodes ?? [];
    const middle = inTheMiddle(path);
    const node = middle === undefined ? -1 : hosts.findIndex(({ id }) => id === middle);
    return node < 0 ? null : { at, kind: 'misbehave', node, what };
  }

  #ends(link: number): [SimHost, SimHost] {
    const { a, b } = this.#topology.links[link]!;
    return [this.#world.hosts[a]!, this.#world.hosts[b]!];
  }

  #describe(event: Exclude<TopologyEvent, { kind: 'misbehave-on' }>): string {
    const { nodes } = this.#topology;
    if ('link' in event) {
      const [a, b] = this.#ends(event.link);
      return `${event.kind} ${a.name}-${b.name}`;
    }
    if (event.kind === 'misbehave') return `misbehave ${nodes[event.node]!.name} ${event.what}`;
    if ('node' in event) return `${event.kind} ${nodes[event.node]!.name}`;
    return event.kind;
  }

  /** Of all daemons that run at the end. */
  #convictions(): ReportEvent[] {
    const names = new Map(this.#world.hosts.map((host) => [host.id, host.name]));
    return this.#world.hosts
      .filter((host) => host.running && host.node.byzantine !== null)
      .flatMap((host) =>
        host.node.byzantine!.convictions.map(({ at, u, v, losses }) =>
          convictionEvent(
            (this.#world.now() - this.#startAt - (host.now() - at)) / MILLISECOND,
            host.name,
            names.get(u) ?? '?',
            names.get(v) ?? '?',
            losses,
          ),
        ),
      );
  }

  report(): Report {
    const { durationUs } = this.#topology;
    const links: ReportLink[] = this.#topology.links.map((_, i) => {
      const [a, b] = this.#ends(i);
      let datagrams = 0,
        bytes = 0,
        dropped = 0,
        retransmitted = 0;
      for (const index of [2 * i, 2 * i + 1]) {
        const wire = this.#world.wires[index]!;
        const before = this.#before[index]!;
        datagrams += wire.datagrams - before.datagrams;
        bytes += wire.ipBytes - before.ipBytes;
        dropped += wire.model.dropped - before.dropped;
        if (wire.from.running)
          retransmitted += wire.from.node.links.of(wire.to.id)?.retransmitted ?? 0;
      }
      return { a: a.name, b: b.name, datagrams, bytes, retransmitted, dropped };
    });
    return buildReport({
      topology: this.#topology,
      mode: 'virtual',
      links,
      events: withConvictions(this.#events, this.#convictions()),
      trace: this.#world.traceHash,
      convergence: this.convergence,
      flows: this.flows.map((flow, i) =>
        flow.meter.result(
          flow.sent,
          Math.min(this.#topology.flows[i]!.durationUs, durationUs),
          flow.refusals,
          this.#topology.flows[i]!.deadlineUs,
        ),
      ),
    });
  }
}

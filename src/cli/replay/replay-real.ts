/**
 * A topology in real time: real daemons over UDP, flows, timeline, report.
 *
 * Owns the order of things: start the fleet, wait for routes, run flows and events side by side,
 * wait for stragglers, count, clean up. Processes are replay-fleet.ts's, traffic is
 * replay-flows.ts's. Time zero of flows and events is when every flow's destination is reachable
 * and all links are up.
 */

import type { LinkRow } from 'spines-client';

import { MILLISECOND, SECOND, type Micros } from '../../core/base/time.ts';
import {
  buildReport,
  convictionEvent,
  withConvictions,
  type ReportEvent,
  type ReportLateness,
} from '../../lab/report/report.ts';
import {
  inTheMiddle,
  NOBODY_MISBEHAVES,
  type Topology,
  type TopologyEvent,
} from '../../lab/topology/topology.ts';
import { formatDuration } from '../../text/units.ts';
import { latenessBetween } from '../../host/lateness.ts';
import { ask } from '../client.ts';
import { EXIT_NO, Failure, usage } from '../terminal/failure.ts';
import type { Progress } from '../terminal/progress.ts';
import type { ReplayRun } from './replay-run.ts';
import { Flows, nowUs } from './replay-flows.ts';
import { BUSY_MS, busyText, Fleet } from './replay-fleet.ts';
import { LinkTally } from './replay-tally.ts';

/** Without a link or a route more, in a busy machine's time: what comes up slowly is waited for. */
const CONVERGE_MAX_MS = 60_000;
const CONVERGE_POLL_MS = 100;
/** Links may measure themselves a little before the flows start. */
const SETTLE_MS = 500;
const STRAGGLER_MS = 2_000;
const STRAGGLER_MAX_MS = 20_000;
const TALLY_MS = 1_000;
/** More processes than this are slow to start and share the processors badly. */
const NODES_EASY = 64;

/**
 * Runs `topology`. Throws Failure when daemons do not start, do not converge, or end; on SIGINT and
 * SIGTERM too.
 */
export async function runReal(topology: Topology, progress: Progress): Promise<ReplayRun> {
  refuseUnavailable(topology);
  if (topology.nodes.length > NODES_EASY)
    progress.say(
      `${topology.name}: ${topology.nodes.length} daemon processes; --virtual runs them in one`,
    );
  const interruption = new Interruption();
  let fleet: Fleet | null = null;
  let run: RealRun | null = null;
  try {
    progress.show(`${topology.name}: starting ${topology.nodes.length} daemons`);
    const starting = Fleet.start(topology);
    // An interruption while they start: wait for what was started, so that it can be ended.
    fleet = await Promise.race([
      starting,
      interruption.promise.catch(async (failure: Failure) => {
        await starting.then(
          (late) => late.close(),
          () => {},
        );
        throw failure;
      }),
    ]);
    run = new RealRun(topology, fleet, progress);
    return await Promise.race([run.run(), fleet.failed, interruption.promise]);
  } finally {
    // A run that lost the race goes on sending otherwise, on sockets that are about to close.
    run?.stop();
    progress.clear();
    await fleet?.close();
    interruption.end();
  }
}

/** What the client protocol cannot say to a running daemon is refused before anything starts. */
export function refuseUnavailable(topology: Topology): void {
  for (const event of topology.events) {
    if (event.kind !== 'set') continue;
    const { loss, queueBytes, reorderUs } = event.change;
    const what =
      loss !== undefined && loss.kind !== 'bernoulli'
        ? 'burst'
        : queueBytes !== undefined
          ? 'queue'
          : reorderUs !== undefined
            ? 'reorderDelay'
            : null;
    if (what !== null)
      throw usage(
        `the event at ${formatDuration(event.at)} sets ${what}, which a running daemon cannot ` +
          'change yet; use --virtual, or set it on the link from the start',
      );
  }
}

class RealRun {
  readonly #topology: Topology;
  readonly #fleet: Fleet;
  readonly #progress: Progress;
  readonly #tally: LinkTally;
  readonly #events: ReportEvent[] = [];
  /** Links that a `down` event, or the partition in force, keeps down. */
  readonly #down = new Set<number>();
  #cut: readonly number[] = [];
  /** What was late before flows began: daemons are busy while they start. */
  readonly #lateBefore = new Map<number, readonly number[]>();
  #flows: Flows | null = null;
  #timers: NodeJS.Timeout[] = [];
  #stopped = false;

  constructor(topology: Topology, fleet: Fleet, progress: Progress) {
    this.#topology = topology;
    this.#fleet = fleet;
    this.#progress = progress;
    this.#tally = new LinkTally(topology);
    topology.links.forEach(({ forward, backward }, link) => {
      if (!forward.up && !backward.up) this.#down.add(link);
    });
  }

  async run(): Promise<ReplayRun> {
    const topology = this.#topology;
    await this.#converge();
    const flows = await Flows.open(
      topology,
      (node) => this.#client(node),
      (node) => this.#fleet.quad(node),
    );
    const timers = this.#timers;
    this.#flows = flows;
    let timelineFailed: (error: unknown) => void = () => {};
    const timelineBroken = new Promise<never>((_, reject) => {
      timelineFailed = reject;
    });
    timelineBroken.catch(() => {});
    try {
      await this.#count('baseline');
      await Promise.all(
        topology.nodes.map(async (_, node) => {
          this.#lateBefore.set(node, await this.#lateCounts(node));
        }),
      );
      if (this.#stopped) throw new Failure(EXIT_NO, 'EINTR', 'stopped; no report was written');
      const startUs = nowUs() + 20 * MILLISECOND;
      const endMs = (startUs + topology.durationUs) / MILLISECOND;
      for (const event of topology.events) {
        if (event.at > topology.durationUs) continue;
        timers.push(
          setTimeout(
            () => {
              this.#apply(event, (nowUs() - startUs) / MILLISECOND).catch(timelineFailed);
            },
            (startUs + event.at - nowUs()) / MILLISECOND,
          ),
        );
      }
      timers.push(setInterval(() => this.#show(flows, startUs), 1_000));
      timers.push(setInterval(() => void this.#count('running').catch(() => {}), TALLY_MS));
      const sent = flows.run(startUs);
      await Promise.race([Promise.all([sent, until(endMs)]), timelineBroken]);
      await Promise.race([this.#stragglers(flows), timelineBroken]);
      await this.#count('running');
      const events = withConvictions(this.#events, await this.#convictions(startUs));
      const lateness = await this.#lateness(flows);
      const report = buildReport({
        topology,
        mode: 'real',
        flows: flows.results(),
        links: this.#tally.report(),
        events,
        lateness,
      });
      return {
        report,
        delays: flows.meters.map(({ name, meter }) => ({ name, delays: meter.delays })),
      };
    } finally {
      this.stop();
    }
  }

  /** Ends traffic, timeline and progress; what `run` still waits for comes to nothing. */
  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#flows?.close();
  }

  /* ---------------------------------------------------------------- before */

  async #converge(): Promise<void> {
    const { nodes, flows } = this.#topology;
    let deadline = Infinity,
      least = Infinity;
    for (;;) {
      const missing = await this.#missing();
      if (missing.flow === null && missing.link === null) break;
      if (missing.count < least) {
        least = missing.count;
        deadline = performance.now() + CONVERGE_MAX_MS + 100 * nodes.length;
      }
      if (performance.now() >= deadline) {
        if (missing.flow === null) break;
        const { from, to } = flows[missing.flow]!;
        throw new Failure(
          EXIT_NO,
          'ENOTCONVERGED',
          `${nodes[from]!.name} found no route to ${nodes[to]!.name}; check that the topology's ` +
            `links connect them and are up${busyText()}`,
        );
      }
      this.#progress.show(
        `${this.#topology.name}: waiting for ` +
          (missing.flow === null
            ? `the link ${missing.link}`
            : `a route to ${nodes[flows[missing.flow]!.to]!.name}`),
      );
      await sleep(CONVERGE_POLL_MS);
    }
    await sleep(SETTLE_MS);
  }

  /** The first flow without a route, and the first link that should be up and is not. */
  async #missing(): Promise<{ flow: number | null; link: string | null; count: number }> {
    const { nodes, flows, links } = this.#topology;
    const rows = await Promise.all(nodes.map((_, node) => this.#linksOf(node)));
    const up = new Set<string>();
    rows.forEach((list, node) => {
      for (const row of list) if (row.state === 'up') up.add(`${node} ${this.#fleet.nodeAt(row)}`);
    });
    const downLinks = links.filter(
      ({ a, b, forward, backward }) =>
        forward.up && backward.up && !(up.has(`${a} ${b}`) && up.has(`${b} ${a}`)),
    );
    const downLink = downLinks[0];
    let flow: number | null = null,
      count = downLinks.length;
    const sources = [...new Set(flows.map(({ from }) => from))];
    const routes = new Map(
      await Promise.all(
        sources.map(
          async (node) => [node, await ask(this.#client(node), 'routes', {}, BUSY_MS)] as const,
        ),
      ),
    );
    for (const [index, { from, to }] of flows.entries()) {
      const route = routes.get(from)!.routes.find((row) => row.node === this.#fleet.quad(to));
      if (route?.reachable === true) continue;
      flow ??= index;
      count += 1;
    }
    return {
      flow,
      count,
      link: downLink === undefined ? null : `${nodes[downLink.a]!.name}-${nodes[downLink.b]!.name}`,
    };
  }

  #client(node: number) {
    const client = this.#fleet.client(node);
    if (client === null)
      throw new Failure(
        EXIT_NO,
        'EDAEMON',
        `the daemon of ${this.#topology.nodes[node]!.name} went away; try again`,
      );
    return client;
  }

  /** Of a daemon's timers, since its start; none: it is away. */
  async #lateCounts(node: number): Promise<readonly number[]> {
    const client = this.#fleet.client(node);
    return client === null
      ? []
      : ((await ask(client, 'status', {}, BUSY_MS)).host?.timersLateCounts ?? []);
  }

  /**
   * How late daemons and senders were while flows ran: a daemon that crashed counts from its last
   * start.
   */
  async #lateness(flows: Flows): Promise<ReportLateness> {
    const { nodes } = this.#topology;
    const late = await Promise.all(
      nodes.map(async ({ name }, node) => {
        const after = await this.#lateCounts(node).catch(() => []);
        const before = this.#lateBefore.get(node) ?? [];
        const again = after.some((count, i) => count < (before[i] ?? 0));
        return { name, ...latenessBetween(again ? [] : before, after) };
      }),
    );
    const latest = late.reduce((worst, one) => (one.max > worst.max ? one : worst));
    const { p99, max } = flows.lateness;
    return {
      daemon: latest.name,
      daemonP99Ms: Math.max(...late.map((one) => one.p99)),
      daemonMaxMs: latest.max,
      senderP99Ms: p99,
      senderMaxMs: max,
    };
  }

  async #linksOf(node: number): Promise<readonly LinkRow[]> {
    const client = this.#fleet.client(node);
    return client === null ? [] : (await ask(client, 'links', {}, BUSY_MS)).links;
  }

  /* ---------------------------------------------------------------- during */

  async #apply(planned: TopologyEvent, atMs: number): Promise<void> {
    const event = planned.kind === 'misbehave-on' ? await this.#culprit(planned) : planned;
    if (event === null) {
      this.#events.push({ atMs: planned.at / MILLISECOND, what: NOBODY_MISBEHAVES });
      return;
    }
    const record: ReportEvent = {
      atMs: event.at / MILLISECOND,
      what: this.#describe(event),
      lateMs: Math.round(Math.max(0, atMs - event.at / MILLISECOND) * 10) / 10,
    };
    this.#events.push(record);
    switch (event.kind) {
      case 'set': {
        const directions =
          event.direction === 'both'
            ? (['forward', 'backward'] as const)
            : ([event.direction] as const);
        await Promise.all(
          directions.map((direction) => this.#fleet.change(event.link, direction, event.change)),
        );
        return;
      }
      case 'down':
        this.#down.add(event.link);
        return this.#setUp([event.link]);
      case 'up':
        this.#down.delete(event.link);
        return this.#setUp([event.link]);
      case 'partition': {
        const before = this.#cut;
        this.#cut = event.cut;
        return this.#setUp([...new Set([...before, ...event.cut])]);
      }
      case 'heal': {
        const before = this.#cut;
        this.#cut = [];
        return this.#setUp(before);
      }
      case 'misbehave': {
        const client = this.#fleet.client(event.node);
        if (client !== null)
          await client.request('misbehave', { what: event.what }, { timeoutMs: BUSY_MS });
        return;
      }
      case 'crash':
        this.#tally.onCrash(event.node);
        return this.#fleet.crash(event.node);
      case 'restart':
        await this.#fleet.restart(event.node);
        this.#tally.onRestart(event.node);
        return;
    }
  }

  /** Who is in the middle of the flow's path now. */
  async #culprit({
    at,
    on,
    what,
  }: Extract<TopologyEvent, { kind: 'misbehave-on' }>): Promise<Extract<
    TopologyEvent,
    { kind: 'misbehave' }
  > | null> {
    const { flows, nodes } = this.#topology;
    const { from, to } = flows[on]!;
    const client = this.#fleet.client(from);
    if (client === null) return null;
    const path =
      (await ask(client, 'byzantineRoutes', {}, BUSY_MS)).flows.find(
        (row) => row.node === this.#fleet.quad(to),
      )?.main?.nodes ?? [];
    const middle = inTheMiddle(path);
    const node =
      middle === undefined ? -1 : nodes.findIndex((_, i) => this.#fleet.quad(i) === middle.node);
    return node < 0 ? null : { at, kind: 'misbehave', node, what };
  }

  /** Of the daemons from which flows go by byzantine routing. */
  async #convictions(startUs: Micros): Promise<ReportEvent[]> {
    const { nodes, flows } = this.#topology;
    const sources = [
      ...new Set(flows.filter(({ routing }) => routing === 'byzantine').map(({ from }) => from)),
    ];
    const events = await Promise.all(
      sources.map(async (source) => {
        const client = this.#fleet.client(source);
        if (client === null) return [];
        const { convictions } = await ask(client, 'byzantineRoutes', {}, BUSY_MS);
        const nowMs = (nowUs() - startUs) / MILLISECOND;
        return convictions.map(({ agoMs, u, v, losses }) =>
          convictionEvent(
            nowMs - agoMs,
            nodes[source]!.name,
            u.name ?? u.node,
            v.name ?? v.node,
            losses,
          ),
        );
      }),
    );
    return events.flat();
  }

  /** Brings links up or down as events and partition want them now. */
  async #setUp(links: readonly number[]): Promise<void> {
    await Promise.all(
      links.flatMap((link) => {
        const up = !this.#down.has(link) && !this.#cut.includes(link);
        return [
          this.#fleet.change(link, 'forward', { up }),
          this.#fleet.change(link, 'backward', { up }),
        ];
      }),
    );
  }

  /** In the simulator's words, so that reports of both modes can be compared. */
  #describe(event: Exclude<TopologyEvent, { kind: 'misbehave-on' }>): string {
    const { nodes, links } = this.#topology;
    if ('link' in event)
      return (
        `${event.kind} ` +
        `${nodes[links[event.link]!.a]!.name}-${nodes[links[event.link]!.b]!.name}`
      );
    if (event.kind === 'misbehave') return `misbehave ${nodes[event.node]!.name} ${event.what}`;
    return 'node' in event ? `${event.kind} ${nodes[event.node]!.name}` : event.kind;
  }

  #show(flows: Flows, startUs: Micros): void {
    const { name, durationUs } = this.#topology;
    const seconds = Math.min(
      Math.round((nowUs() - startUs) / SECOND),
      Math.round(durationUs / SECOND),
    );
    this.#progress.show(
      `${name}: ${seconds} s of ${formatDuration(durationUs)}, ${flows.sent} sent, ` +
        `${flows.delivered} delivered`,
    );
  }

  async #count(when: 'baseline' | 'running'): Promise<void> {
    await Promise.all(
      this.#topology.nodes.map(async (_, node) => {
        const rows = await this.#linksOf(node);
        this.#tally.update(node, rows, (row) => this.#fleet.nodeAt(row), when === 'baseline');
      }),
    );
  }

  /**
   * Waits for what is still under way: as long as the longest way may take, at least 2 s, less when
   * all has arrived.
   */
  async #stragglers(flows: Flows): Promise<void> {
    const { links, nodes } = this.#topology;
    const slowest = links.reduce(
      (most, { forward, backward }) =>
        Math.max(
          most,
          forward.latencyUs + forward.jitterUs,
          backward.latencyUs + backward.jitterUs,
        ),
      0,
    );
    const deadline =
      performance.now() +
      Math.min(
        STRAGGLER_MAX_MS,
        Math.max(STRAGGLER_MS, (slowest / MILLISECOND) * (nodes.length - 1) + 500),
      );
    while (performance.now() < deadline && flows.delivered < flows.sent) await sleep(20);
  }
}

/** SIGINT and SIGTERM as a rejection, so that everything is cleaned up on the way out. */
class Interruption {
  readonly promise: Promise<never>;
  #onSignal: (signal: NodeJS.Signals) => void = () => {};

  constructor() {
    this.promise = new Promise<never>((_, reject) => {
      this.#onSignal = (signal) =>
        reject(
          new Failure(
            signal === 'SIGINT' ? 130 : 143,
            'EINTR',
            'interrupted; no report was written',
          ),
        );
    });
    this.promise.catch(() => {});
    process.on('SIGINT', this.#onSignal);
    process.on('SIGTERM', this.#onSignal);
  }

  end(): void {
    process.off('SIGINT', this.#onSignal);
    process.off('SIGTERM', this.#onSignal);
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** `atMs` on performance.now's clock. */
async function until(atMs: number): Promise<void> {
  for (let left = atMs - performance.now(); left > 0; left = atMs - performance.now())
    await sleep(Math.min(left, 60_000));
}

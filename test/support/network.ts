/**
 * Networks for stories: builders of small simulated worlds, and the invariants that every story
 * must leave behind.
 *
 * A Network owns one World, its applications (Inbox, SimFlow) and a record of link events.
 * `useNetworks()` in a test file checks every network made by a test when the test is over. Knows
 * only what a daemon shows to its host; never reaches into private state.
 */

import { afterEach, expect } from 'vitest';

import { QUEUE_FACTOR } from '../../src/core/link/send-queue.ts';
import type { Port } from '../../src/core/base/ids.ts';
import type { NodeId } from '../../src/core/base/ids.ts';
import { nullLog, type Log, type LogFields } from '../../src/core/base/log.ts';
import type { Rng } from '../../src/core/base/rng.ts';
import { MILLISECOND, SECOND, type Micros } from '../../src/core/base/time.ts';
import {
  changeDirection,
  defaultDirection,
  type DirectionChange,
  type DirectionSettings,
} from '../../src/core/emulation/link-settings.ts';
import type { Link } from '../../src/core/link/link.ts';
import type { Metric, NodeConfig } from '../../src/core/node/config.ts';
import type {
  DatagramOptions,
  DatagramOwner,
  DatagramSession,
} from '../../src/core/session/sessions.ts';
import { RouteChecker, type RouteFault } from '../../src/lab/sim/check-routes.ts';
import { SimFlow, type FlowSettings } from '../../src/lab/sim/flow.ts';
import { World, type SimHost, type WorldOptions } from '../../src/lab/sim/world.ts';
import type { DropReason } from '../../src/core/wire/drop.ts';

/** One direction of a wire: a perfect one with `change`. */
export function wire(change: DirectionChange = {}): DirectionSettings {
  return changeDirection(defaultDirection(), change);
}

export function lossy(rate: number, latencyUs: Micros = 5 * MILLISECOND): DirectionSettings {
  return wire({ latencyUs, loss: { kind: 'bernoulli', rate } });
}

/** A program on a host: a bound datagram session that remembers all that arrives. */
export class Inbox implements DatagramOwner {
  readonly host: SimHost;
  readonly session: DatagramSession;
  readonly messages: {
    source: NodeId;
    port: Port;
    bytes: Uint8Array;
    at: Micros;
    proved: boolean;
    /** That it was sent to; 0: to this node. */
    group: number;
  }[] = [];

  constructor(host: SimHost, port: Port, options: DatagramOptions = {}) {
    this.host = host;
    this.session = host.node.sessions.open(this, options);
    host.node.sessions.bind(this.session, port);
  }

  onMessage(
    _session: DatagramSession,
    source: NodeId,
    port: Port,
    bytes: Uint8Array,
    start: number,
    end: number,
    proved: boolean,
    group = 0,
  ): boolean {
    this.messages.push({
      source,
      port,
      bytes: bytes.slice(start, end),
      at: this.host.world.now(),
      proved,
      group,
    });
    return true;
  }

  onWritable(): void {}

  send(to: SimHost, port: Port, bytes: Uint8Array): DropReason {
    return this.sendTo(to.id, port, bytes);
  }

  /** To a node or a group. */
  sendTo(destination: NodeId, port: Port, bytes: Uint8Array): DropReason {
    const { sessions } = this.host.node;
    const reason = sessions.send(this.session, destination, port, bytes, 0, bytes.length);
    this.host.endTurn();
    return reason;
  }

  join(group: number, source: NodeId | null = null): this {
    this.host.node.sessions.memberships.join(this.session, group, source);
    this.host.endTurn();
    return this;
  }

  leave(group: number, source: NodeId | null = null): void {
    this.host.node.sessions.memberships.leave(this.session, group, source);
    this.host.endTurn();
  }
}

export interface NetworkOptions {
  readonly seed?: number;
  /** Default: sealed. */
  readonly security?: 'sealed' | 'none';
  /** Default: cheap ones. */
  readonly primitives?: NonNullable<WorldOptions['primitives']>;
  readonly metric?: Metric;
  readonly config?: Partial<NodeConfig>;
  readonly onArrival?: NonNullable<WorldOptions['onArrival']>;
  /** False: datagrams damaged on the wire reach the daemon. */
  readonly checksums?: boolean;
  /**
   * False for stories whose wires corrupt, or that end with routes that can't be right: routes are
   * not checked at the end.
   */
  readonly routes?: boolean;
  /**
   * Wires that corrupt and duplicate at once may deliver twice: what changed number cannot be told
   * from news.
   */
  readonly duplicates?: boolean;
}

/** First octets of all simulated node ids. */
const ID_BASE: NodeId = 0x0a00_0000;
const FLOW_DEFAULT: FlowSettings = {
  packetsPerSecond: 100,
  sizeBytes: 200,
  startUs: 0,
  durationUs: 3600 * SECOND,
  count: null,
};

export class Network {
  readonly world: World;
  readonly metric: Metric;
  readonly flows: SimFlow[] = [];
  readonly options: NetworkOptions;
  /** Every 'link up' and 'link down' that a daemon told its log. */
  linkUps = 0;
  linkDowns = 0;
  readonly #config: Partial<NodeConfig>;

  constructor(options: NetworkOptions = {}) {
    this.options = options;
    this.metric = options.metric ?? 'expected-latency';
    this.#config = { metric: this.metric, ...options.config };
    const said = (_fields: LogFields, message: string): void => {
      if (message === 'link up') this.linkUps += 1;
      else if (message === 'link down') this.linkDowns += 1;
    };
    const log: Log = { ...nullLog, info: said, warn: said };
    this.world = new World({
      seed: options.seed ?? 1,
      log,
      checksums: options.checksums ?? true,
      security: options.security ?? 'sealed',
      ...(options.primitives === undefined ? {} : { primitives: options.primitives }),
      ...(options.onArrival === undefined ? {} : { onArrival: options.onArrival }),
    });
    open.push(this);
  }

  get hosts(): readonly SimHost[] {
    return this.world.hosts;
  }

  get now(): Micros {
    return this.world.now();
  }

  host(index: number): SimHost {
    return this.world.hosts[index]!;
  }

  add(name = `n${this.hosts.length}`, config: Partial<NodeConfig> = {}, driftPpm = 0): SimHost {
    return this.world.addHost(
      ID_BASE + this.hosts.length + 1,
      name,
      { ...this.#config, ...config },
      driftPpm,
    );
  }

  connect(
    a: SimHost,
    b: SimHost,
    forward: DirectionSettings = wire({ latencyUs: 5 * MILLISECOND }),
    backward = forward,
  ): void {
    this.world.connect(a, b, forward, backward);
  }

  startAll(): this {
    for (const host of this.hosts) if (!host.running) host.start();
    return this;
  }

  /** Starts all and runs until routes are right; returns how long that took. */
  settle(patienceUs: Micros = 10 * SECOND): Micros {
    this.startAll();
    const took = this.converged(patienceUs);
    expect(
      took,
      `routes get right within ${patienceUs / SECOND} s: ${JSON.stringify(this.routeFaults())}`,
    ).not.toBeNull();
    return took!;
  }

  routeFaults(): RouteFault[] {
    return new RouteChecker(this.world, this.metric).faults();
  }

  /**
   * Time until all routes are right, null when they are not within `patienceUs`. Resolution 5 ms.
   */
  converged(patienceUs: Micros): Micros | null {
    const checker = new RouteChecker(this.world, this.metric);
    return this.until(() => checker.faults().length === 0, patienceUs, 5 * MILLISECOND);
  }

  /** Runs until `condition`; returns how long that took, null when it did not come true. */
  until(condition: () => boolean, patienceUs: Micros, stepUs: Micros = MILLISECOND): Micros | null {
    const started = this.now;
    while (!condition()) {
      if (this.now - started >= patienceUs) return null;
      this.world.runFor(stepUs);
    }
    return this.now - started;
  }

  run(time: Micros): void {
    this.world.runFor(time);
  }

  flow(from: SimHost, to: SimHost, settings: Partial<FlowSettings> = {}): SimFlow {
    const flow = new SimFlow(
      this.world,
      this.flows.length,
      from,
      to,
      { ...FLOW_DEFAULT, ...settings },
      this.now,
    );
    this.flows.push(flow);
    return flow;
  }

  /** The flows into `host` listen again after its daemon restarted. */
  restart(host: SimHost, flows: readonly SimFlow[] = []): void {
    host.start();
    for (const flow of flows) flow.listen();
    host.endTurn();
  }

  /** What must hold at any time. */
  checkBounds(): void {
    for (const host of this.hosts) {
      if (!host.running) continue;
      const { node, name } = host;
      const { limits } = node.config;
      expect(node.pool.inUse, `${name}: packets kept`).toBeLessThanOrEqual(limits.packetsKept);
      expect(node.links.size, `${name}: links`).toBeLessThanOrEqual(limits.links);
      expect(node.router.database.size, `${name}: nodes known`).toBeLessThanOrEqual(limits.nodes);
      expect(node.sessions.reassembly.bytes, `${name}: reassembly bytes`).toBeLessThanOrEqual(
        limits.reassemblyBytes,
      );
      // What local programs add before they hear that they must wait may go beyond the limit that
      // transit has.
      for (const link of node.links.all())
        expect(link.queueBytes, `${name}: link queue`).toBeLessThanOrEqual(
          QUEUE_FACTOR * limits.linkQueueBytes,
        );
    }
    for (const flow of this.flows) {
      expect(flow.foreign, 'messages delivered to a flow that were not its own').toBe(0);
      if (this.options.duplicates !== true)
        expect(flow.meter.duplicates, 'messages delivered twice').toBe(0);
    }
  }

  /** What must hold once the flows are silent and what is incomplete has timed out. */
  checkQuiet(): void {
    this.run(7 * SECOND);
    this.checkBounds();
    for (const host of this.hosts) {
      if (!host.running) continue;
      expect(host.node.pool.inUse, `${host.name}: packets kept after quiet`).toBe(0);
      expect(
        host.node.sessions.reassembly.bytes,
        `${host.name}: reassembly bytes after quiet`,
      ).toBe(0);
      expect(host.node.echo.outstanding, `${host.name}: probes outstanding after quiet`).toBe(0);
    }
    if (this.options.routes !== false) {
      expect(
        this.converged(3 * SECOND),
        `routes are right after quiet: ${JSON.stringify(this.routeFaults())}`,
      ).not.toBeNull();
    }
  }
}

const open: Network[] = [];

/** Call once in a test file: every network of a test is checked when the test has passed so far. */
export function useNetworks(): void {
  afterEach(({ task }) => {
    const mine = open.splice(0);
    if (task.result?.state === 'fail') return;
    for (const network of mine) network.checkQuiet();
  });
}

/** Checks a network before the test ends and lets go of it: for tests over many seeds. */
export function finish(network: Network): void {
  const at = open.indexOf(network);
  if (at >= 0) open.splice(at, 1);
  network.checkQuiet();
}

/* ------------------------------------------------------------------ shapes */

export interface ShapeOptions extends NetworkOptions {
  /** Settings of every wire; `backward` defaults to `forward`. */
  readonly forward?: DirectionSettings;
  readonly backward?: DirectionSettings;
}

function joined(network: Network, a: number, b: number, options: ShapeOptions): void {
  network.connect(
    network.host(a),
    network.host(b),
    options.forward,
    options.backward ?? options.forward,
  );
}

export function hosts(count: number, options: NetworkOptions = {}): Network {
  const network = new Network(options);
  for (let i = 0; i < count; i += 1) network.add();
  return network;
}

export function chain(count: number, options: ShapeOptions = {}): Network {
  const network = hosts(count, options);
  for (let i = 1; i < count; i += 1) joined(network, i - 1, i, options);
  return network;
}

export function pair(options: ShapeOptions = {}): Network {
  return chain(2, options);
}

export function ring(count: number, options: ShapeOptions = {}): Network {
  const network = chain(count, options);
  joined(network, count - 1, 0, options);
  return network;
}

export function grid(width: number, height: number, options: ShapeOptions = {}): Network {
  const network = hosts(width * height, options);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const at = y * width + x;
      if (x + 1 < width) joined(network, at, at + 1, options);
      if (y + 1 < height) joined(network, at, at + width, options);
    }
  }
  return network;
}

/**
 * A connected random graph: a random tree and `extra` more wires, each with settings from
 * `settings`. Both directions are alike: daemons know half the round trip only, so routes by
 * latency are judged on symmetric wires.
 */
export function randomGraph(
  count: number,
  extra: number,
  rng: Rng,
  settings: (rng: Rng) => DirectionSettings,
  options: NetworkOptions = {},
  drift: (rng: Rng) => number = () => 0,
): Network {
  const network = new Network(options);
  for (let i = 0; i < count; i += 1) network.add(`n${i}`, {}, drift(rng));
  const connect = (a: number, b: number): void => {
    const [from, to] = rng.chance(0.5) ? [a, b] : [b, a];
    const both = settings(rng);
    network.connect(network.host(from), network.host(to), both, both);
  };
  for (let i = 1; i < count; i += 1) connect(i, rng.below(i));
  for (let left = extra, tries = 0; left > 0 && tries < 20 * extra; tries += 1) {
    const a = rng.below(count);
    const b = rng.below(count);
    if (a === b || network.host(a).wires.has(network.host(b).endpoint.key)) continue;
    connect(a, b);
    left -= 1;
  }
  return network;
}

/* ------------------------------------------------------------------ looking at daemons */

/** The link of `a` to `b`, up or not. */
export function linkOf(a: SimHost, b: SimHost): Link | undefined {
  return a.running ? a.node.links.of(b.id) : undefined;
}

export function linked(a: SimHost, b: SimHost): boolean {
  return linkOf(a, b)?.up === true && linkOf(b, a)?.up === true;
}

/**
 * All running daemons hold the same advertisements, byte for byte, those of nodes that left aside.
 */
export function databasesEqual(among: readonly SimHost[]): boolean {
  const texts = among
    .filter((host) => host.running)
    .map((host) =>
      host.node.router
        .sortedRecords()
        .filter((r) => !r.advertisement.leaving)
        .map((r) => Buffer.from(r.advertisement.bytes).toString('hex'))
        .join(' '),
    );
  return texts.every((text) => text === texts[0]);
}

/** Bytes that tell where they were cut or mixed up. */
export function pattern(length: number, salt = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i += 1) bytes[i] = (i * 31 + (i >>> 8) * 7 + salt * 131) & 0xff;
  return bytes;
}

/** The largest of some measurements in microseconds, as text in milliseconds. */
export function worst(values: readonly Micros[]): string {
  return `${(Math.max(...values) / MILLISECOND).toFixed(0)} ms`;
}

/**
 * What Byzantine-resilient routing costs: a packet at source, transit, probe and destination beside
 * the same packet by link-state routing, a discovery in networks of several sizes, and the
 * primitives by implementation.
 *
 * Packets: whole sealed daemons in a row in virtual time, real primitives; the CPU time of each
 * daemon's turns, links' sealing and acknowledgements included, asking for the time left out.
 * Discoveries: Discovery objects joined by a queue, the work of all nodes together.
 */

import { Rng } from '#src/core/base/rng.js';
import { MILLISECOND, SECOND, Timer, type Clock, type Micros } from '#src/core/base/time.js';
import { TimerQueue } from '#src/core/base/timer-queue.js';
import { Discovery } from '#src/core/byzantine/discovery.js';
import { secureOptions } from '#src/core/byzantine/options.js';
import { noblePrimitives } from '#src/core/crypto/noble-primitives.js';
import { draw } from '#src/core/crypto/keys.js';
import type { Identity } from '#src/core/crypto/membership.js';
import type { Primitives } from '#src/core/crypto/primitives.js';
import { changeDirection, defaultDirection } from '#src/core/emulation/link-settings.js';
import { availablePrimitives } from '#src/host/primitives/choose-primitives.js';
import { secureRandom } from '#src/host/primitives/secure-random.js';
import { SimAuthority } from '#src/lab/sim/sim-authority.js';
import { World, type SimHost } from '#src/lab/sim/world.js';
import { ROUTE_REQUEST } from '#src/core/wire/discovery.js';
import { DropCounters } from '#src/core/wire/drop.js';
import {
  DISSEMINATION_BYZANTINE,
  DISSEMINATION_LINK_STATE,
  SERVICE_RELIABLE,
} from '#src/core/wire/packet.js';
import { FIRST_ID } from './identities.js';
import { collect, cpuUs, median, printTable, ratios, spread } from './processes.js';
import type { Results } from './results.js';

const PAYLOAD_BYTES = 1_000;
const PORT = 7;
/** Daemons in a row: source, three between, destination. */
const HOSTS = 5;
/** Of a measurement; those that warm up; between two of them. */
const PACKETS = 1_000,
  UNTIMED = 200,
  GAP: Micros = 5 * MILLISECOND;
/**
 * Ten losses are a fault, as in secure mode, but what a search found is paid off in 100,000
 * packets: it lasts as long as we measure.
 */
const LASTING = { ...secureOptions, windowPackets: 100_000, tolerance: 0.000_1 };
const SIZES = [12, 50, 200] as const;
const DISCOVERIES = 4;

/**
 * Of one kind of packet: microseconds a delivered packet at each host, and IP bytes on each wire,
 * both directions together.
 */
interface PacketCosts {
  readonly us: number[][];
  readonly bytes: number[];
}
interface DiscoveryCosts {
  readonly nodes: number;
  /** Milliseconds of CPU time, all nodes together, one value a round. */
  readonly ms: number[];
  readonly signed: number;
  readonly verified: number;
  readonly messages: number;
  readonly kilobytes: number;
}
/** Microseconds, one value a round. */
type PrimitiveCosts = Record<
  'sign' | 'verify' | 'exchange' | 'sha256' | 'hmac' | 'small' | 'large',
  number[]
>;
export interface ByzantineFigures {
  readonly implementation: string;
  readonly linkState: PacketCosts;
  readonly quiet: PacketCosts;
  readonly probed: PacketCosts;
  readonly discoveries: readonly {
    readonly implementation: string;
    readonly costs: DiscoveryCosts[];
  }[];
  readonly primitives: readonly {
    readonly implementation: string;
    readonly costs: PrimitiveCosts;
  }[];
}

/** What asking for the time twice adds to what is between. */
const ASKING_US = ((): number => {
  const times = 20_000;
  let sum = 0;
  for (let i = 0; i < times; i += 1) {
    const began = cpuUs();
    sum += cpuUs() - began;
  }
  return sum / times;
})();

/* ------------------------------------------------------------------ packets */

/** Daemons in a row; the time that each of them takes is added up. */
class Row {
  readonly #world: World;
  readonly #hosts: SimHost[];
  readonly #spent = new Array<number>(HOSTS).fill(0);
  #received = 0;

  constructor(primitives: Primitives) {
    this.#world = new World({ seed: 1, primitives });
    this.#hosts = Array.from({ length: HOSTS }, (_, i) =>
      this.#world.addHost(FIRST_ID + i, `bench-${i}`, {
        byzantine: LASTING,
        rekeyAfterUs: 3_600 * SECOND,
      }),
    );
    const direction = changeDirection(defaultDirection(), { latencyUs: MILLISECOND });
    for (let i = 1; i < HOSTS; i += 1)
      this.#world.connect(this.#hosts[i - 1]!, this.#hosts[i]!, direction, direction);
    for (const [i, host] of this.#hosts.entries()) {
      host.start();
      const { onDatagram } = host;
      host.onDatagram = (bytes, from) => this.#time(i, () => onDatagram.call(host, bytes, from));
    }
    this.#world.runFor(3 * SECOND);
    const { sessions } = this.#hosts.at(-1)!.node;
    sessions.bind(
      sessions.open({
        onMessage: () => {
          this.#received += 1;
          return true;
        },
        onWritable: () => {},
      }),
      PORT,
    );
  }

  #time(i: number, action: () => void): void {
    const began = cpuUs();
    action();
    this.#spent[i]! += cpuUs() - began - ASKING_US;
  }

  /** Drops ten packets, so that every node of the path is probed for as long as the bench needs. */
  search(): void {
    const first = this.#hosts[0]!.node.byzantine!;
    let left = 10;
    this.#hosts[2]!.node.byzantine!.misbehaviour = { onData: () => (left -= 1) >= 0 };
    const send = this.#sender(DISSEMINATION_BYZANTINE);
    for (let i = 0; i < 200; i += 1) {
      send();
      this.#world.runFor(100 * MILLISECOND);
      if (left < 0 && i > 100) break;
    }
    this.#hosts[2]!.node.byzantine!.misbehaviour = null;
    if ([...first.flows()][0]?.main?.monitor.probes.length !== HOSTS - 1)
      throw new Error('the bench has no search in virtual time');
  }

  #sender(dissemination: number): () => void {
    const [source, destination] = [this.#hosts[0]!, this.#hosts.at(-1)!];
    const { sessions } = source.node;
    const session = sessions.open(
      { onMessage: () => true, onWritable: () => {} },
      { service: SERVICE_RELIABLE, dissemination },
    );
    const payload = new Uint8Array(PAYLOAD_BYTES);
    return () => {
      sessions.send(session, destination.id, PORT, payload, 0, payload.length);
      source.endTurn();
    };
  }

  measure(dissemination: number, into: PacketCosts): void {
    const send = this.#sender(dissemination);
    const path = this.#hosts
      .slice(1)
      .map((host, i) => [
        this.#hosts[i]!.wires.get(host.endpoint.key)!,
        host.wires.get(this.#hosts[i]!.endpoint.key)!,
      ]);
    let before: number[] = [],
      sent: number[] = [];
    const bytesOf = (): number[] =>
      path.map((both) => both.reduce((sum, wire) => sum + wire.ipBytes, 0));
    // Hellos and the like, over as long a time: not the packets' cost.
    const idle = bytesOf();
    this.#world.runFor((PACKETS - UNTIMED) * GAP);
    const idled = bytesOf().map((bytes, i) => bytes - idle[i]!);
    const received = this.#received;
    collect();
    for (let i = 0; i < PACKETS; i += 1) {
      if (i === UNTIMED) [before, sent] = [[...this.#spent], bytesOf()];
      this.#time(0, send);
      this.#world.runFor(GAP);
    }
    const timed = PACKETS - UNTIMED;
    into.us.push(this.#spent.map((spent, i) => (spent - before[i]!) / timed));
    bytesOf().forEach((bytes, i) => {
      into.bytes[i] = (bytes - sent[i]! - idled[i]!) / timed;
    });
    this.#world.runFor(SECOND);
    if (this.#received - received !== PACKETS)
      throw new Error('the bench lost packets in virtual time');
  }
}

/* ------------------------------------------------------------------ discoveries */

/** Nodes that do nothing but discover; a message takes 1 to 10 ms over a link. */
class Discoverers implements Clock {
  readonly #timers = new TimerQueue();
  readonly #stations: Discovery[] = [];
  readonly #delays: Rng;
  readonly #nodes: number;
  #now: Micros = 1_000_000;
  #found = 0;
  messages = 0;
  bytes = 0;

  constructor(nodes: number, primitives: Primitives) {
    this.#nodes = nodes;
    const rng = new Rng(nodes);
    this.#delays = rng.fork('delays');
    const authority = new SimAuthority(primitives, secureRandom);
    const identities: Identity[] = Array.from({ length: nodes }, (_, i) =>
      authority.issue(FIRST_ID + i, `bench-${i}`),
    );
    const neighbours: number[][] = identities.map(() => []);
    const join = (a: number, b: number): void => {
      if (a === b || neighbours[a]!.includes(b)) return;
      neighbours[a]!.push(b);
      neighbours[b]!.push(a);
    };
    // Four links a node on the average.
    for (let i = 1; i < nodes; i += 1) join(i, rng.below(i));
    for (let i = 0; i < nodes; i += 1) join(i, rng.below(nodes));
    identities.forEach((identity, i) => {
      const key = draw(secureRandom, 32);
      this.#stations.push(
        new Discovery({
          self: FIRST_ID + i,
          clock: this,
          timers: this.#timers,
          primitives,
          signing: identity.signing,
          epoch: 1,
          exchangeKey: () => key,
          certificateOf: (node) => identities[node - FIRST_ID]?.certificate ?? null,
          neighbours: () => neighbours[i]!.map((other) => FIRST_ID + other),
          send: (to, bytes) => this.#carry(FIRST_ID + i, to, bytes),
          sequenceOf: () => null,
          mayLink: () => true,
          reachable: () => true,
          onPath: () => {
            this.#found += 1;
          },
          onSource: () => {},
          drops: new DropCounters(),
          nodesMost: Math.min(64, nodes),
          rng: rng.fork(String(i)),
          options: secureOptions,
        }),
      );
    });
  }

  now(): Micros {
    return this.#now;
  }

  get work(): { readonly verified: number; readonly signed: number } {
    const figures = this.#stations.map((station) => station.figures);
    const sum = (of: (figure: (typeof figures)[number]) => number): number =>
      figures.reduce((total, figure) => total + of(figure), 0);
    return {
      verified: sum((f) => f.verified + f.refused),
      signed: sum((f) => f.asked + f.answered + f.responsesForwarded),
    };
  }

  #carry(from: number, to: number, bytes: Uint8Array): void {
    this.messages += 1;
    this.bytes += bytes.length;
    const station = this.#stations[to - FIRST_ID]!;
    const timer = new Timer(() =>
      bytes[0] === ROUTE_REQUEST ? station.onRequest(bytes, from) : station.onResponse(bytes, from),
    );
    this.#timers.arm(timer, this.#now + MILLISECOND * (1 + this.#delays.below(10)));
  }

  /** One node looks for another, far from it by number. */
  discover(i: number): void {
    this.#found = 0;
    const source = (i * 7) % this.#nodes;
    this.#stations[source]!.discover(FIRST_ID + ((source + (this.#nodes >> 1)) % this.#nodes), []);
    const until = this.#now + 4 * SECOND;
    while (this.#timers.nextAt <= until) {
      this.#now = Math.max(this.#now, this.#timers.nextAt);
      this.#timers.runDue(this.#now, 1);
    }
    this.#now = until;
    if (this.#found === 0) throw new Error('the bench found no path');
  }
}

function measureDiscoveries(
  primitives: Primitives,
  rounds: number,
  sizes: readonly number[],
): DiscoveryCosts[] {
  return sizes.map((nodes) => {
    const lab = new Discoverers(nodes, primitives);
    lab.discover(0);
    const ms: number[] = [];
    const [before, messages, bytes] = [lab.work, lab.messages, lab.bytes];
    for (let round = 0; round < rounds; round += 1) {
      const began = cpuUs();
      for (let i = 0; i < DISCOVERIES; i += 1) lab.discover(1 + round * DISCOVERIES + i);
      ms.push((cpuUs() - began) / 1_000 / DISCOVERIES);
    }
    const count = rounds * DISCOVERIES;
    const after = lab.work;
    return {
      nodes,
      ms,
      signed: (after.signed - before.signed) / count,
      verified: (after.verified - before.verified) / count,
      messages: (lab.messages - messages) / count,
      kilobytes: (lab.bytes - bytes) / count / 1_000,
    };
  });
}

/* ------------------------------------------------------------------ primitives */

/** Calls `body` for `durationMs` of CPU time; microseconds each. */
function timed(durationMs: number, body: (i: number) => void): number {
  for (let i = 0; i < 8; i += 1) body(i);
  const began = cpuUs();
  for (let count = 8; ; count += 8) {
    for (let i = 0; i < 8; i += 1) body(count + i);
    const elapsed = cpuUs() - began;
    if (elapsed >= 1_000 * durationMs) return elapsed / count;
  }
}

function measurePrimitives(p: Primitives, rounds: number, durationMs: number): PrimitiveCosts {
  const { signing, exchange } = new SimAuthority(p, secureRandom).issue(FIRST_ID, 'bench');
  const message = new Uint8Array(200),
    small = new Uint8Array(64),
    large = new Uint8Array(PAYLOAD_BYTES),
    key = draw(secureRandom, 32),
    beside = new Uint8Array(38);
  const signature = p.sign(message, signing.secret.reveal(), signing.publicKey);
  const costs: PrimitiveCosts = {
    sign: [],
    verify: [],
    exchange: [],
    sha256: [],
    hmac: [],
    small: [],
    large: [],
  };
  const bodies: Record<keyof PrimitiveCosts, (i: number) => void> = {
    sign: () => {
      p.sign(message, signing.secret.reveal(), signing.publicKey);
    },
    verify: () => {
      if (!p.verify(message, signature, signing.publicKey))
        throw new Error('a signature of the bench is not good');
    },
    exchange: () => {
      p.x25519(exchange.secret.reveal(), exchange.publicKey);
    },
    sha256: () => {
      p.sha256(large);
    },
    hmac: () => {
      p.hmacSha256(key, small);
    },
    small: (i) => {
      p.encrypt(key, i, beside, small);
    },
    large: (i) => {
      p.encrypt(key, i, beside, large);
    },
  };
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, body] of Object.entries(bodies) as [
      keyof PrimitiveCosts,
      (i: number) => void,
    ][])
      costs[name].push(timed(durationMs / 20, body));
  }
  return costs;
}

/* ------------------------------------------------------------------ the section */

export function measureByzantine(rounds: number, durationMs: number): ByzantineFigures {
  const found = availablePrimitives().map(({ primitives }) => primitives);
  const fastest = found[0]!;
  const none = (): PacketCosts => ({ us: [], bytes: [] });
  const figures = { linkState: none(), quiet: none(), probed: none() };
  const [row, searched] = [new Row(fastest), new Row(fastest)];
  searched.search();
  for (let round = -1; round < rounds; round += 1) {
    const into = round < 0 ? { linkState: none(), quiet: none(), probed: none() } : figures;
    row.measure(DISSEMINATION_LINK_STATE, into.linkState);
    row.measure(DISSEMINATION_BYZANTINE, into.quiet);
    searched.measure(DISSEMINATION_BYZANTINE, into.probed);
  }
  return {
    ...figures,
    implementation: fastest.name,
    discoveries: found.map((primitives) => ({
      implementation: primitives.name,
      costs: measureDiscoveries(
        primitives,
        rounds,
        primitives === noblePrimitives ? SIZES.slice(0, 2) : SIZES,
      ),
    })),
    primitives: found.map((primitives) => ({
      implementation: primitives.name,
      costs: measurePrimitives(primitives, rounds, durationMs),
    })),
  };
}

const PLACES = ['source', 'transit 1', 'transit 2', 'transit 3', 'destination'] as const;

export function recordByzantine(
  { linkState, quiet, probed, discoveries, primitives }: ByzantineFigures,
  results: Results,
): void {
  for (const [name, costs] of [
    ['link-state', linkState],
    ['quiet', quiet],
    ['all probed', probed],
  ] as const) {
    PLACES.forEach((place, i) =>
      results.add(`byzantine/packet, ${name}/${place}`, 'us', ...costs.us.map((us) => us[i]!)),
    );
  }
  for (const { implementation, costs } of discoveries)
    for (const { nodes, ms } of costs)
      results.add(`byzantine/discovery, ${nodes} nodes/${implementation}`, 'ms', ...ms);
  for (const { implementation, costs } of primitives) {
    for (const [call, us] of Object.entries(costs) as [string, readonly number[]][])
      results.add(`byzantine/${implementation}/${call}`, 'us', ...us);
  }
}

export function printByzantine({
  implementation,
  linkState,
  quiet,
  probed,
  discoveries,
  primitives,
}: ByzantineFigures): void {
  const at = (costs: PacketCosts, place: number): number[] => costs.us.map((us) => us[place]!);
  const packets = [
    [
      `Byzantine-resilient routing, ${PAYLOAD_BYTES} B, reliable`,
      'link-state us',
      'quiet us',
      'spread',
      'ratio',
      'all probed us',
      'spread',
      'ratio',
    ],
  ];
  for (const [i, place] of PLACES.entries()) {
    packets.push([
      `${place}${i > 0 && i < HOSTS - 1 ? ', a probe when all are' : ''}`,
      median(at(linkState, i)).toFixed(1),
      ...[quiet, probed].flatMap((costs) => [
        median(at(costs, i)).toFixed(1),
        spread(at(costs, i), 1),
        median(ratios(at(costs, i), at(linkState, i))).toFixed(2),
      ]),
    ]);
  }
  console.log(
    `\nCPU time of a daemon's turns per delivered packet, links sealed by ${implementation}, ` +
      `acknowledgements included; a packet every ${GAP / MILLISECOND} ms, four links:`,
  );
  printTable(packets, 1);
  const bytes = [
    ['IP bytes per packet, both directions', 'link-state', 'quiet', 'ratio', 'all probed', 'ratio'],
  ];
  linkState.bytes.forEach((base, i) =>
    bytes.push([
      `link ${i + 1}`,
      base.toFixed(0),
      ...[quiet, probed].flatMap((costs) => [
        costs.bytes[i]!.toFixed(0),
        (costs.bytes[i]! / base).toFixed(3),
      ]),
    ]),
  );
  printTable(bytes, 1);

  console.log('\nOne discovery, all nodes together, four links a node:');
  const rows = [
    [
      'implementation',
      'nodes',
      'CPU ms',
      'spread',
      'a second and core',
      'us a node',
      'signed',
      'verified',
      'messages',
      'KB',
    ],
  ];
  for (const { implementation: name, costs } of discoveries) {
    for (const { nodes, ms, signed, verified, messages, kilobytes } of costs) {
      const each = median(ms);
      const counts = [1_000 / each, (1_000 * each) / nodes, signed, verified, messages].map(
        (value) => value.toFixed(0),
      );
      rows.push([
        name,
        String(nodes),
        each.toFixed(2),
        spread(ms),
        ...counts,
        kilobytes.toFixed(1),
      ]);
    }
  }
  printTable(rows, 1);

  console.log('\nPrimitives, CPU us each:');
  const table = [
    [
      'implementation',
      'Ed25519 sign',
      'verify',
      'X25519',
      `SHA-256 ${PAYLOAD_BYTES} B`,
      'HMAC 64 B',
      'AEAD 64 B',
      `AEAD ${PAYLOAD_BYTES} B`,
      'a verify in AEADs of 64 B',
    ],
  ];
  for (const { implementation: name, costs: c } of primitives) {
    const cells = [c.sign, c.verify, c.exchange, c.sha256, c.hmac, c.small, c.large].map((values) =>
      median(values).toFixed(2),
    );
    table.push([name, ...cells, median(ratios(c.verify, c.small)).toFixed(0)]);
  }
  printTable(table, 1);
}

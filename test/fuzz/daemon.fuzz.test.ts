/**
 * A daemon under hostile datagrams, in virtual time, while an honest flow crosses it.
 *
 * Two attackers. The first sends what cannot be valid (by a judgement of this file's own, not the
 * daemon's), from peers' addresses and from elsewhere: every one is counted once and the flow does
 * not notice. The second knows the receiver indices and sends numbers that are due, as only a link
 * that is not sealed allows: it may break what it likes, but bounds hold, nothing throws, and when
 * it stops the network comes back by itself.
 *
 * SPINES_FUZZ_COUNT: datagrams in all, 20,000 unless told. SPINES_FUZZ_SEED: another run.
 * SPINES_LONG=1 also watches the heap.
 */

import { describe, expect, test } from 'vitest';

import { QUEUE_FACTOR } from '../../src/core/link/send-queue.ts';
import {
  checksum,
  getU32,
  getU48,
  hex,
  putU16,
  putU32,
  putU48,
} from '../../src/core/base/bytes.ts';
import { makeEndpoint, type Endpoint } from '../../src/core/base/datagram.ts';
import { isNodeId } from '../../src/core/base/ids.ts';
import { Rng } from '../../src/core/base/rng.ts';
import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import { changeDirection, defaultDirection } from '../../src/core/emulation/link-settings.ts';
import { defaultLimits } from '../../src/core/node/config.ts';
import { SimFlow } from '../../src/lab/sim/flow.ts';
import { World, type SimHost } from '../../src/lab/sim/world.ts';
import { PACKET_NUMBER_MAX } from '../../src/core/wire/datagram-header.ts';
import { HANDSHAKE_BYTES, HANDSHAKE_CHECK_AT } from '../../src/core/wire/handshake.ts';
import {
  agreedVersion,
  isVersionRange,
  versionsAt,
  WIRE_VERSIONS,
} from '../../src/core/wire/versions.ts';
import {
  SERVICE_BEST_EFFORT,
  SERVICE_REALTIME,
  SERVICE_RELIABLE,
} from '../../src/core/wire/packet.ts';
import { heapBytes } from './heap.ts';
import { mend, mutate, randomBytes } from './mutate.ts';

const COUNT = Number(process.env['SPINES_FUZZ_COUNT'] ?? 20_000);
const SEED = Number(process.env['SPINES_FUZZ_SEED'] ?? 0);
const LONG = process.env['SPINES_LONG'] === '1';
const TIMEOUT = 60_000 + COUNT;

const INIT = 0x11,
  RESPONSE = 0x12,
  DATA = 0x14,
  FRAME_DATA = 0x08;
const limits = {
  ...defaultLimits,
  links: 16,
  nodes: 64,
  packetsKept: 1_000,
  linkQueueBytes: 65_536,
  reassemblyBytes: 256 * 1024,
};
const CAPTURED_MAX = 512;

/** Three daemons in a row, and everything that the middle one was sent. */
class Scene {
  readonly world: World;
  readonly hosts: readonly SimHost[];
  readonly victim: SimHost;
  /** Copies of what arrived at the victim, the latest CAPTURED_MAX, and the handshakes apart. */
  readonly captured: Uint8Array[] = [];
  readonly handshakes: Uint8Array[] = [];
  /** DATA datagrams that begin with anything but a data frame. */
  readonly controls: Uint8Array[] = [];
  /** Receiver indices that the victim told anybody. */
  readonly told = new Set<number>();
  /** Numbers that arrived at the victim, by receiver index. */
  readonly arrived = new Map<number, Set<number>>();
  readonly highest = new Map<number, number>();
  readonly flows: SimFlow[] = [];

  constructor(seed: number) {
    this.world = new World({
      seed,
      security: 'none',
      onArrival: (wire, bytes) => {
        if (wire.from === this.victim && bytes.length === HANDSHAKE_BYTES && bytes[0] !== DATA)
          this.told.add(getU32(bytes, 24));
        if (wire.to === this.victim) this.#capture(bytes.slice());
        return true;
      },
    });
    const config = {
      advertisementRefreshUs: 10 * SECOND,
      advertisementLifetimeUs: 20 * SECOND,
      limits,
    };
    this.hosts = ['a', 'b', 'c'].map((name, i) => this.world.addHost(0x0a000001 + i, name, config));
    this.victim = this.hosts[1]!;
    const direction = changeDirection(defaultDirection(), { latencyUs: 1 * MILLISECOND });
    this.world.connect(this.hosts[0]!, this.victim, direction, direction);
    this.world.connect(this.victim, this.hosts[2]!, direction, direction);
    for (const host of this.hosts) host.start();
    this.world.runFor(2 * SECOND);
    this.expectWhole();
  }

  #capture(bytes: Uint8Array): void {
    const list =
      bytes[0] !== DATA
        ? this.handshakes
        : bytes[12] === FRAME_DATA
          ? this.captured
          : this.controls;
    if (list.length < CAPTURED_MAX) list.push(bytes);
    else list[this.world.arrivals % CAPTURED_MAX] = bytes;
    if (bytes[0] === DATA) this.note(getU32(bytes, 2), getU48(bytes, 6));
  }

  note(index: number, number: number): void {
    let numbers = this.arrived.get(index);
    if (numbers === undefined) this.arrived.set(index, (numbers = new Set()));
    numbers.add(number);
    // Numbers beyond are those of size probes, a space of their own.
    if (number <= PACKET_NUMBER_MAX && number > (this.highest.get(index) ?? -1))
      this.highest.set(index, number);
  }

  /** A flow from end to end and one back, from now on. */
  flow(
    packetsPerSecond: number,
    sizeBytes: number,
    durationUs: number,
    service: number = SERVICE_BEST_EFFORT,
  ): void {
    const [a, , c] = this.hosts as [SimHost, SimHost, SimHost];
    const settings = {
      packetsPerSecond,
      sizeBytes,
      startUs: 0,
      durationUs,
      count: null,
      options: { service },
    };
    for (const [from, to] of [
      [a, c],
      [c, a],
    ] as const)
      this.flows.push(
        new SimFlow(this.world, this.flows.length, from, to, settings, this.world.now()),
      );
  }

  expectWhole(): void {
    for (const [i, host] of this.hosts.entries()) {
      const { links, router } = host.node;
      expect([
        host.name,
        links.size,
        [...links.all()].every((link) => link.up),
        router.database.size,
      ]).toEqual([host.name, i === 1 ? 2 : 1, true, 3]);
      for (const other of this.hosts)
        expect(router.reachable(other.id), `${host.name} reaches ${other.name}`).toBe(true);
    }
  }

  /** Every table within its bound: cheap enough to be asked often. */
  checkBounds(): void {
    for (const { node, name } of this.hosts) {
      const bounds: readonly (readonly [string, number, number])[] = [
        ['links', node.links.size, limits.links],
        ['nodes', node.router.database.size, limits.nodes],
        ['packets kept', node.pool.inUse, limits.packetsKept],
        ['reassembly', node.sessions.reassembly.bytes, limits.reassemblyBytes],
        ['probes', node.echo.outstanding, 0],
        ['routes', node.router.paths.ids.length, limits.nodes],
      ];
      for (const [what, now, bound] of bounds)
        if (now > bound) throw new Error(`${name}: ${what} ${now} of ${bound}`);
      for (const link of node.links.all())
        if (link.queueBytes > QUEUE_FACTOR * limits.linkQueueBytes)
          throw new Error(`${name}: link queue ${link.queueBytes}`);
    }
  }

  expectNothingHeld(): void {
    for (const { node } of this.hosts)
      expect([
        node.pool.inUse,
        node.sessions.reassembly.bytes,
        node.sessions.reassembly.messages,
        node.echo.outstanding,
      ]).toEqual([0, 0, 0, 0]);
  }

  /** Injects into the victim; returns by how much its drops grew. */
  inject(bytes: Uint8Array, from: Endpoint): number {
    const before = this.victim.node.drops.total;
    const text = hex(bytes);
    if (this.judge(bytes) === 'live') this.note(getU32(bytes, 2), getU48(bytes, 6));
    try {
      this.victim.onDatagram(bytes, from);
    } catch (error) {
      throw new Error(`threw ${String(error)} for ${text} from ${from.key}`, { cause: error });
    }
    return this.victim.node.drops.total - before;
  }

  /**
   * 'useless': no daemon may use it, whatever its state, as long as the victim's links are up.
   * 'handshake': an INIT that could be somebody's. 'live': a DATA datagram that could be the peer's
   * next.
   */
  judge(b: Uint8Array): 'useless' | 'handshake' | 'live' {
    if (b.length < 12 || b.length > 1452 || b[1] !== 0) return 'useless';
    if (b[0] === DATA) {
      const index = getU32(b, 2);
      if (!this.told.has(index)) return 'useless';
      return this.arrived.get(index)?.has(getU48(b, 6)) === true ? 'useless' : 'live';
    }
    if (b[0] !== INIT) return 'useless';
    if (
      b.length !== HANDSHAKE_BYTES ||
      getU32(b, HANDSHAKE_CHECK_AT) !== checksum(b, 0, HANDSHAKE_CHECK_AT)
    )
      return 'useless';
    const range = versionsAt(b, 12);
    if (
      !isVersionRange(range) ||
      agreedVersion(range, WIRE_VERSIONS) === 0 ||
      b[14] !== 0 ||
      b[15] !== 0
    )
      return 'useless';
    const node = getU32(b, 16),
      peer = getU32(b, 20);
    if (!isNodeId(node) || node === this.victim.id || (peer !== 0 && peer !== this.victim.id))
      return 'useless';
    return 'handshake';
  }
}

/** One of the captured datagrams, or none. */
function pick(rng: Rng, scene: Scene): Uint8Array {
  const what = rng.unit();
  const list =
    what < 0.15
      ? scene.handshakes
      : what < 0.6 || scene.captured.length === 0
        ? scene.controls
        : scene.captured;
  return list[rng.below(list.length)]!;
}

function endpoints(scene: Scene): Endpoint[] {
  return [
    ...scene.hosts.map((host) => host.endpoint),
    makeEndpoint('192.0.2.66', 8100),
    makeEndpoint('2001:db8::66', 9),
    makeEndpoint(scene.hosts[0]!.endpoint.address, 4),
  ];
}

describe('fuzz: a daemon under hostile datagrams', () => {
  test(
    'what cannot be valid is counted once each, and an honest flow does not notice',
    () => {
      const rounds = Math.ceil(COUNT / 2),
        perMillisecond = 4;
      const durationUs = Math.ceil(rounds / perMillisecond) * MILLISECOND;
      const run = (hostile: boolean): { scene: Scene; useless: number; handshakes: number } => {
        const scene = new Scene(11 + SEED),
          rng = new Rng(77 + SEED),
          from = endpoints(scene);
        let useless = 0,
          handshakes = 0,
          heap = 0;
        scene.flow(200, 300, durationUs);
        scene.flow(20, 5_000, durationUs);
        scene.flow(100, 300, durationUs, SERVICE_RELIABLE);
        scene.flow(100, 300, durationUs, SERVICE_REALTIME);
        for (let sent = 0; sent < rounds; ) {
          scene.world.runFor(MILLISECOND);
          for (let i = 0; i < perMillisecond && hostile; i += 1) {
            const what = rng.unit();
            let bytes =
              what < 0.1
                ? randomBytes(rng, rng.below(rng.chance(0.1) ? 3_000 : 100))
                : what < 0.2
                  ? pick(rng, scene).slice()
                  : mutate(rng, pick(rng, scene), pick(rng, scene));
            if (what < 0.05 && bytes.length > 1)
              bytes = Uint8Array.of([INIT, RESPONSE, DATA][rng.below(3)]!, 0, ...bytes.subarray(2));
            if (rng.chance(0.5)) mend(bytes);
            let kind = scene.judge(bytes);
            if (kind === 'live') {
              // An index that nobody gave away makes it nobody's.
              putU32(bytes, 2, rng.u32());
              kind = scene.judge(bytes);
              if (kind === 'live') continue;
            }
            const text = hex(bytes.subarray(0, 64));
            const dropped = scene.inject(bytes, from[rng.below(from.length)]!);
            if (kind === 'useless' ? dropped !== 1 : dropped !== 0 && dropped !== 1)
              throw new Error(`${dropped} drops for ${kind} ${text}`);
            if (kind === 'useless') useless += 1;
            else handshakes += 1;
          }
          sent += perMillisecond;
          if (sent % 400 === 0) scene.checkBounds();
          if (hostile && LONG && heap === 0 && sent > rounds / 5) heap = heapBytes();
        }
        scene.world.runFor(1 * SECOND);
        if (heap > 0) expect(heapBytes() - heap).toBeLessThan(24 * 1024 * 1024);
        return { scene, useless, handshakes };
      };

      const quiet = run(false),
        attacked = run(true);
      expect(attacked.useless).toBeGreaterThan(rounds * 0.8);
      expect(attacked.handshakes).toBeGreaterThan(rounds * 0.005);
      for (const [i, flow] of attacked.scene.flows.entries()) {
        const twin = quiet.scene.flows[i]!;
        expect([flow.sent, flow.refused, flow.foreign, flow.meter.duplicates]).toEqual([
          twin.sent,
          0,
          0,
          0,
        ]);
        expect(twin.meter.delivered).toBe(twin.sent);
        expect(flow.meter.delivered).toBe(flow.sent);
      }
      // All of it was dropped for reasons of datagrams and handshakes: nothing reached the frames.
      const { drops } = attacked.scene.victim.node;
      for (const reason of Object.keys(drops.snapshot()))
        expect(reason).toMatch(
          new RegExp(
            String.raw`^(datagram|reserved|receiver|packet(Replayed|TooOld)|handshake|` +
              String.raw`linkTableFull|checkWrong|securityMismatch)`,
          ),
        );
      expect(Object.keys(drops.snapshot()).length).toBeGreaterThanOrEqual(8);
      // Links that were only announced are forgotten, and nothing of it is left.
      attacked.scene.world.runFor(70 * SECOND);
      attacked.scene.expectWhole();
      attacked.scene.expectNothingHeld();
    },
    TIMEOUT,
  );

  test(
    'what looks like a peer may break a link that is not sealed, ' +
      'within all bounds, and afterwards all is well by itself',
    () => {
      const rounds = Math.ceil(COUNT / 2);
      const scene = new Scene(12 + SEED),
        rng = new Rng(99 + SEED),
        from = endpoints(scene);
      const peers = [scene.hosts[0]!.endpoint, scene.hosts[2]!.endpoint];
      let live = 0,
        heap = 0;
      const seconds = Math.ceil(rounds / 2_000) + 1;
      scene.flow(200, 300, seconds * SECOND);
      scene.flow(20, 5_000, seconds * SECOND);
      scene.flow(100, 300, seconds * SECOND, SERVICE_RELIABLE);
      scene.flow(100, 300, seconds * SECOND, SERVICE_REALTIME);
      for (let sent = 0; sent < rounds; sent += 1) {
        if (sent % 2 === 0) scene.world.runFor(MILLISECOND);
        const original = pick(rng, scene),
          bytes = mutate(rng, original, pick(rng, scene));
        if (bytes.length >= 12 && original[0] === DATA) {
          // A header as the peer would write it next, so that the damage meets the frames.
          const list =
            rng.chance(0.5) && scene.captured.length > 0 ? scene.captured : scene.controls;
          const last = list[rng.below(list.length)]!;
          bytes.set(last.subarray(0, 12));
          if (bytes.length > 15 && rng.chance(0.7)) putU16(bytes, 13, bytes.length - 15);
          const number = scene.highest.get(getU32(last, 2))!;
          putU48(
            bytes,
            6,
            rng.chance(0.98) ? number + 1 : Math.min(0xffff_ffff_ffff, number + rng.below(5_000)),
          );
        }
        if (rng.chance(0.8)) mend(bytes);
        if (scene.judge(bytes) === 'live') live += 1;
        scene.inject(bytes, rng.chance(0.7) ? peers[rng.below(2)]! : from[rng.below(from.length)]!);
        if (sent % 100 === 0) scene.checkBounds();
        if (sent % 2_000 === 0)
          for (const [index, numbers] of scene.arrived) forgetOld(scene, index, numbers);
        if (LONG && heap === 0 && sent > rounds / 5) heap = heapBytes();
      }
      expect(live).toBeGreaterThan(rounds * 0.3);
      const reasons = Object.keys(scene.victim.node.drops.snapshot());
      for (const reason of [
        'frameTruncated',
        'frameType',
        'helloMalformed',
        'packetMalformed',
        'linkStateMalformed',
        'reservedNotZero',
        'noRoute',
      ])
        expect(reasons).toContain(reason);

      // Round-trip times of up to a minute may have been forged: deaths are noticed that late.
      scene.world.runFor(240 * SECOND);
      scene.checkBounds();
      scene.expectWhole();
      scene.expectNothingHeld();
      if (heap > 0) expect(heapBytes() - heap).toBeLessThan(24 * 1024 * 1024);
      const before = scene.flows.length;
      scene.flow(500, 700, 2 * SECOND);
      scene.flow(20, 20_000, 2 * SECOND);
      scene.flow(100, 700, 2 * SECOND, SERVICE_RELIABLE);
      scene.flow(100, 700, 2 * SECOND, SERVICE_REALTIME);
      scene.world.runFor(3 * SECOND);
      for (const flow of scene.flows.slice(before))
        expect([flow.meter.delivered, flow.refused, flow.foreign]).toEqual([flow.sent, 0, 0]);
      scene.expectNothingHeld();
    },
    TIMEOUT,
  );
});

/** Bounds this file's own memory: numbers far behind the highest cannot be 'live' for long. */
function forgetOld(scene: Scene, index: number, numbers: Set<number>): void {
  if (numbers.size <= 5_000) return;
  const highest = scene.highest.get(index)!;
  scene.arrived.set(index, new Set([...numbers].filter((number) => number > highest - 3_000)));
}

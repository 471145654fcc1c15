/**
 * Sealed daemons under damaged datagrams: from strangers, who cannot seal, and from a member who
 * can and means harm; and damaged certificates. No exception, nothing grows, honest traffic
 * arrives.
 *
 * SPINES_FUZZ_COUNT=n: datagrams and certificates; SPINES_FUZZ_SEED=s; SPINES_LONG=1: memory is
 * measured too.
 */

import { describe, expect, test } from 'vitest';

import { QUEUE_FACTOR } from '../../src/core/link/send-queue.ts';
import { equalBytes, hex, putU16 } from '../../src/core/base/bytes.ts';
import { makeEndpoint, type Endpoint } from '../../src/core/base/datagram.ts';
import { Rng } from '../../src/core/base/rng.ts';
import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import type { Primitives } from '../../src/core/crypto/primitives.ts';
import { nodePrimitives } from '../../src/host/primitives/node-primitives.ts';
import { defaultLimits } from '../../src/core/node/config.ts';
import { cheapPrimitives } from '../../src/lab/sim/cheap-primitives.ts';
import { SimFlow } from '../../src/lab/sim/flow.ts';
import { SimAuthority } from '../../src/lab/sim/sim-authority.ts';
import { World, type SimHost } from '../../src/lab/sim/world.ts';
import { changeDirection, defaultDirection } from '../../src/core/emulation/link-settings.ts';
import {
  DATAGRAM_KEY_REQUEST,
  DATAGRAM_SEALED_DATA,
  DATAGRAM_SEALED_INIT,
  encodeDatagramHeader,
} from '../../src/core/wire/datagram-header.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import {
  SERVICE_BEST_EFFORT,
  SERVICE_REALTIME,
  SERVICE_RELIABLE,
} from '../../src/core/wire/packet.ts';
import { SEALED_INIT_BYTES } from '../../src/core/wire/sealed-handshake.ts';
import { DATAGRAM_BYTES_MAX, DATAGRAM_HEADER_BYTES, TAG_BYTES } from '../../src/core/wire/sizes.ts';
import { indexOf, isData, numberOf } from '../support/attacker.ts';
import { heapBytes } from './heap.ts';
import { mend, mutate, randomBytes } from './mutate.ts';

const COUNT = Number(process.env['SPINES_FUZZ_COUNT'] ?? 20_000);
const SEED = Number(process.env['SPINES_FUZZ_SEED'] ?? 0);
const LONG = process.env['SPINES_LONG'] === '1';
const TIMEOUT = 60_000 + 4 * COUNT;
const GROWTH_MAX = 24 * 1024 * 1024;
const CAPTURED_MAX = 512;
const limits = {
  ...defaultLimits,
  links: 16,
  nodes: 64,
  packetsKept: 1_000,
  linkQueueBytes: 65_536,
  reassemblyBytes: 256 * 1024,
};

/**
 * a - victim - c, and a member who means harm beside the victim. Links change keys every other
 * second.
 */
class Scene {
  readonly world: World;
  readonly hosts: readonly SimHost[];
  readonly victim: SimHost;
  readonly insider: SimHost;
  /** What the victim was sent, handshakes apart. */
  readonly data: Uint8Array[] = [];
  readonly handshakes: Uint8Array[] = [];
  /** What the insider's daemon sent to the victim, opened: header and frames. */
  readonly plain: Uint8Array[] = [];
  readonly flows: SimFlow[] = [];

  constructor(seed: number) {
    this.world = new World({
      seed,
      onArrival: (wire, bytes) => {
        if (wire.to !== this.victim) return true;
        this.#keep(isData(bytes) ? this.data : this.handshakes, bytes.slice());
        if (wire.from === this.insider) this.#open(bytes);
        return true;
      },
    });
    const config = {
      advertisementRefreshUs: 10 * SECOND,
      advertisementLifetimeUs: 20 * SECOND,
      rekeyAfterUs: 2 * SECOND,
      limits,
    };
    this.hosts = ['a', 'victim', 'c', 'insider'].map((name, i) =>
      this.world.addHost(0x0a000001 + i, name, config),
    );
    this.victim = this.hosts[1]!;
    this.insider = this.hosts[3]!;
    const direction = changeDirection(defaultDirection(), { latencyUs: 1 * MILLISECOND });
    for (const i of [0, 2, 3])
      this.world.connect(this.hosts[i]!, this.victim, direction, direction);
    for (const host of this.hosts) host.start();
    this.world.runFor(5 * SECOND);
    this.expectWhole();
  }

  #keep(list: Uint8Array[], bytes: Uint8Array): void {
    if (list.length < CAPTURED_MAX) list.push(bytes);
    else list[this.world.arrivals % CAPTURED_MAX] = bytes;
  }

  #open(bytes: Uint8Array): void {
    const channel = this.victim.running
      ? this.victim.node.links.of(this.insider.id)?.channel
      : null;
    if (channel === null || channel === undefined || !isData(bytes)) return;
    const epoch = [channel.epoch, channel.nextEpoch, channel.lastEpoch].find(
      (one) => one?.localIndex === indexOf(bytes),
    );
    const copy = bytes.slice();
    if (
      epoch?.seal?.receive.open(numberOf(bytes), copy, DATAGRAM_HEADER_BYTES, copy.length) === true
    )
      this.#keep(this.plain, copy.slice(0, copy.length - TAG_BYTES));
  }

  flow(
    from: number,
    to: number,
    packetsPerSecond: number,
    sizeBytes: number,
    durationUs: number,
    service: number = SERVICE_BEST_EFFORT,
  ): SimFlow {
    const settings = {
      packetsPerSecond,
      sizeBytes,
      startUs: 0,
      durationUs,
      count: null,
      options: { service },
    };
    const flow = new SimFlow(
      this.world,
      this.flows.length,
      this.hosts[from]!,
      this.hosts[to]!,
      settings,
      this.world.now(),
    );
    this.flows.push(flow);
    return flow;
  }

  /** Honest traffic through the victim, both ways. */
  honest(durationUs: number): SimFlow[] {
    return [
      this.flow(0, 2, 200, 300, durationUs),
      this.flow(2, 0, 20, 5_000, durationUs),
      this.flow(0, 2, 100, 300, durationUs, SERVICE_RELIABLE),
      this.flow(2, 0, 100, 300, durationUs, SERVICE_REALTIME),
    ];
  }

  expectWhole(): void {
    for (const [i, host] of this.hosts.entries()) {
      const { links, router } = host.node;
      expect([
        host.name,
        links.size,
        [...links.all()].every((link) => link.up),
        router.database.size,
      ]).toEqual([host.name, i === 1 ? 3 : 1, true, 4]);
      for (const other of this.hosts)
        expect(router.reachable(other.id), `${host.name} reaches ${other.name}`).toBe(true);
    }
  }

  checkBounds(): void {
    for (const { node, name } of this.hosts) {
      const bounds: readonly (readonly [string, number, number])[] = [
        ['links', node.links.size, 3],
        ['nodes', node.router.database.size, limits.nodes],
        ['packets kept', node.pool.inUse, limits.packetsKept],
        ['reassembly', node.sessions.reassembly.bytes, limits.reassemblyBytes],
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
      expect([node.pool.inUse, node.sessions.reassembly.bytes, node.echo.outstanding]).toEqual([
        0, 0, 0,
      ]);
  }

  /** By how much the victim's drops grew. */
  inject(bytes: Uint8Array, from: Endpoint): number {
    const before = this.victim.node.drops.total;
    const text = hex(bytes);
    try {
      this.victim.onDatagram(bytes, from);
    } catch (error) {
      throw new Error(`threw ${String(error)} for ${text} from ${from.key}`, { cause: error });
    }
    return this.victim.node.drops.total - before;
  }
}

function anyOf(rng: Rng, list: readonly Uint8Array[]): Uint8Array {
  return list[rng.below(list.length)]!;
}

describe('fuzz: sealed daemons', () => {
  test(
    'what strangers send is counted once each, moves nothing, and honest flows do not notice',
    () => {
      const scene = new Scene(21 + SEED),
        rng = new Rng(78 + SEED);
      const from = [
        ...scene.hosts.map((host) => host.endpoint),
        makeEndpoint('192.0.2.66', 8100),
        makeEndpoint('2001:db8::66', 9),
      ];
      const perMillisecond = 4,
        durationUs = Math.ceil(COUNT / perMillisecond) * MILLISECOND;
      const flows = scene.honest(durationUs);
      const places = [...scene.victim.node.links.all()].map((link) => link.endpoint.key);
      let heap = 0,
        refused = 0;
      for (let sent = 0; sent < COUNT; sent += 1) {
        if (sent % perMillisecond === 0) scene.world.runFor(MILLISECOND);
        const what = rng.unit();
        const list = rng.chance(0.3) ? scene.handshakes : scene.data;
        let bytes =
          what < 0.1
            ? randomBytes(rng, rng.below(rng.chance(0.1) ? 3_000 : 600))
            : what < 0.2
              ? anyOf(rng, list).slice()
              : mutate(rng, anyOf(rng, list), anyOf(rng, list));
        if (what < 0.07 && bytes.length > 1)
          bytes = Uint8Array.of(DATAGRAM_SEALED_INIT + rng.below(6), 0, ...bytes.subarray(2));
        // A question for the key is anybody's to ask; a copy of an INIT whose answer is still on
        // the way gets that again.
        const harmless =
            bytes[0] === DATAGRAM_KEY_REQUEST ||
            (bytes[0] === DATAGRAM_SEALED_INIT && bytes.length === SEALED_INIT_BYTES),
          text = hex(bytes.subarray(0, 64));
        const dropped = scene.inject(bytes, from[rng.below(from.length)]!);
        if (dropped !== 1 && !(harmless && dropped === 0))
          throw new Error(`${dropped} drops for ${text}`);
        refused += dropped;
        if (sent % 400 === 0) scene.checkBounds();
        if (LONG && heap === 0 && sent > COUNT / 5) heap = heapBytes();
      }
      scene.world.runFor(SECOND);
      if (heap > 0) expect(heapBytes() - heap).toBeLessThan(GROWTH_MAX);
      expect(refused).toBeGreaterThan(COUNT * 0.98);
      for (const flow of flows)
        expect([flow.meter.delivered, flow.meter.duplicates, flow.refused, flow.foreign]).toEqual([
          flow.sent,
          0,
          0,
          0,
        ]);
      expect([...scene.victim.node.links.all()].map((link) => link.endpoint.key)).toEqual(places);
      for (const link of scene.victim.node.links.all())
        expect(link.channel!.rekeys).toBeGreaterThan(2);
      const reasons = scene.victim.node.drops.snapshot();
      for (const reason of Object.keys(reasons))
        expect(reason).toMatch(
          new RegExp(
            String.raw`^(datagram|reserved|receiver|packet(Replayed|TooOld)|handshake|` +
              String.raw`sealBroken|securityMismatch|keyAnswer|cookie)`,
          ),
        );
      for (const reason of [
        'sealBroken',
        'packetReplayed',
        'handshakeMacWrong',
        'handshakeReplayed',
        'handshakeMalformed',
        'receiverIndexUnknown',
      ])
        expect(Object.keys(reasons)).toContain(reason);
      scene.expectWhole();
      scene.expectNothingHeld();
    },
    TIMEOUT,
  );

  test(
    'what a member seals may break the link to him only, ' +
      'within all bounds; the traffic of others arrives',
    () => {
      const scene = new Scene(22 + SEED),
        rng = new Rng(79 + SEED);
      const { victim, insider } = scene;
      const durationUs = Math.ceil(COUNT / 2) * MILLISECOND;
      const flows = scene.honest(durationUs);
      // What there is to damage: all kinds of packets.
      scene.flow(3, 0, 50, 300, durationUs);
      scene.flow(3, 2, 10, 5_000, durationUs);
      scene.flow(3, 2, 50, 300, durationUs, SERVICE_RELIABLE);
      scene.flow(3, 2, 50, 300, durationUs, SERVICE_REALTIME);
      scene.flow(1, 3, 50, 300, durationUs, SERVICE_REALTIME);
      // He misses some, asks for it, and sends again what the victim asks for.
      const setLoss = (rate: number): void => {
        const loss = { kind: 'bernoulli', rate } as const;
        victim.wires.get(insider.endpoint.key)!.model.set({ loss });
        insider.wires.get(victim.endpoint.key)!.model.set({ loss });
      };
      setLoss(0.02);
      scene.world.runFor(200 * MILLISECOND);
      let heap = 0,
        taken = 0;
      for (let sent = 0; sent < COUNT; sent += 1) {
        if (sent % 2 === 0) scene.world.runFor(MILLISECOND);
        const there = insider.node.links.of(victim.id)?.channel,
          here = victim.node.links.of(insider.id)?.channel;
        if (there === null || there === undefined || here === null || here === undefined) continue;
        const { seal, remoteIndex } = there.epoch;
        const mutated = mutate(rng, anyOf(rng, scene.plain), anyOf(rng, scene.plain)).subarray(
          0,
          DATAGRAM_BYTES_MAX - TAG_BYTES,
        );
        const bytes = new Uint8Array(Math.max(mutated.length, DATAGRAM_HEADER_BYTES) + TAG_BYTES);
        bytes.set(mutated);
        const end = bytes.length - TAG_BYTES;
        if (end > DATAGRAM_HEADER_BYTES + 3 && rng.chance(0.5))
          putU16(bytes, DATAGRAM_HEADER_BYTES + 1, end - DATAGRAM_HEADER_BYTES - 3);
        if (rng.chance(0.7)) mendFrames(bytes.subarray(0, end));
        encodeDatagramHeader(
          DATAGRAM_SEALED_DATA,
          remoteIndex,
          here.replay.highest + 1 + (rng.chance(0.02) ? rng.below(100) : 0),
          bytes,
        );
        seal!.send.seal(numberOf(bytes), bytes, DATAGRAM_HEADER_BYTES, end);
        const before =
          victim.node.drops.of(DropReason.sealBroken) +
          victim.node.drops.of(DropReason.receiverIndexUnknown);
        scene.inject(bytes, rng.chance(0.9) ? insider.endpoint : makeEndpoint('192.0.2.66', 8100));
        if (
          victim.node.drops.of(DropReason.sealBroken) +
            victim.node.drops.of(DropReason.receiverIndexUnknown) ===
          before
        )
          taken += 1;
        if (sent % 200 === 0) scene.checkBounds();
        if (LONG && heap === 0 && sent > COUNT / 5) heap = heapBytes();
      }
      expect(taken).toBeGreaterThan(COUNT * 0.15);
      setLoss(0);
      scene.world.runFor(2 * SECOND);
      for (const flow of flows)
        expect([flow.meter.delivered, flow.meter.duplicates, flow.refused]).toEqual([
          flow.sent,
          0,
          0,
        ]);
      const reasons = Object.keys(victim.node.drops.snapshot());
      for (const reason of [
        'frameTruncated',
        'frameType',
        'helloMalformed',
        'packetMalformed',
        'realtimeMalformed',
        'realtimeDuplicate',
      ])
        expect(reasons).toContain(reason);
      // Nobody else's word was taken for his.
      for (const host of [scene.hosts[0]!, scene.hosts[2]!])
        expect(
          Object.keys(host.node.drops.snapshot()).filter((reason) =>
            /^(seal|receiverIndex|handshakeM|handshakeB|certificate)/.test(reason),
          ),
        ).toEqual([]);

      // Round-trip times of up to a minute may have been forged: deaths are noticed that late.
      scene.world.runFor(240 * SECOND);
      scene.checkBounds();
      scene.expectWhole();
      scene.expectNothingHeld();
      if (heap > 0) expect(heapBytes() - heap).toBeLessThan(GROWTH_MAX);
      const after = [...scene.honest(2 * SECOND), scene.flow(3, 0, 100, 700, 2 * SECOND)];
      scene.world.runFor(3 * SECOND);
      for (const flow of after)
        expect([flow.meter.delivered, flow.refused, flow.foreign]).toEqual([flow.sent, 0, 0]);
    },
    TIMEOUT,
  );

  test.each<[string, Primitives, number]>([
    ['cheap', cheapPrimitives, COUNT],
    ['real', nodePrimitives, Math.ceil(COUNT / 10)],
  ])(
    'damaged certificates are never taken, and none throws (%s primitives)',
    (_kind, primitives, count) => {
      const rng = new Rng(80 + SEED);
      const authority = new SimAuthority(primitives, rng),
        clock = { now: () => 0 };
      const identities = Array.from({ length: 8 }, (_, i) =>
        authority.issue(0x0a000001 + i, 'n'.repeat(1 + i * 8)),
      );
      const member = authority.member(identities[0]!, clock);
      const genuine = identities.map((identity) => identity.certificate.bytes);
      for (const bytes of genuine)
        expect(member.admit(bytes, 0, bytes.length, 1)).toBeTypeOf('object');
      const reasons = new Map<DropReason, number>();
      const heap = LONG ? heapBytes() : 0;
      for (let i = 0; i < count; i += 1) {
        const bytes = mutate(rng, anyOf(rng, genuine), anyOf(rng, genuine));
        if (genuine.some((one) => equalBytes(one, bytes))) continue;
        const start = rng.below(3),
          padded = new Uint8Array(start + bytes.length + 3);
        padded.set(bytes, start);
        const verdict = member.admit(padded, start, start + bytes.length, 3);
        if (typeof verdict !== 'number') throw new Error(`admitted ${hex(bytes)}`);
        reasons.set(verdict, (reasons.get(verdict) ?? 0) + 1);
        expect(member.knows(bytes)).toBe(false);
      }
      if (heap > 0) expect(heapBytes() - heap).toBeLessThan(GROWTH_MAX);
      expect([...reasons.keys()].sort((x, y) => x - y)).toEqual([
        DropReason.certificateMalformed,
        DropReason.certificateWrongNetwork,
        DropReason.certificateUnknownAuthority,
        DropReason.certificateForged,
      ]);
      for (const bytes of genuine)
        expect(member.admit(bytes, 0, bytes.length, 1)).toBeTypeOf('object');
    },
    TIMEOUT,
  );
});

/**
 * Control frames have checks of their own only where links are not sealed; where they still have,
 * they are made right.
 */
function mendFrames(plain: Uint8Array): void {
  const type = plain[0]!;
  plain[0] = 0x14;
  mend(plain);
  plain[0] = type;
}

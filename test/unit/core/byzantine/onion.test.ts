/**
 * The layers of probed packets on a whole path: what honest nodes do, what an attacker between them
 * can change, and where the loss is then charged. Attacks are numbered as in the catalogue of the
 * design notes: A11 a flipped bit, A12 an invented acknowledgement, A13 one of another flow, A14 a
 * packet sent again.
 */

import { describe, expect, test } from 'vitest';

import { ReplayWindow } from '../../../../src/core/base/replay-window.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import { FlowKeys, type HopKeys } from '../../../../src/core/byzantine/keys.ts';
import {
  Onions,
  openInner,
  sealInner,
  TIMER_UNIT_US,
  TIMER_US_MAX,
  type OnionLayer,
  type TailLayer,
  type Unwrapped,
} from '../../../../src/core/byzantine/onion.ts';
import { makeExchangeKeys, Secret, type KeyPair } from '../../../../src/core/crypto/keys.ts';
import type { Primitives } from '../../../../src/core/crypto/primitives.ts';
import { nodePrimitives } from '../../../../src/host/primitives/node-primitives.ts';
import { cheapPrimitives } from '../../../../src/lab/sim/cheap-primitives.ts';
import { DropReason } from '../../../../src/core/wire/drop.ts';
import { Packet } from '../../../../src/core/wire/packet.ts';
import {
  encodeProbedHead,
  ONION_LAYER_BYTES,
  PROBED_COUNTER_MAX,
  ProbedData,
  sealedOffset,
  TAIL_LAYER_BYTES,
  tailBytes,
} from '../../../../src/core/wire/probed.ts';
import {
  OVERLAY_HEADER_BYTES,
  PACKET_BYTES_MAX,
  TAG_BYTES,
} from '../../../../src/core/wire/sizes.ts';
import { mutate, randomBytes } from '../../../fuzz/mutate.ts';
import { figure4Peel, figure4Tail } from '../../../support/figure4.ts';

const KIND = 6,
  SOURCE = 7;
const MODES = { service: 1, dissemination: 1, ttl: 64, priority: 1 };
const TTL_AT = 1,
  MODE_AT = 2,
  ECN_BIT = 7;

interface Sent {
  readonly bytes: Uint8Array;
  readonly h: Uint8Array;
  readonly counter: number;
}
interface Station extends TailLayer, OnionLayer {
  readonly keys: HopKeys;
}

/**
 * One flow over `hops` nodes, some of which are on the list; plays the source and every honest
 * node.
 */
class Flow {
  readonly onions: Onions;
  readonly route: number[];
  readonly list: Station[];
  readonly #epoch: number;

  /** `listed`: indices of the route, ascending, the last hop among them. */
  constructor(
    p: Primitives,
    rng: Rng,
    hops: number,
    listed: readonly number[],
    first = 100,
    epoch = 1,
  ) {
    this.onions = new Onions(p);
    this.route = Array.from({ length: hops }, (_, i) => first + i);
    this.#epoch = epoch;
    const pair = (): KeyPair => {
      const secret = randomBytes(rng, 32);
      return { publicKey: p.x25519PublicKey(secret), secret: new Secret(secret) };
    };
    const source = pair();
    const cache = new FlowKeys(p);
    this.list = listed.map((index, i) => {
      const keys = cache.of(
        { source: SOURCE, destination: this.route.at(-1)!, epoch, pathHigh: hops, pathLow: first },
        this.route[index]!,
        source.secret,
        pair().publicKey,
      )!;
      const timerUs = (listed.length - 1 - i) * 20_000;
      return { id: this.route[index]!, timerUs, forward: keys.forward, ack: keys.ack, keys };
    });
  }

  get last(): Station {
    return this.list.at(-1)!;
  }

  send(counter: number, inner: Uint8Array): Sent {
    const b = new Uint8Array(PACKET_BYTES_MAX);
    const head = {
      epoch: this.#epoch,
      pathHigh: this.route.length,
      pathLow: this.route[0]!,
      counter,
      pieceIndex: 0,
      pieceCount: 1,
      route: this.route,
      sealedBytes: inner.length + TAG_BYTES,
    };
    const sealedStart = encodeProbedHead(head, b, OVERLAY_HEADER_BYTES);
    b.set(inner, sealedStart);
    sealInner(
      this.last.keys.data!,
      counter,
      b,
      OVERLAY_HEADER_BYTES,
      sealedStart,
      sealedStart + inner.length,
    );
    const sealedEnd = sealedStart + inner.length + TAG_BYTES;
    const packet = new Packet();
    packet.compose(b, 0, sealedEnd, KIND, MODES, SOURCE, 0, this.last.id, 0);
    const h = this.onions.digestOf(packet, sealedEnd);
    const tail = this.onions.buildTail(h, this.list, counter);
    b.set(tail, sealedEnd);
    return { bytes: b.slice(0, sealedEnd + tail.length), h, counter };
  }

  /**
   * What list element `index` forwards when `bytes` come to it, empty at the destination; null when
   * it drops them.
   */
  station(
    index: number,
    bytes: Uint8Array,
  ): { forwarded: Uint8Array; inner: Uint8Array | null; timerUs: number } | null {
    const packet = new Packet(),
      data = new ProbedData();
    const own = bytes.slice();
    if (
      packet.decode(own, 0, own.length, false) !== DropReason.none ||
      data.decode(packet) !== DropReason.none
    )
      return null;
    const { id, forward, keys } = this.list[index]!;
    if (data.tailHead !== id) return null;
    const h = this.onions.digestOf(packet, data.sealedEnd);
    if (index < this.list.length - 1) {
      const peeled = this.onions.peel(h, data.tail, forward, id, data.counter);
      if (peeled === null) return null;
      return {
        forwarded: Uint8Array.of(...own.subarray(0, data.sealedEnd), ...peeled.rest),
        inner: null,
        timerUs: peeled.timerUs,
      };
    }
    if (
      !this.onions.isLast(h, data.tail, forward, id, data.counter) ||
      !openInner(keys.data!, data)
    )
      return null;
    return {
      forwarded: new Uint8Array(0),
      inner: own.slice(data.sealedStart, data.sealedEnd - TAG_BYTES),
      timerUs: 0,
    };
  }

  /**
   * The acknowledgement as element `index` sends it, made by the destination and wrapped by all
   * between.
   */
  ackAt(index: number, h: Uint8Array, counter: number): Uint8Array {
    return this.wrapUp(
      index,
      this.list.length - 1,
      this.onions.ackOf(h, this.last.id, this.last.ack, counter, 0),
      h,
      counter,
    );
  }

  /** What `onion`, sent by element `from`, is when element `to` has sent it on. */
  wrapUp(to: number, from: number, onion: Uint8Array, h: Uint8Array, counter: number): Uint8Array {
    let out = onion;
    for (let i = from - 1; i >= to; i -= 1) {
      const { id, ack } = this.list[i]!;
      const behind = this.route.length - 1 - this.route.indexOf(id);
      out = this.onions.wrap(h, id, ack, counter, 1_000 * (this.list.length - i), out, behind)!;
    }
    return out;
  }

  unwrap(h: Uint8Array, counter: number, onion: Uint8Array): Unwrapped {
    return this.onions.unwrap(h, this.list, counter, onion);
  }
}

/** Every node is listed. */
function full(p: Primitives, rng: Rng, nodes: number, first = 100): Flow {
  return new Flow(
    p,
    rng,
    nodes,
    Array.from({ length: nodes }, (_, i) => i),
    first,
  );
}

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const out = bytes.slice();
  out[bit >> 3] = out[bit >> 3]! ^ (1 << (bit & 7));
  return out;
}

describe.each([nodePrimitives, cheapPrimitives])('with $name', (p) => {
  test(
    'a packet passes 1 to 32 listed nodes, ' +
      'and its acknowledgement tells the source of all of them',
    () => {
      const rng = new Rng(1);
      for (let nodes = 1; nodes <= 32; nodes += 1) {
        const flow = full(p, rng, nodes);
        const counter = nodes === 32 ? PROBED_COUNTER_MAX : rng.u32();
        const inner = randomBytes(rng, 1 + rng.below(500));
        const sent = flow.send(counter, inner);
        expect(sent.bytes.length).toBe(
          OVERLAY_HEADER_BYTES + sealedOffset(nodes) + inner.length + TAG_BYTES + tailBytes(nodes),
        );
        let bytes = sent.bytes;
        for (let i = 0; i < nodes; i += 1) {
          const result = flow.station(i, bytes)!;
          expect(result.timerUs).toBe((nodes - 1 - i) * 20_000);
          if (i < nodes - 1) expect(bytes.length - result.forwarded.length).toBe(TAIL_LAYER_BYTES);
          else expect(result.inner).toEqual(inner);
          bytes = result.forwarded;
        }
        const onion = flow.ackAt(0, sent.h, counter);
        expect(onion.length).toBe(nodes * ONION_LAYER_BYTES);
        const holdsUs = flow.list.map((_, i) => (i === nodes - 1 ? 0 : 1_000 * (nodes - i)));
        expect(flow.unwrap(sent.h, counter, onion)).toEqual({
          reached: nodes,
          holdsUs,
          timedOut: false,
          noise: false,
        });
      }
    },
  );

  test(
    'A11: every bit that is flipped on the way is noticed by ' +
      'the first listed node behind, and no later one is deceived',
    () => {
      const rng = new Rng(2);
      const flow = new Flow(p, rng, 4, [0, 2, 3]);
      let { bytes } = flow.send(5, randomBytes(rng, 20));
      for (let stage = 0; stage < flow.list.length; stage += 1) {
        const passed: string[] = [];
        for (let bit = 0; bit < 8 * bytes.length; bit += 1) {
          const changed = flipped(bytes, bit);
          for (let i = stage; i < flow.list.length; i += 1)
            if (flow.station(i, changed) !== null) passed.push(`${bit >> 3}.${bit & 7}`);
        }
        // Hops left and the mark of congestion change on honest nodes as well.
        const free = [
          ...Array.from({ length: 8 }, (_, bit) => `${TTL_AT}.${bit}`),
          `${MODE_AT}.${ECN_BIT}`,
        ];
        expect(passed).toEqual(free);
        bytes = flow.station(stage, bytes)!.forwarded;
      }
    },
  );

  test(
    'A11 as figure 4 has it: a bit flipped before the first ' +
      'probe passes that probe and convicts an honest link behind',
    () => {
      const rng = new Rng(3);
      const body = randomBytes(rng, 60);
      const list = [11, 12, 13].map((id) => ({ id, key: randomBytes(rng, 32) }));
      const tail = figure4Tail(p, body, list, 4);
      const walk = (first: Uint8Array): number => {
        let rest: Uint8Array | null = first;
        for (let i = 0; i < list.length; i += 1) {
          rest = figure4Peel(p, body, rest, list[i]!, 4);
          if (rest === null) return i;
        }
        return list.length;
      };
      expect(walk(tail)).toBe(3);
      // Behind id and HMAC of the first probe all is malleable: it takes the packet, and the next
      // one is the first to notice.
      for (let bit = 8 * 36; bit < 8 * 72; bit += 1) expect(walk(flipped(tail, bit))).toBe(1);
      for (let bit = 0; bit < 8 * 36; bit += 1) expect(walk(flipped(tail, bit))).toBe(0);
      // The same attack on ours: the first probe drops it.
      const flow = full(p, rng, 3);
      const { bytes } = flow.send(4, body);
      for (
        let bit = 8 * (bytes.length - tailBytes(2) - TAG_BYTES);
        bit < 8 * bytes.length;
        bit += 1
      )
        expect(flow.station(0, flipped(bytes, bit))).toBeNull();
    },
  );

  test(
    'what is changed or cut on the way back is ' + 'charged to the interval where it happened',
    () => {
      const rng = new Rng(4);
      for (const nodes of [1, 2, 3, 5, 8]) {
        const flow = new Flow(p, rng, nodes + 3, [
          ...Array.from({ length: nodes - 1 }, (_, i) => i + 1),
          nodes + 2,
        ]);
        const { h, counter } = flow.send(rng.u32(), randomBytes(rng, 9));
        for (let sender = 0; sender < nodes; sender += 1) {
          const sentOn = flow.ackAt(sender, h, counter);
          const arrives = (onion: Uint8Array): Unwrapped =>
            flow.unwrap(h, counter, flow.wrapUp(0, sender, onion, h, counter));
          for (let bit = 0; bit < 8 * sentOn.length; bit += 1) {
            const { reached, timedOut, noise } = arrives(flipped(sentOn, bit));
            expect([reached, timedOut, noise]).toEqual([sender, false, sender === 0]);
          }
          for (let length = ONION_LAYER_BYTES; length < sentOn.length; length += ONION_LAYER_BYTES)
            expect(arrives(sentOn.slice(0, length)).reached).toBe(sender);
          const longer = Uint8Array.of(...sentOn, ...new Uint8Array(ONION_LAYER_BYTES));
          expect(arrives(longer).reached).toBe(sender);
        }
      }
    },
  );

  test(
    'a probe that waits in vain says so, ' + 'and that is as far as the packet came for certain',
    () => {
      const rng = new Rng(5);
      for (const nodes of [2, 3, 8, 32]) {
        const flow = full(p, rng, nodes);
        const { h, counter } = flow.send(rng.u32(), randomBytes(rng, 9));
        for (let waiting = 0; waiting < nodes - 1; waiting += 1) {
          const { id, ack } = flow.list[waiting]!;
          const onion = flow.onions.timeoutOf(h, id, ack, counter, 123_456);
          expect(onion.length).toBe(ONION_LAYER_BYTES);
          const said = flow.unwrap(h, counter, flow.wrapUp(0, waiting, onion, h, counter));
          expect(said).toMatchObject({ reached: waiting + 1, timedOut: true, noise: false });
          expect(said.holdsUs[waiting]).toBe(123_456);
          // Neither does it pass for an acknowledgement of the same node, nor an acknowledgement
          // for it.
          const asAck = flow.onions.ackOf(h, id, ack, counter, 5);
          expect(flow.unwrap(h, counter, flow.wrapUp(0, waiting, asAck, h, counter)).reached).toBe(
            waiting,
          );
        }
        const vain = flow.onions.timeoutOf(h, flow.last.id, flow.last.ack, counter, 0);
        expect(flow.unwrap(h, counter, flow.wrapUp(0, nodes - 1, vain, h, counter)).reached).toBe(
          nodes - 1,
        );
        const around = flow.onions.wrap(h, flow.last.id, flow.last.ack, counter, 0, vain, 1)!;
        const { id, ack } = flow.list[0]!;
        expect(
          flow.onions.unwrap(
            h,
            [{ id, ack }, flow.last],
            counter,
            flow.onions.wrap(h, id, ack, counter, 0, around, 2)!,
          ).reached,
        ).toBe(1);
      }
    },
  );

  test(
    'A12: an invented acknowledgement is noise at the source, ' +
      'and behind a probe it tells on whoever sent it',
    () => {
      const rng = new Rng(6);
      const flow = full(p, rng, 4);
      const { h, counter } = flow.send(3, randomBytes(rng, 9));
      for (let round = 0; round < 200; round += 1) {
        const to = rng.below(4);
        const invented = randomBytes(rng, ONION_LAYER_BYTES * (1 + rng.below(4 - to)));
        expect(flow.unwrap(h, counter, flow.wrapUp(0, to, invented, h, counter))).toMatchObject({
          reached: to,
          timedOut: false,
          noise: to === 0,
        });
      }
    },
  );

  test('A13: an acknowledgement of another flow, packet or epoch is refused', () => {
    const rng = new Rng(7);
    const flow = full(p, rng, 3);
    const one = flow.send(1, randomBytes(rng, 9)),
      two = flow.send(2, randomBytes(rng, 9));
    const onion = flow.ackAt(0, one.h, 1);
    expect(flow.unwrap(one.h, 1, onion).reached).toBe(3);
    expect(flow.unwrap(two.h, 2, onion).noise).toBe(true);
    expect(flow.unwrap(two.h, 1, onion).noise).toBe(true);
    expect(flow.unwrap(one.h, 2, onion).noise).toBe(true);
    // Another destination behind the same two nodes, same counter, same data: other keys.
    const seed = 70;
    const here = new Flow(p, new Rng(seed), 3, [0, 1, 2]),
      elsewhere = new Flow(p, new Rng(seed), 4, [0, 1, 3]),
      later = new Flow(p, new Rng(seed), 3, [0, 1, 2], 100, 2);
    const sent = here.send(1, Uint8Array.of(1));
    for (const other of [elsewhere, later]) {
      const foreign = other.send(1, Uint8Array.of(1));
      expect(here.unwrap(sent.h, 1, other.ackAt(0, foreign.h, 1)).noise).toBe(true);
      // Even under the right digest it is the keys that differ, and even under the right keys it is
      // the digest.
      expect(here.unwrap(sent.h, 1, other.ackAt(0, sent.h, 1)).noise).toBe(true);
      expect(here.unwrap(sent.h, 1, here.ackAt(0, foreign.h, 1)).noise).toBe(true);
      expect(here.station(0, foreign.bytes)).toBeNull();
    }
    // What the destination says, handed on by a probe as its own.
    const inner = here.onions.ackOf(sent.h, here.last.id, here.last.ack, 1, 0);
    expect(here.unwrap(sent.h, 1, inner).noise).toBe(true);
  });

  test(
    'A14: a packet sent again is known by its counter, ' +
      'and a forged one does not use that counter up',
    () => {
      const rng = new Rng(8);
      const flow = full(p, rng, 2);
      const window = new ReplayWindow();
      const arrive = (bytes: Uint8Array, counter: number): string => {
        if (flow.station(0, bytes) === null) return 'forged';
        if (!window.isNew(counter)) return 'again';
        window.record(counter);
        return 'taken';
      };
      const { bytes } = flow.send(9, randomBytes(rng, 30));
      expect(arrive(flipped(bytes, 8 * (OVERLAY_HEADER_BYTES + 40)), 9)).toBe('forged');
      expect([arrive(bytes, 9), arrive(bytes, 9)]).toEqual(['taken', 'again']);
      // A new counter on an old packet is a forgery.
      expect(arrive(flipped(bytes, 8 * (OVERLAY_HEADER_BYTES + 21) + 1), 11)).toBe('forged');
    },
  );

  test('one onion acknowledges several packets, those and no others', () => {
    const rng = new Rng(9);
    const flow = full(p, rng, 3);
    const hs = Array.from({ length: 9 }, (_, i) => flow.send(i, randomBytes(rng, 9)).h);
    const batch = flow.onions.batchDigest(hs);
    const onion = flow.ackAt(0, batch, 0);
    expect(flow.unwrap(batch, 0, onion).reached).toBe(3);
    expect(flow.onions.batchDigest([hs[0]!])).toEqual(hs[0]);
    const others = [hs.slice(0, 8), hs.slice(1), hs.toReversed(), [hs[0]!], hs.with(4, hs[3]!)];
    for (const other of others)
      expect(flow.unwrap(flow.onions.batchDigest(other), 0, onion).noise).toBe(true);
    expect(() => flow.onions.batchDigest([...hs, hs[0]!])).toThrow('an onion acknowledges');
    expect(() => flow.onions.batchDigest([])).toThrow('an onion acknowledges');
  });

  test(
    'batches that begin with the same packet are sealed under different numbers, ' +
      'and each opens under its own bitmap only',
    () => {
      const rng = new Rng(13);
      const numbers: number[] = [];
      const spying = new Onions({
        ...p,
        encrypt: (key, number, beside, plain) => {
          numbers.push(number);
          return p.encrypt(key, number, beside, plain);
        },
      });
      const flow = full(p, rng, 1);
      const { id, ack } = flow.last;
      for (const counter of [0, 5, PROBED_COUNTER_MAX - 8]) {
        const hs = Array.from(
          { length: 9 },
          (_, i) => flow.send(counter + i, randomBytes(rng, 9)).h,
        );
        for (let bitmap = 0; bitmap < 256; bitmap += 1) {
          const h = spying.batchDigest(
            hs.filter((_, i) => i === 0 || (bitmap & (1 << (i - 1))) !== 0),
          );
          const onion = spying.ackOf(h, id, ack, counter, 7, bitmap);
          expect(flow.onions.unwrap(h, flow.list, counter, onion, bitmap)).toMatchObject({
            reached: 1,
            holdsUs: [7],
            noise: false,
          });
          expect(
            flow.onions.unwrap(h, flow.list, counter, onion, bitmap ^ (1 << rng.below(8))).noise,
          ).toBe(true);
          expect(flow.onions.unwrap(h, flow.list, counter + 1, onion, bitmap).noise).toBe(true);
        }
        spying.timeoutOf(hs[0]!, id, ack, counter, 7);
      }
      expect(new Set(numbers).size).toBe(3 * 257);
      expect(numbers.every((number) => Number.isSafeInteger(number))).toBe(true);
    },
  );

  test('damaged tails and onions are refused without an exception', () => {
    const rng = new Rng(10);
    const flow = full(p, rng, 4);
    const { h, counter } = flow.send(77, randomBytes(rng, 20));
    const tail = flow.onions.buildTail(h, flow.list, counter),
      onion = flow.ackAt(0, h, counter);
    const [first] = flow.list;
    const lastTail = flow.onions.buildTail(h, [flow.last], counter);
    for (let round = 0; round < 3_000; round += 1) {
      const bad = mutate(rng, rng.chance(0.5) ? tail : onion, rng.chance(0.5) ? onion : tail);
      const peeled = flow.onions.peel(h, bad, first!.forward, first!.id, counter);
      expect(peeled === null || bad.every((byte, i) => byte === tail[i])).toBe(true);
      expect(
        flow.unwrap(h, counter, bad).reached === 0 || bad.every((byte, i) => byte === onion[i]),
      ).toBe(true);
      const badLast = mutate(rng, lastTail, tail);
      expect(
        !flow.onions.isLast(h, badLast, flow.last.forward, flow.last.id, counter) ||
          badLast.every((byte, i) => byte === lastTail[i]),
      ).toBe(true);
    }
    for (let length = 0; length < tail.length; length += 1)
      expect(
        flow.onions.peel(h, tail.subarray(0, length), first!.forward, first!.id, counter),
      ).toBeNull();
    for (let length = 0; length < onion.length; length += 1)
      expect(flow.unwrap(h, counter, onion.subarray(0, length)).noise).toBe(true);
  });
});

describe('bounds', () => {
  const rng = new Rng(11);
  const flow = full(cheapPrimitives, rng, 3);
  const { h } = flow.send(1, Uint8Array.of(1));
  const [first, second, last] = flow.list as [Station, Station, Station];

  test('a timer is rounded up to its unit and must fit', () => {
    const timed = (timerUs: number): number => {
      const tail = flow.onions.buildTail(h, [{ ...first, timerUs }, last], 1);
      return flow.onions.peel(h, tail, first.forward, first.id, 1)!.timerUs;
    };
    expect([0, 1, TIMER_UNIT_US, TIMER_UNIT_US + 1, TIMER_US_MAX].map(timed)).toEqual([
      0,
      TIMER_UNIT_US,
      TIMER_UNIT_US,
      2 * TIMER_UNIT_US,
      TIMER_US_MAX,
    ]);
    expect(() => timed(TIMER_US_MAX + 1)).toThrow('a timer fits its field');
  });

  test('a list has 1 to 32 elements', () => {
    expect(() => flow.onions.buildTail(h, [], 1)).toThrow('1 to 32');
    expect(() =>
      flow.onions.buildTail(
        h,
        Array.from({ length: 33 }, () => first),
        1,
      ),
    ).toThrow('1 to 32');
  });

  test(
    'a probe wraps nothing that can not come from the nodes behind it, ' +
      'so that those before it need not refuse it',
    () => {
      const inner = (layers: number, more = 0): Uint8Array =>
        new Uint8Array(layers * ONION_LAYER_BYTES + more);
      const wrap = (onion: Uint8Array, behind: number): Uint8Array | null =>
        flow.onions.wrap(h, second.id, second.ack, 1, 0, onion, behind);
      for (const bad of [inner(0), inner(0, 24), inner(1, 1), inner(2)])
        expect(wrap(bad, 1)).toBeNull();
      expect(wrap(inner(1), 1)!.length).toBe(2 * ONION_LAYER_BYTES);
      expect(wrap(inner(31), 31)!.length).toBe(32 * ONION_LAYER_BYTES);
    },
  );

  test(
    'a timeout and a later batch that begins with the ' +
      'same counter are sealed under different numbers',
    () => {
      const timeout = flow.onions.timeoutOf(h, first.id, first.ack, 1, 7);
      const numbers = new Set<number>();
      const spying = new Onions({
        ...cheapPrimitives,
        encrypt: (key, number, beside, plain) => {
          numbers.add(number);
          return cheapPrimitives.encrypt(key, number, beside, plain);
        },
      });
      spying.timeoutOf(h, first.id, first.ack, 1, 7);
      spying.wrap(h, first.id, first.ack, 1, 7, timeout, 2);
      spying.timeoutOf(h, first.id, first.ack, 2, 7);
      expect(numbers.size).toBe(3);
    },
  );

  test('a hold time that is too long for its field is cut', () => {
    const onion = flow.wrapUp(0, 1, flow.onions.timeoutOf(h, second.id, second.ack, 1, 1e12), h, 1);
    expect(flow.unwrap(h, 1, onion).holdsUs[1]).toBe(0xffff_ffff);
  });
});

test('what a layer costs', () => {
  const rng = new Rng(12);
  const report: string[] = [];
  const time = (name: string, times: number, per: number, run: () => unknown): void => {
    let best = Infinity;
    for (let round = 0; round < 8; round += 1) {
      const start = process.hrtime.bigint();
      for (let i = 0; i < times; i += 1) run();
      best = Math.min(best, Number(process.hrtime.bigint() - start) / 1_000 / times / per);
    }
    report.push(`${name} ${best.toFixed(1)} us`);
  };
  for (const nodes of [1, 8, 32]) {
    const flow = full(nodePrimitives, rng, nodes);
    const { bytes, h, counter } = flow.send(1, randomBytes(rng, 500));
    const packet = new Packet(),
      data = new ProbedData();
    packet.decode(bytes, 0, bytes.length, false);
    data.decode(packet);
    const onion = flow.ackAt(0, h, counter);
    const [first] = flow.list;
    report.push(`-- ${nodes} listed:`);
    time('digest', 300, 1, () => flow.onions.digestOf(packet, data.sealedEnd));
    time('build, per layer', 100, nodes, () => flow.onions.buildTail(h, flow.list, counter));
    if (nodes > 1)
      time('peel', 300, 1, () =>
        flow.onions.peel(h, data.tail, first!.forward, first!.id, counter),
      );
    if (nodes > 1)
      time('wrap', 300, 1, () =>
        flow.onions.wrap(
          h,
          first!.id,
          first!.ack,
          counter,
          0,
          onion.subarray(ONION_LAYER_BYTES),
          nodes,
        ),
      );
    time('ack', 300, 1, () => flow.onions.ackOf(h, first!.id, first!.ack, counter, 0));
    time('unwrap, per layer', 100, nodes, () => flow.unwrap(h, counter, onion));
    time('decode', 1_000, 1, () => data.decode(packet));
  }
  const source = makeExchangeKeys(rng),
    hop = makeExchangeKeys(rng);
  const cache = new FlowKeys(nodePrimitives);
  const flow = { source: SOURCE, destination: 9, epoch: 1, pathHigh: 0, pathLow: 0 };
  report.push('-- keys:');
  time('kept', 300, 1, () => cache.of(flow, 5, source.secret, hop.publicKey));
  let path = 0;
  time('for another path', 100, 1, () =>
    cache.of({ ...flow, pathLow: (path += 1) }, 5, source.secret, hop.publicKey),
  );
  time('for another peer', 30, 1, () => {
    cache.clear();
    cache.of(flow, 5, source.secret, hop.publicKey);
  });
  console.log(report.join('\n'));
  expect(report).not.toHaveLength(0);
});

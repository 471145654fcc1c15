/**
 * A node that hears of revocation lists from neighbours who say whatever a test wants: liars,
 * laggards and honest ones.
 */

import { describe, expect, test } from 'vitest';

import { hex } from '../../../../src/core/base/bytes.ts';
import { nullLog } from '../../../../src/core/base/log.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import { MILLISECOND, SECOND, type Micros } from '../../../../src/core/base/time.ts';
import type { Membership } from '../../../../src/core/crypto/membership.ts';
import { RevocationExchange } from '../../../../src/core/routing/revocation-exchange.ts';
import type { RevocationLink } from '../../../../src/core/routing/revocation-peer.ts';
import { cheapPrimitives } from '../../../../src/lab/sim/cheap-primitives.ts';
import { SimAuthority } from '../../../../src/lab/sim/sim-authority.ts';
import {
  REVOCATIONS_BYTES_MAX,
  REVOCATIONS_MAX,
  type RevocationList,
} from '../../../../src/core/wire/certificate.ts';
import { DropCounters, DropReason } from '../../../../src/core/wire/drop.ts';
import {
  FRAME_REVOCATION_OFFER,
  FRAME_REVOCATION_PART,
  FRAME_REVOCATION_WANT,
} from '../../../../src/core/wire/frames.ts';
import {
  decodeRevocationOffer,
  decodeRevocationPart,
  decodeRevocationWant,
  encodeRevocationOffer,
  encodeRevocationPart,
  encodeRevocationWant,
  REVOCATION_PART_BYTES,
  REVOCATION_WANT_BYTES,
  revocationOfferBytes,
  revocationPartFrameBytes,
  type RevocationEntry,
  type RevocationOffer,
  type RevocationPart,
  type RevocationWant,
} from '../../../../src/core/wire/revocation.ts';
import { Lab } from './stations.ts';

const MS = MILLISECOND;
const NOW_S = 1_767_225_600;
const HIGHEST = 0xffff_ffff_ffff;

type Claim = Pick<RevocationList, 'authority' | 'number' | 'bytes'>;

/** A node under test and its neighbours. */
class Scene {
  readonly lab = new Lab();
  readonly authority = new SimAuthority(cheapPrimitives, new Rng(7));
  readonly drops = new DropCounters();
  readonly membership: Membership;
  readonly exchange: RevocationExchange;

  constructor(...others: readonly SimAuthority[]) {
    this.membership = this.authority.member(this.authority.issue(1, 'node'), this.lab, [
      this.authority,
      ...others,
    ]);
    this.exchange = new RevocationExchange({
      membership: this.membership,
      clock: this.lab,
      timers: this.lab.timers,
      log: nullLog,
      drops: this.drops,
    });
  }

  list(serials = 1): RevocationList {
    return this.authority.revoke(
      NOW_S,
      ...Array.from({ length: serials }, (_, i) => this.authority.issue(100 + i, `n${i}`)),
    );
  }

  held(): number {
    return this.membership.trust.revocations[0]?.number ?? -1;
  }
}

/** A neighbour whose every word a test decides. */
class Neighbour implements RevocationLink {
  readonly node: number;
  channel: { buffer: Uint8Array } | null = { buffer: new Uint8Array(0) };
  readonly liveness = { rtt: { smoothedUs: 10 * MS, variationUs: 0 }, lossOut: 0 };
  readonly offers: RevocationOffer[] = [];
  readonly wants: RevocationWant[] = [];
  readonly parts: RevocationPart[] = [];
  /** What it sends when it is asked; null: nothing. */
  serves: Claim | null = null;
  readonly #scene: Scene;
  readonly #sent: { type: number; buffer: Uint8Array }[] = [];

  constructor(scene: Scene, node: number) {
    this.#scene = scene;
    this.node = node;
    scene.exchange.onLinkState(this, true);
    this.#hear();
  }

  control(type: number, bodyBytes: number): number {
    const buffer = new Uint8Array(bodyBytes);
    this.channel = { buffer };
    if (this.#sent.length === 0) this.#scene.lab.after(5 * MS, () => this.#hear());
    this.#sent.push({ type, buffer });
    return 0;
  }

  /** Half a round trip later, what it was told is here. */
  #hear(): void {
    for (const { type, buffer } of this.#sent.splice(0)) {
      const message =
        type === FRAME_REVOCATION_OFFER
          ? decodeRevocationOffer(buffer, 0, buffer.length)
          : type === FRAME_REVOCATION_WANT
            ? decodeRevocationWant(buffer, 0, buffer.length)
            : decodeRevocationPart(buffer, 0, buffer.length);
      if (typeof message === 'number') throw new Error(`frame ${type} does not decode: ${message}`);
      if ('entries' in message) this.offers.push(message);
      else if ('missing' in message) this.#onWant(message);
      else this.parts.push(message);
    }
  }

  #onWant(want: RevocationWant): void {
    this.wants.push(want);
    if (this.serves === null || this.serves.number !== want.number) return;
    for (let index = 0; index < 24; index += 1)
      if ((want.missing & (1 << index)) !== 0) this.part(this.serves, index);
  }

  offer(asks: boolean, ...lists: readonly Claim[]): void {
    const body = new Uint8Array(revocationOfferBytes(lists.length));
    encodeRevocationOffer(asks, lists, body, 0);
    this.frame(FRAME_REVOCATION_OFFER, body);
  }

  want(list: Claim, missing: number): void {
    const body = new Uint8Array(REVOCATION_WANT_BYTES);
    encodeRevocationWant({ authority: hex(list.authority), number: list.number, missing }, body, 0);
    this.frame(FRAME_REVOCATION_WANT, body);
  }

  part(list: Claim, index: number): void {
    const body = new Uint8Array(revocationPartFrameBytes(list.bytes.length, index));
    encodeRevocationPart(list.authority, list.number, list.bytes, index, body, 0);
    this.frame(FRAME_REVOCATION_PART, body);
  }

  frame(type: number, body: Uint8Array): void {
    this.#scene.exchange.onControl(this, type, body, 0, body.length);
  }

  leave(): void {
    this.#scene.exchange.onLinkState(this, false);
  }

  get entries(): readonly RevocationEntry[] {
    return this.offers.flatMap(({ entries }) => entries);
  }
}

/** As `list`, with another number or other bytes, signed by nobody. */
function forged(list: RevocationList, number: number, serials = 4): Claim {
  const bytes = new Uint8Array(128 + 8 * serials);
  bytes.set(list.bytes.subarray(0, 64));
  bytes[2] = serials >> 8;
  bytes[3] = serials & 0xff;
  for (let i = 0; i < 6; i += 1) bytes[4 + i] = Math.floor(number / 2 ** (8 * (5 - i))) & 0xff;
  for (let i = 0; i < serials; i += 1)
    bytes.set([0, 0, 0, 0, 0, 0, (i + 1) >> 8, (i + 1) & 0xff], 64 + 8 * i);
  return { authority: list.authority, number, bytes };
}

describe('a list goes from neighbour to neighbour', () => {
  test(
    'a short one is pushed, ' + 'until the neighbour says that it has it; then there is silence',
    () => {
      const scene = new Scene();
      const a = new Neighbour(scene, 2);
      const list = scene.list();
      scene.membership.offerRevocations(list);
      scene.lab.run(6 * MS);
      expect(a.parts).toHaveLength(1);
      expect(a.parts[0]!.bytes).toEqual(list.bytes);
      expect(a.offers).toEqual([
        {
          asks: true,
          entries: [
            { authority: hex(list.authority), number: list.number, length: list.bytes.length },
          ],
        },
      ]);
      a.offer(false, list);
      scene.lab.run(60 * SECOND);
      expect([a.offers.length, a.parts.length]).toEqual([1, 1]);
    },
  );

  test(
    'to a neighbour that does not answer it is offered ever more rarely, ' +
      'and pushed a few times only',
    () => {
      const scene = new Scene();
      const a = new Neighbour(scene, 2);
      scene.membership.offerRevocations(scene.list());
      scene.lab.run(30 * SECOND);
      expect(a.parts.length).toBe(6);
      expect(a.offers.length).toBeLessThan(20);
      const before = a.offers.length;
      scene.lab.run(60 * SECOND);
      expect(a.offers.length - before).toBe(12);
    },
  );

  test('the longest is fetched in parts and offered on, and the one who had it is told', () => {
    const scene = new Scene();
    const a = new Neighbour(scene, 2),
      b = new Neighbour(scene, 3);
    const list = scene.list(REVOCATIONS_MAX);
    a.serves = list;
    a.offer(true, list);
    scene.lab.run(100 * MS);
    expect(scene.held()).toBe(list.number);
    expect([scene.exchange.accepted, scene.exchange.verified]).toEqual([1, 1]);
    expect(a.offers).toHaveLength(1);
    expect(a.offers[0]!.asks).toBe(false);
    expect(b.entries[0]).toMatchObject({ number: list.number, length: REVOCATIONS_BYTES_MAX });
    expect(b.parts).toEqual([]);
    b.want(list, 0xff_ffff);
    scene.lab.run(100 * MS);
    expect(b.parts.map(({ index }) => index)).toEqual(Array.from({ length: 24 }, (_, i) => i));
    expect(Buffer.concat(b.parts.map(({ bytes }) => bytes)).equals(list.bytes)).toBe(true);
  });

  test('parts that were lost are asked for again, and those alone', () => {
    const scene = new Scene();
    const a = new Neighbour(scene, 2);
    const list = scene.list(700);
    a.offer(true, list);
    scene.lab.run(6 * MS);
    expect(a.wants[0]!.missing).toBe(0b11111);
    for (const index of [0, 3]) a.part(list, index);
    scene.lab.run(100 * MS);
    expect(a.wants.at(-1)!.missing).toBe(0b10110);
    for (const index of [4, 1, 1, 2]) a.part(list, index);
    expect(scene.held()).toBe(list.number);
    const { length } = a.wants;
    scene.lab.run(10 * SECOND);
    expect(a.wants.length).toBe(length);
  });

  test('when two offer the same, the second is asked only when the first does not deliver', () => {
    const scene = new Scene();
    const a = new Neighbour(scene, 2),
      b = new Neighbour(scene, 3);
    const list = scene.list(700);
    b.serves = list;
    a.offer(true, list);
    b.offer(true, list);
    scene.lab.run(200 * MS);
    expect(a.wants.length).toBeGreaterThan(0);
    expect(b.wants).toEqual([]);
    scene.lab.run(100 * MS);
    expect(scene.held()).toBe(list.number);
  });

  test('one that is replaced while it is being fetched gives way to the newer', () => {
    const scene = new Scene();
    const a = new Neighbour(scene, 2);
    const older = scene.list(700),
      newer = scene.list(10);
    a.offer(true, older);
    scene.lab.run(6 * MS);
    a.serves = newer;
    a.offer(true, newer);
    scene.lab.run(50 * MS);
    expect(scene.held()).toBe(newer.number);
    a.want(older, 1);
    scene.lab.run(50 * MS);
    expect(a.parts.filter(({ number }) => number === older.number)).toEqual([]);
  });

  test(
    'an offer of what is held is answered, ' +
      'one that is an answer is not, and one of less is corrected',
    () => {
      const scene = new Scene();
      const older = scene.list(),
        list = scene.list();
      scene.membership.offerRevocations(list);
      const a = new Neighbour(scene, 2);
      scene.lab.run(6 * MS);
      expect(a.offers).toHaveLength(1);
      a.offer(false, list);
      a.offer(true, list);
      scene.lab.run(SECOND);
      expect(a.offers.map(({ asks }) => asks)).toEqual([true, false]);
      a.offer(true, older);
      scene.lab.run(SECOND);
      expect(a.entries.at(-1)!.number).toBe(list.number);
      expect(a.wants).toEqual([]);
    },
  );

  test('two authorities have a list each, fetched one after the other', () => {
    const first = new SimAuthority(cheapPrimitives, new Rng(7));
    const second = new SimAuthority(cheapPrimitives, new Rng(8), first.authority.network);
    const scene = new Scene(second);
    const a = new Neighbour(scene, 2);
    const lists = [
      scene.list(300),
      second.revoke(
        NOW_S,
        ...Array.from({ length: 300 }, (_, i) => second.issue(500 + i, `m${i}`)),
      ),
    ];
    lists.sort((x, y) => (hex(x.authority) < hex(y.authority) ? -1 : 1));
    a.offer(true, ...lists);
    for (const list of lists) {
      a.serves = list;
      scene.lab.run(SECOND);
    }
    expect(scene.membership.trust.revocations).toHaveLength(2);
  });

  test('nothing runs for a link that is down', () => {
    const scene = new Scene();
    const a = new Neighbour(scene, 2);
    a.offer(true, scene.list(700));
    scene.membership.offerRevocations(scene.list());
    a.leave();
    scene.lab.run(20 * MS);
    const counts = [a.offers.length, a.wants.length];
    a.offer(true, scene.list(1));
    scene.lab.run(10 * SECOND);
    expect([a.offers.length, a.wants.length]).toEqual(counts);
  });
});

describe('a neighbour that lies', () => {
  test(
    'with the highest number and a list of its ' + 'own making keeps nobody from the true one',
    () => {
      for (const serials of [4, REVOCATIONS_MAX]) {
        const scene = new Scene();
        const liar = new Neighbour(scene, 2),
          friend = new Neighbour(scene, 3);
        const list = scene.list(700);
        liar.serves = forged(list, HIGHEST, serials);
        friend.serves = list;
        liar.offer(true, liar.serves);
        friend.offer(true, list);
        scene.lab.run(200 * MS);
        expect(scene.held()).toBe(list.number);
        expect(scene.drops.of(DropReason.revocationForged)).toBe(1);
        // And the liar hears of the true one, whatever it said it had.
        expect(liar.offers.at(-1)).toMatchObject({
          asks: true,
          entries: [{ number: list.number }],
        });
      }
    },
  );

  test('with the highest number and no list at all keeps nobody from the true one either', () => {
    const scene = new Scene();
    const liar = new Neighbour(scene, 2),
      friend = new Neighbour(scene, 3);
    const list = scene.list(700);
    friend.serves = list;
    liar.offer(true, forged(list, HIGHEST, REVOCATIONS_MAX));
    friend.offer(true, list);
    scene.lab.run(100 * MS);
    expect(scene.held()).toBe(list.number);
    scene.lab.run(60 * SECOND);
    // It was asked a few times, and no more.
    expect(liar.wants.length).toBeLessThanOrEqual(16);
  });

  test('about the true number costs the wait for the other, no more', () => {
    const scene = new Scene();
    const liar = new Neighbour(scene, 2),
      friend = new Neighbour(scene, 3);
    const list = scene.list(700);
    liar.serves = { ...forged(list, list.number, 700) };
    friend.serves = list;
    liar.offer(true, liar.serves);
    friend.offer(true, list);
    scene.lab.run(100 * MS);
    expect(scene.drops.of(DropReason.revocationForged)).toBe(1);
    expect(scene.held()).toBe(list.number);
  });

  test('costs one verification a minute, however it goes on', () => {
    const scene = new Scene();
    const list = scene.list();
    let liar = new Neighbour(scene, 2);
    for (let i = 0; i < 590; i += 1) {
      const lie = forged(list, HIGHEST - 1_000 + i, i % 2 === 0 ? 4 : 400);
      liar.serves = lie;
      if (i % 3 === 0) liar.part(lie, 0);
      liar.offer(true, lie);
      if (i % 50 === 0) {
        liar.leave();
        liar = new Neighbour(scene, 2);
      }
      scene.lab.run(100 * MS);
    }
    expect(scene.exchange.verified).toBe(1);
    expect(scene.drops.of(DropReason.revocationForged)).toBe(1);
    expect(scene.drops.of(DropReason.revocationOverBudget)).toBeGreaterThan(500);
    // Then it may be mended.
    liar.serves = list;
    scene.lab.run(5 * SECOND);
    liar.offer(true, list);
    scene.lab.run(SECOND);
    expect(scene.held()).toBe(list.number);
  });

  test('with what is no list, or another list than it said, is counted as that', () => {
    const scene = new Scene();
    const list = scene.list(3);
    const a = new Neighbour(scene, 2),
      b = new Neighbour(scene, 3);
    a.part({ ...list, bytes: new Uint8Array(list.bytes.length) }, 0);
    b.part({ ...list, number: list.number + 1 }, 0);
    expect(scene.drops.snapshot()).toEqual({ revocationMalformed: 2 });
    expect([scene.exchange.verified, scene.held()]).toEqual([0, -1]);
  });

  test('about authorities that are not trusted is not asked for anything', () => {
    const scene = new Scene();
    const stranger = new SimAuthority(cheapPrimitives, new Rng(9));
    const list = stranger.revoke(NOW_S, stranger.issue(9, 'x'));
    const a = new Neighbour(scene, 2);
    a.offer(true, list);
    a.part(list, 0);
    scene.lab.run(SECOND);
    expect([a.wants, a.offers]).toEqual([[], []]);
    expect(scene.drops.snapshot()).toEqual({ certificateUnknownAuthority: 2 });
  });

  test('and wants all parts again and again gets a bounded number', () => {
    const scene = new Scene();
    const list = scene.list(REVOCATIONS_MAX);
    scene.membership.offerRevocations(list);
    const a = new Neighbour(scene, 2);
    const time: Micros = 10 * SECOND;
    for (let spent = 0; spent < time; spent += 10 * MS) {
      a.want(list, 0xff_ffff);
      scene.lab.run(10 * MS);
    }
    expect(a.parts.length).toBeLessThanOrEqual(96 + 100 * 10);
    expect(scene.drops.of(DropReason.revocationOverBudget)).toBeGreaterThan(0);
  });

  test('and sends bytes that mean nothing harms nothing', () => {
    const scene = new Scene();
    const rng = new Rng(11);
    const list = scene.list(400);
    const a = new Neighbour(scene, 2),
      friend = new Neighbour(scene, 3);
    friend.serves = list;
    for (let i = 0; i < 3_000; i += 1) {
      const body = new Uint8Array(
        rng.chance(0.5) ? 26 : revocationPartFrameBytes(list.bytes.length, rng.below(3)),
      );
      rng.fill(body);
      if (rng.chance(0.5)) body.set(list.authority, rng.below(2));
      if (rng.chance(0.5))
        body.set(
          [
            0,
            0,
            rng.below(256),
            rng.below(256),
            rng.below(256),
            rng.below(256),
            list.bytes.length >> 8,
            list.bytes.length & 0xff,
          ],
          16 + rng.below(2),
        );
      a.frame(FRAME_REVOCATION_OFFER + rng.below(3), body);
      if (i % 100 === 0) scene.lab.run(10 * MS);
    }
    friend.offer(true, list);
    scene.lab.run(SECOND);
    expect(scene.held()).toBe(list.number);
    expect(REVOCATION_PART_BYTES).toBeLessThan(list.bytes.length);
  });
});

/**
 * Records beside link state: who has whose, what certificates cost, and what a liar gets. Routers
 * on virtual wires, with real keys.
 */

import { describe, expect, test } from 'vitest';

import { MILLISECOND, SECOND } from '../../../../src/core/base/time.ts';
import type { Identity } from '../../../../src/core/crypto/membership.ts';
import {
  signAdvertisement,
  signNodeRecord,
} from '../../../../src/core/routing/signed-advertisement.ts';
import { DropReason } from '../../../../src/core/wire/drop.ts';
import { RECORD_HEAD_BYTES, type NodeStatement } from '../../../../src/core/wire/record.ts';
import { TEST_NOW_S, TestAuthority, WallClock } from './memberships.ts';
import { connect, Lab, Station, Stranger } from './stations.ts';

const A = 11,
  B = 12,
  C = 13,
  X = 30,
  EVE = 66;
const NUMBER = TEST_NOW_S * 10_000;

class Cast {
  readonly lab = new Lab();
  readonly wall = new WallClock(this.lab);
  readonly authority = new TestAuthority('net', 4);

  station(id: number, name = `n${id}`): Station {
    return new Station(
      this.lab,
      id,
      this.authority.member(this.authority.issue(id, name), this.wall),
    );
  }

  /** What `identity` says of itself `ago` seconds ago. */
  record(identity: Identity, sequence: number, epoch: number, ago = 0): Uint8Array {
    const wall = new WallClock(this.lab);
    wall.wrongBy = -ago * SECOND;
    const statement: NodeStatement = { instance: 9, epoch, key: new Uint8Array(32).fill(epoch) };
    return signNodeRecord(this.authority.member(identity, wall), sequence, statement).bytes;
  }
}

function besieged(): {
  cast: Cast;
  a: Station;
  eve: Stranger;
  x: Identity;
  epochOf: () => number | undefined;
} {
  const cast = new Cast();
  const a = cast.station(A);
  const eve = new Stranger(a, EVE);
  cast.lab.run(SECOND);
  return {
    cast,
    a,
    eve,
    x: cast.authority.issue(X, 'x'),
    epochOf: () => a.router.records!.nodeRecord(X)?.node.epoch,
  };
}

describe('records of one network', () => {
  test(
    'are known to all soon after they are made, ' +
      'each verified once, and tell who said them what it is',
    () => {
      const cast = new Cast();
      const stations = [A, B, C].map((id) => cast.station(id)) as [Station, Station, Station];
      const [a, b, c] = stations;
      connect(a, b);
      connect(b, c);
      connect(c, a);
      cast.lab.run(SECOND);
      for (const { router, drops } of stations) {
        for (const { id } of stations)
          expect(router.records!.nodeRecord(id)!.node).toMatchObject({
            epoch: 5,
            instance: 1_000 + id,
          });
        expect(router.records!.verified).toBe(2);
        expect(router.instanceOf(B)).toBe(1_000 + B);
        expect(drops.total).toBe(0);
      }
      b.epoch = 6;
      b.router.records!.renew();
      cast.lab.run(10 * MILLISECOND);
      expect([a, c].map(({ router }) => router.records!.nodeRecord(B)!.node.epoch)).toEqual([6, 6]);
      expect(a.records.filter(([node]) => node === B)).toEqual([
        [B, 5],
        [B, 6],
      ]);
    },
  );

  test(
    'an idle network renews them with the advertisements, ' +
      'and certificates do not travel again',
    () => {
      const cast = new Cast();
      const a = cast.station(A),
        eve = new Stranger(a, EVE);
      cast.lab.run(SECOND);
      eve.acknowledge([{ origin: A, sequence: a.router.database.sequence(A) }]);
      cast.lab.run(SECOND);
      const { certificates } = eve;
      expect(certificates).toBeGreaterThan(0);
      for (let i = 0; i < 10; i += 1) {
        cast.lab.run(100 * SECOND);
        eve.acknowledge([{ origin: A, sequence: a.router.database.sequence(A) }]);
      }
      cast.lab.run(SECOND);
      expect(eve.certificates).toBe(certificates);
      const numbers = new Set(eve.records.map(({ sequence }) => sequence));
      expect(numbers.size).toBeGreaterThanOrEqual(4);
      expect(numbers.size).toBeLessThanOrEqual(5);
      expect(numbers.size).toBe(new Set(eve.numbersOf(A)).size - 0);
    },
  );

  test('come back with their certificate when a neighbour has lost both', () => {
    const cast = new Cast();
    const a = cast.station(A),
      b = cast.station(B),
      c = cast.station(C);
    connect(a, b);
    connect(b, c);
    cast.lab.run(SECOND);
    expect(c.router.records!.nodeRecord(A)).not.toBeNull();
    c.membership!.replace({
      identity: c.membership!.identity,
      previous: [],
      trust: new TestAuthority('other', 9).trust(),
    });
    expect(c.router.records!.nodeRecord(A)).toBeNull();
    expect(c.records.at(-1)).toEqual([A, null]);
    c.membership!.replace({
      identity: c.membership!.identity,
      previous: [],
      trust: cast.authority.trust(),
    });
    cast.lab.run(12 * SECOND);
    expect(c.known).toEqual([A, B, C]);
    expect(c.router.records!.nodeRecord(A)!.node.epoch).toBe(5);
  });
});

describe('a certificate that is not there', () => {
  test('is asked for, and what names it is taken when it comes', () => {
    const { cast, a, eve, x, epochOf } = besieged();
    const said = signAdvertisement(cast.authority.member(x, cast.wall), NUMBER, false, []).bytes;
    eve.say(said);
    eve.tell(cast.record(x, NUMBER, 7));
    expect([a.known, epochOf()]).toEqual([[A], undefined]);
    expect(a.drops.snapshot()).toEqual({ linkStateUncertified: 2 });
    cast.lab.run(SECOND);
    expect(eve.listed).toContainEqual({ origin: X, sequence: 0 });
    expect(eve.hasAck(X, NUMBER)).toBe(false);
    eve.show(x.certificate.bytes);
    eve.say(said);
    eve.tell(cast.record(x, NUMBER, 7));
    expect([a.known, epochOf()]).toEqual([[A, X], 7]);
  });

  test(
    'in a flood of others that name nothing good leaves room for it, ' +
      'and questions are bounded',
    () => {
      const { cast, a, eve, x } = besieged();
      for (let i = 0; i < 600; i += 1)
        eve.show(new Uint8Array(200).fill(i % 251).fill(i >> 8, 0, 50));
      for (let i = 0; i < 300; i += 1)
        eve.say(
          signAdvertisement(cast.authority.member(x, cast.wall), NUMBER + i, false, []).bytes,
        );
      cast.lab.run(10 * MILLISECOND);
      expect(eve.listed.filter(({ origin }) => origin === X).length).toBeLessThanOrEqual(101);
      eve.show(x.certificate.bytes);
      eve.say(signAdvertisement(cast.authority.member(x, cast.wall), NUMBER, false, []).bytes);
      expect(a.known).toEqual([A, X]);
    },
  );
});

describe('a record is refused', () => {
  test('with any byte changed', () => {
    const { cast, a, eve, x, epochOf } = besieged();
    const bytes = cast.record(x, NUMBER, 7);
    eve.show(x.certificate.bytes);
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = bytes.slice();
      changed[at] = changed[at]! ^ (1 << (at % 8));
      const before = a.drops.total;
      eve.tell(changed);
      expect(epochOf(), `byte ${at}`).toBeUndefined();
      expect(a.drops.total, `byte ${at}`).toBe(before + 1);
      cast.lab.run(SECOND);
    }
    expect(a.drops.of(DropReason.linkStateForged)).toBeGreaterThan(
      bytes.length - RECORD_HEAD_BYTES - 10,
    );
    eve.tell(bytes);
    expect(epochOf()).toBe(7);
  });

  test('when another signed it, when it is old, and when it is older than what is held', () => {
    const { cast, a, eve, x, epochOf } = besieged();
    const own = cast.authority.issue(EVE, 'eve');
    for (const { certificate } of [x, own]) eve.show(certificate.bytes);
    eve.tell(cast.record({ ...own, certificate: { ...own.certificate, node: X } }, NUMBER, 1));
    eve.tell(cast.record({ ...x, signing: own.signing }, NUMBER, 1));
    eve.tell(cast.record(x, NUMBER, 1, 1_000));
    eve.tell(cast.record(x, NUMBER, 1, -301));
    expect(epochOf()).toBeUndefined();
    expect(a.drops.snapshot()).toEqual({
      linkStateOfAnother: 1,
      linkStateForged: 1,
      linkStateOutOfTime: 2,
    });
    eve.tell(cast.record(x, NUMBER + 1, 7));
    eve.tell(cast.record(x, NUMBER, 6));
    expect(epochOf()).toBe(7);
    expect(a.drops.of(DropReason.recordStale)).toBe(1);
  });

  test(
    'of a revoked node, and what was held of it goes at once; ' +
      'of one that fell silent after a lifetime',
    () => {
      const { cast, a, eve, x, epochOf } = besieged();
      const y = cast.authority.issue(X + 1, 'y');
      for (const { certificate } of [x, y]) eve.show(certificate.bytes);
      eve.tell(cast.record(x, NUMBER, 7));
      eve.tell(cast.record(y, NUMBER, 8));
      expect(epochOf()).toBe(7);
      expect(a.membership!.offerRevocations(cast.authority.revoke(x))).toBe('ok');
      expect(epochOf()).toBeUndefined();
      expect(a.records.at(-1)).toEqual([X, null]);
      eve.tell(cast.record(x, NUMBER + 1, 7));
      expect(a.drops.of(DropReason.certificateRevoked)).toBe(1);
      cast.lab.run(990 * SECOND);
      expect(a.router.records!.nodeRecord(X + 1)).not.toBeNull();
      cast.lab.run(15 * SECOND);
      expect(a.router.records!.nodeRecord(X + 1)).toBeNull();
    },
  );

  test('where nobody has certificates, and when the table is full', () => {
    const { cast, x } = besieged();
    const plain = new Station(cast.lab, B, null);
    const peer = new Stranger(plain, EVE);
    peer.tell(cast.record(x, NUMBER, 7));
    peer.show(x.certificate.bytes);
    expect(plain.drops.snapshot()).toEqual({ recordMalformed: 2 });
    const { a, eve, cast: other } = besieged();
    for (let i = 0; i < 1_100; i += 1)
      a.router.records!.database.install(
        { ...a.router.records!.nodeRecord(A)!, id: i },
        x.certificate,
        1e12,
      );
    const y = other.authority.issue(X, 'y');
    eve.show(y.certificate.bytes);
    eve.tell(other.record(y, NUMBER, 1));
    expect(a.drops.snapshot()).toEqual({ recordTableFull: 1 });
  });

  test('and a restarted node whose clock was set back jumps above its earlier record', () => {
    const cast = new Cast();
    const identity = cast.authority.issue(A, 'a');
    const wall = new WallClock(cast.lab);
    wall.wrongBy = -100 * SECOND;
    const b = cast.station(B),
      eve = new Stranger(b, EVE);
    eve.show(identity.certificate.bytes);
    eve.tell(cast.record(identity, NUMBER + 1_000_000, 1));
    const a = new Station(cast.lab, A, cast.authority.member(identity, wall));
    connect(a, b);
    cast.lab.run(2 * SECOND);
    expect(b.router.records!.nodeRecord(A)!.node.epoch).toBe(5);
    expect(b.router.records!.nodeRecord(A)!.sequence).toBeGreaterThan(NUMBER + 1_000_000);
  });
});

/**
 * Signed link state: who is believed, what a liar gets, and how nodes come back. Routers on virtual
 * wires, with real keys.
 */

import { describe, expect, test } from 'vitest';

import { SECOND } from '../../../../src/core/base/time.ts';
import type { Identity, Membership } from '../../../../src/core/crypto/membership.ts';
import { noblePrimitives } from '../../../../src/core/crypto/noble-primitives.ts';
import type { Primitives } from '../../../../src/core/crypto/primitives.ts';
import { signAdvertisement } from '../../../../src/core/routing/signed-advertisement.ts';
import { ROLE_CLIENT } from '../../../../src/core/wire/certificate.ts';
import { DropReason, type DropCounters } from '../../../../src/core/wire/drop.ts';
import {
  makeAdvertisement,
  SEQUENCE_MAX,
  type AdvertisedLink,
} from '../../../../src/core/wire/link-state.ts';
import { TEST_NOW_S, TestAuthority, WallClock } from './memberships.ts';
import { connect, Lab, Station, Stranger } from './stations.ts';

/** Ids of the cast. EVE is the neighbour that lies. */
const A = 11,
  B = 12,
  C = 13,
  X = 30,
  EVE = 66;
const NUMBER = TEST_NOW_S * 10_000;
const LIFETIME_S = 1_000;

class Cast {
  readonly lab = new Lab();
  readonly wall = new WallClock(this.lab);
  readonly authority = new TestAuthority('net', 4);
  /** Signatures of advertisements that were verified. */
  verifications = 0;
  readonly primitives: Primitives = {
    ...noblePrimitives,
    verify: (message, signature, key) => {
      this.verifications += 1;
      return noblePrimitives.verify(message, signature, key);
    },
  };

  member(
    id: number,
    name = `n${id}`,
    identity: Identity = this.authority.issue(id, name),
    wall = this.wall,
  ): Membership {
    return this.authority.member(identity, wall, this.primitives);
  }

  station(id: number): Station {
    return new Station(this.lab, id, this.member(id));
  }

  /** What `identity` says `ago` seconds ago, in any network it pleases. */
  words(
    identity: Identity,
    sequence: number,
    { ago = 0, leaving = false, links = [] as AdvertisedLink[] } = {},
  ): Uint8Array {
    const wall = new WallClock(this.lab);
    wall.wrongBy = -ago * SECOND;
    const { bytes } = signAdvertisement(
      this.authority.member(identity, wall),
      sequence,
      leaving,
      links,
    );
    this.shown.set(bytes, identity.certificate.bytes);
    return bytes;
  }

  /** What goes in front of words. */
  readonly shown = new WeakMap<Uint8Array, Uint8Array>();

  stranger(station: Station, id: number): Stranger {
    return new Stranger(station, id, (bytes) => this.shown.get(bytes) ?? null);
  }
}

const to = (node: number): AdvertisedLink => ({ node, latency: 1, loss: 0 });
const counted = (drops: DropCounters): string => JSON.stringify(drops.snapshot());

/** Router A, and its lying neighbour. */
function besieged(): { cast: Cast; a: Station; eve: Stranger; x: Identity } {
  const cast = new Cast();
  const a = cast.station(A);
  const eve = cast.stranger(a, EVE);
  cast.lab.run(SECOND);
  return { cast, a, eve, x: cast.authority.issue(X, 'x') };
}

describe('nodes of one network', () => {
  test(
    'believe what each other sign, ' +
      'call each other what the certificates say, and verify everything once',
    () => {
      const cast = new Cast();
      const stations = [A, B, C].map((id) => cast.station(id)) as [Station, Station, Station];
      const [a, b, c] = stations;
      connect(a, b);
      connect(b, c);
      connect(c, a);
      cast.lab.run(3 * SECOND);
      for (const station of stations) {
        expect(station.known).toEqual([A, B, C]);
        expect([A, B, C].map((id) => station.router.nameOf(id))).toEqual(['n11', 'n12', 'n13']);
        expect([A, B, C].every((id) => station.router.reachable(id))).toBe(true);
        expect(station.router.certificateOf(B)!.node).toBe(B);
        expect(counted(station.drops)).toBe('{}');
        const { verified, verifyFailed, accepted } = station.router.counters;
        expect([verified, verifyFailed]).toEqual([accepted, 0]);
      }
      expect(a.router.certificateOf(99)).toBeNull();
      const before = cast.verifications;
      expect(before).toBe(
        stations.reduce(
          (sum, { router }) => sum + router.counters.verified + router.records!.verified,
          0,
        ),
      );

      // Over the ring most advertisements arrive twice; the second one is free.
      cast.lab.run(3_000 * SECOND);
      const news = cast.verifications - before;
      const advertised = stations.reduce((sum, { router }) => sum + router.counters.advertised, 0);
      expect(news).toBeGreaterThan(20);
      // As many records as advertisements are renewed.
      expect(cast.verifications).toBeLessThanOrEqual(4 * advertised);
      expect(stations.every(({ known }) => known.length === 3)).toBe(true);
    },
  );

  test('a full advertisement crosses', () => {
    const { cast, a, eve } = besieged();
    const x = cast.authority.issue(X, 'x'.repeat(63));
    eve.say(cast.words(x, NUMBER, { links: Array.from({ length: 128 }, (_, i) => to(100 + i)) }));
    expect(a.router.database.get(X)!.advertisement.links).toHaveLength(128);
    expect(a.router.nameOf(X)).toBe('x'.repeat(63));
  });
});

describe('an advertisement is refused', () => {
  test('when it is not signed, and when it is in a network where nothing is', () => {
    const { cast, a, eve, x } = besieged();
    eve.say(makeAdvertisement(X, 7, false, 'x', []).bytes);
    const plain = new Station(cast.lab, B, null);
    const peer = cast.stranger(plain, EVE);
    peer.say(cast.words(x, NUMBER));
    for (const [station, stranger, number] of [
      [a, eve, 7],
      [plain, peer, NUMBER],
    ] as const) {
      expect(station.drops.of(DropReason.linkStateUnsigned)).toBe(1);
      expect(station.known).toEqual([station.id]);
      cast.lab.run(SECOND);
      expect(stranger.hasAck(X, number)).toBe(true);
    }
    expect(cast.verifications).toBe(0);
  });

  test('with any byte changed', () => {
    const { cast, a, eve, x } = besieged();
    const bytes = cast.words(x, NUMBER, { links: [to(A), to(B)] });
    for (let at = 0; at < bytes.length; at += 1) {
      const before = a.drops.total;
      const changed = bytes.slice();
      changed[at] = changed[at]! ^ (1 << (at % 8));
      cast.shown.set(changed, x.certificate.bytes);
      eve.say(changed);
      expect(a.known, `byte ${at}`).toEqual([A]);
      expect(a.drops.total, `byte ${at}`).toBe(before + 1);
      cast.lab.run(SECOND);
    }
    expect(a.drops.of(DropReason.linkStateOverBudget)).toBe(0);
    expect(a.drops.of(DropReason.linkStateForged)).toBeGreaterThan(64);
    expect(a.drops.of(DropReason.linkStateUncertified)).toBe(32);
    eve.say(bytes);
    expect(a.known).toEqual([A, X]);
  });

  test('under the certificate of another, or with the signature of another', () => {
    const { cast, a, eve, x } = besieged();
    const own = cast.authority.issue(EVE, 'eve');
    // Eve signs for X, with her own certificate and then with X's.
    const said = cast.words({ ...own, certificate: { ...own.certificate, node: X } }, NUMBER);
    eve.say(said);
    expect(counted(a.drops)).toBe('{"linkStateOfAnother":1}');
    eve.say(cast.words({ ...x, signing: own.signing }, NUMBER));
    expect(a.drops.of(DropReason.linkStateForged)).toBe(1);
    expect(a.known).toEqual([A]);
    expect(a.router.counters).toMatchObject({ verified: 0, verifyFailed: 2, accepted: 0 });
  });

  test('by somebody whose certificate does not count here', () => {
    const { cast, a, eve } = besieged();
    const elsewhere = new TestAuthority('other', 5),
      second = new TestAuthority('net', 6, cast.authority);
    const revoked = cast.authority.issue(X, 'x');
    expect(a.router.certificateOf(X)).toBeNull();
    const refused: [Identity, number, boolean][] = [
      [elsewhere.issue(X, 'x'), DropReason.certificateWrongNetwork, true],
      [second.issue(X, 'x'), DropReason.certificateUnknownAuthority, false],
      [
        cast.authority.issue(X, 'x', {
          validity: { notBeforeS: TEST_NOW_S + 100, notAfterS: TEST_NOW_S + 200 },
        }),
        DropReason.certificateNotYetValid,
        false,
      ],
      [
        cast.authority.issue(X, 'x', {
          validity: { notBeforeS: TEST_NOW_S - 100, notAfterS: TEST_NOW_S },
        }),
        DropReason.certificateExpired,
        false,
      ],
      [cast.authority.issue(X, 'x', { roles: ROLE_CLIENT }), DropReason.certificateRole, true],
      [
        {
          ...revoked,
          certificate: { ...revoked.certificate, bytes: revoked.certificate.bytes.slice(1) },
        },
        DropReason.certificateMalformed,
        true,
      ],
    ];
    refused.forEach(([identity, reason, acknowledged], i) => {
      eve.say(cast.words(identity, NUMBER + i));
      expect(a.drops.of(reason as DropReason), `case ${i}`).toBe(1);
      expect(a.known).toEqual([A]);
      cast.lab.run(SECOND);
      expect(eve.hasAck(X, NUMBER + i), `case ${i}`).toBe(acknowledged);
    });
    expect(cast.verifications).toBe(0);
  });

  test('when it was issued too long ago or too far ahead', () => {
    const { cast, a, eve, x } = besieged();
    [LIFETIME_S, LIFETIME_S + 1, 2 ** 27, -302, -(2 ** 40)].forEach((ago, i) => {
      eve.say(cast.words(x, NUMBER + i, { ago }));
      expect(a.drops.of(DropReason.linkStateOutOfTime), `${ago} s ago`).toBe(i + 1);
    });
    expect(cast.verifications).toBe(0);
    [LIFETIME_S - 2, -299].forEach((ago, i) => {
      eve.say(cast.words(x, NUMBER + i, { ago }));
      expect(a.router.database.sequence(X), `${ago} s ago`).toBe(NUMBER + i);
    });
  });
});

describe('a liar cannot bring back what is old', () => {
  test('a stale one costs nothing and is answered with the newer', () => {
    const { cast, a, eve, x } = besieged();
    const old = cast.words(x, NUMBER, { links: [to(A)] });
    eve.say(old);
    eve.say(cast.words(x, NUMBER + 1));
    cast.lab.run(SECOND);
    const before = cast.verifications;
    eve.say(old);
    expect(counted(a.drops)).toBe('{"linkStateStale":1}');
    expect(a.router.database.sequence(X)).toBe(NUMBER + 1);
    cast.lab.run(SECOND);
    expect(eve.numbersOf(X)).toContain(NUMBER + 1);
    expect(cast.verifications).toBe(before);
  });

  test('duplicates are verified once, also when their bytes differ', () => {
    const { cast, a, eve, x } = besieged();
    const said = cast.words(x, NUMBER);
    for (let i = 0; i < 50; i += 1) eve.say(said);
    eve.say(cast.words(x, NUMBER, { links: [to(A)] }));
    expect(cast.verifications).toBe(1);
    expect(a.router.counters.duplicates).toBe(50);
    expect(a.router.database.get(X)!.advertisement.bytes).toEqual(said);
  });

  test('the lifetime in the frame neither lengthens nor shortens a life', () => {
    const { cast, a, eve, x } = besieged();
    eve.say(cast.words(x, NUMBER, { ago: 900, links: [to(A)] }), 0xffff);
    const newer = cast.words(x, NUMBER + 1, { ago: 800 });
    eve.say(newer, 0);
    cast.lab.run(150 * SECOND);
    expect(a.router.database.sequence(X)).toBe(NUMBER + 1);
    cast.lab.run(52 * SECOND);
    expect(a.known).toEqual([A]);
    for (let i = 0; i < 5; i += 1) {
      eve.say(newer, 0xffff);
      cast.lab.run(100 * SECOND);
      expect(a.known).toEqual([A]);
    }
  });

  test(
    'one who left stays away for as long as its old words would count, ' +
      'and may return by itself',
    () => {
      const { cast, a, eve, x } = besieged();
      const old = cast.words(x, NUMBER, { ago: -290, links: [to(A)] });
      eve.say(old);
      eve.say(cast.words(x, NUMBER + 1, { leaving: true }), 1);
      expect(a.router.knows(X)).toBe(true);
      cast.lab.run(11 * SECOND);
      expect(a.router.knows(X)).toBe(false);
      expect(a.router.sortedRecords().map(({ advertisement }) => advertisement.origin)).toEqual([
        A,
      ]);
      for (let i = 0; i < 140; i += 1) {
        eve.say(old, 0xffff);
        cast.lab.run(10 * SECOND);
        expect(a.router.resolve('x'), `${i}`).toBeNull();
      }
      eve.say(cast.words(x, NUMBER + 2, { links: [to(A)] }));
      eve.say(cast.words(x, NUMBER + 3, { leaving: true }));
      eve.say(cast.words(x, NUMBER + 4, { links: [to(A)] }));
      expect(a.router.resolve('x')).toBe(X);
      expect(a.router.knows(X)).toBe(true);
    },
  );
});

describe('a certificate that ends', () => {
  test('by revocation takes its advertisement along at once, everywhere', () => {
    const { cast, a, eve, x } = besieged();
    const said = cast.words(x, NUMBER, { links: [to(A)] });
    eve.say(said);
    expect(a.known).toEqual([A, X]);
    const member = memberOf(a);
    expect(member.offerRevocations(cast.authority.revoke(x))).toBe('ok');
    expect(a.known).toEqual([A]);
    expect(a.router.certificateOf(X)).toBeNull();
    eve.say(said);
    expect(a.drops.of(DropReason.certificateRevoked)).toBe(1);
    expect(a.known).toEqual([A]);
    // Another certificate for the same node is another matter.
    eve.say(cast.words(cast.authority.issue(X, 'x2'), NUMBER - 5));
    expect(a.router.nameOf(X)).toBe('x2');
  });

  test('by time does so within a second or two', () => {
    const { cast, a, eve } = besieged();
    const x = cast.authority.issue(X, 'x', {
      validity: { notBeforeS: TEST_NOW_S, notAfterS: TEST_NOW_S + 60 },
    });
    const said = cast.words(x, NUMBER);
    eve.say(said);
    cast.lab.run(57 * SECOND);
    expect(a.known).toEqual([A, X]);
    cast.lab.run(4 * SECOND);
    expect(a.known).toEqual([A]);
    eve.say(said);
    expect(a.drops.of(DropReason.certificateExpired)).toBe(1);
  });

  test('of ours, replaced, is shown to all', () => {
    const cast = new Cast();
    const a = cast.station(A),
      b = cast.station(B);
    connect(a, b);
    cast.lab.run(SECOND);
    const renewed = cast.authority.issue(A, 'renamed');
    memberOf(a).replace({ identity: renewed, previous: [], trust: cast.authority.trust() });
    cast.lab.run(SECOND);
    expect(b.router.certificateOf(A)!.serial).toBe(renewed.certificate.serial);
    expect(b.router.resolve('renamed')).toBe(A);
  });

  test(
    'for a while only, because a clock went wrong, ' + 'is believed again soon after it is right',
    () => {
      const cast = new Cast();
      const wall = new WallClock(cast.lab);
      const a = cast.station(A),
        c = cast.station(C);
      const b = new Station(cast.lab, B, cast.member(B, 'n12', undefined, wall));
      connect(a, b);
      connect(b, c);
      cast.lab.run(SECOND);
      expect(b.known).toEqual([A, B, C]);
      wall.wrongBy = 10 * 365 * 86_400 * SECOND;
      cast.lab.run(100 * SECOND);
      expect(b.known).toEqual([B]);
      wall.wrongBy = 0;
      cast.lab.run(12 * SECOND);
      expect(b.known).toEqual([A, B, C]);
      expect(a.router.reachable(C)).toBe(true);
    },
  );
});

describe('credentials that arrive later', () => {
  test('make good what was refused, and what is refused holds nothing else up', () => {
    const cast = new Cast();
    const second = new TestAuthority('net', 6, cast.authority);
    const wide = cast.authority.member(cast.authority.issue(A, 'a'), cast.wall, cast.primitives, [
      second,
    ]);
    const a = new Station(cast.lab, A, wide);
    const feeder = cast.stranger(a, EVE);
    // More than may be under way at once, all of them nothing to B.
    const strangers = Array.from({ length: 70 }, (_, i) => second.issue(100 + i, `s${i}`));
    for (const identity of strangers) feeder.say(cast.words(identity, NUMBER));
    expect(a.known).toHaveLength(71);
    const b = cast.station(B);
    connect(a, b);
    cast.lab.run(20 * SECOND);
    expect(b.known).toEqual([A, B]);
    const x = cast.authority.issue(X, 'x');
    feeder.say(cast.words(x, NUMBER));
    cast.lab.run(SECOND);
    expect(b.known).toEqual([A, B, X]);
    expect(b.drops.of(DropReason.linkStateOverBudget)).toBe(0);
    const { identity } = memberOf(b);
    memberOf(b).replace({ identity, previous: [], trust: cast.authority.trust(second) });
    cast.lab.run(12 * SECOND);
    expect(b.known).toHaveLength(73);
  });
});

describe('our own number', () => {
  test(
    'is not moved by claims in lists, ' +
      'acknowledgements or forgeries, and they do not keep us silent',
    () => {
      const cast = new Cast();
      const a = cast.station(A);
      const eve = cast.stranger(a, EVE);
      const number = a.router.database.sequence(A);
      expect(number).toBe(NUMBER + 1);
      const huge = SEQUENCE_MAX - 1_000_000_000;
      eve.list([{ origin: A, sequence: huge }]);
      eve.acknowledge([{ origin: A, sequence: huge }]);
      const forger = {
        ...cast.authority.issue(A, 'a'),
        signing: cast.authority.issue(A, 'a').signing,
      };
      eve.say(cast.words(forger, huge));
      expect(a.drops.of(DropReason.linkStateForged)).toBe(1);
      cast.lab.run(SECOND);
      // Its links changed (Eve is there now), so there was one more, and Eve got it.
      const now = a.router.database.sequence(A);
      expect(now).toBeLessThan(NUMBER + 5);
      expect(eve.numbersOf(A)).toContain(now);
      eve.list([{ origin: A, sequence: huge }]);
      const heard = eve.heard.length;
      cast.lab.run(5 * SECOND);
      expect(eve.heard.length).toBeGreaterThan(heard);
      expect(a.router.database.sequence(A)).toBe(now);
    },
  );

  test('of a restarted node is ahead by itself', () => {
    const cast = new Cast();
    const a = cast.station(A),
      b = cast.station(B);
    const identity = memberOf(a).identity;
    connect(a, b);
    cast.lab.run(10 * SECOND);
    a.die();
    b.downTo(A);
    cast.lab.run(SECOND);
    const again = new Station(cast.lab, A, cast.member(A, 'n11', identity), 99);
    connect(again, b);
    cast.lab.run(SECOND);
    expect(b.router.database.get(A)!.advertisement.bytes).toEqual(
      again.router.database.get(A)!.advertisement.bytes,
    );
    expect(b.router.reachable(A)).toBe(true);
    expect(counted(b.drops)).toBe('{}');
  });

  test.each([
    ['100 s', 100],
    ['15 minutes', 900],
  ])('of a node restarted with a clock %s back jumps above its earlier run', (_what, back) => {
    const cast = new Cast();
    const a = cast.station(A),
      b = cast.station(B),
      c = cast.station(C);
    const identity = memberOf(a).identity;
    connect(a, b);
    connect(b, c);
    cast.lab.run(10 * SECOND);
    const earlier = c.router.database.sequence(A);
    a.die();
    b.downTo(A);
    const wall = new WallClock(cast.lab);
    wall.wrongBy = -back * SECOND;
    const again = new Station(cast.lab, A, cast.member(A, 'n11', identity, wall), 99);
    connect(again, b);
    cast.lab.run(SECOND);
    for (const station of [b, c]) {
      const record = station.router.database.get(A)!;
      expect(record.advertisement.sequence).toBeGreaterThan(earlier);
      expect(record.advertisement.sequence).toBeLessThanOrEqual(earlier + 0x1_0000 + 5);
      expect(record.advertisement.bytes).toEqual(again.router.database.get(A)!.advertisement.bytes);
      expect(station.router.reachable(A)).toBe(true);
    }
  });

  test('jumps above a good-bye of its own, and above a twin of equal number', () => {
    const { cast, a, eve } = besieged();
    const { identity } = memberOf(a);
    const mine = a.router.database.sequence(A);
    eve.say(cast.words(identity, mine, { links: [to(C)] }));
    cast.lab.run(SECOND);
    const above = a.router.database.sequence(A);
    expect(above).toBeGreaterThan(mine);
    eve.say(cast.words(identity, above + 50, { leaving: true, ago: 5_000 }));
    cast.lab.run(SECOND);
    expect(a.router.database.sequence(A)).toBeGreaterThan(above + 50);
    expect(a.router.database.get(A)!.advertisement.leaving).toBe(false);
    expect(eve.numbersOf(A)).toContain(a.router.database.sequence(A));
    // What is older than ours says nothing new, and costs nothing.
    const before = cast.verifications,
      last = a.router.database.sequence(A);
    eve.say(cast.words(identity, mine, { links: [to(C)] }));
    cast.lab.run(SECOND);
    expect([cast.verifications, a.router.database.sequence(A)]).toEqual([before, last]);
  });

  test('a clock that is set while we run makes us speak again', () => {
    const cast = new Cast();
    const wall = new WallClock(cast.lab);
    wall.wrongBy = -86_400 * SECOND;
    const b = cast.station(B);
    const a = new Station(cast.lab, A, cast.member(A, 'n11', undefined, wall));
    connect(a, b);
    cast.lab.run(5 * SECOND);
    expect(b.drops.of(DropReason.linkStateOutOfTime)).toBeGreaterThan(0);
    expect(b.known).toEqual([B]);
    wall.wrongBy = 0;
    cast.lab.run(3 * SECOND);
    expect(b.known).toEqual([A, B]);
  });
});

describe('the budget', () => {
  test('stops a neighbour that lies, not the others, and lets the truth through later', () => {
    const { cast, a, eve, x } = besieged();
    const good = cast.words(x, NUMBER + 1_000);
    const forged = cast.words({ ...x, signing: cast.authority.issue(X, 'x').signing }, NUMBER);
    const from = cast.verifications;
    for (let i = 0; i < 2_000; i += 1) eve.say(forged);
    const spent = cast.verifications - from;
    expect(spent).toBeGreaterThan(80);
    expect(spent).toBeLessThanOrEqual(2_048 / 21 + 1);
    expect(a.drops.of(DropReason.linkStateOverBudget)).toBe(2_000 - spent);
    cast.lab.run(2_000);
    eve.acked.length = 0;
    for (let i = 0; i < 200; i += 1) eve.say(forged);
    eve.say(good);
    expect(a.known).toEqual([A]);
    cast.lab.run(5_000);
    expect(eve.hasAck(X, NUMBER + 1_000)).toBe(false);

    const other = cast.stranger(a, EVE + 1);
    const y = cast.authority.issue(X + 1, 'y');
    other.say(cast.words(y, NUMBER));
    expect(a.known).toEqual([A, X + 1]);

    // The same words again, a moment later, as a neighbour that got no answer would say them; a new
    // link is no new budget.
    a.router.onLinkState(eve.link, false);
    a.router.onLinkState(eve.link, true);
    for (let i = 0; i < 200; i += 1) eve.say(forged);
    eve.say(good);
    expect(a.known).toEqual([A, X + 1]);
    cast.lab.run(SECOND);
    eve.say(good);
    expect(a.known).toEqual([A, X, X + 1]);
  });

  test('lets a whole database through at once', () => {
    const cast = new Cast();
    const a = cast.station(A);
    const eve = cast.stranger(a, EVE);
    for (const word of Array.from({ length: 300 }, (_, i) =>
      cast.words(cast.authority.issue(1_000 + i, `p${i}`), NUMBER),
    ))
      eve.say(word);
    expect(a.router.database.size).toBe(301);
    expect(a.drops.of(DropReason.linkStateOverBudget)).toBe(0);
  });

  test('a full table costs no verification', () => {
    const { cast, a, eve } = besieged();
    for (let i = 0; a.router.database.size < 1_000; i += 1)
      a.router.database.install(makeAdvertisement(1_000 + i, 1, false, '', []), 0, 1e12);
    eve.say(cast.words(cast.authority.issue(X, 'x'), NUMBER));
    expect(counted(a.drops)).toBe('{"linkStateTableFull":1}');
    expect(cast.verifications).toBe(0);
  });
});

test('daemons refuse a certificate that is not their own', () => {
  const cast = new Cast();
  expect(() => new Station(cast.lab, B, cast.member(A))).toThrow(/own node id/);
});

function memberOf(station: Station): Membership {
  return station.membership!;
}

/**
 * Attacks on the handshake of sealed links: who may not come in, what was recorded and comes again,
 * cookies, and the question for a key. Each names what the victim counted, and that honest links
 * did not notice.
 */

import { describe, expect, test } from 'vitest';

import { makeEndpoint } from '../../src/core/base/datagram.ts';
import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import type { Identity } from '../../src/core/crypto/membership.ts';
import type { Primitives } from '../../src/core/crypto/primitives.ts';
import { nodePrimitives } from '../../src/host/primitives/node-primitives.ts';
import { cheapPrimitives } from '../../src/lab/sim/cheap-primitives.ts';
import { cut, heal } from '../../src/lab/sim/faults.ts';
import { SIM_EPOCH, SimAuthority } from '../../src/lab/sim/sim-authority.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { ROLE_CLIENT } from '../../src/core/wire/certificate.ts';
import {
  DATAGRAM_COOKIE,
  DATAGRAM_KEY_ANSWER,
  DATAGRAM_KEY_REQUEST,
  DATAGRAM_SEALED_INIT,
  DATAGRAM_SEALED_RESPONSE,
} from '../../src/core/wire/datagram-header.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import {
  INIT_NOISE_END,
  KEY_AT,
  KEY_NONCE_AT,
  RESPONSE_NOISE_END,
  SEALED_INIT_BYTES,
  WIDE_INIT_BYTES,
} from '../../src/core/wire/sealed-handshake.ts';
import { DATAGRAM_BYTES_MAX } from '../../src/core/wire/sizes.ts';
import {
  counted,
  elsewhere,
  inject,
  isData,
  Stranger,
  Tap,
  verdict,
  workedBy,
} from '../support/attacker.ts';
import {
  chain,
  hosts,
  linked,
  linkOf,
  Network,
  useNetworks,
  wire,
  type NetworkOptions,
} from '../support/network.ts';

useNetworks();

const MS = MILLISECOND;
const NOW_S = SIM_EPOCH / SECOND;
const ALWAYS = { notBeforeS: NOW_S - 1_000, notAfterS: NOW_S + 100_000 };
const KINDS = [
  ['cheap', cheapPrimitives],
  ['real', nodePrimitives],
] as const;

interface Scene {
  readonly network: Network;
  readonly tap: Tap;
  readonly a: SimHost;
  readonly b: SimHost;
  readonly c: SimHost;
}

/**
 * a - b - c, all up, with honest traffic from end to end that must arrive whole whatever happens to
 * b.
 */
function scene(primitives: Primitives = cheapPrimitives, options: NetworkOptions = {}): Scene {
  const tap = new Tap();
  const network = chain(3, { primitives, onArrival: tap.onArrival, ...options });
  network.settle();
  const [a, b, c] = network.hosts as [SimHost, SimHost, SimHost];
  return { network, tap, a, b, c };
}

/** Runs `attack` beside a flow from a to c: nothing of it is lost, and no link goes down. */
function unharmed({ network, a, c }: Scene, attack: () => void): void {
  const downs = network.linkDowns;
  const flow = network.flow(a, c, { packetsPerSecond: 100, durationUs: 3 * SECOND });
  network.run(SECOND);
  attack();
  network.run(3 * SECOND);
  expect(flow.sent).toBe(300);
  expect(flow.meter.delivered).toBe(300);
  expect(network.linkDowns).toBe(downs);
}

function keyOf(host: SimHost): Uint8Array {
  return host.membership!.identity.exchange.publicKey;
}

/** Somebody with an identity of his choice, who trusts whom his victim trusts. */
function stranger({ network }: Scene, identity: Identity): Stranger {
  return new Stranger(network.world.authority!.member(identity, network.world));
}

const ID = 0x0a00_0099;

describe.each(KINDS)(
  'whoever has no right to a link gets none (%s primitives)',
  (_kind, primitives) => {
    const other = (s: Scene, network: Uint8Array | null): SimAuthority =>
      new SimAuthority(primitives, s.network.world.rng.fork('other authority'), network);
    const own = (s: Scene): SimAuthority => s.network.world.authority!;
    const forged = (s: Scene): Identity => {
      const identity = own(s).issue(ID, 'mallory');
      const bytes = identity.certificate.bytes.slice();
      bytes[bytes.length - 1]! ^= 1;
      return { ...identity, certificate: { ...identity.certificate, bytes } };
    };
    const revoked = (s: Scene): Identity => {
      const identity = own(s).issue(ID, 'mallory');
      expect(s.b.membership!.offerRevocations(own(s).revoke(NOW_S, identity))).toBe('ok');
      return identity;
    };
    test.each<[string, (s: Scene) => Identity, string]>([
      [
        'a certificate of another network',
        (s) => other(s, null).issue(ID, 'mallory'),
        'certificateWrongNetwork',
      ],
      [
        'one of an authority that says it is of this network',
        (s) => other(s, own(s).authority.network).issue(ID, 'mallory'),
        'certificateUnknownAuthority',
      ],
      ["one with a signature that is not the authority's", forged, 'certificateForged'],
      [
        'one that has expired',
        (s) => own(s).issue(ID, 'mallory', { notBeforeS: NOW_S - 100, notAfterS: NOW_S - 1 }),
        'certificateExpired',
      ],
      [
        'one that is not valid yet',
        (s) => own(s).issue(ID, 'mallory', { notBeforeS: NOW_S + 3_600, notAfterS: NOW_S + 7_200 }),
        'certificateNotYetValid',
      ],
      ['one that was revoked', revoked, 'certificateRevoked'],
      [
        'one that makes its owner a client only',
        (s) => own(s).issue(ID, 'mallory', ALWAYS, ROLE_CLIENT),
        'certificateRole',
      ],
      [
        'that of a neighbour, without its key',
        (s) => ({ ...own(s).issue(ID, 'mallory'), certificate: s.a.identity!.certificate }),
        'certificateOfAnother',
      ],
      ['that of the victim itself, with its keys', (s) => s.b.identity!, 'handshakeFromSelf'],
    ])('%s', (_what, identity, reason) => {
      const s = scene(primitives);
      unharmed(s, () => {
        const mallory = stranger(s, identity(s));
        const links = s.b.node.links.size;
        for (let i = 1; i <= 3; i += 1)
          expect(verdict(s.b, mallory.init(mallory.call(keyOf(s.b))), elsewhere(i))).toEqual({
            [reason]: 1,
          });
        expect(s.b.node.links.size).toBe(links);
      });
    });

    test('a valid one that means another node', () => {
      const s = scene(primitives);
      unharmed(s, () => {
        const eve = stranger(s, own(s).issue(ID, 'eve'));
        expect(verdict(s.b, eve.init(eve.call(keyOf(s.b), { node: s.c.id })), elsewhere())).toEqual(
          { handshakeForAnother: 1 },
        );
      });
    });

    test('a dial that wants one node and meets another, which has a valid certificate', () => {
      const network = hosts(2, { primitives, routes: false });
      const [a, b] = network.hosts as [SimHost, SimHost];
      network.connect(a, b);
      a.dials[0] = { ...a.dials[0]!, node: 0x0a00_0077 };
      network.startAll();
      network.run(2 * SECOND);
      expect(linked(a, b)).toBe(false);
      expect(b.node.drops.snapshot()).toEqual({ handshakeForAnother: b.node.drops.total });
    });

    test('an answer with the right key and a certificate that is for another key', () => {
      const network = hosts(2, { primitives, routes: false });
      const [a, b] = network.hosts as [SimHost, SimHost];
      network.connect(a, b);
      b.identity = {
        ...network.world.authority!.issue(b.id, b.name),
        exchange: b.identity!.exchange,
      };
      network.startAll();
      network.run(2 * SECOND);
      expect(linkOf(a, b)).toBeUndefined();
      expect(a.node.drops.of(DropReason.certificateOfAnother)).toBeGreaterThan(3);
    });
  },
);

describe.each(KINDS)('tampering with handshakes (%s primitives)', (_kind, primitives) => {
  test(
    'every byte of an INIT counts: flipped, ' + 'it is refused, and the genuine one is still taken',
    () => {
      const s = scene(primitives);
      unharmed(s, () => {
        const eve = stranger(s, s.network.world.authority!.issue(ID, 'eve'));
        const init = eve.init(eve.call(keyOf(s.b)));
        const reasons = counted(s.b, () => {
          for (let at = 0; at < init.length; at += 1) {
            const bad = init.slice();
            bad[at]! ^= 1 << (at & 7);
            // Without load nobody looks at the cookie's place.
            if (at >= SEALED_INIT_BYTES - 16) continue;
            inject(s.b, bad, elsewhere());
          }
        });
        expect(Object.values(reasons).reduce((sum, n) => sum + n)).toBe(INIT_NOISE_END + 16);
        expect(reasons['handshakeMacWrong']).toBeGreaterThan(INIT_NOISE_END);
        expect(s.b.node.links.of(ID)).toBeUndefined();
        expect(verdict(s.b, init, elsewhere())).toEqual({});
        expect(s.b.node.links.of(ID)!.state).toBe('connecting');
        s.network.run(6 * SECOND);
        expect(s.b.node.links.of(ID)!.state).toBe('down');
      });
    },
  );

  test('an INIT cut or grown at any length is refused', () => {
    const s = scene(primitives);
    const eve = stranger(s, s.network.world.authority!.issue(ID, 'eve'));
    const init = eve.init(eve.call(keyOf(s.b)));
    const long = new Uint8Array(DATAGRAM_BYTES_MAX + 1);
    long.set(init);
    for (let length = 0; length <= long.length; length += 1) {
      if (length === init.length) continue;
      const reason =
        length < 12
          ? 'datagramTooShort'
          : length > DATAGRAM_BYTES_MAX
            ? 'datagramTooLong'
            : length === WIDE_INIT_BYTES
              ? 'handshakeMacWrong'
              : 'handshakeMalformed';
      expect(verdict(s.b, long.slice(0, length), elsewhere())).toEqual({ [reason]: 1 });
    }
    expect(s.b.node.links.size).toBe(2);
  });

  test(
    'every byte of a RESPONSE counts, ' +
      'and forged ones in front of the genuine one do not spoil the call',
    () => {
      const tap = new Tap();
      const network = hosts(2, { primitives, onArrival: tap.onArrival });
      const [a, b] = network.hosts as [SimHost, SimHost];
      network.connect(a, b);
      let tried = 0;
      let reasons: Record<string, number> = {};
      tap.rule = (w, bytes) => {
        if (bytes[0] !== DATAGRAM_SEALED_RESPONSE || tried > 0) return true;
        reasons = counted(a, () => {
          for (let at = 0; at < bytes.length; at += 1) {
            const bad = bytes.slice();
            bad[at]! ^= 1 << (at & 7);
            inject(a, bad, w.from.endpoint);
            tried += 1;
            expect(linkOf(a, b)?.up ?? false).toBe(false);
          }
          for (let length = 12; length < bytes.length; length += 40)
            inject(a, bytes.slice(0, length), w.from.endpoint);
        });
        return true;
      };
      network.startAll();
      expect(network.until(() => linked(a, b), SECOND)).toBeLessThan(50 * MS);
      expect(tried).toBe(RESPONSE_NOISE_END + 16);
      expect(reasons['handshakeMacWrong']).toBeGreaterThan(RESPONSE_NOISE_END - 12);
      expect(reasons['handshakeMalformed']).toBeGreaterThan(5);
    },
  );
});

describe('what was recorded and comes again', () => {
  test('an INIT while its link is up is refused; of the link nothing moves', () => {
    const s = scene();
    const [init] = s.tap.inits(s.a, s.b);
    unharmed(s, () => {
      const channel = linkOf(s.b, s.a)!.channel;
      for (const from of [s.a.endpoint, elsewhere()])
        expect(verdict(s.b, init!, from)).toEqual({ handshakeReplayed: 1 });
      expect(linkOf(s.b, s.a)!.channel).toBe(channel);
      expect(channel!.endpoint.key).toBe(s.a.endpoint.key);
    });
  });

  test(
    'an INIT of an older round that never arrived is answered at most; ' +
      'the link stays with its channel',
    () => {
      const tap = new Tap();
      const network = chain(2, { onArrival: tap.onArrival });
      const [a, b] = network.hosts as [SimHost, SimHost];
      let held: Uint8Array | null = null;
      tap.rule = (_w, bytes) => {
        if (bytes[0] !== DATAGRAM_SEALED_INIT || network.now > 4 * SECOND) return true;
        held ??= bytes.slice();
        return false;
      };
      network.startAll();
      expect(network.until(() => linked(a, b), 12 * SECOND)).not.toBeNull();
      network.run(2 * SECOND);
      expect(verdict(b, held!, a.endpoint)).toEqual({ handshakeReplayed: 1 });
      network.run(10 * SECOND);
      expect(network.linkDowns).toBe(0);
    },
  );

  test('an INIT after the link went down brings up no link, and what it left is forgotten', () => {
    const tap = new Tap();
    const network = chain(2, { onArrival: tap.onArrival, routes: false });
    const [a, b] = network.hosts as [SimHost, SimHost];
    network.settle();
    const inits = tap.inits(a, b),
      data = tap.data(a, b);
    a.crash();
    expect(network.until(() => linkOf(b, a)?.up !== true, 2 * SECOND)).not.toBeNull();
    network.run(3 * SECOND);
    const reasons = counted(b, () => {
      for (const bytes of [...inits, ...data, ...inits]) inject(b, bytes, a.endpoint);
    });
    expect(reasons).toEqual({ receiverIndexUnknown: data.length });
    expect(linkOf(b, a)!.state).toBe('connecting');
    network.run(6 * SECOND);
    expect(linkOf(b, a)!.state).toBe('down');
    expect(network.linkUps).toBe(2);
    network.run(40 * SECOND);
    expect(b.node.links.size).toBe(0);
  });

  test("INITs and data of before the victim's restart bring up nothing and deliver nothing", () => {
    const s = scene();
    s.network.flow(s.a, s.b, { packetsPerSecond: 50, durationUs: SECOND });
    s.network.run(2 * SECOND);
    const recorded = s.tap.seen.filter((one) => one.to === s.b);
    s.b.crash();
    s.network.run(SECOND);
    cut(s.a, s.b);
    cut(s.b, s.c);
    s.b.start();
    s.network.run(SECOND);
    const ups = s.network.linkUps;
    const before = s.b.node.pool.inUse;
    const reasons = counted(s.b, () => {
      for (const one of recorded) inject(s.b, one.bytes, one.from.endpoint);
    });
    expect(reasons['receiverIndexUnknown']).toBe(
      recorded.filter((one) => isData(one.bytes)).length,
    );
    expect(s.b.node.pool.inUse).toBe(before);
    expect(s.b.node.links.size).toBeLessThanOrEqual(2);
    s.network.run(7 * SECOND);
    expect(s.network.linkUps).toBe(ups);
    expect([...s.b.node.links.all()].some((link) => link.state !== 'down')).toBe(false);
    heal(s.a, s.b);
    heal(s.b, s.c);
    expect(s.network.until(() => linked(s.a, s.b) && linked(s.b, s.c), 3 * SECOND)).not.toBeNull();
  });

  test('a RESPONSE answers one call once', () => {
    const s = scene();
    const [response] = s.tap.responses(s.b, s.a);
    unharmed(s, () => {
      expect(verdict(s.a, response!, s.b.endpoint)).toEqual({ handshakeUnexpected: 1 });
      expect(verdict(s.b, response!, s.a.endpoint)).toEqual({ handshakeUnexpected: 1 });
    });
  });

  test('what a daemon sent does not impress it when it comes back', () => {
    const s = scene();
    s.network.run(SECOND);
    unharmed(s, () => {
      expect(verdict(s.a, s.tap.inits(s.a, s.b)[0]!, s.b.endpoint)).toEqual({
        handshakeMacWrong: 1,
      });
      expect(verdict(s.b, s.tap.responses(s.b, s.a)[0]!, s.a.endpoint)).toEqual({
        handshakeUnexpected: 1,
      });
      for (const bytes of s.tap.data(s.a, s.b))
        expect(verdict(s.a, bytes, s.b.endpoint)).toEqual({ receiverIndexUnknown: 1 });
    });
  });

  test(
    'a copy of each handshake datagram that is first, ' +
      'from elsewhere, neither keeps a link down nor moves it',
    () => {
      const tap = new Tap();
      const network = chain(2, { onArrival: tap.onArrival });
      const [a, b] = network.hosts as [SimHost, SimHost];
      tap.rule = (w, bytes) => {
        if (!isData(bytes)) inject(w.to, bytes, elsewhere());
        return true;
      };
      network.startAll();
      expect(network.until(() => linked(a, b), SECOND)).not.toBeNull();
      network.run(3 * SECOND);
      expect(network.linkDowns).toBe(0);
      expect(linkOf(a, b)!.endpoint.key).toBe(b.endpoint.key);
      expect(linkOf(b, a)!.endpoint.key).toBe(a.endpoint.key);
    },
  );
});

describe('one side sealed and the other not', () => {
  test.each([
    ['the sealed one dials', true],
    ['the plain one dials', false],
  ])('no link, and both say why: %s', (_what, sealedDials) => {
    const sealed = new Network({ routes: false }),
      plain = new Network({ security: 'none', routes: false });
    const a = sealed.add('sealed'),
      b = plain.add('plain');
    const dialler = sealedDials ? a : b,
      other = sealedDials ? b : a;
    dialler.dials.push({
      address: '10.0.0.1',
      port: other.endpoint.port,
      node: null,
      ...(sealedDials ? { key: a.identity!.exchange.publicKey } : {}),
    });
    const far = makeEndpoint('10.0.0.1', other.endpoint.port);
    // A wire between two worlds: what one sends arrives in the other at once.
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      from.wires.set(far.key, {
        from,
        to,
        get model(): never {
          throw new Error('unused');
        },
        datagrams: 0,
        ipBytes: 0,
      });
      from.world.transmit = (_wire, bytes, length) => {
        to.onDatagram(bytes.slice(0, length), far);
      };
    }
    other.start();
    dialler.start();
    for (let i = 0; i < 200; i += 1) {
      sealed.run(10 * MS);
      plain.run(10 * MS);
    }
    expect(other.node.drops.of(DropReason.securityMismatch)).toBeGreaterThan(5);
    expect(other.node.drops.snapshot()).toEqual({ securityMismatch: other.node.drops.total });
    expect(a.node.links.size + b.node.links.size).toBe(0);
  });
});

/**
 * Takes what the budget has above the level at which cookies are asked for; returns how many INITs
 * that took.
 */
function busy(s: Scene, eve: Stranger): number {
  for (let i = 0; i < 300; i += 1) {
    const reasons = verdict(
      s.b,
      eve.init(eve.call(keyOf(s.b), { index: 50_000 + i })),
      elsewhere(i),
    );
    if (reasons['handshakeCookieAsked'] === 1) return i;
  }
  throw new Error('never asked for a cookie');
}

/** The cookie that b sends for an INIT from `from`, which has a wire of its own. */
function cookieFor(s: Scene, init: Uint8Array, from: ReturnType<typeof elsewhere>): Uint8Array {
  let cookie: Uint8Array | null = null;
  s.b.wires.set(from.key, {
    from: s.b,
    to: s.b,
    get model(): never {
      throw new Error('unused');
    },
    datagrams: 0,
    ipBytes: 0,
  });
  const { transmit } = s.network.world;
  s.network.world.transmit = (_wire, bytes, length) => {
    cookie = bytes.slice(0, length);
  };
  inject(s.b, init, from);
  s.network.world.transmit = transmit;
  s.b.wires.delete(from.key);
  expect(cookie![0]).toBe(DATAGRAM_COOKIE);
  return cookie!;
}

describe.each(KINDS)('cookies (%s primitives)', (_kind, primitives) => {
  test(
    "show that an address is its owner's: taken from there, " +
      'not from elsewhere, and not when too old',
    () => {
      const s = scene(primitives);
      unharmed(s, () => {
        const { network, b } = s;
        const eve = stranger(s, network.world.authority!.issue(ID, 'eve'));
        expect(busy(s, eve)).toBeLessThanOrEqual(100);
        const call = eve.call(keyOf(b));
        const cookie = cookieFor(s, eve.init(call), elsewhere(1));
        // A cookie that was tampered with, or is for another INIT, is none.
        for (let at = 12; at < cookie.length; at += 1) {
          const bad = cookie.slice();
          bad[at]! ^= 0x10;
          expect(eve.handshaker.onOther(bad, bad.length, b.endpoint, call).reason).toBe(
            DropReason.cookieBroken,
          );
        }
        expect(eve.handshaker.onOther(cookie, cookie.length, b.endpoint, call)).toMatchObject({
          reason: DropReason.none,
          retry: true,
        });
        const shown = eve.init(call);
        const worked = workedBy(b);
        expect(verdict(b, shown, elsewhere(2))).toEqual({ handshakeCookieAsked: 1 });
        const again = shown.slice();
        again[again.length - 1]! ^= 1;
        expect(verdict(b, again, elsewhere(1))).toEqual({ handshakeCookieAsked: 1 });
        expect(workedBy(b)).toBe(worked);
        expect(verdict(b, shown, elsewhere(1))).toEqual({});
        expect(workedBy(b)).toBe(worked + 1);
      });
    },
  );

  test(
    'are good for the time of one change of the secret and not of two; ' +
      'then there is a new one',
    () => {
      const s = scene(primitives);
      const { network, b } = s;
      const eve = stranger(s, network.world.authority!.issue(ID, 'eve'));
      busy(s, eve);
      const call = eve.call(keyOf(b));
      const cookie = cookieFor(s, eve.init(call), elsewhere(1));
      eve.handshaker.onOther(cookie, cookie.length, b.endpoint, call);
      const shown = eve.init(call);
      network.run(121 * SECOND);
      busy(s, eve);
      // Past the cookie: only then its age as an INIT shows.
      expect(verdict(b, shown, elsewhere(1))).toEqual({ handshakeReplayed: 1 });
      network.run(121 * SECOND);
      busy(s, eve);
      expect(verdict(b, shown, elsewhere(1))).toEqual({ handshakeCookieAsked: 1 });
      const fresh = eve.call(keyOf(b));
      const next = cookieFor(s, eve.init(fresh), elsewhere(1));
      eve.handshaker.onOther(next, next.length, b.endpoint, fresh);
      expect(verdict(b, eve.init(fresh), elsewhere(1))).toEqual({});
    },
  );
});

describe.each(KINDS)('the question for a key (%s primitives)', (_kind, primitives) => {
  /** a dials b and does not know its key. */
  function unknown(tap: Tap): { network: Network; a: SimHost; b: SimHost } {
    const network = hosts(2, { primitives, onArrival: tap.onArrival });
    const [a, b] = network.hosts as [SimHost, SimHost];
    network.connect(a, b, wire({ latencyUs: 10 * MS }));
    a.dials[0] = { address: b.endpoint.address, port: b.endpoint.port, node: null };
    return { network, a, b };
  }

  test('costs one more round trip', () => {
    const tap = new Tap();
    const { network, a, b } = unknown(tap);
    network.startAll();
    const took = network.until(() => linked(a, b), SECOND)!;
    expect(took).toBeGreaterThanOrEqual(50 * MS);
    expect(took).toBeLessThanOrEqual(55 * MS);
    expect([
      tap.of(DATAGRAM_KEY_REQUEST, a, b).length,
      tap.of(DATAGRAM_KEY_ANSWER, b, a).length,
    ]).toEqual([1, 1]);
  });

  test('an answer by somebody who has not seen the question is refused', () => {
    const tap = new Tap();
    const { network, a, b } = unknown(tap);
    tap.rule = (w, bytes) => {
      if (bytes[0] !== DATAGRAM_KEY_ANSWER) return true;
      for (let at = KEY_NONCE_AT; at < KEY_AT; at += 1) {
        const forged = bytes.slice().fill(9, KEY_AT);
        forged[at]! ^= 4;
        expect(verdict(a, forged, w.from.endpoint)).toEqual({ handshakeUnexpected: 1 });
      }
      expect(verdict(a, bytes.slice(0, 51), w.from.endpoint)).toEqual({ keyAnswerMalformed: 1 });
      return true;
    };
    network.startAll();
    expect(network.until(() => linked(a, b), SECOND)).toBeLessThanOrEqual(55 * MS);
  });

  test('a false answer by somebody on the way delays the link; it comes when he is gone', () => {
    const tap = new Tap();
    const { network, a, b } = unknown(tap);
    const mallory = network.world.authority!.issue(ID, 'mallory').exchange.publicKey;
    tap.rule = (_w, bytes) => {
      if (bytes[0] === DATAGRAM_KEY_ANSWER && network.now < 7 * SECOND) bytes.set(mallory, KEY_AT);
      return true;
    };
    network.startAll();
    network.run(7 * SECOND);
    expect(linked(a, b)).toBe(false);
    expect(b.node.drops.of(DropReason.handshakeMacWrong)).toBeGreaterThan(10);
    expect(network.until(() => linked(a, b), 8 * SECOND)).not.toBeNull();
    expect(b.node.links.size).toBe(1);
  });

  test('a peer that comes back with new keys is found again', () => {
    const tap = new Tap();
    const { network, a, b } = unknown(tap);
    network.settle();
    b.crash();
    network.run(2 * SECOND);
    b.identity = network.world.authority!.issue(b.id, b.name);
    b.start();
    const took = network.until(() => linked(a, b), 12 * SECOND);
    expect(took).not.toBeNull();
    expect(linkOf(a, b)!.certificate!.serial).toBe(b.identity.certificate.serial);
  });
});

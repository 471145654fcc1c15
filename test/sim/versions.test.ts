/**
 * Daemons of several wire versions: what two agree on, what who is in between can do about it, and
 * what somebody who is refused is told. Versions other than the release's own are those of a
 * laboratory: only their numbers differ.
 */

import { describe, expect, test } from 'vitest';

import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import { cheapPrimitives } from '../../src/lab/sim/cheap-primitives.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import {
  DATAGRAM_INIT,
  DATAGRAM_REFUSAL,
  DATAGRAM_RESPONSE,
  DATAGRAM_SEALED_INIT,
} from '../../src/core/wire/datagram-header.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import { HANDSHAKE_CHECK_AT } from '../../src/core/wire/handshake.ts';
import {
  encodeRefusal,
  REFUSAL_BYTES,
  REFUSAL_EXPIRED,
  refusalText,
} from '../../src/core/wire/refusal.ts';
import {
  INIT_NOISE_END,
  MAC_BYTES,
  SEALED_INIT_BYTES,
} from '../../src/core/wire/sealed-handshake.ts';
import { DATAGRAM_HEADER_BYTES } from '../../src/core/wire/sizes.ts';
import { WIRE_VERSIONS, type VersionRange } from '../../src/core/wire/versions.ts';
import { checksum, putU32, utf8Encode } from '../../src/core/base/bytes.ts';
import { counted, elsewhere, inject, Stranger, Tap } from '../support/attacker.ts';
import {
  hosts,
  linked,
  linkOf,
  useNetworks,
  type Network,
  type NetworkOptions,
} from '../support/network.ts';

useNetworks();

const SECURITIES = ['sealed', 'none'] as const;
const KINDS = SECURITIES.map((security) => [security] as const);

/** Two hosts, the first dials; each with versions of its own. */
function two(
  first: VersionRange,
  second: VersionRange,
  options: NetworkOptions = {},
): { network: Network; a: SimHost; b: SimHost } {
  const network = hosts(0, { routes: false, ...options });
  const [a, b] = [first, second].map((wireVersions, i) => network.add(`n${i}`, { wireVersions }));
  network.connect(a!, b!);
  network.startAll();
  return { network, a: a!, b: b! };
}

function versionOf(a: SimHost, b: SimHost): number | undefined {
  return linkOf(a, b)?.channel?.version;
}

/** What the only dial of `host` was told, in words. */
function told(host: SimHost): string | null {
  const [dial] = [...host.node.links.unanswered()];
  return dial?.refusal === null || dial === undefined ? null : refusalText(dial.refusal);
}

describe.each(KINDS)('security %s', (security) => {
  test.each<[VersionRange, VersionRange, number]>([
    [{ min: 2, max: 2 }, { min: 2, max: 2 }, 2],
    [{ min: 2, max: 3 }, { min: 2, max: 2 }, 2],
    [{ min: 2, max: 2 }, { min: 2, max: 3 }, 2],
    [{ min: 1, max: 2 }, { min: 2, max: 3 }, 2],
    [{ min: 2, max: 3 }, { min: 1, max: 2 }, 2],
    [{ min: 2, max: 3 }, { min: 2, max: 3 }, 3],
    [{ min: 1, max: 255 }, { min: 7, max: 9 }, 9],
    [{ min: 255, max: 255 }, { min: 1, max: 255 }, 255],
  ])('%o and %o speak %i, also after new keys', (first, second, version) => {
    const { network, a, b } = two(first, second, { security, config: { rekeyAfterUs: SECOND } });
    expect(network.until(() => linked(a, b), SECOND)).toBeLessThan(50 * MILLISECOND);
    const channel = linkOf(a, b)!.channel!;
    network.run(5 * SECOND);
    expect([versionOf(a, b), versionOf(b, a)]).toEqual([version, version]);
    expect(linkOf(a, b)!.channel).toBe(channel);
    if (security === 'sealed') expect(channel.rekeys).toBeGreaterThan(1);
    expect(network.linkDowns).toBe(0);
  });

  test.each<[VersionRange, VersionRange, string]>([
    [{ min: 2, max: 3 }, { min: 4, max: 5 }, 'no wire version in common: it speaks 4 to 5'],
    [{ min: 4, max: 5 }, { min: 2, max: 3 }, 'no wire version in common: it speaks 2 to 3'],
    [{ min: 6, max: 6 }, WIRE_VERSIONS, 'no wire version in common: it speaks 2 to 5'],
  ])(
    '%o and %o have none in common: the dial is told and goes on at its pace',
    (first, second, text) => {
      const tap = new Tap();
      const { network, a, b } = two(first, second, { security, onArrival: tap.onArrival });
      network.run(10 * SECOND);
      expect(linkOf(a, b)).toBeUndefined();
      expect(b.node.links.size).toBe(0);
      expect(told(a)).toBe(text);
      expect(b.node.drops.snapshot()).toEqual({
        handshakeVersion: b.node.drops.of(DropReason.handshakeVersion),
      });
      // 8 attempts at 250 to 312 ms, then pauses up to twice that: as for an address that does not
      // answer.
      const type = security === 'sealed' ? DATAGRAM_SEALED_INIT : DATAGRAM_INIT;
      const inits = tap.of(type, a, b).length;
      expect(inits).toBeGreaterThan(18);
      expect(tap.of(DATAGRAM_REFUSAL, b, a)).toHaveLength(inits);
      for (const refusal of tap.of(DATAGRAM_REFUSAL, b, a))
        expect(refusal.length).toBeLessThan(tap.of(type, a, b)[0]!.length);
    },
  );

  test(
    'a daemon is upgraded under its neighbour, one after the other: ' +
      'the link comes back each time, and speaks the newer at the end',
    () => {
      const { network, a, b } = two({ min: 1, max: 2 }, { min: 1, max: 2 }, { security });
      const comesBack = (): void =>
        expect(network.until(() => linked(a, b), 3 * SECOND)).not.toBeNull();
      comesBack();
      expect(versionOf(a, b)).toBe(2);
      const upgrade = (host: SimHost, wireVersions: VersionRange): void => {
        host.stop();
        host.configure({ wireVersions });
        host.start();
        comesBack();
      };
      upgrade(b, { min: 2, max: 3 });
      expect(versionOf(a, b)).toBe(2);
      upgrade(a, { min: 2, max: 3 });
      expect([versionOf(a, b), versionOf(b, a)]).toEqual([3, 3]);
      upgrade(a, { min: 3, max: 4 });
      expect([versionOf(a, b), versionOf(b, a)]).toEqual([3, 3]);
    },
  );

  test('a refusal that somebody invents is shown, and neither ends nor slows the dial', () => {
    const tap = new Tap();
    const { network, a, b } = two(WIRE_VERSIONS, WIRE_VERSIONS, {
      security,
      onArrival: tap.onArrival,
    });
    const forged = new Uint8Array(REFUSAL_BYTES);
    const inits: number[] = [];
    let blocked = true;
    tap.rule = (wire, bytes) => {
      if (wire.from !== a || (bytes[0] !== DATAGRAM_INIT && bytes[0] !== DATAGRAM_SEALED_INIT))
        return true;
      inits.push(network.now);
      encodeRefusal(bytes, REFUSAL_EXPIRED, WIRE_VERSIONS, null, forged);
      for (let i = 0; i < 5; i += 1) inject(a, forged, elsewhere());
      return !blocked;
    };
    network.run(1_500 * MILLISECOND);
    expect(inits.length).toBeGreaterThan(4);
    for (let i = 1; i < inits.length; i += 1)
      expect(inits[i]! - inits[i - 1]!).toBeLessThan(320 * MILLISECOND);
    expect(told(a)).toBe('the certificate has expired, by its clock');
    expect([...a.node.links.unanswered()][0]!.refusal!.from).toBe(elsewhere().key);
    blocked = false;
    expect(network.until(() => linked(a, b), SECOND)).toBeLessThan(400 * MILLISECOND);
  });

  test(
    'ten thousand INITs a second that nobody can answer cause a bounded number of refusals, ' +
      'and honest dials do not notice',
    () => {
      const { network, a, b } = two(WIRE_VERSIONS, WIRE_VERSIONS, { security });
      const sent: number[] = [];
      b.wires.set(elsewhere().key, b.wires.get(a.endpoint.key)!);
      const { transmit } = network.world;
      network.world.transmit = (wire, bytes, length) => {
        if (bytes[0] === DATAGRAM_REFUSAL) sent.push(length);
        else transmit.call(network.world, wire, bytes, length);
      };
      const init = new Uint8Array(64);
      init.set([
        security === 'sealed' ? DATAGRAM_SEALED_INIT : DATAGRAM_INIT,
        0,
        1,
        2,
        3,
        4,
        0,
        0,
        0,
        0,
        0,
        0,
        200,
        201,
      ]);
      for (let ms = 0; ms < 3_000; ms += 1) {
        for (let i = 0; i < 10; i += 1) inject(b, init, elsewhere());
        network.run(MILLISECOND);
      }
      expect(linked(a, b)).toBe(true);
      expect(b.node.drops.of(DropReason.handshakeVersion)).toBe(30_000);
      expect(sent.length).toBeGreaterThan(300);
      expect(sent.length).toBeLessThanOrEqual(50 + 3 * 100 + 1);
      expect(Math.max(...sent)).toBeLessThan(init.length);
      // Nothing is said to who asks with less than the answer has.
      const before = sent.length;
      network.run(SECOND);
      expect(counted(b, () => inject(b, init.slice(0, REFUSAL_BYTES), elsewhere()))).toEqual({
        handshakeVersion: 1,
      });
      expect(sent.length).toBe(before);
    },
  );
});

describe('who is in between', () => {
  /**
   * Changes what INITs say of versions, and makes all MACs right that can be made by who knows the
   * public keys.
   */
  const downgrade = (tap: Tap, max: number): void => {
    tap.rule = (wire, bytes) => {
      if (bytes[0] === DATAGRAM_INIT || bytes[0] === DATAGRAM_RESPONSE) {
        bytes[DATAGRAM_HEADER_BYTES + 1] = max;
        if (bytes[0] === DATAGRAM_RESPONSE) bytes[DATAGRAM_HEADER_BYTES + 2] = max;
        putU32(bytes, HANDSHAKE_CHECK_AT, checksum(bytes, 0, HANDSHAKE_CHECK_AT));
      } else if (bytes[0] === DATAGRAM_SEALED_INIT) {
        bytes[DATAGRAM_HEADER_BYTES + 1] = max;
        const key = cheapPrimitives.sha256(
          utf8Encode('spines mac'),
          wire.to.membership!.identity.exchange.publicKey,
        );
        bytes.set(
          cheapPrimitives.hmacSha256(key, bytes.subarray(0, INIT_NOISE_END)).subarray(0, MAC_BYTES),
          INIT_NOISE_END,
        );
      }
      return true;
    };
  };

  test(
    'cannot have a sealed link speak an older version: ' +
      'it does not come up while he tries, and comes up with the newest when he stops',
    () => {
      const tap = new Tap();
      const { network, a, b } = two(
        { min: 2, max: 3 },
        { min: 2, max: 3 },
        { onArrival: tap.onArrival, primitives: cheapPrimitives },
      );
      downgrade(tap, 2);
      network.run(5 * SECOND);
      expect([linkOf(a, b), linkOf(b, a)]).toEqual([undefined, undefined]);
      expect(Object.keys(b.node.drops.snapshot())).toEqual(['handshakeBroken']);
      expect(told(a)).toBe('the handshake does not open');
      tap.rule = () => true;
      expect(network.until(() => linked(a, b), SECOND)).not.toBeNull();
      expect(versionOf(a, b)).toBe(3);
    },
  );

  test('cannot make a link that is up go back when its keys are renewed', () => {
    const tap = new Tap();
    const { network, a, b } = two(
      { min: 2, max: 3 },
      { min: 2, max: 3 },
      { onArrival: tap.onArrival, config: { rekeyAfterUs: SECOND } },
    );
    network.run(2_500 * MILLISECOND);
    expect(versionOf(a, b)).toBe(3);
    downgrade(tap, 2);
    network.run(5 * SECOND);
    expect([versionOf(a, b), versionOf(b, a)]).toEqual([3, 3]);
    expect(network.linkDowns).toBe(0);
    expect(
      b.node.drops.of(DropReason.handshakeBroken) + a.node.drops.of(DropReason.handshakeBroken),
    ).toBeGreaterThan(5);
  });

  test('can do so without security: nothing is promised there', () => {
    const tap = new Tap();
    const { network, a, b } = two(
      { min: 2, max: 3 },
      { min: 2, max: 3 },
      { security: 'none', onArrival: tap.onArrival },
    );
    downgrade(tap, 2);
    expect(network.until(() => linked(a, b), SECOND)).not.toBeNull();
    expect(versionOf(a, b)).toBe(2);
  });
});

describe('the versions before versions', () => {
  test(
    'a handshake of version 1 is malformed, ' +
      'or of no version in common, whatever its bytes say',
    () => {
      const plain = two(WIRE_VERSIONS, WIRE_VERSIONS, { security: 'none' });
      plain.network.run(SECOND);
      const init = Uint8Array.from(
        Buffer.from(
          '1100000000000000000000020a00000100000000a1b2c3d4112233445566000119e77d1f',
          'hex',
        ),
      );
      expect(counted(plain.b, () => inject(plain.b, init, elsewhere()))).toEqual({
        handshakeMalformed: 1,
      });
      const sealed = two(WIRE_VERSIONS, WIRE_VERSIONS);
      sealed.network.run(SECOND);
      const old = new Uint8Array(435);
      const reasons = counted(sealed.b, () => {
        for (let min = 0; min < 256; min += 1) {
          for (let max = 0; max < 256; max += 1) {
            old.set([DATAGRAM_SEALED_INIT, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, min, max]);
            inject(sealed.b, old, elsewhere());
          }
        }
      });
      expect(Object.keys(reasons).sort()).toEqual(['handshakeMalformed', 'handshakeVersion']);
    },
  );
});

describe('what a refused dial is told', () => {
  test('that the key is wrong: who answers cannot know who dialled', () => {
    const network = hosts(2, { routes: false });
    const [a, b] = network.hosts as [SimHost, SimHost];
    network.connect(a, b);
    a.dials[0] = {
      ...a.dials[0]!,
      key: network.world.authority!.issue(0x0a00_0055, 'other').exchange.publicKey,
    };
    network.startAll();
    network.run(2 * SECOND);
    expect(told(a)).toBe(
      'it was dialled with a key that is not its own; it cannot tell who dialled',
    );
  });

  test(
    'that it is the node itself, revoked, ' +
      'expired or another than meant, each in words of its own',
    () => {
      const network = hosts(2, { routes: false });
      const [a, b] = network.hosts as [SimHost, SimHost];
      network.connect(a, b);
      a.dials[0] = { ...a.dials[0]!, node: 0x0a00_0077 };
      network.startAll();
      network.run(SECOND);
      expect(told(a)).toBe('it is not the node that was dialled');
      a.stop();
      a.dials[0] = { ...a.dials[0]!, node: null };
      b.membership!.offerRevocations(network.world.authority!.revoke(1_767_225_600, a.identity!));
      a.start();
      network.run(SECOND);
      expect(told(a)).toBe('the certificate is revoked');
    },
  );

  test('that one of the two has no security, either way', () => {
    const sealed = hosts(2, { routes: false });
    const [a, b] = sealed.hosts as [SimHost, SimHost];
    sealed.connect(a, b);
    sealed.startAll();
    sealed.run(SECOND);
    const before = sealed.world.wires.find((wire) => wire.from === b)!.datagrams;
    const plain = new Uint8Array(44).fill(0);
    plain.set([DATAGRAM_INIT, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 2, 2]);
    expect(counted(b, () => inject(b, plain, a.endpoint))).toEqual({ securityMismatch: 1 });
    expect(sealed.world.wires.find((wire) => wire.from === b)!.datagrams).toBe(before + 1);
    const open = two(WIRE_VERSIONS, WIRE_VERSIONS, { security: 'none' });
    open.network.run(SECOND);
    const stranger = new Stranger(sealed.world.authority!.member(a.identity!, sealed.world));
    expect(
      counted(open.b, () =>
        inject(
          open.b,
          stranger.init(stranger.call(b.membership!.identity.exchange.publicKey)),
          open.a.endpoint,
        ),
      ),
    ).toEqual({ securityMismatch: 1 });
    expect(SEALED_INIT_BYTES).toBeGreaterThan(REFUSAL_BYTES);
  });
});

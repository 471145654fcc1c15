/**
 * Twenty thousand attempts at a handshake in each second, from one address and from as many as
 * there are: the budgets for key exchanges, cookies and keys hold, honest links notice nothing, and
 * who has a right to a link gets it within a second and a half.
 */

import { describe, expect, test } from 'vitest';

import type { Endpoint } from '../../src/core/base/datagram.ts';
import { utf8Encode } from '../../src/core/base/bytes.ts';
import { Rng } from '../../src/core/base/rng.ts';
import { MILLISECOND, SECOND, type Micros } from '../../src/core/base/time.ts';
import { draw } from '../../src/core/crypto/keys.ts';
import { nodePrimitives } from '../../src/host/primitives/node-primitives.ts';
import { HANDSHAKES_BURST, HANDSHAKES_PER_SECOND } from '../../src/core/link/handshaker.ts';
import { cheapPrimitives } from '../../src/lab/sim/cheap-primitives.ts';
import { SimAuthority } from '../../src/lab/sim/sim-authority.ts';
import type { SimHost, Wire } from '../../src/lab/sim/world.ts';
import type { Primitives } from '../../src/core/crypto/primitives.ts';
import {
  DATAGRAM_COOKIE,
  DATAGRAM_KEY_ANSWER,
  DATAGRAM_KEY_REQUEST,
  DATAGRAM_REFUSAL,
  DATAGRAM_SEALED_INIT,
  DATAGRAM_SEALED_RESPONSE,
  encodeDatagramHeader,
} from '../../src/core/wire/datagram-header.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import {
  INIT_NOISE_END,
  KEY_DATAGRAM_BYTES,
  KEY_NONCE_AT,
  KEY_NONCE_BYTES,
  MAC_BYTES,
  SEALED_INIT_BYTES,
} from '../../src/core/wire/sealed-handshake.ts';
import { DATAGRAM_HEADER_BYTES } from '../../src/core/wire/sizes.ts';
import { putVersions, WIRE_VERSIONS } from '../../src/core/wire/versions.ts';
import { elsewhere, inject, Stranger, workedBy } from '../support/attacker.ts';
import { hosts, Inbox, linked, useNetworks, wire, type Network } from '../support/network.ts';

useNetworks();

const PER_SECOND = 20_000,
  SECONDS = 2.5,
  SPOOFED = 20_000;
/** What the cookies of one second may be, and of one address more. */
const COOKIES_PER_SECOND = 12_000,
  COOKIES_KEPT = 2_000,
  COOKIES_BURST = 2_000;

/** One attempt: bytes and where they come from. */
type Attempts = (scene: Scene, number: number) => { bytes: Uint8Array; from: Endpoint };

interface Scene {
  readonly network: Network;
  readonly rng: Rng;
  readonly victim: SimHost;
  readonly primitives: Primitives;
}

function build(primitives: Primitives, lateUs = 5 * MILLISECOND): Scene {
  const network = hosts(4, { primitives });
  const [a, victim, c, late] = network.hosts as [SimHost, SimHost, SimHost, SimHost];
  network.connect(a, victim);
  network.connect(victim, c);
  network.connect(late, victim, wire({ latencyUs: lateUs }));
  for (const host of [a, victim, c]) host.start();
  expect(network.until(() => linked(a, victim) && linked(c, victim), 2 * SECOND)).not.toBeNull();
  network.run(SECOND);
  return { network, victim, primitives, rng: new Rng(9) };
}

function garbage({ rng }: Scene): Uint8Array {
  const bytes = new Uint8Array(SEALED_INIT_BYTES);
  rng.fill(bytes);
  encodeDatagramHeader(DATAGRAM_SEALED_INIT, rng.u32(), 0, bytes);
  putVersions(bytes, DATAGRAM_HEADER_BYTES, WIRE_VERSIONS);
  return bytes;
}

/** What everybody can make who knows the victim's public key. */
function junk(scene: Scene): Uint8Array {
  const { primitives, victim } = scene;
  const bytes = garbage(scene);
  const key = primitives.sha256(utf8Encode('spines mac'), victim.identity!.exchange.publicKey);
  bytes.set(
    primitives.hmacSha256(key, bytes.subarray(0, INIT_NOISE_END)).subarray(0, MAC_BYTES),
    INIT_NOISE_END,
  );
  return bytes.fill(0, INIT_NOISE_END + MAC_BYTES);
}

const garbageAttempts: Attempts = (scene) => ({
  bytes: garbage(scene),
  from: elsewhere(scene.rng.below(1 << 20)),
});
/** Right MAC, junk inside: from 20,000 addresses, from one, and in the name of who dials later. */
const JUNK: Record<string, Attempts> = {
  'from 20,000 addresses': (scene) => ({
    bytes: junk(scene),
    from: elsewhere(scene.rng.below(SPOOFED)),
  }),
  'from one address': (scene) => ({ bytes: junk(scene), from: elsewhere(7) }),
  'in the name of who dials meanwhile': (scene) => ({
    bytes: junk(scene),
    from: scene.network.host(3).endpoint,
  }),
};

/** The question for a key, which takes no secret. */
function question(scene: Scene): Uint8Array {
  const bytes = new Uint8Array(KEY_DATAGRAM_BYTES);
  encodeDatagramHeader(DATAGRAM_KEY_REQUEST, scene.rng.u32(), 0, bytes);
  bytes.set(draw(scene.rng, KEY_NONCE_BYTES), KEY_NONCE_AT);
  return bytes;
}

/**
 * From `count` addresses that answer cookies, with good handshakes of a certificate that nobody
 * trusts.
 */
function cookieAttempts(scene: Scene, count: number): Attempts {
  const { network, victim, primitives } = scene;
  const foreign = new SimAuthority(
    primitives,
    network.world.rng.fork('foreign'),
    network.world.authority!.authority.network,
  );
  const mallory = new Stranger(
    foreign.member(foreign.issue(0x0a00_0099, 'mallory'), network.world),
  );
  const own = Array.from({ length: count }, (_, i) => {
    const call = mallory.call(victim.identity!.exchange.publicKey);
    return { address: elsewhere(i), call, bytes: mallory.init(call) };
  });
  const { transmit } = network.world;
  const wires = new Map<Wire, (typeof own)[number]>();
  for (const one of own) {
    const far: Wire = {
      from: victim,
      to: victim,
      get model(): never {
        throw new Error('unused');
      },
      datagrams: 0,
      ipBytes: 0,
    };
    wires.set(far, one);
    victim.wires.set(one.address.key, far);
  }
  network.world.transmit = (wire, bytes, length) => {
    const one = wires.get(wire);
    if (one === undefined) return transmit.call(network.world, wire, bytes, length);
    // What is refused after a cookie was shown is said, within its budget, and changes nothing.
    if (bytes[0] === DATAGRAM_REFUSAL) return;
    expect(bytes[0]).toBe(DATAGRAM_COOKIE);
    if (
      mallory.handshaker.onOther(bytes.slice(0, length), length, victim.endpoint, one.call)
        .reason === DropReason.none
    )
      one.bytes = mallory.init(one.call);
  };
  return (_scene, number) => ({
    bytes: own[number % count]!.bytes,
    from: own[number % count]!.address,
  });
}

interface Result {
  readonly worked: number;
  readonly tookUs: Micros | null;
}

/** The flood, beside honest traffic through the victim and a node that dials a second later. */
function flood(scene: Scene, attempts: Attempts, { dropped: counted = true } = {}): Result {
  const { network, victim } = scene;
  const [a, , c, late] = network.hosts as [SimHost, SimHost, SimHost, SimHost];
  const flow = network.flow(a, c, { packetsPerSecond: 200, durationUs: SECONDS * SECOND });
  const worked = workedBy(victim),
    dropped = victim.node.drops.total;
  let tookUs: Micros | null = null,
    sent = 0;
  const started = network.now;
  // One after the other: who comes between two of them finds what these have left, as on a wire.
  for (const pause = SECOND / PER_SECOND; sent < SECONDS * PER_SECOND; sent += 1) {
    network.run(pause);
    if (sent === PER_SECOND) late.start();
    const { bytes, from } = attempts(scene, sent);
    inject(victim, bytes, from);
    if (late.running && tookUs === null && linked(late, victim))
      tookUs = network.now - started - SECOND;
    expect(victim.node.links.size).toBeLessThanOrEqual(3);
  }
  expect(sent).toBe(PER_SECOND * SECONDS);
  if (counted) expect(victim.node.drops.total - dropped).toBeGreaterThanOrEqual(sent);
  expect(network.linkDowns).toBe(0);
  const result = { worked: workedBy(victim) - worked, tookUs };
  expect(result.worked).toBeLessThanOrEqual(HANDSHAKES_PER_SECOND * SECONDS + HANDSHAKES_BURST);
  network.run(SECOND);
  expect([flow.sent, flow.meter.delivered]).toEqual([SECONDS * 200, SECONDS * 200]);
  expect(flow.meter.delays.summary()!.max).toBeLessThan(15);
  expect(linked(late, victim)).toBe(true);
  return result;
}

describe('a flood of handshakes', () => {
  test('of garbage costs no key exchange, and who dials meanwhile has its link at once', () => {
    const scene = build(cheapPrimitives);
    const { worked, tookUs } = flood(scene, garbageAttempts);
    expect(worked).toBeLessThanOrEqual(2);
    expect(tookUs).toBeLessThanOrEqual(50 * MILLISECOND);
    expect(scene.victim.node.drops.of(DropReason.handshakeMacWrong)).toBe(PER_SECOND * SECONDS);
  });

  test.each(Object.entries(JUNK))(
    'by somebody who knows the public key, %s, is answered by cookies within their budget, ' +
      'and who dials meanwhile has its link within 1.5 s',
    (_where, attempts) => {
      const scene = build(cheapPrimitives);
      const { worked, tookUs } = flood(scene, attempts);
      expect(worked).toBeGreaterThan(HANDSHAKES_BURST / 2);
      expect(tookUs).toBeLessThanOrEqual(1.5 * SECOND);
      const { drops } = scene.victim.node;
      expect(drops.of(DropReason.handshakeCookieAsked)).toBeLessThanOrEqual(
        (COOKIES_PER_SECOND + COOKIES_KEPT) * SECONDS + COOKIES_BURST,
      );
      expect(drops.of(DropReason.handshakeOverBudget)).toBeGreaterThan(0.2 * PER_SECOND * SECONDS);
    },
  );

  test.each([200, 400])(
    'leaves its link also who dials meanwhile from so far ' +
      'away that it has called again before a cookie comes: %i ms',
    (lateMs) => {
      const scene = build(cheapPrimitives, lateMs * MILLISECOND);
      const { network, victim } = scene,
        late = network.host(3);
      const attempts = Array.from({ length: 500 }, (_, i) =>
        JUNK['from 20,000 addresses']!(scene, i),
      );
      let started = 0;
      // One after the other, as above: a pause in between would fill the budget for whoever is
      // first after it.
      for (let sent = 0; sent < 5 * PER_SECOND && !linked(late, victim); sent += 1) {
        network.run(SECOND / PER_SECOND);
        if (sent === PER_SECOND / 4) {
          late.start();
          started = network.now;
        }
        const { bytes, from } = attempts[scene.rng.below(attempts.length)]!;
        inject(victim, bytes, from);
      }
      expect(linked(late, victim)).toBe(true);
      expect(victim.node.drops.of(DropReason.handshakeCookieAsked)).toBeGreaterThan(500);
      // A call, the cookie, a call that shows it, the answer, and what uses it.
      expect(network.now - started).toBeLessThan((5 * lateMs + 600) * MILLISECOND);
    },
  );

  test(
    'of questions for the key leaves who asks meanwhile an answer, ' + 'and its link within 1.5 s',
    () => {
      const scene = build(cheapPrimitives);
      const late = scene.network.host(3);
      for (const dial of late.dials) delete (dial as { key?: Uint8Array }).key;
      const { tookUs } = flood(
        scene,
        (_scene, number) => ({
          bytes: question(scene),
          from: number % 2 === 0 ? elsewhere(scene.rng.below(SPOOFED)) : elsewhere(7),
        }),
        { dropped: false },
      );
      expect(tookUs).toBeLessThanOrEqual(1.5 * SECOND);
    },
  );

  test("of both kinds at once from one address: neither takes what is the other's", () => {
    const scene = build(cheapPrimitives);
    for (const dial of scene.network.host(3).dials) delete (dial as { key?: Uint8Array }).key;
    const { tookUs } = flood(
      scene,
      (_scene, number) => ({
        bytes: number % 2 === 0 ? question(scene) : junk(scene),
        from: elsewhere(7),
      }),
      { dropped: false },
    );
    expect(tookUs).toBeLessThanOrEqual(SECOND);
  });

  test(
    'that fills a turn of a daemon that is behind costs it eight looks, ' +
      'and what comes over its links is not held up',
    () => {
      const scene = build(cheapPrimitives);
      const { network, victim } = scene;
      const inbox = new Inbox(victim, 77),
        sender = new Inbox(network.host(0), 78);
      for (let turn = 1; turn <= 5; turn += 1) {
        const datagrams: Uint8Array[] = [];
        const { transmit } = network.world;
        network.world.transmit = (wire, bytes, length) => {
          if (wire.to === victim && wire.from === network.host(0))
            datagrams.push(bytes.slice(0, length));
          else transmit.call(network.world, wire, bytes, length);
        };
        sender.send(victim, 77, Uint8Array.of(turn));
        network.world.transmit = transmit;
        expect(datagrams.length).toBeGreaterThan(0);
        // All of it is there when the daemon comes to read.
        for (let i = 0; i < 40; i += 1)
          victim.node.onDatagram(garbage(scene), SEALED_INIT_BYTES, elsewhere(i));
        for (const bytes of datagrams)
          victim.node.onDatagram(bytes, bytes.length, network.host(0).endpoint);
        victim.endTurn();
        expect([
          victim.node.drops.of(DropReason.handshakeMacWrong),
          victim.node.drops.of(DropReason.handshakeOverBudget),
        ]).toEqual([8 * turn, 32 * turn]);
        expect(inbox.messages.length).toBe(turn);
      }
    },
  );

  test(
    'that fills a turn of a daemon whose calls wait apart: some are asked for a cookie, ' +
      'and who has shown one, or asks for a key, gets through wherever it stands',
    () => {
      const scene = build(cheapPrimitives);
      const { network, victim, primitives } = scene;
      victim.crash();
      victim.callsApart = true;
      victim.start();
      network.run(2 * SECOND);
      const own = elsewhere(77),
        far: Wire = {
          from: victim,
          to: victim,
          get model(): never {
            throw new Error('unused');
          },
          datagrams: 0,
          ipBytes: 0,
        };
      victim.wires.set(own.key, far);
      const answers: Uint8Array[] = [],
        { transmit } = network.world;
      network.world.transmit = (wire, bytes, length) => {
        if (wire === far) answers.push(bytes.slice(0, length));
        else transmit.call(network.world, wire, bytes, length);
      };
      const foreign = new SimAuthority(
        primitives,
        network.world.rng.fork('foreign'),
        network.world.authority!.authority.network,
      );
      const caller = new Stranger(
          foreign.member(foreign.issue(0x0a00_0099, 'caller'), network.world),
        ),
        call = caller.call(victim.identity!.exchange.publicKey);
      /** A turn of which `bytes` are the `place`th. */
      const turn = (bytes: Uint8Array, place: number): void => {
        for (let i = 0; i < 32; i += 1)
          victim.node.onDatagram(
            i === place ? bytes.slice() : junk(scene),
            i === place ? bytes.length : SEALED_INIT_BYTES,
            i === place ? own : elsewhere(1_000 + i),
          );
        victim.endTurn();
      };
      while (victim.node.drops.of(DropReason.handshakeCookieAsked) === 0) turn(junk(scene), 0);
      const asked = victim.node.drops.of(DropReason.handshakeCookieAsked);
      answers.length = 0;
      turn(caller.init(call), 20);
      expect(victim.node.drops.of(DropReason.handshakeCookieAsked) - asked).toBe(12);
      expect(answers).toEqual([]);
      turn(caller.init(call), 11);
      const [cookie] = answers.splice(0);
      expect(caller.handshaker.onOther(cookie!, cookie!.length, victim.endpoint, call).reason).toBe(
        DropReason.none,
      );
      const worked = workedBy(victim);
      turn(caller.init(call), 31);
      expect(workedBy(victim)).toBe(worked + 1);
      answers.length = 0;
      turn(question(scene), 30);
      expect(answers.map((bytes) => bytes[0])).toEqual([DATAGRAM_KEY_ANSWER]);
    },
  );

  test(
    'of copies of an INIT that was answered, in whatever name, ' +
      'is not answered without end, and its dialler has its link',
    () => {
      const copies: { bytes: Uint8Array; at: Micros }[] = [];
      let answers = 0,
        deaf = false;
      const network: Network = hosts(2, {
        primitives: cheapPrimitives,
        onArrival: (wire, bytes) => {
          if (bytes[0] === DATAGRAM_SEALED_INIT)
            copies.push({ bytes: bytes.slice(), at: network.now });
          return !(deaf && wire.from === network.host(1));
        },
      });
      const [a, victim] = network.hosts as [SimHost, SimHost];
      network.connect(a, victim);
      // The answers don't arrive, so that the agreement stays open.
      deaf = true;
      a.start();
      victim.start();
      network.run(20 * MILLISECOND);
      const [first] = copies.filter(({ bytes }) => bytes[0] === DATAGRAM_SEALED_INIT);
      const { transmit } = network.world;
      network.world.transmit = (wire, bytes, length) => {
        if (bytes[0] === DATAGRAM_SEALED_RESPONSE) answers += 1;
        return transmit.call(network.world, wire, bytes, length);
      };
      for (let ms = 0; ms < 2_000; ms += 1) {
        for (let i = 0; i < 20; i += 1) inject(victim, first!.bytes.slice(), a.endpoint);
        network.run(MILLISECOND);
      }
      expect(answers).toBeGreaterThan(0);
      // 8 a second and 16 at once for each of the rounds.
      expect(answers).toBeLessThanOrEqual(80);
      deaf = false;
      expect(network.until(() => linked(a, victim), 6 * SECOND)).not.toBeNull();
    },
  );

  test(
    'from sixteen addresses that answer cookies is bounded for each of them, ' +
      'and who dials meanwhile has its link within 1.5 s',
    () => {
      const scene = build(cheapPrimitives);
      const { worked, tookUs } = flood(scene, cookieAttempts(scene, 16));
      expect(worked).toBeGreaterThan(HANDSHAKES_PER_SECOND);
      expect(tookUs).toBeLessThanOrEqual(1.5 * SECOND);
      expect(scene.victim.node.drops.of(DropReason.certificateUnknownAuthority)).toBe(worked - 1);
    },
  );

  test(
    'whose victim takes one call in four, whichever, ' + 'leaves who dials its link within 1.5 s',
    () => {
      const took: Micros[] = [];
      for (let seed = 1; seed <= 20; seed += 1) {
        const chance = new Rng(seed).fork('taken');
        const network: Network = hosts(2, {
          seed,
          primitives: cheapPrimitives,
          onArrival: (_wire, bytes) =>
            (bytes[0] !== DATAGRAM_SEALED_INIT && bytes[0] !== DATAGRAM_KEY_REQUEST) ||
            chance.chance(0.25),
        });
        const [a, victim] = network.hosts as [SimHost, SimHost];
        network.connect(a, victim);
        for (const dial of a.dials) delete (dial as { key?: Uint8Array }).key;
        network.startAll();
        took.push(network.until(() => linked(a, victim), 10 * SECOND)!);
      }
      expect(Math.max(...took)).toBeLessThanOrEqual(1.5 * SECOND);
    },
  );

  test('with real primitives costs little of a second of real time', () => {
    const kinds: [string, (scene: Scene) => Attempts][] = [
      ['garbage', () => garbageAttempts],
      ['right MAC, junk inside', () => JUNK['from 20,000 addresses']!],
      ['16 addresses with cookies', (scene) => cookieAttempts(scene, 16)],
    ];
    for (const [name, make] of kinds) {
      const scene = build(nodePrimitives);
      const attempts = make(scene);
      let us = 0;
      const worked = workedBy(scene.victim);
      for (let ms = 0; ms < 1_000; ms += 1) {
        scene.network.run(MILLISECOND);
        const batch = Array.from({ length: PER_SECOND / 1_000 }, (_, i) =>
          attempts(scene, ms * (PER_SECOND / 1_000) + i),
        );
        const started = performance.now();
        for (const { bytes, from } of batch) inject(scene.victim, bytes, from);
        us += (performance.now() - started) * 1_000;
      }
      console.log(
        `flood, ${name}: ${PER_SECOND} attempts in ${(us / 1_000).toFixed(0)} ms, ` +
          `${workedBy(scene.victim) - worked} key exchanges`,
      );
      expect(scene.network.linkDowns).toBe(0);
      scene.network.host(3).start();
    }
  });
});

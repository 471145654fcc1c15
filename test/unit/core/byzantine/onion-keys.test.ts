/**
 * The keys of a flow: the same at both ends, others for everything else, and no more of them kept
 * than allowed.
 */

import { describe, expect, test } from 'vitest';

import { hex, putU32, putU48, utf8Encode } from '../../../../src/core/base/bytes.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import { FLOW_KEYS_MAX, FlowKeys, type HopKeys } from '../../../../src/core/byzantine/keys.ts';
import { makeExchangeKeys, type KeyPair } from '../../../../src/core/crypto/keys.ts';
import { noblePrimitives } from '../../../../src/core/crypto/noble-primitives.ts';
import { nodePrimitives } from '../../../../src/host/primitives/node-primitives.ts';
import { cheapPrimitives, makeCheapKeys } from '../../../../src/lab/sim/cheap-primitives.ts';

const FLOW = { source: 1, destination: 9, epoch: 5, pathHigh: 0x8765_4321, pathLow: 0xdead_beef };
const HOP = 4;

function names(keys: HopKeys | null): string {
  return keys === null ? 'none' : `${hex(keys.forward)} ${hex(keys.ack)}`;
}

/** Bytes that only the data key of `keys` makes. */
function sealedBy(keys: HopKeys): string {
  const bytes = new Uint8Array(24);
  keys.data!.seal(1, bytes, 4, 8);
  return hex(bytes);
}

describe.each([
  { p: nodePrimitives, make: makeExchangeKeys },
  { p: noblePrimitives, make: makeExchangeKeys },
  { p: cheapPrimitives, make: makeCheapKeys },
])('with $p.name', ({ p, make }) => {
  const rng = new Rng(1);
  const source: KeyPair = make(rng),
    hop: KeyPair = make(rng),
    other: KeyPair = make(rng);

  test('both ends have the same, and only the destination has one for data', () => {
    const here = new FlowKeys(p),
      there = new FlowKeys(p);
    expect(names(here.of(FLOW, HOP, source.secret, hop.publicKey))).toBe(
      names(there.of(FLOW, HOP, hop.secret, source.publicKey)),
    );
    expect(here.of(FLOW, HOP, source.secret, hop.publicKey)!.data).toBeNull();
    const ours = here.of(FLOW, 9, source.secret, hop.publicKey)!,
      theirs = there.of(FLOW, 9, hop.secret, source.publicKey)!;
    expect(names(ours)).toBe(names(theirs));
    expect(sealedBy(ours)).toBe(sealedBy(theirs));
  });

  test(
    'another source, hop, destination, epoch, ' +
      'path or peer has others, and no two uses share one',
    () => {
      const keys = new FlowKeys(p);
      const seen = new Set<string>();
      const flows = [
        FLOW,
        { ...FLOW, source: 2 },
        { ...FLOW, destination: 8 },
        { ...FLOW, epoch: 6 },
        { ...FLOW, epoch: 5 + 2 ** 40 },
        { ...FLOW, pathHigh: 1 },
        { ...FLOW, pathLow: 1 },
      ];
      const all = flows.map((flow) => keys.of(flow, HOP, source.secret, hop.publicKey)!);
      all.push(
        keys.of(FLOW, HOP + 1, source.secret, hop.publicKey)!,
        keys.of(FLOW, HOP, source.secret, other.publicKey)!,
        keys.of(FLOW, HOP, other.secret, hop.publicKey)!,
      );
      for (const { forward, ack } of all) seen.add(hex(forward)).add(hex(ack));
      expect(seen.size).toBe(2 * all.length);
      // Each right after one that differs from it in a single number.
      flows.forEach((flow, i) => {
        keys.of(FLOW, HOP, source.secret, hop.publicKey);
        const again = keys.of(flow, HOP, source.secret, hop.publicKey)!;
        expect(hex(again.forward)).toBe(hex(all[i]!.forward));
      });
      const last = keys.of(FLOW, HOP, source.secret, hop.publicKey);
      keys.clear();
      expect(keys.of(FLOW, HOP, source.secret, hop.publicKey)).not.toBe(last);
    },
  );

  test('a key that lets everybody know the secret gives none', () => {
    const keys = new FlowKeys(p);
    for (const peer of [new Uint8Array(32), new Uint8Array(31), new Uint8Array(0)])
      expect(keys.of(FLOW, HOP, source.secret, peer)).toBeNull();
    expect(keys.size).toBe(0);
  });
});

test('small-order points give no keys with the real curve', () => {
  const secret = makeExchangeKeys(new Rng(2)).secret;
  const one = new Uint8Array(32);
  one[0] = 1;
  for (const p of [nodePrimitives, noblePrimitives])
    expect(new FlowKeys(p).of(FLOW, HOP, secret, one)).toBeNull();
});

test('the derivation is HKDF-SHA-256 as written down', () => {
  const rng = new Rng(3);
  const source = makeExchangeKeys(rng),
    hop = makeExchangeKeys(rng);
  const p = nodePrimitives;
  const salted = new Uint8Array(26);
  [1, HOP, 9].forEach((id, i) => putU32(salted, 4 * i, id));
  putU48(salted, 12, FLOW.epoch);
  putU32(salted, 18, FLOW.pathHigh);
  putU32(salted, 22, FLOW.pathLow);
  const prk = p.hmacSha256(
    p.sha256(utf8Encode('spines flow 1'), salted),
    p.x25519(source.secret.reveal(), hop.publicKey)!,
  );
  const expected = ['forward', 'ack']
    .map((info) => hex(p.hmacSha256(prk, utf8Encode(info), Uint8Array.of(1))))
    .join(' ');
  expect(names(new FlowKeys(p).of(FLOW, HOP, source.secret, hop.publicKey))).toBe(expected);
});

describe('what is kept', () => {
  const rng = new Rng(4);
  const own = makeCheapKeys(rng),
    peer = makeCheapKeys(rng);
  let exchanges = 0,
    extractions = 0;
  const counting = {
    ...cheapPrimitives,
    x25519: (secret: Uint8Array, key: Uint8Array) => {
      exchanges += 1;
      return cheapPrimitives.x25519(secret, key);
    },
    sha256: (...parts: readonly Uint8Array[]) => {
      extractions += 1;
      return cheapPrimitives.sha256(...parts);
    },
  };

  test('is bounded, and what was used last stays', () => {
    const keys = new FlowKeys(counting);
    for (let i = 0; i < 3 * FLOW_KEYS_MAX; i += 1) {
      keys.of({ ...FLOW, pathLow: i }, HOP, own.secret, peer.publicKey);
      keys.of({ ...FLOW, pathLow: 0 }, HOP, own.secret, peer.publicKey);
    }
    expect(keys.size).toBe(FLOW_KEYS_MAX);
    // One exchange for the peer, however many paths; one derivation for each path.
    expect([exchanges, extractions]).toEqual([1, 3 * FLOW_KEYS_MAX]);
    keys.clear();
    expect(keys.size).toBe(0);
  });

  test('is not used for another epoch key of the same node, nor after ours changed', () => {
    const keys = new FlowKeys(cheapPrimitives);
    const next = makeCheapKeys(rng);
    const all = [
      [own, peer],
      [own, next],
      [next, peer],
      [own, peer],
    ].map(([a, b]) => names(keys.of(FLOW, HOP, a!.secret, b!.publicKey)));
    expect(new Set(all).size).toBe(3);
    expect(all[3]).toBe(all[0]);
    expect(keys.size).toBe(1);
  });
});

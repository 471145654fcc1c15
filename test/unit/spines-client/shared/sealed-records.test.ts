/**
 * Records between a remote client and its daemon: what goes in comes out, however it is cut, and
 * nothing else does.
 */

import { describe, expect, test } from 'vitest';

import { makeEphemeral, nodeNoise } from '../../../../spines-client/src/remote/node-noise.ts';
import { NoiseInitiator, NoiseResponder } from '../../../../spines-client/src/shared/noise.ts';
import {
  RECORD_BYTES_MAX,
  RECORD_OVERHEAD,
  RECORD_PLAIN_MAX,
  RecordOpener,
  RecordSealer,
  REMOTE_PROLOGUE,
} from '../../../../spines-client/src/shared/sealed-records.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import { nodePrimitives } from '../../../../src/host/primitives/node-primitives.ts';

const KEY = Uint8Array.from({ length: 32 }, (_, i) => i);

function random(rng: Rng, length: number): Uint8Array {
  const out = new Uint8Array(length);
  rng.fill(out);
  return out;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

describe('records', () => {
  test('carry any bytes, written in any pieces and read in any pieces, over changes of key', () => {
    for (let seed = 1; seed <= 60; seed += 1) {
      const rng = new Rng(seed);
      const sealer = new RecordSealer(nodeNoise, KEY, 3);
      const heard: Uint8Array[] = [];
      const opener = new RecordOpener(nodePrimitives, KEY, (bytes) => heard.push(bytes), 3);
      const said = Array.from({ length: 1 + rng.below(8) }, () =>
        random(rng, 1 + rng.below(rng.chance(0.2) ? 3 * RECORD_PLAIN_MAX : 200)),
      );
      const sealed = joined(said.map((bytes) => sealer.seal(bytes)));
      for (let at = 0; at < sealed.length; ) {
        const end = Math.min(sealed.length, at + 1 + rng.below(rng.chance(0.5) ? 40 : 40_000));
        expect(opener.push(sealed.subarray(at, end)), `seed ${seed}`).toBe(true);
        at = end;
      }
      expect(Buffer.compare(joined(heard), joined(said)), `seed ${seed}`).toBe(0);
      expect(opener.pendingBytes).toBe(0);
    }
  });

  test('have the size that is promised', () => {
    const sealer = new RecordSealer(nodeNoise, KEY);
    expect(sealer.seal(new Uint8Array(1)).length).toBe(1 + RECORD_OVERHEAD);
    expect(sealer.seal(new Uint8Array(RECORD_PLAIN_MAX)).length).toBe(RECORD_BYTES_MAX);
    expect(sealer.seal(new Uint8Array(RECORD_PLAIN_MAX + 1)).length).toBe(
      RECORD_PLAIN_MAX + 1 + 2 * RECORD_OVERHEAD,
    );
  });

  test('change their key when it is time, and only then', () => {
    const [often, seldom] = [new RecordSealer(nodeNoise, KEY, 2), new RecordSealer(nodeNoise, KEY)];
    const rows = [0, 1, 2, 3, 4].map(
      () => Buffer.compare(often.seal(Uint8Array.of(7)), seldom.seal(Uint8Array.of(7))) === 0,
    );
    expect(rows).toEqual([true, true, false, false, false]);
  });

  test(
    'ten thousand that were changed, cut, ' + 'repeated or exchanged: none is taken for another',
    () => {
      const rng = new Rng(99);
      const plain = random(rng, 60);
      for (let round = 0; round < 10_000; round += 1) {
        const sealer = new RecordSealer(nodeNoise, KEY);
        const [first, second] = [
          sealer.seal(plain.subarray(0, 30)),
          sealer.seal(plain.subarray(30)),
        ];
        let bytes = joined([first, second]);
        const at = rng.below(bytes.length);
        switch (rng.below(5)) {
          case 0:
            bytes[at] = bytes[at]! ^ (1 << rng.below(8));
            break;
          case 1:
            bytes = joined([
              bytes.subarray(0, at),
              bytes.subarray(Math.min(bytes.length, at + 1 + rng.below(9))),
            ]);
            break;
          case 2:
            bytes = joined([
              bytes.subarray(0, at),
              random(rng, 1 + rng.below(9)),
              bytes.subarray(at),
            ]);
            break;
          case 3:
            bytes = joined([first, first, second]);
            break;
          default:
            bytes = joined([second, first]);
        }
        const heard: Uint8Array[] = [];
        const opener = new RecordOpener(nodeNoise, KEY, (part) => heard.push(part));
        const sound = opener.push(bytes);
        const got = joined(heard);
        // What opens is what was said, from its beginning on.
        expect(Buffer.compare(got, plain.subarray(0, got.length)), `round ${round}`).toBe(0);
        expect([0, 30, 60]).toContain(got.length);
        if (got.length === 60)
          expect(sound && opener.pendingBytes === 0, `round ${round}`).toBe(false);
        if (!sound) expect(opener.push(first)).toBe(false);
      }
    },
  );

  test('of impossible lengths end the connection at once', () => {
    for (const length of [0, 1, 16, RECORD_PLAIN_MAX + 17, 0xffff]) {
      const opener = new RecordOpener(nodeNoise, KEY, () => {});
      expect(opener.push(Uint8Array.of(length >>> 8, length & 0xff)), String(length)).toBe(false);
    }
    const slow = new RecordOpener(nodeNoise, KEY, () => {});
    expect(slow.push(Uint8Array.of(0xff))).toBe(true);
    expect(slow.push(Uint8Array.of(0xff))).toBe(false);
  });
});

test('the primitives of the library and of the daemon are the same', () => {
  const rng = new Rng(5);
  for (let round = 0; round < 50; round += 1) {
    const [key, a, b, text] = [
      random(rng, 32),
      random(rng, rng.below(50)),
      random(rng, rng.below(50)),
      random(rng, rng.below(300)),
    ];
    const number = round % 2 === 0 ? round : 2 ** 40 + round;
    expect(nodeNoise.sha256(a, b)).toEqual(nodePrimitives.sha256(a, b));
    expect(nodeNoise.hmacSha256(key, a, b)).toEqual(nodePrimitives.hmacSha256(key, a, b));
    const sealed = nodeNoise.encrypt(key, number, a, text);
    expect(sealed).toEqual(nodePrimitives.encrypt(key, number, a, text));
    expect(nodeNoise.decrypt(key, number, a, sealed)).toEqual(text);
    expect(nodeNoise.decrypt(key, number + 1, a, sealed)).toBeNull();
    const [one, other] = [makeEphemeral(), makeEphemeral()];
    expect(nodeNoise.x25519PublicKey(one.secret)).toEqual(
      nodePrimitives.x25519PublicKey(one.secret),
    );
    expect(nodeNoise.x25519(one.secret, other.publicKey)).toEqual(
      nodePrimitives.x25519(other.secret, one.publicKey),
    );
  }
  expect(nodeNoise.decrypt(KEY, 0, KEY, new Uint8Array(15))).toBeNull();
  expect(nodeNoise.x25519(KEY, new Uint8Array(32))).toBeNull();
  // RFC 7748, 5.2.
  const scalar = Uint8Array.from(
    Buffer.from('a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4', 'hex'),
  );
  const point = Uint8Array.from(
    Buffer.from('e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c', 'hex'),
  );
  expect(Buffer.from(nodeNoise.x25519(scalar, point)!).toString('hex')).toBe(
    'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552',
  );
});

test(
  "a handshake of the library with the daemon's " +
    "primitives ends with keys that open each other's records",
  () => {
    const [daemon, client] = [makeEphemeral(), makeEphemeral()];
    const initiator = new NoiseInitiator(
      nodeNoise,
      REMOTE_PROLOGUE,
      client,
      makeEphemeral(),
      daemon.publicKey,
    );
    const responder = new NoiseResponder(nodePrimitives, REMOTE_PROLOGUE, daemon);
    expect(responder.readInit(initiator.writeInit(Uint8Array.of(1, 2, 3))!)).toEqual(
      Uint8Array.of(1, 2, 3),
    );
    expect(responder.peerStatic).toEqual(client.publicKey);
    const { message, transport } = responder.writeResponse(makeEphemeral(), new Uint8Array(0))!;
    const mine = initiator.readResponse(message)!.transport;
    const heard: Uint8Array[] = [];
    const opener = new RecordOpener(nodePrimitives, transport.receive, (bytes) =>
      heard.push(bytes),
    );
    expect(opener.push(new RecordSealer(nodeNoise, mine.send).seal(Uint8Array.of(9)))).toBe(true);
    expect(heard).toEqual([Uint8Array.of(9)]);
    expect(mine.receive).toEqual(transport.send);
  },
);

/**
 * Noise IK against vectors that others published, and what a handshake makes of tampering and of
 * weak keys.
 */

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  NOISE_INIT_OVERHEAD,
  NOISE_RESPONSE_OVERHEAD,
  NoiseInitiator,
  NoiseResponder,
  type NoiseKeyPair,
} from 'spines-client/noise';

import { hex } from '../../../../src/core/base/bytes.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import { noblePrimitives } from '../../../../src/core/crypto/noble-primitives.ts';
import type { Primitives } from '../../../../src/core/crypto/primitives.ts';
import { nodePrimitives } from '../../../../src/host/primitives/node-primitives.ts';
import { cheapPrimitives } from '../../../../src/lab/sim/cheap-primitives.ts';

interface Vector {
  readonly source: string;
  readonly prologue: string;
  readonly initiator: string;
  readonly initiatorEphemeral: string;
  readonly responder: string;
  readonly responderPublicKey: string;
  readonly responderEphemeral: string;
  readonly hash: string | null;
  /** Of IKpsk2. */
  readonly psk?: string;
  /**
   * Payload and message: INIT, RESPONSE, then transport messages of the initiator and the responder
   * in turn.
   */
  readonly messages: readonly (readonly [string, string])[];
}

const vectors = ['noise-ik', 'noise-ikpsk2'].flatMap(
  (name) =>
    (
      JSON.parse(readFileSync(new URL(`./vectors/${name}.json`, import.meta.url), 'utf8')) as {
        vectors: readonly Vector[];
      }
    ).vectors,
);
const NOTHING = new Uint8Array(0);
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));
const pairOf = (p: Primitives, secret: Uint8Array): NoiseKeyPair => ({
  secret,
  publicKey: p.x25519PublicKey(secret),
});

function some(random: Rng, length: number): Uint8Array {
  const out = new Uint8Array(length);
  random.fill(out);
  return out;
}

describe.each([noblePrimitives, nodePrimitives])('by $name', (p) => {
  test.each(vectors)('every byte is that of $source', (vector) => {
    const prologue = bytes(vector.prologue),
      own = pairOf(p, bytes(vector.responder));
    expect(hex(own.publicKey)).toBe(vector.responderPublicKey);
    const psk = vector.psk === undefined ? null : bytes(vector.psk);
    const initiator = new NoiseInitiator(
      p,
      prologue,
      pairOf(p, bytes(vector.initiator)),
      pairOf(p, bytes(vector.initiatorEphemeral)),
      own.publicKey,
      psk !== null,
    );
    const responder = new NoiseResponder(p, prologue, own, psk !== null);
    const [init, response, ...transport] = vector.messages;

    const sentInit = initiator.writeInit(bytes(init![0]))!;
    expect(hex(sentInit)).toBe(init![1]);
    expect(hex(responder.readInit(sentInit)!)).toBe(init![0]);
    expect(hex(responder.peerStatic)).toBe(hex(p.x25519PublicKey(bytes(vector.initiator))));
    const answer = responder.writeResponse(
      pairOf(p, bytes(vector.responderEphemeral)),
      bytes(response![0]),
      psk,
    )!;
    expect(hex(answer.message)).toBe(response![1]);
    const read = initiator.readResponse(answer.message, psk)!;
    expect(hex(read.payload)).toBe(response![0]);

    expect(hex(read.transport.hash)).toBe(hex(answer.transport.hash));
    if (vector.hash !== null) expect(hex(answer.transport.hash)).toBe(vector.hash);
    expect(hex(read.transport.receive)).toBe(hex(answer.transport.send));
    expect(transport.length).toBeGreaterThanOrEqual(2);
    transport.forEach(([payload, message], i) => {
      const [send, receive] =
        i % 2 === 0
          ? [read.transport.send, answer.transport.receive]
          : [answer.transport.send, read.transport.receive];
      const number = Math.floor(i / 2),
        plain = bytes(payload);
      expect(hex(p.encrypt(send, number, NOTHING, plain))).toBe(message);
      expect(hex(p.decrypt(receive, number, NOTHING, bytes(message))!)).toBe(payload);
      const inPlace = new Uint8Array(plain.length + 16);
      inPlace.set(plain);
      p.sealer(send).seal(number, inPlace, 0, plain.length);
      expect(hex(inPlace)).toBe(message);
      expect(p.sealer(receive).open(number, inPlace, 0, inPlace.length)).toBe(true);
      expect(hex(inPlace.subarray(0, plain.length))).toBe(payload);
    });
  });

  // RFC 7748, 6.1: 0, 1, p - 1, p, p + 1 and the two points of order 8.
  test.each([
    '0000000000000000000000000000000000000000000000000000000000000000',
    '0100000000000000000000000000000000000000000000000000000000000000',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  ])(
    'the key %s, which lets others know the secret, ends a handshake wherever it turns up',
    (text) => {
      const random = new Rng(3),
        weak = bytes(text);
      const [ownSecret, ephemeralSecret, peerSecret] = [
        some(random, 32),
        some(random, 32),
        some(random, 32),
      ];
      const own = pairOf(p, ownSecret),
        ephemeral = pairOf(p, ephemeralSecret),
        peer = pairOf(p, peerSecret);
      expect(new NoiseInitiator(p, NOTHING, own, ephemeral, weak).writeInit(NOTHING)).toBeNull();

      const message = new NoiseInitiator(p, NOTHING, own, ephemeral, peer.publicKey).writeInit(
        NOTHING,
      )!;
      message.set(weak, 0);
      expect(new NoiseResponder(p, NOTHING, peer).readInit(message)).toBeNull();

      const initiator = new NoiseInitiator(p, NOTHING, own, ephemeral, peer.publicKey);
      const responder = new NoiseResponder(p, NOTHING, peer);
      responder.readInit(initiator.writeInit(NOTHING)!);
      const response = responder.writeResponse(pairOf(p, some(random, 32)), NOTHING)!.message;
      response.set(weak, 0);
      expect(initiator.readResponse(response)).toBeNull();

      // An initiator whose static key is weak: his messages are well sealed, because he knows that
      // secret like everybody.
      const lax: Primitives = {
        ...p,
        x25519: (secret, key) => p.x25519(secret, key) ?? new Uint8Array(32),
      };
      const liar = new NoiseInitiator(
        lax,
        NOTHING,
        { secret: ownSecret, publicKey: weak },
        ephemeral,
        peer.publicKey,
      );
      expect(new NoiseResponder(p, NOTHING, peer).readInit(liar.writeInit(NOTHING)!)).toBeNull();
    },
  );
});

describe.each([noblePrimitives, nodePrimitives, cheapPrimitives])('by $name', (p) => {
  const random = new Rng(7),
    prologue = bytes('0102');
  const own = pairOf(p, some(random, 32)),
    ephemeral = pairOf(p, some(random, 32));
  const peer = pairOf(p, some(random, 32)),
    peerEphemeral = pairOf(p, some(random, 32));
  const payload = bytes('cafe');
  const begin = () => new NoiseInitiator(p, prologue, own, ephemeral, peer.publicKey);
  const init = begin().writeInit(payload)!;
  const answered = () => {
    const responder = new NoiseResponder(p, prologue, peer);
    expect(responder.readInit(init)).toEqual(payload);
    return responder.writeResponse(peerEphemeral, payload)!;
  };

  test('a pre-shared key that is another, or missing on one side, opens nothing', () => {
    const key = some(random, 32),
      other = some(random, 32);
    const handshake = (ofInitiator: Uint8Array | null, ofResponder: Uint8Array | null): boolean => {
      const initiator = new NoiseInitiator(p, prologue, own, ephemeral, peer.publicKey, true),
        responder = new NoiseResponder(p, prologue, peer, true);
      expect(responder.readInit(initiator.writeInit(payload)!)).toEqual(payload);
      return (
        initiator.readResponse(
          responder.writeResponse(peerEphemeral, payload, ofResponder)!.message,
          ofInitiator,
        ) !== null
      );
    };
    expect([
      handshake(key, key),
      handshake(key, other),
      handshake(key, null),
      handshake(null, key),
    ]).toEqual([true, false, false, false]);
    // Nor does a handshake of the other kind.
    expect(
      new NoiseResponder(p, prologue, peer).readInit(
        new NoiseInitiator(p, prologue, own, ephemeral, peer.publicKey, true).writeInit(payload)!,
      ),
    ).toBeNull();
  });

  test('both sides agree on keys, and the overheads are as announced', () => {
    const initiator = begin();
    expect(initiator.writeInit(payload)).toEqual(init);
    const { message, transport } = answered();
    const read = initiator.readResponse(message)!;
    expect(read.payload).toEqual(payload);
    expect([read.transport.send, read.transport.receive, read.transport.hash]).toEqual([
      transport.receive,
      transport.send,
      transport.hash,
    ]);
    expect(read.transport.send).not.toEqual(read.transport.receive);
    expect([init.length, message.length]).toEqual([
      NOISE_INIT_OVERHEAD + 2,
      NOISE_RESPONSE_OVERHEAD + 2,
    ]);
  });

  // The top bit of an X25519 coordinate does not count (RFC 7748, 5), but the hash is over the
  // bytes as sent.
  test(
    'any byte changed in either message ends the handshake, ' + 'and so does one missing or added',
    () => {
      for (let at = 0; at < init.length; at += 1) {
        for (const bit of [0x01, 0x80]) {
          const changed = init.slice();
          changed[at] = changed[at]! ^ bit;
          expect(
            new NoiseResponder(p, prologue, peer).readInit(changed),
            `INIT, byte ${at}`,
          ).toBeNull();
        }
      }
      for (const length of [0, 31, NOISE_INIT_OVERHEAD - 1, NOISE_INIT_OVERHEAD, init.length - 1])
        expect(new NoiseResponder(p, prologue, peer).readInit(init.subarray(0, length))).toBeNull();
      expect(new NoiseResponder(p, prologue, peer).readInit(Uint8Array.of(...init, 0))).toBeNull();

      const { message } = answered();
      const reads = (response: Uint8Array) => {
        const initiator = begin();
        initiator.writeInit(payload);
        return initiator.readResponse(response);
      };
      expect(reads(message)).not.toBeNull();
      for (let at = 0; at < message.length; at += 1) {
        for (const bit of [0x01, 0x80]) {
          const changed = message.slice();
          changed[at] = changed[at]! ^ bit;
          expect(reads(changed), `RESPONSE, byte ${at}`).toBeNull();
        }
      }
      for (const length of [
        0,
        31,
        NOISE_RESPONSE_OVERHEAD - 1,
        NOISE_RESPONSE_OVERHEAD,
        message.length - 1,
      ])
        expect(reads(message.subarray(0, length))).toBeNull();
      expect(reads(Uint8Array.of(...message, 0))).toBeNull();
    },
  );

  test('another prologue, or another responder than was meant, ends it', () => {
    expect(new NoiseResponder(p, bytes('0103'), peer).readInit(init)).toBeNull();
    expect(new NoiseResponder(p, prologue, own).readInit(init)).toBeNull();
  });

  test('who answers must hold the key that was asked for', () => {
    const responder = new NoiseResponder(p, prologue, peer);
    responder.readInit(init);
    const initiator = begin();
    initiator.writeInit(payload);
    // The ephemeral of another exchange with everything else right.
    const other = new NoiseResponder(p, prologue, peer);
    other.readInit(
      new NoiseInitiator(p, prologue, own, pairOf(p, some(random, 32)), peer.publicKey).writeInit(
        payload,
      )!,
    );
    expect(initiator.readResponse(other.writeResponse(peerEphemeral, payload)!.message)).toBeNull();
  });
});

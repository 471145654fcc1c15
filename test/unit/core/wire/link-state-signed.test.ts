/**
 * The bytes of signed advertisements: they come back, the largest fits a frame, and what is not
 * exactly one is malformed.
 */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import {
  PLAIN_CERTIFICATE_BYTES_MAX,
  CERTIFICATE_HASH_BYTES,
  SIGNATURE_BYTES,
} from '../../../../src/core/wire/certificate.ts';
import { DropReason } from '../../../../src/core/wire/drop.ts';
import {
  ADVERTISEMENT_FIXED_BYTES,
  ADVERTISEMENT_PROOF_BYTES,
  ADVERTISEMENT_SIGNED,
  CONTROL_CHECK_BYTES,
  decodeAdvertisement,
  LIFETIME_BYTES,
  LINK_ENTRY_BYTES,
  LINKS_PER_NODE_MAX,
  makeSignedAdvertisement,
  type Advertisement,
  type SignedContent,
} from '../../../../src/core/wire/link-state.ts';
import { NODE_FACTS_BYTES, type NodeFacts } from '../../../../src/core/wire/node-facts.ts';

const rng = new Rng(77);
const draw = (count: number): Uint8Array => {
  const out = new Uint8Array(count);
  rng.fill(out);
  return out;
};
const facts: NodeFacts = {
  wire: { min: 2, max: 3 },
  release: { major: 1, minor: 22, patch: 333 },
  capabilities: 0x8000_0001,
  instance: 0xfedc_ba98_7654,
  started: 1,
};
const signature = draw(SIGNATURE_BYTES),
  certificate = draw(CERTIFICATE_HASH_BYTES);

function made(content: Partial<SignedContent> = {}): Advertisement {
  return makeSignedAdvertisement(
    {
      origin: 5,
      sequence: 0xabcd_0123_4567,
      leaving: false,
      name: '',
      links: [],
      facts: null,
      issuedS: 1_800_000_000,
      certificate,
      whole: null,
      ...content,
    },
    () => signature,
  );
}

function decode(bytes: Uint8Array): Advertisement | DropReason {
  const padded = new Uint8Array(bytes.length + 20);
  padded.set(bytes, 10);
  return decodeAdvertisement(padded, 10, 10 + bytes.length);
}

describe('a signed advertisement', () => {
  test('comes back as it was made, from anywhere in a buffer', () => {
    const links = [
      { node: 2, latency: 7, loss: 9 },
      { node: 0xdfff_ffff, latency: 65_535, loss: 0 },
    ];
    for (const leaving of [false, true]) {
      for (const of of [null, facts]) {
        const advertisement = made({ leaving, links, facts: of });
        expect(decode(advertisement.bytes)).toEqual(advertisement);
      }
    }
  });

  test(
    'of a network with nodes of the release before has the certificate in it, ' +
      'and fits a frame with the longest and the most links',
    () => {
      const links = Array.from({ length: LINKS_PER_NODE_MAX }, (_, i) => ({
        node: i + 10,
        latency: 1,
        loss: 1,
      }));
      for (const count of [0, 1, PLAIN_CERTIFICATE_BYTES_MAX]) {
        for (const of of [null, facts]) {
          const advertisement = made({ links, facts: of, certificate: null, whole: draw(count) });
          expect(decode(advertisement.bytes)).toEqual(advertisement);
          expect(decode(advertisement.bytes.slice(0, -1))).toBe(DropReason.linkStateMalformed);
          expect(
            LIFETIME_BYTES + advertisement.bytes.length + CONTROL_CHECK_BYTES,
          ).toBeLessThanOrEqual(1404);
        }
      }
      expect(
        decode(made({ certificate: null, whole: draw(PLAIN_CERTIFICATE_BYTES_MAX + 1) }).bytes),
      ).toBe(DropReason.linkStateMalformed);
    },
  );

  test('is signed over everything in front of the signature, which comes last', () => {
    let part = new Uint8Array(0);
    const { bytes } = makeSignedAdvertisement(
      {
        origin: 5,
        sequence: 1,
        leaving: false,
        name: 'x',
        links: [],
        facts: null,
        issuedS: 1,
        certificate,
        whole: null,
      },
      (given) => {
        part = given.slice();
        return signature;
      },
    );
    expect(part).toEqual(bytes.slice(0, -SIGNATURE_BYTES));
    expect(bytes.slice(-SIGNATURE_BYTES)).toEqual(signature);
    expect(bytes.slice(-SIGNATURE_BYTES - CERTIFICATE_HASH_BYTES, -SIGNATURE_BYTES)).toEqual(
      certificate,
    );
  });

  test('with the most links fits a frame, and leaves room', () => {
    const links = Array.from({ length: LINKS_PER_NODE_MAX }, (_, i) => ({
      node: i + 10,
      latency: 1,
      loss: 1,
    }));
    const { bytes } = made({ links, facts });
    expect(bytes.length).toBe(
      ADVERTISEMENT_FIXED_BYTES +
        LINKS_PER_NODE_MAX * LINK_ENTRY_BYTES +
        NODE_FACTS_BYTES +
        ADVERTISEMENT_PROOF_BYTES,
    );
    expect(LIFETIME_BYTES + bytes.length + CONTROL_CHECK_BYTES).toBe(1167);
    expect(decode(bytes)).toMatchObject({ links });
  });

  test('that is cut, longer, or has a name, is malformed', () => {
    const { bytes } = made();
    for (let length = 0; length < made({ facts }).bytes.length; length += 1)
      expect(decode(made({ facts }).bytes.slice(0, length)), `${length} bytes`).toBe(
        DropReason.linkStateMalformed,
      );
    for (let length = 0; length < bytes.length; length += 1)
      expect(decode(bytes.slice(0, length)), `${length} bytes`).toBe(DropReason.linkStateMalformed);
    expect(decode(new Uint8Array([...bytes, 0]))).toBe(DropReason.linkStateMalformed);
    const named = new Uint8Array([
      ...bytes.slice(0, ADVERTISEMENT_FIXED_BYTES),
      0x61,
      ...bytes.slice(ADVERTISEMENT_FIXED_BYTES),
    ]);
    named[11] = 1;
    expect(decode(named)).toBe(DropReason.linkStateMalformed);
    const unsigned = bytes.slice();
    unsigned[10] = unsigned[10]! & ~ADVERTISEMENT_SIGNED;
    expect(decode(unsigned)).toBe(DropReason.linkStateMalformed);
  });
});

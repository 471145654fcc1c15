/**
 * The frames that hand on revocation lists: what is encoded decodes to the same, and nothing else
 * does.
 */

import { describe, expect, test } from 'vitest';

import { equalBytes, hex } from '../../../../src/core/base/bytes.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import { REVOCATIONS_BYTES_MAX } from '../../../../src/core/wire/certificate.ts';
import { DropReason } from '../../../../src/core/wire/drop.ts';
import {
  allParts,
  decodeRevocationOffer,
  decodeRevocationPart,
  decodeRevocationWant,
  encodeRevocationOffer,
  encodeRevocationPart,
  encodeRevocationWant,
  partsOf,
  REVOCATION_ENTRIES_MAX,
  REVOCATION_ENTRY_BYTES,
  REVOCATION_OFFER_HEAD_BYTES,
  REVOCATION_PART_BYTES,
  REVOCATION_PARTS_MAX,
  REVOCATION_WANT_BYTES,
  revocationOfferBytes,
  revocationPartFrameBytes,
} from '../../../../src/core/wire/revocation.ts';

interface List {
  authority: Uint8Array;
  number: number;
  bytes: Uint8Array;
}

const AT = 7;

function noise(rng: Rng, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  rng.fill(bytes);
  return bytes;
}

function listOf(rng: Rng, serials = rng.below(4097)): List {
  return {
    authority: noise(rng, 16),
    number: rng.chance(0.1) ? 0xffff_ffff_ffff : rng.below(0x1_0000) * 0x1_0000_0000 + rng.u32(),
    bytes: noise(rng, 128 + 8 * serials),
  };
}

function listsOf(rng: Rng, count: number): List[] {
  return Array.from({ length: count }, () => listOf(rng)).sort((a, b) =>
    hex(a.authority) < hex(b.authority) ? -1 : 1,
  );
}

/** An offer's body at AT of a buffer full of noise. */
function offer(rng: Rng, asks: boolean, lists: readonly List[]): { b: Uint8Array; end: number } {
  const b = noise(rng, 2048);
  encodeRevocationOffer(asks, lists, b, AT);
  return { b, end: AT + revocationOfferBytes(lists.length) };
}

function part(rng: Rng, list: List, index: number): { b: Uint8Array; end: number } {
  const b = noise(rng, 2048);
  encodeRevocationPart(list.authority, list.number, list.bytes, index, b, AT);
  return { b, end: AT + revocationPartFrameBytes(list.bytes.length, index) };
}

function want(rng: Rng, list: List, missing: number): { b: Uint8Array; end: number } {
  const b = noise(rng, 2048);
  encodeRevocationWant({ authority: hex(list.authority), number: list.number, missing }, b, AT);
  return { b, end: AT + REVOCATION_WANT_BYTES };
}

describe('frames of revocation lists', () => {
  test('an offer comes back as it was', () => {
    const rng = new Rng(1);
    for (let i = 0; i < 500; i += 1) {
      const lists = listsOf(rng, 1 + rng.below(REVOCATION_ENTRIES_MAX));
      const asks = rng.chance(0.5);
      const { b, end } = offer(rng, asks, lists);
      expect(decodeRevocationOffer(b, AT, end)).toEqual({
        asks,
        entries: lists.map((list) => ({
          authority: hex(list.authority),
          number: list.number,
          length: list.bytes.length,
        })),
      });
    }
  });

  test('a question comes back as it was', () => {
    const rng = new Rng(2);
    for (let i = 0; i < 500; i += 1) {
      const list = listOf(rng);
      const missing = 1 + rng.below(2 ** REVOCATION_PARTS_MAX - 1);
      const { b, end } = want(rng, list, missing);
      expect(decodeRevocationWant(b, AT, end)).toEqual({
        authority: hex(list.authority),
        number: list.number,
        missing,
      });
    }
  });

  test('the parts of a list make the list', () => {
    const rng = new Rng(3);
    for (const serials of [0, 1, 155, 156, 157, 171, 172, 328, 4095, 4096]) {
      const list = listOf(rng, serials);
      const together: number[] = [];
      for (let index = 0; index < partsOf(list.bytes.length); index += 1) {
        const { b, end } = part(rng, list, index);
        const decoded = decodeRevocationPart(b, AT, end);
        if (typeof decoded === 'number')
          throw new Error(`${serials} serials, part ${index}: ${decoded}`);
        expect(decoded).toMatchObject({
          authority: hex(list.authority),
          number: list.number,
          length: list.bytes.length,
          index,
        });
        together.push(...decoded.bytes);
      }
      expect(equalBytes(Uint8Array.from(together), list.bytes), `${serials} serials`).toBe(true);
    }
    expect(partsOf(REVOCATIONS_BYTES_MAX)).toBe(REVOCATION_PARTS_MAX);
    expect([
      allParts(128),
      allParts(REVOCATION_PART_BYTES),
      allParts(REVOCATION_PART_BYTES + 8),
      allParts(REVOCATIONS_BYTES_MAX),
    ]).toEqual([1, 1, 3, 0xff_ffff]);
  });

  test('every limit is refused one past it', () => {
    const rng = new Rng(4);
    const malformed = DropReason.revocationMalformed;
    const eight = offer(rng, true, listsOf(rng, 8)),
      nine = offer(rng, true, listsOf(rng, 9));
    expect(decodeRevocationOffer(eight.b, AT, eight.end)).toBeTypeOf('object');
    expect(decodeRevocationOffer(nine.b, AT, nine.end)).toBe(malformed);
    expect(decodeRevocationOffer(eight.b, AT, AT)).toBe(malformed);
    expect(decodeRevocationOffer(eight.b, AT, AT + 1)).toBe(malformed);
    expect(decodeRevocationOffer(eight.b, AT, eight.end - 1)).toBe(malformed);
    eight.b[AT] = 0x02;
    expect(decodeRevocationOffer(eight.b, AT, eight.end)).toBe(DropReason.reservedNotZero);
    const [a, b] = listsOf(rng, 2);
    for (const lists of [
      [b!, a!],
      [a!, a!],
    ]) {
      const wrong = offer(rng, true, lists);
      expect(decodeRevocationOffer(wrong.b, AT, wrong.end)).toBe(malformed);
    }
    for (const length of [0, 127, REVOCATIONS_BYTES_MAX + 1, REVOCATIONS_BYTES_MAX + 8]) {
      const list = { ...a!, bytes: new Uint8Array(length) };
      const wrong = offer(rng, true, [list]);
      expect(decodeRevocationOffer(wrong.b, AT, wrong.end), String(length)).toBe(malformed);
      const cut = part(rng, list, 0);
      expect(decodeRevocationPart(cut.b, AT, cut.end), String(length)).toBe(malformed);
    }
    for (const missing of [0, 2 ** REVOCATION_PARTS_MAX]) {
      const wrong = want(rng, a!, missing);
      expect(decodeRevocationWant(wrong.b, AT, wrong.end)).toBe(malformed);
    }
    const long = { ...a!, bytes: new Uint8Array(REVOCATIONS_BYTES_MAX) };
    const last = part(rng, long, REVOCATION_PARTS_MAX - 1);
    expect(decodeRevocationPart(last.b, AT, last.end)).toBeTypeOf('object');
    expect(decodeRevocationPart(last.b, AT, last.end - 1)).toBe(malformed);
    expect(decodeRevocationPart(last.b, AT, last.end + 1)).toBe(malformed);
    last.b[AT + 24] = REVOCATION_PARTS_MAX;
    expect(decodeRevocationPart(last.b, AT, last.end)).toBe(malformed);
    expect(decodeRevocationPart(last.b, AT, AT + 3)).toBe(malformed);
  });

  test('damaged or cut bytes give a reason or what they now say, never an exception', () => {
    const rng = new Rng(5);
    const decoders = [decodeRevocationOffer, decodeRevocationWant, decodeRevocationPart];
    let understood = 0,
      refused = 0;
    for (let i = 0; i < 6_000; i += 1) {
      const lists = listsOf(rng, 1 + rng.below(3));
      const [list] = lists;
      const made = [
        offer(rng, rng.chance(0.5), lists),
        want(rng, list!, 1 + rng.below(255)),
        part(rng, list!, rng.below(partsOf(list!.bytes.length))),
      ][i % 3]!;
      let { end } = made;
      for (let flips = 1 + rng.below(4); flips > 0; flips -= 1)
        made.b[AT + rng.below(end - AT)]! ^= 1 << rng.below(8);
      if (rng.chance(0.3)) end = AT + rng.below(end - AT + 1);
      const decoded = decoders[i % 3]!(made.b, AT, end);
      if (typeof decoded === 'number') {
        expect([DropReason.revocationMalformed, DropReason.reservedNotZero]).toContain(decoded);
        refused += 1;
      } else {
        understood += 1;
        // One content has one encoding: what was understood is written as it was read.
        if ('entries' in decoded)
          expect(decoded.entries.length).toBe(
            (end - AT - REVOCATION_OFFER_HEAD_BYTES) / REVOCATION_ENTRY_BYTES,
          );
        if ('bytes' in decoded)
          expect(end - AT).toBe(revocationPartFrameBytes(decoded.length, decoded.index));
      }
    }
    expect(Math.min(understood, refused)).toBeGreaterThan(500);
  });
});

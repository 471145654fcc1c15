/**
 * Records of groups and the head of packets to them: what is written comes back, what is not is
 * refused.
 */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { parseNodeId } from '../../../../src/core/base/ids.ts';
import { DropReason } from '../../../../src/core/wire/drop.ts';
import { decodeGroupHead, encodeGroupHead } from '../../../../src/core/wire/group.ts';
import { decodeGroups, GROUPS_OF_PAGE_MAX, makeGroups } from '../../../../src/core/wire/groups.ts';
import { KIND_DATAGRAM, KIND_GROUP, Packet } from '../../../../src/core/wire/packet.ts';

const PROOF = { issuedS: 1_700_000_000, certificate: new Uint8Array(32).fill(7), whole: null };
const SIGNING = { proof: PROOF, sign: () => new Uint8Array(64).fill(9) };

describe('a record of groups', () => {
  test('comes back as it was made, whatever it says', () => {
    const rng = new Rng(3);
    for (let round = 0; round < 40; round += 1) {
      const count = rng.below(4) === 0 ? GROUPS_OF_PAGE_MAX : rng.below(5);
      const groups = [
        ...new Set(Array.from({ length: count }, () => 0xe000_0000 + rng.below(0x1fff_fffe))),
      ].sort((a, b) => a - b);
      const said = {
        origin: 1 + rng.below(1_000),
        page: rng.below(4),
        sequence: rng.below(2 ** 31),
        instance: rng.below(2 ** 31),
        groups,
      };
      for (const signing of [null, SIGNING]) {
        const made = makeGroups(said, signing);
        const around = new Uint8Array(made.bytes.length + 9);
        around.set(made.bytes, 4);
        const read = decodeGroups(around, 4, 4 + made.bytes.length, signing !== null);
        expect(read).toEqual(made);
      }
    }
  });

  test('of another shape is refused', () => {
    const said = {
      origin: 5,
      page: 0,
      sequence: 6,
      instance: 7,
      groups: [0xe000_0001, 0xf000_0000],
    };
    const { bytes } = makeGroups(said, null);
    const refused = (change: (b: Uint8Array) => unknown, signed = false): void => {
      const copy = bytes.slice();
      const changed = change(copy),
        b = changed instanceof Uint8Array ? changed : copy;
      expect(decodeGroups(b, 0, b.length, signed)).toBe(DropReason.groupsMalformed);
    };
    for (let length = 0; length < bytes.length; length += 1) refused((b) => b.subarray(0, length));
    refused((b) => Uint8Array.from([...b, 0]));
    refused(() => undefined, true);
    refused((b) => (b[0] = 1));
    refused((b) => (b[1] = 4));
    refused((b) => b.fill(0, 2, 6));
    refused((b) => (b[2] = 0xe1));
    refused((b) => (b[17] = 1));
    refused((b) => (b[20] = 1));
    // Not a group, twice the same, not ascending, the last address of all.
    refused((b) => (b[58] = 0xdf));
    refused((b) => b.copyWithin(62, 58, 62));
    refused((b) => (b[58] = 0xf1));
    refused((b) => b.fill(0xff, 62, 66));
  });
});

describe('the head of a packet to a group', () => {
  test('comes back, and another content is refused', () => {
    const b = new Uint8Array(20);
    const out = { run: 0, number: 0, content: 0 };
    for (const content of [1, 2]) {
      const head = { run: 0xffff_fffe, number: 0x8000_0001, content };
      expect(encodeGroupHead(head, b, 3)).toBe(12);
      expect(decodeGroupHead(b, 3, 12, out)).toBe(DropReason.none);
      expect(out).toEqual(head);
    }
    expect(decodeGroupHead(b, 3, 11, out)).toBe(DropReason.groupMalformed);
    for (const content of [0, 3, 255]) {
      b[11] = content;
      expect(decodeGroupHead(b, 3, 20, out)).toBe(DropReason.groupMalformed);
    }
  });

  test('only a packet of that kind goes to a group, and to no group of class E', () => {
    const modes = { service: 0, ttl: 5, priority: 1 };
    const decoded = (kind: number, to: string, dissemination = 0): DropReason => {
      const packet = new Packet(),
        bytes = new Uint8Array(40);
      packet.compose(bytes, 0, 40, kind, { ...modes, dissemination }, 7, 1, parseNodeId(to)!, 2);
      return packet.decode(bytes, 0, 40, false);
    };
    expect(decoded(KIND_GROUP, '224.0.0.0')).toBe(DropReason.none);
    expect(decoded(KIND_GROUP, '239.255.255.255')).toBe(DropReason.none);
    expect(decoded(KIND_GROUP, '10.0.0.1')).toBe(DropReason.none);
    expect(decoded(KIND_GROUP, '240.0.0.0')).toBe(DropReason.packetMalformed);
    expect(decoded(KIND_GROUP, '239.1.1.1', 1)).toBe(DropReason.packetMalformed);
    expect(decoded(KIND_DATAGRAM, '239.1.1.1')).toBe(DropReason.packetMalformed);
  });
});

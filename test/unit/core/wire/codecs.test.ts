/**
 * Every codec: what is encoded decodes to the same values, and each limit is refused one past it
 * and not before.
 */

import { describe, expect, test } from 'vitest';

import { getU16 } from '../../../../src/core/base/bytes.ts';
import { isNodeId } from '../../../../src/core/base/ids.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import {
  DATAGRAM_DATA,
  DATAGRAM_INIT,
  DATAGRAM_RESPONSE,
  decodeDatagramHeader,
  encodeDatagramHeader,
  PACKET_NUMBER_MAX,
} from '../../../../src/core/wire/datagram-header.ts';
import { DropReason } from '../../../../src/core/wire/drop.ts';
import {
  decodeEcho,
  ECHO_EXPIRED,
  ECHO_HEAD_BYTES,
  ECHO_REQUEST,
  encodeEcho,
} from '../../../../src/core/wire/echo.ts';
import {
  decodeFragmentHead,
  encodeFragmentHead,
  FRAGMENT_BYTES,
  FRAGMENT_HEAD_BYTES,
  FRAGMENTS_MAX,
  MESSAGE_BYTES_MAX,
} from '../../../../src/core/wire/fragment.ts';
import {
  decodeClose,
  decodeHello,
  encodeHello,
  frameBodyBytes,
  HELLO_BODY_BYTES,
  putFrameHead,
} from '../../../../src/core/wire/frames.ts';
import {
  decodeHandshake,
  encodeHandshake,
  HANDSHAKE_BYTES,
  type Handshake,
} from '../../../../src/core/wire/handshake.ts';
import {
  decodeAdvertisement,
  LINK_ENTRY_BYTES,
  LINKS_PER_NODE_MAX,
  makeAdvertisement,
  NAME_BYTES_MAX,
  putVersionEntry,
  SEQUENCE_MAX,
  VERSION_ENTRY_BYTES,
  versionEntryOrigin,
  versionEntrySequence,
  type AdvertisedLink,
  type Advertisement,
} from '../../../../src/core/wire/link-state.ts';
import {
  capabilityNames,
  hasCapability,
  releaseOf,
  releaseText,
  type NodeFacts,
} from '../../../../src/core/wire/node-facts.ts';
import { Packet, stampEcn } from '../../../../src/core/wire/packet.ts';
import {
  DATAGRAM_BYTES_MAX,
  DATAGRAM_HEADER_BYTES,
  FRAME_BODY_BYTES_MAX,
  OVERLAY_HEADER_BYTES,
  PACKET_BYTES_MAX,
} from '../../../../src/core/wire/sizes.ts';

const ROUNDS = 2_000;

const u48 = (rng: Rng): number =>
  rng.chance(0.1)
    ? 0xffff_ffff_ffff
    : rng.chance(0.1)
      ? 0
      : rng.below(0x1_0000) * 0x1_0000_0000 + rng.u32();
const u32 = (rng: Rng): number => (rng.chance(0.1) ? 0xffff_ffff : rng.chance(0.1) ? 0 : rng.u32());
const u16 = (rng: Rng): number => (rng.chance(0.1) ? 0xffff : rng.below(0x1_0000));
const nodeId = (rng: Rng): number =>
  rng.chance(0.1) ? 0xdfff_ffff : rng.chance(0.1) ? 1 : 1 + rng.below(0xdfff_ffff);

/** Runs `body` on a buffer full of noise, so that a byte that an encoder forgets shows. */
function rounds(label: string, body: (rng: Rng, noise: Uint8Array) => void): void {
  const rng = new Rng(20_240_601).fork(label);
  const noise = new Uint8Array(2048);
  for (let i = 0; i < ROUNDS; i += 1) {
    if (i % 50 === 0) rng.fill(noise);
    body(rng, noise);
  }
}

describe('datagram header', () => {
  test('comes back', () => {
    rounds('header', (rng, b) => {
      const type = [DATAGRAM_INIT, DATAGRAM_RESPONSE, DATAGRAM_DATA][rng.below(3)]!;
      const receiver = u32(rng),
        number = u48(rng),
        out = { type: 0, receiver: 0, number: 0 };
      encodeDatagramHeader(type, receiver, number, b);
      expect(decodeDatagramHeader(b, 12 + rng.below(1441), out)).toBe(DropReason.none);
      expect(out).toEqual({ type, receiver, number });
    });
    // The upper half is for probes of the path size.
    expect(PACKET_NUMBER_MAX).toBe(2 ** 47 - 1);
  });

  test('length, type and reserved byte are checked', () => {
    const b = new Uint8Array(DATAGRAM_BYTES_MAX + 1),
      out = { type: 0, receiver: 0, number: 0 };
    encodeDatagramHeader(DATAGRAM_DATA, 1, 2, b);
    expect(decodeDatagramHeader(b, DATAGRAM_HEADER_BYTES - 1, out)).toBe(
      DropReason.datagramTooShort,
    );
    expect(decodeDatagramHeader(b, 0, out)).toBe(DropReason.datagramTooShort);
    expect(decodeDatagramHeader(b, DATAGRAM_HEADER_BYTES, out)).toBe(DropReason.none);
    expect(decodeDatagramHeader(b, DATAGRAM_BYTES_MAX, out)).toBe(DropReason.none);
    expect(decodeDatagramHeader(b, DATAGRAM_BYTES_MAX + 1, out)).toBe(DropReason.datagramTooLong);
    let known = 0;
    for (let type = 0; type < 256; type += 1) {
      b[0] = type;
      const reason = decodeDatagramHeader(b, 12, out);
      if (reason === DropReason.none) known += 1;
      else expect(reason).toBe(DropReason.datagramType);
    }
    expect(known).toBe(10);
    b[0] = DATAGRAM_DATA;
    for (let bit = 0; bit < 8; bit += 1) {
      b[1] = 1 << bit;
      expect(decodeDatagramHeader(b, 12, out)).toBe(DropReason.reservedNotZero);
    }
  });
});

describe('handshake', () => {
  const versions = { min: 1, max: 1 };
  const sample: Handshake = {
    versions,
    version: 1,
    node: 1,
    peer: 2,
    index: 3,
    instance: 4,
    started: 5,
  };
  const nothing = (): Handshake => ({
    versions,
    version: 0,
    node: 0,
    peer: 0,
    index: 0,
    instance: 0,
    started: 0,
  });
  const encoded = (h: Handshake): Uint8Array => {
    const b = new Uint8Array(HANDSHAKE_BYTES);
    encodeHandshake(h, b);
    return b;
  };
  const decoded = (b: Uint8Array, length = b.length): DropReason =>
    decodeHandshake(b, length, nothing());

  test('comes back, the header untouched', () => {
    rounds('handshake', (rng, b) => {
      const min = 1 + rng.below(255),
        max = min + rng.below(256 - min);
      const h = {
        versions: { min, max },
        version: rng.below(256),
        node: nodeId(rng),
        peer: rng.chance(0.2) ? 0 : nodeId(rng),
        index: u32(rng),
        instance: u48(rng),
        started: u48(rng),
      };
      const head = b.slice(0, 12),
        out = nothing();
      encodeHandshake(h, b);
      expect(b.slice(0, 12)).toEqual(head);
      expect(decodeHandshake(b, HANDSHAKE_BYTES, out)).toBe(DropReason.none);
      expect(out).toEqual(h);
    });
  });

  test(
    'one length, a range of versions, ids that nodes can have, ' +
      'a check over all that is before it',
    () => {
      expect(decoded(encoded(sample))).toBe(DropReason.none);
      const long = new Uint8Array(DATAGRAM_BYTES_MAX);
      long.set(encoded(sample));
      for (let length = 12; length <= DATAGRAM_BYTES_MAX; length += 1) {
        if (length !== HANDSHAKE_BYTES)
          expect(decoded(long, length)).toBe(DropReason.handshakeMalformed);
      }
      for (const node of [0, 0xe000_0000, 0xffff_ffff])
        expect(decoded(encoded({ ...sample, node }))).toBe(DropReason.handshakeMalformed);
      for (const peer of [0xe000_0000, 0xf000_0001])
        expect(decoded(encoded({ ...sample, peer }))).toBe(DropReason.handshakeMalformed);
      expect(decoded(encoded({ ...sample, peer: 0 }))).toBe(DropReason.none);
      for (const [min, max, good] of [
        [0, 0, false],
        [0, 1, false],
        [1, 1, true],
        [2, 1, false],
        [1, 255, true],
        [255, 255, true],
        [255, 1, false],
      ] as const) {
        expect(decoded(encoded({ ...sample, versions: { min, max } }))).toBe(
          good ? DropReason.none : DropReason.handshakeMalformed,
        );
      }
      const reserved = encoded(sample);
      reserved[15] = 1;
      expect(decoded(reserved)).toBe(DropReason.reservedNotZero);
      // Any flipped bit of what no other check looks at is found, in the header too.
      for (const at of [
        ...Array.from({ length: 12 }, (_, i) => i),
        14,
        ...Array.from({ length: 20 }, (_, i) => 24 + i),
      ]) {
        for (let bit = 0; bit < 8; bit += 1) {
          const b = encoded(sample);
          b[at]! ^= 1 << bit;
          expect(decoded(b), `byte ${at}`).toBe(DropReason.checkWrong);
        }
      }
    },
  );
});

describe('frames', () => {
  test('a head comes back, and a body may not reach beyond the end', () => {
    rounds('frame head', (rng, b) => {
      const at = rng.below(100),
        type = rng.below(256),
        length = rng.below(FRAME_BODY_BYTES_MAX + 1),
        end = at + 3 + length;
      expect(putFrameHead(b, at, type, length)).toBe(at + 3);
      expect(b[at]).toBe(type);
      expect(frameBodyBytes(b, at, end)).toBe(length);
      expect(frameBodyBytes(b, at, end + 1)).toBe(length);
      expect(frameBodyBytes(b, at, end - 1)).toBe(-1);
      expect(frameBodyBytes(b, at, at + rng.below(3))).toBe(-1);
    });
  });

  test('hello comes back', () => {
    rounds('hello', (rng, b) => {
      const hello = {
        flags: rng.below(4),
        burst: rng.below(256),
        loss: u16(rng),
        stamp: u32(rng),
        echo: u32(rng),
        held: u32(rng),
      };
      const at = rng.below(100),
        out = { flags: 0, burst: 0, loss: 0, stamp: 0, echo: 0, held: 0 };
      expect(encodeHello(hello, b, at)).toBe(at + HELLO_BODY_BYTES);
      expect(decodeHello(b, at, at + HELLO_BODY_BYTES, out, 4)).toBe(DropReason.none);
      expect(out).toEqual(hello);
      expect(decodeHello(b, at, at + HELLO_BODY_BYTES - 1, out, 4)).toBe(DropReason.helloMalformed);
      expect(decodeHello(b, at, at + HELLO_BODY_BYTES + 1, out, 4)).toBe(DropReason.helloMalformed);
    });
  });

  test('reserved bits of a hello are zero', () => {
    const b = new Uint8Array(16),
      out = { flags: 0, burst: 0, loss: 0, stamp: 0, echo: 0, held: 0 };
    for (let flags = 0; flags < 256; flags += 1) {
      b[0] = flags;
      expect(decodeHello(b, 0, 16, out, 4)).toBe(
        flags < 4 ? DropReason.none : DropReason.reservedNotZero,
      );
    }
    b[0] = 0;
    b[1] = 1;
    expect(decodeHello(b, 0, 16, out, 3)).toBe(DropReason.reservedNotZero);
    expect(decodeHello(b, 0, 16, out, 4)).toBe(DropReason.none);
    expect(out.burst).toBe(1);
  });

  test('a close has one byte and one of three reasons', () => {
    for (let reason = 0; reason < 256; reason += 1)
      expect(decodeClose(Uint8Array.of(reason, 1), 0, 1)).toBe(
        reason >= 1 && reason <= 3 ? reason : -1,
      );
    expect(decodeClose(Uint8Array.of(1, 1), 0, 2)).toBe(-1);
    expect(decodeClose(Uint8Array.of(1), 1, 1)).toBe(-1);
  });
});

describe('overlay packet', () => {
  test('comes back at any place of a buffer', () => {
    const out = new Packet();
    rounds('packet', (rng, b) => {
      const packet = new Packet();
      packet.bytes = b;
      packet.start = rng.below(100);
      packet.end =
        packet.start +
        OVERLAY_HEADER_BYTES +
        rng.below(PACKET_BYTES_MAX - OVERLAY_HEADER_BYTES + 1);
      const fields = {
        kind: rng.below(256),
        ttl: rng.below(256),
        service: rng.below(8),
        dissemination: rng.below(8),
        ecn: rng.chance(0.5),
        priority: rng.below(16),
        source: nodeId(rng),
        destination: nodeId(rng),
        sourcePort: u16(rng),
        destinationPort: u16(rng),
      };
      Object.assign(packet, fields);
      packet.encodeHeader();
      expect(out.decode(b, packet.start, packet.end, true)).toBe(DropReason.none);
      expect(out).toMatchObject({
        ...fields,
        start: packet.start,
        end: packet.end,
        keepable: true,
      });
      expect(out.length).toBe(packet.end - packet.start);

      out.setTtl(17);
      stampEcn(b, packet.start);
      const again = new Packet();
      expect(again.decode(b, packet.start, packet.end, false)).toBe(DropReason.none);
      expect(again).toMatchObject({ ...fields, ttl: 17, ecn: true, keepable: false });
    });
  });

  test('length, reserved bits and ids are checked', () => {
    const packet = new Packet(),
      b = new Uint8Array(PACKET_BYTES_MAX + 1);
    const fresh = (): void => {
      packet.bytes = b;
      packet.start = 0;
      packet.source = 1;
      packet.destination = 2;
      packet.encodeHeader();
    };
    fresh();
    expect(packet.decode(b, 0, 15, true)).toBe(DropReason.packetMalformed);
    expect(packet.decode(b, 0, 0, true)).toBe(DropReason.packetMalformed);
    expect(packet.decode(b, 0, 16, true)).toBe(DropReason.none);
    expect(packet.decode(b, 0, PACKET_BYTES_MAX, true)).toBe(DropReason.none);
    expect(packet.decode(b, 0, PACKET_BYTES_MAX + 1, true)).toBe(DropReason.packetTooLong);
    b[2] = 0x40;
    expect([packet.decode(b, 0, 16, true), packet.sealed, packet.service]).toEqual([
      DropReason.none,
      true,
      0,
    ]);
    for (const bit of [0x10, 0x20, 0x40, 0x80]) {
      fresh();
      b[3] = bit;
      expect(packet.decode(b, 0, 16, true)).toBe(DropReason.reservedNotZero);
    }
    for (const id of [0, 0xe000_0000, 0xffff_ffff]) {
      packet.source = id;
      packet.destination = 2;
      packet.priority = 0;
      packet.encodeHeader();
      expect(packet.decode(b, 0, 16, true)).toBe(DropReason.packetMalformed);
      packet.source = 1;
      packet.destination = id;
      packet.encodeHeader();
      expect(packet.decode(b, 0, 16, true)).toBe(DropReason.packetMalformed);
    }
  });
});

describe('link state', () => {
  const facts = (rng: Rng): NodeFacts => {
    const min = 1 + rng.below(255);
    const release = { major: rng.below(256), minor: rng.below(256), patch: u16(rng) };
    return {
      wire: { min, max: min + rng.below(256 - min) },
      release,
      capabilities: u32(rng),
      instance: u48(rng),
      started: u48(rng),
    };
  };
  const name = (rng: Rng): string => {
    const letters = 'ABCXYZabcxyz0123456789_';
    let text = '';
    for (let left = rng.below(NAME_BYTES_MAX + 1); left > 0; left -= 1)
      text += letters[rng.below(letters.length)]!;
    return text;
  };
  const links = (rng: Rng, origin: number, count: number): AdvertisedLink[] => {
    const nodes = new Set<number>();
    while (nodes.size < count) {
      const node = nodeId(rng);
      if (node !== origin) nodes.add(node);
    }
    return [...nodes]
      .sort((a, b) => a - b)
      .map((node) => ({ node, latency: u16(rng), loss: u16(rng) }));
  };
  const reasonOf = (b: Uint8Array, end = b.length): DropReason => {
    const read = decodeAdvertisement(b, 0, end);
    return typeof read === 'number' ? read : DropReason.none;
  };

  test('an advertisement comes back with its own copy of the bytes', () => {
    rounds('advertisement', (rng, noise) => {
      const origin = nodeId(rng);
      const made = makeAdvertisement(
        origin,
        u48(rng),
        rng.chance(0.5),
        name(rng),
        links(rng, origin, rng.below(rng.chance(0.05) ? LINKS_PER_NODE_MAX + 1 : 8)),
        rng.chance(0.5) ? facts(rng) : null,
      );
      const at = rng.below(50),
        end = at + made.bytes.length;
      noise.set(made.bytes, at);
      const read = decodeAdvertisement(noise, at, end);
      expect(read).toEqual(made);
      noise[at] = noise[at]! ^ 0xff;
      expect((read as Advertisement).bytes).toEqual(made.bytes);
      expect(made.bytes.length).toBeLessThanOrEqual(FRAME_BODY_BYTES_MAX - 2);
    });
  });

  test(
    'facts come back, whatever bits they have, ' +
      'and a range of versions that is none is malformed',
    () => {
      const read = (of: NodeFacts): Advertisement | DropReason =>
        decodeAdvertisement(makeAdvertisement(5, 1, false, 'a', [], of).bytes, 0, 36);
      rounds('facts', (rng) => {
        const of = facts(rng);
        expect((read(of) as Advertisement).facts).toEqual(of);
        for (const wire of [
          { min: 0, max: of.wire.max },
          { min: of.wire.max + 1, max: of.wire.max },
        ]) {
          if (wire.min < 256) expect(read({ ...of, wire })).toBe(DropReason.linkStateMalformed);
        }
      });
      for (let bit = 0; bit < 32; bit += 1) {
        const capabilities = 2 ** bit;
        expect(
          (read({ ...facts(new Rng(1)), capabilities }) as Advertisement).facts!.capabilities,
        ).toBe(capabilities);
        expect(hasCapability(capabilities, capabilities)).toBe(true);
        expect(hasCapability(0xffff_ffff - capabilities, capabilities)).toBe(false);
        expect(hasCapability(capabilities, 0xffff_ffff)).toBe(false);
      }
      expect(capabilityNames(0x8000_0043)).toEqual([
        'END_TO_END',
        'GROUPS',
        'TRANSIT',
        '0x80000000',
      ]);
      expect(capabilityNames(0)).toEqual([]);
      expect(
        ['0.1.0', '1.22.333', '1.2.3-rc.1', '300.2.70000', 'x'].map((text) =>
          releaseText(releaseOf(text)),
        ),
      ).toEqual(['0.1.0', '1.22.333', '1.2.3', '255.2.65535', '0.0.0']);
    },
  );

  test(
    'an advertisement has exactly the length that its counts say, ' +
      'and counts within their limits',
    () => {
      const full = makeAdvertisement(
        1,
        SEQUENCE_MAX,
        false,
        'n'.repeat(NAME_BYTES_MAX),
        links(new Rng(5), 1, LINKS_PER_NODE_MAX),
        facts(new Rng(6)),
      );
      expect(reasonOf(full.bytes)).toBe(DropReason.none);
      for (let length = 0; length < full.bytes.length; length += 1)
        expect(reasonOf(full.bytes, length)).toBe(DropReason.linkStateMalformed);
      expect(reasonOf(Uint8Array.of(...full.bytes, 0))).toBe(DropReason.linkStateMalformed);
      expect(
        reasonOf(makeAdvertisement(1, 1, false, 'n'.repeat(NAME_BYTES_MAX + 1), []).bytes),
      ).toBe(DropReason.linkStateMalformed);
      expect(
        reasonOf(
          makeAdvertisement(1, 1, false, '', links(new Rng(5), 1, LINKS_PER_NODE_MAX + 1)).bytes,
        ),
      ).toBe(DropReason.linkStateMalformed);
    },
  );

  test('flags, origin, name and the order of links are checked', () => {
    const link = (node: number): AdvertisedLink => ({ node, latency: 1, loss: 0 });
    const made = (origin: number, text: string, nodes: number[]): DropReason =>
      reasonOf(makeAdvertisement(origin, 1, false, text, nodes.map(link)).bytes);
    expect(made(5, 'a', [2, 3, 9])).toBe(DropReason.none);
    for (const origin of [0, 0xe000_0000, 0xffff_ffff])
      expect(made(origin, 'a', [])).toBe(DropReason.linkStateMalformed);
    for (const text of ['-a', 'a b', '10.0.0.1', 'é', '.a', '\u0000'])
      expect(made(5, text, [])).toBe(DropReason.linkStateMalformed);
    for (const nodes of [[3, 2], [2, 2], [5], [0], [2, 0xe000_0000]])
      expect(made(5, '', nodes)).toBe(DropReason.linkStateMalformed);
    const b = makeAdvertisement(5, 1, false, 'ab', []).bytes;
    for (let flags = 0; flags < 256; flags += 1) {
      b[10] = flags;
      // A signed one has no name here and more behind the links, and so has one with facts.
      expect(reasonOf(b)).toBe(
        flags < 2
          ? DropReason.none
          : flags < 16
            ? DropReason.linkStateMalformed
            : DropReason.reservedNotZero,
      );
    }
    b[10] = 0;
    b[13] = 0xff;
    expect(reasonOf(b)).toBe(DropReason.linkStateMalformed);
  });

  test('a version entry comes back', () => {
    rounds('version', (rng, b) => {
      const at = rng.below(100),
        origin = u32(rng),
        sequence = u48(rng);
      expect(putVersionEntry(b, at, origin, sequence)).toBe(at + VERSION_ENTRY_BYTES);
      expect([versionEntryOrigin(b, at), versionEntrySequence(b, at)]).toEqual([origin, sequence]);
    });
    expect(LINK_ENTRY_BYTES).toBe(8);
  });
});

describe('fragments', () => {
  test('a head comes back', () => {
    rounds('fragment', (rng, b) => {
      const count = 2 + rng.below(FRAGMENTS_MAX - 1),
        index = rng.below(count),
        message = u32(rng),
        at = rng.below(50);
      const most = Math.min(FRAGMENT_BYTES, MESSAGE_BYTES_MAX - index * FRAGMENT_BYTES);
      const bytes = index < count - 1 ? FRAGMENT_BYTES : 1 + rng.below(most);
      const out = { message: 0, index: 0, count: 0 };
      expect(encodeFragmentHead({ message, index, count }, b, at)).toBe(at + FRAGMENT_HEAD_BYTES);
      expect(decodeFragmentHead(b, at, at + FRAGMENT_HEAD_BYTES + bytes, out)).toBe(
        DropReason.none,
      );
      expect(out).toEqual({ message, index, count });
    });
  });

  test('every count, index and length is judged', () => {
    const b = new Uint8Array(2000),
      out = { message: 0, index: 0, count: 0 };
    for (let count = 0; count < 256; count += 1) {
      for (const index of [0, 1, count - 2, count - 1, count, 255]) {
        if (index < 0 || index > 255) continue;
        encodeFragmentHead({ message: 7, index, count }, b, 0);
        for (const bytes of [
          -6,
          -1,
          0,
          1,
          18,
          19,
          FRAGMENT_BYTES - 1,
          FRAGMENT_BYTES,
          FRAGMENT_BYTES + 1,
        ]) {
          const last = index === count - 1;
          const good =
            count >= 2 &&
            count <= FRAGMENTS_MAX &&
            index < count &&
            (last ? bytes >= 1 && bytes <= FRAGMENT_BYTES : bytes === FRAGMENT_BYTES) &&
            index * FRAGMENT_BYTES + bytes <= MESSAGE_BYTES_MAX;
          expect(
            decodeFragmentHead(b, 0, FRAGMENT_HEAD_BYTES + bytes, out),
            `${index} of ${count}, ${bytes} bytes`,
          ).toBe(good ? DropReason.none : DropReason.fragmentMalformed);
        }
      }
    }
    expect((FRAGMENTS_MAX - 1) * FRAGMENT_BYTES).toBeLessThan(MESSAGE_BYTES_MAX);
    expect(FRAGMENTS_MAX * FRAGMENT_BYTES).toBeGreaterThanOrEqual(MESSAGE_BYTES_MAX);
  });
});

describe('echo', () => {
  test('comes back', () => {
    rounds('echo', (rng, b) => {
      const echo = {
        operation: ECHO_REQUEST + rng.below(3),
        ttlLeft: rng.below(256),
        sequence: u16(rng),
        id: u32(rng),
      };
      const at = rng.below(50),
        out = { operation: 0, ttlLeft: 0, sequence: 0, id: 0 };
      expect(encodeEcho(echo, b, at)).toBe(at + ECHO_HEAD_BYTES);
      expect(decodeEcho(b, at, at + ECHO_HEAD_BYTES + rng.below(100), out)).toBe(DropReason.none);
      expect(out).toEqual(echo);
    });
  });

  test('length and operation are checked', () => {
    const b = new Uint8Array(8),
      out = { operation: 0, ttlLeft: 0, sequence: 0, id: 0 };
    for (let operation = 0; operation < 256; operation += 1) {
      b[0] = operation;
      expect(decodeEcho(b, 0, 8, out)).toBe(
        operation >= ECHO_REQUEST && operation <= ECHO_EXPIRED
          ? DropReason.none
          : DropReason.echoMalformed,
      );
    }
    b[0] = ECHO_REQUEST;
    for (let length = 0; length < 8; length += 1)
      expect(decodeEcho(b, 0, length, out)).toBe(DropReason.echoMalformed);
  });
});

test('node ids of classes D and E and zero are no nodes', () => {
  expect([0, 1, 0xdfff_ffff, 0xe000_0000, 0xffff_ffff].map((id) => isNodeId(id))).toEqual([
    false,
    true,
    true,
    false,
    false,
  ]);
  expect(getU16(Uint8Array.of(1, 2), 0)).toBe(0x0102);
});

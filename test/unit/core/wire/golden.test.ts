/** The golden datagrams, every truncation and every single-byte change of them. */

import { describe, expect, test } from 'vitest';

import { equalBytes, hex } from '../../../../src/core/base/bytes.ts';
import { decodeDatagramHeader } from '../../../../src/core/wire/datagram-header.ts';
import { DROP_REASON_COUNT, DropReason, dropReasonName } from '../../../../src/core/wire/drop.ts';
import { decodeEcho, ECHO_REPLY } from '../../../../src/core/wire/echo.ts';
import { decodeFragmentHead } from '../../../../src/core/wire/fragment.ts';
import { decodeHello, FRAME_DATA, HELLO_ECHOES } from '../../../../src/core/wire/frames.ts';
import { decodeHandshake } from '../../../../src/core/wire/handshake.ts';
import {
  CONTROL_CHECK_BYTES,
  decodeAdvertisement,
  versionEntryOrigin,
  versionEntrySequence,
} from '../../../../src/core/wire/link-state.ts';
import { KIND_DATAGRAM, KIND_FRAGMENT, Packet } from '../../../../src/core/wire/packet.ts';
import { GOLDEN, goldenBytes } from './golden.ts';
import { transcode } from './transcode.ts';

/**
 * What became of `bytes`: 'same' when they came back unchanged, a drop reason, or 'other', which
 * must not happen.
 */
function outcome(bytes: Uint8Array): string {
  const back = transcode(bytes);
  if (typeof back !== 'number') return equalBytes(back, bytes) ? 'same' : 'other';
  if (!Number.isInteger(back) || back <= 0 || back >= DROP_REASON_COUNT) return 'other';
  return dropReasonName(back);
}

describe('golden datagrams', () => {
  test.each(GOLDEN)('$name decodes and comes back byte for byte', ({ bytes }) => {
    const back = transcode(bytes);
    expect(typeof back === 'number' ? dropReasonName(back) : hex(back)).toBe(hex(bytes));
  });

  test('their fields are what they were made of', () => {
    const header = { type: 0, receiver: 0, number: 0 };
    const init = goldenBytes('init');
    expect(decodeDatagramHeader(init, init.length, header)).toBe(DropReason.none);
    expect(header).toEqual({ type: 0x11, receiver: 0xa1b2c3d4, number: 2 });
    const handshake = {
      versions: { min: 1, max: 1 },
      version: 0,
      node: 0,
      peer: 0,
      index: 0,
      instance: 0,
      started: 0,
    };
    expect(decodeHandshake(init, init.length, handshake)).toBe(DropReason.none);
    expect(handshake).toEqual({
      versions: { min: 2, max: 2 },
      version: 0,
      node: 0x0a000001,
      peer: 0,
      index: 0xa1b2c3d4,
      instance: 0x112233445566,
      started: 0x0f1e2d3c4b5a,
    });

    const answer = goldenBytes('hello answer');
    expect(decodeDatagramHeader(answer, answer.length, header)).toBe(DropReason.none);
    expect(header).toEqual({ type: 0x14, receiver: 0xa1b2c3d4, number: 0x0102030405 });
    const hello = { flags: 0, burst: 0, loss: 0, stamp: 0, echo: 0, held: 0 };
    expect(decodeHello(answer, 15, answer.length, hello, 4)).toBe(DropReason.none);
    expect(hello).toEqual({
      flags: HELLO_ECHOES,
      burst: 0,
      loss: 655,
      stamp: 0xfffffffe,
      echo: 0xabcdef,
      held: 1500,
    });

    const marked = goldenBytes('datagram, empty and marked');
    expect(marked[12]).toBe(FRAME_DATA);
    const packet = new Packet();
    expect(packet.decode(marked, 15, marked.length, true)).toBe(DropReason.none);
    expect(packet).toMatchObject({
      kind: KIND_DATAGRAM,
      ttl: 63,
      service: 0,
      dissemination: 0,
      ecn: true,
      priority: 1,
      source: 0x0a000001,
      destination: 0x0a000007,
      sourcePort: 32768,
      destinationPort: 7,
      length: 16,
      payloadStart: 31,
    });

    const piece = goldenBytes('last fragment');
    expect(packet.decode(piece, 15, piece.length, true)).toBe(DropReason.none);
    expect(packet.kind).toBe(KIND_FRAGMENT);
    const fragment = { message: 0, index: 0, count: 0 };
    expect(decodeFragmentHead(piece, packet.payloadStart, packet.end, fragment)).toBe(
      DropReason.none,
    );
    expect(fragment).toEqual({ message: 0xfffffffe, index: 2, count: 3 });

    const reply = goldenBytes('echo reply');
    const echo = { operation: 0, ttlLeft: 0, sequence: 0, id: 0 };
    expect(decodeEcho(reply, 31, reply.length, echo)).toBe(DropReason.none);
    expect(echo).toEqual({ operation: ECHO_REPLY, ttlLeft: 62, sequence: 513, id: 0xcafef00d });

    const state = goldenBytes('link state');
    expect(decodeAdvertisement(state, 17, state.length - CONTROL_CHECK_BYTES)).toEqual({
      origin: 0x0a000001,
      sequence: 0x10203040,
      leaving: false,
      name: 'alpha',
      facts: null,
      proof: null,
      bytes: state.slice(17, -CONTROL_CHECK_BYTES),
      links: [
        { node: 0x0a000002, latency: 100, loss: 0 },
        { node: 0x0a000007, latency: 250, loss: 655 },
      ],
    });
    const factual = goldenBytes('link state with facts');
    expect(decodeAdvertisement(factual, 17, factual.length - CONTROL_CHECK_BYTES)).toMatchObject({
      name: 'alpha',
      links: [{ node: 0x0a000002, latency: 100, loss: 0 }],
      facts: {
        wire: { min: 2, max: 3 },
        release: { major: 1, minor: 22, patch: 333 },
        capabilities: 0x8000_0041,
        instance: 0x112233445566,
        started: 0x0f1e2d3c4b5a,
      },
    });
    const digest = goldenBytes('digest');
    expect([versionEntryOrigin(digest, 26), versionEntrySequence(digest, 26)]).toEqual([
      0x0a000007, 0xfffffffffffe,
    ]);
  });
});

describe.each(GOLDEN)('$name, damaged', ({ bytes }) => {
  test('cut short anywhere, it is malformed, unless the cut leaves whole frames', () => {
    for (let length = 0; length < bytes.length; length += 1) {
      const result = outcome(bytes.slice(0, length));
      // A DATA datagram may end behind any frame.
      const whole = bytes[0] === 0x14 && frameEnds(bytes).includes(length);
      if (whole) expect(result, `cut to ${length}`).toBe('same');
      else expect(result, `cut to ${length}`).not.toMatch(/^(same|other)$/);
    }
  });

  test('with a byte more, it is malformed', () => {
    for (const extra of [0, 1, 0xff])
      expect(outcome(Uint8Array.of(...bytes, extra))).not.toMatch(/^(same|other)$/);
  });

  test(
    'with any one byte changed to any other value, ' +
      'it is dropped for a reason or means exactly what it says',
    () => {
      const changed = bytes.slice();
      const wrong: string[] = [];
      for (let at = 0; at < bytes.length; at += 1) {
        for (let value = 0; value < 256; value += 1) {
          if (value === bytes[at]) continue;
          changed[at] = value;
          if (outcome(changed) === 'other') wrong.push(`byte ${at} = ${value}`);
        }
        changed[at] = bytes[at]!;
      }
      expect(wrong).toEqual([]);
      expect(outcome(changed)).toBe('same');
    },
  );
});

/** Offsets at which a frame of a DATA datagram ends, the header's end included. */
function frameEnds(bytes: Uint8Array): number[] {
  const ends = [12];
  for (let at = 12; at < bytes.length; ) {
    at += 3 + bytes[at + 1]! * 256 + bytes[at + 2]!;
    ends.push(at);
  }
  return ends;
}

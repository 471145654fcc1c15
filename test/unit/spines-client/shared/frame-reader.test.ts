/** Any cut of a byte stream gives the same frames. */

import { describe, expect, it } from 'vitest';

import {
  FRAME_LENGTH_MAX,
  FRAME_RECV,
  FrameReader,
  encodeControl,
  encodeDatagram,
} from '../../../../spines-client/src/shared/protocol.ts';

function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function collect(): { frames: string[]; reader: FrameReader } {
  const frames: string[] = [];
  const reader = new FrameReader({
    onFrame: (type, bytes, start, end) =>
      frames.push(`${type}:${Buffer.from(bytes.subarray(start, end)).toString('hex')}`),
  });
  return { frames, reader };
}

describe('FrameReader', () => {
  it('gives the same frames however the stream is cut', () => {
    for (let seed = 1; seed <= 30; seed++) {
      const next = random(seed);
      const parts: Uint8Array[] = [];
      for (let i = 0; i < 20; i++) {
        parts.push(
          next(2) === 0
            ? encodeControl(next(5) + 1, { i, text: 'x'.repeat(next(40)) })
            : encodeDatagram(
                FRAME_RECV,
                next(100),
                next(2 ** 32),
                next(65_536),
                new Uint8Array(next(next(4) === 0 ? 70_000 : 300)).fill(i),
              ),
        );
      }
      const stream = new Uint8Array(Buffer.concat(parts));
      const whole = collect();
      expect(whole.reader.push(stream)).toBe(true);
      expect(whole.frames).toHaveLength(20);
      const cut = collect();
      const sizeMax = [1, 3, 17, 1000, 70_000][seed % 5]!;
      for (let at = 0; at < stream.length; ) {
        const end = Math.min(stream.length, at + 1 + next(sizeMax));
        const chunk = stream.slice(at, end);
        if (!cut.reader.push(chunk)) throw new Error(`seed ${seed}: broken at ${at}`);
        chunk.fill(0xee);
        at = end;
        if (sizeMax === 1 && at > 5000) break;
      }
      if (sizeMax === 1) expect(whole.frames.slice(0, cut.frames.length)).toEqual(cut.frames);
      else {
        expect(cut.frames).toEqual(whole.frames);
        expect(cut.reader.pendingBytes).toBe(0);
      }
    }
  });

  it('never throws on garbage and holds at most one frame', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const next = random(seed);
      const { reader } = collect();
      for (let i = 0; i < 50; i++) {
        reader.push(Uint8Array.from({ length: next(200) }, () => (next(3) === 0 ? 0 : next(256))));
        if (reader.pendingBytes > FRAME_LENGTH_MAX + 4)
          throw new Error(`seed ${seed}: ${reader.pendingBytes} bytes held`);
      }
    }
  });

  it.each([[0], [FRAME_LENGTH_MAX + 1], [0xffff_ffff]])(
    'breaks for good on length %i',
    (length) => {
      const head = Buffer.alloc(5);
      head.writeUInt32BE(length);
      const { reader, frames } = collect();
      expect(reader.push(head)).toBe(false);
      expect(reader.push(encodeControl(1, {}))).toBe(false);
      expect(frames).toEqual([]);
      const slow = collect().reader;
      const results = [...head].map((byte) => slow.push(Uint8Array.of(byte)));
      expect(results.at(-1)).toBe(false);
    },
  );
});

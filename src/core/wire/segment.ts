/**
 * The head of a stream segment: sequence, acknowledgement, window, flags and what arrived out of
 * order. WIRE.md section 8.
 *
 * Positions are byte offsets from the start of the stream, 48 bits, so they never wrap. A FIN takes
 * one position behind the last byte. Each side names its stream by an id that it chose; a segment
 * carries the receiver's.
 */

import { getU16, getU32, getU48, putU16, putU32, putU48 } from '../base/bytes.ts';
import { DropReason } from './drop.ts';
import { PAYLOAD_BYTES_MAX } from './sizes.ts';

const FLAGS = 0,
  SACKS = 1,
  WINDOW = 2,
  STREAM = 4,
  SEQUENCE = 8,
  ACK = 14,
  DELAY = 20;
export const SEGMENT_HEAD_BYTES = 22;
export const SEGMENT_LAYOUT = {
  flags: [FLAGS, 1],
  sacks: [SACKS, 1],
  window: [WINDOW, 2],
  stream: [STREAM, 4],
  sequence: [SEQUENCE, 6],
  ack: [ACK, 6],
  delay: [DELAY, 2],
} as const;
const SACK_START = 0,
  SACK_END = 4;
export const SACK_BYTES = 8;
export const SACK_LAYOUT = { start: [SACK_START, 4], end: [SACK_END, 4] } as const;

export const SEGMENT_SYN = 0x01;
/** `ack`, `window` and `delay` mean something. */
export const SEGMENT_ACK = 0x02;
export const SEGMENT_FIN = 0x04;
export const SEGMENT_RST = 0x08;
/** Something acknowledged here was marked by a congested queue. */
export const SEGMENT_MARKED = 0x10;
/** The sender wants an acknowledgement at once. */
export const SEGMENT_ASK = 0x20;
/**
 * A segment arrived since the last acknowledgement all of whose data was here already (RFC 2883).
 */
export const SEGMENT_DUPLICATE = 0x40;
const FLAGS_ALL = 0x7f;

/** Why a stream is over, in the delay of an RST; whatever else is in there says nothing. */
export const RESET_UNSAID = 0;
/** Rules of the far end's node, its firewall, do not let it be. */
export const RESET_FORBIDDEN = 1;

/** Ranges of one acknowledgement. */
export const SACKS_MAX = 32;
export const WINDOW_UNIT = 1_024;
export const WINDOW_BYTES_MAX = 0xffff * WINDOW_UNIT;
export const SEGMENT_DELAY_UNIT_US = 16;
/** Payload of a SYN: the id by which the sender wants to be named. */
export const SYN_BYTES = 4;
/** Data bytes of a full segment. */
export const SEGMENT_BYTES_MAX = PAYLOAD_BYTES_MAX - SEGMENT_HEAD_BYTES;

export class Segment {
  flags = 0;
  /** In bytes, a multiple of WINDOW_UNIT. */
  window = 0;
  stream = 0;
  sequence = 0;
  ack = 0;
  delayUs = 0;
  /** Of an RST: RESET_... */
  why = RESET_UNSAID;
  sackCount = 0;
  /** Positions; start inclusive, end exclusive, all beyond `ack`. */
  readonly sackStart = new Float64Array(SACKS_MAX);
  readonly sackEnd = new Float64Array(SACKS_MAX);

  get headBytes(): number {
    return SEGMENT_HEAD_BYTES + this.sackCount * SACK_BYTES;
  }

  /** Decodes the head at `start`; data is what follows `headBytes`. */
  decode(b: Uint8Array, start: number, end: number): DropReason {
    if (end - start < SEGMENT_HEAD_BYTES) return DropReason.streamMalformed;
    const flags = b[start + FLAGS]!;
    const sacks = b[start + SACKS]!;
    if ((flags & ~FLAGS_ALL) !== 0) return DropReason.reservedNotZero;
    if (sacks > SACKS_MAX || end - start < SEGMENT_HEAD_BYTES + sacks * SACK_BYTES)
      return DropReason.streamMalformed;
    if (
      (flags & SEGMENT_SYN) !== 0 &&
      (sacks !== 0 ||
        end - start !== SEGMENT_HEAD_BYTES + SYN_BYTES ||
        (flags & (SEGMENT_FIN | SEGMENT_RST)) !== 0)
    ) {
      return DropReason.streamMalformed;
    }
    this.flags = flags;
    this.window = getU16(b, start + WINDOW) * WINDOW_UNIT;
    this.stream = getU32(b, start + STREAM);
    this.sequence = getU48(b, start + SEQUENCE);
    this.ack = getU48(b, start + ACK);
    const delay = getU16(b, start + DELAY),
      rst = (flags & SEGMENT_RST) !== 0;
    this.delayUs = rst ? 0 : delay * SEGMENT_DELAY_UNIT_US;
    this.why = rst ? delay : RESET_UNSAID;
    this.sackCount = sacks;
    for (let i = 0, at = start + SEGMENT_HEAD_BYTES; i < sacks; i += 1, at += SACK_BYTES) {
      const from = getU32(b, at + SACK_START);
      const to = getU32(b, at + SACK_END);
      if (from === 0 || to <= from) return DropReason.streamMalformed;
      this.sackStart[i] = this.ack + from;
      this.sackEnd[i] = this.ack + to;
    }
    return DropReason.none;
  }

  /** Writes the head; returns where data goes. */
  encode(b: Uint8Array, at: number): number {
    b[at + FLAGS] = this.flags;
    b[at + SACKS] = this.sackCount;
    putU16(b, at + WINDOW, Math.min(0xffff, Math.floor(this.window / WINDOW_UNIT)));
    putU32(b, at + STREAM, this.stream);
    putU48(b, at + SEQUENCE, this.sequence);
    putU48(b, at + ACK, this.ack);
    putU16(
      b,
      at + DELAY,
      (this.flags & SEGMENT_RST) !== 0
        ? this.why
        : Math.min(0xffff, Math.floor(this.delayUs / SEGMENT_DELAY_UNIT_US)),
    );
    let to = at + SEGMENT_HEAD_BYTES;
    for (let i = 0; i < this.sackCount; i += 1, to += SACK_BYTES) {
      putU32(b, to + SACK_START, this.sackStart[i]! - this.ack);
      putU32(b, to + SACK_END, this.sackEnd[i]! - this.ack);
    }
    return to;
  }
}

/** The id in the payload of a SYN. */
export function synStream(b: Uint8Array, start: number): number {
  return getU32(b, start + SEGMENT_HEAD_BYTES);
}

/**
 * A flow of talk and its echo: the bytes of both, who answers, and what the talker learns of each
 * direction.
 *
 *   packet  mark u32 "talk", kind u8 (1 talk, 2 answer), mode u8 = link << 4 | routing,
 *           count u16 of what was received, token u32, number u32, sent f64 (talker's clock, ms),
 *           then of an answer: received (number u32, listener's clock f64 ms), the last first
 *
 * Owns the codec (160 bytes, as 20 ms of G.711; an answer is as long as what it answers), the
 * listener's memory of the last receptions, so that the loss of an answer does not hide what it
 * answered, and the estimate that makes one-way delays of two clocks: the shortest way there is as
 * long as the shortest way back (as NTP has it, RFC 5905). No sockets, no clock. Used by talk.ts.
 */

import { DISSEMINATION_NAMES, SERVICE_NAMES } from '../../core/wire/modes.ts';

export const PACKET_BYTES = 160;
const MARK = 0x74616c6b;
const KIND_TALK = 1;
const KIND_ANSWER = 2;
const HEAD_BYTES = 24;
const RECEIVED_BYTES = 12;
/** Receptions in an answer. */
const RECEIVED_MAX = Math.floor((PACKET_BYTES - HEAD_BYTES) / RECEIVED_BYTES);
/** Talkers that a listener remembers; the one heard longest ago is forgotten first. */
export const TALKERS_MAX = 256;
/** Numbers are packets of a run: ten hours of them. */
const NUMBER_MAX = 1_800_000;

export interface Talk {
  readonly link: number;
  readonly routing: number;
  readonly token: number;
  readonly number: number;
  readonly sentMs: number;
}

export interface TalkAnswer extends Talk {
  readonly received: readonly { readonly number: number; readonly atMs: number }[];
}

export function encodeTalk(talk: Talk): Buffer {
  return encode(KIND_TALK, talk, []);
}

/** Null when it is malformed. */
export function decodeTalk(bytes: Buffer): Talk | null {
  return decode(bytes, KIND_TALK);
}

/** Null when it is malformed. */
export function decodeAnswer(bytes: Buffer): TalkAnswer | null {
  return decode(bytes, KIND_ANSWER);
}

/** Answers talkers, one packet for one. */
export class TalkListener {
  readonly #talkers = new Map<string, { number: number; atMs: number }[]>();

  /** The answer to a packet, and how it shall travel; null: it is none. */
  onPacket(
    bytes: Buffer,
    node: string,
    port: number,
    nowMs: number,
  ): { readonly answer: Buffer; readonly talk: Talk } | null {
    const talk = decodeTalk(bytes);
    if (talk === null) return null;
    const key = `${node} ${port} ${talk.token}`;
    const received = this.#talkers.get(key) ?? [];
    this.#talkers.delete(key);
    if (this.#talkers.size >= TALKERS_MAX) this.#talkers.delete(this.#talkers.keys().next().value!);
    this.#talkers.set(key, received);
    received.unshift({ number: talk.number, atMs: nowMs });
    received.splice(RECEIVED_MAX);
    return { answer: encode(KIND_ANSWER, talk, received), talk };
  }
}

/** What a talker knows of its packets; milliseconds. */
export class Talker {
  readonly #sent: number[] = [];
  /** By the listener's clock; undefined: not known to have come. */
  readonly #there: (number | undefined)[] = [];
  /** When the answer came, by ours. */
  readonly #back: (number | undefined)[] = [];
  readonly token: number;
  answers = 0;

  constructor(token: number) {
    this.token = token;
  }

  get sent(): number {
    return this.#sent.length;
  }

  /** The number of the packet that leaves now. */
  onSend(nowMs: number): number {
    return this.#sent.push(nowMs) - 1;
  }

  /** False when it is none of this flow. */
  onAnswer(answer: TalkAnswer, nowMs: number): boolean {
    const { token, number, received } = answer;
    if (token !== this.token || number >= this.#sent.length) return false;
    this.answers += 1;
    this.#back[number] ??= nowMs;
    for (const { number: one, atMs } of received)
      if (one < this.#sent.length) this.#there[one] ??= atMs;
    return true;
  }

  /**
   * One-way delays there, and back, of packets sent before `untilMs`; null: lost. Back only what
   * came there can be lost.
   */
  delays(untilMs: number): { there: (number | null)[]; back: (number | null)[] } {
    const count = this.#sent.filter((sentMs) => sentMs < untilMs).length;
    let least = Infinity,
      leastBack = Infinity;
    const ways = Array.from({ length: count }, (_, i) => {
      const there = this.#there[i],
        back = this.#back[i];
      const wayThere = there === undefined ? null : there - this.#sent[i]!,
        wayBack = there === undefined || back === undefined ? null : back - there;
      if (wayThere !== null) least = Math.min(least, wayThere);
      if (wayBack !== null) leastBack = Math.min(leastBack, wayBack);
      return { wayThere, wayBack };
    });
    const ahead = (least - leastBack) / 2;
    return {
      there: ways.map(({ wayThere }) => (wayThere === null ? null : wayThere - ahead)),
      back: ways
        .filter(({ wayThere }) => wayThere !== null)
        .map(({ wayBack }) => (wayBack === null ? null : wayBack + ahead)),
    };
  }
}

function encode(
  kind: number,
  { link, routing, token, number, sentMs }: Talk,
  received: TalkAnswer['received'],
): Buffer {
  const out = Buffer.alloc(PACKET_BYTES);
  out.writeUInt32BE(MARK, 0);
  out[4] = kind;
  out[5] = (link << 4) | routing;
  out.writeUInt16BE(received.length, 6);
  out.writeUInt32BE(token, 8);
  out.writeUInt32BE(number, 12);
  out.writeDoubleBE(sentMs, 16);
  received.forEach(({ number: one, atMs }, i) => {
    out.writeUInt32BE(one, HEAD_BYTES + i * RECEIVED_BYTES);
    out.writeDoubleBE(atMs, HEAD_BYTES + i * RECEIVED_BYTES + 4);
  });
  return out;
}

function decode(bytes: Buffer, kind: number): TalkAnswer | null {
  if (bytes.length !== PACKET_BYTES || bytes.readUInt32BE(0) !== MARK || bytes[4] !== kind)
    return null;
  const link = bytes[5]! >>> 4,
    routing = bytes[5]! & 0x0f,
    count = bytes.readUInt16BE(6),
    number = bytes.readUInt32BE(12),
    sentMs = bytes.readDoubleBE(16);
  if (link >= SERVICE_NAMES.length || routing >= DISSEMINATION_NAMES.length) return null;
  if (count > (kind === KIND_ANSWER ? RECEIVED_MAX : 0) || number >= NUMBER_MAX) return null;
  const received = Array.from({ length: count }, (_, i) => ({
    number: bytes.readUInt32BE(HEAD_BYTES + i * RECEIVED_BYTES),
    atMs: bytes.readDoubleBE(HEAD_BYTES + i * RECEIVED_BYTES + 4),
  }));
  if (![sentMs, ...received.map(({ atMs }) => atMs)].every(Number.isFinite)) return null;
  return { link, routing, token: bytes.readUInt32BE(8), number, sentMs, received };
}

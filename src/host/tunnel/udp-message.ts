/**
 * What carries other programs' UDP over the overlay: a datagram of the near end names its target
 * and how answers shall come, one of the far end names the flow that it belongs to.
 *
 *   head     kind u8 = version << 4 | kind
 *   ask      head, flags u8, mode u8 = link << 4 | routing, reserved u8 = 0, token u32,
 *            deadline u16 (milliseconds, 0 = none), target, payload
 *   answer   head, token u32, of a flow with several targets: who answers, payload
 *   refusal  head, token u32, code u8 as in tunnel-header.ts, target, reason (UTF-8, for people)
 *   taken    head, token u32: the flow is known here
 *   over     head, token u32, of the near end: it needs the flow no more
 *   target   type u8, host, port u16, as SOCKS has it (RFC 1928, section 5)
 *
 * Each ask has it all, so that there is no round trip before the first, and a far end that was
 * started anew, or has forgotten the flow, goes on with the next. Pure codec. Big-endian; anything
 * that is not exactly this is malformed. Used by udp-near.ts and udp-far.ts.
 */

import { isIPv4, isIPv6 } from 'node:net';
import { DISSEMINATION_NAMES, SERVICE_NAMES, SERVICE_REALTIME } from '../../core/wire/modes.ts';
import { canonicalHost, type Target } from '../tunnel-target.ts';

const VERSION = 1;
const KIND_ASK = (VERSION << 4) | 1;
const KIND_ANSWER = (VERSION << 4) | 2;
const KIND_REFUSAL = (VERSION << 4) | 3;
const KIND_TAKEN = (VERSION << 4) | 4;
const KIND_OVER = (VERSION << 4) | 5;

const FLAG_SEVERAL = 1;
const FLAG_SIGN = 2;
const FLAGS = FLAG_SEVERAL | FLAG_SIGN;

const ASK_HEAD_BYTES = 10;
/** Before the payload of an answer that names nobody. */
export const ANSWER_HEAD_BYTES = 5;
const REASON_BYTES_MAX = 200;

const TYPE_IPV4 = 1;
const TYPE_NAME = 3;
const TYPE_IPV6 = 4;

/** Of what is in time at all. */
export const DEADLINE_MS_MAX = 2_000;

/** How datagrams of a flow travel, both ways. */
export interface FlowMode {
  /** Code of the link service. */
  readonly link: number;
  /** Code of the dissemination. */
  readonly routing: number;
  /** Of realtime links, at most DEADLINE_MS_MAX; 0: none. */
  readonly deadlineMs: number;
}

export interface Ask {
  /** The flow has more than one target: answers say whose they are. */
  readonly several: boolean;
  /** The near end has not heard of the far end lately, and wants a sign. */
  readonly sign: boolean;
  readonly mode: FlowMode;
  /** Drawn by the near end, u32: what belongs to the flow repeats it. */
  readonly token: number;
  /** Where the target stands in the message, and the payload behind it. */
  readonly targetAt: number;
  readonly payloadAt: number;
}

/** In canonical form; an IPv6 address without its zone. */
export function encodeTarget({ host, port }: Target): Buffer {
  const text = host.split('%')[0]!;
  const bytes = isIPv4(text)
    ? Buffer.from([TYPE_IPV4, ...text.split('.').map(Number)])
    : isIPv6(text)
      ? Buffer.from([TYPE_IPV6, ...ipv6Bytes(text)])
      : Buffer.concat([Buffer.from([TYPE_NAME, text.length]), Buffer.from(text, 'latin1')]);
  return Buffer.concat([bytes, Buffer.from([port >>> 8, port & 0xff])]);
}

/** Bytes of the target at `at`, -1 when there is none that is whole. */
export function targetBytes(message: Uint8Array, at: number): number {
  const type = message[at];
  const bytes =
    type === TYPE_IPV4
      ? 7
      : type === TYPE_IPV6
        ? 19
        : type === TYPE_NAME && message[at + 1]! > 0
          ? 4 + message[at + 1]!
          : -1;
  return bytes > 0 && at + bytes <= message.length ? bytes : -1;
}

/**
 * The target at `at`, which `targetBytes` has found whole. `canonical`: only as `encodeTarget` has
 * written it; else names may have capitals and a final dot, and be addresses. Null when it can be
 * none.
 */
export function decodeTarget(message: Uint8Array, at: number, canonical: boolean): Target | null {
  const end = at + targetBytes(message, at);
  const bytes = Buffer.from(message.buffer, message.byteOffset + at, end - at);
  const port = bytes.readUInt16BE(bytes.length - 2);
  let text: string;
  if (bytes[0] === TYPE_IPV4) text = bytes.subarray(1, 5).join('.');
  else if (bytes[0] === TYPE_IPV6)
    text = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(1 + 2 * i).toString(16)).join(
      ':',
    );
  else text = bytes.toString('latin1', 2, bytes.length - 2);
  const host = canonicalHost(text);
  if (host === null || port === 0) return null;
  if (canonical && bytes[0] === TYPE_NAME && (host !== text || isIPv4(text) || isIPv6(text)))
    return null;
  return { host, port };
}

/** What stands before the payload; `target` as `encodeTarget` writes it. */
export function encodeAsk(
  { several, sign, mode, token }: Omit<Ask, 'targetAt' | 'payloadAt'>,
  target: Uint8Array,
): Buffer {
  const out = Buffer.alloc(ASK_HEAD_BYTES + target.length);
  out[0] = KIND_ASK;
  out[1] = (several ? FLAG_SEVERAL : 0) | (sign ? FLAG_SIGN : 0);
  out[2] = (mode.link << 4) | mode.routing;
  out.writeUInt32BE(token, 4);
  out.writeUInt16BE(mode.deadlineMs, 8);
  out.set(target, ASK_HEAD_BYTES);
  return out;
}

/** Null when it is malformed, or asks for a mode that there is not. */
export function decodeAsk(message: Buffer): Ask | null {
  if (message.length <= ASK_HEAD_BYTES || message[0] !== KIND_ASK) return null;
  const flags = message[1]!,
    link = message[2]! >>> 4,
    routing = message[2]! & 0x0f;
  const deadlineMs = message.readUInt16BE(8);
  const target = targetBytes(message, ASK_HEAD_BYTES);
  if (
    (flags & ~FLAGS) !== 0 ||
    link >= SERVICE_NAMES.length ||
    routing >= DISSEMINATION_NAMES.length ||
    message[3] !== 0 ||
    deadlineMs > (link === SERVICE_REALTIME ? DEADLINE_MS_MAX : 0) ||
    target < 0
  )
    return null;
  return {
    several: (flags & FLAG_SEVERAL) !== 0,
    sign: (flags & FLAG_SIGN) !== 0,
    mode: { link, routing, deadlineMs },
    token: message.readUInt32BE(4),
    targetAt: ASK_HEAD_BYTES,
    payloadAt: ASK_HEAD_BYTES + target,
  };
}

/** The token of the flow that the near end needs no more, or null. */
export function decodeOver(message: Buffer): number | null {
  return message.length === ANSWER_HEAD_BYTES && message[0] === KIND_OVER
    ? message.readUInt32BE(1)
    : null;
}

export function encodeOver(token: number): Buffer {
  return headOf(KIND_OVER, token);
}

export function encodeTaken(token: number): Buffer {
  return headOf(KIND_TAKEN, token);
}

/** What stands before an answer's payload. `from`: as `encodeTarget` writes it, or null. */
export function encodeAnswerHead(token: number, from: Uint8Array | null): Buffer {
  const head = headOf(KIND_ANSWER, token);
  return from === null ? head : Buffer.concat([head, from]);
}

/** `code`: an index of ANSWERS. */
export function encodeRefusal(
  token: number,
  code: number,
  target: Uint8Array,
  reason: string,
): Buffer {
  return Buffer.concat([
    headOf(KIND_REFUSAL, token),
    Buffer.from([code]),
    target,
    Buffer.from(reason).subarray(0, REASON_BYTES_MAX),
  ]);
}

export type FromFar =
  | { readonly kind: 'taken'; readonly token: number }
  | {
      readonly kind: 'answer';
      readonly token: number;
      /** Null where the message names nobody; else where the target stands in it. */
      readonly fromAt: number | null;
      readonly payloadAt: number;
    }
  | {
      readonly kind: 'refusal';
      readonly token: number;
      readonly code: number;
      readonly target: Target;
      readonly reason: string;
    };

/** What a far end says; `several`: of the flow that it comes for. Null when it is malformed. */
export function decodeFromFar(message: Buffer, several: boolean): FromFar | null {
  if (message.length < ANSWER_HEAD_BYTES) return null;
  const token = message.readUInt32BE(1);
  const at = ANSWER_HEAD_BYTES;
  switch (message[0]) {
    case KIND_TAKEN:
      return message.length === at ? { kind: 'taken', token } : null;
    case KIND_ANSWER: {
      if (!several) return { kind: 'answer', token, fromAt: null, payloadAt: at };
      const bytes = targetBytes(message, at);
      return bytes < 0 ? null : { kind: 'answer', token, fromAt: at, payloadAt: at + bytes };
    }
    case KIND_REFUSAL: {
      const bytes = targetBytes(message, at + 1);
      const target = bytes < 0 ? null : decodeTarget(message, at + 1, true);
      if (target === null) return null;
      const reason = message.toString('utf8', at + 1 + bytes);
      return { kind: 'refusal', token, code: message[at]!, target, reason };
    }
    default:
      return null;
  }
}

function headOf(kind: number, token: number): Buffer {
  const out = Buffer.alloc(ANSWER_HEAD_BYTES);
  out[0] = kind;
  out.writeUInt32BE(token, 1);
  return out;
}

/** `text` is an IPv6 address without a zone. */
function ipv6Bytes(text: string): number[] {
  // The URL parser leaves no dotted quad at the end.
  const plain = new URL(`http://[${text}]`).hostname.slice(1, -1);
  const [head, tail] = plain.split('::').map((half) => (half === '' ? [] : half.split(':')));
  const words =
    tail === undefined
      ? head!
      : [...head!, ...Array<string>(8 - head!.length - tail.length).fill('0'), ...tail];
  return words.flatMap((word) => [parseInt(word, 16) >>> 8, parseInt(word, 16) & 0xff]);
}

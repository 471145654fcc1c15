/**
 * Takes a datagram fully apart with the codecs and puts it together again from the decoded values
 * alone. Since one content has one encoding, what decodes must come back byte for byte.
 */

import { AckRanges } from '../../../../src/core/wire/ack.ts';
import {
  DATAGRAM_DATA,
  DATAGRAM_REFUSAL,
  decodeDatagramHeader,
  encodeDatagramHeader,
} from '../../../../src/core/wire/datagram-header.ts';
import { DropReason } from '../../../../src/core/wire/drop.ts';
import { decodeEcho, ECHO_HEAD_BYTES, encodeEcho } from '../../../../src/core/wire/echo.ts';
import {
  decodeFragmentHead,
  encodeFragmentHead,
  FRAGMENT_HEAD_BYTES,
} from '../../../../src/core/wire/fragment.ts';
import {
  decodeClose,
  decodeHello,
  encodeHello,
  FRAME_ACK,
  FRAME_CLOSE,
  FRAME_DATA,
  FRAME_DIGEST,
  FRAME_HELLO,
  FRAME_LINK_STATE,
  FRAME_LINK_STATE_ACK,
  FRAME_REALTIME,
  FRAME_REALTIME_AGAIN,
  FRAME_RELIABLE,
  FRAME_REPAIR,
  FRAME_REQUEST,
  frameBodyBytes,
  putFrameHead,
} from '../../../../src/core/wire/frames.ts';
import { decodeHandshake, encodeHandshake } from '../../../../src/core/wire/handshake.ts';
import {
  CONTROL_CHECK_BYTES,
  controlIntact,
  decodeAdvertisement,
  DIGEST_HEAD_BYTES,
  DIGEST_LAST,
  LIFETIME_BYTES,
  makeAdvertisement,
  putControlCheck,
  putVersionEntry,
  VERSION_ENTRY_BYTES,
  versionEntryOrigin,
  versionEntrySequence,
} from '../../../../src/core/wire/link-state.ts';
import {
  KIND_ECHO,
  KIND_FRAGMENT,
  KIND_SEQUENCED,
  KIND_STREAM,
  Packet,
} from '../../../../src/core/wire/packet.ts';
import {
  AGAIN_HEAD_BYTES,
  ageUsAt,
  decodeAgain,
  decodeRepair,
  encodeAgain,
  encodeRepair,
  isRealtime,
  putAge,
  REALTIME_HEAD_BYTES,
  REPAIR_HEAD_BYTES,
  Request,
} from '../../../../src/core/wire/realtime.ts';
import { decodeRefusal, encodeRefusal, REFUSAL_BYTES } from '../../../../src/core/wire/refusal.ts';
import { Segment } from '../../../../src/core/wire/segment.ts';
import {
  DATAGRAM_HEADER_BYTES,
  FRAME_HEAD_BYTES,
  OVERLAY_HEADER_BYTES,
  RELIABLE_HEAD_BYTES,
} from '../../../../src/core/wire/sizes.ts';
import { decodeSequencedHead, encodeSequencedHead } from '../../../../src/core/wire/sequenced.ts';
import { WIRE_VERSIONS } from '../../../../src/core/wire/versions.ts';

/** The re-encoded datagram, or why it is not one. */
export function transcode(bytes: Uint8Array): Uint8Array | DropReason {
  const header = { type: 0, receiver: 0, number: 0 };
  const reason = decodeDatagramHeader(bytes, bytes.length, header);
  if (reason !== DropReason.none) return reason;
  const out = new Uint8Array(bytes.length);
  encodeDatagramHeader(header.type, header.receiver, header.number, out);
  if (header.type !== DATAGRAM_DATA) {
    if (header.type === DATAGRAM_REFUSAL) return transcodeRefusal(bytes);
    const handshake = {
      versions: WIRE_VERSIONS,
      version: 0,
      node: 0,
      peer: 0,
      index: 0,
      instance: 0,
      started: 0,
    };
    const bad = decodeHandshake(bytes, bytes.length, handshake);
    if (bad !== DropReason.none) return bad;
    encodeHandshake(handshake, out);
    return out;
  }
  let at = DATAGRAM_HEADER_BYTES;
  while (at < bytes.length) {
    const bodyBytes = frameBodyBytes(bytes, at, bytes.length);
    if (bodyBytes < 0) return DropReason.frameTruncated;
    const type = bytes[at]!;
    putFrameHead(out, at, type, bodyBytes);
    at += FRAME_HEAD_BYTES;
    const bad = transcodeBody(type, bytes, at, at + bodyBytes, out);
    if (bad !== DropReason.none) return bad;
    at += bodyBytes;
  }
  return out;
}

function transcodeRefusal(bytes: Uint8Array): Uint8Array | DropReason {
  const refusal = decodeRefusal(bytes, bytes.length);
  if (typeof refusal === 'number') return refusal;
  const out = new Uint8Array(REFUSAL_BYTES);
  const [, address, port] = /^\[?([^\]]*?)\]?:(\d+)$/.exec(refusal.twin) ?? [];
  encodeRefusal(
    bytes,
    refusal.reason,
    refusal.versions,
    address === undefined ? null : { address, port: Number(port) },
    out,
  );
  return out;
}

function transcodeBody(
  type: number,
  b: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
): DropReason {
  switch (type) {
    case FRAME_HELLO: {
      const hello = { flags: 0, burst: 0, loss: 0, stamp: 0, echo: 0, held: 0 };
      const reason = decodeHello(b, start, end, hello, 4);
      if (reason === DropReason.none) encodeHello(hello, out, start);
      return reason;
    }
    case FRAME_CLOSE: {
      const reason = decodeClose(b, start, end);
      if (reason < 0) return DropReason.closeMalformed;
      out[start] = reason;
      return DropReason.none;
    }
    case FRAME_ACK: {
      const ranges = new AckRanges();
      const reason = ranges.decode(b, start, end);
      if (reason !== DropReason.none) return reason;
      if (ranges.frameBytes !== end - start)
        throw new Error('an ack has the length that its ranges need');
      ranges.encode(out, start);
      return DropReason.none;
    }
    case FRAME_DATA:
      return transcodePacket(b, start, end, out);
    case FRAME_RELIABLE:
      if (end - start <= RELIABLE_HEAD_BYTES) return DropReason.reliableMalformed;
      out.set(b.subarray(start, start + RELIABLE_HEAD_BYTES), start);
      return transcodePacket(b, start + RELIABLE_HEAD_BYTES, end, out);
    case FRAME_REALTIME:
      if (!isRealtime(start, end)) return DropReason.realtimeMalformed;
      putAge(out, start, ageUsAt(b, start));
      return transcodePacket(b, start + REALTIME_HEAD_BYTES, end, out);
    case FRAME_REALTIME_AGAIN: {
      const head = { of: 0, index: 0, datagrams: 0, last: false, ageUs: 0 };
      const reason = decodeAgain(b, start, end, head);
      if (reason !== DropReason.none) return reason;
      encodeAgain(head, out, start);
      return transcodePacket(b, start + AGAIN_HEAD_BYTES, end, out);
    }
    case FRAME_REQUEST: {
      const request = new Request();
      const reason = request.decode(b, start, end);
      if (reason === DropReason.none) request.encode(out, start);
      return reason;
    }
    case FRAME_REPAIR: {
      const head = { base: 0, covered: 0, lengths: 0 };
      const reason = decodeRepair(b, start, end, head);
      if (reason !== DropReason.none) return reason;
      encodeRepair(head, out, start);
      out.set(b.subarray(start + REPAIR_HEAD_BYTES, end), start + REPAIR_HEAD_BYTES);
      return DropReason.none;
    }
    case FRAME_LINK_STATE:
    case FRAME_LINK_STATE_ACK:
    case FRAME_DIGEST: {
      if (!controlIntact(b, start, end)) return DropReason.checkWrong;
      const reason = transcodeControl(type, b, start, end - CONTROL_CHECK_BYTES, out);
      if (reason === DropReason.none) putControlCheck(out, start, end - CONTROL_CHECK_BYTES);
      return reason;
    }
    default:
      return DropReason.frameType;
  }
}

function transcodeControl(
  type: number,
  b: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
): DropReason {
  switch (type) {
    case FRAME_LINK_STATE: {
      if (end - start < LIFETIME_BYTES) return DropReason.linkStateMalformed;
      out.set(b.subarray(start, start + LIFETIME_BYTES), start);
      const read = decodeAdvertisement(b, start + LIFETIME_BYTES, end);
      if (typeof read === 'number') return read;
      out.set(
        makeAdvertisement(
          read.origin,
          read.sequence,
          read.leaving,
          read.name,
          read.links,
          read.facts,
        ).bytes,
        start + LIFETIME_BYTES,
      );
      return DropReason.none;
    }
    case FRAME_LINK_STATE_ACK:
      if (end === start || (end - start) % VERSION_ENTRY_BYTES !== 0)
        return DropReason.linkStateAckMalformed;
      transcodeVersions(b, start, end, out);
      return DropReason.none;
    case FRAME_DIGEST:
      if (
        end === start ||
        (end - start - DIGEST_HEAD_BYTES) % VERSION_ENTRY_BYTES !== 0 ||
        (b[start]! & ~DIGEST_LAST) !== 0
      )
        return DropReason.digestMalformed;
      out[start] = b[start]! & DIGEST_LAST;
      transcodeVersions(b, start + DIGEST_HEAD_BYTES, end, out);
      return DropReason.none;
    default:
      return DropReason.frameType;
  }
}

function transcodeVersions(b: Uint8Array, start: number, end: number, out: Uint8Array): void {
  for (let at = start; at < end; )
    at = putVersionEntry(out, at, versionEntryOrigin(b, at), versionEntrySequence(b, at));
}

function transcodePacket(b: Uint8Array, start: number, end: number, out: Uint8Array): DropReason {
  const packet = new Packet();
  const reason = packet.decode(b, start, end, true);
  if (reason !== DropReason.none) return reason;
  const { kind, payloadStart } = packet;
  packet.bytes = out;
  packet.encodeHeader();
  let rest = start + OVERLAY_HEADER_BYTES;
  if (kind === KIND_FRAGMENT) {
    const head = { message: 0, index: 0, count: 0 };
    const bad = decodeFragmentHead(b, payloadStart, end, head);
    if (bad !== DropReason.none) return bad;
    rest = encodeFragmentHead(head, out, payloadStart);
    if (rest !== payloadStart + FRAGMENT_HEAD_BYTES)
      throw new Error('a fragment head ends behind its last byte');
  } else if (kind === KIND_SEQUENCED) {
    const head = { run: 0, message: 0, index: 0, count: 0 };
    const bad = decodeSequencedHead(b, payloadStart, end, head);
    if (bad !== DropReason.none) return bad;
    rest = encodeSequencedHead(head, out, payloadStart);
  } else if (kind === KIND_STREAM) {
    const segment = new Segment();
    const bad = segment.decode(b, payloadStart, end);
    if (bad !== DropReason.none) return bad;
    rest = segment.encode(out, payloadStart);
    if (rest !== payloadStart + segment.headBytes)
      throw new Error('a segment head ends behind its last byte');
  } else if (kind === KIND_ECHO) {
    const echo = { operation: 0, ttlLeft: 0, sequence: 0, id: 0 };
    const bad = decodeEcho(b, payloadStart, end, echo);
    if (bad !== DropReason.none) return bad;
    rest = encodeEcho(echo, out, payloadStart);
    if (rest !== payloadStart + ECHO_HEAD_BYTES)
      throw new Error('an echo head ends behind its last byte');
  }
  out.set(b.subarray(rest, end), rest);
  return DropReason.none;
}

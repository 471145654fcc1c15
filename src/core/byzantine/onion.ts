/**
 * The layers around a probed packet: the tail that each probe takes a layer off, and the
 * acknowledgement that each puts one on. Awerbuch, Holmer, Nita-Rotaru and Rubens (WiSe 2002),
 * section 4.2 and figure 4, with every layer's tag over all that it hides and over the whole
 * packet.
 *
 *     tail:  id | timer | { id | timer | { id_D | tag } tag } tag
 *     onion: id | { ack hold | id | { ack hold | id_D | { ack hold } tag } tag } tag
 *     outermost of both: the layer of the first probe
 *     { } = ChaCha20-Poly1305, the packet's digest, the id and the timer authenticated beside it
 *
 * What it gives: whatever is changed on the way to a probe, that probe notices, and no later one is
 * blamed; what is changed on the way back shows at the source as the interval in which it happened.
 * In figure 4 the tag covers the body only, and a bit flipped in what a probe passes on unread
 * convicts an honest link behind it (test/support/figure4.ts).
 *
 * Pure functions of bytes and keys. Timers, tables and replay windows are the caller's, and so are
 * these duties, on which the keys depend: a counter is sealed once per flow; a layer is put on once
 * per set of counters as an acknowledgement (`ackOf`, `wrap`), which the first of them and the
 * bitmap of the others name, and once per counter as a timeout; and `peel` comes before the replay
 * window, which an attacker could fill otherwise. What is sent again is sent as the same bytes.
 */

import { assert } from '../base/assert.ts';
import { copyBytes, getU16, getU32, putU16, putU32, utf8Encode } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import type { Primitives, Sealer } from '../crypto/primitives.ts';
import type { Packet } from '../wire/packet.ts';
import {
  ONION_LAYER_BYTES,
  PROBED_BATCH_MAX,
  PROBED_COUNTER_MAX,
  PROBED_HOPS_MAX,
  TAIL_LAST_BYTES,
  TAIL_LAYER_BYTES,
  tailBytes,
  type ProbedData,
} from '../wire/probed.ts';
import { TAG_BYTES } from '../wire/sizes.ts';

export type OnionPrimitives = Pick<Primitives, 'sha256' | 'encrypt' | 'decrypt'>;

/** Unit of a probe's timer on the wire. */
export const TIMER_UNIT_US = 1_000;
export const TIMER_US_MAX = 0xffff * TIMER_UNIT_US;
const HOLD_US_MAX = 0xffff_ffff;

/** One that is to take a layer off a tail. */
export interface TailLayer {
  readonly id: NodeId;
  /**
   * How long it shall wait for an acknowledgement, rounded up to TIMER_UNIT_US; 0 at the
   * destination.
   */
  readonly timerUs: number;
  /** HopKeys.forward */
  readonly forward: Uint8Array;
}

/** One that is to put a layer on an acknowledgement. */
export interface OnionLayer {
  readonly id: NodeId;
  /** HopKeys.ack */
  readonly ack: Uint8Array;
}

export interface Peeled {
  readonly timerUs: number;
  /** The tail to forward. */
  readonly rest: Uint8Array;
}

/** What an acknowledgement says to the source. */
export interface Unwrapped {
  /** Elements of the list, from the first, that the packet came to for certain. */
  readonly reached: number;
  /** Of each of these: from when it forwarded the packet to when it sent this. */
  readonly holdsUs: readonly number[];
  /**
   * The last of these waited in vain. False with `reached` short of the list: what it got from
   * behind was worthless.
   */
  readonly timedOut: boolean;
  /**
   * Not even the first layer is good: anybody may have made this, so it says nothing, and the
   * source waits on.
   */
  readonly noise: boolean;
}

const TYPE_ACK = 1,
  TYPE_TIMEOUT = 2;
const ID_BYTES = 4,
  TIMER = 4,
  TAIL_SEALED = 6,
  TYPE = 0,
  HOLD = 1,
  INNER = 5;
const DIGEST_BYTES = 32;
const DATA_LABEL = utf8Encode('spines probed data 1'),
  BATCH_LABEL = utf8Encode('spines probed batch 1');
const ACK_LABEL = utf8Encode('ACK');
const EMPTY = new Uint8Array(0);

export class Onions {
  readonly #primitives: OnionPrimitives;
  readonly #overlay = new Uint8Array(16);
  readonly #tailBeside = new Uint8Array(DIGEST_BYTES + ID_BYTES + 2);
  readonly #ackBeside = new Uint8Array(ACK_LABEL.length + DIGEST_BYTES + ID_BYTES);

  constructor(primitives: OnionPrimitives) {
    this.#primitives = primitives;
    this.#ackBeside.set(ACK_LABEL, 0);
  }

  /**
   * The digest h of a DATA: everything from its type to `sealedEnd`, and of the overlay header all
   * that does not change on the way. Hops left and the ECN mark are not in it: an honest node must
   * not drop a probed packet for either, or an attacker has it drop one behind the next probe.
   */
  digestOf(packet: Packet, sealedEnd: number): Uint8Array {
    const o = this.#overlay;
    o[0] = packet.kind;
    o[1] = packet.service;
    o[2] = packet.dissemination;
    o[3] = packet.priority | (packet.deadline << 4);
    putU32(o, 4, packet.source);
    putU32(o, 8, packet.destination);
    putU16(o, 12, packet.sourcePort);
    putU16(o, 14, packet.destinationPort);
    return this.#primitives.sha256(
      DATA_LABEL,
      o,
      packet.bytes.subarray(packet.payloadStart, sealedEnd),
    );
  }

  /**
   * What stands for h in an onion that acknowledges several packets: over their digests in the
   * order of their counters.
   */
  batchDigest(digests: readonly Uint8Array[]): Uint8Array {
    assert(
      digests.length >= 1 && digests.length <= PROBED_BATCH_MAX,
      'an onion acknowledges 1 to 9 packets',
    );
    return digests.length === 1 ? digests[0]! : this.#primitives.sha256(BATCH_LABEL, ...digests);
  }

  /* ---------------------------------------------------------------- the tail */

  /**
   * For the probes in the order of the path and the destination last; `tailBytes(list.length)`
   * long.
   */
  buildTail(h: Uint8Array, list: readonly TailLayer[], counter: number): Uint8Array {
    assert(list.length >= 1 && list.length <= PROBED_HOPS_MAX, 'a tail has 1 to 32 layers');
    const last = list.length - 1;
    let tail = EMPTY;
    for (let i = last; i >= 0; i -= 1) {
      const { id, timerUs, forward } = list[i]!;
      assert(timerUs >= 0 && timerUs <= TIMER_US_MAX, 'a timer fits its field');
      const timer = i === last ? 0 : Math.ceil(timerUs / TIMER_UNIT_US);
      const sealed = this.#primitives.encrypt(
        forward,
        counter,
        this.#besideTail(h, id, timer),
        tail,
      );
      const head = i === last ? ID_BYTES : TAIL_SEALED;
      tail = new Uint8Array(head + sealed.length);
      putU32(tail, 0, id);
      if (i !== last) putU16(tail, TIMER, timer);
      tail.set(sealed, head);
    }
    return tail;
  }

  /**
   * At probe `id`: takes off the outermost layer. Null when it is another's, or anything of the
   * packet was changed.
   */
  peel(
    h: Uint8Array,
    tail: Uint8Array,
    forward: Uint8Array,
    id: NodeId,
    counter: number,
  ): Peeled | null {
    if (tail.length < TAIL_LAYER_BYTES + TAIL_LAST_BYTES || getU32(tail, 0) !== id) return null;
    const timer = getU16(tail, TIMER);
    const rest = this.#primitives.decrypt(
      forward,
      counter,
      this.#besideTail(h, id, timer),
      tail.subarray(TAIL_SEALED),
    );
    return rest === null ? null : { timerUs: timer * TIMER_UNIT_US, rest };
  }

  /**
   * At destination `id`: whether what is left is its own layer, and nothing of the packet was
   * changed.
   */
  isLast(
    h: Uint8Array,
    tail: Uint8Array,
    forward: Uint8Array,
    id: NodeId,
    counter: number,
  ): boolean {
    if (tail.length !== TAIL_LAST_BYTES || getU32(tail, 0) !== id) return false;
    return (
      this.#primitives.decrypt(
        forward,
        counter,
        this.#besideTail(h, id, 0),
        tail.subarray(ID_BYTES),
      ) !== null
    );
  }

  /* ---------------------------------------------------------------- the acknowledgement */

  /**
   * At the destination. `counter`: of the first packet acknowledged, `bitmap` names the others,
   * `h`: its digest or that of the batch.
   */
  ackOf(
    h: Uint8Array,
    id: NodeId,
    ack: Uint8Array,
    counter: number,
    holdUs: number,
    bitmap = 0,
  ): Uint8Array {
    return this.#layer(h, id, ack, numberOf(counter, TYPE_ACK, bitmap), TYPE_ACK, holdUs, EMPTY);
  }

  /** At a probe that waited in vain for `counter`. Never for several: others may come yet. */
  timeoutOf(
    h: Uint8Array,
    id: NodeId,
    ack: Uint8Array,
    counter: number,
    holdUs: number,
  ): Uint8Array {
    return this.#layer(h, id, ack, numberOf(counter, TYPE_TIMEOUT), TYPE_TIMEOUT, holdUs, EMPTY);
  }

  /**
   * At a probe with `behind` nodes behind it on the route: puts its layer on what its successor
   * sent. Null when that can't be an onion of these nodes. It would grow past what the nodes before
   * it take, and the loss would be charged to them.
   */
  wrap(
    h: Uint8Array,
    id: NodeId,
    ack: Uint8Array,
    counter: number,
    holdUs: number,
    inner: Uint8Array,
    behind: number,
  ): Uint8Array | null {
    if (
      inner.length === 0 ||
      inner.length % ONION_LAYER_BYTES !== 0 ||
      inner.length / ONION_LAYER_BYTES > behind
    )
      return null;
    return this.#layer(h, id, ack, numberOf(counter, TYPE_ACK), TYPE_ACK, holdUs, inner);
  }

  /**
   * At the source: `list` is the one that the packet was sent with, `h` the digest of all packets
   * that counter and bitmap name.
   */
  unwrap(
    h: Uint8Array,
    list: readonly OnionLayer[],
    counter: number,
    onion: Uint8Array,
    bitmap = 0,
  ): Unwrapped {
    const holdsUs: number[] = [];
    let timedOut = false;
    let rest = onion;
    for (let i = 0; i < list.length && !timedOut; i += 1) {
      const { id, ack } = list[i]!;
      const isInnermost = rest.length === ONION_LAYER_BYTES;
      const isDestination = i === list.length - 1;
      if (
        rest.length < ONION_LAYER_BYTES ||
        (isDestination && !isInnermost) ||
        getU32(rest, 0) !== id
      )
        break;
      const type = isInnermost && !isDestination ? TYPE_TIMEOUT : TYPE_ACK;
      const plain = this.#primitives.decrypt(
        ack,
        numberOf(counter, type, type === TYPE_ACK ? bitmap : 0),
        this.#besideAck(h, id),
        rest.subarray(ID_BYTES),
      );
      if (plain === null || plain[TYPE] !== type) break;
      holdsUs.push(getU32(plain, HOLD));
      timedOut = type === TYPE_TIMEOUT;
      rest = plain.subarray(INNER);
    }
    return { reached: holdsUs.length, holdsUs, timedOut, noise: holdsUs.length === 0 };
  }

  #layer(
    h: Uint8Array,
    id: NodeId,
    ack: Uint8Array,
    number: number,
    type: number,
    holdUs: number,
    inner: Uint8Array,
  ): Uint8Array {
    const plain = new Uint8Array(INNER + inner.length);
    plain[TYPE] = type;
    putU32(plain, HOLD, Math.min(HOLD_US_MAX, Math.max(0, Math.round(holdUs))));
    plain.set(inner, INNER);
    const sealed = this.#primitives.encrypt(ack, number, this.#besideAck(h, id), plain);
    const out = new Uint8Array(ID_BYTES + sealed.length);
    putU32(out, 0, id);
    out.set(sealed, ID_BYTES);
    return out;
  }

  #besideTail(h: Uint8Array, id: NodeId, timer: number): Uint8Array {
    const beside = this.#tailBeside;
    copyBytes(h, 0, DIGEST_BYTES, beside, 0);
    putU32(beside, DIGEST_BYTES, id);
    putU16(beside, DIGEST_BYTES + ID_BYTES, timer);
    return beside;
  }

  #besideAck(h: Uint8Array, id: NodeId): Uint8Array {
    const beside = this.#ackBeside;
    copyBytes(h, 0, DIGEST_BYTES, beside, ACK_LABEL.length);
    putU32(beside, ACK_LABEL.length + DIGEST_BYTES, id);
    return beside;
  }
}

/**
 * A node may have to seal several times for one counter: that it waited in vain, that it did not,
 * and batches that begin with that counter. Each set of counters, and each type, has a number of
 * its own, below 2^53.
 */
function numberOf(counter: number, type: number, bitmap = 0): number {
  return (counter * 256 + bitmap) * 2 + (type === TYPE_TIMEOUT ? 1 : 0);
}

/* ------------------------------------------------------------------ the data */

/**
 * At the source: seals the inner bytes `b[sealedStart..plainEnd)` of the DATA at `start`; the tag
 * goes behind them.
 */
export function sealInner(
  data: Sealer,
  counter: number,
  b: Uint8Array,
  start: number,
  sealedStart: number,
  plainEnd: number,
): void {
  data.seal(
    counter,
    b.subarray(start, plainEnd + TAG_BYTES),
    sealedStart - start,
    plainEnd - start,
  );
}

/** At the destination: opens them in place, `bytes[sealedStart..sealedEnd - TAG_BYTES)`. */
export function openInner(data: Sealer, packet: ProbedData): boolean {
  const { bytes, start, sealedStart, sealedEnd, counter } = packet;
  return data.open(
    counter,
    bytes.subarray(start, sealedEnd),
    sealedStart - start,
    sealedEnd - start,
  );
}

assert(
  (PROBED_COUNTER_MAX + 1) * 512 <= Number.MAX_SAFE_INTEGER + 1,
  'numbers of acknowledgements are exact',
);
assert(
  tailBytes(2) === TAIL_LAYER_BYTES + TAIL_LAST_BYTES,
  'a layer of the tail is its head and its tag',
);

/**
 * What arrives for this node by Byzantine routing: inner packets, whole or in pieces, each once.
 *
 * Owns what is known of a source that sends to us or through us: its epoch key, which of its
 * messages were delivered, and pieces of those that are not whole yet. A message that comes on two
 * paths is delivered once. Of sources, and of unfinished messages, the oldest give way.
 */

import { getU48 } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import { ReplayWindow } from '../base/replay-window.ts';
import { DropReason, type DropCounters } from '../wire/drop.ts';
import { DISSEMINATION_BYZANTINE, Packet } from '../wire/packet.ts';
import type { ProbedData } from '../wire/probed.ts';
import { PACKET_BYTES_MAX, TAG_BYTES } from '../wire/sizes.ts';
import { COUNTER_WINDOW_WORDS, NUMBER_BYTES } from './path-flow.ts';

/** Sources whose epoch keys and messages are remembered. */
const SOURCES_MAX = 4_096;
/** Messages of one source of which some pieces came and others did not. */
const PARTIAL_MAX = 256;

interface Source {
  readonly epoch: number;
  readonly key: Uint8Array;
  /** By link service: messages delivered. */
  readonly delivered: (ReplayWindow | undefined)[];
  /**
   * Counter of the first piece of a message, as it was sent on one path at one time -> its pieces
   * so far, by index.
   */
  readonly partial: Map<number, (Uint8Array | null)[]>;
}

export class Arrivals {
  readonly #drops: DropCounters;
  readonly #deliverInner: (packet: Packet) => void;
  readonly #sources = new Map<NodeId, Source>();
  readonly #inner = new Packet();
  readonly #whole = new Uint8Array(PACKET_BYTES_MAX);

  /** `deliver` gets packets whose source is proved; they are valid during the call only. */
  constructor(drops: DropCounters, deliver: (packet: Packet) => void) {
    this.#drops = drops;
    this.#deliverInner = deliver;
  }

  /** A source's epoch and its X25519 key; `anew`: its epochs begin anew. */
  learn(source: NodeId, epoch: number, key: Uint8Array, anew: boolean): void {
    const known = this.#sources.get(source);
    if (known !== undefined && known.epoch >= epoch && !anew) return;
    this.#sources.delete(source);
    this.#sources.set(source, { epoch, key, delivered: [], partial: new Map() });
    if (this.#sources.size > SOURCES_MAX) this.#sources.delete(this.#sources.keys().next().value!);
  }

  /** The key of that epoch of a source; null when it is not known. `@hot` */
  keyOf(source: NodeId, epoch: number): Uint8Array | null {
    const known = this.#sources.get(source);
    return known !== undefined && known.epoch === epoch ? known.key : null;
  }

  /** An inner packet, or a piece of one, behind its number. */
  onInner(data: ProbedData, packet: Packet, start: number, end: number): void {
    const source = this.#sources.get(data.source)!;
    const from = start + NUMBER_BYTES,
      to = end - TAG_BYTES;
    if (to <= from) {
      this.#drops.count(DropReason.probedMalformed);
      return;
    }
    const number = getU48(packet.bytes, start);
    const window = (source.delivered[packet.service] ??= new ReplayWindow(COUNTER_WINDOW_WORDS));
    // It came on the other path, as a rule.
    if (!window.isNew(number)) {
      this.#drops.count(DropReason.probedRepeated);
      return;
    }
    if (data.pieceCount === 1) this.#deliver(number, window, packet, packet.bytes, from, to);
    else this.#onPiece(source, data, number, window, packet, from, to);
  }

  /**
   * Pieces of one message that went different ways were cut in different places: only those with
   * neighbouring counters fit.
   */
  #onPiece(
    source: Source,
    data: ProbedData,
    number: number,
    window: ReplayWindow,
    packet: Packet,
    start: number,
    end: number,
  ): void {
    const index = data.pieceIndex,
      name = data.counter - index;
    let pieces = source.partial.get(name);
    if (pieces === undefined || pieces.length !== data.pieceCount) {
      source.partial.set(name, (pieces = new Array<Uint8Array | null>(data.pieceCount).fill(null)));
      if (source.partial.size > PARTIAL_MAX) {
        source.partial.delete(source.partial.keys().next().value!);
        this.#drops.count(DropReason.fragmentTableFull);
      }
    }
    pieces[index] = packet.bytes.slice(start, end);
    if (pieces.includes(null)) return;
    source.partial.delete(name);
    let length = 0;
    for (const piece of pieces) {
      if (length + piece!.length > PACKET_BYTES_MAX) {
        this.#drops.count(DropReason.packetTooLong);
        return;
      }
      this.#whole.set(piece!, length);
      length += piece!.length;
    }
    this.#deliver(number, window, packet, this.#whole, 0, length);
  }

  #deliver(
    number: number,
    window: ReplayWindow,
    outer: Packet,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const inner = this.#inner;
    const reason = inner.decode(bytes, start, end, false);
    // Only its source could have sealed it: what it says of source and destination must be true.
    const fits =
      inner.source === outer.source &&
      inner.destination === outer.destination &&
      inner.service === outer.service &&
      inner.dissemination === DISSEMINATION_BYZANTINE;
    if (reason !== DropReason.none || !fits) {
      this.#drops.count(reason === DropReason.none ? DropReason.probedMalformed : reason);
      return;
    }
    window.record(number);
    if (outer.ecn) inner.ecn = true;
    inner.ageUs = outer.ageUs;
    this.#deliverInner(inner);
  }
}

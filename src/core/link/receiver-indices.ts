/**
 * Receiver indices: what the number stands for by which a peer names its channel, its keys or our
 * call.
 *
 * Owns the table, the drawing of new numbers, and the answers that copies of an INIT get again.
 * Knows no handshake and no link's state. It also tells whoever takes glued datagrams apart what
 * could be taken, and changes nothing by that. Bounded by its users: four a link and one a dial.
 * `@hot`
 */

import type { Draws } from '../base/draws.ts';
import type { IndexMark } from '../base/index-mark.ts';
import type { TokenBucket } from '../base/token-bucket.ts';
import {
  DATAGRAM_DATA,
  DATAGRAM_SEALED_DATA,
  decodeDatagramHeader,
  type DatagramHeader,
} from '../wire/datagram-header.ts';
import { DropReason } from '../wire/drop.ts';
import { DATAGRAM_BYTES_MAX, DATAGRAM_HEADER_BYTES, TAG_BYTES } from '../wire/sizes.ts';
import type { Channel, Epoch } from './channel.ts';
import { Dial } from './dial.ts';
import type { Link } from './link.ts';

export interface ChannelEntry {
  readonly channel: Channel;
  readonly link: Link;
  readonly epoch: Epoch;
}

/**
 * An INIT that was answered: its copies get the same answer, at little cost and not without end.
 */
export interface Answered {
  readonly entry: ChannelEntry;
  readonly response: Uint8Array;
  readonly copies: TokenBucket;
}

/**
 * Whoever saw an INIT can repeat it in anybody's name; an honest dialler does four times a second.
 */
export const COPIES_PER_SECOND = 8,
  COPIES_BURST = 16;

/** Where something is opened that stays as it is. */
const TRIAL = new Uint8Array(DATAGRAM_BYTES_MAX);

export class ReceiverIndices {
  readonly #draws: Draws;
  readonly #mark: IndexMark | null;
  readonly #entries = new Map<number, ChannelEntry | Dial>();
  /** By the INIT's fingerprint. Bounded like the epochs that they gave. */
  readonly #answered = new Map<string, Answered>();
  readonly #fingerprints = new Map<Epoch, string>();
  readonly #header: DatagramHeader = { type: 0, receiver: 0, number: 0 };

  /** `mark`: those drawn here have it; null = they have nothing in common. */
  constructor(draws: Draws, mark: IndexMark | null = null) {
    this.#draws = draws;
    this.#mark = mark;
  }

  get(index: number): ChannelEntry | Dial | undefined {
    return this.#entries.get(index);
  }

  set(index: number, entry: ChannelEntry | Dial): void {
    this.#entries.set(index, entry);
  }

  delete(index: number): void {
    this.#entries.delete(index);
  }

  /**
   * One that stands for nothing, of 31 bits: V8 keeps those without memory of their own, and finds
   * them faster.
   */
  free(): number {
    for (;;) {
      const drawn = this.#draws.u32() >>> 1;
      const index = this.#mark === null ? drawn : (drawn & ~this.#mark.mask) | this.#mark.value;
      if (index !== 0 && !this.#entries.has(index)) return index;
    }
  }

  /** What an INIT with this fingerprint was answered; undefined: it was not. */
  answered(fingerprint: string): Answered | undefined {
    return this.#answered.get(fingerprint);
  }

  /** Copies of the INIT get this answer until its epoch is forgotten. */
  remember(fingerprint: string, answered: Answered): void {
    this.#answered.set(fingerprint, answered);
    this.#fingerprints.set(answered.entry.epoch, fingerprint);
  }

  forgetChannel(channel: Channel): void {
    for (const epoch of [channel.epoch, channel.nextEpoch, channel.lastEpoch])
      if (epoch !== null) this.forgetEpoch(epoch);
  }

  forgetEpoch(epoch: Epoch): void {
    this.#entries.delete(epoch.localIndex);
    const fingerprint = this.#fingerprints.get(epoch);
    if (fingerprint === undefined) return;
    this.#fingerprints.delete(epoch);
    this.#answered.delete(fingerprint);
  }

  /** Whether a datagram with this number could be taken for this receiver index. */
  knows(receiver: number, number: number): boolean {
    const entry = this.#entries.get(receiver);
    return (
      entry !== undefined && (entry instanceof Dial || entry.channel.windowOf(number).isNew(number))
    );
  }

  /**
   * Whether `bytes[start..end)` is a datagram of a channel that only the peer can have made and
   * that has not arrived.
   */
  opens(bytes: Uint8Array, start: number, end: number): boolean {
    const length = end - start;
    if (length > TRIAL.length) return false;
    TRIAL.set(bytes.subarray(start, end));
    if (decodeDatagramHeader(TRIAL, length, this.#header) !== DropReason.none) return false;
    const { type, receiver, number } = this.#header;
    const entry = this.#entries.get(receiver);
    if (
      entry === undefined ||
      entry instanceof Dial ||
      !entry.channel.windowOf(number).isNew(number)
    )
      return false;
    const { seal } = entry.epoch;
    if (seal === null) return type === DATAGRAM_DATA;
    return (
      type === DATAGRAM_SEALED_DATA &&
      length >= DATAGRAM_HEADER_BYTES + TAG_BYTES &&
      seal.receive.open(number, TRIAL, DATAGRAM_HEADER_BYTES, length)
    );
  }
}

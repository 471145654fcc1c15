/**
 * The neighbours that a kind of record is flooded between: one FloodingPeer for each link that
 * speaks it.
 *
 * Owns which there are, and how frames of the kind reach them. What a record says, and whether it
 * is believed, is its kind's: records.ts, group-records.ts.
 */

import { DropReason } from '../wire/drop.ts';
import type { FloodingPeer } from './flooding.ts';
import type { RoutedLink } from './routed-link.ts';

/** A neighbour, and the certificates that are shown to it. */
export interface FloodedPeer<C> {
  readonly flooding: FloodingPeer;
  readonly certificates: C;
}

/** What a kind of record is on the wire; acknowledgements are its third frame. */
export interface FloodedKind {
  readonly recordFrame: number;
  readonly digestFrame: number;
  readonly malformed: DropReason;
}

export class FloodingPeers<C> {
  readonly #kind: FloodedKind;
  readonly #peers = new Map<RoutedLink, FloodedPeer<C>>();

  constructor(kind: FloodedKind) {
    this.#kind = kind;
  }

  get(link: RoutedLink): FloodedPeer<C> | undefined {
    return this.#peers.get(link);
  }

  add(link: RoutedLink, peer: FloodedPeer<C>): void {
    this.#peers.set(link, peer);
  }

  onLinkDown(link: RoutedLink): void {
    this.#peers.get(link)?.flooding.stop();
    this.#peers.delete(link);
  }

  /** The body of a frame of the kind, without its check; `onRecord` takes those of records. */
  onFrame(
    link: RoutedLink,
    type: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    onRecord: (peer: FloodedPeer<C>, bytes: Uint8Array, start: number, end: number) => DropReason,
  ): DropReason {
    const peer = this.#peers.get(link);
    if (peer === undefined) return DropReason.none;
    const { recordFrame, digestFrame, malformed } = this.#kind;
    if (type === recordFrame) return onRecord(peer, bytes, start, end);
    const ok =
      type === digestFrame
        ? peer.flooding.onDigestFrame(bytes, start, end, () => {})
        : peer.flooding.onAckFrame(bytes, start, end);
    return ok ? DropReason.none : malformed;
  }

  /** All, in the order in which their links came up. */
  *flooding(): IterableIterator<FloodingPeer> {
    for (const { flooding } of this.#peers.values()) yield flooding;
  }

  /** The record of `key` is newer than what they have. */
  flood(key: number): void {
    for (const { flooding } of this.#peers.values()) flooding.onNewer(key);
  }

  stop(): void {
    for (const { flooding } of this.#peers.values()) flooding.stop();
    this.#peers.clear();
  }
}

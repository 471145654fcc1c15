/**
 * What is known of the other end of each pair: keys of its epochs, what we have counted for it, and
 * which of its numbers we have seen.
 *
 * Two invariants. No counter of ours is used twice in this run: those of a node that is forgotten
 * are remembered by the highest of all. No window is forgotten while a key may exist that would
 * open what it has seen: a node whose record is gone keeps its own, and what it may say again is no
 * older than before. Only a new run of the node, which has other keys, begins anew, and the last
 * ones keep theirs: while two machines have one identity their runs take turns. Bounded by the
 * records held.
 */

import { GrowingWindow } from '../base/growing-window.ts';
import type { NodeId } from '../base/ids.ts';
import { NEVER, type Micros } from '../base/time.ts';
import { SERVICE_RELIABLE } from '../wire/packet.ts';
import type { SignedRecord } from '../wire/record.ts';
import type { OwnEpoch } from './own-epochs.ts';
import type { PairKeys } from './pair-keys.ts';

/** A key of a node, as its record said. */
export interface PeerEpoch {
  readonly name: number;
  readonly key: Uint8Array;
  /** By our epochs that have not been erased; null where its key is none. */
  readonly pairs: Map<OwnEpoch, PairKeys | null>;
  /** Of them those used last. */
  latest: { readonly own: OwnEpoch; readonly keys: PairKeys | null; aes: boolean } | null;
}

/** What we have had of one run of a node, by link service. */
interface Run {
  readonly instance: number;
  readonly windows: (GrowingWindow | undefined)[];
  endedAt: Micros;
}

export interface Peer {
  readonly node: NodeId;
  /** Of its newest record. */
  sequence: number;
  instance: number;
  /** Newest first; empty while nothing it says is believed. */
  epochs: PeerEpoch[];
  /** Next number of what we send it, by link service. */
  readonly counters: number[];
  /** The present one first, then those that it took the place of, the last first. */
  runs: Run[];
  goneAt: Micros;
}

/** Epochs of a node that still open what is late. */
const EPOCHS_MOST = 8;
/**
 * Words of the largest windows: routes change and queues are long, but what is sent once and never
 * again is soon too old.
 */
const WINDOW_WORDS = 1_024,
  WINDOW_WORDS_RELIABLE = 16_384;
/**
 * Runs of a node whose windows are kept. Who holds a node's key can begin more, and make it say
 * anything again anyway.
 */
const RUNS_MOST = 4;
/** Of all windows, beyond the least. */
const WINDOWS_BYTES_MAX = 32 * 1_048_576;

export class Peers {
  readonly #peers = new Map<NodeId, Peer>();
  readonly #most: number;
  readonly #keptUs: Micros;
  /** Above every number of nodes that were forgotten. */
  readonly #floors: number[] = [];
  #grown = 0;
  readonly #mayGrow = (bytes: number): boolean => {
    if (this.#grown + bytes > WINDOWS_BYTES_MAX) return false;
    this.#grown += bytes;
    return true;
  };

  /**
   * `most` nodes; `keptUs`: a node whose record is gone is remembered for so long, until every key
   * of today is erased.
   */
  constructor(most: number, keptUs: Micros) {
    this.#most = most;
    this.#keptUs = keptUs;
  }

  get size(): number {
    return this.#peers.size;
  }

  get(node: NodeId): Peer | undefined {
    return this.#peers.get(node);
  }

  all(): IterableIterator<Peer> {
    return this.#peers.values();
  }

  /**
   * A record of `node` was believed. False: it is older than one before, or there are too many
   * nodes.
   */
  onRecord(
    {
      origin,
      sequence,
      node: { instance, epoch, key },
    }: Pick<SignedRecord, 'origin' | 'sequence' | 'node'>,
    now: Micros,
  ): boolean {
    let peer = this.#peers.get(origin);
    if (peer === undefined) {
      if (this.#peers.size >= this.#most) this.#forget(now);
      if (this.#peers.size >= this.#most) return false;
      peer = {
        node: origin,
        sequence,
        instance,
        epochs: [],
        counters: [],
        runs: [],
        goneAt: NEVER,
      };
      this.#peers.set(origin, peer);
    } else if (sequence < peer.sequence) return false;
    if (instance !== peer.runs[0]?.instance) {
      peer.epochs = [];
      this.#begin(peer, instance, now);
    }
    peer.sequence = sequence;
    peer.instance = instance;
    peer.goneAt = NEVER;
    if (peer.epochs[0]?.name !== epoch) {
      peer.epochs.unshift({ name: epoch, key, pairs: new Map(), latest: null });
      if (peer.epochs.length > EPOCHS_MOST) peer.epochs.pop();
    }
    return true;
  }

  /**
   * Nothing that `node` said is believed any more, or all of it was of an earlier run: its keys
   * end.
   */
  end(node: NodeId, now: Micros): void {
    const peer = this.#peers.get(node);
    if (peer === undefined) return;
    peer.epochs = [];
    if (peer.goneAt === NEVER) peer.goneAt = now;
  }

  /** That epoch of ours was erased: so are all keys made of it. */
  onErased(epoch: OwnEpoch): void {
    for (const { epochs } of this.#peers.values()) {
      for (const of of epochs) {
        of.pairs.delete(epoch);
        if (of.latest?.own === epoch) of.latest = null;
      }
    }
  }

  nextCounter(peer: Peer, service: number): number {
    const counter = peer.counters[service] ?? this.#floors[service] ?? 0;
    peer.counters[service] = counter + 1;
    return counter;
  }

  window(peer: Peer, service: number): GrowingWindow {
    return (peer.runs[0]!.windows[service] ??= new GrowingWindow(
      service === SERVICE_RELIABLE ? WINDOW_WORDS_RELIABLE : WINDOW_WORDS,
      this.#mayGrow,
    ));
  }

  #forget(now: Micros): void {
    for (const peer of [...this.#peers.values()]) {
      if (now - peer.goneAt < this.#keptUs) continue;
      peer.counters.forEach((counter, service) => {
        this.#floors[service] = Math.max(this.#floors[service] ?? 0, counter);
      });
      peer.runs.forEach((run) => this.#release(run));
      this.#peers.delete(peer.node);
    }
  }

  /** A run of the node begins, or goes on after another one. */
  #begin(peer: Peer, instance: number, now: Micros): void {
    const [present, ...former] = peer.runs;
    if (present !== undefined) {
      present.endedAt = now;
      former.unshift(present);
    }
    const again = former.find((run) => run.instance === instance);
    const kept = former.filter((run) => run !== again && now - run.endedAt < this.#keptUs);
    const runs = [again ?? { instance, windows: [], endedAt: NEVER }, ...kept].slice(0, RUNS_MOST);
    for (const run of former) if (!runs.includes(run)) this.#release(run);
    peer.runs = runs;
  }

  #release({ windows }: Run): void {
    for (const window of windows) this.#grown -= window === undefined ? 0 : window.grownBytes;
  }
}

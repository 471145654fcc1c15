/**
 * Which requests of a source are new: its newest run, and a replay window of that.
 *
 * Owns a window for each of a bounded number of sources; whoever is not heard of for longest gives
 * way. A source that signs with another key, or whose clock had been ahead, begins anew. Called by
 * discovery.ts.
 */

import { equalBytes } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import { ReplayWindow } from '../base/replay-window.ts';
import type { RouteQuestion } from '../wire/discovery.ts';
import type { DiscoveryEnvironment } from './discovery-environment.ts';

/** Sources whose replay windows are remembered, and the size of each: 64 requests. */
const SOURCES_MAX = 4_096;
const WINDOW_WORDS = 3;
const NO_KEY = new Uint8Array(0);

/**
 * Requests that were signed with `signingKey`: whoever stole an earlier one may have used epochs
 * that its owner never reaches.
 */
interface SeenSource {
  readonly epoch: number;
  readonly signingKey: Uint8Array;
  readonly window: ReplayWindow;
}

export class SeenSources {
  readonly #environment: Pick<DiscoveryEnvironment, 'certificateOf' | 'sequenceOf'>;
  /** Least recently heard of first. */
  readonly #sources = new Map<NodeId, SeenSource>();

  constructor(environment: Pick<DiscoveryEnvironment, 'certificateOf' | 'sequenceOf'>) {
    this.#environment = environment;
  }

  /** Whether it is none that came before, nor of a run that is over. */
  isFresh({ source, epoch, sequence }: RouteQuestion): boolean {
    const seen = this.#sources.get(source);
    if (
      seen === undefined ||
      epoch > seen.epoch ||
      !equalBytes(seen.signingKey, this.#signingKeyOf(source))
    )
      return true;
    return (
      (epoch === seen.epoch && seen.window.isNew(sequence)) ||
      this.#wasAhead(source, seen.epoch, epoch)
    );
  }

  /**
   * Remembers a request. True when its source has another key than before, or its clock is not
   * ahead any longer.
   */
  record({ source, epoch, sequence }: RouteQuestion): boolean {
    const signingKey = this.#signingKeyOf(source);
    let seen = this.#sources.get(source);
    const anew =
      seen !== undefined &&
      (!equalBytes(seen.signingKey, signingKey) || this.#wasAhead(source, seen.epoch, epoch));
    if (seen === undefined || anew || epoch > seen.epoch)
      seen = { epoch, signingKey, window: new ReplayWindow(WINDOW_WORDS) };
    seen.window.record(sequence);
    this.#sources.delete(source);
    this.#sources.set(source, seen);
    if (this.#sources.size > SOURCES_MAX) this.#sources.delete(this.#sources.keys().next().value!);
    return anew;
  }

  /**
   * Whether what was taken of `source` is of a run that link state does not believe, with a clock
   * far ahead, and `epoch` of one that it does: nothing tells a source of a run that nobody
   * believed, so it would be behind for as long as its clock had been ahead.
   */
  #wasAhead(source: NodeId, seen: number, epoch: number): boolean {
    const believed = this.#environment.sequenceOf(source);
    return believed !== null && believed < seen && epoch < seen && epoch <= believed;
  }

  /** By its present certificate, under which a request is verified; empty without one. */
  #signingKeyOf(source: NodeId): Uint8Array {
    return this.#environment.certificateOf(source)?.signingKey ?? NO_KEY;
  }
}

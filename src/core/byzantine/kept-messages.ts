/**
 * Messages of one flow over reliable links whose fate is open, so that what is lost on one path
 * goes once more on another, a few times.
 *
 * Owns the copies and which paths carry them; no timers, and no decision about paths. The
 * destination takes a message once, by its number. Reliable links promise delivery from hop to hop,
 * and a router that knows of a loss and of another path would break that promise without need; over
 * best-effort links the loss is the application's, as in the paper.
 *
 * Bounded in packets and bytes for each flow, and in bytes for all flows together; at a bound the
 * flow's oldest is let go, and is then sent on no other path.
 */

import type { Micros } from '../base/time.ts';
import type { PathFlow } from './path-flow.ts';

/** Of one flow. */
export const KEPT_PACKETS_MAX = 2_048;
export const KEPT_FLOW_BYTES_MAX = 1_048_576;

/** Bytes that all flows of a node keep together, and may. */
export interface KeptBytes {
  bytes: number;
  readonly most: number;
}

export interface KeptMessage {
  readonly number: number;
  readonly bytes: Uint8Array;
  /**
   * Key of the destination's run that it was sent to: another run does not know whether that one
   * has delivered it.
   */
  readonly to: Uint8Array;
  readonly sentAt: Micros;
  /** Paths that carry it now. */
  readonly on: Set<PathFlow>;
  /** How often it was sent once more. */
  again: number;
}

export class KeptMessages {
  readonly #all: KeptBytes;
  /** The oldest first. */
  readonly #messages = new Map<number, KeptMessage>();
  #bytes = 0;

  constructor(all: KeptBytes) {
    this.#all = all;
  }

  get size(): number {
    return this.#messages.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(number: number): KeptMessage | undefined {
    return this.#messages.get(number);
  }

  /** Keeps a copy of `bytes[start..end)`, sent `now`, which `on`, one at least, carry. */
  keep(
    number: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    on: readonly PathFlow[],
    now: Micros,
  ): void {
    const length = end - start;
    while (
      this.#messages.size > 0 &&
      (this.#messages.size >= KEPT_PACKETS_MAX ||
        this.#bytes + length > KEPT_FLOW_BYTES_MAX ||
        this.#all.bytes + length > this.#all.most)
    ) {
      this.drop(this.#messages.keys().next().value!);
    }
    if (this.#all.bytes + length > this.#all.most) return;
    this.#messages.set(number, {
      number,
      bytes: bytes.slice(start, end),
      to: on[0]!.destinationKey,
      sentAt: now,
      on: new Set(on),
      again: 0,
    });
    this.#bytes += length;
    this.#all.bytes += length;
  }

  drop(number: number): void {
    const message = this.#messages.get(number);
    if (message === undefined) return;
    this.#messages.delete(number);
    this.#bytes -= message.bytes.length;
    this.#all.bytes -= message.bytes.length;
  }

  /**
   * `path` is used no longer. What it carried is on its way by another one, or on none: `idle`
   * gives those.
   */
  leave(path: PathFlow): void {
    for (const message of this.#messages.values()) message.on.delete(path);
  }

  /** Those that no path carries, the oldest first, at most so many. */
  idle(most: number): KeptMessage[] {
    const found: KeptMessage[] = [];
    for (const message of this.#messages.values()) {
      if (message.on.size > 0) continue;
      found.push(message);
      if (found.length === most) break;
    }
    return found;
  }

  clear(): void {
    for (const number of [...this.#messages.keys()]) this.drop(number);
  }
}

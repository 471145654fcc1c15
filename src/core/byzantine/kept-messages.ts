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
 * flow's oldest is let go, and is then sent on no other path. Its head is kept for as long as paths
 * carry it, so that its loss is told all the same: those are no more than paths may have under way.
 */

import type { Micros } from '../base/time.ts';
import { QUOTE_BYTES } from '../wire/notice.ts';
import { OVERLAY_HEADER_BYTES } from '../wire/sizes.ts';
import type { PathFlow } from './path-flow.ts';

/** A path that carries messages: which run of the destination it leads to. */
export type KeptPath = Pick<PathFlow, 'destinationKey'>;

/** Of one flow. */
export const KEPT_PACKETS_MAX = 2_048;
export const KEPT_FLOW_BYTES_MAX = 1_048_576;

/** What tells whose a message was: its header, and the run of its session. */
const HEAD_BYTES = OVERLAY_HEADER_BYTES + QUOTE_BYTES;

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
  readonly on: Set<KeptPath>;
  /** How often it was sent once more. */
  again: number;
}

/** A message that is sent no more, and may yet arrive. */
interface LetGo {
  readonly head: Uint8Array;
  readonly on: Set<KeptPath>;
}

export class KeptMessages {
  readonly #all: KeptBytes;
  readonly #onLost: (head: Uint8Array) => void;
  /** The oldest first. */
  readonly #messages = new Map<number, KeptMessage>();
  readonly #letGo = new Map<number, LetGo>();
  #bytes = 0;

  /**
   * `onLost` hears the head of each message that was let go and did not arrive, as far as known.
   */
  constructor(all: KeptBytes, onLost: (head: Uint8Array) => void) {
    this.#all = all;
    this.#onLost = onLost;
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
    on: readonly KeptPath[],
    now: Micros,
  ): void {
    const length = end - start;
    while (
      this.#messages.size > 0 &&
      (this.#messages.size >= KEPT_PACKETS_MAX ||
        this.#bytes + length > KEPT_FLOW_BYTES_MAX ||
        this.#all.bytes + length > this.#all.most)
    ) {
      this.#letOldestGo();
    }
    if (this.#all.bytes + length > this.#all.most) {
      this.watch(number, bytes, start, end, on);
      return;
    }
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

  /** Only tells when the message, which `on` carry, is lost. */
  watch(
    number: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    on: Iterable<KeptPath>,
  ): void {
    const head = bytes.slice(start, Math.min(end, start + HEAD_BYTES));
    this.#letGo.set(number, { head, on: new Set(on) });
  }

  /** What became of a message on `path`, if it was let go. */
  onFate(path: KeptPath, number: number, arrived: boolean): void {
    const message = this.#letGo.get(number);
    if (message === undefined) return;
    if (arrived) this.#letGo.delete(number);
    else this.#leaves(path, number, message);
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
   * gives those. What was let go is lost then.
   */
  leave(path: KeptPath): void {
    for (const message of this.#messages.values()) message.on.delete(path);
    for (const [number, message] of this.#letGo) this.#leaves(path, number, message);
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
    this.#letGo.clear();
  }

  #letOldestGo(): void {
    const { number, bytes, on } = this.#messages.values().next().value!;
    this.drop(number);
    if (on.size === 0) this.#onLost(bytes);
    else this.watch(number, bytes, 0, bytes.length, on);
  }

  #leaves(path: KeptPath, number: number, { head, on }: LetGo): void {
    if (!on.delete(path) || on.size > 0) return;
    this.#letGo.delete(number);
    this.#onLost(head);
  }
}

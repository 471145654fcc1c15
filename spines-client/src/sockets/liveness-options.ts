/**
 * How long a stream's far end may be silent, and how often it is asked for a sign of life: what
 * programs write, and what the daemon is told.
 *
 * Owns the meaning of net's `keepAlive`, `keepAliveInitialDelay` and `setKeepAlive` here: they
 * change what the daemon does anyway. Used by socket.ts and server.ts.
 */

import type { ClientCore } from '../core/core.ts';
import type { CoreStream } from '../core/stream-core.ts';
import { rangeError, typeError } from '../errors.ts';
import { KEEPALIVE_MS_MIN, LIVENESS_MS_MAX, SILENCE_MS_MIN } from '../shared/protocol.ts';

export interface LivenessOptions {
  /**
   * An idle stream asks its far end for a sign of life this often, 500..86,400,000 ms; 0: never.
   * Default: the daemon's (15 s), and no more than half of `silenceMs`.
   */
  keepaliveMs?: number | undefined;
  /**
   * A far end that has left something unanswered for so long, or to which there was no route, is
   * given up (ETIMEDOUT), 1,000..86,400,000 ms. Default: the daemon's (30 s).
   */
  silenceMs?: number | undefined;
  /**
   * As in net: `setKeepAlive(true, keepAliveInitialDelay)`. False changes nothing. `keepaliveMs`
   * goes before.
   */
  keepAlive?: boolean | undefined;
  keepAliveInitialDelay?: number | undefined;
}

/** What is sent: undefined or null is the daemon's own. */
export class Liveness {
  readonly silenceMs: number | undefined;
  #on: boolean;
  #delayMs: number | null;

  /** Throws what net throws for wrong arguments. */
  constructor({ keepaliveMs, silenceMs, keepAlive, keepAliveInitialDelay }: LivenessOptions) {
    check('keepaliveMs', keepaliveMs, KEEPALIVE_MS_MIN, ', or 0');
    check('silenceMs', silenceMs, SILENCE_MS_MIN, '');
    if (keepAliveInitialDelay !== undefined && typeof keepAliveInitialDelay !== 'number')
      throw typeError('options.keepAliveInitialDelay', 'of type number', keepAliveInitialDelay);
    this.silenceMs = silenceMs ?? undefined;
    this.#on = keepaliveMs !== 0;
    this.#delayMs = keepaliveMs || (keepAlive ? delayOf(keepAliveInitialDelay) : null);
  }

  get keepaliveMs(): number | null {
    return this.#on ? this.#delayMs : 0;
  }

  /** True: `keepaliveMs` is another now. */
  setKeepAlive(enable: unknown, initialDelayMs: unknown): boolean {
    const before = this.keepaliveMs;
    this.#on = Boolean(enable);
    if (this.#on) this.#delayMs = delayOf(initialDelayMs) ?? this.#delayMs;
    return this.keepaliveMs !== before;
  }

  /** Tells the daemon what is wanted now of a stream that is not over; null: there is none. */
  tell(core: ClientCore, stream: CoreStream | null): void {
    if (stream === null || (stream.state !== 'connecting' && stream.state !== 'open')) return;
    // A stream that is over by the time it gets there needs none.
    core.request(
      'setOption',
      { socket: stream.id, option: 'keepaliveMs', value: this.keepaliveMs },
      () => {},
    );
  }
}

/** Null: as it was. Like net, which takes anything for a delay. */
function delayOf(ms: unknown): number | null {
  const wanted = Math.floor(Number(ms));
  return wanted > 0 ? Math.min(LIVENESS_MS_MAX, Math.max(KEEPALIVE_MS_MIN, wanted)) : null;
}

function check(name: string, ms: unknown, least: number, or: string): void {
  if (ms === undefined || ms === null || (or !== '' && ms === 0)) return;
  if (typeof ms !== 'number') throw typeError(`options.${name}`, 'of type number', ms);
  if (!Number.isInteger(ms) || ms < least || ms > LIVENESS_MS_MAX) {
    throw rangeError(
      'ERR_OUT_OF_RANGE',
      `The value of "options.${name}" is out of range. It must be an integer from ${least} to ` +
        `${LIVENESS_MS_MAX}${or}. Received ${ms}`,
    );
  }
}

/**
 * When a stream asks its far end for a sign of life, and when it gives the far end up.
 *
 * Owns the two limits and what they are counted from. The silence limit runs from the first thing
 * that went unanswered, or from when the route was lost, whichever is earlier, and anew with
 * everything that is heard: an outage shorter than it ends no stream, however the keepalive falls.
 * Knows no timers and no packets; called by stream.ts.
 */

import { MILLISECOND, NEVER, SECOND, type Micros } from '../base/time.ts';

/** A daemon's limits, for streams that have none of their own. */
export interface LivenessLimits {
  /**
   * Without any sign of life from the far end, although asked, the stream fails after this long.
   */
  readonly silenceUs: Micros;
  /** An idle stream asks for a sign of life this often; 0: it does not. */
  readonly keepaliveUs: Micros;
}

/** What one stream has of its own; null: the daemon's. */
export interface OwnLimits {
  readonly silenceUs: Micros | null;
  readonly keepaliveUs: Micros | null;
}

export const NO_LIMITS: OwnLimits = Object.freeze({ silenceUs: null, keepaliveUs: null });

/** Half of the shortest silence is the keepalive that it comes to by itself. */
export const KEEPALIVE_MIN: Micros = 500 * MILLISECOND;
export const SILENCE_MIN: Micros = SECOND;
export const LIMIT_MAX: Micros = 86_400 * SECOND;

/** A question is repeated at least this often, until it is answered. */
const ASK_AGAIN_MAX: Micros = 5 * SECOND;
/**
 * Pause before the first repetition (RFC 6298, section 2: where no round trip is known), twice as
 * long each time: a far end that was started anew answers before it knows a way back.
 */
const ASK_AGAIN_FIRST: Micros = SECOND;
const ASK_AGAIN_MIN: Micros = 200 * MILLISECOND;

/**
 * A keepalive that nobody set is no longer than half the silence limit: an idle far end that dies
 * is noticed soon after that, too.
 */
export function keepaliveWithin(silenceUs: Micros, keepaliveUs: Micros): Micros {
  return Math.min(keepaliveUs, Math.floor(silenceUs / 2));
}

/** What a stream's own limits come to with the daemon's. */
export function effectiveLimits(own: OwnLimits, daemon: LivenessLimits): LivenessLimits {
  return { silenceUs: silenceOf(own, daemon), keepaliveUs: keepaliveOf(own, daemon) };
}

function silenceOf(own: OwnLimits, daemon: LivenessLimits): Micros {
  return own.silenceUs ?? daemon.silenceUs;
}

function keepaliveOf({ silenceUs, keepaliveUs }: OwnLimits, daemon: LivenessLimits): Micros {
  return (
    keepaliveUs ??
    (silenceUs === null ? daemon.keepaliveUs : keepaliveWithin(silenceUs, daemon.keepaliveUs))
  );
}

export class StreamLiveness {
  /** When the far end was heard last. */
  heardAt: Micros;
  /** When it was asked for a sign of life last. */
  askedAt: Micros = 0;
  /** Questions since it was heard. */
  #asked = 0;
  own: OwnLimits = NO_LIMITS;
  /** The first thing sent since then that wants an answer. */
  #unansweredFrom: Micros = NEVER;
  #noRouteFrom: Micros = NEVER;

  constructor(now: Micros) {
    this.heardAt = now;
  }

  onHeard(now: Micros): void {
    this.heardAt = now;
    this.#asked = 0;
    this.#unansweredFrom = NEVER;
  }

  /** Something left that the far end answers; `asked`: it is nothing but a question. */
  onSent(now: Micros, asked: boolean): void {
    if (asked) {
      this.askedAt = now;
      this.#asked += 1;
    }
    this.#unansweredFrom = Math.min(this.#unansweredFrom, now);
  }

  /** Routes changed. True: there is one again, so the far end is worth asking. */
  onRoute(reachable: boolean, now: Micros): boolean {
    const lost = this.#noRouteFrom !== NEVER;
    if (reachable) this.#noRouteFrom = NEVER;
    else if (!lost) this.#noRouteFrom = now;
    return reachable && lost;
  }

  get noRoute(): boolean {
    return this.#noRouteFrom !== NEVER;
  }

  /** When to ask next. */
  keepaliveAt(limits: LivenessLimits): Micros {
    const keepaliveUs = keepaliveOf(this.own, limits);
    // A question was lost, or its answer: also one that the keepalive did not ask.
    if (this.askedAt > this.heardAt) return this.askedAt + this.#askAgainUs(limits, keepaliveUs);
    return keepaliveUs === 0 ? NEVER : this.heardAt + keepaliveUs;
  }

  /**
   * When the far end is given up, unless it is heard before. `outstanding`: something sent is not
   * acknowledged.
   */
  silentAt(limits: LivenessLimits, outstanding: boolean): Micros {
    const waiting = outstanding || this.askedAt > this.heardAt;
    const from = Math.min(
      waiting
        ? Math.max(this.heardAt, this.#unansweredFrom === NEVER ? 0 : this.#unansweredFrom)
        : NEVER,
      this.#noRouteFrom,
    );
    return from === NEVER ? NEVER : Math.max(from, this.heardAt) + silenceOf(this.own, limits);
  }

  #askAgainUs(limits: LivenessLimits, keepaliveUs: Micros): Micros {
    const often = Math.min(
      ASK_AGAIN_MAX,
      ASK_AGAIN_FIRST * 2 ** Math.max(0, this.#asked - 1),
      Math.floor(silenceOf(this.own, limits) / 4),
      keepaliveUs === 0 ? NEVER : Math.floor(keepaliveUs / 3),
    );
    return Math.max(ASK_AGAIN_MIN, often);
  }
}

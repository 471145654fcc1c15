/**
 * `--wait`: what is not there yet is tried again, for as long as one is willing to wait.
 *
 * Owns the pause between two attempts and which failures pass by themselves. Called by the commands
 * that talk to a daemon.
 */

import { MILLISECOND, type Micros } from '../../core/base/time.ts';
import { EXIT_NO_DAEMON, toFailure } from './failure.ts';

/** Of `--wait` without a time: for ever. */
export type Wait = Micros | true | undefined;

const PAUSE_MS = 100;
/** Of the way and the far end; that there is no daemon yet is told by the exit code. */
const PASSING: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'ETIMEDOUT',
]);

export class Patience {
  readonly #untilMs: number;

  constructor(wait: Wait) {
    this.#untilMs =
      wait === undefined
        ? -Infinity
        : wait === true
          ? Infinity
          : performance.now() + wait / MILLISECOND;
  }

  /**
   * Runs `attempt` until it succeeds. Rejects with its failure when that does not pass, or not in
   * time.
   */
  async until<T>(attempt: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        const { exitCode, code } = toFailure(error);
        if (
          (exitCode !== EXIT_NO_DAEMON && !PASSING.has(code)) ||
          performance.now() >= this.#untilMs
        )
          throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}

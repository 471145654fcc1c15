/**
 * What ends a daemon from outside, and has it read its files again: signals, and the end of who
 * started it.
 *
 * The first SIGTERM or SIGINT drains, a second one ends at once; SIGHUP reloads. Before the daemon
 * runs there is nothing to drain. Whoever manages services is told of both (service-manager.ts).
 */

import type { Logger } from 'pino';

import type { RunningDaemon } from '../host/daemon.ts';
import { ServiceManager } from '../host/service-manager.ts';

/** What a daemon whose parent is gone gets to say goodbye. */
const ORPHAN_DRAIN_MS = 500;

export class DaemonSignals {
  #running: RunningDaemon | null = null;
  readonly #log: Logger;
  readonly #manager: ServiceManager;
  #stopping = false;
  #orphanTimer: NodeJS.Timeout | undefined;

  /** Listens from now on. */
  constructor(log: Logger) {
    this.#log = log;
    this.#manager = new ServiceManager(log);
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (!this.#stopping) {
          this.#stop(signal);
          return;
        }
        log.warn({ signal }, 'stopped without draining');
        process.exit(signal === 'SIGINT' ? 130 : 143);
      });
    }
    // Where it is refused the daemon has logged why.
    process.on('SIGHUP', () => this.#running?.requestReload('SIGHUP'));
  }

  /** Null until it runs. */
  get running(): RunningDaemon | null {
    return this.#running;
  }

  /** It takes links and programs, and whoever manages services is told so. */
  started(running: RunningDaemon): void {
    this.#running = running;
    this.#manager.ready(`listens on ${running.listen.join(' and ')}`);
    // However it stops: by a signal, or as a client asked.
    void running.done.then(() => this.#manager.end());
  }

  /** Standard input is the parent's: its end is the daemon's. */
  endWithParent(): void {
    const orphaned = (): void => {
      if (this.#orphanTimer !== undefined) return;
      this.#orphanTimer = setTimeout(() => process.exit(0), ORPHAN_DRAIN_MS);
      if (!this.#stopping) this.#stop('parent is gone');
    };
    process.stdin.on('end', orphaned).on('close', orphaned).on('error', orphaned).resume();
  }

  /** The daemon has stopped: nothing keeps the process. */
  over(): void {
    clearTimeout(this.#orphanTimer);
    process.stdin.destroy();
  }

  #stop(why: string): void {
    this.#stopping = true;
    this.#log.info({ why }, 'stopping');
    this.#manager.stopping();
    if (this.#running === null) process.exit(0);
    void this.#running.stop(why);
  }
}

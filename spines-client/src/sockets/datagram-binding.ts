/**
 * A datagram socket's standing at the daemon: announced or not, the bind under way, another try for
 * a port after a reconnect. What follows from the answer is datagram.ts's business. Invariant:
 * after `reset` no older answer is heard.
 */

import { isLocalHost } from '../address.ts';
import type { ClientCore } from '../core/core.ts';
import type { CheckedOptions } from './datagram-options.ts';
import { SpinesClientError } from '../errors.ts';

/**
 * Attempts to get a port back from a daemon that has not restarted: it may not have noticed yet
 * that we had gone.
 */
const REBIND_TRIES_MAX = 4;
const REBIND_DELAY_MS = 100;

/** States of a datagram socket; datagram.ts draws how they follow each other. */
export type DatagramState = 'unbound' | 'binding' | 'bound' | 'away' | 'closed';

export class DatagramBinding {
  readonly #core: ClientCore;
  readonly #id: number;
  /** Counts joins; the answer to an older one is void. */
  #joins = 0;
  #tries = 0;
  #timer: NodeJS.Timeout | null = null;
  #announced = false;
  #takesMarks = false;

  constructor(core: ClientCore, id: number) {
    this.#core = core;
    this.#id = id;
  }

  /** The daemon knows our socket number on this connection. */
  get announced(): boolean {
    return this.#announced;
  }

  /** Marks of a message as far as the daemon reads them: one before realtime links does not. */
  known(marks: number): number {
    return this.#takesMarks ? marks : 0;
  }

  /**
   * Announces the socket where needed and binds it; both requests go out together. `done` is not
   * called when the connection is lost meanwhile.
   */
  join(
    options: CheckedOptions,
    port: number,
    done: (error: SpinesClientError | null, port: number) => void,
  ): void {
    const core = this.#core;
    const join = ++this.#joins;
    let failure: SpinesClientError | null = null;
    if (!this.#announced) {
      this.#announced = true;
      const {
        link: wanted,
        routing,
        paths,
        graph,
        secrecy,
        ttl,
        priority,
        deadlineMs,
        late,
        redundancy,
        reuseAddr,
        slowBranch,
      } = options;
      core.request(
        'socket',
        {
          socket: this.#id,
          kind: 'datagram',
          link: wanted,
          routing,
          paths,
          graph,
          secrecy,
          proof: true,
          ttl,
          priority,
          deadlineMs,
          late,
          redundancy,
          ...(reuseAddr ? { reuseAddr } : {}),
          slowBranch,
        },
        (error, { link }) => {
          this.#takesMarks = link === 'realtime';
          if (link === 'best-effort' && options.link === 'realtime') warnOfNoRealtime();
          if (error === null || join !== this.#joins) return;
          this.#announced = false;
          failure = error;
        },
      );
    }
    core.request('bind', { socket: this.#id, port }, (error, result) => {
      // A lost connection is not an answer: the socket joins again when it is back.
      if (join !== this.#joins || core.state !== 'open') return;
      const refusal = failure ?? error;
      const bound = result['port'];
      if (refusal !== null) {
        done(refusal, 0);
      } else if (
        typeof bound !== 'number' ||
        !Number.isInteger(bound) ||
        bound < 1 ||
        bound > 65_535
      ) {
        done(new SpinesClientError('EPROTO', 'the daemon bound no port', { syscall: 'bind' }), 0);
      } else {
        this.#tries = 0;
        done(null, bound);
      }
    });
  }

  /** Calls `join` a little later; false when it has been tried often enough. */
  retry(join: () => void): boolean {
    if (this.#tries >= REBIND_TRIES_MAX - 1) return false;
    this.#timer = setTimeout(join, REBIND_DELAY_MS * 2 ** this.#tries++);
    return true;
  }

  /** The connection is lost, or the socket closed. */
  reset(): void {
    this.#joins++;
    this.#announced = false;
    this.#tries = 0;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}

/** EADDRNOTAVAIL where `address` is one to bind to and not of the local node; else null. */
export function notLocal(
  address: string | undefined,
  { node, name }: { readonly node: string; readonly name: string },
): SpinesClientError | null {
  if (address === undefined || isLocalHost(address) || address === node || address === name)
    return null;
  return new SpinesClientError(
    'EADDRNOTAVAIL',
    `bind EADDRNOTAVAIL: ${address} is not this node, which is ${name} (${node})`,
    { syscall: 'bind' },
  );
}

let warned = false;

/** Once for a program, as Node's own warnings. */
function warnOfNoRealtime(): void {
  if (warned) return;
  warned = true;
  process.emitWarning(
    'this daemon has no realtime links: what is sent with link "realtime" goes best effort',
    { type: 'SpinesWarning', code: 'SPINES_NO_REALTIME' },
  );
}

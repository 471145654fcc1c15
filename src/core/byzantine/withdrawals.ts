/**
 * Links that their own ends have withdrawn: what the router does when the link state says that a
 * link of its path is down, or that a node of it carries nothing for others any longer.
 *
 * A packet on such a path is lost by nobody's fault, so nobody is convicted for it: the path is
 * left. Advertisements are signed by the ends of a link, so nobody withdraws a link of others. Who
 * withdraws and offers his own again and again, to be rid of the losses that he caused, is avoided
 * for twice as long each time (as by route flap damping, RFC 2439). Bounded: the oldest entry gives
 * way.
 */

import type { NodeId } from '../base/ids.ts';
import { SECOND, type Micros } from '../base/time.ts';

const MINUTE = 60 * SECOND;
const LINKS_MAX = 1_024;
/** A link is avoided so long after it was withdrawn, and twice as long each further time. */
const AVOIDED_FIRST: Micros = 5 * SECOND,
  AVOIDED_MOST: Micros = 10 * MINUTE;
/** After so long in peace an earlier withdrawal is forgotten. */
const FORGIVEN_AFTER: Micros = 20 * MINUTE;

interface Withdrawal {
  times: number;
  last: Micros;
  until: Micros;
}

export class Withdrawals {
  readonly #links = new Map<string, Withdrawal>();
  readonly #advertised: (a: NodeId, b: NodeId) => boolean;
  readonly #carries: (node: NodeId) => boolean;

  /**
   * `advertised`: true unless one end of the link advertises others, but not this one. `carries`:
   * true unless the node says that it carries nothing for others.
   */
  constructor(
    advertised: (a: NodeId, b: NodeId) => boolean,
    carries: (node: NodeId) => boolean = () => true,
  ) {
    this.#advertised = advertised;
    this.#carries = carries;
  }

  get size(): number {
    return this.#links.size;
  }

  /**
   * True when all of the path stands. Links that do not are avoided from now on, and those of a
   * node that does not.
   */
  check(path: readonly NodeId[], now: Micros): boolean {
    let stands = true;
    for (const node of path.slice(1, -1)) {
      if (this.#carries(node)) continue;
      stands = false;
      this.noteRestart(path, node, now);
    }
    for (let i = 1; i < path.length; i += 1) {
      if (this.#advertised(path[i - 1]!, path[i]!)) continue;
      stands = false;
      this.#note(nameOf(path[i - 1]!, path[i]!), now);
    }
    return stands;
  }

  /**
   * `node` of the path was started anew: its links there are avoided as if it had withdrawn them
   * and offered them again.
   */
  noteRestart(path: readonly NodeId[], node: NodeId, now: Micros): void {
    for (let i = 1; i < path.length; i += 1)
      if (path[i - 1] === node || path[i] === node) this.#note(nameOf(path[i - 1]!, path[i]!), now);
  }

  /** True when all nodes and links of the path stand. */
  stands(path: readonly NodeId[]): boolean {
    for (let i = 1; i < path.length; i += 1)
      if (
        !this.#advertised(path[i - 1]!, path[i]!) ||
        (i < path.length - 1 && !this.#carries(path[i]!))
      )
        return false;
    return true;
  }

  /** True when the path has a link that was withdrawn lately. */
  isShaky(path: readonly NodeId[], now: Micros): boolean {
    for (let i = 1; i < path.length; i += 1)
      if ((this.#links.get(nameOf(path[i - 1]!, path[i]!))?.until ?? 0) > now) return true;
    return false;
  }

  #note(name: string, now: Micros): void {
    const known = this.#links.get(name);
    const times = known === undefined || now - known.last > FORGIVEN_AFTER ? 1 : known.times + 1;
    this.#links.delete(name);
    if (this.#links.size >= LINKS_MAX) this.#links.delete(this.#links.keys().next().value!);
    this.#links.set(name, {
      times,
      last: now,
      until: now + Math.min(AVOIDED_MOST, AVOIDED_FIRST * 2 ** Math.min(times - 1, 16)),
    });
  }
}

function nameOf(a: NodeId, b: NodeId): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}

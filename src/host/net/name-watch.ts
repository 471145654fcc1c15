/**
 * Host names of neighbours: looked up when they are dialled, and again as long as that comes to
 * nothing.
 *
 * Owns when each is looked up, and which of its addresses is dialled; the daemon's configuration
 * goes by that (`use`). A link that is up is left alone, wherever its name leads by now. Bounded:
 * LOOKUPS_MAX at once, each name after a pause that doubles. What a name leads to proves nothing:
 * sealed links do.
 */

import { isUnresolved, UNRESOLVED, type DialConfig } from '../../core/node/config.ts';
import type { Log } from '../../core/base/log.ts';

/** The system looks up few at once, in threads that files share. */
const LOOKUPS_MAX = 2;
const ADDRESSES_MAX = 16;
/** Until a name is looked up again, milliseconds. */
const PAUSE_FIRST_MS = 2_000,
  PAUSE_MOST_MS = 60_000;

export interface NameWatchEnvironment {
  /** Those that are dialled now. */
  dials(): readonly DialConfig[];
  /** Whether the neighbour has its link. */
  isUp(dial: DialConfig): boolean;
  /** Whether the daemon can send there: it has a socket of that family. */
  canReach(address: string): boolean;
  /** The addresses of a host; rejects with a `code` such as ENOTFOUND. */
  lookup(host: string): Promise<readonly string[]>;
  /** Dials these from now on. */
  use(dials: readonly DialConfig[]): void;
  /** Milliseconds, monotonic. */
  now(): number;
  readonly log: Log;
}

interface Known {
  /** Empty until the first answer. */
  addresses: readonly string[];
  /** Which of them is dialled. */
  at: string;
  pauseMs: number;
  nextAt: number;
  busy: boolean;
  fault: string | null;
}

export class NameWatch {
  readonly #env: NameWatchEnvironment;
  readonly #names = new Map<string, Known>();
  #open = 0;
  #stopped = false;

  constructor(env: NameWatchEnvironment) {
    this.#env = env;
  }

  /** Once a second. Resolves when what it began is over. */
  async tick(): Promise<void> {
    const { dials, isUp, now } = this.#env;
    const due = new Map<string, Known>();
    /** By host, whether all that are dialled there have their links. */
    const wanted = new Map<string, boolean>();
    for (const dial of dials()) {
      const { host } = dial;
      if (host === undefined) continue;
      wanted.set(host, (wanted.get(host) ?? true) && !isUnresolved(dial) && isUp(dial));
    }
    for (const [host, areUp] of wanted) {
      const known = this.#known(host);
      if (areUp) {
        // When a link ends its address is tried first, and then the name.
        known.pauseMs = PAUSE_FIRST_MS;
        known.nextAt = now() + PAUSE_FIRST_MS;
      } else if (!known.busy && now() >= known.nextAt) due.set(host, known);
    }
    for (const host of this.#names.keys()) if (!wanted.has(host)) this.#names.delete(host);
    // Who has waited for longest: none is kept waiting by those that come to nothing.
    await Promise.all(
      [...due]
        .sort(([, a], [, b]) => a.nextAt - b.nextAt)
        .slice(0, Math.max(0, LOOKUPS_MAX - this.#open))
        .map(([host, known]) => this.#lookUp(host, known)),
    );
  }

  /** `dials` as files have them, with the addresses that are known. */
  filled(dials: readonly DialConfig[]): DialConfig[] {
    return dials.map((dial) => {
      const known = dial.host === undefined ? undefined : this.#names.get(dial.host);
      return known === undefined ? dial : addressed(dial, known);
    });
  }

  stop(): void {
    this.#stopped = true;
  }

  #known(host: string): Known {
    let known = this.#names.get(host);
    if (known === undefined) {
      known = { addresses: [], at: UNRESOLVED, pauseMs: 0, nextAt: 0, busy: false, fault: null };
      this.#names.set(host, known);
    }
    return known;
  }

  async #lookUp(host: string, known: Known): Promise<void> {
    const { lookup, now, log } = this.#env;
    const before = known.fault;
    known.busy = true;
    this.#open += 1;
    try {
      const found = (await lookup(host)).filter(isUsable).slice(0, ADDRESSES_MAX);
      known.fault = found.length > 0 ? null : 'it has no address to send to';
      if (found.length > 0) known.addresses = found;
    } catch (error) {
      known.fault = (error as NodeJS.ErrnoException).code ?? String(error);
    } finally {
      this.#open -= 1;
      known.busy = false;
    }
    known.pauseMs = Math.min(PAUSE_MOST_MS, Math.max(PAUSE_FIRST_MS, 2 * known.pauseMs));
    known.nextAt = now() + known.pauseMs;
    if (this.#stopped) return;
    known.at = this.#next(known);
    if (known.fault !== null && known.fault !== before)
      log.warn({ host, reason: known.fault }, "a neighbour's host name is not found");
    this.#apply(host, known);
  }

  /** The address behind the one that came to nothing, of those that can be reached if there are. */
  #next({ addresses, at }: Known): string {
    const reached = addresses.filter((address) => this.#env.canReach(address));
    const among = reached.length > 0 ? reached : addresses;
    return among[(among.indexOf(at) + 1) % Math.max(1, among.length)] ?? UNRESOLVED;
  }

  #apply(host: string, known: Known): void {
    const { dials, isUp, use } = this.#env;
    const before = dials();
    const after = before.map((dial) =>
      dial.host !== host || (!isUnresolved(dial) && isUp(dial)) ? dial : addressed(dial, known),
    );
    if (after.some((dial, i) => dial !== before[i])) use(after);
  }
}

/** The dial at the address that is known; itself where nothing is another. */
function addressed(dial: DialConfig, { at, fault }: Known): DialConfig {
  const { lookupFault: before, ...rest } = dial;
  const lookupFault = at === UNRESOLVED ? fault : null;
  if (dial.address === at && (before ?? null) === lookupFault) return dial;
  return { ...rest, address: at, ...(lookupFault === null ? {} : { lookupFault }) };
}

/** A zone would be lost on the way to a socket; unspecified addresses are what sinkholes answer. */
function isUsable(address: string): boolean {
  return address !== UNRESOLVED && address !== '::' && !address.includes('%');
}

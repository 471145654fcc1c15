/**
 * The UDP sockets of a daemon, and which of them a datagram leaves by: those of the configuration,
 * and beside each wildcard one for every address that this machine has, so that a peer is answered
 * from the address that it asked. A stateful firewall in front of the peer lets nothing else in.
 *
 * The wildcard stays: it hears what came before an address had its socket, and is the system's
 * choice, by the route, for what we begin. Beside it other sockets can only be bound with an option
 * that Node can't take back (everybody could then take the port), so wildcards stay alone where
 * sockets are not of our making (offload.ts). Addresses come and go: they are looked at every
 * second, and when a peer falls silent, as systems send from an IPv6 address that has gone without
 * an error. What leaves for a path whose address has gone leaves by the wildcard, and the peer's
 * path probe moves the link.
 */

import { createSocket } from 'node:dgram';
import { isIP } from 'node:net';
import { makeEndpoint, type Endpoint } from '../../core/base/datagram.ts';
import { isWildcard, LOCAL_SOCKETS_MAX, localAddresses } from './local-addresses.ts';
import type { Offload } from './offload.ts';
import { stopwatch } from '../system-clock.ts';
import { bindSocket, lookUpNothing, type Bound, type UdpAddress } from './udp-socket.ts';
import type { IndexMark } from '../../core/base/index-mark.ts';
import { SECOND, type Micros } from '../../core/base/time.ts';

/**
 * Addresses are looked at this often, and less where looking takes long: a share of LOOK_SHARE of
 * the time at most.
 */
const LOOK_MS = 1_000;
const LOOK_SHARE = 1 / 500;
/** After what happens when an address has gone; and a share of the time then. */
const HURRY_US: Micros = SECOND / 10;
const HURRY_SHARE = 1 / 20;
/** What the system said of the way to an address counts for so long. */
const ROUTE_US: Micros = 10 * SECOND;
const ROUTES_MAX = 256;

export interface SocketEvents {
  /** It is bound; whoever is told adds its handlers. */
  onOpen(bound: Bound): void;
  /** It is about to be closed: nothing may be left for it. */
  onClosing(bound: Bound): void;
}

export class SocketSet {
  readonly #by: Offload | null;
  readonly #mark: IndexMark | null;
  readonly #events: SocketEvents;
  /** In the order of the configuration. */
  readonly configured: Bound[] = [];
  readonly #v4: Bound[] = [];
  readonly #v6: Bound[] = [];
  /** All that have an address of their own, by its key. */
  readonly #byLocal = new Map<string, Bound>();
  /** Those beside a wildcard, by their key. */
  readonly #beside = new Map<string, Bound>();
  readonly #routes = new Map<string, { bound: Bound; at: Micros }>();
  #timer: NodeJS.Timeout | null = null;
  #lookedAt: Micros = 0;
  /** The time that the last look took. */
  #tookUs: Micros = 0;
  #looking: Promise<void> | null = null;
  #closed = false;

  /** `mark`: of what is not a stranger's; null = all is read from one socket. */
  constructor(by: Offload | null, events: SocketEvents, mark: IndexMark | null = null) {
    this.#by = by;
    this.#mark = mark;
    this.#events = events;
  }

  /**
   * Binds one socket per address. Throws SpinesError with the system's code (EADDRINUSE,
   * EADDRNOTAVAIL, EACCES ...).
   */
  async open(addresses: readonly UdpAddress[]): Promise<void> {
    for (const wanted of addresses) {
      const v6 = isIP(wanted.address) === 6,
        all = isWildcard(wanted.address);
      const covered =
        !all &&
        addresses.some(
          (other) =>
            other.port === wanted.port &&
            isWildcard(other.address) &&
            (isIP(other.address) === 6) === v6,
        );
      if (covered) continue;
      const bound = await bindSocket(wanted, this.#by, null, this.#mark);
      this.configured.push(bound);
      (v6 ? this.#v6 : this.#v4).push(bound);
      if (bound.local !== null) this.#byLocal.set(bound.local, bound);
      this.#events.onOpen(bound);
    }
    await this.look();
  }

  *all(): IterableIterator<Bound> {
    yield* this.configured;
    yield* this.#beside.values();
  }

  /** The socket that what is for `to` leaves by; null when there is none of that family. `@hot` */
  of(to: Endpoint): Bound | null {
    const heardBy = to.local === null ? undefined : this.#byLocal.get(to.local);
    if (heardBy !== undefined) return heardBy;
    const family = to.address.includes(':') ? this.#v6 : this.#v4;
    return family.length <= 1 ? (family[0] ?? null) : this.#byRoute(to, family);
  }

  /** A send failed, or a peer is silent, as when the address of a socket has gone. */
  suspect(): void {
    const restUs = Math.max(HURRY_US, this.#tookUs / HURRY_SHARE);
    if (this.#timer === null || stopwatch.now() - this.#lookedAt < restUs) return;
    void this.look();
  }

  /** Opens a socket for each address that has none yet, and closes those whose address has gone. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#looking;
    const all = [...this.all()];
    this.#beside.clear();
    this.#byLocal.clear();
    await Promise.all(all.map((bound) => closed(bound)));
  }

  async #look(): Promise<void> {
    const wildcards = this.configured.filter(
      ({ local, offload }) => local === null && offload !== null,
    );
    if (wildcards.length === 0 || this.#closed) return;
    const began = stopwatch.now();
    for (const wildcard of wildcards) await this.#complete(wildcard);
    this.#lookedAt = stopwatch.now();
    this.#tookUs = this.#lookedAt - began;
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#closed) return;
    this.#timer = setTimeout(
      () => void this.look(),
      Math.max(LOOK_MS, (this.#lookedAt - began) / LOOK_SHARE / 1_000),
    );
    this.#timer.unref();
  }

  async #complete(wildcard: Bound): Promise<void> {
    const { port, family } = wildcard.socket.address();
    const present = new Map(
      localAddresses(family === 'IPv6').map((address) => [
        makeEndpoint(address, port).key,
        address,
      ]),
    );
    for (const [key, bound] of this.#beside) {
      if (bound.beside !== wildcard || present.has(key)) continue;
      this.#events.onClosing(bound);
      this.#beside.delete(key);
      this.#byLocal.delete(key);
      void closed(bound);
    }
    for (const [key, address] of present) {
      if (this.#byLocal.has(key) || this.#beside.size >= LOCAL_SOCKETS_MAX || this.#closed)
        continue;
      try {
        const bound = await bindSocket({ address, port }, this.#by, wildcard, this.#mark);
        this.#beside.set(key, bound);
        this.#byLocal.set(key, bound);
        this.#events.onOpen(bound);
      } catch {
        // It has gone again, or is not to be used yet (IPv6 looks for others that have it first):
        // next time. The wildcard hears meanwhile.
      }
    }
  }

  /**
   * Of several sockets of one family: the wildcard, else the one whose address the system would
   * choose, else the first.
   */
  #byRoute(to: Endpoint, family: readonly Bound[]): Bound {
    const wildcard = family.find(({ local }) => local === null);
    if (wildcard !== undefined) return wildcard;
    const now = stopwatch.now();
    const known = this.#routes.get(to.key);
    if (known !== undefined && now - known.at < ROUTE_US) return known.bound;
    const source = sourceFor(to);
    const bound = family.find(({ socket }) => socket.address().address === source) ?? family[0]!;
    if (this.#routes.size >= ROUTES_MAX) this.#routes.clear();
    this.#routes.set(to.key, { bound, at: now });
    return bound;
  }
}

/**
 * The address that the system would send from; null when there is no way there. Nothing is sent.
 */
function sourceFor({ address, port }: Endpoint): string | null {
  const type = address.includes(':') ? 'udp6' : 'udp4';
  const socket = createSocket({ type, lookup: lookUpNothing(type === 'udp6') });
  socket.on('error', () => {});
  try {
    // With a numeric address Node does all of it at once.
    socket.connect(port, address);
    return socket.address().address;
  } catch {
    return null;
  } finally {
    socket.close();
  }
}

async function closed({ socket, strangers }: Bound): Promise<void> {
  await Promise.all(
    [socket, strangers].map(
      (one) =>
        new Promise<void>((resolve) => {
          try {
            if (one === null) resolve();
            else one.close(() => resolve());
          } catch {
            resolve();
          }
        }),
    ),
  );
}

/**
 * Who of the connected clients has one of the daemon's places, and who is told that there is none.
 *
 * ```
 *   limits.clients places: local programs may take all,
 *                          remote clients all but an eighth, each certificate
 *                          limits.clientsPerCertificate
 *   16 more:               local programs that only ask, when the others are taken;
 *                          the oldest of them gives way
 * ```
 *
 * So that neither remote clients nor forgotten local programs keep the owner from `status`,
 * `reload` and `stop`. Anybody who may open the local doors can say that he only asks: then he has
 * no sockets, and his place is the next one's.
 */

import { ClientRate, type RateLimits } from './client-rate.ts';
import type { ClientAccess, ConnectedClient } from './client.ts';

/** Of limits.clients one in so many is for local programs alone. */
const LOCAL_SHARE = 8;
/** Beyond limits.clients, for local programs that only ask. */
export const ASKING_MAX = 16;
/** Certificates whose account is remembered while they are away. */
const RATES_MAX = 1_024;

export interface PlaceLimits {
  readonly clients: number;
  readonly clientsPerCertificate: number;
}

export class ClientPlaces {
  readonly #limits: () => PlaceLimits;
  readonly #placed = new Set<ConnectedClient>();
  /** By certificate; those in `#placed` that are remote. */
  readonly #remote = new Map<string, Set<ConnectedClient>>();
  #remoteCount = 0;
  /** By certificate, the one that connected longest ago first. */
  readonly #rates = new Map<string, ClientRate>();
  /** Oldest first. */
  readonly #asking = new Set<ConnectedClient>();

  constructor(limits: () => PlaceLimits) {
    this.#limits = limits;
  }

  /** Why there is no place for one that comes this way, for its user; null: there is one. */
  fault({ certificate }: ClientAccess): string | null {
    const { clients, clientsPerCertificate } = this.#limits();
    if (certificate !== null) {
      if ((this.#remote.get(certificate)?.size ?? 0) >= clientsPerCertificate) {
        return (
          `${clientsPerCertificate} clients with the certificate ${certificate} are ` +
          'connected, as many as one may have; end some, or have limits.clientsPerCertificate ' +
          'raised there'
        );
      }
      const forRemote = clients - Math.floor(clients / LOCAL_SHARE);
      if (this.#remoteCount >= forRemote)
        return (
          `${forRemote} remote clients are connected, as many as it takes; end some, or ` +
          'have limits.clients raised there'
        );
    }
    if (this.#placed.size < clients) return null;
    // Not `spines reload`: that is a client, too.
    return (
      `${clients} clients are connected, as many as it takes; end some, or raise ` +
      'limits.clients in its config and send it SIGHUP'
    );
  }

  /** Gives `port` a place; or why there is none, for its user. */
  take(port: ConnectedClient): string | null {
    const { certificate } = port.access;
    const fault = this.fault(port.access);
    if (fault === null) {
      this.#placed.add(port);
      if (certificate === null) return null;
      this.#remoteCount += 1;
      const same = this.#remote.get(certificate);
      if (same === undefined) this.#remote.set(certificate, new Set([port]));
      else same.add(port);
      return null;
    }
    if (!port.asksOnly || certificate !== null) return fault;
    this.#asking.add(port);
    if (this.#asking.size > ASKING_MAX) {
      const [oldest] = this.#asking;
      oldest!.dismiss('another program asks, and all other places are taken; try again', 'EMFILE');
    }
    return null;
  }

  /** It is gone, whether it had a place or not. */
  give(port: ConnectedClient): void {
    this.#asking.delete(port);
    if (!this.#placed.delete(port)) return;
    const { certificate } = port.access;
    if (certificate === null) return;
    this.#remoteCount -= 1;
    const same = this.#remote.get(certificate)!;
    same.delete(port);
    if (same.size === 0) this.#remote.delete(certificate);
  }

  /**
   * How much a client with `certificate` may send: one account, however often it connects, and also
   * when it comes again.
   */
  rateOf(certificate: string | null, limits: RateLimits): ClientRate {
    if (certificate === null) return new ClientRate(limits);
    const rate = this.#rates.get(certificate) ?? new ClientRate(limits);
    this.#rates.delete(certificate);
    this.#rates.set(certificate, rate);
    if (this.#rates.size > RATES_MAX) this.#rates.delete(this.#rates.keys().next().value!);
    return rate;
  }

  /**
   * Sockets of all connections that count as one client with `port`: a certificate is one, however
   * often it connects.
   */
  socketsOf(port: ConnectedClient): number {
    const { certificate } = port.access;
    if (certificate === null) return port.sockets;
    let sockets = 0;
    for (const each of this.#remote.get(certificate) ?? [port]) sockets += each.sockets;
    return sockets;
  }
}

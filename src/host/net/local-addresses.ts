/**
 * The addresses of this machine, for sockets that answer from the address that was asked.
 *
 * Node does not tell which address a datagram was sent to, so a wildcard is completed by a socket
 * for each address (udp.ts). Which there are changes as long as the machine runs.
 */

import { networkInterfaces } from 'node:os';
import { isIP } from 'node:net';

/**
 * Sockets for addresses of this machine, beside those of the configuration. What has more answers
 * from where the route leads.
 */
export const LOCAL_SOCKETS_MAX = 64;

/**
 * Numeric, of one family, in the system's order; a link-local address of IPv6 with its interface.
 */
export function localAddresses(v6: boolean): string[] {
  const out: string[] = [];
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    for (const { address, family } of addresses ?? []) {
      if ((family === 'IPv6') !== v6) continue;
      out.push(
        address.toLowerCase().startsWith('fe80:') && !address.includes('%')
          ? `${address}%${name}`
          : address,
      );
    }
  }
  return [...new Set(out)];
}

/** Whether `address` stands for all addresses of its family. */
export function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || (isIP(address) === 6 && /^[0:]+$/.test(address));
}

/** The scope of an IPv6 address behind its '%', 0 = none: a number, or the name of an interface. */
export function scopeOf(address: string): number {
  const zone = address.split('%')[1];
  if (zone === undefined) return 0;
  if (/^\d+$/.test(zone)) return Number(zone);
  const found = (networkInterfaces()[zone] ?? []).find(
    (one) => one.family === 'IPv6' && one.scopeid > 0,
  );
  return found?.family === 'IPv6' ? found.scopeid : 0;
}

/**
 * Host and port of a tunnel: their one canonical form, and the list of those that `spines expose`
 * lets through.
 *
 * Pure. Invariant: what is compared is canonical (names in lower case without a final dot, IPv6 as
 * in RFC 5952), and what has another form than the operator wrote is another host: 127.1 is not
 * 127.0.0.1, and a name is not its address.
 */

import { isIPv6 } from 'node:net';

export interface Target {
  /** Name, IPv4 or IPv6 address without brackets. */
  readonly host: string;
  /** 1..65535. */
  readonly port: number;
}

/** DNS allows 253 characters. */
export const HOST_BYTES_MAX = 253;
const NAME = /^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/;

/** The canonical form of a host, or null when `text` can be none. */
export function canonicalHost(text: string): string | null {
  if (text.length > HOST_BYTES_MAX + 1) return null;
  // The URL parser writes IPv6 addresses in the form of RFC 5952. A zone ("%eth0") is the other
  // machine's business.
  if (isIPv6(text))
    return text.includes('%') ? null : new URL(`http://[${text}]`).hostname.slice(1, -1);
  const name = text.toLowerCase().replace(/\.$/, '');
  return name.length <= HOST_BYTES_MAX && NAME.test(name) ? name : null;
}

/** "HOST:PORT" or "[IPV6]:PORT", or null. */
export function parseTarget(text: string): Target | null {
  const parts = split(text);
  if (parts === null) return null;
  const host = canonicalHost(parts.host);
  const port = portOf(parts.port);
  return host === null || port === null ? null : { host, port };
}

export function formatTarget({ host, port }: Target): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** One thing the operator allowed; null stands for any. */
export interface Allowed {
  readonly host: string | null;
  readonly port: number | null;
}

/** "HOST:PORT", "HOST:*", "*:PORT" or "*:*"; else null. */
export function parseAllowed(text: string): Allowed | null {
  const parts = split(text);
  if (parts === null) return null;
  const host = parts.host === '*' ? null : canonicalHost(parts.host);
  const port = parts.port === '*' ? null : portOf(parts.port);
  if ((host === null && parts.host !== '*') || (port === null && parts.port !== '*')) return null;
  return { host, port };
}

/** `target` must be canonical, as decoded requests are. */
export function isAllowed(allowed: readonly Allowed[], target: Target): boolean {
  return allowed.some(
    ({ host, port }) =>
      (host === null || host === target.host) && (port === null || port === target.port),
  );
}

function split(text: string): { host: string; port: string } | null {
  const match = /^(?:\[([^\][]+)\]|([^:\s[\]]+)):(\d{1,5}|\*)$/.exec(text);
  if (match === null || (match[1] !== undefined && !isIPv6(match[1]))) return null;
  return { host: match[1] ?? match[2]!, port: match[3]! };
}

function portOf(text: string): number | null {
  const port = Number(text);
  return Number.isInteger(port) && port >= 1 && port <= 65_535 ? port : null;
}

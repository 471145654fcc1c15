/**
 * Fields of the config file: what a text or number in it may be, and the words for what it may not.
 *
 * One schema for each kind of value, shared by all keys of that kind; keys and their bounds are
 * config-file.ts's. Pure. A field either has its value or one issue that says what was expected and
 * what was found.
 */

import { isIP } from 'node:net';
import { z } from 'zod';

import { isNodeId, isNodeName, parseNodeId, type NodeId } from '../../core/base/ids.ts';
import { isExchangeKey } from '../../core/crypto/keys.ts';
import { parseDuration, parsePercent, parseSize } from '../../text/units.ts';
import { MILLISECOND, SECOND, type Micros } from '../../core/base/time.ts';
import { show } from './config-places.ts';
import { isGroup } from '../doors/socket-group.ts';
import { isHostName, UNRESOLVED } from '../../core/node/config.ts';

/** A numeric UDP or TCP address, canonical. */
export interface SocketAddress {
  readonly address: string;
  /** 1..65535. */
  readonly port: number;
  /** Written in place of the address, which is looked up. */
  readonly host?: string;
}

/**
 * "192.0.2.1:8100" or "[2001:db8::1]:8100" with a numeric address; else null. IPv6 comes out in its
 * canonical form.
 */
export function parseSocketAddress(text: string): SocketAddress | null {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || !(port >= 1 && port <= 65_535)) return null;
  const v6 = match[1];
  if (v6 === undefined) return isIP(match[2]!) === 4 ? { address: match[2]!, port } : null;
  // The URL parser writes IPv6 addresses in the form of RFC 5952.
  return isIP(v6) === 6 ? { address: new URL(`http://[${v6}]`).hostname.slice(1, -1), port } : null;
}

/** The same, or "rome.example:8100": a name that is to be looked up. */
export function parsePeerAddress(text: string): SocketAddress | null {
  const numeric = parseSocketAddress(text);
  if (numeric !== null) return numeric;
  const [, host = '', digits = ''] = /^([^:]+):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  return isHostName(host) && port >= 1 && port <= 65_535
    ? { address: UNRESOLVED, port, host }
    : null;
}

export function formatSocketAddress({ address, port, host }: SocketAddress): string {
  if (host !== undefined) return `${host}:${port}`;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

export function isLoopback(address: string): boolean {
  return address === '::1' || /^127\./.test(address);
}

function isAny(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}

export function strict<S extends z.core.$ZodShape>(shape: S) {
  // The message of an unknown-key issue is the list of valid keys; toFaults makes it a sentence.
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys' ? Object.keys(shape).join(' ') : undefined,
  });
}

/**
 * A scalar whose parser returns null for what it refuses; `refuse` says why where the general
 * sentence would not help.
 */
export function scalar<T>(
  wanted: string,
  parse: (value: unknown, refuse: (why: string) => null) => T | null,
) {
  return z.any().transform((value, context): T => {
    let why = value === undefined ? 'is missing' : `expected ${wanted}, found ${show(value)}`;
    const parsed =
      value === undefined
        ? null
        : parse(value, (reason) => {
            why = reason;
            return null;
          });
    if (parsed !== null) return parsed;
    context.addIssue({ code: 'custom', message: why });
    return z.NEVER;
  });
}

export const truth = scalar('true or false', (v) => (typeof v === 'boolean' ? v : null));
export const duration = scalar('a duration such as 150ms or 60s', (v) => parseDuration(v));
export const durationOrOff = scalar('a duration such as 15s, or off', (v) =>
  v === 'off' ? 0 : parseDuration(v) || null,
);
export const whole = (min: number, max: number) =>
  scalar(`a whole number in ${min}..${max}`, (v) =>
    Number.isInteger(v) && (v as number) >= min && (v as number) <= max ? (v as number) : null,
  );
export const bytes = (min: number, max: number) =>
  scalar(`a size such as 512KiB, at least ${min} bytes`, (v) => {
    const size = parseSize(v);
    return size !== null && size >= min && size <= max ? size : null;
  });
export const oneOf = <T extends string>(words: readonly T[]) =>
  scalar(words.join(' | '), (v) => words.find((word) => word === v) ?? null);
export const quad = scalar('a dotted quad from 0.0.0.1 to 223.255.255.255', (v): NodeId | null => {
  const id = typeof v === 'string' ? parseNodeId(v) : null;
  return id !== null && isNodeId(id) ? id : null;
});
export const name = scalar('a name of 1-63 letters, digits, "-", "_" or "."', (v) => {
  const text = typeof v === 'number' ? String(v) : v;
  return typeof text === 'string' && (text === '' || isNodeName(text)) ? text : null;
});
const CLASSES: ReadonlyMap<string, number> = new Map([
  ...Array.from({ length: 8 }, (_, i): [string, number] => [`cs${i}`, 8 * i]),
  ...[1, 2, 3, 4].flatMap((i) =>
    [1, 2, 3].map((j): [string, number] => [`af${i}${j}`, 8 * i + 2 * j]),
  ),
  ['ef', 46],
  ['le', 1],
]);
/** A code point of RFC 2474, by its number or its name (RFCs 2597, 3246, 8622). */
export const dscp = scalar('a number in 0..63, or ef, le, cs0 to cs7, af11 to af43', (v) =>
  Number.isInteger(v) && (v as number) >= 0 && (v as number) <= 63
    ? (v as number)
    : (CLASSES.get(String(v)) ?? null),
);
/** Of a node: its name, or its id. */
export const neighbourName = scalar('the name or the dotted quad of a node', (v) =>
  typeof v === 'string' && (isNodeName(v) || parseNodeId(v) !== null) ? v : null,
);
export const listenAddress = scalar(
  'a numeric "address:port" such as "0.0.0.0:8100" or "[::]:8100"',
  (v) => (typeof v === 'string' ? parseSocketAddress(v) : null),
);
const ZONE = /^\[[0-9A-Fa-f:.]+%[^\]]*\]:\d+$/;
/** Of a neighbour, which may have a name. */
export const neighbourAddress = scalar(
  'an "address:port" such as "192.0.2.7:8100", "[2001:db8::7]:8100" or "rome.example:8100"',
  (v, refuse) => {
    const parsed = typeof v === 'string' ? parsePeerAddress(v) : null;
    if (parsed === null)
      return ZONE.test(String(v))
        ? refuse(
            `${String(v)} has a zone, which datagrams cannot name here; write an address that ` +
              'the machine has beside the one that begins with fe80, such as fd00::1',
          )
        : null;
    return parsed.host === undefined && isAny(parsed.address)
      ? refuse(`${parsed.address} is no address to send to; write the neighbour's own`)
      : parsed;
  },
);
/** Of an emulated wire. */
export const peerAddress = scalar(
  'a numeric "address:port" such as "192.0.2.7:8100" or "[2001:db8::7]:8100"',
  (v, refuse) => {
    const parsed = typeof v === 'string' ? parseSocketAddress(v) : null;
    if (parsed === null) return null;
    return isAny(parsed.address)
      ? refuse(`${parsed.address} is no address to send to; write the neighbour's own`)
      : parsed;
  },
);
const loopback = (instead: string) =>
  scalar('a loopback "address:port" such as "127.0.0.1:8100"', (v, refuse) => {
    const parsed = typeof v === 'string' ? parseSocketAddress(v) : null;
    if (parsed === null) return null;
    return isLoopback(parsed.address)
      ? parsed
      : refuse(`${parsed.address} is not a loopback address; ${instead}`);
  });
export const loopbackAddress = loopback(
  'over a network the token could be read, so use client.remote there (127.0.0.1 or [::1] here)',
);
export const httpAddress = loopback(
  'over a network anybody could read what is said there, so let a proxy with TLS, or a tunnel, ' +
    'lead to 127.0.0.1 or [::1]',
);
export const remoteAddress = scalar(
  'a numeric "address:port" such as "0.0.0.0:8101", or null',
  (v): { at: SocketAddress | null } | null => {
    if (v === null) return { at: null };
    const at = typeof v === 'string' ? parseSocketAddress(v) : null;
    return at === null ? null : { at };
  },
);
export const group = scalar(
  'the name or number of a group, or null',
  (v): { name: string | null } | null => {
    if (v === null) return { name: null };
    const text = typeof v === 'number' ? String(v) : v;
    return typeof text === 'string' && isGroup(text) ? { name: text } : null;
  },
);
export const socketPath = scalar('a path, or null', (v): { path: string | null } | null => {
  if (v === null) return { path: null };
  return typeof v === 'string' && v !== '' && !v.includes('\0') ? { path: v } : null;
});

/** As a number, 0o600 for one. */
export const socketMode = scalar('a mode "0600", "0660" or "0666"', (v) =>
  /^0?6[06][06]$/.test(String(v)) && typeof v !== 'boolean' ? parseInt(String(v), 8) : null,
);

export const path = scalar('the path of a file', (v) =>
  typeof v === 'string' && v !== '' && !v.includes('\0') ? v : null,
);
export const exchangeKey = scalar(
  "an X25519 key, 64 hexadecimal digits (`spines keys show` of the peer's certificate: exchange " +
    'key)',
  (v, refuse) => {
    if (typeof v !== 'string' || !/^[0-9a-fA-F]{64}$/.test(v)) return null;
    const key = Uint8Array.from(v.match(/../g)!, (digits) => parseInt(digits, 16));
    return isExchangeKey(key)
      ? key
      : refuse("is a weak key; copy it again from `spines keys show` of the peer's certificate");
  },
);

export const share = scalar('a percentage such as 5%, above 0% and at most 100%', (v) => {
  const percent = typeof v === 'string' && v.includes('%') ? parsePercent(v) : null;
  return percent !== null && percent > 0 ? percent / 100 : null;
});

/** Of a limit that may be off. */
export function limitText(us: Micros): string {
  return us === 0 ? 'off' : durationText(us);
}

/** The largest unit that holds `us` as a whole number. */
export function durationText(us: Micros): string {
  if (us % SECOND === 0 && us > 0) return `${us / SECOND}s`;
  return us % MILLISECOND === 0 ? `${us / MILLISECOND}ms` : `${us}us`;
}

/** A rate of 0..1 as a percentage without a rounding error. */
export function percentText(rate: number): string {
  return `${Number((rate * 100).toPrecision(12))}%`;
}

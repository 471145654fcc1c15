/**
 * SOCKS5 as a proxy speaks it (RFC 1928): no authentication, CONNECT and UDP ASSOCIATE.
 *
 * Owns the conversation up to the point where data flows. Used by socks.ts. Invariant: nothing is
 * read beyond the request.
 */

import type { Duplex } from 'node:stream';

import { readExactly } from './tunnel-header.ts';
import { canonicalHost, type Target } from '../../host/tunnel-target.ts';
import { encodeTarget } from '../../host/tunnel/udp-message.ts';

const VERSION = 5;
const METHOD_NONE = 0x00;
const METHOD_REFUSED = 0xff;
const COMMAND_CONNECT = 1;
const COMMAND_ASSOCIATE = 3;
const ADDRESS_IPV4 = 1;
const ADDRESS_NAME = 3;
const ADDRESS_IPV6 = 4;

/** RFC 1928, section 6. */
export const REPLY = {
  ok: 0,
  failure: 1,
  notAllowed: 2,
  networkUnreachable: 3,
  hostUnreachable: 4,
  refused: 5,
  timedOut: 6,
  commandUnknown: 7,
  addressUnknown: 8,
} as const;
export type ReplyName = keyof typeof REPLY;

/** What the client did wrong; it has been answered where RFC 1928 has an answer. */
export class SocksError extends Error {
  override readonly name = 'SocksError';
  readonly code = 'EPROTO';
}

export type SocksRequest =
  | { readonly command: 'connect'; readonly target: Target; readonly bytes: number }
  /** `port`: from which the client will send, 0 where it does not say. */
  | { readonly command: 'associate'; readonly port: number; readonly bytes: number };

/**
 * What the client asks for, and how many bytes it used to say so. Throws SocksError, or what
 * `readExactly` throws.
 */
export async function readSocksRequest(client: Duplex, timeoutMs: number): Promise<SocksRequest> {
  let bytes = 0;
  const read = async (count: number): Promise<Buffer> => {
    bytes += count;
    return readExactly(client, count, timeoutMs);
  };
  const greeting = await read(2);
  if (greeting[0] !== VERSION)
    throw new SocksError(`the client does not speak SOCKS5 (its first byte is ${greeting[0]})`);
  const methods = greeting[1] === 0 ? Buffer.alloc(0) : await read(greeting[1]!);
  if (!methods.includes(METHOD_NONE)) {
    client.end(Buffer.from([VERSION, METHOD_REFUSED]));
    throw new SocksError('the client insists on a user name, and there is none here');
  }
  client.write(Buffer.from([VERSION, METHOD_NONE]));
  const head = await read(4);
  if (head[0] !== VERSION || head[2] !== 0)
    throw refuse(client, 'failure', 'the request is malformed');
  const host = await readHost(head[3]!, read);
  if (host === undefined)
    throw refuse(client, 'addressUnknown', `address type ${head[3]} is not known`);
  const port = (await read(2)).readUInt16BE(0);
  // The address is not asked: it is that of the connection, whatever the client takes it for.
  if (head[1] === COMMAND_ASSOCIATE) return { command: 'associate', port, bytes };
  if (head[1] !== COMMAND_CONNECT)
    throw refuse(client, 'commandUnknown', `command ${head[1]} is not CONNECT or UDP ASSOCIATE`);
  const canonical = canonicalHost(host);
  if (canonical === null || port === 0)
    throw refuse(client, 'hostUnreachable', 'the host is no name and no address, or the port is 0');
  return { command: 'connect', target: { host: canonical, port }, bytes };
}

/**
 * Tells the client that data may flow. The bound address of a stream is not ours to know: zeros, as
 * RFC 1928 permits for names. `bound`: of an association, numeric.
 */
export function writeSocksReply(client: Duplex, name: ReplyName, bound?: Target): void {
  client.write(
    bound === undefined
      ? reply(name)
      : Buffer.concat([Buffer.from([VERSION, REPLY[name], 0]), encodeTarget(bound)]),
  );
}

/** Tells the client why not, and ends. */
export function endSocks(client: Duplex, name: ReplyName): void {
  if (!client.destroyed && !client.writableEnded) client.end(reply(name));
}

function refuse(client: Duplex, name: ReplyName, why: string): SocksError {
  endSocks(client, name);
  return new SocksError(why);
}

function reply(name: ReplyName): Buffer {
  return Buffer.from([VERSION, REPLY[name], 0, ADDRESS_IPV4, 0, 0, 0, 0, 0, 0]);
}

/** Undefined for an unknown type. */
async function readHost(
  type: number,
  read: (count: number) => Promise<Buffer>,
): Promise<string | undefined> {
  switch (type) {
    case ADDRESS_IPV4:
      return (await read(4)).join('.');
    case ADDRESS_IPV6: {
      const address = await read(16);
      return Array.from({ length: 8 }, (_, i) => address.readUInt16BE(2 * i).toString(16)).join(
        ':',
      );
    }
    case ADDRESS_NAME: {
      const [length] = await read(1);
      return length === 0 ? '' : (await read(length!)).toString('latin1');
    }
    default:
      return undefined;
  }
}

/**
 * The head of a datagram between a SOCKS5 client and its proxy (RFC 1928, section 7).
 *
 *   reserved u16 = 0, fragment u8 = 0, target as in udp-message.ts, payload
 *
 * Pure codec. A datagram that is a fragment is dropped, as the RFC lets a proxy that does not put
 * them together. Used by udp-associations.ts.
 */

import { targetBytes } from './udp-message.ts';

const FIXED_BYTES = 3;

export type SocksDatagram =
  | { readonly targetAt: number; readonly payloadAt: number }
  | 'fragment'
  | 'malformed';

export function decodeSocksDatagram(bytes: Uint8Array): SocksDatagram {
  if (bytes.length <= FIXED_BYTES || bytes[0] !== 0 || bytes[1] !== 0) return 'malformed';
  if (bytes[2] !== 0) return 'fragment';
  const target = targetBytes(bytes, FIXED_BYTES);
  return target < 0 ? 'malformed' : { targetAt: FIXED_BYTES, payloadAt: FIXED_BYTES + target };
}

/** What stands before the payload; `from`: as `encodeTarget` writes it. */
export function encodeSocksHead(from: Uint8Array): Buffer {
  return Buffer.concat([Buffer.alloc(FIXED_BYTES), from]);
}

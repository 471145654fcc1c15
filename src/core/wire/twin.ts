/**
 * TWIN: a neighbour tells a daemon that another one, somewhere else, runs with its identity.
 * WIRE.md section 3.
 *
 * Alone in its datagram: a release that does not know it loses nothing else. It is news, not an
 * order.
 */

import { getU16, getU48, putU16, putU48 } from '../base/bytes.ts';
import { ADDRESS_BYTES, addressAt, putAddress } from '../base/ip-address.ts';

const INSTANCE = 0,
  STARTED = 6,
  ADDRESS = 12,
  PORT = ADDRESS + ADDRESS_BYTES;
export const TWIN_BODY_BYTES = PORT + 2;
export const TWIN_LAYOUT = {
  instance: [INSTANCE, 6],
  started: [STARTED, 6],
  address: [ADDRESS, ADDRESS_BYTES],
  port: [PORT, 2],
} as const;

export interface TwinNews {
  /** Of the other daemon's run, as in its handshakes. */
  readonly instance: number;
  readonly started: number;
  /** Where the neighbour heard it, "address:port". */
  readonly at: string;
}

/** Writes the body at `at`; `address` is numeric, else the frame says 0. */
export function encodeTwin(
  run: { readonly instance: number; readonly started: number },
  endpoint: { readonly address: string; readonly port: number },
  b: Uint8Array,
  at: number,
): void {
  b.fill(0, at, at + TWIN_BODY_BYTES);
  putU48(b, at + INSTANCE, run.instance);
  putU48(b, at + STARTED, run.started);
  if (putAddress(b, at + ADDRESS, endpoint.address)) putU16(b, at + PORT, endpoint.port);
}

/** The news in `b[start..end)`, null when it is malformed. */
export function decodeTwin(b: Uint8Array, start: number, end: number): TwinNews | null {
  if (end - start !== TWIN_BODY_BYTES) return null;
  const port = getU16(b, start + PORT),
    nowhere = b.subarray(start + ADDRESS, start + PORT).every((byte) => byte === 0);
  if (nowhere !== (port === 0)) return null;
  const address = addressAt(b, start + ADDRESS);
  return {
    instance: getU48(b, start + INSTANCE),
    started: getU48(b, start + STARTED),
    at: nowhere ? '' : address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`,
  };
}

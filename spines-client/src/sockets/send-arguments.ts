/**
 * The argument forms of dgram's `send`, read the way node:dgram reads them. Throws what node:dgram
 * throws.
 */

import { isLocalHost } from '../address.ts';
import { rangeError, received, stateError, typeError } from '../errors.ts';

export type SendCallback = (error: Error | null, bytes?: number) => void;
export type MessagePart = string | NodeJS.ArrayBufferView;

export interface SendArguments {
  parts: readonly Uint8Array[];
  bytes: number;
  /** 0 when the socket is connected. */
  port: number;
  /** undefined: the local node, or the connected peer. */
  address: string | undefined;
  callback: SendCallback | undefined;
}

/**
 * Not connected: (msg, [offset, length,] port, [address,] [callback]).
 * Connected: (msg, [offset, length,] [callback]).
 */
export function readSendArguments(connected: boolean, args: readonly unknown[]): SendArguments {
  let [message, offset, length, port, address, callback] = args;
  let sliced = false;
  if (!connected) {
    if (
      (address !== undefined && address !== null) ||
      (port !== undefined && port !== null && typeof port !== 'function')
    )
      sliced = true;
    else [port, address, callback] = [offset, length, port];
  } else if (typeof length === 'number') {
    sliced = true;
    if (typeof port === 'function') callback = port;
    else if (port !== undefined || address !== undefined)
      throw stateError('ERR_SOCKET_DGRAM_IS_CONNECTED', 'Already connected');
    address = undefined;
  } else {
    if (typeof offset === 'number')
      throw stateError('ERR_SOCKET_DGRAM_IS_CONNECTED', 'Already connected');
    callback = offset;
    address = undefined;
  }
  const parts = sliced ? [slice(message, offset, length)] : list(message);
  if (typeof address === 'function') {
    callback = address;
    address = undefined;
  } else if (address !== undefined && address !== null && typeof address !== 'string') {
    throw typeError('address', 'of type string', address);
  }
  let bytes = 0;
  for (const part of parts) bytes += part.length;
  return {
    parts,
    bytes,
    port: connected ? 0 : checkPort(port, false),
    address: typeof address === 'string' && !isLocalHost(address) ? address : undefined,
    callback: typeof callback === 'function' ? (callback as SendCallback) : undefined,
  };
}

export function checkPort(port: unknown, zeroAllowed: boolean): number {
  const value = typeof port === 'string' && port.trim() !== '' ? Number(port) : port;
  if (
    typeof value !== 'number' ||
    !Number.isInteger(value) ||
    value < (zeroAllowed ? 0 : 1) ||
    value > 65_535
  ) {
    throw rangeError(
      'ERR_SOCKET_BAD_PORT',
      `Port should be ${zeroAllowed ? '>= 0' : '> 0'} and < 65536. ${received(port)}.`,
    );
  }
  return value;
}

function slice(message: unknown, offset: unknown, length: unknown): Uint8Array {
  const bytes = toBytes(message, message);
  const from = Number(offset) >>> 0;
  const count = Number(length) >>> 0;
  if (from > bytes.length)
    throw rangeError('ERR_BUFFER_OUT_OF_BOUNDS', '"offset" is outside of buffer bounds');
  if (from + count > bytes.length)
    throw rangeError('ERR_BUFFER_OUT_OF_BOUNDS', '"length" is outside of buffer bounds');
  return bytes.subarray(from, from + count);
}

function list(message: unknown): Uint8Array[] {
  if (Array.isArray(message)) return message.map((part) => toBytes(part, message));
  return [toBytes(message, message)];
}

function toBytes(part: unknown, given: unknown): Uint8Array {
  if (typeof part === 'string') return Buffer.from(part);
  if (part instanceof Uint8Array) return part;
  if (ArrayBuffer.isView(part))
    return new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
  throw typeError(
    Array.isArray(given) ? 'buffer list arguments' : 'buffer',
    'of type string or an instance of Buffer, TypedArray, or DataView',
    given,
  );
}

/**
 * Big-endian reads and writes on Uint8Array, and small helpers on byte ranges.
 *
 * Callers check lengths before they read: these functions do not. A u48 is exact in a double.
 * `@hot`: no allocation except where a name says so (`copyOf`, `hex`).
 */

export function getU16(b: Uint8Array, at: number): number {
  return (b[at]! << 8) | b[at + 1]!;
}

export function getU32(b: Uint8Array, at: number): number {
  return ((b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!) >>> 0;
}

export function getU48(b: Uint8Array, at: number): number {
  return getU16(b, at) * 0x1_0000_0000 + getU32(b, at + 2);
}

export function putU16(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 8;
  b[at + 1] = value;
}

export function putU32(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 24;
  b[at + 1] = value >>> 16;
  b[at + 2] = value >>> 8;
  b[at + 3] = value;
}

export function putU48(b: Uint8Array, at: number, value: number): void {
  putU16(b, at, Math.floor(value / 0x1_0000_0000));
  putU32(b, at + 2, value >>> 0);
}

/** Copies `from[start..end)` to `to[at..)`. Short ranges go byte by byte: cheaper than a view. */
export function copyBytes(
  from: Uint8Array,
  start: number,
  end: number,
  to: Uint8Array,
  at: number,
): void {
  if (end - start <= 64) {
    for (let i = start; i < end; i += 1) to[at + i - start] = from[i]!;
    return;
  }
  to.set(start === 0 && end === from.length ? from : from.subarray(start, end), at);
}

/**
 * FNV-1a over `b[start..end)`, 32 bits: finds accidental damage to control frames of links that are
 * not sealed. No protection against anybody who means it.
 */
export function checksum(b: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let i = start; i < end; i += 1) hash = Math.imul(hash ^ b[i]!, 0x01000193);
  return hash >>> 0;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i += 1) if (a[i] !== b[i]) return false;
  return true;
}

/** A new array holding `bytes[start..end)`. */
export function copyOf(bytes: Uint8Array, start = 0, end = bytes.length): Uint8Array {
  const out = new Uint8Array(end - start);
  copyBytes(bytes, start, end, out, 0);
  return out;
}

export function hex(bytes: Uint8Array): string {
  let out = '';
  for (let i = 0; i < bytes.length; i += 1) out += BYTE_DIGITS[bytes[i]!]!;
  return out;
}

const BYTE_DIGITS = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** UTF-8 text of `bytes`, or null when it is not valid UTF-8. */
export function utf8Decode(bytes: Uint8Array): string | null {
  try {
    return strictDecoder.decode(bytes);
  } catch {
    return null;
  }
}

export function utf8Encode(text: string): Uint8Array {
  return encoder.encode(text);
}

const strictDecoder = new TextDecoder('utf-8', { fatal: true });
const encoder = new TextEncoder();

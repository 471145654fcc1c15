/**
 * Numeric IP addresses as 16 bytes and back; IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2).
 *
 * For addresses that other daemons are told. Text comes from sockets and is canonical; what it does
 * not understand it leaves out rather than to guess.
 */

export const ADDRESS_BYTES = 16;

/**
 * Writes `text` at `at`; false, and nothing is written, when it is no numeric address without
 * scope.
 */
export function putAddress(b: Uint8Array, at: number, text: string): boolean {
  const bytes = text.includes(':') ? v6(text) : v4(text);
  if (bytes === null) return false;
  b.set(bytes, at);
  return true;
}

/** The address at `at`: dotted quad, or IPv6 with its longest run of zeros left out (RFC 5952). */
export function addressAt(b: Uint8Array, at: number): string {
  const words = Array.from({ length: 8 }, (_, i) => (b[at + 2 * i]! << 8) | b[at + 2 * i + 1]!);
  if (words[5] === 0xffff && words.slice(0, 5).every((word) => word === 0))
    return Array.from(b.subarray(at + 12, at + 16)).join('.');
  let from = -1,
    most = 1;
  for (let i = 0; i < 8; i += 1) {
    let run = 0;
    while (i + run < 8 && words[i + run] === 0) run += 1;
    if (run > most) [from, most] = [i, run];
  }
  const hex = words.map((word) => word.toString(16));
  return from < 0
    ? hex.join(':')
    : `${hex.slice(0, from).join(':')}::${hex.slice(from + most).join(':')}`;
}

function v4(text: string): Uint8Array | null {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256))
    return null;
  const b = new Uint8Array(ADDRESS_BYTES);
  b.fill(0xff, 10, 12);
  parts.forEach((part, i) => {
    b[12 + i] = Number(part);
  });
  return b;
}

function v6(text: string): Uint8Array | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const [head, tail] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const zeros = 8 - head!.length - (tail?.length ?? 0);
  if (tail === undefined ? zeros !== 0 : zeros < 1) return null;
  const words = [...head!, ...Array.from({ length: zeros }, () => '0'), ...(tail ?? [])];
  if (!words.every((word) => /^[0-9a-fA-F]{1,4}$/.test(word))) return null;
  const b = new Uint8Array(ADDRESS_BYTES);
  words.forEach((word, i) => {
    b[2 * i] = parseInt(word, 16) >>> 8;
    b[2 * i + 1] = parseInt(word, 16);
  });
  return b;
}

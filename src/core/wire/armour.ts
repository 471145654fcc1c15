/**
 * The text armour that signed statements and private keys travel in: base64 between two lines that
 * name what it is. WIRE.md section 11.
 *
 * Knows bytes and text only. Decoding never throws, and one content has one text.
 */

const LABELS = [
  'SPINES AUTHORITY',
  'SPINES CERTIFICATE REQUEST',
  'SPINES CERTIFICATE',
  'SPINES REVOCATION LIST',
  'SPINES PRIVATE KEY',
] as const;
/** What stands in the BEGIN and END lines. */
export type ArmourLabel = (typeof LABELS)[number];

const LINE = 64;
/** No armoured statement is longer. */
export const ARMOUR_CHARACTERS_MAX = 65_536;

/** BEGIN line, base64 (RFC 4648, padded) in lines of 64, END line; each ends with one LF. */
export function armour(label: ArmourLabel, bytes: Uint8Array): string {
  const text = base64(bytes);
  let lines = '';
  for (let at = 0; at < text.length; at += LINE) lines += `${text.slice(at, at + LINE)}\n`;
  return `-----BEGIN ${label}-----\n${lines}-----END ${label}-----\n`;
}

/**
 * The label and bytes of `text`, or null when it is not, to the character, what `armour` writes.
 */
export function unarmour(text: string): { label: ArmourLabel; bytes: Uint8Array } | null {
  if (text.length > ARMOUR_CHARACTERS_MAX) return null;
  const match = /^-----BEGIN ([A-Z ]{1,40})-----\n([A-Za-z0-9+/=\n]+)-----END /.exec(text);
  const label = LABELS.find((known) => known === match?.[1]);
  if (match === null || label === undefined) return null;
  const bytes = unbase64(match[2]!.replaceAll('\n', ''));
  return bytes !== null && armour(label, bytes) === text ? { label, bytes } : null;
}

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

function base64(bytes: Uint8Array): string {
  let out = '';
  for (let at = 0; at < bytes.length; at += 3) {
    const three = (bytes[at]! << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    const left = bytes.length - at;
    out +=
      DIGITS[three >>> 18]! +
      DIGITS[(three >>> 12) & 63]! +
      (left > 1 ? DIGITS[(three >>> 6) & 63]! : '=') +
      (left > 2 ? DIGITS[three & 63]! : '=');
  }
  return out;
}

/** Lenient about what the caller's comparison with the one encoding finds. */
function unbase64(text: string): Uint8Array | null {
  const digits = text.replace(/={1,2}$/, '');
  const out = new Uint8Array(Math.floor((digits.length * 3) / 4));
  let held = 0,
    bits = 0,
    at = 0;
  for (const digit of digits) {
    const value = DIGITS.indexOf(digit);
    if (value < 0) return null;
    held = ((held << 6) | value) & 0xffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    out[at] = held >>> bits;
    at += 1;
  }
  return out;
}

/**
 * Text from elsewhere, made harmless for a terminal: names that programs and nodes gave themselves,
 * reasons, paths of files.
 *
 * Owns which characters do something other than to be seen: control characters, whose sequences
 * colour, move and ask; those that turn the direction of what stands around them; and those that
 * nobody sees. Each becomes '?', or an escape where the text is JSON. Called by whatever lays out
 * an answer of a daemon, and by the one place where text leaves the program.
 */

/**
 * C0 without tab and newline, DEL, C1; Arabic letter mark, zero width and direction marks, line
 * separators, embeddings, isolates, byte order mark, tags.
 */
const UNSEEN =
  '\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u2' +
  '069\\ufeff\\ufff9-\\ufffb\\u{e0000}-\\u{e007f}';
const ANY = new RegExp(`[${UNSEEN}]`, 'gu'),
  ANY_OR_BREAK = new RegExp(`[\\t\\n${UNSEEN}]`, 'gu');
/** What `paint` writes. */
const OWN_COLOUR = '\\x1b\\[(?:1|2|22|31|32|33|39)m';
const ANY_BUT_COLOUR = new RegExp(`${OWN_COLOUR}|[${UNSEEN}]`, 'gu'),
  ANY_IN_CELL = new RegExp(`${OWN_COLOUR}|[\\t\\n${UNSEEN}]`, 'gu');

/** One line. */
export function plainText(text: string): string {
  return text.replace(ANY_OR_BREAK, '?');
}

/** Lines, as they leave for a terminal. */
export function plainLines(text: string): string {
  return text.replace(ANY, '?');
}

/** Lines that this program has coloured, of parts that were plain. */
export function plainButColour(text: string): string {
  return text.replace(ANY_BUT_COLOUR, keepColour);
}

/** One cell of a table, likewise. */
export function plainCell(text: string): string {
  return text.replace(ANY_IN_CELL, keepColour);
}

/** A copy of an answer in which every text is plain. */
export function plainAnswer<T>(value: T): T {
  return plainOf(value) as T;
}

/** JSON says the same with escapes. */
export function plainJson(json: string): string {
  return json.replace(ANY, (found) =>
    Array.from(
      { length: found.length },
      (_, i) => `\\u${found.charCodeAt(i).toString(16).padStart(4, '0')}`,
    ).join(''),
  );
}

/** JSON whose texts are plain themselves, for whoever shows them as they are. */
export function plainInJson(json: string): string {
  return plainLines(json).replace(/\\\\|\\u00[0189][0-9a-f]|\\u007f/g, (found) =>
    found === '\\\\' ? found : '?',
  );
}

function keepColour(found: string): string {
  return found.length > 2 ? found : '?';
}

function plainOf(value: unknown): unknown {
  if (typeof value === 'string') return plainText(value);
  if (Array.isArray(value)) return value.map(plainOf);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [plainText(key), plainOf(each)]),
  );
}

/**
 * A YAML text as plain data that remembers where each value stands (file:line:column), for errors
 * that say where.
 *
 * Owns reading and places; which keys there may be, and what an error is called, is the caller's.
 * Pure.
 */

import {
  LineCounter,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  parseDocument,
  type Document,
  type Node,
} from 'yaml';

/** How far aliases may expand. */
const ALIASES_MAX = 100;

/** What people have usually done, by the parser's code. */
const HINTS: Readonly<Record<string, string>> = {
  MULTILINE_IMPLICIT_KEY: 'expected "key: value"; a ":" is missing behind the key',
  BLOCK_AS_IMPLICIT_KEY: 'a text with ": " in it needs quotes, and a map begins on the next line',
  TAB_AS_INDENT: 'a tab; lines are indented with spaces',
  BAD_INDENT: 'this line is not indented as those that it belongs to',
};

function plain(message: string): string {
  return message.split('\n')[0]!.replace(/ at line \d+, column \d+:?$/, '');
}

export class YamlText {
  /** Null or undefined for an empty text, and for one that was refused. */
  readonly data: unknown;
  /** What is wrong with the text itself, a line each with its place; empty: it is YAML. */
  readonly refusals: readonly string[];
  readonly #fileName: string;
  readonly #lines = new LineCounter();
  readonly #document: Document.Parsed | null = null;

  /** `charactersMax`: of the text. Never throws. */
  constructor(text: string, fileName: string, charactersMax: number) {
    this.#fileName = fileName;
    if (text.length > charactersMax) {
      this.refusals = [`${this.at(0)}: longer than ${charactersMax} characters`];
      return;
    }
    let document: Document.Parsed;
    try {
      document = parseDocument(text, {
        lineCounter: this.#lines,
        schema: 'core',
        merge: false,
        logLevel: 'error',
      });
    } catch {
      // The parser is recursive: nesting deep enough exhausts the stack.
      this.refusals = [`${this.at(0)}: not readable as YAML`];
      return;
    }
    const faults = [...document.errors, ...document.warnings];
    if (faults.length > 0) {
      // What is wrong with the first is what the parser stumbles over in all that follows.
      const [first] = document.errors;
      this.refusals = (first === undefined ? faults : [first]).map(
        (fault) => `${this.at(fault.pos[0])}: ${HINTS[fault.code] ?? plain(fault.message)}`,
      );
      return;
    }
    this.#document = document;
    try {
      this.data = document.toJS({ maxAliasCount: ALIASES_MAX });
      this.refusals = [];
    } catch {
      this.refusals = [
        `${this.at(this.offsetOf([], false))}: an alias cannot be resolved, or aliases expand ` +
          'too far',
      ];
    }
  }

  /** "file:line:column" of a character. */
  at(offset: number): string {
    const { line, col } = this.#lines.linePos(offset);
    return `${this.#fileName}:${Math.max(1, line)}:${Math.max(1, col)}`;
  }

  /**
   * Where the value at `path` begins, or the deepest part of the path that the file has. `atKey`:
   * the last key instead of its value.
   */
  offsetOf(path: readonly (string | number)[], atKey: boolean): number {
    let node = this.#resolve(this.#document?.contents ?? null);
    let offset = node?.range?.[0] ?? 0;
    for (const [depth, part] of path.entries()) {
      let next: unknown = null;
      if (isMap(node)) {
        const entry = node.items.find(
          (item) => String(isScalar(item.key) ? item.key.value : item.key) === String(part),
        );
        if (entry === undefined) break;
        next = entry.value;
        const key = entry.key as Node | null;
        // A key without a value has nothing to point at but itself.
        const pointAtKey = (atKey && depth === path.length - 1) || next === null;
        if (pointAtKey && key?.range) return key.range[0];
      } else if (isSeq(node)) {
        next = node.items[Number(part)];
      }
      const place = next as Node | null | undefined;
      if (place === null || place === undefined) break;
      offset = place.range?.[0] ?? offset;
      node = this.#resolve(place);
    }
    return offset;
  }

  #resolve(node: Node | null): Node | null {
    if (!isAlias(node)) return node;
    return this.#document === null ? null : (node.resolve(this.#document) ?? null);
  }
}

/**
 * What is wrong in a config file, in words, and where: YAML text to plain data that remembers the place of each value.
 *
 * Owns the places (file:line:column, or the command-line flag that gave a value) and the words for what the schema refuses; which keys
 * there are is config-file.ts's. Pure.
 */

import { LineCounter, isAlias, isMap, isScalar, isSeq, parseDocument, type Document, type Node } from 'yaml';
import type { z } from 'zod';

import { SpinesError } from '../base/errors.ts';
import { nearest } from '../emulation/topology-schema.ts';

/** Characters of a config file's text. */
const CONFIG_TEXT_MAX = 1_000_000;

/** A command-line flag that stands over a key of the file. */
export interface ConfigOverride {
  /** As typed, for messages: "--id". */
  readonly flag: string;
  readonly path: readonly string[];
  readonly value: unknown;
}

/** One thing wrong: where in the plain data, and what. */
export interface Fault {
  readonly path: readonly (string | number)[];
  readonly message: string;
  /** Point at the last key of `path`, not at its value. */
  readonly atKey?: boolean;
}

/** For zod: words for what it would say itself; undefined = the schema has its own. */
export function describe(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code !== 'invalid_type') return undefined;
  if (issue.input === undefined) return 'is missing';
  const kinds: Readonly<Record<string, string>> = { object: 'a map', record: 'a map', array: 'a list', string: 'text' };
  return `expected ${kinds[issue.expected] ?? issue.expected}, found ${show(issue.input)}`;
}

/** Of one refusal of the schema. */
export function toFaults(issue: z.core.$ZodIssue): Fault[] {
  const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
  if (issue.code === 'custom') return [{ path, message: issue.message, atKey: issue.params?.['atKey'] === true }];
  if (issue.code !== 'unrecognized_keys') return [{ path, message: issue.message }];
  const valid = issue.message.split(' ');
  return issue.keys.map((key) => {
    const suggestion = nearest(key, valid);
    return { path: [...path, key], atKey: true, message: suggestion === null ? `unknown key; valid here: ${valid.join(', ')}` : `unknown key, did you mean ${suggestion}?` };
  });
}

/** A value of the file, short. */
export function show(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  const text = String(value);
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}...` : text);
}

/** A YAML text as plain data, overrides applied, that remembers where each value stands. */
export class YamlPlaces {
  readonly data: unknown;
  readonly #fileName: string;
  readonly #overrides: readonly ConfigOverride[];
  readonly #lines = new LineCounter();
  readonly #document: Document.Parsed | null;

  /** Throws SpinesError 'ECONFIG' for a text that is not YAML. An empty text is an empty map. */
  constructor(text: string, fileName: string, overrides: readonly ConfigOverride[]) {
    this.#fileName = fileName;
    this.#overrides = overrides;
    this.#document = null;
    if (text.length > CONFIG_TEXT_MAX) throw this.error([{ path: [], message: `longer than ${CONFIG_TEXT_MAX} characters` }]);
    let plain: unknown;
    try {
      const document = parseDocument(text, { lineCounter: this.#lines, schema: 'core', merge: false, logLevel: 'error' });
      const faults = [...document.errors, ...document.warnings];
      if (faults.length > 0) {
        throw new SpinesError('ECONFIG', faults.map((fault) => `${this.#at(fault.pos[0])}: ${fault.message.split('\n')[0]!.replace(/ at line \d+, column \d+:?$/, '')}`).join('\n'));
      }
      this.#document = document;
      plain = document.toJS({ maxAliasCount: 100 });
    } catch (error) {
      if (error instanceof SpinesError) throw error;
      // The parser is recursive, and aliases may expand without end.
      throw this.error([{ path: [], message: 'not readable as YAML' }]);
    }
    this.data = overrides.reduce<unknown>((data, { path, value }) => put(data, path, value), plain ?? {});
  }

  /** One error that lists every fault with its place. */
  error(faults: readonly Fault[]): SpinesError {
    const lines = faults.map((fault) => {
      const override = this.#overrides.find(({ path }) => path.every((part, i) => part === String(fault.path[i])));
      const place = override === undefined ? this.#at(this.#offsetOf(fault.path, fault.atKey === true)) : override.flag;
      return `${place}: ${fault.path.length === 0 ? '' : `${fault.path.join('.')}: `}${fault.message}`;
    });
    return new SpinesError('ECONFIG', lines.join('\n'));
  }

  #at(offset: number): string {
    const { line, col } = this.#lines.linePos(offset);
    return `${this.#fileName}:${Math.max(1, line)}:${Math.max(1, col)}`;
  }

  /** Where the value at `path` begins, or the deepest part of the path that the file has. */
  #offsetOf(path: readonly (string | number)[], atKey: boolean): number {
    let node = this.#resolve(this.#document?.contents ?? null);
    let offset = node?.range?.[0] ?? 0;
    for (const [depth, part] of path.entries()) {
      let next: unknown = null;
      if (isMap(node)) {
        const entry = node.items.find((item) => String(isScalar(item.key) ? item.key.value : item.key) === String(part));
        if (entry === undefined) break;
        const key = entry.key as Node | null;
        next = entry.value;
        if (((atKey && depth === path.length - 1) || next === null) && key?.range) return key.range[0];
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

/** A copy of `data` with `value` at `path`; maps on the way come into being, anything else in the way is left to the schema. */
function put(data: unknown, path: readonly string[], value: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  if (data !== undefined && data !== null && (typeof data !== 'object' || Array.isArray(data))) return data;
  const map = (data ?? {}) as Record<string, unknown>;
  return { ...map, [key]: put(map[key], rest, value) };
}

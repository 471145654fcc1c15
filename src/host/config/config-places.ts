/**
 * What is wrong in a config file, in words, and where: in the file, or at the command-line flag
 * that gave a value.
 *
 * Owns the words for what the schema refuses, and flags over keys; which keys there are is
 * config-file.ts's, places in a text are yaml-text.ts's. Pure.
 */

import type { z } from 'zod';

import { SpinesError } from '../../core/base/errors.ts';
import { nearest } from '../../lab/topology/topology-schema.ts';
import { YamlText } from '../../text/yaml-text.ts';

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
  const kinds: Readonly<Record<string, string>> = {
    object: 'a map',
    record: 'a map',
    array: 'a list',
    string: 'text',
  };
  return `expected ${kinds[issue.expected] ?? issue.expected}, found ${show(issue.input)}`;
}

/** Of one refusal of the schema. */
export function toFaults(issue: z.core.$ZodIssue): Fault[] {
  const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
  if (issue.code === 'custom')
    return [{ path, message: issue.message, atKey: issue.params?.['atKey'] === true }];
  if (issue.code !== 'unrecognized_keys') return [{ path, message: issue.message }];
  const valid = issue.message.split(' ');
  return issue.keys.map((key) => {
    const suggestion = nearest(key, valid);
    return {
      path: [...path, key],
      atKey: true,
      message:
        suggestion === null
          ? `unknown key; valid here: ${valid.join(', ')}`
          : `unknown key, did you mean ${suggestion}?`,
    };
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
  readonly #overrides: readonly ConfigOverride[];
  readonly #text: YamlText;

  /** Throws SpinesError 'ECONFIG' for a text that is not YAML. An empty text is an empty map. */
  constructor(text: string, fileName: string, overrides: readonly ConfigOverride[]) {
    this.#overrides = overrides;
    this.#text = new YamlText(text, fileName, CONFIG_TEXT_MAX);
    const { data, refusals } = this.#text;
    if (refusals.length > 0) throw new SpinesError('ECONFIG', refusals.join('\n'));
    this.data = overrides.reduce<unknown>(
      (all, { path, value }) => put(all, path, value),
      data ?? {},
    );
  }

  /** One error that lists every fault with its place. */
  error(faults: readonly Fault[]): SpinesError {
    const lines = faults.map((fault) => {
      const override = this.#overrides.find(({ path }) =>
        path.every((part, i) => part === String(fault.path[i])),
      );
      const place =
        override === undefined
          ? this.#text.at(this.#text.offsetOf(fault.path, fault.atKey === true))
          : override.flag;
      return (
        `${place}: ` +
        `${fault.path.length === 0 ? '' : `${fault.path.join('.')}: `}${fault.message}`
      );
    });
    return new SpinesError('ECONFIG', lines.join('\n'));
  }
}

/**
 * A copy of `data` with `value` at `path`; maps on the way come into being, anything else in the
 * way is left to the schema.
 */
function put(data: unknown, path: readonly string[], value: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  if (data !== undefined && data !== null && (typeof data !== 'object' || Array.isArray(data)))
    return data;
  const map = (data ?? {}) as Record<string, unknown>;
  return { ...map, [key]: put(map[key], rest, value) };
}

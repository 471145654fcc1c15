/**
 * `--set PATH=VALUE`: changes to a topology's plain data before it is validated.
 *
 * Owns the path grammar: keys and list indexes joined by dots; `*` is every element; an element of
 * a list may also be named by its `name`. Called by topology-parse.ts and the command line.
 * Invariant: the data given is never modified, and a path that leads nowhere is an error, not a
 * silent nothing.
 */

import { parseDocument, isScalar } from 'yaml';

import { SpinesError } from '../../core/base/errors.ts';

export interface Override {
  /** As written. */
  readonly text: string;
  readonly path: readonly string[];
  readonly value: string | number | boolean | null;
}

/** Parses "links.0.loss=5%". Throws SpinesError 'ETOPOLOGY'. */
export function parseOverride(text: string): Override {
  const equals = text.indexOf('=');
  if (equals <= 0) throw refused(text, 'expected PATH=VALUE, as in links.0.loss=5%');
  const path = text.slice(0, equals).trim().split('.');
  if (path.some((part) => part === '' || part === '__proto__'))
    throw refused(text, 'the path has an empty or impossible part');
  const document = parseYaml(text.slice(equals + 1), text);
  if (document.errors.length > 0 || (document.contents !== null && !isScalar(document.contents))) {
    throw refused(text, 'the value must be a single text, number, true, false or null');
  }
  const value: unknown = document.contents === null ? null : document.contents.value;
  if (
    value !== null &&
    typeof value !== 'string' &&
    typeof value !== 'number' &&
    typeof value !== 'boolean'
  ) {
    throw refused(text, 'the value must be a single text, number, true, false or null');
  }
  return { text, path, value };
}

/**
 * A topology's data with the overrides applied in order. `source`: YAML text or the plain data it
 * gave. Keys that are absent are added (the validation judges them), the value null takes a key
 * away; list elements must exist. Throws SpinesError 'ETOPOLOGY'.
 */
export function applyOverrides(
  source: unknown,
  overrides: readonly (string | Override)[],
): unknown {
  let data = typeof source === 'string' ? plainData(source) : source;
  for (const given of overrides) {
    const override = typeof given === 'string' ? parseOverride(given) : given;
    data = put(data, override, 0);
  }
  return data;
}

function put(at: unknown, override: Override, depth: number): unknown {
  const key = override.path[depth];
  if (key === undefined) return override.value;
  const here = depth === 0 ? 'the file' : override.path.slice(0, depth).join('.');
  if (Array.isArray(at)) {
    const hits = matches(at, key);
    if (hits.size === 0) {
      throw refused(
        override.text,
        key === '*'
          ? `${here} is an empty list`
          : `${here} has no element ${key} (it has ${at.length}, counted from 0)`,
      );
    }
    return at.map((element: unknown, i) =>
      hits.has(i) ? put(element, override, depth + 1) : element,
    );
  }
  // A section that is absent or empty comes into being on the way to a key in it.
  const empty = at === undefined || at === null;
  if (!empty && typeof at !== 'object')
    throw refused(override.text, `${here} is a single value, there is nothing below it`);
  if (empty && /^(\*|[0-9]+)$/.test(key)) throw refused(override.text, `there is no ${here}`);
  const map: Record<string, unknown> = empty ? {} : { ...(at as Record<string, unknown>) };
  const keys = key === '*' ? Object.keys(map) : [key];
  if (keys.length === 0) throw refused(override.text, `${here} is empty`);
  for (const k of keys) {
    const value = put(Object.hasOwn(map, k) ? map[k] : undefined, override, depth + 1);
    if (value === null && depth === override.path.length - 1) delete map[k];
    else map[k] = value;
  }
  return map;
}

function matches(list: readonly unknown[], key: string): Set<number> {
  const hits = new Set<number>();
  list.forEach((element, i) => {
    const name: unknown =
      typeof element === 'object' && element !== null && Object.hasOwn(element, 'name')
        ? (element as { name: unknown }).name
        : element;
    if (key === '*' || key === String(i) || (!/^[0-9]+$/.test(key) && name === key)) hits.add(i);
  });
  return hits;
}

function plainData(text: string): unknown {
  const document = parseYaml(text, 'the file');
  const first = document.errors[0];
  if (first !== undefined) throw new SpinesError('ETOPOLOGY', first.message.split('\n')[0]!);
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch {
    throw new SpinesError('ETOPOLOGY', 'the file has an alias that cannot be resolved');
  }
}

function parseYaml(text: string, what: string) {
  try {
    return parseDocument(text, { schema: 'core', merge: false, logLevel: 'error' });
  } catch {
    // The parser is recursive: nesting deep enough exhausts the stack.
    throw refused(what, 'not readable as YAML');
  }
}

function refused(text: string, why: string): SpinesError {
  return new SpinesError('ETOPOLOGY', `--set ${text}: ${why}`);
}

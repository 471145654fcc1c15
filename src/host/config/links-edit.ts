/**
 * One entry more, or less, in the `links` of a config file, and not a byte of the rest changed.
 *
 * Pure: text in, text out. Writes into the text itself, as libraries that write YAML again move
 * comments and fold lines; then reads the outcome and compares: it says what the file said, with
 * that entry more or less, or the edit is refused.
 */

import { isDeepStrictEqual } from 'node:util';
import {
  isCollection,
  isMap,
  isPair,
  isSeq,
  parseDocument,
  type Document,
  type Node,
  type YAMLSeq,
} from 'yaml';

import { SpinesError } from '../../core/base/errors.ts';

/** As the config file is read. */
const ALIASES_MAX = 100;

/** What an entry says, in the order in which it is written. */
export type LinkEntry = Readonly<Record<string, string>>;

/** The file with `entry` behind its other links. Throws SpinesError ECONFIG. */
export function withLink(text: string, entry: LinkEntry): string {
  const { seq, data } = linksOf(text);
  const written = entryText(entry);
  const added = seq === null ? appended(text, data, written) : behindLast(text, seq, written);
  return sound(text, added, (links) => [...links, { ...entry }], written);
}

/** The file without link `index`, from 0. Throws SpinesError ECONFIG. */
export function withoutLink(text: string, index: number): string {
  const { seq } = linksOf(text);
  const item = seq?.items[index] as Node | undefined;
  if (seq == null || item === undefined) throw refused('there is no such entry');
  const edited = seq.flow === true ? withoutFlow(text, seq, index) : withoutBlock(text, seq, item);
  return sound(text, edited, (links) => links.filter((_link, i) => i !== index), null);
}

/** Entries of the file as they are written; none is an empty list. */
export function entriesOf(text: string): readonly unknown[] {
  return (linksOf(text).data['links'] as readonly unknown[] | null) ?? [];
}

function linksOf(text: string): { seq: YAMLSeq | null; data: Record<string, unknown> } {
  const document = parseDocument(text, { schema: 'core', merge: false, logLevel: 'error' });
  const data = document.errors.length > 0 ? null : plainOf(document);
  if (typeof data !== 'object' || data === null || Array.isArray(data))
    throw refused('it is no map of YAML');
  const links = isMap(document.contents) ? document.contents.get('links', true) : null;
  if (links != null && !isSeq(links) && (data as { links?: unknown }).links != null)
    throw refused('its `links` are no list, or stand elsewhere');
  return { seq: isSeq(links) ? links : null, data: data as Record<string, unknown> };
}

/** Null: it has aliases that lead nowhere, or too far. */
function plainOf(document: Document): unknown {
  try {
    return document.toJS({ maxAliasCount: ALIASES_MAX }) ?? {};
  } catch {
    return null;
  }
}

/** `{ address: "192.0.2.1:8100", node: 10.0.0.2 }` */
function entryText(entry: LinkEntry): string {
  const parts = Object.entries(entry).map(([key, value]) =>
    /^[a-z0-9][a-z0-9.]*\.[a-z0-9.]*$/.test(value) || key === 'congestion'
      ? `${key}: ${value}`
      : `${key}: ${JSON.stringify(value)}`,
  );
  return `{ ${parts.join(', ')} }`;
}

/** Where what a node says ends, comments behind it left out. */
function endOf(node: Node): number {
  if (!isCollection(node) || node.flow === true) return node.range![1];
  const last = node.items.at(-1);
  const inner = (isPair(last) ? (last.value ?? last.key) : last) as Node | null | undefined;
  return inner == null ? node.range![1] : endOf(inner);
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end < 0 ? text.length : end;
}

/** The column at which items of a list by lines have their dash, and where the line begins. */
function dashOf(text: string, item: Node): { lineStart: number; indent: string } {
  const dash = text.lastIndexOf('-', item.range![0] - 1);
  const lineStart = text.lastIndexOf('\n', dash) + 1;
  return { lineStart, indent: text.slice(lineStart, dash) };
}

function behindLast(text: string, seq: YAMLSeq, written: string): string {
  const last = seq.items.at(-1) as Node | undefined;
  if (seq.flow === true) {
    const bracket = seq.range![1] - 1;
    const before = text.slice(0, bracket).trimEnd();
    const comma = last === undefined || before.endsWith(',') ? '' : ',';
    const at = before.length;
    return `${before}${comma}${last === undefined ? '' : ' '}${written}${text.slice(at)}`;
  }
  if (last === undefined) throw refused('its `links` are empty in a way that is not known');
  const { indent } = dashOf(text, last);
  const at = endOfLine(text, endOf(last));
  return `${text.slice(0, at)}\n${indent}- ${written}${text.slice(at)}`;
}

/** There are none yet: a list behind the key, or at the end of the file. */
function appended(text: string, data: Readonly<Record<string, unknown>>, written: string): string {
  const line = `  - ${written}`;
  if (Object.hasOwn(data, 'links')) {
    const key = /^links[ \t]*:.*$/m.exec(text);
    if (key === null) throw refused('its `links` are empty in a way that is not known');
    const at = key.index + key[0].length;
    return `${text.slice(0, at)}\n${line}${text.slice(at)}`;
  }
  const end = text === '' || text.endsWith('\n') ? '' : '\n';
  return `${text}${end}links:\n${line}\n`;
}

function withoutBlock(text: string, seq: YAMLSeq, item: Node): string {
  const { lineStart, indent } = dashOf(text, item);
  const end = endOfLine(text, endOf(item));
  // A list without items would be no list: an empty one stands for it.
  if (seq.items.length === 1)
    return `${text.slice(0, lineStart)}${indent === '' ? '  ' : indent}[]${text.slice(end)}`;
  // The last line of a text may have no end of its own: then the one before it is the last.
  return end === text.length
    ? text.slice(0, lineStart - 1)
    : text.slice(0, lineStart) + text.slice(end + 1);
}

function withoutFlow(text: string, seq: YAMLSeq, index: number): string {
  const item = seq.items[index] as Node;
  const next = seq.items[index + 1] as Node | undefined;
  const before = seq.items[index - 1] as Node | undefined;
  if (next !== undefined) return text.slice(0, item.range![0]) + text.slice(next.range![0]);
  return (
    text.slice(0, before === undefined ? item.range![0] : endOf(before)) + text.slice(endOf(item))
  );
}

/** The edited text, if it says what it is to say. */
function sound(
  text: string,
  edited: string,
  change: (links: readonly unknown[]) => readonly unknown[],
  written: string | null,
): string {
  const before = linksOf(text).data;
  const wanted = { ...before, links: change((before['links'] as unknown[] | null) ?? []) };
  let found: unknown = null;
  try {
    found = linksOf(edited).data;
  } catch (error) {
    if (!(error instanceof SpinesError)) throw error;
  }
  if (isDeepStrictEqual(found, wanted)) return edited;
  throw refused(
    'its `links` are written in a way that can only be changed by hand' +
      (written === null ? '' : `; the entry is ${written}`),
  );
}

function refused(why: string): SpinesError {
  return new SpinesError('ECONFIG', `the config file stays as it is: ${why}`);
}

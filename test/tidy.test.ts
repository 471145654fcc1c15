/**
 * The house rules as a test: import direction, what the core may touch, file headers, sizes, and documents that
 * must agree with the code. Reads files as text; each rule is shown to catch an offender.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import ts from 'typescript';

const root = fileURLToPath(new URL('..', import.meta.url));

/** What each folder of src may import, besides itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  base: [],
  wire: ['base'],
  crypto: ['base', 'wire'],
  link: ['base', 'wire', 'crypto'],
  routing: ['base', 'wire', 'crypto', 'link'],
  byzantine: ['base', 'wire', 'crypto', 'link', 'routing', 'dissemination'],
  dissemination: ['base', 'wire', 'link', 'routing'],
  session: ['base', 'wire', 'link', 'dissemination'],
  'end-to-end': ['base', 'wire', 'crypto', 'link', 'routing', 'dissemination'],
  ipc: ['base', 'wire', 'session'],
  node: ['base', 'wire', 'crypto', 'link', 'routing', 'byzantine', 'end-to-end', 'dissemination', 'session', 'ipc'],
  emulation: ['base'],
  sim: ['base', 'wire', 'crypto', 'link', 'routing', 'byzantine', 'dissemination', 'node', 'session', 'emulation'],
  host: ['base', 'wire', 'crypto', 'node', 'ipc', 'emulation'],
  cli: ['base', 'wire', 'crypto', 'node', 'host', 'sim', 'emulation'],
};

/** Packages that a folder may import. */
const MAY_USE: Readonly<Record<string, readonly RegExp[]>> = {
  ipc: [/^spines-client\/protocol$/],
  node: [/^spines-client\/protocol$/],
  crypto: [/^@noble\//, /^spines-client\/noise$/],
  link: [/^spines-client\/noise$/],
  host: [/^node:/, /^pino/, /^yaml$/, /^zod$/, /^@noble\//, /^spines-client(\/(?:protocol|noise))?$/],
  emulation: [/^yaml$/, /^zod$/, /^spines-client\/protocol$/],
  cli: [/^node:/, /^commander$/, /^pino/, /^yaml$/, /^spines-client(\/protocol)?$/],
};

/** Names that only host/ and cli/ may use. */
const BANNED = /\b(?:Date|performance|setTimeout|setInterval|setImmediate|queueMicrotask|process|console|Promise|async|await|EventEmitter|localeCompare)\b|Math\.(?:random|log\w*|exp\w*|pow|sin|cos|tan|cbrt|sinh|cosh|tanh|hypot)\b/;

interface Source { readonly path: string; readonly text: string }

function sourcesUnder(folder: string): Source[] {
  const out: Source[] = [];
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    if (entry.name === 'dist' || entry.name === 'node_modules') continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) out.push(...sourcesUnder(path));
    else if (entry.name.endsWith('.ts')) out.push({ path: relative('', path), text: readFileSync(join(root, path), 'utf8') });
  }
  return out;
}

const src = sourcesUnder('src');
const client = sourcesUnder('spines-client');
const tests = sourcesUnder('test');

function folderOf(path: string): string {
  return path.split('/')[1]!;
}

function importsOf(source: Source): string[] {
  return ts.preProcessFile(source.text, true, true).importedFiles.map((file) => file.fileName);
}

function importFaults(source: Source): string[] {
  const folder = folderOf(source.path);
  const faults: string[] = [];
  for (const name of importsOf(source)) {
    if (name.startsWith('.')) {
      const target = join(source.path, '..', name).split('/')[1]!;
      if (target !== folder && !(MAY_IMPORT[folder] ?? []).includes(target)) faults.push(`${source.path}: ${folder} may not import ${target}`);
    } else if (!(MAY_USE[folder] ?? []).some((allowed) => allowed.test(name))) faults.push(`${source.path}: ${folder} may not use ${name}`);
  }
  return faults;
}

/** Code only: no comments, no text. */
function codeOf(text: string): string {
  const scanner = ts.createScanner(ts.ScriptTarget.Latest, true, ts.LanguageVariant.Standard, text);
  let code = '';
  let braces: boolean[] = [];
  for (let token = scanner.scan(); token !== ts.SyntaxKind.EndOfFileToken; token = scanner.scan()) {
    if (token === ts.SyntaxKind.OpenBraceToken) braces.push(false);
    if (token === ts.SyntaxKind.TemplateHead) braces.push(true);
    if (token === ts.SyntaxKind.CloseBraceToken && braces.pop() === true) {
      token = scanner.reScanTemplateToken(false);
      if (token === ts.SyntaxKind.TemplateMiddle) braces.push(true);
    }
    const literal = token === ts.SyntaxKind.StringLiteral || token === ts.SyntaxKind.NoSubstitutionTemplateLiteral || (token >= ts.SyntaxKind.TemplateHead && token <= ts.SyntaxKind.TemplateTail);
    code += literal ? ' "" ' : ` ${scanner.getTokenText()}`;
    if (scanner.hasPrecedingLineBreak()) code += '\n';
  }
  return code.replaceAll(' . ', '.');
}

function bannedIn(source: Source): string | null {
  const found = BANNED.exec(codeOf(source.text));
  return found === null ? null : `${source.path}: ${found[0]} belongs to the host`;
}

function headerFault(source: Source): string | null {
  const text = source.text.startsWith('#!') ? source.text.slice(source.text.indexOf('\n') + 1) : source.text;
  return text.startsWith('/**') ? null : `${source.path}: no header comment`;
}

describe('house rules', () => {
  test('imports point one way', () => {
    expect(src.flatMap(importFaults)).toEqual([]);
    expect(importFaults({ path: 'src/wire/x.ts', text: "import { a } from '../link/link.ts';" })).toHaveLength(1);
    expect(importFaults({ path: 'src/link/x.ts', text: "import { a } from 'pino';" })).toHaveLength(1);
  });

  test('the client library imports nothing of the daemon', () => {
    const faults = client.flatMap((source) => importsOf(source).filter((name) => !name.startsWith('./') && !name.startsWith('node:') && name !== 'msgpackr').map((name) => `${source.path}: ${name}`));
    expect(faults).toEqual([]);
  });

  test('below the host there is no clock, no global timer, no global randomness and nothing asynchronous', () => {
    const core = src.filter((source) => !['host', 'cli'].includes(folderOf(source.path)));
    expect(core.map(bannedIn).filter((fault) => fault !== null)).toEqual([]);
    expect(bannedIn({ path: 'src/link/x.ts', text: 'const t = Date.now();' })).not.toBeNull();
    expect(bannedIn({ path: 'src/link/x.ts', text: 'const t = Math.log(2);' })).not.toBeNull();
    expect(bannedIn({ path: 'src/link/x.ts', text: "// Date\nconst t = 'async process';" })).toBeNull();
  });

  test('every file says what it owns', () => {
    expect([...src, ...client, ...tests].filter((s) => !s.path.endsWith('.config.ts')).map(headerFault).filter((fault) => fault !== null)).toEqual([]);
    expect(headerFault({ path: 'x', text: 'const a = 1;' })).not.toBeNull();
  });

  test('no file is two files, nothing is left for later, and types are not cheated', () => {
    const faults = [...src, ...client].flatMap(({ path, text }) => {
      const found: string[] = [];
      const lines = text.split('\n');
      if (lines.length > 800) found.push(`${path}: ${lines.length} lines`);
      if (/\b(?:TODO|FIXME|XXX|HACK)\b/.test(text)) found.push(`${path}: something is left for later`);
      if (/\bas unknown as\b|: any\b|< any >|\bas any\b/.test(codeOf(text))) found.push(`${path}: cheats the types`);
      lines.forEach((line, i) => { if (line.length > 200) found.push(`${path}:${i + 1}: a line of ${line.length}`); });
      return found;
    });
    expect(faults).toEqual([]);
  });

  test('every file of src is reached from a program or a test', () => {
    const reached = new Set<string>();
    const resolve = (from: string, name: string): string | null => {
      if (name.startsWith('.')) return join(from, '..', name);
      return name.startsWith('#src/') ? join('src', name.slice(5).replace(/\.js$/, '.ts')) : null;
    };
    const byPath = new Map([...src, ...client, ...tests].map((source) => [source.path, source]));
    const visit = (path: string): void => {
      const source = byPath.get(path);
      if (source === undefined || reached.has(path)) return;
      reached.add(path);
      for (const name of importsOf(source)) {
        const target = resolve(path, name);
        if (target !== null) visit(target);
      }
    };
    visit('src/cli/main.ts');
    expect(src.map((source) => source.path).filter((path) => !reached.has(path))).toEqual([]);
  });

  test('the version printed is the version of the package', () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    expect(readFileSync(join(root, 'src/node/version.ts'), 'utf8')).toContain(`'${version}'`);
    expect((JSON.parse(readFileSync(join(root, 'spines-client/package.json'), 'utf8')) as { version: string }).version).toBe(version);
  });

  test('every file that the documents name exists', () => {
    const documents = ['README.md', 'src/ARCHITECTURE.md', 'src/wire/WIRE.md', 'spines-client/README.md', 'topologies/README.md'];
    const faults = documents.flatMap((document) => {
      const text = readFileSync(join(root, document), 'utf8');
      return [...text.matchAll(/`((?:src|test|topologies|spines-client|\.ci)\/[A-Za-z0-9_./-]+)`/g)]
        .map((match) => match[1]!)
        .filter((path) => !exists(path))
        .map((path) => `${document}: ${path} does not exist`);
    });
    expect(faults).toEqual([]);
  });
});

function exists(path: string): boolean {
  try {
    readdirSync(join(root, path));
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOTDIR';
  }
}

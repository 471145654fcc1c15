/**
 * The house rules as a test: import direction, what the core may touch, file headers, sizes, and
 * documents that must agree with the code. Reads files as text; each rule is shown to catch an
 * offender.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

import { buildProgram } from '../src/cli/program.ts';
import { tableOf } from '../src/cli/reference/command-table.ts';
import { type Source, sourceCode } from './support/source-code.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * What each room of src may import, besides itself. `core` and `lab` are houses of rooms; the rooms
 * of host and cli are one each here.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'core/base': [],
  'core/wire': ['core/base'],
  'core/crypto': ['core/base', 'core/wire'],
  'core/recovery': ['core/base'],
  'core/link': ['core/base', 'core/wire', 'core/crypto', 'core/recovery'],
  'core/routing': ['core/base', 'core/wire', 'core/crypto', 'core/link'],
  'core/dissemination': ['core/base', 'core/wire', 'core/link', 'core/routing'],
  'core/byzantine': ['core/base', 'core/wire', 'core/crypto', 'core/link', 'core/dissemination'],
  'core/end-to-end': ['core/base', 'core/wire', 'core/crypto', 'core/dissemination'],
  'core/session': ['core/base', 'core/wire', 'core/recovery', 'core/dissemination'],
  'core/ipc': ['core/base', 'core/wire', 'core/session'],
  'core/operator': [
    'core/base',
    'core/wire',
    'core/crypto',
    'core/link',
    'core/routing',
    'core/byzantine',
    'core/dissemination',
    'core/end-to-end',
    'core/session',
    'core/ipc',
    'core/node',
  ],
  'core/node': [
    'core/base',
    'core/wire',
    'core/crypto',
    'core/recovery',
    'core/link',
    'core/routing',
    'core/byzantine',
    'core/end-to-end',
    'core/dissemination',
    'core/session',
    'core/ipc',
    'core/operator',
  ],
  'core/emulation': ['core/base'],
  text: ['core/base'],
  'lab/misbehaviour': ['core/*'],
  'lab/topology': ['core/base', 'core/wire', 'core/emulation', 'text', 'lab/misbehaviour'],
  'lab/report': ['core/base', 'text', 'lab/topology'],
  'lab/sim': ['core/*', 'lab/report', 'lab/misbehaviour'],
  'lab/adversary': ['core/*', 'lab/sim', 'lab/misbehaviour'],
  'lab/replay': ['core/*', 'lab/topology', 'lab/report', 'lab/sim', 'lab/adversary'],
  'lab/experiments': ['core/*', 'lab/topology', 'lab/report', 'lab/sim', 'lab/replay'],
  host: [
    'core/base',
    'core/wire',
    'core/crypto',
    'core/emulation',
    'core/ipc',
    'core/operator',
    'core/node',
    'text',
    'lab/misbehaviour',
    'lab/topology',
  ],
  // In the browser: what it knows of daemons are shapes, and the arithmetic of ways.
  dashboard: ['core/operator', 'host', 'cli', 'lab/report'],
  cli: [
    'core/base',
    'core/wire',
    'core/crypto',
    'core/emulation',
    'core/operator',
    'text',
    'host',
    'lab/topology',
    'lab/report',
    'lab/replay',
    'lab/experiments',
  ],
};

/** Packages that a room may import. */
const MAY_USE: Readonly<Record<string, readonly RegExp[]>> = {
  'core/wire': [/^spines-client\/protocol$/],
  'core/ipc': [/^spines-client\/protocol$/],
  'core/operator': [/^spines-client\/protocol$/],
  'core/node': [/^spines-client\/protocol$/],
  'core/crypto': [/^@noble\//, /^spines-client\/noise$/],
  'core/link': [/^spines-client\/noise$/],
  'core/emulation': [/^spines-client\/protocol$/],
  text: [/^yaml$/],
  'lab/topology': [/^yaml$/, /^zod$/, /^spines-client\/protocol$/],
  host: [
    /^node:/,
    /^pino/,
    /^yaml$/,
    /^zod$/,
    /^@noble\//,
    /^spines-client(\/(?:protocol|noise))?$/,
  ],
  dashboard: [/^uplot$/, /^d3-force$/, /^spines-client(\/protocol)?$/],
  cli: [/^node:/, /^commander$/, /^pino/, /^yaml$/, /^spines-client(\/protocol)?$/],
};

/** The one table of both. */
const MODES = 'spines-client/src/shared/modes.ts';
const FUNCTION_LINES_MAX = 80;
const FILE_LINES_MAX = 600;

/** Names that only host/ and cli/ may use. */
const BANNED = new RegExp(
  String.raw`\b(?:Date|performance|setTimeout|setInterval|setImmediate|` +
    String.raw`queueMicrotask|process|console|Promise|async|await|EventEmitter|` +
    String.raw`localeCompare)\b|Math\.(?:random|log\w*|exp\w*|pow|sin|cos|tan|` +
    String.raw`cbrt|sinh|cosh|tanh|hypot)\b`,
);

function sourcesUnder(folder: string): Source[] {
  const out: Source[] = [];
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    if (entry.name === 'dist' || entry.name === 'node_modules') continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) out.push(...sourcesUnder(path));
    else if (entry.name.endsWith('.ts'))
      out.push({ path: relative('', path), text: readFileSync(join(root, path), 'utf8') });
  }
  return out;
}

const src = sourcesUnder('src');
const client = sourcesUnder('spines-client');
const tests = sourcesUnder('test');

const documents = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  'src/ARCHITECTURE.md',
  'src/PERFORMANCE.md',
  'src/core/crypto/SECURITY.md',
  'src/core/wire/WIRE.md',
  'src/host/web/METRICS.md',
  'src/cli/capture/CAPTURE.md',
  'spines-client/README.md',
  'spines-client/PROTOCOL.md',
  'topologies/README.md',
];

function roomOf(path: string): string {
  const [, house, room] = path.split('/') as [string, string, string];
  return house === 'core' || house === 'lab' ? `${house}/${room}` : house;
}

/** Whether what a file of the client library imports is in there as well. */
function staysWithin(path: string, name: string): boolean {
  return name.startsWith('.') && join(path, '..', name).startsWith('spines-client/src/');
}

function importFaults(source: Source): string[] {
  const room = roomOf(source.path),
    may = MAY_IMPORT[room] ?? [];
  const faults: string[] = [];
  for (const name of sourceCode(source).imports) {
    if (name.startsWith('.')) {
      const target = roomOf(join(source.path, '..', name));
      if (target !== room && !may.includes(target) && !may.includes(target.replace(/\/.*/, '/*')))
        faults.push(`${source.path}: ${room} may not import ${target}`);
    } else if (!(MAY_USE[room] ?? []).some((allowed) => allowed.test(name)))
      faults.push(`${source.path}: ${room} may not use ${name}`);
  }
  return faults;
}

/**
 * Files that lead back to themselves, those of each circle in order of their names (Tarjan 1972).
 */
function circlesOf(sources: readonly Source[]): string[][] {
  const targets = new Map(
    sources.map((source) => [
      source.path,
      sourceCode(source)
        .imports.filter((name) => name.startsWith('.'))
        .map((name) => join(source.path, '..', name)),
    ]),
  );
  const index = new Map<string, number>(),
    low = new Map<string, number>(),
    open: string[] = [],
    circles: string[][] = [];
  const visit = (path: string): void => {
    index.set(path, index.size);
    low.set(path, index.get(path)!);
    open.push(path);
    for (const target of targets.get(path)!) {
      if (!targets.has(target)) continue;
      if (!index.has(target)) visit(target);
      if (open.includes(target)) low.set(path, Math.min(low.get(path)!, low.get(target)!));
    }
    if (low.get(path) !== index.get(path)) return;
    const circle = open.splice(open.indexOf(path)).sort();
    if (circle.length > 1) circles.push(circle);
  };
  for (const path of targets.keys()) if (!index.has(path)) visit(path);
  return circles;
}

function bannedIn(source: Source): string | null {
  const found = BANNED.exec(sourceCode(source).code);
  return found === null ? null : `${source.path}: ${found[0]} belongs to the host`;
}

/** Functions with more lines than may be, by file and name. */
function longFunctions(source: Source): string[] {
  return sourceCode(source)
    .functions.filter(({ lines }) => lines > FUNCTION_LINES_MAX)
    .map(({ name, lines }) => `${source.path} ${name}: ${lines} lines`);
}

/** Where a file takes a value for what the compiler does not take it for. */
function cheatedTypes(source: Source): string[] {
  return sourceCode(source).cheats.map(({ line, how }) => `${source.path}:${line}: ${how}`);
}

/** Lines of a Markdown document that are too wide, tables and code excepted. */
function wideProse(path: string, text: string): string[] {
  const wide: string[] = [];
  let code = false;
  for (const [i, line] of text.split('\n').entries()) {
    if (/^\s*```/.test(line)) code = !code;
    const columns = [...line].length;
    if (!code && columns > 100 && !/^\s*\|/.test(line))
      wide.push(`${path}:${i + 1}: ${columns} columns`);
  }
  return wide;
}

function headerFault(source: Source): string | null {
  const text = source.text.startsWith('#!')
    ? source.text.slice(source.text.indexOf('\n') + 1)
    : source.text;
  return text.startsWith('/**') ? null : `${source.path}: no header comment`;
}

describe('house rules', () => {
  test('imports point one way', () => {
    expect(src.flatMap(importFaults)).toEqual([]);
    expect(
      importFaults({ path: 'src/core/wire/x.ts', text: "import { a } from '../link/link.ts';" }),
    ).toHaveLength(1);
    expect(
      importFaults({ path: 'src/core/link/x.ts', text: "import { a } from 'pino';" }),
    ).toHaveLength(1);
  });

  test('no file imports, over others, itself', () => {
    expect(circlesOf([...src, ...client])).toEqual([]);
    const three = ['a', 'b', 'c'].map((name, i) => ({
      path: `src/text/${name}.ts`,
      text: `import type { X } from './${'bca'[i]!}.ts';`,
    }));
    expect(circlesOf(three)).toEqual([['src/text/a.ts', 'src/text/b.ts', 'src/text/c.ts']]);
    expect(circlesOf(three.slice(0, 2))).toEqual([]);
  });

  test('the client library imports nothing of the daemon', () => {
    const faults = client.flatMap((source) =>
      sourceCode(source)
        .imports.filter(
          (name) =>
            !staysWithin(source.path, name) && !name.startsWith('node:') && name !== 'msgpackr',
        )
        .map((name) => `${source.path}: ${name}`),
    );
    expect(faults).toEqual([]);
  });

  test(
    'below the host there is no clock, no global timer, ' +
      'no global randomness and nothing asynchronous',
    () => {
      const core = src.filter(
        (source) => !['host', 'cli', 'dashboard'].includes(roomOf(source.path)),
      );
      expect(core.map(bannedIn).filter((fault) => fault !== null)).toEqual([]);
      expect(
        bannedIn({ path: 'src/core/link/x.ts', text: 'const t = Date.now();' }),
      ).not.toBeNull();
      expect(
        bannedIn({ path: 'src/core/link/x.ts', text: 'const t = Math.log(2);' }),
      ).not.toBeNull();
      expect(
        bannedIn({ path: 'src/core/link/x.ts', text: "// Date\nconst t = 'async process';" }),
      ).toBeNull();
    },
  );

  test('every file says what it owns', () => {
    expect(
      [...src, ...client, ...tests]
        .filter((s) => !s.path.endsWith('.config.ts'))
        .map(headerFault)
        .filter((fault) => fault !== null),
    ).toEqual([]);
    expect(headerFault({ path: 'x', text: 'const a = 1;' })).not.toBeNull();
  });

  test('no file is two files, and nothing is left for later', () => {
    const faults = [...src, ...client].flatMap(({ path, text }) => {
      const found: string[] = [];
      const lines = text.split('\n');
      if (lines.length > FILE_LINES_MAX) found.push(`${path}: ${lines.length} lines`);
      if (/\b(?:TODO|FIXME|XXX|HACK)\b/.test(text))
        found.push(`${path}: something is left for later`);
      return found;
    });
    expect(faults).toEqual([]);
  });

  test('types are not cheated', () => {
    expect([...src, ...client, ...tests].flatMap(cheatedTypes)).toEqual([]);
    const offender = (text: string): string[] => cheatedTypes({ path: 'x.ts', text });
    expect(offender('f();\ng(a as unknown as B);')).toEqual([
      'x.ts:2: a value made into another type',
    ]);
    expect(offender('const a: Map<string, any> = b as never as C;')).toHaveLength(2);
    expect(offender("// as unknown as\nf(a as B, 'as any', c as unknown);")).toEqual([]);
  });

  test('names of link services and routings are listed in their table only', () => {
    // Frames have names like those of services, but none is called best-effort.
    const pairs = [
      ['best-effort', 'reliable|realtime'],
      ['link-state', 'byzantine'],
    ].flatMap(([one, other]) => [
      new RegExp(`'${one!}'\\s*[,|]\\s*'(?:${other!})'`),
      new RegExp(`'(?:${other!})'\\s*[,|]\\s*'${one!}'`),
    ]);
    const listed = (text: string): boolean => pairs.some((pair) => pair.test(text));
    const faults = [...src, ...client]
      .filter(({ path, text }) => path !== MODES && listed(text))
      .map(({ path }) => path);
    expect(faults, `${MODES} has them`).toEqual([]);
    expect(listed("link?: 'reliable' | 'best-effort'")).toBe(true);
    expect(listed("['link-state', 'byzantine'].includes(routing)")).toBe(true);
  });

  test('no function is longer than can be read at once', () => {
    expect([...src, ...client].flatMap(longFunctions)).toEqual([]);
    const long = `class A {\n  go() {\n${'    step();\n'.repeat(FUNCTION_LINES_MAX)}  }\n}\n`;
    expect(longFunctions({ path: 'src/text/x.ts', text: long })).toEqual([
      'src/text/x.ts go: 82 lines',
    ]);
  });

  test('no line of code or comment is over 100 columns', () => {
    const scripts = readdirSync(join(root, '.ci'))
      .filter((name) => name.endsWith('.mjs'))
      .map((name) => ({
        path: `.ci/${name}`,
        text: readFileSync(join(root, '.ci', name), 'utf8'),
      }));
    const wide = [...src, ...client, ...tests, ...scripts].flatMap(({ path, text }) =>
      text.split('\n').flatMap((line, i) => {
        const columns = [...line].length;
        return columns > 100 ? [`${path}:${i + 1}: ${columns} columns`] : [];
      }),
    );
    expect(wide).toEqual([]);
  });

  test('no prose of a document is over 100 columns', () => {
    const wide = documents.flatMap((path) =>
      wideProse(path, readFileSync(join(root, path), 'utf8')),
    );
    expect(wide).toEqual([]);
    const long = 'word '.repeat(21);
    expect(wideProse('x.md', long)).toHaveLength(1);
    expect(wideProse('x.md', `| ${long} |\n\n\`\`\`sh\n${long}\n\`\`\``)).toEqual([]);
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
      for (const name of sourceCode(source).imports) {
        const target = resolve(path, name);
        if (target !== null) visit(target);
      }
    };
    visit('src/cli/main.ts');
    visit('src/dashboard/main.ts');
    // Named to the bundler alone.
    visit('src/dashboard/no-node.ts');
    expect(src.map((source) => source.path).filter((path) => !reached.has(path))).toEqual([]);
  });

  test('the version printed is the version of the package', () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      version: string;
    };
    expect(readFileSync(join(root, 'src/core/node/version.ts'), 'utf8')).toContain(`'${version}'`);
    expect(
      (
        JSON.parse(readFileSync(join(root, 'spines-client/package.json'), 'utf8')) as {
          version: string;
        }
      ).version,
    ).toBe(version);
  });

  test('every file that the documents name exists', () => {
    const faults = documents.flatMap((document) => {
      const text = readFileSync(join(root, document), 'utf8');
      // In backquotes, or an argument of a command.
      const path = /[` ]((?:src|test|topologies|spines-client|\.ci)\/[A-Za-z0-9_./-]+)(?=[`\s])/g;
      return [...text.matchAll(path)]
        .map((match) => match[1]!)
        .filter((path) => !exists(path))
        .map((path) => `${document}: ${path} does not exist`);
    });
    expect(faults).toEqual([]);
  });

  test('every topology that is shipped is in topologies/README.md', () => {
    const readme = readFileSync(join(root, 'topologies/README.md'), 'utf8');
    const missing = readdirSync(join(root, 'topologies'), { withFileTypes: true })
      .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
      .filter((name) => name !== 'README.md' && !readme.includes(`\n| \`${name}\` |`));
    expect(missing).toEqual([]);
  });

  test('every command is in README.md', async () => {
    const rows = tableOf(await buildProgram({ command: null }, []));
    const readme = readFileSync(join(root, 'README.md'), 'utf8');
    const missing = rows
      .filter(({ path }) => path.length === 1)
      .map(({ path }) => path[0]!)
      .filter((name) => !new RegExp(`\`${name}[ \`]`).test(readme));
    expect(missing, 'commands that the table of README.md lacks').toEqual([]);
  });

  test('every promise of SECURITY.md names a test that exists', () => {
    const text = readFileSync(join(root, 'src/core/crypto/SECURITY.md'), 'utf8');
    let promises = 0;
    const faults = text
      .split(/^\| Promise \|.*$/m)
      .slice(1)
      .flatMap((table) => {
        const rows = table.trimStart().split('\n').slice(1);
        const end = rows.findIndex((row) => !row.startsWith('|'));
        return rows.slice(0, end < 0 ? rows.length : end).flatMap((row) => {
          promises += 1;
          const named = [...(row.split('|').at(-2) ?? '').matchAll(/`([^`]+)`/g)].map(
            (match) => match[1]!,
          );
          const tests = named.filter(
            (path) => path.startsWith('test/') && path.endsWith('.test.ts') && exists(path),
          );
          return tests.length > 0 && tests.length === named.length ? [] : [row.slice(0, 100)];
        });
      });
    expect(faults).toEqual([]);
    expect(promises).toBeGreaterThan(50);
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

/**
 * The library from CommonJS: by require, and from TypeScript under module resolution node16, with
 * all its types.
 */

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync } from 'rolldown/utils';
import { afterAll, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'spines-commonjs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What a module of the library exports, values and types. */
function exportsOf(name: string): string[] {
  const path = join(ROOT, 'spines-client', 'dist', `${name}.d.ts`);
  return parseSync(path, readFileSync(path, 'utf8')).module.staticExports.flatMap(({ entries }) =>
    entries.map(({ exportName }) => exportName.name!),
  );
}

/** What the compiler says of a file, by what its lines are about. */
function faultsOf(
  file: string,
  lines: readonly (readonly [about: string, code: string])[],
): string[] {
  writeFileSync(join(folder, file), lines.map(([, code]) => `${code}\n`).join(''));
  const options = [
    ['--module', 'node16'],
    ['--target', 'es2022'],
    ['--types', 'node'],
    ['--typeRoots', join(ROOT, 'node_modules', '@types')],
  ].flat();
  const { stdout } = spawnSync(
    process.execPath,
    [
      join(ROOT, 'node_modules/typescript/bin/tsc'),
      ...options,
      ...(file.endsWith('.mts') ? ['--skipLibCheck'] : []),
      '--strict',
      '--noEmit',
      '--ignoreConfig',
      join(folder, file),
    ],
    { cwd: folder, encoding: 'utf8' },
  );
  const [name] = file.split('.');
  return stdout
    .trim()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const found = new RegExp(`^${name!}\\.[cm]ts\\((\\d+),\\d+\\): error `).exec(line);
      return found === null ? line : lines[Number(found[1]) - 1]![0];
    });
}

test('require gives what import gives', () => {
  const source = `
    const spines = require('spines-client');
    const compat = require('spines-client/compat');
    import('spines-client').then((esm) => 
      console.log(
        spines.SpinesSocket === esm.SpinesSocket, typeof spines.connect, compat.PF_SPINES,
      ));
  `;
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=commonjs', '--eval', source],
    { cwd: ROOT, encoding: 'utf8' },
  );
  expect([
    stdout,
    stderr.replaceAll(/^.*ExperimentalWarning.*\n.*trace-warnings.*\n/gm, ''),
  ]).toEqual(['true function 2\n', '']);
});

test('TypeScript that compiles to CommonJS finds every function, class and type', () => {
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(join(ROOT, 'spines-client'), join(folder, 'node_modules', 'spines-client'));
  const index = exportsOf('index'),
    compat = exportsOf('compat/compat');
  expect(index).toContain('SpinesSocket');
  expect(compat).toContain('SpinesSockaddr');
  // Each name as a type, which values are not, and as a value, which types are not: both are told,
  // and as an ES module has it.
  const uses = [
    ...index.flatMap((name) => [
      [`${name}, a type`, `export type Of_${name} = spines.${name};`] as const,
      [`${name}, a value`, `void spines.${name};`] as const,
    ]),
    ...compat.flatMap((name) => [
      [`compat ${name}, a type`, `export type Compat_${name} = compat.${name};`] as const,
      [`compat ${name}, a value`, `void compat.${name};`] as const,
    ]),
  ];
  const esm = faultsOf('esm.mts', [
    ['', `import * as spines from 'spines-client';`],
    ['', `import * as compat from 'spines-client/compat';`],
    ...uses,
  ]);
  expect(esm).toContain('connect, a type');
  expect(esm).toContain('compat SpinesSockaddr, a value');
  expect(esm.filter((fault) => fault.startsWith('SpinesSocket,'))).toEqual([]);
  const commonJs = faultsOf('main.cts', [
    ['', `import spines = require('spines-client');`],
    ['', `import { connect, type SpinesSocket } from 'spines-client';`],
    ['', `import compat = require('spines-client/compat');`],
    ['', 'const one: spines.SpinesSocket = spines.connect(5);'],
    ['', 'const other: SpinesSocket = connect(5, () => {});'],
    ['', `one.on('close', (hadError) => { const is: boolean = hadError; void is; });`],
    ['', `other.on('data', (chunk) => chunk.length);`],
    [
      '',
      `const client: Promise<spines.SpinesClient> = spines.SpinesClient.connect({ path: 'x' });`,
    ],
    ['', `const server = spines.createServer((socket) => { socket.pipe(socket); }).listen(0);`],
    ['', `server.on('drop', (info) => info.remotePort);`],
    ['', `void [client, compat.PF_SPINES];`],
    ...uses,
  ]);
  expect(commonJs, 'name new types in spines-client/types/index.d.cts').toEqual(esm);
});

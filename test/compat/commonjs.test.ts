/**
 * The library from CommonJS: by require, and from TypeScript under module resolution node16, with
 * all its types.
 */

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { afterAll, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'spines-commonjs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Names of the types, and of the classes, that an ES module of the library exports. */
function typesOf(program: ts.Program, path: string): string[] {
  const checker = program.getTypeChecker();
  const module = checker.getSymbolAtLocation(program.getSourceFile(path)!)!;
  return checker
    .getExportsOfModule(module)
    .filter(
      (symbol) =>
        ((symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol).flags &
          ts.SymbolFlags.Type) !==
        0,
    )
    .map((symbol) => symbol.name);
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
  const files = ['index', 'compat/compat'].map((name) =>
    join(ROOT, 'spines-client', 'dist', `${name}.d.ts`),
  );
  const esm = ts.createProgram(files, {
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    types: [],
    noLib: true,
  });
  const [index, compat] = files.map((file) => typesOf(esm, file));
  expect(index).toContain('SpinesSocket');
  expect(compat).toContain('SpinesSockaddr');

  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(join(ROOT, 'spines-client'), join(folder, 'node_modules', 'spines-client'));
  const main = join(folder, 'main.cts');
  writeFileSync(
    main,
    [
      `import spines = require('spines-client');`,
      `import { connect, type SpinesSocket } from 'spines-client';`,
      `import compat = require('spines-client/compat');`,
      'const one: spines.SpinesSocket = spines.connect(5), other: SpinesSocket = connect(5, () ' +
        '=> {});',
      `one.on('close', (hadError) => { const is: boolean = hadError; void is; });`,
      `other.on('data', (chunk) => chunk.length);`,
      `const client: Promise<spines.SpinesClient> = spines.SpinesClient.connect({ path: 'x' });`,
      `spines.createServer((socket) => { socket.pipe(socket); }).listen(0).on('drop', (info) => ` +
        'info.remotePort);',
      `void [client, compat.PF_SPINES];`,
      ...index!.map((name, i) => `export type Of${i} = spines.${name};`),
      ...compat!.map((name, i) => `export type Compat${i} = compat.${name};`),
      '',
    ].join('\n'),
  );
  const program = ts.createProgram([main], {
    module: ts.ModuleKind.Node16,
    moduleResolution: ts.ModuleResolutionKind.Node16,
    target: ts.ScriptTarget.ES2022,
    strict: true,
    noEmit: true,
    types: ['node'],
    typeRoots: [join(ROOT, 'node_modules', '@types')],
    preserveSymlinks: false,
  });
  // These files alone: Node's types are not ours to check.
  const checked = program
    .getSourceFiles()
    .filter(({ fileName }) => fileName === main || fileName.endsWith('.d.cts'));
  expect(checked.length).toBeGreaterThan(2);
  const faults = checked.flatMap((file) => [
    ...program.getSyntacticDiagnostics(file),
    ...program.getSemanticDiagnostics(file),
  ]);
  const told = faults.map(
    ({ messageText, file }) =>
      `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`,
  );
  expect(told, 'name new types in spines-client/types/index.d.cts').toEqual([]);
});

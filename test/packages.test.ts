/**
 * What is installed is what was chosen: every package of the lock file with its hash, of one
 * registry, and no script of a package runs at the installation but of those named here. Also the
 * script that asks the registry's signatures, and what
 * the two packages have in them.
 */

import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

const REGISTRY = 'https://registry.npmjs.org/';
/** They look for a prebuilt binary of this system, and are looked at when their version changes. */
const MAY_RUN_SCRIPTS: ReadonlySet<string> = new Set(['koffi', 'msgpackr-extract']);
/** Of this repository. */
const OWN: ReadonlySet<string> = new Set(['', 'spines-client']);

interface Locked {
  readonly version?: string;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly link?: boolean;
  readonly hasInstallScript?: boolean;
  readonly dependencies?: object;
  readonly devDependencies?: object;
  readonly optionalDependencies?: object;
}

function faultsOf(packages: Readonly<Record<string, Locked>>): string[] {
  return Object.entries(packages).flatMap(
    ([path, { integrity, resolved, link, hasInstallScript }]) => {
      const faults: string[] = [];
      const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
      if (OWN.has(path)) return faults;
      if (link === true)
        return OWN.has(resolved ?? '?') || resolved === '.'
          ? faults
          : [`${path}: a link to ${resolved}`];
      if (!/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity ?? ''))
        faults.push(`${path}: no SHA-512 of what is installed`);
      if (resolved !== undefined && !resolved.startsWith(REGISTRY))
        faults.push(`${path}: from ${resolved}`);
      if (hasInstallScript === true && !MAY_RUN_SCRIPTS.has(name))
        faults.push(`${path}: runs a script when it is installed`);
      return faults;
    },
  );
}

const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
  lockfileVersion: number;
  packages: Record<string, Locked>;
};

test(
  'every package has its hash, comes from one registry, ' + 'and runs no script unless it is named',
  () => {
    expect(lock.lockfileVersion).toBe(3);
    expect(Object.keys(lock.packages).length).toBeGreaterThan(50);
    expect(faultsOf(lock.packages)).toEqual([]);
    const integrity = `sha512-${'A'.repeat(86)}==`;
    expect(faultsOf({ 'node_modules/a': {} })).toHaveLength(1);
    expect(faultsOf({ 'node_modules/a': { integrity: 'sha1-AAAA' } })).toHaveLength(1);
    expect(
      faultsOf({ 'node_modules/a': { integrity, resolved: 'https://example.org/a.tgz' } }),
    ).toHaveLength(1);
    expect(
      faultsOf({ 'node_modules/a': { integrity, resolved: 'git+ssh://git@github.com/a/a.git#1' } }),
    ).toHaveLength(1);
    expect(
      faultsOf({ 'node_modules/b/node_modules/a': { integrity, hasInstallScript: true } }),
    ).toHaveLength(1);
    expect(faultsOf({ 'node_modules/a': { link: true, resolved: '../a' } })).toHaveLength(1);
    expect(
      faultsOf({ 'node_modules/b/node_modules/koffi': { integrity, hasInstallScript: true } }),
    ).toEqual([]);
  },
);

test('the lock file is that of the package files', () => {
  for (const path of OWN) {
    const own = JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8')) as Locked;
    for (const key of [
      'version',
      'dependencies',
      'devDependencies',
      'optionalDependencies',
    ] as const)
      expect(lock.packages[path]![key], `${path} ${key}`).toEqual(own[key]);
  }
});

test("nothing but a registry's packages is asked for", () => {
  for (const path of OWN) {
    const own = JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8')) as Locked;
    for (const [name, range] of Object.entries({
      ...own.dependencies,
      ...own.devDependencies,
      ...own.optionalDependencies,
    }))
      expect(range, name).toMatch(/^[~^]?\d+\.\d+\.\d+$/);
  }
});

const folder = mkdtempSync(join(tmpdir(), 'spines-signatures-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each<[string, number, string, number, RegExp]>([
  [
    'verified',
    0,
    'audited 80 packages in 1s\n80 packages have verified registry signatures',
    0,
    /Signatures: verified/,
  ],
  [
    'a registry without keys',
    1,
    'npm error found no dependencies to audit that were installed from a supported registry',
    0,
    /NOT verified, the registry offers no keys/,
  ],
  [
    'keys out of reach',
    1,
    'npm error code ENOTFOUND\nnpm error network request to https://tuf-repo-cdn.sigstore.dev ' +
      'failed',
    0,
    /NOT verified, the keys can't be reached/,
  ],
  [
    'a package that somebody changed',
    1,
    '1 package has an invalid registry signature:\na@1.0.0 ENOTFOUND',
    1,
    /FAILED/,
  ],
  [
    'a package that nobody signed',
    1,
    '1 package has a missing registry signature but the registry is providing signing keys',
    1,
    /FAILED/,
  ],
  ['npm that fails', 7, 'npm error something else', 1, /FAILED/],
])('signatures: %s', (_what, status, says, exit, told) => {
  const npm = join(folder, 'npm');
  writeFileSync(npm, `#!/bin/sh\ncat <<'END'\n${says}\nEND\nexit ${status}\n`);
  chmodSync(npm, 0o755);
  const audit = (...flags: string[]): { status: number | null; text: string } => {
    const done = spawnSync(process.execPath, [join(root, '.ci/audit-signatures.mjs'), ...flags], {
      encoding: 'utf8',
      env: { ...process.env, PATH: `${folder}${delimiter}${process.env['PATH'] ?? ''}` },
    });
    return { status: done.status, text: done.stdout + done.stderr };
  };
  const found = audit();
  expect(found.status).toBe(exit);
  expect(found.text).toMatch(told);
  if (/NOT verified/.test(found.text)) expect(audit('--strict').status).toBe(1);
});

/** Paths of what `npm pack` takes, without building anew. */
function packed(path: string): string[] {
  const { stdout } = spawnSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: join(root, path),
    encoding: 'utf8',
  });
  const [pack] = JSON.parse(stdout) as { files: { path: string }[] }[];
  return pack!.files.map((file) => file.path);
}

/** The dashboard, which the bundler makes of its sources. */
const BUNDLED: ReadonlySet<string> = new Set(
  ['app.css', 'app.js', 'charts.js', 'index.html', 'licences.txt'].map(
    (name) => `dist/dashboard/${name}`,
  ),
);

/** What is in a package and belongs to its making only. */
function leftovers(path: string, files: readonly string[]): string[] {
  const sources = path === '' ? 'src' : join(path, 'src');
  return files.flatMap((file) => {
    if (!file.startsWith('dist/')) return /tsbuildinfo|\.log$/.test(file) ? [file] : [];
    if (BUNDLED.has(file)) return [];
    const source = file.slice('dist/'.length).replace(/\.(?:d\.ts|js|js\.map)$/, '.ts');
    if (!source.endsWith('.ts') || !existsSync(join(root, sources, source)))
      return [`${file}: of no source`];
    if (!file.endsWith('.map')) return [];
    const map = JSON.parse(readFileSync(join(root, path, file), 'utf8')) as {
      sourcesContent?: string[];
    };
    return (map.sourcesContent?.length ?? 0) > 0 ? [] : [`${file}: a map without its source`];
  });
}

describe.each(['', 'spines-client'])('the package of folder "%s"', (path) => {
  const files = packed(path);

  test('has its licence, what it exports and its program, and nothing that was left over', () => {
    expect(files).toContain('LICENSE');
    expect(files).toContain('README.md');
    expect(readFileSync(join(root, path, 'LICENSE'), 'utf8')).toBe(
      readFileSync(join(root, 'LICENSE'), 'utf8'),
    );
    const { bin = {}, exports = {} } = JSON.parse(
      readFileSync(join(root, path, 'package.json'), 'utf8'),
    ) as { bin?: Record<string, string>; exports?: object };
    const named = [
      ...Object.values(bin),
      ...JSON.stringify(exports).matchAll(/"\.\/([^"]*\.[cm]?[jt]s)"/g),
    ].map((one) => (typeof one === 'string' ? one : one[1]!));
    expect(named.length).toBeGreaterThan(0);
    expect(named.filter((name) => !files.includes(name))).toEqual([]);
    expect(leftovers(path, files)).toEqual([]);
    expect(leftovers(path, ['dist/gone.js', 'dist/tsconfig.tsbuildinfo'])).toHaveLength(2);
  });
});

test('applications install nothing of the laboratory', () => {
  const words = /misbehav|adversar|wormhole|black-?hole|grey-?hole|simulat(?:or|ed)/i;
  const told = packed('spines-client')
    .filter((file) => file !== 'LICENSE' && !file.endsWith('.map'))
    .flatMap((file) =>
      readFileSync(join(root, 'spines-client', file), 'utf8')
        .split('\n')
        .filter((line) => words.test(line))
        .map((line) => `${file}: ${line}`),
    );
  expect(told).toEqual([]);
});

/** What the compiler says of an application in TypeScript that uses all doors of the library. */
function compiled(module: string, moduleResolution: string): string {
  const at = mkdtempSync(join(folder, `${moduleResolution}-`));
  const { exports } = JSON.parse(
    readFileSync(join(root, 'spines-client/package.json'), 'utf8'),
  ) as { exports: Record<string, unknown> };
  symlinkSync(join(root, 'node_modules'), join(at, 'node_modules'));
  writeFileSync(join(at, 'package.json'), '{"type":"module"}');
  const options = {
    ...{ module, moduleResolution, strict: true, noEmit: true, types: ['node'] },
    // Node's are not ours to check, and take three quarters of the time.
    skipLibCheck: true,
  };
  writeFileSync(
    join(at, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: options, files: ['main.ts'] }),
  );
  writeFileSync(
    join(at, 'main.ts'),
    Object.keys(exports)
      .map((door, i) => `import * as door${i} from '${door.replace('.', 'spines-client')}';\n`)
      .join('') + `export const wrong: symbol = door0.connect(7000, 'node-2').destroyed;\n`,
  );
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  return spawnSync(process.execPath, [tsc], { cwd: at, encoding: 'utf8' }).stdout;
}

test.each([
  ['node16', 'node16'],
  ['nodenext', 'nodenext'],
  ['esnext', 'bundler'],
])('an application finds the types under module %s, resolution %s', (module, resolution) => {
  // One error is wanted: a door without types would be taken for anything.
  expect(compiled(module, resolution).trim().split('\n')).toEqual([
    expect.stringMatching(/^main\.ts\(\d+,14\): error TS2322: Type 'boolean' .* 'symbol'/),
  ]);
});

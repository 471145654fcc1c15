import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/**
 * With SPINES_BUILT=1, as the whole suite runs once all is built, what tests import of `src` and of
 * the client library is what the compiler made of it: that need not be compiled again, nor traced
 * by the test runner. Without it tests run the sources, and what fails names their lines.
 */
const BUILT: readonly (readonly [from: string, to: string])[] = [
  [here('../src/'), here('../dist/')],
  [here('../spines-client/src/'), here('../spines-client/dist/')],
];

/** What is bundled for browsers is no module by itself once it is built. */
const BUNDLED = here('../src/dashboard/');

function builtOf(path: string): string | null {
  if (path.startsWith(BUNDLED)) return null;
  const room = BUILT.find(([from]) => path.startsWith(from) && path.endsWith('.ts'));
  return room === undefined ? null : room[1] + path.slice(room[0].length).replace(/ts$/, 'js');
}

const built = {
  name: 'spines-built',
  enforce: 'pre' as const,
  resolveId: (name: string, importer?: string): string | null =>
    builtOf(
      name.startsWith('.') && importer !== undefined ? resolve(dirname(importer), name) : name,
    ),
};

export default defineConfig({
  plugins: process.env['SPINES_BUILT'] === '1' ? [built] : [],
  root: here('..'),
  resolve: {
    alias: [
      {
        find: /^spines-client\/compat$/,
        replacement: here('../spines-client/src/compat/compat.ts'),
      },
      {
        find: /^spines-client\/(.*)$/,
        replacement: here('../spines-client/src/shared/') + '$1.ts',
      },
      { find: /^spines-client$/, replacement: here('../spines-client/src/index.ts') },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    // Stories make garbage by the second, and a tenth of their time went into collecting it.
    execArgv: ['--max-semi-space-size=32'],
    // Only ends what hangs: a busy machine may take several times as long as a quiet one.
    testTimeout: 240_000,
    hookTimeout: 240_000,
    reporters: ['default'],
    server: { deps: { external: [/\/dist\/.*\.js$/] } },
  },
});

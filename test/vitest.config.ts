import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
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
    // Only ends what hangs: a busy machine may take several times as long as a quiet one.
    testTimeout: 240_000,
    reporters: ['default'],
  },
});

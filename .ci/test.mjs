/**
 * Checks format and lint, runs the test suite, says how long each part took, and ends with a line
 * "N passed, N failed" (", N skipped" if any); a check that finds something is one that failed.
 * `--long` runs fuzzing and the swarm at full length. Further arguments go to vitest, e.g. a path
 * or `-t NAME`, and then nothing else is run.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const long = process.argv.includes('--long');
const rest = process.argv.slice(2).filter((argument) => argument !== '--long');
const folder = mkdtempSync(join(tmpdir(), 'spines-test-'));
const results = join(folder, 'results.json');
const environment = { ...process.env };
if (long)
  Object.assign(environment, {
    SPINES_FUZZ_COUNT: '1000000',
    SPINES_FUZZ_CLIENT_COUNT: '100000',
    SPINES_SWARM: '1000',
    SPINES_LONG: '1',
  });
let passed = 0,
  failed = 0,
  skipped = 0;
const took = [];

function timed(part, work) {
  const began = Date.now();
  work();
  took.push(`${part} ${Math.round((Date.now() - began) / 1000)} s`);
}

function checkFormat() {
  const done = spawnSync(
    process.execPath,
    [join(root, 'node_modules/@biomejs/biome/bin/biome'), 'check', '--error-on-warnings', '.'],
    { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] },
  );
  if (done.status !== 0) {
    console.error('Format or lint: `npm run format` mends what can be mended by itself.');
    failed++;
  }
}

function run(...choice) {
  const done = spawnSync(
    process.execPath,
    [
      join(root, 'node_modules/vitest/vitest.mjs'),
      'run',
      '--config',
      'test/vitest.config.ts',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${results}`,
      ...(long ? ['--testTimeout=3600000'] : []),
      ...choice,
    ],
    { cwd: root, env: environment, stdio: ['ignore', 'inherit', 'inherit'] },
  );
  let failures = 1;
  try {
    const report = JSON.parse(readFileSync(results, 'utf8'));
    passed += report.numPassedTests;
    skipped += report.numPendingTests + report.numTodoTests;
    failures =
      report.numFailedTests +
      (report.numFailedTestSuites > 0 && report.numFailedTests === 0
        ? report.numFailedTestSuites
        : 0);
  } catch {
    console.error('The test runner left no results.');
  }
  rmSync(results, { force: true });
  failed += done.status !== 0 ? Math.max(1, failures) : failures;
}

if (rest.length > 0) run(...rest);
else {
  // Files that share a process share what is compiled: two fifths of the time. Each file on its own
  // is what `npm test PATH` runs.
  timed('format and lint', checkFormat);
  timed('units and stories', () => run('--no-isolate', '--exclude', 'test/e2e/**'));
  // Real daemons wait for each other most of the time, so two files at once; not beside tests that
  // compute, which they would measure.
  timed('real daemons', () => run('test/e2e'));
}
rmSync(folder, { recursive: true, force: true });
if (took.length > 0) console.log(`\n${took.join(', ')}`);
console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);

/**
 * Runs the test suite and ends with a line "N passed, N failed" (", N skipped" if any). `--long` runs fuzzing and
 * the swarm at full length. Further arguments go to vitest, e.g. a path or `-t NAME`.
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
if (long) Object.assign(environment, { SPINES_FUZZ_COUNT: '1000000', SPINES_FUZZ_CLIENT_COUNT: '100000', SPINES_SWARM: '1000', SPINES_LONG: '1' });
const run = spawnSync(
  process.execPath,
  [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--config', 'test/vitest.config.ts', '--reporter=default', '--reporter=json', `--outputFile.json=${results}`, ...rest],
  { cwd: root, env: environment, stdio: ['ignore', 'inherit', 'inherit'] },
);
let passed = 0, failed = 0, skipped = 0;
try {
  const report = JSON.parse(readFileSync(results, 'utf8'));
  passed = report.numPassedTests;
  failed = report.numFailedTests + (report.numFailedTestSuites > 0 && report.numFailedTests === 0 ? report.numFailedTestSuites : 0);
  skipped = report.numPendingTests + report.numTodoTests;
} catch {
  console.error('The test runner left no results.');
  failed = 1;
}
rmSync(folder, { recursive: true, force: true });
if (run.status !== 0 && failed === 0) failed = 1;
console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);

/**
 * Checks format, lint and the types of the tests, runs the test suite, says how long each part
 * took, and ends with a line "N passed, N failed" (", N skipped" if any); a check that finds
 * something is one that failed. What is tested is built before (prepare.mjs), and the whole suite
 * runs that. `--long` runs fuzzing and the swarm at full length. Further arguments go to vitest,
 * e.g. a path or `-t NAME`, and then nothing else is run.
 */
import { spawn } from 'node:child_process';
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

async function timed(part, work) {
  const began = Date.now();
  await work();
  took.push(`${part} ${Math.round((Date.now() - began) / 1000)} s`);
}

/** The exit code of a script run by this Node, null of one that a signal ended. */
function node(args, env = process.env) {
  return new Promise((resolve) => {
    spawn(process.execPath, args, { cwd: root, env, stdio: ['ignore', 'inherit', 'inherit'] })
      .once('error', () => resolve(null))
      .once('close', resolve);
  });
}

async function checkFormat() {
  const biome = join(root, 'node_modules/@biomejs/biome/bin/biome');
  if ((await node([biome, 'check', '--error-on-warnings', '.'])) === 0) return;
  console.error('Format or lint: `npm run format` mends what can be mended by itself.');
  failed++;
}

/** The types of all that is not built to be run: tests and bench. */
async function checkTypes() {
  if ((await node([join(root, 'node_modules/typescript/bin/tsc'), '--build', '.'])) === 0) return;
  console.error('Types: see above.');
  failed++;
}

async function run(...choice) {
  const status = await node(
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
    environment,
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
  failed += status !== 0 ? Math.max(1, failures) : failures;
}

if (rest.length > 0) {
  await checkTypes();
  await run(...rest);
} else {
  // Files that share a process share what is compiled: two fifths of the time. Each file on its own
  // is what `npm test PATH` runs, and from its sources.
  environment.SPINES_BUILT = '1';
  await timed('format and lint', checkFormat);
  // The compiler has one thread, and what it says of the tests is not needed to run them.
  const types = checkTypes();
  await timed('units and stories', () => run('--no-isolate', '--exclude', 'test/e2e/**'));
  await types;
  // Real daemons wait for each other most of the time, so two files at once; not beside tests that
  // compute, which they would measure.
  await timed('real daemons', () => run('test/e2e'));
}
rmSync(folder, { recursive: true, force: true });
if (took.length > 0) console.log(`\n${took.join(', ')}`);
console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);

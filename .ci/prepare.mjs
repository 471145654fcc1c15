/**
 * Makes a checkout ready to run with Node and npm alone: checks the Node version, installs what is
 * missing, builds what is out of date. Does nothing, and says nothing, when all is up to date.
 * Called by the npm scripts.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(
    `Node ${process.versions.node} is too old: spines needs 20.19 or later (https://nodejs.org).`,
  );
  process.exit(2);
}

function run(what, command, args) {
  const done = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  if (done.status !== 0) {
    console.error(`${what} failed (${command} ${args.join(' ')}).`);
    process.exit(done.status ?? 1);
  }
}

const stampFile = join(root, 'node_modules', '.spines-installed');
const wanted = createHash('sha256');
for (const file of ['package.json', 'spines-client/package.json', 'package-lock.json'])
  wanted.update(readFileSync(join(root, file)));
const stamp = wanted.digest('hex');
if (!existsSync(stampFile) || readFileSync(stampFile, 'utf8') !== stamp) {
  console.error('Installing packages ...');
  run('Installing', 'npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
  mkdirSync(dirname(stampFile), { recursive: true });
  writeFileSync(stampFile, stamp);
}

const projects = process.argv.length > 2 ? process.argv.slice(2) : ['src'];
run('Building', process.execPath, [
  join(root, 'node_modules/typescript/bin/tsc'),
  '--build',
  ...projects,
]);

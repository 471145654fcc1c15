/**
 * Makes a checkout ready to run with Node and npm alone: checks the Node version, installs what is
 * missing, builds what is out of date, removes what was built of files that are gone. Does nothing,
 * and says nothing, when all is up to date.
 * Called by the npm scripts.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { buildDashboard } from './dashboard.mjs';

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

// The compiler believes its notes, also when what they tell of was removed.
for (const [made, notes] of [
  ['spines-client/dist/index.js', 'spines-client/tsconfig.tsbuildinfo'],
  ['dist/cli/main.js', 'dist/tsconfig.tsbuildinfo'],
])
  if (!existsSync(join(root, made))) rmSync(join(root, notes), { force: true });
const projects = process.argv.length > 2 ? process.argv.slice(2) : ['src'];
run('Building', process.execPath, [
  join(root, 'node_modules/typescript/bin/tsc'),
  '--build',
  ...projects,
]);

/** Removes what the compiler made of sources that are gone: nothing of it is to be packed. */
function sweep(out, sources) {
  for (const entry of readdirSync(out, { withFileTypes: true })) {
    const path = join(out, entry.name);
    if (entry.isDirectory()) {
      if (existsSync(join(sources, entry.name))) sweep(path, join(sources, entry.name));
      else rmSync(path, { recursive: true });
    } else if (/\.(?:d\.ts|js|js\.map)$/.test(entry.name)) {
      const source = entry.name.replace(/\.(?:d\.ts|js|js\.map)$/, '.ts');
      if (!existsSync(join(sources, source))) rmSync(path);
    }
  }
}

await buildDashboard();
for (const room of readdirSync(join(root, 'src'), { withFileTypes: true }))
  if (
    room.isDirectory() &&
    // Made of other sources than those beside which it lies.
    room.name !== 'dashboard' &&
    existsSync(join(root, 'dist', room.name))
  )
    sweep(join(root, 'dist', room.name), join(root, 'src', room.name));
sweep(join(root, 'spines-client/dist'), join(root, 'spines-client/src'));

/**
 * Makes the dashboard of its sources: one script, one style sheet and a document in
 * `dist/dashboard`, with everything in them that the page needs. Says nothing, and does nothing
 * when all is up to date.
 *
 * The bundler is the one that the test runner brings along (rolldown). What it takes in of other
 * packages is listed, with their licences, in `licences.txt` beside the script.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const sources = join(root, 'src/dashboard'),
  out = join(root, 'dist/dashboard');
/** In the script, or in the style sheet. */
const PACKAGES = ['uplot', 'd3-force', 'd3-dispatch', 'd3-quadtree', 'd3-timer'];

/** Of all that the page is made of: sources of other rooms are in it, too. */
function stampOf() {
  const hash = createHash('sha256');
  const take = (folder) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) take(path);
      else if (/\.(?:ts|css|html)$/.test(entry.name))
        hash.update(entry.name).update(readFileSync(path));
    }
  };
  for (const room of ['src/dashboard', 'src/core/base', 'src/core/wire', 'src/core/routing'])
    take(join(root, room));
  for (const file of ['src/core/operator/ways.ts', 'src/cli/look/event-text.ts'])
    hash.update(readFileSync(join(root, file)));
  hash.update(readFileSync(fileURLToPath(import.meta.url)));
  for (const name of PACKAGES)
    hash.update(readFileSync(join(root, 'node_modules', name, 'package.json')));
  return hash.digest('hex');
}

export async function buildDashboard() {
  const stampFile = join(root, 'dist/.dashboard.stamp');
  const stamp = stampOf();
  if (
    existsSync(join(out, 'app.js')) &&
    existsSync(stampFile) &&
    readFileSync(stampFile, 'utf8') === stamp
  )
    return;
  const { build } = await import('rolldown');
  mkdirSync(out, { recursive: true });
  await build({
    input: join(sources, 'main.ts'),
    platform: 'browser',
    // Words for terminals share a file with words for all: nothing of Node is called here.
    resolve: { alias: { 'node:util': join(sources, 'no-node.ts') } },
    tsconfig: false,
    output: {
      dir: out,
      entryFileNames: 'app.js',
      chunkFileNames: 'charts.js',
      format: 'esm',
      minify: true,
    },
    logLevel: 'warn',
  });
  const style = (path) => readFileSync(path, 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
  const plotStyle = join(root, 'node_modules/uplot/dist/uPlot.min.css');
  const css = `${style(plotStyle)}\n${style(join(sources, 'style.css'))}`;
  writeFileSync(join(out, 'app.css'), css.replace(/\s+/g, ' ').trim());
  writeFileSync(join(out, 'index.html'), readFileSync(join(sources, 'index.html')));
  const licences = PACKAGES.map((name) => {
    const folder = join(root, 'node_modules', name);
    const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    return `${name} ${version}\n\n${readFileSync(join(folder, 'LICENSE'), 'utf8').trim()}\n`;
  });
  writeFileSync(join(out, 'licences.txt'), licences.join('\n\n'));
  writeFileSync(stampFile, stamp);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildDashboard();

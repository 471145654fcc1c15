/**
 * README's three hosts on one machine, as root and by its own blocks: from an empty folder to a
 * sealed network with traffic and dashboard. Skipped where there are no network namespaces, and in
 * short runs, which see only that bash can read it: it takes twenty seconds.
 */

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';

import { whyNoNamespaces } from '../support/namespaces.ts';
import { blocksOf } from '../support/pasted.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'spines-three-'));
const LONG = process.env['SPINES_LONG'] === '1';
const NAMES = ['hub', 'host-1', 'host-2', 'host-3'];
const taken = (): string[] => NAMES.filter((name) => existsSync(`/run/netns/${name}`));
/** A README is pasted on machines of others, whose namespaces are theirs. */
const cannot = !LONG || whyNoNamespaces() !== null || taken().length > 0;
afterAll(() => {
  if (!cannot) for (const name of taken()) spawnSync('ip', ['netns', 'del', name]);
  rmSync(folder, { recursive: true, force: true });
});

/** The section's blocks, in order. */
function blocks(): string[] {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const section = readme.slice(readme.indexOf('## Three hosts on one machine'));
  return blocksOf(section.slice(0, section.indexOf('\n## ', 3))).map(({ text }) => text);
}

test('is four blocks that bash can read', () => {
  const all = blocks();
  expect(all).toHaveLength(4);
  const { status, stderr } = spawnSync('bash', ['-n'], { input: all.join('\n') });
  expect([status, String(stderr)]).toEqual([0, '']);
});

test.skipIf(cannot)(
  'a sealed network of three, from an empty folder, in under five minutes',
  async () => {
    const [cables, network, traffic, end, ...more] = blocks();
    expect(more).toEqual([]);
    const script = [
      'set -m',
      cables,
      network,
      'echo ==== traffic',
      traffic,
      'curl -s -o /dev/null -w "dashboard %{http_code}\\n" http://127.0.0.1:8090/',
      'echo ==== end',
      end,
      'wait',
    ].join('\n');
    const startedMs = performance.now();
    const shell = spawn('bash', ['-c', script], {
      cwd: folder,
      env: {
        ...process.env,
        PATH: `${join(root, 'bin')}:${dirname(process.execPath)}:${process.env['PATH']}`,
      },
    });
    let said = '';
    for (const stream of [shell.stdout, shell.stderr])
      stream.on('data', (chunk: Buffer) => {
        said += String(chunk);
      });
    await new Promise((resolve) => shell.once('close', resolve));
    const [made, moved, ended] = said.split(/==== (?:traffic|end)\n/) as [string, string, string];
    expect(made).toMatch(/3 sent, 3 received/);
    expect(made).toMatch(/^security +sealed/m);
    expect(made).toMatch(/^node-2 +up/m);
    expect(moved).toMatch(/http:\/\/127\.0\.0\.1:8090\//);
    expect(moved).toMatch(/^dashboard 40[13]$/m);
    expect(moved).toMatch(/^reliable/m);
    expect(moved).toMatch(/^drained: nothing of others passes here\nstopped node-2/m);
    expect(ended).toMatch(/^stopped /m);
    expect(taken()).toEqual([]);
    expect(readdirSync(folder).sort()).toEqual(['1.log', '2.log', '3.log', 'three']);
    expect(performance.now() - startedMs).toBeLessThan(300_000);
  },
  300_000,
);

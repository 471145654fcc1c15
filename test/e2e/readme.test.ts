/**
 * README.md as its readers use it: every block pasted at once into a terminal of 80 columns, by a
 * user who is not root, on a fresh copy.
 *
 * What cannot be run as it stands has a treatment below, with the reason. SPINES_LONG=1 pastes what
 * takes minutes too.
 */

import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

import { blocksOf, CAN_PASTE, COLUMNS, Reader, type Block } from '../support/pasted.ts';

interface Treatment {
  /** In exactly one block. */
  readonly has: string;
  /** Pasted in long runs only, and why. */
  readonly long?: string;
  /** Not pasted, and why. */
  readonly skip?: string;
  /** Lines that are left out, and why. */
  readonly without?: readonly [RegExp, string][];
  readonly longLines?: readonly [RegExp, string][];
  /** What stands for what the reader has and the test has not. */
  readonly instead?: readonly [string, string][];
  /** What the text around the block tells the reader to do first. */
  readonly before?: string;
  /** Command lines that may say no: exit code 1. */
  readonly mayBeNo?: RegExp;
  /** Where the text tells to save it, and to type afterwards. */
  readonly save?: readonly [string, string];
}

const root = fileURLToPath(new URL('../..', import.meta.url));
const LONG = process.env['SPINES_LONG'] === '1';
const BLOCK_MS = LONG ? 900_000 : 180_000;
/** Of what is committed: a reader's copy has nothing else. */
const CAN_CLONE = spawnSync('git', ['-C', root, 'rev-parse', 'HEAD']).status === 0;
/** As the second block begins, after what `npm start` does first. */
const FRESH = `npm ci
npm run build
export PATH="$PWD/bin:$PATH"
spines init lab -n 2 --dir ~/lab
spines daemon --config ~/lab/node-1/spines.yaml 2> ~/1.log &
spines daemon --config ~/lab/node-2/spines.yaml 2> ~/2.log &
spines ping node-2 -c 1 --wait 5m --socket ~/lab/node-1/spines.sock
spines stop ~/lab`;

const HOSTS: readonly [string, string][] = [
  ['192.0.2.', '127.0.1.'],
  ['node-1/spines.sock', 'lab/node-1/spines.sock'],
  ['FILE', 'README.md'],
];
const TREATMENTS: readonly Treatment[] = [
  {
    has: 'npm start',
    long: 'twenty seconds of six daemons in real time',
    without: [[/^npm test/, 'runs this test']],
  },
  { has: "from 'spines-client'", save: ['hello.mjs', 'node hello.mjs'] },
  {
    has: 'topologies/ring-12.yaml',
    longLines: [[/random-300/, 'a minute where the processor is shared']],
  },
  ...[
    'ip netns add',
    'spines init three',
    'spines talk --listen --socket three',
    'ip netns del',
  ].map((has) => ({ has, skip: 'needs root: three-hosts.test.ts pastes it' })),
  { has: 'systemctl', skip: 'needs systemd, and makes a user' },
  { has: 'figures dsn03', long: 'minutes of computation' },
  {
    has: 'scp -rp',
    without: [[/^scp /, 'needs three hosts; here the nodes are addresses of one']],
    instead: HOSTS,
  },
  {
    has: 'spines doctor',
    instead: HOSTS,
    mayBeNo: /doctor/,
    before:
      ['1', '2', '3']
        .map((i) => `spines daemon --config lab/node-${i}/spines.yaml 2> ${i}.log &`)
        .join('\n') +
      '\nspines ping node-3 -c 1 --wait 1m --socket lab/node-1/spines.sock\nspines cat --listen ' +
      '7000 --socket lab/node-3/spines.sock > COPY &',
  },
  {
    has: '--routing byzantine',
    instead: HOSTS,
    before: 'spines cat --listen 7000 --socket lab/node-3/spines.sock > COPY &',
  },
];

const blocks = blocksOf(readFileSync(join(root, 'README.md'), 'utf8'));

/** What is pasted of a block, '' when nothing is. */
function pasteOf({ language, text }: Block, treatment: Treatment | undefined): string {
  if (treatment?.save !== undefined) return treatment.save[1];
  if (
    language !== 'sh' ||
    treatment?.skip !== undefined ||
    (treatment?.long !== undefined && !LONG)
  )
    return '';
  const left = [...(treatment?.without ?? []), ...(LONG ? [] : (treatment?.longLines ?? []))];
  let lines = text
    .split('\n')
    .filter((line) => !left.some(([pattern]) => pattern.test(line)))
    .join('\n');
  for (const [from, to] of treatment?.instead ?? []) lines = lines.replaceAll(from, to);
  return `${treatment?.before === undefined ? '' : `${treatment.before}\n`}${lines}`;
}

describe('README.md', () => {
  test(
    'no line of a block is wider than a terminal, ' +
      'and no treatment is for a block that is gone',
    () => {
      const wide = blocks.flatMap(({ line, text }) =>
        text
          .split('\n')
          .flatMap((code, i) =>
            code.length > COLUMNS ? [`${line + i}: ${code.length} columns`] : [],
          ),
      );
      expect(wide).toEqual([]);
      for (const { has, without = [], longLines = [] } of TREATMENTS) {
        const matching = blocks.filter(({ text }) => text.includes(has));
        expect(matching, has).toHaveLength(1);
        for (const [pattern, why] of [...without, ...longLines])
          expect(
            matching[0]!.text.split('\n').some((line) => pattern.test(line)),
            why,
          ).toBe(true);
      }
    },
  );

  test.skipIf(!CAN_PASTE)(
    'every block works, pasted at once',
    async () => {
      const reader = new Reader();
      const faults: string[] = [];
      try {
        reader.open(root);
        // Where a long run builds, it builds all of it.
        if (LONG) await reader.paste('rm -rf dist spines-client/dist', BLOCK_MS);
        else await reader.paste('export PATH="$PWD/bin:$PATH"', BLOCK_MS);
        for (const block of blocks) {
          const treatment = TREATMENTS.find(({ has }) => block.text.includes(has));
          if (treatment?.save !== undefined)
            writeFileSync(
              join(reader.checkout, treatment.save[0]),
              block.text.replaceAll('/tmp/lab', `${reader.folder}/home/lab`),
            );
          // A folder of his own: others of this machine may have /tmp/lab.
          const text = pasteOf(block, treatment).replaceAll(
            '/tmp/lab',
            `${reader.folder}/home/lab`,
          );
          if (text === '') continue;
          const { ran, stopped, screen } = await reader.paste(text, BLOCK_MS);
          const failed = ran.filter(
            ({ command, code }) =>
              code !== 0 && !(code === 1 && treatment?.mayBeNo?.test(command) === true),
          );
          for (const { command, code } of failed)
            faults.push(`README.md:${block.line}: exit code ${code} of \`${command}\`\n${screen}`);
          if (stopped > 0)
            faults.push(
              `README.md:${block.line}: ${stopped} jobs stopped by the terminal\n${screen}`,
            );
          if (/\n\s+at .*:\d+:\d+/.test(screen))
            faults.push(`README.md:${block.line}: a stack\n${screen}`);
        }
        // What README leaves running on hosts, each of which has one daemon.
        const { ran } = await reader.paste('spines stop --all', BLOCK_MS);
        expect(ran).toMatchObject([{ code: 0 }]);
      } finally {
        const left = await reader.close();
        if (left.length > 0)
          faults.push(`still running after README's last block: ${left.join('; ')}`);
      }
      expect(faults).toEqual([]);
    },
    LONG ? 3_600_000 : 600_000,
  );

  test.runIf(LONG && CAN_PASTE && CAN_CLONE)(
    'a clone in an empty folder installs, builds and runs',
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'spines-packages-')),
        cache = join(folder, 'cache');
      const reader = new Reader();
      try {
        for (const name of ['package.json', 'package-lock.json', 'spines-client/package.json'])
          cpSync(join(root, name), join(folder, name), { recursive: true });
        const filled = spawnSync('npm', ['ci', '--ignore-scripts', '--cache', cache], {
          cwd: folder,
          encoding: 'utf8',
        });
        expect(filled.status, filled.stderr).toBe(0);
        reader.open(root, cache);
        const { ran, screen } = await reader.paste(FRESH, BLOCK_MS);
        expect(
          ran.filter(({ code }) => code !== 0),
          screen,
        ).toEqual([]);
        expect(screen).toContain('(10.0.0.2) ping statistics');
      } finally {
        const left = await reader.close();
        rmSync(folder, { recursive: true, force: true });
        expect(left).toEqual([]);
      }
    },
    1_800_000,
  );
});

/**
 * `spines demo --once`: real daemons, a link that is cut, an adversary that is convicted; and that
 * a signal ends it with nothing left over.
 */

import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { PROGRAM } from '../support/processes.ts';

interface Ended {
  readonly code: number | null;
  readonly text: string;
  readonly left: string[];
}

/** Runs it with a folder for temporary files of its own; `at`: SIGINT once that was said. */
async function demo(flags: readonly string[], at: RegExp | null): Promise<Ended> {
  const folder = mkdtempSync(join(tmpdir(), 'demo-'));
  try {
    const child = spawn(process.execPath, [PROGRAM, 'demo', ...flags], {
      env: { ...process.env, TMPDIR: folder },
    });
    let text = '',
      told = false;
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (some: string) => {
        text += some;
        if (told || at?.test(text) !== true) return;
        told = true;
        child.kill('SIGINT');
      });
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    const { stdout } = spawnSync('ps', ['-eo', 'args'], { encoding: 'utf8' });
    const running = stdout.split('\n').filter((line) => line.includes(folder));
    return { code, text, left: [...running, ...readdirSync(folder)] };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function told({ text, code, left }: Ended): void {
  expect(text).toMatch(/http:\/\/127\.0\.0\.1:\d+\/dashboard\/\?token=[0-9a-f]{48}\n/);
  expect(text).toMatch(/cut the link rome-(\w+)[\s\S]*rerouted by (?!\1\b)\w+: for \d+ ms/);
  expect(text).toMatch(/turned (\w+) adversarial[\s\S]*convicted the link [\w-]*\1[\w-]* after/);
  expect({ code, left }).toEqual({ code: 0, left: [] });
}

test('the demo goes as it is told, and a signal ends it: nothing is left over', async () => {
  const ended = await demo(['--pause', '0'], /is honest again/);
  told(ended);
  expect(ended.text).toContain('ended; nothing is left over');
});

test.runIf(process.env['SPINES_LONG'] === '1')('with --once it ends by itself', async () => {
  told(await demo(['--once'], null));
});

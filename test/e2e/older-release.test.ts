/**
 * Daemons of this build beside daemons of the release before: links both ways, a stream through
 * both, and an upgrade one by one.
 *
 * SPINES_OLDER=DIR: a built checkout of that release (`git worktree add DIR TAG && cd DIR && npm ci
 * && npm run build`). Without it there is nothing to compare with.
 */

import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';

import { PROGRAM, RealNetwork, spines } from '../support/processes.ts';

const OLDER = process.env['SPINES_OLDER'];
/**
 * As long as there are daemons that know nothing else: protection is never weakened unseen, so it
 * has to be asked for.
 */
const OPEN = ['--secrecy', 'links'];
const LINE: [number, number][] = [
  [0, 1],
  [1, 2],
];

describe.skipIf(OLDER === undefined)('beside the release before', () => {
  const older = join(OLDER ?? '', 'dist/cli/main.js');
  let network = new RealNetwork();
  afterEach(async () => {
    await network.close();
    network = new RealNetwork();
  });

  /** Runs `program` in place of what that daemon is. */
  async function replace(index: number, program: string): Promise<void> {
    const daemon = network.daemons[index]!;
    await daemon.end('SIGTERM');
    daemon.program = program;
    daemon.start();
  }

  async function carries(): Promise<void> {
    await network.converged();
    const file = randomBytes(1024 * 1024);
    const listener = spines([
      'cat',
      '--listen',
      '7000',
      ...OPEN,
      '--socket',
      network.daemons[2]!.socket,
    ]);
    let sent = await spines(
      ['cat', 'n2', '7000', ...OPEN, '--socket', network.daemons[0]!.socket],
      { input: file },
    );
    for (let tries = 0; sent.code !== 0 && tries < 40; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      sent = await spines(['cat', 'n2', '7000', ...OPEN, '--socket', network.daemons[0]!.socket], {
        input: file,
      });
    }
    expect(sent.stderr).toBe('');
    expect((await listener).stdout.equals(file)).toBe(true);
  }

  test.each([
    ['sealed', []],
    ['none', ['--security', 'none']],
  ] as const)(
    'one daemon after the other is upgraded, and back, and what is sent arrives (security %s)',
    async (_name, extra) => {
      await network.start(3, LINE, extra);
      await network.converged();
      for (const index of [0, 1, 2]) await replace(index, older);
      await carries();
      for (const [index, program] of [
        [1, PROGRAM],
        [0, PROGRAM],
        [2, PROGRAM],
        [1, older],
      ] as const) {
        await replace(index, program);
        await carries();
      }
    },
    600_000,
  );
});

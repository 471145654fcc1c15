/**
 * Every command that shows something of a daemon, on a terminal of 80 columns: daemons with the
 * longest names there are, on IPv6, beside neighbours that do not answer. SPINES_LONG=1 runs all of
 * them, else the widest.
 */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { makeTemporaryNetwork } from '../../src/cli/replay/temporary-network.ts';
import { freePorts, RealDaemon, spines } from '../support/processes.ts';

const LONG = process.env['SPINES_LONG'] === '1';
const COLUMNS = 80;
const NAMES = ['first', 'other'].map(
  (name) => `${name}-${'of-sixty-three-bytes-'.repeat(3)}`.slice(0, 62).replace(/-$/, 'x') + '9',
);
const folder = mkdtempSync(join(tmpdir(), 'spines-width-'));
const daemons: RealDaemon[] = [];
let keys: string[] = [];
const at = (i: number, ...path: string[]): string => join(folder, `n${i}`, ...path);

beforeAll(async () => {
  for (const i of [0, 1]) mkdirSync(at(i));
  keys = makeTemporaryNetwork(
    'width',
    NAMES.map((name, i) => ({ name, id: 0xdfff_fffe - i, folder: at(i) })),
  );
  const [one, two, none] = (await freePorts(3)) as [number, number, number];
  [one, two].forEach((port, i) => {
    const links =
      i === 0
        ? [`[::1]:${two}`, `[::1]:${none}`, `[2001:db8:ffff:ffff:ffff:ffff:ffff:fff1]:65535`]
        : [];
    daemons.push(
      new RealDaemon(NAMES[i]!, port, at(i, 's'), [
        '--identity',
        at(i),
        '--listen',
        `[::1]:${port}`,
        '--socket',
        at(i, 's'),
        '--allow-emulation',
        ...links.flatMap((link) => ['--link', link]),
      ]),
    );
  });
  for (const daemon of daemons) daemon.start();
  const ready = await spines([
    'ping',
    NAMES[1]!,
    '-c',
    '1',
    '--wait',
    '60',
    '--socket',
    at(0, 's'),
  ]);
  expect(ready.code, ready.stderr + daemons.map(({ log }) => log).join('\n')).toBe(0);
}, 120_000);

afterAll(async () => {
  await Promise.all(daemons.map((daemon) => daemon.end('SIGKILL')));
  rmSync(folder, { recursive: true, force: true });
});

/**
 * Whether the command says yes does not matter here: `doctor` and `links` have to tell of what is
 * missing.
 */
async function shown(args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await spines(args, { env: { COLUMNS: '' } });
  expect(stderr).not.toMatch(/\n\s+at |error: unknown/);
  const text = stdout.toString();
  expect(text, `${args.join(' ')}: ${stderr}`).not.toBe('');
  for (const line of text.split('\n'))
    expect(line.length, `${args.join(' ')}: ${line}`).toBeLessThanOrEqual(COLUMNS);
  return text;
}

const WIDEST = [['links', '--all'], ['status', '--all'], ['doctor'], ['links']];
const OTHERS = [
  ['status'],
  ['explain', NAMES[1]!],
  ['graph', '--format', 'dot'],
  ['sessions', '--all'],
  ['nodes'],
  ['routes'],
  ['routes', '--byzantine'],
  ['sessions'],
  ['trace', NAMES[1]!],
  ['trace', NAMES[1]!, '--routing', 'byzantine'],
  ['ping', NAMES[1]!, '-c', '1'],
  ['ping', '1.2.3.4', '-c', '1'],
  ['link', 'show'],
  ['link', 'set', NAMES[1]!, '--latency', '1ms'],
];

test('what a daemon is asked for', async () => {
  const said = await Promise.all(
    [...WIDEST, ...(LONG ? OTHERS : [])].map((command) =>
      shown([...command, '--socket', at(0, 's')]),
    ),
  );
  expect(said[0]).toMatch(/223\.255\.255\.253 +oth\S*\.\.\S+ +\[::1\]:\d+ +up/);
  expect(said[1]).toContain(NAMES[0]);
  expect(said[3]).toMatch(/\noth\S*\.\.\S+ +up/);
  // What is cut in a table is whole in the paragraph that tells what is wrong, and in JSON.
  expect(said[2]).toContain('[2001:db8:ffff:ffff:ffff:ffff:ffff:fff1]:65535');
}, 60_000);

test.runIf(LONG)(
  'files',
  async () => {
    const config = at(0, 'spines.yaml');
    writeFileSync(
      config,
      [
        'identity:',
        '  key: node.key',
        '  certificate: node.crt',
        '  authorities: [authority.pub]',
        'listen: ["[2001:db8:ffff:ffff:ffff:ffff:ffff:fff1]:65535", "[::]:65534"]',
        'links:',
        `  - { address: "[2001:db8:ffff:ffff:ffff:ffff:ffff:fff2]:65535", key: "${keys[1]!}" }`,
      ].join('\n') + '\n',
    );
    const made = join(folder, 'authority');
    for (const args of [
      ['config', 'show', config],
      ['keys', 'init', '--dir', made],
      ['keys', 'node', NAMES[0]!, '--id', '223.255.255.254', '--dir', made],
      ['keys', 'sign', join(made, `${NAMES[0]!}.req`), '--dir', made],
      [
        'keys',
        'verify',
        join(made, `${NAMES[0]!}.crt`),
        '--authority',
        join(made, 'authority.pub'),
      ],
      ...['crt', 'req', 'key'].map((end) => ['keys', 'show', join(made, `${NAMES[0]!}.${end}`)]),
      ['keys', 'show', join(made, 'authority.pub')],
      ['keys', 'revoke', join(made, `${NAMES[0]!}.crt`), '--dir', made],
      ['keys', 'rotate', join(made, `${NAMES[0]!}.key`)],
      ['version'],
    ]) {
      const { stdout, stderr } = await spines(args, { env: { COLUMNS: '' } });
      const wide = stdout
        .toString()
        .split('\n')
        .filter((line) => line.length > COLUMNS && !line.includes(folder));
      expect(wide, `${args.join(' ')}: ${stderr}`).toEqual([]);
      expect(stdout.toString(), `${args.join(' ')}: ${stderr}`).not.toBe('');
    }
  },
  120_000,
);

/** How daemons and tunnels end: by `spines stop`, and with the npx that ran them. */

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';

import type { Schema } from '../../src/cli/reference/type-schemas.ts';
import { faultsOf } from '../support/json-schema.ts';
import { freePorts, PROGRAM, RealNetwork, spines } from '../support/processes.ts';

const network = new RealNetwork();
const children: ChildProcess[] = [];
beforeAll(async () => {
  await network.start(3, [
    [0, 1],
    [1, 2],
  ]);
  await network.converged();
}, 60_000);
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await network.close();
});

const exited = (child: ChildProcess): Promise<number | null> =>
  new Promise((resolve) => child.once('exit', (code) => resolve(code)));
function run(args: string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...env },
  });
  children.push(child);
  return child;
}
const said = (child: ChildProcess, text: string): Promise<void> =>
  new Promise((resolve) => {
    let all = '';
    child.stderr!.on('data', (chunk: Buffer) => {
      all += chunk.toString();
      if (all.includes(text)) resolve();
    });
  });

const LOOKS: readonly string[][] = [
  ['status'],
  ['links'],
  ['routes'],
  ['routes', '--byzantine'],
  ['nodes'],
  ['sessions'],
  ['groups'],
  ['firewall'],
  ['explain', 'n2'],
  ['ping', 'n2', '-c', '2', '-i', '50ms'],
  ['trace', 'n2'],
  ['graph', '--format', 'json'],
  ['link', 'list'],
  ['link', 'show'],
  ['log', 'level'],
  ['version'],
];

test('what commands print as JSON is as their published schemas have it', async () => {
  const { commands, $defs } = JSON.parse(
    readFileSync(new URL('../../spines-client/schemas.json', import.meta.url), 'utf8'),
  ) as { commands: Record<string, Schema>; $defs: Record<string, Schema> };
  const { socket } = network.daemons[0]!;
  const faults = await Promise.all(
    LOOKS.map(async (words) => {
      const flags = [
        ...(words.includes('json') ? [] : ['--json']),
        ...(words[0] === 'version' ? [] : ['--socket', socket]),
      ];
      const { stdout, stderr } = await spines([...words, ...flags]);
      const name = Object.keys(commands).findLast((one) => words.join(' ').startsWith(one))!;
      return faultsOf(JSON.parse(String(stdout) || stderr), commands[name]!, $defs, name);
    }),
  );
  expect(faults.flat()).toEqual([]);
}, 60_000);

test('drain: not where it cuts others off; else told, quiet, and stopped', async () => {
  const [, middle, leaf] = network.daemons;
  const refused = await spines(['drain', '--socket', middle!.socket]);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(/^spines: n2 would be cut off .*--force\n$/);
  const held = await spines(['drain', '--socket', middle!.socket, '--force', '--stay']);
  expect(held.code).toBe(0);
  expect(String(held.stdout)).toBe('drained: nothing of others passes here\n');
  const { stdout } = await spines(['status', '--socket', middle!.socket]);
  expect(String(stdout)).toMatch(/^transit +drained; `spines drain --end`/m);
  const ended = await spines(['drain', '--socket', middle!.socket, '--end']);
  expect(String(ended.stdout)).toBe('it carries packets of others again\n');
  const { socket, process: child } = leaf!;
  const gone = exited(child!);
  const told = await spines(['drain', '--socket', socket, '--timeout', '9s']);
  expect(told).toMatchObject({ code: 0, stderr: '' });
  expect(String(told.stdout)).toBe(
    'drained: nothing of others passes here\nstopped n2 (10.0.0.3)\n',
  );
  expect(await gone).toBe(0);
  expect((await spines(['drain', '--socket', socket])).code).toBe(3);
}, 60_000);

test('stop: when there is none to ask, or too much is asked', async () => {
  const { socket } = network.daemons[2]!;
  expect((await spines(['stop', '--socket', socket])).code).toBe(3);
  expect((await spines(['stop', '/tmp', '--all'])).stderr).toMatch(
    /^spines: --all stops everything, a folder what belongs to it; give one of the two\n$/,
  );
}, 60_000);

/** Another user than ours, where we may be one. */
const asNobody = ['--reuid=65534', '--regid=65534', '--clear-groups'];
const noNobody =
  spawnSync('setpriv', [...asNobody, process.execPath, PROGRAM, 'version']).status !== 0;

test.skipIf(noNobody)(
  "stop FOLDER does not say that another user's tunnel is stopped",
  async () => {
    const tunnel = run(['socks', '0', '--exit', 'n1'], {
      SPINES_SOCKET: network.daemons[0]!.socket,
    });
    await said(tunnel, 'SOCKS5');
    // Where it belongs is in its environment, which is not for others to see.
    const { status, stderr } = spawnSync(
      'setpriv',
      [...asNobody, process.execPath, PROGRAM, 'stop', `${network.folder}-not`],
      { encoding: 'utf8' },
    );
    expect(stderr).toMatch(
      new RegExp(`socks 0 --exit n1 \\(pid ${tunnel.pid!}\\) is another user's`),
    );
    expect(stderr).toContain('be their user or root');
    expect(status).toBe(1);
    tunnel.kill('SIGKILL');
  },
  60_000,
);

test('stop FOLDER: its daemons and tunnels, ' +
  'those that were told of it in the environment too, and nobody else', async () => {
  const { socket } = network.daemons[0]!;
  const tunnel = run(['socks', '0', '--exit', 'n1'], { SPINES_SOCKET: socket });
  await said(tunnel, 'SOCKS5');
  const tunnelGone = exited(tunnel);
  expect((await spines(['stop', `${network.folder}-not`])).stdout.toString()).toBe(
    `nothing that this user may see runs with a file in ${network.folder}-not\n`,
  );
  const daemons = network.daemons.slice(0, 2).map(({ process: child }) => exited(child!));
  const ran = await spines(['stop', network.folder]);
  expect(ran).toMatchObject({ code: 0, stderr: '' });
  expect(ran.stdout.toString()).toMatch(
    /^stopped socks 0 --exit n1\nstopped daemon .*\nstopped daemon .*\n$/,
  );
  expect(await Promise.all([tunnelGone, ...daemons])).toEqual([0, 0, 0]);
}, 60_000);

test('with npx, whose shell passes no signal on, a command ends', async () => {
  const [port] = await freePorts(1);
  const shell = spawn(
    'sh',
    [
      '-c',
      `'${process.execPath}' '${PROGRAM}' daemon --security none --id 10.0.0.9 --listen ` +
        `127.0.0.1:${port!} --socket '${network.folder}/npx.sock'; true`,
    ],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, npm_lifecycle_event: 'npx', npm_lifecycle_script: "'spines'" },
    },
  );
  children.push(shell);
  await said(shell, 'daemon started');
  // The daemon holds the other end of this pipe.
  const ended = new Promise((resolve) => shell.stderr!.once('close', resolve));
  shell.kill('SIGTERM');
  await ended;
}, 60_000);

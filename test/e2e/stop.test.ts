/** How daemons and tunnels end: by `spines stop`, and with the npx that ran them. */

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';

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

test('stop: the daemon that is asked, awaited; then there is none to ask', async () => {
  const { socket, process: child } = network.daemons[2]!;
  const gone = exited(child!);
  expect(await spines(['stop', '--socket', socket])).toMatchObject({ code: 0, stderr: '' });
  expect(await gone).toBe(0);
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

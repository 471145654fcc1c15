/**
 * Ways to a real daemon: socket, TCP with a token, and from another machine with certificates, with
 * the program's own commands.
 */

import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { freePorts, RealDaemon, spines } from '../support/processes.ts';

const folder = mkdtempSync(join(tmpdir(), 'spines-clients-'));
const at = (name: string): string => join(folder, name);
let daemon: RealDaemon | undefined;
let tcp = '',
  remote = '';

async function freeTcpPort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as { port: number };
  await new Promise<void>((resolve) => probe.close(() => resolve()));
  return port;
}

async function keys(...args: string[]): Promise<void> {
  expect(await spines(['keys', ...args])).toMatchObject({ code: 0 });
}

const withCertificate = (name: string): string[] => [
  '--remote',
  remote,
  '--daemon-certificate',
  at('n0.crt'),
  '--certificate',
  at(`${name}.crt`),
  '--key',
  at(`${name}.key`),
];

beforeAll(async () => {
  await keys('init', '--dir', folder);
  for (const [name, ...who] of [
    ['n0', '--id', '10.0.0.1'],
    ['alice', '--client'],
    ['n9', '--id', '10.0.0.9'],
  ] as const) {
    await keys('node', name, ...who, '--dir', folder);
    await keys('sign', at(`${name}.req`), '--dir', folder);
  }
  const [port] = await freePorts(1);
  tcp = `127.0.0.1:${await freeTcpPort()}`;
  remote = `127.0.0.1:${await freeTcpPort()}`;
  writeFileSync(
    at('n0.yaml'),
    `
identity: { key: n0.key, certificate: n0.crt, authorities: [authority.pub] }
listen: ["127.0.0.1:${port!}"]
client:
  { socket: n0.sock, group: ${process.getgid!()}, tcp: { address: "${tcp}", token: token },
    remote: "${remote}" }
`,
  );
  daemon = new RealDaemon('n0', port!, at('n0.sock'), ['--config', at('n0.yaml')]);
  daemon.start();
  await (await daemon.connect()).close();
}, 60_000);
afterAll(async () => {
  await daemon?.end('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

test("the socket has the mode and group of the config, and the token file is its owner's", () => {
  expect(statSync(at('n0.sock'))).toMatchObject({ gid: process.getgid!() });
  expect(statSync(at('n0.sock')).mode & 0o777).toBe(0o660);
  expect(statSync(at('token')).mode & 0o777).toBe(0o600);
});

test('over TCP the token file is the way in', async () => {
  const status = ['status', '--tcp', tcp];
  expect(await spines([...status, '--token-file', at('token')])).toMatchObject({ code: 0 });
  expect(await spines(status, { env: { SPINES_TOKEN_FILE: at('token') } })).toMatchObject({
    code: 0,
  });
  const none = await spines(status);
  expect(none).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(
      /^spines: the daemon ends the connection: over TCP it wants a token; give [^\n]+\n$/,
    ),
  });
  writeFileSync(at('wrong'), '0'.repeat(64));
  expect(await spines([...status, '--token-file', at('wrong')])).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/the token is not that of this daemon; [^\n]+\n$/),
  });
}, 60_000);

test('from afar a certificate with the role client is, and it may look only', async () => {
  for (const command of [['status'], ['nodes'], ['sessions'], ['ping', 'n0', '-c', '1']]) {
    expect(
      await spines([...command, ...withCertificate('alice')]),
      command.join(' '),
    ).toMatchObject({ code: 0, stderr: '' });
  }
  expect(
    await spines(['link', 'set', 'n0', '--loss', '1%', ...withCertificate('alice')]),
  ).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/needs the role full, and alice has use here; [^\n]+\n$/),
  });
  expect(await spines(['status', ...withCertificate('n9')])).toMatchObject({
    code: 3,
    stderr: expect.stringMatching(/^spines: no handshake with the daemon at [^\n]+; [^\n]+\n$/),
  });
  const drops = JSON.parse(
    (await spines(['status', '--json', '--socket', at('n0.sock')])).stdout.toString(),
  ) as { drops: Record<string, number> };
  expect(drops.drops).toMatchObject({ certificateRole: 1, clientUnauthenticated: 2 });
}, 60_000);

test('remote datagrams go through the sealed connection', async () => {
  const listen = (): ReturnType<typeof spines> =>
    spines(['cat', '-u', '--listen', '70', '--socket', at('n0.sock')]);
  let hear = listen();
  for (let tries = 0; tries < 20; tries += 1) {
    await spines(['cat', '-u', 'n0', '70', ...withCertificate('alice')], {
      input: Buffer.from('sealed\n'),
    });
    const done = await Promise.race([
      hear,
      new Promise<null>((resolve) => setTimeout(resolve, 100, null)),
    ]);
    if (done === null) continue;
    if (done.stdout.length === 0) {
      // It began to listen between the message and its end.
      hear = listen();
      continue;
    }
    expect(done.stdout.toString()).toContain('sealed');
    return;
  }
  throw new Error('nothing was heard');
}, 60_000);

test('the daemon ends in order with all its doors', async () => {
  await daemon!.end('SIGTERM');
  expect(daemon!.process!.exitCode).toBe(0);
  expect(existsSync(at('n0.sock'))).toBe(false);
}, 30_000);

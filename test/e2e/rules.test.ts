/**
 * Rules of a real daemon, tried by real programs: at two other nodes, from afar with certificates,
 * and through tunnels to targets behind it. What is refused is refused at once, and counted.
 */

import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { SpinesClient, type LinkServiceName, type StatusReply } from 'spines-client';

import { makeIdentity } from '../../src/cli/keys/keys-node.ts';
import { nowS } from '../../src/cli/keys/keys-authority.ts';
import { NO_NODE } from '../../src/core/base/ids.ts';
import { issueCertificate, makeAuthority } from '../../src/core/crypto/certificates.ts';
import { makeSigningKeys } from '../../src/core/crypto/keys.ts';
import { armour } from '../../src/core/wire/armour.ts';
import { ROLE_CLIENT, ROLE_ROUTER } from '../../src/core/wire/certificate.ts';
import { nodePrimitives } from '../../src/host/primitives/node-primitives.ts';
import { secureRandom } from '../../src/host/primitives/secure-random.ts';
import { freePorts, PROGRAM, RealDaemon } from '../support/processes.ts';

const folder = mkdtempSync(join(tmpdir(), 'spines-rules-'));
const at = (...path: string[]): string => join(folder, ...path);
const daemons: RealDaemon[] = [];
const running: ChildProcess[] = [];
const clients: SpinesClient[] = [];
let target: Server, elsewhere: Server;
/** TCP port where remote clients come in. */
let door: number;
/** `n0` has the rules. */
let here: SpinesClient, n1: SpinesClient, n2: SpinesClient, alice: SpinesClient, bob: SpinesClient;

/** A refused connect waits for no timeout; a machine that is busy answers late. */
const AT_ONCE_MS = 2_000;

function identities(): void {
  const validity = { notBeforeS: nowS() - 3_600, notAfterS: nowS() + 86_400 };
  const keys = makeSigningKeys(secureRandom),
    authority = makeAuthority('rules', keys, validity, null, nodePrimitives);
  writeFileSync(at('authority.pub'), armour('SPINES AUTHORITY', authority.bytes));
  for (const [name, node, groups] of [
    ['n0', 0x0a00_0001, []],
    ['n1', 0x0a00_0002, ['ops']],
    ['n2', 0x0a00_0003, ['guests']],
    ['alice', NO_NODE, ['crew']],
    ['bob', NO_NODE, []],
  ] as const) {
    const { request, keyText } = makeIdentity(name, node, groups);
    const roles = node === NO_NODE ? ROLE_CLIENT : ROLE_ROUTER;
    const { bytes } = issueCertificate(
      request,
      roles,
      validity,
      authority,
      keys.secret,
      secureRandom,
      nodePrimitives,
      groups,
    );
    writeFileSync(at(`${name}.crt`), armour('SPINES CERTIFICATE', bytes));
    writeFileSync(at(`${name}.key`), keyText(null), { mode: 0o600 });
  }
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** `open`: who of the nodes may reach the target. */
function firewall(open: string): string {
  return `
firewall:
  default: { inbound: allow, targets: deny, clients: deny }
  inbound:
    - { action: allow, node: n1, port: 100-110, kind: stream }
    - { action: deny, node: n1, port: 100-120 }
    - { action: deny, group: guests, link: reliable, kind: datagram }
    - { action: deny, node: 10.0.0.3, port: [200, 210-219] }
    - { action: deny, port: 300, kind: stream }
    - { action: deny, port: 400, routing: link-state }
  targets:
    - { action: allow, ${open}, target: "127.0.0.1:${portOf(target)}" }
  clients:
    - { action: allow, client: alice, use: send, node: n1, port: 500 }
    - { action: allow, group: crew, use: listen, port: 600-601, kind: stream }
`;
}

beforeAll(async () => {
  identities();
  [target, elsewhere] = [0, 1].map(() =>
    createServer((socket) => {
      socket.on('error', () => {}).write('here');
    }),
  ) as [Server, Server];
  for (const server of [target, elsewhere]) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  }
  const remote = createServer().listen(0, '127.0.0.1');
  await once(remote, 'listening');
  door = portOf(remote);
  remote.close();
  const ports = await freePorts(3);
  mkdirSync(at('audit'));
  for (const i of [0, 1, 2]) {
    writeFileSync(
      at(`n${i}.yaml`),
      `identity: { key: n${i}.key, certificate: n${i}.crt, authorities: [authority.pub] }
listen: ["127.0.0.1:${ports[i]!}"]
links: ${i === 0 ? '[]' : `[{ address: "127.0.0.1:${ports[0]!}" }]`}
client: { socket: n${i}.sock${i === 0 ? `, remote: "127.0.0.1:${door}"` : ''} }
log: { audit: audit/n${i} }
${i === 0 ? firewall('group: ops') : ''}`,
    );
    const daemon = new RealDaemon(`n${i}`, ports[i]!, at(`n${i}.sock`), [
      '--config',
      at(`n${i}.yaml`),
    ]);
    daemons.push(daemon);
    daemon.start();
  }
  const afar = (name: string): Promise<SpinesClient> =>
    SpinesClient.connect({
      host: '127.0.0.1',
      port: door,
      daemonCertificate: readFileSync(at('n0.crt'), 'utf8'),
      certificate: readFileSync(at(`${name}.crt`), 'utf8'),
      key: readFileSync(at(`${name}.key`), 'utf8'),
      timeoutMs: 30_000,
    });
  for (const daemon of daemons) clients.push(await daemon.connect());
  clients.push(await afar('alice'), await afar('bob'));
  [here, n1, n2, alice, bob] = clients as [
    SpinesClient,
    SpinesClient,
    SpinesClient,
    SpinesClient,
    SpinesClient,
  ];
  for (const client of [here, n1, n2])
    while ((await client.request('status')).nodes.reachable < 3)
      await new Promise((resolve) => setTimeout(resolve, 20));
}, 60_000);

afterAll(async () => {
  for (const child of running) child.kill('SIGTERM');
  await Promise.all(clients.map((client) => client.close()));
  await Promise.all(daemons.map((daemon) => daemon.end('SIGKILL')));
  for (const server of [target, elsewhere]) server.close();
  rmSync(folder, { recursive: true, force: true });
});

/** 'ok', or the code of why not; fails when that took long. */
async function dial(
  client: SpinesClient,
  node: string,
  port: number,
  options = {},
): Promise<string> {
  const began = performance.now(),
    socket = client.stream(options);
  const result = await new Promise<string>((resolve) => {
    socket.on('error', (error) => resolve((error as NodeJS.ErrnoException).code!));
    socket.connect(port, node, () => resolve('ok'));
  });
  socket.destroy();
  expect(performance.now() - began).toBeLessThan(AT_ONCE_MS);
  return result;
}

async function listen(client: SpinesClient, port: number): Promise<string> {
  const server = client.createServer({}, (socket) => socket.on('error', () => {}).resume());
  return new Promise((resolve) => {
    server.on('error', (error) => resolve((error as NodeJS.ErrnoException).code!));
    server.listen(port, () => resolve('ok'));
  });
}

async function drops(): Promise<Record<string, number>> {
  return ((await here.request('status')) as StatusReply).drops;
}

type Mode = { link: LinkServiceName; routing?: 'byzantine' };
const STREAMS: readonly (readonly [who: 'n1' | 'n2', port: number, mode: Mode, result: string])[] =
  [
    ['n1', 105, { link: 'reliable' }, 'ok'],
    ['n1', 111, { link: 'reliable' }, 'EACCES'],
    ['n1', 111, { link: 'best-effort' }, 'EACCES'],
    ['n2', 111, { link: 'reliable' }, 'ok'],
    ['n1', 215, { link: 'reliable' }, 'ok'],
    ['n2', 215, { link: 'reliable' }, 'EACCES'],
    ['n2', 220, { link: 'reliable' }, 'ECONNREFUSED'],
    ['n1', 300, { link: 'reliable' }, 'EACCES'],
    ['n2', 300, { link: 'best-effort' }, 'EACCES'],
    ['n2', 400, { link: 'reliable' }, 'EACCES'],
    ['n2', 400, { link: 'reliable', routing: 'byzantine' }, 'ok'],
  ];

test('streams of other nodes: by node, port, link service and routing', async () => {
  for (const port of [105, 111, 215, 300, 400]) expect(await listen(here, port)).toBe('ok');
  const results = [];
  for (const [who, port, mode] of STREAMS)
    results.push([who, port, mode, await dial(who === 'n1' ? n1 : n2, 'n0', port, mode)]);
  expect(results).toEqual(STREAMS);
  expect((await drops())['firewallStream']).toBe(6);
}, 60_000);

const DATAGRAMS: readonly (readonly [who: 'n1' | 'n2', port: number, mode: Mode, goes: boolean])[] =
  [
    ['n1', 105, { link: 'best-effort' }, false],
    ['n1', 300, { link: 'reliable' }, true],
    ['n2', 105, { link: 'best-effort' }, true],
    ['n2', 105, { link: 'reliable' }, false],
    ['n2', 212, { link: 'best-effort' }, false],
    ['n1', 212, { link: 'reliable' }, true],
    ['n1', 400, { link: 'best-effort' }, false],
    ['n1', 400, { link: 'best-effort', routing: 'byzantine' }, true],
    ['n2', 400, { link: 'reliable', routing: 'byzantine' }, false],
  ];

test('datagrams of other nodes: by node, group, port, link service and routing', async () => {
  const heard = new Set<string>();
  for (const port of [105, 212, 300, 400]) {
    // Takes both routings, as it believes claims of none.
    const socket = here.datagram();
    socket.on('message', (message) => heard.add(message.toString()));
    socket.bind(port);
    await once(socket, 'listening');
  }
  const sent: (() => void)[] = [];
  DATAGRAMS.forEach(([who, port, mode], i) => {
    const socket = (who === 'n1' ? n1 : n2).datagram(mode);
    sent.push(() => socket.send(`try ${i}`, port, 'n0'));
  });
  const wanted = DATAGRAMS.flatMap(([, , , goes], i) => (goes ? [`try ${i}`] : []));
  for (let tries = 0; tries < 200 && !wanted.every((one) => heard.has(one)); tries += 1) {
    for (const send of sent) send();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect([...heard].sort()).toEqual(wanted);
  expect((await drops())['firewallDatagram']).toBeGreaterThanOrEqual(
    DATAGRAMS.length - wanted.length,
  );
}, 60_000);

test('remote clients: where they send and listen, by certificate and group', async () => {
  expect(await listen(n1, 500)).toBe('ok');
  expect([
    await dial(alice, 'n1', 500),
    await dial(alice, 'n1', 501),
    await dial(alice, 'n2', 500),
    await dial(bob, 'n1', 500),
  ]).toEqual(['ok', 'EACCES', 'EACCES', 'EACCES']);
  expect([
    await listen(alice, 600),
    await listen(alice, 602),
    await listen(bob, 601),
    await listen(alice, 0),
  ]).toEqual(['ok', 'EACCES', 'EACCES', 'EACCES']);
  const heard: string[] = [];
  const inbox = n1.datagram().on('message', (message) => heard.push(message.toString()));
  inbox.bind(500);
  await once(inbox, 'listening');
  for (const [client, goes] of [
    [alice, true],
    [bob, false],
  ] as const) {
    const socket = client.datagram(),
      refused = once(socket, 'sendError');
    for (let tries = 0; goes && tries < 200 && heard.length === 0; tries += 1) {
      socket.send('alice', 500, 'n1');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    socket.send('refused', goes ? 501 : 500, 'n1');
    const [error] = (await refused) as [NodeJS.ErrnoException];
    expect(error.code).toBe('EACCES');
  }
  expect(new Set(heard)).toEqual(new Set(['alice']));
  expect((await drops())['firewallClient']).toBe(8);
}, 60_000);

/** Runs a command of `spines` until it has said `ready` on stderr; what matched. */
async function start(args: readonly string[], ready: RegExp): Promise<RegExpExecArray> {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  running.push(child);
  let said = '';
  for await (const chunk of child.stderr!) {
    said += String(chunk);
    const match = ready.exec(said);
    if (match === null) continue;
    child.stderr!.resume();
    return match;
  }
  throw new Error(`spines ${args.join(' ')} ended: ${said}`);
}

test('targets behind it: by group and target; a reload ends what it refuses', async () => {
  const [open, closed] = [target, elsewhere].map((server) => `127.0.0.1:${portOf(server)}`) as [
    string,
    string,
  ];
  await start(
    ['expose', '--allow', open, '--allow', closed, '--socket', daemons[0]!.socket],
    /^exposing /m,
  );
  const tries: [number, string, boolean][] = [
    [1, open, true],
    [1, closed, false],
    [2, open, false],
  ];
  let carried: Promise<unknown> | null = null;
  for (const [i, where, goes] of tries) {
    const [, local] = await start(
      ['forward', '0', 'n0', where, '--socket', daemons[i]!.socket],
      /^listening on 127\.0\.0\.1:(\d+)/m,
    );
    const socket = connect(Number(local), '127.0.0.1').on('error', () => {});
    // However it ends: `once` takes an error for its own.
    const ended = new Promise<null>((resolve) => socket.once('close', () => resolve(null)));
    const data = new Promise<string>((resolve) =>
      socket.once('data', (bytes: Buffer) => resolve(bytes.toString())),
    );
    const first = await Promise.race([data, ended]);
    expect([i, where, first]).toEqual([i, where, goes ? 'here' : null]);
    if (goes) carried = ended;
  }
  expect((await drops())['firewallTarget']).toBe(2);
  const config = readFileSync(at('n0.yaml'), 'utf8');
  writeFileSync(
    at('n0.yaml'),
    config.slice(0, config.indexOf('\nfirewall:')) + firewall('node: n2'),
  );
  await here.request('reload');
  await carried;
  expect((await drops())['firewallTarget']).toBe(3);
  // What is logged is written when the daemon has time.
  const reloaded = await vi.waitUntil(
    () =>
      readFileSync(at('audit', 'n0'), 'utf8')
        .split('\n')
        .find((line) => line.includes('"op":"reload"') && line.endsWith('}')),
    { timeout: 20_000 },
  );
  const { by, result } = JSON.parse(reloaded) as { by: { user: unknown }; result: string };
  expect([by.user, result]).toEqual([process.getuid!(), 'ok']);
}, 60_000);

test("the program of the library's README reaches a daemon from afar", async () => {
  const root = new URL('../../', import.meta.url);
  const readme = readFileSync(new URL('spines-client/README.md', root), 'utf8');
  const block = [...readme.matchAll(/^```js\n(.*?)^```$/gms)]
    .map((match) => match[1]!)
    .find((text) => text.includes('daemonCertificate'))!;
  copyFileSync(at('n0.crt'), at('gateway.crt'));
  const source = `
    import { SpinesClient } from 'spines-client';
    process.chdir(${JSON.stringify(folder)});
    ${block.replace('gateway.example.org', '127.0.0.1').replace('8101', String(door))}
    console.log((await client.request('status')).name);
    await client.close();`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--input-type=module', '--eval', source],
    { cwd: fileURLToPath(root) },
  );
  expect(stdout).toBe('n0\n');
});

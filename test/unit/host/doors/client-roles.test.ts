/**
 * Doors with roles, between real programs: further sockets and tokens, their modes, and the audit
 * log's file.
 */

import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, describe, expect, test } from 'vitest';

import { SpinesClient, type ConnectOptions } from '../../../../spines-client/src/index.ts';
import { SpinesError } from '../../../../src/core/base/errors.ts';
import { AuditLog } from '../../../../src/cli/audit.ts';
import { formatEffective, loadConfigFile } from '../../../../src/host/config/config-file.ts';
import { startDaemon } from '../../../../src/host/daemon.ts';
import { planReload } from '../../../../src/host/config/reload.ts';
import { makeConfig } from '../../../../src/core/node/config.ts';

const folder = mkdtempSync(join(tmpdir(), 'spines-roles-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);

async function asked(
  to: ConnectOptions,
  op: string,
  args: Record<string, unknown> = {},
): Promise<string> {
  const client = await SpinesClient.connect({ ...to, reconnect: false, name: 'tester' });
  try {
    await client.request(op, args);
    return 'ok';
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  } finally {
    await client.close();
  }
}

test("each door gives its role, and what was changed is in the audit log's file", async () => {
  const audit = new AuditLog(pino({ level: 'silent' }));
  audit.prepare({ path: at('audit.log'), maxBytes: 1_000_000, keep: 1 })();
  const look = '1'.repeat(64);
  writeFileSync(at('look.token'), `${look}\n`, { mode: 0o600 });
  const port = 20_000 + (process.pid % 20_000);
  const daemon = await startDaemon({
    config: makeConfig({ id: 0x0a00_0001 }),
    listen: [{ address: '127.0.0.1', port: 0 }],
    client: {
      socketPath: at('full.sock'),
      sockets: [
        { path: at('use.sock'), mode: 0o660, group: null, role: 'use' },
        { path: at('look.sock'), mode: 0o666, group: null, role: 'read-only' },
      ],
      tcp: {
        address: { address: '127.0.0.1', port },
        tokenPath: at('token'),
        tokens: [{ path: at('look.token'), role: 'read-only' }],
      },
    },
    emulation: [],
    emulationSeed: 1,
    membership: null,
    revocationsPath: null,
    reload: () => {
      throw new SpinesError('ECONFIG', 'line 1 is wrong');
    },
    log: pino({ level: 'silent' }),
    audit: audit.write,
    auditFigures: () => audit.figures,
  });
  try {
    expect(
      ['full', 'use', 'look'].map((name) => statSync(at(`${name}.sock`)).mode & 0o777),
    ).toEqual([0o600, 0o660, 0o666]);
    const tcp = { host: '127.0.0.1', port };
    const doors: [ConnectOptions, string[]][] = [
      [{ path: at('full.sock') }, ['ok', 'ok', 'ECONFIG']],
      [{ path: at('use.sock') }, ['ok', 'ok', 'EACCES']],
      [{ path: at('look.sock') }, ['ok', 'EACCES', 'EACCES']],
      [{ ...tcp, token: readFileSync(at('token'), 'utf8').trim() }, ['ok', 'ok', 'ECONFIG']],
      [{ ...tcp, token: look }, ['ok', 'EACCES', 'EACCES']],
    ];
    for (const [door, expected] of doors) {
      expect([
        await asked(door, 'status'),
        await asked(door, 'socket', { socket: 9, kind: 'datagram' }),
        await asked(door, 'reload'),
      ]).toEqual(expected);
    }
    expect(() => daemon.reload('SIGHUP')).toThrow(/line 1 is wrong/);
    expect(audit.figures).toMatchObject({ records: 7, log: { lost: 0, target: at('audit.log') } });
  } finally {
    await daemon.stop('SIGTERM');
  }
  while (audit.figures.log!.waitingBytes > 0)
    await new Promise((resolve) => setTimeout(resolve, 5));
  const lines = readFileSync(at('audit.log'), 'utf8')
    .trim()
    .split('\n')
    .map(
      (line) =>
        JSON.parse(line) as {
          time: string;
          op: string;
          by: { from: string; user: unknown; token: string | null; role: string } | string;
          result: string;
        },
    );
  expect(lines.map(({ op, result }) => `${op} ${result}`)).toEqual([
    'start ok',
    'reload ECONFIG',
    'reload EACCES',
    'reload EACCES',
    'reload ECONFIG',
    'reload EACCES',
    'reload ECONFIG',
    'stop ok',
  ]);
  expect(lines.map(({ by }) => (typeof by === 'string' ? by : (by.token ?? by.from)))).toEqual([
    'the daemon',
    at('full.sock'),
    at('use.sock'),
    at('look.sock'),
    at('token'),
    at('look.token'),
    'SIGHUP',
    'SIGTERM',
  ]);
  const user = process.getuid?.();
  expect(lines.map(({ by }) => (typeof by === 'string' ? by : by.user))).toEqual([
    'the daemon',
    user,
    user,
    user,
    null,
    null,
    'SIGHUP',
    'SIGTERM',
  ]);
  expect(lines.every(({ time }) => Math.abs(Date.parse(time) - Date.now()) < 600_000)).toBe(true);
});

describe('in a config', () => {
  const HEAD = 'id: 10.0.0.1\nsecurity: none\n';
  const FULL = `${HEAD}client:
  socket: /run/a.sock
  sockets: [{ path: /run/b.sock, mode: 0660, group: users, role: use }, \
{ path: c.sock, mode: "0666", role: read-only }]
  tcp: { address: "127.0.0.1:1", token: /t, tokens: [{ file: u, role: use }] }
  roles: [{ client: [alice, bob], role: full }, { group: guests, role: use }, { role: read-only }]
log: { audit: audit.log, maxSize: 1MiB, keep: 2 }
`;
  const loaded = (text: string): ReturnType<typeof loadConfigFile> =>
    loadConfigFile(text, '/etc/d.yaml');
  const faults = (text: string): string => {
    try {
      loaded(HEAD + text);
    } catch (error) {
      return (error as SpinesError).message.replace(/^\/etc\/d\.yaml:\d+:\d+: /, '');
    }
    return '';
  };

  test('sockets, tokens, roles and the audit log mean what they say, and print the same', () => {
    const config = loaded(FULL);
    expect(config.client).toEqual({
      socketPath: '/run/a.sock',
      group: null,
      sockets: [
        { path: '/run/b.sock', mode: 0o660, group: 'users', role: 'use' },
        { path: '/etc/c.sock', mode: 0o666, group: null, role: 'read-only' },
      ],
      tcp: {
        address: { address: '127.0.0.1', port: 1 },
        tokenPath: '/t',
        tokens: [{ path: '/etc/u', role: 'use' }],
      },
      remote: null,
      roles: [
        { clients: ['alice', 'bob'], groups: [], role: 'full' },
        { clients: [], groups: ['guests'], role: 'use' },
        { clients: [], groups: [], role: 'read-only' },
      ],
    });
    expect([config.logFile, config.auditFile]).toEqual([
      null,
      { path: '/etc/audit.log', maxBytes: 1_048_576, keep: 2 },
    ]);
    expect(loadConfigFile(formatEffective(config), 'effective')).toEqual(config);
  });

  test.each([
    ['client: { sockets: [{ path: /x }] }', 'client.sockets.0.role: is missing'],
    [
      'client: { sockets: [{ path: /x, role: admin }] }',
      'client.sockets.0.role: expected read-only | use | full, found "admin"',
    ],
    [
      'client: { sockets: [{ path: /x, role: use, mode: 0777 }] }',
      'client.sockets.0.mode: expected a mode "0600", "0660" or "0666", found "777"',
    ],
    [
      'client: { socket: /x, sockets: [{ path: /x, role: use }] }',
      'client.sockets.0.path: /x is a socket twice',
    ],
    [
      'client: { tcp: { address: "127.0.0.1:1", token: /t, tokens: [{ file: /t, role: use }] } }',
      'client.tcp.tokens.0.file: /t is a token twice',
    ],
    [
      'log: { file: /l, audit: /l }',
      "log.audit: is the log's own file; name another, or leave it out and its lines are in the " +
        'log',
    ],
  ])('%s is refused', (text, fault) => expect(faults(text)).toBe(fault));

  test('roles and the audit log change with a reload, doors with a restart', () => {
    const plan = (before: string, after: string): readonly string[] =>
      planReload(
        { config: loaded(HEAD + before), identity: null },
        { config: loaded(HEAD + after), identity: null },
        [],
      ).changes;
    expect(
      plan(
        'client: { socket: /a }',
        'client: { socket: /a, roles: [{ client: alice, role: full }] }\nlog: { audit: /au }',
      ),
    ).toEqual(['client.roles: use for all -> alice: full', 'log.audit: the log -> /au']);
    expect(() =>
      plan('client: { socket: /a }', 'client: { socket: /a, sockets: [{ path: /b, role: use }] }'),
    ).toThrow(/client cannot change while the daemon runs/);
  });
});

/**
 * What clients may do by their role, and what is recorded of those who changed a daemon, or tried.
 */

import { describe, expect, test } from 'vitest';

import { SECOND } from '../../src/core/base/time.ts';
import { LOCAL_ACCESS, type ClientAccess } from '../../src/core/ipc/client.ts';
import { CLIENT_ROLES, includes, type ClientRole } from '../../src/core/ipc/roles.ts';
import type { AuditRecord } from '../../src/core/operator/audit.ts';
import { roleFor } from '../../src/core/operator/operations.ts';
import { ClientProgram } from '../support/client-program.ts';
import { hosts, useNetworks, type Network } from '../support/network.ts';

useNetworks();

function pair(): {
  network: Network;
  records: AuditRecord[];
  as: (role: ClientRole, change?: Partial<ClientAccess>) => ClientProgram;
} {
  const network = hosts(2);
  network.connect(network.host(0), network.host(1));
  const records: AuditRecord[] = [];
  network.host(0).audit = (record) => records.push(record);
  network.host(0).configure({ allowEmulation: true, allowShutdown: true });
  network.settle();
  return {
    network,
    records,
    as: (role, change = {}) =>
      new ClientProgram(
        network.host(0),
        { ...LOCAL_ACCESS, role, from: '/run/x.sock', ...change },
        { client: `spines ${role}` },
      ),
  };
}

/** Arguments with which each is done; what the daemon answers to who may. */
const OPERATIONS: readonly (readonly [
  op: string,
  args: Record<string, unknown>,
  least: ClientRole,
  answer: string,
])[] = [
  ['status', {}, 'read-only', 'ok'],
  ['links', {}, 'read-only', 'ok'],
  ['routes', {}, 'read-only', 'ok'],
  ['byzantineRoutes', {}, 'read-only', 'ok'],
  ['nodes', {}, 'read-only', 'ok'],
  ['sessions', {}, 'read-only', 'ok'],
  ['members', { group: '239.1.2.3' }, 'read-only', 'ok'],
  ['groups', {}, 'read-only', 'ok'],
  ['groupTree', { group: '239.1.2.3' }, 'read-only', 'ok'],
  ['watch', { kinds: ['link'] }, 'read-only', 'ok'],
  ['capture', {}, 'full', 'ok'],
  ['captureRead', { waitMs: 0 }, 'full', 'ok'],
  ['firewall', { list: 'inbound' }, 'read-only', 'ok'],
  ['mayReach', { node: 'n1', host: 'x', port: 1 }, 'read-only', 'ok'],
  ['ping', { node: 'n1', timeoutMs: 100 }, 'read-only', 'no answer'],
  ['trace', { node: 'n1', timeoutMs: 100 }, 'read-only', 'no answer'],
  ['byzantineTrace', { node: 'n1', timeoutMs: 100 }, 'read-only', 'no answer'],
  ['resolve', { name: 'n1' }, 'read-only', 'ok'],
  ['socket', { socket: 1, kind: 'datagram' }, 'use', 'ok'],
  ['bind', { socket: 1, port: 5_000 }, 'use', 'ok'],
  ['getOption', { socket: 1, option: 'ttl' }, 'use', 'ok'],
  ['socketInfo', { socket: 1 }, 'use', 'ok'],
  ['setOption', { socket: 1, option: 'ttl', value: 9 }, 'use', 'ok'],
  ['join', { socket: 1, group: '240.1.2.3' }, 'use', 'ok'],
  ['leave', { socket: 1, group: '240.1.2.3' }, 'use', 'ok'],
  ['close', { socket: 1 }, 'use', 'ok'],
  ['socket', { socket: 2, kind: 'stream' }, 'use', 'ok'],
  ['listen', { socket: 2, port: 5_000 }, 'use', 'ok'],
  ['linkSet', { peer: 'n1', settings: { lossPct: 1 } }, 'full', 'ok'],
  ['linkList', {}, 'read-only', 'ok'],
  ['linkAdd', { address: '192.0.2.9', port: 8_100 }, 'full', 'ok'],
  ['linkRemove', { link: '192.0.2.9:8100' }, 'full', 'ok'],
  ['logLevel', {}, 'full', 'ENOTSUP'],
  ['misbehave', { what: 'none' }, 'full', 'EPERM'],
  ['reload', {}, 'full', 'ENOTSUP'],
  ['nonsense', {}, 'full', 'ENOSYS'],
  ['shutdown', {}, 'full', 'ok'],
];

describe('a role', () => {
  test.each(CLIENT_ROLES)(
    '%s: each operation is done, or refused with EACCES and the role that it needs',
    (role) => {
      const { as } = pair();
      const client = as(role);
      for (const [op, args, least, answer] of OPERATIONS) {
        const may = includes(role, least);
        expect([op, client.asked(op, args), roleFor(op)]).toEqual([
          op,
          may ? answer : 'EACCES',
          least,
        ]);
      }
      if (role === 'read-only')
        expect(String(client.ask('socket', { socket: 7, kind: 'stream' })()?.['message'])).toBe(
          '"socket" needs the role use, and who comes by /run/x.sock has read-only here; come by ' +
            'another socket or token',
        );
    },
  );

  test(
    'is that of the token that was shown, ' + "and its certificate's for who comes from elsewhere",
    () => {
      const { network, as } = pair();
      const tokenGrant = (token: string) =>
        token === 'a'
          ? { role: 'full' as const, file: '/run/a' }
          : token === 'b'
            ? { role: 'read-only' as const, file: '/run/b' }
            : null;
      const shown = (token: string): ClientProgram =>
        new ClientProgram(
          network.host(0),
          { ...LOCAL_ACCESS, tokenGrant, role: 'read-only' },
          { token },
        );
      expect(
        [shown('a'), shown('b')].map((client) =>
          client.asked('socket', { socket: 1, kind: 'stream' }),
        ),
      ).toEqual(['ok', 'EACCES']);
      expect(shown('c').ended).toBe(true);
      const alice = as('use', { certificate: 'alice' });
      expect(String(alice.ask('reload')()?.['message'])).toBe(
        '"reload" needs the role full, and alice has use here; ask on the daemon\'s own machine, ' +
          'or have client.roles changed there',
      );
      expect(
        as('full', { certificate: 'alice' }).asked('linkSet', { peer: 'n1', settings: {} }),
      ).toBe('ok');
    },
  );
});

describe('the audit log', () => {
  test('has who changed what, with what result; not who only looked', () => {
    const { records, as } = pair();
    const client = as('full', { certificate: 'alice', user: null, from: '192.0.2.1:7' });
    for (const [op, args] of [
      ['status', {}],
      ['logLevel', {}],
      ['captureRead', { waitMs: 0 }],
      ['logLevel', { level: 'debug' }],
      ['capture', { peers: ['n1'] }],
      ['linkSet', { peer: 'n1', settings: { lossPct: 1 } }],
      ['linkSet', { peer: 'n9', settings: {} }],
      ['misbehave', { what: 'drop' }],
      ['shutdown', {}],
    ] as const)
      client.ask(op, args);
    as('read-only', { user: 1_000 }).ask('shutdown');
    const by = {
      program: 'spines full',
      role: 'full',
      from: '192.0.2.1:7',
      user: null,
      certificate: 'alice',
      token: null,
    };
    expect(records).toEqual([
      { op: 'logLevel', by, result: 'ENOTSUP', details: { level: 'debug' } },
      { op: 'capture', by, result: 'ok', details: { peers: ['n1'] } },
      { op: 'linkSet', by, result: 'ok', details: { peer: 'n1', settings: { lossPct: 1 } } },
      { op: 'linkSet', by, result: 'ENOTFOUND', details: { peer: 'n9', settings: {} } },
      { op: 'misbehave', by, result: 'EPERM', details: { what: 'drop' } },
      { op: 'shutdown', by, result: 'ok', details: {} },
      {
        op: 'shutdown',
        by: {
          ...by,
          program: 'spines read-only',
          role: 'read-only',
          from: '/run/x.sock',
          user: 1_000,
          certificate: null,
        },
        result: 'EACCES',
        details: {},
      },
    ]);
  });

  test(
    'is not crowded out by who is refused again and again, ' + 'and says how many it left out',
    () => {
      const { network, records, as } = pair();
      const rude = as('use'),
        owner = as('full');
      for (let i = 0; i < 1_000; i += 1) rude.ask('reload');
      expect(records.length).toBe(32);
      owner.ask('linkSet', { peer: 'n1', settings: { lossPct: 1, what: 'x'.repeat(100_000) } });
      network.world.runFor(2 * SECOND);
      owner.ask('linkSet', { peer: 'n1', settings: { lossPct: 2 } });
      expect(records.slice(32).map(({ result, details }) => [result, details])).toEqual([
        ['ok', { peer: 'n1', settings: { lossPct: 2 }, refusedUntold: 969 }],
      ]);
      owner.ask('linkSet', { peer: 'n1', settings: { what: 'x'.repeat(100_000) } });
      expect(JSON.stringify(records.at(-1)).length).toBeLessThan(500);
    },
  );
});

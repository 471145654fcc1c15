/**
 * `firewall` in a config file: what it means, what is refused and where, and what operators read of
 * it.
 */

import { describe, expect, test } from 'vitest';
import type { FirewallReply } from 'spines-client/protocol';

import { SpinesError } from '../../../../src/core/base/errors.ts';
import { daemonFindings } from '../../../../src/cli/look/doctor-daemon.ts';
import { formatFirewall } from '../../../../src/cli/look/firewall.ts';
import { formatNodes } from '../../../../src/cli/look/nodes.ts';
import { formatEffective, loadConfigFile } from '../../../../src/host/config/config-file.ts';
import { planReload } from '../../../../src/host/config/reload.ts';
import { NO_RULES } from '../../../../src/core/session/rules.ts';

const HEAD = 'id: 10.0.0.1\nsecurity: none\n';
const FULL = `${HEAD}firewall:
  default: { inbound: deny }
  inbound:
    - { action: allow, node: [cam1, 10.0.0.7], port: [22, 5000-5010, "80"], kind: stream, \
link: reliable, routing: byzantine }
    - { action: deny }
  targets:
    - { action: deny, node: cam1, target: ["db.Internal:5432", "[2001:DB8::7]:*", "*:80"] }
  clients:
    - { action: allow, client: alice, use: send, node: desk, port: 80, kind: datagram }
`;

const loaded = (text: string): ReturnType<typeof loadConfigFile> => loadConfigFile(text, 'd.yaml');

function faults(text: string): string[] {
  try {
    loaded(`${HEAD}firewall: ${text}`);
  } catch (error) {
    expect(error).toBeInstanceOf(SpinesError);
    return (error as SpinesError).message
      .split('\n')
      .map((line) => line.replace(/^d\.yaml:\d+:\d+: /, ''));
  }
  return [];
}

describe('rules in a config', () => {
  test('mean what they say', () => {
    const { firewall } = loaded(FULL).node;
    expect(firewall).toEqual({
      defaults: { inbound: 'deny', targets: 'allow', clients: 'allow' },
      inbound: [
        {
          action: 'allow',
          nodes: ['cam1', 0x0a00_0007],
          groups: [],
          ports: [
            { first: 22, last: 22 },
            { first: 5_000, last: 5_010 },
            { first: 80, last: 80 },
          ],
          kind: 'stream',
          service: 1,
          dissemination: 1,
        },
        {
          action: 'deny',
          nodes: [],
          groups: [],
          ports: [],
          kind: null,
          service: null,
          dissemination: null,
        },
      ],
      targets: [
        {
          action: 'deny',
          nodes: ['cam1'],
          groups: [],
          targets: [
            { host: 'db.internal', port: 5_432 },
            { host: '2001:db8::7', port: null },
            { host: null, port: 80 },
          ],
        },
      ],
      clients: [
        {
          action: 'allow',
          clients: ['alice'],
          groups: [],
          use: 'send',
          nodes: ['desk'],
          ports: [{ first: 80, last: 80 }],
          kind: 'datagram',
        },
      ],
    });
    expect(loaded(HEAD).node.firewall).toBe(NO_RULES);
    expect(loaded(`${HEAD}firewall: { default: deny }`).node.firewall.defaults).toEqual({
      inbound: 'deny',
      targets: 'deny',
      clients: 'deny',
    });
  });

  test('printed as effective they load again with the same outcome', () => {
    const config = loaded(FULL);
    expect(loadConfigFile(formatEffective(config), 'effective')).toEqual(config);
  });

  test.each([
    [
      '{ default: maybe }',
      'firewall.default: expected allow or deny, or one of the two for each of inbound, targets ' +
        'and clients',
    ],
    [
      '{ default: { outbound: deny } }',
      'firewall.default.outbound: unknown key; valid here: inbound, targets, clients',
    ],
    ['{ inbound: [{ node: a }] }', 'firewall.inbound.0.action: is missing'],
    [
      '{ inbound: [{ action: allow, port: 0 }] }',
      'firewall.inbound.0.port: expected a port of 1..65535, a range such as 5000-5010, or a ' +
        'list of them, found "0"',
    ],
    [
      '{ inbound: [{ action: allow, port: [22, 9-8] }] }',
      'firewall.inbound.0.port: expected a port of 1..65535, a range such as 5000-5010, or a ' +
        'list of them, found "9-8" in the list',
    ],
    [
      '{ inbound: [{ action: allow, port: [] }] }',
      'firewall.inbound.0.port: expected a port of 1..65535, a range such as 5000-5010, or a ' +
        'list of them, found a list',
    ],
    [
      '{ inbound: [{ action: allow, node: 224.0.0.1 }] }',
      'firewall.inbound.0.node: expected a node by name or id such as 10.0.0.1, or a list of ' +
        'them, found "224.0.0.1"',
    ],
    [
      '{ inbound: [{ action: allow, proto: tcp }] }',
      'firewall.inbound.0.proto: unknown key; valid here: action, node, group, port, kind, link, ' +
        'routing',
    ],
    [
      '{ inbound: [{ action: allow, kind: udp }] }',
      'firewall.inbound.0.kind: expected stream | datagram, found "udp"',
    ],
    [
      '{ inbound: [{ action: allow, group: ops }] }',
      'firewall.inbound.0.group: groups are in certificates, which needs `security: sealed`; ' +
        'name nodes instead',
    ],
    [
      '{ targets: [{ action: deny, target: "*.example.org:80" }] }',
      'firewall.targets.0.target: expected a target such as db.internal:5432, [2001:db8::7]:80, ' +
        'HOST:*, *:PORT or *:*, or a list of them, found "*.example.org:80"',
    ],
    [
      '{ clients: [{ action: deny, use: listen, node: a }] }',
      'firewall.clients.0.node: is whom a client sends to; leave it out of a rule of listening',
    ],
    [
      '{ inbound: [{ action: deny, port: ' +
        `[${Array.from({ length: 65 }, (_, i) => i + 1).join(', ')}] }] }`,
      'firewall.inbound.0.port: at most 64 fit one rule; write several, or use a group',
    ],
    [
      `{ clients: [${Array.from({ length: 1_025 }, () => '{ action: deny }').join(', ')}] }`,
      'firewall.clients: at most 1024 rules',
    ],
  ])('%.80s is refused', (text, fault) => expect(faults(text)).toEqual([fault]));

  test('change with a reload, which says so', () => {
    const plan = (before: string, after: string): readonly string[] =>
      planReload(
        { config: loaded(before), identity: null },
        { config: loaded(after), identity: null },
        [],
      ).changes;
    expect(plan(HEAD, FULL)).toEqual(['firewall: no rules -> 4 rules (default deny: inbound)']);
    expect(plan(FULL, FULL)).toEqual([]);
  });
});

describe('what operators read', () => {
  const plain = (_colour: string, text: string): string => text;
  const reply = (change: Partial<FirewallReply>): FirewallReply => ({
    schema: 1,
    list: 'inbound',
    total: 0,
    default: 'allow',
    defaultHits: 0,
    rules: [],
    ...change,
  });

  test('fits 80 columns, whatever a rule names', () => {
    const rules = [
      {
        number: 1,
        rule: { action: 'deny', node: ['cam1', 'cam2'], port: '22', kind: 'stream' },
        hits: 1_234_567,
      },
      {
        number: 10_000,
        rule: { action: 'allow', group: Array.from({ length: 20 }, (_, i) => `group-number-${i}`) },
        hits: 0,
      },
    ];
    const text = formatFirewall(
      [reply({ total: 2, rules, defaultHits: 12 }), reply({ list: 'targets', default: 'deny' })],
      plain,
    );
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(text).toContain(
      'inbound: what other nodes send to ports of this one\n    #     HITS  DOES   WHAT\n    1  ' +
        '1234567  deny   node cam1 | cam2, port 22, kind stream\n10000        0  allow  group ' +
        'group-number-0 |',
    );
    expect(text).toContain('\n            12  allow  the rest (default)\n');
    expect(text).toContain('\ntargets: no rules, all denied (0)\n');
  });

  test('doctor says that rules believe sources', () => {
    const found = (proved: boolean): unknown =>
      daemonFindings({
        identity: null,
        host: null,
        links: { up: 1, total: 1 },
        nodes: { reachable: 1, known: 1 },
        bounds: {},
        drops: { firewallStream: 3 },
        firewall: { rules: 2, open: false, proved },
      } as never).find(({ what }) => what === 'firewall');
    expect(found(false)).toMatchObject({
      found: '2 rules, 3 refused since the start',
      next: expect.stringContaining('routing byzantine'),
    });
    expect(found(true)).toMatchObject({ advice: null });
  });
});

test('groups of nodes are a column of their own, within 80 columns', () => {
  const node = {
    name: 'camera-one',
    reachable: true,
    self: false,
    sequence: 1,
    ageMs: 1_000,
    links: [{ node: '10.0.0.2', name: 'b', latencyMs: 10, lossPct: 0, confirmed: true }],
  };
  const reply = {
    schema: 1 as const,
    nodes: [
      { ...node, node: '10.0.0.1', groups: ['ops', 'video', 'x'.repeat(40)] },
      { ...node, node: '10.0.0.3' },
    ],
  };
  const text = formatNodes(reply, (_colour, cell) => cell, 80);
  expect(text).toContain('GROUPS');
  expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
  expect(
    formatNodes({ ...reply, nodes: [reply.nodes[1]!] }, (_colour, cell) => cell, 80),
  ).not.toContain('GROUPS');
});

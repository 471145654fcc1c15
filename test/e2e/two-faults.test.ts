/**
 * Two faults of the field at once between real daemons: neither hides the other from who reads
 * `links`, `status`, `doctor` and the log. A full disk and a copied identity, a wrong key and a
 * wrong clock, a hole for long packets on a way that goes one way only, names where no name server
 * answers.
 *
 * SPINES_LONG=1 only. Clocks need faketime(1), disks unshare(1) and root, cables namespaces.
 */

import { spawnSync } from 'node:child_process';
import { afterAll, describe, expect, test } from 'vitest';

import { loadOffload } from '../../src/host/net/offload.ts';
import { Namespaces, whyNoNamespaces } from '../support/namespaces.ts';
import {
  at,
  endOperators,
  Operator,
  paragraph,
  strangersKey,
  until,
  whyNot,
  withoutLinks,
} from '../support/operator.ts';
import { freePorts, PROGRAM } from '../support/processes.ts';

const LONG = process.env['SPINES_LONG'] === '1';
const longOnly = LONG ? null : 'long runs only';
const noClocks = longOnly ?? whyNot('faketime', '-f', '+1h', 'true');
const noDisk =
  longOnly ?? whyNot('unshare', '-m', 'sh', '-c', 'mount -t tmpfs -o size=64k tmpfs /mnt');
const noCables =
  longOnly ??
  whyNoNamespaces() ??
  (loadOffload() === null ? 'sockets are not of our making' : null);

afterAll(endOperators);

const FULL = [
  'unshare',
  '-m',
  'sh',
  '-c',
  'mount -t tmpfs -o size=64k tmpfs /mnt && head -c 1M /dev/zero > /mnt/photos 2> /dev/null; ' +
    'exec "$@"',
  'sh',
];

async function loopback(name: string, nodes: number): Promise<{ lab: Operator; ports: number[] }> {
  const ports = await freePorts(nodes + 1);
  const lab = new Operator(
    name,
    ports.slice(0, nodes).map((port) => `127.0.0.1:${port}`),
  );
  await lab.init();
  for (let node = 2; node <= nodes; node += 1) lab.edit(node, withoutLinks);
  return { lab, ports };
}

describe('two faults at once', () => {
  test.skipIf(noDisk !== null)(
    'a full disk below the log, and its identity on two machines',
    async () => {
      const { lab, ports } = await loopback('disk-and-copy', 3);
      lab.edit(2, (yaml) => `${yaml}\nlog:\n  file: /mnt/spines.log\n`);
      lab.start(1);
      lab.start(2, { prefix: FULL });
      await until(
        'a link to node-2',
        async () => ((await lab.row(1, 2))?.state === 'up' ? true : null),
        () => lab.log(1),
      );
      lab.edit(2, (yaml) => `${yaml}\nlinks:\n  - address: 127.0.0.1:${ports[0]!}\n`);
      const copy = ['--listen', `127.0.0.1:${ports[3]!}`, '--socket', at('copy.sock')];
      lab.start(2, { prefix: FULL, args: copy });
      const said = await until(
        'both in one text',
        async () => {
          const status = await lab.says(2, 'status');
          return /no space/i.test(status) && status.includes('runs twice') ? status : null;
        },
        () => lab.log(1),
      );
      expect(said).toMatch(/\n {2}log: \/mnt\/spines\.log waits: .*no space/i);
      const doctor = await lab.says(2, 'doctor');
      expect(paragraph(doctor, 'log:')).toMatch(/free some space there/);
      expect(paragraph(doctor, 'identity:')).toMatch(/stop one of the two daemons/);
      expect(await lab.says(1, 'links')).toContain('node-2 (10.0.0.2) runs twice');
      // And the copy, which nobody hears.
      const { stdout } = spawnSync(
        process.execPath,
        [PROGRAM, 'doctor', '--socket', at('copy.sock')],
        { encoding: 'utf8' },
      );
      expect(paragraph(stdout, 'log:')).toMatch(/free some space there/);
      expect(stdout.replace(/\s+/g, ' ')).toMatch(/another daemon with the same certificate/);
    },
    120_000,
  );

  test.skipIf(noClocks !== null)(
    'a wrong key, and behind it a wrong clock',
    async () => {
      const { lab } = await loopback('key-and-clock', 2);
      let right = '';
      lab.edit(1, (yaml) => {
        right = yaml;
        return yaml.replace(/(name: node-2\n +key: )\w+/, `$1${strangersKey()}`);
      });
      lab.start(1);
      lab.start(2, { prefix: ['faketime', '-f', '+3h'] });
      await lab.why(1, 2, 'wrongKey');
      expect(paragraph(await lab.says(1, 'links'), 'node-2 at')).toMatch(/next: if node-2 has new/);
      lab.edit(1, () => right);
      await (await lab.client(1)).request('reload');
      const doctor = await until(
        'a wrong clock',
        async () => {
          const said = await lab.says(1, 'doctor');
          return said.includes('clock of node-2') ? said : null;
        },
        () => lab.log(1),
      );
      expect(paragraph(doctor, 'clock of node-2:')).toMatch(
        /(2h 59m|3h 0m) ahead of this machine's.* next: see `date -u` on both machines/,
      );
      expect(paragraph(await lab.says(2, 'doctor'), 'clock of node-1:')).toContain('behind');
    },
    120_000,
  );

  test.skipIf(noCables !== null)(
    'a hole for long packets, on a way that goes one way only',
    async () => {
      const addresses = ['192.0.2.1', '192.0.2.2'];
      const lab = new Operator(
        'hole-and-way',
        addresses.map((address) => `${address}:8100`),
      );
      await lab.init();
      const net = new Namespaces();
      try {
        const [hub, other] = addresses.map((address) => net.add(address)) as [
          ReturnType<Namespaces['add']>,
          ReturnType<Namespaces['add']>,
        ];
        net.join(hub, other);
        const ip = (...args: string[]): void => {
          expect(spawnSync('ip', args).status, args.join(' ')).toBe(0);
        };
        const away = [addresses[1]!, 'dev', hub.deviceTo(other)];
        ip('-n', other.namespace, 'link', 'set', other.deviceTo(hub), 'mtu', '1280');
        ip(
          ...['-n', hub.namespace, 'neigh', 'replace', ...away],
          ...['lladdr', '02:00:00:00:00:99', 'nud', 'permanent'],
        );
        lab.edit(
          2,
          (yaml) => `${withoutLinks(yaml)}\nlinks:\n  - address: ${addresses[0]!}:8100\n`,
        );
        lab.start(1, { host: hub });
        lab.start(2, { host: other });
        await lab.why(1, 2, 'oneWay');
        expect(paragraph(await lab.says(1, 'links'), 'node-2 at')).toMatch(
          /one way calls of node-2 arrive here.* next: see what drops UDP/,
        );
        expect(paragraph(await lab.says(2, 'doctor'), 'link to 192.0.2.1:8100:')).toMatch(
          /no answer from .* next: see that/,
        );
        // The one is mended: the other is seen.
        ip('-n', hub.namespace, 'neigh', 'del', ...away);
        await until(
          'a narrow link',
          async () => {
            const row = await lab.row(1, 2);
            return row?.state === 'up' && row.size !== null && !row.size.searching ? true : null;
          },
          () => lab.log(1),
        );
        expect(paragraph(await lab.says(1, 'doctor'), 'narrow links:')).toMatch(/MTU below 1500/);
      } finally {
        await net.close();
      }
    },
    120_000,
  );

  test.skipIf(noDisk !== null)(
    'two disks that are full: of the log and of the record of who changed what',
    async () => {
      const { lab } = await loopback('two-disks', 2);
      lab.edit(2, (yaml) => `${yaml}\nlog:\n  file: /mnt/spines.log\n  audit: /mnt/audit.log\n`);
      lab.start(2, { prefix: FULL });
      const client = await lab.client(2);
      for (let i = 0; i < 5; i += 1) await client.request('reload');
      const doctor = await until(
        'a log that waits',
        async () => {
          const { host } = await client.request('status');
          return host?.log?.failing == null ? null : lab.says(2, 'doctor');
        },
        () => lab.log(2),
      );
      expect(paragraph(doctor, 'log:')).toMatch(/free some space there/);
      expect(paragraph(doctor, 'audit:')).toContain('name another `log.audit`');
    },
    120_000,
  );

  test.skipIf(noCables !== null)(
    'no name server, and names where only addresses are taken or names may be',
    () => {
      const net = new Namespaces();
      try {
        const [first, ...prefix] = net.add('192.0.2.1').prefix;
        const says = (...args: string[]): { status: number | null; stderr: string } =>
          spawnSync(first, [...prefix, process.execPath, PROGRAM, ...args], { encoding: 'utf8' });
        const unsealed = ['daemon', '--security', 'none', '--id', '10.0.0.1'];
        const socket = ['--socket', at('named.sock')];
        const listen = says(...unsealed, ...socket, '--listen', 'localhost:8101');
        expect([listen.status, listen.stderr]).toEqual([
          2,
          expect.stringMatching(/expected a numeric "address:port" .*found "localhost:8101"/),
        ]);
        const client = says('status', '--tcp', 'rome.example:8100', '--token-file', '/dev/null');
        expect([client.status, client.stderr]).toEqual([
          3,
          expect.stringMatching(
            /rome\.example:8100 cannot be looked up, as no name server answers; check the network/,
          ),
        ]);
      } finally {
        void net.close();
      }
    },
    60_000,
  );
});

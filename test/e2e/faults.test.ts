/**
 * Ten faults of the field between real daemons, and what their operators read of each: cause and
 * next step, in 80 columns. Two networks with one operator's daemon each: on loopback what keys,
 * clocks, disks and ports do, and where there can be namespaces what cables do. A clock that is
 * wrong needs faketime(1), a full disk unshare(1) and root, a slow line tc(8); else those are
 * skipped.
 */

import { spawnSync } from 'node:child_process';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { loadOffload } from '../../src/host/net/offload.ts';
import { Namespaces, whyNoNamespaces, type NamespaceHost } from '../support/namespaces.ts';
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
import { freePorts, PROGRAM, spines } from '../support/processes.ts';

/** What takes half a minute of eight daemons is for long runs; cables are always tried. */
const LONG = process.env['SPINES_LONG'] === '1';
const DAY_S = 86_400;
/**
 * What the certificate that ends under its daemon has left when it is signed, beyond what a busy
 * machine needs to start.
 */
const LEFT_S = 14;

const noClocks = whyNot('faketime', '-f', '+1h', 'true');
const noDisk = whyNot('unshare', '-m', 'sh', '-c', 'mount -t tmpfs -o size=64k tmpfs /mnt');
const noCables =
  whyNoNamespaces() ?? (loadOffload() === null ? 'sockets are not of our making' : null);
const noSlowLine = noCables ?? whyNot('tc', '-Version');
for (const [what, why] of [
  ['wrong clock and no expired certificate', noClocks],
  ['full disk', noDisk],
  ['cable', noCables],
  ['slow line', noSlowLine],
] as const) {
  if (why !== null) console.log(`no ${what} is tested: ${why}`);
}

afterAll(endOperators);

describe.skipIf(!LONG)('on one machine', () => {
  let lab: Operator;
  let ports: number[] = [];

  beforeAll(async () => {
    ports = await freePorts(9);
    lab = new Operator(
      'loopback',
      ports.slice(0, 8).map((port) => `127.0.0.1:${port}`),
    );
    await lab.init();
    for (let node = 2; node <= 8; node += 1) lab.edit(node, withoutLinks);
    // node-2 has made itself new keys since node-1 was told; node-3 is not started; node-7 and
    // node-8 are no neighbours.
    lab.edit(1, (yaml) =>
      yaml
        .replace(/(name: node-2\n +key: )\w+/, `$1${strangersKey()}`)
        .replace(/ +- address: .*\n.*\n +name: node-[78]\n.*\n/g, ''),
    );
    lab.edit(6, (yaml) => `${yaml}\nlinks:\n  - address: 127.0.0.1:${ports[0]!}\n`);
    if (noDisk === null) lab.edit(8, (yaml) => `${yaml}\nlog:\n  file: /mnt/spines.log\n`);
    lab.start(1);
    lab.start(2);
    lab.start(6);
    if (noClocks === null) {
      lab.start(4, { prefix: ['faketime', '-f', '+3h'] });
      const signedAt = new Date((Date.now() / 1_000 - DAY_S + LEFT_S) * 1_000)
        .toISOString()
        .slice(0, 19)
        .replace('T', ' ');
      const signed = spawnSync(
        'faketime',
        [
          signedAt,
          process.execPath,
          PROGRAM,
          'keys',
          'sign',
          join(lab.nodeDir(5), 'node.req'),
          '--dir',
          lab.authority,
          '--days',
          '1',
          '--out',
          join(lab.nodeDir(5), 'short.crt'),
        ],
        { encoding: 'utf8', env: { ...process.env, TZ: 'UTC' } },
      );
      expect(signed.status, signed.stderr).toBe(0);
      renameSync(join(lab.nodeDir(5), 'short.crt'), join(lab.nodeDir(5), 'node.crt'));
      lab.start(5);
    }
    if (noDisk === null)
      lab.start(8, {
        prefix: [
          'unshare',
          '-m',
          'sh',
          '-c',
          'mount -t tmpfs -o size=64k tmpfs /mnt && head -c 1M /dev/zero > /mnt/photos 2> ' +
            '/dev/null; exec "$@"',
          'sh',
        ],
      });
    await lab.client(1);
  }, 240_000);

  test('a wrong key: who answers has another key, on both sides', async () => {
    await lab.why(1, 2, 'wrongKey');
    const links = paragraph(await lab.says(1, 'links'), `node-2 at 127.0.0.1:${ports[1]!}`);
    expect(links).toMatch(
      new RegExp(
        'wrong key who answers at .* has another key than the one given here for node-2 next: ' +
          'if node-2 has new keys, copy its certificate here and run `spines reload`',
      ),
    );
    expect(paragraph(await lab.says(1, 'doctor'), 'link to node-2:')).toContain('has another key');
    expect(await lab.says(1, 'status')).toMatch(
      /^\d things are wrong; (.*\n)* {2}link to node-2: \S+ wrong key, for /,
    );
    expect(await lab.logged(1, /another key.*no link to a neighbour/)).toMatchObject({
      name: 'node-1',
      level: 40,
      peer: 'node-2',
    });
  }, 120_000);

  test('a closed port', async () => {
    await lab.why(1, 3, 'portClosed');
    expect(paragraph(await lab.says(1, 'links'), `node-3 at 127.0.0.1:${ports[2]!}`)).toMatch(
      /port closed nothing listens on UDP .* next: start node-3 there, or correct its address/,
    );
    expect(paragraph(await lab.says(1, 'doctor'), 'link to node-3:')).toContain(
      'next: start node-3 there',
    );
  }, 120_000);

  test.skipIf(noClocks !== null)(
    'a clock that is three hours ahead',
    async () => {
      const { text } = await until(
        'a wrong clock',
        async () => {
          const said = await lab.says(1, 'doctor');
          return said.includes('clock of node-4') ? { text: said } : null;
        },
        () => lab.log(1),
      );
      expect(paragraph(text, 'clock of node-4:')).toMatch(
        /(2h 59m|3h 0m) ahead of this machine's.* next: see `date -u` on both machines/,
      );
      expect((await lab.says(1, 'nodes')).replace(/\s+/g, ' ')).toMatch(
        new RegExp(
          String.raw`what node-4 says of its links is not believed.* ahead of this ` +
            String.raw`one's: one of the two is wrong next: compare the clocks`,
        ),
      );
      expect(paragraph(await lab.says(4, 'doctor'), 'clock of node-1:')).toMatch(
        /behind this machine's/,
      );
      expect(await lab.logged(4, /a neighbour's clock differs/)).toMatchObject({
        level: 40,
        peer: 'node-1',
        next: expect.stringContaining('date -u') as string,
      });
    },
    120_000,
  );

  test.skipIf(noDisk !== null)(
    'a full disk below the log: it works on, says so, and what was lost',
    async () => {
      const status = await until(
        'a log that waits',
        async () => {
          const { host } = await (await lab.client(8)).request('status');
          return host?.log?.failing == null ? null : lab.says(8, 'status');
        },
        () => lab.log(8),
      );
      expect(status).toMatch(/\n {2}log: \/mnt\/spines\.log waits: .*no space/i);
      expect(paragraph(await lab.says(8, 'doctor'), 'log:')).toMatch(
        /free some space there, or name another `log\.file`/,
      );
    },
    120_000,
  );

  test('a port in use: exit code 2, and what to do', async () => {
    const ran = await spines([
      'daemon',
      '--config',
      join(lab.nodeDir(7), 'spines.yaml'),
      '--listen',
      `127.0.0.1:${ports[0]!}`,
    ]);
    expect(ran.code).toBe(2);
    expect(ran.stderr).toContain(
      `can't listen on UDP 127.0.0.1:${ports[0]!}: the port is in use; stop what uses it, or ` +
        'choose another',
    );
    const same = await spines([
      'daemon',
      '--config',
      join(lab.nodeDir(1), 'spines.yaml'),
      '--listen',
      `127.0.0.1:${ports[8]!}`,
    ]);
    expect([same.code, same.stderr]).toEqual([
      2,
      expect.stringMatching(/a daemon answers on .*spines\.sock already; stop it, or/),
    ]);
  }, 120_000);

  test('one identity on two machines: both addresses, everywhere', async () => {
    await until(
      'a link to node-6',
      async () => ((await lab.row(1, 6))?.state === 'up' ? true : null),
      () => lab.log(1),
    );
    // A copy of its folder on another machine.
    lab.start(6, { args: ['--listen', `127.0.0.1:${ports[8]!}`, '--socket', at('clone.sock')] });
    await until(
      'a clone',
      async () => {
        const { twins = [] } = await (await lab.client(1)).request('status');
        return twins.length > 0 ? true : null;
      },
      () => lab.log(1),
    );
    const doctor = await lab.says(1, 'doctor');
    expect(paragraph(doctor, 'identity:')).toMatch(/stop one of the two daemons/);
    expect(await lab.says(1, 'links')).toContain('node-6 (10.0.0.6) runs twice');
    expect(await lab.logged(1, /one identity runs twice/)).toMatchObject({
      level: 40,
      peer: 'node-6',
      kept: expect.any(String) as string,
      refused: expect.any(String) as string,
    });
    expect(
      await lab.logged(
        6,
        /another daemon with the same certificate is running.*no link to a neighbour/,
      ),
    ).toMatchObject({ next: expect.stringMatching(/^stop one of the two daemons/) as string });
  }, 120_000);

  test.skipIf(noClocks !== null)(
    'a certificate that ends while its daemon runs',
    async () => {
      await lab.why(1, 5, 'peerExpired');
      expect(paragraph(await lab.says(1, 'links'), 'node-5 at')).toMatch(
        new RegExp(
          'expired the certificate of node-5 has expired: it ended .* next: ' +
            'sign the request of node-5 again with `spines keys sign`',
        ),
      );
      expect(await lab.says(5, 'status')).toMatch(/certificate .*EXPIRED/);
      expect(paragraph(await lab.says(5, 'doctor'), 'security:')).toContain(
        'renew the certificate: `spines keys sign`',
      );
      expect(await lab.logged(5, /expired: others refuse this daemon/)).toMatchObject({
        level: 50,
      });
    },
    180_000,
  );
});

describe.skipIf(noCables !== null)('on cables', () => {
  const addresses = ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'];
  let lab: Operator, net: Namespaces;
  let hosts: NamespaceHost[] = [];

  beforeAll(async () => {
    lab = new Operator(
      'cables',
      addresses.map((address) => `${address}:8100`),
    );
    await lab.init();
    net = new Namespaces();
    hosts = addresses.map((address) => net.add(address));
    const [hub, ...others] = hosts as [NamespaceHost, ...NamespaceHost[]];
    for (const other of others) net.join(hub, other);
    const [narrow, oneWay, slow] = others as [NamespaceHost, NamespaceHost, NamespaceHost];
    // What is longer than 1280 vanishes at the other end of the cable, without a word.
    ip('-n', narrow.namespace, 'link', 'set', narrow.deviceTo(hub), 'mtu', '1280');
    // What leaves here for the other goes to a card that is not there.
    ip(
      '-n',
      hub.namespace,
      'neigh',
      'replace',
      oneWay.address,
      'lladdr',
      '02:00:00:00:00:99',
      'dev',
      hub.deviceTo(oneWay),
      'nud',
      'permanent',
    );
    if (noSlowLine === null) {
      const [command, ...prefix] = hub.prefix;
      const done = spawnSync(command, [
        ...prefix,
        'tc',
        'qdisc',
        'add',
        'dev',
        hub.deviceTo(slow),
        'root',
        'tbf',
        'rate',
        '500kbit',
        'burst',
        '3000',
        'limit',
        '20000',
      ]);
      expect(done.status, String(done.stderr)).toBe(0);
    }
    for (const [i, host] of hosts.entries()) {
      if (i > 0)
        lab.edit(
          i + 1,
          (yaml) => `${withoutLinks(yaml)}\nlinks:\n  - address: ${addresses[0]!}:8100\n`,
        );
      lab.start(i + 1, { host });
    }
    await lab.client(1);
  }, 240_000);
  afterAll(async () => net.close());

  test('a hole for long packets', async () => {
    await until(
      'a narrow link',
      async () => {
        const row = await lab.row(1, 2);
        return row?.state === 'up' && row.size !== null && !row.size.searching ? true : null;
      },
      () => lab.log(1),
    );
    expect(paragraph(await lab.says(1, 'doctor'), 'narrow links:')).toMatch(
      /MTU below 1500.*`ip link` shows it.*`tracepath ADDRESS`/,
    );
  }, 120_000);

  test('a link in one direction', async () => {
    await lab.why(1, 3, 'oneWay');
    expect(paragraph(await lab.says(1, 'links'), 'node-3 at')).toMatch(
      new RegExp(
        String.raw`one way calls of node-3 arrive here, and our answers do not ` +
          String.raw`arrive there next: see what drops UDP`,
      ),
    );
    expect(paragraph(await lab.says(3, 'doctor'), 'link to 192.0.2.1:8100:')).toMatch(
      new RegExp(
        String.raw`no answer from .* next: see that .* runs there, and that UDP port ` +
          String.raw`8100 is let through both ways`,
      ),
    );
  }, 120_000);

  test.skipIf(noSlowLine !== null)(
    'a link that is sent more than it carries',
    async () => {
      const client = await lab.client(1);
      const socket = client.datagram();
      await socket.ready();
      const pulse = setInterval(() => {
        for (let i = 0; i < 3; i += 1) socket.send(Buffer.alloc(1_000), 700, '10.0.0.4');
      }, 10);
      try {
        const doctor = await until(
          'a slow link',
          async () => {
            const row = await lab.row(1, 4);
            if (row === undefined) return null;
            if (row.queueBytes < 16_384 && (row.lossOutPct ?? 0) < 5) return null;
            const said = await lab.says(1, 'doctor');
            return said.includes('link to node-4:') ? said : null;
          },
          () => lab.log(1),
        );
        expect(paragraph(doctor, 'link to node-4:')).toMatch(
          /(lossy|slow).* next: .*send less, (or )?give it a faster/,
        );
      } finally {
        clearInterval(pulse);
        socket.close();
      }
    },
    120_000,
  );
});

function ip(...args: string[]): void {
  const done = spawnSync('ip', args, { encoding: 'utf8' });
  expect(done.status, `ip ${args.join(' ')}: ${done.stderr}`).toBe(0);
}

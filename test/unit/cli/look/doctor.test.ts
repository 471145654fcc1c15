/** What `spines doctor` finds, and what it advises. */

import { describe, expect, test } from 'vitest';
import type { StatusReply } from 'spines-client';

import {
  formatFindings,
  machineFindings,
  type MachineFacts,
} from '../../../../src/cli/look/doctor.ts';
import { daemonFindings } from '../../../../src/cli/look/doctor-daemon.ts';
import type { Finding } from '../../../../src/cli/look/finding.ts';

const good: MachineFacts = {
  node: '20.20.2',
  platform: 'linux x64',
  primitives: [
    { name: 'libsodium', microseconds: 4.06 },
    { name: 'node:crypto', microseconds: 9 },
  ],
  offload: true,
  dontFragment: true,
  strangersApart: true,
  receiveBufferBytes: 8_388_608,
  receiveBufferWanted: 4_194_304,
};
const status: StatusReply = {
  schema: 1,
  node: '10.0.0.1',
  name: 'A',
  version: '0.1.0',
  instance: 'x',
  uptimeMs: 5_000,
  security: 'sealed',
  emulation: false,
  listen: [],
  identity: {
    primitives: 'libsodium',
    serial: '00',
    validUntilS: 1,
    leftS: 40 * 86_400,
    authorities: [],
    revocations: [],
  },
  host: {
    offload: true,
    dontFragment: true,
    receiveBufferBytes: 1,
    receiveBufferWanted: 1,
    batches: 0,
    batchedDatagrams: 0,
    timersLateMs: { p50: 0.1, p99: 1, max: 3 },
    memoryBytes: 1,
    process: { pid: 1, namespace: '' },
    log: null,
  },
  links: { up: 2, total: 2 },
  nodes: { reachable: 3, known: 3 },
  clients: 1,
  sockets: 0,
  metric: 'hops',
  byzantine: null,
  routing: { recomputations: 3, recomputeMsTotal: 0.5, recomputeMsMax: 0.2, advertisements: 3 },
  packets: { originated: 1, forwarded: 2, delivered: 3 },
  drops: {},
  bounds: { packets: [0, 9] },
};
const advised = (findings: readonly Finding[]): string[] =>
  findings.filter(({ advice }) => advice !== null).map(({ what }) => what);
const plain = (_colour: string, text: string): string => text;

describe('the machine', () => {
  test('with everything: nothing to do', () => {
    expect(advised(machineFindings(good))).toEqual([]);
    expect(formatFindings(machineFindings(good), plain)).toMatch(
      new RegExp(
        String.raw`\nok +cryptography +libsodium 4\.1 us, node:crypto 9\.0 us to ` +
          String.raw`seal .*\n(.*\n)*nothing to do\n$`,
      ),
    );
  });

  test('each thing that is missing, with what to do', () => {
    const poor = machineFindings({
      ...good,
      primitives: good.primitives.slice(1),
      offload: false,
      dontFragment: false,
      strangersApart: false,
      receiveBufferBytes: 425_984,
    });
    expect(advised(poor)).toEqual([
      'cryptography',
      'UDP offload',
      'datagram sizes',
      'strangers',
      'receive buffer',
    ]);
    const text = formatFindings(poor, plain);
    expect(text).toContain(
      '\nreceive buffer:\n  bursts are lost in the kernel: sysctl -w net.core.rmem_max=4194304, ' +
        'then\n  restart the daemon\n',
    );
    expect(text).not.toContain('nothing to do');
    // What only Linux has is not asked of others.
    expect(
      advised(
        machineFindings({
          ...good,
          platform: 'darwin arm64',
          offload: false,
          strangersApart: false,
        }),
      ),
    ).toEqual([]);
  });
});

describe('the daemon', () => {
  test('with old trouble: that datagrams were once not sent is no present trouble', () => {
    expect(advised(daemonFindings({ ...status, drops: { sinkFull: 3, sendRefused: 9 } }))).toEqual(
      [],
    );
  });

  test('a datagram that cannot leave: why, and where to look', () => {
    const advice = (code: string, to: string): string => {
      const [found] = daemonFindings({
        ...status,
        host: { ...status.host!, unsent: [{ code, datagrams: 3, to }] },
      }).filter(({ what }) => what === 'sending');
      return `${found!.found}; ${found!.advice}`;
    };
    expect(advice('EHOSTUNREACH', '[2001:db8::7]:8100')).toBe(
      '3 datagrams not sent in the last minute, the last to [2001:db8::7]:8100: there is no way ' +
        'there (EHOSTUNREACH); ' +
        'see `ip route get 2001:db8::7`, and whether the device and its cable are up',
    );
    expect(advice('EPERM', '192.0.2.7:8100')).toContain(
      'its own firewall refuses UDP to 192.0.2.7:',
    );
    expect(advice('noSocket', '[2001:db8::7]:8100')).toContain('add "[::]:PORT" to `listen`');
  });

  test('in good health', () => {
    expect(advised(daemonFindings(status))).toEqual([]);
  });

  test.each<[string, Partial<StatusReply>, string]>([
    ['no security', { identity: null }, 'security'],
    [
      'a certificate that ends',
      { identity: { ...status.identity!, leftS: 29 * 86_400 } },
      'security',
    ],
    ['a link down', { links: { up: 1, total: 2 } }, 'links'],
    ['no link', { links: { up: 0, total: 0 } }, 'links'],
    ['a bound reached', { bounds: { packets: [9, 9] } }, 'bounds'],
    ...['full', 'EHOSTUNREACH', 'EPERM', 'EADDRNOTAVAIL', 'noSocket', 'EMEDIUMTYPE'].map(
      (code): [string, Partial<StatusReply>, string] => [
        `datagrams not sent: ${code}`,
        { host: { ...status.host!, unsent: [{ code, datagrams: 3, to: '192.0.2.7:8100' }] } },
        'sending',
      ],
    ),
    [
      'timers that are late',
      { host: { ...status.host!, timersLateMs: { p50: 1, p99: 64, max: 80 } } },
      'processor',
    ],
  ])('%s', (_what, change, found) => {
    expect(advised(daemonFindings({ ...status, ...change }))).toEqual([found]);
  });
});

test(
  'a disk that is full is told of each log that is on it, ' + 'with the key that names another',
  () => {
    const full = { target: '/var/log/x', lost: 0, failing: 'ENOSPC', waitingBytes: 9 };
    const host = { ...status.host!, log: full, audit: { records: 1, log: full } };
    const findings = daemonFindings({ ...status, host });
    for (const [name, key] of [
      ['log', 'log.file'],
      ['audit', 'log.audit'],
    ])
      expect(findings.find(({ what }) => what === name)).toMatchObject({
        found: expect.stringMatching(/waits: .*no space/i) as string,
        advice: `free some space there, or name another \`${key!}\``,
      });
  },
);

/** The daemon's config file: what it means, and that every fault is told with its place. */

import { describe, expect, it } from 'vitest';

import { hex } from '../../../../src/core/base/bytes.ts';
import { paperOptions, secureOptions } from '../../../../src/core/byzantine/options.ts';
import { SpinesError } from '../../../../src/core/base/errors.ts';
import { parseNodeId } from '../../../../src/core/base/ids.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import {
  issueCertificate,
  makeAuthority,
  makeRequest,
} from '../../../../src/core/crypto/certificates.ts';
import { makeExchangeKeys, makeSigningKeys } from '../../../../src/core/crypto/keys.ts';
import {
  ROLE_CLIENT,
  ROLE_ROUTER,
  type Certificate,
} from '../../../../src/core/wire/certificate.ts';
import { defaultConfig, defaultLimits } from '../../../../src/core/node/config.ts';
import { parseSocketAddress } from '../../../../src/host/config/config-fields.ts';
import {
  directionData,
  formatEffective,
  loadConfigFile,
  type DaemonFileConfig,
} from '../../../../src/host/config/config-file.ts';
import type { ConfigOverride } from '../../../../src/host/config/config-places.ts';

const FULL = `
security: none
name: boston
id: 10.0.0.1
listen: ["127.0.0.1:8101", "[::1]:8101"]
links:
  - { address: "127.0.0.1:8102", node: 10.0.0.2 }
  - { address: "[2001:DB8:0::7]:8100", congestion: cubic }
accept: false
metric: latency
liveness: { helloInterval: 100ms, deadAfter: 1s }
streams: { keepalive: 2s, silence: 90s }
redial: 500ms
advertisementRefresh: 30s
advertisementLifetime: 2m
client: { socket: /tmp/b.sock, group: staff, tcp: { address: "127.0.0.1:8200", \
token: /tmp/b.token } }
http: { address: "127.0.0.1:9180", token: /tmp/b.http, dashboard: true }
emulation:
  allow: true
  seed: 7
  links:
    - { peer: "127.0.0.1:8102", latency: 10ms, bandwidth: 10mbit, loss: 1%, jitter: 250us }
    - { peer: "127.0.0.1:8103", burst: { goodToBad: 1%, badToGood: 30% }, up: false }
    - { peer: "127.0.0.1:8104", loss: 1%, outages: { every: 10s, lasting: 60ms } }
    - { peer: "127.0.0.1:8105", burst: { good: 1s, bad: 50ms, lossBad: 90% } }
limits: { links: 4, linkQueueBytes: 64KiB }
log: { level: debug }
allowShutdown: true
`;

const NONE: ConfigOverride = { flag: '--security', path: ['security'], value: 'none' };

/** Of a laboratory's config. */
function faults(text: string, overrides: ConfigOverride[] = []): string[] {
  return faultsOf(() => loadConfigFile(text, 'd.yaml', [NONE, ...overrides]));
}

function faultsOf(load: () => unknown): string[] {
  try {
    load();
  } catch (error) {
    expect(error).toBeInstanceOf(SpinesError);
    expect((error as SpinesError).code).toBe('ECONFIG');
    return (error as SpinesError).message.split('\n');
  }
  throw new Error('the text was accepted');
}

describe('a config file', () => {
  it('needs nothing but an id', () => {
    const config = loadConfigFile('{id: 10.0.0.1, security: none}', 'd.yaml');
    expect(config.node).toEqual({ ...defaultConfig, id: parseNodeId('10.0.0.1') });
    expect(config.listen).toEqual([{ address: '0.0.0.0', port: 8100 }]);
    expect(config.client.tcp).toBeNull();
    expect(config.client.socketPath).toMatch(/spines\.sock$|./);
    expect(config.emulation).toEqual({ seed: 1, links: [] });
    expect(config.logLevel).toBe('info');
  });

  it('can say everything', () => {
    const config = loadConfigFile(FULL, 'd.yaml');
    expect(config.node.name).toBe('boston');
    expect(config.listen).toEqual([
      { address: '127.0.0.1', port: 8101 },
      { address: '::1', port: 8101 },
    ]);
    expect(config.node.dials).toEqual([
      { address: '127.0.0.1', port: 8102, node: parseNodeId('10.0.0.2') },
      { address: '2001:db8::7', port: 8100, node: null, congestion: 'cubic' },
    ]);
    expect(config.node).toMatchObject({
      accept: false,
      metric: 'latency',
      liveness: { helloIntervalUs: 100_000, deadAfterUs: 1_000_000 },
      redialUs: 500_000,
      streams: { keepaliveUs: 2_000_000, silenceUs: 90_000_000 },
      advertisementRefreshUs: 30_000_000,
      advertisementLifetimeUs: 120_000_000,
      allowEmulation: true,
      allowShutdown: true,
    });
    expect(config.node.limits).toEqual({ ...defaultLimits, links: 4, linkQueueBytes: 65_536 });
    expect(config.client).toEqual({
      socketPath: '/tmp/b.sock',
      group: 'staff',
      sockets: [],
      tcp: { address: { address: '127.0.0.1', port: 8200 }, tokenPath: '/tmp/b.token', tokens: [] },
      remote: null,
      roles: [],
    });
    expect(config.http).toEqual({
      address: { address: '127.0.0.1', port: 9180 },
      tokenPath: '/tmp/b.http',
      dashboard: true,
    });
    expect(config.emulation.seed).toBe(7);
    expect(config.emulation.links[0]).toMatchObject({
      peer: { port: 8102 },
      settings: {
        latencyUs: 10_000,
        jitterUs: 250,
        bandwidthKbps: 10_000,
        loss: { kind: 'bernoulli', rate: 0.01 },
      },
    });
    expect(config.emulation.links[1]).toMatchObject({
      settings: {
        up: false,
        loss: { kind: 'gilbert-elliott', goodToBad: 0.01, badToGood: 0.3, lossGood: 0, lossBad: 1 },
      },
    });
    expect(config.emulation.links[2]).toMatchObject({
      settings: {
        loss: {
          kind: 'bursts-in-time',
          goodUs: 9_940_000,
          badUs: 60_000,
          badFixed: true,
          lossGood: 0.01,
          lossBad: 1,
        },
      },
    });
    expect(config.emulation.links[3]).toMatchObject({
      settings: {
        loss: {
          kind: 'bursts-in-time',
          goodUs: 1_000_000,
          badUs: 50_000,
          badFixed: false,
          lossGood: 0,
          lossBad: 0.9,
        },
      },
    });
    expect(config.logLevel).toBe('debug');
  });

  it('takes the switches of byzantine routing over the set that a mode names', () => {
    const of = (text: string) =>
      loadConfigFile(`{id: 10.0.0.1, security: none, byzantine: ${text}}`, 'd.yaml').node.byzantine;
    expect(of('{}')).toEqual(secureOptions);
    expect(of('{mode: paper}')).toEqual(paperOptions);
    expect(
      of(
        '{mode: paper, window: 50, tolerance: 2.5%, fullProbing: true, fullProbingHops: 8, ' +
          'secondPath: true, softLoss: true, searchMemory: true, weightCap: fixed, outerFirst: ' +
          'true, prefixCache: true, ackBatch: 4, ackBatchDelay: 5ms}',
      ),
    ).toEqual({
      mode: 'paper',
      windowPackets: 50,
      tolerance: 0.025,
      fullProbing: true,
      fullProbingHops: 8,
      secondPath: true,
      softLoss: true,
      searchMemory: true,
      weightCap: 'fixed',
      outerFirst: true,
      prefixCache: true,
      ackBatchPackets: 4,
      ackBatchDelayUs: 5_000,
    });
  });

  it(
    'gives streams limits: a keepalive that is not given ' +
      'is at most half of the silence, and off is said so',
    () => {
      const of = (text: string): [number, number] => {
        const { keepaliveUs, silenceUs } = loadConfigFile(
          `{id: 10.0.0.1, security: none, streams: ${text}}`,
          'd.yaml',
        ).node.streams;
        return [keepaliveUs / 1_000, silenceUs / 1_000];
      };
      expect([
        of('{}'),
        of('{silence: 5s}'),
        of('{silence: 1s}'),
        of('{silence: 24h}'),
        of('{keepalive: off}'),
        of('{keepalive: 1m, silence: 2s}'),
        of('{keepalive: 500ms}'),
      ]).toEqual([
        [15_000, 30_000],
        [2_500, 5_000],
        [500, 1_000],
        [15_000, 86_400_000],
        [0, 30_000],
        [60_000, 2_000],
        [500, 30_000],
      ]);
      expect(
        formatEffective(
          loadConfigFile('{id: 10.0.0.1, security: none, streams: {keepalive: off}}', 'd.yaml'),
        ),
      ).toContain('streams:\n  keepalive: off\n  silence: 30s\n');
    },
  );

  it('lets clients make the daemon misbehave only when it says so', () => {
    const of = (text: string) =>
      loadConfigFile(`{id: 10.0.0.1, security: none${text}}`, 'd.yaml').node.allowMisbehaviour;
    expect([of(''), of(', laboratory: {}'), of(', laboratory: {misbehaviour: true}')]).toEqual([
      false,
      false,
      true,
    ]);
  });

  it('printed as effective, it loads again with the same outcome', () => {
    for (const text of [
      FULL,
      'id: 1.2.3.4\nsecurity: none\nclient: {socket: null, tcp: {address: "[::1]:9", token: ' +
        '/x}}\nlimits: {clientBytesPerSecond: 1MiB}',
      'id: 1.2.3.4\nsecurity: none\nstreams: {keepalive: off, silence: 1500ms}',
      'id: 1.2.3.4\nsecurity: none\nbyzantine: {mode: paper, tolerance: 0.7%, ackBatchDelay: ' +
        '1500us}\nlaboratory: {misbehaviour: true}',
    ]) {
      const config = loadConfigFile(text, 'd.yaml');
      expect(loadConfigFile(formatEffective(config), 'effective')).toEqual(config);
    }
  });

  it('describes emulated rates without the noise of binary fractions', () => {
    const { settings } = loadConfigFile(
      'id: 1.2.3.4\nsecurity: none\nemulation: {links: [{peer: "127.0.0.1:1", loss: 7%, ' +
        'duplicate: 0.1%}]}',
      'd.yaml',
    ).emulation.links[0]!;
    expect(directionData(settings)).toMatchObject({
      loss: '7%',
      duplicate: '0.1%',
      bandwidth: 'unlimited',
    });
  });
});

describe('faults', () => {
  it("of streams' limits name what they may be", () => {
    const of = (text: string): string =>
      faults(`id: 10.0.0.1\nstreams: ${text}`).join('\n').replace(/^\S+ /, '');
    expect(of('{ silence: 900ms }')).toBe('streams.silence: must be 1 s to a day');
    expect(of('{ silence: 25h }')).toBe('streams.silence: must be 1 s to a day');
    expect(of('{ silence: off }')).toBe(
      'streams.silence: expected a duration such as 150ms or 60s, found "off"',
    );
    expect(of('{ keepalive: 400ms }')).toBe('streams.keepalive: must be 500 ms to a day, or off');
    expect(of('{ keepalive: never }')).toBe(
      'streams.keepalive: expected a duration such as 15s, or off, found "never"',
    );
    expect(of('{ patience: 3s }')).toMatch(/^streams\.patience: unknown key.*keepalive, silence/);
  });

  it('are told all at once, each with file, line, column and path', () => {
    expect(
      faults(`
name: "-x"
listen: ["localhost:8100", "0.0.0.0:0"]
links:
  - { address: "example.org:70000" }
  - { addres: "127.0.0.1:1", node: 10.0.0 }
metric: fast
liveness: { helloInterval: 150 }
extra: 1
`),
    ).toEqual([
      'd.yaml:2:1: id: is missing',
      'd.yaml:2:7: name: expected a name of 1-63 letters, digits, "-", "_" or ".", found "-x"',
      'd.yaml:3:10: listen.0: expected a numeric "address:port" such as "0.0.0.0:8100" or ' +
        '"[::]:8100", found "localhost:8100"',
      'd.yaml:3:28: listen.1: expected a numeric "address:port" such as "0.0.0.0:8100" or ' +
        '"[::]:8100", found "0.0.0.0:0"',
      'd.yaml:5:16: links.0.address: expected an "address:port" such as "192.0.2.7:8100", ' +
        '"[2001:db8::7]:8100" or "rome.example:8100", found "example.org:70000"',
      'd.yaml:6:5: links.1.address: is missing',
      'd.yaml:6:36: links.1.node: expected a dotted quad from 0.0.0.1 to 223.255.255.255, found ' +
        '"10.0.0"',
      'd.yaml:6:7: links.1.addres: unknown key, did you mean address?',
      'd.yaml:7:9: metric: expected hops | latency | loss | expected-latency, found "fast"',
      'd.yaml:8:28: liveness.helloInterval: expected a duration such as 150ms or 60s, found "150"',
      expect.stringMatching(
        new RegExp(
          String.raw`^d\.yaml:9:1: extra: unknown key; valid here: name, id, security, ` +
            String.raw`identity, network, listen, `,
        ),
      ),
    ]);
  });

  it('in the switches of byzantine routing have a place', () => {
    expect(
      faults(
        'id: 10.0.0.1\nsecurity: none\nbyzantine: { mode: brave, window: 0, tolerance: 0.05, ' +
          'fulProbing: true, ackBatchDelay: 3 }\n',
      ),
    ).toEqual([
      'd.yaml:3:20: byzantine.mode: expected secure | paper, found "brave"',
      'd.yaml:3:35: byzantine.window: expected a whole number in 1..100000, found "0"',
      'd.yaml:3:49: byzantine.tolerance: expected a percentage such as 5%, above 0% and at most ' +
        '100%, found "0.05"',
      'd.yaml:3:88: byzantine.ackBatchDelay: expected a duration such as 150ms or 60s, found "3"',
      'd.yaml:3:55: byzantine.fulProbing: unknown key, did you mean fullProbing?',
    ]);
    expect(faults('id: 10.0.0.1\nsecurity: none\nbyzantine: { tolerance: 0% }\n')).toEqual([
      'd.yaml:3:25: byzantine.tolerance: expected a percentage such as 5%, above 0% and at most ' +
        '100%, found "0%"',
    ]);
    expect(faults('id: 10.0.0.1\nsecurity: none\nbyzantine:\n  ackBatchDelay: 2s\n')).toEqual([
      'd.yaml:4:18: byzantine.ackBatchDelay: must be at most 1 s',
    ]);
  });

  it('in emulated links are judged as in topology files', () => {
    expect(
      faults(`
id: 10.0.0.1
emulation:
  links:
    - { peer: "127.0.0.1:1", loss: 101%, latncy: 1ms }
    - { latency: 1ms }
    - { peer: "127.0.0.1:2", forward: { loss: 1% } }
`),
    ).toEqual([
      'd.yaml:5:36: emulation.links.0.loss: expected a percentage such as 1% or 1, in 0..100, ' +
        'found "101%"',
      'd.yaml:5:42: emulation.links.0.latncy: unknown key, did you mean latency?',
      'd.yaml:6:7: emulation.links.1.peer: is missing',
      'd.yaml:7:30: emulation.links.2.forward: unknown key: a daemon emulates its own direction ' +
        'only, towards `peer`',
    ]);
  });

  it('that need two places of the file are found', () => {
    expect(
      faults(`
id: 10.0.0.1
listen: ["127.0.0.1:1", "127.0.0.1:1"]
links: [{ address: "127.0.0.1:2", node: 10.0.0.1 }, { address: "127.0.0.1:2" }]
client: { socket: null }
`),
    ).toEqual([
      'd.yaml:3:25: listen.1: 127.0.0.1:1 is listed twice',
      'd.yaml:4:64: links.1.address: 127.0.0.1:2 is dialled twice',
      "d.yaml:4:41: links.0.node: is this daemon's own id",
      'd.yaml:5:19: client.socket: without a socket, tcp and remote no client could reach the ' +
        'daemon; give one of them',
    ]);
  });

  it("of the core's own rules point at the field", () => {
    expect(faults('id: 10.0.0.1\nliveness:\n  deadAfter: 200ms\n')).toEqual([
      'd.yaml:3:14: liveness.deadAfter: must be at least two hello intervals',
    ]);
    expect(faults('id: 240.0.0.1')[0]).toMatch(/^d\.yaml:1:5: id: expected a dotted quad/);
  });

  it('say why clients may not come over the network', () => {
    expect(faults('id: 10.0.0.1\nclient: { tcp: { address: "0.0.0.0:8100", token: t } }')).toEqual([
      'd.yaml:2:27: client.tcp.address: 0.0.0.0 is not a loopback address; over a network the ' +
        'token could be read, so use client.remote there (127.0.0.1 or [::1] here)',
    ]);
    expect(faults('id: 10.0.0.1\nclient: { remote: "0.0.0.0:8101" }')).toEqual([
      'd.yaml:2:19: client.remote: remote clients are known by certificate, which needs ' +
        '`security: sealed` and an identity; leave it out otherwise',
    ]);
  });

  it('say where the HTTP door may be, and what it is', () => {
    const start = 'id: 10.0.0.1\n';
    expect(faults(`${start}http: "0.0.0.0:9180"`)).toEqual([
      'd.yaml:2:7: http: 0.0.0.0 is not a loopback address; over a network anybody could read ' +
        'what is said there, so let a proxy with TLS, or a tunnel, lead to 127.0.0.1 or [::1]',
    ]);
    expect(faults(`${start}http: { adress: "127.0.0.1:1", token: "" }`)).toEqual([
      'd.yaml:2:7: http.address: is missing',
      'd.yaml:2:39: http.token: expected the path of a file, found ""',
      'd.yaml:2:9: http.adress: unknown key, did you mean address?',
    ]);
    expect(faults(`${start}http: 9180`)[0]).toMatch(/^d\.yaml:2:7: http: /);
    for (const none of ['http: null', '']) {
      const config = loadConfigFile(`${start}security: none\n${none}`, 'd.yaml');
      expect(config.http).toBeNull();
      expect(formatEffective(config)).not.toContain('http');
    }
    const config = loadConfigFile(`${start}security: none\nhttp: "[::1]:9180"`, '/etc/d.yaml');
    expect(config.http).toEqual({
      address: { address: '::1', port: 9180 },
      tokenPath: null,
      dashboard: false,
    });
    expect(loadConfigFile(formatEffective(config), '/etc/d.yaml')).toEqual(config);
  });

  it('say what TCP needs, and what a group is', () => {
    expect(faults('id: 10.0.0.1\nclient: { tcp: "127.0.0.1:8100", group: "a b" }')).toEqual([
      'd.yaml:2:41: client.group: expected the name or number of a group, or null, found "a b"',
      'd.yaml:2:16: client.tcp: every user of the machine can connect there, so it needs a ' +
        'token; write {address: "127.0.0.1:8100", token: FILE}, and the daemon makes the file',
    ]);
    expect(faults('id: 10.0.0.1\nclient: { tcp: { addres: "127.0.0.1:1" } }')).toEqual([
      'd.yaml:2:16: client.tcp.address: is missing',
      'd.yaml:2:16: client.tcp.token: is missing',
      'd.yaml:2:18: client.tcp.addres: unknown key, did you mean address?',
    ]);
    expect(
      faults(
        'id: 10.0.0.1\nclient: { socket: null, group: 20, tcp: { address: "127.0.0.1:1", token: ' +
          't } }',
      ),
    ).toEqual([
      'd.yaml:2:32: client.group: is for the socket, and there is none; leave one of the two out',
    ]);
    expect(faults('id: 10.0.0.1\nlimits: { clientPacketsPerSecond: -1 }')).toEqual([
      'd.yaml:2:35: limits.clientPacketsPerSecond: expected a whole number in 0..1000000000, ' +
        'found "-1"',
    ]);
  });

  it('of the YAML itself have a place too', () => {
    expect(faults('id: 10.0.0.1\nid: 10.0.0.2')).toEqual(['d.yaml:2:1: Map keys must be unique']);
    expect(faults('links: [')[0]).toMatch(/^d\.yaml:1:9: /);
    expect(faults('- a')).toEqual(['d.yaml:1:1: expected a map, found a list']);
    expect(faults('a: &a [*a]').length).toBeGreaterThan(0);
    expect(faults('['.repeat(20_000)).length).toBeGreaterThan(0);
    expect(faults('x'.repeat(1_000_001))).toEqual(['d.yaml:1:1: longer than 1000000 characters']);
    expect(faults('id: *a\n')).toEqual([
      'd.yaml:1:1: an alias cannot be resolved, or aliases expand too far',
    ]);
  });

  it('take a class of datagrams by number and by name', () => {
    const of = (text: string): number =>
      loadConfigFile(`id: 10.0.0.1\nsecurity: none\ndscp: ${text}`, 'd.yaml').dscp;
    expect(['0', '63', 'ef', 'af41', 'cs6', 'le'].map(of)).toEqual([0, 63, 46, 34, 48, 1]);
    for (const wrong of ['64', '-1', 'af44', 'cs8', '1.5', '[]'])
      expect(() => of(wrong)).toThrow(/expected a number in 0..63, or ef, le/);
  });

  it('name a neighbour that is none, twice, or too dear', () => {
    const of = (text: string): string =>
      faults(`id: 10.0.0.1\nsecurity: none\nneighbours: ${text}`)[0]!;
    expect(of('[{ node: rome }, { node: rome }]')).toMatch(
      /neighbours\.1\.node: rome is a neighbour twice/,
    );
    expect(of('[{ node: a b }]')).toMatch(/expected the name or the dotted quad of a node/);
    expect(of('[{ node: rome, cost: 2s }]')).toMatch(
      /neighbours: cost of rome must be at most 1 s$/,
    );
    expect(of('[{ node: rome, price: 2 }]')).toMatch(/unknown key/);
  });

  it('of a flag name the flag', () => {
    const id = { flag: '--id', path: ['id'], value: 'x' };
    expect(
      faults('', [
        id,
        { flag: '--link', path: ['links'], value: [{ address: '[fe80::1%eth0]:1' }] },
      ]),
    ).toEqual([
      '--id: id: expected a dotted quad from 0.0.0.1 to 223.255.255.255, found "x"',
      '--link: links.0.address: [fe80::1%eth0]:1 has a zone, which datagrams cannot name here; ' +
        'write an address that the machine has beside the one that begins with fe80, such as ' +
        'fd00::1',
    ]);
  });
});

it('flags stand over the file, and the rest of the file stays', () => {
  const config = loadConfigFile(FULL, 'd.yaml', [
    { flag: '--id', path: ['id'], value: '10.0.0.9' },
    { flag: '--socket', path: ['client', 'socket'], value: '/tmp/other.sock' },
  ]);
  expect(config.node.id).toBe(parseNodeId('10.0.0.9'));
  expect(config.client).toMatchObject({
    socketPath: '/tmp/other.sock',
    tcp: { address: { address: '127.0.0.1', port: 8200 } },
  });
});

it('socket addresses are numeric, and IPv6 ones canonical', () => {
  expect(parseSocketAddress('192.0.2.1:8100')).toEqual({ address: '192.0.2.1', port: 8100 });
  expect(parseSocketAddress('[2001:DB8:0:0::1]:1')).toEqual({ address: '2001:db8::1', port: 1 });
  for (const text of [
    '192.0.2.1',
    '192.0.2.256:1',
    '192.0.2.1:0',
    '192.0.2.1:65536',
    '::1:80',
    '[::1]',
    '[127.0.0.1]:1',
    'host:1',
    '',
  ]) {
    expect(parseSocketAddress(text), text).toBeNull();
  }
});

describe('security', () => {
  const random = new Rng(7);
  const secure = {
    fill: (out: Uint8Array) => {
      for (let i = 0; i < out.length; i += 1) out[i] = random.below(256);
    },
  };
  const authorityKeys = makeSigningKeys(secure);
  const authority = makeAuthority('lab', authorityKeys, { notBeforeS: 0, notAfterS: 1_000 }, null);
  const certificateOf = (name: string, node: number): Certificate => {
    const request = makeRequest(
      name,
      node,
      makeSigningKeys(secure),
      makeExchangeKeys(secure).publicKey,
    );
    return issueCertificate(
      request,
      node === 0 ? ROLE_CLIENT : ROLE_ROUTER,
      { notBeforeS: 0, notAfterS: 1_000 },
      authority,
      authorityKeys.secret,
      secure,
    );
  };
  const files: Record<string, Certificate> = {
    '/net/a/node.crt': certificateOf('alpha', parseNodeId('10.0.0.1')!),
    '/net/b.crt': certificateOf('beta', parseNodeId('10.0.0.2')!),
    '/net/a/client.crt': certificateOf('someone', 0),
  };
  const read = (path: string): Certificate => {
    const found = files[path];
    if (found === undefined)
      throw new SpinesError('ENOENT', `certificate ${path} does not exist; check the path`);
    return found;
  };
  const IDENTITY =
    'identity: { key: node.key, certificate: node.crt, authorities: [authority.pub] }\n';
  const load = (text: string): DaemonFileConfig => loadConfigFile(text, '/net/a/d.yaml', [], read);
  const wrong = (text: string): string[] => faultsOf(() => load(text));

  it('is sealed unless the file says otherwise, and then needs an identity', () => {
    const needs =
      'security: sealed (the default) needs an identity: make one with `spines init` or `spines ' +
      'keys`, or write `security: none` for a laboratory';
    expect(wrong('id: 10.0.0.1')).toEqual([`/net/a/d.yaml:1:1: ${needs}`]);
    expect(wrong('')).toEqual([`/net/a/d.yaml:1:1: ${needs}`]);
    expect(wrong('id: 10.0.0.1\nsecurity: sealed')).toEqual([`/net/a/d.yaml:2:11: ${needs}`]);
    expect(wrong('security: none')).toEqual(['/net/a/d.yaml:1:1: id: is missing']);
    expect(wrong('security: open\nid: 10.0.0.1')).toEqual([
      '/net/a/d.yaml:1:11: security: expected sealed | none, found "open"',
    ]);
  });

  it('takes id and name from the certificate, and paths from the folder of the file', () => {
    const config = load(`${IDENTITY}client: { socket: spines.sock }`);
    expect(config).toMatchObject({
      security: 'sealed',
      node: { id: parseNodeId('10.0.0.1'), name: 'alpha' },
      client: { socketPath: '/net/a/spines.sock' },
    });
    expect(config.identity).toEqual({
      key: '/net/a/node.key',
      certificate: '/net/a/node.crt',
      authorities: ['/net/a/authority.pub'],
      revocations: '/net/a/revocations.crl',
      passphraseFile: null,
    });
    expect(load(`id: 10.0.0.1\nname: alpha\n${IDENTITY}`).node).toMatchObject({
      id: parseNodeId('10.0.0.1'),
      name: 'alpha',
    });
    expect(load(`security: none\n${IDENTITY}`)).toMatchObject({
      security: 'none',
      node: { name: 'alpha' },
    });
    expect(
      load(
        'identity: { key: /k, certificate: ../b.crt, authorities: [/x], revocations: /r, ' +
          'passphraseFile: pass }',
      ).identity,
    ).toEqual({
      key: '/k',
      certificate: '/net/b.crt',
      authorities: ['/x'],
      revocations: '/r',
      passphraseFile: '/net/a/pass',
    });
  });

  it('printed as effective, loads again from anywhere with the same outcome', () => {
    const config = load(
      `${IDENTITY}links: [{ address: "127.0.0.1:1", certificate: ../b.crt }]\nrekeyAfter: ` +
        `30s\nrekeyAfterDatagrams: 1000`,
    );
    const text = formatEffective(config);
    expect(loadConfigFile(text, '/elsewhere/e.yaml', [], read)).toEqual(config);
    expect(config.node).toMatchObject({ rekeyAfterUs: 30_000_000, rekeyAfterDatagrams: 1_000 });
  });

  it('has ids, names and links agree with certificates', () => {
    expect(wrong(`id: 10.0.0.9\nname: nine\n${IDENTITY}`)).toEqual([
      '/net/a/d.yaml:1:5: id: the certificate says 10.0.0.1, not 10.0.0.9; leave id out, or name ' +
        'the right certificate',
      '/net/a/d.yaml:2:7: name: the certificate says alpha, not nine; leave name out, or name ' +
        'the right certificate',
    ]);
    expect(wrong('identity: { key: k, certificate: none.crt, authorities: [x] }')).toEqual([
      '/net/a/d.yaml:1:34: identity.certificate: certificate /net/a/none.crt does not exist; ' +
        'check the path',
    ]);
    expect(wrong('identity: { key: k, certificate: client.crt, authorities: [x] }')[0]).toMatch(
      new RegExp(
        "identity\\.certificate: is someone's, a client's and no node's; have one made with " +
          '`spines keys node someone --id QUAD`$',
      ),
    );
    expect(wrong('identity: { certificate: node.crt, authorities: [] }')).toEqual([
      '/net/a/d.yaml:1:11: identity.key: is missing',
      '/net/a/d.yaml:1:49: identity.authorities: expected at least one authority',
    ]);
  });

  it("takes the key of a link as digits or from the peer's certificate", () => {
    const key = files['/net/b.crt']!.exchangeKey;
    const dial = { address: '127.0.0.1', port: 1, key };
    expect(
      load(`${IDENTITY}links: [{ address: "127.0.0.1:1", certificate: ../b.crt }]`).node.dials,
    ).toEqual([{ ...dial, node: parseNodeId('10.0.0.2'), name: 'beta' }]);
    expect(
      load(`${IDENTITY}links: [{ address: "127.0.0.1:1", node: 10.0.0.3, name: rome }]`).node.dials,
    ).toEqual([{ address: '127.0.0.1', port: 1, node: parseNodeId('10.0.0.3'), name: 'rome' }]);
    expect(
      load(`${IDENTITY}links: [{ address: "127.0.0.1:1", key: ${hex(key)} }]`).node.dials,
    ).toEqual([{ ...dial, node: null }]);
  });

  it('refuses keys of links that cannot be meant', () => {
    const link = (rest: string): string =>
      wrong(`${IDENTITY}links:\n  - { address: "127.0.0.1:1", ${rest} }`)
        .join('\n')
        .replace(/^\S+ /, '');
    const { exchangeKey } = files['/net/b.crt']!;
    expect(link('key: abc')).toBe(
      'links.0.key: expected an X25519 key, 64 hexadecimal digits (`spines keys show` of the ' +
        'peer\'s certificate: exchange key), found "abc"',
    );
    expect(link(`key: "${'0'.repeat(64)}"`)).toBe(
      "links.0.key: is a weak key; copy it again from `spines keys show` of the peer's certificate",
    );
    expect(link(`key: "${hex(exchangeKey)}", certificate: ../b.crt`)).toBe(
      'links.0.key: a link has a key or a certificate, not both; leave one out',
    );
    expect(link('certificate: ../b.crt, node: 10.0.0.3')).toBe(
      'links.0.node: the certificate says 10.0.0.2, not 10.0.0.3; leave node out, or name the ' +
        'right certificate',
    );
    expect(link('certificate: ../c.crt')).toBe(
      'links.0.certificate: certificate /net/c.crt does not exist; check the path',
    );
    expect(link('certificate: node.crt')).toBe(
      "links.0.certificate: is this daemon's own; name the peer's",
    );
  });

  it('has bounds for new keys of a link, and for the path of a socket', () => {
    expect(wrong(`${IDENTITY}rekeyAfter: 10ms`)).toEqual([
      '/net/a/d.yaml:2:13: rekeyAfter: must be 100 ms to a day',
    ]);
    expect(wrong(`${IDENTITY}rekeyAfterDatagrams: 1`)).toEqual([
      '/net/a/d.yaml:2:22: rekeyAfterDatagrams: must be 16 to 2^40',
    ]);
    const long = `${'x'.repeat(101)}`;
    expect(wrong(`${IDENTITY}client: { socket: ${long} }`)[0]).toMatch(
      new RegExp(
        String.raw`client\.socket: \/net\/a\/x+ is too long for a socket: 108 bytes, ` +
          String.raw`and 107 are the most; choose a shorter path$`,
      ),
    );
  });
});

it('of a text that is no YAML the first fault is said, as what people have usually done', () => {
  const base = 'id: 10.0.0.1\n';
  expect(
    faults(`${base}links\n  - address: 127.0.0.1:1\n    name: a\nclient:\n  socket: x\n`),
  ).toEqual(['d.yaml:2:1: expected "key: value"; a ":" is missing behind the key']);
  expect(faults(`${base}name: a: b\n`)).toEqual([
    'd.yaml:2:7: a text with ": " in it needs quotes, and a map begins on the next line',
  ]);
  expect(faults(`${base}log:\n\tlevel: info\n`)).toEqual([
    'd.yaml:3:1: a tab; lines are indented with spaces',
  ]);
  expect(faults(`${base}listen: ["127.0.0.1:8100"\nname: a\n`)).toHaveLength(1);
});

/** The daemon's config file: what it means, and that every fault is told with its place. */

import { describe, expect, it } from 'vitest';

import { SpinesError } from '../../../src/base/errors.ts';
import { parseNodeId } from '../../../src/base/ids.ts';
import { defaultConfig, defaultLimits } from '../../../src/node/config.ts';
import { directionData, formatEffective, loadConfigFile, parseSocketAddress, type ConfigOverride } from '../../../src/host/config-file.ts';

const FULL = `
name: boston
id: 10.0.0.1
listen: ["127.0.0.1:8101", "[::1]:8101"]
links:
  - { address: "127.0.0.1:8102", node: 10.0.0.2 }
  - { address: "[2001:DB8:0::7]:8100", congestion: cubic }
accept: false
metric: latency
liveness: { helloInterval: 100ms, deadAfter: 1s }
redial: 500ms
advertisementRefresh: 30s
advertisementLifetime: 2m
client: { socket: /tmp/b.sock, tcp: "127.0.0.1:8200" }
emulation:
  allow: true
  seed: 7
  links:
    - { peer: "127.0.0.1:8102", latency: 10ms, bandwidth: 10mbit, loss: 1%, jitter: 250us }
    - { peer: "127.0.0.1:8103", burst: { goodToBad: 1%, badToGood: 30% }, up: false }
limits: { links: 4, linkQueueBytes: 64KiB }
log: { level: debug }
allowShutdown: true
`;

function faults(text: string, overrides: ConfigOverride[] = []): string[] {
  try {
    loadConfigFile(text, 'd.yaml', overrides);
  } catch (error) {
    expect(error).toBeInstanceOf(SpinesError);
    expect((error as SpinesError).code).toBe('ECONFIG');
    return (error as SpinesError).message.split('\n');
  }
  throw new Error('the text was accepted');
}

describe('a config file', () => {
  it('needs nothing but an id', () => {
    const config = loadConfigFile('id: 10.0.0.1', 'd.yaml');
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
    expect(config.listen).toEqual([{ address: '127.0.0.1', port: 8101 }, { address: '::1', port: 8101 }]);
    expect(config.node.dials).toEqual([
      { address: '127.0.0.1', port: 8102, node: parseNodeId('10.0.0.2') },
      { address: '2001:db8::7', port: 8100, node: null, congestion: 'cubic' },
    ]);
    expect(config.node).toMatchObject({
      accept: false, metric: 'latency', liveness: { helloIntervalUs: 100_000, deadAfterUs: 1_000_000 }, redialUs: 500_000,
      advertisementRefreshUs: 30_000_000, advertisementLifetimeUs: 120_000_000, allowEmulation: true, allowShutdown: true,
    });
    expect(config.node.limits).toEqual({ ...defaultLimits, links: 4, linkQueueBytes: 65_536 });
    expect(config.client).toEqual({ socketPath: '/tmp/b.sock', tcp: { address: '127.0.0.1', port: 8200 } });
    expect(config.emulation.seed).toBe(7);
    expect(config.emulation.links[0]).toMatchObject({ peer: { port: 8102 }, settings: { latencyUs: 10_000, jitterUs: 250, bandwidthKbps: 10_000, loss: { kind: 'bernoulli', rate: 0.01 } } });
    expect(config.emulation.links[1]).toMatchObject({ settings: { up: false, loss: { kind: 'gilbert-elliott', goodToBad: 0.01, badToGood: 0.3, lossGood: 0, lossBad: 1 } } });
    expect(config.logLevel).toBe('debug');
  });

  it('printed as effective, it loads again with the same outcome', () => {
    for (const text of [FULL, 'id: 1.2.3.4\nclient: {socket: null, tcp: "[::1]:9"}']) {
      const config = loadConfigFile(text, 'd.yaml');
      expect(loadConfigFile(formatEffective(config), 'effective')).toEqual(config);
    }
  });

  it('describes emulated rates without the noise of binary fractions', () => {
    const { settings } = loadConfigFile('id: 1.2.3.4\nemulation: {links: [{peer: "127.0.0.1:1", loss: 7%, duplicate: 0.1%}]}', 'd.yaml').emulation.links[0]!;
    expect(directionData(settings)).toMatchObject({ loss: '7%', duplicate: '0.1%', bandwidth: 'unlimited' });
  });
});

describe('faults', () => {
  it('are told all at once, each with file, line, column and path', () => {
    expect(faults(`
name: "-x"
listen: ["localhost:8100", "0.0.0.0:0"]
links:
  - { address: "example.org:8100" }
  - { addres: "127.0.0.1:1", node: 10.0.0 }
metric: fast
liveness: { helloInterval: 150 }
extra: 1
`)).toEqual([
      'd.yaml:2:7: name: expected a name of 1-63 letters, digits, "-", "_" or ".", found "-x"',
      'd.yaml:2:1: id: is missing',
      'd.yaml:3:10: listen.0: expected a numeric "address:port" such as "0.0.0.0:8100" or "[::]:8100", found "localhost:8100"',
      'd.yaml:3:28: listen.1: expected a numeric "address:port" such as "0.0.0.0:8100" or "[::]:8100", found "0.0.0.0:0"',
      'd.yaml:5:16: links.0.address: host names are not looked up; write the numeric address of example.org',
      'd.yaml:6:5: links.1.address: is missing',
      'd.yaml:6:36: links.1.node: expected a dotted quad from 0.0.0.1 to 223.255.255.255, found "10.0.0"',
      'd.yaml:6:7: links.1.addres: unknown key, did you mean address?',
      'd.yaml:7:9: metric: expected hops | latency | loss | expected-latency, found "fast"',
      'd.yaml:8:28: liveness.helloInterval: expected a duration such as 150ms or 60s, found "150"',
      expect.stringMatching(/^d\.yaml:9:1: extra: unknown key; valid here: name, id, listen, /),
    ]);
  });

  it('in emulated links are judged as in topology files', () => {
    expect(faults(`
id: 10.0.0.1
emulation:
  links:
    - { peer: "127.0.0.1:1", loss: 101%, latncy: 1ms }
    - { latency: 1ms }
    - { peer: "127.0.0.1:2", forward: { loss: 1% } }
`)).toEqual([
      'd.yaml:5:36: emulation.links.0.loss: expected a percentage such as 1% or 1, in 0..100, found "101%"',
      'd.yaml:5:42: emulation.links.0.latncy: unknown key, did you mean latency?',
      'd.yaml:6:7: emulation.links.1.peer: is missing',
      'd.yaml:7:30: emulation.links.2.forward: unknown key: a daemon emulates its own direction only, towards `peer`',
    ]);
  });

  it('that need two places of the file are found', () => {
    expect(faults(`
id: 10.0.0.1
listen: ["127.0.0.1:1", "127.0.0.1:1"]
links: [{ address: "127.0.0.1:2", node: 10.0.0.1 }, { address: "127.0.0.1:2" }]
client: { socket: null }
`)).toEqual([
      'd.yaml:3:25: listen.1: 127.0.0.1:1 is listed twice',
      'd.yaml:4:64: links.1.address: 127.0.0.1:2 is dialled twice',
      'd.yaml:4:41: links.0.node: is this daemon\'s own id',
      'd.yaml:5:19: client.socket: without a socket and without tcp no client could reach the daemon; give one of them',
    ]);
  });

  it('of the core\'s own rules point at the field', () => {
    expect(faults('id: 10.0.0.1\nliveness:\n  deadAfter: 200ms\n')).toEqual(['d.yaml:3:14: liveness.deadAfter: must be at least two hello intervals']);
    expect(faults('id: 240.0.0.1')[0]).toMatch(/^d\.yaml:1:5: id: expected a dotted quad/);
  });

  it('say why clients may not come over the network', () => {
    expect(faults('id: 10.0.0.1\nclient: { tcp: "0.0.0.0:8100" }')).toEqual([
      'd.yaml:2:16: client.tcp: 0.0.0.0 is not a loopback address; clients are not authenticated, so only this machine may connect (127.0.0.1 or [::1])',
    ]);
  });

  it('of the YAML itself have a place too', () => {
    expect(faults('id: 10.0.0.1\nid: 10.0.0.2')).toEqual(['d.yaml:2:1: Map keys must be unique']);
    expect(faults('links: [')[0]).toMatch(/^d\.yaml:1:9: /);
    expect(faults('- a')).toEqual(['d.yaml:1:1: expected a map, found a list']);
    expect(faults('a: &a [*a]').length).toBeGreaterThan(0);
    expect(faults('['.repeat(20_000)).length).toBeGreaterThan(0);
    expect(faults('x'.repeat(1_000_001))).toEqual(['d.yaml:1:1: longer than 1000000 characters']);
  });

  it('of a flag name the flag', () => {
    const id = { flag: '--id', path: ['id'], value: 'x' };
    expect(faults('', [id, { flag: '--link', path: ['links'], value: [{ address: 'b:1' }] }])).toEqual([
      '--id: id: expected a dotted quad from 0.0.0.1 to 223.255.255.255, found "x"',
      '--link: links.0.address: host names are not looked up; write the numeric address of b',
    ]);
  });
});

it('flags stand over the file, and the rest of the file stays', () => {
  const config = loadConfigFile(FULL, 'd.yaml', [
    { flag: '--id', path: ['id'], value: '10.0.0.9' },
    { flag: '--socket', path: ['client', 'socket'], value: '/tmp/other.sock' },
  ]);
  expect(config.node.id).toBe(parseNodeId('10.0.0.9'));
  expect(config.client).toEqual({ socketPath: '/tmp/other.sock', tcp: { address: '127.0.0.1', port: 8200 } });
});

it('socket addresses are numeric, and IPv6 ones canonical', () => {
  expect(parseSocketAddress('192.0.2.1:8100')).toEqual({ address: '192.0.2.1', port: 8100 });
  expect(parseSocketAddress('[2001:DB8:0:0::1]:1')).toEqual({ address: '2001:db8::1', port: 1 });
  for (const text of ['192.0.2.1', '192.0.2.256:1', '192.0.2.1:0', '192.0.2.1:65536', '::1:80', '[::1]', '[127.0.0.1]:1', 'host:1', '']) {
    expect(parseSocketAddress(text), text).toBeNull();
  }
});

/**
 * Stories of neighbours without a link: for each cause, what both sides are told, in `links`,
 * `status` and the log.
 */

import { describe, expect, test } from 'vitest';
import type { LinkRow, LinksReply, StatusReply } from 'spines-client';

import { formatFindings } from '../../src/cli/look/doctor.ts';
import { linkFindings } from '../../src/cli/look/doctor-links.ts';
import { formatLinks } from '../../src/cli/look/links.ts';
import { makeEndpoint } from '../../src/core/base/datagram.ts';
import { LinkModel } from '../../src/core/emulation/link-model.ts';
import { nullLog, type Log, type LogFields } from '../../src/core/base/log.ts';
import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import type { ProbeResult } from '../../src/core/base/address-probe.ts';
import { SIM_EPOCH } from '../../src/lab/sim/sim-authority.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import {
  DATAGRAM_INIT,
  DATAGRAM_SEALED_INIT,
  DATAGRAM_SEALED_RESPONSE,
} from '../../src/core/wire/datagram-header.ts';
import {
  hosts,
  linked,
  linkOf,
  useNetworks,
  wire,
  type Network,
  type NetworkOptions,
} from '../support/network.ts';
import { asked } from '../support/administer.ts';

useNetworks();

const MS = MILLISECOND;
const NOW_S = SIM_EPOCH / SECOND;
const plain = (_colour: string, text: string): string => text;

interface Line {
  readonly level: string;
  readonly message: string;
  readonly fields: LogFields;
  readonly at: number;
}

/** The host's own log. */
function logOf(host: SimHost): Line[] {
  const lines: Line[] = [];
  const write =
    (level: string) =>
    (fields: LogFields, message: string): void => {
      lines.push({ level, message, fields, at: host.world.now() });
    };
  const log: Log = { ...nullLog, info: write('info'), warn: write('warn'), error: write('error') };
  host.log = log;
  return lines;
}

interface Scene {
  readonly network: Network;
  readonly a: SimHost;
  readonly b: SimHost;
  readonly logA: Line[];
  readonly logB: Line[];
}

/** a dials b, whose name and id its configuration has. */
function scene(options: NetworkOptions = {}): Scene {
  const network = hosts(2, { routes: false, ...options });
  const [a, b] = network.hosts as [SimHost, SimHost];
  network.connect(a, b, wire({ latencyUs: 5 * MS }));
  a.dials[0] = { ...a.dials[0]!, node: b.id, name: b.name };
  return { network, a, b, logA: logOf(a), logB: logOf(b) };
}

function rows(host: SimHost): LinkRow[] {
  return (asked(host, 'links') as LinksReply).links;
}

/**
 * The one row of `host` and its one warning, after some seconds, and both as a person sees them in
 * 80 columns.
 */
function told(host: SimHost, log: readonly Line[]): { code: string; text: string; warning: Line } {
  const all = rows(host);
  expect(all).toHaveLength(1);
  const [row] = all;
  expect(row!.why, 'a row says why').toBeTruthy();
  const warnings = log.filter(({ message }) => message === 'no link to a neighbour');
  expect(warnings).toHaveLength(1);
  const status = asked(host, 'status') as StatusReply;
  expect(status.links).toMatchObject({ up: 0, total: 1 });
  expect(status.links.troubles).toHaveLength(1);
  const text = formatLinks({ schema: 1, links: all }, plain).replace(
    /^[\s\S]*?\n(?=\n\S.* for )/,
    '',
  );
  const doctor = formatFindings(linkFindings(status), plain);
  for (const line of `${text}${doctor}`.split('\n'))
    expect(line.length, line).toBeLessThanOrEqual(80);
  expect(text).toContain('next: ');
  expect(doctor).toContain('next: ');
  return { code: row!.why!.code, text, warning: warnings[0]! };
}

/** Says always the same of an address, half a second after it was asked. */
function says(host: SimHost, result: ProbeResult): void {
  host.probe = (_to, done) => {
    host.world.schedule(host.world.now() + 500 * MS, () => done(result));
  };
}

describe('a neighbour that does not answer', () => {
  test('is named after 5 s, once, with what to do', () => {
    const { network, a, logA } = scene();
    a.start();
    network.run(60 * SECOND);
    const { code, text, warning } = told(a, logA);
    expect(code).toBe('silent');
    expect(text).toContain('n1 at 10.0.0.2:8100, connecting for 1m 0s: no answer\n');
    expect(warning.at).toBeGreaterThanOrEqual(5 * SECOND);
    expect(warning.at).toBeLessThanOrEqual(6 * SECOND);
    expect(warning.fields).toMatchObject({ peer: 'n1', address: '10.0.0.2:8100' });
  });

  test.each<[ProbeResult, string, string]>([
    ['portClosed', 'portClosed', 'nothing listens on UDP 10.0.0.2:8100'],
    ['unreachable', 'unreachable', 'no way to 10.0.0.2'],
    ['forbidden', 'forbidden', 'does not let UDP out'],
    ['noSocket', 'noSocket', 'IPv4 address, and this daemon listens on none'],
    ['nothing', 'silent', 'no answer from n1'],
  ])('while its system says: %s', (result, expected, words) => {
    const { network, a, b, logA } = scene();
    says(a, result);
    a.start();
    network.run(20 * SECOND);
    const { code, text, warning } = told(a, logA);
    expect(code).toBe(expected);
    expect(warning.fields['why'], 'known by the time of the warning').toContain(words);
    expect(text.replaceAll(/\n +/g, ' ')).toContain(words);
    b.start();
    expect(network.until(() => linked(a, b), 3 * SECOND)).not.toBeNull();
    expect(rows(a)).toMatchObject([{ state: 'up', why: null }]);
    network.run(60 * SECOND);
    expect(rows(a)).toMatchObject([{ state: 'up', why: null }]);
  });

  test('after it was up: since when, and what ended the link', () => {
    const { network, a, b, logA } = scene();
    network.settle();
    network.run(60 * SECOND);
    b.crash();
    network.run(20 * SECOND);
    const { code, text } = told(a, logA);
    expect(code).toBe('silent');
    expect(text).toMatch(/^\nn1 at 10\.0\.0\.2:8100, down for 19s: no answer\n/);
    expect(text.replaceAll(/\n +/g, ' ')).toContain('its link ended: silent');
    expect(logA.find(({ message }) => message === 'link down')).toMatchObject({
      level: 'warn',
      fields: { peer: 'n1' },
    });
  });

  test('because answers do not arrive there: it is heard, and it is not reached', () => {
    const { network, a, b, logB } = scene({
      onArrival: (w, bytes) => w.from.name !== 'n1' || bytes[0] !== DATAGRAM_SEALED_RESPONSE,
    });
    b.dials.push({
      address: a.endpoint.address,
      port: a.endpoint.port,
      node: a.id,
      name: a.name,
      key: a.identity!.exchange.publicKey,
    });
    network.startAll();
    for (const w of network.world.wires) if (w.from === b) w.model.set({ up: false });
    network.run(30 * SECOND);
    expect(told(b, logB).code).toBe('oneWay');
  });

  test(
    'because nothing from here arrives there, ' +
      'and it knows us by address alone: it asks for our key again and again',
    () => {
      const { network, a, b, logB } = scene();
      b.dials.push({
        address: a.endpoint.address,
        port: a.endpoint.port,
        node: a.id,
        name: a.name,
        key: a.identity!.exchange.publicKey,
      });
      a.dials[0] = { address: b.endpoint.address, port: b.endpoint.port, node: null };
      network.startAll();
      for (const w of network.world.wires) if (w.from === b) w.model.set({ up: false });
      network.run(30 * SECOND);
      const { code, text } = told(b, logB);
      expect(code).toBe('oneWay');
      expect(text).toContain('n0 at ');
    },
  );
});

test(
  'the name of a neighbour without a link is not called unknown: ' + 'why there is no link is said',
  () => {
    const { network, a } = scene();
    a.start();
    network.run(8 * SECOND);
    for (const op of ['ping', 'trace']) {
      expect(() => asked(a, op, { node: 'n1' })).toThrow(
        /^no way to "n1" is known: it is a neighbour without a link: .*no answer/,
      );
      expect(() => asked(a, op, { node: 'n2' })).toThrow(/^no node called "n2" is known; /);
    }
  },
);

describe('a neighbour that is there and refuses', () => {
  test('a wrong key: both sides say so, and by the key who it is', () => {
    const { network, a, b, logA, logB } = scene();
    const c = network.add('n2');
    a.dials[0] = { ...a.dials[0]!, key: c.identity!.exchange.publicKey };
    a.start();
    b.start();
    network.run(20 * SECOND);
    expect(told(a, logA).code).toBe('wrongKey');
    const refused = logB.filter(({ message }) => message === 'call refused');
    expect(refused).toHaveLength(1);
    expect(refused[0]!.fields['why']).toContain('another key than that of n1');
  });

  test('the address of another node', () => {
    const { network, a, b, logA, logB } = scene();
    a.dials[0] = { ...a.dials[0]!, node: b.id + 7, name: 'rome' };
    network.startAll();
    network.run(20 * SECOND);
    expect(told(a, logA).code).toBe('refused');
    expect(logB.filter(({ message }) => message === 'call refused')).toMatchObject([
      { fields: { peer: 'n0', from: a.endpoint.key } },
    ]);
  });

  test('its own address', () => {
    const { network, a, logA } = scene();
    a.dials[0] = { address: a.endpoint.address, port: a.endpoint.port, node: null };
    a.wires.set(a.endpoint.key, {
      from: a,
      to: a,
      model: new LinkModel(wire({ latencyUs: MS }), network.world.rng.fork('own')),
      datagrams: 0,
      ipBytes: 0,
    });
    a.start();
    network.run(20 * SECOND);
    const { code, text } = told(a, logA);
    expect(code).toBe('self');
    expect(text).toContain('10.0.0.1:8100 is this daemon itself');
  });

  test('another address of a node that has its link: no fault, and one row for each', () => {
    const { network, a, b, logA } = scene();
    const elsewhere = makeEndpoint('10.9.9.9', 8100);
    a.wires.set(elsewhere.key, a.wires.get(b.endpoint.key)!);
    a.dials.push({ address: elsewhere.address, port: elsewhere.port, node: null });
    network.startAll();
    network.run(20 * SECOND);
    expect(rows(a)).toMatchObject([
      { state: 'up', why: null, address: b.endpoint.key },
      { state: 'standby', node: '10.0.0.2', why: { code: 'sameNode' } },
    ]);
    expect((asked(a, 'status') as StatusReply).links).toEqual({ up: 1, total: 1, troubles: [] });
    expect(logA.filter(({ level }) => level === 'warn')).toEqual([]);
  });

  test.each([
    ['sealed', 'none'],
    ['none', 'sealed'],
  ] as const)('one that is %s, and we are %s', (theirs, ours) => {
    // Two worlds would be needed for daemons of both kinds: the datagram of the other is enough.
    const { network, a, b, logA } = scene({ security: ours });
    a.start();
    const type = theirs === 'sealed' ? DATAGRAM_SEALED_INIT : DATAGRAM_INIT;
    for (let i = 0; i < 20; i += 1) {
      network.run(SECOND);
      a.onDatagram(Uint8Array.of(type, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3), b.endpoint);
    }
    expect(told(a, logA).code).toBe('otherSecurity');
    expect(logA.filter(({ message }) => message === 'call refused')).toMatchObject([
      { fields: { peer: 'n1' } },
    ]);
  });
});

describe('certificates', () => {
  const invalid = (s: Scene, host: SimHost, notBeforeS: number, notAfterS: number): void => {
    host.identity = s.network.world.authority!.issue(host.id, host.name, { notBeforeS, notAfterS });
    if (host === s.b) s.a.dials[0] = { ...s.a.dials[0]!, key: host.identity.exchange.publicKey };
  };

  test.each<[string, (s: Scene) => void, string]>([
    ['ours has expired', (s) => invalid(s, s.a, NOW_S - 100, NOW_S - 1), 'ownExpired'],
    [
      'ours is not valid yet',
      (s) => invalid(s, s.a, NOW_S + 1_000, NOW_S + 2_000),
      'ownNotYetValid',
    ],
    ["the peer's has expired", (s) => invalid(s, s.b, NOW_S - 100, NOW_S - 1), 'peerExpired'],
    [
      "the peer's is not valid yet",
      (s) => invalid(s, s.b, NOW_S + 1_000, NOW_S + 2_000),
      'peerNotYetValid',
    ],
  ])('%s', (_what, change, expected) => {
    const s = scene();
    change(s);
    s.network.startAll();
    s.network.run(20 * SECOND);
    expect(told(s.a, s.logA).code).toBe(expected);
    if (expected.startsWith('own'))
      expect(s.logB.filter(({ message }) => message === 'call refused')).toMatchObject([
        { level: 'warn', fields: { peer: 'n0', from: s.a.endpoint.key } },
      ]);
  });

  test('one that ends while the link is up: both say so, with names and what to do', () => {
    const s = scene();
    invalid(s, s.b, NOW_S - 100, NOW_S + 60);
    s.network.startAll();
    s.network.run(80 * SECOND);
    expect(linkOf(s.a, s.b)?.up).toBe(false);
    const cut = s.logA.find(({ message }) => message === 'neighbour cut off');
    expect(cut!.fields).toMatchObject({ peer: 'n1' });
    expect(cut!.fields['why']).toContain('has expired');
    const down = s.logB.find(({ message }) => message === 'link down');
    expect(down).toMatchObject({ level: 'warn', fields: { peer: 'n0' } });
    expect(down!.fields['why']).toMatch(
      /^closed by peer: this daemon's own certificate \(n1\) has expired/,
    );
    expect(down!.fields['next']).toContain('spines keys sign');
    expect(told(s.a, s.logA).code).toBe('peerExpired');
  });
});

describe('two faults at once: a true one is said, and once it is mended the other', () => {
  interface Pair extends Scene {
    closed: boolean;
  }
  const issue = (s: Pair, host: SimHost, endS: number): void => {
    host.identity = s.network.world.authority!.issue(host.id, host.name, {
      notBeforeS: NOW_S - 1_000,
      notAfterS: NOW_S + endS,
    });
    if (host === s.b) callWith(s, host);
  };
  const callWith = (s: Pair, { identity }: SimHost): void => {
    s.a.dials[0] = { ...s.a.dials[0]!, key: identity!.exchange.publicKey };
  };
  /** Codes of what `a` says in `links` and `status` after 20 s. */
  const said = (s: Pair): string[] => {
    if (!s.closed) s.b.start();
    says(s.a, s.closed ? 'portClosed' : 'nothing');
    s.a.start();
    s.network.run(20 * SECOND);
    const { clocks } = asked(s.a, 'status') as StatusReply;
    const codes = rows(s.a).map(({ state, why }) => why?.code ?? state);
    for (const host of [s.a, s.b]) if (host.running) host.crash();
    return [...codes, ...(clocks!.differ.length > 0 ? ['clock'] : [])];
  };
  const ahead = (s: Pair, us: number): void => {
    s.b.wallSkewUs = us;
  };

  const wrongKey = (s: Pair): void => callWith(s, s.a);
  const rightKey = (s: Pair): void => callWith(s, s.b);
  const ownExpired = (s: Pair): void => issue(s, s.a, -1);
  const ownRenewed = (s: Pair): void => issue(s, s.a, 9_000);
  const peerExpired = (s: Pair): void => issue(s, s.b, -1);
  const peerRenewed = (s: Pair): void => issue(s, s.b, 9_000);
  const closed = (s: Pair): void => void (s.closed = true);
  const opened = (s: Pair): void => void (s.closed = false);
  const clockWrong = (s: Pair): void => ahead(s, 600 * SECOND);
  const clockRight = (s: Pair): void => ahead(s, 0);

  type Change = (s: Pair) => void;
  test.each<[string, Change[], string[][], Change[]]>([
    [
      'wrong key, wrong clock',
      [wrongKey, clockWrong],
      [['wrongKey'], ['up', 'clock']],
      [rightKey, clockRight],
    ],
    [
      'wrong key, closed port',
      [wrongKey, closed],
      [['portClosed'], ['wrongKey']],
      [opened, rightKey],
    ],
    [
      'expired there, closed port',
      [peerExpired, closed],
      [['portClosed'], ['peerExpired']],
      [opened, peerRenewed],
    ],
    [
      'expired here, closed port',
      [ownExpired, closed],
      [['ownExpired'], ['portClosed']],
      [ownRenewed, opened],
    ],
    [
      'expired here and there',
      [ownExpired, peerExpired],
      [['ownExpired'], ['peerExpired']],
      [ownRenewed, peerRenewed],
    ],
    [
      'expired there, wrong clock',
      [peerExpired, clockWrong],
      [['peerExpired'], ['up', 'clock']],
      [peerRenewed, clockRight],
    ],
    [
      'expired here, wrong key',
      [ownExpired, wrongKey],
      [['ownExpired'], ['wrongKey']],
      [ownRenewed, rightKey],
    ],
  ])('%s', (_what, spoil, expected, mend) => {
    const s: Pair = { ...scene(), closed: false };
    for (const change of spoil) change(s);
    const found: string[][] = [];
    for (const change of mend) {
      found.push(said(s));
      change(s);
    }
    found.push(said(s));
    expect(found).toEqual([...expected, ['up']]);
  });
});

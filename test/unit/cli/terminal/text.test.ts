/**
 * What people see: tables, colours, the progress line, and the summaries of ping, trace and link.
 */

import { describe, expect, it } from 'vitest';
import type { LinkRow, StatusReply } from 'spines-client';

import { describeSettings, toSettings } from '../../../../src/cli/look/link.ts';
import { formatAllOfLinks, formatLinks } from '../../../../src/cli/look/links.ts';
import { formatNodes } from '../../../../src/cli/look/nodes.ts';
import { formatPingSummary } from '../../../../src/cli/look/ping.ts';
import { Progress } from '../../../../src/cli/terminal/progress.ts';
import { formatRoutes } from '../../../../src/cli/look/routes.ts';
import { RttStats, lossPct } from '../../../../src/cli/look/rtt-stats.ts';
import {
  formatAllOfSessions,
  formatSessions,
  type SessionsView,
} from '../../../../src/cli/look/sessions.ts';
import { oneLine } from '../../../../src/cli/terminal/failure.ts';
import { plainInJson, plainJson, plainText } from '../../../../src/cli/terminal/plain-text.ts';
import { formatStatus } from '../../../../src/cli/look/status.ts';
import {
  formatAge,
  formatMs,
  formatNode,
  formatTable,
  paintFor,
} from '../../../../src/cli/terminal/table.ts';
import { formatByzantineTrace, formatTrace, summarize } from '../../../../src/cli/look/trace.ts';
import { formatByzantineRoutes } from '../../../../src/cli/look/byzantine-routes.ts';

const plain = paintFor({}, {});
const colour = paintFor({ isTTY: true }, {});

describe('tables', () => {
  it('align, numbers to the right, without trailing blanks', () => {
    expect(
      formatTable(
        [{ title: 'name' }, { title: 'rtt', align: 'right' }, { title: 'note' }],
        [
          ['a', '10 ms', ''],
          ['long-name', '5 ms', 'x'],
        ],
      ),
    ).toBe('NAME         RTT  NOTE\n' + 'a          10 ms\n' + 'long-name   5 ms  x\n');
  });

  it('are not put out of line by colour', () => {
    const rows = (paint: typeof plain): string =>
      formatTable(
        [{ title: 'state' }, { title: 'n' }],
        [
          [paint('green', 'up'), '1'],
          ['connecting', '2'],
        ],
      );
    expect(rows(colour).replace(/\x1b\[\d+m/g, '')).toBe(rows(plain));
    expect(rows(colour)).toContain('\x1b[32mup\x1b[39m');
  });

  it('keep control characters of others off the terminal', () => {
    expect(formatTable([{ title: 'x' }], [['a\x1b]0;evil\x07\nb\x1b[2J']])).toBe(
      'X\na?]0;evil??b?[2J\n',
    );
  });

  it('are coloured on a terminal only, and not against NO_COLOR', () => {
    expect(colour('red', 'x')).toBe('\x1b[31mx\x1b[39m');
    expect(paintFor({ isTTY: true }, { NO_COLOR: '1' })('red', 'x')).toBe('x');
    expect(paintFor({ isTTY: true }, { NO_COLOR: '' })('red', 'x')).not.toBe('x');
    expect(paintFor({ isTTY: true }, { TERM: 'dumb' })('red', 'x')).toBe('x');
    expect(paintFor({ isTTY: false }, {})('red', 'x')).toBe('x');
  });

  it('write times as they are read', () => {
    expect([0.42, 30.06, 1250, null].map(formatMs)).toEqual(['0.42 ms', '30.1 ms', '1250 ms', '-']);
    expect([900, 61_000, 7_500_000, 180_000_000].map(formatAge)).toEqual([
      '0s',
      '1m 1s',
      '2h 5m',
      '2d 2h',
    ]);
    expect([
      formatNode('D', '10.0.0.4'),
      formatNode('', '10.0.0.4'),
      formatNode(null, null),
    ]).toEqual(['D (10.0.0.4)', '10.0.0.4', '?']);
  });
});

describe('text from elsewhere', () => {
  // Colours, moves, an operating system command, C1, overrides and isolates of direction, zero
  // width, tags, breaks of a line.
  const hostile = [
    '\x1b[31mred\x1b[0m',
    '\x1b[32mup\x1b[39m',
    '\x1b[2J',
    '\x1b]0;title\x07',
    '\x9b31m',
    'a\u202egnp.exe',
    '\u2066x\u2069',
    'a\u200bb',
    '\u{e0041}',
    'a\nb\tc\rd',
    '\u061c',
    '\ufeff',
    '\u2028',
  ];
  const unseen = new RegExp(
    String.raw`[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069` +
      String.raw`\ufeff\u{e0000}-\u{e007f}]`,
    'u',
  );

  it.each(hostile)('%j of a client, a node or an address is not for the terminal', (text) => {
    const datagram = {
      kind: 'datagram' as const,
      state: '' as const,
      client: text,
      certificate: text,
      port: 7,
      remoteNode: text,
      remoteName: text,
      remotePort: 1,
      link: 'reliable' as const,
      routing: 'link-state' as const,
      sent: 0,
      received: 0,
      rttMs: null,
      windowBytes: null,
      inFlightBytes: null,
      queuedBytes: null,
      resentBytes: null,
      ecnMarks: null,
      limitedBy: null,
    };
    const lines = formatAllOfSessions({ schema: 1, sessions: [datagram] }, plain, 200);
    expect(lines).not.toMatch(unseen);
    expect(lines.split('\n')).toHaveLength(4);
    expect(formatNode(text, '10.0.0.1')).not.toMatch(unseen);
    expect(oneLine(text)).not.toMatch(unseen);
    expect(
      formatRoutes(
        {
          schema: 1,
          metric: 'hops',
          routes: [
            {
              node: '10.0.0.2',
              name: text,
              reachable: true,
              nextHop: '10.0.0.2',
              nextHopName: text,
              cost: 1,
              hops: 1,
              path: [
                { node: '10.0.0.1', name: 'A' },
                { node: '10.0.0.3', name: text },
                { node: '10.0.0.2', name: text },
              ],
              runnerUp: null,
            },
          ],
        },
        plain,
      ),
    ).not.toMatch(unseen);
  });

  it('keeps what people write, in any language', () => {
    for (const text of [
      'Zo\u00eb',
      '\u05e9\u05dc\u05d5\u05dd',
      '\u0645\u0631\u062d\u0628\u0627',
      '\u65e5\u672c',
      '\u{1f600}',
      'a b',
    ])
      expect(plainText(text)).toBe(text);
  });

  it('is the same in JSON, in escapes', () => {
    for (const text of hostile) {
      const json = plainJson(JSON.stringify({ text }, null, 2));
      expect(json).not.toMatch(unseen);
      expect(JSON.parse(json)).toEqual({ text });
      const shown = JSON.parse(plainInJson(JSON.stringify({ text: `\\u001b${text}` }))) as {
        text: string;
      };
      expect(shown.text.replaceAll('\n', '').replaceAll('\t', '').replaceAll('\r', '')).not.toMatch(
        unseen,
      );
      expect(shown.text.startsWith('\\u001b')).toBe(true);
    }
  });
});

describe('answers of a daemon', () => {
  it('links', () => {
    const link = {
      node: '10.0.0.2',
      name: 'B',
      address: '127.0.0.1:8102',
      state: 'up' as const,
      sinceMs: 65_000,
      dialled: true,
      rttMs: 20.04,
      lossOutPct: 1,
      lossInPct: 0,
      cost: 10,
      sent: { datagrams: 12, bytes: 3 },
      received: { datagrams: 11, bytes: 3 },
      retransmitted: 0,
      dropped: 2,
      queueBytes: 0,
      congestion: 'newreno',
      windowBytes: 14_800,
      inFlightBytes: 0,
      size: { datagramBytes: 1_232, packetBytes: 1_260, searching: false },
      seal: null,
      emulated: null,
    };
    const none = { rttMs: null, lossOutPct: null, lossInPct: null, size: null };
    const connecting = { ...link, ...none, node: null, name: null, state: 'connecting' as const };
    const links: LinkRow[] = [link, connecting];
    const why = {
      code: 'portClosed',
      short: 'port closed',
      text: 'nothing listens at 127.0.0.1:8102',
      next: 'start it',
    };
    expect(
      formatLinks(
        {
          schema: 1,
          links: [
            {
              ...link,
              rate: { sentBps: 1_204_000, receivedBps: 840 },
              flaps: 3,
              seal: { serial: '00', notAfterS: 1, keyAgeMs: 1, rekeys: 0 },
            },
            { ...connecting, why, rate: null },
          ],
        },
        plain,
      ),
    ).toBe(
      'NAME            STATE       SINCE      RTT  LOSS O/I  BIT/S OUT/IN  WHY\n' +
        'B               up          1m 5s  20.0 ms   1 / 0 %   1.20M / 840  3 flaps\n' +
        '127.0.0.1:8102  connecting  1m 5s        -         -             -  port closed\n' +
        '\n' +
        '127.0.0.1:8102, connecting for 1m 5s: port closed\n' +
        '  nothing listens at 127.0.0.1:8102\n' +
        '  next: start it\n',
    );
    expect(formatAllOfLinks({ schema: 1, links }, plain, 200)).toBe(
      'NODE      NAME  ADDRESS         STATE       SINCE      RTT  LOSS OUT  LOSS IN  SENT  ' +
        'RECEIVED  RESENT  DROPPED  QUEUE  SIZE  KEYS\n' +
        '10.0.0.2  B     127.0.0.1:8102  up          1m 5s  20.0 ms       1 %      0 %    12     ' +
        '   11       0        2    0 B  1232  not sealed\n' +
        '?               127.0.0.1:8102  connecting  1m 5s        -         -        -    12     ' +
        '   11       0        2    0 B\n',
    );
    expect(formatLinks({ schema: 1, links: [] }, plain)).toMatch(/^no links; /);
  });

  it('routes', () => {
    const base = {
      node: '10.0.0.3',
      name: 'C',
      reachable: true,
      nextHop: '10.0.0.2',
      nextHopName: 'B',
      cost: 2_000,
      costMs: 20.00049,
      hops: 2,
      changedMs: 65_000,
      path: [
        { node: '10.0.0.1', name: 'A' },
        { node: '10.0.0.2', name: 'B' },
        { node: '10.0.0.3', name: 'C' },
      ],
      runnerUp: {
        path: [
          { node: '10.0.0.1', name: 'A' },
          { node: '10.0.0.4', name: 'D' },
          { node: '10.0.0.3', name: 'C' },
        ],
        cost: 2_510,
        costMs: 25.1,
      },
    };
    expect(
      formatRoutes(
        {
          schema: 1,
          metric: 'latency',
          routes: [
            base,
            {
              ...base,
              name: null,
              reachable: false,
              nextHop: null,
              nextHopName: null,
              cost: null,
              costMs: null,
              hops: null,
              path: null,
              runnerUp: null,
            },
          ],
        },
        plain,
      ),
    ).toBe(
      'NODE         COST  PATH         RUNNER-UP     SINCE\n' +
        'C         20.0 ms  B > C        25.1 ms by D  1m 5s\n' +
        '10.0.0.3        -  unreachable  -             1m 5s\n',
    );
  });

  it('nodes', () => {
    const neighbour = { node: '10.0.0.2', name: 'B', latencyMs: 10, lossPct: 2.5, confirmed: true };
    const facts = {
      version: '0.1.0',
      wireVersions: { min: 2, max: 2 },
      capabilities: [],
      instance: '000000000001',
    };
    const node = {
      node: '10.0.0.1',
      name: 'A',
      reachable: true,
      self: true,
      sequence: 1,
      ageMs: 0,
      links: [neighbour],
      facts,
    };
    const other = {
      ...node,
      self: false,
      reachable: false,
      ageMs: 5_000,
      links: [{ ...neighbour, name: null, lossPct: 0, confirmed: false }],
      clockAheadMs: 900,
    };
    expect(
      formatNodes(
        {
          schema: 1,
          nodes: [
            node,
            { ...other, facts: null },
            {
              ...other,
              clockAheadMs: 65_000,
              facts: { ...facts, version: '1.22.0', wireVersions: { min: 2, max: 3 } },
            },
          ],
        },
        plain,
      ),
    ).toBe(
      'NODE      NAME  STATE         HEARD  VERSION  WIRE  CLOCK   LINKS\n' +
        '10.0.0.1  A     self              -  0.1.0    2     -       B 10.0 ms 2.5%\n' +
        '10.0.0.1  A     unreachable  5s ago  -        -     agrees  10.0.0.2 10.0 ms\n' +
        '                                                            (unconfirmed)\n' +
        '10.0.0.1  A     unreachable  5s ago  1.22.0   2-3   +1m 5s  10.0.0.2 10.0 ms\n' +
        '                                                            (unconfirmed)\n',
    );
    expect(formatNodes({ schema: 1, nodes: [node, node] }, plain)).toBe(
      'NODE      NAME  STATE  HEARD  CLOCK  LINKS\n' +
        '10.0.0.1  A     self       -  -      B 10.0 ms 2.5%\n'.repeat(2) +
        'all are of version 0.1.0, wire 2\n',
    );
    const many = formatNodes(
      {
        schema: 1,
        nodes: [
          {
            ...node,
            links: Array.from({ length: 12 }, (_, i) => ({ ...neighbour, name: `node-${i}` })),
          },
        ],
      },
      plain,
    ).split('\n');
    expect(many[1]).toBe(
      '10.0.0.1  A     self       -  -      node-0 10.0 ms 2.5%, node-1 10.0 ms 2.5%,',
    );
    expect(many.at(-3)!.trim()).toBe('and 4 more');
    for (const line of many) expect(line.length).toBeLessThanOrEqual(80);
  });

  it('sessions', () => {
    const none = {
      rttMs: null,
      windowBytes: null,
      inFlightBytes: null,
      queuedBytes: null,
      resentBytes: null,
      ecnMarks: null,
      limitedBy: null,
    };
    const base = {
      client: 'spines cat',
      certificate: null,
      remoteNode: null,
      remoteName: null,
      remotePort: null,
      link: 'reliable',
      routing: 'link-state',
      sent: 0,
      received: 0,
      ...none,
    } as const;
    const sessions: SessionsView = {
      schema: 1,
      sessions: [
        { ...base, kind: 'listener', state: '', port: 7_000, rate: null },
        {
          ...base,
          kind: 'stream',
          state: 'established',
          port: 50_000,
          remoteNode: '10.0.0.4',
          remoteName: 'D',
          remotePort: 7_000,
          sent: 1_000,
          received: 5,
          rttMs: 60.25,
          windowBytes: 64_000,
          inFlightBytes: 900,
          queuedBytes: 10,
          resentBytes: 0,
          ecnMarks: 2,
          limitedBy: 'congestion window',
          rate: { sentPerSecond: 1_204_000, receivedPerSecond: 840 },
        },
      ],
    };
    expect(formatSessions(sessions, plain)).toBe(
      'PROGRAM     SOCKET     PORT  REMOTE  BY        OUT / IN A SECOND  LIMITED BY\n' +
        'spines cat  listener   7000  -       reliable                  -  -\n' +
        'spines cat  stream    50000  D:7000  reliable    1.20M / 840 bit  congestion\n' +
        '                                                                  window\n',
    );
    expect(formatAllOfSessions(sessions, plain, 200)).toBe(
      'KIND      STATE        CLIENT       PORT  REMOTE  LINK      SENT  RECEIVED      RTT  ' +
        'WINDOW  IN FLIGHT  QUEUED  RESENT  MARKS  LIMITED BY\n' +
        'listener  -            spines cat   7000  -       reliable     0         0        -     ' +
        '  -          -       -       -      -\n' +
        'stream    established  spines cat  50000  D:7000  reliable  1000         5  60.3 ms   ' +
        '64000        900      10       0      2  congestion window\n' +
        'Streams count bytes, datagram sockets count messages.\n',
    );
    expect(formatSessions({ schema: 1, sessions: [] }, plain)).toMatch(/^no sessions; /);
  });

  it('status', () => {
    const status: StatusReply = {
      schema: 1,
      node: '10.0.0.1',
      name: 'A',
      version: '0.1.0',
      instance: 'x',
      uptimeMs: 5_000,
      security: 'none',
      identity: null,
      host: null,
      emulation: false,
      listen: ['0.0.0.0:8100'],
      links: { up: 1, total: 2 },
      nodes: { reachable: 2, known: 3 },
      clients: 1,
      sockets: 0,
      metric: 'hops',
      byzantine: null,
      routing: { recomputations: 3, recomputeMsTotal: 0.5, recomputeMsMax: 0.2, advertisements: 3 },
      packets: { originated: 1, forwarded: 2, delivered: 3 },
      drops: { noRoute: 3, datagramType: 9, streamDuplicate: 7 },
      bounds: { packets: [0, 65_536] },
    };
    const text = formatStatus(status, plain);
    expect(text).toContain('node       A (10.0.0.1)\n');
    const host = {
      offload: true,
      dontFragment: true,
      receiveBufferBytes: 212_992,
      receiveBufferWanted: 4_194_304,
      batches: 10,
      batchedDatagrams: 45,
      timersLateMs: { p50: 0.256, p99: 2, max: 3.5 },
      memoryBytes: 80 * 1_048_576,
      process: { pid: 1, namespace: '' },
      log: null,
    };
    expect(formatStatus({ ...status, host }, plain, 200, true)).toMatch(
      new RegExp(
        '\nsockets +with offload, 10 batches of 4\\.5 datagrams; receive buffer 208 KiB, ' +
          'less than asked for\nprocess +80 MiB; timers late by 0\\.26 ms \\(half\\), 2\\.0 ms ' +
          '\\(99 %\\), 3\\.5 ms at most\n',
      ),
    );
    expect(
      formatStatus(
        { ...status, host: { ...host, offload: false, batches: 0, receiveBufferBytes: 8_388_608 } },
        plain,
        80,
        true,
      ),
    ).toMatch(/\nsockets +one call per datagram; receive buffer 8192 KiB\n/);
    expect(
      formatStatus({ ...status, host: { ...host, strangersApart: true } }, plain, 80, true),
    ).toMatch(/\nstrangers +wait in a queue of their own\n/);
    expect(
      formatStatus({ ...status, host: { ...host, strangersApart: false } }, plain, 80, true),
    ).toMatch(/\nstrangers +share the queue of links\n/);
    expect(text).toContain('links      1 of 2 up\n');
    expect(text).toContain(
      'security   NONE: anyone who reaches the UDP port can join, read and forge\n',
    );
    const identity = {
      primitives: 'node:crypto',
      serial: '00112233445566aa',
      validUntilS: 1_900_000_000,
      leftS: 40 * 86_400 + 5,
      authorities: [{ name: 'lab', id: 'ab12', validUntilS: 2_000_000_000 }],
      revocations: [{ authority: 'ab12', number: 7, revoked: 2 }],
    };
    const sealed = formatStatus({ ...status, security: 'sealed', identity }, plain, 200, true);
    expect(sealed).toMatch(
      new RegExp(
        String.raw`\nsecurity +sealed, by node:crypto\ncertificate +serial ` +
          String.raw`00112233445566aa, valid until 2030-03-17T17:46:40Z, 40 days left\n`,
      ),
    );
    expect(sealed).toMatch(
      new RegExp(
        String.raw`\ntrusts +lab, authority ab12, valid until ` +
          String.raw`2033-05-18T03:33:20Z\nrevocations +list 7 of authority ab12, 2 ` +
          String.raw`revoked\n`,
      ),
    );
    expect(
      formatStatus(
        { ...status, security: 'sealed', identity: { ...identity, leftS: 0, revocations: [] } },
        plain,
        80,
        true,
      ),
    ).toMatch(/, EXPIRED\n(.*\n)*revocations +no list\n/);
    const none = {
      flows: 0,
      faults: 0,
      convictions: 0,
      convictedLinks: 0,
      discoveries: 0,
      answered: 0,
      requestsForwarded: 0,
      responsesForwarded: 0,
      verified: 0,
      refused: 0,
      remembered: 0,
      overBudget: 0,
      forwarded: 0,
      probed: 0,
      delivered: 0,
    };
    expect(formatStatus({ ...status, byzantine: none }, plain)).toBe(text);
    expect(
      formatStatus(
        {
          ...status,
          byzantine: { ...none, flows: 2, faults: 3, convictions: 1, verified: 9, refused: 4 },
        },
        plain,
      ),
    ).toMatch(
      new RegExp(
        String.raw`\nbyzantine +2 flows\nfaults +3 found, 1 convictions, 0 links ` +
          String.raw`avoided now\n(.*\n)*signatures +9 good, 4 wrong, `,
      ),
    );
    expect(text.indexOf('datagramType')).toBeLessThan(text.indexOf('noRoute'));
    expect(text).toMatch(/\n +3 +noRoute +packets for nodes that could not be reached\n/);
    expect(text, 'what is usual, and bounds that are far, are behind --all').not.toMatch(
      /streamDuplicate|BOUNDED/,
    );
    const all = formatStatus(status, plain, 80, true);
    expect(all).toMatch(/\n +7 +streamDuplicate +parts of streams that came twice\n/);
    expect(all).toMatch(/packets +0 +65536\n/);
    expect(text).toMatch(
      /^2 things are wrong; `spines doctor` says what to do\n {2}security: none: .*\n {2}links: 1 /,
    );
    const fine = { ...status, links: { up: 2, total: 2 }, security: 'sealed' as const, identity };
    expect(formatStatus(fine, plain)).toMatch(/^nothing is wrong\n\nnode /);
  });
});

describe('byzantine routing', () => {
  const at = (name: string) => ({ node: `10.0.0.${name.charCodeAt(0) - 64}`, name });
  const figures = {
    flows: 1,
    faults: 3,
    convictions: 1,
    convictedLinks: 1,
    discoveries: 2,
    answered: 0,
    requestsForwarded: 4,
    responsesForwarded: 5,
    verified: 30,
    refused: 1,
    remembered: 7,
    overBudget: 0,
    forwarded: 11,
    probed: 12,
    delivered: 13,
  };
  const interval = { links: 1, losses: 0, outcomes: 40, window: 200, debt: 180, probe: true };
  const main = {
    nodes: [at('A'), at('B'), at('C')],
    weight: 2,
    open: 4,
    searching: true,
    searchLosses: 12,
    delivered: 900,
    lost: 14,
    softLosses: 0,
    faults: 1,
    intervals: [
      { ...interval, from: '10.0.0.1', to: '10.0.0.2' },
      { ...interval, from: '10.0.0.2', to: '10.0.0.3', losses: 2, probe: false },
    ],
  };
  const second = {
    ...main,
    nodes: [at('A'), at('D'), at('C')],
    open: 1,
    searching: false,
    intervals: [],
  };
  const flow = {
    node: '10.0.0.3',
    name: 'C',
    link: 'reliable' as const,
    waiting: 0,
    faults: 1,
    convictions: 1,
    main,
    second,
    paths: 3,
  };

  it('shows paths, intervals, avoided links, convictions and figures', () => {
    expect(
      formatByzantineRoutes(
        {
          schema: 1,
          mode: 'secure',
          flows: [flow],
          figures,
          weights: [
            {
              u: at('B'),
              v: at('E'),
              weight: 4,
              remaining: 2_100,
              convictions: 2,
              reason: 'loss',
              agoMs: 65_000,
            },
          ],
          convictions: [
            { agoMs: 90_000, destination: at('C'), u: at('B'), v: at('E'), losses: 105 },
            { agoMs: 65_000, destination: at('C'), u: at('B'), v: at('E'), losses: 20 },
          ],
        },
        plain,
        200,
      ),
    ).toBe(
      [
        'TO            LINK      PATH       SECOND PATH  OPEN  WAITING  DELIVERED  LOST  STATE',
        'C (10.0.0.3)  reliable  A > B > C  A > D > C       5        0        900    14  ' +
          'searching, 12 lost',
        '',
        'TO            INTERVAL  LINKS  LOST  OF  WINDOW  DEBT  ANSWERS',
        'C (10.0.0.3)  A..B          1     0  40     200   180  probe',
        'C (10.0.0.3)  B..C          1     2  40     200   180  destination',
        '',
        'AVOIDED LINK  WEIGHT  TO SERVE  CONVICTIONS  REASON       LAST',
        'B - E              4      2100            2  loss    1m 5s ago',
        '',
        ' CONVICTED  LINK   ON THE WAY TO  LOSSES',
        ' 1m 5s ago  B - E  C (10.0.0.3)       20',
        '1m 30s ago  B - E  C (10.0.0.3)      105',
        '',
        'mode        secure',
        'faults      3 found, 1 convictions, 1 links avoided now',
        'discovery   2 requests of ours, 0 answered, 4 requests and 5 responses passed on',
        'signatures  30 good, 1 wrong, 7 known before, 0 messages over budget',
        'probed      11 passed on, 12 as a probe, 13 delivered here',
        '',
      ].join('\n'),
    );
  });

  it('says so when there is nothing', () => {
    const text = formatByzantineRoutes(
      { schema: 1, mode: 'paper', flows: [], weights: [], convictions: [], figures },
      plain,
    );
    expect(text.split('\n').slice(0, 3)).toEqual([
      'nothing is sent with byzantine routing now',
      '',
      'mode        paper',
    ]);
  });

  it('a flow without a path', () => {
    const text = formatByzantineRoutes(
      {
        schema: 1,
        mode: 'secure',
        flows: [{ ...flow, waiting: 7, main: null, second: null, paths: 0 }],
        weights: [],
        convictions: [],
        figures,
      },
      plain,
      200,
    );
    expect(text.split('\n')[1]).toBe(
      'C (10.0.0.3)  reliable  -     -               0        7          0     0  no path',
    );
  });

  it('a trace tells a path in use from one that was only found', () => {
    const hops = [
      { hop: 1, ...at('B'), rttMs: null },
      { hop: 2, ...at('C'), rttMs: 12.04 },
    ];
    expect(formatByzantineTrace('C', { schema: 1, node: '10.0.0.3', link: 'reliable', hops })).toBe(
      'TRACE C (10.0.0.3), byzantine: the path in use over reliable links\nHOP  NODE          ' +
        'ROUND TRIP\n  1  B (10.0.0.2)           -\n  2  C (10.0.0.3)     12.0 ms\n',
    );
    expect(
      formatByzantineTrace('C', { schema: 1, node: '10.0.0.3', link: null, hops }, 200),
    ).toContain('a path that was found; no flow of this daemon uses one');
  });
});

describe('ping and trace', () => {
  it('sum up round trips as ping does', () => {
    const stats = new RttStats();
    expect(stats.summary()).toBeNull();
    for (const ms of [10, 20, 30]) stats.add(ms);
    expect(stats.summary()).toEqual({ min: 10, avg: 20, max: 30, mdev: 8.165 });
    expect([lossPct(3, 2), lossPct(4, 0), lossPct(0, 0)]).toEqual([33.33, 100, 0]);
    expect(
      formatPingSummary({
        node: '10.0.0.4',
        name: 'D',
        sent: 4,
        received: 3,
        lossPct: 25,
        rttMs: stats.summary(),
        replies: [],
      }),
    ).toBe(
      '--- D (10.0.0.4) ping statistics ---\n4 sent, 3 received, 25 % lost\nrtt min/avg/max/mdev ' +
        '= 10.000/20.000/30.000/8.165 ms\n',
    );
  });

  it('add up traces hop by hop, over a route that changed', () => {
    const hop = (n: number, node: string | null, rttMs: number | null) => ({
      hop: n,
      node,
      name: node,
      rttMs,
      sent: 1,
      received: rttMs === null ? 0 : 1,
    });
    const summary = summarize('10.0.0.3', 'C', [
      { schema: 1, node: '10.0.0.3', reached: false, hops: [hop(1, 'B', 10), hop(2, null, null)] },
      { schema: 1, node: '10.0.0.3', reached: true, hops: [hop(1, 'X', 30), hop(2, 'C', 41)] },
    ]);
    expect(summary).toEqual({
      node: '10.0.0.3',
      name: 'C',
      reached: true,
      hops: [
        {
          hop: 1,
          nodes: [
            { node: 'B', name: 'B' },
            { node: 'X', name: 'X' },
          ],
          sent: 2,
          received: 2,
          lossPct: 0,
          rttMs: { min: 10, avg: 20, max: 30 },
          link: null,
        },
        {
          hop: 2,
          nodes: [{ node: 'C', name: 'C' }],
          sent: 2,
          received: 1,
          lossPct: 50,
          rttMs: { min: 41, avg: 41, max: 41 },
          link: null,
        },
      ],
      wayBack: null,
    });
    const text = formatTrace(
      {
        ...summary,
        reached: false,
        hops: [
          ...summary.hops,
          { hop: 3, nodes: [], sent: 2, received: 0, lossPct: 100, rttMs: null, link: null },
        ],
      },
      plain,
    );
    expect(text.split('\n').slice(2)).toEqual([
      '  1  B (B), X (X)  10.0 ms  20.0 ms    0 %           -',
      '  2  C (C)         41.0 ms  41.0 ms   50 %           -',
      '  3  *                   -        -  100 %           -',
      'C (10.0.0.3) was not reached',
      '',
    ]);
  });
});

it('link settings go from flags to the protocol and back to words', () => {
  expect(toSettings({ latency: 10, bandwidth: null, loss: 0, down: true })).toEqual({
    latencyMs: 10,
    bandwidthKbps: null,
    lossPct: 0,
    up: false,
  });
  expect(toSettings({})).toEqual({});
  expect(
    describeSettings({ up: true, latencyMs: 10, jitterMs: 0, bandwidthKbps: 500, lossPct: 1 }),
  ).toBe('up, 10.0 ms, 500 kbit/s, 1 % loss');
});

describe('the progress line', () => {
  const stream = (isTTY: boolean) => {
    const out: string[] = [];
    return { isTTY, columns: 20, out, write: (text: string) => out.push(text) };
  };

  it('is rewritten in place on a terminal, cut to its width, and taken away', () => {
    const tty = stream(true);
    const progress = new Progress(tty);
    progress.show('one');
    progress.show('x'.repeat(50));
    progress.clear();
    progress.clear();
    expect(tty.out).toEqual(['\r\x1b[Kone', `\r\x1b[K${'x'.repeat(19)}`, '\r\x1b[K']);
  });

  it('is a plain line every five seconds elsewhere', () => {
    const file = stream(false);
    let now = 0;
    const progress = new Progress(file, () => now);
    for (; now <= 10_000; now += 1_000) progress.show(`${now}`);
    progress.clear();
    expect(file.out).toEqual(['0\n', '5000\n', '10000\n']);
  });
});

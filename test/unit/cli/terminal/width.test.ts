/**
 * What the commands print fits its terminal, whatever names, addresses and numbers there are, and
 * no row is lost.
 */

import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import type { LinkRow, NodesReply, StatusReply } from 'spines-client/protocol';

import { Rng } from '../../../../src/core/base/rng.ts';
import { formatByzantineRoutes } from '../../../../src/cli/look/byzantine-routes.ts';
import {
  columnsOf,
  cutText,
  NO_BREAK,
  widthOf,
  wrapWords,
} from '../../../../src/cli/terminal/columns.ts';
import { formatFindings } from '../../../../src/cli/look/doctor.ts';
import { badLinks, linkFindings } from '../../../../src/cli/look/doctor-links.ts';
import { sizeFindings } from '../../../../src/cli/look/doctor-sizes.ts';
import { formatExplanation } from '../../../../src/cli/look/explain.ts';
import { formatAllOfLinks, formatLinks } from '../../../../src/cli/look/links.ts';
import { formatEvent } from '../../../../src/cli/look/watch.ts';
import { formatNodes } from '../../../../src/cli/look/nodes.ts';
import { formatPingSummary } from '../../../../src/cli/look/ping.ts';
import { buildProgram } from '../../../../src/cli/program.ts';
import { formatRoutes } from '../../../../src/cli/look/routes.ts';
import {
  formatAllOfSessions,
  formatSessions,
  type SessionView,
} from '../../../../src/cli/look/sessions.ts';
import { formatStatus } from '../../../../src/cli/look/status.ts';
import {
  formatPairs,
  formatTable,
  paintFor,
  type Paint,
} from '../../../../src/cli/terminal/table.ts';
import { formatByzantineTrace, formatTrace } from '../../../../src/cli/look/trace.ts';

const plain = paintFor({}, {}),
  colour = paintFor({ isTTY: true }, {});
const LONG = 'a-name-of-sixty-three-bytes-which-is-the-longest-that-there-is1';
const QUAD = '223.255.255.255',
  ADDRESS = '[2001:db8:ffff:ffff:ffff:ffff:ffff:fff1]:65535';
const BIG = 9_007_199_254_740_991;
const WHY = {
  code: 'x',
  short: 'certificate not valid yet',
  text: `${LONG} at ${ADDRESS} says ${'what it has to say, '.repeat(9)}and more`,
  next: `do something about ${LONG}, and look at ${ADDRESS}`,
};

/** Answers as full as they can be, from lists of names and of numbers. */
function answers(
  name: string,
  quad: string,
  address: string,
  big: number,
): Record<string, (paint: Paint, columns: number) => string> {
  const neighbour = { node: quad, name, latencyMs: big, lossPct: 33.33, confirmed: false };
  const facts = {
    version: '255.255.65535',
    wireVersions: { min: 2, max: 255 },
    capabilities: ['END_TO_END'],
    instance: 'ffffffffffff',
  };
  const link: LinkRow = {
    node: quad,
    name,
    address,
    state: 'connecting',
    sinceMs: big,
    dialled: true,
    rttMs: 99_999,
    lossOutPct: 33.33,
    lossInPct: 33.33,
    cost: 1,
    sent: { datagrams: big, bytes: big },
    received: { datagrams: big, bytes: big },
    retransmitted: big,
    dropped: big,
    queueBytes: big,
    congestion: 'newreno',
    windowBytes: 1,
    inFlightBytes: 1,
    size: { datagramBytes: 1_232, packetBytes: 1_260, searching: false },
    seal: { serial: '0011223344556677', notAfterS: big, keyAgeMs: 86_399_000, rekeys: 1 },
    emulated: null,
    flaps: 999,
    why: WHY,
  };
  const up: LinkRow = { ...link, state: 'up', why: null };
  const node: NodesReply['nodes'][number] = {
    node: quad,
    name,
    reachable: false,
    self: false,
    sequence: 1,
    ageMs: 3_599_000,
    links: Array.from({ length: 12 }, () => neighbour),
    facts,
    why: WHY,
  };
  const session: SessionView = {
    rate: { sentPerSecond: big, receivedPerSecond: big },
    kind: 'stream',
    state: 'established',
    client: name,
    certificate: name,
    port: 65_535,
    remoteNode: quad,
    remoteName: name,
    remotePort: 65_535,
    link: 'best-effort',
    routing: 'byzantine',
    sent: big,
    received: big,
    rttMs: 99_999,
    windowBytes: big,
    inFlightBytes: big,
    queuedBytes: big,
    resentBytes: big,
    ecnMarks: big,
    limitedBy: 'congestion window',
  };
  const host: NonNullable<StatusReply['host']> = {
    offload: true,
    dontFragment: true,
    strangersApart: false,
    receiveBufferBytes: 212_992,
    receiveBufferWanted: 4_194_304,
    batches: big,
    batchedDatagrams: big,
    timersLateMs: { p50: 99_999, p99: 99_999, max: 99_999 },
    memoryBytes: big,
    process: { pid: 1, namespace: '' },
    log: { target: 'standard error', lost: big, failing: 'ENOSPC', waitingBytes: big },
  };
  const byzantine: NonNullable<StatusReply['byzantine']> = {
    flows: big,
    faults: big,
    convictions: big,
    convictedLinks: big,
    discoveries: big,
    answered: big,
    requestsForwarded: big,
    responsesForwarded: big,
    verified: big,
    refused: big,
    remembered: big,
    overBudget: big,
    forwarded: big,
    probed: big,
    delivered: big,
  };
  const trouble = { peer: name, address, sinceMs: big, ...WHY };
  const status = {
    schema: 1,
    node: quad,
    name,
    version: '255.255.65535',
    instance: 'x',
    uptimeMs: big,
    security: 'sealed',
    host,
    emulation: true,
    listen: Array.from({ length: 8 }, () => address),
    identity: {
      primitives: 'node:crypto',
      serial: '0011223344556677',
      validUntilS: 4_000_000_000,
      leftS: 1,
      authorities: [{ name, id: 'ab12ab12ab12ab12', validUntilS: 4_000_000_000 }],
      revocations: [{ authority: 'ab12ab12ab12ab12', number: big, revoked: big }],
    },
    links: { up: 1, total: big, troubles: [trouble, trouble] },
    clocks: { differ: [{ peer: name, aheadMs: big }], agree: 1 },
    nodes: { reachable: big, known: big },
    clients: big,
    sockets: big,
    metric: 'expected-latency',
    byzantine,
    routing: {
      routeChanges: big,
      recomputations: big,
      recomputeMsTotal: big,
      recomputeMsMax: big,
      advertisements: big,
    },
    packets: { originated: big, forwarded: big, delivered: big },
    drops: { certificateAuthorityNotValid: big },
    bounds: { longestLinkQueueBytes: [big, big] },
    wireVersions: { min: 2, max: 3 },
    capabilities: ['END_TO_END', 'GROUPS', 'ROUTED', 'FLOWS'],
  } as StatusReply;
  const twins = [
    { node: quad, name, self: false, kept: address, refused: address, sinceMs: 1 },
    { node: quad, name, self: true, kept: null, refused: null, sinceMs: 1 },
  ];
  const at = { node: quad, name };
  const path = {
    nodes: [at, at, at],
    weight: big,
    open: big,
    searching: true,
    searchLosses: big,
    delivered: big,
    lost: big,
    softLosses: 0,
    faults: 1,
    intervals: [
      {
        from: quad,
        to: quad,
        links: big,
        losses: big,
        outcomes: big,
        window: big,
        debt: big,
        probe: false,
      },
    ],
  };
  const way = {
    path: [at, at, at],
    cost: big,
    costMs: big,
    links: [
      {
        from: at,
        to: at,
        latencyMs: big,
        lossPct: 99.99,
        cost: big,
        costMs: big,
        lossMs: big,
      },
    ],
  };
  const hops = [{ hop: 1, ...at, rttMs: 99_999 }];
  return {
    links: (paint, columns) =>
      formatLinks(
        { schema: 1, links: [link, { ...link, node: null, name: null }, up], twins },
        paint,
        columns,
      ),
    nodes: (paint, columns) =>
      formatNodes(
        {
          schema: 1,
          nodes: [
            node,
            { ...node, why: { ...WHY, code: 'notHeard' } },
            { ...node, why: null, self: true },
          ],
          twins,
        },
        paint,
        columns,
      ),
    routes: (paint, columns) =>
      formatRoutes(
        {
          schema: 1,
          metric: 'expected-latency',
          routes: [
            {
              ...at,
              reachable: true,
              nextHop: quad,
              nextHopName: name,
              cost: big,
              costMs: big,
              changedMs: big,
              hops: 255,
              path: [at, at, at, at],
              runnerUp: { path: [at, at, at], cost: big, costMs: big },
            },
          ],
        },
        paint,
        columns,
      ),
    sessions: (paint, columns) =>
      formatSessions({ schema: 1, sessions: [session, { ...session, port: 1 }] }, paint, columns),
    'sessions --all': (paint, columns) =>
      formatAllOfSessions({ schema: 1, sessions: [session] }, paint, columns),
    status: (paint, columns) => formatStatus(status, paint, columns),
    'status --all': (paint, columns) => formatStatus(status, paint, columns, true),
    'links --all': (paint, columns) =>
      formatAllOfLinks({ schema: 1, links: [link, up], twins }, paint, columns),
    explain: (paint, columns) =>
      formatExplanation(
        {
          schema: 1,
          ...at,
          metric: 'expected-latency',
          inUse: { ...way, sinceMs: big },
          runnerUp: way,
          wayBack: way,
          firstLink: { name, rate: { sentBps: big, receivedBps: big }, queueBytes: big },
          avoided: [{ what: `${name} to ${name}`, why: WHY.text }],
          why: null,
        },
        paint,
        columns,
      ),
    watch: (paint, columns) =>
      [
        { what: 'up' as const, why: null, next: null },
        { what: 'down' as const, why: WHY.text, next: null },
        { what: 'changed' as const, why: WHY.short, next: WHY.next },
      ]
        .map((news) =>
          formatEvent(
            {
              at: 1,
              kind: 'link',
              ...at,
              address,
              rttMs: big,
              lossOutPct: 99.99,
              lossInPct: 99.99,
              ...news,
            },
            paint,
            columns,
          ),
        )
        .join(''),
    doctor: (paint, columns) =>
      formatFindings(
        [
          ...linkFindings(status),
          ...sizeFindings({ schema: 1, links: [up] }, { drops: { datagramAboveMtu: big } }),
          ...badLinks({ schema: 1, links: [up] }),
        ],
        paint,
        columns,
      ),
    trace: (paint, columns) =>
      formatTrace(
        {
          ...at,
          reached: false,
          hops: [
            {
              hop: 255,
              nodes: [at, at],
              sent: 1,
              received: 0,
              lossPct: 33.33,
              rttMs: { min: 99_999, avg: 99_999, max: 1 },
              link: { latencyMs: big, lossPct: 99.99 },
            },
          ],
          wayBack: { nodes: [at, at, at], costMs: big },
        },
        paint,
        columns,
      ),
    'trace, byzantine': (_paint, columns) =>
      formatByzantineTrace(name, { schema: 1, node: quad, link: null, hops }, columns),
    'routes, byzantine': (paint, columns) =>
      formatByzantineRoutes(
        {
          schema: 1,
          mode: 'secure',
          figures: byzantine,
          flows: [
            {
              ...at,
              link: 'best-effort',
              waiting: big,
              faults: 1,
              convictions: 1,
              main: path,
              second: path,
              paths: 3,
            },
          ],
          weights: [
            {
              u: at,
              v: at,
              weight: big,
              remaining: big,
              convictions: big,
              reason: 'route-error',
              agoMs: big,
            },
          ],
          convictions: [{ agoMs: big, destination: at, u: at, v: at, losses: big }],
        },
        paint,
        columns,
      ),
    ping: (_paint, columns) =>
      formatPingSummary(
        {
          ...at,
          sent: 1,
          received: 1,
          lossPct: 0,
          rttMs: { min: 99_999, avg: 99_999, max: 99_999, mdev: 99_999 },
          replies: [],
        },
        columns,
      ),
  };
}

const fits = (text: string, columns: number): void => {
  for (const line of text.split('\n')) expect(widthOf(line), line).toBeLessThanOrEqual(columns);
};

const most = answers(LONG, QUAD, ADDRESS, BIG);
test.each(Object.keys(most))(
  '%s fits 80 columns and 100, whatever it has to say, in colour too',
  (what) => {
    for (const columns of [80, 100])
      for (const paint of [plain, colour]) fits(most[what]!(paint, columns), columns);
  },
);

test.each(Object.keys(most))('%s is whole where there is room', (what) => {
  const text = most[what]!(plain, 2_000);
  if (what !== 'ping') expect(text).toContain(LONG);
  expect(text).not.toMatch(/[a-z]\.\.[a-z]/);
});

test('names, addresses and figures of any length fit', () => {
  const rng = new Rng(7);
  for (let i = 0; i < 60; i += 1) {
    const some = answers(
      LONG.slice(0, 1 + rng.below(63)),
      QUAD.slice(0, 7 + rng.below(9)),
      ADDRESS.slice(0, 9 + rng.below(38)),
      Math.floor(10 ** (rng.below(160) / 10)),
    );
    for (const format of Object.values(some)) fits(format(plain, 80), 80);
  }
});

describe('a table that is too wide', () => {
  const columns = [
    { title: 'id', key: true },
    { title: 'name', cut: 6 },
    { title: 'count', align: 'right' as const },
    { title: 'what', wrap: 8 },
  ];

  test('is narrowed where it may be, cut in the middle or wrapped', () => {
    expect(
      formatTable(
        columns,
        [
          ['1', 'abcdefghij', '7', 'one two three'],
          ['2', 'x', '8', ''],
        ],
        30,
      ),
    ).toBe(
      'ID  NAME     COUNT  WHAT\n1   abc..ij      7  one two\n                    three\n2   x   ' +
        '         8\n',
    );
  });

  test('is broken into parts that each say which row it is', () => {
    const text = formatTable(
      [...columns, { title: 'more' }],
      [['1', 'a', '7', 'w', 'm'.repeat(20)]],
      30,
    );
    expect(text).toBe(
      'ID  NAME  COUNT  WHAT\n1   a         7  w\n\nID  MORE\n1   mmmmmmmmmmmmmmmmmmmm\n',
    );
  });

  test('no cell is lost', () => {
    const rng = new Rng(3);
    for (let i = 0; i < 200; i += 1) {
      const cells = columns.map(() =>
        Array.from(
          { length: 1 + rng.below(3) },
          () => 'w'.repeat(1 + rng.below(9)) + rng.below(99),
        ).join(' '),
      );
      const text = formatTable(
        [
          { title: 'id', key: true },
          { title: 'b' },
          { title: 'c', wrap: 12 },
          { title: 'd', wrap: 14 },
        ],
        [cells],
        40,
      );
      for (const word of cells.join(' ').split(' '))
        expect(text.replaceAll('\n', ' ')).toContain(word.slice(0, 8));
      fits(text, Math.max(40, cells[0]!.length + 2 + Math.max(cells[1]!.length, 14)));
    }
  });
});

test('words are cut, broken and kept together', () => {
  expect([
    cutText('abcdefgh', 8),
    cutText('abcdefgh', 7),
    cutText('abcdefgh', 3),
    cutText('abcdefgh', 1),
    cutText(colour('red', 'abcdefgh'), 6),
  ]).toEqual(['abcdefgh', 'abc..gh', 'a..', 'a', colour('red', 'ab..gh')]);
  expect(widthOf(cutText('\u{1f600}'.repeat(30), 20))).toBeLessThanOrEqual(20);
  expect(wrapWords('one two three', 7, false)).toEqual(['one two', 'three']);
  expect(wrapWords('abcdefghij k', 4, true)).toEqual(['abcd', 'efgh', 'ij k']);
  expect(wrapWords('abcdefghij k', 4, false)).toEqual(['abcdefghij', 'k']);
  expect(wrapWords(`a${NO_BREAK}b c`, 3, true)).toEqual(['a b', 'c']);
  expect(wrapWords('', 4, true)).toEqual(['']);
  expect(
    formatPairs(
      [
        ['a', 'one two three'],
        ['bb', 'x'.repeat(12)],
        ['c', ''],
      ],
      12,
    ),
  ).toBe('a   one two\n    three\nbb\n  xxxxxxxxxxxx\nc\n');
});

test('the terminal says how wide it is, or COLUMNS, or it is 80', () => {
  expect(columnsOf({}, {})).toBe(80);
  expect(columnsOf({ isTTY: true, columns: 132 }, {})).toBe(132);
  expect(columnsOf({ isTTY: true, columns: 132 }, { COLUMNS: '100' })).toBe(100);
  expect(columnsOf({ isTTY: true, columns: 0 }, { COLUMNS: '' })).toBe(80);
  for (const wrong of ['x', '-5', '0', '1e9', ' 90'])
    expect(columnsOf({}, { COLUMNS: wrong })).toBe(80);
  expect([columnsOf({}, { COLUMNS: '5' }), columnsOf({}, { COLUMNS: '999999999' })]).toEqual([
    40, 10_000,
  ]);
});

test('the help of every command fits 80 columns', async () => {
  const seen: string[] = [];
  const walk = (command: Command): void => {
    let text = '';
    command.configureOutput({
      ...command.configureOutput(),
      writeOut: (part) => {
        text += part;
      },
      getOutHelpWidth: () => 80,
    });
    command.outputHelp();
    fits(text, 80);
    seen.push(command.name());
    command.commands.forEach((one) => walk(one));
  };
  walk(await buildProgram({ command: null }, []));
  expect(seen.length).toBeGreaterThan(25);
  expect(seen).toEqual(expect.arrayContaining(['stop', 'cat', 'keys', 'verify', 'set', 'figures']));
});

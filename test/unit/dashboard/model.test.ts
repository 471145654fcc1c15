/**
 * What the dashboard makes of frames and reports: links and their states, ways, and a network at a
 * moment of a replay. The drawing is test/e2e/dashboard.test.ts's.
 */

import { describe, expect, test } from 'vitest';

import { GONE_MS, OverlayModel, type LinkState } from '../../../src/dashboard/model.ts';
import { readReport, Replay } from '../../../src/dashboard/replay.ts';
import type { LookFrame, MapNode } from '../../../src/host/web/live-overlay.ts';
import { runVirtual } from '../../../src/lab/replay/run-virtual.ts';
import { parseTopology } from '../../../src/lab/topology/topology-parse.ts';

const quad = (i: number): string => `10.0.0.${i}`;

/** A node with links, each [to, latency, loss]. */
function row(i: number, links: readonly (readonly [number, number, number?])[]): MapNode {
  return {
    node: quad(i),
    name: `n${i}`,
    reachable: true,
    self: i === 1,
    version: null,
    groups: [],
    why: null,
    links: links.map(([to, latencyMs, lossPct = 0]) => ({
      node: quad(to),
      latencyMs,
      lossPct,
      confirmed: true,
    })),
  };
}

const LOOK: LookFrame = {
  at: 0,
  daemon: {
    ...{ node: quad(1), name: 'n1', version: '1', security: 'sealed' },
    ...{ uptimeMs: 1, metric: 'latency' },
  },
  links: [],
  sessions: [],
  sessionsTotal: 0,
  byzantine: null,
};

function ring(): OverlayModel {
  const model = new OverlayModel();
  const nodes = [
    row(1, [
      [2, 10],
      [4, 30],
    ]),
    row(2, [
      [1, 10],
      [3, 10],
    ]),
    row(3, [
      [2, 10],
      [4, 10],
    ]),
    row(4, [
      [3, 10],
      [1, 30],
    ]),
  ];
  model.applyMap({ whole: true, nodes, gone: [] }, 0);
  model.applyLook(LOOK);
  return model;
}

const states = (model: OverlayModel): Record<string, LinkState> =>
  Object.fromEntries(
    [...model.links.values()].map(({ a, b, state }) => [`${a.at(-1)}-${b.at(-1)}`, state]),
  );

describe('the overlay that a dashboard knows', () => {
  test('links have the state of their worse direction, and half of one is said', () => {
    const model = ring();
    expect(states(model)).toEqual({ '1-2': 'good', '1-4': 'good', '2-3': 'good', '3-4': 'good' });
    model.applyMap(
      {
        whole: false,
        nodes: [
          row(2, [
            [1, 10, 3],
            [3, 10, 20],
          ]),
          row(4, [[3, 10]]),
        ],
        gone: [],
      },
      5,
    );
    expect(states(model)).toEqual({ '1-2': 'lossy', '1-4': 'half', '2-3': 'bad', '3-4': 'good' });
  });

  test('a link that both ends withdraw is down for a while, and then forgotten', () => {
    const model = ring();
    const { shape } = model;
    const cut = {
      whole: false,
      nodes: [row(1, [[4, 30]]), row(2, [[3, 10]])],
      gone: [],
    };
    model.applyMap(cut, 1_000);
    expect(states(model)['1-2']).toBe('down');
    expect(model.ways(quad(1), quad(2)).main?.nodes).toEqual([1, 4, 3, 2].map(quad));
    expect(model.expire(1_000 + GONE_MS)).toBe(false);
    expect(model.shape).toBe(shape);
    expect(model.expire(1_001 + GONE_MS)).toBe(true);
    expect(states(model)['1-2']).toBeUndefined();
    expect(model.shape).toBe(shape + 1);
    // A node that is gone takes its links along at once.
    model.applyMap({ whole: false, nodes: [row(3, [[2, 10]])], gone: [quad(4)] }, 2_000);
    model.applyMap({ whole: false, nodes: [row(1, [])], gone: [] }, 2_000);
    expect([...model.nodes.keys()]).not.toContain(quad(4));
    expect(states(model)).toEqual({ '2-3': 'good' });
  });

  test('the links of a node that died are down, whatever it said before', () => {
    const model = ring();
    const nodes = [
      {
        ...row(3, [
          [2, 10],
          [4, 10],
        ]),
        reachable: false,
      },
      row(2, [[1, 10]]),
      row(4, [[1, 30]]),
    ];
    model.applyMap({ whole: false, nodes, gone: [] }, 1);
    expect(states(model)).toEqual({ '1-2': 'good', '1-4': 'good', '2-3': 'down', '3-4': 'down' });
  });

  test('ways are those of the daemon, with what would be taken instead', () => {
    const model = ring();
    const { main, second } = model.ways(quad(1), quad(3));
    expect(main).toMatchObject({ nodes: [1, 2, 3].map(quad), costMs: 20 });
    expect(second).toMatchObject({ nodes: [1, 4, 3].map(quad), costMs: 40 });
    // Node 5 hangs on node 1 alone: what differs is behind that.
    model.applyMap(
      {
        whole: false,
        nodes: [
          row(5, [[1, 1]]),
          row(1, [
            [2, 10],
            [4, 30],
            [5, 1],
          ]),
        ],
        gone: [],
      },
      0,
    );
    const far = model.ways(quad(5), quad(3));
    expect(far.main?.nodes).toEqual([5, 1, 2, 3].map(quad));
    expect(far.second?.nodes).toEqual([5, 1, 4, 3].map(quad));
    expect(model.ways(quad(5), quad(1)).second).toBeNull();
    expect(model.find('N4 ')?.id).toBe(quad(4));
    expect(model.find('nobody')).toBeNull();
  });

  test('what byzantine routing avoids is said, whatever it loses', () => {
    const model = ring();
    const at = (i: number) => ({ node: quad(i), name: `n${i}` });
    const weight = {
      ...{ u: at(3), v: at(2), weight: 8, remaining: 1, convictions: 1 },
      ...{ reason: 'loss' as const, agoMs: 0 },
    };
    model.applyLook({ ...LOOK, byzantine: { weights: [weight], flows: [] } });
    expect(states(model)['2-3']).toBe('avoided');
    model.applyLook(LOOK);
    expect(states(model)['2-3']).toBe('good');
  });
});

describe('a report', () => {
  test('of a run shows the network as it was at each moment', () => {
    const text = `name: triangle
duration: 3s
security: none
nodes: [a, b, c]
links:
  - { between: [a, b] }
  - { between: [b, c] }
  - { between: [c, a] }
flows:
  - { name: f, from: a, to: b, packetsPerSecond: 10, size: 100 }
events:
  - { at: 1s, down: [a, b] }
  - { at: 2s, up: [a, b] }
`;
    const topology = parseTopology(text, 'triangle.yaml', []);
    const { report } = runVirtual(topology);
    const replay = new Replay(readReport(JSON.stringify(report)));
    expect(replay.model.nodes.size).toBe(3);
    expect(replay.model.links.size).toBe(report.links.length);
    const downs = report.events.filter(({ what }) => what.startsWith('down '));
    expect(downs.length).toBeGreaterThan(0);
    for (const { atMs, what } of downs) {
      const [a = '', b = ''] = what.slice('down '.length).split('-');
      const key = [replay.idOf(a)!, replay.idOf(b)!].sort().join(' ');
      replay.at(atMs - 1);
      expect(replay.model.links.get(key)?.state).not.toBe('down');
      replay.at(atMs);
      expect(replay.model.links.get(key)?.state).toBe('down');
    }
    expect(replay.moments.filter(({ settledAfterMs }) => settledAfterMs !== null)).not.toEqual([]);
  });

  test('has crashes, misbehaviour and convictions; and what is none is refused in words', () => {
    const link = { datagrams: 100, bytes: 1, retransmitted: 0, dropped: 0 };
    const report = {
      ...{ schema: 1, topology: 'x', mode: 'real', security: 'sealed', seed: 1, flows: [] },
      durationMs: 10_000,
      links: [
        { a: 'a-1', b: 'b', ...link },
        { a: 'b', b: 'c', ...link, dropped: 20 },
      ],
      events: [
        { atMs: 1_000, what: 'down a-1-b' },
        { atMs: 2_000, what: 'crash c' },
        { atMs: 3_000, what: 'misbehave b drop' },
        { atMs: 4_000, what: 'restart c' },
        { atMs: 5_000, what: 'a-1 convicts b-c', losses: 9 },
      ],
    };
    const replay = new Replay(readReport(JSON.stringify(report)));
    const at = (ms: number): string[] => {
      replay.at(ms);
      return [...replay.model.links.values()].map(({ state }) => state);
    };
    expect(at(0)).toEqual(['good', 'bad']);
    expect(at(1_500)).toEqual(['down', 'bad']);
    expect(at(2_000)).toEqual(['down', 'down']);
    expect(at(5_000)).toEqual(['down', 'avoided']);
    expect(replay.model.nodes.get(replay.idOf('b')!)?.why).toBe('misbehaves: drop');
    expect(() => readReport('{')).toThrow(/no JSON/);
    expect(() => readReport('{"schema":2}')).toThrow(/no report/);
    expect(() => readReport('null')).toThrow(/no report/);
  });
});

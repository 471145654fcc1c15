/** Topology files: what is accepted, where errors point, what overrides do. */

import { readFileSync, readdirSync } from 'node:fs';

import { describe, expect, test } from 'vitest';

import { SpinesError } from '../../../../src/core/base/errors.ts';
import { formatNodeId } from '../../../../src/core/base/ids.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import { applyOverrides } from '../../../../src/lab/topology/topology-overrides.ts';
import { SERVICE_NAMES } from '../../../../src/core/wire/modes.ts';
import { parseTopology } from '../../../../src/lab/topology/topology-parse.ts';
import type { Topology } from '../../../../src/lab/topology/topology.ts';

const folder = new URL('../../../../topologies/', import.meta.url);
const files = readdirSync(folder).filter((name) => name.endsWith('.yaml'));
const textOf = (name: string): string => readFileSync(new URL(name, folder), 'utf8');
const shipped = (name: string, overrides: readonly string[] = []): Topology =>
  parseTopology(textOf(name), name, overrides);

/** The message's lines; fails when the text parses. */
function faults(text: string, overrides: readonly string[] = []): string[] {
  try {
    parseTopology(text, 'f', overrides);
  } catch (error) {
    if (!(error instanceof SpinesError)) throw error;
    expect(error.code).toBe('ETOPOLOGY');
    return error.message.split('\n');
  }
  throw new Error('expected the text to be refused');
}

const base =
  'name: t\nduration: 5s\nnodes: [A, B, C]\nlinks:\n  - { between: [A, B] }\n  - { between: [B, ' +
  'C] }\n';

describe('shipped files', () => {
  test('all are there', () => {
    expect(files.sort()).toEqual([
      'byzantine-12.yaml',
      'cairn-7.yaml',
      'dsn03-chain.yaml',
      'grid-100.yaml',
      'pair.yaml',
      'random-300.yaml',
      'ring-12.yaml',
      'us-12.yaml',
    ]);
  });

  test.each(files)('%s parses, is named after its file, is connected and frozen', (file) => {
    const topology = shipped(file);
    expect(`${topology.name}.yaml`).toBe(file);
    expect(topology.flows.length).toBeGreaterThan(0);
    const reached = new Set([0]);
    for (let before = 0; before < reached.size; ) {
      before = reached.size;
      for (const { a, b } of topology.links)
        if (reached.has(a) || reached.has(b)) reached.add(a).add(b);
    }
    expect(reached.size).toBe(topology.nodes.length);
    for (const part of [
      topology,
      topology.nodes,
      topology.nodes[0],
      topology.links[0]!.forward,
      topology.links[0]!.forward.loss,
      topology.flows[0],
      topology.events,
    ]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
  });

  test('the worked example of the README parses', () => {
    const example = /```yaml\n([\s\S]*?)```/.exec(textOf('README.md'))![1]!;
    const topology = parseTopology(example, 'README.md');
    expect(topology.nodes.map((node) => formatNodeId(node.id))).toEqual([
      '10.0.0.1',
      '10.0.0.2',
      '10.0.0.3',
      '10.9.0.4',
    ]);
    expect(topology.events.length).toBe(5);
  });

  test("the chain is the paper's: 10 ms a link, loss from C to D only", () => {
    const chain = shipped('dsn03-chain.yaml');
    expect(
      chain.links.map((l) => [l.forward.latencyUs, l.forward.bandwidthKbps, l.backward.latencyUs]),
    ).toEqual(Array(5).fill([10_000, 10_000, 10_000]));
    const lossy = chain.links
      .flatMap((l, i) => [l.forward, l.backward].map((d, side) => ({ i, side, loss: d.loss })))
      .filter((d) => d.loss.kind !== 'bernoulli' || d.loss.rate > 0);
    expect(lossy).toEqual([{ i: 2, side: 0, loss: { kind: 'bernoulli', rate: 0.01 } }]);
    const flow = {
      from: 0,
      to: 5,
      packetsPerSecond: 62.5,
      phaseUs: null,
      jitterUs: 0,
      sizeBytes: 1000,
      startUs: 0,
      durationUs: 20_000_000,
      count: null,
      routing: 'link-state',
      congestion: null,
      deadlineUs: null,
    };
    expect(chain.flows).toEqual([
      { name: 'best-effort', link: 'best-effort', session: 'datagram', ...flow },
      { name: 'reliable', link: 'reliable', session: 'datagram', ...flow },
      { name: 'realtime', link: 'realtime', session: 'datagram', ...flow, deadlineUs: 100_000 },
      { name: 'stream-hop-by-hop', link: 'reliable', session: 'stream', ...flow },
      { name: 'stream-end-to-end', link: 'best-effort', session: 'stream', ...flow },
    ]);
    expect(chain.note).toMatch(/^What you see: .*[.]$/);
  });

  test('the tree of seven is 45 ms from end to end', () => {
    const tree = shipped('cairn-7.yaml');
    expect([tree.nodes.length, tree.links.length]).toEqual([7, 6]);
    const delay = tree.nodes.map((_, i) => tree.nodes.map((__, j) => (i === j ? 0 : Infinity)));
    for (const { a, b, forward } of tree.links) delay[a]![b] = delay[b]![a] = forward.latencyUs;
    for (const k of delay.keys())
      for (const i of delay.keys())
        for (const j of delay.keys())
          delay[i]![j] = Math.min(delay[i]![j]!, delay[i]![k]! + delay[k]![j]!);
    expect(Math.max(...delay.flat())).toBe(45_000);
  });

  test("the grid's partition cuts it in halves", () => {
    const grid = shipped('grid-100.yaml');
    expect(grid.links.length).toBe(180);
    const partition = grid.events.find((event) => event.kind === 'partition')!;
    expect(
      partition.kind === 'partition' && [
        partition.groups.map((g) => g.length),
        partition.cut.length,
      ],
    ).toEqual([[50, 50], 10]);
  });
});

describe('normalisation', () => {
  test('defaults, then the link, then the direction', () => {
    const { links } = parseTopology(
      `name: t
duration: 5s
nodes: [A, B]
defaults: { link: { latency: 1ms, jitter: 2, bandwidth: 10mbit, loss: 1% } }
links:
  - between: [A, B]
    latency: 5ms
    forward: { burst: { goodToBad: 1%, badToGood: 50% } }
    backward: { bandwidth: 100mbit, duplicate: 2 }
`,
      'f',
    );
    const common = {
      up: true,
      mtuBytes: null,
      latencyUs: 5_000,
      jitterUs: 2_000,
      reorderRate: 0,
      reorderUs: 10_000,
      corruptRate: 0,
    };
    expect(links).toEqual([
      {
        a: 0,
        b: 1,
        forward: {
          ...common,
          bandwidthKbps: 10_000,
          queueBytes: 125_000,
          duplicateRate: 0,
          loss: {
            kind: 'gilbert-elliott',
            goodToBad: 0.01,
            badToGood: 0.5,
            lossGood: 0,
            lossBad: 1,
          },
        },
        backward: {
          ...common,
          bandwidthKbps: 100_000,
          queueBytes: 1_250_000,
          duplicateRate: 0.02,
          loss: { kind: 'bernoulli', rate: 0.01 },
        },
      },
    ]);
  });

  test('a queue that is written stays when a later layer changes the bandwidth', () => {
    const { links } = parseTopology(
      'name: t\nduration: 5s\nnodes: [A, B]\ndefaults: {link: {queue: 64KiB}}\nlinks: [{between: ' +
        '[A, B], bandwidth: 100mbit}]\n',
      'f',
    );
    expect(links[0]!.forward.queueBytes).toBe(65_536);
  });

  test("events are in order of time, and a direction is the link's own", () => {
    const { events } = parseTopology(
      `${base}events:
  - { at: 3s, link: [B, A], set: { loss: 5%, latency: 7ms }, direction: forward }
  - { at: 1s, down: [C, B] }
  - { at: 2s, up: [B, C] }
  - { at: 2s, crash: B }
  - { at: 4s, partition: [[A], [B]] }
  - { at: 4s, heal: true }
  - { at: 5s, misbehave: B, what: drop-acks }
  - { at: 6s, misbehave: B, what: grey-hole:0.3 }
`,
      'f',
    );
    expect(events).toEqual([
      { at: 1_000_000, kind: 'down', link: 1 },
      { at: 2_000_000, kind: 'up', link: 1 },
      { at: 2_000_000, kind: 'crash', node: 1 },
      {
        at: 3_000_000,
        kind: 'set',
        link: 0,
        direction: 'backward',
        change: { latencyUs: 7_000, loss: { kind: 'bernoulli', rate: 0.05 } },
      },
      { at: 4_000_000, kind: 'partition', groups: [[0], [1], [2]], cut: [0, 1] },
      { at: 4_000_000, kind: 'heal' },
      { at: 5_000_000, kind: 'misbehave', node: 1, what: 'drop-acks' },
      { at: 6_000_000, kind: 'misbehave', node: 1, what: 'grey-hole:0.3' },
    ]);
  });

  test('an event can name who is on the path of a byzantine flow', () => {
    const { events } = parseTopology(
      `${base}flows:
  - { from: A, to: C, packetsPerSecond: 1 }
  - { name: x, from: A, to: C, packetsPerSecond: 1, routing: byzantine }
events:
  - { at: 2s, misbehave: { on: x }, what: black-hole }
`,
      'f',
    );
    expect(events).toEqual([{ at: 2_000_000, kind: 'misbehave-on', on: 1, what: 'black-hole' }]);
  });

  test('flows are named, timed and cut off at the end of the run', () => {
    const { flows } = parseTopology(
      `${base}flows:
  - { from: A, to: B, rate: 80kbit, size: 500 }
  - { from: A, to: B, packetsPerSecond: 2.5, start: 4s, duration: 3s }
  - { from: A, to: C, packetsPerSecond: 1, count: 7, start: 9s, phase: 5ms, \
jitter: 500ms, link: reliable, session: stream, routing: byzantine }
`,
      'f',
    );
    expect(
      flows.map((f) => [f.name, f.packetsPerSecond, f.sizeBytes, f.startUs, f.durationUs, f.count]),
    ).toEqual([
      ['A-B', 20, 500, 0, 5_000_000, null],
      ['A-B-2', 2.5, 1000, 4_000_000, 1_000_000, null],
      ['A-C', 1, 1000, 9_000_000, 0, 7],
    ]);
    expect(flows[2]).toMatchObject({
      link: 'reliable',
      session: 'stream',
      routing: 'byzantine',
      phaseUs: 5_000,
      jitterUs: 500_000,
    });
  });

  test('two thousand nodes get two thousand ids', () => {
    const { nodes } = parseTopology(
      'name: t\nduration: 1s\ngenerate: {kind: ring, nodes: 2000}\n',
      'f',
    );
    expect(new Set(nodes.map((n) => n.id)).size).toBe(2_000);
    expect([0, 249, 250, 1_999].map((i) => formatNodeId(nodes[i]!.id))).toEqual([
      '10.0.0.1',
      '10.0.0.250',
      '10.0.1.1',
      '10.0.7.250',
    ]);
  });

  test('anchors, numbers as names and generated nodes beside explicit ones', () => {
    const topology = parseTopology(
      'name: t\nduration: 1s\nnodes: [7, x]\ngenerate: {kind: ring, nodes: 3, link: &l {latency: ' +
        '3}}\nlinks:\n  - {between: [7, n1], forward: *l}\n  - {between: [x, n2]}\n',
      'f',
    );
    expect(topology.nodes.map((n) => n.name)).toEqual(['7', 'x', 'n1', 'n2', 'n3']);
    expect(topology.links.map((l) => [l.a, l.b, l.forward.latencyUs])).toEqual([
      [2, 3, 3_000],
      [3, 4, 3_000],
      [4, 2, 3_000],
      [0, 2, 3_000],
      [1, 3, 0],
    ]);
  });
});

describe('random graphs', () => {
  const random = (nodes: number, degree: number, extra = ''): Topology =>
    parseTopology(
      `name: r\nduration: 1s\nseed: 9\ngenerate: {kind: random, nodes: ${nodes}, degree: ` +
        `${degree}, latency: [2ms, 40ms]${extra}}\n`,
      'f',
    );

  test.each([
    [2, 1],
    [10, 3],
    [300, 4],
    [50, 49],
    [20, 100],
    [100, 1],
  ])('%d nodes of degree %d: connected, simple, of that degree', (nodes, degree) => {
    const { links } = random(nodes, degree);
    const full = (nodes * (nodes - 1)) / 2;
    expect(links.length).toBe(
      Math.max(nodes - 1, Math.min(full, Math.round((nodes * degree) / 2))),
    );
    expect(new Set(links.map(({ a, b }) => `${Math.min(a, b)} ${Math.max(a, b)}`)).size).toBe(
      links.length,
    );
    expect(links.every(({ a, b }) => a !== b)).toBe(true);
    const root = Array.from({ length: nodes }, (_, i) => i);
    const find = (i: number): number => (root[i] === i ? i : find(root[i]!));
    for (const { a, b } of links) root[find(a)] = find(b);
    expect(new Set(root.map((_, i) => find(i))).size).toBe(1);
    expect(
      links.every(
        (l) =>
          l.forward.latencyUs >= 2_000 &&
          l.forward.latencyUs <= 40_000 &&
          l.forward.latencyUs === l.backward.latencyUs,
      ),
    ).toBe(true);
  });

  test("the seed decides, the generator's own before the file's", () => {
    expect(random(50, 4)).toEqual(random(50, 4));
    expect(random(50, 4, ', seed: 9').links).toEqual(random(50, 4).links);
    expect(random(50, 4, ', seed: 10').links).not.toEqual(random(50, 4).links);
  });
});

describe('faults', () => {
  test.each<[string, string, string[]]>([
    ['an empty file', '', ['f:1:1: the file is empty']],
    ['a comment only', '# nothing\n', ['f:1:1: the file is empty']],
    ['a list', '- a\n', ['f:1:1: expected a map, found a list']],
    ['broken YAML', 'name: [a\nduration: 5s\n', [expect.stringMatching(/^f:\d+:\d+: /)]],
    ['a duplicate key', 'name: a\nname: b\n', ['f:2:1: Map keys must be unique']],
    [
      'an alias to nothing',
      'name: *a\n',
      ['f:1:1: an alias cannot be resolved, or aliases expand too far'],
    ],
    [
      'an unknown tag',
      'name: !!js/function "x"\n',
      ['f:1:7: Unresolved tag: tag:yaml.org,2002:js/function'],
    ],
    ['missing keys', 'nodes: [A]\n', ['f:1:1: name: is missing', 'f:1:1: duration: is missing']],
    [
      'no nodes',
      'name: t\nduration: 1s\n',
      ['f:1:1: the topology has no nodes: give nodes, generate or both'],
    ],
    ['a misspelt key', `${base}flwos: []\n`, ['f:7:1: flwos: unknown key, did you mean flows?']],
    [
      'a key of another world',
      `${base}xylophone: 1\n`,
      [
        'f:7:1: xylophone: unknown key; valid here: name, description, note, seed, duration, ' +
          'metric, congestion, security, nodes, defaults, links, generate, flows, events, ' +
          'figure, sweep',
      ],
    ],
    [
      'a misspelt characteristic',
      'name: t\nduration: 1s\nnodes: [A, B]\nlinks:\n  - between: [A, B]\n    forward:\n      ' +
        'lattency: 4ms\n',
      ['f:7:7: links.0.forward.lattency: unknown key, did you mean latency?'],
    ],
    [
      'a bad duration',
      'name: t\nduration: 5\nnodes: [A]\n',
      ['f:2:11: duration: expected a duration such as 250ms or 10s, found "5"'],
    ],
    [
      'a run of no time',
      'name: t\nduration: 0s\nnodes: [A]\n',
      ['f:2:11: duration: the run must last longer than nothing'],
    ],
    [
      'a bad percentage',
      'name: t\nduration: 5s\nnodes: [A, B]\nlinks: [{between: [A, B], loss: 101%}]\n',
      ['f:4:33: links.0.loss: expected a percentage such as 1% or 1, in 0..100, found "101%"'],
    ],
    [
      'a bad rate',
      'name: t\nduration: 5s\nnodes: [A, B]\nlinks: [{between: [A, B], bandwidth: 10}]\n',
      [
        'f:4:38: links.0.bandwidth: expected a bit rate such as 10mbit, 1kbit..100gbit, or ' +
          'unlimited, found "10"',
      ],
    ],
    [
      'loss twice',
      'name: t\nduration: 5s\nnodes: [A, B]\nlinks:\n- between: [A, B]\n  loss: 1\n  burst: ' +
        '{goodToBad: 1, badToGood: 2}\n',
      ['f:7:10: links.0.burst: loss and burst exclude each other'],
    ],
    [
      'a duplicate node',
      'name: t\nduration: 5s\nnodes: [A, B, A]\n',
      ['f:3:15: nodes.2: duplicate node name A'],
    ],
    [
      'a duplicate id',
      'name: t\nduration: 5s\nnodes:\n  - A\n  - {name: B, id: 10.0.0.1}\n',
      ['f:5:19: nodes.1.id: B and A both have the id 10.0.0.1'],
    ],
    [
      'a multicast id',
      'name: t\nduration: 5s\nnodes: [{name: B, id: 225.0.0.1}]\n',
      ['f:3:23: nodes.0.id: expected a dotted quad below 224.0.0.0, found "225.0.0.1"'],
    ],
    [
      'an unknown node',
      `${base}  - { between: [A, D] }\n`,
      ['f:7:20: links.2.between.1: unknown node D'],
    ],
    [
      'three ends',
      `${base}  - { between: [A, B, C] }\n`,
      ['f:7:16: links.2.between: expected the two ends of a link, as in [A, B]'],
    ],
    [
      'a self link',
      `${base}  - { between: [A, A] }\n`,
      ['f:7:16: links.2.between: a link from A to itself'],
    ],
    [
      'a duplicate link',
      `${base}  - { between: [B, A] }\n`,
      ['f:7:16: links.2.between: duplicate link between B and A'],
    ],
    [
      'bursts of two kinds',
      'name: t\nduration: 5s\nnodes: [A, B]\nlinks:\n- between: [A, B]\n  burst: {goodToBad: 1, ' +
        'badToGood: 2, good: 1s, bad: 1s}\n',
      [
        'f:6:10: links.0.burst: expected either goodToBad and badToGood, chances per packet, or ' +
          'good and bad, mean times',
      ],
    ],
    [
      'outages without an end',
      'name: t\nduration: 5s\nnodes: [A, B]\nlinks:\n- between: [A, B]\n  outages: {every: 1s, ' +
        'lasting: 1s}\n',
      [
        'f:6:20: links.0.outages.every: expected more than lasting: it is the mean time from the ' +
          'beginning of one to that of the next',
      ],
    ],
    [
      'outages and bursts',
      'name: t\nduration: 5s\nnodes: [A, B]\nlinks:\n- between: [A, B]\n  outages: {every: 2s, ' +
        'lasting: 1s}\n  burst: {good: 1s, bad: 1s}\n',
      ['f:6:12: links.0.outages: burst and outages exclude each other'],
    ],
    [
      'congestion of a datagram flow',
      `${base}flows: [{from: A, to: B, rate: 1mbit, congestion: bbr}]\n`,
      [
        'f:7:51: flows.0.congestion: is of streams; add session: stream, or give congestion ' +
          'beside metric for links',
      ],
    ],
    [
      'a flow to itself',
      `${base}flows: [{from: A, to: A, rate: 1mbit}]\n`,
      ['f:7:23: flows.0.to: a flow from A to itself'],
    ],
    [
      'a flow without rate',
      `${base}flows:\n  - {from: A, to: B}\n`,
      ['f:8:5: flows.0.rate: expected either rate or packetsPerSecond'],
    ],
    [
      'a flow with two ends',
      `${base}flows:\n  - {from: A, to: B, rate: 1mbit, count: 5, duration: 1s}\n`,
      ['f:8:42: flows.0.count: duration and count exclude each other'],
    ],
    [
      'jitter longer than the time between two messages',
      `${base}flows:\n  - {from: A, to: B, packetsPerSecond: 100, jitter: 11ms}\n`,
      [
        'f:8:53: flows.0.jitter: is longer than the time between two messages, which would ' +
          'overtake each other',
      ],
    ],
    [
      'a flow of too many messages',
      `${base}flows:\n  - {from: A, to: B, rate: 10gbit, size: 16}\n`,
      ['f:8:28: flows.0.rate: exceeds 1000000 messages per second'],
    ],
    [
      'duplicate flow names',
      `${base}flows:\n  - {name: x, from: A, to: B, rate: 1mbit}\n  - {name: x, from: A, to: B, ` +
        `rate: 1mbit}\n`,
      ['f:9:12: flows.1.name: duplicate flow name x'],
    ],
    [
      'an unknown service',
      `${base}flows: [{from: A, to: B, rate: 1mbit, link: tcp}]\n`,
      [`f:7:45: flows.0.link: expected ${SERVICE_NAMES.join(' | ')}, found "tcp"`],
    ],
    [
      'an event on no link',
      `${base}events:\n  - { at: 1s, down: [A, C] }\n`,
      ['f:8:21: events.0.down: there is no link between A and C'],
    ],
    [
      'an event on an unknown node',
      `${base}events:\n  - { at: 1s, crash: X }\n`,
      ['f:8:22: events.0.crash: unknown node X'],
    ],
    [
      'an event of two things',
      `${base}events:\n  - { at: 1s, down: [A, B], heal: true }\n`,
      ['f:8:5: events.0: expected one thing to do, found down and heal'],
    ],
    [
      'a misspelt event',
      `${base}events:\n  - { at: 1s, crahs: A }\n`,
      ['f:8:15: events.0.crahs: unknown key, did you mean crash?'],
    ],
    [
      'an event of nothing',
      `${base}events:\n  - { at: 1s }\n`,
      [
        'f:8:5: events.0: expected one of set, down, up, crash, restart, misbehave, partition, ' +
          'heal',
      ],
    ],
    [
      'an unknown misdeed',
      `${base}events:\n  - { at: 1s, misbehave: A, what: sulk }\n`,
      [
        'f:8:35: events.0.what: expected a misbehaviour such as black-hole, grey-hole:0.3 or ' +
          'none, found "sulk"',
      ],
    ],
    [
      'a misdeed on no flow',
      `${base}events:\n  - { at: 1s, misbehave: { on: x }, what: black-hole }\n`,
      ['f:8:32: events.0.misbehave.on: no flow with byzantine routing is called x'],
    ],
    [
      'a misdeed on a flow of link state',
      `${base}flows: [{name: x, from: A, to: B, rate: 1mbit}]\nevents:\n  - { at: 1s, misbehave: ` +
        `{ on: x }, what: black-hole }\n`,
      ['f:9:32: events.0.misbehave.on: no flow with byzantine routing is called x'],
    ],
    [
      'a misdeed on a path without a flow',
      `${base}events:\n  - { at: 1s, misbehave: { path: x }, what: black-hole }\n`,
      [
        'f:8:26: events.0.misbehave.on: is missing',
        'f:8:28: events.0.misbehave.path: unknown key; valid here: on',
      ],
    ],
    [
      'an event that sets nothing',
      `${base}events:\n  - { at: 1s, link: [A, B], set: {} }\n`,
      ['f:8:34: events.0.set: expected at least one characteristic to set'],
    ],
    [
      'a node in two parts',
      `${base}events:\n  - { at: 1s, partition: [[A, B], [B]] }\n`,
      ['f:8:36: events.0.partition.1.0: B is in more than one place of the partition'],
    ],
    [
      'an unknown generator',
      'name: t\nduration: 1s\ngenerate: {kind: star}\n',
      ['f:3:18: generate.kind: expected ring | grid | random, found "star"'],
    ],
    [
      'too large a grid',
      'name: t\nduration: 1s\ngenerate: {kind: grid, width: 100, height: 100}\n',
      ['f:3:44: generate.height: the grid exceeds 2000 nodes'],
    ],
    [
      'a generated name taken',
      'name: t\nduration: 1s\nnodes: [n2]\ngenerate: {kind: ring, nodes: 3}\n',
      ['f:4:11: generate: duplicate node name n2'],
    ],
  ])('%s', (_, text, expected) => {
    expect(faults(text)).toEqual(expected);
  });

  test('all are reported, in the order of the file', () => {
    expect(
      faults(
        'name: t\nduratoin: 5s\nnodes: [A, {name: B, di: 1}]\nlinks:\n  - { between: [A, B], ' +
          'loss: lots, latency: -1 }\nevents:\n  - { at: now, up: [A, B] }\n',
      ).map((line) => line.split(': ').slice(0, 2).join(' ')),
    ).toEqual([
      'f:1:1 duration',
      'f:2:1 duratoin',
      'f:3:22 nodes.1.di',
      'f:5:30 links.0.loss',
      'f:5:45 links.0.latency',
      'f:7:11 events.0.at',
    ]);
  });

  test('a place behind an alias is where the value was written', () => {
    expect(
      faults(
        'name: t\nduration: 1s\nnodes: [A, B]\ndefaults: {link: &l {loss: x}}\nlinks: [{between: ' +
          '[A, B], forward: *l}]\n',
      ).map((line) => line.split(': ')[0]),
    ).toEqual(['f:4:28', 'f:4:28']);
  });

  test('a long list of faults is cut off', () => {
    const lines = faults(
      `name: t\nduration: 1s\nnodes: [A]\nevents:\n${'  - { at: 1s, crash: X }\n'.repeat(80)}`,
    );
    expect(lines.length).toBe(51);
    expect(lines[50]).toBe('and 30 more');
  });
});

describe('overrides', () => {
  test('set, add and star', () => {
    const chain = shipped('dsn03-chain.yaml', [
      'links.2.forward.loss=5%',
      'flows.*.rate=1mbit',
      'duration=5s',
      'links.0.jitter=1',
      'defaults.link.bandwidth=unlimited',
      'flows.best-effort.link=reliable',
      'seed=77',
    ]);
    expect(chain.links[2]!.forward.loss).toEqual({ kind: 'bernoulli', rate: 0.05 });
    expect(chain.links[0]!.forward.jitterUs).toBe(1_000);
    expect(chain.links[4]!.forward.bandwidthKbps).toBeNull();
    expect(chain.flows[0]).toMatchObject({
      packetsPerSecond: 125,
      link: 'reliable',
      durationUs: 5_000_000,
    });
    expect([chain.durationUs, chain.seed]).toEqual([5_000_000, 77]);
  });

  test('sections that are absent come into being, null takes a key away', () => {
    expect(shipped('pair.yaml', ['defaults.link.corrupt=1%']).links[0]!.forward.corruptRate).toBe(
      0.01,
    );
    const ring = shipped('ring-12.yaml', ['flows.*.packetsPerSecond=null', 'flows.*.rate=1mbit']);
    expect(ring.flows.map((f) => f.packetsPerSecond)).toEqual([250, 250]);
  });

  test('the data given is not modified, not even where an alias shares it', () => {
    const shared = { loss: '1%' };
    const data = { a: shared, b: shared };
    expect(applyOverrides(data, ['a.loss=2%'])).toEqual({ a: { loss: '2%' }, b: { loss: '1%' } });
    expect(data).toEqual({ a: { loss: '1%' }, b: { loss: '1%' } });
    expect(applyOverrides('x: {y: 1}', ['x.y=2'])).toEqual({ x: { y: 2 } });
  });

  test.each([
    ['links.9.loss=5%', '--set links.9.loss=5%: links has no element 9 (it has 1, counted from 0)'],
    [
      'flows.video.rate=1mbit',
      '--set flows.video.rate=1mbit: flows has no element video (it has 1, counted from 0)',
    ],
    ['events.*.at=1s', '--set events.*.at=1s: there is no events'],
    ['name.x=1', '--set name.x=1: name is a single value, there is nothing below it'],
    ['duration', '--set duration: expected PATH=VALUE, as in links.0.loss=5%'],
    ['=5', '--set =5: expected PATH=VALUE, as in links.0.loss=5%'],
    ['links..loss=5%', '--set links..loss=5%: the path has an empty or impossible part'],
    ['__proto__.x=5', '--set __proto__.x=5: the path has an empty or impossible part'],
    ['nodes=[A]', '--set nodes=[A]: the value must be a single text, number, true, false or null'],
    [
      'duratoin=5s',
      'pair.yaml:2:1: duratoin: unknown key, did you mean duration? (changed by --set duratoin=5s)',
    ],
    [
      'links.*.loss=lots',
      'pair.yaml:7:64: links.0.loss: expected a percentage such as 1% or 1, in 0..100, found ' +
        '"lots" (changed by --set links.*.loss=lots)',
    ],
  ])('%s is refused', (override, message) => {
    expect(() => shipped('pair.yaml', [override])).toThrow(
      expect.objectContaining({ code: 'ETOPOLOGY', message }),
    );
  });
});

describe('fuzz', () => {
  /** Parses; anything thrown but a SpinesError is a failure. */
  function survives(text: string, overrides: readonly string[] = []): boolean {
    try {
      parseTopology(text, 'fuzz.yaml', overrides);
      return true;
    } catch (error) {
      if (!(error instanceof SpinesError))
        throw new Error(`not a SpinesError for ${JSON.stringify(text)}`, { cause: error });
      expect(error.message).not.toMatch(/\[object|undefined|Invalid input/);
      return false;
    }
  }

  test('mutations of the shipped files never throw anything but SpinesError', () => {
    const rng = new Rng(2_003);
    const texts = files.filter((file) => file !== 'random-300.yaml').map(textOf);
    const tokens = [
      '[',
      ']',
      '{',
      '}',
      ':',
      ',',
      '- ',
      '\n',
      '  ',
      '&a ',
      '*a',
      '!!binary ',
      '!x ',
      '<<: ',
      'null',
      '~',
      '1e999',
      '-1',
      '0x10',
      '%',
      '"',
      "'",
      '|',
      '>',
      '? ',
      '...',
      '---\n',
      '%YAML 1.1\n',
      '\t',
      '\u0000',
      '\ud800',
      '#',
      '__proto__: ',
      'constructor',
      '99999999999',
      '.inf',
      '2001-01-01',
      'true',
    ];
    let refused = 0;
    let accepted = 0;
    for (let round = 0; round < 1_500; round += 1) {
      let text = texts[rng.below(texts.length)]!;
      for (let edits = 1 + rng.below(3); edits > 0; edits -= 1) {
        const at = rng.below(text.length + 1);
        const to = Math.min(text.length, at + rng.below(rng.chance(0.2) ? 60 : 4));
        const insert = rng.chance(0.3)
          ? ''
          : rng.chance(0.8)
            ? tokens[rng.below(tokens.length)]!
            : text.slice(rng.below(text.length)).slice(0, rng.below(40));
        text = text.slice(0, at) + insert + text.slice(to);
      }
      if (survives(text)) accepted += 1;
      else refused += 1;
    }
    expect(Math.min(refused, accepted)).toBeGreaterThan(100);
  });

  test('random overrides never throw anything but SpinesError', () => {
    const rng = new Rng(5);
    const parts = [
      'links',
      'flows',
      'events',
      'nodes',
      'defaults',
      'link',
      '*',
      '0',
      '2',
      'forward',
      'loss',
      'burst',
      'rate',
      'at',
      'constructor',
      'toString',
      'generate',
      'A',
      'length',
    ];
    const values = ['5%', '1', 'null', 'true', '', '[1]', '-3', '"', '*a', '1s', 'A', '.nan'];
    for (let round = 0; round < 2_000; round += 1) {
      const path = Array.from(
        { length: 1 + rng.below(4) },
        () => parts[rng.below(parts.length)]!,
      ).join('.');
      survives(textOf(rng.chance(0.5) ? 'dsn03-chain.yaml' : 'ring-12.yaml'), [
        `${path}=${values[rng.below(values.length)]!}`,
      ]);
    }
  });

  test('hostile shapes are refused without harm', () => {
    const bomb = `a: &a [x, x, x, x, x, x, x, x, x]\n${'bcdefghij'
      .split('')
      .map((c, i) => `${c}: &${c} [${Array(9).fill(`*${'abcdefghij'[i]}`).join(', ')}]`)
      .join('\n')}\n`;
    for (const text of [
      bomb,
      '['.repeat(100_000),
      '{a: '.repeat(20_000),
      '- '.repeat(50_000),
      'x'.repeat(5_000_000),
      '&a [*a]',
      'name: &n [*n]\n',
      '? {a: b}\n: c\n',
      '\uFEFF',
      '%TAG ! x\n',
      '--- a\n--- b\n',
    ]) {
      expect(survives(text)).toBe(false);
    }
  });
});

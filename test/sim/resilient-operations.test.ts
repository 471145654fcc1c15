/**
 * What operators and topology files have of the Byzantine-resilient router: reports, traces,
 * misbehaviour, byzantine-12.
 */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import {
  encodeControl,
  decodeControl,
  FRAME_HELLO,
  FRAME_REPLY,
  FRAME_REQUEST,
  FrameReader,
  type OperationAnswer,
} from 'spines-client/protocol';

import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import { parseTopology } from '../../src/lab/topology/topology-parse.ts';
import { LOCAL_ACCESS, type ClientAccess } from '../../src/core/ipc/client.ts';
import { refuseUnsupported, runVirtual } from '../../src/lab/replay/run-virtual.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { DISSEMINATION_BYZANTINE, SERVICE_RELIABLE } from '../../src/core/wire/packet.ts';
import {
  finish,
  hosts,
  useNetworks,
  wire,
  type Network,
  type NetworkOptions,
} from '../support/network.ts';

useNetworks();

type Control = Record<string, unknown>;

/** A client program that asks and remembers the answers. */
function asker(
  host: SimHost,
  access?: ClientAccess,
): <Op extends string>(op: Op, args?: Control) => () => OperationAnswer<Op> & { code?: string } {
  const replies = new Map<unknown, unknown>();
  const reader = new FrameReader({
    onFrame: (type, bytes, start, end) => {
      const body = type === FRAME_REPLY ? decodeControl(bytes.slice(start, end)) : null;
      if (body !== null) replies.set(body['id'], body);
    },
  });
  const port = host.node.attachClient(
    {
      write: (bytes: Uint8Array) => {
        reader.push(bytes);
      },
      append: () => {},
      end: () => {},
      bufferedBytes: 0,
    } as never,
    access,
  )!;
  let id = 0;
  port.onBytes(encodeControl(FRAME_HELLO, { version: 1, client: 'test' }));
  return <Op extends string>(op: Op, args: Control = {}) => {
    const mine = (id += 1);
    port.onBytes(encodeControl(FRAME_REQUEST, { id: mine, op, ...args }));
    host.endTurn();
    return () => replies.get(mine) as OperationAnswer<Op> & { code?: string };
  };
}

/** Two ways from the first host to the last: over 1 and 2, or over 3 and 4, which is slower. */
function diamond(options: NetworkOptions = {}): Network {
  const network = hosts(6, { routes: false, ...options });
  for (const [a, b, ms] of [
    [0, 1, 5],
    [1, 2, 5],
    [2, 5, 5],
    [0, 3, 9],
    [3, 4, 9],
    [4, 5, 9],
  ] as const) {
    network.connect(network.host(a), network.host(b), wire({ latencyUs: ms * MILLISECOND }));
  }
  network.settle();
  return network;
}

const options = { service: SERVICE_RELIABLE, dissemination: DISSEMINATION_BYZANTINE };

describe('byzantine-12', () => {
  const text = readFileSync(
    fileURLToPath(new URL('../../topologies/byzantine-12.yaml', import.meta.url)),
    'utf8',
  );

  test('in virtual time: three adversaries in turn are found, and 98 % arrive', () => {
    const { report, flows } = runVirtual(parseTopology(text, 'byzantine-12.yaml'));
    const [flow] = report.flows;
    expect(flow!.sent).toBe(24_000);
    expect(flow!.delivered / flow!.sent).toBeGreaterThanOrEqual(0.98);
    expect(flow!.duplicates).toBe(0);
    expect(flows[0]).toMatchObject({ refused: 0 });
    const told = report.events.map(({ what }) => what);
    const bad = told
      .filter((what) => what.startsWith('misbehave'))
      .map((what) => what.split(' ')[1]!);
    expect(new Set(bad).size).toBe(3);
    expect(told.filter((what) => what.startsWith('misbehave'))).toEqual([
      `misbehave ${bad[0]} drop-data`,
      `misbehave ${bad[1]} drop-acks`,
      `misbehave ${bad[2]} drop-data`,
    ]);
    const found = told.filter((what) => what.includes('convicts'));
    // Nobody else is convicted, and each of them is.
    for (const name of bad)
      expect(
        found.some((what) => what.includes(name)),
        `${name}: ${found.join('; ')}`,
      ).toBe(true);
    for (const what of found)
      expect(
        bad.some((name) => what.startsWith('source convicts') && what.includes(name)),
        what,
      ).toBe(true);
    expect([...report.events].sort((x, y) => x.atMs - y.atMs)).toEqual(report.events);
    expect(report.note).toMatch(/^Byzantine routing: /);
  });

  test('a path without anybody between its ends makes nobody misbehave', () => {
    const pair =
      'name: t\nduration: 3s\nnodes: [A, B]\nlinks: [{ between: [A, B], latency: 1ms }]\n' +
      'flows: [{ name: x, from: A, to: B, packetsPerSecond: 10, routing: byzantine }]\nevents: ' +
      '[{ at: 2s, misbehave: { on: x }, what: black-hole }]\n';
    const { report } = runVirtual(parseTopology(pair, 'f'));
    expect(report.events.map(({ what }) => what)).toEqual([
      'misbehave nobody: there is no node in the middle of a path',
    ]);
    expect(report.flows[0]!.delivered).toBe(report.flows[0]!.sent);
  });

  test(
    'two paths that turn bad at once lose nothing, ' +
      'even when nothing new is sent that would push what waits',
    () => {
      const begin = text.indexOf('events:');
      const events = ['a2', 'b2', 'd2']
        .map((node) => `  - { at: 3s, misbehave: ${node}, what: drop-data }\n`)
        .join('');
      const { report } = runVirtual(
        parseTopology(`${text.slice(0, begin)}events:\n${events}`, 'f', [
          'duration=30s',
          'flows.0.count=700',
        ]),
      );
      const [flow] = report.flows;
      expect([flow!.sent, flow!.delivered, flow!.duplicates]).toEqual([700, 700, 0]);
      expect(
        report.events.filter(({ what }) => what.includes('convicts')).length,
      ).toBeGreaterThanOrEqual(2);
    },
  );

  test('is refused without security, flow and event', () => {
    expect(() => refuseUnsupported(parseTopology(text, 'f', ['security=none']))).toThrow(
      'flow resilient asks for routing byzantine, which needs identities; take `security: none` ' +
        'away',
    );
    expect(() => parseTopology(text, 'f', ['security=none', 'flows.0.routing=link-state'])).toThrow(
      'events.0.misbehave.on: no flow with byzantine routing is called resilient',
    );
    const byName = text.replaceAll('{ on: resilient }', 'a2');
    expect(() =>
      refuseUnsupported(
        parseTopology(byName, 'f', ['security=none', 'flows.0.routing=link-state']),
      ),
    ).toThrow('the event at 10 s makes a node misbehave');
  });
});

describe('a daemon reports', () => {
  test('paths, losses, convictions, weights and figures', () => {
    const network = diamond();
    network.flow(network.host(0), network.host(5), {
      packetsPerSecond: 100,
      sizeBytes: 300,
      durationUs: 30 * SECOND,
      options,
    });
    network.run(3 * SECOND);
    const ask = asker(network.host(0));
    const quiet = ask('byzantineRoutes')();
    expect(quiet).toMatchObject({ schema: 1, mode: 'secure', weights: [], convictions: [] });
    expect(quiet.flows).toMatchObject([
      { name: 'n5', link: 'reliable', waiting: 0, faults: 0, second: null },
    ]);
    const { main } = quiet.flows[0]!;
    expect(main!.nodes.map(({ name }) => name)).toEqual(['n0', 'n1', 'n2', 'n5']);
    expect(main).toMatchObject({
      weight: 3,
      searching: false,
      intervals: [
        { from: '10.0.0.1', to: '10.0.0.6', links: 3, losses: 0, window: 200, probe: false },
      ],
    });
    const trace = ask('byzantineTrace', {
      node: 'n5',
      timeoutMs: 1_000,
    })();
    expect(trace).toMatchObject({
      link: 'reliable',
      hops: [
        { hop: 1, name: 'n1', rttMs: null },
        { hop: 2, name: 'n2' },
        { hop: 3, name: 'n5' },
      ],
    });
    expect(trace.hops[2]!.rttMs).toBeGreaterThanOrEqual(30);
    expect(trace.hops[2]!.rttMs).toBeLessThan(60);

    network.host(2).node.byzantine!.misbehaviour = { onData: () => true };
    network.until(
      () => network.host(0).node.byzantine!.convictions.length > 0,
      20 * SECOND,
      100 * MILLISECOND,
    );
    network.run(3 * SECOND);
    const after = ask('byzantineRoutes')();
    expect(after.convictions).toMatchObject([
      { destination: { name: 'n5' }, u: { name: 'n1' }, v: { name: 'n2' } },
    ]);
    expect(after.convictions[0]!.agoMs).toBeGreaterThanOrEqual(2_900);
    expect(after.weights).toMatchObject([
      { u: { name: 'n1' }, v: { name: 'n2' }, weight: 2, convictions: 1, reason: 'loss' },
    ]);
    expect(after.flows[0]!.main!.nodes.map(({ name }) => name)).toEqual(['n0', 'n3', 'n4', 'n5']);
    const { byzantine } = ask('status')();
    expect(byzantine).toEqual(after.figures);
    expect(byzantine).toMatchObject({ flows: 1, convictions: 1, convictedLinks: 1 });
    expect(byzantine!.faults).toBeGreaterThanOrEqual(1);
    expect(byzantine!.discoveries).toBeGreaterThanOrEqual(2);
    expect(byzantine!.verified).toBeGreaterThan(0);
    expect(asker(network.host(5))('status')().byzantine!.delivered).toBeGreaterThan(300);
    network.run(30 * SECOND);
    finish(network);
  });

  test('a path without a flow: what discovery finds, in bounded time', () => {
    const network = diamond();
    const ask = asker(network.host(0));
    const found = ask('byzantineTrace', { node: 'n5', timeoutMs: 2_000 });
    expect(found()).toBeUndefined();
    network.run(SECOND);
    expect(found().link).toBeNull();
    expect(found().hops.map(({ name, rttMs }) => [name, rttMs])).toEqual([
      ['n1', null],
      ['n2', null],
      ['n5', null],
    ]);
    // It is known now, and no flow came of it.
    expect(ask('byzantineTrace', { node: 'n5', timeoutMs: 2_000 })()).toMatchObject({
      ok: true,
      link: null,
    });
    expect(ask('byzantineRoutes')()).toMatchObject({ flows: [] });
    expect(ask('byzantineTrace', { node: 'n0', timeoutMs: 2_000 })()).toMatchObject({
      ok: true,
      hops: [],
    });
    expect(ask('byzantineTrace', { node: '10.9.9.9', timeoutMs: 2_000 })()).toMatchObject({
      ok: false,
      code: 'EHOSTUNREACH',
    });

    for (const host of [1, 3])
      network.host(host).node.byzantine!.misbehaviour = { onRoute: () => true };
    const lost = ask('byzantineTrace', { node: 'n4', timeoutMs: 1_500 });
    network.run(1_400 * MILLISECOND);
    expect(lost()).toBeUndefined();
    network.run(200 * MILLISECOND);
    expect(lost()).toMatchObject({
      ok: false,
      code: 'EHOSTUNREACH',
      message: expect.stringContaining('within 1500 ms'),
    });
    // Given up: nothing more is asked.
    const { asked } = network.host(0).node.byzantine!.discovery.figures;
    network.run(120 * SECOND);
    expect(network.host(0).node.byzantine!.discovery.figures.asked).toBe(asked);
    finish(network);
  });
});

describe('misbehaviour', () => {
  test('only where the configuration allows it, and only for local clients', () => {
    const network = diamond({ config: { allowMisbehaviour: true } });
    const ask = asker(network.host(1));
    const { byzantine } = network.host(1).node;
    expect(ask('misbehave', { what: 'drop-acks' })()).toMatchObject({
      ok: true,
      what: 'drop-acks',
    });
    expect(Object.keys(byzantine!.misbehaviour!)).toEqual(['onAck']);
    expect(ask('misbehave', { what: 'sulk' })()).toMatchObject({ ok: false, code: 'EINVAL' });
    expect(ask('misbehave', { what: 'none' })()).toMatchObject({ ok: true });
    expect(byzantine!.misbehaviour).toBeNull();
    const remote = asker(network.host(1), { ...LOCAL_ACCESS, certificate: 'alice', role: 'use' });
    expect(remote('misbehave', { what: 'drop-data' })()).toMatchObject({
      ok: false,
      code: 'EACCES',
    });
    expect(byzantine!.misbehaviour).toBeNull();
    expect(remote('byzantineRoutes')()).toMatchObject({ ok: true });
    finish(network);

    const proper = diamond();
    expect(asker(proper.host(1))('misbehave', { what: 'drop-data' })()).toMatchObject({
      ok: false,
      code: 'EPERM',
      message: expect.stringContaining('--allow-misbehaviour'),
    });
    finish(proper);
  });

  test('and byzantine routing are refused, with the reason, where there are no identities', () => {
    const network = diamond({ security: 'none', config: { allowMisbehaviour: true } });
    const ask = asker(network.host(0));
    const refusal = {
      ok: false,
      code: 'EOPNOTSUPP',
      message: expect.stringContaining('security: none'),
    };
    for (const kind of ['datagram', 'stream'])
      expect(
        ask('socket', { socket: 1, kind, link: 'reliable', routing: 'byzantine' })(),
      ).toMatchObject(refusal);
    expect(ask('byzantineRoutes')()).toMatchObject(refusal);
    expect(ask('byzantineTrace', { node: 'n5', timeoutMs: 100 })()).toMatchObject(refusal);
    expect(ask('misbehave', { what: 'drop-data' })()).toMatchObject(refusal);
    expect(ask('status')()).toMatchObject({ byzantine: null });
    finish(network);
  });
});

test('sessions name the routing of each socket', () => {
  const network = diamond();
  const ask = asker(network.host(0));
  ask('socket', { socket: 1, kind: 'datagram', routing: 'byzantine' });
  ask('socket', { socket: 2, kind: 'datagram' });
  expect(
    (ask('sessions')()['sessions'] as { routing: string }[]).map(({ routing }) => routing).sort(),
  ).toEqual(['byzantine', 'link-state']);
  finish(network);
});

test('a remote client has so many paths searched, and nobody else waits for it', () => {
  const network = diamond();
  const host = network.host(0),
    target = 'n5';
  const remote = asker(host, { ...LOCAL_ACCESS, certificate: 'alice', role: 'use' }),
    again = asker(host, { ...LOCAL_ACCESS, certificate: 'alice', role: 'use' }),
    other = asker(host, { ...LOCAL_ACCESS, certificate: 'bob', role: 'use' });
  const loop = Array.from({ length: 20 }, (_, i) =>
    (i % 2 === 0 ? remote : again)('byzantineTrace', { node: target, timeoutMs: 1 + i }),
  );
  const [bob, local] = [
    other('byzantineTrace', { node: target, timeoutMs: 2_000 }),
    asker(host)('byzantineTrace', { node: target, timeoutMs: 2_000 }),
  ];
  network.run(3 * SECOND);
  expect(loop.filter((reply) => reply().code === 'EAGAIN')).toHaveLength(15);
  expect(bob()).toMatchObject({ ok: true });
  expect(local()).toMatchObject({ ok: true });
  expect(remote('byzantineTrace', { node: target, timeoutMs: 2_000 })().code).not.toBe('EAGAIN');
});

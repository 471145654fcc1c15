/**
 * What programs that watch a daemon are told, when, and what is done while nobody watches: nothing.
 */

import { describe, expect, test } from 'vitest';

import { WATCH_KINDS, type WatchEvent } from '../../spines-client/src/shared/watch-events.ts';
import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import { ClientProgram } from '../support/client-program.ts';
import type { DirectionChange } from '../../src/core/emulation/link-settings.ts';
import { hosts, pattern, ring, useNetworks, wire, type Network } from '../support/network.ts';

useNetworks();

function watcher(network: Network, kinds: readonly string[] = WATCH_KINDS): ClientProgram {
  const client = new ClientProgram(network.host(0));
  expect(client.ask('watch', { kinds })()).toMatchObject({ ok: true, kinds });
  return client;
}

/** What it was told since it was asked last. */
function told(client: ClientProgram): WatchEvent[] {
  return client.events
    .splice(0)
    .filter(({ event }) => event === 'watch')
    .map(({ seen }) => seen as WatchEvent);
}

function text(event: WatchEvent): string {
  switch (event.kind) {
    case 'link':
      return `link ${event.name} ${event.what}`;
    case 'route':
      return `route ${event.name} ${event.what} ${event.path?.map(({ name }) => name).join('>')}`;
    case 'node':
      return `node ${event.name} ${event.what}`;
    case 'session':
      return `${event.socket} ${event.what} ${event.port} ${event.name} ${event.code}`;
    default:
      return event.kind;
  }
}

/** Both ways between two hosts. */
function change(network: Network, a: number, b: number, settings: DirectionChange): void {
  const [one, other] = [network.host(a), network.host(b)];
  one.wires.get(other.endpoint.key)!.model.set(settings);
  other.wires.get(one.endpoint.key)!.model.set(settings);
}

function four(): Network {
  const network = ring(4, { forward: wire({ latencyUs: 5 * MILLISECOND }) });
  network.settle();
  network.run(5 * SECOND);
  return network;
}

describe('a program that watches', () => {
  test('is told of a link that ends and comes back, of ways, and when, within 0.1 s', () => {
    const network = four();
    const client = watcher(network);
    network.run(2 * SECOND);
    expect(told(client), 'while nothing happens').toEqual([]);

    change(network, 0, 1, { up: false });
    network.until(() => network.linkDowns > 0, 2 * SECOND);
    const wall = network.host(0).membership!.wallUs / MILLISECOND;
    network.run(200 * MILLISECOND);
    const events = told(client);
    expect(events.map(text).sort()).toEqual([
      'link n1 down',
      'route n1 changed n0>n3>n2>n1',
      'route n2 changed n0>n3>n2',
    ]);
    for (const event of events) expect(Math.abs(event.at - wall)).toBeLessThan(100);
    expect(events.find(({ kind }) => kind === 'link')).toMatchObject({
      node: '10.0.0.2',
      why: 'silent: nothing was heard for too long',
    });
    const route = events.find((event) => event.kind === 'route' && event.name === 'n1')!;
    expect(route).toMatchObject({ was: [{ name: 'n0' }, { name: 'n1' }] });
    expect(route.kind === 'route' && route.costMs).toBeCloseTo(15, 0);

    network.run(4 * SECOND);
    expect(told(client)).toMatchObject([{ kind: 'link', what: 'changed', why: 'no answer' }]);
    change(network, 0, 1, { up: true });
    network.run(5 * SECOND);
    expect(told(client).map(text)).toEqual([
      'link n1 up',
      'route n1 changed n0>n1',
      'route n2 changed n0>n1>n2',
    ]);
  });

  test('is told of what goes and comes back between two looks as of both', () => {
    const network = four();
    const client = watcher(network, ['link']);
    const [a, b] = [network.host(0), network.host(1)];
    network.run(130 * MILLISECOND);
    a.node.links.of(b.id)!.down('an operator wants it', 3);
    a.endTurn();
    const back = network.until(() => a.node.links.of(b.id)?.up === true, SECOND)!;
    expect(back).toBeLessThan(70 * MILLISECOND);
    network.run(100 * MILLISECOND);
    expect(told(client)).toMatchObject([
      { what: 'down', why: 'an operator wants it' },
      { what: 'up', why: null },
    ]);
  });

  test('is told of loss and round trips that change, once, and of nodes that leave', () => {
    const network = four();
    const client = watcher(network, ['link', 'node']);
    network.flow(network.host(0), network.host(1), {
      packetsPerSecond: 200,
      durationUs: 40 * SECOND,
    });
    change(network, 0, 1, { loss: { kind: 'bernoulli', rate: 0.3 }, latencyUs: 40 * MILLISECOND });
    network.run(20 * SECOND);
    const whys = told(client).map((event) => (event.kind === 'link' ? event.why : text(event)));
    expect(whys.filter((why) => /^loses \d/.test(why!)).length).toBeGreaterThan(0);
    expect(whys.filter((why) => /^round trip 8\d\.\d ms, was 1\d\.\d ms/.test(why!))).toHaveLength(
      1,
    );
    expect(whys.length).toBeLessThan(6);
    change(network, 0, 1, { loss: { kind: 'bernoulli', rate: 0 } });
    network.run(200 * SECOND);
    expect(told(client).map((event) => event.kind === 'link' && event.why)).toContain(
      'hardly loses any more',
    );
    network.host(2).stop();
    network.run(SECOND);
    expect(told(client)).toMatchObject([
      { kind: 'node', what: 'forgotten', name: 'n2', why: 'it said good-bye' },
    ]);
  });

  test('is told of sockets of all programs as they come and go', () => {
    const network = four();
    const client = watcher(network, ['session']);
    const program = new ClientProgram(network.host(0), undefined, { client: 'a program' });
    const far = new ClientProgram(network.host(1));
    far.ask('socket', { socket: 1, kind: 'stream' });
    far.ask('listen', { socket: 1, port: 7_000 });
    program.ask('socket', { socket: 1, kind: 'stream' });
    program.ask('connect', { socket: 1, node: 'n1', port: 7_000 });
    program.ask('socket', { socket: 2, kind: 'datagram', routing: 'byzantine' });
    program.ask('bind', { socket: 2, port: 5_000 });
    program.ask('socket', { socket: 3, kind: 'stream' });
    program.ask('connect', { socket: 3, node: 'n1', port: 7_001 });
    network.run(SECOND);
    const opened = told(client);
    expect(opened.map(text).map((line) => line.replace(/ \d{5} /, ' N '))).toEqual([
      'datagram opened 5000 null null',
      'stream opened N n1 null',
      'stream closed N n1 ECONNREFUSED',
    ]);
    expect(opened[0]).toMatchObject({ program: 'a program', routing: 'byzantine' });
    program.port.close();
    network.run(SECOND);
    expect(told(client).map(text).sort()).toEqual([
      'datagram closed 5000 null null',
      expect.stringMatching(/^stream closed \d+ n1 /) as string,
    ]);
    far.port.close();
  });

  test('hears what a neighbour without a link has instead, and of a clock that differs', () => {
    const network = four();
    const client = watcher(network, ['clock']);
    network.host(1).wallSkewUs = 100 * SECOND;
    network.run(400 * SECOND);
    expect(told(client)).toMatchObject([{ kind: 'clock', what: 'differs', name: 'n1' }]);
  });

  test('that does not read is told afterwards how much it missed; nobody else misses any', () => {
    const network = four();
    const slow = watcher(network, ['link']),
      quick = watcher(network, ['link']);
    slow.bufferedBytes = 1 << 30;
    for (let i = 0; i < 3; i += 1) {
      change(network, 0, 1, { up: false });
      network.run(SECOND);
      change(network, 0, 1, { up: true });
      network.run(SECOND);
    }
    expect(told(slow)).toEqual([]);
    const all = told(quick).length;
    expect(all).toBeGreaterThanOrEqual(6);
    slow.bufferedBytes = 0;
    network.run(200 * MILLISECOND);
    expect(told(slow)).toMatchObject([{ kind: 'missed', count: all }]);
  });
});

describe('while nobody watches', () => {
  test('nothing is done: no timer, nobody is told of sockets', () => {
    const network = hosts(1);
    network.startAll();
    const host = network.host(0);
    network.run(SECOND + 37 * MILLISECOND);
    const turnsOf = (): number => {
      let turns = 0;
      network.world.runFor(10 * SECOND, () => {
        turns += 1;
        return false;
      });
      return turns;
    };
    const before = turnsOf();
    const client = watcher(network);
    expect(host.node.socketsWatch.listener).not.toBeNull();
    expect(turnsOf()).toBeGreaterThan(before + 90);
    expect(client.asked('watch', { kinds: [] })).toBe('ok');
    network.run(SECOND);
    expect(turnsOf()).toBe(before);
    expect(host.node.socketsWatch.listener).toBeNull();

    const another = watcher(network);
    another.port.close();
    network.run(SECOND);
    expect(turnsOf()).toBe(before);
    expect(host.node.socketsWatch.listener).toBeNull();
  });

  test.each([[undefined], ['link'], [['nonsense']], [Array(11).fill('link')]])(
    'kinds %j are refused',
    (kinds) => {
      const network = hosts(1);
      network.startAll();
      expect(new ClientProgram(network.host(0)).asked('watch', { kinds })).toBe('EINVAL');
    },
  );
});

describe('a program asks about a socket of its own', () => {
  test('round trip, window, what limits it, and the path that its packets take', () => {
    const network = four();
    const far = new ClientProgram(network.host(2)),
      near = new ClientProgram(network.host(0)),
      other = new ClientProgram(network.host(0));
    far.ask('socket', { socket: 1, kind: 'stream' });
    far.ask('listen', { socket: 1, port: 7_000 });
    near.ask('socket', { socket: 1, kind: 'stream' });
    expect(near.ask('socketInfo', { socket: 1 })()).toMatchObject({ kind: 'stream', path: null });
    near.ask('connect', { socket: 1, node: 'n2', port: 7_000 });
    network.run(SECOND);
    near.stream(1, pattern(1_000));
    network.run(SECOND);
    const info = near.ask('socketInfo', { socket: 1 })();
    expect(info).toMatchObject({
      kind: 'stream',
      state: 'established',
      remoteName: 'n2',
      sent: 1_000,
      limitedBy: 'application',
      path: [{ name: 'n0' }, { name: expect.stringMatching(/n[13]/) as string }, { name: 'n2' }],
    });
    expect(info!['rttMs']).toBeGreaterThan(19);
    expect(info!['windowBytes']).toBeGreaterThan(0);
    expect(other.asked('socketInfo', { socket: 1 }), 'another program').toBe('EBADF');
    near.ask('socket', { socket: 2, kind: 'datagram' });
    expect(near.ask('socketInfo', { socket: 2 })()).toMatchObject({ kind: 'datagram', path: null });
    for (const program of [far, near, other]) program.port.close();
  });
});

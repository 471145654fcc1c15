/** Both ends of a UDP tunnel in virtual time: flows, bounds, whose answers are heard, refusals. */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { MILLISECOND, SECOND } from '../../../../src/core/base/time.ts';
import { TimerQueue } from '../../../../src/core/base/timer-queue.ts';
import { FlowTable, TableFlow } from '../../../../src/host/tunnel/flow-table.ts';
import {
  OPENINGS_BURST,
  OPENINGS_PER_SECOND,
  TARGETS_MAX,
} from '../../../../src/host/tunnel/udp-far.ts';
import { WAITING_MAX } from '../../../../src/host/tunnel/udp-far-flow.ts';
import {
  encodeAnswerHead,
  encodeAsk,
  encodeTarget,
} from '../../../../src/host/tunnel/udp-message.ts';
import { Client, FAR, NEAR, TARGET, UdpLab, VIA } from './udp-lab.ts';

const idle = 120 * SECOND;

describe('a UDP tunnel', () => {
  test('carries datagrams of any size, and each client has its own flow', () => {
    const lab = new UdpLab();
    const a = new Client('127.0.0.1', 1),
      b = new Client('127.0.0.1', 2);
    lab.send(a, 'one');
    lab.send(b, '');
    lab.send(a, 'two');
    expect([a.heard, b.heard]).toEqual([['echo one', 'echo two'], ['echo ']]);
    expect([lab.near.size, lab.far.size, lab.openHosts.length]).toEqual([2, 2, 2]);
    lab.targets.set('127.0.0.1:53', (payload) => [`${payload.length}`]);
    // UDP's most over IPv4 fits, whatever stands before it.
    lab.send(a, Buffer.alloc(65_507, 'x'));
    lab.send(a, Buffer.alloc(1_355, 'x'));
    lab.send(a, Buffer.alloc(1_356, 'x'));
    expect(a.heard.slice(2)).toEqual(['65507', '1355', '1356']);
    expect(lab.near.counts).toMatchObject({ sent: 6, received: 6, fragmented: 2, tooLarge: 0 });
    lab.send(a, 'x'.repeat(65_507), { host: `${'a'.repeat(60)}.example`, port: 53 });
    expect(lab.near.counts).toMatchObject({ sent: 6, tooLarge: 1 });
    expect(lab.nearRefused).toMatchObject([{ why: '65507 bytes are more than it carries' }]);
  });

  test('and its flows end when both directions were idle for two minutes', () => {
    const lab = new UdpLab();
    const a = new Client('127.0.0.1', 1),
      b = new Client('127.0.0.1', 2),
      listener = new Client('127.0.0.1', 3);
    lab.send(a, 'x');
    lab.send(b, 'x');
    lab.send(listener, 'x');
    for (let s = 0; s < 119; s += 1) {
      lab.run(SECOND);
      if (s % 60 === 0) lab.send(b, 'x');
      // The target goes on by itself.
      lab.hostSockets[2]!.events.onMessage(Buffer.from('news'), '127.0.0.1', 53);
    }
    expect([lab.near.size, lab.far.size]).toEqual([3, 3]);
    lab.run(2 * SECOND);
    expect([lab.near.size, lab.far.size, lab.openHosts.length]).toEqual([2, 2, 2]);
    lab.run(idle);
    expect([lab.near.size, lab.far.size, lab.openHosts.length]).toEqual([0, 0, 0]);
    expect([lab.overlaySockets(NEAR), lab.overlaySockets(FAR)]).toEqual([0, 0]);
    expect(lab.timers.size).toBe(0);
    lab.send(a, 'again');
    expect(a.heard).toEqual(['echo x', 'echo again']);
  });

  test('the far end forgets what the near end has ended, and ends by itself what it lost', () => {
    const lab = new UdpLab({ idleUs: 10 * SECOND });
    lab.send(new Client('127.0.0.1', 1), 'x');
    lab.run(12 * SECOND);
    expect([lab.near.size, lab.far.size]).toEqual([0, 0]);
    lab.send(new Client('127.0.0.1', 1), 'x');
    lab.takes = false;
    lab.near.close();
    expect([lab.near.size, lab.far.size]).toEqual([0, 1]);
    lab.run(idle + SECOND);
    expect([lab.far.size, lab.openHosts.length]).toEqual([0, 0]);
  });

  test('goes on after its far end was started anew, and after its daemon was', () => {
    const lab = new UdpLab();
    const client = new Client('127.0.0.1', 1);
    lab.send(client, '1');
    lab.killFar();
    lab.send(client, 'lost');
    lab.startFar();
    lab.send(client, '2');
    lab.takes = false;
    lab.send(client, 'away');
    lab.takes = true;
    lab.send(client, '3');
    // Its port is not to be had again: the next one has another.
    [...lab.sockets].find(([key]) => key.startsWith(NEAR))![1].onBroken('port taken');
    lab.send(client, '4');
    expect(client.heard).toEqual(['echo 1', 'echo 2', 'echo 3', 'echo 4']);
    expect(lab.near.counts).toMatchObject({ full: 1 });
    expect(lab.nearRefused.map(({ why }) => why)).toEqual([
      'the daemon takes no more just now, or is away',
      'port taken',
    ]);
    lab.farNode = null;
    lab.send(client, 'whom?');
    expect(lab.near.counts.unreachable).toBe(1);
  });
});

describe('bounds of flows', () => {
  test('of one source: its flow that was idle for longest gives way', () => {
    const lab = new UdpLab();
    const clients = Array.from({ length: 8 }, (_, port) => new Client('10.1.1.1', port));
    const other = new Client('10.1.1.2', 1);
    for (const client of [other, ...clients]) {
      lab.send(client, 'x');
      lab.run(SECOND);
    }
    lab.send(clients[0]!, 'x');
    lab.send(new Client('10.1.1.1', 99), 'x');
    expect([lab.near.size, lab.near.counts.gaveWay, lab.far.size]).toEqual([9, 1, 9]);
    const before = lab.openHosts.length;
    for (const client of [other, clients[0]!, clients[2]!]) lab.send(client, 'y');
    expect(lab.openHosts.length).toBe(before);
    // It comes again, as another flow, and the next oldest goes.
    lab.send(clients[1]!, 'y');
    expect([lab.near.size, lab.near.counts.gaveWay]).toEqual([9, 2]);
    expect(clients[1]!.heard).toEqual(['echo x', 'echo y']);
  });

  test('in all: sources that are made up do not end flows that were proved by use', () => {
    const lab = new UdpLab();
    const honest = Array.from({ length: 4 }, (_, i) => new Client(`10.2.0.${i}`, 1));
    for (const client of honest) {
      lab.send(client, 'x');
      lab.send(client, 'y');
      lab.run(SECOND);
    }
    for (let i = 0; i < 1_000; i += 1) {
      lab.send(new Client(`10.3.${i >> 8}.${i & 255}`, 1), 'flood');
      lab.run(MILLISECOND);
    }
    expect([lab.near.size, lab.near.counts.gaveWay]).toEqual([16, 1_004 - 16]);
    const hosts = lab.hostSockets.length;
    for (const client of honest) lab.send(client, 'z');
    expect(honest.map(({ heard }) => heard.length)).toEqual([3, 3, 3, 3]);
    expect(lab.hostSockets.length).toBe(hosts);
  });

  test('at the far end: of one node, and in all', () => {
    const lab = new UdpLab({}, { flowsMax: 4, perSourceMax: 2 });
    const ask = (node: string, port: number): void => {
      const head = encodeAsk(
        { several: false, sign: false, mode: { link: 0, routing: 0, deadlineMs: 0 }, token: 1 },
        encodeTarget(TARGET),
      );
      lab.far.onMessage(head, node, port, true);
      lab.run(MILLISECOND);
    };
    for (let port = 1; port <= 5; port += 1) ask('10.0.0.7', port);
    expect([lab.far.size, lab.far.counts.gaveWay, lab.openHosts.length]).toEqual([2, 3, 2]);
    for (let node = 10; node < 20; node += 1) ask(`10.0.0.${node}`, 1);
    expect([lab.far.size, lab.openHosts.length, lab.overlaySockets(FAR)]).toEqual([4, 4, 4]);
  });

  test('a node opens no more than so many flows a second, and is told', () => {
    const lab = new UdpLab({ flowsMax: 4_000, perSourceMax: 4_000 });
    const open = (count: number): void => {
      for (let i = 0; i < count; i += 1) lab.send(new Client('127.0.0.1', (port += 1)), 'x');
    };
    let port = 0;
    open(OPENINGS_BURST + 600);
    expect(lab.hostSockets.length).toBe(OPENINGS_BURST);
    expect(lab.far.counts.refused).toBe(600);
    expect(lab.nearRefused[0]).toMatchObject({ why: 'far says: busy' });
    // What it is told is bounded as well.
    expect(lab.nearRefused.length).toBe(8);
    lab.run(SECOND);
    open(OPENINGS_BURST);
    expect(lab.hostSockets.length).toBe(OPENINGS_BURST + OPENINGS_PER_SECOND);
  });

  test('hold whatever happens, and each flow ends once', () => {
    const rng = new Rng(5);
    const timers = new TimerQueue();
    let now = 0;
    const ended: string[] = [];
    const table = new FlowTable<TableFlow>(
      { flowsMax: 20, perSourceMax: 6, idleUs: 10 * SECOND },
      { now: () => now },
      timers,
      (flow) => ended.push(flow.key),
    );
    const faults: number[] = [];
    let added = 0;
    for (let step = 0; step < 5_000; step += 1) {
      now += rng.below(SECOND / 4);
      timers.runDue(now);
      const key = `flow ${rng.below(60)}`;
      const known = table.get(key);
      if (known === undefined) {
        table.add(new TableFlow(key, `source ${rng.below(8)}`));
        added += 1;
      } else if (rng.chance(0.05)) table.delete(known, 'closed');
      else {
        table.touch(known);
        if (rng.chance(0.3)) table.prove(known);
      }
      const bySource = new Map<string, number>();
      let oldest = now;
      for (const { source, usedAt } of table) {
        bySource.set(source, (bySource.get(source) ?? 0) + 1);
        oldest = Math.min(oldest, usedAt);
      }
      const most = Math.max(0, ...bySource.values());
      if (table.size > 20 || most > 6 || now - oldest > 12 * SECOND) faults.push(step);
      if (added - ended.length !== table.size) faults.push(step);
    }
    expect(faults).toEqual([]);
    table.close();
    expect([ended.length, timers.size]).toEqual([added, 0]);
  });
});

describe('answers', () => {
  test(
    'are heard of the node that was asked, ' + 'with the token of the flow, and of nobody else',
    () => {
      const lab = new UdpLab();
      const client = new Client('127.0.0.1', 1);
      lab.send(client, 'x');
      const own = [...lab.sockets.keys()].find((key) => key.startsWith(NEAR))!;
      const answer = (token: number): Buffer =>
        Buffer.concat([encodeAnswerHead(token, null), Buffer.from('forged')]);
      lab.deliver(`10.0.0.66 ${VIA}`, own, answer(1));
      lab.deliver(`${FAR} ${VIA}`, own, answer(2));
      lab.deliver(`${FAR} ${VIA}`, own, Buffer.from('garbage'));
      lab.deliver(`${FAR} ${VIA}`, own, Buffer.alloc(0));
      expect([client.heard, lab.near.counts.stray]).toEqual([['echo x'], 4]);
    },
  );

  test('of targets are passed on only from where the flow has sent to', () => {
    for (const several of [false, true]) {
      const lab = new UdpLab({ several });
      const client = new Client('127.0.0.1', 1);
      lab.send(client, 'x');
      const { events } = lab.hostSockets[0]!;
      events.onMessage(Buffer.from('other port'), '127.0.0.1', 54);
      events.onMessage(Buffer.from('other host'), '127.0.0.2', 53);
      expect([client.heard.length, lab.far.counts.stray]).toEqual([1, 2]);
      lab.killFar();
      events.onMessage(Buffer.from('late'), '127.0.0.1', 53);
      expect(client.heard.length).toBe(1);
    }
  });

  test('of several targets of one flow come by one socket, and say whose they are', () => {
    const lab = new UdpLab({ several: true });
    lab.names.set('dns.example', '9.9.9.9');
    lab.names.set('six.example', '2001:db8::6');
    for (const at of ['9.9.9.9:53', '[2001:db8::6]:53', '127.0.0.1:54'])
      lab.targets.set(at, () => [at]);
    const client = new Client('127.0.0.1', 1);
    for (const [host, port] of [
      ['127.0.0.1', 53],
      ['127.0.0.1', 54],
      ['dns.example', 53],
      ['six.example', 53],
    ] as const)
      lab.send(client, 'q', { host, port });
    expect(client.heard).toEqual([
      '017f0000010035 echo q',
      '017f0000010036 127.0.0.1:54',
      '01090909090035 9.9.9.9:53',
      '0420010db80000000000000000000000060035 [2001:db8::6]:53',
    ]);
    expect(lab.openHosts.map(({ family, to }) => [family, to])).toEqual([
      [4, null],
      [6, null],
    ]);
    expect(lab.far.size).toBe(1);
    // Further targets take the place of those used longest ago, whose answers are not heard more.
    for (let port = 100; port < 100 + TARGETS_MAX; port += 1) {
      lab.run(SECOND / 10);
      lab.send(client, 'q', { host: '127.0.0.1', port });
    }
    const heard = client.heard.length;
    lab.hostSockets[0]!.events.onMessage(Buffer.from('late'), '9.9.9.9', 53);
    expect(client.heard.length).toBe(heard);
  });

  test('that are too large for the overlay are counted', () => {
    const lab = new UdpLab({ several: true });
    lab.names.set('six.example', '::6');
    lab.targets.set('[::6]:53', () => ['x'.repeat(65_527)]);
    const client = new Client('127.0.0.1', 1);
    lab.send(client, 'q', { host: 'six.example', port: 53 });
    expect([client.heard, lab.far.counts.tooLarge]).toEqual([[], 1]);
  });
});

describe('what is not to be reached', () => {
  test('is refused before a name is looked up, without a flow, and told', () => {
    const lab = new UdpLab();
    lab.allowed = ({ host }) => host === '127.0.0.1';
    const client = new Client('127.0.0.1', 1);
    for (let i = 0; i < 100; i += 1) lab.send(client, 'x', { host: 'secret.example', port: 53 });
    expect([lab.looked, lab.asked, lab.far.size, lab.hostSockets.length]).toEqual([[], 0, 0, 0]);
    expect(lab.far.counts.refused).toBe(100);
    expect(lab.nearRefused[0]).toEqual({
      from: '127.0.0.1:1',
      target: 'secret.example:53',
      why: 'far says: not allowed',
      reason: 'no --udp there names it',
    });
    expect(lab.nearRefused.length).toBe(8);
    expect(lab.overlaySockets(FAR)).toBe(1);
  });

  test('by rules is refused as well, also once they have changed, and allowed again', () => {
    const lab = new UdpLab();
    const client = new Client('127.0.0.1', 1);
    lab.send(client, '1');
    lab.rules = (node) => node !== NEAR;
    for (let s = 0; s < 12; s += 1) {
      lab.run(SECOND);
      lab.send(client, '2');
    }
    const heard = client.heard.length;
    expect(heard).toBeLessThan(12);
    expect(lab.nearRefused[0]).toMatchObject({ why: 'far says: not allowed' });
    // Not even what the target says by itself.
    lab.hostSockets[0]!.events.onMessage(Buffer.from('news'), '127.0.0.1', 53);
    expect(client.heard.length).toBe(heard);
    lab.rules = () => true;
    lab.run(3 * SECOND);
    lab.send(client, '3');
    expect(client.heard.at(-1)).toBe('echo 3');
    // They are asked once for many datagrams.
    const { asked } = lab;
    for (let i = 0; i < 50; i += 1) lab.send(client, '4');
    expect(lab.asked).toBe(asked);
  });

  test.each([
    ['nowhere.example', 53, 'unknown host', 'ENOTFOUND'],
    ['127.0.0.1', 99, 'refused', 'nobody listens there'],
  ])('%s:%i is told as %s', (host, port, why, reason) => {
    const lab = new UdpLab();
    const client = new Client('127.0.0.1', 1);
    lab.send(client, 'x', { host, port });
    expect(lab.nearRefused).toEqual([
      { from: client.name, target: `${host}:${port}`, why: `far says: ${why}`, reason },
    ]);
    expect(lab.near.counts.refused).toBe(1);
  });

  test(
    'because nobody exposes anything there is ' + 'said after three datagrams and two seconds',
    () => {
      const lab = new UdpLab();
      lab.killFar();
      const client = new Client('127.0.0.1', 1);
      for (let i = 0; i < 3; i += 1) {
        expect(lab.nearRefused).toEqual([]);
        lab.send(client, 'x');
        lab.run(1_500 * MILLISECOND);
      }
      lab.send(client, 'x');
      expect(lab.nearRefused).toMatchObject([
        { why: 'nobody answers at far port 6000; is `spines expose --udp` running there?' },
      ]);
    },
  );

  test('and a target that never answers is no reason to say so', () => {
    const lab = new UdpLab();
    lab.targets.set('127.0.0.1:53', () => []);
    const client = new Client('127.0.0.1', 1);
    for (let i = 0; i < 100; i += 1) {
      lab.send(client, 'x');
      lab.run(SECOND);
    }
    expect([lab.nearRefused, lab.near.size, lab.far.counts.sent]).toEqual([[], 1, 100]);
    // Signs of life are few.
    expect(lab.wire.filter(({ from }) => from.startsWith(FAR)).length).toBeLessThan(25);
  });

  test('what is not understood is counted and makes nothing', () => {
    const lab = new UdpLab();
    const rng = new Rng(3);
    for (let i = 0; i < 500; i += 1) {
      const bytes = new Uint8Array(rng.below(40));
      rng.fill(bytes);
      lab.far.onMessage(Buffer.from(bytes), '10.0.0.9', 1, true);
    }
    expect([lab.far.counts.malformed, lab.far.size, lab.hostSockets.length]).toEqual([500, 0, 0]);
    // A second target where answers would not say whose they are.
    lab.send(new Client('127.0.0.1', 1), 'x');
    const head = encodeAsk(
      { several: false, sign: false, mode: { link: 0, routing: 0, deadlineMs: 0 }, token: 1 },
      encodeTarget({ host: '127.0.0.1', port: 54 }),
    );
    const own = Number([...lab.sockets.keys()].find((key) => key.startsWith(NEAR))!.split(' ')[1]);
    lab.far.onMessage(head, NEAR, own, true);
    expect([lab.far.counts.malformed, lab.far.counts.sent]).toEqual([501, 1]);
  });
});

test('datagrams that wait for a name are few, in order, and counted beyond', () => {
  const lab = new UdpLab();
  let found: ((address: string | null, code: string) => void) | null = null;
  const slow = new Client('127.0.0.1', 1);
  lab.names.set('slow.example', '127.0.0.1');
  lab.resolveLater = (done) => {
    found = done;
  };
  for (let i = 0; i < WAITING_MAX + 5; i += 1)
    lab.send(slow, String(i), { host: 'slow.example', port: 53 });
  expect([slow.heard, lab.far.counts.full]).toEqual([[], 5]);
  found!('127.0.0.1', '');
  expect(slow.heard).toEqual(Array.from({ length: WAITING_MAX }, (_, i) => `echo ${i}`));
  // A flow that has ended meanwhile has no use of it.
  lab.send(new Client('127.0.0.1', 2), 'x', { host: 'slow.example', port: 53 });
  const sockets = lab.hostSockets.length;
  lab.killFar();
  found!('127.0.0.1', '');
  expect(lab.hostSockets.length).toBe(sockets);
});

/**
 * Rules between daemons: tries by node, port, kind and service, refused streams that say so at
 * once, rules that change under traffic, and what remote clients may do.
 */

import { describe, expect, test } from 'vitest';

import { MILLISECOND as MS, SECOND } from '../../src/core/base/time.ts';
import type { NodeConfig } from '../../src/core/node/config.ts';
import { NO_RULES, type InboundRule, type RuleSet } from '../../src/core/session/rules.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { LOCAL_ACCESS } from '../../src/core/ipc/client.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import {
  DISSEMINATION_BYZANTINE,
  DISSEMINATION_LINK_STATE,
  SERVICE_BEST_EFFORT,
  SERVICE_RELIABLE,
} from '../../src/core/wire/packet.ts';
import { ClientProgram } from '../support/client-program.ts';
import { hosts, Inbox, useNetworks, type Network } from '../support/network.ts';
import { serve, StreamEnd } from '../support/stream-end.ts';

useNetworks();

const LATENCY = 5 * MS;

function inbound(change: Partial<InboundRule>): InboundRule {
  return {
    action: 'deny',
    nodes: [],
    groups: [],
    ports: [],
    kind: null,
    service: null,
    dissemination: null,
    ...change,
  };
}

function at(first: number, last = first): InboundRule['ports'] {
  return [{ first, last }];
}

/** n1 and n2 beside n0, whose rules these are. */
function star(firewall: Partial<RuleSet>, security: 'sealed' | 'none' = 'sealed'): Network {
  const network = hosts(3, { security });
  network.host(0).configure({ firewall: { ...NO_RULES, ...firewall } });
  for (const leaf of [1, 2]) network.connect(network.host(leaf), network.host(0));
  network.settle();
  return network;
}

const RULES: InboundRule[] = [
  inbound({ action: 'allow', nodes: ['n1'], ports: at(1_000, 1_010), kind: 'stream' }),
  inbound({ nodes: ['n1'], ports: at(1_000, 1_020) }),
  inbound({ nodes: [0x0a00_0003], service: SERVICE_RELIABLE }),
  inbound({ ports: at(3_000), kind: 'stream' }),
  inbound({ ports: at(4_000), dissemination: DISSEMINATION_LINK_STATE }),
];
type Try = readonly [
  node: 1 | 2,
  kind: 'stream' | 'datagram',
  service: number,
  dissemination: number,
  port: number,
  goes: boolean,
];
const BE = SERVICE_BEST_EFFORT,
  RL = SERVICE_RELIABLE,
  LS = DISSEMINATION_LINK_STATE,
  BZ = DISSEMINATION_BYZANTINE;
const TRIES: readonly Try[] = [
  [1, 'stream', RL, LS, 1_000, true],
  [1, 'stream', BE, LS, 1_010, true],
  [1, 'stream', RL, LS, 1_011, false],
  [1, 'datagram', BE, LS, 1_000, false],
  [1, 'datagram', BE, LS, 1_021, true],
  [2, 'stream', RL, LS, 1_000, false],
  [2, 'stream', BE, LS, 1_000, true],
  [2, 'datagram', BE, LS, 1_000, true],
  [2, 'datagram', RL, LS, 1_000, false],
  [1, 'stream', RL, LS, 3_000, false],
  [2, 'stream', BE, LS, 3_000, false],
  [1, 'datagram', RL, LS, 3_000, true],
  [1, 'stream', RL, LS, 4_000, false],
  [1, 'stream', RL, BZ, 4_000, true],
  [1, 'datagram', BE, LS, 4_000, false],
  [1, 'datagram', BE, BZ, 4_000, true],
];

function say(
  network: Network,
  from: SimHost,
  port: number,
  options: { service: number; dissemination: number },
  bytes = 100,
): void {
  const inbox = new Inbox(from, 40_000 + (port % 10_000), options);
  inbox.send(network.host(0), port, new Uint8Array(bytes));
}

describe('the table of tries', () => {
  test.each(TRIES)(
    'n%i %s service %i routing %i port %i: %s',
    (leaf, kind, service, dissemination, port, goes) => {
      const network = star({ inbound: RULES });
      const server = network.host(0),
        caller = network.host(leaf);
      const inbox = new Inbox(server, port);
      const accepted = serve(server, port, () => new StreamEnd(server, 0, 1, 2));
      const began = network.now;
      const end = new StreamEnd(caller, 1_000, 2, 1);
      if (kind === 'stream')
        end.stream = caller.node.streams.connect(server.id, port, 0, end, {
          service,
          dissemination,
          ttl: 64,
          priority: 1,
          congestion: 'newreno',
        });
      else say(network, caller, port, { service, dissemination }, 3_000);
      caller.endTurn();
      network.world.runFor(2 * SECOND);
      const { drops } = server.node;
      if (kind === 'datagram') {
        expect(inbox.messages.length).toBe(goes ? 1 : 0);
        expect(drops.of(DropReason.firewallDatagram) > 0).toBe(!goes);
        expect(server.node.sessions.reassembly.bytes).toBe(0);
      } else {
        expect([end.opened, accepted.length]).toEqual(goes ? [true, 1] : [false, 0]);
        expect(drops.of(DropReason.firewallStream)).toBe(goes ? 0 : 1);
        if (!goes) {
          expect(end.error).toBe('EACCES');
          // One round trip: nobody waits for a timeout, and no second SYN was sent.
          expect(end.endedAt - began).toBeLessThan(2 * LATENCY + 2 * MS);
        }
      }
    },
  );

  test('a port that is refused does not tell whether somebody listens', () => {
    const network = star({ inbound: [inbound({ ports: at(10, 11) })] });
    const server = network.host(0),
      caller = network.host(1);
    serve(server, 10, () => new StreamEnd(server, 0, 1, 2));
    const ends = [10, 11, 12].map((port) => new StreamEnd(caller, 0, 1, 2).connect(server, port));
    network.world.runFor(SECOND);
    expect(ends.map(({ error }) => error)).toEqual(['EACCES', 'EACCES', 'ECONNREFUSED']);
  });

  test('without certificates names are those that nodes give themselves', () => {
    const network = star({ inbound: [inbound({ nodes: ['n1'] })] }, 'none');
    const server = network.host(0);
    const inbox = new Inbox(server, 70);
    for (const leaf of [1, 2])
      say(network, network.host(leaf), 70, { service: BE, dissemination: LS });
    network.world.runFor(SECOND);
    expect(inbox.messages.map(({ source }) => source)).toEqual([network.host(2).id]);
  });

  test('what a node that was asked answers comes in for two minutes, from any of its ports', () => {
    const network = star({ defaults: { inbound: 'deny', targets: 'deny', clients: 'deny' } });
    const server = network.host(0);
    const asking = new Inbox(server, 70),
      other = new Inbox(server, 71);
    const [far, stranger] = [1, 2].map((leaf) => network.host(leaf)) as [SimHost, SimHost];
    const [answering, elsewhere] = [50, 51].map((port) => new Inbox(far, port)) as [Inbox, Inbox];
    const nobody = new Inbox(stranger, 50);
    const refused = (): number => server.node.drops.of(DropReason.firewallDatagram);
    const answers = (bytes: number): number => {
      const before = asking.messages.length;
      for (const from of [answering, elsewhere, nobody]) {
        from.send(server, 70, new Uint8Array(bytes));
        from.send(server, 71, new Uint8Array(bytes));
      }
      network.world.runFor(SECOND);
      return asking.messages.length - before;
    };
    expect(answers(20)).toBe(0);
    asking.send(far, 50, new Uint8Array(20));
    network.world.runFor(SECOND);
    expect(answering.messages).toHaveLength(1);
    const before = refused();
    expect([answers(20), refused() - before]).toEqual([2, 4]);
    // In pieces.
    expect(answers(5_000)).toBe(2);
    network.world.runFor(115 * SECOND);
    expect(answers(20)).toBe(2);
    network.world.runFor(3 * SECOND);
    expect(answers(20)).toBe(0);
    expect(other.messages).toEqual([]);
    expect([...asking.messages].every(({ source }) => source === far.id)).toBe(true);
  });

  test('what programs of one machine send each other is not judged', () => {
    const network = star({ defaults: { inbound: 'deny', targets: 'deny', clients: 'deny' } });
    const server = network.host(0);
    const inbox = new Inbox(server, 70);
    new Inbox(server, 71).send(server, 70, new Uint8Array(9));
    const reply = new StreamEnd(server, 0, 1, 2);
    serve(server, 72, () => reply);
    const end = new StreamEnd(server, 0, 1, 2).connect(server, 72);
    network.world.runFor(SECOND);
    expect([inbox.messages.length, end.opened]).toEqual([1, true]);
  });
});

describe('rules that change', () => {
  const reconfigure = (host: SimHost, firewall: RuleSet): void => {
    host.node.reconfigure({ ...host.node.config, firewall } satisfies NodeConfig);
    host.endTurn();
  };

  test('end what they refuse now, with the reason, and lose nothing of what they allow', () => {
    const network = star({});
    const server = network.host(0);
    const TOTAL = 2_000_000;
    serve(server, 80, () => new StreamEnd(server, TOTAL, 3, 4));
    const kept = new StreamEnd(network.host(1), TOTAL, 4, 3).connect(server, 80);
    const cut = new StreamEnd(network.host(2), Infinity, 4, 3).connect(server, 80);
    // Opened from here: answers to it are no try to come in.
    const listening = serve(network.host(2), 90, () => new StreamEnd(network.host(2), TOTAL, 5, 6));
    const out = new StreamEnd(server, TOTAL, 6, 5).connect(network.host(2), 90);
    network.world.runFor(100 * MS);
    expect([kept.opened, cut.opened, out.opened]).toEqual([true, true, true]);
    const at0 = network.now;
    reconfigure(server, { ...NO_RULES, inbound: [inbound({ nodes: ['n2'] })] });
    network.world.runFor(20 * SECOND);
    expect(cut.error).toBe('EACCES');
    expect(cut.endedAt - at0).toBeLessThan(SECOND);
    expect(server.node.drops.of(DropReason.firewallStream)).toBe(1);
    for (const end of [kept, out, listening[0]!])
      expect([end.read, end.wrong, end.error]).toEqual([TOTAL, 0, null]);
    expect(network.linkDowns).toBe(0);
  });

  test('are in force for the next packet of a source whose verdict was kept', () => {
    const network = star({});
    const server = network.host(0),
      inbox = new Inbox(server, 70),
      sender = new Inbox(network.host(1), 71);
    const send = (): number => {
      sender.send(server, 70, new Uint8Array(9));
      network.world.runFor(SECOND);
      return inbox.messages.length;
    };
    expect(send()).toBe(1);
    reconfigure(server, { ...NO_RULES, inbound: [inbound({ ports: at(70) })] });
    expect(send()).toBe(1);
    reconfigure(server, NO_RULES);
    expect(send()).toBe(2);
  });
});

describe('remote clients', () => {
  const ALICE = { ...LOCAL_ACCESS, certificate: 'alice', role: 'use' as const };
  const rules: Partial<RuleSet> = {
    defaults: { ...NO_RULES.defaults, clients: 'deny' },
    clients: [
      {
        action: 'allow',
        clients: ['alice'],
        groups: [],
        use: 'send',
        nodes: ['n1'],
        ports: at(80),
        kind: null,
      },
      {
        action: 'allow',
        clients: ['alice'],
        groups: [],
        use: 'listen',
        nodes: [],
        ports: at(5_000, 5_001),
        kind: null,
      },
    ],
  };

  test('send and listen where rules let them, and are told EACCES elsewhere', () => {
    const network = star(rules);
    const daemon = network.host(0);
    const inbox = new Inbox(network.host(1), 80);
    const alice = new ClientProgram(daemon, ALICE);
    expect(
      ['socket', 'bind'].map((op) => alice.asked(op, { socket: 1, kind: 'datagram', port: 5_000 })),
    ).toEqual(['ok', 'ok']);
    expect(alice.asked('socket', { socket: 2, kind: 'datagram' })).toBe('ok');
    expect(alice.asked('bind', { socket: 2, port: 5_002 })).toBe('EACCES');
    for (const [socket, port, listens] of [
      [3, 5_001, 'ok'],
      [4, 5_003, 'EACCES'],
      [5, 0, 'EACCES'],
    ] as const) {
      alice.asked('socket', { socket, kind: 'stream' });
      expect([port, alice.asked('listen', { socket, port })]).toEqual([port, listens]);
    }
    const connects = [
      ['n1', 80],
      ['n1', 81],
      ['n2', 80],
    ].map(([node, port], i) => {
      alice.asked('socket', { socket: 10 + i, kind: 'stream' });
      return alice.ask('connect', { socket: 10 + i, node, port });
    });
    alice.send(2, network.host(1).id, 80, new Uint8Array(5));
    alice.send(2, network.host(1).id, 81, new Uint8Array(5));
    alice.send(2, network.host(2).id, 80, new Uint8Array(5));
    network.world.runFor(SECOND);
    expect(connects.map((reply) => reply()?.['code'])).toEqual([
      'ECONNREFUSED',
      'EACCES',
      'EACCES',
    ]);
    expect(String(connects[1]!()?.['message'])).toMatch(
      /rules of this daemon do not let alice send to port 81 of 10\.0\.0\.2; ask its operator/,
    );
    expect(inbox.messages.length).toBe(1);
    expect(
      alice.events.filter(({ event }) => event === 'sendError').map(({ code }) => code),
    ).toEqual(['EACCES', 'EACCES']);
    expect(daemon.node.drops.of(DropReason.firewallClient)).toBe(7);
    // A program of the machine is not meant.
    expect(new ClientProgram(daemon).asked('socket', { socket: 1, kind: 'datagram' })).toBe('ok');
  });

  test(
    'lose what a change of the rules takes: ' + 'a stream is ended, a listener ends the connection',
    () => {
      const network = star(rules);
      const daemon = network.host(0);
      serve(network.host(1), 80, () => new StreamEnd(network.host(1), 0, 1, 2));
      const alice = new ClientProgram(daemon, ALICE),
        second = new ClientProgram(daemon, ALICE);
      alice.asked('socket', { socket: 1, kind: 'stream' });
      alice.ask('connect', { socket: 1, node: 'n1', port: 80 });
      second.asked('socket', { socket: 1, kind: 'datagram' });
      second.asked('bind', { socket: 1, port: 5_000 });
      network.world.runFor(SECOND);
      daemon.node.reconfigure({
        ...daemon.node.config,
        firewall: { ...NO_RULES, ...rules, clients: [] },
      });
      daemon.endTurn();
      expect([alice.ended, second.ended]).toEqual([false, true]);
      expect(alice.events).toMatchObject([
        { event: 'streamClosed', socket: 1, code: 'ECONNABORTED' },
      ]);
      expect(second.events).toMatchObject([{ event: 'closing', code: 'EACCES' }]);
    },
  );

  test('end what is carried on to a target that they refuse now, and nothing else', () => {
    const network = star({});
    const [daemon, n1, n2] = network.hosts as [SimHost, SimHost, SimHost];
    const expose = new ClientProgram(daemon),
      other = new ClientProgram(daemon);
    for (const [client, port] of [
      [expose, 80],
      [other, 81],
    ] as const) {
      client.asked('socket', { socket: 1, kind: 'stream' });
      client.asked('listen', { socket: 1, port });
    }
    const ends = [
      [n1, 80],
      [n1, 80],
      [n2, 80],
      [n1, 81],
    ].map(([node, port]) =>
      new StreamEnd(node as SimHost, 0, 1, 2).connect(daemon, port as number),
    );
    network.run(SECOND);
    const carry = (client: ClientProgram, end: StreamEnd, host: string): unknown =>
      client.ask('mayReach', {
        node: end === ends[2] ? 'n2' : 'n1',
        host,
        port: 5_432,
        remotePort: end.stream!.localPort,
        localPort: end.stream!.port,
      })()?.['allowed'];
    expect([
      carry(expose, ends[0]!, 'db'),
      carry(expose, ends[1]!, 'web'),
      carry(expose, ends[2]!, 'db'),
      // Of a stream that is another program's it says nothing.
      carry(expose, ends[3]!, 'db'),
    ]).toEqual([true, true, true, true]);
    const targets = [
      { action: 'deny', nodes: ['n1'], groups: [], targets: [{ host: 'db', port: null }] },
    ] as const;
    daemon.node.reconfigure({ ...daemon.node.config, firewall: { ...NO_RULES, targets } });
    daemon.endTurn();
    network.run(SECOND);
    expect(ends.map(({ error }) => error)).toEqual(['EACCES', undefined, undefined, undefined]);
    expect(daemon.node.drops.of(DropReason.firewallTarget)).toBe(1);
  });

  test('ask for rules and targets, page by page', () => {
    const many: InboundRule[] = Array.from({ length: 3_000 }, (_, i) =>
      inbound({
        nodes: Array.from({ length: 10 }, (_one, n) => `node-${i}-${n}`),
        ports: at(1 + i),
      }),
    );
    const network = star({
      inbound: many,
      targets: [
        { action: 'deny', nodes: ['n1'], groups: [], targets: [{ host: 'db', port: null }] },
      ],
    });
    const alice = new ClientProgram(network.host(0), ALICE);
    const numbers: number[] = [];
    for (let from = 0, replies = 0; from < many.length; replies += 1) {
      const reply = alice.ask('firewall', { list: 'inbound', from })() as {
        rules: { number: number }[];
        total: number;
      };
      expect([reply.total, replies < 20]).toEqual([3_000, true]);
      numbers.push(...reply.rules.map(({ number }) => number));
      from += reply.rules.length;
    }
    expect(numbers).toEqual(many.map((_, i) => i + 1));
    const reach = (node: string): unknown =>
      alice.ask('mayReach', { node, host: 'db', port: 5_432 })()?.['allowed'];
    expect([
      reach('n1'),
      reach('n2'),
      network.host(0).node.drops.of(DropReason.firewallTarget),
    ]).toEqual([false, true, 1]);
    expect(alice.asked('firewall', { list: 'outbound' })).toBe('EINVAL');
    expect(alice.asked('mayReach', { node: 'nobody', host: 'db', port: 1 })).toBe('ENOTFOUND');
  });
});

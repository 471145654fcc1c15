/**
 * What client programs may ask of groups, and anycast: the nearest member, and no other for long.
 */

import { describe, expect, test } from 'vitest';

import { parseNodeId } from '../../src/core/base/ids.ts';
import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import { cut } from '../../src/lab/sim/faults.ts';
import { ClientProgram } from '../support/client-program.ts';
import { chain, Inbox, ring, useNetworks, wire } from '../support/network.ts';

useNetworks();

const ANY = parseNodeId('240.0.0.7')!;
const PORT = 700;

describe('an anycast group', () => {
  test('is the nearest that is in it, and the next when that is gone', () => {
    const network = ring(9, { forward: wire({ latencyUs: 10 * MILLISECOND }) });
    network.settle();
    const at = [1, 4, 6].map((index) => new Inbox(network.host(index), PORT).join(ANY));
    network.run(SECOND);
    const asker = new Inbox(network.host(0), PORT);
    const counts = (): number[] => at.map(({ messages }) => messages.length);
    for (let i = 0; i < 40; i += 1) {
      expect(asker.sendTo(ANY, PORT, Uint8Array.of(i))).toBe(DropReason.none);
      network.run(10 * MILLISECOND);
    }
    network.run(SECOND);
    expect(counts()).toEqual([40, 0, 0]);
    expect(at[0]!.messages[0]!.proved).toBe(true);
    at[0]!.leave(ANY);
    network.run(SECOND);
    asker.sendTo(ANY, PORT, Uint8Array.of(1));
    network.run(SECOND);
    expect(counts()).toEqual([40, 0, 1]);
    network.host(6).crash();
    network.run(3 * SECOND);
    asker.sendTo(ANY, PORT, Uint8Array.of(1));
    network.run(SECOND);
    expect(counts()).toEqual([40, 1, 1]);
    at[1]!.host.node.sessions.close(at[1]!.session);
    network.run(SECOND);
    expect(asker.sendTo(ANY, PORT, Uint8Array.of(1))).toBe(DropReason.groupNobody);
  });

  test('stays with a member that is near enough, and goes when it is not', () => {
    const network = ring(6, { forward: wire({ latencyUs: 10 * MILLISECOND }) });
    network.settle();
    const [near, far] = [1, 4].map((index) => new Inbox(network.host(index), PORT).join(ANY));
    network.run(SECOND);
    const asker = new Inbox(network.host(0), PORT);
    const send = (): void => {
      for (let i = 0; i < 100; i += 1) {
        asker.sendTo(ANY, PORT, Uint8Array.of(i));
        network.run(10 * MILLISECOND);
      }
      network.run(SECOND);
    };
    send();
    expect([near!.messages.length, far!.messages.length]).toEqual([100, 0]);
    // By the other way round: 50 ms in place of 10, beyond the 20 of the other.
    cut(network.host(0), network.host(1));
    network.run(3 * SECOND);
    send();
    expect(near!.messages.length).toBe(100);
    expect(far!.messages.length).toBe(100);
  });

  test('gives each of the sockets that share a port its turn', () => {
    const network = chain(2);
    network.settle();
    const shared = [1, 2, 3].map(() =>
      new Inbox(network.host(1), PORT, { sharesPort: true }).join(ANY),
    );
    network.run(SECOND);
    const asker = new Inbox(network.host(0), PORT);
    for (let i = 0; i < 30; i += 1) asker.sendTo(ANY, PORT, Uint8Array.of(i));
    network.run(SECOND);
    expect(shared.map(({ messages }) => messages.length)).toEqual([10, 10, 10]);
  });
});

describe('a client', () => {
  test('joins, hears, leaves; and is told what it may not', () => {
    const network = chain(2);
    network.settle();
    const program = new ClientProgram(network.host(1));
    const ask = (op: string, args: Record<string, unknown>): string => program.asked(op, args);
    const group = '239.9.9.9';
    expect(ask('socket', { socket: 1, kind: 'datagram', secrecy: 'links' })).toBe('ok');
    expect(ask('join', { socket: 1, group })).toBe('EINVAL');
    expect(ask('bind', { socket: 1, port: 77 })).toBe('ok');
    for (const wrong of ['10.0.0.1', '255.255.255.255', 'n1', ''])
      expect(ask('join', { socket: 1, group: wrong })).toBe('EINVAL');
    expect(ask('join', { socket: 2, group })).toBe('EBADF');
    expect(ask('leave', { socket: 1, group })).toBe('EADDRNOTAVAIL');
    expect(ask('join', { socket: 1, group, source: 'nobody' })).toBe('ENOTFOUND');
    expect(ask('join', { socket: 1, group, source: 'n0' })).toBe('ok');
    expect(ask('join', { socket: 1, group })).toBe('EINVAL');
    expect(ask('leave', { socket: 1, group, source: 'n0' })).toBe('ok');
    expect(ask('join', { socket: 1, group })).toBe('ok');
    expect(ask('join', { socket: 1, group })).toBe('EADDRINUSE');
    network.run(SECOND);
    expect(program.ask('members', { group })()!['members']).toEqual([
      { node: '10.0.0.2', name: 'n1' },
    ]);
    // One that is sealed from end to end does not take what is not.
    expect(ask('socket', { socket: 3, kind: 'datagram', secrecy: 'end-to-end' })).toBe('ok');
    expect(ask('bind', { socket: 3, port: 78 })).toBe('ok');
    expect(ask('join', { socket: 3, group })).toBe('EOPNOTSUPP');
    expect(ask('join', { socket: 3, group: '240.0.0.1' })).toBe('ok');
    program.port.close();
    network.run(SECOND);
    expect(network.host(0).node.groups.records.database.memberships).toBe(0);
  });

  test('cannot have a daemon remember without limit', () => {
    const network = chain(2, { security: 'none' });
    network.settle();
    const program = new ClientProgram(network.host(0));
    program.asked('socket', { socket: 1, kind: 'datagram' });
    program.asked('bind', { socket: 1, port: 77 });
    const codes = new Map<string, number>();
    for (let i = 0; i < 4_097; i += 1) {
      const code = program.asked('join', { socket: 1, group: `239.0.${i >> 8}.${i & 255}` });
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
    expect([...codes]).toEqual([
      ['ok', 1_024],
      ['EMFILE', 3_073],
    ]);
    network.run(SECOND);
    expect(network.host(1).node.groups.records.database.memberships).toBe(1_024);
  });
});

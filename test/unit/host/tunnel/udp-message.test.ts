/** Bytes of UDP tunnels: what they look like, that they come back, and that damage is refused. */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import {
  decodeSocksDatagram,
  encodeSocksHead,
} from '../../../../src/host/tunnel/socks-datagram.ts';
import { AssociationReader } from '../../../../src/host/tunnel/udp-associations.ts';
import {
  decodeAsk,
  decodeFromFar,
  decodeOver,
  decodeTarget,
  encodeAnswerHead,
  encodeAsk,
  encodeOver,
  encodeRefusal,
  encodeTaken,
  encodeTarget,
} from '../../../../src/host/tunnel/udp-message.ts';
import { mutate } from '../../../fuzz/mutate.ts';

const DAMAGED = 10_000;
const MODE = { link: 2, routing: 1, deadlineMs: 100 };
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

describe('messages of a UDP tunnel', () => {
  test('have these bytes, and come back as they went', () => {
    const target = encodeTarget({ host: '127.0.0.1', port: 53 });
    expect(target).toEqual(hex('01 7f000001 0035'));
    const ask = encodeAsk({ several: true, sign: false, mode: MODE, token: 0x01020304 }, target);
    expect(ask).toEqual(hex('11 01 21 00 01020304 0064 01 7f000001 0035'));
    expect(decodeAsk(Buffer.concat([ask, Buffer.from('x')]))).toEqual({
      several: true,
      sign: false,
      mode: MODE,
      token: 0x01020304,
      targetAt: 10,
      payloadAt: 17,
    });
    expect(encodeOver(7)).toEqual(hex('15 00000007'));
    expect([decodeOver(encodeOver(7)), decodeOver(encodeTaken(7))]).toEqual([7, null]);
    expect(decodeFromFar(encodeTaken(7), true)).toEqual({ kind: 'taken', token: 7 });
    expect(decodeFromFar(Buffer.concat([encodeAnswerHead(7, null), hex('aa')]), false)).toEqual({
      kind: 'answer',
      token: 7,
      fromAt: null,
      payloadAt: 5,
    });
    expect(decodeFromFar(encodeAnswerHead(7, target), true)).toMatchObject({
      fromAt: 5,
      payloadAt: 12,
    });
    expect(decodeFromFar(encodeRefusal(7, 2, target, 'nein, ü'), true)).toEqual({
      kind: 'refusal',
      token: 7,
      code: 2,
      target: { host: '127.0.0.1', port: 53 },
      reason: 'nein, ü',
    });
    expect(encodeRefusal(7, 2, target, 'x'.repeat(5_000)).length).toBe(5 + 1 + 7 + 200);
  });

  test('name targets in one form', () => {
    for (const host of ['10.1.2.3', '::1', '2001:db8::5', 'db.example', '::ffff:102:304'])
      expect(decodeTarget(encodeTarget({ host, port: 9 }), 0, true)).toEqual({ host, port: 9 });
    expect(encodeTarget({ host: 'fe80::1%eth0', port: 9 })).toEqual(
      encodeTarget({ host: 'fe80::1', port: 9 }),
    );
    const name = (text: string): Buffer =>
      Buffer.concat([Buffer.from([3, text.length]), Buffer.from(text), hex('0009')]);
    for (const [text, host] of [
      ['DB.Example.', 'db.example'],
      ['10.1.2.3', '10.1.2.3'],
      ['::1', '::1'],
    ] as const) {
      expect(decodeTarget(name(text), 0, false)).toEqual({ host, port: 9 });
      expect(decodeTarget(name(text), 0, true)).toBeNull();
    }
    for (const bad of ['a b', 'a/b', '*', '-a'])
      expect(decodeTarget(name(bad), 0, false)).toBeNull();
    expect(decodeTarget(hex('01 7f000001 0000'), 0, true)).toBeNull();
  });

  test.each([
    ['an unknown kind', '16 00 00 00 00000001 0000 01 7f000001 0035'],
    ['another version', '21 00 00 00 00000001 0000 01 7f000001 0035'],
    ['an unknown flag', '11 04 00 00 00000001 0000 01 7f000001 0035'],
    ['an unknown link service', '11 00 f0 00 00000001 0000 01 7f000001 0035'],
    ['an unknown routing', '11 00 0f 00 00000001 0000 01 7f000001 0035'],
    ['a deadline of links that have none', '11 00 10 00 00000001 0064 01 7f000001 0035'],
    ['a deadline beyond all use', '11 00 20 00 00000001 07d1 01 7f000001 0035'],
    ['a reserved byte', '11 00 00 01 00000001 0000 01 7f000001 0035'],
    ['an unknown address type', '11 00 00 00 00000001 0000 02 7f000001 0035'],
    ['a target cut short', '11 00 00 00 00000001 0000 01 7f000001 00'],
    ['a name of no length', '11 00 00 00 00000001 0000 03 00 0035'],
    ['nothing', ''],
  ])('with %s are malformed', (_, text) => {
    expect(decodeAsk(hex(text))).toBeNull();
  });

  test('that are damaged are refused or still whole, and never throw', () => {
    const rng = new Rng(7);
    const target = encodeTarget({ host: 'db.example', port: 53 });
    const messages = [
      Buffer.concat([
        encodeAsk({ several: false, sign: true, mode: MODE, token: 9 }, target),
        Buffer.from('payload'),
      ]),
      encodeRefusal(9, 3, target, 'why'),
      Buffer.concat([encodeAnswerHead(9, target), Buffer.from('payload')]),
      encodeTaken(9),
      encodeOver(9),
    ].map((message) => Uint8Array.from(message));
    let whole = 0;
    for (let i = 0; i < DAMAGED; i += 1) {
      const damaged = Buffer.from(
        mutate(rng, messages[i % messages.length]!, messages[(i + 1) % messages.length]!),
      );
      const ask = decodeAsk(damaged);
      if (ask !== null) {
        expect(ask.payloadAt).toBeLessThanOrEqual(damaged.length);
        decodeTarget(damaged, ask.targetAt, true);
        decodeTarget(damaged, ask.targetAt, false);
        whole += 1;
      }
      for (const several of [true, false]) {
        const said = decodeFromFar(damaged, several);
        if (said?.kind === 'answer') expect(said.payloadAt).toBeLessThanOrEqual(damaged.length);
      }
      decodeOver(damaged);
    }
    expect(whole).toBeGreaterThan(DAMAGED / 50);
  });
});

describe('datagrams of a SOCKS client', () => {
  const from = encodeTarget({ host: '::1', port: 53 });

  test('have a head, and fragments are dropped', () => {
    expect(encodeSocksHead(encodeTarget({ host: '127.0.0.1', port: 53 }))).toEqual(
      hex('000000 01 7f000001 0035'),
    );
    expect(decodeSocksDatagram(Buffer.concat([encodeSocksHead(from), hex('aa')]))).toEqual({
      targetAt: 3,
      payloadAt: 22,
    });
    expect(decodeSocksDatagram(hex('000001 01 7f000001 0035 aa'))).toBe('fragment');
    expect(decodeSocksDatagram(hex('000080 01 7f000001 0035 aa'))).toBe('fragment');
    for (const bad of ['', '000000', '010000 01 7f000001 0035', '000000 05 7f000001 0035'])
      expect(decodeSocksDatagram(hex(bad)), bad).toBe('malformed');
  });

  test('are heard from one address and port', () => {
    const reader = new AssociationReader('10.0.0.5', 0);
    const whole = hex('000000 01 7f000001 0035 aa');
    expect(reader.read(whole, '10.0.0.6', 999)).toBeNull();
    // What makes no sense fixes no port.
    expect(reader.read(hex('ff'), '10.0.0.5', 998)).toBeNull();
    expect(reader.read(whole, '10.0.0.5', 999)?.payload).toEqual(hex('aa'));
    expect(reader.read(whole, '10.0.0.5', 998)).toBeNull();
    expect(reader.read(hex('000001 01 7f000001 0035 aa'), '10.0.0.5', 999)).toBeNull();
    expect(reader.counts).toEqual({ fragments: 1, malformed: 1, strangers: 2 });
    expect(reader.port).toBe(999);
    const named = new AssociationReader('10.0.0.5', 999);
    expect(named.read(whole, '10.0.0.5', 998)).toBeNull();
    expect(named.read(whole, '10.0.0.5', 999)).not.toBeNull();
  });

  test('that are damaged are dropped or name a target, and never throw', () => {
    const rng = new Rng(8);
    const reader = new AssociationReader('a', 1);
    const whole = [
      Buffer.concat([encodeSocksHead(from), Buffer.from('payload')]),
      Buffer.concat([encodeSocksHead(encodeTarget({ host: 'db.example', port: 1 }))]),
    ].map((message) => Uint8Array.from(message));
    let read = 0;
    for (let i = 0; i < DAMAGED; i += 1) {
      const damaged = Buffer.from(mutate(rng, whole[i % 2]!, whole[(i + 1) % 2]!));
      const got = reader.read(damaged, 'a', 1);
      if (got === null) continue;
      read += 1;
      // What goes on is canonical, whatever was written.
      expect(decodeTarget(got.target, 0, true)).not.toBeNull();
      expect(got.payload.length).toBeLessThan(damaged.length);
    }
    const { fragments, malformed } = reader.counts;
    expect(fragments + malformed + read).toBe(DAMAGED);
    expect(Math.min(fragments, malformed, read)).toBeGreaterThan(DAMAGED / 50);
  });
});

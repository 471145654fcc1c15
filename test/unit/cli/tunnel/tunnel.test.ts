/**
 * Tunnels: what is allowed, what the heads look like, how SOCKS is spoken, and how two sides are
 * joined.
 */

import { EventEmitter, once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import { describe, expect, it, vi } from 'vitest';

import { REPLY, endSocks, readSocksRequest } from '../../../../src/cli/tunnel/socks5.ts';
import { replyOf } from '../../../../src/cli/tunnel/socks.ts';
import { ANSWERS } from '../../../../src/host/tunnel/answers.ts';
import {
  HEAD_BYTES_MAX,
  decodeAnswer,
  decodeRequest,
  encodeAnswer,
  encodeRequest,
  readExactly,
  readHead,
} from '../../../../src/cli/tunnel/tunnel-header.ts';
import { join } from '../../../../src/cli/tunnel/tunnel-join.ts';
import { refusalLogOf, serve, type Refuser } from '../../../../src/cli/tunnel/tunnel-listen.ts';
import {
  canonicalHost,
  formatTarget,
  isAllowed,
  parseAllowed,
  parseTarget,
} from '../../../../src/host/tunnel-target.ts';
import { listenArg, targetArg } from '../../../../src/cli/terminal/values.ts';

describe('targets', () => {
  it('have one form', () => {
    expect(
      ['WWW.Example.org.', '127.0.0.1', '::1', '2001:DB8:0:0::5', '_srv.a-b.c'].map(canonicalHost),
    ).toEqual(['www.example.org', '127.0.0.1', '::1', '2001:db8::5', '_srv.a-b.c']);
    for (const bad of [
      '',
      '.',
      'a..b',
      '-a',
      'a b',
      'a/b',
      'ä',
      'a\0b',
      'fe80::1%eth0',
      '[::1]',
      `${'a'.repeat(254)}`,
      '*',
    ])
      expect(canonicalHost(bad), bad).toBeNull();
    expect(parseTarget('[2001:DB8::5]:443')).toEqual({ host: '2001:db8::5', port: 443 });
    expect(formatTarget({ host: '::1', port: 1 })).toBe('[::1]:1');
    for (const bad of ['a', 'a:', 'a:0', 'a:65536', '::1:80', 'a:*', '*:80', '[a]:80', 'a:b:80'])
      expect(parseTarget(bad), bad).toBeNull();
  });

  it('are allowed when the operator named them, and only then', () => {
    const list = (...texts: string[]) => texts.map((text) => parseAllowed(text)!);
    const allows = (allow: ReturnType<typeof list>, text: string): boolean =>
      isAllowed(allow, parseTarget(text)!);
    const exact = list('db.example:5432', '127.0.0.1:80');
    expect([allows(exact, 'DB.example.:5432'), allows(exact, '127.0.0.1:80')]).toEqual([
      true,
      true,
    ]);
    for (const other of [
      'db.example:5433',
      'x.db.example:5432',
      '127.0.0.1:81',
      '127.1:80',
      'localhost:80',
      '[::ffff:127.0.0.1]:80',
      '[::1]:80',
      '2130706433:80',
    ]) {
      expect(allows(exact, other), other).toBe(false);
    }
    expect(['a:1', 'a:9', 'b:1'].map((text) => allows(list('a:*'), text))).toEqual([
      true,
      true,
      false,
    ]);
    expect(['a:443', '[::1]:443', 'a:80'].map((text) => allows(list('*:443'), text))).toEqual([
      true,
      true,
      false,
    ]);
    expect(allows(list('*:*'), 'a:1')).toBe(true);
    expect(allows([], 'a:1')).toBe(false);
    for (const bad of ['*', 'a', '*.example:1', 'a:1-5', 'a:', ':1', '[*]:1'])
      expect(parseAllowed(bad), bad).toBeNull();
  });

  it('and local addresses are read from the command line', () => {
    expect([
      listenArg('8080'),
      listenArg('0'),
      listenArg('0.0.0.0:80'),
      listenArg('[::1]:80'),
    ]).toEqual([
      { host: '127.0.0.1', port: 8080 },
      { host: '127.0.0.1', port: 0 },
      { host: '0.0.0.0', port: 80 },
      { host: '::1', port: 80 },
    ]);
    for (const bad of ['', 'x', '65536', ':80', 'a:b:80', '::1:80'])
      expect(() => listenArg(bad), bad).toThrow('write PORT');
    expect(() => targetArg('*:80')).toThrow('write HOST:PORT');
  });
});

describe('heads of a tunnel', () => {
  it('come back as they went, and nothing else is taken for one', () => {
    const request = encodeRequest({ host: 'a.example', port: 443 });
    expect(request.toString('hex')).toBe('000c0101bb612e6578616d706c65');
    expect(decodeRequest(request.subarray(2))).toEqual({ host: 'a.example', port: 443 });
    for (const name of ANSWERS)
      expect(decodeAnswer(encodeAnswer({ name, reason: 'ü' }).subarray(2))).toEqual({
        name,
        reason: 'ü',
      });
    expect(encodeAnswer({ name: 'failed', reason: 'x'.repeat(5_000) }).length).toBe(
      HEAD_BYTES_MAX + 2,
    );
    for (const hex of [
      '',
      '01',
      '0101bb',
      '0201bb61',
      '01000061',
      '0101bb41',
      '0101bb00',
      '0101bb6120',
      '0101bbc3a4',
    ])
      expect(decodeRequest(Buffer.from(hex, 'hex')), hex).toBeNull();
    for (const hex of ['', '01', '0200', '01ff'])
      expect(decodeAnswer(Buffer.from(hex, 'hex')), hex).toBeNull();
  });

  it('are read in pieces, and what follows stays', async () => {
    const [near, far] = duplexPair();
    const reading = readHead(far, 1_000);
    const bytes = Buffer.concat([encodeRequest({ host: 'h', port: 1 }), Buffer.from('data')]);
    for (const byte of bytes) {
      near.write(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    expect(decodeRequest((await reading)!)).toEqual({ host: 'h', port: 1 });
    expect(String(far.read())).toBe('data');
  });

  it('of no length, of too much, cut short or late are refused', async () => {
    for (const hex of ['0000', 'ffff', '0201']) {
      const [near, far] = duplexPair();
      near.write(Buffer.from(hex, 'hex'));
      expect(await readHead(far, 1_000), hex).toBeNull();
    }
    const [near, far] = duplexPair();
    near.end(Buffer.from([0]));
    await expect(readHead(far, 1_000)).rejects.toMatchObject({ code: 'ECONNRESET' });
    await expect(readExactly(duplexPair()[0], 1, 5)).rejects.toMatchObject({ code: 'ETIMEDOUT' });
  });
});

describe('SOCKS5', () => {
  async function ask(hex: string): Promise<{ result: unknown; said: string }> {
    const [client, proxy] = duplexPair();
    client.write(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
    const result: unknown = await readSocksRequest(proxy, 200).catch((error: unknown) => error);
    await new Promise(setImmediate);
    return { result, said: ((client.read() as Buffer | null) ?? Buffer.alloc(0)).toString('hex') };
  }

  it('understands addresses of all three kinds', async () => {
    expect(await ask('050100 05010001 7f000001 0050')).toEqual({
      result: { command: 'connect', target: { host: '127.0.0.1', port: 80 }, bytes: 13 },
      said: '0500',
    });
    expect(await ask('05020200 05010003 09 4c6f63616c686f7374 01bb')).toMatchObject({
      result: { target: { host: 'localhost', port: 443 } },
    });
    expect(await ask('050100 05010004 00000000000000000000000000000001 0001')).toMatchObject({
      result: { target: { host: '::1', port: 1 } },
    });
  });

  it('answers what it does not do as RFC 1928 says', async () => {
    const refusal = (code: keyof typeof REPLY): string =>
      `0500050${REPLY[code]}000100000000` + '0000';
    expect(await ask('050102')).toMatchObject({ result: { name: 'SocksError' }, said: '05ff' });
    expect(await ask('050100 05020001 7f000001 0050')).toMatchObject({
      said: refusal('commandUnknown'),
    });
    expect(await ask('050100 05010009')).toMatchObject({ said: refusal('addressUnknown') });
    expect(await ask('050100 05010003 03 612062 0050')).toMatchObject({
      said: refusal('hostUnreachable'),
    });
    expect(await ask('050100 05010001 7f000001 0000')).toMatchObject({
      said: refusal('hostUnreachable'),
    });
    expect(await ask('0401')).toMatchObject({ result: { name: 'SocksError' }, said: '' });
    expect(await ask('0501')).toMatchObject({ result: { code: 'ETIMEDOUT' } });
  });

  it('has a reply for every answer of the far end', () => {
    expect(ANSWERS.map((answer) => replyOf({ answer, code: '' }))).toEqual([
      'ok',
      'failure',
      'notAllowed',
      'refused',
      'hostUnreachable',
      'networkUnreachable',
      'hostUnreachable',
      'timedOut',
      'failure',
      'failure',
    ]);
    expect([
      replyOf({ answer: 'no exit', code: 'EHOSTUNREACH' }),
      replyOf({ answer: 'no exit', code: 'ECONNREFUSED' }),
    ]).toEqual(['networkUnreachable', 'failure']);
    const [client, proxy] = duplexPair();
    endSocks(proxy, 'refused');
    endSocks(proxy, 'ok');
    expect((client.read() as Buffer).toString('hex')).toBe('05050001000000000000');
  });
});

describe('two joined sides', () => {
  /** Two TCP connections whose inner ends are joined: outer a, outer b, what `join` gives. */
  async function joined(): Promise<{ a: Socket; b: Socket; over: ReturnType<typeof join> }> {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const one = async (): Promise<[Socket, Socket]> => {
      const outer = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      const [inner] = (await once(server, 'connection')) as [Socket];
      return [outer, inner];
    };
    const [a, innerA] = await one();
    const [b, innerB] = await one();
    server.close();
    return { a, b, over: join(innerA, innerB) };
  }

  const text = async (stream: Duplex): Promise<string> => {
    const parts: Buffer[] = [];
    for await (const part of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>)
      parts.push(part);
    return Buffer.concat(parts).toString();
  };

  it('end one direction at a time, and count', async () => {
    const { a, b, over } = await joined();
    a.end('ping');
    expect(await text(b)).toBe('ping');
    b.end('a late answer');
    expect(await text(a)).toBe('a late answer');
    expect(await over).toEqual({ forward: 4, backward: 13, error: null });
  });

  it('break together', async () => {
    const { a, b, over } = await joined();
    const broken = once(b, 'error').then(
      ([error]) => (error as NodeJS.ErrnoException).code,
      (error: NodeJS.ErrnoException) => error.code,
    );
    b.resume();
    a.write('x');
    await new Promise((resolve) => setTimeout(resolve, 20));
    a.resetAndDestroy();
    expect(await broken).toBe('ECONNRESET');
    expect((await over).error).toMatchObject({ code: 'ECONNRESET' });
  });
});

describe('more connections than a tunnel carries', () => {
  /**
   * A tunnel of two connections at most, whose far end never answers; `body` gets its port. What it
   * logs as refused.
   */
  async function served(
    refuse: Refuser | undefined,
    body: (port: number) => Promise<void>,
  ): Promise<object[]> {
    const client = new EventEmitter();
    const lines: object[] = [];
    let said = '';
    const stderr = vi
      .spyOn(process.stderr, 'write')
      .mockImplementation((text) => ((said += String(text)), true));
    const logs = refusalLogOf(
      {
        info: () => {},
        warn: (fields: object) => {
          lines.push(fields);
        },
      } as never,
      false,
    );
    try {
      const serving = expect(
        serve(
          client as never,
          { host: '127.0.0.1', port: 0 },
          false,
          { goes: 'nowhere', offers: 'nothing' },
          () => new Promise(() => {}),
          refuse,
          2,
          logs,
        ),
      ).rejects.toThrow('enough');
      await vi.waitFor(() => expect(said).toContain('listening on'), { interval: 5 });
      await body(Number(/listening on 127\.0\.0\.1:(\d+)/.exec(said)![1]));
      client.emit('error', new Error('enough'));
      await serving;
    } finally {
      stderr.mockRestore();
    }
    return lines;
  }

  /**
   * What a new connection hears after it has said `text`: bytes in hexadecimal, and how it ended.
   */
  async function heard(port: number, text: Uint8Array): Promise<string> {
    const socket = connect(port, '127.0.0.1');
    let bytes = '';
    socket.on('data', (chunk) => {
      bytes += chunk.toString('hex');
    });
    socket.write(text);
    const how = new Promise<string>((resolve) =>
      socket
        .once('error', ({ code }: NodeJS.ErrnoException) => resolve(code!))
        .once('end', () => resolve('end')),
    );
    const end = await how;
    socket.destroy();
    return `${bytes} ${end}`;
  }

  async function filled(port: number): Promise<Socket[]> {
    const sockets = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')];
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    for (const socket of sockets) socket.on('error', () => {});
    return sockets;
  }

  it('are reset, and the first is logged', async () => {
    const lines = await served(undefined, async (port) => {
      const held = await filled(port);
      for (let i = 0; i < 20; i += 1)
        expect(await heard(port, Buffer.from('x'))).toBe(' ECONNRESET');
      expect(held.every((socket) => !socket.destroyed)).toBe(true);
    });
    expect(lines).toEqual([
      {
        from: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
        why: '2 connections are open, as many as it carries',
      },
    ]);
  });

  it('are told so in SOCKS', async () => {
    const refuse: Refuser = async (socket) => {
      await readSocksRequest(socket, 1_000);
      endSocks(socket, 'failure');
    };
    await served(refuse, async (port) => {
      await filled(port);
      const request = Buffer.from('050100' + '05010003016101bb', 'hex');
      expect(await heard(port, request)).toBe('0500' + '05010001000000000000 end');
      // One that speaks something else has nothing to be told.
      expect(await heard(port, Buffer.from('GET / HTTP/1.1\r\n\r\n'))).toBe(' ECONNRESET');
    });
  });
});

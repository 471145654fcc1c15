/**
 * The HTTP door over real loopback connections: who may look, what is refused, and what somebody
 * who sends slowly, much, or nothing can hold of it.
 */

import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';

import {
  CONNECTIONS_MAX,
  HttpDoor,
  PAGES_BURST,
  plainAnswer,
  STREAMS_MAX,
  type Asked,
  type EventStream,
} from '../../../../src/host/web/http-door.ts';

let door: HttpDoor | null = null;
const sockets: Socket[] = [];
const refused: string[] = [];
const asked: Asked[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  refused.length = asked.length = 0;
  await door?.close();
});

/** The port of a door with two pages, of which /open needs no token. */
async function open(token: string | null = null, deadlineMs?: number): Promise<number> {
  door = new HttpDoor(
    {
      isOpen: (path) => path === '/open',
      answer: (one) => {
        asked.push(one);
        return one.path === '/page' || one.path === '/open' ? plainAnswer(200, 'here') : null;
      },
    },
    { onRefused: (why) => refused.push(why) },
    token === null ? null : (shown) => shown === token,
    deadlineMs,
  );
  return await door.listen('127.0.0.1', 0);
}

interface Got {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

function get(
  port: number,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<Got> {
  return new Promise((resolve, reject) => {
    const sent = request(
      { host: '127.0.0.1', port, path, method, headers, agent: false },
      (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (text: string) => (body += text));
        response.on('end', () =>
          resolve({ status: response.statusCode!, headers: response.headers, body }),
        );
      },
    );
    sent.on('error', reject);
    sent.end();
  });
}

/** A connection that sends `text`; what came back once it ended. */
function raw(port: number, text: string): { socket: Socket; ended: Promise<string> } {
  const socket = connect(port, '127.0.0.1');
  sockets.push(socket);
  let came = '';
  socket.setEncoding('utf8').on('data', (some: string) => (came += some));
  socket.on('error', () => {});
  if (text !== '') socket.write(text);
  return { socket, ended: new Promise((resolve) => socket.on('close', () => resolve(came))) };
}

describe('the HTTP door', () => {
  test('answers GET and HEAD, one request a connection, and nothing else', async () => {
    const port = await open();
    const page = await get(port, '/page?x=1');
    expect(page).toMatchObject({ status: 200, body: 'here\n' });
    expect(page.headers).toMatchObject({
      connection: 'close',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
    });
    expect(page.headers['access-control-allow-origin']).toBeUndefined();
    expect(asked[0]!.path).toBe('/page');
    expect(await get(port, '/page', {}, 'HEAD')).toMatchObject({ status: 200, body: '' });
    expect(await get(port, '/none')).toMatchObject({ status: 404 });
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])
      expect(await get(port, '/page', {}, method)).toMatchObject({
        status: 405,
        headers: { allow: 'GET, HEAD' },
      });
    // Of two requests in one piece the second one is not answered.
    const twice = 'GET /page HTTP/1.1\r\nhost: localhost\r\n\r\n'.repeat(2);
    const both = await raw(port, twice).ended;
    expect(both.split('here\n')).toHaveLength(2);
  });

  test('knows loopback names only, and no page of another site', async () => {
    const port = await open();
    for (const host of ['localhost', `127.0.0.1:${port}`, '[::1]:80', 'LOCALHOST:1', '127.8.9.1'])
      expect((await get(port, '/page', { host })).status, host).toBe(200);
    const strange = [
      'evil.example',
      `evil.example:${port}`,
      'localhost.evil.example',
      '127.0.0.1.evil.example',
      'evil.example:127.0.0.1',
      '10.0.0.1',
      '[::2]',
      '127.0.0.1:80:80',
      'x@localhost',
    ];
    for (const host of strange) expect((await get(port, '/page', { host })).status, host).toBe(403);
    for (const site of ['cross-site', 'same-site'])
      expect((await get(port, '/page', { 'sec-fetch-site': site })).status).toBe(403);
    for (const site of ['none', 'same-origin'])
      expect((await get(port, '/page', { 'sec-fetch-site': site })).status).toBe(200);
    expect((await get(port, '/page', { origin: 'http://evil.example' })).status).toBe(403);
    expect((await get(port, '/page', { origin: 'null' })).status).toBe(403);
    expect((await get(port, '/page', { origin: `http://127.0.0.1:${port}` })).status).toBe(200);
    expect(await raw(port, 'GET /page HTTP/1.1\r\nhost:\r\n\r\n').ended).toMatch(/ 403 /);
    // HTTP/1.0 has no Host: nothing says that it is no other name.
    expect(await raw(port, 'GET /page HTTP/1.0\r\n\r\n').ended).toMatch(/^HTTP\/1.1 403 /);
    expect(asked).toHaveLength(8);
  });

  test('asks for the token, but for open pages', async () => {
    const port = await open('s3cret');
    const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;
    const wrong = ['', 'Bearer', 'Bearer s3cre', 'Bearer s3cret x', basic('s3cret:'), 's3cret'];
    for (const authorization of wrong) {
      const answer = await get(port, '/page', authorization === '' ? {} : { authorization });
      expect(answer.status, authorization).toBe(401);
      expect(answer.headers['www-authenticate']).toMatch(/^Basic /);
    }
    for (const authorization of ['Bearer s3cret', 'bearer  s3cret', basic('me:s3cret')])
      expect((await get(port, '/page', { authorization })).status, authorization).toBe(200);
    // Whether there is a page is nothing that strangers learn.
    expect((await get(port, '/none')).status).toBe(401);
    expect((await get(port, '/open')).status).toBe(200);
    expect(asked.map(({ trusted }) => trusted)).toEqual([true, true, true, false]);
  });

  test('takes no long heads, no nonsense, and does not wait for bodies', async () => {
    const port = await open();
    const head = 'GET /page HTTP/1.1\r\nhost: localhost\r\n';
    expect(await raw(port, `${head}x: ${'a'.repeat(9_000)}\r\n\r\n`).ended).toMatch(/ 431 /);
    expect(await raw(port, `GET /${'a'.repeat(9_000)} HTTP/1.1\r\n\r\n`).ended).toMatch(/ 431 /);
    expect(await raw(port, 'nonsense\r\n\r\n').ended).toMatch(/ 400 /);
    expect(await raw(port, `${head}content-length: 5\r\ncontent-length: 6\r\n\r\n`).ended).toMatch(
      / 400 /,
    );
    // A body that never comes does not keep the answer, or the connection.
    expect(await raw(port, `${head}content-length: 1000000\r\n\r\n`).ended).toMatch(/here\n$/);
    expect(await raw(port, `${head}transfer-encoding: chunked\r\n\r\nff\r\n`).ended).toMatch(
      /here\n$/,
    );
    expect(refused).toContain('431 Request Header Fields Too Large');
    // Fields beyond those that are read could be the ones that say whose page asks.
    const many = Array.from({ length: 100 }, (_, i) => `a${i}: 1\r\n`).join('');
    expect(await raw(port, `${head}${many}origin: http://evil\r\n\r\n`).ended).toMatch(/ 431 /);
  });

  test('a connection that says too little, byte by byte or none, ends in time', async () => {
    const port = await open(null, 300);
    const began = performance.now();
    const silent = raw(port, '');
    const slow = raw(port, 'GET /page HTTP/1.1\r\n');
    const drip = setInterval(() => slow.socket.write('a'), 20);
    expect(await Promise.all([silent.ended, slow.ended])).toEqual(['', '']);
    clearInterval(drip);
    expect(performance.now() - began).toBeLessThan(5_000);
    expect(asked).toEqual([]);
  });

  test('of more connections than may be the oldest gives way, and others are served', async () => {
    const port = await open();
    const first = raw(port, 'GET /page HTTP/1.1\r\n');
    await new Promise((resolve) => first.socket.on('connect', resolve));
    const others = Array.from({ length: CONNECTIONS_MAX - 1 }, () => raw(port, '').socket);
    await Promise.all(others.map((one) => new Promise((done) => one.on('connect', done))));
    expect((await get(port, '/page')).status).toBe(200);
    expect(await first.ended).toBe('');
    expect(others.filter(({ closed }) => closed)).toHaveLength(0);
    expect(refused).toEqual(['too many connections, the oldest gave way']);
  });

  test('who asks often is told to ask less often, before anything is made for him', async () => {
    const port = await open();
    const statuses: number[] = [];
    for (let i = 0; i < PAGES_BURST + 30; i += 1) statuses.push((await get(port, '/page')).status);
    const answered = statuses.filter((status) => status === 200).length;
    expect(answered).toBeGreaterThanOrEqual(PAGES_BURST);
    expect(asked).toHaveLength(answered);
    expect(statuses.filter((status) => status === 429)).toHaveLength(statuses.length - answered);
    expect(statuses.slice(0, PAGES_BURST).every((status) => status === 200)).toBe(true);
  });

  test('who shows no token takes no page of who shows it', async () => {
    const port = await open('secret');
    for (let i = 0; i < PAGES_BURST + 5; i += 1) await get(port, '/open');
    const authorization = 'Bearer secret';
    expect((await get(port, '/page', { authorization })).status).toBe(200);
  });

  test('streams go on, in a bounded number, and end with their reader', async () => {
    let writing: EventStream | null = null,
      ended = 0;
    door = new HttpDoor(
      {
        isOpen: () => false,
        answer: () => null,
        stream: (path) =>
          path === '/events'
            ? (stream) => {
                writing = stream;
                return () => (ended += 1);
              }
            : null,
      },
      { onRefused: (why) => refused.push(why) },
      null,
      200,
    );
    const port = await door.listen('127.0.0.1', 0);
    const ask = 'GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n';
    const streams = Array.from({ length: STREAMS_MAX }, () => raw(port, ask));
    await vi.waitFor(() => expect(writing).not.toBeNull());
    await vi.waitFor(async () => expect((await get(port, '/events')).status).toBe(503));
    expect(await get(port, '/events', {}, 'HEAD')).toMatchObject({ status: 404 });
    // Longer than any other connection lives, and past more than there may be of those.
    const others = Array.from({ length: CONNECTIONS_MAX }, () => raw(port, '').ended);
    await Promise.all(others);
    expect(ended).toBe(0);
    expect(writing!.write('look', '{"a":1}')).toBe(true);
    // One that reads nothing is not written to without end.
    const last = streams.at(-1)!;
    last.socket.pause();
    const line = 'x'.repeat(100_000);
    let taken = 0;
    while (taken < 1_000 && writing!.write('look', line)) taken += 1;
    expect(taken).toBeLessThan(100);
    for (const { socket } of streams) socket.destroy();
    await vi.waitFor(() => expect(ended).toBe(STREAMS_MAX));
    expect(writing!.write('look', '')).toBe(false);
  });

  test('a browser shows the token once, and then has a cookie of this port', async () => {
    const port = await open('secret');
    expect((await get(port, '/page?token=wrong')).status).toBe(401);
    const first = await get(port, '/page?token=secret');
    expect(first).toMatchObject({ status: 303, headers: { location: '/page' } });
    const [cookie = ''] = first.headers['set-cookie'] as string[];
    expect(cookie).toBe(`spines-${port}=secret; Path=/; HttpOnly; SameSite=Strict`);
    expect((await get(port, '/page', { cookie: `a=b; ${cookie.split(';')[0]}` })).status).toBe(200);
    expect((await get(port, '/page', { cookie: 'spines-1=secret' })).status).toBe(401);
    expect((await get(port, '/page', { cookie: `spines-${port}=%E0%A4%A` })).status).toBe(401);
    // It leads to nobody else's page.
    expect((await get(port, '//evil.example/?token=secret')).headers['location']).toBeUndefined();
  });
});

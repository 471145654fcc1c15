/** node:http, server and client, unchanged over stream sockets of a played daemon. */

import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Agent, createServer as createHttpServer, request } from 'node:http';
import type { IncomingMessage, RequestOptions, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { SpinesClient } from '../../../../spines-client/src/client.ts';
import { listenHttp } from '../../../../spines-client/src/sockets/server.ts';
import type { SpinesServer } from '../../../../spines-client/src/sockets/server.ts';
import { connect } from '../../../../spines-client/src/sockets/connect.ts';
import { FakeDaemon } from '../fake-daemon.ts';

let daemon: FakeDaemon;
let client: SpinesClient;
let http: Server;
let server: SpinesServer;
let agent: Agent;

class OverlayAgent extends Agent {
  override createConnection(options: object): Duplex {
    return connect({ ...(options as { port: number }), client });
  }
}

beforeEach(async () => {
  daemon = await new FakeDaemon().start();
  client = await SpinesClient.connect({ path: daemon.path });
  http = createHttpServer((incoming, response) => {
    const hash = createHash('sha256');
    let bytes = 0;
    incoming.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      hash.update(chunk);
    });
    incoming.on('end', () => {
      response.setHeader(
        'x-peer',
        `${incoming.socket.remoteAddress}:${incoming.socket.remotePort}`,
      );
      if (incoming.url === '/chunked') {
        for (let i = 0; i < 100; i++) response.write(`line ${i}\n`);
        response.end();
      } else response.end(`${incoming.method} ${incoming.url} ${bytes} ${hash.digest('hex')}`);
    });
  });
  server = listenHttp(http, 80, { client });
  await once(server, 'listening');
  agent = new OverlayAgent({ keepAlive: true, maxSockets: 2 });
});

afterEach(async () => {
  agent.destroy();
  http.closeAllConnections();
  await server[Symbol.asyncDispose]();
  expect(daemon.streams.violations).toEqual([]);
  await client.close();
  await daemon.stop();
});

async function ask(
  options: RequestOptions,
  body?: Buffer,
): Promise<{ response: IncomingMessage; text: string }> {
  const asked = request({
    ...('createConnection' in options ? {} : { agent }),
    host: 'alpha',
    port: 80,
    ...options,
  });
  asked.end(body);
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return { response, text };
}

const EMPTY = createHash('sha256').digest('hex');

it('answers GET, chunked responses and a POST of 1 MB', async () => {
  const get = await ask({ path: '/hello' });
  expect(get.text).toBe(`GET /hello 0 ${EMPTY}`);
  expect(get.response.headers['x-peer']).toMatch(/^10\.0\.0\.1:\d+$/);
  const chunked = await ask({ path: '/chunked' });
  expect(chunked.response.headers['transfer-encoding']).toBe('chunked');
  expect(chunked.text.split('\n')).toHaveLength(101);
  const body = randomBytes(1_000_000);
  const post = await ask({ method: 'POST', path: '/up' }, body);
  expect(post.text).toBe(`POST /up 1000000 ${createHash('sha256').update(body).digest('hex')}`);
});

it('keeps connections alive and shares them', async () => {
  const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => ask({ path: `/${i}` })));
  expect(answers.map(({ text }) => text)).toEqual(answers.map((_, i) => `GET /${i} 0 ${EMPTY}`));
  expect(daemon.ops('connect')).toHaveLength(2);
});

it('works with createConnection of a single request', async () => {
  const { text, response } = await ask({
    path: '/once',
    createConnection: () => connect({ client, port: 80, host: 'alpha' }),
    headers: { connection: 'close' },
  });
  expect(text).toBe(`GET /once 0 ${EMPTY}`);
  expect(response.headers.connection).toBe('close');
});

it('reports a refused connection on the request', async () => {
  const asked = request({ agent, host: 'alpha', port: 81 });
  asked.end();
  const error = await new Promise((resolve) => asked.once('error', resolve));
  expect(error).toMatchObject({ code: 'ECONNREFUSED', address: 'alpha', port: 81 });
});

it('aborts a request by its signal', async () => {
  http.removeAllListeners('request');
  const controller = new AbortController();
  const asked = request({ agent, host: 'alpha', port: 80, signal: controller.signal });
  asked.end();
  await once(http, 'request');
  controller.abort();
  expect(await new Promise((resolve) => asked.once('error', resolve))).toMatchObject({
    name: 'AbortError',
  });
});

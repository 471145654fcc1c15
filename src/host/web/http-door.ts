/**
 * The daemon's door for machines and browsers: HTTP on a loopback address, for looking only.
 *
 * ```
 *   accept --> head (8 KiB, GET or HEAD) --> Host, Origin --> token --> budget --> page --> close
 *      |              |                           |             |          |
 *      +-- gives way  +-- 400, 405, 414, 431      +-- 403       +-- 401    +-- 429
 *                                                                             or stream
 * ```
 *
 * Every user of the machine can connect to a loopback port, and so can web pages in the browsers of
 * its users, by names that lead there (DNS rebinding): so a request must name a loopback host, and
 * come from no other site. A connection takes one request and lives DEADLINE_MS at most, whatever
 * it sends or reads; of more than CONNECTIONS_MAX the oldest gives way. Event streams live on, at
 * most STREAMS_MAX of them: one more is refused, and one that is not read ends. A browser shows the
 * token once, in the query of a page, and has a cookie of this port then. Nothing can be changed
 * here. What pages there are is pages.ts's.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

import { SpinesError } from '../../core/base/errors.ts';
import { TokenBucket } from '../../core/base/token-bucket.ts';
import { Anteroom } from '../doors/anteroom.ts';
import { stopwatch } from '../system-clock.ts';

/** What a page answers. */
export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  /** Where it is instead, with status 303. */
  readonly location?: string;
}

/** An answer that goes on: server-sent events (WHATWG HTML, section 9.2). */
export interface EventStream {
  /**
   * One event; `data` is one line. False: what was written before is not read yet, and this is not
   * written. It never throws, and does nothing once the stream has ended.
   */
  write(name: string, data: string): boolean;
}

/** What a page may know of its request. */
export interface Asked {
  /** Without what follows "?". */
  readonly path: string;
  readonly accept: string | undefined;
  /** It showed the token, or none is asked for. */
  readonly trusted: boolean;
}

/** Pages behind the door. */
export interface Pages {
  /** Pages for whom no token is asked. */
  isOpen(path: string): boolean;
  /** Null: there is no such page. */
  answer(asked: Asked): Answer | null;
  /**
   * What streams at `path`; null: nothing does. It is called with the stream, and what it returns
   * is called once when that has ended.
   */
  stream?(path: string): ((stream: EventStream) => () => void) | null;
}

export interface HttpDoorEvents {
  /** A request was refused, for the counters and the log. */
  onRefused(why: string): void;
}

export const CONNECTIONS_MAX = 64;
/** From the connection to the last byte of its answer. */
const DEADLINE_MS = 10_000;
export const HEAD_BYTES_MAX = 8_192;
const HEADERS_MAX = 64;
/**
 * Pages a second, of all who ask and show the token, or not; one takes up to some milliseconds of
 * the daemon.
 */
export const PAGES_PER_SECOND = 20;
export const PAGES_BURST = 40;
/** Streams that are open at once; they count as no connections. */
export const STREAMS_MAX = 8;
/** Not read yet, of one stream: no event more is written. */
const STREAM_WAITING_MAX = 262_144;
/** One that has not been read for so long ends. */
const STREAM_STUCK_MS = 30_000;

const HEADERS: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

export class HttpDoor {
  readonly #pages: Pages;
  readonly #events: HttpDoorEvents;
  /** Null: nobody is asked for a token. */
  readonly #isToken: ((shown: string) => boolean) | null;
  /** Of who shows the token, or of all where none is asked for; who shows none has another. */
  readonly #budget = new TokenBucket(PAGES_PER_SECOND, PAGES_BURST);
  readonly #openBudget = new TokenBucket(PAGES_PER_SECOND, PAGES_BURST);
  readonly #streams = new Set<Socket>();
  readonly #deadlines = new WeakMap<Socket, NodeJS.Timeout>();
  readonly #sockets = new Set<Socket>();
  readonly #room = new Anteroom<Socket>(CONNECTIONS_MAX, (socket) => {
    this.#events.onRefused('too many connections, the oldest gave way');
    socket.destroy();
  });
  readonly #deadlineMs: number;
  #server: Server | null = null;

  /**
   * `isToken`: null where no token is asked for. `deadlineMs`: from the connection to the last byte
   * of its answer.
   */
  constructor(
    pages: Pages,
    events: HttpDoorEvents,
    isToken: ((shown: string) => boolean) | null,
    deadlineMs = DEADLINE_MS,
  ) {
    this.#deadlineMs = deadlineMs;
    this.#pages = pages;
    this.#events = events;
    this.#isToken = isToken;
  }

  /** Throws SpinesError when the address can't be had. The port that was taken. */
  async listen(address: string, port: number): Promise<number> {
    const server = createServer(
      {
        maxHeaderSize: HEAD_BYTES_MAX,
        // Deadlines are this door's own, for connections that send nothing as well.
        headersTimeout: 0,
        requestTimeout: 0,
        noDelay: true,
      },
      (request, response) => this.#onRequest(request, response),
    );
    server.maxHeadersCount = HEADERS_MAX;
    server.maxRequestsPerSocket = 1;
    server.on('connection', (socket) => this.#onConnection(socket));
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      this.#refuseBroken(error, socket as Socket);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        reject(
          new SpinesError(
            error.code ?? 'EIO',
            `can't listen for HTTP on ${address}:${port}: ${error.code ?? error.message}; choose ` +
              'another `http` address',
          ),
        );
      });
      server.listen({ host: address, port }, resolve);
    });
    this.#server = server;
    const bound = server.address();
    return typeof bound === 'object' && bound !== null ? bound.port : port;
  }

  async close(): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #onConnection(socket: Socket): void {
    const deadline = setTimeout(() => socket.destroy(), this.#deadlineMs).unref();
    this.#deadlines.set(socket, deadline);
    this.#sockets.add(socket);
    this.#room.enter(socket, '');
    socket.on('close', () => {
      clearTimeout(deadline);
      this.#sockets.delete(socket);
      this.#room.leave(socket);
    });
  }

  /** What is no HTTP, or has too long a head. */
  #refuseBroken({ code }: NodeJS.ErrnoException, socket: Socket): void {
    if (code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    const status =
      code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request';
    this.#events.onRefused(status);
    socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    response.setHeader('connection', 'close');
    const answer = this.#answer(request);
    if (typeof answer === 'function') {
      this.#stream(request, response, answer);
      return;
    }
    if (answer.status === 401)
      response.setHeader('www-authenticate', 'Basic realm="spines", charset="UTF-8"');
    if (answer.status === 405) response.setHeader('allow', 'GET, HEAD');
    if (answer.status === 429 || answer.status === 503) response.setHeader('retry-after', '1');
    if (answer.location !== undefined) response.setHeader('location', answer.location);
    if (answer.cookie !== undefined) response.setHeader('set-cookie', answer.cookie);
    response.setHeader('content-type', answer.type);
    response.setHeader('content-length', Buffer.byteLength(answer.body));
    response.statusCode = answer.status;
    // A body is never read: what is left of it ends with the connection.
    response.end(answer.body, () => request.destroy());
  }

  #stream(request: IncomingMessage, response: ServerResponse, begin: Begin): void {
    const { socket } = request;
    this.#streams.add(socket);
    this.#room.leave(socket);
    clearTimeout(this.#deadlines.get(socket));
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    response.write(': spines\n\n');
    let stuckSince = Infinity;
    const end = begin({
      write: (name, data) => {
        if (socket.destroyed) return false;
        const now = performance.now();
        if (response.writableLength > STREAM_WAITING_MAX) {
          stuckSince = Math.min(stuckSince, now);
          if (now - stuckSince > STREAM_STUCK_MS) socket.destroy();
          return false;
        }
        stuckSince = Infinity;
        response.write(`event: ${name}\ndata: ${data}\n\n`);
        return true;
      },
    });
    socket.once('close', () => {
      this.#streams.delete(socket);
      end();
    });
  }

  #answer(request: IncomingMessage): AnswerWithCookie | Begin {
    const { method, url = '', headers } = request;
    if (method !== 'GET' && method !== 'HEAD')
      return this.#refuse(405, 'only GET and HEAD: nothing can be changed here');
    if (request.rawHeaders.length >= 2 * HEADERS_MAX)
      return this.#refuse(431, `at most ${HEADERS_MAX - 1} header fields are read`);
    if (!namesLoopback(headers.host)) return this.#refuse(403, 'the Host is no loopback name');
    const [path = '', query = ''] = url.split('?', 2);
    if (comesFromElsewhere(headers)) return this.#refuse(403, 'asked by a page of another site');
    const shown = new URLSearchParams(query).get('token');
    const cookie = `spines-${request.socket.localPort}`;
    const trusted =
      this.#isToken === null ||
      this.#isToken(shownIn(headers.authorization)) ||
      this.#isToken(cookieIn(headers.cookie, cookie)) ||
      (shown !== null && this.#isToken(shown));
    if (!trusted && !this.#pages.isOpen(path))
      return this.#refuse(401, "show the token of `http.token` (Bearer, or anybody's password)");
    const budget = trusted ? this.#budget : this.#openBudget;
    if (!budget.take(stopwatch.now())) return this.#refuse(429, 'ask less often');
    // It stays in no history, and in no address that somebody copies.
    if (trusted && this.#isToken !== null && shown !== null && /^\/(?!\/)/.test(path))
      return {
        ...plainAnswer(303, path),
        location: path,
        cookie: `${cookie}=${encodeURIComponent(shown)}; Path=/; HttpOnly; SameSite=Strict`,
      };
    const begin = method === 'GET' ? (this.#pages.stream?.(path) ?? null) : null;
    if (begin !== null)
      return this.#streams.size < STREAMS_MAX
        ? begin
        : this.#refuse(503, `${STREAMS_MAX} dashboards look already; close one`);
    return (
      this.#pages.answer({ path, accept: headers.accept, trusted }) ??
      plainAnswer(404, 'there is no such page; / has a list')
    );
  }

  #refuse(status: number, why: string): Answer {
    this.#events.onRefused(why);
    return plainAnswer(status, why);
  }
}

type Begin = (stream: EventStream) => () => void;
type AnswerWithCookie = Answer & { readonly cookie?: string };

/** An answer of one line. */
export function plainAnswer(status: number, line: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', body: `${line}\n` };
}

/**
 * Whether a Host header names this machine's loopback. Its port may be another one: tunnels have
 * theirs. Names of others that lead here (rebinding) are none.
 */
function namesLoopback(host: string | undefined): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i.test(host ?? '');
}

/** Whether a browser says that another site's page asks (Fetch Metadata; RFC 6454 for older). */
function comesFromElsewhere(headers: IncomingMessage['headers']): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'none' && site !== 'same-origin') return true;
  const { origin, host } = headers;
  return origin !== undefined && origin.toLowerCase() !== `http://${host!.toLowerCase()}`;
}

/** The token of "Bearer TOKEN", or the password of "Basic"; '' without either. */
function shownIn(authorization: string | undefined): string {
  const [, scheme = '', value = ''] =
    /^(Bearer|Basic) +([^ ]+) *$/i.exec(authorization ?? '') ?? [];
  if (scheme.toLowerCase() === 'bearer') return value;
  const decoded = Buffer.from(value, 'base64').toString('utf8');
  return decoded.slice(decoded.indexOf(':') + 1);
}

/** The value of that cookie, '' without it (RFC 6265, section 4.2). */
function cookieIn(header: string | undefined, name: string): string {
  for (const pair of (header ?? '').split(';')) {
    const [key = '', value = ''] = pair.trim().split('=', 2);
    if (key === name)
      try {
        return decodeURIComponent(value);
      } catch {
        return '';
      }
  }
  return '';
}

/**
 * One test body, two libraries: what node:net and node:dgram do, and what spines-client does in
 * their place.
 *
 * A case gives an observation: plain data, compared with what is written beside it. Where the two
 * differ on purpose, the case has both and the sentence of spines-client/README.md that tells users
 * so; difference.test.ts checks that it stands there. What a case opens is closed after it.
 */

import type { EventEmitter } from 'node:events';
import nodeDgram from 'node:dgram';
import nodeNet from 'node:net';
import { test, expect } from 'vitest';

import * as spines from '../../spines-client/src/index.ts';

export interface Difference {
  node: unknown;
  spines: unknown;
  /** A sentence of spines-client/README.md. */
  told: string;
}

export type Dgram = typeof nodeDgram;
export type Net = typeof nodeNet;
export type Library = 'node' | 'spines';

export interface Case {
  name: string;
  run(t: Context): unknown;
  /** Of both, or a Difference. */
  expected: unknown;
}

export class Different implements Difference {
  node: unknown;
  spines: unknown;
  told: string;

  constructor(node: unknown, ours: unknown, told: string) {
    this.node = node;
    this.spines = ours;
    this.told = told;
  }
}

/** Taken for node's below: whether they are is what the cases find out. */
const NETS: Record<Library, unknown> = {
  node: nodeNet,
  spines: {
    connect: spines.connect,
    createConnection: spines.createConnection,
    createServer: spines.createServer,
    Socket: spines.SpinesSocket,
    Server: spines.SpinesServer,
  },
};
const DGRAMS: Record<Library, unknown> = {
  node: nodeDgram,
  spines: { createSocket: spines.createSocket, Socket: spines.SpinesDatagram },
};

export class Context {
  readonly library: Library;
  readonly net: Net;
  readonly dgram: Dgram;
  /** The local machine, or node. */
  readonly host = '127.0.0.1';
  #cleanups: (() => unknown)[] = [];

  constructor(library: Library) {
    this.library = library;
    this.net = NETS[library] as Net;
    this.dgram = DGRAMS[library] as Dgram;
  }

  /**
   * Closed, destroyed or what else it can when the case is over. What it has to complain about
   * nobody hears.
   */
  keep<T extends object>(opened: T): T {
    const thing = opened as {
      destroy?(): void;
      close?(done?: () => void): void;
      on?: EventEmitter['on'];
    };
    this.#cleanups.push(() => {
      thing.on?.('error', () => {});
      try {
        if (thing.destroy !== undefined) thing.destroy();
        else thing.close?.();
      } catch {
        // Closed already.
      }
    });
    return opened;
  }

  after(cleanup: () => unknown): void {
    this.#cleanups.push(cleanup);
  }

  async end(): Promise<void> {
    for (const cleanup of this.#cleanups.reverse()) await cleanup();
  }

  /** A listening server and its port; sockets that it accepts are destroyed in the end. */
  async server(
    onConnection: (socket: nodeNet.Socket) => void = () => {},
    options: nodeNet.ServerOpts = {},
  ): Promise<{ server: nodeNet.Server; port: number }> {
    const server = this.keep(
      this.net.createServer(options, (socket) => {
        this.keep(socket);
        onConnection(socket);
      }),
    );
    server.listen(0, this.host);
    await once(server, 'listening');
    return { server, port: (server.address() as nodeNet.AddressInfo).port };
  }

  /** Both ends of a stream. */
  async pair(
    options: nodeNet.ServerOpts & nodeNet.SocketConstructorOpts = {},
  ): Promise<{ near: nodeNet.Socket; far: nodeNet.Socket; server: nodeNet.Server; port: number }> {
    let accepted!: (socket: nodeNet.Socket) => void;
    const coming = new Promise<nodeNet.Socket>((resolve) => {
      accepted = resolve;
    });
    const { server, port } = await this.server((socket) => accepted(socket), options);
    const near = this.keep(
      this.net.connect({ ...options, port, host: this.host } as nodeNet.NetConnectOpts),
    );
    const [far] = await Promise.all([coming, once(near, 'connect')]);
    return { near, far, server, port };
  }

  /** A port at which nobody listens. */
  async freePort(): Promise<number> {
    const { server, port } = await this.server();
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
    return port;
  }

  socket(options: nodeDgram.SocketType | nodeDgram.SocketOptions = 'udp4'): nodeDgram.Socket {
    return this.keep(this.dgram.createSocket(options as nodeDgram.SocketOptions));
  }

  async bound(
    options?: nodeDgram.SocketType | nodeDgram.SocketOptions,
  ): Promise<{ socket: nodeDgram.Socket; port: number }> {
    const socket = this.socket(options);
    socket.bind(0, this.host);
    await once(socket, 'listening');
    return { socket, port: socket.address().port };
  }
}

/** The arguments of the next `event`; an 'error' that is not asked for rejects. */
export function once(emitter: object, event: string): Promise<unknown[]> {
  const on = emitter as EventEmitter;
  return new Promise((resolve, reject) => {
    const settle =
      (then: (value: never) => void) =>
      (...args: unknown[]): void => {
        on.removeListener(event, happened).removeListener('error', failed);
        then((then === (reject as never) ? args[0] : args) as never);
      };
    const happened = settle(resolve as (value: never) => void);
    const failed = settle(reject as (value: never) => void);
    on.on(event, happened);
    if (event !== 'error') on.on('error', failed);
  });
}

/** What a call throws, as [name, code]; what it gives otherwise is closed. */
export function thrown(t: Context, call: () => unknown): unknown {
  try {
    const given = call();
    if (typeof given === 'object' && given !== null) t.keep(given);
    (given as EventEmitter | undefined)?.on?.('error', () => {});
    return 'nothing';
  } catch (error) {
    const { name, code } = error as Error & { code?: string };
    return [name === 'SpinesClientError' ? 'Error' : name, code];
  }
}

/** Names of the events that come, in their order, until `last` of them. */
export function events(emitter: object, names: readonly string[]): string[] {
  const log: string[] = [];
  for (const name of names) (emitter as EventEmitter).on(name, () => log.push(name));
  return log;
}

/** All that a socket says until its end. */
export async function text(socket: nodeNet.Socket): Promise<string> {
  let all = '';
  for await (const chunk of socket) all += String(chunk);
  return all;
}

/** A few turns of the event loop, for what must not happen in them. */
export async function turns(count = 5): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** One test for each case and library; `together`: several at a time. */
export function runCases(cases: readonly Case[], together = false): void {
  for (const { name, run, expected } of cases) {
    for (const library of ['node', 'spines'] as const) {
      (together ? test.concurrent : test)(
        `${name} (${library})`,
        async () => {
          const t = new Context(library);
          try {
            const want = expected instanceof Different ? expected[library] : expected;
            expect(await run(t)).toEqual(want);
          } finally {
            await t.end();
          }
        },
        20_000,
      );
    }
  }
}

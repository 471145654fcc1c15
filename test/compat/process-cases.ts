/**
 * What keeps a process running, and what lets it go: each case is a program of its own, in a worker
 * whose event loop ends as a process's does. Observed is whether it ends by itself.
 */

import type { Socket as Datagram } from 'node:dgram';
import type { Server, Socket } from 'node:net';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';

import { Different } from './harness.ts';
import type { Case, Context, Dgram, Net } from './harness.ts';

interface Program {
  net: Net;
  dgram: Dgram;
  host: string;
  /**
   * Ports of servers elsewhere: one that accepts and says nothing, one that sends a megabyte, one
   * that ends at once.
   */
  silent: number;
  flood: number;
  ends: number;
  /** Called when the program has come to where it is to be seen whether it goes on. */
  settled(): void;
}

const LIBRARY = pathToFileURL(
  fileURLToPath(new URL('../../spines-client/dist/index.js', import.meta.url)),
).href;
/**
 * A program that does not end shows it after this long; one that ends has as long as a busy machine
 * may need.
 */
const STAYS_MS = 250;
const ENDS_MS = 8_000;

const RUNNER = `
  const { workerData, parentPort } = require('node:worker_threads');
  const { source, library, url, waitMs, ...ports } = workerData;
  void (async () => {
    const spines = library === 'spines' ? await import(url) : null;
    const net = spines === null ? require('node:net') : { ...spines, Socket: spines.SpinesSocket };
    const dgram = spines ?? require('node:dgram');
    const leave = () => { parentPort.postMessage('stays'); process.exit(); };
    const settled = () => { setTimeout(leave, waitMs).unref(); };
    await eval('(' + source + ')')({ net, dgram, settled, ...ports });
  })();
`;

function program(
  name: string,
  source: (p: Program) => unknown,
  expected: 'ends' | 'stays' | Different,
): Case {
  return {
    name: `a process ${name}`,
    async run(t: Context) {
      const text = source.toString();
      const port = async (
        name: string,
        serve: (far: Socket) => void,
        options = {},
      ): Promise<number> =>
        text.includes(name)
          ? (await t.server((far) => serve(far.on('error', () => {})), options)).port
          : 0;
      const silent = await port('silent', () => {}, { allowHalfOpen: true });
      const flood = await port('flood', (far) => {
        far.write(Buffer.alloc(1_000_000));
      });
      const ends = await port('ends', (far) => {
        far.resume().end();
      });
      const wanted = expected instanceof Different ? expected[t.library] : expected;
      const workerData = {
        source: text,
        library: t.library,
        url: LIBRARY,
        waitMs: wanted === 'stays' ? STAYS_MS : ENDS_MS,
        host: t.host,
        silent,
        flood,
        ends,
      };
      const worker = new Worker(RUNNER, { eval: true, workerData, stderr: true, env: process.env });
      return await new Promise((resolve) => {
        let seen = 'ends';
        worker.on('message', (message: string) => {
          seen = message;
        });
        worker.on('error', (error) => {
          seen = error.message;
        });
        worker.on('exit', () => resolve(seen));
      });
    },
    expected,
  };
}

export const processCases: Case[] = [
  program(
    'with a stream socket that was never connected ends',
    ({ net, settled }) => {
      new net.Socket();
      settled();
    },
    'ends',
  ),
  program(
    'with a datagram socket that was never bound ends',
    ({ dgram, settled }) => {
      dgram.createSocket('udp4');
      settled();
    },
    'ends',
  ),
  program(
    'with a server that never listened ends',
    ({ net, settled }) => {
      net.createServer();
      settled();
    },
    'ends',
  ),
  program(
    'with a listening server stays',
    ({ net, settled }) => {
      net.createServer().listen(0, settled);
    },
    'stays',
  ),
  program(
    'with a listening server, unref, ends',
    ({ net, settled }) => {
      net.createServer().listen(0, settled).unref();
      settled();
    },
    'ends',
  ),
  program(
    'with a listening server, unref and ref, stays',
    ({ net, settled }) => {
      net.createServer().listen(0, settled).unref().ref();
    },
    'stays',
  ),
  program(
    'with a listening server, unref later, ends',
    ({ net, settled }) => {
      const server: Server = net.createServer().listen(0, () => {
        server.unref();
        settled();
      });
    },
    'ends',
  ),
  program(
    'with a server that has closed ends',
    ({ net, settled }) => {
      const server: Server = net.createServer().listen(0, () => {
        server.close(settled);
      });
    },
    'ends',
  ),
  program(
    'with a bound datagram socket stays',
    ({ dgram, settled }) => {
      dgram.createSocket('udp4').bind(0, settled);
    },
    'stays',
  ),
  program(
    'with a bound datagram socket, unref, ends',
    ({ dgram, settled }) => {
      const socket: Datagram = dgram.createSocket('udp4').bind(0, () => {
        socket.unref();
        settled();
      });
    },
    'ends',
  ),
  program(
    'with a closed datagram socket ends',
    ({ dgram, settled }) => {
      const socket: Datagram = dgram.createSocket('udp4').bind(0, () => {
        socket.close(settled);
      });
    },
    'ends',
  ),
  program(
    'with a connected stream that it reads stays',
    ({ net, silent, host, settled }) => {
      net.connect(silent, host, settled).resume();
    },
    'stays',
  ),
  program(
    'with a connected stream that it does not listen to stays',
    ({ net, silent, host, settled }) => {
      net.connect(silent, host, settled);
    },
    'stays',
  ),
  program(
    'with a connected stream, unref, ends',
    ({ net, silent, host, settled }) => {
      const socket: Socket = net
        .connect(silent, host, () => {
          socket.unref();
          settled();
        })
        .resume();
    },
    'ends',
  ),
  program(
    'with a connected stream, unref and ref, stays',
    ({ net, silent, host, settled }) => {
      const socket: Socket = net
        .connect(silent, host, () => {
          socket.unref().ref();
          settled();
        })
        .resume();
    },
    'stays',
  ),
  program(
    'with a connecting stream, unref, ends',
    ({ net, silent, host, settled }) => {
      net.connect(silent, host).unref();
      settled();
    },
    'ends',
  ),
  program(
    'with a stream that is paused before it connects ends',
    ({ net, silent, host, settled }) => {
      net.connect(silent, host, settled).pause();
    },
    'ends',
  ),
  program(
    'with a stream nobody reads, its buffer full, ends',
    ({ net, flood, host, settled }) => {
      net.connect(flood, host, settled);
    },
    'ends',
  ),
  program(
    'with a stream nobody reads that has ended at the far end ends',
    ({ net, ends, host, settled }) => {
      const socket: Socket = net.connect({ port: ends, host, allowHalfOpen: true }, settled);
      void socket;
    },
    'ends',
  ),
  program(
    'with an ended stream whose far end goes on stays',
    ({ net, silent, host, settled }) => {
      net.connect(silent, host, settled).resume().end();
    },
    'stays',
  ),
  program(
    'with a destroyed stream ends',
    ({ net, silent, host, settled }) => {
      const socket: Socket = net.connect(silent, host, () => {
        socket.destroy();
        settled();
      });
    },
    'ends',
  ),
  program(
    'with a refused stream ends',
    ({ net, host, settled }) => {
      net.connect(1, host).on('error', settled);
    },
    'ends',
  ),
  program(
    'whose server has closed and whose streams are read stays',
    ({ net, host, settled }) => {
      const server: Server = net.createServer((far) => {
        far.resume();
        server.close();
        settled();
      });
      server.listen(0, () => {
        net.connect((server.address() as { port: number }).port, host).resume();
      });
    },
    'stays',
  ),
  program(
    'whose server has closed and whose streams are done ends',
    ({ net, host, settled }) => {
      const server: Server = net.createServer((far) => {
        far.resume().end();
        server.close(settled);
      });
      server.listen(0, () => {
        net.connect((server.address() as { port: number }).port, host).resume();
      });
    },
    'ends',
  ),
  program(
    'whose accepted stream nobody reads, and that has ended, ends',
    ({ net, host, settled }) => {
      const server: Server = net.createServer((far) => {
        far.end();
      });
      server.listen(0, () => {
        const near: Socket = net.connect((server.address() as { port: number }).port, host);
        near.write('x');
        near
          .on('end', () => {
            server.close();
            settled();
          })
          .resume();
      });
    },
    'ends',
  ),
];

/**
 * Streams over real daemons: programs nobody here wrote (curl, iperf3) through tunnels over a chain
 * that loses 1 % on every link, and a transit daemon killed under a file. SPINES_LONG runs iperf3
 * for 10 s instead of 2.
 */

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import { createServer, connect, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { identityConfig, makeTemporaryNetwork } from '../../src/cli/replay/temporary-network.ts';
import { freePorts, RealDaemon, RealNetwork, spines, type Ran } from '../support/processes.ts';

const PROGRAM = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const MB = 1024 * 1024;
const IPERF_SECONDS = process.env['SPINES_LONG'] === '1' ? 10 : 2;

const has = (program: string): boolean => spawnSync('which', [program]).status === 0;
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Runs another program to its end. */
function run(program: string, args: readonly string[]): Promise<Ran> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const out: Buffer[] = [];
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.on('close', (code) => resolve({ code, stdout: Buffer.concat(out), stderr }));
  });
}

/** A `spines` command that runs on, until `close`. */
class Running {
  log = '';
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;

  constructor(args: readonly string[]) {
    this.child = spawn(process.execPath, [PROGRAM, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.child.stderr!.on('data', (chunk: Buffer) => {
      this.log += chunk.toString();
    });
    this.ended = new Promise((resolve) => this.child.once('close', (code) => resolve(code)));
  }

  /** Waits until `pattern` is on stderr. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.log);
      if (match !== null) return match;
      if (this.child.exitCode !== null)
        throw new Error(`ended with ${this.child.exitCode}: ${this.log}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async close(): Promise<number | null> {
    this.child.kill('SIGTERM');
    return this.ended;
  }
}

/** Four daemons in a chain; every direction of every link has 1 ms and loses 1 %. */
async function lossyChain(network: RealNetwork): Promise<void> {
  const ports = await freePorts(4);
  makeTemporaryNetwork(
    'e2e',
    ports.map((_, i) => ({ name: `n${i}`, id: 0x0a00_0001 + i, folder: network.identityOf(i) })),
  );
  ports.forEach((port, i) => {
    const neighbours = [i - 1, i + 1].filter((n) => n >= 0 && n < 4);
    const socket = join(network.folder, `n${i}.sock`);
    const file = join(network.folder, `n${i}.yaml`);
    writeFileSync(
      file,
      [
        `identity: ${JSON.stringify(identityConfig(network.identityOf(i)))}`,
        `listen: ["127.0.0.1:${port}"]`,
        `client: { socket: ${socket} }`,
        `links: [${i === 0 ? '' : `{ address: "127.0.0.1:${ports[i - 1]!}" }`}]`,
        'emulation:',
        `  seed: ${i + 1}`,
        '  links:',
        ...neighbours.map(
          (n) => `    - { peer: "127.0.0.1:${ports[n]!}", latency: 1ms, loss: 1% }`,
        ),
        '',
      ].join('\n'),
    );
    const daemon = new RealDaemon(`n${i}`, port, socket, ['--config', file]);
    network.daemons.push(daemon);
    daemon.start();
  });
  await network.converged();
}

/** Waits until somebody listens at a stream port of `daemon`. */
async function listening(daemon: RealDaemon, port: number): Promise<void> {
  const client = await daemon.connect();
  for (;;) {
    const { sessions } = (await client.request('sessions')) as {
      sessions: { kind: string; port: number }[];
    };
    if (sessions.some((row) => row.kind === 'listener' && row.port === port)) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await client.close();
}

describe('over a chain of four daemons with 1 % loss on every link', () => {
  const network = new RealNetwork();
  const running: Running[] = [];
  const file = randomBytes(50 * MB);
  const web = http.createServer((request, response) => {
    if (request.url === '/file') response.end(file);
    else if (request.url === '/page') response.end('<p>hello from behind the overlay</p>');
    else response.writeHead(404).end();
  });
  let webPort = 0,
    iperfPort = 0,
    closedPort = 0,
    otherPort = 0;
  let near = '',
    far = '';

  beforeAll(async () => {
    await lossyChain(network);
    near = network.daemons[0]!.socket;
    far = network.daemons[3]!.socket;
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
    webPort = (web.address() as AddressInfo).port;
    const probes = await Promise.all(
      [0, 1, 2].map(async () => {
        const probe = createServer();
        await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
        return probe;
      }),
    );
    [iperfPort, closedPort, otherPort] = probes.map(
      (probe) => (probe.address() as AddressInfo).port,
    ) as [number, number, number];
    await Promise.all(probes.map((probe) => new Promise((resolve) => probe.close(resolve))));
    await start(
      [
        'expose',
        '--allow',
        `127.0.0.1:${webPort}`,
        '--allow',
        `localhost:*`,
        '--allow',
        `127.0.0.1:${iperfPort}`,
        '--allow',
        `127.0.0.1:${closedPort}`,
        '-v',
        '--socket',
        far,
      ],
      /^exposing /m,
    );
  }, 60_000);

  afterAll(async () => {
    await Promise.all(running.map((command) => command.close()));
    web.close();
    await network.close();
  });

  async function start(args: readonly string[], ready: RegExp): Promise<Running> {
    const command = new Running(args);
    running.push(command);
    await command.says(ready);
    return command;
  }

  /** A `spines forward` to `target`; returns its local port. */
  async function forward(target: string): Promise<number> {
    const command = await start(
      ['forward', '0', 'n3', target, '--socket', near],
      /^listening on /m,
    );
    return Number((await command.says(/127\.0\.0\.1:(\d+)/))[1]);
  }

  async function socks(): Promise<number> {
    const command = await start(
      ['socks', '0', '--exit', 'n3', '--socket', near],
      /^listening on /m,
    );
    return Number((await command.says(/127\.0\.0\.1:(\d+)/))[1]);
  }

  test.skipIf(!has('curl'))(
    'curl downloads 50 MB through spines forward unharmed (needs curl)',
    async () => {
      const port = await forward(`127.0.0.1:${webPort}`);
      const began = performance.now();
      const got = await run('curl', ['-sS', '--max-time', '120', `http://127.0.0.1:${port}/file`]);
      const seconds = (performance.now() - began) / 1_000;
      console.log(
        `curl got ${got.stdout.length} bytes through the tunnel in ${seconds.toFixed(1)} s ` +
          `(${((got.stdout.length * 8) / seconds / 1e6).toFixed(1)} Mbit/s)`,
      );
      expect(got).toMatchObject({ code: 0, stderr: '' });
      expect(sha256(got.stdout)).toBe(sha256(file));
    },
    150_000,
  );

  test.skipIf(!has('iperf3'))(
    `iperf3 runs ${IPERF_SECONDS} s both ways through spines forward (needs iperf3)`,
    async () => {
      const port = await forward(`127.0.0.1:${iperfPort}`);
      for (const direction of [[], ['-R']]) {
        const server = spawn(
          'iperf3',
          ['-s', '-1', '-p', String(iperfPort), '-B', '127.0.0.1', '--forceflush'],
          { stdio: ['ignore', 'pipe', 'ignore'] },
        );
        try {
          await new Promise<void>((resolve) => server.stdout.once('data', () => resolve()));
          const ran = await run('timeout', [
            '60',
            'iperf3',
            '-c',
            '127.0.0.1',
            '-p',
            String(port),
            '-t',
            String(IPERF_SECONDS),
            '-J',
            ...direction,
          ]);
          const { error, end } = JSON.parse(ran.stdout.toString()) as {
            error?: string;
            end: { sum_received?: { bits_per_second: number } };
          };
          expect(error).toBeUndefined();
          expect(ran.code).toBe(0);
          const rate = end.sum_received!.bits_per_second / 1e6;
          console.log(`iperf3 ${direction[0] ?? 'forward'}: ${rate.toFixed(1)} Mbit/s received`);
          expect(rate).toBeGreaterThan(0.5);
        } finally {
          server.kill('SIGKILL');
        }
      }
    },
    150_000,
  );

  test.skipIf(!has('curl'))(
    'curl loads a page through spines socks, ' +
      'by address and by name, and is told what is refused (needs curl)',
    async () => {
      const proxy = `127.0.0.1:${await socks()}`;
      const load = (scheme: string, host: string): Promise<Ran> =>
        run('curl', [
          '-sS',
          '--max-time',
          '30',
          '--proxy',
          `${scheme}://${proxy}`,
          `http://${host}/page`,
        ]);
      for (const [scheme, host] of [
        ['socks5', `127.0.0.1:${webPort}`],
        ['socks5h', `localhost:${webPort}`],
      ] as const) {
        const got = await load(scheme, host);
        expect(got).toMatchObject({ code: 0, stderr: '' });
        expect(got.stdout.toString()).toContain('hello from behind the overlay');
      }
      // curl: "cannot complete SOCKS5 connection ... (2)" names the reply code.
      for (const [host, code] of [
        [`127.0.0.1:${otherPort}`, 2],
        [`127.0.0.1:${closedPort}`, 5],
      ] as const) {
        const refused = await load('socks5', host);
        expect(refused.code).toBe(97);
        expect(refused.stderr).toContain(`(${code})`);
      }
    },
    60_000,
  );

  test(
    'a target that is not allowed is not even looked up, ' + 'and the connection is reset',
    async () => {
      const command = await start(
        ['forward', '0', 'n3', `127.0.0.1:${otherPort}`, '-v', '--socket', near],
        /^listening on /m,
      );
      const port = Number((await command.says(/127\.0\.0\.1:(\d+)/))[1]);
      let reached = 0;
      const other = createServer(() => {
        reached += 1;
      });
      await new Promise<void>((resolve) => other.listen(otherPort, '127.0.0.1', resolve));
      const code = await new Promise<string>((resolve) => {
        const socket = connect(port, '127.0.0.1', () => socket.write('hello'));
        socket
          .on('error', (error: NodeJS.ErrnoException) => resolve(error.code!))
          .on('end', () => resolve('end'))
          .resume();
      });
      other.close();
      expect(code).toBe('ECONNRESET');
      expect(reached).toBe(0);
      await command.says(/not allowed/);
      await running[0]!.says(/not allowed/);
    },
  );

  test('each direction of a tunnel ends by itself', async () => {
    const echo = createServer({ allowHalfOpen: true }, (socket) => {
      const got: Buffer[] = [];
      socket
        .on('data', (chunk: Buffer) => got.push(chunk))
        .on('end', () => socket.end(`${Buffer.concat(got).length} bytes`));
    });
    await new Promise<void>((resolve) => echo.listen(0, resolve));
    const port = await forward(`localhost:${(echo.address() as AddressInfo).port}`);
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () =>
        socket.end(Buffer.alloc(300_000)),
      );
      let text = '';
      socket
        .on('data', (chunk: Buffer) => {
          text += chunk.toString();
        })
        .on('end', () => resolve(text))
        .on('error', reject);
    });
    echo.close();
    expect(answer).toBe('300000 bytes');
  });

  test('a target that does not read stops the sender, ' +
    'and holds up no other connection', async () => {
    const deaf = createServer((socket) => {
      socket.pause();
    });
    await new Promise<void>((resolve) => deaf.listen(0, resolve));
    const deafPort = await forward(`localhost:${(deaf.address() as AddressInfo).port}`);
    const pagePort = await forward(`127.0.0.1:${webPort}`);
    const socket = connect(deafPort, '127.0.0.1');
    socket.on('error', () => {});
    // Kernel buffers at both ends take some megabytes; the rest must wait here.
    socket.write(Buffer.alloc(40 * MB));
    const blocked = async (): Promise<Record<string, unknown> | undefined> => {
      const ran = await spines(['sessions', '--json', '--socket', near]);
      const { schema, sessions } = JSON.parse(ran.stdout.toString()) as {
        schema: number;
        sessions: Record<string, unknown>[];
      };
      expect(schema).toBe(1);
      return sessions.find(
        (row) =>
          row['kind'] === 'stream' &&
          row['remotePort'] === 6_000 &&
          row['limitedBy'] === 'receiver window',
      );
    };
    for (let sent: unknown = -1; ; ) {
      const page = await new Promise<string>((resolve, reject) => {
        http
          .get({ port: pagePort, host: '127.0.0.1', path: '/page', agent: false }, (response) => {
            response.on('data', (chunk: Buffer) => resolve(chunk.toString()));
          })
          .on('error', reject);
      });
      expect(page).toContain('hello');
      const row = await blocked();
      if (row !== undefined && row['sent'] === sent) {
        expect(row).toMatchObject({
          state: 'established',
          client: 'spines forward',
          remoteNode: '10.0.0.4',
          remoteName: 'n3',
          link: 'reliable',
        });
        break;
      }
      sent = row?.['sent'];
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(socket.writableLength).toBeGreaterThan(0);
    socket.destroy();
    deaf.close();
  }, 60_000);

  test('spines cat carries both directions at once, and paces them where asked', async () => {
    const up = randomBytes(2 * MB),
      down = randomBytes(3 * MB);
    const listener = spines(['cat', '--listen', '7001', '--socket', far], { input: down });
    await listening(network.daemons[3]!, 7001);
    const sender = await spines(['cat', 'n3', '7001', '--rate', '20mbit', '-v', '--socket', near], {
      input: up,
    });
    const received = await listener;
    expect(sender.stderr).toMatch(
      /^connected to n3 port 7001\nsent 2097152 bytes .*\nreceived 3145728 bytes .*\n$/,
    );
    const seconds = Number(/sent .* in ([\d.]+) s/.exec(sender.stderr)![1]);
    expect(seconds).toBeGreaterThan(0.75);
    expect([sender.code, received.code, received.stderr]).toEqual([0, 0, '']);
    expect(sha256(sender.stdout)).toBe(sha256(down));
    expect(sha256(received.stdout)).toBe(sha256(up));
  }, 60_000);

  test('spines cat that is killed or interrupted in the middle leaves no end that looks like ' +
    'one: ' +
    'the receiver keeps what came and exits with 1', async () => {
    const cases = [
      ['SIGKILL', 7_011],
      ['SIGINT', 7_012],
    ] as const;
    await Promise.all(
      cases.map(async ([signal, port]) => {
        const listener = spawn(
          process.execPath,
          [PROGRAM, 'cat', '--listen', String(port), '--socket', far],
          { stdio: ['ignore', 'pipe', 'pipe'] },
        );
        let stderr = '',
          out = '';
        listener.stderr.on('data', (chunk: Buffer) => {
          stderr += chunk.toString();
        });
        const came = new Promise<void>((resolve) =>
          listener.stdout.on('data', (chunk: Buffer) => {
            out += chunk.toString();
            if (out.length === 4) resolve();
          }),
        );
        const ended = new Promise<number | null>((resolve) => listener.once('close', resolve));
        await listening(network.daemons[3]!, port);
        const sender = spawn(
          process.execPath,
          [PROGRAM, 'cat', 'n3', String(port), '--socket', near],
          { stdio: ['pipe', 'ignore', 'ignore'] },
        );
        sender.stdin.write('part');
        await came;
        sender.kill(signal);
        expect(await ended, signal).toBe(1);
        expect(out).toBe('part');
        expect(stderr).toMatch(
          /^spines: .* ended the stream: its program or its daemon stopped; .*\n$/,
        );
      }),
    );
  }, 60_000);

  test('a listener that stays takes one stream after the other', async () => {
    const out: Buffer[] = [];
    const child = spawn(
      process.execPath,
      [PROGRAM, 'cat', '--listen', '7002', '-k', '--socket', far],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    await listening(network.daemons[3]!, 7002);
    for (const text of ['one ', 'two '])
      expect(
        await spines(['cat', 'n3', '7002', '--socket', near], { input: Buffer.from(text) }),
      ).toMatchObject({ code: 0, stderr: '' });
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect(Buffer.concat(out).toString()).toBe('one two ');
  });
});

test('a 20 MB stream through a ring survives the ' +
  'kill of a transit daemon, complete and equal', async () => {
  const network = new RealNetwork();
  try {
    await network.start(6, [
      [0, 1],
      [1, 2],
      [2, 3],
      [3, 4],
      [4, 5],
      [5, 0],
    ]);
    await network.converged();
    const from = await network.daemons[0]!.connect();
    const { routes } = await from.request('routes');
    const via = routes.find((route) => route.node === '10.0.0.4')!.nextHop!;
    await from.close();
    const victim = network.daemons[Number(via.split('.')[3]) - 1]!;
    const file = randomBytes(20 * MB);
    const child = spawn(
      process.execPath,
      [PROGRAM, 'cat', '--listen', '7000', '--socket', network.daemons[3]!.socket],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const chunks: Buffer[] = [];
    let bytes = 0,
      stall = 0,
      lastAt = 0,
      killed: Promise<void> | null = null,
      killedAt = Infinity;
    child.stdout.on('data', (chunk: Buffer) => {
      const now = performance.now();
      if (now > killedAt) stall = Math.max(stall, now - Math.max(lastAt, killedAt));
      lastAt = now;
      chunks.push(chunk);
      bytes += chunk.length;
      if (killed !== null || bytes < 5 * MB) return;
      killed = victim.end('SIGKILL');
      killedAt = now;
    });
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    await listening(network.daemons[3]!, 7000);
    const sender = await spines(
      ['cat', 'n3', '7000', '--rate', '40mbit', '--socket', network.daemons[0]!.socket],
      { input: file },
    );
    expect(sender).toMatchObject({ code: 0, stderr: '' });
    expect(await ended).toBe(0);
    await killed;
    console.log(
      `killed ${victim.name} after 5 MB: ${bytes} bytes arrived, longest silence ` +
        `${Math.round(stall)} ms`,
    );
    expect(killed).not.toBeNull();
    expect(sha256(Buffer.concat(chunks))).toBe(sha256(file));
    expect(stall).toBeLessThan(1_500);
  } finally {
    await network.close();
  }
}, 120_000);

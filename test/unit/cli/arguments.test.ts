/** Arguments: what is accepted, what is refused and with which words and exit code. */

import { InvalidArgumentError } from 'commander';
import { SpinesClientError } from 'spines-client';
import { afterEach, describe, expect, it, vi } from 'vitest';

import { SpinesError } from '../../../src/core/base/errors.ts';
import { overridesOf } from '../../../src/cli/daemon.ts';
import { Failure, toFailure } from '../../../src/cli/terminal/failure.ts';
import { run } from '../../../src/cli/program.ts';
import { refuseUnavailable } from '../../../src/cli/replay/replay-real.ts';
import { loadTopology } from '../../../src/cli/replay/replay.ts';
import {
  bandwidthArg,
  delayMsArg,
  durationArg,
  hostPortArg,
  integerArg,
  percentArg,
  portArg,
  rateArg,
  silenceMsArg,
  sizeArg,
} from '../../../src/cli/terminal/values.ts';

describe('values', () => {
  it('are read with their units', () => {
    expect([
      durationArg('500ms'),
      durationArg('2'),
      durationArg('0.2'),
      durationArg('1.5m'),
    ]).toEqual([500_000, 2_000_000, 200_000, 90_000_000]);
    expect([silenceMsArg('5'), silenceMsArg('1500ms'), silenceMsArg('24h')]).toEqual([
      5_000, 1_500, 86_400_000,
    ]);
    expect([delayMsArg('10'), delayMsArg('250us'), delayMsArg('0')]).toEqual([10, 0.25, 0]);
    expect([rateArg('40mbit'), rateArg('500kbps')]).toEqual([40_000, 500]);
    expect([bandwidthArg('10mbit'), bandwidthArg('unlimited')]).toEqual([10_000, null]);
    expect([percentArg('1%'), percentArg('0.5')]).toEqual([1, 0.5]);
    expect(sizeArg(1, 65_536)('64KiB')).toBe(65_536);
    expect(portArg('65535')).toBe(65_535);
    expect(hostPortArg('localhost:1')).toEqual({ host: 'localhost', port: 1 });
    expect(hostPortArg('[::1]:80')).toEqual({ host: '::1', port: 80 });
  });

  it('out of range, or of another kind, are refused', () => {
    const refused: [(text: string) => unknown, string[]][] = [
      [durationArg, ['0', '-1s', 'soon', '']],
      [silenceMsArg, ['0', '999ms', '-5s', '25h', 'never']],
      [delayMsArg, ['-1', 'x']],
      [rateArg, ['40', '0mbit', 'fast']],
      [bandwidthArg, ['0.1kbit', '10']],
      [percentArg, ['101', '-1', '5x']],
      [sizeArg(1, 65_536), ['0', '65537', '1.5x']],
      [portArg, ['0', '65536', '1e3', '']],
      [integerArg(1, 5), ['6', '1.5', '0x1']],
      [hostPortArg, ['localhost', ':1', 'a:b:1', '[::1]', 'h:0', 'h:65536']],
    ];
    for (const [parse, texts] of refused)
      for (const text of texts) expect(() => parse(text), text).toThrow(InvalidArgumentError);
  });
});

it('flags of the daemon become changes to its config file', () => {
  expect(overridesOf({ name: 'a', link: ['127.0.0.1:1'], allowEmulation: true })).toEqual([
    { flag: '--name', path: ['name'], value: 'a' },
    { flag: '--link', path: ['links'], value: [{ address: '127.0.0.1:1' }] },
    { flag: '--allow-emulation', path: ['emulation', 'allow'], value: true },
  ]);
});

describe('failures', () => {
  const codeOf = (error: unknown): [number, string] => [
    toFailure(error).exitCode,
    toFailure(error).code,
  ];

  it('have the exit codes that scripts rely on', () => {
    expect(
      codeOf(
        new SpinesClientError('ENOENT', 'no daemon answers at x; start one', {
          syscall: 'connect',
        }),
      ),
    ).toEqual([3, 'ENOENT']);
    expect(
      codeOf(new SpinesClientError('ETIMEDOUT', 'no greeting', { syscall: 'connect' })),
    ).toEqual([3, 'ETIMEDOUT']);
    expect(
      codeOf(new SpinesClientError('ECONNRESET', 'gone', { syscall: 'request ping' })),
    ).toEqual([3, 'ECONNRESET']);
    expect(
      codeOf(new SpinesClientError('ETIMEDOUT', 'no answer', { syscall: 'request ping' })),
    ).toEqual([1, 'ETIMEDOUT']);
    expect(
      codeOf(new SpinesClientError('ENOTFOUND', 'unknown node', { syscall: 'request resolve' })),
    ).toEqual([1, 'ENOTFOUND']);
    expect(
      codeOf(new SpinesClientError('EPERM', 'not allowed', { syscall: 'request linkSet' })),
    ).toEqual([2, 'EPERM']);
    expect(codeOf(new SpinesError('ECONFIG', 'd.yaml:1:2: id: is missing'))).toEqual([
      2,
      'ECONFIG',
    ]);
    expect(
      codeOf(
        Object.assign(new Error('bind EADDRINUSE 127.0.0.1:1'), {
          code: 'EADDRINUSE',
          syscall: 'bind',
        }),
      ),
    ).toEqual([2, 'EADDRINUSE']);
    expect(codeOf(new TypeError('x is undefined'))).toEqual([70, 'EBUG']);
    expect(codeOf('text')).toEqual([70, 'EBUG']);
  });

  it('are one line that says what to do next', () => {
    for (const error of [
      new SpinesClientError('ENOTFOUND', 'no node is called x', { syscall: 'request resolve' }),
      new SpinesClientError('EPERM', 'emulation is not allowed', { syscall: 'request linkSet' }),
      new SpinesClientError('EWHATEVER', 'two\nlines', { syscall: 'request status' }),
      new SpinesError('EINVAL', 'link loss must be in 0..100 %'),
      new SpinesError('ECONFIG', 'd.yaml:1:2: id: is missing\nd.yaml:2:2: x: unknown key'),
    ])
      expect(toFailure(error).message).toMatch(/^[^\n]+; [^\n]+$/);
  });

  it('of a config file list every fault before the summary', () => {
    const failure = toFailure(
      new SpinesError('ECONFIG', 'd.yaml:1:2: id: is missing\nd.yaml:2:2: x: unknown key'),
    );
    expect(failure.details).toEqual(['d.yaml:1:2: id: is missing', 'd.yaml:2:2: x: unknown key']);
    expect(failure.message).toBe('2 problems found; correct them and try again');
  });
});

describe('the command line', () => {
  const out = { stdout: '', stderr: '' };
  afterEach(() => vi.restoreAllMocks());

  async function spines(...argv: string[]): Promise<number> {
    out.stdout = out.stderr = '';
    vi.spyOn(process.stdout, 'write').mockImplementation(
      (text) => ((out.stdout += String(text)), true),
    );
    vi.spyOn(process.stderr, 'write').mockImplementation(
      (text) => ((out.stderr += String(text)), true),
    );
    try {
      return await run(argv);
    } finally {
      vi.restoreAllMocks();
    }
  }

  it('refuses wrong usage with exit code 2 and one line', async () => {
    for (const argv of [
      ['pong'],
      ['ping'],
      ['ping', 'B', '--foo'],
      ['ping', 'B', '-c', '0'],
      ['link', 'set', 'B'],
      ['link', 'set', 'B', '--up', '--down'],
      ['cat'],
      ['cat', 'B'],
      ['cat', 'B', '0'],
      ['cat', '--listen', '5', 'B'],
      ['status', '--tcp', 'nowhere'],
      ['status', '--tcp', 'a:1', '--socket', 'x'],
      ['status', '--remote', 'a:1'],
      ['status', '--token-file', 'x'],
      ['status', '--remote', 'a:1', '--tcp', 'b:1'],
      ['daemon'],
      ['daemon', '--log-level', 'loud'],
      ['config', 'check', '/nonexistent.yaml'],
      ['replay', '/nonexistent.yaml'],
      ['replay', '/nonexistent.yaml', '--duration', '0'],
    ]) {
      expect(await spines(...argv), argv.join(' ')).toBe(2);
      expect(out.stderr, argv.join(' ')).toMatch(/^spines: [^\n]+; [^\n]+\n$/);
      expect(out.stdout).toBe('');
    }
  });

  it('knows which flags of tunnels are of UDP, which of TCP, and how to talk', async () => {
    const cases: readonly [readonly string[], RegExp][] = [
      [['forward', '--udp', '0', 'n1', 'h'], /write HOST:PORT/],
      [['forward', '0', 'n1', 'h:1', '--idle', '3m'], /--idle is of UDP; give --udp/],
      [['forward', '0', 'n1', 'h:1', '--link', 'reliable'], /--link is of UDP; give --udp/],
      [['forward', '--udp', '0', 'n1', 'h:1', '--silence', '3s'], /--silence is of streams; /],
      [['forward', '--udp', '0', 'n1', 'h:1', '--idle', '10ms'], /--idle is from 1s to 24h/],
      [['forward', '--udp', '0', 'n1', 'h:1', '--link', 'fast'], /best-effort, reliable/],
      [['forward', '--udp', '0', 'n1', 'h:1', '--flows', '2'], /from 4 to 4000/],
      [['socks', '0', '--exit', 'n1', '--idle', '0'], /a duration above zero/],
      [['expose', '--udp', 'h'], /write HOST:PORT/],
      [['expose', '--allow', 'h:1', '--flows', '9'], /--flows is of UDP; give --udp/],
      [['talk'], /a node to talk to, or --listen; one of the two/],
      [['talk', 'n1', '--listen'], /one of the two/],
      [['talk', 'n1', '--links', 'fast'], /best-effort, reliable/],
      [['expose'], /give --allow HOST:PORT for TCP, or --udp HOST:PORT/],
    ];
    for (const [argv, words] of cases) {
      expect(await spines(...argv), argv.join(' ')).toBe(2);
      expect(out.stderr, argv.join(' ')).toMatch(words);
    }
  });

  it('says with exit code 3 that there is no daemon, in JSON where asked', async () => {
    const socket = `/tmp/spines-no-daemon-${process.pid}.sock`;
    for (const command of [
      ['status'],
      ['links'],
      ['routes'],
      ['nodes'],
      ['ping', 'B'],
      ['trace', 'B'],
      ['link', 'show'],
      ['link', 'set', 'B', '--loss', '1%'],
    ]) {
      expect(await spines(...command, '--socket', socket, '--json'), command.join(' ')).toBe(3);
      expect(JSON.parse(out.stdout)).toEqual({
        schema: 1,
        error: { code: 'ENOENT', message: expect.stringContaining(socket) },
      });
      expect(out.stderr).toMatch(/^spines: [^\n]+; [^\n]+\n$/);
    }
    expect(await spines('cat', '--listen', '5', '--socket', socket)).toBe(3);
    expect(out.stdout).toBe('');
  });

  it('prints help and version with exit code 0, and help for a command alone with 2', async () => {
    expect(await spines('--help')).toBe(0);
    expect(out.stdout).toContain('Exit codes:');
    expect(await spines('version', '--json')).toBe(0);
    expect(JSON.parse(out.stdout)).toMatchObject({
      schema: 1,
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
    });
    expect(await spines('link')).toBe(2);
    expect(out.stderr).toContain('Usage: spines link');
  });
});

describe('topologies of a replay', () => {
  const FILE =
    'name: t\nduration: 10s\nseed: 3\nnodes: [a, b]\nlinks: [{between: [a, b]}]\nflows: [{from: ' +
    'a, to: b, packetsPerSecond: 10}]\n';

  it('take seed, duration and --set from the flags', () => {
    expect(
      loadTopology(FILE, 't.yaml', {
        seed: 9,
        duration: 2_500_000,
        set: ['flows.0.packetsPerSecond=5'],
      }),
    ).toMatchObject({
      seed: 9,
      durationUs: 2_500_000,
      flows: [{ packetsPerSecond: 5, durationUs: 2_500_000 }],
    });
    expect(loadTopology(FILE, 't.yaml', {})).toMatchObject({ seed: 3, durationUs: 10_000_000 });
  });

  it('a new seed keeps a generated graph', () => {
    const file = 'name: t\nduration: 1s\ngenerate: {kind: random, nodes: 20, degree: 4}\n';
    expect(loadTopology(file, 't.yaml', { seed: 99 }).links).toEqual(
      loadTopology(file, 't.yaml', {}).links,
    );
  });

  it('that a running daemon cannot be told are refused before they start', () => {
    const at = (set: string): string => `${FILE}events: [{at: 1s, link: [a, b], set: {${set}}}]\n`;
    for (const set of [
      'burst: {goodToBad: 1%, badToGood: 10%}',
      'queue: 1KiB',
      'reorderDelay: 5ms',
    ]) {
      expect(() => refuseUnavailable(loadTopology(at(set), 't.yaml', {})), set).toThrow(Failure);
    }
    refuseUnavailable(loadTopology(at('loss: 5%, latency: 1ms'), 't.yaml', {}));
  });
});

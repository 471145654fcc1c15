/** The compiled program as scripts see it: exit codes, and what is on which stream. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RealNetwork, spines } from '../support/processes.ts';

const network = new RealNetwork();
let socket = '';

beforeAll(async () => {
  await network.start(2, [[0, 1]]);
  await network.converged();
  socket = network.daemons[0]!.socket;
}, 60_000);
afterAll(() => network.close());

const ONE_LINE = /^spines: [^\n]+; [^\n]+\n$/;

describe('exit codes', () => {
  test('0: done', async () => {
    for (const args of [
      ['status'],
      ['links'],
      ['routes'],
      ['nodes'],
      ['sessions'],
      ['ping', 'n1', '-c', '1'],
      ['trace', 'n1'],
    ]) {
      const ran = await spines([...args, '--socket', socket]);
      expect(ran, args.join(' ')).toMatchObject({ code: 0, stderr: '' });
      expect(ran.stdout.length, args.join(' ')).toBeGreaterThan(0);
    }
  }, 60_000);

  test('1: the answer is no', async () => {
    for (const args of [
      ['ping', 'nobody', '-c', '1'],
      ['ping', '10.9.9.9', '-c', '1', '-W', '100ms'],
      ['cat', 'nobody', '7'],
      ['cat', 'n1', '7'],
      ['cat', 'n0', '7'],
    ]) {
      const ran = await spines([...args, '--socket', socket]);
      expect(ran.code, `${args.join(' ')}: ${ran.stderr}`).toBe(1);
      if (args[0] === 'cat') expect(ran.stderr).toMatch(ONE_LINE);
    }
  }, 60_000);

  test('2: wrong usage', async () => {
    const cases = [
      ['cat'],
      ['cat', 'n1', '0'],
      ['cat', 'n1', '7', '--size', '100'],
      ['cat', 'n1', '7', '--reply'],
      ['cat', 'n1', '7', '-k'],
      ['cat', 'n1', '7', '--link', 'realtime'],
      ['expose'],
      ['expose', '--allow', 'host'],
      ['expose', '--allow', '*.example.org:1'],
      ['forward', '0', 'n1'],
      ['forward', '0', 'n1', 'host'],
      ['forward', '99999', 'n1', 'host:1'],
      ['socks', '1080'],
      ['socks', 'x:y', '--exit', 'n1'],
      ['sessions', '--foo'],
    ];
    for (const args of cases) {
      const ran = await spines([...args, '--socket', socket]);
      expect(ran.code, `${args.join(' ')}: ${ran.stderr}`).toBe(2);
      expect(ran.stderr, args.join(' ')).toMatch(ONE_LINE);
      expect(ran.stdout.length).toBe(0);
    }
    const foreign = await spines([
      'forward',
      '192.0.2.1:0',
      'n1',
      'localhost:80',
      '--socket',
      socket,
    ]);
    expect(foreign.code).toBe(2);
    expect(foreign.stderr).toMatch(ONE_LINE);
  }, 60_000);

  test('3: no daemon to talk to', async () => {
    for (const args of [
      ['status'],
      ['sessions'],
      ['cat', 'n1', '7'],
      ['cat', '-l', '7'],
      ['expose', '--allow', 'localhost:1'],
      ['forward', '0', 'n1', 'localhost:1'],
      ['socks', '0', '--exit', 'n1'],
    ]) {
      const ran = await spines([...args, '--socket', `${socket}.none`]);
      expect(ran.code, `${args.join(' ')}: ${ran.stderr}`).toBe(3);
      expect(ran.stderr).toMatch(ONE_LINE);
    }
  }, 60_000);

  test('2: a port that is taken, for streams as for datagrams', async () => {
    const client = await network.daemons[0]!.connect();
    const server = client.createServer();
    await new Promise<void>((resolve) => server.listen(7_100, resolve));
    for (const args of [
      ['cat', '-l', '7100'],
      ['expose', '--allow', 'localhost:1', '--via', '7100'],
    ]) {
      const ran = await spines([...args, '--socket', socket]);
      expect(ran.code, `${args.join(' ')}: ${ran.stderr}`).toBe(2);
      expect(ran.stderr).toMatch(ONE_LINE);
    }
    await client.close();
  }, 60_000);
});

test('sessions lists what clients have open, as a table and in JSON', async () => {
  const client = await network.daemons[0]!.connect();
  const server = client.createServer({}, (stream) => {
    stream.resume();
  });
  await new Promise<void>((resolve) => server.listen(7_200, resolve));
  const stream = client.stream({ link: 'best-effort' });
  await new Promise<void>((resolve) => {
    stream.connect({ port: 7_200, host: 'n0' }, resolve);
  });
  const datagrams = client.datagram({ link: 'reliable' });
  await new Promise<void>((resolve) => datagrams.bind(7_300, resolve));
  const ran = await spines(['sessions', '--json', '--socket', socket]);
  const { schema, sessions } = JSON.parse(ran.stdout.toString()) as {
    schema: number;
    sessions: Record<string, unknown>[];
  };
  expect(schema).toBe(1);
  expect(sessions.map((row) => row['kind']).sort()).toEqual([
    'datagram',
    'listener',
    'stream',
    'stream',
  ]);
  expect(
    sessions.find((row) => row['kind'] === 'stream' && row['remotePort'] === 7_200),
  ).toMatchObject({
    state: 'established',
    client: 'test',
    remoteNode: '10.0.0.1',
    remoteName: 'n0',
    link: 'best-effort',
    inFlightBytes: 0,
    queuedBytes: 0,
    resentBytes: 0,
    ecnMarks: 0,
    limitedBy: 'application',
  });
  const table = (await spines(['sessions', '--all', '--socket', socket])).stdout.toString();
  expect((await spines(['sessions', '--socket', socket])).stdout.toString()).toMatch(
    /^PROGRAM +SOCKET +PORT +(.*\n)*test +listener +7200 +- /,
  );
  expect(table).toMatch(
    new RegExp(
      '^KIND +STATE +CLIENT +PORT +REMOTE +LINK +SENT +RECEIVED +RTT +WINDOW +' +
        'IN FLIGHT +QUEUED +RESENT +MARKS +LIMITED BY\n',
    ),
  );
  expect(table).toMatch(/\nlistener +- +test +7200 +- /);
  await client.close();
  expect(
    (await spines(['sessions', '--socket', network.daemons[1]!.socket])).stdout.toString(),
  ).toMatch(/^no sessions; /);
}, 60_000);

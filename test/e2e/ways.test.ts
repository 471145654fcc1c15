/**
 * What the way between two real daemons does to them: addresses that come and go, translators that
 * forget, loss in one direction, sizes that change, ends that stand still or begin again. A stream
 * is whole, and nothing that is reliable is lost without a word.
 *
 * SPINES_LONG=1 only. Needs root, ip(8) and koffi; translators and loss need iptables(8).
 */

import { afterEach, describe, expect, test } from 'vitest';
import type { SpinesClient } from 'spines-client';

import { loadOffload } from '../../src/host/net/offload.ts';
import { DatagramFlow, StreamFlow } from '../support/field-traffic.ts';
import { whyNoNamespaces } from '../support/namespaces.ts';
import { WayNetwork, whyNoTables, type End } from '../support/way-network.ts';

const LONG = process.env['SPINES_LONG'] === '1';
const why = !LONG
  ? 'long runs only'
  : (whyNoNamespaces() ?? (loadOffload() === null ? 'sockets are not of our making' : null));
const noTables = why ?? whyNoTables();

const MEMORY_KIB = 320_000;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

let way: WayNetwork | null = null;
afterEach(async () => {
  await way?.close();
  way = null;
});

interface Allowed {
  /** Streams may end with an error, told at both ends. */
  readonly streamErrors?: boolean;
  /** Datagrams may be lost, when told. */
  readonly told?: boolean;
  /** A daemon ends with what it holds, or before its programs listen again: in silence. */
  readonly crashes?: boolean;
  /** The longest that nothing arrives, milliseconds. */
  readonly gapMs: number;
}

/** Runs all kinds of traffic both ways while `trouble` goes on, and judges it. */
async function under(
  trouble: (net: WayNetwork, far: SpinesClient) => Promise<void>,
  { streamErrors = false, told = false, crashes = false, gapMs }: Allowed,
): Promise<void> {
  const net = way!;
  const parties = await Promise.all(
    ([0, 1] as const).map(async (end) => ({
      name: `n${end}`,
      index: end as number,
      client: await net.client(end),
    })),
  );
  const [near, far] = parties as [(typeof parties)[0], (typeof parties)[0]];
  await net.up(near.client);
  await net.up(far.client);
  await sleep(500);
  const streams = [new StreamFlow(near, far, 7_000), new StreamFlow(far, near, 7_001)];
  const flows = [
    new DatagramFlow(near, far, 7_100, { link: 'reliable' }),
    new DatagramFlow(far, near, 7_101, { link: 'reliable' }),
    new DatagramFlow(near, far, 7_102, { link: 'reliable', routing: 'byzantine' }),
    new DatagramFlow(far, near, 7_103, { link: 'best-effort' }),
  ];
  await sleep(1_000);
  await trouble(net, far.client);
  await sleep(3_000);
  for (const flow of [...streams, ...flows]) flow.stop();
  await net.until(
    'all streams have ended',
    () =>
      streams.every(({ stories }) =>
        stories.every(
          ({ senderDone, accepted, receiverDone }) =>
            senderDone !== null && (!accepted || receiverDone !== null),
        ),
      )
        ? true
        : null,
    60_000,
  );
  // What Byzantine routing holds is told after 30 s at most.
  await net
    .until(
      'all datagrams arrived or were told',
      () => (flows.slice(0, 3).every((flow) => silent(flow) <= 0) ? true : null),
      40_000,
    )
    .catch(() => {});
  const faults: string[] = [];
  for (const flow of flows) {
    const sent = flow.stories.filter((one) => one !== null),
      lost = sent.filter(({ arrived }) => arrived === null).length;
    const times = sent.flatMap(({ arrived }) => (arrived === null ? [] : [arrived]));
    times.sort((a, b) => a - b);
    const gap = Math.max(...times.slice(1).map((at, i) => at - times[i]!));
    const late = sent.flatMap(({ at, arrived }) => (arrived === null ? [] : [arrived - at]));
    late.sort((a, b) => a - b);
    console.log(
      `${flow.what}: ${sent.length} sent, ${lost} lost, ${flow.told.length} told ` +
        `${[...flow.words.keys()].join('; ')}, longest gap ${gap.toFixed(0)} ms, delay p50 ` +
        `${late[Math.floor(late.length / 2)]?.toFixed(1)}, p99 ` +
        `${late[Math.floor(late.length * 0.99)]?.toFixed(0)}, worst ${late.at(-1)?.toFixed(0)}`,
    );
    faults.push(...flow.faults);
    if (gap > gapMs) faults.push(`${flow.what}: nothing for ${gap.toFixed(0)} ms`);
    if (flow.what.includes('best-effort')) continue;
    if (silent(flow) > 0 && !crashes) faults.push(`${flow.what}: ${silent(flow)} lost in silence`);
    if (!told && lost > 0) faults.push(`${flow.what}: ${lost} lost`);
  }
  for (const flow of streams) {
    faults.push(...flow.faults);
    const whole = flow.stories.filter(({ receivedEnd }) => receivedEnd).length;
    console.log(`streams from ${flow.from.name}: ${whole} of ${flow.stories.length} whole`);
    for (const one of flow.stories) {
      const cut = one.receivedEnd && (!one.ended || one.received !== one.sent);
      const untold =
        (one.senderError === null && !(one.ended && one.receivedEnd)) ||
        (one.accepted && !one.receivedEnd && one.receiverError === null);
      // The first one may call before its listener is known.
      const early = one.id === 0 && one.senderError === 'ECONNREFUSED';
      if (cut || untold || (one.senderError !== null && !streamErrors && !early))
        faults.push(`stream: ${JSON.stringify(one)}`);
    }
  }
  for (const end of [0, 1] as const) {
    const { drops } = await parties[end]!.client.request('status');
    console.log(`drops of n${end}: ${JSON.stringify(drops)}, ${net.memory(end)} KiB`);
    if (net.memory(end) > MEMORY_KIB) faults.push(`n${end} has ${net.memory(end)} KiB`);
    for (const line of net.logs[end].split('\n'))
      if (/"level":[56]0|\n\s+at /.test(line)) faults.push(`n${end} said ${line}`);
  }
  if (faults.length > 0) console.log(net.logs.map((log) => log.slice(-6_000)).join('\n----\n'));
  expect(faults).toEqual([]);
}

const silent = (flow: DatagramFlow): number =>
  flow.stories.filter((one) => one !== null && one.arrived === null).length - flow.told.length;

const open = (): WayNetwork => (way = new WayNetwork());
const WILD = ['0.0.0.0:8100', '[::]:8100'];

describe.skipIf(why !== null)('a way', () => {
  test.each([
    ['its own socket', 0],
    ['its own socket, at the far end', 1],
    ['a wildcard', 0],
    ['a wildcard, at the far end', 1],
  ] as const)(
    'whose IPv6 address is withdrawn and given back: %s',
    async (how, end) => {
      const net = open();
      const listen = (of: End): string[] =>
        how.startsWith('a wildcard') ? ['[::]:8100'] : [net.endpoint(of, 'v6')];
      net.start(1, listen(1));
      net.start(0, listen(0), [net.endpoint(1, 'v6')]);
      await under(
        async () => {
          for (const awayMs of [200, 2_000, 500, 3_000]) {
            net.withdraw(end, 'v6');
            await sleep(awayMs);
            net.giveBack(end, 'v6');
            await sleep(4_000);
          }
        },
        { gapMs: 6_000, told: true },
      );
    },
    180_000,
  );

  test.skipIf(noTables !== null).each([10_000, 2_000])(
    'whose translator gives another port each %i ms',
    async (everyMs) => {
      const net = open();
      net.translate(1);
      net.start(1, ['0.0.0.0:8100']);
      net.start(0, ['0.0.0.0:8100'], [net.endpoint(1, 'v4')]);
      await under(
        async () => {
          for (let i = 0; i < 40_000 / everyMs; i += 1) {
            await sleep(everyMs);
            net.rebind(1, 20_000 + i * 100);
          }
        },
        { gapMs: 3_000 },
      );
    },
    240_000,
  );

  test.skipIf(noTables !== null)(
    'whose translator forgets after 5 s of silence',
    async () => {
      const net = open();
      net.translate(1);
      net.forgetAfter(5);
      net.start(1, ['0.0.0.0:8100']);
      net.start(0, ['0.0.0.0:8100'], [net.endpoint(1, 'v4')]);
      const near = await net.client(0);
      await net.up(near);
      await sleep(20_000);
      expect(net.logs[0]).not.toContain('link down');
      await under(
        async () => {
          for (let i = 0; i < 3; i += 1) {
            net.children[0]!.kill('SIGSTOP');
            await sleep(7_000);
            net.children[0]!.kill('SIGCONT');
            await sleep(5_000);
          }
        },
        { gapMs: 12_000, told: true },
      );
    },
    240_000,
  );

  test.skipIf(noTables !== null).each([
    ['there', [1]],
    ['back', [0]],
  ] as const)(
    'that loses 30 %% %s',
    async (_, ends) => {
      const net = open();
      net.start(1, ['0.0.0.0:8100']);
      net.start(0, ['0.0.0.0:8100'], [net.endpoint(1, 'v4')]);
      await under(
        async () => {
          for (const end of ends) net.lose(end, 0.3);
          await sleep(30_000);
          net.lose(0, 0);
        },
        { gapMs: 6_000 },
      );
    },
    240_000,
  );

  test.each(['v4', 'v6'] as const)(
    'whose MTU is another each 5 s, over %s',
    async (family) => {
      const net = open();
      net.start(1, WILD);
      net.start(0, WILD, [net.endpoint(1, family)]);
      await under(
        async () => {
          const sizes = family === 'v6' ? [1_280, 1_500, 1_400] : [1_280, 1_000, 1_500];
          for (let i = 0; i < 9; i += 1) {
            await sleep(5_000);
            net.setMtu(1, sizes[i % sizes.length]!);
          }
        },
        { gapMs: 4_000 },
      );
    },
    240_000,
  );

  test.each([3_000, 8_000, 20_000])(
    'whose far end stands still for %i ms',
    async (forMs) => {
      const net = open();
      net.start(1, WILD);
      net.start(0, WILD, [net.endpoint(1, 'v4')]);
      await under(
        async () => {
          net.children[1]!.kill('SIGSTOP');
          await sleep(forMs);
          net.children[1]!.kill('SIGCONT');
          await sleep(3_000);
        },
        { gapMs: forMs + 4_000, told: true },
      );
    },
    180_000,
  );

  test.each(['SIGTERM', 'SIGKILL'] as const)(
    'whose far end begins again 20 times by %s',
    async (signal) => {
      const net = open();
      const restart = (): unknown => net.start(1, WILD);
      restart();
      net.start(0, WILD, [net.endpoint(1, 'v4')]);
      await under(
        async (_net, far) => {
          for (let i = 0; i < 20; i += 1) {
            await net.end(1, signal);
            net.logs[1] = '';
            restart();
            // As often as it can: a busy machine takes seconds to start one.
            await net.until('it begins', () => (net.logs[1].includes('link up') ? true : null));
            await net.until('its programs are back', () => (far.connected ? true : null));
            await sleep(1_000);
          }
        },
        { gapMs: 15_000, told: true, streamErrors: true, crashes: true },
      );
    },
    240_000,
  );

  test.each(['v4', 'v6'] as const)(
    'on which only %s works, of two addresses of one neighbour',
    async (family) => {
      const net = open();
      const other = family === 'v4' ? 'v6' : 'v4';
      const tables = other === 'v4' ? 'iptables' : 'ip6tables';
      net.start(1, WILD);
      net.start(0, WILD, [net.endpoint(1, 'v4'), net.endpoint(1, 'v6')]);
      await under(
        async () => {
          net.router.spawn(tables, ['-A', 'FORWARD', '-j', 'DROP'], net.folder);
          await sleep(10_000);
          net.router.spawn(tables, ['-F', 'FORWARD'], net.folder);
          await sleep(10_000);
          net.router.spawn(tables, ['-A', 'FORWARD', '-j', 'DROP'], net.folder);
          await sleep(10_000);
        },
        { gapMs: 3_000 },
      );
    },
    240_000,
  );
});

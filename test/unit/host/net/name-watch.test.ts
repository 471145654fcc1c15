/** Host names of neighbours: when they are looked up, and what is dialled then. */

import { expect, test } from 'vitest';

import { nullLog } from '../../../../src/core/base/log.ts';
import { UNRESOLVED, type DialConfig } from '../../../../src/core/link/dial-config.ts';
import { NameWatch } from '../../../../src/host/net/name-watch.ts';

type Answer = readonly string[] | string;

/** A daemon that dials `dials`, and what its name server says. */
function scene(...dials: DialConfig[]) {
  const state = {
    dials: dials as readonly DialConfig[],
    up: new Set<string>(),
    isUp: ({ address }: DialConfig): boolean => state.up.has(address),
    families: ['v4', 'v6'],
    answers: new Map<string, Answer>(),
    asked: [] as string[],
    warned: [] as unknown[],
    used: 0,
    seconds: 0,
  };
  const watch = new NameWatch({
    dials: () => state.dials,
    isUp: (dial) => state.isUp(dial),
    canReach: (address) => state.families.includes(address.includes(':') ? 'v6' : 'v4'),
    lookup: async (host) => {
      state.asked.push(host);
      const answer = await Promise.resolve(state.answers.get(host) ?? 'ENOTFOUND');
      if (typeof answer === 'string') throw Object.assign(new Error(answer), { code: answer });
      return answer;
    },
    use: (used) => {
      state.used += 1;
      state.dials = used;
    },
    now: () => state.seconds * 1_000,
    log: { ...nullLog, warn: (fields) => state.warned.push(fields) },
  });
  const run = async (seconds: number): Promise<string[]> => {
    state.asked.length = 0;
    for (let i = 0; i < seconds; i += 1) {
      state.seconds += 1;
      await watch.tick();
    }
    return [...state.asked];
  };
  return { state, watch, run, at: () => state.dials.map(({ address }) => address) };
}

const named = (host: string, port = 8_100): DialConfig => ({
  address: UNRESOLVED,
  port,
  node: null,
  host,
});
const numeric: DialConfig = { address: '192.0.2.1', port: 1, node: null };

test('a name is dialled where it leads; who has an address is left alone', async () => {
  const { state, run, at } = scene(numeric, named('rome.example'), named('rome.example', 8_200));
  state.answers.set('rome.example', ['192.0.2.7']);
  expect(await run(1)).toEqual(['rome.example']);
  expect(at()).toEqual(['192.0.2.1', '192.0.2.7', '192.0.2.7']);
  expect(state.dials[0]).toBe(numeric);
  state.up.add('192.0.2.7');
  state.answers.set('rome.example', ['192.0.2.8']);
  expect(await run(100)).toEqual([]);
  // The link ends: once its address has had its time the name is asked again.
  state.up.clear();
  expect((await run(3)).length).toBeGreaterThan(0);
  expect(at()).toEqual(['192.0.2.1', '192.0.2.8', '192.0.2.8']);
});

test('one address after the other is tried, of those that this machine can reach', async () => {
  const { state, run, at } = scene(named('rome.example'));
  state.families = ['v4'];
  state.answers.set('rome.example', ['2001:db8::7', '192.0.2.7', '192.0.2.8']);
  const tried: string[] = [];
  for (let i = 0; i < 64; i += 1) {
    await run(1);
    if (tried.at(-1) !== at()[0]) tried.push(at()[0]!);
  }
  expect(tried.slice(0, 3)).toEqual(['192.0.2.7', '192.0.2.8', '192.0.2.7']);
  // Where it has none of those, what is wrong is said of the one that it has.
  state.answers.set('rome.example', ['2001:db8::7']);
  await run(120);
  expect(at()).toEqual(['2001:db8::7']);
});

test('a name that is not found is asked for ever more rarely, and said once', async () => {
  const { state, run, at } = scene(named('rome.example'));
  expect((await run(600)).length).toBeLessThan(16);
  expect(at()).toEqual([UNRESOLVED]);
  expect(state.dials[0]!.lookupFault).toBe('ENOTFOUND');
  expect(state.warned).toEqual([{ host: 'rome.example', reason: 'ENOTFOUND' }]);
  expect(state.used).toBe(1);
  for (const nowhere of [['0.0.0.0'], ['::'], ['fe80::1%eth0'], []]) {
    state.answers.set('rome.example', nowhere);
    await run(60);
    expect(at()).toEqual([UNRESOLVED]);
  }
  expect(state.dials[0]!.lookupFault).toBe('it has no address to send to');
  state.answers.set('rome.example', ['192.0.2.7']);
  await run(60);
  expect(state.dials).toEqual([{ ...named('rome.example'), address: '192.0.2.7' }]);
  // What was known is dialled while no name server answers.
  state.answers.set('rome.example', 'EAI_AGAIN');
  await run(60);
  expect(at()).toEqual(['192.0.2.7']);
});

test('a reload keeps what is known; many names take turns', async () => {
  const names = Array.from({ length: 20 }, (_, i) => named(`h${i}.example`));
  const { state, watch, run, at } = scene(...names);
  for (const [i, { host }] of names.entries()) state.answers.set(host!, [`192.0.2.${i + 1}`]);
  expect(await run(1)).toHaveLength(2);
  await run(20);
  expect(at()).toEqual(names.map((_, i) => `192.0.2.${i + 1}`));
  expect(watch.filled([numeric, names[3]!, named('new.example')])).toEqual([
    numeric,
    { ...names[3]!, address: '192.0.2.4' },
    named('new.example'),
  ]);
  // Nothing is applied to a daemon that has ended.
  const { used } = state;
  state.answers.set('h0.example', ['192.0.2.99']);
  watch.stop();
  await run(120);
  expect(state.used).toBe(used);
});

test.each([
  [8_100, 8_200],
  [8_200, 8_100],
])(
  'one of two daemons of a host that is up keeps nobody from asking for the other (%i, %i)',
  async (...ports) => {
    const { state, run } = scene(...ports.map((port) => named('twins.example', port)));
    state.answers.set('twins.example', ['192.0.2.1', '192.0.2.2']);
    state.isUp = ({ address, port }) => address === (port === 8_100 ? '192.0.2.1' : '192.0.2.2');
    await run(200);
    expect(state.dials.map(({ address, port }) => `${address}:${port}`).sort()).toEqual([
      '192.0.2.1:8100',
      '192.0.2.2:8200',
    ]);
  },
);

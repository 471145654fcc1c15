/**
 * One identity on two machines, seen from everywhere: by the daemon that is kept, by the one that
 * gives way, and by nodes that have no link with either. And what is none: restarts, a move, clocks
 * that are set.
 */

import { describe, expect, test } from 'vitest';
import type { NodesReply, StatusReply, TwinRow } from 'spines-client/protocol';

import type { Log } from '../../src/core/base/log.ts';
import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { asked } from '../support/administer.ts';
import {
  hosts,
  Inbox,
  useNetworks,
  type Network,
  type NetworkOptions,
} from '../support/network.ts';

useNetworks();

const LONG = process.env['SPINES_LONG'] === '1';
const SEEDS = LONG ? [1, 2, 3, 4, 5, 6, 7, 8] : [1];
const STEP = 100 * MILLISECOND;
let port = 100;
const SECURITIES = [['sealed'], ['none']] as const;

type Shape = 'line' | 'ring';

/**
 * a, b, c, d in a line or a ring. The original is a neighbour of `a`; its copy of those that
 * `beside` says. Nobody but they has a link with either.
 */
interface Scene {
  readonly network: Network;
  readonly original: SimHost;
  readonly copy: SimHost;
  readonly others: readonly SimHost[];
  readonly warnings: Map<SimHost, string[]>;
}

function scene(
  shape: Shape,
  beside: readonly number[],
  options: NetworkOptions = {},
  originalBeside: readonly number[] = [0],
): Scene {
  const network = hosts(0, { routes: false, duplicates: true, ...options });
  const others = ['a', 'b', 'c', 'd'].map((name) => network.add(name));
  const original = network.add('original');
  const copy = network.world.addTwin(original, 'copy');
  for (let i = 1; i < others.length; i += 1) network.connect(others[i - 1]!, others[i]!);
  if (shape === 'ring') network.connect(others[3]!, others[0]!);
  for (const i of originalBeside) network.connect(original, others[i]!);
  for (const i of beside) network.connect(copy, others[i]!);
  const warnings = new Map<SimHost, string[]>();
  for (const host of [...others, original, copy]) {
    const said: string[] = [];
    warnings.set(host, said);
    const log: Log = {
      debug() {},
      info() {},
      warn: (_fields, message) => said.push(message),
      error() {},
    };
    host.log = log;
  }
  for (const host of [...others, original]) host.start();
  network.run(5 * SECOND);
  return { network, original, copy, others, warnings };
}

const twinsOf = (host: SimHost): readonly TwinRow[] =>
  (asked(host, 'nodes') as NodesReply).twins ?? [];
const own = (host: SimHost): TwinRow | undefined => twinsOf(host).find(({ self }) => self);
const seen = (host: SimHost): boolean => twinsOf(host).length > 0;
const clones = ({ warnings }: Scene, host: SimHost): number =>
  warnings.get(host)!.filter((text) => text.startsWith('another daemon runs with')).length;

/** Messages from a far node all the while; how many of `count` arrived at `to`. */
function sent({ network }: Scene, from: SimHost, to: SimHost, count: number): number {
  port += 2;
  const inbox = new Inbox(to, port),
    sender = new Inbox(from, port + 1);
  for (let i = 0; i < count; i += 1) {
    sender.send(to, port, Uint8Array.of(i));
    network.run(20 * MILLISECOND);
  }
  network.run(SECOND);
  return inbox.messages.length;
}

const PLACES: [string, Shape, number[], number[]][] = [
  ['a line, both beside one node', 'line', [0], [0]],
  ['a line, its two ends', 'line', [3], [0]],
  ['a line, next but one to each other', 'line', [1], [0]],
  ['a ring, opposite to each other', 'ring', [2], [0]],
  ['a line, the copy in the middle and at the end', 'line', [1, 3], [0]],
  ['a line, both beside one node and each beside another', 'line', [1, 3], [1, 0]],
];

describe.each(SECURITIES)('security %s', (security) => {
  test.each(LONG || security === 'sealed' ? PLACES : PLACES.slice(0, 2))(
    '%s: the elder knows it, the younger knows it, ' +
      'and so does everybody; it is kept, and over by itself',
    (_where, shape, beside, originalBeside) => {
      for (const seed of SEEDS) {
        const s = scene(shape, beside, { seed, security }, originalBeside);
        const { network, original, copy, others } = s;
        copy.start();
        expect(
          network.until(() => [...others, original, copy].every(seen), 12 * SECOND, STEP),
          `seed ${seed}: ${[...others, original, copy].map(seen).join()}`,
        ).not.toBeNull();
        expect(own(original)).toMatchObject({ here: 'kept', kept: null });
        expect(own(copy)).toMatchObject({ here: 'refused', refused: null });
        expect((asked(original, 'status') as StatusReply).twins?.[0]).toMatchObject({
          self: true,
          here: 'kept',
        });
        network.run(5 * SECOND);
        const before = others.map((host) => host.node.router.counters.accepted);
        // What is sent to it arrives at the one that is kept, as if there were no other.
        const far = others[shape === 'ring' ? 2 : 3]!;
        if (!beside.includes(others.indexOf(far))) expect(sent(s, far, original, 500)).toBe(500);
        network.run(60 * SECOND);
        // 70 s: a question and an answer every 5 s, and what nodes say every half minute anyway.
        others.forEach((host, i) =>
          expect(host.node.router.counters.accepted - before[i]!).toBeLessThan(120),
        );
        expect([original, copy, ...others].every(seen)).toBe(true);
        expect(clones(s, original)).toBe(1);

        copy.crash();
        expect(
          network.until(
            () => [...others, original].every((host) => !seen(host)),
            60 * SECOND,
            STEP,
          ),
          `seed ${seed}`,
        ).not.toBeNull();
        expect(clones(s, original)).toBe(1);
        expect(sent(s, others[1]!, original, 50)).toBe(50);
      }
    },
  );

  test('where a neighbour has heard the copy, the one that is kept knows its address', () => {
    const s = scene('line', [0], { security });
    s.copy.start();
    expect(
      s.network.until(() => own(s.original)?.refused === s.copy.endpoint.key, 5 * SECOND, STEP),
    ).not.toBeNull();
    expect(s.network.until(() => seen(s.others[3]!), 2 * SECOND, STEP)).not.toBeNull();
    expect(twinsOf(s.others[3]!)).toMatchObject([
      { node: '10.0.0.5', name: 'original', self: false, kept: null, refused: null },
    ]);
  });

  test.each(['crash', 'stop'] as const)(
    'when the elder is gone (%s) the younger takes its place, everywhere',
    (how) => {
      for (const seed of SEEDS) {
        const s = scene('line', [3], { seed, security });
        const { network, original, copy, others } = s;
        copy.start();
        network.run(15 * SECOND);
        original[how]();
        expect(
          network.until(
            () =>
              others.every((host) => host.node.router.reachable(copy.id) && !seen(host)) &&
              !seen(copy),
            45 * SECOND,
            STEP,
          ),
          `seed ${seed}`,
        ).not.toBeNull();
        network.run(5 * SECOND);
        expect(sent(s, others[0]!, copy, 50)).toBe(50);
      }
    },
  );

  test('the network in two parts, each with one of them, and whole again', () => {
    for (const seed of SEEDS) {
      const s = scene('line', [3], { seed, security });
      const { network, original, copy, others } = s;
      const middle = [
        others[1]!.wires.get(others[2]!.endpoint.key)!,
        others[2]!.wires.get(others[1]!.endpoint.key)!,
      ];
      const cut = (up: boolean): void => {
        for (const { model } of middle) model.set({ ...model.settings, up });
      };
      cut(false);
      network.run(2 * SECOND);
      copy.start();
      network.run(20 * SECOND);
      expect([original, copy, ...others].some(seen)).toBe(false);
      expect(sent(s, others[0]!, original, 20)).toBe(20);
      expect(sent(s, others[2]!, copy, 20)).toBe(20);
      cut(true);
      expect(
        network.until(() => [original, copy, ...others].every(seen), 12 * SECOND, STEP),
        `seed ${seed}`,
      ).not.toBeNull();
      network.run(2 * SECOND);
      expect(sent(s, others[2]!, original, 50)).toBe(50);
      cut(false);
      expect(
        network.until(() => ![original, copy, ...others].some(seen), 60 * SECOND, STEP),
        `seed ${seed}`,
      ).not.toBeNull();
      network.run(2 * SECOND);
      expect(sent(s, others[2]!, copy, 20)).toBe(20);
    }
  });

  test(
    'ten restarts in ten seconds are never a clone, ' + 'for nobody, whatever happens to the clock',
    () => {
      for (const seed of SEEDS) {
        for (const skewS of LONG ? [0, -5, -30, 30] : [0, -30]) {
          const s = scene('ring', [2], { seed, security });
          const { network, original, others } = s;
          for (let i = 0; i < 10; i += 1) {
            if (i % 2 === 0) original.crash();
            else original.stop();
            network.run((i % 4) * 200 * MILLISECOND);
            original.wallSkewUs = (i % 2) * skewS * SECOND;
            original.start();
            for (let step = 0; step < 10; step += 1) {
              network.run((100 - (i % 4) * 20) * MILLISECOND);
              expect(
                [...others, original].some(seen),
                `seed ${seed}, skew ${skewS}, restart ${i}`,
              ).toBe(false);
            }
          }
          network.run(30 * SECOND);
          expect([...others, original].some(seen)).toBe(false);
          expect(
            network.until(
              () => others.every((host) => host.node.router.reachable(original.id)),
              10 * SECOND,
              STEP,
            ),
          ).not.toBeNull();
        }
      }
    },
  );

  test('a move to another machine is no clone, also where its clock is another', () => {
    for (const seed of SEEDS) {
      for (const skewS of [0, -20, 20]) {
        const s = scene('line', [3], { seed, security });
        const { network, original, copy, others } = s;
        copy.wallSkewUs = skewS * SECOND;
        original.crash();
        network.run(seed % 2 === 0 ? 0 : 800 * MILLISECOND);
        copy.start();
        for (let step = 0; step < 40; step += 1) {
          network.run(500 * MILLISECOND);
          expect([...others, copy].some(seen), `seed ${seed}, skew ${skewS}`).toBe(false);
        }
        expect(sent(s, others[0]!, copy, 20)).toBe(20);
      }
    }
  });

  test('clocks that differ: who says that it began first is kept, wherever it is', () => {
    const s = scene('line', [3], { security });
    s.copy.wallSkewUs = -60 * SECOND;
    s.copy.start();
    expect(
      s.network.until(() => [s.original, s.copy, ...s.others].every(seen), 12 * SECOND, STEP),
    ).not.toBeNull();
    expect([own(s.copy)?.here, own(s.original)?.here]).toEqual(['kept', 'refused']);
  });

  test('three daemons with one identity: the eldest is kept, then the next', () => {
    const s = scene('line', [3], { security });
    const { network, original, copy, others } = s;
    const third = network.world.addTwin(original, 'third');
    network.connect(third, others[2]!);
    copy.start();
    network.run(5 * SECOND);
    third.start();
    network.run(20 * SECOND);
    expect([original, copy, third].map((host) => own(host)?.here)).toEqual([
      'kept',
      'refused',
      'refused',
    ]);
    original.crash();
    expect(
      network.until(
        () => own(copy)?.here === 'kept' && own(third)?.here === 'refused',
        60 * SECOND,
        STEP,
      ),
    ).not.toBeNull();
    network.run(5 * SECOND);
    expect(sent(s, others[0]!, copy, 20)).toBe(20);
  });
});

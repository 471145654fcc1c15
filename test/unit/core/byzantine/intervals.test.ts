/**
 * The search for a faulty link on one path: stories with adversaries that drop, stop and start
 * again, and the bounds of the analysis.
 */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import {
  PathMonitor,
  type MonitorOptions,
  type Verdict,
} from '../../../../src/core/byzantine/intervals.ts';
import {
  faultLosses,
  paperOptions,
  secureOptions,
} from '../../../../src/core/byzantine/options.ts';

const binary: MonitorOptions = paperOptions;
const full: MonitorOptions = { ...paperOptions, fullProbing: true };
const withMemory: MonitorOptions = { ...paperOptions, searchMemory: true };

/** Nodes 100, 101, ...: link i is between 100 + i and 101 + i. */
const pathOf = (links: number): number[] => Array.from({ length: links + 1 }, (_, i) => 100 + i);
const halvings = (n: number): number => 32 - Math.clz32(n - 1); // ceil(log2 n)

/** How many of `list` acknowledge a packet that is lost on link `link` (-1 = nowhere). */
const reachedOf = (list: readonly number[], link: number): number =>
  link < 0 ? list.length : list.filter((index) => index <= link).length;

/** One packet sent with the present list, its fate known at once. */
function send(monitor: PathMonitor, link: number): Verdict | null {
  return monitor.onOutcome(monitor.generation, monitor.probes, reachedOf(monitor.probes, link));
}

function sendGood(monitor: PathMonitor, packets: number): void {
  for (let i = 0; i < packets; i += 1) expect(send(monitor, -1)).toBeNull();
}

/** Sends packets that are all lost on `link` until something happens. */
function dropUntilVerdict(
  monitor: PathMonitor,
  link: number,
): { verdict: Verdict; packets: number } {
  for (let packets = 1; ; packets += 1) {
    const verdict = send(monitor, link);
    if (verdict !== null) return { verdict, packets };
    expect(packets).toBeLessThan(10_000);
  }
}

interface Conviction {
  readonly u: number;
  readonly v: number;
  readonly losses: number;
  readonly faults: number;
  readonly packets: number;
}

function dropUntilConviction(monitor: PathMonitor, link: number): Conviction {
  let packets = 0;
  for (let faults = 1; ; faults += 1) {
    const step = dropUntilVerdict(monitor, link);
    packets += step.packets;
    if (step.verdict.kind === 'conviction')
      return { u: step.verdict.u, v: step.verdict.v, losses: step.verdict.losses, faults, packets };
  }
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

describe('a link that drops everything', () => {
  test(
    'B1: is convicted by halves after at most ceil(log2 n) + 1 faults, ' +
      'wherever it is, for paths of 1 to 32 links',
    () => {
      const worst = new Map<number, number>();
      for (let n = 1; n <= 32; n += 1) {
        for (let link = 0; link < n; link += 1) {
          const found = dropUntilConviction(new PathMonitor(pathOf(n), binary), link);
          expect([found.u, found.v]).toEqual([100 + link, 101 + link]);
          expect(found.faults).toBeLessThanOrEqual(halvings(n) + 1);
          expect(found.packets).toBe(found.faults * 10);
          expect(found.losses).toBe(found.packets);
          worst.set(n, Math.max(worst.get(n) ?? 0, found.faults));
        }
      }
      expect([1, 2, 4, 8, 16, 32].map((n) => worst.get(n))).toEqual([1, 2, 3, 4, 5, 6]);
    },
  );

  test('B1: is convicted after at most two faults when all nodes are probed', () => {
    for (let n = 1; n <= 32; n += 1) {
      for (let link = 0; link < n; link += 1) {
        const found = dropUntilConviction(new PathMonitor(pathOf(n), full), link);
        expect([found.u, found.v]).toEqual([100 + link, 101 + link]);
        expect(found.faults).toBeLessThanOrEqual(n === 1 ? 1 : 2);
        expect(found.losses).toBe(found.faults * 10);
      }
    }
    // Longer ones than are to be probed in full are searched by halves.
    expect(
      dropUntilConviction(new PathMonitor(pathOf(17), { ...full, fullProbingHops: 16 }), 16).faults,
    ).toBe(6);
  });

  test(
    'B2: packets in flight when the probes change ' + 'cost as many losses per fault, and no more',
    () => {
      for (const [options, faults] of [
        [binary, 4],
        [full, 2],
      ] as const) {
        for (const inFlight of [0, 1, 30]) {
          for (let link = 0; link < 8; link += 1) {
            const monitor = new PathMonitor(pathOf(8), { ...options, windowPackets: 50 });
            const flying: { generation: number; list: readonly number[] }[] = [];
            let verdict: Verdict | null = null;
            let lost = 0;
            while (verdict?.kind !== 'conviction') {
              flying.push({ generation: monitor.generation, list: monitor.probes });
              if (flying.length <= inFlight) continue;
              const packet = flying.shift()!;
              verdict = monitor.onOutcome(
                packet.generation,
                packet.list,
                reachedOf(packet.list, link),
              );
              lost += 1;
            }
            expect([verdict.u, verdict.v]).toEqual([100 + link, 101 + link]);
            expect(lost + flying.length).toBeLessThanOrEqual(faults * (5 + inFlight));
            if (inFlight === 0) expect(lost).toBe(faults * 5);
            expect(verdict.losses).toBe(lost);
            expect(monitor.snapshot()).toMatchObject({
              lost,
              uncharged: lost - faults * 5,
              convictions: 1,
              faults,
            });
          }
        }
      }
    },
  );
});

describe('intervals', () => {
  test(
    'what was under way when the probes changed ' +
      'is paid for by the intervals where it was lost',
    () => {
      const monitor = new PathMonitor(pathOf(8), { ...binary, windowPackets: 50 });
      const { generation, probes } = monitor;
      for (let i = 0; i < 5 + 30; i += 1) monitor.onOutcome(generation, probes, 0);
      expect(monitor.snapshot().intervals.map(({ debt }) => debt)).toEqual([350, 350]);
      // A second fault in the first half: its quarters inherit, the second half owes nothing of it.
      const second = monitor.generation,
        list = monitor.probes;
      for (let i = 0; i < 5 + 2; i += 1) monitor.onOutcome(second, list, 0);
      expect(monitor.snapshot().intervals.map(({ links, debt }) => [links, debt])).toEqual([
        [2, 420],
        [2, 420],
        [4, 350],
      ]);
      expect(monitor.snapshot().uncharged).toBe(32);
      for (let i = 0; i < 419; i += 1)
        monitor.onOutcome(monitor.generation, monitor.probes, monitor.probes.length);
      expect(monitor.searching).toBe(true);
      monitor.onOutcome(monitor.generation, monitor.probes, monitor.probes.length);
      expect(monitor.searching).toBe(false);
    },
  );

  test('B6: without loss there is no fault and no probe', () => {
    const monitor = new PathMonitor(pathOf(8), secureOptions);
    sendGood(monitor, 5_000);
    expect(monitor.probes).toEqual([8]);
    expect(monitor.generation).toBe(0);
    expect(monitor.snapshot()).toMatchObject({
      searching: false,
      delivered: 5_000,
      lost: 0,
      faults: 0,
      intervals: [{ from: 100, to: 108, links: 8, losses: 0, outcomes: 200, debt: 0 }],
    });
  });

  test('loss below the tolerance is no fault', () => {
    const monitor = new PathMonitor(pathOf(8), binary);
    for (let i = 0; i < 2_000; i += 1) expect(send(monitor, i % 100 < 9 ? 3 : -1)).toBeNull();
    expect(send(monitor, -1)).toBeNull();
    expect(monitor.searching).toBe(false);
  });

  test(
    'B3: both halves start empty and owe the losses divided by the tolerance, ' +
      'and what was owed before',
    () => {
      const monitor = new PathMonitor(pathOf(8), binary);
      expect(dropUntilVerdict(monitor, 5).verdict).toEqual({ kind: 'fault', from: 100, to: 108 });
      expect(monitor.probes).toEqual([4, 8]);
      expect(monitor.generation).toBe(1);
      expect(monitor.searching).toBe(true);
      expect(monitor.snapshot().intervals).toEqual([
        { from: 100, to: 104, links: 4, losses: 0, outcomes: 0, debt: 100 },
        { from: 104, to: 108, links: 4, losses: 0, outcomes: 0, debt: 100 },
      ]);
      sendGood(monitor, 40);
      dropUntilVerdict(monitor, 5);
      // The ten lost packets were good as far as node 104.
      expect(monitor.snapshot().intervals).toEqual([
        { from: 100, to: 104, links: 4, losses: 0, outcomes: 50, debt: 50 },
        { from: 104, to: 106, links: 2, losses: 0, outcomes: 0, debt: 160 },
        { from: 106, to: 108, links: 2, losses: 0, outcomes: 0, debt: 160 },
      ]);
      expect(monitor.snapshot().searchLosses).toBe(20);
    },
  );

  test(
    'B3: a probe is gone after exactly the packets that pay for it, ' +
      'and the joined interval starts empty',
    () => {
      const monitor = new PathMonitor(pathOf(8), binary);
      dropUntilVerdict(monitor, 5);
      sendGood(monitor, 99);
      expect(monitor.probes).toEqual([4, 8]);
      sendGood(monitor, 1);
      expect(monitor.probes).toEqual([8]);
      expect(monitor.generation).toBe(2);
      expect(monitor.snapshot()).toMatchObject({
        searching: false,
        searchLosses: 0,
        intervals: [{ links: 8, losses: 0, outcomes: 0, debt: 0 }],
      });
    },
  );

  test('a probe stays while either side owes', () => {
    const monitor = new PathMonitor(pathOf(4), binary);
    dropUntilVerdict(monitor, 3);
    dropUntilVerdict(monitor, 3);
    expect(monitor.probes).toEqual([2, 3, 4]);
    // 0..2 owes 90 and 2..4 owe 200 each: nothing goes before the 200th.
    sendGood(monitor, 199);
    expect(monitor.probes).toEqual([2, 3, 4]);
    sendGood(monitor, 1);
    expect(monitor.probes).toEqual([4]);
    expect(monitor.generation).toBe(3);
  });

  test('a path has never more probes than nodes between its ends', () => {
    const rng = new Rng(5);
    for (const options of [binary, full, withMemory, secureOptions]) {
      const monitor = new PathMonitor(pathOf(9), options);
      for (let i = 0; i < 20_000; i += 1) {
        send(monitor, rng.chance(0.12) ? rng.below(9) : -1);
        const ordered =
          monitor.probes.length <= 9 &&
          monitor.probes.every((probe, k) => probe > (monitor.probes[k - 1] ?? 0));
        if (!ordered || monitor.snapshot().remembered.length > 9)
          expect.fail(`step ${i}: ${JSON.stringify(monitor.snapshot())}`);
      }
    }
  });

  test('a success is one for every interval up to where the packet came', () => {
    const monitor = new PathMonitor(pathOf(8), full);
    dropUntilVerdict(monitor, 2);
    monitor.onOutcome(monitor.generation, monitor.probes, 5);
    expect(
      monitor.snapshot().intervals.map(({ outcomes, losses, debt }) => [outcomes, losses, debt]),
    ).toEqual([
      [1, 0, 99],
      [1, 0, 99],
      [1, 0, 99],
      [1, 0, 99],
      [1, 0, 99],
      [1, 1, 100],
      [0, 0, 100],
      [0, 0, 100],
    ]);
  });

  test(
    'a full search probes the nodes of the ' + 'faulty interval only once others have retired',
    () => {
      const monitor = new PathMonitor(pathOf(4), full);
      dropUntilVerdict(monitor, 3);
      for (let i = 0; i < 9; i += 1) send(monitor, 3);
      for (let i = 0; i < 91; i += 1) send(monitor, -1);
      // The links before the last have paid, the last has not.
      expect(monitor.probes).toEqual([3, 4]);
      for (let i = 0; i < 10; i += 1) send(monitor, 1);
      expect(monitor.probes).toEqual([1, 2, 3, 4]);
    },
  );
});

describe('packets of an older list', () => {
  test(
    'count for an interval that was there when they were sent and still is, ' +
      'and otherwise in the statistics only',
    () => {
      const monitor = new PathMonitor(pathOf(8), binary);
      const quiet = monitor.probes;
      dropUntilVerdict(monitor, 5);
      const halves = monitor.probes;
      monitor.onOutcome(0, quiet, 0);
      monitor.onOutcome(0, quiet, 1);
      expect(monitor.snapshot().intervals.map(({ outcomes }) => outcomes)).toEqual([0, 0]);
      expect(monitor.snapshot()).toMatchObject({
        lost: 11,
        uncharged: 1,
        searchLosses: 11,
        delivered: 1,
      });
      dropUntilVerdict(monitor, 5);
      expect(monitor.probes).toEqual([4, 6, 8]);
      // 100..104 lives on, 104..108 was split.
      monitor.onOutcome(1, halves, 0);
      monitor.onOutcome(1, halves, 1);
      expect(
        monitor.snapshot().intervals.map(({ outcomes, losses }) => [outcomes, losses]),
      ).toEqual([
        [12, 1],
        [0, 0],
        [0, 0],
      ]);
      expect(monitor.snapshot().uncharged).toBe(2);
    },
  );

  test('do not count for an interval with the same ends that came back', () => {
    const monitor = new PathMonitor(pathOf(8), binary);
    const quiet = monitor.probes;
    dropUntilVerdict(monitor, 5);
    sendGood(monitor, 100);
    expect(monitor.probes).toEqual(quiet);
    for (let i = 0; i < 50; i += 1) expect(monitor.onOutcome(0, quiet, 0)).toBeNull();
    expect(monitor.snapshot()).toMatchObject({
      uncharged: 50,
      searching: false,
      intervals: [{ losses: 0, outcomes: 0 }],
    });
  });

  test('of a future list, or of another path, are a mistake of ours', () => {
    const monitor = new PathMonitor(pathOf(3), binary);
    expect(() => monitor.onOutcome(1, [3], 0)).toThrow('never given');
    expect(() => monitor.onOutcome(0, [2], 0)).toThrow('another path');
    expect(() => monitor.onOutcome(0, [3], 2)).toThrow('another path');
    expect(() => new PathMonitor([1], binary)).toThrow('two ends');
    expect(() => new PathMonitor([1, 2, 1], binary)).toThrow('once');
  });
});

describe('soft losses', () => {
  test('convict the interval that was late although every packet arrives', () => {
    const monitor = new PathMonitor(pathOf(6), secureOptions);
    let verdict: Verdict | null = null;
    let packets = 0;
    while (verdict?.kind !== 'conviction') {
      verdict = monitor.onOutcome(
        monitor.generation,
        monitor.probes,
        monitor.probes.length,
        reachedOf(monitor.probes, 4),
      );
      packets += 1;
    }
    expect(verdict).toEqual({ kind: 'conviction', u: 104, v: 105, losses: 20 });
    expect(packets).toBe(20);
    expect(monitor.snapshot()).toMatchObject({ delivered: 20, lost: 0, softLosses: 20 });
  });

  test('are successes without the switch', () => {
    const monitor = new PathMonitor(pathOf(6), binary);
    for (let i = 0; i < 100; i += 1) expect(monitor.onOutcome(0, [6], 1, 0)).toBeNull();
    expect(monitor.snapshot()).toMatchObject({ softLosses: 0, intervals: [{ losses: 0 }] });
  });

  test('and a loss further on in the same packet are charged to an interval each', () => {
    const monitor = new PathMonitor(pathOf(4), secureOptions);
    dropUntilVerdict(monitor, 0);
    monitor.onOutcome(monitor.generation, monitor.probes, 2, 0);
    monitor.onOutcome(monitor.generation, monitor.probes, 2, 3);
    expect(monitor.snapshot().intervals.map(({ losses }) => losses)).toEqual([1, 0, 2, 0]);
    expect(monitor.snapshot().softLosses).toBe(1);
  });
});

interface Cycles {
  readonly cycles: number;
  readonly lost: number;
  readonly packets: number;
  readonly conviction: Verdict | null;
}

/**
 * The dynamic adversary on `link`: all is dropped until a fault, then `rate` of the good packets
 * while probes are there (spread evenly), and again from the beginning; until `cycles` or a
 * conviction.
 */
function dynamicAdversary(
  monitor: PathMonitor,
  link: number,
  rate: number,
  cycles: number,
): Cycles {
  let lost = 0;
  let packets = 0;
  for (let cycle = 1; cycle <= cycles; cycle += 1) {
    let [good, bad] = [0, 0];
    while (!monitor.searching) {
      const verdict = send(monitor, link);
      lost += 1;
      packets += 1;
      if (verdict?.kind === 'conviction')
        return { cycles: cycle, lost, packets, conviction: verdict };
    }
    while (monitor.searching) {
      const drops = bad + 1 <= rate * good;
      const verdict = send(monitor, drops ? link : -1);
      packets += 1;
      if (drops) [bad, lost] = [bad + 1, lost + 1];
      else good += 1;
      if (verdict?.kind === 'conviction')
        return { cycles: cycle, lost, packets, conviction: verdict };
    }
  }
  return { cycles, lost, packets, conviction: null };
}

describe('an adversary that stops while it is probed (B4)', () => {
  test('takes no more than 2 tau of the good packets in the long run', () => {
    for (const options of [binary, full, { ...secureOptions, searchMemory: false }]) {
      const tau = options.tolerance;
      for (const rate of [0, 0.5 * tau, 0.9 * tau, 0.98 * tau]) {
        for (const link of [0, 3, 7]) {
          const run = dynamicAdversary(new PathMonitor(pathOf(8), options), link, rate, 200);
          expect(run.conviction).toBeNull();
          const b = faultLosses(options.windowPackets, tau);
          expect(run.lost / run.packets).toBeLessThanOrEqual(
            (2 * tau) / (1 + 2 * tau) + b / run.packets,
          );
        }
      }
    }
  });

  test(
    'that drops as much as it can each time costs no more than 3 tau: ' +
      'a window that starts empty is worth b - 1 losses more',
    () => {
      for (const options of [binary, full, { ...secureOptions, searchMemory: false }]) {
        const b = faultLosses(options.windowPackets, options.tolerance);
        const monitor = new PathMonitor(pathOf(8), options);
        let [lost, packets] = [0, 0];
        while (packets < 50_000) {
          const at = monitor.snapshot().intervals.find(({ from, to }) => from <= 105 && to >= 106)!;
          const drops = !monitor.searching || (at.losses < b - 1 && at.debt > 0);
          if (send(monitor, drops ? 5 : -1)?.kind === 'conviction')
            expect.fail(`convicted after ${packets} packets`);
          packets += 1;
          if (drops) lost += 1;
        }
        expect(lost / (packets - lost)).toBeLessThanOrEqual(3 * options.tolerance);
      }
    },
  );

  test('is convicted after a bounded number of cycles when searches are remembered', () => {
    const worst = { binary: 0, full: 0 };
    for (const [name, options] of [
      ['binary', withMemory],
      ['full', { ...full, searchMemory: true }],
    ] as const) {
      for (const n of [2, 5, 8, 16]) {
        for (let link = 0; link < n; link += 1) {
          const run = dynamicAdversary(new PathMonitor(pathOf(n), options), link, 0.098, 200);
          expect(run.conviction).toMatchObject({
            kind: 'conviction',
            u: 100 + link,
            v: 101 + link,
          });
          worst[name] = Math.max(
            worst[name],
            run.cycles - (name === 'binary' ? 2 * halvings(n) : 0),
          );
        }
      }
    }
    expect(worst.binary).toBeLessThanOrEqual(1);
    expect(worst.full).toBeLessThanOrEqual(3);
    const secure = dynamicAdversary(new PathMonitor(pathOf(8), secureOptions), 5, 0.049, 200);
    expect(secure.conviction).toMatchObject({ u: 105, v: 106 });
    expect(secure.cycles).toBeLessThanOrEqual(3);
  });

  test(
    'that drops as much as it can each time is ' + 'convicted soon when searches are remembered',
    () => {
      for (const options of [withMemory, secureOptions]) {
        const monitor = new PathMonitor(pathOf(8), options);
        let verdict: Verdict | null = null;
        while (verdict?.kind !== 'conviction') {
          const at = monitor.snapshot().intervals.find(({ from, to }) => from <= 105 && to >= 106)!;
          verdict = send(monitor, !monitor.searching || (at.losses < 9 && at.debt > 0) ? 5 : -1);
          expect(monitor.snapshot().lost).toBeLessThan(options === secureOptions ? 50 : 150);
        }
        expect(verdict).toMatchObject({ u: 105, v: 106 });
      }
    },
  );

  test('escapes memory only by keeping to half the tolerance while it is probed', () => {
    const run = dynamicAdversary(new PathMonitor(pathOf(8), withMemory), 5, 0.05, 500);
    expect(run.conviction).toBeNull();
    expect(run.lost / (run.packets - run.lost)).toBeLessThanOrEqual(0.1 + 0.05 + 0.001);
    expect(
      dynamicAdversary(new PathMonitor(pathOf(8), withMemory), 5, 0.07, 500).conviction,
    ).toMatchObject({ u: 105, v: 106 });
  });

  test('is forgotten when it stays good, and memory alone convicts nobody', () => {
    const monitor = new PathMonitor(pathOf(2), withMemory);
    dropUntilVerdict(monitor, 1);
    for (let i = 0; i < 9; i += 1) send(monitor, 1);
    while (monitor.searching) sendGood(monitor, 1);
    expect(monitor.snapshot().remembered).toEqual([{ from: 101, to: 102, losses: 9 - 100 * 0.05 }]);
    sendGood(monitor, 4 * 16 * 10);
    expect(monitor.snapshot().remembered).toEqual([]);
    expect(dropUntilVerdict(monitor, 1).verdict.kind).toBe('fault');
    expect(dropUntilVerdict(monitor, 1).packets).toBe(10);
  });

  test('a resumed search goes straight to what was suspicious', () => {
    const monitor = new PathMonitor(pathOf(16), withMemory);
    for (let i = 0; i < 3; i += 1) dropUntilVerdict(monitor, 5);
    expect(monitor.probes).toEqual([4, 6, 8, 16]);
    for (let i = 0; i < 9; i += 1) send(monitor, 5);
    // Just under the tolerance while it waits, so that the score does not fade.
    for (let i = 0; monitor.searching; i += 1) send(monitor, i >= 100 && i % 12 === 0 ? 5 : -1);
    expect(monitor.snapshot().remembered.map(({ from, to }) => [from, to])).toEqual([[104, 106]]);
    // It lost far more than b, all paid for since: what is left is one loss short of a fault.
    expect(monitor.snapshot().remembered[0]!.losses).toBe(9);
    dropUntilVerdict(monitor, 5);
    expect(monitor.probes).toEqual([4, 6, 16]);
  });

  test('is forgotten with everything else when a link of the path is convicted', () => {
    const monitor = new PathMonitor(pathOf(4), { ...full, searchMemory: true });
    dropUntilVerdict(monitor, 3);
    for (let i = 0; i < 9; i += 1) send(monitor, 3);
    sendGood(monitor, 80);
    for (let i = 0; i < 5; i += 1) send(monitor, 0);
    sendGood(monitor, 11);
    expect(monitor.probes).toEqual([3, 4]);
    expect(monitor.snapshot().remembered).toEqual([{ from: 100, to: 101, losses: 5 - 11 * 0.05 }]);
    expect(dropUntilVerdict(monitor, 3).verdict).toMatchObject({
      kind: 'conviction',
      u: 103,
      v: 104,
    });
    expect(monitor.snapshot()).toMatchObject({
      remembered: [],
      searching: false,
      searchLosses: 0,
      intervals: [{ links: 4, losses: 0, outcomes: 0 }],
    });
    expect(monitor.probes).toEqual([4]);
  });
});

describe('whatever is lost', () => {
  test(
    'is charged to an interval that contains the place, ' + 'and only places of loss are convicted',
    () => {
      for (let seed = 1; seed <= 40; seed += 1) {
        const rng = new Rng(seed);
        const n = 1 + rng.below(20);
        const options = rng.chance(0.5)
          ? { ...secureOptions, searchMemory: rng.chance(0.5) }
          : { ...paperOptions, searchMemory: rng.chance(0.5) };
        const monitor = new PathMonitor(pathOf(n), options);
        const places = Array.from({ length: 1 + rng.below(3) }, () => rng.below(n));
        const flying: { generation: number; list: readonly number[]; link: number }[] = [];
        let charged = 0;
        let [lost, searchLosses] = [0, 0];
        for (let step = 0; step < 2_500; step += 1) {
          const rate = (step >> 8) % 2 === 0 ? 0.3 : 0.02;
          flying.push({
            generation: monitor.generation,
            list: monitor.probes,
            link: rng.chance(rate) ? places[rng.below(places.length)]! : -1,
          });
          if (flying.length < 5) continue;
          const packet = flying.splice(rng.below(flying.length), 1)[0]!;
          const before = monitor.snapshot();
          const verdict = monitor.onOutcome(
            packet.generation,
            packet.list,
            reachedOf(packet.list, packet.link),
          );
          const after = monitor.snapshot();
          if (packet.link >= 0) lost += 1;
          if (verdict === null && packet.link >= 0 && after.uncharged === before.uncharged) {
            const at = after.intervals.find(
              (row, i) =>
                before.intervals.length === after.intervals.length &&
                row.losses > before.intervals[i]!.losses,
            );
            if (at !== undefined) {
              charged += 1;
              if (at.from > 100 + packet.link || at.to < 101 + packet.link)
                expect.fail(
                  `seed ${seed}, step ${step}: link ${packet.link} charged to ${at.from}-${at.to}`,
                );
            }
          }
          if (verdict?.kind === 'conviction') {
            expect(places).toContain(verdict.u - 100);
            expect(verdict.v).toBe(verdict.u + 1);
            searchLosses += verdict.losses;
          }
          const sound =
            sum(after.intervals.map(({ links }) => links)) === n &&
            after.intervals.every(({ losses }) => losses < 10) &&
            monitor.searching === monitor.probes.length > 1;
          if (!sound) expect.fail(`seed ${seed}, step ${step}: ${JSON.stringify(after)}`);
        }
        expect(charged).toBeGreaterThan(0);
        expect(monitor.snapshot()).toMatchObject({ lost });
        expect(searchLosses).toBeLessThanOrEqual(lost);
      }
    },
  );

  test('at one link only, convicts no other link, in any mode', () => {
    let convictions = 0;
    for (let seed = 100; seed < 160; seed += 1) {
      const rng = new Rng(seed);
      const n = 1 + rng.below(32);
      const place = rng.below(n);
      const options: MonitorOptions = {
        windowPackets: 20 + rng.below(200),
        tolerance: 0.02 + rng.unit() / 5,
        fullProbing: rng.chance(0.5),
        fullProbingHops: rng.chance(0.5) ? 16 : 32,
        softLoss: rng.chance(0.5),
        searchMemory: rng.chance(0.5),
      };
      const monitor = new PathMonitor(pathOf(n), options);
      for (let step = 0; step < 5_000; step += 1) {
        const bad = rng.chance(0.25);
        const soft = bad && rng.chance(0.3);
        const at = reachedOf(monitor.probes, place);
        const verdict = monitor.onOutcome(
          monitor.generation,
          monitor.probes,
          bad && !soft ? at : monitor.probes.length,
          soft ? at : -1,
        );
        if (verdict?.kind !== 'conviction') continue;
        convictions += 1;
        expect([verdict.u, verdict.v]).toEqual([100 + place, 101 + place]);
        expect(verdict.losses).toBeGreaterThanOrEqual(
          faultLosses(options.windowPackets, options.tolerance),
        );
      }
    }
    expect(convictions).toBeGreaterThan(500);
  });
});

/**
 * The link model: rate, loss, order, duplicates, corruption, and independence of their random
 * streams.
 */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { IP_UDP_BYTES, LinkModel, makeVerdict } from '../../../../src/core/emulation/link-model.ts';
import {
  applyLinkSettings,
  changeDirection,
  defaultDirection,
  defaultQueueBytes,
  meanLoss,
  toLinkSettings,
  type DirectionChange,
} from '../../../../src/core/emulation/link-settings.ts';

function model(change: DirectionChange, seed = 1): LinkModel {
  return new LinkModel(changeDirection(defaultDirection(), change), new Rng(seed));
}

interface Fate {
  copies: number;
  at0: number;
  at1: number;
  corruptBit: number;
}

/** Offers `count` datagrams of `bytes`, `gapUs` apart. */
function run(link: LinkModel, count: number, gapUs: number, bytes = 1000): Fate[] {
  const out = makeVerdict();
  const fates: Fate[] = [];
  for (let i = 0; i < count; i += 1) {
    link.offer(i * gapUs, bytes, out);
    fates.push({ ...out });
  }
  return fates;
}

const lostPattern = (fates: Fate[]): string =>
  fates.map((f) => (f.copies === 0 ? 'x' : '.')).join('');

describe('bursts in time', () => {
  test('have the mean loss, and last as long for whoever sends little', () => {
    const loss = {
      kind: 'bursts-in-time',
      goodUs: 950_000,
      badUs: 50_000,
      badFixed: false,
      lossGood: 0,
      lossBad: 1,
    } as const;
    expect(meanLoss(loss)).toBeCloseTo(0.05, 9);
    for (const gapUs of [1_000, 10_000, 40_000]) {
      const pattern = lostPattern(
        run(model({ loss }), 4_000_000_000 / gapUs / (gapUs < 10_000 ? 4 : 1), gapUs, 100),
      );
      const lost = pattern.replaceAll('.', '').length;
      expect(lost / pattern.length, `${gapUs}`).toBeGreaterThan(0.04);
      expect(lost / pattern.length, `${gapUs}`).toBeLessThan(0.06);
      // A burst of 50 ms is seen as so many in a row, on the average.
      if (gapUs <= 10_000)
        expect((lost / pattern.split('x.').length) * gapUs, `${gapUs}`).toBeLessThan(65_000);
      if (gapUs <= 10_000)
        expect((lost / pattern.split('x.').length) * gapUs, `${gapUs}`).toBeGreaterThan(40_000);
    }
  });

  test(
    'outages all last the same, at random, ' + 'and what is lost between them is lost besides',
    () => {
      const loss = {
        kind: 'bursts-in-time',
        goodUs: 1_940_000,
        badUs: 60_000,
        badFixed: true,
        lossGood: 0,
        lossBad: 1,
      } as const;
      const runs = lostPattern(run(model({ loss }), 600_000, 1_000, 100)).match(/x+/g)!;
      expect(runs.length).toBeGreaterThan(240);
      for (const one of runs) expect([59, 60, 61, 120], `${one.length}`).toContain(one.length);
      const both = lostPattern(
        run(model({ loss: { ...loss, lossGood: 0.1 } }), 100_000, 1_000, 100),
      );
      expect(both.replaceAll('.', '').length / both.length).toBeGreaterThan(0.11);
    },
  );
});

describe('bottleneck', () => {
  test('datagrams leave at exactly the line rate, with no drift over a million of them', () => {
    const bytes = 1000 - IP_UDP_BYTES;
    // 1000 IP bytes at 7 Mbit/s take 8000/7 us, which no binary fraction holds.
    const link = model({ bandwidthKbps: 7_000, queueBytes: 1_000_000_000 });
    const out = makeVerdict();
    for (let i = 0; i < 1_000_000; i += 1) {
      link.offer(0, bytes, out);
      if (i % 7 === 0) expect(out.at0).toBe((i / 7) * 8_000);
    }
    expect(out.at0).toBe(Math.ceil((999_999 * 8_000) / 7));
  });

  test('10 Mbit/s carries 1000 IP bytes every 800 us, the first after the latency alone', () => {
    const link = model({ bandwidthKbps: 10_000, latencyUs: 10_000 });
    const fates = run(link, 5, 0, 1000 - IP_UDP_BYTES);
    expect(fates.map((f) => f.at0)).toEqual([10_000, 10_800, 11_600, 12_400, 13_200]);
  });

  test('an idle link starts afresh: no credit is saved up', () => {
    const link = model({ bandwidthKbps: 8_000 });
    const out = makeVerdict();
    link.offer(1_000_000, 972, out);
    expect(out.at0).toBe(1_000_000);
    link.offer(1_000_500, 972, out);
    expect(out.at0).toBe(1_001_000);
    link.offer(1_000_500, 972, out);
    expect(out.at0).toBe(1_002_000);
  });

  test('the queue never holds more than its bound, and drains at the line rate', () => {
    const link = model({ bandwidthKbps: 8_000, queueBytes: 10_000 });
    run(link, 20, 0, 972);
    expect(link.counters).toMatchObject({ offered: 20, queueDropped: 10, delivered: 10, lost: 0 });
    expect(link.queueBytes(0)).toBe(10_000);
    expect(link.queueBytes(2_500)).toBe(7_500);
    expect(link.queueBytes(10_000)).toBe(0);
    const out = makeVerdict();
    link.offer(10_000, 972, out);
    expect(out.copies).toBe(1);
  });

  test('an idle link takes a datagram larger than its queue', () => {
    const link = model({ bandwidthKbps: 8_000, queueBytes: 100 });
    expect(run(link, 2, 0, 972).map((f) => f.copies)).toEqual([1, 0]);
  });

  test('lost datagrams use the link too', () => {
    const link = model({ bandwidthKbps: 8_000, loss: { kind: 'bernoulli', rate: 1 } });
    run(link, 3, 0, 972);
    link.set({ loss: { kind: 'bernoulli', rate: 0 } });
    const out = makeVerdict();
    link.offer(0, 972, out);
    expect(out.at0).toBe(3_000);
    expect(link.counters.lost).toBe(3);
  });

  test('a change of bandwidth keeps the bytes that wait, and no datagram overtakes', () => {
    const link = model({ bandwidthKbps: 80, queueBytes: 100_000 });
    const last = run(link, 10, 0, 972)[9]!;
    expect(last.at0).toBe(900_000);
    link.set({ bandwidthKbps: 8_000 });
    expect(link.queueBytes(0)).toBe(10_000);
    const out = makeVerdict();
    link.offer(0, 972, out);
    expect(out.at0).toBe(900_000);
    expect(link.queueBytes(0)).toBe(11_000);
    link.set({ bandwidthKbps: null });
    link.offer(0, 972, out);
    expect(out.at0).toBe(900_000);
    expect(link.queueBytes(0)).toBe(0);
    link.offer(2_000_000, 972, out);
    expect(out.at0).toBe(2_000_000);
  });

  test('everything offered while down is lost, what was on the wire is not recalled', () => {
    const link = model({ latencyUs: 5_000 });
    const out = makeVerdict();
    link.offer(0, 10, out);
    expect(out).toMatchObject({ copies: 1, at0: 5_000 });
    link.set({ up: false });
    link.offer(1, 10, out);
    expect(out.copies).toBe(0);
    link.set({ up: true });
    link.offer(2, 10, out);
    expect(out).toMatchObject({ copies: 1, at0: 5_002 });
    expect(link.counters).toMatchObject({ offered: 3, lost: 1, delivered: 2 });
  });
});

describe('loss', () => {
  test.each([0.01, 0.1, 0.5])(
    'Bernoulli loss of %d stays within four standard deviations',
    (rate) => {
      const count = 100_000;
      const link = model({ loss: { kind: 'bernoulli', rate } }, 42);
      run(link, count, 10);
      expect(Math.abs(link.counters.lost - count * rate)).toBeLessThan(
        4 * Math.sqrt(count * rate * (1 - rate)),
      );
    },
  );

  test('Gilbert-Elliott bursts have the mean length 1 / badToGood and the long-run loss', () => {
    const loss = {
      kind: 'gilbert-elliott',
      goodToBad: 0.01,
      badToGood: 0.25,
      lossGood: 0,
      lossBad: 1,
    } as const;
    const pattern = lostPattern(run(model({ loss }, 7), 400_000, 10));
    const bursts = pattern.match(/x+/g)!;
    const mean = bursts.reduce((sum, burst) => sum + burst.length, 0) / bursts.length;
    expect(mean).toBeGreaterThan(3.8);
    expect(mean).toBeLessThan(4.2);
    const share = pattern.replaceAll('.', '').length / pattern.length;
    expect(Math.abs(share - meanLoss(loss))).toBeLessThan(0.004);
    // Independent loss of the same rate has bursts just above one.
    const plain = lostPattern(
      run(model({ loss: { kind: 'bernoulli', rate: meanLoss(loss) } }, 7), 100_000, 10),
    ).match(/x+/g)!;
    expect(plain.join('').length / plain.length).toBeLessThan(1.2);
  });

  test('the rates 0 and 1 are exact', () => {
    expect(lostPattern(run(model({}), 5, 1))).toBe('.....');
    expect(lostPattern(run(model({ loss: { kind: 'bernoulli', rate: 1 } }), 5, 1))).toBe('xxxxx');
  });
});

describe('order and copies', () => {
  test('jitter spreads the delay over its whole range and never reorders', () => {
    const link = model({ latencyUs: 10_000, jitterUs: 4_000 });
    const fates = run(link, 20_000, 100);
    let previous = 0;
    for (const [i, fate] of fates.entries()) {
      expect(fate.at0).toBeGreaterThanOrEqual(previous);
      expect(fate.at0 - i * 100).toBeGreaterThanOrEqual(10_000);
      expect(fate.at0 - i * 100).toBeLessThanOrEqual(14_000);
      previous = fate.at0;
    }
    // Far apart, datagrams do not push each other and the mean is the middle.
    const apart = run(model({ latencyUs: 10_000, jitterUs: 4_000 }), 20_000, 10_000);
    const mean = apart.reduce((sum, f, i) => sum + f.at0 - i * 10_000, 0) / apart.length;
    expect(Math.abs(mean - 12_000)).toBeLessThan(50);
    expect(Math.max(...apart.map((f, i) => f.at0 - i * 10_000))).toBeGreaterThan(13_990);
  });

  test('a reordered datagram is held back by the reorder delay and others pass it', () => {
    const link = model({ latencyUs: 1_000, reorderRate: 0.1, reorderUs: 5_000 }, 3);
    const fates = run(link, 10_000, 1_000);
    const late = fates.filter((f, i) => f.at0 === i * 1_000 + 6_000).length;
    const onTime = fates.filter((f, i) => f.at0 === i * 1_000 + 1_000).length;
    expect(late + onTime).toBe(10_000);
    expect(late).toBe(link.counters.reordered);
    expect(Math.abs(late - 1_000)).toBeLessThan(120);
  });

  test('a duplicated datagram has a second copy on time', () => {
    const link = model({ latencyUs: 1_000, duplicateRate: 0.2 }, 3);
    const fates = run(link, 10_000, 1_000);
    const twice = fates.filter((f) => f.copies === 2);
    expect(twice.length).toBe(link.counters.duplicated);
    expect(Math.abs(twice.length - 2_000)).toBeLessThan(160);
    for (const fate of twice) expect(fate.at1).toBe(fate.at0);
    expect(link.counters.delivered).toBe(10_000);
  });

  test('a corrupted datagram has one bit within its payload to flip', () => {
    const link = model({ corruptRate: 1 });
    const bits = run(link, 5_000, 1, 4).map((f) => f.corruptBit);
    expect(new Set(bits)).toEqual(new Set(Array.from({ length: 32 }, (_, i) => i)));
    expect(run(model({ corruptRate: 1 }), 1, 1, 0)[0]!.corruptBit).toBe(-1);
    expect(run(model({}), 1, 1)[0]!.corruptBit).toBe(-1);
  });
});

describe('determinism', () => {
  const everything: DirectionChange = {
    bandwidthKbps: 5_000,
    latencyUs: 3_000,
    jitterUs: 2_000,
    loss: { kind: 'bernoulli', rate: 0.1 },
    duplicateRate: 0.05,
    reorderRate: 0.05,
    corruptRate: 0.05,
  };

  test('the same seed gives the same fates, another seed others', () => {
    expect(run(model(everything, 9), 2_000, 900)).toEqual(run(model(everything, 9), 2_000, 900));
    expect(run(model(everything, 9), 2_000, 900)).not.toEqual(
      run(model(everything, 10), 2_000, 900),
    );
  });

  test('switching other features on does not change which datagrams are lost', () => {
    const loss = { kind: 'bernoulli', rate: 0.1 } as const;
    const alone = lostPattern(run(model({ loss }, 5), 5_000, 5_000));
    expect(lostPattern(run(model({ ...everything, loss }, 5), 5_000, 5_000))).toBe(alone);
  });

  test(
    'switching loss on does not change the jitter, ' +
      'duplicates and damage of the datagrams that arrive',
    () => {
      const base: DirectionChange = { jitterUs: 2_000, duplicateRate: 0.1, corruptRate: 0.1 };
      const clean = run(model(base, 5), 5_000, 5_000);
      const lossy = run(
        model({ ...base, loss: { kind: 'bernoulli', rate: 0.3 } }, 5),
        5_000,
        5_000,
      );
      let damaged = 0;
      for (const [i, fate] of lossy.entries()) {
        if (fate.copies === 0) continue;
        expect([fate.copies, fate.at0, fate.corruptBit >= 0]).toEqual([
          clean[i]!.copies,
          clean[i]!.at0,
          clean[i]!.corruptBit >= 0,
        ]);
        damaged += fate.corruptBit >= 0 ? 1 : 0;
      }
      expect(damaged).toBeGreaterThan(100);
    },
  );

  test('every datagram offered is counted exactly once', () => {
    const link = model({ ...everything, queueBytes: 5_000 }, 2);
    run(link, 5_000, 1_000);
    const { offered, lost, queueDropped, delivered } = link.counters;
    expect(offered).toBe(5_000);
    expect(lost + queueDropped + delivered).toBe(offered);
    expect(Math.min(lost, queueDropped, delivered)).toBeGreaterThan(0);
  });
});

describe('settings', () => {
  test(
    'the default queue is the larger of 64 KiB ' + 'and 100 ms of the bandwidth, and follows it',
    () => {
      expect(defaultQueueBytes(null)).toBe(65_536);
      expect(defaultQueueBytes(1_000)).toBe(65_536);
      expect(defaultQueueBytes(10_000)).toBe(125_000);
      const fast = changeDirection(defaultDirection(), { bandwidthKbps: 100_000 });
      expect(fast.queueBytes).toBe(1_250_000);
      expect(changeDirection(fast, { bandwidthKbps: 10_000 }).queueBytes).toBe(125_000);
      const chosen = changeDirection(fast, { queueBytes: 3_000 });
      expect(changeDirection(chosen, { bandwidthKbps: 10_000 }).queueBytes).toBe(3_000);
    },
  );

  test('client settings apply in part and read back as they were given', () => {
    const given = {
      bandwidthKbps: 512,
      mtuBytes: 1_400,
      latencyMs: 12.5,
      jitterMs: 1,
      lossPct: 7,
      duplicatePct: 0.1,
      reorderPct: 3,
      corruptPct: 0.07,
      up: false,
    };
    const settings = applyLinkSettings(defaultDirection(), given);
    expect(settings).toMatchObject({
      latencyUs: 12_500,
      loss: { kind: 'bernoulli', rate: 0.07 },
      up: false,
    });
    expect(toLinkSettings(settings)).toEqual(given);
    expect(toLinkSettings(applyLinkSettings(settings, { latencyMs: 3 }))).toEqual({
      ...given,
      latencyMs: 3,
    });
    expect(toLinkSettings({ latencyUs: 5_000 })).toEqual({ latencyMs: 5 });
  });

  test.each([
    [{ lossPct: 101 }, 'loss'],
    [{ lossPct: NaN }, 'loss'],
    [{ latencyMs: -1 }, 'latency'],
    [{ latencyMs: 1e9 }, 'latency'],
    [{ bandwidthKbps: 0 }, 'bandwidth'],
    [{ bandwidthKbps: 1.5 }, 'bandwidth'],
    [{ mtuBytes: 575 }, 'mtu'],
    [{ mtuBytes: 65_536 }, 'mtu'],
    [{ mtuBytes: 1_400.5 }, 'mtu'],
    [{ jitterMs: Infinity }, 'jitter'],
    [{ corruptPct: -1 }, 'corrupt'],
  ])('%o is refused and names the field', (change, field) => {
    expect(() => applyLinkSettings(defaultDirection(), change)).toThrow(
      expect.objectContaining({ code: 'EINVAL', message: expect.stringContaining(field) }),
    );
  });

  test('a refused change leaves the model as it was', () => {
    const link = model({ latencyUs: 7_000 });
    expect(() => link.set({ latencyUs: 1, duplicateRate: 2 })).toThrow(/duplicate/);
    expect(link.settings.latencyUs).toBe(7_000);
  });
});

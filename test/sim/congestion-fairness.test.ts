/**
 * Two greedy streams in one drop-tail buffer: whoever is beside BBR gets at least half of what it
 * gets beside its own kind. And one alone, on lines that lose what is no congestion.
 *
 * By default the rows that were hardest; SPINES_LONG=1 runs the whole table and prints it.
 */

import { describe, expect, test } from 'vitest';

import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import { CONGESTION_NAMES, type CongestionName } from '../../src/core/recovery/controller.ts';
import { SimStreamFlow } from '../../src/lab/sim/stream-flow.ts';
import { SERVICE_BEST_EFFORT } from '../../src/core/wire/packet.ts';
import { pair, useNetworks, wire } from '../support/network.ts';

useNetworks();

const MS = MILLISECOND;
const LONG = process.env['SPINES_LONG'] === '1';

interface Line {
  readonly kbps: number;
  readonly rttMs: number;
  readonly bufferBdp: number;
  readonly loss?: number;
  readonly seconds: number;
}

interface Outcome {
  readonly shares: readonly number[];
  readonly queueP99Ms: number;
}

/**
 * Shares of the line in the last three quarters, one stream for each of `kinds`, begun 1.37 s
 * apart.
 */
function compete(
  { kbps, rttMs, bufferBdp, loss = 0, seconds }: Line,
  kinds: readonly CongestionName[],
  seed = 1,
): Outcome {
  const bdp = (kbps / 8) * rttMs;
  const network = pair({
    seed,
    routes: false,
    forward: wire({
      latencyUs: (rttMs * MS) / 2,
      bandwidthKbps: kbps,
      queueBytes: Math.max(1_600, Math.round(bufferBdp * bdp)),
      loss: { kind: 'bernoulli', rate: loss },
    }),
    backward: wire({ latencyUs: (rttMs * MS) / 2 }),
  });
  network.settle();
  const [a, b] = [network.host(0), network.host(1)];
  const flows = kinds.map(
    (congestion, i) =>
      new SimStreamFlow(
        network.world,
        i,
        a,
        b,
        {
          packetsPerSecond: (1.5 * kbps) / 8,
          sizeBytes: 1_000,
          startUs: 100 * MS,
          durationUs: 3_600 * SECOND,
          count: null,
          options: { service: SERVICE_BEST_EFFORT },
          congestion,
        },
        network.now + i * 1_370 * MS,
      ),
  );
  a.endTurn();
  network.run((seconds / 4) * SECOND);
  const from = flows.map((flow) => flow.meter.delivered),
    queues: number[] = [];
  const { model } = network.world.wires[0]!;
  for (let i = 0; i < 75 * seconds; i += 1) {
    network.run(10 * MS);
    queues.push((model.queueBytes(network.now) * 8) / kbps);
  }
  const shares = flows.map(
    (flow, i) => ((flow.meter.delivered - from[i]!) * 8) / (0.75 * seconds) / kbps,
  );
  for (const flow of flows) flow.stream?.reset();
  a.endTurn();
  queues.sort((x, y) => x - y);
  return { shares, queueP99Ms: queues[Math.floor(0.99 * queues.length)]! };
}

const sum = (shares: readonly number[]): number => shares.reduce((x, y) => x + y, 0);

const ALL = [10_000, 50_000].flatMap((kbps) =>
  [10, 100].flatMap((rttMs) =>
    [0.25, 1, 4].map((bufferBdp) => ({ kbps, rttMs, bufferBdp, seconds: 100 })),
  ),
);
/** Buffers of two packets, and of a quarter of a long line. */
const HARD: readonly Line[] = [
  { kbps: 10_000, rttMs: 10, bufferBdp: 0.25, seconds: 20 },
  { kbps: 10_000, rttMs: 100, bufferBdp: 0.25, seconds: 40 },
];

describe('BBR leaves others at least half of what they have beside their own kind', () => {
  for (const line of LONG ? ALL : HARD) {
    test(`${line.kbps} kbit/s, ${line.rttMs} ms, buffer of ${line.bufferBdp}`, {
      timeout: 900_000,
    }, () => {
      const rows: string[] = [];
      for (const other of LONG ? (['newreno', 'cubic'] as const) : (['newreno'] as const)) {
        const seeds = LONG ? 3 : 1;
        let beside = 0,
          own = 0,
          mine = 0;
        for (let seed = 1; seed <= seeds; seed += 1) {
          const mixed = compete(line, ['bbr', other], seed).shares;
          beside += mixed[1]! / seeds;
          mine += mixed[0]! / seeds;
          own += sum(compete(line, [other, other], seed).shares) / 2 / seeds;
        }
        rows.push(
          `${other} ${beside.toFixed(3)} beside bbr ${mine.toFixed(3)}, beside its own kind ` +
            `${own.toFixed(3)}`,
        );
        expect(beside, rows.at(-1)).toBeGreaterThanOrEqual(own / 2);
        // Nor is it pushed aside itself, as far as a model of an empty queue can hold its own in a
        // full one.
        expect(mine, rows.at(-1)).toBeGreaterThan(line.bufferBdp > 1 ? 0.15 : 0.25);
      }
      const two = compete(line, ['bbr', 'bbr']).shares;
      rows.push(`bbr ${two[0]!.toFixed(3)} beside bbr ${two[1]!.toFixed(3)}`);
      expect(Math.min(...two), rows.at(-1)).toBeGreaterThan(0.15);
      console.log(
        `${line.kbps} kbit/s, ${line.rttMs} ms, buffer of ${line.bufferBdp}:\n  ` +
          `${rows.join('\n  ')}`,
      );
    });
  }
});

describe('loss that is no congestion', () => {
  const lines = LONG
    ? [10, 100, 200].flatMap((rttMs) => [10_000, 100_000].map((kbps) => ({ kbps, rttMs })))
    : [{ kbps: 10_000, rttMs: 100 }];
  for (const { kbps, rttMs } of lines) {
    test(`leaves BBR most of ${kbps} kbit/s, ${rttMs} ms, and the queue short`, {
      timeout: 900_000,
    }, () => {
      const rows: string[] = [];
      for (const loss of LONG ? [0, 0.0001, 0.001, 0.01, 0.05, 0.1] : [0.001, 0.05]) {
        const line = { kbps, rttMs, bufferBdp: 1, loss, seconds: LONG ? 30 : 16 };
        for (const kind of LONG ? CONGESTION_NAMES : (['bbr'] as const)) {
          const { shares, queueP99Ms } = compete(line, [kind]);
          rows.push(
            `${loss * 100} %, ${kind}: ${shares[0]!.toFixed(3)} of the line, queue p99 ` +
              `${queueP99Ms.toFixed(1)} ms`,
          );
          if (kind !== 'bbr') continue;
          // 1000 of 1078 bytes are the message.
          expect(shares[0]! / 0.928, rows.at(-1)).toBeGreaterThan(
            loss <= 0.01 ? 0.9 * (1 - loss) : 0.75 * (1 - loss),
          );
          expect(queueP99Ms, rows.at(-1)).toBeLessThan(0.35 * rttMs + 5);
        }
      }
      console.log(`${kbps} kbit/s, ${rttMs} ms:\n  ${rows.join('\n  ')}`);
    });
  }
});

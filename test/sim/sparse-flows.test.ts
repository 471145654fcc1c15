/**
 * Voice, games, telemetry: flows that offer less than the line takes, over links that lose data and
 * acknowledgements. What a message waits beyond the line's latency is a table, kept within bounds
 * of what loss alone costs: half a round trip and a probe for each message that is lost.
 *
 * SPINES_LONG=1 adds seeds and time.
 */

import { describe, expect, test } from 'vitest';

import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import type { DelaySummary } from '../../src/lab/report/delay-stats.ts';
import { SimStreamFlow } from '../../src/lab/sim/stream-flow.ts';
import { SERVICE_RELIABLE } from '../../src/core/wire/packet.ts';
import { pair, useNetworks, wire } from '../support/network.ts';

useNetworks();

const MS = MILLISECOND;
const LONG = process.env['SPINES_LONG'] === '1';

interface Line {
  readonly oneWayMs: number;
  readonly forward: number;
  readonly backward: number;
}

interface Offered {
  readonly kbps: number;
  readonly sizeBytes: number;
  readonly seconds: number;
}

function measured(line: Line, offered: Offered, stream: boolean, seed: number): DelaySummary {
  const { oneWayMs, forward, backward } = line;
  const lossy = (rate: number) =>
    wire({ latencyUs: oneWayMs * MS, bandwidthKbps: 10_000, loss: { kind: 'bernoulli', rate } });
  const network = pair({ seed, forward: lossy(forward), backward: lossy(backward) });
  network.settle();
  const settings = {
    packetsPerSecond: (offered.kbps * 125) / offered.sizeBytes,
    sizeBytes: offered.sizeBytes,
    startUs: SECOND,
    durationUs: offered.seconds * SECOND,
    count: null,
    options: { service: SERVICE_RELIABLE },
  };
  const [a, b] = [network.host(0), network.host(1)];
  const flow = stream
    ? new SimStreamFlow(network.world, 1, a, b, settings, network.now)
    : network.flow(a, b, settings);
  a.endTurn();
  network.run((offered.seconds + 6) * SECOND);
  expect(flow.meter.delivered).toBe(flow.sent);
  if (flow instanceof SimStreamFlow) {
    flow.stream?.reset();
    a.endTurn();
  }
  return flow.meter.delays.summary()!;
}

const SEEDS = LONG ? 8 : 2;

describe('small messages', () => {
  for (const [sizeBytes, kbps] of [
    [20, 100],
    [100, 500],
    [300, 500],
    [1_000, 500],
  ] as const) {
    for (const stream of [false, true]) {
      test(
        `${sizeBytes} B at ${kbps} kbit/s, 1 % lost, ` +
          `${stream ? 'stream' : 'datagrams'}: wait as long as large ones`,
        () => {
          for (let seed = 1; seed <= SEEDS; seed += 1) {
            const delays = measured(
              { oneWayMs: 10, forward: 0.01, backward: 0 },
              { kbps, sizeBytes, seconds: LONG ? 60 : 15 },
              stream,
              seed,
            );
            expect(delays.mean, `seed ${seed}`).toBeLessThan(stream ? 12.5 : 11.5);
            expect(delays.p99, `seed ${seed}`).toBeLessThan(60);
          }
        },
      );
    }
  }
});

describe('a window of a few messages', () => {
  test.each([
    [0.05, 1_000, 14, 70],
    [0.1, 1_000, 22, 130],
    [0.05, 200, 13, 60],
  ])('does not hold them up: %d lost, %d kbit/s', (forward, kbps, meanMs, p99Ms) => {
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const delays = measured(
        { oneWayMs: 10, forward, backward: 0 },
        { kbps, sizeBytes: 1_000, seconds: LONG ? 100 : 30 },
        false,
        seed,
      );
      expect(delays.mean, `seed ${seed}`).toBeLessThan(meanMs);
      expect(delays.p99, `seed ${seed}`).toBeLessThan(p99Ms);
    }
  });
});

describe('lost acknowledgements', () => {
  test.each([
    [0.05, 500, 125],
    [0.1, 100, 200],
    [0.2, 100, 350],
    [0.3, 100, 700],
  ])('%d lost both ways at %d kbit/s: none waits for long', (rate, kbps, worstMs) => {
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const delays = measured(
        { oneWayMs: 10, forward: rate, backward: rate },
        { kbps, sizeBytes: 1_000, seconds: LONG ? 300 : 100 },
        false,
        seed,
      );
      expect(delays.p999, `seed ${seed}`).toBeLessThan(worstMs);
    }
  });
});

/**
 * Streams over best-effort links that lose in many places at once, or that only reorder: what they
 * carry is a table, kept as a snapshot, so that a regression shows as other numbers.
 *
 * SPINES_LONG=1 adds seeds and lines of 100 Mbit/s.
 */

import { describe, expect, test } from 'vitest';

import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import type { LinkModel } from '../../src/core/emulation/link-model.ts';
import type { DirectionChange } from '../../src/core/emulation/link-settings.ts';
import type { CongestionName } from '../../src/core/recovery/controller.ts';
import { SimStreamFlow } from '../../src/lab/sim/stream-flow.ts';
import { SERVICE_BEST_EFFORT } from '../../src/core/wire/packet.ts';
import { pair, useNetworks, wire, type Network } from '../support/network.ts';

useNetworks();

const MS = MILLISECOND;
const LONG = process.env['SPINES_LONG'] === '1';

interface Run {
  readonly network: Network;
  readonly flow: SimStreamFlow;
  /** The wire in the flow's direction. */
  readonly line: LinkModel;
}

/** A flow of `kbps` in messages of `sizeBytes` over one link, for `seconds` from second 1 on. */
function flowOver(
  wired: DirectionChange,
  kbps: number,
  sizeBytes: number,
  seconds: number,
  seed = 1,
  congestion: CongestionName = 'newreno',
): Run {
  const network = pair({
    seed,
    forward: wire(wired),
    backward: wire({ latencyUs: wired.latencyUs!, bandwidthKbps: wired.bandwidthKbps! }),
  });
  network.settle();
  const flow = new SimStreamFlow(
    network.world,
    1,
    network.host(0),
    network.host(1),
    {
      packetsPerSecond: (kbps * 1_000) / (8 * sizeBytes),
      sizeBytes,
      startUs: SECOND,
      durationUs: seconds * SECOND,
      count: null,
      options: { service: SERVICE_BEST_EFFORT },
      congestion,
    },
    network.now,
  );
  network.host(0).endTurn();
  return { network, flow, line: network.world.wires[0]!.model };
}

function end({ network, flow }: Run): void {
  flow.stream?.reset();
  network.host(0).endTurn();
}

describe('many holes in one round trip', () => {
  for (const [holes, kbps, oneWayMs] of [
    [0.02, 20_000, 50],
    [0.05, 20_000, 50],
    [0.3, 20_000, 50],
    [0.1, 4_000, 50],
    [0.2, 20_000, 10],
  ] as const) {
    test(
      `${holes * 100} % of a round trip's segments at ${kbps} kbit/s, ` +
        `${2 * oneWayMs} ms: over within a few round trips`,
      () => {
        for (let seed = 1; seed <= (LONG ? 10 : 2); seed += 1) {
          const run = flowOver(
            { latencyUs: oneWayMs * MS, bandwidthKbps: 100_000 },
            kbps,
            1_000,
            8,
            seed,
          );
          const { network, flow, line } = run;
          network.run(5 * SECOND);
          line.set({ loss: { kind: 'bernoulli', rate: holes } });
          network.run(2 * oneWayMs * MS);
          line.set({ loss: { kind: 'bernoulli', rate: 0 } });
          const resentBefore = flow.stream!.sender.resent;
          network.run(6 * SECOND);
          expect(flow.meter.delivered).toBe(flow.sent);
          const { sender } = flow.stream!;
          const { lost } = line.counters;
          // Nothing that arrived is sent again: only lost segments are, and those of them that are
          // lost once more.
          expect(
            (sender.resent - resentBefore) / 1_378,
            `seed ${seed}: ${lost} lost`,
          ).toBeLessThanOrEqual(lost * 1.25 + 3);
          expect(flow.meter.delays.summary()!.max, `seed ${seed}`).toBeLessThan(
            16 * oneWayMs + 300,
          );
          end(run);
        }
      },
    );
  }
});

describe('reordering without loss', () => {
  for (const congestion of ['newreno', 'cubic'] as const) {
    for (const [rate, delayMs, oneWayMs] of [
      [0.01, 10, 50],
      [0.2, 20, 50],
      [0.02, 30, 10],
      [0.5, 2, 20],
    ] as const) {
      test(
        `${rate * 100} % of datagrams ${delayMs} ms late, ` +
          `${2 * oneWayMs} ms, ${congestion}: a stream keeps its rate`,
        () => {
          for (let seed = 1; seed <= (LONG ? 10 : 2); seed += 1) {
            const line: DirectionChange = {
              latencyUs: oneWayMs * MS,
              bandwidthKbps: 10_000,
              reorderRate: rate,
              reorderUs: delayMs * MS,
            };
            const run = flowOver(line, 4_000, 1_000, 20, seed, congestion);
            run.network.run(23 * SECOND);
            const { flow } = run;
            expect(flow.meter.delivered, `seed ${seed}`).toBe(flow.sent);
            expect(flow.meter.delays.summary()!.mean, `seed ${seed}`).toBeLessThan(
              oneWayMs + delayMs + 15,
            );
            // What was sent again in vain stays a small share.
            expect(flow.stream!.sender.resent / (flow.sent * 1_000)).toBeLessThan(0.02);
            end(run);
          }
        },
      );
    }
  }
});

describe('a line of much bandwidth and delay', () => {
  test('is filled without loss, and a start that overshoots is over soon', {
    timeout: 600_000,
  }, () => {
    for (const [kbps, oneWayMs] of LONG
      ? ([
          [20_000, 50],
          [100_000, 50],
          [100_000, 100],
        ] as const)
      : ([[20_000, 50]] as const)) {
      const run = flowOver(
        { latencyUs: oneWayMs * MS, bandwidthKbps: kbps },
        1.2 * kbps,
        1_000,
        12,
      );
      run.network.run(13 * SECOND);
      const bits = (run.flow.meter.delivered * 8_000) / 12_000;
      console.log(
        `${kbps} kbit/s, ${2 * oneWayMs} ms: ${Math.round((100 * bits) / kbps)} % of the line`,
      );
      expect(bits).toBeGreaterThan(0.7 * kbps);
      end(run);
    }
  });
});

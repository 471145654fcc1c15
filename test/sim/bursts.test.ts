/**
 * Losses that come in a row: a link that is alive stays up through bursts that probes meet as a
 * whole, and one that is dead is still noticed.
 *
 * SPINES_LONG=1 adds seeds and time.
 */

import { describe, expect, test } from 'vitest';

import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import type { DirectionChange } from '../../src/core/emulation/link-settings.ts';
import { cut } from '../../src/lab/sim/faults.ts';
import { SERVICE_RELIABLE } from '../../src/core/wire/packet.ts';
import { pair, useNetworks, wire } from '../support/network.ts';

useNetworks();

const MS = MILLISECOND;
const LONG = process.env['SPINES_LONG'] === '1';

const kinds: [string, DirectionChange['loss'] & object][] = [
  [
    'five datagrams',
    { kind: 'gilbert-elliott', goodToBad: 0.0105, badToGood: 0.2, lossGood: 0, lossBad: 1 },
  ],
  [
    'ten datagrams',
    { kind: 'gilbert-elliott', goodToBad: 0.0053, badToGood: 0.1, lossGood: 0, lossBad: 0.9 },
  ],
  [
    '50 ms',
    {
      kind: 'bursts-in-time',
      goodUs: 950 * MS,
      badUs: 50 * MS,
      badFixed: false,
      lossGood: 0.01,
      lossBad: 1,
    },
  ],
  [
    '60 ms each',
    {
      kind: 'bursts-in-time',
      goodUs: 2_000 * MS,
      badUs: 60 * MS,
      badFixed: true,
      lossGood: 0,
      lossBad: 1,
    },
  ],
];

describe('a link that loses in bursts', () => {
  test.each(kinds)(
    'of %s stays up, carries all, and is dead within two seconds when it is',
    (_what, loss) => {
      let downs = 0;
      for (let seed = 1; seed <= (LONG ? 10 : 2); seed += 1) {
        const network = pair({
          seed,
          routes: false,
          forward: wire({ latencyUs: 10 * MS, bandwidthKbps: 10_000, loss }),
          backward: wire({ latencyUs: 10 * MS, bandwidthKbps: 10_000 }),
        });
        const [a, b] = [network.host(0), network.host(1)];
        network.settle();
        network.run(10 * SECOND);
        const before = network.linkDowns,
          seconds = LONG ? 300 : 40;
        const flow = network.flow(a, b, {
          packetsPerSecond: 62.5,
          sizeBytes: 1_000,
          durationUs: seconds * SECOND,
          options: { service: SERVICE_RELIABLE },
        });
        network.run((seconds + 5) * SECOND);
        downs += network.linkDowns - before;
        expect(flow.meter.delivered).toBe(flow.sent);
        cut(a, b);
        const up = network.linkDowns;
        expect(network.until(() => network.linkDowns > up, 2 * SECOND, 10 * MS)).not.toBeNull();
      }
      expect(downs).toBeLessThanOrEqual(LONG ? 2 : 0);
    },
  );
});

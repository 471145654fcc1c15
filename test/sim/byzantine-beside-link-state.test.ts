/**
 * Datagrams of Byzantine routing beside those of link state on one line that is too thin for both,
 * over reliable links: either gets its half, what was taken arrives, and the honest line is
 * convicted by nobody, however long it lasts.
 *
 * SPINES_LONG=1: five minutes instead of 40 s, more seeds, other rates and sizes.
 */

import { expect, test } from 'vitest';

import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import { SERVICE_RELIABLE } from '../../src/core/wire/packet.ts';
import { SimFlow } from '../../src/lab/sim/flow.ts';
import { AdversaryLab, modeOf, type Edge } from '../support/adversary-lab.ts';

const LONG = process.env['SPINES_LONG'] === '1';
const SECONDS = LONG ? 300 : 40;
const LINK_STATE = 0,
  BYZANTINE = 1,
  DESTINATION = 4;
/** Of what the line carries, by either flow: 1.6 lines in all. */
const OFFERED = 0.8;

/** Both sources behind 2, the destination behind 3, and the line between these. */
function lineOf(bandwidthKbps: number): readonly Edge[] {
  return [
    { a: LINK_STATE, b: 2, latencyUs: 5 * MILLISECOND, bandwidthKbps: 100_000 },
    { a: BYZANTINE, b: 2, latencyUs: 5 * MILLISECOND, bandwidthKbps: 100_000 },
    { a: 2, b: 3, latencyUs: 10 * MILLISECOND, bandwidthKbps },
    { a: 3, b: DESTINATION, latencyUs: 5 * MILLISECOND, bandwidthKbps: 100_000 },
  ];
}

test.each([
  [1, 10_000, 1_000],
  ...(LONG ? ([2, 3, 4].map((seed) => [seed, 10_000, 1_000]) as [number, number, number][]) : []),
  ...(LONG
    ? ([
        [5, 3_000, 1_000],
        [6, 30_000, 1_300],
        [7, 5_000, 300],
      ] as [number, number, number][])
    : []),
])(
  'each gets its half and no link is convicted (seed %i, %i kbit/s, %i B)',
  (seed, kbps, sizeBytes) => {
    const lab = new AdversaryLab({
      seed,
      nodes: 5,
      edges: lineOf(kbps),
      options: modeOf('secure'),
    });
    const { world } = lab;
    const packetsPerSecond = Math.round((OFFERED * kbps * 1_000) / 8 / sizeBytes);
    const time = SECONDS * SECOND;
    const { flow: byzantine } = lab.flow(
      BYZANTINE,
      DESTINATION,
      packetsPerSecond,
      SERVICE_RELIABLE,
      time,
      sizeBytes,
    );
    const linkState = new SimFlow(
      world,
      lab.flows.length,
      lab.host(LINK_STATE),
      lab.host(DESTINATION),
      {
        packetsPerSecond,
        sizeBytes,
        startUs: 0,
        durationUs: time,
        count: null,
        options: { service: SERVICE_RELIABLE },
      },
      world.now(),
    );
    lab.run(time);
    expect(lab.convictions).toEqual([]);
    const shares = [byzantine, linkState].map(
      ({ meter }) => (meter.delivered * sizeBytes * 8) / 1_000 / SECONDS / kbps,
    );
    lab.run(20 * SECOND);
    for (const { sent, refused, meter } of [byzantine, linkState])
      expect(meter.delivered).toBe(sent - refused);
    // Of small messages a line carries headers for the most part, and Byzantine ones are longer.
    const line = sizeBytes >= 1_000 ? 1 : shares[0]! + shares[1]!;
    for (const share of shares) expect(share / line).toBeGreaterThanOrEqual(0.4);
  },
  SECONDS * 10_000,
);

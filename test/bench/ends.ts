/**
 * What sealing from end to end costs two real daemons on one sealed link, with their sockets, their
 * programs' doors and the kernel's calls: CPU time of both daemons for a message, with secrecy
 * `links` and `end-to-end` turn about at the same rate.
 *
 * secrecy.ts measures the same without sockets and doors.
 */

import { rmSync } from 'node:fs';
import { Line, type LineKind } from './line.js';
import type { Place } from './place.js';
import { median, printTable, spread, temporaryFolder } from './processes.js';
import type { DatagramWay, Protection } from './program.js';
import type { Results } from './results.js';

const SIZES = [100, 1_000, 1_370] as const,
  QUICK_SIZES = [1_370] as const;
const WAYS = ['best-effort', 'reliable'] as const satisfies readonly DatagramWay[];
const PROTECTIONS = ['links', 'end-to-end'] as const satisfies readonly Protection[];
const KIND: LineKind = { sealed: true, offload: true };
/** Messages a second: about a half of what one core of two daemons and two programs carries. */
const RATE = 10_000;
const HOPS = 1;
/** Measurements are so many times as long as others': costs are compared to some percent. */
const LONGER = 3;

export interface EndsOrder {
  readonly rounds: number;
  readonly ms: number;
  readonly quick: boolean;
}

const named = (way: DatagramWay, bytes: number, secrecy: Protection): string =>
  `ends/${way}/${bytes} B/${secrecy}`;

export async function ends(place: Place, results: Results, order: EndsOrder): Promise<void> {
  const dir = temporaryFolder(),
    line = new Line(),
    sizes = order.quick ? QUICK_SIZES : SIZES;
  try {
    await line.start(KIND, place, dir, [HOPS]);
    for (let round = -1; round < order.rounds; round += 1) {
      for (const way of WAYS) {
        for (const bytes of sizes) {
          for (const secrecy of round % 2 === 0 ? PROTECTIONS : PROTECTIONS.toReversed()) {
            const message = { bytes, secrecy };
            const { cpuUs, arrived, due } = await line.run(
              way,
              HOPS,
              RATE,
              LONGER * order.ms,
              message,
            );
            if (arrived < 0.9 * due)
              throw new Error(
                `this machine is too busy: of ${due} messages of ${bytes} B (${way}, ${secrecy}) ` +
                  `${arrived} arrived; run the section ends on a quiet one`,
              );
            // The first round warms up.
            if (round >= 0) results.add(named(way, bytes, secrecy), 'us', cpuUs[1]! + cpuUs[2]!);
          }
        }
      }
    }
  } finally {
    line.stop();
    rmSync(dir, { recursive: true, force: true });
  }
  print(results, sizes);
}

function print(results: Results, sizes: readonly number[]): void {
  const rows = [['a message', 'links', 'spread', 'end to end', 'spread', 'times links']];
  for (const way of WAYS) {
    for (const bytes of sizes) {
      const [links, endToEnd] = PROTECTIONS.map((secrecy) =>
        results.values(named(way, bytes, secrecy)),
      ) as [readonly number[], readonly number[]];
      // Of one round each, as neighbours in time.
      const times = endToEnd.map((us, i) => us / links[i]!);
      rows.push([
        `${bytes} B, ${way}`,
        median(links).toFixed(2),
        spread(links),
        median(endToEnd).toFixed(2),
        spread(endToEnd),
        `${median(times).toFixed(2)} (${spread(times)})`,
      ]);
    }
  }
  console.log(
    '\nCPU microseconds that the two daemons at the ends of one sealed link spend on a message, ' +
      `sockets and programs' doors included, at ${RATE} a second (goal: end to end at most 1.35 ` +
      'times links):',
  );
  printTable(rows, 1);
}

/**
 * What it costs a transit daemon to be looked at: metrics scraped once a second, one dashboard open
 * and one watch, together; beside the same with nobody looking.
 *
 * A round measures the CPU time of the daemon for a while at one steady rate, first with nobody,
 * then with all three, then with nobody; and the same without packets, where little else differs.
 * The share of a core that looking takes is the share of its throughput that is gone when it is
 * busy with packets alone. What who looks costs on his own machine is not in it.
 */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Chain, type ChainOutcome } from './chain.js';
import type { Looked, LookOrder } from './looker.js';
import type { Place } from './place.js';
import { beside, pause, printTable, spread, temporaryFolder, whole, Worker } from './processes.js';
import { Goals, type Results } from './results.js';

const RATE = 20_000,
  BYTES = 1_000;
/** Several scrapes, whatever the length of other measurements. */
const LEAST_MS = 4_000;
/** Of transit throughput. */
const COST_MAX_PCT = 3;

const FIGURE = (looked: boolean, packets: boolean): string =>
  `looking/${looked ? 'looked at' : 'nobody looks'}, ${packets ? 'transit' : 'idle'}/CPU a second`;
const SHARE = (packets: boolean): string =>
  `looking/share of a core, ${packets ? 'transit' : 'idle'}`;

export async function looking(
  place: Place,
  results: Results,
  { rounds, ms }: { readonly rounds: number; readonly ms: number },
): Promise<void> {
  const folder = temporaryFolder();
  const chain = new Chain(),
    looker = new Worker({ script: beside('looker.js'), prefix: place.hosts[1]!.prefix });
  const durationMs = Math.max(LEAST_MS, ms);
  const port = await place.port();
  let last: Looked | null = null;
  try {
    await chain.start({ forwarder: 'daemon', sealed: true, offload: true }, place, folder, port);
    const idle = async (): Promise<number> => {
      const { cpuUs: before } = await chain.forwarder.ask<{ cpuUs: number }>({ kind: 'cpu' });
      await pause(durationMs);
      const { cpuUs: after } = await chain.forwarder.ask<{ cpuUs: number }>({ kind: 'cpu' });
      return (1_000 * (after - before)) / durationMs;
    };
    const transit = async (): Promise<number> =>
      cpuPerSecond(
        await chain.run({
          packetsPerSecond: RATE,
          bytes: BYTES,
          shared: false,
          service: 'best effort',
          durationMs,
        }),
        durationMs,
      );
    const measure = async (looked: boolean, packets: boolean): Promise<number> => {
      const perSecond = await (packets ? transit() : idle());
      results.add(FIGURE(looked, packets), 'us', perSecond);
      return perSecond;
    };
    await transit();
    for (let round = 0; round < rounds; round += 1)
      for (const packets of [true, false]) {
        const before = await measure(false, packets);
        const order: LookOrder = { kind: 'look', socket: join(folder, 'transit.sock'), port };
        await looker.ask(order);
        const during = await measure(true, packets);
        last = await looker.ask<Looked>({ kind: 'leave' } satisfies LookOrder);
        const after = await measure(false, packets);
        results.add(SHARE(packets), '%', (during - (before + after) / 2) / 10_000);
      }
  } finally {
    looker.stop();
    chain.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  print(results, last!);
}

/** Of what arrived, microseconds of CPU in a second. */
function cpuPerSecond({ cpuUsPerPacket, arrived }: ChainOutcome, durationMs: number): number {
  return (1_000 * cpuUsPerPacket * arrived) / durationMs;
}

function print(results: Results, looked: Looked): void {
  console.log(
    '\nLooked at: metrics once a second, a dashboard and a watch; a sealed daemon with offload, ' +
      `${whole(RATE)} packets/s of ${BYTES} B through it, or none.`,
  );
  const of = (is: boolean, packets: boolean): string =>
    (results.median(FIGURE(is, packets)) / 1_000).toFixed(1);
  const rows = [true, false].map((packets) => [
    packets ? 'transit' : 'idle',
    of(false, packets),
    of(true, packets),
    `${results.median(SHARE(packets)).toFixed(2)} %`,
    `${spread(results.values(SHARE(packets)))} %`,
  ]);
  printTable([['CPU ms/s', 'nobody looks', 'looked at', 'share of a core', 'spread'], ...rows], 1);
  console.log(
    `In the last round ${looked.scrapes} scrapes of ` +
      `${whole(looked.metricsBytes / looked.scrapes)} B, and ` +
      `${whole(looked.dashboardBytes)} B of the dashboard's stream.`,
  );
  const goals = new Goals();
  for (const packets of [true, false])
    goals.add(
      `looked at, share of transit throughput, by ${packets ? 'a busy' : 'an idle'} daemon`,
      results.median(SHARE(packets)),
      'at most',
      COST_MAX_PCT,
      2,
      ' %',
    );
  goals.print('Goals of looking, beside what was measured (medians; nothing is asserted):');
}

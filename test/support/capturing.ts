/** Captures in simulated networks: what a program that captures is given. */

import type { CapturedDatagram } from '../../spines-client/src/shared/capture.ts';
import { MILLISECOND, SECOND, type Micros } from '../../src/core/base/time.ts';
import {
  DISSEMINATION_BYZANTINE,
  SERVICE_REALTIME,
  SERVICE_RELIABLE,
} from '../../src/core/wire/modes.ts';
import type { ClientProgram, Told } from './client-program.ts';
import { ClientProgram as Program } from './client-program.ts';
import { hosts, lossy, type Network } from './network.ts';

/** What is there to be read now, all of it, and how many were missed. */
export function readAll(client: ClientProgram): { datagrams: CapturedDatagram[]; missed: number } {
  const datagrams: CapturedDatagram[] = [];
  let missed = 0;
  for (;;) {
    const reply = client.ask('captureRead', { waitMs: 0 })() as Told;
    const some = reply['datagrams'] as CapturedDatagram[];
    missed += reply['missed'] as number;
    datagrams.push(...some);
    if (some.length === 0) return { datagrams, missed };
  }
}

/**
 * All that the first of a ring of `count` daemons sends and gets, from its start on, over flows.
 */
export function captureOf(count: number, time: Micros): CapturedDatagram[] {
  const network = hosts(count);
  for (let i = 0; i < count; i += 1)
    network.connect(network.host(i), network.host((i + 1) % count), lossy(0.05));
  network.host(0).start();
  const client = new Program(network.host(0));
  client.ask('capture', { bytes: 16_777_216 });
  network.settle();
  return flowsOf(network, client, time);
}

function flowsOf(network: Network, client: ClientProgram, time: Micros): CapturedDatagram[] {
  const [from, far] = [network.host(0), network.host(2)];
  const common = { packetsPerSecond: 20, durationUs: time };
  network.flow(from, far, { ...common, sizeBytes: 100 });
  network.flow(from, far, { ...common, sizeBytes: 4_000, options: { service: SERVICE_RELIABLE } });
  network.flow(far, from, {
    ...common,
    packetsPerSecond: 200,
    sizeBytes: 400,
    options: { service: SERVICE_REALTIME },
  });
  network.flow(from, far, {
    ...common,
    sizeBytes: 800,
    options: { dissemination: DISSEMINATION_BYZANTINE, service: SERVICE_RELIABLE },
  });
  client.ask('ping', { node: 'n2', timeoutMs: 1_000 });
  client.ask('trace', { node: 'n2', timeoutMs: 1_000 });
  const datagrams: CapturedDatagram[] = [];
  for (let at = 0; at < time; at += 100 * MILLISECOND) {
    network.run(100 * MILLISECOND);
    datagrams.push(...readAll(client).datagrams);
  }
  network.run(1 * SECOND);
  return datagrams;
}

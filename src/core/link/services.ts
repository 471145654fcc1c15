/**
 * The data services that a link has: one row each, and nothing else of a link names one.
 *
 * A new service is a file that implements DataService, and its row here.
 */

import { SERVICE_BEST_EFFORT, SERVICE_REALTIME, SERVICE_RELIABLE } from '../wire/packet.ts';
import { BestEffortService } from './best-effort.ts';
import type { DataService, ServiceEnvironment, ServiceOutput } from './data-service.ts';
import { RealtimeService } from './realtime.ts';
import { ReliableService } from './reliable.ts';

interface ServiceRow {
  /** As packets name it. */
  readonly code: number;
  make(out: ServiceOutput, env: ServiceEnvironment): DataService;
}

const ROWS: readonly ServiceRow[] = [
  { code: SERVICE_RELIABLE, make: (out, env) => new ReliableService(out, env) },
  { code: SERVICE_BEST_EFFORT, make: (out, env) => new BestEffortService(out, env) },
  { code: SERVICE_REALTIME, make: (out, env) => new RealtimeService(out, env) },
];

/** Whether links carry the service of that code at all. */
export function isCarried(code: number): boolean {
  return ROWS.some((row) => row.code === code);
}

/** One instance of each service, by code. `outputOf`: where the service of a code reports. */
export function makeServices(
  outputOf: (code: number) => ServiceOutput,
  env: ServiceEnvironment,
): readonly (DataService | null)[] {
  const services: (DataService | null)[] = [];
  for (const { code, make } of ROWS) {
    while (services.length <= code) services.push(null);
    services[code] = make(outputOf(code), env);
  }
  return services;
}

/** The same services by the types of their frames. */
export function byFrame(
  services: readonly (DataService | null)[],
): readonly (DataService | null)[] {
  const readers: (DataService | null)[] = [];
  for (const service of services)
    for (const type of service?.frames ?? []) {
      while (readers.length <= type) readers.push(null);
      readers[type] = service;
    }
  return readers;
}

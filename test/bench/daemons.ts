/**
 * The program `spines daemon` as the bench runs it: one process on one host, as a user starts it,
 * with probe.js preloaded.
 */

import { beside, Worker } from './processes.js';
import type { Host } from './place.js';

export interface DaemonLaunch {
  readonly host: Host;
  readonly port: number;
  /** Node id, dotted quad; taken from the certificate when there is an identity. */
  readonly id: string;
  /** Folder of key and certificate; null: links are not sealed. */
  readonly identity: string | null;
  readonly offload: boolean;
  /** Unix socket for programs. */
  readonly socket: string;
  /** "address:port" of the next in the row. */
  readonly dial: string | null;
  /** A file with more. */
  readonly config?: string | null;
}

export function launchDaemon({
  host,
  port,
  id,
  identity,
  offload,
  socket,
  dial,
  config = null,
}: DaemonLaunch): Worker {
  return new Worker({
    script: beside('../cli/main.js'),
    nodeArgs: ['--import', beside('probe.js')],
    prefix: host.prefix,
    args: [
      'daemon',
      ...(config === null ? [] : ['--config', config]),
      '--listen',
      `${host.address}:${port}`,
      '--socket',
      socket,
      '--log-level',
      'error',
      ...(identity === null ? ['--security', 'none', '--id', id] : ['--identity', identity]),
      ...(offload ? [] : ['--no-offload']),
      ...(dial === null ? [] : ['--link', dial]),
    ],
  });
}

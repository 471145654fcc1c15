/** The daemon's rules about targets behind it (`firewall.targets`), as `expose` asks for them. */

import type { SpinesClient } from 'spines-client';

import { ask } from '../client.ts';
import type { Target } from '../../host/tunnel-target.ts';

/** A stream that was accepted. */
export interface CarriedStream {
  readonly remotePort: number | undefined;
  readonly localPort: number | undefined;
}

/**
 * Whether rules of the daemon let `node` reach `target`; an earlier daemon has none. `stream`: is
 * carried on to there, and the daemon ends it when its rules no longer let it.
 */
export async function mayReach(
  client: SpinesClient,
  node: string,
  { host, port }: Target,
  stream: CarriedStream | null = null,
): Promise<boolean> {
  // One that was accepted has both.
  const from =
    stream === null ? {} : { remotePort: stream.remotePort!, localPort: stream.localPort! };
  try {
    return (await ask(client, 'mayReach', { node, host, port, ...from })).allowed;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSYS') return true;
    throw error;
  }
}

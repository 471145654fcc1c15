/** The daemon's rules about targets behind it (`firewall.targets`), as `expose` asks for them. */

import type { SpinesClient } from 'spines-client';

import { ask } from '../client.ts';
import type { Target } from '../../host/tunnel-target.ts';

/** Whether rules of the daemon let `node` reach `target`; an earlier daemon has none. */
export async function mayReach(
  client: SpinesClient,
  node: string,
  { host, port }: Target,
): Promise<boolean> {
  try {
    return (await ask(client, 'mayReach', { node, host, port })).allowed;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSYS') return true;
    throw error;
  }
}

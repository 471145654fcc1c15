/** What an operator is answered by a simulated daemon, without a client in between. */

import { Administration } from '../../src/core/operator/administration.ts';
import type { NodeEnvironment } from '../../src/core/node/node.ts';
import { nullLog } from '../../src/core/base/log.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';

/** The answer to `op` now. Throws what is refused. */
export function asked(
  host: SimHost,
  op: string,
  args: Readonly<Record<string, unknown>> = {},
): unknown {
  const env: Partial<NodeEnvironment> = {
    clock: host,
    membership: host.membership,
    log: nullLog,
    emulation: null,
    listen: [host.endpoint.key],
  };
  let answer: unknown = null;
  new Administration(host.node, env as NodeEnvironment, new Set()).request(op, args, (reply) => {
    answer = reply;
  });
  return answer;
}

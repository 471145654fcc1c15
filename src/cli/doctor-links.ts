/**
 * What `spines doctor` finds about neighbours: how many links are up, and for each that is not the cause and what to do.
 */

import type { StatusReply } from 'spines-client';

import type { Finding } from './doctor.ts';
import { formatAge } from './table.ts';

export function linkFindings({ links, nodes }: StatusReply): Finding[] {
  const { up, total, troubles = [] } = links;
  const missing = total - up - troubles.length;
  const count = `${up} of ${total} up; ${nodes.reachable} of ${nodes.known} nodes reachable`;
  const findings: Finding[] = [{
    what: 'links', found: count,
    advice: total === 0 ? 'it has no neighbour: name one with `links:` in its config, or --link'
      : missing > 0 ? 'see `spines links` for which are down, and the log for why' : null,
  }];
  for (const { peer, address, sinceMs, short, text, next } of troubles) {
    findings.push({ what: `link to ${peer}`, found: `${peer === address ? '' : `${address}: `}${short}, for ${formatAge(sinceMs)}`, advice: text, next });
  }
  return findings;
}

/**
 * What `spines doctor` finds about the sizes of paths: neighbours who are not reached by full
 * datagrams, and sends that a device refused.
 */

import type { LinksReply, StatusReply } from 'spines-client';

import { DATAGRAM_BYTES_MAX } from '../../core/wire/sizes.ts';
import type { Finding } from './finding.ts';
import { formatNode } from '../terminal/table.ts';

/** Narrow links that are named each. */
const NAMED = 3;

export function sizeFindings(
  { links }: LinksReply,
  { drops }: Pick<StatusReply, 'drops'>,
): Finding[] {
  const narrow = links
    .flatMap(({ name, node, size }) =>
      size === null || size.searching || size.datagramBytes >= DATAGRAM_BYTES_MAX
        ? []
        : [{ name, node, size }],
    )
    .sort((a, b) => a.size.packetBytes - b.size.packetBytes)
    .map(
      ({ name, node, size }) =>
        `${formatNode(name, node)}: IP packets of ${size.packetBytes} bytes at most`,
    );
  const findings: Finding[] = [];
  if (narrow.length > 0) {
    const more =
      narrow.length > NAMED ? `; and ${narrow.length - NAMED} more, see \`spines links\`` : '';
    findings.push({
      what: 'narrow links',
      found: narrow.slice(0, NAMED).join('; ') + more,
      advice:
        'full packets leave in two or more datagrams, which costs throughput: a device or a ' +
        'tunnel on the way has an MTU below 1500. ' +
        'Raise it there if you can (`ip link` shows it for devices here, `tracepath ADDRESS` for ' +
        'those on the way)',
    });
  }
  const refused = drops['datagramAboveMtu'] ?? 0;
  if (refused > 0)
    findings.push({
      what: 'device MTU',
      found:
        `${refused} datagrams refused by a network device whose MTU fell; sizes were ` +
        'measured again',
      advice: null,
    });
  return findings;
}

/**
 * What is said of a node's name that nobody knows: where it is that of a neighbour of the
 * configuration without a link, why there is none.
 */

import { SpinesError } from '../base/errors.ts';
import type { LinkTable } from './link-table.ts';

export function unknownName(written: string, links: LinkTable): SpinesError {
  for (const { dial, trouble } of links.neighbours()) {
    if (dial === null || trouble === null || links.watch.peerOf(dial) !== written) continue;
    const { why, next } = links.watch.text(dial, trouble);
    return new SpinesError(
      'ENOTFOUND',
      `no way to "${written.slice(0, 64)}" is known: it is a neighbour without a link: ${why}; ` +
        next,
    );
  }
  return new SpinesError(
    'ENOTFOUND',
    `no node called "${written.slice(0, 64)}" is known; \`spines nodes\` lists those that are`,
  );
}

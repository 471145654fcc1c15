/**
 * What `spines links`, `nodes` and `doctor` say of one identity that runs on two machines.
 */

import type { TwinRow } from 'spines-client/protocol';

import { wrapText } from '../terminal/table.ts';

export const TWIN_ADVICE =
  'stop one of the two daemons, or give it an identity of its own (`spines keys`): one node id ' +
  'and certificate are for one daemon';

/** Who runs where, in one sentence. */
export function twinText({ node, name, self, here, kept, refused }: TwinRow): string {
  const who = name === null || name === '' ? node : `${name} (${node})`;
  const there = (address: string | null): string =>
    address === null ? 'elsewhere' : `at ${address}`;
  if (self && here === 'kept')
    return (
      `this daemon's identity, ${who}, runs twice: this daemon has run longer and is kept, ` +
      `another one ${there(refused)} is refused`
    );
  if (self)
    return (
      `this daemon's identity, ${who}, runs twice: the daemon ${there(kept)} has run longer ` +
      'and is kept, this one is refused'
    );
  if (kept === null && refused === null)
    return (
      `${who} runs twice, it says of itself: it has run longer and is kept, another daemon ` +
      'elsewhere is refused'
    );
  return (
    `${who} runs twice: the daemon ${there(kept)} has run longer and is kept, the one ` +
    `${there(refused)} is refused`
  );
}

/** Below a table; '' when nobody runs twice. */
export function formatTwins(twins: readonly TwinRow[] | undefined, columns: number): string {
  return (twins ?? [])
    .map(
      (twin) =>
        `\n${wrapText(twinText(twin), '', columns)}` +
        wrapText(`next: ${TWIN_ADVICE}`, '  ', columns),
    )
    .join('');
}

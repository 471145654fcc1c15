/**
 * `spines status`: one daemon at a glance.
 *
 * Owns the layout of the answer; the facts are the daemon's StatusReply.
 */

import type { Command } from 'commander';
import type { StatusReply } from 'spines-client';
import type { IdentityStatus, LogFigures } from 'spines-client/protocol';

import { formatTime } from '../../core/base/calendar.ts';
import { describeLogFailure, STDERR_NAME } from '../../host/log/log-writer.ts';
import { figureRows } from './byzantine-routes.ts';
import { addClientFlags, ask, withClient, type ClientFlags } from '../client.ts';
import { COLUMNS_DEFAULT } from '../terminal/columns.ts';
import { print, printJson, terminalColumns } from '../terminal/output.ts';
import { plainAnswer } from '../terminal/plain-text.ts';
import {
  formatAge,
  formatMs,
  formatNode,
  formatPairs,
  formatTable,
  paintFor,
  type Paint,
} from '../terminal/table.ts';
import { twinText } from './twins.ts';

export function registerStatus(program: Command): void {
  addClientFlags(program.command('status').description('show how the daemon is doing'))
    .option('--json', 'print JSON')
    .action((flags: ClientFlags & { json?: boolean }) =>
      withClient(flags, 'status', async (client) => {
        const status = await ask(client, 'status');
        if (flags.json === true) printJson(status);
        else print(formatStatus(status, paintFor(process.stdout, process.env), terminalColumns()));
      }),
    );
}

const DAY_S = 86_400;
const SOON_DAYS = 30;

function identityRows(identity: IdentityStatus | null, paint: Paint): [string, string][] {
  if (identity === null) return [];
  const { serial, validUntilS, leftS, authorities, revocations, presharedKeys = [] } = identity;
  const days = Math.floor(leftS / DAY_S);
  const left =
    leftS <= 0
      ? paint('red', 'EXPIRED')
      : days < SOON_DAYS
        ? paint('yellow', `${days} days left`)
        : `${days} days left`;
  return [
    ['certificate', `serial ${serial}, valid until ${formatTime(validUntilS)}, ${left}`],
    ...authorities.map(({ name, id, validUntilS: until }): [string, string] => [
      'trusts',
      `${name}, authority ${id}, valid until ${formatTime(until)}`,
    ]),
    ...(revocations.length === 0
      ? ([['revocations', 'no list']] as [string, string][])
      : revocations.map(({ authority, number, revoked }): [string, string] => [
          'revocations',
          `list ${number} of authority ${authority}, ${revoked} revoked`,
        ])),
    ...(presharedKeys.every((id) => id === 'none')
      ? []
      : ([['pre-shared', `key ${presharedKeys.join(', ')}`]] as [string, string][])),
  ];
}

function downgradedRows({ packets: { realtimeDowngraded = 0 } }: StatusReply): [string, string][] {
  if (realtimeDowngraded === 0) return [];
  return [
    [
      'realtime',
      `${realtimeDowngraded} messages went by best effort, as a node on their way is older; see ` +
        '`spines nodes`',
    ],
  ];
}

/** Nothing as long as nobody here or elsewhere has used it. */
function byzantineRows({ byzantine }: StatusReply): [string, string][] {
  if (byzantine === null || Object.values(byzantine).every((count) => count === 0)) return [];
  return [['byzantine', `${byzantine.flows} flows`], ...figureRows(byzantine)];
}

/** Nothing while the log goes where it goes by itself, whole. */
function logRows(log: LogFigures | null, paint: Paint): [string, string][] {
  if (log === null || (log.lost === 0 && log.failing === null && log.target === STDERR_NAME))
    return [];
  const trouble = [
    ...(log.failing === null
      ? []
      : [`${log.waitingBytes} bytes wait: ${describeLogFailure(log.failing)}`]),
    ...(log.lost === 0 ? [] : [`${log.lost} lines lost`]),
  ];
  return [
    [
      'log',
      [log.target, ...(trouble.length === 0 ? [] : [paint('yellow', trouble.join(', '))])].join(
        ': ',
      ),
    ],
  ];
}

/** Its own identity and others' that run twice. */
function twinRows({ twins = [] }: StatusReply, paint: Paint): [string, string][] {
  return twins.map((twin) => [
    'identity',
    paint('red', `${twinText(twin)}; see \`spines doctor\``),
  ]);
}

function hostRows({ host }: StatusReply, paint: Paint): [string, string][] {
  if (host === null) return [];
  const {
    offload,
    without = null,
    strangersApart,
    receiveBufferBytes,
    receiveBufferWanted,
    batches,
    batchedDatagrams,
    timersLateMs: { p50, p99, max },
    memoryBytes,
  } = host;
  const kib = `${Math.round(receiveBufferBytes / 1_024)} KiB`;
  const buffer =
    receiveBufferBytes < receiveBufferWanted
      ? paint('yellow', `${kib}, see \`spines doctor\``)
      : kib;
  const batching =
    batches === 0
      ? ''
      : `, ${batches} batches of ${(batchedDatagrams / batches).toFixed(1)} datagrams`;
  return [
    [
      'sockets',
      (offload
        ? 'with offload'
        : `one call per datagram${without === null ? '' : ` (${without})`}`) +
        `${batching}; receive buffer ${buffer}`,
    ],
    ...(strangersApart === undefined
      ? []
      : [
          [
            'strangers',
            strangersApart
              ? 'wait in a queue of their own'
              : paint('yellow', 'share the queue of links, see `spines doctor`'),
          ] as [string, string],
        ]),
    ...logRows(host.log, paint),
    ...(host.audit?.log == null
      ? []
      : [
          ['audit', `${host.audit.records} records; ${logRows(host.audit.log, paint)[0]![1]}`] as [
            string,
            string,
          ],
        ]),
    [
      'process',
      `${Math.round(memoryBytes / 1_048_576)} MiB; timers late by ${formatMs(p50)} (half), ` +
        `${formatMs(p99)} (99 %), ${formatMs(max)} at most`,
    ],
  ];
}

function wireText({ wireVersions, capabilities = [] }: StatusReply): string {
  if (wireVersions === undefined) return '';
  const { min, max } = wireVersions;
  return (
    ', wire version ' +
    (min === max ? max : `${min} to ${max}`) +
    (capabilities.length === 0 ? '' : ` with ${capabilities.join(', ')}`)
  );
}

export function formatStatus(reply: StatusReply, paint: Paint, columns = COLUMNS_DEFAULT): string {
  const status = plainAnswer(reply);
  const { links, nodes, packets, routing } = status;
  const linksColour = links.up === links.total ? 'green' : links.up === 0 ? 'red' : 'yellow';
  const head = formatPairs(
    [
      ['node', formatNode(status.name, status.node)],
      ['version', `${status.version}${wireText(status)}, up ${formatAge(status.uptimeMs)}`],
      ['listening', status.listen.join(', ')],
      [
        'security',
        status.identity === null
          ? paint('red', 'NONE: anyone who reaches the UDP port can join, read and forge')
          : `${status.security}, by ${status.identity.primitives}`,
      ],
      ...identityRows(status.identity, paint),
      ...twinRows(status, paint),
      ...hostRows(status, paint),
      ['emulation', status.emulation ? paint('yellow', 'allowed') : 'off'],
      ['links', paint(linksColour, `${links.up} of ${links.total} up`)],
      ...(links.troubles ?? []).map(({ peer, address, sinceMs, short }): [string, string] => [
        'no link',
        `${peer === address ? address : `${peer} at ${address}`} for ${formatAge(sinceMs)}: ` +
          `${short}; see \`spines links\``,
      ]),
      ['nodes', `${nodes.reachable} reachable, ${nodes.known} known`],
      ['clients', `${status.clients} with ${status.sockets} sockets`],
      ['metric', status.metric],
      [
        'routing',
        (routing.routeChanges === undefined ? '' : `${routing.routeChanges} route changes, `) +
          `${routing.recomputations} recomputations ` +
          `(${formatMs(routing.recomputeMsTotal)} in all, ${formatMs(routing.recomputeMsMax)} at ` +
          `most), ${routing.advertisements} advertisements`,
      ],
      [
        'packets',
        `${packets.originated} originated, ${packets.forwarded} forwarded, ${packets.delivered} ` +
          'delivered',
      ],
      ...downgradedRows(status),
      ...byzantineRows(status),
    ],
    columns,
  );
  const drops = Object.entries(status.drops).sort(([, a], [, b]) => b - a);
  const bounds = Object.entries(status.bounds);
  const dropTable = formatTable(
    [{ title: 'dropped because' }, { title: 'count', align: 'right' }],
    drops.map(([reason, count]) => [reason, String(count)]),
  );
  const boundTable = formatTable(
    [{ title: 'bounded' }, { title: 'now', align: 'right' }, { title: 'most', align: 'right' }],
    bounds.map(([name, [now, most]]) => [
      name,
      now >= most ? paint('red', String(now)) : String(now),
      String(most),
    ]),
  );
  return [
    head,
    ...(drops.length === 0 ? [] : [dropTable]),
    ...(bounds.length === 0 ? [] : [boundTable]),
  ].join('\n');
}

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
  wrapText,
  type Paint,
} from '../terminal/table.ts';
import { daemonFindings } from './doctor-daemon.ts';
import { dropMeaning, isTrouble } from './drop-meanings.ts';

export function registerStatus(program: Command): void {
  addClientFlags(program.command('status').description('show how the daemon is doing'))
    .option('--all', 'sockets, authorities, all bounds and drops as well')
    .option('--json', 'print JSON')
    .action((flags: ClientFlags & { json?: boolean; all?: boolean }) =>
      withClient(flags, 'status', async (client) => {
        const status = await ask(client, 'status');
        if (flags.json === true) printJson(status);
        else {
          const paint = paintFor(process.stdout, process.env);
          print(formatStatus(status, paint, terminalColumns(), flags.all === true));
        }
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
function byzantineRows({ byzantine }: StatusReply, all: boolean): [string, string][] {
  if (byzantine === null || Object.values(byzantine).every((count) => count === 0)) return [];
  if (!all && byzantine.flows === 0 && byzantine.convictedLinks === 0) return [];
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
    receiveBufferBytes < receiveBufferWanted ? paint('yellow', `${kib}, less than asked for`) : kib;
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
              : paint('yellow', 'share the queue of links'),
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

/** What is wrong, each with a line; what to do about it is `spines doctor`'s. */
function wrongText(status: StatusReply, paint: Paint, columns: number): string {
  const wrong = daemonFindings(status).filter(({ advice }) => advice !== null);
  if (wrong.length === 0) return `${paint('green', 'nothing is wrong')}\n\n`;
  const lines = wrong.map(({ what, found }) =>
    wrapText(`${what}: ${found}`, '  ', columns).replace(/\S.*/g, (line) => paint('red', line)),
  );
  const count = wrong.length === 1 ? 'one thing is wrong' : `${wrong.length} things are wrong`;
  return `${count}; \`spines doctor\` says what to do\n${lines.join('')}\n`;
}

/**
 * What is wrong first, then what the daemon is and does. `all`: what an operator needs now and
 * then.
 */
export function formatStatus(
  reply: StatusReply,
  paint: Paint,
  columns = COLUMNS_DEFAULT,
  all = false,
): string {
  const status = plainAnswer(reply);
  const { links, nodes, packets, routing, identity } = status;
  const linksColour = links.up === links.total ? 'green' : links.up === 0 ? 'red' : 'yellow';
  const who = identityRows(identity, paint);
  const head = formatPairs(
    [
      ['node', formatNode(status.name, status.node)],
      [
        'version',
        `${status.version}${all ? wireText(status) : ''}, up ${formatAge(status.uptimeMs)}`,
      ],
      ['listening', status.listen.join(', ')],
      [
        'security',
        identity === null
          ? paint('red', 'NONE: anyone who reaches the UDP port can join, read and forge')
          : `${status.security}, by ${identity.primitives}`,
      ],
      ...(all ? who : who.slice(0, 1)),
      ...(all ? hostRows(status, paint) : []),
      ...(all || status.emulation ? [emulationRow(status, paint)] : []),
      ['links', paint(linksColour, `${links.up} of ${links.total} up`)],
      ['nodes', `${nodes.reachable} reachable, ${nodes.known} known`],
      ...transitRows(status, paint),
      ['clients', `${status.clients} with ${status.sockets} sockets`],
      ['routes', `by ${status.metric}, ${routingText(routing, all)}`],
      [
        'packets',
        `${packets.originated} originated, ${packets.forwarded} forwarded, ${packets.delivered} ` +
          'delivered',
      ],
      ...downgradedRows(status),
      ...byzantineRows(status, all),
    ],
    columns,
  );
  return [
    wrongText(status, paint, columns) + head,
    ...dropTable(status, paint, columns, all),
    ...boundTable(status, paint, columns, all),
  ].join('\n');
}

/** Nothing where it is as everywhere. */
function transitRows({ transit = 'carried' }: StatusReply, paint: Paint): [string, string][] {
  if (transit === 'carried') return [];
  const text =
    transit === 'never'
      ? 'none, as `transit: false` has it'
      : paint('yellow', 'drained; `spines drain --end` ends that');
  return [['transit', text]];
}

function emulationRow({ emulation }: StatusReply, paint: Paint): [string, string] {
  return ['emulation', emulation ? paint('yellow', 'allowed') : 'off'];
}

function routingText(routing: StatusReply['routing'], all: boolean): string {
  const { routeChanges, recomputations, recomputeMsTotal, recomputeMsMax, advertisements } =
    routing;
  const changes = routeChanges === undefined ? '' : `${routeChanges} changes`;
  if (!all && changes !== '') return changes;
  return (
    (changes === '' ? '' : `${changes}, `) +
    `${recomputations} recomputations (${formatMs(recomputeMsTotal)} in all, ` +
    `${formatMs(recomputeMsMax)} at most), ${advertisements} advertisements`
  );
}

/** Reasons with what they mean, the most frequent first; without `all` those that say something. */
function dropTable({ drops }: StatusReply, paint: Paint, columns: number, all: boolean): string[] {
  const shown = Object.entries(drops)
    .filter(([reason]) => all || isTrouble(reason))
    .sort(([, a], [, b]) => b - a);
  if (shown.length === 0) return [];
  return [
    formatTable(
      [
        { title: 'dropped', align: 'right' },
        { title: 'reason', key: true },
        { title: 'which means', wrap: 30 },
      ],
      shown.map(([reason, count]) => [
        isTrouble(reason) ? paint('yellow', String(count)) : String(count),
        reason,
        dropMeaning(reason),
      ]),
      columns,
    ),
  ];
}

/** Without `all` those that were reached. */
function boundTable(
  { bounds }: StatusReply,
  paint: Paint,
  columns: number,
  all: boolean,
): string[] {
  const shown = Object.entries(bounds).filter(([, [now, most]]) => all || now >= most);
  if (shown.length === 0) return [];
  return [
    formatTable(
      [{ title: 'bounded' }, { title: 'now', align: 'right' }, { title: 'most', align: 'right' }],
      shown.map(([name, [now, most]]) => [
        name,
        now >= most ? paint('red', String(now)) : String(now),
        String(most),
      ]),
      columns,
    ),
  ];
}

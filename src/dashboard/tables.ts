/** The rows of the tables: the same as the map says, in words and figures. */

import type { SessionRow } from 'spines-client/protocol';

import {
  agoText,
  byName,
  bytesText,
  countText,
  msText,
  NOTHING,
  percentText,
  rateText,
} from './format.ts';
import { STATE_WORDS } from './map-draw.ts';
import { LINK_STATES, type OverlayModel } from './model.ts';
import type { Replay } from './replay.ts';
import type { Row, TableColumn } from './table.ts';

export interface Sheet {
  readonly caption: string;
  readonly columns: readonly TableColumn[];
  readonly empty: string;
  rows(): Row[];
}

const number = (title: string): TableColumn => ({ title, number: true });

const LINK_COLUMNS: readonly TableColumn[] = [
  { title: 'Link' },
  { title: 'State' },
  number('There'),
  number('Back'),
  number('Lost there'),
  number('Lost back'),
  number('Sent'),
  number('Received'),
  { title: 'Why' },
];
const CARRIED_COLUMNS: readonly TableColumn[] = [
  { title: 'Link' },
  { title: 'State' },
  number('Datagrams'),
  number('Bytes'),
  number('Sent again'),
  number('Dropped'),
];
const NODE_COLUMNS: readonly TableColumn[] = [
  { title: 'Node' },
  { title: 'Address' },
  { title: 'State' },
  number('Links'),
  { title: 'Release' },
  { title: 'Why' },
];
const SESSION_COLUMNS: readonly TableColumn[] = [
  { title: 'Program' },
  { title: 'Kind' },
  number('Port'),
  { title: 'With' },
  { title: 'Link, routing' },
  number('Sent'),
  number('Received'),
  number('Round trip'),
  { title: 'Limited by' },
];
const FLOW_COLUMNS: readonly TableColumn[] = [
  { title: 'Flow' },
  { title: 'From' },
  { title: 'To' },
  { title: 'Link, routing' },
  number('Sent'),
  number('Delivered'),
  number('Mean'),
  number('99 %'),
  number('Most'),
];

export function linkSheet(model: OverlayModel): Sheet {
  const carried = [...model.links.values()].some((link) => link.carried !== null);
  return {
    caption: 'Links of the overlay',
    columns: carried ? CARRIED_COLUMNS : LINK_COLUMNS,
    empty: 'No link yet: nobody answers this daemon, or nobody is named in its config.',
    rows: () => [...troubles(model), ...linkRows(model, carried)],
  };
}

function linkRows(model: OverlayModel, carried: boolean): Row[] {
  const ordered = [...model.links.values()].map((link) => ({
    link,
    rank: LINK_STATES.indexOf(link.state),
    name: `${model.nameOf(link.a)} – ${model.nameOf(link.b)}`,
  }));
  ordered.sort((x, y) => y.rank - x.rank || byName(x.name, y.name));
  return ordered.map(({ link, name }) => {
    const state = { text: STATE_WORDS[link.state], mark: `s-${link.state}` };
    if (carried) {
      const { datagrams, bytes, retransmitted, dropped } = link.carried!;
      return {
        key: link.key,
        cells: [
          name,
          state,
          countText(datagrams),
          bytesText(bytes),
          countText(retransmitted),
          countText(dropped),
        ],
      };
    }
    const { ab, ba, own, goneAt } = link;
    const gone = goneAt !== null;
    return {
      key: link.key,
      cells: [
        name,
        state,
        msText(gone ? null : ab?.latencyMs),
        msText(gone ? null : ba?.latencyMs),
        percentText(gone ? null : ab?.lossPct),
        percentText(gone ? null : ba?.lossPct),
        rateText(gone ? null : own?.rate?.sentBps),
        rateText(gone ? null : own?.rate?.receivedBps),
        own?.why?.text ?? (own?.damped === true ? 'damped: it died again and again' : ''),
      ],
    };
  });
}

/** Neighbours of the config that never had a link. */
function troubles(model: OverlayModel): Row[] {
  return (model.look?.links ?? [])
    .filter(({ node, state }) => node === null && state !== 'up')
    .map(({ address, name, why, sinceMs }) => ({
      key: `address ${address}`,
      cells: [
        name ?? address,
        { text: `no link for ${agoText(sinceMs)}`, mark: 's-down' },
        ...Array.from({ length: 6 }, () => NOTHING),
        why === null ? '' : `${why.text}; ${why.next}`,
      ],
    }));
}

export function nodeSheet(model: OverlayModel): Sheet {
  return {
    caption: 'Nodes of the overlay',
    columns: NODE_COLUMNS,
    empty: 'No node is known yet.',
    rows: () => {
      const degree = new Map<string, number>();
      for (const { a, b, goneAt } of model.links.values())
        if (goneAt === null) for (const id of [a, b]) degree.set(id, (degree.get(id) ?? 0) + 1);
      return [...model.nodes.values()]
        .sort(
          (x, y) =>
            Number(y.why !== null) - Number(x.why !== null) ||
            Number(x.reachable) - Number(y.reachable) ||
            byName(x.name, y.name),
        )
        .map(({ id, name, self, reachable, why, next, version }) => ({
          key: id,
          cells: [
            name,
            model.metric === 'hops' && model.self === null ? NOTHING : id,
            why !== null
              ? { text: 'not believed', mark: 's-bad' }
              : self
                ? 'this daemon'
                : reachable
                  ? 'reachable'
                  : { text: 'out of reach', mark: 's-down' },
            String(degree.get(id) ?? 0),
            version ?? NOTHING,
            why === null ? '' : next === null || next === '' ? why : `${why}; ${next}`,
          ],
        }));
    },
  };
}

/** By which a session is known from one look to the next. */
export function sessionKey(row: SessionRow): string {
  return [row.kind, row.client, row.port, row.remoteNode ?? '', row.remotePort ?? ''].join(' ');
}

export function sessionSheet(model: OverlayModel): Sheet {
  const total = model.look?.sessionsTotal ?? 0,
    shown = model.look?.sessions.length ?? 0;
  return {
    caption: total > shown ? `The busiest ${shown} of ${total} sockets` : 'Sockets of programs',
    columns: SESSION_COLUMNS,
    empty: 'No program has a socket on this daemon.',
    rows: () =>
      (model.look?.sessions ?? []).map((row) => ({
        key: sessionKey(row),
        cells: [
          row.certificate === null ? row.client : `${row.client} (${row.certificate})`,
          row.state === '' ? row.kind : `${row.kind}, ${row.state}`,
          String(row.port),
          row.remoteNode === null
            ? NOTHING
            : `${row.remoteName ?? row.remoteNode}:${row.remotePort ?? '?'}`,
          `${row.link}, ${row.routing}`,
          row.kind === 'stream' ? bytesText(row.sent) : countText(row.sent),
          row.kind === 'stream' ? bytesText(row.received) : countText(row.received),
          msText(row.rttMs),
          row.limitedBy ?? NOTHING,
        ],
      })),
  };
}

export function flowSheet(replay: Replay): Sheet {
  return {
    caption: 'Flows of the replay',
    columns: FLOW_COLUMNS,
    empty: 'The replay had no flows.',
    rows: () =>
      replay.report.flows.map((flow) => ({
        key: `flow ${flow.name}`,
        cells: [
          flow.name,
          flow.from,
          flow.to,
          `${flow.link}, ${flow.routing}`,
          countText(flow.sent),
          {
            text:
              `${countText(flow.delivered)} ` +
              `(${percentText((100 * flow.delivered) / (flow.sent || 1))})`,
            mark: flow.delivered < flow.sent ? 'number s-lossy' : 'number',
          },
          msText(flow.delayMs?.mean),
          msText(flow.delayMs?.p99),
          msText(flow.delayMs?.max),
        ],
      })),
  };
}

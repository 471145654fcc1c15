/**
 * What `spines top` shows: from what the daemon said last, as many lines as the terminal has.
 *
 * Owns which section gets how many lines, what comes first in each, and scrolling. Pure: the same
 * state makes the same lines.
 */

import type { DaemonEvent, LinkRow, StatusReply } from 'spines-client';

import { cutText, widthOf } from '../terminal/columns.ts';
import { plainAnswer } from '../terminal/plain-text.ts';
import { formatAge, formatNode, type Paint } from '../terminal/table.ts';
import { daemonFindings } from '../look/doctor-daemon.ts';
import { linksTable } from '../look/links.ts';
import { formatRoutes, type RoutesView } from '../look/routes.ts';
import { formatSessions, type SessionsView } from '../look/sessions.ts';
import { formatEvent, timeText } from '../look/watch.ts';

/** One section over the whole screen, or a part of each. */
export type TopPage = 'all' | 'links' | 'flows' | 'routes' | 'events' | 'help';

export interface TopState {
  readonly status: StatusReply;
  readonly links: readonly LinkRow[];
  readonly sessions: SessionsView;
  readonly routes: RoutesView;
  /** The newest last. */
  readonly events: readonly DaemonEvent[];
  readonly page: TopPage;
  /** Lines of the section that are above the screen. */
  readonly scrolled: number;
  readonly paused: boolean;
  /** Of the daemon's answer. */
  readonly at: number;
}

const PAGES: readonly (readonly [key: string, page: TopPage])[] = [
  ['a', 'all'],
  ['l', 'links'],
  ['f', 'flows'],
  ['r', 'routes'],
  ['e', 'events'],
];

/** The page that a key means. */
export function pageOf(key: string): TopPage | null {
  if (key === '?' || key === 'h') return 'help';
  return PAGES.find(([one]) => one === key)?.[1] ?? null;
}

const HELP = [
  'keys',
  '  a  links, flows, routes and events, a part of each',
  '  l  links: those that are not up first, then by rate',
  '  f  flows: sockets of programs here, by rate',
  '  r  routes: what changed last first',
  '  e  events: the newest first',
  '  up, down, page up, page down, home   scroll',
  '  space  hold what is shown, and go on',
  '  q, escape, ctrl-c  quit',
];

/** At most `rows` lines of at most `columns`. */
export function topLines(state: TopState, columns: number, rows: number, paint: Paint): string[] {
  const body = rows - 2;
  const lines =
    state.page === 'help'
      ? HELP
      : state.page === 'all'
        ? allSections(state, columns, body, paint)
        : scrolled(section(state, state.page, columns, paint), state.scrolled, body);
  const shown = [headLine(state, paint, columns), ...lines.slice(0, body)];
  while (shown.length < rows - 1) shown.push('');
  shown.push(footLine(state, paint, columns));
  return shown.map((line) => (widthOf(line) <= columns ? line : cutText(line, columns)));
}

/** How far the page can be scrolled. */
export function scrollMost(state: TopState, columns: number, rows: number): number {
  if (state.page === 'all' || state.page === 'help') return 0;
  const lines = section(state, state.page, columns, (_colour, text) => text);
  return Math.max(0, lines.length - (rows - 2));
}

function headLine({ status, at, paused }: TopState, paint: Paint, columns: number): string {
  const { name, node, uptimeMs, links, nodes } = plainAnswer(status);
  const wrong = daemonFindings(status).filter(({ advice }) => advice !== null);
  const news =
    wrong.length === 0
      ? 'all well'
      : wrong.length === 1
        ? `wrong: ${cutText(wrong[0]!.what, 20)}`
        : `${wrong.length} wrong: see doctor`;
  const right =
    `links ${links.up}/${links.total}  nodes ${nodes.reachable}/${nodes.known}  ` +
    `up ${formatAge(uptimeMs)}  ${timeText(at).slice(0, 8)}${paused ? '  held' : ''}`;
  const room = columns - right.length - news.length - 4;
  const who = formatNode(name, node, room);
  const short = widthOf(who) <= room ? who : cutText(name === '' ? node : name, Math.max(4, room));
  return `${paint('bold', short)}  ${paint(wrong.length === 0 ? 'green' : 'red', news)}  ${right}`;
}

function footLine({ page }: TopState, paint: Paint, columns: number): string {
  const pages = PAGES.map(([key, name]) => (name === page ? `[${key} ${name}]` : `${key} ${name}`));
  const text = [...pages, 'space hold', '? help', 'q quit'].join('  ');
  return paint('dim', cutText(text, columns));
}

function section(
  state: TopState,
  page: Exclude<TopPage, 'all' | 'help'>,
  columns: number,
  paint: Paint,
): string[] {
  return textOf(state, page, columns, paint)
    .split('\n')
    .filter((line, i, all) => line !== '' || i < all.length - 1);
}

function textOf(
  { links, sessions, routes, events }: TopState,
  page: Exclude<TopPage, 'all' | 'help'>,
  columns: number,
  paint: Paint,
): string {
  switch (page) {
    case 'links':
      return linksTable(plainAnswer([...links].sort(byNeed)), paint, columns);
    case 'flows': {
      const rate = ({ rate: of }: SessionsView['sessions'][number]): number =>
        (of?.sentPerSecond ?? 0) + (of?.receivedPerSecond ?? 0);
      const sorted = [...sessions.sessions].sort((a, b) => rate(b) - rate(a));
      return formatSessions({ schema: 1, sessions: sorted }, paint, columns);
    }
    case 'routes': {
      const sorted = [...routes.routes].sort((a, b) => (a.changedMs ?? 0) - (b.changedMs ?? 0));
      return formatRoutes({ ...routes, routes: sorted }, paint, columns);
    }
    case 'events':
      return events.length === 0
        ? 'no events yet\n'
        : [...events]
            .reverse()
            .map((event) => formatEvent(event, paint, columns))
            .join('');
  }
}

/** What is not up first, then who carries most. */
function byNeed(a: LinkRow, b: LinkRow): number {
  const rank = ({ state }: LinkRow): number => (state === 'up' ? 1 : 0);
  const rate = ({ rate: of }: LinkRow): number => (of == null ? 0 : of.sentBps + of.receivedBps);
  return rank(a) - rank(b) || rate(b) - rate(a);
}

/** Shares of the screen; what one does not need the events get. */
const SHARES: readonly (readonly [page: 'links' | 'flows' | 'routes', share: number])[] = [
  ['links', 0.3],
  ['flows', 0.25],
  ['routes', 0.25],
];

function allSections(state: TopState, columns: number, rows: number, paint: Paint): string[] {
  const lines: string[] = [];
  for (const [page, share] of SHARES) {
    const most = Math.max(2, Math.floor(rows * share));
    lines.push(...fitted(section(state, page, columns, paint), most, page, paint));
  }
  const left = rows - lines.length;
  return left < 2 ? lines : [...lines, ...section(state, 'events', columns, paint).slice(0, left)];
}

/** Cut where it is longer, with a word about the rest. */
function fitted(lines: readonly string[], most: number, page: TopPage, paint: Paint): string[] {
  if (lines.length <= most) return [...lines];
  const rest = lines.length - most + 1;
  return [...lines.slice(0, most - 1), paint('dim', `  .. ${rest} more lines: ${page[0]!}`)];
}

/** The heading stays. */
function scrolled(lines: readonly string[], by: number, rows: number): string[] {
  if (lines.length <= rows) return [...lines];
  const from = Math.min(by, lines.length - rows);
  return [lines[0]!, ...lines.slice(1 + from, from + rows)];
}

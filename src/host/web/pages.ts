/**
 * The pages of a daemon's HTTP door: metrics, health, readiness, and its status as JSON.
 *
 * Reads the node when it is asked, and keeps nothing. Health says that the event loop turns;
 * readiness whether the daemon carries traffic, and why not.
 */

import type { HostFigures } from 'spines-client/protocol';

import { readMetrics } from '../../core/operator/metrics.ts';
import type { Operator } from '../../core/operator/operation.ts';
import { notReady, type NotReady } from '../../core/operator/readiness.ts';
import { statusReport } from '../../core/operator/status-report.ts';
import { DASHBOARD_PATH, type DashboardPages } from './dashboard-pages.ts';
import { CONTENT_TYPES, Exposition, formatFor } from './exposition.ts';
import { plainAnswer, type Answer, type Asked, type Pages } from './http-door.ts';
import { writeProcess } from './process-metrics.ts';

/** The daemon behind the pages. */
export interface PagesView {
  /** Null: it is starting, or stopping. Time within is that of the call. */
  operator(): Operator | null;
  figures(): HostFigures;
  /** Sum of all that timers were late, since the start. Seconds. */
  lateSumS(): number;
  /** Null: no dashboard was asked for. */
  readonly dashboard: DashboardPages | null;
}

type Page = (view: PagesView, asked: Asked) => Answer;

const STOPPED: NotReady | { readonly code: 'stopped'; readonly text: string } = {
  code: 'stopped',
  text: 'the daemon is starting or stopping',
};

const PAGES: Readonly<Record<string, { readonly text: string; readonly page: Page }>> = {
  '/metrics': { text: 'metrics, for Prometheus and OpenMetrics', page: metrics },
  '/healthz': { text: '200 while the daemon answers', page: () => plainAnswer(200, 'ok') },
  '/readyz': { text: '200 when it carries traffic, else 503 and why', page: readyz },
  '/status.json': { text: 'what `spines status --json` prints', page: status },
};

/** Asked by supervisors, which have no token. */
const OPEN: ReadonlySet<string> = new Set(['/healthz', '/readyz']);

export function pagesOf(view: PagesView): Pages {
  return {
    isOpen: (path) => OPEN.has(path),
    answer: (asked) => {
      if (asked.path === '/') return plainAnswer(200, index(view));
      if (Object.hasOwn(PAGES, asked.path)) return PAGES[asked.path]!.page(view, asked);
      return view.dashboard?.answer(asked.path) ?? null;
    },
    stream: (path) => view.dashboard?.stream(path) ?? null,
  };
}

function index({ dashboard }: PagesView): string {
  const pages = Object.entries(PAGES).map(([path, { text }]) => [path, text] as const);
  if (dashboard !== null) pages.push([DASHBOARD_PATH, 'the network as a picture, live']);
  return pages.map(([path, text]) => `${path.padEnd(13)} ${text}`).join('\n');
}

function metrics(view: PagesView, { accept }: Asked): Answer {
  const operator = view.operator();
  if (operator === null) return plainAnswer(503, STOPPED.text);
  const format = formatFor(accept);
  const out = new Exposition(format);
  readMetrics(operator, (family, collect) => out.family(family, collect));
  writeProcess(out, { figures: view.figures(), lateSumS: view.lateSumS() });
  return { status: 200, type: CONTENT_TYPES[format], body: out.end() };
}

/** Reasons are for those who may see the rest, too. */
function readyz(view: PagesView, { trusted }: Asked): Answer {
  const operator = view.operator();
  const reasons = operator === null ? [STOPPED] : notReady(operator);
  return json(reasons.length === 0 ? 200 : 503, {
    schema: 1,
    ready: reasons.length === 0,
    ...(trusted ? { reasons } : {}),
  });
}

function status(view: PagesView): Answer {
  const operator = view.operator();
  return operator === null ? plainAnswer(503, STOPPED.text) : json(200, statusReport(operator));
}

function json(code: number, data: object): Answer {
  return {
    status: code,
    type: 'application/json; charset=utf-8',
    body: `${JSON.stringify(data)}\n`,
  };
}

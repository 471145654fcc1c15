/**
 * The dashboard's pages: a document, its script and its style, as they lie in the package, and the
 * stream of what it shows.
 *
 * Files are read when they are first asked for. They are made by `.ci/dashboard.mjs` of the sources
 * in `src/dashboard` and hold all that the page needs: nothing of it comes from elsewhere.
 */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { plainAnswer, type Answer, type EventStream } from './http-door.ts';
import type { LiveOverlay } from './live-overlay.ts';

export const DASHBOARD_PATH = '/dashboard/';
const EVENTS = `${DASHBOARD_PATH}events`;
const REPORT = `${DASHBOARD_PATH}report.json`;

const FILES: Readonly<Record<string, { readonly file: string; readonly type: string }>> = {
  '': { file: 'index.html', type: 'text/html; charset=utf-8' },
  'app.js': { file: 'app.js', type: 'text/javascript; charset=utf-8' },
  'charts.js': { file: 'charts.js', type: 'text/javascript; charset=utf-8' },
  'app.css': { file: 'app.css', type: 'text/css; charset=utf-8' },
  'licences.txt': { file: 'licences.txt', type: 'text/plain; charset=utf-8' },
};

/** Built, this file lies two folders below `dist`; as a source, two below `src`. */
const FOLDERS = ['../../dashboard/', '../../../dist/dashboard/'].map((path) =>
  fileURLToPath(new URL(path, import.meta.url)),
);

export class DashboardPages {
  /** Null: there is no daemon behind it, only a report. */
  readonly #live: LiveOverlay | null;
  /** The text of a report to begin with; null: none. */
  readonly #report: string | null;
  readonly #read = new Map<string, Answer>();

  constructor(live: LiveOverlay | null, report: string | null = null) {
    this.#live = live;
    this.#report = report;
  }

  /** Null: there is no such page. */
  answer(path: string): Answer | null {
    if (`${path}/` === DASHBOARD_PATH)
      return { ...plainAnswer(303, DASHBOARD_PATH), location: DASHBOARD_PATH };
    if (path === REPORT)
      return this.#report === null
        ? null
        : { status: 200, type: 'application/json; charset=utf-8', body: this.#report };
    if (!path.startsWith(DASHBOARD_PATH)) return null;
    const name = path.slice(DASHBOARD_PATH.length);
    return Object.hasOwn(FILES, name) ? this.#file(name) : null;
  }

  /** What streams there; null: nothing does. */
  stream(path: string): ((stream: EventStream) => () => void) | null {
    const live = this.#live;
    if (path !== EVENTS || live === null) return null;
    return (stream) => live.join({ tell: (name, data) => stream.write(name, data) });
  }

  #file(name: string): Answer {
    let answer = this.#read.get(name);
    if (answer !== undefined) return answer;
    const { file, type } = FILES[name]!;
    const mode = this.#live === null ? 'report' : this.#report === null ? 'live' : 'both';
    for (const folder of FOLDERS)
      try {
        // Sources have a document too: what is built has a script beside it.
        readFileSync(`${folder}app.js`);
        const text = readFileSync(`${folder}${file}`, 'utf8');
        answer = {
          status: 200,
          type,
          body: text.replace('data-mode="live"', `data-mode="${mode}"`),
        };
        this.#read.set(name, answer);
        return answer;
      } catch {
        // The next folder, or none.
      }
    return plainAnswer(500, 'the dashboard was not built; run `npm run build`');
  }
}

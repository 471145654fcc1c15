/**
 * `spines dashboard`: the daemon's network as a picture in the browser, live; or a report of
 * `spines replay`, with a timeline.
 *
 * Owns flags, the HTTP door of this program and its end: by signal. The door takes a token that is
 * drawn for it and stands in the address that is printed. What the page shows is asked of the
 * daemon only while somebody looks. Where the daemon serves one itself (`http:` in its config) this
 * is not needed.
 */

import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';

import { readText } from '../../host/files/text-file.ts';
import { tokenGrants } from '../../host/doors/token-file.ts';
import { DASHBOARD_PATH, DashboardPages } from '../../host/web/dashboard-pages.ts';
import { HttpDoor } from '../../host/web/http-door.ts';
import { LiveOverlay } from '../../host/web/live-overlay.ts';
import { addClientFlags, withClient, type ClientFlags } from '../client.ts';
import { helpBelow } from '../terminal/help-text.ts';
import { note, print, printJson } from '../terminal/output.ts';
import { usage } from '../terminal/failure.ts';
import { portArg } from '../terminal/values.ts';
import { ClientSource } from './client-overlay-source.ts';

interface DashboardFlags extends ClientFlags {
  port?: number;
  json?: boolean;
}

/** Reports of the largest topologies have some megabytes. */
const REPORT_BYTES_MAX = 64 * 1_048_576;

export function registerDashboard(program: Command): void {
  addClientFlags(
    program
      .command('dashboard [report]')
      .description('show the network in the browser, live, or a report of replay'),
  )
    .option('--port <n>', 'TCP port on this machine (default: any)', portArg)
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      helpBelow(
        'Prints the address to open, with a token in it: who has it may look, and change ' +
          'nothing. Ends by ^C.',
      ),
    )
    .action(async (report: string | undefined, flags: DashboardFlags) => {
      if (report !== undefined) {
        const text = readText(report, 'report', { bytesMax: REPORT_BYTES_MAX });
        if (!text.trimStart().startsWith('{'))
          throw usage(`${report} is no report; \`spines replay FILE --json REPORT\` writes one`);
        await serve(new DashboardPages(null, text), flags);
        return;
      }
      await withClient(
        flags,
        'dashboard',
        async (client) => {
          await serve(new DashboardPages(new LiveOverlay(new ClientSource(client))), flags);
        },
        true,
      );
    });
}

/** Until a signal comes. */
async function serve(pages: DashboardPages, { port = 0, json }: DashboardFlags): Promise<void> {
  const door = await openDashboard(pages, port);
  try {
    if (json === true) printJson({ schema: 1, url: door.url });
    else {
      print(`${door.url}\n`);
      note('open it in a browser; ^C ends');
    }
    await new Promise<void>((resolve) => {
      process.once('SIGINT', resolve);
      process.once('SIGTERM', resolve);
    });
  } finally {
    await door.close();
  }
}

export interface OpenDashboard {
  /** With its token. */
  readonly url: string;
  close(): Promise<void>;
}

/** On 127.0.0.1; `port` 0: any. Throws SpinesError when it can't be had. */
export async function openDashboard(pages: DashboardPages, port: number): Promise<OpenDashboard> {
  const token = randomBytes(24).toString('hex');
  const granted = tokenGrants([{ token, grant: true }]);
  const door = new HttpDoor(
    {
      isOpen: () => false,
      answer: ({ path }) => pages.answer(path === '/' ? DASHBOARD_PATH.slice(0, -1) : path),
      stream: (path) => pages.stream(path),
    },
    { onRefused: () => {} },
    (shown) => granted(shown) === true,
  );
  const bound = await door.listen('127.0.0.1', port);
  return {
    url: `http://127.0.0.1:${bound}${DASHBOARD_PATH}?token=${token}`,
    close: () => door.close(),
  };
}

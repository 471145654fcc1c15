/**
 * Opens the HTTP door of a daemon that was asked for one.
 *
 * Loaded then only: a daemon without it has no HTTP server, no timer and no memory of one.
 */

import { readOrMakeToken, tokenGrants } from '../doors/token-file.ts';
import type { HttpOptions } from '../daemon-options.ts';
import { DashboardPages } from './dashboard-pages.ts';
import { HttpDoor, type HttpDoorEvents } from './http-door.ts';
import { LiveOverlay } from './live-overlay.ts';
import { OwnDaemon } from './overlay-source.ts';
import { pagesOf, type PagesView } from './pages.ts';

/** Of the daemon behind the door. */
interface Turns {
  /** Something was asked of it: its timers may have changed. */
  onTurnEnd(): void;
}

export interface OpenDoor {
  readonly port: number;
  close(): Promise<void>;
}

/** Throws SpinesError when the address or the token's file can't be had. */
export async function openHttp(
  { address, tokenPath, dashboard }: HttpOptions,
  view: Omit<PagesView, 'dashboard'> & Turns,
  events: HttpDoorEvents,
): Promise<OpenDoor> {
  const granted =
    tokenPath === null
      ? null
      : tokenGrants([{ token: readOrMakeToken(tokenPath, 'http.token'), grant: true }]);
  const door = new HttpDoor(
    pagesOf({
      ...view,
      dashboard: dashboard
        ? new DashboardPages(new LiveOverlay(new OwnDaemon(view.operator, view.onTurnEnd)))
        : null,
    }),
    events,
    granted === null ? null : (shown) => granted(shown) === true,
  );
  const port = await door.listen(address.address, address.port);
  return { port, close: () => door.close() };
}

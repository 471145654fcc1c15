/**
 * Opens the HTTP door of a daemon that was asked for one.
 *
 * Loaded then only: a daemon without it has no HTTP server, no timer and no memory of one.
 */

import { readOrMakeToken, tokenGrants } from '../doors/token-file.ts';
import type { HttpOptions } from '../daemon-options.ts';
import { HttpDoor, type HttpDoorEvents } from './http-door.ts';
import { pagesOf, type PagesView } from './pages.ts';

export interface OpenDoor {
  readonly port: number;
  close(): Promise<void>;
}

/** Throws SpinesError when the address or the token's file can't be had. */
export async function openHttp(
  { address, tokenPath }: HttpOptions,
  view: PagesView,
  events: HttpDoorEvents,
): Promise<OpenDoor> {
  const granted =
    tokenPath === null
      ? null
      : tokenGrants([{ token: readOrMakeToken(tokenPath, 'http.token'), grant: true }]);
  const door = new HttpDoor(
    pagesOf(view),
    events,
    granted === null ? null : (shown) => granted(shown) === true,
  );
  const port = await door.listen(address.address, address.port);
  return { port, close: () => door.close() };
}

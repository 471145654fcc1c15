/**
 * How a stream goes once its socket is destroyed: with END where nothing is lost, with RESET
 * otherwise, and what becomes of one whose last data is still on its way. socket.ts says what is
 * lost.
 */

import type { ClientCore } from '../core/core.ts';
import type { CoreStream, StreamListener } from '../core/stream-core.ts';

/**
 * A destroyed socket whose far end has not ended is reset after this long, as a kernel's orphan is.
 */
export const ORPHAN_MS = 60_000;

export interface SocketListener extends StreamListener {
  /** Once the socket is destroyed and its stream is not over: called when it is. */
  lingered: (() => void) | null;
}

/** Ends a stream in any state; `lost`: with bytes that one side will never read. */
export function endStream(core: ClientCore, stream: CoreStream, lost: boolean): void {
  if (stream.state === 'connecting') {
    stream.abandon();
    if (core.state === 'open') core.request('close', { socket: stream.id }, () => {});
  } else if (stream.state === 'open') {
    if (lost) stream.reset();
    else stream.finish();
  }
}

/** The stream may outlive the socket: its last data is on its way. `over` is called at its end. */
export function linger(
  stream: CoreStream | null,
  listener: SocketListener,
  over: () => void,
): void {
  if (stream === null || stream.state !== 'lingering') {
    over();
    return;
  }
  let orphan: NodeJS.Timeout | undefined;
  listener.lingered = () => {
    clearTimeout(orphan);
    over();
  };
  if (stream.endReceived) return;
  orphan = setTimeout(() => {
    stream.reset();
    over();
  }, ORPHAN_MS);
  orphan.unref();
}

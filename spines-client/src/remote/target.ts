/** Where a daemon is, as a connection to it needs to know. */

import type { RemoteCredentials } from './credentials.ts';

/** Where a daemon listens, and what it asks for there. */
export type DaemonTarget =
  | { path: string }
  | {
      host: string;
      port: number;
      token?: string | undefined;
      remote?: RemoteCredentials | undefined;
    };

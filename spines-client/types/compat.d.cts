/** The classic calls for `require`; see index.d.cts. */

import type * as esm from '../dist/compat/compat.js' with { 'resolution-mode': 'import' };

declare const compat: typeof esm;

declare namespace compat {
  export type DaemonAddress = esm.DaemonAddress;
  export type ReceivedFrom = esm.ReceivedFrom;
  export type SpinesSockaddr = esm.SpinesSockaddr;
}

export = compat;

/** How emulated links are asked about and changed. */

import type { LinkSettings } from 'spines-client/protocol';

import type { Endpoint } from '../base/datagram.ts';

/** Emulated link characteristics, by the address of the peer. */
export interface EmulationControl {
  get(peer: Endpoint): LinkSettings | null;
  /**
   * Changes what `change` names; what results, or null when that link is not emulated. Throws
   * SpinesError EINVAL.
   */
  set(peer: Endpoint, change: LinkSettings): LinkSettings | null;
  /** Datagrams to that peer that the emulated wire lost or had no room for. */
  dropped(peer: Endpoint): number;
}

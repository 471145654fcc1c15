/**
 * What operators may see of a node, and what of its surroundings they need to ask for changes.
 *
 * Types only, so that nothing of this room knows the node that is made of all rooms.
 */

import type { HostFigures } from 'spines-client/protocol';

import type { SpinesError } from '../base/errors.ts';
import type { NodeId } from '../base/ids.ts';
import type { Log } from '../base/log.ts';
import type { Rng } from '../base/rng.ts';
import type { Clock, Timers } from '../base/time.ts';
import type { ByzantineRouter } from '../byzantine/byzantine-router.ts';
import type { Membership } from '../crypto/membership.ts';
import type { Dissemination } from '../dissemination/dissemination.ts';
import type { Routed } from '../dissemination/routed.ts';
import type { EndToEnd } from '../end-to-end/end-to-end.ts';
import type { SocketsWatch } from '../ipc/sockets-watch.ts';
import type { LinkTable } from '../link/link-table.ts';
import type { NodeConfig } from '../node/config.ts';
import type { Groups } from '../node/groups.ts';
import type { Transit } from '../node/transit.ts';
import type { LinkStateRouter } from '../routing/link-state-router.ts';
import type { EchoService } from '../session/echo-service.ts';
import type { Firewall } from '../session/firewall.ts';
import type { Sessions } from '../session/sessions.ts';
import type { Streams } from '../session/streams.ts';
import type { DropCounters } from '../wire/drop.ts';
import type { PacketPool } from '../wire/packet-pool.ts';
import type { VersionRange } from '../wire/versions.ts';
import type { Audit } from './audit.ts';
import type { EmulationControl } from './emulation-control.ts';

export interface NodeView {
  readonly config: NodeConfig;
  readonly drops: DropCounters;
  readonly pool: PacketPool;
  readonly links: LinkTable;
  readonly router: LinkStateRouter;
  readonly groups: Groups;
  readonly endToEnd: EndToEnd | null;
  readonly byzantine: ByzantineRouter | null;
  readonly dissemination: Dissemination;
  readonly routed: Routed | null;
  readonly firewall: Firewall;
  readonly transit: Transit;
  readonly sessions: Sessions;
  readonly streams: Streams;
  readonly echo: EchoService;
  readonly socketsWatch: SocketsWatch;
  readonly wireVersions: VersionRange;
  readonly instance: string;
  /** Goes by another configuration from now on; see SpinesNode. */
  reconfigure(config: NodeConfig): void;
  /** The node that `name` (a node name or a dotted quad) means, or null. */
  resolve(name: string): NodeId | null;
}

export interface OperatorEnvironment {
  readonly clock: Clock;
  /** Microseconds since 1970. */
  readonly wall: Clock;
  readonly timers: Timers;
  readonly rng: Rng;
  readonly log: Log;
  readonly emulation: EmulationControl | null;
  readonly membership: Membership | null;
  readonly listen: readonly string[];
  readonly host?: () => HostFigures;
  readonly audit?: Audit;
  /** Sets the least severe level that is logged, or only says it (null). Throws SpinesError. */
  logLevel?(level: string | null): string;
  onShutdownRequested(): void;
  onReloadRequested?(
    reply: (result: { readonly changes: readonly string[] } | SpinesError) => void,
  ): void;
}

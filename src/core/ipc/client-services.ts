/** What connected clients need from their daemon. */

import type { WelcomeBody } from 'spines-client/protocol';

import type { SpinesError } from '../base/errors.ts';
import type { NodeId } from '../base/ids.ts';
import type { Clock, Timers } from '../base/time.ts';
import type { Firewall } from '../session/firewall.ts';
import type { Secrecy } from '../session/secrecy.ts';
import type { Sessions } from '../session/sessions.ts';
import type { Streams } from '../session/streams.ts';
import type { DropCounters } from '../wire/drop.ts';
import type { Arguments } from './arguments.ts';
import type { ClientPlaces } from './client-places.ts';
import type { SocketsWatch } from './sockets-watch.ts';
import type { ConnectedClient, Reply } from './client.ts';
import type { ClientRole } from './roles.ts';

export interface ClientServices {
  readonly self: NodeId;
  readonly firewall: Firewall;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly drops: DropCounters;
  readonly sessions: Sessions;
  readonly streams: Streams;
  readonly places: ClientPlaces;
  readonly watch: SocketsWatch;
  readonly socketsMax: number;
  readonly queueBytes: number;
  /** 0: unlimited. */
  readonly bytesPerSecond: number;
  readonly packetsPerSecond: number;
  welcome(): WelcomeBody;
  /** The node that `name` (a node name or a dotted quad) means, or null. */
  resolve(name: string): NodeId | null;
  /** What is said of a name that means none. */
  unknown(name: string): SpinesError;
  nameOf(node: NodeId): string | null;
  /** Which of the link services and routings this daemon can do; an error text otherwise. */
  checkModes(service: number, dissemination: number, secrecy?: Secrecy): string | null;
  /** The least role that may make request `op`. */
  roleFor(op: string): ClientRole;
  /** Requests about the daemon. False when it knows no such op. */
  administer(op: string, args: Arguments, reply: Reply, asker: ConnectedClient): boolean;
  /** `asker` lacks the role for `op`. */
  refused(op: string, asker: ConnectedClient, code: string): void;
  onClosed(port: ConnectedClient): void;
}

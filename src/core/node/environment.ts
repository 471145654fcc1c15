/**
 * What a node needs from its surroundings, which a process and the simulator give it alike.
 *
 * Types only.
 */

import type { HostFigures } from 'spines-client/protocol';

import type { AddressProbe } from '../base/address-probe.ts';
import type { DatagramSink } from '../base/datagram.ts';
import type { SpinesError } from '../base/errors.ts';
import type { IndexMark } from '../base/index-mark.ts';
import type { Log } from '../base/log.ts';
import type { Rng, SecureRandom } from '../base/rng.ts';
import type { Clock, Timers } from '../base/time.ts';
import type { Membership } from '../crypto/membership.ts';
import type { Strategy, StrategyEnvironment } from '../dissemination/strategy.ts';
import type { Audit } from '../operator/audit.ts';
import type { EmulationControl } from '../operator/emulation-control.ts';
import type { ExtraOperation } from '../operator/operation.ts';

export interface NodeEnvironment {
  readonly clock: Clock;
  /** For durations within a turn, during which `clock` may stand still. */
  readonly stopwatch: Clock;
  readonly timers: Timers;
  readonly rng: Rng;
  /** For what an adversary must not guess. */
  readonly random: SecureRandom;
  /** Microseconds since 1970. */
  readonly wall: Clock;
  readonly sink: DatagramSink;
  readonly log: Log;
  /** Emulated link characteristics that clients may change, null where there are none. */
  readonly emulation: EmulationControl | null;
  /** Null: links are not sealed (security: none). */
  readonly membership: Membership | null;
  /** Addresses the daemon listens on, for status. */
  readonly listen: readonly string[];
  /** For laboratories: makes what stands in place of the strategy of a code. */
  readonly strategies?: ReadonlyMap<number, (env: StrategyEnvironment) => Strategy>;
  /**
   * Of all receiver indices that this node draws, by which the system knows what is not a
   * stranger's; absent where it is not told.
   */
  readonly mark?: IndexMark | null;
  /** What strangers send is read from a queue of its own; absent = it is not. */
  readonly callsApart?: boolean;
  /** What the system says of addresses that do not answer; absent where it can't be asked. */
  readonly probe?: AddressProbe | null;
  /** Of the process and its sockets, for status; absent where there is none of its own. */
  readonly host?: () => HostFigures;
  /** What clients may ask beyond the client protocol; absent outside laboratories. */
  readonly operations?: readonly ExtraOperation[];
  /** Takes records of what changed this daemon; absent where nobody keeps them. */
  readonly audit?: Audit;
  /** Sets the least severe level that is logged, or only says it (null). Throws SpinesError. */
  logLevel?(level: string | null): string;
  /** A client asked for an orderly end. */
  onShutdownRequested(): void;
  /**
   * A client asked for the config to be read again; absent where there is none. `reply` gets what
   * changed, or why nothing did.
   */
  onReloadRequested?(
    reply: (result: { readonly changes: readonly string[] } | SpinesError) => void,
  ): void;
}

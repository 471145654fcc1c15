/**
 * What links and their table need from their surroundings: the settings, and what a daemon has one
 * of for all its links.
 *
 * Types only, so that a link need not know the table that holds it.
 */

import type { AddressProbe } from '../base/address-probe.ts';
import type { DatagramSink } from '../base/datagram.ts';
import type { Draws } from '../base/draws.ts';
import type { NodeId } from '../base/ids.ts';
import type { IndexMark } from '../base/index-mark.ts';
import type { Log } from '../base/log.ts';
import type { Rng, SecureRandom } from '../base/rng.ts';
import type { Clock, Micros, Timers } from '../base/time.ts';
import type { Membership } from '../crypto/membership.ts';
import type { Certificate } from '../wire/certificate.ts';
import type { DropCounters } from '../wire/drop.ts';
import type { Packet } from '../wire/packet.ts';
import type { PacketPool } from '../wire/packet-pool.ts';
import type { VersionRange } from '../wire/versions.ts';
import type { Channel, FlushList } from './channel.ts';
import type { CongestionName } from '../recovery/controller.ts';
import type { DialConfig } from './dial-config.ts';
import type { Run } from './handshaker.ts';
import type { LivenessConfig } from './liveness.ts';
import type { Directory } from './directory.ts';
import type { Taps } from './tap.ts';

export interface LinkTableConfig {
  readonly id: NodeId;
  readonly name?: string;
  readonly dials: readonly DialConfig[];
  readonly accept: boolean;
  readonly liveness: LivenessConfig;
  readonly redialUs: Micros;
  readonly rekeyAfterUs: Micros;
  readonly rekeyAfterDatagrams: number;
  readonly congestion: CongestionName;
  readonly wireVersions: VersionRange;
  readonly limits: {
    readonly links: number;
    readonly linkQueueBytes: number;
    readonly realtimeBytesPerSecond: number;
  };
}

/** A link as its surroundings tell it from others. */
export interface SomeLink {
  readonly node: NodeId;
}

/** What links need from their surroundings; shared by all links of a daemon. */
export interface LinkEnvironment<L extends SomeLink = SomeLink> {
  readonly clock: Clock;
  readonly timers: Timers;
  /** For jitter. */
  readonly rng: Rng;
  /** For what nobody may guess. */
  readonly draws: Draws;
  readonly sink: DatagramSink;
  /** The same, for handshakes. */
  readonly calls: DatagramSink;
  readonly taps: Taps;
  readonly log: Log;
  readonly drops: DropCounters;
  readonly pool: PacketPool;
  readonly flushList: FlushList;
  /** The daemon's one packet for arrivals. */
  readonly inbound: Packet;
  readonly liveness: LivenessConfig;
  readonly linkQueueBytes: number;
  /** Of the realtime service of a link, as it is now; 0: no bound. */
  realtimeBytesPerSecond(): number;
  readonly congestion: CongestionName;
  /** This node's id. */
  readonly self: NodeId;
  /** What packets on their way to `node` take from here, microseconds; 0: not known. */
  latencyTo(node: NodeId): Micros;
  /** What people call a node. `certificate`: the one that it showed, if any. */
  label(node: NodeId, certificate: Certificate | null): string;
  forgetChannel(channel: Channel): void;
  /** `link` moves to `channel`; true: `former` is not forgotten with it. */
  onChannel(link: L, channel: Channel, former: Channel | null): boolean;
  onLinkDown(link: L, why: string): void;
  /** What others may hold against this daemon's own certificate, and what to do; null: nothing. */
  ownFault(): { readonly why: string; readonly next: string } | null;
  /** The peer never used what it was offered. */
  onUnconfirmed(link: L): void;
}

export type LinkSurroundings = Pick<
  LinkEnvironment,
  | 'clock'
  | 'timers'
  | 'rng'
  | 'sink'
  | 'log'
  | 'drops'
  | 'pool'
  | 'flushList'
  | 'inbound'
  | 'latencyTo'
> & {
  /** Null: links are not sealed, and anybody may make one. */
  readonly membership: Membership | null;
  /** Default: nobody has a name. */
  readonly directory?: Directory;
  /** Default: the system is not asked about addresses. */
  readonly probe?: AddressProbe | null;
  /** This run of the daemon, as peers are told. */
  readonly run: Run;
  /** For what nobody may guess: receiver indices, and tokens of path probes. */
  readonly random: SecureRandom;
  /** Of all receiver indices that this node draws. Default: none. */
  readonly mark?: IndexMark | null;
  /**
   * Calls are read from a queue of their own, not behind what links bring or in front of it.
   * Default: from the same.
   */
  readonly callsApart?: boolean;
};

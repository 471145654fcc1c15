/**
 * The configuration of one daemon, parsed and complete: every field present, units in the names.
 *
 * Owns the meaning and the defaults; reading files and flags is the host's and the CLI's business.
 * A NodeConfig is frozen; a reload gives the daemon another one (SpinesNode.reconfigure).
 */

import { SpinesError } from '../base/errors.ts';
import { formatNodeId, isNodeId, isNodeName, type NodeId } from '../base/ids.ts';
import { MILLISECOND, SECOND, type Micros } from '../base/time.ts';
import {
  byzantineModes,
  MILLION,
  secureOptions,
  type ByzantineOptions,
} from '../byzantine/options.ts';
import { CONGESTION_NAMES, type CongestionName } from '../recovery/controller.ts';
import type { DialConfig } from '../link/dial-config.ts';
import { COST_MAX_US, NEIGHBOURS_MAX, type NeighbourPolicy } from '../link/neighbour-policy.ts';
import type { LivenessConfig } from '../link/liveness.ts';
import { OWN_CAPABILITIES } from '../wire/node-facts.ts';
import { isVersionRange, type VersionRange } from '../wire/versions.ts';
import { NO_RULES, type RuleSet } from '../session/rules.ts';
import {
  KEEPALIVE_MIN,
  keepaliveWithin,
  LIMIT_MAX,
  SILENCE_MIN,
  type LivenessLimits,
} from '../session/stream-liveness.ts';
import { SECRECIES, type Secrecy } from '../session/secrecy.ts';
import { METRICS, type Metric } from '../routing/metrics.ts';

export type { ByzantineOptions, DialConfig, LivenessConfig, Metric, Secrecy };
export { COST_MAX_US, NEIGHBOURS_MAX, type NeighbourPolicy };
export { isHostName, isUnresolved, UNRESOLVED } from '../link/dial-config.ts';
export { CONGESTION_NAMES, METRICS, SECRECIES, byzantineModes };
export {
  NO_RULES,
  RULE_ACTIONS,
  RULE_KINDS,
  RULE_LISTS,
  RULE_USES,
  RULES_MAX,
  rulesCount,
  rulesData,
  sameRules,
  type PortRange,
  type RuleAction,
  type RuleList,
  type RuleSet,
  type RuleTarget,
} from '../session/rules.ts';

export interface NodeConfig {
  readonly id: NodeId;
  /** '' = no name. */
  readonly name: string;
  readonly dials: readonly DialConfig[];
  /** Take links that others dial. */
  readonly accept: boolean;
  /** Carry packets of others; otherwise this node is an end of ways only, and tells so. */
  readonly transit: boolean;
  readonly metric: Metric;
  /** What the operator wants of links, by their neighbours. */
  readonly neighbours: readonly NeighbourPolicy[];
  readonly liveness: LivenessConfig;
  /** Between two attempts to dial a neighbour that does not answer. */
  readonly redialUs: Micros;
  /** Congestion control of reliable links. */
  readonly congestion: CongestionName;
  /**
   * And of streams of this daemon's programs that choose none; null: by the links that they go
   * over.
   */
  readonly streamCongestion: CongestionName | null;
  /** Of streams that have no limits of their own. */
  readonly streams: LivenessLimits;
  /**
   * Own advertisement is renewed this often; others are forgotten after `advertisementLifetimeUs`
   * without renewal.
   */
  readonly advertisementRefreshUs: Micros;
  readonly advertisementLifetimeUs: Micros;
  /**
   * A sealed link's keys are replaced after this long, or after `rekeyAfterDatagrams` sent under
   * one of them.
   */
  readonly rekeyAfterUs: Micros;
  readonly rekeyAfterDatagrams: number;
  /** About how long others seal for this node with one key, in networks with identities. */
  readonly keyRotationUs: Micros;
  /**
   * Of sockets that do not say which, in networks with identities: sealed from their source to
   * their destination, or on each link only.
   */
  readonly secrecy: Secrecy;
  /** Of flows that start here with routing 'byzantine'. */
  readonly byzantine: ByzantineOptions;
  /**
   * Wire versions that this daemon speaks; null: the release's own. Another range is for
   * laboratories.
   */
  readonly wireVersions: VersionRange | null;
  /**
   * What this daemon can do together with others, the sum of capability bits (WIRE.md section 5);
   * another one than the release's own is for laboratories.
   */
  readonly capabilities: number;
  /** Who may send what to this node, reach targets behind it, and use it from afar. */
  readonly firewall: RuleSet;
  /** Local clients may make this daemon misbehave; for laboratories. */
  readonly allowMisbehaviour: boolean;
  /** Clients may change emulated link characteristics. */
  readonly allowEmulation: boolean;
  /** Clients may stop the daemon through the socket. */
  readonly allowShutdown: boolean;
  readonly limits: NodeLimits;
}

/** Every bound of a daemon. What happens at the bound stands beside it. */
export interface NodeLimits {
  /** Links, up or not; more are refused. 1..128 (what one advertisement can carry). */
  readonly links: number;
  /** Nodes in the link-state database; advertisements of further nodes are dropped. */
  readonly nodes: number;
  /** Packets in all queues together; further ones are dropped. */
  readonly packetsKept: number;
  /**
   * Bytes in one link's send queue, 128 more for each packet; further packets are dropped. Local
   * programs are told to wait at half of it; what they had sent by then has 16 times as much for
   * itself.
   */
  readonly linkQueueBytes: number;
  /**
   * Bytes that the realtime service of one link may send a second, with what is sent again; 0 =
   * unlimited. Packets over it wait, fair by flow, and go when they can't be in time any more. That
   * service has no congestion control: this is what keeps it from taking a whole line.
   */
  readonly realtimeBytesPerSecond: number;
  /**
   * Clients; more are refused, as in ClientPlaces. An eighth is for programs of this machine alone.
   */
  readonly clients: number;
  /** Of them so many with certificates of one name; more are refused. */
  readonly clientsPerCertificate: number;
  /** Sockets of one client, or of all with certificates of one name; more are refused. */
  readonly socketsPerClient: number;
  /** Bytes waiting to be read by one client; further datagrams to it are dropped and counted. */
  readonly clientQueueBytes: number;
  /**
   * Payload bytes that one client may send a second, 0 = unlimited. Over it datagrams are refused
   * as by a full queue, and streams get no credit, until the client is below it again. A tenth of
   * it may go at once: with 1 MB, 100 KB, then 1 MB a second.
   */
  readonly clientBytesPerSecond: number;
  /**
   * Datagrams that one client may send a second, 0 = unlimited; of streams each 1,388 bytes count
   * as one.
   */
  readonly clientPacketsPerSecond: number;
  /**
   * Streams, half-open ones included; more are refused. Whoever has four times as many as are left
   * gets no more: one program, one node that opens them here, one link.
   */
  readonly streams: number;
  /**
   * Bytes that streams hold for slow readers, windows granted and not used included: as it fills up
   * windows get smaller, to 16 KiB each, and where not even that is left further streams are
   * refused.
   */
  readonly streamBytes: number;
  /**
   * Bytes in incomplete fragmented messages; whoever has most gives way
   * (core/session/reassembly.ts).
   */
  readonly reassemblyBytes: number;
}

export const defaultLimits: NodeLimits = Object.freeze({
  links: 128,
  nodes: 4096,
  packetsKept: 65_536,
  linkQueueBytes: 512 * 1024,
  realtimeBytesPerSecond: 0,
  clients: 256,
  clientsPerCertificate: 64,
  socketsPerClient: 4096,
  clientQueueBytes: 4 * 1024 * 1024,
  clientBytesPerSecond: 0,
  clientPacketsPerSecond: 0,
  streams: 16_384,
  streamBytes: 256 * 1024 * 1024,
  reassemblyBytes: 8 * 1024 * 1024,
});

export const defaultConfig: Omit<NodeConfig, 'id'> = Object.freeze({
  name: '',
  dials: [],
  accept: true,
  transit: true,
  metric: 'expected-latency',
  neighbours: [],
  liveness: Object.freeze({ helloIntervalUs: 150 * MILLISECOND, deadAfterUs: 400 * MILLISECOND }),
  redialUs: 250 * MILLISECOND,
  congestion: 'bbr',
  streamCongestion: null,
  streams: streamLimits(),
  advertisementRefreshUs: 300 * SECOND,
  advertisementLifetimeUs: 1_000 * SECOND,
  rekeyAfterUs: 120 * SECOND,
  rekeyAfterDatagrams: 2 ** 24,
  keyRotationUs: 600 * SECOND,
  secrecy: 'end-to-end',
  byzantine: secureOptions,
  wireVersions: null,
  capabilities: OWN_CAPABILITIES,
  firewall: NO_RULES,
  allowMisbehaviour: false,
  allowEmulation: false,
  allowShutdown: false,
  limits: defaultLimits,
});

/**
 * What is not given: a silence of 30 s; a keepalive of 15 s, or of half the silence where that is
 * shorter.
 */
export function streamLimits(
  silenceUs: Micros = 30 * SECOND,
  keepaliveUs: Micros = keepaliveWithin(silenceUs, 15 * SECOND),
): LivenessLimits {
  return Object.freeze({ keepaliveUs, silenceUs });
}

/**
 * Completes `partial` with the defaults, checks it and freezes it. Throws SpinesError ECONFIG
 * naming the field.
 */
export function makeConfig(partial: Partial<NodeConfig> & { id: NodeId }): NodeConfig {
  const config: NodeConfig = { ...defaultConfig, ...partial };
  const require = (ok: boolean, field: string, need: string): void => {
    if (!ok) throw new SpinesError('ECONFIG', `${field} ${need}`);
  };
  require(isNodeId(config.id), 'id', 'must be a node id between 0.0.0.1 and 223.255.255.255, not ' +
    `${formatNodeId(config.id >>> 0)}`);
  require(config.name === '' ||
    isNodeName(config.name), 'name', 'must be 1-63 letters, digits, "-", "_" or "."');
  const { liveness, limits } = config;
  require(liveness.helloIntervalUs >= 20 * MILLISECOND &&
    liveness.helloIntervalUs <= 5 * SECOND, 'liveness.helloInterval', 'must be 20 ms to 5 s');
  require(liveness.deadAfterUs >=
    2 * liveness.helloIntervalUs, 'liveness.deadAfter', 'must be at least two hello intervals');
  require(CONGESTION_NAMES.includes(
    config.congestion,
  ), 'congestion', `must be one of ${CONGESTION_NAMES.join(', ')}`);
  require(config.streamCongestion === null ||
    CONGESTION_NAMES.includes(
      config.streamCongestion,
    ), 'streams.congestion', `must be one of ${CONGESTION_NAMES.join(', ')}`);
  const { keepaliveUs, silenceUs } = config.streams;
  require(silenceUs >= SILENCE_MIN &&
    silenceUs <= LIMIT_MAX, 'streams.silence', 'must be 1 s to a day');
  require(keepaliveUs === 0 ||
    (keepaliveUs >= KEEPALIVE_MIN &&
      keepaliveUs <= LIMIT_MAX), 'streams.keepalive', 'must be 500 ms to a day, or off');
  require(config.redialUs >= 10 * MILLISECOND, 'redial', 'must be at least 10 ms');
  require(config.advertisementLifetimeUs >=
    2 * config.advertisementRefreshUs, 'advertisementLifetime', 'must be at least twice ' +
    'advertisementRefresh');
  require(config.rekeyAfterUs >= 100 * MILLISECOND &&
    config.rekeyAfterUs <= 86_400 * SECOND, 'rekeyAfter', 'must be 100 ms to a day');
  require(config.rekeyAfterDatagrams >= 16 &&
    config.rekeyAfterDatagrams <= 2 ** 40, 'rekeyAfterDatagrams', 'must be 16 to 2^40');
  require(config.keyRotationUs >= SECOND &&
    config.keyRotationUs <= 86_400 * SECOND, 'keyRotation', 'must be 1 s to a day');
  require(SECRECIES.includes(config.secrecy), 'secrecy', `must be one of ${SECRECIES.join(', ')}`);
  const { byzantine } = config;
  require(byzantine.windowPackets >= 1 &&
    byzantine.windowPackets <= 100_000, 'byzantine.window', 'must be 1 to 100000 packets');
  require(Math.round(byzantine.tolerance * MILLION) >= 1 &&
    byzantine.tolerance <= 1, 'byzantine.tolerance', 'must be above 0 and at most 100%');
  require(byzantine.fullProbingHops >= 1 &&
    byzantine.fullProbingHops <= 32, 'byzantine.fullProbingHops', 'must be 1 to 32');
  require(byzantine.ackBatchPackets >= 1 &&
    byzantine.ackBatchPackets <= 9, 'byzantine.ackBatch', 'must be 1 to 9');
  require(byzantine.ackBatchDelayUs >= 0 &&
    byzantine.ackBatchDelayUs <= SECOND, 'byzantine.ackBatchDelay', 'must be at most 1 s');
  require(config.wireVersions === null ||
    isVersionRange(config.wireVersions), 'wireVersions', 'must be a range within 1 to 255');
  require(config.neighbours.length <= NEIGHBOURS_MAX, 'neighbours', `must be at most ${
    NEIGHBOURS_MAX
  }`);
  for (const { node, costUs } of config.neighbours)
    require(costUs >= 0 &&
      costUs <= COST_MAX_US, 'neighbours', `cost of ${node} must be at most 1 s`);
  require(config.capabilities === config.capabilities >>> 0, 'capabilities', 'must be 32 bits');
  require(limits.links >= 1 && limits.links <= 128, 'limits.links', 'must be 1 to 128');
  require(config.dials.length <= limits.links, 'links', `must be at most ${limits.links}`);
  return Object.freeze(config);
}

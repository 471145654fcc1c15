/**
 * What operations of the daemon answer: the shapes of replies, and of what is set.
 *
 * Types only, all of them plain data that msgpack and JSON carry. Part of the protocol
 * (protocol.ts). Fields that came later are optional where the daemon of an earlier release may be
 * asked.
 */

import type { LinkServiceName } from './modes.ts';
/** Protected against routers on the way too, or against outsiders only. */
export type SecrecyName = 'end-to-end' | 'links';
export type SessionKind = 'datagram' | 'stream';

/** Emulated characteristics of one direction of a link; what is absent keeps its value. */
export interface LinkSettings {
  /** kbit/s of IP bytes, null = unlimited. */
  bandwidthKbps?: number | null;
  /** Longest IP packet, 576..65,535 bytes; null = any. */
  mtuBytes?: number | null;
  latencyMs?: number;
  jitterMs?: number;
  /** Percent, 0..100. */
  lossPct?: number;
  duplicatePct?: number;
  reorderPct?: number;
  corruptPct?: number;
  up?: boolean;
}

/** A daemon's own certificate and whom it trusts. Times are seconds since 1970. */
export interface IdentityStatus {
  /** Which implementation of the cryptography is in use. */
  primitives: string;
  serial: string;
  validUntilS: number;
  /** Until then; negative when it is over. */
  leftS: number;
  authorities: { name: string; id: string; validUntilS: number }[];
  revocations: { authority: string; number: number; revoked: number }[];
  /**
   * Ids of the network's pre-shared keys that it takes, 'none' among them where it takes none as
   * well. Absent from daemons before 0.2.
   */
  presharedKeys?: string[];
}

/**
 * Rules of one list, in their order. `hits`: packets, streams and requests that the rule decided,
 * since the daemon knows it.
 */
export interface FirewallReply {
  schema: 1;
  list: 'inbound' | 'targets' | 'clients';
  /** Of the whole list; a reply has as many from the asked one on as fit. */
  total: number;
  default: 'allow' | 'deny';
  /** What no rule fitted. */
  defaultHits: number;
  /** `number` counts from 1; `rule` is in the words of the config file. */
  rules: {
    number: number;
    rule: Readonly<Record<string, string | readonly string[]>>;
    hits: number;
  }[];
}

/** Of a daemon's rules. */
export interface FirewallFigures {
  rules: number;
  /** Nothing is refused, whatever comes. */
  open: boolean;
  /**
   * A packet's source is proved. False: it is what the packet says, which rules can only believe.
   */
  proved: boolean;
}

export interface ReloadReply {
  schema: 1;
  changes: string[];
}

/** A daemon's process and sockets. */
export interface HostFigures {
  /** True: the system takes and gives many datagrams in one call. */
  offload: boolean;
  /** Why not, or why less than all of it can be had; null: all. Absent from daemons before 0.2. */
  without?: string | null;
  /** True: no datagram leaves in IP fragments, so the sizes that arrive are what paths carry. */
  dontFragment: boolean;
  /**
   * True: what strangers send waits in queues of its own, and takes no room of what links bring.
   * Absent from daemons before 0.2.
   */
  strangersApart?: boolean;
  /**
   * Smallest receive buffer of its UDP sockets, and what was asked for. Linux counts twice what it
   * grants.
   */
  receiveBufferBytes: number;
  receiveBufferWanted: number;
  /** Calls that sent several datagrams, and how many these were. */
  batches: number;
  batchedDatagrams: number;
  /** How late timers ran over the last one to two minutes, rounded up to powers of two. */
  timersLateMs: { p50: number; p99: number; max: number };
  /**
   * How many timers were late by less than 2^i microseconds, and no less than half of that, since
   * the start.
   */
  timersLateCounts?: readonly number[];
  memoryBytes: number;
  /**
   * What the system did not send over the last half to whole minute, the most frequent first.
   * Absent from daemons before 0.2.
   */
  unsent?: UnsentRow[];
  /**
   * `namespace`: where `pid` means this process (Linux: the pid namespace); '' where it does
   * everywhere.
   */
  process: { pid: number; namespace: string };
  /** Null: nobody looks after it. */
  log: LogFigures | null;
  /** Absent from daemons before 0.2. */
  audit?: AuditFigures | null;
}

/**
 * `code`: the system's (EHOSTUNREACH ...), "full": it took none for too long, "noSocket": none of
 * that family. `to`: of the last, "ip:port".
 */
export interface UnsentRow {
  code: string;
  datagrams: number;
  to: string;
}

/**
 * Records of operations that changed something; `log`: of their own file, null: they are in the
 * log.
 */
export interface AuditFigures {
  records: number;
  log: LogFigures | null;
}

export interface LogFigures {
  /** "standard error", or the path of a file. */
  target: string;
  /** Lines that could not be written in time, since the start. */
  lost: number;
  waitingBytes: number;
  /**
   * Why lines wait now: an error code, 'EAGAIN' where nobody reads them; null: they are written.
   */
  failing: string | null;
}

export interface StatusReply {
  schema: 1;
  node: string;
  name: string;
  version: string;
  instance: string;
  uptimeMs: number;
  security: 'none' | 'sealed';
  /** Null with security none. */
  identity: IdentityStatus | null;
  /** Null in a simulation. */
  host: HostFigures | null;
  emulation: boolean;
  listen: string[];
  /**
   * `total`: neighbours of the configuration and nodes that dialled, once each. `troubles`: those
   * without a link, the first 64; absent from daemons before 0.2.
   */
  links: { up: number; total: number; troubles?: LinkTrouble[] };
  /**
   * Neighbours whose clock differs from ours by a minute or more, and how many do not; absent from
   * daemons before 0.2, null with security none.
   */
  clocks?: { differ: { peer: string; aheadMs: number }[]; agree: number } | null;
  nodes: { reachable: number; known: number };
  /** Of others through this node; absent from daemons before 0.2. */
  transit?: 'carried' | 'never' | 'draining';
  clients: number;
  sockets: number;
  metric: string;
  /** Null with security none. */
  byzantine: ByzantineFigures | null;
  routing: {
    /**
     * Nodes that were reached by one neighbour and then by another, since the start. Absent from
     * daemons before 0.2.
     */
    routeChanges?: number;
    recomputations: number;
    recomputeMsTotal: number;
    recomputeMsMax: number;
    advertisements: number;
  };
  packets: {
    originated: number;
    forwarded: number;
    delivered: number;
    /**
     * Messages for realtime links that went by best effort: somebody on the way is older. Absent
     * from daemons before 0.2.
     */
    realtimeDowngraded?: number;
    /** Absent from daemons before groups, as what follows. */
    groupCopies?: number;
    groupRescued?: number;
    /** Of routing paths: packets of this node, copies on links, and messages without a way. */
    routed?: number;
    routedCopies?: number;
    pathsDowngraded?: number;
  };
  /** Drop reason -> count, zero counts left out. */
  drops: Record<string, number>;
  twins?: TwinRow[];
  /** Absent from daemons before 0.2. */
  firewall?: FirewallFigures;
  /** What this daemon speaks to its neighbours. */
  wireVersions?: { min: number; max: number };
  /** Names of what this daemon can do together with others. Absent from daemons before 0.2. */
  capabilities?: string[];
  /** Named gauges of bounded things: [now, bound]. */
  bounds: Record<string, [number, number]>;
}

/**
 * Why there is no link, for programs (`code`) and for people: a few words, a sentence, and what to
 * do.
 */
export interface WhyReply {
  code: string;
  short: string;
  text: string;
  next: string;
}

/** A neighbour without a link. */
export interface LinkTrouble extends WhyReply {
  peer: string;
  address: string;
  sinceMs: number;
}

/**
 * What a link does for packets with a deadline, counted since the daemon knows it. Percent of bytes
 * and datagrams where it says so.
 */
export interface RealtimeRow {
  /** Sent, and a second of late; arrived, whichever way. */
  sentPackets: number;
  packetsPerSecond: number;
  receivedPackets: number;
  /** Towards the peer, over some seconds; how often what follows a lost datagram is lost too. */
  lossOutPct: number;
  burstPct: number;
  /** Of ours: asked for by the peer, sent again, refused for want of budget, too late for that. */
  asked: number;
  again: number;
  overBudget: number;
  tooLate: number;
  /** Of the peer's: datagrams that were missing, requests for them, packets that came again. */
  missing: number;
  requests: number;
  /** Requests for what was only overtaken. */
  needless: number;
  recovered: number;
  /** Made from parities. */
  repaired: number;
  probes: number;
  copies: number;
  /** Precious packets that left without a copy: its budget was spent, or the wire was full. */
  uncopied: number;
  parities: number;
  /** Now: 'plain', 'copy' (of what is precious), 'xor 9', or 'bursts': nothing helps here. */
  mode: string;
  /** What was sent beyond the packets, of their bytes. */
  extraPct: number;
}

export interface LinkRow {
  node: string | null;
  name: string | null;
  /** Peer's UDP address. */
  address: string;
  /** standby: another address of a node that has its link by the first. */
  state: 'down' | 'connecting' | 'up' | 'standby';
  /** Milliseconds in this state. */
  sinceMs: number;
  dialled: boolean;
  rttMs: number | null;
  /** Estimated loss, percent, away from us and towards us; null while it is not up. */
  lossOutPct: number | null;
  lossInPct: number | null;
  cost: number | null;
  /**
   * Bits a second with IP and UDP headers, over the last five seconds or so; null while it is not
   * up. Absent from daemons before 0.2.
   */
  rate?: { sentBps: number; receivedBps: number } | null;
  /**
   * It died again and again of late, and routes use it where there is nothing else. Absent from
   * daemons before 0.2.
   */
  damped?: boolean;
  /** Bytes with IP and UDP headers. */
  sent: { datagrams: number; bytes: number };
  received: { datagrams: number; bytes: number };
  retransmitted: number;
  /** Refused by full queues here, or lost on the emulated wire. */
  dropped: number;
  queueBytes: number;
  /** Of what is sent over the reliable link: controller, window, bytes under way. */
  congestion: string | null;
  windowBytes: number | null;
  inFlightBytes: number | null;
  /**
   * Of a link that is up: the longest datagram (UDP payload) that is known to pass, the IP packet
   * that it makes, and whether longer ones are being tried.
   */
  size: { datagramBytes: number; packetBytes: number; searching: boolean } | null;
  /**
   * Of a sealed link that is up: the peer's certificate, how old the keys are, and how often they
   * were replaced.
   */
  seal: { serial: string; notAfterS: number; keyAgeMs: number; rekeys: number } | null;
  emulated: LinkSettings | null;
  /** Absent from daemons before 0.2; null where no such packet ever passed. */
  realtime?: RealtimeRow | null;
  /** Version of the wire that both ends speak; null while the link is not up. */
  wireVersion?: number | null;
  /** Times it went down in the last hour. Absent from daemons before 0.2. */
  flaps?: number;
  /** What ended it the last time; '' where nothing did. Absent from daemons before 0.2. */
  ended?: string;
  /**
   * Why it is not up; null when it is, or when it is the peer's to dial. Absent from daemons before
   * 0.2.
   */
  why?: WhyReply | null;
  /**
   * By how much the peer's clock is ahead of ours, milliseconds, good to a second or two; null: not
   * known. Absent from daemons before 0.2.
   */
  clockAheadMs?: number | null;
}
/** One identity on two machines, as seen from here. */
export interface TwinRow {
  node: string;
  name: string | null;
  /**
   * True: it is this daemon's own, by what neighbours, or advertisements in its name, say of it.
   */
  self: boolean;
  /**
   * Of its own: which of the two this daemon is. Absent from daemons before 0.2, which knew only of
   * being refused.
   */
  here?: 'kept' | 'refused';
  /**
   * UDP address of the daemon that is kept, which has run longer; null where it is this one, or
   * where nobody says.
   */
  kept: string | null;
  /** Of the one that is refused, likewise. */
  refused: string | null;
  /** Milliseconds since it was found out. */
  sinceMs: number;
}
export interface LinksReply {
  schema: 1;
  links: LinkRow[];
  twins?: TwinRow[];
}

export interface RouteRow {
  node: string;
  name: string | null;
  reachable: boolean;
  nextHop: string | null;
  nextHopName: string | null;
  /** In the unit of `metric`: hops, or of latencies 10 microseconds. */
  cost: number | null;
  hops: number | null;
  /**
   * The node before this one on the way, by which all ways can be followed; null: there is none.
   * This and the next two are absent from daemons before 0.2.
   */
  before?: string | null;
  /** The cost in milliseconds, where the metric is one of time. */
  costMs?: number | null;
  /** Since its next hop, the node before it, or whether it is reached, was another. */
  changedMs?: number;
}
export interface RoutesReply {
  schema: 1;
  metric: string;
  routes: RouteRow[];
}

/** A node of a path, by dotted quad and name. */
export interface PathNode {
  node: string;
  name: string | null;
}

/**
 * What one interval of a path has lost lately. `probe`: its far end answers for it; false of the
 * destination, which always does.
 */
export interface ByzantineInterval {
  from: string;
  to: string;
  links: number;
  /** Among the last `outcomes` packets, of at most `window`. */
  losses: number;
  outcomes: number;
  window: number;
  /** Good packets until its probes may go. */
  debt: number;
  probe: boolean;
}

export interface ByzantinePath {
  /** From the daemon's node to the destination. */
  nodes: PathNode[];
  /** Sum of the weights of its links; the number of links while none is listed. */
  weight: number;
  /** Packets whose fate is not known yet. */
  open: number;
  searching: boolean;
  searchLosses: number;
  delivered: number;
  lost: number;
  /** Good, but later than the interval may take. */
  softLosses: number;
  faults: number;
  intervals: ByzantineInterval[];
}

/** What this daemon sends to one destination by one link service. */
export interface ByzantineFlowRow {
  node: string;
  name: string | null;
  link: LinkServiceName;
  /** Packets that wait for a path. */
  waiting: number;
  faults: number;
  convictions: number;
  /** Null while there is none. */
  main: ByzantinePath | null;
  /** In use while a search runs on the main one. */
  second: ByzantinePath | null;
  /** Paths that discovery knows. */
  paths: number;
}

export interface ByzantineWeightRow {
  u: PathNode;
  v: PathNode;
  weight: number;
  /** Rounds of deliveries until it weighs 1. */
  remaining: number;
  convictions: number;
  reason: 'loss' | 'route-error';
  /** Since the newest conviction. */
  agoMs: number;
}

export interface ByzantineConviction {
  agoMs: number;
  destination: PathNode;
  u: PathNode;
  v: PathNode;
  losses: number;
}

/** Counters of a daemon's Byzantine-resilient router since its start. */
export interface ByzantineFigures {
  flows: number;
  faults: number;
  convictions: number;
  /** Links heavier than 1 now. */
  convictedLinks: number;
  /** Requests of this node, attempts included, and answers to others. */
  discoveries: number;
  answered: number;
  requestsForwarded: number;
  responsesForwarded: number;
  /**
   * Signatures found good, found wrong, and known from before; messages refused for want of budget.
   */
  verified: number;
  refused: number;
  remembered: number;
  overBudget: number;
  /** Probed packets passed on without and with a layer of ours, and taken as destination. */
  forwarded: number;
  probed: number;
  delivered: number;
}

export interface ByzantineRoutesReply {
  schema: 1;
  mode: string;
  flows: ByzantineFlowRow[];
  weights: ByzantineWeightRow[];
  /** The last 64, oldest first. */
  convictions: ByzantineConviction[];
  figures: ByzantineFigures;
}

/**
 * `rttMs`: from here to that node and back, by the newest acknowledgement; null of a node that was
 * no probe then.
 */
export interface ByzantineTraceHop extends PathNode {
  hop: number;
  rttMs: number | null;
}
export interface ByzantineTraceReply {
  schema: 1;
  node: string;
  /** Null: no flow of this daemon goes there, and the path is what discovery found. */
  link: LinkServiceName | null;
  /** Behind the daemon's own node, the destination last. */
  hops: ByzantineTraceHop[];
}

/** How far a daemon is that an operator drains. */
export interface DrainReply {
  schema: 1;
  /** 'drained': nothing of others has passed for a second, and nothing waits here for anybody. */
  state: 'serving' | 'draining' | 'drained';
  /** For so long nothing of others was passed on, as far as was looked. */
  quietMs: number;
  queuedBytes: number;
  /** Packets over links with recovery that neighbours may not have yet. */
  unacknowledged: number;
  waitingForRoute: number;
  /** The first 64 of those that reach most others through this node alone. */
  cutOff: { node: string; name: string | null }[];
}

export interface NodeLinkRow {
  node: string;
  name: string | null;
  latencyMs: number;
  lossPct: number;
  confirmed: boolean;
}
export interface NodeRow {
  node: string;
  name: string | null;
  reachable: boolean;
  self: boolean;
  sequence: number;
  ageMs: number;
  links: NodeLinkRow[];
  why?: WhyReply | null;
  /**
   * What it says of itself: release, wire versions, names of capabilities, its run; null: nothing.
   * Absent from daemons before 0.2.
   */
  facts?: NodeFactsReply | null;
  /** In its certificate. Absent from daemons before 0.2. */
  groups?: string[];
  /** Of a neighbour: by how much its clock is ahead of ours, milliseconds. As in LinkRow. */
  clockAheadMs?: number | null;
  /** It carries packets of others. Absent from daemons before 0.2. */
  transit?: boolean;
}
export interface NodeFactsReply {
  version: string;
  wireVersions: { min: number; max: number };
  capabilities: string[];
  instance: string;
}
export interface NodesReply {
  schema: 1;
  nodes: NodeRow[];
  twins?: TwinRow[];
}

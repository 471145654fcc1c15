/**
 * The protocol between a client program and its daemon: frame layout, limits, message shapes.
 *
 * Shared by both sides: the daemon imports it, and it imports nothing of the daemon. A frame is a
 * 32-bit big-endian length (of all that follows), a type byte and a body. Control bodies are msgpack
 * maps; bodies on the data path have a fixed binary head. The client speaks first (HELLO); every REQUEST
 * is answered by one REPLY with the same id. Over TCP on the daemon's machine HELLO carries a token; with `asksOnly: true` the
 * client opens no sockets, and finds a place when others do not. From other
 * machines the same bytes travel in sealed records, after a handshake with certificates (sealed-records.ts).
 */

import { Packr, Unpackr } from 'msgpackr';

export * from './sealed-records.ts';

export const PROTOCOL_VERSION = 1;

/** A HELLO frame is no longer. */
export const HELLO_BYTES_MAX = 1_024;

/** Bytes before a frame's body: length u32 and type u8. */
export const FRAME_HEAD_BYTES = 5;
/** Largest datagram an application may send. */
export const MESSAGE_BYTES_MAX = 65_536;
/** Largest value of a frame's length field; a longer frame ends the connection. */
export const FRAME_LENGTH_MAX = 262_144;

export const FRAME_HELLO = 0x01;
export const FRAME_WELCOME = 0x02;
export const FRAME_REQUEST = 0x03;
export const FRAME_REPLY = 0x04;
export const FRAME_EVENT = 0x05;
/** client -> daemon: socket u32, destination node u32, destination port u16, reserved u16 = 0, payload. */
export const FRAME_SEND = 0x10;
/** daemon -> client: socket u32, source node u32, source port u16, reserved u16 = 0, payload. */
export const FRAME_RECV = 0x11;
/** daemon -> client: socket u32. Nothing more should be sent on it until WRITABLE; what is sent may be dropped. */
export const FRAME_BLOCKED = 0x12;
/** daemon -> client: socket u32. */
export const FRAME_WRITABLE = 0x13;

/** Both ways: socket u32, payload of at most STREAM_DATA_BYTES_MAX; never more payload than credit allows. */
export const FRAME_STREAM_DATA = 0x20;
/** Both ways: socket u32, bytes u32: the sender of this frame takes that many payload bytes more. */
export const FRAME_STREAM_CREDIT = 0x21;
/** Both ways: socket u32. No more data from this side (half-close). */
export const FRAME_STREAM_END = 0x22;
/** client -> daemon: socket u32. The stream ends at once, the far end sees a reset; the number is free. */
export const FRAME_STREAM_RESET = 0x23;

/** Payload bytes that either side may send on a new stream before it has got any credit. */
export const STREAM_CREDIT_INITIAL = 262_144;
export const STREAM_DATA_BYTES_MAX = 65_536;
/** Bytes of the fixed head of STREAM_DATA bodies. */
export const STREAM_HEAD_BYTES = 4;
/** Socket numbers from here on are chosen by the daemon (accepted streams). */
export const ACCEPTED_SOCKET_FIRST = 0x8000_0000;

/** Milliseconds of a stream's keepalive (0 as well: it never asks) and silence limit. */
export const KEEPALIVE_MS_MIN = 500;
export const SILENCE_MS_MIN = 1_000;
export const LIVENESS_MS_MAX = 86_400_000;

/** Bytes of the fixed head of SEND and RECV bodies. */
export const DATAGRAM_HEAD_BYTES = 12;

export type LinkServiceName = 'best-effort' | 'reliable' | 'realtime';
export type RoutingName = 'link-state' | 'byzantine';
export type SessionKind = 'datagram' | 'stream';

export interface HelloBody {
  version: number;
  /** Free text for the daemon's log, e.g. "spines cat". */
  client: string;
  /**
   * Over TCP on the daemon's machine: the contents of the daemon's token file, 64 hexadecimal digits. Wrong or missing: the
   * daemon answers with a `closing` EVENT of code EACCES instead of WELCOME, and closes. Not looked at elsewhere.
   */
  token?: string;
}

export interface WelcomeBody {
  version: number;
  /** Dotted quad. */
  node: string;
  name: string;
  /** Changes with every start of the daemon, so that a client can tell a restart from a hiccup. */
  instance: string;
  messageBytesMax: number;
  socketsMax: number;
}

/**
 * Requests: `{id, op, ...}`. `socket` is chosen by the client, 1..2^31-1, unused on this connection; it is free
 * again once `close` is answered. `close` ends a stream in an orderly way; a connection that ends takes its streams along, and
 * the far ends of those that were not ended see a reset. Requests and SENDs of one connection are handled in their order. A daemon of
 * another protocol version answers HELLO with a WELCOME of its own version and closes. Remote clients may ask what reads
 * (status, links, routes, byzantineRoutes, nodes, sessions, ping, trace, byzantineTrace, and everything about sockets); the rest answers EACCES.
 *
 * op          arguments                                              reply
 * socket      socket, kind, link, routing, ttl?, priority?, keepaliveMs?, silenceMs?
 *             (the last two of streams, and of those that a listener accepts)   {link?} ('best-effort': asked for realtime, which this daemon does not have)
 * bind        socket, port (0 = any)                                 {node, port}
 * close       socket                                                 {}
 * setOption   socket, option, value                                  {}
 *             option: of datagrams 'ttl' 1..255, 'priority' 1..10; of streams and listeners 'keepaliveMs' 0 | 500..86400000,
 *             'silenceMs' 1000..86400000, both null: the daemon's
 * getOption   socket, option                                         {value}
 * connect     socket, node (name or quad), port, timeoutMs?          {node, port, remoteNode, remotePort} once established
 * listen      socket, port (0 = any), backlog?                       {node, port}
 * sessions    -                                                      SessionsReply
 * resolve     name (node name or dotted quad)                        {node, name}
 * status      -                                                      StatusReply
 * links       -                                                      LinksReply
 * routes      -                                                      RoutesReply
 * byzantineRoutes  -                                                 ByzantineRoutesReply
 * nodes       -                                                      NodesReply
 * ping        node (name or quad), timeoutMs, bytes?, link?          {node, rttMs, hops}
 * trace       node, timeoutMs, probes?                               TraceReply
 * byzantineTrace   node, timeoutMs                                   ByzantineTraceReply
 * misbehave   what: MisbehaviourName (laboratories only)             {what}
 * linkSet     peer (name or quad), settings: LinkSettings            {settings}
 * reload      -                                                      ReloadReply
 * shutdown    -                                                      {}
 */
export interface RequestBody {
  id: number;
  op: string;
  [argument: string]: unknown;
}

export type ReplyBody =
  | { id: number; ok: true; [result: string]: unknown }
  | { id: number; ok: false; code: string; message: string };

/**
 * `closing`: the connection ends, because this client broke the protocol (EPROTO) or may not, or no longer, use this daemon (EACCES; may come instead of WELCOME).
 * `sendError`: a datagram of `socket` was refused; at most a few a second are reported, `count` says how many.
 */
export type EventBody =
  | { event: 'sendError'; socket: number; code: string; message: string; count: number }
  | { event: 'recvDropped'; socket: number; count: number }
  | { event: 'draining' }
  | { event: 'closing'; code: string; message: string }
  /** A stream reached `listener`: it is `socket` from now on. `node` is a dotted quad. */
  | { event: 'accepted'; listener: number; socket: number; node: string; port: number }
  /** The stream is over, both ways; its number is free. `code` is absent after an orderly end. */
  | { event: 'streamClosed'; socket: number; code?: string; message?: string };

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
}

export interface ReloadReply { schema: 1; changes: string[] }

/** A daemon's process and sockets. */
export interface HostFigures {
  /** True: the system takes and gives many datagrams in one call. */
  offload: boolean;
  /** True: no datagram leaves in IP fragments, so the sizes that arrive are what paths carry. */
  dontFragment: boolean;
  /** Smallest receive buffer of its UDP sockets, and what was asked for. Linux counts twice what it grants. */
  receiveBufferBytes: number;
  receiveBufferWanted: number;
  /** Calls that sent several datagrams, and how many these were. */
  batches: number;
  batchedDatagrams: number;
  /** How late timers ran over the last one to two minutes, rounded up to powers of two. */
  timersLateMs: { p50: number; p99: number; max: number };
  /** How many timers were late by less than 2^i microseconds, and no less than half of that, since the start. */
  timersLateCounts?: readonly number[];
  memoryBytes: number;
  /** `namespace`: where `pid` means this process (Linux: the pid namespace); '' where it does everywhere. */
  process: { pid: number; namespace: string };
  /** Null: nobody looks after it. */
  log: LogFigures | null;
}

export interface LogFigures {
  /** "standard error", or the path of a file. */
  target: string;
  /** Lines that could not be written in time, since the start. */
  lost: number;
  waitingBytes: number;
  /** Why lines wait now: an error code, 'EAGAIN' where nobody reads them; null: they are written. */
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
  /** `total`: neighbours of the configuration and nodes that dialled, once each. `troubles`: those without a link, the first 64; absent from daemons before 0.2. */
  links: { up: number; total: number; troubles?: LinkTrouble[] };
  /** Neighbours whose clock differs from ours by a minute or more, and how many do not; absent from daemons before 0.2, null with security none. */
  clocks?: { differ: { peer: string; aheadMs: number }[]; agree: number } | null;
  nodes: { reachable: number; known: number };
  clients: number;
  sockets: number;
  metric: string;
  /** Null with security none. */
  byzantine: ByzantineFigures | null;
  routing: {
    /** Nodes that were reached by one neighbour and then by another, since the start. Absent from daemons before 0.2. */
    routeChanges?: number;
    recomputations: number; recomputeMsTotal: number; recomputeMsMax: number; advertisements: number };
  packets: { originated: number; forwarded: number; delivered: number };
  /** Drop reason -> count, zero counts left out. */
  drops: Record<string, number>;
  twins?: TwinRow[];
  /** What this daemon speaks to its neighbours. */
  wireVersions?: { min: number; max: number };
  /** Names of what this daemon can do together with others. Absent from daemons before 0.2. */
  capabilities?: string[];
  /** Named gauges of bounded things: [now, bound]. */
  bounds: Record<string, [number, number]>;
}

/** Why there is no link, for programs (`code`) and for people: a few words, a sentence, and what to do. */
export interface WhyReply { code: string; short: string; text: string; next: string }

/** A neighbour without a link. */
export interface LinkTrouble extends WhyReply { peer: string; address: string; sinceMs: number }

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
  /** Estimated loss, percent, away from us and towards us. */
  lossOutPct: number;
  lossInPct: number;
  cost: number | null;
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
  /** Of a link that is up: the longest datagram (UDP payload) that is known to pass, the IP packet that it makes, and whether longer ones are being tried. */
  size: { datagramBytes: number; packetBytes: number; searching: boolean } | null;
  /** Of a sealed link that is up: the peer's certificate, how old the keys are, and how often they were replaced. */
  seal: { serial: string; notAfterS: number; keyAgeMs: number; rekeys: number } | null;
  emulated: LinkSettings | null;
  /** Version of the wire that both ends speak; null while the link is not up. */
  wireVersion?: number | null;
  /** Times it went down in the last hour. Absent from daemons before 0.2. */
  flaps?: number;
  /** Why it is not up; null when it is, or when it is the peer's to dial. Absent from daemons before 0.2. */
  why?: WhyReply | null;
  /** By how much the peer's clock is ahead of ours, milliseconds, good to a second or two; null: not known. Absent from daemons before 0.2. */
  clockAheadMs?: number | null;
}
/** One identity on two machines, as seen from here. */
export interface TwinRow {
  node: string;
  name: string | null;
  /** True: it is this daemon's own, by what a neighbour says of it. */
  self: boolean;
  /** UDP address of the daemon whose link is kept; null where the neighbour does not say. */
  kept: string | null;
  /** Of the one that is refused; null: this daemon. */
  refused: string | null;
  /** Milliseconds since it was found out. */
  sinceMs: number;
}
export interface LinksReply { schema: 1; links: LinkRow[]; twins?: TwinRow[] }

export interface RouteRow { node: string; name: string | null; reachable: boolean; nextHop: string | null; nextHopName: string | null; cost: number | null; hops: number | null }
export interface RoutesReply { schema: 1; metric: string; routes: RouteRow[] }

/** A node of a path, by dotted quad and name. */
export interface PathNode { node: string; name: string | null }

/** What one interval of a path has lost lately. `probe`: its far end answers for it; false of the destination, which always does. */
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

export interface ByzantineConviction { agoMs: number; destination: PathNode; u: PathNode; v: PathNode; losses: number }

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
  /** Signatures found good, found wrong, and known from before; messages refused for want of budget. */
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

/** `rttMs`: from here to that node and back, by the newest acknowledgement; null of a node that was no probe then. */
export interface ByzantineTraceHop extends PathNode { hop: number; rttMs: number | null }
export interface ByzantineTraceReply {
  schema: 1;
  node: string;
  /** Null: no flow of this daemon goes there, and the path is what discovery found. */
  link: LinkServiceName | null;
  /** Behind the daemon's own node, the destination last. */
  hops: ByzantineTraceHop[];
}

/** What may follow the name of a misbehaviour, behind a colon: a part of one, a time in milliseconds, a number of bytes, packets, or of something a second. */
export type MisbehaviourAmount = 'part' | 'ms' | 'bytes' | 'packets' | 'perSecond';

/** What a daemon in a laboratory may be made to do with what it should pass on. `null`: nothing follows the name. */
export const MISBEHAVIOURS = {
  'none': null,
  'black-hole': null,
  'drop-data': null,
  'drop-acks': null,
  'drop-routes': null,
  'grey-hole': 'part',
  'selective': 'bytes',
  'dynamic': null,
  'corrupt-onion': null,
  'delay': 'ms',
} as const satisfies Readonly<Record<string, MisbehaviourAmount | null>>;

/** What only a simulation can do: nodes that conspire, tunnels between them, bytes that no daemon makes. */
export const SIMULATED_MISBEHAVIOURS = {
  'rush': null,
  'wormhole': null,
  'super-wormhole': null,
  'hop-deletion': null,
  'forge-path': null,
  'bad-key': null,
  'staircase': null,
  'corrupt-data': null,
  'corrupt-acks': null,
  'fake-ack': null,
  'replay-ack': null,
  'replay-data': null,
  'reorder': 'ms',
  'slack-burning': null,
  'lie-hold': 'ms',
  'signature-flood': 'perSecond',
  'request-storm': 'perSecond',
  'hostile-weights': null,
  'congestion': 'perSecond',
  'source-flood': 'perSecond',
  'probe-exhaustion': 'perSecond',
  'good-bad-cycle': 'packets',
  'greedy': null,
  'anything': null,
} as const satisfies Readonly<Record<string, MisbehaviourAmount | null>>;

type Named = typeof MISBEHAVIOURS & typeof SIMULATED_MISBEHAVIOURS;
type Amounted = { [Name in keyof Named]: Named[Name] extends null ? never : Name }[keyof Named];

/** As it is written: a name, or a name and an amount, "grey-hole:0.3", "delay:50ms". */
export type MisbehaviourName = keyof Named | `${Amounted}:${string}`;

export interface MisbehaviourOrder {
  readonly name: keyof Named;
  /** In the unit of its name; null = not said. */
  readonly amount: number | null;
}

/** What `text` orders, null when it is none of the names, or its amount is none. */
export function parseMisbehaviour(text: string): MisbehaviourOrder | null {
  const colon = text.indexOf(':');
  const name = colon < 0 ? text : text.slice(0, colon);
  const known: Readonly<Record<string, MisbehaviourAmount | null>> = { ...MISBEHAVIOURS, ...SIMULATED_MISBEHAVIOURS };
  if (!Object.hasOwn(known, name)) return null;
  if (colon < 0) return { name: name as keyof Named, amount: null };
  const unit = known[name];
  const match = /^(\d{1,9}(?:\.\d{1,6})?)(ms)?$/.exec(text.slice(colon + 1));
  if (match === null || unit === null || unit === undefined || (match[2] === 'ms') !== (unit === 'ms')) return null;
  const amount = Number(match[1]);
  return unit === 'part' && amount > 1 ? null : { name: name as keyof Named, amount };
}

export interface NodeLinkRow { node: string; name: string | null; latencyMs: number; lossPct: number; confirmed: boolean }
export interface NodeRow {
  node: string;
  name: string | null;
  reachable: boolean;
  self: boolean;
  sequence: number;
  ageMs: number;
  links: NodeLinkRow[];
  why?: WhyReply | null;
  /** What it says of itself: release, wire versions, names of capabilities, its run; null: nothing. Absent from daemons before 0.2. */
  facts?: NodeFactsReply | null;
}
export interface NodeFactsReply { version: string; wireVersions: { min: number; max: number }; capabilities: string[]; instance: string }
export interface NodesReply { schema: 1; nodes: NodeRow[]; twins?: TwinRow[] }

export interface TraceHop { hop: number; node: string | null; name: string | null; rttMs: number | null; sent: number; received: number }
export interface TraceReply { schema: 1; node: string; reached: boolean; hops: TraceHop[] }

export interface SessionRow {
  kind: 'datagram' | 'stream' | 'listener';
  /** The name in a remote client's certificate; null for programs on the daemon's machine. */
  certificate: string | null;
  /** Stream state, e.g. 'established'; '' for the others. */
  state: string;
  client: string;
  port: number;
  remoteNode: string | null;
  remoteName: string | null;
  remotePort: number | null;
  link: LinkServiceName;
  routing: RoutingName;
  sent: number;
  received: number;
  /** Streams only. */
  rttMs: number | null;
  windowBytes: number | null;
  inFlightBytes: number | null;
  queuedBytes: number | null;
  resentBytes: number | null;
  ecnMarks: number | null;
  /** What keeps the stream from sending more now. */
  limitedBy: 'application' | 'congestion window' | 'receiver window' | 'pacing' | 'link queue' | null;
}
export interface SessionsReply { schema: 1; sessions: SessionRow[] }

/* ------------------------------------------------------------------ codec */

const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false, int64AsType: 'number', copyBuffers: true });

/** A whole frame with a msgpack body. */
export function encodeControl(type: number, body: object): Uint8Array {
  const packed = packr.pack(body);
  const frame = new Uint8Array(FRAME_HEAD_BYTES + packed.length);
  putHead(frame, 0, type, packed.length);
  frame.set(packed, FRAME_HEAD_BYTES);
  return frame;
}

/** The map in `body`, or null when it is not msgpack or not a plain map with string keys. */
export function decodeControl(body: Uint8Array): Record<string, unknown> | null {
  let value: unknown;
  try {
    value = unpackr.unpack(body);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  if (Object.getPrototypeOf(value) !== Object.prototype) return null;
  return value as Record<string, unknown>;
}

/** Writes length and type of a frame whose body has `bodyBytes`. */
export function putHead(out: Uint8Array, at: number, type: number, bodyBytes: number): void {
  const length = bodyBytes + 1;
  out[at] = length >>> 24;
  out[at + 1] = length >>> 16;
  out[at + 2] = length >>> 8;
  out[at + 3] = length;
  out[at + 4] = type;
}

/** A whole SEND (or RECV) frame. `node`: the far node, u32. */
export function encodeDatagram(type: number, socket: number, node: number, port: number, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(FRAME_HEAD_BYTES + DATAGRAM_HEAD_BYTES + payload.length);
  encodeDatagramHead(frame, 0, type, socket, node, port, payload.length);
  frame.set(payload, FRAME_HEAD_BYTES + DATAGRAM_HEAD_BYTES);
  return frame;
}

/** Writes the frame head and the fixed head of a SEND or RECV; returns where the payload goes. */
export function encodeDatagramHead(
  out: Uint8Array, at: number, type: number, socket: number, node: number, port: number, payloadBytes: number,
): number {
  putHead(out, at, type, DATAGRAM_HEAD_BYTES + payloadBytes);
  const view = at + FRAME_HEAD_BYTES;
  putWord(out, view, socket);
  putWord(out, view + 4, node);
  out[view + 8] = port >>> 8;
  out[view + 9] = port;
  out[view + 10] = 0;
  out[view + 11] = 0;
  return view + DATAGRAM_HEAD_BYTES;
}

/** A whole CREDIT frame. */
export function encodeCredit(socket: number, bytes: number): Uint8Array {
  const frame = new Uint8Array(FRAME_HEAD_BYTES + 8);
  putHead(frame, 0, FRAME_STREAM_CREDIT, 8);
  putWord(frame, FRAME_HEAD_BYTES, socket);
  putWord(frame, FRAME_HEAD_BYTES + 4, bytes);
  return frame;
}

/** Writes the frame head and the socket number of a STREAM_DATA; returns where the payload goes. */
export function encodeStreamHead(out: Uint8Array, at: number, socket: number, payloadBytes: number): number {
  putHead(out, at, FRAME_STREAM_DATA, STREAM_HEAD_BYTES + payloadBytes);
  putWord(out, at + FRAME_HEAD_BYTES, socket);
  return at + FRAME_HEAD_BYTES + STREAM_HEAD_BYTES;
}

/** A whole frame whose body is one socket number (BLOCKED, WRITABLE, STREAM_END, STREAM_RESET). */
export function encodeSocketFrame(type: number, socket: number): Uint8Array {
  const frame = new Uint8Array(FRAME_HEAD_BYTES + 4);
  putHead(frame, 0, type, 4);
  putWord(frame, FRAME_HEAD_BYTES, socket);
  return frame;
}

export function getWord(b: Uint8Array, at: number): number {
  return ((b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!) >>> 0;
}

function putWord(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 24;
  b[at + 1] = value >>> 16;
  b[at + 2] = value >>> 8;
  b[at + 3] = value;
}

/* ------------------------------------------------------------------ reading a byte stream */

export interface FrameSink {
  /** `bytes[start..end)` is the body; valid during the call only. */
  onFrame(type: number, bytes: Uint8Array, start: number, end: number): void;
}

/**
 * Cuts a byte stream into frames. Holds at most one incomplete frame. `push` returns false, from then
 * on always, once a length is out of bounds: the connection is then beyond repair.
 */
export class FrameReader {
  readonly #sink: FrameSink;
  #partial: Uint8Array = new Uint8Array(0);
  #partialLength = 0;
  #broken = false;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** Bytes of the incomplete frame held back. */
  get pendingBytes(): number {
    return this.#partialLength;
  }

  push(chunk: Uint8Array): boolean {
    let at = 0;
    while (at < chunk.length && !this.#broken) {
      if (this.#partialLength > 0) at = this.#fill(chunk, at);
      else {
        if (chunk.length - at < 4) return this.#keep(chunk, at);
        const end = at + 4 + getWord(chunk, at);
        if (!this.#lengthOk(getWord(chunk, at))) return false;
        if (end > chunk.length) return this.#keep(chunk, at);
        this.#sink.onFrame(chunk[at + 4]!, chunk, at + FRAME_HEAD_BYTES, end);
        at = end;
      }
    }
    return !this.#broken;
  }

  #lengthOk(length: number): boolean {
    if (length < 1 || length > FRAME_LENGTH_MAX) this.#broken = true;
    return !this.#broken;
  }

  #keep(chunk: Uint8Array, at: number): boolean {
    this.#append(chunk, at, chunk.length);
    return true;
  }

  /** Completes the held frame from `chunk`; returns where the next frame starts. */
  #fill(chunk: Uint8Array, start: number): number {
    let at = start;
    if (this.#partialLength < 4) {
      const take = Math.min(4 - this.#partialLength, chunk.length - at);
      this.#append(chunk, at, at + take);
      at += take;
      if (this.#partialLength < 4) return at;
    }
    const length = getWord(this.#partial, 0);
    if (!this.#lengthOk(length)) return chunk.length;
    const take = Math.min(4 + length - this.#partialLength, chunk.length - at);
    this.#append(chunk, at, at + take);
    at += take;
    if (this.#partialLength === 4 + length) {
      const frame = this.#partial;
      this.#partialLength = 0;
      if (frame.length > 65_536 + 64) this.#partial = new Uint8Array(0);
      this.#sink.onFrame(frame[4]!, frame, FRAME_HEAD_BYTES, 4 + length);
    }
    return at;
  }

  #append(chunk: Uint8Array, start: number, end: number): void {
    const needed = this.#partialLength + end - start;
    if (needed > this.#partial.length) {
      const grown = new Uint8Array(Math.max(needed, 2 * this.#partial.length, 256));
      grown.set(this.#partial.subarray(0, this.#partialLength));
      this.#partial = grown;
    }
    this.#partial.set(chunk.subarray(start, end), this.#partialLength);
    this.#partialLength = needed;
  }
}

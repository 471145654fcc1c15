/**
 * The head of a packet that carries the graph of its ways: a stamp, what the packet is inside, and
 * which node sends it on to which. WIRE.md section 17.
 *
 * Nodes stand in an order in which every edge leads to a later one, the source first and the
 * destination last: no graph that decodes has a circle, or an edge into its source or out of its
 * destination. Nobody vouches for a graph; its reader acts on the edges that begin or end at itself
 * only. Instead of a graph there may be a time, within which the packet is to go everywhere.
 */

import { getU16, getU32, putU16, putU32 } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import { DropReason } from './drop.ts';
import { KIND_DATAGRAM, KIND_FRAGMENT } from './packet.ts';
import { FRAGMENT_HEAD_BYTES } from './fragment.ts';
import { SEAL_BYTES } from './sealed-packet.ts';
import { OVERLAY_HEADER_BYTES, PACKET_BYTES_MAX, PAYLOAD_BYTES_MAX } from './sizes.ts';

const RUN = 0,
  NUMBER = 4,
  KIND = 8,
  FORM = 9,
  NODES = 10,
  EDGES = 11;
export const ROUTED_HEAD_BYTES = 12;
export const ROUTED_LAYOUT = {
  run: [RUN, 4],
  number: [NUMBER, 4],
  kind: [KIND, 1],
  form: [FORM, 1],
  nodes: [NODES, 1],
  edges: [EDGES, 1],
} as const;

/** Everywhere within a time, milliseconds, that stands in the place of the two counts; 0: ever. */
export const FORM_FLOOD = 1;
/** The body is a graph. */
export const FORM_GRAPH = 2;
/** Hops of what goes everywhere, as its source says: 32 at most. */
export const FLOOD_HOPS = 32;
export const GRAPH_NODES_MAX = 32;
export const GRAPH_EDGES_MAX = 64;
const NODE_BYTES = 4,
  EDGE_BYTES = 2;

/** Nodes and edges, as places of nodes, both in the order of the wire. */
export interface Graph {
  readonly nodes: readonly NodeId[];
  readonly edges: readonly (readonly [number, number])[];
}

/** Bytes of the head with a graph of so many. */
export function routedHeadBytes(nodes: number, edges: number): number {
  return ROUTED_HEAD_BYTES + nodes * NODE_BYTES + edges * EDGE_BYTES;
}

/** No head is longer. */
export const ROUTED_HEAD_BYTES_MAX = routedHeadBytes(GRAPH_NODES_MAX, GRAPH_EDGES_MAX);

/** Message bytes in every fragment but the last: there is room for a seal, and for any graph. */
export const ROUTED_SHARE_BYTES =
  PAYLOAD_BYTES_MAX - SEAL_BYTES - ROUTED_HEAD_BYTES_MAX - FRAGMENT_HEAD_BYTES;

/** Writes kind, form and graph at `at`; the stamp is putRoutedStamp's. Returns what follows. */
export function encodeRoutedHead(kind: number, graph: Graph, b: Uint8Array, at: number): number {
  b[at + KIND] = kind;
  b[at + FORM] = FORM_GRAPH;
  b[at + NODES] = graph.nodes.length;
  b[at + EDGES] = graph.edges.length;
  let next = at + ROUTED_HEAD_BYTES;
  for (const node of graph.nodes) {
    putU32(b, next, node);
    next += NODE_BYTES;
  }
  for (const [from, to] of graph.edges) {
    b[next] = from;
    b[next + 1] = to;
    next += EDGE_BYTES;
  }
  return next;
}

/** Likewise, for a packet that goes everywhere within so many milliseconds; 0: for ever. */
export function encodeFloodHead(kind: number, ms: number, b: Uint8Array, at: number): number {
  b[at + KIND] = kind;
  b[at + FORM] = FORM_FLOOD;
  putU16(b, at + NODES, ms);
  return at + ROUTED_HEAD_BYTES;
}

export function putRoutedStamp(b: Uint8Array, at: number, run: number, number: number): void {
  putU32(b, at + RUN, run);
  putU32(b, at + NUMBER, number);
}

/** One head at a time, as one of the nodes on the graph reads it. `@hot` */
export class RoutedHead {
  kind = 0;
  /** It goes everywhere, within `withinMs`, 0: for ever; there is no graph. */
  isFlood = false;
  withinMs = 0;
  /** Where the inner payload begins. */
  payloadStart = 0;
  #bytes: Uint8Array = new Uint8Array(0);
  #nodesAt = 0;
  #edgesAt = 0;
  #nodes = 0;

  /** The head of a packet from `source` to `destination`, `b[start..end)` without its header. */
  decode(
    b: Uint8Array,
    start: number,
    end: number,
    source: NodeId,
    destination: NodeId,
  ): DropReason {
    if (end - start < ROUTED_HEAD_BYTES) return DropReason.routedMalformed;
    const kind = b[start + KIND]!,
      isFlood = b[start + FORM] === FORM_FLOOD,
      nodes = isFlood ? 0 : b[start + NODES]!,
      edges = isFlood ? 0 : b[start + EDGES]!;
    const nodesAt = start + ROUTED_HEAD_BYTES,
      edgesAt = nodesAt + nodes * NODE_BYTES,
      payloadStart = edgesAt + edges * EDGE_BYTES;
    if (
      (kind !== KIND_DATAGRAM && kind !== KIND_FRAGMENT) ||
      payloadStart > end ||
      end - payloadStart > PACKET_BYTES_MAX - OVERLAY_HEADER_BYTES - ROUTED_HEAD_BYTES
    )
      return DropReason.routedMalformed;
    this.kind = kind;
    this.isFlood = isFlood;
    this.payloadStart = payloadStart;
    this.#bytes = b;
    this.#nodesAt = nodesAt;
    this.#edgesAt = edgesAt;
    this.#nodes = nodes;
    if (isFlood) {
      this.withinMs = getU16(b, start + NODES);
      return source === destination ? DropReason.routedMalformed : DropReason.none;
    }
    if (
      b[start + FORM] !== FORM_GRAPH ||
      nodes < 2 ||
      nodes > GRAPH_NODES_MAX ||
      edges < 1 ||
      edges > GRAPH_EDGES_MAX ||
      getU32(b, nodesAt) !== source ||
      getU32(b, edgesAt - NODE_BYTES) !== destination
    )
      return DropReason.routedMalformed;
    let last = -1;
    for (let at = edgesAt; at < payloadStart; at += EDGE_BYTES) {
      const from = b[at]!,
        to = b[at + 1]!,
        edge = from * 0x100 + to;
      if (from >= to || to >= nodes || edge <= last) return DropReason.routedMalformed;
      last = edge;
    }
    return DropReason.none;
  }

  /** Place of `node`, the first where it stands twice; -1: it is none of the graph. */
  placeOf(node: NodeId): number {
    for (let place = 0; place < this.#nodes; place += 1)
      if (getU32(this.#bytes, this.#nodesAt + place * NODE_BYTES) === node) return place;
    return -1;
  }

  hasEdge(from: number, to: number): boolean {
    for (let at = this.#edgesAt; at < this.payloadStart; at += EDGE_BYTES)
      if (this.#bytes[at] === from && this.#bytes[at + 1] === to) return true;
    return false;
  }

  /** Writes whom the node at `from` sends to into `out`, and returns how many they are. */
  nextOf(from: number, out: NodeId[]): number {
    let count = 0;
    for (let at = this.#edgesAt; at < this.payloadStart; at += EDGE_BYTES) {
      if (this.#bytes[at] !== from) continue;
      out[count] = getU32(this.#bytes, this.#nodesAt + this.#bytes[at + 1]! * NODE_BYTES);
      count += 1;
    }
    return count;
  }
}

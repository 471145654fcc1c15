/**
 * Route discovery's two messages: the request of a source, and the response that gathers the nodes
 * of a path on its way back.
 *
 * Owns bytes only: who signed is judged in core/byzantine/verified.ts. Both are decoded into fresh
 * objects (control plane, rare) that keep their own copy of the received bytes, because signatures
 * are checked over those. A response repeats neither the source's weights nor its key: it names the
 * request by hash, and who forwards it has the request. One content has one encoding.
 */

import { assert } from '../base/assert.ts';
import { copyOf, getU32, getU48, putU32, putU48 } from '../base/bytes.ts';
import { isNodeId, type NodeId } from '../base/ids.ts';
import { KEY_BYTES, SIGNATURE_BYTES } from './certificate.ts';
import { DropReason } from './drop.ts';

export const ROUTE_REQUEST = 3;
export const ROUTE_RESPONSE = 4;

/** In front of both. */
const TYPE = 0,
  SOURCE = 1,
  DESTINATION = 5,
  EPOCH = 9,
  SEQUENCE = 15;
const Q_KEY = 19,
  Q_COUNT = 51,
  Q_WEIGHTS = 52;
/** In front of the weights of a request; the signature follows them. */
export const ROUTE_REQUEST_HEAD_BYTES = Q_WEIGHTS;
export const ROUTE_REQUEST_HEAD_LAYOUT = {
  type: [TYPE, 1],
  source: [SOURCE, 4],
  destination: [DESTINATION, 4],
  epoch: [EPOCH, 6],
  sequence: [SEQUENCE, 4],
  key: [Q_KEY, KEY_BYTES],
  'weight count': [Q_COUNT, 1],
} as const;

const W_U = 0,
  W_V = 4,
  W_EXPONENT = 8;
export const ROUTE_WEIGHT_BYTES = 9;
export const ROUTE_WEIGHT_LAYOUT = { u: [W_U, 4], v: [W_V, 4], exponent: [W_EXPONENT, 1] } as const;

export const ROUTE_HASH_BYTES = 32;
const R_HASH = 19,
  R_KEY = 51,
  R_SIGNATURE = 83,
  R_COUNT = 147,
  R_HOPS = 148;
/** In front of the hops of a response. */
export const ROUTE_RESPONSE_HEAD_BYTES = R_HOPS;
export const ROUTE_RESPONSE_HEAD_LAYOUT = {
  type: [TYPE, 1],
  source: [SOURCE, 4],
  destination: [DESTINATION, 4],
  epoch: [EPOCH, 6],
  sequence: [SEQUENCE, 4],
  request: [R_HASH, ROUTE_HASH_BYTES],
  key: [R_KEY, KEY_BYTES],
  signature: [R_SIGNATURE, SIGNATURE_BYTES],
  'hop count': [R_COUNT, 1],
} as const;

const H_NODE = 0,
  H_KEY = 4,
  H_SIGNATURE = 36;
export const ROUTE_HOP_BYTES = 100;
export const ROUTE_HOP_LAYOUT = {
  node: [H_NODE, 4],
  key: [H_KEY, KEY_BYTES],
  signature: [H_SIGNATURE, SIGNATURE_BYTES],
} as const;

/** Most weights of one request. */
export const ROUTE_WEIGHTS_MAX = 64;
/** Most nodes between source and destination. */
export const ROUTE_HOPS_MAX = 31;
/** The weight of a link is 2^exponent: a sum over the longest path is exact in a double. */
export const ROUTE_EXPONENT_MAX = 40;
export const ROUTE_EPOCH_MAX = 0xffff_ffff_ffff;
export const ROUTE_REQUEST_BYTES_MAX =
  Q_WEIGHTS + ROUTE_WEIGHTS_MAX * ROUTE_WEIGHT_BYTES + SIGNATURE_BYTES;
export const ROUTE_RESPONSE_BYTES_MAX = R_HOPS + ROUTE_HOPS_MAX * ROUTE_HOP_BYTES;

/** A link that its source would rather not use; one that is not listed weighs 1. */
export interface RouteWeight {
  /** The smaller id. */
  readonly u: NodeId;
  readonly v: NodeId;
  /** 1..ROUTE_EXPONENT_MAX. */
  readonly exponent: number;
}

/** What both messages say of the discovery that they belong to. */
export interface RouteQuestion {
  readonly source: NodeId;
  readonly destination: NodeId;
  /** u48: which run of the source, growing. */
  readonly epoch: number;
  /** u32: which request of that run. */
  readonly sequence: number;
}

export interface RouteRequestContent extends RouteQuestion {
  /** X25519, of the source. */
  readonly key: Uint8Array;
  /** Ascending by u, then v; each link once. */
  readonly weights: readonly RouteWeight[];
}

export interface RouteRequest extends RouteRequestContent {
  readonly bytes: Uint8Array;
}

export interface RouteHop {
  readonly node: NodeId;
  /** X25519, of the node. */
  readonly key: Uint8Array;
}

export interface RouteResponse extends RouteQuestion {
  /** SHA-256 of the request's bytes. */
  readonly requestHash: Uint8Array;
  /** X25519, of the destination. */
  readonly key: Uint8Array;
  /** From the destination's neighbour onwards; no node twice, neither source nor destination. */
  readonly hops: readonly RouteHop[];
  readonly bytes: Uint8Array;
}

/** Returns the 64 bytes of a signature. */
export type Sign = (part: Uint8Array) => Uint8Array;

/* ------------------------------------------------------------------ request */

/** The request in `b[start..end)`, or the reason why there is none. */
export function decodeRouteRequest(
  b: Uint8Array,
  start: number,
  end: number,
): RouteRequest | DropReason {
  const length = end - start;
  if (length < Q_WEIGHTS + SIGNATURE_BYTES || b[start + TYPE] !== ROUTE_REQUEST)
    return DropReason.routeRequestMalformed;
  const count = b[start + Q_COUNT]!;
  if (
    count > ROUTE_WEIGHTS_MAX ||
    length !== Q_WEIGHTS + count * ROUTE_WEIGHT_BYTES + SIGNATURE_BYTES
  )
    return DropReason.routeRequestMalformed;
  const question = questionAt(b, start);
  if (question === null) return DropReason.routeRequestMalformed;
  const weights: RouteWeight[] = [];
  for (let i = 0, at = start + Q_WEIGHTS; i < count; i += 1, at += ROUTE_WEIGHT_BYTES) {
    const weight = {
      u: getU32(b, at + W_U),
      v: getU32(b, at + W_V),
      exponent: b[at + W_EXPONENT]!,
    };
    if (!isRouteWeight(weight) || (i > 0 && compareLinks(weights[i - 1]!, weight) >= 0))
      return DropReason.routeRequestMalformed;
    weights.push(weight);
  }
  return {
    ...question,
    key: copyOf(b, start + Q_KEY, start + Q_KEY + KEY_BYTES),
    weights,
    bytes: copyOf(b, start, end),
  };
}

/** Builds a request of our own. `sign` gets everything in front of the signature. */
export function makeRouteRequest(content: RouteRequestContent, sign: Sign): RouteRequest {
  const { key, weights } = content;
  assert(weights.length <= ROUTE_WEIGHTS_MAX, 'a request has so many weights');
  const signatureAt = Q_WEIGHTS + weights.length * ROUTE_WEIGHT_BYTES;
  const b = new Uint8Array(signatureAt + SIGNATURE_BYTES);
  putQuestion(b, ROUTE_REQUEST, content);
  b.set(key, Q_KEY);
  b[Q_COUNT] = weights.length;
  weights.forEach((weight, i) => {
    const at = Q_WEIGHTS + i * ROUTE_WEIGHT_BYTES;
    putU32(b, at + W_U, weight.u);
    putU32(b, at + W_V, weight.v);
    b[at + W_EXPONENT] = weight.exponent;
  });
  b.set(sign(b.subarray(0, signatureAt)), signatureAt);
  return { ...content, bytes: b };
}

/**
 * What a request can carry of `entries`: each link once, the heaviest when there are too many, in
 * the order of the wire. The ends of an entry may come in either order; exponents are cut at
 * ROUTE_EXPONENT_MAX and those below 1 left out.
 */
export function routeWeightsOf(entries: Iterable<RouteWeight>): RouteWeight[] {
  const all: RouteWeight[] = [];
  for (const { u, v, exponent } of entries) {
    const weight = {
      u: Math.min(u, v),
      v: Math.max(u, v),
      exponent: Math.min(exponent, ROUTE_EXPONENT_MAX),
    };
    if (isRouteWeight(weight)) all.push(weight);
  }
  all.sort((x, y) => compareLinks(x, y) || y.exponent - x.exponent);
  const each = all.filter((weight, i) => i === 0 || compareLinks(all[i - 1]!, weight) !== 0);
  const heaviest = each
    .sort((x, y) => y.exponent - x.exponent || compareLinks(x, y))
    .slice(0, ROUTE_WEIGHTS_MAX);
  return heaviest.sort(compareLinks);
}

/** What the link between `x` and `y` weighs by the sorted `weights`. */
export function routeLinkWeight(weights: readonly RouteWeight[], x: NodeId, y: NodeId): number {
  const link = { u: Math.min(x, y), v: Math.max(x, y) };
  let low = 0,
    high = weights.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const order = compareLinks(weights[middle]!, link);
    if (order === 0) return 2 ** weights[middle]!.exponent;
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return 1;
}

function isRouteWeight({ u, v, exponent }: RouteWeight): boolean {
  return (
    isNodeId(u) &&
    isNodeId(v) &&
    u < v &&
    Number.isInteger(exponent) &&
    exponent >= 1 &&
    exponent <= ROUTE_EXPONENT_MAX
  );
}

function compareLinks(x: Pick<RouteWeight, 'u' | 'v'>, y: Pick<RouteWeight, 'u' | 'v'>): number {
  return x.u - y.u || x.v - y.v;
}

/* ------------------------------------------------------------------ response */

/** The response in `b[start..end)`, or the reason why there is none. */
export function decodeRouteResponse(
  b: Uint8Array,
  start: number,
  end: number,
): RouteResponse | DropReason {
  const length = end - start;
  if (length < R_HOPS || b[start + TYPE] !== ROUTE_RESPONSE)
    return DropReason.routeResponseMalformed;
  const count = b[start + R_COUNT]!;
  if (count > ROUTE_HOPS_MAX || length !== R_HOPS + count * ROUTE_HOP_BYTES)
    return DropReason.routeResponseMalformed;
  const question = questionAt(b, start);
  if (question === null) return DropReason.routeResponseMalformed;
  const met = new Set<NodeId>([question.source, question.destination]);
  const hops: RouteHop[] = [];
  for (let i = 0, at = start + R_HOPS; i < count; i += 1, at += ROUTE_HOP_BYTES) {
    const node = getU32(b, at + H_NODE);
    if (!isNodeId(node) || met.has(node)) return DropReason.routeResponseMalformed;
    met.add(node);
    hops.push({ node, key: copyOf(b, at + H_KEY, at + H_KEY + KEY_BYTES) });
  }
  return {
    ...question,
    requestHash: copyOf(b, start + R_HASH, start + R_HASH + ROUTE_HASH_BYTES),
    key: copyOf(b, start + R_KEY, start + R_KEY + KEY_BYTES),
    hops,
    bytes: copyOf(b, start, end),
  };
}

/** The bytes of the destination's response; no hops yet. */
export function makeRouteResponse(
  question: RouteQuestion,
  requestHash: Uint8Array,
  key: Uint8Array,
  sign: Sign,
): Uint8Array {
  const b = new Uint8Array(R_HOPS);
  putQuestion(b, ROUTE_RESPONSE, question);
  b.set(requestHash, R_HASH);
  b.set(key, R_KEY);
  b.set(sign(b.subarray(0, R_SIGNATURE)), R_SIGNATURE);
  return b;
}

/** The bytes of `response` with one hop more. `sign` gets what `signedByHop` says of it. */
export function appendRouteHop(
  response: RouteResponse,
  node: NodeId,
  key: Uint8Array,
  sign: Sign,
): Uint8Array {
  const { bytes, hops } = response;
  assert(hops.length < ROUTE_HOPS_MAX, 'a response has so many hops');
  const b = new Uint8Array(bytes.length + ROUTE_HOP_BYTES);
  b.set(bytes, 0);
  b[R_COUNT] = hops.length + 1;
  const at = bytes.length;
  putU32(b, at + H_NODE, node);
  b.set(key, at + H_KEY);
  b.set(sign(signedByHop(b, hops.length)), at + H_SIGNATURE);
  return b;
}

/** What the destination signed. */
export function signedByDestination(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(0, R_SIGNATURE);
}

export function destinationSignature(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(R_SIGNATURE, R_SIGNATURE + SIGNATURE_BYTES);
}

/**
 * What hop `i` signed: all in front of its signature, earlier signatures included, but the count of
 * hops, which grows.
 */
export function signedByHop(bytes: Uint8Array, i: number): Uint8Array {
  const end = hopStart(i) + H_SIGNATURE;
  const out = new Uint8Array(end - 1);
  out.set(bytes.subarray(0, R_COUNT), 0);
  out.set(bytes.subarray(R_HOPS, end), R_COUNT);
  return out;
}

export function hopSignature(bytes: Uint8Array, i: number): Uint8Array {
  const at = hopStart(i) + H_SIGNATURE;
  return bytes.subarray(at, at + SIGNATURE_BYTES);
}

/** What hop `i` adds, its signature included; -1: the destination's part. */
export function partOfHop(bytes: Uint8Array, i: number): Uint8Array {
  return i < 0 ? bytes.subarray(0, R_COUNT) : bytes.subarray(hopStart(i), hopStart(i + 1));
}

function hopStart(i: number): number {
  return R_HOPS + i * ROUTE_HOP_BYTES;
}

/* ------------------------------------------------------------------ shared */

function questionAt(b: Uint8Array, start: number): RouteQuestion | null {
  const source = getU32(b, start + SOURCE),
    destination = getU32(b, start + DESTINATION);
  if (!isNodeId(source) || !isNodeId(destination) || source === destination) return null;
  return {
    source,
    destination,
    epoch: getU48(b, start + EPOCH),
    sequence: getU32(b, start + SEQUENCE),
  };
}

function putQuestion(
  b: Uint8Array,
  type: number,
  { source, destination, epoch, sequence }: RouteQuestion,
): void {
  b[TYPE] = type;
  putU32(b, SOURCE, source);
  putU32(b, DESTINATION, destination);
  putU48(b, EPOCH, epoch);
  putU32(b, SEQUENCE, sequence);
}

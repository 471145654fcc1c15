/**
 * The signatures of route discovery: making them, judging them, remembering good ones, and what
 * judging may cost.
 *
 * Owns the labels, the cache of verified beginnings of responses, the budgets and the counters;
 * whether a message fits a discovery is discovery.ts's matter. Invariants: what `request` and
 * `response` let through was signed by every node that it names; what is refused is never
 * remembered; nobody can spend the budget of another:
 *
 *     a wrong signature          costs the neighbour that passed it on, who should have verified it
 *     a genuine request          costs its source, whoever passed it on
 *     a genuine response         costs this source at this neighbour: who spins out a
 *                                discovery stops his own messages only
 *     both of these              cost their source's share of what this node does for all
 *                                sources: many who ask too much
 *                                leave to each other source as much as each of them gets
 *
 * Any of the four being empty refuses before a signature is looked at.
 */

import type { NodeId } from '../base/ids.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import { SECOND, type Micros } from '../base/time.ts';
import { labelled, type KeyPair } from '../crypto/keys.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { signaturePart, signedPart, type Certificate } from '../wire/certificate.ts';
import {
  destinationSignature,
  hopSignature,
  partOfHop,
  signedByDestination,
  signedByHop,
  type RouteRequest,
  type RouteResponse,
  type Sign,
} from '../wire/discovery.ts';
import { DropReason } from '../wire/drop.ts';

/** In front of signed bytes, with a zero byte: a signature counts for nothing else. */
export const ROUTE_REQUEST_LABEL = 'spines route request';
export const ROUTE_RESPONSE_LABEL = 'spines route response';
export const ROUTE_HOP_LABEL = 'spines route hop';

/**
 * Signatures a second that a neighbour may have us verify, for itself and for each source beyond
 * it: 200 are 1 to 2 % of a core.
 */
const NEIGHBOUR_PER_SECOND = 200;
const NEIGHBOUR_BURST = 400;
/**
 * Requests of one source, a second and at once: a little more than an honest one sends
 * (PACE_PER_SECOND of discovery.ts), so that none is refused.
 */
export const SOURCE_PER_SECOND = 10;
export const SOURCE_BURST = 40;
/**
 * Genuine signatures a second, and at once, for all sources together: with libsodium a sixth of a
 * core, with node:crypto a third (`npm run bench`).
 */
const ALL_PER_SECOND = 4_000;
const ALL_AT_ONCE = 4_000;
/**
 * What a message that no honest neighbour passes on costs it. Without as much left nothing is
 * verified, or each token would buy a lie.
 */
const LIE_COST = 20;
/** Neighbours and sources whose budgets are known; a pair of both. */
const NODES_MAX = 4_096;
const PAIRS_MAX = 16_384;
/** Beginnings of responses that are remembered as verified. */
export const PREFIXES_MAX = 4_096;

/** Which of the improvements over the paper are on: a part of the options of Byzantine routing. */
export interface VerifierOptions {
  /**
   * Check the newest signature of a response first: a wrong one inside a right one is proof against
   * the neighbour.
   */
  readonly outerFirst: boolean;
  readonly prefixCache: boolean;
}

export interface VerifierEnvironment {
  readonly primitives: Pick<Primitives, 'sign' | 'verify' | 'sha256'>;
  /** Certificate of a node that may take part now. */
  readonly certificateOf: (node: NodeId) => Certificate | null;
  readonly options: VerifierOptions;
}

/** For status. */
export interface VerifierFigures {
  /** Signatures found good. */
  readonly verified: number;
  /** Signatures found wrong. */
  readonly refused: number;
  /** Signatures that need not be verified again. */
  readonly remembered: number;
  /** Messages refused because somebody had no budget left. */
  readonly overBudget: number;
}

export class Verifier {
  readonly #environment: VerifierEnvironment;
  readonly #prefixes: VerifiedPrefixes;
  readonly #neighbours = new Budgets(NEIGHBOUR_PER_SECOND, NEIGHBOUR_BURST, NODES_MAX);
  readonly #sources = new Budgets(SOURCE_PER_SECOND, SOURCE_BURST, NODES_MAX);
  readonly #pairs = new Budgets(NEIGHBOUR_PER_SECOND, NEIGHBOUR_BURST, PAIRS_MAX);
  readonly #shares = new Shares(ALL_PER_SECOND, ALL_AT_ONCE);
  #verified = 0;
  #refused = 0;
  #remembered = 0;
  #overBudget = 0;

  constructor(environment: VerifierEnvironment) {
    this.#environment = environment;
    this.#prefixes = new VerifiedPrefixes(PREFIXES_MAX);
  }

  get figures(): VerifierFigures {
    return {
      verified: this.#verified,
      refused: this.#refused,
      remembered: this.#remembered,
      overBudget: this.#overBudget,
    };
  }

  /** Whether the source said `request`, which `neighbour` passed on: `none` when it did. */
  request(request: RouteRequest, neighbour: NodeId, now: Micros): DropReason {
    const certificate = this.#environment.certificateOf(request.source);
    if (certificate === null) return DropReason.discoveryNodeUnknown;
    const lies = this.#neighbours.of(String(neighbour)),
      asked = this.#sources.of(String(request.source));
    if (
      lies.level(now) < LIE_COST ||
      asked.level(now) < 1 ||
      !this.#shares.admits(request.source, now)
    )
      return this.#refuseUnseen();
    if (
      !this.#check(
        ROUTE_REQUEST_LABEL,
        signedPart(request.bytes),
        signaturePart(request.bytes),
        certificate,
      )
    ) {
      spend(lies, now, LIE_COST);
      return DropReason.routeRequestForged;
    }
    spend(asked, now, 1);
    this.#shares.charge(request.source, 1);
    return DropReason.none;
  }

  /** Whether destination and hops said `response`, which its last hop `neighbour` passed on. */
  response(response: RouteResponse, neighbour: NodeId, now: Micros): DropReason {
    const { certificateOf, options } = this.#environment;
    const certificates: Certificate[] = [];
    for (const node of [response.destination, ...response.hops.map((hop) => hop.node)]) {
      const certificate = certificateOf(node);
      if (certificate === null) return DropReason.discoveryNodeUnknown;
      certificates.push(certificate);
    }
    const lies = this.#neighbours.of(String(neighbour)),
      told = this.#pairs.of(`${neighbour} ${response.source}`);
    if (
      lies.level(now) < LIE_COST ||
      told.level(now) < 1 ||
      !this.#shares.admits(response.source, now)
    )
      return this.#refuseUnseen();
    const before = this.#verified;
    const good = options.outerFirst
      ? this.#inwards(response, certificates)
      : this.#outwards(response, certificates);
    const spent = this.#verified - before;
    if (good) {
      spend(told, now, spent);
      this.#shares.charge(response.source, spent);
      return DropReason.none;
    }
    // Checked from the inside, what was good came first and is lost work, too.
    spend(lies, now, options.outerFirst ? LIE_COST : spent + 1);
    return DropReason.routeResponseForged;
  }

  /** Signs as `keys`, under `label`. */
  signer(label: string, keys: KeyPair): Sign {
    return (part) =>
      this.#environment.primitives.sign(
        labelled(label, part),
        keys.secret.reveal(),
        keys.publicKey,
      );
  }

  /** Newest signature first, as far as the first beginning that is known. */
  #inwards(response: RouteResponse, certificates: readonly Certificate[]): boolean {
    const last = response.hops.length - 1;
    if (!this.#checkPart(response, last, certificates)) return false;
    // Hashes only after the neighbour's own signature is good.
    const names = this.#names(response, certificates);
    for (let i = last - 1; i >= -1; i -= 1) {
      if (names !== null && this.#prefixes.has(names[i + 1]!)) {
        this.#remembered += i + 2;
        break;
      }
      if (!this.#checkPart(response, i, certificates)) return false;
    }
    this.#remember(names);
    return true;
  }

  /** Oldest signature first, as the paper has it. */
  #outwards(response: RouteResponse, certificates: readonly Certificate[]): boolean {
    const names = this.#names(response, certificates);
    for (let i = -1; i < response.hops.length; i += 1) {
      if (names !== null && this.#prefixes.has(names[i + 1]!)) this.#remembered += 1;
      else if (!this.#checkPart(response, i, certificates)) return false;
    }
    this.#remember(names);
    return true;
  }

  /** Hop `i`'s signature, or for -1 the destination's. */
  #checkPart({ bytes }: RouteResponse, i: number, certificates: readonly Certificate[]): boolean {
    const certificate = certificates[i + 1]!;
    return i < 0
      ? this.#check(
          ROUTE_RESPONSE_LABEL,
          signedByDestination(bytes),
          destinationSignature(bytes),
          certificate,
        )
      : this.#check(ROUTE_HOP_LABEL, signedByHop(bytes, i), hopSignature(bytes, i), certificate);
  }

  #check(
    label: string,
    part: Uint8Array,
    signature: Uint8Array,
    certificate: Certificate,
  ): boolean {
    const good = this.#environment.primitives.verify(
      labelled(label, part),
      signature,
      certificate.signingKey,
    );
    if (good) this.#verified += 1;
    else this.#refused += 1;
    return good;
  }

  /**
   * A name for each beginning, signatures and the keys that they are checked with included, from
   * the destination's part to the whole; each is hashed into the next. So what was verified under a
   * certificate that has been replaced counts no more. Null: no cache.
   */
  #names(response: RouteResponse, certificates: readonly Certificate[]): string[] | null {
    if (!this.#environment.options.prefixCache) return null;
    const { primitives } = this.#environment;
    const names: string[] = [];
    let hash: Uint8Array = new Uint8Array(0);
    for (let i = -1; i < response.hops.length; i += 1) {
      hash = primitives.sha256(hash, partOfHop(response.bytes, i), certificates[i + 1]!.signingKey);
      names.push(nameOf(hash));
    }
    return names;
  }

  #remember(names: readonly string[] | null): void {
    for (const name of names ?? []) this.#prefixes.add(name);
  }

  #refuseUnseen(): DropReason {
    this.#overBudget += 1;
    return DropReason.discoveryOverBudget;
  }
}

/** Names of what was verified, most recently used last; the others are forgotten. */
export class VerifiedPrefixes {
  readonly #most: number;
  readonly #names = new Set<string>();

  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#names.size;
  }

  has(name: string): boolean {
    if (!this.#names.delete(name)) return false;
    this.#names.add(name);
    return true;
  }

  add(name: string): void {
    this.#names.delete(name);
    this.#names.add(name);
    if (this.#names.size > this.#most) this.#names.delete(this.#names.values().next().value!);
  }

  clear(): void {
    this.#names.clear();
  }
}

/** A budget each, least recently used forgotten. Only those get one who have a certificate. */
class Budgets {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #most: number;
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(perSecond: number, burst: number, most: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#most = most;
  }

  of(name: string): TokenBucket {
    const bucket = this.#buckets.get(name) ?? new TokenBucket(this.#perSecond, this.#burst);
    this.#buckets.delete(name);
    this.#buckets.set(name, bucket);
    if (this.#buckets.size > this.#most) this.#buckets.delete(this.#buckets.keys().next().value!);
    return bucket;
  }
}

/**
 * Work done for sources, as a backlog that a fair server takes off: so much a second, evenly from
 * all who have any. Who has less in it than is free may add to it (the dynamic thresholds of
 * Choudhury and Hahne, IEEE/ACM ToN 1998): k who ask for all they can get have 1/(k + 1) of the
 * room each and leave as much to a newcomer. Entries are at most as many as there is room for.
 */
export class Shares {
  readonly #perSecond: number;
  readonly #room: number;
  readonly #backlogs = new Map<NodeId, number>();
  #total = 0;
  #servedAt: Micros = 0;

  constructor(perSecond: number, room: number) {
    this.#perSecond = perSecond;
    this.#room = room;
  }

  /** Sources with a backlog. */
  get size(): number {
    return this.#backlogs.size;
  }

  admits(source: NodeId, now: Micros): boolean {
    this.#serve(now);
    return (this.#backlogs.get(source) ?? 0) < this.#room - this.#total;
  }

  /** After `admits`: `count` is what the message took. */
  charge(source: NodeId, count: number): void {
    if (count <= 0) return;
    this.#backlogs.set(source, (this.#backlogs.get(source) ?? 0) + count);
    this.#total += count;
  }

  #serve(now: Micros): void {
    let work = ((now - this.#servedAt) / SECOND) * this.#perSecond;
    this.#servedAt = now;
    if (work >= this.#total) {
      this.#backlogs.clear();
      this.#total = 0;
      return;
    }
    // Whoever has least is done first, and what is left goes to the others.
    while (work > 0) {
      let least = Infinity;
      for (const backlog of this.#backlogs.values()) least = Math.min(least, backlog);
      const each = Math.min(least, work / this.#backlogs.size);
      work -= each * this.#backlogs.size;
      for (const [source, backlog] of this.#backlogs) {
        if (backlog <= each) this.#backlogs.delete(source);
        else this.#backlogs.set(source, backlog - each);
      }
      this.#total = 0;
      for (const backlog of this.#backlogs.values()) this.#total += backlog;
      if (each < least) return;
    }
  }
}

/** Takes `count`, or what there is. */
function spend(bucket: TokenBucket, now: Micros, count: number): void {
  bucket.take(now, Math.min(count, bucket.level(now)));
}

/** 32 bytes as 16 characters. */
function nameOf(hash: Uint8Array): string {
  const codes: number[] = [];
  for (let i = 0; i + 1 < hash.length; i += 2) codes.push((hash[i]! << 8) | hash[i + 1]!);
  return String.fromCharCode(...codes);
}

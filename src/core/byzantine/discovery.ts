/**
 * Route discovery by signed flooding: one node's part as source, as destination and in between. No
 * I/O.
 *
 * Awerbuch, Holmer, Nita-Rotaru and Rubens, WiSe 2002, section 4.1, with its gaps closed: a request
 * floods the network, the destination's response floods back and gathers signed hops, and each node
 * passes on what is lighter by the *source's* weights than all it passed on before. So a path is
 * chosen by weight, never by who was first. Signatures and budgets are verified.ts's. `send` must
 * keep the order of messages to a neighbour and lose none while the link is up: a response travels
 * behind its request.
 *
 * Invariants, per request and node: one send of the request; responses strictly lighter from one to
 * the next and at most IMPROVEMENTS_MAX of them; nothing remembered of what is forged; state
 * bounded whatever is received.
 *
 *     idle -> queued -> asked -> answered     a destination at its source
 *               ^---------'         |
 *               ^-------------------'
 *
 * `discover` queues, a token of the pace asks, the first response answers, and the timer of an
 * unanswered request queues again.
 */

import { assert } from '../base/assert.ts';
import { equalBytes } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import { MILLISECOND, SECOND, Timer, type Micros } from '../base/time.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import { givesNoSecret } from '../crypto/keys.ts';
import {
  appendRouteHop,
  decodeRouteRequest,
  decodeRouteResponse,
  makeRouteRequest,
  makeRouteResponse,
  ROUTE_HOPS_MAX,
  routeLinkWeight,
  routeWeightsOf,
  type RouteRequest,
  type RouteResponse,
  type RouteWeight,
} from '../wire/discovery.ts';
import { DropReason } from '../wire/drop.ts';
import { ANYBODY, AskQueue, untilLevel } from './ask-queue.ts';
import { pathId, ranked, type DiscoveredPath } from './discovered-path.ts';
import type { DiscoveryEnvironment, DiscoveryFigures } from './discovery-environment.ts';
import { RequestTable, type LiveRequest } from './request-table.ts';
import { SeenSources } from './seen-sources.ts';
import {
  ROUTE_HOP_LABEL,
  ROUTE_REQUEST_LABEL,
  ROUTE_RESPONSE_LABEL,
  Verifier,
} from './verified.ts';

/** Longest that a message takes over one link, recovery and verification included. */
const HOP_BOUND: Micros = 50 * MILLISECOND;
/**
 * A request is asked again after its lifetime at the earliest, then twice as long and so on up to
 * this.
 */
const RETRY_MAX: Micros = 60 * SECOND;
/** Requests for one destination. */
const ASK_PER_SECOND = 1;
const ASK_BURST = 2;
/**
 * Nobody would pass on a request for a node without a certificate: asked for as soon as there is
 * one, looked at this often.
 */
const UNKNOWN_RETRY: Micros = 250 * MILLISECOND;
/** Responses that one node passes on per request. */
export const IMPROVEMENTS_MAX = 8;
/**
 * Between the first and the second of them, then IMPROVE_FACTOR times as long and so on. What comes
 * in between waits, the lightest goes. All together outlast any request: who improves step by step
 * can delay a lighter path, but not use up the last send.
 */
export const IMPROVE_INTERVAL: Micros = 5 * MILLISECOND;
const IMPROVE_FACTOR = 3;
/**
 * Destinations looked for or found; the one asked for longest ago gives way, and whoever sends
 * there asks again.
 */
export const TARGETS_MAX = 2_048;
/** Of one destination; more wait with these. */
const USERS_MAX = 64;
/** How long a request may be answered: twice the longest way, 0.5..3.2 s. */
export function discoveryTimeout(nodesMost: number): Micros {
  return Math.max(SECOND / 2, 2 * Math.min(nodesMost - 1, ROUTE_HOPS_MAX + 1) * HOP_BOUND);
}

type TargetState = 'idle' | 'queued' | 'asked' | 'answered';

/** A destination that this node looks for, or has found. */
interface Target {
  readonly node: NodeId;
  readonly bucket: TokenBucket;
  /** The lifetime of a request while asked, the wait for a token while queued. */
  readonly timer: Timer;
  /** Who waits for a path to it. */
  readonly users: Set<object>;
  state: TargetState;
  weights: readonly RouteWeight[];
  attempts: number;
  /** As far as was known when it was asked for; false also when a node was started anew since. */
  reachable: boolean;
  live: LiveRequest | null;
  /** Best first. */
  paths: readonly DiscoveredPath[];
}

export class Discovery {
  readonly #environment: DiscoveryEnvironment;
  readonly #verifier: Verifier;
  readonly #lifetime: Micros;
  readonly #table: RequestTable;
  readonly #sources: SeenSources;
  /** Asked for longest ago first. */
  readonly #targets = new Map<NodeId, Target>();
  /** Targets in state 'queued' that may ask as soon as the pace allows. */
  readonly #queue = new AskQueue<Target>();
  readonly #paceTimer = new Timer(() => this.#askQueued());
  #sequence = 0;
  #stopped = false;
  #asked = 0;
  #answered = 0;
  #requestsForwarded = 0;
  #responsesForwarded = 0;

  constructor(environment: DiscoveryEnvironment) {
    this.#environment = environment;
    this.#verifier = new Verifier(environment);
    this.#sources = new SeenSources(environment);
    this.#lifetime = discoveryTimeout(environment.nodesMost);
    this.#table = new RequestTable((live) => {
      if (live.timer !== null) environment.timers.cancel(live.timer);
    });
  }

  get figures(): DiscoveryFigures {
    return {
      ...this.#verifier.figures,
      asked: this.#asked,
      answered: this.#answered,
      requestsForwarded: this.#requestsForwarded,
      responsesForwarded: this.#responsesForwarded,
      live: this.#table.size,
      targets: this.#targets.size,
    };
  }

  /**
   * Paths to `destination` by its newest answered request, best first, then those that share least
   * with the best.
   */
  paths(destination: NodeId): readonly DiscoveredPath[] {
    return this.#targets.get(destination)?.paths ?? [];
  }

  /**
   * Looks for paths to `destination` by `weights` until there is one, at the rate that others
   * accept. While a request is under way the weights are kept for the next attempt. `paths` stay
   * what they are until the first response. `users`: who wants it; each has a fair share of the
   * rate.
   */
  discover(
    destination: NodeId,
    weights: Iterable<RouteWeight>,
    users: Iterable<object> = [ANYBODY],
  ): void {
    assert(destination !== this.#environment.self, 'a path leads to another node');
    if (this.#stopped) return;
    const target = this.#targetOf(destination);
    target.weights = routeWeightsOf(weights);
    const inLine = target.state === 'queued' && !target.timer.armed;
    for (const user of users) {
      if (target.users.has(user) || target.users.size >= USERS_MAX) continue;
      target.users.add(user);
      if (inLine) this.#queue.add(target, [user]);
    }
    if (inLine) this.#askQueued();
    if (target.state === 'queued' || target.state === 'asked') return;
    target.attempts = 0;
    become(target, 'queued');
    this.#lineUp(target);
  }

  /** Stops looking for paths to `destination` and forgets those found. */
  abandon(destination: NodeId): void {
    const target = this.#targets.get(destination);
    if (target === undefined) return;
    this.#environment.timers.cancel(target.timer);
    this.#queue.delete(target);
    this.#targets.delete(destination);
  }

  /**
   * The daemon of `node` was started anew: no path through it, or to it, has keys that it knows,
   * and no answer to a request from before is worth anything if it is in it. Requests after this
   * reach its new run.
   */
  onRestart(node: NodeId): void {
    for (const target of this.#targets.values()) {
      if (target.paths.some((path) => path.nodes.includes(node)))
        target.paths = target.paths.filter((path) => !path.nodes.includes(node));
      target.live?.restarted.add(node);
      if (target.state === 'asked') target.reachable = false;
    }
  }

  /**
   * Whoever was out of reach, and is not any more, is asked for at once: the pause between attempts
   * may have grown long by then.
   */
  onRoutes(): void {
    for (const target of this.#targets.values()) {
      if (target.state !== 'asked' || target.reachable || !this.#environment.reachable(target.node))
        continue;
      target.attempts = 0;
      this.#environment.timers.cancel(target.timer);
      become(target, 'queued');
      this.#lineUp(target);
    }
  }

  stop(): void {
    this.#stopped = true;
    const { timers } = this.#environment;
    for (const target of this.#targets.values()) timers.cancel(target.timer);
    timers.cancel(this.#paceTimer);
    this.#targets.clear();
    this.#queue.clear();
    this.#table.clear();
  }

  /* ---------------------------------------------------------------- source */

  #targetOf(node: NodeId): Target {
    const known = this.#targets.get(node);
    if (known !== undefined) {
      this.#targets.delete(node);
      this.#targets.set(node, known);
      return known;
    }
    if (this.#targets.size >= TARGETS_MAX) this.abandon(this.#targets.keys().next().value!);
    const timer = new Timer(() => this.#onTargetTimer(target));
    const target: Target = {
      node,
      bucket: new TokenBucket(ASK_PER_SECOND, ASK_BURST),
      timer,
      users: new Set(),
      state: 'idle',
      weights: [],
      attempts: 0,
      reachable: false,
      live: null,
      paths: [],
    };
    this.#targets.set(node, target);
    return target;
  }

  /**
   * A queued target stands in line now, or when its own rate allows, or when the network knows it:
   * others must not wait behind it.
   */
  #lineUp(target: Target): void {
    const { clock, timers, certificateOf } = this.#environment;
    const now = clock.now();
    if (certificateOf(target.node) === null) {
      timers.arm(target.timer, now + UNKNOWN_RETRY);
      return;
    }
    if (target.bucket.take(now)) this.#queue.add(target, target.users);
    else timers.arm(target.timer, now + untilLevel(target.bucket, ASK_PER_SECOND, 1, now));
    this.#askQueued();
  }

  #onTargetTimer(target: Target): void {
    if (target.state === 'asked') {
      target.attempts += 1;
      become(target, 'queued');
    }
    this.#lineUp(target);
  }

  #askQueued(): void {
    const { clock, timers } = this.#environment;
    for (
      let target = this.#queue.take(clock.now());
      target !== null;
      target = this.#queue.take(clock.now())
    )
      this.#ask(target);
    const at = this.#queue.nextAt(clock.now());
    if (at !== null) timers.arm(this.#paceTimer, at);
  }

  #ask(target: Target): void {
    const { self, clock, timers, epoch, signing, exchangeKey, rng } = this.#environment;
    const now = clock.now();
    const content = {
      source: self,
      destination: target.node,
      epoch,
      sequence: this.#sequence,
      key: exchangeKey(),
      weights: target.weights,
    };
    this.#sequence += 1;
    this.#asked += 1;
    const request = makeRouteRequest(content, this.#verifier.signer(ROUTE_REQUEST_LABEL, signing));
    target.live = this.#remember(request, now);
    target.reachable = this.#environment.reachable(target.node);
    become(target, 'asked');
    // The wait doubles; the jitter keeps sources that lost the same link from asking in step.
    const wait = Math.min(RETRY_MAX, this.#lifetime * 2 ** Math.min(target.attempts, 16));
    timers.arm(target.timer, now + Math.round(wait * (1 + rng.unit() / 8)));
    this.#flood(request.bytes, []);
  }

  /** A response to us that all on its path have signed. */
  #arrive(live: LiveRequest, target: Target, path: DiscoveredPath): void {
    const best = path.weight < live.best;
    if (best) live.best = path.weight;
    if (target.state === 'asked') {
      this.#environment.timers.cancel(target.timer);
      become(target, 'answered');
      target.users.clear();
      target.attempts = 0;
      target.paths = [];
    }
    target.paths = ranked([...target.paths, path]);
    this.#environment.onPath(target.node, path, best);
  }

  #pathOf({ destination, key, hops }: RouteResponse, weight: number): DiscoveredPath {
    const { self, primitives } = this.#environment;
    const nodes = [self, ...hops.map((hop) => hop.node).reverse(), destination];
    const keys = [...hops.map((hop) => hop.key).reverse(), key];
    return { nodes, keys, weight, id: pathId(primitives, nodes) };
  }

  /* ---------------------------------------------------------------- requests */

  /** A request from the neighbour `from`. */
  onRequest(bytes: Uint8Array, from: NodeId): void {
    if (!this.#stopped) this.#environment.drops.count(this.#takeRequest(bytes, from));
  }

  #takeRequest(bytes: Uint8Array, from: NodeId): DropReason {
    const { self, clock, certificateOf } = this.#environment;
    const request = decodeRouteRequest(bytes, 0, bytes.length);
    if (typeof request === 'number') return request;
    const now = clock.now();
    this.#table.expire(now);
    if (this.#table.find(request) !== null) return DropReason.routeRequestDuplicate;
    if (request.source === self || !this.#sources.isFresh(request))
      return DropReason.routeRequestStale;
    if (request.destination !== self && certificateOf(request.destination) === null)
      return DropReason.discoveryNodeUnknown;
    // No path may lead through here: it never does when nothing of this one is passed on.
    if (request.destination !== self && this.#withholds) return DropReason.none;
    const verdict = this.#verifier.request(request, from, now);
    if (verdict !== DropReason.none) return verdict;

    this.#environment.onSource(
      request.source,
      request.epoch,
      request.key,
      this.#sources.record(request),
    );
    const live = this.#remember(request, now);
    // The destination passes it on, too: nobody may see its response before the request.
    this.#requestsForwarded += 1;
    this.#flood(request.bytes, [from, request.source]);
    if (request.destination === self) this.#answer(live);
    return DropReason.none;
  }

  #answer({ request, hash }: LiveRequest): void {
    const { signing, exchangeKey } = this.#environment;
    this.#answered += 1;
    this.#flood(
      makeRouteResponse(
        request,
        hash,
        exchangeKey(),
        this.#verifier.signer(ROUTE_RESPONSE_LABEL, signing),
      ),
      [],
    );
  }

  #remember(request: RouteRequest, now: Micros): LiveRequest {
    const hash = this.#environment.primitives.sha256(request.bytes);
    const live: LiveRequest = {
      request,
      hash,
      until: now + this.#lifetime,
      best: Infinity,
      heard: new Map(),
      sends: 0,
      nextSendAt: 0,
      waiting: null,
      timer: null,
      restarted: new Set(),
    };
    this.#table.add(live);
    return live;
  }

  /* ---------------------------------------------------------------- responses */

  /** A response from the neighbour `from`. */
  onResponse(bytes: Uint8Array, from: NodeId): void {
    if (!this.#stopped) this.#environment.drops.count(this.#takeResponse(bytes, from));
  }

  #takeResponse(bytes: Uint8Array, from: NodeId): DropReason {
    const { self, clock } = this.#environment;
    const response = decodeRouteResponse(bytes, 0, bytes.length);
    if (typeof response === 'number') return response;
    const now = clock.now();
    this.#table.expire(now);
    const live = this.#table.find(response);
    if (
      live === null ||
      response.destination !== live.request.destination ||
      !equalBytes(response.requestHash, live.hash)
    )
      return DropReason.routeResponseUnasked;
    if (response.source !== self && response.destination !== self && this.#withholds)
      return DropReason.none;
    const target =
      response.source === self ? (this.#targets.get(response.destination) ?? null) : null;
    if (
      response.source === self &&
      (target?.live !== live || isOfFormerRun(response, live.restarted))
    )
      return DropReason.routeResponseUnasked;
    const misfit = this.#misfit(response, from);
    if (misfit !== DropReason.none) return misfit;

    // Nothing in front of this line costs more than reading the message; everything below may cost
    // signatures.
    const weight = this.#weigh(live.request, response);
    const path = target === null ? null : this.#pathOf(response, weight);
    if (path === null ? weight >= live.best : !this.#isWanted(live, target!, path))
      return DropReason.routeResponseWorse;
    const heard = live.heard.get(from) ?? 0;
    if (heard >= IMPROVEMENTS_MAX || live.sends >= IMPROVEMENTS_MAX)
      return DropReason.discoveryOverBudget;
    live.heard.set(from, heard + 1);
    const verdict = this.#verifier.response(response, from, now);
    if (verdict !== DropReason.none) return verdict;

    if (path !== null) this.#arrive(live, target!, path);
    else this.#improve(live, response, weight, now);
    return DropReason.none;
  }

  /** This node carries nothing for others. */
  get #withholds(): boolean {
    return this.#environment.carriesTransit?.() === false;
  }

  /** What is wrong with a response apart from its signatures. */
  #misfit({ source, destination, key, hops }: RouteResponse, from: NodeId): DropReason {
    const { self, nodesMost, mayLink } = this.#environment;
    const nodes = [destination, ...hops.map((hop) => hop.node)];
    if (nodes.includes(self) || nodes.length > nodesMost) return DropReason.routeResponseMalformed;
    // A path with such a key is of no use and convicts nobody: as the lightest it would be found
    // for ever in place of others.
    if (givesNoSecret(key) || hops.some((hop) => givesNoSecret(hop.key)))
      return DropReason.routeResponseMalformed;
    // Hops cut off the end show here (WiSe 2002 does not look).
    if (nodes.at(-1) !== from) return DropReason.routeResponseForged;
    if (source !== self && hops.length >= ROUTE_HOPS_MAX) return DropReason.ttlExpired;
    nodes.push(self);
    for (let i = 1; i < nodes.length; i += 1)
      if (!mayLink(nodes[i - 1]!, nodes[i]!)) return DropReason.routeResponseForged;
    return DropReason.none;
  }

  /** From the destination to us, by the source's weights. */
  #weigh({ weights }: RouteRequest, { destination, hops }: RouteResponse): number {
    let total = 0,
      before = destination;
    for (const { node } of hops) {
      total += routeLinkWeight(weights, before, node);
      before = node;
    }
    return total + routeLinkWeight(weights, before, this.#environment.self);
  }

  /**
   * Whether a path would be among those kept: a lighter one always, another if it is new and shares
   * less than one that is kept.
   */
  #isWanted(live: LiveRequest, target: Target, path: DiscoveredPath): boolean {
    if (path.weight < live.best) return true;
    if (target.paths.some((kept) => equalBytes(kept.id, path.id))) return false;
    return ranked([...target.paths, path]).includes(path);
  }

  /**
   * Accepted in between: goes on now, or when the interval is over unless something lighter comes.
   */
  #improve(live: LiveRequest, response: RouteResponse, weight: number, now: Micros): void {
    live.best = weight;
    live.waiting = response;
    if (now >= live.nextSendAt) {
      this.#passOn(live);
      return;
    }
    // Later than that nobody takes it.
    if (live.nextSendAt >= live.until) return;
    live.timer ??= new Timer(() => this.#passOn(live));
    this.#environment.timers.arm(live.timer, live.nextSendAt);
  }

  #passOn(live: LiveRequest): void {
    const { self, clock, timers, signing, exchangeKey } = this.#environment;
    const response = live.waiting!;
    live.waiting = null;
    // Due in this very turn, perhaps.
    if (live.timer !== null) timers.cancel(live.timer);
    live.nextSendAt = clock.now() + IMPROVE_INTERVAL * IMPROVE_FACTOR ** live.sends;
    live.sends += 1;
    this.#responsesForwarded += 1;
    const bytes = appendRouteHop(
      response,
      self,
      exchangeKey(),
      this.#verifier.signer(ROUTE_HOP_LABEL, signing),
    );
    const nodes = [response.destination, ...response.hops.map((hop) => hop.node)];
    // Who is on the path already would refuse it.
    this.#flood(bytes, nodes);
    this.#environment.onPassedOn?.(response.source, nodes.reverse());
  }

  #flood(bytes: Uint8Array, except: readonly NodeId[]): void {
    const { neighbours, send } = this.#environment;
    for (const neighbour of neighbours()) if (!except.includes(neighbour)) send(neighbour, bytes);
  }
}

/* ------------------------------------------------------------------ helpers */

const EDGES: Readonly<Record<TargetState, readonly TargetState[]>> = {
  idle: ['queued'],
  queued: ['asked'],
  asked: ['answered', 'queued'],
  answered: ['queued'],
};

function become(target: Target, next: TargetState): void {
  assert(EDGES[target.state].includes(next), 'a target goes where it may');
  target.state = next;
}

/** Whether one that signed it did so in a run that is over. */
function isOfFormerRun(
  { destination, hops }: RouteResponse,
  restarted: ReadonlySet<NodeId>,
): boolean {
  return (
    restarted.size > 0 &&
    (restarted.has(destination) || hops.some(({ node }) => restarted.has(node)))
  );
}

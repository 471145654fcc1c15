/**
 * First-arrival on-demand routing in the manner of AODV (RFC 3561), with nothing that would make it
 * secure.
 *
 * A source floods a request; each node passes on the first copy, after a random delay (RFC 5148),
 * and remembers where it came from; the destination answers the first copy that arrives, and the
 * answer makes the route on its way back. While data arrives the destination says so once a second,
 * back along the route; a source that sends and hears nothing for three seconds, or hears that a
 * link is broken, asks again. Whoever is first in the flood is on the path.
 *
 *     no route --send--> asking --answer--> routed --error, or silence while sending--> asking
 *
 * Messages, between neighbours, in packets of kind ROUTE:
 *     u8 type | u32 source | u32 destination | u32 request
 */

import { getU32, putU32 } from '../../../core/base/bytes.ts';
import type { NodeId } from '../../../core/base/ids.ts';
import { Ring } from '../../../core/base/ring.ts';
import { MILLISECOND, SECOND, Timer, type Micros } from '../../../core/base/time.ts';
import type { StrategyEnvironment } from '../../../core/dissemination/strategy.ts';
import type { NextHop } from '../../../core/link/next-hop.ts';
import { DropReason, refusalOf } from '../../../core/wire/drop.ts';
import {
  DISSEMINATION_BYZANTINE,
  KIND_ROUTE,
  Packet,
  PRIORITY_DEFAULT,
  SERVICE_RELIABLE,
} from '../../../core/wire/packet.ts';
import type { KeptPacket } from '../../../core/wire/packet-pool.ts';
import { OVERLAY_HEADER_BYTES } from '../../../core/wire/sizes.ts';
import { hop, type Baseline, type BaselineMisbehaviour } from './baseline.ts';

const REQUEST = 1,
  ANSWER = 2,
  EVIDENCE = 3,
  ERROR = 4;
const MESSAGE_BYTES = 13;
/** Requests are passed on after up to so long. */
export const REQUEST_JITTER: Micros = 10 * MILLISECOND;
/**
 * A request is repeated after this long without an answer, twice as long each time up to the most.
 */
const ASK_AGAIN: Micros = 500 * MILLISECOND;
const ASK_MOST: Micros = 4 * SECOND;
const EVIDENCE_EVERY: Micros = 1 * SECOND;
/** A source that sends and hears nothing from its destination for so long gives the route up. */
export const SILENCE_MAX: Micros = 3 * SECOND;
/**
 * Requests remembered, routes through here, own destinations, packets that wait for a route: the
 * oldest gives way, of the last the newest.
 */
const SEEN_MAX = 8_192,
  ROUTES_MAX = 8_192,
  TARGETS_MAX = 1_024,
  WAITING_MAX = 256;
const MODES = {
  service: SERVICE_RELIABLE,
  dissemination: DISSEMINATION_BYZANTINE,
  ttl: 1,
  priority: PRIORITY_DEFAULT,
};

/** What a node in between knows of one source and destination. */
interface Route {
  readonly request: number;
  readonly previous: NodeId;
  next: NodeId | null;
  evidenceAt: Micros;
}

/** A destination of this node. */
interface Target {
  readonly node: NodeId;
  readonly waiting: Ring<KeptPacket>;
  readonly timer: Timer;
  next: NodeId | null;
  request: number;
  attempts: number;
  heardAt: Micros;
}

export class OnDemandBaseline implements Baseline {
  misbehaviour: BaselineMisbehaviour | null = null;
  readonly #env: StrategyEnvironment;
  readonly #targets = new Map<NodeId, Target>();
  readonly #routes = new Map<string, Route>();
  readonly #seen = new Set<string>();
  readonly #delayed = new Set<Timer>();
  readonly #packet = new Packet();
  readonly #again = new Packet();
  readonly #scratch = new Uint8Array(OVERLAY_HEADER_BYTES + MESSAGE_BYTES);
  #request = 0;
  #stopped = false;

  constructor(env: StrategyEnvironment) {
    this.#env = env;
  }

  originate(packet: Packet): DropReason {
    const target = this.#targetOf(packet.destination);
    this.#checkSilence(target);
    const link = target.next === null ? null : this.#linkTo(target.next);
    if (link !== null) return refusalOf(link.offer(packet));
    if (target.next !== null) this.#lose(target);
    if (target.waiting.length === WAITING_MAX) return DropReason.noRoute;
    const kept = this.#env.pool.keep(packet);
    if (kept === null) return DropReason.noRoute;
    target.waiting.push(kept);
    if (!target.timer.armed) this.#ask(target);
    return DropReason.none;
  }

  congested({ destination, service }: Packet): boolean {
    const target = this.#targets.get(destination);
    if (target === undefined) return false;
    if (target.next === null) return target.waiting.length > WAITING_MAX / 2;
    return this.#linkTo(target.next)?.congested(service) ?? false;
  }

  onPacket(packet: Packet, from: NodeId): DropReason {
    if (packet.kind === KIND_ROUTE) return this.#onMessage(packet, from);
    const { self } = this.#env;
    if (packet.destination === self) {
      this.#sayEvidence(packet.source, from);
      this.#env.deliver(packet);
      return DropReason.none;
    }
    if (this.misbehaviour?.onData?.(packet, from) === true) return DropReason.none;
    if (!hop(packet)) return DropReason.ttlExpired;
    const route = this.#routes.get(nameOf(packet.source, packet.destination));
    const link = route === undefined || route.next === null ? null : this.#linkTo(route.next);
    if (link !== null) return refusalOf(link.offer(packet));
    this.#send(from, ERROR, packet.source, packet.destination, route?.request ?? 0);
    return DropReason.noRoute;
  }

  onLinkState(node: NodeId, up: boolean): void {
    if (up) return;
    for (const target of this.#targets.values()) if (target.next === node) this.#lose(target);
  }

  stop(): void {
    this.#stopped = true;
    const { timers, pool } = this.#env;
    for (const timer of this.#delayed) timers.cancel(timer);
    this.#delayed.clear();
    for (const target of this.#targets.values()) this.#end(target, (kept) => pool.release(kept));
    this.#targets.clear();
  }

  /* -------------------------------------------------------------- source */

  #targetOf(node: NodeId): Target {
    const known = this.#targets.get(node);
    if (known !== undefined) return known;
    const target: Target = {
      node,
      waiting: new Ring<KeptPacket>(WAITING_MAX),
      timer: new Timer(() => this.#ask(target)),
      next: null,
      request: 0,
      attempts: 0,
      heardAt: 0,
    };
    this.#targets.set(node, target);
    if (this.#targets.size > TARGETS_MAX) {
      const oldest = this.#targets.values().next().value!;
      this.#end(oldest, (kept) => this.#env.pool.release(kept));
      this.#targets.delete(oldest.node);
    }
    return target;
  }

  #end(target: Target, release: (kept: KeptPacket) => void): void {
    this.#env.timers.cancel(target.timer);
    for (let kept = target.waiting.shift(); kept !== undefined; kept = target.waiting.shift())
      release(kept);
  }

  #checkSilence(target: Target): void {
    if (target.next !== null && this.#env.clock.now() - target.heardAt > SILENCE_MAX)
      this.#lose(target);
  }

  #lose(target: Target): void {
    target.next = null;
    target.attempts = 0;
  }

  #ask(target: Target): void {
    // Whoever waited has been told, or nobody does: the next packet asks.
    if (target.waiting.length === 0) return;
    const { self, clock, timers, links } = this.#env;
    this.#request = (this.#request + 1) >>> 0;
    target.request = this.#request;
    this.#remember(requestName(self, this.#request));
    timers.arm(
      target.timer,
      clock.now() + Math.min(ASK_MOST, ASK_AGAIN * 2 ** Math.min(target.attempts, 8)),
    );
    target.attempts += 1;
    for (const link of links.all())
      if (link.up) this.#send(link.node, REQUEST, self, target.node, this.#request);
  }

  #onAnswered(target: Target, next: NodeId): void {
    const { clock, timers, pool } = this.#env;
    timers.cancel(target.timer);
    target.next = next;
    target.attempts = 0;
    target.heardAt = clock.now();
    const link = this.#linkTo(next);
    this.#end(target, (kept) => {
      if (
        link !== null &&
        this.#again.decode(kept.bytes, kept.start, kept.end, false) === DropReason.none
      )
        link.offer(this.#again);
      pool.release(kept);
    });
    this.#env.onWritable();
  }

  /* -------------------------------------------------------------- messages */

  #onMessage(packet: Packet, from: NodeId): DropReason {
    const { bytes, payloadStart: at, end } = packet;
    if (end - at !== MESSAGE_BYTES) return DropReason.routePartMalformed;
    if (this.misbehaviour?.onRoute?.(bytes.subarray(at, end), from) === true)
      return DropReason.none;
    const type = bytes[at]!,
      source = getU32(bytes, at + 1),
      destination = getU32(bytes, at + 5),
      request = getU32(bytes, at + 9);
    switch (type) {
      case REQUEST:
        return this.#onRequest(source, destination, request, from);
      case ANSWER:
        return this.#onAnswer(source, destination, request, from);
      case EVIDENCE:
      case ERROR:
        return this.#onReport(type, source, destination, request, from);
      default:
        return DropReason.routePartMalformed;
    }
  }

  #onRequest(source: NodeId, destination: NodeId, request: number, from: NodeId): DropReason {
    const { self, clock, timers, rng } = this.#env;
    const name = requestName(source, request);
    if (source === self || this.#seen.has(name)) return DropReason.routeRequestDuplicate;
    this.#remember(name);
    const known = this.#routes.get(nameOf(source, destination));
    // The old route stays in use until the new one has its answer.
    this.#install(nameOf(source, destination), {
      request,
      previous: from,
      next: known?.next ?? null,
      evidenceAt: known?.evidenceAt ?? -EVIDENCE_EVERY,
    });
    if (destination === self) {
      this.#send(from, ANSWER, source, destination, request);
      return DropReason.none;
    }
    if (this.misbehaviour?.rush === true) {
      this.#passOn(source, destination, request, from);
      return DropReason.none;
    }
    const timer = new Timer(() => {
      this.#delayed.delete(timer);
      this.#passOn(source, destination, request, from);
    });
    this.#delayed.add(timer);
    timers.arm(timer, clock.now() + rng.below(REQUEST_JITTER + 1));
    return DropReason.none;
  }

  #passOn(source: NodeId, destination: NodeId, request: number, from: NodeId): void {
    for (const link of this.#env.links.all())
      if (link.up && link.node !== from)
        this.#send(link.node, REQUEST, source, destination, request);
  }

  #onAnswer(source: NodeId, destination: NodeId, request: number, from: NodeId): DropReason {
    if (source === this.#env.self) {
      const target = this.#targets.get(destination);
      if (target === undefined || target.request !== request || target.next !== null)
        return DropReason.routeResponseUnasked;
      this.#onAnswered(target, from);
      return DropReason.none;
    }
    const route = this.#routes.get(nameOf(source, destination));
    if (route === undefined || route.request !== request) return DropReason.routeResponseUnasked;
    route.next = from;
    this.#send(route.previous, ANSWER, source, destination, request);
    return DropReason.none;
  }

  /** Of the destination that data arrives, or of a node on the way that it cannot go on. */
  #onReport(
    type: number,
    source: NodeId,
    destination: NodeId,
    request: number,
    from: NodeId,
  ): DropReason {
    const { self, clock } = this.#env;
    if (source === self) {
      const target = this.#targets.get(destination);
      if (target === undefined || target.next !== from) return DropReason.routeResponseUnasked;
      if (type === EVIDENCE) target.heardAt = clock.now();
      else this.#lose(target);
      return DropReason.none;
    }
    const route = this.#routes.get(nameOf(source, destination));
    if (route === undefined || route.next !== from) return DropReason.routeResponseUnasked;
    if (type === ERROR) route.next = null;
    this.#send(route.previous, type, source, destination, request);
    return DropReason.none;
  }

  #sayEvidence(source: NodeId, from: NodeId): void {
    const { self, clock } = this.#env;
    const route = this.#routes.get(nameOf(source, self));
    if (route === undefined || clock.now() - route.evidenceAt < EVIDENCE_EVERY) return;
    route.evidenceAt = clock.now();
    this.#send(from, EVIDENCE, source, self, route.request);
  }

  /* -------------------------------------------------------------- common */

  #install(name: string, route: Route): void {
    this.#routes.delete(name);
    this.#routes.set(name, route);
    if (this.#routes.size > ROUTES_MAX) this.#routes.delete(this.#routes.keys().next().value!);
  }

  #remember(name: string): void {
    this.#seen.add(name);
    if (this.#seen.size > SEEN_MAX) this.#seen.delete(this.#seen.values().next().value!);
  }

  #linkTo(node: NodeId): NextHop | null {
    const link = this.#env.links.of(node);
    return link?.up ? link : null;
  }

  #send(to: NodeId, type: number, source: NodeId, destination: NodeId, request: number): void {
    const link = this.#linkTo(to);
    if (link === null || this.#stopped) return;
    const b = this.#scratch;
    b[OVERLAY_HEADER_BYTES] = type;
    putU32(b, OVERLAY_HEADER_BYTES + 1, source);
    putU32(b, OVERLAY_HEADER_BYTES + 5, destination);
    putU32(b, OVERLAY_HEADER_BYTES + 9, request);
    this.#packet.compose(
      b,
      0,
      OVERLAY_HEADER_BYTES + MESSAGE_BYTES,
      KIND_ROUTE,
      MODES,
      this.#env.self,
      0,
      to,
      0,
    );
    link.offer(this.#packet);
  }
}

function nameOf(source: NodeId, destination: NodeId): string {
  return `${source} ${destination}`;
}

function requestName(source: NodeId, request: number): string {
  return `${source} ${request}`;
}

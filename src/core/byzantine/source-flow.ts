/**
 * Everything from this node to one destination by one link service: which paths are in use, and
 * what waits for one.
 *
 * Owns the choice among discovered paths, the second path, and the packets that wait. The state of
 * one path is path-flow.ts's. A message keeps its number on every path, so that the destination
 * takes it once. While a search runs all goes on both paths; before that, and over reliable links
 * only, what was lost on one goes once more on the other.
 */

import { equalBytes } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import { MILLISECOND, SECOND, Timer, type Micros } from '../base/time.ts';
import { DropReason } from '../wire/drop.ts';
import { isOver, KIND_STREAM, Packet, SERVICE_RELIABLE, stampEcn } from '../wire/packet.ts';
import type { PacketPool } from '../wire/packet-pool.ts';
import { ANYBODY } from './ask-queue.ts';
import type { DiscoveredPath } from './discovered-path.ts';
import type { Verdict } from './intervals.ts';
import { KeptMessages, type KeptBytes, type KeptMessage } from './kept-messages.ts';
import { PathFlow, type PathFlowEnvironment } from './path-flow.ts';
import { WaitingPackets, type WaitingPacket } from './waiting-packets.ts';
import type { WaitingShares } from './waiting-shares.ts';
import type { WeightList } from './weights.ts';
import type { Withdrawals } from './withdrawals.ts';

/** Packets that wait for a path, or for room on it; more are refused. */
const WAITING_MAX = 4_096;
/**
 * Each message whose fate is known makes room for so many that wait. What is under way doubles in a
 * round trip until the path says that its queues fill: a link may not lose what we send too fast,
 * for its losses convict it. From then on one leaves for each, and no fewer while no more than
 * OPEN_KEPT are under way, which two sources may have in the queue of one link: who holds packets
 * up says the same as a queue does, and may not slow us down further by it.
 */
const WAITING_BURST = 2,
  WAITING_LEAST = 1,
  OPEN_KEPT = 192;
/**
 * A message is sent so often once more: while several nodes misbehave, both paths may be bad until
 * the second search has ended.
 */
const AGAIN_MAX = 6;
/**
 * What waits for a path, or was lost and waits to be sent once more, for so long is given up and
 * told: who comes back after minutes is not asked about it.
 */
export const WAIT_MAX: Micros = 30 * SECOND;
/** While something waits it is looked at this often. */
const LOOK_INTERVAL: Micros = SECOND;
/**
 * What waits to be sent once more leaves a few at a time, with each new message: a path must not be
 * filled by what another one lost.
 */
const IDLE_BURST = 4;
/** So long after it came into use a path gives way to a lighter one. */
const YOUNG: Micros = 500 * MILLISECOND;

/** Remembered of one flow. */
const USERS_MAX = 64;

/** Shared by all flows that there ever are to a destination by a service. */
export interface MessageNumbers {
  next: number;
}

export interface SourceFlowEnvironment extends PathFlowEnvironment {
  readonly pool: PacketPool;
  readonly weights: WeightList;
  /** What the flows keep to send it again, together. */
  readonly kept: KeptBytes;
  /** Paths found last, best first. */
  readonly paths: (destination: NodeId) => readonly DiscoveredPath[];
  /**
   * For the flow's users. `avoid`: a path whose links weigh more in this request, so that others
   * are found as well.
   */
  readonly discover: (flow: SourceFlow, avoid?: readonly NodeId[]) => void;
  /**
   * Of messages to `destination` by `service`, over all flows of this run: the destination
   * remembers those that it had.
   */
  readonly numbersOf: (destination: NodeId, service: number) => MessageNumbers;
  /** What waits for paths, of all flows. */
  readonly waiting: WaitingShares;
  readonly withdrawals: Withdrawals;
  /** Another number after each change of the topology. */
  readonly topologyVersion: () => number;
  /**
   * A path that was congested is not any longer, or is not used any longer: sessions may try again.
   */
  readonly onRoom: () => void;
  /**
   * `bytes[start..end)`, a packet that a session gave, is given up: no path took it, or none
   * brought an answer. Valid during the call only.
   */
  readonly onLost: (bytes: Uint8Array, start: number, end: number) => void;
  /** A link of a path was convicted; the weights have it already. */
  readonly onConviction: (flow: SourceFlow, u: NodeId, v: NodeId, losses: number) => void;
}

export class SourceFlow {
  readonly destination: NodeId;
  readonly service: number;
  readonly #env: SourceFlowEnvironment;
  /** Who sends on it, and when last. */
  readonly users = new Map<object, Micros>();
  readonly #waiting: WaitingPackets;
  readonly #numbers: MessageNumbers;
  readonly #again = new Packet();
  readonly #timer = new Timer(() => this.#look());
  #priority = 1;
  #main: PathFlow | null = null;
  #second: PathFlow | null = null;
  /** When the main path came into use. */
  #chosenAt: Micros = 0;
  /** Version of the topology that the paths were checked against. */
  #topology = -1;
  /**
   * Messages over reliable links, whose loss is told. They go once more on another path when they
   * are lost, where there are second paths.
   */
  readonly #kept: KeptMessages | null;
  /** Some messages are carried by no path. */
  #hasIdle = false;
  /** Messages sent once more. */
  resent = 0;
  faults = 0;
  convictions = 0;

  constructor(destination: NodeId, service: number, env: SourceFlowEnvironment) {
    this.destination = destination;
    this.service = service;
    this.#env = env;
    this.#numbers = env.numbersOf(destination, service);
    this.#waiting = new WaitingPackets(WAITING_MAX, env.pool, env.waiting);
    this.#kept =
      service === SERVICE_RELIABLE
        ? new KeptMessages(env.kept, (head) => env.onLost(head, 0, head.length))
        : null;
  }

  get main(): PathFlow | null {
    return this.#main;
  }

  /** In use while a search runs on the main one, or for what was lost there. */
  get second(): PathFlow | null {
    return this.#second;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** True while a further packet would only wait. */
  get congested(): boolean {
    if (this.#waiting.long) return true;
    if (this.#main === null) return false;
    return (
      this.#main.congested || (this.#main.monitor.searching && this.#second?.congested === true)
    );
  }

  /** When it was used last, by anybody. */
  get usedAt(): Micros {
    let at: Micros = 0;
    for (const used of this.users.values()) at = Math.max(at, used);
    return at;
  }

  /**
   * Sends an inner packet of a local session, or keeps it until there is a path, and room on it. A
   * stream makes no queue that it does not see, and does not wait behind what datagrams make.
   */
  send(packet: Packet): DropReason {
    const user = packet.user ?? ANYBODY;
    this.users.set(user, this.#env.clock.now());
    if (this.users.size > USERS_MAX) this.#forgetUser();
    this.#priority = packet.priority;
    this.#choose();
    const main = this.#main,
      isStream = packet.kind === KIND_STREAM;
    if (main === null) this.#env.discover(this);
    else if (isStream || (this.#waiting.length === 0 && !main.congested))
      return this.#sendNow(packet.bytes, packet.start, packet.end, isStream, packet.ageUs);
    if (!this.#waiting.push(packet, user, this.#env.clock.now() + WAIT_MAX))
      return main === null ? DropReason.noRoute : DropReason.linkQueueFull;
    this.#lookLater();
    return DropReason.none;
  }

  /** A path was found. */
  onPath(path: DiscoveredPath): void {
    const main = this.#main;
    // The first to come may have been hurried. Later a lighter one replaces what is in use only
    // when that has been found wanting: order on a path is worth something.
    const young = this.#env.clock.now() < this.#chosenAt + YOUNG;
    if (
      main !== null &&
      this.#env.weights.pathWeight(path.nodes) < this.#env.weights.pathWeight(main.path.nodes) &&
      (young || this.#weighs(main.path))
    )
      this.#drop();
    this.#choose();
    this.#sendWaiting(Infinity);
  }

  /** Sends `least` of what waits, and up to `most` as long as there is room on the path. */
  #sendWaiting(most: number, least = 0): void {
    for (let i = 0; i < most && this.#main !== null; i += 1) {
      if (i >= least && this.#main.congested) return;
      const wasLong = this.#waiting.long;
      const waiting = this.#waiting.shift();
      if (waiting === undefined) return;
      const again = this.#again,
        { bytes, start, end } = waiting.kept;
      let reason = again.decode(bytes, start, end, false);
      const ageUs = this.#ageOf(waiting);
      if (reason === DropReason.none && isOver(again, ageUs)) reason = DropReason.realtimeLate;
      if (reason === DropReason.none)
        reason = this.#sendNow(bytes, start, end, again.kind === KIND_STREAM, ageUs);
      this.#release(waiting, reason !== DropReason.none);
      if (wasLong && !this.#waiting.long) this.#env.onRoom();
    }
  }

  #ageOf({ kept, until }: WaitingPacket): Micros {
    return kept.ageUs + this.#env.clock.now() - (until - WAIT_MAX);
  }

  /**
   * The daemon of `node` was started anew, ours included: paths that have it end, and what was lost
   * there is nobody's work. A node between that is started again and again is avoided for longer
   * each time, so that it is no way to drop unpunished.
   */
  onRestart(node: NodeId): void {
    const { withdrawals, clock, self } = this.#env;
    if (this.#second?.path.nodes.includes(node) === true) this.#dropSecond();
    if (this.#main?.path.nodes.includes(node) !== true) return;
    if (node !== this.destination && node !== self)
      withdrawals.noteRestart(this.#main.path.nodes, node, clock.now());
    this.#replaceMain();
  }

  /** A neighbour's link went down. */
  onLinkDown(): void {
    if (this.#main?.link === null) this.#drop();
    if (this.#second?.link === null) this.#dropSecond();
    this.#choose();
  }

  /** `giveUp`: the daemon goes on without this flow, and what waits in it is told. */
  stop(giveUp = false): void {
    if (!giveUp) this.#kept?.clear();
    this.#drop();
    this.#env.timers.cancel(this.#timer);
    if (giveUp) for (const message of this.#kept?.idle(Infinity) ?? []) this.#giveUp(message);
    this.#kept?.clear();
    for (;;) {
      const waiting = this.#waiting.shift();
      if (waiting === undefined) return;
      this.#release(waiting, giveUp);
    }
  }

  /**
   * What has waited for too long is given up; where nothing else happens, what waits is tried
   * again.
   */
  #look(): void {
    const now = this.#env.clock.now();
    for (;;) {
      const late = this.#waiting.shiftExpired(now);
      if (late === undefined) break;
      this.#release(late, true);
    }
    if (this.#waiting.length > 0 || this.#hasIdle) this.#choose();
    this.#sendWaiting(WAITING_BURST);
    if (this.#hasIdle && this.#main !== null && this.#takesAgain(this.#main)) this.#sendIdle();
    if (this.#hasIdle) {
      const idle = this.#kept?.idle(Infinity) ?? [];
      for (const message of idle) if (now - message.sentAt >= WAIT_MAX) this.#giveUp(message);
      this.#hasIdle = idle.some(({ sentAt }) => now - sentAt < WAIT_MAX);
    }
    if (this.#waiting.length > 0 || this.#hasIdle) this.#lookLater();
    this.#env.onRoom();
  }

  #lookLater(): void {
    if (!this.#timer.armed)
      this.#env.timers.arm(this.#timer, this.#env.clock.now() + LOOK_INTERVAL);
  }

  #release({ kept }: WaitingPacket, lost: boolean): void {
    if (lost) this.#env.onLost(kept.bytes, kept.start, kept.end);
    this.#env.pool.release(kept);
  }

  #giveUp({ number, bytes }: KeptMessage): void {
    this.#kept!.drop(number);
    this.#env.onLost(bytes, 0, bytes.length);
  }

  #sendNow(
    bytes: Uint8Array,
    start: number,
    end: number,
    isStream: boolean,
    ageUs: Micros,
  ): DropReason {
    const number = this.#numbers.next;
    this.#numbers.next += 1;
    const main = this.#main!;
    // Nobody on the way can mark what is sealed: its source does, by how long answers take.
    if (isStream && main.marks) stampEcn(bytes, start);
    if (this.#second === null && main.monitor.searching && this.#env.options.secondPath)
      this.#second = this.#open(this.#mostDisjoint(main.path));
    const second = this.#second;
    const on: PathFlow[] = [];
    let reason = main.send(number, bytes, start, end, ageUs);
    if (reason === DropReason.none) on.push(main);
    if (second !== null) {
      // Before its link is asked for room: nothing of the search is left on it.
      if (!main.monitor.searching && second.open === 0) this.#dropSecond();
      else if (main.monitor.searching && !second.congested) {
        const other = second.send(number, bytes, start, end, ageUs);
        if (other === DropReason.none) on.push(second);
        if (reason !== DropReason.none) reason = other;
      }
    }
    const kept = this.#kept;
    if (kept === null || on.length === 0) return reason;
    if (this.#env.options.secondPath)
      kept.keep(number, bytes, start, end, on, this.#env.clock.now());
    else kept.watch(number, bytes, start, end, on);
    return reason;
  }

  /** What becomes of a message on `flow` is known. */
  #onMessage(flow: PathFlow, number: number, arrived: boolean): void {
    const kept = this.#kept;
    const message = kept?.get(number);
    if (message === undefined) kept?.onFate(flow, number, arrived);
    else if (arrived) kept!.drop(number);
    else {
      message.on.delete(flow);
      if (message.on.size === 0) this.#onLost(flow, message);
    }
    if (this.#hasIdle && this.#main !== null && this.#takesAgain(this.#main)) this.#sendIdle();
    const keeps = flow === this.#main && flow.open < OPEN_KEPT;
    this.#sendWaiting(WAITING_BURST, keeps ? WAITING_LEAST : 0);
  }

  /** No path carries it any longer. */
  #onLost(flow: PathFlow, message: KeptMessage): void {
    if (flow === this.#main) this.#second ??= this.#open(this.#mostDisjoint(flow.path));
    // Where no other path is known the same one may do better the second time: a link was down for
    // a moment.
    const other = flow === this.#main ? (this.#second ?? flow) : this.#main;
    if (other === null || !this.#sendAgain(message, other)) this.#giveUp(message);
  }

  /**
   * Whether what was lost twice may go on `path`: there is room, and no doubt about it that others
   * would settle.
   */
  #takesAgain(path: PathFlow): boolean {
    return !path.congested && (!path.monitor.searching || path.open === 0);
  }

  /**
   * Sends it once more, or lets it wait until it can be. False when it went too often already, or
   * can't go there: to another run of its destination, say.
   */
  #sendAgain(message: KeptMessage, path: PathFlow): boolean {
    const { number, bytes } = message;
    if (message.again >= AGAIN_MAX || !equalBytes(message.to, path.destinationKey)) return false;
    if (message.again === 0 ? path.congested : !this.#takesAgain(path)) {
      this.#becomesIdle();
      return true;
    }
    if (path.send(number, bytes, 0, bytes.length) !== DropReason.none) return false;
    message.again += 1;
    message.on.add(path);
    this.resent += 1;
    return true;
  }

  /** Messages that no path carries go on the main one, a few at a time. */
  #sendIdle(): void {
    const kept = this.#kept,
      main = this.#main;
    if (kept === null || main === null || kept.size === 0) return;
    const idle = kept.idle(IDLE_BURST);
    // More may wait behind these; what becomes of the next message known takes them along.
    this.#hasIdle = idle.length === IDLE_BURST;
    for (const message of idle) if (!this.#sendAgain(message, main)) this.#giveUp(message);
    if (this.#hasIdle) this.#lookLater();
  }

  #becomesIdle(): void {
    this.#hasIdle = true;
    this.#lookLater();
  }

  /** Makes sure that there is a path in use, if one is known. */
  #choose(): void {
    this.#checkTopology();
    if (this.#main !== null && this.#main.link === null) this.#drop();
    if (this.#main !== null) return;
    for (const path of this.#byWeight()) {
      this.#main = this.#open(path);
      if (this.#main === null) continue;
      this.#chosenAt = this.#env.clock.now();
      this.#sendIdle();
      this.#sendWaiting(WAITING_BURST);
      return;
    }
    this.#env.discover(this);
  }

  /**
   * Leaves paths that have a link which its ends have withdrawn: what is lost there is nobody's
   * work.
   */
  #checkTopology(): void {
    const { topologyVersion, withdrawals, clock } = this.#env;
    const version = topologyVersion();
    if (version === this.#topology) return;
    this.#topology = version;
    if (this.#second !== null && !withdrawals.check(this.#second.path.nodes, clock.now()))
      this.#dropSecond();
    if (this.#main === null || withdrawals.check(this.#main.path.nodes, clock.now())) return;
    this.#env.discover(this);
    this.#replaceMain();
  }

  #open(path: DiscoveredPath | null): PathFlow | null {
    if (path === null) return null;
    const flow = new PathFlow(path, this.service, this.#priority, this.#env, {
      onVerdict: (of, verdict) => this.#onVerdict(of, verdict),
      onDelivered: () => this.#env.weights.onDelivered(),
      onRoom: () => {
        this.#sendWaiting(WAITING_BURST);
        this.#env.onRoom();
      },
      onMessage: (of, number, arrived) => this.#onMessage(of, number, arrived),
    });
    return flow.usable ? flow : null;
  }

  /**
   * By the weights of now, with a first link that is up. A convicted link is taken only when there
   * is nothing lighter, and a path with a link that comes and goes only when there is no other.
   */
  #byWeight(): DiscoveredPath[] {
    const { weights, withdrawals, clock } = this.#env;
    const now = clock.now();
    const rated = this.#usable().map((path) => ({
      path,
      shaky: withdrawals.isShaky(path.nodes, now) ? 1 : 0,
      weight: weights.pathWeight(path.nodes),
    }));
    return rated.sort((a, b) => a.shaky - b.shaky || a.weight - b.weight).map(({ path }) => path);
  }

  /**
   * The path that shares fewest nodes with `path`, of those without a convicted link if there are
   * any; null when every other one shares its first link's far end and all the rest.
   */
  #mostDisjoint(path: DiscoveredPath): DiscoveredPath | null {
    const inside = new Set(path.nodes.slice(1, -1));
    let best: DiscoveredPath | null = null,
      least = Infinity;
    for (const other of this.#usable()) {
      const shared = other.nodes.slice(1, -1).filter((node) => inside.has(node)).length;
      if (shared >= inside.size) continue;
      const cost = shared + (this.#weighs(other) ? inside.size : 0);
      if (cost < least) [best, least] = [other, cost];
    }
    return best;
  }

  #usable(): DiscoveredPath[] {
    const { paths, linkTo, withdrawals } = this.#env;
    return paths(this.destination).filter(
      (path) => linkTo(path.nodes[1]!) !== null && withdrawals.stands(path.nodes),
    );
  }

  /** Whether a link of the path has been convicted. */
  #weighs(path: DiscoveredPath): boolean {
    return this.#env.weights.pathWeight(path.nodes) > path.nodes.length - 1;
  }

  #onVerdict(flow: PathFlow, verdict: Verdict): void {
    if (verdict.kind === 'fault') {
      this.faults += 1;
      // Paths as light as this one were not passed on: another than it is needed now.
      if (
        flow === this.#main &&
        this.#env.options.secondPath &&
        this.#mostDisjoint(flow.path) === null
      )
        this.#env.discover(this, flow.path.nodes);
      return;
    }
    this.convictions += 1;
    // What is under way on it is as good as lost: a link pays for that, too.
    this.#env.onConviction(this, verdict.u, verdict.v, verdict.losses + flow.open);
    if (flow === this.#second) this.#dropSecond();
    if (flow === this.#main) this.#replaceMain();
    this.#env.discover(this);
  }

  /** The one that used it longest ago. */
  #forgetUser(): void {
    let oldest: object = ANYBODY,
      at = Infinity;
    for (const [user, used] of this.users) if (used < at) [oldest, at] = [user, used];
    this.users.delete(oldest);
  }

  /**
   * After a conviction: when the second path is what is best now, all that is known of it stays.
   */
  #replaceMain(): void {
    this.#end(this.#main);
    this.#main = null;
    const second = this.#second;
    const [best] = this.#byWeight();
    if (second !== null && best !== undefined && equalBytes(best.id, second.path.id)) {
      this.#main = second;
      this.#chosenAt = this.#env.clock.now() - YOUNG;
      this.#second = null;
      this.#sendIdle();
    } else {
      this.#dropSecond();
    }
    this.#choose();
  }

  #drop(): void {
    this.#end(this.#main);
    this.#main = null;
    this.#dropSecond();
  }

  #dropSecond(): void {
    this.#end(this.#second);
    this.#second = null;
  }

  #end(path: PathFlow | null): void {
    if (path === null) return;
    path.end();
    this.#env.onRoom();
    this.#kept?.leave(path);
    if (this.#kept !== null && this.#kept.size > 0) this.#becomesIdle();
  }
}

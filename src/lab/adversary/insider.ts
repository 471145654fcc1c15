/**
 * One adversary of a simulated world: its hands. It reads and changes what comes to it, sends any
 * bytes over its links, uses its own keys and knows at once what the others know. It can't break
 * primitives nor speak for a node that is not one of them.
 */

import { assert } from '../../core/base/assert.ts';
import { getU32, putU32 } from '../../core/base/bytes.ts';
import type { NodeId } from '../../core/base/ids.ts';
import { nullLog } from '../../core/base/log.ts';
import type { Rng } from '../../core/base/rng.ts';
import type { Micros, Timers } from '../../core/base/time.ts';
import { ByzantineRouter } from '../../core/byzantine/byzantine-router.ts';
import { ROUTE_HOP_LABEL } from '../../core/byzantine/verified.ts';
import { RouteMessages } from '../../core/byzantine/route-messages.ts';
import { labelled } from '../../core/crypto/keys.ts';
import { Membership } from '../../core/crypto/membership.ts';
import type { Laboratory } from '../misbehaviour/misbehaviour.ts';
import type { SpinesNode } from '../../core/node/node.ts';
import { appendRouteHop, type RouteResponse, type Sign } from '../../core/wire/discovery.ts';
import {
  DISSEMINATION_BYZANTINE,
  KIND_PROBED,
  Packet,
  PRIORITY_DEFAULT,
  TTL_DEFAULT,
} from '../../core/wire/packet.ts';
import {
  encodeProbedAckHead,
  type ProbedAckHead,
  type ProbedData,
} from '../../core/wire/probed.ts';
import { OVERLAY_HEADER_BYTES, PACKET_BYTES_MAX } from '../../core/wire/sizes.ts';
import { SIM_EPOCH } from '../sim/sim-authority.ts';
import type { SimHost } from '../sim/world.ts';

/**
 * An acknowledgement's layer as its node seals it: who makes onions with these primitives sees this
 * in front of what is authenticated.
 */
const ACK_LABEL = [0x41, 0x43, 0x4b] as const;
const HOLD_AT = 1;

/** The adversaries of a world, as each of them knows the others. */
export interface Fellows {
  readonly members: readonly Adversary[];
  has(node: NodeId): boolean;
  /** A wire of 0.1 ms that only these two know of until they advertise it. */
  tunnel(a: SimHost, b: SimHost): void;
}

export class Adversary implements Laboratory {
  readonly colluders: Fellows;
  readonly host: SimHost;
  readonly node: SpinesNode;
  readonly what: string;
  readonly rng: Rng;
  router: ByzantineRouter;
  /** It has an end of a tunnel. */
  tunnelled = false;
  /** Until it became honest, crashed or did something else. */
  #active = true;
  readonly #messages: RouteMessages;
  readonly #packet = new Packet();
  readonly #scratch = new Uint8Array(PACKET_BYTES_MAX);

  constructor(colluders: Fellows, host: SimHost, what: string, rng: Rng) {
    assert(host.node.byzantine !== null, 'adversaries need a network with identities');
    this.colluders = colluders;
    this.host = host;
    this.node = host.node;
    this.what = what;
    this.rng = rng;
    this.router = host.node.byzantine;
    this.#messages = new RouteMessages(host.id);
  }

  get id(): NodeId {
    return this.host.id;
  }

  /** Those with a link that is up. */
  get neighbours(): NodeId[] {
    return [...this.node.links.all()].filter((link) => link.up).map((link) => link.node);
  }

  get active(): boolean {
    return this.#active && this.host.running && this.host.node === this.node;
  }

  end(): void {
    this.#active = false;
  }

  later(us: Micros, action: () => void): void {
    const { world } = this.host;
    world.schedule(world.now() + us, () => {
      if (!this.active) return;
      action();
      this.host.endTurn();
    });
  }

  /** Again and again, `perSecond` times. */
  every(perSecond: number, action: () => void): void {
    const wait = Math.max(1, Math.round(1_000_000 / perSecond));
    this.later(wait, () => {
      action();
      this.every(perSecond, action);
    });
  }

  /** Its own hop behind `response`, with any key of its choice. */
  hopBehind(response: RouteResponse, key: Uint8Array): Uint8Array {
    return appendRouteHop(response, this.id, key, this.sign(ROUTE_HOP_LABEL));
  }

  sign(label: string): Sign {
    const { primitives, identity } = this.host.membership!;
    return (part) =>
      primitives.sign(
        labelled(label, part),
        identity.signing.secret.reveal(),
        identity.signing.publicKey,
      );
  }

  sendRoute(to: NodeId, message: Uint8Array): void {
    const link = this.node.links.of(to);
    if (link?.up === true) this.#messages.send(link, message);
  }

  floodRoute(message: Uint8Array, except: readonly NodeId[] = []): void {
    for (const neighbour of this.neighbours)
      if (!except.includes(neighbour)) this.sendRoute(neighbour, message);
  }

  /** Any bytes as an acknowledgement's onion. */
  sendAck(to: NodeId, head: ProbedAckHead, onion: Uint8Array, service: number): void {
    const b = this.#scratch;
    const at = encodeProbedAckHead(head, b, OVERLAY_HEADER_BYTES);
    b.set(onion, at);
    const modes = {
      service,
      dissemination: DISSEMINATION_BYZANTINE,
      ttl: TTL_DEFAULT,
      priority: PRIORITY_DEFAULT,
    };
    this.#packet.compose(b, 0, at + onion.length, KIND_PROBED, modes, this.id, 0, to, 0);
    this.sendPacket(to, this.#packet);
  }

  sendPacket(to: NodeId, packet: Packet): void {
    const link = this.node.links.of(to);
    if (link?.up === true) link.offer(packet);
  }

  /** The one before and the one behind on the route of `data`; null where there is none. */
  beside(data: ProbedData): { readonly before: NodeId; readonly behind: NodeId | null } | null {
    const place = data.indexOf(this.id);
    if (place < 0) return null;
    return {
      before: place === 0 ? data.source : data.hop(place - 1),
      behind: place === data.hops - 1 ? null : data.hop(place + 1),
    };
  }

  /**
   * Puts a router in place of the daemon's whose layers of acknowledgements say of the hold time
   * what `lie` makes of it. Its epoch key is new: what goes through here on older paths is lost
   * here.
   */
  lieAboutHolds(lie: (holdUs: Micros) => Micros): void {
    const { host, node } = this;
    const { world } = host;
    const honest = host.membership!,
      real = honest.primitives;
    const primitives: typeof real = {
      ...real,
      encrypt: (key, number, associated, plain) => {
        if (ACK_LABEL.every((byte, i) => associated[i] === byte))
          putU32(plain, HOLD_AT, Math.max(0, lie(getU32(plain, HOLD_AT))));
        return real.encrypt(key, number, associated, plain);
      },
    };
    const credentials = {
      identity: honest.identity,
      previous: [],
      trust: world.authority!.trust(),
    };
    const membership = new Membership(
      primitives,
      credentials,
      { now: () => SIM_EPOCH + host.now() + host.wallSkewUs },
      honest.random,
    );
    // The daemon's own timers end its turns; these are the world's, and the turn is ended beside
    // them.
    const timers: Timers = {
      arm: (timer, at) => {
        world.timers.arm(timer, Math.max(at, world.now()));
        world.schedule(at, () => host.endTurn());
      },
      cancel: (timer) => world.timers.cancel(timer),
    };
    this.router = new ByzantineRouter({
      self: host.id,
      clock: world,
      timers,
      rng: this.rng.fork('router'),
      log: nullLog,
      drops: node.drops,
      pool: node.pool,
      links: node.links,
      topology: node.router,
      membership,
      options: node.config.byzantine,
      nodesMost: node.config.limits.nodes,
      deliver: (packet) => node.dissemination.deliver(packet),
      onWritable: () => {},
      onLost: () => {},
    });
    node.byzantine!.stop();
    node.dissemination.use(DISSEMINATION_BYZANTINE, this.router);
  }
}

/**
 * Adversaries of a simulated world: nodes that conspire, each with full power over itself.
 *
 * Owns who they are, what they share and their hands: they read and change what comes to them, send
 * any bytes over their links, use their own keys, hold tunnels to each other, and know at once what
 * the others know. They can't break primitives nor speak for a node that is not one of them. What
 * they do by name is adversary-deeds.ts's; deeds that a daemon can do alone are
 * lab/misbehaviour/misbehaviour.ts's. Used by run-virtual.ts and by tests.
 */

import type { NodeId } from '../../core/base/ids.ts';
import type { Rng } from '../../core/base/rng.ts';
import type { Micros } from '../../core/base/time.ts';
import { changeDirection, defaultDirection } from '../../core/emulation/link-settings.ts';
import { deedOf, orderOf, setDeed } from '../misbehaviour/misbehaviour.ts';
import { DEEDS } from './adversary-deeds.ts';
import { Adversary } from './insider.ts';
import type { SimHost, World } from '../sim/world.ts';

/** A private way between two of them. */
const TUNNEL_US: Micros = 100;

export class Colluders {
  readonly world: World;
  readonly #members = new Map<SimHost, Adversary>();
  readonly #rng: Rng;

  constructor(world: World) {
    this.world = world;
    this.#rng = world.rng.fork('colluders');
  }

  get members(): readonly Adversary[] {
    return [...this.#members.values()];
  }

  has(node: NodeId): boolean {
    for (const { id } of this.#members.keys()) if (id === node) return true;
    return false;
  }

  /**
   * From now on `host`, which runs, does `what`; "none" makes it honest. Throws SpinesError EINVAL
   * for what is no such name.
   */
  set(host: SimHost, what: string): Adversary | null {
    const order = orderOf(what);
    const before = this.#members.get(host);
    before?.end();
    this.#members.delete(host);
    if (order.name === 'none') {
      if (before !== undefined && host.running && host.node === before.node) setDeed(before, null);
      return null;
    }
    const adversary = new Adversary(
      this,
      host,
      what,
      this.#rng.fork(`${host.name} ${this.world.now()}`),
    );
    this.#members.set(host, adversary);
    const make = DEEDS[order.name];
    setDeed(
      adversary,
      make === undefined ? deedOf(adversary, order) : make(adversary, order.amount),
    );
    return adversary;
  }

  /** A wire of 0.1 ms that only these two know of until they advertise it. */
  tunnel(a: SimHost, b: SimHost): void {
    if (a.wires.has(b.endpoint.key)) return;
    const settings = changeDirection(defaultDirection(), { latencyUs: TUNNEL_US });
    this.world.connect(a, b, settings, settings);
    a.node.reconfigure({ ...a.node.config, dials: [...a.dials] });
    a.endTurn();
  }
}

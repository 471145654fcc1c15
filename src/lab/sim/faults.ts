/**
 * Faults that a run can suffer: wires cut and healed, hosts crashed and restarted, the network
 * partitioned.
 *
 * Thin verbs on World and SimHost, so that topology events, tests and swarms speak the same
 * language.
 */

import type { SimHost, World } from './world.ts';

export function setWire(a: SimHost, b: SimHost, up: boolean): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    const wire = from.wires.get(to.endpoint.key);
    wire?.model.set({ up });
  }
}

export function cut(a: SimHost, b: SimHost): void {
  setWire(a, b, false);
}

export function heal(a: SimHost, b: SimHost): void {
  setWire(a, b, true);
}

/** Cuts every wire between hosts of different groups; returns how to undo it. */
export function partition(world: World, groups: readonly (readonly SimHost[])[]): () => void {
  const groupOf = new Map<SimHost, number>();
  groups.forEach((hosts, i) => hosts.forEach((host) => groupOf.set(host, i)));
  const crossing = world.wires.filter(
    (wire) => groupOf.get(wire.from) !== groupOf.get(wire.to) && wire.model.settings.up,
  );
  for (const wire of crossing) wire.model.set({ up: false });
  return () => {
    for (const wire of crossing) wire.model.set({ up: true });
  };
}

/**
 * Queues are fair by what cannot be forged: an insider that floods an honest bottleneck, in
 * whatever name, takes no room from what came by another link, nor from Byzantine flows, and has no
 * honest link convicted. Virtual time, whole daemons.
 */

import { describe, expect, test } from 'vitest';

import { getU32 } from '../../src/core/base/bytes.ts';
import type { NodeId } from '../../src/core/base/ids.ts';
import { Rng } from '../../src/core/base/rng.ts';
import { MILLISECOND as MS, SECOND } from '../../src/core/base/time.ts';
import { pathId } from '../../src/core/byzantine/discovered-path.ts';
import { draw } from '../../src/core/crypto/keys.ts';
import { cheapPrimitives } from '../../src/lab/sim/cheap-primitives.ts';
import { SimFlow } from '../../src/lab/sim/flow.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import {
  DISSEMINATION_BYZANTINE,
  DISSEMINATION_LINK_STATE,
  KIND_DATAGRAM,
  KIND_PROBED,
  Packet,
  SERVICE_RELIABLE,
  TTL_DEFAULT,
} from '../../src/core/wire/packet.ts';
import { encodeProbedHead } from '../../src/core/wire/probed.ts';
import { OVERLAY_HEADER_BYTES } from '../../src/core/wire/sizes.ts';
import { AdversaryLab, modeOf, type Edge } from '../support/adversary-lab.ts';

const S = 0,
  D = 1,
  M = 4;
/** The only way is S - 5 - 2 - 3 - D, of which 2-3 is narrow; 6 is an honest neighbour of 2. */
const SCENES: Readonly<Record<string, readonly (readonly [number, number])[]>> = {
  'beside the bottleneck': [
    [S, 5],
    [5, 2],
    [2, 3],
    [3, D],
    [6, 2],
    [M, 2],
  ],
  'two hops in front of it, behind an honest node': [
    [S, 5],
    [5, 2],
    [2, 3],
    [3, D],
    [6, 2],
    [M, 5],
  ],
};
const NARROW_KBPS = 4_000,
  FLOOD_BYTES = 1_000;

type Flood = (l: AdversaryLab, hops: readonly NodeId[], n: number) => Packet;

function linkState(source: (l: AdversaryLab, n: number) => NodeId): Flood {
  return (l, _hops, n) => {
    const b = new Uint8Array(OVERLAY_HEADER_BYTES + FLOOD_BYTES),
      packet = new Packet();
    packet.compose(
      b,
      0,
      b.length,
      KIND_DATAGRAM,
      {
        service: SERVICE_RELIABLE,
        dissemination: DISSEMINATION_LINK_STATE,
        ttl: TTL_DEFAULT,
        priority: 1,
      },
      source(l, n),
      9,
      l.host(D).id,
      9,
    );
    return packet;
  };
}

/**
 * In the victim's name, on a path that leads through the insider, over the bottleneck and to
 * `destination`; nobody before its end can tell.
 */
function probed(destination: (l: AdversaryLab) => NodeId): Flood {
  const rng = new Rng(8);
  return (l, hops, n) => {
    const source = l.host(S).id,
      route = [...hops, destination(l)],
      id = pathId(cheapPrimitives, [source, ...route]);
    const b = new Uint8Array(OVERLAY_HEADER_BYTES + FLOOD_BYTES + 200),
      packet = new Packet();
    const at = encodeProbedHead(
      {
        epoch: 1,
        pathHigh: getU32(id, 0),
        pathLow: getU32(id, 4),
        counter: n,
        mayWait: false,
        pieceIndex: 0,
        pieceCount: 1,
        route,
        sealedBytes: FLOOD_BYTES,
      },
      b,
      OVERLAY_HEADER_BYTES,
    );
    const end = at + FLOOD_BYTES + 20;
    b.set(draw(rng, end - at), at);
    packet.compose(
      b,
      0,
      end,
      KIND_PROBED,
      {
        service: SERVICE_RELIABLE,
        dissemination: DISSEMINATION_BYZANTINE,
        ttl: TTL_DEFAULT,
        priority: 1,
      },
      source,
      0,
      route.at(-1)!,
      0,
    );
    return packet;
  };
}

const FLOODS: Readonly<Record<string, Flood>> = {
  'link-state packets that name the victim': linkState((l) => l.host(S).id),
  'link-state packets that name 400 sources': linkState((_l, n) => 0x0a01_0000 + (n % 400)),
  "link-state packets that name the victim's neighbours": linkState(
    (l, n) => l.host([5, 6, 2][n % 3]!).id,
  ),
  'probed packets that name the victim on a made-up path': probed(() => 0x0b00_0001),
  'probed packets that name the victim on a path that ends like a known one': probed(
    (l) => l.host(D).id,
  ),
};

/** The insider says it to its only neighbour, `perSecond` times a second. */
function flood(
  l: AdversaryLab,
  from: SimHost,
  hops: readonly NodeId[],
  make: Flood,
  perSecond: number,
): void {
  let n = 0;
  const again = (): void => {
    for (let i = 0; i < perSecond / 200; i += 1)
      [...from.node.links.all()].find((link) => link.up)!.offer(make(l, hops, (n += 1)));
    from.endTurn();
    l.world.schedule(l.world.now() + 5 * MS, again);
  };
  again();
}

describe.each(Object.entries(SCENES))('a flood by an insider %s', (_where, pairs) => {
  test.each(Object.entries(FLOODS))('of %s', (_what, make) => {
    const edges: Edge[] = pairs.map(([a, b]) => ({
      a,
      b,
      latencyUs: 3 * MS,
      bandwidthKbps: a === 2 && b === 3 ? NARROW_KBPS : 100_000,
    }));
    const l = new AdversaryLab({ seed: 1, nodes: 7, edges, options: modeOf('secure') });
    l.flow(S, D, 50, SERVICE_RELIABLE);
    l.flow(2, D, 50, SERVICE_RELIABLE);
    const settings = {
      packetsPerSecond: 50,
      sizeBytes: 200,
      startUs: 0,
      durationUs: 3_600 * SECOND,
      count: null,
      options: { service: SERVICE_RELIABLE },
    };
    // Link state, by a link of its own, and by programs of the node at the bottleneck.
    const beside = [6, 2].map(
      (from, i) => new SimFlow(l.world, 50 + i, l.host(from), l.host(D), settings, l.world.now()),
    );
    l.run(2 * SECOND);
    const m = l.host(M),
      first = [...m.node.links.all()].find((link) => link.up)!.node;
    const hops = [
      m.id,
      first,
      ...[2, 3].map((index) => l.host(index).id).filter((id) => id !== first),
    ];
    flood(l, m, hops, make, 1_200);
    l.run(2 * SECOND);
    const all = [...l.flows.map(({ flow }) => flow), ...beside];
    const before = all.map(({ sent, meter }) => [sent, meter.delivered] as const);
    l.run(6 * SECOND);
    const parts = all.map(
      (flow, i) => (flow.meter.delivered - before[i]![1]) / (flow.sent - before[i]![0]),
    );
    expect(l.violations).toEqual([]);
    for (const part of parts) expect(part, parts.join()).toBeGreaterThanOrEqual(0.99);
    // Or there was no flood at all.
    expect(
      (l.host(2).node.drops.snapshot() as Record<string, number>)['linkQueueFull'],
    ).toBeGreaterThan(1_000);
  });
});

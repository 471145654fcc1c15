/**
 * Messages that never come whole: an insider sends single pieces in made-up names, in a few, or as
 * itself by Byzantine routing, as fast as it likes. Long messages of others arrive all the same, by
 * link state over another link and over the insider's own, and by Byzantine routing.
 */

import { describe, expect, test } from 'vitest';

import { MILLISECOND as MS, SECOND } from '../../src/core/base/time.ts';
import { SimFlow } from '../../src/lab/sim/flow.ts';
import { DropReason } from '../../src/core/wire/drop.ts';
import {
  encodeFragmentHead,
  FRAGMENT_BYTES,
  FRAGMENT_HEAD_BYTES,
  FRAGMENTS_MAX,
} from '../../src/core/wire/fragment.ts';
import {
  DISSEMINATION_BYZANTINE,
  DISSEMINATION_LINK_STATE,
  KIND_FRAGMENT,
  KIND_SEQUENCED,
  Packet,
  SERVICE_BEST_EFFORT,
  SERVICE_RELIABLE,
  TTL_DEFAULT,
} from '../../src/core/wire/packet.ts';
import {
  encodeSequencedHead,
  PIECE_BYTES,
  PIECES_MAX,
  SEQUENCED_HEAD_BYTES,
} from '../../src/core/wire/sequenced.ts';
import { OVERLAY_HEADER_BYTES } from '../../src/core/wire/sizes.ts';
import { AdversaryLab, modeOf, type Edge } from '../support/adversary-lab.ts';

const CALLER = 0,
  LISTENER = 1,
  INSIDER = 4,
  BESIDE = 5,
  PORT = 7_000;
/**
 * Two ways from caller to listener, an insider beside one of them, and another neighbour of the
 * listener. A long message of the honest takes a tenth of a second.
 */
const SLOW_KBPS = 8_000,
  FAST_KBPS = 100_000;
const EDGES: Edge[] = (
  [
    [0, 2],
    [0, 3],
    [5, 1],
    [2, 1],
    [3, 1],
    [4, 2],
  ] as const
).map(([a, b], i) => ({ a, b, latencyUs: 3 * MS, bandwidthKbps: i < 3 ? SLOW_KBPS : FAST_KBPS }));

/** In whose name the `n`th piece comes; null: the insider's own, by Byzantine routing. */
type Names = ((n: number) => number) | null;
const NAMES: Record<string, Names> = {
  'in 20,000 made-up names': (n) => 0x0a10_0000 + (n % 20_000),
  "in the caller's name": () => 0x0a00_0001,
  'of its own by Byzantine routing': null,
};

function pieceOf(service: number, n: number): { kind: number; bytes: Uint8Array } {
  if (service === SERVICE_RELIABLE) {
    const bytes = new Uint8Array(SEQUENCED_HEAD_BYTES + PIECE_BYTES);
    encodeSequencedHead({ run: n, message: 1, index: 1, count: PIECES_MAX }, bytes, 0);
    return { kind: KIND_SEQUENCED, bytes };
  }
  const bytes = new Uint8Array(FRAGMENT_HEAD_BYTES + FRAGMENT_BYTES);
  encodeFragmentHead({ message: n, index: 1, count: FRAGMENTS_MAX }, bytes, 0);
  return { kind: KIND_FRAGMENT, bytes };
}

function flood(lab: AdversaryLab, service: number, names: Names, perSecond: number): void {
  const insider = lab.host(INSIDER),
    to = lab.host(LISTENER).id;
  let n = 0;
  const again = (): void => {
    for (let i = 0; i < perSecond / 200; i += 1) {
      n += 1;
      const { kind, bytes } = pieceOf(service, n),
        b = new Uint8Array(OVERLAY_HEADER_BYTES + bytes.length),
        packet = new Packet();
      b.set(bytes, OVERLAY_HEADER_BYTES);
      const modes = {
        service,
        dissemination: names === null ? DISSEMINATION_BYZANTINE : DISSEMINATION_LINK_STATE,
        ttl: TTL_DEFAULT,
        priority: 1,
      };
      packet.compose(b, 0, b.length, kind, modes, names?.(n) ?? insider.id, 9, to, PORT);
      if (names === null) insider.node.dissemination.originate(packet);
      else insider.node.router.nextHop(to)!.offer(packet);
    }
    insider.endTurn();
    lab.world.schedule(lab.world.now() + 5 * MS, again);
  };
  again();
}

const BEST_EFFORT = ['best-effort', SERVICE_BEST_EFFORT] as const,
  RELIABLE = ['reliable', SERVICE_RELIABLE] as const;
const EACH =
  process.env['SPINES_LONG'] === '1'
    ? Object.keys(NAMES).flatMap((names) => [
        [names, ...BEST_EFFORT] as const,
        [names, ...RELIABLE] as const,
      ])
    : ([
        ['in 20,000 made-up names', ...BEST_EFFORT],
        ['in 20,000 made-up names', ...RELIABLE],
      ] as const);

describe('single pieces of long messages', () => {
  test.each(EACH)('%s shut out nobody, %s', (who, _service, service) => {
    const names = NAMES[who]!;
    const lab = new AdversaryLab({ seed: 1, nodes: 6, edges: EDGES, options: modeOf('secure') });
    const target = lab.host(LISTENER).node;
    target.sessions.bind(
      target.sessions.open({ onMessage: () => true, onWritable() {} }, { secrecy: 'links' }),
      PORT,
    );
    const settings = (dissemination: number) => ({
      packetsPerSecond: 5,
      sizeBytes: 40_000,
      startUs: 0,
      durationUs: 3_600 * SECOND,
      count: null,
      options: { service, dissemination, secrecy: 'links' as const },
    });
    const flow = (number: number, from: number, dissemination: number): SimFlow =>
      new SimFlow(
        lab.world,
        number,
        lab.host(from),
        lab.host(LISTENER),
        settings(dissemination),
        lab.world.now(),
      );
    const flows = [
      flow(1, CALLER, DISSEMINATION_BYZANTINE),
      flow(2, BESIDE, DISSEMINATION_LINK_STATE),
      flow(3, CALLER, DISSEMINATION_LINK_STATE),
    ];
    lab.run(SECOND);
    flood(lab, service, names, 3_000);
    // Until nothing is free any more; who takes only what is sealed from end to end has no such
    // pieces at all.
    lab.run(3 * SECOND);
    const before = flows.map(({ sent, meter }) => [sent, meter.delivered] as const);
    lab.run(3 * SECOND);
    const parts = flows.map(
      (one, i) => (one.meter.delivered - before[i]![1]) / (one.sent - before[i]![0]),
    );
    for (const part of parts) expect(part, parts.join()).toBeGreaterThanOrEqual(0.97);
    expect(target.drops.of(DropReason.fragmentTableFull)).toBeGreaterThan(1_000);
    expect(target.sessions.reassembly.bytes).toBeLessThanOrEqual(
      target.sessions.reassembly.limitBytes,
    );
    expect(lab.violations).toEqual([]);
  });
});

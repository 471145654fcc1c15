/** The rings of what is under way, beside lists and maps that do the same slowly. */

import { describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { PacketsUnderWay, Transmissions } from '../../../../src/core/link/unacknowledged.ts';
import { KeptPacket } from '../../../../src/core/wire/packet-pool.ts';

describe('packets under way', () => {
  test(
    'are found by their number until the neighbour has them, ' +
      'in any order, over many generations of rows',
    () => {
      for (let seed = 1; seed <= 20; seed += 1) {
        const rng = new Rng(seed);
        const packets = new PacketsUnderWay();
        const model = new Map<number, { kept: KeptPacket; last: number; queued: boolean }>();
        const most = 1 + rng.below(200);
        for (let step = 0; step < 5_000; step += 1) {
          if (packets.length < most && rng.chance(0.55)) {
            const kept = new KeptPacket();
            const sequence = packets.add(kept);
            packets.sentIn(sequence, step);
            model.set(sequence, { kept, last: step, queued: false });
          } else if (packets.length > 0) {
            const sequence = packets.oldest + rng.below(packets.length);
            const row = model.get(sequence);
            expect(packets.of(sequence)).toBe(row?.kept ?? null);
            if (row === undefined) continue;
            expect([packets.lastNumber(sequence), packets.isQueued(sequence)]).toEqual([
              row.last,
              row.queued,
            ]);
            if (rng.chance(0.3)) {
              packets.setQueued(sequence, (row.queued = !row.queued));
              packets.sentIn(sequence, (row.last = step));
            } else {
              packets.done(sequence);
              model.delete(sequence);
            }
          }
          packets.advance();
          expect(packets.oldest).toBe(model.size === 0 ? packets.next : Math.min(...model.keys()));
        }
        expect(packets.of(packets.oldest - 1)).toBeNull();
        packets.clear();
        expect([packets.length, packets.next]).toEqual([0, 0]);
      }
    },
  );

  test('a number that was passed is marked no more: its row belongs to another', () => {
    const packets = new PacketsUnderWay();
    for (let i = 0; i < 16; i += 1) packets.add(new KeptPacket());
    packets.done(0);
    packets.advance();
    const sequence = packets.add(new KeptPacket());
    packets.setQueued(0, true);
    expect(packets.isQueued(sequence)).toBe(false);
  });
});

test('transmissions come out as they went in, with all that was said of them', () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const rng = new Rng(seed);
    const transmissions = new Transmissions();
    const model: [number, number, number, number, number, boolean][] = [];
    for (let step = 0; step < 5_000; step += 1) {
      if (rng.chance(0.5 + 0.2 * Math.sign(rng.unit() - 0.5))) {
        const row: [number, number, number, number, number, boolean] = [
          step,
          1 + rng.below(4),
          2 ** 40 + rng.below(1_000),
          rng.below(2 ** 50),
          rng.below(1_500),
          rng.chance(0.5),
        ];
        transmissions.push(...row);
        model.push(row);
      } else if (model.length > 0) {
        const { number, parts, sequence, sentAt, bytes, limited } = transmissions;
        expect(transmissions.last).toBe(number + parts - 1);
        expect([number, parts, sequence, sentAt, bytes, limited]).toEqual(model.shift());
        transmissions.shift();
      }
      expect(transmissions.length).toBe(model.length);
    }
    transmissions.clear();
    expect(transmissions.length).toBe(0);
    expect(() => transmissions.shift()).toThrow('there is a transmission to take');
  }
});

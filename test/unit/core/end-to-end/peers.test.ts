/** What is remembered of the other end of a pair: no number of a run is new twice. */

import { expect, test } from 'vitest';

import { SECOND, type Micros } from '../../../../src/core/base/time.ts';
import { Peers } from '../../../../src/core/end-to-end/peers.ts';
import { SERVICE_BEST_EFFORT, SERVICE_RELIABLE } from '../../../../src/core/wire/packet.ts';

const NODE = 7;
const KEPT: Micros = 2_000 * SECOND;

class Scene {
  readonly peers = new Peers(16, KEPT);
  now: Micros = SECOND;
  #sequence = 0;

  run(instance: number): void {
    this.#sequence += 1;
    const said = { instance, epoch: instance, key: new Uint8Array(32) };
    const record = { origin: NODE, sequence: this.#sequence, node: said };
    expect(this.peers.onRecord(record, this.now)).toBe(true);
  }

  /** Numbers of 0 to 9,999 that are taken now. */
  take(service: number): number {
    const window = this.peers.window(this.peers.get(NODE)!, service);
    let taken = 0;
    for (let number = 0; number < 10_000; number += 1) {
      if (!window.isNew(number)) continue;
      window.record(number);
      taken += 1;
    }
    return taken;
  }
}

test.each([SERVICE_BEST_EFFORT, SERVICE_RELIABLE])(
  'runs that take turns, as of a node and its clone, keep what was had of each (service %i)',
  (service) => {
    const scene = new Scene();
    for (const instance of [1, 2, 3]) {
      scene.run(instance);
      expect(scene.take(service)).toBe(10_000);
    }
    for (const instance of [1, 3, 2, 1, 2, 3]) {
      scene.now += SECOND;
      scene.run(instance);
      expect([instance, scene.take(service)]).toEqual([instance, 0]);
    }
  },
);

test('a run that has ended is forgotten with the keys that would open what it sent', () => {
  const scene = new Scene();
  scene.run(1);
  scene.take(SERVICE_RELIABLE);
  for (let instance = 2; instance < 100; instance += 1) {
    scene.run(instance);
    expect(scene.take(SERVICE_RELIABLE)).toBe(10_000);
  }
  scene.now += KEPT;
  scene.run(100);
  expect(scene.peers.get(NODE)!.runs).toHaveLength(2);
  scene.now += KEPT;
  scene.run(101);
  expect(scene.peers.get(NODE)!.runs.map(({ instance }) => instance)).toEqual([101, 100]);
});

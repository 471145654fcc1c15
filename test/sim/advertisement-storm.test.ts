/**
 * One insider that advertises without end costs others a bounded number of signatures, and delays
 * nobody's news.
 */

import { expect, test } from 'vitest';

import { copyBytes, putU16 } from '../../src/core/base/bytes.ts';
import { MILLISECOND as MS, SECOND } from '../../src/core/base/time.ts';
import { labelled } from '../../src/core/crypto/keys.ts';
import {
  ADVERTISEMENT_LABEL,
  VERSIONS_BURST,
  VERSIONS_PER_SECOND,
} from '../../src/core/routing/signed-advertisement.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { FRAME_LINK_STATE } from '../../src/core/wire/frames.ts';
import {
  CONTROL_CHECK_BYTES,
  LIFETIME_BYTES,
  makeSignedAdvertisement,
  putControlCheck,
} from '../../src/core/wire/link-state.ts';
import { AdversaryLab, modeOf, type Edge } from '../support/adversary-lab.ts';

const INSIDER = 4;

/** The version `sequence` of `from`, genuine unless `forged`, to all its neighbours. */
function advertise(from: SimHost, origin: SimHost, sequence: number, forged: boolean): void {
  const { certificate, signing } = origin.identity!,
    { nowS, primitives } = from.membership!;
  const links = [...origin.node.links.all()]
    .filter((link) => link.up)
    .map(({ node }) => ({ node, latency: 30 + (sequence % 7), loss: 0 }))
    .sort((a, b) => a.node - b.node);
  const { bytes } = makeSignedAdvertisement(
    {
      origin: origin.id,
      sequence,
      leaving: false,
      name: certificate.name,
      links,
      facts: origin.node.router.factsOf(origin.id),
      issuedS: nowS,
      certificate: from.membership!.hashOf(certificate),
      whole: null,
    },
    (part) =>
      forged
        ? new Uint8Array(64)
        : primitives.sign(
            labelled(ADVERTISEMENT_LABEL, part),
            signing.secret.reveal(),
            signing.publicKey,
          ),
  );
  for (const link of from.node.links.all()) {
    const at = link.up
      ? link.control(FRAME_LINK_STATE, LIFETIME_BYTES + bytes.length + CONTROL_CHECK_BYTES)
      : -1;
    if (at < 0) continue;
    const { buffer } = link.channel!;
    putU16(buffer, at, 1_000);
    copyBytes(bytes, 0, bytes.length, buffer, at + LIFETIME_BYTES);
    putControlCheck(buffer, at, at + LIFETIME_BYTES + bytes.length);
  }
  from.endTurn();
}

const STORMS: readonly (readonly [string, number, number])[] = [
  ['a thousand a second', 1, 1],
  ['two hundred at once, five times a second', 200, 200],
];

test.each(STORMS)(
  '%s cost each node what one origin may cost, and honest news goes as fast as ever',
  (_what, atOnce, everyMs) => {
    const edges: Edge[] = [
      [0, 2],
      [2, 1],
      [0, 3],
      [3, 1],
      [4, 2],
      [4, 3],
      [1, 5],
      [5, 6],
      [6, 0],
    ].map(([a, b]) => ({ a: a!, b: b!, latencyUs: 3 * MS }));
    const l = new AdversaryLab({
      seed: 3,
      nodes: 7,
      edges,
      options: modeOf('secure'),
      settleUs: 3 * SECOND,
    });
    const insider = l.host(INSIDER),
      others = l.world.hosts.filter((host) => host !== insider),
      { world } = l;
    const before = others.map(({ node }) => node.router.counters.verified);
    let sequence = Math.floor(insider.membership!.wallUs / 100) + 1_000_000;
    const first = sequence;
    const run = (ms: number): void => {
      for (let at = 0; at < ms; at += everyMs) {
        for (let i = 0; i < atOnce; i += 1) advertise(insider, insider, (sequence += 1), false);
        l.run(everyMs * MS, everyMs * MS);
      }
    };
    run(3_000);
    const most = 3 * VERSIONS_PER_SECOND + VERSIONS_BURST;
    for (const [i, { node }] of others.entries())
      expect(node.router.counters.verified - before[i]!, `${i}`).toBeLessThan(most + 40);
    expect(sequence - first).toBeGreaterThanOrEqual(3_000);
    // A link fails: everybody knows while the storm goes on.
    for (const { from, to, model } of world.wires)
      if ([from.index, to.index].sort().join() === '1,2')
        model.set({ ...model.settings, up: false });
    run(1_000);
    for (const host of others)
      expect(
        host.node.router.database.get(l.host(2).id)!.advertisement.links.map(({ node }) => node),
        host.name,
      ).not.toContain(l.host(1).id);
    // Held, not refused: when the storm is over, all have its last word soon.
    const last = sequence + 100_000;
    advertise(insider, insider, last, false);
    l.run(3 * SECOND);
    for (const host of others)
      expect(
        host.node.router.database.get(insider.id)!.advertisement.sequence,
        host.name,
      ).toBeGreaterThanOrEqual(last);
  },
);

test('who forges versions of another uses up its own budget, and not that of the other', () => {
  const edges: Edge[] = [
    [0, 2],
    [2, 1],
    [0, 3],
    [3, 1],
    [4, 2],
    [4, 3],
  ].map(([a, b]) => ({ a: a!, b: b!, latencyUs: 3 * MS }));
  const l = new AdversaryLab({
    seed: 3,
    nodes: 5,
    edges,
    options: modeOf('secure'),
    settleUs: 3 * SECOND,
  });
  const insider = l.host(INSIDER),
    honest = l.host(0);
  const base = Math.floor(insider.membership!.wallUs / 100) + 1_000_000;
  for (let i = 0; i < 300; i += 1) {
    advertise(insider, honest, base + i, true);
    l.run(2 * MS, 2 * MS);
  }
  const sequence = base + 10_000;
  advertise(honest, honest, sequence, false);
  l.run(500 * MS);
  for (const index of [1, 2, 3])
    expect(
      l.host(index).node.router.database.get(honest.id)!.advertisement.sequence,
    ).toBeGreaterThanOrEqual(sequence);
});

/**
 * Whoever stole a node's key may sign requests of any epoch while the key counts. Once its owner
 * has new ones, its epochs begin anew everywhere, and its Byzantine flows go on as before.
 */

import { expect, test } from 'vitest';

import { MILLISECOND as MS, SECOND } from '../../src/core/base/time.ts';
import { RouteMessages } from '../../src/core/byzantine/route-messages.ts';
import { ROUTE_REQUEST_LABEL } from '../../src/core/byzantine/verified.ts';
import { labelled } from '../../src/core/crypto/keys.ts';
import { makeRouteRequest } from '../../src/core/wire/discovery.ts';
import { SERVICE_BEST_EFFORT, SERVICE_RELIABLE } from '../../src/core/wire/packet.ts';
import { AdversaryLab, modeOf, type Edge } from '../support/adversary-lab.ts';

const S = 0,
  D = 1;
const EPOCH_MAX = 2 ** 48 - 1;
const YEAR = 365 * 86_400 * 10_000;

test.each([
  ['the last epoch there is', () => EPOCH_MAX, SERVICE_BEST_EFFORT, false],
  ['an epoch a year ahead', (now: number) => now + YEAR, SERVICE_RELIABLE, false],
  ['the last epoch there is, from a flow that was in use', () => EPOCH_MAX, SERVICE_RELIABLE, true],
] as const)("a thief's request of %s is over with the key", (_what, epochOf, service, used) => {
  const edges: Edge[] = [
    [0, 2],
    [2, 1],
    [0, 3],
    [3, 1],
  ].map(([a, b]) => ({ a: a!, b: b!, latencyUs: 3 * MS }));
  const l = new AdversaryLab({ seed: 1, nodes: 4, edges, options: modeOf('secure') });
  const s = l.host(S),
    d = l.host(D),
    { world } = l,
    stolen = s.identity!;
  if (used) {
    l.flow(S, D, 50, service, SECOND);
    l.run(2 * SECOND);
  }
  const thief = l.host(3),
    { primitives, wallUs, nowS, identity } = thief.membership!;
  const request = makeRouteRequest(
    {
      source: s.id,
      destination: d.id,
      epoch: epochOf(Math.floor(wallUs / 100)),
      sequence: 0,
      key: identity.exchange.publicKey,
      weights: [],
    },
    (part) =>
      primitives.sign(
        labelled(ROUTE_REQUEST_LABEL, part),
        stolen.signing.secret.reveal(),
        stolen.signing.publicKey,
      ),
  );
  const messages = new RouteMessages(thief.id);
  for (const link of thief.node.links.all()) if (link.up) messages.send(link, request.bytes);
  thief.endTurn();
  l.run(SECOND);
  // The operator revokes the key and makes new ones; the daemon starts with them.
  const fresh = world.authority!.issue(s.id, s.name),
    list = world.authority!.revoke(Math.floor(nowS) + 1, stolen);
  s.stop();
  s.identity = fresh;
  for (const host of world.hosts) {
    for (const [i, { key: _known, ...dial }] of host.dials.entries()) host.dials[i] = dial;
    if (host === s) continue;
    host.membership!.offerRevocations(list);
    host.node.reconfigure({ ...host.node.config, dials: [...host.dials] });
    host.endTurn();
  }
  s.start();
  s.membership!.offerRevocations(list);
  l.run(5 * SECOND);
  const { flow } = l.flow(S, D, 50, service);
  l.run(10 * SECOND);
  expect(flow.sent).toBeGreaterThan(490);
  expect(flow.meter.delivered / flow.sent).toBeGreaterThan(0.99);
  expect(l.violations).toEqual([]);
});

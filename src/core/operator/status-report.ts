/**
 * The status of a daemon: who it is, what it has to do with others, and its figures.
 *
 * Reads only. Counters and bounds come from figures.ts.
 */

import { hex } from '../base/bytes.ts';
import { formatNodeId } from '../base/ids.ts';
import { authorityIdOf } from '../crypto/certificates.ts';
import type { Membership } from '../crypto/membership.ts';
import { presharedText } from '../crypto/preshared.ts';
import { VERSION } from '../node/version.ts';
import { capabilityNames } from '../wire/node-facts.ts';
import type { IdentityStatus, LinkTrouble, StatusReply } from 'spines-client/protocol';
import { byzantineFigures } from './byzantine-report.ts';
import { BOUNDS, boundsNow, FIGURES, figuresNow, socketsOf } from './figures.ts';
import { firewallFigures } from './firewall-report.ts';
import { clocksReport, twinRows, whyRow } from './links-report.ts';
import { ms, type Operator } from './operation.ts';

const TROUBLES_MAX = 64;

/** Everything at one glance. */
export function statusReport(operator: Operator): StatusReply {
  const { config, links, router, drops } = operator.node;
  const now = operator.env.clock.now();
  let up = 0;
  let total = 0;
  const troubles: LinkTrouble[] = [];
  for (const { link, dial, trouble } of links.neighbours()) {
    if (link?.up === true) up += 1;
    if (trouble?.code === 'sameNode') continue;
    total += 1;
    if (dial !== null && trouble !== null && troubles.length < TROUBLES_MAX) {
      const since = link !== null && link.state !== 'down' ? link.stateSince : dial.outcome.since;
      troubles.push({
        peer: links.watch.peerOf(dial),
        address: dial.at,
        sinceMs: ms(now - since),
        ...whyRow(operator, dial, trouble),
      });
    }
  }
  let reachable = 0;
  for (const cost of router.paths.cost) if (cost >= 0) reachable += 1;
  return {
    schema: 1,
    node: formatNodeId(config.id),
    name: config.name,
    version: VERSION,
    instance: operator.node.instance,
    uptimeMs: ms(now - operator.startedAt),
    security: operator.env.membership === null ? 'none' : 'sealed',
    identity: identityStatus(operator.env.membership),
    host: operator.env.host?.() ?? null,
    emulation: config.allowEmulation,
    listen: [...operator.env.listen],
    links: { up, total, troubles },
    clocks: clocksReport(operator),
    nodes: { reachable, known: router.database.size },
    transit: transitOf(operator),
    clients: operator.clients.size,
    sockets: socketsOf(operator),
    metric: config.metric,
    byzantine: operator.node.byzantine === null ? null : byzantineFigures(operator.node.byzantine),
    routing: figuresNow(FIGURES.routing, operator),
    packets: figuresNow(FIGURES.packets, operator),
    drops: drops.snapshot(),
    twins: twinRows(operator),
    firewall: firewallFigures(
      operator.node.firewall,
      operator.node.endToEnd !== null && config.secrecy === 'end-to-end',
    ),
    wireVersions: { ...operator.node.wireVersions },
    capabilities: capabilityNames(operator.node.router.ownFacts.capabilities),
    bounds: boundsNow(BOUNDS, operator),
  };
}

function transitOf({ node: { transit } }: Operator): NonNullable<StatusReply['transit']> {
  return transit.draining ? 'draining' : transit.carried ? 'carried' : 'never';
}

function identityStatus(membership: Membership | null): IdentityStatus | null {
  if (membership === null) return null;
  const {
    identity: { certificate },
    trust,
    nowS,
    primitives,
  } = membership;
  return {
    primitives: primitives.name,
    serial: certificate.serial,
    validUntilS: certificate.notAfterS,
    leftS: certificate.notAfterS - nowS,
    authorities: trust.authorities.map(({ name, signingKey, notAfterS }) => ({
      name,
      id: hex(authorityIdOf(signingKey)),
      validUntilS: notAfterS,
    })),
    revocations: trust.revocations.map(({ authority, number, serials }) => ({
      authority: hex(authority),
      number,
      revoked: serials.length,
    })),
    presharedKeys: membership.preshared.map(({ id }) => presharedText(id)),
  };
}

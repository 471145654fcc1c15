/**
 * What operators see of links: a row for each neighbour, why one has none, whose clock differs, and
 * identities that run twice.
 *
 * Reads only. Called by operations.ts, and by the reports of status and nodes, which repeat some.
 */

import { formatNodeId } from '../base/ids.ts';
import type { Dial } from '../link/dial.ts';
import type { Trouble } from '../link/dial-outcome.ts';
import type { Link } from '../link/link.ts';
import type { RealtimeService } from '../link/realtime.ts';
import { CLOCK_WRONG } from '../routing/clock-watch.ts';
import { linkCost } from '../routing/metrics.ts';
import { hasCapability, IDENTITY_TWICE } from '../wire/node-facts.ts';
import { SERVICE_REALTIME, SERVICE_RELIABLE } from '../wire/packet.ts';
import { REFUSAL_TWIN } from '../wire/refusal.ts';
import type {
  LinkRow,
  LinksReply,
  RealtimeRow,
  StatusReply,
  TwinRow,
  WhyReply,
} from 'spines-client/protocol';
import { ms, percent, type Operator } from './operation.ts';

const TWINS_MAX = 64;

/** A row for each neighbour: of the configuration, and of those that dialled. */
export function linksReport(operator: Operator): LinksReply {
  const rows: LinkRow[] = [];
  for (const { link, dial, trouble } of operator.node.links.neighbours()) {
    const why = dial === null || trouble === null ? null : whyRow(operator, dial, trouble);
    const aheadUs = link === null ? null : (operator.node.router.clocks?.aheadUs(link) ?? null);
    if (link === null) {
      rows.push(dialRow(operator, dial!, trouble, why));
      continue;
    }
    const row = linkRow(operator, link);
    rows.push({
      ...row,
      name: row.name ?? dial?.config.name ?? null,
      why,
      clockAheadMs: aheadUs === null ? null : ms(aheadUs),
    });
  }
  return { schema: 1, links: rows, twins: twinRows(operator) };
}

/** Neighbours whose clock differs from ours; null in a network without identities. */
export function clocksReport(operator: Operator): NonNullable<StatusReply['clocks']> | null {
  const {
    links,
    router: { clocks },
  } = operator.node;
  if (clocks === null) return null;
  const differ: { peer: string; aheadMs: number }[] = [];
  let agree = 0;
  for (const link of links.all()) {
    const aheadUs = link.up ? clocks.aheadUs(link) : null;
    if (aheadUs === null) continue;
    if (Math.abs(aheadUs) < CLOCK_WRONG) agree += 1;
    else differ.push({ peer: link.label, aheadMs: ms(aheadUs) });
  }
  return { differ, agree };
}

/** Why a neighbour of the configuration has no link. */
export function whyRow(operator: Operator, dial: Dial, trouble: Trouble): WhyReply {
  const { short, why, next } = operator.node.links.watch.text(dial, trouble);
  return { code: trouble.code, short, text: why, next };
}

/** A neighbour of the configuration that has no link by this address. */
function dialRow(
  operator: Operator,
  dial: Dial,
  trouble: Trouble | null,
  why: WhyReply | null,
): LinkRow {
  const node = dial.node ?? dial.link?.node ?? null;
  const since = dial.link?.up === true ? dial.link.stateSince : dial.outcome.since;
  return {
    node: node === null ? null : formatNodeId(node),
    name: dial.config.name ?? (node === null ? null : operator.node.router.nameOf(node)),
    address: dial.at,
    state: trouble?.code === 'sameNode' ? 'standby' : 'connecting',
    sinceMs: ms(operator.env.clock.now() - since),
    dialled: true,
    rttMs: null,
    lossOutPct: null,
    lossInPct: null,
    cost: null,
    rate: null,
    damped: false,
    ended: dial.outcome.ended,
    sent: { datagrams: 0, bytes: 0 },
    received: { datagrams: 0, bytes: 0 },
    retransmitted: 0,
    dropped: 0,
    queueBytes: 0,
    congestion: null,
    windowBytes: null,
    inFlightBytes: null,
    size: null,
    seal: null,
    emulated: operator.env.emulation?.get(dial.endpoint) ?? null,
    why,
  };
}

function linkRow(operator: Operator, link: Link): LinkRow {
  const { rtt, lossIn, lossOut } = link.liveness;
  const totals = link.totals;
  const window = link.service(SERVICE_RELIABLE)!.window!;
  const headers = link.endpoint.address.includes(':') ? 48 : 28;
  const own = operator.node.router.database
    .get(operator.node.config.id)
    ?.advertisement.links.find((entry) => entry.node === link.node);
  return {
    node: formatNodeId(link.node),
    name: operator.node.router.nameOf(link.node) ?? link.name,
    address: link.endpoint.key,
    state: link.state,
    sinceMs: ms(operator.env.clock.now() - link.stateSince),
    dialled: link.dialled,
    // What a link that is gone was like says nothing of what is.
    rttMs: !link.up || rtt.samples === 0 ? null : ms(rtt.smoothedUs),
    lossOutPct: link.up ? percent(lossOut) : null,
    lossInPct: link.up ? percent(lossIn.rate) : null,
    rate: link.up ? link.rate.now(totals, operator.env.clock.now(), headers) : null,
    damped: link.damped,
    ended: link.ended,
    cost: own === undefined ? null : linkCost(own, operator.node.config.metric),
    sent: {
      datagrams: totals.sentDatagrams,
      bytes: totals.sentBytes + headers * totals.sentDatagrams,
    },
    received: {
      datagrams: totals.receivedDatagrams,
      bytes: totals.receivedBytes + headers * totals.receivedDatagrams,
    },
    congestion: window.congestion,
    windowBytes: window.windowBytes,
    inFlightBytes: window.inFlightBytes,
    retransmitted: link.retransmitted,
    dropped: link.dropped + (operator.env.emulation?.dropped(link.endpoint) ?? 0),
    queueBytes: link.queueBytes,
    size:
      link.channel === null
        ? null
        : {
            datagramBytes: link.channel.size,
            packetBytes: link.channel.size + headers,
            searching: link.size.state === 'searching',
          },
    wireVersion: link.channel?.version ?? null,
    realtime: realtimeOf(link),
    seal: sealOf(operator, link),
    emulated: operator.env.emulation?.get(link.endpoint) ?? null,
    flaps: link.flaps.within(operator.env.clock.now()),
  };
}

/** Null where no packet of the service ever passed. */
function realtimeOf(link: Link): RealtimeRow | null {
  const { sender, receiver } = link.service(SERVICE_REALTIME) as RealtimeService;
  const sent = sender.counts,
    came = receiver.counts;
  if (sent.packets === 0 && came.packets === 0) return null;
  const { block, bursty, copies } = sender.redundancy;
  return {
    sentPackets: sent.packets,
    packetsPerSecond: Math.round(sent.rate * 10) / 10,
    receivedPackets: came.packets,
    lossOutPct: percent(sender.loss),
    burstPct: percent(link.liveness.burstOut),
    asked: sent.asked,
    again: sent.answered,
    overBudget: sent.overBudget,
    tooLate: sent.tooLate,
    missing: came.gaps,
    requests: came.requested + came.ahead,
    needless: came.spurious,
    recovered: came.recovered,
    repaired: came.repaired,
    probes: sent.probes,
    copies: sent.copies,
    uncopied: sent.uncopied,
    parities: sent.parities,
    mode: bursty ? 'bursts' : block > 0 ? `xor ${block}` : copies ? 'copy' : 'plain',
    extraPct: sent.bytes === 0 ? 0 : percent(sent.extraBytes / sent.bytes),
  };
}

function sealOf(operator: Operator, { channel, certificate }: Link): LinkRow['seal'] {
  if (channel === null || certificate === null) return null;
  return {
    serial: certificate.serial,
    notAfterS: certificate.notAfterS,
    keyAgeMs: ms(operator.env.clock.now() - channel.epoch.madeAt),
    rekeys: channel.rekeys,
  };
}

/**
 * Neighbours that run twice, nodes that say so of themselves, and this daemon itself, if others
 * do.
 */
export function twinRows(operator: Operator): TwinRow[] {
  const { links, router, config } = operator.node;
  const now = operator.env.clock.now();
  const nearby: TwinRow[] = [...links.twins.records()].map(({ node, kept, refused, since }) => ({
    node: formatNodeId(node),
    name: router.nameOf(node),
    self: false,
    kept: kept.endpoint.key,
    refused: refused.endpoint.key,
    sinceMs: ms(now - since),
  }));
  const told = [...links.refusals()].find(({ reason }) => reason === REFUSAL_TWIN);
  const clone = router.clones.clone();
  const self = { node: formatNodeId(config.id), name: config.name, self: true };
  if (told !== undefined)
    nearby.push({
      ...self,
      here: 'refused',
      kept: told.twin === '' ? null : told.twin,
      refused: null,
      sinceMs: ms(now - told.at),
    });
  else if (clone !== null) {
    const { here, at, since } = clone;
    nearby.push({
      ...self,
      here,
      kept: here === 'kept' ? null : at,
      refused: here === 'kept' ? at : null,
      sinceMs: ms(now - since),
    });
  }
  return [...nearby, ...farTwinRows(operator, new Set(nearby.map(({ node }) => node)))];
}

/** Nodes that say of themselves that they run twice, beside those that are known. */
function farTwinRows(operator: Operator, known: ReadonlySet<string>): TwinRow[] {
  const { links, router, config } = operator.node;
  const rows: TwinRow[] = [];
  for (const {
    advertisement: { origin, facts, name },
    receivedAt,
  } of router.database.records()) {
    const node = formatNodeId(origin);
    if (
      origin === config.id ||
      facts === null ||
      !hasCapability(facts.capabilities, IDENTITY_TWICE) ||
      known.has(node)
    )
      continue;
    if (rows.length >= TWINS_MAX) break;
    // A link of ours may be with the other one.
    const link = links.of(origin),
      channel = link?.up === true ? link.channel : null;
    const other =
      channel !== null && channel.instance !== facts.instance ? channel.endpoint.key : null;
    rows.push({
      node,
      name: name === '' ? null : name,
      self: false,
      kept: null,
      refused: other,
      sinceMs: ms(operator.env.clock.now() - receivedAt),
    });
  }
  return rows;
}

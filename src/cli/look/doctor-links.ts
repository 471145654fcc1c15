/**
 * What `spines doctor` finds about neighbours: how many links are up, for each that is not the
 * cause and what to do, and which of those that are up are slow, lossy or come and go.
 */

import type { LinksReply, StatusReply } from 'spines-client';
import type { ByzantineRoutesReply } from 'spines-client/protocol';

import { shortName } from './event-text.ts';
import type { Finding } from './finding.ts';
import { formatAge, formatMs, formatPct } from '../terminal/table.ts';

/** Loss from which streams and routes suffer, percent. */
const LOSSY_PCT = 2;
/** What waits for a link that is sent more than it carries. */
const QUEUE_BYTES = 16_384;
const FLAPS = 3;

const MINUTE_MS = 60_000;

/** Whose clock is wrong: ours, when most neighbours agree with one another and not with us. */
export function clockFindings({ clocks }: StatusReply): Finding[] {
  if (clocks == null || clocks.differ.length + clocks.agree === 0) return [];
  const { differ, agree } = clocks;
  const [first] = differ;
  if (first === undefined)
    return [
      {
        what: 'clock',
        found: `agrees with those of ${agree} neighbour${agree === 1 ? '' : 's'}`,
        advice: null,
      },
    ];
  const like = differ.filter(({ aheadMs }) => Math.abs(aheadMs - first.aheadMs) < MINUTE_MS);
  const ours = like.length >= 2 && like.length > agree + differ.length - like.length;
  const span = (aheadMs: number): string =>
    `${formatAge(Math.abs(aheadMs))} ${aheadMs > 0 ? 'ahead of' : 'behind'}`;
  const next =
    'see `date -u` on both machines, and set the wrong clock, or let NTP do it; beyond 5 minutes ' +
    'nodes do not believe each other';
  if (ours) {
    return [
      {
        what: 'clock',
        found: `${like.length} neighbours disagree with this machine`,
        next,
        advice:
          `this machine's clock is ${span(-first.aheadMs)} those of ` +
          `${like.map(({ peer }) => peer).join(', ')}, which agree with one another`,
      },
    ];
  }
  return differ.map(({ peer, aheadMs }) => ({
    what: `clock of ${peer}`,
    found: `${span(aheadMs)} this machine's`,
    next,
    advice: `the clock of ${peer} is ${span(aheadMs)} this machine's: one of the two is wrong`,
  }));
}

export function linkFindings({ links, nodes }: StatusReply): Finding[] {
  const { up, total, troubles = [] } = links;
  const missing = total - up - troubles.length;
  const count = `${up} of ${total} up; ${nodes.reachable} of ${nodes.known} nodes reachable`;
  const findings: Finding[] = [
    {
      what: 'links',
      found: count,
      advice:
        total === 0
          ? 'it has no neighbour: name one with `links:` in its config, or --link'
          : missing > 0
            ? 'see `spines links` for which are down, and the log for why'
            : null,
    },
  ];
  for (const { peer, address, sinceMs, short, text, next } of troubles) {
    findings.push({
      what: `link to ${peer}`,
      found: `${peer === address ? '' : `${address}: `}${short}, for ${formatAge(sinceMs)}`,
      advice: text,
      next,
    });
  }
  return findings;
}

/** Links that are up and do badly: which, why, and what to do. */
export function badLinks({ links }: LinksReply): Finding[] {
  return links
    .filter(({ state }) => state === 'up')
    .flatMap((link) => {
      const { name, node, address, queueBytes, rttMs, flaps = 0 } = link;
      const lossOutPct = link.lossOutPct ?? 0,
        lossInPct = link.lossInPct ?? 0;
      const what = `link to ${name ?? node ?? address}`;
      const lossy = Math.max(lossOutPct, lossInPct) >= LOSSY_PCT,
        slow = queueBytes >= QUEUE_BYTES;
      const found =
        `loses ${formatPct(lossOutPct)} out and ${formatPct(lossInPct)} in, rtt ` +
        `${formatMs(rttMs)}, ${queueBytes} B wait, down ${flaps} times in an hour`;
      if (slow) {
        return [
          {
            what,
            found,
            advice:
              'it is slow: more is sent to it than it ' +
              `carries${lossy ? ', and what does not fit its line is lost' : ''}`,
            next:
              '`spines sessions` shows who sends; send less, give it a faster line, or add a ' +
              'second link that can take a part',
          },
        ];
      }
      if (lossy) {
        return [
          {
            what,
            found,
            advice:
              'it is lossy: datagrams are lost on the way ' +
              `${lossOutPct >= lossInPct ? 'to' : 'from'} ${address}, though nothing waits for ` +
              'it here',
            next:
              'if loss and rtt fall when less is sent, the line is full: send less, or give it a ' +
              'faster one. If they do not, look at what is between the two (radio, ' +
              'cable, a router that drops), or add a link that avoids it: routing by expected ' +
              'latency prefers it',
          },
        ];
      }
      if (flaps >= FLAPS) {
        return [
          {
            what,
            found,
            advice: 'it flaps: it goes down and comes back',
            next:
              'the log says why each time (`link down`); see whether its line or its peer ' +
              'stops for half a second',
          },
        ];
      }
      return [];
    });
}

/**
 * Links that Byzantine routing blames now: one of the two ends misbehaves, or their line is bad.
 */
export function convictionFindings({ weights }: ByzantineRoutesReply): Finding[] {
  return weights.map(({ u, v, weight, convictions, reason, agoMs }) => ({
    what: 'conviction',
    found:
      `link ${shortName(u)} - ${shortName(v)}, ${convictions} ` +
      `time${convictions === 1 ? '' : 's'}, ` +
      `last ${formatAge(agoMs)} ago; it weighs ${weight} now`,
    advice:
      reason === 'loss'
        ? 'packets that this daemon sent by byzantine routing were lost there: one of the two ' +
          'drops them, or their line is bad'
        : 'one of its two ends said that it is broken',
    next:
      'look at both machines and at `spines links` on them; byzantine routing goes round it ' +
      'until ' +
      'good deliveries have paid for it',
  }));
}

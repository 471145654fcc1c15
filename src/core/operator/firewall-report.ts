/**
 * What operators and `spines expose` ask of a daemon's rules: the rules with their counters, and
 * whether a target may be reached.
 *
 * Owns the shapes of the answers; rules and counters are core/session/firewall.ts's.
 */

import { SpinesError } from '../base/errors.ts';
import { PORT_MAX, type NodeId } from '../base/ids.ts';
import { integer, text, type Arguments } from '../ipc/arguments.ts';
import type { ConnectedClient } from '../ipc/client.ts';
import type { Firewall } from '../session/firewall.ts';
import { RULE_LISTS, rulesCount, rulesData } from '../session/rules.ts';
import { DropReason, type DropCounters } from '../wire/drop.ts';
import type { FirewallFigures, FirewallReply } from 'spines-client/protocol';

/**
 * Characters of the rules of one reply: with the longest rule behind them it stays below a frame.
 */
const PAGE_CHARACTERS = 128 * 1024;
const HOST_MAX = 253;

/** `list`, from rule `from` (counted from 0) on, as many as fit. */
export function firewallRules(firewall: Firewall, args: Arguments): FirewallReply {
  const list = RULE_LISTS.find((name) => name === args['list']);
  if (list === undefined)
    throw new SpinesError('EINVAL', `list must be one of ${RULE_LISTS.join(', ')}`);
  const from = args['from'] === undefined ? 0 : integer(args, 'from', 0, Number.MAX_SAFE_INTEGER);
  const hits = firewall.hits(list);
  const all = rulesData(firewall.rules, list);
  const rows: FirewallReply['rules'] = [];
  let characters = 0;
  for (let i = from; i < all.length && characters < PAGE_CHARACTERS; i += 1) {
    rows.push({ number: i + 1, rule: all[i]!, hits: hits[i]! });
    characters += JSON.stringify(rows.at(-1)).length;
  }
  return {
    schema: 1,
    list,
    total: all.length,
    default: firewall.rules.defaults[list],
    defaultHits: hits[all.length]!,
    rules: rows,
  };
}

/**
 * Whether `node` may reach {host, port} through this one; counted. Of a stream that `asker` carries
 * on to there, which `remotePort` and `localPort` name, it is remembered: rules that change end it.
 */
export function mayReach(
  firewall: Firewall,
  drops: DropCounters,
  node: NodeId,
  args: Arguments,
  asker: ConnectedClient | null,
): { allowed: boolean } {
  const host = text(args, 'host');
  if (host.length > HOST_MAX)
    throw new SpinesError('EINVAL', `host must be at most ${HOST_MAX} characters`);
  const port = integer(args, 'port', 1, PORT_MAX);
  const ports =
    args['remotePort'] === undefined
      ? null
      : [integer(args, 'remotePort', 1, PORT_MAX), integer(args, 'localPort', 1, PORT_MAX)];
  const allowed = firewall.mayReach(node, host, port);
  if (!allowed) drops.count(DropReason.firewallTarget);
  else if (ports !== null) asker?.aim(node, ports[0]!, ports[1]!, { host, port });
  return { allowed };
}

/** `proved`: what a packet says of its source is proved, whatever its routing. */
export function firewallFigures(firewall: Firewall, proved: boolean): FirewallFigures {
  const { rules } = firewall;
  const allows = RULE_LISTS.every((list) => rules.defaults[list] === 'allow');
  return { rules: rulesCount(rules), open: allows && rulesCount(rules) === 0, proved };
}

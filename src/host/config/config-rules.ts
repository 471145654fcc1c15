/**
 * The key `firewall` of the config file: rules in the words of operators.
 *
 * Owns what each part of a rule may be, and what is wrong with one; their meaning is
 * core/session/rules.ts's, and so are the words in which `config show` prints them again. Pure.
 */

import {
  DISSEMINATION_NAMES,
  disseminationCode,
  SERVICE_NAMES,
  serviceCode,
} from '../../core/wire/modes.ts';
import { z } from 'zod';

import {
  isGroupName,
  isNodeId,
  isNodeName,
  parseNodeId,
  PORT_MAX,
  type NodeId,
} from '../../core/base/ids.ts';
import {
  NO_RULES,
  RULE_ACTIONS,
  RULE_KINDS,
  RULE_LISTS,
  RULE_USES,
  RULES_MAX,
  rulesCount,
  rulesData,
  type PortRange,
  type RuleAction,
  type RuleList,
  type RuleSet,
  type RuleTarget,
} from '../../core/node/config.ts';
import { oneOf, scalar, strict } from './config-fields.ts';
import { describe, show, toFaults, type Fault } from './config-places.ts';
import { parseAllowed } from '../tunnel-target.ts';

/** Of one key of a rule. */
const ITEMS_MAX = 64;

/** One item, or a list of at least one. `one` returns null for what it refuses. */
function some<T>(wanted: string, one: (value: unknown) => T | null) {
  return scalar(wanted, (value, refuse): readonly T[] | null => {
    const given: readonly unknown[] = Array.isArray(value) ? value : [value];
    if (given.length > ITEMS_MAX)
      return refuse(`at most ${ITEMS_MAX} fit one rule; write several, or use a group`);
    const items = given.map(one);
    const wrong = items.indexOf(null);
    if (wrong >= 0 && Array.isArray(value))
      return refuse(`expected ${wanted}, found ${show(given[wrong])} in the list`);
    return items.length > 0 && items.every((item) => item !== null) ? items : null;
  });
}

const nodes = some(
  'a node by name or id such as 10.0.0.1, or a list of them',
  (value): NodeId | string | null => {
    const text = typeof value === 'number' ? String(value) : value;
    if (typeof text !== 'string') return null;
    const id = parseNodeId(text);
    if (id !== null) return isNodeId(id) ? id : null;
    return isNodeName(text) ? text : null;
  },
);
export const groupNames = some('a group of certificates, or a list of them', (value) =>
  typeof value === 'string' && isGroupName(value) ? value : null,
);
export const clientNames = some("the name in a client's certificate, or a list of them", (value) =>
  typeof value === 'string' && isNodeName(value) ? value : null,
);
const ports = some(
  'a port of 1..65535, a range such as 5000-5010, or a list of them',
  (value): PortRange | null => {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(String(value));
    if (match === null || (typeof value !== 'number' && typeof value !== 'string')) return null;
    const first = Number(match[1]),
      last = Number(match[2] ?? match[1]);
    return first >= 1 && first <= last && last <= PORT_MAX ? { first, last } : null;
  },
);
const targets = some(
  'a target such as db.internal:5432, [2001:db8::7]:80, HOST:*, *:PORT or *:*, or a list of them',
  (value): RuleTarget | null => (typeof value === 'string' ? parseAllowed(value) : null),
);

const action = oneOf(RULE_ACTIONS);
const kind = oneOf(RULE_KINDS).optional();
const defaults = z.any().transform((value, context): Readonly<Record<RuleList, RuleAction>> => {
  if (value === 'allow' || value === 'deny')
    return { inbound: value, targets: value, clients: value };
  const parsed = strict({
    inbound: action.optional(),
    targets: action.optional(),
    clients: action.optional(),
  }).safeParse(value, { error: describe });
  if (parsed.success) {
    const {
      inbound = 'allow',
      targets: reached = 'allow',
      clients: remote = 'allow',
    } = parsed.data;
    return { inbound, targets: reached, clients: remote };
  }
  const map = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!map)
    context.addIssue({
      code: 'custom',
      message: 'expected allow or deny, or one of the two for each of inbound, targets and clients',
    });
  else {
    for (const { path, message, atKey } of parsed.error.issues.flatMap(toFaults)) {
      context.addIssue({
        code: 'custom',
        path: [...path],
        message,
        params: { atKey: atKey === true },
      });
    }
  }
  return z.NEVER;
});

const list = <T extends z.ZodType>(rule: T, name: RuleList) =>
  z.array(rule).max(RULES_MAX[name], `at most ${RULES_MAX[name]} rules`).optional();

export const firewallSchema = strict({
  default: defaults.optional(),
  inbound: list(
    strict({
      action,
      node: nodes.optional(),
      group: groupNames.optional(),
      port: ports.optional(),
      kind,
      link: oneOf(SERVICE_NAMES).optional(),
      routing: oneOf(DISSEMINATION_NAMES).optional(),
    }),
    'inbound',
  ),
  targets: list(
    strict({
      action,
      node: nodes.optional(),
      group: groupNames.optional(),
      target: targets.optional(),
    }),
    'targets',
  ),
  clients: list(
    strict({
      action,
      client: clientNames.optional(),
      group: groupNames.optional(),
      use: oneOf(RULE_USES).optional(),
      node: nodes.optional(),
      port: ports.optional(),
      kind,
    }),
    'clients',
  ),
});
type FirewallData = z.output<typeof firewallSchema>;

export function rulesOf(data: FirewallData | undefined): RuleSet {
  if (data === undefined) return NO_RULES;
  return {
    defaults: data.default ?? NO_RULES.defaults,
    inbound: (data.inbound ?? []).map((rule) => ({
      action: rule.action,
      nodes: rule.node ?? [],
      groups: rule.group ?? [],
      ports: rule.port ?? [],
      kind: rule.kind ?? null,
      service: rule.link === undefined ? null : serviceCode(rule.link),
      dissemination: rule.routing === undefined ? null : disseminationCode(rule.routing),
    })),
    targets: (data.targets ?? []).map((rule) => ({
      action: rule.action,
      nodes: rule.node ?? [],
      groups: rule.group ?? [],
      targets: rule.target ?? [],
    })),
    clients: (data.clients ?? []).map((rule) => ({
      action: rule.action,
      clients: rule.client ?? [],
      groups: rule.group ?? [],
      use: rule.use ?? null,
      nodes: rule.node ?? [],
      ports: rule.port ?? [],
      kind: rule.kind ?? null,
    })),
  };
}

/** What no rule alone shows. `sealed`: nodes and clients have certificates. */
export function findRuleFaults(data: FirewallData | undefined, sealed: boolean): Fault[] {
  if (data === undefined) return [];
  const faults: Fault[] = [];
  for (const name of RULE_LISTS) {
    (data[name] ?? []).forEach(({ group }, i) => {
      if (group !== undefined && !sealed)
        faults.push({
          path: ['firewall', name, i, 'group'],
          message: 'groups are in certificates, which needs `security: sealed`; name nodes instead',
          atKey: true,
        });
    });
  }
  (data.clients ?? []).forEach(({ use, node }, i) => {
    if (use === 'listen' && node !== undefined)
      faults.push({
        path: ['firewall', 'clients', i, 'node'],
        message: 'is whom a client sends to; leave it out of a rule of listening',
        atKey: true,
      });
  });
  return faults;
}

/** As a config file has it; undefined: nothing to say. */
export function rulesText(rules: RuleSet): Record<string, unknown> | undefined {
  if (rules === NO_RULES) return undefined;
  const lists = RULE_LISTS.filter((name) => rules[name].length > 0).map((name) => [
    name,
    rulesData(rules, name),
  ]);
  return {
    default: { ...rules.defaults },
    ...(Object.fromEntries(lists) as Record<string, unknown>),
  };
}

/** "12 rules, inbound deny": for the list of changes. */
export function rulesSummary(rules: RuleSet): string {
  const count = rulesCount(rules);
  const denied = RULE_LISTS.filter((name) => rules.defaults[name] === 'deny');
  const counted = count === 0 ? 'no rules' : `${count} rule${count === 1 ? '' : 's'}`;
  return denied.length === 0 ? counted : `${counted} (default deny: ${denied.join(', ')})`;
}

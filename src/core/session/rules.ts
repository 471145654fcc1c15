/**
 * Rules of a daemon's firewall: who may send what to this node's ports, reach targets behind it,
 * and use it from afar.
 *
 * Owns what a rule can say, and the words in which configs and operators read it back. Judging is
 * firewall.ts's. Of a list the first rule that fits decides, and its default where none does. Who
 * says nothing means everybody, port and kind likewise.
 */

import { formatNodeId, type NodeId, type Port } from '../base/ids.ts';
import { disseminationName, serviceName } from '../wire/modes.ts';

export const RULE_ACTIONS = ['allow', 'deny'] as const;
export type RuleAction = (typeof RULE_ACTIONS)[number];
export const RULE_KINDS = ['stream', 'datagram'] as const;
export type RuleKind = (typeof RULE_KINDS)[number];
export const RULE_USES = ['send', 'listen'] as const;
/**
 * send: to a port of a node, by message or by opening a stream. listen: at a port of the daemon's
 * node.
 */
export type RuleUse = (typeof RULE_USES)[number];
export const RULE_LISTS = ['inbound', 'targets', 'clients'] as const;
export type RuleList = (typeof RULE_LISTS)[number];

/** Most rules of each list: inbound ones are indexed, the others are gone through. */
export const RULES_MAX: Readonly<Record<RuleList, number>> = {
  inbound: 16_384,
  targets: 1_024,
  clients: 1_024,
};

/** Both inclusive, 1..65535. */
export interface PortRange {
  readonly first: Port;
  readonly last: Port;
}

/**
 * Nodes by id or by name, and groups of certificates. Fits who is in one of them; with neither,
 * everybody.
 */
export interface Who {
  readonly nodes: readonly (NodeId | string)[];
  readonly groups: readonly string[];
}

/** Of packets that come for this node's ports from other nodes. */
export interface InboundRule extends Who {
  readonly action: RuleAction;
  /** Empty: all. */
  readonly ports: readonly PortRange[];
  readonly kind: RuleKind | null;
  /** SERVICE_...; null: any. */
  readonly service: number | null;
  /** DISSEMINATION_...; null: any. */
  readonly dissemination: number | null;
}

/** A host in canonical form and a port; null: any. */
export interface RuleTarget {
  readonly host: string | null;
  readonly port: Port | null;
}

/** Of what other nodes reach through `spines expose` on this one. */
export interface TargetRule extends Who {
  readonly action: RuleAction;
  /** Empty: all. */
  readonly targets: readonly RuleTarget[];
}

/** Of remote clients of this daemon. */
export interface ClientRule {
  readonly action: RuleAction;
  /** Names in certificates, and groups of them: as nodes and groups of Who. */
  readonly clients: readonly string[];
  readonly groups: readonly string[];
  readonly use: RuleUse | null;
  /** Whom they send to, by id or name; a rule with some is of sending only. Empty: anybody. */
  readonly nodes: readonly (NodeId | string)[];
  readonly ports: readonly PortRange[];
  readonly kind: RuleKind | null;
}

export interface RuleSet {
  /** What happens where no rule of the list fits. */
  readonly defaults: Readonly<Record<RuleList, RuleAction>>;
  readonly inbound: readonly InboundRule[];
  readonly targets: readonly TargetRule[];
  readonly clients: readonly ClientRule[];
}

/** No rules: everything goes. */
export const NO_RULES: RuleSet = Object.freeze({
  defaults: Object.freeze({ inbound: 'allow', targets: 'allow', clients: 'allow' }),
  inbound: Object.freeze([]),
  targets: Object.freeze([]),
  clients: Object.freeze([]),
});

/** A rule in the words of the config file; what it leaves open is left out. */
export type RuleData = Readonly<Record<string, string | readonly string[]>>;

export function inboundData({
  action,
  nodes,
  groups,
  ports,
  kind,
  service,
  dissemination,
}: InboundRule): RuleData {
  return {
    action,
    ...listed('node', nodes.map(nodeText)),
    ...listed('group', groups),
    ...listed('port', ports.map(portText)),
    ...(kind === null ? {} : { kind }),
    ...(service === null ? {} : { link: serviceName(service) }),
    ...(dissemination === null ? {} : { routing: disseminationName(dissemination) }),
  };
}

export function targetData({ action, nodes, groups, targets }: TargetRule): RuleData {
  return {
    action,
    ...listed('node', nodes.map(nodeText)),
    ...listed('group', groups),
    ...listed('target', targets.map(targetText)),
  };
}

export function clientData({
  action,
  clients,
  groups,
  use,
  nodes,
  ports,
  kind,
}: ClientRule): RuleData {
  return {
    action,
    ...listed('client', clients),
    ...listed('group', groups),
    ...(use === null ? {} : { use }),
    ...listed('node', nodes.map(nodeText)),
    ...listed('port', ports.map(portText)),
    ...(kind === null ? {} : { kind }),
  };
}

/** All rules of a list, in their order. */
export function rulesData(rules: RuleSet, list: RuleList): RuleData[] {
  return list === 'inbound'
    ? rules.inbound.map(inboundData)
    : list === 'targets'
      ? rules.targets.map(targetData)
      : rules.clients.map(clientData);
}

export function rulesCount(rules: RuleSet): number {
  return rules.inbound.length + rules.targets.length + rules.clients.length;
}

export function sameRules(a: RuleSet, b: RuleSet): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

/** Whether nothing is refused, whatever comes. */
export function isOpen(
  rules: readonly { readonly action: RuleAction }[],
  otherwise: RuleAction,
): boolean {
  return rules.length === 0 && otherwise === 'allow';
}

function listed(key: string, items: readonly string[]): RuleData {
  return items.length === 0 ? {} : { [key]: items.length === 1 ? items[0]! : items };
}

function nodeText(node: NodeId | string): string {
  return typeof node === 'string' ? node : formatNodeId(node);
}

function portText({ first, last }: PortRange): string {
  return first === last ? String(first) : `${first}-${last}`;
}

function targetText({ host, port }: RuleTarget): string {
  return `${host === null ? '*' : host.includes(':') ? `[${host}]` : host}:${port ?? '*'}`;
}

/**
 * What a daemon's rules make of packets, targets and remote clients, and how often each rule
 * decided.
 *
 * Owns the rules in force, their counters and a cache of verdicts. Asked by sessions (each
 * datagram), streams (each SYN, and what is open when rules change), ports of remote clients, and
 * `spines expose`. Who refuses counts the drop. A rule's counter goes on over a reload that keeps
 * the rule. Programs of this machine, and what they send to each other, are not judged.
 */

import type { NodeId, Port } from '../base/ids.ts';
import type { Packet } from '../wire/packet.ts';
import { FirstMatch, modeOf, type SourceNames } from './first-match.ts';
import {
  isOpen,
  NO_RULES,
  rulesData,
  type ClientRule,
  type RuleAction,
  type RuleKind,
  type RuleList,
  type RuleSet,
  type RuleTarget,
  type RuleUse,
  type Who,
} from './rules.ts';
import { VerdictCache } from './verdict-cache.ts';

/** What a stream is carried on to; `host` in canonical form. */
export interface ReachedTarget {
  readonly host: string;
  readonly port: Port;
}

export interface FirewallEnvironment {
  readonly self: NodeId;
  /** By what a node is known, as far as it is; null: nothing is known of it. */
  namesOf(node: NodeId): SourceNames | null;
  /** Changes when `namesOf` of any node may have. */
  namesVersion(): number;
}

/** Sources, ports and modes that are remembered: 64 KiB, from the first rule on. */
const PLACES = 4_096;
/** Of each remote client: whom and where it sends. */
const CLIENT_PLACES = 64;

/** One list in force. */
class Tally {
  readonly data: readonly string[];
  readonly allows: Uint8Array;
  /** Of each rule, the default last. */
  readonly hits: Float64Array;

  constructor(rules: RuleSet, list: RuleList, before: Tally | null) {
    this.data = rulesData(rules, list).map((data) => JSON.stringify(data));
    this.allows = Uint8Array.from(
      [...rules[list].map(({ action }) => action), rules.defaults[list]],
      (action: RuleAction) => (action === 'allow' ? 1 : 0),
    );
    this.hits = new Float64Array(this.allows.length);
    if (before === null) return;
    const known = new Map(before.data.map((data, i) => [data, before.hits[i]!]));
    this.data.forEach((data, i) => {
      this.hits[i] = known.get(data) ?? 0;
    });
    this.hits[this.data.length] = before.hits.at(-1)!;
  }

  /** Counts; whether the rule allows. */
  decide(rule: number): boolean {
    this.hits[rule]! += 1;
    return this.allows[rule] === 1;
  }
}

/** A remote client, and what was found out about it. */
export class ClientScope {
  readonly names: SourceNames;
  readonly cache = new VerdictCache(CLIENT_PLACES);

  constructor(names: SourceNames) {
    this.names = names;
  }
}

export class Firewall {
  readonly #env: FirewallEnvironment;
  #rules: RuleSet = NO_RULES;
  #generation = 1;
  #namesSeen = 0;
  #inbound: FirstMatch | null = null;
  #cache: VerdictCache | null = null;
  #tallies: Readonly<Record<RuleList, Tally>>;

  constructor(env: FirewallEnvironment, rules: RuleSet) {
    this.#env = env;
    this.#tallies = tallies(NO_RULES, null);
    this.use(rules);
  }

  get rules(): RuleSet {
    return this.#rules;
  }

  /** Whether any datagram or stream may be refused here. */
  get judges(): boolean {
    return this.#inbound !== null;
  }

  /** Goes by `rules` from now on. Whoever has something open asks again. */
  use(rules: RuleSet): void {
    this.#tallies = tallies(rules, this.#tallies);
    this.#rules = rules;
    this.#inbound = isOpen(rules.inbound, rules.defaults.inbound)
      ? null
      : new FirstMatch(rules.inbound);
    if (this.#inbound !== null) this.#cache ??= new VerdictCache(PLACES);
    this.#generation += 1;
  }

  /** How often each rule of a list decided, its default last. */
  hits(list: RuleList): Float64Array {
    return this.#tallies[list].hits;
  }

  /* -------------------------------------------------------------- what comes for this node */

  /** Whether a packet may come in; counted. `stream`: it opens one. `@hot` */
  admits({ source, destinationPort, service, dissemination }: Packet, stream: boolean): boolean {
    if (this.#inbound === null || source === this.#env.self) return true;
    return this.#tallies.inbound.decide(
      this.#decidedBy(
        this.#inbound,
        source,
        destinationPort,
        modeOf(stream, service, dissemination),
      ),
    );
  }

  /**
   * As `admits` a SYN, of a stream that is open; not counted. True of a node of which nothing is
   * known any more: its silence ends it.
   */
  keeps(
    source: NodeId,
    port: Port,
    { service, dissemination }: { readonly service: number; readonly dissemination: number },
  ): boolean {
    if (this.#inbound === null || source === this.#env.self || this.#env.namesOf(source) === null)
      return true;
    return (
      this.#tallies.inbound.allows[
        this.#decidedBy(this.#inbound, source, port, modeOf(true, service, dissemination))
      ] === 1
    );
  }

  #decidedBy(rules: FirstMatch, source: NodeId, port: Port, mode: number): number {
    const generation = this.#current();
    const aim = (port << 4) | mode;
    const cache = this.#cache!;
    const known = cache.get(source, aim, generation);
    if (known >= 0) return known;
    const rule = rules.find(source, this.#env.namesOf(source), port, mode);
    cache.set(source, aim, generation, rule);
    return rule;
  }

  #current(): number {
    const version = this.#env.namesVersion();
    if (version !== this.#namesSeen) {
      this.#namesSeen = version;
      this.#generation += 1;
    }
    return this.#generation;
  }

  /* -------------------------------------------------------------- targets behind this node */

  /** Whether `node` may reach a target through this one; counted. `host` in canonical form. */
  mayReach(node: NodeId, host: string, port: Port): boolean {
    return this.#tallies.targets.decide(this.#targetRule(node, { host, port }));
  }

  /** As `mayReach`, of a stream that was let through to `target`; not counted. See `keeps`. */
  stillReaches(node: NodeId, target: ReachedTarget): boolean {
    return (
      this.#env.namesOf(node) === null ||
      this.#tallies.targets.allows[this.#targetRule(node, target)] === 1
    );
  }

  #targetRule(node: NodeId, { host, port }: ReachedTarget): number {
    const { targets } = this.#rules;
    const names = this.#env.namesOf(node);
    const rule = targets.findIndex(
      (one) => isMeant(one, node, names) && hasTarget(one.targets, host, port),
    );
    return rule < 0 ? targets.length : rule;
  }

  /* -------------------------------------------------------------- remote clients */

  /** Whether a remote client may send to `node`, or listen (`node`: this one); counted. `@hot` */
  clientMay(
    { names, cache }: ClientScope,
    use: RuleUse,
    node: NodeId,
    port: Port,
    kind: RuleKind,
  ): boolean {
    const { clients, defaults } = this.#rules;
    if (isOpen(clients, defaults.clients)) return true;
    const generation = this.#current();
    const aim = (port << 2) | (use === 'send' ? 2 : 0) | (kind === 'stream' ? 1 : 0);
    let rule = cache.get(node, aim, generation);
    if (rule < 0) {
      const found = clients.findIndex(
        (one) =>
          isClient(one, names) &&
          fitsUse(one, use, node, this.#env.namesOf(node)) &&
          fitsPort(one, port, kind),
      );
      rule = found < 0 ? clients.length : found;
      cache.set(node, aim, generation, rule);
    }
    return this.#tallies.clients.decide(rule);
  }
}

function tallies(
  rules: RuleSet,
  before: Readonly<Record<RuleList, Tally>> | null,
): Readonly<Record<RuleList, Tally>> {
  return {
    inbound: new Tally(rules, 'inbound', before?.inbound ?? null),
    targets: new Tally(rules, 'targets', before?.targets ?? null),
    clients: new Tally(rules, 'clients', before?.clients ?? null),
  };
}

function isMeant({ nodes, groups }: Who, node: NodeId, names: SourceNames | null): boolean {
  if (nodes.length === 0 && groups.length === 0) return true;
  return (
    nodes.some((one) => one === node || (names !== null && one === names.name)) ||
    (names !== null && groups.some((group) => names.groups.includes(group)))
  );
}

function hasTarget(targets: readonly RuleTarget[], host: string, port: Port): boolean {
  return (
    targets.length === 0 ||
    targets.some(
      (target) =>
        (target.host === null || target.host === host) &&
        (target.port === null || target.port === port),
    )
  );
}

function isClient({ clients, groups }: ClientRule, names: SourceNames): boolean {
  return (
    (clients.length === 0 && groups.length === 0) ||
    clients.includes(names.name) ||
    groups.some((group) => names.groups.includes(group))
  );
}

function fitsUse(
  { use, nodes }: ClientRule,
  asked: RuleUse,
  node: NodeId,
  names: SourceNames | null,
): boolean {
  if (use !== null && use !== asked) return false;
  return nodes.length === 0 || (asked === 'send' && isMeant({ nodes, groups: [] }, node, names));
}

function fitsPort({ ports, kind }: ClientRule, port: Port, asked: RuleKind): boolean {
  return (
    (kind === null || kind === asked) &&
    (ports.length === 0 || ports.some(({ first, last }) => port >= first && port <= last))
  );
}

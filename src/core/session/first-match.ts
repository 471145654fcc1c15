/**
 * Finds the first of many rules that fits a source, a port and a mode, without going through them.
 *
 * Rules are laid out by whom they name: a node's id, a name, a group, or nobody in particular. A
 * source is in few of these lists; of each the first rule that fits a port is read from steps (from
 * port p on it is rule r), made when they are first wanted, once for each mode. So what a packet
 * with a made-up source costs does not grow with the rules. Called by firewall.ts when its cache
 * has no answer.
 */

import type { NodeId, Port } from '../base/ids.ts';
import type { InboundRule } from './rules.ts';

/** How a packet comes, as far as rules tell it apart: kind, service and dissemination. */
export const MODES = 16;
const STREAM = 8,
  SERVICE_SHIFT = 1,
  SERVICE_OTHER = 3;

/** 0..MODES-1. Services and disseminations that there are not count as one each. */
export function modeOf(stream: boolean, service: number, dissemination: number): number {
  return (
    (stream ? STREAM : 0) |
    (Math.min(service, SERVICE_OTHER) << SERVICE_SHIFT) |
    Math.min(dissemination, 1)
  );
}

/** Name and groups by which a source is meant; an empty name is none. */
export interface SourceNames {
  readonly name: string;
  readonly groups: readonly string[];
}

/** Shorter lists are gone through. */
const SCANNED_MAX = 32;
const PORTS = 65_536;

export class FirstMatch {
  /** What is found when no rule fits: the number of rules. */
  readonly none: number;
  readonly #rules: readonly InboundRule[];
  readonly #everybody: Listed;
  readonly #byNode = new Map<NodeId, Listed>();
  readonly #byName = new Map<string, Listed>();
  readonly #byGroup = new Map<string, Listed>();

  constructor(rules: readonly InboundRule[]) {
    this.#rules = rules;
    this.none = rules.length;
    this.#everybody = new Listed(rules);
    rules.forEach(({ nodes, groups }, at) => {
      if (nodes.length === 0 && groups.length === 0) this.#everybody.add(at);
      for (const node of nodes) {
        if (typeof node === 'number') this.#listed(this.#byNode, node).add(at);
        else this.#listed(this.#byName, node).add(at);
      }
      for (const group of groups) this.#listed(this.#byGroup, group).add(at);
    });
  }

  /** Index of the rule, or `none`. `names`: of the source; null: not known. */
  find(source: NodeId, names: SourceNames | null, port: Port, mode: number): number {
    let best = this.#everybody.first(port, mode, this.none);
    best = Math.min(best, this.#byNode.get(source)?.first(port, mode, best) ?? best);
    if (names === null) return best;
    best = Math.min(best, this.#byName.get(names.name)?.first(port, mode, best) ?? best);
    for (const group of names.groups)
      best = Math.min(best, this.#byGroup.get(group)?.first(port, mode, best) ?? best);
    return best;
  }

  #listed<K>(lists: Map<K, Listed>, key: K): Listed {
    let listed = lists.get(key);
    if (listed === undefined) lists.set(key, (listed = new Listed(this.#rules)));
    return listed;
  }
}

/** Whether a rule is of this port and mode, whoever sends. */
export function fits(
  { ports, kind, service, dissemination }: InboundRule,
  port: Port,
  mode: number,
): boolean {
  return (
    fitsMode(kind, service, dissemination, mode) &&
    (ports.length === 0 || ports.some(({ first, last }) => port >= first && port <= last))
  );
}

function fitsMode(
  kind: InboundRule['kind'],
  service: number | null,
  dissemination: number | null,
  mode: number,
): boolean {
  if (kind !== null && (kind === 'stream') !== ((mode & STREAM) !== 0)) return false;
  if (service !== null && service !== ((mode >> SERVICE_SHIFT) & 3)) return false;
  return dissemination === null || dissemination === (mode & 1);
}

/** From port `from[i]` on, up to `from[i + 1]`, the first rule is `rule[i]`. */
interface Steps {
  readonly from: Uint16Array;
  readonly rule: Int32Array;
}

/** The rules that name one source, in their order. */
class Listed {
  readonly #rules: readonly InboundRule[];
  readonly #at: number[] = [];
  readonly #steps: (Steps | undefined)[] = [];

  constructor(rules: readonly InboundRule[]) {
    this.#rules = rules;
  }

  add(at: number): void {
    if (this.#at.at(-1) !== at) this.#at.push(at);
  }

  /**
   * Index of the first that fits, `none` for no one; `none` as well when it would be behind that.
   */
  first(port: Port, mode: number, none: number): number {
    if (this.#at.length <= SCANNED_MAX) {
      for (const at of this.#at) {
        if (at >= none) break;
        if (fits(this.#rules[at]!, port, mode)) return at;
      }
      return none;
    }
    const { from, rule } = (this.#steps[mode] ??= this.#makeSteps(mode));
    let low = 0,
      high = from.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (from[middle]! <= port) low = middle;
      else high = middle - 1;
    }
    return Math.min(none, rule[low]!);
  }

  /**
   * Each rule takes the ports of its own that no earlier one has: `next` leaps over those that are
   * taken.
   */
  #makeSteps(mode: number): Steps {
    const owner = new Int32Array(PORTS).fill(0x7fff_ffff);
    const next = new Int32Array(PORTS + 1);
    for (let port = 0; port <= PORTS; port += 1) next[port] = port;
    const free = (port: number): number => {
      let root = port;
      while (next[root] !== root) root = next[root]!;
      for (let at = port; next[at] !== root && at !== root; ) {
        const after = next[at]!;
        next[at] = root;
        at = after;
      }
      return root;
    };
    for (const at of this.#at) {
      const { ports, kind, service, dissemination } = this.#rules[at]!;
      if (!fitsMode(kind, service, dissemination, mode)) continue;
      for (const { first, last } of ports.length === 0 ? [{ first: 0, last: PORTS - 1 }] : ports) {
        for (let port = free(first); port <= last; port = free(port)) {
          owner[port] = at;
          next[port] = port + 1;
        }
      }
    }
    const from: number[] = [],
      rule: number[] = [];
    for (let port = 0; port < PORTS; port += 1) {
      if (port > 0 && owner[port] === owner[port - 1]) continue;
      from.push(port);
      rule.push(owner[port]!);
    }
    return { from: Uint16Array.from(from), rule: Int32Array.from(rule) };
  }
}

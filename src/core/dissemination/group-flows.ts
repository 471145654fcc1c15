/**
 * Flows of packets to groups: of one source to one group, as this node sees them.
 *
 * Owns, of each, the tree and what follows of it here: the neighbour that packets come from, those
 * that they go to, and what of that was so a short while
 * ago, as neighbours learn of changes one after the other. Made when a packet asks, anew when tree
 * or members are others. Bounded; the flow used longest ago gives way. `@hot`
 */

import type { NodeId } from '../base/ids.ts';
import { MILLISECOND, SECOND, type Clock, type Micros } from '../base/time.ts';
import type { SourceTree, SourceTrees } from '../routing/source-tree.ts';

export const GROUP_FLOWS_MAX = 4_096;
/** For so long what was before a change is remembered. */
const PAST: Micros = 10 * SECOND;
const PAST_MAX = 4;
/** After routes have changed a flow without a past may come from any neighbour for so long. */
const GRACE: Micros = 500 * MILLISECOND;

/** Who is in which group, as link state tells it. */
export interface GroupMembers {
  members(group: number): ReadonlySet<NodeId>;
  /** Another number whenever the members of `group` are others. */
  generation(group: number): number;
}

interface PastTree {
  readonly tree: SourceTree;
  readonly children: readonly NodeId[];
  readonly leftAt: Micros;
}

export class GroupFlow {
  readonly source: NodeId;
  readonly group: number;
  tree: SourceTree;
  generation: number;
  /** Neighbours that packets go to, ascending. */
  children: readonly NodeId[] = [];
  /** The neighbour that they come from; null: they begin here, or do not come here. */
  parent: NodeId | null = null;
  /** The certificate of the source lets it send to the group. */
  allowed = true;
  /** What was before, the latest first. */
  readonly past: PastTree[] = [];

  constructor(source: NodeId, group: number, tree: SourceTree, generation: number) {
    this.source = source;
    this.group = group;
    this.tree = tree;
    this.generation = generation;
  }
}

export interface GroupFlowsEnvironment {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly trees: SourceTrees;
  readonly groups: GroupMembers;
  /** Whether `source` may send to `group`. */
  allows(source: NodeId, group: number): boolean;
}

export class GroupFlows {
  readonly #env: GroupFlowsEnvironment;
  readonly #byGroup = new Map<number, Map<NodeId, GroupFlow>>();
  /** The one used longest ago first, about. */
  readonly #inTurn = new Set<GroupFlow>();
  #latest: GroupFlow | null = null;
  /** When routes last changed. */
  #routesAt: Micros = -GRACE;

  constructor(env: GroupFlowsEnvironment) {
    this.#env = env;
  }

  get size(): number {
    return this.#inTurn.size;
  }

  all(): Iterable<GroupFlow> {
    return this.#inTurn;
  }

  onRoutes(): void {
    this.#routesAt = this.#env.clock.now();
  }

  /** The flow as it is now. `@hot` */
  of(source: NodeId, group: number): GroupFlow {
    const latest = this.#latest;
    const flow =
      latest !== null && latest.source === source && latest.group === group
        ? latest
        : this.#find(source, group);
    this.refresh(flow);
    return flow;
  }

  /** Makes of the flow what it is now; true: its tree is another one. */
  refresh(flow: GroupFlow): boolean {
    const { trees, groups } = this.#env;
    const generation = groups.generation(flow.group);
    if (flow.tree.version === trees.version && flow.generation === generation) return false;
    const before = flow.tree;
    flow.tree = trees.of(flow.source);
    flow.generation = generation;
    this.#derive(flow, before);
    return before !== flow.tree;
  }

  /** Whether a packet of the flow may come from the neighbour `from`. */
  mayCome(flow: GroupFlow, from: NodeId): boolean {
    if (flow.parent === from) return true;
    return this.#was(flow, (tree) => tree.parent(this.#env.self) === from);
  }

  /** Whether `node` is, or was lately, on the way of the flow to here. */
  isBefore(flow: GroupFlow, node: NodeId): boolean {
    const { self } = this.#env;
    return flow.tree.passes(node, self) || this.#was(flow, (tree) => tree.passes(node, self));
  }

  /** Whether members are behind `node` on the way of the flow, or were lately. */
  leadsOver(flow: GroupFlow, node: NodeId): boolean {
    const members = this.#env.groups.members(flow.group);
    const over = (tree: SourceTree): boolean => {
      for (const member of members) if (tree.passes(node, member)) return true;
      return false;
    };
    return over(flow.tree) || this.#was(flow, over);
  }

  /** All ways to its members were lost less than `lately` ago, and there are members. */
  isCutOff(flow: GroupFlow, lately: Micros): boolean {
    const { self, clock, groups } = this.#env;
    const [before] = flow.past;
    if (flow.children.length > 0 || before === undefined || clock.now() - before.leftAt >= lately)
      return false;
    const members = groups.members(flow.group);
    return members.size > (members.has(self) ? 1 : 0);
  }

  /** The members that packets of the flow reach by the neighbour `child`, or did lately. */
  behind(flow: GroupFlow, child: NodeId): NodeId[] {
    const { self, groups } = this.#env;
    const tree = flow.children.includes(child)
      ? flow.tree
      : flow.past.find(({ children }) => children.includes(child))?.tree;
    if (tree === undefined) return [];
    return tree.behind(child, groups.members(flow.group)).filter((member) => member !== self);
  }

  #was(flow: GroupFlow, did: (tree: SourceTree) => boolean): boolean {
    const now = this.#env.clock.now();
    if (flow.past.length === 0) return now - this.#routesAt < GRACE;
    return flow.past.some(({ tree, leftAt }) => now - leftAt < PAST && did(tree));
  }

  #find(source: NodeId, group: number): GroupFlow {
    let flows = this.#byGroup.get(group);
    let flow = flows?.get(source);
    if (flow === undefined) {
      const { trees, groups } = this.#env;
      if (this.#inTurn.size >= GROUP_FLOWS_MAX) this.#forget();
      flows = this.#byGroup.get(group);
      if (flows === undefined) this.#byGroup.set(group, (flows = new Map()));
      flow = new GroupFlow(source, group, trees.of(source), groups.generation(group));
      flows.set(source, flow);
      this.#derive(flow, flow.tree);
    } else this.#inTurn.delete(flow);
    this.#inTurn.add(flow);
    return (this.#latest = flow);
  }

  #derive(flow: GroupFlow, before: SourceTree): void {
    const { self, groups, clock } = this.#env;
    const { source, group, tree, parent, children } = flow;
    const members = groups.members(group);
    flow.parent = tree.parent(self);
    flow.children = tree.children(self, members).sort((a, b) => a - b);
    flow.allowed = this.#env.allows(source, group);
    if (before === tree || (parent === flow.parent && isSame(children, flow.children))) return;
    const now = clock.now();
    flow.past.unshift({ tree: before, children, leftAt: now });
    while (flow.past.length > PAST_MAX || now - flow.past.at(-1)!.leftAt >= PAST) flow.past.pop();
  }

  #forget(): void {
    for (const flow of this.#inTurn) {
      this.#inTurn.delete(flow);
      const flows = this.#byGroup.get(flow.group)!;
      flows.delete(flow.source);
      if (flows.size === 0) this.#byGroup.delete(flow.group);
      if (this.#latest === flow) this.#latest = null;
      return;
    }
  }
}

function isSame(a: readonly NodeId[], b: readonly NodeId[]): boolean {
  return a.length === b.length && a.every((node, index) => node === b[index]);
}

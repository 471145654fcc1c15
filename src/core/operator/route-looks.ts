/**
 * What happens to routes and nodes: ways that are found, lost or others, nodes that come and go or
 * are not believed, and links that Byzantine routing convicts.
 *
 * Routes are compared when they were computed anew. Bounded by the nodes that are known.
 */

import type { NodeId } from '../base/ids.ts';
import type { Micros } from '../base/time.ts';
import { wayDiffers, wayTo, type ShortestPaths } from '../routing/shortest-path.ts';
import type { PathNode, WhyReply } from 'spines-client/protocol';
import { nodeAt, type Look, type TellHappened } from './look.ts';
import { costMs, refusedNodes } from './nodes-report.ts';
import type { Operator } from './operation.ts';

export class RouteLook implements Look {
  readonly #operator: Operator;
  #paths: ShortestPaths;

  constructor(operator: Operator) {
    this.#operator = operator;
    this.#paths = operator.node.router.paths;
  }

  look(tell: TellHappened): void {
    const { node, env } = this.#operator;
    const { router, config } = node;
    const was = this.#paths,
      is = router.paths;
    if (was === is) return;
    this.#paths = is;
    for (let i = 0; i < is.ids.length; i += 1) {
      const id = is.ids[i]!,
        before = was.indexOf.get(id);
      if (id !== config.id && wayDiffers(was, before, is, i))
        this.#tell(tell, id, was, is, router.changedAt(i));
    }
    for (const id of was.ids)
      if (!is.indexOf.has(id) && id !== config.id) this.#tell(tell, id, was, is, env.clock.now());
  }

  #tell(tell: TellHappened, id: NodeId, was: ShortestPaths, is: ShortestPaths, at: Micros): void {
    const path = this.#path(is, id),
      before = this.#path(was, id);
    if (path === null && before === null) return;
    tell(
      {
        kind: 'route',
        what: path === null ? 'lost' : before === null ? 'found' : 'changed',
        ...nodeAt(this.#operator, id),
        path,
        was: before,
        costMs: path === null ? null : costMs(this.#operator, is.cost[is.indexOf.get(id)!]!),
      },
      at,
    );
  }

  #path(paths: ShortestPaths, to: NodeId): PathNode[] | null {
    return wayTo(paths, to)?.map((node) => nodeAt(this.#operator, node)) ?? null;
  }
}

export class NodeLook implements Look {
  readonly #operator: Operator;
  #version: number;
  #known: Map<NodeId, PathNode>;
  #refused: Map<NodeId, WhyReply>;

  constructor(operator: Operator) {
    this.#operator = operator;
    this.#version = operator.node.router.version;
    this.#known = this.#knownNow();
    this.#refused = this.#refusedNow();
  }

  look(tell: TellHappened): void {
    const { router } = this.#operator.node;
    const now = this.#operator.env.clock.now();
    const nothing = { kind: 'node', why: null, next: null } as const;
    if (router.version !== this.#version) {
      this.#version = router.version;
      const known = this.#knownNow();
      for (const [id, node] of known)
        if (!this.#known.has(id)) tell({ ...nothing, what: 'known', ...node }, now);
      for (const [id, node] of this.#known) {
        if (known.has(id)) continue;
        const why =
          router.advertisementOf(id)?.leaving === true ? 'it said good-bye' : 'it was not heard';
        tell({ ...nothing, what: 'forgotten', ...node, why }, now);
      }
      this.#known = known;
    }
    const refused = this.#refusedNow();
    for (const [id, { code, text, next }] of refused)
      if (this.#refused.get(id)?.code !== code)
        tell(
          { kind: 'node', what: 'refused', ...nodeAt(this.#operator, id), why: text, next },
          now,
        );
    for (const id of this.#refused.keys())
      if (!refused.has(id) && this.#known.has(id))
        tell({ ...nothing, what: 'believed', ...nodeAt(this.#operator, id) }, now);
    this.#refused = refused;
  }

  #knownNow(): Map<NodeId, PathNode> {
    const known = new Map<NodeId, PathNode>();
    for (const { advertisement } of this.#operator.node.router.database.records())
      if (!advertisement.leaving)
        known.set(advertisement.origin, nodeAt(this.#operator, advertisement.origin));
    return known;
  }

  #refusedNow(): Map<NodeId, WhyReply> {
    return new Map(
      [...refusedNodes(this.#operator)].flatMap(([id, { why }]) =>
        why == null ? [] : [[id, why] as const],
      ),
    );
  }
}

export class ConvictionLook implements Look {
  readonly #operator: Operator;
  #until: Micros;

  constructor(operator: Operator) {
    this.#operator = operator;
    this.#until = operator.env.clock.now();
  }

  look(tell: TellHappened): void {
    const until = this.#until;
    this.#until = this.#operator.env.clock.now();
    for (const { at, destination, u, v, losses } of this.#operator.node.byzantine?.convictions ??
      [])
      if (at > until)
        tell(
          {
            kind: 'conviction',
            u: nodeAt(this.#operator, u),
            v: nodeAt(this.#operator, v),
            destination: nodeAt(this.#operator, destination),
            losses,
          },
          at,
        );
  }
}

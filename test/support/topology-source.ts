/**
 * A topology file as the first of its nodes would report it: facts for a dashboard, and no network.
 */

import type { DaemonEvent } from 'spines-client';
import type { NodeLinkRow, NodeRow } from 'spines-client/protocol';

import { formatNodeId } from '../../src/core/base/ids.ts';
import type { Asked, OverlaySource } from '../../src/host/web/overlay-source.ts';
import type { Topology } from '../../src/lab/topology/topology.ts';

export class TopologySource implements OverlaySource {
  readonly #topology: Topology;
  readonly #cut = new Set<number>();
  #tell: ((event: DaemonEvent) => void) | null = null;

  constructor(topology: Topology) {
    this.#topology = topology;
  }

  ask<Op extends keyof Asked>(op: Op): Promise<Asked[Op]> {
    const first = this.#topology.nodes[0]!;
    const answers: Record<keyof Asked, object> = {
      nodes: { schema: 1, nodes: this.#nodes() },
      status: {
        ...{ node: formatNodeId(first.id), name: first.name, version: '0', security: 'sealed' },
        ...{ uptimeMs: 1, metric: 'expected-latency', byzantine: null },
      },
      links: { schema: 1, links: [] },
      sessions: { schema: 1, sessions: [] },
      byzantineRoutes: {},
    };
    return Promise.resolve(answers[op] as Asked[Op]);
  }

  watch(tell: (event: DaemonEvent) => void): () => void {
    this.#tell = tell;
    return () => {
      this.#tell = null;
    };
  }

  /** Ends a link, and tells so. When that was, by the wall. */
  cut(link: number): number {
    this.#cut.add(link);
    const { a, b } = this.#topology.links[link]!;
    const [one, two] = [this.#topology.nodes[a]!, this.#topology.nodes[b]!];
    const at = Date.now();
    this.#tell?.({
      ...{ at, kind: 'route', what: 'changed', node: formatNodeId(two.id), name: two.name },
      ...{ path: null, was: [{ node: formatNodeId(one.id), name: one.name }], costMs: null },
    });
    return at;
  }

  #nodes(): NodeRow[] {
    const { nodes, links } = this.#topology;
    const rows = nodes.map(({ id, name }, i): NodeRow => {
      const links: NodeLinkRow[] = [];
      const node = formatNodeId(id);
      return { node, name, reachable: true, self: i === 0, sequence: 1, ageMs: 1, links };
    });
    links.forEach(({ a, b, forward, backward }, i) => {
      if (this.#cut.has(i)) return;
      const add = (from: number, to: number, latencyUs: number): void => {
        const { node, name } = rows[to]!;
        const latencyMs = latencyUs / 1_000;
        rows[from]!.links.push({ node, name, latencyMs, lossPct: 0, confirmed: true });
      };
      add(a, b, forward.latencyUs);
      add(b, a, backward.latencyUs);
    });
    return rows;
  }
}

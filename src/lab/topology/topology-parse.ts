/**
 * From the text of a topology file to a Topology.
 *
 * Owns the YAML reading, the places of errors (file:line:column) and every check that needs more
 * than one place of the file: references, duplicates, ids. The shape is topology-schema.ts's.
 * Called by the replay and simulate commands. Invariant: whatever the text, the outcome is a valid
 * Topology or one SpinesError 'ETOPOLOGY' whose message has a line per fault.
 */

import { SpinesError } from '../../core/base/errors.ts';
import { formatNodeId } from '../../core/base/ids.ts';
import {
  changeDirection,
  defaultDirection,
  defaultQueueBytes,
  type DirectionChange,
  type DirectionSettings,
} from '../../core/emulation/link-settings.ts';
import { checkFigure } from './topology-figure.ts';
import { generateGraph } from './topology-generate.ts';
import { applyOverrides, parseOverride, type Override } from './topology-overrides.ts';
import {
  checkFile,
  nearest,
  type EventData,
  type FileData,
  type FlowData,
  type Issue,
} from './topology-schema.ts';
import type {
  Topology,
  TopologyEvent,
  TopologyFlow,
  TopologyLink,
  TopologyNode,
} from './topology.ts';
import { TOPOLOGY_LINKS_MAX, TOPOLOGY_NODES_MAX, TOPOLOGY_TEXT_MAX } from './limits.ts';
import { YamlText } from '../../text/yaml-text.ts';
import { PATHS_DEFAULT } from '../../core/wire/packet.ts';

/** Faults reported at most; the rest are counted. */
const ISSUES_MAX = 50;

/**
 * Parses and validates. `fileName` is used in messages only; `overrides` are `--set` arguments
 * ("flows.*.rate=1mbit"), applied before validation. Throws SpinesError 'ETOPOLOGY'.
 */
export function parseTopology(
  text: string,
  fileName: string,
  overrides: readonly string[] = [],
): Topology {
  const places = new Places(text, fileName, overrides.map(parseOverride));
  const checked = checkFile(places.data);
  if (checked.data === null) throw places.error(checked.issues);
  const builder = new Builder(checked.data);
  const topology = builder.build();
  const figure = checkFigure(
    places.data,
    topology.flows.map((flow) => flow.name),
  );
  const issues = [...builder.issues, ...figure.issues];
  if (issues.length > 0) throw places.error(issues);
  return figure.plan === null ? topology : deepFreeze({ ...topology, figure: figure.plan });
}

/* ------------------------------------------------------------------ resolving */

type Path = (string | number)[];

class Builder {
  readonly issues: Issue[] = [];
  readonly #file: FileData;
  readonly #nodes: TopologyNode[] = [];
  readonly #links: TopologyLink[] = [];
  readonly #nodeByName = new Map<string, number>();
  /** "a b" with a < b -> index of the link. */
  readonly #linkByEnds = new Map<string, number>();

  constructor(file: FileData) {
    this.#file = file;
  }

  build(): Topology {
    const file = this.#file;
    const seed = file.seed ?? 1;
    const durationUs = file.duration;
    this.#addNodesAndLinks(seed);
    const flows = this.#flows(durationUs);
    const events = (file.events ?? []).flatMap(
      (event, i) => this.#event(event, flows, ['events', i]) ?? [],
    );
    events.sort((x, y) => x.at - y.at);
    return deepFreeze({
      name: file.name,
      description: file.description ?? '',
      note: file.note ?? '',
      seed,
      durationUs,
      metric: file.metric ?? 'expected-latency',
      congestion: file.congestion ?? null,
      security: file.security ?? 'sealed',
      nodes: this.#nodes,
      links: this.#links,
      flows,
      events,
      figure: null,
    });
  }

  #addNodesAndLinks(seed: number): void {
    const { nodes = [], links = [], generate, defaults } = this.#file;
    const common = defaults?.link ?? {};
    const wanted: { name: string; id: number | null; path: Path }[] = nodes.map((node, i) => ({
      ...node,
      path: ['nodes', i],
    }));
    const graph = generate === undefined ? { names: [], edges: [] } : generateGraph(generate, seed);
    for (const name of graph.names) wanted.push({ name, id: null, path: ['generate'] });
    if (wanted.length === 0)
      this.#fail([], 'the topology has no nodes: give nodes, generate or both');
    if (wanted.length > TOPOLOGY_NODES_MAX)
      this.#fail(['generate'], `more than ${TOPOLOGY_NODES_MAX} nodes in all`);

    const idOwner = new Map<number, string>();
    wanted.forEach(({ name, id, path }, i) => {
      const taken = id ?? defaultId(i);
      if (this.#nodeByName.has(name)) this.#fail(path, `duplicate node name ${name}`);
      else this.#nodeByName.set(name, i);
      const other = idOwner.get(taken);
      if (other !== undefined)
        this.#fail(
          id === null ? path : [...path, 'id'],
          `${name} and ${other} both have the id ${formatNodeId(taken)}`,
        );
      idOwner.set(taken, name);
      this.#nodes.push({ name, id: taken });
    });

    for (const edge of graph.edges) {
      const latency: DirectionChange = edge.latencyUs === null ? {} : { latencyUs: edge.latencyUs };
      const settings = direction(common, generate?.link ?? {}, latency);
      this.#addLink(nodes.length + edge.a, nodes.length + edge.b, settings, settings, ['generate']);
    }
    links.forEach((link, i) => {
      const [a, b] = this.#ends(link.between, ['links', i, 'between']);
      if (a === null || b === null) return;
      this.#addLink(
        a,
        b,
        direction(common, link.common, link.forward),
        direction(common, link.common, link.backward),
        ['links', i, 'between'],
      );
    });
    if (this.#links.length > TOPOLOGY_LINKS_MAX)
      this.#fail(['links'], `more than ${TOPOLOGY_LINKS_MAX} links in all`);
  }

  #addLink(
    a: number,
    b: number,
    forward: DirectionSettings,
    backward: DirectionSettings,
    path: Path,
  ): void {
    const key = endsKey(a, b);
    if (this.#linkByEnds.has(key)) {
      this.#fail(path, `duplicate link between ${this.#nameOf(a)} and ${this.#nameOf(b)}`);
      return;
    }
    this.#linkByEnds.set(key, this.#links.length);
    this.#links.push({ a, b, forward, backward });
  }

  #flows(runUs: number): TopologyFlow[] {
    const names = new Set<string>();
    const flows = this.#file.flows ?? [];
    for (const flow of flows) if (flow.name !== undefined) names.add(flow.name);
    const given = new Set<string>();
    return flows.map((flow, i) => {
      const path: Path = ['flows', i];
      const from = this.#node(flow.from, [...path, 'from']);
      const to = this.#node(flow.to, [...path, 'to']);
      if (from !== null && from === to)
        this.#fail([...path, 'to'], `a flow from ${flow.from} to itself`);
      if (flow.name !== undefined && given.has(flow.name))
        this.#fail([...path, 'name'], `duplicate flow name ${flow.name}`);
      if (flow.name !== undefined) given.add(flow.name);
      return flowOf(
        flow,
        from ?? 0,
        to ?? 0,
        flow.name ?? freeName(`${flow.from}-${flow.to}`, names),
        runUs,
      );
    });
  }

  #event(event: EventData, flows: readonly TopologyFlow[], path: Path): TopologyEvent | null {
    const { at } = event;
    if ('set' in event) {
      const link = this.#link(event.link, [...path, 'link']);
      if (link === null) return null;
      // forward is from the first end the event names, which need not be the link's own first.
      const turned = this.#links[link]!.a !== this.#nodeByName.get(event.link[0]!);
      const asked = event.direction ?? 'both';
      const turnedTo = { forward: 'backward', backward: 'forward', both: 'both' } as const;
      return {
        at,
        kind: 'set',
        link,
        direction: turned ? turnedTo[asked] : asked,
        change: event.set,
      };
    }
    if ('down' in event || 'up' in event) {
      const kind = 'down' in event ? 'down' : 'up';
      const link = this.#link('down' in event ? event.down : event.up, [...path, kind]);
      return link === null ? null : { at, kind, link };
    }
    if ('crash' in event || 'restart' in event) {
      const kind = 'crash' in event ? 'crash' : 'restart';
      const node = this.#node('crash' in event ? event.crash : event.restart, [...path, kind]);
      return node === null ? null : { at, kind, node };
    }
    if ('misbehave' in event) {
      if (typeof event.misbehave !== 'string') {
        const on = flows.findIndex(
          ({ name, routing }) =>
            name === (event.misbehave as { on: string }).on && routing === 'byzantine',
        );
        if (on >= 0) return { at, kind: 'misbehave-on', on, what: event.what };
        this.#fail(
          [...path, 'misbehave', 'on'],
          `no flow with byzantine routing is called ${event.misbehave.on}`,
        );
        return null;
      }
      const node = this.#node(event.misbehave, [...path, 'misbehave']);
      return node === null ? null : { at, kind: 'misbehave', node, what: event.what };
    }
    return 'partition' in event
      ? this.#partition(at, event.partition, [...path, 'partition'])
      : { at, kind: 'heal' };
  }

  #partition(at: number, named: readonly (readonly string[])[], path: Path): TopologyEvent {
    const groupOf = new Map<number, number>();
    const groups: number[][] = named.map((names, g) => {
      const group: number[] = [];
      names.forEach((name, i) => {
        const node = this.#node(name, [...path, g, i]);
        if (node === null) return;
        if (groupOf.has(node))
          this.#fail([...path, g, i], `${name} is in more than one place of the partition`);
        else group.push(node);
        groupOf.set(node, g);
      });
      return group;
    });
    const rest = this.#nodes.flatMap((_, i) => (groupOf.has(i) ? [] : [i]));
    for (const node of rest) groupOf.set(node, groups.length);
    if (rest.length > 0) groups.push(rest);
    const cut = this.#links.flatMap((link, i) =>
      groupOf.get(link.a) === groupOf.get(link.b) ? [] : [i],
    );
    return { at, kind: 'partition', groups, cut };
  }

  /** The link's index, null (and an issue) when there is none. */
  #link(between: readonly string[], path: Path): number | null {
    const [a, b] = this.#ends(between, path);
    if (a === null || b === null) return null;
    const link = this.#linkByEnds.get(endsKey(a, b));
    if (link === undefined)
      this.#fail(path, `there is no link between ${this.#nameOf(a)} and ${this.#nameOf(b)}`);
    return link ?? null;
  }

  #ends(between: readonly string[], path: Path): [number | null, number | null] {
    const a = this.#node(between[0]!, [...path, 0]);
    const b = this.#node(between[1]!, [...path, 1]);
    if (a !== null && a === b) {
      this.#fail(path, `a link from ${between[0]} to itself`);
      return [null, null];
    }
    return [a, b];
  }

  #node(name: string, path: Path): number | null {
    const node = this.#nodeByName.get(name);
    if (node !== undefined) return node;
    const suggestion =
      this.issues.length < ISSUES_MAX ? nearest(name, [...this.#nodeByName.keys()]) : null;
    this.#fail(
      path,
      `unknown node ${name}${suggestion === null ? '' : `, did you mean ${suggestion}?`}`,
    );
    return null;
  }

  #nameOf(node: number): string {
    return this.#nodes[node]!.name;
  }

  #fail(path: Path, message: string): void {
    this.issues.push({ path, message });
  }
}

function flowOf(
  flow: FlowData,
  from: number,
  to: number,
  name: string,
  runUs: number,
): TopologyFlow {
  const sizeBytes = flow.size ?? 1_000;
  const startUs = flow.start ?? 0;
  const leftUs = Math.max(0, runUs - startUs);
  return {
    name,
    from,
    to,
    // kbit/s to messages per second: * 1000 / (8 * size).
    packetsPerSecond: flow.packetsPerSecond ?? ((flow.rate ?? 0) * 125) / sizeBytes,
    sizeBytes,
    phaseUs: flow.phase ?? null,
    jitterUs: flow.jitter ?? 0,
    startUs,
    durationUs: Math.min(leftUs, flow.duration ?? leftUs),
    count: flow.count ?? null,
    link: flow.link ?? 'best-effort',
    session: flow.session ?? 'datagram',
    routing: flow.routing ?? 'link-state',
    ...(flow.routing === 'paths' ? { paths: flow.paths ?? PATHS_DEFAULT } : {}),
    ...(flow.routing === 'graph' ? { graph: flow.graph ?? 'auto' } : {}),
    congestion: flow.congestion ?? null,
    deadlineUs: flow.deadline ?? null,
  };
}

/** Later layers win; the queue follows the final bandwidth unless some layer set it. */
function direction(...layers: readonly DirectionChange[]): DirectionSettings {
  const merged: DirectionChange = Object.assign({}, ...layers);
  const settings = changeDirection(defaultDirection(), merged);
  return merged.queueBytes === undefined
    ? changeDirection(settings, { queueBytes: defaultQueueBytes(settings.bandwidthKbps) })
    : settings;
}

/** By position: 10.0.0.1, 10.0.0.2 ... 10.0.0.250, 10.0.1.1 ... */
function defaultId(position: number): number {
  return 10 * 0x100_0000 + Math.floor(position / 250) * 256 + (position % 250) + 1;
}

function endsKey(a: number, b: number): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}

function freeName(base: string, taken: Set<string>): string {
  let name = base;
  for (let i = 2; taken.has(name); i += 1) name = `${base}-${i}`;
  taken.add(name);
  return name;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}

/* ------------------------------------------------------------------ the file and its places */

class Places {
  /** Plain data of the file, overrides applied. */
  readonly data: unknown;
  readonly #text: YamlText;
  readonly #overrides: readonly Override[];

  constructor(text: string, fileName: string, overrides: readonly Override[]) {
    this.#overrides = overrides;
    this.#text = new YamlText(text, fileName, TOPOLOGY_TEXT_MAX);
    const { data, refusals } = this.#text;
    if (refusals.length > 0) throw refusal(refusals);
    if (data === null || data === undefined)
      throw this.error([{ path: [], message: 'the file is empty' }]);
    this.data = applyOverrides(data, overrides);
  }

  /** One error that lists every issue with its place. */
  error(issues: readonly Issue[]): SpinesError {
    const placed = issues.map((issue) => ({
      issue,
      offset: this.#text.offsetOf(issue.path, issue.atKey === true),
    }));
    placed.sort((x, y) => x.offset - y.offset);
    return refusal(
      placed.map(({ issue, offset }) => {
        const override = this.#overrides.find((o) => overlaps(o.path, issue.path));
        const path = issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
        return (
          `${this.#text.at(offset)}: ` +
          `${path}${issue.message}` +
          (override === undefined ? '' : ` (changed by --set ${override.text})`)
        );
      }),
    );
  }
}

function refusal(lines: readonly string[]): SpinesError {
  const shown = lines.slice(0, ISSUES_MAX);
  if (lines.length > shown.length) shown.push(`and ${lines.length - shown.length} more`);
  return new SpinesError('ETOPOLOGY', shown.join('\n'));
}

/** Whether an override's path leads to the issue's place or below it. */
function overlaps(override: readonly string[], issue: readonly (string | number)[]): boolean {
  if (override.length > issue.length) return false;
  return override.every((part, i) => part === '*' || part === String(issue[i]));
}

/**
 * What the map looks like: links by their state, paths, nodes and names, on a canvas.
 *
 * Owns colours (from the style sheet) and the words of a node or a link. A state never is a colour
 * alone: dashes, width and a cross say it too.
 */

import { msText, percentText } from './format.ts';
import type { Spot } from './layout.ts';
import { LINK_STATES, type LinkState, type ModelLink, type OverlayModel } from './model.ts';

/** What is pointed at, chosen or spoken of. */
export type Target = { readonly kind: 'node' | 'link'; readonly key: string };

export interface Palette {
  readonly ground: string;
  readonly ink: string;
  readonly quiet: string;
  readonly accent: string;
  readonly second: string;
  readonly node: string;
  readonly link: Readonly<Record<LinkState, string>>;
}

export interface View {
  x: number;
  y: number;
  k: number;
}

/** Nodes of the path in use, and of what would be taken instead. */
export interface Highlight {
  readonly main: readonly string[] | null;
  readonly second: readonly string[] | null;
}

export interface Scene {
  readonly width: number;
  readonly height: number;
  readonly selected: Target | null;
  readonly hovered: Target | null;
  readonly focused: string | null;
  readonly highlight: Highlight;
}

const WIDTHS: Readonly<Record<LinkState, number>> = {
  good: 1,
  lossy: 1.9,
  bad: 2.2,
  half: 1.3,
  avoided: 2.4,
  down: 1.7,
};
const DASHES: Readonly<Record<LinkState, readonly number[]>> = {
  good: [],
  lossy: [9, 4],
  bad: [4, 3],
  half: [1.5, 4],
  avoided: [],
  down: [2, 5],
};
/** With so many nodes or fewer all have their names. */
const NAMED_MAX = 36;
/** And links their latencies. */
const LABELLED_MAX = 24;
/** On a shorter line it would be in the way of names. */
const LABEL_LEAST = 96;
/** From this zoom on names are there with any number. */
const NAMES_FROM = 1.15;
const FONT = '500 12px system-ui, sans-serif';
const SMALL = '11px system-ui, sans-serif';

export class MapDrawing {
  palette: Palette | null = null;
  ratio = 1;
  readonly #context: CanvasRenderingContext2D;

  constructor(context: CanvasRenderingContext2D) {
    this.#context = context;
  }

  draw(model: OverlayModel, spots: ReadonlyMap<string, Spot>, view: View, scene: Scene): void {
    const { palette } = this;
    if (palette === null) return;
    const context = this.#context;
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.fillStyle = palette.ground;
    context.fillRect(0, 0, scene.width, scene.height);
    context.lineCap = 'butt';
    context.lineJoin = 'round';
    const px = (spot: Spot): number => spot.x * view.k + view.x;
    const py = (spot: Spot): number => spot.y * view.k + view.y;
    const all = { model, spots, px, py, scene, palette };
    this.#paths(all);
    this.#links(all);
    if (model.links.size <= LABELLED_MAX || view.k > 2.2) this.#labels(all);
    this.#nodes(all, view);
    this.#names(all, view);
  }

  #paths({ spots, px, py, scene, palette }: All): void {
    const { main, second } = scene.highlight;
    const context = this.#context;
    const draw = (nodes: readonly string[] | null, colour: string, width: number): void => {
      if (nodes === null) return;
      context.beginPath();
      nodes.forEach((id, i) => {
        const spot = spots.get(id);
        if (spot === undefined) return;
        if (i === 0) context.moveTo(px(spot), py(spot));
        else context.lineTo(px(spot), py(spot));
      });
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.stroke();
    };
    context.setLineDash([10, 6]);
    draw(second, palette.second, 5);
    context.setLineDash([]);
    draw(main, palette.accent, 8);
  }

  #links({ model, spots, px, py, scene, palette }: All): void {
    const context = this.#context;
    const byState = new Map<LinkState, ModelLink[]>(LINK_STATES.map((state) => [state, []]));
    for (const link of model.links.values()) byState.get(link.state)!.push(link);
    // A stroke for each: one path of hundreds of lines that cross takes ten times as long to fill
    // in software, and a single line of one pixel has a short way of its own there.
    const stroke = (links: readonly ModelLink[], colour: string, width: number): void => {
      context.strokeStyle = colour;
      context.lineWidth = width;
      for (const { a, b } of links) {
        const one = spots.get(a),
          two = spots.get(b);
        if (one === undefined || two === undefined) continue;
        context.beginPath();
        context.moveTo(px(one), py(one));
        context.lineTo(px(two), py(two));
        context.stroke();
      }
    };
    for (const target of [scene.hovered, scene.selected]) {
      const link = target?.kind === 'link' ? model.links.get(target.key) : undefined;
      if (link === undefined) continue;
      context.globalAlpha = 0.35;
      stroke([link], palette.ink, 7);
      context.globalAlpha = 1;
    }
    for (const [state, links] of byState) {
      if (links.length === 0) continue;
      context.setLineDash([...DASHES[state]]);
      stroke(links, palette.link[state], WIDTHS[state]);
    }
    context.setLineDash([]);
    for (const state of ['down', 'avoided'] as const) {
      context.strokeStyle = palette.link[state];
      context.lineWidth = 2;
      context.beginPath();
      for (const { a, b } of byState.get(state)!) {
        const one = spots.get(a),
          two = spots.get(b);
        if (one === undefined || two === undefined) continue;
        const x = (px(one) + px(two)) / 2,
          y = (py(one) + py(two)) / 2;
        context.moveTo(x - 4.5, y - 4.5);
        context.lineTo(x + 4.5, y + 4.5);
        context.moveTo(x + 4.5, y - 4.5);
        context.lineTo(x - 4.5, y + 4.5);
      }
      context.stroke();
    }
  }

  /** Latency and loss, on the ground so that the line does not strike them through. */
  #labels({ model, spots, px, py, scene, palette }: All): void {
    const context = this.#context;
    context.font = SMALL;
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    for (const link of model.links.values()) {
      const one = spots.get(link.a),
        two = spots.get(link.b);
      const text = shortWords(link);
      if (one === undefined || two === undefined || text === '') continue;
      const x = (px(one) + px(two)) / 2,
        y = (py(one) + py(two)) / 2 + (link.state === 'down' || link.state === 'avoided' ? 14 : 0);
      if (Math.hypot(px(one) - px(two), py(one) - py(two)) < LABEL_LEAST) continue;
      if (x < 0 || y < 0 || x > scene.width || y > scene.height) continue;
      const wide = context.measureText(text).width + 8;
      context.fillStyle = palette.ground;
      context.fillRect(x - wide / 2, y - 8, wide, 16);
      context.fillStyle = link.state === 'good' ? palette.quiet : palette.link[link.state];
      context.fillText(text, x, y + 0.5);
    }
  }

  #nodes({ model, spots, px, py, scene, palette }: All, view: View): void {
    const context = this.#context;
    const radius = model.nodes.size > 80 ? Math.min(7, Math.max(3.2, 4.4 * view.k ** 0.5)) : 7;
    const onPath = new Set(scene.highlight.main ?? []);
    const disc = (ids: readonly string[], fill: string, rim: string, width: number): void => {
      context.beginPath();
      for (const id of ids) {
        const spot = spots.get(id);
        if (spot === undefined) continue;
        const x = px(spot),
          y = py(spot);
        context.moveTo(x + radius, y);
        context.arc(x, y, radius, 0, 2 * Math.PI);
      }
      context.fillStyle = fill;
      context.fill();
      context.strokeStyle = rim;
      context.lineWidth = width;
      context.stroke();
    };
    const good: string[] = [],
      marked: string[] = [],
      away: string[] = [],
      doubted: string[] = [];
    for (const { id, self, reachable, why } of model.nodes.values()) {
      if (why !== null) doubted.push(id);
      else if (!reachable && !self) away.push(id);
      else if (self || onPath.has(id)) marked.push(id);
      else good.push(id);
    }
    disc(good, palette.node, palette.ground, 1.5);
    disc(marked, palette.accent, palette.ground, 1.5);
    disc(away, palette.ground, palette.quiet, 1.8);
    disc(doubted, palette.ground, palette.link.bad, 2);
    context.fillStyle = palette.link.bad;
    context.font = '700 10px system-ui, sans-serif';
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    for (const id of doubted) {
      const spot = spots.get(id)!;
      context.fillText('!', px(spot), py(spot) + 0.5);
    }
    const ring = (id: string | null | undefined, colour: string, more: number): void => {
      const spot = id == null ? undefined : spots.get(id);
      if (spot === undefined) return;
      context.beginPath();
      context.arc(px(spot), py(spot), radius + more, 0, 2 * Math.PI);
      context.strokeStyle = colour;
      context.lineWidth = 2;
      context.stroke();
    };
    ring(model.self, palette.accent, 3.5);
    for (const target of [scene.hovered, scene.selected])
      if (target?.kind === 'node') ring(target.key, palette.ink, 5.5);
    ring(scene.focused, palette.accent, 8);
  }

  #names({ model, spots, px, py, scene, palette }: All, view: View): void {
    const context = this.#context;
    const all = model.nodes.size <= NAMED_MAX || view.k >= NAMES_FROM;
    const few = new Set<string>([
      ...(scene.highlight.main ?? []),
      ...(model.self === null ? [] : [model.self]),
      ...[scene.selected, scene.hovered].flatMap((t) => (t?.kind === 'node' ? [t.key] : [])),
      ...(scene.focused === null ? [] : [scene.focused]),
    ]);
    context.font = FONT;
    context.textAlign = 'center';
    context.textBaseline = 'alphabetic';
    context.lineWidth = 3.5;
    context.strokeStyle = palette.ground;
    context.fillStyle = palette.ink;
    for (const id of all ? model.nodes.keys() : few) {
      const spot = spots.get(id);
      if (spot === undefined) continue;
      const x = px(spot),
        y = py(spot) - 12;
      if (x < -40 || y < -10 || x > scene.width + 40 || y > scene.height + 20) continue;
      const name = model.nameOf(id);
      const text = name.length > 18 ? `${name.slice(0, 8)}…${name.slice(-8)}` : name;
      context.strokeText(text, x, y);
      context.fillText(text, x, y);
    }
  }

  /** One line: what it is, and how it does. */
  wordsOf(model: OverlayModel, { kind, key }: Target): string {
    if (kind === 'node') {
      const node = model.nodes.get(key);
      if (node === undefined) return key;
      const links = [...model.links.values()].filter(
        (link) => link.goneAt === null && (link.a === key || link.b === key),
      ).length;
      const state = node.self ? 'this daemon' : node.reachable ? 'reachable' : 'out of reach';
      return `${node.name}: ${node.why ?? state}, ${links} link${links === 1 ? '' : 's'}`;
    }
    const link = model.links.get(key);
    if (link === undefined) return key;
    return `${model.nameOf(link.a)} – ${model.nameOf(link.b)}: ${linkWords(link)}`;
  }
}

interface All {
  readonly model: OverlayModel;
  readonly spots: ReadonlyMap<string, Spot>;
  readonly px: (spot: Spot) => number;
  readonly py: (spot: Spot) => number;
  readonly scene: Scene;
  readonly palette: Palette;
}

export const STATE_WORDS: Readonly<Record<LinkState, string>> = {
  good: 'good',
  lossy: 'lossy',
  bad: 'loses much',
  half: 'one way only',
  avoided: 'convicted, avoided',
  down: 'down',
};

/** "good, 10 ms, 0 % lost". */
export function linkWords(link: ModelLink): string {
  const { ab, ba, state } = link;
  const latency = ab !== null && ba !== null ? (ab.latencyMs + ba.latencyMs) / 2 : null;
  const loss = Math.max(ab?.lossPct ?? 0, ba?.lossPct ?? 0);
  if (state === 'down' || (ab ?? ba) === null || link.carried !== null) return STATE_WORDS[state];
  const figures = latency === null ? '' : `, ${msText(latency)}, ${percentText(loss)} lost`;
  return `${STATE_WORDS[state]}${figures}`;
}

function shortWords({ ab, ba, state, carried }: ModelLink): string {
  if (state === 'down') return 'down';
  if (state === 'avoided') return 'convicted';
  if (carried !== null || ab === null || ba === null) return '';
  const loss = Math.max(ab.lossPct, ba.lossPct);
  return msText((ab.latencyMs + ba.latencyMs) / 2) + (loss >= 0.5 ? `, ${percentText(loss)}` : '');
}

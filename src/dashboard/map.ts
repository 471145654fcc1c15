/**
 * The map: the overlay on a canvas, to be looked at, moved, and steered by pointer and keyboard.
 *
 * Owns the view (where, how large), what is pointed at, and when it is drawn: only when something
 * moved or changed. Links of one look are one path, so that a frame of hundreds of nodes is a
 * handful of strokes. Places are layout.ts's, the drawing map-draw.ts's.
 */

import type { Layout, Spot } from './layout.ts';
import { MapDrawing, type Highlight, type Palette, type Target, type View } from './map-draw.ts';
import type { ModelLink, OverlayModel } from './model.ts';

export interface MapEvents {
  onSelect(target: Target | null): void;
  /** By key: the focused node is to be the start or the end of the path. */
  onPathEnd(end: 'from' | 'to', node: string): void;
  /** For people who do not see the map. */
  onSay(text: string): void;
}

/** Work for the layout in one frame, while nothing is shown yet. */
const LAYOUT_MS = 24;
const NODE_REACH = 16,
  LINK_REACH = 7;
const ZOOM_MIN = 0.08,
  ZOOM_MAX = 6;
/** Less than that is a click. */
const DRAG_PX = 4;
const MARGIN = 46;

export class MapView {
  readonly #canvas: HTMLCanvasElement;
  readonly #tip: HTMLElement;
  readonly #drawing: MapDrawing;
  readonly #layout: Layout;
  readonly #events: MapEvents;
  #model: OverlayModel;
  readonly #view: View = { x: 0, y: 0, k: 1 };
  #width = 0;
  #height = 0;
  /** Nobody has moved it yet: it shows all. */
  #fitting = true;
  #shape = -1;
  #frame = 0;
  #selected: Target | null = null;
  #hovered: Target | null = null;
  #focused: string | null = null;
  #highlight: Highlight = { main: null, second: null };
  readonly #pointers = new Map<number, { x: number; y: number }>();
  #dragged: Spot | null = null;
  #moved = false;
  #pressed: { x: number; y: number } | null = null;
  #pinch = 0;
  #onFirst: (() => void) | null = null;

  constructor(
    canvas: HTMLCanvasElement,
    tip: HTMLElement,
    layout: Layout,
    model: OverlayModel,
    events: MapEvents,
  ) {
    this.#canvas = canvas;
    this.#tip = tip;
    this.#layout = layout;
    this.#model = model;
    this.#events = events;
    this.#drawing = new MapDrawing(canvas.getContext('2d', { alpha: false })!);
    new ResizeObserver(() => this.#resize()).observe(canvas);
    this.#listen();
  }

  /** Called once the first picture is there. */
  set onFirst(action: () => void) {
    this.#onFirst = action;
  }

  set palette(palette: Palette) {
    this.#drawing.palette = palette;
    this.refresh();
  }

  set highlight(highlight: Highlight) {
    this.#highlight = highlight;
    this.refresh();
  }

  /** Another network from now on. */
  show(model: OverlayModel): void {
    this.#model = model;
    this.#shape = -1;
    this.#layout.clear();
    this.#selected = this.#hovered = this.#focused = null;
    this.#fitting = true;
    this.refresh();
  }

  select(target: Target | null, centre = false): void {
    this.#selected = target;
    if (target?.kind === 'node') {
      this.#focused = target.key;
      const spot = this.#layout.spots.get(target.key);
      if (centre && spot !== undefined) this.#reveal(spot);
    }
    this.refresh();
  }

  /** Something of the model has changed. */
  refresh(): void {
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#onFrame());
  }

  zoomBy(factor: number, x = this.#width / 2, y = this.#height / 2): void {
    const { k } = this.#view;
    const to = Math.min(ZOOM_MAX, Math.max(ZOOM_MIN, k * factor));
    this.#view.x = x - ((x - this.#view.x) * to) / k;
    this.#view.y = y - ((y - this.#view.y) * to) / k;
    this.#view.k = to;
    this.#fitting = false;
    this.refresh();
  }

  fit(): void {
    this.#fitting = true;
    this.refresh();
  }

  #onFrame(): void {
    this.#frame = 0;
    if (this.#width === 0) return;
    if (this.#shape !== this.#model.shape) {
      this.#shape = this.#model.shape;
      this.#layout.take(this.#model);
    }
    if (!this.#layout.still) this.#layout.work(LAYOUT_MS);
    if (!this.#layout.boiling) {
      if (this.#fitting) this.#fitNow();
      this.#drawing.draw(this.#model, this.#layout.spots, this.#view, {
        width: this.#width,
        height: this.#height,
        selected: this.#selected,
        hovered: this.#hovered,
        focused: this.#canvas === document.activeElement ? this.#focused : null,
        highlight: this.#highlight,
      });
      if (this.#model.nodes.size > 0) {
        this.#onFirst?.();
        this.#onFirst = null;
      }
    }
    if (!this.#layout.still) this.refresh();
  }

  #fitNow(): void {
    let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
    for (const { x, y } of this.#layout.spots.values()) {
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y);
    }
    if (left > right) return;
    const wide = Math.max(right - left, 1),
      high = Math.max(bottom - top, 1);
    const k = Math.min(4, (this.#width - 2 * MARGIN) / wide, (this.#height - 2 * MARGIN) / high);
    this.#view.k = Math.max(ZOOM_MIN, k);
    this.#view.x = this.#width / 2 - ((left + right) / 2) * this.#view.k;
    this.#view.y = this.#height / 2 - ((top + bottom) / 2) * this.#view.k;
  }

  #reveal({ x, y }: Spot): void {
    this.#fitting = false;
    const k = Math.max(this.#view.k, 0.9);
    Object.assign(this.#view, { k, x: this.#width / 2 - x * k, y: this.#height / 2 - y * k });
  }

  #resize(): void {
    const { clientWidth, clientHeight } = this.#canvas;
    const ratio = Math.min(2, devicePixelRatio);
    this.#width = clientWidth;
    this.#height = clientHeight;
    this.#canvas.width = Math.round(clientWidth * ratio);
    this.#canvas.height = Math.round(clientHeight * ratio);
    this.#drawing.ratio = ratio;
    // Setting its size has cleared it: it must not be seen empty.
    cancelAnimationFrame(this.#frame);
    this.#onFrame();
  }

  /* ------------------------------------------------------------------ pointer */

  #listen(): void {
    const canvas = this.#canvas;
    canvas.addEventListener('pointerdown', (event) => this.#onDown(event));
    canvas.addEventListener('pointermove', (event) => this.#onMove(event));
    canvas.addEventListener('pointerup', (event) => this.#onUp(event, true));
    canvas.addEventListener('pointercancel', (event) => this.#onUp(event, false));
    canvas.addEventListener('pointerleave', () => this.#hover(null, 0, 0));
    canvas.addEventListener(
      'wheel',
      (event) => {
        event.preventDefault();
        const { x, y } = this.#at(event);
        this.zoomBy(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.0015)), x, y);
      },
      { passive: false },
    );
    canvas.addEventListener('keydown', (event) => this.#onKey(event));
    canvas.addEventListener('focus', () => this.refresh());
    canvas.addEventListener('blur', () => this.refresh());
  }

  #at(event: MouseEvent): { x: number; y: number } {
    const box = this.#canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  #onDown(event: PointerEvent): void {
    const at = this.#at(event);
    this.#pointers.set(event.pointerId, at);
    this.#canvas.setPointerCapture(event.pointerId);
    if (this.#pointers.size === 2) {
      this.#dropDragged();
      this.#pinch = this.#apart();
      return;
    }
    this.#moved = false;
    this.#pressed = at;
    const target = this.#targetAt(at.x, at.y);
    this.#dragged = target?.kind === 'node' ? (this.#layout.spots.get(target.key) ?? null) : null;
  }

  #onMove(event: PointerEvent): void {
    const at = this.#at(event);
    const before = this.#pointers.get(event.pointerId);
    if (before === undefined) {
      this.#hover(this.#targetAt(at.x, at.y), at.x, at.y);
      return;
    }
    this.#pointers.set(event.pointerId, at);
    if (this.#pointers.size === 2) {
      const apart = this.#apart();
      const [one, two] = [...this.#pointers.values()];
      if (this.#pinch > 0)
        this.zoomBy(apart / this.#pinch, (one!.x + two!.x) / 2, (one!.y + two!.y) / 2);
      this.#pinch = apart;
      return;
    }
    const pressed = this.#pressed;
    if (pressed === null) return;
    if (!this.#moved && Math.hypot(at.x - pressed.x, at.y - pressed.y) < DRAG_PX) return;
    this.#moved = true;
    this.#fitting = false;
    if (this.#dragged !== null) {
      const { x, y, k } = this.#view;
      this.#layout.hold(this.#dragged, (at.x - x) / k, (at.y - y) / k);
    } else {
      this.#view.x += at.x - before.x;
      this.#view.y += at.y - before.y;
    }
    this.refresh();
  }

  #onUp(event: PointerEvent, click: boolean): void {
    this.#pointers.delete(event.pointerId);
    this.#pinch = 0;
    const pressed = this.#pressed;
    this.#dropDragged();
    this.#pressed = null;
    if (!click || this.#moved || pressed === null) return;
    const target = this.#targetAt(pressed.x, pressed.y);
    this.select(target);
    this.#events.onSelect(target);
  }

  #dropDragged(): void {
    if (this.#dragged !== null) this.#layout.letGo(this.#dragged);
    this.#dragged = null;
    this.refresh();
  }

  #apart(): number {
    const [one, two] = [...this.#pointers.values()];
    return one === undefined || two === undefined ? 0 : Math.hypot(one.x - two.x, one.y - two.y);
  }

  /** The node, else the link, that a place on the canvas means. */
  #targetAt(x: number, y: number): Target | null {
    const { x: left, y: top, k } = this.#view;
    const wx = (x - left) / k,
      wy = (y - top) / k;
    let best: Target | null = null,
      least = NODE_REACH / k;
    for (const spot of this.#layout.spots.values()) {
      const away = Math.hypot(spot.x - wx, spot.y - wy);
      if (away < least) {
        least = away;
        best = { kind: 'node', key: spot.id };
      }
    }
    if (best !== null) return best;
    least = LINK_REACH / k;
    for (const link of this.#model.links.values()) {
      const away = this.#awayFrom(link, wx, wy);
      if (away < least) {
        least = away;
        best = { kind: 'link', key: link.key };
      }
    }
    return best;
  }

  #awayFrom({ a, b }: ModelLink, x: number, y: number): number {
    const one = this.#layout.spots.get(a),
      two = this.#layout.spots.get(b);
    if (one === undefined || two === undefined) return Infinity;
    const dx = two.x - one.x,
      dy = two.y - one.y;
    const along = ((x - one.x) * dx + (y - one.y) * dy) / (dx * dx + dy * dy || 1);
    const at = Math.min(1, Math.max(0, along));
    return Math.hypot(x - one.x - at * dx, y - one.y - at * dy);
  }

  #hover(target: Target | null, x: number, y: number): void {
    const tip = this.#tip;
    if (target !== null) {
      tip.style.transform = `translate(${Math.round(x + 14)}px, ${Math.round(y + 14)}px)`;
    }
    if (target?.key === this.#hovered?.key && target?.kind === this.#hovered?.kind) return;
    this.#hovered = target;
    this.#canvas.style.cursor = target === null ? 'grab' : 'pointer';
    tip.hidden = target === null;
    if (target !== null) tip.textContent = this.#drawing.wordsOf(this.#model, target);
    this.refresh();
  }

  /* ------------------------------------------------------------------ keyboard */

  #onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { key } = event;
    const aims: Readonly<Record<string, readonly [number, number]>> = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1],
    };
    const aim = aims[key];
    if (aim !== undefined) this.#step(aim[0], aim[1]);
    else if (key === '+' || key === '=') this.zoomBy(1.3);
    else if (key === '-') this.zoomBy(1 / 1.3);
    else if (key === '0') this.fit();
    else if ((key === 'Enter' || key === ' ') && this.#focused !== null) {
      const target: Target = { kind: 'node', key: this.#focused };
      this.select(target);
      this.#events.onSelect(target);
    } else if ((key === 'f' || key === 't') && this.#focused !== null)
      this.#events.onPathEnd(key === 'f' ? 'from' : 'to', this.#focused);
    else if (key === 'Escape') {
      this.select(null);
      this.#events.onSelect(null);
    } else return;
    event.preventDefault();
  }

  /** To the nearest node in that direction. */
  #step(dx: number, dy: number): void {
    const spots = this.#layout.spots;
    const from = spots.get(this.#focused ?? this.#model.self ?? '');
    let best: Spot | null = null,
      least = Infinity;
    for (const spot of spots.values()) {
      if (spot === from) continue;
      const x = spot.x - (from?.x ?? 0),
        y = spot.y - (from?.y ?? 0);
      const ahead = x * dx + y * dy,
        aside = Math.abs(x * dy - y * dx);
      if (ahead <= 0 || aside > 2 * ahead) continue;
      const away = ahead + 2 * aside;
      if (away < least) {
        least = away;
        best = spot;
      }
    }
    const to = this.#focused === null ? (from ?? best) : best;
    if (to == null) {
      this.#events.onSay('No node that way');
      return;
    }
    this.#focused = to.id;
    const { x, y, k } = this.#view;
    const px = to.x * k + x,
      py = to.y * k + y;
    if (px < 0 || py < 0 || px > this.#width || py > this.#height) this.#reveal(to);
    this.#events.onSay(this.#drawing.wordsOf(this.#model, { kind: 'node', key: to.id }));
    this.refresh();
  }
}

/**
 * What links and sessions did over the last minutes, kept by the page, and drawn with uPlot.
 *
 * The daemon keeps no history: it begins when the page is opened. Bounded: POINTS for each thing,
 * SERIES_MAX things.
 */

import type uPlot from 'uplot';

import { clockText, NOTHING } from './format.ts';

const POINTS = 600;
const SERIES_MAX = 400;
/** Seconds that a chart shows. */
const SHOWN_S = 180;

/** Samples of one thing: seconds since 1970, and a value for each column. */
export class History {
  readonly times: number[] = [];
  readonly columns: (number | null)[][];

  constructor(columns: number) {
    this.columns = Array.from({ length: columns }, () => []);
  }

  add(at: number, values: readonly (number | null)[]): void {
    if (this.times.length >= POINTS) {
      this.times.shift();
      for (const column of this.columns) column.shift();
    }
    this.times.push(at);
    this.columns.forEach((column, i) => column.push(values[i] ?? null));
  }
}

export class Histories {
  readonly #all = new Map<string, History>();

  of(key: string, columns: number): History {
    let history = this.#all.get(key);
    if (history !== undefined) return history;
    if (this.#all.size >= SERIES_MAX) this.#all.delete(this.#all.keys().next().value!);
    history = new History(columns);
    this.#all.set(key, history);
    return history;
  }

  get(key: string): History | undefined {
    return this.#all.get(key);
  }

  clear(): void {
    this.#all.clear();
  }
}

export interface ChartPlan {
  readonly title: string;
  /** Names of the lines, and which columns of the history they are. */
  readonly lines: readonly { readonly name: string; readonly column: number }[];
  readonly text: (value: number | null | undefined) => string;
}

/** Small charts below each other, of one history. */
export class Charts {
  readonly #host: HTMLElement;
  #history: History | null = null;
  /** Loaded with the first chart: it takes as long to begin as all the rest. */
  #Plot: typeof uPlot | null = null;
  #shown: { plot: uPlot; plan: ChartPlan; caption: HTMLElement }[] = [];
  #plans: readonly ChartPlan[] = [];

  constructor(host: HTMLElement) {
    this.#host = host;
    new ResizeObserver(() => this.#resize()).observe(host);
  }

  show(history: History | null, plans: readonly ChartPlan[]): void {
    if (history === this.#history && plans === this.#plans) {
      this.update();
      return;
    }
    for (const { plot } of this.#shown) plot.destroy();
    this.#host.replaceChildren();
    this.#shown = [];
    this.#history = history;
    this.#plans = plans;
    if (history === null) return;
    if (this.#Plot === null) void this.#load();
    else this.#begin(this.#Plot);
  }

  async #load(): Promise<void> {
    const { default: Plot } = await import('uplot');
    const late = this.#Plot !== null;
    this.#Plot = Plot;
    if (!late && this.#history !== null) this.#begin(Plot);
  }

  #begin(Plot: typeof uPlot): void {
    this.#shown = this.#plans.map((plan) => this.#make(Plot, plan));
    this.update();
  }

  /** Colours are others. */
  redraw(): void {
    const history = this.#history,
      plans = this.#plans;
    this.show(null, []);
    this.show(history, plans);
  }

  update(): void {
    const history = this.#history;
    if (history === null) return;
    const last = history.times.at(-1) ?? Date.now() / 1_000;
    for (const { plot, plan, caption } of this.#shown) {
      plot.setData(
        [history.times, ...plan.lines.map(({ column }) => history.columns[column]!)],
        false,
      );
      plot.setScale('x', { min: last - SHOWN_S, max: last });
      const parts = plan.lines.map(({ name, column }) => {
        const value = plan.text(history.columns[column]!.at(-1));
        return plan.lines.length === 1 ? value : `${name} ${value}`;
      });
      const text = parts.join('  ');
      if (caption.textContent !== text) caption.textContent = text;
    }
  }

  #make(
    Plot: typeof uPlot,
    plan: ChartPlan,
  ): { plot: uPlot; plan: ChartPlan; caption: HTMLElement } {
    const figure = document.createElement('figure'),
      head = document.createElement('figcaption'),
      title = document.createElement('span'),
      caption = document.createElement('b'),
      place = document.createElement('div');
    title.textContent = plan.title;
    head.append(title, caption);
    place.setAttribute('aria-hidden', 'true');
    figure.append(head, place);
    this.#host.append(figure);
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string): string => style.getPropertyValue(name).trim();
    const axis: uPlot.Axis = {
      stroke: colour('--quiet'),
      font: '11px system-ui, sans-serif',
      grid: { stroke: colour('--line'), width: 1 },
      ticks: { show: false },
    };
    const plot = new Plot(
      {
        width: this.#width(),
        height: 92,
        legend: { show: false },
        cursor: { y: false, points: { size: 6 }, sync: { key: 'spines' } },
        scales: {
          x: { time: true },
          y: {
            range: (_plot, _min, max) => [0, (max ?? 0) <= 0 ? 1 : max * 1.15],
          },
        },
        axes: [
          {
            ...axis,
            size: 22,
            space: 70,
            values: (_plot, ticks) => ticks.map((tick) => clockText(tick * 1_000).slice(0, 5)),
          },
          {
            ...axis,
            size: 66,
            space: 26,
            values: (_plot, ticks) => ticks.map((tick) => (tick === 0 ? '0' : plan.text(tick))),
          },
        ],
        series: [
          {},
          ...plan.lines.map(
            ({ name }, i): uPlot.Series => ({
              label: name,
              stroke: colour(i === 0 ? '--accent' : '--second'),
              width: 1.75,
              ...(i === 0 ? {} : { dash: [5, 3] }),
              points: { show: false },
              value: (_plot, value) => (value === null ? NOTHING : plan.text(value)),
            }),
          ),
        ],
      },
      [[], ...plan.lines.map(() => [])],
      place,
    );
    return { plot, plan, caption };
  }

  #width(): number {
    return Math.max(220, this.#host.clientWidth);
  }

  #resize(): void {
    for (const { plot } of this.#shown)
      if (plot.width !== this.#width()) plot.setSize({ width: this.#width(), height: 92 });
  }
}

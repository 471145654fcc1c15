/**
 * Figures of realtime links beside best-effort and reliable ones: what is late or lost over five
 * links of 10 ms, the middle one of which loses, over the time that a message has and over loss.
 *
 * Owns which runs there are and their text forms; runs are realtime-lab.ts's. Loss is independent,
 * or in bursts of 20 and 80 ms in time. Invariant: the same source gives the same bytes.
 */

import { MILLISECOND } from '../../core/base/time.ts';
import type { DirectionChange } from '../../core/emulation/link-settings.ts';
import { SERVICE_BEST_EFFORT, SERVICE_REALTIME, SERVICE_RELIABLE } from '../../core/wire/packet.ts';
import { linePlotSvg } from '../report/line-plot.ts';
import { runRealtime, type RealtimeOutcome } from './realtime-lab.ts';

export interface RealtimeFigure {
  readonly key: string;
  readonly title: string;
  readonly xLabel: string;
  /** Percent late or lost over x, by curve. */
  readonly curves: readonly {
    readonly name: string;
    readonly points: readonly { readonly x: number; readonly y: number }[];
  }[];
}

export interface RealtimeFigureOptions {
  /** 4,000 messages for each point, else 40,000. */
  readonly quick: boolean;
  readonly onRun?: (what: string) => void;
}

/** Time beyond that of the path, in milliseconds: these have classes of their own, or default. */
const BUDGETS_MS = [15, 30, 50, 80, 110, 150];
const PATH_MS = 50;
const LOSSES_PCT = [0.5, 1, 2, 5, 10];
const WAYS = [
  ['best effort', SERVICE_BEST_EFFORT, {}],
  ['reliable', SERVICE_RELIABLE, {}],
  ['realtime', SERVICE_REALTIME, {}],
  ['realtime, copies', SERVICE_REALTIME, { redundancy: 'copy' }],
] as const;
const KINDS = [
  ['independent', 0],
  ['bursts of 20 ms', 20],
  ['bursts of 80 ms', 80],
] as const;

/** Lost in the mean `pct` percent; `burstMs`: 0 for each datagram by itself. */
function losing(pct: number, burstMs: number): DirectionChange {
  return {
    loss:
      burstMs === 0
        ? { kind: 'bernoulli', rate: pct / 100 }
        : {
            kind: 'bursts-in-time',
            goodUs: Math.round(burstMs * MILLISECOND * (100 / pct - 1)),
            badUs: burstMs * MILLISECOND,
            badFixed: false,
            lossGood: 0,
            lossBad: 1,
          },
  };
}

function budget({ quick, onRun }: RealtimeFigureOptions): RealtimeFigure {
  return figure(
    'budget',
    'Late or lost at 1 % loss, over the time beyond that of the path',
    'milliseconds',
    BUDGETS_MS,
    quick,
    (ms) => ({ deadlineMs: PATH_MS + ms, lossPct: 1, lateMs: PATH_MS + ms }),
    onRun,
  );
}

function loss({ quick, onRun }: RealtimeFigureOptions): RealtimeFigure {
  return figure(
    'loss',
    'Late or lost with 50 ms beyond the path, over what the middle link loses',
    'percent lost',
    LOSSES_PCT,
    quick,
    (lossPct) => ({ deadlineMs: PATH_MS + 50, lossPct, lateMs: PATH_MS + 50 }),
    onRun,
  );
}

function figure(
  key: string,
  title: string,
  xLabel: string,
  xs: readonly number[],
  quick: boolean,
  of: (x: number) => { deadlineMs: number; lossPct: number; lateMs: number },
  onRun: RealtimeFigureOptions['onRun'],
): RealtimeFigure {
  const count = quick ? 4_000 : 40_000;
  const curves = KINDS.flatMap(([kind, burstMs]) =>
    WAYS.map(([way, service, options]) => {
      let shared: RealtimeOutcome | null = null;
      const points = xs.map((x) => {
        const { deadlineMs, lossPct, lateMs } = of(x);
        const run = (): RealtimeOutcome => {
          onRun?.(`${key}: ${way}, ${kind}, ${x} ${xLabel}`);
          return runRealtime({
            service,
            options,
            deadlineMs,
            middle: losing(lossPct, burstMs),
            back: losing(lossPct, burstMs),
            count,
          });
        };
        // Without a deadline each run is the same for all of them.
        const outcome =
          key === 'budget' && service !== SERVICE_REALTIME ? (shared ??= run()) : run();
        return { x, y: outcome.lateOver(lateMs) };
      });
      return { name: `${way}, ${kind}`, points };
    }),
  );
  return { key, title: `${title}; loss both ways`, xLabel, curves };
}

export const REALTIME_FIGURES: Readonly<
  Record<string, (options: RealtimeFigureOptions) => RealtimeFigure>
> = { budget, loss };

export function realtimeCsv({ xLabel, curves }: RealtimeFigure): string {
  const head = ['curve', xLabel.replaceAll(' ', '_'), 'late_or_lost_pct'];
  const rows = curves.flatMap(({ name, points }) =>
    points.map(({ x, y }) => [`"${name}"`, String(x), y.toFixed(4)]),
  );
  return [head, ...rows].map((row) => `${row.join(',')}\n`).join('');
}

export function realtimeSvg({ title, xLabel, curves }: RealtimeFigure): string {
  return linePlotSvg(curves, { title, xLabel, yLabel: '% late or lost' });
}

/** A table for each figure: a row for each curve. */
export function realtimeText(figures: readonly RealtimeFigure[]): string {
  return figures
    .map(({ title, xLabel, curves }) => {
      const xs = curves[0]!.points.map(({ x }) => String(x).padStart(8)).join('');
      const rows = curves.map(
        ({ name, points }) =>
          `  ${name.padEnd(34)}${points.map(({ y }) => y.toFixed(3).padStart(8)).join('')}`,
      );
      return `${title}, %\n  ${xLabel.padEnd(34)}${xs}\n${rows.join('\n')}\n`;
    })
    .join('\n');
}

/**
 * Runs the figure that a topology file describes, in virtual time: one run for each curve and value
 * of the sweep.
 *
 * Owns which runs there are and what is taken from each. The plan is topology-figure.ts's, the text
 * forms are figures-table.ts's. Each run carries the curve's flow alone, so that no curve disturbs
 * another; figures that show the same runs share them through a cache. Invariant: the same file,
 * seed and message count give the same values.
 */

import { assert } from '../../core/base/assert.ts';
import { SpinesError } from '../../core/base/errors.ts';
import { SECOND, type Micros } from '../../core/base/time.ts';
import type { FigureCurve, FigurePlan } from '../topology/topology-figure.ts';
import { parseTopology } from '../topology/topology-parse.ts';
import type { Topology } from '../topology/topology.ts';
import type { DelaySummary } from '../report/delay-stats.ts';
import { runVirtual, STRAGGLER_TIME } from '../replay/run-virtual.ts';

/**
 * What the default of --messages stands for, and what a throughput run's duration in the file is
 * meant for.
 */
export const FIGURE_MESSAGES = 20_000;
export const FIGURE_MESSAGES_MAX = 10_000_000;
/**
 * A flow that has less than this of its messages at the far end, some seconds after the last was
 * sent, fell behind for good.
 */
const KEEPS_UP = 0.99;
const DISTRIBUTION_STEPS = 50;
/** Of a throughput run: shorter ones show little but the start. */
const THROUGHPUT_RUN_MIN: Micros = 2 * SECOND;

/** One run of one flow. */
export interface FigureRun {
  readonly sent: number;
  readonly delivered: number;
  readonly goodputKbps: number;
  readonly delayMs: DelaySummary | null;
  /** Percent over the plan's limit, 60 and 100 ms. */
  readonly latePct: number;
  readonly over60Pct: number;
  readonly over100Pct: number;
  /** Percent delayed more than the i-th of the delays from the plan's left end to its limit. */
  readonly distribution: readonly number[];
  readonly keepsUp: boolean;
}

export interface FigurePoint {
  /** Null: the only point of a plan without a sweep. */
  readonly x: number | null;
  /** In the figure's unit; Infinity when the flow does not keep up, NaN when nothing arrived. */
  readonly y: number;
  /** Null for a model, and for what others measured. */
  readonly run: FigureRun | null;
  /** Half of the interval of 95 % around a mean over seeds. */
  readonly half?: number;
}

export interface FigureResult {
  /** The file's name: "fig3". */
  readonly key: string;
  readonly plan: FigurePlan;
  readonly seed: number;
  /** More than 1: points are means over so many seeds, from `seed` on. */
  readonly seeds?: number;
  readonly messages: number;
  readonly curves: readonly {
    readonly curve: FigureCurve;
    readonly points: readonly FigurePoint[];
  }[];
}

export interface FigureOptions {
  /** Messages of each run; default FIGURE_MESSAGES. */
  readonly messages?: number;
  /** In place of the file's. */
  readonly seed?: number;
  /** Runs done so far, by what they were: share one among figures. */
  readonly cache?: Map<string, FigureRun>;
  readonly onRun?: (done: number, all: number, what: string) => void;
}

/** Throws SpinesError ETOPOLOGY: the file is wrong, or has no figure; and as runVirtual does. */
export function runFigure(
  text: string,
  fileName: string,
  options: FigureOptions = {},
): FigureResult {
  const base = parseTopology(text, fileName);
  const plan = base.figure;
  if (plan === null) throw new SpinesError('ETOPOLOGY', `${fileName}: has no figure section`);
  const messages = options.messages ?? FIGURE_MESSAGES;
  assert(messages >= 1 && messages <= FIGURE_MESSAGES_MAX, 'runFigure: messages out of range');
  const cache = options.cache ?? new Map<string, FigureRun>();
  const all = plan.points.length * plan.curves.filter((curve) => curve.flow !== null).length;
  let done = 0;
  const curves = plan.curves.map((curve) => ({
    curve,
    points:
      curve.given?.map(([x, y]) => ({ x, y, run: null })) ??
      plan.points.flatMap((point): FigurePoint[] => {
        if (curve.flow === null)
          return [
            {
              x: point.x,
              y: padhyeMbps(point.x ?? 0, curve.rttUs, curve.packetBytes, plan.lineKbps),
              run: null,
            },
          ];
        const settings = [...curve.settings, ...point.settings].map(
          ([path, value]) => `${path}=${JSON.stringify(value)}`,
        );
        const topology = alone(
          parseTopology(text, fileName, settings),
          curve.flow,
          plan,
          messages,
          options.seed,
        );
        const key = JSON.stringify([
          { ...topology, name: '', description: '', note: '', figure: null },
          plan.fromMs,
          plan.ms,
        ]);
        const run = cache.get(key) ?? measure(topology, plan);
        cache.set(key, run);
        done += 1;
        options.onRun?.(
          done,
          all,
          `${curve.name}${point.x === null ? '' : `, ${point.x} (${plan.xLabel})`}`,
        );
        return pointsOf(plan, point.x, run);
      }),
  }));
  return { key: base.name, plan, seed: options.seed ?? base.seed, messages, curves };
}

/**
 * The topology with one flow, which sends `messages` messages (or, for throughput, as long as they
 * stand for).
 */
function alone(
  topology: Topology,
  flowName: string,
  plan: FigurePlan,
  messages: number,
  seed: number | undefined,
): Topology {
  const flow = topology.flows.find((one) => one.name === flowName);
  assert(flow !== undefined, 'a figure names flows of its file');
  const throughput = plan.measure === 'throughput';
  const sending = throughput
    ? Math.max(THROUGHPUT_RUN_MIN, Math.round((flow.durationUs * messages) / FIGURE_MESSAGES))
    : Math.ceil((messages * SECOND) / flow.packetsPerSecond);
  return Object.freeze({
    ...topology,
    seed: seed ?? topology.seed,
    durationUs: flow.startUs + sending,
    // A greedy flow sends to the very end of the run: what is counted is counted over all of it.
    flows: [
      {
        ...flow,
        durationUs: throughput ? sending + STRAGGLER_TIME : sending,
        count: throughput ? null : messages,
      },
    ],
  });
}

function measure(topology: Topology, plan: FigurePlan): FigureRun {
  const { report, flows } = runVirtual(topology);
  const [result, flow] = [report.flows[0]!, flows[0]!];
  const { delays } = flow.meter;
  const distribution =
    plan.measure === 'distribution'
      ? Array.from({ length: DISTRIBUTION_STEPS + 1 }, (_, i) =>
          delays.percentAbove(distributionMs(plan, i)),
        )
      : [];
  return {
    sent: result.sent,
    delivered: result.delivered,
    goodputKbps: round3((flow.meter.bytes * 8_000) / topology.flows[0]!.durationUs),
    delayMs: result.delayMs,
    latePct: delays.percentAbove(plan.ms),
    over60Pct: delays.percentAbove(60),
    over100Pct: delays.percentAbove(100),
    distribution,
    keepsUp: result.delivered >= KEEPS_UP * result.sent,
  };
}

function pointsOf(plan: FigurePlan, x: number | null, run: FigureRun): FigurePoint[] {
  switch (plan.measure) {
    case 'distribution':
      return run.distribution.map((y, i) => ({
        x: distributionMs(plan, i),
        y: run.delivered === 0 ? NaN : y,
        run,
      }));
    case 'late':
      return [{ x, y: run.delivered === 0 ? NaN : run.latePct, run }];
    case 'throughput':
      return [{ x, y: run.goodputKbps / 1_000, run }];
    case 'mean-delay':
      return [{ x, y: !run.keepsUp ? Infinity : (run.delayMs?.mean ?? NaN), run }];
    case 'jitter':
      return [{ x, y: !run.keepsUp ? Infinity : (run.delayMs?.stddev ?? NaN), run }];
  }
}

function distributionMs(plan: FigurePlan, i: number): number {
  return plan.fromMs + (i * (plan.ms - plan.fromMs)) / DISTRIBUTION_STEPS;
}

/**
 * Throughput of TCP in Mbit/s by Padhye et al., "Modeling TCP Throughput" (SIGCOMM 1998), equation
 * 32, in the form of RFC 5348 section 3.1: every packet acknowledged (b = 1), a timeout of four
 * round trips. At most the line's rate.
 */
export function padhyeMbps(
  lossPct: number,
  rttUs: Micros,
  packetBytes: number,
  lineKbps: number | null,
): number {
  const line = lineKbps === null ? Infinity : lineKbps / 1_000;
  const p = lossPct / 100;
  if (p <= 0) return line;
  const rtt = rttUs / SECOND;
  const perPacket =
    rtt * Math.sqrt((2 * p) / 3) +
    4 * rtt * Math.min(1, 3 * Math.sqrt((3 * p) / 8)) * p * (1 + 32 * p * p);
  return Math.min(line, (packetBytes * 8) / perPacket / 1_000_000);
}

function round3(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}

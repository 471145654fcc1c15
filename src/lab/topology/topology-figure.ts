/**
 * The `figure` and `sweep` sections of a topology file: which curves a published figure has, at
 * which values, what its paper says about them, and what others measured.
 *
 * Owns their shape and their checks. topology-parse.ts refuses a file whose sections are wrong;
 * src/lab/experiments/figures.ts runs them. A replay of the file ignores both. Invariant: a plan's
 * curves name flows of the file, or a model, or have values.
 */

import { z } from 'zod';

import { MILLISECOND, type Micros } from '../../core/base/time.ts';
import { checkWith, isMap, label, oneOf, scalar, strict, type Issue } from './topology-schema.ts';
import { parseDuration, parseRate, parseSize } from '../../text/units.ts';

export type FigureMeasure = 'mean-delay' | 'jitter' | 'late' | 'distribution' | 'throughput';
export type Setting = readonly [path: string, value: string | number | boolean];

export interface FigureCurve {
  readonly name: string;
  /** The one flow that runs for this curve; null for a model, and for what others measured. */
  readonly flow: string | null;
  readonly model: 'padhye' | null;
  /** What others measured, in the figure's unit, in order of x; null: nothing is given. */
  readonly given: readonly (readonly [x: number, y: number])[] | null;
  /** Of a model. */
  readonly rttUs: Micros;
  readonly packetBytes: number;
  /** Index into the plot's colours, null = by position. */
  readonly color: number | null;
  readonly settings: readonly Setting[];
}

/**
 * One sentence of the paper as a number. The value is y(curve, at); less y(curve, from) with
 * `from`; divided by the same difference up to `to` with `to`; divided by the same of another curve
 * with `against`.
 */
export interface FigureStatement {
  readonly text: string;
  readonly curve: string;
  /** Null in a plan without a sweep: its only point. */
  readonly at: number | null;
  readonly from: number | null;
  readonly to: number | null;
  readonly against: string | null;
  readonly relation: 'about' | 'atMost' | 'atLeast';
  /** The paper's number. */
  readonly paper: number;
}

export interface FigurePlan {
  /** "Figure 3", "Table 1". */
  readonly of: string;
  readonly title: string;
  readonly measure: FigureMeasure;
  readonly xLabel: string;
  /** Of `late`: the limit; of `distribution`: the right end of the axis. ms. */
  readonly ms: number;
  /** Of `distribution`: the left end. ms. */
  readonly fromMs: number;
  /** Of `throughput`: the line's rate, where the equation ends. kbit/s, null = none. */
  readonly lineKbps: number | null;
  /** Upper end of the y axis, null = the largest value. */
  readonly top: number | null;
  /** Runs of each curve; x is null when there is no sweep. */
  readonly points: readonly { readonly x: number | null; readonly settings: readonly Setting[] }[];
  readonly curves: readonly FigureCurve[];
  readonly statements: readonly FigureStatement[];
  /**
   * Values that others measured, drawn beside ours, and of whom they are: of the paper, of Linux.
   */
  readonly beside: readonly {
    readonly name: string;
    readonly value: number;
    readonly of: 'paper' | 'kernel TCP';
  }[];
}

const number = scalar('a number', (v) => (typeof v === 'number' && Number.isFinite(v) ? v : null));
const text = scalar('text of 1-300 characters', (v) =>
  typeof v === 'string' && v.length >= 1 && v.length <= 300 ? v : null,
);
const milliseconds = scalar('a time such as 60ms', (v) => {
  const us = parseDuration(v);
  return us === null || us <= 0 ? null : us;
});
const packetSize = scalar('a size such as 1000', (v) => {
  const bytes = parseSize(v);
  return bytes === null || bytes < 1 ? null : bytes;
});
const bitRate = scalar('a bit rate such as 10mbit', (v) => parseRate(v));
const value = scalar('a text, number, true or false', (v) =>
  ['string', 'number', 'boolean'].includes(typeof v) ? (v as string | number | boolean) : null,
);
const settings = z
  .record(z.string().min(1).max(200), value)
  .transform((map): readonly Setting[] => Object.entries(map));

const givenSchema = z
  .record(z.string().regex(/^\d+(?:\.\d+)?$/, 'expected x, a number'), number)
  .transform((map) =>
    Object.entries(map)
      .map(([x, y]) => [Number(x), y] as const)
      .toSorted(([a], [b]) => a - b),
  );

const curveSchema = strict({
  name: text,
  flow: label.optional(),
  model: oneOf('padhye').optional(),
  values: givenSchema.optional(),
  rtt: milliseconds.optional(),
  packet: packetSize.optional(),
  color: number.optional(),
  set: settings.optional(),
})
  .refine((c) => [c.flow, c.model, c.values].filter((one) => one !== undefined).length === 1, {
    path: ['flow'],
    message: 'expected one of flow, model and values',
  })
  .refine((c) => (c.model === undefined) === (c.rtt === undefined), {
    path: ['rtt'],
    message: 'a model has an rtt, a flow has none',
  })
  .refine((c) => c.packet === undefined || c.model !== undefined, {
    path: ['packet'],
    message: 'a model has a packet size, a flow has its own',
  })
  .refine(
    (c) => c.color === undefined || (Number.isInteger(c.color) && c.color >= 0 && c.color <= 6),
    { path: ['color'], message: 'expected a whole number in 0..6' },
  );

const statementSchema = strict({
  text,
  curve: text,
  at: number.optional(),
  from: number.optional(),
  to: number.optional(),
  against: text.optional(),
  about: number.optional(),
  atMost: number.optional(),
  atLeast: number.optional(),
})
  .refine((s) => [s.about, s.atMost, s.atLeast].filter((n) => n !== undefined).length === 1, {
    path: ['about'],
    message: 'expected one of about, atMost, atLeast',
  })
  .refine((s) => s.to === undefined || s.from !== undefined, {
    path: ['to'],
    message: 'to needs from',
  });

const besideSchema = z.record(z.string().min(1).max(40), number);

const figureSchema = strict({
  of: text,
  title: text,
  y: oneOf('mean-delay', 'jitter', 'late', 'distribution', 'throughput'),
  x: text,
  limit: milliseconds.optional(),
  from: milliseconds.optional(),
  line: bitRate.optional(),
  top: number.refine((n) => n > 0, 'expected a number above 0').optional(),
  curves: z.array(curveSchema).min(1, 'expected at least one curve').max(12, 'at most 12 curves'),
  says: z.array(statementSchema).max(50, 'at most 50 statements').optional(),
  beside: besideSchema.optional(),
  kernel: besideSchema.optional(),
})
  .refine((f) => f.limit !== undefined || (f.y !== 'late' && f.y !== 'distribution'), {
    path: ['limit'],
    message: 'late and distribution need a limit',
  })
  .refine((f) => f.from === undefined || (f.y === 'distribution' && f.from < (f.limit ?? 0)), {
    path: ['from'],
    message: 'a distribution may begin at a delay below its limit',
  });

const valuesSchema = strict({
  set: text,
  values: z.array(number).min(1, 'expected at least one value').max(100, 'at most 100 values'),
}).transform(({ set, values }) =>
  values.map((x) => ({ x, settings: [[set, x]] as readonly Setting[] })),
);
const pointsSchema = strict({
  points: z
    .array(strict({ x: number, set: settings }))
    .min(1, 'expected at least one point')
    .max(100, 'at most 100 points'),
}).transform(({ points }) => points.map(({ x, set }) => ({ x, settings: set })));

/** The plan of a file's plain data; null when it has no `figure`, or issues. */
export function checkFigure(
  data: unknown,
  flowNames: readonly string[],
): { readonly plan: FigurePlan | null; readonly issues: readonly Issue[] } {
  const { figure, sweep } = isMap(data) ? data : {};
  if (figure === undefined)
    return {
      plan: null,
      issues: sweep === undefined ? [] : [{ path: ['sweep'], message: 'a sweep without a figure' }],
    };
  const main = checkWith(figureSchema, figure);
  const points =
    sweep === undefined
      ? null
      : checkWith<FigurePlan['points'][number][]>(
          isMap(sweep) && Object.hasOwn(sweep, 'points') ? pointsSchema : valuesSchema,
          sweep,
        );
  const issues = [...under('figure', main.issues), ...under('sweep', points?.issues ?? [])];
  if (main.data === null || issues.length > 0) return { plan: null, issues };
  const plan = planOf(main.data, points?.data ?? [{ x: null, settings: [] }]);
  issues.push(...references(plan, flowNames));
  return { plan: issues.length === 0 ? plan : null, issues };
}

function planOf(figure: z.output<typeof figureSchema>, points: FigurePlan['points']): FigurePlan {
  return {
    of: figure.of,
    title: figure.title,
    measure: figure.y,
    xLabel: figure.x,
    ms: (figure.limit ?? 0) / MILLISECOND,
    fromMs: (figure.from ?? 0) / MILLISECOND,
    lineKbps: figure.line ?? null,
    top: figure.top ?? null,
    points,
    curves: figure.curves.map((c) => ({
      name: c.name,
      flow: c.flow ?? null,
      model: c.model ?? null,
      given: c.values ?? null,
      rttUs: c.rtt ?? 0,
      packetBytes: c.packet ?? 1_000,
      color: c.color ?? null,
      settings: c.set ?? [],
    })),
    statements: (figure.says ?? []).map((s) => ({
      text: s.text,
      curve: s.curve,
      at: s.at ?? null,
      from: s.from ?? null,
      to: s.to ?? null,
      against: s.against ?? null,
      relation: s.about !== undefined ? 'about' : s.atMost !== undefined ? 'atMost' : 'atLeast',
      paper: s.about ?? s.atMost ?? s.atLeast ?? 0,
    })),
    beside: [
      ...Object.entries(figure.beside ?? {}).map(([name, n]) => ({
        name,
        value: n,
        of: 'paper' as const,
      })),
      ...Object.entries(figure.kernel ?? {}).map(([name, n]) => ({
        name,
        value: n,
        of: 'kernel TCP' as const,
      })),
    ],
  };
}

/** What a plan names must exist. */
function references(plan: FigurePlan, flowNames: readonly string[]): Issue[] {
  const issues: Issue[] = [];
  const names = new Set<string>();
  plan.curves.forEach(({ name, flow }, i) => {
    if (names.has(name))
      issues.push({ path: ['figure', 'curves', i, 'name'], message: `duplicate curve ${name}` });
    names.add(name);
    if (flow !== null && !flowNames.includes(flow))
      issues.push({ path: ['figure', 'curves', i, 'flow'], message: `unknown flow ${flow}` });
  });
  const known = (x: number | null): boolean =>
    plan.measure === 'distribution'
      ? x !== null && x >= plan.fromMs && x <= plan.ms
      : plan.points.some((point) => point.x === x);
  plan.statements.forEach((statement, i) => {
    const path = ['figure', 'says', i];
    for (const key of ['curve', 'against'] as const) {
      const name = statement[key];
      if (name !== null && !names.has(name))
        issues.push({ path: [...path, key], message: `unknown curve ${name}` });
    }
    for (const key of ['at', 'from', 'to'] as const) {
      const x = statement[key];
      if ((key === 'at' || x !== null) && !known(x))
        issues.push({
          path: [...path, key],
          message: x === null ? 'is missing' : `${x} is not a value of the sweep`,
        });
    }
  });
  if (plan.measure === 'distribution' && plan.points.length > 1)
    issues.push({ path: ['sweep'], message: 'a distribution is of one run, without a sweep' });
  return issues;
}

function under(key: string, issues: readonly Issue[]): Issue[] {
  return issues.map((issue) => ({ ...issue, path: [key, ...issue.path] }));
}

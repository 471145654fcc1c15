/**
 * What a metric of a daemon is: a named family of samples, as Prometheus and OpenMetrics have them.
 *
 * Owns the shape, and how families are made of the registry of figures. Which families there are is
 * metrics.ts's; how they are written is the host's. Names are without the suffix `_total`, which
 * counters get where they are written.
 */

import type { Bound, Figure } from './figures.ts';
import type { Operator } from './operation.ts';

/** Takes one sample; `labels` in the order of the family's. */
export type AddSample = (value: number, ...labels: string[]) => void;

/** A family of samples of one meaning, read from `Source`: an operator's view, or a process. */
export interface MetricFamily<Source = Operator> {
  /** As in "spines_link_rtt_seconds"; the unit, if any, is the last word. */
  readonly name: string;
  readonly kind: 'counter' | 'gauge';
  readonly unit: MetricUnit | null;
  readonly labels: readonly string[];
  /** What it counts or measures, in a few words without a stop. */
  readonly text: string;
  /** Most samples of a daemon within its limits, for people: "one", "one a link". */
  readonly most: string;
  samples(source: Source, add: AddSample): void;
}

/** Base units; times are seconds, shares are 0..1. */
export type MetricUnit = 'seconds' | 'bytes' | 'ratio';

const UNITS: readonly MetricUnit[] = ['seconds', 'bytes', 'ratio'];

/** A family whose unit is the last word of its name. `name`: without "spines_". */
export function family<Source>(
  kind: MetricFamily['kind'],
  name: string,
  text: string,
  samples: MetricFamily<Source>['samples'],
  labels: readonly string[] = [],
  most = 'one',
): MetricFamily<Source> {
  const unit = UNITS.find((word) => name.endsWith(`_${word}`)) ?? null;
  return { name, kind, unit, labels, text, most, samples };
}

/** A family of one sample without labels; nothing where `now` gives null. */
export function single<Source>(
  kind: MetricFamily['kind'],
  name: string,
  text: string,
  now: (source: Source) => number | null,
): MetricFamily<Source> {
  return family(kind, name, text, (source, add) => {
    const value = now(source);
    if (value !== null) add(value);
  });
}

/** "recomputeMsTotal" -> "recompute_ms_total". */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Families of the figures of one part of the registry; milliseconds become seconds. */
export function familiesOf(
  part: string,
  figures: Readonly<Record<string, Figure>>,
): MetricFamily[] {
  return Object.entries(figures).map(([name, { kind, text, now }]) => {
    const [, words = name, most = ''] = /^(.*?)Ms(Total|Max)$/.exec(name) ?? [];
    if (words === name && most === '')
      return single(kind, `spines_${part}_${snakeCase(name)}`, text, now);
    return single(
      kind,
      `spines_${part}_${snakeCase(words)}${most === 'Max' ? '_max' : ''}_seconds`,
      text.replace('milliseconds', 'seconds'),
      (operator) => now(operator) / 1_000,
    );
  });
}

/** Two families of everything that is bounded: how much there is, and the bound in force. */
export function familiesOfBounds(bounds: Readonly<Record<string, Bound>>): MetricFamily[] {
  const of =
    (read: (bound: Bound, operator: Operator) => number): MetricFamily['samples'] =>
    (operator, add) => {
      for (const [name, bound] of Object.entries(bounds))
        add(read(bound, operator), snakeCase(name));
    };
  const most = `${Object.keys(bounds).length}`;
  return [
    family(
      'gauge',
      'spines_bounded_used',
      'what there is of everything that is bounded, by the names of `spines status`',
      of((bound, operator) => bound.now(operator)),
      ['what'],
      most,
    ),
    family(
      'gauge',
      'spines_bounded_limit',
      'the bound in force of each of them',
      of((bound, operator) => bound.most(operator)),
      ['what'],
      most,
    ),
  ];
}

/**
 * Alert rules and dashboard of `examples`: every metric that they name is one that daemons have,
 * with the labels that they ask for. Where promtool is installed, it judges rules and metrics too.
 */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';

import { tableOfMetrics } from '../../../../src/host/web/metrics-table.ts';

const examples = fileURLToPath(new URL('../../../../examples', import.meta.url));
const ALERTS = `${examples}/alerts.yaml`;
/** By name: the labels of a metric. */
const LABELS = new Map(
  tableOfMetrics()
    .slice(2)
    .map((row) => {
      const [, name = '', , labels = ''] = row.split('|').map((cell) => cell.trim());
      return [name.replaceAll('`', ''), labels.replaceAll('`', '').split(', ')] as const;
    }),
);

/** What is wrong with the metrics of an expression of PromQL. */
function faultsOf(expression: string): string[] {
  const named = expression.matchAll(/\b((?:spines|process|nodejs)_[a-z_]+)(?:\{([^}]*)\})?/g);
  return [...named].flatMap(([, name = '', matchers = '']) => {
    const labels = LABELS.get(name.replace(/_bucket$/, ''));
    if (labels === undefined) return [`${name} is no metric`];
    return [...matchers.matchAll(/([a-z]+)(?:=|!=)/g)]
      .map((match) => match[1]!)
      .filter((label) => !labels.includes(label) && label !== 'instance' && label !== 'job')
      .map((label) => `${name} has no label ${label}`);
  });
}

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly summary: string; readonly next: string };
}

describe('examples for machines', () => {
  test('alert rules name what there is, and what to do', () => {
    const { groups } = parse(readFileSync(ALERTS, 'utf8')) as { groups: { rules: Rule[] }[] };
    const rules = groups.flatMap((group) => group.rules);
    expect(rules.length).toBeGreaterThan(10);
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
    expect(rules.flatMap(({ expr }) => faultsOf(expr))).toEqual([]);
    for (const { annotations } of rules) expect(annotations.next).not.toBe('');
    for (const { expr, annotations } of rules)
      for (const [, label = ''] of annotations.summary.matchAll(/\$labels\.([a-z]+)/g))
        expect(
          label === 'instance' || LABELS.get(/spines_[a-z_]+/.exec(expr)![0])!.includes(label),
          `${annotations.summary}: ${label}`,
        ).toBe(true);
    expect(faultsOf('rate(spines_nothing_total[1m])')).toHaveLength(1);
    expect(faultsOf('spines_link_up{node="a"}')).toEqual(['spines_link_up has no label node']);
  });

  test('the dashboard asks for what there is', () => {
    const { panels } = JSON.parse(readFileSync(`${examples}/grafana-dashboard.json`, 'utf8')) as {
      panels: { title: string; targets: { expr: string }[] }[];
    };
    expect(panels.length).toBeGreaterThan(10);
    expect(new Set(panels.map(({ title }) => title)).size).toBe(panels.length);
    const asked = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
    expect(asked.flatMap(faultsOf)).toEqual([]);
  });

  test.runIf(spawnSync('promtool', ['--version']).status === 0)('promtool takes the rules', () => {
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'rules', ALERTS]);
    expect(`${stdout}${stderr}`).toContain('SUCCESS');
    expect(status).toBe(0);
  });
});

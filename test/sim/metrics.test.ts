/**
 * What machines see of a daemon, in virtual time: metrics of links that come and go, readiness and
 * its reasons, both formats, and the table of METRICS.md.
 */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

import { MILLISECOND, SECOND } from '../../src/core/base/time.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import type { Answer } from '../../src/host/web/http-door.ts';
import { tableOfMetrics } from '../../src/host/web/metrics-table.ts';
import { pagesOf } from '../../src/host/web/pages.ts';
import type { HostFigures } from 'spines-client/protocol';
import { chain, hosts, pair, useNetworks, wire } from '../support/network.ts';

useNetworks();

const OPEN_METRICS = 'application/openmetrics-text;version=1.0.0,text/plain;q=0.5';
const FIGURES: HostFigures = {
  offload: true,
  dontFragment: true,
  receiveBufferBytes: 1,
  receiveBufferWanted: 1,
  batches: 0,
  batchedDatagrams: 0,
  timersLateMs: { p50: 0, p99: 0, max: 0 },
  timersLateCounts: Array.from({ length: 32 }, (_, i) => (i === 3 || i === 9 || i === 31 ? 2 : 0)),
  memoryBytes: 1,
  process: { pid: 1, namespace: '' },
  log: null,
};

function page(host: SimHost, path: string, accept?: string, trusted = true): Answer {
  const pages = pagesOf({
    operator: () => (host.running ? host.node.administration.operator : null),
    figures: () => FIGURES,
    lateSumS: () => 0.5,
    dashboard: null,
  });
  return pages.answer({ path, accept, trusted })!;
}

/** Samples by name and labels, as they are written. */
function samples(host: SimHost): Map<string, number> {
  const found = new Map<string, number>();
  for (const line of page(host, '/metrics').body.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const [, name = '', value = ''] = /^(.*) ([^ ]+)$/.exec(line)!;
    expect(found.has(name), `${name} twice`).toBe(false);
    found.set(name, Number(value));
  }
  return found;
}

describe('metrics', () => {
  test('a link has values while it is up, and none of its last ones afterwards', () => {
    const network = pair({ forward: wire({ latencyUs: 20 * MILLISECOND }), routes: false });
    const [a, b] = network.hosts as [SimHost, SimHost];
    network.settle();
    network.flow(a, b, { durationUs: 2 * SECOND });
    network.run(5 * SECOND);
    const up = samples(a);
    expect(up.get('spines_link_up{peer="n1"}')).toBe(1);
    expect(up.get('spines_links{state="up"}')).toBe(1);
    expect(up.get('spines_link_rtt_seconds{peer="n1"}')).toBeCloseTo(0.04, 2);
    expect(up.get('spines_packets_originated_total')).toBe(200);
    expect(samples(b).get('spines_packets_delivered_total')).toBe(200);
    const sent = up.get('spines_link_bytes_total{peer="n1",direction="out"}')!;
    expect(sent).toBeGreaterThan(200 * 200);
    expect(up.get('spines_nodes{state="reachable"}')).toBe(2);
    expect(up.get('spines_certificate_remaining_seconds')).toBeGreaterThan(0);
    expect(Math.abs(up.get('spines_link_clock_ahead_seconds{peer="n1"}')!)).toBeLessThan(2);
    b.crash();
    network.run(10 * SECOND);
    const down = samples(a);
    expect(down.get('spines_link_up{peer="n1"}')).toBe(0);
    expect(down.get('spines_link_flaps{peer="n1"}')).toBe(1);
    expect(down.get('spines_link_bytes_total{peer="n1",direction="out"}')).toBeGreaterThan(sent);
    const measured = ['rtt_seconds{', 'loss_ratio{', 'queue_bytes{', 'window_bytes{', 'cost{'];
    for (const name of measured)
      expect([...down.keys()].filter((key) => key.startsWith(`spines_link_${name}`))).toEqual([]);
  });

  test('readiness follows links and certificate, and reasons are for who may see them', () => {
    const network = hosts(2, { routes: false });
    const [a, b] = network.hosts as [SimHost, SimHost];
    network.connect(a, b);
    expect(page(a, '/readyz')).toMatchObject({ status: 503 });
    expect(page(a, '/metrics').status).toBe(503);
    a.start();
    network.run(3 * SECOND);
    const alone = JSON.parse(page(a, '/readyz').body) as { reasons: { code: string }[] };
    expect(alone.reasons.map(({ code }) => code)).toEqual(['noLink']);
    expect(page(a, '/readyz', undefined, false)).toMatchObject({
      status: 503,
      body: '{"schema":1,"ready":false}\n',
    });
    expect(page(a, '/healthz').status).toBe(200);
    b.start();
    network.run(3 * SECOND);
    expect(page(a, '/readyz')).toMatchObject({
      status: 200,
      body: '{"schema":1,"ready":true,"reasons":[]}\n',
    });
    // Nobody to dial: it waits for others, and that is all that it can do.
    expect(b.dials).toHaveLength(0);
    a.crash();
    network.run(10 * SECOND);
    expect(page(b, '/readyz').status).toBe(200);
    const judged = b.membership!.recheck.bind(b.membership!);
    b.membership!.recheck = () => 73;
    expect(page(b, '/readyz').body).toContain('certificate has expired');
    b.membership!.recheck = judged;
  });

  test('both formats say the same, and are well-formed', () => {
    const network = chain(3);
    network.settle();
    const host = network.host(1);
    const plain = page(host, '/metrics', 'text/plain');
    const open = page(host, '/metrics', OPEN_METRICS);
    expect(page(host, '/metrics', `${OPEN_METRICS.replace('text', 'x')},*/*`).type).toMatch(
      /^text\/plain; version=0.0.4/,
    );
    expect(plain.type).toMatch(/^text\/plain; version=0.0.4/);
    expect(open.type).toMatch(/^application\/openmetrics-text; version=1.0.0/);
    expect(open.body.endsWith('\n# EOF\n')).toBe(true);
    const rows = (text: string): string[] =>
      text.split('\n').filter((line) => /^spines_/.test(line) && !/_age_|timer|heap/.test(line));
    expect(rows(open.body)).toEqual(rows(plain.body));
    const named = new Set(tableOfMetrics().map((row) => /`([a-z_]+)`/.exec(row)?.[1] ?? ''));
    for (const { body } of [plain, open]) {
      let family = '',
        kind = '';
      const families = new Set<string>();
      for (const line of body.trimEnd().split('\n')) {
        const head = /^# (HELP|TYPE|UNIT) ([a-z_]+) (.+)$/.exec(line);
        if (head?.[1] === 'HELP') {
          family = head[2]!;
          expect(families.has(family), `${family} is whole`).toBe(false);
          families.add(family);
        } else if (head !== null) {
          expect(head[2]).toBe(family);
          if (head[1] === 'TYPE') kind = head[3]!;
        } else if (line !== '# EOF') {
          expect(line).toMatch(
            /^[a-z_]+(?:\{[a-z]+="[^"\\\n]*"(?:,[a-z]+="[^"\\\n]*")*\})? [0-9.e+-]+$/,
          );
          const name = /^[a-z_]+/.exec(line)![0].replace(/_(?:bucket|sum|count)$/, '');
          const counted = body === open.body && kind === 'counter' ? `${family}_total` : family;
          expect(name).toBe(counted);
          expect(named.has(name), `${name} is in METRICS.md`).toBe(true);
        }
      }
    }
    const buckets = plain.body.split('\n').filter((line) => line.includes('lateness_seconds_'));
    expect(buckets).toContain('spines_timer_lateness_seconds_bucket{le="0.000128"} 2');
    expect(buckets).toContain('spines_timer_lateness_seconds_bucket{le="0.000512"} 4');
    expect(buckets).toContain('spines_timer_lateness_seconds_bucket{le="+Inf"} 6');
    expect(buckets).toContain('spines_timer_lateness_seconds_count 6');
  });

  test.runIf(spawnSync('promtool', ['--version']).status === 0)('promtool finds no fault', () => {
    const network = chain(3);
    network.settle();
    const { body } = page(network.host(1), '/metrics');
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: body });
    expect(`${stdout}${stderr}`).toBe('');
    expect(status).toBe(0);
  });

  test('METRICS.md has the table of the rows', () => {
    const file = fileURLToPath(new URL('../../src/host/web/METRICS.md', import.meta.url));
    expect(readFileSync(file, 'utf8')).toContain(`\n${tableOfMetrics().join('\n')}\n`);
  });
});

/** The report and its printed forms. */

import { describe, expect, test } from 'vitest';

import { delayPlotSvg } from '../../../../src/lab/report/delay-plot.ts';
import { DelayStats, FlowMeter } from '../../../../src/lab/report/delay-stats.ts';
import { buildReport, flowsCsv, formatReport } from '../../../../src/lab/report/report.ts';
import { parseTopology } from '../../../../src/lab/topology/topology-parse.ts';

const topology = parseTopology(
  `name: golden
duration: 10s
seed: 5
nodes: [A, B, C]
links: [{ between: [A, B] }, { between: [B, C] }]
flows:
  - { name: video, from: A, to: C, rate: 500kbit, link: reliable }
  - { name: dead, from: C, to: A, packetsPerSecond: 10 }
`,
  'golden.yaml',
);

function report() {
  const video = new FlowMeter();
  for (let i = 0; i < 100; i += 1) if (i !== 50) video.onMessage(i, 20_000 + i * 500, 1_000);
  return buildReport({
    topology,
    mode: 'virtual',
    flows: [video.result(100, 10_000_000), new FlowMeter().result(20, 10_000_000)],
    links: [
      { a: 'A', b: 'B', datagrams: 240, bytes: 123_456, retransmitted: 3, dropped: 1 },
      { a: 'B', b: 'C', datagrams: 238, bytes: 123_000, retransmitted: 0, dropped: 0 },
    ],
    events: [{ atMs: 2_000, what: 'down', link: 'A-B' }],
    trace: 'c0ffee',
    convergence: [
      { atMs: 2_000, event: 'down', convergedAfterMs: 81.5 },
      { atMs: 9_000, event: 'up', convergedAfterMs: null },
    ],
  });
}

describe('report', () => {
  test('the JSON shape is schema 1, with its keys in order', () => {
    expect(JSON.stringify(report())).toBe(
      '{"schema":1,"topology":"golden","mode":"virtual","security":"sealed","seed":5,"durationMs' +
        '":10000,"flows":[' +
        '{"name":"video","from":"A","to":"C","link":"reliable","session":"datagram","routing":"li' +
        'nk-state","sent":100,"delivered":99,"refused":0,"lost":1,' +
        '"duplicates":0,"outOfOrder":0,"goodputKbps":79.2,"delayMs":{"mean":44.747,"stddev":14.50' +
        '6,"min":20,"p50":44.5,"p90":65,"p99":69.5,"p999":69.5,"max":69.5},' +
        '"delayedPct":{"60":19.192,"100":0}},' +
        '{"name":"dead","from":"C","to":"A","link":"best-effort","session":"datagram","routing":"' +
        'link-state","sent":20,"delivered":0,"refused":0,"lost":20,' +
        '"duplicates":0,"outOfOrder":0,"goodputKbps":0,"delayMs":null,"delayedPct":{"60":0' +
        ',"100":0}}],' +
        '"links":[{"a":"A","b":"B","datagrams":240,"bytes":123456,"retransmitted":3,"dropped":1},' +
        '{"a":"B","b":"C","datagrams":238,"bytes":123000,"retransmitted":0,"dropped":0}],' +
        '"events":[{"atMs":2000,"what":"down","link":"A-B"}],"trace":"c0ffee",' +
        '"convergence":[{"atMs":2000,"event":"down","convergedAfterMs":81.5},{"atMs":9000,"event' +
        '":"up","convergedAfterMs":null}]}',
    );
  });

  test('says when the machine was late, by how much, and only then', () => {
    const late = {
      daemon: 'B',
      daemonP99Ms: 32.768,
      daemonMaxMs: 2_097.152,
      senderP99Ms: 0.256,
      senderMaxMs: 8.192,
    };
    expect(formatReport({ ...report(), lateness: late })).toContain(`
This machine was late, and the delays above are its own as well as the network's:
  daemons' timers by up to 2.1 s, 99 % within 33 ms (B, the latest)
  senders by up to 8.2 ms, 99 % within 0.3 ms
  for delays of the network alone end what else runs here, take fewer nodes, or use --virtual
`);
    for (const change of [{ senderMaxMs: 65.536 }, { senderP99Ms: 8.192 }]) {
      expect(
        formatReport({
          ...report(),
          lateness: { ...late, daemonP99Ms: 1, daemonMaxMs: 9, ...change },
        }),
      ).toContain('This machine was late');
    }
    expect(
      formatReport({ ...report(), lateness: { ...late, daemonP99Ms: 2, daemonMaxMs: 33 } }),
    ).not.toContain('late');
  });

  test('refusals are named, apart from loss', () => {
    const base = report();
    const flow = {
      ...base.flows[0]!,
      delivered: 60,
      refused: 30,
      lost: 10,
      refusals: { linkQueueFull: 29, noRoute: 1 },
    };
    const text = formatReport({ ...base, flows: [flow] });
    expect(text).toContain('60/100   10.00');
    expect(text).toContain('  video: 30 of 100 refused, and told: linkQueueFull, noRoute');
    expect(text.split('\n').every((line) => line.length <= 80)).toBe(true);
  });

  test('the table is aligned', () => {
    expect(formatReport(report())).toBe(`golden: virtual time, 10 s, seed 5, sealed links
trace c0ffee

Flows
  flow   way  service      delivered  loss %      goodput
  video  A-C  reliable        99/100    1.00  79.2 kbit/s
  dead   C-A  best-effort       0/20  100.00     0 kbit/s

Delay in ms
  flow    mean     sd    p50    p99    max  >60 %
  video  44.75  14.51  44.50  69.50  69.50  19.19
  dead       -      -      -      -      -      -

Links (both directions)
  a  b  datagrams   bytes  retransmitted  dropped
  A  B        240  123456              3        1
  B  C        238  123000              0        0

Events
  at       what  details
  2.000 s  down  link=A-B

Convergence
  at       event  converged after
  2.000 s  down           81.5 ms
  9.000 s  up             not yet
`);
  });

  test('the CSV has a line per flow and empty delays where nothing was delivered', () => {
    const lines = flowsCsv(report()).split('\n');
    expect(lines).toEqual([
      'topology,mode,seed,flow,from,to,link,session,routing,sent,delivered,refused,lost,duplicate' +
        's,out_of_order,goodput_kbps,delay_mean_ms,delay_stddev_ms,delay_min_ms,delay_p50_ms,dela' +
        'y_p90_ms,delay_p99_ms,delay_p999_ms,delay_max_ms,delayed_over_60ms_pct,delayed_ov' +
        'er_100ms_pct',
      'golden,virtual,5,video,A,C,reliable,datagram,link-state,100,99,0,1,0,0,79.2,44.747,14.506,' +
        '20,44.5,65,69.5,69.5,69.5,19.192,0',
      'golden,virtual,5,dead,C,A,best-effort,datagram,link-state,20,0,0,20,0,0,0,,,,,,,,,,',
      '',
    ]);
  });

  test('only the busiest links are listed when there are many', () => {
    const text = formatReport(report(), 1);
    expect(text).toContain('and 1 less busy links');
    expect(text).not.toContain('123000');
  });
});

describe('plot', () => {
  function samples(values: readonly number[]): DelayStats {
    const stats = new DelayStats();
    for (const value of values) stats.record(value);
    return stats;
  }

  test('a curve per flow that rises to the full share, names escaped', () => {
    const svg = delayPlotSvg([
      { name: 'a<b>&"c"', delays: samples([10_000, 20_000, 30_000, 40_000]) },
      { name: 'none', delays: samples([]) },
    ]);
    expect(svg).toContain('a&lt;b&gt;&amp;&quot;c&quot;');
    expect(svg).toContain('none (nothing delivered)');
    const paths = [...svg.matchAll(/<path d="([^"]*)"/g)].map((match) => match[1]!);
    expect(paths).toEqual(['M257 400V313H450V226H643V139H836V52H836']);
    expect(svg.match(/<(?!\/|[a-z]+[^>]*\/>)[a-z]+/g)!.length).toBe(
      svg.match(/<\/[a-z]+/g)!.length,
    );
  });

  test('draws sane axes for no samples, equal samples and extreme ones', () => {
    for (const values of [[], [0], [5, 5, 5], [60_000, 60_001], [1, 2_000_000_000]]) {
      const svg = delayPlotSvg([{ name: 'x', delays: samples(values) }]);
      expect(svg).not.toMatch(/NaN|Infinity|undefined/);
      expect(svg.match(/text-anchor="middle"/g)!.length).toBeLessThan(20);
    }
  });
});

/**
 * `spines top`: what stands on screens of any size, what is written to them, and that a terminal is
 * left as it was.
 */

import { describe, expect, test } from 'vitest';
import type { DaemonEvent, LinkRow, StatusReply } from 'spines-client';

import { paintFor } from '../../../src/cli/terminal/table.ts';
import { widthOf } from '../../../src/cli/terminal/columns.ts';
import { Screen, type TerminalIn, type TerminalOut } from '../../../src/cli/top/screen.ts';
import {
  pageOf,
  scrollMost,
  topLines,
  type TopPage,
  type TopState,
} from '../../../src/cli/top/view.ts';

const LONG = 'a-name-of-sixty-three-bytes-which-is-the-longest-that-there-is1';
const colour = paintFor({ isTTY: true }, {}),
  plain = paintFor({}, {});

function state(change: Partial<TopState> = {}, count = 40): TopState {
  const status: StatusReply = {
    schema: 1,
    node: '10.0.0.1',
    name: LONG,
    version: '0.1.0',
    instance: 'x',
    uptimeMs: 86_400_000,
    security: 'none',
    identity: null,
    host: null,
    emulation: false,
    listen: [],
    links: { up: 1, total: 2 },
    nodes: { reachable: 2, known: 3 },
    clients: 1,
    sockets: 0,
    metric: 'expected-latency',
    byzantine: null,
    routing: { recomputations: 3, recomputeMsTotal: 0.5, recomputeMsMax: 0.2, advertisements: 3 },
    packets: { originated: 1, forwarded: 2, delivered: 3 },
    drops: {},
    bounds: {},
  };
  const link = (i: number): LinkRow => ({
    node: `10.0.1.${i}`,
    name: i === 0 ? LONG : `n${i}`,
    address: `127.0.0.1:${8_000 + i}`,
    state: i === 3 ? 'down' : 'up',
    sinceMs: 5_000,
    dialled: true,
    rttMs: 20,
    lossOutPct: 0,
    lossInPct: 0,
    cost: 1,
    rate: { sentBps: i * 1_000, receivedBps: 0 },
    sent: { datagrams: 0, bytes: 0 },
    received: { datagrams: 0, bytes: 0 },
    retransmitted: 0,
    dropped: 0,
    queueBytes: 0,
    congestion: null,
    windowBytes: null,
    inFlightBytes: null,
    size: null,
    seal: null,
    emulated: null,
    ended: 'silent: nothing was heard for too long',
  });
  const events = Array.from(
    { length: count },
    (_, i): DaemonEvent => ({ at: i, kind: 'log', target: `log-${i}`, lost: 1 }),
  );
  return {
    status,
    links: Array.from({ length: count }, (_, i) => link(i)),
    sessions: { schema: 1, sessions: [] },
    routes: {
      schema: 1,
      metric: 'expected-latency',
      routes: Array.from({ length: count }, (_, i) => ({
        node: `10.0.2.${i}`,
        name: `r${i}`,
        reachable: true,
        nextHop: '10.0.1.1',
        nextHopName: 'n1',
        cost: 100,
        costMs: 1,
        hops: 1,
        changedMs: 1_000 * (count - i),
        path: [
          { node: '10.0.0.1', name: LONG },
          { node: `10.0.2.${i}`, name: `r${i}` },
        ],
        runnerUp: null,
      })),
    },
    events,
    page: 'all',
    scrolled: 0,
    paused: false,
    at: 0,
    ...change,
  };
}

describe('the lines of top', () => {
  const pages: readonly TopPage[] = ['all', 'links', 'flows', 'routes', 'events', 'help'];
  test.each(pages)('%s: as many as the terminal has, none wider, in colour too', (page) => {
    for (const [columns, rows] of [
      [80, 24],
      [40, 10],
      [200, 60],
      [20, 4],
    ] as const)
      for (const paint of [plain, colour])
        for (const count of [0, 3, 40]) {
          const lines = topLines(state({ page }, count), columns, rows, paint);
          expect(lines).toHaveLength(rows);
          for (const line of lines) expect(widthOf(line), line).toBeLessThanOrEqual(columns);
        }
  });

  test('what is not up comes first, then what carries most; all sections have a part', () => {
    const lines = topLines(state(), 80, 24, plain);
    expect(lines[1]).toMatch(/^NAME +STATE/);
    expect(lines[2]).toMatch(/^n3 +down +.* silent/);
    expect(lines[3]).toMatch(/^n39 +up/);
    const text = lines.join('\n');
    expect(text).toMatch(/\.\. 3\d more lines: l/);
    expect(text).toContain('no sessions');
    expect(text).toMatch(/\nr39 +1\.0 ms +direct +1s\n/);
    expect(text).toMatch(/ log +log-39: 1 lines lost/);
    expect(lines.at(-1)).toMatch(/^\[a all\] .*q quit$/);
  });

  test('a section is scrolled below its heading, to its end and no further', () => {
    const links = state({ page: 'links' });
    const most = scrollMost(links, 80, 24);
    expect(most).toBe(41 - 22);
    const end = topLines({ ...links, scrolled: 999 }, 80, 24, plain);
    expect(end[1]).toMatch(/^NAME/);
    expect(end.at(-2)).toMatch(/^(n1|a-na.*) +up/);
    expect(scrollMost(state(), 80, 24)).toBe(0);
    expect(['l', '?', 'x'].map(pageOf)).toEqual(['links', 'help', null]);
  });
});

/** A terminal that remembers what was written to it. */
function terminal(
  columns = 80,
  rows = 24,
): {
  out: TerminalOut & { columns: number; rows: number };
  input: TerminalIn;
  written: string[];
  raw: boolean[];
  type(text: string): void;
  resize(): void;
} {
  const written: string[] = [],
    raw: boolean[] = [];
  const listeners = new Map<string, (bytes: Buffer) => void>();
  const hook = {
    on: (event: string, listener: (bytes: Buffer) => void) => void listeners.set(event, listener),
    off: (event: string) => void listeners.delete(event),
  };
  return {
    out: { columns, rows, write: (text: string) => void written.push(text), ...hook },
    input: { setRawMode: (on: boolean) => void raw.push(on), resume() {}, pause() {}, ...hook },
    written,
    raw,
    type: (text) => listeners.get('data')?.(Buffer.from(text)),
    resize: () => listeners.get('resize')?.(Buffer.alloc(0)),
  };
}

describe('the screen', () => {
  test('writes lines that changed only, whole after a resize, and never a line too far', () => {
    const { out, input, written, resize } = terminal(20, 4);
    let resized = 0;
    const screen = new Screen(out, input, { onKey() {}, onResize: () => (resized += 1) });
    screen.enter();
    screen.draw(['one', 'two', '', 'four']);
    written.length = 0;
    screen.draw(['one', 'TWO', '', 'four']);
    expect(written).toEqual(['\x1b[?2026h\x1b[2;1HTWO\x1b[K\x1b[?2026l']);
    written.length = 0;
    screen.draw(['one', 'TWO', '', 'four']);
    expect(written, 'nothing changed').toEqual([]);
    screen.draw(['01234567890123456789', 'TWO', '', 'four']);
    expect(written[0], 'what clears the rest would clear the last').not.toContain('9\x1b[K');
    out.rows = 5;
    resize();
    expect(resized).toBe(1);
    written.length = 0;
    screen.draw(['one', 'two', 'three', 'four', 'five']);
    expect(written[0]).toContain('\x1b[2J');
    expect(written[0]).toContain('\x1b[5;1Hfive');
    screen.leave();
  });

  test('is left as it was, once, also when the process exits', () => {
    for (const by of ['leave', 'exit'] as const) {
      const { out, input, written, raw } = terminal();
      const screen = new Screen(out, input, { onKey() {}, onResize() {} });
      const before = process.listenerCount('exit');
      screen.enter();
      expect(raw).toEqual([true]);
      written.length = 0;
      if (by === 'leave') screen.leave();
      else (process.listeners('exit').at(-1) as () => void)();
      screen.leave();
      screen.draw(['x']);
      expect(written).toEqual(['\x1b[?7h\x1b[?25h\x1b[?1049l']);
      expect(raw).toEqual([true, false]);
      expect(process.listenerCount('exit')).toBe(before);
    }
  });

  test('keys have names, several at once too; sequences that are not known are none', () => {
    const { out, input, type } = terminal();
    const keys: string[] = [];
    const screen = new Screen(out, input, { onKey: (key) => keys.push(key), onResize() {} });
    screen.enter();
    type('ql\x1b[A\x1b[6~\x03\x1b[99~\x1b');
    screen.leave();
    type('q');
    expect(keys).toEqual(['q', 'l', 'up', 'pagedown', 'ctrl-c', 'escape']);
  });
});

/**
 * What dashboards are told, when, and how little is done while nobody looks.
 */

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { DaemonEvent } from 'spines-client';
import type { NodeRow } from 'spines-client/protocol';

import {
  LiveOverlay,
  type MapFrame,
  type Onlooker,
} from '../../../../src/host/web/live-overlay.ts';
import type { Asked, OverlaySource } from '../../../../src/host/web/overlay-source.ts';

const row = (name: string, to: readonly string[] = [], lossPct = 0): NodeRow => ({
  ...{ node: name, name, reachable: true, self: name === 'a', sequence: 1, ageMs: 1 },
  links: to.map((node) => ({ node, name: node, latencyMs: 1, lossPct, confirmed: true })),
});

class Source implements OverlaySource {
  nodes: NodeRow[] = [row('a', ['b']), row('b', ['a'])];
  asked = 0;
  broken = false;
  tell: ((event: DaemonEvent) => void) | null = null;

  async ask<Op extends keyof Asked>(op: Op): Promise<Asked[Op]> {
    this.asked += 1;
    if (this.broken) throw new Error('it is away');
    const answers: Record<string, object> = {
      nodes: { schema: 1, nodes: this.nodes },
      status: { node: 'a', name: 'a', byzantine: null, metric: 'hops' },
      links: { schema: 1, links: [] },
      sessions: { schema: 1, sessions: [] },
    };
    return answers[op] as Asked[Op];
  }

  watch(tell: (event: DaemonEvent) => void): () => void {
    this.tell = tell;
    return () => {
      this.tell = null;
    };
  }
}

class Reader implements Onlooker {
  readonly frames: [string, string][] = [];
  reads = true;

  tell(name: string, data: string): boolean {
    if (this.reads) this.frames.push([name, data]);
    return this.reads;
  }

  maps(): MapFrame[] {
    return this.frames.filter(([name]) => name === 'map').map(([, data]) => JSON.parse(data));
  }

  names(): string[] {
    return this.frames.map(([name]) => name);
  }
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const SESSION: DaemonEvent = {
  ...{ at: 1, kind: 'session', what: 'opened', socket: 'datagram', program: 'x' },
  ...{ certificate: null, port: 1, node: null, name: null, remotePort: null },
  ...{ link: 'reliable', routing: 'link-state', sent: 0, received: 0, code: null },
};
const LINK: DaemonEvent = {
  ...{ at: 1, kind: 'link', what: 'down', node: 'b', name: 'b', address: '' },
  ...{ why: '', next: null, rttMs: null, lossOutPct: null, lossInPct: null },
};

describe('a live overlay', () => {
  test('asks nothing and has no timer while nobody looks', async () => {
    const source = new Source();
    const live = new LiveOverlay(source);
    await vi.advanceTimersByTimeAsync(60_000);
    expect([source.asked, vi.getTimerCount(), source.tell]).toEqual([0, 0, null]);
    const leave = live.join(new Reader());
    await vi.advanceTimersByTimeAsync(2_500);
    expect(source.asked).toBe(3 * 4);
    leave();
    const { asked } = source;
    await vi.advanceTimersByTimeAsync(60_000);
    expect([source.asked - asked, vi.getTimerCount(), source.tell, live.size]).toEqual([
      0,
      0,
      null,
      0,
    ]);
  });

  test('tells all of the map first and then what differs, once for all who look', async () => {
    const source = new Source();
    const live = new LiveOverlay(source);
    const [one, two] = [new Reader(), new Reader()];
    live.join(one);
    await vi.advanceTimersByTimeAsync(10);
    expect(one.names()).toEqual(['map', 'look']);
    expect(one.maps()[0]).toMatchObject({ whole: true, nodes: [{ node: 'a' }, { node: 'b' }] });
    live.join(two);
    expect(two.names()).toEqual(['map', 'look']);
    source.nodes = [row('a', ['b'], 5), row('c')];
    await vi.advanceTimersByTimeAsync(1_000);
    for (const reader of [one, two])
      expect(reader.maps().slice(1)).toMatchObject([
        { whole: false, nodes: [{ node: 'a' }, { node: 'c' }], gone: ['b'] },
      ]);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(one.maps()).toHaveLength(2);
  });

  test(
    'tells what happens at once, ' + 'and the map that it changed within a fifth of a second',
    async () => {
      const source = new Source();
      const live = new LiveOverlay(source);
      const reader = new Reader();
      live.join(reader);
      await vi.advanceTimersByTimeAsync(10);
      source.nodes = [row('a'), row('b', ['a'])];
      source.tell!(LINK);
      expect(reader.names().at(-1)).toBe('event');
      await vi.advanceTimersByTimeAsync(200);
      expect(reader.maps()).toHaveLength(2);
      // What changes no map is no reason to look.
      const { asked } = source;
      for (let i = 0; i < 50; i += 1) source.tell!(SESSION);
      await vi.advanceTimersByTimeAsync(200);
      expect(source.asked).toBe(asked);
    },
  );

  test('who does not read is told what it missed, and the whole map', async () => {
    const source = new Source();
    const live = new LiveOverlay(source);
    const [slow, quick] = [new Reader(), new Reader()];
    live.join(slow);
    live.join(quick);
    await vi.advanceTimersByTimeAsync(10);
    slow.reads = false;
    source.nodes = [row('a', ['b'], 1), row('b', ['a'])];
    source.tell!(SESSION);
    source.tell!(SESSION);
    await vi.advanceTimersByTimeAsync(1_000);
    slow.reads = true;
    slow.frames.length = 0;
    source.nodes = [row('a', ['b'], 2), row('b', ['a'])];
    source.tell!(SESSION);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(slow.frames.slice(0, 2).map(([, data]) => JSON.parse(data))).toMatchObject([
      { kind: 'missed', count: 2 },
      { kind: 'session' },
    ]);
    expect(slow.maps()).toMatchObject([{ whole: true, nodes: [{ node: 'a' }, { node: 'b' }] }]);
    expect(quick.maps().at(-1)).toMatchObject({ whole: false, nodes: [{ node: 'a' }] });
  });

  test('a daemon that does not answer is away, and one that does again is there', async () => {
    const source = new Source();
    const live = new LiveOverlay(source, () => 7);
    const reader = new Reader();
    live.join(reader);
    await vi.advanceTimersByTimeAsync(10);
    source.broken = true;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(reader.frames.at(-1)).toEqual(['away', '{"at":7,"why":"it is away"}']);
    source.broken = false;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(reader.names().at(-1)).toBe('look');
  });
});

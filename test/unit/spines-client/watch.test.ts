/**
 * `client.watch`: what it asks its daemon for, what it brings and when it ends, on a connection
 * that is played.
 */

import { describe, expect, test } from 'vitest';

import type { ClientInternals, ClientMember } from '../../../spines-client/src/attachment.ts';
import { WATCH_KINDS, type WatchEvent } from '../../../spines-client/src/shared/watch-events.ts';
import { WATCH_QUEUE_MAX, Watches, type DaemonEvent } from '../../../spines-client/src/watch.ts';

/** A connection that keeps what was asked, and answers as `refuse` says. */
function played(refuse: { code: string } | null = null): {
  watches: Watches;
  asked: string[][];
  members: Set<ClientMember>;
  core: { state: string; onWatched(seen: unknown): void };
} {
  const asked: string[][] = [];
  const members = new Set<ClientMember>();
  const core = {
    state: 'open',
    onWatched: (_seen: unknown) => {},
    request: (_op: string, { kinds }: { kinds: string[] }, done: (error: unknown) => void) => {
      asked.push(kinds);
      done(refuse);
    },
  };
  const internals: Partial<Record<keyof ClientInternals, unknown>> = {
    core,
    over: false,
    attach: (member: ClientMember) => void members.add(member),
    detach: (member: ClientMember) => void members.delete(member),
  };
  return { watches: new Watches(internals as ClientInternals), asked, members, core };
}

const lost = (lines: number): WatchEvent => ({ at: 1, kind: 'log', target: 'x', lost: lines });
const clock: WatchEvent = {
  at: 2,
  kind: 'clock',
  what: 'agrees',
  node: '10.0.0.2',
  name: null,
  aheadMs: 0,
};

describe('client.watch', () => {
  test(
    'asks for what any watcher wants, ' + 'brings each his own, and asks for less at the end',
    async () => {
      const { watches, asked, members, core } = played();
      const logs = watches.open({ kinds: ['log'] }),
        all = watches.open({});
      expect(asked).toEqual([['log'], [...WATCH_KINDS]]);
      core.onWatched(clock);
      core.onWatched(lost(1));
      core.onWatched('nonsense');
      core.onWatched({});
      expect(await logs.next()).toEqual({ done: false, value: lost(1) });
      expect([await all.next(), await all.next()].map(({ value }) => value)).toEqual([
        clock,
        lost(1),
      ]);
      const waits = all.next();
      await all.return();
      expect(await waits).toEqual({ done: true, value: undefined });
      expect(asked.slice(2)).toEqual([['log']]);
      await logs.return();
      expect(asked.slice(3)).toEqual([[]]);
      expect(members.size).toBe(0);
    },
  );

  test('counts what its program was too slow for', async () => {
    const { watches, core } = played();
    const watcher = watches.open({ kinds: ['log'] });
    for (let i = 0; i < WATCH_QUEUE_MAX + 7; i += 1) core.onWatched(lost(i));
    core.onWatched({ at: 3, kind: 'missed', count: 5 });
    let count = 0;
    for await (const event of watcher) {
      if (event.kind === 'missed') {
        expect(event.count).toBe(12);
        break;
      }
      count += 1;
    }
    expect(count).toBe(WATCH_QUEUE_MAX);
  });

  test('says what was missed where it was missed, also while events go on', async () => {
    const { watches, core } = played();
    const watcher = watches.open({ kinds: ['log'] });
    for (let i = 0; i < WATCH_QUEUE_MAX + 10; i += 1) core.onWatched(lost(i));
    const seen: DaemonEvent[] = [];
    for (let i = 0; i < WATCH_QUEUE_MAX + 2; i += 1) {
      seen.push((await watcher.next()).value!);
      core.onWatched(lost(WATCH_QUEUE_MAX + 10 + i));
    }
    expect(seen.slice(WATCH_QUEUE_MAX - 1)).toMatchObject([
      lost(WATCH_QUEUE_MAX - 1),
      { kind: 'missed', count: 10 },
      lost(WATCH_QUEUE_MAX + 10),
    ]);
  });

  test('says that the daemon went and came back, and asks again', async () => {
    const { watches, asked } = played();
    const watcher = watches.open({ kinds: ['link'] });
    watches.onConnectionDown();
    watches.onConnectionUp(false, true);
    expect((await watcher.next()).value).toMatchObject({ kind: 'daemon', what: 'away' });
    expect((await watcher.next()).value).toMatchObject({ what: 'back', restarted: true });
    expect(asked).toEqual([['link'], ['link']]);
    watches.onClientClosed();
    expect((await watcher.next()).done).toBe(true);
  });

  test('rejects once when it is refused or its signal says so, and is over then', async () => {
    const refused = played({ code: 'ENOSYS' }).watches.open({});
    await expect(refused.next()).rejects.toMatchObject({ code: 'ENOSYS' });
    expect((await refused.next()).done).toBe(true);
    const controller = new AbortController();
    const watcher = played().watches.open({ signal: controller.signal });
    const waits = watcher.next();
    controller.abort();
    await expect(waits).rejects.toMatchObject({ code: 'ABORT_ERR' });
    expect((await watcher.next()).done).toBe(true);
    expect(() => played().watches.open({ kinds: ['links' as 'link'] })).toThrow(/kinds may have/);
  });
});

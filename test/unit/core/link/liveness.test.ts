/** Death and life of a silent link, seen by a daemon that is on time, busy, or was stopped. */

import { beforeEach, describe, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { MILLISECOND, NEVER, SECOND, Timer, type Micros } from '../../../../src/core/base/time.ts';
import { TimerQueue } from '../../../../src/core/base/timer-queue.ts';
import { Liveness } from '../../../../src/core/link/liveness.ts';
import { HELLO_PROBE } from '../../../../src/core/wire/frames.ts';

const CONFIG = { helloIntervalUs: 150 * MILLISECOND, deadAfterUs: 400 * MILLISECOND };
/** Of a link without loss. */
const PROBES_NEEDED = 8;

let now: Micros,
  timers: TimerQueue,
  liveness: Liveness,
  dead: boolean,
  probes: number,
  numbers: number,
  suspected: number;

beforeEach(() => {
  now = SECOND;
  timers = new TimerQueue();
  dead = false;
  probes = 0;
  numbers = 0;
  suspected = 0;
  liveness = new Liveness(CONFIG, { now: () => now }, timers, new Rng(1), {
    sendHello: ({ flags }) => {
      if ((flags & HELLO_PROBE) !== 0) probes += 1;
    },
    onSuspected: () => {
      suspected += 1;
    },
    onDead: () => {
      dead = true;
    },
    onEstimate: () => {},
  });
  liveness.start();
  hear();
  probes = 0;
});

/** A datagram of the peer is read. */
function hear(): void {
  liveness.onReceived(numbers);
  numbers += 1;
}

/** Timers run `late` after the next is due. */
function step(late: Micros): void {
  now = Math.max(now, timers.nextAt + late);
  timers.runDue(now);
}

/** Steps until the link is dead; how long that took. */
function silence(late: Micros, most: Micros): Micros {
  const began = now;
  while (!dead && now - began < most) step(late);
  return now - began;
}

describe('a silent peer', () => {
  test('is dead within half a second, after as many probes as prove it', () => {
    const took = silence(0, 10 * SECOND);
    expect(dead).toBe(true);
    expect(took).toBeGreaterThanOrEqual(CONFIG.deadAfterUs);
    expect(took).toBeLessThan(500 * MILLISECOND);
    expect(probes).toBeGreaterThanOrEqual(PROBES_NEEDED);
    // Early enough to find out that our own address has gone, and to move.
    expect(suspected).toBe(probes);
  });

  test.each([5, 20, 55])('is not dead for fewer probes when they leave %d ms late each', (late) => {
    const took = silence(late * MILLISECOND, 10 * SECOND);
    expect(dead).toBe(true);
    expect(probes).toBeGreaterThanOrEqual(PROBES_NEEDED);
    expect(took).toBeLessThan(2 * SECOND);
  });

  test.each([100, 250])('is found dead by a daemon that is always %d ms late', (late) => {
    const took = silence(late * MILLISECOND, 60 * SECOND);
    expect(dead).toBe(true);
    expect(probes).toBeGreaterThanOrEqual(PROBES_NEEDED);
    // Twice eight probes, and what each is late.
    expect(took).toBeLessThan(20 * (25 + late) * MILLISECOND);
  });
});

describe('a peer that is there', () => {
  test(
    'is not dead for a daemon that was stopped while it asked: ' + 'the answers wait to be read',
    () => {
      // Suspected, and nearly given up.
      while (probes < PROBES_NEEDED - 1) step(0);
      expect(dead).toBe(false);
      step(10 * SECOND);
      expect(dead).toBe(false);
      hear();
      for (let i = 0; i < 5; i += 1) step(0);
      expect(dead).toBe(false);
    },
  );

  test(
    'is not dead for a daemon that is stopped again and again, ' +
      'as long as it hears something in between',
    () => {
      for (let i = 0; i < 100; i += 1) {
        for (let checks = 0; checks < 6; checks += 1) step(300 * MILLISECOND);
        expect(dead).toBe(false);
        hear();
      }
    },
  );
});

describe('hellos of an idle daemon', () => {
  const INTERVAL = CONFIG.helloIntervalUs;

  interface Node {
    readonly clock: { now: () => Micros };
    readonly timers: TimerQueue;
    turns: number;
  }

  /** A daemon whose clock began `ahead` of the others'. */
  function node(ahead: Micros): Node {
    return { clock: { now: () => now + ahead }, timers: new TimerQueue(), turns: 0 };
  }

  /**
   * A hub with links that came up at any time to peers with clocks of their own; one way each of 1
   * to 40 ms.
   */
  function star(links: number): {
    run: (time: Micros) => void;
    hub: Node;
    peers: Node[];
    hellos: () => number;
    dead: () => number;
  } {
    const rng = new Rng(7);
    const hub = node(rng.below(INTERVAL)),
      peers = Array.from({ length: links }, () => node(rng.below(INTERVAL)));
    const wires = new TimerQueue();
    let hellos = 0,
      died = 0;
    for (const peer of peers) {
      const oneWay = MILLISECOND * (1 + rng.below(40));
      const ends: Liveness[] = [];
      const end = (from: Node, to: Node, other: number): Liveness => {
        let sent = 0;
        return new Liveness(CONFIG, from.clock, from.timers, rng.fork(`${other} ${oneWay}`), {
          sendHello: (hello) => {
            hellos += 1;
            const copy = { ...hello },
              number = sent;
            sent += 1;
            wires.arm(
              new Timer(() => {
                to.turns += 1;
                ends[other]!.onReceived(number);
                ends[other]!.onHello(copy);
              }),
              now + oneWay,
            );
          },
          onSuspected: () => {},
          onDead: () => {
            died += 1;
          },
          onEstimate: () => {},
        });
      };
      ends.push(end(hub, peer, 1), end(peer, hub, 0));
      wires.arm(
        new Timer(() => {
          for (const one of ends) one.start();
        }),
        now + rng.below(2 * INTERVAL),
      );
    }
    const run = (time: Micros): void => {
      const until = now + time;
      for (;;) {
        const at = Math.min(
          wires.nextAt,
          ...[hub, ...peers].map((one) =>
            one.timers.nextAt === NEVER ? NEVER : one.timers.nextAt - (one.clock.now() - now),
          ),
        );
        if (at > until) break;
        now = Math.max(now, at);
        wires.runDue(now);
        for (const one of [hub, ...peers])
          if (one.timers.runDue(one.clock.now()) > 0) one.turns += 1;
      }
      now = until;
    };
    return { run, hub, peers, hellos: () => hellos, dead: () => died };
  }

  test(
    'cost it hardly more turns than what arrives, ' +
      'and no more datagrams than one an interval each way',
    () => {
      const links = 30,
        seconds = 20;
      const { run, hub, peers, hellos, dead: died } = star(links);
      run(5 * SECOND);
      const before = hellos();
      for (const one of [hub, ...peers]) one.turns = 0;
      run(seconds * SECOND);
      expect(died()).toBe(0);
      const intervals = (seconds * SECOND) / INTERVAL;
      expect((hellos() - before) / intervals / links / 2).toBeGreaterThan(0.9);
      expect((hellos() - before) / intervals / links / 2).toBeLessThan(1.15);
      // One turn for each arrival, four beats for all that it begins itself, and some that have not
      // met yet.
      expect(hub.turns / intervals).toBeLessThan(links + 4 + 0.1 * links);
      // A peer that only answers is woken by arrivals and by timers that find nothing due.
      for (const peer of peers) expect(peer.turns / intervals).toBeLessThan(3);
    },
  );

  test('never leave a peer without one for longer than an interval and an eighth', () => {
    const { run } = star(0);
    run(0);
    let last = now,
      longest = 0;
    const quiet = new Liveness(
      CONFIG,
      { now: () => now },
      (timers = new TimerQueue()),
      new Rng(3),
      {
        sendHello: () => {
          longest = Math.max(longest, now - last);
          last = now;
        },
        onSuspected: () => {},
        onDead: () => {},
        onEstimate: () => {},
      },
    );
    quiet.start();
    const rng = new Rng(5);
    for (let i = 0; i < 2_000; i += 1) {
      // Its peer's hellos come when they like, or not at all.
      const until = now + rng.below(2 * INTERVAL);
      while (timers.nextAt <= until) step(0);
      now = until;
      quiet.onReceived(i);
      if (rng.chance(0.7))
        quiet.onHello({ flags: 0, burst: 0, loss: 0, stamp: now >>> 0, echo: 0, held: 0 });
    }
    expect(longest).toBeLessThanOrEqual(INTERVAL + INTERVAL / 8);
  });
});

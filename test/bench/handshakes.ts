/**
 * What sealed handshakes cost the one who is called, and what it costs to refuse one, with each
 * implementation of the primitives.
 *
 * A SealedHandshaker answers INITs of another membership's, in one process. Budgets are kept out of
 * the way by a clock that jumps, or let run dry by one that stands still. Every call ends as the
 * row says, or the measurement throws.
 */

import { makeEndpoint, type Endpoint } from '#src/core/base/datagram.js';
import { MILLISECOND, type Clock } from '#src/core/base/time.js';
import { noblePrimitives } from '#src/core/crypto/noble-primitives.js';
import type { Membership } from '#src/core/crypto/membership.js';
import type { Primitives } from '#src/core/crypto/primitives.js';
import { nodePrimitives } from '#src/host/primitives/node-primitives.js';
import { secureRandom } from '#src/host/primitives/secure-random.js';
import { Declined, type Agreement, type Call, type Invitation } from '#src/core/link/handshaker.js';
import { SealedHandshaker } from '#src/core/link/sealed-handshaker.js';
import { SimAuthority } from '#src/lab/sim/sim-authority.js';
import { DropReason, dropReasonName } from '#src/core/wire/drop.js';
import { INIT_NOISE_END } from '#src/core/wire/sealed-handshake.js';
import { DATAGRAM_BYTES_MAX } from '#src/core/wire/sizes.js';
import { FIRST_ID } from './identities.js';
import { cpuUs, median, printTable, spread, whole } from './processes.js';
import type { Results } from './results.js';

/** Microseconds of CPU time each, one value a round. */
interface Costs {
  /** Of the called side, certificate known from before. */
  readonly answered: number[];
  /** Of the called side, certificate never seen: its signature is verified. */
  readonly firstMet: number[];
  /** INIT, answer and its reading: both sides. */
  readonly full: number[];
  readonly wrongMac: number[];
  readonly cookieAsked: number[];
  /** A valid cookie of an address that has called too often. */
  readonly overBudget: number[];
}
export interface HandshakeFigures {
  readonly primitives: string;
  readonly costs: Costs;
}

/** Different INITs at hand. */
const INITS = 16;
/** With a clock that stands still the budget pays for 200 cookies. */
const COOKIES_AT_ONCE = 200,
  COOKIE_BATCHES = 4;
/** The fewest calls of a measurement. */
const CALLS_MIN = 8;
/** Gives back more tokens than a handshake takes. */
const JUMP = 10 * MILLISECOND;

class HandClock implements Clock {
  us = 1_000_000;
  now(): number {
    return this.us;
  }
}

function reasonOf(read: Invitation | Agreement | Declined): DropReason {
  return read instanceof Declined ? read.reason : DropReason.none;
}

class Pair {
  readonly clock = new HandClock();
  readonly caller: SealedHandshaker;
  readonly membership: Membership;
  readonly from: Endpoint = makeEndpoint('10.1.1.1', 8100);
  readonly inits: Uint8Array[];
  /** Sent by the called side on its own: cookies. */
  sent: Uint8Array | null = null;
  called: SealedHandshaker;
  readonly #out = new Uint8Array(DATAGRAM_BYTES_MAX);
  readonly #key: Uint8Array;

  constructor(primitives: Primitives) {
    const authority = new SimAuthority(primitives, secureRandom);
    const called = authority.issue(FIRST_ID + 1, 'called');
    this.membership = authority.member(called, this.clock);
    this.#key = called.exchange.publicKey;
    this.caller = new SealedHandshaker(
      authority.member(authority.issue(FIRST_ID, 'caller'), this.clock),
      this.clock,
      { congested: false, send: () => {} },
    );
    this.called = this.fresh();
    this.inits = Array.from({ length: INITS }, () => this.writeInit(this.newCall()));
  }

  /** A called side with full budgets. */
  fresh(): SealedHandshaker {
    this.called = new SealedHandshaker(this.membership, this.clock, {
      congested: false,
      send: (_to, bytes, length) => {
        this.sent = bytes.slice(0, length);
      },
    });
    return this.called;
  }

  newCall(): Call {
    return { node: null, key: this.#key, index: 1, attempts: 0, continues: 0, secrets: null };
  }

  writeInit(call: Call): Uint8Array {
    return this.#out.slice(0, this.caller.writeInit(call, { instance: 1, started: 0 }, this.#out));
  }

  read(init: Uint8Array, expected: DropReason): void {
    const reason = reasonOf(this.called.readInit(init, init.length, this.from));
    if (reason !== expected)
      throw new Error(
        `an INIT of the bench ended as ${dropReasonName(reason)}, not ${dropReasonName(expected)}`,
      );
  }

  answer(init: Uint8Array): Uint8Array {
    const invitation = this.called.readInit(init, init.length, this.from);
    if (invitation instanceof Declined)
      throw new Error(`an INIT of the bench ended as ${dropReasonName(invitation.reason)}`);
    const answer = invitation.accept(2, 0, { instance: 2, started: 0 }, 0, this.#out);
    return this.#out.subarray(0, answer!.length);
  }

  /** Leaves the called side with a budget in which it asks for cookies. */
  drain(): void {
    for (let i = 0; i < 1_000; i += 1) {
      this.sent = null;
      const init = this.inits[0]!;
      const reason = reasonOf(this.called.readInit(init, init.length, this.from));
      if (reason === DropReason.handshakeCookieAsked) return;
      if (reason !== DropReason.none) break;
    }
    throw new Error('the bench could not use up the budget for handshakes');
  }
}

/** Calls `body` for `durationMs` of CPU time, CALLS_MIN times at least; microseconds each. */
function timed(durationMs: number, body: (i: number) => void): number {
  for (let i = 0; i < CALLS_MIN; i += 1) body(i);
  const began = cpuUs();
  let count = 0;
  for (;;) {
    for (let i = 0; i < CALLS_MIN; i += 1) body(count + i);
    count += CALLS_MIN;
    const elapsed = cpuUs() - began;
    if (elapsed >= 1_000 * durationMs) return elapsed / count;
  }
}

function measureRound(pair: Pair, durationMs: number, costs: Costs): void {
  const { clock, inits } = pair;
  const initOf = (i: number): Uint8Array => inits[i % INITS]!;
  pair.fresh();
  costs.answered.push(
    timed(durationMs, (i) => {
      clock.us += JUMP;
      pair.answer(initOf(i));
    }),
  );
  const { identity, previous, trust } = pair.membership;
  costs.firstMet.push(
    timed(durationMs, (i) => {
      clock.us += JUMP;
      // As a reload does: verified certificates are forgotten.
      pair.membership.replace({ identity, previous, trust });
      pair.answer(initOf(i));
    }),
  );
  costs.full.push(
    timed(durationMs, () => {
      clock.us += JUMP;
      const call = pair.newCall();
      const response = pair.answer(pair.writeInit(call));
      if (pair.caller.readResponse(call, response, response.length) instanceof Declined)
        throw new Error('a RESPONSE of the bench was refused');
    }),
  );
  const forged = inits.map((init) => {
    const copy = init.slice();
    copy[INIT_NOISE_END] = copy[INIT_NOISE_END]! ^ 1;
    return copy;
  });
  costs.wrongMac.push(
    timed(durationMs, (i) => pair.read(forged[i % INITS]!, DropReason.handshakeMacWrong)),
  );
  costs.cookieAsked.push(measureCookies(pair));
  costs.overBudget.push(measureOverBudget(pair, durationMs));
}

function measureCookies(pair: Pair): number {
  const count = COOKIES_AT_ONCE - 1;
  let spent = 0;
  for (let batch = 0; batch < COOKIE_BATCHES; batch += 1) {
    pair.fresh();
    pair.drain();
    const began = cpuUs();
    for (let i = 0; i < count; i += 1)
      pair.read(pair.inits[i % INITS]!, DropReason.handshakeCookieAsked);
    spent += cpuUs() - began;
  }
  return spent / (count * COOKIE_BATCHES);
}

function measureOverBudget(pair: Pair, durationMs: number): number {
  pair.fresh();
  pair.drain();
  const call = pair.newCall();
  pair.read(pair.writeInit(call), DropReason.handshakeCookieAsked);
  if (!pair.caller.onOther(pair.sent!, pair.sent!.length, pair.from, call).retry)
    throw new Error('a cookie of the bench was refused');
  const shown = pair.writeInit(call);
  let answered = 0;
  while (!(pair.called.readInit(shown, shown.length, pair.from) instanceof Declined)) answered += 1;
  if (answered === 0) throw new Error('a cookie of the bench did not help');
  return timed(durationMs, () => pair.read(shown, DropReason.handshakeOverBudget));
}

export function measureHandshakes(rounds: number, durationMs: number): HandshakeFigures[] {
  const figures = [nodePrimitives, noblePrimitives].map((primitives) => ({
    pair: new Pair(primitives),
    primitives: primitives.name,
    costs: {
      answered: [],
      firstMet: [],
      full: [],
      wrongMac: [],
      cookieAsked: [],
      overBudget: [],
    } satisfies Costs as Costs,
  }));
  const scratch: Costs = {
    answered: [],
    firstMet: [],
    full: [],
    wrongMac: [],
    cookieAsked: [],
    overBudget: [],
  };
  for (const { pair } of figures) measureRound(pair, durationMs / 10, scratch);
  for (let round = 0; round < rounds; round += 1)
    for (const { pair, costs } of figures) measureRound(pair, durationMs / 10, costs);
  return figures.map(({ primitives, costs }) => ({ primitives, costs }));
}

export function recordHandshakes(figures: readonly HandshakeFigures[], results: Results): void {
  for (const { primitives, costs } of figures) {
    for (const [call, us] of Object.entries(costs) as [string, readonly number[]][])
      results.add(`handshakes/${primitives}/${call}`, 'us', ...us);
  }
}

export function printHandshakes(figures: readonly HandshakeFigures[]): void {
  const rows: string[][] = [
    [
      'handshakes of sealed links',
      ...figures.flatMap(({ primitives }) => [`${primitives}, us`, 'spread', 'a second']),
    ],
  ];
  const add = (name: string, of: (costs: Costs) => readonly number[]): void => {
    rows.push([
      name,
      ...figures.flatMap(({ costs }) => [
        median(of(costs)).toFixed(1),
        spread(of(costs), 1),
        whole(1_000_000 / median(of(costs))),
      ]),
    ]);
  };
  add('answered, certificate known', (costs) => costs.answered);
  add('answered, certificate first seen', (costs) => costs.firstMet);
  add('full handshake, both sides', (costs) => costs.full);
  add('refused: wrong MAC', (costs) => costs.wrongMac);
  add('refused: no cookie, one is sent', (costs) => costs.cookieAsked);
  add('refused: valid cookie, address over its budget', (costs) => costs.overBudget);
  console.log(
    '\nHandshakes, CPU time each and as many in a second of it, without UDP. A daemon spends ' +
      'itself on 200 a second at most:',
  );
  printTable(rows, 1);
  for (const { primitives, costs } of figures) {
    const of = (values: readonly number[]): string =>
      (median(costs.answered) / median(values)).toFixed(0);
    console.log(
      `${primitives}: an answered INIT costs as much as ${of(costs.wrongMac)} with a wrong MAC, ` +
        `${of(costs.cookieAsked)} without cookie, ${of(costs.overBudget)} over budget`,
    );
  }
}

/**
 * What an operation of the daemon is: its role, whether it changes something, and how it is
 * answered.
 *
 * operations.ts has all of them, a row each. Also what they share: what they may look at, and
 * numbers as reports have them.
 */

import { SpinesError } from '../base/errors.ts';
import type { Micros } from '../base/time.ts';
import type { ByzantineRouter } from '../byzantine/byzantine-router.ts';
import type { Arguments } from '../ipc/arguments.ts';
import type { ConnectedClient } from '../ipc/client.ts';
import type { ClientPort } from '../ipc/client-port.ts';
import type { ClientRole } from '../ipc/roles.ts';
import type { OperationAnswer, OperationName, WatchEvent } from 'spines-client/protocol';
import type { NodeView, OperatorEnvironment } from './node-view.ts';
import type { SearchBudget } from './search-budget.ts';

/** What an operation may look at, and ask for. */
export interface Operator {
  readonly node: NodeView;
  readonly env: OperatorEnvironment;
  readonly clients: ReadonlySet<ClientPort>;
  /** When the daemon started, by its clock. */
  readonly startedAt: Micros;
  readonly searches: SearchBudget;
  readonly watch: Watching;
  readonly captures: Capturing;
}

/** Keeps datagrams of links for programs that look into them (capture.ts). */
export interface Capturing {
  /** Programs that do. */
  readonly size: number;
  /** Throws SpinesError EINVAL, ENOENT, EUSERS. */
  begin(
    operator: Operator,
    args: Arguments,
    client: ConnectedClient | null,
  ): OperationAnswer<'capture'>;
  /** Throws SpinesError EINVAL. */
  read(args: Arguments, reply: Answering<'captureRead'>, client: ConnectedClient | null): void;
}

/** Takes programs that want to be told what happens (watch.ts). */
export interface Watching {
  /** Throws SpinesError EINVAL. */
  subscribe(
    operator: Operator,
    args: Arguments,
    client: ConnectedClient | null,
  ): OperationAnswer<'watch'>;
  /**
   * For a door of the daemon itself: `tell` takes events of every kind until the function that is
   * returned is called. It must not throw.
   */
  follow(operator: Operator, tell: (seen: WatchEvent) => void): () => void;
}

/** Takes the answer to operation `Op`, or why there is none. Called once, now or later. */
export type Answering<Op extends OperationName> = (
  result: OperationAnswer<Op> | SpinesError,
) => void;

export interface Operation<Op extends OperationName> {
  /** The least that may ask for it. */
  readonly role: ClientRole;
  /** It is recorded who asked for it, and what came of it. */
  readonly changes: boolean;
  /**
   * Answers through `reply`. Arguments are whatever a client sent. `asker`: null for the daemon
   * itself. Throws SpinesError for bad arguments, and for what can't be done.
   */
  run(
    operator: Operator,
    args: Arguments,
    reply: Answering<Op>,
    asker: ConnectedClient | null,
  ): void;
  /** Whether it is only asked how things are, which is not recorded; absent: never. */
  onlyLooks?(args: Arguments): boolean;
  /** What of it is recorded; absent: its arguments. */
  recorded?(answer: OperationAnswer<Op>): Readonly<Record<string, unknown>>;
}

/**
 * An operation that the client protocol does not have: a laboratory gives it to its daemons. It is
 * for those who may do all, and recorded.
 */
export interface ExtraOperation {
  readonly name: string;
  /** As Operation.run; answers with any map. */
  run(operator: Operator, args: Arguments, reply: (result: object | SpinesError) => void): void;
}

/** An operation that changes nothing and is answered at once. */
export function look<Op extends OperationName>(
  answer: (operator: Operator, args: Arguments) => OperationAnswer<Op>,
): Operation<Op> {
  return later((operator, args, reply) => reply(answer(operator, args)));
}

/** An operation that changes nothing and is answered when its answer is known. */
export function later<Op extends OperationName>(run: Operation<Op>['run']): Operation<Op> {
  return { role: 'read-only', changes: false, run };
}

/** An operation that changes the daemon, for those who may do all. */
export function change<Op extends OperationName>(run: Operation<Op>['run']): Operation<Op> {
  return { role: 'full', changes: true, run };
}

/** The Byzantine-resilient router. Throws SpinesError EOPNOTSUPP without identities. */
export function byzantineOf({ byzantine }: Pick<NodeView, 'byzantine'>): ByzantineRouter {
  if (byzantine === null)
    throw new SpinesError(
      'EOPNOTSUPP',
      'byzantine routing needs identities and this daemon has security: none; start it with an ' +
        'identity',
    );
  return byzantine;
}

/** Milliseconds with at most three decimals. */
export function ms(us: Micros): number {
  return Math.round(us) / 1_000;
}

/** 0..1 as percent with two decimals. */
export function percent(rate: number): number {
  return Math.round(rate * 10_000) / 100;
}

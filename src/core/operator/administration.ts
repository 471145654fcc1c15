/**
 * Where requests of operators come in: finds the operation, has it answered, and has recorded who
 * changed something.
 *
 * Answers are plain objects in the shapes of the client protocol (schema 1). Operations themselves
 * are in operations.ts; `reload` and `shutdown` are the host's work.
 */

import { SpinesError } from '../base/errors.ts';
import type { Arguments } from '../ipc/arguments.ts';
import type { ConnectedClient, Reply } from '../ipc/client.ts';
import type { ClientPort } from '../ipc/client-port.ts';
import type { OperationName } from 'spines-client/protocol';
import { ClientAudit } from './audit.ts';
import { Captures } from './capture.ts';
import type { NodeView, OperatorEnvironment } from './node-view.ts';
import { change, type ExtraOperation, type Operation, type Operator } from './operation.ts';
import { operationOf } from './operations.ts';
import { SearchBudget } from './search-budget.ts';
import { Watch } from './watch.ts';

export class Administration {
  /** What the daemon's own pages look at. */
  readonly operator: Operator;
  readonly #audit: ClientAudit;
  readonly #extras: ReadonlyMap<string, Operation<OperationName>>;

  /** `extras`: what this daemon can do beyond the client protocol. */
  constructor(
    node: NodeView,
    env: OperatorEnvironment,
    clients: ReadonlySet<ClientPort>,
    extras: readonly ExtraOperation[] = [],
  ) {
    this.#extras = new Map(extras.map((extra) => [extra.name, operationOfExtra(extra)]));
    this.operator = {
      node,
      env,
      clients,
      startedAt: env.clock.now(),
      searches: new SearchBudget(),
      watch: new Watch(),
      captures: new Captures(),
    };
    this.#audit = new ClientAudit(env.audit ?? (() => {}), env.clock);
  }

  /** A client was refused `op` before it came here. */
  refused(op: string, asker: ConnectedClient, code: string): void {
    if (this.#operationOf(op)?.changes === true) this.#audit.record(op, asker.asker, code, {});
  }

  /**
   * Answers `op` through `reply`; false when it is not known. `asker`: null for the daemon itself.
   * Throws SpinesError for bad arguments.
   */
  request(
    op: string,
    args: Arguments,
    reply: Reply,
    asker: ConnectedClient | null = null,
  ): boolean {
    const operation = this.#operationOf(op);
    if (operation === undefined) return false;
    if (asker === null || !operation.changes || operation.onlyLooks?.(args) === true)
      operation.run(this.operator, args, replyOf(reply), asker);
    else this.#change(op, operation, args, replyOf(reply), asker);
    return true;
  }

  #operationOf(op: string): Operation<OperationName> | undefined {
    return operationOf(op) ?? this.#extras.get(op);
  }

  /** Does and records it. */
  #change(
    op: string,
    operation: Operation<OperationName>,
    args: Arguments,
    reply: Parameters<typeof operation.run>[2],
    asker: ConnectedClient,
  ): void {
    const { id: _id, op: _op, ...asked } = args;
    const told: typeof reply = (result) => {
      if (result instanceof SpinesError) this.#audit.record(op, asker.asker, result.code, asked);
      else this.#audit.record(op, asker.asker, 'ok', operation.recorded?.(result) ?? asked);
      reply(result);
    };
    try {
      operation.run(this.operator, args, told, asker);
    } catch (error) {
      if (!(error instanceof SpinesError)) throw error;
      told(error);
    }
  }
}

/** A client is answered with a map of anything: replies have no index of their own. */
function replyOf(reply: Reply): (result: object) => void {
  return (result) => reply(result instanceof SpinesError ? result : { ...result });
}

/** Replies of a client take any map, whatever operation they answer. */
function operationOfExtra({ run }: ExtraOperation): Operation<OperationName> {
  return change((operator, args, reply) =>
    run(operator, args, reply as (result: object | SpinesError) => void),
  );
}

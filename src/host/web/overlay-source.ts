/**
 * Where a dashboard's facts come from: the daemon that serves it, or one that a program is
 * connected to. Both answer the same questions and tell the same events.
 */

import type { DaemonEvent } from 'spines-client';
import type { LinksReply, NodesReply, SessionsReply, StatusReply } from 'spines-client/protocol';
import type { ByzantineRoutesReply } from 'spines-client/protocol';

import { SpinesError } from '../../core/base/errors.ts';
import type { Operator } from '../../core/operator/operation.ts';
import { operationOf } from '../../core/operator/operations.ts';

/** What a dashboard asks: nothing that changes anything. */
export interface Asked {
  status: StatusReply;
  links: LinksReply;
  nodes: NodesReply;
  sessions: SessionsReply;
  byzantineRoutes: ByzantineRoutesReply;
}

export interface OverlaySource {
  /** Rejects, as with SpinesError, while the daemon does not answer. */
  ask<Op extends keyof Asked>(op: Op): Promise<Asked[Op]>;
  /** Tells what happens until the function that is returned is called. */
  watch(tell: (event: DaemonEvent) => void): () => void;
}

/**
 * The daemon of this process. `operator`: null while it starts or stops, and time within is that of
 * the call; `onTurnEnd`: something was asked of it, and its timers may have changed.
 */
export class OwnDaemon implements OverlaySource {
  readonly #operator: () => Operator | null;
  readonly #onTurnEnd: () => void;

  constructor(operator: () => Operator | null, onTurnEnd: () => void) {
    this.#operator = operator;
    this.#onTurnEnd = onTurnEnd;
  }

  ask<Op extends keyof Asked>(op: Op): Promise<Asked[Op]> {
    return new Promise((resolve, reject) => {
      const operator = this.#operator();
      if (operator === null) {
        reject(new SpinesError('EDAEMON', 'the daemon is starting or stopping'));
        return;
      }
      const reply = (result: object): void => {
        if (result instanceof SpinesError) reject(result);
        else resolve(result as Asked[Op]);
      };
      operationOf(op)!.run(operator, {}, reply, null);
      this.#onTurnEnd();
    });
  }

  watch(tell: (event: DaemonEvent) => void): () => void {
    const operator = this.#operator();
    if (operator === null) return () => {};
    const end = operator.watch.follow(operator, tell);
    this.#onTurnEnd();
    return end;
  }
}

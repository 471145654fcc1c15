/** A dashboard's facts from a daemon that this program is a client of. */

import type { DaemonEvent, SpinesClient } from 'spines-client';

import type { Asked, OverlaySource } from '../../host/web/overlay-source.ts';
import { ask } from '../client.ts';
import { plainAnswer } from '../terminal/plain-text.ts';

export class ClientSource implements OverlaySource {
  readonly #client: SpinesClient;

  /** `client` reconnects by itself. */
  constructor(client: SpinesClient) {
    this.#client = client;
  }

  async ask<Op extends keyof Asked>(op: Op): Promise<Asked[Op]> {
    const asked: keyof Asked = op;
    const answer: unknown = await ask(this.#client, asked);
    return plainAnswer(answer as Asked[Op]);
  }

  watch(tell: (event: DaemonEvent) => void): () => void {
    const events = this.#client.watch();
    const follow = async (): Promise<void> => {
      for await (const event of events) tell(event);
    };
    // A daemon that is gone for good says so by the next question.
    follow().catch(() => {});
    return () => void events.return?.();
  }
}

/**
 * What the rules of the daemon let one client do: send, and listen.
 *
 * Only remote clients have rules; a program of this machine may do all. Owns the errors that say
 * so, and counts what is refused.
 */

import { SpinesError } from '../base/errors.ts';
import { formatNodeId, type NodeId, type Port } from '../base/ids.ts';
import { ClientScope, type Firewall } from '../session/firewall.ts';
import type { RuleKind, RuleUse } from '../session/rules.ts';
import { DropReason, type DropCounters } from '../wire/drop.ts';
import type { ClientAccess } from './client.ts';

export class ClientRules {
  readonly #firewall: Firewall;
  readonly #drops: DropCounters;
  readonly #certificate: string | null;
  /** Whom the rules are asked about; null: a program of this machine. */
  readonly #scope: ClientScope | null;

  constructor(
    { firewall, drops }: { readonly firewall: Firewall; readonly drops: DropCounters },
    { certificate, groups }: ClientAccess,
  ) {
    this.#firewall = firewall;
    this.#drops = drops;
    this.#certificate = certificate;
    this.#scope =
      certificate === null ? null : new ClientScope({ name: certificate, groups: groups ?? [] });
  }

  /** False: nothing is ever refused. */
  get any(): boolean {
    return this.#scope !== null;
  }

  may(use: RuleUse, node: NodeId, port: Port, kind: RuleKind): boolean {
    return this.#scope === null || this.#firewall.clientMay(this.#scope, use, node, port, kind);
  }

  /** Throws SpinesError EACCES. */
  demand(use: RuleUse, node: NodeId, port: Port, kind: RuleKind): void {
    if (this.may(use, node, port, kind)) return;
    this.#drops.count(DropReason.firewallClient);
    throw this.forbidden(use, port, node);
  }

  /** Why it is refused. `node`: of a use that is not listening. */
  forbidden(use: RuleUse, port: Port, node: NodeId | null = null): SpinesError {
    const what =
      use === 'listen'
        ? `listen at ${port === 0 ? 'a port' : `port ${port}`} of this node`
        : `send to port ${port} of ${formatNodeId(node!)}`;
    return new SpinesError(
      'EACCES',
      `rules of this daemon do not let ${this.#certificate ?? 'this client'} ${what}; ask ` +
        'its operator (firewall.clients in its config)',
    );
  }
}

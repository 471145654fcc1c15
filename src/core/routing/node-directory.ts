/**
 * What is known of the nodes of the network: names, certificates, facts and capabilities, as each
 * advertised them last.
 *
 * Owns the database and the questions to it; who fills it, and whom it believes, is
 * link-state-router.ts's.
 */

import { equalBytes } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import { SECOND, type Clock, type Micros } from '../base/time.ts';
import type { Certificate } from '../wire/certificate.ts';
import type { Advertisement } from '../wire/link-state.ts';
import { hasCapability, TRANSIT, type NodeFacts } from '../wire/node-facts.ts';
import { LinkStateDatabase, type LinkStateRecord } from './link-state-database.ts';

/** For this long after it said good-bye a node counts as one that may be back at once. */
export const LEAVING_KEPT: Micros = 10 * SECOND;

export class NodeDirectory {
  readonly database: LinkStateDatabase;
  readonly #self: NodeId;
  readonly #facts: NodeFacts;
  readonly #clock: Clock;

  /** `facts`: what this node says of itself. `most`: nodes that are remembered. */
  constructor(self: NodeId, facts: NodeFacts, clock: Clock, most: number) {
    this.#self = self;
    this.#facts = facts;
    this.#clock = clock;
    this.database = new LinkStateDatabase(most);
  }

  knows(destination: NodeId): boolean {
    const record = this.database.get(destination);
    return record !== undefined && !this.#departed(record);
  }

  /**
   * The certificate under which `node` advertised last, or null: not known, or a network without
   * identities.
   */
  certificateOf(node: NodeId): Certificate | null {
    return this.database.get(node)?.certificate ?? null;
  }

  /** What `node` advertised last; null when it is not known. */
  advertisementOf(node: NodeId): Advertisement | null {
    return this.database.get(node)?.advertisement ?? null;
  }

  /** What every node advertised last. */
  *advertisements(): IterableIterator<Advertisement> {
    for (const { advertisement } of this.database.records()) yield advertisement;
  }

  /**
   * True when each of `nodes` has the capability (the sum of several: all of them), so that it may
   * be used between them. A node that is not known, or says nothing of itself, has none.
   */
  usable(capability: number, nodes: Iterable<NodeId>): boolean {
    for (const node of nodes) {
      const facts = node === this.#self ? this.#facts : this.factsOf(node);
      if (facts === null || !hasCapability(facts.capabilities, capability)) return false;
    }
    return true;
  }

  /** Somebody would route through a node that carries nothing for others. */
  get transitUnknown(): boolean {
    for (const { advertisement } of this.database.records())
      if (
        !advertisement.leaving &&
        !hasCapability(advertisement.facts?.capabilities ?? 0, TRANSIT) &&
        advertisement.origin !== this.#self
      )
        return true;
    return false;
  }

  /** What this node says of itself. */
  get ownFacts(): NodeFacts {
    return this.#facts;
  }

  /** What `node` says of itself; null when it says nothing. */
  factsOf(node: NodeId): NodeFacts | null {
    return this.database.get(node)?.advertisement.facts ?? null;
  }

  /** Of the run of `node` that advertised last; null: not known. */
  instanceOf(node: NodeId): number | null {
    return this.factsOf(node)?.instance ?? null;
  }

  /** The node called `name`, or null. Two nodes with one name: the lower id answers. */
  resolve(name: string): NodeId | null {
    let found: NodeId | null = null;
    for (const { advertisement } of this.database.records()) {
      if (
        advertisement.name === name &&
        !advertisement.leaving &&
        (found === null || advertisement.origin < found)
      )
        found = advertisement.origin;
    }
    return found;
  }

  nameOf(node: NodeId): string | null {
    const name = this.database.get(node)?.advertisement.name;
    return name === undefined || name === '' ? null : name;
  }

  /** The node whose certificate, as it advertised it last, has this exchange key. */
  ownerOf(key: Uint8Array): NodeId | null {
    for (const { advertisement, certificate } of this.database.records())
      if (certificate !== null && equalBytes(certificate.exchangeKey, key))
        return advertisement.origin;
    return null;
  }

  /** For status: the database, sorted by node id, without those that left long ago. */
  sortedRecords(): LinkStateRecord[] {
    return [...this.database.records()]
      .filter((record) => !this.#departed(record))
      .sort((a, b) => a.advertisement.origin - b.advertisement.origin);
  }

  /**
   * It said good-bye a while ago, and is remembered only so that nobody can bring it back with what
   * it said before.
   */
  #departed({ advertisement, certificate, receivedAt }: LinkStateRecord): boolean {
    return (
      certificate !== null &&
      advertisement.leaving &&
      this.#clock.now() - receivedAt >= LEAVING_KEPT
    );
  }
}

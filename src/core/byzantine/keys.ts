/**
 * The keys of one flow between its source and one node of its path, made of the epoch keys of the
 * two.
 *
 * HKDF-SHA-256 (RFC 5869) over X25519(own epoch secret, peer's epoch key), salted with who, to
 * whom, which epoch and which path: two flows through one node share no key, so counters may begin
 * at 0 in each. Both ends get the same keys. An epoch secret must not outlive the process: after a
 * restart a counter would seal something else under the same key.
 *
 * Called by the source, probes and destination of onion.ts. Everything here can be made again: what
 * a full cache forgets costs time, nothing else. The peer's key must come from a signed statement
 * of the peer.
 */

import { equalBytes, hex, putU32, putU48, utf8Encode } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import type { Secret } from '../crypto/keys.ts';
import type { Primitives, Sealer } from '../crypto/primitives.ts';
import type { ProbedFlow } from '../wire/probed.ts';

export interface HopKeys {
  /** Seals the hop's layer of a tail, 32 bytes. */
  readonly forward: Uint8Array;
  /** Seals the hop's layer of an acknowledgement, 32 bytes. */
  readonly ack: Uint8Array;
  /** Seals the data; null unless the hop is the destination. */
  readonly data: Sealer | null;
}

/** Flows and peers whose keys are kept. */
export const FLOW_KEYS_MAX = 1024;
/** A power of two. */
const LATEST_PLACES = 64;

const LABEL = utf8Encode('spines flow 1');
// RFC 5869, 2.3: each key is the first block of an expansion of its own: info and the block's
// number, 1.
const FORWARD = utf8Encode('forward\u0001'),
  ACK = utf8Encode('ack\u0001'),
  DATA = utf8Encode('data\u0001');

interface Shared {
  readonly own: Secret;
  readonly secret: Uint8Array | null;
}
interface Derived {
  readonly own: Secret;
  readonly peer: Uint8Array;
  readonly keys: HopKeys;
}

interface Latest {
  readonly flow: ProbedFlow;
  readonly hop: NodeId;
  readonly derived: Derived;
}

export class FlowKeys {
  readonly #primitives: Pick<Primitives, 'sha256' | 'hmacSha256' | 'x25519' | 'sealer'>;
  readonly #shared: Recent<Shared>;
  readonly #derived: Recent<Derived>;
  /**
   * Those used last, each in the place that its path has: packets of flows that take turns are
   * looked up without a name made of each. Two flows of one place cost what a name costs.
   */
  readonly #latest: (Latest | null)[] = new Array<Latest | null>(LATEST_PLACES).fill(null);

  /** `max`: flows kept, and peers kept. */
  constructor(
    primitives: Pick<Primitives, 'sha256' | 'hmacSha256' | 'x25519' | 'sealer'>,
    max = FLOW_KEYS_MAX,
  ) {
    this.#primitives = primitives;
    this.#shared = new Recent(max);
    this.#derived = new Recent(max);
  }

  /** Flows whose keys are kept now. */
  get size(): number {
    return this.#derived.size;
  }

  /**
   * The keys between the source of `flow` and `hop`, one of which we are. `own`: our epoch secret,
   * `peer`: the other's epoch key. Null when that key is of low order or no key: everybody would
   * know the secret.
   */
  of(flow: ProbedFlow, hop: NodeId, own: Secret, peer: Uint8Array): HopKeys | null {
    const place = (flow.pathLow ^ hop) & (LATEST_PLACES - 1);
    const latest = this.#latest[place]!;
    if (latest !== null && isFor(latest, flow, hop) && isWith(latest.derived, own, peer))
      return latest.derived.keys;
    const name = nameOf(flow, hop);
    let derived = this.#derived.get(name);
    if (derived === undefined || !isWith(derived, own, peer)) {
      const secret = this.#sharedWith(own, peer);
      if (secret === null) return null;
      derived = { own, peer: Uint8Array.from(peer), keys: this.#derive(flow, hop, secret) };
      this.#derived.set(name, derived);
    }
    this.#latest[place] = { flow: { ...flow }, hop, derived };
    return derived.keys;
  }

  /** Forgets everything, as when our epoch ends. */
  clear(): void {
    this.#shared.clear();
    this.#derived.clear();
    this.#latest.fill(null);
  }

  /**
   * An exchange costs more than all the rest, and whoever makes up path ids would have us do one
   * for each.
   */
  #sharedWith(own: Secret, peer: Uint8Array): Uint8Array | null {
    const name = hex(peer);
    const known = this.#shared.get(name);
    if (known !== undefined && known.own === own) return known.secret;
    const secret = this.#primitives.x25519(own.reveal(), peer);
    this.#shared.set(name, { own, secret });
    return secret;
  }

  #derive(flow: ProbedFlow, hop: NodeId, secret: Uint8Array): HopKeys {
    const p = this.#primitives;
    const names = new Uint8Array(26);
    putU32(names, 0, flow.source);
    putU32(names, 4, hop);
    putU32(names, 8, flow.destination);
    putU48(names, 12, flow.epoch);
    putU32(names, 18, flow.pathHigh);
    putU32(names, 22, flow.pathLow);
    const extracted = p.hmacSha256(p.sha256(LABEL, names), secret);
    return {
      forward: p.hmacSha256(extracted, FORWARD),
      ack: p.hmacSha256(extracted, ACK),
      data: hop === flow.destination ? p.sealer(p.hmacSha256(extracted, DATA)) : null,
    };
  }
}

/** The `max` entries used last. */
function isFor({ flow, hop }: Latest, other: ProbedFlow, otherHop: NodeId): boolean {
  return (
    flow.pathLow === other.pathLow &&
    flow.pathHigh === other.pathHigh &&
    flow.source === other.source &&
    flow.destination === other.destination &&
    flow.epoch === other.epoch &&
    hop === otherHop
  );
}

/** Whether they are of these secrets, and no earlier ones. */
function isWith(derived: Derived, own: Secret, peer: Uint8Array): boolean {
  return derived.own === own && equalBytes(derived.peer, peer);
}

function nameOf(flow: ProbedFlow, hop: NodeId): string {
  const { source, destination, epoch, pathHigh, pathLow } = flow;
  return `${source} ${hop} ${destination} ${epoch} ${pathHigh} ${pathLow}`;
}

class Recent<T> {
  readonly #max: number;
  readonly #entries = new Map<string, T>();

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(name: string): T | undefined {
    const entry = this.#entries.get(name);
    if (entry === undefined) return undefined;
    // A Map gives its entries in the order in which they were set.
    this.#entries.delete(name);
    this.#entries.set(name, entry);
    return entry;
  }

  set(name: string, entry: T): void {
    this.#entries.delete(name);
    if (this.#entries.size >= this.#max) this.#entries.delete(this.#entries.keys().next().value!);
    this.#entries.set(name, entry);
  }

  clear(): void {
    this.#entries.clear();
  }
}

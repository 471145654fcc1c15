/**
 * The addresses that datagrams came from, of one socket: one Endpoint object for each, so that
 * links recognise a peer by identity.
 *
 * Anybody can make addresses up, so every look-up takes about as long as any other: by a map whose
 * hash of a text nobody outside can guess, in front of it a few slots for those that talk most.
 * What has not been heard for at least GENERATION new addresses is forgotten; whoever is forgotten
 * while he talks gets another object, which costs a link one comparison of keys. `@hot`
 */

import { makeEndpoint, type Endpoint } from '../../core/base/datagram.ts';

/** Addresses of a generation; two are kept. */
export const GENERATION = 1_024;
const SLOTS = 64;

/** An address that something came from. Most that are made up are never asked for their key. */
export class HeardEndpoint implements Endpoint {
  readonly address: string;
  readonly port: number;
  readonly local: string | null;
  /** The generation in which it was heard last; the table's. */
  generation = -1;
  /** The size of what came from there glued last, bytes; 0 = nothing has. */
  segment = 0;
  #key: string | null = null;

  constructor(address: string, port: number, local: string | null) {
    this.address = address;
    this.port = port;
    this.local = local;
  }

  get key(): string {
    this.#key ??= makeEndpoint(this.address, this.port).key;
    return this.#key;
  }
}

/** By address; one that is heard with several ports has a map of them. */
type Generation = Map<string, HeardEndpoint | Map<number, HeardEndpoint>>;

export class EndpointTable {
  readonly #local: string | null;
  /** Heard since `#old` was the newest. */
  #young: Generation = new Map();
  #youngCount = 0;
  #old: Generation = new Map();
  #oldCount = 0;
  #generation = 0;
  readonly #slots: (HeardEndpoint | undefined)[] = new Array<HeardEndpoint | undefined>(SLOTS).fill(
    undefined,
  );

  /** `local`: what they are heard at, null for a wildcard. */
  constructor(local: string | null = null) {
    this.#local = local;
  }

  /** The one object for this address, made when it is not known. */
  of(address: string, port: number): HeardEndpoint {
    const last = address.length - 1;
    const slot =
      (port ^ address.charCodeAt(last) ^ (address.charCodeAt(last - 1) << 3)) & (SLOTS - 1);
    let endpoint = this.#slots[slot];
    if (endpoint === undefined || endpoint.port !== port || endpoint.address !== address) {
      endpoint =
        find(this.#young, address, port) ??
        find(this.#old, address, port) ??
        new HeardEndpoint(address, port, this.#local);
      this.#slots[slot] = endpoint;
    }
    if (endpoint.generation !== this.#generation) this.#keep(endpoint);
    return endpoint;
  }

  /** Objects kept, at most twice GENERATION and SLOTS. */
  get size(): number {
    return this.#youngCount + this.#oldCount;
  }

  #keep(endpoint: HeardEndpoint): void {
    if (this.#youngCount >= GENERATION) {
      this.#old = this.#young;
      this.#oldCount = this.#youngCount;
      this.#young = new Map();
      this.#youngCount = 0;
      this.#generation += 1;
    }
    endpoint.generation = this.#generation;
    this.#youngCount += 1;
    const { address, port } = endpoint;
    const known = this.#young.get(address);
    if (known === undefined) this.#young.set(address, endpoint);
    else if (known instanceof Map) known.set(port, endpoint);
    else
      this.#young.set(
        address,
        new Map([
          [known.port, known],
          [port, endpoint],
        ]),
      );
  }
}

function find(among: Generation, address: string, port: number): HeardEndpoint | undefined {
  const known = among.get(address);
  if (known instanceof Map) return known.get(port);
  return known !== undefined && known.port === port ? known : undefined;
}

/**
 * The addresses that datagrams came from: one Endpoint object for each, so that links recognise a peer by identity. Bounded. `@hot`
 */

import { makeEndpoint, type Endpoint } from '../base/datagram.ts';

export const ENDPOINTS_MAX = 4_096;

export class EndpointTable {
  readonly #byPort = new Map<number, Endpoint[]>();
  #count = 0;

  /** The one object for this address, made when it is not known. */
  of(address: string, port: number): Endpoint {
    const known = this.#byPort.get(port);
    if (known !== undefined) {
      for (let i = 0; i < known.length; i += 1) if (known[i]!.address === address) return known[i]!;
    }
    const endpoint = makeEndpoint(address, port);
    if (this.#count >= ENDPOINTS_MAX) {
      this.#byPort.clear();
      this.#count = 0;
    }
    this.#count += 1;
    const list = this.#byPort.get(port);
    if (list === undefined) this.#byPort.set(port, [endpoint]);
    else list.push(endpoint);
    return endpoint;
  }
}

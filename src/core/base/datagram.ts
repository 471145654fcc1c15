/**
 * Where datagrams go: the one door between the core and any network, real or simulated.
 *
 * A sink never calls back into the core, never throws and may drop. It copies what it keeps: the
 * bytes belong to the caller and are overwritten after the call.
 */

/**
 * A UDP address. One object per peer address, and address of this machine that it talks to; sinks
 * may hang their own look-ups on its identity.
 */
export interface Endpoint {
  /** Numeric IPv4 or IPv6 address, canonical. */
  readonly address: string;
  /** 1..65535. */
  readonly port: number;
  /** "address:port" or "[address]:port": equal keys mean the same peer address. */
  readonly key: string;
  /**
   * What it was heard at on this machine, as a key; what leaves for it leaves from there. Null: the
   * system chooses, by the route.
   */
  readonly local: string | null;
}

export interface DatagramSink {
  /** Sends `bytes[0..length)` as one datagram. */
  send(to: Endpoint, bytes: Uint8Array, length: number): void;
  /**
   * True while what is sent would wait or be dropped on this machine. The owner tells the core when
   * that ends.
   */
  readonly congested: boolean;
  /**
   * Nothing is heard of a peer: whether this machine still has the address that it leaves from may
   * be worth a look. Whoever sends elsewhere then says so to nobody.
   */
  suspect?(): void;
}

export function makeEndpoint(address: string, port: number): Endpoint {
  return {
    address,
    port,
    local: null,
    key: address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`,
  };
}

/** Whether both ends are the same. */
export function samePath(a: Endpoint, b: Endpoint): boolean {
  return a.key === b.key && a.local === b.local;
}

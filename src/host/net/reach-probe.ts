/**
 * Asks the system about a UDP address that does not answer: what comes back of one empty datagram
 * from a connected socket.
 *
 * Linux and others tell only a connected socket that its datagram was refused (ICMP), and Node
 * cannot read the queue of errors of the daemon's own sockets, which are connected to nobody. Owns
 * those sockets, at most PROBES_MAX, each for PATIENCE_MS. An ICMP that an outsider forges changes
 * what is said, never what is done.
 */

import { createSocket, type Socket } from 'node:dgram';
import type { AddressProbe, ProbeResult } from '../../core/base/address-probe.ts';

/** Longer than a machine that is asked for by ARP or neighbour discovery is waited for. */
const PATIENCE_MS = 3_500;
const PROBES_MAX = 16;

const RESULTS: Readonly<Record<string, ProbeResult>> = {
  ECONNREFUSED: 'portClosed',
  ENETUNREACH: 'unreachable',
  EHOSTUNREACH: 'unreachable',
  ENETDOWN: 'unreachable',
  EHOSTDOWN: 'unreachable',
  EADDRNOTAVAIL: 'unreachable',
  EPERM: 'forbidden',
  EACCES: 'forbidden',
};

export class ReachProbe {
  readonly #hasFamily: (v6: boolean) => boolean;
  readonly #onTurn: () => void;
  /** What ends each probe at once. */
  readonly #open = new Set<() => void>();

  /**
   * `hasFamily`: whether the daemon has a socket for addresses of that kind. `onTurn`: before a
   * result is told.
   */
  constructor(hasFamily: (v6: boolean) => boolean, onTurn: () => void) {
    this.#hasFamily = hasFamily;
    this.#onTurn = onTurn;
  }

  readonly probe: AddressProbe = ({ address, port }, done) => {
    const v6 = address.includes(':');
    let socket: Socket | null = null;
    let timer: NodeJS.Timeout | undefined;
    const close = (): void => {
      clearTimeout(timer);
      this.#open.delete(close);
      try {
        socket?.close();
      } catch {
        // It was never opened.
      }
      socket = null;
    };
    const end = (result: ProbeResult): void => {
      if (!this.#open.has(close)) return;
      close();
      this.#onTurn();
      done(result);
    };
    const fail = (error: Error | null | undefined): void => {
      if (error) end(RESULTS[(error as NodeJS.ErrnoException).code ?? ''] ?? 'nothing');
    };
    this.#open.add(close);
    if (!this.#hasFamily(v6) || this.#open.size > PROBES_MAX) {
      const result = this.#hasFamily(v6) ? 'nothing' : 'noSocket';
      setImmediate(() => end(result));
      return;
    }
    timer = setTimeout(() => end('nothing'), PATIENCE_MS);
    const lookup = (
      host: string,
      _options: unknown,
      found: (error: Error | null, address: string, family: number) => void,
    ): void => found(null, host, v6 ? 6 : 4);
    socket = createSocket({ type: v6 ? 'udp6' : 'udp4', lookup: lookup as never });
    socket.on('error', fail);
    // Types leave out that the callback gets the error of a connect that failed.
    const connected = (error?: Error): void => {
      if (error) fail(error);
      else socket?.send(Buffer.alloc(0), fail);
    };
    socket.connect(port, address, connected as () => void);
  };

  /** Nothing is told after this. */
  close(): void {
    for (const close of [...this.#open]) close();
  }
}

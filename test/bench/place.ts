/**
 * Where the bench's daemons live: hosts in a row, each a network namespace of its own, joined by
 * veth pairs of MTU 1500; loopback where namespaces are not to be had, and `sentence` says so.
 *
 * Datagrams are never above 1472 bytes of UDP payload in either place, since that is the daemon's
 * own bound (DATAGRAM_BYTES_MAX); loopback would let more pass, so the bound is checked here and
 * fragments are counted on the hosts.
 */

import { readFileSync } from 'node:fs';
import { DATAGRAM_BYTES_MAX } from '#src/core/wire/sizes.js';
import { Namespaces, whyNoNamespaces } from '../support/namespaces.js';
import { freePort } from './processes.js';

/** An Ethernet frame's 1500 bytes less the headers of IPv4 and UDP. */
const UDP_PAYLOAD_MAX = 1_472;
const FIRST_PORT = 21_000;

export interface Host {
  readonly address: string;
  /** In front of a command that shall run there; empty on loopback. */
  readonly prefix: readonly string[];
}

export class Place {
  readonly hosts: readonly Host[];
  /** What a reader must know of it. */
  readonly sentence: string;
  /** Null: loopback. */
  readonly #net: Namespaces | null;
  readonly #given = new Set<number>();
  #port = FIRST_PORT;

  constructor(count: number) {
    if (DATAGRAM_BYTES_MAX > UDP_PAYLOAD_MAX)
      throw new Error(
        `the daemon's datagrams of ${DATAGRAM_BYTES_MAX} bytes do not fit an MTU of 1500: the ` +
          'bench does not measure that',
      );
    const why = whyNoNamespaces();
    if (why !== null) {
      this.#net = null;
      this.hosts = Array.from({ length: count }, () => ({ address: '127.0.0.1', prefix: [] }));
      this.sentence =
        `over LOOPBACK, since network namespaces are not to be had here (${why}); ` +
        `datagrams of at most ${DATAGRAM_BYTES_MAX} bytes all the same`;
      return;
    }
    const net = new Namespaces();
    this.#net = net;
    const hosts = Array.from({ length: count }, (_, i) => net.add(`10.77.0.${i + 1}`));
    for (let i = 1; i < count; i += 1) net.join(hosts[i - 1]!, hosts[i]!);
    this.hosts = hosts;
    this.sentence =
      'over veth pairs of MTU 1500 between network namespaces, one for each daemon ' +
      `of a row; datagrams of at most ${DATAGRAM_BYTES_MAX} bytes`;
  }

  /** False: loopback. */
  get separate(): boolean {
    return this.#net !== null;
  }

  async port(): Promise<number> {
    if (this.#net !== null) {
      this.#port += 1;
      return this.#port;
    }
    for (;;) {
      const port = await freePort();
      if (this.#given.has(port)) continue;
      this.#given.add(port);
      return port;
    }
  }

  async close(): Promise<void> {
    await this.#net?.close();
  }
}

/** IP packets that had to be cut in the network of process `pid`; 0 where it can't be seen. */
export function fragmentsCreated(pid: number): number {
  try {
    const [names, values] = readFileSync(`/proc/${pid}/net/snmp`, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('Ip:'))
      .map((line) => line.split(' '));
    return Number(values![names!.indexOf('FragCreates')]);
  } catch {
    return 0;
  }
}

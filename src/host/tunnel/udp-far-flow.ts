/**
 * A flow at the far end of a UDP tunnel: who it is for, its targets, and its sockets.
 *
 * Owns its state; udp-far.ts decides. Invariant: after `end` all its sockets are closed.
 */

import type { Micros } from '../../core/base/time.ts';
import type { Target } from '../tunnel-target.ts';
import { TableFlow } from './flow-table.ts';
import type { HostSocket, OverlaySocket } from './udp-overlay.ts';

/** One target of a flow, and what waits until it is found. */
export class FarTarget {
  readonly target: Target;
  /** As `encodeTarget` writes it. */
  readonly encoded: Buffer;
  /** Numeric; null until it is found. */
  address: string | null = null;
  /** Somebody is asked about it. */
  checking = false;
  checkedAt: Micros = 0;
  /** Null: it was not. */
  refusedAt: Micros | null = null;
  usedAt: Micros = 0;
  /** Its flow has it no more. */
  gone = false;
  waiting: Buffer[] = [];

  constructor(target: Target, encoded: Buffer) {
    this.target = target;
    this.encoded = encoded;
  }
}

/** Datagrams of a flow that wait for targets to be found, and their bytes. */
export const WAITING_MAX = 16;
const WAITING_BYTES_MAX = 70_000;

export class FarFlow extends TableFlow {
  readonly node: string;
  readonly port: number;
  readonly token: number;
  /** It may have more than one target. */
  readonly several: boolean;
  readonly socket: OverlaySocket;
  /** By the bytes that name them. */
  readonly targets = new Map<string, FarTarget>();
  /** Targets that may answer, by "address port": two names may mean one. */
  readonly #asked = new Map<string, number>();
  readonly hosts = new Map<4 | 6, HostSocket>();
  /** Where the last datagram went. */
  latest: FarTarget | null = null;
  answered = false;
  signedAt: Micros | null = null;
  ended = false;
  out = 0;
  in = 0;

  constructor(
    key: string,
    node: string,
    port: number,
    token: number,
    several: boolean,
    socket: OverlaySocket,
  ) {
    super(key, node);
    this.node = node;
    this.port = port;
    this.token = token;
    this.several = several;
    this.socket = socket;
  }

  #waiting = 0;
  #waitingBytes = 0;

  /** For people. */
  get name(): string {
    return `${this.node}:${this.port}`;
  }

  /** Where `target` is, null: it is not to be had; what comes from there is its answer. */
  place(target: FarTarget, address: string | null): void {
    if (target.address !== null) this.#count(target.address, target.target.port, -1);
    if (address !== null) this.#count(address, target.target.port, 1);
    target.address = address;
  }

  hasAsked(address: string, port: number): boolean {
    return this.#asked.has(`${address} ${port}`);
  }

  /** False where as much waits as may. */
  hold(target: FarTarget, payload: Buffer): boolean {
    if (this.#waiting >= WAITING_MAX || this.#waitingBytes + payload.length > WAITING_BYTES_MAX)
      return false;
    target.waiting.push(payload);
    this.#waiting += 1;
    this.#waitingBytes += payload.length;
    return true;
  }

  takeWaiting(target: FarTarget): Buffer[] {
    const { waiting } = target;
    target.waiting = [];
    this.#waiting -= waiting.length;
    for (const { length } of waiting) this.#waitingBytes -= length;
    return waiting;
  }

  removeTarget(name: string): void {
    const target = this.targets.get(name)!;
    this.targets.delete(name);
    this.takeWaiting(target);
    this.place(target, null);
    target.gone = true;
    if (this.latest === target) this.latest = null;
  }

  end(): void {
    this.ended = true;
    for (const host of this.hosts.values()) host.close();
    this.hosts.clear();
    this.socket.close();
  }

  #count(address: string, port: number, by: number): void {
    const endpoint = `${address} ${port}`;
    const count = (this.#asked.get(endpoint) ?? 0) + by;
    if (count > 0) this.#asked.set(endpoint, count);
    else this.#asked.delete(endpoint);
  }
}

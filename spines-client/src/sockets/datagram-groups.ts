/**
 * Groups of a datagram socket, by the names of dgram.Socket: what it has joined, told to the daemon
 * once it has a port, and again after a reconnect.
 *
 * Owns the list of memberships and the options of what is sent to groups. What the daemon refuses
 * is an 'error' event; what can be seen here is thrown, as dgram does.
 */

import { EventEmitter } from 'node:events';

import { parseQuad } from '../address.ts';
import type { ClientCore } from '../core/core.ts';
import { SpinesClientError, typeError } from '../errors.ts';
import { checkOption, type DatagramEvents } from './datagram-options.ts';

/** First multicast group, and one behind the last anycast group. */
const GROUP_FIRST = 0xe000_0000,
  GROUP_END = 0xffff_ffff;

/** A socket as its groups see it. */
export interface GroupSocket {
  readonly core: ClientCore;
  /** Its number at the daemon. */
  readonly id: number;
  isBound(): boolean;
  /** Throws where it is closed. */
  assertOpen(): void;
  /** Binds it to any port where it is not bound. */
  bind(): void;
  onError(error: SpinesClientError): void;
}

interface Joined {
  readonly group: string;
  /** Null: everybody. */
  readonly source: string | null;
}

export class DatagramGroups {
  readonly #socket: GroupSocket;
  readonly #joined = new Map<string, Joined>();
  readonly #options = new Map<string, number | boolean>();

  constructor(socket: GroupSocket) {
    this.#socket = socket;
  }

  assertOpen(): void {
    this.#socket.assertOpen();
  }

  add(group: string, source: string | null): void {
    const joined = this.#check('addMembership', group, source);
    const key = keyOf(joined);
    if (this.#joined.has(key)) throw systemError('addMembership', 'EADDRINUSE');
    this.#joined.set(key, joined);
    this.#socket.bind();
    if (this.#socket.isBound()) this.#ask('join', joined);
  }

  drop(group: string, source: string | null): void {
    const joined = this.#check('dropMembership', group, source);
    if (!this.#joined.delete(keyOf(joined))) throw systemError('dropMembership', 'EADDRNOTAVAIL');
    if (this.#socket.isBound()) this.#ask('leave', joined);
  }

  /** Of what is sent to groups from now on. */
  set(option: 'multicastTtl' | 'multicastLoopback', value: number | boolean): void {
    this.#socket.assertOpen();
    this.#options.set(option, value);
    if (this.#socket.isBound()) this.#tell(option, value);
  }

  /** The socket has a port at the daemon. */
  joinAll(): void {
    for (const [option, value] of this.#options) this.#tell(option, value);
    for (const joined of this.#joined.values()) this.#ask('join', joined);
  }

  #check(syscall: string, group: unknown, source: unknown): Joined {
    this.#socket.assertOpen();
    if (typeof group !== 'string') throw typeError('multicastAddress', 'of type string', group);
    if (source !== null && typeof source !== 'string')
      throw typeError('sourceAddress', 'of type string', source);
    const id = parseQuad(group);
    if (id === null || id < GROUP_FIRST || id >= GROUP_END) throw systemError(syscall, 'EINVAL');
    return { group, source };
  }

  #tell(option: string, value: number | boolean): void {
    const { core, id } = this.#socket;
    core.request('setOption', { socket: id, option, value }, (error) => this.#failed(error));
  }

  #ask(op: 'join' | 'leave', joined: Joined): void {
    const { core, id } = this.#socket;
    const { group, source } = joined;
    core.request(op, { socket: id, group, ...(source === null ? {} : { source }) }, (error) => {
      if (error !== null && op === 'join' && !isLost(error)) this.#joined.delete(keyOf(joined));
      this.#failed(error);
    });
  }

  #failed(error: SpinesClientError | null): void {
    if (error !== null && !isLost(error)) this.#socket.onError(error);
  }
}

/** A datagram socket with the methods of dgram that groups have. */
export abstract class GroupMember extends EventEmitter<DatagramEvents> {
  protected abstract readonly groups: DatagramGroups;

  /**
   * Hears what is sent to `multicastAddress` (class D) at its port; of an anycast group (class E):
   * is one of those that messages to it go to. Binds the socket where it is not bound. Throws
   * EINVAL, EADDRINUSE; 'error' with EACCES, EMFILE, EOPNOTSUPP (a socket that is sealed from end
   * to end).
   */
  addMembership(multicastAddress: string, multicastInterface?: string): void {
    void multicastInterface;
    this.groups.add(multicastAddress, null);
  }

  /** Throws EADDRNOTAVAIL where it is not in it. */
  dropMembership(multicastAddress: string, multicastInterface?: string): void {
    void multicastInterface;
    this.groups.drop(multicastAddress, null);
  }

  /** Hears of `groupAddress` what the node `sourceAddress`, a name or dotted quad, sends. */
  addSourceSpecificMembership(
    sourceAddress: string,
    groupAddress: string,
    multicastInterface?: string,
  ): void {
    void multicastInterface;
    this.groups.add(groupAddress, sourceAddress);
  }

  dropSourceSpecificMembership(
    sourceAddress: string,
    groupAddress: string,
    multicastInterface?: string,
  ): void {
    void multicastInterface;
    this.groups.drop(groupAddress, sourceAddress);
  }

  /** Whether members at this daemon get what the socket sends to groups. Default true. */
  setMulticastLoopback(flag: boolean): boolean {
    this.groups.set('multicastLoopback', Boolean(flag));
    return flag;
  }

  /** Overlay hops of what it sends to groups, 1..255. Default 64. */
  setMulticastTTL(ttl: number): number {
    this.groups.set('multicastTtl', checkOption('ttl', ttl, 1, 255, 'setMulticastTTL'));
    return ttl;
  }

  /** Of no effect: an overlay has no interfaces. */
  setMulticastInterface(multicastInterface: string): void {
    void multicastInterface;
    this.groups.assertOpen();
  }

  /** Of no effect: an overlay has no broadcast address. */
  setBroadcast(flag: boolean): void {
    void flag;
    this.groups.assertOpen();
  }
}

function keyOf({ group, source }: Joined): string {
  return `${group} ${source ?? ''}`;
}

/** The connection went: the socket joins again when it is back. */
function isLost({ code }: SpinesClientError): boolean {
  return code === 'ECONNRESET' || code === 'ENOTCONN';
}

function systemError(syscall: string, code: string): SpinesClientError {
  return new SpinesClientError(code, `${syscall} ${code}`, { syscall });
}

/**
 * What Node has no option for, on UDP sockets of Linux: segmentation and receive offload
 * (UDP_SEGMENT, UDP_GRO; udp(7)), many datagrams of one size to one peer in one system call and
 * many from one peer in one event; and don't-fragment (ip(7), ipv6(7)), so that a datagram arrives
 * whole or not at all, which is what makes the size of a path measurable.
 *
 * The socket is made here, by the C library through the optional package koffi, and handed to Node
 * as a descriptor. Nothing is called for each datagram but `setSegment`, and that only when sizes
 * change.
 */

import { createRequire } from 'node:module';
import { isIP } from 'node:net';
import { getSystemErrorName } from 'node:util';

import { assert } from '../../core/base/assert.ts';
import { SpinesError } from '../../core/base/errors.ts';
import type { IndexMark } from '../../core/base/index-mark.ts';
import { scopeOf } from './local-addresses.ts';
import { FILTER_HEAD_BYTES, FILTER_STEP_BYTES, strangersFilter } from './strangers-filter.ts';

/** A bound UDP socket that Node does not know yet. */
export interface OffloadSocket {
  /** Whoever gets it closes it. */
  readonly fd: number;
  /** No datagram of this socket leaves, or is let through by a router, in fragments. */
  readonly dontFragment: boolean;
  /**
   * Whether another socket that is opened for sharing may have the same port at another address
   * that this one covers.
   */
  share(on: boolean): boolean;
  /**
   * Descriptor of a second socket at the same address and `port`, which from now on gets whatever
   * does not begin as something for `mark` does; whoever gets it closes it. Null: the system has no
   * such thing, or no socket more. Called once.
   */
  divide?(mark: IndexMark, port: number): number | null;
  /**
   * From now on a longer send leaves as datagrams of `bytes`, the last one shorter; 0 = each send
   * is one. False when the kernel refuses.
   */
  setSegment(bytes: number): boolean;
}

export interface Offload {
  /**
   * False: `setSegment` is not to be called, and nothing arrives glued; only don't-fragment is had
   * of these sockets.
   */
  readonly batches: boolean;
  /**
   * Of what leaves by sockets that are opened from now on, 0..63 (RFC 2474); the two bits beside
   * it, which are ECN's, stay 0. Not set where it is absent.
   */
  dscp?: number;
  /**
   * `address`: numeric. Each send is one datagram. `shares`: beside a wildcard that does. Throws
   * SpinesError with the system's code when it can't be had.
   */
  open(address: string, port: number, shares?: boolean): OffloadSocket;
}

/** What is used of koffi. */
interface Koffi {
  load(path: null): {
    func(
      prototype: string,
      result?: string,
      parameters?: readonly unknown[],
    ): (...args: readonly unknown[]) => number;
  };
  struct(fields: Readonly<Record<string, string>>): unknown;
  pointer(type: unknown): unknown;
  errno(): number;
}

const PACKAGE = 'koffi';
/** Where the constants below are those of the kernel. */
const ARCHITECTURES: readonly string[] = ['x64', 'arm64'];
const AF_INET = 2,
  AF_INET6 = 10;
const SOCK_DGRAM_NONBLOCK_CLOEXEC = 0o2 | 0o4000 | 0o2000000;
const SOL_SOCKET = 1,
  SO_REUSEADDR = 2,
  SO_REUSEPORT = 15,
  SO_ATTACH_REUSEPORT_CBPF = 51;
const IPPROTO_IP = 0,
  IP_TOS = 1,
  IP_MTU_DISCOVER = 10;
const IPPROTO_IPV6 = 41,
  IPV6_V6ONLY = 26,
  IPV6_MTU_DISCOVER = 23,
  IPV6_DONTFRAG = 62,
  IPV6_TCLASS = 67;
/**
 * Don't-fragment is set, and what ICMP says of the path's MTU is not believed: anybody could have
 * sent it. Only the device's own MTU refuses a send.
 */
const PMTUDISC_PROBE = 3;
const IPPROTO_UDP = 17,
  UDP_SEGMENT = 103,
  UDP_GRO = 104;
/** Any size will do to see whether the kernel knows the options. */
const TRIAL_SEGMENT = 1_200;

/** What can be had, and why it is less than all, null where it is all. */
export interface OffloadFound {
  readonly offload: Offload | null;
  readonly without: string | null;
}

/**
 * Null: another system, or koffi is not installed. Without `batches`, or on a kernel that knows
 * none: don't-fragment only.
 */
export function findOffload(batches = true): OffloadFound {
  if (process.platform !== 'linux' || !ARCHITECTURES.includes(process.arch)) {
    return {
      offload: null,
      without:
        `only Linux on ${ARCHITECTURES.join(' and ')} has it, this is ${process.platform} ` +
        `on ${process.arch}`,
    };
  }
  let koffi: Koffi;
  try {
    koffi = createRequire(import.meta.url)(PACKAGE) as Koffi;
  } catch (error) {
    return {
      offload: null,
      without: `the optional package ${PACKAGE} cannot be loaded: ${reasonOf(error)}`,
    };
  }
  let without = batches ? null : 'it is switched off';
  for (const wanted of batches ? [true, false] : [false]) {
    try {
      const offload = new LinuxOffload(koffi, wanted);
      offload.tryOut();
      return { offload, without };
    } catch (error) {
      without = reasonOf(error);
    }
  }
  return { offload: null, without };
}

/** The same where nobody is told. */
export function loadOffload(batches = true): Offload | null {
  return findOffload(batches).offload;
}

function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]!;
}

class LinuxOffload implements Offload {
  readonly batches: boolean;
  dscp = 0;
  readonly #koffi: Koffi;
  readonly #socket: (...args: readonly unknown[]) => number;
  readonly #bind: (...args: readonly unknown[]) => number;
  readonly #setsockopt: (...args: readonly unknown[]) => number;
  readonly #attach: (...args: readonly unknown[]) => number;
  readonly #close: (...args: readonly unknown[]) => number;

  constructor(koffi: Koffi, batches: boolean) {
    this.batches = batches;
    const libc = koffi.load(null);
    this.#koffi = koffi;
    this.#socket = libc.func('int socket(int, int, int)');
    this.#bind = libc.func('int bind(int, void *, uint32_t)');
    this.#setsockopt = libc.func('int setsockopt(int, int, int, void *, uint32_t)');
    // No name for the type: koffi keeps those for the whole process, and this may be called twice.
    const program = koffi.struct({ len: 'uint16_t', filter: 'void *' });
    this.#attach = libc.func('setsockopt', 'int', [
      'int',
      'int',
      'int',
      koffi.pointer(program),
      'uint32_t',
    ]);
    this.#close = libc.func('int close(int)');
  }

  /**
   * Throws when it can't be had here. Binds nothing: whether a port is free is another matter, and
   * is said where one is asked for.
   */
  tryOut(): void {
    const fd = this.#make(false);
    const works =
      !this.batches ||
      (this.#set(fd, IPPROTO_UDP, UDP_GRO, 1) &&
        this.#set(fd, IPPROTO_UDP, UDP_SEGMENT, TRIAL_SEGMENT));
    const failure = works ? null : this.#failure('setsockopt of UDP_SEGMENT or UDP_GRO');
    this.#close(fd);
    if (failure !== null) throw failure;
  }

  open(address: string, port: number, shares = false): OffloadSocket {
    const v6 = isIP(address) === 6;
    const fd = this.#make(v6);
    let strangers: number | null = null;
    const setSegment = (bytes: number): boolean => this.#set(fd, IPPROTO_UDP, UDP_SEGMENT, bytes);
    const share = (on: boolean): boolean =>
      [fd, strangers].every(
        (one) => one === null || this.#set(one, SOL_SOCKET, SO_REUSEADDR, on ? 1 : 0),
      );
    const divide = (mark: IndexMark, bound: number): number | null =>
      (strangers = this.#divide(fd, v6, bound, address, mark));
    const name = v6 ? socketAddress6(address, port) : socketAddress4(address, port);
    const ready =
      (!v6 || this.#set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) &&
      (!this.batches || this.#set(fd, IPPROTO_UDP, UDP_GRO, 1)) &&
      (this.dscp === 0 || this.#classify(fd, v6, this.dscp)) &&
      (!shares || share(true)) &&
      this.#bind(fd, name, name.length) === 0;
    // From here on nobody else gets in between.
    if (ready && (!shares || share(false)))
      return { fd, dontFragment: this.#dontFragment(fd, v6), share, divide, setSegment };
    const failure = this.#failure('bind');
    this.#close(fd);
    throw failure;
  }

  #make(v6: boolean): number {
    const fd = this.#socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM_NONBLOCK_CLOEXEC, IPPROTO_UDP);
    if (fd < 0) throw this.#failure('socket');
    return fd;
  }

  /**
   * The first socket has the port for itself when this begins, so nobody else's is among those that
   * share it. Who joins later, which only this user's programs can, is given nothing: the filter
   * names the first two.
   */
  #divide(fd: number, v6: boolean, port: number, address: string, mark: IndexMark): number | null {
    const other = this.#socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM_NONBLOCK_CLOEXEC, IPPROTO_UDP),
      name = v6 ? socketAddress6(address, port) : socketAddress4(address, port);
    if (other < 0) return null;
    const filter = strangersFilter(mark);
    if (
      this.#set(fd, SOL_SOCKET, SO_REUSEPORT, 1) &&
      this.#set(other, SOL_SOCKET, SO_REUSEPORT, 1) &&
      (!v6 || this.#set(other, IPPROTO_IPV6, IPV6_V6ONLY, 1)) &&
      (!this.batches || this.#set(other, IPPROTO_UDP, UDP_GRO, 1)) &&
      this.#bind(other, name, name.length) === 0 &&
      this.#attach(
        fd,
        SOL_SOCKET,
        SO_ATTACH_REUSEPORT_CBPF,
        { len: filter.length / FILTER_STEP_BYTES, filter },
        FILTER_HEAD_BYTES,
      ) === 0
    )
      return other;
    this.#close(other);
    this.#set(fd, SOL_SOCKET, SO_REUSEPORT, 0);
    return null;
  }

  #dontFragment(fd: number, v6: boolean): boolean {
    if (!v6) return this.#set(fd, IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE);
    return (
      this.#set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_PROBE) &&
      this.#set(fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1)
    );
  }

  #classify(fd: number, v6: boolean, dscp: number): boolean {
    const [level, option] = v6 ? [IPPROTO_IPV6, IPV6_TCLASS] : [IPPROTO_IP, IP_TOS];
    return this.#set(fd, level, option, dscp << 2);
  }

  #set(fd: number, level: number, option: number, value: number): boolean {
    VALUE[0] = value;
    return this.#setsockopt(fd, level, option, VALUE, VALUE.byteLength) === 0;
  }

  #failure(call: string): SpinesError {
    const code = getSystemErrorName(-this.#koffi.errno());
    return new SpinesError(code, `${call}: ${code}`);
  }
}

/** An int of C: both architectures are little endian, and so is Node on them. */
const VALUE = new Int32Array(1);

/** struct sockaddr_in. */
function socketAddress4(address: string, port: number): Uint8Array {
  const out = new Uint8Array(16),
    view = new DataView(out.buffer);
  view.setUint16(0, AF_INET, true);
  view.setUint16(2, port);
  out.set(address.split('.').map(Number), 4);
  return out;
}

/** struct sockaddr_in6. */
function socketAddress6(address: string, port: number): Uint8Array {
  const out = new Uint8Array(28),
    view = new DataView(out.buffer);
  view.setUint16(0, AF_INET6, true);
  view.setUint16(2, port);
  out.set(ipv6Bytes(address.split('%')[0]!), 8);
  view.setUint32(24, scopeOf(address), true);
  return out;
}

/** The 16 bytes of a numeric IPv6 address without scope, as `net.isIP` takes it. */
export function ipv6Bytes(address: string): Uint8Array {
  assert(isIP(address) === 6 && !address.includes('%'), 'a numeric IPv6 address');
  // A dotted end stands for two groups.
  const text = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...quad: string[]) => {
    const [a, b, c, d] = quad.slice(0, 4).map(Number) as [number, number, number, number];
    return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  });
  const groups = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  const [front, back] = text.split('::').map(groups) as [number[], number[] | undefined];
  const all =
    back === undefined
      ? front
      : [...front, ...new Array<number>(8 - front.length - back.length).fill(0), ...back];
  const out = new Uint8Array(16),
    view = new DataView(out.buffer);
  for (const [i, group] of all.entries()) view.setUint16(2 * i, group);
  return out;
}

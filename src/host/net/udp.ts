/**
 * UDP sockets (socket-set.ts) as a datagram sink, sending synchronously.
 *
 * What the kernel does not take Node keeps by reference: the scratch buffer is then left to it and
 * a new one is used. Beyond a bound the sink drops and counts.
 *
 * Where the system lets us (offload.ts) no datagram is fragmented: one that is longer than the
 * device's MTU is refused, which is told as such and never as a loss.
 *
 * Where the system has offload, datagrams of one turn to one peer that have the same size and the
 * same head gather in a batch, which leaves in one call at `flush`, at the latest at the end of the
 * loop's turn; what arrives glued is cut (glued.ts). `@hot`
 */

import { makeEndpoint, type DatagramSink, type Endpoint } from '../../core/base/datagram.ts';
import { MILLISECOND, type Micros } from '../../core/base/time.ts';
import { isSizeProbe } from '../../core/wire/datagram-header.ts';
import type { IndexMark } from '../../core/base/index-mark.ts';
import { DATAGRAM_BYTES_MIN } from '../../core/wire/sizes.ts';
import { EndpointTable } from './endpoints.ts';
import { BY_HEADS, GluedReader, SAME_HEAD_BYTES } from './glued.ts';
import type { Offload } from './offload.ts';
import type { Opener } from './segment-search.ts';
import { SocketSet } from './socket-set.ts';
import { stopwatch } from '../system-clock.ts';
import { RECEIVE_BUFFER_BYTES, type Bound, type UdpAddress } from './udp-socket.ts';

export { RECEIVE_BUFFER_BYTES, type UdpAddress };

export interface UdpEvents {
  /** Something was read from a socket; what it holds follows. */
  onRead(): void;
  /**
   * `bytes` belong to the callee. False when they are no datagram as they stand, and are as they
   * were.
   */
  onDatagram(bytes: Uint8Array, from: Endpoint): boolean;
  /**
   * A datagram to that address was not sent: the kernel took none for too long ("full"), or there
   * is no socket of that family ("noSocket").
   */
  onDropped(to: Endpoint, why: 'full' | 'noSocket'): void;
  /**
   * The system refused `datagrams` to that address, and perhaps others of the same millisecond, for
   * what has nothing to do with their size: `code` says why (no way there, a firewall of this
   * machine, an address of ours that has gone).
   */
  onRefused(to: Endpoint, datagrams: number, code: string): void;
  /**
   * `datagrams` to that address were refused since they are longer than the MTU of the device that
   * they would leave by, and perhaps others of the same millisecond. Size probes are not told.
   */
  onTooLong(to: Endpoint, datagrams: number): void;
  /**
   * From now on, or for a while, datagrams to that address leave one by one: the system refused
   * many at once.
   */
  onUnbatched?(to: Endpoint, code: string): void;
  /** The sink, once congested, takes datagrams again. */
  onWritable(): void;
  onError(error: Error): void;
  /** Tells what is genuine of what arrives glued; left out: heads tell. */
  readonly opener?: Opener;
}

const SCRATCH_BYTES = 2_048;
/**
 * Bytes that Node may hold for the kernel before the sink calls itself congested, and before it
 * drops.
 */
const CONGESTED_BYTES = 64 * 1024;
const QUEUED_BYTES_MAX = 2 * 1024 * 1024;
/** Peers that are remembered for refusing batches. */
const UNBATCHED_MAX = 4_096;
/** Datagrams of a batch: what older kernels take in one call. */
const BATCH_DATAGRAMS_MAX = 64;
/** Below what a UDP length can say, headers included. */
const BATCH_BYTES_MAX = 60_000;

/**
 * Of what leaves singly to a peer, one datagram in so long asks how its send ended: an answer costs
 * as much as a send, and a device that refuses a size refuses the next as well.
 */
const ASKED_EVERY_US: Micros = MILLISECOND;

/**
 * What a kernel says of a batch as such, and of no datagram alone (Linux: udp_send_skb); all else
 * is of the way to the peer.
 */
const BATCH_REFUSALS: ReadonlySet<string> = new Set([
  'EINVAL',
  'EIO',
  'EOPNOTSUPP',
  'ENOPROTOOPT',
  'ENOTSUP',
]);

/**
 * After so many datagrams that left one by one, a batch is tried again where a smaller MTU may have
 * been why one was refused.
 */
const UNBATCHED_FOR = 10_000;

export class UdpSink implements DatagramSink {
  congested = false;
  /** Smallest receive buffer that the system granted, bytes. */
  receiveBufferBytes = 0;
  /** Calls that sent more than one datagram, and what they sent. */
  batches = 0;
  batchedDatagrams = 0;
  readonly #events: UdpEvents;
  readonly #sockets: SocketSet;
  #scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  /**
   * Beginnings of the scratch buffer by their length, made when first needed: Node makes one for
   * each call otherwise.
   */
  #views: Buffer[] = [];
  #batch = NO_BATCH;
  #batchTo: Endpoint | null = null;
  #batchBound: Bound | null = null;
  #batchSegment = 0;
  #batchDatagrams = 0;
  #batchEnd = 0;
  /** What nobody flushes leaves after what the loop has to do now. */
  #flushScheduled = false;
  /**
   * Peers to whom a batch could not be sent (IPsec, a device without checksums): theirs leave one
   * by one, so many.
   */
  readonly #unbatched = new Map<string, number>();
  /** When a send to a peer last asked how it ended. */
  readonly #askedAt = new WeakMap<Endpoint, Micros>();
  /** One for all sends that ask: Node keeps quiet about errors without. */
  readonly #onSent = (error: NodeJS.ErrnoException | null): void => {
    // What to do about an unreachable network or a refused port is the link's.
    if (error === null) return;
    const { code = 'EIO', address, port } = error as SendError,
      to = makeEndpoint(address, port);
    if (code === 'EMSGSIZE') this.#events.onTooLong(to, 1);
    else {
      this.#sockets.suspect();
      this.#events.onRefused(to, 1, code);
    }
  };
  readonly #glued: GluedReader;
  #retry: NodeJS.Timeout | null = null;

  /**
   * `offload`: null = one system call for each datagram. `mark`: of the indices that peers were
   * given; null = strangers have no queue of their own.
   */
  constructor(events: UdpEvents, offload: Offload | null = null, mark: IndexMark | null = null) {
    this.#events = events;
    this.#sockets = new SocketSet(
      offload,
      { onOpen: (bound) => this.#onOpen(bound), onClosing: () => this.flush() },
      mark,
    );
    this.#glued = new GluedReader(
      events.opener ?? BY_HEADS,
      () => stopwatch.now(),
      (bytes, from) => events.onDatagram(bytes, from),
    );
    if (offload?.batches === true) this.#batch = Buffer.allocUnsafeSlow(BATCH_BYTES_MAX);
  }

  /**
   * True when what strangers send waits in queues of its own, and never in front of what links
   * bring.
   */
  get apart(): boolean {
    return (
      this.#sockets.configured.length > 0 &&
      this.#sockets.configured.every(({ strangers }) => strangers !== null)
    );
  }

  /** True when all sockets have offload. */
  get offloaded(): boolean {
    return (
      this.#sockets.configured.length > 0 &&
      this.#sockets.configured.every(({ batches }) => batches)
    );
  }

  /**
   * True when no socket lets a datagram be fragmented: only then do sizes that arrive say what a
   * path carries.
   */
  get dontFragment(): boolean {
    return (
      this.#sockets.configured.length > 0 &&
      this.#sockets.configured.every(({ offload }) => offload?.dontFragment === true)
    );
  }

  /** Throws SpinesError with the system's code (EADDRINUSE, EADDRNOTAVAIL, EACCES ...). */
  open(addresses: readonly UdpAddress[]): Promise<void> {
    return this.#sockets.open(addresses);
  }

  #onOpen(bound: Bound): void {
    const { socket, strangers } = bound;
    // Each has its own table: addresses that strangers make up push out none of a link.
    for (const one of strangers === null ? [socket] : [socket, strangers]) {
      const endpoints = new EndpointTable(bound.local);
      one.on('error', (error) => this.#events.onError(error));
      one.on('message', (bytes, info) => {
        this.#events.onRead();
        const from = endpoints.of(info.address, info.port);
        if (bound.batches) this.#glued.read(bytes, from);
        else this.#events.onDatagram(bytes, from);
      });
    }
    const granted = socket.getRecvBufferSize();
    this.receiveBufferBytes =
      this.receiveBufferBytes === 0 ? granted : Math.min(this.receiveBufferBytes, granted);
  }

  /** Systems send from an IPv6 address that has gone, without an error. */
  suspect(): void {
    this.#sockets.suspect();
  }

  /** Looks at once which addresses this machine has; it does every second. */
  lookAtAddresses(): Promise<void> {
    return this.#sockets.look();
  }

  /** Bound addresses, in the order of `open`, wildcards as such. */
  get addresses(): Endpoint[] {
    return this.#sockets.configured.map(({ socket }) => {
      const { address, port } = socket.address();
      return makeEndpoint(address, port);
    });
  }

  send(to: Endpoint, bytes: Uint8Array, length: number): void {
    const bound = this.#sockets.of(to);
    if (bound === null) {
      this.#events.onDropped(to, 'noSocket');
      return;
    }
    if (!bound.batches) this.#sendOne(bound, to, bytes, 0, length);
    else if (isSizeProbe(bytes)) {
      this.flush();
      this.#sendOne(bound, to, bytes, 0, length);
    } else this.#gather(bound, to, bytes, length);
  }

  /** Sends what waits for more of its kind. */
  flush(): void {
    const to = this.#batchTo;
    if (to === null) return;
    const bound = this.#batchBound!;
    const datagrams = this.#batchDatagrams;
    this.#batchTo = null;
    this.#batchBound = null;
    if (datagrams === 1) {
      this.#sendOne(bound, to, this.#batch, 0, this.#batchEnd);
      return;
    }
    if (this.#leavesSingly(to, datagrams) || !this.#cutAt(bound, this.#batchSegment)) {
      for (let at = 0; at < this.#batchEnd; at += this.#batchSegment)
        this.#sendOne(
          bound,
          to,
          this.#batch,
          at,
          Math.min(this.#batchEnd, at + this.#batchSegment),
        );
      return;
    }
    this.batches += 1;
    this.batchedDatagrams += datagrams;
    const segment = this.#batchSegment;
    bound.socket.send(this.#batch, 0, this.#batchEnd, to.port, to.address, (error) => {
      if (error !== null) this.#onBatchRefused(to, datagrams, segment, error);
    });
    const queued = bound.socket.getSendQueueSize();
    if (queued > 0) {
      this.#batch = Buffer.allocUnsafeSlow(BATCH_BYTES_MAX);
      this.#onQueued(queued);
    }
  }

  #gather(bound: Bound, to: Endpoint, bytes: Uint8Array, length: number): void {
    if (this.#batchTo !== null && !this.#fits(to, bytes, length)) this.flush();
    if (this.#batchTo === null) {
      this.#batchTo = to;
      this.#batchBound = bound;
      this.#batchSegment = length;
      this.#batchDatagrams = 0;
      this.#batchEnd = 0;
      this.#scheduleFlush();
    }
    this.#batch.set(length === bytes.length ? bytes : bytes.subarray(0, length), this.#batchEnd);
    this.#batchEnd += length;
    this.#batchDatagrams += 1;
    // A shorter one can only be the last.
    if (length < this.#batchSegment) this.flush();
  }

  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    setImmediate(() => {
      this.#flushScheduled = false;
      this.flush();
    });
  }

  #fits(to: Endpoint, bytes: Uint8Array, length: number): boolean {
    if (
      to !== this.#batchTo ||
      length > this.#batchSegment ||
      this.#batchDatagrams >= BATCH_DATAGRAMS_MAX ||
      this.#batchEnd + length > BATCH_BYTES_MAX
    )
      return false;
    for (let i = 0; i < SAME_HEAD_BYTES; i += 1) if (bytes[i] !== this.#batch[i]) return false;
    return true;
  }

  /** Makes the kernel cut at `bytes`. False while something that it is to cut otherwise waits. */
  #cutAt(bound: Bound, bytes: number): boolean {
    if (bound.segment === bytes) return true;
    if (bound.socket.getSendQueueSize() > 0 || !bound.offload!.setSegment(bytes)) return false;
    bound.segment = bytes;
    return true;
  }

  #sendOne(bound: Bound, to: Endpoint, bytes: Uint8Array, start: number, end: number): void {
    const { socket } = bound;
    const length = end - start;
    if (
      (this.congested && socket.getSendQueueSize() > QUEUED_BYTES_MAX) ||
      !this.#wholeUpTo(bound, length)
    ) {
      this.#events.onDropped(to, 'full');
      return;
    }
    const view = (this.#views[length] ??= this.#scratch.subarray(0, length));
    // The whole of a link's buffer fits, and what lies behind the datagram does no harm; a view
    // would cost more.
    if (start === 0 && bytes.length <= SCRATCH_BYTES) this.#scratch.set(bytes);
    else view.set(bytes.subarray(start, end));
    // What every path carries need not ask, and the probe of a size is sent to see whether it
    // arrives.
    if (
      length > DATAGRAM_BYTES_MIN &&
      bound.offload !== null &&
      !isSizeProbe(view) &&
      this.#mayAsk(to)
    )
      socket.send(view, to.port, to.address, this.#onSent);
    else socket.send(view, to.port, to.address);
    const queued = socket.getSendQueueSize();
    if (queued > 0) {
      this.#scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
      this.#views = [];
      this.#onQueued(queued);
    }
  }

  #mayAsk(to: Endpoint): boolean {
    const now = stopwatch.now(),
      last = this.#askedAt.get(to);
    if (last !== undefined && now - last < ASKED_EVERY_US) return false;
    this.#askedAt.set(to, now);
    return true;
  }

  /**
   * Makes a send of `length` leave as one datagram. False when it would be cut, and something that
   * the kernel is to cut waits. A segment that is larger than a path's MTU makes some kernels
   * refuse the smallest send: it never stays behind.
   */
  #wholeUpTo(bound: Bound, length: number): boolean {
    if (bound.segment === 0 || (length <= bound.segment && bound.segment <= DATAGRAM_BYTES_MIN))
      return true;
    return this.#cutAt(bound, 0) || length <= bound.segment;
  }

  #leavesSingly(to: Endpoint, datagrams: number): boolean {
    if (this.#unbatched.size === 0) return false;
    const left = this.#unbatched.get(to.key);
    if (left === undefined) return false;
    if (left > datagrams) this.#unbatched.set(to.key, left - datagrams);
    else this.#unbatched.delete(to.key);
    return true;
  }

  #onBatchRefused(
    to: Endpoint,
    datagrams: number,
    segment: number,
    { code }: NodeJS.ErrnoException,
  ): void {
    if (code === 'EMSGSIZE') {
      this.#events.onTooLong(to, datagrams);
      return;
    }
    this.#sockets.suspect();
    this.#events.onRefused(to, datagrams, code ?? 'EIO');
    // A network that is away for a second says nothing of batches.
    if (code !== undefined && !BATCH_REFUSALS.has(code)) return;
    if (this.#unbatched.size >= UNBATCHED_MAX) this.#unbatched.clear();
    // Kernels before 6.14 say EINVAL of an MTU too: what leaves one by one shows it.
    if (!this.#unbatched.has(to.key)) this.#events.onUnbatched?.(to, code ?? 'EIO');
    this.#unbatched.set(
      to.key,
      code === 'EINVAL' && segment > DATAGRAM_BYTES_MIN ? UNBATCHED_FOR : Infinity,
    );
  }

  close(): Promise<void> {
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.flush();
    return this.#sockets.close();
  }

  #onQueued(bytes: number): void {
    if (bytes < CONGESTED_BYTES) return;
    this.congested = true;
    this.#retry ??= setTimeout(() => this.#checkQueue(), 1);
  }

  #checkQueue(): void {
    this.#retry = null;
    let queued = 0;
    for (const { socket } of this.#sockets.all()) queued += socket.getSendQueueSize();
    if (queued > CONGESTED_BYTES / 4) {
      this.#retry = setTimeout(() => this.#checkQueue(), 1);
      return;
    }
    this.congested = false;
    this.#events.onWritable();
  }
}

const NO_BATCH = Buffer.alloc(0);

/** What Node says of a failed send (ExceptionWithHostPort). */
interface SendError extends NodeJS.ErrnoException {
  readonly address: string;
  readonly port: number;
}

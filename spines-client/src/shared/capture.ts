/**
 * What a program that captures asks its daemon for, and is answered: datagrams of links, their
 * frames opened.
 *
 * What is sealed from end to end, and in packets of byzantine routing, stays so. One capture for
 * each connection; it ends with the connection.
 */

/** Datagrams with packets from or to this node (dotted quad or name), port, or both. */
export interface CaptureSession {
  readonly node?: string;
  readonly port?: number;
}

export interface CaptureArgs {
  /**
   * Neighbours, by name or dotted quad; default: all, and strangers. At most CAPTURE_WANTED_MAX.
   */
  readonly peers?: readonly string[];
  /** Default: all datagrams. At most CAPTURE_WANTED_MAX. */
  readonly sessions?: readonly CaptureSession[];
  /** True: only what something was dropped of. */
  readonly dropsOnly?: boolean;
  /** Bytes kept of a datagram: CAPTURE_SNAP_MIN..CAPTURE_SNAP_MAX, the default. */
  readonly snap?: number;
  /** Bytes that may wait to be read: CAPTURE_BYTES_MIN..CAPTURE_BYTES_MAX; default 4 MiB. */
  readonly bytes?: number;
}

export interface CaptureReply {
  readonly schema: 1;
  /** Whose capture it is: dotted quad. */
  readonly node: string;
  readonly name: string;
}

/** A datagram. */
export interface CapturedDatagram {
  /** Microseconds since 1970. */
  readonly at: number;
  /** The neighbour, dotted quad; null: no link has this. */
  readonly node: string | null;
  readonly name: string | null;
  /** It left; else it came. */
  readonly out: boolean;
  /** Its frames are in the clear, and its tag is gone; else it is as it was on the wire. */
  readonly opened: boolean;
  /** Wire version of the link; 0: not known. */
  readonly version: number;
  /** Of the neighbour, as in "192.0.2.1:8100". */
  readonly address: string;
  /** Bytes before it was cut to `snap`. */
  readonly length: number;
  /** What the daemon counted as dropped while it used it, by name; of several, each once. */
  readonly drops: readonly string[];
  readonly bytes: Uint8Array;
}

export interface CaptureReadReply {
  /** In the order in which they passed. */
  readonly datagrams: readonly CapturedDatagram[];
  /** Since the last read: datagrams for which there was no room. */
  readonly missed: number;
}

export const CAPTURE_WANTED_MAX = 16;
export const CAPTURE_SNAP_MIN = 64;
export const CAPTURE_SNAP_MAX = 1_452;
export const CAPTURE_BYTES_MIN = 65_536;
export const CAPTURE_BYTES_MAX = 16_777_216;
/** A read waits no longer for something to answer with. */
export const CAPTURE_WAIT_MS_MAX = 5_000;

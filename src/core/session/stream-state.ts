/**
 * The states of a stream, what it waits for while it is open, and how it may end.
 *
 * Names and legal changes only; stream.ts draws them.
 */

export type StreamState = 'opening' | 'accepting' | 'open' | 'closed';

/** Where each state may lead. */
export const STREAM_EDGES: Record<StreamState, readonly StreamState[]> = {
  opening: ['open', 'closed'],
  accepting: ['open', 'closed'],
  open: ['closed'],
  closed: [],
};

/**
 * Why a stream ended; null = in order. Names are those of Node's sockets. EACCES: rules of the far
 * end do not let it be.
 */
export type StreamError =
  | 'ECONNREFUSED'
  | 'EACCES'
  | 'ECONNRESET'
  | 'ETIMEDOUT'
  | 'EHOSTUNREACH'
  | 'ECONNABORTED'
  | null;

/** What a stream that has data waits for. */
export type StreamLimit =
  | 'application'
  | 'congestion window'
  | 'receiver window'
  | 'pacing'
  | 'link queue';

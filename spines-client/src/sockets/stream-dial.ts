/**
 * How a stream socket comes to its stream: the requests that announce, bind and connect it, sent
 * together, and what of their answers counts. Owns nothing that lasts; socket.ts has the states.
 */

import { isLocalHost } from '../address.ts';
import type { ClientCore } from '../core/core.ts';
import type { CoreStream } from '../core/stream-core.ts';
import { SpinesClientError } from '../errors.ts';
import type { CheckedTarget } from './connect-arguments.ts';
import type { StreamAddress } from './socket-options.ts';

/** What the daemon is told of a stream when it is announced. */
export interface StreamKind {
  readonly link: string;
  readonly routing: string;
  readonly secrecy: string | undefined;
  readonly congestion: string | undefined;
  readonly keepaliveMs: number | undefined;
  readonly silenceMs: number | undefined;
}

export interface Dialled {
  readonly local: StreamAddress;
  readonly remote: StreamAddress;
  readonly authenticated: boolean;
}

/** `syscall`: which step was refused. */
export type DialFailed = (error: SpinesClientError, syscall: string) => void;

/** Why `target` can't be dialled by the node `local` (dotted quad), without asking a daemon. */
export function whyNotDial(
  target: CheckedTarget,
  local: string,
): { readonly error: SpinesClientError; readonly syscall: string } | null {
  if (target.port === 0)
    return {
      error: new SpinesClientError('ECONNREFUSED', 'nobody listens at port 0'),
      syscall: 'connect',
    };
  const from = target.localAddress;
  if (from === undefined || isLocalHost(from) || from === local) return null;
  return {
    error: new SpinesClientError('EADDRNOTAVAIL', `${from} is not this node, which is ${local}`),
    syscall: 'bind',
  };
}

/**
 * Dials `target` for a stream just opened; a target without a host is the node `local`.
 * `established` gets null where the daemon named no addresses. Neither it nor `failed` is called
 * once the stream is no longer connecting.
 */
export function dial(
  core: ClientCore,
  stream: CoreStream,
  kind: StreamKind,
  target: CheckedTarget,
  local: string,
  established: (dialled: Dialled | null) => void,
  failed: DialFailed,
): void {
  const socket = stream.id;
  let failure: SpinesClientError | null = null;
  let step = 'socket';
  core.request('socket', { socket, kind: 'stream', ...kind }, (error) => {
    failure = error;
  });
  if (target.localPort !== undefined) {
    core.request('bind', { socket, port: target.localPort }, (error) => {
      if (failure !== null || error === null) return;
      failure = error;
      step = 'bind';
    });
  }
  core.request(
    'connect',
    { socket, node: target.host ?? local, port: target.port, timeoutMs: target.timeoutMs },
    (error, result) => {
      if (stream.state !== 'connecting') return;
      if (failure === null && error === null) {
        stream.established();
        established(readAddresses(result));
        return;
      }
      const syscall = failure === null ? 'connect' : step;
      stream.abandon();
      core.request('close', { socket }, () => {});
      failed(failure ?? error!, syscall);
    },
  );
}

/** What the program is told of `cause`, which the step `syscall` met; `local`: dotted quad. */
export function dialError(
  cause: SpinesClientError,
  syscall: string,
  target: CheckedTarget,
  local: string,
): SpinesClientError {
  const host = target.host ?? (local || 'localhost');
  const here = syscall === 'bind';
  const where = here ? `port ${target.localPort}` : `${host}:${target.port}`;
  return new SpinesClientError(cause.code, `${syscall} ${cause.code} ${where}: ${cause.message}`, {
    syscall,
    cause,
    address: here ? local : host,
    port: here ? target.localPort : target.port,
  });
}

function readAddresses(result: Record<string, unknown>): Dialled | null {
  const { node, port, remoteNode, remotePort, authenticated } = result;
  if (
    typeof node !== 'string' ||
    typeof port !== 'number' ||
    typeof remoteNode !== 'string' ||
    typeof remotePort !== 'number'
  )
    return null;
  return {
    local: { address: node, family: 'spines', port },
    remote: { address: remoteNode, family: 'spines', port: remotePort },
    authenticated: authenticated === true,
  };
}

/**
 * The near end of a tunnel: a stream to the far end's `spines expose`, and what it says to a
 * target.
 *
 * Owns opening, the request and its answer, and the words for what went wrong. Called by forward.ts
 * and socks.ts.
 */

import type { SpinesClient, SpinesSocket } from 'spines-client';
import type { RoutingName, SecrecyName } from 'spines-client/protocol';

import type { ClientFlags } from '../client.ts';
import { decodeAnswer, encodeRequest, readHead } from './tunnel-header.ts';
import type { AnswerName } from '../../host/tunnel/answers.ts';
import { formatTarget, type Target } from '../../host/tunnel-target.ts';

/** The well-known stream port of `spines expose`. */
export const EXPOSE_PORT = 6_000;
/** The far end gives up connecting to the target before. */
const ANSWER_TIMEOUT_MS = 15_000;

export interface TunnelFlags extends ClientFlags {
  via: number;
  verbose?: boolean;
  routing?: RoutingName;
  secrecy?: SecrecyName;
  silence?: number;
}

/** Where it failed: on the way to the far end, or behind it. */
export class TunnelError extends Error {
  override readonly name = 'TunnelError';
  readonly answer: AnswerName | 'no exit';
  /** Error code of the stream, for 'no exit'. */
  readonly code: string;

  constructor(answer: AnswerName | 'no exit', code: string, message: string) {
    super(message);
    this.answer = answer;
    this.code = code;
  }
}

/**
 * A stream on which the target speaks next. `headBytes`: of the answer, counted in its bytesRead.
 * Throws TunnelError.
 */
export async function dialTarget(
  client: SpinesClient,
  node: string,
  { via, routing, secrecy, silence }: Pick<TunnelFlags, 'via' | 'routing' | 'secrecy' | 'silence'>,
  target: Target,
  signal: AbortSignal,
): Promise<{ socket: SpinesSocket; headBytes: number }> {
  const socket = client.stream({ allowHalfOpen: true, routing, secrecy, silenceMs: silence });
  const abandon = (): void => {
    socket.resetAndDestroy();
  };
  // The one who waited has gone.
  signal.addEventListener('abort', abandon, { once: true });
  socket.on('error', () => {});
  try {
    if (signal.aborted)
      throw Object.assign(new Error('the connection was closed while it was carried'), {
        code: 'ABORT_ERR',
      });
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.once('close', () =>
        reject(
          Object.assign(new Error('the connection was closed while it was carried'), {
            code: 'ABORT_ERR',
          }),
        ),
      );
      socket.connect({ port: via, host: node }, resolve);
    });
    socket.write(encodeRequest(target));
    const body = await readHead(socket, ANSWER_TIMEOUT_MS);
    const answer = body === null ? null : decodeAnswer(body);
    if (answer === null)
      throw Object.assign(
        new Error(`${node} port ${via} does not answer as \`spines expose\` does; check --via`),
        { code: 'EPROTO' },
      );
    if (answer.name !== 'ok')
      throw new TunnelError(
        answer.name,
        'EREFUSED',
        `${node} says to ${formatTarget(target)}: ` +
          `${answer.name}${answer.reason === '' ? '' : ` (${answer.reason})`}`,
      );
    return { socket, headBytes: 2 + body!.length };
  } catch (error) {
    socket.resetAndDestroy();
    if (error instanceof TunnelError) throw error;
    const { code = 'EUNKNOWN', message } = error as NodeJS.ErrnoException;
    throw new TunnelError('no exit', code, message);
  } finally {
    signal.removeEventListener('abort', abandon);
  }
}

/**
 * Requests of one connection to the daemon that wait for their replies.
 *
 * Owns request ids and callbacks; each callback is called exactly once, with the reply, or when the
 * connection is lost. What an operation takes and answers is shared/operations.ts's.
 */

import { SpinesClientError } from '../errors.ts';
import { FRAME_LENGTH_MAX, FRAME_REQUEST, encodeControl } from '../shared/protocol.ts';

/** Requests without a reply yet. Past it a request fails with ENOBUFS. */
export const REQUESTS_MAX = 32_768;
const REQUEST_ID_MAX = 0xffff_ffff;

/** `result` is the reply without `id` and `ok`; empty with an error. */
export type RequestDone = (
  error: SpinesClientError | null,
  result: Record<string, unknown>,
) => void;

interface Outstanding {
  readonly op: string;
  readonly done: RequestDone;
}

const NOTHING: Record<string, unknown> = Object.freeze({});

export class Requests {
  readonly #most: number;
  readonly #write: (frame: Uint8Array) => void;
  readonly #thrown: (error: unknown) => void;
  readonly #waiting = new Map<number, Outstanding>();
  #next = 1;

  /** `most`: that wait at a time. `thrown`: a callback of the program threw. */
  constructor(most: number, write: (frame: Uint8Array) => void, thrown: (error: unknown) => void) {
    this.#most = most;
    this.#write = write;
    this.#thrown = thrown;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** `done` is called exactly once; at once when the request cannot be sent. */
  ask(op: string, args: Record<string, unknown>, done: RequestDone, connected: boolean): void {
    const syscall = `request ${op}`;
    if (!connected) {
      done(
        new SpinesClientError(
          'ENOTCONN',
          "not connected to a daemon; wait for the 'reconnect' event or connect again",
          { syscall },
        ),
        NOTHING,
      );
      return;
    }
    if (this.#waiting.size >= this.#most) {
      done(
        new SpinesClientError(
          'ENOBUFS',
          `${this.#most} requests are waiting for the daemon; await some of them first`,
          { syscall },
        ),
        NOTHING,
      );
      return;
    }
    while (this.#waiting.has(this.#next)) this.#next = (this.#next % REQUEST_ID_MAX) + 1;
    const id = this.#next;
    this.#next = (id % REQUEST_ID_MAX) + 1;
    const body: Record<string, unknown> = {};
    for (const key in args) if (args[key] !== undefined) body[key] = args[key];
    body['id'] = id;
    body['op'] = op;
    let frame: Uint8Array;
    try {
      frame = encodeControl(FRAME_REQUEST, body);
    } catch (cause) {
      done(
        new SpinesClientError('EINVAL', `arguments of ${op} cannot be encoded; use plain values`, {
          syscall,
          cause,
        }),
        NOTHING,
      );
      return;
    }
    if (frame.length - 4 > FRAME_LENGTH_MAX) {
      done(
        new SpinesClientError('EMSGSIZE', `arguments of ${op} exceed ${FRAME_LENGTH_MAX} bytes`, {
          syscall,
        }),
        NOTHING,
      );
      return;
    }
    this.#waiting.set(id, { op, done });
    this.#write(frame);
  }

  /** Null, or what is wrong with the reply. */
  onReply(body: Record<string, unknown> | null): string | null {
    const id = body?.['id'];
    const outstanding = typeof id === 'number' ? this.#waiting.get(id) : undefined;
    if (body === null || outstanding === undefined || typeof body['ok'] !== 'boolean') {
      return 'REPLY is malformed or answers no request';
    }
    if (body['ok']) {
      this.#waiting.delete(id as number);
      delete body['id'];
      delete body['ok'];
      outstanding.done(null, body);
      return null;
    }
    const { code, message } = body;
    if (typeof code !== 'string' || typeof message !== 'string') {
      return 'REPLY is malformed';
    }
    this.#waiting.delete(id as number);
    outstanding.done(
      new SpinesClientError(code, message, { syscall: `request ${outstanding.op}` }),
      NOTHING,
    );
    return null;
  }

  /** The connection is over: every request is answered with ECONNRESET. */
  onLost(error: SpinesClientError): void {
    const outstanding = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { op, done } of outstanding) {
      try {
        done(
          new SpinesClientError(
            'ECONNRESET',
            `the connection to the daemon ended before ${op} was answered; ask again after ` +
              `'reconnect'`,
            { syscall: `request ${op}`, cause: error },
          ),
          NOTHING,
        );
      } catch (thrown) {
        this.#thrown(thrown);
      }
    }
  }
}

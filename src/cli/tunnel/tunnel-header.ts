/**
 * What opens a tunnel's stream: a request that names the target, and its answer. Then come the
 * bytes of both sides.
 *
 *   request  length u16 of what follows, version u8 = 1, port u16, host (ASCII, canonical)
 *   answer   length u16 of what follows, version u8 = 1, code u8, reason (UTF-8, for people)
 *
 * Pure codec, and `readHead`, which takes one of the two off a stream. Big-endian; anything that is
 * not exactly this is malformed. Used by tunnel-dial.ts and expose.ts.
 */

import type { Duplex } from 'node:stream';

import { ANSWERS, type Answer } from '../../host/tunnel/answers.ts';
import { canonicalHost, type Target } from '../../host/tunnel-target.ts';

const VERSION = 1;
const LENGTH_BYTES = 2;
const REQUEST_FIXED_BYTES = 3;
const ANSWER_FIXED_BYTES = 2;
/** Of the length field. */
export const HEAD_BYTES_MAX = 512;

export function encodeRequest({ host, port }: Target): Buffer {
  const text = Buffer.from(host, 'ascii');
  const out = Buffer.alloc(LENGTH_BYTES + REQUEST_FIXED_BYTES + text.length);
  out.writeUInt16BE(REQUEST_FIXED_BYTES + text.length, 0);
  out[2] = VERSION;
  out.writeUInt16BE(port, 3);
  text.copy(out, 5);
  return out;
}

/** `body`: what follows the length. Null when it is malformed, or its host not canonical. */
export function decodeRequest(body: Buffer): Target | null {
  if (body.length <= REQUEST_FIXED_BYTES || body[0] !== VERSION) return null;
  const port = body.readUInt16BE(1);
  const host = body.toString('latin1', REQUEST_FIXED_BYTES);
  return port === 0 || canonicalHost(host) !== host ? null : { host, port };
}

export function encodeAnswer({ name, reason }: Answer): Buffer {
  const text = Buffer.from(reason).subarray(0, HEAD_BYTES_MAX - ANSWER_FIXED_BYTES);
  const out = Buffer.alloc(LENGTH_BYTES + ANSWER_FIXED_BYTES + text.length);
  out.writeUInt16BE(ANSWER_FIXED_BYTES + text.length, 0);
  out[2] = VERSION;
  out[3] = ANSWERS.indexOf(name);
  text.copy(out, 4);
  return out;
}

export function decodeAnswer(body: Buffer): Answer | null {
  if (body.length < ANSWER_FIXED_BYTES || body[0] !== VERSION) return null;
  const name = ANSWERS[body[1]!];
  return name === undefined ? null : { name, reason: body.toString('utf8', ANSWER_FIXED_BYTES) };
}

/**
 * The body of the one head that `stream` begins with; what follows it stays in the stream. Null
 * when the length is out of bounds. Rejects when the stream ends or fails before, or `timeoutMs`
 * pass.
 */
export async function readHead(stream: Duplex, timeoutMs: number): Promise<Buffer | null> {
  const length = await readExactly(stream, LENGTH_BYTES, timeoutMs);
  const bytes = length.readUInt16BE(0);
  if (bytes === 0 || bytes > HEAD_BYTES_MAX) return null;
  return readExactly(stream, bytes, timeoutMs);
}

/** Takes `bytes` bytes off a paused stream. */
export function readExactly(stream: Duplex, bytes: number, timeoutMs: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () =>
        done(() =>
          reject(headError('ETIMEDOUT', `nothing complete came within ${timeoutMs / 1_000} s`)),
        ),
      timeoutMs,
    );
    const done = (settle: () => void): void => {
      clearTimeout(timer);
      stream
        .off('readable', onReadable)
        .off('end', onEnd)
        .off('error', onError)
        .off('close', onEnd);
      settle();
    };
    const onReadable = (): void => {
      const chunk = stream.read(bytes) as Buffer | null;
      // At the end a read gives what is there, however little.
      if (chunk !== null && chunk.length === bytes) done(() => resolve(chunk));
      else if (chunk !== null || stream.readableEnded || stream.destroyed) onEnd();
    };
    const onEnd = (): void =>
      done(() => reject(headError('ECONNRESET', 'it ended before it had said what it wants')));
    const onError = (error: Error): void => done(() => reject(error));
    stream.on('readable', onReadable).on('end', onEnd).on('error', onError).on('close', onEnd);
    onReadable();
  });
}

function headError(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

/**
 * The client's end of a sealed connection to a remote daemon: handshake first, then records.
 *
 * Without I/O: bytes in, bytes out. The daemon proves that it holds the key it was named by, this
 * program that it holds its certificate's; afterwards everything is sealed. One object is one
 * connection.
 */

import type { RemoteCredentials } from './credentials.ts';
import { NOISE_RESPONSE_OVERHEAD, NoiseInitiator } from '../shared/noise.ts';
import { makeEphemeral, nodeNoise } from './node-noise.ts';
import {
  frameHandshake,
  RecordOpener,
  RecordSealer,
  REMOTE_PROLOGUE,
} from '../shared/sealed-records.ts';

const ANSWER_BYTES = 2 + NOISE_RESPONSE_OVERHEAD;

export interface ChannelEvents {
  /** `seal` works from now on. */
  onReady(): void;
  /** Bytes of the client protocol. */
  onBytes(bytes: Uint8Array): void;
}

export class SealedChannel {
  readonly #events: ChannelEvents;
  readonly #handshake: NoiseInitiator;
  readonly #certificate: Uint8Array;
  readonly #answer = new Uint8Array(ANSWER_BYTES);
  #answerBytes = 0;
  #sealer: RecordSealer | null = null;
  #opener: RecordOpener | null = null;

  constructor(credentials: RemoteCredentials, events: ChannelEvents) {
    this.#events = events;
    this.#certificate = credentials.certificate;
    this.#handshake = new NoiseInitiator(
      nodeNoise,
      REMOTE_PROLOGUE,
      credentials.keys(),
      makeEphemeral(),
      credentials.daemonKey,
    );
  }

  /** What to send first. Null: the daemon's key is none. */
  begin(): Uint8Array | null {
    const message = this.#handshake.writeInit(this.#certificate);
    return message === null ? null : frameHandshake(message);
  }

  /** Null, or what is wrong; then the connection has to end. */
  onBytes(chunk: Uint8Array): string | null {
    if (this.#opener !== null)
      return this.#opener.push(chunk)
        ? null
        : 'what it sent does not open; somebody may have changed it on the way';
    const take = Math.min(ANSWER_BYTES - this.#answerBytes, chunk.length);
    this.#answer.set(chunk.subarray(0, take), this.#answerBytes);
    this.#answerBytes += take;
    if (this.#answerBytes < ANSWER_BYTES) return null;
    const length = (this.#answer[0]! << 8) | this.#answer[1]!;
    const read =
      length === NOISE_RESPONSE_OVERHEAD
        ? this.#handshake.readResponse(this.#answer.subarray(2))
        : null;
    if (read === null)
      return (
        'it is not the daemon of daemonCertificate or daemonKey, or no daemon for remote ' +
        'clients'
      );
    this.#sealer = new RecordSealer(nodeNoise, read.transport.send);
    this.#opener = new RecordOpener(nodeNoise, read.transport.receive, (bytes) =>
      this.#events.onBytes(bytes),
    );
    this.#events.onReady();
    return take < chunk.length ? this.onBytes(chunk.subarray(take)) : null;
  }

  /** `bytes` as records. */
  seal(bytes: Uint8Array): Uint8Array {
    return this.#sealer!.seal(bytes);
  }
}

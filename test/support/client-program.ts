/**
 * A client program of a simulated daemon: says what a test tells it to, and remembers what it was
 * answered and told.
 */

import {
  decodeControl,
  encodeControl,
  encodeDatagram,
  encodeStreamHead,
  FRAME_EVENT,
  FRAME_HEAD_BYTES,
  FRAME_HELLO,
  FRAME_REPLY,
  FRAME_REQUEST,
  FRAME_SEND,
  FrameReader,
  STREAM_HEAD_BYTES,
} from '../../spines-client/src/shared/protocol.ts';
import { LOCAL_ACCESS, type ClientAccess, type ClientOut } from '../../src/core/ipc/client.ts';
import type { ClientPort } from '../../src/core/ipc/client-port.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';

export type Told = Record<string, unknown>;

export class ClientProgram implements ClientOut {
  bufferedBytes = 0;
  ended = false;
  readonly events: Told[] = [];
  readonly port: ClientPort;
  readonly #host: SimHost;
  readonly #replies = new Map<unknown, Told>();
  readonly #reader = new FrameReader({
    onFrame: (type, bytes, start, end) => {
      const body =
        type === FRAME_REPLY || type === FRAME_EVENT
          ? decodeControl(bytes.slice(start, end))
          : null;
      if (body === null) return;
      if (type === FRAME_REPLY) this.#replies.set(body['id'], body);
      else this.events.push(body);
    },
  });
  #id = 0;

  constructor(host: SimHost, access: ClientAccess = LOCAL_ACCESS, hello: Told = {}) {
    this.#host = host;
    this.port = host.node.attachClient(this, access)!;
    this.port.onBytes(encodeControl(FRAME_HELLO, { version: 1, client: 'test', ...hello }));
    host.endTurn();
  }

  write(bytes: Uint8Array): void {
    this.#reader.push(bytes);
  }

  append(head: Uint8Array, bytes: Uint8Array, start: number, end: number): void {
    this.write(Uint8Array.of(...head, ...bytes.subarray(start, end)));
  }

  end(): void {
    this.ended = true;
  }

  /** The reply is there when it came at once, else undefined until then. */
  ask(op: string, args: Told = {}): () => Told | undefined {
    const id = (this.#id += 1);
    this.port.onBytes(encodeControl(FRAME_REQUEST, { id, op, ...args }));
    this.#host.endTurn();
    return () => this.#replies.get(id);
  }

  /** 'ok', or the code of the refusal, of what is answered at once. */
  asked(op: string, args: Told = {}): string {
    const reply = this.ask(op, args)();
    return reply === undefined ? 'no answer' : reply['ok'] === true ? 'ok' : String(reply['code']);
  }

  send(socket: number, node: number, port: number, payload: Uint8Array): void {
    this.port.onBytes(encodeDatagram(FRAME_SEND, socket, node, port, payload));
    this.#host.endTurn();
  }

  /** `payload` on a stream that is connected. */
  stream(socket: number, payload: Uint8Array): void {
    const frame = new Uint8Array(FRAME_HEAD_BYTES + STREAM_HEAD_BYTES + payload.length);
    frame.set(payload, encodeStreamHead(frame, 0, socket, payload.length));
    this.port.onBytes(frame);
    this.#host.endTurn();
  }
}

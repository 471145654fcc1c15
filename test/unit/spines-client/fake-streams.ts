/**
 * Streams of the played daemon: loops them back between listeners and connectors, with credit end
 * to end.
 */

import * as p from '../../../spines-client/src/shared/protocol.ts';
import type { Peer } from './fake-daemon.ts';

const NODE = '10.0.0.1';

export interface End {
  peer: Peer;
  socket: number;
  /** What the client may still send, and what we may still send it. */
  window: number;
  credit: number;
  /** For this client, not sent yet. */
  waiting: Buffer[];
  waitingBytes: number;
  endedByClient: boolean;
  endWaiting: boolean;
  endTold: boolean;
  /** The client, or its number, is gone. */
  gone: boolean;
  readonly other: End;
}

export class FakeStreams {
  ends: End[] = [];
  /** Frames of clients that broke the rules. */
  violations: string[] = [];
  /** Cuts what goes to clients into pieces of random size. */
  randomCuts = false;
  resets = 0;
  maxWaitingBytes = 0;
  #listeners: { peer: Peer; socket: number; port: number }[] = [];
  #nextAccepted = p.ACCEPTED_SOCKET_FIRST;
  #seed = 7;

  get open(): number {
    return this.ends.filter((end) => !end.gone).length;
  }

  listen(peer: Peer, socket: number, port: number): void {
    this.#listeners.push({ peer, socket, port });
  }

  /** The answer to `connect`; the listener hears of it later. */
  connect(
    peer: Peer,
    socket: number,
    port: number,
    remoteNode: string,
    remotePort: number,
  ): Record<string, unknown> {
    const listener = this.#listeners.find((other) => other.port === remotePort);
    if (listener === undefined) return { code: 'ECONNREFUSED' };
    const make = (of: Peer, number: number, other: () => End): End => ({
      peer: of,
      socket: number,
      window: p.STREAM_CREDIT_INITIAL,
      credit: p.STREAM_CREDIT_INITIAL,
      waiting: [],
      waitingBytes: 0,
      endedByClient: false,
      endWaiting: false,
      endTold: false,
      gone: false,
      get other() {
        return other();
      },
    });
    const near: End = make(peer, socket, () => far);
    const far: End = make(listener.peer, this.#nextAccepted++, () => near);
    this.ends.push(near, far);
    listener.peer.socket.write(
      p.encodeControl(p.FRAME_EVENT, {
        event: 'accepted',
        listener: listener.socket,
        socket: far.socket,
        node: NODE,
        port,
      }),
    );
    return { node: NODE, port, remoteNode, remotePort };
  }

  onClose(peer: Peer, socket: number): void {
    this.#listeners = this.#listeners.filter(
      (other) => other.peer !== peer || other.socket !== socket,
    );
    const end = this.find(peer, socket);
    if (end !== undefined) this.#reset(end);
  }

  onPeerGone(peer: Peer): void {
    this.#listeners = this.#listeners.filter((other) => other.peer !== peer);
    for (const end of this.ends.filter((each) => each.peer === peer && !each.gone)) {
      if (end.endedByClient) this.#forget(end);
      else this.#reset(end);
    }
  }

  find(peer: Peer, socket: number): End | undefined {
    return this.ends.find((end) => end.peer === peer && end.socket === socket && !end.gone);
  }

  onFrame(peer: Peer, type: number, body: Uint8Array): void {
    const end = this.find(peer, p.getWord(body, 0));
    if (end === undefined) return;
    if (type === p.FRAME_STREAM_DATA)
      this.#onData(end, Buffer.from(body.subarray(p.STREAM_HEAD_BYTES)));
    else if (type === p.FRAME_STREAM_CREDIT) {
      end.credit += p.getWord(body, 4);
      this.#flush(end);
    } else if (type === p.FRAME_STREAM_END) {
      if (end.endedByClient) this.violations.push('a second end');
      end.endedByClient = true;
      end.other.endWaiting = true;
      this.#flush(end.other);
      this.#settle(end);
    } else if (type === p.FRAME_STREAM_RESET) {
      this.resets++;
      this.#reset(end);
    } else this.violations.push(`frame ${type}`);
  }

  #onData(end: End, data: Buffer): void {
    if (end.endedByClient) this.violations.push('data after the end');
    if (data.length > end.window) this.violations.push('data beyond credit');
    if (data.length > p.STREAM_DATA_BYTES_MAX) this.violations.push('too much data in a frame');
    end.window -= data.length;
    const { other } = end;
    if (other.gone) return;
    other.waiting.push(data);
    other.waitingBytes += data.length;
    this.maxWaitingBytes = Math.max(this.maxWaitingBytes, other.waitingBytes);
    this.#flush(other);
  }

  #flush(end: End): void {
    if (end.gone) return;
    let took = 0;
    while (end.waiting.length > 0 && end.credit > 0) {
      const piece = end.waiting[0]!;
      const bytes = Math.min(
        piece.length,
        end.credit,
        this.randomCuts ? 1 + (this.#random() % 20_000) : p.STREAM_DATA_BYTES_MAX,
      );
      const frame = new Uint8Array(p.FRAME_HEAD_BYTES + p.STREAM_HEAD_BYTES + bytes);
      frame.set(piece.subarray(0, bytes), p.encodeStreamHead(frame, 0, end.socket, bytes));
      end.peer.socket.write(frame);
      end.credit -= bytes;
      took += bytes;
      if (bytes === piece.length) end.waiting.shift();
      else end.waiting[0] = piece.subarray(bytes);
    }
    end.waitingBytes -= took;
    const { other } = end;
    if (took > 0 && !other.gone && !other.endedByClient) {
      other.window += took;
      other.peer.socket.write(p.encodeCredit(other.socket, took));
    }
    if (end.waiting.length === 0 && end.endWaiting && !end.endTold) {
      end.endTold = true;
      end.peer.socket.write(p.encodeSocketFrame(p.FRAME_STREAM_END, end.socket));
      this.#settle(end);
    }
  }

  /** Both sides have ended and heard of it. */
  #settle(end: End): void {
    for (const side of [end, end.other]) {
      if (
        !(end.endedByClient || end.gone) ||
        !(end.other.endedByClient || end.other.gone) ||
        side.gone
      )
        continue;
      if (!(side.endTold && (side.other.endTold || side.other.gone))) continue;
      side.peer.socket.write(
        p.encodeControl(p.FRAME_EVENT, { event: 'streamClosed', socket: side.socket }),
      );
      this.#forget(side);
    }
  }

  #reset(end: End): void {
    this.#forget(end);
    const { other } = end;
    if (other.gone) return;
    other.peer.socket.write(
      p.encodeControl(p.FRAME_EVENT, {
        event: 'streamClosed',
        socket: other.socket,
        code: 'ECONNRESET',
        message: 'reset by the far end',
      }),
    );
    this.#forget(other);
  }

  #forget(end: End): void {
    end.gone = true;
    end.peer.ports.delete(end.socket);
    this.ends = this.ends.filter((each) => each !== end);
  }

  #random(): number {
    this.#seed = (Math.imul(this.#seed, 1_103_515_245) + 12_345) >>> 0;
    return this.#seed >>> 16;
  }
}

/**
 * A Duplex whose listeners are typed by the events of a stream socket, as in net. Types only: at
 * run time it is a Duplex.
 */

import { Duplex } from 'node:stream';

import type { SocketEvents } from './socket-options.ts';

export interface EventDuplex {
  on<E extends keyof SocketEvents>(event: E, listener: (...args: SocketEvents[E]) => void): this;
  on(event: string | symbol, listener: (...args: never[]) => void): this;
  once<E extends keyof SocketEvents>(event: E, listener: (...args: SocketEvents[E]) => void): this;
  once(event: string | symbol, listener: (...args: never[]) => void): this;
  addListener<E extends keyof SocketEvents>(
    event: E,
    listener: (...args: SocketEvents[E]) => void,
  ): this;
  addListener(event: string | symbol, listener: (...args: never[]) => void): this;
  prependListener<E extends keyof SocketEvents>(
    event: E,
    listener: (...args: SocketEvents[E]) => void,
  ): this;
  prependListener(event: string | symbol, listener: (...args: never[]) => void): this;
  prependOnceListener<E extends keyof SocketEvents>(
    event: E,
    listener: (...args: SocketEvents[E]) => void,
  ): this;
  prependOnceListener(event: string | symbol, listener: (...args: never[]) => void): this;
}

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the interface only types events
export class EventDuplex extends Duplex {}

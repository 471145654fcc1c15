/**
 * A process that answers UDP datagrams and does nothing else, or one that asks it as the peers of
 * an idle daemon would: what hellos of so many links cost on this machine without any daemon.
 * Started by scale.ts.
 */

import { createSocket } from 'node:dgram';

export interface AnswererOrder {
  readonly role: 'answers' | 'asks';
  readonly port: number;
  readonly askers: number;
}

const HELLO_MS = 150;
/** As many moments in that time at which peers ask as an idle daemon is woken at. */
const MOMENTS = 20;
/** What a sealed hello takes. */
const BYTES = 47;
const HOST = '127.0.0.1';

function answers(port: number): void {
  const reply = Buffer.alloc(BYTES);
  const socket = createSocket({
    type: 'udp4',
    lookup: (host, _options, done) => done(null, host, 4),
  });
  socket.on('message', (_bytes, from) => socket.send(reply, from.port, from.address));
  socket.bind(port, HOST, () => process.send!({}));
}

function asks(port: number, askers: number): void {
  const hello = Buffer.alloc(BYTES);
  for (let i = 0; i < askers; i += 1) {
    const socket = createSocket('udp4').on('message', () => {});
    setTimeout(
      () => setInterval(() => socket.send(hello, port, HOST), HELLO_MS),
      ((i % MOMENTS) * HELLO_MS) / MOMENTS,
    );
  }
  process.send!({});
}

process.once('message', ({ role, port, askers }: AnswererOrder) =>
  role === 'answers' ? answers(port) : asks(port, askers),
);
process.on('disconnect', () => process.exit(0));

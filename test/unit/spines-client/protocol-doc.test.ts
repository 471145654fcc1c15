/**
 * PROTOCOL.md has exchanges between a program and a daemon as they are on the wire: each is said
 * again here, to a daemon in virtual time, and what is recorded must stand in the document.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

import * as protocol from '../../../spines-client/src/shared/protocol.ts';
import {
  DATAGRAM_HEAD_BYTES,
  decodeControl,
  encodeControl,
  encodeCredit,
  encodeDatagram,
  encodeSocketFrame,
  encodeStreamHead,
  FRAME_HEAD_BYTES,
  FRAME_HELLO,
  FRAME_REQUEST,
  FRAME_SEND,
  FRAME_STREAM_CREDIT,
  FRAME_STREAM_DATA,
  FRAME_STREAM_END,
  FrameReader,
  getWord,
  STREAM_HEAD_BYTES,
} from '../../../spines-client/src/shared/protocol.ts';
import { SECOND } from '../../../src/core/base/time.ts';
import type { ClientOut } from '../../../src/core/ipc/client.ts';
import { OPERATIONS } from '../../../src/core/operator/operations.ts';
import { hosts, useNetworks } from '../../support/network.ts';

useNetworks();

const file = fileURLToPath(new URL('../../../spines-client/PROTOCOL.md', import.meta.url));
const document = readFileSync(file, 'utf8');
const COLUMNS = 80;

const FRAME_NAMES = new Map(
  Object.entries(protocol)
    .filter(
      ([name, value]) =>
        name.startsWith('FRAME_') && typeof value === 'number' && !/_(BYTES|MAX)$/.test(name),
    )
    .map(([name, value]) => [value as number, name.slice('FRAME_'.length)]),
);

/** `text` in lines of at most `COLUMNS`, those behind the first one below what is behind `head`. */
function lines(head: string, text: string): string[] {
  const each = COLUMNS - head.length;
  const found = text.match(new RegExp(`.{1,${each}}`, 'g')) ?? [''];
  return found.map((part, i) => (i === 0 ? head : ' '.repeat(head.length)) + part);
}

function said(way: '>' | '<', type: number, frame: Uint8Array): string[] {
  const body = frame.slice(FRAME_HEAD_BYTES);
  const word = (at: number): number => getWord(body, at);
  let text: string;
  if (type < 0x10) text = JSON.stringify(decodeControl(body));
  else if (type <= 0x11)
    text =
      `socket ${word(0)}, node ${word(4).toString(16)}, port ${word(8) >>> 16}, ` +
      JSON.stringify(new TextDecoder().decode(body.slice(DATAGRAM_HEAD_BYTES)));
  else if (type === FRAME_STREAM_DATA)
    text =
      `socket ${word(0)}, ` +
      JSON.stringify(new TextDecoder().decode(body.slice(STREAM_HEAD_BYTES)));
  else text = `socket ${word(0)}${type === FRAME_STREAM_CREDIT ? `, ${word(4)} bytes` : ''}`;
  return [
    ...lines(`${way} ${FRAME_NAMES.get(type)} `, text),
    ...lines('    ', Buffer.from(frame).toString('hex')),
  ];
}

/** A program that says what it is told to, and records what is said. */
class Recorder implements ClientOut {
  bufferedBytes = 0;
  readonly #network = hosts(1, { seed: 7 });
  readonly #port;
  #said: string[] = [];
  readonly #reader = new FrameReader({
    onFrame: (type, bytes, start, end) =>
      this.#said.push(...said('<', type, bytes.slice(start - FRAME_HEAD_BYTES, end))),
  });
  #id = 0;

  constructor() {
    this.#network.settle();
    this.#port = this.#network.host(0).node.attachClient(this)!;
  }

  write(bytes: Uint8Array): void {
    this.#reader.push(bytes);
  }

  append(head: Uint8Array, bytes: Uint8Array, start: number, end: number): void {
    this.write(Uint8Array.of(...head, ...bytes.subarray(start, end)));
  }

  end(): void {}

  say(frame: Uint8Array): this {
    this.#said.push(...said('>', frame[4]!, frame));
    this.#port.onBytes(frame);
    this.#network.host(0).endTurn();
    this.#network.run(SECOND);
    return this;
  }

  ask(op: string, args: Record<string, unknown> = {}): this {
    this.#id += 1;
    return this.say(encodeControl(FRAME_REQUEST, { id: this.#id, op, ...args }));
  }

  /** What was said since, as a block of the document. */
  take(): string {
    const text = `\n\`\`\`\n${this.#said.join('\n')}\n\`\`\`\n`;
    this.#said = [];
    return text;
  }
}

function streamData(socket: number, text: string): Uint8Array {
  const payload = new TextEncoder().encode(text);
  const frame = new Uint8Array(FRAME_HEAD_BYTES + STREAM_HEAD_BYTES + payload.length);
  encodeStreamHead(frame, 0, socket, payload.length);
  frame.set(payload, FRAME_HEAD_BYTES + STREAM_HEAD_BYTES);
  return frame;
}

/** The far end of a stream to a socket of one's own: the first that is accepted. */
const ACCEPTED = protocol.ACCEPTED_SOCKET_FIRST + 1;
const modes = { link: 'best-effort', routing: 'link-state' };

function exchanges(): Map<string, string> {
  const program = new Recorder();
  const found = new Map<string, string>();
  const note = (name: string, done: Recorder): void => void found.set(name, done.take());
  note('hello', program.say(encodeControl(FRAME_HELLO, { version: 1, client: 'doc' })));
  note('request', program.ask('resolve', { name: 'n0' }).ask('resolve', { name: 'n9' }));
  note(
    'datagrams',
    program
      .ask('socket', { socket: 1, kind: 'datagram', ...modes, priority: 7, ttl: 9 })
      .ask('bind', { socket: 1, port: 7_000 })
      .say(encodeDatagram(FRAME_SEND, 1, 0x0a00_0001, 7_000, new TextEncoder().encode('hi')))
      .ask('close', { socket: 1 }),
  );
  note(
    'streams',
    program
      .ask('socket', { socket: 2, kind: 'stream', ...modes })
      .ask('listen', { socket: 2, port: 7_001 })
      .ask('socket', { socket: 3, kind: 'stream', ...modes, priority: 7, ttl: 9 })
      .ask('connect', { socket: 3, node: 'n0', port: 7_001 })
      .say(streamData(3, 'hello'))
      .say(encodeCredit(ACCEPTED, 5))
      .say(encodeSocketFrame(FRAME_STREAM_END, 3))
      .say(encodeSocketFrame(FRAME_STREAM_END, ACCEPTED)),
  );
  return found;
}

test('exchanges are as they are on the wire', () => {
  let wanted = document;
  for (const [name, text] of exchanges())
    wanted = wanted.replace(
      new RegExp(`(<!-- exchange: ${name} -->\n)(\n\`\`\`\n[^]*?\n\`\`\`\n)?`),
      (_all, mark: string) => mark + text,
    );
  if (process.env['SPINES_WRITE'] === '1') writeFileSync(file, wanted);
  expect(document).toBe(wanted);
  expect([...document.matchAll(/<!-- exchange: (\w+) -->/g)].map(([, name]) => name)).toEqual([
    ...exchanges().keys(),
  ]);
});

test('each frame and each operation is in the document', () => {
  const [, frames = ''] = document.split('<!-- frames -->');
  const rows = [...frames.matchAll(/^\| (0x\w\w) \| (\w+) \|/gm)];
  expect(rows.map(([, value, name]) => [Number(value), name])).toEqual(
    [...FRAME_NAMES].sort(([a], [b]) => a - b),
  );
  const missing = Object.keys(OPERATIONS).filter((name) => !document.includes(`\`${name}\``));
  expect(missing).toEqual([]);
});

/**
 * What leaves for clients arrives whole and in order, whoever reads slowly beside whom: memory that
 * is joined, lent and used again must never be written while somebody still has to read it.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { Rng } from '../../../../src/core/base/rng.ts';
import { IpcServer } from '../../../../src/host/doors/ipc-server.ts';
import type { ClientOut } from '../../../../src/core/ipc/client.ts';
import { randomBytes } from '../../../fuzz/mutate.ts';

let folder: string;
let server: IpcServer;
let outs: ClientOut[];
let arrived: () => void;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'spines-ipc-'));
  outs = [];
  arrived = () => {};
  server = new IpcServer({
    onClient: (out, access) => {
      outs.push(out);
      arrived();
      return { onBytes: () => {}, close: () => {}, greeted: true, access, dismiss: () => {} };
    },
    onRefused: () => {},
    onTurn: () => {},
    onTurnEnd: () => {},
  });
  await server.listenUnix(join(folder, 'd.sock'));
});

afterEach(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A client that is connected, and what the server writes to it. */
async function client(): Promise<{ socket: Socket; out: ClientOut }> {
  const accepted = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  const socket = connect(join(folder, 'd.sock'));
  socket.pause();
  await accepted;
  return { socket, out: outs.at(-1)! };
}

test(
  'frames of any length, in turns of any length, ' +
    'to clients that read and to one that begins late',
  async () => {
    for (const seed of [1, 2, 3]) {
      const rng = new Rng(seed);
      const clients = [await client(), await client(), await client()];
      const expected: Uint8Array[][] = clients.map(() => []),
        got: Buffer[][] = clients.map(() => []);
      const read = (i: number): void => {
        clients[i]!.socket.on('data', (chunk: Buffer) => got[i]!.push(chunk)).resume();
      };
      read(0);
      read(1);
      for (let turn = 0; turn < 150; turn += 1) {
        for (let writes = rng.below(40); writes > 0; writes -= 1) {
          const i = rng.below(3);
          const length = rng.chance(0.02)
            ? 60_000 + rng.below(20_000)
            : rng.below(rng.chance(0.5) ? 40 : 1_500);
          const bytes = randomBytes(rng, length + 10),
            start = rng.below(10),
            head = randomBytes(rng, 1 + rng.below(20));
          if (rng.chance(0.3)) {
            expected[i]!.push(bytes.slice());
            clients[i]!.out.write(bytes);
          } else {
            expected[i]!.push(head.slice(), bytes.slice(start, start + length));
            clients[i]!.out.append(head, bytes, start, start + length);
            // The caller may do with its own what it likes.
            head.fill(0);
            bytes.fill(0);
          }
        }
        server.flush();
        await new Promise((resolve) => setImmediate(resolve));
      }
      read(2);
      const whole = expected.map((parts) => Buffer.concat(parts));
      for (const { out } of clients) out.end();
      await Promise.all(
        clients.map(({ socket }) => new Promise((resolve) => socket.once('close', resolve))),
      );
      clients.forEach((_, i) =>
        expect(Buffer.concat(got[i]!).equals(whole[i]!), `client ${i}`).toBe(true),
      );
      expect(whole[2]!.length, 'more than the kernel takes for who does not read').toBeGreaterThan(
        500_000,
      );
    }
  },
);

test('bytes that wait are counted until the client takes them', async () => {
  const { socket, out } = await client();
  for (let i = 0; i < 500; i += 1) {
    out.append(new Uint8Array(10), new Uint8Array(1_000), 0, 1_000);
    if (i % 10 === 9) server.flush();
  }
  const waiting = out.bufferedBytes;
  expect(waiting).toBeGreaterThan(100_000);
  expect(waiting).toBeLessThan(505_000);
  let read = 0;
  await new Promise<void>((resolve) =>
    socket
      .on('data', (chunk) => {
        if ((read += chunk.length) === 505_000) resolve();
      })
      .resume(),
  );
  out.append(new Uint8Array(1), new Uint8Array(0), 0, 0);
  expect(out.bufferedBytes).toBeGreaterThanOrEqual(1);
  server.flush();
  await new Promise<void>((resolve) => socket.once('data', () => resolve()));
  expect(out.bufferedBytes).toBe(0);
  socket.destroy();
});

/**
 * Which user is at a Unix socket: another one is told from our own, where the system can be asked.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';

import { peerUser } from '../../../../src/host/doors/peer-user.ts';

const folder = mkdtempSync(join(tmpdir(), 'spines-peer-'));
const path = join(folder, 'socket');
const server = createServer();
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});
/** There are machines without it; this one of ours has root. */
const ROOT = process.getuid?.() === 0;
const OTHER = 12_345;

async function accepted(): Promise<Socket> {
  const [socket] = (await once(server, 'connection')) as [Socket];
  return socket.on('error', () => {});
}

test('our own user, and nobody once the connection is gone', async () => {
  server.listen(path);
  await once(server, 'listening');
  const coming = accepted(),
    own = connect(path);
  const socket = await coming;
  expect(peerUser(socket)).toBe(process.getuid!());
  socket.destroy();
  own.destroy();
  await once(socket, 'close');
  expect(peerUser(socket)).toBe('unknown');
});

test.skipIf(!ROOT)("another user's program", async () => {
  chmodSync(folder, 0o755);
  chmodSync(path, 0o666);
  const coming = accepted();
  const child = spawn(
    process.execPath,
    ['-e', 'require("node:net").connect(process.argv[1]).on("close", () => {})', path],
    { uid: OTHER, gid: OTHER, cwd: '/', stdio: 'ignore' },
  );
  const socket = await coming;
  expect(peerUser(socket)).toBe(OTHER);
  socket.destroy();
  if (child.exitCode === null) await once(child, 'exit');
});

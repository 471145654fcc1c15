/**
 * Whose socket a client finds: one that somebody else put there is not spoken to. Needs root, who
 * can give files away.
 */

import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { SpinesClient } from '../../../../spines-client/src/index.ts';
import {
  socketOwnerFault,
  type Whoami,
} from '../../../../spines-client/src/remote/socket-owner.ts';

const ME = 1_001,
  MALLORY = 1_002,
  SERVICE = 998;
const names: Readonly<Record<number, string>> = {
  0: 'root',
  [ME]: 'alice',
  [MALLORY]: 'mallory',
  [SERVICE]: 'spines',
};
const who = (uid: number, env: Record<string, string> = {}): Whoami => ({
  uid,
  env,
  nameOf: (of) => names[of] ?? null,
});

let dir = '',
  servers: Server[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'spines-owner-'));
});
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  rmSync(dir, { recursive: true, force: true });
});

async function socketOf(uid: number, folderUid: number, mode = 0o755): Promise<string> {
  const folder = join(dir, 'place'),
    path = join(folder, 'spines.sock');
  mkdirSync(folder);
  const server = createServer((socket) => {
    socket.resume();
  });
  servers.push(server);
  await new Promise<void>((resolve) => {
    server.listen(path, resolve);
  });
  chownSync(path, uid, uid);
  chownSync(folder, folderUid, folderUid);
  chmodSync(folder, mode);
  return path;
}

describe.skipIf(process.getuid?.() !== 0)('a socket', () => {
  test.each([
    [ME, ME],
    [0, 0],
    [ME, 0],
    [0, ME],
  ])('of user %i in a folder of user %i is mine to use', async (socket, folder) => {
    expect(socketOwnerFault(await socketOf(socket, folder), who(ME))).toBeNull();
  });

  test(
    'of somebody else, in /tmp or anywhere, is refused, ' +
      'and the message names him and the way out',
    async () => {
      const path = await socketOf(MALLORY, 0, 0o1777);
      expect(socketOwnerFault(path, who(ME))).toBe(
        `${path} belongs to mallory, not to you or root: what is sent there, they may read; ` +
          "if that is the daemon's user, set SPINES_SOCKET_OWNER=mallory; else ask its owner " +
          'which ' +
          'path is right',
      );
      expect(socketOwnerFault(path, who(0))).toContain('belongs to mallory');
    },
  );

  test('in a folder of somebody else is refused, whoever it belongs to', async () => {
    expect(socketOwnerFault(await socketOf(ME, MALLORY), who(ME))).toMatch(
      /the folder of .* belongs to mallory, not to you or root/,
    );
  });

  test(
    'in a folder that everybody may write to is refused, ' + 'unless that keeps their hands off',
    async () => {
      const path = await socketOf(ME, ME, 0o777);
      expect(socketOwnerFault(path, who(ME))).toMatch(/everybody may write to the folder/);
      chmodSync(join(dir, 'place'), 0o1777);
      expect(socketOwnerFault(path, who(ME))).toBeNull();
    },
  );

  test.each(['spines', String(SERVICE)])(
    'of the user that SPINES_SOCKET_OWNER=%s names is mine to use, and no other',
    async (named) => {
      const path = await socketOf(SERVICE, SERVICE);
      expect(socketOwnerFault(path, who(ME))).toContain('belongs to spines');
      expect(socketOwnerFault(path, who(ME, { SPINES_SOCKET_OWNER: named }))).toBeNull();
      expect(socketOwnerFault(path, who(ME, { SPINES_SOCKET_OWNER: 'mallory' }))).not.toBeNull();
    },
  );

  test("of whoever called sudo is root's to use, and nobody else's SUDO_UID counts", async () => {
    const path = await socketOf(ME, ME);
    expect(socketOwnerFault(path, who(0, { SUDO_UID: String(ME) }))).toBeNull();
    expect(socketOwnerFault(path, who(MALLORY, { SUDO_UID: String(ME) }))).not.toBeNull();
  });

  test('is judged where a link leads', async () => {
    const path = await socketOf(MALLORY, MALLORY),
      link = join(dir, 'link.sock');
    symlinkSync(path, link);
    expect(socketOwnerFault(link, who(ME))).toContain('belongs to mallory');
    expect(socketOwnerFault(join(dir, 'nothing.sock'), who(ME))).toBeNull();
  });

  test('of somebody else is not connected to', async () => {
    const path = await socketOf(MALLORY, 0);
    let connections = 0;
    servers[0]!.on('connection', () => {
      connections += 1;
    });
    await expect(SpinesClient.connect({ path, reconnect: false })).rejects.toMatchObject({
      code: 'EACCES',
      message: expect.stringContaining('SPINES_SOCKET_OWNER'),
    });
    expect(connections).toBe(0);
  });
});

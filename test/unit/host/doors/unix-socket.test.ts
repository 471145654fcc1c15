/**
 * The door's file and what it says to whom it refuses: nobody removes a living daemon's socket, and
 * nobody is refused without a word.
 */

import { linkSync, mkdtempSync, readdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { SpinesClient } from 'spines-client';

import { DampedLog } from '../../../../src/host/log/damped-log.ts';
import { IpcServer } from '../../../../src/host/doors/ipc-server.ts';
import {
  fileIdOf,
  SOCKET_PATH_BYTES_MAX,
  socketPathFault,
} from '../../../../src/host/doors/unix-socket.ts';

let dir: string;
const open: IpcServer[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'spines-socket-'));
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close()));
  rmSync(dir, { recursive: true, force: true });
});

/** A door that refuses everybody with `why`, so that whoever is told it has reached this one. */
async function door(
  path: string,
  why: string,
  told: (why: string) => void = () => {},
): Promise<IpcServer> {
  const server = new IpcServer({
    onClient: () => why,
    onRefused: told,
    onTurn: () => {},
    onTurnEnd: () => {},
  });
  await server.listenUnix(path);
  open.push(server);
  return server;
}

async function answer(path: string): Promise<string> {
  return SpinesClient.connect({ path }).then(
    () => 'connected',
    (error: Error) => error.message,
  );
}

describe('a socket file', () => {
  test('of a daemon that ends goes with it, and that of its successor does not', async () => {
    const path = join(dir, 'd.sock');
    const first = await door(path, 'first');
    unlinkSync(path);
    const second = await door(path, 'second');
    const file = fileIdOf(path);
    await first.close();
    expect(fileIdOf(path)).toEqual(file);
    expect(readdirSync(dir)).toEqual(['d.sock']);
    expect(await answer(path)).toBe('the daemon ends the connection: second');
    await second.close();
    expect(readdirSync(dir)).toEqual([]);
  });

  test('that somebody else has put there, or taken away, is no trouble at the end', async () => {
    const path = join(dir, 'd.sock');
    const first = await door(path, 'first');
    unlinkSync(path);
    writeFileSync(path, 'a file');
    await first.close();
    expect(readdirSync(dir)).toEqual(['d.sock']);
    unlinkSync(path);
    const second = await door(path, 'second');
    unlinkSync(path);
    await second.close();
    expect(readdirSync(dir)).toEqual([]);
  });

  test('of a dead daemon gives way, that of a living one or another file does not', async () => {
    const path = join(dir, 'd.sock');
    const dead = createServer();
    await new Promise<void>((resolve) => dead.listen(path, resolve));
    linkSync(path, join(dir, 'kept'));
    await new Promise<void>((resolve) => dead.close(() => resolve()));
    linkSync(join(dir, 'kept'), path);
    await door(path, 'heir');
    expect(await answer(path)).toContain('heir');
    await expect(door(path, 'other')).rejects.toMatchObject({
      code: 'EADDRINUSE',
      message: expect.stringContaining('a daemon answers on'),
    });
    expect(await answer(path)).toContain('heir');
    writeFileSync(join(dir, 'file'), '');
    await expect(door(join(dir, 'file'), 'x')).rejects.toMatchObject({ code: 'EEXIST' });
  });

  test(
    'is had by one of several daemons that start at ' +
      'once over that of a dead one, and the others say so',
    async () => {
      for (let round = 0; round < 20; round += 1) {
        const path = join(dir, `${round}.sock`);
        const dead = createServer();
        await new Promise<void>((resolve) => dead.listen(path, resolve));
        linkSync(path, join(dir, 'kept'));
        await new Promise<void>((resolve) => dead.close(() => resolve()));
        linkSync(join(dir, 'kept'), path);
        unlinkSync(join(dir, 'kept'));
        const outcomes = await Promise.allSettled(
          ['a', 'b', 'c'].map((name) => door(path, `daemon ${name}`)),
        );
        expect(
          outcomes.filter(({ status }) => status === 'fulfilled'),
          `round ${round}`,
        ).toHaveLength(1);
        for (const outcome of outcomes)
          if (outcome.status === 'rejected')
            expect(outcome.reason).toMatchObject({ code: 'EADDRINUSE' });
        expect(await answer(path)).toBe(
          'the daemon ends the connection: daemon ' +
            `${'abc'[outcomes.findIndex(({ status }) => status === 'fulfilled')]!}`,
        );
      }
      expect(readdirSync(dir).filter((name) => !name.endsWith('.sock'))).toEqual([]);
    },
  );

  test('has a path that fits, at both ends', async () => {
    const path = join(dir, 'x'.repeat(SOCKET_PATH_BYTES_MAX - Buffer.byteLength(dir) - 1));
    expect(socketPathFault(path)).toBeNull();
    await door(path, 'here');
    expect(await answer(path)).toContain('here');
    for (const [longer, bytes] of [
      [`${path}x`, SOCKET_PATH_BYTES_MAX + 1],
      [`${path}${'ä'.repeat(100)}`, SOCKET_PATH_BYTES_MAX + 200],
    ] as const) {
      const said =
        `${longer} is too long for a socket: ${bytes} bytes, and ` +
        `${SOCKET_PATH_BYTES_MAX} are the most; choose a shorter path`;
      await expect(door(longer, 'nowhere')).rejects.toMatchObject({
        code: 'ENAMETOOLONG',
        message: said,
      });
      await expect(SpinesClient.connect({ path: longer })).rejects.toMatchObject({
        code: 'ENAMETOOLONG',
        syscall: 'connect',
        message: said,
      });
    }
  });
});

describe('whoever is refused', () => {
  test('is told why, by code and words, however many there are', async () => {
    const path = join(dir, 'd.sock');
    let told = 0;
    await door(path, '256 clients are connected', () => {
      told += 1;
    });
    await expect(SpinesClient.connect({ path })).rejects.toMatchObject({
      code: 'EMFILE',
      message: 'the daemon ends the connection: 256 clients are connected',
    });
    const answers = await Promise.all(Array.from({ length: 150 }, () => answer(path)));
    expect(
      answers.filter((text) => text === 'the daemon ends the connection: 256 clients are connected')
        .length,
    ).toBeGreaterThanOrEqual(64);
    expect(told).toBe(151);
  });

  test('is logged at once, and those that follow are counted', () => {
    vi.useFakeTimers();
    const lines: string[] = [];
    const log = new DampedLog({
      warn: (fields, message) => {
        lines.push(`${message} ${JSON.stringify(fields)}`);
      },
    });
    log.warn({ why: 'a' }, 'refused');
    for (let i = 0; i < 1_000; i += 1) log.warn({ why: 'b' }, 'refused');
    expect(lines).toEqual(['refused {"why":"a"}']);
    vi.advanceTimersByTime(10_000);
    expect(lines).toEqual(['refused {"why":"a"}', 'refused {"why":"b","times":1000}']);
    vi.advanceTimersByTime(60_000);
    log.warn({ why: 'c' }, 'refused');
    expect(lines.slice(2)).toEqual(['refused {"why":"c"}']);
    vi.useRealTimers();
  });
});

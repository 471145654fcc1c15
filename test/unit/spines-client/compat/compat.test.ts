/** The classic calls, against a daemon that is played. */

import { afterEach, beforeEach, expect, it } from 'vitest';

import * as s from '../../../../spines-client/src/compat/compat.ts';
import { FakeDaemon, freshPath } from '../fake-daemon.ts';

let daemon: FakeDaemon;
let open: number[];

beforeEach(async () => {
  daemon = await new FakeDaemon().start();
  open = [];
});

afterEach(async () => {
  for (const fd of open) await s.spinesClose(fd).catch(() => {});
  await daemon.stop();
});

async function socket(protocol = s.UDP_LINKS | s.MIN_WEIGHT_ROUTING): Promise<number> {
  const fd = await s.spinesSocket(s.PF_SPINES, s.SOCK_DGRAM, protocol, daemon.path);
  open.push(fd);
  return fd;
}

it('sends and receives between two descriptors', async () => {
  const [a, b] = [await socket(), await socket(s.RELIABLE_LINKS)];
  expect([a, b]).toEqual([1, 2]);
  expect(await s.spinesBind(b, { port: 8400 })).toBe(0);
  const buffer = Buffer.alloc(16);
  const receiving = s.spinesRecvFrom(b, buffer);
  expect(await s.spinesSendTo(a, 'hello', 0, { address: 'alpha', port: 8400 })).toBe(5);
  const received = await receiving;
  expect(received).toEqual({ bytes: 5, truncated: false, from: await s.spinesGetsockname(a) });
  expect(buffer.toString('utf8', 0, 5)).toBe('hello');
  await s.spinesConnect(b, received.from);
  expect(await s.spinesSend(b, Buffer.from('back'))).toBe(4);
  expect(await s.spinesRecv(a, buffer)).toBe(4);
  expect(await s.spinesSendTo(a, 'longer than it', 0, { address: '10.0.0.1', port: 8400 })).toBe(
    14,
  );
  expect(await s.spinesRecvFrom(b, Buffer.alloc(6))).toMatchObject({ bytes: 6, truncated: true });
  expect(daemon.peers).toHaveLength(1);
  expect(daemon.ops('socket').map((request) => request['link'])).toEqual([
    'reliable',
    'best-effort',
  ]);
});

it('keeps messages until they are asked for', async () => {
  const [a, b] = [await socket(), await socket()];
  await s.spinesBind(b, 8400);
  for (const text of ['1', '2', '3'])
    await s.spinesSendTo(a, text, 0, { address: 'alpha', port: 8400 });
  const texts: string[] = [];
  const buffer = Buffer.alloc(4);
  for (let i = 0; i < 3; i++)
    texts.push(buffer.toString('utf8', 0, (await s.spinesRecvFrom(b, buffer)).bytes));
  expect(texts).toEqual(['1', '2', '3']);
});

it('answers a port in use, which the C call cannot', async () => {
  daemon.takenPorts.add(9);
  await expect(s.spinesBind(await socket(), { port: 9 })).rejects.toMatchObject({
    code: 'EADDRINUSE',
  });
});

it('sets and gets options', async () => {
  const fd = await socket();
  await s.spinesBind(fd, 0);
  expect(await s.spinesSetsockopt(fd, 0, s.SPINES_IP_TTL, 12)).toBe(0);
  expect(await s.spinesGetsockopt(fd, 0, s.SPINES_IP_TTL)).toBe(12);
  await expect(s.spinesSetsockopt(fd, 0, s.SPINES_SET_PRIORITY, 11)).rejects.toMatchObject({
    code: 'EINVAL',
  });
  const protocol = s.UDP_LINKS | s.SOURCE_BASED_ROUTING;
  const several = await s.spinesSocket(s.PF_SPINES, s.SOCK_DGRAM, protocol, daemon.path);
  expect(await s.spinesSetsockopt(several, 0, s.SPINES_DISJOINT_PATHS, 3)).toBe(0);
  for (const [of, paths] of [
    [several, 0],
    [several, 6],
    [fd, 2],
  ] as const)
    await expect(s.spinesSetsockopt(of, 0, s.SPINES_DISJOINT_PATHS, paths)).rejects.toMatchObject({
      code: 'EINVAL',
    });
  await s.spinesClose(several);
  await expect(s.spinesSetsockopt(fd, 0, s.SPINES_ADD_MEMBERSHIP, 1)).rejects.toMatchObject({
    code: 'ENOPROTOOPT',
  });
});

it('gives every wrong descriptor EBADF', async () => {
  const closed = await socket();
  const waiting = s.spinesRecvFrom(closed, Buffer.alloc(1));
  waiting.catch(() => {});
  await s.spinesClose(closed);
  await expect(waiting).rejects.toMatchObject({ code: 'EBADF' });
  const to = { address: 'alpha', port: 1 };
  for (const fd of [closed, 0, -1, 1.5, NaN, 99_999]) {
    for (const call of [
      () => s.spinesBind(fd, 1),
      () => s.spinesSendTo(fd, 'x', 0, to),
      () => s.spinesRecvFrom(fd, Buffer.alloc(1)),
      () => s.spinesConnect(fd, to),
      () => s.spinesSend(fd, 'x'),
      () => s.spinesRecv(fd, Buffer.alloc(1)),
      () => s.spinesClose(fd),
      () => s.spinesSetsockopt(fd, 0, s.SPINES_IP_TTL, 1),
      () => s.spinesGetsockopt(fd, 0, s.SPINES_IP_TTL),
      () => s.spinesGetsockname(fd),
      () => s.spinesListen(fd),
      () => s.spinesAccept(fd),
      () => s.spinesShutdown(fd, 0),
    ])
      await expect(call()).rejects.toMatchObject({ code: 'EBADF' });
  }
});

it('has no other families and no other protocols yet', async () => {
  await expect(
    s.spinesSocket(s.PF_SPINES, s.SOCK_STREAM, s.SOFT_REALTIME_LINKS, daemon.path),
  ).rejects.toMatchObject({ code: 'EPROTONOSUPPORT' });
  await expect(s.spinesSocket(10, s.SOCK_DGRAM, 0, daemon.path)).rejects.toMatchObject({
    code: 'EAFNOSUPPORT',
  });
  await expect(
    s.spinesSocket(s.PF_SPINES, s.SOCK_DGRAM, s.IT_PRIORITY_ROUTING, daemon.path),
  ).rejects.toMatchObject({ code: 'EPROTONOSUPPORT' });
  await expect(
    s.spinesSocket(
      s.PF_SPINES,
      s.SOCK_STREAM,
      s.RELIABLE_LINKS | s.SOURCE_BASED_ROUTING,
      daemon.path,
    ),
  ).rejects.toMatchObject({ code: 'EPROTONOSUPPORT' });
  const fd = await socket();
  await expect(s.spinesListen(fd, 5)).rejects.toMatchObject({ code: 'EOPNOTSUPP' });
  await expect(s.spinesAccept(fd)).rejects.toMatchObject({ code: 'EOPNOTSUPP' });
});

it('gives up receiving by signal, and loses no message by it', async () => {
  const [a, b] = [await socket(), await socket()];
  await s.spinesBind(b, 8400);
  const controller = new AbortController();
  const receiving = s.spinesRecvFrom(b, Buffer.alloc(4), 0, { signal: controller.signal });
  controller.abort();
  await expect(receiving).rejects.toMatchObject({ code: 'ABORT_ERR' });
  await s.spinesSendTo(a, 'kept', 0, { address: 'alpha', port: 8400 });
  expect(await s.spinesRecv(b, Buffer.alloc(4))).toBe(4);
});

it('bounds the descriptors, and reuses those that a missing daemon or a close freed', async () => {
  await expect(s.spinesSocket(s.PF_SPINES, s.SOCK_DGRAM, 0, freshPath())).rejects.toMatchObject({
    code: 'ENOENT',
  });
  open = await Promise.all(
    Array.from({ length: s.DESCRIPTORS_MAX }, () =>
      s.spinesSocket(s.PF_SPINES, s.SOCK_DGRAM, 0, daemon.path),
    ),
  );
  expect(Math.max(...open)).toBe(s.DESCRIPTORS_MAX);
  await expect(socket()).rejects.toMatchObject({ code: 'EMFILE' });
  await s.spinesClose(17);
  expect(await s.spinesSocket(s.PF_SPINES, s.SOCK_DGRAM, 0, daemon.path)).toBe(17);
});

it('takes one default daemon', async () => {
  expect(s.spinesInit(daemon.path)).toBe(1);
  expect(s.spinesInit('/elsewhere')).toBe(0);
  open.push(await s.spinesSocket(s.PF_SPINES, s.SOCK_DGRAM));
  expect(daemon.peers).toHaveLength(1);
});

async function stream(): Promise<number> {
  const fd = await s.spinesSocket(s.PF_SPINES, s.SOCK_STREAM, s.RELIABLE_LINKS, daemon.path);
  open.push(fd);
  return fd;
}

async function streams(): Promise<{ listener: number; near: number; far: number }> {
  const [listener, near] = [await stream(), await stream()];
  await s.spinesBind(listener, 8400);
  expect(await s.spinesListen(listener, 5)).toBe(0);
  const accepting = s.spinesAccept(listener);
  expect(await s.spinesConnect(near, { address: 'alpha', port: 8400 })).toBe(0);
  const { fd: far, from } = await accepting;
  open.push(far);
  expect(from).toEqual(await s.spinesGetsockname(near));
  return { listener, near, far };
}

it('carries a stream between two descriptors, half-closed and closed as in C', async () => {
  const { listener, near, far } = await streams();
  const data = Buffer.alloc(1_000_000, 'stream data ');
  const sending = s.spinesSend(near, data).then(() => s.spinesShutdown(near, s.SHUT_WR));
  const got: Buffer[] = [];
  for (;;) {
    const buffer = Buffer.alloc(10_007);
    const bytes = await s.spinesRecv(far, buffer);
    if (bytes === 0) break;
    got.push(buffer.subarray(0, bytes));
  }
  expect(Buffer.concat(got).equals(data)).toBe(true);
  expect(await sending).toBe(0);
  await expect(s.spinesSend(near, 'x')).rejects.toMatchObject({ code: 'EPIPE' });
  expect(await s.spinesSend(far, 'answer')).toBe(6);
  expect(await s.spinesRecvFrom(near, Buffer.alloc(10))).toEqual({
    bytes: 6,
    truncated: false,
    from: { address: '10.0.0.1', port: 8400 },
  });
  await s.spinesClose(far);
  expect(await s.spinesRecv(near, Buffer.alloc(10))).toBe(0);
  await s.spinesClose(near);
  expect(await s.spinesClose(listener)).toBe(0);
  expect(daemon.streams.violations).toEqual([]);
});

it('reports on streams what C reports by errno', async () => {
  const fd = await stream();
  await expect(s.spinesConnect(fd, { address: 'alpha', port: 9 })).rejects.toMatchObject({
    code: 'ECONNREFUSED',
  });
  await expect(s.spinesSend(fd, 'x')).rejects.toMatchObject({ code: 'ENOTCONN' });
  await expect(s.spinesAccept(fd)).rejects.toMatchObject({ code: 'EINVAL' });
  daemon.takenPorts.add(70);
  await s.spinesBind(fd, 70);
  await expect(s.spinesListen(fd, 1)).rejects.toMatchObject({ code: 'EADDRINUSE' });
  const { near, far, listener } = await streams();
  await expect(s.spinesConnect(near, { address: 'alpha', port: 9 })).rejects.toMatchObject({
    code: 'EISCONN',
  });
  await expect(s.spinesAccept(listener, { signal: AbortSignal.abort() })).rejects.toMatchObject({
    code: 'ABORT_ERR',
  });
  await expect(
    s.spinesRecv(near, Buffer.alloc(1), 0, { signal: AbortSignal.abort() }),
  ).rejects.toMatchObject({ code: 'ABORT_ERR' });
  await s.spinesSend(far, 'never read');
  const receiving = s.spinesRecv(far, Buffer.alloc(1));
  const accepting = s.spinesAccept(listener);
  accepting.catch(() => {});
  await s.spinesClose(listener);
  await expect(accepting).rejects.toMatchObject({ code: 'EBADF' });
  receiving.catch(() => {});
  await s.spinesGetsockopt(await socket(), 0, s.SPINES_IP_TTL);
  await s.spinesClose(near);
  await expect(receiving).rejects.toMatchObject({ code: 'ECONNRESET' });
});

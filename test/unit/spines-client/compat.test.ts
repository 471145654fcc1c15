/** The classic calls, against a daemon that is played. */

import { afterEach, beforeEach, expect, it } from 'vitest';

import * as s from '../../../spines-client/src/compat.ts';
import { FakeDaemon, freshPath } from './fake-daemon.ts';

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
  expect(await s.spinesSendTo(a, 'longer than it', 0, { address: '10.0.0.1', port: 8400 })).toBe(14);
  expect(await s.spinesRecvFrom(b, Buffer.alloc(6))).toMatchObject({ bytes: 6, truncated: true });
  expect(daemon.peers).toHaveLength(1);
  expect(daemon.ops('socket').map((request) => request['link'])).toEqual(['reliable', 'best-effort']);
});

it('keeps messages until they are asked for', async () => {
  const [a, b] = [await socket(), await socket()];
  await s.spinesBind(b, 8400);
  for (const text of ['1', '2', '3']) await s.spinesSendTo(a, text, 0, { address: 'alpha', port: 8400 });
  const texts: string[] = [];
  const buffer = Buffer.alloc(4);
  for (let i = 0; i < 3; i++) texts.push(buffer.toString('utf8', 0, (await s.spinesRecvFrom(b, buffer)).bytes));
  expect(texts).toEqual(['1', '2', '3']);
});

it('answers a port in use, which the C call cannot', async () => {
  daemon.takenPorts.add(9);
  await expect(s.spinesBind(await socket(), { port: 9 })).rejects.toMatchObject({ code: 'EADDRINUSE' });
});

it('sets and gets options', async () => {
  const fd = await socket();
  await s.spinesBind(fd, 0);
  expect(await s.spinesSetsockopt(fd, 0, s.SPINES_IP_TTL, 12)).toBe(0);
  expect(await s.spinesGetsockopt(fd, 0, s.SPINES_IP_TTL)).toBe(12);
  await expect(s.spinesSetsockopt(fd, 0, s.SPINES_SET_PRIORITY, 11)).rejects.toMatchObject({ code: 'EINVAL' });
  await expect(s.spinesSetsockopt(fd, 0, s.SPINES_ADD_MEMBERSHIP, 1)).rejects.toMatchObject({ code: 'ENOPROTOOPT' });
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
      () => s.spinesBind(fd, 1), () => s.spinesSendTo(fd, 'x', 0, to), () => s.spinesRecvFrom(fd, Buffer.alloc(1)), () => s.spinesConnect(fd, to),
      () => s.spinesSend(fd, 'x'), () => s.spinesRecv(fd, Buffer.alloc(1)), () => s.spinesClose(fd), () => s.spinesSetsockopt(fd, 0, s.SPINES_IP_TTL, 1),
      () => s.spinesGetsockopt(fd, 0, s.SPINES_IP_TTL), () => s.spinesGetsockname(fd), () => s.spinesListen(fd), () => s.spinesAccept(fd),
    ]) await expect(call()).rejects.toMatchObject({ code: 'EBADF' });
  }
});

it('has no streams, no other families and no other protocols yet', async () => {
  await expect(s.spinesSocket(s.PF_SPINES, s.SOCK_STREAM, 0, daemon.path)).rejects.toMatchObject({ code: 'EOPNOTSUPP', message: 'stream sockets are not available in this version' });
  await expect(s.spinesSocket(10, s.SOCK_DGRAM, 0, daemon.path)).rejects.toMatchObject({ code: 'EAFNOSUPPORT' });
  await expect(s.spinesSocket(s.PF_SPINES, s.SOCK_DGRAM, s.IT_PRIORITY_ROUTING, daemon.path)).rejects.toMatchObject({ code: 'EPROTONOSUPPORT' });
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
  await expect(s.spinesSocket(s.PF_SPINES, s.SOCK_DGRAM, 0, freshPath())).rejects.toMatchObject({ code: 'ENOENT' });
  open = await Promise.all(Array.from({ length: s.DESCRIPTORS_MAX }, () => s.spinesSocket(s.PF_SPINES, s.SOCK_DGRAM, 0, daemon.path)));
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

/**
 * What needs more than one place of a config file to judge: things named twice, and keys that are
 * for something that is not there.
 */

import { NO_NODE } from '../../core/base/ids.ts';
import type { Certified } from './config-certify.ts';
import { formatSocketAddress } from './config-fields.ts';
import type { Fault } from './config-places.ts';
import { findRuleFaults } from './config-rules.ts';
import type { FileData } from './config-schema.ts';

/** What needs more than one place of the file to judge. */
export function findDuplicates(data: FileData, { id, links, ...doors }: Certified): Fault[] {
  const faults = findRuleFaults(data.firewall, (data.security ?? 'sealed') === 'sealed');
  for (const key of ['maxSize', 'keep'] as const) {
    if (
      data.log?.[key] === undefined ||
      data.log.file !== undefined ||
      data.log.audit !== undefined
    )
      continue;
    faults.push({
      path: ['log', key],
      message: 'is for a log file; name it with `log.file`, or leave this out',
      atKey: true,
    });
  }
  faults.push(...findTwice(data, doors));
  links.forEach(({ node }, i) => {
    if (node === id && node !== NO_NODE && data.links![i]!.node !== undefined)
      faults.push({ path: ['links', i, 'node'], message: "is this daemon's own id" });
  });
  if (data.client?.remote?.at && (data.security ?? 'sealed') !== 'sealed') {
    faults.push({
      path: ['client', 'remote'],
      message:
        'remote clients are known by certificate, which needs `security: sealed` and an ' +
        'identity; leave it out otherwise',
    });
  }
  if (data.network?.presharedKey !== undefined && (data.security ?? 'sealed') !== 'sealed') {
    faults.push({
      path: ['network', 'presharedKey'],
      message: 'is for the handshake of sealed links; leave it out with `security: none`',
      atKey: true,
    });
  }
  if (data.log?.file !== undefined && data.log.file === data.log.audit) {
    faults.push({
      path: ['log', 'audit'],
      message: "is the log's own file; name another, or leave it out and its lines are in the log",
    });
  }
  if (data.client?.socket?.path === null && data.client.group?.name) {
    faults.push({
      path: ['client', 'group'],
      message: 'is for the socket, and there is none; leave one of the two out',
    });
  }
  if (
    data.client?.socket?.path === null &&
    doors.sockets.length === 0 &&
    (data.client.tcp ?? null) === null &&
    (data.client.remote?.at ?? null) === null
  ) {
    faults.push({
      path: ['client', 'socket'],
      message:
        'without a socket, tcp and remote no client could reach the daemon; give one of them',
    });
  }
  return faults;
}

/** Addresses, sockets and tokens that are named more than once. */
function findTwice(
  data: FileData,
  { socketPath, sockets, tcp }: Pick<Certified, 'socketPath' | 'sockets' | 'tcp'>,
): Fault[] {
  const faults: Fault[] = [];
  const look = (what: string, entries: readonly { key: string; path: Fault['path'] }[]): void => {
    const seen = new Set<string>();
    for (const { key, path } of entries) {
      if (seen.has(key)) faults.push({ path, message: `${key} is ${what} twice` });
      seen.add(key);
    }
  };
  look(
    'listed',
    (data.listen ?? []).map((at, i) => ({ key: formatSocketAddress(at), path: ['listen', i] })),
  );
  look(
    'dialled',
    (data.links ?? []).map(({ address }, i) => ({
      key: formatSocketAddress(address),
      path: ['links', i, 'address'],
    })),
  );
  look(
    'a neighbour',
    (data.neighbours ?? []).map(({ node }, i) => ({ key: node, path: ['neighbours', i, 'node'] })),
  );
  look(
    'emulated',
    (data.emulation?.links ?? []).map(({ peer }, i) => ({
      key: formatSocketAddress(peer),
      path: ['emulation', 'links', i, 'peer'],
    })),
  );
  const further = sockets.map(({ path: key }, i) => ({
    key,
    path: ['client', 'sockets', i, 'path'],
  }));
  look('a socket', [
    ...(socketPath === null ? [] : [{ key: socketPath, path: ['client', 'socket'] }]),
    ...further,
  ]);
  const tokens = (tcp?.tokens ?? []).map(({ path: key }, i) => ({
    key,
    path: ['client', 'tcp', 'tokens', i, 'file'],
  }));
  look('a token', [
    ...(tcp === null ? [] : [{ key: tcp.tokenPath, path: ['client', 'tcp', 'token'] }]),
    ...tokens,
  ]);
  return faults;
}

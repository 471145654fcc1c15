/**
 * What may stand in a config file: lists, files, doors and emulated links; single values of the
 * node come from their rows (config-keys.ts).
 *
 * Pure. What needs more than one place of the file to judge is config-faults.ts's.
 */

import { z } from 'zod';

import { AUTHORITIES_MAX } from '../../core/crypto/certificates.ts';
import { PRESHARED_MAX } from '../../core/crypto/preshared.ts';
import {
  changeDirection,
  defaultDirection,
  type DirectionChange,
} from '../../core/emulation/link-settings.ts';
import { CLIENT_ROLES } from '../../core/ipc/roles.ts';
import { CONGESTION_NAMES, NEIGHBOURS_MAX } from '../../core/node/config.ts';
import { checkFile } from '../../lab/topology/topology-schema.ts';
import {
  bytes,
  dscp,
  duration,
  exchangeKey,
  group,
  httpAddress,
  listenAddress,
  loopbackAddress,
  name,
  neighbourAddress,
  neighbourName,
  oneOf,
  path,
  peerAddress,
  quad,
  remoteAddress,
  scalar,
  socketMode,
  socketPath,
  strict,
  whole,
  truth,
} from './config-fields.ts';
import { fieldsOf, LATER_KEYS } from './config-keys.ts';
import { describe, toFaults } from './config-places.ts';
import { clientNames, firewallSchema, groupNames } from './config-rules.ts';
import { LOG_LEVELS, SECURITIES, type EmulatedPeer } from './file-config.ts';

/** Sockets and tokens beside the first, and entries of roles. */
const DOORS_MAX = 16,
  ROLES_MAX = 256;

/** `peer` and one direction in the words of topology files, whose own schema judges it. */
const emulatedLink = z.record(z.string(), z.any()).transform((entry, context): EmulatedPeer => {
  const { peer, ...rest } = entry;
  const address = peerAddress.safeParse(peer);
  if (!address.success)
    for (const issue of address.error.issues)
      context.addIssue({ code: 'custom', path: ['peer'], message: issue.message });
  const change = directionChange(rest, (path, message) =>
    context.addIssue({
      code: 'custom',
      path,
      message,
      params: { atKey: /^unknown key/.test(message) },
    }),
  );
  if (!address.success || change === null) return z.NEVER;
  return { peer: address.data, settings: changeDirection(defaultDirection(), change) };
});

function directionChange(
  data: Readonly<Record<string, unknown>>,
  fail: (path: (string | number)[], message: string) => void,
): DirectionChange | null {
  let sound = true;
  for (const key of ['between', 'forward', 'backward']) {
    if (!Object.hasOwn(data, key)) continue;
    fail([key], 'unknown key: a daemon emulates its own direction only, towards `peer`');
    sound = false;
  }
  if (!sound) return null;
  const checked = checkFile({
    name: 'x',
    duration: '1s',
    nodes: ['a', 'b'],
    links: [{ between: ['a', 'b'], ...data }],
  });
  if (checked.data !== null) return checked.data.links?.[0]?.common ?? {};
  for (const issue of checked.issues) {
    fail(
      issue.path.slice(2),
      issue.message.replace(
        /valid here: between, (.*), forward, backward$/,
        'valid here: peer, $1',
      ),
    );
  }
  return null;
}

/** Null: no key. */
const presharedKeys = scalar(
  'the file of a pre-shared key, or a list of two, one of which may be none',
  (v): readonly (string | null)[] | null => {
    const given: readonly unknown[] = Array.isArray(v) ? v : [v];
    const files = given.map((one) => (one === 'none' ? null : one));
    const sound =
      files.length >= 1 &&
      files.length <= PRESHARED_MAX &&
      files.every(
        (one) => one === null || (typeof one === 'string' && one !== '' && !one.includes('\0')),
      );
    return sound && new Set(files).size === files.length ? (files as (string | null)[]) : null;
  },
);
const clientRole = oneOf(CLIENT_ROLES);
const tcpShape = strict({
  address: loopbackAddress,
  token: path,
  tokens: z
    .array(strict({ file: path, role: clientRole }))
    .max(DOORS_MAX, `at most ${DOORS_MAX} tokens`)
    .optional(),
});
const tcpListener = z.any().transform((value, context): z.output<typeof tcpShape> | null => {
  if (value === null) return null;
  if (typeof value === 'string') {
    context.addIssue({
      code: 'custom',
      message:
        'every user of the machine can connect there, so it needs a token; write ' +
        `{address: "${value}", token: FILE}, and the daemon makes the file`,
    });
    return z.NEVER;
  }
  const parsed = tcpShape.safeParse(value, { error: describe });
  if (parsed.success) return parsed.data;
  for (const issue of parsed.error.issues)
    for (const { path: at, message, atKey } of toFaults(issue))
      context.addIssue({
        code: 'custom',
        path: [...at],
        message,
        params: { atKey: atKey === true },
      });
  return z.NEVER;
});

/** An address alone means that whoever can connect may look. */
const httpShape = strict({
  address: httpAddress,
  token: path.optional(),
  dashboard: truth.optional(),
});
const httpDoor = z.any().transform((value, context): z.output<typeof httpShape> | null => {
  if (value === null) return null;
  const shaped = typeof value === 'string' ? { address: value } : value;
  const parsed = httpShape.safeParse(shaped, { error: describe });
  if (parsed.success) return parsed.data;
  for (const issue of parsed.error.issues)
    for (const { path: at, message, atKey } of toFaults(issue))
      context.addIssue({
        code: 'custom',
        path: typeof value === 'string' ? [] : [...at],
        message,
        params: { atKey: atKey === true },
      });
  return z.NEVER;
});

/** Of these keys, and maps, of rows. */
const fields = (...names: readonly string[]): object =>
  Object.fromEntries(Object.entries(fieldsOf()).filter(([name]) => names.includes(name)));
const FIRST = Object.keys(fieldsOf()).filter((name) => !LATER_KEYS.includes(name));

export const fileSchema = strict({
  name: name.optional(),
  id: quad.optional(),
  security: oneOf(SECURITIES).optional(),
  identity: strict({
    key: path,
    certificate: path,
    authorities: z
      .array(path)
      .min(1, 'expected at least one authority')
      .max(AUTHORITIES_MAX, `at most ${AUTHORITIES_MAX} authorities`),
    revocations: path.optional(),
    passphraseFile: path.optional(),
  }).optional(),
  network: strict({ presharedKey: presharedKeys.optional() }).optional(),
  listen: z
    .array(listenAddress)
    .min(1, 'expected at least one address')
    .max(16, 'at most 16 addresses')
    .optional(),
  links: z
    .array(
      strict({
        address: neighbourAddress,
        node: quad.optional(),
        name: name.optional(),
        congestion: oneOf(CONGESTION_NAMES).optional(),
        key: exchangeKey.optional(),
        certificate: path.optional(),
      }),
    )
    .optional(),
  dscp: dscp.optional(),
  neighbours: z
    .array(
      strict({
        node: neighbourName,
        cost: duration.optional(),
        metered: truth.optional(),
      }),
    )
    .max(NEIGHBOURS_MAX, `at most ${NEIGHBOURS_MAX} neighbours`)
    .optional(),
  ...fields(...FIRST),
  client: strict({
    socket: socketPath.optional(),
    group: group.optional(),
    tcp: tcpListener.optional(),
    remote: remoteAddress.optional(),
    sockets: z
      .array(
        strict({ path, mode: socketMode.optional(), group: group.optional(), role: clientRole }),
      )
      .max(DOORS_MAX, `at most ${DOORS_MAX} sockets`)
      .optional(),
    roles: z
      .array(
        strict({ client: clientNames.optional(), group: groupNames.optional(), role: clientRole }),
      )
      .max(ROLES_MAX, `at most ${ROLES_MAX} entries`)
      .optional(),
  }).optional(),
  http: httpDoor.optional(),
  emulation: strict({
    ...(fieldsOf('emulation') as object),
    seed: whole(0, 0xffff_ffff).optional(),
    links: z.array(emulatedLink).optional(),
  }).optional(),
  ...fields('limits'),
  log: strict({
    level: oneOf(LOG_LEVELS).optional(),
    file: path.optional(),
    audit: path.optional(),
    maxSize: bytes(65_536, 2 ** 40).optional(),
    keep: whole(0, 1_000).optional(),
  }).optional(),
  firewall: firewallSchema.optional(),
  ...fields('allowShutdown', 'laboratory'),
});
/** Keys with a row are in it as well, and are read by their rows. */
export type FileData = z.output<typeof fileSchema>;

/**
 * The daemon's config file: YAML text to a complete, frozen configuration, and back to text.
 *
 * Owns the keys of the file, their units and defaults; the places of errors are config-places.ts's.
 * What a value means is core/node/config.ts's and core/emulation/link-settings.ts's. Pure: reads no
 * file itself, certificates that the config names come through a function. Called by the `daemon`
 * and `config` commands. Invariant: the outcome is a valid DaemonFileConfig or one SpinesError
 * 'ECONFIG' whose message has a line per fault.
 */

import { dirname, resolve } from 'node:path';
import { defaultSocketPath } from 'spines-client';
import { stringify } from 'yaml';
import { z } from 'zod';

import { equalBytes, hex } from '../../core/base/bytes.ts';
import { SpinesError } from '../../core/base/errors.ts';
import { formatNodeId, NO_NODE, type NodeId } from '../../core/base/ids.ts';
import { MILLISECOND, SECOND, type Micros } from '../../core/base/time.ts';
import {
  changeDirection,
  defaultDirection,
  type DirectionChange,
  type DirectionSettings,
} from '../../core/emulation/link-settings.ts';
import { checkFile } from '../../lab/topology/topology-schema.ts';
import { CLIENT_ROLES, type ClientRole } from '../../core/ipc/roles.ts';
import { PRESHARED_MAX } from '../../core/crypto/preshared.ts';
import { AUTHORITIES_MAX } from '../../core/crypto/certificates.ts';
import type { Certificate } from '../../core/wire/certificate.ts';
import type { RemoteRole, SocketDoor } from '../daemon.ts';
import type { IdentityPaths } from '../identity/identity-files.ts';
import type { LogFileOptions } from '../log/log-file.ts';
import { socketPathFault } from '../doors/unix-socket.ts';
import {
  CONGESTION_NAMES,
  METRICS,
  SECRECIES,
  byzantineModes,
  defaultConfig,
  defaultLimits,
  makeConfig,
  streamLimits,
  type ByzantineOptions,
  type DialConfig,
  type NodeConfig,
  type NodeLimits,
} from '../../core/node/config.ts';
import {
  bytes,
  duration,
  durationOrOff,
  exchangeKey,
  formatSocketAddress,
  group,
  listenAddress,
  loopbackAddress,
  name,
  oneOf,
  path,
  peerAddress,
  quad,
  remoteAddress,
  scalar,
  share,
  socketMode,
  socketPath,
  strict,
  truth,
  whole,
  type SocketAddress,
} from './config-fields.ts';
import {
  clientNames,
  findRuleFaults,
  groupNames,
  firewallSchema,
  rulesOf,
  rulesText,
} from './config-rules.ts';
import {
  describe,
  toFaults,
  YamlPlaces,
  type ConfigOverride,
  type Fault,
} from './config-places.ts';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
/**
 * sealed: links are encrypted, and only members of the network take part. none: for a laboratory.
 */
export const SECURITIES = ['sealed', 'none'] as const;
export type Security = (typeof SECURITIES)[number];
export const DEFAULT_UDP_PORT = 8100;
const LOG_FILE_BYTES = 10 * 1024 * 1024;
const LOG_FILES_KEPT = 5;
/** Sockets and tokens beside the first, and entries of roles. */
const DOORS_MAX = 16,
  ROLES_MAX = 256;

export interface EmulatedPeer {
  readonly peer: SocketAddress;
  /** Towards the peer. */
  readonly settings: DirectionSettings;
}

/** Everything that a config file and the flags over it say. Frozen. */
export interface DaemonFileConfig {
  readonly node: NodeConfig;
  /** At least one. */
  readonly listen: readonly SocketAddress[];
  readonly client: {
    /** Null: no Unix socket. */
    readonly socketPath: string | null;
    /** Name or number of the group that may open the socket beside its owner. Null: none. */
    readonly group: string | null;
    /** Further sockets, for clients of other roles. */
    readonly sockets: readonly SocketDoor[];
    /**
     * A loopback address, and the file of the token that clients show there; further tokens with
     * roles of their own. Null: no TCP.
     */
    readonly tcp: {
      readonly address: SocketAddress;
      readonly tokenPath: string;
      readonly tokens: readonly { readonly path: string; readonly role: ClientRole }[];
    } | null;
    /** Where clients of other machines come, with certificates. Null: nowhere. */
    readonly remote: SocketAddress | null;
    /** What those may do: the first that fits, or 'use'. */
    readonly roles: readonly RemoteRole[];
  };
  readonly emulation: { readonly seed: number; readonly links: readonly EmulatedPeer[] };
  readonly logLevel: LogLevel;
  /** Null: standard error. */
  readonly logFile: LogFileOptions | null;
  /** Of operations that changed something. Null: they are in the log. */
  readonly auditFile: LogFileOptions | null;
  readonly security: Security;
  /** Never null when `security` is sealed. */
  readonly identity: IdentityPaths | null;
}

/**
 * How a daemon gets at the certificates that its config names, by absolute path. Throws
 * SpinesError.
 */
export type CertificateReader = (path: string) => Certificate;

/**
 * Parses and validates. Relative paths are meant from the folder of `fileName`; `overrides` replace
 * or add keys before validation. `readCertificate` is asked for the daemon's own certificate, which
 * gives id and name, and for those of links. Throws SpinesError 'ECONFIG' with a line
 * "file:line:column: path: message" for each fault.
 */
export function loadConfigFile(
  text: string,
  fileName: string,
  overrides: readonly ConfigOverride[] = [],
  readCertificate: CertificateReader = cannotRead,
): DaemonFileConfig {
  const places = new YamlPlaces(text, fileName, overrides);
  const result = fileSchema.safeParse(places.data, { error: describe });
  const absent = findAbsent(places.data);
  if (!result.success) throw places.error([...absent, ...result.error.issues.flatMap(toFaults)]);
  if (absent.length > 0) throw places.error(absent);
  const certified = certify(result.data, { folder: dirname(fileName), overrides, readCertificate });
  const faults = [...certified.faults, ...findDuplicates(result.data, certified)];
  if (faults.length > 0) throw places.error(faults);
  try {
    return complete(result.data, certified, dirname(fileName));
  } catch (error) {
    if (!(error instanceof SpinesError)) throw error;
    // makeConfig names the field first: "liveness.deadAfter must be ...".
    const [field = '', ...rest] = error.message.split(' ');
    throw places.error([{ path: field.split('.'), message: rest.join(' ') }]);
  }
}

/**
 * The whole configuration as a config file: defaults filled in, loadable again with the same
 * outcome.
 */
export function formatEffective(config: DaemonFileConfig): string {
  const { node, client, emulation, identity } = config;
  const sized = config.logFile ?? config.auditFile;
  return stringify({
    security: config.security,
    ...(identity === null
      ? {}
      : {
          identity: {
            key: identity.key,
            certificate: identity.certificate,
            authorities: [...identity.authorities],
            revocations: identity.revocations,
            ...(identity.passphraseFile === null
              ? {}
              : { passphraseFile: identity.passphraseFile }),
          },
          ...(identity.preshared === undefined
            ? {}
            : { network: { presharedKey: identity.preshared.map((file) => file ?? 'none') } }),
        }),
    name: node.name,
    id: formatNodeId(node.id),
    listen: config.listen.map(formatSocketAddress),
    links: node.dials.map((dial) => ({
      address: formatSocketAddress(dial),
      ...(dial.node === null ? {} : { node: formatNodeId(dial.node) }),
      ...(dial.name === undefined ? {} : { name: dial.name }),
      ...(dial.congestion === undefined ? {} : { congestion: dial.congestion }),
      ...(dial.key === undefined ? {} : { key: hex(dial.key) }),
    })),
    accept: node.accept,
    metric: node.metric,
    congestion: node.congestion,
    liveness: {
      helloInterval: durationText(node.liveness.helloIntervalUs),
      deadAfter: durationText(node.liveness.deadAfterUs),
    },
    streams: {
      keepalive: limitText(node.streams.keepaliveUs),
      silence: limitText(node.streams.silenceUs),
      ...(node.streamCongestion === null ? {} : { congestion: node.streamCongestion }),
    },
    redial: durationText(node.redialUs),
    advertisementRefresh: durationText(node.advertisementRefreshUs),
    advertisementLifetime: durationText(node.advertisementLifetimeUs),
    rekeyAfter: durationText(node.rekeyAfterUs),
    rekeyAfterDatagrams: node.rekeyAfterDatagrams,
    secrecy: node.secrecy,
    keyRotation: durationText(node.keyRotationUs),
    byzantine: byzantineData(node.byzantine),
    client: {
      socket: client.socketPath,
      group: client.group,
      sockets: client.sockets.map(({ path: at, mode, group: of, role }) => ({
        path: at,
        ...(mode === null ? {} : { mode: `0${mode.toString(8)}` }),
        ...(of === null ? {} : { group: of }),
        role,
      })),
      tcp:
        client.tcp === null
          ? null
          : {
              address: formatSocketAddress(client.tcp.address),
              token: client.tcp.tokenPath,
              tokens: client.tcp.tokens.map(({ path: file, role }) => ({ file, role })),
            },
      remote: client.remote === null ? null : formatSocketAddress(client.remote),
      roles: client.roles.map(({ clients, groups, role }) => ({
        ...(clients.length === 0 ? {} : { client: [...clients] }),
        ...(groups.length === 0 ? {} : { group: [...groups] }),
        role,
      })),
    },
    emulation: {
      allow: node.allowEmulation,
      seed: emulation.seed,
      links: emulation.links.map(({ peer, settings }) => ({
        peer: formatSocketAddress(peer),
        ...directionData(settings),
      })),
    },
    limits: { ...node.limits },
    log: {
      level: config.logLevel,
      ...(config.logFile === null ? {} : { file: config.logFile.path }),
      ...(config.auditFile === null ? {} : { audit: config.auditFile.path }),
      ...(sized === null ? {} : { maxSize: sized.maxBytes, keep: sized.keep }),
    },
    firewall: rulesText(node.firewall),
    allowShutdown: node.allowShutdown,
    laboratory: { misbehaviour: node.allowMisbehaviour },
  });
}

/** The switches of Byzantine-resilient routing in the words of config files. */
function byzantineData(options: ByzantineOptions): Record<string, unknown> {
  return {
    mode: options.mode,
    window: options.windowPackets,
    tolerance: `${Number((options.tolerance * 100).toPrecision(12))}%`,
    fullProbing: options.fullProbing,
    fullProbingHops: options.fullProbingHops,
    secondPath: options.secondPath,
    softLoss: options.softLoss,
    searchMemory: options.searchMemory,
    weightCap: options.weightCap,
    outerFirst: options.outerFirst,
    prefixCache: options.prefixCache,
    ackBatch: options.ackBatchPackets,
    ackBatchDelay: durationText(options.ackBatchDelayUs),
  };
}

function lossData(
  loss: DirectionSettings['loss'],
  pct: (rate: number) => string,
): Record<string, unknown> {
  if (loss.kind === 'bernoulli') return { loss: pct(loss.rate) };
  const shares = { lossGood: pct(loss.lossGood), lossBad: pct(loss.lossBad) };
  if (loss.kind === 'gilbert-elliott')
    return { burst: { goodToBad: pct(loss.goodToBad), badToGood: pct(loss.badToGood), ...shares } };
  if (!loss.badFixed)
    return { burst: { good: durationText(loss.goodUs), bad: durationText(loss.badUs), ...shares } };
  return {
    loss: pct(loss.lossGood),
    outages: { every: durationText(loss.goodUs + loss.badUs), lasting: durationText(loss.badUs) },
  };
}

/** One direction's characteristics in the words of config and topology files. */
export function directionData(settings: DirectionSettings): Record<string, unknown> {
  const { loss } = settings;
  const pct = (rate: number): string => `${Number((rate * 100).toPrecision(12))}%`;
  return {
    up: settings.up,
    latency: durationText(settings.latencyUs),
    jitter: durationText(settings.jitterUs),
    bandwidth: settings.bandwidthKbps === null ? 'unlimited' : `${settings.bandwidthKbps}kbit`,
    queue: settings.queueBytes,
    mtu: settings.mtuBytes ?? 'unlimited',
    ...lossData(loss, pct),
    duplicate: pct(settings.duplicateRate),
    reorder: pct(settings.reorderRate),
    reorderDelay: durationText(settings.reorderUs),
    corrupt: pct(settings.corruptRate),
  };
}

/** Of a limit that may be off. */
export function limitText(us: Micros): string {
  return us === 0 ? 'off' : durationText(us);
}

/** The largest unit that holds `us` as a whole number. */
export function durationText(us: Micros): string {
  if (us % SECOND === 0 && us > 0) return `${us / SECOND}s`;
  return us % MILLISECOND === 0 ? `${us / MILLISECOND}ms` : `${us}us`;
}

/* ------------------------------------------------------------------ schema */

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

const limitShapes = {
  links: whole(1, 128),
  nodes: whole(1, 1_000_000),
  packetsKept: whole(64, 16_777_216),
  linkQueueBytes: bytes(2_048, 2 ** 31 - 1),
  clients: whole(1, 65_536),
  clientsPerCertificate: whole(1, 65_536),
  socketsPerClient: whole(1, 65_536),
  clientQueueBytes: bytes(65_536, 2 ** 31 - 1),
  clientBytesPerSecond: bytes(0, 2 ** 40),
  clientPacketsPerSecond: whole(0, 1_000_000_000),
  // One long message must fit.
  reassemblyBytes: bytes(131_072, 2 ** 31 - 1),
};
const limitsSchema = strict(
  Object.fromEntries(
    Object.keys(defaultLimits).map((key) => [
      key,
      (
        (limitShapes as Record<string, z.ZodType<number>>)[key] ?? whole(1, Number.MAX_SAFE_INTEGER)
      ).optional(),
    ]),
  ),
);

/** In words, because a bare 0.05 could be meant as either. */
const byzantineSchema = strict({
  mode: oneOf(Object.keys(byzantineModes) as ByzantineOptions['mode'][]).optional(),
  window: whole(1, 100_000).optional(),
  tolerance: share.optional(),
  fullProbing: truth.optional(),
  fullProbingHops: whole(1, 32).optional(),
  secondPath: truth.optional(),
  softLoss: truth.optional(),
  searchMemory: truth.optional(),
  weightCap: oneOf(['nodes', 'fixed']).optional(),
  outerFirst: truth.optional(),
  prefixCache: truth.optional(),
  ackBatch: whole(1, 9).optional(),
  ackBatchDelay: duration.optional(),
});

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

const fileSchema = strict({
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
        address: peerAddress,
        node: quad.optional(),
        name: name.optional(),
        congestion: oneOf(CONGESTION_NAMES).optional(),
        key: exchangeKey.optional(),
        certificate: path.optional(),
      }),
    )
    .optional(),
  accept: truth.optional(),
  metric: oneOf(METRICS).optional(),
  congestion: oneOf(CONGESTION_NAMES).optional(),
  liveness: strict({
    helloInterval: duration.optional(),
    deadAfter: duration.optional(),
  }).optional(),
  streams: strict({
    keepalive: durationOrOff.optional(),
    silence: duration.optional(),
    congestion: oneOf(CONGESTION_NAMES).optional(),
  }).optional(),
  redial: duration.optional(),
  advertisementRefresh: duration.optional(),
  advertisementLifetime: duration.optional(),
  rekeyAfter: duration.optional(),
  rekeyAfterDatagrams: whole(1, Number.MAX_SAFE_INTEGER).optional(),
  secrecy: oneOf(SECRECIES).optional(),
  keyRotation: duration.optional(),
  byzantine: byzantineSchema.optional(),
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
  emulation: strict({
    allow: truth.optional(),
    seed: whole(0, 0xffff_ffff).optional(),
    links: z.array(emulatedLink).optional(),
  }).optional(),
  limits: limitsSchema.optional(),
  log: strict({
    level: oneOf(LOG_LEVELS).optional(),
    file: path.optional(),
    audit: path.optional(),
    maxSize: bytes(65_536, 2 ** 40).optional(),
    keep: whole(0, 1_000).optional(),
  }).optional(),
  firewall: firewallSchema.optional(),
  allowShutdown: truth.optional(),
  laboratory: strict({ misbehaviour: truth.optional() }).optional(),
});
type FileData = z.output<typeof fileSchema>;

interface Certified {
  readonly identity: IdentityPaths | null;
  /** Given, or from the certificate. NO_NODE only where there are faults. */
  readonly id: NodeId;
  readonly name: string;
  /** What a link's certificate, or its keys, say; index = link. */
  readonly links: readonly {
    readonly node: NodeId | null;
    readonly key: Uint8Array | null;
    readonly name: string | null;
  }[];
  /** Null: none. */
  readonly socketPath: string | null;
  readonly sockets: readonly SocketDoor[];
  readonly tcp: DaemonFileConfig['client']['tcp'];
  readonly faults: readonly Fault[];
}

interface Surroundings {
  /** That relative paths are meant from. */
  readonly folder: string;
  readonly overrides: readonly ConfigOverride[];
  readonly readCertificate: CertificateReader;
}

function cannotRead(): never {
  throw new SpinesError('ECONFIG', 'certificates cannot be read here');
}

/** A missing id or identity, which may stand for each other. */
function findAbsent(data: unknown): Fault[] {
  if (typeof data !== 'object' || data === null || Array.isArray(data)) return [];
  const { id, security, identity } = data as Readonly<Record<string, unknown>>;
  if (identity !== undefined) return [];
  if (security === undefined || security === 'sealed') {
    return [
      {
        path: ['security'],
        message:
          'sealed (the default) needs an identity: make one with `spines init` or `spines keys`, ' +
          'or write `security: none` for a laboratory',
      },
    ];
  }
  return id === undefined ? [{ path: ['id'], message: 'is missing' }] : [];
}

/** What paths and certificates make of the data. */
function certify(data: FileData, { folder, overrides, readCertificate }: Surroundings): Certified {
  const faults: Fault[] = [];
  const at = (text: string): string => resolve(folder, text);
  const read = (text: string, path: Fault['path']): Certificate | null => {
    try {
      return readCertificate(at(text));
    } catch (error) {
      if (!(error instanceof SpinesError)) throw error;
      faults.push({ path, message: error.message });
      return null;
    }
  };
  let identity: IdentityPaths | null = null;
  let own: Certificate | null = null;
  if (data.identity !== undefined) {
    const { key, certificate, authorities, revocations, passphraseFile } = data.identity;
    identity = Object.freeze({
      key: at(key),
      certificate: at(certificate),
      authorities: authorities.map(at),
      revocations: at(revocations ?? resolve(dirname(at(certificate)), 'revocations.crl')),
      passphraseFile: passphraseFile === undefined ? null : at(passphraseFile),
    });
    const preshared = data.network?.presharedKey;
    if (preshared !== undefined)
      identity = Object.freeze({
        ...identity,
        preshared: preshared.map((file) => (file === null ? null : at(file))),
      });
    own = read(certificate, ['identity', 'certificate']);
  }
  if (own !== null) {
    if (own.node === NO_NODE)
      faults.push({
        path: ['identity', 'certificate'],
        message:
          `is ${own.name}'s, a client's and no node's; have one made with \`spines keys ` +
          `node ${own.name} --id QUAD\``,
      });
    if (data.id !== undefined && data.id !== own.node) {
      faults.push({
        path: ['id'],
        message:
          `the certificate says ${formatNodeId(own.node)}, not ${formatNodeId(data.id)}; ` +
          'leave id out, or name the right certificate',
      });
    }
    if (data.name !== undefined && data.name !== own.name) {
      faults.push({
        path: ['name'],
        message:
          `the certificate says ${own.name}, not ` +
          `${data.name === '' ? 'nothing' : data.name}; leave name out, or name the right ` +
          'certificate',
      });
    }
  }
  const links = (data.links ?? []).map(({ node, name: called, key, certificate }, i) => {
    if (certificate === undefined)
      return { node: node ?? null, key: key ?? null, name: called ?? null };
    if (key !== undefined)
      faults.push({
        path: ['links', i, 'key'],
        message: 'a link has a key or a certificate, not both; leave one out',
        atKey: true,
      });
    const peer = read(certificate, ['links', i, 'certificate']);
    if (peer !== null && node !== undefined && peer.node !== node) {
      faults.push({
        path: ['links', i, 'node'],
        message:
          `the certificate says ${formatNodeId(peer.node)}, not ${formatNodeId(node)}; ` +
          'leave node out, or name the right certificate',
      });
    }
    return {
      node: node ?? peer?.node ?? null,
      key: peer?.exchangeKey ?? null,
      name: called ?? peer?.name ?? null,
    };
  });
  links.forEach(({ key }, i) => {
    if (key === null || own === null || !equalBytes(key, own.exchangeKey)) return;
    faults.push({
      path: ['links', i, data.links![i]!.key === undefined ? 'certificate' : 'key'],
      message: "is this daemon's own; name the peer's",
    });
  });
  const listener = data.client?.tcp ?? null;
  const tcp =
    listener === null
      ? null
      : {
          address: listener.address,
          tokenPath: at(listener.token),
          tokens: (listener.tokens ?? []).map(({ file, role }) => ({ path: at(file), role })),
        };
  const sockets = (data.client?.sockets ?? []).map(
    ({ path: text, mode, group: of, role }, i): SocketDoor => {
      const fault = socketPathFault(at(text));
      if (fault !== null) faults.push({ path: ['client', 'sockets', i, 'path'], message: fault });
      return { path: at(text), mode: mode ?? null, group: of?.name ?? null, role };
    },
  );
  const socket = data.client?.socket;
  let socketPath = socket === undefined ? defaultSocketPath() : socket.path;
  // A flag's path is meant from where the command runs.
  if (
    socket !== undefined &&
    socketPath !== null &&
    !overrides.some(({ path }) => path.join('.') === 'client.socket')
  ) {
    socketPath = at(socketPath);
  }
  const tooLong = socketPath === null ? null : socketPathFault(socketPath);
  if (tooLong !== null) {
    const where =
      socket === undefined
        ? 'no socket is named, and the default (SPINES_SOCKET, XDG_RUNTIME_DIR) does not do: '
        : '';
    faults.push({ path: ['client', 'socket'], message: `${where}${tooLong}` });
  }
  return {
    identity,
    id: data.id ?? own?.node ?? NO_NODE,
    name: data.name ?? own?.name ?? defaultConfig.name,
    links,
    socketPath,
    sockets,
    tcp,
    faults,
  };
}

function complete(
  data: FileData,
  { identity, id, name, links, socketPath, sockets, tcp }: Certified,
  folder: string,
): DaemonFileConfig {
  const limits: NodeLimits = {
    ...defaultLimits,
    ...(data.limits as Partial<NodeLimits> | undefined),
  };
  const node = makeConfig({
    id,
    name,
    dials: (data.links ?? []).map(({ address, congestion }, i): DialConfig => {
      const { node: expected, key, name: called } = links[i]!;
      return {
        ...address,
        node: expected,
        ...(congestion === undefined ? {} : { congestion }),
        ...(key === null ? {} : { key }),
        ...(called === null ? {} : { name: called }),
      };
    }),
    accept: data.accept ?? defaultConfig.accept,
    metric: data.metric ?? defaultConfig.metric,
    congestion: data.congestion ?? defaultConfig.congestion,
    liveness: {
      helloIntervalUs: data.liveness?.helloInterval ?? defaultConfig.liveness.helloIntervalUs,
      deadAfterUs: data.liveness?.deadAfter ?? defaultConfig.liveness.deadAfterUs,
    },
    streamCongestion: data.streams?.congestion ?? null,
    streams: streamLimits(data.streams?.silence, data.streams?.keepalive),
    redialUs: data.redial ?? defaultConfig.redialUs,
    advertisementRefreshUs: data.advertisementRefresh ?? defaultConfig.advertisementRefreshUs,
    advertisementLifetimeUs: data.advertisementLifetime ?? defaultConfig.advertisementLifetimeUs,
    rekeyAfterUs: data.rekeyAfter ?? defaultConfig.rekeyAfterUs,
    rekeyAfterDatagrams: data.rekeyAfterDatagrams ?? defaultConfig.rekeyAfterDatagrams,
    secrecy: data.secrecy ?? defaultConfig.secrecy,
    keyRotationUs: data.keyRotation ?? defaultConfig.keyRotationUs,
    byzantine: byzantineOf(data.byzantine ?? {}),
    allowMisbehaviour: data.laboratory?.misbehaviour ?? defaultConfig.allowMisbehaviour,
    allowEmulation: data.emulation?.allow ?? defaultConfig.allowEmulation,
    allowShutdown: data.allowShutdown ?? defaultConfig.allowShutdown,
    firewall: rulesOf(data.firewall),
    limits,
  });
  return Object.freeze({
    node,
    listen: data.listen ?? [{ address: '0.0.0.0', port: DEFAULT_UDP_PORT }],
    client: Object.freeze({
      socketPath,
      group: data.client?.group?.name ?? null,
      sockets,
      tcp,
      remote: data.client?.remote?.at ?? null,
      roles: (data.client?.roles ?? []).map(({ client = [], group: of = [], role }) => ({
        clients: client,
        groups: of,
        role,
      })),
    }),
    emulation: Object.freeze({
      seed: data.emulation?.seed ?? 1,
      links: data.emulation?.links ?? [],
    }),
    logLevel: data.log?.level ?? 'info',
    logFile: logFileOf(data.log ?? {}, data.log?.file, folder),
    auditFile: logFileOf(data.log ?? {}, data.log?.audit, folder),
    security: data.security ?? 'sealed',
    identity,
  });
}

function logFileOf(
  { maxSize, keep }: NonNullable<FileData['log']>,
  file: string | undefined,
  folder: string,
): LogFileOptions | null {
  return file === undefined
    ? null
    : Object.freeze({
        path: resolve(folder, file),
        maxBytes: maxSize ?? LOG_FILE_BYTES,
        keep: keep ?? LOG_FILES_KEPT,
      });
}

/** The mode's set with what the file says over it. */
function byzantineOf(data: NonNullable<FileData['byzantine']>): ByzantineOptions {
  const base = byzantineModes[data.mode ?? defaultConfig.byzantine.mode];
  return Object.freeze({
    mode: base.mode,
    windowPackets: data.window ?? base.windowPackets,
    tolerance: data.tolerance ?? base.tolerance,
    fullProbing: data.fullProbing ?? base.fullProbing,
    fullProbingHops: data.fullProbingHops ?? base.fullProbingHops,
    secondPath: data.secondPath ?? base.secondPath,
    softLoss: data.softLoss ?? base.softLoss,
    searchMemory: data.searchMemory ?? base.searchMemory,
    weightCap: data.weightCap ?? base.weightCap,
    outerFirst: data.outerFirst ?? base.outerFirst,
    prefixCache: data.prefixCache ?? base.prefixCache,
    ackBatchPackets: data.ackBatch ?? base.ackBatchPackets,
    ackBatchDelayUs: data.ackBatchDelay ?? base.ackBatchDelayUs,
  });
}

/** What needs more than one place of the file to judge. */
function findDuplicates(data: FileData, { id, links, ...doors }: Certified): Fault[] {
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
    'emulated',
    (data.emulation?.links ?? []).map(({ peer }, i) => ({
      key: formatSocketAddress(peer),
      path: ['emulation', 'links', i, 'peer'],
    })),
  );
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
  const { socketPath, sockets, tcp } = doors;
  if (data.network?.presharedKey !== undefined && (data.security ?? 'sealed') !== 'sealed') {
    faults.push({
      path: ['network', 'presharedKey'],
      message: 'is for the handshake of sealed links; leave it out with `security: none`',
      atKey: true,
    });
  }
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
    sockets.length === 0 &&
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

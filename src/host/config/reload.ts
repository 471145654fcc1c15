/**
 * What a reload changes: two readings of the same files compared, the second accepted or refused as
 * a whole.
 *
 * Owns which settings may change while a daemon runs, and the list of changes that the operator is
 * shown. Reads nothing and changes nothing: the daemon does what a plan says. Invariant: a refused
 * reading leaves everything as it was.
 */

import { equalBytes, hex } from '../../core/base/bytes.ts';
import { SpinesError } from '../../core/base/errors.ts';
import type { Credentials } from '../../core/crypto/membership.ts';
import { NO_PRESHARED_KEY, presharedText } from '../../core/crypto/preshared.ts';
import { sameRules, type NodeConfig } from '../../core/node/config.ts';
import type { RevocationList } from '../../core/wire/certificate.ts';
import { durationText, formatSocketAddress } from './config-fields.ts';
import { CONFIG_KEYS, valueInForce, type ConfigKey } from './config-keys.ts';
import { rulesSummary } from './config-rules.ts';
import type { DaemonFileConfig } from './file-config.ts';
import { formatTime } from '../../core/base/calendar.ts';
import { shortId, type LoadedIdentity } from '../identity/identity-files.ts';

/** A config and the identity that it names, both checked. */
export interface LoadedConfig {
  readonly config: DaemonFileConfig;
  /** Null with `security: none`. */
  readonly identity: LoadedIdentity | null;
}

export interface ReloadPlan {
  /** For the operator, one a line; empty: nothing changed. */
  readonly changes: readonly string[];
  /** Certificate, earlier identities, authorities or revocation lists differ. */
  readonly identityChanged: boolean;
}

/**
 * The changes from `before` to `after`. `revocationsHeld`: what is in force now, from files or the
 * network. Throws SpinesError 'ECONFIG' naming the settings that need a restart.
 */
export function planReload(
  before: LoadedConfig,
  after: LoadedConfig,
  revocationsHeld: readonly RevocationList[],
): ReloadPlan {
  const fixed = changedKeys(fixedParts(before.config), fixedParts(after.config));
  if (fixed.length > 0)
    throw new SpinesError(
      'ECONFIG',
      fixed
        .map(
          (key) =>
            `${key} cannot change while the daemon runs and needs a restart; restart the daemon, ` +
            `or put ${key} back`,
        )
        .join('\n'),
    );
  const was = before.config,
    is = after.config;
  const lines = [...linkChanges(was.node, is.node)];
  const told = (what: string, from: unknown, to: unknown): void => {
    if (from !== to) lines.push(`${what}: ${String(from)} -> ${String(to)}`);
  };
  told('neighbours', neighboursText(was.node), neighboursText(is.node));
  for (const row of CONFIG_KEYS) {
    if (row.live) told(row.key, textOf(was.node, row), textOf(is.node, row));
    if (row.key === 'accept' && !sameRules(was.node.firewall, is.node.firewall))
      lines.push(
        `firewall: ${rulesSummary(was.node.firewall)} -> ${rulesSummary(is.node.firewall)}`,
      );
  }
  if (JSON.stringify(was.client.roles) !== JSON.stringify(is.client.roles))
    lines.push(`client.roles: ${rolesText(was)} -> ${rolesText(is)}`);
  told('log.audit', was.auditFile?.path ?? 'the log', is.auditFile?.path ?? 'the log');
  told('log.level', was.logLevel, is.logLevel);
  told('log.file', was.logFile?.path ?? 'standard error', is.logFile?.path ?? 'standard error');
  if (was.logFile !== null && is.logFile !== null) {
    told('log.maxSize', was.logFile.maxBytes, is.logFile.maxBytes);
    told('log.keep', was.logFile.keep, is.logFile.keep);
  }
  const identity =
    before.identity === null || after.identity === null
      ? []
      : identityChanges(before.identity.credentials, after.identity.credentials, revocationsHeld);
  return { changes: [...lines, ...identity], identityChanged: identity.length > 0 };
}

/** Settings that stay for as long as the daemon runs, by their key in the file. */
function fixedParts({
  node,
  listen,
  dscp,
  client,
  http,
  security,
  emulation,
}: DaemonFileConfig): Record<string, unknown> {
  const { dials: _dials, firewall: _firewall, neighbours: _neighbours, limits, ...rest } = node;
  const { allowEmulation, allowMisbehaviour, ...others } = rest;
  const lasting = Object.entries(limits)
    .filter(([key]) => !LIVE.has(`limits.${key}`))
    .map(([key, value]) => [`limits.${key}`, value]);
  return {
    ...named(Object.fromEntries(Object.entries(others).filter(([name]) => !LIVE.has(name)))),
    listen,
    dscp,
    client: { ...client, roles: null },
    http,
    security,
    emulation: { allow: allowEmulation, ...emulation },
    laboratory: { misbehaviour: allowMisbehaviour },
    ...(Object.fromEntries(lasting) as Record<string, unknown>),
  };
}

/** Fields of a node's configuration, and of its limits, that a reload may change. */
const LIVE: ReadonlySet<string> = new Set(
  CONFIG_KEYS.filter(({ live }) => live).map(({ at }) =>
    at.startsWith('limits.') ? at : at.split('.')[0]!,
  ),
);

function textOf(node: NodeConfig, row: ConfigKey): unknown {
  const value = valueInForce(node, row);
  return value === null ? 'by link' : row.text(value);
}

function neighboursText({ neighbours }: NodeConfig): string {
  const texts = neighbours.map(({ node, costUs, metered }) =>
    [
      node,
      ...(costUs > 0 ? [`+${durationText(costUs)}`] : []),
      ...(metered ? ['metered'] : []),
    ].join(' '),
  );
  return texts.length === 0 ? 'none' : texts.join(', ');
}

function rolesText({ client: { roles } }: DaemonFileConfig): string {
  return roles.length === 0
    ? 'use for all'
    : roles
        .map(
          ({ clients, groups, role }) => `${[...clients, ...groups].join(' ') || 'all'}: ${role}`,
        )
        .join(', ');
}

/** The node's settings under the names that they have in the file. */
function named(node: Partial<NodeConfig>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(node).map(([key, value]) => [key.replace(/Us$/, ''), value]),
  );
}

function changedKeys(
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
): string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
    (key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]),
  );
}

function linkChanges(was: NodeConfig, is: NodeConfig): string[] {
  const byAddress = ({ dials }: NodeConfig): Map<string, string> =>
    new Map(
      dials.map((dial) => [
        formatSocketAddress(dial),
        JSON.stringify([
          dial.node,
          dial.congestion ?? null,
          dial.key === undefined ? null : hex(dial.key),
        ]),
      ]),
    );
  const from = byAddress(was),
    to = byAddress(is);
  const changes = [
    ...[...to.keys()].filter((address) => !from.has(address)).map((address) => `+${address}`),
    ...[...from.keys()].filter((address) => !to.has(address)).map((address) => `-${address}`),
    ...[...to]
      .filter(([address, dial]) => from.has(address) && from.get(address) !== dial)
      .map(([address]) => `changed ${address}`),
  ];
  return changes.length === 0 ? [] : [`links: ${changes.join(' ')}`];
}

function identityChanges(
  was: Credentials,
  is: Credentials,
  held: readonly RevocationList[],
): string[] {
  const lines: string[] = [];
  const from = was.identity.certificate,
    to = is.identity.certificate;
  if (!equalBytes(from.bytes, to.bytes)) {
    const kept =
      equalBytes(from.signingKey, to.signingKey) && equalBytes(from.exchangeKey, to.exchangeKey);
    lines.push(
      `certificate: ${kept ? 'renewed' : 'new keys'}, serial ${to.serial}, valid until ` +
        `${formatTime(to.notAfterS)}`,
    );
  }
  const serials = ({ previous }: Credentials): string =>
    previous.map(({ certificate }) => certificate.serial).join(', ');
  if (serials(was) !== serials(is))
    lines.push(`earlier identities: ${serials(is) === '' ? 'none' : serials(is)}`);
  const authorities = ({ trust }: Credentials): Map<string, string> =>
    new Map(
      trust.authorities.map(({ name, signingKey, bytes }) => [
        hex(bytes),
        `${name} (${shortId(signingKey)})`,
      ]),
    );
  const trusted = authorities(was),
    trusts = authorities(is);
  const changes = [
    ...[...trusts].filter(([id]) => !trusted.has(id)).map(([, text]) => `+${text}`),
    ...[...trusted].filter(([id]) => !trusts.has(id)).map(([, text]) => `-${text}`),
  ];
  if (changes.length > 0) lines.push(`authorities: ${changes.join(' ')}`);
  const keys = ({ preshared = [NO_PRESHARED_KEY] }: Credentials): string =>
    preshared.map(({ id }) => presharedText(id)).join(' ');
  if (keys(was) !== keys(is)) lines.push(`pre-shared key: ${keys(was)} -> ${keys(is)}`);
  for (const list of is.trust.revocations) {
    const number =
      held.find(({ authority }) => equalBytes(authority, list.authority))?.number ?? -1;
    if (list.number > number)
      lines.push(`revocations: list ${list.number} with ${list.serials.length} revoked`);
  }
  return lines;
}

/**
 * A configuration as a config file again, and one direction of a link in the words of config and
 * topology files.
 *
 * Keys with a row are written as their row says (config-keys.ts).
 */

import { stringify } from 'yaml';

import { hex } from '../../core/base/bytes.ts';
import { formatNodeId } from '../../core/base/ids.ts';
import type { HttpOptions } from '../daemon-options.ts';
import type { DirectionSettings } from '../../core/emulation/link-settings.ts';
import { durationText, formatSocketAddress, percentText } from './config-fields.ts';
import { LATER_KEYS, textOfKeys } from './config-keys.ts';
import { rulesText } from './config-rules.ts';
import type { DaemonFileConfig } from './file-config.ts';

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
    dscp: config.dscp,
    links: node.dials.map((dial) => ({
      address: formatSocketAddress(dial),
      ...(dial.node === null ? {} : { node: formatNodeId(dial.node) }),
      ...(dial.name === undefined ? {} : { name: dial.name }),
      ...(dial.congestion === undefined ? {} : { congestion: dial.congestion }),
      ...(dial.key === undefined ? {} : { key: hex(dial.key) }),
    })),
    ...(node.neighbours.length === 0
      ? {}
      : {
          neighbours: node.neighbours.map(({ node: whose, costUs, metered }) => ({
            node: whose,
            ...(costUs === 0 ? {} : { cost: durationText(costUs) }),
            ...(metered ? { metered } : {}),
          })),
        }),
    ...textOfKeys(node, (first) => !LATER_KEYS.includes(first)),
    client: clientData(client),
    ...(config.http === null ? {} : { http: httpData(config.http) }),
    emulation: {
      allow: node.allowEmulation,
      seed: emulation.seed,
      links: emulation.links.map(({ peer, settings }) => ({
        peer: formatSocketAddress(peer),
        ...directionData(settings),
      })),
    },
    ...textOfKeys(node, (first) => first === 'limits'),
    log: {
      level: config.logLevel,
      ...(config.logFile === null ? {} : { file: config.logFile.path }),
      ...(config.auditFile === null ? {} : { audit: config.auditFile.path }),
      ...(sized === null ? {} : { maxSize: sized.maxBytes, keep: sized.keep }),
    },
    firewall: rulesText(node.firewall),
    ...textOfKeys(node, (first) => first === 'allowShutdown' || first === 'laboratory'),
  });
}

function clientData(client: DaemonFileConfig['client']): Record<string, unknown> {
  return {
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
  };
}

function httpData({ address, tokenPath, dashboard }: HttpOptions): Record<string, unknown> {
  return {
    address: formatSocketAddress(address),
    ...(tokenPath === null ? {} : { token: tokenPath }),
    dashboard: dashboard === true,
  };
}

function lossData(loss: DirectionSettings['loss']): Record<string, unknown> {
  if (loss.kind === 'bernoulli') return { loss: percentText(loss.rate) };
  const shares = { lossGood: percentText(loss.lossGood), lossBad: percentText(loss.lossBad) };
  if (loss.kind === 'gilbert-elliott')
    return {
      burst: {
        goodToBad: percentText(loss.goodToBad),
        badToGood: percentText(loss.badToGood),
        ...shares,
      },
    };
  if (!loss.badFixed)
    return { burst: { good: durationText(loss.goodUs), bad: durationText(loss.badUs), ...shares } };
  return {
    loss: percentText(loss.lossGood),
    outages: { every: durationText(loss.goodUs + loss.badUs), lasting: durationText(loss.badUs) },
  };
}

/** One direction's characteristics in the words of config and topology files. */
export function directionData(settings: DirectionSettings): Record<string, unknown> {
  const { loss } = settings;
  return {
    up: settings.up,
    latency: durationText(settings.latencyUs),
    jitter: durationText(settings.jitterUs),
    bandwidth: settings.bandwidthKbps === null ? 'unlimited' : `${settings.bandwidthKbps}kbit`,
    queue: settings.queueBytes,
    mtu: settings.mtuBytes ?? 'unlimited',
    ...lossData(loss),
    duplicate: percentText(settings.duplicateRate),
    reorder: percentText(settings.reorderRate),
    reorderDelay: durationText(settings.reorderUs),
    corrupt: percentText(settings.corruptRate),
  };
}

/**
 * Keys of the config file without a row of their own: files, lists and doors, with what they mean,
 * for the reference. What may stand there is config-schema.ts's.
 */

import { defaultConfig, type NodeConfig } from '../../core/node/config.ts';

/** By the key in the file; a dot stands for a map within a map. Each first word of the schema. */
export const LISTED_KEYS: readonly (readonly [key: string, meaning: string])[] = [
  ['security', 'sealed (default): only holders of a certificate take part; none: a laboratory'],
  ['id, name', "of the node, where no certificate says them: a dotted quad, and the node's name"],
  ['identity.key, .certificate, .authorities', "the node's files, and the authorities it trusts"],
  ['identity.revocations', 'revocation list; newer ones from the network are written there'],
  ['identity.passphraseFile', 'its first line opens the key'],
  ['network.presharedKey', 'file of a key that all nodes hold; two while it is changed'],
  ['listen', 'UDP addresses, numeric; default 0.0.0.0:8100'],
  ['links', 'neighbours to dial: address, and node, name, key, certificate, congestion of each'],
  ['neighbours', 'a list: node, and cost or metered: what you want of the link to it'],
  ['dscp', 'class of the datagrams of links: 0 to 63, or ef, le, cs0 to cs7, af11 to af43'],
  ['client.socket, .group', 'Unix socket for programs of the machine, and who may open it'],
  ['client.sockets', 'further ones: path, mode, group, role'],
  ['client.tcp', 'loopback address, token file and further tokens with their roles'],
  ['client.remote, .roles', 'where programs of other machines come; what they may do'],
  [
    'http',
    'a loopback address for metrics and health, or address, token, dashboard; default: none',
  ],
  ['emulation.seed, .links', 'emulated characteristics of what leaves for a peer'],
  ['log.level, .file, .audit, .maxSize, .keep', 'what is logged, and where'],
  ['firewall', "who may send to this node's ports, reach targets behind it, use it from afar"],
];

/** A configuration of defaults, for showing them. */
export function defaultsOf(): NodeConfig {
  return { ...defaultConfig, id: 0 };
}

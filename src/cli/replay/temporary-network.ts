/**
 * A closed network for as long as a program runs its daemons: keys and certificates of each node,
 * in a folder each.
 *
 * The authority lives in memory alone and is gone with the program: nobody else ever joins. Used by
 * the real-time replay; the layout of a folder is that of `spines init`, for `spines daemon
 * --identity`.
 */

import { join } from 'node:path';

import { hex } from '../../core/base/bytes.ts';
import type { NodeId } from '../../core/base/ids.ts';
import { issueCertificate, makeAuthority } from '../../core/crypto/certificates.ts';
import { makeSigningKeys } from '../../core/crypto/keys.ts';
import { nodePrimitives } from '../../host/primitives/node-primitives.ts';
import { secureRandom } from '../../host/primitives/secure-random.ts';
import { makeFolder, MODE_PRIVATE, MODE_PUBLIC } from '../../host/files/whole-file.ts';
import { armour } from '../../core/wire/armour.ts';
import { ROLE_CLIENT, ROLE_ROUTER } from '../../core/wire/certificate.ts';
import { nowS } from '../keys/keys-authority.ts';
import { createFiles, nodeFolder } from '../keys/keys-files.ts';
import { makeIdentity } from '../keys/keys-node.ts';

const HOUR_S = 3_600,
  LIFE_S = 30 * 86_400;

export interface TemporaryNode {
  readonly name: string;
  readonly id: NodeId;
  /** Made, with the identity in it. */
  readonly folder: string;
}

/**
 * Writes an identity into each node's folder. Returns the nodes' X25519 keys as a config file has
 * them, in order.
 */
export function makeTemporaryNetwork(name: string, nodes: readonly TemporaryNode[]): string[] {
  const validity = { notBeforeS: nowS() - HOUR_S, notAfterS: nowS() + LIFE_S };
  const keys = makeSigningKeys(secureRandom);
  const authority = makeAuthority(name, keys, validity, null, nodePrimitives);
  return nodes.map((node) => {
    const { request, keyText } = makeIdentity(node.name, node.id);
    const certificate = issueCertificate(
      request,
      ROLE_ROUTER | ROLE_CLIENT,
      validity,
      authority,
      keys.secret,
      secureRandom,
      nodePrimitives,
    );
    const files = nodeFolder(node.folder);
    makeFolder(node.folder, 0o700);
    createFiles([
      { path: files.key, text: keyText(null), mode: MODE_PRIVATE },
      {
        path: files.certificate,
        text: armour('SPINES CERTIFICATE', certificate.bytes),
        mode: MODE_PUBLIC,
      },
      {
        path: files.authority,
        text: armour('SPINES AUTHORITY', authority.bytes),
        mode: MODE_PUBLIC,
      },
    ]);
    return hex(request.exchangeKey);
  });
}

/** The `identity` of a config file beside such a folder. */
export function identityConfig(folder: string): Record<string, unknown> {
  const files = nodeFolder(folder);
  return {
    key: files.key,
    certificate: files.certificate,
    authorities: [files.authority],
    revocations: files.revocations,
  };
}

/** Where a node's folder is in that of its network. */
export function folderOf(dir: string, index: number): string {
  return join(dir, `identity-${index}`);
}

/**
 * `spines keys node` and `rotate`: what is done on the node that the keys are for. Its private key
 * never leaves it.
 */

import { renameSync } from 'node:fs';
import { basename, dirname } from 'node:path';

import { NO_NODE } from '../../core/base/ids.ts';
import { makeRequest } from '../../core/crypto/certificates.ts';
import { encodeKeyFile, openKeyFile } from '../../core/crypto/key-file.ts';
import { draw, makeExchangeKeys, makeSigningKeys } from '../../core/crypto/keys.ts';
import { PRESHARED_BYTES, presharedKey, presharedText } from '../../core/crypto/preshared.ts';
import { armour } from '../../core/wire/armour.ts';
import type { CertificateRequest } from '../../core/wire/certificate.ts';
import { readKind } from '../../host/identity/identity-reader.ts';
import { presharedFileText } from '../../host/identity/preshared-file.ts';
import { secureRandom } from '../../host/primitives/secure-random.ts';
import { EXIT_USAGE, Failure, usage } from '../terminal/failure.ts';
import { MODE_PRIVATE, MODE_PUBLIC, removeFile } from '../../host/files/whole-file.ts';
import { createFiles, keepAside, nodeFiles, refuseExisting } from './keys-files.ts';
import { passphraseToOpen, passphraseToProtect, type PassphraseFlags } from './keys-passphrase.ts';
import { describe, type Told } from './keys-text.ts';

export interface NodeFlags extends PassphraseFlags {
  readonly dir: string;
  readonly id?: number;
  readonly client?: boolean;
  readonly groups?: readonly string[];
}

export async function node(name: string, flags: NodeFlags): Promise<Told> {
  if ((flags.id === undefined) === (flags.client !== true))
    throw usage('a node needs --id QUAD, and a client program --client; give one of the two');
  const made = makeIdentity(name, flags.id ?? NO_NODE, flags.groups);
  const files = nodeFiles(flags.dir, name);
  refuseExisting([files.key, files.request]);
  const passphrase = await passphraseToProtect(flags);
  createFiles([
    { path: files.key, text: made.keyText(passphrase), mode: MODE_PRIVATE },
    {
      path: files.request,
      text: armour('SPINES CERTIFICATE REQUEST', made.request.bytes),
      mode: MODE_PUBLIC,
    },
  ]);
  return {
    ...describe({ kind: 'request', value: made.request }),
    passphrase: passphrase !== null,
    files: [files.key, files.request],
    next: [
      `take ${files.request} (not ${files.key}) to the authority, sign it there with \`spines ` +
        `keys sign ${basename(files.request)}\`, and bring ${name}.crt back`,
    ],
  };
}

/** A key that all nodes of a network share, in a new file. */
export function psk(path: string): Told {
  const secret = draw(secureRandom, PRESHARED_BYTES);
  createFiles([{ path, text: presharedFileText(secret), mode: MODE_PRIVATE }]);
  return {
    kind: 'pre-shared key',
    id: presharedText(presharedKey(secret).id),
    files: [path],
    next: [
      `copy ${path} to each node of the network over a safe way, with mode 0600`,
      'name it on all: `network: { presharedKey: [NEW, OLD] }`, or [NEW, none] where there was ' +
        'none, and `spines reload`',
      'when all have it, name it alone on all, and `spines reload`',
    ],
  };
}

export async function rotate(path: string, flags: PassphraseFlags): Promise<Told> {
  const old = readKind(path, 'key');
  if (old.holder !== 'node')
    throw new Failure(
      EXIT_USAGE,
      'EKEYFILE',
      `${path} is the key of an authority; make a new authority with \`spines keys init ` +
        `--network authority.pub --dir NEW\``,
    );
  const made = makeIdentity(old.name, old.node);
  // A key that had a passphrase gets the same one: opening the old key proves that it was not
  // mistyped.
  const passphrase = old.encrypted
    ? await passphraseToOpen(flags, path)
    : await passphraseToProtect(flags);
  if (old.encrypted) openKeyFile(old, passphrase);
  const stem = path.endsWith('.key') ? basename(path, '.key') : basename(path);
  const files = { ...nodeFiles(dirname(path), stem), key: path };
  const fresh = { key: `${path}.new`, request: `${files.request}.new` };
  createFiles([
    { path: fresh.key, text: made.keyText(passphrase), mode: MODE_PRIVATE },
    {
      path: fresh.request,
      text: armour('SPINES CERTIFICATE REQUEST', made.request.bytes),
      mode: MODE_PUBLIC,
    },
  ]);
  // Kept by a second name, then replaced: at no time is there no key.
  let aside: string[];
  try {
    aside = [files.certificate, files.request, files.key]
      .map(keepAside)
      .filter((name) => name !== null);
    renameSync(fresh.key, files.key);
    renameSync(fresh.request, files.request);
  } catch (error) {
    for (const path of Object.values(fresh)) removeFile(path);
    throw error;
  }
  removeFile(files.certificate);
  const oldCertificate = aside.find((name) => name.startsWith(`${files.certificate}.`));
  return {
    ...describe({ kind: 'request', value: made.request }),
    passphrase: passphrase !== null,
    files: [files.key, files.request],
    aside,
    next: [
      `take ${files.request} to the authority, sign it there with \`spines keys sign ` +
        `${basename(files.request)}\`, and bring ${basename(files.certificate)} back`,
      'until then leave the daemon running on what it has loaded; to go back, give the files ' +
        'kept aside their old names',
      ...(oldCertificate === undefined
        ? []
        : [
            'when the new certificate is in use, revoke the old one at the authority with ' +
              `\`spines keys revoke ${basename(oldCertificate)}\``,
          ]),
    ],
  };
}

export function makeIdentity(
  name: string,
  id: number,
  groups: readonly string[] = [],
): { request: CertificateRequest; keyText: (passphrase: string | null) => string } {
  const signing = makeSigningKeys(secureRandom),
    exchange = makeExchangeKeys(secureRandom);
  const request = makeRequest(name, id, signing, exchange.publicKey, undefined, groups);
  return {
    request,
    keyText: (passphrase) =>
      armour(
        'SPINES PRIVATE KEY',
        encodeKeyFile({ name, node: id, signing, exchange }, passphrase, secureRandom),
      ),
  };
}

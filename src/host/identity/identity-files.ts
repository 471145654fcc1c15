/**
 * A daemon's identity from its files: key, certificate, trusted authorities, revocation lists, and
 * earlier identities.
 *
 * Owns the checks that make them one whole, and the sentence for each that fails; reading one file
 * is identity-reader.ts's, judging a certificate core/crypto/certificates.ts's. Called at start, at
 * a reload and by `spines config check`. Also writes the revocation lists that came from the
 * network. Nothing secret is ever printed.
 */

import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

import { equalBytes, hex } from '../../core/base/bytes.ts';
import { formatTime } from '../../core/base/calendar.ts';
import { SpinesError } from '../../core/base/errors.ts';
import { NO_NODE } from '../../core/base/ids.ts';
import { Trust, type CertificateVerdict } from '../../core/crypto/certificates.ts';
import { openKeyFile } from '../../core/crypto/key-file.ts';
import { PREVIOUS_MAX, type Credentials, type Identity } from '../../core/crypto/membership.ts';
import { armour } from '../../core/wire/armour.ts';
import { ROLE_ROUTER, type Certificate, type RevocationList } from '../../core/wire/certificate.ts';
import { givenPassphrase, LIST_REMEDY, readKind, readRevocations } from './identity-reader.ts';
import { nodePrimitives } from '../primitives/node-primitives.ts';
import { readPresharedKeys } from './preshared-file.ts';
import { replaceWhole } from '../files/whole-file.ts';

/** Where the parts of an identity are. Absolute paths. */
export interface IdentityPaths {
  readonly key: string;
  readonly certificate: string;
  /** 1..AUTHORITIES_MAX. */
  readonly authorities: readonly string[];
  /** Need not exist: nothing was revoked yet. */
  readonly revocations: string;
  /** Null: the passphrase, if the key has one, is in the environment. */
  readonly passphraseFile: string | null;
  /**
   * Pre-shared keys of the network, the preferred one first; null among them: no key will do as
   * well. None: no key.
   */
  readonly preshared?: readonly (string | null)[];
}

export interface LoadedIdentity {
  readonly credentials: Credentials;
  /** What deserves a warning and is no reason to refuse. */
  readonly notes: readonly string[];
}

/** Why a certificate is refused, and what to do about it. */
export const REFUSALS: Readonly<Record<Exclude<CertificateVerdict, 'ok'>, string>> = {
  'wrong-network':
    'belongs to another network; compare its network id with `spines keys show` of the authority',
  'unknown-authority':
    'was signed by an authority that is not trusted here; name that one too with --authority, or ' +
    "in identity.authorities of a daemon's config",
  'bad-signature':
    'has a wrong signature: it was altered or is forged; get it from its authority again',
  'authority-not-valid':
    'was signed by an authority that is not valid at this time; have it signed by a valid one',
  'not-yet-valid': 'is not valid yet; check the clock, or wait',
  expired: 'has expired; sign its request again with `spines keys sign`',
  revoked: 'is revoked; make new keys with `spines keys rotate` and have them signed',
};

/**
 * Reads and checks an identity for the time `nowS`, seconds since 1970. Throws SpinesError: file,
 * problem, remedy.
 */
export function readIdentityFiles(paths: IdentityPaths, nowS: number): LoadedIdentity {
  const trust = readTrust(paths);
  const passphrase = (): string | null => givenPassphrase(paths.passphraseFile);
  const identity = readPair(paths.key, paths.certificate, passphrase);
  const { certificate } = identity;
  const which =
    `certificate ${paths.certificate} (${certificate.name}, serial ` + `${certificate.serial})`;
  const verdict = trust.judge(certificate, nowS);
  if (verdict === 'expired') {
    throw new SpinesError(
      'EEXPIRED',
      `${which} expired on ${formatTime(certificate.notAfterS)}; sign its request again with ` +
        `\`spines keys sign\` and put the new one in its place`,
    );
  }
  if (
    verdict === 'not-yet-valid' ||
    (verdict === 'authority-not-valid' && nowS < (trust.authorityOf(certificate)?.notBeforeS ?? 0))
  ) {
    const beginsS = Math.max(
      certificate.notBeforeS,
      trust.authorityOf(certificate)?.notBeforeS ?? 0,
    );
    throw new SpinesError(
      'ENOTYETVALID',
      `${which} is not valid yet; check the clock, which says ${formatTime(nowS)}: it begins ` +
        `${formatTime(beginsS)}`,
    );
  }
  if (verdict !== 'ok')
    throw new SpinesError(
      `E${verdict.replaceAll('-', '').toUpperCase()}`,
      `${which} ${REFUSALS[verdict]}`,
    );
  if ((certificate.roles & ROLE_ROUTER) === 0 || certificate.node === NO_NODE) {
    throw new SpinesError(
      'EROLE',
      `${which} is not for a daemon; have one made with \`spines keys node NAME --id QUAD\` and ` +
        `\`spines keys sign\``,
    );
  }
  const { previous, notes } = readPrevious(paths, identity, trust, nowS, passphrase);
  return {
    credentials: { identity, previous, trust, preshared: readPresharedKeys(paths.preshared ?? []) },
    notes,
  };
}

/** The certificate of `path`, for its id and name; nothing about it is judged. */
export function readCertificate(path: string): Certificate {
  return readKind(path, 'certificate');
}

function readTrust({ authorities, revocations }: IdentityPaths): Trust {
  let trust: Trust;
  const read = authorities.map((path) => readKind(path, 'authority'));
  try {
    trust = new Trust(read, nodePrimitives);
  } catch (error) {
    if (!(error instanceof SpinesError)) throw error;
    throw new SpinesError(error.code, `${authorities.join(', ')}: ${error.message}`);
  }
  if (!existsSync(revocations)) return trust;
  for (const list of readRevocations(revocations)) {
    const verdict = trust.offer(list);
    // Of an authority that is trusted no longer a list may stay; a forged or foreign one is a
    // mistake to be told.
    if (verdict === 'ok' || verdict === 'stale' || verdict === 'unknown-authority') continue;
    const why =
      verdict === 'wrong-network'
        ? `belongs to another network than ${authorities[0]!}`
        : 'has a wrong signature';
    throw new SpinesError('EREVOCATIONS', `revocation list ${revocations} ${why}; ${LIST_REMEDY}`);
  }
  return trust;
}

function readPair(
  keyPath: string,
  certificatePath: string,
  passphrase: () => string | null,
): Identity {
  const file = readKind(keyPath, 'key');
  const certificate = readKind(certificatePath, 'certificate');
  if (file.holder !== 'node' || file.exchangeKey === null) {
    throw new SpinesError(
      'EKEYFILE',
      `${keyPath} is the key of an authority, not of a node; name the node's key, and keep the ` +
        `authority's off this machine`,
    );
  }
  if (
    !equalBytes(file.signingKey, certificate.signingKey) ||
    !equalBytes(file.exchangeKey, certificate.exchangeKey)
  ) {
    throw new SpinesError(
      'EKEYFILE',
      `key ${keyPath} and certificate ${certificatePath} do not belong together; sign the ` +
        `request that was made with the key, with \`spines keys sign\``,
    );
  }
  const given = file.encrypted ? passphrase() : null;
  if (file.encrypted && given === null) {
    throw new SpinesError(
      'EPASSPHRASE',
      `key ${keyPath} has a passphrase; name a file with it in identity.passphraseFile, or set ` +
        'SPINES_PASSPHRASE',
    );
  }
  try {
    const { signing, exchange } = openKeyFile(file, given);
    return { certificate, signing, exchange: exchange! };
  } catch (error) {
    if (!(error instanceof SpinesError)) throw error;
    throw new SpinesError(error.code, `${keyPath}: ${error.message}`);
  }
}

/**
 * What `spines keys rotate` kept aside (KEY.old-N, CERT.old-N) and is still valid, newest first.
 * Matched by the keys in them.
 */
function readPrevious(
  paths: IdentityPaths,
  identity: Identity,
  trust: Trust,
  nowS: number,
  passphrase: () => string | null,
): { previous: Identity[]; notes: string[] } {
  const previous: Identity[] = [],
    notes: string[] = [];
  const certificates: { path: string; value: Certificate }[] = [];
  const attempt = (path: string, body: () => void): void => {
    try {
      body();
    } catch (error) {
      if (!(error instanceof SpinesError)) throw error;
      notes.push(`the earlier identity in ${path} is not used: ${error.message}`);
    }
  };
  for (const path of asideOf(paths.certificate))
    attempt(path, () => certificates.push({ path, value: readKind(path, 'certificate') }));
  for (const path of asideOf(paths.key)) {
    if (previous.length === PREVIOUS_MAX) break;
    attempt(path, () => {
      const key = readKind(path, 'key');
      const own = certificates.find(({ value }) => equalBytes(value.signingKey, key.signingKey));
      const usable =
        own !== undefined &&
        own.value.node === identity.certificate.node &&
        trust.judge(own.value, nowS) === 'ok';
      if (usable) previous.push(readPair(path, own.path, passphrase));
    });
  }
  return { previous, notes };
}

/** PATH.old-N that exist, highest N first. */
function asideOf(path: string): string[] {
  const start = `${basename(path)}.old-`;
  const numberOf = (name: string): number =>
    /^\d{1,6}$/.test(name.slice(start.length)) ? Number(name.slice(start.length)) : 0;
  return readdirSync(dirname(path))
    .filter((name) => name.startsWith(start) && numberOf(name) > 0)
    .sort((a, b) => numberOf(b) - numberOf(a))
    .map((name) => join(dirname(path), name));
}

/** Replaces the file by `lists`, whole or not at all. Throws SpinesError. */
export function writeRevocations(path: string, lists: readonly RevocationList[]): void {
  const text = lists.map((list) => armour('SPINES REVOCATION LIST', list.bytes)).join('');
  replaceWhole(path, text);
}

/** For logs and answers: which authority or list is meant. */
export function shortId(id: Uint8Array): string {
  return hex(id).slice(0, 16);
}

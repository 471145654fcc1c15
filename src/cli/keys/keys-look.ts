/**
 * `spines keys show` and `verify`: what a file is, and whether a certificate is good. They change
 * nothing.
 */

import { existsSync } from 'node:fs';

import { hex } from '../../core/base/bytes.ts';
import { SpinesError } from '../../core/base/errors.ts';
import { isAuthentic, requestFault, Trust } from '../../core/crypto/certificates.ts';
import type { Certificate } from '../../core/wire/certificate.ts';
import { formatTime } from '../../core/base/calendar.ts';
import { REFUSALS } from '../../host/identity/identity-files.ts';
import { readIdentity, readKind, type IdentityFile } from '../../host/identity/identity-reader.ts';
import { EXIT_NO, EXIT_USAGE, Failure } from '../terminal/failure.ts';
import { nowS } from './keys-authority.ts';
import { authorityFiles } from './keys-files.ts';
import { describe, type Told } from './keys-text.ts';

const DAY_S = 86_400;
const SOON_S = 30 * DAY_S;

export function show(path: string): Told {
  const identity = readIdentity(path);
  return { ...describe(identity), next: nextFor(identity, path) };
}

/**
 * A file tells by itself only whether it is signed by the key in it; anything more needs `verify`.
 */
function nextFor(identity: IdentityFile, path: string): string[] {
  switch (identity.kind) {
    case 'authority':
      return isAuthentic(identity.value)
        ? []
        : ['its signature is wrong: do not use it; copy it again'];
    case 'request':
      if (requestFault(identity.value) !== null)
        return ['its signature or its keys are wrong: do not sign it; have it made again'];
      return [
        `sign it with \`spines keys sign ${path}\` when the fingerprint is the one on the node`,
      ];
    case 'certificate':
      return [`this was not checked: \`spines keys verify ${path} --authority authority.pub\``];
    case 'revocations':
      return ['this was not checked: name it in `spines keys verify CERT --revocations`'];
    case 'key':
      return [];
  }
}

export interface VerifyFlags {
  readonly dir: string;
  readonly authority?: readonly string[];
  readonly revocations?: readonly string[];
  /** Seconds since 1970. */
  readonly at?: number;
}

export function verify(path: string, flags: VerifyFlags): Told {
  const certificate = readJudged(path);
  const own = authorityFiles(flags.dir);
  const authorities = flags.authority ?? [own.authority];
  const trust = new Trust(authorities.map((file) => readKind(file, 'authority')));
  const lists =
    flags.revocations ??
    (flags.authority === undefined && existsSync(own.revocations) ? [own.revocations] : []);
  for (const file of lists) {
    const verdict = trust.offer(readKind(file, 'revocations'));
    // Two lists of one authority: the newer one holds all that the older one does.
    if (verdict !== 'ok' && verdict !== 'stale')
      throw new Failure(
        EXIT_USAGE,
        'EREVOCATIONS',
        `revocation list ${file} cannot be used (${verdict}); get it from the authority again`,
      );
  }
  const at = flags.at ?? nowS();
  const verdict = trust.judge(certificate, at);
  if (verdict !== 'ok')
    throw new Failure(
      EXIT_NO,
      `E${verdict.replaceAll('-', '').toUpperCase()}`,
      `${path} (${certificate.name}, serial ${certificate.serial}) ${REFUSALS[verdict]}`,
    );
  const leftS = certificate.notAfterS - at;
  const covered = new Set(trust.revocations.map((list) => hex(list.authority))).has(
    hex(certificate.authority),
  );
  return {
    valid: true,
    ...describe({ kind: 'certificate', value: certificate }),
    checkedFor: formatTime(at),
    revocationsChecked: covered,
    next: [
      ...(covered
        ? []
        : ["whether it is revoked was not checked: name its authority's list with --revocations"]),
      ...(leftS < SOON_S
        ? [
            `it expires in ${Math.floor(leftS / DAY_S)} days: sign its request again with ` +
              `\`spines keys sign\``,
          ]
        : []),
    ],
  };
}

/** A damaged certificate is a no, like a forged one; a wrong path is not. */
function readJudged(path: string): Certificate {
  try {
    return readKind(path, 'certificate');
  } catch (error) {
    if (error instanceof SpinesError && error.code === 'EFORMAT')
      throw new Failure(EXIT_NO, error.code, error.message);
    throw error;
  }
}

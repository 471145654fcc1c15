/**
 * `spines keys init`, `sign` and `revoke`: what the holder of a network's authority does.
 *
 * Owns the authority's folder: its key, its public statement, its revocation list and a copy of
 * each certificate that it issued. Invariant: no two valid certificates of an authority give one
 * name to two ids or one id to two names.
 */

import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { formatNodeId, NO_NODE } from '../../core/base/ids.ts';
import {
  authorityIdOf,
  isAuthentic,
  issueCertificate,
  issueRevocations,
  makeAuthority,
  Trust,
} from '../../core/crypto/certificates.ts';
import { encodeKeyFile, openKeyFile } from '../../core/crypto/key-file.ts';
import { makeSigningKeys, type Secret } from '../../core/crypto/keys.ts';
import { Revoked, revocationOf, subjectsOf } from '../../core/crypto/revoked.ts';
import { equalBytes, hex } from '../../core/base/bytes.ts';
import { armour } from '../../core/wire/armour.ts';
import {
  isSerial,
  ROLE_CLIENT,
  ROLE_ROUTER,
  type Authority,
  type Certificate,
  type CertificateRequest,
  type RevocationList,
  type RevokedSubject,
} from '../../core/wire/certificate.ts';
import { formatTime } from '../../core/base/calendar.ts';
import { readKind } from '../../host/identity/identity-reader.ts';
import { secureRandom } from '../../host/primitives/secure-random.ts';
import { EXIT_USAGE, Failure, usage } from '../terminal/failure.ts';
import { MODE_PRIVATE, MODE_PUBLIC } from '../../host/files/whole-file.ts';
import { authorityFiles, createFiles, refuseExisting, replaceFile } from './keys-files.ts';
import { passphraseToOpen, passphraseToProtect, type PassphraseFlags } from './keys-passphrase.ts';
import { describe, formatFingerprint, type Told } from './keys-text.ts';

/**
 * Statements count from an hour before they are made: a machine whose clock is behind, or shows
 * another summer time, can use them at once.
 */
const BACKDATED_S = 3_600;
const DAY_S = 86_400;
/**
 * Serials of certificates that expired this long ago leave the list: they are refused as expired
 * anyway.
 */
const KEEP_REVOKED_S = 30 * DAY_S;

export function nowS(): number {
  return Math.floor(Date.now() / 1_000);
}

export interface InitFlags extends PassphraseFlags {
  readonly dir: string;
  readonly name?: string;
  readonly days: number;
  readonly network?: string;
}

export async function init(flags: InitFlags): Promise<Told> {
  return (await found(flags)).told;
}

/** An authority whose key is open, in its folder. */
export interface OpenAuthority {
  readonly authority: Authority;
  readonly secret: Secret;
}

/** Makes the folder of an authority. */
export async function found(
  flags: InitFlags,
): Promise<{ readonly told: Told; readonly opened: OpenAuthority }> {
  const existing = flags.network === undefined ? null : readKind(flags.network, 'authority');
  if (existing !== null && flags.name !== undefined && flags.name !== existing.name)
    throw usage(
      `the network is called ${existing.name}; leave --name out, or leave --network out to found ` +
        'another',
    );
  const name = flags.name ?? existing?.name ?? 'spines';
  const files = authorityFiles(flags.dir);
  const now = nowS();
  const keys = makeSigningKeys(secureRandom);
  const authority = makeAuthority(
    name,
    keys,
    { notBeforeS: now - BACKDATED_S, notAfterS: now + flags.days * DAY_S },
    existing?.network ?? null,
  );
  refuseExisting([files.key, files.authority, files.revocations]);
  const passphrase = await passphraseToProtect(flags);
  const keyFile = encodeKeyFile(
    { name, node: NO_NODE, signing: keys, exchange: null },
    passphrase,
    secureRandom,
  );
  const revocations = issueRevocations([], null, now, authority, keys.secret);
  createFiles([
    { path: files.key, text: armour('SPINES PRIVATE KEY', keyFile), mode: MODE_PRIVATE },
    { path: files.authority, text: armour('SPINES AUTHORITY', authority.bytes), mode: MODE_PUBLIC },
    {
      path: files.revocations,
      text: armour('SPINES REVOCATION LIST', revocations.bytes),
      mode: MODE_PUBLIC,
    },
  ]);
  const told = {
    ...describe({ kind: 'authority', value: authority }),
    passphrase: passphrase !== null,
    files: [files.key, files.authority, files.revocations],
    next: [
      `keep ${files.key} safe and off the nodes; give every node ${files.authority} and ` +
        `${files.revocations}`,
      'on each node: `spines keys node NAME --id QUAD`, then bring NAME.req here',
      `here: \`spines keys sign NAME.req --dir ${flags.dir}\``,
      ...(existing === null
        ? []
        : [
            `let the nodes trust ${flags.network!} and ${files.authority} until every ` +
              'certificate is signed by the new one',
          ]),
    ],
  };
  return { told, opened: { authority, secret: keys.secret } };
}

export interface SignFlags extends PassphraseFlags {
  readonly dir?: string;
  readonly days?: number;
  readonly roles?: number;
  readonly groups?: readonly string[];
  readonly out?: string;
}

export async function sign(path: string, given: SignFlags): Promise<Told> {
  const request = readKind(path, 'request');
  const flags = { ...given, dir: folderOf(given.dir, [path]) };
  const files = authorityFiles(flags.dir);
  const out = flags.out ?? path.replace(/(\.req)?$/, '.crt');
  const { certificate, copy } = certifyRequest(request, flags, out, await openAuthority(flags));
  return {
    ...describe({ kind: 'certificate', value: certificate }),
    files: [out, copy],
    next: [
      ...(given.groups === undefined && request.groups.length > 0
        ? [
            `it asks for the groups ${request.groups.join(',')}, and got none: give what it ` +
              'should have with --groups',
          ]
        : []),
      `compare the fingerprint with the one that \`spines keys node\` or \`spines keys show\` ` +
        `printed on the node: ${formatFingerprint(request)}`,
      `take ${out} to the node, next to its private key, with ${files.authority} and ` +
        `${files.revocations}`,
    ],
  };
}

/** Signs `request`: the certificate at `out`, and the authority's copy of it. */
export function certifyRequest(
  request: CertificateRequest,
  flags: {
    readonly dir: string;
    readonly days?: number;
    readonly roles?: number;
    readonly groups?: readonly string[];
  },
  out: string,
  { authority, secret }: OpenAuthority,
): { readonly certificate: Certificate; readonly copy: string } {
  const files = authorityFiles(flags.dir);
  const now = nowS();
  const roles = flags.roles ?? (request.node === NO_NODE ? ROLE_CLIENT : ROLE_ROUTER);
  const lastS = authority.notAfterS;
  if (now >= lastS) {
    throw new Failure(
      EXIT_USAGE,
      'EAUTHORITY',
      `the authority expired on ${formatTime(lastS)}; make a new one with \`spines keys init ` +
        `--network ${files.authority} --dir NEW\``,
    );
  }
  const wanted = now + (flags.days ?? 365) * DAY_S;
  if (wanted > lastS && flags.days !== undefined)
    throw usage(`the authority is valid until ${formatTime(lastS)} only; choose fewer --days`);
  const revocations = readOwnRevocations(files.revocations, authority);
  const issued = readIssued(files.issued);
  const revoked = new Revoked(revocations);
  refuseClash(request, issued, revoked, now);
  const { holder, signingKey, exchangeKey } = subjectsOf(request);
  if (revoked.untilS(signingKey) >= 0 || revoked.untilS(exchangeKey) >= 0) {
    throw new Failure(
      EXIT_USAGE,
      'EREVOKED',
      `the keys of ${request.name} in this request are revoked; make new ones on the node with ` +
        `\`spines keys rotate\`, and sign that request`,
    );
  }
  // Each of a holder begins after those before it: revoking one revokes the earlier ones, and not
  // the later.
  const afterS = issued
    .filter((other) => subjectsOf(other).holder === holder)
    .reduce((latest, other) => Math.max(latest, other.notBeforeS), revoked.untilS(holder));
  const validity = {
    notBeforeS: Math.max(now - BACKDATED_S, authority.notBeforeS, afterS + 1),
    notAfterS: Math.min(wanted, lastS),
  };
  const certificate = issueCertificate(
    request,
    roles,
    validity,
    authority,
    secret,
    secureRandom,
    undefined,
    flags.groups,
  );
  const text = armour('SPINES CERTIFICATE', certificate.bytes);
  const copy = join(files.issued, `${certificate.name}-${certificate.serial}.crt`);
  createFiles([
    { path: copy, text, mode: MODE_PUBLIC },
    { path: out, text, mode: MODE_PUBLIC },
  ]);
  return { certificate, copy };
}

/**
 * Revokes certificates named by file or serial, with their keys and what their holders got before;
 * or all that a node has, by name or id.
 */
export async function revoke(
  targets: readonly string[],
  given: PassphraseFlags & { readonly dir?: string },
): Promise<Told> {
  const flags = { ...given, dir: folderOf(given.dir, targets) };
  const files = authorityFiles(flags.dir);
  const authority = readAuthority(files.authority);
  const now = nowS();
  const issued = readIssued(files.issued);
  const serials: string[] = [],
    subjects: RevokedSubject[] = [],
    bare: string[] = [];
  for (const target of targets) {
    const { certificates, untilS } = meantBy(target, issued, authority, now);
    for (const certificate of certificates) {
      serials.push(certificate.serial);
      subjects.push(...revocationOf(certificate), {
        subject: subjectsOf(certificate).holder,
        untilS,
      });
    }
    if (certificates.length > 0) continue;
    serials.push(target);
    bare.push(target);
  }
  const { secret } = await openAuthority(flags);
  const expired = new Set(
    issued
      .filter((certificate) => certificate.notAfterS + KEEP_REVOKED_S < now)
      .map((certificate) => certificate.serial),
  );
  let list: RevocationList | null = null;
  replaceFile(files.revocations, () => {
    const previous = readOwnRevocations(files.revocations, authority);
    const kept = previous.serials.filter((serial) => !expired.has(serial));
    list = issueRevocations([...kept, ...serials], previous, now, authority, secret, undefined, [
      ...previous.subjects,
      ...subjects,
    ]);
    return armour('SPINES REVOCATION LIST', list.bytes);
  });
  const revoked = new Revoked(list!);
  const holders = new Set(subjects.map(({ subject }) => subject));
  const left = issued.filter(
    (certificate) =>
      holders.has(subjectsOf(certificate).holder) &&
      !revoked.has(certificate) &&
      now < certificate.notAfterS,
  );
  return {
    ...describe({ kind: 'revocations', value: list! }),
    files: [files.revocations],
    next: [
      `copy ${files.revocations} to a node and run \`spines reload\` there: it spreads to the ` +
        'others, and a certificate counts where it has not come yet',
      ...left.map(
        ({ name, serial }) =>
          `${name} has a newer certificate with other keys, serial ${serial}, which stays valid: ` +
          `\`spines keys revoke ${name} --dir ${flags.dir}\` revokes all that ${name} has`,
      ),
      ...bare.map(
        (serial) =>
          `${serial} is not among the certificates in ${files.issued}, so only this serial is ` +
          'revoked: ' +
          "name the certificate's file to revoke its keys and what was issued for them, too",
      ),
    ],
  };
}

/**
 * The certificates that `target` means, and until when its holder's are revoked with them; none: a
 * serial that is not known here.
 */
function meantBy(
  target: string,
  issued: readonly Certificate[],
  authority: Authority,
  now: number,
): { certificates: Certificate[]; untilS: number } {
  if (isSerial(target))
    return { certificates: issued.filter(({ serial }) => serial === target), untilS: 0 };
  if (statSync(target, { throwIfNoEntry: false })?.isFile() === true) {
    const certificate = readKind(target, 'certificate');
    if (!equalBytes(certificate.network, authority.network))
      throw usage(`${target} belongs to another network; revoke it there`);
    return { certificates: [certificate], untilS: 0 };
  }
  const certificates = issued.filter(
    ({ name, node }) => name === target || (node !== NO_NODE && formatNodeId(node) === target),
  );
  if (certificates.length === 0) {
    const what =
      `${target} is no certificate file, no serial, and no node that this authority ` +
      'has signed for';
    throw new Failure(
      EXIT_USAGE,
      'ENOENT',
      `${what}; check the path, or see the folder \`issued\` of the authority`,
    );
  }
  // Those that another copy of this authority issued until now are meant, too.
  return { certificates, untilS: now - BACKDATED_S };
}

/**
 * The authority's folder: the one that was named, else the first of the usual ones that has its
 * key.
 */
function folderOf(named: string | undefined, files: readonly string[]): string {
  if (named !== undefined) return named;
  const usual = [
    '.',
    'authority',
    ...files.flatMap((file) => [
      dirname(file),
      join(dirname(file), 'authority'),
      join(dirname(file), '..', 'authority'),
    ]),
  ];
  const found = usual.find((dir) => existsSync(authorityFiles(dir).key));
  if (found !== undefined) return found;
  throw new Failure(
    EXIT_USAGE,
    'ENOENT',
    "there is no authority.key here or in authority/; name the authority's folder with --dir, " +
      'such as --dir lab/authority',
  );
}

function readAuthority(path: string): Authority {
  if (!existsSync(path))
    throw new Failure(
      EXIT_USAGE,
      'ENOENT',
      `authority ${path} does not exist; name the authority's folder with --dir`,
    );
  return readKind(path, 'authority');
}

/** The authority of a folder, with its secret key. */
async function openAuthority(
  flags: PassphraseFlags & { readonly dir: string },
): Promise<OpenAuthority> {
  const files = authorityFiles(flags.dir);
  const authority = readAuthority(files.authority);
  if (!existsSync(files.key))
    throw new Failure(
      EXIT_USAGE,
      'ENOENT',
      `${flags.dir} has an authority.pub and no authority.key, as the folder of a node; name the ` +
        `authority's folder with --dir`,
    );
  const file = readKind(files.key, 'key');
  if (!isAuthentic(authority))
    throw new Failure(
      EXIT_USAGE,
      'EAUTHORITY',
      `${files.authority} is not signed by its own key; copy it again`,
    );
  if (file.holder !== 'authority' || !equalBytes(file.signingKey, authority.signingKey)) {
    throw new Failure(
      EXIT_USAGE,
      'EKEYFILE',
      `${files.key} is not the key of ${files.authority} (authority ` +
        `${hex(authorityIdOf(authority.signingKey))}); put the right one there`,
    );
  }
  const { signing } = openKeyFile(
    file,
    file.encrypted ? await passphraseToOpen(flags, files.key) : null,
  );
  return { authority, secret: signing.secret };
}

/** The authority's own list. Without it a new one would forget what was revoked. */
function readOwnRevocations(path: string, authority: Authority): RevocationList {
  if (!existsSync(path))
    throw new Failure(
      EXIT_USAGE,
      'ENOENT',
      `revocation list ${path} does not exist, and a new one would forget what was revoked; ` +
        'fetch the newest one from a node',
    );
  const list = readKind(path, 'revocations');
  const verdict = new Trust([authority]).offer(list);
  if (verdict !== 'ok')
    throw new Failure(
      EXIT_USAGE,
      'EREVOCATIONS',
      `revocation list ${path} is not this authority's (${verdict}); fetch the newest one from a ` +
        'node',
    );
  return list;
}

function readIssued(dir: string): Certificate[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir)
    .filter((file) => file.endsWith('.crt'))
    .sort()
    .map((file) => readKind(join(dir, file), 'certificate'));
}

function refuseClash(
  request: CertificateRequest,
  issued: readonly Certificate[],
  revoked: Revoked,
  now: number,
): void {
  for (const other of issued) {
    if (now >= other.notAfterS || revoked.has(other)) continue;
    const sameName = other.name === request.name,
      sameNode = other.node === request.node && request.node !== NO_NODE;
    if (sameName && other.node === request.node) continue;
    if (!sameName && !sameNode) continue;
    const what = sameName ? `the name ${other.name}` : `the node id ${formatNodeId(other.node)}`;
    const holder =
      `${other.name} ` + `(${other.node === NO_NODE ? 'a client' : formatNodeId(other.node)})`;
    throw new Failure(
      EXIT_USAGE,
      'ECLASH',
      `${what} belongs to ${holder}; choose another, or first \`spines keys revoke ${other.name}\``,
    );
  }
}

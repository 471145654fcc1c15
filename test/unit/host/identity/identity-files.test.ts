/** A daemon's identity files: what is taken, and the sentence for each thing that is refused. */

import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { hex } from '../../../../src/core/base/bytes.ts';
import { SpinesError } from '../../../../src/core/base/errors.ts';
import { Membership } from '../../../../src/core/crypto/membership.ts';
import { noblePrimitives } from '../../../../src/core/crypto/noble-primitives.ts';
import { ExpiryWatch } from '../../../../src/host/identity/expiry-watch.ts';
import {
  readIdentityFiles,
  writeRevocations,
  type IdentityPaths,
  type LoadedIdentity,
} from '../../../../src/host/identity/identity-files.ts';
import { armour } from '../../../../src/core/wire/armour.ts';
import { ROLE_CLIENT } from '../../../../src/core/wire/certificate.ts';
import { NOW_S, TestAuthority, type Made } from '../../../support/identities.ts';

const NODE = 0x0a00_0001;
const DAY_S = 86_400;
let dir: string;
let lab: TestAuthority;
let alpha: Made;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'spines-identity-'));
  lab = new TestAuthority(1);
  alpha = lab.identity('alpha', NODE);
  lab.write(dir, alpha);
  vi.stubEnv('SPINES_PASSPHRASE', '');
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
  vi.unstubAllEnvs();
});

const at = (name: string): string => join(dir, name);
const put = (name: string, text: string, mode = 0o644): void => {
  writeFileSync(at(name), text);
  chmodSync(at(name), mode);
};
const certificateText = (made: Made): string =>
  armour('SPINES CERTIFICATE', made.certificate.bytes);

function paths(change: Partial<IdentityPaths> = {}): IdentityPaths {
  return {
    key: at('node.key'),
    certificate: at('node.crt'),
    authorities: [at('authority.pub')],
    revocations: at('revocations.crl'),
    passphraseFile: null,
    ...change,
  };
}

function load(change: Partial<IdentityPaths> = {}): LoadedIdentity {
  return readIdentityFiles(paths(change), NOW_S);
}

/** The refusal's sentence, with the folder as DIR. */
function refusal(change: Partial<IdentityPaths> = {}): string {
  let told = '';
  try {
    load(change);
  } catch (error) {
    expect(error).toBeInstanceOf(SpinesError);
    told = (error as SpinesError).message;
  }
  expect(told, 'names a remedy').toContain('; ');
  for (const secret of [alpha.signing.secret, alpha.exchange.secret])
    expect(told).not.toContain(hex(secret.reveal()));
  return told.replaceAll(dir, 'DIR').replaceAll(alpha.certificate.serial, 'SERIAL');
}

describe('an identity', () => {
  it('is read as editors, mail and other systems leave its files', () => {
    lab.write(dir, alpha, 'open sesame');
    put('pass', 'open sesame\n', 0o600);
    put(
      'revocations.crl',
      armour('SPINES REVOCATION LIST', lab.revocations(['00112233445566aa']).bytes),
    );
    const ways: Readonly<Record<string, (text: string) => string>> = {
      CRLF: (text) => text.replaceAll('\n', '\r\n'),
      'no last newline': (text) => text.trimEnd(),
      'a byte order mark': (text) => `\ufeff${text}`,
      'blank lines around': (text) => `\n${text}\n\n`,
    };
    const blanks = (text: string): string => text.replaceAll('\n', ' \t\n');
    for (const name of ['node.key', 'node.crt', 'authority.pub', 'revocations.crl', 'pass']) {
      const text = readFileSync(at(name), 'utf8'),
        mode = statSync(at(name)).mode & 0o777;
      // A passphrase may end with blanks, and the first line is it.
      for (const [how, change] of Object.entries(
        name === 'pass'
          ? { CRLF: ways['CRLF']!, 'a byte order mark': ways['a byte order mark']! }
          : { ...ways, blanks },
      )) {
        put(name, change(text), mode);
        const { credentials } = load({ passphraseFile: at('pass') });
        expect(credentials.identity.certificate.name, `${name} with ${how}`).toBe('alpha');
        expect(
          credentials.trust.isRevoked({ ...alpha.certificate, serial: '00112233445566aa' }),
          `${name} with ${how}`,
        ).toBe(true);
      }
      put(name, text, mode);
    }
  });

  it('is read whole; a revocation list that is not there is none yet', () => {
    const { credentials, notes } = load();
    expect(credentials.identity.certificate.name).toBe('alpha');
    expect(hex(credentials.identity.exchange.secret.reveal())).toBe(
      hex(alpha.exchange.secret.reveal()),
    );
    expect(credentials.previous).toEqual([]);
    expect(credentials.trust.revocations).toEqual([]);
    expect(notes).toEqual([]);
  });

  it('may be under a passphrase, from a file or the environment', () => {
    lab.write(dir, alpha, 'open sesame');
    chmodSync(at('node.key'), 0o600);
    expect(refusal()).toBe(
      'key DIR/node.key has a passphrase; name a file with it in identity.passphraseFile, or set ' +
        'SPINES_PASSPHRASE',
    );
    put('pass', 'open sesame\n', 0o600);
    expect(load({ passphraseFile: at('pass') }).credentials.identity.certificate.name).toBe(
      'alpha',
    );
    chmodSync(at('pass'), 0o640);
    expect(refusal({ passphraseFile: at('pass') })).toContain(
      'passphrase file DIR/pass has mode 0640, so others could have read it; replace it, or if ' +
        'it is safe run `chmod 600 DIR/pass`',
    );
    vi.stubEnv('SPINES_PASSPHRASE', 'open sesame');
    expect(load().credentials.identity.certificate.name).toBe('alpha');
    vi.stubEnv('SPINES_PASSPHRASE', 'wrong');
    expect(refusal()).toBe(
      'DIR/node.key: the passphrase is wrong, or the key file is damaged; try again',
    );
  });

  it(
    'keeps what `spines keys rotate` left aside while it is valid, ' + 'newest first, two at most',
    () => {
      const olds = [1, 2, 3, 4].map(() => lab.identity('alpha', NODE));
      olds.forEach((old, i) => {
        put(`node.key.old-${i + 1}`, lab.keyText(old), 0o600);
        put(`node.crt.old-${i + 1}`, certificateText(old));
      });
      const serials = (): string[] =>
        load().credentials.previous.map(({ certificate }) => certificate.serial);
      const [first, second, third, fourth] = olds.map(({ certificate }) => certificate.serial);
      expect(serials()).toEqual([fourth, third]);
      put('revocations.crl', armour('SPINES REVOCATION LIST', lab.revocations([fourth!]).bytes));
      expect(serials()).toEqual([third, second]);
      rmSync(at('node.crt.old-3'));
      expect(serials()).toEqual([second, first]);
      chmodSync(at('node.key.old-2'), 0o644);
      expect(serials()).toEqual([first]);
      expect(load().notes.join()).toMatch(
        /^the earlier identity in .*node\.key\.old-2 is not used: .*chmod 600/,
      );
    },
  );
});

describe('refused with file, problem and remedy', () => {
  it('files that are missing, readable by others, or of another kind', () => {
    chmodSync(at('node.key'), 0o644);
    expect(refusal()).toBe(
      'private key DIR/node.key has mode 0644, so others could have read it; replace it, or if ' +
        'it is safe run `chmod 600 DIR/node.key`',
    );
    chmodSync(at('node.key'), 0o600);
    expect(refusal({ key: at('none') })).toBe(
      'private key DIR/none does not exist; check the path',
    );
    expect(refusal({ key: at('node.crt') })).toBe(
      'DIR/node.crt is a certificate, not a private key; check the path',
    );
    expect(refusal({ certificate: at('none') })).toBe(
      'certificate DIR/none does not exist; check the path',
    );
    expect(refusal({ authorities: [at('node.crt')] })).toBe(
      'DIR/node.crt is a certificate, not an authority; check the path',
    );
    put('torn.crt', certificateText(alpha).slice(0, 200));
    expect(refusal({ certificate: at('torn.crt') })).toBe(
      'certificate DIR/torn.crt is cut off in the middle; copy it again, or check the path',
    );
    put('revocations.crl', 'nonsense');
    expect(refusal()).toContain(
      'revocation list DIR/revocations.crl is no identity file, as `spines keys` writes them; ',
    );
    const list = armour(
      'SPINES REVOCATION LIST',
      lab.revocations([alpha.certificate.serial]).bytes,
    );
    // No advice is to remove it: that would let the revoked ones in again.
    const remedy =
      '; copy the list from the authority, or from another node, into its place; without it ' +
      'revoked certificates would count again';
    for (const [text, why] of [
      ['', 'is empty'],
      [list.slice(0, 150), 'is cut off in the middle'],
      [list + list.slice(0, 99), 'is cut off in the middle'],
      [certificateText(alpha), 'is none'],
    ] as const) {
      put('revocations.crl', text);
      expect(refusal()).toBe(`revocation list DIR/revocations.crl ${why}${remedy}`);
    }
  });

  it('a key and a certificate that do not belong together', () => {
    put('node.crt', certificateText(lab.identity('alpha', NODE)));
    expect(refusal()).toBe(
      'key DIR/node.key and certificate DIR/node.crt do not belong together; sign the request ' +
        'that was made with the key, with `spines keys sign`',
    );
  });

  it('certificates that others would refuse', () => {
    const offer = (made: Made): string => {
      lab.write(dir, made);
      return refusal().replaceAll(made.certificate.serial, 'SERIAL');
    };
    expect(offer(lab.identity('alpha', NODE, { notBeforeS: 0, notAfterS: NOW_S }))).toBe(
      'certificate DIR/node.crt (alpha, serial SERIAL) expired on 1970-01-12T13:46:40Z; sign its ' +
        'request again with `spines keys sign` and put the new one in its place',
    );
    expect(
      offer(lab.identity('alpha', NODE, { notBeforeS: NOW_S + 1, notAfterS: NOW_S + 2 })),
    ).toContain('is not valid yet; check the clock');
    expect(offer(lab.identity('alpha', NODE, undefined, ROLE_CLIENT))).toContain(
      'is not for a daemon; have one made with',
    );
    lab.write(dir, alpha);
    put(
      'revocations.crl',
      armour('SPINES REVOCATION LIST', lab.revocations([alpha.certificate.serial]).bytes),
    );
    expect(refusal()).toBe(
      'certificate DIR/node.crt (alpha, serial SERIAL) is revoked; make new keys with `spines ' +
        'keys rotate` and have them signed',
    );
    rmSync(at('revocations.crl'));
    put('authority.pub', armour('SPINES AUTHORITY', new TestAuthority(2).authority.bytes));
    expect(refusal()).toContain('belongs to another network; ');
    put(
      'authority.pub',
      armour('SPINES AUTHORITY', new TestAuthority(3, lab.authority.network).authority.bytes),
    );
    expect(refusal()).toContain(
      'was signed by an authority that is not trusted here; name that one too',
    );
  });

  it('authorities of two networks, and a revocation list of another', () => {
    const other = new TestAuthority(2);
    put('other.pub', armour('SPINES AUTHORITY', other.authority.bytes));
    expect(refusal({ authorities: [at('authority.pub'), at('other.pub')] })).toContain(
      'belongs to another network; trust authorities of one network',
    );
    put('revocations.crl', armour('SPINES REVOCATION LIST', other.revocations([]).bytes));
    expect(refusal()).toBe(
      'revocation list DIR/revocations.crl belongs to another network than DIR/authority.pub; ' +
        'copy the list from the authority, or from another node, into its place; without it ' +
        'revoked certificates would count again',
    );
  });
});

it('revocation lists of several authorities are kept in one file, replaced in one step', () => {
  const successor = new TestAuthority(3, lab.authority.network);
  put('second.pub', armour('SPINES AUTHORITY', successor.authority.bytes));
  writeRevocations(at('revocations.crl'), [lab.revocations([])]);
  writeRevocations(at('revocations.crl'), [
    lab.revocations(['00112233445566aa']),
    successor.revocations([]),
  ]);
  expect(statSync(at('revocations.crl')).mode & 0o777).toBe(0o666 & ~process.umask() & 0o644);
  expect(readdirSync(dir).filter((name) => name.includes('tmp'))).toEqual([]);
  expect(readFileSync(at('revocations.crl'), 'utf8').match(/BEGIN/g)).toHaveLength(2);
  const { trust } = load({ authorities: [at('authority.pub'), at('second.pub')] }).credentials;
  expect(trust.revocations).toHaveLength(2);
  expect(trust.isRevoked({ ...alpha.certificate, serial: '00112233445566aa' })).toBe(true);
  mkdirSync(at('taken'));
  expect(() => writeRevocations(at('taken'), [lab.revocations([])])).toThrow();
  expect(readdirSync(dir).filter((name) => name.includes('tmp'))).toEqual([]);
});

it(
  'the end of a certificate is told once as 30, ' + '7 and 1 days are crossed, and when it is over',
  () => {
    let nowS = 0;
    const said: string[] = [];
    const say =
      (level: string) =>
      (fields: object, message: string): void => {
        said.push(
          `${level} ${message} ${'daysLeft' in fields ? String(fields.daysLeft) : ''}`.trim(),
        );
      };
    const log = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') };
    const made = lab.identity('alpha', NODE, { notBeforeS: 0, notAfterS: NOW_S });
    lab.write(dir, made);
    const { credentials } = readIdentityFiles(paths(), 1);
    const membership = new Membership(
      noblePrimitives,
      credentials,
      { now: () => nowS * 1_000_000 },
      lab.random,
    );
    const watch = new ExpiryWatch(membership, log);
    for (let left = 12 * DAY_S; left >= -DAY_S; left -= 3_600) {
      nowS = NOW_S - left;
      if (nowS < 0) continue;
      watch.check();
    }
    expect(said).toEqual([
      'warn expires soon 11',
      'warn expires soon 7',
      'warn expires soon 1',
      'error expired: others refuse this daemon',
    ]);
    said.length = 0;
    membership.replace({
      ...credentials,
      identity: {
        ...credentials.identity,
        certificate: lab.renew('alpha', NODE, made.signing, made.exchange, {
          notBeforeS: 0,
          notAfterS: NOW_S + 6 * DAY_S,
        }),
      },
    });
    watch.check();
    expect(said).toEqual(['warn expires soon 5']);
  },
);

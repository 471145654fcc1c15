/** Identities: who is believed, when, and every reason for a no. */

import { describe, expect, test } from 'vitest';

import { SpinesError } from '../../../../src/core/base/errors.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import {
  isAuthentic,
  issueCertificate,
  issueRevocations,
  makeAuthority,
  makeRequest,
  requestFault,
  Trust,
  type Validity,
} from '../../../../src/core/crypto/certificates.ts';
import { makeExchangeKeys, makeSigningKeys } from '../../../../src/core/crypto/keys.ts';
import { revocationOf, subjectsOf } from '../../../../src/core/crypto/revoked.ts';
import {
  decodeAuthority,
  decodeCertificate,
  decodeRequest,
  decodeRevocations,
  ROLE_CLIENT,
  ROLE_ROUTER,
  type Authority,
  type Certificate,
} from '../../../../src/core/wire/certificate.ts';

const random = new Rng(21);
const YEARS: Validity = { notBeforeS: 1_000, notAfterS: 9_000 };

function found(name: string, network: Uint8Array | null = null, validity = YEARS) {
  const keys = makeSigningKeys(random);
  return { authority: makeAuthority(name, keys, validity, network), secret: keys.secret };
}
type Issuer = ReturnType<typeof found>;

const request = makeRequest(
  'alpha',
  0x0a000001,
  makeSigningKeys(random),
  makeExchangeKeys(random).publicKey,
);
const issue = (
  { authority, secret }: Issuer,
  validity: Validity = { notBeforeS: 2_000, notAfterS: 3_000 },
): Certificate => issueCertificate(request, ROLE_ROUTER, validity, authority, secret, random);
const revoke = ({ authority, secret }: Issuer, nowS: number, ...serials: string[]) =>
  issueRevocations(serials, null, nowS, authority, secret);

const lab = found('lab');
const certificate = issue(lab);
const trust = new Trust([lab.authority]);

describe('a certificate', () => {
  test('is what was asked for, by an authority that vouches for itself', () => {
    expect(certificate).toMatchObject({
      name: 'alpha',
      node: 0x0a000001,
      roles: ROLE_ROUTER,
      network: lab.authority.network,
      signingKey: request.signingKey,
      exchangeKey: request.exchangeKey,
    });
    expect(isAuthentic(lab.authority)).toBe(true);
    expect(requestFault(request)).toBeNull();
    expect(issue(lab).serial).not.toBe(certificate.serial);
  });

  test('counts from its first second to the one before its last', () => {
    expect([1_999, 2_000, 2_999, 3_000].map((now) => trust.judge(certificate, now))).toEqual([
      'not-yet-valid',
      'ok',
      'ok',
      'expired',
    ]);
    const long = issue(lab, { notBeforeS: 0, notAfterS: 99_999 });
    expect([999, 1_000, 8_999, 9_000].map((now) => trust.judge(long, now))).toEqual([
      'authority-not-valid',
      'ok',
      'ok',
      'authority-not-valid',
    ]);
  });

  test('of another network or an authority that is not trusted is refused', () => {
    const other = found('other'),
      second = found('lab', lab.authority.network);
    expect(trust.judge(issue(other), 2_500)).toBe('wrong-network');
    expect(trust.judge(issue(second), 2_500)).toBe('unknown-authority');
    expect(new Trust([lab.authority, second.authority]).judge(issue(second), 2_500)).toBe('ok');
    expect(new Trust([second.authority]).judge(certificate, 2_500)).toBe('unknown-authority');
  });

  test('signed by somebody who only claims to be the authority is refused', () => {
    const thief = { authority: lab.authority, secret: makeSigningKeys(random).secret };
    expect(trust.judge(issue(thief), 2_500)).toBe('bad-signature');
  });

  test('with any byte changed is refused', () => {
    const changed = certificate.bytes.slice();
    for (let at = 0; at < changed.length; at += 1) {
      for (const bit of [1, 0x80]) {
        changed[at] = changed[at]! ^ bit;
        const value = decodeCertificate(changed);
        if (typeof value !== 'string')
          expect(trust.judge(value, 2_500), `byte ${at}`).not.toBe('ok');
        changed[at] = changed[at]! ^ bit;
      }
    }
    expect(trust.judge(decodeCertificate(changed) as Certificate, 2_500)).toBe('ok');
  });
});

describe('a revocation list', () => {
  test('revokes at once, and an older or equal one does not undo it', () => {
    const here = new Trust([lab.authority]);
    expect(here.offer(revoke(lab, 2_000))).toBe('ok');
    expect(here.judge(certificate, 2_500)).toBe('ok');
    expect(here.offer(revoke(lab, 2_001, certificate.serial, 'ffffffffffffffff'))).toBe('ok');
    expect(here.judge(certificate, 2_500)).toBe('revoked');
    expect(here.judgeAgain(certificate, 9_999)).toBe('revoked');
    expect([here.offer(revoke(lab, 2_001)), here.offer(revoke(lab, 1_500))]).toEqual([
      'stale',
      'stale',
    ]);
    expect(here.judge(certificate, 2_500)).toBe('revoked');
    expect(here.revocations).toHaveLength(1);
  });

  test('of a second authority revokes what the first one issued', () => {
    const second = found('lab', lab.authority.network);
    const both = new Trust([lab.authority, second.authority]);
    expect(both.offer(revoke(lab, 5_000))).toBe('ok');
    expect(both.offer(revoke(second, 2_000, certificate.serial))).toBe('ok');
    expect(both.judge(certificate, 2_500)).toBe('revoked');
  });

  describe('that names subjects', () => {
    const signing = makeSigningKeys(random),
      exchange = makeExchangeKeys(random);
    const of = (
      name: string,
      node: number,
      notBeforeS: number,
      keys = signing,
      exchangeKey = exchange.publicKey,
      by = lab,
    ): Certificate =>
      issueCertificate(
        makeRequest(name, node, keys, exchangeKey),
        node === 0 ? ROLE_CLIENT : ROLE_ROUTER,
        { notBeforeS, notAfterS: 8_000 },
        by.authority,
        by.secret,
        random,
      );
    const verdicts = (revoked: Certificate, ...asked: Certificate[]): string[] => {
      const here = new Trust([lab.authority, second.authority]);
      const list = issueRevocations(
        [],
        null,
        5_000,
        lab.authority,
        lab.secret,
        undefined,
        revocationOf(revoked),
      );
      expect(here.offer(decodeRevocations(list.bytes) as typeof list)).toBe('ok');
      expect(here.judge(revoked, 6_000)).toBe('revoked');
      return asked.map((certificate) => here.judge(certificate, 6_000));
    };
    const second = found('lab', lab.authority.network);
    const fresh = (): [typeof signing, Uint8Array] => [
      makeSigningKeys(random),
      makeExchangeKeys(random).publicKey,
    ];

    test(
      'revokes earlier and later certificates of the same keys, ' + 'of any name and authority',
      () => {
        const revoked = of('beta', 2, 2_500);
        expect(
          verdicts(
            revoked,
            of('beta', 2, 2_000),
            of('beta', 2, 4_000),
            of('other', 9, 4_000),
            of('beta', 2, 4_000, signing, exchange.publicKey, second),
          ),
        ).toEqual(Array(4).fill('revoked'));
      },
    );

    test('revokes who has one of the two keys', () => {
      const [otherSigning, otherExchange] = fresh();
      expect(
        verdicts(
          of('beta', 2, 2_500),
          of('x', 3, 4_000, otherSigning),
          of('y', 4, 4_000, signing, otherExchange),
          of('z', 5, 2_000, otherSigning, otherExchange),
        ),
      ).toEqual(['revoked', 'revoked', 'ok']);
    });

    test('revokes what the holder had before, of other keys, and not what it gets after', () => {
      expect(
        verdicts(
          of('beta', 2, 2_500),
          of('beta', 2, 2_500, ...fresh()),
          of('beta', 2, 2_501, ...fresh()),
          of('beta', 7, 2_000, ...fresh()),
          of('gamma', 2, 2_000, ...fresh()),
        ),
      ).toEqual(['revoked', 'ok', 'ok', 'ok']);
      expect(
        verdicts(
          of('alice', 0, 2_500),
          of('alice', 0, 2_400, ...fresh()),
          of('alice', 0, 2_600, ...fresh()),
          of('bob', 0, 2_400, ...fresh()),
        ),
      ).toEqual(['revoked', 'ok', 'ok']);
    });

    test(
      'has each subject once, with its latest time; ' + 'a list of serials alone is what it was',
      () => {
        const entries = [2_000, 4_000, 3_000].flatMap((notBeforeS) =>
          revocationOf(of('beta', 2, notBeforeS)),
        );
        const list = issueRevocations(
          [],
          null,
          5_000,
          lab.authority,
          lab.secret,
          undefined,
          entries,
        );
        expect(list.subjects).toHaveLength(3);
        expect(list.subjects).toContainEqual({
          subject: subjectsOf(of('beta', 2, 1)).holder,
          untilS: 4_000,
        });
        expect(list.bytes[1]).toBe(2);
        expect(revoke(lab, 5_000, certificate.serial).bytes[1]).toBe(1);
        const many = Array.from({ length: 1_821 }, (_, i) => ({
          subject: i.toString(16).padStart(24, '0'),
          untilS: 1,
        }));
        expect(() =>
          issueRevocations([], null, 1, lab.authority, lab.secret, undefined, many),
        ).toThrow(/do not fit a list of 32896 bytes; change to a new authority/);
      },
    );
  });

  test('that is forged, foreign or damaged anywhere changes nothing', () => {
    const here = new Trust([lab.authority]);
    expect(here.offer(revoke(found('other'), 2_000, certificate.serial))).toBe('wrong-network');
    expect(here.offer(revoke(found('lab', lab.authority.network), 2_000, certificate.serial))).toBe(
      'unknown-authority',
    );
    expect(
      here.offer(
        revoke(
          { authority: lab.authority, secret: makeSigningKeys(random).secret },
          2_000,
          certificate.serial,
        ),
      ),
    ).toBe('bad-signature');
    const changed = revoke(lab, 2_000, certificate.serial).bytes.slice();
    for (let at = 0; at < changed.length; at += 1) {
      changed[at] = changed[at]! ^ 0x40;
      const list = decodeRevocations(changed);
      if (typeof list !== 'string') expect(here.offer(list), `byte ${at}`).not.toBe('ok');
      changed[at] = changed[at]! ^ 0x40;
    }
    expect(here.judge(certificate, 2_500)).toBe('ok');
  });

  test('is sorted, without repetition, and numbered above the one before and the clock', () => {
    const first = revoke(lab, 2_000, '00000000000000ff', '0000000000000001', '00000000000000ff');
    expect(first).toMatchObject({
      serials: ['0000000000000001', '00000000000000ff'],
      number: 2_000,
      issuedS: 2_000,
    });
    expect(issueRevocations([], first, 1_000, lab.authority, lab.secret)).toMatchObject({
      number: 2_001,
      issuedS: 1_000,
    });
    expect(() => issueRevocations(['zz'], null, 1, lab.authority, lab.secret)).toThrow(SpinesError);
    const many = Array.from({ length: 4_097 }, (_, i) => (i + 1).toString(16).padStart(16, '0'));
    expect(() => issueRevocations(many, null, 1, lab.authority, lab.secret)).toThrow(
      /at most 4096/,
    );
  });
});

describe('what an operator cannot do', () => {
  test('trust nobody, two networks, too many, or an altered authority', () => {
    const altered = lab.authority.bytes.slice();
    altered[78] = altered[78]! ^ 1;
    for (const authorities of [
      [],
      [lab.authority, found('other').authority],
      Array<Authority>(9).fill(lab.authority),
      [decodeAuthority(altered) as Authority],
    ]) {
      expect(() => new Trust(authorities)).toThrow(SpinesError);
    }
  });

  test('sign a request that is altered, has weak keys, or asks for roles that do not fit', () => {
    const sign =
      (asked: typeof request, roles: number, validity = YEARS) =>
      () =>
        issueCertificate(asked, roles, validity, lab.authority, lab.secret, random);
    const altered = request.bytes.slice();
    altered[6] = 9;
    expect(sign(decodeRequest(altered) as typeof request, ROLE_ROUTER)).toThrow(
      /not signed by its own key/,
    );
    expect(
      sign(makeRequest('x', 1, makeSigningKeys(random), new Uint8Array(32)), ROLE_ROUTER),
    ).toThrow(/weak/);
    const client = makeRequest('x', 0, makeSigningKeys(random), makeExchangeKeys(random).publicKey);
    expect(sign(client, ROLE_ROUTER)).toThrow(/node id/);
    expect(sign(client, ROLE_CLIENT)()).toMatchObject({ node: 0, roles: ROLE_CLIENT });
    for (const roles of [0, 4]) expect(sign(request, roles)).toThrow(/roles/);
    for (const notAfterS of [1_000, 2 ** 48, 1_000.5, NaN])
      expect(sign(request, ROLE_ROUTER, { notBeforeS: 1_000, notAfterS })).toThrow(/validity/);
    expect(() => makeRequest('-x', 1, makeSigningKeys(random), request.exchangeKey)).toThrow(
      /name/,
    );
    expect(() =>
      makeRequest('x', 0xe0000000, makeSigningKeys(random), request.exchangeKey),
    ).toThrow(/node id/);
  });
});

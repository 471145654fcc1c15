/**
 * Reload: which settings may change, what the operator is told, and lists from the network on disk.
 */

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { SpinesError } from '../../../../src/core/base/errors.ts';
import { Membership } from '../../../../src/core/crypto/membership.ts';
import { loadConfigFile } from '../../../../src/host/config/config-file.ts';
import { startDaemon } from '../../../../src/host/daemon.ts';
import {
  readIdentityFiles,
  type IdentityPaths,
  type LoadedIdentity,
} from '../../../../src/host/identity/identity-files.ts';
import { nodePrimitives } from '../../../../src/host/primitives/node-primitives.ts';
import { planReload, type LoadedConfig } from '../../../../src/host/config/reload.ts';
import { armour } from '../../../../src/core/wire/armour.ts';
import { makeConfig } from '../../../../src/core/node/config.ts';
import { NOW_S, TestAuthority } from '../../../support/identities.ts';

const NODE = 0x0a00_0001;
const HEAD = 'id: 10.0.0.1\nsecurity: none\n';

const loaded = (text: string, identity: LoadedIdentity | null = null): LoadedConfig => ({
  config: loadConfigFile(text, 'd.yaml'),
  identity,
});
const changes = (before: string, after: string): readonly string[] =>
  planReload(loaded(HEAD + before), loaded(HEAD + after), []).changes;

function refused(before: string, after: string): string[] {
  try {
    changes(before, after);
  } catch (error) {
    expect(error).toBeInstanceOf(SpinesError);
    return (error as SpinesError).message.split('\n').map((line) => line.split(' ')[0]!);
  }
  return [];
}

describe('a plan of a reload', () => {
  it('says what changed, and nothing when nothing did', () => {
    expect(changes('', '')).toEqual([]);
    expect(
      changes(
        'links: [{ address: "10.1.0.1:1" }, { address: "10.1.0.2:1" }]',
        'links: [{ address: "10.1.0.2:1", congestion: cubic }, { address: "10.1.0.3:1" ' +
          '}]\naccept: false\nallowShutdown: true',
      ),
    ).toEqual([
      'links: +10.1.0.3:1 -10.1.0.1:1 changed 10.1.0.2:1',
      'accept: true -> false',
      'allowShutdown: false -> true',
    ]);
    expect(
      changes('', 'neighbours: [{ node: rome, cost: 20ms }, { node: 10.0.0.3, metered: true }]'),
    ).toEqual(['neighbours: none -> rome +20ms, 10.0.0.3 metered']);
    expect(changes('limits: { links: 4 }', 'limits: { clients: 7 }\nlog: { level: warn }')).toEqual(
      ['limits.links: 4 -> 128', 'limits.clients: 256 -> 7', 'log.level: info -> warn'],
    );
  });

  it("takes streams' limits", () => {
    expect(changes('', 'streams: { silence: 5s }')).toEqual([
      'streams.keepalive: 15s -> 2500ms',
      'streams.silence: 30s -> 5s',
    ]);
    expect(changes('streams: { keepalive: off }', '')).toEqual(['streams.keepalive: off -> 15s']);
  });

  it('names every setting that needs a restart', () => {
    for (const [key, text] of Object.entries({
      listen: 'listen: ["127.0.0.1:1"]',
      name: 'name: x',
      client: 'client: { socket: /tmp/x }',
      emulation: 'emulation: { allow: true }',
      metric: 'metric: hops',
      congestion: 'congestion: cubic',
      liveness: 'liveness: { deadAfter: 2s }',
      redial: 'redial: 1s',
      advertisementRefresh: 'advertisementRefresh: 10s',
      rekeyAfter: 'rekeyAfter: 5s',
      'limits.nodes': 'limits: { nodes: 9 }',
      byzantine: 'byzantine: { mode: paper }',
      laboratory: 'laboratory: { misbehaviour: true }',
    }))
      expect(refused('', text), text).toEqual([key]);
    expect(refused('', 'metric: hops\nname: x').sort()).toEqual(['metric', 'name']);
  });
});

describe('an identity', () => {
  let dir: string;
  let paths: IdentityPaths;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'spines-reload-'));
    paths = {
      key: join(dir, 'node.key'),
      certificate: join(dir, 'node.crt'),
      authorities: [join(dir, 'authority.pub')],
      revocations: join(dir, 'revocations.crl'),
      passphraseFile: null,
    };
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it(
    'that was renewed or replaced is told apart; ' +
      'lists count when they are newer than what is held',
    () => {
      const lab = new TestAuthority(1);
      const made = lab.identity('alpha', NODE);
      const read = (change: object): LoadedConfig => {
        lab.write(dir, { ...made, ...change });
        return loaded(HEAD, readIdentityFiles(paths, NOW_S));
      };
      const before = read({});
      const plan = (after: LoadedConfig): string[] =>
        planReload(before, after, []).changes.map((line) => line.replace(/[0-9a-f]{16}/, 'SERIAL'));
      expect(planReload(before, read({}), [])).toEqual({ changes: [], identityChanged: false });
      expect(
        plan(read({ certificate: lab.renew('alpha', NODE, made.signing, made.exchange) })),
      ).toEqual(['certificate: renewed, serial SERIAL, valid until 1973-03-03T09:46:40Z']);
      expect(plan(read(lab.identity('alpha', NODE)))).toEqual([
        'certificate: new keys, serial SERIAL, valid until 1973-03-03T09:46:40Z',
      ]);
      const after = read({});
      const list = lab.revocations(['00112233445566aa']);
      after.identity!.credentials.trust.offer(list);
      expect(planReload(before, after, [])).toEqual({
        changes: [`revocations: list ${list.number} with 1 revoked`],
        identityChanged: true,
      });
      expect(planReload(before, after, [list]).changes).toEqual([]);
    },
  );

  it(
    'has the lists that come from the network written beside it; ' +
      'a failure to write is not fatal',
    async () => {
      const lab = new TestAuthority(1);
      lab.write(dir, lab.identity('alpha', NODE));
      const { credentials } = readIdentityFiles(paths, NOW_S);
      const said: string[] = [];
      const log = pino(
        { level: 'error' },
        {
          write: (line: string) => {
            said.push(line);
          },
        },
      );
      const start = async (revocationsPath: string, serials: readonly string[]): Promise<void> => {
        const membership = new Membership(
          nodePrimitives,
          { ...credentials },
          { now: () => NOW_S * 1_000_000 },
          lab.random,
        );
        const daemon = await startDaemon({
          config: makeConfig({ id: NODE }),
          listen: [{ address: '127.0.0.1', port: 0 }],
          client: { socketPath: join(dir, 'sock'), tcp: null },
          emulation: [],
          emulationSeed: 1,
          membership,
          revocationsPath,
          reload: null,
          log,
        });
        expect(() => daemon.reload()).toThrow('started without files');
        said.length = 0;
        expect(
          membership.offerRevocations(
            lab.revocations(serials, membership.trust.revocations[0] ?? null),
          ),
        ).toBe('ok');
        await daemon.stop();
      };
      await start(paths.revocations, ['00112233445566aa']);
      expect(readFileSync(paths.revocations, 'utf8')).toBe(
        armour('SPINES REVOCATION LIST', credentials.trust.revocations[0]!.bytes),
      );
      expect(said).toEqual([]);
      await start(join(dir, 'none', 'x.crl'), ['00112233445566ab']);
      expect(existsSync(join(dir, 'none'))).toBe(false);
      expect(said.join()).toMatch(/revocation list could not be written/);
    },
  );
});

/**
 * The file of a pre-shared key: made by `spines keys psk`, read by daemons, and what is wrong with
 * one that is not.
 */

import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';

import { psk } from '../../../../src/cli/keys/keys-node.ts';
import {
  NO_PRESHARED_KEY,
  presharedKey,
  presharedText,
} from '../../../../src/core/crypto/preshared.ts';
import { loadConfigFile } from '../../../../src/host/config/config-file.ts';
import {
  readPresharedKey,
  readPresharedKeys,
} from '../../../../src/host/identity/preshared-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'spines-psk-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);

describe('a pre-shared key', () => {
  test('is made for its owner alone, never twice, never over another, and is not printed', () => {
    const told = psk(at('a.psk'));
    psk(at('b.psk'));
    const text = readFileSync(at('a.psk'), 'utf8');
    expect([statSync(at('a.psk')).mode & 0o777, text.length]).toEqual([0o600, 65]);
    expect(text).not.toBe(readFileSync(at('b.psk'), 'utf8'));
    expect(() => psk(at('a.psk'))).toThrow(/exists/);
    expect(readFileSync(at('a.psk'), 'utf8')).toBe(text);
    expect(JSON.stringify(told)).not.toContain(text.trim());
    expect(told['id']).toBe(presharedText(readPresharedKey(at('a.psk')).id));
    expect(JSON.stringify(readPresharedKey(at('a.psk')))).not.toContain(text.slice(0, 16));
  });

  test('has a fixed name in handshakes', () => {
    expect(presharedText(presharedKey(Uint8Array.from({ length: 32 }, (_, i) => i)).id)).toBe(
      '81518977',
    );
    expect([NO_PRESHARED_KEY.id, presharedText(0)]).toEqual([0, 'none']);
  });

  test('that is wrong is refused with file, fault and remedy', () => {
    writeFileSync(at('short.psk'), 'abc\n', { mode: 0o600 });
    expect(() => readPresharedKey(at('short.psk'))).toThrow(
      new RegExp(
        'network\\.presharedKey: .*short\\.psk does not hold 64 hexadecimal digits; ' +
          'copy it again, or make one with `spines keys psk`',
      ),
    );
    expect(() => readPresharedKey(at('none.psk'))).toThrow(/network\.presharedKey: .*none\.psk/);
    chmodSync(at('b.psk'), 0o644);
    expect(() => readPresharedKey(at('b.psk'))).toThrow(/mode 0644/);
    expect(() => readPresharedKeys([at('a.psk'), at('a.psk')])).toThrow(/hold the same key/);
    expect(readPresharedKeys([])).toEqual([NO_PRESHARED_KEY]);
    expect(readPresharedKeys([at('a.psk'), null])[1]).toBe(NO_PRESHARED_KEY);
  });

  test.each([
    ['network: { presharedKey: [] }'],
    ['network: { presharedKey: [a, b, c] }'],
    ['network: { presharedKey: [a, a] }'],
    ['network: { presharedKey: 7 }'],
  ])('%s is refused', (text) => {
    expect(() => loadConfigFile(`id: 10.0.0.1\nsecurity: none\n${text}`, 'd.yaml')).toThrow(
      new RegExp(
        String.raw`network\.presharedKey: expected the file of a pre-shared key, or ` +
          String.raw`a list of two, one of which may be none`,
      ),
    );
  });

  test('is for sealed links', () => {
    expect(() =>
      loadConfigFile('id: 10.0.0.1\nsecurity: none\nnetwork: { presharedKey: a }', 'd.yaml'),
    ).toThrow(
      'network.presharedKey: is for the handshake of sealed links; leave it out with ' +
        '`security: none`',
    );
  });
});

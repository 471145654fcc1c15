/**
 * The file of a network's pre-shared key: 64 hexadecimal digits, for its owner alone.
 *
 * Owns its form and the sentences for what is wrong with it; how secrets are read is
 * text-file.ts's. Called by identity-files.ts and `spines keys psk`.
 */

import { hex } from '../../core/base/bytes.ts';
import { SpinesError } from '../../core/base/errors.ts';
import {
  NO_PRESHARED_KEY,
  PRESHARED_BYTES,
  presharedKey,
  type PresharedKey,
} from '../../core/crypto/preshared.ts';
import { readText } from '../files/text-file.ts';

const FILE_BYTES_MAX = 4_096;

/** Throws SpinesError: file, problem, remedy. */
export function readPresharedKey(path: string): PresharedKey {
  const text = readText(path, 'pre-shared key', {
    bytesMax: FILE_BYTES_MAX,
    isSecret: () => true,
    subject: 'network.presharedKey',
  }).trim();
  if (!/^[0-9a-f]{64}$/.test(text)) {
    throw new SpinesError(
      'EKEYFILE',
      `network.presharedKey: ${path} does not hold 64 hexadecimal digits; copy it again, or make ` +
        `one with \`spines keys psk\``,
    );
  }
  return presharedKey(Uint8Array.from(text.match(/../g)!, (digits) => parseInt(digits, 16)));
}

/** Of the files that a config names, null for no key; none named: no key. */
export function readPresharedKeys(paths: readonly (string | null)[]): PresharedKey[] {
  const keys = paths.map((path) => (path === null ? NO_PRESHARED_KEY : readPresharedKey(path)));
  const [first, second] = keys;
  if (first !== undefined && second !== undefined && first.id === second.id) {
    throw new SpinesError(
      'EKEYFILE',
      `network.presharedKey: ${paths.join(' and ')} hold the same key; name it once, or make ` +
        `another with \`spines keys psk\``,
    );
  }
  return keys.length === 0 ? [NO_PRESHARED_KEY] : keys;
}

/** `secret`: 32 bytes. */
export function presharedFileText(secret: Uint8Array): string {
  if (secret.length !== PRESHARED_BYTES)
    throw new SpinesError('EKEYFILE', `a pre-shared key has ${PRESHARED_BYTES} bytes`);
  return `${hex(secret)}\n`;
}

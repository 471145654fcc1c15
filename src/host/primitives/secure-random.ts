/**
 * Unpredictable bytes from the operating system, for keys and handshakes.
 */

import { randomFillSync } from 'node:crypto';

import type { SecureRandom } from '../../core/base/rng.ts';

export const secureRandom: SecureRandom = {
  fill: (out) => {
    randomFillSync(out);
  },
};

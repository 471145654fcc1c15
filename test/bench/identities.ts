/**
 * Identities for the bench's daemons: a closed network in a folder for as long as the run, and how
 * a process reads its own.
 */

import { nodeFolder } from '#src/cli/keys/keys-files.js';
import { folderOf, makeTemporaryNetwork } from '#src/cli/replay/temporary-network.js';
import { Membership } from '#src/core/crypto/membership.js';
import { availablePrimitives } from '#src/host/primitives/choose-primitives.js';
import { readIdentityFiles } from '#src/host/identity/identity-files.js';
import { secureRandom } from '#src/host/primitives/secure-random.js';
import { wallClock } from '#src/host/system-clock.js';

export const FIRST_ID = 0x0a00_0001;

/** What a daemon of a sealed network starts with. */
export interface IdentityOrder {
  readonly folder: string;
  /** Of the daemon that it dials, hex; null for the last. */
  readonly nextKey: string | null;
}

/** For `count` daemons in a row with ids from FIRST_ID. */
export function makeIdentities(dir: string, count: number): IdentityOrder[] {
  const nodes = Array.from({ length: count }, (_, i) => ({
    name: `bench-${i}`,
    id: FIRST_ID + i,
    folder: folderOf(dir, i),
  }));
  const keys = makeTemporaryNetwork('bench', nodes);
  return nodes.map(({ folder }, i) => ({ folder, nextKey: keys[i + 1] ?? null }));
}

/** What a daemon on this machine takes. */
const fastest = availablePrimitives()[0]!.primitives;

export function readMembership(folder: string): Membership {
  const { key, certificate, authority, revocations } = nodeFolder(folder);
  const { credentials } = readIdentityFiles(
    { key, certificate, authorities: [authority], revocations, passphraseFile: null },
    Math.floor(Date.now() / 1_000),
  );
  return new Membership(fastest, credentials, wallClock, secureRandom);
}

/**
 * What of this process's secrets could leave it by other ways than the network: dumps of its
 * memory, and its environment.
 *
 * Owns the passphrase that the environment held: it is taken out at the start, so that no child,
 * report or crash has it, and kept for reloads. Called by the program before anything else.
 */

import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** Environment variable that holds the passphrase of a private key. */
export const PASSPHRASE_VARIABLE = 'SPINES_PASSPHRASE';

/**
 * What of a process's memory goes into a dump: a bit for each kind of mapping (core(5)). Holds for
 * pipes to a dump's handler too, and for children.
 */
const CORE_FILTER = '/proc/self/coredump_filter';

let taken: string | null = null;

/** Call once, first of all. Nothing is wrong where the system has no such thing. */
export function guardProcess(): void {
  try {
    writeFileSync(CORE_FILTER, '0');
  } catch {
    // Another system: LimitCORE=0 of the unit, or `ulimit -c 0`.
  }
  passphraseOfEnvironment();
}

/** Null: there is none, and there was none at an earlier call. */
export function passphraseOfEnvironment(): string | null {
  const value = process.env[PASSPHRASE_VARIABLE];
  if (value !== undefined) {
    eraseFromEnvironment();
    delete process.env[PASSPHRASE_VARIABLE];
    taken = value === '' ? null : value;
  }
  return taken;
}

interface Koffi {
  load(path: null): { func(prototype: string): (...args: readonly unknown[]) => unknown };
}

/**
 * /proc/PID/environ shows the memory in which the environment came, whatever is unset later: it is
 * written over where koffi is installed.
 */
function eraseFromEnvironment(): void {
  if (process.platform !== 'linux') return;
  try {
    const libc = (createRequire(import.meta.url)('koffi') as Koffi).load(null);
    const at = libc.func('void *getenv(const char *)')(PASSPHRASE_VARIABLE);
    const length = libc.func('size_t strlen(void *)')(at);
    libc.func('void *memset(void *, int, size_t)')(at, 0, length);
  } catch {
    // Not installed.
  }
}

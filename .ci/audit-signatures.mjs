/**
 * Whether the installed packages are what their registry signed: `npm audit signatures`, with an
 * answer of its own where the registry, as a mirror, has no keys to offer, or they can't be
 * reached. Then nothing is verified, this says so and passes; `--strict` fails.
 */
import { spawnSync } from 'node:child_process';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const NO_KEYS = new RegExp(
  String.raw`no dependencies to audit that were installed from a supported ` +
    String.raw`registry|TUF_FIND_TARGET|No keys found`,
  'i',
);
const UNREACHABLE = /\b(?:ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH)\b/;
/** Nothing that was looked at and is wrong may be taken for a key that is missing. */
const WRONG = new RegExp(
  String.raw`invalid (?:registry )?signature|tampered|EATTESTATIONVERIFY|` +
    String.raw`EINTEGRITYSIGNATURE|missing (?:registry )?signature`,
  'i',
);

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const done = spawnSync('npm', ['audit', 'signatures'], {
  cwd: root,
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'pipe'],
});
const said = `${done.stdout ?? ''}${done.stderr ?? ''}`;
process.stdout.write(done.stdout ?? '');
if (done.status === 0 && !WRONG.test(said) && !NO_KEYS.test(said)) {
  console.log('Signatures: verified.');
  process.exit(0);
}
const why = WRONG.test(said)
  ? null
  : NO_KEYS.test(said)
    ? 'the registry offers no keys'
    : UNREACHABLE.test(said)
      ? "the keys can't be reached from here"
      : null;
if (why !== null) {
  console.log(
    `Signatures: NOT verified, ${why}. The lock file's hashes hold all the same: npm refuses ` +
      'what differs from them.',
  );
  process.exit(process.argv.includes('--strict') ? 1 : 0);
}
process.stderr.write(done.stderr ?? '');
console.error(
  'Signatures: FAILED (npm audit signatures ended with ' +
    `${done.status ?? done.error?.code ?? done.signal}); do not use what is installed before ` +
    'this is understood.',
);
process.exit(1);

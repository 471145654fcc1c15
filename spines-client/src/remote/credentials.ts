/**
 * What a program shows to a daemon that is not its own: reading certificates and key files as
 * `spines keys` writes them.
 *
 * Decodes only what the handshake needs. Whether the daemon trusts a certificate is for the daemon
 * to say; here it is checked that certificate and key belong together, so that a mix-up is told
 * before anything is sent. Everything wrong is a SpinesClientError whose message names the option.
 * Secrets are kept in a closure: printing the outcome shows none.
 */

import { SpinesClientError } from '../errors.ts';
import type { NoiseKeyPair } from '../shared/noise.ts';
import { nodeNoise } from './node-noise.ts';

/**
 * Options of `connect` for a daemon on another machine. Texts as `spines keys` writes them: the
 * contents of the files, not their names.
 */
export interface RemoteOptions {
  /** The daemon's certificate. Either this or `daemonKey`. */
  daemonCertificate?: string | Uint8Array | undefined;
  /** The daemon's exchange key: 64 hexadecimal digits, or 32 bytes. */
  daemonKey?: string | Uint8Array | undefined;
  /** This program's certificate, with the role client. */
  certificate?: string | Uint8Array | undefined;
  /** This program's private key file, without a passphrase. */
  key?: string | Uint8Array | undefined;
}

export interface RemoteCredentials {
  /** Whose daemon it must be, 32 bytes. */
  readonly daemonKey: Uint8Array;
  readonly certificate: Uint8Array;
  /** The certificate's exchange keys. */
  readonly keys: () => NoiseKeyPair;
}

const KIND = 0,
  VERSION = 1,
  FORMAT = 1,
  /** Of a certificate with groups. */
  FORMAT_GROUPS = 2,
  KEY_BYTES = 32;
const KIND_CERTIFICATE = 3,
  C_NAME_BYTES = 3,
  C_EXCHANGE_KEY = 108,
  C_NAME = 140,
  SIGNATURE_BYTES = 64;
const KIND_KEY_FILE = 5,
  K_HOLDER = 2,
  K_PROTECTION = 3,
  K_NAME_BYTES = 4,
  K_EXCHANGE_KEY = 41,
  K_NAME = 114,
  HOLDER_NODE = 2,
  CHECK_BYTES = 16;
/** Base64 of 0 to 128 KiB between two marks of one label (RFC 7468). */
const PEM = new RegExp(
  String.raw`^-----BEGIN ([A-Z ]{1,40})-----[ \t]*[\r\n]+([A-Za-z0-9+/= \t\r\n]{1,131072})` +
    String.raw`-----END \1-----$`,
);
const CHECK_LABEL = Buffer.from('spines key file\0', 'latin1');

export function readRemoteCredentials(options: RemoteOptions): RemoteCredentials {
  const { daemonCertificate, daemonKey, certificate, key } = options;
  if ((daemonCertificate === undefined) === (daemonKey === undefined)) {
    throw fault(
      'daemonCertificate',
      "or daemonKey, one of them, says which daemon it must be; copy the daemon's certificate " +
        'file here',
    );
  }
  if (certificate === undefined)
    throw fault('certificate', 'is missing; a remote daemon asks for one with the role client');
  if (key === undefined)
    throw fault('key', 'is missing; give the private key file that belongs to the certificate');
  const own = certificateOf('certificate', certificate);
  const keys = keyFileOf(key);
  if (!equal(keys().publicKey, own.exchangeKey))
    throw fault(
      'key',
      'does not belong to the certificate; give the key file that the certificate was requested ' +
        'with',
    );
  return {
    daemonKey:
      daemonKey !== undefined
        ? rawKeyOf(daemonKey)
        : certificateOf('daemonCertificate', daemonCertificate!).exchangeKey,
    certificate: own.bytes,
    keys,
  };
}

function certificateOf(
  option: string,
  given: string | Uint8Array,
): { bytes: Uint8Array; exchangeKey: Uint8Array } {
  const bytes = unarmour(option, given, 'SPINES CERTIFICATE');
  // How long the groups are stands in front of the name, and they behind it.
  const groups = bytes[VERSION] === FORMAT_GROUPS ? 1 + (bytes[C_NAME] ?? 0) : 0;
  const sound =
    bytes.length > C_NAME &&
    bytes[KIND] === KIND_CERTIFICATE &&
    (bytes[VERSION] === FORMAT || bytes[VERSION] === FORMAT_GROUPS) &&
    bytes.length === C_NAME + groups + bytes[C_NAME_BYTES]! + SIGNATURE_BYTES;
  if (!sound) throw fault(option, 'is damaged, or of another version; copy the file again');
  return { bytes, exchangeKey: bytes.slice(C_EXCHANGE_KEY, C_EXCHANGE_KEY + KEY_BYTES) };
}

function keyFileOf(given: string | Uint8Array): () => NoiseKeyPair {
  const b = unarmour('key', given, 'SPINES PRIVATE KEY');
  if (b.length <= K_NAME || b[KIND] !== KIND_KEY_FILE || b[VERSION] !== FORMAT)
    throw fault('key', 'is damaged, or of another version; use another copy');
  if (b[K_HOLDER] !== HOLDER_NODE)
    throw fault(
      'key',
      "is the key of an authority, which must not leave it; give the client's own",
    );
  const secretsAt = K_NAME + b[K_NAME_BYTES]!;
  if (b.length !== secretsAt + 2 * KEY_BYTES + CHECK_BYTES)
    throw fault('key', 'is damaged; use another copy');
  if (b[K_PROTECTION] !== 0) {
    throw fault(
      'key',
      'has a passphrase, and this library takes decrypted keys only; make the client a key ' +
        'without one (`spines keys node NAME --client`), protected by its file mode',
    );
  }
  const check = nodeNoise
    .sha256(CHECK_LABEL, b.subarray(0, b.length - CHECK_BYTES))
    .subarray(0, CHECK_BYTES);
  const secret = b.slice(secretsAt + KEY_BYTES, secretsAt + 2 * KEY_BYTES);
  const publicKey = b.slice(K_EXCHANGE_KEY, K_EXCHANGE_KEY + KEY_BYTES);
  if (
    !equal(check, b.subarray(b.length - CHECK_BYTES)) ||
    !equal(nodeNoise.x25519PublicKey(secret), publicKey)
  )
    throw fault('key', 'is damaged; use another copy');
  const pair: NoiseKeyPair = { secret, publicKey };
  return () => pair;
}

function rawKeyOf(given: string | Uint8Array): Uint8Array {
  if (typeof given !== 'string') {
    if (given.length !== KEY_BYTES) throw fault('daemonKey', 'must have 32 bytes');
    return given.slice();
  }
  if (!/^[0-9A-Fa-f]{64}$/.test(given))
    throw fault('daemonKey', 'must be 64 hexadecimal digits, as `spines keys show` prints them');
  return Uint8Array.from(Buffer.from(given, 'hex'));
}

function unarmour(option: string, given: string | Uint8Array, label: string): Uint8Array {
  // As editors and mail leave it: with a byte order mark, CRLF, blanks at ends of lines. `trim`
  // takes that mark, too.
  const text = (typeof given === 'string' ? given : Buffer.from(given).toString('utf8')).trim();
  const match = PEM.exec(text);
  if (match === null)
    throw fault(option, `must be the text of a file that begins with -----BEGIN ${label}-----`);
  if (match[1] !== label)
    throw fault(
      option,
      `is a ${match[1]!.toLowerCase()}, not a ${label.toLowerCase()}; give the right file`,
    );
  return Uint8Array.from(Buffer.from(match[2]!, 'base64'));
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function fault(option: string, what: string): SpinesClientError {
  return new SpinesClientError('EINVAL', `${option} ${what}`, { syscall: 'connect' });
}

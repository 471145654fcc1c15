/**
 * The daemon's config file: YAML text to a complete, frozen configuration.
 *
 * The way through: places (config-places.ts), schema and rows (config-schema.ts, config-keys.ts),
 * certificates (config-certify.ts), what needs several places (config-faults.ts), and what a value
 * means (core/node/config.ts). Pure: reads no file itself, certificates that the config names come
 * through a function. Called by the `daemon` and `config` commands. Invariant: the outcome is a
 * valid DaemonFileConfig or one SpinesError 'ECONFIG' whose message has a line per fault.
 */

import { dirname, resolve } from 'node:path';

import { SpinesError } from '../../core/base/errors.ts';
import { isNodeName } from '../../core/base/ids.ts';
import { makeConfig, type DialConfig } from '../../core/node/config.ts';
import type { LogFileOptions } from '../log/log-file.ts';
import {
  cannotRead,
  certify,
  findAbsent,
  type CertificateReader,
  type Certified,
} from './config-certify.ts';
import { findDuplicates } from './config-faults.ts';
import { nodeValues } from './config-keys.ts';
import { describe, toFaults, YamlPlaces, type ConfigOverride } from './config-places.ts';
import { rulesOf } from './config-rules.ts';
import { fileSchema, type FileData } from './config-schema.ts';
import { DEFAULT_UDP_PORT, type DaemonFileConfig } from './file-config.ts';

export { directionData, formatEffective } from './config-text.ts';
export type { CertificateReader } from './config-certify.ts';
export * from './file-config.ts';

const LOG_FILE_BYTES = 10 * 1024 * 1024;
const LOG_FILES_KEPT = 5;

/**
 * Parses and validates. Relative paths are meant from the folder of `fileName`; `overrides` replace
 * or add keys before validation. `readCertificate` is asked for the daemon's own certificate, which
 * gives id and name, and for those of links. Throws SpinesError 'ECONFIG' with a line
 * "file:line:column: path: message" for each fault.
 */
export function loadConfigFile(
  text: string,
  fileName: string,
  overrides: readonly ConfigOverride[] = [],
  readCertificate: CertificateReader = cannotRead,
): DaemonFileConfig {
  const places = new YamlPlaces(text, fileName, overrides);
  const result = fileSchema.safeParse(places.data, { error: describe });
  const absent = findAbsent(places.data);
  if (!result.success) throw places.error([...absent, ...result.error.issues.flatMap(toFaults)]);
  if (absent.length > 0) throw places.error(absent);
  const certified = certify(result.data, { folder: dirname(fileName), overrides, readCertificate });
  const faults = [...certified.faults, ...findDuplicates(result.data, certified)];
  if (faults.length > 0) throw places.error(faults);
  try {
    return complete(result.data, certified, dirname(fileName));
  } catch (error) {
    if (!(error instanceof SpinesError)) throw error;
    // makeConfig names the field first: "liveness.deadAfter must be ...".
    const [field = '', ...rest] = error.message.split(' ');
    throw places.error([{ path: field.split('.'), message: rest.join(' ') }]);
  }
}

/** What a neighbour is called until it has shown its certificate: what it is, else its host. */
function nameOfDial(called: string | null, host: string | undefined): { name: string } | null {
  if (called !== null) return { name: called };
  return host !== undefined && isNodeName(host) ? { name: host } : null;
}

function complete(
  data: FileData,
  { identity, id, name, links, socketPath, sockets, tcp, http }: Certified,
  folder: string,
): DaemonFileConfig {
  const node = makeConfig({
    ...nodeValues(data),
    id,
    name,
    dials: (data.links ?? []).map(({ address, congestion }, i): DialConfig => {
      const { node: expected, key, name: called } = links[i]!;
      return {
        ...address,
        node: expected,
        ...(congestion === undefined ? {} : { congestion }),
        ...(key === null ? {} : { key }),
        ...(nameOfDial(called, address.host) ?? {}),
      };
    }),
    neighbours: (data.neighbours ?? []).map(({ node: whose, cost, metered }) => ({
      node: whose,
      costUs: cost ?? 0,
      metered: metered ?? false,
    })),
    firewall: rulesOf(data.firewall),
  });
  return Object.freeze({
    node,
    listen: data.listen ?? [{ address: '0.0.0.0', port: DEFAULT_UDP_PORT }],
    dscp: data.dscp ?? 0,
    client: Object.freeze({
      socketPath,
      group: data.client?.group?.name ?? null,
      sockets,
      tcp,
      remote: data.client?.remote?.at ?? null,
      roles: (data.client?.roles ?? []).map(({ client = [], group: of = [], role }) => ({
        clients: client,
        groups: of,
        role,
      })),
    }),
    http: http === null ? null : Object.freeze(http),
    emulation: Object.freeze({
      seed: data.emulation?.seed ?? 1,
      links: data.emulation?.links ?? [],
    }),
    logLevel: data.log?.level ?? 'info',
    logFile: logFileOf(data.log ?? {}, data.log?.file, folder),
    auditFile: logFileOf(data.log ?? {}, data.log?.audit, folder),
    security: data.security ?? 'sealed',
    identity,
  });
}

function logFileOf(
  { maxSize, keep }: NonNullable<FileData['log']>,
  file: string | undefined,
  folder: string,
): LogFileOptions | null {
  return file === undefined
    ? null
    : Object.freeze({
        path: resolve(folder, file),
        maxBytes: maxSize ?? LOG_FILE_BYTES,
        keep: keep ?? LOG_FILES_KEPT,
      });
}

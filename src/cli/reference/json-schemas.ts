/**
 * What `--json` of each command prints: a row each, by the type that the sources have of it.
 *
 * Owns the table; how a type becomes a schema is type-schemas.ts's. The outcome is published with
 * the client library (`spines-client/schemas.json`, `spines reference schemas`), and a test holds
 * real output against it.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Types, type Schema } from './type-schemas.ts';

/** By command, with the flag that makes it another; types as TypeScript writes them. */
export const PRINTED: Readonly<Record<string, string>> = {
  status: 'StatusReply',
  links: 'LinksReply',
  routes: 'RoutesView',
  'routes --byzantine': 'ByzantineRoutesReply',
  nodes: 'NodesReply',
  sessions: 'SessionsView',
  groups: 'GroupsReply | MembersReply',
  firewall: "{ lists: Pick<FirewallReply, 'list' | 'default' | 'defaultHits' | 'rules'>[] }",
  explain: 'Explanation',
  doctor: '{ schema: 1; findings: Finding[] }',
  ping: 'PingSummary',
  trace: 'TraceSummary',
  'trace --group': 'GroupTreeReply',
  watch: 'DaemonEvent',
  'graph --format json': 'Graph',
  'link list': 'DialsReply',
  'link show': "{ links: Pick<LinkRow, 'node' | 'name' | 'address' | 'state' | 'emulated'>[] }",
  'link set': '{ settings: LinkSettings }',
  'link add': 'DialReply',
  'link remove': 'DialReply',
  'log level': '{ level: string }',
  reload: '{ changes: string[] }',
  drain: 'DrainReply',
  dashboard: '{ schema: 1; url: string }',
  version: '{ version: string; node: string; clientProtocol: number }',
};

/** The schemas of all commands, as one document. */
export function jsonSchemas(): {
  readonly $schema: string;
  readonly commands: Readonly<Record<string, Schema>>;
  readonly $defs: Readonly<Record<string, Schema>>;
} {
  const types = new Types(sources());
  const commands = Object.fromEntries(
    Object.entries(PRINTED).map(([name, type]) => [name, printed(types, type)]),
  );
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    commands,
    $defs: types.defsOf(Object.values(commands)),
  };
}

/** Whatever is printed says that it is of schema 1. */
function printed(types: Types, type: string): Schema {
  const schema = types.schema(type);
  const choices = types.resolved(schema).anyOf ?? [schema];
  return choices.every((one) => types.resolved(one).properties?.['schema'] !== undefined)
    ? schema
    : types.schema(`{ schema: 1 } & (${type})`);
}

/** As it is published. */
export function schemasText(): string {
  return JSON.stringify(jsonSchemas(), null, 1);
}

/** Of the client protocol as it is installed, and of the commands beside this file. */
function sources(): string[] {
  const protocol = createRequire(import.meta.url).resolve('spines-client/protocol');
  const folders = [dirname(protocol), join(dirname(fileURLToPath(import.meta.url)), '..', 'look')];
  const watch = join(dirname(dirname(protocol)), 'watch.d.ts');
  return folders
    .flatMap((folder) => {
      const files = readdirSync(folder).filter((file) => file.endsWith('.ts'));
      return files.sort().map((file) => readFileSync(join(folder, file), 'utf8'));
    })
    .concat(readFileSync(watch, 'utf8'));
}

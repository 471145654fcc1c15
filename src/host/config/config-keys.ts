/**
 * The keys of the config file that set one value of a node's configuration: a row each.
 *
 * A row is all that there is to say of a key: its name in the file, what may stand there, where the
 * value goes, how it is written, whether a reload may change it, and what it means. The file's
 * schema, `spines config show`, reloads and the README's table follow from the rows. Defaults are
 * those of core/node/config.ts. Keys that need a file, a list or an address are config-schema.ts's.
 */

import type { z } from 'zod';

import type { Micros } from '../../core/base/time.ts';
import {
  byzantineModes,
  CONGESTION_NAMES,
  defaultConfig,
  METRICS,
  SECRECIES,
  streamLimits,
  type ByzantineOptions,
  type LivenessConfig,
  type NodeConfig,
  type NodeLimits,
} from '../../core/node/config.ts';
import {
  bytes,
  duration,
  durationOrOff,
  durationText,
  limitText,
  oneOf,
  percentText,
  share,
  strict,
  truth,
  whole,
} from './config-fields.ts';

/** Where in a NodeConfig a value is. */
type At =
  | Exclude<keyof NodeConfig, 'liveness' | 'streams' | 'byzantine' | 'limits'>
  | `liveness.${keyof LivenessConfig}`
  | `streams.${keyof NodeConfig['streams']}`
  | `byzantine.${keyof ByzantineOptions}`
  | `limits.${keyof NodeLimits}`;

/** What may stand in a place of the file, and how it is written again. */
interface Kind {
  readonly field: z.ZodType<unknown>;
  /** For people: the range, or the words. */
  readonly range: string;
  text(value: unknown): unknown;
}

export interface ConfigKey extends Kind {
  /** As in the file; a dot stands for a map within a map. */
  readonly key: string;
  readonly at: At;
  /** A reload may change it. */
  readonly live: boolean;
  /** What it means, for the README. */
  readonly meaning: string;
}

const asIs = (value: unknown): unknown => value;
const TRUTH: Kind = { field: truth, range: 'true, false', text: asIs };
const words = (of: readonly string[]): Kind => ({
  field: oneOf(of),
  range: of.join(', '),
  text: asIs,
});
const count = (min: number, max: number): Kind => ({
  field: whole(min, max),
  range: max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `${min}..${max}`,
  text: asIs,
});
const size = (min: number, max: number): Kind => ({
  field: bytes(min, max),
  range: `bytes from ${min}, as 64KiB`,
  text: asIs,
});
/** Bounds are core/node/config.ts's, which knows what else they depend on. */
const time = (range: string): Kind => ({
  field: duration,
  range,
  text: (us) => durationText(us as Micros),
});
const timeOrOff = (range: string): Kind => ({
  field: durationOrOff,
  range: `${range}, off`,
  text: (us) => limitText(us as Micros),
});
const SHARE: Kind = {
  field: share,
  range: 'above 0%, at most 100%',
  text: (rate) => percentText(rate as number),
};

function key(
  name: string,
  at: At,
  kind: Kind,
  meaning: string,
  reload: 'live' | 'restart' = 'restart',
): ConfigKey {
  return { key: name, at, ...kind, live: reload === 'live', meaning };
}

/** A limit: its name is that in NodeLimits. */
function limit(
  name: keyof NodeLimits,
  kind: Kind,
  meaning: string,
  reload: 'live' | 'restart' = 'restart',
): ConfigKey {
  return key(`limits.${name}`, `limits.${name}`, kind, meaning, reload);
}

function byzantine(
  name: string,
  of: keyof ByzantineOptions,
  kind: Kind,
  meaning: string,
): ConfigKey {
  return key(`byzantine.${name}`, `byzantine.${of}`, kind, meaning);
}

/** In the order of the file that `spines config show` writes. */
export const CONFIG_KEYS: readonly ConfigKey[] = [
  key('accept', 'accept', TRUTH, 'take links that others dial', 'live'),
  key('transit', 'transit', TRUTH, 'carry packets of others; `false`: an end of ways only', 'live'),
  key('metric', 'metric', words(METRICS), 'what makes a route short'),
  key('congestion', 'congestion', words(CONGESTION_NAMES), 'of reliable links'),
  key(
    'liveness.helloInterval',
    'liveness.helloIntervalUs',
    time('20ms..5s'),
    'between signs of life on an idle link',
  ),
  key(
    'liveness.deadAfter',
    'liveness.deadAfterUs',
    time('from two hello intervals'),
    'silence that ends a link, about',
  ),
  key(
    'streams.keepalive',
    'streams.keepaliveUs',
    timeOrOff('500ms..86400s'),
    'an idle stream asks its far end this often; at most half of `silence` by default',
    'live',
  ),
  key(
    'streams.silence',
    'streams.silenceUs',
    time('1s..86400s'),
    'a far end that is silent for so long is given up',
    'live',
  ),
  key(
    'streams.congestion',
    'streamCongestion',
    words(CONGESTION_NAMES),
    'of streams whose programs choose none; default: by the links that they go over',
    'live',
  ),
  key('redial', 'redialUs', time('from 10ms'), 'between attempts to dial a neighbour'),
  key(
    'advertisementRefresh',
    'advertisementRefreshUs',
    time('at most half of the lifetime'),
    'how often this node says again what links it has',
  ),
  key(
    'advertisementLifetime',
    'advertisementLifetimeUs',
    time('from two refreshes'),
    'a node that is not heard for so long is forgotten',
  ),
  key('rekeyAfter', 'rekeyAfterUs', time('100ms..86400s'), "age of a sealed link's keys"),
  key(
    'rekeyAfterDatagrams',
    'rekeyAfterDatagrams',
    count(1, Number.MAX_SAFE_INTEGER),
    'datagrams under one of them, 16 to 2^40',
  ),
  key('secrecy', 'secrecy', words(SECRECIES), 'of sockets that do not say which'),
  key(
    'keyRotation',
    'keyRotationUs',
    time('1s..86400s'),
    'how long others seal for this node with one key, about',
  ),
  byzantine('mode', 'mode', words(Object.keys(byzantineModes)), 'the set of switches below'),
  byzantine('window', 'windowPackets', count(1, 100_000), 'packets that loss is judged by'),
  byzantine('tolerance', 'tolerance', SHARE, 'loss that is no fault'),
  byzantine('fullProbing', 'fullProbing', TRUTH, 'all nodes of a faulty part probe at once'),
  byzantine('fullProbingHops', 'fullProbingHops', count(1, 32), 'longest path where they do'),
  byzantine('secondPath', 'secondPath', TRUTH, 'packets go two ways while a search runs'),
  byzantine('softLoss', 'softLoss', TRUTH, 'what comes too late counts as lost'),
  byzantine('searchMemory', 'searchMemory', TRUTH, 'a search goes on where the last one ended'),
  byzantine('weightCap', 'weightCap', words(['nodes', 'fixed']), 'heaviest weight of a link'),
  byzantine('outerFirst', 'outerFirst', TRUTH, 'layers are opened from the outside'),
  byzantine('prefixCache', 'prefixCache', TRUTH, 'beginnings of paths are verified once'),
  byzantine('ackBatch', 'ackBatchPackets', count(1, 9), 'packets that one answer is for'),
  byzantine('ackBatchDelay', 'ackBatchDelayUs', time('at most 1s'), 'wait for them, at most'),
  key('emulation.allow', 'allowEmulation', TRUTH, 'clients may change emulated links'),
  limit('links', count(1, 128), 'links, up or not', 'live'),
  limit('nodes', count(1, 1_000_000), 'nodes that are known'),
  limit('packetsKept', count(64, 16_777_216), 'packets in all queues'),
  limit('linkQueueBytes', size(2_048, 2 ** 31 - 1), "in one link's queue"),
  limit('realtimeBytesPerSecond', size(0, 2 ** 40), 'of realtime on one link; 0: any', 'live'),
  limit('clients', count(1, 65_536), 'connected programs', 'live'),
  limit('clientsPerCertificate', count(1, 65_536), 'of one certificate', 'live'),
  limit('socketsPerClient', count(1, 65_536), 'sockets of one program', 'live'),
  limit('clientQueueBytes', size(65_536, 2 ** 31 - 1), 'that a program has not read', 'live'),
  limit('clientBytesPerSecond', size(0, 2 ** 40), 'that one may send; 0: any', 'live'),
  limit('clientPacketsPerSecond', count(0, 1_000_000_000), 'likewise; 0: any', 'live'),
  limit('streams', count(1, Number.MAX_SAFE_INTEGER), 'streams of this node'),
  limit('streamBytes', count(1, Number.MAX_SAFE_INTEGER), 'held for slow readers of streams'),
  // One long message must fit.
  limit('reassemblyBytes', size(131_072, 2 ** 31 - 1), 'of messages that are not whole yet'),
  key('allowShutdown', 'allowShutdown', TRUTH, 'clients may stop the daemon', 'live'),
  key(
    'laboratory.misbehaviour',
    'allowMisbehaviour',
    TRUTH,
    'clients may make the daemon misbehave',
  ),
];

/** First words of keys that stand behind those about clients, in the order of the file. */
export const LATER_KEYS = ['emulation', 'limits', 'allowShutdown', 'laboratory'];

/** Fields of the file's map, or of map `within`, that rows are for. Maps of rows only are whole. */
export function fieldsOf(within: string | null = null): Record<string, z.ZodType<unknown>> {
  const prefix = within === null ? '' : `${within}.`;
  const fields: Record<string, z.ZodType<unknown>> = {};
  for (const row of CONFIG_KEYS) {
    if (!row.key.startsWith(prefix)) continue;
    const [name = '', inner] = row.key.slice(prefix.length).split('.');
    fields[name] ??= (inner === undefined ? row.field : strict(fieldsOf(name))).optional();
  }
  return fields;
}

/** What the file gives for a key, as it was checked; undefined: nothing. */
function given(data: Readonly<Record<string, unknown>>, { key: name }: ConfigKey): unknown {
  const [first = '', second] = name.split('.');
  const value = data[first];
  return second === undefined ? value : (value as Record<string, unknown> | undefined)?.[second];
}

/** The value of a key in force. */
export function valueInForce(node: NodeConfig, { at }: Pick<ConfigKey, 'at'>): unknown {
  return at
    .split('.')
    .reduce<unknown>((from, name) => (from as Readonly<Record<string, unknown>>)[name], node);
}

/** What the file sets of a node's configuration by rows, defaults filled in. */
export function nodeValues(data: Readonly<Record<string, unknown>>): Partial<NodeConfig> {
  const row = (at: At): ConfigKey => CONFIG_KEYS.find((each) => each.at === at)!;
  const mode = given(data, row('byzantine.mode')) ?? defaultConfig.byzantine.mode;
  // Some defaults follow from what else is set.
  const values: Record<string, unknown> = {
    ...defaultConfig,
    byzantine: byzantineModes[mode as ByzantineOptions['mode']],
    streams: streamLimits(
      given(data, row('streams.silenceUs')) as Micros | undefined,
      given(data, row('streams.keepaliveUs')) as Micros | undefined,
    ),
  };
  const set: Record<string, unknown> = {};
  for (const each of CONFIG_KEYS) {
    const [first = '', second] = each.at.split('.');
    if (second === undefined) set[first] = given(data, each) ?? values[first];
    else {
      const whole = (set[first] ??= { ...(values[first] as object) }) as Record<string, unknown>;
      whole[second] = given(data, each) ?? whole[second];
    }
  }
  for (const value of Object.values(set)) Object.freeze(value);
  return set as Partial<NodeConfig>;
}

/** What rows have to say in the file, of those whose first word is one of `firsts`. */
export function textOfKeys(node: NodeConfig, firsts: (first: string) => boolean): object {
  const data: Record<string, unknown> = {};
  for (const row of CONFIG_KEYS) {
    const [first = '', second] = row.key.split('.');
    const value = valueInForce(node, row);
    if (!firsts(first) || value === null) continue;
    if (second === undefined) data[first] = row.text(value);
    else ((data[first] ??= {}) as Record<string, unknown>)[second] = row.text(value);
  }
  return data;
}

/** The README's table of these keys, in Markdown, a line each. */
export function tableOfKeys(): string[] {
  const node = { ...defaultConfig, id: 0 };
  const rows = CONFIG_KEYS.map((row) => {
    const value = valueInForce(node, row);
    const standard = value === null ? '' : `\`${String(row.text(value))}\``;
    return (
      `| \`${row.key}\` | ${standard} | ${row.range} | ${row.live ? 'yes' : ''} | ` +
      `${row.meaning} |`
    );
  });
  return ['| Key | Default | May be | Reload | Meaning |', '|---|---|---|---|---|', ...rows];
}

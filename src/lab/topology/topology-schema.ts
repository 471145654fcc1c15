/**
 * The shape of a topology file: a zod schema over the plain data that YAML gives.
 *
 * Owns which keys exist, their units and ranges. What needs more than one place of the file to
 * judge (unknown nodes, duplicates) is topology-parse.ts's, its only caller. Invariant: every
 * object is strict, and an unknown key's issue carries the keys that would have been valid.
 */

import { CONGESTION_NAMES } from 'spines-client/protocol';
import { parseMisbehaviour, type MisbehaviourName } from '../misbehaviour/misbehaviours.ts';
import { DEADLINE_MS_MAX } from '../../core/wire/deadline.ts';
import {
  carriesGraph,
  DISSEMINATION_NAMES,
  disseminationCode,
  GRAPH_NAMES,
  SERVICE_NAMES,
  serviceCode,
  whyNoStreams,
} from '../../core/wire/modes.ts';
import { PATHS_MAX } from '../../core/wire/packet.ts';
import { z } from 'zod';

import { isNodeName, parseNodeId, isNodeId } from '../../core/base/ids.ts';
import { MILLISECOND } from '../../core/base/time.ts';
import {
  BANDWIDTH_KBPS_MAX,
  DELAY_US_MAX,
  MTU_MAX,
  MTU_MIN,
  QUEUE_BYTES_MAX,
  type DirectionChange,
} from '../../core/emulation/link-settings.ts';
import {
  FLOW_RATE_MAX,
  FLOW_SIZE_MAX,
  FLOW_SIZE_MIN,
  TOPOLOGY_EVENTS_MAX,
  TOPOLOGY_FLOWS_MAX,
  TOPOLOGY_LINKS_MAX,
  TOPOLOGY_NODES_MAX,
} from './limits.ts';
import { parseDuration, parsePercent, parseRate, parseSize } from '../../text/units.ts';

/** One thing wrong: where in the plain data, and what. */
export interface Issue {
  readonly path: readonly (string | number)[];
  readonly message: string;
  /**
   * The last part of `path` is a key that should not be there: point at the key, not at its value.
   */
  readonly atKey?: boolean;
}

export type FileData = z.output<typeof fileSchema>;
export type LinkData = z.output<typeof linkSchema>;
export type FlowData = z.output<typeof flowSchema>;
export type EventData = z.output<typeof eventSchema>;
export type GenerateData = z.output<typeof generateSchema>;

/** Validates plain data; issues are in the order of discovery. */
export function checkFile(
  data: unknown,
): { data: FileData; issues: readonly [] } | { data: null; issues: readonly Issue[] } {
  return checkWith(fileSchema, data);
}

/** Validates against any schema made of these parts. */
export function checkWith<T>(
  schema: z.ZodType<T>,
  data: unknown,
): { data: T; issues: readonly [] } | { data: null; issues: readonly Issue[] } {
  const result = schema.safeParse(data, { error: describe });
  if (result.success) return { data: result.data, issues: [] };
  return { data: null, issues: result.error.issues.flatMap(toIssues) };
}

/** The valid key nearest to `wrong`, null when none is near enough to be meant. */
export function nearest(wrong: string, valid: readonly string[]): string | null {
  let best: string | null = null;
  let bestDistance = Math.max(2, Math.floor(wrong.length / 3)) + 1;
  for (const candidate of valid) {
    const distance = editDistance(wrong.slice(0, 64).toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance && distance < candidate.length) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/* ------------------------------------------------------------------ building blocks */

type Describe = (issue: z.core.$ZodRawIssue) => string | undefined;

/**
 * A strict object. The message of its unknown-key issue is the list of valid keys; toIssues makes
 * it a sentence.
 */
export function strict<S extends z.core.$ZodShape>(shape: S) {
  const error: Describe = (issue) =>
    issue.code === 'unrecognized_keys' ? Object.keys(shape).join(' ') : undefined;
  return z.strictObject(shape, { error });
}

/** A scalar with a parser of its own that returns null for what it refuses. */
export function scalar<T>(wanted: string, parse: (value: unknown) => T | null) {
  return z.any().transform((value, context): T => {
    const parsed = value === undefined ? null : parse(value);
    if (parsed === null) {
      context.addIssue({
        code: 'custom',
        message: value === undefined ? 'is missing' : `expected ${wanted}, found ${show(value)}`,
      });
      return z.NEVER;
    }
    return parsed;
  });
}

/**
 * The schema that `choose` picks by looking at the value: better messages than a union of attempts.
 */
function chosen<T>(choose: (value: unknown) => z.ZodType<T>) {
  return z.any().transform((value, context): T => {
    const result = choose(value).safeParse(value, { error: describe });
    if (result.success) return result.data;
    for (const issue of result.error.issues) context.addIssue({ ...issue } as never);
    return z.NEVER;
  });
}

const duration = scalar('a duration such as 250ms or 10s', (v) => parseDuration(v));
const delay = scalar('a delay such as 10ms, at most 10 min (a plain number is milliseconds)', (v) =>
  bounded(parseDuration(v, MILLISECOND), 0, DELAY_US_MAX),
);
const rate = scalar('a percentage such as 1% or 1, in 0..100', (v) => {
  const parsed = parsePercent(v);
  return parsed === null ? null : parsed / 100;
});
const bandwidth = scalar('a bit rate such as 10mbit, 1kbit..100gbit, or unlimited', (v) => {
  if (v === 'unlimited') return { kbps: null };
  const kbps = bounded(parseRate(v), 1, BANDWIDTH_KBPS_MAX);
  return kbps === null ? null : { kbps: Math.round(kbps) };
});
const mtu = scalar(`a size of IP packets in ${MTU_MIN}..${MTU_MAX} bytes, or unlimited`, (v) => {
  if (v === 'unlimited') return { bytes: null };
  const bytes = bounded(parseSize(v), MTU_MIN, MTU_MAX);
  return bytes === null ? null : { bytes };
});
const queue = scalar('a size such as 64KiB, 1 byte..1 GiB', (v) =>
  bounded(parseSize(v), 1, QUEUE_BYTES_MAX),
);
const flowRate = scalar('a bit rate such as 500kbit', (v) => positive(parseRate(v)));
const flowSize = scalar(`a size in ${FLOW_SIZE_MIN}..${FLOW_SIZE_MAX} bytes`, (v) =>
  bounded(parseSize(v), FLOW_SIZE_MIN, FLOW_SIZE_MAX),
);
const seed = scalar('a whole number in 0..4294967295', (v) =>
  typeof v === 'number' && Number.isInteger(v) ? bounded(v, 0, 0xffff_ffff) : null,
);
const whole = (min: number, max: number) =>
  scalar(`a whole number in ${min}..${max}`, (v) =>
    typeof v === 'number' && Number.isInteger(v) ? bounded(v, min, max) : null,
  );
const truth = scalar('true or false', (v) => (typeof v === 'boolean' ? v : null));
const only = (value: true) => scalar('true', (v) => (v === value ? value : null));
/** YAML reads a node called 7 as a number: take it as the text that was written. */
const nodeName = scalar('a node name (letters, digits, - _ .)', (v) => {
  const text = typeof v === 'number' ? String(v) : v;
  return typeof text === 'string' && isNodeName(text) ? text : null;
});
export const label = scalar('a name of 1-63 letters, digits, - _ . or >', (v) => {
  const text = typeof v === 'number' ? String(v) : v;
  return typeof text === 'string' && /^[A-Za-z0-9_][A-Za-z0-9_.>-]{0,62}$/.test(text) ? text : null;
});
const nodeId = scalar('a dotted quad below 224.0.0.0', (v) => {
  const id = typeof v === 'string' ? parseNodeId(v) : null;
  return id !== null && isNodeId(id) ? id : null;
});
export const oneOf = <T extends string>(...words: readonly T[]) =>
  scalar(words.join(' | '), (v) => words.find((word) => word === v) ?? null);
const misbehaviour = scalar<MisbehaviourName>(
  'a misbehaviour such as black-hole, grey-hole:0.3 or none',
  (v) => (typeof v === 'string' && parseMisbehaviour(v) !== null ? (v as MisbehaviourName) : null),
);
const pair = z.array(nodeName).length(2, 'expected the two ends of a link, as in [A, B]');

/* ------------------------------------------------------------------ link characteristics */

const longer = scalar('a time above 0, at most 10 min (a plain number is milliseconds)', (v) =>
  bounded(parseDuration(v, MILLISECOND), 1, DELAY_US_MAX),
);
const burst = strict({
  goodToBad: rate.optional(),
  badToGood: rate.optional(),
  good: longer.optional(),
  bad: longer.optional(),
  lossGood: rate.optional(),
  lossBad: rate.optional(),
}).refine(
  ({ goodToBad, badToGood, good, bad }) =>
    (goodToBad === undefined) === (badToGood === undefined) &&
    (good === undefined) === (bad === undefined) &&
    (good === undefined) !== (goodToBad === undefined),
  'expected either goodToBad and badToGood, chances per packet, or good and bad, mean times',
);
const outages = strict({ every: longer, lasting: longer }).refine((o) => o.every > o.lasting, {
  path: ['every'],
  message:
    'expected more than lasting: it is the mean time from the beginning of one to that of the next',
});

const characteristics = {
  up: truth.optional(),
  latency: delay.optional(),
  jitter: delay.optional(),
  bandwidth: bandwidth.optional(),
  queue: queue.optional(),
  mtu: mtu.optional(),
  loss: rate.optional(),
  burst: burst.optional(),
  outages: outages.optional(),
  duplicate: rate.optional(),
  reorder: rate.optional(),
  reorderDelay: delay.optional(),
  corrupt: rate.optional(),
};
type Characteristics = z.output<z.ZodObject<typeof characteristics>>;

const lossOnce = (c: Characteristics): boolean => c.loss === undefined || c.burst === undefined;
const lossTwice = { path: ['burst'], message: 'loss and burst exclude each other' };
const outagesOnce = (c: Characteristics): boolean =>
  c.outages === undefined || c.burst === undefined;
const outagesTwice = { path: ['outages'], message: 'burst and outages exclude each other' };
const characteristicsSchema = strict(characteristics)
  .refine(lossOnce, lossTwice)
  .refine(outagesOnce, outagesTwice)
  .transform(toChange);
const changeSchema = strict(characteristics)
  .refine(lossOnce, lossTwice)
  .refine(outagesOnce, outagesTwice)
  .refine(
    (c) => Object.values(c).some((value) => value !== undefined),
    'expected at least one characteristic to set',
  )
  .transform(toChange);
const linkSchema = strict({
  between: pair,
  ...characteristics,
  forward: characteristicsSchema.optional(),
  backward: characteristicsSchema.optional(),
})
  .refine(lossOnce, lossTwice)
  .refine(outagesOnce, outagesTwice)
  .transform(({ between, forward, backward, ...rest }) => ({
    between,
    common: toChange(rest),
    forward: forward ?? {},
    backward: backward ?? {},
  }));

function toChange(c: Characteristics): DirectionChange {
  const out: { -readonly [K in keyof DirectionChange]: DirectionChange[K] } = {};
  if (c.up !== undefined) out.up = c.up;
  if (c.latency !== undefined) out.latencyUs = c.latency;
  if (c.jitter !== undefined) out.jitterUs = c.jitter;
  if (c.bandwidth !== undefined) out.bandwidthKbps = c.bandwidth.kbps;
  if (c.queue !== undefined) out.queueBytes = c.queue;
  if (c.mtu !== undefined) out.mtuBytes = c.mtu.bytes;
  if (c.loss !== undefined) out.loss = Object.freeze({ kind: 'bernoulli', rate: c.loss });
  if (c.outages !== undefined) {
    const { every, lasting } = c.outages;
    out.loss = Object.freeze({
      kind: 'bursts-in-time',
      goodUs: every - lasting,
      badUs: lasting,
      badFixed: true,
      lossGood: c.loss ?? 0,
      lossBad: 1,
    });
  }
  if (c.burst !== undefined) {
    const { goodToBad, badToGood, good, bad, lossGood = 0, lossBad = 1 } = c.burst;
    if (good !== undefined)
      out.loss = Object.freeze({
        kind: 'bursts-in-time',
        goodUs: good,
        badUs: bad!,
        badFixed: false,
        lossGood,
        lossBad,
      });
    else
      out.loss = Object.freeze({
        kind: 'gilbert-elliott',
        goodToBad: goodToBad!,
        badToGood: badToGood!,
        lossGood,
        lossBad,
      });
  }
  if (c.duplicate !== undefined) out.duplicateRate = c.duplicate;
  if (c.reorder !== undefined) out.reorderRate = c.reorder;
  if (c.reorderDelay !== undefined) out.reorderUs = c.reorderDelay;
  if (c.corrupt !== undefined) out.corruptRate = c.corrupt;
  return Object.freeze(out);
}

/* ------------------------------------------------------------------ the rest of the file */

const nodeSchema = chosen<{ name: string; id: number | null }>((value) =>
  isMap(value)
    ? strict({ name: nodeName, id: nodeId.optional() }).transform(({ name, id }) => ({
        name,
        id: id ?? null,
      }))
    : nodeName.transform((name) => ({ name, id: null })),
);

const ringSchema = strict({
  kind: z.literal('ring'),
  nodes: whole(3, TOPOLOGY_NODES_MAX),
  link: characteristicsSchema.optional(),
});
const gridSchema = strict({
  kind: z.literal('grid'),
  width: whole(1, TOPOLOGY_NODES_MAX),
  height: whole(1, TOPOLOGY_NODES_MAX),
  link: characteristicsSchema.optional(),
}).refine((g) => g.width * g.height <= TOPOLOGY_NODES_MAX, {
  path: ['height'],
  message: `the grid exceeds ${TOPOLOGY_NODES_MAX} nodes`,
});
const randomSchema = strict({
  kind: z.literal('random'),
  nodes: whole(2, TOPOLOGY_NODES_MAX),
  degree: scalar('a number in 1..1999', (v) =>
    typeof v === 'number' ? bounded(v, 1, TOPOLOGY_NODES_MAX - 1) : null,
  ),
  latency: z
    .array(delay)
    .length(2, 'expected the least and the most, as in [2ms, 40ms]')
    .refine((range) => range[0]! <= range[1]!, 'the least comes first')
    .optional(),
  seed: seed.optional(),
  link: characteristicsSchema.optional(),
}).refine((g) => Math.round((g.nodes * g.degree) / 2) <= TOPOLOGY_LINKS_MAX, {
  path: ['degree'],
  message: `exceeds ${TOPOLOGY_LINKS_MAX} links`,
});
const generateSchema = chosen<
  z.output<typeof ringSchema> | z.output<typeof gridSchema> | z.output<typeof randomSchema>
>((value) => {
  const kind = isMap(value) ? value['kind'] : undefined;
  if (kind === 'ring') return ringSchema;
  if (kind === 'grid') return gridSchema;
  if (kind === 'random') return randomSchema;
  return (
    isMap(value) ? z.looseObject({ kind: oneOf('ring', 'grid', 'random') }) : z.strictObject({})
  ) as never;
});

const flowSchema = strict({
  name: label.optional(),
  from: nodeName,
  to: nodeName,
  rate: flowRate.optional(),
  packetsPerSecond: scalar(`a number above 0, at most ${FLOW_RATE_MAX}`, (v) =>
    typeof v === 'number' && v <= FLOW_RATE_MAX ? positive(v) : null,
  ).optional(),
  size: flowSize.optional(),
  start: duration.optional(),
  duration: duration.optional(),
  count: whole(1, 100_000_000).optional(),
  phase: duration.optional(),
  jitter: duration.optional(),
  link: oneOf(...SERVICE_NAMES).optional(),
  session: oneOf('datagram', 'stream').optional(),
  routing: oneOf(...DISSEMINATION_NAMES).optional(),
  paths: whole(1, PATHS_MAX).optional(),
  graph: oneOf(...GRAPH_NAMES).optional(),
  congestion: oneOf(...CONGESTION_NAMES).optional(),
  deadline: duration
    .refine(
      (us) => us >= MILLISECOND && us <= DEADLINE_MS_MAX * MILLISECOND,
      `must be 1ms to ${DEADLINE_MS_MAX / 1_000}s`,
    )
    .optional(),
})
  .refine(
    (f) => f.session !== 'stream' || whyNoStreams(serviceCode(f.link ?? 'reliable')) === null,
    {
      path: ['session'],
      message: 'a stream has no deadline; use link: reliable or best-effort, or session: datagram',
    },
  )
  .refine(
    ({ routing, session, link }) =>
      routing === undefined ||
      !carriesGraph(disseminationCode(routing)) ||
      (session !== 'stream' && link !== 'reliable'),
    {
      path: ['routing'],
      message: 'is of datagrams over link: best-effort or realtime where they go several ways',
    },
  )
  .refine((f) => f.graph === undefined || f.routing === 'graph', {
    path: ['graph'],
    message: 'is of routing: graph; add that',
  })
  .refine((f) => f.paths === undefined || f.routing === 'paths', {
    path: ['paths'],
    message: 'is of routing: paths; add that',
  })
  .refine((f) => f.congestion === undefined || f.session === 'stream', {
    path: ['congestion'],
    message: 'is of streams; add session: stream, or give congestion beside metric for links',
  })
  .refine((f) => (f.rate === undefined) !== (f.packetsPerSecond === undefined), {
    path: ['rate'],
    message: 'expected either rate or packetsPerSecond',
  })
  .refine((f) => f.duration === undefined || f.count === undefined, {
    path: ['count'],
    message: 'duration and count exclude each other',
  })
  .refine(
    (f) =>
      (f.jitter ?? 0) * (f.packetsPerSecond ?? ((f.rate ?? 0) * 125) / (f.size ?? 1_000)) <=
      1_000_000,
    {
      path: ['jitter'],
      message: 'is longer than the time between two messages, which would overtake each other',
    },
  )
  .refine((f) => f.rate === undefined || (f.rate * 125) / (f.size ?? 1_000) <= FLOW_RATE_MAX, {
    path: ['rate'],
    message: `exceeds ${FLOW_RATE_MAX} messages per second`,
  });

const at = { at: duration };
/** A node, or whoever is on the path of a flow. */
const culprit = chosen<string | { on: string }>(
  (value) => (isMap(value) ? strict({ on: label }) : nodeName) as never,
);
const eventSchemas = {
  set: strict({
    ...at,
    link: pair,
    set: changeSchema,
    direction: oneOf('forward', 'backward', 'both').optional(),
  }),
  down: strict({ ...at, down: pair }),
  up: strict({ ...at, up: pair }),
  crash: strict({ ...at, crash: nodeName }),
  restart: strict({ ...at, restart: nodeName }),
  misbehave: strict({ ...at, misbehave: culprit, what: misbehaviour }),
  partition: strict({
    ...at,
    partition: z
      .array(z.array(nodeName).min(1, 'a group has at least one node'))
      .min(1, 'expected at least one group'),
  }),
  heal: strict({ ...at, heal: only(true) }),
};
type EventSchemas = typeof eventSchemas;
type AnyEvent = z.output<EventSchemas[keyof EventSchemas]>;
const eventKinds = Object.keys(eventSchemas) as (keyof EventSchemas)[];
/**
 * An event that says nothing to do, most likely for a misspelt key: it knows every key of every
 * event.
 */
const unknownEvent = strict({
  ...at,
  ...Object.fromEntries(
    [...eventKinds, 'link', 'direction', 'what'].map((key) => [key, z.any().optional()]),
  ),
});
const emptyEvent = unknownEvent.refine(() => false, `expected one of ${eventKinds.join(', ')}`);
const eventSchema = chosen<AnyEvent>((value) => {
  const kinds = isMap(value) ? eventKinds.filter((kind) => Object.hasOwn(value, kind)) : [];
  if (kinds.length > 1)
    return z
      .any()
      .refine(() => false, `expected one thing to do, found ${kinds.join(' and ')}`) as never;
  const kind = kinds[0] ?? (isMap(value) && Object.hasOwn(value, 'link') ? 'set' : null);
  if (kind === null)
    return (
      isMap(value) && Object.keys(value).some((key) => !Object.hasOwn(unknownEvent.shape, key))
        ? unknownEvent
        : emptyEvent
    ) as never;
  return eventSchemas[kind] as never;
});

const fileSchema = strict({
  name: label,
  description: z.string().max(10_000).optional(),
  note: z.string().max(2_000).optional(),
  seed: seed.optional(),
  duration: duration.refine((us) => us > 0, 'the run must last longer than nothing'),
  metric: oneOf('hops', 'latency', 'loss', 'expected-latency').optional(),
  congestion: oneOf(...CONGESTION_NAMES).optional(),
  security: oneOf('sealed', 'none').optional(),
  nodes: z
    .array(nodeSchema)
    .max(TOPOLOGY_NODES_MAX, `at most ${TOPOLOGY_NODES_MAX} nodes`)
    .optional(),
  defaults: strict({ link: characteristicsSchema.optional() }).optional(),
  links: z
    .array(linkSchema)
    .max(TOPOLOGY_LINKS_MAX, `at most ${TOPOLOGY_LINKS_MAX} links`)
    .optional(),
  generate: generateSchema.optional(),
  flows: z
    .array(flowSchema)
    .max(TOPOLOGY_FLOWS_MAX, `at most ${TOPOLOGY_FLOWS_MAX} flows`)
    .optional(),
  events: z
    .array(eventSchema)
    .max(TOPOLOGY_EVENTS_MAX, `at most ${TOPOLOGY_EVENTS_MAX} events`)
    .optional(),
  // Judged by topology-figure.ts.
  figure: z.unknown().optional(),
  sweep: z.unknown().optional(),
});

/* ------------------------------------------------------------------ messages */

function describe(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === 'invalid_type') {
    if (issue.input === undefined) return 'is missing';
    return `expected ${kindNames[issue.expected] ?? issue.expected}, found ${show(issue.input)}`;
  }
  return undefined;
}

const kindNames: Readonly<Record<string, string>> = {
  object: 'a map',
  array: 'a list',
  string: 'text',
};

function toIssues(issue: z.core.$ZodIssue): Issue[] {
  const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
  if (issue.code !== 'unrecognized_keys') return [{ path, message: issue.message }];
  const valid = issue.message.split(' ');
  return issue.keys.map((key) => {
    const suggestion = nearest(key, valid);
    const message =
      suggestion === null
        ? `unknown key; valid here: ${valid.join(', ')}`
        : `unknown key, did you mean ${suggestion}?`;
    return { path: [...path, key], message, atKey: true };
  });
}

function show(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  const text = String(value);
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}...` : text);
}

export function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function bounded(value: number | null, min: number, max: number): number | null {
  return value !== null && value >= min && value <= max ? value : null;
}

function positive(value: number | null): number | null {
  return value !== null && value > 0 ? value : null;
}

/** Levenshtein. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      next.push(
        Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)),
      );
    }
    row = next;
  }
  return row[b.length]!;
}

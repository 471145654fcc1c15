/**
 * Whether a value is as a JSON Schema has it, for tests: the keywords that ours use, and strictly.
 * What a schema does not name is a fault here, though it is none for those who read our JSON.
 */

import type { Schema } from '../../src/cli/reference/type-schemas.ts';

/** What is wrong, each with its place; empty: nothing. */
export function faultsOf(
  value: unknown,
  schema: Schema,
  defs: Readonly<Record<string, Schema>>,
  at = '$',
): string[] {
  if (schema.$ref !== undefined) return faultsOf(value, defs[schema.$ref.slice(8)]!, defs, at);
  if (schema.anyOf !== undefined) {
    const all = schema.anyOf.map((one) => faultsOf(value, one, defs, at));
    if (all.some((faults) => faults.length === 0)) return [];
    return all.reduce((best, faults) => (faults.length < best.length ? faults : best));
  }
  if (schema.const !== undefined && value !== schema.const)
    return [`${at}: ${JSON.stringify(value)} is not ${JSON.stringify(schema.const)}`];
  if (schema.enum !== undefined && !schema.enum.includes(value as string))
    return [`${at}: ${JSON.stringify(value)} is none of ${JSON.stringify(schema.enum)}`];
  if (schema.type === undefined) return [];
  const type = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
  if (type !== schema.type) return [`${at}: is of type ${type}, not ${schema.type}`];
  if (Array.isArray(value)) return faultsOfItems(value, schema, defs, at);
  return type === 'object' ? faultsOfMap(value as Record<string, unknown>, schema, defs, at) : [];
}

function faultsOfItems(
  value: readonly unknown[],
  { items, prefixItems = [] }: Schema,
  defs: Readonly<Record<string, Schema>>,
  at: string,
): string[] {
  return value.flatMap((one, i) => {
    const schema = prefixItems[i] ?? items;
    if (schema === undefined || schema === false) return [`${at}[${i}]: is one too many`];
    return faultsOf(one, schema, defs, `${at}[${i}]`);
  });
}

function faultsOfMap(
  value: Readonly<Record<string, unknown>>,
  { properties = {}, required = [], additionalProperties }: Schema,
  defs: Readonly<Record<string, Schema>>,
  at: string,
): string[] {
  return [
    ...required.filter((name) => !(name in value)).map((name) => `${at}.${name}: is missing`),
    ...Object.entries(value).flatMap(([name, inner]) => {
      const schema = properties[name] ?? additionalProperties;
      return schema === undefined
        ? [`${at}.${name}: is in no schema`]
        : faultsOf(inner, schema, defs, `${at}.${name}`);
    }),
  ];
}

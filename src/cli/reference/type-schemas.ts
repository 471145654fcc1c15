/**
 * JSON Schema of what commands print, made of the types that say it in the sources.
 *
 * Owns a reader of the part of TypeScript that those types are written in: interfaces, unions,
 * literals, arrays, tuples, maps, intersections and names of constant lists. Pure: text in, schema
 * out (JSON Schema 2020-12). What it cannot read it refuses, by name; so a type that no schema can
 * have fails the tests, not those who rely on it.
 */

import { assert } from '../../core/base/assert.ts';

/** The part of JSON Schema that is used. */
export interface Schema {
  type?: 'string' | 'number' | 'boolean' | 'null' | 'object' | 'array';
  const?: string | number | boolean;
  enum?: (string | number | boolean)[];
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema;
  items?: Schema | false;
  prefixItems?: Schema[];
  anyOf?: Schema[];
  allOf?: Schema[];
  $ref?: string;
}

interface Declaration {
  readonly kind: 'interface' | 'type' | 'const';
  readonly tokens: readonly string[];
  readonly text: string | null;
}

/** A comment, a text, a name, a number, or one sign. */
const TOKEN = new RegExp(
  [
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*/,
    /'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"/,
    /[A-Za-z_$][\w$]*|-?\d[\d_.]*/,
    /=>|\.\.\.|[^\s]/,
  ]
    .map(({ source }) => source)
    .join('|'),
  'g',
);
const DECLARED =
  /(\/\*\*(?:(?!\*\/)[\s\S])*\*\/\s*)?^(?:export )?(?:declare )?(interface|type|const) (\w+)/gm;

/** All that the files declare, by name. Later files do not replace what earlier ones have. */
export class Types {
  readonly #declared = new Map<string, Declaration>();
  readonly #defs = new Map<string, Schema | null>();

  constructor(sources: readonly string[]) {
    for (const source of sources)
      for (const match of source.matchAll(DECLARED)) {
        const [whole, comment, kind, name] = match;
        if (this.#declared.has(name!)) continue;
        const from = source.slice(match.index + whole.length);
        this.#declared.set(name!, {
          kind: kind as Declaration['kind'],
          tokens: tokensOf(from),
          text: proseOf(comment),
        });
      }
  }

  /** The schema of a type that is written as in the sources. Throws Error where there is none. */
  schema(type: string): Schema {
    return new Reader(tokensOf(type), this).type();
  }

  /** Those that `schemas` refer to, by and by. */
  defsOf(schemas: Iterable<Schema>): Record<string, Schema> {
    const names = new Set<string>();
    const note = (schema: Schema): void => {
      for (const [, name] of JSON.stringify(schema).matchAll(/"#\/\$defs\/(\w+)"/g))
        names.add(name!);
    };
    for (const schema of schemas) note(schema);
    for (const name of names) note(this.#defs.get(name)!);
    return Object.fromEntries([...names].sort().map((name) => [name, this.#defs.get(name)!]));
  }

  /** A reference to a declared type, which is read when it is first asked for. */
  reference(name: string): Schema {
    if (!this.#defs.has(name)) {
      const declaration = this.#declared.get(name);
      if (declaration === undefined || declaration.kind === 'const')
        throw new Error(`no type ${name} is declared`);
      this.#defs.set(name, null);
      const schema = this.#read(declaration, name);
      if (declaration.text !== null) schema.description ??= declaration.text;
      this.#defs.set(name, schema);
    }
    return { $ref: `#/$defs/${name}` };
  }

  /** What a reference refers to, by and by. */
  resolved(schema: Schema): Schema {
    if (schema.$ref === undefined) return schema;
    const found = this.#defs.get(schema.$ref.split('/').at(-1)!);
    if (found == null) throw new Error(`${schema.$ref} needs itself to be known`);
    return this.resolved(found);
  }

  /** The type of a declared constant, of which only literals are read. */
  constant(name: string): Schema {
    const declaration = this.#declared.get(name);
    if (declaration?.kind !== 'const') throw new Error(`no constant ${name} is declared`);
    const { tokens } = declaration;
    // As in `const X = [...] as const`, and `const X: readonly [...]`.
    const from = tokens.indexOf('[');
    return new Reader(tokens.slice(from), this).type();
  }

  #read({ kind, tokens }: Declaration, name: string): Schema {
    const reader = new Reader(tokens, this);
    try {
      if (kind === 'interface') return reader.interface();
      reader.expect('=');
      return reader.type();
    } catch (error) {
      throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
    }
  }
}

class Reader {
  readonly #tokens: readonly string[];
  readonly #types: Types;
  #at = 0;

  constructor(tokens: readonly string[], types: Types) {
    this.#tokens = tokens;
    this.#types = types;
  }

  interface(): Schema {
    const parts: Schema[] = [];
    if (this.#take('extends'))
      do parts.push(this.#postfix());
      while (this.#take(','));
    const own = this.#object();
    return parts.length === 0
      ? own
      : merged([...parts.map((one) => this.#types.resolved(one)), own]);
  }

  type(): Schema {
    this.#take('|');
    const any = [this.#intersection()];
    while (this.#take('|')) any.push(this.#intersection());
    return union(any);
  }

  expect(token: string): void {
    if (!this.#take(token)) throw new Error(`expected ${token}, found ${this.#next ?? 'the end'}`);
  }

  #intersection(): Schema {
    const all = [this.#postfix()];
    while (this.#take('&')) all.push(this.#postfix());
    if (all.length === 1) return all[0]!;
    return distributed(all, (schema) => this.#types.resolved(schema));
  }

  #postfix(): Schema {
    let schema = this.#primary();
    while (this.#next === '[') {
      this.#at += 1;
      if (this.#take(']')) schema = { type: 'array', items: schema };
      else {
        schema = this.#part(schema, this.#tokens[this.#at]!);
        this.#at += 1;
        this.expect(']');
      }
    }
    return schema;
  }

  /** `T['name']`, or `T[number]`. */
  #part(of: Schema, key: string): Schema {
    const whole = this.#types.resolved(of);
    if (key !== 'number') {
      const name = literalOf(key);
      const parts = (whole.anyOf ?? [whole]).map(
        (one) => this.#types.resolved(one).properties?.[String(name)],
      );
      if (parts.some((part) => part === undefined)) throw new Error(`nothing is called ${key}`);
      return union(parts as Schema[]);
    }
    if (whole.prefixItems !== undefined) return union(whole.prefixItems);
    if (typeof whole.items !== 'object') throw new Error('what is no array has no elements');
    return whole.items;
  }

  #primary(): Schema {
    const token = this.#next;
    this.#at += 1;
    switch (token) {
      case 'string':
      case 'number':
      case 'boolean':
      case 'null':
        return { type: token };
      case 'unknown':
        return {};
      case 'object':
        return { type: 'object' };
      case 'readonly':
        return this.#postfix();
      case '(': {
        const inner = this.type();
        this.expect(')');
        return inner;
      }
      case '{':
        this.#at -= 1;
        return this.#object();
      case '[':
        return this.#tuple();
      case 'typeof':
        this.#at += 1;
        return this.#types.constant(this.#tokens[this.#at - 1]!);
      case 'Readonly':
        return this.#arguments()[0]!;
      case 'Record':
        return { type: 'object', additionalProperties: this.#arguments()[1]! };
      case 'Pick':
        return this.#picked();
      case 'NonNullable':
        return notNull(this.#arguments()[0]!);
      default:
        if (token !== undefined && /^['"\d-]|^(?:true|false)$/.test(token))
          return { const: literalOf(token) };
        if (token === undefined || !/^[A-Z]/.test(token))
          throw new Error(`${token ?? 'the end'} is no type that can be read`);
        return this.#types.reference(token);
    }
  }

  /** `Pick<T, 'a' | 'b'>` */
  #picked(): Schema {
    const [of, names] = this.#arguments();
    const { properties = {}, required = [] } = this.#types.resolved(of!);
    const wanted: readonly unknown[] = names!.enum ?? [names!.const];
    return {
      type: 'object',
      properties: Object.fromEntries(
        Object.entries(properties).filter(([name]) => wanted.includes(name)),
      ),
      required: required.filter((name) => wanted.includes(name)),
    };
  }

  #arguments(): Schema[] {
    this.expect('<');
    const types = [this.type()];
    while (this.#take(',')) types.push(this.type());
    this.expect('>');
    return types;
  }

  #tuple(): Schema {
    const items: Schema[] = [];
    while (!this.#take(']')) {
      items.push(this.type());
      this.#take(',');
    }
    return { type: 'array', prefixItems: items, items: false };
  }

  #object(): Schema {
    const properties: Record<string, Schema> = {},
      required: string[] = [];
    const schema: Schema = { type: 'object', properties };
    this.expect('{');
    let text: string | null = null;
    while (!this.#take('}')) {
      const token = this.#tokens[this.#at++]!;
      if (token.startsWith('/**')) {
        text = proseOf(token);
        continue;
      }
      if (token === 'readonly') continue;
      if (token === '[') {
        // [name: string]: T
        this.#at += 3;
        this.expect(']');
        this.expect(':');
        schema.additionalProperties = this.type();
      } else {
        const name = /^['"]/.test(token) ? String(literalOf(token)) : token;
        const optional = this.#take('?');
        this.expect(':');
        const value = this.type();
        properties[name] = text === null ? value : { ...value, description: text };
        if (!optional) required.push(name);
      }
      text = null;
      if (!this.#take(';')) this.#take(',');
    }
    if (required.length > 0) schema.required = required;
    return schema;
  }

  get #next(): string | undefined {
    while (this.#at < this.#tokens.length && /^\/(?:\*(?!\*)|\/)/.test(this.#tokens[this.#at]!))
      this.#at += 1;
    return this.#tokens[this.#at];
  }

  #take(token: string): boolean {
    if (this.#next !== token) return false;
    this.#at += 1;
    return true;
  }
}

/** Of a declaration, up to where another begins at the latest. */
function tokensOf(source: string): string[] {
  const end = /^(?:export|declare|interface|type|const|import|function|class) /m.exec(source);
  return [...source.slice(0, end?.index).matchAll(TOKEN)].map(([token]) => token);
}

function literalOf(token: string): string | number | boolean {
  if (/^['"]/.test(token)) return token.slice(1, -1);
  return token === 'true' ? true : token === 'false' ? false : Number(token.replaceAll('_', ''));
}

function proseOf(comment: string | null | undefined): string | null {
  if (comment == null) return null;
  return comment
    .trim()
    .slice(3, -2)
    .replace(/^\s*\* ?/gm, '')
    .replace(/\s+/g, ' ')
    .trim();
}

/** Literals of a union are one list. */
function union(any: readonly Schema[]): Schema {
  const parts: Schema[] = [],
    literals: (string | number | boolean)[] = [];
  for (const one of any) {
    if (one.const !== undefined && one.description === undefined) literals.push(one.const);
    else if (one.enum !== undefined && one.description === undefined) literals.push(...one.enum);
    else parts.push(one);
  }
  const [only] = literals;
  if (literals.length === 1) parts.unshift({ const: only! });
  else if (literals.length > 1) parts.unshift({ enum: [...new Set(literals)] });
  return parts.length === 1 ? parts[0]! : { anyOf: parts };
}

function notNull(schema: Schema): Schema {
  return schema.anyOf === undefined
    ? schema
    : union(schema.anyOf.filter(({ type }) => type !== 'null'));
}

/** Of objects: all properties of all. */
function merged(parts: readonly Schema[]): Schema {
  const schema: Schema = { type: 'object', properties: {} };
  const required = new Set<string>();
  for (const part of parts) {
    assert(part.type === 'object', 'only maps are joined');
    Object.assign(schema.properties!, part.properties);
    for (const name of part.required ?? []) required.add(name);
    if (part.additionalProperties !== undefined)
      schema.additionalProperties = part.additionalProperties;
  }
  if (required.size > 0) schema.required = [...required];
  return schema;
}

/** `A & (B | C)` is `(A & B) | (A & C)`. */
function distributed(all: readonly Schema[], resolve: (schema: Schema) => Schema): Schema {
  const choices = (schema: Schema): Schema[] => {
    const whole = resolve(schema);
    return whole.anyOf === undefined ? [whole] : whole.anyOf.flatMap(choices);
  };
  const joined = all
    .map(choices)
    .reduce((before, after) => before.flatMap((a) => after.map((b) => merged([a, b]))));
  return union(joined);
}

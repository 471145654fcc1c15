/**
 * What the house rules ask of a source file: what it imports, its code without comments and text,
 * its functions and their lengths, and where it cheats the types. Parsed once for all of them, by
 * the parser of the bundler (rolldown), which says nothing of types.
 */

import { parseSync, Visitor } from 'rolldown/utils';

export interface Source {
  readonly path: string;
  readonly text: string;
}

export interface SourceCode {
  /** Module names as they are written, also of types and of `import()`. */
  readonly imports: readonly string[];
  /** As long as the file, comments and text blank, so that a position says its line. */
  readonly code: string;
  readonly functions: readonly { readonly name: string; readonly lines: number }[];
  /** Of each `any`, and of each value that is what it is not by way of `unknown` or `never`. */
  readonly cheats: readonly { readonly line: number; readonly how: string }[];
}

const parsed = new WeakMap<Source, SourceCode>();

export function sourceCode(source: Source): SourceCode {
  let code = parsed.get(source);
  if (code === undefined) parsed.set(source, (code = parse(source)));
  return code;
}

interface Spot {
  readonly start: number;
  readonly end: number;
}

function blank(text: string): string {
  return text.replaceAll(/[^\n]/g, ' ');
}

function parse({ path, text }: Source): SourceCode {
  const { program, module, comments, errors } = parseSync(path, text);
  if (errors.length > 0) throw new Error(`${path}: ${errors[0]!.message}`);
  const lineOf = (at: number): number => text.slice(0, at).split('\n').length;
  const imports = [
    ...module.staticImports.map(({ moduleRequest }) => moduleRequest.value),
    ...module.staticExports.flatMap(({ entries }) =>
      entries.flatMap(({ moduleRequest }) => moduleRequest?.value ?? []),
    ),
  ];
  const hidden: Spot[] = [...comments],
    functions: { name: string; lines: number }[] = [],
    cheats: { line: number; how: string }[] = [];
  /** What the node around a function says of it: its name, and where it begins. */
  const around = new Map<number, { name: string; start: number }>();
  const name = ({ start }: Spot, key: Spot, value: Spot | null): void => {
    if (value !== null) around.set(value.start, { name: text.slice(key.start, key.end), start });
  };
  const measure = (node: Spot & { id?: Spot | null; body: object | null }): void => {
    if (node.body === null) return;
    const known = around.get(node.start);
    const own =
      node.id == null ? 'a function without a name' : text.slice(node.id.start, node.id.end);
    functions.push({
      name: known?.name ?? own,
      lines: lineOf(node.end) - lineOf(known?.start ?? node.start) + 1,
    });
  };
  new Visitor({
    Literal: (node) => {
      if (typeof node.value === 'string') hidden.push(node);
    },
    TemplateElement: (node) => void hidden.push(node),
    ImportExpression: ({ source }) => {
      if (source.type === 'Literal') imports.push(String(source.value));
    },
    TSImportType: ({ source }) => void imports.push(source.value),
    MethodDefinition: (node) => name(node, node.key, node.value),
    PropertyDefinition: (node) => name(node, node.key, node.value),
    Property: (node) => name(node, node.key, node.value),
    VariableDeclarator: ({ id, init }) => name(id, id, init),
    FunctionDeclaration: measure,
    FunctionExpression: measure,
    ArrowFunctionExpression: measure,
    TSAnyKeyword: ({ start }) => void cheats.push({ line: lineOf(start), how: 'any' }),
    TSAsExpression: ({ start, expression }) => {
      if (expression.type !== 'TSAsExpression') return;
      const { type } = expression.typeAnnotation;
      if (type === 'TSUnknownKeyword' || type === 'TSNeverKeyword')
        cheats.push({ line: lineOf(start), how: 'a value made into another type' });
    },
  }).visit(program);
  let code = '',
    at = 0;
  for (const { start, end } of hidden.sort((a, b) => a.start - b.start)) {
    code += text.slice(at, start) + blank(text.slice(start, end));
    at = end;
  }
  return { imports: [...new Set(imports)], code: code + text.slice(at), functions, cheats };
}

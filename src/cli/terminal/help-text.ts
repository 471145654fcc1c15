/**
 * What stands below the options in the help of a command, made to fit the terminal.
 *
 * Owns its paragraphs only; all above it is commander's.
 */

import { terminalColumns } from './output.ts';
import { wrapText } from './table.ts';

/**
 * For `addHelpText`: paragraphs between empty lines are wrapped; an indented line is one by itself,
 * and goes on behind its first word.
 */
export function helpBelow(text: string): () => string {
  return () =>
    `\n${text
      .trimEnd()
      .split(/\n{2,}|\n(?= )/)
      .map((part) => wrapPart(part, terminalColumns()))
      .join('')
      .trimEnd()}`;
}

function wrapPart(part: string, columns: number): string {
  const [, head, rest = ''] = /^( +\S+ +)(.*)$/s.exec(part) ?? [];
  if (head === undefined) return wrapText(part.trim().replaceAll('\n', ' '), '', columns);
  return head + wrapText(rest.replaceAll('\n', ' '), ' '.repeat(head.length), columns).trimStart();
}

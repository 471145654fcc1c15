/** Stands for what Node has and the browser needs not: text from daemons goes into text nodes. */

export function stripVTControlCharacters(text: string): string {
  return text;
}

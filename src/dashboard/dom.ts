/** Elements of the document by their id, and new ones. */

/** Throws Error where the document has none: it is a fault of ours. */
export function by<E extends HTMLElement = HTMLElement>(id: string): E {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the document has no #${id}`);
  return element as E;
}

/** `name` with text, or with what stands in it. */
export function make(
  name: string,
  className: string,
  ...inside: readonly (string | Node)[]
): HTMLElement {
  const element = document.createElement(name);
  if (className !== '') element.className = className;
  element.append(...inside);
  return element;
}

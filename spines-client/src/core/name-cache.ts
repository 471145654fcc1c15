/**
 * Node names already resolved: bounded, each entry for a limited time. The oldest entry leaves
 * first.
 */

export const NAMES_MAX = 1024;
export const NAME_TTL_MS = 30_000;

export class NameCache {
  readonly #entries = new Map<string, { node: number; expiresMs: number }>();

  get size(): number {
    return this.#entries.size;
  }

  get(name: string, nowMs: number): number | undefined {
    const entry = this.#entries.get(name);
    if (entry === undefined) return undefined;
    if (nowMs < entry.expiresMs) return entry.node;
    this.#entries.delete(name);
    return undefined;
  }

  set(name: string, node: number, nowMs: number): void {
    this.#entries.delete(name);
    if (this.#entries.size >= NAMES_MAX) {
      const oldest = this.#entries.keys().next();
      if (!oldest.done) this.#entries.delete(oldest.value);
    }
    this.#entries.set(name, { node, expiresMs: nowMs + NAME_TTL_MS });
  }

  clear(): void {
    this.#entries.clear();
  }
}

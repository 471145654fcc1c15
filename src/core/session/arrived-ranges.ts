/**
 * Ranges of a stream that arrived beyond a gap, and which of them an acknowledgement names.
 *
 * Owns positions only; the bytes are StreamReceiver's. An acknowledgement has room for few ranges.
 * It names those that arrivals touched last (RFC 2018 section 4): a sender remembers what it was
 * told, so what it has not heard of is always in the next acknowledgement, however many holes there
 * are. Invariant: ranges ascend, and neither overlap nor touch.
 */

interface Range {
  start: number;
  /** Exclusive; -1 once the range is part of another or was delivered. */
  end: number;
}

export class ArrivedRanges {
  readonly #ranges: Range[] = [];
  /** Those touched last, the newest at the end; some may be over. */
  readonly #touched: Range[] = [];
  /** Most that an acknowledgement can name. */
  readonly #namedMax: number;
  readonly #named: Range[] = [];

  constructor(namedMax: number) {
    this.#namedMax = namedMax;
  }

  get length(): number {
    return this.#ranges.length;
  }

  /** Positions `start..end`, end exclusive, have arrived. */
  add(start: number, end: number): void {
    const ranges = this.#ranges;
    const at = this.#firstReaching(start);
    const found = ranges[at];
    if (found === undefined || found.start > end) {
      const range = { start, end };
      ranges.splice(at, 0, range);
      this.#touch(range);
      return;
    }
    found.start = Math.min(found.start, start);
    found.end = Math.max(found.end, end);
    let joined = at + 1;
    for (; joined < ranges.length && ranges[joined]!.start <= found.end; joined += 1) {
      const other = ranges[joined]!;
      found.end = Math.max(found.end, other.end);
      other.end = -1;
    }
    if (joined > at + 1) ranges.splice(at + 1, joined - at - 1);
    this.#touch(found);
  }

  /** Everything below `position` is in order now. */
  dropBelow(position: number): void {
    let over = 0;
    for (; over < this.#ranges.length; over += 1) {
      const range = this.#ranges[over]!;
      if (range.start > position) break;
      range.end = -1;
    }
    if (over > 0) this.#ranges.splice(0, over);
    if (this.#ranges.length === 0) this.#touched.length = 0;
  }

  /**
   * Writes the ranges to name, ascending, and returns how many. `starts`, `ends`: room for as many
   * as may be named.
   */
  name(starts: Float64Array, ends: Float64Array): number {
    const named = this.#ranges.length <= this.#namedMax ? this.#ranges : this.#newest();
    for (let i = 0; i < named.length; i += 1) {
      starts[i] = named[i]!.start;
      ends[i] = named[i]!.end;
    }
    return named.length;
  }

  clear(): void {
    this.#ranges.length = 0;
    this.#touched.length = 0;
  }

  #newest(): Range[] {
    const named = this.#named;
    named.length = 0;
    for (const range of this.#touched) if (range.end >= 0) named.push(range);
    named.sort((a, b) => a.start - b.start);
    return named;
  }

  #touch(range: Range): void {
    const touched = this.#touched;
    if (touched[touched.length - 1] === range) return;
    let at = touched.lastIndexOf(range);
    if (at < 0 && touched.length < this.#namedMax) {
      touched.push(range);
      return;
    }
    // Whatever is over gives its place away first.
    if (at < 0)
      at = Math.max(
        0,
        touched.findIndex(({ end }) => end < 0),
      );
    touched.copyWithin(at, at + 1);
    touched[touched.length - 1] = range;
  }

  /** Index of the first range that reaches `position` or begins behind it. */
  #firstReaching(position: number): number {
    const ranges = this.#ranges;
    let low = 0,
      high = ranges.length;
    if (high > 0 && position >= ranges[high - 1]!.start)
      return position <= ranges[high - 1]!.end ? high - 1 : high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (ranges[middle]!.end >= position) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

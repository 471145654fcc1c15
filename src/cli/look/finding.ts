/** What `spines doctor` says of one thing that it looked at. */

export interface Finding {
  readonly what: string;
  readonly found: string;
  /** Null: nothing to do. */
  readonly advice: string | null;
  /** What to do, where `advice` says what is wrong. */
  readonly next?: string;
}

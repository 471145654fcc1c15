/**
 * Datagrams and bytes that a link has sent and received, over all its channels. Owns the sums of
 * those that are gone.
 */

export interface Totals {
  readonly sentDatagrams: number;
  readonly sentBytes: number;
  readonly receivedDatagrams: number;
  readonly receivedBytes: number;
}

export class LinkTotals {
  #past: Totals = { sentDatagrams: 0, sentBytes: 0, receivedDatagrams: 0, receivedBytes: 0 };

  /** A channel is gone. */
  add(gone: Totals): void {
    this.#past = this.with(gone);
  }

  /** The sums, with those of the channel in use, if any. */
  with(channel: Totals | null): Totals {
    const { sentDatagrams, sentBytes, receivedDatagrams, receivedBytes } = this.#past;
    return {
      sentDatagrams: sentDatagrams + (channel?.sentDatagrams ?? 0),
      sentBytes: sentBytes + (channel?.sentBytes ?? 0),
      receivedDatagrams: receivedDatagrams + (channel?.receivedDatagrams ?? 0),
      receivedBytes: receivedBytes + (channel?.receivedBytes ?? 0),
    };
  }
}

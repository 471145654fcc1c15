/**
 * What the data plane asks of routing: the link towards a destination, by a look-up of its number
 * and one array read.
 */

import type { NodeId } from '../base/ids.ts';
import type { NextHop } from '../link/next-hop.ts';

export interface Router {
  /** The link to send on towards `destination`, null when there is no usable route now. `@hot` */
  nextHop(destination: NodeId): NextHop | null;
  /** True when the node exists, or did a while ago, whether or not it can be reached now. */
  knows(destination: NodeId): boolean;
  /**
   * True when `node` is on a shortest way from here to `destination`, as far as is known here; both
   * ends are.
   */
  onTheWay(node: NodeId, destination: NodeId): boolean;
}

/** How large a topology may be. What is above is refused when the file is read. */

export const TOPOLOGY_NODES_MAX = 2_000;
export const TOPOLOGY_LINKS_MAX = 20_000;
export const TOPOLOGY_FLOWS_MAX = 1_000;
export const TOPOLOGY_EVENTS_MAX = 10_000;
/** Characters of a file's text. */
export const TOPOLOGY_TEXT_MAX = 4_000_000;
/** Smallest message of a flow: room for its sequence number and time stamp. */
export const FLOW_SIZE_MIN = 16;
export const FLOW_SIZE_MAX = 65_536;
export const FLOW_RATE_MAX = 1_000_000;

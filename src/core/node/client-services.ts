/**
 * What a node gives to the programs that are connected to it.
 *
 * Owns nothing: bounds are those of the configuration as it is at each use, which a reload changes.
 */

import { MESSAGE_BYTES_MAX, PROTOCOL_VERSION } from 'spines-client/protocol';

import { formatNodeId } from '../base/ids.ts';
import type { Dissemination } from '../dissemination/dissemination.ts';
import type { ClientPlaces } from '../ipc/client-places.ts';
import type { ClientServices } from '../ipc/client-services.ts';
import type { ConnectedClient } from '../ipc/client.ts';
import { isCarried } from '../link/services.ts';
import { unknownName } from '../link/unknown-name.ts';
import type { Administration } from '../operator/administration.ts';
import type { NodeView } from '../operator/node-view.ts';
import { roleFor } from '../operator/operations.ts';
import { lackingText, serviceName } from '../wire/modes.ts';
import type { NodeLimits } from './config.ts';
import type { NodeEnvironment } from './environment.ts';

const NO_KEYS =
  'secrecy "end-to-end" needs identities and this daemon has security: none; leave `secrecy` ' +
  'out, or use "links"';

/** `node` is whole by the time that anything is asked for. */
export function clientServicesOf(
  node: NodeView & { readonly administration: Administration },
  { clock, timers }: NodeEnvironment,
  places: ClientPlaces,
  onClosed: (port: ConnectedClient) => void,
): ClientServices {
  const { id } = node.config;
  const limits = (): NodeLimits => node.config.limits;
  return {
    self: id,
    clock,
    timers,
    drops: node.drops,
    firewall: node.firewall,
    sessions: node.sessions,
    streams: node.streams,
    places,
    watch: node.socketsWatch,
    // Asked for at each use: a reload may change them.
    get socketsMax() {
      return limits().socketsPerClient;
    },
    get queueBytes() {
      return limits().clientQueueBytes;
    },
    get bytesPerSecond() {
      return limits().clientBytesPerSecond;
    },
    get packetsPerSecond() {
      return limits().clientPacketsPerSecond;
    },
    welcome: () => ({
      version: PROTOCOL_VERSION,
      node: formatNodeId(id),
      name: node.config.name,
      instance: node.instance,
      messageBytesMax: MESSAGE_BYTES_MAX,
      socketsMax: node.config.limits.socketsPerClient,
    }),
    resolve: (name) => node.resolve(name),
    unknown: (name) => unknownName(name, node.links),
    nameOf: (other) => node.router.nameOf(other),
    checkModes: (service, dissemination, secrecy) =>
      secrecy === 'end-to-end' && node.endToEnd === null
        ? NO_KEYS
        : lackingOf(service, dissemination, node.dissemination),
    roleFor,
    administer: (op, args, reply, asker) => node.administration.request(op, args, reply, asker),
    refused: (op, asker, code) => node.administration.refused(op, asker, code),
    onClosed,
  };
}

/** What this daemon lacks for these modes, in words; null: nothing. */
function lackingOf(service: number, code: number, strategies: Dissemination): string | null {
  if (!isCarried(service)) return `links of this daemon do not carry ${serviceName(service)}`;
  return strategies.strategy(code) === null ? lackingText(code) : null;
}

/**
 * The least severe level that a daemon logs, as operators change it while it runs.
 */

import type { Logger } from 'pino';

import { SpinesError } from '../../core/base/errors.ts';
import { LOG_LEVELS } from '../config/file-config.ts';

/** Sets it, and says it. Throws SpinesError EINVAL for what is none. */
export function setLogLevel(log: Logger, level: string | null): string {
  if (level !== null) {
    if (!LOG_LEVELS.some((known) => known === level))
      throw new SpinesError('EINVAL', `level must be one of ${LOG_LEVELS.join(', ')}`);
    log.level = level;
  }
  return log.level;
}

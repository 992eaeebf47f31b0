/**
 * How long to wait before the next attempt: full jitter, so that a thousand pages that lost the
 * same node do not come back in the same moment.
 */

const FIRST_MS = 500;
const LONGEST_MS = 30_000;

/**
 * @param {number} failures attempts in a row that failed, 0 for a connection that just broke
 * @param {() => number} random
 * @returns {number} milliseconds
 */
export function retryDelayMs(failures, random = Math.random) {
  return random() * Math.min(LONGEST_MS, FIRST_MS * 2 ** failures);
}

/**
 * What this tab remembers over a reload. A browser may deny storage; then nothing is remembered.
 */

/**
 * @param {string} key
 * @returns {string} "" if nothing is remembered
 */
export function recall(key) {
  try {
    return sessionStorage.getItem(key) ?? "";
  } catch {
    return "";
  }
}

/**
 * @param {string} key
 * @param {string} text "" forgets it
 */
export function remember(key, text) {
  try {
    if (text === "") sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, text);
  } catch {
    // Denied or full: the page works without.
  }
}

/**
 * Tabs as a keyboard and a screen reader expect them: one is in the tab order, arrows move.
 */

/** @type {Readonly<Record<string, (at: number, count: number) => number>>} */
const MOVES = Object.freeze({
  ArrowLeft: (at, count) => (at + count - 1) % count,
  ArrowRight: (at, count) => (at + 1) % count,
  Home: () => 0,
  End: (_at, count) => count - 1,
});

/**
 * Bring a tab list to life; each tab names its panel by `aria-controls`.
 * @param {HTMLElement} tabList
 */
export function activateTabs(tabList) {
  const tabs = /** @type {HTMLElement[]} */ ([...tabList.querySelectorAll("[role=tab]")]);
  tabList.addEventListener("click", (event) => {
    const clicked = /** @type {HTMLElement} */ (event.target).closest("[role=tab]");
    if (clicked) select(tabs, /** @type {HTMLElement} */ (clicked));
  });
  tabList.addEventListener("keydown", (event) => {
    const move = MOVES[event.key];
    if (move === undefined) return;
    event.preventDefault();
    const next = tabs[move(tabs.findIndex((tab) => tab === document.activeElement), tabs.length)];
    select(tabs, next);
    next.focus();
  });
}

/**
 * @param {HTMLElement[]} tabs
 * @param {HTMLElement} chosen
 */
function select(tabs, chosen) {
  for (const tab of tabs) {
    const panel = document.getElementById(tab.getAttribute("aria-controls") ?? "");
    tab.setAttribute("aria-selected", String(tab === chosen));
    tab.tabIndex = tab === chosen ? 0 : -1;
    if (panel) panel.hidden = tab !== chosen;
  }
}

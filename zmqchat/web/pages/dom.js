/**
 * The few ways in which the pages touch the document. Text enters it as text only.
 */

/**
 * Find an element that the page's HTML promises.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function byId(id, type) {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`the page has no ${type.name} #${id}`);
  return element;
}

/**
 * Make an element.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {string} [className]
 * @param {...(Node | string)} children strings become text
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, className = "", ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/**
 * Set an element's text if it differs: a change that is none would be read out again.
 * @param {HTMLElement} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Read what the server wrote into the page's head.
 * @param {string} name
 */
export function metaContent(name) {
  const meta = document.querySelector(`meta[name="${name}"]`);
  if (!(meta instanceof HTMLMetaElement)) throw new Error(`the page has no meta ${name}`);
  return meta.content;
}

/**
 * Gather many calls into one, a frame later. (Not an animation frame: those stop in a hidden
 * page, whose title still tells what is unread.)
 * @param {() => void} action
 * @returns {() => void}
 */
export function gathered(action) {
  const frameMs = 16;
  /** @type {number | undefined} */
  let timer;
  return () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      action();
    }, frameMs);
  };
}

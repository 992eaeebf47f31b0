/**
 * Tells a key that belongs to an input method from a key that is meant for the page.
 *
 * Chrome and Firefox say `isComposing` with the Enter that picks a candidate. Safari ends the
 * composition before that Enter and leaves key code 229 as the only trace; but some builds keep
 * saying 229 with a later, real Enter, so 229 counts only right after a composition.
 */

const SAFARI_ENTER_MS = 50;

/**
 * @param {HTMLElement} field
 * @returns {(event: KeyboardEvent) => boolean} whether a key event is part of composing
 */
export function watchComposition(field) {
  let composing = false;
  let lastEnd = -Infinity;
  field.addEventListener("compositionstart", () => {
    composing = true;
  });
  field.addEventListener("compositionend", (event) => {
    composing = false;
    lastEnd = event.timeStamp;
  });
  return (event) =>
    event.isComposing ||
    composing ||
    (event.keyCode === 229 && event.timeStamp - lastEnd < SAFARI_ENTER_MS);
}

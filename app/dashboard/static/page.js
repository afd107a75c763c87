// Small things that pages do: copying a call, going on from a link of another site, keeping what a viewer has opened.
"use strict";
(() => {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    const text = document.getElementById(button.dataset.copy).textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select and copy it by hand";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });

  const arrival = document.querySelector("[data-go]");
  if (arrival) location.replace(arrival.dataset.go);

  // How many rows have arrived of a page that is sent while the work goes on.
  const counting = document.querySelector("progress[data-counts]");
  if (counting) {
    const rows = document.getElementById(counting.dataset.counts);
    const count = () => { counting.value = rows.children.length; };
    new MutationObserver(count).observe(rows, { childList: true });
    count();
  }

  // News must not close what the viewer has opened, nor clear what they have ticked or typed.
  const kept = (name, element) =>
    (name === "open" && element.tagName === "DETAILS") ||
    (name === "checked" && element.tagName === "INPUT") ||
    (name === "value" && element === document.activeElement);
  // Nor what a script has written.
  Idiomorph.defaults.callbacks.beforeNodeMorphed = (element) => element.dataset?.kept === undefined;
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, element) => !kept(name, element);
})();

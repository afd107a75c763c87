// Keeps the page up to date, and says how up to date it is.
"use strict";
(() => {
  const { live: address, logIn } = document.body.dataset;
  if (!address) return;
  const EVERY = 2000, LATE = 8000;
  const shown = document.getElementById("connection");
  const state = document.getElementById("connection-state");
  const age = document.getElementById("connection-age");
  const pause = document.getElementById("pause");
  let mark = document.body.dataset.mark, heardAt = null, paused = false, timer = null, asking = false;

  const words = {
    live: "Live", lost: "Connection lost", paused: "Paused", stale: "Not up to date", ended: "Session ended",
  };

  function show(name) {
    if (shown.dataset.state === name) return;
    shown.dataset.state = name;
    state.textContent = words[name];
    if (name === "ended") {
      const link = document.createElement("a");
      link.href = `${logIn}?next=${encodeURIComponent(location.pathname + location.search)}`;
      link.textContent = "Log in again";
      pause.replaceWith(state, " ", link);
    }
  }

  function showAge() {
    if (heardAt === null || shown.dataset.state === "ended") return;
    const seconds = Math.round((Date.now() - heardAt) / 1000);
    age.textContent = seconds < 60 ? ` · ${seconds} s ago` : ` · ${Math.floor(seconds / 60)} min ago`;
  }

  function heard() {
    heardAt = Date.now();
    show("live");
    showAge();
  }

  function changed() {
    document.body.dispatchEvent(new CustomEvent("lethe:changed"));
  }

  // The only place that knows how news arrives. A stream would call `heard`, `changed` and `show` in the same way.
  async function ask() {
    const headers = { "Lethe-Live": "1", "If-None-Match": mark ? `"${mark}"` : "" };
    const signal = AbortSignal.timeout(LATE);
    const answer = await fetch(address, { headers, signal, cache: "no-store", redirect: "error" });
    if (answer.status === 401 || answer.status === 403) return show("ended");
    if (answer.status !== 204 && answer.status !== 304) throw new Error(answer.status);
    heard();
    if (answer.status === 204) {
      mark = answer.headers.get("ETag").replaceAll('"', "");
      changed();
    }
  }

  async function beat() {
    clearTimeout(timer);
    if (asking || paused || document.hidden || shown.dataset.state === "ended") return;
    asking = true;
    try {
      await ask();
    } catch {
      show("lost");
    }
    asking = false;
    if (!document.hidden) timer = setTimeout(beat, EVERY);
  }

  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    if (paused) show("paused"); else beat();
  });
  document.addEventListener("visibilitychange", beat);
  for (const failed of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(failed, () => { mark = ""; show("stale"); });
  }
  setInterval(() => { if (!document.hidden) showAge(); }, 1000);
  beat();
})();

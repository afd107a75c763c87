// Keeps the page up to date, and says how up to date it is.
"use strict";
(() => {
  const { live: address, logIn } = document.body.dataset;
  if (!address) return;
  // A stream beats every five seconds. Where there is none, the page asks by itself.
  const ASK_EVERY = 2000, LATE = 8000, SILENT = 12000;
  const shown = document.getElementById("connection");
  const state = document.getElementById("connection-state");
  const age = document.getElementById("connection-age");
  const pause = document.getElementById("pause");
  let mark = document.body.dataset.mark, heardAt = null, paused = false, timer = null;
  let stream = null, watchdog = null, asks = 0, behind = false, told = null, again = false;

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
    show(behind ? "stale" : "live");
    showAge();
  }

  // The first news is shown at once, and what follows within half a second together.
  function changed() {
    if (told !== null) {
      again = true;
      return;
    }
    document.body.dispatchEvent(new CustomEvent("lethe:changed"));
    told = setTimeout(() => {
      told = null;
      if (again) {
        again = false;
        changed();
      }
    }, 500);
  }

  // The only place that knows how news arrives: by a stream, and by asking while there is none.
  function open() {
    close();
    if (paused || document.hidden || shown.dataset.state === "ended") return;
    stream = new EventSource(`${address}?seen=${mark}`);
    stream.addEventListener("beat", (event) => {
      if (event.data === "live") heard(); else show("stale");
      watch();
    });
    stream.addEventListener("changed", (event) => {
      mark = event.lastEventId;
      heard();
      changed();
    });
    stream.addEventListener("ended", () => { show("ended"); close(); });
    // The browser connects again by itself, with `Last-Event-ID`, unless it was refused.
    stream.addEventListener("error", () => {
      if (stream.readyState === EventSource.CLOSED) fallBack(); else show("lost");
    });
    watch();
  }

  function close() {
    clearTimeout(timer);
    clearTimeout(watchdog);
    if (stream) stream.close();
    stream = null;
  }

  // A connection may be gone without either side having noticed.
  function watch() {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => { show("lost"); open(); }, SILENT);
  }

  // A refusal has no reason here, so ask for it: the session has ended, there is no room for another stream, or nobody
  // is there. A stream is tried again after some answers.
  async function fallBack() {
    close();
    try {
      await ask();
      asks += 1;
    } catch {
      show("lost");
      asks = 0;
    }
    if (paused || document.hidden || shown.dataset.state === "ended") return;
    timer = setTimeout(shown.dataset.state === "lost" || asks % 15 === 1 ? open : fallBack, ASK_EVERY);
  }

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

  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    if (paused) { close(); show("paused"); } else open();
  });
  // A page that nobody sees holds no connection: a browser has six for each site.
  document.addEventListener("visibilitychange", open);
  for (const failed of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(failed, () => {
      // Without a mark the next stream says at once that there is news.
      [mark, behind] = ["", true];
      show("stale");
      close();
      timer = setTimeout(open, ASK_EVERY);
    });
  }
  document.addEventListener("htmx:afterSwap", () => { behind = false; });
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  setInterval(() => { if (!document.hidden) showAge(); }, 1000);
  open();
})();

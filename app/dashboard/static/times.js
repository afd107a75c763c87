// Times in the viewer's zone, and durations that go on by themselves. The server's clock counts: the viewer's may be off.
"use strict";
(() => {
  const MINUTE = 60, HOUR = 3600, DAY = 86400;
  const ahead = Date.parse(document.body.dataset.now) - Date.now();
  const now = () => Date.now() + ahead;
  const short = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

  // As app/dashboard/words.py writes it.
  function duration(seconds) {
    const left = Math.floor(Math.abs(seconds));
    if (left < MINUTE) return `${left} s`;
    if (left < HOUR) return `${Math.floor(left / MINUTE)} min ${left % MINUTE} s`;
    if (left < 2 * DAY) return `${Math.floor(left / HOUR)} h ${Math.floor((left % HOUR) / MINUTE)} min`;
    return `${Math.floor(left / DAY)} d ${Math.floor((left % DAY) / HOUR)} h`;
  }

  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const said = {
    second: (moment) => exact.format(moment),
    at: (moment) => short.format(moment),
    ago: (moment) => `${duration((now() - moment) / 1000)} ago`,
    since: (moment) => duration((now() - moment) / 1000),
    left: (moment) => (moment < now() ? "late by " : "") + duration((moment - now()) / 1000),
  };

  function write(root) {
    for (const element of root.querySelectorAll("time[data-as]")) {
      const moment = Date.parse(element.dateTime);
      if (Number.isNaN(moment)) continue;
      const text = said[element.dataset.as](moment);
      if (element.textContent !== text) element.textContent = text;
      element.title = `${full.format(moment)} (${new Date(moment).toISOString()})`;
    }
  }

  write(document);
  setInterval(() => { if (!document.hidden) write(document); }, 1000);
  document.addEventListener("htmx:afterSwap", () => write(document));
  document.addEventListener("visibilitychange", () => { if (!document.hidden) write(document); });
})();

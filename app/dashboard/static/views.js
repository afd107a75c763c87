// Saved views of the worklist: names for addresses, kept by this browser. An address alone is a view, and a bookmark too.
"use strict";
(() => {
  const views = document.getElementById("views");
  if (!views) return;
  const [list, form, name] = [views.querySelector("ul"), views.querySelector("form"), views.querySelector("input")];
  const KEY = "lethe.views";

  function stored() {
    try {
      const found = JSON.parse(localStorage.getItem(KEY) ?? "[]");
      return Array.isArray(found) ? found.filter((view) => typeof view.name === "string") : [];
    } catch {
      return [];
    }
  }

  function store(some) {
    localStorage.setItem(KEY, JSON.stringify(some));
    show();
  }

  function show() {
    list.replaceChildren(...stored().map((view) => {
      const [item, link, remove] = ["li", "a", "button"].map((tag) => document.createElement(tag));
      link.href = location.pathname + String(view.query);
      link.textContent = view.name;
      if (view.query === location.search) link.setAttribute("aria-current", "page");
      remove.type = "button";
      remove.className = "quiet";
      remove.textContent = "×";
      remove.setAttribute("aria-label", `Remove the view ${view.name}`);
      remove.addEventListener("click", () => store(stored().filter((other) => other.name !== view.name)));
      item.append(link, remove);
      return item;
    }));
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const others = stored().filter((view) => view.name !== name.value);
    store([...others, { name: name.value, query: location.search }]);
    name.value = "";
  });
  document.addEventListener("htmx:pushedIntoHistory", show);
  views.hidden = false;
  show();
})();

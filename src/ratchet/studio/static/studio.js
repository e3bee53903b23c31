// What the pages do beyond links and forms: keys, copying, themes, local times, the tree. No dependencies but htmx.
(() => {
  "use strict";
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
  const say = (text) => { $("#live").textContent = text; };

  // ---- theme: as the system says, light, dark ------------------------------------------------------------------
  const THEMES = ["", "light", "dark"];
  function nextTheme() {
    const root = document.documentElement;
    const next = THEMES[(THEMES.indexOf(root.dataset.theme ?? "") + 1) % THEMES.length];
    if (next) root.dataset.theme = next; else delete root.dataset.theme;
    // A cookie, so that the server writes the theme into the page and nothing flashes.
    document.cookie = `ratchet_theme=${next}; path=/; max-age=${next ? 31536000 : 0}; samesite=lax`;
    say(next ? `Theme: ${next}` : "Theme: as the system says");
  }

  // ---- times: the server writes UTC, people read their own clock -----------------------------------------------
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  function ago(date) {
    const seconds = Math.floor((Date.now() - date) / 1000);
    if (seconds < 5) return "just now";
    if (seconds < 60) return `${seconds} s ago`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
    return `${Math.floor(seconds / 86400)} d ago`;
  }
  function tellTimes(from = document) {
    for (const element of $$("time", from)) {
      const date = new Date(element.dateTime);
      element.textContent = ago(date);
      if (!element.dataset.utc) {
        element.dataset.utc = element.title;
        element.title = `${moment.format(date)} here, ${element.title}`;
      }
      const exact = element.parentElement.querySelector("[data-clock]");
      if (exact) exact.textContent = clock.format(date);
    }
  }

  // Moments in the filter form are UTC in the address and local in the field.
  function showLocalMoments() {
    for (const field of $$("[data-moment]")) {
      const text = field.getAttribute("value");
      if (!text) continue;
      const date = new Date(`${text}Z`);
      field.value = new Date(date - date.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
    }
    for (const zone of $$("[data-zone]")) zone.textContent = "local time";
  }
  document.addEventListener("formdata", (event) => {
    if (!event.target.matches("[data-filters]")) return;
    for (const [name, value] of [...event.formData]) {
      const field = event.target.elements[name];
      if (!value.trim()) event.formData.delete(name);
      else if (field?.matches?.("[data-moment]")) event.formData.set(name, `${new Date(value).toISOString().slice(0, 19)}Z`);
    }
  });

  // ---- copying -------------------------------------------------------------------------------------------------
  async function copy(text, button) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Without a secure context there is no clipboard interface; the old way still works.
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    say("Copied");
    button?.classList.add("copied");
    setTimeout(() => button?.classList.remove("copied"), 1200);
  }

  // ---- trace list ----------------------------------------------------------------------------------------------
  const rows = () => $$(".list .row-link");
  function step(links, by) {
    const at = links.indexOf(document.activeElement);
    const next = links[Math.min(links.length - 1, Math.max(0, at < 0 ? (by > 0 ? 0 : links.length - 1) : at + by))];
    next?.focus();
    next?.closest("tr")?.scrollIntoView({ block: "nearest" });
  }

  // ---- tree ----------------------------------------------------------------------------------------------------
  const tree = () => $(".tree");
  const visible = () => $$(".t:not([hidden])", tree());
  const level = (row) => Number(row.getAttribute("aria-level") ?? row.dataset.level);
  let asked = 0;

  // Scrolls the tree alone: the page itself stays where it is.
  function reveal(row) {
    const pane = $(".tree-pane");
    if (!row || !pane || pane.scrollHeight <= pane.clientHeight) return;
    const [at, edge] = [row.getBoundingClientRect(), pane.getBoundingClientRect()];
    const head = $(".axis", pane)?.offsetHeight ?? 0;
    if (at.top < edge.top + head) pane.scrollTop -= edge.top + head - at.top;
    else if (at.bottom > edge.bottom) pane.scrollTop += at.bottom - edge.bottom;
  }

  function select(identity, { quick = true } = {}) {
    const row = document.getElementById(identity);
    $(".t[aria-selected]", tree())?.removeAttribute("aria-selected");
    row?.setAttribute("aria-selected", "true");
    tree().setAttribute("aria-activedescendant", identity);
    // The tree has the focus, not the link that was clicked: Enter then means the selected span.
    if (tree().contains(document.activeElement)) tree().focus({ preventScroll: true });
    reveal(row);
    history.replaceState(null, "", `?span=${identity}`);
    clearTimeout(asked);
    // Holding j down must not ask for every span on the way.
    asked = setTimeout(async () => {
      await htmx.ajax("GET", `/traces/${tree().dataset.trace}/spans/${identity}`, { source: "#detail", target: "#detail", swap: "innerHTML" });
      const pane = $("#detail");
      say($("h2", pane)?.textContent ?? "");
      pane.scrollTop = 0;
      if (quick && matchMedia("(max-width: 900px)").matches) pane.scrollIntoView();
    }, quick ? 0 : 120);
  }

  // Rows stand flat, in reading order: what belongs to a row follows it, with a higher level.
  function below(row) {
    const found = [];
    for (let next = row.nextElementSibling; next && level(next) > level(row); next = next.nextElementSibling) found.push(next);
    return found;
  }
  async function setOpen(row, open) {
    if (!row?.hasAttribute("aria-expanded") || (row.getAttribute("aria-expanded") === "true") === open) return;
    row.setAttribute("aria-expanded", String(open));
    const under = below(row);
    if (open && !under.length) {
      const url = `/traces/${tree().dataset.trace}/tree?parent=${row.id}`;
      await htmx.ajax("GET", url, { source: row, target: row, swap: "afterend" });
      return;
    }
    let closed = Infinity;
    for (const one of under) {
      if (level(one) <= closed) closed = Infinity;
      one.hidden = !open || level(one) > closed;
      if (closed === Infinity && one.getAttribute("aria-expanded") === "false") closed = level(one);
    }
  }
  function walk(by) {
    const shown = visible();
    const at = shown.findIndex((row) => row.ariaSelected === "true");
    const next = shown[Math.min(shown.length - 1, Math.max(0, at + by))];
    if (next && next !== shown[at]) select(next.id, { quick: false });
  }
  function fold(open) {
    const row = $(".t[aria-selected]", tree());
    if (!row) return;
    if (open ? row.ariaExpanded !== "false" : row.ariaExpanded !== "true") {
      if (open) return walk(1);
      let up = row.previousElementSibling;
      while (up && level(up) >= level(row)) up = up.previousElementSibling;
      if (up) select(up.id, { quick: false });
      return;
    }
    setOpen(row, open);
  }

  // ---- tabs ----------------------------------------------------------------------------------------------------
  function showTab(tab) {
    for (const other of $$("[role=tab]", tab.parentElement)) {
      const on = other === tab;
      other.setAttribute("aria-selected", String(on));
      other.tabIndex = on ? 0 : -1;
      document.getElementById(other.getAttribute("aria-controls")).hidden = !on;
    }
  }

  // ---- clicks --------------------------------------------------------------------------------------------------
  document.addEventListener("click", async (event) => {
    const hit = (selector) => event.target.closest(selector);
    const plain = !event.metaKey && !event.ctrlKey && !event.shiftKey && event.button === 0;
    let it;
    if ((it = hit("[data-copy]"))) return copy(it.dataset.copy, it);
    if ((it = hit("[data-copy-from]"))) return copy(document.getElementById(it.dataset.copyFrom).textContent, it);
    if (hit("[data-theme-toggle]")) return nextTheme();
    if (hit("[data-help]")) return $("#help").showModal();
    if ((it = hit("[data-open-filters]"))) return openFilters(it.dataset.openFilters);
    if ((it = hit("[role=tab]"))) return showTab(it);
    if ((it = hit("[data-rest]"))) {
      const answer = await fetch(it.dataset.rest);
      if (answer.ok) { it.previousElementSibling.textContent = await answer.text(); it.remove(); }
      return;
    }
    if (hit("[data-fold-all]")) {
      const open = $$(".t[aria-expanded=true]", tree()).length <= 1;
      for (const row of $$(".t[aria-expanded]", tree())) if (open ? below(row).length : level(row) > 1) await setOpen(row, open);
      return;
    }
    if ((it = hit(".t")) && plain) {
      event.preventDefault();
      if (hit(".t button")) return setOpen(it, it.ariaExpanded !== "true");
      return select(it.id);
    }
    if ((it = hit("[data-select]")) && plain && document.getElementById(it.dataset.select)) {
      event.preventDefault();
      return select(it.dataset.select);
    }
    if ((it = hit(".list tbody tr")) && !hit("a, button") && !String(getSelection())) {
      const link = $(".row-link", it);
      if (plain) link.click(); else if (event.metaKey || event.ctrlKey) open(link.href, "_blank", "noopener");
    }
    for (const menu of $$("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  function openFilters(field) {
    $("#filter-menu").open = true;
    document.getElementById(field)?.focus();
  }

  // ---- keys ----------------------------------------------------------------------------------------------------
  let before = "";
  const KEYS = {
    "j": () => (tree() ? walk(1) : step(rows(), 1)),
    "k": () => (tree() ? walk(-1) : step(rows(), -1)),
    "ArrowRight": () => tree() && fold(true),
    "ArrowLeft": () => tree() && fold(false),
    "/": () => $("#q")?.focus(),
    "f": () => $("#filter-menu") && openFilters("f-route"),
    "Enter": () => $("#detail")?.focus(),
    "y": () => { const id = $(".crumbs [data-copy]"); if (id) copy(id.dataset.copy, id); },
    "d": nextTheme,
    "?": () => $("#help").showModal(),
  };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (event.key === "Escape") {
      if (typing) event.target.blur();
      for (const menu of $$("details.menu[open]")) menu.open = false;
      return;
    }
    if (typing || event.metaKey || event.ctrlKey || event.altKey || $("dialog[open]")) return;
    const tab = event.target.closest("[role=tab]");
    if (tab && (event.key === "ArrowRight" || event.key === "ArrowLeft")) {
      const tabs = $$("[role=tab]", tab.parentElement);
      const next = tabs[(tabs.indexOf(tab) + (event.key === "ArrowRight" ? 1 : tabs.length - 1)) % tabs.length];
      next.focus();
      next.click();
      event.preventDefault();
      return;
    }
    const arrows = { ArrowDown: "j", ArrowUp: "k" };
    // Arrows scroll the page, unless a row or the tree has the focus or nothing else could want them.
    const inRows = tree() ? !event.target.closest("#detail") : document.activeElement.matches(".row-link");
    let key = event.key.length === 1 && event.key !== "?" ? event.key.toLowerCase() : event.key;
    if (arrows[key]) { if (!inRows) return; key = arrows[key]; }
    if (before === "g" && key === "t") { location.href = "/traces"; return; }
    before = key === "g" ? "g" : "";
    if (key === "Enter" && event.target.closest("a, button, summary, [role=tab]")) return;
    if (KEYS[key] && (key !== "Enter" || tree())) { event.preventDefault(); KEYS[key](); }
  });

  // ---- htmx ----------------------------------------------------------------------------------------------------
  document.addEventListener("htmx:before:request", (event) => {
    if (document.hidden && event.target.matches?.("[data-poll]")) event.preventDefault();
  });
  document.addEventListener("htmx:after:swap", () => tellTimes());

  tellTimes();
  showLocalMoments();
  setInterval(tellTimes, 30000);
  reveal($(".t[aria-selected]"));
})();

// Keys.
let before = "";
const KEYS = {
  "j": () => (tree() ? walk(1) : step(rows(), 1)),
  "k": () => (tree() ? walk(-1) : step(rows(), -1)),
  "ArrowRight": () => tree() && fold(true),
  "ArrowLeft": () => tree() && fold(false),
  "/": () => ($("#q") ? $("#q").focus() : openPalette()),
  "f": () => $("#filter-menu") && openFilters("f-route"),
  "Enter": () => $("#detail")?.focus(),
  "y": () => { const id = $(".crumbs [data-copy]"); if (id) copy(id.dataset.copy, id); },
  "d": nextTheme,
  "?": () => $("#help").showModal(),
};
document.addEventListener("keydown", (event) => {
  const typing = typed(event.target);
  if (event.key === "Escape") {
    if (typing) event.target.blur();
    for (const menu of $$("details.menu[open]")) menu.open = false;
    toggleMenu($("[data-menu]") ?? document.createElement("button"), false);
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
  if (before === "g") {
    before = "";
    const page = $(`.side [data-go="${CSS.escape(key)}"]`);
    if (page) { event.preventDefault(); location.href = page.href; return; }
  }
  before = key === "g" ? "g" : "";
  if (key === "Enter" && event.target.closest("a, button, summary, [role=tab]")) return;
  // What a page says that a key does comes before what it does everywhere.
  const own = $(`[data-key="${CSS.escape(key)}"]`);
  if (own) { event.preventDefault(); own.click(); return; }
  if (KEYS[key] && (key !== "Enter" || tree())) { event.preventDefault(); KEYS[key](); }
});

// Clicks, wherever they land.
function showTab(tab) {
  for (const other of $$("[role=tab]", tab.parentElement)) {
    const on = other === tab;
    other.setAttribute("aria-selected", String(on));
    other.tabIndex = on ? 0 : -1;
    document.getElementById(other.getAttribute("aria-controls")).hidden = !on;
  }
}

document.addEventListener("click", async (event) => {
  const hit = (selector) => event.target.closest(selector);
  const plain = !event.metaKey && !event.ctrlKey && !event.shiftKey && event.button === 0;
  let it;
  if ((it = hit("[data-copy]"))) return copy(it.dataset.copy, it);
  if ((it = hit("[data-copy-from]"))) return copy(document.getElementById(it.dataset.copyFrom).textContent, it);
  if (hit("[data-theme-toggle]")) return nextTheme();
  if (hit("[data-help]")) return $("#help").showModal();
  if (hit("[data-palette]")) return openPalette();
  if ((it = hit("#choices [role=option]"))) return choose($$("#choices [role=option]").indexOf(it), event.metaKey || event.ctrlKey);
  if (event.target.matches("dialog[open]") && outside(event)) return event.target.close();
  if ((it = hit("[data-menu]"))) return toggleMenu(it);
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
  if ((it = hit(".list tbody tr")) && !hit("a, button, input, label") && !String(getSelection())) {
    const link = $(".row-link", it);
    if (plain) link.click(); else if (event.metaKey || event.ctrlKey) open(link.href, "_blank", "noopener");
  }
  for (const menu of $$("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
// A click on what is behind a dialog lands on the dialog itself.
function outside(event) {
  const edge = event.target.getBoundingClientRect();
  return event.clientX < edge.left || event.clientX > edge.right || event.clientY < edge.top || event.clientY > edge.bottom;
}
function openFilters(field) {
  $("#filter-menu").open = true;
  document.getElementById(field)?.focus();
}
// On a phone the pages hide behind a button.
function toggleMenu(button, open = button.ariaExpanded !== "true") {
  button.ariaExpanded = String(open);
  $(".side").classList.toggle("open", open);
}

// A trace's tree.
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

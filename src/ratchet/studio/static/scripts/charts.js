// ---- charts: the figures of the pointed-at piece of time above every chart, and arrow keys within one --------------
function startCharts(root) {
  const charts = $$(".chart", root).map((chart) => ({ readout: $("[data-readout]", chart), hits: $$(".hits a", chart) }));
  const times = $$("[data-points] tr[data-at]").map((row) => new Date(row.dataset.at));
  const local = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });

  // Labels begin with the time in UTC; a person reads their own clock.
  const words = (hit, at) => `${times[at] ? local.format(times[at]) : ""} · ${hit.getAttribute("aria-label").split(": ").slice(1).join(": ")}`;
  let shown = -1;
  function show(at) {
    if (at === shown) return;
    for (const { readout, hits } of charts) {
      hits[shown]?.classList.remove("same");
      hits[at]?.classList.add("same");
      readout.textContent = hits[at] ? words(hits[at], at) : "";
    }
    shown = at;
  }
  for (const { hits } of charts) {
    hits.forEach((hit, at) => {
      hit.addEventListener("pointerenter", () => show(at));
      hit.addEventListener("focus", () => show(at));
      hit.addEventListener("keydown", (event) => {
        const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: hits.length - 1 }[event.key];
        if (to === undefined || !hits[to]) return;
        event.preventDefault();
        event.stopPropagation();
        hit.tabIndex = -1;
        hits[to].tabIndex = 0;
        hits[to].focus();
      });
    });
  }
  root.addEventListener("pointerleave", () => show(-1));
  root.addEventListener("focusout", (event) => { if (!root.contains(event.relatedTarget)) show(-1); });
}
for (const root of $$("[data-charts]")) startCharts(root);

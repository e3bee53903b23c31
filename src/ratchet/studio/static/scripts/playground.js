// The playground: kept as it is typed, answers as they come. Without scripts its buttons do the same by loading the page.
function startPlayground(form) {
  const columns = $$("[data-column]", form);
  const kept = $("[data-kept]", form);
  const running = new Map(); // by column, what stops it
  let wanted = 0, saved = 0, saving = null, timer = 0;

  const trouble = (text = "") => {
    const box = $("[data-problem]", form);
    box.textContent = text;
    box.hidden = !text;
  };
  const said = async (answer) => {
    try { const { error } = await answer.json(); return `${error.message} ${error.remedy}`; } catch { return `The studio answered with status ${answer.status}.`; }
  };

  // One save at a time, and one more where something was typed meanwhile.
  async function save() {
    clearTimeout(timer);
    while (saving) await saving;
    if (saved === wanted && form.elements.revision.value) return true;
    const upTo = wanted;
    saving = fetch(form.action, { method: "POST", headers: { accept: "application/json" }, body: new URLSearchParams(new FormData(form)) });
    try {
      const answer = await saving;
      if (!answer.ok) { trouble(await said(answer)); return false; }
      take(await answer.json());
      saved = upTo;
      trouble();
      kept.textContent = "kept";
      return true;
    } catch {
      trouble("The studio can't be reached. What is typed is kept as soon as it can.");
      return false;
    } finally { saving = null; }
  }
  function later() {
    wanted += 1;
    kept.textContent = "…";
    clearTimeout(timer);
    timer = setTimeout(save, 500);
  }
  function take(summary) {
    form.elements.revision.value = summary.revision;
    const place = `/playground/${summary.id}`;
    if (location.pathname !== place) { form.action = place; history.replaceState(null, "", place); }
    const box = $("[data-variables]", form);
    for (const field of $$("[data-variable]", box))
      if (!summary.variables.includes(field.dataset.variable) && !$("textarea", field).value) field.remove();
    for (const name of summary.variables) if (!box.querySelector(`[data-variable="${CSS.escape(name)}"]`)) box.append(variable(name));
    $("[data-no-variables]", form).hidden = Boolean(box.children.length);
    for (const { id, code, problem, stale, named } of summary.columns) {
      const column = $(`[data-column="${id}"]`, form);
      $("[data-code]", column).textContent = code || "Correct the column first.";
      $("[data-flaw-text]", column).textContent = problem;
      $("[data-flaw]", column).hidden = !problem;
      const changed = $("[data-changed]", column);
      if (changed) { changed.hidden = named; $("[data-named]", column).classList.toggle("accent", named); }
      const before = $(".stale", column);
      if (!stale) before?.remove();
    }
  }
  function variable(name) {
    const field = $("#variable").content.firstElementChild.cloneNode(true);
    field.dataset.variable = name;
    const [label, area] = [$("label", field), $("textarea", field)];
    label.htmlFor = area.id = `v-${name}`;
    $("code", label).textContent = name;
    area.name = `v.${name}`;
    return field;
  }

  // Server-sent events, as they come out of the body.
  async function* events(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value;
      const parts = rest.split("\n\n");
      rest = parts.pop();
      for (const part of parts) if (part.startsWith("data: ")) yield JSON.parse(part.slice(6));
    }
  }
  async function ask(column) {
    const [result, stop, run] = [$("[data-result]", column), $("[data-stop]", column), $("[data-run-one]", column)];
    if (running.has(column)) return;
    const leaving = new AbortController();
    running.set(column, leaving);
    [stop.hidden, run.hidden] = [false, true];
    result.ariaBusy = "true";
    const words = element("div", "words");
    const answer = element("div", "answer", words);
    const calls = [];
    const show = (node) => { if (!node.parentElement) result.append(node); };
    try {
      const reply = await fetch(`${form.action}/columns/${column.dataset.column}/run`, { method: "POST", headers: { accept: "application/json, text/event-stream" }, signal: leaving.signal });
      if (!reply.ok) { result.replaceChildren(element("div", "notice bad", await said(reply))); return; }
      result.replaceChildren();
      for await (const piece of events(reply.body)) {
        if (piece.html) result.innerHTML = piece.html;
        else if (piece.type === "text") { words.append(piece.text); show(answer); }
        else if (piece.type === "call") {
          const call = calls[piece.index] ??= element("div", "call", element("b", ""), element("pre", ""));
          call.firstChild.append(piece.name);
          call.lastChild.append(piece.arguments);
          show(call);
        }
      }
    } catch (error) {
      result.append(element("p", "sub", error.name === "AbortError" ? "Stopped. What came is in the call's trace." : "The connection broke off."));
    } finally {
      running.delete(column);
      [stop.hidden, run.hidden] = [true, false];
      result.ariaBusy = "false";
    }
  }
  function element(tag, name, ...children) {
    const made = document.createElement(tag);
    made.className = name;
    made.append(...children);
    return made;
  }
  async function runAll(some) {
    if (!(await save())) return;
    say("Asking");
    await Promise.all(some.map(ask));
    say("Answered");
  }

  form.addEventListener("input", later);
  form.addEventListener("submit", async (event) => {
    const button = event.submitter;
    if (!button?.matches("[data-run]") && !saving) { clearTimeout(timer); return; }
    event.preventDefault();
    if (button?.matches("[data-run]")) return runAll(columns);
    while (saving) await saving;
    form.requestSubmit(button);
  });
  form.addEventListener("click", (event) => {
    const column = event.target.closest("[data-column]");
    if (event.target.closest("[data-run-one]")) runAll([column]);
    if (event.target.closest("[data-stop]")) running.get(column)?.abort();
  });
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "Enter" && !$("dialog[open]")) { event.preventDefault(); runAll(columns); }
  });
  for (const column of columns) $("[data-run-one]", column).hidden = false;
}
if ($("#playground")) startPlayground($("#playground"));

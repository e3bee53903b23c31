// The command palette: pages, views, actions, and whatever a pasted id stands for.
let choices = null; // what the server offers; asked for once a page
let shownChoices = [];
let askedFor = 0;

// How well words fit a text, less is better, Infinity not at all: each stands at its start, at a word's start, or inside.
function fit(words, choice) {
  const [label, also] = [choice.label.toLowerCase(), `${choice.words ?? ""} ${choice.group}`.toLowerCase()];
  let sum = 0;
  for (const word of words) {
    const at = label.indexOf(word);
    if (at === 0) continue;
    if (at > 0) sum += /[\p{L}\p{N}]/u.test(label[at - 1]) ? 3 : 1;
    else if (also.includes(word)) sum += 4;
    else return Infinity;
  }
  return sum;
}

function iconOf(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${$(".brand use").getAttribute("href").split("#")[0]}#${name}`);
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

function span(text, name) {
  const element = document.createElement("span");
  element.className = name;
  element.textContent = text;
  return element;
}

function mark(index) {
  const options = $$("#choices [role=option]");
  if (!options.length) return;
  const next = (index + options.length) % options.length;
  options.forEach((option, place) => option.setAttribute("aria-selected", String(place === next)));
  $("#palette input").setAttribute("aria-activedescendant", options[next].id);
  options[next].scrollIntoView({ block: "nearest" });
}
const marked = () => $$("#choices [role=option]").findIndex((option) => option.ariaSelected === "true");

function offer(found = []) {
  const text = $("#palette input").value.trim();
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const fitting = (choices ?? [])
    .map((choice, place) => ({ choice, place, sum: fit(words, choice) }))
    .filter((each) => each.sum < Infinity)
    .sort((one, other) => one.sum - other.sum || one.place - other.place)
    .map((each) => each.choice);
  const search = { label: `Search the traces for “${text}”`, group: "Traces", icon: "search", address: `/traces?${new URLSearchParams({ q: text, range: "all" })}` };
  shownChoices = [...found, ...fitting.slice(0, 40), ...(text ? [search] : [])];
  $("#choices").replaceChildren(...shownChoices.map((choice, place) => {
    const option = document.createElement("li");
    option.id = `choice-${place}`;
    option.role = "option";
    option.append(iconOf(choice.icon), span(choice.label, "cut"), span(choice.keys ?? choice.group, "sub"));
    return option;
  }));
  mark(0);
}

async function look() {
  const text = $("#palette input").value.trim();
  const turn = ++askedFor;
  offer();
  // An id is one word; shorter ones would be asked for with every letter of a search.
  if (text.length < 3 || /\s/.test(text)) return;
  await new Promise((done) => setTimeout(done, 120));
  if (turn !== askedFor) return;
  const answer = await fetch(`/api/find?${new URLSearchParams({ text })}`);
  if (turn === askedFor && answer.ok) { const found = await answer.json(); if (found.length) offer(found); }
}

async function openPalette() {
  const dialog = $("#palette");
  if (!dialog || dialog.open) return;
  $("dialog[open]")?.close();
  $("input", dialog).value = "";
  dialog.showModal();
  offer();
  if (choices) return;
  const answer = await fetch("/api/palette");
  if (answer.ok) { choices = await answer.json(); look(); }
}

const RUN = {
  "theme": nextTheme,
  "help": () => $("#help").showModal(),
  "copy-address": () => copy(location.href),
  "sign-out": () => $("form[action='/sign-out']").submit(),
};
function choose(index, apart = false) {
  const choice = shownChoices[index];
  if (!choice) return;
  $("#palette").close();
  if (choice.run) RUN[choice.run]();
  else if (apart) open(choice.address, "_blank", "noopener");
  else location.href = choice.address;
}

document.addEventListener("input", (event) => { if (event.target.closest("#palette")) look(); });
document.addEventListener("keydown", (event) => {
  if ((event.metaKey || event.ctrlKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k" && $("#palette")) {
    event.preventDefault();
    if ($("#palette").open) $("#palette").close(); else openPalette();
    return;
  }
  if (!event.target.closest("#palette")) return;
  const moves = { ArrowDown: () => mark(marked() + 1), ArrowUp: () => mark(marked() - 1), Home: () => mark(0), End: () => mark(-1) };
  if (event.key === "Enter") { event.preventDefault(); choose(marked(), event.metaKey || event.ctrlKey); }
  else if (moves[event.key] && !event.shiftKey) { event.preventDefault(); moves[event.key](); }
});

// The server writes UTC, people read their own clock.
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

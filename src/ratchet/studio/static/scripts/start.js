// What happens when a page has loaded; last of all.
document.addEventListener("htmx:before:request", (event) => {
  if (document.hidden && event.target.matches?.("[data-poll]")) event.preventDefault();
});
document.addEventListener("htmx:after:swap", () => {
  tellTimes();
  // What was focused is gone with what was swapped: the keyboard goes on where it was.
  if (document.activeElement === document.body) $("#views[open] > summary")?.focus();
});

tellTimes();
showLocalMoments();
setInterval(tellTimes, 30000);
reveal($(".t[aria-selected]"));

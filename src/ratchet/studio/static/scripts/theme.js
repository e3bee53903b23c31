// Light, dark, or as the system says.
const THEMES = ["", "light", "dark"];
function nextTheme() {
  const root = document.documentElement;
  const next = THEMES[(THEMES.indexOf(root.dataset.theme ?? "") + 1) % THEMES.length];
  if (next) root.dataset.theme = next; else delete root.dataset.theme;
  // A cookie, so that the server writes the theme into the page and nothing flashes.
  document.cookie = `ratchet_theme=${next}; path=/; max-age=${next ? 31536000 : 0}; samesite=lax`;
  say(next ? `Theme: ${next}` : "Theme: as the system says");
}

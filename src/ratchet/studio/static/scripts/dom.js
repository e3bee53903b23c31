// What every other part uses.
const $ = (selector, from = document) => from.querySelector(selector);
const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
const say = (text) => { $("#live").textContent = text; };

// A form's field that is being typed into: letters are then letters.
const typed = (target) => target.closest("input, textarea, select, [contenteditable]");

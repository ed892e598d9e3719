// The time that is left of a rescue goes down; the words are the page's own.
"use strict";
(() => {
  const pad = (n) => String(n).padStart(2, "0");
  const words = (s) => s >= 86400 ? `${Math.floor(s / 86400)}\u00a0${document.body.dataset.day}`
    : s >= 3600 ? `${Math.floor(s / 3600)}\u00a0h\u00a0${pad(Math.floor(s / 60) % 60)}`
    : s >= 60 ? `${Math.floor(s / 60)}\u00a0min` : `${s}\u00a0s`;
  const tick = () => document.querySelectorAll("time[data-left]").forEach((time) => {
    time.end ??= Date.now() + time.dataset.left * 1000;
    const seconds = Math.floor((time.end - Date.now()) / 1000);
    const said = seconds > 0 ? time.dataset.still.replace("{time}", words(seconds)) : time.dataset.over;
    if (time.textContent !== said) time.textContent = said;
    time.classList.toggle("soon", seconds < 900);
  });
  setInterval(tick, 1000);
  document.addEventListener("htmx:afterSwap", tick);
  tick();
})();

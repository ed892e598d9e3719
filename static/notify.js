// Word by the browser itself when a rescue becomes ready, fails or ends and nobody looks at the page.
"use strict";
(() => {
  const KEY = "notify-here";
  const button = () => document.getElementById("notify-here");
  const on = () => localStorage.getItem(KEY) === "1" && Notification.permission === "granted";
  const show = () => {
    const it = button();
    if (!it || !("Notification" in window)) return;
    const { off, on: pressed, denied } = it.dataset;
    it.hidden = false;
    it.setAttribute("aria-pressed", String(on()));
    it.querySelector("span").textContent = Notification.permission === "denied" ? denied : on() ? pressed : off;
    it.disabled = Notification.permission === "denied";
  };
  // The browser asks the person only after a click here.
  document.addEventListener("click", async (event) => {
    if (!event.target.closest?.("#notify-here")) return;
    if (on()) localStorage.removeItem(KEY);
    else if (await Notification.requestPermission() === "granted") localStorage.setItem(KEY, "1");
    show();
  });

  const TOLD = /\btone-(ready|failed|ended)\b/;
  const tones = () => new Map([...document.querySelectorAll("article.rescue")]
    .map((article) => [article.id, article.className.match(TOLD)?.[0] ?? ""]));
  let seen = tones();
  document.addEventListener("htmx:afterSwap", () => {
    show();
    const now = tones();
    for (const [id, tone] of now) {
      if (!tone || !seen.has(id) || seen.get(id) === tone || !document.hidden) continue;
      if (!("Notification" in window) || !on()) continue;
      const article = document.getElementById(id);
      const told = new Notification(article.querySelector("h2").textContent.trim(), { body: article.dataset.headline, tag: id });
      told.addEventListener("click", () => { window.focus(); told.close(); });
    }
    seen = now;
  });
  show();
})();

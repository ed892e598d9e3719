// The strip of staff who act for somebody: its clock runs down, and what is new in it is said.
"use strict";
(() => {
  const pad = (n) => String(n).padStart(2, "0");
  const left = (s) => s >= 60 ? `${Math.floor(s / 60)}\u00a0min\u00a0${pad(s % 60)}\u00a0s` : `${s}\u00a0s`;
  const tick = () => document.querySelectorAll("time[data-ends-in]").forEach((time) => {
    time.until ??= Date.now() + time.dataset.endsIn * 1000;
    const seconds = Math.max(0, Math.round((time.until - Date.now()) / 1000));
    if (!seconds && !time.spent) {
      time.spent = true; // what it stood for is over: draw it again
      setTimeout(() => htmx.trigger(`#${time.dataset.refresh ?? "acting"}`, "refresh"), 500);
    }
    time.textContent = left(seconds);
  });
  const said = () => document.querySelector("#acting [data-said]")?.textContent.trim().replace(/\s+/g, " ") ?? "";
  let told = said();
  const tell = () => {
    tick();
    if (said() === told) return;
    told = said();
    document.querySelector("#announcer").textContent = told;
  };
  // Every fragment brings the strip along: the same again must not take Stop from under a click.
  const shows = (root) => [...root.querySelectorAll("[data-said], form")]
    .map((part) => part.getAttribute("action") ?? part.textContent.trim().replace(/\s+/g, " ")).join();
  // htmx looks for the strip in the document of who asked: a row taken away meanwhile has none.
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    const at = detail.elt.isConnected ? -1 : detail.serverResponse.indexOf('<div id="acting"');
    if (at < 0) return;
    detail.serverResponse = detail.serverResponse.slice(0, at);
    htmx.trigger("#acting", "refresh");
  });
  // ... or was taken away while htmx was at it.
  document.addEventListener("htmx:oobErrorNoTarget", () => htmx.trigger("#acting", "refresh"));
  document.addEventListener("htmx:oobBeforeSwap", ({ detail }) => {
    if (detail.target.id === "acting" && shows(detail.target) === shows(detail.fragment)) detail.shouldSwap = false;
  });
  document.addEventListener("htmx:afterSwap", tell);
  document.addEventListener("htmx:oobAfterSwap", tell);
  setInterval(tick, 1000);
})();

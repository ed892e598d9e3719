// The stream says what changed, htmx fetches it; and the clocks of the page tick.
"use strict";
(() => {
  const $ = (selector) => document.querySelector(selector);
  const indicator = $("#live");
  const title = document.title;

  // ---- refreshing: never under an open menu or a press, nor while an answer for the same place, or
  // for one around it, is on its way: that answer may be older and would land last. What has just
  // landed does not listen before htmx let it settle: told earlier, it would hear nothing
  const waiting = new Set(), closed = new Set();
  let flushing = 0, pressed = null, letGo = 0;
  const held = (element) => pressed?.isConnected && element?.contains(pressed);
  const occupied = (element) => held(element) || element.querySelector(".htmx-request") || (element.querySelector(":popover-open") && !element.matches("tr.row")) || element.closest(".htmx-request, .htmx-added")
    || (element.closest("#instances") && $("#search.htmx-request"));
  const flush = () => {
    flushing = 0;
    for (const id of waiting) {
      const element = document.getElementById(id);
      if (element && occupied(element)) continue;
      waiting.delete(id);
      if (element) htmx.trigger(element, "refresh");
    }
    // The end of what is in the way is not always heard: its element may be gone by then.
    if (waiting.size) flushing = setTimeout(flush, 500);
  };
  const refresh = (id, after = 60) => { waiting.add(id); flushing ||= setTimeout(flush, after); };
  // Where many change, all of them are asked for together; and where many look on, which the stream
  // says, each asks more rarely for what is none of its own doing.
  const GAP = 3000;
  let pace = 0;
  const soon = new Map(), askedAt = new Map();
  const calmly = (id, gap = pace) => {
    if (!document.getElementById(id) || soon.has(id)) return;
    const rest = (askedAt.get(id) ?? -Infinity) + gap - performance.now();
    const wait = Math.max(Math.random() * Math.min(gap, pace) / 2, rest);
    soon.set(id, setTimeout(() => { soon.delete(id); askedAt.set(id, performance.now()); refresh(id); }, wait));
  };
  // A machine that is not in this view may belong there now.
  const belongsPerhaps = () => calmly("instances", Math.max(GAP, pace));
  const told = (id, selector, gap) => $(`${selector}[data-mine]`) ? refresh(id) : calmly(id, gap);
  const changed = (topics) => topics.split(/\s+/).forEach((topic) => {
    const [kind, key] = topic.split(":");
    const row = `instance-${key}`;
    if (kind === "instance") {
      const card = `#notifications [data-machine="${key}"]`;
      if (document.getElementById(row)) told(row, card, pace / 10);
      else belongsPerhaps();
      if ($(card)) told("notifications", card);
    }
    else if (kind === "seen") sawCloud(key);
    else if (kind === "list") belongsPerhaps();
    else if (kind === "rescue") { told("notifications", `#rescue-${CSS.escape(key)}`); refresh("session-grant"); }
    else if (["history", "machine", "console"].includes(kind)) refresh(`${kind}-${key}`);
    else if (kind === "batch") { refresh(`batch-${key}`); told("notifications", `#batch-card-${CSS.escape(key)}`); }
    else if (kind === "staff") refresh("acting");
    else if (kind) refresh("instances");
  });
  let searchAgain = false;
  // Of a row whose menu is open only the menu changes, in its place, until it is closed.
  const renew = (menu, text) => {
    const fresh = new DOMParser().parseFromString(`<table>${text}</table>`, "text/html").getElementById(menu.id);
    if (!fresh) return;
    const at = [...menu.children].indexOf(document.activeElement);
    menu.replaceChildren(...fresh.children);
    htmx.process(menu);
    menu.children[at]?.focus();
  };
  document.addEventListener("menu-closed", () => {
    closed.forEach((id) => waiting.add(id));
    closed.clear();
    if (searchAgain) htmx.trigger("#search", "submit");
    searchAgain = false;
    flush();
  });
  // A click is a press and a release on the same element: what takes its place in between loses the
  // click. A release that nobody hears (outside the window, say) is over with the next movement.
  const press = (target) => { clearTimeout(letGo); pressed = target; };
  const release = () => {
    if (!pressed) return;
    clearTimeout(letGo);
    letGo = setTimeout(() => { pressed = null; if (waiting.size) flushing ||= setTimeout(flush, 60); }, 50); // a tap's click comes later
  };
  addEventListener("pointerdown", ({ target, button }) => { if (button === 0) press(target); }, true);
  addEventListener("keydown", ({ target, key }) => { if (key === " ") press(target); }, true);
  for (const end of ["pointerup", "pointercancel", "dragend", "keyup"]) addEventListener(end, release, true);
  addEventListener("blur", release); // the window's own
  addEventListener("pointermove", ({ buttons, pointerType }) => { if (pressed && !buttons && pointerType === "mouse") release(); }, true);
  // Whoever clicks or searches comes first: a refresh under way would take the place of the answer.
  document.addEventListener("htmx:beforeRequest", ({ detail: { elt, target } }) => {
    const place = target.closest("#instances, #notifications");
    if (elt === target || !place?.matches(".htmx-request")) return;
    waiting.add(place.id);
    htmx.trigger(place, "htmx:abort");
  });
  // What refreshes and is taken away needs no answer: htmx would look in it for others' places.
  const asking = new WeakMap();
  document.addEventListener("htmx:beforeRequest", ({ detail: { elt, target, xhr } }) => { if (elt === target) asking.set(elt, xhr); });
  document.addEventListener("htmx:beforeCleanupElement", ({ target }) => {
    const xhr = asking.get(target);
    if (xhr && xhr.readyState < XMLHttpRequest.DONE) xhr.abort();
  });
  // Nor does a page that is being left obey an answer that would load it again: where the click
  // leads comes first. A download leaves no page, so this does not last.
  let left = -Infinity;
  addEventListener("beforeunload", () => { left = performance.now(); });
  document.addEventListener("htmx:beforeOnLoad", (event) => {
    const { xhr } = event.detail;
    if (performance.now() - left < 5000 && xhr.getResponseHeader("HX-Refresh")) event.preventDefault();
  });
  for (const end of ["htmx:afterRequest", "htmx:afterSettle"]) document.addEventListener(end, () => { if (waiting.size) flushing ||= setTimeout(flush, 60); });
  // What was to be fetched anew and could not be is fetched later.
  const again = ({ detail: { requestConfig, target, xhr } }) => {
    const refreshed = requestConfig?.triggeringEvent?.type === "refresh";
    if (refreshed && target?.id && (!xhr.status || xhr.status >= 500)) setTimeout(refresh, Math.max(3000, Math.random() * pace), target.id);
  };
  document.addEventListener("htmx:sendError", again);
  document.addEventListener("htmx:responseError", again);
  // A refresh says so: it does not prove that somebody is there, so the session does not last longer.
  document.addEventListener("htmx:configRequest", ({ detail: { headers, triggeringEvent } }) => {
    if (triggeringEvent?.type === "refresh") headers["X-Refresh"] = "1";
  });
  document.addEventListener("panel:changed", (event) => changed(event.detail.topics));

  // ---- the stream
  let stream = null, resting = 0, retry = 0;
  const show = (state) => {
    if (!indicator) return;
    indicator.hidden = false;
    indicator.dataset.state = state;
    $("#live .live-word").textContent = indicator.dataset[state];
  };
  const close = () => { stream?.close(); stream = null; };
  const open = () => {
    if (stream || !indicator) return; // nobody is signed in
    stream = new EventSource("/events");
    stream.addEventListener("open", () => show("live"));
    stream.addEventListener("pace", ({ data }) => { pace = Number(data) * 1000; });
    stream.addEventListener("resync", () => {
      // After an interruption all come back at the same time.
      const late = Math.random() * pace / 2;
      for (const place of document.querySelectorAll("#instances, #notifications, #session-grant, [id^=history-][hx-get], [id^=machine-][hx-get], [id^=console-][hx-get], [id^=batch-][hx-get]")) late ? setTimeout(refresh, late, place.id) : refresh(place.id);
    });
    stream.addEventListener("change", (event) => changed(event.data));
    stream.addEventListener("error", () => {
      show("lost");
      if (stream?.readyState !== EventSource.CLOSED) return;
      close();
      clearTimeout(retry);
      retry = setTimeout(open, 5000);
    });
  };
  // After a change of network the old connection may hang silently: begin a new one, which resyncs.
  addEventListener("offline", () => show("lost"));
  addEventListener("online", () => { close(); open(); });
  // In the background the stream is let go, but not while somebody waits for a rescue.
  const rest = () => { if ($("article.tone-busy")) resting = setTimeout(rest, 60000); else close(); };
  document.addEventListener("visibilitychange", () => {
    clearTimeout(resting);
    if (!document.hidden) document.title = title;
    if (document.hidden) resting = setTimeout(rest, 60000);
    else open();
  });

  // ---- clocks
  const pad = (n) => String(n).padStart(2, "0");
  const exact = (s) => s >= 3600 ? `${Math.floor(s / 3600)}\u00a0h\u00a0${pad(Math.floor(s / 60) % 60)}`
    : s >= 60 ? `${Math.floor(s / 60)}\u00a0min\u00a0${pad(s % 60)}\u00a0s` : `${s}\u00a0s`;
  const coarse = (s) => s >= 86400 ? `${Math.floor(s / 86400)}\u00a0${document.body.dataset.day}`
    : s >= 3600 ? `${Math.floor(s / 3600)}\u00a0h` : s >= 60 ? `${Math.floor(s / 60)}\u00a0min` : `${s}\u00a0s`;
  // The stream says when a cloud was read: the list is as old as the oldest of its clouds.
  const readAt = new Map();
  const sawCloud = (account) => {
    readAt.set(account, Date.now());
    for (const time of document.querySelectorAll(".freshness time")) {
      time.drawn ??= Date.now() - time.dataset.seconds * 1000;
      const accounts = time.closest(".freshness").dataset.accounts.split(" ");
      time.from = Math.min(...accounts.map((one) => Math.max(readAt.get(one) ?? 0, time.drawn)));
    }
    tick();
  };
  let askedAgain = Date.now(), toldAt = Date.now();
  const tick = () => document.querySelectorAll("time[data-seconds]").forEach((time) => {
    time.from ??= Date.now() - time.dataset.seconds * 1000;
    const seconds = Math.floor((Date.now() - time.from) / 1000);
    time.textContent = time.dataset.form === "age" ? coarse(seconds) : exact(seconds);
    // Nothing was heard of a cloud for long: ask what is the matter.
    if (stream && seconds > 90 && time.closest(".freshness") && Date.now() - askedAgain > 90000) {
      askedAgain = Date.now();
      refresh("instances");
    }
  });
  // An event may be lost: whoever waits for a rescue looks again by itself.
  const lookAgain = () => {
    if (!stream || !$("article.tone-busy") || Date.now() - toldAt < 10000) return;
    toldAt = Date.now();
    calmly("notifications");
  };

  // ---- the notification panel through its refreshes
  let seen = new Map(), scrolled = 0, folded = false, lost = [], recount = 0;
  const headlines = () => new Map([...document.querySelectorAll("article.rescue")].map((a) => [a.id, a]));
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    const menu = detail.target?.querySelector(":popover-open");
    if (menu) {
      detail.shouldSwap = false;
      if (detail.target.matches("tr.row")) { renew(menu, detail.xhr.responseText); closed.add(detail.target.id); }
      else if (detail.requestConfig?.triggeringEvent?.type === "refresh") waiting.add(detail.target.id);
      else searchAgain = detail.elt?.id === "search";
    }
    // Only of refreshes: a click's own answer may well come while its button is still held.
    if (detail.requestConfig?.triggeringEvent?.type === "refresh" && held(detail.target)) { detail.shouldSwap = false; waiting.add(detail.target.id); }
    const focus = document.activeElement;
    if (detail.target?.contains(focus)) lost = [focus.id, focus.closest("article.rescue, #instances")?.id];
    const tone = detail.target?.matches("tr.row") && detail.target.className.match(/tone-\w+/)?.[0];
    if (tone && !detail.xhr.responseText.includes(`row ${tone}`)) { clearTimeout(recount); recount = setTimeout(calmly, 1000, "instances"); }
    const fold = $(".panel-fold");
    scrolled = $(".panel-body")?.scrollTop ?? 0;
    folded = fold ? !fold.open : folded;
    seen = new Map([...headlines()].map(([id, a]) => [id, a.dataset.headline]));
  });
  document.addEventListener("htmx:afterSwap", () => {
    toldAt = Date.now();
    for (const [id, article] of headlines()) {
      if (seen.get(id) === article.dataset.headline) continue;
      if (!seen.has(id)) { article.classList.add("fresh"); folded = false; scrolled = 0; }
      if (document.hidden) document.title = `● ${article.dataset.headline} · ${title}`;
      $("#announcer").textContent = `${article.querySelector("h2").textContent.trim()}: ${article.dataset.headline}`;
    }
    if ($(".panel-fold")) $(".panel-fold").open = !folded;
    if ($(".panel-body")) $(".panel-body").scrollTop = scrolled;
    seen = new Map([...headlines()].map(([id, a]) => [id, a.dataset.headline]));
    tick();
  });
  // What had the focus may be gone with the swap: the keyboard goes on close by, not from the top.
  const refocus = () => {
    const [same, around] = lost;
    lost = [];
    if (same === undefined || document.activeElement !== document.body) return;
    const near = document.getElementById(same) ?? document.getElementById(around) ?? $(".panel-body") ?? $("#main");
    if (near.tabIndex < 0) near.tabIndex = -1;
    near.focus({ preventScroll: true });
  };
  document.addEventListener("htmx:afterSettle", (event) => {
    refocus();
    const summary = $("#instances")?.dataset.summary;
    if (event.detail.target?.id === "instances" && document.activeElement?.id === "q" && summary) $("#announcer").textContent = summary;
  });

  // A panel folded by hand stays folded on the next page, until something new is in it. Over the
  // other pages of a phone it begins folded, unless something came since the page before.
  const ids = () => [...headlines().keys()];
  const known = (sessionStorage.getItem("told") ?? ids().join()).split(",");
  const afresh = ids().some((id) => !known.includes(id));
  const fold = $(".panel-fold");
  const over = matchMedia("(max-width: 700px)").matches && !$("#instances");
  if (fold && ((over && !afresh) || ids().join() === sessionStorage.getItem("folded"))) fold.open = false;
  addEventListener("pagehide", () => sessionStorage.setItem("told", ids().join()));
  document.addEventListener("click", ({ target }) => {
    const mine = target.closest?.(".panel-head")?.parentElement;
    if (mine) sessionStorage.setItem("folded", mine.open ? ids().join() : "");
  });
  // It makes way for what somebody types into.
  document.addEventListener("focusin", ({ target }) => {
    const panel = $(".panel-fold[open]"), field = target.closest("#main :is(input, select, textarea)");
    if (!panel || !field) return;
    requestAnimationFrame(() => {
      const mine = panel.getBoundingClientRect(), its = field.getBoundingClientRect();
      if (its.bottom > mine.top && its.top < mine.bottom && its.right > mine.left && its.left < mine.right) panel.open = false;
    });
  });
  // The page one is on may lie beyond the edge of a phone's list of pages.
  $(".side [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

  setInterval(() => { tick(); lookAgain(); }, 1000);
  if (indicator) open();
})();

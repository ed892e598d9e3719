// Menus, dialogs, copying and the password: what a click does in the page itself.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const words = () => document.body.dataset;
  const say = (text) => { $("#announcer").textContent = text; };
  const tell = (text) => { const notice = $("#notice"); notice.textContent = text; notice.hidden = !text; };

  // ---- menus: the popover opens natively, keys are ours
  const items = (menu) => [...menu.querySelectorAll("[role=menuitem]")];
  document.addEventListener("toggle", (event) => {
    const menu = event.target;
    if (!menu.matches?.("[role=menu]")) return;
    if (event.newState === "open") (items(menu).find((item) => !item.ariaDisabled) ?? items(menu)[0])?.focus();
    else document.dispatchEvent(new CustomEvent("menu-closed"));
  }, true);
  document.addEventListener("keydown", (event) => {
    const arrow = event.target.closest?.(".arrow");
    if (arrow && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      $(`#${arrow.getAttribute("popovertarget")}`).showPopover({ source: arrow });
      return;
    }
    const menu = event.target.closest?.("[role=menu]");
    if (!menu) return;
    const all = items(menu), at = all.indexOf(event.target);
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1 + all.length, Home: 0, End: all.length - 1 };
    if (event.key in moves) { event.preventDefault(); all[moves[event.key] % all.length].focus(); }
    else if (event.key === "Tab") menu.hidePopover();
    else if (event.key === " ") { event.preventDefault(); event.target.click(); }
    else if (event.key.length === 1 && !event.ctrlKey && !event.metaKey) {
      [...all.slice(at + 1), ...all].find((item) => item.textContent.trim().toLowerCase().startsWith(event.key.toLowerCase()))?.focus();
    }
  });

  // ---- dialogs: htmx puts them into the host, we open them
  let comeBack = "";
  const focusBack = () => {
    if (!document.activeElement || document.activeElement === document.body) document.getElementById(comeBack)?.focus();
  };
  const opened = (host) => {
    const dialog = $("dialog", host);
    if (!dialog) return focusBack();
    comeBack = dialog.dataset.return ?? comeBack;
    htmx.process(dialog); // before the first key: not wired yet, its form would leave the page
    dialog.showModal();
    ($("[data-focus]", dialog) ?? $("input:checked", dialog) ?? $("button[type=submit]", dialog))?.focus();
    showCommand(dialog);
  };
  document.addEventListener("close", (event) => {
    if (event.target.id !== "dialog") return;
    $("#dialog-host").replaceChildren();
    focusBack();
  }, true);
  const showCommand = (root) => {
    const image = $("input[name=image]:checked", root)?.value;
    root.querySelectorAll("[data-command-for]").forEach((line) => line.toggleAttribute("data-other", line.dataset.commandFor !== image));
  };
  document.addEventListener("change", (event) => { if (event.target.name === "image") showCommand(event.target.form); });

  // ---- copying, with a way for pages that are not served over https
  const copy = async (text) => {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea");
    area.value = text;
    ($("dialog[open]") ?? document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  };
  const copied = (button) => {
    say("");
    button.classList.add("copied");
    setTimeout(() => say(words().copied), 50);
    setTimeout(() => button.classList.remove("copied"), 1600);
  };

  // ---- the password: never longer in the page than needed
  const hide = (shown) => {
    const block = shown.closest(".secret"), focused = block.contains(document.activeElement);
    shown.remove();
    $(".secret-hidden", block).hidden = false;
    if (focused) $(".secret-hidden button", block).focus();
  };
  const hideAll = () => document.querySelectorAll(".secret-shown").forEach(hide);
  const reveal = () => {
    if (document.hidden) return;
    document.querySelectorAll("[data-auto-reveal]").forEach((block) => {
      const key = `revealed:${block.dataset.autoReveal}`;
      if (localStorage.getItem(key)) return;
      localStorage.setItem(key, "1");
      htmx.process(block); // not wired yet, the form would leave the page
      $("form", block).requestSubmit();
    });
  };
  addEventListener("pagehide", hideAll);
  document.addEventListener("visibilitychange", () => (document.hidden ? hideAll() : reveal()));

  document.addEventListener("click", (event) => {
    const on = (selector) => event.target.closest?.(selector);
    if (on("[data-close]")) { event.preventDefault(); $("#dialog")?.close(); }
    else if (event.target.id === "dialog" && event.target.matches(":modal")) event.target.close();
    else if (on("[role=menuitem]")) { if (!on("[aria-disabled]")) on("[role=menu]").hidePopover(); }
    else if (on("[data-copy]")) copy(on("[data-copy]").dataset.copy).then(() => copied(on("[data-copy]")));
    else if (on("[data-copy-secret]")) copy($(".password", on(".secret")).textContent.trim()).then(() => copied(on("[data-copy-secret]")));
    else if (on("[data-hide]")) hide(on(".secret-shown"));
  });

  // ---- htmx: what comes back, and what does not
  const quiet = (event) => event.detail.requestConfig?.triggeringEvent?.type === "refresh";
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, target } = event.detail, text = xhr.responseText;
    if (/^\s*<!doctype/i.test(text)) { event.detail.shouldSwap = false; if (!quiet(event)) location.reload(); }
    else if (xhr.status === 404 && quiet(event)) { event.detail.shouldSwap = false; target.remove(); }
    else if (xhr.status >= 400 && text.includes('id="dialog"')) {
      event.detail.target = $("#dialog-host");
      event.detail.swapOverride = "innerHTML";
    }
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    const target = event.detail.target;
    if (target.id === "dialog-host") opened(target);
    document.querySelectorAll("[data-secret]").forEach((shown) => {
      setTimeout(() => shown.isConnected && hide(shown), shown.dataset.secret * 1000);
      shown.removeAttribute("data-secret");
      if (event.detail.requestConfig?.triggeringEvent?.submitter) $("[data-copy-secret]", shown).focus({ preventScroll: true });
    });
  });
  document.addEventListener("htmx:afterSettle", reveal);
  document.addEventListener("htmx:beforeRequest", (event) => { if (!quiet(event)) tell(""); });
  document.addEventListener("htmx:sendError", (event) => { if (!quiet(event)) tell(words().offline); });
  document.addEventListener("htmx:responseError", (event) => { if (!quiet(event) && event.detail.xhr.status >= 500) tell(words().broken); });
  // htmx wires the forms when the page is complete; before that a submit would leave the page.
  document.addEventListener("DOMContentLoaded", reveal);
  // What was typed before htmx listened is searched for now.
  document.addEventListener("DOMContentLoaded", () => {
    const box = $("#q");
    if (box && box.value !== box.defaultValue) htmx.trigger(box, "search");
  });
})();

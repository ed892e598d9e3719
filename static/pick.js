// Choosing instances for a bulk action: kept in the page through refreshes, searches and paging.
"use strict";
(() => {
  const form = document.getElementById("pick");
  if (!form) return;
  const $ = (id) => document.getElementById(id);
  const words = form.dataset;
  const chosen = new Set();
  let all = "", last = null; // all: the view whose every match is chosen
  const boxes = () => [...document.querySelectorAll("#instances input[name=instance]")];
  const list = () => $("instances");
  const view = () => ["q", "team", "status"].map((name) => list()?.querySelector(`input[form=pick][name=${name}]`)?.value ?? "").join("\n");
  const total = () => Number(list()?.dataset.total ?? 0);
  const saying = (text, n) => text.replace("{n}", n);

  // What the boxes show follows from what is chosen, never the other way round but by a click.
  const draw = () => {
    if (all && all !== view()) all = "";
    const here = boxes();
    here.forEach((box) => { box.checked = Boolean(all) || chosen.has(box.value); });
    const ticked = here.filter((box) => box.checked).length;
    const page = $("pick-page");
    if (page) { page.checked = here.length > 0 && ticked === here.length; page.indeterminate = ticked > 0 && ticked < here.length; }
    const n = all ? total() : chosen.size;
    // Where the notifications lie over the list they make way for the bar.
    const fold = document.querySelector(".panel-fold[open]");
    if (n && fold && !document.body.classList.contains("picking") && matchMedia("(max-width: 1179px)").matches) fold.open = false;
    document.body.classList.toggle("picking", n > 0);
    const said = n ? saying(all ? words.all : words.one, n) : "";
    if ($("pick-count").textContent !== said) $("pick-count").textContent = said;
    const more = $("pick-all");
    more.hidden = Boolean(all) || !(page?.checked && total() > here.length);
    more.textContent = saying(words.more, total());
  };
  const set = (box, on) => { if (on) chosen.add(box.value); else chosen.delete(box.value); };
  const all_to_each = () => { if (all) { all = ""; boxes().forEach((box) => chosen.add(box.value)); } };

  document.addEventListener("click", (event) => {
    const box = event.target.closest?.("#instances .col-pick input");
    if (!box) return;
    all_to_each();
    if (box.id === "pick-page") boxes().forEach((one) => set(one, box.checked));
    else {
      const here = boxes(), at = here.indexOf(box), from = here.findIndex((one) => one.value === last);
      // With shift all between the one before and this one follow it.
      const range = event.shiftKey && from >= 0 ? here.slice(Math.min(at, from), Math.max(at, from) + 1) : [box];
      range.forEach((one) => set(one, box.checked));
      last = box.value;
    }
    draw();
  });
  const clear = () => { chosen.clear(); all = ""; last = null; draw(); };
  $("pick-all").addEventListener("click", () => { all = view(); draw(); form.querySelector("[value=start]").focus(); });
  $("pick-none").addEventListener("click", () => { clear(); ($("pick-page") ?? $("main")).focus(); });
  form.addEventListener("formdata", ({ formData }) => {
    formData.delete("instance");
    if (all) formData.set("all", "1");
    else chosen.forEach((pk) => formData.append("instance", pk));
  });
  document.addEventListener("htmx:afterSwap", draw);
  // Back from the review the page may come out of the browser's cache with its boxes as they were.
  addEventListener("pageshow", () => { boxes().forEach((box) => { if (box.checked) chosen.add(box.value); }); draw(); });
  draw();
})();

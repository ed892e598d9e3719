// The terminal: a ticket, a socket, xterm.js. Each side says what it took, so neither floods the other.
"use strict";
(() => {
  const place = document.getElementById("terminal");
  if (!place || !window.Terminal) return;
  const $ = (id) => document.getElementById(`terminal-${id}`);
  const words = (name) => place.getAttribute(`data-${name}`);
  const PIECE = 16384, WINDOW = 65536, ENCODER = new TextEncoder();

  // ---- our policy forbids style elements and attributes: what xterm writes in them goes through CSSOM
  const create = document.createElement.bind(document);
  document.createElement = (name, options) => {
    if (String(name).toLowerCase() !== "style") return create(name, options);
    const inert = create("template"), sheet = new CSSStyleSheet();
    document.adoptedStyleSheets.push(sheet);
    Object.defineProperty(inert, "textContent", { set: (text) => sheet.replaceSync(text) });
    inert.remove = () => { document.adoptedStyleSheets = document.adoptedStyleSheets.filter((one) => one !== sheet); };
    return inert;
  };
  HTMLSpanElement.prototype.setAttribute = function setAttribute(name, value) {
    if (name === "style") this.style.cssText = value;
    else Element.prototype.setAttribute.call(this, name, value);
  };

  // ---- the screen
  const colour = (name) => {
    const probe = create("span");
    probe.style.color = `var(--${name})`;
    $("screen").append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
  const theme = () => ({
    background: colour("sheet"), foreground: colour("ink"), cursor: colour("accent"), cursorAccent: colour("sheet"),
    selectionBackground: colour("accent-wash"), red: colour("error"), green: colour("ok"), yellow: colour("warn"),
    blue: colour("busy"), cyan: colour("accent"), magenta: colour("rescue"), brightRed: colour("error"),
    brightGreen: colour("ok"), brightYellow: colour("warn"), brightBlue: colour("busy"), brightCyan: colour("accent"), brightMagenta: colour("rescue"),
  });
  Terminal.strings.promptLabel = words("input");
  const reader = () => localStorage.getItem("terminal-reader") === "1";
  const terminal = new Terminal({
    fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono"), fontSize: 14, scrollback: 5000,
    lineHeight: 1.2, minimumContrastRatio: matchMedia("(prefers-contrast: more)").matches ? 7 : 4.5, theme: theme(), screenReaderMode: reader(),
    linkHandler: { activate: () => {} }, // a link is the machine's word: nothing to follow
  });
  const fit = new FitAddon.FitAddon();
  terminal.loadAddon(fit);
  terminal.open($("screen"));
  fit.fit();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { terminal.options.theme = theme(); });

  // ---- the socket
  let socket = null, opened = false, before = false, waiting = [], ahead = 0, typedAt = 0, tries = 0;
  const say = (text, warns = false) => {
    $("state").textContent = text;
    $("state").classList.toggle("warns", warns);
  };
  const tell = (what) => { if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(what)); };
  const flush = () => {
    while (opened && waiting.length && ahead + waiting[0].length <= WINDOW) {
      const piece = waiting.shift();
      ahead += piece.length;
      socket.send(piece);
    }
  };
  const type = (bytes) => {
    if (!opened) return;
    for (let at = 0; at < bytes.length; at += PIECE) waiting.push(bytes.slice(at, at + PIECE));
    if (idle) { idle = false; say(words("open")); }
    typedAt = Date.now();
    flush();
  };
  let idle = false;
  const heard = (said) => {
    if (said.open) { opened = true; tries = 0; say(words(before ? "again" : "open")); before = true; terminal.focus(); }
    if (said.took) { ahead -= said.took; flush(); }
    if (said.idle) { idle = true; say(words("idle"), true); }
  };
  const ended = (text) => {
    opened = false; waiting = []; ahead = 0; socket = null;
    say(text, true);
    const within = $("screen").contains(document.activeElement);
    $("again").hidden = false;
    if (within) $("again").focus();
  };
  const connect = async () => {
    $("again").hidden = true;
    say(words("connecting"));
    let given = null;
    try {
      const headers = JSON.parse(document.body.getAttribute("hx-headers"));
      const answer = await fetch(words("ticket"), { method: "POST", headers, redirect: "manual" });
      given = answer.headers.get("Content-Type")?.startsWith("application/json") ? await answer.json() : {};
    } catch { lost(); return; }
    if (!given.ticket) { ended(given.problem || words("no-ticket")); return; }
    if (before) terminal.reset();
    socket = new WebSocket(new URL(words("ticket").replace(/ticket$/, "socket"), location.href.replace(/^http/, "ws")));
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => tell({ ticket: given.ticket, size: [terminal.cols, terminal.rows] }));
    socket.addEventListener("message", ({ data }) => {
      if (typeof data === "string") heard(JSON.parse(data));
      else terminal.write(new Uint8Array(data), () => tell({ took: data.byteLength }));
    });
    socket.addEventListener("close", ({ code, reason }) => {
      const sentence = words(String(code));
      if (!sentence) lost();
      else ended(reason ? `${sentence} ${words("status")} ${reason}` : sentence);
    });
  };
  const lost = () => {
    ended(words("lost"));
    if (tries < 4) setTimeout(() => { if (!socket) connect(); }, 1000 * 2 ** tries++);
  };

  // ---- keys, sizes, buttons
  const control = $("ctrl");
  const hold = (on) => control.setAttribute("aria-pressed", on);
  // Ctrl held on the screen is for one key: as with a sticky key, it is let go with it.
  const controlled = (text) => {
    if (control.getAttribute("aria-pressed") !== "true") return text;
    hold(false);
    return /^[a-z@[\\\]^_ ]$/i.test(text) ? String.fromCharCode(text.toUpperCase().charCodeAt(0) & 31) : text;
  };
  terminal.onData((text) => type(ENCODER.encode(controlled(text))));
  terminal.onBinary((text) => type(Uint8Array.from(text, (sign) => sign.charCodeAt(0))));
  terminal.onResize(({ cols, rows }) => { if (opened) tell({ size: [cols, rows] }); });
  new ResizeObserver(() => fit.fit()).observe($("screen"));
  const copy = () => { if (terminal.hasSelection()) navigator.clipboard?.writeText(terminal.getSelection()); };
  terminal.attachCustomKeyEventHandler((event) => {
    if (event.type !== "keydown" || !event.ctrlKey || !event.shiftKey) return true;
    if (event.key === "Enter") { event.preventDefault(); ($("again").hidden ? $("copy") : $("again")).focus(); return false; }
    if (event.code === "KeyC" && terminal.hasSelection()) { event.preventDefault(); copy(); return false; }
    return event.code !== "KeyV"; // the browser pastes
  });
  // A touch screen's keyboard lacks these. Pressing them must not take the focus, or it closes.
  $("keys").addEventListener("pointerdown", (event) => event.preventDefault());
  $("keys").addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (button === control) hold(control.getAttribute("aria-pressed") !== "true");
    else if (button) {
      const cursor = terminal.modes.applicationCursorKeysMode ? "\x1bO" : "\x1b[";
      terminal.input({ esc: "\x1b", tab: "\t" }[button.value] ?? cursor + button.value);
    }
    terminal.focus();
  });
  $("copy").addEventListener("click", copy);
  $("paste").addEventListener("click", async () => { terminal.paste(await navigator.clipboard.readText()); terminal.focus(); });
  $("reader").setAttribute("aria-pressed", reader());
  $("reader").addEventListener("click", () => {
    localStorage.setItem("terminal-reader", reader() ? "0" : "1");
    terminal.options.screenReaderMode = reader();
    $("reader").setAttribute("aria-pressed", reader());
  });
  $("again").addEventListener("click", () => { tries = 0; connect(); });
  // Whoever types is there: the session need not run out meanwhile.
  setInterval(() => { if (opened && Date.now() - typedAt < 60000) fetch(location.pathname, { method: "HEAD" }); }, 60000);
  connect();
})();

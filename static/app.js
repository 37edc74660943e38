// The few things that the pages cannot say in HTML: the ticking clock, local times, busy buttons, and errors.
(() => {
  "use strict";
  const said = document.body.dataset;
  const language = document.documentElement.lang || "en";

  // --- times: the server sends UTC, the reader's own zone is known only here ---
  const minutes = { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" };
  const styles = { short: minutes, long: { ...minutes, second: "2-digit" } };
  const thisYear = new Date().getFullYear();
  function localize(root) {
    for (const time of root.querySelectorAll("time[datetime][data-style]")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      const style = { ...styles[time.dataset.style] };
      if (at.getFullYear() !== thisYear) style.year = "numeric";
      time.textContent = new Intl.DateTimeFormat(language, style).format(at);
      time.title = at.toISOString();
      delete time.dataset.style;
    }
  }

  // --- the clock: the server counts, this lets it tick on between two answers ---
  let began = null;
  function setClock() {
    const clock = document.querySelector("#panel-status .clock");
    began = clock ? performance.now() - Number(clock.dataset.seconds) * 1000 : null;
  }
  function tick() {
    const clock = document.querySelector("#panel-status .clock");
    if (!clock || began === null) return;
    const seconds = Math.max(Math.floor((performance.now() - began) / 1000), 0);
    const two = (number) => String(number).padStart(2, "0");
    const text = `${two(Math.floor(seconds / 60))}:${two(seconds % 60)}`;
    if (clock.textContent !== text) clock.textContent = text;
  }
  setInterval(tick, 250);

  // --- call buttons: one live call per member ---
  function setButtons() {
    const panel = document.getElementById("panel");
    if (!panel || panel.dataset.seen === undefined) return; // not loaded yet: the server's word stands
    const live = panel.dataset.live !== undefined;
    for (const button of document.querySelectorAll(".call-button:not([data-blocked])")) {
      if (button.closest(".htmx-request")) continue;
      button.disabled = live;
      button.title = live ? said.busy : button.dataset.label;
    }
  }
  function newKey() {
    return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  // --- errors in words ---
  const toast = document.getElementById("toast");
  let hiding = 0;
  function tell(sentence) {
    clearTimeout(hiding);
    if (toast.textContent !== sentence) toast.textContent = sentence;
    toast.classList.add("shown");
    hiding = setTimeout(() => toast.classList.remove("shown"), 8000);
  }

  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr } = event.detail;
    if (xhr.getResponseHeader("X-Swap")) {
      event.detail.shouldSwap = true;
      event.detail.isError = false;
    } else if (xhr.responseURL && new URL(xhr.responseURL).pathname === said.login) {
      // The session is over: htmx has followed the redirect, and the form belongs into a page of its own.
      event.detail.shouldSwap = false;
      location.reload();
    }
  });
  document.addEventListener("htmx:responseError", (event) => {
    const { xhr } = event.detail;
    const isSentence = (xhr.getResponseHeader("Content-Type") || "").startsWith("text/plain");
    tell(isSentence && xhr.responseText ? xhr.responseText : xhr.status >= 500 ? said.broken : said.refused);
  });
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, () => tell(said.offline));
  }
  document.addEventListener("htmx:afterRequest", (event) => {
    const { elt, xhr, successful } = event.detail;
    if (successful && toast.textContent === said.offline) toast.classList.remove("shown");
    // A click that was answered is done; one that was not keeps its key, so that pressing again cannot ring twice.
    const answered = successful || (xhr && xhr.getResponseHeader("X-Swap"));
    if (answered && elt.matches && elt.matches(".call-form")) elt.elements.key.value = newKey();
    // What was pressed may have been fetched anew meanwhile: then the lists would not hear that something changed.
    const news = (xhr && xhr.getResponseHeader("HX-Trigger")) || "";
    if (!elt.isConnected && news.includes("call-changed")) htmx.trigger(document.body, "call-changed");
    setButtons();
  });
  document.addEventListener("htmx:load", (event) => {
    localize(event.detail.elt);
    setButtons();
  });
  document.addEventListener("htmx:oobAfterSwap", setClock);

  // --- what has to be entered elsewhere is copied ---
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = button.dataset.done;
  });

  // --- on a narrow page the tab that one is on is in sight ---
  const tab = document.querySelector(".nav [aria-current]");
  if (tab) tab.parentElement.scrollLeft = tab.offsetLeft + tab.offsetWidth - innerWidth;

  // --- a look at a list ends with the list: its late answer would bring the old count beside a new list ---
  document.addEventListener("htmx:beforeCleanupElement", ({ target }) => {
    if (target instanceof Element && target.matches("[hx-trigger*=call-changed]")) htmx.trigger(target, "htmx:abort");
  });

  // --- what somebody has opened stays open when its part is fetched anew ---
  const opened = new Set();
  document.addEventListener("toggle", ({ target }) => {
    if (target.matches("details[data-keep]")) opened[target.open ? "add" : "delete"](target.id);
  }, true);
  document.addEventListener("htmx:load", (event) => {
    for (const one of event.detail.elt.querySelectorAll("details[data-keep]")) one.open = opened.has(one.id);
  });

  // --- the menu closes like one ---
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    const menu = document.querySelector("details.menu[open]");
    if (event.key !== "Escape" || !menu) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });

  // --- a page at its top is reloaded at its top: else the browser scrolls a new banner away, to keep the rest in place ---
  addEventListener("pagehide", () => {
    history.scrollRestoration = scrollY ? "auto" : "manual";
  });

  // --- days are the reader's: the server is told which zone that is ---
  const zone = new Intl.DateTimeFormat().resolvedOptions().timeZone || "";
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `zone=${encodeURIComponent(zone)}; path=/; max-age=31536000; samesite=lax${secure}`;
  for (const field of document.querySelectorAll("input[data-zone]")) field.value = zone;

  // --- what somebody typed or chose before these scripts had come is searched for ---
  const isNew = (field) => field.matches("select")
    ? [...field.options].some((one) => one.selected !== one.defaultSelected && one.index > 0)
    : field.value !== field.defaultValue;
  document.addEventListener("DOMContentLoaded", () => {
    for (const form of document.querySelectorAll("form[role=search][hx-get]")) {
      if ([...form.elements].some((field) => field.matches("input, select") && isNew(field))) htmx.trigger(form, "submit");
    }
  });

  localize(document);
})();

// What the live panel remembers by itself: its size, words that are still being typed, and the chosen caller ID.
(() => {
  "use strict";
  const panel = document.querySelector("aside.panel");
  if (!panel) return;

  // --- a pill, while somebody wants to see the page behind it ---
  const size = document.getElementById("panel-size");
  function setSize(isSmall) {
    panel.classList.toggle("small", isSmall);
    size.setAttribute("aria-expanded", String(!isSmall));
    sessionStorage.setItem("panel-small", isSmall ? "yes" : "");
  }
  size.addEventListener("click", () => setSize(!panel.classList.contains("small")));
  setSize(sessionStorage.getItem("panel-small") === "yes");

  // --- one answer at a time: what somebody pressed brings the panel itself, and a look at it meanwhile would take the
  // --- pressed button, and words that are being typed, out of the page before that answer comes
  const pressed = () => document.querySelector('.htmx-request[hx-target="#panel"], #panel .htmx-request:not(.note-form)');
  document.addEventListener("htmx:confirm", (event) => {
    if (event.detail.elt.id === "panel" && pressed()) event.preventDefault();
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { requestConfig, target } = event.detail;
    if (!target.isConnected || (requestConfig.elt.id === "panel" && pressed())) event.detail.shouldSwap = false;
  });

  // --- a note that was typed in the last moment goes along with whoever leaves the page ---
  document.addEventListener("input", (event) => {
    const form = event.target.closest(".note-form");
    if (form) form.dataset.unsaved = "yes";
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    const form = event.detail.elt;
    if (form.matches && form.matches(".note-form") && event.detail.successful) delete form.dataset.unsaved;
  });
  addEventListener("pagehide", () => {
    for (const form of document.querySelectorAll(".note-form[data-unsaved]")) {
      navigator.sendBeacon(form.action, new FormData(form));
    }
  });

  // --- whoever types while the panel is swapped goes on typing, also where the browser moves no focus along ---
  let typing = null;
  document.addEventListener("htmx:beforeSwap", () => {
    const field = document.activeElement;
    typing = field && field.closest(".note-form") ? { field, at: field.selectionStart } : null;
  });
  document.addEventListener("htmx:afterSwap", () => {
    if (!typing || document.activeElement === typing.field || !typing.field.isConnected) return;
    typing.field.focus({ preventScroll: true });
    typing.field.setSelectionRange(typing.at, typing.at);
  });

  // --- whoever pressed something in the panel stays in it: a disabled or replaced button gives its focus away ---
  let held = null;
  document.addEventListener("htmx:beforeRequest", (event) => {
    const button = document.activeElement;
    if (event.detail.elt.id !== "panel" && panel.contains(button)) held = button;
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (!held || event.detail.elt.id === "panel") return;
    const button = held;
    held = null;
    if (document.activeElement !== document.body) return;
    if (button.isConnected && !button.disabled) button.focus({ preventScroll: true });
    else if (panel.querySelector("[data-shown]")) panel.focus({ preventScroll: true });
  });

  // --- one caller ID at a time: what is chosen beside one button holds for all of the page ---
  document.addEventListener("change", (event) => {
    if (event.target.name !== "caller_id") return;
    for (const one of document.querySelectorAll('input[name="caller_id"]')) one.checked = one.value === event.target.value;
  });

  // --- the little menus close like one ---
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.split[open]")) {
      if (!menu.contains(event.target) || event.target.closest("button")) menu.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    const menu = event.target.closest && event.target.closest("details.split[open]");
    if (event.key !== "Escape" || !menu) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
})();

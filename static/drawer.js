// The history's drawer: one call beside the list, with an address of its own, so that back closes it and a link opens it.
(() => {
  "use strict";
  const drawer = document.getElementById("drawer");
  if (!drawer) return;
  const body = document.getElementById("drawer-body");
  const behind = document.querySelector(".behind-drawer");
  const narrow = matchMedia("(max-width: 40rem)");

  const callIn = (address) => new URL(address).searchParams.get("call");
  function withCall(id) {
    const address = new URL(location.href);
    if (id) address.searchParams.set("call", id);
    else address.searchParams.delete("call");
    return address;
  }
  const rest = (address) => {
    const without = new URL(address);
    without.searchParams.delete("call");
    return without.pathname + without.search;
  };
  let here = location.href; // what the page shows, to tell a step back within it from one out of it
  let opener = null; // where the focus goes back to

  function setBehind() {
    behind.inert = drawer.open && narrow.matches; // it covers the whole page there
  }
  narrow.addEventListener("change", setBehind);

  function open(id) {
    const page = `${drawer.dataset.list}${id}/`;
    drawer.querySelector("[data-drawer-page]").href = page;
    for (const row of document.querySelectorAll("[data-drawer]")) {
      row.closest("li").classList.toggle("in-drawer", row.dataset.drawer === id);
    }
    body.replaceChildren();
    if (!drawer.open) drawer.show();
    setBehind();
    drawer.scrollTop = 0;
    drawer.querySelector("[data-close-drawer]").focus({ preventScroll: true });
    htmx.ajax("GET", page, { target: "#drawer-body", swap: "innerHTML" });
  }
  function close() {
    if (!drawer.open) return;
    const id = callIn(here);
    drawer.close();
    body.replaceChildren(); // whatever played there stops
    setBehind();
    for (const row of document.querySelectorAll(".in-drawer")) row.classList.remove("in-drawer");
    const row = opener?.isConnected ? opener : document.querySelector(`[data-drawer="${CSS.escape(id || "")}"]`);
    row?.focus();
    opener = null;
  }
  // Back where the list was, if that is the step before; else the list takes the drawer's place.
  function leave() {
    if (history.state?.drawer) history.back();
    else {
      history.replaceState(null, "", withCall(null));
      close();
      here = location.href;
    }
  }

  document.addEventListener("click", (event) => {
    const row = event.target.closest("[data-drawer]");
    if (row && !(event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey)) {
      event.preventDefault();
      opener = row;
      // One step back closes it, however many calls were looked at.
      if (callIn(location.href)) history.replaceState(history.state, "", withCall(row.dataset.drawer));
      else history.pushState({ drawer: true }, "", withCall(row.dataset.drawer));
      here = location.href;
      open(row.dataset.drawer);
    } else if (event.target.closest("[data-close-drawer]")) {
      leave();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !drawer.open || event.defaultPrevented) return;
    if (event.target.closest("details.menu, textarea, select, input:not([type=range])")) return; // theirs
    leave();
  });
  // Before htmx, which would load the page again: only the drawer differs.
  addEventListener("popstate", (event) => {
    if (rest(here) !== rest(location.href)) {
      if (!event.state?.htmx) location.reload(); // htmx reloads what it has pushed itself
      return;
    }
    event.stopImmediatePropagation();
    const [was, is] = [callIn(here), callIn(location.href)];
    if (is && is !== was) open(is);
    else if (!is) close();
    here = location.href;
  }, true);
  for (const name of ["htmx:pushedIntoHistory", "htmx:replacedInHistory"]) {
    document.addEventListener(name, () => {
      // Other filters, and the same call beside them.
      const id = drawer.open && callIn(here);
      if (id) history.replaceState(history.state, "", withCall(id));
      here = location.href;
    });
  }
  document.addEventListener("htmx:responseError", (event) => {
    if (event.detail.target === body) leave(); // the toast says why
  });

  const asked = callIn(location.href);
  if (asked) open(asked);
})();

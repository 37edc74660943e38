// What a live update does to a page: fetch what changed at once, and ask by itself less often while updates come.
(() => {
  "use strict";
  const { updates, updatesWorker, member } = document.body.dataset;

  // --- which parts follow a call, and how often they ask while the stream lives (milliseconds) ---
  const parts = ["panel", "call", "board"];
  const whileLive = 5_000, otherwise = 30_000;
  const GATHER = 500; // lists of a busy team are fetched that often at most
  const asked = {};
  let up = false, asking = false, missed = false, waiting = 0, last = 0;

  function rests(part) {
    const isLive = document.querySelector("#panel[data-live]") !== null;
    return performance.now() - (asked[part] ?? -Infinity) < (isLive ? whileLive : otherwise);
  }
  // Only a poll has no event that brought it about.
  document.addEventListener("htmx:confirm", (event) => {
    const part = event.detail.elt.id;
    if (!parts.includes(part)) return;
    if (up && !asking && !event.detail.triggeringEvent && rests(part)) event.preventDefault();
    else asked[part] = performance.now();
  });

  // --- a change; one that comes while a part is being fetched may be newer than the answer: it is fetched again ---
  const fetching = new Set(), again = new Map();
  const partOf = (event) => event.detail.requestConfig?.elt?.id;
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (parts.includes(partOf(event))) fetching.add(partOf(event));
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    const part = partOf(event);
    if (!fetching.delete(part) || !again.has(part)) return;
    const call = again.get(part);
    again.delete(part);
    refresh(part, call);
  });
  function refresh(part, call) {
    if (fetching.has(part)) {
      again.set(part, call);
      return;
    }
    const element = document.getElementById(part);
    const path = element && element.getAttribute("hx-get");
    if (!path || (call && !path.includes(call))) return;
    asking = true;
    htmx.ajax("GET", path, { source: element, target: element, swap: "outerHTML" });
    asking = false;
  }
  function lists() {
    if (waiting) return;
    const left = Math.max(last + GATHER - performance.now(), 0);
    waiting = setTimeout(() => {
      waiting = 0;
      last = performance.now();
      htmx.trigger(document.body, "call-changed");
    }, left);
  }
  function changed(call, mine) {
    if (document.hidden) {
      missed = true;
      return;
    }
    if (mine) refresh("panel");
    refresh("call", call); // the one that is open, on its page or in the drawer
    lists();
  }

  // --- the stream, one for all tabs where there are shared workers ---
  const address = new URL(updatesWorker, location.href);
  address.searchParams.set("stream", new URL(updates, location.href).href);
  address.searchParams.set("member", member); // another's session has a worker, and a stream, of its own
  let port = null;
  function hear() {
    port = window.SharedWorker ? new SharedWorker(address).port : (port ?? new Worker(address));
    port.onmessage = ({ data }) => {
      up = data.is !== "down";
      document.documentElement.dataset.updates = up ? "come" : "";
      if (up) changed(data.call ?? null, data.mine ?? true);
    };
    port.postMessage("hello");
  }
  function leave() {
    port.postMessage("bye");
    up = false;
  }
  addEventListener("pagehide", leave);
  addEventListener("pageshow", (event) => {
    if (event.persisted) hear();
  });
  document.addEventListener("visibilitychange", () => {
    if (!window.SharedWorker) (document.hidden ? leave : hear)();
    if (document.hidden || !missed) return;
    missed = false;
    changed(null, true);
  });
  hear();
})();

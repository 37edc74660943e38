// One stream of live updates for all tabs of a browser (a shared worker, where there are such): browsers open few connections to a host, and
// a stream holds one. What the network says of a stream that broke stays in here as well.
(() => {
  "use strict";
  const SILENT = 40_000; // milliseconds without a beat (calls/live/app.py), after which a stream is dead
  const FIRST = 2_000, LONGEST = 60_000; // until a refused stream is asked for again
  const address = new URL(self.location.href).searchParams.get("stream");
  const pages = new Set();
  let stream = null, silent = 0, again = 0, wait = FIRST, up = false;

  function tell(said) {
    for (const page of pages) page.postMessage(said);
  }
  function down() {
    if (up) tell({ is: "down" });
    up = false;
  }
  function heard() {
    clearTimeout(silent);
    silent = setTimeout(restart, SILENT);
  }
  function restart() {
    down();
    end();
    open();
  }
  function open() {
    stream = new EventSource(address, { withCredentials: true });
    heard();
    stream.addEventListener("sync", () => {
      heard();
      wait = FIRST;
      up = true;
      tell({ is: "sync" });
    });
    stream.addEventListener("call", (event) => {
      heard();
      tell({ is: "call", ...JSON.parse(event.data) });
    });
    stream.addEventListener("lost", () => {
      heard();
      down();
    });
    stream.addEventListener("beat", heard);
    stream.addEventListener("error", () => {
      down();
      if (stream.readyState !== EventSource.CLOSED) return; // it comes again by itself
      clearTimeout(silent);
      clearTimeout(again);
      again = setTimeout(restart, wait * (0.5 + Math.random() / 2));
      wait = Math.min(wait * 2, LONGEST);
    });
  }

  function end() {
    clearTimeout(silent);
    clearTimeout(again);
    if (stream) stream.close();
    stream = null;
    up = false;
  }

  function greet(page) {
    page.onmessage = ({ data }) => {
      if (data === "bye") {
        pages.delete(page);
        if (pages.size === 0) end();
        return;
      }
      pages.add(page);
      if (up) page.postMessage({ is: "sync" });
      else if (!stream || stream.readyState === EventSource.CLOSED) restart();
    };
  }
  if ("onconnect" in self) self.addEventListener("connect", (event) => greet(event.ports[0]));
  else greet(self); // a browser without shared workers: each tab has its own, while it is looked at
})();

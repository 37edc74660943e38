// Recordings: one player with the keys K J L M and a speed that is remembered; one plays at a time.
(() => {
  "use strict";
  const STEP = 5; // seconds
  const SPEED = "player-speed";
  let last = null; // the player that was used last: the keys are its

  const two = (number) => String(number).padStart(2, "0");
  function words(seconds) {
    const whole = Math.floor(seconds || 0);
    const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
    return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
  }
  const part = (player, selector) => player.querySelector(selector);
  const audioOf = (player) => part(player, "audio");
  const playerOf = (node) => (node instanceof Element ? node.closest("[data-player]") : null);
  const seek = (player) => part(player, ".player-seek");
  function lengthOf(player) {
    const { duration } = audioOf(player);
    return Number.isFinite(duration) ? duration : Number(seek(player).max);
  }

  // --- the speed: the reader's, wherever the storage may be used ---
  function speed() {
    try {
      return localStorage.getItem(SPEED) || "1";
    } catch {
      return "1";
    }
  }
  function keepSpeed(value) {
    try {
      localStorage.setItem(SPEED, value);
    } catch {
      // Not remembered then.
    }
    for (const player of document.querySelectorAll("[data-player][data-ready]")) setSpeed(player, value);
  }
  function setSpeed(player, value) {
    const select = part(player, ".player-speed");
    select.value = value;
    if (!select.value) select.value = value = "1"; // what somebody else has stored there
    audioOf(player).defaultPlaybackRate = audioOf(player).playbackRate = Number(value);
  }

  // --- what it shows ---
  function show(player) {
    const [audio, range] = [audioOf(player), seek(player)];
    const total = lengthOf(player);
    range.max = String(Math.ceil(total));
    if (!range.matches(":active")) range.value = String(Math.floor(audio.currentTime));
    range.setAttribute("aria-valuetext", `${words(audio.currentTime)} ${player.dataset.of} ${words(total)}`);
    part(player, "[data-elapsed]").textContent = words(audio.currentTime);
    part(player, "[data-total]").textContent = words(total);
    const toggle = part(player, "[data-does=toggle]");
    toggle.setAttribute("aria-label", audio.paused ? player.dataset.play : player.dataset.pause);
    player.toggleAttribute("data-playing", !audio.paused);
    part(player, "[data-does=mute]").setAttribute("aria-pressed", String(audio.muted));
  }
  function ready(root) {
    for (const player of root.querySelectorAll("[data-player]:not([data-ready])")) {
      player.setAttribute("data-ready", "");
      audioOf(player).removeAttribute("controls");
      part(player, ".player-bar").hidden = false;
      setSpeed(player, speed());
      show(player);
    }
  }

  // --- what can be done ---
  function play(player) {
    last = player;
    audioOf(player).play().catch(() => {}); // its error event says why
  }
  function move(player, seconds) {
    const audio = audioOf(player);
    audio.currentTime = Math.min(Math.max(audio.currentTime + seconds, 0), lengthOf(player));
    show(player);
  }
  const deeds = {
    toggle: (player) => (audioOf(player).paused ? play(player) : audioOf(player).pause()),
    back: (player) => move(player, -STEP),
    on: (player) => move(player, STEP),
    mute: (player) => (audioOf(player).muted = !audioOf(player).muted),
    retry: (player) => {
      part(player, ".player-trouble").hidden = true;
      audioOf(player).load();
      play(player);
    },
  };
  const keys = { k: "toggle", j: "back", l: "on", m: "mute" };

  // Why it cannot be played: the server says it in a sentence, unless it cannot be reached either.
  async function explain(player) {
    let why = "";
    try {
      const answer = await fetch(audioOf(player).getAttribute("src"), { headers: { Range: "bytes=0-0" } });
      if (!answer.ok) why = (await answer.json()).errors[0].detail;
    } catch {
      // Unavailable, for reasons unknown.
    }
    part(player, "[data-why]").textContent = why || player.dataset.failed;
    part(player, ".player-trouble").hidden = false;
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-does]");
    const player = button && playerOf(button);
    if (!player) return;
    last = player;
    deeds[button.dataset.does](player);
  });
  document.addEventListener("input", (event) => {
    const player = playerOf(event.target);
    if (!player || !event.target.matches(".player-seek")) return;
    last = player;
    audioOf(player).currentTime = Number(event.target.value);
    show(player);
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches(".player-speed")) keepSpeed(event.target.value);
  });
  document.addEventListener("keydown", (event) => {
    const does = keys[event.key.toLowerCase()];
    if (!does || event.ctrlKey || event.metaKey || event.altKey || event.repeat && does !== "back" && does !== "on") return;
    if (event.target.closest("input:not([type=range]), textarea, select, [contenteditable]")) return;
    if (!last?.isConnected) last = document.querySelector(".drawer[open] [data-player]") || document.querySelector("[data-player]");
    if (!last) return;
    event.preventDefault();
    deeds[does](last);
  });

  // Media events do not bubble, but they are captured.
  for (const name of ["play", "pause", "timeupdate", "durationchange", "volumechange", "ended", "seeked"]) {
    document.addEventListener(name, (event) => {
      const player = playerOf(event.target);
      if (!player?.hasAttribute("data-ready")) return;
      if (name === "play") {
        for (const audio of document.querySelectorAll("audio")) if (audio !== event.target) audio.pause();
      }
      show(player);
    }, true);
  }
  document.addEventListener("error", (event) => {
    const player = playerOf(event.target);
    if (player && event.target.matches("audio")) explain(player);
  }, true);

  // --- Listen: a row's player is fetched when it is asked for, and begins at once ---
  const placeOf = (button) => document.getElementById(button.getAttribute("aria-controls"));
  function unfold(button, isOpen) {
    placeOf(button).hidden = !isOpen;
    button.setAttribute("aria-expanded", String(isOpen));
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest(".listen");
    if (!button) return;
    const place = placeOf(button);
    if (button.getAttribute("aria-expanded") === "true") {
      for (const audio of place.querySelectorAll("audio")) audio.pause();
      unfold(button, false);
      catchUp();
    } else if (place.querySelector("[data-player]")) {
      unfold(button, true);
      play(place.querySelector("[data-player]"));
    } else {
      htmx.trigger(button, "listen");
    }
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    const place = event.detail.target;
    if (!place.matches(".row-player")) return;
    const button = document.querySelector(`[aria-controls="${place.id}"]`);
    ready(place);
    unfold(button, true);
    const player = part(place, "[data-player]");
    if (player) play(player);
  });
  // A list that would renew itself waits while a player is open in it, and catches up afterwards.
  let isHeld = false;
  const isOpenIn = (list) => list.id === "found" && list.querySelector(".listen[aria-expanded=true], .listen.htmx-request");
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (!isOpenIn(event.detail.elt)) return;
    isHeld = true;
    event.preventDefault();
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (!isOpenIn(event.detail.target)) return;
    isHeld = true;
    event.detail.shouldSwap = false;
  });
  function catchUp() {
    if (!isHeld || document.querySelector("#found .listen[aria-expanded=true]")) return;
    isHeld = false;
    htmx.trigger(document.body, "call-changed");
  }

  document.addEventListener("htmx:load", (event) => ready(event.detail.elt.parentNode || document));
  ready(document);
})();

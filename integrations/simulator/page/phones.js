// The phones' web page: shows the simulator's state as it changes, and sends what a person does.
"use strict";

const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];
const BEHAVIOURS = {
  manual: "as you decide (by hand)",
  answer: "answers by itself",
  "no-answer": "never answers",
  busy: "is busy",
  reject: "declines",
  fail: "cannot be reached",
  voicemail: "is a voicemail",
};
const find = (selector, root = document) => root.querySelector(selector);
const alone = location.pathname.startsWith("/phone/") ? decodeURIComponent(location.pathname.slice(7)) : null;
const shown = new Set(alone ? [alone] : []); // phones that the person asked for
const cards = new Map();
const problems = new Map();
const said = new Map();
let latest = null;

async function act(number, name, body) {
  problems.delete(number);
  try {
    const response = await fetch(`/simulator/phones/${encodeURIComponent(number)}/${name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body || {}),
    });
    if (!response.ok) problems.set(number, (await response.json()).error);
  } catch {
    problems.set(number, "The simulator does not answer. Is it still running?");
  }
  if (latest) render(latest);
}

async function behave(number, does) {
  await fetch(`/simulator/phones/${encodeURIComponent(number)}`, {
    method: "PUT",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ does }),
  });
}

function makeCard(number) {
  const card = find("#phone-template").content.firstElementChild.cloneNode(true);
  card.setAttribute("aria-label", `Phone ${number}`);
  const link = find(".number", card);
  link.textContent = number;
  link.href = `/phone/${encodeURIComponent(number)}`;
  for (const button of card.querySelectorAll("[data-act]")) {
    button.setAttribute("aria-label", `${button.textContent} ${number}`);
    button.addEventListener("click", () => act(number, button.dataset.act));
  }
  for (const key of KEYS) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = key;
    button.setAttribute("aria-label", { "*": "star", "#": "hash" }[key] || key);
    button.addEventListener("click", () => act(number, "press", { digits: key }));
    find(".keypad", card).append(button);
  }
  card.addEventListener("keydown", (event) => {
    const typed = KEYS.includes(event.key) && !event.ctrlKey && !event.metaKey && !event.altKey;
    if (typed && card.dataset.state === "in call" && event.target.tagName !== "SELECT") {
      event.preventDefault();
      act(number, "press", { digits: event.key });
    }
  });
  const select = find("select", card);
  for (const [value, words] of Object.entries(BEHAVIOURS)) select.append(new Option(words, value));
  select.addEventListener("change", () => behave(number, select.value));
  return card;
}

function seconds(from, to) {
  const total = Math.max(0, Math.floor((Date.parse(to) - Date.parse(from)) / 1000));
  return `${String(Math.floor(total / 60)).padStart(2, "0")}:${String(total % 60).padStart(2, "0")}`;
}

function describe(phone, state) {
  const call = phone.calls[0];
  const last = call || [...state.calls.live, ...state.calls.recent].find((one) => one.handset === phone.number);
  if (!call) return { badge: "Idle", detail: last ? `Last call: ${last.status}` : "No call yet", last };
  const other = call.direction === "inbound" ? call.to : call.from;
  if (phone.state === "ringing") return { badge: "Ringing", detail: `Call from ${other}`, last };
  const partner = state.calls.live.find((one) => one.sid === call.bridged_with);
  const detail = partner
    ? `Talking with ${partner.handset}`
    : call.gathering ? "Waiting for a key" : "Connected, hears the application";
  return { badge: `In call ${seconds(call.answered_at || state.now, state.now)}`, detail, last };
}

function renderPhone(phone, state) {
  let card = cards.get(phone.number);
  if (!card) {
    card = makeCard(phone.number);
    cards.set(phone.number, card);
    find("#phones").append(card);
  }
  const { badge, detail, last } = describe(phone, state);
  card.dataset.state = phone.state;
  const badgeText = phone.state === "in call" ? badge.replace(/ [\d:]+$/, "") : badge;
  if (find(".badge", card).textContent !== badgeText) find(".badge", card).textContent = badgeText;
  const timer = phone.state === "in call" ? ` · ${badge.match(/[\d:]+$/)[0]}` : "";
  find(".detail", card).textContent = detail + timer;
  const ringing = phone.state === "ringing", talking = phone.calls.some((one) => one.answered_at);
  find(".answer", card).disabled = !ringing;
  find(".decline", card).disabled = !ringing;
  find(".hangup", card).disabled = !talking;
  for (const key of find(".keypad", card).children) key.disabled = !talking;
  const lines = last ? last.heard : [];
  const list = find(".heard ul", card);
  find(".heard", card).hidden = lines.length === 0;
  find(".heard h4", card).textContent = talking ? "Hears" : "Heard last";
  if (list.dataset.lines !== `${last && last.sid}${lines.length}`) {
    list.dataset.lines = `${last && last.sid}${lines.length}`;
    list.replaceChildren(...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
    list.scrollTop = list.scrollHeight;
  }
  find(".problem", card).textContent = problems.get(phone.number) || "";
  const select = find("select", card);
  if (document.activeElement !== select) select.value = phone.behaviour.does;
  announce(phone, badgeText, lines);
}

function announce(phone, badge, lines) {
  const words = `${phone.number}: ${phone.state === "ringing" ? phone.calls.map((one) => `ringing, call from ${one.from}`).join() : badge}${lines.length ? `. Hears: ${lines.at(-1)}` : ""}`;
  const before = said.get(phone.number);
  said.set(phone.number, words);
  if (before !== undefined && before !== words) find("#announcement").textContent = words;
}

function renderLog(state) {
  const list = find("#log");
  const open = new Set([...list.querySelectorAll("details[open]")].map((one) => one.dataset.id));
  const calls = alone
    ? new Set([...state.calls.live, ...state.calls.recent].filter((one) => one.handset === alone).map((one) => one.sid))
    : null;
  const entries = state.requests.filter((one) => !calls || calls.has(one.call_sid)).reverse();
  const key = entries.map((one) => `${one.id}${one.done}`).join();
  find("#log-empty").hidden = entries.length > 0;
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...entries.map((entry) => logLine(entry, open)));
}

function logLine(entry, open) {
  const make = (tag, className, text) => Object.assign(document.createElement(tag), { className, textContent: text });
  const details = document.createElement("details");
  details.dataset.id = entry.id;
  details.open = open.has(String(entry.id));
  const summary = document.createElement("summary");
  const status = entry.params.RecordingStatus || entry.params.DialCallStatus || entry.params.CallStatus || "";
  const result = make("span", "result", entry.status ? String(entry.status) : entry.done ? "no answer" : "waiting…");
  result.dataset.ok = entry.status ? (entry.status < 400 ? "yes" : "no") : entry.done ? "no" : "wait";
  const retry = entry.attempt > 1 ? ` (attempt ${entry.attempt})` : "";
  summary.append(
    make("time", "", entry.sent_at.slice(11, 19)),
    make("span", "kind", entry.kind),
    make("span", "what", `${status ? `${status} · ` : ""}${new URL(entry.url).pathname}${retry}`),
    result,
  );
  const parameters = Object.entries(entry.params).filter(([, value]) => value).map(([name, value]) => `${name}: ${value}`);
  const answer = entry.error || entry.body || "(no body)";
  const milliseconds = entry.milliseconds === null ? "" : ` in ${entry.milliseconds} ms`;
  details.append(
    summary,
    make("pre", "", `${entry.method} ${entry.url}\n${parameters.join("\n")}\n\nAnswer${milliseconds}:\n${answer}`),
  );
  const item = document.createElement("li");
  item.append(details);
  return item;
}

function render(state) {
  latest = state;
  const numbers = new Set([...Object.keys(state.phones), ...shown]);
  const wanted = [...numbers].filter((number) => !alone || number === alone);
  for (const number of wanted) {
    renderPhone(
      state.phones[number] || { number, state: "idle", calls: [], behaviour: state.default_phone },
      state,
    );
  }
  for (const [number, card] of cards) {
    if (!wanted.includes(number)) {
      card.remove();
      cards.delete(number);
    }
  }
  find("#empty").hidden = wanted.length > 0;
  const speed = state.speed === 1 ? "" : ` · ${state.speed}× speed`;
  find("#clock").textContent = `${state.now.slice(11, 19)} UTC${speed} · ${state.counts.live} live, ${state.counts.calls} in all`;
  const ringing = Object.values(state.phones).filter((phone) => phone.state === "ringing").length;
  document.title = `${ringing ? `(${ringing} ringing) ` : ""}${alone ? `Phone ${alone}` : "Simulated phones"}`;
  renderLog(state);
}

function connected(state, words) {
  const label = find("#connection");
  label.dataset.state = state;
  if (label.textContent !== words) label.textContent = words;
}

function start() {
  if (alone) {
    document.body.classList.add("alone");
    find("#back").hidden = false;
    find("#add").hidden = true;
    find("h1").textContent = "Simulated phone";
    find("#phones-title").textContent = "Phone";
  }
  find("#add").addEventListener("submit", (event) => {
    event.preventDefault();
    shown.add(find("#number").value.trim());
    find("#number").value = "";
    if (latest) render(latest);
  });
  const stream = new EventSource("/simulator/events");
  stream.addEventListener("open", () => connected("live", "Connected"));
  stream.addEventListener("state", (event) => render(JSON.parse(event.data)));
  stream.addEventListener("error", () => connected("lost", "Connection lost, trying again…"));
  setInterval(() => {
    if (!latest || !latest.calls.live.length) return;
    latest.now = new Date(Date.parse(latest.now) + 1000 * latest.speed).toISOString();
    render(latest);
  }, 1000);
}

start();

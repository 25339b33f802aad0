// The panel: one connection, what it says, and what is asked over it.

import { Side } from "./draw.js";
import { Listen } from "./listen.js";

const RETRY_MS = 1000;
const SENT_AT_MOST_MS = 60; // while a slider moves
const SETTLE_MS = 800; // what a person has just set is not set back by an older status
const NO_LIMIT = 61; // the end of the slider
const LOG_MAX = 200;
const WRONG_TOKEN = 4401;
const TOO_MANY = 4429;
const LABELS = {
  WF: "WF, Wiener filter", SS: "SS, spectral subtraction", CAN: "CAN, network", bypass: "bypass, nothing",
  device_in: "microphone", block: "block", algorithm: "method", queue: "queue", compute: "compute", device_out: "output",
};
const SILENT = ["watch", "devices", "hold"]; // an error that is shown stays
const PARTS = ["device_in", "block", "algorithm", "queue", "compute", "device_out"];

const $ = (id) => document.getElementById(id);
const sides = { before: new Side("before"), after: new Side("after") };
const listen = new Listen(complain);
const waiting = new Map();
const touched = {};
let socket = null;
let token = "";
let panel = null;
let status = null;
let asked = 0;
let hidden = ""; // the trouble that the user has put away

// the connection

function takeToken() {
  if (location.hash.length > 1) {
    sessionStorage.setItem("token", location.hash.slice(1));
    history.replaceState(null, "", location.pathname);
  }
  token = sessionStorage.getItem("token") ?? "";
}

function connect() {
  takeToken();
  if (!token) {
    refuse();
    return;
  }
  socket = new WebSocket(`ws://${location.host}/socket`);
  socket.onopen = () => socket.send(JSON.stringify({ token }));
  socket.onmessage = (message) => hear(JSON.parse(message.data));
  socket.onclose = (event) => {
    [panel, status] = [null, null];
    waiting.forEach((settle) => settle({ ok: false, error: "the panel has ended" }));
    waiting.clear();
    if (event.code === WRONG_TOKEN) {
      sessionStorage.removeItem("token");
      refuse();
      return;
    }
    state(event.code === TOO_MANY ? "Too many pages" : "No panel", "wrong");
    warn(event.code === TOO_MANY
      ? "Too many pages of this panel are open: close one."
      : "The panel does not answer. Is rtdenoise panel still running?");
    render();
    setTimeout(connect, RETRY_MS);
  };
}

function refuse() {
  state("Locked", "wrong");
  warn("This address lacks the right token. Open the address that rtdenoise panel has printed.");
  render();
}

addEventListener("hashchange", () => { if (location.hash.length > 1) location.reload(); });

function hear(message) {
  if (message.event === "meters") {
    const now = performance.now();
    sides.before.draw(message.meters.before, message.meters.top_hz, now);
    sides.after.draw(message.meters.after, message.meters.top_hz, now);
  } else if (message.event === "answer") {
    waiting.get(message.id)?.(message);
    waiting.delete(message.id);
  } else if (message.event === "welcome") {
    token = message.token;
    sessionStorage.setItem("token", token);
    warn("");
    ask("watch", { on: !document.hidden });
  } else if (message.event === "panel") {
    panel = message;
    render();
  } else if (message.event === "status") {
    if (message.status === null) Object.values(sides).forEach((side) => side.rest());
    status = message.status;
    render();
  } else if (message.event === "told") {
    log(message.line);
  }
}

async function ask(what, fields = {}) {
  if (socket?.readyState !== WebSocket.OPEN) return false;
  const id = ++asked;
  const answer = new Promise((settle) => waiting.set(id, settle));
  socket.send(JSON.stringify({ do: what, id, ...fields }));
  const { ok, error } = await answer;
  if (!ok) complain(error);
  else if (!SILENT.includes(what)) complain("");
  render();
  return ok;
}

// words

function state(text, kind = "") {
  if ($("state").textContent !== text) $("state").textContent = text;
  $("state").className = `pill ${kind}`;
}

function show(id, text) {
  let line = $(id);
  if (!text) {
    line?.remove();
    return;
  }
  if (!line) {
    line = document.createElement("p");
    line.id = id;
    $("alerts").append(line);
  }
  if (line.textContent !== text) line.textContent = text;
}

function warn(text) { show("alert-connection", text); }

function complain(text) { show("alert-error", text && text[0].toUpperCase() + text.slice(1)); }

function log(line) {
  const item = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = new Date().toLocaleTimeString();
  item.append(time, line);
  $("log").prepend(item);
  while ($("log").children.length > LOG_MAX) $("log").lastChild.remove();
  $("log-empty").hidden = true;
}

// drawing what is known

function options(select, pairs) {
  const key = JSON.stringify(pairs);
  if (select.dataset.key === key) return;
  select.dataset.key = key;
  const value = select.value;
  select.replaceChildren(...pairs.map(([each, text]) => new Option(text, each)));
  select.value = value;
}

function justTouched(id) { return performance.now() - (touched[id] ?? -Infinity) < SETTLE_MS; }

function set(id, value) {
  if (justTouched(id)) return;
  const element = $(id);
  if (element.type === "checkbox") element.checked = value;
  else if (element.value !== String(value)) element.value = value;
}

function render() {
  const there = panel?.phase === "there" && status !== null;
  const idle = panel?.phase === "none";
  renderState(there);
  $("start").hidden = !idle;
  $("stop").hidden = !panel || idle;
  $("stop").disabled = panel?.phase === "ending";
  document.querySelectorAll("select, #limit, #mix, #keep, #check, #leave").forEach((each) => { each.disabled = !panel; });
  document.querySelectorAll("#heard input, #hold, #record, #test, #mark, #mark-form button").forEach((each) => {
    each.disabled = !there || status.state !== "running";
  });
  if (!panel) return;
  renderMethod(there);
  renderDevices(there);
  renderDelay(there ? status.latency_ms : {});
  renderCounts(there);
  renderRecording(there);
  renderTrouble();
  set("keep", panel.keep);
}

function renderState(there) {
  if (!panel) return;
  if (panel.phase === "starting") state("Starting");
  else if (panel.phase === "ending") state("Ending");
  else if (!there) state("Off");
  else if (status.state === "running") state(status.bypass ? "Live, original" : `Live, ${status.method}`, "live");
  else state(status.state === "waiting" ? "Waiting for the device" : "Opening the devices");
}

function renderMethod(there) {
  const now = there ? status : panel.choices;
  options($("method"), panel.methods.map((name) => [name, LABELS[name] ?? name]));
  options($("preset"), panel.presets.map((name) => [name, name]));
  options($("model"), panel.models.map((name) => [name, name]));
  set("method", now.method);
  set("preset", now.preset);
  set("model", now.model);
  $("model-field").hidden = $("method").value !== "CAN";
  const limit = now.attenuation_limit_db;
  const known = there || limit !== undefined;
  set("limit", limit === null ? NO_LIMIT : Math.min(60, Math.round(limit ?? 18)));
  set("mix", Math.round(100 * (now.mix ?? 1)));
  sayLimit(known);
  sayMix();
  const heard = there && status.bypass ? "before" : "after";
  if (!justTouched("heard")) {
    document.querySelectorAll("input[name=heard]").forEach((input) => { input.checked = input.value === heard; });
  }
  const reduction = there ? status.noise_reduction_db : null;
  $("reduction").textContent = reduction === null ? "" : `Noise in pauses is ${reduction.toFixed(0)} dB lower.`;
}

function sayLimit(known = true) {
  const value = Number($("limit").value);
  const words = !known ? "as the preset says" : value >= NO_LIMIT ? "no limit" : `${value} dB`;
  $("limit-value").textContent = words;
  $("limit").setAttribute("aria-valuetext", words);
}

function sayMix() {
  $("mix-value").textContent = `${$("mix").value} %`;
  $("mix").setAttribute("aria-valuetext", $("mix-value").textContent);
}

function renderDevices(there) {
  const inputs = panel.inputs.map(({ value, label }) => [value, label]);
  const outputs = panel.outputs.map(({ value, label }) => [value, label]);
  const byDefault = (name) => (name ? `System default: ${name}` : "System default");
  renderEnd("input", [["mic", byDefault(panel.default_input)], ...inputs], there, "source");
  renderEnd("output", [["virtual-mic", "A microphone for other programs: rtdenoise"],
    ["speaker", byDefault(panel.default_output)], ...outputs], there, "target");
  $("device-note").textContent = panel.device_error;
  const microphone = there ? status.default_microphone : null;
  set("default", microphone === true);
  $("default").disabled = microphone === null;
  $("default-note").textContent = microphone === null
    ? "Where the sound goes to the microphone for other programs, they can all pick it by themselves."
    : "Other programs pick it by themselves; the end of the session gives the former one back.";
  const name = there ? status.devices.source ?? "" : chosenName();
  const kept = panel.remembered.includes(name);
  $("remembered").textContent = panel.complaint || (kept ? `Remembered for ${name}` : "");
  $("forget").hidden = !kept;
  $("forget").dataset.name = name;
}

function chosenName() {
  const value = panel.choices.input;
  return value === "mic" ? panel.default_input : panel.inputs.find((each) => each.value === value)?.name ?? "";
}

function renderEnd(id, pairs, there, side) {
  let value = there ? status[id] : panel.choices[id];
  if (value === null) value = "";
  if (!pairs.some(([each]) => each === value)) { // chosen elsewhere, or not there now
    const name = there ? status.devices[side] : null;
    const listed = panel[`${id}s`].find((each) => each.name === name);
    if (listed && value) value = listed.value;
    else pairs.push([value, value ? `${name ?? value} (not listed now)` : "a file, a pipe or nothing"]);
  }
  options($(id), pairs);
  set(id, value);
}

function renderDelay(parts) {
  const total = parts.total;
  $("delay").textContent = total === undefined ? "–" : `${total.toFixed(1)} ms`;
  const known = PARTS.filter((name) => parts[name] !== undefined);
  if ($("delay-parts").children.length !== known.length) {
    $("delay-bar").replaceChildren(...known.map((name, k) => piece("i", `c${k}`)));
    $("delay-parts").replaceChildren(...known.map((name, k) => {
      const row = document.createElement("div");
      row.append(piece("i", `c${k}`), Object.assign(piece("dt"), { textContent: LABELS[name] }), piece("dd"));
      return row;
    }));
  }
  known.forEach((name, k) => {
    $("delay-bar").children[k].style.flexGrow = parts[name].toFixed(3);
    $("delay-parts").children[k].lastChild.textContent = `${parts[name].toFixed(1)} ms`;
  });
}

function piece(kind, name = "") {
  const element = document.createElement(kind);
  if (name) element.className = name;
  return element;
}

function renderCounts(there) {
  const counts = { late: "late_blocks", xruns: "xruns", lost: "lost_samples", reopened: "reopened" };
  for (const [id, name] of Object.entries(counts)) {
    $(id).textContent = there ? status[name] : "–";
    $(id).className = there && status[name] > 0 ? "some" : "";
  }
  const used = there ? status.budget_used_percent["p99.9"] : undefined;
  $("used").textContent = used === undefined ? "–" : `${used.toFixed(used < 10 ? 1 : 0)} %`;
  $("seconds").textContent = there ? duration(status.seconds) : "–";
}

function duration(seconds) {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const two = (number) => String(Math.floor(number)).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

function renderRecording(there) {
  const testing = panel.test.state === "recording";
  const recording = there && status.recording && !testing;
  $("record").setAttribute("aria-pressed", recording);
  $("record").textContent = recording ? "Stop recording" : "Record";
  $("record").disabled ||= testing;
  $("test").disabled ||= recording;
  $("test").textContent = testing ? "Stop now" : "Record ten seconds, then hear both";
  if (testing && $("test-progress").hidden) count(performance.now());
  $("test-progress").hidden = !testing;
  listen.offer(panel.test.state === "ready" ? panel.test.take : "", token);
  $("recordings").textContent = panel.test.state === "ready"
    ? `Kept as ${panel.test.names.join(" and ")}.`
    : panel.ours || !there ? `Recordings go to ${panel.recordings}.` : "";
}

function count(started) {
  $("test-progress").value = (performance.now() - started) / 1000;
  if (panel?.test.state === "recording") setTimeout(() => count(started), 200);
}

function renderTrouble() {
  const trouble = panel.trouble;
  const key = JSON.stringify(trouble);
  $("trouble").hidden = !trouble || hidden === key;
  if (!trouble || $("trouble").dataset.key === key) return;
  $("trouble").dataset.key = key;
  $("trouble-title").textContent = trouble.line ? "Something is wrong" : "This computer";
  $("trouble-line").textContent = trouble.line && trouble.line[0].toUpperCase() + trouble.line.slice(1);
  $("trouble-busy").textContent = trouble.checking ? "Checking this computer; that takes some seconds." : "";
  const found = trouble.findings ?? [];
  const wanting = found.filter((finding) => finding.state !== "ok");
  $("findings").replaceChildren(...wanting.map((finding) => {
    const item = piece("li", finding.state);
    const name = Object.assign(piece("strong"), { textContent: finding.name });
    item.append(name, `: ${finding.found}`);
    if (finding.remedy) item.append(Object.assign(piece("small"), { textContent: `What to do: ${finding.remedy}` }));
    return item;
  }));
  if (found.length && !wanting.length) $("trouble-busy").textContent = `All ${found.length} checks are fine.`;
  $("check-again").disabled = Boolean(trouble.checking);
}

// what a person does

function choose(name, value) {
  touched[name === "attenuation_limit_db" ? "limit" : name] = performance.now();
  return ask("choose", { choices: { [name]: value } });
}

for (const name of ["input", "output", "method", "preset", "model"]) {
  $(name).addEventListener("change", () => choose(name, $(name).value));
}
for (const name of ["input", "output"]) $(name).addEventListener("focus", () => ask("devices"));

function slide(id, send) {
  let timer = 0;
  $(id).addEventListener("input", () => {
    touched[id] = performance.now();
    if (id === "limit") sayLimit();
    else sayMix();
    timer ||= setTimeout(() => { timer = 0; send(Number($(id).value)); }, SENT_AT_MOST_MS);
  });
}
slide("limit", (value) => choose("attenuation_limit_db", value >= NO_LIMIT ? null : value));
slide("mix", (value) => choose("mix", value / 100));

for (const input of document.querySelectorAll("input[name=heard]")) {
  input.addEventListener("change", () => {
    touched.heard = performance.now();
    ask("bypass", { on: input.value === "before" });
  });
}

let held = false;
function hold(on) {
  if (on === held) return;
  held = on;
  $("hold").classList.toggle("held", on);
  listen.flip(on);
  if (!listen.sources && status?.state === "running") ask("hold", { on });
  else if (!on) ask("hold", { on });
}
$("hold").addEventListener("pointerdown", (event) => { $("hold").setPointerCapture(event.pointerId); hold(true); });
for (const end of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) {
  $("hold").addEventListener(end, () => hold(false));
}
$("hold").addEventListener("contextmenu", (event) => event.preventDefault());
$("hold").addEventListener("keydown", (event) => { if ([" ", "Enter"].includes(event.key)) { event.preventDefault(); hold(true); } });
$("hold").addEventListener("keyup", () => hold(false));
addEventListener("keydown", (event) => {
  const typing = event.target instanceof Element && event.target.matches("input[type=text], select");
  if (event.key.toLowerCase() !== "b" || typing || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  hold(true);
});
addEventListener("keyup", (event) => { if (event.key.toLowerCase() === "b") hold(false); });
addEventListener("blur", () => hold(false));

$("start").addEventListener("click", () => ask("start"));
$("stop").addEventListener("click", () => ask("stop"));
$("record").addEventListener("click", () => ask("record", { on: $("record").getAttribute("aria-pressed") !== "true" }));
$("test").addEventListener("click", () => ask("test", { on: panel.test.state !== "recording" }));
$("mark-form").addEventListener("submit", (event) => {
  event.preventDefault();
  ask("mark", { text: $("mark").value }).then((ok) => { if (ok) $("mark").value = ""; });
});
$("default").addEventListener("change", () => {
  touched.default = performance.now();
  ask("default", { on: $("default").checked });
});
$("keep").addEventListener("change", () => {
  touched.keep = performance.now();
  ask("keep", { on: $("keep").checked });
});
$("forget").addEventListener("click", () => ask("forget", { microphone: $("forget").dataset.name }));
for (const id of ["check", "check-again"]) $(id).addEventListener("click", () => { hidden = ""; ask("doctor"); });
$("dismiss").addEventListener("click", () => { hidden = JSON.stringify(panel.trouble); render(); });
$("leave").addEventListener("click", () => ask("leave"));
document.addEventListener("visibilitychange", () => ask("watch", { on: !document.hidden }));

render();
connect();

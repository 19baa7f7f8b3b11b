// The episode player of a report: the pictures and numbers of an episode, a step at a time. Everything it shows is in the page, as
// JSON inside the player's figure, and goes into it as text or as the address of a picture; see player.py.
"use strict";

const MOST_RECALLED = 12; // pictures in a row; the rest are summed up

function player(figure, episode) {
  const last = episode.steps;
  const soFar = [0];
  for (const reward of episode.rewards) soFar.push(soFar[soFar.length - 1] + reward);
  const parts = build(figure, episode);
  const map = episode.recalled ? recallMap(parts, episode, go) : null;
  let step = 0;
  let clock = null; // of the interval that plays

  function go(to) {
    step = Math.min(last, Math.max(0, to));
    figure.dataset.step = step;
    parts.slider.value = step;
    showStep(parts, episode, step, soFar);
    showPolicy(parts, episode, step);
    if (map) {
      showRecalled(parts, episode, step, go);
      map(step);
    }
  }

  function pause() {
    clearInterval(clock);
    clock = null;
    turn();
  }

  function toggle() {
    if (clock !== null) return pause();
    if (step === last) go(0);
    clock = setInterval(() => (step < last ? go(step + 1) : pause()), 1000 / Number(parts.speed.value));
    turn();
  }

  function turn() {
    const playing = clock !== null;
    parts.play.textContent = playing ? "❚❚ Pause" : "▶ Play";
    parts.title.setAttribute("aria-live", playing ? "off" : "polite"); // a screen reader could not keep up
  }

  const moves = { first: () => go(0), back: () => go(step - 1), forward: () => go(step + 1), end: () => go(last) };
  for (const [name, move] of Object.entries(moves)) parts[name].addEventListener("click", () => (pause(), move()));
  parts.play.addEventListener("click", toggle);
  parts.speed.addEventListener("change", () => clock !== null && (pause(), toggle()));
  parts.slider.addEventListener("input", () => (pause(), go(Number(parts.slider.value))));
  const keys = { ArrowLeft: () => go(step - 1), ArrowRight: () => go(step + 1), Home: moves.first, End: moves.end };
  figure.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target === parts.speed) return;
    if (event.key === " " && event.target.tagName !== "BUTTON") toggle();
    else if (event.key in keys) pause(), keys[event.key]();
    else return;
    event.preventDefault(); // the page would scroll, the slider move twice
  });
  figure.hidden = false;
  turn();
  go(0);
}

// --- the parts

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function build(figure, episode) {
  const parts = {
    picture: element("img", { alt: "" }),
    note: element("p", { class: "soft" }),
    title: element("p", { class: "title", "aria-live": "polite" }),
    facts: element("dl"),
    policy: element("div", { class: "policy", role: "list", "aria-label": "Policy" }),
    slider: element("input", { type: "range", min: 0, max: episode.steps, step: 1, value: 0, "aria-label": "Step" }),
    speed: element("select", { "aria-label": "Steps a second" }),
  };
  const buttons = { first: ["|◀", "First step"], back: ["◀", "Step back"], play: ["▶ Play"], forward: ["▶", "Step forward"], end: ["▶|", "End"] };
  for (const [name, [text, label]] of Object.entries(buttons))
    parts[name] = element("button", label ? { type: "button", "aria-label": label, title: label } : { type: "button", class: "play" }, text);
  for (const speed of [1, 2, 5, 10, 25]) parts.speed.append(element("option", { value: speed }, `${speed} a second`));
  parts.speed.value = "5";
  const caption = figure.querySelector("figcaption");
  const told = element("div", { class: "told" }, parts.title, parts.facts, element("h4", {}, policyTitle(episode)), parts.policy);
  caption.before(
    element("div", { class: "now" }, element("div", { class: "picture" }, parts.picture, parts.note), told),
    element("div", { class: "controls" }, parts.first, parts.back, parts.play, parts.forward, parts.end, parts.slider, parts.speed),
  );
  if (episode.recalled) {
    parts.recalled = element("ol", { class: "recalled" });
    parts.more = element("p", { class: "soft" });
    parts.map = element("canvas", { role: "img" });
    const legend =
      "Every mark is something recalled: across, the step that recalled it; up, the step that had written it; the darker, the more " +
      "weight it had. The upright line is the step shown, and what it recalled is framed. Click to go to a step.";
    caption.before(
      element("h4", {}, "Recalled in this step"),
      parts.recalled,
      parts.more,
      element("h4", {}, "What was recalled when"),
      element("div", { class: "map" }, parts.map),
      element("p", { class: "soft" }, legend),
    );
  }
  return parts;
}

const policyTitle = (episode) => (episode.policy.names ? "Probability of each action" : "Policy: mean ± deviation, and what was drawn");

// --- one step

function number(value, digits = 4) {
  if (value === null) return "–";
  const text = String(Number(value.toPrecision(digits)));
  return (value < 0 ? "−" : "") + text.replace("-", "");
}

const signed = (value) => (value > 0 ? "+" : "") + number(value);
const fixed = (value, digits = 2) => value.toFixed(digits).replace("-", "−");

function showStep(parts, episode, step, soFar) {
  const over = step === episode.steps;
  const what = over ? (episode.terminated ? "the episode has ended" : "the time is over") : episode.actions[step];
  const drawn = episode.drawn[step];
  parts.title.textContent = over ? `After ${step} steps: ${what}` : `Step ${step} of ${episode.steps}: ${what}`;
  parts.picture.src = episode.pictures[episode.shown[step]];
  parts.picture.alt = drawn === step ? `What there was at step ${step}` : `What there was at step ${drawn}`;
  parts.picture.onload = () => place(parts.picture);
  parts.note.textContent = drawn === step ? "" : `The picture is of step ${drawn}: not every step was drawn.`;
  const facts = [
    ["Reward", over ? "–" : signed(episode.rewards[step])],
    ["Return so far", number(soFar[Math.min(step + 1, episode.steps)])],
    ["Critic’s value", number(episode.values[step], 3)],
  ];
  parts.facts.replaceChildren(...facts.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
  const reads = over || !episode.recalled ? [] : episode.recalled[step];
  const recalled = reads.length ? `; recalled ${reads.slice(0, 3).map(([s]) => `step ${s}`).join(", ")}` : "";
  const reward = over ? "" : `, reward ${number(episode.rewards[step])}`;
  parts.slider.setAttribute("aria-valuetext", `${parts.title.textContent}${reward}${recalled}`);
}

/** Beside the numbers, or above them where it is wide. */
function place(image) {
  const wide = image.naturalWidth > 1.8 * image.naturalHeight;
  image.closest(".player").classList.toggle("wide", wide);
  enlarge(image, wide ? image.closest(".now").clientWidth : 300);
}

/** Small pictures by whole pixels, so that they stay crisp; none larger than there is room for. */
function enlarge(image, room) {
  const scale = Math.floor(room / Math.max(image.naturalWidth, image.naturalHeight));
  image.style.width = scale > 1 ? `${image.naturalWidth * scale}px` : "";
  image.classList.toggle("crisp", scale > 1);
}

function showPolicy(parts, episode, step) {
  const { names } = episode.policy;
  const over = step === episode.steps;
  const rows = names ? names.map((name, k) => choice(episode, step, name, k)) : episode.policy.mean[0].map((_, k) => normal(episode, step, k));
  parts.policy.classList.toggle("over", over);
  parts.policy.replaceChildren(...rows);
}

function row(name, track, value, chosen = false) {
  const made = element("div", { class: chosen ? "row chosen" : "row", role: "listitem" }, element("span", { class: "name" }, name));
  made.append(element("span", { class: "track", "aria-hidden": "true" }, ...track), element("span", { class: "value" }, value));
  return made;
}

function bar(share) {
  const made = element("span", { class: "fill" });
  made.style.width = `${100 * Math.min(1, Math.max(0, share))}%`;
  return made;
}

function choice(episode, step, name, k) {
  if (step === episode.steps) return row(name, [], "–");
  const p = episode.policy.probabilities[step][k];
  const chosen = episode.policy.chosen[step].includes(k);
  return row(name, [bar(p)], chosen ? `${fixed(p)} chosen` : fixed(p), chosen);
}

function normal(episode, step, k) {
  const name = `component ${k + 1}`;
  if (step === episode.steps) return row(name, [], "–");
  const [mean, deviation, drawn] = ["mean", "deviation", "drawn"].map((key) => episode.policy[key][step][k]);
  const reach = Math.max(1, Math.abs(mean) + deviation, Math.abs(drawn));
  const at = (x) => `${50 + (50 * x) / reach}%`;
  const within = element("span", { class: "fill" }), middle = element("span", { class: "middle" }), dot = element("span", { class: "drawn" });
  within.style.left = at(mean - deviation);
  within.style.width = `${(100 * deviation) / reach}%`;
  middle.style.left = at(mean);
  dot.style.left = at(drawn);
  return row(name, [within, middle, dot], `${fixed(mean)} ± ${fixed(deviation)}, drew ${fixed(drawn)}`, true);
}

// --- what was recalled

function showRecalled(parts, episode, step, go) {
  const reads = step === episode.steps ? [] : episode.recalled[step];
  const more = reads.slice(MOST_RECALLED);
  const said = more.length ? `And ${more.length} more, with ${fixed(more.reduce((sum, [, w]) => sum + w, 0))} of the weight together.` : "";
  parts.more.textContent = said;
  const none = step === episode.steps ? "Nothing is recalled after the end." : "There is nothing to recall yet.";
  const shown = reads.slice(0, MOST_RECALLED).map(([from, weight]) => memory(episode, step, from, weight, go));
  parts.recalled.replaceChildren(...(shown.length ? shown : [element("li", { class: "none" }, none)]));
}

function memory(episode, step, from, weight, go) {
  const age = `${step - from} ago`;
  const image = element("img", { alt: "", src: episode.pictures[episode.shown[from]] });
  image.onload = () => enlarge(image, 96);
  const label = `Step ${from}, ${age}, weight ${fixed(weight)}: go there`;
  const button = element("button", { type: "button", "aria-label": label, title: label }, image);
  button.addEventListener("click", () => go(from));
  const track = element("span", { class: "track" }, bar(weight));
  const near = episode.drawn[from] === from ? "" : ` (picture of ${episode.drawn[from]})`;
  const words = element("span", {}, element("b", {}, `step ${from}`), near, element("br"), age, element("br"), `weight ${fixed(weight)}`);
  return element("li", { "data-step": from, "data-weight": weight }, button, track, words);
}

// --- recalled step against step

const MARGIN = { left: 42, right: 12, top: 8, bottom: 32 };
const HEIGHT = 220;

/** Draws the map once for each size and colour scheme, and returns what draws the step shown on it. */
function recallMap(parts, episode, go) {
  const canvas = parts.map, last = episode.steps;
  let drawn = null; // the marks, without the step shown
  let step = 0;

  const width = () => canvas.parentElement.clientWidth;
  const span = () => [width() - MARGIN.left - MARGIN.right, HEIGHT - MARGIN.top - MARGIN.bottom];
  const x = (t) => MARGIN.left + (span()[0] * t) / last;
  const y = (s) => HEIGHT - MARGIN.bottom - (span()[1] * s) / last;
  const colour = (name) => getComputedStyle(canvas).getPropertyValue(name).trim();

  function surface(target) {
    const scale = window.devicePixelRatio || 1;
    target.width = Math.round(width() * scale);
    target.height = Math.round(HEIGHT * scale);
    const pen = target.getContext("2d");
    pen.scale(scale, scale);
    return pen;
  }

  /** Where the mark of a read stands: at least three pixels wide and high, or nobody would see it. */
  function mark(t, s) {
    const [w, h] = span().map((length) => Math.max(3, length / last));
    return [x(t) - w / 2, y(s) - h / 2, w, h];
  }

  function redraw() {
    if (width() === 0) return; // folded away; the observer calls again
    drawn = document.createElement("canvas");
    const pen = surface(drawn);
    axes(pen);
    pen.fillStyle = colour("--ink");
    episode.recalled.forEach((reads, t) =>
      reads.forEach(([s, weight]) => {
        pen.globalAlpha = 0.1 + 0.9 * Math.sqrt(weight); // light ones are many, and should be seen too
        pen.fillRect(...mark(t, s));
      }),
    );
    markStep();
  }

  function axes(pen) {
    pen.font = "12px system-ui, sans-serif";
    pen.fillStyle = colour("--soft");
    pen.strokeStyle = colour("--rule");
    pen.textAlign = "center";
    for (const k of [...new Set([0, Math.round(last / 2), last])]) {
      pen.fillText(k, x(k), HEIGHT - MARGIN.bottom + 15);
      pen.textAlign = "right";
      pen.fillText(k, MARGIN.left - 6, y(k) + 4);
      pen.textAlign = "center";
    }
    pen.fillText("step", x(last / 4), HEIGHT - MARGIN.bottom + 27);
    pen.save();
    pen.translate(11, y(last / 2));
    pen.rotate(-Math.PI / 2);
    pen.fillText("recalled step", 0, 0);
    pen.restore();
    pen.strokeRect(x(0), y(last), ...span());
    pen.setLineDash([3, 3]); // nothing can be above it: what is recalled is past
    line(pen, x(0), y(0), x(last), y(last));
    pen.setLineDash([]);
  }

  function line(pen, ...[x0, y0, x1, y1]) {
    pen.beginPath();
    pen.moveTo(x0, y0);
    pen.lineTo(x1, y1);
    pen.stroke();
  }

  function show(at) {
    step = at;
    const reads = step < last ? episode.recalled[step] : [];
    const said = reads.map(([s, weight]) => `step ${s} with weight ${fixed(weight)}`).join(", ") || "nothing";
    canvas.setAttribute("aria-label", `Recalled step against step, ${last} steps. Step ${step} recalled ${said}.`);
    if (drawn) markStep();
    else redraw();
  }

  function markStep() {
    const pen = surface(canvas);
    pen.drawImage(drawn, 0, 0, width(), HEIGHT);
    pen.strokeStyle = colour("--link");
    pen.lineWidth = 1.5;
    line(pen, x(step), y(0) + 5, x(step), y(last));
    for (const [s] of step < last ? episode.recalled[step] : []) {
      const [left, top, w, h] = mark(step, s);
      pen.strokeRect(left - 2.5, top - 2.5, w + 5, h + 5);
    }
  }

  const there = (event) => go(Math.round(((event.offsetX - MARGIN.left) / span()[0]) * last));
  canvas.addEventListener("pointerdown", (event) => (canvas.setPointerCapture(event.pointerId), there(event)));
  canvas.addEventListener("pointermove", (event) => event.buttons && there(event));
  new ResizeObserver(redraw).observe(canvas.parentElement);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  return show;
}

for (const figure of document.querySelectorAll("figure.player")) player(figure, JSON.parse(figure.querySelector("script").textContent));

// The page of `unseen play`: keys become actions, answers become a picture and numbers. The game itself is on the server.
//
// Demo: an address that ends in "#demo=ArrowUp,w+ArrowLeft,2" presses these keys once the page has loaded, one after the other,
// those with a plus together; Enter is pressed by itself wherever the page waits for it.

const $ = (id) => document.getElementById(id);
const LABELS = { ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→", Space: "space" };
let game; // what never changes
let view; // what may be seen now
let gone = false; // the program has ended
let paused = false; // time stands still although an episode is being played
let typed = ""; // digits of an action's number, where there are more than nine actions
let waiting = Promise.resolve(); // requests go out one after the other
let lastReward = null;
let before = new Map(); // the numbers shown last, to mark what has changed
const held = new Set(), tapped = new Set(); // keys down now, and keys that went down since the last tick

// --- the server

async function ask(what, body) {
  const sent = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  let answer;
  try {
    answer = await fetch(what, sent);
  } catch {
    gone = true;
    throw new Error("The program has ended, or cannot be reached. What was finished is recorded.");
  }
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.error);
  return told;
}

function queued(work) {
  waiting = waiting.then(work).catch(async (error) => {
    problem(error.message);
    view = await ask("view").catch(() => view);
    show();
  });
  return waiting;
}

function begin() {
  if (paused) return resume();
  return queued(async () => {
    if (view.stage !== "ready" && view.stage !== "ended") return;
    problem("");
    held.clear();
    view = await ask("begin", {});
    before = new Map();
    show();
    if (game.framesPerSecond > 0) run(view.episode);
  });
}

function act(action) {
  return queued(() => step(action));
}

async function step(action) {
  if (view.stage !== "playing" || !legal(action)) return;
  view = await ask("act", { action, episode: view.episode, step: view.step });
  problem("");
  show();
}

const legal = (action) => view.stage === "playing" && (!view.legal || view.legal[action]);

// --- time

async function run(episode) {
  const between = 1000 / game.framesPerSecond;
  let next = performance.now() + between;
  while (!gone && view.stage === "playing" && view.episode === episode) {
    await new Promise((done) => setTimeout(done, Math.max(0, next - performance.now())));
    next = Math.max(next + between, performance.now()); // what was late is not caught up with
    if (paused) continue;
    const action = chosen();
    tapped.clear();
    if (action !== null) await act(action);
  }
}

/** The action that the keys held now stand for: the longest chord, else the key pressed last, else the one that does nothing. */
function chosen() {
  const down = [...new Set([...tapped, ...held])];
  const chord = game.actions.findIndex((a, k) => a.chord.length && legal(k) && a.chord.every((key) => down.includes(key)));
  if (chord >= 0) return chord;
  for (const key of down.reverse()) {
    const action = game.actions.findIndex((a, k) => legal(k) && (a.key === key || a.number === key));
    if (action >= 0) return action;
  }
  return game.idle !== null && legal(game.idle) ? game.idle : null;
}

function pause() {
  held.clear();
  tapped.clear();
  if (view && view.stage === "playing" && game.framesPerSecond > 0) {
    paused = true;
    show();
  }
}

function resume() {
  paused = false;
  show();
}

// --- keys

function keyOf(event) {
  if (event.key === " ") return "Space";
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code);
  if (digit) return digit[1];
  return event.key.length === 1 ? event.key.toLowerCase() : event.key;
}

function down(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (pressed(keyOf(event), event.repeat)) event.preventDefault(); // arrows and space would scroll
}

/** Whether the key means something here. */
function pressed(key, repeated = false) {
  if (key === "Enter" && !repeated && !typed) return begin(), true;
  if (many() && type(key)) return true;
  const action = game.actions.findIndex((a) => a.key === key || (!many() && a.number === key));
  const chords = game.framesPerSecond > 0 && game.actions.some((a) => a.chord.includes(key));
  if (action < 0 && !chords) return key === "Enter";
  if (game.framesPerSecond > 0) {
    if (!repeated) held.delete(key), held.add(key), tapped.add(key); // the last pressed is the last in the set
  } else if (!repeated) {
    act(action);
  }
  mark();
  return true;
}

function up(event) {
  held.delete(keyOf(event));
  mark();
}

const many = () => game.actions.length > 9;

function type(key) {
  if (/^\d$/.test(key)) typed += key;
  else if (key === "Backspace") typed = typed.slice(0, -1);
  else if (key === "Escape") typed = "";
  else if (key === "Enter" && typed) {
    const action = game.actions.findIndex((a) => a.number === String(Number(typed)));
    typed = "";
    if (action >= 0) act(action);
  } else return false;
  hint();
  return true;
}

function hint() {
  $("typed").textContent = typed ? `${typed} … Enter plays it` : many() ? "Type an action's number, then Enter." : "";
}

// --- showing

function element(name, text = "", attributes = {}) {
  const made = Object.assign(document.createElement(name), attributes);
  if (text !== "") made.textContent = text;
  return made;
}

function number(value, digits = 4) {
  return String(Number(value.toPrecision(digits))).replace("-", "−");
}

function withError(mean, error) {
  return error ? `${number(mean)} ± ${number(error, 2)}` : number(mean);
}

function show() {
  const playing = view.stage === "playing";
  Object.assign(document.body.dataset, { stage: view.stage, step: view.step, episode: view.episode });
  const score = number(view.score);
  if ($("score").textContent !== score) $("score").textContent = score;
  $("step").replaceChildren(String(view.step), view.horizon ? element("small", ` / ${view.horizon}`) : "");
  $("episode").replaceChildren(view.episode ? String(view.episode) : "–", game.episodes ? element("small", ` / ${game.episodes}`) : "");
  $("time").max = view.horizon || 1;
  $("time").value = view.step;
  showReward();
  showSeen();
  for (const [k, button] of [...$("actions").children].entries()) button.disabled = playing && !legal(k);
  showCard();
}

function showReward() {
  const where = $("reward");
  if (view.step === 0 || view.reward === null) {
    where.textContent = "–";
    where.className = "";
  } else if (view.reward !== 0 || !(game.framesPerSecond > 0)) {
    // Where time runs, a reward stays until the next one: it would be gone before anybody had read it.
    where.textContent = (view.reward > 0 ? "+" : "") + number(view.reward);
    where.className = view.reward > 0 ? "good" : view.reward < 0 ? "poor" : "";
    if (view.reward !== 0 && (view.reward !== lastReward || game.framesPerSecond > 0)) {
      void where.offsetWidth; // begins the animation again
      where.classList.add("flash"); // but not for the price of a step, which is the same at every one
    }
  }
  lastReward = view.reward;
}

function showSeen() {
  const parts = [...(view.observation || [])];
  if (view.state) parts.push({ name: "the state, hidden from an agent", image: view.state });
  const old = $("seen").querySelectorAll("img");
  if (old.length && old.length === parts.length && parts.every((part) => part.image)) {
    parts.forEach((part, k) => (old[k].src = part.image)); // no flicker
    return;
  }
  const now = new Map();
  $("seen").replaceChildren(...parts.map((part) => figure(part, now)));
  before = now;
}

function figure(part, now) {
  const made = element("figure");
  if (part.image) {
    const image = element("img", "", { alt: part.name || "what is observed" });
    image.addEventListener("load", () => enlarge(image));
    image.src = part.image;
    made.append(image);
  } else if (part.note) {
    made.append(element("p", part.note));
  } else {
    made.className = "wide";
    const planes = made.appendChild(element("div", "", { className: "planes" }));
    part.planes.forEach((plane, p) => planes.append(table(plane, `${part.name}/${p}`, now, part.planes.length > 1 ? `${p}` : "")));
  }
  const caption = [part.name, part.of].filter(Boolean).join(": ");
  if (caption) made.append(element("figcaption", caption));
  return made;
}

/** As large as there is room for, by whole pixels so that all are equal. */
function enlarge(image) {
  const box = $("seen");
  const share = box.children.length > 1 ? 2 : 1;
  const width = (box.clientWidth - 16 * (share - 1)) / share, height = Math.max(240, window.innerHeight - 140);
  const scale = Math.max(1, Math.floor(Math.min(width / image.naturalWidth, height / image.naturalHeight)));
  image.style.width = `${Math.min(width, image.naturalWidth * scale)}px`;
}

function table(plane, name, now, corner) {
  const single = plane.columns.length === 0;
  const made = element("table", "", { className: single ? "single" : "" });
  const indexed = plane.rows.some((row) => row[0] !== "");
  if (!single && plane.columns.length > 1) {
    const head = element("tr");
    if (indexed) head.append(element("th", corner, { className: "corner" }));
    plane.columns.forEach((column) => head.append(element("th", column)));
    made.append(head);
  }
  plane.rows.forEach((row, r) => {
    const line = element("tr");
    if (indexed) line.append(element("th", row[0]));
    row.slice(1).forEach((value, c) => {
      const key = `${name}/${r}/${c}`;
      now.set(key, value);
      line.append(element("td", value, { className: before.has(key) && before.get(key) !== value ? "changed" : "" }));
    });
    made.append(line);
  });
  return made;
}

// --- the card: before, between and after episodes

function showCard() {
  const card = $("card"), text = $("card-text");
  card.hidden = view.stage === "playing" && !paused;
  $("choices").classList.toggle("soft", !card.hidden);
  $("go").hidden = view.stage === "over";
  text.replaceChildren();
  if (paused) {
    $("card-title").textContent = "Paused";
    $("go-text").textContent = "Go on";
  } else if (view.stage === "ready") {
    $("card-title").textContent = "Ready?";
    $("go-text").textContent = "Begin";
    const running = `Time runs: ${number(game.framesPerSecond)} steps a second. Hold a key to repeat its action.`;
    text.append(element("p", game.framesPerSecond > 0 ? running : "Every key is one step; take your time."));
    text.append(element("p", `You see what an agent sees${game.reveal ? ", and the state beside it" : ""}.`));
  } else if (view.stage === "ended" || view.stage === "over") {
    $("card-title").textContent = `Episode ${view.episode}: ${number(view.score)}`;
    $("go-text").textContent = "Next episode";
    text.append(element("p", view.terminated ? `It ended after ${steps(view.step)}.` : `Its time was over after ${steps(view.step)}.`));
    text.append(scores());
    if (view.stage === "over") text.append(element("p", "That was the last one; the program has recorded it and ends. You may close this page."));
  }
}

const steps = (n) => (n === 1 ? "1 step" : `${n} steps`);

function scores() {
  const made = element("table"), { episodes, mean, standard_error: error, normalised, normalised_error: off } = view.summary;
  const row = (name, value, kind = "") => {
    const line = element("tr", "", { className: kind });
    line.append(element("th", name, { scope: "row" }), element("td", value));
    made.append(line);
  };
  row(episodes === 1 ? "you" : `you, mean of ${episodes}`, withError(mean, error), "you");
  game.references.forEach((reference) => row(reference.player, withError(reference.mean, reference.error)));
  if (normalised !== null) row("normalised", `${number(normalised, 3)}${off ? ` ± ${number(off, 2)}` : ""}`);
  return made;
}

// --- the list of actions

function label(binding) {
  const keys = element("span", "", { className: "keys" });
  const cap = (key) => keys.append(element("kbd", LABELS[key] || key.toUpperCase()));
  if (binding.key) cap(binding.key);
  else if (binding.chord.length && game.framesPerSecond > 0) binding.chord.forEach(cap);
  cap(binding.number);
  return keys;
}

function list() {
  const unnamed = many() && game.actions.every((a) => /^action /.test(a.name));
  $("actions").className = unnamed ? "many" : "";
  game.actions.forEach((binding, k) => {
    const button = element("button", "", { type: "button", tabIndex: -1, title: binding.name });
    if (!unnamed) button.append(element("span", binding.name));
    button.append(label(binding));
    button.addEventListener("mousedown", (event) => event.preventDefault()); // the focus stays with the keys
    button.addEventListener("click", () => act(k));
    $("actions").append(button);
  });
  hint();
}

function mark() {
  [...$("actions").children].forEach((button, k) => {
    const a = game.actions[k];
    button.classList.toggle("pressed", held.has(a.key) || held.has(a.number));
  });
}

function problem(text) {
  $("problem").textContent = text;
  $("problem").hidden = text === "";
}

// --- the beginning

function introduce() {
  document.title = `${game.environment} – unseen play`;
  $("environment").textContent = game.environment;
  const facts = [game.level !== "train" && `level ${game.level}`, game.player && `player ${game.player}`];
  $("facts").textContent = facts.filter(Boolean).join(" · ");
  $("about").hidden = game.about.length === 0;
  $("about").open = true;
  $("about-text").replaceChildren(...game.about.map((paragraph) => element("p", paragraph)));
  list();
}

const halfATick = () => new Promise((done) => setTimeout(done, game.framesPerSecond > 0 ? 500 / game.framesPerSecond : 0));

async function demo() {
  const wanted = decodeURIComponent(/^#demo=(.*)$/.exec(location.hash)?.[1] || "");
  for (const together of wanted.split(",").filter(Boolean)) {
    if (view.stage === "ready" || view.stage === "ended") await begin();
    const events = together.split("+").map((key) => ({
      key: key === "Space" ? " " : key,
      code: /^\d$/.test(key) ? `Digit${key}` : "",
      bubbles: true,
    }));
    events.forEach((event) => window.dispatchEvent(new KeyboardEvent("keydown", event)));
    await halfATick();
    events.forEach((event) => window.dispatchEvent(new KeyboardEvent("keyup", event)));
    await halfATick();
    await waiting;
  }
}

try {
  game = await ask("game");
  view = await ask("view");
  introduce();
  show();
  if (view.stage === "playing" && game.framesPerSecond > 0) pause(), run(view.episode); // loaded again in the middle of an episode
  window.addEventListener("keydown", down);
  window.addEventListener("keyup", up);
  window.addEventListener("blur", pause);
  window.addEventListener("resize", () => document.querySelectorAll("#seen img").forEach(enlarge));
  $("go").addEventListener("click", begin);
  await demo();
} catch (error) {
  problem(error.message);
}

// The page of a service: search, compare, map. Texts of documents only ever become text nodes.
import { CorpusMap } from "/map.js";

const find = (id) => document.getElementById(id);
const PAGE = 10;
const EXCERPT = 520; // characters of a text shown before it is opened
const FEW = 6; // values of a facet shown at once

const state = { tab: "search", query: "", pipeline: "", left: "", right: "", filters: {} };
let pipelines = [];
let hits = [];
let running = null;

// ---- Talking to the service

async function ask(path, body, signal) {
  const headers = {};
  const key = sessionStorage.getItem("key");
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), signal });
  if (answer.status === 401) {
    await askForKey();
    return ask(path, body, signal);
  }
  if (answer.status === 429) {
    const seconds = Number(answer.headers.get("Retry-After")) || 1;
    say(`The service is busy; trying again in ${seconds} s.`);
    await pause(1000 * seconds);
    return ask(path, body, signal);
  }
  const content = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(content.error.message), { status: answer.status });
  return content;
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function askForKey() {
  const dialog = find("ask-key");
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      sessionStorage.setItem("key", find("key").value.trim());
      resolve();
    }, { once: true });
  });
}

function say(text, bad = false) {
  find("status").textContent = text;
  find("status").classList.toggle("bad", bad);
}

// ---- Making elements

function make(tag, settings = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(settings)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// A piece of a text with the query's words marked and the nearest sentence shaded; spans count characters, not units.
function marked(characters, from, to, words, sentence) {
  const slice = (start, end) => characters.slice(start, end).join("");
  const inside = (start, end) => {
    const parts = [];
    let at = start;
    for (const [first, last] of words) {
      if (last <= start || first >= end) continue;
      if (first > at) parts.push(slice(at, first));
      parts.push(make("mark", {}, slice(Math.max(first, at), Math.min(last, end))));
      at = Math.min(last, end);
    }
    if (at < end) parts.push(slice(at, end));
    return parts;
  };
  const fragment = document.createDocumentFragment();
  const [first, last] = sentence ? [Math.max(sentence[0], from), Math.min(sentence[1], to)] : [to, to];
  if (first >= last) {
    fragment.append(...inside(from, to));
    return fragment;
  }
  fragment.append(...inside(from, first), make("span", { className: "near" }, ...inside(first, last)), ...inside(last, to));
  return fragment;
}

// Which part of a long text to show: around its nearest sentence, cut between words.
function excerpt(characters, sentence, lead) {
  if (characters.length <= EXCERPT * 1.2 && (!sentence || sentence[0] <= 2 * lead)) return [0, characters.length];
  let from = sentence ? Math.max(0, sentence[0] - lead) : 0;
  let to = Math.min(characters.length, Math.max(from + EXCERPT, sentence ? sentence[1] : 0));
  while (from > 0 && from < characters.length && characters[from - 1].trim()) from += 1;
  while (to < characters.length && to > from + 1 && characters[to].trim()) to -= 1;
  return [from, to];
}

function hitElement(hit, badge) {
  const characters = Array.from(hit.text);
  let reason = hit.reason;
  let [from, to] = [0, 0];
  const text = make("p", { className: "text" });
  const title = hit.title || (hit.text ? "" : hit.id);
  const heading = make("h2");
  const item = make("li", { className: "hit", tabIndex: 0 });
  item.dataset.id = hit.id;

  const button = make("button", { type: "button", className: "plain" });
  const line = make("p", { className: "why" });
  const show = (whole) => {
    item.classList.toggle("whole", whole);
    const [start, end] = whole ? [0, characters.length] : [from, to];
    text.replaceChildren(start > 0 ? "… " : "", marked(characters, start, end, reason.text_words, reason.sentence),
      end < characters.length ? " …" : "");
    button.textContent = whole ? "Show less" : "Show all";
    button.setAttribute("aria-expanded", String(whole));
    button.hidden = from === 0 && to === characters.length;
    line.replaceChildren(...why(reason), button);
  };
  item.toggle = () => show(!item.classList.contains("whole"));
  item.explain = (found) => {
    reason = found;
    [from, to] = excerpt(characters, reason.sentence, badge ? 30 : 140);
    show(item.classList.contains("whole"));
  };
  button.addEventListener("click", item.toggle);
  heading.append(marked(Array.from(title), 0, Array.from(title).length, reason.title_words, null));
  item.append(
    make("header", {}, make("span", { className: "rank" }, String(hit.rank)), heading, badge,
      make("span", { className: "score", title: "score" }, score(hit.score))),
    text);
  item.append(line);
  const known = Object.entries(hit.attributes).filter(([, value]) => value !== "" && value !== null);
  const facts = known.slice(0, 5).map(([name, value]) => `${name} ${[value].flat().join(", ")}`);
  item.append(make("p", { className: "facts" }, [hit.title ? hit.id : "", ...facts].filter(Boolean).join(" · ")));
  item.explain(hit.reason);
  return item;
}

const score = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3));

function why(reason) {
  const parts = [];
  if (reason.matched.length) {
    parts.push(make("span", {}, make("span", { className: "swatch words" }), `words: ${reason.matched.join(", ")}`));
  }
  if (reason.sentence) {
    const near = reason.similarity === null ? "most words in one sentence" : `nearest sentence, ${reason.similarity.toFixed(2)}`;
    parts.push(make("span", {}, make("span", { className: "swatch sentence" }), near));
  }
  return parts;
}

// ---- Search

function request(pipeline, offset, reasons = "words") {
  const where = filter();
  return { query: state.query, pipeline, offset, limit: PAGE, reasons, ...(where ? { where } : {}) };
}

// Nearest sentences take a model longer than finding the hits, so they come once the hits are shown and typing rests.
async function explain(pipeline, offset, elements, signal) {
  if (!pipelines.find((one) => one.name === pipeline).vectors || !elements.length) return;
  await pause(250);
  if (signal.aborted) return;
  const answer = await ask("/search", request(pipeline, offset, "sentences"), signal);
  const reasons = new Map(answer.hits.map((hit) => [hit.id, hit.reason]));
  for (const element of elements) if (reasons.has(element.dataset.id)) element.explain(reasons.get(element.dataset.id));
}

async function refresh() {
  remember();
  if (running) running.abort();
  if (!state.query.trim()) {
    hits = [];
    for (const id of ["hits", "left-hits", "right-hits"]) find(id).replaceChildren();
    find("more").hidden = true;
    find("welcome").hidden = false;
    corpusMap.ring([]);
    say(state.tab === "compare" ? "Ask something, and see what each pipeline finds." : "");
    return;
  }
  running = new AbortController();
  const signal = running.signal;
  find("welcome").hidden = true;
  try {
    if (state.tab === "compare") await comparison(signal);
    else await firstPage(signal);
  } catch (error) {
    if (error.name !== "AbortError") say(error.message, true);
  }
}

async function firstPage(signal) {
  const answer = await ask("/search", request(state.pipeline, 0), signal);
  hits = answer.hits;
  const elements = hits.map((hit) => hitElement(hit, null));
  find("hits").replaceChildren(...elements);
  find("more").hidden = !answer.more;
  corpusMap.ring(hits.map((hit) => hit.id));
  const of = `of ${answer.documents.toLocaleString("en")} documents`;
  say(hits.length
    ? `The best ${hits.length} ${of}${filtered()}, in ${Math.max(1, Math.round(answer.milliseconds))} ms`
    : `Nothing found among ${answer.documents.toLocaleString("en")} documents${filtered()}.`);
  await explain(state.pipeline, 0, elements, signal);
}

async function nextPage() {
  try {
    const offset = hits.length;
    const answer = await ask("/search", request(state.pipeline, offset));
    const elements = answer.hits.map((hit) => hitElement(hit, null));
    hits.push(...answer.hits);
    find("hits").append(...elements);
    find("more").hidden = !answer.more;
    say(`The best ${hits.length} of ${answer.documents.toLocaleString("en")} documents${filtered()}`);
    elements[0]?.focus();
    await explain(state.pipeline, offset, elements, running.signal);
  } catch (error) {
    if (error.name === "AbortError") return;
    find("more").hidden = true;
    say(error.message, true);
  }
}

// ---- Compare

async function comparison(signal) {
  const sides = ["left", "right"];
  const answers = await Promise.all(sides.map((side) =>
    ask("/search", request(state[side], 0), signal).catch((error) => {
      if (error.name === "AbortError" || error.status !== 400) throw error;
      return { hits: [], problem: error.message };
    })));
  const places = answers.map((answer) => new Map(answer.hits.map((hit) => [hit.id, hit.rank])));
  sides.forEach((side, number) => {
    const { hits: found, problem } = answers[number];
    const other = places[1 - number];
    const items = found.map((hit) => hitElement(hit, badge(hit.rank, other.get(hit.id))));
    find(`${side}-hits`).replaceChildren(...(items.length ? items
      : [make("li", { className: problem ? "bad" : "soft" }, problem || "Nothing found.")]));
  });
  const common = [...places[0].keys()].filter((id) => places[1].has(id)).length;
  const most = Math.max(places[0].size, places[1].size);
  say(most ? `${common} of the first ${most} in common${filtered()}` : `Nothing found${filtered()}.`);
  await Promise.all(sides.map((side) => explain(state[side], 0, [...find(`${side}-hits`).querySelectorAll(".hit")], signal)));
}

function badge(here, there) {
  if (there === undefined) return make("span", { className: "badge only" }, "only here");
  return make("span", { className: "badge" }, there === here ? "same place" : `no. ${there} there`);
}

function twins(id, on) {
  for (const item of document.querySelectorAll("#compare .hit")) {
    item.classList.toggle("twin", on && item.dataset.id === id);
  }
}

// ---- Filters

function filter() {
  const where = {};
  for (const [name, chosen] of Object.entries(state.filters)) {
    if (chosen.kind === "range") {
      const bounds = {};
      if (chosen.low !== undefined) bounds.gte = chosen.low;
      if (chosen.high !== undefined) bounds.lte = chosen.high;
      if (Object.keys(bounds).length) where[name] = bounds;
    } else if (chosen.values.length) where[name] = { [chosen.kind === "lists" ? "any" : "in"]: chosen.values };
  }
  return Object.keys(where).length ? where : null;
}

// The filters are set beside the search, and hold in the other views too: there it must be said.
const filtered = () => (filter() ? " under your filters" : "");

function showFacets() {
  const entry = pipelines.find((one) => one.name === state.pipeline);
  const there = new Set(entry.facets.map((facet) => facet.name));
  for (const name of Object.keys(state.filters)) if (!there.has(name)) delete state.filters[name];
  find("facets").replaceChildren(...entry.facets.map((facet) => (facet.kind === "range" ? rangeFacet(facet) : valueFacet(facet))));
  document.querySelector(".columns").classList.toggle("bare", !entry.facets.length && pipelines.length < 2);
  countFilters();
}

function valueFacet(facet) {
  const chosen = state.filters[facet.name]?.values ?? [];
  const group = make("fieldset", {}, make("legend", {}, facet.name));
  const lines = facet.values.map(({ value, count }, number) => {
    const box = make("input", { type: "checkbox", checked: chosen.includes(value) });
    box.addEventListener("change", () => {
      const values = new Set(state.filters[facet.name]?.values ?? []);
      if (box.checked) values.add(value);
      else values.delete(value);
      state.filters[facet.name] = { kind: facet.kind, values: [...values] };
      changed();
    });
    const name = make("span", { className: "name", title: String(value) }, String(value));
    const line = make("label", { className: "value" }, box, name,
      make("span", { className: "count" }, count.toLocaleString("en")));
    line.hidden = number >= FEW && !box.checked;
    return line;
  });
  group.append(...lines);
  const folded = lines.filter((line) => line.hidden);
  if (folded.length) {
    const rest = facet.distinct - facet.values.length;
    const button = make("button", { type: "button", className: "plain" }, `${folded.length} more`);
    button.addEventListener("click", () => {
      for (const line of folded) line.hidden = false;
      folded[0].querySelector("input").focus();
      if (rest > 0) button.replaceWith(make("span", { className: "soft" }, `and ${rest.toLocaleString("en")} rarer ones`));
      else button.remove();
    });
    group.append(button);
  }
  return group;
}

function rangeFacet(facet) {
  const chosen = state.filters[facet.name] ?? {};
  const bound = (side, label, hint) => {
    const field = make("input", { type: "number", step: "any", placeholder: String(hint), value: chosen[side] ?? "" });
    field.setAttribute("aria-label", `${facet.name} ${label}`);
    field.addEventListener("change", () => {
      const value = field.value === "" ? undefined : Number(field.value);
      state.filters[facet.name] = { ...state.filters[facet.name], kind: "range", [side]: value };
      changed();
    });
    return field;
  };
  const line = make("div", { className: "range" }, bound("low", "from", facet.low), "to", bound("high", "to", facet.high));
  return make("fieldset", {}, make("legend", {}, facet.name), line);
}

function countFilters() {
  const number = Object.keys(filter() ?? {}).length;
  find("chosen").textContent = number ? ` (${number})` : "";
  find("clear").hidden = !number;
}

function changed() {
  countFilters();
  refresh();
}

// ---- Views, memory, keys

function remember() {
  const parts = new URLSearchParams();
  if (state.tab !== "search") parts.set("view", state.tab);
  if (state.query) parts.set("q", state.query);
  if (pipelines.length && state.pipeline !== pipelines[0].name) parts.set("pipeline", state.pipeline);
  if (state.tab === "compare") for (const side of ["left", "right"]) parts.set(side, state[side]);
  if (filter()) parts.set("filters", JSON.stringify(state.filters));
  // Behind the #, where the browser keeps it to itself: no server's log gets to see what was asked.
  history.replaceState(null, "", parts.size ? `#${parts}` : location.pathname);
}

function recall() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const names = new Set(pipelines.map((one) => one.name));
  const known = (name, otherwise) => (names.has(parts.get(name)) ? parts.get(name) : otherwise);
  state.query = parts.get("q") ?? "";
  state.pipeline = known("pipeline", pipelines[0].name);
  state.left = known("left", pipelines[0].name);
  // Another folder is more worth comparing with than a member of the first one's fusion.
  const others = pipelines.slice(1);
  state.right = known("right", (others.find((one) => !one.name.includes("/")) ?? others[0] ?? pipelines[0]).name);
  try {
    state.filters = JSON.parse(parts.get("filters")) ?? {};
  } catch {
    state.filters = {};
  }
  find("query").value = state.query;
  const view = parts.get("view");
  state.tab = ["search", "compare", "map"].includes(view) ? view : "search";
}

function open(tab, focus = false) {
  state.tab = tab;
  for (const name of ["search", "compare", "map"]) {
    const button = find(`tab-${name}`);
    find(name).hidden = name !== tab;
    button.setAttribute("aria-selected", String(name === tab));
    button.tabIndex = name === tab ? 0 : -1;
    if (name === tab && focus) button.focus();
  }
  if (tab === "map") corpusMap.open(state.pipeline);
  refresh();
}

function listPipelines() {
  for (const id of ["pipeline", "left", "right"]) {
    find(id).replaceChildren(...pipelines.map((one) =>
      make("option", { value: one.name, title: one.notation }, one.name.includes("/") ? one.name : `${one.name}: ${one.notation}`)));
    find(id).value = state[id];
    find(id).addEventListener("change", () => {
      state[id] = find(id).value;
      if (id === "pipeline") showFacets();
      refresh();
    });
  }
  find("pick").hidden = pipelines.length < 2;
  if (pipelines.length > 1) find("narrow-title").textContent = "Pipeline and filters";
}

function welcome() {
  const first = pipelines[0];
  find("welcome").replaceChildren(
    make("h1", {}, `${first.documents.toLocaleString("en")} documents`),
    make("p", {}, "Searched by ", make("code", {}, first.notation), "."),
    make("p", {}, first.texts ? "Each hit says why it was found: the words it shares with you, and its nearest sentence."
      : "This pipeline was saved without its documents, so hits are shown by their ids."));
}

function stepHits(target, step) {
  const list = [...target.closest(".hits").querySelectorAll(".hit")];
  const place = list.indexOf(target);
  if (place + step < 0) find("query").focus();
  else list[Math.min(place + step, list.length - 1)]?.focus();
}

function onKey(event) {
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    find("query").focus();
    find("query").select();
  } else if (event.key === "Escape" && event.target.matches(".hit, .hit *, #opened")) {
    find(event.target.id === "opened" ? "canvas" : "query").focus();
  } else if (event.target.id === "query" && event.key === "ArrowDown") {
    const first = document.querySelector(`#${state.tab} .hit`);
    if (first) {
      event.preventDefault();
      first.focus();
    }
  } else if (event.target.matches(".hit")) {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      stepHits(event.target, event.key === "ArrowDown" ? 1 : -1);
    } else if (event.key === "Enter") event.target.toggle();
  } else if (event.target.matches("[role=tab]") && ["ArrowLeft", "ArrowRight"].includes(event.key)) {
    const tabs = ["search", "compare", "map"];
    const place = tabs.indexOf(state.tab) + (event.key === "ArrowRight" ? 1 : tabs.length - 1);
    open(tabs[place % tabs.length], true);
  }
}

function listen() {
  let later = 0;
  find("query").addEventListener("input", () => {
    state.query = find("query").value;
    clearTimeout(later);
    later = setTimeout(refresh, 300);
  });
  find("form").addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(later);
    state.query = find("query").value;
    refresh();
  });
  for (const name of ["search", "compare", "map"]) find(`tab-${name}`).addEventListener("click", () => open(name));
  find("more").addEventListener("click", nextPage);
  find("clear").addEventListener("click", () => {
    state.filters = {};
    showFacets();
    refresh();
  });
  const compare = find("compare");
  for (const [event, on] of [["pointerover", true], ["pointerout", false], ["focusin", true], ["focusout", false]]) {
    compare.addEventListener(event, ({ target }) => {
      const item = target.closest(".hit");
      if (item) twins(item.dataset.id, on);
    });
  }
  document.addEventListener("keydown", onKey);
  addEventListener("hashchange", () => location.reload()); // only a person changes it: the page itself replaces it
  if (matchMedia("(max-width: 52rem)").matches) find("narrow").open = false;
}

const corpusMap = new CorpusMap({ ask, make, find });

async function begin() {
  for (;;) {
    const ready = await fetch("/ready");
    if (ready.ok) break;
    const { error } = await ready.json();
    say(error.message, error.message.startsWith("loading failed"));
    await pause(700);
  }
  say("");
  pipelines = await ask("/pipelines");
  recall();
  listPipelines();
  showFacets();
  welcome();
  listen();
  open(state.tab);
  if (state.tab === "search" && !matchMedia("(hover: none)").matches) find("query").focus();
}

begin().catch((error) => say(`The service cannot be reached: ${error.message}`, true));

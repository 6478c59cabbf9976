// The review: what was found on each work, and what a person decides about it, saved at once.
// Places are pixels of the scan turned upright; the marks lie over the picture in that measure.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const works = data.works;
const at = (id) => document.getElementById(id);
const stage = at("stage"), sheet = at("sheet"), image = at("image"), marks = at("marks");
const MASKS = ["seal", "inscription", "blank", "damage"];
const MARGIN = 32; // pixels around the picture, for the handles at its edges
const SMALLEST = { area: 64, crop: 64 };

let language = remembered("language") === "zh" ? "zh" : "en";
let listed = []; // the works in the list
let filter = "all", work = null, selected = "area", tool = "", zoom = 1;
let draft = null; // {key, what, box, size}: what is being moved, resized or drawn
let drag = null; // the pointer's movement under way
const undone = []; // what to send to take each change of this visit back
const mine = new Set(); // ids of rows that were saved in this visit

// Words

function word(key, values = {}) {
  const said = data.words[key] ? data.words[key][language] : key;
  return said.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

function remembered(name) {
  try { return localStorage.getItem(`artmaster.review.${name}`); } catch { return null; }
}

function remember(name, value) {
  try { localStorage.setItem(`artmaster.review.${name}`, value); } catch { /* a browser that keeps nothing */ }
}

function say(key, values) { at("said").textContent = word(key, values); }

function translate() {
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
  for (const each of document.querySelectorAll("[data-word]")) each.textContent = word(each.dataset.word);
  for (const each of document.querySelectorAll("[data-label]")) each.setAttribute("aria-label", word(each.dataset.label));
  at("search").placeholder = word("search");
  at("title").textContent = document.title = word("title", { painter: at("title").dataset.painter });
  at("language").textContent = word("language");
  at("language").lang = language === "zh" ? "en" : "zh-Hans";
}

// What is on a work, as it will be used

function last(of, ...kinds) { return of.decisions.findLast((row) => kinds.includes(row.what)); }

function objects(of) {
  const area = last(of, "area");
  const found = [{ key: "area", what: "area", box: area ? area.box : of.area, row: area }];
  for (const size of data.sizes) {
    const drawn = of.decisions.filter((row) => row.what === "crop" && same(row.size, size));
    const chosen = drawn.length ? [] : of.crops.filter((crop) => same(crop.size, size));
    drawn.forEach((row) => found.push({ key: row.id, what: "crop", box: row.box, size, row }));
    chosen.forEach((crop, n) => found.push({ key: `crop ${size} ${n}`, what: "crop", box: crop.box, size }));
  }
  const cleared = of.decisions.filter((row) => row.what === "clear").map((row) => row.box);
  of.masks.forEach((mask, n) => {
    const box = boxOf(mask.outline);
    if (mask.kind === "painting") found.push({ key: `mask ${n}`, what: "painting", box, outline: mask.outline });
    else if (!cleared.some((each) => holdsMiddle(each, box))) {
      found.push({ key: `mask ${n}`, what: mask.kind, box, outline: mask.outline, found: true });
    }
  });
  for (const row of of.decisions) if (MASKS.includes(row.what)) found.push({ key: row.id, what: row.what, box: row.box, row });
  for (const each of found) { // where there are several of a kind, they have numbers
    const alike = found.filter((other) => kindOf(other) === kindOf(each));
    if (alike.length > 1) each.number = alike.indexOf(each) + 1;
  }
  return found;
}

function kindOf(object) { return `${object.what} ${object.size || ""}`; }

function same(a, b) { return Boolean(a && b) && a[0] === b[0] && a[1] === b[1]; }

function boxOf(outline) {
  const across = outline.map((point) => point[0]), down = outline.map((point) => point[1]);
  return [Math.min(...across), Math.min(...down), Math.max(...across), Math.max(...down)];
}

function holdsMiddle(box, of) {
  const across = (of[0] + of[2]) / 2, down = (of[1] + of[3]) / 2;
  return box[0] <= across && across <= box[2] && box[1] <= down && down <= box[3];
}

function called(object) {
  const shape = object.size ? ` ${object.size.join("×")}` : "";
  const how = object.row ? "drawn" : object.found ? "found" : object.what === "crop" ? "chosen" : "";
  return word(object.what) + (object.number ? ` ${object.number}` : "") + shape + (how ? ` (${word(how)})` : "");
}

function stateOf(of) {
  const verdict = last(of, "keep", "leave out");
  if (verdict) return verdict.what === "keep" ? "state_keep" : "state_out";
  return of.crops.length || of.open ? "" : of.reasons.length ? "state_none" : "";
}

// The list

const FILTERS = {
  all: () => true,
  flagged: (of) => of.flags.length > 0,
  left_out: (of) => ["state_out", "state_none"].includes(stateOf(of)),
  decided: (of) => of.decisions.length > 0,
};

function element(name, content = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = content;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function button(content, act, attributes = {}) {
  const made = element("button", content, { type: "button", ...attributes });
  made.addEventListener("click", act);
  return made;
}

/** The works that fit the filter and the search, anew. */
function showList() {
  const wanted = at("search").value.trim().toLocaleLowerCase();
  listed = works.filter((of) => FILTERS[filter](of) && `${of.file} ${of.title} ${of.number}`.toLocaleLowerCase().includes(wanted));
  at("list").replaceChildren(...listed.map(itemOf));
  at("none").hidden = listed.length > 0;
  at("shown").textContent = word("shown", { n: listed.length, all: works.length });
  for (const each of document.querySelectorAll("[data-filter]")) each.setAttribute("aria-pressed", each.dataset.filter === filter);
  markCurrent();
}

function itemOf(of) {
  const item = element("li", "", { "data-id": of.id }), choose = button("", () => open(of, true));
  choose.append(element("img", "", { src: `thumbnails/${of.id}.jpg`, alt: "", loading: "lazy" }));
  const text = element("span");
  text.append(element("bdi", of.title || of.file, { class: "title" }));
  for (const flag of of.flags) text.append(element("span", word(flag.kind), { class: "badge flag" }));
  if (stateOf(of)) text.append(element("span", word(stateOf(of)), { class: "badge" }));
  if (of.open) text.append(element("span", word("state_open"), { class: "badge open" }));
  choose.append(text);
  item.append(choose);
  return item;
}

/** One work in the list after a decision; it stays there until the list is filtered anew. */
function freshen(of) {
  at("list").querySelector(`[data-id="${of.id}"]`)?.replaceWith(itemOf(of));
  markCurrent();
}

function markCurrent() {
  at("list").querySelector("[aria-current]")?.removeAttribute("aria-current");
  const current = work && at("list").querySelector(`[data-id="${work.id}"] button`);
  current?.setAttribute("aria-current", "true");
  current?.scrollIntoView({ block: "nearest" });
  const place = listed.indexOf(work);
  at("position").textContent = place < 0 ? "" : word("position", { n: place + 1, all: listed.length });
  at("previous").disabled = place <= 0;
  at("next").disabled = !listed.length || place === listed.length - 1;
}

function step(by) { open(listed[Math.max(0, listed.indexOf(work) + by)]); }

// One work

function open(of, closeList = false) {
  settle();
  work = of;
  selected = "area";
  zoom = 1;
  choose("");
  at("said").textContent = "";
  history.replaceState(null, "", `#${of.id}`);
  image.src = `pictures/${of.id}.jpg${data.read_only ? "" : `?${of.skew}`}`; // kept by the browser, and turned by that
  marks.setAttribute("viewBox", `0 0 ${of.width} ${of.height}`);
  if (closeList && matchMedia("(max-width: 60rem)").matches) at("works").open = false;
  if (at("why")) at("why").value = "";
  at("objects").scrollTop = 0;
  show();
}

function show() {
  markCurrent();
  const isNamed = work.title && work.title !== work.file.replace(/\.[^.]+$/, ""); // more than the file's own name
  at("name").textContent = isNamed ? work.title : work.file;
  const facts = [isNamed ? work.file : "", work.number, word("size", { width: work.width, height: work.height })];
  if (work.skew) facts.push(word("turned", { skew: work.skew.toFixed(1) }));
  if (work.effective_scale < 0.95) facts.push(word("detail", { scale: Math.round(100 * work.effective_scale) }));
  at("facts").textContent = facts.filter(Boolean).join(" · ");
  at("flags-section").hidden = !work.flags.length;
  at("flags").replaceChildren(...work.flags.map((flag) => {
    const item = element("li");
    item.append(element("strong", `${word(flag.kind)} ${flag.score.toFixed(2)}`), " ", element("span", flag.reason, { lang: "en" }));
    return item;
  }));
  const reasons = work.reasons.map((row) => element("li", `${row.reason}. ${row.remedy}.`));
  if (work.better) reasons.unshift(element("li", word("better", { file: work.better })));
  at("reasons-section").hidden = !reasons.length;
  at("reasons").replaceChildren(...reasons);
  showDecisions();
  showObjects();
  draw();
  showOpen();
}

function showDecisions() {
  const rows = work.decisions.map((row) => {
    const item = element("li"), what = word(row.what) + (row.box ? ` ${row.box.join(", ")}` : "");
    item.append(element("strong", what), " ", element("span", row.why));
    item.append(element("small", [row.who, row.when.replace("T", " ").slice(0, 16)].filter(Boolean).join(" · ")));
    if (!data.read_only) {
      item.append(button(word("take_back"), () => send([], [row], "taken_back", what), { "aria-label": word("take_back_this", { what }) }));
    }
    return item;
  });
  at("history").replaceChildren(...(rows.length ? rows.reverse() : [element("li", word("no_history"))]));
  if (data.read_only) return;
  const verdict = last(work, "keep", "leave out");
  at("keep").setAttribute("aria-pressed", verdict?.what === "keep");
  at("leave-out").setAttribute("aria-pressed", verdict?.what === "leave out");
  at("undo").disabled = !undone.length;
}

function showObjects() {
  at("objects").replaceChildren(...objects(work).filter((each) => each.what !== "painting").map((object) => {
    const item = element("li", "", { class: object.what });
    item.append(button(called(object), () => {
      settle();
      select(object.key);
      stage.focus();
    }, { "aria-pressed": object.key === selected }));
    if (!data.read_only && (object.what !== "area" || object.row)) {
      const what = called(object);
      item.append(button(word("remove"), () => remove(object), { "aria-label": word("remove_this", { what }), class: "quiet" }));
    }
    return item;
  }));
}

function showOpen() {
  const waiting = works.filter((of) => of.open).length, command = `artmaster run ${data.painter}`;
  at("open").textContent = data.read_only ? word("read_only", { painter: data.painter })
    : waiting ? word("open_n", { n: waiting }) : word("open_none");
  at("command").textContent = command;
  at("command").hidden = at("copy").hidden = !waiting || data.read_only;
  at("use").classList.toggle("waiting", waiting > 0);
}

// The picture and the marks on it

function draw() {
  const fit = Math.min((stage.clientWidth - MARGIN) / work.width, (stage.clientHeight - MARGIN) / work.height) * zoom;
  sheet.style.width = `${Math.max(1, Math.round(work.width * fit))}px`;
  sheet.style.height = `${Math.max(1, Math.round(work.height * fit))}px`;
  const hidden = new Set([...document.querySelectorAll("[data-layer]:not(:checked)")].map((box) => box.dataset.layer));
  const there = objects(work).map((each) => (draft && draft.key === each.key ? { ...each, box: draft.box, outline: null } : each));
  if (draft && draft.key === "new") there.push(draft);
  stage.classList.toggle("out", stateOf(work) === "state_out");
  const order = there.filter((each) => !hidden.has(each.what === "painting" ? "area" : each.what) || each === draft);
  order.sort((a, b) => (a.key === focusKey()) - (b.key === focusKey())); // what is selected lies above the rest
  marks.replaceChildren(...order.flatMap((each) => shapes(each, 1 / fit)));
  const current = there.find((each) => each.key === focusKey());
  stage.setAttribute("aria-label", word("picture", { file: work.file, what: current ? called(current) : "" }));
}

function focusKey() { return draft ? draft.key : selected; }

function svg(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function shapes(object, pixel) {
  const [left, top, right, bottom] = object.box, on = object.key === focusKey();
  const corners = object.outline || [[left, top], [right, top], [right, bottom], [left, bottom]];
  const points = corners.map((point) => point.join(",")).join(" ");
  const waits = object.what === "crop" && work.open && !object.row;
  const made = [
    svg("polygon", { points, class: `halo ${on ? "on" : ""}` }),
    svg("polygon", { points, class: `mark ${object.what} ${on ? "on" : ""} ${waits ? "waits" : ""}`, "data-key": object.key }),
  ];
  if (!on || !isMovable(object)) return made;
  const isSmall = Math.min(right - left, bottom - top) < 60 * pixel; // its handles stand around it
  const edges = object.what === "crop" || isSmall ? ["nw", "ne", "se", "sw"] : ["nw", "n", "ne", "e", "se", "s", "sw", "w"];
  const away = isSmall ? 9 * pixel : 0;
  for (const edge of edges) {
    const across = edge.includes("w") ? left - away : edge.includes("e") ? right + away : (left + right) / 2;
    const down = edge.includes("n") ? top - away : edge.includes("s") ? bottom + away : (top + bottom) / 2;
    for (const [name, size] of [["grip", isSmall ? 18 : 28], ["handle", isSmall ? 10 : 12]]) {
      made.push(svg("rect", {
        x: across - (size / 2) * pixel, y: down - (size / 2) * pixel, width: size * pixel, height: size * pixel,
        class: `${name} ${edge}`, "data-edge": edge,
      }));
    }
  }
  return made;
}

function isMovable(object) { return !data.read_only && !object.found && object.what !== "painting"; }

function select(key) {
  selected = key;
  showObjects();
  draw();
  const object = objects(work).find((each) => each.key === key);
  if (object) say("selected", { what: called(object) });
}

// Moving, resizing, drawing

function place(event) {
  const box = sheet.getBoundingClientRect();
  return [
    clamp(Math.round(((event.clientX - box.left) / box.width) * work.width), 0, work.width),
    clamp(Math.round(((event.clientY - box.top) / box.height) * work.height), 0, work.height),
  ];
}

function clamp(value, low, high) { return Math.min(Math.max(value, low), high); }

function sizeOfTool() { return tool === "square" ? data.sizes[0] : tool === "tall" ? data.sizes[1] : null; }

function whatOfTool() { return sizeOfTool() ? "crop" : tool; }

/** The box with an edge or a corner at a place; a crop keeps its shape, and every box stays on the sheet. */
function resized(box, edge, [across, down], size) {
  let [left, top, right, bottom] = box;
  if (edge.includes("w")) left = Math.min(across, right - 1);
  if (edge.includes("e")) right = Math.max(across, left + 1);
  if (edge.includes("n")) top = Math.min(down, bottom - 1);
  if (edge.includes("s")) bottom = Math.max(down, top + 1);
  if (!size) return [left, top, right, bottom];
  const shape = size[1] / size[0], roomX = edge.includes("w") ? right : work.width - left;
  const roomY = edge.includes("n") ? bottom : work.height - top;
  const wide = Math.max(1, Math.floor(Math.min(Math.max(right - left, (bottom - top) / shape), roomX, roomY / shape)));
  const high = Math.round(wide * shape);
  if (edge.includes("w")) left = right - wide; else right = left + wide;
  if (edge.includes("n")) top = bottom - high; else bottom = top + high;
  return [left, Math.max(0, top), right, Math.min(work.height, bottom)];
}

function moved(box, across, down) {
  const dx = clamp(across, -box[0], work.width - box[2]), dy = clamp(down, -box[1], work.height - box[3]);
  return [box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy];
}

function isEqual(a, b) { return a.every((value, n) => value === b[n]); }

marks.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  const { key, edge } = event.target.dataset, start = place(event);
  if (tool) {
    const object = { key: "new", what: whatOfTool(), size: sizeOfTool(), box: [...start, start[0] + 1, start[1] + 1] };
    drag = { start, object, anchor: start };
  } else if (edge || (key && key === focusKey())) {
    const object = draft || objects(work).find((each) => each.key === selected);
    if (!object || !isMovable(object)) return;
    drag = { start, object, box: object.box, edge };
  } else if (key) {
    settle();
    select(key);
    return;
  } else return;
  event.preventDefault();
  stage.focus({ preventScroll: true });
  marks.setPointerCapture(event.pointerId);
});

// a finger that draws or drags does not scroll the page: `touch-action` is not heeded by shapes within the drawing
marks.addEventListener("touchstart", (event) => { if (drag) event.preventDefault(); }, { passive: false });

marks.addEventListener("pointermove", (event) => {
  if (!drag) return;
  const [across, down] = place(event), { start, object } = drag;
  let box;
  if (drag.anchor) {
    const edge = (down < start[1] ? "n" : "s") + (across < start[0] ? "w" : "e");
    box = resized([start[0], start[1], start[0], start[1]], edge, [across, down], object.size);
  } else {
    box = drag.edge ? resized(drag.box, drag.edge, [across, down], object.size) : moved(drag.box, across - start[0], down - start[1]);
  }
  draft = { ...object, box, outline: null };
  draw();
});

function endDrag() {
  const was = drag;
  drag = null;
  if (was && draft) settle();
}
marks.addEventListener("pointerup", endDrag);
marks.addEventListener("pointercancel", () => { drag = null; cancel(); });

stage.addEventListener("keydown", (event) => {
  if (data.read_only || event.ctrlKey || event.metaKey) return;
  const object = draft || objects(work).find((each) => each.key === selected);
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (arrows[event.key] && object && isMovable(object)) {
    const pace = event.altKey ? 1 : Math.max(1, Math.round(Math.max(work.width, work.height) / 100));
    const [across, down] = arrows[event.key].map((way) => way * pace), box = object.box;
    const corner = [clamp(box[2] + (object.size ? across + down : across), 0, work.width), clamp(box[3] + (object.size ? 0 : down), 0, work.height)];
    if (object.size && event.shiftKey) corner[1] = box[1]; // the width decides
    draft = { ...object, box: event.shiftKey ? resized(box, "se", corner, object.size) : moved(box, across, down), outline: null };
    draw();
    say("unsaved", { what: called(draft) });
  } else if (event.key === "Enter" && draft) settle();
  else if (event.key === "Escape" && (draft || tool)) cancel();
  else if (["Delete", "Backspace"].includes(event.key) && object && !draft) remove(object);
  else return;
  event.preventDefault();
});
stage.addEventListener("focusout", () => { if (!drag) settle(); });

function choose(name) {
  tool = name;
  stage.classList.toggle("drawing", Boolean(name));
  for (const each of document.querySelectorAll("[data-tool]")) each.setAttribute("aria-pressed", each.dataset.tool === name);
}

for (const each of document.querySelectorAll("[data-tool]")) {
  each.addEventListener("click", (event) => {
    settle();
    choose(each.dataset.tool);
    const what = each.textContent;
    if (event.detail === 0) { // by keyboard: a box in the middle, to be moved and resized
      const size = sizeOfTool(), wide = Math.round(Math.min(work.width, work.height) / 3);
      const high = size ? Math.round((wide * size[1]) / size[0]) : wide;
      const left = Math.round((work.width - wide) / 2), top = Math.round((work.height - high) / 2);
      draft = { key: "new", what: whatOfTool(), size, box: [left, top, left + wide, top + high] };
      draw();
      stage.focus();
      say("unsaved", { what: called(draft) });
    } else say("drawing", { what });
  });
}

function cancel() {
  draft = null;
  choose("");
  at("said").textContent = "";
  draw();
}

// Saving

/** Save what was moved, resized or drawn; nothing where nothing was. */
function settle() {
  const object = draft;
  if (!object) return;
  draft = null;
  choose("");
  const before = objects(work).find((each) => each.key === object.key);
  const [left, top, right, bottom] = object.box;
  if (before && isEqual(before.box, object.box)) draw();
  else if (Math.min(right - left, bottom - top) < (SMALLEST[object.what] || 4)) {
    say("too_small");
    draw();
  } else if (object.what === "crop") saveCrop(object, before);
  else {
    const old = before?.row && (object.what !== "area" || mine.has(before.row.id)) ? [before.row] : [];
    send([{ what: object.what, box: object.box }], old, "saved", word(object.what));
  }
}

/** A crop that is drawn or changed, with the others of its shape: once a person draws one, theirs are used alone. */
function saveCrop(object, before) {
  const rows = [{ what: "crop", box: object.box }];
  if (!before || !before.row) rows.push(...othersAsRows(object));
  send(rows, before?.row ? [before.row] : [], "saved", called({ ...object, row: true }));
}

function othersAsRows(object) {
  return objects(work)
    .filter((each) => each.what === "crop" && same(each.size, object.size) && !each.row && each.key !== object.key)
    .map((each) => ({ what: "crop", box: each.box, why: data.words.as_chosen.en }));
}

function remove(object) {
  settle();
  const what = called(object);
  if (object.row) return send([], [object.row], "removed", what);
  if (object.found) return send([{ what: "clear", box: clearing(object) }], [], "removed", what);
  if (object.what !== "crop") return undefined;
  const others = othersAsRows(object);
  return others.length ? send(others, [], "removed", what) : say("last_crop");
}

/** The place that clears one mask alone: its own box, or its middle where another's middle lies in that. */
function clearing(object) {
  const others = objects(work).filter((each) => each.found && each.key !== object.key);
  if (!others.some((each) => holdsMiddle(object.box, each.box))) return object.box;
  const across = Math.floor((object.box[0] + object.box[2]) / 2), down = Math.floor((object.box[1] + object.box[3]) / 2);
  return [across, down, across + 1, down + 1];
}

let sending = Promise.resolve();

/** Have the server add decisions and take rows back, one change after the other; `key` says what came of it. */
function send(rows, old, key, what, isUndo = false) {
  const of = work, why = at("why").value.trim();
  const added = rows.map((row) => ({ why, ...row })).reverse(); // what a person did themselves comes last
  at("why").value = "";
  sending = sending.then(() => sent(of, added, old, key, what, isUndo));
  return sending;
}

async function sent(of, added, old, key, what, isUndo) {
  say("saving");
  const change = { scan: of.id, who: at("who").value.trim(), new: added, taken_back: old.map((row) => row.id) };
  let said;
  try {
    const answer = await fetch("decisions", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(change) });
    said = await answer.json();
    if (!answer.ok) throw new Error(said.error);
  } catch (error) {
    const why = error instanceof TypeError ? word("gone", { painter: data.painter }) : error.message;
    show();
    say("not_saved", { why });
    return;
  }
  const known = new Set(of.decisions.map((row) => row.id)), fresh = said.decisions.filter((row) => !known.has(row.id));
  fresh.forEach((row) => mine.add(row.id));
  Object.assign(of, said);
  if (!isUndo) undone.push({ of, taken_back: fresh, rows: old });
  if (of === work) {
    const drawn = fresh.findLast((row) => row.box && row.what !== "clear");
    selected = drawn && drawn.what !== "area" ? drawn.id : "area";
    show();
  }
  freshen(of);
  say(key, { what });
}

function undo() {
  settle();
  const lastOne = undone.pop();
  if (!lastOne) return say("nothing_to_undo");
  if (lastOne.of !== work) open(lastOne.of);
  const rows = lastOne.rows.map(({ what, box, why, who, when }) => ({ what, box, why, who, when })).reverse();
  return send(rows, lastOne.taken_back, "taken_back", lastOne.taken_back.map((row) => word(row.what)).join(", ") || word("undo"), true);
}

// The rest of the page

if (!data.read_only) {
  at("who").value = remembered("who") || data.who;
  at("who").addEventListener("change", () => remember("who", at("who").value.trim()));
  at("keep").addEventListener("click", () => send([{ what: "keep" }], [], "saved", word("keep")));
  at("leave-out").addEventListener("click", () => send([{ what: "leave out" }], [], "saved", word("leave out")));
  at("note").addEventListener("click", () => {
    if (at("why").value.trim()) send([{ what: "note" }], [], "saved", word("note"));
    else {
      say("note_first");
      at("why").focus();
    }
  });
  at("undo").addEventListener("click", undo);
  at("copy").addEventListener("click", async () => {
    await navigator.clipboard.writeText(at("command").textContent);
    say("copied");
  });
}
for (const each of document.querySelectorAll("[data-filter]")) {
  each.addEventListener("click", () => { filter = each.dataset.filter; showList(); });
}
for (const each of document.querySelectorAll("[data-layer]")) each.addEventListener("change", draw);
at("search").addEventListener("input", showList);
at("previous").addEventListener("click", () => step(-1));
at("next").addEventListener("click", () => step(1));
at("language").addEventListener("click", () => {
  language = language === "zh" ? "en" : "zh";
  remember("language", language);
  translate();
  showList();
  show();
});
/** Make the picture larger or smaller about what is selected, else about the middle of what is seen. */
function zoomed(by) {
  const object = selected === "area" ? null : objects(work).find((each) => each.key === selected);
  const [across, down] = object
    ? [(object.box[0] + object.box[2]) / 2 / work.width, (object.box[1] + object.box[3]) / 2 / work.height]
    : [(stage.scrollLeft + stage.clientWidth / 2) / stage.scrollWidth, (stage.scrollTop + stage.clientHeight / 2) / stage.scrollHeight];
  zoom = clamp(by ? zoom * by : 1, 1, 16);
  draw();
  stage.scrollTo(across * sheet.offsetWidth - stage.clientWidth / 2, down * sheet.offsetHeight - stage.clientHeight / 2);
}
at("zoom-in").addEventListener("click", () => zoomed(1.6));
at("zoom-out").addEventListener("click", () => zoomed(1 / 1.6));
at("fit").addEventListener("click", () => zoomed(0));
new ResizeObserver(() => { if (work) draw(); }).observe(stage);

translate();
showList();
if (matchMedia("(max-width: 60rem)").matches) at("works").open = false;
open(works.find((of) => `#${of.id}` === location.hash) || works[0]);

// The list of jobs: selection, keys, and rows that come and change while one looks.

const form = document.getElementById("selection");
const body = document.getElementById("rows");
const status = document.getElementById("live");
const MOST_ROWS = 200;

// --- selection ---

const pickPage = document.getElementById("pick-page");
const pickAll = document.getElementById("pick-all");
const picked = document.getElementById("picked");
const boxes = () => [...form.querySelectorAll('input[name="job"]')];

function count() {
  const chosen = boxes().filter((box) => box.checked).length;
  pickPage.checked = chosen > 0 && chosen === boxes().length;
  pickPage.indeterminate = chosen > 0 && !pickPage.checked;
  picked.textContent = pickAll?.checked
    ? "all that this filter shows are selected"
    : chosen > 0 ? `${chosen} selected` : "none selected";
  for (const button of form.querySelectorAll(".actions-bar button")) {
    button.disabled = !chosen && !pickAll?.checked;
  }
  for (const row of body.rows) {
    row.classList.toggle("picked", row.querySelector('input[name="job"]').checked);
  }
  form.dispatchEvent(new CustomEvent("selection", {
    bubbles: true,
    detail: { chosen, all: Boolean(pickAll?.checked) },
  }));
}

if (form) {
  form.addEventListener("change", (event) => {
    if (event.target === pickPage) {
      for (const box of boxes()) box.checked = pickPage.checked;
      if (pickAll && !pickPage.checked) pickAll.checked = false;
    } else if (event.target === pickAll) {
      for (const box of boxes()) box.checked = pickAll.checked;
    } else if (event.target.name === "job" && pickAll && !event.target.checked) {
      pickAll.checked = false;
    }
    count();
  });
  count();
  window.addEventListener("pageshow", count); // a browser that goes back keeps what was ticked
}

// --- keys ---

const keys = document.getElementById("keys");
document.getElementById("keys-button").addEventListener("click", () => keys.showModal());

function isTyping(target) {
  return target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]") !== null;
}

function step(by) {
  const rows = [...body.rows];
  const now = rows.indexOf(document.activeElement?.closest("tr"));
  const next = now < 0 ? (by > 0 ? 0 : rows.length - 1) : now + by;
  const row = rows[Math.max(0, Math.min(rows.length - 1, next))];
  row.focus();
  row.scrollIntoView({ block: "nearest" });
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || keys.open || isTyping(event.target)) return;
  const row = document.activeElement?.closest("#rows tr");
  if (event.key === "/") document.getElementById("search").focus();
  else if (event.key === "?") keys.showModal();
  else if (!body) return;
  else if (event.key === "j" || (event.key === "ArrowDown" && row)) step(1);
  else if (event.key === "k" || (event.key === "ArrowUp" && row)) step(-1);
  else if (event.key === "x" && row) row.querySelector('input[name="job"]').click();
  else if (event.key === "Enter" && row === document.activeElement) row.querySelector("th a").click();
  else return;
  event.preventDefault();
}
document.addEventListener("keydown", press);

// --- live ---

const source = document.querySelector("[data-live]");
const inserts = form?.dataset.insert === "yes";
const arrived = new Set();
const waiting = new Set();
let changed = 0;
let saying;

function say() {
  const parts = [];
  if (arrived.size) parts.push(`${arrived.size} new`);
  if (changed) parts.push(`${changed} changed`);
  status.replaceChildren(parts.join(", "));
  if (waiting.size) {
    const link = document.createElement("a");
    link.href = window.location.href;
    link.textContent = `${waiting.size} more ${waiting.size === 1 ? "job fits" : "jobs fit"}: read again`;
    status.append(parts.length ? "; " : "", link);
  }
}

function sayLater() { // one sentence for what comes together
  clearTimeout(saying);
  saying = setTimeout(say, 300);
}

function rowOf(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html.trim();
  return holder.content.querySelector("tr");
}

function exchange(old, row, fits) {
  const had = old.contains(document.activeElement) ? document.activeElement : null;
  const tag = had && (had === old ? "tr" : had.matches("input") ? "input" : "a");
  row.querySelector('input[name="job"]').checked = old.querySelector('input[name="job"]').checked;
  row.classList.toggle("gone", !fits); // it stays where it is, under the user's hand
  old.replaceWith(row);
  if (had) (tag === "tr" ? row : row.querySelector(tag)).focus({ preventScroll: true });
}

function insert(row, id) {
  const below = [...body.rows].find((other) => Number(other.dataset.job) < id);
  body.insertBefore(row, below ?? null);
  if (pickAll?.checked) row.querySelector('input[name="job"]').checked = true;
  while (body.rows.length > MOST_ROWS) {
    const last = [...body.rows].findLast((one) => !one.classList.contains("picked"));
    if (!last || last.contains(document.activeElement)) break;
    last.remove();
  }
}

function take(message) {
  const { id, fits, html } = JSON.parse(message.data);
  const old = body?.querySelector(`tr[data-job="${id}"]`);
  if (!old && !fits) return;
  if (old) {
    exchange(old, rowOf(html), fits);
    if (!arrived.has(id)) changed += 1;
  } else if (inserts && id > Number(body.rows[0]?.dataset.job ?? 0)) {
    const row = rowOf(html);
    row.classList.add("new");
    insert(row, id);
    arrived.add(id);
  } else {
    waiting.add(id);
  }
  if (form) count();
  sayLater();
}

if (source) {
  const stream = new EventSource(source.dataset.live);
  stream.addEventListener("job", take);
  stream.addEventListener("many", () => {
    const link = document.createElement("a");
    link.href = window.location.href;
    link.textContent = "Many jobs changed: read again";
    status.replaceChildren(link);
  });
  window.addEventListener("pagehide", () => stream.close());
}

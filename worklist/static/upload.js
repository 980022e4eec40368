// Files, folders and zips dropped on the page: sent one after the other, each with its progress.

const form = document.querySelector("#drop");
const list = document.querySelector("#files");
const summary = document.querySelector("#summary");
const token = document.querySelector('meta[name="csrf-token"]').content;
const largest = Number(form.dataset.megabytes) * 1e6;
const tones = { accepted: "good", present: "work", refused: "bad", skipped: "off" };
const counts = { accepted: 0, present: 0, refused: 0, skipped: 0 };
const queue = [];
let busy = false;

/** Show what comes with a script, and hide what is only needed without one. */
for (const part of document.querySelectorAll("[data-with-script]")) part.hidden = false;
for (const part of document.querySelectorAll("[data-without-script]")) part.hidden = true;

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

/** Return the line of one file, with its progress. */
function addLine(name) {
  const line = element("li", "file");
  const progress = document.createElement("progress");
  progress.max = 1;
  progress.value = 0;
  progress.setAttribute("aria-label", `Upload of ${name}`);
  line.append(element("span", "name", name), progress);
  list.append(line);
  list.closest("section").hidden = false;
  return line;
}

/** Say in a file's line what came of it. */
function settle(line, answer) {
  line.querySelector("progress")?.remove();
  const said = element("span", "said");
  if (answer.job_id) {
    const link = element("a", "", `job ${answer.job_id}`);
    link.href = `/jobs/${answer.job_id}`;
    said.append(link, ` ${answer.state}${answer.reason ? ": " : ""}`);
  }
  said.append(answer.reason ?? "");
  line.append(element("span", `state tone-${tones[answer.outcome]}`, answer.outcome), said);
  counts[answer.outcome] += 1;
}

/** Send one file; XMLHttpRequest, because fetch() does not say how much has gone. */
function send(file, name, progress) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    const body = new FormData();
    body.append("files", file, name);
    request.open("POST", "/api/instances");
    request.responseType = "json";
    request.setRequestHeader("X-CSRF-Token", token);
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) progress.value = event.loaded / event.total;
      if (event.loaded === event.total) progress.removeAttribute("value");
    });
    const refused = (reason) => resolve([{ name, outcome: "refused", reason }]);
    request.addEventListener("error", () => refused("the node cannot be reached"));
    request.addEventListener("load", () => {
      const answer = request.response;
      if (answer?.files?.length) resolve(answer.files);
      else refused(answer?.error ?? `answered with ${request.status}; log in again?`);
    });
    request.send(body);
  });
}

async function sendOne({ file, name, line }) {
  if (file.size > largest) {
    settle(line, { outcome: "refused", reason: `more than ${form.dataset.megabytes} MB` });
    return;
  }
  const answers = await send(file, name, line.querySelector("progress"));
  answers.forEach((answer, number) => {
    settle(number ? addLine(answer.name) : line, answer);
    if (!number) line.querySelector(".name").textContent = answer.name;
  });
}

async function work() {
  if (busy) return;
  busy = true;
  while (queue.length) {
    summary.textContent = `${queue.length} to go`;
    await sendOne(queue.shift());
  }
  busy = false;
  const words = Object.entries(counts).filter(([, number]) => number);
  summary.textContent = words.map(([outcome, number]) => `${number} ${outcome}`).join(", ");
}

function add(file, name) {
  queue.push({ file, name, line: addLine(name) });
}

/** Return the entries of a dropped folder; the browser gives them a hundred at a time. */
async function entriesOf(folder) {
  const reader = folder.createReader();
  const all = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (!some.length) return all.sort((a, b) => a.name.localeCompare(b.name));
    all.push(...some);
  }
}

async function addEntry(entry) {
  if (entry.isDirectory) {
    for (const inner of await entriesOf(entry)) await addEntry(inner);
  } else {
    const file = await new Promise((resolve, reject) => { entry.file(resolve, reject); });
    add(file, entry.fullPath.replace(/^\//, ""));
  }
}

for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    form.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) form.classList.remove("over");
});
document.addEventListener("drop", async (event) => {
  event.preventDefault();
  form.classList.remove("over");
  // Entries are gone once the event has been handled: they are taken before anything waits.
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.());
  const files = [...event.dataTransfer.files];
  if (entries.some((entry) => entry?.isDirectory)) {
    for (const entry of entries) if (entry) await addEntry(entry);
  } else {
    for (const file of files) add(file, file.name);
  }
  work();
});
for (const input of form.querySelectorAll('input[type="file"]')) {
  input.addEventListener("change", () => {
    for (const file of input.files) add(file, file.webkitRelativePath || file.name);
    input.value = "";
    work();
  });
}
form.addEventListener("submit", (event) => event.preventDefault());

// The filter over the header's elements, and what must not happen while a job's page follows it.

function depthOf(row) {
  return Number(row.className.match(/depth-(\d+)/)[1]);
}

function filterRows(form) {
  const rows = [...document.querySelectorAll(`#${form.dataset.filters} tbody tr`)];
  const words = form.querySelector("input").value.trim().toLowerCase();
  const isFound = (row) => row.textContent.toLowerCase().includes(words);
  let depth = 0; // of what is still wanted above
  for (const row of rows.reverse()) {
    const found = isFound(row);
    const holds = depthOf(row) < depth;
    row.hidden = !found && !holds;
    if (!row.hidden) depth = depthOf(row);
  }
  const shown = rows.filter((row) => !row.hidden).length;
  form.querySelector("output").value = words ? `${shown} of ${rows.length} lines` : "";
}

function showFilters() {
  for (const form of document.querySelectorAll("form.filter")) form.hidden = false;
}

document.addEventListener("input", (event) => {
  const form = event.target.closest("form.filter");
  if (form) filterRows(form);
});
document.addEventListener("submit", (event) => {
  if (event.target.closest("form.filter")) event.preventDefault();
});
document.addEventListener("htmx:load", showFilters);
// What somebody is writing in is not put aside for what is newer.
document.addEventListener("htmx:oobBeforeSwap", (event) => {
  const writing = document.activeElement?.matches("input, textarea, select");
  if (writing && event.detail.target.contains(document.activeElement)) {
    event.detail.shouldSwap = false;
  }
});
showFilters();

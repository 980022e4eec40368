// The content is fetched anew every 10 s: what a reader has opened stays open.

const live = document.getElementById("live");
let open = [];

live?.addEventListener("htmx:beforeSwap", () => {
  open = [...live.querySelectorAll("details[open]")].map((details) => details.id);
});

live?.addEventListener("htmx:afterSwap", () => {
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
});

"use strict";

// Everything here is optional: without it the page shows the same facts, in the order of the run.

const order = (cell) => (cell?.dataset.value === undefined ? null : Number(cell.dataset.value));

/** Return a negative number if a comes before b; cells without a figure come last in both directions. */
function compareCells(a, b, descending) {
  const [left, right] = [order(a), order(b)];
  if (left === null && right === null) {
    const [one, other] = [a.textContent, b.textContent];
    return a.tagName === "TH" ? one.localeCompare(other) * (descending ? -1 : 1) : 0;
  }
  if (left === null || right === null) return left === null ? 1 : -1;
  return descending ? right - left : left - right;
}

function sort(table, column, heading) {
  const descending = heading.getAttribute("aria-sort") === "ascending" ||
    (!heading.hasAttribute("aria-sort") && heading.dataset.first === "descending");
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  for (const body of table.tBodies) {
    if (body.hasAttribute("data-fixed")) continue;
    const rows = [...body.rows].sort((a, b) => compareCells(a.cells[column], b.cells[column], descending));
    body.append(...rows);
  }
}

function makeSortable(table) {
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    if (!heading.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(heading.firstChild);
    heading.prepend(button);
    button.addEventListener("click", () => sort(table, column, heading));
  });
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.textContent);
  } catch {
    const range = document.createRange();
    range.selectNodeContents(source);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    if (!document.execCommand("copy")) return;
  }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

function slide(button) {
  const section = button.closest("section");
  const on = section.classList.toggle("sliding");
  button.setAttribute("aria-pressed", String(on));
  for (const slider of section.querySelectorAll(".slider")) slider.hidden = !on;
}

for (const table of document.querySelectorAll("table[data-sortable]")) makeSortable(table);
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", () => copy(button));
}
for (const button of document.querySelectorAll("[data-slide]")) {
  button.hidden = false;
  button.addEventListener("click", () => slide(button));
}
for (const input of document.querySelectorAll(".slider input")) {
  const winner = input.closest("figure").querySelector(".winner");
  const move = () => winner.style.setProperty("--cut", `${input.value}%`);
  input.addEventListener("input", move);
  move();
}
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});

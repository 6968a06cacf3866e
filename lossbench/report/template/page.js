"use strict";
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// Light and dark: what the system says until somebody chooses.
const theme = document.getElementById("theme");
const system = matchMedia("(prefers-color-scheme: dark)");
const dark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
const nameTheme = () => { theme.textContent = dark() ? "Light" : "Dark"; };
theme.hidden = false;
theme.addEventListener("click", () => { document.documentElement.dataset.theme = dark() ? "light" : "dark"; nameTheme(); });
system.addEventListener("change", nameTheme);
nameTheme();

// One of several charts at a time.
for (const box of all(".choose")) {
  const choices = all(":scope > .choice", box);
  if (choices.length < 2) continue;
  const select = document.createElement("select");
  select.append(...choices.map((choice) => new Option(choice.dataset.name)));
  const show = () => choices.forEach((choice, place) => { choice.hidden = place !== select.selectedIndex; });
  select.addEventListener("change", show);
  const label = document.createElement("label");
  label.append(`${box.dataset.label} `, select);
  box.prepend(label);
  show();
}

// Sorting by a column: a first click puts the best on top, where nothing is stays at the end.
const key = (row, column) => row.cells[column].dataset.value;
const compare = (a, b) => (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b);
function sort(table, head) {
  const turned = { ascending: "descending", descending: "ascending" };
  const order = turned[head.getAttribute("aria-sort")] ?? head.dataset.first;
  all("th[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const rows = [...table.tBodies[0].rows];
  const [full, empty] = [rows.filter((row) => key(row, head.cellIndex)), rows.filter((row) => !key(row, head.cellIndex))];
  full.sort((a, b) => sign * compare(key(a, head.cellIndex), key(b, head.cellIndex)));
  table.tBodies[0].append(...full, ...empty);
}
for (const table of all(".sortable")) {
  for (const head of all("thead th", table)) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(table, head));
  }
}

// Flipping images in place, between a column and the one that is chosen.
for (const section of all(".images")) {
  const table = section.querySelector("table");
  const [select, everything] = [section.querySelector("select"), section.querySelector(".flip-all")];
  const buttons = all(".flip", table);
  const own = new Map(all("img", table).map((image) => [image, { src: image.src, alt: image.alt }]));
  const place = (image) => image.closest("td").cellIndex;
  const flipped = (image) => image.parentElement.classList.contains("flipped");
  const reference = (image) => image.closest("tr").cells[select.selectedIndex + 1].querySelector("img");
  const turn = (image, on) => {
    const other = on && reference(image);
    Object.assign(image, own.get(other || image));
    image.parentElement.classList.toggle("flipped", Boolean(other));
  };
  const column = (button) => [...own.keys()].filter((image) => place(image) === button.closest("th").cellIndex);
  const tell = () => {
    for (const button of buttons) {
      const on = column(button).some(flipped);
      button.setAttribute("aria-pressed", on);
      button.closest("th").querySelector(".shows").textContent = on ? "⇄ flipped" : "";
    }
    everything.setAttribute("aria-pressed", buttons.some((button) => button.getAttribute("aria-pressed") === "true"));
  };
  const flip = (images, on) => { images.forEach((image) => turn(image, on)); tell(); };
  const flipAll = () => {
    const on = everything.getAttribute("aria-pressed") !== "true";
    flip([...own.keys()].filter((image) => place(image) !== select.selectedIndex + 1), on);
  };
  for (const button of buttons) {
    button.disabled = false;
    button.addEventListener("click", () => flip(column(button), button.getAttribute("aria-pressed") !== "true"));
  }
  table.addEventListener("click", ({ target }) => { if (own.has(target)) flip([target], !flipped(target)); });
  everything.addEventListener("click", flipAll);
  section.addEventListener("keydown", (event) => {
    if (event.key === "f" && !event.ctrlKey && !event.metaKey && event.target !== select) flipAll();
  });
  select.addEventListener("change", () => {
    const on = [...own.keys()].filter(flipped);
    flip(on, false);
    flip(on.filter((image) => place(image) !== select.selectedIndex + 1), true);
  });
  const larger = section.querySelector(".larger");
  larger.addEventListener("change", () => table.classList.toggle("enlarged", larger.checked));
  section.querySelector(".flipping").hidden = false;
}

// Texts to copy; where a page may not write to the clipboard the text is selected.
for (const button of all(".copies")) {
  const text = document.getElementById(button.dataset.copies);
  button.hidden = false;
  button.addEventListener("click", async () => {
    getSelection().selectAllChildren(text);
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Selected";
    }
  });
}

// On paper nothing is closed.
const closed = new Set();
addEventListener("beforeprint", () => all("details:not([open])").forEach((each) => { closed.add(each); each.open = true; }));
addEventListener("afterprint", () => { closed.forEach((each) => { each.open = false; }); closed.clear(); });

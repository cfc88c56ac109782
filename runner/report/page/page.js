"use strict";

/* Figures: drawn when they come near, in the colours of the style sheet, and anew when these change. */

const hidden = new Set(); // numbers of the runs that are not shown

function coloured(value) {
  if (typeof value === "string") {
    const name = /^var\((--[\w-]+)\)$/.exec(value);
    return name ? getComputedStyle(document.documentElement).getPropertyValue(name[1]).trim() : value;
  }
  if (Array.isArray(value)) return value.map(coloured);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, coloured(one)]));
  }
  return value;
}

function themed(layout) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const found = {
    ...coloured(layout),
    autosize: true,
    showlegend: false,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { t: 18, r: 18, b: 46, l: 56 },
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("--muted") },
    hoverlabel: { bgcolor: colour("--card"), bordercolor: colour("--rule"), font: { color: colour("--text") }, namelength: -1 },
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
  };
  for (const key of Object.keys(found)) {
    if (/^[xy]axis\d*$/.test(key)) {
      found[key] = {
        automargin: true, gridcolor: colour("--grid"), linecolor: colour("--rule"), zerolinecolor: colour("--rule"), ...found[key],
      };
      const title = found[key].title;
      found[key].title = { standoff: 10, ...(typeof title === "string" ? { text: title } : title), font: { size: 12 } };
    }
  }
  for (const key of ["xaxis", "yaxis"]) {
    found[key] ??= { automargin: true, gridcolor: colour("--grid"), linecolor: colour("--rule"), zerolinecolor: colour("--rule") };
  }
  return found;
}

function draw(plot) {
  plot.spec ??= JSON.parse(plot.querySelector("script").textContent);
  const data = coloured(plot.spec.data).map((trace) => ({ ...trace, visible: !hidden.has(trace.meta) }));
  const drawn = Plotly.react(plot, data, themed(plot.spec.layout), { responsive: true, displayModeBar: false });
  drawn.then(() => {
    if (plot.classList.contains("drawn")) return;
    plot.classList.add("drawn");
    plot.on("plotly_click", (event) => {
      const point = event.points[0];
      const run = point.data.meta ?? point.customdata;
      if (document.getElementById(`run-${run}`)) location.hash = `run-${run}`;
    });
  });
}

const plots = [...document.querySelectorAll(".plot")];
const nearing = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) {
        nearing.unobserve(entry.target);
        draw(entry.target);
      }
    }
  },
  { rootMargin: "400px" },
);
plots.forEach((plot) => nearing.observe(plot));
const redraw = () => plots.filter((plot) => plot.classList.contains("drawn")).forEach(draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

for (const button of document.querySelectorAll(".legend button")) {
  button.addEventListener("click", () => {
    const run = Number(button.dataset.run);
    const isShown = hidden.delete(run);
    if (!isShown) hidden.add(run);
    button.setAttribute("aria-pressed", String(isShown));
    redraw();
  });
}

/* Tables: sorted by the column whose title is pressed; what has no value comes last either way. */

function compare(one, other) {
  const numbers = [Number(one), Number(other)];
  return numbers.some(Number.isNaN) ? one.localeCompare(other, undefined, { numeric: true }) : numbers[0] - numbers[1];
}

for (const table of document.querySelectorAll(".sortable")) {
  const titles = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  titles.forEach((title, column) => {
    title.querySelector("button").addEventListener("click", () => {
      const way = title.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      titles.forEach((one) => one.removeAttribute("aria-sort"));
      title.setAttribute("aria-sort", way === 1 ? "ascending" : "descending");
      const rows = [...body.rows].map((row) => [row.cells[column].dataset.sort, row]);
      rows.sort(([one], [other]) => {
        if (one === "" || other === "") return (one === "") - (other === "");
        return way * compare(one, other);
      });
      body.append(...rows.map(([, row]) => row));
    });
  });
}

for (const input of document.querySelectorAll(".filter")) {
  const rows = [...document.getElementById(input.dataset.table).tBodies[0].rows];
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
}

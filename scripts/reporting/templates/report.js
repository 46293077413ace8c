"use strict";
(() => {
  const panels = JSON.parse(document.getElementById("data").textContent);
  const form = document.getElementById("filters");
  const config = {
    displayModeBar: false,
    responsive: true,
  };

  const boxes = (filter) => [...form.querySelectorAll(`[data-filter=${filter}] input`)];
  const chosen = (filter) => new Set(boxes(filter).filter((box) => box.checked).map((box) => box.value));

  // The Pareto front of the marks that are shown; scripts/reporting/pareto.py says what it is.
  function pareto(traces) {
    const marks = traces.flatMap((trace) => trace.x.map((x, n) => [x, trace.y[n], trace.name]));
    marks.sort((a, b) => a[0] - b[0] || b[1] - a[1]);
    const front = [];
    for (const mark of marks) if (!front.length || mark[1] > front[front.length - 1][1]) front.push(mark);
    return front;
  }

  // Traces belong to a format, or, like a limit of the device, to none.
  function select(traces, formats) {
    const shown = traces.map((trace) => ({
      ...trace,
      visible: !trace.meta.format || formats.has(trace.meta.format),
    }));
    const front = pareto(shown.filter((trace) => trace.visible && trace.meta.role === "marks"));
    return shown.map((trace) => trace.meta.role !== "front" ? trace : {
      ...trace, x: front.map((m) => m[0]), y: front.map((m) => m[1]), text: front.map((m) => `${m[2]}\u00a0\u00a0`),
    });
  }

  // With a view box, a drawing scales to the width that it has on paper.
  function makeScalable(plot) {
    plot.on("plotly_afterplot", () => {
      const svgs = [...plot.querySelectorAll(".main-svg")];
      const [width, height] = ["width", "height"].map((side) => svgs[0].getAttribute(side));
      plot.style.setProperty("--ratio", `${width} / ${height}`);
      svgs.forEach((svg) => svg.setAttribute("viewBox", `0 0 ${width} ${height}`));
    });
  }

  function draw(panel, formats) {
    const plot = document.getElementById(panel.id);
    const first = !plot.on;
    const drawn = Plotly.react(plot, select(panel.data, formats), panel.layout, config);
    if (first) makeScalable(plot);
    return drawn;
  }

  function apply() {
    const formats = chosen("formats");
    const targets = chosen("targets");
    const fits = (item) => (!item.dataset.format || formats.has(item.dataset.format))
      && (!item.dataset.target || targets.has(item.dataset.target));
    document.querySelectorAll("tbody tr, .panel").forEach((item) => { item.hidden = !fits(item); });
    const drawn = panels.filter((panel) => targets.has(panel.target)).map((panel) => draw(panel, formats));
    document.querySelectorAll(".figure").forEach((figure) => {
      const note = figure.querySelector(".nothing");
      if (note) note.hidden = figure.querySelector(".panel:not([hidden])") !== null;
    });
    const all = document.querySelectorAll("#rows tbody tr");
    const left = [...all].filter((row) => !row.hidden).length;
    document.getElementById("count").textContent = `${left} of ${all.length} rows`;
    return Promise.all(drawn);
  }

  // The selection stands in the address, so that a link shows the same: #formats=int4,int8
  function remember() {
    const parts = ["formats", "targets"].flatMap((filter) => {
      const on = boxes(filter).filter((box) => box.checked);
      return on.length === boxes(filter).length ? [] : [`${filter}=${on.map((box) => encodeURIComponent(box.value))}`];
    });
    history.replaceState(null, "", parts.length ? `#${parts.join("&")}` : location.pathname + location.search);
  }

  function recall() {
    const given = new URLSearchParams(location.hash.slice(1));
    for (const filter of ["formats", "targets"]) {
      const names = given.has(filter) ? new Set(given.get(filter).split(",")) : null;
      boxes(filter).forEach((box) => { box.checked = !names || names.has(box.value); });
    }
    return apply();
  }

  function sort(head) {
    const table = head.closest("table");
    const column = [...head.parentNode.children].indexOf(head);
    const down = head.getAttribute("aria-sort") === "ascending";
    const key = (row) => row.cells[column].dataset.key;
    const body = table.tBodies[0];
    const sorted = [...body.rows].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "" || y === "") return (x === "") - (y === "");  // what was not measured stays below
      const order = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
      return down ? -order : order;
    });
    head.parentNode.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...sorted);
  }

  form.addEventListener("change", () => { remember(); apply(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("all").addEventListener("click", () => {
    form.querySelectorAll("input").forEach((box) => { box.checked = true; });
    remember();
    apply();
  });
  document.querySelectorAll(".sortable th").forEach((head) => {
    head.querySelector("button").addEventListener("click", () => sort(head));
  });
  window.addEventListener("hashchange", recall);
  recall().then(() => { document.documentElement.dataset.ready = "yes"; });
})();

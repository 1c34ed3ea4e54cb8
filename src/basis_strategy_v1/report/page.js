"use strict";
(() => {
  const PRINT_WIDTH = 690;
  const run = JSON.parse(document.getElementById("run-data").textContent);
  const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  let view = "netted";

  // A figure's colours are names of the stylesheet, its long series references: put both in.
  const filled = (value, key) => {
    if (typeof value === "string") return /color$/i.test(key) && value.startsWith("--") ? variable(value) : value;
    if (Array.isArray(value)) return value.map((item) => (item !== null && typeof item === "object" ? filled(item, key) : item));
    if (value === null || typeof value !== "object") return value;
    if (typeof value.of === "string") {
      const series = run.series[value.of];
      return value.sign ? series.map((amount) => (amount * value.sign > 0 ? amount : 0)) : series;
    }
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, filled(item, name)]));
  };

  const theme = () => {
    const axis = {
      gridcolor: variable("--grid"), linecolor: variable("--rule"), zerolinecolor: variable("--rule"), tickcolor: variable("--rule"),
      zerolinewidth: 1, automargin: true, fixedrange: false,
    };
    return {
      layout: {
        paper_bgcolor: variable("--paper"), plot_bgcolor: variable("--paper"),
        font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: variable("--soft") },
        margin: { l: 8, r: 12, t: 30, b: 30 }, separators: ".,",
        hovermode: "x unified", dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
        hoverlabel: { bgcolor: variable("--sheet"), bordercolor: variable("--rule"), font: { color: variable("--ink"), size: 12 }, namelength: -1 },
        legend: { orientation: "h", x: 0, xanchor: "left", y: 1, yanchor: "bottom", font: { size: 12 }, itemsizing: "constant" },
        modebar: { bgcolor: "rgba(0,0,0,0)", color: variable("--faint"), activecolor: variable("--accent"), orientation: "h" },
        xaxis: { ...axis, showgrid: false, hoverformat: "%Y-%m-%d %H:%M", spikecolor: variable("--faint"), spikethickness: 1, spikedash: "solid" },
        yaxis: { ...axis, ticklabelstandoff: 4 },
      },
    };
  };

  // The buttons are named one by one: plotly adds new ones with new versions, and one of these offered to upload the chart.
  const config = {
    displaylogo: false, displayModeBar: matchMedia("(hover: hover)").matches ? "hover" : false, responsive: true,
    modeBarButtons: [["toImage"], ["zoom2d", "pan2d"], ["resetScale2d"]], showSendToCloud: false, plotlyServerURL: "",
  };

  const drawing = (figure) => {
    const traces = figure.traces.map((trace) => ({ ...filled(trace, ""), visible: !trace.meta || !trace.meta.view || trace.meta.view === view }));
    const layout = { ...filled(figure.layout, ""), template: theme(), height: figure.height };
    const ranged = traces.find((trace) => trace.visible && trace.meta && trace.meta.range);
    if (ranged) layout.xaxis = { ...layout.xaxis, range: ranged.meta.range };
    return [traces, layout];
  };

  // Figures over time stand under each other: all take the left margin of the one whose labels are the widest.
  const overTime = run.figures.filter((figure) => figure.layout.margin).map((figure) => figure.id);
  const leftOf = (id) => document.getElementById(id)._fullLayout._size.l;
  const alignLeft = () => {
    const left = Math.max(...overTime.map(leftOf));
    for (const id of overTime) if (leftOf(id) < left) Plotly.relayout(id, { "margin.l": left });
  };

  const draw = (width) => {
    for (const figure of run.figures) {
      const [traces, layout] = drawing(figure);
      Plotly.react(figure.id, traces, width ? { ...layout, width } : layout, { ...config, responsive: !width });
    }
    alignLeft();
  };

  // Zoom into one figure over time, and the others follow.
  const link = (linked) => {
    let following = false;
    const follow = (source) => (change) => {
      if (following || !Object.keys(change).some((key) => key.startsWith("xaxis."))) return;
      const axis = document.getElementById(source).layout.xaxis;
      const update = axis.autorange ? { "xaxis.autorange": true } : { "xaxis.range": [...axis.range] };
      following = true;
      Promise.all(linked.filter((id) => id !== source).map((id) => Plotly.relayout(id, update))).finally(() => { following = false; });
    };
    for (const id of linked) document.getElementById(id).on("plotly_relayout", follow(id));
  };

  draw();
  link(run.figures.filter((figure) => figure.linked).map((figure) => figure.id));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
  // Paper is light and narrow, whatever the screen is.
  addEventListener("beforeprint", () => { document.documentElement.dataset.printing = ""; draw(PRINT_WIDTH); });
  addEventListener("afterprint", () => { delete document.documentElement.dataset.printing; draw(); });
  for (const choice of document.querySelectorAll("input[name=prices]")) {
    choice.addEventListener("change", () => { view = choice.value; draw(); });
  }
  // The trades: everything happens in the page, and a saved file is made of its own rows.
  const showTrades = ({ columns, rows, places }) => {
    const SHOWN = 200;
    const table = document.getElementById("trades-table");
    const filter = document.getElementById("trades-filter");
    const isNumber = columns.map((_, place) => rows.every((row) => row[place] === "" || Number.isFinite(Number(row[place]))));
    const texts = rows.map((row) => row.join(" ").toLowerCase());
    let sorted = { place: -1, down: false };

    const matching = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      const found = rows.filter((_, number) => words.every((word) => texts[number].includes(word)));
      if (sorted.place < 0) return found;
      const { place, down } = sorted;
      const order = isNumber[place] ? (a, b) => Number(a[place]) - Number(b[place]) : (a, b) => (a[place] < b[place] ? -1 : a[place] > b[place] ? 1 : 0);
      return found.sort((a, b) => (down ? -order(a, b) : order(a, b)));
    };

    const cell = (text, place) => {
      const found = document.createElement("td");
      found.className = isNumber[place] ? "n" : { timestamp: "t", reason: "reason", key: "ref" }[columns[place]] ?? "";
      const isMoney = ["notional", "fee"].includes(columns[place]);
      const digits = isMoney ? { minimumFractionDigits: places, maximumFractionDigits: places } : { maximumFractionDigits: 8 };
      const rounded = isNumber[place] && text !== "" ? Number(text).toLocaleString("en-US", digits) : text;
      found.textContent = rounded;
      if (rounded !== text) found.title = text;
      return found;
    };

    const fill = () => {
      const found = matching();
      const body = document.createElement("tbody");
      for (const row of found.slice(0, SHOWN)) body.insertRow().append(...row.map(cell));
      table.replaceChildren(table.tHead, body);
      const shown = Math.min(found.length, SHOWN);
      document.getElementById("trades-count").textContent = `${shown.toLocaleString("en-US")} of ${found.length.toLocaleString("en-US")} shown`;
      for (const [place, head] of [...table.tHead.rows[0].cells].entries()) {
        head.ariaSort = place === sorted.place ? (sorted.down ? "descending" : "ascending") : "none";
      }
    };

    const heads = table.createTHead().insertRow();
    for (const [place, name] of columns.entries()) {
      const head = document.createElement("th");
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.addEventListener("click", () => { sorted = { place, down: sorted.place === place && !sorted.down }; fill(); });
      if (isNumber[place]) head.className = "n";
      head.append(button);
      heads.append(head);
    }
    filter.addEventListener("input", fill);
    document.getElementById("trades-save").addEventListener("click", () => {
      const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
      const lines = [columns, ...matching()].map((row) => row.map(quoted).join(","));
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([lines.join("\n"), "\n"], { type: "text/csv" }));
      link.download = "trades.csv";
      link.click();
      URL.revokeObjectURL(link.href);
    });
    fill();
  };

  if (run.trades) showTrades(run.trades);
  document.documentElement.dataset.drawn = String(run.figures.length);
})();

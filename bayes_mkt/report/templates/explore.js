"use strict";
(() => {
  const data = JSON.parse(document.getElementById("explore-data").textContent);
  const box = document.getElementById("explorer");
  const SVG = "http://www.w3.org/2000/svg";
  // As wide as the page, so that letters on a phone are as large as elsewhere.
  const W = Math.max(340, Math.min(860, document.body.clientWidth - 30)), LEFT = 72, RIGHT = 34, TOP = 10, BOTTOM = 26;
  const get = (id) => document.getElementById("explore-" + id);
  const figure = (x) => x === null || x === undefined ? "n/a"
    : x.toLocaleString("en", { maximumSignificantDigits: 4 });

  const shape = (name, attributes, parent) => {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (parent) parent.appendChild(node);
    return node;
  };
  const write = (name, text, parent) => {
    const node = document.createElement(name);
    node.textContent = text;
    parent.appendChild(node);
    return node;
  };
  const empty = (node) => { while (node.firstChild) node.removeChild(node.firstChild); };
  const fill = (select, names) => names.forEach((name, i) => {
    const option = write("option", name, select);
    option.value = String(i);
  });

  // Round steps for an axis from low to high.
  const ticks = (low, high) => {
    const rough = (high - low) / 4 || 1;
    const power = Math.pow(10, Math.floor(Math.log10(rough)));
    const step = power * [1, 2, 2.5, 5, 10].find((m) => m * power >= rough);
    const out = [];
    for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-6; v += step) out.push(v);
    return out;
  };

  const frame = (place, height, label, low, high, across) => {
    empty(place);
    const svg = shape("svg", { viewBox: `0 0 ${W} ${height}`, role: "img", "aria-label": label },
      place);
    const y = (v) => TOP + (height - TOP - BOTTOM) * (1 - (v - low) / (high - low || 1));
    for (const v of ticks(low, high)) {
      shape("line", { x1: LEFT, x2: W - RIGHT, y1: y(v), y2: y(v), class: "grid" }, svg);
      shape("text", { x: LEFT - 6, y: y(v) + 4, class: "left" }, svg).textContent = figure(v);
    }
    for (const [x, text] of across) {
      shape("text", { x: x, y: height - 8, class: "below" }, svg).textContent = text;
    }
    return { svg, y };
  };

  const dates = data.dates;
  const xOf = (i) => LEFT + (W - LEFT - RIGHT) * (dates.length > 1 ? i / (dates.length - 1) : 0.5);
  const dateLabels = () => {
    const every = Math.max(1, Math.ceil(dates.length / Math.max(2, Math.floor(W / 105))));
    return dates.map((d, i) => [xOf(i), d, i]).filter((e) => e[2] % every === 0);
  };
  // Stretches of dates on which every series is known.
  const runs = (known) => {
    const out = [];
    let run = [];
    known.forEach((ok, i) => {
      if (ok) run.push(i); else if (run.length) { out.push(run); run = []; }
    });
    if (run.length) out.push(run);
    return out;
  };
  const path = (points) => points.map((p, i) => `${i ? "L" : "M"}${p[0].toFixed(1)} ` +
    p[1].toFixed(1)).join("");
  const area = (run, top, bottom) => path([...run.map((i) => [xOf(i), top(i)]),
    ...[...run].reverse().map((i) => [xOf(i), bottom(i)])]) + "Z";

  const extent = (...series) => {
    const values = series.flat().filter((v) => v !== null && Number.isFinite(v));
    const low = Math.min(0, ...values);
    return [low, Math.max(low + 1e-9, ...values)];
  };

  let marks = [];
  const region = () => data.regions[Number(get("region").value)];

  const drawSales = () => {
    const r = region();
    const [low, high] = extent(r.observed, r.high, r.low);
    const { svg, y } = frame(get("sales"), 240, `Observed and expected sales over time, ${r.name}`,
      low, high, dateLabels());
    for (const run of runs(r.middle.map((v) => v !== null))) {
      shape("path", { d: area(run, (i) => y(r.high[i]), (i) => y(r.low[i])), class: "band" }, svg);
      shape("path", { d: path(run.map((i) => [xOf(i), y(r.middle[i])])), class: "line" }, svg);
    }
    r.observed.forEach((v, i) => {
      if (v !== null) shape("circle", { cx: xOf(i), cy: y(v), r: 2.2, class: "point" }, svg);
    });
    return [svg, 240];
  };

  const drawParts = () => {
    const r = region();
    const layers = [r.baseline, ...r.parts];
    const sums = [];
    layers.reduce((below, layer) => {
      const top = layer.map((v, i) => v === null ? null : below[i] + v);
      sums.push([below, top]);
      return top;
    }, r.baseline.map((v) => v === null ? null : 0));
    const [low, high] = extent(...sums.map((s) => s[1]));
    const { svg, y } = frame(get("parts"), 240,
      `Baseline and contributions of channels over time, ${r.name}`, low, high, dateLabels());
    sums.forEach(([below, top], layer) => {
      for (const run of runs(top.map((v) => v !== null))) {
        shape("path", { d: area(run, (i) => y(top[i]), (i) => y(below[i])), class: "layer",
          fill: data.colours[layer] }, svg);
      }
    });
    return [svg, 240];
  };

  const drawDates = () => {
    marks = [];
    for (const [svg, height] of [drawSales(), drawParts()]) {
      marks.push(shape("line", { y1: TOP, y2: height - BOTTOM, class: "mark" }, svg));
      svg.addEventListener("pointermove", (event) => {
        const at = svg.getBoundingClientRect();
        const x = (event.clientX - at.left) * W / at.width;
        const share = (x - LEFT) / (W - LEFT - RIGHT);
        const i = Math.round(share * (dates.length - 1));
        get("date").value = String(Math.max(0, Math.min(dates.length - 1, i)));
        readDate();
      });
    }
    get("heading").textContent = `Sales: ${region().name}`;
    readDate();
  };

  const readDate = () => {
    const i = Number(get("date").value), r = region(), body = get("values");
    get("date").setAttribute("aria-valuetext", dates[i]);
    for (const mark of marks) { mark.setAttribute("x1", xOf(i)); mark.setAttribute("x2", xOf(i)); }
    get("when").textContent = `${r.name}, ${dates[i]}, in ${data.units}`;
    empty(body);
    const row = (name, text, colour) => {
      const line = write("tr", "", body);
      const head = write("th", "", line);
      head.setAttribute("scope", "row");
      if (colour) {
        const chip = shape("svg", { width: 12, height: 12, viewBox: "0 0 12 12", class: "chip",
          "aria-hidden": "true" }, head);
        shape("rect", { width: 12, height: 12, fill: colour, stroke: "#595959" }, chip);
      }
      write("span", name, head);
      write("td", text, line);
    };
    row("Observed sales", figure(r.observed[i]));
    row("Expected sales", r.middle[i] === null ? "n/a"
      : `${figure(r.middle[i])} (${figure(r.low[i])} to ${figure(r.high[i])})`);
    row("Baseline", figure(r.baseline[i]), data.colours[0]);
    data.channels.forEach((name, m) => row(name, figure(r.parts[m][i]), data.colours[m + 1]));
  };

  const drawCurve = () => {
    const r = region(), m = Number(get("channel").value), c = r.curves[m];
    const at = data.multipliers, last = at[at.length - 1];
    const x = (f) => LEFT + (W - LEFT - RIGHT) * f / last;
    const [low, high] = extent(c.low, c.high);
    const label = `Incremental sales by ${data.media[m]}, ${data.channels[m]}, ${r.name}`;
    const { svg, y } = frame(get("curve"), 240, label, low, high,
      at.filter((f) => Number.isInteger((W < 600 ? 1 : 2) * f)).map((f) => [x(f), figure(f * c.spend)]));
    const points = (series) => at.map((f, i) => [x(f), y(series[i])]);
    shape("path", { d: path([...points(c.high), ...points(c.low).reverse()]) + "Z", class: "band" },
      svg);
    shape("path", { d: path(points(c.middle)), class: "line" }, svg);
    shape("circle", { cx: x(1), cy: y(c.middle[at.indexOf(1)]), r: 4, class: "point" }, svg);
    const mark = shape("line", { y1: TOP, y2: 240 - BOTTOM, class: "mark" }, svg);
    get("curve-heading").textContent = label;
    const read = () => {
      const i = Number(get("multiple").value);
      mark.setAttribute("x1", x(at[i]));
      mark.setAttribute("x2", x(at[i]));
      const text = `${figure(at[i])} times today's, ${figure(at[i] * c.spend)} ` +
        `${data.media[m]}: ${figure(c.middle[i])} ${data.units} ` +
        `(${figure(c.low[i])} to ${figure(c.high[i])})`;
      get("reading").textContent = text;
      get("multiple").setAttribute("aria-valuetext", text);
    };
    svg.addEventListener("pointermove", (event) => {
      const place = svg.getBoundingClientRect();
      const share = ((event.clientX - place.left) * W / place.width - LEFT) / (W - LEFT - RIGHT);
      const i = Math.round(share * (at.length - 1));
      get("multiple").value = String(Math.max(0, Math.min(at.length - 1, i)));
      read();
    });
    get("multiple").oninput = read;
    read();
  };

  fill(get("region"), data.regions.map((r) => r.name));
  fill(get("channel"), data.channels);
  get("date").max = String(dates.length - 1);
  get("date").value = String(dates.length - 1);
  get("multiple").max = String(data.multipliers.length - 1);
  get("multiple").value = String(data.multipliers.indexOf(1));
  get("region").addEventListener("change", () => { drawDates(); drawCurve(); });
  get("channel").addEventListener("change", drawCurve);
  get("date").addEventListener("input", readDate);
  box.hidden = false;
  drawDates();
  drawCurve();
})();

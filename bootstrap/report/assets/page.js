// Draws the plots of a report, and opens what a link leads to. Colours are the page's own, of whatever scheme it is in.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const HEIGHT = 190, COLOURS = 8;
  const drawn = [];

  const scaled = (value, units, base) => {
    let place = 0;
    while (Math.abs(value) >= base && place < units.length - 1) { value /= base; place += 1; }
    const told = value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toPrecision(2);
    return `${Number(told)} ${units[place]}`;
  };
  const SIZES = ["B", "kB", "MB", "GB", "TB", "PB"];
  const UNITS = {
    bytes: (value) => scaled(value, SIZES, 1000),
    rate: (value) => scaled(value, SIZES, 1000) + "/s",
    percent: (value) => `${Number(value.toFixed(1))} %`,
    celsius: (value) => `${Number(value.toFixed(0))} °C`,
    watts: (value) => `${Number(value.toFixed(0))} W`,
    cores: (value) => `${Number(value.toFixed(2))}`,
    count: (value) => `${Number(value.toFixed(1))}`,
  };

  const across = (limit) => (plot) => {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.lineWidth = devicePixelRatio;
    if (limit !== null) {
      const y = Math.round(plot.valToPos(limit, "y", true));
      if (y >= bbox.top && y <= bbox.top + bbox.height) {
        ctx.strokeStyle = colour("--bad");
        ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
        ctx.beginPath(); ctx.moveTo(bbox.left, y); ctx.lineTo(bbox.left + bbox.width, y); ctx.stroke();
      }
    }
    for (const mark of data.marks) {
      const x = Math.round(plot.valToPos(mark.t, "x", true));
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.strokeStyle = colour("--bad");
      ctx.setLineDash([]);
      ctx.beginPath(); ctx.moveTo(x, bbox.top); ctx.lineTo(x, bbox.top + bbox.height); ctx.stroke();
    }
    ctx.restore();
  };

  const range = (limit, unit) => (plot, low, high) => {
    if (unit === "percent") return [0, 100];
    const top = high > 0 ? high * 1.08 : 1;
    return [0, limit !== null && high > limit / 3 ? Math.max(top, limit * 1.05) : top]; // a limit far above hides the rest
  };

  const draw = (place) => {
    const told = data.plots[Number(place.dataset.plot)];
    const unit = UNITS[told.unit];
    const axis = { stroke: () => colour("--quiet"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const options = {
      width: place.clientWidth, height: HEIGHT,
      cursor: { sync: { key: "run" }, y: false, points: { size: 6 } },
      scales: { x: { time: true }, y: { range: range(told.limit, told.unit) } },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      axes: [
        { ...axis, values: [[86400, "{YYYY}-{MM}-{DD}", null, null, null, null, null, null, 1], [3600, "{HH}:{mm}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1], [60, "{HH}:{mm}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1], [1, "{HH}:{mm}:{ss}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1]] },
        { ...axis, size: 68, values: (plot, splits) => splits.map(unit) },
      ],
      series: [
        { label: "UTC", value: "{YYYY}-{MM}-{DD} {HH}:{mm}:{ss}" },
        ...told.series.map((one, number) => ({
          label: one.label, spanGaps: true, width: 1.5,
          dash: number >= COLOURS ? [5, 3] : undefined,
          stroke: () => colour(`--c${number % COLOURS}`),
          points: { show: data.times.length < 40, size: 4 },
          value: (plot, value) => (value === null ? "–" : unit(value)),
        })),
      ],
      hooks: { draw: [across(told.limit)] },
    };
    const plot = new uPlot(options, [data.times, ...told.series.map((one) => one.values)], place);
    drawn.push([plot, place]);
  };

  document.querySelectorAll(".plot").forEach(draw);

  const again = () => { // all of it: a legend keeps the colours that it was made with
    drawn.splice(0).forEach(([plot]) => plot.destroy());
    document.querySelectorAll(".plot").forEach(draw);
  };
  const fit = () => drawn.forEach(([plot, place]) => {
    if (place.clientWidth && place.clientWidth !== plot.width) plot.setSize({ width: place.clientWidth, height: HEIGHT });
  });
  if (drawn.length) new ResizeObserver(fit).observe(document.querySelector("main"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  matchMedia("print").addEventListener("change", again);
  addEventListener("beforeprint", () => { document.querySelectorAll("details").forEach((one) => { one.open = true; }); again(); });

  const open = () => {
    const place = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const around = place && place.closest("details");
    if (around && !around.open) { around.open = true; place.scrollIntoView({ block: "center" }); }
  };
  addEventListener("hashchange", open);
  open();
})();

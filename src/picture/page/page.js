"use strict";

// Shows a picture and what is known of each value in it. `data` is what the library writes; nothing in it is taken as markup
// but the picture itself, which is parsed as XML.
function showPicture(root, data) {
  const byId = new Map(data.nodes.map((node) => [node.id, node]));
  const stepOf = new Map(data.schedule.values.map((value, step) => [value, step]));

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const draw = (tag, attributes = {}) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };

  const picture = data.svg
    ? document.importNode(new DOMParser().parseFromString(data.svg, "image/svg+xml").documentElement, true)
    : root.querySelector("svg.picture");
  const width = picture.viewBox.baseVal.width;
  const items = [...picture.querySelectorAll("[data-value]")];
  const itemOf = new Map(items.map((item) => [Number(item.dataset.value), item]));
  const bandOf = new Map(
    [...picture.querySelectorAll("[data-band]")].map((band) => [Number(band.dataset.band), band]),
  );

  // The parts of the page.
  const search = make("input", { type: "search", placeholder: "label or %value", "aria-label": "Find a label", size: "16" });
  const found = make("span", { class: "found", role: "status" });
  const scaleShown = make("output", { "aria-label": "Zoom" });
  const button = (text, label, act) => {
    const element = make("button", { type: "button", "aria-label": label, title: label }, text);
    element.addEventListener("click", act);
    return element;
  };
  const theme = make("select", { "aria-label": "Colours" });
  for (const name of ["system", "light", "dark"]) theme.append(make("option", { value: name }, name));
  const tools = make("div", { class: "bar-of-tools" },
    make("label", {}, "Find", search), found,
    make("span", { class: "spring" }),
    make("span", { class: "zoom" },
      button("−", "Smaller", () => zoom(scale / 1.25)), scaleShown, button("+", "Larger", () => zoom(scale * 1.25)),
      button("Fit", "Fit the width", () => zoom(fitting())), button("1:1", "Full size", () => zoom(1))),
    make("label", {}, "Colours", theme));
  const pane = make("div", { class: "pane", tabindex: "-1" }, picture);
  const about = make("section", { class: "about", "aria-live": "polite" });
  const charts = make("section", { class: "charts" });
  const lines = make("ol", { class: "lines" });
  const panel = make("aside", { class: "panel" }, charts, about, make("h2", {}, "Plan"), lines);
  root.classList.add("viewer");
  root.replaceChildren(tools, pane, panel);

  // Zoom and pan.
  let scale = 1;
  const fitting = () => Math.max(0.1, (pane.clientWidth - 4) / width);
  const zoom = (next) => {
    const before = scale;
    scale = Math.min(8, Math.max(0.05, next));
    picture.style.width = `${width * scale}px`;
    picture.style.height = "auto";
    pane.scrollTop *= scale / before;
    pane.scrollLeft *= scale / before;
    scaleShown.textContent = `${Math.round(scale * 100)} %`;
  };
  pane.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoom(scale * Math.exp(-event.deltaY / 400));
  }, { passive: false });
  let grip = null;
  let moved = false;
  pane.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.pointerType !== "mouse") return;
    grip = { x: event.clientX, y: event.clientY, left: pane.scrollLeft, top: pane.scrollTop };
    moved = false;
  });
  pane.addEventListener("pointermove", (event) => {
    if (!grip) return;
    const [x, y] = [event.clientX - grip.x, event.clientY - grip.y];
    if (!moved && Math.hypot(x, y) < 5) return;
    if (!moved) pane.setPointerCapture(event.pointerId);
    moved = true;
    pane.classList.add("moves");
    pane.scrollTo(grip.left - x, grip.top - y);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    pane.addEventListener(name, () => {
      grip = null;
      pane.classList.remove("moves");
    });
  }

  // What is shown of a value, and where it is marked.
  let pinned = null;
  let shown = null;
  const show = (value) => {
    if (shown !== null) {
      for (const part of [bandOf.get(shown), lineOf.get(shown)]) part?.classList.remove("picked");
    }
    shown = value;
    about.replaceChildren();
    const node = byId.get(value);
    if (!node) {
      about.append(
        make("h2", {}, "Step"),
        make("p", { class: "hint" }, "Point at a row to see its step, click to keep it. Arrow keys go from row to row."));
    } else {
      bandOf.get(value)?.classList.add("picked");
      lineOf.get(value)?.classList.add("picked");
      const facts = make("dl", { class: "facts" });
      for (const [what, text] of node.facts) facts.append(make("dt", {}, what), make("dd", {}, text));
      about.append(
        make("h2", {}, pinned === value ? "Step, kept" : "Step"),
        make("p", { class: "step-name" }, `%${node.id} ${node.name}`),
        make("p", { class: "line-of-plan" }, node.line), facts);
    }
    const step = stepOf.get(value);
    for (const mark of charts.querySelectorAll(".now")) {
      mark.setAttribute("visibility", step === undefined ? "hidden" : "visible");
      if (step !== undefined) mark.setAttribute("x", step);
    }
  };
  const pin = (value) => {
    pinned = pinned === value ? null : value;
    show(value);
  };
  const reveal = (value) => {
    itemOf.get(value)?.querySelector(".mark")?.scrollIntoView({ block: "center", inline: "nearest" });
  };
  const revealLine = (value) => {
    const line = lineOf.get(value);
    if (line) lines.scrollTop = line.offsetTop - lines.offsetTop - lines.clientHeight / 2;
  };

  // The text of the plan.
  const lineOf = new Map();
  for (const { text, value } of data.lines) {
    const item = make("li", {}, text || " ");
    if (value !== undefined) {
      item.dataset.line = value;
      item.title = "Show it in the picture";
      item.addEventListener("click", () => {
        pinned = null;
        pin(value);
        reveal(value);
      });
      lineOf.set(value, item);
    }
    lines.append(item);
  }

  // Rows answer to pointers and to keys.
  items.forEach((item, at) => {
    const value = Number(item.dataset.value);
    item.setAttribute("tabindex", at === 0 ? "0" : "-1");
    item.addEventListener("pointerenter", () => { if (!grip) show(value); });
    item.addEventListener("pointerleave", () => { if (!grip) show(pinned); });
    item.addEventListener("click", () => {
      if (moved) return;
      pin(value);
      revealLine(value);
    });
    item.addEventListener("focus", () => show(value));
    item.addEventListener("keydown", (event) => {
      const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
      if (to !== undefined && items[to]) {
        event.preventDefault();
        item.setAttribute("tabindex", "-1");
        items[to].setAttribute("tabindex", "0");
        items[to].focus();
      } else if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        pin(value);
        revealLine(value);
      }
    });
  });
  root.onkeydown = (event) => {
    if (event.key === "Escape") {
      pinned = null;
      show(null);
    }
  };

  // Memory, multiplications and time, by step.
  const chart = (caption, most, values, words, kind) => {
    const steps = values.length;
    // A few steps do not fill the width, so that bars stay bars.
    const across = Math.max(steps, 8);
    const top = Math.max(...values, 1);
    const figure = draw("svg", {
      class: "chart", viewBox: `0 0 ${across} 100`, preserveAspectRatio: "none", height: "54", role: "img", "aria-label": caption,
    });
    const height = (value) => (value / top) * 92;
    figure.append(draw("rect", { class: "now", y: 0, width: 1, height: 100, visibility: "hidden" }));
    if (kind === "area") {
      const points = values.flatMap((value, step) => [`${step},${100 - height(value)}`, `${step + 1},${100 - height(value)}`]);
      figure.append(draw("polygon", { class: "area", points: `0,100 ${points.join(" ")} ${steps},100` }));
    } else {
      values.forEach((value, step) => {
        if (value > 0) {
          const tall = Math.max(1.5, height(value));
          figure.append(draw("rect", { class: kind, x: step + 0.1, y: 100 - tall, width: 0.8, height: tall }));
        }
      });
    }
    const at = (event) => {
      const box = figure.getBoundingClientRect();
      const step = Math.floor(((event.clientX - box.left) / box.width) * across);
      return data.schedule.values[Math.min(steps - 1, Math.max(0, step))];
    };
    figure.addEventListener("pointermove", (event) => show(at(event)));
    figure.addEventListener("pointerleave", () => show(pinned));
    figure.addEventListener("click", (event) => {
      const value = at(event);
      pinned = null;
      pin(value);
      reveal(value);
      revealLine(value);
    });
    charts.append(make("div", { class: "caption" }, make("span", {}, words), make("span", {}, most)), figure);
  };
  const percent = (parts) => `${(parts / 1000).toFixed(1)} %`;
  if (data.schedule.values.length > 0) {
    const { bytes, shares, times, peak } = data.schedule;
    charts.append(make("h2", {}, "Schedule"));
    if (bytes.length > 0) chart("Memory by step", `at most ${peak}`, bytes, "memory while each step runs", "area");
    if (shares.some((share) => share > 0)) {
      chart("Multiplications by step", `at most ${percent(Math.max(...shares))}`, shares, "share of multiplications", "share");
    }
    if (times.some((time) => time > 0)) {
      chart("Predicted time by step", `at most ${percent(Math.max(...times))}`, times, "share of predicted time", "time");
    }
  }

  // Search.
  let matches = [];
  let match = -1;
  const look = () => {
    const wanted = search.value.trim();
    const exact = data.nodes.filter((node) => `%${node.id}` === wanted || node.labels.includes(wanted));
    const within = data.nodes.filter((node) => node.labels.some((label) => label.includes(wanted)));
    const hits = new Set((exact.length > 0 ? exact : within).map((node) => node.id));
    matches = wanted === "" ? [] : items.map((item) => Number(item.dataset.value)).filter((value) => hits.has(value));
    match = -1;
    for (const item of items) item.classList.toggle("dim", wanted !== "" && !hits.has(Number(item.dataset.value)));
    found.textContent = wanted === "" ? "" : `${matches.length} of ${items.length}`;
  };
  search.addEventListener("input", look);
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || matches.length === 0) return;
    match = (match + (event.shiftKey ? matches.length - 1 : 1)) % matches.length;
    pinned = null;
    pin(matches[match]);
    reveal(matches[match]);
    revealLine(matches[match]);
  });

  // Colours: the system's, unless others are asked for. Pages may be refused a place to remember that in.
  const remembered = () => {
    try {
      return localStorage.getItem("qeinsum-colours") ?? "system";
    } catch {
      return "system";
    }
  };
  const colour = (name) => {
    theme.value = name;
    if (name === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
  };
  theme.addEventListener("change", () => {
    colour(theme.value);
    try {
      localStorage.setItem("qeinsum-colours", theme.value);
    } catch {
      // It holds until the page is left.
    }
  });
  colour(remembered());

  zoom(Math.min(1, fitting()));
  show(null);
}

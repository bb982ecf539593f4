"use strict";
(() => {
  const PAGE = matchMedia("(max-width: 720px)").matches ? 20 : 50;
  const CLIPPED = 300;
  const el = (id) => document.getElementById(id);
  const make = (name, properties = {}, ...children) => {
    const node = Object.assign(document.createElement(name), properties);
    node.append(...children);
    return node;
  };

  // ---- theme ----
  const themes = ["auto", "light", "dark"];
  const button = el("theme");
  button.hidden = false;
  button.addEventListener("click", () => {
    const now = themes[(themes.indexOf(button.lastElementChild.textContent) + 1) % themes.length];
    button.lastElementChild.textContent = now;
    document.documentElement.style.colorScheme = now === "auto" ? "light dark" : now;
  });

  // ---- texts of a model: never markup, and nothing in them that acts unseen ----
  const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\u{e0000}-\u{e007f}]|\p{Cs}/gu;
  function textOf(text, most = Infinity) {
    const cut = text.length > most ? text.slice(0, most) + "…" : text;
    const parts = document.createDocumentFragment();
    let from = 0;
    for (const match of cut.matchAll(UNSEEN)) {
      parts.append(cut.slice(from, match.index));
      const code = match[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
      parts.append(make("span", { className: "unshown", textContent: `U+${code}` }));
      from = match.index + match[0].length;
    }
    parts.append(cut.slice(from));
    return parts;
  }
  const grouped = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  function number(value) {
    if (value === null) return "–";
    const size = Math.abs(value);
    const text = size !== 0 && (size < 1e-4 || size >= 1e6) ? value.toExponential(2)
      : Number.isInteger(value) ? String(value)
      : value.toFixed(size >= 100 ? 1 : size >= 10 ? 2 : size < 0.001 ? 5 : 3);
    return text.replace("-", "−");
  }

  // ---- data ----
  const holder = el("data");
  if (!holder) return;
  const loading = el("loading");
  loading.hidden = false;

  async function unpack(base64) {
    const bytes = Uint8Array.fromBase64 ? Uint8Array.fromBase64(base64)
      : Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  }

  class Column {
    constructor(packed) {
      this.values = packed.d || packed.v;
      this.index = packed.i || null;
      this.lower = null;
      this.rank = null;
    }
    get(row) { return this.values[this.index ? this.index[row] : row]; }
    /** Calls found(row) for each row whose text holds the needle; a repeated text is looked at once. */
    search(needle, found) {
      this.lower ??= this.values.map((text) => text.toLowerCase());
      if (!this.index) {
        for (let row = 0; row < this.lower.length; row++) if (this.lower[row].includes(needle)) found(row);
        return;
      }
      const hits = this.lower.map((text) => text.includes(needle));
      for (let row = 0; row < this.index.length; row++) if (hits[this.index[row]]) found(row);
    }
    /** A number for each row that sorts as its value does; NaN for nothing. */
    ranks() {
      this.rank ??= this.ranked();
      return this.rank;
    }
    ranked() {
      const numeric = typeof this.values.find((value) => value !== null && value !== "") === "number";
      const places = this.values.map((_, place) => place);
      let rank = this.values;
      if (!numeric) {
        places.sort((a, b) => (this.values[a] < this.values[b] ? -1 : this.values[a] > this.values[b] ? 1 : 0));
        rank = new Array(places.length);
        places.forEach((place, order) => { rank[place] = this.values[place] === "" ? null : order; });
        for (let order = 1; order < places.length; order++) {
          if (this.values[places[order]] === this.values[places[order - 1]]) rank[places[order]] = rank[places[order - 1]];
        }
      }
      const of = this.index ? (row) => rank[this.index[row]] : (row) => rank[row];
      return (row) => of(row) ?? NaN;
    }
  }

  const COLUMNS = [
    ["step", "Step", "n"], ["run", "Run", ""], ["prompt", "Prompt", "t"], ["completion", "Completion", "t"],
    ["answer", "Gold answer", "t"], ["verdict", "Verdict", ""], ["reward", "Reward", "n"],
    ["bundle", "Bundle", "n"], ["advantage", "Advantage", "n"], ["logprob", "Log-prob.", "n"],
  ];
  const SEARCHED = ["prompt", "completion", "answer", "found", "reason"];

  function start(data) {
    const columns = Object.fromEntries(Object.entries(data.columns).map(([name, packed]) => [name, new Column(packed)]));
    const n = data.n;
    const get = (name, row) => columns[name].get(row);
    const some = (name) => columns[name].values.some((value) => value !== null && value !== "");
    const shown = COLUMNS.filter(([name]) => (name === "run" ? data.runs.length > 1 : some(name)));
    const sorts = { by: null, down: false };
    let scope = null; // {label, keep(row)}: the responses of one prompt or of one bundle
    let rows = [];
    let page = 0;

    function option(select, value, label = value) { select.append(make("option", { value, textContent: label })); }
    function build() {
      if (data.runs.length > 1) {
        el("run-label").hidden = false;
        data.runs.forEach((name, number) => option(el("run"), String(number), name));
      }
      const counts = new Map();
      for (let row = 0; row < n; row++) counts.set(get("verdict", row), (counts.get(get("verdict", row)) || 0) + 1);
      [...counts].sort((a, b) => b[1] - a[1]).forEach(([name, count]) => option(el("verdict"), name, `${name} (${grouped(count)})`));
      option(el("sort"), "", "order of the run");
      el("heads").append(make("th", { scope: "col" }, make("span", { className: "unseen", textContent: "open" })));
      for (const [name, label, kind] of shown) {
        const head = make("button", { type: "button" }, label, make("span", { className: "arrow" }));
        head.addEventListener("click", () => sortBy(name, sorts.by === name ? (sorts.down ? [null, false] : [name, true]) : [name, false]));
        const cell = make("th", { scope: "col", className: kind }, head);
        cell.dataset.column = name;
        el("heads").append(cell);
        option(el("sort"), `${name} up`, `${label}, smallest first`);
        option(el("sort"), `${name} down`, `${label}, largest first`);
      }
    }

    function sortBy(_, [by, down]) {
      sorts.by = by;
      sorts.down = down;
      el("sort").value = by ? `${by} ${down ? "down" : "up"}` : "";
      for (const cell of el("heads").children) {
        const own = cell.dataset.column === by && by !== null;
        if (cell.dataset.column) cell.setAttribute("aria-sort", own ? (down ? "descending" : "ascending") : "none");
        const arrow = cell.querySelector(".arrow");
        if (arrow) arrow.textContent = own ? (down ? " ▼" : " ▲") : "";
      }
      update();
    }

    function chosen() {
      const needle = el("query").value.toLowerCase();
      const run = el("run").value === "" ? null : Number(el("run").value);
      const verdict = el("verdict").value;
      const sign = el("sign").value;
      const first = el("first").value === "" ? -Infinity : Number(el("first").value);
      const last = el("last").value === "" ? Infinity : Number(el("last").value);
      const hit = needle ? new Uint8Array(n) : null;
      if (hit) SEARCHED.forEach((name) => columns[name].search(needle, (row) => { hit[row] = 1; }));
      const found = [];
      for (let row = 0; row < n; row++) {
        if (hit && !hit[row]) continue;
        if (run !== null && get("run", row) !== run) continue;
        if (verdict && get("verdict", row) !== verdict) continue;
        const step = get("step", row);
        if (step < first || step > last) continue;
        if (sign) {
          const advantage = get("advantage", row);
          if (advantage === null || (sign === "up" ? advantage <= 0 : sign === "down" ? advantage >= 0 : advantage !== 0)) continue;
        }
        if (scope && !scope.keep(row)) continue;
        found.push(row);
      }
      return found;
    }

    function update() {
      const began = performance.now();
      rows = chosen();
      if (sorts.by) {
        const rank = columns[sorts.by].ranks();
        const factor = sorts.down ? -1 : 1;
        rows.sort((a, b) => {
          const left = rank(a), right = rank(b);
          if (left !== left || right !== right) return (left !== left) - (right !== right) || a - b; // nothing comes last
          return factor * (left - right) || a - b;
        });
      }
      page = 0;
      draw();
      performance.measure("riskpo-update", { start: began, end: performance.now() });
    }

    function draw() {
      const pages = Math.max(Math.ceil(rows.length / PAGE), 1);
      page = Math.min(Math.max(page, 0), pages - 1);
      el("count").textContent = `${grouped(rows.length)} of ${grouped(n)} completions`;
      el("page").textContent = `page ${grouped(page + 1)} of ${grouped(pages)}`;
      el("start").disabled = el("previous").disabled = page === 0;
      el("next").disabled = el("end").disabled = page === pages - 1;
      el("scope").replaceChildren();
      if (scope) {
        const clear = make("button", { type: "button", textContent: "Show all" });
        clear.addEventListener("click", () => { scope = null; update(); el("query").focus(); });
        el("scope").append(`· ${scope.label}`, clear);
      }
      el("rows").replaceChildren(...rows.slice(page * PAGE, (page + 1) * PAGE).map(line));
    }

    function line(row) {
      const tr = make("tr", { className: "row" });
      const open = make("button", { type: "button", className: "open", textContent: "▸", ariaExpanded: "false", ariaLabel: `Open completion ${row + 1}` });
      open.addEventListener("click", () => {
        const opened = open.ariaExpanded === "true";
        open.ariaExpanded = String(!opened);
        open.textContent = opened ? "▸" : "▾";
        if (opened) tr.nextElementSibling.remove();
        else tr.after(details(row));
      });
      tr.append(make("td", {}, open));
      for (const [name, label, kind] of shown) {
        const td = make("td", { className: kind });
        td.dataset.label = label;
        td.append(cell(name, kind, row));
        tr.append(td);
      }
      return tr;
    }

    function cell(name, kind, row) {
      const value = get(name, row);
      if (name === "run") return textOf(data.runs[value]);
      if (name === "verdict") return make("span", { className: `chip ${value === "correct" || value === "wrong" ? value : ""}` }, textOf(value));
      if (kind === "t") return make("div", { className: "clip", dir: "auto" }, textOf(value, CLIPPED));
      return typeof value === "string" ? textOf(value || "–") : number(value);
    }

    function details(row) {
      const list = make("dl");
      const add = (label, content) => {
        const told = make("dd", { dir: "auto" }, content);
        if (told.textContent.length > 1000) told.tabIndex = 0; // it may scroll: by keyboard too
        list.append(make("dt", { textContent: label }), told);
      };
      const labels = { prompt: "Prompt", completion: "Completion", answer: "Gold answer", found: "Answer found", reason: "Reason", bundle: "Bundle" };
      for (const name of ["prompt", "completion", "answer", "found"]) if (get(name, row) !== "") add(labels[name], textOf(get(name, row)));
      add("Verdict", textOf(get("verdict", row)));
      for (const name of ["reason", "bundle"]) if (get(name, row) !== "") add(labels[name], textOf(get(name, row)));
      add("Numbers", `step ${get("step", row)}, reward ${number(get("reward", row))}, advantage ${number(get("advantage", row))}, log-probability ${number(get("logprob", row))}`);
      const step = get("step", row), run = get("run", row), prompt = get("prompt", row), bundle = get("bundle", row);
      const here = (other) => get("step", other) === step && get("run", other) === run;
      const narrow = (label, title, keep) => {
        const narrowing = make("button", { type: "button", textContent: title });
        narrowing.addEventListener("click", () => { scope = { label, keep }; update(); el("scope").querySelector("button").focus(); });
        return narrowing;
      };
      const buttons = make("div", { className: "buttons" });
      buttons.append(narrow(`one prompt in step ${step}`, "All responses to this prompt in this step", (other) => here(other) && get("prompt", other) === prompt));
      if (bundle !== "") buttons.append(narrow(`bundle ${bundle} of step ${step}`, bundle.includes(".") ? "This bundle" : "This group of prompts", (other) => here(other) && get("bundle", other) === bundle));
      return make("tr", { className: "more" }, make("td", { colSpan: shown.length + 1 }, list, buttons));
    }

    build();
    let waiting = 0;
    const soon = () => { clearTimeout(waiting); waiting = setTimeout(update, 60); };
    for (const id of ["query", "first", "last"]) el(id).addEventListener("input", soon);
    for (const id of ["run", "verdict", "sign"]) el(id).addEventListener("change", update);
    el("sort").addEventListener("change", () => { const [by, way] = el("sort").value.split(" "); sortBy(by, by ? [by, way === "down"] : [null, false]); });
    el("filters").addEventListener("submit", (event) => event.preventDefault());
    el("filters").addEventListener("reset", () => setTimeout(() => { scope = null; sortBy(null, [null, false]); }));
    const turn = (to) => { page = to(); draw(); };
    el("start").addEventListener("click", () => turn(() => 0));
    el("previous").addEventListener("click", () => turn(() => page - 1));
    el("next").addEventListener("click", () => turn(() => page + 1));
    el("end").addEventListener("click", () => turn(() => Infinity));
    sortBy(null, [null, false]);
    el("table").hidden = false;
    loading.hidden = true;
    document.documentElement.dataset.ready = "table";
    performance.mark("riskpo-ready");
  }

  if (typeof DecompressionStream === "undefined") {
    loading.textContent = "This browser cannot unpack the completions (it has no DecompressionStream): use a current one.";
    return;
  }
  unpack(holder.textContent).then((data) => { holder.remove(); start(data); }).catch((error) => {
    loading.textContent = `The completions could not be unpacked: ${error.message}`;
  });
})();

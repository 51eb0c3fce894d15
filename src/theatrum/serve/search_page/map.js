// The map of the corpus: points on a canvas, with hover, touch and keys.

const PALETTE = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#7b5fc4", "#8c564b"];
const NEAR = 22; // pixels within which a pointer means a point
const STEPS = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };

export class CorpusMap {
  constructor({ ask, make, find }) {
    Object.assign(this, { ask, make, find });
    this.canvas = find("canvas");
    this.pen = this.canvas.getContext("2d");
    this.points = null;
    this.rings = new Set();
    this.texts = new Map();
    this.view = { zoom: 1, x: 0.5, y: 0.5 }; // the middle of the canvas in map coordinates
    this.current = -1;
    this.fingers = new Map();
    this.pipeline = null;
    this.listen();
  }

  async open(pipeline) {
    if (this.pipeline === pipeline) return this.draw();
    this.pipeline = pipeline;
    this.points = null;
    this.current = -1;
    const wait = (text, progress) => {
      this.find("making").hidden = false;
      this.find("making-text").textContent = text;
      this.find("making-bar").hidden = progress === null;
      if (progress !== null) this.find("making-bar").value = progress;
    };
    wait("Making the map", 0);
    const address = `/map?pipeline=${encodeURIComponent(pipeline)}`;
    while (this.pipeline === pipeline) {
      let answer;
      try {
        answer = await this.ask(address);
      } catch (error) {
        return wait(error.message, null);
      }
      if (answer.state === "failed") return wait(answer.message, null);
      if (answer.state === "ready") return this.show(answer);
      wait(`Making the map: ${answer.message}`, answer.progress);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    return undefined;
  }

  show(answer) {
    this.points = answer;
    this.find("making").hidden = true;
    this.find("caption").textContent = answer.message;
    const choices = answer.colours.map((one, number) => this.make("option", { value: String(number) }, one.name));
    this.find("colour").replaceChildren(this.make("option", { value: "" }, "nothing"), ...choices);
    this.find("colour").value = choices.length ? "0" : "";
    this.legend();
    this.whole();
  }

  ring(ids) {
    this.rings = new Set(ids);
    this.legend();
    this.draw();
  }

  // ---- Drawing

  get colouring() {
    const chosen = this.find("colour").value;
    return this.points && chosen !== "" ? this.points.colours[Number(chosen)] : null;
  }

  // Pixels a map is wide and high: all of the canvas, as distances on such a map are not to be measured.
  scales() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    return [this.view.zoom * (width - 48), this.view.zoom * (height - 48)];
  }

  place(index) {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const [wide, high] = this.scales();
    return [
      width / 2 + (this.points.x[index] - this.view.x) * wide,
      height / 2 + (this.points.y[index] - this.view.y) * high,
    ];
  }

  draw() {
    const { canvas, pen } = this;
    const ratio = devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * ratio;
    canvas.height = canvas.clientHeight * ratio;
    if (!this.points || !canvas.width) return;
    const style = getComputedStyle(document.documentElement);
    const soft = style.getPropertyValue("--soft");
    const ink = style.getPropertyValue("--ink");
    const n = this.points.ids.length;
    const radius = Math.max(1.6, Math.min(5, 90 / Math.sqrt(n))) * Math.min(2.2, Math.sqrt(this.view.zoom));
    const codes = this.colouring?.codes;
    pen.scale(ratio, ratio);
    for (let index = 0; index < n; index += 1) {
      const [x, y] = this.place(index);
      const code = codes ? codes[index] : -1;
      pen.globalAlpha = (n > 3000 ? 0.65 : 0.9) * (codes && code < 0 ? 0.5 : 1);
      pen.fillStyle = code >= 0 ? PALETTE[code] : soft;
      pen.beginPath();
      pen.arc(x, y, code < 0 && codes ? radius * 0.75 : radius, 0, 2 * Math.PI);
      pen.fill();
    }
    pen.globalAlpha = 1;
    pen.strokeStyle = ink;
    pen.lineWidth = 1.8;
    this.points.ids.forEach((id, index) => {
      if (!this.rings.has(id)) return;
      pen.beginPath();
      pen.arc(...this.place(index), radius + 3.5, 0, 2 * Math.PI);
      pen.stroke();
    });
    if (this.current >= 0) {
      pen.strokeStyle = style.getPropertyValue("--accent");
      pen.lineWidth = 3;
      pen.beginPath();
      pen.arc(...this.place(this.current), radius + 5, 0, 2 * Math.PI);
      pen.stroke();
    }
  }

  legend() {
    if (!this.points) return;
    const dot = (colour, ring = false) => {
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      svg.setAttribute("viewBox", "0 0 10 10");
      const circle = document.createElementNS("http://www.w3.org/2000/svg", "circle");
      for (const [name, value] of Object.entries({ cx: 5, cy: 5, r: ring ? 4 : 5, fill: ring ? "none" : colour })) {
        circle.setAttribute(name, value);
      }
      if (ring) circle.setAttribute("stroke", "currentColor");
      svg.append(circle);
      return svg;
    };
    const entries = [];
    const chosen = this.colouring;
    if (chosen) {
      chosen.values.forEach((value, code) => entries.push(this.make("li", {}, dot(PALETTE[code]), value)));
      if (chosen.codes.includes(-1)) entries.push(this.make("li", {}, dot("gray"), "other or none"));
    }
    if (this.points.ids.some((id) => this.rings.has(id))) entries.push(this.make("li", {}, dot("", true), "found by your query"));
    this.find("legend").replaceChildren(...entries);
  }

  // ---- Going about

  whole() {
    this.view = { zoom: 1, x: 0.5, y: 0.5 };
    this.draw();
  }

  zoom(factor, at = null) {
    if (!this.points) return;
    const before = this.scales();
    const zoom = Math.min(60, Math.max(0.8, this.view.zoom * factor));
    const real = zoom / this.view.zoom;
    if (at) {
      const offset = [at[0] - this.canvas.clientWidth / 2, at[1] - this.canvas.clientHeight / 2];
      this.view.x += (offset[0] / before[0]) * (1 - 1 / real);
      this.view.y += (offset[1] / before[1]) * (1 - 1 / real);
    }
    this.view.zoom = zoom;
    this.draw();
  }

  nearest(x, y, within = NEAR) {
    let best = -1;
    let least = within * within;
    for (let index = 0; this.points && index < this.points.ids.length; index += 1) {
      const [px, py] = this.place(index);
      const distance = (px - x) ** 2 + (py - y) ** 2;
      if (distance < least) [best, least] = [index, distance];
    }
    return best;
  }

  // The next point in a direction: the nearest one inside a cone of 90 degrees.
  step([dx, dy]) {
    const [x, y] = this.current >= 0 ? this.place(this.current) : [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2];
    if (this.current < 0) return this.nearest(x, y, Infinity);
    let [best, least] = [-1, Infinity];
    for (let index = 0; index < this.points.ids.length; index += 1) {
      const [px, py] = this.place(index);
      const along = (px - x) * dx + (py - y) * dy;
      const across = Math.abs((px - x) * dy + (py - y) * dx);
      if (index !== this.current && along > 0 && across <= along && along + across < least) [best, least] = [index, along + across];
    }
    return best < 0 ? this.current : best;
  }

  async text(index) {
    const id = this.points.ids[index];
    if (!this.texts.has(id)) {
      const address = `/documents?pipeline=${encodeURIComponent(this.pipeline)}&id=${encodeURIComponent(id)}`;
      this.texts.set(id, (await this.ask(address)).documents[0]);
    }
    return this.texts.get(id);
  }

  async point(index, speak = false) {
    if (index === this.current && !this.find("tip").hidden) return;
    this.current = index;
    this.draw();
    const tip = this.find("tip");
    tip.hidden = index < 0;
    if (index < 0) return;
    tip.replaceChildren(this.make("strong", {}, this.points.labels[index]));
    this.put(tip, index);
    if (speak) this.find("spoken").textContent = this.points.labels[index];
    await new Promise((resolve) => setTimeout(resolve, 60)); // a pointer that only passes by asks for nothing
    if (this.current !== index) return;
    const found = await this.text(index).catch(() => null);
    if (!found || this.current !== index) return;
    const most = this.canvas.clientWidth < 500 ? 160 : 320;
    const start = found.text.length > most ? `${found.text.slice(0, most).replace(/\s+\S*$/, "")} …` : found.text;
    tip.replaceChildren(this.make("strong", {}, found.title || found.id), start);
    this.put(tip, index);
  }

  put(tip, index) {
    const [x, y] = this.place(index);
    const { clientWidth: width, clientHeight: height } = this.canvas;
    tip.style.left = `${Math.max(6, Math.min(x + 14, width - tip.offsetWidth - 6))}px`;
    tip.style.top = `${y + 14 + tip.offsetHeight < height ? y + 14 : Math.max(6, y - 14 - tip.offsetHeight)}px`;
  }

  async read(index, focus) {
    if (index < 0) return;
    const found = await this.text(index).catch(() => null);
    if (!found) return;
    const opened = this.find("opened");
    opened.hidden = false;
    opened.replaceChildren(this.make("h2", {}, found.title || found.id), this.make("p", {}, found.text));
    if (focus) opened.focus();
  }

  // ---- Pointer, touch, keys

  listen() {
    const { canvas } = this;
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    let moved = 0;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.fingers.set(event.pointerId, at(event));
      moved = 0;
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.points) return;
      const here = at(event);
      const before = this.fingers.get(event.pointerId);
      if (!before) {
        this.point(this.nearest(...here));
        return;
      }
      moved += Math.hypot(here[0] - before[0], here[1] - before[1]);
      if (this.fingers.size === 2) {
        const other = [...this.fingers].find(([id]) => id !== event.pointerId)[1];
        const spread = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]);
        this.zoom(spread(here) / Math.max(spread(before), 1), other);
      } else if (moved > 4) {
        const [sx, sy] = this.scales();
        this.view.x -= (here[0] - before[0]) / sx;
        this.view.y -= (here[1] - before[1]) / sy;
        this.find("tip").hidden = true;
        this.draw();
      }
      this.fingers.set(event.pointerId, here);
    });
    const lift = (event) => {
      this.fingers.delete(event.pointerId);
      if (event.type === "pointerup" && moved <= 4 && this.points) {
        const index = this.nearest(...at(event), 30);
        this.point(index);
        this.read(index, false);
      }
    };
    canvas.addEventListener("pointerup", lift);
    canvas.addEventListener("pointercancel", lift);
    canvas.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse") this.point(-1); // a finger leaves with every tap, and the text is to stay
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * 0.0016), at(event));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      if (!this.points) return;
      if (event.key in STEPS) this.point(this.step(STEPS[event.key]), true);
      else if (event.key === "Enter") this.read(this.current, true);
      else if (event.key === "+" || event.key === "=") this.zoom(1.4);
      else if (event.key === "-") this.zoom(1 / 1.4);
      else if (event.key === "0") this.whole();
      else if (event.key === "Escape") this.point(-1);
      else return;
      event.preventDefault();
    });
    this.find("closer").addEventListener("click", () => this.zoom(1.4));
    this.find("further").addEventListener("click", () => this.zoom(1 / 1.4));
    this.find("whole").addEventListener("click", () => this.whole());
    this.find("colour").addEventListener("change", () => {
      this.legend();
      this.draw();
    });
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }
}

// The radiograph on a canvas: window, zoom, inversion, the heatmap over it; by mouse, touch and keys.

const TOP = 0xffff;
const WHITE = 0xff;
const OPACITY_PERCENT = 50; // as the page of the secondary capture has it
const ZOOM_STEP = 1.25;
const MOST_ZOOM = 32;
const KEY_STEP = 1 / 40; // of the whole range of values
const MOVE_STEP_PX = 40;

// --- the file: a 16-bit PNG, which the browser itself would cut to 8 bits ---

async function inflated(parts) {
  const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function paeth(left, up, corner) {
  const guess = left + up - corner;
  const toLeft = Math.abs(guess - left);
  const toUp = Math.abs(guess - up);
  const toCorner = Math.abs(guess - corner);
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}

// PNG (third edition) 9.2: what is added to each byte, from the bytes to its left and above it.
const FILTERS = [
  () => 0,
  (left) => left,
  (left, up) => up,
  (left, up) => (left + up) >> 1,
  paeth,
];

function unfiltered(bytes, width, height) {
  const stride = 2 * width;
  const values = new Uint16Array(width * height);
  let before = new Uint8Array(stride);
  for (let row = 0; row < height; row += 1) {
    const filter = bytes[row * (stride + 1)];
    const line = bytes.subarray(row * (stride + 1) + 1, (row + 1) * (stride + 1));
    if (filter > 0) {
      const added = FILTERS[filter];
      for (let at = 0; at < stride; at += 1) {
        const left = at < 2 ? 0 : line[at - 2];
        line[at] += added(left, before[at], at < 2 ? 0 : before[at - 2]);
      }
    }
    for (let column = 0; column < width; column += 1) {
      values[row * width + column] = (line[2 * column] << 8) | line[2 * column + 1];
    }
    before = line;
  }
  return values;
}

async function decodedPng(buffer) {
  const view = new DataView(buffer);
  const words = new TextDecoder("latin1");
  const data = [];
  let width = 0;
  let height = 0;
  let about = null;
  for (let at = 8; at < buffer.byteLength; ) {
    const length = view.getUint32(at);
    const name = words.decode(new Uint8Array(buffer, at + 4, 4));
    const content = new Uint8Array(buffer, at + 8, length);
    if (name === "IHDR") {
      width = view.getUint32(at + 8);
      height = view.getUint32(at + 12);
    } else if (name === "IDAT") {
      data.push(content);
    } else if (name === "tEXt") {
      const [key, text] = words.decode(content).split("\0");
      if (key === "GreyValues") about = JSON.parse(text);
    }
    at += length + 12;
  }
  return { about, width, height, values: unfiltered(await inflated(data), width, height) };
}

// --- the picture through its window ---

class Picture {
  constructor(decoded) {
    Object.assign(this, decoded);
    this.range = this.about.high - this.about.low;
    this.sheet = new OffscreenCanvas(this.width, this.height);
    this.context = this.sheet.getContext("2d");
    this.image = this.context.createImageData(this.width, this.height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.levels = new Uint32Array(TOP + 1);
    this.reset();
  }

  reset() {
    this.center = this.about.center;
    this.width_of_window = this.about.width;
    this.isInverse = this.about.is_inverse;
    this.isStale = true;
  }

  get limits() {
    const { low, high, center, width } = this.about;
    return {
      center: [Math.min(low, center), Math.max(high, center)],
      width: [this.range / 1000, Math.max(2 * this.range, width)],
    };
  }

  setWindow(center, width) {
    const { limits } = this;
    this.center = Math.min(Math.max(center, limits.center[0]), limits.center[1]);
    this.width_of_window = Math.min(Math.max(width, limits.width[0]), limits.width[1]);
    this.isStale = true;
  }

  // The value's place in the window: PS3.3 C.11.2.1.2 and C.11.2.1.3.
  shown(value) {
    const share = (value - this.center) / this.width_of_window;
    if (this.about.is_sigmoid) return 1 / (1 + Math.exp(-4 * share));
    return Math.min(Math.max(share + 0.5, 0), 1);
  }

  drawn() {
    if (this.isStale) {
      for (let scaled = 0; scaled <= TOP; scaled += 1) {
        const share = this.shown(this.about.low + (this.range * scaled) / TOP);
        const grey = Math.round(WHITE * (this.isInverse ? 1 - share : share));
        this.levels[scaled] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
      }
      for (let at = 0; at < this.values.length; at += 1) {
        this.pixels[at] = this.levels[this.values[at]];
      }
      this.context.putImageData(this.image, 0, 0);
      this.isStale = false;
    }
    return this.sheet;
  }
}

// --- where it lies on the canvas ---

class View {
  constructor(canvas, picture) {
    this.canvas = canvas;
    this.picture = picture;
    this.context = canvas.getContext("2d");
    this.heatmap = null;
    this.opacity = OPACITY_PERCENT;
    this.isFitted = true;
    this.isWaiting = false;
  }

  resize() {
    const { canvas } = this;
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    if (this.isFitted) this.fit();
    this.draw();
  }

  get fittingScale() {
    const { canvas, picture } = this;
    return Math.min(canvas.width / picture.width, canvas.height / picture.height);
  }

  fit() {
    this.scale = this.fittingScale;
    this.x = (this.canvas.width - this.picture.width * this.scale) / 2;
    this.y = (this.canvas.height - this.picture.height * this.scale) / 2;
    this.isFitted = true;
    this.draw();
  }

  zoom(factor, x = this.canvas.width / 2, y = this.canvas.height / 2) {
    const least = this.fittingScale / 2;
    const scale = Math.min(Math.max(this.scale * factor, least), MOST_ZOOM * this.fittingScale);
    this.x = x - ((x - this.x) * scale) / this.scale;
    this.y = y - ((y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.move(0, 0);
  }

  // A part of the picture stays on the canvas, wherever it is moved.
  move(byX, byY) {
    const kept = (at, size, room) => Math.min(Math.max(at, room / 4 - size), (3 * room) / 4);
    this.x = kept(this.x + byX, this.picture.width * this.scale, this.canvas.width);
    this.y = kept(this.y + byY, this.picture.height * this.scale, this.canvas.height);
    this.isFitted = false;
    this.draw();
  }

  draw() {
    if (this.isWaiting) return;
    this.isWaiting = true;
    requestAnimationFrame(() => {
      this.isWaiting = false;
      this.drawNow();
    });
  }

  drawNow() {
    const { context, canvas, picture } = this;
    const place = [this.x, this.y, picture.width * this.scale, picture.height * this.scale];
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingEnabled = this.scale < 4; // larger, pixels are to be seen as such
    context.drawImage(picture.drawn(), ...place);
    if (this.heatmap && this.opacity > 0) {
      context.globalAlpha = this.opacity / 100;
      context.drawImage(this.heatmap, ...place);
      context.globalAlpha = 1;
    }
    canvas.dataset.drawn = String(Number(canvas.dataset.drawn || 0) + 1);
  }
}

// --- what a person does with it ---

class Viewer {
  constructor(root, picture) {
    this.root = root;
    this.picture = picture;
    this.canvas = root.querySelector("canvas");
    this.view = new View(this.canvas, picture);
    this.isMoving = false;
    this.lastOpacity = OPACITY_PERCENT;
    this.pointers = new Map();
    for (const hidden of root.querySelectorAll(".stage, .tools")) hidden.hidden = false;
    root.querySelector("img.plain").hidden = true;
    this.listenToTools();
    this.listenToPointers();
    this.canvas.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => this.view.resize()).observe(this.canvas);
    this.say();
  }

  range(name) {
    return this.root.querySelector(`#picture-${name}`);
  }

  button(name) {
    return this.root.querySelector(`[data-do="${name}"]`);
  }

  listenToTools() {
    for (const name of ["center", "width"]) {
      [this.range(name).min, this.range(name).max] = this.picture.limits[name];
      this.range(name).addEventListener("input", () => {
        this.window(Number(this.range("center").value), Number(this.range("width").value));
      });
    }
    this.range("opacity").addEventListener("input", () => {
      this.setOpacity(Number(this.range("opacity").value));
    });
    const actions = {
      "zoom-in": () => this.view.zoom(ZOOM_STEP),
      "zoom-out": () => this.view.zoom(1 / ZOOM_STEP),
      fit: () => this.view.fit(),
      move: () => this.setMoving(!this.isMoving),
      invert: () => this.invert(),
      reset: () => this.reset(),
    };
    for (const [name, act] of Object.entries(actions)) {
      this.button(name).addEventListener("click", act);
    }
  }

  listenToPointers() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => this.onDown(event));
    canvas.addEventListener("pointermove", (event) => this.onMove(event));
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, (event) => this.pointers.delete(event.pointerId));
    }
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const ratio = this.canvas.width / box.width;
    return { x: (event.clientX - box.left) * ratio, y: (event.clientY - box.top) * ratio };
  }

  onDown(event) {
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.place(event));
    this.isPanning = this.isMoving || event.shiftKey || event.button > 0;
  }

  onMove(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const after = this.place(event);
    this.pointers.set(event.pointerId, after);
    const [byX, byY] = [after.x - before.x, after.y - before.y];
    if (this.pointers.size > 1) {
      this.pinch(event.pointerId, before, after);
    } else if (this.isPanning) {
      this.view.move(byX, byY);
    } else {
      const step = this.picture.range / this.canvas.height;
      this.window(this.picture.center + byY * step, this.picture.width_of_window + byX * step);
    }
  }

  pinch(id, before, after) {
    const [other] = [...this.pointers].filter(([key]) => key !== id).map(([, place]) => place);
    const apart = (place) => Math.hypot(place.x - other.x, place.y - other.y) || 1;
    this.view.move((after.x - before.x) / 2, (after.y - before.y) / 2);
    this.view.zoom(apart(after) / apart(before), (after.x + other.x) / 2, (after.y + other.y) / 2);
  }

  // A wheel that only passes over the picture scrolls the page.
  onWheel(event) {
    if (document.activeElement !== this.canvas && !event.ctrlKey) return;
    event.preventDefault();
    const { x, y } = this.place(event);
    this.view.zoom(event.deltaY < 0 ? ZOOM_STEP : 1 / ZOOM_STEP, x, y);
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = event.shiftKey && event.key.startsWith("Arrow") ? this.moving(event.key) : this.acting(event.key);
    if (!act) return;
    event.preventDefault();
    act();
  }

  moving(key) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const [x, y] = steps[key];
    return () => this.view.move(x * MOVE_STEP_PX, y * MOVE_STEP_PX);
  }

  acting(key) {
    const { center, width_of_window: width, range } = this.picture;
    const step = range * KEY_STEP;
    return {
      ArrowLeft: () => this.window(center, width - step),
      ArrowRight: () => this.window(center, width + step),
      ArrowUp: () => this.window(center - step, width),
      ArrowDown: () => this.window(center + step, width),
      "+": () => this.view.zoom(ZOOM_STEP),
      "=": () => this.view.zoom(ZOOM_STEP),
      "-": () => this.view.zoom(1 / ZOOM_STEP),
      0: () => this.view.fit(),
      f: () => this.view.fit(),
      i: () => this.invert(),
      h: () => this.setOpacity(this.view.opacity ? 0 : this.lastOpacity),
      r: () => this.reset(),
    }[key.length === 1 ? key.toLowerCase() : key];
  }

  window(center, width) {
    this.picture.setWindow(center, width);
    this.say();
    this.view.draw();
  }

  invert() {
    this.picture.isInverse = !this.picture.isInverse;
    this.picture.isStale = true;
    this.say();
    this.view.draw();
  }

  setMoving(isMoving) {
    this.isMoving = isMoving;
    this.say();
  }

  setOpacity(percent) {
    if (percent) this.lastOpacity = percent;
    this.view.opacity = percent;
    this.say();
    this.view.draw();
  }

  reset() {
    this.picture.reset();
    this.isMoving = false;
    this.setOpacity(OPACITY_PERCENT);
    this.view.fit();
  }

  show(name, value, words) {
    const range = this.range(name);
    range.value = String(value);
    range.setAttribute("aria-valuetext", words);
    range.parentElement.querySelector("output").value = words;
  }

  say() {
    const { center, width_of_window: width, range, isInverse, about } = this.picture;
    const words = (value) => (range > 50 ? Math.round(value).toString() : value.toPrecision(3));
    this.show("center", center, words(center));
    this.show("width", width, words(width));
    this.show("opacity", this.view.opacity, `${this.view.opacity} %`);
    this.button("invert").setAttribute("aria-pressed", String(isInverse !== about.is_inverse));
    this.button("move").setAttribute("aria-pressed", String(this.isMoving));
  }

  // The heatmap may come later than the radiograph: the job's assessment ends while it is looked at.
  async findHeatmap() {
    const source = document.getElementById("heatmap")?.dataset.src;
    this.root.querySelector(".heat-missing").hidden = Boolean(source);
    if (!source || source === this.heatSource) return;
    this.heatSource = source;
    const answer = await fetch(source);
    if (!answer.ok) {
      say(this.root, await answer.text());
      return;
    }
    this.view.heatmap = await createImageBitmap(await answer.blob());
    this.root.querySelector(".heat").hidden = false;
    this.view.draw();
  }
}

function say(root, words) {
  root.querySelector(".says").textContent = words;
}

async function start(root) {
  const answer = await fetch(root.dataset.src);
  if (!answer.ok) {
    say(root, await answer.text());
    root.querySelector("img.plain").hidden = true;
    return;
  }
  const picture = new Picture(await decodedPng(await answer.arrayBuffer()));
  const viewer = new Viewer(root, picture);
  if (picture.about.notes.length) say(root, `Shown as it could be: ${picture.about.notes.join("; ")}.`);
  document.body.addEventListener("htmx:afterSettle", () => viewer.findHeatmap());
  await viewer.findHeatmap();
  root.dataset.state = "ready";
}

const root = document.getElementById("viewer");
if (root) start(root).catch(() => say(root, "The picture could not be loaded; the plain one is shown."));

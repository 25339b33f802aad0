// Meters and spectrograms: what comes thirty times a second is drawn here, and nothing else.

const FLOOR_DB = -70;
const HOLD_MS = 1500;
const LOWEST_HZ = 50;
const MARKS_HZ = [200, 1000, 4000];
const dark = matchMedia("(prefers-color-scheme: dark)");
const still = matchMedia("(prefers-reduced-motion: reduce)");

const mel = (hz) => 2595 * Math.log10(1 + hz / 700);

function palette() {
  const stops = dark.matches
    ? [[15, 22, 21], [20, 60, 56], [36, 134, 122], [236, 196, 92], [255, 246, 214]]
    : [[244, 248, 247], [198, 224, 219], [70, 155, 143], [12, 84, 92], [26, 22, 54]];
  const table = new Uint8ClampedArray(256 * 4);
  for (let value = 0; value < 256; value++) {
    const at = Math.min((value / 255) * (stops.length - 1), stops.length - 1.001);
    const [from, to, share] = [stops[Math.floor(at)], stops[Math.floor(at) + 1], at % 1];
    for (let c = 0; c < 3; c++) table[4 * value + c] = from[c] + (to[c] - from[c]) * share;
    table[4 * value + 3] = 255;
  }
  return table;
}

let colours = palette();

export class Side {
  constructor(name) {
    this.canvas = document.getElementById(name);
    this.context = this.canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    this.meter = document.getElementById(`${name}-meter`);
    this.level = document.getElementById(`${name}-level`);
    [this.fill, this.tick] = this.meter.children;
    this.column = this.context.createImageData(1, this.canvas.height);
    this.at = 0;
    this.peak = -200;
    this.peakUntil = 0;
    this.saidAt = 0;
    this.topHz = 0;
    this.clear();
    dark.addEventListener("change", () => { colours = palette(); this.clear(); });
  }

  clear() {
    const [red, green, blue] = colours;
    this.context.fillStyle = `rgb(${red} ${green} ${blue})`;
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.at = 0;
  }

  rest() {
    this.fill.style.transform = "scaleX(0)";
    this.tick.style.left = "0";
    this.level.textContent = "–";
    this.meter.setAttribute("aria-valuenow", FLOOR_DB);
    this.meter.setAttribute("aria-valuetext", "no sound");
  }

  draw(side, topHz, now) {
    this.drawLevel(side, now);
    if (topHz !== this.topHz) this.drawMarks(topHz);
    const bytes = atob(side.spectrum);
    const height = this.canvas.height;
    for (let band = 0; band < height; band++) {
      const from = 4 * bytes.charCodeAt(band);
      const to = 4 * (height - 1 - band);
      for (let c = 0; c < 4; c++) this.column.data[to + c] = colours[from + c];
    }
    const width = this.canvas.width;
    if (still.matches) { // a line that goes round instead of a picture that moves
      this.context.putImageData(this.column, this.at, 0);
      this.at = (this.at + 1) % width;
    } else {
      this.context.drawImage(this.canvas, -1, 0);
      this.context.putImageData(this.column, width - 1, 0);
    }
  }

  drawLevel(side, now) {
    const share = (db) => Math.min(1, Math.max(0, 1 - db / FLOOR_DB));
    this.fill.style.transform = `scaleX(${share(side.level_dbfs).toFixed(3)})`;
    if (side.peak_dbfs >= this.peak || now > this.peakUntil) {
      this.peak = side.peak_dbfs;
      this.peakUntil = now + HOLD_MS;
      this.tick.style.left = `calc(${(100 * share(this.peak)).toFixed(1)}% - 2px)`;
      this.meter.className = `meter${this.peak > -0.2 ? " clipped" : this.peak > -6 ? " loud" : ""}`;
    }
    if (now - this.saidAt > 250) { // numbers that change faster cannot be read
      this.saidAt = now;
      const words = side.level_dbfs > -120 ? `${side.level_dbfs.toFixed(0).replace("-", "−")} dBFS` : "silence";
      this.level.textContent = words;
      this.meter.setAttribute("aria-valuenow", Math.round(Math.max(FLOOR_DB, side.level_dbfs)));
      this.meter.setAttribute("aria-valuetext", words);
    }
  }

  drawMarks(topHz) {
    this.topHz = topHz;
    const place = this.canvas.parentElement;
    place.querySelectorAll("span").forEach((mark) => mark.remove());
    for (const hz of MARKS_HZ.filter((mark) => mark < topHz * 0.95)) {
      const mark = document.createElement("span");
      mark.setAttribute("aria-hidden", "true");
      mark.textContent = hz < 1000 ? `${hz} Hz` : `${hz / 1000} kHz`;
      mark.style.bottom = `${(100 * (mel(hz) - mel(LOWEST_HZ))) / (mel(topHz) - mel(LOWEST_HZ))}%`;
      place.append(mark);
    }
  }
}

// The two sides of a recorded test, played in step: switching between them loses no sample.

const FADE_SECONDS = 0.01;

export class Listen {
  constructor(tell) {
    this.tell = tell;
    this.box = document.getElementById("player");
    this.button = document.getElementById("play");
    this.position = document.getElementById("position");
    this.sides = [...document.querySelectorAll("input[name=side]")];
    this.take = "";
    this.offset = 0;
    this.button.addEventListener("click", () => (this.sources ? this.stop() : this.play()));
    this.sides.forEach((input) => input.addEventListener("change", () => this.choose()));
    this.position.addEventListener("input", () => this.seek(Number(this.position.value)));
  }

  offer(take, token) {
    if (take === this.take) return;
    this.stop();
    [this.take, this.token, this.buffers, this.offset] = [take, token, null, 0];
    this.position.value = 0;
    this.box.hidden = !take;
  }

  get side() {
    return this.sides.find((input) => input.checked).value;
  }

  async load() {
    this.context ??= new AudioContext();
    const get = async (side) => {
      const answer = await fetch(`take/${this.take}/${side}`, { headers: { Authorization: `Bearer ${this.token}` } });
      if (!answer.ok) throw new Error("the recording is not there any more; make another");
      return this.context.decodeAudioData(await answer.arrayBuffer());
    };
    this.buffers = { before: await get("before"), after: await get("after") };
    this.position.max = this.duration.toFixed(1);
  }

  get duration() {
    return Math.min(this.buffers.before.duration, this.buffers.after.duration);
  }

  async play() {
    try {
      if (!this.buffers) await this.load();
    } catch (error) {
      this.tell(error.message);
      return;
    }
    await this.context.resume();
    if (this.offset >= this.duration - 0.05) this.offset = 0;
    this.gains = {};
    this.startedAt = this.context.currentTime + 0.02;
    this.sources = Object.entries(this.buffers).map(([side, buffer]) => {
      const gain = new GainNode(this.context, { gain: side === this.side ? 1 : 0 });
      const source = new AudioBufferSourceNode(this.context, { buffer });
      source.connect(gain).connect(this.context.destination);
      source.start(this.startedAt, this.offset);
      this.gains[side] = gain;
      return source;
    });
    const mine = this.sources;
    this.sources[0].onended = () => { if (this.sources === mine) { this.stop(); this.seek(0); } };
    this.button.textContent = "Stop";
    this.follow();
  }

  follow() {
    if (!this.sources) return;
    this.position.value = this.now().toFixed(1);
    setTimeout(() => this.follow(), 100);
  }

  now() {
    return Math.min(this.duration, this.offset + Math.max(0, this.context.currentTime - this.startedAt));
  }

  choose() {
    if (!this.sources) return;
    for (const [side, gain] of Object.entries(this.gains)) {
      gain.gain.setTargetAtTime(side === this.side ? 1 : 0, this.context.currentTime, FADE_SECONDS / 3);
    }
  }

  flip(on) {
    if (!this.sources || on === this.flipped) return;
    this.flipped = on;
    this.sides.forEach((input) => { input.checked = !input.checked; });
    this.choose();
  }

  seek(seconds) {
    const playing = Boolean(this.sources);
    this.stop();
    this.offset = seconds;
    this.position.value = seconds;
    if (playing) this.play();
  }

  stop() {
    if (!this.sources) return;
    this.offset = this.now();
    this.sources.forEach((source) => { source.onended = null; source.stop(); });
    this.sources = null;
    this.button.textContent = "Play";
  }
}

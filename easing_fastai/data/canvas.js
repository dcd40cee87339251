// Fills a box with a canvas to draw on. After each movement of the pen `tell` gets the drawing as text, and the canvas.
const fillWithCanvas = (box, tell) => {
  box.setAttribute("role", "group");
  box.textContent = "";
  const make = (kind, properties) => box.appendChild(Object.assign(document.createElement(kind), properties));
  const page = make("canvas", {width: 200, height: 200});
  page.style.cssText = "display: block; margin: 2px 2px 6px; background: white; outline: 1px solid grey; touch-action: none; cursor: crosshair";
  page.setAttribute("aria-label", "canvas to draw a digit on");
  const text = make("input", {readOnly: true, placeholder: "your drawing as text", size: 30});
  text.setAttribute("aria-label", "your drawing as text");
  const copy = make("button", {textContent: "copy"}), clear = make("button", {textContent: "clear"});
  const pen = page.getContext("2d");
  let strokes = [];
  const show = () => {
    pen.clearRect(0, 0, 200, 200);
    pen.lineWidth = 14; pen.lineCap = pen.lineJoin = "round";
    for (const stroke of strokes) {
      pen.beginPath(); pen.moveTo(2*stroke[0][0], 2*stroke[0][1]);
      for (const [x, y] of stroke) pen.lineTo(2*x, 2*y);
      pen.stroke();
    }
    text.value = strokes.map(stroke => stroke.map(point => point.join(",")).join(" ")).join(" / ");
    tell(text.value, page);
  };
  const where = event => {
    const r = page.getBoundingClientRect(), inside = v => Math.max(0, Math.min(100, Math.round(v)));
    return [inside(100*(event.clientX - r.left)/r.width), inside(100*(event.clientY - r.top)/r.height)];
  };
  page.onpointerdown = event => {
    event.preventDefault(); page.setPointerCapture(event.pointerId);
    strokes.push([where(event)]); show();
  };
  page.onpointermove = event => {
    if (!page.hasPointerCapture(event.pointerId)) return;
    const stroke = strokes.at(-1), [x, y] = where(event), [lastX, lastY] = stroke.at(-1);
    if (Math.hypot(x - lastX, y - lastY) >= 3) { stroke.push([x, y]); show(); }
  };
  copy.onclick = () => { text.select(); document.execCommand("copy"); };
  clear.onclick = () => { strokes = []; show(); };
};

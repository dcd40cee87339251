{% include 'canvas.js' %}
const render = ({model, el}) => {
  const box = el.appendChild(document.createElement("div"));
  box.className = "digit-canvas";
  fillWithCanvas(box, strokes => { model.set("strokes", strokes); model.save_changes(); });
};
export default {render};

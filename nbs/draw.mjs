// The model of chapter 06, which answers as one draws. Loaded at the first stroke, from this site and no other.
const at = name => new URL('in_browser/' + name, import.meta.url);
const read = async name => {
  const answer = await fetch(at(name));
  if (!answer.ok) throw Error(name + ' is missing');
  return answer;
};
const bytes = async name => new Uint8Array(await (await read(name)).arrayBuffer());

const load = async () => {
  const card = await (await read('card.json')).json();
  const [ours, ort, wasm, network] = await Promise.all([
    import(at('program.mjs')), import(at('runtime.mjs')), bytes('wasm.gz'), bytes('network.onnx')]);
  return {...ours, predict: await ours.readyModel(ort, await ours.unzipped(wasm), network, card)};
};

// The ink of a canvas as an image of RGB numbers, white on black, cropped to itself.
const inkOf = (canvas, cropped) => {
  const {data, width, height} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let left = width, top = height, right = 0, bottom = 0;
  for (let i = 0; i < width*height; i++) {
    const ink = data[4*i + 3], x = i%width, y = Math.floor(i/width);
    data.fill(ink, 4*i, 4*i + 3);
    if (ink < 128) continue;
    [left, right] = [Math.min(left, x), Math.max(right, x + 1)];
    [top, bottom] = [Math.min(top, y), Math.max(bottom, y + 1)];
  }
  return right && cropped({data, width, height}, [left, top, right - left, bottom - top]);
};

// As `like_mnist` of chapter 06: at most 20×20 pixels, the centre of mass in the middle of 28×28.
const likeMnist = (ink, resized) => {
  const scale = 20/Math.max(ink.width, ink.height), fit = length => Math.max(1, Math.round(scale*length));
  const {data, width, height} = resized(ink, fit(ink.width), fit(ink.height));
  const lightest = data.reduce((a, b) => Math.max(a, b)), page = new ImageData(28, 28);
  let sum = 0, across = 0, down = 0;
  for (let i = 0; i < width*height; i++) {
    sum += data[3*i];
    across += data[3*i]*(i%width);
    down += data[3*i]*Math.floor(i/width);
  }
  const corner = (middle, length) => Math.min(Math.max(0, Math.round(14 - middle)), 28 - length);
  const left = corner(across/sum, width), top = corner(down/sum, height);
  for (let i = 3; i < page.data.length; i += 4) page.data[i] = 255;
  for (let i = 0; i < width*height; i++) {
    const to = 4*((top + Math.floor(i/width))*28 + left + i%width);
    page.data.fill(255*data[3*i]/lightest, to, to + 3);
  }
  return page;
};
const inverted = page => new ImageData(page.data.map((value, i) => i%4 === 3 ? value : 255 - value), 28, 28);

const percent = p => (Math.floor(1000*p)/10).toFixed(1) + '%';
const view = (page, answer, words) => {
  const figure = document.createElement('figure'), small = Object.assign(document.createElement('canvas'), {width: 28, height: 28});
  small.getContext('2d').putImageData(page, 0, 0);
  small.setAttribute('role', 'img');
  small.setAttribute('aria-label', 'your drawing in 28 by 28 pixels, ' + words);
  const caption = document.createElement('figcaption');
  caption.append(words);
  for (const [label, p] of answer.sort()) {
    const row = document.createElement('span'), bar = document.createElement('i');
    bar.className = 'bar';
    bar.style.setProperty('--share', 100*p + '%');
    row.append(`${label}: ${percent(p)} `, bar);
    caption.append(row);
  }
  figure.append(small, caption);
  return figure;
};

let ready;
const model = () => ready ??= load();

// How far the probabilities are from PyTorch's, for images that it judged when the site was made.
export const distances = async () => {
  const {predict} = await model(), found = [];
  for (const {pixels, probabilities} of await (await read('checks.json')).json()) {
    const image = new ImageData(28, 28);
    pixels.forEach((light, i) => image.data.set([light, light, light, 255], 4*i));
    found.push(Math.max(...(await predict(image)).map(([label, p]) => Math.abs(p - probabilities[label]))));
  }
  return found;
};

const turns = new WeakMap(); // box -> number of its last drawing
export const answer = async (box, canvas) => {
  const turn = (turns.get(box) || 0) + 1;
  turns.set(box, turn);
  let place = box.querySelector('.digit-answer');
  if (!place) {
    place = Object.assign(document.createElement('div'), {className: 'digit-answer', textContent: 'The model is loading …'});
    place.setAttribute('role', 'status');
    box.append(place);
  }
  let network;
  try { network = await model(); }
  catch (error) {
    ready = null; // the next stroke tries again
    place.textContent = 'The model could not be loaded (' + error.message + ').';
    return;
  }
  if (turn !== turns.get(box)) return;
  const ink = inkOf(canvas, network.cropped);
  if (!ink) return place.replaceChildren();
  const page = likeMnist(ink, network.resized), negative = inverted(page);
  const views = [view(page, await network.predict(page), 'as in MNIST'), view(negative, await network.predict(negative), 'dark on light')];
  if (turn === turns.get(box)) place.replaceChildren(...views);
};

// A trained model in the reader's browser: ONNX, run by onnxruntime-web. Nothing is sent anywhere.

export const unzipped = async bytes => { // a gzip file
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
};

// Pillow's `Image.resize` with BILINEAR, so that the model gets here what it got in Python.
// For each of `to` pixels: the first pixel that it is made of, and the weights of all of them.
const weightsFor = (from, to) => Array.from({length: to}, (_, at) => {
  const scale = from/to, reach = Math.max(scale, 1), centre = (at + 0.5)*scale;
  const first = Math.max(0, Math.trunc(centre - reach + 0.5)), end = Math.min(from, Math.trunc(centre + reach + 0.5));
  const raw = Array.from({length: end - first}, (_, i) => Math.max(0, 1 - Math.abs((first + i - centre + 0.5)/reach)));
  const sum = raw.reduce((a, b) => a + b);
  return {first, weights: raw.map(weight => Math.round(weight/sum*2**22)/2**22)}; // Pillow counts in such steps
});

// Each row becomes `to` pixels. Rows and columns change places, so that twice does both.
const narrowed = ({data, width, height}, to) => {
  const made = new Uint8Array(3*to*height);
  weightsFor(width, to).forEach(({first, weights}, x) => {
    for (let y = 0; y < height; y++) for (let c = 0; c < 3; c++) {
      let sum = 0.5;
      for (let i = 0, at = 3*(y*width + first) + c; i < weights.length; i++, at += 3) sum += weights[i]*data[at];
      made[3*(x*height + y) + c] = sum;
    }
  });
  return {data: made, width: height, height: to};
};

export const resized = (image, width, height) => narrowed(narrowed(image, width), height);

export const cropped = ({data, width, height}, [left, top, w, h]) => { // RGBA becomes RGB
  const made = new Uint8Array(3*w*h);
  for (let y = 0, to = 0; y < h; y++) for (let x = 0; x < w; x++)
    for (let c = 0, from = 4*((top + y)*width + left + x); c < 3; c++) made[to++] = data[from + c];
  return {data: made, width: w, height: h};
};

// An ImageData as the validation images were: 3×size×size numbers, normalised.
export const prepared = (image, card) => {
  const extra = card.resize === 'middle' ? 8*Math.ceil(0.14*card.size/8) : 0; // as fastai's RandomResizedCrop
  const side = card.size + extra, pixels = card.size**2;
  const {data} = resized(cropped(image, [0, 0, image.width, image.height]), side, side);
  const inside = i => (Math.floor(i/card.size) + extra/2)*side + i%card.size + extra/2;
  return Float32Array.from({length: 3*pixels}, (_, i) => {
    const c = Math.floor(i/pixels);
    return (data[3*inside(i%pixels) + c]/255 - card.mean[c])/card.std[c];
  });
};

// The pixels of a file, upright as the phone was held.
export const pixelsOf = async file => {
  const image = await createImageBitmap(file, {imageOrientation: 'from-image', colorSpaceConversion: 'none'});
  const canvas = Object.assign(document.createElement('canvas'), {width: image.width, height: image.height});
  const context = canvas.getContext('2d', {willReadFrequently: true});
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, image.width, image.height);
};

// `predict(ImageData)` gives pairs of a label and its probability, the most probable first.
export const readyModel = async (ort, wasm, onnx, card) => {
  Object.assign(ort.env.wasm, {numThreads: 1, wasmBinary: wasm});
  const session = await ort.InferenceSession.create(onnx, {executionProviders: ['wasm']});
  return async image => {
    const tensor = new ort.Tensor('float32', prepared(image, card), [1, 3, card.size, card.size]);
    const {probabilities} = await session.run({image: tensor});
    return card.labels.map((label, i) => [label, probabilities.data[i]]).sort((a, b) => b[1] - a[1]);
  };
};

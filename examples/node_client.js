// A dermedge model file in JavaScript, with Node 18 or newer.
//
//     npm install onnxruntime-node sharp
//     node node_client.js MODEL.onnx PICTURE [age=55] [sex=female] [site=back]
//
// The first command asks for nuget.org too, for CUDA; with ONNXRUNTIME_NODE_INSTALL=skip set before it, it does not.
// Prints all outputs as JSON, each as a flat list. Fields that are left out are unknown. The model must have been
// exported with --any-size: then its graph resizes the picture as in training, which no JavaScript library does. ONNX
// Runtime gives JavaScript no way to the description inside the file, so it is read from MODEL.json, which
// `dermedge export` writes beside it.

process.env.ORT_DISABLE_TELEMETRY = "1"; // before ONNX Runtime is loaded

const { createHash } = require("node:crypto");
const { readFileSync } = require("node:fs");
const ort = require("onnxruntime-node");
const sharp = require("sharp");

function readDescription(model) {
  const spec = JSON.parse(readFileSync(model.replace(/\.onnx$/, ".json"), "utf-8"));
  const sha256 = createHash("sha256").update(readFileSync(model)).digest("hex");
  if (sha256 !== spec.onnx_sha256) throw new Error(`${model} and its JSON are not of one export.`);
  if (!spec.image?.any_size) throw new Error(`${model} does not resize pictures. Export it with --any-size.`);
  return spec;
}

// Upright RGB as uint8 [1, H, W, 3]: transparency on white, colour profiles ignored.
async function readPicture(path) {
  const { data, info } = await sharp(path, { ignoreIcc: true })
    .rotate() // by the EXIF orientation
    .flatten({ background: "white" })
    .toColourspace("srgb")
    .raw()
    .toBuffer({ resolveWithObject: true });
  return new ort.Tensor("uint8", new Uint8Array(data), [1, info.height, info.width, info.channels]);
}

// Values in the order of the columns; what is left out is unknown, what is misspelt is an error.
function readClinical({ numeric, categorical }, given) {
  const names = [...numeric, ...categorical].map((field) => field.name);
  const foreign = Object.keys(given).filter((name) => !names.includes(name));
  if (foreign.length) throw new Error(`The model has no field ${foreign.join(", ")}.`);
  const read = (field, unknown, parse, isRight) => {
    if (!(field.name in given)) return unknown;
    const value = parse(given[field.name]);
    if (!isRight(value)) throw new Error(`${field.name} cannot be ${given[field.name]}.`);
    return value;
  };
  return {
    numbers: numeric.map((field) => read(field, NaN, Number, Number.isFinite)),
    words: categorical.map((field) => read(field, -1, (word) => field.vocabulary.indexOf(word), (at) => at >= 0)),
  };
}

async function main(model, picture, ...values) {
  const spec = readDescription(model);
  const session = await ort.InferenceSession.create(model);
  const { numbers, words } = readClinical(spec.clinical, Object.fromEntries(values.map((value) => value.split("="))));
  const feed = {
    image: await readPicture(picture),
    numeric: new ort.Tensor("float32", Float32Array.from(numbers), [1, numbers.length]),
    categorical: new ort.Tensor("int32", Int32Array.from(words), [1, words.length]),
    target: new ort.Tensor("int32", Int32Array.of(-1), [1]), // explain the predicted class
  };
  // A model without clinical fields, or exported without explanations, lacks some inputs.
  const known = Object.entries(feed).filter(([name]) => session.inputNames.includes(name));
  const outputs = await session.run(Object.fromEntries(known));
  const found = Object.fromEntries(spec.outputs.map((name) => [name, Array.from(outputs[name].data)]));
  const label = spec.classes[found.probabilities.indexOf(Math.max(...found.probabilities))];
  console.log(JSON.stringify({ label, classes: spec.classes, features: spec.features, ...found }));
}

if (process.argv.length < 4) {
  console.error("Usage: node node_client.js MODEL.onnx PICTURE [FIELD=VALUE]...");
  process.exit(1);
}
main(...process.argv.slice(2)).catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});

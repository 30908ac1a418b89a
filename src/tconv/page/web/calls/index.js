// The same layer in the words of other frameworks. What Python's tconv.conventions.write gives, to the letter.

import * as caffe from "./caffe.js";
import * as jax from "./jax.js";
import * as keras from "./keras.js";
import * as onnx from "./onnx.js";
import * as pytorch from "./pytorch.js";
import * as tensorflow from "./tensorflow.js";
import * as tflite from "./tflite.js";

/** framework -> {title, write}; write(geometry) gives {code, after, notes} or throws a ProblemError. */
export const FRAMEWORKS = {
  pytorch: { title: "PyTorch", ...pytorch },
  tensorflow: { title: "TensorFlow", ...tensorflow },
  keras: { title: "Keras", ...keras },
  jax: { title: "JAX", ...jax },
  onnx: { title: "ONNX", ...onnx },
  caffe: { title: "Caffe", ...caffe },
  tflite: { title: "TFLite", ...tflite },
};

// Who plans: tconv's Python, where it is in the process, else a plain rule.
#pragma once

#include "layer.hpp"

namespace tconv::ort {

// What is asked of Python's planner (src/tconv/onnx/engine/planner.py lays out the same struct).
struct Question {
  int64_t dtype, activation, prepared, axes, batch, groups, in_channels, out_channels;
  Triple input, output, kernel, stride, dilation, lo, hi;
  const double* numbers;  // of the activation
  int64_t count;          // of them
  char refusal[512];      // an answer: why there is no plan
};

// The plan to compute a layer; `prepared`: its weights are packed once.
Plan plan_for(const Layer& layer, const Sized& sized, DType dtype, bool prepared);

// A right and simple plan, chosen without estimates.
Plan plain_plan(const Layer& layer, const Sized& sized, DType dtype);

}  // namespace tconv::ort

// A plan prepared for running, and the arguments of one run.
#pragma once

#include "col2im.hpp"
#include "layout.hpp"
#include "plan.hpp"
#include "winograd.hpp"

namespace tconv {

// Everything that follows from a plan and is the same at every run.
struct Setup {
  Plan plan;          // of real numbers (complex.hpp)
  Layout layout;      // of parts over boxes of cells
  Winograd winograd;  // of WinogradPlan
  Col2im col2im;      // of Col2imPlan
  int64_t workspace;  // bytes, of one thread
};

// Addresses of one run. Source and target are those of the map; for the weight gradient the source is x, the
// weight y and the target the gradient. Weights are in the order of `pack`, or as the caller has them, or
// both.
struct Arrays {
  const void *source, *packed, *weight, *bias;
  void* target;
};

}  // namespace tconv

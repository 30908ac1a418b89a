#include "planner.hpp"

#include "../table.hpp"

namespace tconv::ort {

Plan plain_plan(const Layer& layer, const Sized& sized, DType dtype) {
  Plan plan{};
  plan.problem = {sized.batch, sized.groups, sized.in_channels / sized.groups, sized.out_channels / sized.groups,
                  sized.input, sized.output, sized.kernel, sized.stride, sized.dilation, sized.lo};
  plan.map = Map::conv_transpose;
  plan.layout = ArrayLayout::channels_first;
  const DType sums = dtype == DType::f64 ? DType::f64 : DType::f32;
  plan.operands = {dtype, dtype, sums, dtype};
  plan.epilogue = {Scale::none, dtype, layer.activation, layer.slope, layer.clamp_lo, layer.clamp_hi,
                   Rounding::nearest_even};
  plan.isa = isa_kernels().front().isa;
  plan.segments = 1;
  plan.most_threads = 1 << 10;
  return plan;
}

}  // namespace tconv::ort

#include "planner.hpp"

#include <atomic>
#include <cstring>

namespace tconv::ort {
namespace {

// Python's planner: gives a plan through tconv_ort_give and returns 0, or fills in why there is none.
using Planner = int (*)(Question*, void* slot);

std::atomic<Planner> planner{nullptr};

}  // namespace

Plan plan_for(const Layer& layer, const Sized& sized, DType dtype, bool prepared) {
  const Planner ask = planner.load(std::memory_order_acquire);
  if (!ask) return plain_plan(layer, sized, dtype);
  Question question{static_cast<int64_t>(dtype),
                    static_cast<int64_t>(layer.activation),
                    prepared,
                    sized.axes,
                    sized.batch,
                    sized.groups,
                    sized.in_channels,
                    sized.out_channels,
                    sized.input,
                    sized.output,
                    sized.kernel,
                    sized.stride,
                    sized.dilation,
                    sized.lo,
                    sized.hi,
                    layer.numbers.data(),
                    static_cast<int64_t>(layer.numbers.size()),
                    {}};
  std::optional<Plan> slot;
  const int refused = ask(&question, &slot);
  if (refused || !slot) {
    question.refusal[sizeof question.refusal - 1] = '\0';
    throw Refusal(std::string("tconv::ConvTranspose: ") + question.refusal);
  }
  return *slot;
}

}  // namespace tconv::ort

extern "C" {

// Python's side, in the same process. Plans are copied between two libraries of one build.
__attribute__((visibility("default"))) void tconv_ort_plan_with(tconv::ort::Planner ask) {
  tconv::ort::planner.store(ask, std::memory_order_release);
}

__attribute__((visibility("default"))) int tconv_ort_give(void* slot, const tconv::Plan* plan, size_t bytes) {
  if (bytes != sizeof(tconv::Plan)) return 1;
  *static_cast<std::optional<tconv::Plan>*>(slot) = *plan;
  return 0;
}
}

// A plan is prepared once: lengths and offsets follow from it. At every run, weights are packed unless they
// already are, and the plan's method processes the arrays. Complex numbers are converted to real ones and
// back.
#include "run.hpp"

#include "complex.hpp"
#include "memory.hpp"
#include "segments.hpp"
#include "table.hpp"

namespace tconv {
namespace {

Setup make_setup(const Plan& plan) {
  Setup setup{plan, {}, {}, {}, 0};
  if (std::holds_alternative<WinogradPlan>(plan.part)) setup.winograd = make_winograd(plan);
  else if (std::holds_alternative<Col2imPlan>(plan.part)) setup.col2im = make_col2im(plan);
  else if (!std::holds_alternative<std::monostate>(plan.part)) setup.layout = make_layout(plan);
  setup.workspace = method_of(plan).workspace(setup);
  return setup;
}

bool packs_by_task(const Plan& plan) {
  const auto* part = std::get_if<PhasesPlan>(&plan.part);
  return part && part->pack_by_task;
}

// Of all threads together.
int64_t shared_by_threads(const Setup& setup) {
  const Plan& plan = setup.plan;
  if (std::holds_alternative<Col2imPlan>(plan.part)) return col2im_shared(setup);
  if (plan.map != Map::weight_gradient || std::holds_alternative<std::monostate>(plan.part)) return 0;
  return segments_beside(plan) * sums_size(plan);
}

}  // namespace

Runner::Runner(const Plan& plan)
    : plan_(plan),
      complex_(is_complex(plan)),
      setup_(make_setup(real_plan(plan))),
      method_(method_of(plan)),
      shared_(shared_by_threads(setup_)),
      packed_(complex_         ? complex_packed(setup_, method_)
              : method_.packed ? method_.packed(setup_)
                               : 0),
      by_task_(!complex_ && packs_by_task(plan)) {}

void Runner::pack(const void* weight, void* packed) const {
  if (complex_) pack_complex(setup_, method_, weight, packed);
  else if (method_.pack) method_.pack(setup_, weight, packed);
}

void Runner::run(Arrays arrays) const {
  Block packed;
  if (!arrays.packed && packed_ > 0 && !by_task_) {
    packed = Block(static_cast<size_t>(packed_));
    pack(arrays.weight, packed.as<void>());
    arrays.packed = packed.as<void>();
  }
  if (complex_) run_complex(setup_, method_, arrays);
  else run_method(setup_, method_, arrays);
}

}  // namespace tconv

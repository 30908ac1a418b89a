#include "method.hpp"

#include "col2im.hpp"
#include "gradient.hpp"
#include "phases.hpp"
#include "reference.hpp"
#include "winograd.hpp"

namespace tconv {
namespace {

constexpr Method kReference{reference_workspace, nullptr, nullptr, run_reference};
constexpr Method kPhases{phases_workspace, phases_packed, pack_phases, run_phases};
constexpr Method kWinograd{winograd_workspace, winograd_packed, pack_winograd, run_winograd};
constexpr Method kCol2im{col2im_workspace, col2im_packed, pack_col2im, run_col2im};
constexpr Method kDotConv{dot_conv_workspace, nullptr, nullptr, run_dot_conv};
constexpr Method kGatheredConv{gathered_conv_workspace, nullptr, nullptr, run_gathered_conv};
constexpr Method kDotGradient{dot_gradient_workspace, nullptr, nullptr, run_dot_gradient};
constexpr Method kGradient{gradient_workspace, nullptr, nullptr, run_gradient};
constexpr Method kMatrixGradient{matrix_gradient_workspace, nullptr, nullptr, run_matrix_gradient};
constexpr Method kWideGradient{wide_gradient_workspace, nullptr, nullptr, run_wide_gradient};

const Method& method_of_part(const Plan&, const std::monostate&) { return kReference; }
const Method& method_of_part(const Plan&, const PhasesPlan&) { return kPhases; }
const Method& method_of_part(const Plan&, const WinogradPlan&) { return kWinograd; }
const Method& method_of_part(const Plan&, const Col2imPlan&) { return kCol2im; }
const Method& method_of_part(const Plan& plan, const DotsPlan& part) {
  return plan.map == Map::weight_gradient ? kDotGradient : part.gathered ? kGatheredConv : kDotConv;
}
const Method& method_of_part(const Plan&, const GradientPlan& part) {
  return part.parts ? kMatrixGradient : part.lanes == GradientLanes::kernel ? kWideGradient : kGradient;
}

}  // namespace

const Method& method_of(const Plan& plan) {
  return std::visit([&](const auto& part) -> const Method& { return method_of_part(plan, part); }, plan.part);
}

void run_method(const Setup& setup, const Method& method, const Arrays& arrays) {
  method.run(setup, arrays);
  // `phases` mends itself, since it packs the weights; `winograd` mixes its window anyway; `col2im`
  // multiplies nothing but what exists.
  const Part& part = setup.plan.part;
  if (std::holds_alternative<DotsPlan>(part) || std::holds_alternative<GradientPlan>(part))
    mend_unless_bounded(setup, arrays);
}

}  // namespace tconv

#include "kernel.hpp"

#include "planner.hpp"
#include "pool.hpp"

namespace tconv::ort {
namespace {

constexpr size_t kMostShapes = 1024;  // whose plans a node keeps

// Whether two plans for one node's weights read them in the same order (Plan.packing in Python).
bool packed_alike(const Plan& a, const Plan& b) {
  if (a.isa != b.isa || a.part.index() != b.part.index() || a.problem.stride != b.problem.stride ||
      a.problem.kernel != b.problem.kernel)
    return false;
  if (const auto* one = std::get_if<PhasesPlan>(&a.part)) {
    const auto& other = std::get<PhasesPlan>(b.part);
    if (one->rows != other.rows || one->vectors != other.vectors || one->lanes != other.lanes ||
        one->parts != other.parts)
      return false;
    if (one->lanes != PhasesLanes::stacked) return true;
    // Where the zeros of uneven phases are.
    for (size_t axis = 0; axis < 3; ++axis)
      if (a.problem.output[axis] % a.problem.stride[axis] != b.problem.output[axis] % b.problem.stride[axis])
        return false;
    return one->channels == other.channels && a.problem.lo == b.problem.lo;
  }
  if (const auto* one = std::get_if<WinogradPlan>(&a.part)) {
    const auto& other = std::get<WinogradPlan>(b.part);
    return one->rows == other.rows && one->vectors == other.vectors && one->channels == other.channels;
  }
  if (const auto* one = std::get_if<Col2imPlan>(&a.part)) {
    const auto& other = std::get<Col2imPlan>(b.part);
    return one->rows == other.rows && one->vectors == other.vectors && one->lanes == other.lanes &&
           one->channels == other.channels && one->depth == other.depth;
  }
  return std::holds_alternative<std::monostate>(a.part);
}

}  // namespace

Kernel::Kernel(const Api& api, DType dtype, const KernelInfo* info)
    : api_(api), dtype_(dtype), layer_(read_layer(KernelAttributes(api, info))) {
  int constant = 0;
  const Value* value = nullptr;
  constant_ = api.succeeds(api.constant_input(info, 1, &constant, &value)) && constant && value;
}

void Kernel::run(Context* context) {
  size_t count = 0;
  api_.check(api_.input_count(context, &count));
  const Value* inputs[3] = {};
  for (size_t i = 0; i < std::min<size_t>(count, 3); ++i) api_.check(api_.input(context, i, &inputs[i]));
  if (!inputs[0] || !inputs[1]) throw Refusal("tconv::ConvTranspose: an input and weights are needed");
  void* data[3] = {};
  for (int i = 0; i < 3; ++i)
    if (inputs[i]) api_.check(api_.mutable_data(const_cast<Value*>(inputs[i]), &data[i]));

  const OnPool pool(api_, context);
  const auto found = ready(api_.shape(inputs[0]), api_.shape(inputs[1]), data[1]);
  if (inputs[2])
    if (const Sizes bias = api_.shape(inputs[2]); bias != Sizes{found->output[1]})
      throw Refusal("tconv::ConvTranspose: a bias of shape " + shown(bias) + "; " +
                    std::to_string(found->output[1]) + " would fit");
  Value* target = nullptr;
  api_.check(api_.output(context, 0, found->output.data(), found->output.size(), &target));
  void* numbers = nullptr;
  api_.check(api_.mutable_data(target, &numbers));
  if (!found->output[0]) return;  // an empty batch
  const void* packed = found->packed ? found->packed->block.as<void>() : nullptr;
  found->runner.run({data[0], packed, packed ? nullptr : data[1], data[2], numbers});
}

std::shared_ptr<const Kernel::Ready> Kernel::ready(const Sizes& x, const Sizes& weight, const void* numbers) {
  Sizes key = x;
  if (!constant_) key.insert(key.end(), weight.begin(), weight.end());
  {
    const std::lock_guard<std::mutex> guard(lock_);
    if (const auto found = ready_.find(key); found != ready_.end()) return found->second;
  }
  const Sized shape = sized(layer_, x, weight);
  // Planned without the lock: Python may need another thread of this session to go on.
  const Runner runner(plan_for(layer_, shape, dtype_, constant_));
  const bool packs = constant_ && runner.packed_bytes() > 0;
  auto made = std::make_shared<const Ready>(
      Ready{runner, shape.output_shape(), packs ? packed(runner, numbers) : nullptr});
  const std::lock_guard<std::mutex> guard(lock_);
  if (ready_.size() >= kMostShapes) ready_.clear();
  return ready_.emplace(std::move(key), std::move(made)).first->second;
}

std::shared_ptr<const Kernel::Packed> Kernel::packed(const Runner& runner, const void* weight) {
  const std::lock_guard<std::mutex> guard(lock_);
  for (const auto& one : packed_)
    if (packed_alike(one->plan, runner.plan()) &&
        static_cast<int64_t>(one->block.bytes()) == runner.packed_bytes())
      return one;
  auto made =
      std::make_shared<Packed>(Packed{runner.plan(), Block(static_cast<size_t>(runner.packed_bytes()))});
  runner.pack(weight, made->block.as<void>());
  packed_.push_back(made);
  return made;
}

}  // namespace tconv::ort

// A node of a session: its attributes, its packed weights, and a plan for each shape that it has met.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "../memory.hpp"
#include "../run.hpp"
#include "layer.hpp"

namespace tconv::ort {

class Kernel {
 public:
  Kernel(const Api& api, DType dtype, const KernelInfo* info);
  const Api& api() const { return api_; }
  void run(Context* context);  // from any number of threads at once

 private:
  // Weights in the order in which plans of one kind read them.
  struct Packed {
    Plan plan;  // that they were packed for
    Block block;
  };
  struct Ready {
    Runner runner;
    Sizes output;
    std::shared_ptr<const Packed>
        packed;  // null: the plan reads weights as they are, or they are not constant
  };
  std::shared_ptr<const Ready> ready(const Sizes& x, const Sizes& weight, const void* numbers);
  std::shared_ptr<const Packed> packed(const Runner& runner, const void* weight);

  const Api& api_;
  const DType dtype_;
  const Layer layer_;
  bool constant_;  // whether the weights are
  std::mutex lock_;
  std::map<Sizes, std::shared_ptr<const Ready>> ready_;
  std::vector<std::shared_ptr<const Packed>> packed_;
};

}  // namespace tconv::ort

// Kernel name -> function, per dtype and instruction set.
//
// A name follows <dtype>_<algorithm>_<rows>x<vectors>__<isa>, such as f32_phases_14x2__avx512. The same
// string appears in repr(plan) and in benchmark results.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/kernel_set.hpp"
#include "plan.hpp"

namespace tconv {

// Valid as long as the plan.
template <class T> ActivationOf<T> activation_of(const Plan& plan) {
  const Epilogue& e = plan.epilogue;
  const auto number = [&](size_t i) { return i < e.numbers.size() ? static_cast<T>(e.numbers[i]) : T(0); };
  return {e.activation, number(0), number(1), e.activation == Activation::prelu ? e.numbers.data() : nullptr};
}

// Configures the matrix registers for a task and releases them after it, so that other code need not save
// them.
template <class T> class MatrixUse {
 public:
  MatrixUse(const KernelSet<T>& kernels, bool on) : end_(on ? kernels.matrix.end : nullptr) {
    if (on) kernels.matrix.begin();
  }
  ~MatrixUse() {
    if (end_) end_();
  }
  MatrixUse(const MatrixUse&) = delete;
  MatrixUse& operator=(const MatrixUse&) = delete;

 private:
  void (*end_)();
};

struct IsaKernels {
  const char* isa;
  const char* vectors;  // the instruction set of its vectors: its own, or a smaller one
  const KernelSet<float>* f32;
  const KernelSet<double>* f64;
  const ConvertSet<Half>* f16;
  const ConvertSet<Brain>* bf16;
};

const std::vector<IsaKernels>& isa_kernels();  // best first, only those that this CPU runs
const IsaKernels& find_isa(const std::string& name);
std::string kernel_name(const Plan& plan);
const char* dtype_name(DType dtype);
int64_t dtype_size(DType dtype);
inline int64_t source_size(const Plan& plan) {
  return dtype_size(plan.operands.source);
}  // of a number in bytes
inline int64_t weight_size(const Plan& plan) { return dtype_size(plan.operands.weight); }
inline int64_t sums_size(const Plan& plan) { return dtype_size(plan.operands.sums); }  // in panels too
inline int64_t target_size(const Plan& plan) { return dtype_size(plan.operands.target); }

template <class T> const KernelSet<T>& kernels_for(const std::string& isa);
template <class S> const ConvertSet<S>& converts_for(const std::string& isa);
int lanes_of(const Plan& plan);  // numbers in a vector register

}  // namespace tconv

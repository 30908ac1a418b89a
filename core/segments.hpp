// The ordered sums that a weight gradient's reduction is cut into.
#pragma once

#include <algorithm>

#include "memory.hpp"
#include "plan.hpp"
#include "threads.hpp"

namespace tconv {

static inline int64_t weight_count(const Problem& p) {
  return p.groups * p.in_channels * p.out_channels * p.kernel[0] * p.kernel[1] * p.kernel[2];
}

// Sums of all segments but the first.
static inline int64_t segments_beside(const Plan& plan) { return (plan.segments - 1) * weight_count(plan.problem); }

// Each segment's sums, in the layout of the weights: those of the first are the gradient itself, to which the others
// are added in order.
template <class T>
class Segments {
 public:
  Segments(const Plan& plan, T* gradient) : plan_(plan), size_(weight_count(plan.problem)), gradient_(gradient) {
    if (plan.segments > 1) beside_ = Block(static_cast<size_t>(segments_beside(plan)) * sizeof(T));
  }

  T* operator[](int64_t segment) const {
    return segment ? beside_.template as<T>() + (segment - 1) * size_ : gradient_;
  }

  void add() const {
    constexpr int64_t kPiece = 4096;
    if (plan_.segments == 1) return;
    parallel_for(ceil_div(size_, kPiece), plan_.most_threads, [&](int64_t piece, int) {
      const int64_t begin = piece * kPiece, end = std::min(begin + kPiece, size_);
      for (int64_t s = 1; s < plan_.segments; ++s) {
        const T* from = (*this)[s];
        for (int64_t i = begin; i < end; ++i) gradient_[i] += from[i];
      }
    });
  }

 private:
  const Plan& plan_;
  int64_t size_;
  T* gradient_;
  Block beside_;
};

}  // namespace tconv

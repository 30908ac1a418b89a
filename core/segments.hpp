// The ordered partial sums (segments) that a weight gradient's reduction is split into.
#pragma once

#include <algorithm>

#include "memory.hpp"
#include "plan.hpp"
#include "storage.hpp"
#include "threads.hpp"

namespace tconv {

// Size of the sums of all segments, except the first where that is the gradient itself.
static inline int64_t segments_beside(const Plan& plan) {
  const bool narrow = target_size(plan) < sums_size(plan);
  return (plan.segments - !narrow) * weight_count(plan.problem);
}

// Each segment's sums, in the layout of the weights: those of the first are the gradient itself, unless its
// dtype is too narrow for sums. The others are added to it in order.
template <class S> class Segments {
 public:
  using T = typename Storage<S>::T;
  Segments(const Plan& plan, const Storage<S>& storage, S* gradient)
      : plan_(plan), storage_(storage), size_(weight_count(plan.problem)), gradient_(gradient) {
    const int64_t beside = segments_beside(plan);
    if (beside > 0) beside_ = Block(static_cast<size_t>(beside) * sizeof(T));
    first_ = storage.row(gradient, beside_.template as<T>());
  }

  T* operator[](int64_t segment) const {
    return segment ? beside_.template as<T>() + (segment - !storage_.narrow) * size_ : first_;
  }

  void add() const {
    constexpr int64_t kPiece = 4096;
    if (segments_beside(plan_) == 0) return;
    parallel_for(ceil_div(size_, kPiece), plan_.most_threads, [&](int64_t piece, int) {
      const int64_t begin = piece * kPiece, end = std::min(begin + kPiece, size_);
      for (int64_t s = 1; s < plan_.segments; ++s) {
        const T* from = (*this)[s];
        for (int64_t i = begin; i < end; ++i) first_[i] += from[i];
      }
      storage_.store(first_ + begin, end - begin, gradient_ + begin);
    });
  }

 private:
  const Plan& plan_;
  const Storage<S>& storage_;
  int64_t size_;
  S* gradient_;
  T* first_;
  Block beside_;
};

}  // namespace tconv

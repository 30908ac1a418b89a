// What sums need where the usual tiles would not get them right; exact.cpp explains it.
#pragma once

#include "memory.hpp"

namespace tconv {

struct Exact {
  Block block;         // the box, unsplit, and weights
  int64_t holds = -1;  // which box that is

  // Of a box in the panel: whether some number is not the sum of its parts; `first`: the first parts.
  void packed(bool lost, const float* first, int64_t count);
  // Whether vectors have to multiply it with a block of weights; `bits`: whether the block holds bits.
  bool needed(bool bits, const float* weights, int64_t count) const;

 private:
  bool lost_ = false, infinite_ = false;
};

}  // namespace tconv

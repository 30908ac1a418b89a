// What the algorithms of dot products share: all tiles of a product, and the epilogue of a convolution.
#pragma once

#include <algorithm>
#include <vector>

#include "setup.hpp"
#include "table.hpp"

namespace tconv {

// Runs all tiles of `rows` x `columns` dot products; `args` holds their common arguments and the first row.
template <class T>
void run_tiles(const DotsPlan& part, const KernelSet<T>& kernels, DotArgs<T> args, int64_t rows,
               int64_t columns) {
  const int64_t *column = args.columns, *place = args.places;
  for (int64_t i = 0; i < rows;
       i += part.rows, args.a += part.rows * args.a_row, args.c += part.rows * args.c_stride)
    for (int64_t j = 0; j < columns; j += part.columns) {
      args.columns = column + j, args.places = place + j;
      kernels.dots[std::min<int64_t>(part.rows, rows - i)][std::min<int64_t>(part.columns, columns - j)](
          args);
    }
}

// Adds the bias of `count` channels, which may be null, and applies their activation to their sums at
// `places`, rows of `row` adjacent positions.
template <class T>
void finish_positions(const Setup& setup, const KernelSet<T>& kernels, const ActivationOf<T>& activation,
                      const T* bias, int64_t count, const std::vector<int64_t>& places, int64_t row,
                      T* target) {
  if (!bias && activation.what == Activation::none) return;
  const Side& side = setup.layout.target;
  if (side.position > 1) {
    for (int64_t place : places) {
      T* out = target + place;
      for (int64_t c = 0; bias && c < count; ++c) out[c] += bias[c];
      if (activation.what != Activation::none) kernels.activate(out, count, activation);
    }
    return;
  }
  for (int64_t c = 0; c < count; ++c)
    for (size_t i = 0; i < places.size(); i += static_cast<size_t>(row)) {
      T* out = target + c * side.channel + places[i];
      for (int64_t k = 0; bias && k < row; ++k) out[k] += bias[c];
      if (activation.what != Activation::none) kernels.activate(out, row, activation.of(c));
    }
}

}  // namespace tconv

// What the two halves of `col2im`, products and sums, share.
#pragma once

#include "setup.hpp"
#include "storage.hpp"

namespace tconv {

// One run.
template <class S> struct Col2imRun {
  using T = typename Storage<S>::T;
  const Plan& plan;
  const Col2imPlan& part;
  const Col2im& at;
  const KernelSet<T>& kernels;
  const Storage<S>& storage;
  ActivationOf<T> activation;
  const T *packed, *bias;
  const S* source;
  S* target;
};

// One task: channels of a group, a box, and where its sums are.
template <class S> struct Col2imTask {
  using T = typename Storage<S>::T;
  int64_t group, first, channels;      // of the target
  int64_t batch, items;                // first batch item, and how many
  int64_t box_z, box_y;                // which boxes
  int64_t cell, cells;                 // of the target along x
  int64_t out_z, out_y, end_z, end_y;  // rows of the target that the box reaches
  T *sums, *products, *stage, *line, *turn;
};

// Multiplies a piece, for all batch items of the task: products[item][row][position], or, with lanes over
// taps, products[item][position][row].
template <class S>
void multiply_piece(const Col2imRun<S>& run, const Col2imTask<S>& task, const Piece& piece);

// Adds the products of a piece, the `index`-th of its box, to the sums of the task.
template <class S>
void add_piece(const Col2imRun<S>& run, const Col2imTask<S>& task, const Piece& piece, int64_t index);

// Stores rows [y, y + rows) of the target, from their complete sums.
template <class S>
void finish_rows(const Col2imRun<S>& run, const Col2imTask<S>& task, const typename Storage<S>::T* sums,
                 int64_t item, int64_t z, int64_t y, int64_t rows);

}  // namespace tconv

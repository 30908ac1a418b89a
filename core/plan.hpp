// A Problem (what is computed) and a Plan (how): what all algorithms share, and the part of one algorithm.
//
// Nothing is decided in core/: src/tconv/planning fills these fields, this folder executes them. Python uses
// the same structs (bind_plan.cpp), so a field is declared only here.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "enums.hpp"
#include "integers.hpp"

namespace tconv {

using Triple = std::array<int64_t, 3>;  // along z, y, x
using Cells = std::array<int64_t, 4>;   // along batch, z, y, x

// The transposed layer input -> output. Always three spatial axes; a problem with fewer has leading axes of
// size 1, kernel 1 and stride 1. Channel counts are per group.
struct Problem {
  int64_t batch, groups, in_channels, out_channels;
  Triple input, output, kernel, stride, dilation;
  Triple lo;  // padding before the first output cell; negative extends the output
};

// Types of numbers. For the weight gradient the source is x, the weight y and the target the gradient.
struct Operands {
  DType source, weight, sums, target;
};

// The epilogue: what is applied to a sum before it is stored, in this order: scale, bias, activation,
// rounding.
struct Epilogue {
  Scale scale;
  DType bias;  // dtype of the bias, where a run has one
  Activation activation;
  std::vector<double> numbers;  // of the activation
  Rounding rounding;
};

// A register tile accumulates rows x vectors vectors of sums, a tile of matrix registers (`parts` > 0) rows x
// (16 * vectors) sums. A box is the cells of the target's lattice that one task packs and computes.

// conv_transpose and conv as an implicit matrix product per phase.
struct PhasesPlan {
  PhasesLanes lanes;
  int rows, vectors;
  int parts;    // of a number in matrix registers, 1 to 3; 0: the tile consists of vectors
  bool im2col;  // the panel repeats its input for every distance of a tap, so that rows need no gaps; not
                // with parts
  Cells box;
  int64_t channels;   // of the target in one group, that a task computes from one packed box; 0 for by_phase
  int64_t columns;    // the same for by_phase, as columns, which are phases times channels; else 0
  int64_t groups;     // that share a panel and whose channels are stored together
  bool pack_by_task;  // weights that come unpacked are packed by the tasks that multiply with them, block by
                      // block
  int64_t steps;      // source channels whose taps a tile sums before those of the next ones, so that their
                      // lines stay in the nearest cache; 0: all
  int64_t prefetch;   // how many bytes ahead packed weights are prefetched; 0: they are in the near cache
};

// conv_transpose where phases have one or two taps, by F(3, 2).
struct WinogradPlan {
  int rows, vectors;
  Triple tiles;      // of a box, along batch, y, x
  int64_t channels;  // of the target in one group, that a task computes from one transformed box
};

// conv_transpose as a matrix product that reads each number of the source once, and whose sums, one for each
// position and kernel element, are added at their places.
struct Col2imPlan {
  Col2imLanes lanes;
  int rows, vectors;
  Cells box;          // of a task: batch items, rows of the source along z and y, cells of the target along x
  int64_t channels;   // of the target in one group, of a task
  int64_t positions;  // that are multiplied at a time
  int64_t depth;      // source channels that are multiplied at a time
  bool staged;        // whether they are copied first; halves and channels_last always are
  int64_t prefetch;   // as in PhasesPlan; 0 where lanes are over taps
};

// conv and the weight gradient as dot products.
struct DotsPlan {
  int rows, columns;  // dot products of a tile
  Cells box;
  int64_t x_channels;  // of a task; 0: all
  int64_t y_channels;  // of a task; 0: all
  bool gathered;  // conv: y is copied once for each position of x, all channels and kernel elements in the
                  // order of the weights; else y stays in memory order
};

// The weight gradient as matrix products over positions.
struct GradientPlan {
  GradientLanes lanes;
  int rows, vectors;
  int parts;  // as in PhasesPlan
  Cells box;
  int64_t x_channels;  // of a task; 0: all
  int64_t y_channels;  // of a task; 0: all
  int64_t stretches;   // of a task: pieces of kernels' rows, a tile wide, for lanes over the kernel; else 0
};

// std::monostate: plain loops over the definition.
using Part = std::variant<std::monostate, PhasesPlan, WinogradPlan, Col2imPlan, DotsPlan, GradientPlan>;

struct Plan {
  Problem problem;
  Map map;
  ArrayLayout layout;
  Operands operands;
  Epilogue epilogue;
  std::string isa;   // which build of the kernels, such as "avx512"
  int64_t segments;  // number of partial sums, added in order, that the reduction is split into
  int most_threads;  // more would cost more to wake than they save; the result does not depend on it
  Part part;

  bool last() const { return layout == ArrayLayout::channels_last; }
};

static inline int64_t weight_count(const Problem& p) {
  return p.groups * p.in_channels * p.out_channels * p.kernel[0] * p.kernel[1] * p.kernel[2];
}

// Strides of an array of the caller, in numbers: from one position to the next along x, from one channel,
// group and batch item to the next. Rows and planes of positions have no gaps between them. Channels are last
// where position is more than 1: with a single channel, both layouts are the same.
struct Side {
  int64_t position, channel, group, batch;
};
static inline Side make_side(const Plan& plan, int64_t channels, int64_t plane) {
  const int64_t all = plan.problem.groups * channels;
  if (plan.last() && all > 1) return {all, 1, channels, all * plane};
  return {1, plane, channels * plane, all * plane};
}

}  // namespace tconv

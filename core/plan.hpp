// The plain structs that cross the border from Python: a Problem (what is asked) and a Plan (how it is done).
//
// Nothing in core/ decides anything: src/tconv/planning fills these fields, run.cpp obeys them.
#pragma once

#include <cstdint>
#include <string>

namespace tconv {

enum class DType : int { f32, f64, f16, bf16, c64, c128, i8, i16, i32, i64, u8, u16, u32, u64, count };

// Three maps on one Geometry. With A the convolution's matrix: conv_transpose is y = A^T x, conv is x = A y, and
// weight_gradient correlates x with y, one number a weight.
enum class Map : int { conv_transpose, conv, weight_gradient };

enum class Algorithm : int { reference, phases, winograd, dots };

// What the register tile is made of. The phases of a channel, x fastest, count as further channels for the last two,
// which need all phases to have the same taps.
//   positions  lanes: neighbouring positions;  rows: channels, one phase at a time
//   stacked    lanes: neighbouring positions;  rows: channels with their phases
//   channels   lanes: channels with their phases;  rows: neighbouring positions; channels last: with any taps
// and for the weight gradient
//   positions  lanes: channels of x;                   rows: channels of y
//   channels   lanes: channels of y;                   rows: channels of x
//   kernel     lanes: kernel elements along x;         rows: channels of x
// and in matrix registers, whose rows are channels of x,
//   positions  columns: channels of y, one phase at a time
//   stacked    columns: channels of y with their phases
enum class Lanes : int { positions, channels, stacked, kernel };

enum class Activation : int { none, relu, leaky_relu, clamp, tanh, sigmoid };

// The transposed layer input -> output. Always three spatial axes (z, y, x); a problem with fewer has leading axes of
// size 1, kernel 1 and stride 1. Channel counts are per group.
struct Problem {
  int64_t batch, groups, in_channels, out_channels;
  int64_t input[3], output[3], kernel[3], stride[3], dilation[3];
  int64_t lo[3];  // padding before the first output cell; negative extends the output
};

struct Plan {
  Problem problem;
  Map map;
  DType dtype;
  bool complex = false;  // channels are the parts of complex numbers (complex.hpp); never set from Python
  Algorithm algorithm;
  std::string isa;       // which build of the kernels: "baseline", "avx2", "avx512"
  int rows, vectors;     // the register tile: rows x vectors accumulators; for dots, rows x columns
  Lanes lanes;           // phases only
  int parts;             // of a number in matrix registers, 1 to 3; 0: the tile is made of vectors
  bool im2col;           // the panel repeats its input for every distance of a tap, so that rows need no gaps; tiles of vectors only
  int64_t box[4];        // cells (batch, z, y, x) of the target lattice that one task packs and computes; for winograd, tiles
  int64_t chunk;         // target channels a task walks over with one packed box; channels of y for dots' weight
                         // gradient and in matrix registers, and stretches of kernels' rows for Lanes::kernel
                         // channels last: of Lanes::channels columns; else of several groups where one has fewer
  bool last;             // source and target, or x and y, are [batch][z][y][x][channel], not [batch][channel][z][y][x]
  int64_t segments;      // weight_gradient: in how many sums, added in order, the reduction is cut
  int most_threads;      // more would cost more to wake than they save; the answer does not depend on it
  Activation activation;
  double slope, clamp_lo, clamp_hi;  // leaky_relu's slope; clamp's bounds
};

// Internal linkage: this header is compiled for several instruction sets, whose code must not be shared.
static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }
static inline int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a % b < 0) != (b < 0)); }

// How an array of the caller lies in memory: numbers from a position to the next along x, from a channel, a group and a
// batch item to the next. Rows and planes of positions follow one another without gaps. Channels are last where position
// is more than 1: a single channel lies the same way in both layouts.
struct Side {
  int64_t position, channel, group, batch;
};
static inline Side make_side(const Plan& plan, int64_t channels, int64_t plane) {
  const int64_t all = plan.problem.groups * channels;
  if (plan.last && all > 1) return {all, 1, channels, all * plane};
  return {1, plane, channels * plane, all * plane};
}

}  // namespace tconv

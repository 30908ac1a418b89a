// The arguments of the kernels of one instruction set, and the table of their functions. Kernel files include
// this and nothing of plans: they are compiled once per instruction set and must share no code.
#pragma once

#include <cstdint>

#include "../enums.hpp"
#include "../half.hpp"
#include "../integers.hpp"

namespace tconv {

// c[i * c_stride + j] (+)= sum over taps t and steps s of
//   a[t * a_tap + a_on * offsets[t] + s * a_step + i] * b[t * b_tap + b_on * offsets[t] + s * b_step + j]
// for i in [0, rows) and j in [0, vectors * lanes). One of the two operands is packed weights, which are
// read consecutively; the other is a panel of input, in which each tap has one of the `offsets`.
template <class T> struct TileArgs {
  const T *a, *b;
  int64_t a_tap, a_on, a_step;
  int64_t b_tap, b_on, b_step;
  const int64_t* offsets;
  int64_t taps, steps;
  T* c;
  int64_t c_stride;
  bool accumulate;
  int64_t ahead;  // how far ahead in `a` a cache line is prefetched at every step; 0: no prefetch
};

// A tile of dot products along whole vectors:
//   c[i * c_stride + places[j]] (+)= sum over taps t and n in [0, steps * lanes) of
//     a[i * a_row + t * a_tap + n] * b[columns[j] + offsets[t] + n]
// for i in [0, rows) and j in [0, columns).
template <class T> struct DotArgs {
  const T *a, *b;
  int64_t a_row, a_tap;
  const int64_t *columns, *offsets;
  int64_t taps, steps;
  T* c;
  int64_t c_stride;
  const int64_t* places;
  bool accumulate;
};

// c[i * c_stride + j] = sum over blocks k of 32 channels, taps t and s < 16 of the products of pairs
//   a[k][t][part][i][s] . b[offsets[t] + part * b_part + (16 k + s) * b_row + j]
// for i in [0, 16 height) and j in [0, 16 width). A pair is the bfloat16 numbers of two channels in the
// space of one float. A number is the sum of its parts; see kernels/matrix.cpp.
template <class T> struct MatrixArgs {
  const T *a, *b;
  int64_t b_row, b_part;
  const int64_t* offsets;
  int64_t taps, blocks;
  T* c;
  int64_t c_stride;
  int64_t ahead;  // as above
};

// The activation after the layer, with parameters of the type in which the layer is computed.
template <class T> struct ActivationOf {
  Activation what = Activation::none;
  T first = 0, second = 0;         // its numbers, as `Activation` lists them
  const double* slopes = nullptr;  // of prelu, by channel

  // For a row of one channel of the target, counted over all groups.
  ActivationOf of(int64_t channel) const {
    return slopes ? ActivationOf{Activation::leaky_relu, static_cast<T>(slopes[channel])} : *this;
  }
  // For rows of channels that begin with this one.
  ActivationOf from(int64_t channel) const {
    return slopes ? ActivationOf{what, first, second, slopes + channel} : *this;
  }
};

// c[places[j] + i] (+)= sum over blocks k of 32 positions and p < 32 of a[row i][k][p] * b[k][p][column j]
// for i in [0, 16 height) and those j in [0, 16 width) whose place is not negative. Both are bfloat16
// numbers, two in the space of one float: `a` [16 rows][k][part][row][32 positions], `b` [16
// columns][part][k][pair of positions][column].
template <class T> struct CorrelateArgs {
  const T *a, *b;
  int64_t a_tile, b_tile, b_part;  // from 16 rows or columns to the next, and from a part of b to the next
  int64_t blocks;
  T* c;
  const int64_t* places;
  bool accumulate;
};

// One row of the target, from `phases` rows of sums that are `phase_stride` apart:
//   out[x * phases + r] = activation(sums[r * phase_stride + x] + bias), for x in [0, cells)
// keeping only `length` indices from `skip` on; the same for more rows, whose sums are `sums_step` apart.
template <class T> struct InterleaveArgs {
  const T* sums;
  int64_t phase_stride, phases, cells, skip, length;
  T bias;
  T* out;
  ActivationOf<T> activation;
  int64_t rows = 1, sums_step = 0, out_step = 0;
};

// One row of the target, from cells of sums that are `cell_stride` apart:
//   out[x * phases + r] = activation(sums[x * cell_stride + r] + bias)
template <class T> struct RunsArgs {
  const T* sums;
  int64_t cell_stride, phases, cells, skip, length;
  T bias;
  T* out;
};

// to[i * to_step + j] += from[i * from_step + j], i in [0, count), j in [0, length). No number of `to` is
// reached twice.
template <class T> struct AddArgs {
  const T* from;
  int64_t from_step, count, length;
  T* to;
  int64_t to_step;
};

// Vectors of sums, each with its terms in order: to[v.to + lane] += from[term.from + lane], where the term's
// mask is not zero, for each channel. Numbers that are masked are read, so there must be some.
struct CollectVector {
  int64_t to;
  int32_t begin, end;  // its terms
};
struct CollectTerm {
  int32_t from, mask;
};
template <class T> struct CollectArgs {
  const T* from;
  int64_t from_step, channels;
  T* to;
  int64_t to_step;
  const CollectVector* vectors;
  int64_t count;
  const CollectTerm* terms;
  const T* masks;  // ones or zeros in all bits
};

// The transforms of F(3, 2); see kernels/winograd.cpp.
template <class T> struct WinogradSet {
  // to[i * pitch + t] = from[3 t + i], i in [0, 4): the windows of a row.
  void (*deal)(const T* from, int64_t tiles, T* to, int64_t pitch);
  // out[f * pitch + t]: the window of tile t, element (y, x) at lines[(4 y + x) * line_pitch + t],
  // transformed along x and, if `tall`, along y. This and `output` process whole vectors.
  void (*input)(const T* lines, bool tall, int64_t line_pitch, int64_t tiles, T* out, int64_t pitch);
  // out[y * row_pitch + x * column_pitch + t]: the outputs of tile t from its products.
  void (*output)(const T* const* products, bool tall, int64_t tiles, T* out, int64_t row_pitch,
                 int64_t column_pitch);
};

// Matrix registers: a thread calls `begin` before it uses them and `end` after.
template <class T> struct MatrixSet {
  static constexpr int kMost = 3;
  void (*begin)();
  void (*end)();
  using Tile = void (*)(const MatrixArgs<T>&);
  Tile tile[3][kMost + 1]
           [kMost + 1];  // [parts - 1][height][width] in registers; null where there are too few registers
  using Correlate = void (*)(const CorrelateArgs<T>&);
  Correlate correlate[3][kMost + 1][kMost + 1];  // likewise
  // to[p * part + i]: part p of even[i], and in the upper half the same part of odd[i]; odd may be
  // null for zeros. Returns whether some number is not the sum of its parts (kernels/matrix.cpp).
  bool (*split_pairs)(const T* even, const T* odd, int64_t count, int parts, T* to, int64_t part);
  // to[places[e] + p * part + i]: part p of element e of the kernels 2 i and 2 i + 1, of 32 that are `stride`
  // apart and of which `kernels` exist, for e in [0, count), at most 16, whose place is not negative.
  // Returns the same.
  bool (*pack_kernels)(const T* from, int64_t stride, int64_t kernels, int64_t count, int parts, T* to,
                       const int64_t* places, int64_t part);
  // 16 rows, from_stride apart, of so many blocks of 32 positions, in the layouts of `a` and `b` of
  // CorrelateArgs.
  void (*split_rows)(const T* from, int64_t from_stride, int64_t blocks, int parts, T* to);
  void (*split_columns)(const T* from, int64_t from_stride, int64_t blocks, int parts, T* to, int64_t part);
  // Pairs that begin one position later, from the pairs of `count` positions, 16 columns; the last pair is
  // half empty.
  void (*shift_pairs)(const T* from, int64_t count, T* to);
};

template <class T> struct KernelSet {
  static constexpr int kMaxRows = 16, kMaxVectors = 4;
  int lanes;                                                        // numbers of T in one vector register
  void (*tile[kMaxRows + 1][kMaxVectors + 1])(const TileArgs<T>&);  // null where there are too few registers
  static constexpr int kMaxDotRows = 4, kMaxDotColumns = 6;
  void (*dots[kMaxDotRows + 1][kMaxDotColumns + 1])(const DotArgs<T>&);  // likewise
  void (*interleave)(const InterleaveArgs<T>&);
  void (*runs)(const RunsArgs<T>&);
  // to[i] = from[i * stride]
  void (*gather)(const T* from, int64_t stride, int64_t count, T* to);
  // to[r * to_stride + i] = from[i * stride + r], i in [0, count), r in [0, stride)
  void (*deal)(const T* from, int64_t stride, int64_t count, T* to, int64_t to_stride);
  // to[i * to_stride + c] = from[c * from_stride + i * step], i in [0, count), c in [0, channels). Fast
  // where from_stride or step is 1.
  void (*transpose)(const T* from, int64_t from_stride, int64_t step, int64_t count, int64_t channels, T* to,
                    int64_t to_stride);
  // to[i * to_stride + c] = from[i * from_stride + c] + bias[c], or without a bias where that is null; the
  // same ranges
  void (*lay)(const T* from, int64_t from_stride, int64_t count, int64_t channels, const T* bias, T* to,
              int64_t to_stride);
  void (*activate)(T* row, int64_t count, const ActivationOf<T>& activation);
  // Whether all are finite and no more than half of the largest.
  bool (*bounded)(const T* numbers, int64_t count);
  void (*add)(const AddArgs<T>&);
  void (*collect)(const CollectArgs<T>&);
  WinogradSet<T> winograd;
  MatrixSet<T> matrix;  // empty but for float32 where the CPU has matrix registers

  // `lay`, then the activation.
  void finish_cells(const ActivationOf<T>& activation, const T* from, int64_t from_stride, int64_t count,
                    int64_t channels, const T* bias, T* to, int64_t to_stride) const {
    lay(from, from_stride, count, channels, bias, to, to_stride);
    if (activation.what != Activation::none)
      for (int64_t i = 0; i < count; ++i) activate(to + i * to_stride, channels, activation);
  }
};

// 16-bit numbers to floats and back, rounded to nearest, ties to even.
template <class S> struct ConvertSet {
  void (*widen)(const S* from, int64_t count, float* to);
  void (*narrow)(const float* from, int64_t count, S* to);
  bool (*bounded)(const S* numbers, int64_t count);  // as in KernelSet
};

}  // namespace tconv

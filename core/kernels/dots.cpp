// Tiles of dot products: both operands are read along the reduction, and the lanes are added at the end.
// This file is compiled once per instruction set; kernels/phases.cpp states the rules for that.
#include <cstdint>

#include "kernel_set.hpp"
#include "simd.hpp"

namespace tconv {
namespace {

template <int... index> struct Numbers {};
template <int count, int... index> struct NumbersBelow : NumbersBelow<count - 1, count - 1, index...> {};
template <int... index> struct NumbersBelow<0, index...> {
  typedef Numbers<index...> Type;
};

// Lanes with the bit `side` get sums of pairs of v, the others of u. The numbers of a pair are `side` apart.
template <int side, class Vector, int... lane> inline Vector add_pairs(Vector u, Vector v, Numbers<lane...>) {
  constexpr int lanes = sizeof...(lane);
  return __builtin_shufflevector(u, v, (lane & side ? lanes + lane : lane)...) +
         __builtin_shufflevector(u, v, (lane & side ? lanes + (lane ^ side) : lane ^ side)...);
}

// vectors[0], lane l: the sum over all lanes of vectors[l % group], once `side` has gone from 1 to the number
// of lanes.
template <class T, int group, int side> inline void add_lanes(typename Simd<T>::Vector* vectors) {
  typedef typename NumbersBelow<Simd<T>::lanes>::Type Lanes;
  if constexpr (side < group) {
#pragma GCC unroll 8
    for (int i = 0; i < group / side / 2; ++i)
      vectors[i] = add_pairs<side>(vectors[2 * i], vectors[2 * i + 1], Lanes{});
  } else if constexpr (side < Simd<T>::lanes) {
    vectors[0] = add_pairs<side>(vectors[0], vectors[0], Lanes{});
  }
  if constexpr (side < Simd<T>::lanes) add_lanes<T, group, 2 * side>(vectors);
}

template <class T, int rows, int columns> void dots(const DotArgs<T>& args) {
  using Vector = typename Simd<T>::Vector;
  constexpr int lanes = Simd<T>::lanes, group = lanes < 8 ? lanes : 8;
  Vector sums[rows][columns];
  int64_t column[columns];
#pragma GCC unroll 8
  for (int j = 0; j < columns; ++j) {
    column[j] = args.columns[j];
#pragma GCC unroll 4
    for (int i = 0; i < rows; ++i) sums[i][j] = Vector{};
  }
  const int64_t a_row = args.a_row, steps = args.steps;
  for (int64_t t = 0; t < args.taps; ++t) {
    const T* a = args.a + t * args.a_tap;
    const T* b = args.b + args.offsets[t];
    for (int64_t s = 0; s < steps; ++s, a += lanes, b += lanes) {
      Vector own[rows];
#pragma GCC unroll 4
      for (int i = 0; i < rows; ++i) {
        own[i] = Simd<T>::load(a + i * a_row);
        if constexpr (columns > 1) hold(own[i]);
      }
#pragma GCC unroll 8
      for (int j = 0; j < columns; ++j) {
        Vector other = Simd<T>::load(b + column[j]);
        if constexpr (rows > 1) hold(other);
#pragma GCC unroll 4
        for (int i = 0; i < rows; ++i) sums[i][j] += own[i] * other;
      }
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 8
    for (int j0 = 0; j0 < columns; j0 += group) {
      Vector some[group];
#pragma GCC unroll 8
      for (int j = 0; j < group; ++j)
        some[j] = j0 + j < columns ? sums[i][j0 + j < columns ? j0 + j : 0] : Vector{};
      add_lanes<T, group, 1>(some);
      T* c = args.c + i * args.c_stride;
#pragma GCC unroll 8
      for (int j = 0; j < group; ++j)
        if (j0 + j < columns) {
          T* to = c + args.places[j0 + j];
          *to = args.accumulate ? *to + some[0][j] : some[0][j];
        }
    }
}

// The sums, one vector of each row and one of the other operand must fit into the register file.
template <class T, int rows, int columns> void fill_dots(KernelSet<T>& set) {
  if constexpr (rows * columns + rows <= TCONV_ACCUMULATORS + 3)
    set.dots[rows][columns] = dots<T, rows, columns>;
  if constexpr (columns > 1) fill_dots<T, rows, columns - 1>(set);
  else if constexpr (rows > 1) fill_dots<T, rows - 1, KernelSet<T>::kMaxDotColumns>(set);
}

}  // namespace

#define TCONV_JOIN_(a, b) a##b
#define TCONV_JOIN(a, b) TCONV_JOIN_(a, b)

void TCONV_JOIN(fill_dots_, TCONV_ISA)(KernelSet<float>& f32, KernelSet<double>& f64) {
  fill_dots<float, KernelSet<float>::kMaxDotRows, KernelSet<float>::kMaxDotColumns>(f32);
  fill_dots<double, KernelSet<double>::kMaxDotRows, KernelSet<double>::kMaxDotColumns>(f64);
}

}  // namespace tconv
